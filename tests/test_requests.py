"""Requests start as the real budget allows, their waits are counted, and failed ones are planned again."""

from __future__ import annotations

import pytest

from target_databox.api.budget import MARGIN, Budget
from target_databox.api.errors import LostAnswerError
from target_databox.api.retries import RetryRule
from target_databox.delivery.attempts import Attempts
from target_databox.delivery.batches import NEVER, Lane
from target_databox.delivery.notes import Notes
from target_databox.delivery.requests import Scheduler
from tests.delivering import FACTS, FreeBudget, destination, throttled


def lost(asked: float | None = None) -> LostAnswerError:
    """A failure, whose answer may ask for a wait."""
    return LostAnswerError("It was lost.", **FACTS, retry_after_seconds=asked)


def scheduler_of(budget: Budget | FreeBudget, notes: Notes | None = None) -> Scheduler:
    """Waits ten seconds longer after each failure, or what was asked for and a second for each."""
    rule = RetryRule(60.0, lambda tries, asked: 10.0 * tries if asked is None else asked + tries)
    return Scheduler(budget, rule, notes or Notes())


def test_waits_are_put_down_to_datasets() -> None:
    """A dataset is charged for the time from when its request was due and blocked until its turn."""
    scheduler = scheduler_of(Budget(4.0, 1000.0))
    first, second = Lane(destination()), Lane(destination())
    step = MARGIN / 4
    assert scheduler.wake_at == NEVER
    assert scheduler.may_start(first, 0.0, 0.0)
    assert not scheduler.may_start(first, 0.0, 0.1)
    assert scheduler.wake_at == pytest.approx(step)
    scheduler.begin()
    assert scheduler.wake_at == NEVER
    assert not scheduler.may_start(second, 0.2, 0.2)
    assert scheduler.may_start(second, 0.2, step)
    assert second.counts.throttled_seconds == pytest.approx(step - 0.2)
    assert not scheduler.may_start(second, step, step + 0.01)
    assert scheduler.may_start(second, step, 2 * step)
    assert second.counts.throttled_seconds == pytest.approx(step - 0.2 + step - 0.01)
    assert scheduler.may_start(second, 5.0, 5.0)
    assert second.counts.throttled_seconds == pytest.approx(step - 0.2 + step - 0.01)
    assert (first.counts.requests, second.counts.requests) == (1, 3)
    assert first.counts.throttled_seconds == 0


def test_questions_need_no_reserve() -> None:
    """A request that reserves nothing takes the last turn of the hour, one that reserves is held back."""
    scheduler = scheduler_of(Budget(100.0, 2.0))
    lane = Lane(destination())
    assert scheduler.may_start(lane, 0.0, 0.0, reserve=1)
    assert not scheduler.may_start(lane, 1.0, 1.0, reserve=1)
    assert scheduler.may_start(lane, 1.0, 1.0)


def test_wakes_at_the_earliest() -> None:
    """Of several times at which something is due the earliest counts."""
    scheduler = scheduler_of(Budget(10.0, 1000.0))
    for at in (30.0, 10.0, 20.0):
        scheduler.later(at)
    assert scheduler.wake_at == 10.0


def test_refusals_reach_the_budget() -> None:
    """A 429 pauses every request and is noted; after another answer the next pause is as short again."""
    budget, notes = Budget(10.0, 1000.0, rand=lambda: 0.0), Notes()
    scheduler = scheduler_of(budget, notes)
    lane = Lane(destination())
    scheduler.refused(0.0, 7.0)
    scheduler.refused(0.0, 7.0)
    (note,) = notes.taken()
    assert (note.level, "Pausing for 7.0 s" in str(note)) == ("warning", True)
    assert not scheduler.may_start(lane, 1.0, 1.0)
    assert scheduler.wake_at == 7.0
    scheduler.refused(100.0, None)
    assert budget.take(100.0) == pytest.approx(101.0)
    scheduler.succeeded()
    scheduler.refused(200.0, None)
    assert budget.take(200.0) == pytest.approx(200.5)


def test_warnings_are_noted_as_they_are() -> None:
    """What the budget says of a 429 is noted word for word, whatever signs are in it."""
    notes = Notes()

    class Talking(FreeBudget):
        def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
            super().refused(now, retry_after_seconds)
            return "100 %s of it"

    scheduler_of(Talking(), notes).refused(0.0, 7.0)
    assert [(note.level, str(note)) for note in notes.taken()] == [("warning", "100 %s of it")]


def test_waits_follow_failures_and_wishes() -> None:
    """The next try is due after a wait that depends on the failures so far and on what the API asked for."""
    scheduler, lane, attempts = scheduler_of(FreeBudget()), Lane(destination()), Attempts(100.0)
    due_at = []
    for now, error in ((100.0, lost()), (110.0, lost()), (130.0, lost(5.0)), (140.0, throttled(9.0))):
        attempts.started(now)
        assert scheduler.plan(lane, attempts, error, now)
        due_at.append(attempts.due_at)
    assert due_at == [110.0, 130.0, 138.0, 140.0]
    assert lane.counts.retries == 3


@pytest.mark.parametrize(("last", "ends"), [(159.0, False), (160.0, True)])
def test_tries_end(last: float, *, ends: bool) -> None:
    """A request that has failed for `retry_seconds` is not tried again, and its error says why."""
    scheduler, lane, attempts = scheduler_of(FreeBudget()), Lane(destination()), Attempts(100.0)
    assert scheduler.plan(lane, attempts, lost(), 100.0)
    error = lost()
    attempts.started(attempts.due_at)
    assert scheduler.plan(lane, attempts, error, last) != ends
    assert lane.counts.retries == (1 if ends else 2)
    assert attempts.due_at == (180.0 if ends else 160.0)
    why = " It is not tried again: the 60 seconds of retry_seconds are over." if ends else ""
    assert str(error) == f"It was lost.{why}"


def test_failures_are_noted_with_their_wait() -> None:
    """A failure is noted with its wait; those of the next ten seconds are counted, and then forgotten."""
    notes = Notes()
    scheduler, lane = scheduler_of(FreeBudget(), notes), Lane(destination())
    for now in (100.0, 101.0, 109.9, 110.0, 122.0):
        scheduler.plan(lane, Attempts(0.0), lost(), now)
    start = "A request for stream 'orders' (dataset 'Orders', d1) will be tried again in 10.0 s: It was lost."
    assert [str(note) for note in notes.taken()] == [
        start,
        f"{start} (2 other requests failed since the last such line)",
        start,
    ]
