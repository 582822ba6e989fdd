"""Facts on what is tried again, how long is waited before it, and when it ends."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import random
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.api.budget import BlockingBudget
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
    RetryRule,
    call_with_retries,
    epoch_of_http_date,
    retry_after_seconds,
    wait_seconds,
)
from target_databox.api.values import Accepted
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.requests import AskOutcome, PostRows
from target_databox.delivery.rows import Row
from tests.delivering import FACTS, FreeBudget, destination, settings, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = 1759320000.0  # Wed, 01 Oct 2025 12:00:00 GMT


class Try(NamedTuple):
    """One try as the API sees it.

    Attributes:
        answer: `ok`, `429`, or `failed`.
        asked: Its Retry-After, if any.
        seconds: How long it takes.
        turn_seconds: How long the budget lets it wait before.
    """

    answer: str
    asked: float | None = None
    seconds: float = 1.0
    turn_seconds: float = 0.0


OK = Try("ok")
FAILED = Try("failed")
THROTTLED = Try("429", 3600.0)


class Story:
    """A request whose tries are planned, under a clock that moves only where time is taken or waited for.

    Also the budget that delivery and setup draw from. The last planned try is repeated for ever.

    Attributes:
        starts: When each try started, counted from the first one.
        rests: How long was rested, each time.
        heard: What the budget learned of answers.
    """

    def __init__(self, *tries: Try) -> None:
        self.tries = list(tries)
        self.now = 0.0
        self.starts: list[float] = []
        self.rests: list[float] = []
        self.heard: list[object] = []
        self._free_at: float | None = None
        self._paused_until = 0.0

    @property
    def present(self) -> Try:
        """The try that is made next, or is being made."""
        return self.tries[min(len(self.starts), len(self.tries) - 1)]

    def take(self, now: float, reserve: int = 0) -> float:
        """The budget's turn."""
        del reserve
        if self._free_at is None:
            self._free_at = max(now + self.present.turn_seconds, self._paused_until)
        if now < self._free_at:
            return self._free_at
        self._free_at = None
        return 0.0

    def refused(self, now: float, retry_after_seconds: float | None) -> None:
        """The budget learns of a 429."""
        self.heard.append(("refused", retry_after_seconds))
        self._paused_until = now + (retry_after_seconds or 1.0)

    def succeeded(self) -> None:
        """The budget learns of an answer."""
        self.heard.append("succeeded")

    def rest(self, seconds: float) -> None:
        """Wait."""
        self.rests.append(seconds)
        self.now += seconds

    def made(self, kind: type[TransientError] = LostAnswerError) -> TransientError | None:
        """Make a try; returns how it failed."""
        one = self.present
        self.starts.append(self.now)
        self.now += one.seconds
        if one.answer == "429":
            kind = ThrottledError
        return None if one.answer == "ok" else kind("Failed.", **FACTS, retry_after_seconds=one.asked)

    @property
    def moments(self) -> list[float]:
        """When each try started, from the first one."""
        return [round(start - self.starts[0], 6) for start in self.starts]


def by_setup(story: Story, retry_seconds: float, rand: Callable[[], float]) -> BaseException | None:
    """Make the request as setup does."""

    def call() -> None:
        error = story.made()
        if error is not None:
            raise error

    blocking = BlockingBudget(story, clock=lambda: story.now, rest=story.rest)  # type: ignore[arg-type] # a budget
    try:
        call_with_retries(
            call,
            budget=blocking,
            retry_seconds=retry_seconds,
            now=lambda: story.now,
            rest=story.rest,
            rand=rand,
        )
    except TransientError as error:
        return error
    return None


