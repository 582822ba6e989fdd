"""Turns Singer records into Databox rows: encoded once, with the key of the row that they replace. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.records.columns import Flattening, key_columns, open_objects
from target_databox.records.conversions import (
    ENCODER,
    ConversionError,
    converter,
    encoded,
    in_iso_8601,
    is_iso_8601,
    json_text,
    require_encodable,
    text,
)
from target_databox.records.row_hash import ROW_HASH, row_hash, with_hash

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from target_databox.records.columns import BooleanFormat, Column, Path
    from target_databox.records.conversions import Converter

Key = tuple[Any, ...]

# Values of these types are sent as they are. A Decimal may still be NaN; that is checked afterwards.
_PLAIN: Final = frozenset({str, int, Decimal, type(None)})
_PLAIN_OR_BOOLEAN: Final = _PLAIN | {bool}
_UNKNOWN: Final = {object}
_PLAIN_KEYS: Final = frozenset({str, int, Decimal})
_BOOLEANS: Final[dict[str, tuple[Any, Any]]] = {
    "text": ("false", "true"),
    "number": (0, 1),
    "boolean": (False, True),
}


class BadRecordError(ValueError):
    """A record can't become a row.

    Attributes:
        code: One word for machines: ``key_missing``, ``key_null``, ``key_not_scalar``, ``not_a_number``,
            ``not_a_datetime``, ``nan``, ``unencodable``, ``too_deep`` or ``column_clash``.
        message: A sentence for the user. It names columns, and holds no value.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Encoded(msgspec.Struct, eq=False, gc=False):
    """An encoded row.

    Attributes:
        key: Values of the key columns, equal where Databox would find them equal: ``1`` and ``1.0`` are,
            ``1`` and ``"1"`` are not. None when the stream has no keys.
        body: The row as a JSON object in UTF-8.
    """

    key: Key | None
    body: bytes


@dataclass(slots=True)
class _Leaf:
    """A property with a column of its own."""

    name: str
    convert: Converter | None


@dataclass(slots=True)
class _Branch:
    """An object that is flattened; ``columns`` are those that become null with it."""

    children: dict[str, _Leaf | _Branch] = field(default_factory=dict)
    columns: list[str] = field(default_factory=list)


