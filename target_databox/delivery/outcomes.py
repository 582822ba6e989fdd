"""The outcomes of requests, as values: other modules return them, and the dispatcher applies them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from target_databox.delivery.background import Hold
    from target_databox.delivery.batches import Batch, Lane
    from target_databox.delivery.rejections import Cause
    from target_databox.delivery.rows import Row


@dataclass(frozen=True)
class BatchNotSent:
    """A POST that stored nothing and may succeed later; its next try is planned."""

    batch: Batch


@dataclass(frozen=True)
class BatchLost:
    """A POST whose answer was lost: its rows may be stored, now or later; its next try is planned."""

    batch: Batch


@dataclass(frozen=True)
class BatchAccepted:
    """A POST that was accepted, or a lost one whose ingestion was found.

    Attributes:
        was_lost: Whether a search found the ingestion.
    """

    batch: Batch
    ingestion_id: str
    was_lost: bool = False


@dataclass(frozen=True)
class BatchNotFound:
    """A lost batch that has no ingestion, according to a search."""

    batch: Batch


@dataclass(frozen=True)
class BatchStored:
    """An ingestion that stored every row.

    Attributes:
        appended, overwritten: Its counts; None if they were not read.
    """

    batch: Batch
    appended: int | None = None
    overwritten: int | None = None


@dataclass(frozen=True)
class BatchPartlyStored:
    """An ingestion that names each row that it rejected, and stored the others.

    Attributes:
        rejected: The rejected rows of the batch, each with its cause.
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
        cause: Why.
        is_nothing_stored: Whether certainly none of its rows is stored.
        may_pass: Whether another try may succeed, since the failure may not be due to its rows.
        appended, overwritten: Rows that were stored nevertheless.
    """

    batch: Batch
    cause: Cause
    is_nothing_stored: bool
    may_pass: bool = False
    appended: int = 0
    overwritten: int = 0


@dataclass(frozen=True)
class HoldsOver:
    """The end of a wait for first copies.

    Attributes:
        lane: The dataset.
        holds: The holds that end; empty if all of them lost another answer in the meantime.
    """

    lane: Lane
    holds: tuple[Hold, ...]


@dataclass(frozen=True)
class ListIsBlind:
    """The list of ingestions does not show new ones, so each must be read by itself."""

    lane: Lane


@dataclass(frozen=True)
class RunFails:
    """An error that ends the run."""

    error: BaseException


Outcome: TypeAlias = (
    BatchNotSent
    | BatchLost
    | BatchAccepted
    | BatchNotFound
    | BatchStored
    | BatchPartlyStored
    | BatchNotStored
    | HoldsOver
    | ListIsBlind
    | RunFails
)
