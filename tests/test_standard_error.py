"""Standard error is waited for, until the run is to end; then only for a moment in all."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from target_databox.outputs import standard_error
from target_databox.outputs.standard_error import HURRIED_SECONDS, ErrorOutput
from tests.stuffed import KINDS, pair_of, stuff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

DEADLINE_SECONDS = 10.0


@pytest.fixture(params=KINDS)
def ends(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A full pipe, socket or terminal: descriptors of its end to read and to write."""
    reading, writing = pair_of(request.param)
    stuff(writing)
    yield reading, writing
    os.close(reading)
    os.close(writing)


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    """Begin some work beside the test."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_reader_is_waited_for(ends: tuple[int, int]) -> None:
    """What is full is waited for, and when it is read again everything arrives in its order."""
    reading, writing = ends
    data = b"".join(b"%d," % number for number in range(5000))
    writer = in_a_thread(lambda: ErrorOutput(writing).write(data))
    writer.join(0.1)
    assert writer.is_alive()
    seen = b""
    while not seen.endswith(data):
        seen += os.read(reading, 10_000)
    writer.join(DEADLINE_SECONDS)
    assert not writer.is_alive()
    assert seen.count(b"4999,") == 1


def test_hurried_it_waits_in_all_for_a_moment(ends: tuple[int, int]) -> None:
    """A wait ends soon after it is asked to hurry; later writes don't wait at all."""
    output = ErrorOutput(ends[1])
    writer = in_a_thread(lambda: output.write(b"left out"))
    writer.join(0.1)
    assert writer.is_alive()
    output.hurry()
    began = time.monotonic()
    writer.join(DEADLINE_SECONDS)
    assert HURRIED_SECONDS / 2 < time.monotonic() - began < HURRIED_SECONDS + 1
    began = time.monotonic()
    for _ in range(100):
        assert output.write(b"left out") == 8
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("room_bytes", [1, 100, 4000])
def test_terminal_with_little_room_holds_nothing_up(room_bytes: int) -> None:
    """A terminal that has room, but for less than is written, is waited for no longer than a full one."""
    reading, writing = pair_of("terminal")
    stuff(writing)
    while room_bytes:
        room_bytes -= len(os.read(reading, room_bytes))
    output = ErrorOutput(writing)
    output.hurry()
    writer = in_a_thread(lambda: output.write(b"left out" * 1000))
    writer.join(HURRIED_SECONDS + 1)
    assert not writer.is_alive()
    os.close(reading)
    os.close(writing)


def test_hurried_it_writes_what_is_taken() -> None:
    """Told to hurry, and its wait used up, it still writes all that a reader takes."""
    reading, writing = os.pipe()
    stuff(writing)
    output = ErrorOutput(writing)
    output.hurry()
    output.write(b"left out")
    os.set_blocking(reading, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.read(reading, 65_536)
    output.write(b"taken")
    assert os.read(reading, 100) == b"taken"
    os.close(reading)
    os.close(writing)


def test_file_is_written_at_its_end(tmp_path: Path) -> None:
    """A file is written to as it was opened, behind what is there."""
    path = tmp_path / "log"
    with path.open("wb", buffering=0) as file:
        file.write(b"before\n")
        assert ErrorOutput(file.fileno()).write(b"x" * 100_000) == 100_000
    assert path.read_bytes() == b"before\n" + b"x" * 100_000


def test_text_goes_out_as_before(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In the place of standard error it takes text in the same encoding, and writes it at once."""
    path = tmp_path / "log"
    with path.open("w", encoding="latin-1", errors="backslashreplace") as file:
        monkeypatch.setattr(sys, "stderr", file)
        standard_error.install()
        sys.stderr.write("é, \u20ac\n")
        assert path.read_bytes() == b"\xe9, \\u20ac\n"
        assert (sys.stderr.fileno(), sys.stderr.isatty()) == (file.fileno(), False)
        standard_error.hurry()
        sys.stderr.write("more\n")
        sys.stderr.flush()
    assert path.read_bytes().endswith(b"\nmore\n")


@pytest.mark.parametrize("stderr", [None, io.StringIO()])
def test_other_outputs_are_left_alone(monkeypatch: pytest.MonkeyPatch, stderr: io.StringIO | None) -> None:
    """Where there is no standard error, or tests have taken its place, nothing is to hurry."""
    monkeypatch.setattr(sys, "stderr", stderr)
    standard_error.hurry()
    if stderr is None:
        standard_error.install()
        assert sys.stderr is None
