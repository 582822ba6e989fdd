"""What a stream map makes of a record; its expressions are the user's own, and may raise anything."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError

if TYPE_CHECKING:
    from singer_sdk.mapper import StreamMap

# What the SDK raises at a SCHEMA to which its stream maps do not fit.
UNFIT: Final = (
    StreamMapConfigError,
    MapExpressionError,
    NotImplementedError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


class UnmappedError(ValueError):
    """An expression fails on a record; the message names the expression, and holds no value."""


def mapped(stream_map: StreamMap, record: dict[str, Any]) -> dict[str, Any] | None:
    """A record as a stream map makes it, as JSON could hold it; None when it is left out.

    Raises:
        UnmappedError: An expression fails on it.
    """
    try:
        result: dict[str, Any] | None = stream_map.transform(dict(record))
    except Exception as error:  # noqa: BLE001 # the user's own code, whatever it raises
        # What is wrong is behind the SDK's own error. Not chained, nor quoted: it may quote the record.
        kind = type(error.__cause__ or error).__name__
        expression = getattr(getattr(stream_map, "expr_evaluator", None), "expr", "")
        raise UnmappedError(f"the expression {expression} of stream_maps fails on it ({kind})") from None
    if result is not None:
        for name, value in result.items():
            if isinstance(value, (datetime.date, datetime.time)):
                result[name] = value.isoformat()
    return result
