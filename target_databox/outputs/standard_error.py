"""Standard error that can't hold up the end of a run: whoever reads it may stop doing so at any time."""

from __future__ import annotations

import io
import math
import os
import select
import sys
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

# How long a run that is to end waits for the reader of its standard error, in all.
HURRIED_SECONDS: Final = 0.5
# How soon a wait learns that the run is to end.
LOOK_SECONDS: Final = 0.1


class ErrorOutput(io.RawIOBase):
    """Writes to a descriptor, and waits while that takes nothing; once hurried, only for a moment.

    It holds no lock while it waits, and never writes more at once than a pipe that is ready takes.

    Args:
        descriptor: Where to write.
        clock: Monotonic seconds.
    """

    def __init__(self, descriptor: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._way_out = _way_out(descriptor)
        self._clock = clock
        self._wait_left_seconds = math.inf

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """True."""
        return True

    def hurry(self) -> None:
        """From here on wait half a second in all; drop what is not taken by then."""
        self._wait_left_seconds = min(self._wait_left_seconds, HURRIED_SECONDS)

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of it; once hurried, drop what is not taken in time."""
        whole = memoryview(data).cast("B")
        rest = whole
        while rest:
            began = self._clock()
            taken_bytes = self._taken_bytes(rest[: select.PIPE_BUF])
            rest = rest[taken_bytes:]
            if not taken_bytes:
                self._wait_left_seconds -= self._clock() - began
                if self._wait_left_seconds <= 0:
                    break
        return len(whole)

    def _taken_bytes(self, piece: memoryview) -> int:
        """How many bytes of a piece are taken now or soon."""
        wait_seconds = max(0.0, min(LOOK_SECONDS, self._wait_left_seconds))
        if select.select([], [self._way_out], [], wait_seconds)[1]:
            try:
                return os.write(self._way_out, piece)
            except BlockingIOError:
                # Others were faster, or a terminal has room for less than one character.
                time.sleep(wait_seconds)
        return 0


def _way_out(descriptor: int) -> int:
    """Where to write: a terminal is opened again, non-blocking, since a ready one may take part of a piece.

    All who share an open terminal share whether it blocks, so the given one is not changed.
    """
    try:
        return os.open(os.ttyname(descriptor), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return descriptor


def install() -> None:
    """Replace standard error, if there is one."""
    if sys.stderr is not None:
        sys.stderr = io.TextIOWrapper(
            ErrorOutput(sys.stderr.fileno()),
            encoding=sys.stderr.encoding,
            errors=sys.stderr.errors,
            line_buffering=True,
            write_through=True,
        )


def hurry() -> None:
    """From here on let standard error block only for a moment, if it is an `ErrorOutput`."""
    output = getattr(sys.stderr, "buffer", None)
    if isinstance(output, ErrorOutput):
        output.hurry()