def by_delivery(
    story: Story, retry_seconds: float, rand: Callable[[], float], *, asks: bool
) -> BaseException | None:
    """Make the request as delivery does: a question for an outcome, or else a POST of rows."""
    wait = functools.partial(wait_seconds, rand=rand)
    dispatcher = Dispatcher(settings(retry_seconds=retry_seconds), FreeBudget(), wait=wait, new_key=str)
    lane = dispatcher.open_lane(destination())
    dispatcher.put(lane, [Row((number,), b"{}", number=number, line=b"{}") for number in range(4)], 0.0)
    if asks:
        post = dispatcher.next(0.0)
        assert isinstance(post, PostRows)
        dispatcher.done(post, Accepted("i1", (), "r"), 0.0)
    dispatcher._scheduler._budget = story
    while dispatcher.error is None:
        request = dispatcher.next(story.now)
        if request is None:
            story.now = max(dispatcher.wake_at, math.nextafter(story.now, math.inf))
            continue
        assert isinstance(request, AskOutcome if asks else PostRows)
        error = story.made(LostAnswerError if asks else UnreachableError)
        done = stored(4) if asks else Accepted("i1", (), "r")
        dispatcher.done(request, error or done, story.now)
        if error is None:
            return None
    return dispatcher.error


DRIVERS: dict[str, Callable[..., BaseException | None]] = {
    "setup": by_setup,
    "question": functools.partial(by_delivery, asks=True),
    "post": functools.partial(by_delivery, asks=False),
}
every_driver = pytest.mark.parametrize("play", DRIVERS.values(), ids=DRIVERS)

OVER = "the {} seconds of retry_seconds are over"
ASKS = "the API asks for a wait of {} seconds, and retry_seconds leaves {}"
# retry_seconds, the tries, when they start, and why there is no further one.
RULES: dict[str, tuple[float, list[Try], list[float], str | None]] = {
    "success": (300, [OK], [0], None),
    "waits double": (300, [FAILED, FAILED, FAILED, OK], [0, 2, 5, 10], None),
    "a minute at most": (
        1000,
        [FAILED._replace(seconds=0)],
        [0, 1, 3, 7, 15, 31, 63, *range(123, 1000, 60), 1000],
        OVER.format(1000),
    ),
    "time is up after a wait": (10, [FAILED], [0, 2, 5, 10], OVER.format(10)),
    "the last wait is cut": (6, [FAILED], [0, 2, 5, 7], OVER.format(6)),
    "time is up within a try": (6, [FAILED, FAILED, FAILED._replace(seconds=9)], [0, 2, 5], OVER.format(6)),
    "no time": (0, [FAILED], [0], OVER.format(0)),
    "no time, whatever is asked": (0, [Try("failed", 0.0)], [0], OVER.format(0)),
    "time runs from the first failure": (
        30,
        [FAILED._replace(seconds=60), FAILED, OK],
        [0, 61, 64],
        None,
    ),
    "asked waits are kept": (10, [Try("failed", 5.0), OK], [0, 6.5], None),
    "asked waits fill the time": (10, [Try("failed", 10.0)], [0, 11], OVER.format(10)),
    "too much is asked": (300, [Try("failed", 600.0)], [0], ASKS.format(600, 300)),
    "too much is asked later": (
        10,
        [FAILED, FAILED, Try("failed", 5.5), OK],
        [0, 2, 5],
        ASKS.format(5.5, 5),
    ),
    "nothing is asked": (10, [Try("failed", 0.0), OK], [0, 1.1], None),
    "429 is no failure": (0, [THROTTLED] * 100 + [OK], [3601 * number for number in range(101)], None),
    "429 asks for nothing": (10, [Try("429"), OK], [0, 2], None),
    "429 between failures": (
        4,
        [FAILED, THROTTLED._replace(seconds=50), FAILED, OK],
        [0, 2, 3652, 3655],
        None,
    ),
    "429 after the time": (2, [FAILED, FAILED, THROTTLED, FAILED], [0, 2], OVER.format(2)),
    "turns are no failing": (
        9,
        [FAILED._replace(turn_seconds=1000.0)] * 3 + [OK],
        [0, 1002, 2005, 2010],
        None,
    ),
}


