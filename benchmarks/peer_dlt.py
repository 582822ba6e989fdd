"""A dlt custom destination that posts a batch and asks until it is done, to be compared with.

Runs in a virtual environment of its own, made by `speed.py`: `python peer_dlt.py API_URL INPUT`.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dlt
import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = {"x-api-key": "k", "Content-Type": "application/json"}


def records(path: str) -> Iterator[list[dict[str, Any]]]:
    """The records of a Singer file, in pages as a good source gives them."""
    page = []
    with Path(path).open("rb") as file:
        for line in file:
            message = json.loads(line)
            if message["type"] == "RECORD":
                page.append(message["record"])
                if len(page) == 1000:
                    yield page
                    page = []
    yield page


def main(api_url: str, path: str) -> None:
    """Load a Singer file."""
    body = {"title": "orders", "dataSourceId": 7, "primaryKeys": ["id"]}
    dataset = requests.post(f"{api_url}/v1/datasets", json=body, headers=HEADERS, timeout=60).json()["id"]
    url = f"{api_url}/v1/datasets/{dataset}"

    @dlt.destination(
        batch_size=100, loader_file_format="typed-jsonl", name="databox", naming_convention="direct"
    )  # type: ignore[untyped-decorator] # dlt's own
    def databox(items: list[dict[str, Any]], _: Any) -> None:
        data = json.dumps({"records": items}, default=str)
        answer = requests.post(f"{url}/data", data=data, headers=HEADERS, timeout=60)
        answer.raise_for_status()
        ingestion = answer.json()["ingestionId"]
        while True:
            answer = requests.get(f"{url}/ingestions/{ingestion}", headers=HEADERS, timeout=60)
            answer.raise_for_status()
            if answer.json()["status"] == "success":
                return
            time.sleep(0.1)

    with tempfile.TemporaryDirectory() as directory:
        pipeline = dlt.pipeline("benchmark", destination=databox, pipelines_dir=directory)
        pipeline.run(dlt.resource(records(path), name="orders", primary_key="id")).raise_on_failed_jobs()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
