"""What the emulator decides about rows, as tables: no database, no clock."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from target_databox.emulator.assumptions import Assumptions
from target_databox.emulator.state.rules import Column, Judgement, judgement, row_key


def judged(
    *rows: dict[str, Any],
    keys: tuple[str, ...] = (),
    columns: dict[str, Column] | None = None,
    **assumed: Any,
) -> Judgement:
    """The judgement on some rows."""
    return judgement(rows, keys, columns or {}, {}, Assumptions(**assumed))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, Decimal("1.0"), True),
        (100, Decimal("1E+2"), True),
        (0, Decimal("-0.0"), True),
        (10**40, 10**40 + 1, False),
        (Decimal("1e400"), Decimal("1e401"), False),
        (-1, 1, False),
        (1, "1", False),
        (1, True, False),
        ("a", "a", True),
        ("a", "A", False),
        (None, "", False),
    ],
)
def test_keys_compare_by_value(left: Any, right: Any, same: bool) -> None:
    """Two rows have one key exactly when their key values are equal, however the numbers are written."""
    assert (row_key({"id": left}, ["id"]) == row_key({"id": right}, ["id"])) is same


def test_key_parts_stay_apart() -> None:
    """A key of two columns is not confused with another whose texts join to the same."""
    assert row_key({"a": "x", "b": 'y", "z'}, ["a", "b"]) != row_key({"a": 'x", "y', "b": "z"}, ["a", "b"])


@pytest.mark.parametrize(
    ("value", "column_type"),
    [
        (1, "number"),
        (Decimal("1.5"), "number"),
        ("text", "string"),
        ("2024-02-29", "datetime"),
        ("2024-02-29T25:00:00Z", "string"),
        ("2024-02-29T10:00:00.123456+01:00", "datetime"),
        ("2024-13-01", "string"),
        (True, "string"),
        (["a", "b"], "string"),
        ({"a": 1}, "string"),
        (None, None),
    ],
)
def test_first_value_gives_the_type(value: Any, column_type: str | None) -> None:
    """A column that nobody declared takes its type from the first value that is not null."""
    assert judged({"c": value}).columns["c"] == Column(column_type)


def test_null_leaves_the_type_open() -> None:
    """A column that began with null takes its type from a later value."""
    assert judged({"c": None}, {"c": 1}).columns["c"] == Column("number")


@pytest.mark.parametrize(
    ("value", "column_type", "taken"),
    [
        ("x", "number", False),
        (True, "number", False),
        (1, "string", False),
        (True, "string", True),
        ([1, 2], "string", True),
        ("soon", "datetime", False),
        (1, "datetime", False),
        ("2024-01-01", "datetime", True),
        (None, "number", True),
    ],
)
def test_declared_types_reject_conflicts(value: Any, column_type: str, taken: bool) -> None:
    """A value that conflicts with its declared column rejects its row, and only its row."""
    result = judged({"c": value}, {"other": 1}, columns={"c": Column(column_type, declared=True)})
    assert [place for place, _ in result.taken] == ([0, 1] if taken else [1])
    assert [each.field for each in result.rejected] == ([] if taken else ["c"])


def test_conflicts_may_be_kept() -> None:
    """With `type_conflicts` kept, a conflicting value rejects nothing."""
    columns = {"c": Column("number", declared=True)}
    assert judged({"c": "x"}, columns=columns, type_conflicts="kept").rejected == []


def test_inferred_dates_give_way_to_text() -> None:
    """Text in a column that only looked like a date-time turns it into a string column."""
    result = judged({"c": "2024-01-01"}, {"c": "soon"})
    assert result.rejected == []
    assert result.columns["c"] == Column("string")


def test_dates_may_need_declaring() -> None:
    """With `date_inference` declared-only, ISO 8601 text gives a string column."""
    assert judged({"c": "2024-01-01"}, date_inference="declared-only").columns["c"] == Column("string")


@pytest.mark.parametrize(
    ("switch", "row"),
    [
        ("booleans", {"c": True}),
        ("nested_objects", {"c": {"a": 1}}),
        ("nested_objects", {"c": [[{"a": 1}]]}),
        ("nulls", {"c": None}),
    ],
)
def test_switches_reject_odd_values(switch: str, row: dict[str, Any]) -> None:
    """Booleans, nested objects and nulls are taken by default and rejected by their switch."""
    assert judged(row).rejected == []
    assert [each.field for each in judged(row, **{switch: "rejected"}).rejected] == ["c"]


def test_rejected_row_leaves_no_column() -> None:
    """The columns of a rejected row are not added to the dataset."""
    result = judged({"new": 1, "c": "x"}, columns={"c": Column("number")})
    assert "new" not in result.columns


@pytest.mark.parametrize("row", [{"a": 1}, {"id": None, "a": 1}])
def test_missing_key_is_rejected(row: dict[str, Any]) -> None:
    """A row without a value for a key column is rejected by default, and may be kept by its switch."""
    assert [each.field for each in judged(row, keys=("id",)).rejected] == ["id"]
    assert judged(row, keys=("id",), missing_key="kept").rejected == []


@pytest.mark.parametrize(
    ("switch", "places", "repeated", "rejected"),
    [("last", [2, 1], 1, 0), ("first", [0, 1], 1, 0), ("rejected", [0, 1], 0, 1)],
)
def test_repeated_key_follows_its_switch(
    switch: str, places: list[int], repeated: int, rejected: int
) -> None:
    """Of two rows with one key in a request the last counts, or the first, or the second is rejected."""
    result = judged({"id": 1}, {"id": 2}, {"id": Decimal("1.0")}, keys=("id",), repeated_key=switch)
    assert [place for place, _ in result.taken] == places
    assert (result.repeated, len(result.rejected)) == (repeated, rejected)


def test_doomed_places_are_rejected() -> None:
    """A row that a planned fault dooms is rejected with the fault's reason."""
    result = judgement([{"a": 1}, {"a": 2}], (), {}, {1: "Planned."}, Assumptions())
    assert [(each.place, each.reason) for each in result.rejected] == [(1, "Planned.")]


def test_bad_row_may_reject_all() -> None:
    """With `rejection_scope` ingestion, one bad row rejects the good ones too, and leaves no column."""
    columns = {"c": Column("number", declared=True)}
    rows = ({"c": 1, "new": 1}, {"c": "x"}, {"c": 2})
    assert [place for place, _ in judged(*rows, columns=columns).taken] == [0, 2]
    result = judged(*rows, columns=columns, rejection_scope="ingestion")
    assert (result.taken, result.repeated, result.columns) == ([], 0, columns)
    assert [(each.place, each.field) for each in result.rejected] == [(0, None), (1, "c"), (2, None)]


def test_good_rows_are_taken_whatever_the_scope() -> None:
    """Without a bad row, `rejection_scope` ingestion changes nothing."""
    rows = ({"id": 1}, {"id": 2}, {"id": 1})
    assert judged(*rows, keys=("id",)) == judged(*rows, keys=("id",), rejection_scope="ingestion")
