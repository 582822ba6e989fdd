"""Where the references of a schema lead: JSON pointers, anchors of every draft, and ids within it. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS: Final = ("$anchor", "$dynamicAnchor")
_ESCAPED: Final = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_INDEX: Final = re.compile(r"[0-9]{1,9}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._~-]")
# How `modern` refers to a definition.
_DEFINITION: Final = "#/$defs/"


class Target(NamedTuple):
    """What a reference leads to: a schema, and its place as a JSON pointer."""

    place: str
    schema: Any


class References:
    """Where the references of one schema lead; they can't leave it.

    Drafts differ in what an `$id` within a schema changes, and taps write ids that are not meant to change
    anything: what the part with the nearest id does not have is looked for in the whole schema.

    Args:
        root: The whole schema.
    """

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        # By identity of a schema: its place, and the part with the nearest id.
        self._places: dict[int, str] = {}
        self._parts: dict[int, Any] = {}
        self._named: dict[str, Any] = {}
        self._anchors: dict[str, list[Any]] = {}
        waiting: list[tuple[Any, str, Any]] = [(root, "", root)]
        for node, place, part in waiting:  # the list grows in the loop
            if isinstance(node, list):
                waiting += ((each, f"{place}/{index}", part) for index, each in enumerate(node))
            elif isinstance(node, dict):
                inner = self._index(node, place, part)
                waiting += ((each, f"{place}/{escaped(name)}", inner) for name, each in node.items())

    def _index(self, node: dict[str, Any], place: str, part: Any) -> Any:
        """Register a schema and its names; returns the part that its inner schemas belong to."""
        name = node.get("$id", node.get("id"))
        if isinstance(name, str) and name.rstrip("#"):
            if not name.startswith("#"):
                part = node
                self._named.setdefault(name.rstrip("#"), node)
            elif not name.startswith("#/"):
                self._anchors.setdefault(name[1:], []).append(node)
        for keyword in _ANCHORS:
            if isinstance(anchor := node.get(keyword), str):
                self._anchors.setdefault(anchor, []).append(node)
        self._places.setdefault(id(node), place)
        self._parts.setdefault(id(node), part)
        return part

    def target(self, node: Mapping[str, Any], reference: str) -> Target | None:
        """What a reference leads to; None if that is nothing, or not a schema.

        Args:
            node: The schema that holds the reference.
            reference: As it stands there.
        """
        document, _, fragment = reference.partition("#")
        fragment = _ESCAPED.sub(_unescaped, fragment)
        for part in self._parts_called(document) if document else self._parts_around(node):
            if not fragment:
                return Target(self._places[id(part)], part)
            found = (
                self._at_pointer(part, fragment) if fragment[0] == "/" else self._at_anchor(part, fragment)
            )
            if found is not None:
                return found
        return None

    def _parts_called(self, document: str) -> Iterable[Any]:
        """The part whose id is the name of a document, or the end of one is the other."""
        exact = self._named.get(document)
        if exact is not None:
            return [exact]
        return [
            part
            for name, part in self._named.items()
            if name.endswith(f"/{document}") or document.endswith(f"/{name}")
        ][:1]

    def _parts_around(self, node: Mapping[str, Any]) -> Iterable[Any]:
        nearest = self._parts.get(id(node), self._root)
        return [nearest] if nearest is self._root else [nearest, self._root]

    def _at_anchor(self, part: Any, name: str) -> Target | None:
        found = self._anchors.get(name, [])
        inside = [node for node in found if self._parts[id(node)] is part] or found
        return Target(self._places[id(inside[0])], inside[0]) if inside else None

    def _at_pointer(self, part: Any, pointer: str) -> Target | None:
        node = part
        for step in pointer.split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and name in node:
                node = node[name]
            elif isinstance(node, list) and _INDEX.fullmatch(name) and int(name) < len(node):
                node = node[int(name)]
            else:
                return None
        if isinstance(node, dict):
            return Target(self._places[id(node)], node)
        return Target(self._places[id(part)] + pointer, node) if isinstance(node, bool) else None


def escaped(name: str) -> str:
    """A name as a step of a JSON pointer."""
    return name.replace("~", "~0").replace("/", "~1")


def reference_to(definition: str) -> str:
    """The reference to a definition of the whole schema, as `modern` writes it.

    Args:
        definition: Its name under `$defs`.
    """
    return _DEFINITION + _UNSAFE.sub(
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")),
        escaped(definition),
    )


def definition_named(reference: str) -> str | None:
    """The name of the definition that a reference leads to; None for any other reference."""
    if not reference.startswith(_DEFINITION):
        return None
    name = _ESCAPED.sub(_unescaped, reference.removeprefix(_DEFINITION))
    return name.replace("~1", "/").replace("~0", "~")


def definition_of(schema: Mapping[str, Any], reference: str) -> Any:
    """What a reference that `modern` has written leads to; None for one that leads to nothing.

    Args:
        schema: The whole schema.
        reference: As it stands there.
    """
    if reference == "#":
        return schema
    name, definitions = definition_named(reference), schema.get("$defs")
    return definitions.get(name) if isinstance(definitions, dict) else None


def _unescaped(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode("utf-8", "replace")
