"""The columns of a stream: a JSON Schema read as the flat table that a Databox dataset is. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
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
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

DataType = Literal["string", "number", "datetime"]
BooleanFormat = Literal["text", "number", "boolean"]
Path = tuple[str, ...]

_OVERRIDES: Final[dict[str, DataType]] = {"string": "string", "number": "number", "datetime": "datetime"}
_BOOLEAN_KINDS: Final = {"text": STRING, "number": NUMBER, "boolean": BOOLEAN}
# Recursive schemas flatten to a power of their width; nobody can use a table of so many columns.
MOST_COLUMNS: Final = 20_000
MOST_DEPTHS_SHOWN: Final = 8
# Databox's own command-line tool takes no more of a dataset (O).
MOST_ADVISED_COLUMNS: Final = 100
_ROOT: Final[References] = frozenset({"#"})
# `false`, as `modern` writes it.
_NOTHING: Final[dict[str, Any]] = {"not": {}}
_LOWER: Final = re.compile(r"[a-z]")
_WORD_START: Final = re.compile(r"(?:^|_)(.)")


class ColumnError(ValueError):
    """A stream's schema can't become columns; the message names them."""


class ColumnClashError(ColumnError):
    """Two properties of a schema would share one column."""


class KeyColumnError(ColumnError):
    """A key property is not a column."""


@dataclass(frozen=True)
class Column:
    """A column of a stream.

    Attributes:
        name: Its name in Databox.
        data_type: The type that is declared; None where none fits, as for JSON booleans.
        path: Names of the properties that lead to the value; the last one is its own.
        is_mixed: Whether values of several types may arrive; all of them are sent as text then.
        is_nested: Whether the schema has objects or arrays in its arrays; all of them, even empty ones, are
            sent as JSON text then.
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
        max_depth: Levels of objects that are flattened; what is deeper is JSON text.
        separator: Joins the parts of a name.
        max_key_length: Names of this length or more, in characters, are shortened.
    """

    enabled: bool = True
    max_depth: int = 5
    separator: str = "__"
    max_key_length: int = 255

    @property
    def depth(self) -> int:
        """Levels of objects that are flattened, 0 when flattening is off."""
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
    tap_keys: Collection[str] | None = None,
    column_types: Mapping[str, str] | None = None,
    boolean_format: BooleanFormat = "text",
    flattening: Flattening | None = None,
) -> tuple[Column, ...]:
    """The columns of a stream, in the schema's order.

    An object that the schema leaves open has no columns here: its records bring them. A key that the schema
    does not name is such a column, and comes last.

    Args:
        schema: The stream's JSON Schema, as `modern` returns it.
        key_properties: Names that must be columns, flattened ones too.
        tap_keys: Those of them that the tap itself sends, so that records bring them even where the schema
            does not name them; None for all. Others may be misspelt in the settings.
        column_types: Type by column name, as ``Settings.column_types_for`` returns it. An object with a type
            is one column.
        boolean_format: How booleans are sent.
        flattening: How objects become columns.

    Raises:
        ColumnError: The schema's references come to no end, or there would be far too many columns.
        ColumnClashError: Two properties would share a column.
        KeyColumnError: A key property is an object, or a column that the schema does not allow.
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
    objects: dict[str, Path] = {}
    for count, leaf in enumerate(_leaves(schema, flattening, overrides)):
        if count == MOST_COLUMNS:
            raise ColumnError(_too_many(schema, flattening, overrides))
        for depth in range(1, len(leaf.path)):
            objects[flattening.name(leaf.path[:depth])] = leaf.path[:depth]
        name = flattening.name(leaf.path)
        if leaf.is_open:
            objects[name] = leaf.path
            continue
        column = _column(name, leaf, overrides.get(name), boolean_format)
        # Names that differ only in blanks around them look like one column.
        other = found.setdefault(name.strip(), column)
        if other is not column:
            raise ColumnClashError(
                f"The properties {_shown(other.path)} and {_shown(leaf.path)} would both become the column "
                f"{name!r}. Rename one with a stream map, or choose another flattening_separator or "
                "flattening_max_key_length."
            )
    result = tuple(found.values())
    return result + _keys_of_records(schema, result, objects, key_properties, tap_keys, flattening)


def counts_by_depth(
    schema: Mapping[str, Any], flattening: Flattening, column_types: Mapping[str, str] | None = None
) -> dict[int, int]:
    """How many columns a stream would have with each smaller `flattening_max_depth`, the largest first.

    Leaves out depths that change nothing, and those with more than `MOST_COLUMNS`. An object that the schema
    leaves open counts as one.

    Args:
        schema: The stream's JSON Schema, as `modern` returns it.
        flattening: The current settings.
        column_types: Type by column name.
    """
    reader = SchemaReader(schema)
    counts: dict[int, int] = {}
    outer, level = 0, [_Object(schema, (), _ROOT)]
    for depth in range(flattening.depth + 1):
        members = (
            member for each in level for member in _members(reader, each, flattening, column_types or {})
        )
        found = list(islice(members, MOST_COLUMNS + 1 - outer))
        if outer + len(found) > MOST_COLUMNS:
            break
        counts[depth] = outer + len(found)
        level = [member for member in found if isinstance(member, _Object)]
        outer += len(found) - len(level)
    as_it_is = counts.get(flattening.depth)
    return {
        depth: counts[depth]
        for depth in reversed(counts)
        if counts[depth] not in (as_it_is, counts.get(depth - 1))
    }


