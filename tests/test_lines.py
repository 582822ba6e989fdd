"""Lines of the input and of files come whole or, beyond the limit, not at all and without being held."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import time
import tracemalloc
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest

from target_databox.singer.lines import (
    MOST_COUNTED_BYTES,
    MOST_LINE_BYTES,
    LineTooDenseError,
    LineTooLongError,
    bounded_lines,
    chunks,
)
from target_databox.singer.messages import InputError, message
from tests.command import record, schema, state, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Command

HELD_BYTES = 2 * MOST_LINE_BYTES + 10_000_000


def lines_of(file: IO[Any]) -> Iterator[bytes]:
    """All lines of an input, one after the other."""
    for some in chunks(file, interruptible=contextlib.nullcontext(), is_over=lambda: False):
        yield from some


def sparse(folder: Path, begin: bytes, size_bytes: int, end: bytes = b"") -> Path:
    """A file with bytes of zero between a beginning and an end, which takes no place on disk."""
    path = folder / "sparse"
    with path.open("wb") as file:
        file.write(begin)
        file.truncate(len(begin) + size_bytes)
        file.seek(0, io.SEEK_END)
        file.write(end)
    return path


@pytest.fixture
def peak() -> Iterator[list[int]]:
    """Nothing at first; afterwards the bytes that were held at most must not exceed what two lines are."""
    tracemalloc.start()
    yield []
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < HELD_BYTES


@pytest.mark.parametrize("end", [b"", b"\n", b"\nmore\n"])
@pytest.mark.parametrize("read", [lines_of, bounded_lines])
@pytest.mark.usefixtures("peak")
def test_long_line_is_counted_and_not_held(read: Any, end: bytes, tmp_path: Path) -> None:
    """Lines before one that is too long come, its exact size is reported, and it is never in memory."""
    path = sparse(tmp_path, b"one\ntwo\n", 500_000_000, end)
    with path.open("rb") as file:
        found = read(file)
        assert [next(found).rstrip(b"\n"), next(found).rstrip(b"\n")] == [b"one", b"two"]
        with pytest.raises(LineTooLongError) as caught:
            next(found)
    assert str(caught.value) == (
        "is 500,000,000 bytes long, and lines of up to 64,000,000 bytes are read. Ask the tap for smaller "
        "records."
    )


@pytest.mark.parametrize("read", [lines_of, bounded_lines])
@pytest.mark.usefixtures("peak")
def test_line_without_end_is_given_up(read: Any) -> None:
    """A line that never ends is given up, with the size up to which it was counted."""
    with Path("/dev/zero").open("rb") as file, pytest.raises(LineTooLongError) as caught:
        list(read(file))
    assert str(caught.value).startswith(f"is at least {MOST_COUNTED_BYTES // 1_000_000_000},000,")


@pytest.mark.usefixtures("peak")
def test_packed_line_is_unpacked_in_parts() -> None:
    """A small file that unpacks to a line of hundreds of megabytes does no harm."""
    packed = gzip.compress(b"[]\n") + gzip.compress(bytes(1_000_000)) * 300
    assert len(packed) < 500_000
    unpacked = gzip.GzipFile(fileobj=io.BytesIO(packed))
    found = bounded_lines(unpacked)  # type: ignore[arg-type] # a GzipFile reads like any file
    assert next(found) == b"[]\n"
    with pytest.raises(LineTooLongError, match=r"^is 300,000,000 bytes long"):
        next(found)


@pytest.mark.parametrize("end", [b"", b"\n"])
@pytest.mark.parametrize("read", [lines_of, bounded_lines])
def test_longest_line_is_read(read: Any, end: bytes, tmp_path: Path) -> None:
    """A line that is as long as the limit is read whole."""
    path = sparse(tmp_path, b"", MOST_LINE_BYTES, end)
    with path.open("rb") as file:
        (line,) = read(file)
    assert len(line.rstrip(b"\n")) == MOST_LINE_BYTES


@pytest.mark.parametrize("file", [io.StringIO("ä\n\nb"), io.BytesIO("ä\n\nb".encode())])
def test_files_without_descriptor_are_read(file: IO[Any]) -> None:
    """Text and bytes in memory are lines too; what no text holds comes through."""
    assert list(lines_of(file)) == ["ä".encode(), b"", b"b"]
    assert list(lines_of(io.StringIO("\udcff\n"))) == [b"\xff"]


def test_pieces_of_lines_are_joined() -> None:
    """A line that comes in pieces through a pipe is one line, and a last one needs no end."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as source:
        found = lines_of(source)
        os.write(writing, b"a\nb")
        assert next(found) == b"a"
        os.write(writing, b"c")
        os.write(writing, b"\nd")
        assert next(found) == b"bc"
        os.close(writing)
        assert list(found) == [b"d"]


