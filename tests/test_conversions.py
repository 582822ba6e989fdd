"""Facts on values made into text, numbers and date-times."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.records.conversions import ConversionError, column_type_problem, converter


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12", "12"), (" 12 ", "12"), ("+3", "3"), ("-3.50", "-3.50"), ("007", "7"), ("1e3", "1E+3"),
        (".5", "0.5"), ("5.", "5"), ("0" + "1234567890" * 9 + ".10", "1234567890" * 9 + ".10"),
        (5, "5"), (Decimal("1.10"), "1.10"), (True, "1"), (False, "0"),
    ],
)  # fmt: skip
def test_plain_numbers_keep_digits(value: Any, number: str) -> None:
    """Plain numbers in text become numbers with all their digits; booleans become 1 and 0."""
    converted = converter("number")(value)
    assert str(converted) == number
    assert not isinstance(converted, (str, bool))


@pytest.mark.parametrize(
    "value",
    [
        "1,234",
        "1 234",
        "1_000",
        "0x1F",
        "NaN",
        "Infinity",
        "1e",
        "--1",
        "€5",
        "٣",
        "-",
        "1e99999999999999999999",
        # Judged in one go, not once for every way to cut it in two.
        pytest.param("9" * 1_000_000 + "x", id="a million digits"),
        [1],
        {},
    ],
)
def test_other_text_is_no_number(value: Any) -> None:
    """Anything but a plain decimal number is refused, without the value in the reason."""
    with pytest.raises(ConversionError) as caught:
        converter("number")(value)
    assert caught.value.code == "not_a_number"


@pytest.mark.parametrize("column_type", ["number", "datetime", "datetime:%d.%m.%Y"])
@pytest.mark.parametrize("value", ["", "  ", None])
def test_empty_text_becomes_null(column_type: str, value: Any) -> None:
    """Empty text is null in number and datetime columns."""
    assert converter(column_type)(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it came ", "as it came "), ("", ""), (None, None), (True, "true"), (7, "7"),
        (10**30, "1" + "0" * 30),
        (Decimal("1.50"), "1.50"), (1.5, "1.5"), ({"a": [Decimal("1.50"), "é"]}, '{"a":[1.50,"é"]}'),
        ([1], "[1]"), (dt.date(2024, 1, 31), "2024-01-31"),
    ],
)  # fmt: skip
def test_text_keeps_what_came(value: Any, text: str | None) -> None:
    """As text, numbers keep their digits, booleans are words, objects and arrays are JSON."""
    assert converter("string")(value) == text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("2024-01-31", None),
        ("2024-01-31T10:15:00Z", None),
        ("2024-01-31T10:15:00.123456789+02:00", None),
        ("2024-01-31T10:15", None),
        ("2024-02-29", None),
        ("2024-12-31T23:59:59+23:59", None),
        (" 2024-01-31 ", "2024-01-31"),
        ("2024-01-31 10:15:00", "2024-01-31T10:15:00"),
        ("2024-01-31t10:15:00z", "2024-01-31T10:15:00Z"),
        ("2024-01-31 10:15:00 UTC", "2024-01-31T10:15:00Z"),
        ("2024-01-31 10:15:00.5 +0200", "2024-01-31T10:15:00.5+02:00"),
        ("2024-01-31T10:15:00-03", "2024-01-31T10:15:00-03:00"),
        ("2024-01-31T10:15:00,25Z", "2024-01-31T10:15:00.25Z"),
        ("20240131", "2024-01-31"),
        ("20240131T101500Z", "2024-01-31T10:15:00Z"),
        ("2024/01/31", "2024-01-31"),
        ("2024/01/31 10:15", "2024-01-31T10:15"),
        ("2024/01/31 10:15:30", "2024-01-31T10:15:30"),
        (dt.date(2024, 1, 31), "2024-01-31"),
        (dt.datetime(2024, 1, 31, 10, tzinfo=dt.timezone.utc), "2024-01-31T10:00:00Z"),
        (
            dt.datetime(2024, 1, 31, 10, tzinfo=dt.timezone(dt.timedelta(hours=2))),
            "2024-01-31T10:00:00+02:00",
        ),
    ],
)
def test_dates_are_understood(value: Any, written: str | None) -> None:
    """ISO 8601 goes out as it came, its looser spellings and slashes as ISO 8601."""
    assert converter("datetime")(value) == (value if written is None else written)


@pytest.mark.parametrize(
    "value",
    [
        "31.01.2024", "01/31/2024", "2024-02-30", "2023-02-29", "2024-13-01", "0000-01-01",
        "2024-01-31T24:00:00", "2024-01-31T10:60", "2024-01-31T10:15:61", "2024-01-31T10:15:00+25:00",
        "2024-01-31T10:15:00+02:60", "2024-01-31T10:15:00-24:00",
        "2024-01/31", "2024-1-5",
        "2024-01-31T", "2024-01-31Z", "٢٠٢٤-01-31", "yesterday", 1706659200, True, ["2024-01-31"], dt.time(1),
    ],
)  # fmt: skip
def test_other_text_is_no_date(value: Any) -> None:
    """Anything else is refused: days that don't exist, other orders, and numbers."""
    with pytest.raises(ConversionError) as caught:
        converter("datetime")(value)
    assert caught.value.code == "not_a_datetime"


