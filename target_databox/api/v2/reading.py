"""Converts the JSON of API v2 to values; see `answers`. Sources of the facts: `limits`, `values`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from target_databox.api.answers import (
    MOST_ID_CHARACTERS,
    MOST_NAMES,
    column_types,
    count_of,
    field,
    names,
    status_of,
    text,
    word_of,
)
from target_databox.api.values import (
    Account,
    Dataset,
    DatasetDetail,
    DatasetFacts,
    DataSource,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    Page,
    RowsPage,
    epoch_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.api.v2 import wire
    from target_databox.api.values import ApiProblem

# M: the integration key of data sources created through the API. One with another key may take rows as well.
_OF_THE_API: Final = "databoxapi"


def total_of(items: wire.Items) -> int | None:
    """How many items the whole list has. `pageSize` is not read, since it may be wrong (O)."""
    return count_of(field(items.pagination, "totalItems"))


def accounts(items: wire.Items) -> Page[Account]:
    """A page of the accounts that an agency manages, without those whose id is not a number."""
    found = [(_number(each, "id"), each) for each in items.items or ()]
    return Page(tuple(account(number, each) for number, each in found if number is not None), total_of(items))


def account(number: int, facts: dict[str, Any]) -> Account:
    """An account."""
    return Account(number, text(facts.get("name")) or "", "organization")


def timezones(items: wire.Items) -> tuple[str, ...]:
    """The names of time zones."""
    zones = (text(field(each, "timezone")) for each in items.items or ())
    return tuple(name for name in zones if name)


def data_sources(items: wire.Items) -> Page[DataSource]:
    """A page of data sources."""
    found = [(_number(each, "id"), each) for each in items.items or ()]
    sources = (
        _data_source(number, each.get("name"), each.get("createdAt"), each.get("timezone"), each)
        for number, each in found
        if number is not None
    )
    return Page(tuple(sources), total_of(items))


def new_data_source(made: wire.Numbered) -> DataSource:
    """A data source that was just created, or read by its id."""
    facts = {"integrationKey": made.integration_key}
    return _data_source(made.id, made.name, made.created_at, made.timezone, facts)


def _data_source(
    number: int, name: object, created: object, timezone: object, facts: dict[str, Any]
) -> DataSource:
    is_of_the_api = (text(facts.get("integrationKey")) or "").casefold() == _OF_THE_API
    return DataSource(number, text(name), text(created), text(timezone), is_of_the_api or None)


def datasets(items: wire.Items) -> Page[Dataset]:
    """A page of datasets, of all data sources."""
    found = [(_number(each, "id"), each) for each in items.items or ()]
    sets = (
        Dataset(
            str(number), text(each.get("name")), text(each.get("createdAt")), _number(each, "dataSourceId")
        )
        for number, each in found
        if number is not None
    )
    return Page(tuple(sets), total_of(items))


def new_dataset(made: wire.Numbered) -> Dataset:
    """A dataset that was just created."""
    return Dataset(str(made.id), text(made.name), text(made.created_at))


def dataset_detail(facts: dict[str, Any], dataset_id: str) -> DatasetDetail:
    """The primary keys and columns of a dataset. An empty list means no keys; null means unknown."""
    return DatasetDetail(dataset_id, names(facts.get("primaryKey")), column_types(facts.get("items"), "id"))


def dataset_facts(facts: dict[str, Any]) -> DatasetFacts:
    """The row count and the data source of a dataset."""
    return DatasetFacts(count_of(facts.get("rowCount")), _number(facts, "dataSourceId"))


def rows_page(found: wire.Rows) -> RowsPage:
    """A page of rows; a column is hidden only if the response says so."""
    lines = found.schema[:MOST_NAMES] if isinstance(found.schema, list) else []
    hidden = (text(field(line, "id")) for line in lines if field(line, "visible") is False)
    total = count_of(field(found.pagination, "totalItems"))
    return RowsPage(tuple(found.items or ()), total, tuple(name for name in hidden if name))


def ingestion(
    facts: dict[str, Any],
    ingestion_id: str,
    errors: tuple[ApiProblem, ...],
    request_id: str | None,
    word: str | None,
) -> Ingestion:
    """The detail of an ingestion; its summary, and parts of it, may be null (O)."""
    counts = field(facts.get("summary"), "ingestion")
    dataset = field(facts.get("summary"), "dataset")
    return Ingestion(
        id=ingestion_id,
        status=status_of(facts.get("status")),
        timestamp=epoch_of(facts.get("initiatedAt")),
        received=count_of(field(counts, "receivedRecordCount")),
        appended=count_of(field(counts, "appendedRecordCount")),
        overwritten=count_of(field(counts, "overwrittenRecordCount")),
        rejected=count_of(field(counts, "rejectedRecordCount")),
        errors=errors,
        request_id=request_id,
        word=word,
        dataset_rows=count_of(field(dataset, "rowCount")),
        dataset_columns=count_of(field(dataset, "columnCount")),
    )


def ingestions_page(
    items: wire.Items, page: int, page_size: int, clean: Callable[[object], str | None]
) -> IngestionsPage:
    """A page of ingestions, without those that lack an id. Number and size are the requested ones."""
    found = [(text(each.get("id")), each) for each in items.items or ()]
    return IngestionsPage(
        entries=tuple(
            IngestionEntry(
                ingestion_id,
                epoch_of(each.get("initiatedAt")),
                status_of(each.get("status")),
                word_of(each.get("status"), clean),
            )
            for ingestion_id, each in found
            if ingestion_id and len(ingestion_id) <= MOST_ID_CHARACTERS
        ),
        page=page,
        page_size=page_size,
        total_items=total_of(items),
    )


def _number(facts: dict[str, Any], name: str) -> int | None:
    number = facts.get(name)
    return number if isinstance(number, int) and not isinstance(number, bool) else None
