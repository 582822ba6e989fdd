"""What a text column is guessed to hold."""

from __future__ import annotations

import pytest

from target_databox.records.conversions import converter
from target_databox.rehearsal.hints import Guess


def guess(*values: object, is_key: bool = False) -> Guess:
    """What some values make of a column."""
    made = Guess(is_key=is_key)
    for value in values:
        made.see(value)
    return made


@pytest.mark.parametrize(
    ("values", "types"),
    [
        (["1", " 2.50 ", "-3e4"], ("number",)),
        (["1", "", None, "  "], ("number",)),
        (["1", "1,000"], ()),
        (["1", "x"], ()),
        (["2024-01-31", "2024-01-31T10:00:00.123456789Z"], ("datetime",)),
        (["2024/01/31 10:00"], ("datetime",)),
        (["20240131"], ("datetime",)),
        (["20240131", "20241331"], ("number",)),
        (["45671231"], ("number",)),
        (["31.12.2024", "1.2.2024"], ("datetime:%d.%m.%Y",)),
        (["31.12.2024 10:30"], ("datetime:%d.%m.%Y %H:%M",)),
        (["12/31/2024 11:59 PM"], ("datetime:%m/%d/%Y %I:%M %p",)),
        (["13/01/2024", "01/02/2024"], ("datetime:%d/%m/%Y",)),
        (["01/02/2024"], ("datetime:%m/%d/%Y", "datetime:%d/%m/%Y")),
        (["2024-01-31", "31.01.2024"], ()),
        (["Tue, 05 Mar 2024 10:00:00 +0100"], ("datetime:%a, %d %b %Y %H:%M:%S %z",)),
        ([["1", "2"]], ()),
        ([True], ()),
        ([], ()),
        (["", None], ()),
    ],
)
def test_types_fit_every_value(values: list[object], types: tuple[str, ...]) -> None:
    """A type is named when every value that is not blank could be converted to it."""
    assert guess(*values).types == types


@pytest.mark.parametrize("text", ["01234", "+0049", "4111111111111111"])
def test_names_in_digits_stay_text(text: str) -> None:
    """Postal codes with a zero in front, telephone numbers and long ids are no numbers to calculate with."""
    assert guess("1", text).types == ()


def test_keys_are_no_numbers() -> None:
    """A key of digits stays text; one of dates may become dates."""
    assert guess("1", "2", is_key=True).types == ()
    assert guess("2024-01-01", is_key=True).types == ("datetime",)


def test_named_types_convert_the_values() -> None:
    """What is named is what the settings understand, and converts the values without a reject."""
    for values in (["5", "6.5"], ["2024/01/02"], ["31.12.2024"], ["Dec 31, 2024"], ["01/02/2024"]):
        for column_type in guess(*values).types:
            assert all(converter(column_type)(value) is not None for value in values)


def test_filled_values_are_counted() -> None:
    """Nulls and blanks are not."""
    assert guess("a", None, "", " ", "b").filled == 2


@pytest.mark.parametrize(
    ("value", "is_iso"),
    [
        ("2024-01-31", True),
        ("2024-01-31T10:00:00.123+02:00", True),
        ("2024-01-31T10:00:00Z", True),
        ("2024/01/31", False),
        ("2024-01-31 10:00:00", False),
        ("20240131T100000Z", False),
        ("31.01.2024", False),
    ],
)
def test_dates_to_convert_are_seen(value: str, is_iso: bool) -> None:
    """A date that is understood, but is not ISO 8601 as it stands, would have to be converted."""
    assert guess("2024-01-01", value).is_iso is is_iso
