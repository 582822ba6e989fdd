"""The JSON of API v2 on the wire.

Only ids and `data` are required: a response without them is useless. Every other field, lists included, may
be missing, null or malformed (O); `reading` converts them to values.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import msgspec

from target_databox.api.answers import Envelope, Id, Page


class Items(msgspec.Struct):
    """A page of a list; both may be null (O)."""

    items: Annotated[list[dict[str, Any]], Page] | None = None
    pagination: Any = None


class ListAnswer(Envelope, kw_only=True):
    """The response to a request for a list."""

    data: Items


class Facts(Envelope, kw_only=True):
    """A response whose `data` may be null or hold anything; without it nothing was answered."""

    data: dict[str, Any] | None


class Numbered(msgspec.Struct, rename="camel"):
    """A data source or a dataset, just created or read by its id."""

    id: int
    name: Any = None
    created_at: Any = None
    timezone: Any = None
    integration_key: Any = None


class NumberedAnswer(Envelope, kw_only=True):
    """The response to a creation, or to a request for one data source."""

    data: Numbered


class AcceptedRows(msgspec.Struct, rename="camel"):
    """Rows that were accepted."""

    ingestion_id: Id


class AcceptedAnswer(Envelope, kw_only=True):
    """The response to a POST of rows."""

    data: AcceptedRows


class Rows(msgspec.Struct):
    """A page of rows that are read back; each part may be null (O)."""

    items: Annotated[list[dict[str, Any]], Page] | None = None
    pagination: Any = None
    schema: Any = None


class RowsAnswer(Envelope, kw_only=True):
    """The response to a request for rows."""

    data: Rows


def _number(digits: str) -> Decimal | str:
    """A number with all its digits; its text if the exponent is too large for a Decimal."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits


LIST = msgspec.json.Decoder(ListAnswer)
FACTS = msgspec.json.Decoder(Facts)
NUMBERED = msgspec.json.Decoder(NumberedAnswer)
ACCEPTED = msgspec.json.Decoder(AcceptedAnswer)
ROWS = msgspec.json.Decoder(RowsAnswer, float_hook=_number)
