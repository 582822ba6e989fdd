"""Shows how far a run is: a display on a terminal, elsewhere a log line at intervals."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import stat
import sys
import threading
import time
from collections import deque
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from target_databox.api.budget import HOUR_SECONDS
from target_databox.reports.position import JOIN_SECONDS, Position, words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from target_databox.delivery.batches import Lane

logger = logging.getLogger("target-databox")

LINE_SECONDS: Final = 10.0
# The time that the rate of rows is measured over.
RATE_SECONDS: Final = 10.0


class Display(Protocol):
    """Where progress is shown."""

    interval_seconds: float

    def start(self) -> None:
        """Start showing progress."""

    def show(self, position: Position, rows_per_second: float, seconds_left: float | None) -> None:
        """Show how far the run is."""

    def aside(self) -> AbstractContextManager[None]:
        """A context in which something else may write to the terminal."""

    def stop(self) -> None:
        """Stop showing progress."""

    def table(self, lanes: Sequence[Lane]) -> bool:
        """Show what became of each stream, if that is done here at all; returns whether it is."""


class Progress:
    """Shows how far a run is, from a thread of its own.

    Args:
        position: Returns how far the run is; called in that thread.
        display: Where to show it.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        position: Callable[[], Position],
        display: Display,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._position = position
        self._display = display
        self._clock = clock
        self._past: deque[tuple[float, int]] = deque()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; a second call does nothing."""
        if self._thread is None:
            self._display.start()
            self._past.append((self._clock(), 0))
            self._thread = threading.Thread(target=self._run, name="databox-progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop the thread; nothing is shown afterwards."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(JOIN_SECONDS)
            self._thread = None
            self._display.stop()

    def update(self) -> None:
        """Show how far the run is now."""
        now, position = self._clock(), self._position()
        self._past.append((now, position.done_rows))
        while len(self._past) > 2 and now - self._past[1][0] >= RATE_SECONDS:
            self._past.popleft()
        since, before = self._past[0]
        rate = (position.done_rows - before) / (now - since) if now > since else 0.0
        self._display.show(position, rate, seconds_left(position, rate))

    def _run(self) -> None:
        try:
            while not self._is_over.wait(self._display.interval_seconds):
                self.update()
        except (OSError, ValueError):
            # Standard error has been closed.
            return


def seconds_left(position: Position, rows_per_second: float) -> float | None:
    """Time until every row has its outcome; None if that can't be estimated."""
    if position.input_share is None or not position.input_share or rows_per_second <= 0:
        return None
    rows = max(0.0, position.read_rows / position.input_share - position.done_rows)
    seconds = rows / rows_per_second
    if position.done_rows and position.hour_requests:
        # The current rate holds only until the hour's requests are used up.
        requests = rows * position.requests / position.done_rows
        beyond = requests - (1 - position.budget_share) * position.hour_requests
        seconds = max(seconds, beyond / position.hour_requests * HOUR_SECONDS)
    return seconds


class InputShare:
    """How much of an input has been read.

    Args:
        source: The input; only the size of a regular file is known.
    """

    def __init__(self, source: IO[Any]) -> None:
        self._descriptor: int | None = None
        self._size = 0
        self.is_over = False
        try:
            descriptor = source.fileno()
            status = os.fstat(descriptor)
        except (AttributeError, OSError, io.UnsupportedOperation):
            return
        if stat.S_ISREG(status.st_mode) and status.st_size:
            self._descriptor, self._size = descriptor, status.st_size

    def __call__(self) -> float | None:
        """A number from 0 to 1; None when the end is not known."""
        if self.is_over:
            return 1.0
        if self._descriptor is None:
            return None
        try:
            return min(1.0, os.lseek(self._descriptor, 0, os.SEEK_CUR) / self._size)
        except OSError:
            return None


class Lines:
    """Logs a line at intervals, while rows move."""

    def __init__(self, interval_seconds: float = LINE_SECONDS) -> None:
        self.interval_seconds = interval_seconds
        self._last = 0, 0

    def start(self) -> None:
        """Do nothing: there is nothing to draw."""

    def show(self, position: Position, rows_per_second: float, seconds_left: float | None) -> None:
        """Log a line if anything has changed."""
        moved = position.read_rows, position.done_rows
        if moved != self._last:
            self._last = moved
            logger.info("%s.", words(position, rows_per_second, seconds_left))

    def aside(self) -> AbstractContextManager[None]:
        """Do nothing: log lines and STATE don't overwrite each other."""
        return contextlib.nullcontext()

    def stop(self) -> None:
        """Do nothing: there is nothing to remove."""

    def table(self, lanes: Sequence[Lane]) -> bool:  # noqa: ARG002 # as every display
        """Show nothing: the log has a line for each stream."""
        return False


def display() -> Display:
    """The display that suits standard error."""
    try:
        is_terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        is_terminal = False
    if not is_terminal:
        return Lines()
    from target_databox.reports.terminal import Terminal

    return Terminal()
