"""A Databox that answers at once and keeps nothing: what is measured against it is the client's own cost.

Run `python benchmarks/server.py`: it prints its address, and serves until it is stopped. An ingestion's id
holds all that its outcome needs, so that nothing has to be kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import time
from collections import deque
from email.utils import formatdate
from typing import Any

import msgspec

ACCOUNT = (
    b'{"requestId":"1","status":"success","accounts":[{"id":1,"name":"A","accountType":"organization"}]}'
)
ZONES = b'{"requestId":"1","status":"success","timezones":[{"offset":"UTC+0","timezone":"UTC"}]}'
SOURCES = b'{"requestId":"1","status":"success","dataSources":[]}'
SOURCE = (
    b'{"requestId":"1","status":"success","id":7,"title":"target-databox","created":null,"timezone":"UTC"}'
)
DATASETS = b'{"requestId":"1","status":"success","datasets":[]}'
DATASET = b'{"requestId":"1","status":"success","id":"%d","title":null,"created":null}'
ACCEPTED = (
    b'{"requestId":"1","message":"Data ingestion request accepted","status":"success","ingestionId":"%s"}'
)
DONE = (
    b'{"requestId":"1","status":"success","ingestionId":"%s","timestamp":"2026-01-01T00:00:00.000000Z","metrics":'
    b'{"datasetMetrics":{"columnsCount":1,"datasetSizeMB":1,"totalDatasetRecordsCount":1},"ingestionMetrics":'
    b'{"receivedRecordsCount":%s,"appendedRecordsCount":%s,"overwrittenRecordsCount":0,"rejectedRecordsCount":0}}}'
)
PENDING = b'{"requestId":"1","status":"processing","ingestionId":"%s"}'
LINE = b'{"ingestionId":"%s","timestamp":"2026-01-01T00:00:00.000000Z","status":"%s"}'
LIST = (
    b'{"requestId":"1","status":"success","ingestions":[%s],'
    b'"pagination":{"page":1,"pageSize":100,"totalItems":%d}}'
)
V2_EMPTY = b'{"requestId":"1","status":"success","data":{"items":[],"pagination":{"totalItems":0}}}'
V2_THING = b'{"requestId":"1","status":"success","data":{"id":%d,"name":null,"createdAt":null}}'
V2_ACCEPTED = (
    b'{"requestId":"1","status":"success","data":{"ingestionId":"%s","message":"m","status":"accepted"}}'
)
V2_DONE = (
    b'{"requestId":"1","status":"success","data":{"id":"%s","status":"success","initiatedAt":'
    b'"2026-01-01T00:00:00+00:00","duration":1,"summary":{"ingestion":{"receivedRecordCount":%s,'
    b'"appendedRecordCount":%s,"overwrittenRecordCount":0,"rejectedRecordCount":0},"dataset":'
    b'{"columnCount":1,"rowCount":1,"size":1}},"errors":[]}}'
)
V2_PENDING = b'{"requestId":"1","status":"success","data":{"id":"%s","status":"processing","summary":null}}'
V2_LINE = b'{"id":"%s","initiatedAt":"2026-01-01T00:00:00+00:00","status":"%s"}'
V2_LIST = (
    b'{"requestId":"1","status":"success","data":{"items":[%s],'
    b'"pagination":{"page":0,"pageSize":100,"totalItems":%d}}}'
)
UNKNOWN = b'{"requestId":"1","status":"error","errors":[{"code":null,"message":"no such route"}]}'


class _Request(msgspec.Struct):
    records: list[msgspec.Raw]


_ROWS = msgspec.json.Decoder(_Request)


class Databox:
    """The answers; the last hundred ingestions of a dataset are all that it remembers, and lists on one page.

    Args:
        processing_seconds: How long an ingestion stays pending.
    """

    def __init__(self, processing_seconds: float = 0.0) -> None:
        self._processing_seconds = processing_seconds
        self._ingestions = 0
        self._datasets = 0
        self._rows = 0
        self._first_at = 0.0
        self._newest: dict[bytes, deque[bytes]] = {}

    def answer(self, method: bytes, target: bytes, body: bytes) -> bytes:
        """The body of the answer to a request; empty for an unknown route."""
        path = target.partition(b"?")[0].split(b"/")
        is_v2 = path[1] == b"v2"
        if len(path) == 5 and path[2] == b"datasets":
            if path[4] == b"data":
                return self._accept(path[3], body, is_v2)
            if path[4] == b"ingestions":
                first = b"page=0&" if is_v2 else b"page=1&"
                return self._list(path[3], first in target + b"&", is_v2)
        if len(path) == 6 and path[4] == b"ingestions":
            return self._outcome(path[5], is_v2)
        return self._resource_of_v2(method) if is_v2 else self._resource(method, path)

    def _accept(self, dataset: bytes, body: bytes, is_v2: bool) -> bytes:
        rows = len(_ROWS.decode(body).records)
        self._ingestions += 1
        self._rows += rows
        self._first_at = self._first_at or time.time()
        ingestion = b"%d-%d-%d" % (self._ingestions, rows, int(time.monotonic() * 1000))
        self._newest.setdefault(dataset, deque(maxlen=100)).appendleft(ingestion)
        return (V2_ACCEPTED if is_v2 else ACCEPTED) % ingestion

    def _is_done(self, ingestion: bytes) -> bool:
        accepted_at = int(ingestion.rpartition(b"-")[2]) / 1000
        return time.monotonic() >= accepted_at + self._processing_seconds

    def _outcome(self, ingestion: bytes, is_v2: bool) -> bytes:
        rows = ingestion.split(b"-")[1]
        if self._is_done(ingestion):
            return (V2_DONE if is_v2 else DONE) % (ingestion, rows, rows)
        return (V2_PENDING if is_v2 else PENDING) % ingestion

    def _list(self, dataset: bytes, is_first_page: bool, is_v2: bool) -> bytes:
        newest = self._newest.get(dataset, ()) if is_first_page else ()
        line = V2_LINE if is_v2 else LINE
        lines = [line % (each, b"success" if self._is_done(each) else b"processing") for each in newest]
        return (V2_LIST if is_v2 else LIST) % (b",".join(lines), len(self._newest.get(dataset, ())))

    def _resource_of_v2(self, method: bytes) -> bytes:
        if method == b"GET":
            return V2_EMPTY
        self._datasets += 1
        return V2_THING % self._datasets

    def _resource(self, method: bytes, path: list[bytes]) -> bytes:
        known = {
            (b"GET", 3, b"accounts"): ACCOUNT,
            (b"GET", 4, b"accounts"): ZONES,
            (b"GET", 5, b"accounts"): SOURCES,
            (b"POST", 3, b"data-sources"): SOURCE,
            (b"GET", 5, b"data-sources"): DATASETS,
        }
        if (method, len(path), path[2]) == (b"GET", 3, b"rows"):  # not of Databox: what was received
            return b"%d" % self._rows
        if (method, len(path), path[2]) == (b"GET", 3, b"first"):  # nor this: when the first rows came
            return b"%.3f" % self._first_at
        if (method, len(path), path[2]) == (b"POST", 3, b"datasets"):
            self._datasets += 1
            return DATASET % self._datasets
        return known.get((method, len(path), path[2]), b"")


class _Connection(asyncio.Protocol):
    """Just enough HTTP/1.1 for clients that send a Content-Length."""

    def __init__(self, databox: Databox) -> None:
        self._databox = databox
        self._buffer = bytearray()
        self._needed = 0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= self._needed and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[:end])
            lower = head.lower()
            at = lower.find(b"\r\ncontent-length:")
            size = int(lower[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            self._needed = end + 4 + size
            if b"\r\nexpect:" in lower:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(self._buffer) < self._needed:
                return
            body = bytes(self._buffer[end + 4 : self._needed])
            del self._buffer[: self._needed]
            self._needed = 0
            method, target, _ = head.split(b" ", 2)
            answer = self._databox.answer(method, target, body)
            status = b"200 OK" if answer else b"404 Not Found"
            answer = answer or UNKNOWN
            self._transport.write(
                b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nDate: %s\r\nContent-Length: %d\r\n\r\n%s"
                % (status, _date(), len(answer), answer)
            )


_dates: dict[int, bytes] = {}


def _date() -> bytes:
    now = int(time.time())
    date = _dates.get(now)
    if date is None:
        _dates.clear()
        date = _dates[now] = formatdate(now, usegmt=True).encode()
    return date


async def _serve(processing_seconds: float) -> None:
    databox = Databox(processing_seconds)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(databox), "127.0.0.1", 0, backlog=256)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processing-seconds", type=float, default=0.0)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(parser.parse_args().processing_seconds))
