"""How the emulator counts requests, under a clock that the tests move."""

from __future__ import annotations

from typing import Any

import pytest

from target_databox.emulator.assumptions import Assumptions
from target_databox.emulator.serving.meter import UNLIMITED, Limits, Meter


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


def passed(meter: Meter, count: int) -> int:
    """How many of so many requests pass."""
    return sum(meter.refusal_seconds() is None for _ in range(count))


def meter(clock: Clock, limits: Limits | None = None, **assumed: Any) -> Meter:
    """A meter with the documented limits."""
    return Meter(limits or Limits(), Assumptions(**assumed), clock)


def test_bucket_refills_evenly() -> None:
    """The bucket lets ten requests pass at once, and one more every tenth of a second."""
    clock = Clock()
    key = meter(clock)
    assert passed(key, 20) == 10
    clock.now += 0.3
    assert passed(key, 20) == 3
    clock.now += 60
    assert passed(key, 20) == 10


def test_bucket_forgives_refusals() -> None:
    """Refused requests take nothing from the bucket, and their answers say how long to wait."""
    clock = Clock()
    key = meter(clock)
    passed(key, 100)
    assert key.refusal_seconds() == pytest.approx(0.1)
    clock.now += 0.1
    assert key.refusal_seconds() is None


def test_strict_second_counts_refusals() -> None:
    """The strict second counts refused requests too, so that insisting keeps the door shut."""
    clock = Clock()
    key = meter(clock, rate_counting="strict")
    assert passed(key, 15) == 10
    for _ in range(20):
        clock.now += 0.09
        assert key.refusal_seconds() is not None
    clock.now += 1.01
    assert passed(key, 10) == 10


def test_hour_is_limited() -> None:
    """Past the hour's limit a request is refused until an old one leaves the hour."""
    clock = Clock()
    key = meter(clock, Limits(None, 3))
    for _ in range(3):
        assert key.refusal_seconds() is None
        clock.now += 600
    assert key.refusal_seconds() == pytest.approx(1800)
    assert key.used_this_hour() == 3
    clock.now += 1800
    assert key.refusal_seconds() is None


def test_cooldown_refuses_everything() -> None:
    """With a cooldown, a refusal shuts the door for that long, also once the bucket is full again."""
    clock = Clock()
    key = meter(clock, cooldown_seconds=5.0)
    passed(key, 10)
    assert key.refusal_seconds() == pytest.approx(5.0)
    clock.now += 4.9
    assert key.refusal_seconds() is not None


def test_slow_rates_still_pass() -> None:
    """A rate below one a second lets one request pass, and the next one in its time."""
    clock = Clock()
    key = meter(clock, Limits(0.5, None))
    assert passed(key, 5) == 1
    assert key.refusal_seconds() == pytest.approx(2.0)
    clock.now += 2
    assert passed(key, 5) == 1


def test_limits_can_be_off() -> None:
    """Without limits everything passes."""
    assert passed(meter(Clock(), UNLIMITED), 20_000) == 20_000
