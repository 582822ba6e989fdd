"""A tap's schema, of whatever draft, in one dialect: JSON Schema 2020-12 with every reference resolved. Pure.

Taps write draft 4 to 2020-12, mostly without saying which, and mix them. What comes after this reads one:

* no ids and anchors; a reference is `#` or `#/$defs/NAME`, where NAME is the JSON pointer of what is referred
  to in the tap's own schema, or it leads nowhere and stands as it came;
* keywords of older drafts become today's: boolean `exclusiveMaximum`, `items` as a list, `additionalItems`,
  `dependencies`, `required: true` (which is left out);
* keywords that are null, empty lists of schemas or types, and types named twice are left out: taps that fill
  in templates send them, and validators refuse them;
* the whole has `properties`, and a whole that is only a reference becomes what it refers to.

Nothing is checked here: what makes no sense stays, so that the validator can name its place.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from target_databox.records.keywords import BY_NAME, DATE_FORMATS, IN_LISTS, inner_schemas
from target_databox.records.references import (
    REFERENCES,
    References,
    definition_named,
    definition_of,
    escaped,
    reference_to,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

# Up to draft 7 a reference stands alone: keywords beside it are ignored.
_LONELY_REFERENCES: Final = re.compile(r"https?://json-schema\.org/draft-0[3-7]/schema#?")
_LEFT_OUT: Final = frozenset(
    (
        "$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment",
        "$defs", "definitions", "additionalItems", "dependencies",
    )
)  # fmt: skip
_MAY_BE_NULL: Final = frozenset(("const", "default"))
_ONE: Final = frozenset(
    (
        "not", "if", "then", "else", "contains", "propertyNames", "additionalProperties",
        "unevaluatedProperties", "unevaluatedItems",
    )
)  # fmt: skip
_ANNOTATIONS: Final = frozenset(("title", "description", "default", "examples"))
_EXCLUSIVE: Final = (("exclusiveMaximum", "maximum"), ("exclusiveMinimum", "minimum"))
# What can be written as text.
_AS_TEXT: Final = ("number", "boolean", "object", "array")
# Draft 3's name for what has no type today.
_ANY_TYPE: Final = "any"


def modern(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A tap's schema in the one dialect; the schema itself is not changed.

    Raises:
        RecursionError: It is nested too deeply.
    """
    return _Rewriting(schema).whole()


