"""The JSON of API v1 on the wire.

Only lists and ids are required: a response without them is useless. Every other field may be missing, null or
malformed; `reading` converts them to values.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from target_databox.api.answers import Envelope, Id, Page


class AccountLine(msgspec.Struct, rename="camel"):
    """A line of the list of accounts (D)."""

    id: int
    name: Any = None
    account_type: Any = None


class Accounts(Envelope, kw_only=True):
    """The list of accounts (D)."""

    accounts: list[AccountLine]


class Timezones(Envelope, kw_only=True):
    """The list of time zones (D); the field `timezone` of its lines is O."""

    timezones: Annotated[list[Any], Page]


class DataSourceLine(msgspec.Struct, rename="camel"):
    """A line of the list of data sources (D); nulls are O."""

    id: int
    title: Any = None
    created: Any = None
    timezone: Any = None
    ingestion_supported: Any = None


class DataSources(Envelope, kw_only=True):
    """The list of data sources (D)."""

    data_sources: list[DataSourceLine]


class NewDataSource(Envelope, kw_only=True):
    """A data source that was created (D)."""

    id: int
    title: Any = None
    created: Any = None
    timezone: Any = None
    ingestion_supported: Any = None


class DatasetLine(msgspec.Struct):
    """A line of the list of datasets (O)."""

    id: Id
    title: Any = None
    created: Any = None


class Datasets(Envelope, kw_only=True):
    """The list of datasets (D)."""

    datasets: list[DatasetLine]


class NewDataset(Envelope, kw_only=True):
    """A dataset that was created (D)."""

    id: Id
    title: Any = None
    created: Any = None


class DatasetDetailAnswer(Envelope, kw_only=True):
    """The detail of a dataset (O): undocumented, so no field is required."""

    primary_keys: Any = msgspec.UNSET
    schema: Any = None


class AcceptedAnswer(Envelope, kw_only=True):
    """The response to a POST of rows (D)."""

    ingestion_id: Id


class IngestionAnswer(Envelope, kw_only=True):
    """The detail of an ingestion (D)."""

    timestamp: Any = None
    metrics: Any = None


class IngestionLine(msgspec.Struct, rename="camel"):
    """A line of the list of ingestions (D)."""

    ingestion_id: Id
    timestamp: Any = None
    status: Any = None


class IngestionsAnswer(Envelope, kw_only=True):
    """A page of the list of ingestions (D); `pagination` is O."""

    ingestions: Annotated[list[IngestionLine], Page]
    pagination: Any = None


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
