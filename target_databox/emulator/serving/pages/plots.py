"""Works out where the lines, bars and labels of a plot go: pure, so that templates only write them down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_databox.emulator.state.browsing import Bar

WIDTH, HEIGHT, SMALL_HEIGHT = 760, 260, 150
LEFT, RIGHT, TOP, BOTTOM = 72, 16, 14, 34
_MOST_DOTS = 120
_LARGEST = 1e300
_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_FIRST_SECOND = (datetime.min.replace(tzinfo=timezone.utc) - _EPOCH).total_seconds()
_LAST_SECOND = (datetime(9999, 12, 31, tzinfo=timezone.utc) - _EPOCH).total_seconds()
_KINDS = {
    "appended": "appended",
    "overwritten": "overwritten",
    "rejected": "rejected",
    "waiting": "on their way or failed",
}


@dataclass(frozen=True, slots=True)
class Tick:
    """A labelled place on an axis, in the plot's own units."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle, and the kind of rows that it stands for."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture in a frame of `WIDTH` by its own height.

    Attributes:
        x_ticks: Labels of the horizontal axis.
        y_ticks: Labels of the vertical axis.
        line: The points of a line, as SVG writes them; empty when there is none.
        dots: The points to mark, when they are few.
        boxes: The rectangles.
        summary: A sentence for who can't see the picture.
        height: `HEIGHT`, or less for a small one.
    """

    x_ticks: list[Tick]
    y_ticks: list[Tick]
    line: str
    dots: list[tuple[float, float]]
    boxes: list[Box]
    summary: str
    height: int = HEIGHT


def line_plot(points: Sequence[tuple[float, float]], x_name: str, y_name: str) -> Plot | None:
    """A number over time; `None` when there is no point.

    Args:
        points: Seconds since 1970 with numbers, in the order of time.
        x_name: What the horizontal axis shows.
        y_name: What the vertical axis shows.
    """
    # Beyond this the differences of two numbers are infinite.
    finite = [(x, y) for x, y in points if abs(y) < _LARGEST]
    if not finite:
        return None
    first, last = finite[0][0], finite[-1][0]
    low, high = min(y for _, y in finite), max(y for _, y in finite)
    y_values = round_values(low, high, 5)
    bottom, top = min(low, y_values[0]), max(high, y_values[-1])
    places = [
        (_across(x, first, last), _up(y, bottom, top)) for x, y in thinned(finite, WIDTH - LEFT - RIGHT)
    ]
    summary = (
        f"{y_name} over {x_name}: {len(finite):,} values from {_number(low)} to {_number(high)},"
        f" between {_date(first)} and {_date(last)}."
    )
    return Plot(
        [Tick(_across(x, first, last), label) for x, label in time_ticks(first, last)],
        [Tick(_up(y, bottom, top), _short(y)) for y in y_values],
        " ".join(f"{x:.1f},{y:.1f}" for x, y in places),
        places if len(places) <= _MOST_DOTS else [],
        [],
        summary,
    )


def bar_plot(bars: Sequence[Bar], *, small: bool = False) -> Plot | None:
    """Rows by outcome over time, one stack for each span; `None` when there is no bar."""
    height = SMALL_HEIGHT if small else HEIGHT
    if not bars:
        return None
    kinds = list(_KINDS)
    totals = [sum(getattr(bar, kind) for kind in kinds) for bar in bars]
    y_values = round_values(0, max(*totals, 1), 2 if small else 4)
    top = y_values[-1]
    first = bars[0].begins_at
    span = bars[1].begins_at - first if len(bars) > 1 else 1.0
    end = bars[-1].begins_at + span
    width = (WIDTH - LEFT - RIGHT) / len(bars)
    boxes = []
    for place, bar in enumerate(bars):
        below = 0
        for kind in kinds:
            if count := getattr(bar, kind):
                base = _up(below, 0, top, height)
                # One rejected row of a million has to be seen.
                tall = max(base - _up(below + count, 0, top, height), 1.5)
                title = f"{count:,} rows {_KINDS[kind]}, {_stamp(bar.begins_at)}"
                boxes.append(Box(LEFT + place * width, base - tall, max(width - 1, 0.5), tall, kind, title))
                below += count
    parts = [f"{sum(getattr(bar, kind) for bar in bars):,} {_KINDS[kind]}" for kind in kinds]
    return Plot(
        [Tick(_across(x, first, end), label) for x, label in time_ticks(first, end)],
        [Tick(_up(y, 0, top, height), _short(y)) for y in y_values],
        "",
        [],
        boxes,
        f"Rows between {_stamp(first)} and {_stamp(end)}: {', '.join(parts)}.",
        height,
    )


def thinned(points: Sequence[tuple[float, float]], columns: int) -> list[tuple[float, float]]:
    """Fewer points that look the same: the first, lowest, highest and last of every column of a screen.

    Args:
        points: In the order of their first number.
        columns: How many columns the screen has.
    """
    first, last = points[0][0], points[-1][0]
    if len(points) <= columns * 2 or first == last:
        return list(points)
    slots: dict[int, list[tuple[float, float]]] = {}
    for point in points:
        slots.setdefault(int((point[0] - first) / (last - first) * columns), []).append(point)
    kept = []
    for slot in slots.values():
        low, high = min(slot, key=lambda point: point[1]), max(slot, key=lambda point: point[1])
        kept += sorted({slot[0], low, high, slot[-1]})
    return kept


def round_values(low: float, high: float, count: int) -> list[float]:
    """Round numbers, about so many, from at most `low` to at least `high`."""
    size = max(abs(low), abs(high))
    if high - low <= max(size * 1e-12, 1e-300):
        low, high = (low - size / 5, high + size / 5) if size > 1e-290 else (0, 1)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    begin, end = math.floor(low / step), math.ceil(high / step)
    # Twelve digits, or 0.1 + 0.2 would show more than anybody asked for.
    return [float(f"{step * n:.12g}") for n in range(begin, end + 1)]


def time_ticks(first: float, last: float) -> list[tuple[float, str]]:
    """Places and labels for a span of time: years, months, days or times of the day, as long as it is."""
    days = (last - first) / _DAY
    if first == last:
        return [(first, _date(first) if first % _DAY == 0 else _time(first))]
    if days > 3 * 366:
        begin, end = _moment(first).year, _moment(last).year
        step = max(1, round((end - begin) / 6))
        years = range(begin + 1 if _moment(first).timetuple().tm_yday > 1 else begin, end + 1, step)
        return [(datetime(year, 1, 1, tzinfo=timezone.utc).timestamp(), str(year)) for year in years]
    label = _date if days >= 8 else _time if _date(first) == _date(last) else _hour
    places = [first + (last - first) * n / 4 for n in range(5)]
    # A short span has fewer names than places.
    return [(at, label(at)) for n, at in enumerate(places) if not n or label(at) != label(places[n - 1])]


def _across(x: float, first: float, last: float) -> float:
    share = (x - first) / (last - first) if last > first else 0.5
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _up(y: float, bottom: float, top: float, height: int = HEIGHT) -> float:
    share = (y - bottom) / (top - bottom) if top > bottom else 0.5
    return height - BOTTOM - share * (height - TOP - BOTTOM)


def _short(value: float) -> str:
    """A number as an axis has room for it: 250k, 1.5M."""
    for least, unit, letter in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if least <= abs(value) < 1e15:
            return f"{value / unit:,.6g}{letter}"
    return _number(value)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.6g}"


def _moment(at: float) -> datetime:
    # From the epoch by addition: the platform's own conversion refuses years far away. An offset can move
    # the first and the last moment that a calendar has out of it.
    return _EPOCH + timedelta(seconds=min(max(at, _FIRST_SECOND), _LAST_SECOND))


def _date(at: float) -> str:
    return f"{_moment(at):%Y-%m-%d}"


def _time(at: float) -> str:
    return f"{_moment(at):%H:%M:%S}"


def _hour(at: float) -> str:
    return f"{_moment(at):%m-%d %H:%M}"


def _stamp(at: float) -> str:
    return f"{_date(at)} {_time(at)}"
