"""One try of one request ends in time and reads so much at most, however slow the other side is.

A timeout of a socket is the longest silence: it starts anew with every byte. So whatever is read or sent sets
it first to what is left of the try's time: an answer's heads (`100 Continue` may precede it), its body, the
lines around its chunks, its trailers, and what a proxy says before.

Two things are left out: looking up a name, which nothing can interrupt, and a SOCKS proxy, whose connections
are not ours; there only silences and the body are bounded.
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

# Lists of data sources and datasets have no pages (D); at some 150 bytes a line this holds 200,000 of them.
MAX_ANSWER_BYTES: Final = 32_000_000
# A proxy and a server may send some interim answers each.
MOST_HEADS: Final = 10
# A timeout of 0 would mean not to wait at all.
LEAST_SECONDS: Final = 0.001


class ThisTry(threading.local):
    """What happens on the wire during one try; a try never changes its thread.

    Attributes:
        has_left: Whether the request is on its way.
        deadline: When the try is over, in monotonic seconds; None is never.
        read_bytes: What came from the other side, the lines around chunks and all heads included.
    """

    has_left = False
    deadline: float | None = None
    read_bytes = 0

    def begin(self, seconds: float | None) -> None:
        """Begin a try that may take so long."""
        self.has_left = False
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.read_bytes = 0

    def left_seconds(self) -> float | None:
        """What is left of its time.

        Raises:
            TimeoutError: Nothing is.
        """
        if self.deadline is None:
            return None
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise TimeoutError("timed out")
        return seconds


this_try: Final = ThisTry()


class _InTime(io.RawIOBase):
    """Reads from a socket what comes within the try.

    Args:
        inner: The socket's own file.
        sock: The socket, or what stands for one in a tunnel within TLS.
    """

    def __init__(self, inner: io.RawIOBase, sock: Any) -> None:
        super().__init__()
        self._inner = inner
        self._sock = sock

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int | None:
        """Read what there is, once something is there.

        Raises:
            TimeoutError: The try is over.
            OSError: The answer is too large, or what the socket says.
        """
        self._sock.settimeout(this_try.left_seconds())
        count: int | None = self._inner.readinto(buffer)
        this_try.read_bytes += count or 0
        if this_try.read_bytes > MAX_ANSWER_BYTES:
            raise OSError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        return count

    def close(self) -> None:
        """Let go of the socket."""
        self._inner.close()
        super().close()


class AnswerInTime(http.client.HTTPResponse):
    """An answer whose every byte is read within the try."""

    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(_InTime(self.fp.detach(), sock))
        self._heads = 0

    def _read_status(self) -> tuple[str, int, str]:
        self._heads += 1
        if self._heads > MOST_HEADS:
            raise http.client.BadStatusLine("more interim answers than any server needs")
        told: tuple[str, int, str] = super()._read_status()  # type: ignore[misc] # not in its types
        return told


class InTime(_Connection):
    """Makes a connection of urllib3 send and read within the try."""

    response_class = AnswerInTime

    def connect(self) -> None:
        """Connect, and note that from here on the request is on its way."""
        super().connect()
        this_try.has_left = True

    def _new_conn(self) -> socket.socket:
        # urllib3 gives each address of a host all the time that there is to connect.
        seconds = self.timeout
        if seconds is not None:
            self.timeout = seconds / _count_of_addresses(self.host, self.port)
        limit = None if seconds is None else time.monotonic() + seconds
        sock: socket.socket = super()._new_conn()
        if limit is not None:
            # What is left is for TLS.
            sock.settimeout(max(limit - time.monotonic(), LEAST_SECONDS))
        return sock

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Send a request; over a kept connection it is on its way at once."""
        this_try.has_left = self.sock is not None
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        """Send, for as long as the try lasts: the body may take longer than a connection may."""
        if self.sock is None:
            self.connect()
        self.sock.settimeout(this_try.left_seconds())
        super().send(data)


def _count_of_addresses(host: str, port: int) -> int:
    try:
        return len({each[4] for each in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except OSError:
        return 1  # urllib3 will say so
