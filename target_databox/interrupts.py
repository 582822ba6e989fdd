"""SIGTERM and SIGINT as an exception, but only where the caller's thread can be interrupted without harm."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

# Meltano and a terminal deliver the same signal twice within milliseconds; a later one is meant.
ECHO_SECONDS = 2.0


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
