"""Raises SIGTERM and SIGINT as an exception, but only where that does the caller's thread no harm.

If that thread is blocked where no exception can reach it, another thread ends the process in time.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

# Meltano and a terminal deliver the same signal twice within milliseconds; a later one is a second request.
ECHO_SECONDS = 2.0
# How long the end of a run may take after shutdown_seconds.
LEEWAY_SECONDS = 2.0
LONGEST_SLEEP_SECONDS = 1e8


class Interrupted(BaseException):
    """A signal asked the process to stop."""


class Interrupts:
    """A context in which a signal raises `Interrupted`; one that comes outside of it is raised on entry.

    Attributes:
        signal: The first signal that came; None before.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, leave: Callable[[int], None] = os._exit
    ) -> None:
        self.signal: int | None = None
        self._clock = clock
        self._leave = leave
        self._came_at = 0.0
        self._is_raised = False
        self._is_open = False

    @property
    def exit_code(self) -> int | None:
        """128 plus the signal's number; None if no signal came."""
        return None if self.signal is None else 128 + self.signal

    def handle(self, number: int) -> None:
        """Handle a signal: the first one stops the run, a later one ends it at once."""
        if self.signal is None:
            self.signal = number
            self._came_at = self._clock()
        elif self._clock() - self._came_at > ECHO_SECONDS:
            self._leave(128 + number)
        self._raise_if_open()

    def __enter__(self) -> None:
        self._is_open = True
        self._raise_if_open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False

    def _raise_if_open(self) -> None:
        if self._is_open and self.signal is not None and not self._is_raised:
            self._is_raised = True
            self._is_open = False
            raise Interrupted(signal.Signals(self.signal).name)


def end_in_time(shutdown_seconds: float) -> None:
    """Make sure that the process ends soon after this time has passed since a signal.

    Python runs handlers of signals in the main thread, and that may be blocked where no handler can run: by a
    log file whose disk hangs, or while an address is looked up.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    seconds = min(shutdown_seconds + LEEWAY_SECONDS, LONGEST_SLEEP_SECONDS)
    threading.Thread(target=_end, args=(reading, seconds), name="databox-end", daemon=True).start()


def _end(signals: int, seconds: float) -> None:
    number = 0
    while number not in (signal.SIGTERM, signal.SIGINT):
        (number,) = os.read(signals, 1)
    time.sleep(seconds)
    os._exit(128 + number)
