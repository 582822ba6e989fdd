"""The real command against a hostile Databox and behind a hostile tap: a table of habits, under limits.

Every run ends by itself, in time and memory, with an error that says what happened, in printable lines. What
each took is printed: `pytest -m hostile -rA tests/test_hostile.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests import hostile_tap
from tests.command import QUICK, TARGET, record, schema, state, text
from tests.hostile_databox import HABITS, KEY, hostile_databox
from tests.loading import stored
from tests.test_printable import assert_lines

if TYPE_CHECKING:
    from pathlib import Path

    from target_databox.emulator import Emulator

MOST_SECONDS = 30
MOST_ADDRESS_BYTES = 2_500_000_000
MOST_MEMORY_BYTES = 1_000_000_000
# What every route may do, and what only some can.
ANYWHERE = (
    *("silence", "head that drips", "continue without end", "chunk size that drips", "trailers without end"),
    *(
        "body that drips",
        "body without end",
        "deep",
        "deep errors",
        "many errors",
        "many refusals",
        "no HTTP",
    ),
    *("refusals with nasty words", "packed twice", "redirect with the key", "long names"),
)
SOME = {
    "accounts": ("nasty names",),
    "data sources": ("nasty names",),
    "datasets": ("nasty names",),
    "ingestions": ("page of 100,000", "billions of pages"),
}
# One route each in turn, so that all are met; rows and their outcome meet every habit.
ROUTES = ("accounts", "data sources", "datasets", "dataset", "ingestions")
CASES = [
    *((route, habit) for route in ("rows", "ingestion") for habit in ANYWHERE),
    *((ROUTES[place % len(ROUTES)], habit) for place, habit in enumerate(ANYWHERE)),
    *((route, habit) for route, some in SOME.items() for habit in some),
]
HARMLESS = {("accounts", "long names"), ("ingestions", "billions of pages")}

# A hundred processes.
pytestmark = pytest.mark.hostile


class Ended(NamedTuple):
    """How a run ended: exit code, standard output and error, and what it took."""

    code: int
    out: bytes
    log: str
    seconds: float
    memory_bytes: int


# A process of its own, since what a child takes counts from what its parent took.
LIMITED = f"""
import json, resource, subprocess, sys, time
resource.setrlimit(resource.RLIMIT_AS, ({MOST_ADDRESS_BYTES}, {MOST_ADDRESS_BYTES}))
began = time.monotonic()
code = subprocess.run(sys.argv[2:], timeout={MOST_SECONDS}).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
open(sys.argv[1], "w").write(json.dumps([code, time.monotonic() - began, peak]))
"""


def run_limited(settings: dict[str, Any], folder: Path) -> Ended:
    """Run the command on the file `messages` with limits of time and memory."""
    config, out, log, took = (folder / name for name in ("config.json", "out", "log", "took"))
    config.write_text(json.dumps({**QUICK, **settings}))
    with (folder / "messages").open("rb") as given, out.open("wb") as states, log.open("wb") as said:
        subprocess.run(
            [sys.executable, "-c", LIMITED, took, TARGET, "--config", config],
            stdin=given,
            stdout=states,
            stderr=said,
            check=True,
        )
    code, seconds, peak_bytes = json.loads(took.read_text())
    print(f"{seconds:.1f} s, {peak_bytes / 1e6:.0f} MB, exit code {code}")  # noqa: T201 # the table's figures
    return Ended(code, out.read_bytes(), log.read_text(errors="replace"), seconds, peak_bytes)


def assert_ended_well(run: Ended, key: str) -> None:
    """A run that failed said so, in lines that fool nobody, and took little."""
    assert run.code == 1, run.log[-2000:]
    assert run.memory_bytes < MOST_MEMORY_BYTES
    lines = run.log.splitlines()
    assert any("| ERROR " in line for line in lines)
    assert not [
        line for line in lines if "a bug" in line or "MemoryError" in line or "RecursionError" in line
    ]
    assert all(line.isprintable() and len(line) <= 4_000 for line in run.log.removesuffix("\n").split("\n"))
    assert not [line for line in lines if line.startswith("2026-01-01 |")]
    assert key not in run.log
    assert b'"at": 2' not in run.out


@pytest.mark.parametrize(("route", "habit"), CASES)
def test_hostile_databox(tmp_path: Path, route: str, habit: str) -> None:
    """Whatever a Databox does on a route, the run ends in time and memory, and no STATE passes its rows."""
    (tmp_path / "messages").write_bytes(text(schema(), record(id=1, name="a"), state(at=2)))
    with hostile_databox(route, HABITS[habit]()) as server:
        settings = {
            "api_url": server.url,
            "api_key": KEY,
            "request_timeout_seconds": 1.5,
            "retry_seconds": 0,
            "confirmation_timeout_seconds": 2,
        }
        run = run_limited(settings, tmp_path)
    if run.code == 0:
        # What a dataset tells of itself isn't needed, and a long name or a wrong number of pages is no harm.
        assert route == "dataset" or (route, habit) in HARMLESS
        assert b'"at": 2' in run.out
        assert_lines(run.log)
    else:
        assert_ended_well(run, KEY)


@pytest.mark.parametrize("habit", hostile_tap.HABITS)
def test_hostile_tap(emulator: Emulator, tmp_path: Path, habit: str) -> None:
    """Whatever a tap writes, the run ends in time and memory, and what came before it is loaded."""
    (tmp_path / "messages").write_bytes(hostile_tap.messages(habit, tmp_path))
    run = run_limited({"api_url": emulator.url, "api_key": emulator.api_key}, tmp_path)
    if run.code == 0:
        assert habit.startswith("nasty ")
        assert b'"at": 2' in run.out
        assert_lines(run.log)
    else:
        assert_ended_well(run, emulator.api_key)
    assert [row["id"] for row in stored(emulator)] == [1]
