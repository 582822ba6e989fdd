"""The kinds of values that a JSON Schema allows, through unions, references and type lists. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from target_databox.records.keywords import DATE_FORMATS
from target_databox.records.references import definition_of

NUMBER: Final = "number"
STRING: Final = "string"
DATETIME: Final = "datetime"
BOOLEAN: Final = "boolean"
OBJECT: Final = "object"
ARRAY: Final = "array"
ANY: Final = "any"
"""Kinds of values. Null is not one: every column may be null."""

Kinds = frozenset[str]
References = frozenset[str]

_TYPE_KINDS: Final = {
    "number": NUMBER,
    "integer": NUMBER,
    "string": STRING,
    "boolean": BOOLEAN,
    "object": OBJECT,
    "array": ARRAY,
}
_UNKNOWN: Final[Kinds] = frozenset({ANY})
# Keywords for values of one kind: without a type, they show which kind is meant.
_TYPICAL: Final = (
    (frozenset(("properties", "patternProperties")), OBJECT),
    (frozenset(("items", "prefixItems")), ARRAY),
    (frozenset(("multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")), NUMBER),
)


class SchemaReader:
    """Answers questions about the parts of one schema.

    Args:
        root: The whole schema, as `modern` returns it; references point into it.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def kinds(self, node: Any, seen: References = frozenset()) -> Kinds:
        """The kinds of values a part of the schema allows; ``any`` when it doesn't say, empty for null only.

        Args:
            node: A part of the schema.
            seen: References that led here, which are not followed again.
        """
        if not isinstance(node, Mapping):
            return _UNKNOWN
        if node.get("not") == {}:
            return frozenset()
        kinds = _own_kinds(node)
        for keyword in ("anyOf", "oneOf"):
            if branches := _branches(node, keyword):
                union = frozenset().union(*(self.kinds(branch, seen) for branch in branches))
                kinds = _both(kinds, _UNKNOWN if ANY in union else union)
        for part in _branches(node, "allOf"):
            kinds = _both(kinds, self.kinds(part, seen))
        reference = node.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            kinds = _both(kinds, self.kinds(self._target(reference), seen | {reference}))
        return kinds

    def properties(
        self, node: Any, seen: References = frozenset()
    ) -> tuple[dict[str, list[Any]], References]:
        """The members that a part of the schema names, in its order, and the references that led to them.

        A member that several branches name has the schemas of all of them.

        Args:
            node: A part of the schema.
            seen: References that led here, which are not followed again.
        """
        members: dict[str, list[Any]] = {}
        used = seen
        if not isinstance(node, Mapping):
            return members, used
        own = node.get("properties")
        if isinstance(own, Mapping):
            for name, member in own.items():
                members.setdefault(name, []).append(member)
        parts = [part for keyword in ("allOf", "anyOf", "oneOf") for part in _branches(node, keyword)]
        found = [self.properties(part, seen) for part in parts]
        reference = node.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            found.append(self.properties(self._target(reference), seen | {reference}))
        for inner, references in found:
            used |= references
            for name, schemas in inner.items():
                members.setdefault(name, []).extend(schemas)
        return members, used

    def item_kinds(self, node: Any, seen: References = frozenset()) -> Kinds:
        """The kinds of values that arrays of this part of the schema hold; empty when it doesn't say.

        Args:
            node: A part of the schema.
            seen: References that led here, which are not followed again.
        """
        if not isinstance(node, Mapping):
            return frozenset()
        found: Kinds = frozenset()
        for keyword in ("items", "prefixItems"):
            items = node.get(keyword)
            for item in items if isinstance(items, list) else [] if items is None else [items]:
                found |= self.kinds(item)
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in _branches(node, keyword):
                found |= self.item_kinds(part, seen)
        reference = node.get("$ref")
        if isinstance(reference, str) and reference not in seen:
            found |= self.item_kinds(self._target(reference), seen | {reference})
        return found

    def references(self, node: Any, seen: References = frozenset()) -> References:
        """The references that have to be followed to learn what a part of the schema is.

        Args:
            node: A part of the schema.
            seen: References that are not followed again.
        """
        if not isinstance(node, Mapping):
            return frozenset()
        used: References = frozenset()
        for keyword in ("allOf", "anyOf", "oneOf"):
            for part in _branches(node, keyword):
                used |= self.references(part, seen | used)
        reference = node.get("$ref")
        if isinstance(reference, str) and reference not in seen | used:
            used |= {reference}
            used |= self.references(self._target(reference), seen | used)
        return used

    def _target(self, reference: str) -> Any:
        """What a reference leads to; True, which allows anything, if it leads nowhere."""
        target = definition_of(self._root, reference)
        return True if target is None else target


def _branches(node: Mapping[str, Any], keyword: str) -> list[Any]:
    branches = node.get(keyword)
    return branches if isinstance(branches, list) else []


def _own_kinds(node: Mapping[str, Any]) -> Kinds:
    """The kinds that a part allows, its unions and references aside."""
    types = node.get("type")
    if types is not None:
        names: Iterable[Any] = [types] if isinstance(types, str) else types if isinstance(types, list) else []
        kinds = {_TYPE_KINDS[name] for name in names if isinstance(name, str) and name in _TYPE_KINDS}
        if STRING in kinds and node.get("format") in DATE_FORMATS:
            kinds = kinds - {STRING} | {DATETIME}
        return frozenset(kinds)
    if "const" in node:
        return _value_kinds([node["const"]])
    values = node.get("enum")
    if isinstance(values, list):
        return _value_kinds(values)
    if node.get("format") in DATE_FORMATS:
        return frozenset({DATETIME})
    for keywords, kind in _TYPICAL:
        if not keywords.isdisjoint(node):
            return frozenset({kind})
    return _UNKNOWN


def _value_kinds(values: list[Any]) -> Kinds:
    kinds = set()
    for value in values:
        if isinstance(value, bool):
            kinds.add(BOOLEAN)
        elif isinstance(value, str):
            kinds.add(STRING)
        elif isinstance(value, Mapping):
            kinds.add(OBJECT)
        elif isinstance(value, list):
            kinds.add(ARRAY)
        elif value is not None:
            kinds.add(NUMBER)
    return frozenset(kinds)


def _both(one: Kinds, other: Kinds) -> Kinds:
    """The kinds that satisfy two parts at once; the union of both where they contradict each other."""
    if ANY in one:
        return other
    if ANY in other:
        return one
    common = one & other
    for narrow, wide in ((one, other), (other, one)):
        # A date-time is a string with a format.
        if DATETIME in narrow and STRING in wide:
            common |= {DATETIME}
    return common or one | other
