"""What Databox's JSON looks like on the wire, and the shapes it becomes.

Documented fields are demanded; everything else may be absent, null or odd, since `errors`, request ids and
times are there to be shown and must not make a good answer unreadable. Sources: `limits`, `shapes`.
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from target_databox.api.limits import DONE_WORDS, FAILED_WORDS, PENDING_WORDS
from target_databox.api.shapes import (
    Account,
    ApiProblem,
    Dataset,
    DatasetDetail,
    DataSource,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
)

if TYPE_CHECKING:
    from collections.abc import Callable

Id = Annotated[str, msgspec.Meta(min_length=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class Envelope(msgspec.Struct, rename="camel"):
    """What every answer has beside its own fields (D)."""

    request_id: Any = None
    status: Any = None
    errors: Any = None


class AccountLine(msgspec.Struct, rename="camel"):
    """A line of the list of accounts (D)."""

    id: int
    name: str | None = None
    account_type: str | None = None


class Accounts(Envelope, rename="camel", kw_only=True):
    """The list of accounts (D)."""

    accounts: list[AccountLine]


class TimezoneLine(msgspec.Struct):
    """A line of the list of time zones (O)."""

    timezone: str


class Timezones(Envelope, rename="camel", kw_only=True):
    """The list of time zones (D)."""

    timezones: list[TimezoneLine]


class DataSourceLine(msgspec.Struct, rename="camel"):
    """A line of the list of data sources (D); nulls are O."""

    id: int
    title: str | None = None
    created: str | None = None
    timezone: str | None = None


class DataSources(Envelope, rename="camel", kw_only=True):
    """The list of data sources (D)."""

    data_sources: list[DataSourceLine]


class NewDataSource(Envelope, rename="camel", kw_only=True):
    """A data source that was created (D)."""

    id: int
    title: str | None = None
    created: str | None = None
    timezone: str | None = None


class DatasetLine(msgspec.Struct, rename="camel"):
    """A line of the list of datasets (O)."""

    id: Id
    title: str | None = None
    created: str | None = None


class Datasets(Envelope, rename="camel", kw_only=True):
    """The list of datasets (D)."""

    datasets: list[DatasetLine]


class NewDataset(Envelope, rename="camel", kw_only=True):
    """A dataset that was created (D)."""

    id: Id
    title: str | None = None
    created: str | None = None


class DatasetDetailAnswer(Envelope, rename="camel", kw_only=True):
    """The detail of a dataset (O): undocumented, so nothing is demanded."""

    primary_keys: Any = None
    data_source_id: Any = None


class AcceptedAnswer(Envelope, rename="camel", kw_only=True):
    """The answer to a POST of rows (D)."""

    ingestion_id: Id


class IngestionMetrics(msgspec.Struct, rename="camel"):
    """Counts of an ingestion (D)."""

    received_records_count: Count | None = None
    appended_records_count: Count | None = None
    overwritten_records_count: Count | None = None
    rejected_records_count: Count | None = None


class Metrics(msgspec.Struct, rename="camel"):
    """Metrics of an ingestion (D); those of the dataset are not read."""

    ingestion_metrics: IngestionMetrics | None = None


class IngestionAnswer(Envelope, rename="camel", kw_only=True):
    """The detail of an ingestion (D)."""

    ingestion_id: Any = None
    timestamp: Any = None
    metrics: Metrics | None = None


class IngestionLine(msgspec.Struct, rename="camel"):
    """A line of the list of ingestions (D)."""

    ingestion_id: Id
    timestamp: Any = None
    status: Any = None


class Pagination(msgspec.Struct, rename="camel"):
    """Where a page stands in its list (O)."""

    page_size: Any = None
    total_items: Any = None


class IngestionsAnswer(Envelope, rename="camel", kw_only=True):
    """A page of the list of ingestions (D)."""

    ingestions: list[IngestionLine]
    pagination: Pagination | None = None


ENVELOPE = msgspec.json.Decoder(Envelope)
ACCOUNTS = msgspec.json.Decoder(Accounts)
TIMEZONES = msgspec.json.Decoder(Timezones)
DATA_SOURCES = msgspec.json.Decoder(DataSources)
NEW_DATA_SOURCE = msgspec.json.Decoder(NewDataSource)
DATASETS = msgspec.json.Decoder(Datasets)
NEW_DATASET = msgspec.json.Decoder(NewDataset)
DATASET_DETAIL = msgspec.json.Decoder(DatasetDetailAnswer)
ACCEPTED = msgspec.json.Decoder(AcceptedAnswer)
INGESTION = msgspec.json.Decoder(IngestionAnswer)
INGESTIONS = msgspec.json.Decoder(IngestionsAnswer)


def envelope_of(payload: bytes) -> Envelope:
    """The envelope of a failed answer; an empty one when the body is HTML or anything else."""
    try:
        return ENVELOPE.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Envelope()


def problems(errors: Any, clean: Callable[[object], str | None]) -> tuple[ApiProblem, ...]:
    """The entries of an `errors` list (D), whatever their shape.

    Args:
        errors: What came under that name.
        clean: Makes text fit for a log.
    """
    if not errors:
        return ()
    entries = errors if isinstance(errors, list) else [errors]
    return tuple(
        ApiProblem(*(clean(entry.get(name)) for name in ("code", "message", "field", "type")))
        if isinstance(entry, dict)
        else ApiProblem(None, clean(entry), None, None)
        for entry in entries
    )


def status_of(word: object) -> IngestionStatus:
    """What a status word means; `UNKNOWN` for a word that nobody has seen yet."""
    known = word.lower() if isinstance(word, str) else ""
    if known in DONE_WORDS:
        return IngestionStatus.DONE
    if known in FAILED_WORDS:
        return IngestionStatus.FAILED
    return IngestionStatus.PENDING if known in PENDING_WORDS else IngestionStatus.UNKNOWN


def epoch_of(timestamp: object) -> float | None:
    """Epoch seconds of a time such as `2025-10-01T12:00:00.000000Z` (D); None when it can't be read."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = msgspec.convert(timestamp, datetime.datetime)
    except msgspec.ValidationError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()


