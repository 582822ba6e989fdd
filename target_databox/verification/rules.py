"""The ways in which Databox may change all values of a column, each as a rule that can be tried. Pure.

A rule is tried with marks alone: of what the input has, the marks of what the rule would make of it are kept
beside its own, and what comes back is compared with them.
"""

from __future__ import annotations

import datetime as dt
import enum
import math
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, ROUND_HALF_UP, Context, Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.verification.moments import (
    DATE_CHARACTERS,
    SECOND_CHARACTERS,
    Instant,
    to_date,
    to_milliseconds,
    to_seconds,
    without_offset,
)
from target_databox.verification.normal import Number, mark, mark_of_digits, normal

if TYPE_CHECKING:
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
# With a point; so many digits are exact as doubles, and as singles.
_SHORT_DIGITS: Final = 16
_SINGLE_DIGITS: Final = 8
_DIGITS: Final = {Rule.DIGITS_15: Context(prec=15), Rule.SINGLE: Context(prec=7)}
# Values with more digits than this are tried with no rule about digits, since that would take too long.
_MOST_DIGITS: Final = 1_000
_MODES: Final = (ROUND_HALF_UP, ROUND_HALF_EVEN, ROUND_DOWN)
_WIDE: Final = Context(prec=2 * _MOST_DIGITS)
_PARSED: Final = msgspec.json.Decoder(float_hook=Decimal)


def variants(value: Any, kept: Any, zone: dt.tzinfo) -> list[tuple[Rule, int]]:
    """What rules would make of a value of the input, as marks; those that change nothing are left out.

    Args:
        value: As it is sent.
        kept: The same in its normal form.
        zone: The time zone of date-times without an offset.
    """
    kind = type(kept)
    if kind is str:
        trimmed = kept.strip()
        return [] if trimmed == kept else [(Rule.TRIMMED, mark(trimmed))]
    if kind is Instant:
        return _of_moment(value, kept, zone)
    if kind is Number:
        digits = kept.digits
        return _of_short(digits) if len(digits) <= _SHORT_DIGITS and "E" not in digits else _of_number(digits)
    if kind is int and not -_EXACT_DOUBLE <= kept <= _EXACT_DOUBLE:
        return _of_number(str(kept))
    return []


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
            yield Rule.AS_TEXT, mark(normal(_PARSED.decode(value), None))
        except (msgspec.MsgspecError, ArithmeticError, ValueError, RecursionError):
            return
    elif kind is bool:
        yield Rule.AS_BOOLEAN, mark("true" if value else "false")
    elif kind is int:
        yield Rule.AS_NUMBER, mark(str(value))
    elif kind is Number:
        yield Rule.AS_NUMBER, mark(value.digits)


def _of_moment(text: str, moment: Instant, zone: dt.tzinfo) -> list[tuple[Rule, int]]:
    is_plain = text[-1] == "Z" and zone is dt.timezone.utc
    if is_plain and len(moment.at) == SECOND_CHARACTERS:
        # As most taps write them: only the time of day can be lost.
        first = f"{moment.at[:DATE_CHARACTERS]}T00:00:00"
        return [] if first == moment.at else [(Rule.DATES, mark(Instant(first)))]
    return [
        (rule, mark(each))
        for rule, found in (
            (Rule.MILLISECONDS, to_milliseconds(moment)),
            (Rule.SECONDS, to_seconds(moment)),
            (Rule.DATES, to_date(text, moment, zone)),
            (Rule.OFFSET_LOST, set() if is_plain else without_offset(text, moment, zone)),
        )
        for each in found
    ]


def _of_short(digits: str) -> list[tuple[Rule, int]]:
    """What rounding makes of a fraction that a double holds, and that has no exponent."""
    unsigned = digits.lstrip("-")
    sign = "-" if len(unsigned) < len(digits) else ""
    whole, _, fraction = unsigned.partition(".")
    number, places = int(whole + fraction), len(fraction)
    found = []
    if len(unsigned) > _SINGLE_DIGITS:
        found += [(Rule.SINGLE, mark(normal(_DIGITS[Rule.SINGLE].plus(Decimal(digits)), None)))]
    for rule, kept in _DECIMALS.items():
        if kept >= places:
            continue
        cut, rest = divmod(number, 10 ** (places - kept))
        # Cut off or rounded: which of them Databox would do is not known.
        for rounded in (cut, cut + 1) if 2 * rest >= 10 ** (places - kept) else (cut,):
            found.append((rule, mark_of_digits(_written(sign, rounded, kept))))
    return found


def _written(sign: str, number: int, places: int) -> str:
    """The normal form of a number of so many decimals."""
    if not places:
        return f"{sign}{number}" if number else "0"
    text = f"{number:0{places + 1}}"
    whole, fraction = text[:-places], text[-places:].rstrip("0")
    if fraction:
        return f"{sign}{whole}.{fraction}"
    return f"{sign}{whole}" if whole != "0" else "0"


def _of_number(text: str) -> list[tuple[Rule, int]]:
    number = Decimal(text)
    digits, exponent = number.as_tuple().digits, int(number.as_tuple().exponent)
    if len(digits) > _MOST_DIGITS or abs(number.adjusted()) > _MOST_DIGITS:
        return []
    found = []
    double = float(number)
    if math.isfinite(double) and Decimal(repr(double)) != number:
        found.append((Rule.DOUBLE, mark(normal(double, None))))
    for rule, context in _DIGITS.items():
        if len(digits) > context.prec:
            found.append((rule, mark(normal(context.plus(number), None))))
    for rule, places in _DECIMALS.items():
        if -exponent > places:
            # Which of them Databox would use is not known.
            for rounded in {_rounded(number, places, mode) for mode in _MODES}:
                found.append((rule, mark(normal(rounded, None))))
    return found


def _rounded(number: Decimal, places: int, mode: str) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-places), mode, _WIDE)
