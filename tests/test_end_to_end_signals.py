"""The real command is asked to stop, or killed, at random instants: no STATE is ahead of what is stored."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import DEADLINE_SECONDS, TARGET, Command, finished, record, schema, state, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Run
    from tests.conftest import EmulatorMaker

ROWS = 1500
ROWS_A_STATE = 25
SHUTDOWN_SECONDS = 3
SETTINGS = {"shutdown_seconds": SHUTDOWN_SECONDS, "batch_size_rows": 20, "concurrent_requests": 4}
# More than any machine needs between the end of the work and the end of the process.
LEEWAY_SECONDS = 2.0


# How often every instant is tried: 1 for CI, 10 for the hundreds that a release deserves.
INSTANTS = int(os.environ.get("INSTANTS", "1"))


def seeds(few: int, many: int) -> list[Any]:
    """A few seeds for every day, more for CI, as many as asked for with `INSTANTS`."""
    return [
        pytest.param(seed, marks=[pytest.mark.slow] if seed > few else [])
        for seed in range(1, max(few, many * INSTANTS) + 1)
    ]


def rows_from(first: int, *, keys: int = ROWS) -> bytes:
    """Rows numbered upwards, with a STATE that names the newest behind every few of them."""
    messages: list[dict[str, Any] | bytes] = [schema()]
    for number in range(first, ROWS + 1):
        messages.append(record(id=number % keys, name=f"version {number}"))
        if number % ROWS_A_STATE == 0:
            messages.append(state(upto=number))
    return text(*messages)


def feed(process: subprocess.Popen[bytes], data: bytes, *, close: bool = False) -> threading.Thread:
    """Write input beside the test, for as long as it is read; it stays open unless told otherwise."""
    assert process.stdin is not None
    pipe = process.stdin

    def write() -> None:
        with contextlib.suppress(OSError, ValueError):
            pipe.write(data)
            pipe.flush()
            if close:
                pipe.close()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


def end_of(process: subprocess.Popen[bytes], feeder: threading.Thread) -> tuple[Run, float]:
    """The run after it was asked to stop, and how long that took."""
    began = time.monotonic()
    process.wait(60)
    seconds = time.monotonic() - began
    feeder.join()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.stdin = None
    return finished(process), seconds


def wait_until(is_so: Callable[[], bool], seconds: float) -> None:
    """Return when something is so, or the time is up."""
    deadline = time.monotonic() + seconds
    while not is_so() and time.monotonic() < deadline:
        time.sleep(0.002)


def wait_for_requests(command: Command, process: subprocess.Popen[bytes], count: int) -> None:
    """Return when the emulator has had so many requests, or no more of them seem to come."""
    log = command.emulator.log
    # However long the command takes to start.
    wait_until(lambda: log.total >= min(count, 1) or process.poll() is not None, DEADLINE_SECONDS)
    wait_until(lambda: log.total >= count or process.poll() is not None, 3)


def wait_for_rows(command: Command) -> None:
    """Return when the first rows are on their way."""
    wait_until(lambda: bool(command.emulator.log.of("post_rows")), DEADLINE_SECONDS)


def check(command: Command, run: Run, *, keys: int = ROWS) -> int:
    """Make sure that every row before the newest STATE is stored, or a newer version of it is.

    Returns:
        The newest STATE's row.
    """
    written = [each["upto"] for each in run.states]
    assert written == sorted(set(written)), "a STATE twice or out of order"
    upto: int = written[-1] if written else 0
    if command.emulator.store.datasets():
        rows = {int(row["id"]): int(row["name"].split()[1]) for row in command.rows()}
    else:
        rows = {}
    for number in range(1, upto + 1):
        assert rows.get(number % keys, 0) >= number, f"STATE {upto} without row {number}"
    return upto


@pytest.fixture
def slow_command(make_emulator: EmulatorMaker, tmp_path: Path) -> Command:
    """The command against an emulator that processes in random order, at some distance."""
    emulator = make_emulator(processing_seconds_min=0.0, processing_seconds_max=0.2)
    emulator.faults.add("*", delay_before_seconds=0.005)
    return Command(tmp_path, emulator)


@pytest.mark.parametrize("seed", seeds(5, 30))
@pytest.mark.parametrize("keys", [ROWS, 40], ids=["distinct", "versions"])
def test_signal_at_any_instant(slow_command: Command, seed: int, keys: int) -> None:
    """After SIGTERM or SIGINT at any instant: the exit code, in time, and no STATE ahead of stored rows."""
    dice = random.Random(f"{seed} {keys}")  # noqa: S311 -- the same draws every time
    number, code = dice.choice([(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    process = slow_command.start(**SETTINGS)
    feeder = feed(process, rows_from(1, keys=keys), close=dice.random() < 0.3)
    # From the first request on the command answers for its end.
    wait_for_requests(slow_command, process, dice.randrange(1, 90 if keys == ROWS else 16))
    time.sleep(dice.random() * 0.02)
    was_over = process.poll() is not None
    process.send_signal(number)
    if dice.random() < 0.3:
        # Meltano and a terminal send it twice.
        time.sleep(dice.random() * 0.02)
        process.send_signal(number)
    run, seconds = end_of(process, feeder)
    upto = check(slow_command, run, keys=keys)
    is_too_early = not slow_command.emulator.log.total and run.code == -number
    assert run.code == code or is_too_early or (run.code == 0 and (was_over or upto == ROWS)), run.log
    assert seconds < SHUTDOWN_SECONDS + LEEWAY_SECONDS
    assert "Traceback" not in run.log or is_too_early
    assert not run.errors


@pytest.mark.parametrize("seed", seeds(3, 15))
@pytest.mark.parametrize("keys", [ROWS, 40], ids=["distinct", "versions"])
def test_killed_run_loses_nothing(slow_command: Command, seed: int, keys: int) -> None:
    """After kill -9 at any instant, a run from the last STATE completes the rows; by key they are exact."""
    dice = random.Random(f"{seed} {keys}")  # noqa: S311 -- the same draws every time
    process = slow_command.start(**SETTINGS)
    feeder = feed(process, rows_from(1, keys=keys), close=True)
    wait_for_requests(slow_command, process, dice.randrange(0, 90 if keys == ROWS else 16))
    time.sleep(dice.random() * 0.02)
    process.kill()
    killed, _ = end_of(process, feeder)
    upto = check(slow_command, killed, keys=keys)

    run = slow_command.run(rows_from(upto + 1, keys=keys), **SETTINGS)
    assert run.code == 0, run.log
    slow_command.emulator.store.finish_processing()
    rows = {int(row["id"]): row["name"] for row in slow_command.rows()}
    assert rows == {number % keys: f"version {number}" for number in range(1, ROWS + 1)}


@pytest.mark.parametrize("seed", seeds(2, 10))
def test_killed_run_keeps_its_rejects(slow_command: Command, tmp_path: Path, seed: int) -> None:
    """After kill -9 at any instant every rejected record before the last STATE is in the file."""
    dice = random.Random(seed)  # noqa: S311 -- the same draws every time
    slow_command.emulator.faults.add("post_rows", reject_rows=lambda row: row["id"] % 50 == 3)
    path = tmp_path / "rejects.singer"
    settings = {**SETTINGS, "rejects_path": str(path), "rejects_limit": ROWS}
    lines = [schema()]
    for number in range(1, ROWS + 1):
        is_bad = number % 50 == 7
        lines.append(record(id=number, name=number if is_bad else f"version {number}"))
        if number % ROWS_A_STATE == 0:
            lines.append(state(upto=number))
    process = slow_command.start(**settings)
    feeder = feed(process, text(*lines), close=True)
    wait_for_requests(slow_command, process, dice.randrange(10, 150))
    time.sleep(dice.random() * 0.02)
    process.kill()
    run, _ = end_of(process, feeder)
    upto = max((each["upto"] for each in run.states), default=0)
    kept = {
        json.loads(line)["record"]["id"]
        for line in (path.read_bytes().split(b"\n")[:-1] if path.exists() else [])
        if b'"rejected"' in line
    }
    stored = {int(row["id"]) for row in slow_command.rows()} if upto else set()
    for number in range(1, upto + 1):
        if number % 50 in (3, 7):
            assert number in kept, f"STATE {upto} without rejected record {number}"
        else:
            assert number in stored, f"STATE {upto} without row {number}"


def test_second_signal_ends_at_once(make_emulator: EmulatorMaker, tmp_path: Path) -> None:
    """A second signal, two seconds after the first one, ends the run at once and writes nothing more."""
    emulator = make_emulator(processing_seconds_min=60.0, processing_seconds_max=60.0)
    command = Command(tmp_path, emulator)
    process = command.start(shutdown_seconds=60)
    feeder = feed(process, text(schema(), record(id=1), state(upto=1)))
    wait_for_rows(command)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(2.1)
    process.send_signal(signal.SIGTERM)
    run, seconds = end_of(process, feeder)
    assert (run.code, run.out) == (143, b"")
    assert seconds < 1


def test_shutdown_ends_in_time(make_emulator: EmulatorMaker, tmp_path: Path) -> None:
    """What can't be confirmed within shutdown_seconds is left, and no STATE passes it."""
    emulator = make_emulator(processing_seconds_min=60.0, processing_seconds_max=60.0)
    command = Command(tmp_path, emulator)
    process = command.start(shutdown_seconds=0.5)
    feeder = feed(process, text(schema(), record(id=1), state(upto=1)))
    wait_for_rows(command)
    process.send_signal(signal.SIGTERM)
    run, seconds = end_of(process, feeder)
    assert (run.code, run.out) == (143, b"")
    assert seconds < 0.5 + LEEWAY_SECONDS


