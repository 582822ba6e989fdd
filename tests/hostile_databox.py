"""A Databox with one bad habit: good answers from raw sockets, but for one route."""

from __future__ import annotations

import contextlib
import gzip
import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.test_transport import Server

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

KEY = "pak_4b1dcafe-0000-4000-8000-canarycanary"
NASTY = f"\x1b]0;x\x07\x1b[2J{KEY}\n2026-01-01 | ERROR | forged \u202e\x9b31m"
HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
INGESTION = {
    "ingestionId": "i-1",
    "status": "success",
    "timestamp": "2030-01-01T00:00:00.000000Z",
    "metrics": {
        "ingestionMetrics": {
            "receivedRecordsCount": 1,
            "appendedRecordsCount": 1,
            "overwrittenRecordsCount": 0,
            "rejectedRecordsCount": 0,
        }
    },
}
# By method and path, what a good Databox answers to a load of one row.
ROUTES: dict[str, tuple[str, dict[str, Any]]] = {
    "accounts": ("GET /v1/accounts$", {"accounts": [{"id": 1, "name": "Shop"}]}),
    "data sources": (
        "GET /v1/accounts/1/data-sources$",
        {"dataSources": [{"id": 2, "title": "target-databox", "created": "2025-01-01T00:00:00Z"}]},
    ),
    "datasets": (
        "GET /v1/data-sources/2/datasets$",
        {"datasets": [{"id": "d-1", "title": "orders", "created": "2025-01-01T00:00:00Z"}]},
    ),
    "dataset": ("GET /v1/datasets/d-1$", {"primaryKeys": ["id"], "dataSourceId": 2}),
    "ingestions": (r"GET /v1/datasets/d-1/ingestions\?", {"ingestions": [], "pagination": {"totalItems": 0}}),
    "rows": ("POST /v1/datasets/d-1/data$", {"ingestionId": "i-1"}),
    "ingestion": ("GET /v1/datasets/d-1/ingestions/i-1$", INGESTION),
}


def answer(body: bytes, *headers: bytes, status: int = 200) -> bytes:
    """An HTTP answer, whole."""
    lines = (b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(body), *headers)
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Habit:
    """What is said on one route: something at once, and something again and again.

    Attributes:
        begin: Said at once.
        again: Said again and again; nothing where it is empty, and then the connection is kept.
        pause_seconds: The pause before each time.
    """

    begin: bytes
    again: bytes = b""
    pause_seconds: float = 0.01


def entries(count: int) -> list[dict[str, Any]]:
    """Lines of a list of ingestions, none of which is over."""
    return [{"ingestionId": f"i-{each}", "status": "processing", "timestamp": 1} for each in range(count)]


def nasty_problems(count: int) -> bytes:
    """Errors whose every word is made to fool a terminal, with the key in it."""
    problem = {"code": NASTY, "message": NASTY, "field": NASTY, "type": NASTY}
    return json.dumps({"requestId": NASTY, "errors": [problem] * count}).encode()


def nasty_names() -> bytes:
    """Lists in which no name is printable."""
    lines = [{"id": each, "name": NASTY, "title": NASTY, "timezone": NASTY} for each in range(3_000)]
    return json.dumps({"accounts": lines, "dataSources": lines, "timezones": lines, "datasets": []}).encode()


def long_names() -> bytes:
    """An account and an ingestion with names of megabytes."""
    name = "x" * 12_000_000
    return json.dumps({"accounts": [{"id": 1, "name": name}], "ingestionId": name}).encode()


def counted(count: int, total: int) -> bytes:
    """A page of the list of ingestions."""
    return json.dumps({"ingestions": entries(count), "pagination": {"totalItems": total}}).encode()


HABITS: dict[str, Callable[[], Habit]] = {
    "silence": lambda: Habit(b""),
    "head that drips": lambda: Habit(HEAD + b"X-A: ", b"a"),
    "continue without end": lambda: Habit(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.001),
    "chunk size that drips": lambda: Habit(CHUNKED, b"0"),
    "trailers without end": lambda: Habit(CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: a\r\n"),
    "body that drips": lambda: Habit(HEAD + b"Content-Length: 9999999\r\n\r\n{", b" "),
    "body without end": lambda: Habit(HEAD + b"\r\n", b" " * 100_000, 0.0),
    "deep": lambda: Habit(answer(b"[" * 200_000 + b"]" * 200_000)),
    "deep errors": lambda: Habit(answer(b'{"errors":' + b"[" * 200_000 + b"]" * 200_000 + b"}")),
    "many errors": lambda: Habit(answer(nasty_problems(60_000))),
    "many refusals": lambda: Habit(answer(nasty_problems(60_000), status=400)),
    "refusals with nasty words": lambda: Habit(answer(nasty_problems(50), status=400)),
    "page of 100,000": lambda: Habit(answer(counted(100_000, 100_000))),
    "billions of pages": lambda: Habit(answer(counted(100, 2**53))),
    "packed twice": lambda: Habit(
        answer(gzip.compress(gzip.compress(bytes(300_000_000))), b"Content-Encoding: gzip, gzip")
    ),
    "nasty names": lambda: Habit(answer(nasty_names())),
    "long names": lambda: Habit(answer(long_names())),
    "redirect with the key": lambda: Habit(
        answer(b"", b"Location: http://127.0.0.2/" + KEY.encode(), status=307)
    ),
    "no HTTP": lambda: Habit(b"\x1b[2J" * 1000 + b"\r\n\r\n"),
}


@contextlib.contextmanager
def hostile_databox(route: str, habit: Habit) -> Iterator[Server]:
    """A server with a habit on one route, until it is left."""

    def script(connection: socket.socket, server: Server) -> None:
        while request := server.receive(connection):
            line = request.split(b" HTTP/1.1\r\n")[0].decode("latin-1")
            name = next((name for name, (pattern, _) in ROUTES.items() if re.match(pattern, line)), None)
            if name == route:
                connection.sendall(habit.begin)
                until = time.monotonic() + 60
                while habit.again and time.monotonic() < until and not server.ended.is_set():
                    server.ended.wait(habit.pause_seconds)
                    connection.sendall(habit.again)
                if not habit.begin:
                    server.ended.wait(60)
            elif name is None:
                connection.sendall(answer(b"{}", status=404))
            else:
                connection.sendall(answer(json.dumps(ROUTES[name][1]).encode()))

    server = Server(script)
    try:
        yield server
    finally:
        server.stop()
