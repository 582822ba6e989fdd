"""The real command where STATE can't be written at once, or not at all: whole lines, or the run fails."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import DEADLINE_SECONDS, finished, record, schema, state, text
from tests.stuffed import KINDS, pair_of, stuff

if TYPE_CHECKING:
    from tests.command import Command

# More than a pipe holds, so that no write of it is done at once.
LONG_BYTES = 300_000
BUFFERING = [pytest.param({}, id="buffered"), pytest.param({"PYTHONUNBUFFERED": "1"}, id="unbuffered")]
# A busy machine takes its time; what blocks a run does so for good.
LEEWAY_SECONDS = 6.0
SHUTDOWN_SECONDS = 0.3
EARLIER = b'{"upto": -1}\n'


def long_state(upto: int, length: int = LONG_BYTES) -> dict[str, Any]:
    """A STATE of many bytes."""
    return state(upto=upto, padding="x" * length)


def messages(*numbers: int, length: int = LONG_BYTES) -> bytes:
    """A row and a long STATE for each number."""
    rows = [(record(id=number), long_state(number, length)) for number in numbers]
    return text(schema(), *(message for pair in rows for message in pair))


def lines_of(data: bytes) -> list[int]:
    """Which STATEs data holds; every line of it must be a whole one."""
    assert not data or data.endswith(b"\n")
    return [json.loads(line)["upto"] for line in data.splitlines()]


# Files


@pytest.mark.parametrize("env", BUFFERING)
@pytest.mark.parametrize("mode", ["wb", "ab"], ids=["file", "appended"])
@pytest.mark.parametrize("length", [9_000, LONG_BYTES])
def test_full_disk_keeps_no_part_of_a_state(
    command: Command, small_disk: Path, env: dict[str, str], mode: str, length: int
) -> None:
    """A STATE that a disk has no room for fails the run, and the file ends where the one before did."""
    path = small_disk / "states"
    path.write_bytes(EARLIER)
    with path.open(mode) as output:
        run = finished(command.start(env=env, stdout=output), messages(1, length=length))
    assert run.code == 1
    (error,) = run.errors
    assert error.startswith("Standard output can't be written (No space left on device), so no STATE can be")
    assert path.read_bytes() == (EARLIER if mode == "ab" else b"")


@pytest.mark.parametrize("env", BUFFERING)
@pytest.mark.parametrize("redirection", [">", ">>", "1<>"])
def test_file_limit_keeps_no_part_of_a_state(
    command: Command, tmp_path: Path, env: dict[str, str], redirection: str
) -> None:
    """A STATE beyond the limit for files fails the run, and the file ends where the one before did."""
    path = tmp_path / "states"
    path.write_bytes(EARLIER if redirection == ">>" else b"")
    shell = f"exec {redirection} '{path}'; ulimit -f 10"
    process = command.start(env=env, shell=shell)
    assert process.stdin is not None
    process.stdin.write(messages(1, length=2_000))
    process.stdin.flush()
    wait_for(lambda: path.stat().st_size > 2_000)
    run = finished(process, messages(2, length=20_000))
    assert run.code == 1
    (error,) = run.errors
    assert error.startswith("Standard output can't be written (File too large), so no STATE can be written.")
    assert lines_of(path.read_bytes()) == ([-1, 1] if redirection == ">>" else [1])


@pytest.mark.parametrize("env", BUFFERING)
@pytest.mark.parametrize("is_one_file", [True, False], ids=["inherited", "opened by each"])
def test_runs_that_share_a_file_keep_each_other_whole(
    command: Command, tmp_path: Path, env: dict[str, str], is_one_file: bool
) -> None:
    """Of runs that append to one file some may not write all they want to: every line of it is whole."""
    path = tmp_path / "states"
    runs = []
    with path.open("ab") as shared:
        for number in range(4):
            # Each meets its limit at another place, one never.
            limit = f"ulimit -f {40 + 14 * number}" if number < 3 else "true"
            shell = limit if is_one_file else f"exec >> '{path}'; {limit}"
            runs.append(command.start(env=env, shell=shell, stdout=shared, batch_age_seconds=0.01))
    for number in range(1, 10):
        for run, process in enumerate(runs):
            assert process.stdin is not None
            if process.poll() is None:
                row = record(id=number, name=f"run {run}")
                process.stdin.write(text(schema(), row, state(upto=number, run=run, padding="x" * 3_400)))
                process.stdin.flush()
        for run, process in enumerate(runs):
            reported = b'{"upto": %d, "run": %d, ' % (number, run)
            wait_for(
                lambda reported=reported, process=process: (
                    reported in path.read_bytes() or process.poll() == 1
                )
            )
    assert [finished(process).code for process in runs] == [1, 1, 1, 0]
    assert lines_of(path.read_bytes())[-1] == 9


# Readers


@pytest.mark.parametrize("env", BUFFERING)
@pytest.mark.parametrize("blocks", [True, False], ids=["blocking", "non-blocking"])
def test_slow_reader_gets_whole_states(command: Command, env: dict[str, str], blocks: bool) -> None:
    """A pipe that is full is waited for, whether it blocks or not: every STATE arrives whole, exit 0."""
    reading, writing = os.pipe()
    os.set_blocking(writing, blocks)
    process = command.start(env=env, stdout=writing)
    os.close(writing)
    parts = []
    with open(reading, "rb", buffering=0) as output:  # noqa: PTH123 # a descriptor

        def read() -> None:
            wait_for(lambda: bool(command.emulator.log.of("post_rows")))
            while part := output.read(16_384):
                parts.append(part)
                time.sleep(0.001)

        reader = threading.Thread(target=read)
        reader.start()
        run = finished(process, messages(1, 2, 3))
        reader.join()
    assert run.code == 0
    assert lines_of(b"".join(parts))[-1] == 3


@pytest.mark.parametrize("env", BUFFERING)
def test_stopped_and_continued_run_writes_whole_states(command: Command, env: dict[str, str]) -> None:
    """A write that is interrupted half-way goes on: a STATE arrives whole however often that happens."""
    reading, writing = os.pipe()
    process = command.start(env=env, stdout=writing)
    os.close(writing)
    assert process.stdin is not None
    process.stdin.write(messages(1))
    process.stdin.flush()
    parts = []
    with open(reading, "rb", buffering=0) as output:  # noqa: PTH123 # a descriptor
        while sum(map(len, parts)) < LONG_BYTES:
            parts.append(output.read(10_000))
            process.send_signal(signal.SIGSTOP)
            time.sleep(0.002)
            process.send_signal(signal.SIGCONT)
            time.sleep(0.002)
        assert finished(process).code == 0
        parts.append(output.read())
    assert lines_of(b"".join(parts)) == [1]


@pytest.mark.parametrize("env", BUFFERING)
@pytest.mark.parametrize("taken", [0, 1, 70_000])
def test_reader_that_leaves_in_a_state_ends_the_run(
    command: Command, env: dict[str, str], taken: int
) -> None:
    """A reader that leaves before it has all of a STATE fails the run."""
    process = command.start(env=env)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(messages(1))
    process.stdin.flush()
    wait_for(lambda: bool(command.emulator.log.of("post_rows")))
    process.stdout.read(taken)
    process.stdout.close()
    process.stdout = None
    run = finished(process)
    assert run.code == 1
    (error,) = run.errors
    assert error.startswith("Standard output was closed by its reader, so no STATE can be written.")
    assert "Exception ignored" not in run.log


@pytest.mark.parametrize("env", BUFFERING)
def test_terminal_that_is_gone_ends_the_run(command: Command, env: dict[str, str]) -> None:
    """A terminal that was closed while the run goes on fails it with what the system says of it."""
    reading, writing = os.openpty()
    process = command.start(env=env, stdout=writing)
    os.close(writing)
    os.close(reading)
    run = finished(process, messages(1, length=10))
    assert run.code == 1
    (error,) = run.errors
    assert error.startswith("Standard output can't be written (Input/output error), so no STATE can be")


# Readers that read nothing, and a signal


@pytest.mark.parametrize("env", BUFFERING)
@pytest.mark.parametrize("is_at_end", [True, False], ids=["at the end", "while it reads"])
@pytest.mark.parametrize("is_stuffed", [True, False], ids=["full", "empty"])
@pytest.mark.parametrize("kind", KINDS)
def test_reader_that_reads_nothing_does_not_outlive_a_signal(
    command: Command, env: dict[str, str], kind: str, *, is_at_end: bool, is_stuffed: bool
) -> None:
    """After a signal a run whose STATE nobody takes ends within shutdown_seconds, with the signal's code."""
    number, code = (signal.SIGTERM, 143) if is_at_end else (signal.SIGINT, 130)
    reading, writing = pair_of(kind)
    if is_stuffed:
        stuff(writing)
    process = command.start(env=env, stdout=writing, shutdown_seconds=SHUTDOWN_SECONDS)
    os.close(writing)
    assert process.stdin is not None
    process.stdin.write(messages(1))
    if is_at_end:
        process.stdin.close()
        process.stdin = None
    else:
        process.stdin.flush()
    wait_for(lambda: bool(command.emulator.log.of("ingestion")))
    time.sleep(0.1)
    assert process.poll() is None
    process.send_signal(number)
    began = time.monotonic()
    process.wait(DEADLINE_SECONDS)
    assert time.monotonic() - began < SHUTDOWN_SECONDS + LEEWAY_SECONDS
    run = finished(process)
    os.close(reading)
    assert (run.code, run.errors) == (code, [])
    assert "Writing STATE or rejected records is blocked; ending without them." in run.log
    assert run.log.splitlines()[-1].endswith("0.0 s waited for the rate limit)")


