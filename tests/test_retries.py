"""Facts on what is tried again, how long is waited before it, and when it ends."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.api.errors import (
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    SetupError,
    ThrottledError,
    TransientError,
    UnreachableError,
)
from target_databox.api.retries import (
    CEILINGS_SECONDS,
    LONGEST_RETRY_AFTER_SECONDS,
    epoch_of_http_date,
    is_worth_retrying,
    patiently,
    retry_after_seconds,
    wait_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1759320000.0  # Wed, 01 Oct 2025 12:00:00 GMT


def failed(kind: type[TransientError], asked: float | None = None) -> TransientError:
    """A transient error."""
    return kind("Failed.", method="GET", path="/v1/accounts", retry_after_seconds=asked)


class Clock:
    """Time that passes only when something takes or waits for it; also the budget and the API."""

    def __init__(
        self, *answers: Exception | str, try_seconds: float = 1.0, turn_seconds: float = 0.0
    ) -> None:
        self.answers = list(answers)
        self.try_seconds = try_seconds
        self.turn_seconds = turn_seconds
        self.seconds = 0.0
        self.events: list[object] = []

    def wait_turn(self) -> None:
        """The budget's turn."""
        self.events.append("turn")
        self.seconds += self.turn_seconds

    def refused(self, retry_after_seconds: float | None) -> None:
        """The budget learns of a 429."""
        self.events.append(("refused", retry_after_seconds))

    def succeeded(self) -> None:
        """The budget learns of an answer."""
        self.events.append("succeeded")

    def rest(self, seconds: float) -> None:
        """Wait."""
        self.events.append(round(seconds, 6))
        self.seconds += seconds

    def call(self) -> str:
        """One try; the last answer is given for ever."""
        self.seconds += self.try_seconds
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self, retry_seconds: float, rand: Callable[[], float] = lambda: 1.0) -> str:
        """Make the request patiently."""
        return patiently(
            self.call,
            budget=self,
            retry_seconds=retry_seconds,
            now=lambda: self.seconds,
            rest=self.rest,
            rand=rand,
        )

    @property
    def tries(self) -> int:
        """How often the request was made."""
        return self.events.count("turn")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("999999999", 3600.0),
        ("-1", None),
        ("1e3", None),
        ("\u0667", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
        ("Wed, 01 Oct 2025 12:00:30 GMT", 30.0),
        ("Wed, 01 Oct 2025 11:00:00 GMT", 0.0),
        ("Wed, 01 Oct 2025 14:00:30 +0200", 30.0),
        ("Wed, 01 Oct 2025 12:00:30 -0000", 30.0),
        ("Fri, 01 Oct 2055 12:00:00 GMT", 3600.0),
        ("Wed, 99 Oct 2025 12:00:00 GMT", None),
    ],
)
def test_retry_after_is_read(value: str | None, seconds: float | None) -> None:
    """Seconds and HTTP dates are understood, garbage is nothing, and an hour is the most."""
    assert retry_after_seconds(value, NOW) == seconds


