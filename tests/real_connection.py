"""A connection of a real server: reads requests, and answers them or ends in any way that connections end."""

from __future__ import annotations

import socket
import struct
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from target_databox.api.transport import Reply
    from tests.real_databox import RealDatabox

PIECE_BYTES = 5
# How often a thread looks whether what it waits for has happened.
LOOK_SECONDS = 0.01


class Asked(NamedTuple):
    """A request, as it came.

    Attributes:
        target: Path and query, with the name of the dataset in the simulation.
        key: Its idempotency key.
        run: The run that sent it, from 1.
    """

    method: str
    target: str
    body: bytes | None
    key: str | None
    run: int

    @property
    def is_v2(self) -> bool:
        """Whether it is of API v2."""
        return self.target.startswith("/v2/")

    @property
    def place(self) -> tuple[str, str]:
        """Where a second request with its idempotency key is a copy of it."""
        return urlsplit(self.target).path, self.key or ""


class Talk(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:  # as the base class has it
        """Take a request."""
        self._take()

    def do_POST(self) -> None:  # likewise
        """Take a request."""
        self._take()

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""

    @property
    def _databox(self) -> RealDatabox:
        return self.server  # type: ignore[return-value] # see `Talk`

    def _take(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else None
        if len(body or b"") < length:
            self.close_connection = True
            return
        asked = Asked(self.command, self.path, body, self.headers.get("Idempotency-Key"), 0)
        self._databox.serve(asked, self.headers.get("x-api-key") or "", self)

    def written(self, reply: Reply, *, closes: bool = False, chunks: bool = False) -> bytes:
        """An answer as bytes."""
        date = self._databox.date()
        headers = {"Content-Type": "application/json", **({"Date": date} if date else {}), **reply.headers}
        payload = reply.payload
        if chunks:
            headers["Transfer-Encoding"] = "chunked"
            halves = (payload[: len(payload) // 2], payload[len(payload) // 2 :])
            payload = b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in halves if each) + b"0\r\n\r\n"
        else:
            headers["Content-Length"] = str(len(payload))
        if closes:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {reply.status} X", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload

    def answer(self, reply: Reply) -> None:
        """Answer a request."""
        habit = self._databox.habit
        whole = self.written(reply, closes=habit == "closes", chunks=habit == "chunks")
        step = PIECE_BYTES if habit == "pieces" else len(whole)
        for start in range(0, len(whole), step):
            self.connection.sendall(whole[start : start + step])
        self.close_connection = habit in ("closes", "drops")

    def cut(self, begin: bytes, *, reset: bool) -> None:
        """Send the beginning of an answer, and end the connection."""
        if begin:
            self.connection.sendall(begin)
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def wait_for_its_end(self) -> None:
        """Return when the client has gone."""
        while not self.has_ended(LOOK_SECONDS) and not self._databox.ended.is_set():
            pass
        self.close_connection = True

    def has_ended(self, seconds: float) -> bool:
        """Whether the client goes within a time."""
        self.connection.settimeout(seconds)
        try:
            return not self.connection.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            return False
        except OSError:
            return True
        finally:
            self.connection.settimeout(None)
