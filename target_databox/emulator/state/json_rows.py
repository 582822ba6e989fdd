"""Reads rows as JSON without losing a digit: as text to keep, and as values to judge."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import msgspec

from target_databox.emulator.state.errors import InvalidInputError

# Rows are kept as the text in which they came, so no digit can be lost; this decoder only judges them.
_ROWS = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
# Broken JSON, half of a surrogate pair, an exponent of twenty digits, arrays in arrays without end.
UNREADABLE = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)
_TEXTS = msgspec.json.Decoder(list[msgspec.Raw])


def texts_of(body: bytes) -> list[bytes]:
    """The texts of the elements of a JSON array."""
    return [bytes(text) for text in _TEXTS.decode(body)]


def parsed_rows(body: bytes | str) -> list[dict[str, Any]]:
    """A JSON array of rows, with every digit of their numbers.

    Raises:
        InvalidInputError: It is not one.
    """
    try:
        return _ROWS.decode(body)
    except UNREADABLE as exc:
        raise InvalidInputError("Every record must be a JSON object.", "records") from exc


def parsed_row(text: str) -> dict[str, Any]:
    """A stored row, read by another parser than the one that judged it, with every digit of its numbers."""
    row: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return row
