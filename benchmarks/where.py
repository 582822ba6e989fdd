"""Where the time of a load goes, in microseconds of one core a record: run `python benchmarks/where.py`.

Each step is a bare loop over the same records: the sum is the floor of a load without threads. What a whole
process needs beyond it is the price of waiting for many answers at once.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inputs import FLAT, lines
from measuring import machine, server, table

from target_databox.api.v1.client import DataboxClient
from target_databox.api.v1.dialect import V1
from target_databox.delivery.rows import Row, RowQueue
from target_databox.records.columns import columns
from target_databox.records.conversions import ENCODER
from target_databox.records.rows import RowEncoder
from target_databox.records.validation import RecordValidator
from target_databox.singer.lines import chunks
from target_databox.singer.messages import decode

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS = 50_000
ROUNDS = 5
BATCH = (V1.most_rows, V1.most_bytes - V1.frame_bytes)


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


def batched(rows: list[Row]) -> list[bytes]:
    """The bodies of all batches, each freed again as if it were confirmed."""
    queue = RowQueue(keyed=True)
    queue.put_all(rows, 0.0)
    bodies = []
    while queue.ready:
        batch = queue.cut(*BATCH)
        bodies.append(V1.body([row.body for row in batch]))
        queue.free(queue.keys(batch), 0.0)
    return bodies


def once(watch: Stopwatch, path: Path, client: DataboxClient) -> None:
    """One round over all steps."""
    validator = RecordValidator({"type": "object", "properties": FLAT})
    schema = {"properties": FLAT}
    encoder = RowEncoder(schema, columns(schema), ["id"])
    text = [line for line in watch.measure("read", lambda: read(path)) if b'"RECORD"' in line]
    records = [message["record"] for message in watch.measure("decode", lambda: list(map(decode, text)))]
    watch.measure("validate", lambda: list(map(validator.is_valid, records)))
    watch.measure("(JSON alone)", lambda: list(map(ENCODER.encode, records)))
    encoded = watch.measure("encode, key", lambda: [encoder.encode(each, is_json=True) for each in records])
    rows = [Row(each.key, each.body, number) for number, each in enumerate(encoded)]
    bodies = watch.measure("batch, join, free", lambda: batched(rows))
    accepted = watch.measure("HTTP: post", lambda: [client.post_rows("1", each) for each in bodies])
    watch.measure(
        "HTTP: confirm each", lambda: [client.ingestion("1", each.ingestion_id) for each in accepted]
    )


def main() -> None:
    """Print the table."""
    watch = Stopwatch()
    with tempfile.TemporaryDirectory() as directory, server() as api_url:
        path = Path(directory) / "flat.singer"
        with path.open("wb") as file:
            file.writelines(lines("flat", RECORDS))
        client = DataboxClient(api_url, "k", request_timeout_seconds=60)
        for _ in range(ROUNDS):
            once(watch, path, client)
        client.close()
    print(f"Machine: {machine()}.")
    each = {name: seconds / RECORDS * 1e6 for name, seconds in watch.seconds.items()}
    total = sum(value for name, value in each.items() if not name.startswith("("))
    table(
        ["step", "µs a record", "share"],
        [
            *(
                [name, f"{value:.2f}", "" if name.startswith("(") else f"{value / total:.0%}"]
                for name, value in each.items()
            ),
            ["sum", f"{total:.2f}", "100%"],
        ],
    )


if __name__ == "__main__":
    main()
