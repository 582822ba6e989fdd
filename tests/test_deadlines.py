"""A request ends within its time as a whole, whatever habits the other side has, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api import deadlines
from target_databox.api.deadlines import ThisTry
from target_databox.api.errors import LostAnswerError, UnreachableError
from tests.test_sessions import DATA, PROXY_VARIABLES, URL, behind_proxy
from tests.test_transport import OK, ROWS, Server, answering, ask, forever, serving, talking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 0.15
# What the client gives up after its time takes a busy machine as long as this; the habits last longer.
SOON_SECONDS = 1.5
HABIT_SECONDS = 4.0

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# What is said at once, what is said again and again, and the pause in between.
HABITS: dict[str, tuple[bytes, bytes, float]] = {
    "silence": (b"", b"", 0.01),
    "status that drips": (b"HTTP/1.1 200 O", b"K", 0.01),
    "head that drips": (HEAD + b"X-A: ", b"a", 0.01),
    "heads without end": (HEAD, b"X-A: a\r\n", 0.01),
    "continue that drips": (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.06),
    "head of a continue that drips": (b"HTTP/1.1 100 Continue\r\n", b"A: b\r\n", 0.02),
    "body that drips": (HEAD + b"Content-Length: 10000\r\n\r\n{", b" ", 0.01),
    "body without length": (HEAD + b"\r\n{", b" ", 0.01),
    "chunk size that drips": (CHUNKED, b"0", 0.01),
    "chunk extension that drips": (CHUNKED + b"2;", b"a", 0.01),
    "chunk that drips": (CHUNKED + b"ffff\r\n", b" ", 0.01),
    "chunks that drip": (CHUNKED, b"1\r\n \r\n", 0.01),
    "end of a chunk that is missing": (CHUNKED + b"2\r\n{}", b"", 0.01),
    "trailers without end": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: a\r\n", 0.01),
    "trailer that drips": (CHUNKED + b"2\r\n{}\r\n0\r\nX-A: ", b"a", 0.01),
    "error that drips": (b"HTTP/1.1 503 Bad\r\nContent-Length: 1000\r\n\r\n", b" ", 0.01),
}
# As much as there is room for, as fast as it goes.
FLOODS = {
    "continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "heads": (HEAD, b"X-A: a\r\n" * 1000),
    "one head": (HEAD + b"X-A: ", b"a" * 10_000),
    "status": (b"HTTP/1.1 200 ", b"K" * 10_000),
    "body": (HEAD + b"\r\n", b" " * 10_000),
    "chunks": (CHUNKED, b"1\r\n \r\n" * 1000),
    "chunk size": (CHUNKED, b"0" * 10_000),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: a\r\n" * 1000),
}


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without proxies of the machine that runs the tests."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def habit(begin: bytes, again: bytes, pause_seconds: float) -> Callable[[socket.socket, Server], None]:
    """A server that reads a request, says something, and goes on and on."""

    def script(connection: socket.socket, server: Server) -> None:
        server.receive(connection)
        connection.sendall(begin)
        until = time.monotonic() + HABIT_SECONDS
        while time.monotonic() < until and not (pause_seconds and server.ended.wait(pause_seconds)):
            connection.sendall(again)

    return script


@contextlib.contextmanager
def soon() -> Iterator[None]:
    """What is done within ends soon after its time."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_SECONDS


@pytest.mark.parametrize("name", HABITS)
def test_drips_end_with_the_time_of_the_request(name: str) -> None:
    """Whatever drips, the request ends with its time, and may or may not have been carried out."""
    with serving(habit(*HABITS[name]), forever(OK)) as server:
        with (
            talking(server.url, seconds=SECONDS) as transport,
            soon(),
            pytest.raises(LostAnswerError, match=r"may or may not have been carried out") as caught,
        ):
            ask(transport, "POST", ROWS)
        assert "(no answer within 0.15 seconds)" in str(caught.value)
        with talking(server.url) as transport:
            assert ask(transport).status == 200