def dangling(schema: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first reference that a validator could follow and that leads nowhere: its place and its text.

    Args:
        schema: As `modern` returns it.
    """
    waiting: list[tuple[str, Any]] = [("", schema)]
    seen: set[int] = set()
    for place, node in waiting:  # the list grows in the loop
        if not isinstance(node, dict) or id(node) in seen:
            continue
        seen.add(id(node))
        reference = node.get("$ref")
        if isinstance(reference, str):
            target = definition_of(schema, reference)
            if target is None:
                return place or "its top", reference
            # A definition is named after its place in the tap's own schema.
            waiting.append((definition_named(reference) or "", target))
        waiting += (
            (place + "".join(f"/{escaped(step)}" for step in steps), each)
            for steps, each in inner_schemas(node)
        )
    return None


def textual(node: Any) -> Any:
    """A schema that allows every value but null wherever the given one allows text other than dates.

    Args:
        node: As `modern` returns it.

    Raises:
        RecursionError: It is nested too deeply.
    """
    if not isinstance(node, dict):
        return node
    result = dict(node)
    types = node.get("type")
    names = [types] if isinstance(types, str) else types if isinstance(types, list) else []
    if "string" in names and node.get("format") not in DATE_FORMATS:
        result["type"] = [*names, *(name for name in _AS_TEXT if name not in names)]
    for steps, each in inner_schemas(node):
        if len(steps) == 1:
            result[steps[0]] = textual(each)
            continue
        keyword, step = steps
        if result[keyword] is node[keyword]:
            result[keyword] = node[keyword].copy()
        result[keyword][int(step) if keyword in IN_LISTS else step] = textual(each)
    definitions = node.get("$defs")
    if isinstance(definitions, dict):
        result["$defs"] = {name: textual(each) for name, each in definitions.items()}
    return result


class _Rewriting:
    """One schema being rewritten."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._references = References(schema)
        dialect = schema.get("$schema")
        self._is_lonely = isinstance(dialect, str) and bool(_LONELY_REFERENCES.fullmatch(dialect))
        # What references lead to, by place: rewritten, or still to be.
        self._definitions: dict[str, Any] = {}
        self._waiting: list[tuple[str, Any]] = []

    def whole(self) -> dict[str, Any]:
        result: dict[str, Any] = self._written(self._schema)
        while self._waiting:
            place, node = self._waiting.pop()
            self._definitions[place] = self._written(node)
        result = self._inlined(result)
        result.setdefault("properties", {})
        if self._definitions:
            result["$defs"] = self._definitions
        return result

    def _inlined(self, whole: dict[str, Any]) -> dict[str, Any]:
        """The whole, with its own reference replaced by what that leads to where both agree."""
        for _ in range(len(self._definitions)):
            reference = whole.get("$ref")
            if not isinstance(reference, str) or reference == "#":
                break
            target = definition_of({"$defs": self._definitions}, reference)
            beside = {keyword: value for keyword, value in whole.items() if keyword != "$ref"}
            if not isinstance(target, dict) or any(
                keyword in beside and keyword not in _ANNOTATIONS and beside[keyword] != value
                for keyword, value in target.items()
            ):
                break
            whole = {**target, **beside}
        return whole

    def _written(self, node: Any) -> Any:
        if node is True:
            return {}
        if node is False:
            return {"not": {}}
        if not isinstance(node, dict):
            return node
        if self._is_lonely and isinstance(node.get("$ref"), str):
            return {"$ref": self._reference(node, node["$ref"])}
        result: dict[str, Any] = {}
        for keyword, value in node.items():
            if (value is None and keyword not in _MAY_BE_NULL) or keyword in _LEFT_OUT:
                continue
            if keyword in REFERENCES and isinstance(value, str):
                result.setdefault("$ref", self._reference(node, value))
            elif keyword == "items" and isinstance(value, list):
                result.update(self._tuple(value, node))
            elif keyword == "type":
                result.update(_types(value))
            elif keyword == "required" and not isinstance(value, list):
                if not isinstance(value, bool):
                    result[keyword] = value
            elif keyword == "required":
                result[keyword] = _once(value)
            else:
                result.update(self._keyword(keyword, value))
        result.update(self._dependencies(node))
        for exclusive, inclusive in _EXCLUSIVE:
            if isinstance(result.get(exclusive), bool):
                is_exclusive = result.pop(exclusive)
                if is_exclusive and inclusive in result:
                    result[exclusive] = result.pop(inclusive)
        return result

    def _keyword(self, keyword: str, value: Any) -> dict[str, Any]:
        """A keyword with the schemas that it holds; empty if it says nothing."""
        if keyword in BY_NAME:
            if value == []:  # an empty object, as some languages write it
                return {}
            if isinstance(value, dict):
                return {
                    keyword: {
                        name: {} if each is None else self._written(each) for name, each in value.items()
                    }
                }
        elif keyword in IN_LISTS and isinstance(value, list):
            return {keyword: [self._written(each) for each in value]} if value else {}
        elif keyword == "items" or keyword in _ONE:
            return {} if value == [] else {keyword: self._written(value)}
        return {keyword: value}

    def _tuple(self, items: list[Any], node: dict[str, Any]) -> dict[str, Any]:
        """`items` that is a list, and the schema of the items beyond it."""
        beyond = node.get("additionalItems")
        result: dict[str, Any] = {"prefixItems": [self._written(each) for each in items]} if items else {}
        return result if beyond is None else {**result, "items": self._written(beyond)}

    def _dependencies(self, node: dict[str, Any]) -> dict[str, Any]:
        dependencies = node.get("dependencies")
        if not isinstance(dependencies, dict):
            return {}
        names = {
            name: [each] if isinstance(each, str) else _once(each)
            for name, each in dependencies.items()
            if isinstance(each, (list, str))
        }
        schemas = {
            name: self._written(each) for name, each in dependencies.items() if isinstance(each, (dict, bool))
        }
        given = {"dependentRequired": names, "dependentSchemas": schemas}
        return {keyword: value for keyword, value in given.items() if value and node.get(keyword) is None}

    def _reference(self, node: dict[str, Any], reference: str) -> str:
        target = self._references.target(node, reference)
        if target is None:
            return reference
        if target.schema is self._schema:
            return "#"
        if target.place not in self._definitions:
            self._definitions[target.place] = {}
            self._waiting.append((target.place, target.schema))
        return reference_to(target.place)


def _types(value: Any) -> dict[str, Any]:
    if not isinstance(value, list):
        return {} if value == _ANY_TYPE else {"type": value}
    names = _once(["null" if each is None else each for each in value])
    return {} if not names or _ANY_TYPE in names else {"type": names}


def _once(values: list[Any]) -> list[Any]:
    """Names, each once."""
    return list(dict.fromkeys(values)) if all(isinstance(each, str) for each in values) else values
