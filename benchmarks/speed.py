"""What loading costs, beside the usual ways of doing it: run `python benchmarks/speed.py`, or with `--short`.

Every figure is of whole processes that read the same input and talk to the same server, which answers at once
and keeps nothing; they run in turn, and ratios are taken round by round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import venv
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from inputs import FLAT, lines
from measuring import (
    HERE,
    MEGABYTE,
    PYTHON,
    TARGET,
    config,
    interleaved,
    machine,
    median,
    ratio,
    run,
    server,
    table,
)

from target_databox.api.v2.dialect import V2
from target_databox.records.columns import columns
from target_databox.records.rows import RowEncoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from measuring import Run

# As good as no limit.
LIFTED = {"requests_per_second": 1_000_000, "requests_per_hour": 1_000_000_000}
DLT = "dlt>=1.31,<2"
USUAL = [PYTHON, str(HERE / "peer_sdk.py")]


class Bench:
    """Where the inputs and configurations of a session are."""

    def __init__(self, directory: Path, api_url: str) -> None:
        self.directory = directory
        self.api_url = api_url

    def input(self, kind: str, records: int) -> Path:
        """A file of Singer messages."""
        path = self.directory / f"{kind}-{records}.singer"
        if not path.exists():
            with path.open("wb") as file:
                file.writelines(lines(kind, records))
        return path

    def ours(self, source: Path | Sequence[str], **settings: object) -> Callable[[], Run]:
        """A run of the real command."""
        name = "-".join(["ours", *(f"{key}-{value}" for key, value in settings.items())])
        common = {"api_url": self.api_url, "api_key": "k", "account_id": 1, **LIFTED}
        return partial(
            run, [*TARGET, "--config", str(config(self.directory, name, **{**common, **settings}))], source
        )

    def usual(self, source: Path, **settings: object) -> Callable[[], Run]:
        """A run of the usual target."""
        name = "-".join(["usual", *(f"{key}-{value}" for key, value in settings.items())])
        path = config(self.directory, name, api_url=self.api_url, api_key="k", **settings)
        return partial(run, [*USUAL, "--config", str(path)], source)

    def bare(self, source: Path) -> Callable[[], Run]:
        """A bare loop that posts what our encoder made of the same records, in batches of v2."""
        bodies = source.with_suffix(".bodies")
        if not bodies.exists():
            encoder = RowEncoder({"properties": FLAT}, columns({"properties": FLAT}), ["id"])
            with source.open("rb") as messages, bodies.open("wb") as file:
                records = (json.loads(line) for line in messages)
                rows = (encoder.encode(each["record"]).body for each in records if each["type"] == "RECORD")
                while batch := list(islice(rows, V2.most_rows)):
                    file.write(V2.body(batch) + b"\n")
        return partial(run, [PYTHON, str(HERE / "peer_bare.py"), self.api_url, str(bodies)])

    def dlt(self, source: Path) -> Callable[[], Run]:
        """A run of the dlt destination, in a virtual environment that is made for it."""
        home = self.directory / "dlt"
        python = home / "bin" / "python"
        if not python.exists():
            venv.create(home, with_pip=True)
            subprocess.run([str(python), "-m", "pip", "install", "-q", DLT, "requests"], check=True)
        command = [str(python), str(HERE / "peer_dlt.py"), self.api_url, str(source)]
        return partial(run, command, RUNTIME__DLTHUB_TELEMETRY="false")


def speeds(bench: Bench, records: int, rounds: int, *, with_dlt: bool) -> None:
    """The table of loads."""
    flat, nested = bench.input("flat", records), bench.input("nested", records // 2)
    measured = {
        "flat, `rows`": bench.ours(flat, confirmation="rows"),
        "flat, `status`": bench.ours(flat, confirmation="status"),
        "flat, v2, `rows`": bench.ours(flat, api_version="v2"),
        "flat, v2, `status`": bench.ours(flat, api_version="v2", confirmation="status"),
        "flat, v2, bare loop of `requests`": bench.bare(flat),
        "flat, the usual target": bench.usual(flat),
        **({"flat, dlt": bench.dlt(flat)} if with_dlt else {}),
        "nested, `rows`": bench.ours(nested, confirmation="rows"),
        "nested, the usual target": bench.usual(nested, flattening_enabled=True, flattening_max_depth=5),
    }
    runs = interleaved(rounds, measured)
    print(
        f"{records:,} flat records of 10 columns, {records // 2:,} nested ones of 30; "
        f"medians of {rounds} rounds."
    )
    found = []
    for name, its in runs.items():
        each = median(its)
        count = records // 2 if name.startswith("nested") else records
        peer = f"{name.split(',')[0]}, the usual target"
        found.append(
            [
                name,
                f"{each.wall_seconds:.2f}",
                f"{each.cpu_seconds:.2f}",
                f"{each.cpu_seconds / count * 1e6:.1f}",
                f"{each.peak_bytes / MEGABYTE:.0f}",
                f"{ratio(runs[peer], its):.2f}",
                f"{median(runs[peer]).cpu_seconds / each.cpu_seconds:.2f}",
                f"{ratio(runs['flat, dlt'], its):.2f}" if with_dlt and name.startswith("flat") else "",
            ]
        )
    head = [
        "run",
        "wall s",
        "CPU s",
        "CPU µs a record",
        "peak MB",
        "times the usual target's speed",
        "times less CPU",
        "times dlt's",
    ]
    table(head, found)


def memory(bench: Bench, sizes: Sequence[int]) -> None:
    """Peak memory by the length of the input."""
    found = []
    for records in sizes:
        source = [PYTHON, str(HERE / "inputs.py"), "flat", str(records)]
        for confirmation in ("rows", "status"):
            seen = bench.ours(source, confirmation=confirmation)()
            found.append([f"{records:,}", f"`{confirmation}`", f"{seen.peak_bytes / MEGABYTE:.1f}"])
    table(["records", "confirmation", "peak MB"], found)


def window(directory: Path, records: int) -> None:
    """Peak memory with the window full: 2 s of processing, 500 batches of rows of 1 kB."""
    with server(processing_seconds=2.0) as api_url:
        bench = Bench(directory, api_url)
        smallest = 2_000_000
        found = []
        base = 0
        for limit in (smallest, 16_000_000, 64_000_000):
            # Enough to fill the window several times.
            source = bench.input("wide", records * limit // 64_000_000)
            peak = bench.ours(source, unconfirmed_bytes=limit)().peak_bytes
            base = base or peak - smallest
            kept = f"{(peak - base) / MEGABYTE:.1f}"
            found.append([f"{limit / MEGABYTE:.0f}", f"{peak / MEGABYTE:.1f}", kept])
    table(["`unconfirmed_bytes`, MB", "peak MB", "more than the base, MB"], found)
    print(f"The base is the peak with the smallest window, less that window: {base / MEGABYTE:.1f} MB.\n")


def start(rounds: int) -> None:
    """How long `--version` takes beside the import that it can't do without."""
    runs = interleaved(
        rounds,
        {
            "`target-databox --version`": partial(run, [*TARGET, "--version"]),
            "`import singer_sdk.target_base`": partial(run, [PYTHON, "-c", "import singer_sdk.target_base"]),
        },
    )
    (name, version), (other, imported) = runs.items()
    found = [
        [
            each,
            f"{median(its).wall_seconds:.3f}",
            f"{median(its).cpu_seconds:.3f}",
            f"{ratio(its, imported):.2f}",
        ]
        for each, its in ((name, version), (other, imported))
    ]
    table(["start", "wall s", "CPU s", "ratio"], found)