@pytest.mark.parametrize("settings", [(), ("--dry-run",)], ids=["load", "dry run"])
def test_long_line_ends_the_run(command: Command, settings: tuple[str, ...]) -> None:
    """A line that is too long ends the run with its number and size; what came before it is loaded."""
    long = b'{"type":"RECORD","stream":"orders","record":{"id":2,"name":"' + b"x" * MOST_LINE_BYTES
    run = command.run(
        text(schema(), record(id=1), state(at=1)), long + b'"}}\n', state(at=2), arguments=settings
    )
    assert run.code == 1
    assert run.errors == [
        f"Line 4 of the input is {len(long) + 3:,} bytes long, and lines of up to 64,000,000 bytes are read. "
        "Ask the tap for smaller records."
    ]
    if not settings:
        assert run.states == [{"at": 1}]
        assert command.rows() == [{"id": 1}]


DENSE = {
    "lists": b"[" * 9_000_000,
    "objects": b'{"a":' * 2_000_000,
    "pairs": b"[" + b"[]," * 3_000_000 + b"[]]",
    "numbers": b"[" + b"1," * 5_000_000 + b"1]",
    "records": b'{"a":[' + b'{"b":1},' * 1_200_000 + b"1]}",
    "texts": b'"",' * 3_000_000,
    "quotes": b'"' * 12_000_000 + b"," * 1_000_001,
    "closed": b'{"type":"RECORD","stream":"s","record":' + b"[" * 4_500_000 + b"]" * 4_500_000 + b"}",
}


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("read", [lines_of, bounded_lines])
def test_lines_of_too_many_values_are_told(read: Any, name: str, tmp_path: Path) -> None:
    """A long line of more values than memory has room for is told by its size, and costs little time."""
    path = tmp_path / "lines"
    path.write_bytes(b"{}\n" + DENSE[name] + b"\n")
    with path.open("rb") as file:
        found = read(file)
        assert next(found).rstrip(b"\n") == b"{}"
        began = time.process_time()
        with pytest.raises(LineTooDenseError) as caught:
            next(found)
    assert time.process_time() - began < 5
    size = f"{len(DENSE[name]):,}"
    assert str(caught.value).startswith(f"is {size} bytes long and holds more than 1,000,000 values.")


@pytest.mark.parametrize(
    "line",
    [
        b'{"a":"' + b",[{" * 5_000_000 + b'"}',
        b'{"a":"\\"' + b",[{" * 5_000_000 + b'\\\\"}',
        b"[" + b"1111111111," * 900_000 + b"1]",
    ],
    ids=["in a text", "behind an escape", "few but long"],
)
@pytest.mark.parametrize("read", [lines_of, bounded_lines])
def test_long_lines_of_few_values_are_read(read: Any, line: bytes, tmp_path: Path) -> None:
    """A long text full of commas is one value."""
    path = tmp_path / "lines"
    path.write_bytes(line + b"\n")
    with path.open("rb") as file:
        assert [each.rstrip(b"\n") for each in read(file)] == [line]


@pytest.mark.parametrize("mark", [b"[", b'{"a":'], ids=["lists", "objects"])
@pytest.mark.parametrize("length", [1_000_000, 7_900_000])
def test_deep_lines_cost_little(mark: bytes, length: int) -> None:
    """A line of opening brackets is told to be none in little time, however long it is."""
    began = time.process_time()
    with pytest.raises(InputError, match=r"not valid JSON|nested too deeply"):
        message(mark * (length // len(mark)))
    assert time.process_time() - began < 5
