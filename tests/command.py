"""The real command in a process of its own, and the messages to feed it."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from target_databox.emulator import Emulator

TARGET = Path(sys.executable).parent / "target-databox"
LOG_LINE = re.compile(r"^[-\d]+ [:,\d]+ \| (\w+) +\| [\w.-]+ +\| ", re.MULTILINE)
DEADLINE_SECONDS = 60

# As fast as this machine can, and every wait short enough for a test.
QUICK = {
    "requests_per_second": 100_000,
    "requests_per_hour": 100_000_000,
    "state_interval_seconds": 0,
    "batch_age_seconds": 0.1,
    "listing_lag_seconds": 0.2,
    "retry_seconds": 5,
    "shutdown_seconds": 5,
}


def schema(stream: str = "orders", keys: list[str] | None = None, **properties: Any) -> dict[str, Any]:
    """A SCHEMA message, of `id` and `name` unless others are given, with `id` as its key."""
    described = properties or {"id": {"type": "integer"}, "name": {"type": ["string", "null"]}}
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": described},
        "key_properties": ["id"] if keys is None else keys,
    }


def record(stream: str = "orders", **values: Any) -> dict[str, Any]:
    """A RECORD message."""
    return {"type": "RECORD", "stream": stream, "record": values}


def state(**value: Any) -> dict[str, Any]:
    """A STATE message."""
    return {"type": "STATE", "value": value}


def text(*messages: dict[str, Any] | bytes) -> bytes:
    """Messages as a tap writes them; bytes are taken as they are."""
    return b"".join(
        each if isinstance(each, bytes) else json.dumps(each, ensure_ascii=False).encode() + b"\n"
        for each in messages
    )


@dataclass
class Run:
    """A run of the command that has ended.

    Attributes:
        code: Its exit code.
        out: Its standard output.
        log: Its standard error.
    """

    code: int
    out: bytes
    log: str

    @property
    def states(self) -> list[Any]:
        """What stands on standard output, where every line must be a JSON object."""
        states = [json.loads(line, parse_float=Decimal) for line in self.out.splitlines()]
        assert all(isinstance(each, dict) for each in states)
        assert not self.out or self.out.endswith(b"\n")
        return states

    def told(self, level: str) -> list[str]:
        """Every entry of the log of one level, without time and logger; the SDK on old Pythons left out."""
        parts = LOG_LINE.split(self.log)
        return [
            said.rstrip("\n")
            for name, said in zip(parts[1::2], parts[2::2], strict=True)
            if name == level and "SingerSDKPythonEOLWarning" not in said
        ]

    @property
    def errors(self) -> list[str]:
        """What was reported as an error."""
        return self.told("ERROR")


class Command:
    """Runs the command against an emulator.

    Args:
        folder: Where its configuration is written.
        emulator: Where it loads to.
    """

    def __init__(self, folder: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.emulator = emulator
        self._count = 0

    def config(self, **settings: Any) -> Path:
        """A configuration file; None takes a setting out."""
        self._count += 1
        path = self.folder / f"config-{self._count}.json"
        given = {"api_url": self.emulator.url, "api_key": self.emulator.api_key, **QUICK, **settings}
        path.write_text(json.dumps({name: value for name, value in given.items() if value is not None}))
        return path

    def start(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        stdin: Any = subprocess.PIPE,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        shell: str = "",
        **settings: Any,
    ) -> subprocess.Popen[bytes]:
        """Start it; its standard input stays open. A shell may do something first."""
        command = [TARGET, "--config", self.config(**settings), *arguments]
        return subprocess.Popen(
            ["/bin/bash", "-c", f'{shell}; exec "$@"', "bash", *command] if shell else command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **(env or {})},
        )

    def run(
        self,
        *messages: dict[str, Any] | bytes,
        arguments: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
        **settings: Any,
    ) -> Run:
        """Feed it messages and wait for its end; whatever it says, the key is no part of it."""
        run = finished(self.start(*arguments, env=env, **settings), text(*messages))
        assert self.emulator.api_key not in f"{run.log}{run.out!r}"
        return run

    def rows(self, title: str = "orders") -> list[dict[str, Any]]:
        """What is stored in the only dataset with a title."""
        return self.emulator.store.rows(self.emulator.store.dataset_titled(title).id)


def finished(process: subprocess.Popen[bytes], data: bytes = b"") -> Run:
    """The end of a run, after the rest of its input."""
    try:
        out, log = process.communicate(data, timeout=DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    return Run(process.returncode, out or b"", (log or b"").decode(errors="replace"))


def free_port() -> int:
    """A port of this machine that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
