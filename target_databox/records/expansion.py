"""What a schema's references add up to: some multiply until no validator comes to an end. Pure.

Validators can't be interrupted, so such a schema is refused before the first record.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# What references may add: a millisecond for a value.
MOST_SCHEMAS: Final = 10_000
ENDLESS: Final = (
    "its references multiply, or lead back to where they began, so that no validator would ever be done with "
    "a value. Ask the tap for a schema that ends."
)
REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_ESCAPED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
# Keywords whose schemas look at the same value once more, and those whose schemas look at its parts.
_AT_THE_SAME: Final = frozenset(
    ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
)
_AT_PARTS: Final = frozenset(
    (
        "properties", "patternProperties", "additionalProperties", "unevaluatedProperties", "propertyNames",
        "items", "prefixItems", "additionalItems", "unevaluatedItems", "contains",
    )
)  # fmt: skip
# Keywords that hold schemas by name.
_BY_NAME: Final = frozenset(("properties", "patternProperties", "dependentSchemas", "dependencies"))


class Expansion:
    """What becomes of a schema where references are replaced by what they refer to.

    Args:
        schema: The whole document; nothing else can be referred to.

    Attributes:
        is_endless: Whether far too many of its schemas look at one and the same value, each counted as often
            as it is come by; so it is where one leads back to itself without going on to a part of the value.
        is_vast: The same, counted with the schemas of the value's parts; so is every recursive schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._documents: dict[int, tuple[Any, Any]] = {}
        self._anchors: dict[str, list[Any]] = {}
        self._index(schema, (schema, schema))
        self._at_one_value: dict[int, float] = {}
        in_all = self._count(schema, {}, parts_too=True)
        self.is_endless = max(self._at_one_value.values()) > MOST_SCHEMAS
        self.is_vast = in_all > len(self._documents) + MOST_SCHEMAS

    def _index(self, node: Any, documents: tuple[Any, Any]) -> None:
        """Note which documents each schema belongs to, the outermost and the innermost, and its anchor."""
        if isinstance(node, list):
            for inner in node:
                self._index(inner, documents)
        elif isinstance(node, dict):
            name = node.get("$id", node.get("id"))
            if isinstance(name, str):
                if name.startswith("#"):
                    self._anchors.setdefault(name[1:], []).append(node)
                else:
                    documents = documents[0], node
            self._documents[id(node)] = documents
            for keyword in _ANCHORS:
                if isinstance(name := node.get(keyword), str):
                    self._anchors.setdefault(name, []).append(node)
            for inner in node.values():
                self._index(inner, documents)

    def _count(self, node: Any, known: dict[int, float], *, parts_too: bool) -> float:
        """How many schemas are come by from here; infinite while it is being counted already."""
        if not isinstance(node, dict):
            return 1.0
        if id(node) not in known:
            known[id(node)] = math.inf
            keywords = _AT_THE_SAME | _AT_PARTS if parts_too else _AT_THE_SAME
            inner = [*_schemas(node, keywords), *self._targets(node)]
            known[id(node)] = 1.0 + sum(self._count(each, known, parts_too=parts_too) for each in inner)
            if parts_too:
                self._count(node, self._at_one_value, parts_too=False)
        return known[id(node)]

    def _targets(self, node: dict[str, Any]) -> Iterator[Any]:
        """The schemas that a schema refers to."""
        for keyword in REFERENCES:
            reference = node.get(keyword)
            if not isinstance(reference, str) or not reference.startswith("#"):
                continue
            place = _ESCAPED.sub(lambda match: chr(int(match[1], 16)), reference[1:])
            if place[:1] in ("", "/"):
                # By most validators the nearest `$id` counts, by some the whole schema.
                found = [_at_pointer(where, place) for where in self._documents[id(node)]]
                yield from found[:1] if found[0] is found[-1] else found
            else:
                yield from self._anchors.get(place, [])


def _schemas(node: dict[str, Any], keywords: frozenset[str]) -> Iterator[Any]:
    """The schemas within a schema under some keywords."""
    for keyword in keywords & node.keys():
        value = node[keyword]
        if isinstance(value, list):
            yield from value
        elif isinstance(value, dict) and keyword in _BY_NAME:
            yield from value.values()
        else:
            yield value


def _at_pointer(document: Any, pointer: str) -> Any:
    """What stands at a JSON pointer; None where there is no such place."""
    node = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(node, dict) and name in node:
            node = node[name]
        elif isinstance(node, list) and name.isascii() and name.isdigit() and int(name) < len(node):
            node = node[int(name)]
        else:
            return None
    return node
