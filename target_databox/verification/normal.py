"""The normal form of rows: equal for all that counts as equal, whatever way it is written. Pure.

Numbers are compared by value, date-times by instant, text and arrays as they are; null counts as absent.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.records.row_hash import canonical
from target_databox.verification.moments import Instant, instant

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Mapping, Sequence

DIGEST_BYTES: Final = 16
_ENCODER: Final = msgspec.json.Encoder(decimal_format="number", order="sorted")
_KEY: Final = msgspec.json.Decoder(list[Any])


def normal(value: Any, zone: dt.tzinfo | None) -> Any:
    """A value in the form that all equal values share.

    Args:
        value: As decoded from JSON, fractions as Decimal; not null.
        zone: The time zone of date-times without an offset; None for a value that is no date-time.
    """
    if type(value) is str:
        return value if zone is None else instant(value, zone) or value
    return canonical(value)


def normal_row(
    row: Mapping[str, Any], moments: Collection[str], zone: dt.tzinfo, columns: Collection[str] | None = None
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
        if value is None or (columns is not None and name not in columns):
            continue
        if type(value) is str:
            found[name] = (instant(value, zone) or value) if name in moments else value
        else:
            found[name] = canonical(value)
    return found


def digest(row: Mapping[str, Any]) -> bytes:
    """A digest of a row in its normal form: two rows that differ share none."""
    return hashlib.blake2b(_ENCODER.encode(row), digest_size=DIGEST_BYTES).digest()


def key_of(row: Mapping[str, Any], columns: Sequence[str]) -> bytes:
    """The key of a row in its normal form, as JSON."""
    return _ENCODER.encode([row.get(name) for name in columns])


def key_values(key: bytes) -> list[Any]:
    """The values of a key that `key_of` made, fit to be shown."""
    return [
        f"{each['at']}Z" if isinstance(each, dict) and "at" in each else each for each in _KEY.decode(key)
    ]


def mark(value: Any) -> int:
    """A number for a value in its normal form, never 0: it shows which columns differ, and proves nothing.

    It is made with the process's own secret where that matters, so that nobody could guess texts by it.
    """
    kind = type(value)
    if kind is str or kind is Instant:
        found = hash(value)
    elif kind is int:
        # Not its own hash, which numbers share that differ in high bits only; and not that of its text.
        found = hash(b"\0%d" % value)
    else:
        found = hash(b"\0" + _ENCODER.encode(value))
    return found & 0xFFFFFFFF or 1
