"""How a load grows with rows and with streams: run `python benchmarks/scale.py`, or with `--short`.

The real command reads from a pipe and loads into a Databox that answers at once and keeps nothing, so what is
seen is the target's own time and memory. Each size is beside one a tenth of it. The long form takes half an
hour.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import requests
from inputs import lines
from measuring import HERE, MEGABYTE, PYTHON, TARGET, config, machine, run, server, table

from target_databox.versions import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from measuring import Run

# As good as no limit.
LIFTED = {"requests_per_second": 1_000_000, "requests_per_hour": 1_000_000_000}
PARTS = 10


class Input(NamedTuple):
    """What is read: its name, the arguments that make it, how many records it has."""

    name: str
    arguments: Sequence[int | str]
    records: int

    @property
    def source(self) -> list[str]:
        """The command that writes it."""
        return [PYTHON, str(HERE / "inputs.py"), *map(str, self.arguments)]


def inputs(rows: int, streams: int, rows_of_each: int) -> list[tuple[Input, Input]]:
    """Each input with a tenth of it."""
    return [
        (
            Input(f"one stream of {rows // PARTS:,} rows", ("flat", rows // PARTS), rows // PARTS),
            Input(f"one stream of {rows:,} rows", ("flat", rows), rows),
        ),
        (
            Input(
                f"{streams // PARTS} streams of {rows_of_each:,}",
                ("streams", streams // PARTS, rows_of_each),
                streams // PARTS * rows_of_each,
            ),
            Input(
                f"{streams} streams of {rows_of_each:,}",
                ("streams", streams, rows_of_each),
                streams * rows_of_each,
            ),
        ),
    ]


def loaded(directory: Path, what: Input, kind: str) -> Run:
    """Load an input with a version of the API, or dry-run it, and make sure that every row came."""
    with server() as api_url:
        version = kind if kind in DIALECTS else "v1"
        settings = {"api_url": api_url, "api_key": "key-of-scale", "account_id": 1, "api_version": version}
        path = config(directory, f"scale-{kind}", **settings, **LIFTED)
        options = [] if kind in DIALECTS else ["--dry-run"]
        seen = run([*TARGET, "--config", str(path), *options], what.source)
        received = int(requests.get(f"{api_url}/v1/rows", timeout=60).text)
        if received != (what.records if kind in DIALECTS else 0):
            raise RuntimeError(f"{received} rows of {what.name} arrived with {kind}")
        return seen


def grown(directory: Path, small: Input, large: Input, kind: str) -> list[list[str]]:
    """The two lines of one input."""
    found: list[list[str]] = []
    first: Run | None = None
    for what in (small, large):
        seen = loaded(directory, what, kind)
        first = first or seen
        found.append(
            [
                kind,
                what.name,
                f"{seen.wall_seconds:.1f}",
                f"{seen.cpu_seconds:.1f}",
                f"{seen.cpu_seconds / what.records * 1e6:.1f}",
                f"{seen.peak_bytes / MEGABYTE:.0f}",
                f"{seen.cpu_seconds / first.cpu_seconds:.1f}",
            ]
        )
        print(f"  {' | '.join(found[-1])}", file=sys.stderr, flush=True)
    return found


def first_post(directory: Path, version: str) -> float:
    """Seconds from the start of the process to its first rows at the API, in a new data source."""
    source = directory / "first.singer"
    with source.open("wb") as file:
        file.writelines(lines("flat", 1000))
    with server() as api_url:
        settings = {"api_url": api_url, "api_key": "key-of-scale", "account_id": 1, "api_version": version}
        path = config(directory, f"first-{version}", **settings, **LIFTED)
        with source.open("rb") as tap:
            begun_at = time.time()
            subprocess.run(
                [*TARGET, "--config", str(path)],
                stdin=tap,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=True,
            )
        return float(requests.get(f"{api_url}/v1/first", timeout=60).text) - begun_at


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--rows", type=int, default=10_000_000)
    options = parser.parse_args()
    rows, streams, rows_of_each = (100_000, 50, 100) if options.short else (options.rows, 500, 1_000)
    print(f"Machine: {machine()}.", flush=True)
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        found = [[version, f"{first_post(directory, version):.2f}"] for version in DIALECTS for _ in range(3)]
        table(["version", "s from start to first POST"], found)
        for pair in inputs(rows, streams, rows_of_each):
            found = []
            for kind in (*DIALECTS, "dry run"):
                found += grown(directory, *pair, kind)
            head = ["what", "input", "wall s", "CPU s", "CPU µs a row", "peak MB"]
            table([*head, "times the CPU of a tenth"], found)


if __name__ == "__main__":
    main()
