"""What the Databox API answers, as values that every room may hold without knowing HTTP."""

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


# Of one answer: twice as many as a request has rows, whatever the version.
MOST_PROBLEMS: Final = 1_000


class IngestionStatus(enum.Enum):
    """What an ingestion's status word means.

    On the detail of an ingestion `DONE` is only the status of the request (D): processing is over when the
    metrics are there as well. On a line of the list it is the status of the ingestion itself (D).
    `UNKNOWN` is any other word, or none: only the counts can say that processing is over.
    """

    PENDING = "pending"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ApiProblem:
    """One entry of an answer's `errors` (D), cut to a readable length; the API key is masked.

    Attributes:
        code: Machine-readable word; `invalid_input` is the only documented one, so nothing depends on it.
        message: Text for people, at most 300 characters.
        field: The request field that is to blame, if any.
        type: Category, such as `validation` or `permission`.
        record: The rejected row that it is about, as decoded JSON; None where the API names none.
    """

    code: str | None
    message: str | None
    field: str | None
    type: str | None
    record: Any = dataclasses.field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Account:
    """An account that the key can see (D)."""

    id: int
    name: str
    account_type: str


@dataclass(frozen=True, slots=True)
class DataSource:
    """A data source: the container of datasets (D). `created` is ISO 8601 text as it came.

    Attributes:
        ingestion_supported: Whether it takes rows (D); False only where the API says so, as it does of those
            that Databox fills itself; None where that is not certain.
    """

    id: int
    title: str | None
    created: str | None
    timezone: str | None
    ingestion_supported: bool | None = True


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as a list shows it (fields O). `created` is ISO 8601 text as it came.

    Attributes:
        data_source_id: Its data source; None where the list is of one data source only.
    """

    id: str
    title: str | None
    created: str | None
    data_source_id: int | None = None


@dataclass(frozen=True, slots=True)
class DatasetDetail:
    """What the API tells of one dataset (O): v1 on an undocumented route.

    Attributes:
        id: The dataset's id.
        primary_keys: Its keys, empty when it has none: an empty list, or null, as in the request that creates
            a dataset (D). None when the API doesn't tell: the field is missing, or is anything else.
        column_types: Types by column, as far as the API tells them.
    """

    id: str
    primary_keys: tuple[str, ...] | None
    column_types: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Accepted:
    """A POST of rows that the API accepted (D): it will be processed later.

    Attributes:
        ingestion_id: Where the outcome can be read.
        errors: Usually empty; the ingestion's own counts decide what was stored.
        request_id: The API's name of the request.
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
        timestamp: Epoch seconds, or None when it is missing or unreadable.
        received: Rows that arrived; None while the metrics are missing, as for the other counts.
        appended: Rows stored under a new key or without one.
        overwritten: Rows that replaced the row of their key.
        rejected: Rows that were not stored.
        errors: What the API says is wrong with it (O).
        request_id: The API's name of the request that read it.
        word: The status as it came, for messages: printable and short; None when there was none.
        dataset_rows: Rows that the dataset held when it was processed (D).
        dataset_columns: Its columns then (D).
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
        timestamp: Epoch seconds, or None when it is missing or unreadable.
        status: That of the ingestion itself (D).
        word: The status as it came, for messages: printable and short; None when there was none.
    """

    id: str
    timestamp: float | None
    status: IngestionStatus
    word: str | None = None


@dataclass(frozen=True, slots=True)
class IngestionsPage:
    """One page of a dataset's list of ingestions, in the API's order, which is unknown.

    Attributes:
        entries: The lines; empty past the last page.
        page: The page's number, counted from 1 (O).
        page_size: How many lines a full page has.
        total_items: How many ingestions the dataset has, or None when the API doesn't tell.
    """

    entries: tuple[IngestionEntry, ...]
    page: int
    page_size: int
    total_items: int | None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page of a list of accounts, data sources or datasets.

    Attributes:
        items: What is on it, in the API's order.
        total_items: How many the whole list has; None when the API doesn't tell.
    """

    items: tuple[T, ...]
    total_items: int | None

    @classmethod
    def whole(cls, items: tuple[T, ...]) -> Page[T]:
        """A list that has no pages."""
        return cls(items, len(items))


@dataclass(frozen=True, slots=True)
class DatasetFacts:
    """What API v2 tells of a dataset beside its keys and columns (O).

    Attributes:
        row_count: How many rows it holds, whatever is shown of them; None when it isn't told.
        data_source_id: Its data source; None when it isn't told.
    """

    row_count: int | None
    data_source_id: int | None


@dataclass(frozen=True, slots=True)
class RowsPage:
    """A page of a dataset's rows as they are read back (O).

    Attributes:
        rows: Value by column; fractions as Decimal, with every digit.
        total_rows: How many rows all pages have; None when the API doesn't tell.
        hidden_columns: Columns that the answer's schema calls invisible.
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
        """`string`, `number` or `datetime` (O); None when its type is not declared."""


def epoch_of(timestamp: object) -> float | None:
    """Epoch seconds of a time such as `2025-10-01T12:00:00.000000Z` (D); None when it can't be read."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = msgspec.convert(timestamp.strip(), datetime.datetime)
    except msgspec.ValidationError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()