@given(st.text(max_size=40))
def test_retry_after_survives_anything(value: str) -> None:
    """Whatever the header holds, the answer is nothing or within an hour."""
    seconds = retry_after_seconds(value, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER_SECONDS


def test_waits_double_up_to_a_minute() -> None:
    """The longest waits are 1, 2, 4 … 60 seconds."""
    assert [wait_seconds(tries, None, lambda: 1.0) for tries in range(1, 10)] == [
        1,
        2,
        4,
        8,
        16,
        32,
        60,
        60,
        60,
    ]


@given(st.integers(1, 1000), st.floats(0, 1, exclude_max=True))
def test_jitter_is_full(tries: int, drawn: float) -> None:
    """A wait is any share of its longest, down to nothing."""
    assert wait_seconds(tries, None, lambda: drawn) == drawn * wait_seconds(tries, None, lambda: 1.0)
    assert wait_seconds(tries, None, lambda: 0.0) == 0


@given(st.floats(0, 3600), st.floats(0, 1, exclude_max=True))
def test_retry_after_wins(asked: float, drawn: float) -> None:
    """What the API asked for is waited in full, and a little more so that not all come back at once."""
    wait = wait_seconds(1, asked, lambda: drawn)
    assert asked <= wait <= asked + 5
    assert wait_seconds(1, asked, lambda: 0.9) > asked


@pytest.mark.parametrize(
    ("error", "failing", "again", "reason"),
    [
        (failed(LostAnswerError), 0, True, "the failure is transient"),
        (failed(UnreachableError), 9.9, True, "the failure is transient"),
        (failed(LostAnswerError), 10, False, "it has been failing for 10 seconds (retry_seconds)"),
        (failed(LostAnswerError, 8), 1, True, "the failure is transient"),
        (failed(LostAnswerError, 8), 2, True, "the failure is transient"),
        (
            failed(LostAnswerError, 8),
            3,
            False,
            "the API asks to wait 8 seconds, which is more than retry_seconds leaves",
        ),
        (
            failed(ThrottledError, 3600),
            1e9,
            True,
            "the rate limit passes, and waiting for it counts towards no timeout",
        ),
        (RefusedError("No.", method="GET", path="/"), 0, False, "the answer is final"),
        (KeyRefusedError("No.", method="GET", path="/"), 0, False, "the answer is final"),
        (MissingError("No.", method="GET", path="/"), 0, False, "the answer is final"),
        (SetupError("No."), 0, False, "the answer is final"),
        (ValueError("No."), 0, False, "the answer is final"),
    ],
)
def test_decisions_carry_their_reason(error: Exception, failing: float, again: bool, reason: str) -> None:
    """Whether there is another try follows from the error and the time, and is explained."""
    decision = is_worth_retrying(error, failing, 10)
    assert (decision.again, decision.reason) == (again, reason)


def test_success_needs_one_turn() -> None:
    """A request that succeeds takes one turn and waits for nothing."""
    clock = Clock("done")
    assert clock.run(10) == "done"
    assert clock.events == ["turn", "succeeded"]


def test_transient_failures_are_retried() -> None:
    """Each try has its own turn, and the waits between them double."""
    clock = Clock(failed(LostAnswerError), failed(UnreachableError), failed(LostAnswerError), "done")
    assert clock.run(100) == "done"
    assert clock.events == ["turn", 1, "turn", 2, "turn", 4, "turn", "succeeded"]


def test_final_failures_are_raised() -> None:
    """A refusal is raised at once, as itself."""
    refusal = RefusedError("No.", method="GET", path="/")
    clock = Clock(refusal)
    with pytest.raises(RefusedError) as caught:
        clock.run(100)
    assert caught.value is refusal
    assert clock.events == ["turn"]


def test_failing_ends_in_time() -> None:
    """The last try is made when the time is up, and its error is raised."""
    clock = Clock(failed(LostAnswerError), try_seconds=1)
    with pytest.raises(LostAnswerError):
        clock.run(10)
    assert clock.events == ["turn", 1, "turn", 2, "turn", 4, "turn"]
    assert clock.seconds == 11


def test_no_patience_means_one_try() -> None:
    """With retry_seconds 0 there is one try."""
    clock = Clock(failed(UnreachableError), try_seconds=0)
    with pytest.raises(UnreachableError):
        clock.run(0)
    assert clock.tries == 1


def test_throttling_counts_towards_nothing() -> None:
    """A thousand 429s and their waits use up none of the time, which the budget alone waits for."""
    answers = [failed(ThrottledError, 3600)] * 1000
    clock = Clock(*answers, failed(LostAnswerError), "done", turn_seconds=3600)
    assert clock.run(2) == "done"
    assert clock.events[:3] == ["turn", ("refused", 3600), "turn"]
    assert clock.tries == 1002


def test_turns_count_towards_nothing() -> None:
    """Waiting for a turn uses up none of the time."""
    clock = Clock(failed(LostAnswerError), failed(LostAnswerError), "done", try_seconds=0, turn_seconds=1e6)
    assert clock.run(5) == "done"


def test_asked_waits_are_kept() -> None:
    """A 503 with Retry-After is waited for, and given up when it asks for more than there is."""
    clock = Clock(failed(LostAnswerError, 5), "done")
    assert clock.run(10, rand=lambda: 0.0) == "done"
    assert clock.events == ["turn", 5, "turn", "succeeded"]
    clock = Clock(failed(LostAnswerError, 50), "done")
    with pytest.raises(LostAnswerError):
        clock.run(10)
    assert clock.tries == 1


def test_rests_can_be_ended() -> None:
    """What ends a wait, such as a signal, ends the request."""

    def end(_: float) -> None:
        raise KeyboardInterrupt

    clock = Clock(failed(LostAnswerError))
    with pytest.raises(KeyboardInterrupt):
        patiently(clock.call, budget=clock, retry_seconds=100, now=lambda: 0.0, rest=end)
    assert clock.tries == 1


@given(st.integers(0, 10**6), st.floats(0, 300), st.floats(0.001, 60))
def test_patience_always_ends(seed: int, retry_seconds: float, try_seconds: float) -> None:
    """Whatever the jitter, failing lasts no longer than retry_seconds and one last try."""
    clock = Clock(failed(LostAnswerError), try_seconds=try_seconds)
    with pytest.raises(LostAnswerError):
        clock.run(retry_seconds, rand=random.Random(seed).random)  # noqa: S311 -- jitter, not a secret
    assert clock.seconds <= retry_seconds + 2 * try_seconds + 1e-6


def test_ceilings_come_from_backoff() -> None:
    """The ladder begins at its base and ends at its cap."""
    assert (CEILINGS_SECONDS[0], CEILINGS_SECONDS[-1]) == (1, 60)


@pytest.mark.parametrize(("asked", "longest"), [(0, 0.1), (1, 1.1), (20, 22), (50, 55), (3600, 3605)])
def test_jitter_grows_with_what_was_asked(asked: float, longest: float) -> None:
    """A tenth of the asked wait is added at most, between a tenth of a second and five."""
    assert wait_seconds(1, asked, lambda: 1.0) == pytest.approx(longest)


def test_asked_waits_get_jitter_and_others_may_be_none() -> None:
    """The wait that the API asked for is stretched by chance; one that nobody asked for may be nothing."""
    clock = Clock(failed(LostAnswerError, 5), failed(LostAnswerError), "done")
    assert clock.run(100, rand=lambda: 0.5) == "done"
    assert clock.events == ["turn", 5.25, "turn", 1.0, "turn", "succeeded"]
    clock = Clock(failed(LostAnswerError), "done")
    assert clock.run(100, rand=lambda: 0.0) == "done"
    assert clock.seconds == 2 * clock.try_seconds


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system's zone can't be set")
def test_dates_without_zone_are_universal(monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP date of no zone is taken for UTC, wherever this machine is."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert epoch_of_http_date("Wed, 01 Oct 2025 12:00:00 -0000") == NOW
    finally:
        monkeypatch.undo()
        time.tzset()


def test_retries_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """Each wait is a warning with its reason, and giving up is told at DEBUG; nothing else is logged."""
    caplog.set_level(logging.DEBUG)
    clock = Clock(failed(LostAnswerError))
    with pytest.raises(LostAnswerError):
        clock.run(4)
    assert [(entry.name, entry.levelname, entry.getMessage()) for entry in caplog.records] == [
        (
            "target_databox.api.retries",
            "WARNING",
            "Try 1 failed, the next is in 1.0 seconds: Failed.",
        ),
        (
            "target_databox.api.retries",
            "WARNING",
            "Try 2 failed, the next is in 1.0 seconds: Failed.",
        ),
        (
            "target_databox.api.retries",
            "DEBUG",
            "No further try, since it has been failing for 4 seconds (retry_seconds).",
        ),
    ]
