"""Attempts: how long a request has been failing, and what it waited for its turn."""

from __future__ import annotations

from target_databox.delivery.attempts import Attempts


def test_waiting_is_no_failing() -> None:
    """Time that a try waits for its turn does not count as time of failing."""
    attempts = Attempts(0.0)
    attempts.started(5.0)
    assert attempts.failed(10.0) == 0.0
    attempts.due_at = 15.0
    attempts.started(1015.0)
    assert attempts.failed(1020.0) == 10.0


def test_throttled_tries_are_no_failing() -> None:
    """Neither a try that ends with 429 nor the wait behind it counts, as failing or as a failure."""
    attempts = Attempts(0.0)
    attempts.started(0.0)
    attempts.failed(10.0)
    attempts.due_at = 15.0
    attempts.started(20.0)
    attempts.throttled(80.0)
    attempts.started(3680.0)
    assert (attempts.tries, attempts.waited_seconds) == (1, 3665.0)
    assert attempts.failed(3685.0) == 10.0


def test_waits_before_a_failure_stay_counted() -> None:
    """What a question waited for the budget is not forgotten when a later try of it fails."""
    attempts = Attempts(0.0)
    attempts.started(3600.0)
    attempts.failed(3601.0)
    attempts.due_at = 3602.0
    attempts.started(3702.0)
    assert attempts.waited_seconds == 3700.0


def test_success_starts_anew() -> None:
    """After a success a later failure counts from itself."""
    attempts = Attempts(0.0)
    attempts.failed(1.0)
    attempts.succeeded()
    assert attempts.failed(500.0) == 0.0
    assert attempts.tries == 1
