"""The request budget: never more than the limits in any window; and a limit that is shared with others."""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_databox.api.budget import LONGEST_PAUSE_SECONDS, MARGIN, SLOWEST_SHARE, BlockingBudget, Budget


def budget(per_second: float = 10.0, per_hour: float = 10_000.0, *, chance: float = 0.5) -> Budget:
    """A budget whose jitter is fixed."""
    return Budget(per_second, per_hour, rand=lambda: chance)


def turns(of: Budget, until: float, reserve: int = 0) -> list[float]:
    """When turns are taken by somebody who always asks as soon as he may."""
    now, taken = 0.0, []
    while now < until:
        at = of.take(now, reserve)
        if at:
            assert at > now
            now = at
        else:
            taken.append(now)
    return taken


def most_within(taken: list[float], seconds: float) -> int:
    """The most turns in any window of a length, its end excluded."""
    window: deque[float] = deque()
    most = 0
    for when in taken:
        window.append(when)
        while window[0] <= when - seconds + 1e-9:
            window.popleft()
        most = max(most, len(window))
    return most


def test_second_is_kept_and_used() -> None:
    """A minute at 10 a second takes 98 % of the limit, and no second more than 10."""
    taken = turns(budget(), 60.0)
    assert most_within(taken, 1.0) == 10
    assert len(taken) >= 0.98 * 600


@settings(max_examples=60)
@given(
    st.integers(1, 12),
    st.integers(1, 60),
    st.lists(st.floats(0.0, 400.0), max_size=120),
)
def test_no_window_exceeds(per_second: int, per_hour: int, pauses: list[float]) -> None:
    """Whenever turns are asked for, no second and no hour holds more than its limit."""
    of = budget(per_second, per_hour)
    now, taken = 0.0, []
    for pause in pauses:
        now += pause
        for _ in range(3):
            at = of.take(now)
            if at:
                assert at > now
            else:
                taken.append(now)
    taken += [when for when in turns(of, now + 10) if when >= now]
    assert most_within(taken, 1.0) <= per_second
    assert most_within(taken, 3600.0) <= per_hour


@pytest.mark.parametrize("per_second", [0.2, 0.5, 1.0, 2.5, 9.9])
def test_fractional_second_keeps_its_pace(per_second: float) -> None:
    """A limit that is not whole is kept over longer windows; a second holds at most the next whole number."""
    taken = turns(budget(per_second), 200.0)
    assert most_within(taken, 1.0) <= math.ceil(per_second)
    assert most_within(taken, 100.0) <= 100 * per_second + 1
    assert len(taken) >= 0.95 * 200 * per_second


@pytest.mark.parametrize(
    ("per_hour", "taken"),
    [
        (0.5, [0.0, 7200.0]),
        (1.0, [0.0, 3600.0, 7200.0]),
        (1.5, [0.0, 3600.0, 7200.0]),
        (2.5, [0.0, 1.0, 3600.0, 3601.0, 7200.0, 7201.0]),
    ],
)
def test_fractional_hour_is_kept(per_hour: float, taken: list[float]) -> None:
    """Half a request an hour is one in two hours; of one and a half an hour takes one."""
    of = budget(MARGIN, per_hour)
    assert turns(of, 7202.0) == pytest.approx(taken)


def test_hour_is_used_up() -> None:
    """Over hours nearly all of the hourly limit is used, and no hour holds more."""
    taken = turns(budget(10.0, 600.0), 3 * 3600.0)
    assert most_within(taken, 3600.0) == 600
    assert len(taken) == 3 * 600


def test_reserve_is_left_for_others() -> None:
    """A turn with a reserve starts only when the hour can pay for the reserve as well."""
    of = budget(10.0, 10.0)
    taken = turns(of, 60.0, reserve=4)
    assert len(taken) == 6
    assert of.hour_left(60.0) == 4
    assert of.take(60.0) == 0.0


def test_reserve_larger_than_the_limit() -> None:
    """A limit smaller than the reserve still lets something through."""
    of = budget(10.0, 2.0)
    assert of.take(0.0, 500) == 0.0
    assert of.take(10.0, 500) == pytest.approx(3600.0)


def test_reserve_waits_for_enough() -> None:
    """Who needs several requests is told the time at which that many have left the hour."""
    of = budget(10.0, 4.0)
    assert [of.take(at) for at in (0.0, 10.0, 20.0)] == [0.0, 0.0, 0.0]
    assert [of.take(30.0, reserve) for reserve in (1, 2, 3)] == [3600.0, 3610.0, 3620.0]


def test_hour_is_remembered_in_seconds() -> None:
    """Requests of one second leave the hour together, with the last of them, so there is less to remember."""
    of = budget(1000.0, 3.0)
    assert [of.take(at) for at in (5.0, 5.9, 6.1)] == [0.0, 0.0, 0.0]
    assert [of.take(6.2, reserve) for reserve in (0, 1, 2)] == [3605.9, 3605.9, 3606.1]


