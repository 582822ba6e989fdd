"""Whole processes measured from outside: wall time, CPU and memory as the operating system counts them."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

HERE = Path(__file__).parent
PYTHON = sys.executable
# The real command, as it is installed.
TARGET = [str(Path(PYTHON).with_name("target-databox"))]
MEGABYTE = 1_000_000


class Run(NamedTuple):
    """One process that has ended.

    Attributes:
        wall_seconds: From its start to its exit.
        cpu_seconds: User and system time of the process and the children that it waited for.
        peak_bytes: Its largest resident size.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


class FailedRunError(RuntimeError):
    """A measured process ended badly, so that its figures mean nothing."""


def run(command: Sequence[str], source: Path | Sequence[str] = (), **variables: str) -> Run:
    """Run a command to its end.

    Args:
        command: The program and its arguments.
        source: The file that it reads, or a command whose output it reads.
        variables: Additions to the environment.

    Raises:
        FailedRunError: It failed; the message has the end of what it said.
    """
    with contextlib.ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile())
        environment = {**os.environ, **variables}
        # What is installed is compiled, what is checked out should be too.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        if isinstance(source, Path):
            stdin = stack.enter_context(source.open("rb"))
        elif source:
            writer = stack.enter_context(subprocess.Popen(source, stdout=subprocess.PIPE))
            assert writer.stdout is not None
            stdin = writer.stdout
        else:
            stdin = stack.enter_context(Path(os.devnull).open("rb"))
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.DEVNULL, stderr=said, env=environment
        )
        stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        wall_seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            tail = said.read()[-2000:].decode(errors="replace")
            raise FailedRunError(f"{' '.join(command)} ended with {process.returncode}:\n{tail}")
    return Run(wall_seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def interleaved(rounds: int, measured: Mapping[str, Callable[[], Run]]) -> dict[str, list[Run]]:
    """Run everything in turn, again and again: what slows the machine down then slows all of them down."""
    runs: dict[str, list[Run]] = {name: [] for name in measured}
    for count in range(1, rounds + 1):
        for name, measure in measured.items():
            runs[name].append(measure())
            seen = runs[name][-1]
            told = f"{count}/{rounds} {name}: {seen.wall_seconds:.2f} s, CPU {seen.cpu_seconds:.2f} s"
            print(f"  {told}, peak {seen.peak_bytes / MEGABYTE:.0f} MB", file=sys.stderr, flush=True)
    return runs


def median(runs: Sequence[Run]) -> Run:
    """The median of each figure."""
    walls, cpus, peaks = zip(*runs, strict=True)
    return Run(statistics.median(walls), statistics.median(cpus), int(statistics.median(peaks)))


def ratio(slow: Sequence[Run], fast: Sequence[Run]) -> float:
    """How many times as long the first takes: the median over the rounds."""
    return statistics.median(a.wall_seconds / b.wall_seconds for a, b in zip(slow, fast, strict=True))


@contextlib.contextmanager
def server(processing_seconds: float = 0.0) -> Iterator[str]:
    """A Databox that keeps nothing, in a process of its own.

    Yields:
        Its address.
    """
    command = [PYTHON, str(HERE / "server.py"), "--processing-seconds", str(processing_seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def config(directory: Path, name: str, **settings: object) -> Path:
    """A configuration file."""
    path = directory / f"{name}.json"
    path.write_text(json.dumps(settings))
    return path


def machine() -> str:
    """The machine in words."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    version = ".".join(map(str, sys.version_info[:3]))
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    cores = len(os.sched_getaffinity(0))
    return (
        f"{cores} cores, {memory_bytes / 2**30:.0f} GiB of memory, {sys.platform}, Python {version}; "
        f"load {os.getloadavg()[0]:.1f}, own peak {own_peak} MiB"
    )


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print()
    for cells in (head, ["---"] * len(head), *lines):
        print(f"| {' | '.join(cells)} |")
    print(flush=True)
