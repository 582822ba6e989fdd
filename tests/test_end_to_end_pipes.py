"""The real command in a real pipeline: a tap that dies, a reader that leaves, a disk that is full."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import LOG_LINE, TARGET, Command, finished, record, schema, state, text

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 200
ROWS_A_STATE = 10
# Writes some bytes of a file and kills itself, as a tap that dies there.
DYING_TAP = """
import os, signal, sys
with open(sys.argv[1], "rb") as file:
    os.write(1, file.read(int(sys.argv[2])))
os.kill(os.getpid(), signal.SIGKILL)
"""


def numbered(first: int = 1) -> bytes:
    """Rows numbered upwards, with a STATE behind every few of them."""
    messages: list[dict[str, Any]] = [schema()]
    for number in range(first, ROWS + 1):
        messages.append(record(id=number, name=f"row {number} é"))
        if number % ROWS_A_STATE == 0:
            messages.append(state(upto=number))
    return text(*messages)


def cuts() -> list[Any]:
    """Places in the input: in its first and its last line, and anywhere."""
    data = numbered()
    dice = random.Random(7)  # noqa: S311 -- the same places every time
    few = [1, len(data) - 2, data.index(b"STATE") + 20, *(dice.randrange(len(data)) for _ in range(3))]
    many = [dice.randrange(len(data)) for _ in range(30)]
    return [*few, *(pytest.param(place, marks=pytest.mark.slow) for place in many)]


def pipeline(folder: Path, *commands: str) -> tuple[list[int], str, str]:
    """Run commands joined by pipes, in Bash.

    Returns:
        The exit code of each, and what came out at the end as output and as error.
    """
    script = f'{" | ".join(commands)}\necho "${{PIPESTATUS[@]}}" > "{folder}/codes"'
    run = subprocess.run(["/bin/bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return [int(code) for code in (folder / "codes").read_text().split()], run.stdout, run.stderr


def told_as_errors(log: str) -> list[str]:
    """What was reported as an error."""
    parts = LOG_LINE.split(log)
    return [said.strip() for level, said in zip(parts[1::2], parts[2::2], strict=True) if level == "ERROR"]


@pytest.mark.parametrize("place", cuts())
def test_dying_tap_loses_nothing(command: Command, tmp_path: Path, place: int) -> None:
    """After a tap dies mid-line no STATE is ahead of its rows, and a run from the last one completes them."""
    data, path = numbered(), tmp_path / "messages"
    path.write_bytes(data)
    tap = f"'{sys.executable}' -c '{DYING_TAP}' '{path}' {place}"
    codes, out, log = pipeline(tmp_path, tap, f"'{TARGET}' --config '{command.config()}'")
    whole = data[:place].splitlines(keepends=True)
    try:
        json.loads(whole[-1])
        is_cut = False
    except ValueError:
        is_cut = True
    assert codes == [137, 1 if is_cut else 0]
    problem = "is not valid JSON; was the tap cut off, or is this no tap's output?"
    expected = [f"Line {len(whole)} of the input {problem}"] if is_cut else []
    assert told_as_errors(log) == expected
    complete = [json.loads(line) for line in (whole[:-1] if is_cut else whole)]
    states = [json.loads(line)["upto"] for line in out.splitlines()]
    sent = [each["value"]["upto"] for each in complete if each["type"] == "STATE"]
    assert states == sorted(set(states))
    assert states[-1:] == sent[-1:]
    read = {each["record"]["id"] for each in complete if each["type"] == "RECORD"}
    stored = {row["id"] for row in command.rows()} if command.emulator.store.datasets() else set()
    assert stored == read

    assert command.run(numbered(1 + max(states, default=0))).code == 0
    assert {row["id"] for row in command.rows()} == set(range(1, ROWS + 1))


def test_reader_that_leaves_ends_the_run(command: Command, tmp_path: Path) -> None:
    """`tap | target | head -1` ends with the first STATE, exit code 1 and a sentence."""
    path = tmp_path / "messages"
    path.write_bytes(numbered())
    config = command.config(batch_size_rows=5, concurrent_requests=1)
    codes, out, log = pipeline(tmp_path, f"cat '{path}'", f"'{TARGET}' --config '{config}'", "head -1")
    assert codes[1:] == [1, 0]
    (line,) = out.splitlines()
    assert {row["id"] for row in command.rows()} >= set(range(1, 1 + json.loads(line)["upto"]))
    (error,) = told_as_errors(log)
    assert error.startswith("Standard output was closed by its reader, so no STATE can be written.")
    assert "Traceback" not in log
    assert "Exception ignored" not in log


def test_full_output_ends_the_run(command: Command, tmp_path: Path) -> None:
    """When STATE is written to a file on a full disk the run ends with exit code 1 and a sentence."""
    path = tmp_path / "messages"
    path.write_bytes(numbered())
    codes, _, log = pipeline(tmp_path, f"'{TARGET}' --config '{command.config()}' < '{path}' > /dev/full")
    assert codes == [1]
    (error,) = told_as_errors(log)
    assert error.startswith("Standard output can't be written (No space left on device), so no STATE can be")
    assert "Exception ignored" not in log


def test_full_disk_keeps_whole_rejects(command: Command, small_disk: Path) -> None:
    """On a full disk no STATE passes a record that is not kept; with room again the next run goes on."""
    rejects = small_disk / "rejects.singer"
    settings = {"rejects_path": str(rejects), "rejects_policy": "accept", "rejects_limit": ROWS}
    amounts = schema(id={"type": "integer"}, amount={"type": "number"})
    messages: list[dict[str, Any]] = []
    for number in range(1, ROWS + 1):
        messages.append(record(id=number, amount="bad" if number % 2 else 1))
        if number % ROWS_A_STATE == 0:
            messages.append(state(upto=number))
    process = command.start(**settings)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(text(amounts, *messages[:11]))
    process.stdin.flush()
    assert process.stdout.readline() == b'{"upto": 10}\n'
    run = finished(process, text(*messages[11:]))
    assert run.code == 1
    (error,) = run.errors
    assert f"could not be written to {rejects}: No space left on device. No STATE passes them" in error
    upto = max((each["upto"] for each in run.states), default=10)
    assert kept(rejects) >= set(range(1, upto + 1, 2))

    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)  # noqa: S607 # wherever it is
    again = command.run(amounts, *(each for each in messages[11 * upto // 10 :]), **settings)
    assert (again.code, again.states[-1]) == (0, {"upto": ROWS})
    assert kept(rejects) == set(range(1, ROWS + 1, 2))
    assert {row["id"] for row in command.rows()} == set(range(2, ROWS + 1, 2))


def kept(path: Path) -> set[int]:
    """Ids of the records in a rejects file, of which every line is whole."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    lines = [json.loads(line) for line in data.splitlines()]
    return {line["record"]["id"] for line in lines if line["type"] == "RECORD"}
