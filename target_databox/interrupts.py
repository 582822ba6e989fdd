"""SIGTERM and SIGINT as an exception, but only where the caller's thread can be interrupted without harm.

Where it can't be interrupted at all, a thread of its own ends the process in time.
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

# Meltano and a terminal deliver the same signal twice within milliseconds; a later one is meant.
ECHO_SECONDS = 2.0
# How long after its time a run may still be busy with its end.
LEEWAY_SECONDS = 2.0
LONGEST_SLEEP_SECONDS = 1e8


class Interrupted(BaseException):
    """The process was told to stop."""


class Interrupts:
    """A context in which a signal may raise `Interrupted`; outside of it the signal waits for the next one.

    Attributes:
        signal: The first signal that came, None before.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, leave: Callable[[int], None] = os._exit
    ) -> None:
        self.signal: int | None = None
        self._clock = clock
        self._leave = leave
        self._came_at = 0.0
        self._is_told = False
        self._is_open = False

    @property
    def exit_code(self) -> int | None:
        """128 and the signal's number; None when none came."""
        return None if self.signal is None else 128 + self.signal

    def handle(self, number: int) -> None:
        """Take a signal: the first one stops the run, one that comes later ends it at once."""
        if self.signal is None:
            self.signal = number
            self._came_at = self._clock()
        elif self._clock() - self._came_at > ECHO_SECONDS:
            self._leave(128 + number)
        self._tell()

    def __enter__(self) -> None:
        self._is_open = True
        self._tell()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_open = False

    def _tell(self) -> None:
        if self._is_open and self.signal is not None and not self._is_told:
            self._is_told = True
            self._is_open = False
            raise Interrupted(signal.Signals(self.signal).name)


def end_in_time(shutdown_seconds: float) -> None:
    """From here on see to it that the process ends soon after this time has passed since a signal.

    Python's own handlers have to wait for the main thread, which may be held up where nobody can reach it: by
    a log file whose disk hangs, or while an address is looked up.
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
