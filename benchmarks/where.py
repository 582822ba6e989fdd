"""Where the time of a load goes, in microseconds of one core a record: run `python benchmarks/where.py`.

Each step is a bare loop over the same records: the sum is the floor of a load without threads. What a whole
process needs beyond it is its start, and the price of waiting for many answers at once.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
import uuid
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inputs import FLAT, lines
from measuring import TARGET, config, machine, run, server, table

from target_databox.delivery.rows import Row, RowQueue
from target_databox.records.columns import columns
from target_databox.records.conversions import ENCODER
from target_databox.records.rows import RowEncoder
from target_databox.records.validation import RecordValidator
from target_databox.singer.lines import chunks
from target_databox.singer.messages import decode
from target_databox.versions import DIALECTS, client_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from target_databox.api.base import BaseClient
    from target_databox.api.dialect import Dialect

RECORDS = 50_000
ROUNDS = 5
# As good as no limit.
LIFTED = {"requests_per_second": 1_000_000, "requests_per_hour": 1_000_000_000}


class Stopwatch:
    """CPU time of steps, the least of several rounds: other programs only ever add to it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def measure(self, name: str, step: Callable[[], Any]) -> Any:
        """Run a step once and note its time if it is the best."""
        begun_at = time.process_time()
        result = step()
        seconds = time.process_time() - begun_at
        self.seconds[name] = min(seconds, self.seconds.get(name, seconds))
        return result


def read(path: Path) -> list[bytes]:
    """Every line of a file."""
    with path.open("rb") as file:
        found = []
        for some in chunks(file, interruptible=contextlib.nullcontext(), is_over=lambda: False):
            found += some
        return found


def batched(rows: list[Row], dialect: Dialect) -> list[bytes]:
    """The bodies of all batches, each freed again as if it were confirmed."""
    most_bytes = dialect.most_bytes - dialect.frame_bytes
    queue = RowQueue(keyed=True)
    queue.put_all(rows, 0.0)
    bodies = []
    while queue.ready:
        batch = queue.cut(dialect.most_rows, most_bytes)
        bodies.append(dialect.body([row.body for row in batch]))
        queue.free(queue.keys(batch), 0.0)
    return bodies


def once(watch: Stopwatch, path: Path, clients: Mapping[str, BaseClient]) -> None:
    """One round over all steps."""
    validator = RecordValidator({"type": "object", "properties": FLAT})
    schema = {"properties": FLAT}
    encoder = RowEncoder(schema, columns(schema), ["id"])
    text = [line for line in watch.measure("read", lambda: read(path)) if b'"RECORD"' in line]
    records = [message["record"] for message in watch.measure("decode", lambda: list(map(decode, text)))]
    watch.measure("validate", lambda: list(map(validator.is_valid, records)))
    watch.measure("(JSON alone)", lambda: list(map(ENCODER.encode, records)))
    encoded = watch.measure(
        "encode, key", lambda: [encoder.encode(each, is_json=True, fits=True) for each in records]
    )
    for version, client in clients.items():
        rows = [Row(each.key, each.body, number) for number, each in enumerate(encoded)]
        bodies = watch.measure(f"{version}: batch, join, free", partial(batched, rows, DIALECTS[version]))
        accepted = watch.measure(
            f"{version}: post",
            lambda c=client, b=bodies: [c.post_rows("1", each, str(uuid.uuid4())) for each in b],
        )
        watch.measure(
            f"{version}: confirm each",
            lambda c=client, a=accepted: [c.ingestion("1", each.ingestion_id) for each in a],
        )


def whole(directory: Path, path: Path, api_url: str, version: str) -> float:
    """CPU seconds of the real command, the least of several rounds."""
    settings = {"api_url": api_url, "api_key": "key-of-where", "account_id": 1, "api_version": version}
    name = config(directory, f"whole-{version}", **settings, **LIFTED)
    return min(run([*TARGET, "--config", str(name)], path).cpu_seconds for _ in range(ROUNDS))


def main() -> None:
    """Print the tables."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as name, server() as api_url:
        directory = Path(name)
        path = directory / "flat.singer"
        with path.open("wb") as file:
            file.writelines(lines("flat", RECORDS))
        clients = {
            version: client_class(version)(api_url, "key-of-where", request_timeout_seconds=60)
            for version in DIALECTS
        }
        for _ in range(ROUNDS):
            once(watch, path, clients)
        for client in clients.values():
            client.close()
        start = min(run([*TARGET, "--version"]).cpu_seconds for _ in range(ROUNDS))
        processes = {version: whole(directory, path, api_url, version) for version in DIALECTS}
    print(f"Machine: {machine()}.")
    each = {step: seconds / RECORDS * 1e6 for step, seconds in watch.seconds.items()}
    found = [[step, f"{each[step]:.2f}", f"{each[step]:.2f}"] for step in each if ":" not in step]
    shared = sum(value for step, value in each.items() if ":" not in step and not step.startswith("("))
    for step in ("batch, join, free", "post", "confirm each"):
        found.append([step, *(f"{each[f'{version}: {step}']:.2f}" for version in DIALECTS)])
    sums = {
        version: shared + sum(value for step, value in each.items() if step.startswith(f"{version}:"))
        for version in DIALECTS
    }
    started = {version: (seconds - start) / RECORDS * 1e6 for version, seconds in processes.items()}
    found.append(["sum: the floor", *(f"{sums[version]:.2f}" for version in DIALECTS)])
    found.append(["whole process, less its start", *(f"{started[version]:.2f}" for version in DIALECTS)])
    found.append(["times the floor", *(f"{started[version] / sums[version]:.2f}" for version in DIALECTS)])
    table(["step, µs a record", *DIALECTS], found)
    print(f"The start of a process takes {start:.2f} s of CPU.")


if __name__ == "__main__":
    main()
