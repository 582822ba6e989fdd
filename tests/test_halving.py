"""Halving: bad rows are found with few requests, whatever the API tells."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.delivery.halving import Twin, halves, twin


@pytest.mark.parametrize(
    ("whole", "first", "rows", "expected"),
    [
        (1, 1, 50, Twin("stored")),
        (1, 0, 50, Twin("rejected", 1)),
        (50, 0, 50, Twin("rejected", 50)),
        (3, 5, 50, Twin("unknown")),
        (60, 5, 50, Twin("unknown")),
        (1, None, 50, Twin("unknown")),
        (None, 0, 50, Twin("refused")),
        (None, 0, 2, Twin("refused")),
        (None, 0, 1, Twin("unknown")),
        (None, None, 50, Twin("unknown")),
        (None, 2, 50, Twin("unknown")),
    ],
)
def test_first_half_judges_second(whole: int | None, first: int | None, rows: int, expected: Twin) -> None:
    """What the whole and the first half say is all that is concluded of the second."""
    assert twin(whole, first, rows) == expected


@given(st.lists(st.integers(), min_size=2, max_size=100))
def test_halves_are_the_whole(rows: list[int]) -> None:
    """Two halves hold every row in order, the first at least as many, neither none."""
    first, second = halves(rows)
    assert first + second == rows
    assert len(first) - len(second) in (0, 1)


def loads(rows: list[bool]) -> int:
    """Loads that find the bad rows of a batch whose ingestions count them, the whole excepted."""
    if len(rows) == 1 or all(rows) or not any(rows):
        return 0
    first, second = halves(rows)
    found = twin(sum(rows), sum(first), len(second))
    assert found == (Twin("rejected", sum(second)) if any(second) else Twin("stored"))
    return 1 + loads(first) + loads(second)


@given(st.integers(2, 100), st.data())
def test_one_bad_row_costs_log2(size: int, data: st.DataObject) -> None:
    """One bad row among n costs at most log2 n loads more, rounded up."""
    bad = data.draw(st.integers(0, size - 1))
    assert loads([number == bad for number in range(size)]) <= math.ceil(math.log2(size))
