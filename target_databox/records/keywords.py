"""Where a schema in the dialect that `modern` writes holds other schemas. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Keywords whose schemas apply to the same value, and those whose schemas apply to its parts.
AT_THE_SAME: Final = frozenset(("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"))
AT_PARTS: Final = frozenset(
    (
        "properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames",
        "items", "prefixItems", "unevaluatedItems", "contains",
    )
)  # fmt: skip
# Of both, those that hold schemas by name, and those that hold a list of them; the others hold one.
BY_NAME: Final = frozenset(("properties", "patternProperties", "dependentSchemas"))
IN_LISTS: Final = frozenset(("allOf", "anyOf", "oneOf", "prefixItems"))
ALL: Final = AT_THE_SAME | AT_PARTS

#: Formats of text that is a date. A tuple, not a set: what a tap sends as a format may not be hashable.
DATE_FORMATS: Final = ("date-time", "date")


def inner_schemas(
    node: Mapping[str, Any], keywords: frozenset[str] = ALL
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Schemas that a schema holds under some keywords, each with the steps that lead to it.

    Anything in the place of a schema that is not one is left out.
    """
    for keyword, value in node.items():
        if keyword not in keywords:
            continue
        if keyword in BY_NAME:
            if isinstance(value, dict):
                yield from (((keyword, name), each) for name, each in value.items() if _is_schema(each))
        elif keyword in IN_LISTS:
            if isinstance(value, list):
                yield from (
                    ((keyword, str(index)), each) for index, each in enumerate(value) if _is_schema(each)
                )
        elif _is_schema(value):
            yield (keyword,), value


def _is_schema(value: Any) -> bool:
    return isinstance(value, (dict, bool))
