"""How far a run is, while it runs."""

from __future__ import annotations

import contextlib
import errno
import io
import logging
import os
import pty
import re
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest

from target_databox.reports.durations import duration_text
from target_databox.reports.position import Position, words
from target_databox.reports.progress import InputShare, Lines, Progress, seconds_left
from target_databox.reports.terminal import short_words
from tests.command import TARGET, record, schema, state, text

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.command import Command

ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def position(read: int = 0, done: int = 0, share: float | None = None) -> Position:
    """How far a run is, with three batches on their way."""
    return Position(read, done, unconfirmed_batches=3, budget_share=0.124, input_share=share)


class Seen:
    """A display that remembers what it has shown, or fails."""

    interval_seconds = 0.005

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[tuple[Position, float, float | None]] = []
        self.error = error
        self.has_told = threading.Event()

    def start(self) -> None:
        """Nothing."""

    def show(self, position: Position, rows_per_second: float, seconds_left: float | None) -> None:
        """Remember it."""
        self.has_told.set()
        if self.error:
            raise self.error
        self.told.append((position, rows_per_second, seconds_left))

    def aside(self) -> AbstractContextManager[None]:
        """Nothing."""
        return contextlib.nullcontext()

    def stop(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("where", "rate", "seconds"),
    [
        (position(100, 50), 10.0, None),
        (position(100, 50, 0.0), 10.0, None),
        (position(100, 50, 0.5), 0.0, None),
        (position(100, 50, 0.5), 10.0, 15.0),
        (position(100, 100, 1.0), 10.0, 0.0),
    ],
)
def test_time_left_needs_a_known_end(where: Position, rate: float, seconds: float | None) -> None:
    """The time left follows from the part of the input that was read, where its end is known."""
    assert seconds_left(where, rate) == seconds


def test_time_left_knows_the_hour() -> None:
    """What the present hour can't pay for waits for another one."""
    where = Position(
        1_000_000, 100_000, 3, budget_share=0.2, input_share=1.0, requests=2_000, hour_requests=10_000
    )
    assert seconds_left(where, 500) == 3600.0


def test_words_say_all(caplog: pytest.LogCaptureFixture) -> None:
    """A line names rows, pace, batches, the budget, and the time left where it is known."""
    assert words(position(1200, 1000), 98.7, None) == (
        "1,000 of 1,200 rows read are done, 99 a second, 3 batches unconfirmed, 12% of an hour's "
        "requests used"
    )
    assert words(position(1200, 1000), 98.7, 200).endswith(", about 3 min 20 s left")
    assert words(position(), 0, None) == "no rows read yet"


@pytest.mark.parametrize(
    ("columns", "reported"),
    [
        (80, "1,200,000/5,000,000 rows, 512/s, 2 h 5 min left, 3 unconfirmed, 12% of the hour"),
        (79, "1,200,000/5,000,000 rows, 512/s, 2 h 5 min left, 3 unconfirmed, 12% of the hour"),
        (78, "1,200,000/5,000,000 rows, 512/s, 2 h 5 min left, 3 unconfirmed"),
        (50, "1,200,000/5,000,000 rows, 512/s, 2 h 5 min left"),
        (40, "1,200,000/5,000,000 rows, 512/s"),
        (3, "1,200,000/5,000,000 rows"),
    ],
)
def test_narrow_terminals_show_less(columns: int, reported: str) -> None:
    """A terminal shows what fits into one line, what matters most first."""
    assert short_words(position(5_000_000, 1_200_000), 512.4, 7_500.0, columns) == reported


def test_lines_come_while_rows_move(caplog: pytest.LogCaptureFixture) -> None:
    """Where nothing has moved since the last line there is no further one."""
    lines = Lines()
    with caplog.at_level(logging.INFO):
        for where in (position(), position(5), position(5), position(5, 5)):
            lines.show(where, 1, None)
    assert [said.split(" rows")[0] for said in caplog.messages] == ["0 of 5", "5 of 5"]


def test_pace_is_that_of_late() -> None:
    """Rows a second are those of the last ten seconds or so."""
    now = 0.0
    done = 0
    seen = Seen()
    progress = Progress(lambda: position(9999, done), seen, clock=lambda: now)
    for second in range(100):
        now, done = float(second), done + (10 if second < 50 else 2)
        progress.update()
    assert seen.told[40][1] == pytest.approx(10, rel=0.3)
    assert seen.told[99][1] == pytest.approx(2)


