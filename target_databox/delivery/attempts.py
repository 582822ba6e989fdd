"""Keeps track of the tries of one request. Pure."""

from __future__ import annotations


class Attempts:
    """The tries of one request, and how long they have been failing; `RetryRule` defines what counts.

    Attributes:
        due_at: When the next try may start.
        tries: Tries that have failed since the last success.
        waited_seconds: Time that counts towards no timeout: the waits for the budget after `due_at`, and the
            duration of tries that ended with 429.
    """

    __slots__ = ("_failing_since", "_started_at", "_waited_before", "due_at", "tries", "waited_seconds")

    def __init__(self, due_at: float) -> None:
        self.due_at = due_at
        self.tries = 0
        self.waited_seconds = 0.0
        self._started_at = due_at
        self._failing_since = 0.0
        self._waited_before = 0.0

    def started(self, now: float) -> None:
        """Note that a try starts."""
        self._started_at = now
        self.waited_seconds += max(0.0, now - self.due_at)

    def succeeded(self) -> None:
        """Note that a try succeeded."""
        self.tries = 0

    def throttled(self, now: float) -> None:
        """Note that a try ended with 429; the next may start as soon as the budget allows."""
        self.waited_seconds += now - self._started_at
        self.due_at = now

    def failed(self, now: float) -> float:
        """Note that a try failed in any other way.

        Returns:
            How long the tries have been failing, in seconds.
        """
        if not self.tries:
            self._failing_since = now
            self._waited_before = self.waited_seconds
        self.tries += 1
        return now - self._failing_since - (self.waited_seconds - self._waited_before)
