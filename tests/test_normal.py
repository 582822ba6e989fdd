"""The normal form of rows: what counts as equal has one form, and what does not has another."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
import zoneinfo
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.verification.moments import (
    Instant,
    instant,
    is_elsewhere,
    to_date,
    to_milliseconds,
    to_seconds,
    without_offset,
)
from target_databox.verification.normal import digest, key_of, key_values, mark, normal, normal_row

UTC = dt.timezone.utc
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

NUMBERS = st.one_of(
    st.integers(), st.decimals(allow_nan=False, allow_infinity=False), st.integers(-(10**60), 10**60)
)
SCALARS = st.one_of(NUMBERS, st.text(), st.booleans(), st.lists(st.one_of(NUMBERS, st.text()), max_size=3))
ROWS = st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.none(), SCALARS))
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))


def digest_of(row: dict[str, Any], *moments: str, zone: dt.tzinfo = UTC) -> bytes:
    """The digest of a row."""
    return digest(normal_row(row, moments, zone))


@given(NUMBERS)
def test_numbers_are_equal_by_value(number: Any) -> None:
    """However a number is written, with zeros at its end or an exponent, it has one form."""
    exact = Decimal(number)
    sign, digits, exponent = exact.as_tuple()
    longer = Decimal((sign, (*digits, 0, 0), int(exponent) - 2))
    assert digest_of({"a": number}) == digest_of({"a": exact}) == digest_of({"a": longer})
    assert mark(normal(number, None)) == mark(normal(longer, None))


@given(SCALARS, SCALARS)
def test_other_values_have_other_forms(one: Any, other: Any) -> None:
    """Two values share a digest only if they are equal and of one type: 1, "1" and true are three."""

    def typed(value: Any) -> Any:
        if isinstance(value, list):
            return [typed(each) for each in value]
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return "number", Decimal(value)
        return type(value).__name__, value

    assert (digest_of({"a": one}) == digest_of({"a": other})) == (typed(one) == typed(other))


@given(ROWS, st.randoms())
def test_nulls_and_order_of_columns_do_not_count(row: dict[str, Any], random: Any) -> None:
    """Null and absent are the same, and columns have no order."""
    names = list(row)
    random.shuffle(names)
    other = {name: row[name] for name in names if row[name] is not None}
    assert digest_of(row) == digest_of({**other, "never": None})


@given(ROWS)
def test_form_survives_json(row: dict[str, Any]) -> None:
    """A row that was written as JSON and read again has the same form."""

    def written(value: Any) -> Any:
        return int(value) if isinstance(value, Decimal) and value == int(value) else value

    plain = {name: written(value) for name, value in row.items()}
    plain = {name: value for name, value in plain.items() if not isinstance(value, (Decimal, list))}
    assert digest_of(plain) == digest_of(json.loads(json.dumps(plain)))


@given(MOMENTS, st.integers(-14 * 60, 14 * 60), st.integers(0, 9), st.sampled_from("T "))
def test_date_times_are_equal_by_instant(moment: dt.datetime, minutes: int, zeros: int, between: str) -> None:
    """One instant in two offsets, with more zeros or another letter between date and time, has one form."""
    written = moment.isoformat(sep=between)
    if "." in written:
        written += "0" * zeros
    elsewhere = (moment + dt.timedelta(minutes=minutes)).isoformat()
    sign, size = "-" if minutes < 0 else "+", abs(minutes)
    offset = f"{sign}{size // 60:02}:{size % 60:02}"
    forms = {digest_of({"a": text}, "a") for text in (f"{written}Z", f"{elsewhere}{offset}")}
    assert len(forms) == 1
    assert is_elsewhere(f"{elsewhere}{offset}") == bool(minutes)
    # As text they are two.
    assert digest_of({"a": f"{written}Z"}) != digest_of({"a": f"{elsewhere}{offset}"})


@given(MOMENTS, MOMENTS)
def test_other_instants_have_other_forms(one: dt.datetime, other: dt.datetime) -> None:
    """Two moments share a form only if they are one, to the last digit."""
    forms = [instant(f"{each.isoformat()}Z", UTC) for each in (one, other)]
    assert (forms[0] == forms[1]) == (one == other)
    assert instant(f"{one.isoformat(timespec='microseconds')}001Z", UTC) != forms[0]


@given(MOMENTS)
def test_naive_date_times_are_in_the_zone(moment: dt.datetime) -> None:
    """A date-time without an offset is one of the zone, and a date is the first moment of its day there."""
    aware = moment.replace(microsecond=0, tzinfo=BERLIN)
    text = aware.astimezone(UTC).replace(tzinfo=None).isoformat()
    assert instant(aware.replace(tzinfo=None).isoformat(), BERLIN) == instant(f"{text}Z", UTC)
    day = moment.date().isoformat()
    assert instant(day, BERLIN) == instant(f"{day}T00:00:00", BERLIN)


@pytest.mark.parametrize(
    "text",
    ["", "x", "2024", "2024-13-01", "2024-02-30T00:00:00", "2024-01-01T25:00", "0001-01-01T00:00:00+14:00",
     "2024-01-01T00:00:00 Europe/Berlin"],
)  # fmt: skip
def test_other_text_stays_text(text: str) -> None:
    """Text of a date column that is no date-time is compared as it is."""
    assert instant(text, UTC) is None
    assert normal(text, UTC) == text


@pytest.mark.parametrize(
    ("text", "milliseconds", "seconds"),
    [
        ("2024-01-01T00:00:00.1234Z", {"2024-01-01T00:00:00.123"}, {"2024-01-01T00:00:00"}),
        ("2024-01-01T00:00:00.9996Z", {"2024-01-01T00:00:00.999", "2024-01-01T00:00:01"},
         {"2024-01-01T00:00:00", "2024-01-01T00:00:01"}),
        ("2024-01-01T00:00:00.0006Z", {"2024-01-01T00:00:00", "2024-01-01T00:00:00.001"},
         {"2024-01-01T00:00:00"}),
        ("2024-01-01T00:00:00.12Z", set(), {"2024-01-01T00:00:00"}),
        ("2024-01-01T00:00:00Z", set(), set()),
        ("9999-12-31T23:59:59.9996Z", {"9999-12-31T23:59:59.999"}, {"9999-12-31T23:59:59"}),
    ],
)  # fmt: skip
def test_coarser_instants_are_cut_and_rounded(text: str, milliseconds: set[str], seconds: set[str]) -> None:
    """What is finer than a rule allows may have been cut off or rounded; without it there is nothing."""
    moment = instant(text, UTC)
    assert moment is not None
    assert {each.at for each in to_milliseconds(moment)} == milliseconds
    assert {each.at for each in to_seconds(moment)} == seconds


def test_lost_offsets_are_other_instants() -> None:
    """A clock time whose offset is lost is read in UTC or in the zone; a date has none to lose."""
    text = "2024-07-01T12:00:00+05:00"
    moment = instant(text, BERLIN)
    assert moment == Instant("2024-07-01T07:00:00")
    lost = {Instant("2024-07-01T12:00:00"), Instant("2024-07-01T10:00:00")}
    assert without_offset(text, moment, BERLIN) == lost
    assert without_offset("2024-07-01", moment, BERLIN) == set()
    assert to_date(text, moment, UTC) == {Instant("2024-07-01T00:00:00")}


def test_keys_are_shown_as_they_are() -> None:
    """A key is compared in its normal form, and shown with every digit."""
    row = normal_row({"id": Decimal("1.0"), "at": "2024-01-01T02:00:00+02:00", "x": 1}, {"at"}, UTC)
    assert key_values(key_of(row, ("at", "id"))) == ["2024-01-01T00:00:00Z", 1]
    large = 12345678901234567890123
    assert key_values(key_of({"id": large}, ("id",))) == [large]


def test_marks_differ_from_process_to_process() -> None:
    """Marks of texts are made with the process's own secret, so that nobody can look them up."""
    code = "from target_databox.verification.normal import mark; print(mark('a text'))"
    marks = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout for _ in "ab"
    }
    assert len(marks) == 2


def test_marks_tell_numbers_apart() -> None:
    """Numbers that share their low bits, 0 and 1, and 1 and true have marks of their own."""
    values = [0, 1, True, False, 2**32, 2**53, 2**53 + 1, 2**61 - 1, -1, -2, "1", Decimal("0.5"), 2**60]
    assert len({mark(normal(value, None)) for value in values}) == len(values)
