"""Where the lines, bars and labels of the emulator's plots go."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from target_databox.emulator.serving.pages.plots import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    bar_plot,
    line_plot,
    round_values,
    thinned,
    time_ticks,
)
from target_databox.emulator.state.browsing import Bar, seconds

finite = st.floats(-1e15, 1e15)


@pytest.mark.parametrize(
    ("low", "high", "values"),
    [
        (0, 900, [0, 200, 400, 600, 800, 1000]),
        (-3, 7, [-4, -2, 0, 2, 4, 6, 8]),
        (0.1, 0.2, [0.1, 0.12, 0.14, 0.16, 0.18, 0.2]),
        (5, 5, [4, 4.5, 5, 5.5, 6]),
        (0, 0, [0, 0.2, 0.4, 0.6, 0.8, 1]),
    ],
)
def test_axis_labels_are_round(low: float, high: float, values: list[float]) -> None:
    """The labels of an axis are round numbers around the values."""
    assert round_values(low, high, 5) == values


@given(st.lists(st.tuples(finite, st.floats(-1e299, 1e299)), min_size=1, max_size=50))
@example([(-1e15, -1e299), (1e15, 1e299)])
def test_every_point_is_inside(points: list[tuple[float, float]]) -> None:
    """Whatever the numbers are, line and labels stay inside the frame."""
    plot = line_plot(sorted(points), "x", "y")
    assert plot is not None
    for pair in plot.line.split():
        x, y = map(float, pair.split(","))
        assert LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1
        assert TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1
    assert all(TOP - 0.1 <= tick.at <= HEIGHT - BOTTOM + 0.1 for tick in plot.y_ticks)


@given(st.lists(st.tuples(st.floats(0, 1e6), finite), min_size=1, max_size=500), st.integers(1, 20))
def test_thinning_keeps_the_extremes(points: list[tuple[float, float]], columns: int) -> None:
    """Thinning keeps the order of time, the first and last moment, the lowest and the highest value."""
    points.sort()
    kept = thinned(points, columns)
    assert [x for x, _ in kept] == sorted(x for x, _ in kept)
    assert (kept[0][0], kept[-1][0]) == (points[0][0], points[-1][0])
    assert min(y for _, y in kept) == min(y for _, y in points)
    assert max(y for _, y in kept) == max(y for _, y in points)
    assert len(kept) <= max(len(set(points)), columns * 2) or len(kept) <= 4 * (columns + 1)


def test_no_points_make_no_plot() -> None:
    """Without a finite number there is nothing to plot."""
    assert line_plot([], "x", "y") is None
    assert line_plot([(0.0, float("inf")), (0.0, float("nan"))], "x", "y") is None
    assert bar_plot([]) is None


def test_summary_describes_the_picture() -> None:
    """Who can't see the plot is told its range and its span of time."""
    plot = line_plot([(0.0, 1.5), (86_400.0, 2500.0)], "day", "rain")
    assert plot is not None
    assert plot.summary == "rain over day: 2 values from 1.5 to 2,500, between 1970-01-01 and 1970-01-02."


def test_bars_stack_without_gaps() -> None:
    """The kinds of a bar stand on one another, and their heights are as their counts."""
    plot = bar_plot([Bar(0.0, 30, 20, 10, 0), Bar(1.0, 0, 0, 0, 60)])
    assert plot is not None
    appended, overwritten, rejected, waiting = plot.boxes
    assert [each.kind for each in plot.boxes] == ["appended", "overwritten", "rejected", "waiting"]
    assert appended.y + appended.height == pytest.approx(HEIGHT - BOTTOM)
    assert overwritten.y + overwritten.height == pytest.approx(appended.y)
    assert rejected.y + rejected.height == pytest.approx(overwritten.y)
    assert waiting.height == pytest.approx(appended.height * 2)
    assert "30 appended, 20 overwritten, 10 rejected, 60 on their way or failed" in plot.summary


@pytest.mark.parametrize(
    ("first", "last", "labels"),
    [
        ("2012-01-01", "2015-12-31", ["2012", "2013", "2014", "2015"]),
        ("2024-01-01", "2024-01-09", ["2024-01-01", "2024-01-03", "2024-01-05", "2024-01-07", "2024-01-09"]),
        (
            "2024-01-01",
            "2024-01-05",
            ["01-01 00:00", "01-02 00:00", "01-03 00:00", "01-04 00:00", "01-05 00:00"],
        ),
        (
            "2024-01-01T01:00",
            "2024-01-01T05:00",
            ["01:00:00", "02:00:00", "03:00:00", "04:00:00", "05:00:00"],
        ),
        ("2024-01-01T01:00:00", "2024-01-01T01:00:02", ["01:00:00", "01:00:01", "01:00:02"]),
        ("2024-01-01", "2024-01-01", ["2024-01-01"]),
    ],
)
def test_times_are_labelled_by_their_span(first: str, last: str, labels: list[str]) -> None:
    """A long span has years, a shorter one days, a day has times; and no label comes twice."""
    ends = (datetime.fromisoformat(each).replace(tzinfo=timezone.utc).timestamp() for each in (first, last))
    assert [label for _, label in time_ticks(*ends)] == labels


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-02", 86_400.0),
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1970-01-01T00:00:00.123456789Z", 0.123456),
        ("1970-01-01T00:00:00,5", 0.5),
        ("soon", None),
        (5, None),
    ],
)
def test_date_times_become_seconds(text: object, expected: float | None) -> None:
    """ISO 8601 text becomes seconds since 1970, and everything else nothing."""
    assert seconds(text) == expected
