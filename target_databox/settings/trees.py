"""Reads objects of settings, which files, Meltano and the environment nest or dot as they like.

Names of streams may hold dots themselves, so `a.b.c` has more than one reading; each function says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from target_databox.settings.values import ValueProblemError

if TYPE_CHECKING:
    from target_databox.settings.values import Tree


def entries(name: str, kind: Tree, tree: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """The entries of an object by stream, nested or dotted.

    Args:
        name: The setting.
        kind: Its kind; `entry` is set.
        tree: The object, nested, dotted or both.
        problems: A sentence is added for each entry that can't be used.

    Returns:
        Entry by stream, or by stream, dot and column.
    """
    read: dict[str, Any] = {}
    for path, value in flattened(tree).items():
        if kind.by_column and "." not in path:
            problems.append(
                f'{name}.{path} must be an object from column to type, such as {{"amount": "number"}}.'
            )
            continue
        try:
            read[path] = kind.entry.read(value) if kind.entry else value
        except ValueProblemError as problem:
            problems.append(f"{name}.{path} {problem}.")
    return read


def flattened(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """An object of objects as one of dotted paths: ``{"a": {"b": 1}, "c.d": 2}`` gives ``a.b`` and ``c.d``.

    Meltano passes either form, and makes nested objects of names that hold dots. Nulls are left out: Meltano
    passes them for what is not set.

    Args:
        tree: Objects in objects.
        prefix: Path of the tree, with a dot at its end.
    """
    paths: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            paths.update(flattened(value, f"{prefix}{name}."))
        elif value is not None:
            paths[f"{prefix}{name}"] = value
    return paths


def nested_stream_maps(stream_maps: Mapping[str, Any]) -> dict[str, Any]:
    """Stream maps in any form (``orders.total``, stream ``a.b`` as object in object) as the SDK needs them.

    A dotted name is split at its last dot where its value can only be a property's: an expression, a list of
    keys, or a keyword of the SDK such as ``__alias__``. A null or ``__NULL__`` under any other name removes a
    stream, whose name may hold dots.

    Args:
        stream_maps: The setting, nested, dotted, or both.
    """
    nested: dict[str, Any] = {}
    for name, value in stream_maps.items():
        if isinstance(value, Mapping):
            _nest(nested, name, value)
            continue
        stream, dot, member = name.rpartition(".")
        is_word = member.startswith("__") and member.endswith("__")
        if dot and (is_word or (isinstance(value, (str, list)) and value != "__NULL__")):
            _nest(nested, stream, {member: value})
        else:
            nested[name] = value
    return nested


def _nest(nested: dict[str, Any], stream: str, members: Mapping[str, Any]) -> None:
    """Add a stream's members; a member that is an object is the rest of a stream's name."""
    plain = {name: value for name, value in members.items() if not isinstance(value, Mapping)}
    if plain or not members:
        known = nested.get(stream)
        nested[stream] = {**known, **plain} if isinstance(known, dict) else plain
    for name, value in members.items():
        if isinstance(value, Mapping):
            _nest(nested, f"{stream}.{name}", value)
