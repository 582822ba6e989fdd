"""Counts requests against the documented limits of a key: pure but for the clock that comes in."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator.assumptions import Assumptions

_HOUR_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may do.

    Attributes:
        requests_per_second: Documented as 10 (grade D); `None` switches the limit off.
        requests_per_hour: Documented as 10,000 (grade D); `None` switches the limit off.
    """

    requests_per_second: float | None = 10
    requests_per_hour: int | None = 10_000


UNLIMITED = Limits(None, None)


class Meter:
    """Decides about each request of one key.

    Args:
        limits: What the key may do.
        assumptions: How the second is counted, and how long the cooldown lasts.
        clock: Returns the time in seconds, never backwards.
    """

    def __init__(self, limits: Limits, assumptions: Assumptions, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._strict = assumptions.rate_counting == "strict"
        self._cooldown_seconds = assumptions.cooldown_seconds
        self._clock = clock
        self._tokens = max(limits.requests_per_second or 0.0, 1.0)
        self._filled_at = clock()
        self._second: deque[float] = deque()
        self._hour: deque[float] = deque()
        self._cool_until = float("-inf")

    def refusal_seconds(self) -> float | None:
        """Count a request: `None` when it may pass, else the seconds until another one would."""
        now = self._clock()
        while self._hour and self._hour[0] <= now - _HOUR_SECONDS:
            self._hour.popleft()
        wait = max(self._cool_until - now, self._wait_for_hour(now), self._wait_for_second(now))
        if wait <= 0:
            self._hour.append(now)
            if not self._strict:
                self._tokens -= 1
            return None
        self._cool_until = max(self._cool_until, now + self._cooldown_seconds)
        return max(wait, self._cooldown_seconds)

    def used_this_hour(self) -> int:
        """How many requests passed in the last hour."""
        now = self._clock()
        # A copy, since another thread may count meanwhile.
        return sum(1 for at in list(self._hour) if at > now - _HOUR_SECONDS)

    def _wait_for_hour(self, now: float) -> float:
        limit = self._limits.requests_per_hour
        if limit is None or len(self._hour) < limit:
            return 0.0
        return self._hour[len(self._hour) - limit] + _HOUR_SECONDS - now

    def _wait_for_second(self, now: float) -> float:
        rate = self._limits.requests_per_second
        if rate is None:
            return 0.0
        if self._strict:
            while self._second and self._second[0] <= now - 1.0:
                self._second.popleft()
            # The request itself stays counted when it is refused: insisting keeps the door shut.
            self._second.append(now)
            return 1.0 if len(self._second) > rate else 0.0
        self._tokens = min(max(rate, 1.0), self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        return 0.0 if self._tokens >= 1.0 - 1e-9 else (1.0 - self._tokens) / rate