@every_driver
@pytest.mark.parametrize(("retry_seconds", "tries", "starts", "reason"), RULES.values(), ids=RULES)
def test_one_rule_for_all_requests(
    play: Callable[..., BaseException | None],
    retry_seconds: float,
    tries: list[Try],
    starts: list[float],
    reason: str | None,
) -> None:
    """Setup, questions and POSTs are tried at the same moments, and end for the same reason."""
    story = Story(*tries)
    error = play(story, retry_seconds, lambda: 1.0)
    assert story.moments == starts
    assert (error is None) is (reason is None)
    assert str(error).endswith(f"Failed. It is not tried again: {reason}." if reason else "None")


tries = st.builds(
    Try,
    st.sampled_from(["failed", "failed", "failed", "429", "ok"]),
    st.none() | st.integers(0, 60).map(float),
    st.integers(0, 90).map(float),
    st.sampled_from([0.0, 0.0, 1.0, 5000.0]),
)


@given(
    st.lists(tries, max_size=12), st.integers(0, 300), st.lists(st.floats(0, 1, exclude_max=True), min_size=1)
)
def test_setup_and_delivery_agree(planned: list[Try], retry_seconds: int, drawn: list[float]) -> None:
    """Whatever happens, setup and delivery try at the same moments, and no longer than the time allows."""
    ends = []
    for play in DRIVERS.values():
        chances = itertools.cycle(drawn)
        story = Story(*planned, FAILED)
        error = play(story, retry_seconds, lambda chances=chances: next(chances))
        ends.append((story.moments, None if error is None else str(error).partition("Failed.")[2]))
        made = [story.tries[min(number, len(planned))] for number in range(len(story.starts))]
        begun = next((number for number, each in enumerate(made) if each.answer == "failed"), len(made))
        counted = [each.seconds for each in made[begun + 1 : -1] if each.answer == "failed"]
        assert sum(counted) <= retry_seconds + 0.001
    assert ends == [ends[0]] * len(ends)


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
        ("Wed, 01 Oct 99999999999999999999 12:00:00 GMT", None),
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


def setup_of(
    *tries: Try, retry_seconds: float = 100.0, rand: float = 1.0
) -> tuple[Story, BaseException | None]:
    """What setup makes of some tries."""
    story = Story(*tries)
    return story, by_setup(story, retry_seconds, lambda: rand)


def test_success_waits_for_nothing() -> None:
    """A request that succeeds rests not at all, and the budget learns of it."""
    story, error = setup_of(OK)
    assert (error, story.rests, story.heard) == (None, [], ["succeeded"])


def test_budget_learns_of_throttling() -> None:
    """A 429 is told to the budget with its wait; another failure tells the budget nothing."""
    story, _ = setup_of(Try("429", 7.0), FAILED, Try("429"), OK)
    assert story.heard == [("refused", 7.0), ("refused", None), "succeeded"]


def test_result_is_returned() -> None:
    """What the call returned is returned."""
    story = Story(OK)
    blocking = BlockingBudget(story, clock=lambda: 0.0)  # type: ignore[arg-type] # a budget
    assert call_with_retries(lambda: "done", budget=blocking, retry_seconds=0) == "done"


def test_final_failures_are_raised() -> None:
    """A refusal, like any error that is not transient, is raised at once, as itself, in its own words."""
    blocking = BlockingBudget(Story(OK), clock=lambda: 0.0)  # type: ignore[arg-type] # a budget
    for refusal in (
        *(kind("No.", **FACTS) for kind in (RefusedError, KeyRefusedError, MissingError)),
        SetupError("No."),
        ValueError("No."),
    ):
        calls = iter([refusal])

        def call(calls: Iterator[Exception] = calls) -> None:
            raise next(calls)

        with pytest.raises(type(refusal), match=r"^No\.$") as caught:
            call_with_retries(call, budget=blocking, retry_seconds=100)
        assert caught.value is refusal


