"""Converts values to text, numbers and date-times: many taps send everything as text. Pure."""

from __future__ import annotations

import datetime as dt
import math
import re
import warnings
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    Converter = Callable[[Any], Any]

# Decimals as JSON numbers: a number keeps every digit that came in.
ENCODER: Final = msgspec.json.Encoder(decimal_format="number")

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_DATE_TIME: Final = re.compile(
    r"([0-9]{4})([-/]?)([0-9]{2})\2([0-9]{2})"
    r"(?:[Tt ]([0-9]{2})(:?)([0-9]{2})(?:\6([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?: ?([Zz]|UTC|GMT|([+-][0-9]{2})(?::?([0-9]{2}))?))?)?"
)
_YEAR_DIRECTIVE: Final = re.compile(r"%[YyGcxDF]")
_TIME_DIRECTIVE: Final = re.compile(r"%[HIMSfpXTRrczs]")
_UTC_LITERAL: Final = re.compile(r"(?<!%)(?:Z|UTC|GMT)\s*$")
# No two fields are equal, and none is a default: a field that a format drops shows.
_SAMPLE: Final = dt.datetime(2001, 12, 3, 16, 45, 56, 789000, tzinfo=dt.timezone.utc)


class ConversionError(ValueError):
    """A value can't become what its column needs.

    Attributes:
        code: One word for machines, such as ``not_a_number``.
        reason: A clause that follows the column's name. It never holds the value.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def converter(column_type: str) -> Converter:
    """The function that converts values for a column of the given type.

    Args:
        column_type: ``string``, ``number``, ``datetime`` or ``datetime:`` and a strptime format.

    Returns:
        A function of one value. It keeps null, and raises ConversionError for what it can't convert.
    """
    kind, _, pattern = column_type.partition(":")
    if kind == "datetime":
        return _patterned(pattern) if pattern else date_time
    return {"string": text, "number": number}[kind]


def column_type_problem(column_type: str) -> str | None:
    """What is wrong with a column type as written in the settings, or None.

    Args:
        column_type: See ``converter``.
    """
    kind, colon, pattern = column_type.partition(":")
    if kind not in {"string", "number", "datetime"} or (colon and kind != "datetime"):
        return "must be string, number, datetime, or datetime:FORMAT such as datetime:%d.%m.%Y"
    return _pattern_problem(pattern) if colon else None


def number(value: Any) -> Any:
    """A value as a number with all its digits; empty text becomes null, booleans 1 and 0.

    Raises:
        ConversionError: The value is not a plain decimal number; neither are ``1,234`` and ``1_000``.
    """
    if isinstance(value, str):
        digits = value.strip()
        if not digits:
            return None
        if _NUMBER.fullmatch(digits):
            try:
                return Decimal(digits)
            except InvalidOperation:  # an exponent of twenty digits
                pass
    elif isinstance(value, bool):
        return int(value)
    elif value is None or isinstance(value, (int, float, Decimal)):
        require_encodable(value)
        return value
    raise ConversionError("not_a_number", "is not a plain number")


def text(value: Any) -> Any:
    """A value as text: numbers with their digits, ``true``/``false``, objects and arrays as JSON.

    Raises:
        ConversionError: The value can't be written as JSON.
    """
    if value is None or isinstance(value, str):
        return value
    encoded = json_text(value)
    # Dates, times and UUIDs, which stream maps make, are encoded as JSON strings.
    return msgspec.json.decode(encoded) if encoded.startswith('"') else encoded


def date_time(value: Any) -> Any:
    """A value as an ISO 8601 date or date-time; empty text becomes null.

    Reads ISO 8601 calendar dates with or without a time, and ``YYYY/MM/DD[ HH:MM[:SS]]``. ISO 8601 text is
    returned unchanged, and fractions of a second keep every digit.

    Raises:
        ConversionError: The value has neither form, or is not a date of the calendar.
    """
    if isinstance(value, (dt.date, dt.datetime)):
        return _iso(value)
    if value is None:
        return None
    if isinstance(value, str):
        stripped = value.strip()
        if not stripped:
            return None
        match = _DATE_TIME.fullmatch(stripped)
        if match and (written := _written(match)):
            return written
    raise ConversionError("not_a_datetime", "is neither an ISO 8601 date nor YYYY/MM/DD[ HH:MM[:SS]]")


#: A quick check whether text has the form of an ISO 8601 date or date-time, as most taps write it.
is_iso_8601: Final = re.compile(
    r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)?)?", re.ASCII
).fullmatch


def in_iso_8601(value: str) -> str:
    """Text of a date column as ISO 8601 if it can be read, else unchanged."""
    try:
        written = date_time(value)
    except ConversionError:
        return value
    return written if isinstance(written, str) else value


def json_text(value: Any) -> str:
    """A value as compact JSON with all digits and non-ASCII characters kept.

    Raises:
        ConversionError: It holds NaN, an infinity, bytes, a lone surrogate, or is nested too deeply.
    """
    return encoded(value).decode()


def encoded(value: Any) -> bytes:
    """A value as compact JSON in UTF-8; see ``json_text``."""
    try:
        require_encodable(value)
        return ENCODER.encode(value)
    except UnicodeEncodeError:
        # Not chained: the cause quotes the value.
        raise ConversionError("unencodable", "holds a lone surrogate, which UTF-8 can't carry") from None
    except RecursionError as exc:
        raise ConversionError("too_deep", "is nested too deeply to be encoded") from exc
    except (TypeError, ValueError) as exc:
        if isinstance(exc, ConversionError):
            raise
        raise ConversionError("unencodable", f"holds what JSON can't carry ({type(exc).__name__})") from None


def require_encodable(value: Any) -> None:
    """Check that JSON can carry a value as it is.

    Raises:
        ConversionError: It holds NaN or an infinity, which the encoder would write as null or as a
            bare word, or bytes, which it would write as base64.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ConversionError("nan", "holds NaN or an infinity, which JSON can't carry")
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise ConversionError("nan", "holds NaN or an infinity, which JSON can't carry")
    elif isinstance(value, dict):
        for inner in value.values():
            require_encodable(inner)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for inner in value:
            require_encodable(inner)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        raise ConversionError("unencodable", "holds bytes, which JSON can't carry")


