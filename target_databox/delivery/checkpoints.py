"""Determines which STATE is due: the newest one whose preceding records all have a durable outcome. Pure."""

from __future__ import annotations

from collections import deque

# Memory of a stretch in addition to its STATE's bytes (measured with tracemalloc).
STRETCH_OVERHEAD_BYTES = 150


class _Stretch:
    __slots__ = ("open", "state")

    def __init__(self) -> None:
        self.open = 0
        self.state: bytes | None = None


class Checkpoints:
    """Divides the input into stretches, each ended by a STATE message.

    A stretch only counts its rows without an outcome. Its STATE is due when neither it nor an earlier stretch
    has such rows.

    Args:
        interval_seconds: At most one STATE in this time, except for the last one.

    Attributes:
        held_bytes: Memory kept for STATEs that are not due yet.
    """

    def __init__(self, interval_seconds: float) -> None:
        self._interval_seconds = interval_seconds
        self._stretches: deque[_Stretch] = deque([_Stretch()])
        self._first = 0
        self._due: bytes | None = None
        self._written_at: float | None = None
        self.held_bytes = 0

    @property
    def stretch(self) -> int:
        """Number of the stretch that is being read."""
        return self._first + len(self._stretches) - 1

    def opened(self, rows: int = 1) -> None:
        """Add rows to the current stretch."""
        self._stretches[-1].open += rows

    def closed(self, stretch: int, rows: int = 1) -> None:
        """Note that rows of a stretch have their outcome."""
        self._stretches[stretch - self._first].open -= rows
        if stretch == self._first:
            self._advance()

    def ended(self, state: bytes) -> None:
        """End the current stretch with a STATE."""
        present = self._stretches[-1]
        previous = self._stretches[-2] if len(self._stretches) > 1 else None
        if previous is not None and not present.open:
            # No open rows in between, so the newer STATE replaces the older one.
            self.held_bytes += len(state) - len(previous.state or b"")
            previous.state = state
            return
        present.state = state
        self.held_bytes += len(state) + STRETCH_OVERHEAD_BYTES
        self._stretches.append(_Stretch())
        self._advance()

    def due_at(self) -> float | None:
        """When the next STATE may be written; None while none is due."""
        if self._due is None:
            return None
        return -1.0 if self._written_at is None else self._written_at + self._interval_seconds

    def take(self, now: float, *, last: bool = False) -> bytes | None:
        """The STATE to write now, or None; each is returned at most once.

        Args:
            now: The current time, in seconds.
            last: Whether the run ends, so that the interval does not matter.
        """
        at = self.due_at()
        if at is None or (at > now and not last):
            return None
        state, self._due = self._due, None
        self._written_at = now
        return state

    def _advance(self) -> None:
        while len(self._stretches) > 1 and not self._stretches[0].open:
            self._due = self._stretches.popleft().state
            self.held_bytes -= len(self._due or b"") + STRETCH_OVERHEAD_BYTES
            self._first += 1
