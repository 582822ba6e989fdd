"""Responses of the Databox API as values, which the rest of the project uses without knowing HTTP."""

from __future__ import annotations

import dataclasses
import datetime
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


# Of one response: twice the most rows of a request of any version.
MOST_PROBLEMS: Final = 1_000


class IngestionStatus(enum.Enum):
    """What an ingestion's status word means.

    In the detail of an ingestion, `DONE` is only the status of the request (D): processing is over once the
    metrics are present as well. On a line of the list it is the status of the ingestion itself (D).
    `UNKNOWN` is any other word, or none: only the counts then show that processing is over.
    """

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ApiProblem:
    """One entry of a response's `errors` (D), cut to a readable length, with the API key masked.

    Attributes:
        code: Machine-readable word; only `invalid_input` is documented, so nothing depends on it.
        message: Text for people, at most 300 characters.
        field: The request field at fault, if any.
        type: Category, such as `validation` or `permission`.
        record: The rejected row, as decoded JSON; None if the entry names none.
    """

    code: str | None
    message: str | None
    field: str | None
    type: str | None
    record: Any = dataclasses.field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that the API key can see (D)."""

    id: int
    name: str
    account_type: str


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data source: the container of datasets (D). `created` is unparsed ISO 8601 text.

    Attributes:
        ingestion_supported: Whether it takes rows (D). False only if the API says so, as for data sources
            that Databox fills itself; None if uncertain.
    """

    id: int
    title: str | None
    created: str | None
    timezone: str | None
    ingestion_supported: bool | None = True


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as a list shows it (fields O). `created` is unparsed ISO 8601 text.

    Attributes:
        data_source_id: Its data source; None if the list covers one data source only.
    """

    id: str
    title: str | None
    created: str | None
    data_source_id: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetDetail:
    """The detail of one dataset (O); v1 has it on an undocumented route.

    Attributes:
        id: The dataset's id.
        primary_keys: Its primary keys. Empty if it has none: the API returns an empty list, or null, as in
            the request that creates a dataset (D). None if unknown: the field is missing or anything else.
        column_types: Types by column name, as far as they are known.
    """

    id: str
    primary_keys: tuple[str, ...] | None
    column_types: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A POST of rows that the API accepted (D) and will process later.

    Attributes:
        ingestion_id: The ingestion whose detail shows the outcome.
        errors: Usually empty; what was stored follows from the ingestion's counts.
        request_id: The API's id of the request.
    """

    ingestion_id: str
    errors: tuple[ApiProblem, ...]
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The detail of one ingestion (D).

    Attributes:
        id: The ingestion's id.
        status: On this route the status of the *request* (D): `DONE` alone proves nothing.
        timestamp: Epoch seconds, or None if missing or unreadable.
        received: Rows that arrived. This and the other counts are None while the metrics are missing.
        appended: Rows stored under a new key or without one.
        overwritten: Rows that replaced the row with their key.
        rejected: Rows that were not stored.
        errors: The ingestion's errors (O).
        request_id: The API's id of the request that read it.
        word: The original status word for messages, printable and short; None if there was none.
        dataset_rows: Rows that the dataset held when the ingestion was processed (D).
        dataset_columns: Columns that it had then (D).
    """

    id: str
    status: IngestionStatus
    timestamp: float | None
    received: int | None
    appended: int | None
    overwritten: int | None
    rejected: int | None
    errors: tuple[ApiProblem, ...]
    request_id: str | None
    word: str | None = None
    dataset_rows: int | None = None
    dataset_columns: int | None = None


@dataclass(frozen=True, slots=True)
class IngestionEntry:
    """A line of a dataset's list of ingestions (D).

    Attributes:
        id: The ingestion's id.
        timestamp: Epoch seconds, or None if missing or unreadable.
        status: The status of the ingestion itself (D).
        word: The original status word for messages, printable and short; None if there was none.
    """

    id: str
    timestamp: float | None
    status: IngestionStatus
    word: str | None = None


@dataclass(frozen=True, slots=True)
class IngestionsPage:
    """One page of a dataset's list of ingestions, in the API's order, which is not documented.

    Attributes:
        entries: The lines; empty past the last page.
        page: The page's number, counted from 1 (O).
        page_size: How many lines a full page has.
        total_items: How many ingestions the dataset has, or None if unknown.
    """

    entries: tuple[IngestionEntry, ...]
    page: int
    page_size: int
    total_items: int | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list of accounts, data sources or datasets.

    Attributes:
        items: The page's items, in the API's order.
        total_items: How many items the whole list has; None if unknown.
    """

    items: tuple[T, ...]
    total_items: int | None

    @classmethod
    def whole(cls, items: tuple[T, ...]) -> Page[T]:
        """A list that has no pages."""
        return cls(items, len(items))


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """The row count and the data source of a dataset (O, v2 only).

    Attributes:
        row_count: How many rows it holds, including those not shown yet; None if unknown.
        data_source_id: Its data source; None if unknown.
    """

    row_count: int | None
    data_source_id: int | None


@dataclass(frozen=True, slots=True)
class RowsPage:
    """A page of a dataset's rows, read back (O).

    Attributes:
        rows: Values by column name; fractions as Decimal, with all digits.
        total_rows: How many rows all pages have; None if unknown.
        hidden_columns: Columns that the response's schema marks as invisible.
    """

    rows: tuple[dict[str, Any], ...]
    total_rows: int | None
    hidden_columns: tuple[str, ...] = ()


class ColumnLike(Protocol):
    """A column that a new dataset may declare."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def data_type(self) -> str | None:
        """`string`, `number` or `datetime` (O); None if its type is not to be declared."""


def epoch_of(timestamp: object) -> float | None:
    """Epoch seconds of a time such as `2025-10-01T12:00:00.000000Z` (D); None if it can't be read."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = msgspec.convert(timestamp.strip(), datetime.datetime)
    except msgspec.ValidationError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()
