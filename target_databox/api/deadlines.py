"""Bounds the duration of one try of a request, and the size of its response, however slow the server is.

A socket's timeout bounds only the silence between two bytes. So before every read and write the timeout is
set to what is left of the try's time. This covers the heads (`100 Continue` may come before the real one),
the body, the chunk lines, the trailers and a proxy's own response.

Two things are not covered: a name lookup, which can't be interrupted, and a SOCKS proxy, whose connections
are not made here. With a SOCKS proxy only silences and the body are bounded.
"""

from __future__ import annotations

import http.client
import io
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3.connection import HTTPConnection as _Connection
else:
    _Connection = object

# Lists of data sources and datasets have no pages (D); at about 150 bytes a line this holds 200,000 lines.
MAX_ANSWER_BYTES: Final = 32_000_000
# A proxy and a server may each send a few interim responses (1xx).
MOST_HEADS: Final = 10
# A timeout of 0 would make the socket non-blocking.
LEAST_SECONDS: Final = 0.001


class ThisTry(threading.local):
    """The state of one try, which stays in one thread.

    Attributes:
        has_left: Whether any byte of the request may have been sent.
        deadline: When the try ends, in monotonic seconds; None for never.
        read_bytes: Bytes received so far, including all heads and chunk lines.
    """

    has_left = False
    deadline: float | None = None
    read_bytes = 0

    def begin(self, seconds: float | None) -> None:
        """Begin a try; None sets no limit."""
        self.has_left = False
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.read_bytes = 0

    def left_seconds(self) -> float | None:
        """What is left of the try's time; None if it has no limit.

        Raises:
            TimeoutError: The time is up.
        """
        if self.deadline is None:
            return None
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds


this_try: Final = ThisTry()


class _InTime(io.RawIOBase):
    """Reads from a socket within the time of the try.

    Args:
        inner: The socket's own file.
        sock: The socket, or its substitute where TLS is tunnelled through TLS.

    Attributes:
        has_ended: Whether the server has closed the connection.
    """

    def __init__(self, inner: io.RawIOBase, sock: Any) -> None:
        super().__init__()
        self.has_ended = False
        self._inner = inner
        self._sock = sock

    def readable(self) -> bool:
        """Always true."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Wait for data and read it.

        Raises:
            TimeoutError: The try's time is up.
            OSError: The response is too large, or the socket fails.
        """
        self._sock.settimeout(this_try.left_seconds())
        count: int | None = self._inner.readinto(buffer)
        self.has_ended = count == 0
        this_try.read_bytes += count or 0
        if this_try.read_bytes > MAX_ANSWER_BYTES:
            raise OSError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        return count

    def close(self) -> None:
        """Close the file, which releases the socket."""
        self._inner.close()
        super().close()


class AnswerInTime(http.client.HTTPResponse):
    """A response whose every byte is read within the time of the try."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._source = _InTime(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._source)
        self._heads = 0

    def begin(self) -> None:
        """Read the head, which http.client would take for whole wherever the connection ends.

        Raises:
            http.client.RemoteDisconnected: The connection ended before the head did.
        """
        super().begin()
        if self._source.has_ended:
            raise http.client.RemoteDisconnected("the connection ended within the head of the answer")

    def _read_status(self) -> tuple[str, int, str]:
        self._heads += 1
        if self._heads > MOST_HEADS:
            raise http.client.BadStatusLine("more interim answers than any server needs")
        status: tuple[str, int, str] = super()._read_status()  # type: ignore[misc] # not in its types
        return status


class InTime(_Connection):
    """Makes a urllib3 connection send and read within the time of the try."""

    response_class = AnswerInTime

    def connect(self) -> None:
        """Connect, and note that bytes of the request may be sent from now on."""
        super().connect()
        this_try.has_left = True

    def _new_conn(self) -> socket.socket:
        # urllib3 allows the whole connect timeout for each address of a host, so divide it.
        seconds = self.timeout
        if seconds is not None:
            self.timeout = seconds / _count_of_addresses(self.host, self.port)
        limit = None if seconds is None else time.monotonic() + seconds
        sock: socket.socket = super()._new_conn()
        if limit is not None:
            # The rest of the time is for the TLS handshake.
            sock.settimeout(max(limit - time.monotonic(), LEAST_SECONDS))
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; over a kept connection its bytes may be sent at once."""
        this_try.has_left = self.sock is not None
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        """Send within the time of the try: a body may take longer than the connect timeout."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(this_try.left_seconds())
        super().send(data)


def _count_of_addresses(host: str, port: int) -> int:
    try:
        return len({each[4] for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError:
        return 1  # urllib3 raises the error
