"""How well the request budget is used: run `python benchmarks/delivery.py`, or with `--short`.

The real command loads into the emulator, whose limits and processing times are those of the API as known;
every figure comes from the emulator's own log of requests.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from inputs import lines
from measuring import HERE, MEGABYTE, PYTHON, TARGET, config, machine, run, server, table

from target_databox.emulator import UNLIMITED, Assumptions, Emulator, FaultPlan, Limits
from target_databox.versions import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from target_databox.emulator.serving.exchanges import Exchange

# A load that lasts until it is told to stop.
ENDLESS = 10_000_000
TERMINATED = 128 + signal.SIGTERM
OUTCOMES = ("ingestion", "ingestions")


def assumed(shortest_seconds: float, longest_seconds: float, **others: Any) -> Assumptions:
    """An API that takes so long to process an ingestion."""
    return Assumptions(
        processing_seconds_min=shortest_seconds, processing_seconds_max=longest_seconds, **others
    )


def settings(directory: Path, emulator: Emulator, name: str, **others: object) -> list[str]:
    """The command, configured for an emulator."""
    common = {"api_url": emulator.url, "api_key": emulator.api_key, "data_source_title": name}
    return [*TARGET, "--config", str(config(directory, name, **{**common, **others}))]


@contextlib.contextmanager
def loading(command: Sequence[str], records: int) -> Iterator[subprocess.Popen[bytes]]:
    """A load that goes on meanwhile."""
    source = [PYTHON, str(HERE / "inputs.py"), "flat", str(records)]
    with (
        subprocess.Popen(source, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as tap,
        tempfile.TemporaryFile() as said,
        subprocess.Popen(command, stdin=tap.stdout, stdout=subprocess.DEVNULL, stderr=said) as target,
    ):
        assert tap.stdout is not None
        tap.stdout.close()
        yield target
        code = target.wait()
        tap.kill()
        if code not in (0, TERMINATED):
            said.seek(0)
            raise RuntimeError(f"target-databox ended with {code}: {said.read()[-2000:].decode()}")


def posts(emulator: Emulator) -> list[Exchange]:
    """Requests with rows that were accepted."""
    return [each for each in emulator.log.of("post_rows") if each.status == 200]


def first_post_at(emulator: Emulator) -> float:
    """When the first rows came, waited for."""
    while not (found := posts(emulator)):
        time.sleep(0.05)
    return found[0].at


def budget(directory: Path, seconds: float, kind: tuple[str, str, str, tuple[float, float]]) -> list[str]:
    """One keyed stream at the documented limits."""
    version, confirmation, counting, (shortest, longest) = kind
    batch_rows = DIALECTS[version].most_rows
    with Emulator(assumptions=assumed(shortest, longest, rate_counting=counting)) as emulator:
        name = f"budget-{version}-{confirmation}-{counting}-{shortest}"
        command = settings(directory, emulator, name, api_version=version, confirmation=confirmation)
        with loading(command, ENDLESS) as target:
            begun_at = first_post_at(emulator)
            time.sleep(seconds)
            target.send_signal(signal.SIGTERM)
        log = [each for each in emulator.log if each.at >= begun_at]
        used = sum(each.at < begun_at + seconds for each in log)
        spent = [each for each in log if each.route in ("post_rows", *OUTCOMES)]
        rows = sum(each.rows for each in posts(emulator))
        processing = f"{shortest:g} s" if shortest == longest else f"{shortest:g} to {longest:g} s"
        return [
            f"{version}, `{confirmation}`",
            processing,
            counting,
            f"{used / (10 * seconds):.1%}",
            str(sum(each.status == 429 for each in log)),
            f"{len(spent) / (rows / batch_rows):.2f}",
            f"{rows:,}",
        ]


class Kept(NamedTuple):
    """What a load towards an emulator cost, and what is there afterwards.

    Attributes:
        seconds: Wall time of the whole process.
        requests: All requests that arrived.
        rows: Rows in the dataset.
        keys: How many different ones of them.
    """

    seconds: float
    requests: int
    rows: int
    keys: int


def kept(
    directory: Path,
    name: str,
    source: Path,
    *,
    assumptions: Assumptions,
    faults: FaultPlan | None = None,
    codes: tuple[int, ...] = (0,),
    **others: object,
) -> Kept:
    """Load a file into an emulator and count what is there."""
    with (
        Emulator(assumptions=assumptions, faults=faults or FaultPlan()) as emulator,
        source.open("rb") as tap,
    ):
        begun_at = time.monotonic()
        command = settings(directory, emulator, name, **others)
        done = subprocess.run(command, stdin=tap, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        seconds = time.monotonic() - begun_at
        if done.returncode not in codes:
            raise RuntimeError(f"target-databox ended with {done.returncode}: {done.stderr[-2000:].decode()}")
        (dataset,) = emulator.store.datasets()
        rows = list(emulator.store.rows(dataset.id))
        return Kept(seconds, len(list(emulator.log)), len(rows), len({row["id"] for row in rows}))


def lost_answers(directory: Path, records: int) -> None:
    """A stream without keys, while a tenth of the answers is lost after the rows were stored."""
    source = directory / "lost.singer"
    with source.open("wb") as file:
        file.writelines(lines("flat", records))
    found = []
    for version in DIALECTS:
        seconds = []
        for losing in (False, True):
            faults = FaultPlan()
            if losing:
                faults.add("post_rows", status=503, after_write=True, probability=0.1)
            seen = kept(
                directory,
                f"lost-{version}-{losing}",
                source,
                assumptions=assumed(1.0, 6.0, listing_lag_seconds=30.0),
                faults=faults,
                api_version=version,
                load_method="append-only",
                confirmation_timeout_seconds=3600,
            )
            seconds.append(seen.seconds)
            if seen.rows != records or seen.keys != records:
                raise RuntimeError(f"{seen.rows} rows, {seen.keys} keys of {records}")
        found.append([version, f"{seconds[0]:.1f}", f"{seconds[1]:.1f}", f"{seconds[1] / seconds[0]:.2f}"])
    head = [
        f"{records:,} rows without keys, the list 30 s late",
        "s without faults",
        "s, a tenth lost",
        "ratio",
    ]
    table(head, found)


def bad_rows(directory: Path, records: int) -> None:
    """Rows that the API rejects and, with v2, names."""
    source = directory / "bad.singer"
    with source.open("wb") as file:
        file.writelines(lines("flat", records))
    found = []
    for version in DIALECTS:
        requests_made = []
        for rejecting in (False, True):
            faults = FaultPlan()
            if rejecting:
                faults.add("post_rows", reject_rows=lambda row: row["id"] % 100 == 50)
            seen = kept(
                directory,
                f"bad-{version}-{rejecting}",
                source,
                assumptions=assumed(0.5, 1.0),
                faults=faults,
                codes=(0, 1),
                api_version=version,
                rejects_path=str(directory / f"bad-{version}-{rejecting}.rejects"),
                rejects_limit=records,
            )
            requests_made.append(seen.requests)
        found.append(
            [version, *(f"{each:,}" for each in requests_made), f"{requests_made[1] - requests_made[0]:+,}"]
        )
    head = [f"{records:,} rows, 1 % of them bad", "requests without", "requests with bad rows", "more"]
    table(head, found)


def sequential(emulator: Emulator, batches: int) -> float:
    """Rows a second of a client that posts, asks until it is done, and goes on with the next."""
    with requests.Session() as session:
        session.headers["x-api-key"] = emulator.api_key
        source = session.post(f"{emulator.url}/v1/data-sources", json={"title": "sequential"}).json()["id"]
        dataset = {"title": "orders", "dataSourceId": source, "primaryKeys": ["id"]}
        path = session.post(f"{emulator.url}/v1/datasets", json=dataset).json()["id"]
        url = f"{emulator.url}/v1/datasets/{path}"
        begun_at = time.monotonic()
        for batch in range(batches):
            rows = [{"id": batch * 100 + number} for number in range(100)]
            ingestion = session.post(f"{url}/data", json={"records": rows}).json()["ingestionId"]
            while session.get(f"{url}/ingestions/{ingestion}").json()["status"] != "success":
                time.sleep(0.1)
        return batches * 100 / (time.monotonic() - begun_at)


def concurrency(directory: Path, records: int, batches: int) -> None:
    """Many batches in flight, beside one."""
    faults = FaultPlan()
    faults.add("post_rows", delay_before_seconds=0.2)
    with Emulator(assumptions=assumed(2.0, 2.0), limits=UNLIMITED, faults=faults) as emulator:
        slow = sequential(emulator, batches)
        before = len(posts(emulator))
        lifted = {"requests_per_second": 1_000_000, "requests_per_hour": 1_000_000_000}
        source = directory / f"concurrency-{records}.singer"
        with source.open("wb") as file:
            file.writelines(lines("flat", records))
        seen = run(settings(directory, emulator, "concurrent", **lifted), source)
        assert sum(each.rows for each in posts(emulator)[before:]) == records
    fast = records / seen.wall_seconds
    head = ["POST in 200 ms, processing 2 s, no limit", "rows a second", "times the sequential client's"]
    found = [
        ["POST, ask until done, next", f"{slow:.0f}", "1.0"],
        ["`target-databox`, start included", f"{fast:.0f}", f"{fast / slow:.1f}"],
    ]
    table(head, found)


def two_on_one_key(directory: Path, records: int, counting: str) -> list[str]:
    """Two processes that know nothing of each other."""
    assumptions = assumed(1.0, 6.0, rate_counting=counting)
    with Emulator(assumptions=assumptions, limits=Limits(10, 10_000)) as emulator:
        commands = [settings(directory, emulator, name) for name in ("first", "second")]
        ended_at = []
        with contextlib.ExitStack() as stack:
            targets = [stack.enter_context(loading(command, records)) for command in commands]
            begun_at = first_post_at(emulator)
            for target in targets:
                threading.Thread(target=lambda t=target: (t.wait(), ended_at.append(time.time()))).start()
        codes = [target.returncode for target in targets]
        together = min(ended_at) - begun_at
        log = [each for each in emulator.log if begun_at <= each.at < begun_at + together]
        passed = sum(each.status != 429 for each in log)
        refused = len(log) - passed
        return [counting, str(codes), f"{together:.0f}", f"{passed / (10 * together):.1%}", str(refused)]


def memory(records: Sequence[int]) -> None:
    """Time and peak memory of each version with a server that answers at once."""
    found = []
    with server() as api_url, tempfile.TemporaryDirectory() as directory:
        for version in DIALECTS:
            base = 0.0
            for count in records:
                given = {
                    "api_url": api_url,
                    "api_key": "k",
                    "account_id": 1,
                    "requests_per_second": 1_000_000,
                }
                name = f"memory-{version}-{count}"
                path = config(
                    Path(directory), name, requests_per_hour=1_000_000_000, api_version=version, **given
                )
                source = [PYTHON, str(HERE / "inputs.py"), "flat", str(count)]
                seen = run([*TARGET, "--config", str(path)], source)
                peak = seen.peak_bytes / MEGABYTE
                base = base or peak
                seconds = [f"{seen.wall_seconds:.1f}", f"{seen.cpu_seconds:.1f}"]
                found.append([version, f"{count:,}", *seconds, f"{peak:.1f}", f"{peak - base:+.1f} MB"])
    table(["version", "records", "wall s", "CPU s", "peak MB", "more than with the first"], found)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="10 seconds instead of 60, and fewer records.")
    short = parser.parse_args().short
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print(f"Machine: {machine()}.", flush=True)
    # First, while this process is small: a child's peak is never less than its parent's size at the start.
    memory((20_000, 100_000) if short else (50_000, 1_000_000))
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        seconds = 10.0 if short else 60.0
        with ThreadPoolExecutor(2) as both:
            random_times, steady = (1.0, 6.0), (3.0, 3.0)
            kinds = [
                (version, confirmation, counting, random_times)
                for version in DIALECTS
                for confirmation in ("rows", "status")
                for counting in ("bucket", "strict")
            ]
            if short:
                kinds = [kind for kind in kinds if kind[0] == "v2" and kind[2] == "bucket"]
            else:
                kinds += [(version, "rows", "bucket", steady) for version in DIALECTS]
            found = list(both.map(partial(budget, directory, seconds), kinds))
        head = [f"10 a second, {seconds:.0f} s", "processing", "the second is counted as"]
        table([*head, "of the budget used", "429s", "requests for a full batch", "rows"], found)
        if not short:
            lost_answers(directory, 20_000)
            bad_rows(directory, 20_000)
        records = 2_000 if short else 60_000
        found = [two_on_one_key(directory, records, counting) for counting in ("bucket", "strict")[short:]]
        head = ["two processes, 10 a second", "exit codes", "seconds both ran", "of the limit used", "429s"]
        table(head, found)
        concurrency(directory, 10_000 if short else 60_000, 2 if short else 5)


if __name__ == "__main__":
    sys.exit(main())
