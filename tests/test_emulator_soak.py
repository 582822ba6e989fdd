"""An hour of documented traffic from two clients at once: the emulator loses nothing and does not grow."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.emulator import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "pak_soak"
# What the documentation allows a key in an hour; two clients share it.
REQUESTS = 10_000
# Caches, connections and the first rows have their memory after so many requests of one client.
WARM_REQUESTS = 1_000
ROWS = 50
KEYS = 2_000
# The log of exchanges keeps the newest 100,000, so it still grows here, by less than 1 kB a request.
MOST_GROWTH_BYTES = REQUESTS * 1_000
QUICK = (
    "--no-limits",
    "--processing-seconds-min",
    "0",
    "--processing-seconds-max",
    "0.01",
    "--listing-lag-seconds",
    "0",
)


class Client:
    """One client on one connection, which loads batches and waits until each is confirmed.

    Attributes:
        requests: How many it made.
        confirmed: By outcome, how many rows the API confirmed.
        newest: Each key's newest confirmed value.
    """

    def __init__(self, port: int, *, keys: list[str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.requests = 0
        self.confirmed: Counter[str] = Counter()
        self.newest: dict[int, int] = {}
        source = self.ask("POST", "/v1/data-sources", {"title": "Soak"})["id"]
        fields = {"title": "Soak", "dataSourceId": source, "primaryKeys": keys}
        self.dataset_id: str = self.ask("POST", "/v1/datasets", fields)["id"]

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """A request, and its answer, which must be a success."""
        headers = {"x-api-key": KEY, "Content-Type": "application/json"}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        payload = response.read()
        assert response.status == 200, payload
        self.requests += 1
        answer: dict[str, Any] = json.loads(payload)
        return answer

    def load_until(self, requests: int) -> None:
        """Load batches until so many requests are made in all."""
        path = f"/v1/datasets/{self.dataset_id}"
        while self.requests < requests:
            first = self.confirmed.total()
            rows = [{"id": number % KEYS, "value": number} for number in range(first, first + ROWS)]
            posted = self.ask("POST", f"{path}/data", {"records": rows})["ingestionId"]
            while not (metrics := self.ask("GET", f"{path}/ingestions/{posted}").get("metrics")):
                listed = self.ask("GET", f"{path}/ingestions?page=1&pageSize=10")["ingestions"]
                assert posted in {each["ingestionId"] for each in listed}
            counts = metrics["ingestionMetrics"]
            self.confirmed.update(
                {name: counts[f"{name}RecordsCount"] for name in ("appended", "overwritten")}
            )
            assert self.confirmed.total() == first + ROWS
            self.newest |= {row["id"]: row["value"] for row in rows}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A server in a process of its own, whose rows are in a file."""
    command = [
        sys.executable,
        "-m",
        "target_databox.emulator",
        "serve",
        "--port",
        "0",
        "--api-key",
        KEY,
        *QUICK,
    ]
    process = subprocess.Popen(
        [*command, "--database", str(tmp_path / "soak.db")], stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def resident_bytes(process: subprocess.Popen[str]) -> int:
    """How much memory a process has, as `ps` tells it."""
    command = ["ps", "-o", "rss=", "-p", str(process.pid)]
    reported = subprocess.run(command, capture_output=True, check=True)
    return int(reported.stdout) * 1024


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_hour_of_traffic_changes_nothing(server: subprocess.Popen[str], tmp_path: Path) -> None:
    """Ten thousand requests from two clients lose no row, and leave the server as small as it was."""
    assert server.stdout is not None
    port = int(server.stdout.readline().split(" at ")[1].split()[0].rsplit(":", 1)[1])
    clients = [Client(port, keys=["id"]), Client(port, keys=[])]
    sizes = []
    with ThreadPoolExecutor(len(clients)) as pool:
        for requests in (WARM_REQUESTS, REQUESTS // len(clients)):
            for done in [pool.submit(client.load_until, requests) for client in clients]:
                done.result()
            sizes.append(resident_bytes(server))
    for client in clients:
        client.close()
    server.terminate()
    assert server.wait(10) == 0
    keyed, keyless = clients
    assert keyed.requests + keyless.requests >= REQUESTS
    assert sizes[1] - sizes[0] < MOST_GROWTH_BYTES, sizes
    store = Store(tmp_path / "soak.db")
    try:
        assert {row["id"]: row["value"] for row in store.rows(keyed.dataset_id)} == keyed.newest
        values = [row["value"] for row in store.rows(keyless.dataset_id)]
    finally:
        store.close()
    assert sorted(values) == list(range(keyless.confirmed["appended"]))
