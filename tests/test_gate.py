"""The way out: each request takes a turn of the real budget, and waits are put down to who waited."""

from __future__ import annotations

import pytest

from target_databox.api.pacing import MARGIN, Budget
from target_databox.delivery.gate import Gate
from target_databox.delivery.lane import NEVER, Lane
from target_databox.delivery.notes import Notes
from tests.delivering import destination


def test_waits_are_put_down_to_datasets() -> None:
    """A dataset is charged for the time from when its request was due and blocked until its turn."""
    gate = Gate(Budget(4.0, 1000.0), Notes())
    first, second = Lane(destination()), Lane(destination())
    step = MARGIN / 4
    assert gate.wake_at == NEVER
    assert gate.lets(first, 0.0, 0.0)
    assert not gate.lets(first, 0.0, 0.1)
    assert gate.wake_at == pytest.approx(step)
    gate.begin()
    assert gate.wake_at == NEVER
    assert not gate.lets(second, 0.2, 0.2)
    assert gate.lets(second, 0.2, step)
    assert second.counts.throttled_seconds == pytest.approx(step - 0.2)
    assert not gate.lets(second, step, step + 0.01)
    assert gate.lets(second, step, 2 * step)
    assert second.counts.throttled_seconds == pytest.approx(step - 0.2 + step - 0.01)
    assert gate.lets(second, 5.0, 5.0)
    assert second.counts.throttled_seconds == pytest.approx(step - 0.2 + step - 0.01)
    assert (first.counts.requests, second.counts.requests) == (1, 3)
    assert first.counts.throttled_seconds == 0


def test_questions_need_no_reserve() -> None:
    """A request that reserves nothing takes the last turn of the hour, one that reserves is held back."""
    gate = Gate(Budget(100.0, 2.0), Notes())
    lane = Lane(destination())
    assert gate.lets(lane, 0.0, 0.0, reserve=1)
    assert not gate.lets(lane, 1.0, 1.0, reserve=1)
    assert gate.lets(lane, 1.0, 1.0)


def test_wakes_at_the_earliest() -> None:
    """Of several times at which something is due the earliest counts."""
    gate = Gate(Budget(10.0, 1000.0), Notes())
    for at in (30.0, 10.0, 20.0):
        gate.later(at)
    assert gate.wake_at == 10.0


def test_refusals_reach_the_budget() -> None:
    """A 429 pauses every request and is noted, and an answer lets the pace recover."""
    budget = Budget(10.0, 1000.0)
    notes = Notes()
    gate = Gate(budget, notes)
    lane = Lane(destination())
    gate.refused(0.0, 7.0)
    gate.refused(0.0, 7.0)
    (note,) = notes.taken()
    assert (note.level, "Pausing for 7.0 s" in str(note)) == ("warning", True)
    assert not gate.lets(lane, 1.0, 1.0)
    assert gate.wake_at == 7.0
    slowed = budget.pace
    gate.succeeded()
    assert budget.pace > slowed
