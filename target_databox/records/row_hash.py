"""The key of rows without keys: a hash of what they hold, so that equal rows are one.

Rows are equal when their columns hold equal values as they are sent: after conversions, as text, numbers,
booleans and arrays. The order of columns doesn't matter. A null column counts as absent, so a column that a
tap adds later and leaves null changes no older row. Numbers are compared by value: 1, 1.0 and 1e0 are one; 1
and "1" are not. Text is compared as it is, dates and JSON text too.

Datasets hold these hashes, so they may never change: the tests hold some of them.
"""

from __future__ import annotations

import hashlib
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.records.columns import Column, ColumnError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

ROW_HASH: Final = "_row_hash"
HASH_DIGITS: Final = 32
_COLUMN: Final = Column(ROW_HASH, "string", (ROW_HASH,))

# Names in order, at every level.
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")
# Whole numbers below this are written in full, larger ones and fractions by digits and exponent.
_LARGE_DIGITS: Final = 40
LARGE: Final = 10**_LARGE_DIGITS
_EXACT: Final = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def with_row_hash(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns of a stream and that of the hash.

    Raises:
        ColumnError: The stream has a column of that name.
    """
    if any(column.name.strip() == ROW_HASH for column in columns):
        raise ColumnError(
            f"it has a column {ROW_HASH} itself, which keyless_streams hash would add. Make it the key with "
            "primary_keys, rename it with a stream map, or set keyless_streams to append."
        )
    return (*columns, _COLUMN)


def row_hash(row: Mapping[str, Any], leave_out: Collection[str] = ()) -> str:
    """The hash of a row: the first 32 digits of the SHA-256 of its values as JSON, nulls left out.

    Args:
        row: Value by column, as it is sent; no NaN or infinity in it.
        leave_out: Columns that don't count.
    """
    values = {
        name: value if type(value) is str else canonical(value)
        for name, value in row.items()
        if value is not None and name not in leave_out
    }
    return hashlib.sha256(_ENCODER.encode(values)).hexdigest()[:HASH_DIGITS]


def with_hash(body: bytes, digits: str) -> bytes:
    """An encoded row with its hash as the last column.

    Args:
        body: A JSON object.
        digits: What `row_hash` gave.
    """
    comma = b"," if len(body) > len(b"{}") else b""
    return b'%b%b"%b":"%b"}' % (body[:-1], comma, ROW_HASH.encode(), digits.encode())


def canonical(value: Any) -> Any:
    """A value in the form that all equal values share."""
    if type(value) is int and -LARGE < value < LARGE:
        return value
    if isinstance(value, (list, tuple)):
        return [canonical(each) for each in value]
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return value
    exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not exact:
        return 0
    if exact.adjusted() < _LARGE_DIGITS and exact == exact.to_integral_value():
        return int(exact)
    return exact.normalize(_EXACT)
