"""What became of a request, as values: rooms return them, and the dispatcher says who learns of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from target_databox.delivery.batches import Batch, Lane
    from target_databox.delivery.rejections import Cause
    from target_databox.delivery.rows import Row


@dataclass(frozen=True)
class BatchNotSent:
    """A POST that stored nothing and may succeed later; its next try is planned."""

    batch: Batch


@dataclass(frozen=True)
class BatchLost:
    """A POST whose answer was lost: it may be stored, now or later; its next try is planned."""

    batch: Batch


@dataclass(frozen=True)
class BatchAccepted:
    """A POST, or a search for a lost one, that brought an ingestion."""

    batch: Batch
    ingestion_id: str
    was_lost: bool = False


@dataclass(frozen=True)
class BatchNotFound:
    """A search that found no ingestion of a lost batch."""

    batch: Batch


@dataclass(frozen=True)
class BatchStored:
    """An ingestion that stored every row.

    Attributes:
        appended, overwritten: Its counts; None where they were not read.
    """

    batch: Batch
    appended: int | None = None
    overwritten: int | None = None


@dataclass(frozen=True)
class BatchPartlyStored:
    """An ingestion that names each row that it rejected, and stored the others.

    Attributes:
        rejected: The rejected rows of the batch, each with what the API said of it.
        appended, overwritten: Its counts.
    """

    batch: Batch
    rejected: tuple[tuple[Row, Cause], ...]
    appended: int
    overwritten: int


@dataclass(frozen=True)
class BatchNotStored:
    """A batch that is not stored whole.

    Attributes:
        cause: What the API said.
        is_nothing_stored: Whether none of its rows is.
        may_pass: Whether the same batch may be stored on another try, since the failure says nothing of it.
        appended, overwritten: Rows that were stored all the same.
    """

    batch: Batch
    cause: Cause
    is_nothing_stored: bool
    may_pass: bool = False
    appended: int = 0
    overwritten: int = 0


@dataclass(frozen=True)
class ListIsBlind:
    """The list of ingestions does not show new ones, so that each has to be read by itself."""

    lane: Lane


@dataclass(frozen=True)
class RunFails:
    """Nothing can be done about it: the run ends."""

    error: BaseException


Outcome: TypeAlias = (
    BatchNotSent
    | BatchLost
    | BatchAccepted
    | BatchNotFound
    | BatchStored
    | BatchPartlyStored
    | BatchNotStored
    | ListIsBlind
    | RunFails
)
