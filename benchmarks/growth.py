"""How time grows with what is read and shown: run `python benchmarks/growth.py`, or with `--short`.

Each case is measured at two sizes, one four times the other, in turn: in proportion is four times the time,
quadratic would be sixteen. Dry runs are whole processes, less what an empty one takes; pages are requests to
an emulator in this process. CPU time is compared, so that other programs hardly matter.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from measuring import TARGET, config, machine, run, table

from target_databox.emulator import UNLIMITED, Assumptions, Emulator

if TYPE_CHECKING:
    from collections.abc import Callable

GROWTH = 4
TEXT = {"type": "string"}
AT_ONCE = Assumptions(processing_seconds_min=0, processing_seconds_max=0, listing_lag_seconds=0)


def schema(stream: str, columns: dict[str, Any]) -> dict[str, Any]:
    """A SCHEMA message with a key."""
    described = {"type": "object", "properties": {"id": {"type": "integer"}, **columns}}
    return {"type": "SCHEMA", "stream": stream, "schema": described, "key_properties": ["id"]}


def record(stream: str, **values: Any) -> dict[str, Any]:
    """A RECORD message."""
    return {"type": "RECORD", "stream": stream, "record": values}


def many_streams(count: int) -> list[dict[str, Any]]:
    """Streams of one record each."""
    names = [f"s{number}" for number in range(count)]
    schemas = [schema(name, {"a": TEXT}) for name in names]
    return [*schemas, *(record(name, id=1, a="7") for name in names)]


def wide_stream(count: int) -> list[dict[str, Any]]:
    """A stream of many columns and three records."""
    names = [f"c{number}" for number in range(count)]
    records = [record("wide", id=number, **dict.fromkeys(names, "7")) for number in range(3)]
    return [schema("wide", dict.fromkeys(names, TEXT)), *records]


def types_of_each(count: int) -> dict[str, Any]:
    """Settings that name every stream."""
    return {"column_types": {f"s{number}": {"a": "number"} for number in range(count)}}


def dry_run(folder: Path, messages: list[dict[str, Any]], settings: dict[str, Any]) -> float:
    """CPU seconds of `target-databox --dry-run`."""
    source = folder / "input"
    source.write_text("".join(json.dumps(each) + "\n" for each in messages))
    return run([*TARGET, "--config", str(config(folder, "dry", **settings)), "--dry-run"], source).cpu_seconds


def page_of_columns(count: int) -> float:
    """CPU seconds of the page of a dataset of so many columns."""
    rows = [{"id": number, **{f"c{column}": 7.5 for column in range(count)}} for number in range(50)]
    return _page(rows, "")


def search_of_rows(count: int) -> float:
    """CPU seconds of a search through so many rows, by all the pages that it takes."""
    return _page([{"id": number, "name": f"customer {number}"} for number in range(count)], "nobody")


def _page(rows: list[dict[str, Any]], words: str) -> float:
    with Emulator(limits=UNLIMITED, assumptions=AT_ONCE) as emulator:
        store = emulator.store
        dataset = store.create_dataset("large", store.create_data_source("Growth").id, ["id"])
        for begin in range(0, len(rows), 50):
            store.accept(dataset.id, [json.dumps(each).encode() for each in rows[begin : begin + 50]])
        store.finish_processing()
        link = f"/datasets/{dataset.id}?q={words}"
        began = time.process_time()
        while link:
            text = requests.get(emulator.url + link, timeout=60).text
            head, found, _ = text.rpartition('" rel="next">Search on')
            link = head.rpartition('href="')[2].replace("&amp;", "&") if found else ""
        return time.process_time() - began


def main() -> None:
    """Measure each case at both sizes, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="small sizes, one round")
    short = parser.parse_args().short
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        empty = dry_run(folder, [], {})
        cases: dict[str, tuple[int, Callable[[int], float]]] = {
            "dry run, streams": (2_000, lambda n: dry_run(folder, many_streams(n), {}) - empty),
            "dry run, streams that settings name": (
                2_000,
                lambda n: dry_run(folder, many_streams(n), types_of_each(n)) - empty,
            ),
            "dry run, columns of a stream": (2_500, lambda n: dry_run(folder, wide_stream(n), {}) - empty),
            "page, columns of a dataset": (2_500, page_of_columns),
            "page, rows searched": (250_000, search_of_rows),
        }
        lines = []
        for what, (most, measure) in cases.items():
            size = most // 10 if short else most
            pairs = [(measure(size), measure(size * GROWTH)) for _ in range(1 if short else 3)]
            small, large = (statistics.median(each) for each in zip(*pairs, strict=True))
            ratio = statistics.median(b / a for a, b in pairs)
            lines.append(
                [what, f"{size:,}", f"{small:.2f} s", f"{size * GROWTH:,}", f"{large:.2f} s", f"{ratio:.1f}"]
            )
    table(["case", "size", "CPU", "size", "CPU", f"ratio ({GROWTH} is in proportion)"], lines)


if __name__ == "__main__":
    main()
