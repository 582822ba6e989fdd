"""What whole columns share is found, whatever the values; what is only true of some is not."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.verification.comparison import KEYS_NAMED, Comparison, Finding, Kept
from target_databox.verification.normal import digest, normal_row
from target_databox.verification.prints import Columns, print_of
from target_databox.verification.rules import WORDS, Rule

if TYPE_CHECKING:
    from collections.abc import Callable

UTC = dt.timezone.utc
MOMENTS = {"at"}
TEXTS = st.text("ab \t", max_size=5)
NUMBERS = st.decimals(-(10**6), 10**6, allow_nan=False, places=5)
AT = st.datetimes(dt.datetime(2000, 1, 1), dt.datetime(2030, 1, 1)).map(
    lambda each: f"{each.isoformat(timespec='microseconds')}+02:00"
)
RECORDS = st.lists(
    st.fixed_dictionaries({"name": TEXTS, "amount": NUMBERS, "at": AT}), min_size=1, max_size=12
)


def compared(sent: list[dict[str, Any]], came: list[dict[str, Any]]) -> Comparison:
    """The comparison of rows; a row's place is its key."""
    columns = Columns()
    prints = [print_of(row, normal_row(row, MOMENTS, UTC), columns, UTC) for row in sent]
    comparison = Comparison(columns)
    for number, (kept, row) in enumerate(zip(prints, came, strict=True)):
        found = normal_row(row, MOMENTS, UTC, columns.numbers)
        comparison.look(row, found, MOMENTS)
        if digest(found) == kept.whole:
            comparison.add_equal(Kept(*kept[1:]), found)
        else:
            comparison.add_different(b"[%d]" % number, Kept(*kept[1:]), found)
    return comparison


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose amount has two decimals."""
    return {**row, "amount": row["amount"].quantize(Decimal("0.01"), ROUND_HALF_UP)}


#: What Databox could do to a row, in which column, and the rule that names it.
DEEDS: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str, Rule]] = {
    "trimmed": (lambda row: {**row, "name": row["name"].strip()}, "name", Rule.TRIMMED),
    "hidden": (lambda row: {**row, "at": None}, "at", Rule.ABSENT),
    "rounded": (rounded, "amount", Rule.DECIMALS_2),
    "text": (lambda row: {**row, "amount": str(row["amount"])}, "amount", Rule.AS_TEXT),
    "milliseconds": (lambda row: {**row, "at": f"{row['at'][:23]}+02:00"}, "at", Rule.MILLISECONDS),
    "date": (lambda row: {**row, "at": row["at"][:10]}, "at", Rule.DATES),
    "offset": (lambda row: {**row, "at": f"{row['at'][:26]}Z"}, "at", Rule.OFFSET_LOST),
}


@pytest.mark.parametrize("name", DEEDS)
@given(rows=RECORDS)
def test_deed_to_a_column_is_one_finding(name: str, rows: list[dict[str, Any]]) -> None:
    """Whatever the values, what is done to all of a column is one finding, and no row is named for it."""
    deed, column, rule = DEEDS[name]
    found = compared(rows, [deed(row) for row in rows])
    changed = found.different
    assert found.equal + changed == len(rows)
    assert found.differences() == []
    assert [(each.column, each.rows) for each in found.findings()] == ([(column, changed)] if changed else [])
    assert found.unexplained() == (0, [])
    if changed > 3 and name != "text":
        # Of few values a gentler rule may be as true.
        assert {each.rule for each in found.findings()} <= {
            rule,
            Rule.DECIMALS_4,
            Rule.DECIMALS_3,
            Rule.MILLISECONDS,
        }


@pytest.mark.parametrize("name", DEEDS)
@given(rows=RECORDS, data=st.data())
def test_changed_value_is_never_explained_away(
    name: str, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    """A value that was changed to something else is named by key, whatever else was done to its column."""
    deed, column, _ = DEEDS[name]
    came = [deed(row) for row in rows]
    place = data.draw(st.integers(0, len(rows) - 1))
    came[place] = {**came[place], "name": "something else"}
    found = compared(rows, came)
    named, keys = found.unexplained()
    assert named >= 1
    assert b"[%d]" % place in keys or len(keys) == KEYS_NAMED
    assert "name" in {each.column for each in found.differences()}
    assert {each.column for each in found.findings()} <= {column}


def test_value_that_kept_what_others_lost_speaks_against_a_rule() -> None:
    """One text with its blanks left makes trimmed ones differences by key."""
    sent = [{"name": f" {number} "} for number in range(3)]
    found = compared(sent, [{"name": "0"}, {"name": "1"}, {"name": " 2 "}])
    assert found.findings() == []
    (difference,) = found.differences()
    assert difference == ("name", 2, (b"[0]", b"[1]"))


def test_row_that_differs_elsewhere_speaks_against_a_rule() -> None:
    """A text that kept its blanks in a row that differs in another column counts as well."""
    sent = [{"name": " 0 ", "x": 1}, {"name": " 1 ", "x": 1}]
    found = compared(sent, [{"name": "0", "x": 1}, {"name": " 1 ", "x": 2}])
    assert found.findings() == []
    assert found.unexplained() == (2, [b"[0]", b"[1]"])


@pytest.mark.parametrize(
    ("sent", "came", "rule"),
    [
        (Decimal("12345678901234567890.5"), 12345678901234567000.0, Rule.DOUBLE),
        (9007199254740993, 9007199254740992, Rule.DOUBLE),
        (Decimal("0.12345678901234567"), Decimal("0.123456789012346"), Rule.DIGITS_15),
        (Decimal("0.123456789"), Decimal("0.1234568"), Rule.SINGLE),
        (Decimal("2.5"), 2, Rule.DECIMALS_0),
        (Decimal("2.5"), 3, Rule.DECIMALS_0),
        (12, "12", Rule.AS_TEXT),
        ("12", 12, Rule.AS_NUMBER),
        ("true", True, Rule.AS_BOOLEAN),
        (["a", 1], '["a", 1.0]', Rule.AS_TEXT),
        ("x", None, Rule.ABSENT),
        (" ", "", Rule.TRIMMED),
    ],
)
def test_rules_know_their_values(sent: Any, came: Any, rule: Rule) -> None:
    """Each rule is named for a value that shows it, and has words for people."""
    assert compared([{"a": sent}], [{"a": came}]).findings() == [Finding("a", rule, 1)]
    assert WORDS[rule]


def test_empty_texts_as_null_are_named() -> None:
    """Empty texts that come back as null are a finding of their own beside other texts that stay."""
    sent = [{"a": ""}, {"a": "x"}, {"a": ""}]
    assert compared(sent, [{}, {"a": "x"}, {}]).findings() == [Finding("a", Rule.EMPTY_AS_NULL, 2)]
    assert compared(sent, [{}, {"a": "x"}, {"a": ""}]).findings() == []


def test_value_where_none_was_sent_is_a_difference() -> None:
    """A value in a column that the input leaves empty is a difference, as a merge of versions makes it."""
    found = compared([{"a": 1, "b": 2}, {"b": 3}], [{"a": 1, "b": 2}, {"a": 9, "b": 3}])
    assert (found.differences(), found.findings()) == ([("a", 1, (b"[1]",))], [])


def test_columns_of_others_are_not_compared() -> None:
    """A column that the input never has changes nothing, and its name is known."""
    found = compared([{"a": 1}], [{"a": 1, "of_others": "x"}])
    assert (found.equal, list(found.foreign_columns)) == (1, ["of_others"])


def test_many_ways_to_differ_are_counted_together() -> None:
    """Memory stays flat however many combinations of columns differ, and no row gets lost."""
    names = [f"c{number}" for number in range(11)]
    rows = [{name: number >> place & 1 for place, name in enumerate(names)} for number in range(1, 2048)]
    found = compared([dict.fromkeys(names, 0) for _ in rows], rows)
    assert found.different == len(rows) == found.unexplained()[0]
    assert len(found._kinds) <= 1_001


def test_every_rule_has_words() -> None:
    """No rule is without words, and no two share them."""
    assert len(set(WORDS.values())) == len(WORDS) == len(Rule)
