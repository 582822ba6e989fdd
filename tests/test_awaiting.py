"""When outcomes are asked for: late enough to be there, soon enough not to be waited for."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.delivery.awaiting import FIRST_SECONDS, PROBE_SECONDS, PollDelay


def test_delay_doubles_until_learned() -> None:
    """Before the first outcome, every question that came too early doubles the delay."""
    delay = PollDelay()
    for age in (0.1, 0.2, 0.4):
        delay.asked(age, done=False)
        assert delay.seconds == pytest.approx(2 * age)
    assert not delay.is_learned
    delay.asked(0.8, done=True)
    assert delay.is_learned
    assert delay.seconds == pytest.approx(0.8)


@pytest.mark.parametrize(("fastest", "slowest"), [(0.05, 0.1), (1.0, 6.0), (2.9, 3.1), (10.0, 30.0)])
def test_few_questions_come_too_early(fastest: float, slowest: float) -> None:
    """Of two thousand questions hardly more than one in fifty comes too early, and none much too late."""
    rand, delay = random.Random(1), PollDelay()  # noqa: S311
    early = 0
    for _ in range(2000):
        takes = rand.uniform(fastest, slowest)
        age = delay.seconds
        while age < takes:
            delay.asked(age, done=False)
            early += 1
            age = delay.again(age, 600.0)
        delay.asked(age, done=True)
    assert early < 40
    assert delay.seconds < 1.5 * slowest


@given(st.floats(0.0, 599.0), st.floats(1.0, 600.0))
def test_timeout_is_asked_at(age: float, timeout: float) -> None:
    """The next question is later than the last, and none skips the end of the timeout."""
    delay = PollDelay()
    later = delay.again(age, timeout)
    assert later >= min(age + 0.05, timeout) or age >= timeout
    if age < timeout:
        assert later <= timeout


def test_delay_never_falls_to_nothing() -> None:
    """An ingestion that is done at once is still asked about after the first delay."""
    delay = PollDelay()
    delay.asked(0.0, done=True)
    assert delay.seconds == FIRST_SECONDS


@pytest.mark.parametrize(
    ("age", "later"),
    [(0.0, FIRST_SECONDS), (0.08, 0.13), (10.0, 15.0), (100.0, 130.0), (599.0, 600.0), (600.0, 630.0)],
)
def test_questions_grow_apart(age: float, later: float) -> None:
    """The next question is half as late again, 0.05 to 30 seconds later, and within the timeout."""
    assert PollDelay().again(age, 600.0) == pytest.approx(later)


@pytest.mark.parametrize(("age", "seconds"), [(0.8, 0.79776), (1.0, 0.79776), (1.001, 0.8), (9.0, 0.8)])
def test_late_answers_teach_nothing(age: float, seconds: float) -> None:
    """An outcome that is there when asked for shortens the delay, unless the question came late anyway."""
    delay = PollDelay()
    delay.asked(0.8, done=True)
    delay.asked(age, done=True)
    assert delay.seconds == pytest.approx(seconds)


def test_learned_delay_grows_by_a_quarter() -> None:
    """Once learned, a question that came too early lengthens the delay a little beyond it."""
    delay = PollDelay()
    assert delay.is_learned is False
    delay.asked(0.8, done=True)
    delay.asked(2.0, done=False)
    assert delay.seconds == pytest.approx(2.5)
    delay.asked(1.0, done=False)
    assert delay.seconds == pytest.approx(2.5)


def test_stuck_ingestion_delays_no_other() -> None:
    """What is asked about again and again in vain does not make the others wait longer."""
    delay = PollDelay()
    delay.asked(0.1, done=True)
    delay.asked(1.0, done=False)
    for age in range(2, 600, 10):
        delay.asked(float(age), done=False, is_first=False)
    assert delay.seconds == 1.25


def test_stuck_first_ingestion_holds_up_no_other() -> None:
    """While no outcome was seen, others are asked about once the first has been asked for some seconds."""
    delay = PollDelay()
    assert not delay.asks_many
    delay.asked(PROBE_SECONDS / 2, done=False)
    assert delay.seconds == PROBE_SECONDS
    assert delay.asks_many
    delay = PollDelay()
    while delay.seconds < 5.0:
        delay.asked(delay.seconds, done=False, is_first=False)
    assert delay.asks_many
