"""The real command where nobody reads its standard error: it ends in time, and STATE goes out."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import DEADLINE_SECONDS, record, schema, state, text
from tests.stuffed import KINDS, pair_of, stuff

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Command

SHUTDOWN_SECONDS = 2
# For what stays blocked until this time is over.
SHORT_SHUTDOWN_SECONDS = 0.5
# The first STATE goes out at once, the next one only because the run ends.
SETTINGS = {"shutdown_seconds": SHUTDOWN_SECONDS, "state_interval_seconds": 1000}
# A busy machine takes its time; what blocks a run does so for good.
LEEWAY_SECONDS = 6.0
LOG_FILE = """
version: 1
disable_existing_loggers: false
handlers: {told: {class: logging.FileHandler, filename: "%s"}}
root: {level: INFO, handlers: [told]}
"""


class Unread:
    """A run whose standard error is read by nobody, from some moment on full.

    Args:
        command: What is run.
        kind: What its standard error is.
        also_output: Whether its standard output goes the same way.
        env: Further variables of its environment.
        settings: Further settings.
    """

    def __init__(
        self,
        command: Command,
        kind: str,
        *,
        also_output: bool = False,
        env: dict[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self.command = command
        self.reading, self.writing = pair_of(kind)
        output: dict[str, Any] = {"stdout": self.writing} if also_output else {}
        # Where it is a terminal, one that can show a display.
        self.process: subprocess.Popen[bytes] = command.start(
            stderr=self.writing, env={"TERM": "xterm", **(env or {})}, **output, **{**SETTINGS, **settings}
        )

    def load(self, *messages: Any) -> None:
        """Send it messages."""
        assert self.process.stdin is not None
        self.process.stdin.write(text(*messages))
        self.process.stdin.flush()

    def stuff(self) -> None:
        """Fill up its standard error."""
        stuff(self.writing)

    def first_state(self) -> bytes:
        """What it writes first, and from when on it is ready for a signal."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, bytes, float]:
        """Send a signal: its exit code, what else it wrote as output, and how long that took."""
        self.process.send_signal(number)
        began = time.monotonic()
        code = self.process.wait(DEADLINE_SECONDS)
        seconds = time.monotonic() - began
        return code, self.process.stdout.read() if self.process.stdout else b"", seconds

    def close(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        os.close(self.reading)
        os.close(self.writing)


@pytest.fixture
def unread(command: Command) -> Iterator[Callable[..., Unread]]:
    """Starts runs whose standard error nobody reads; they are gone after the test."""
    runs: list[Unread] = []

    def start(kind: str = "pipe", **options: Any) -> Unread:
        runs.append(Unread(command, kind, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


def wait_for(is_so: Callable[[], bool]) -> None:
    """Return when something is so."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


# What happens when nothing more can be said: a line of the caller's thread, or of each that sends requests.
HAPPENINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "debug": {"env": {"TARGET_DATABOX_LOGLEVEL": "DEBUG"}},
    "failure": {"fault": {"status": 503, "times": 1}},
    "throttled": {"fault": {"status": 429, "times": 1, "headers": {"Retry-After": "0"}}},
    "lost": {"fault": {"drop": "after", "times": 1}},
    "stream": {"stream": "others"},
}
FULL_EARLY = ("debug", "terminal")


# At DEBUG a terminal, which holds little, is full before the first STATE.
CASES = [(happening, kind) for happening in HAPPENINGS for kind in KINDS if (happening, kind) != FULL_EARLY]


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_full_stderr_does_not_outlive_a_signal(
    unread: Callable[..., Unread], command: Command, name: str, kind: str
) -> None:
    """Whatever can't be said, after SIGTERM the run ends in time, and STATE is out for what was stored."""
    happening = HAPPENINGS[name]
    run = unread(kind, env=happening.get("env"))
    run.load(schema(), record(id=1), state(upto=1))
    assert run.first_state() == b'{"upto": 1}\n'
    run.stuff()
    if "fault" in happening:
        command.emulator.faults.add("post_rows", **happening["fault"])
    run.load(record(id=2), state(upto=2))
    if name != "debug":  # where a line comes before every request
        wait_for(lambda: len(command.emulator.log.of("post_rows")) > 1)
    if "stream" in happening:
        run.load(schema(happening["stream"]))
    time.sleep(0.2 if name == "debug" else 0.1)
    code, out, seconds = run.end()
    assert code == 143
    assert seconds < SHUTDOWN_SECONDS + LEEWAY_SECONDS
    # What failed may be due again only after the signal, from when on nothing is sent.
    assert out == b'{"upto": 2}\n' or ("fault" in happening and out == b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("last", ["summary", "error"])
def test_full_stderr_at_the_end_does_not_outlive_a_signal(
    unread: Callable[..., Unread], last: str, number: signal.Signals
) -> None:
    """A run that can't say its last lines ends soon after a signal, with every STATE out."""
    run = unread()
    run.load(schema(), record(id=1), state(upto=1))
    assert run.first_state() == b'{"upto": 1}\n'
    run.stuff()
    run.load(record(id=2), state(upto=2))
    if last == "error":
        run.load(b"{\n")
    assert run.process.stdin is not None
    run.process.stdin.close()
    time.sleep(0.1)
    assert run.process.poll() is None
    code, out, seconds = run.end(number)
    assert (code, out) == (128 + number, b'{"upto": 2}\n')
    assert seconds < LEEWAY_SECONDS


def test_full_terminal_does_not_outlive_a_signal(unread: Callable[..., Unread]) -> None:
    """On a terminal that shows nothing more neither STATE nor the display holds up the end."""
    run = unread("terminal", also_output=True, shutdown_seconds=SHORT_SHUTDOWN_SECONDS)
    run.load(schema(), record(id=1), state(upto=1))
    seen = b""
    while b'{"upto": 1}' not in seen:
        seen += os.read(run.reading, 4096)
    run.stuff()
    run.load(record(id=2), state(upto=2), schema("others"), record("others", id=1), state(upto=3))
    wait_for(lambda: len(run.command.emulator.log.of("post_rows")) > 1)
    time.sleep(0.1)
    code, _, seconds = run.end()
    assert code == 143
    assert seconds < SHORT_SHUTDOWN_SECONDS + LEEWAY_SECONDS


def test_full_pipe_for_both_does_not_outlive_a_signal(unread: Callable[..., Unread]) -> None:
    """Where output and error are one pipe that nobody reads, the run ends in time all the same."""
    run = unread(also_output=True, shutdown_seconds=SHORT_SHUTDOWN_SECONDS)
    run.load(schema(), record(id=1), state(upto=1))
    wait_for(lambda: bool(run.command.emulator.log.of("ingestion")))
    run.stuff()
    run.load(record(id=2), state(upto=2), schema("others"))
    time.sleep(0.1)
    code, _, seconds = run.end()
    assert code == 143
    assert seconds < SHORT_SHUTDOWN_SECONDS + LEEWAY_SECONDS


def test_full_stderr_from_the_start_does_not_outlive_a_signal(unread: Callable[..., Unread]) -> None:
    """A run that can't say its first line ends at once."""
    run = unread()
    run.stuff()
    run.load(schema())
    time.sleep(0.1)
    code, out, seconds = run.end()
    assert (code, out) in {(143, b""), (-signal.SIGTERM, b"")}
    assert seconds < LEEWAY_SECONDS


@pytest.mark.parametrize("kind", KINDS)
def test_stderr_that_is_read_again_is_written_whole(unread: Callable[..., Unread], kind: str) -> None:
    """Without a signal a full standard error is waited for, and nothing is left out."""
    run = unread(kind)
    run.load(schema(), record(id=1), state(upto=1))
    assert run.first_state() == b'{"upto": 1}\n'
    run.stuff()
    run.load(schema("others"), record("others", id=1), state(upto=2))
    assert run.process.stdin is not None
    run.process.stdin.close()
    time.sleep(0.1)
    assert run.process.poll() is None
    seen = b""
    # A line for each stream, and on a terminal a table.
    while not re.search(rb"others(: read| +) ?1 ", seen):
        seen += os.read(run.reading, 4096)
    assert b"| Loading stream 'others'" in seen
    assert re.search(rb"orders(: read| +) ?1 ", seen)
    assert run.process.wait(DEADLINE_SECONDS) == 0


def test_log_file_that_hangs_does_not_outlive_a_signal(unread: Callable[..., Unread], tmp_path: Path) -> None:
    """Where a log of the user's own takes nothing more, the process is ended in time from outside of it."""
    log, config = tmp_path / "log", tmp_path / "logging.yaml"
    os.mkfifo(log)
    config.write_text(LOG_FILE % log)
    reading = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        run = unread(env={"SINGER_SDK_LOG_CONFIG": str(config)}, shutdown_seconds=SHORT_SHUTDOWN_SECONDS)
        run.load(schema(), record(id=1), state(upto=1))
        assert run.first_state() == b'{"upto": 1}\n'
        stuff(reading)
        run.load(schema("others"))
        time.sleep(0.1)
        code, _, seconds = run.end()
    finally:
        os.close(reading)
    assert code == 143
    assert SHORT_SHUTDOWN_SECONDS < seconds < SHORT_SHUTDOWN_SECONDS + LEEWAY_SECONDS + 1
