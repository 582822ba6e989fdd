"""The progress display on a terminal: one line at the bottom, log lines and STATE above it."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from target_databox.outputs.printable import printable
from target_databox.reports.durations import duration_text
from target_databox.reports.position import JOIN_SECONDS, REFRESH_SECONDS, words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_databox.delivery.batches import Counts, Lane
    from target_databox.reports.position import Position

BAR_COLUMNS = 12


class _Above:
    """Takes the place of standard error in log handlers: what is written appears above the display."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> int:
        """Print text as it is."""
        if text.strip("\n"):
            self._console.print(Text(text.removesuffix("\n")), soft_wrap=True)
        return len(text)

    def flush(self) -> None:
        """Do nothing: nothing is buffered."""


class Terminal:
    """Draws with rich; the thread that calls `show` is the only one that redraws."""

    interval_seconds = REFRESH_SECONDS

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False, emoji=False)
        self._lock = threading.RLock()
        self._live = self._new_live()
        self._is_over = False
        self._handlers: list[tuple[logging.StreamHandler[Any], Any]] = []

    def start(self) -> None:
        """Start drawing, and move log lines above the display."""
        for handler in _stderr_handlers():
            self._handlers.append((handler, handler.setStream(_Above(self._console))))
        self._live.start()
        # A hidden cursor would stay hidden if the process were killed.
        self._console.show_cursor(True)

    def show(self, position: Position, rows_per_second: float, seconds_left: float | None) -> None:
        """Draw how far the run is."""
        line = Table.grid(padding=(0, 1))
        has_bar = bool(position.input_share and position.read_rows)
        width = self._console.width - (BAR_COLUMNS + 1 if has_bar else 0)
        # What still does not fit is cut: a second line would stay behind when the display is removed.
        text = Text(
            short_words(position, rows_per_second, seconds_left, width), no_wrap=True, overflow="ellipsis"
        )
        if has_bar:
            total = position.read_rows / (position.input_share or 1)
            bar = ProgressBar(total=total, completed=position.done_rows, width=BAR_COLUMNS)
            line.add_row(bar, text)
        else:
            line.add_row(text)
        self._draw(line)

    def show_text(self, text: str) -> None:
        """Draw a line of text."""
        self._draw(Text(printable(text), no_wrap=True, overflow="ellipsis"))

    def _draw(self, line: Any) -> None:
        with self._lock:
            if not self._is_over:
                self._live.update(line, refresh=True)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Remove the display while something else writes to the terminal."""
        if not (sys.stdout is not None and sys.stdout.isatty()):
            yield
            return
        with self._lock:
            self._live.stop()
            try:
                yield
            finally:
                self._live = self._new_live(self._live.get_renderable())
                self._live.start(refresh=True)
                self._console.show_cursor(True)

    def stop(self) -> None:
        """Remove the display, and let log handlers write as before."""
        self._is_over = True
        # A STATE that the terminal does not take blocks the display; it must not block the end of the run.
        if self._lock.acquire(timeout=JOIN_SECONDS):
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
            self._lock.release()
        for handler, stream in self._handlers:
            handler.setStream(stream)
        self._handlers.clear()

    def table(self, lanes: Sequence[Lane]) -> bool:
        """Show what became of each stream, once the display is gone."""
        heads = (
            "stream",
            "read",
            "confirmed",
            "superseded",
            "rejected",
            "appended",
            "overwritten",
            "holds",
            "requests",
        )
        table = Table(box=SIMPLE_HEAD, header_style="bold")
        for number, head in enumerate(heads):
            table.add_column(head, justify="right" if number else "left", overflow="fold")
        for lane in lanes:
            table.add_row(*map(Text, cells(lane.destination.stream, lane.counts)))
        with contextlib.suppress(OSError, ValueError):
            self._console.print(table)
        return True

    def _new_live(self, renderable: Any = "") -> Live:
        # rich may not replace sys.stdout, which is for STATE.
        return Live(
            renderable,
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )


def short_words(position: Position, rows_per_second: float, seconds_left: float | None, width: int) -> str:
    """How far a run is, in at most so many characters: what matters least is left out first."""
    if not position.read_rows:
        return words(position, rows_per_second, seconds_left)
    parts = [f"{position.done_rows:,}/{position.read_rows:,} rows", f"{rows_per_second:,.0f}/s"]
    if seconds_left is not None:
        parts.append(f"{duration_text(seconds_left)} left")
    parts.append(f"{position.unconfirmed_batches:,} unconfirmed")
    parts.append(f"{position.budget_share:.0%} of the hour")
    while len(parts) > 1 and len(", ".join(parts)) > width:
        parts.pop()
    return ", ".join(parts)


def cells(stream: str, counts: Counts) -> tuple[str, ...]:
    """The line of a stream in the table at the end; what is not known is a question mark."""
    stored = [f"{counts.appended:,}", f"{counts.overwritten:,}"]
    if counts.unknown_counts:
        stored = ["?", "?"]
    holds = "?" if counts.dataset_rows is None else f"{counts.dataset_rows:,}"
    rows = (counts.read, counts.confirmed, counts.superseded, counts.rejected)
    return printable(stream), *(f"{each:,}" for each in rows), *stored, holds, f"{counts.requests:,}"


def _stderr_handlers() -> list[logging.StreamHandler[Any]]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = [handler for each in loggers if isinstance(each, logging.Logger) for handler in each.handlers]
    return [
        handler
        for handler in handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr
    ]
