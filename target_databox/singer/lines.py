"""Lines of bytes from the input and from files, none of which is held in memory when it is too long."""

from __future__ import annotations

import os
import re
import select
from typing import IO, TYPE_CHECKING, Any, Final

from target_databox.singer.messages import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

CHUNK_BYTES: Final = 1 << 16
# Lines of one chunk at most where the input is no file descriptor.
CHUNK_LINES: Final = 100
# How soon a silent input is left when the run fails.
SILENCE_SECONDS: Final = 0.25

MOST_LINE_BYTES: Final = 64_000_000
# A longer line may hold a million values at most, objects and lists included: more would take gigabytes of
# memory, and no API takes rows of that size.
MOST_DENSE_BYTES: Final = 8_000_000
MOST_VALUES: Final = 1_000_000
_TEXTS_AND_MARKS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{,]+', re.DOTALL)
_QUOTE: Final = ord('"')
# A line that is too long is read on to learn its size, but not for ever: it may have no end.
MOST_COUNTED_BYTES: Final = 1_000_000_000


class LineTooLongError(ValueError):
    """A line is longer than memory allows; the message is a clause that follows the line's number."""

    def __init__(self, size_bytes: int) -> None:
        least = "at least " if size_bytes > MOST_COUNTED_BYTES else ""
        super().__init__(
            f"is {least}{size_bytes:,} bytes long, and lines of up to {MOST_LINE_BYTES:,} bytes are read. "
            "Ask the tap for smaller records."
        )


class LineTooDenseError(LineTooLongError):
    """A line holds more values than memory allows; the message is a clause that follows the line's number."""

    def __init__(self, size_bytes: int) -> None:
        ValueError.__init__(
            self,
            f"is {size_bytes:,} bytes long and holds more than {MOST_VALUES:,} values. Ask the tap for "
            "smaller records.",
        )


def chunks(
    file_input: IO[Any], *, interruptible: AbstractContextManager[Any], is_over: Callable[[], bool]
) -> Iterator[list[bytes]]:
    """Lines without their ends, as many at a time as are there without waiting.

    Args:
        file_input: Text or bytes; what has a file descriptor is read from there.
        interruptible: Entered around every read that may wait.
        is_over: Whether nothing more needs to be read, asked before every read and while the input is silent.

    Raises:
        LineTooLongError: The line after those that were given is too long, or holds too many values.
        InputError: The input can't be read.
    """
    try:
        descriptor = file_input.fileno()
    except (AttributeError, OSError):
        yield from _lines_by_number(file_input)
        return
    pieces = _pieces(descriptor, interruptible, is_over)
    # Grows in place: a long line comes in thousands of pieces.
    rest = bytearray()
    for piece in pieces:
        *lines, tail = piece.split(b"\n")
        size = len(rest) + len(lines[0] if lines else tail)
        if size > MOST_LINE_BYTES:
            rest.clear()
            raise LineTooLongError(size if lines else _whole_size(size, pieces))
        if lines:
            lines[0] = bytes(rest) + lines[0]
            rest[:] = tail
            check_density(lines[0])
            yield lines
        else:
            rest += tail
    if rest and not is_over():
        check_density(rest)
        yield [bytes(rest)]


def bounded_lines(file: IO[Any]) -> Iterator[bytes]:
    """Lines of a file, with their ends, read and unpacked no further than is needed.

    Args:
        file: Text or bytes.

    Raises:
        LineTooLongError: The line after those that were given is too long, or holds too many values.
    """
    while line := _encoded(file.readline(MOST_LINE_BYTES + 1)):
        if len(line) > MOST_LINE_BYTES and not line.endswith(b"\n"):
            size = len(line)
            line = b""
            raise LineTooLongError(_whole_size(size, iter(lambda: _encoded(file.readline(CHUNK_BYTES)), b"")))
        check_density(line)
        yield line


def check_density(line: bytes | bytearray) -> None:
    """Make sure that a long line holds no more values than memory has room for.

    Raises:
        LineTooDenseError: It does.
    """
    if len(line) <= MOST_DENSE_BYTES or sum(line.count(mark) for mark in (b",", b"[", b"{")) <= MOST_VALUES:
        return
    # Some of them may stand within texts, of which a value and its name are two.
    values = 0
    for looks, found in enumerate(_TEXTS_AND_MARKS.finditer(line)):
        if line[found.start()] != _QUOTE:
            values += found.end() - found.start()
        if values > MOST_VALUES or looks > 4 * MOST_VALUES:
            raise LineTooDenseError(len(line) - line.endswith(b"\n"))


def _pieces(
    descriptor: int, interruptible: AbstractContextManager[Any], is_over: Callable[[], bool]
) -> Iterator[bytes]:
    """What there is to read, until the end or until nothing more is needed."""
    while not is_over():
        with interruptible:
            if not select.select([descriptor], [], [], SILENCE_SECONDS)[0]:
                continue
            piece = _read(descriptor)
        if not piece:
            return
        yield piece


def _whole_size(size_bytes: int, pieces: Iterator[bytes]) -> int:
    """The size of a line of which the beginning was read, without its end; its pieces are forgotten."""
    for piece in pieces:
        end = piece.find(b"\n")
        size_bytes += len(piece) if end < 0 else end
        if end >= 0 or size_bytes > MOST_COUNTED_BYTES:
            break
    return size_bytes


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, CHUNK_BYTES)
    except OSError as error:
        raise InputError(f"The input can't be read: {error.strerror}.") from error


def _lines_by_number(file_input: IO[Any]) -> Iterator[list[bytes]]:
    lines: list[bytes] = []
    try:
        for line in bounded_lines(file_input):
            lines.append(line.rstrip(b"\n"))
            if len(lines) == CHUNK_LINES:
                yield lines
                lines = []
    except LineTooLongError:
        if lines:
            yield lines
        raise
    if lines:
        yield lines


def _encoded(line: Any) -> bytes:
    return line.encode("utf-8", "surrogateescape") if isinstance(line, str) else line
