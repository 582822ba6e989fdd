"""The normal form of rows: equal for all that counts as equal, whatever way it is written. Pure.

Numbers are compared by value, date-times by instant, text and arrays as they are; null counts as absent.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.records.row_hash import LARGE, canonical
from target_databox.verification.moments import Instant, instant

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

DIGEST_BYTES: Final = 16
MARK: Final = 0xFFFFFFFF
# Fractions as short as this lose nothing but zeros at their end on the way to their normal form.
MOST_PLAIN_DIGITS: Final = 30
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")
_KEY: Final = msgspec.json.Decoder(list[Any])


class Number(msgspec.Struct, frozen=True):
    """A number that is not whole, or very large.

    Attributes:
        digits: All of them, in one way to write them.
    """

    digits: str


def normal(value: Any, zone: dt.tzinfo | None) -> Any:
    """A value in the form that all equal values share.

    Args:
        value: As decoded from JSON, fractions as Decimal; not null.
        zone: The time zone of date-times without an offset; None for a value that is no date-time.
    """
    kind = type(value)
    if kind is str:
        return value if zone is None else instant(value, zone) or value
    if (kind is int and -LARGE < value < LARGE) or kind is bool:
        return value
    if kind is Decimal:
        # Most fractions are short, and their text says all.
        digits = str(value)
        if len(digits) <= MOST_PLAIN_DIGITS and "." in digits and "E" not in digits:
            digits = digits.rstrip("0")
            return Number(digits) if digits[-1] != "." else int(digits[:-1])
    found = canonical(value)
    return Number(str(found)) if type(found) is Decimal else found


def normal_row(
    row: Mapping[str, Any],
    moments: Collection[str],
    zone: dt.tzinfo,
    columns: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """A row in the form that all equal rows share.

    Args:
        row: Value by column.
        moments: Columns of date-times.
        zone: The time zone of date-times without an offset.
        columns: Columns that count; None for all.
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        kind = type(value)
        if kind is str:
            found[name] = (instant(value, zone) or value) if name in moments else value
        elif kind is bool or (kind is int and -LARGE < value < LARGE):
            found[name] = value
        elif value is not None:
            found[name] = normal(value, None)
    if columns is not None and not found.keys() <= columns.keys():
        return {name: value for name, value in found.items() if name in columns}
    return found


def digest(row: Mapping[str, Any]) -> bytes:
    """A digest of a row in its normal form: two rows that differ share none."""
    return hashlib.blake2b(_ENCODER.encode(row), digest_size=DIGEST_BYTES).digest()


def key_of(row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
    """The key of a row in its normal form, as JSON."""
    return _ENCODER.encode([row.get(name) for name in columns])


def key_parts(key: bytes) -> list[Any]:
    """The values of a key that `key_of` made, in their normal form."""
    return [_part(each) for each in _KEY.decode(key)]


def key_values(key: bytes) -> list[Any]:
    """The values of a key that `key_of` made, fit to be shown."""
    return [_shown(each) for each in key_parts(key)]


def mark(value: Any) -> int:
    """A number for a value in its normal form, never 0: it shows which columns differ, and proves nothing.

    It is made with the process's own secret, so that nobody could guess texts by it.
    """
    kind = type(value)
    if kind is str or kind is Instant:
        return hash(value) & MARK or 1
    if kind is int:
        # Not its own hash, which numbers share that differ in high bits only; and not that of its text.
        return mark_of_digits(str(value))
    if kind is Number:
        return mark_of_digits(value.digits)
    return hash(b"\1" + _ENCODER.encode(value)) & MARK or 1


def mark_of_digits(digits: str) -> int:
    """The mark of a number that is written as its normal form is."""
    return hash(f"\0{digits}") & MARK or 1


def _part(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return Instant(value["at"]) if "at" in value else Number(value["digits"])


def _shown(value: Any) -> Any:
    if type(value) is Instant:
        return f"{value.at}Z"
    return Decimal(value.digits) if type(value) is Number else value