def test_refusal_pauses_everything() -> None:
    """A 429 pauses for what `Retry-After` says, and lowers the pace."""
    of = budget(chance=0.0)
    assert of.take(0.0) == 0.0
    of.refused(0.1, 7.0)
    assert of.take(0.2) == pytest.approx(7.1)
    assert of.take(7.1) == 0.0
    assert of.take(7.1) == pytest.approx(7.1 + MARGIN / 8.5)


@pytest.mark.parametrize(("asked", "longest"), [(0.0, 0.0), (1.0, 1.5), (10.0, 15.0), (3600.0, 3605.0)])
def test_asked_pause_is_jittered(asked: float, longest: float) -> None:
    """Processes that are told the same time don't come back together: up to half, or 5 s, is added."""
    for chance, pause in ((0.0, asked), (0.5, (asked + longest) / 2), (1.0, longest)):
        of = budget(chance=chance)
        of.refused(0.0, asked)
        assert of.take(0.0) == pytest.approx(pause)


def test_pace_recovers_along_a_curve() -> None:
    """The pace rises fast, lingers where it was refused, and then looks for more, with no step."""
    of = budget(chance=0.0)
    of.refused(0.0, 0.0)
    of.refused(40.0, 0.0)
    paces = [of.pace(40.0 + second) for second in range(90)]
    rises = [later - pace for pace, later in itertools.pairwise(paces)]
    refused = min(10.0, paces[0] / 0.85)
    assert paces[0] == pytest.approx(8.5, rel=0.02)
    slowest = rises.index(min(rises[:60]))
    assert paces[slowest] == pytest.approx(refused, rel=0.01)
    assert rises[0] > 10 * rises[slowest]
    assert all(0 <= rise < 0.2 for rise in rises)


def test_second_refusal_soon_lowers_more() -> None:
    """Refused again when the last pause is hardly over, the pace falls by 30 %; later it falls by 15 %."""
    of = budget(chance=0.0)
    of.refused(0.0, 1.0)
    first = of.pace(3.0)
    of.refused(3.0, 1.0)
    assert of.pace(4.0) == pytest.approx(0.7 * first)
    lowered = of.pace(20.0)
    of.refused(20.0, 1.0)
    assert of.pace(21.0) == pytest.approx(0.85 * lowered)


def test_pauses_grow_without_header() -> None:
    """Without `Retry-After` pauses grow, jittered above their half, to a longest; an answer ends that."""
    of = budget(chance=0.0)
    now, pauses = 0.0, []
    for _ in range(9):
        of.refused(now, None)
        pauses.append(of.take(now) - now)
        now += pauses[-1]
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30])
    assert max(pauses) <= LONGEST_PAUSE_SECONDS
    of.succeeded()
    of.refused(now, None)
    assert of.take(now) - now == pytest.approx(0.5)


def test_echoes_of_one_refusal() -> None:
    """Refusals of requests that were on their way already lower the pace once."""
    of = budget()
    for _ in range(8):
        of.refused(1.0, 1.0)
    assert of.pace(2.0) == pytest.approx(8.5)
    assert of.throttled == 8


def test_pace_has_a_floor_and_recovers() -> None:
    """However many refusals, some pace is left; within three minutes it is back at the limit."""
    of = budget(chance=0.0)
    for number in range(50):
        of.refused(number * 3.0, 1.0)
    assert of.pace(148.0) == 10 * SLOWEST_SHARE
    assert 1.0 < of.pace(208.0) < 5.0
    assert of.pace(328.0) == 10.0


def test_storm_is_told_sparingly() -> None:
    """A pause is told with its length; of a storm of them one in ten seconds."""
    of = budget(chance=0.0)
    assert of.refused(0.0, 2.5) == (
        "Databox reports that the API key's rate limit is used up (429). Pausing for 2.5 s, then going on "
        "with 8.5 requests per second."
    )
    warnings = [of.refused(number / 10, 0.0) for number in range(600)]
    assert 1 <= sum(each is not None for each in warnings) <= 6


@pytest.mark.parametrize(
    ("limit", "words"), [(100_000, "85,000"), (200, "170"), (117, "99"), (3, "2.6"), (0.5, "0.43")]
)
def test_pace_is_told_readably(limit: float, words: str) -> None:
    """The pace after a 429 is told in digits, whatever the limit."""
    warning = Budget(limit, 1e6).refused(0.0, 1.0)
    assert warning is not None
    assert warning.endswith(f"going on with {words} requests per second.")


