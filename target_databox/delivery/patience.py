"""Whether and when a request that failed is tried again; the run ends when one has failed for too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.api.errors import TransientError
    from target_databox.delivery.course import Course
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.model import Attempts
    from target_databox.delivery.notes import Notes

# At most one line about failures in this time; a server that is down fails every request.
QUIET_SECONDS = 10.0


class Patience:
    """Plans the next try of requests that failed and may succeed later.

    Args:
        course: Ended where patience ends.
        retry_seconds: How long one request may go on failing; waiting for the budget does not count.
        wait: Seconds to wait before another try, from the number of failed ones and what the API asked for.
        notes: Where it is said what failed.
    """

    def __init__(
        self,
        course: Course,
        retry_seconds: float,
        wait: Callable[[int, float | None], float],
        notes: Notes,
    ) -> None:
        self._course = course
        self._retry_seconds = retry_seconds
        self._wait = wait
        self._notes = notes
        self._told_at = float("-inf")
        self._untold = 0

    def try_later(self, lane: Lane, attempts: Attempts, error: TransientError, now: float) -> None:
        """Plan another try, or end the run."""
        if not self.plan(lane, attempts, error, now):
            self._course.fail(error, now)

    def plan(self, lane: Lane, attempts: Attempts, error: TransientError, now: float) -> bool:
        """Plan another try, if there is time for one."""
        if isinstance(error, ThrottledError):
            # The budget knows how long to wait, and waiting for it is no failure.
            attempts.due_at = now
            return True
        asked = error.retry_after_seconds
        failing_seconds = attempts.failed(now, lambda tries: self._wait(tries, asked))
        if failing_seconds > self._retry_seconds:
            return False
        lane.counts.retries += 1
        self._tell(lane, error, attempts.due_at - now, now)
        return True

    def _tell(self, lane: Lane, error: TransientError, wait_seconds: float, now: float) -> None:
        if now - self._told_at < QUIET_SECONDS:
            self._untold += 1
            return
        more = f" ({self._untold} other requests failed since the last such line)" if self._untold else ""
        self._notes.warning(
            "A request for %s will be tried again in %.1f s: %s%s",
            lane.destination,
            wait_seconds,
            error.happened,
            more,
        )
        self._told_at, self._untold = now, 0
