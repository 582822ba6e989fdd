"""One run of the real command: its input, its signals, and what it writes."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import re
import resource
import select
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from target_databox.delivery.errors import LoadingError, RejectedError, RejectsLimitError, UnconfirmedError
from tests.command import DEADLINE_SECONDS, TARGET, record, schema, state, text
from tests.command import Run as Ended
from tests.one_run import OneRun
from tests.promises import ViolationError
from tests.real_connection import LOOK_SECONDS
from tests.real_databox import SCALE
from tests.simulation import OutputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.promises import Message
    from tests.real_plans import RealWorld

CODES = {143: signal.SIGTERM, 130: signal.SIGINT}
REJECTED_NUMBER = re.compile(rb'"n": ?(\d+)')
# A longer STATE, so that a pipe that is read slowly is full after a few.
PADDING = "x" * 3_000
PIPE_BYTES = 4_096
# What lines of the log at ERROR say: of a complete run that rejected records, and by kind of failure.
REJECTS_LEFT = re.compile(r"^\d[\d,]* records? (was|were) rejected; (it is|they are) in ")
REFUSED_RECORD = re.compile(r"^Line (\d+)\b.*no STATE passes it, and the next run meets it again")
KINDS: tuple[tuple[re.Pattern[str], type[Exception]], ...] = (
    (REFUSED_RECORD, RejectedError),
    (re.compile(r"more than rejects_limit \(\d+\) allows"), RejectsLimitError),
    (
        re.compile(r"^Ingestion .* is unconfirmed after |^The answer to a batch of .* was lost, and "),
        UnconfirmedError,
    ),
    (re.compile(r"It is not tried again: |the API key was refused"), LoadingError),
    (re.compile(r"^Standard output was closed by its reader|could not be written to "), OutputError),
)


class RealRun(OneRun):
    """A process of `target-databox` that loads a part of the input.

    Attributes:
        log: What it said on standard error; empty before its end.
        code: Its exit code, likewise 0 before.
        signal: What it was asked to stop with.
        is_cut_off: Whether its standard output was closed.
        is_complete: Whether it loaded all that it read, or kept it as rejected.
        rest: The beginning of a STATE that did not come out whole.
    """

    world: RealWorld

    def __init__(self, world: RealWorld, start: int) -> None:
        super().__init__(world, start)
        self.hides_states = self.settings.overwrite
        self.log = ""
        self.code = 0
        self.signal: signal.Signals | None = None
        self.is_cut_off = False
        self.is_complete = False
        self.api_key = f"pak_{world.seed:08d}-0000-4000-8000-{self.number:012d}"
        self.is_heard = world.databox.admit(self.api_key, self.number)
        self.rest = b""
        self._lines: list[int] = []
        self._asked_at = self._ended_at = 0.0
        self._is_feeding = True
        self.process = subprocess.Popen(
            [TARGET, "--config", self._config()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ,
            cwd=world.folder,
        )
        acts = (self._feed, self._read, self._hear)
        self._threads = [threading.Thread(target=each, daemon=True) for each in acts]

    @property
    def resends_safely(self) -> bool:
        """Whether sending any of its rows twice has the same result as sending them once."""
        return all(keyed and known for keyed, known in self.world.plan.streams)

    def _config(self) -> str:
        path = self.world.folder / f"config-{self.number}.json"
        path.write_text(json.dumps(self.world.settings_of(self)))
        return str(path)

    # Its course

    def play(self, scenes: list[tuple[float, Callable[[], None]]]) -> None:
        """Let it run to its end.

        Args:
            scenes: What happens to it, each with its time in seconds after its first request.
        """
        for thread in self._threads:
            thread.start()
        try:
            self._wait(self.is_heard)
            heard_at = time.monotonic()
            for at, act in sorted(scenes, key=lambda scene: scene[0]):
                if self._has_ended(heard_at + at - time.monotonic()):
                    break
                act()
            if not self._has_ended(DEADLINE_SECONDS):
                raise ViolationError("the run does not end")
        finally:
            self._ended_at = time.monotonic()
            self.process.kill()
            self.code = self.process.wait()
            self._is_feeding = False
            for thread in self._threads:
                thread.join(DEADLINE_SECONDS)

    def _wait(self, event: threading.Event) -> None:
        while not event.wait(LOOK_SECONDS) and self.process.poll() is None:
            pass

    def _has_ended(self, seconds: float) -> bool:
        """Whether it ends within a time."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() >= until:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    @property
    def seconds_to_stop(self) -> float:
        """How long it took to end after it was asked to."""
        return self._ended_at - self._asked_at

    def kill(self) -> None:
        """Kill it."""
        self.is_killed = True
        self.process.kill()

    def ask_to_stop(self, number: signal.Signals, *, twice: bool) -> None:
        """Ask it to stop, perhaps twice at once, as Meltano and a terminal do."""
        self.signal = number
        self._asked_at = time.monotonic()
        for _ in range(1 + twice):
            self.process.send_signal(number)

    def nap(self, seconds: float) -> None:
        """Let it stand still for a while, as on a laptop that sleeps."""
        self.process.send_signal(signal.SIGSTOP)
        self._has_ended(seconds)
        self.process.send_signal(signal.SIGCONT)

    def fill_disk(self) -> None:
        """Leave no room in its file of rejected records, but for a few bytes of the next ones."""
        path = self.world.rejects_path
        most = (path.stat().st_size if path.exists() else 0) + 100
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (most, most))

    def close_output(self) -> None:
        """Close its standard output, as an orchestrator that has died."""
        self.is_cut_off = True

    # What it reads

    def _feed(self) -> None:
        world, pipe = self.world, self.process.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError):
            first, *others = self._pieces()
            while world.databox.clock() < world.opens_at and self._is_feeding:
                time.sleep(LOOK_SECONDS)
            pipe.write(first)
            pipe.flush()
            while world.plan.chunk_pause and self._is_feeding and not self.is_heard.wait(LOOK_SECONDS):
                # A pipe would hold the rest while the process starts.
                pass
            for piece in others:
                time.sleep(world.pause_seconds())
                pipe.write(piece)
                pipe.flush()
            while world.keeps_open(self) and self._is_feeding:
                time.sleep(LOOK_SECONDS)
        with contextlib.suppress(BrokenPipeError):
            pipe.close()

    def _pieces(self) -> list[bytes]:
        """The input, cut behind each STATE."""
        plan, pieces = self.world.plan, [b""]
        for index, (keyed, _) in enumerate(plan.streams):
            described = {name: {"type": ["integer", "null"]} for name in ("id", "n", "bad", "odd")}
            self._lines.append(0)
            pieces[0] += text(schema(f"s{index}", ["id"] if keyed else [], **described))
        position = self.position
        while position < self.stop:
            message = self.world.input[position]
            self._lines.append(message.line)
            if message.stream is None:
                pieces[-1] += text(self._state(message))
                pieces.append(b"")
                position += 1
                continue
            rows = []
            while position < self.stop and self.world.input[position].line == message.line:
                rows.append(self.world.input[position])
                position += 1
            pieces[-1] += text(self._rows(message, rows))
        return pieces

    def _state(self, message: Message) -> dict[str, Any]:
        padding = {"padding": PADDING} if self.world.plan.writer_delay else {}
        return state(upto=message.number, **padding)

    def _rows(self, first: Message, rows: list[Message]) -> dict[str, Any]:
        stream, values = f"s{first.stream}", [self._values(each) for each in rows]
        if len(values) == 1:
            return record(stream, **values[0])
        path = self.world.folder / f"batch-{self.number}-{first.number}.jsonl"
        path.write_text("".join(json.dumps(each) + "\n" for each in values))
        encoding = {"format": "jsonl", "compression": "none"}
        return {"type": "BATCH", "stream": stream, "encoding": encoding, "manifest": [f"file://{path}"]}

    def _values(self, message: Message) -> dict[str, Any]:
        values: dict[str, Any] = dict(message.row or {})
        if self.world.plan.blur:
            values["n"] += self.world.plan.blur
            values.pop("bad", None)
        if message.is_odd:
            # No JSON, or none that fits the schema.
            values["odd"] = float("nan") if message.number % 2 else "odd"
        return values

    # What it writes

    def _read(self) -> None:
        """Read its standard output, slowly where the plan says so, and check each STATE when it comes."""
        pipe, delay_seconds = self.process.stdout, self.world.plan.writer_delay / SCALE
        assert pipe is not None
        if delay_seconds:
            with contextlib.suppress(OSError):
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with pipe:
            while True:
                is_last = self.is_cut_off
                if not select.select([pipe], [], [], LOOK_SECONDS)[0]:
                    if is_last:
                        return
                    continue
                data = os.read(pipe.fileno(), PIPE_BYTES)
                if not data:
                    return
                *lines, self.rest = (self.rest + data).split(b"\n")
                self._take(lines)
                time.sleep(delay_seconds)

    def _hear(self) -> None:
        """Read its standard error."""
        assert self.process.stderr is not None
        with self.process.stderr as pipe:
            self.log = pipe.read().decode(errors="replace")

    def _take(self, lines: list[bytes]) -> None:
        try:
            for line in lines:
                self.world.take_state(self, json.loads(line)["upto"])
        except Exception as error:  # noqa: BLE001 # raised again by whoever plays
            self.world.databox.failures.append(error)

    def ended(self) -> Ended:
        """What it was, once it has ended."""
        return Ended(self.code, b"", self.log)

    def failure(self) -> Exception | None:
        """Why it failed, judged by what it reported as an error.

        Raises:
            ViolationError: It reported something that no run should.
        """
        found: Exception | None = None
        for said in self.ended().errors:
            if REJECTS_LEFT.search(said):
                continue
            kind = next((kind for pattern, kind in KINDS if pattern.search(said)), None)
            if kind is None or "idempotency_key_reused" in said:
                raise ViolationError(f"no error of a run: {said}")
            found = found or kind(said)
        return found

    def cutoff(self, said: str) -> int:
        """The place in the input at which it ended, from what it said of a rejected record."""
        found = REFUSED_RECORD.search(said)
        return self._lines[int(found[1]) - 1] if found else 0


def number_of(line: bytes) -> tuple[int, str] | None:
    """The number of a rejected record, as sent, and why it was rejected; None for any other line.

    Raises:
        ValueError: The line is no JSON.
    """
    message = json.loads(line)
    if "rejected" not in message:
        return None
    told = message["rejected"]
    sent = base64.b64decode(told["line"]) if "line" in told else line
    found = REJECTED_NUMBER.search(sent)
    assert found is not None
    return int(found[1]), told["reason"]
