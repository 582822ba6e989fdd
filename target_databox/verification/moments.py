"""Date-times as instants, so that two ways to write one moment are equal. Pure."""

from __future__ import annotations

import datetime as dt
import functools
import re
from typing import Final

import msgspec

# The form in which most date-times come, whose instant can be read off.
_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?Z", re.ASCII).fullmatch
_ISO_8601: Final = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[Tt ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d+))?)?(?: ?([Zz]|[+-]\d\d(?::?\d\d)?))?)?",
    re.ASCII,
).fullmatch
# `2024-01-31T10:20:30`: what comes behind is the fraction of a second.
SECOND_CHARACTERS: Final = 19
DATE_CHARACTERS: Final = 10


class Instant(msgspec.Struct, frozen=True):
    """A moment.

    Attributes:
        at: ISO 8601 in UTC without offset; the fraction of a second has every digit but zeros at its end.
    """

    at: str


def instant(text: str, zone: dt.tzinfo) -> Instant | None:
    """The moment that a text means; None if it is no ISO 8601 date or date-time.

    Args:
        text: A date is its first moment.
        zone: The time zone of a text without an offset.
    """
    if _UTC(text):
        return Instant(text[:-1] if len(text) == SECOND_CHARACTERS + 1 else text[:-1].rstrip("0").rstrip("."))
    return _instant(text, zone)


@functools.lru_cache(maxsize=4096)
def _instant(text: str, zone: dt.tzinfo) -> Instant | None:
    match = _ISO_8601(text)
    if match is None:
        return None
    date, minutes, seconds, fraction, offset = match.groups()
    try:
        moment = dt.datetime.fromisoformat(f"{date}T{minutes or '00:00'}:{seconds or '00'}")
        if offset is None:
            moment = moment.replace(tzinfo=zone).astimezone(dt.timezone.utc).replace(tzinfo=None)
        elif offset not in {"Z", "z"}:
            moment -= _offset(offset)
    except (ValueError, OverflowError):
        return None
    return Instant(_with_fraction(moment, (fraction or "").rstrip("0")))


def is_elsewhere(text: str) -> bool:
    """Whether a date-time is written with an offset other than that of UTC."""
    if text[-1:] == "Z":
        return False
    offset = _offset_text(text)
    return offset not in {"", "z"} and bool(_offset(offset))


def to_milliseconds(moment: Instant) -> set[Instant]:
    """A moment without what is finer than a millisecond, cut and rounded; empty where nothing is finer."""
    return _coarser(moment, 3)


def to_seconds(moment: Instant) -> set[Instant]:
    """A moment without its fraction of a second, cut and rounded; empty where it has none."""
    return _coarser(moment, 0)


def to_date(text: str, moment: Instant, zone: dt.tzinfo) -> set[Instant]:
    """The first moment of a date-time's day as it is written; empty where it is that."""
    first = _instant(text[:DATE_CHARACTERS], zone)
    return set() if first is None or first == moment else {first}


def without_offset(text: str, moment: Instant, zone: dt.tzinfo) -> set[Instant]:
    """What a date-time would mean in UTC, or in the zone, if its offset were lost; empty where it is that."""
    wall = text[: len(text) - len(_offset_text(text))].rstrip()
    if len(wall) <= DATE_CHARACTERS:
        return set()
    return {each for each in (_instant(f"{wall}Z", zone), _instant(wall, zone)) if each} - {moment}


def _coarser(moment: Instant, digits: int) -> set[Instant]:
    fraction = moment.at[SECOND_CHARACTERS + 1 :]
    if len(fraction) <= digits:
        return set()
    cut = fraction[:digits].rstrip("0")
    second = moment.at[:SECOND_CHARACTERS]
    found = {Instant(f"{second}.{cut}" if cut else second)}
    if fraction[digits] >= "5":
        carried = str(int(f"1{fraction[:digits]}") + 1)
        try:
            start = dt.datetime.fromisoformat(second) + dt.timedelta(seconds=int(carried[0]) - 1)
        except OverflowError:
            return found
        found.add(Instant(_with_fraction(start, carried[1:].rstrip("0"))))
    return found


def _with_fraction(moment: dt.datetime, fraction: str) -> str:
    return f"{moment.isoformat()}.{fraction}" if fraction else moment.isoformat()


def _offset_text(text: str) -> str:
    match = _ISO_8601(text)
    return (match[5] if match else None) or ""


def _offset(text: str) -> dt.timedelta:
    digits = text[1:].replace(":", "")
    size = dt.timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
    return -size if text[0] == "-" else size
