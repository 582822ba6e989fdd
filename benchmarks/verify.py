"""How long it takes to load and to verify a million rows, against the unlimited emulator.

    nice .venv-test/bin/python benchmarks/verify.py [--rows 1000000]

Prints seconds, CPU and peak memory of both, also for a tenth of the rows: memory stays flat.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import MEGABYTE, TARGET, config, machine, run, table

if TYPE_CHECKING:
    from collections.abc import Iterator

EMULATOR = str(Path(sys.executable).with_name("databox-emulator"))
KEY = "pak_benchmark"
SCHEMA: dict[str, Any] = {
    "id": {"type": "integer"},
    "customer": {"type": "string"},
    "amount": {"type": "number"},
    "paid": {"type": "boolean"},
    "country": {"type": ["string", "null"]},
    "created_at": {"type": "string", "format": "date-time"},
}


@contextlib.contextmanager
def emulator() -> Iterator[str]:
    """An emulator without limits, whose rows can be read back at once.

    Yields:
        Its address.
    """
    fast = ["--processing-seconds-min", "0", "--processing-seconds-max", "0.02", "--read-lag-seconds", "0"]
    command = [EMULATOR, "serve", "--port", "0", "--no-limits", "--api-key", KEY, *fast]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                found = re.search(r"http://[\w.:]+\d", line)
                if found:
                    yield found[0]
                    return
            raise AssertionError("the emulator does not say where it is")
        finally:
            process.terminate()


def write(path: Path, rows: int) -> None:
    """Write a stream of orders."""
    with path.open("w", encoding="utf-8") as file:
        schema = {"type": "object", "properties": SCHEMA}
        json.dump({"type": "SCHEMA", "stream": "orders", "schema": schema, "key_properties": ["id"]}, file)
        file.write("\n")
        for number in range(rows):
            moment = f"2024-{number % 12 + 1:02}-{number % 28 + 1:02}T{number % 24:02}:{number % 60:02}:07Z"
            country = "null" if number % 7 else '"SI"'
            record = (
                f'"id":{number},"customer":"Customer {number % 9973}",'
                f'"amount":{number % 100000}.{number % 89 + 10},'
                f'"paid":{str(bool(number % 3)).lower()},"country":{country},'
                f'"created_at":"{moment}"'
            )
            file.write(f'{{"type":"RECORD","stream":"orders","record":{{{record}}}}}\n')


def main() -> None:
    """Load, verify, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as name, emulator() as address:
        folder = Path(name)
        whole, tenth = folder / "whole.jsonl", folder / "tenth.jsonl"
        write(whole, rows)
        write(tenth, rows // 10)
        settings = {
            "api_url": address,
            "api_key": KEY,
            "api_version": "v2",
            "requests_per_second": 100_000,
            "requests_per_hour": 100_000_000,
        }
        path = str(config(folder, "whole", **settings))
        other = str(config(folder, "tenth", **settings, dataset_titles={"orders": "tenth"}))
        runs = {
            f"load {rows:,}": run([*TARGET, "--config", path], whole),
            f"verify {rows:,}": run([*TARGET, "--config", path, "--verify"], whole),
            f"load {rows // 10:,}": run([*TARGET, "--config", other], tenth),
            f"verify {rows // 10:,}": run([*TARGET, "--config", other, "--verify"], tenth),
        }
    print(machine())
    table(
        ["", "seconds", "CPU seconds", "peak MB"],
        [
            [name, f"{each.wall_seconds:.1f}", f"{each.cpu_seconds:.1f}", f"{each.peak_bytes / MEGABYTE:.0f}"]
            for name, each in runs.items()
        ],
    )


if __name__ == "__main__":
    main()