def _iso(moment: dt.date | dt.datetime) -> str:
    written = moment.isoformat()
    # The API's own examples write UTC as Z (D).
    return f"{written[:-6]}Z" if written.endswith("+00:00") else written


def _written(match: re.Match[str]) -> str | None:
    """The match in ISO 8601's extended form, with its digits unchanged; None if it is not a date."""
    year, _, month, day, hour, _, minute, second, fraction, offset, offset_hour, offset_minute = (
        match.groups()
    )
    try:
        dt.date(int(year), int(month), int(day))
    except ValueError:
        return None
    if hour is None:
        return f"{year}-{month}-{day}"
    if hour > "23" or minute > "59" or (second or "00") > "59":
        return None
    time = f"{hour}:{minute}" + (f":{second}" if second else "") + (f".{fraction}" if fraction else "")
    if offset_hour:
        if offset_hour[1:] > "23" or (offset_minute or "00") > "59":
            return None
        offset = f"{offset_hour}:{offset_minute or '00'}"
    elif offset:
        offset = "Z"
    return f"{year}-{month}-{day}T{time}{offset or ''}"


def _patterned(pattern: str) -> Converter:
    """The function that reads text by a strptime format and writes ISO 8601."""
    is_moment = bool(_TIME_DIRECTIVE.search(pattern))
    is_utc = "%z" not in pattern and bool(_UTC_LITERAL.search(pattern))

    def convert(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, (dt.date, dt.datetime)):
            return _iso(value)
        # A tap may have taken 20240131 for a number.
        written = str(value) if isinstance(value, int) else value
        if isinstance(written, str):
            stripped = written.strip()
            if not stripped:
                return None
            try:
                moment = dt.datetime.strptime(stripped, pattern)
            except (ValueError, OverflowError):
                pass  # its message quotes the value
            else:
                if not is_moment:
                    return moment.date().isoformat()
                return _iso(moment.replace(tzinfo=dt.timezone.utc) if is_utc else moment)
        raise ConversionError("not_a_datetime", f"does not follow the date format {pattern}")

    return convert


def _pattern_problem(pattern: str) -> str | None:
    if "%Z" in pattern:
        return "can't use %Z, which reads a zone's name and forgets it: write %z, or UTC as plain text"
    if not _YEAR_DIRECTIVE.search(pattern):
        return "needs a date format with a year, such as datetime:%d.%m.%Y"
    try:
        with warnings.catch_warnings():
            # Newer Pythons warn about days without a year; the check below refuses them.
            warnings.simplefilter("ignore", DeprecationWarning)
            read = dt.datetime.strptime(_SAMPLE.strftime(pattern), pattern)
    except (ValueError, OverflowError, re.error):  # re.error: a directive that occurs twice
        return f"has a date format that can't be read back ({pattern})"
    if read.year != _SAMPLE.year:
        return f"has a date format that loses the year ({pattern})"
    return None