@pytest.mark.parametrize(
    ("pattern", "value", "written"),
    [
        ("%d.%m.%Y", "31.01.2024", "2024-01-31"),
        ("%d.%m.%y", " 31.01.24 ", "2024-01-31"),
        ("%Y%m%d", 20240131, "2024-01-31"),
        ("%m/%d/%Y %I:%M %p", "01/31/2024 02:15 PM", "2024-01-31T14:15:00"),
        ("%d/%m/%Y %H:%M:%S", "31/01/2024 10:15:30", "2024-01-31T10:15:30"),
        ("%d/%m/%Y %H:%M %z", "31/01/2024 10:15 +0200", "2024-01-31T10:15:00+02:00"),
        ("%d/%m/%Y %H:%M %z", "31/01/2024 10:15 +0000", "2024-01-31T10:15:00Z"),
        ("%d/%m/%Y %H:%M %z UTC", "31/01/2024 10:15 +0200 UTC", "2024-01-31T10:15:00+02:00"),
        ("%Y-%m-%dT%H:%M:%SZ", "2024-01-31T10:15:00Z", "2024-01-31T10:15:00Z"),
        ("%Y-%m-%d %H:%M UTC", "2024-01-31 10:15 UTC", "2024-01-31T10:15:00Z"),
        ("%d.%m.%Y", dt.date(2024, 1, 31), "2024-01-31"),
    ],
)
def test_formats_are_read(pattern: str, value: Any, written: str) -> None:
    """A strptime format reads text into ISO 8601: a date, or a date-time where it has a time."""
    assert converter(f"datetime:{pattern}")(value) == written


@pytest.mark.parametrize("value", ["2024-01-31", "31.13.2024", "secret", True, 1.5, []])
def test_text_outside_the_format_is_refused(value: Any) -> None:
    """Text that doesn't follow the format is refused; the reason names the format, not the text."""
    with pytest.raises(ConversionError) as caught:
        converter("datetime:%d.%m.%Y")(value)
    assert caught.value.code == "not_a_datetime"
    assert "%d.%m.%Y" in caught.value.reason
    assert "secret" not in caught.value.reason
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "column_type", ["string", "number", "datetime", "datetime:%d.%m.%Y", "datetime:%Y-%m-%d %H:%M:%S.%f%z"]
)
def test_column_types_are_known(column_type: str) -> None:
    """The three types and date formats that can be read back are accepted."""
    assert column_type_problem(column_type) is None


TYPE_WORDS = "must be string, number, datetime, or datetime:FORMAT such as datetime:%d.%m.%Y"
YEAR_WORDS = "needs a date format with a year, such as datetime:%d.%m.%Y"
ZONE_WORDS = "can't use %Z, which reads a zone's name and forgets it: write %z, or UTC as plain text"


@pytest.mark.parametrize(
    ("column_type", "words"),
    [
        ("integer", TYPE_WORDS),
        ("", TYPE_WORDS),
        ("number:2", TYPE_WORDS),
        ("datetime:", YEAR_WORDS),
        ("datetime:DD.MM.YYYY", YEAR_WORDS),
        ("datetime:%d.%m", YEAR_WORDS),
        ("datetime:%H:%M", YEAR_WORDS),
        ("datetime:%Y-%Q", "has a date format that can't be read back (%Y-%Q)"),
        ("datetime:%Y %Y", "has a date format that can't be read back (%Y %Y)"),
        ("datetime:%Y-%m-%d %Z", ZONE_WORDS),
    ],
)
def test_other_column_types_are_refused(column_type: str, words: str) -> None:
    """Unknown types and unusable date formats are found before any value is read."""
    assert column_type_problem(column_type) == words


DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]
NOT_FINITE = "holds NaN or an infinity, which JSON can't carry"


@pytest.mark.parametrize(
    ("column_type", "value", "code", "reason"),
    [
        ("number", "secret", "not_a_number", "is not a plain number"),
        ("number", float("nan"), "nan", NOT_FINITE),
        ("number", Decimal("-Infinity"), "nan", NOT_FINITE),
        (
            "datetime",
            "secret",
            "not_a_datetime",
            "is neither an ISO 8601 date nor YYYY/MM/DD[ HH:MM[:SS]]",
        ),
        ("datetime:%d.%m.%Y", "secret", "not_a_datetime", "does not follow the date format %d.%m.%Y"),
        ("string", ["a\ud800"], "unencodable", "holds a lone surrogate, which UTF-8 can't carry"),
        pytest.param("string", DEEP, "too_deep", "is nested too deeply to be encoded", id="deep"),
        ("string", [b"secret"], "unencodable", "holds bytes, which JSON can't carry"),
        ("string", [object()], "unencodable", "holds what JSON can't carry (TypeError)"),
        ("string", {"a": [float("inf")]}, "nan", NOT_FINITE),
    ],
)
def test_reasons_are_reported(column_type: str, value: Any, code: str, reason: str) -> None:
    """A value that can't be converted is reported with a code and a reason, without the value."""
    with pytest.raises(ConversionError) as caught:
        converter(column_type)(value)
    assert (caught.value.code, caught.value.reason, str(caught.value)) == (code, reason, reason)


@given(st.datetimes(timezones=st.none() | st.just(dt.timezone.utc)))
def test_iso_dates_pass_unchanged(moment: dt.datetime) -> None:
    """Every ISO 8601 date-time of Python's own goes out as it came."""
    assert converter("datetime")(moment.isoformat()) == moment.isoformat()


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_every_decimal_is_read_back(value: Decimal) -> None:
    """The text of a number becomes that number, digit for digit."""
    assert str(converter("number")(str(value))) == str(value)