class SharedServer:
    """Ten requests a second, as a bucket or in any second that slides; refusals may say how long to wait.

    The second that slides counts refused requests too; after a refusal all are refused for the cooldown.
    """

    def __init__(self, *, strict: bool, says: float | None, cooldown_seconds: float = 0.0) -> None:
        self.says = says
        self.accepted = 0
        self._strict = strict
        self._tokens, self._at = 10.0, 0.0
        self._window: deque[float] = deque()
        self._cooldown_seconds = cooldown_seconds
        self._cool_at = 0.0

    def takes(self, now: float) -> bool:
        """Whether a request is answered, not refused."""
        if self._strict:
            while self._window and self._window[0] <= now - 1.0:
                self._window.popleft()
            self._window.append(now)
            is_taken = len(self._window) <= 10
        else:
            self._tokens, self._at = min(10.0, self._tokens + 10 * (now - self._at)), now
            is_taken = self._tokens >= 1
            self._tokens -= is_taken
        if not is_taken or now < self._cool_at:
            self._cool_at = now + self._cooldown_seconds
            return False
        self.accepted += 1
        return True


def shares(
    server: SharedServer, clients: int, *, latency: tuple[float, float], seconds: float = 600.0
) -> list[float]:
    """What each of several processes that always have something to send gets of ten a second.

    The first runs for a minute alone; the next minute, in which they find their shares, does not count.
    """
    rand = random.Random(5)  # noqa: S311
    budgets = [Budget(10.0, 1e9, rand=rand.random) for _ in range(clients)]
    served = [0] * clients
    events = [(60.0 * (number > 0) + rand.random(), number, "ask") for number in range(clients)]
    heapq.heapify(events)
    while events[0][0] < seconds:
        now, number, what = heapq.heappop(events)
        of = budgets[number]
        if what == "ask":
            at = of.take(now)
            if at == 0.0:
                heapq.heappush(events, (now + rand.uniform(*latency), number, "arrive"))
                at = now + 1e-6
            heapq.heappush(events, (at, number, "ask"))
        elif server.takes(now):
            served[number] += now >= 120.0
            of.succeeded()
        else:
            of.refused(now, server.says)
    return [each / (10 * (seconds - 120.0)) for each in served]


@pytest.mark.parametrize("says", [1.0, None])
@pytest.mark.parametrize(
    ("clients", "strict", "latency", "least"),
    # `latency` in seconds, `least` of the limit.
    [
        (1, False, (0.05, 0.15), 0.98),
        (2, False, (0.05, 0.15), 0.99),
        (3, False, (0.05, 0.15), 0.98),
        # A second that slides sees the jitter of the network, and the flows of two processes side by side.
        (1, True, (0.004, 0.010), 0.98),
        (2, True, (0.004, 0.010), 0.92),
        (3, True, (0.004, 0.010), 0.90),
        (1, True, (0.05, 0.15), 0.85),
        (2, True, (0.05, 0.15), 0.84),
        (3, True, (0.05, 0.15), 0.82),
    ],
)
def test_processes_share_one_limit(
    clients: int, latency: tuple[float, float], least: float, says: float | None, *, strict: bool
) -> None:
    """Processes that don't know of each other use most of the limit together, and none starves."""
    found = shares(SharedServer(strict=strict, says=says), clients, latency=latency)
    assert sum(found) >= least
    assert min(found) >= 0.4 * max(found)


@pytest.mark.parametrize("says", [1.0, 5.0, None])
def test_cooldown_does_not_lock_out(says: float | None) -> None:
    """Where each refused request makes the cooldown longer, two processes still don't shut each other out."""
    server = SharedServer(strict=False, says=says, cooldown_seconds=says or 1.0)
    found = shares(server, 2, latency=(0.05, 0.15))
    assert sum(found) >= 0.5
    assert min(found) >= 0.6 * max(found)


def test_blocking_budget_waits_for_turns() -> None:
    """Who can wait is let through when his turn has come, a pause included."""
    clock = [0.0]

    def rest(seconds: float) -> None:
        clock[0] += seconds

    blocking = BlockingBudget(budget(1.0, chance=0.0), clock=lambda: clock[0], rest=rest)
    blocking.wait_turn()
    blocking.wait_turn()
    assert clock[0] == pytest.approx(MARGIN)
    blocking.refused(10.0)
    blocking.wait_turn()
    assert clock[0] == pytest.approx(10.0 + MARGIN)
    blocking.succeeded()


@pytest.mark.parametrize(("chance", "pause"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_jitter_is_above_the_half(chance: float, pause: float) -> None:
    """A pause that nobody asked for is any share of its longest above the half."""
    of = budget(chance=chance)
    of.refused(0.0, None)
    assert of.take(0.0) == pytest.approx(pause)


def test_turns_are_counted() -> None:
    """Every turn that was taken is counted, a refused one is not."""
    of = budget()
    assert [of.take(at) == 0.0 for at in (0.0, 0.01, 1.0, 2.0)] == [True, False, True, True]
    assert of.taken == 3


def test_last_turn_of_the_hour_is_used() -> None:
    """Without a reserve the hour is used to its last request."""
    of = Budget(1000, 3)
    assert [of.take(float(at)) for at in range(3)] == [0.0, 0.0, 0.0]
    assert of.take(3.0) == pytest.approx(3600.0, abs=3)
