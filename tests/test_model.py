"""Attempts: how long a request has been failing, and what it waited for its turn."""

from __future__ import annotations

from target_databox.delivery.model import Attempts


def test_waiting_is_no_failing() -> None:
    """Time that a try waits for its turn does not count as time of failing."""
    attempts = Attempts(0.0)
    attempts.started(0.0)
    assert attempts.failed(10.0, lambda _: 5.0) == 0.0
    attempts.started(1015.0)
    assert attempts.failed(1020.0, lambda _: 5.0) == 10.0


def test_waits_before_a_failure_stay_counted() -> None:
    """What a question waited for the budget is not forgotten when a later try of it fails."""
    attempts = Attempts(0.0)
    attempts.started(3600.0)
    attempts.failed(3601.0, lambda _: 1.0)
    attempts.started(3702.0)
    assert attempts.waited_seconds == 3700.0


def test_success_starts_anew() -> None:
    """After a success a later failure counts from itself."""
    attempts = Attempts(0.0)
    attempts.failed(1.0, lambda _: 1.0)
    attempts.succeeded()
    assert attempts.failed(500.0, lambda tries: float(tries)) == 0.0
    assert (attempts.tries, attempts.due_at) == (1, 501.0)
