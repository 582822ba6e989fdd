"""The table of settings as JSON Schema: the SDK validates a configuration by it, and `--about` shows it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from singer_sdk import typing as th
from singer_sdk.helpers.capabilities import STREAM_MAPS_CONFIG

from target_databox.settings.table import TABLE
from target_databox.settings.values import MAX_INTEGER, Boolean, Choice, Integer, Number, Text, Tree

if TYPE_CHECKING:
    from target_databox.settings.table import Setting


def _property(setting: Setting) -> th.Property[Any]:
    kind = setting.kind
    wrapped: Any
    match kind:
        case Integer():
            highest = {} if kind.maximum == MAX_INTEGER else {"maximum": kind.maximum}
            wrapped = th.IntegerType(minimum=kind.minimum, **highest)
        case Number():
            wrapped = th.NumberType(minimum=0) if kind.zero else th.NumberType(exclusive_minimum=0)
        case Boolean():
            wrapped = th.BooleanType()
        case Tree():
            wrapped = th.ObjectType()
        case Text():
            wrapped = th.StringType(min_length=kind.minimum or None, max_length=kind.maximum)
        case Choice():
            wrapped = th.StringType()
    return th.Property(
        setting.name,
        wrapped,
        required=setting.required,
        default=setting.default,
        description=setting.description,
        secret=setting.secret,
        allowed_values=list(kind.words) if isinstance(kind, Choice) else None,
        title=setting.title,
    )


def _config_jsonschema() -> dict[str, Any]:
    schema: dict[str, Any] = th.PropertiesList(
        *(_property(setting) for setting in TABLE), additional_properties=False
    ).to_dict()
    schema["properties"].update(STREAM_MAPS_CONFIG["properties"])
    return schema


#: The schema of a configuration that has been read (``Settings.config``).
CONFIG_JSONSCHEMA: Final[dict[str, Any]] = _config_jsonschema()
