"""Whether and when a request that failed is tried again, and what is told of it."""

from __future__ import annotations

import pytest

from target_databox.api.errors import LostAnswerError
from target_databox.delivery.course import Course, Mode
from target_databox.delivery.lane import Lane
from target_databox.delivery.model import Attempts
from target_databox.delivery.notes import Notes
from target_databox.delivery.patience import Patience
from tests.delivering import FACTS, destination, throttled


def lost(asked: float | None = None) -> LostAnswerError:
    """A failure, whose answer may ask for a wait."""
    return LostAnswerError("It was lost.", **FACTS, retry_after_seconds=asked)


def patience(course: Course, notes: Notes | None = None) -> Patience:
    """Waits ten seconds longer after each failure, or what was asked for and a second for each."""
    return Patience(
        course, 60.0, lambda tries, asked: 10.0 * tries if asked is None else asked + tries, notes or Notes()
    )


def test_waits_follow_failures_and_wishes() -> None:
    """The next try is due after a wait that depends on the failures so far and on what the API asked for."""
    course, lane, attempts = Course(20.0), Lane(destination()), Attempts(0.0)
    patient = patience(course)
    due_at = []
    for now, error in ((100.0, lost()), (110.0, lost()), (130.0, lost(5.0)), (140.0, throttled(9.0))):
        patient.try_later(lane, attempts, error, now)
        due_at.append(attempts.due_at)
    assert due_at == [110.0, 130.0, 138.0, 140.0]
    assert lane.counts.retries == 3
    assert course.error is None


@pytest.mark.parametrize(("last", "ends"), [(160.0, False), (160.1, True)])
def test_patience_ends(last: float, *, ends: bool) -> None:
    """A request that has failed for longer than `retry_seconds` ends the run with its own error."""
    course, lane, attempts = Course(20.0), Lane(destination()), Attempts(0.0)
    patient = patience(course)
    patient.try_later(lane, attempts, lost(), 100.0)
    error = lost()
    attempts.started(attempts.due_at)
    patient.try_later(lane, attempts, error, last)
    assert course.error is (error if ends else None)
    assert course.mode is (Mode.SETTLING if ends else Mode.RUNNING)
    assert lane.counts.retries == (1 if ends else 2)


def test_failures_are_told_with_their_wait() -> None:
    """A failure is told with its wait; those of the next ten seconds are counted, and then forgotten."""
    notes = Notes()
    lane = Lane(destination())
    patient = patience(Course(20.0), notes)
    for now in (100.0, 101.0, 102.0, 111.0, 122.0):
        patient.try_later(lane, Attempts(0.0), lost(), now)
    start = "A request for stream 'orders' (dataset 'Orders', d1) will be tried again in 10.0 s: It was lost."
    assert [str(note) for note in notes.taken()] == [
        start,
        f"{start} (2 other requests failed since the last such line)",
        start,
    ]
