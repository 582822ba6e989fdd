"""Applies stream maps to schemas and records. Expressions are the user's own, and may raise anything."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.exceptions import MapExpressionError, StreamMapConfigError
from singer_sdk.mapper import MAPPER_KEY_PROPERTIES_OPTION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from singer_sdk.mapper import PluginMapper, StreamMap

# What the SDK raises for a SCHEMA that its stream maps do not fit.
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


def register(mapper: PluginMapper, stream: str, schema: dict[str, Any], keys: Sequence[str]) -> None:
    """Have the SDK make the stream maps of a stream.

    It knows only properties as keys. Ours may be columns that objects become, or that only records bring:
    which of them are possible is seen later, from the columns. It also drops definitions from a schema of
    which nothing but what is mapped is kept.

    Args:
        mapper: The SDK's.
        stream: The stream's name.
        schema: Its schema in the one dialect.
        keys: Its key properties.

    Raises:
        StreamMapConfigError: The stream maps do not fit the schema; so do others of `UNFIT`.
    """
    properties = schema["properties"]
    # Properties while the SDK looks at them; empty, so that an expression gives them the type that it would.
    stand_ins: dict[str, Any] = {}
    if not isinstance(properties, dict):
        if mapper.stream_maps_dict:
            raise StreamMapConfigError("its properties are not an object from name to schema.")
    else:
        maps = [each for each in mapper.stream_maps_dict.values() if isinstance(each, dict)]
        named = [*keys, *(key for each in maps for key in each.get(MAPPER_KEY_PROPERTIES_OPTION) or ())]
        stand_ins = {key: {} for key in named if key not in properties}
        schema = {**schema, "properties": {**properties, **stand_ins}}
    mapper.register_raw_stream_schema(stream, schema, keys)
    for stream_map in mapper.stream_maps[stream]:
        mapped_schema = dict(stream_map.transformed_schema)
        properties = mapped_schema["properties"]
        if isinstance(properties, dict):
            mapped_schema["properties"] = {
                name: each for name, each in properties.items() if each or name not in stand_ins
            }
        if "$defs" in schema:
            mapped_schema["$defs"] = schema["$defs"]
        stream_map.transformed_schema = mapped_schema


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
