"""The JSON of API v1 as it comes over the wire.

Demanded are lists and ids, without which an answer says nothing. Everything else may be absent, null or odd;
`reading` makes values of it.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, TypeVar

import msgspec

T = TypeVar("T")

Id = Annotated[str, msgspec.Meta(min_length=1)]
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
