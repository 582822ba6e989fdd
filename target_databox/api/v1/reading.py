"""Reads the JSON of API v1 into values.

What can be read is read, the rest is not known, and none of it makes a good answer unreadable. Sources:
`limits`, `values`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from target_databox.api.v1.limits import DONE_WORDS, FAILED_WORDS, PENDING_WORDS
from target_databox.api.values import (
    Account,
    ApiProblem,
    Dataset,
    DatasetDetail,
    DataSource,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
    epoch_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.api.v1 import wire

# From here on a JSON number has lost digits somewhere on its way.
MOST_COUNTED: Final = 2**53
LONGEST_WORD_CHARACTERS: Final = 40
_COUNT_TEXT: Final = re.compile(r"([0-9]{1,15})(?:\.0+)?")


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
    """What a status word means, whatever its case and the blanks around it; `UNKNOWN` for any other."""
    known = _plain(word)
    if known in DONE_WORDS:
        return IngestionStatus.DONE
    if known in FAILED_WORDS:
        return IngestionStatus.FAILED
    return IngestionStatus.PENDING if known in PENDING_WORDS else IngestionStatus.UNKNOWN


def word_of(word: object, clean: Callable[[object], str | None]) -> str | None:
    """A status word for a message, at most 40 characters; None when there is none.

    Args:
        word: What came under `status`.
        clean: Makes text fit for a log.
    """
    if status_of(word) is not IngestionStatus.UNKNOWN:
        return _plain(word)
    said = clean(word)
    if said is None or len(said) <= LONGEST_WORD_CHARACTERS:
        return said
    return f"{said[: LONGEST_WORD_CHARACTERS - 1]}…"


def count_of(value: object) -> int | None:
    """A count, also as a float without fraction (`100.0`) or as text (`"100"`); None for anything else."""
    if isinstance(value, str):
        found = _COUNT_TEXT.fullmatch(value.strip())
        return int(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    is_count = 0 <= value <= MOST_COUNTED and value == int(value)
    return int(value) if is_count else None


def accounts(answer: wire.Accounts) -> tuple[Account, ...]:
    """The accounts of an answer."""
    return tuple(
        Account(line.id, _text(line.name) or "", _text(line.account_type) or "") for line in answer.accounts
    )


def timezones(answer: wire.Timezones) -> tuple[str, ...]:
    """The names of time zones of an answer."""
    names = (_text(_field(line, "timezone")) for line in answer.timezones)
    return tuple(name for name in names if name)


def data_source(line: wire.DataSourceLine | wire.NewDataSource) -> DataSource:
    """The data source of a line or of a creation."""
    # Only a plain `false` keeps a data source from being used: it may be what a user loads into today.
    is_supported = line.ingestion_supported is not False
    return DataSource(line.id, _text(line.title), _text(line.created), _text(line.timezone), is_supported)


def dataset(line: wire.DatasetLine | wire.NewDataset) -> Dataset:
    """The dataset of a line or of a creation."""
    return Dataset(line.id, _text(line.title), _text(line.created))


def dataset_detail(answer: wire.DatasetDetailAnswer, dataset_id: str) -> DatasetDetail:
    """The detail of a dataset, as far as it tells one."""
    source = answer.data_source_id
    is_id = isinstance(source, int) and not isinstance(source, bool)
    return DatasetDetail(dataset_id, _keys(answer), source if is_id else None)


def ingestion(
    answer: wire.IngestionAnswer,
    ingestion_id: str,
    told: tuple[ApiProblem, ...],
    request_id: str | None,
    word: str | None,
) -> Ingestion:
    """The detail of an ingestion."""
    counts = _field(answer.metrics, "ingestionMetrics")
    return Ingestion(
        id=ingestion_id,
        status=status_of(answer.status),
        timestamp=epoch_of(answer.timestamp),
        received=count_of(_field(counts, "receivedRecordsCount")),
        appended=count_of(_field(counts, "appendedRecordsCount")),
        overwritten=count_of(_field(counts, "overwrittenRecordsCount")),
        rejected=count_of(_field(counts, "rejectedRecordsCount")),
        errors=told,
        request_id=request_id,
        word=word,
    )


def ingestions_page(
    answer: wire.IngestionsAnswer, page: int, page_size: int, clean: Callable[[object], str | None]
) -> IngestionsPage:
    """A page of ingestions, with what was asked for where the answer doesn't say what it is."""
    # The number is the one that was asked for: a walk would never end where it is told another.
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
        page_size=count_of(_field(answer.pagination, "pageSize")) or page_size,
        total_items=count_of(_field(answer.pagination, "totalItems")),
    )


def _plain(word: object) -> str:
    return word.strip().lower() if isinstance(word, str) else ""


def _field(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _keys(answer: wire.DatasetDetailAnswer) -> tuple[str, ...] | None:
    keys = answer.primary_keys
    if keys is None and not answer.errors:
        return ()
    is_list_of_names = isinstance(keys, list) and all(isinstance(key, str) and key for key in keys)
    return tuple(keys) if is_list_of_names else None