def accounts(answer: Accounts) -> tuple[Account, ...]:
    """The accounts of an answer."""
    return tuple(Account(line.id, line.name or "", line.account_type or "") for line in answer.accounts)


def data_source(line: DataSourceLine | NewDataSource) -> DataSource:
    """The data source of a line or of a creation."""
    return DataSource(line.id, line.title, line.created, line.timezone)


def dataset(line: DatasetLine | NewDataset) -> Dataset:
    """The dataset of a line or of a creation."""
    return Dataset(line.id, line.title, line.created)


def dataset_detail(answer: DatasetDetailAnswer, dataset_id: str) -> DatasetDetail:
    """The detail of a dataset, as far as it tells one."""
    keys = answer.primary_keys
    told = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
    source = answer.data_source_id
    is_id = isinstance(source, int) and not isinstance(source, bool)
    return DatasetDetail(dataset_id, tuple(keys) if told else None, source if is_id else None)


def ingestion(
    answer: IngestionAnswer, ingestion_id: str, told: tuple[ApiProblem, ...], request_id: str | None
) -> Ingestion:
    """The detail of an ingestion."""
    counts = (answer.metrics.ingestion_metrics if answer.metrics else None) or IngestionMetrics()
    return Ingestion(
        id=ingestion_id,
        status=status_of(answer.status),
        timestamp=epoch_of(answer.timestamp),
        received=counts.received_records_count,
        appended=counts.appended_records_count,
        overwritten=counts.overwritten_records_count,
        rejected=counts.rejected_records_count,
        errors=told,
        request_id=request_id,
    )


def ingestions_page(answer: IngestionsAnswer, page: int, page_size: int) -> IngestionsPage:
    """A page of ingestions, with what was asked for where the answer doesn't say what it is."""
    told = answer.pagination or Pagination()
    # The number is the one that was asked for: a walk would never end where it is told another.
    return IngestionsPage(
        entries=tuple(
            IngestionEntry(line.ingestion_id, epoch_of(line.timestamp), status_of(line.status))
            for line in answer.ingestions
        ),
        page=page,
        page_size=_count(told.page_size) or page_size,
        total_items=_count(told.total_items),
    )


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
