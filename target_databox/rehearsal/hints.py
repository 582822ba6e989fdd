"""Guesses the types of text columns that hold numbers or dates, which Databox could calculate with. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from target_databox.records.conversions import ConversionError, converter

if TYPE_CHECKING:
    from target_databox.records.conversions import Converter

# How people and spreadsheets write dates, beside what `date_time` reads.
_TIMES: Final = ("", " %H:%M", " %H:%M:%S")
_DATES: Final = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y")
_WORDED: Final = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%a, %d %b %Y %H:%M:%S %z")
_TWELVE_HOURS: Final = ("%m/%d/%Y %I:%M %p", "%m/%d/%Y %I:%M:%S %p")
_PATTERNS: Final = (*(d + t for d in _DATES for t in _TIMES), *_TWELVE_HOURS, *_WORDED)

NUMBER: Final = "number"
DATETIME: Final = "datetime"
STRING: Final = "string"
_CONVERTERS: Final[dict[str, Converter]] = {
    column_type: converter(column_type)
    for column_type in (DATETIME, NUMBER, *(f"{DATETIME}:{pattern}" for pattern in _PATTERNS))
}
# Digits that are no quantity: postal codes and the like would lose their zeros, and nobody adds up long ids.
_NAME_IN_DIGITS: Final = re.compile(r"[+-]?0[0-9]|[+-]?[0-9]{16}")
_COMPACT_DATE: Final = re.compile(r"[0-9]{8}")
_LIKELY_YEAR: Final = re.compile(r"(?:19|20)[0-9]{2}")


class Guess:
    """The types that every value of a text column so far could be converted to.

    Args:
        is_key: Whether the column is a key; one that looks like a number stays text.

    Attributes:
        filled: Values that are neither null nor blank.
        blank: Values that are empty text, or blanks.
        is_iso: Whether all others are ISO 8601 as they are sent, with nothing to convert.
    """

    __slots__ = ("_left", "blank", "filled", "is_iso")

    def __init__(self, *, is_key: bool = False) -> None:
        self.filled = 0
        self.blank = 0
        self.is_iso = True
        self._left = [name for name in _CONVERTERS if not (is_key and name == NUMBER)]

    def see(self, value: Any) -> None:
        """Narrow the guess by a value, as it would be sent."""
        if value is None:
            return
        if isinstance(value, str) and not value.strip():
            self.blank += 1
            return
        self.filled += 1
        if not (self.is_iso or self._left):
            return
        # Most date columns hold ISO 8601, so this answers both questions at the cost of one.
        moment = _converted(DATETIME, value)
        self.is_iso = self.is_iso and moment == value
        self._left = [
            name
            for name in self._left
            if (moment if name == DATETIME else _converted(name, value)) is not None
        ]

    @property
    def types(self) -> tuple[str, ...]:
        """Types for `column_types`, both orders of day and month if in doubt; empty if nothing fits."""
        if not self.filled or not self._left:
            return ()
        return tuple(self._left[:1]) if self._left[0] in (DATETIME, NUMBER) else tuple(self._left)

    @property
    def types_of_date(self) -> tuple[str, ...]:
        """Types for a date column whose values are not all dates; empty if they are.

        Every type of date makes empty text null. A column that holds any other text can only be text.
        """
        if self.is_iso:
            return (DATETIME,) if self.blank else ()
        return tuple(name for name in self.types if name.startswith(DATETIME)) or (STRING,)

    @property
    def is_date(self) -> bool:
        """Whether all values could be dates."""
        return any(name.startswith(DATETIME) for name in self.types)


def _converted(name: str, value: Any) -> Any:
    """Text as a value of a type; None if it does not fit, or hardly means one."""
    if not isinstance(value, str):
        return None
    text = value.strip()
    if name == NUMBER and _NAME_IN_DIGITS.match(text):
        return None
    if name == DATETIME and _COMPACT_DATE.fullmatch(text) and not _LIKELY_YEAR.match(text):
        return None
    try:
        return _CONVERTERS[name](text)
    except ConversionError:
        return None
