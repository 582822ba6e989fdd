"""The way out: a request passes when the budget lets it; who minds the clock learns until when it won't."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from target_databox.delivery.lane import NEVER

if TYPE_CHECKING:
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.model import Turns
    from target_databox.delivery.notes import Notes


class Blocked:
    """A request is due, and the budget says later."""


BLOCKED: Final = Blocked()


class Gate:
    """Gives requests their turn.

    Args:
        turns: The request budget.
        notes: Where it is said that requests have to wait.

    Attributes:
        wake_at: When something may be due again, as far as those who asked since `begin` know.
    """

    def __init__(self, turns: Turns, notes: Notes) -> None:
        self.wake_at = NEVER
        self._turns = turns
        self._notes = notes
        self._blocked_since: float | None = None

    def begin(self) -> None:
        """A new look at what is due begins."""
        self.wake_at = NEVER

    def later(self, at: float) -> None:
        """Something is due at a time."""
        self.wake_at = min(self.wake_at, at)

    def lets(self, lane: Lane, due_at: float, now: float, reserve: int = 0) -> bool:
        """Whether a request may start now; it has its turn if so.

        Args:
            lane: The dataset that pays for it, and to which the wait is put down.
            due_at: Since when it has been due.
            now: The present.
            reserve: Further requests that the budget must be able to pay for.
        """
        at = self._turns.take(now, reserve)
        if at > 0:
            self.later(at)
            if self._blocked_since is None:
                self._blocked_since = now
            return False
        if self._blocked_since is not None:
            lane.counts.throttled_seconds += now - max(self._blocked_since, due_at)
            self._blocked_since = None
        lane.counts.requests += 1
        return True

    def refused(self, now: float, retry_after_seconds: float | None) -> None:
        """A request was answered with 429."""
        warning = self._turns.refused(now, retry_after_seconds)
        if warning is not None:
            self._notes.warning("%s", warning)

    def succeeded(self) -> None:
        """A request was answered otherwise."""
        self._turns.succeeded()
