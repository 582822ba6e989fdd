"""The ways in which Databox may change all values of a column, each as a rule that can be tried. Pure.

A rule is tried with marks alone: of what the input has, the marks of what the rule would make of it are kept
beside its own, and what comes back is compared with them.
"""

from __future__ import annotations

import enum
import math
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.records.row_hash import canonical
from target_databox.verification.moments import (
    Instant,
    to_date,
    to_milliseconds,
    to_seconds,
    without_offset,
)
from target_databox.verification.normal import mark

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator


class Rule(enum.IntEnum):
    """A way to change values; of several that fit the first one is named."""

    ABSENT = 0
    EMPTY_AS_NULL = 1
    TRIMMED = 2
    AS_TEXT = 3
    AS_NUMBER = 4
    AS_BOOLEAN = 5
    DOUBLE = 6
    DIGITS_15 = 7
    DECIMALS_6 = 8
    DECIMALS_4 = 9
    DECIMALS_3 = 10
    DECIMALS_2 = 11
    DECIMALS_1 = 12
    DECIMALS_0 = 13
    SINGLE = 14
    MILLISECONDS = 15
    SECONDS = 16
    DATES = 17
    OFFSET_LOST = 18


_DECIMALS: Final = {
    Rule.DECIMALS_6: 6,
    Rule.DECIMALS_4: 4,
    Rule.DECIMALS_3: 3,
    Rule.DECIMALS_2: 2,
    Rule.DECIMALS_1: 1,
    Rule.DECIMALS_0: 0,
}
# What each is called in a report.
WORDS: Final[dict[Rule, str]] = {
    Rule.ABSENT: "it never comes back: hidden or filtered in Databox, or not stored",
    Rule.EMPTY_AS_NULL: "empty texts come back as null",
    Rule.TRIMMED: "texts come back trimmed: blanks around them are gone",
    Rule.AS_TEXT: "values come back as text",
    Rule.AS_NUMBER: "texts come back as numbers",
    Rule.AS_BOOLEAN: "texts come back as booleans",
    Rule.DOUBLE: "numbers come back rounded to doubles (about 16 digits)",
    Rule.DIGITS_15: "numbers lost precision: 15 digits come back",
    **{
        rule: f"numbers come back rounded to {'whole numbers' if not digits else f'{digits} decimals'}"
        for rule, digits in _DECIMALS.items()
    },
    Rule.SINGLE: "numbers lost precision: 7 digits come back",
    Rule.MILLISECONDS: "date-times come back with milliseconds only",
    Rule.SECONDS: "date-times come back without fractions of a second",
    Rule.DATES: "date-times come back as dates",
    Rule.OFFSET_LOST: "date-times come back at another instant: their offset is lost",
}
WORDS[Rule.DECIMALS_1] = "numbers come back rounded to 1 decimal"

EMPTY: Final = mark("")
_EXACT_DOUBLE: Final = 2**53
_DIGITS: Final = {Rule.DIGITS_15: Context(prec=15), Rule.SINGLE: Context(prec=7)}
# Values with more digits than this are tried with no rule about digits, since that would take too long.
_MOST_DIGITS: Final = 1_000
_WIDE: Final = Context(prec=2 * _MOST_DIGITS)
_PARSED: Final = msgspec.json.Decoder(float_hook=Decimal)


def variants(value: Any, kept: Any, zone: dt.tzinfo) -> Iterator[tuple[Rule, int]]:
    """What rules would make of a value of the input, as marks; those that change nothing are left out.

    Args:
        value: As it is sent.
        kept: The same in its normal form.
        zone: The time zone of date-times without an offset.
    """
    kind = type(kept)
    if kind is str:
        trimmed = kept.strip()
        if trimmed != kept:
            yield Rule.TRIMMED, mark(trimmed)
    elif kind is Instant:
        yield from _of_moment(value, kept, zone)
    elif kind is Decimal or (kind is int and not -_EXACT_DOUBLE <= kept <= _EXACT_DOUBLE):
        yield from _of_number(Decimal(kept))


def alternatives(value: Any) -> Iterator[tuple[Rule, int]]:
    """What a value that came back may have been, as marks.

    Args:
        value: In its normal form.
    """
    kind = type(value)
    if kind is str:
        if value[:1].isspace() or not value or len(value) > _MOST_DIGITS:
            return
        try:
            yield Rule.AS_TEXT, mark(canonical(_PARSED.decode(value)))
        except (msgspec.MsgspecError, ArithmeticError, ValueError, RecursionError):
            return
    elif kind is bool:
        yield Rule.AS_BOOLEAN, mark("true" if value else "false")
    elif kind is int:
        yield Rule.AS_NUMBER, mark(str(value))
    elif kind is Decimal:
        yield Rule.AS_NUMBER, mark(format(value, "f") if abs(value.adjusted()) < _MOST_DIGITS else str(value))


def _of_moment(text: str, moment: Instant, zone: dt.tzinfo) -> Iterator[tuple[Rule, int]]:
    for rule, found in (
        (Rule.MILLISECONDS, to_milliseconds(moment)),
        (Rule.SECONDS, to_seconds(moment)),
        (Rule.DATES, to_date(text, moment, zone)),
        (Rule.OFFSET_LOST, without_offset(text, moment, zone)),
    ):
        for each in found:
            yield rule, mark(each)


def _of_number(number: Decimal) -> Iterator[tuple[Rule, int]]:
    digits, exponent = number.as_tuple().digits, int(number.as_tuple().exponent)
    if len(digits) > _MOST_DIGITS or abs(number.adjusted()) > _MOST_DIGITS:
        return
    double = float(number)
    if math.isfinite(double) and Decimal(repr(double)) != number:
        yield Rule.DOUBLE, mark(canonical(double))
    for rule, context in _DIGITS.items():
        if len(digits) > context.prec:
            yield rule, mark(canonical(context.plus(number)))
    for rule, places in _DECIMALS.items():
        if -exponent > places:
            # Which of them Databox would use is not known.
            for rounded in {
                _rounded(number, places, mode) for mode in (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)
            }:
                yield rule, mark(canonical(rounded))


def _rounded(number: Decimal, places: int, mode: str) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), mode, _WIDE)