@pytest.mark.parametrize("name", HABITS)
def test_drips_in_a_tunnel_end_too(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It is the same within TLS, through a proxy."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "test-authority.pem"))
    with serving(behind_proxy(habit(*HABITS[name]))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with (
            talking(URL, seconds=0.4) as transport,
            soon(),
            pytest.raises(LostAnswerError, match=r"no answer within 0\.4 seconds"),
        ):
            ask(transport, "POST", ROWS)


@pytest.mark.parametrize("name", FLOODS)
def test_floods_are_cut_off(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """What comes fast and without end is read no further than an answer may be large, whatever it is."""
    monkeypatch.setattr(deadlines, "MAX_ANSWER_BYTES", 300_000)
    begin, again = FLOODS[name]
    with (
        serving(habit(begin, again, 0.0), forever(OK)) as server,
        talking(server.url, seconds=30) as transport,
    ):
        with soon(), pytest.raises(LostAnswerError, match="may or may not have been carried out"):
            ask(transport, "POST", ROWS)
        assert ask(transport).status == 200


def test_body_that_is_not_read_ends_in_time() -> None:
    """A server that takes the request's body slowly, or not at all, holds nothing up."""

    def slow(connection: socket.socket, server: Server) -> None:
        until = time.monotonic() + HABIT_SECONDS
        while time.monotonic() < until and not server.ended.wait(0.01):
            connection.recv(100)

    with (
        serving(slow) as server,
        talking(server.url, seconds=SECONDS) as transport,
        soon(),
        pytest.raises(LostAnswerError, match=r"no answer within 0\.15 seconds"),
    ):
        ask(transport, "POST", b"x" * 10_000_000)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x03\x40\x00", b"HTTP/1.1"])
def test_handshake_that_drips_never_left(said: bytes) -> None:
    """A TLS handshake that drips ends in time, and nothing was stored."""

    def script(connection: socket.socket, server: Server) -> None:
        connection.recv(100)
        habit(said, b"\x02" if said else b"", 0.01)(connection, _Deaf(server))

    with (
        serving(script) as server,
        talking(server.url.replace("http:", "https:"), seconds=SECONDS) as transport,
        soon(),
        pytest.raises(UnreachableError, match="nothing was stored"),
    ):
        ask(transport, "POST", ROWS)


class _Deaf:
    """A server that reads no request."""

    def __init__(self, server: Server) -> None:
        self.ended = server.ended

    def receive(self, connection: socket.socket) -> bytes:
        """Nothing."""
        del connection
        return b""


@pytest.mark.parametrize("name", ["silence", "status that drips", "head that drips", "heads without end"])
def test_proxy_that_drips_never_let_it_leave(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A proxy that never finishes opening its tunnel ends the try in time, and nothing was stored."""
    with serving(habit(*HABITS[name])) as proxy, talking(URL, seconds=SECONDS):
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with (
            talking(URL, seconds=SECONDS) as transport,
            soon(),
            pytest.raises(UnreachableError, match="nothing was stored"),
        ):
            ask(transport, "POST", ROWS)


def test_addresses_share_the_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a host has several addresses and none takes a connection, all of them together end in time."""
    real = socket.getaddrinfo

    def many(host: str, port: int, *args: Any, **kwargs: Any) -> list[Any]:
        kind = real("127.0.0.1", port, *args, **kwargs)[0]
        return [(*kind[:4], (f"127.0.0.{each}", port)) for each in range(2, 10)]

    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("", 0), backlog=0))
        port = listener.getsockname()[1]
        # Its queue is full: further connections get no answer.
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", many)
        with (
            talking(f"http://localhost:{port}", seconds=0.4) as transport,
            soon(),
            pytest.raises(UnreachableError, match=r"no answer within 0\.4 seconds"),
        ):
            ask(transport, "POST", ROWS)


def test_slow_answers_within_the_time_arrive() -> None:
    """A body that pauses, in chunks with extensions and trailers, after interim answers, is read whole."""

    def script(connection: socket.socket, server: Server) -> None:
        while server.receive(connection):
            for part in (
                b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + CHUNKED,
                b"2;a=b\r\n{}\r\n",
                b"3\r\n   \r\n",
                b"0\r\nX-A: a\r\n\r\n",
            ):
                connection.sendall(part)
                server.ended.wait(0.02)

    with serving(script) as server, talking(server.url) as transport:
        for _ in range(2):
            assert ask(transport, "POST", ROWS).payload == b"{}   "
    assert server.connections == 1


ENCODINGS = ["gzip", "deflate", "gzip, gzip", "br", "GZIP", "identity, gzip", "\x1b[2J"]


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoded_answers_are_not_decoded(encoding: str) -> None:
    """None is asked for, so an answer in an encoding is refused before a byte of it is unpacked."""
    bomb = gzip.compress(gzip.compress(bytes(50_000_000)))
    head = f"HTTP/1.1 %d OK\r\nContent-Encoding: {encoding}\r\nContent-Length: {len(bomb)}\r\n\r\n"
    good, bad = (forever((head % status).encode() + bomb) for status in (200, 401))
    with serving(good, bad) as server, talking(server.url) as transport:
        with soon(), pytest.raises(LostAnswerError, match="it is encoded as") as caught:
            ask(transport, "POST", ROWS)
        assert str(caught.value).isprintable()
        # The status of a failure says enough.
        reply = ask(transport, "POST", ROWS)
        assert (reply.status, reply.payload) == (401, b"")
    assert b"accept-encoding: identity" in server.requests[0].lower()


def test_plain_answers_may_say_so() -> None:
    """`Content-Encoding: identity` is no encoding."""
    answer = OK.replace(b"\r\nDate", b"\r\nContent-Encoding: Identity\r\nDate")
    with serving(answering(answer)) as server, talking(server.url) as transport:
        assert ask(transport).payload == b"{}"


def test_tries_have_their_own_time() -> None:
    """What is left of a try is its own, and that of its thread."""
    seen: list[float | None] = []
    this = ThisTry()
    this.begin(100)
    thread = threading.Thread(target=lambda: seen.append(this.left_seconds()))
    thread.start()
    thread.join()
    assert seen == [None]
    assert 99 < (this.left_seconds() or 0) <= 100
    this.begin(0)
    with pytest.raises(TimeoutError):
        this.left_seconds()
    this.begin(None)
    assert this.left_seconds() is None