def test_thread_ends_with_the_run() -> None:
    """After `stop` nothing more is shown, and the thread is gone."""
    seen = Seen()
    progress = Progress(lambda: position(1), seen)
    progress.start()
    assert seen.has_told.wait(5)
    progress.stop()
    count = len(seen.told)
    assert "databox-progress" not in [thread.name for thread in threading.enumerate()]
    time.sleep(0.02)
    assert len(seen.told) == count


@pytest.mark.parametrize("error", [OSError(errno.EPIPE, "closed"), ValueError("closed")])
def test_closed_display_ends_it_quietly(error: Exception) -> None:
    """When nobody can read it any more the thread ends without a word."""
    seen = Seen(error)
    progress = Progress(lambda: position(1), seen)
    progress.start()
    assert seen.has_told.wait(5)
    progress.stop()
    assert not seen.told


def test_share_of_a_file_is_known(tmp_path: Path) -> None:
    """Of a file the part that was read is known, of a pipe or a text in memory only its end."""
    path = tmp_path / "in.singer"
    path.write_bytes(b"x" * 1000)
    with path.open("rb") as file:
        share = InputShare(file)
        os.read(file.fileno(), 250)
        assert share() == 0.25
        os.read(file.fileno(), 9999)
        assert share() == 1
    for source in (io.BytesIO(b"x"), os.fdopen(os.pipe()[0])):
        with source:
            share = InputShare(source)
            assert share() is None
            share.is_over = True
            assert share() == 1


def run_in_terminal(command: Command, *, also_output: bool) -> tuple[int, bytes, bytes]:
    """Exit code, what a terminal got, and standard output, of a run that takes a second or so."""
    for _ in range(3):
        command.emulator.faults.add("post_rows", times=3, processing_seconds=0.8)
    path = command.folder / "in.singer"
    rows = [record(id=n, name="a") for n in range(300)]
    path.write_bytes(text(schema(), *rows[:150], state(done=1), *rows[150:], state(done=2)))
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [TARGET, "--config", command.config(), "--input", path],
        stdout=terminal if also_output else subprocess.PIPE,
        stderr=terminal,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "30"},
    )
    os.close(terminal)
    shown = bytearray()
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while chunk := os.read(controller, 65536):
            shown += chunk
    os.close(controller)
    out = process.communicate(timeout=30)[0] or b""
    return process.returncode, bytes(shown), out


def test_terminal_as_input_is_reported() -> None:
    """Who starts the command without a pipe is told what it waits for; the end of the input ends it."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [TARGET, "--dry-run"], stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.close(terminal)
    try:
        os.write(controller, b"\x04")
        out, log = process.communicate(timeout=30)
    finally:
        os.close(controller)
    assert b"Waiting for Singer messages from this terminal" in log
    assert (process.returncode, out.splitlines()[-1]) == (0, b"A run would load nothing.")


def test_terminal_shows_how_far_it_is(command: Command) -> None:
    """A line is redrawn in place and taken away at the end; STATE stays pure, the cursor visible."""
    code, shown, out = run_in_terminal(command, also_output=False)
    assert (code, out.splitlines()[-1]) == (0, b'{"done": 2}')
    assert b"\x1b" not in out
    drawn = re.findall(rb"([\d,]+)/300 rows, [\d,]+/s", ESCAPES.sub(b"", shown))
    assert drawn
    assert shown.count(b"\x1b[2K") >= 2
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l")
    *_, head, rule, line = ESCAPES.sub(b"", shown).decode().rstrip().splitlines()
    heads = "stream read confirmed superseded rejected appended overwritten holds requests"
    assert head.split() == heads.split()
    assert set(rule.strip()) == {"─"}
    assert line.split()[:8] == ["orders", "300", "300", "0", "0", "300", "0", "300"]
    assert b"orders: read 300 = " not in shown


def test_state_keeps_its_lines_on_a_terminal(command: Command) -> None:
    """Where STATE goes to the same terminal each is a line of its own, and the display makes room for it."""
    code, shown, _ = run_in_terminal(command, also_output=True)
    assert code == 0
    lines = [line.rpartition(b"\r")[2] for line in ESCAPES.sub(b"", shown).split(b"\r\n")]
    assert b'{"done": 2}' in lines


def test_closed_stderr_does_no_harm(command: Command) -> None:
    """Without standard error a run goes on to its end."""
    script = f'exec "{TARGET}" --config "{command.config()}" 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        input=text(schema(), record(id=1), state(done=1)),
        stdout=subprocess.PIPE,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b'{"done": 1}\n')
    assert len(command.rows()) == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (9.96, "10.0 s"),
        (12.4, "12 s"),
        (200, "3 min 20 s"),
        (3600, "1 h 0 min"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_read_well(seconds: float, text: str) -> None:
    """A time span has at most two units."""
    assert duration_text(seconds) == text