def test_turns_of_requests_within_are_not_counted() -> None:
    """A request that makes others first, as creating after a lost answer does, may wait for their turns."""
    story = Story(FAILED, OK)
    blocking = BlockingBudget(story, clock=lambda: story.now, rest=story.rest)  # type: ignore[arg-type] # a budget
    outcomes = iter([*[LostAnswerError("Failed.", **FACTS)] * 2, "done"])

    def call() -> object:
        story.refused(story.now, 3600.0)
        blocking.wait_turn()
        story.now += 1
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert (
        call_with_retries(call, budget=blocking, retry_seconds=3, now=lambda: story.now, rest=story.rest)
        == "done"
    )
    assert story.now > 3 * 3600


def test_rests_can_be_ended() -> None:
    """What ends a wait, such as a signal, ends the request."""

    def end(_: float) -> None:
        raise KeyboardInterrupt

    story = Story(FAILED)

    def call() -> None:
        error = story.made()
        assert error is not None
        raise error

    with pytest.raises(KeyboardInterrupt):
        call_with_retries(
            call,
            budget=BlockingBudget(story, clock=lambda: 0.0),  # type: ignore[arg-type] # a budget
            retry_seconds=100,
            now=lambda: 0.0,
            rest=end,
        )
    assert story.starts == [0.0]


@given(st.integers(0, 10**6), st.floats(0, 300), st.floats(0.001, 60))
def test_patience_always_ends(seed: int, retry_seconds: float, try_seconds: float) -> None:
    """Whatever the jitter, failing lasts no longer than the first try, retry_seconds and one last try."""
    story = Story(FAILED._replace(seconds=try_seconds))
    assert by_setup(story, retry_seconds, random.Random(seed).random) is not None  # noqa: S311 # no secret
    assert story.now <= retry_seconds + 2 * try_seconds + 1e-6


@pytest.mark.parametrize("now", [0.0, 1e6, 1e9])
def test_rounded_time_is_up(now: float) -> None:
    """Time that is left only by rounding is no time, so that a clock of few digits makes no endless tries."""
    decision = RetryRule(300.0).after(LostAnswerError("Failed.", **FACTS), 9, now + 300.0 - 1e-6 - now)
    assert not decision.again


def test_time_that_is_left_is_told_in_tenths() -> None:
    """A wait that is too long is told with the time that is left, in tenths of a second."""
    error = LostAnswerError("Failed.", **FACTS, retry_after_seconds=60.0)
    assert RetryRule(10.26).after(error, 1, 0.0).reason == ASKS.format(60, 10.3)


def test_ceilings_come_from_backoff() -> None:
    """The ladder begins at its base and ends at its cap."""
    assert (CEILINGS_SECONDS[0], CEILINGS_SECONDS[-1]) == (1, 60)


@pytest.mark.parametrize(("asked", "longest"), [(0, 0.1), (1, 1.1), (20, 22), (50, 55), (3600, 3605)])
def test_jitter_grows_with_what_was_asked(asked: float, longest: float) -> None:
    """A tenth of the asked wait is added at most, between a tenth of a second and five."""
    assert wait_seconds(1, asked, lambda: 1.0) == pytest.approx(longest)


def test_asked_waits_get_jitter_and_others_may_be_none() -> None:
    """The wait that the API asked for is stretched by chance; one that nobody asked for may be nothing."""
    story, _ = setup_of(Try("failed", 5.0), FAILED, OK, rand=0.5)
    assert story.rests == [5.25, 1.0]
    story, _ = setup_of(FAILED, OK, rand=0.0)
    assert story.now == 2.0


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
    """Each wait of setup is a warning with its reason; nothing else is logged."""
    caplog.set_level(logging.DEBUG)
    setup_of(FAILED, retry_seconds=4.0)
    assert [(entry.name, entry.levelname, entry.getMessage()) for entry in caplog.records] == [
        (
            "target_databox.api.retries",
            "WARNING",
            f"Try {number} failed, the next is in {wait} seconds: Failed.",
        )
        for number, wait in ((1, "1.0"), (2, "2.0"))
    ]
