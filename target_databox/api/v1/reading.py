"""Converts the JSON of API v1 to values; see `answers`. Sources of the facts: `limits`, `values`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.answers import column_types, count_of, field, names, status_of, text, word_of
from target_databox.api.values import (
    Account,
    ApiProblem,
    Dataset,
    DatasetDetail,
    DataSource,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    epoch_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.api.v1 import wire


def accounts(answer: wire.Accounts) -> tuple[Account, ...]:
    """The accounts in a response."""
    return tuple(
        Account(line.id, text(line.name) or "", text(line.account_type) or "") for line in answer.accounts
    )


def timezones(answer: wire.Timezones) -> tuple[str, ...]:
    """The names of the time zones in a response."""
    zones = (text(field(line, "timezone")) for line in answer.timezones)
    return tuple(name for name in zones if name)


def data_source(line: wire.DataSourceLine | wire.NewDataSource) -> DataSource:
    """The data source on a line of the list, or one that was just created."""
    # Only an explicit `false` rules a data source out: users may be loading into one without this field.
    is_supported = line.ingestion_supported is not False
    return DataSource(line.id, text(line.title), text(line.created), text(line.timezone), is_supported)


def dataset(line: wire.DatasetLine | wire.NewDataset) -> Dataset:
    """The dataset on a line of the list, or one that was just created."""
    return Dataset(line.id, text(line.title), text(line.created))


def dataset_detail(answer: wire.DatasetDetailAnswer, dataset_id: str) -> DatasetDetail:
    """The detail of a dataset, as far as the response contains it."""
    return DatasetDetail(dataset_id, _keys(answer), column_types(answer.schema, "name"))


def ingestion(
    answer: wire.IngestionAnswer,
    ingestion_id: str,
    errors: tuple[ApiProblem, ...],
    request_id: str | None,
    word: str | None,
) -> Ingestion:
    """The detail of an ingestion."""
    counts = field(answer.metrics, "ingestionMetrics")
    dataset = field(answer.metrics, "datasetMetrics")
    return Ingestion(
        id=ingestion_id,
        status=status_of(answer.status),
        timestamp=epoch_of(answer.timestamp),
        received=count_of(field(counts, "receivedRecordsCount")),
        appended=count_of(field(counts, "appendedRecordsCount")),
        overwritten=count_of(field(counts, "overwrittenRecordsCount")),
        rejected=count_of(field(counts, "rejectedRecordsCount")),
        errors=errors,
        request_id=request_id,
        word=word,
        dataset_rows=count_of(field(dataset, "totalDatasetRecordsCount")),
        dataset_columns=count_of(field(dataset, "columnsCount")),
    )


def ingestions_page(
    answer: wire.IngestionsAnswer, page: int, page_size: int, clean: Callable[[object], str | None]
) -> IngestionsPage:
    """A page of ingestions; where the response lacks the page size, it is the requested one."""
    # The page number is always the requested one: with another, a list walk might never end.
    return IngestionsPage(
        entries=tuple(
            IngestionEntry(
                line.ingestion_id,
                epoch_of(line.timestamp),
                status_of(line.status),
                word_of(line.status, clean),
            )
            for line in answer.ingestions
        ),
        page=page,
        page_size=count_of(field(answer.pagination, "pageSize")) or page_size,
        total_items=count_of(field(answer.pagination, "totalItems")),
    )


def _keys(answer: wire.DatasetDetailAnswer) -> tuple[str, ...] | None:
    if answer.primary_keys is None and not answer.errors:
        return ()
    return names(answer.primary_keys)
