"""What rows cost in requests and in time."""

from __future__ import annotations

import pytest

from target_databox.api.budget import Budget
from target_databox.rehearsal.estimates import requests_for, rows_per_hour, shortest_seconds


def test_rows_cost_two_requests_a_batch() -> None:
    """Confirmation `rows` asks for each batch once, `status` for a hundred at a time."""
    assert [requests_for(count, "rows", page_size=100) for count in (0, 1, 100)] == [0, 2, 200]
    assert [requests_for(count, "status", page_size=100) for count in (0, 1, 100, 101)] == [0, 2, 101, 103]


@pytest.mark.parametrize(
    ("confirmation", "batch_rows", "per_second", "per_hour", "rows"),
    [
        ("rows", 100, 10, 10_000, 500_000),
        ("status", 100, 10, 10_000, 990_099),
        ("rows", 1, 10, 10_000, 5_000),
        ("rows", 100, 1, 10_000, 177_340),
    ],
)
def test_an_hour_carries_so_many_rows(
    confirmation: str, batch_rows: int, per_second: float, per_hour: float, rows: int
) -> None:
    """The scarcer of the two limits counts."""
    found = rows_per_hour(
        confirmation,  # type: ignore[arg-type]
        batch_rows=batch_rows,
        page_size=100,
        per_second=per_second,
        per_hour=per_hour,
    )
    assert round(found) == rows


@pytest.mark.parametrize(
    ("requests", "per_second", "per_hour"),
    [(1, 10, 10_000), (2, 10, 10_000), (50, 10, 10_000), (25, 10, 7), (8, 10, 7), (14, 1, 7), (5, 2, 0.5)],
)
def test_shortest_time_is_the_budgets(requests: int, per_second: float, per_hour: float) -> None:
    """The last of some requests starts when the real budget lets it, and not earlier than was said."""
    budget = Budget(per_second, per_hour)
    now = 1000.0
    for _ in range(requests):
        while (at := budget.take(now)) > now:
            now = at
    reported = shortest_seconds(requests, per_second=per_second, per_hour=per_hour)
    assert now - 1000.0 == pytest.approx(reported, abs=2.0)