def test_signal_while_silent(slow_command: Command) -> None:
    """A run that waits for input which does not come ends at once, with everything confirmed."""
    process = slow_command.start(batch_age_seconds=0.05)
    feeder = feed(process, text(schema(), record(id=1), state(upto=1)))
    assert process.stdout is not None
    assert process.stdout.readline() == b'{"upto": 1}\n'
    process.send_signal(signal.SIGTERM)
    run, seconds = end_of(process, feeder)
    assert run.code == 143
    assert seconds < LEEWAY_SECONDS


def test_silent_input_is_confirmed(slow_command: Command) -> None:
    """While the input is silent, rows are confirmed and STATE goes out after batch_age_seconds."""
    process = slow_command.start(batch_age_seconds=0.3)
    assert process.stdin is not None
    assert process.stdout is not None
    for number in (1, 2):
        process.stdin.write(text(schema(), record(id=number), state(upto=number)))
        process.stdin.flush()
        began = time.monotonic()
        assert process.stdout.readline() == b'{"upto": %d}\n' % number
        if number > 1:
            assert time.monotonic() - began < 0.3 + 0.2 + 1.0
    assert finished(process).code == 0
    assert len(slow_command.rows()) == 2


def test_closed_output_ends_the_run(slow_command: Command) -> None:
    """When nobody reads STATE any more the run ends with exit code 1 and a sentence."""
    process = slow_command.start(**SETTINGS)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    feeder = feed(process, rows_from(1))
    run, _ = end_of(process, feeder)
    assert run.code == 1
    assert run.errors == [
        "Standard output was closed by its reader, so no STATE can be written. The run ends; the "
        "next one loads again "
        "what no STATE has passed."
    ]
    assert "Traceback" not in run.log
    assert "Exception ignored" not in run.log


def test_missing_output_ends_the_run(command: Command) -> None:
    """Without any standard output no STATE can be written, and that is reported."""
    config = command.config()
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'"{TARGET}" --config "{config}" >&-'],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    )
    run = finished(process, text(schema(), record(id=1), state(upto=1)))
    assert run.code == 1
    assert run.errors == [
        "There is no standard output, so no STATE can be written. The run ends; the next one loads again "
        "what no STATE has passed."
    ]
