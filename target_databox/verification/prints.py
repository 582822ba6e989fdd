"""What is kept of a row instead of its values: a digest of it all, and marks of its columns. Pure."""

from __future__ import annotations

import struct
from array import array
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from target_databox.verification.normal import MARK, digest, mark
from target_databox.verification.rules import Rule, variants

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_PAIR: Final = struct.Struct("<HB")
# Columns that are told apart; the digest holds all of them.
MOST_COLUMNS: Final = 20_000
# Whole numbers up to here are exact as doubles.
SMALL: Final = 2**53


class Columns:
    """The columns of a stream's input, each with a number.

    Attributes:
        names: By number.
        numbers: By name.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.numbers: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.names)

    def add(self, names: Iterable[str]) -> None:
        """Number the names that are new."""
        for name in names:
            if name not in self.numbers and len(self.names) < MOST_COLUMNS:
                self.numbers[name] = len(self.names)
                self.names.append(name)

    def marks(self, row: Mapping[str, Any]) -> list[int]:
        """The mark of each column of a row in its normal form, by number; 0 where it has no value."""
        found = [0] * len(self.names)
        numbers = self.numbers
        for name, value in row.items():
            number = numbers.get(name)
            if number is not None:
                found[number] = mark(value)
        return found

    def number(self, name: str) -> int | None:
        """The number of a column; None for one that is not told apart."""
        return self.numbers.get(name)


class Print(NamedTuple):
    """What is kept of a row.

    Attributes:
        whole: The digest of its normal form.
        marks: The marks of its columns, packed.
        shape: Which rules would change which columns, packed; rows often share it.
        variants: The marks of what they would make, packed, in the same order.
    """

    whole: bytes
    marks: bytes
    shape: bytes
    variants: bytes


def print_of(row: Mapping[str, Any], kept: Mapping[str, Any], columns: Columns, zone: dt.tzinfo) -> Print:
    """What is kept of a row of the input.

    Args:
        row: As it is sent.
        kept: The same in its normal form.
        columns: Numbers of columns; those of the row are added.
        zone: The time zone of date-times without an offset.
    """
    numbers = columns.numbers
    if not numbers.keys() >= kept.keys():
        columns.add(kept)
    marks, shape, made = [0] * len(columns), b"", []
    for name, value in kept.items():
        number = numbers.get(name)
        if number is None:
            continue
        kind = type(value)
        if kind is str:
            marks[number] = hash(value) & MARK or 1
            # Most values are texts that no rule changes.
            if value.strip() == value:
                continue
        else:
            marks[number] = mark(value)
            if kind is bool or (kind is int and -SMALL < value < SMALL):
                continue
        for rule, variant in variants(row[name], value, zone):
            shape += _PAIR.pack(number, rule)
            made.append(variant)
    return Print(digest(kept), packed(marks), shape, packed(made))


def packed(marks: list[int]) -> bytes:
    """Marks as bytes."""
    return array("I", marks).tobytes()


def unpacked(marks: bytes) -> Sequence[int]:
    """Marks that were packed."""
    return array("I", marks)


def pairs(shape: bytes) -> Iterator[tuple[int, Rule]]:
    """Which rules would change which columns, by number."""
    for number, rule in _PAIR.iter_unpack(shape):
        yield number, Rule(rule)