class RowEncoder:
    """Makes rows of one stream's records.

    Args:
        schema: The stream's JSON Schema.
        columns: The result of ``columns.columns`` for this schema and these settings.
        key_properties: The stream's key properties, empty for a dataset without keys.
        column_types: Type by column name; values of these columns are converted.
        boolean_format: How booleans go out, alone and in arrays. Inside JSON text they stay JSON's.
        flattening: How objects become columns.
        is_hashed: Whether a row's key is its hash.

    Attributes:
        key_columns: Names of the columns that make up the key.
        unlisted: Columns that were converted although the schema does not name them.

    Raises:
        KeyColumnError: A key property is none of the columns.
    """

    def __init__(
        self,
        schema: Mapping[str, Any],
        columns: Sequence[Column],
        key_properties: Sequence[str] = (),
        column_types: Mapping[str, str] | None = None,
        boolean_format: BooleanFormat = "text",
        flattening: Flattening | None = None,
        is_hashed: bool = False,
    ) -> None:
        flattening = flattening or Flattening()
        overrides = column_types or {}
        self._is_hashed = is_hashed
        self.key_columns = key_columns(columns, key_properties)
        self.unlisted: set[str] = set()
        self._only_key = self.key_columns[0] if len(self.key_columns) == 1 and not is_hashed else None
        self._buffer = bytearray()
        self._flattening = flattening
        self._booleans = _BOOLEANS[boolean_format]
        # Compared by identity, hence one object.
        self._as_text: Converter = self._text
        self._texts = tuple(
            column.name
            for column in columns
            if column.data_type == "string" and not column.is_nested and column.name not in overrides
        )
        self._text_kinds = {str, type(None)} | ({bool} if boolean_format == "text" else set())
        self._converters: dict[str, Converter] = {
            **dict.fromkeys(self._texts, self._as_text),
            **{column.name: text for column in columns if column.is_nested},
            **{name: converter(column_type) for name, column_type in overrides.items()},
        }
        self._declared = frozenset(column.name for column in columns)
        self._dates = tuple(
            column.name
            for column in columns
            if column.data_type == "datetime" and column.name not in self._converters
        )
        self._tree = _Branch()
        for path in open_objects(schema, flattening):
            self._branch(path)
        for column in columns:
            branch = self._branch(column.path[:-1])
            branch.children[column.path[-1]] = _Leaf(column.name, self._converters.get(column.name))
            for depth in range(1, len(column.path)):
                self._branch(column.path[:depth]).columns.append(column.name)
        # With nothing to convert or flatten, a record of plain values is a row already.
        self._is_flat = not any(column.is_mixed or column.is_nested for column in columns) and not overrides
        self._is_flat &= all(isinstance(node, _Leaf) for node in self._tree.children.values())

    def encode(
        self,
        record: dict[str, Any],
        *,
        is_json: bool = False,
        fits: bool = False,
        unhashed: Collection[str] = (),
    ) -> Encoded:
        """The row of a record; the record is not changed.

        Args:
            record: Decoded with its fractions as Decimal, so that every digit is there. Python's own
                floats, dates and times, as stream maps make them, are understood too.
            is_json: Whether the record is as it was decoded, so that no number in it can be NaN.
            fits: Whether it fits its schema, so that text columns hold only text.
            unhashed: Columns that don't count in the row's hash.

        Raises:
            BadRecordError: The record can't become a row.
        """
        is_flat = (
            self._is_flat and self._declared.issuperset(record) and (fits or self._has_text_as_text(record))
        )
        kinds = set(map(type, record.values())) if is_flat else _UNKNOWN
        if kinds <= _PLAIN:
            row = record
        elif kinds <= _PLAIN_OR_BOOLEAN:
            row = record.copy()
            for name, value in record.items():
                if value is True or value is False:
                    row[name] = self._booleans[value]
        else:
            row = {}
            self._spread(record, self._tree, (), row)
        for name in self._dates:
            value = row.get(name)
            if type(value) is str and not is_iso_8601(value) and (written := in_iso_8601(value)) != value:
                row = {**row, name: written}
        try:
            # Through a buffer: the bytes that `encode` returns may hold half as much memory again.
            ENCODER.encode_into(row, self._buffer)
        except (UnicodeEncodeError, TypeError, ValueError, RecursionError):
            raise self._blamed(row) from None  # the cause may quote a value
        body = bytes(self._buffer)
        # A Decimal that is NaN is written as this bare word; text that holds the word is fine. Looking for
        # the single letters first is several times faster.
        if not is_json and (b"N" in body or b"I" in body) and (b"NaN" in body or b"Infinity" in body):
            for name, value in row.items():
                self._checked(name, value)
        if self._only_key is not None:
            value = row.get(self._only_key)
            return Encoded(
                (value if type(value) in _PLAIN_KEYS else self._key_value(row, self._only_key),), body
            )
        if self._is_hashed:
            return _hashed(row, body, unhashed)
        if not self.key_columns:
            return Encoded(None, body)
        values = [row.get(name) for name in self.key_columns]
        if not _PLAIN_KEYS.issuperset(map(type, values)):
            values = [self._key_value(row, name) for name in self.key_columns]
        return Encoded(tuple(values), body)

    def _branch(self, path: Path) -> _Branch:
        """The branch at a path, created where it is missing."""
        branch = self._tree
        for name in path:
            node = branch.children.get(name)
            if not isinstance(node, _Branch):
                node = branch.children[name] = _Branch()
            branch = node
        return branch

    def _spread(
        self, record: dict[str, Any], branch: _Branch | None, path: Path, row: dict[str, Any]
    ) -> None:
        """Add an object's values to a row, those of the objects within it too."""
        children = branch.children if branch is not None else {}
        booleans, as_text = self._booleans, self._as_text
        for name, value in record.items():
            kind = type(value)
            node = children.get(name)
            convert: Converter | None
            if isinstance(node, _Leaf):
                column, convert = node.name, node.convert
            else:
                if node is not None and value is None:
                    for inner in node.columns:
                        if inner in row:
                            raise _clash(inner)
                        row[inner] = None
                    continue
                column = self._flattening.name((*path, name))
                if kind is dict and (node is not None or self._is_spread(column, path)):
                    self._spread(value, node, (*path, name), row)
                    continue
                convert = self._converters.get(column)
                if convert is not None and column not in self._declared:
                    self.unlisted.add(column)
            if convert is as_text and (kind is str or value is None):
                pass
            elif convert is not None:
                try:
                    value = convert(value)
                except ConversionError as problem:
                    raise _bad(column, problem) from problem
            elif kind not in _PLAIN:
                value = booleans[value] if kind is bool else self._fitting(column, value)
            if column in row:
                raise _clash(column)
            row[column] = value

    def _is_spread(self, column: str, path: Path) -> bool:
        """Whether to flatten an object that the schema doesn't name: yes, unless a column has its name."""
        return (
            len(path) < self._flattening.depth
            and column not in self._declared
            and column not in self._converters
        )

    def _fitting(self, column: str, value: Any) -> Any:
        """A value of any other type, as it is sent."""
        try:
            if isinstance(value, dict):
                return json_text(value)
            if isinstance(value, (list, tuple)):
                return self._array(value)
            require_encodable(value)
        except ConversionError as problem:
            raise _bad(column, problem) from problem
        return value

    def _array(self, values: Sequence[Any]) -> Any:
        """An array of scalars as an array, any other as JSON text."""
        if any(isinstance(value, (dict, list, tuple, set, frozenset)) for value in values):
            return json_text(values)
        for value in values:
            require_encodable(value)
        return [self._booleans[value] if isinstance(value, bool) else value for value in values]

    def _text(self, value: Any) -> Any:
        """A value of a string column as text, whatever its schema says and the tap sends."""
        return self._array(value) if isinstance(value, (list, tuple)) else text(value)

    def _has_text_as_text(self, record: dict[str, Any]) -> bool:
        """Whether the values of all string columns are text already."""
        return all(type(record.get(name)) in self._text_kinds for name in self._texts)

    def _key_value(self, row: dict[str, Any], name: str) -> Any:
        """A key column's value in a form that Python compares as Databox does."""
        value = row.get(name)
        kind = type(value)
        if value is None:
            if name in row:
                raise BadRecordError("key_null", f"The key column {_safe(name)} is null.")
            raise BadRecordError("key_missing", f"The key column {_safe(name)} is missing.")
        if kind in _PLAIN_KEYS:
            return value
        if isinstance(value, bool):
            return ("boolean", value)  # Python takes True for 1
        if isinstance(value, float):
            return Decimal(repr(value))  # as it is written
        if isinstance(value, (list, dict)):
            raise BadRecordError("key_not_scalar", f"The key column {_safe(name)} holds an array.")
        return msgspec.json.decode(encoded(value))

    def _checked(self, name: str, value: Any) -> None:
        try:
            require_encodable(value)
        except ConversionError as problem:
            raise _bad(name, problem) from problem

    def _blamed(self, row: dict[str, Any]) -> BadRecordError:
        """The error for a row that can't be encoded, which names the column at fault."""
        for name, value in row.items():
            try:
                encoded({name: value})
            except ConversionError as problem:
                return _bad(name, problem)
        return BadRecordError("unencodable", "The record can't be written as JSON.")


def _hashed(row: Mapping[str, Any], body: bytes, unhashed: Collection[str]) -> Encoded:
    """The row with its hash as its key."""
    if ROW_HASH in row:
        raise BadRecordError(
            "column_clash", f"The record has a column '{ROW_HASH}' itself, which keyless_streams hash adds."
        )
    digits = row_hash(row, unhashed)
    return Encoded((digits,), with_hash(body, digits))


def _clash(column: str) -> BadRecordError:
    return BadRecordError(
        "column_clash", f"Two properties of the record would both become the column {_safe(column)}."
    )


def _bad(column: str, problem: ConversionError) -> BadRecordError:
    return BadRecordError(problem.code, f"The column {_safe(column)} {problem.reason}.")


def _safe(name: str) -> str:
    """A column's name in quotes, printable even with lone surrogates in it."""
    return repr(name.encode("utf-8", "backslashreplace").decode())