def open_objects(schema: Mapping[str, Any], flattening: Flattening) -> frozenset[Path]:
    """Paths of objects that are flattened although the schema doesn't name their members.

    Args:
        schema: The stream's JSON Schema.
        flattening: How objects become columns. An object with a type of its own is a column instead.
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
        if len(column.path) == 1:  # a name that is too long is shortened
            names.setdefault(column.path[0], column.name)
    missing = [key for key in key_properties if key not in names]
    if missing:
        raise KeyColumnError(
            f"The key properties {', '.join(map(repr, missing))} are not columns of the stream."
        )
    return tuple(names[key] for key in key_properties)


def _keys_of_records(
    schema: Mapping[str, Any],
    found: tuple[Column, ...],
    objects: Mapping[str, Path],
    key_properties: Sequence[str],
    tap_keys: Collection[str] | None,
    flattening: Flattening,
) -> tuple[Column, ...]:
    """Columns of keys that the schema does not name: the records bring them.

    Args:
        schema: The whole schema.
        found: The columns that it names.
        objects: Every object that is flattened, by the name that its column would have.
        key_properties: Names that must be columns.
        tap_keys: Those of them that the tap itself sends; None for all.
        flattening: How objects become columns.

    Raises:
        KeyColumnError: A key is an object, or nothing says that records bring it.
    """
    beyond = schema.get("additionalProperties")
    is_open = beyond != _NOTHING if beyond is not None else "patternProperties" in schema or not found
    missing = [key for key in key_properties if not _is_column(key, found)]
    for key in missing:
        name = flattening.name((key,))
        if name in objects:
            inner = [each.name for each in found if each.path[: len(objects[name])] == objects[name]]
            example = inner[0] if inner else flattening.name((key, "id"))
            raise KeyColumnError(
                f"The key property {key!r} is an object, which can't be a key. Name a column that it "
                f"becomes, such as {example!r}, in primary_keys, or give {key!r} the type string in "
                "column_types."
            )
        is_brought = any(key.startswith(each + flattening.separator) for each in objects)
        is_vouched_for = beyond != _NOTHING and (tap_keys is None or key in tap_keys)
        if not (is_brought or is_open or is_vouched_for):
            raise KeyColumnError(
                f"The key property {key!r} is not a column of the stream. Name columns of the stream in "
                "primary_keys, [] for none."
            )
    return tuple(Column(flattening.name((key,)), None, (key,)) for key in missing)


def _is_column(key: str, found: Iterable[Column]) -> bool:
    return any(key == column.name or (key,) == column.path for column in found)


def _too_many(schema: Mapping[str, Any], flattening: Flattening, overrides: Mapping[str, str]) -> str:
    counts = counts_by_depth(schema, flattening, overrides)
    what = f"it would become more than {MOST_COLUMNS:,} columns. "
    if not counts:
        return f"{what}Deselect properties in the tap."
    return f"{what}{depths_text(counts)} Or deselect properties in the tap."


def depths_text(counts: Mapping[int, int]) -> str:
    """A sentence with the number of columns for each smaller depth.

    Args:
        counts: The result of ``counts_by_depth``, with at least one entry.
    """
    shown = [f"{count:,} with {depth}" for depth, count in list(counts.items())[:MOST_DEPTHS_SHOWN]]
    return f"A smaller flattening_max_depth makes fewer: {', '.join(shown)}."


class _Object(NamedTuple):
    """An object whose properties become columns, and the references that led to it."""

    schema: Any
    path: Path
    seen: References


class _Leaf(NamedTuple):
    """A property that is not flattened further; ``is_open`` for an object of unknown members."""

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
    """Every property that is not flattened further, in the schema's order."""
    reader = SchemaReader(schema)

    def walk(node: _Object) -> Iterator[_Leaf]:
        for member in _members(reader, node, flattening, overrides):
            if isinstance(member, _Leaf):
                yield member
            else:
                yield from walk(member)

    yield from walk(_Object(schema, (), _ROOT))


def _members(
    reader: SchemaReader, node: _Object, flattening: Flattening, overrides: Mapping[str, str]
) -> Iterator[_Leaf | _Object]:
    """The properties of an object: columns, and objects to flatten in turn."""
    members, seen = reader.properties(node.schema, node.seen)
    for name, schemas in members.items():
        inner = {"anyOf": schemas}
        path = (*node.path, name)
        kinds = reader.kinds(inner)
        is_spread = (
            kinds == {OBJECT} and len(path) <= flattening.depth and flattening.name(path) not in overrides
        )
        # An object within itself has no end: its inner copies become columns as records bring them.
        is_recursive = bool(reader.references(inner) & seen)
        if not is_spread or is_recursive or not reader.properties(inner)[0]:
            yield _Leaf(path, kinds, reader.item_kinds(inner), is_spread)
        else:
            yield _Object(inner, path, seen)


def _shown(path: Path) -> str:
    return " > ".join(map(repr, path))