def test_reader_that_reads_again_after_a_signal_gets_its_state(command: Command) -> None:
    """A STATE that was blocked when the signal came is written whole if it is taken in time."""
    reading, writing = os.pipe()
    process = command.start(stdout=writing)
    os.close(writing)
    assert process.stdin is not None
    process.stdin.write(messages(1))
    process.stdin.flush()
    wait_for(lambda: bool(command.emulator.log.of("ingestion")))
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.1)
    with open(reading, "rb") as output:  # noqa: PTH123 # a descriptor
        assert lines_of(output.read()) == [1]
    assert finished(process).code == 143


def test_blocked_rejects_file_does_not_outlive_a_signal(command: Command, tmp_path: Path) -> None:
    """After a signal a run that can't get at its rejects file ends in time; no STATE passes the record."""
    path = tmp_path / "rejects.singer"
    process = command.start(shutdown_seconds=SHUTDOWN_SECONDS, rejects_path=str(path))
    with path.open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(text(schema(), record(id=1), state(upto=1)))
        process.stdin.flush()
        assert process.stdout.readline() == b'{"upto": 1}\n'
        process.stdin.write(text(record(id="x"), state(upto=2)))
        process.stdin.flush()
        # Its thread has the file open, and waits for its turn.
        opened = Path(f"/proc/{process.pid}/fd")
        wait_for(lambda: path in [each.resolve() for each in opened.iterdir()])
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        process.wait(DEADLINE_SECONDS)
        assert time.monotonic() - began < SHUTDOWN_SECONDS + LEEWAY_SECONDS
    run = finished(process)
    assert (run.code, run.out) == (143, b"")
    assert path.read_bytes() == b""


def wait_for(is_so: Any) -> None:
    """Return when something is so."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)