def at_the_limit(bench: Bench, seconds: float) -> None:
    """CPU of a load that keeps the documented pace."""
    found = []
    paces = {("v1", "rows"): 485, ("v1", "status"): 920, ("v2", "rows"): 2_430, ("v2", "status"): 4_650}
    for (version, confirmation), rows_per_second in paces.items():
        source = [PYTHON, str(HERE / "inputs.py"), "flat", str(int(rows_per_second * seconds))]
        limits = {"requests_per_second": 10, "requests_per_hour": 10_000}
        seen = bench.ours(source, api_version=version, confirmation=confirmation, **limits)()
        found.append(
            [
                f"{version}, `{confirmation}`",
                f"{seen.wall_seconds:.1f}",
                f"{rows_per_second * seconds / seen.wall_seconds:.0f}",
                f"{seen.cpu_seconds:.2f}",
                f"{seen.cpu_seconds / seen.wall_seconds:.1%}",
            ]
        )
    table(["10 requests a second", "wall s", "rows a second", "CPU s, start included", "of one core"], found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="A tenth of the records, once, without dlt.")
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=["speeds", "memory", "window", "start", "limit"])
    parser.add_argument("--directory", type=Path, help="Keep inputs and dlt's environment here.")
    options = parser.parse_args()
    short = options.short
    records, rounds = (20_000, 1) if short else (options.records, options.rounds)
    with contextlib.ExitStack() as stack:
        directory = options.directory or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        directory.mkdir(exist_ok=True, parents=True)
        bench = Bench(directory, stack.enter_context(server()))
        print(f"Machine: {machine()}.", flush=True)
        if "speeds" in options.only:
            speeds(bench, records, rounds, with_dlt=not short)
        if "memory" in options.only:
            memory(bench, (20_000, 100_000) if short else (20_000, 200_000, 2_000_000))
        if "window" in options.only:
            window(directory, 20_000 if short else 150_000)
        if "start" in options.only:
            start(3 if short else 15)
        if "limit" in options.only:
            at_the_limit(bench, 5 if short else 60)


if __name__ == "__main__":
    sys.exit(main())
