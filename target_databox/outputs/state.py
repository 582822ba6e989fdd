"""Writes STATE where the orchestrator reads it: a line is written whole, or the run fails."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ADVICE: Final = "The run ends; the next one loads again what no STATE has passed."


class OutputClosedError(RuntimeError):
    """STATE can't be written any more."""


def write_state(value: bytes) -> None:
    """Write one STATE value on standard output; returns when all of it is out.

    Waits for a slow reader, even where standard output does not block. Bypasses Python's own buffers: they
    drop what an unbuffered write leaves over, and wait for the reader again at exit.

    Raises:
        OutputClosedError: It could not be written as a whole.
    """
    if sys.stdout is None:
        raise OutputClosedError(f"There is no standard output, so no STATE can be written. {ADVICE}")
    line = value + b"\n"
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, io.UnsupportedOperation):
        # In the SDK's tests standard output is in memory.
        _write_in_memory(line)
        return
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            _write_to_file(descriptor, line)
        else:
            _write_to_reader(descriptor, line)
    except OSError as error:
        problem = (
            "was closed by its reader"
            if isinstance(error, BrokenPipeError)
            else f"can't be written ({error.strerror})"
        )
        raise OutputClosedError(f"Standard output {problem}, so no STATE can be written. {ADVICE}") from error


def _write_in_memory(line: bytes) -> None:
    binary = getattr(sys.stdout, "buffer", None)
    if binary is None:
        sys.stdout.write(line.decode())
    else:
        binary.write(line)
    sys.stdout.flush()


def _write_to_reader(descriptor: int, line: bytes) -> None:
    """Write to a pipe, a socket or a terminal, which may take a part at a time, or nothing for a while."""
    rest = memoryview(line)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            select.select([], [descriptor], [])


def _write_to_file(descriptor: int, line: bytes) -> None:
    """Write to a file, which any number of runs may append to; a line that is cut short is removed."""
    with _alone(descriptor):
        begin = _next_place(descriptor)
        written = 0
        try:
            while written < len(line):
                written += os.write(descriptor, line[written:])
        except OSError:
            with contextlib.suppress(OSError):
                _take_back(descriptor, begin, written)
            raise


@contextlib.contextmanager
def _alone(descriptor: int) -> Iterator[None]:
    """Keep other runs from writing to the file meanwhile, where the file system can do that."""
    # A lock of the process, not of the open file, which runs of one shell may share.
    with contextlib.suppress(OSError):
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.lockf(descriptor, fcntl.LOCK_UN)


def _next_place(descriptor: int) -> int:
    """Where in a file the next write goes."""
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_APPEND:
        return os.fstat(descriptor).st_size
    return os.lseek(descriptor, 0, os.SEEK_CUR)


def _take_back(descriptor: int, begin: int, written: int) -> None:
    if not written:
        return
    if os.fstat(descriptor).st_size == begin + written:
        os.ftruncate(descriptor, begin)
        os.lseek(descriptor, begin, os.SEEK_SET)
    else:
        # Something follows it, which must not be lost.
        os.write(descriptor, b"\n")
