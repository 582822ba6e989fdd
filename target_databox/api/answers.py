"""What Databox's JSON looks like on the wire, and the shapes it becomes.

Demanded are lists and ids, without which an answer says nothing. Everything else may be absent, null or odd:
what can be read of it is read, the rest is not known, and none of it makes a good answer unreadable. Sources:
`limits`, `shapes`.
"""

from __future__ import annotations

import datetime
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

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

T = TypeVar("T")

Id = Annotated[str, msgspec.Meta(min_length=1)]
# From here on a JSON number has lost digits somewhere on its way.
MOST_COUNTED: Final = 2**53
LONGEST_WORD_CHARACTERS: Final = 40
_COUNT_TEXT: Final = re.compile(r"([0-9]{1,15})(?:\.0+)?")
_INTEGER_DIGITS: Final = 18


class Envelope(msgspec.Struct, rename="camel"):
    """What every answer has beside its own fields (D)."""

    request_id: Any = None
    status: Any = None
    errors: Any = None


class AccountLine(msgspec.Struct, rename="camel"):
    """A line of the list of accounts (D)."""

    id: int
    name: Any = None
    account_type: Any = None


class Accounts(Envelope, rename="camel", kw_only=True):
    """The list of accounts (D)."""

    accounts: list[AccountLine]


class Timezones(Envelope, rename="camel", kw_only=True):
    """The list of time zones (D); the field `timezone` of its lines is O."""

    timezones: list[Any]


class DataSourceLine(msgspec.Struct, rename="camel"):
    """A line of the list of data sources (D); nulls are O."""

    id: int
    title: Any = None
    created: Any = None
    timezone: Any = None
    ingestion_supported: Any = None


class DataSources(Envelope, rename="camel", kw_only=True):
    """The list of data sources (D)."""

    data_sources: list[DataSourceLine]


class NewDataSource(Envelope, rename="camel", kw_only=True):
    """A data source that was created (D)."""

    id: int
    title: Any = None
    created: Any = None
    timezone: Any = None
    ingestion_supported: Any = None


class DatasetLine(msgspec.Struct, rename="camel"):
    """A line of the list of datasets (O)."""

    id: Id
    title: Any = None
    created: Any = None


class Datasets(Envelope, rename="camel", kw_only=True):
    """The list of datasets (D)."""

    datasets: list[DatasetLine]


class NewDataset(Envelope, rename="camel", kw_only=True):
    """A dataset that was created (D)."""

    id: Id
    title: Any = None
    created: Any = None


class DatasetDetailAnswer(Envelope, rename="camel", kw_only=True):
    """The detail of a dataset (O): undocumented, so nothing is demanded."""

    primary_keys: Any = msgspec.UNSET
    data_source_id: Any = None


class AcceptedAnswer(Envelope, rename="camel", kw_only=True):
    """The answer to a POST of rows (D)."""

    ingestion_id: Id


class IngestionAnswer(Envelope, rename="camel", kw_only=True):
    """The detail of an ingestion (D)."""

    ingestion_id: Any = None
    timestamp: Any = None
    metrics: Any = None


class IngestionLine(msgspec.Struct, rename="camel"):
    """A line of the list of ingestions (D)."""

    ingestion_id: Id
    timestamp: Any = None
    status: Any = None


class IngestionsAnswer(Envelope, rename="camel", kw_only=True):
    """A page of the list of ingestions (D); `pagination` is O."""

    ingestions: list[IngestionLine]
    pagination: Any = None


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


def read(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """An answer of the expected kind.

    Raises:
        ValueError: It is not the documented JSON, or is nested too deeply to be read.
    """
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # Once more as Python reads it: NaN, endless numbers or text that is not UTF-8 must not hide the rest.
        value = json.loads(payload.decode("utf-8-sig", "replace"), parse_int=_integer)
        return msgspec.convert(_writable(value), decoder.type)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def envelope_of(payload: bytes) -> Envelope:
    """The envelope of a failed answer; an empty one when the body is HTML or anything else."""
    try:
        return read(ENVELOPE, payload)
    except ValueError:
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


def epoch_of(timestamp: object) -> float | None:
    """Epoch seconds of a time such as `2025-10-01T12:00:00.000000Z` (D); None when it can't be read."""
    if not isinstance(timestamp, str):
        return None
    try:
        moment = msgspec.convert(timestamp.strip(), datetime.datetime)
    except msgspec.ValidationError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=datetime.timezone.utc)).timestamp()


def accounts(answer: Accounts) -> tuple[Account, ...]:
    """The accounts of an answer."""
    return tuple(
        Account(line.id, _text(line.name) or "", _text(line.account_type) or "") for line in answer.accounts
    )


def timezones(answer: Timezones) -> tuple[str, ...]:
    """The names of time zones of an answer."""
    names = (_text(_field(line, "timezone")) for line in answer.timezones)
    return tuple(name for name in names if name)


def data_source(line: DataSourceLine | NewDataSource) -> DataSource:
    """The data source of a line or of a creation."""
    # Only a plain `false` keeps a data source from being used: it may be what a user loads into today.
    is_supported = line.ingestion_supported is not False
    return DataSource(line.id, _text(line.title), _text(line.created), _text(line.timezone), is_supported)


def dataset(line: DatasetLine | NewDataset) -> Dataset:
    """The dataset of a line or of a creation."""
    return Dataset(line.id, _text(line.title), _text(line.created))


def dataset_detail(answer: DatasetDetailAnswer, dataset_id: str) -> DatasetDetail:
    """The detail of a dataset, as far as it tells one."""
    source = answer.data_source_id
    is_id = isinstance(source, int) and not isinstance(source, bool)
    return DatasetDetail(dataset_id, _keys(answer), source if is_id else None)


def ingestion(
    answer: IngestionAnswer,
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
    answer: IngestionsAnswer, page: int, page_size: int, clean: Callable[[object], str | None]
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


def _keys(answer: DatasetDetailAnswer) -> tuple[str, ...] | None:
    keys = answer.primary_keys
    if keys is None and not answer.errors:
        return ()
    is_list_of_names = isinstance(keys, list) and all(isinstance(key, str) and key for key in keys)
    return tuple(keys) if is_list_of_names else None


def _writable(value: Any) -> Any:
    """A JSON value without halves of surrogate pairs, which could neither be logged nor sent."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_writable(each) for each in value]
    if isinstance(value, dict):
        return {_writable(name): _writable(each) for name, each in value.items()}
    return value


def _integer(text: str) -> float:
    # Python refuses to read more than 4,300 digits, and nobody counts that far.
    return int(text) if len(text) <= _INTEGER_DIGITS else float(text)
