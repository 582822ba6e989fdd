"""The columns of a stream: a JSON Schema read as the flat table that a Databox dataset is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from target_databox.records.expansion import ENDLESS, Expansion
from target_databox.records.schemas import (
    ANY,
    ARRAY,
    BOOLEAN,
    DATETIME,
    NUMBER,
    OBJECT,
    STRING,
    Kinds,
    References,
    SchemaReader,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

DataType = Literal["string", "number", "datetime"]
BooleanFormat = Literal["text", "number", "boolean"]
Path = tuple[str, ...]

_OVERRIDES: Final[dict[str, DataType]] = {"string": "string", "number": "number", "datetime": "datetime"}
_BOOLEAN_KINDS: Final = {"text": STRING, "number": NUMBER, "boolean": BOOLEAN}
# Recursive schemas flatten to a power of their width; a table of so many columns is of no use to anybody.
MOST_COLUMNS: Final = 20_000
_LOWER: Final = re.compile(r"[a-z]")
_WORD_START: Final = re.compile(r"(?:^|_)(.)")


class ColumnError(ValueError):
    """A stream's schema can't become columns; the message names them."""


class ColumnClashError(ColumnError):
    """Two properties of a schema would share one column."""


class KeyColumnError(ColumnError):
    """A key property is no column."""


@dataclass(frozen=True)
class Column:
    """A column of a stream.

    Attributes:
        name: The name under which values go out.
        data_type: The type that is declared; None where none fits, as for JSON booleans.
        path: Names of the properties that lead to the value; the last one is its own.
        is_mixed: Whether values of several types may come, so that they must be made text to fit.
        is_nested: Whether its arrays hold objects or arrays by the schema, so that all of them, empty ones
            too, are made JSON text to fit.
    """

    name: str
    data_type: DataType | None
    path: Path = ()
    is_mixed: bool = False
    is_nested: bool = False


@dataclass(frozen=True)
class Flattening:
    """How objects become columns.

    Attributes:
        enabled: Whether they do; else they are JSON text.
        max_depth: Levels of objects that are spread; what is deeper is JSON text.
        separator: What stands between the parts of a name.
        max_key_length: Names of this length or more are shortened; in characters.
    """

    enabled: bool = True
    max_depth: int = 5
    separator: str = "__"
    max_key_length: int = 255

    @property
    def depth(self) -> int:
        """Levels of objects that are spread, 0 when flattening is off."""
        return self.max_depth if self.enabled else 0

    def name(self, path: Sequence[str]) -> str:
        """The column of a path, as the SDK's ``flatten_key`` makes it.

        Args:
            path: Names of properties from the outermost to the value's own.
        """
        full = self.separator.join(path)
        if len(full) < self.max_key_length or not self.enabled:
            return full
        parts = list(path)
        for index, part in enumerate(path):
            if len(self.separator.join(parts)) < self.max_key_length:
                break
            camel = _WORD_START.sub(lambda match: match.group(1).upper(), part)
            capitals = _LOWER.sub("", camel)
            parts[index] = (capitals if len(capitals) > 1 else part[:3]).lower()
        return self.separator.join(parts)


def columns(
    schema: Mapping[str, Any],
    *,
    key_properties: Sequence[str] = (),
    column_types: Mapping[str, str] | None = None,
    boolean_format: BooleanFormat = "text",
    flattening: Flattening | None = None,
) -> tuple[Column, ...]:
    """The columns of a stream, in the schema's order.

    An object that the schema leaves open has no columns here: what it brings becomes columns when it comes.

    Args:
        schema: The stream's JSON Schema, as in its SCHEMA message.
        key_properties: Names that must be columns, flattened ones too.
        column_types: Type by column name, as ``Settings.column_types_for`` gives it. An object that is
            given a type is one column.
        boolean_format: How booleans go out.
        flattening: How objects become columns.

    Raises:
        ColumnError: The schema's references come to no end, or there would be far too many columns.
        ColumnClashError: Two properties would share a column.
        KeyColumnError: A key property is no column.
    """
    flattening = flattening or Flattening()
    overrides = column_types or {}
    try:
        is_endless = Expansion(schema).is_endless
    except RecursionError:
        raise ColumnError("it is nested too deeply.") from None
    if is_endless:
        raise ColumnError(ENDLESS)
    found: dict[str, Column] = {}
    for leaf in _leaves(schema, flattening, overrides):
        if leaf.is_open:
            continue
        name = flattening.name(leaf.path)
        column = _column(name, leaf, overrides.get(name), boolean_format)
        if len(found) == MOST_COLUMNS:
            raise ColumnError(
                f"it would become more than {MOST_COLUMNS:,} columns. Set flattening_max_depth lower, or "
                "deselect properties in the tap."
            )
        # Names that differ in blanks around them would look like one column to everybody.
        other = found.setdefault(name.strip(), column)
        if other is not column:
            raise ColumnClashError(
                f"The properties {_shown(other.path)} and {_shown(leaf.path)} would both become the column "
                f"{name!r}. Rename one with a stream map, or choose another flattening_separator or "
                "flattening_max_key_length."
            )
    result = tuple(found.values())
    _require_keys(result, key_properties)
    return result


def open_objects(schema: Mapping[str, Any], flattening: Flattening) -> frozenset[Path]:
    """Paths of objects whose members the schema doesn't name, and which are flattened as they come.

    Args:
        schema: The stream's JSON Schema.
        flattening: How objects become columns; where an object is given a type, it is a column instead.
    """
    leaves = _leaves(schema, flattening, {})
    return frozenset(leaf.path for leaf in leaves if leaf.is_open)


def key_columns(all_columns: Iterable[Column], key_properties: Iterable[str]) -> tuple[str, ...]:
    """Names of the columns that the key properties became, in the order of the key properties.

    Args:
        all_columns: What ``columns`` gave.
        key_properties: Names of properties or of flattened columns.

    Raises:
        KeyColumnError: A key property is none of the columns.
    """
    names: dict[str, str] = {}
    for column in all_columns:
        names[column.name] = column.name
        if len(column.path) == 1:  # a name that was too long goes out shortened
            names.setdefault(column.path[0], column.name)
    missing = [key for key in key_properties if key not in names]
    if missing:
        raise KeyColumnError(
            f"The key properties {', '.join(map(repr, missing))} are no columns of the stream."
        )
    return tuple(names[key] for key in key_properties)


def _require_keys(found: tuple[Column, ...], key_properties: Sequence[str]) -> None:
    try:
        key_columns(found, key_properties)
    except KeyColumnError as exc:
        names = {column.path[0] for column in found if len(column.path) > 1}
        hint = (
            "An object can't be a key: name one of its columns in primary_keys, or give it the type string "
            "in column_types."
            if names.intersection(key_properties)
            else "Name columns of the stream in primary_keys, [] for none."
        )
        raise KeyColumnError(f"{exc} {hint}") from exc


class _Leaf(NamedTuple):
    """A property that is spread no further; ``is_open`` when it is an object of unknown members."""

    path: Path
    kinds: Kinds
    item_kinds: Kinds
    is_open: bool


def _column(name: str, leaf: _Leaf, override: str | None, boolean_format: BooleanFormat) -> Column:
    path = leaf.path
    if override is not None:
        return Column(name, _OVERRIDES[override.partition(":")[0]], path)
    types = {_BOOLEAN_KINDS[boolean_format] if kind == BOOLEAN else kind for kind in leaf.kinds}
    if types == {NUMBER}:
        return Column(name, "number", path)
    if types == {DATETIME}:
        return Column(name, "datetime", path)
    if types == {BOOLEAN}:
        return Column(name, None, path)
    return Column(
        name,
        "string",
        path,
        is_mixed=bool(types & {NUMBER, BOOLEAN, ANY}),
        is_nested=bool(leaf.item_kinds & {OBJECT, ARRAY}),
    )


def _leaves(
    schema: Mapping[str, Any], flattening: Flattening, overrides: Mapping[str, str]
) -> Iterator[_Leaf]:
    """Every property that is spread no further, in the schema's order."""
    reader = SchemaReader(schema)

    def walk(node: Any, path: Path, seen: References) -> Iterator[_Leaf]:
        members, seen = reader.properties(node, seen)
        for name, schemas in members.items():
            inner = {"anyOf": schemas}
            inner_path = (*path, name)
            kinds = reader.kinds(inner)
            is_spread = (
                kinds == {OBJECT}
                and len(inner_path) <= flattening.depth
                and flattening.name(inner_path) not in overrides
            )
            # An object within itself has no end: its inner copies are taken as they come.
            is_recursive = bool(reader.references(inner) & seen)
            if not is_spread or is_recursive or not reader.properties(inner)[0]:
                yield _Leaf(inner_path, kinds, reader.item_kinds(inner), is_spread)
            else:
                yield from walk(inner, inner_path, seen)

    yield from walk(schema, (), frozenset({"#"}))


def _shown(path: Path) -> str:
    return " > ".join(map(repr, path))
