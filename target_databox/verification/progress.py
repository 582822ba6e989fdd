"""Shows how far a verification is: a line at the bottom of a terminal, elsewhere a log line at intervals."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Final

from target_databox.reports.durations import duration_text
from target_databox.reports.progress import LINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.reports.terminal import Terminal

logger = logging.getLogger("target-databox")

REFRESH_SECONDS: Final = 0.25


class VerifyProgress:
    """Shows progress from the thread that makes it.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._terminal = _terminal()
        self._interval_seconds = LINE_SECONDS if self._terminal is None else REFRESH_SECONDS
        self._shown_at = clock()
        self._began_at = clock()
        if self._terminal is not None:
            self._terminal.start()

    def read(self, rows: int) -> None:
        """Show how many rows of the input were read."""
        if self._is_due():
            self._say(f"{rows:,} rows of the input read")

    def begin(self) -> None:
        """Begin to measure the pace of a dataset."""
        self._began_at = self._clock()

    def compared(self, stream: str, rows: int, total: int | None) -> None:
        """Show how many rows of a dataset were compared."""
        if not self._is_due():
            return
        pace = rows / max(self._clock() - self._began_at, 0.001)
        of = "" if total is None else f" of {total:,}"
        said = f"'{stream}': {rows:,}{of} rows compared, {pace:,.0f} a second"
        if total is not None and pace and total > rows:
            said += f", about {duration_text((total - rows) / pace)} left"
        self._say(said)

    def stop(self) -> None:
        """Remove the display."""
        if self._terminal is not None:
            self._terminal.stop()
            self._terminal = None

    def _is_due(self) -> bool:
        if self._clock() - self._shown_at < self._interval_seconds:
            return False
        self._shown_at = self._clock()
        return True

    def _say(self, text: str) -> None:
        if self._terminal is None:
            logger.info("%s.", text)
        else:
            self._terminal.show_text(text)


def _terminal() -> Terminal | None:
    try:
        is_terminal = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    except ValueError:  # closed
        is_terminal = False
    if not is_terminal:
        return None
    from target_databox.reports.terminal import Terminal

    return Terminal()
