"""The request budget: limits the rate of all requests of a run, of every kind.

Databox counts every request of an API key, 10 per second and 10,000 per hour (D), so posting rows, polling
and listing share one budget. Requests are spaced evenly rather than sent in bursts, so that network jitter
does not push any one-second window over the limit. Times are seconds of one monotonic clock.

After a 429 all requests pause, then go on at a lower pace, which recovers along the curve of CUBIC (RFC
9438): fast up to the pace that was refused, hardly at all near it, then faster again. That is how several
processes with one API key come to share its limit.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

# Requests are spaced this much wider than the limit requires, to allow for network jitter.
MARGIN = 1.015
HOUR_SECONDS = 3600.0
# The past hour's requests are counted in steps of this size, so that memory does not grow with the limit.
STEP_SECONDS = 1.0
# Without a Retry-After, a pause doubles from the shortest to the longest with each 429 in a row; its second
# half is random.
SHORTEST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
# Processes that wait for the same time would meet again: up to this share of Retry-After is added at random.
JITTER_SHARE = 0.5
LONGEST_JITTER_SECONDS = 5.0
# A 429 means that another process uses the same API key. The pace falls to DECREASE of what was refused, or
# to LARGE_DECREASE when the last 429 was hardly over: then the pace is far too high, as when many processes
# start at once. It never falls below SLOWEST_SHARE of the limit.
DECREASE = 0.85
LARGE_DECREASE = 0.7
SOON_SECONDS = 5.0
SLOWEST_SHARE = 1 / 64
# The pace differs from the refused one by this share of the limit for each cubic second before or after the
# time at which it is reached again. From half of the limit to the whole it takes 106 s.
CURVATURE = 1.5e-6
# At most one warning in this time, however many pauses there are.
QUIET_SECONDS = 10.0
# Above this, the format `.2g` would print an exponent.
READABLE_PACE = 99.5
# A 429 this soon after the pace was lowered belongs to an earlier request and does not lower it again.
ECHO_SECONDS = 1.0


class Budget:
    """Decides when the next request may be sent. Thread-safe.

    Args:
        per_second: Requests in any window of one second.
        per_hour: Requests in any window of one hour.
        rand: Uniform random number in [0, 1), for jitter.
    """

    def __init__(
        self, per_second: float, per_hour: float, *, rand: Callable[[], float] = random.random
    ) -> None:
        self.per_second = per_second
        self._rand = rand
        self._lock = threading.Lock()
        # A limit below one stretches the window: 0.5 per hour is one request in two hours.
        self._hour_capacity = max(1, math.floor(per_hour))
        self._hour_seconds = HOUR_SECONDS / min(per_hour, 1.0)
        self._hour: deque[list[float]] = deque()
        self._hour_count = 0
        self._refused_pace = per_second
        self._next_at = -math.inf
        self._paused_until = -math.inf
        self._lowered_at = -math.inf
        self._warned_at = -math.inf
        self._pauses = 0
        self.taken = 0
        self.throttled = 0

    def pace(self, now: float) -> float:
        """The number of requests per second, at most the limit."""
        lowered_share = self._refused_pace * (1 - DECREASE) / self.per_second
        recovery_seconds = math.pow(lowered_share / CURVATURE, 1 / 3)
        since_recovery = max(now - self._lowered_at, 0.0) - recovery_seconds
        pace = self._refused_pace + self.per_second * CURVATURE * since_recovery**3
        return min(max(pace, self.per_second * SLOWEST_SHARE), self.per_second)

    def take(self, now: float, reserve: int = 0) -> float:
        """Take one request from the budget, if it may be sent now.

        Args:
            now: The current time, in seconds.
            reserve: Further requests that the hour's budget must still cover.

        Returns:
            0 if the request may be sent, else the time at which to ask again.
        """
        with self._lock:
            at = self._earliest(now, reserve)
            if at > now:
                return at
            self._next_at = now + MARGIN / self.pace(now)
            self._count(now)
            self.taken += 1
            return 0.0

    def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
        """Pause all requests and lower the pace, after a 429.

        Returns:
            A warning for the caller to log once it holds no lock; None if one was returned a moment ago.
        """
        with self._lock:
            self.throttled += 1
            is_new = now >= self._paused_until
            self._pauses += is_new
            pause = retry_after_seconds
            if pause is None:
                longest = min(LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS * 2 ** min(self._pauses - 1, 10))
                pause = longest * (0.5 + self._rand() / 2)
            else:
                pause += self._rand() * min(pause * JITTER_SHARE, LONGEST_JITTER_SECONDS)
            self._paused_until = max(self._paused_until, now + pause)
            if now - self._lowered_at >= ECHO_SECONDS:
                self._refused_pace = self.pace(now)
                if now - self._lowered_at < SOON_SECONDS:
                    self._refused_pace *= LARGE_DECREASE / DECREASE
                self._lowered_at = self._paused_until
            return self._warning(now, pause) if is_new else None

    def succeeded(self) -> None:
        """Note a response that is not a 429."""
        with self._lock:
            self._pauses = 0

    def hour_left(self, now: float) -> int:
        """Requests that may still be sent within the current hour."""
        with self._lock:
            self._forget(now)
            return self._hour_capacity - self._hour_count

    def _warning(self, now: float, pause_seconds: float) -> str | None:
        if now - self._warned_at < QUIET_SECONDS:
            return None
        self._warned_at = now
        lowered = self.pace(self._lowered_at)
        pace = f"{lowered:.2g}" if lowered < READABLE_PACE else f"{lowered:,.0f}"
        return (
            "Databox reports that the API key's rate limit is used up (429). Pausing for "
            f"{pause_seconds:.1f} s, then going on with {pace} requests per second."
        )

    def _earliest(self, now: float, reserve: int) -> float:
        at = max(self._next_at, self._paused_until)
        self._forget(now)
        # With a limit too small for the reserve, one request at a time may still be sent.
        room = self._hour_capacity - min(reserve, self._hour_capacity - 1)
        excess = self._hour_count - room + 1
        if excess > 0:
            for step in self._hour:
                excess -= int(step[1])
                if excess <= 0:
                    return max(at, step[2] + self._hour_seconds)
        return at

    def _count(self, now: float) -> None:
        # [first, count, last]: a step leaves the hour when its newest request does, so the count is never too
        # low.
        if self._hour and now - self._hour[-1][0] < STEP_SECONDS:
            self._hour[-1][1] += 1
            self._hour[-1][2] = now
        else:
            self._hour.append([now, 1, now])
        self._hour_count += 1

    def _forget(self, now: float) -> None:
        while self._hour and self._hour[0][2] + self._hour_seconds <= now:
            self._hour_count -= int(self._hour.popleft()[1])


class BlockingBudget:
    """The budget for callers that can wait.

    Args:
        budget: The run's budget.
        clock: Monotonic seconds.
        rest: Waits some seconds; may raise to end the wait.

    Attributes:
        waited_seconds: Total time spent waiting for the budget.
    """

    def __init__(
        self,
        budget: Budget,
        *,
        clock: Callable[[], float] = time.monotonic,
        rest: Callable[[float], object] = time.sleep,
    ) -> None:
        self._budget = budget
        self._clock = clock
        self._rest = rest
        self.waited_seconds = 0.0

    def wait_turn(self) -> None:
        """Return when a request may be sent."""
        began = now = self._clock()
        while (at := self._budget.take(now)) > now:
            self._rest(at - now)
            now = self._clock()
        self.waited_seconds += now - began

    def refused(self, retry_after_seconds: float | None) -> None:
        """Note a 429."""
        warning = self._budget.refused(self._clock(), retry_after_seconds)
        if warning is not None:
            logger.warning("%s", warning)

    def succeeded(self) -> None:
        """Note a response that is not a 429."""
        self._budget.succeeded()
