"""Facts on one try of one request, over real sockets on loopback."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.api import deadlines
from target_databox.api.errors import LostAnswerError, UnreachableError
from target_databox.api.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_databox.api.exchanges import Exchange

KEY = "pak_canary-0815"
OK = b"HTTP/1.1 200 OK\r\nDate: Wed, 01 Oct 2025 12:00:00 GMT\r\nContent-Length: 2\r\n\r\n{}"
ROWS = b'{"records":[{"secret":"canary-row"}]}'


class Server:
    """Hands every connection to a script of its own, in order; the last script serves the rest."""

    def __init__(self, *scripts: Callable[[socket.socket, Server], None]) -> None:
        self.scripts = list(scripts)
        self.requests: list[bytes] = []
        self.connections = 0
        self.ended = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def receive(self, connection: socket.socket) -> bytes:
        """One request, whole; empty when the client has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = connection.recv(65536)
            if not chunk:
                return b""
            data += chunk
        head, _, rest = data.partition(b"\r\n\r\n")
        told = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        length = int(told[0].split(b":")[1]) if told else 0
        body = bytearray(rest)
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def stop(self) -> None:
        """Stop listening, and wait for every thread."""
        self.ended.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(2)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            script = self.scripts[min(self.connections, len(self.scripts) - 1)]
            self.connections += 1
            thread = threading.Thread(target=self._run, args=(script, connection), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _run(self, script: Callable[[socket.socket, Server], None], connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            script(connection, self)


@contextmanager
def serving(*scripts: Callable[[socket.socket, Server], None]) -> Iterator[Server]:
    """A server that is stopped afterwards."""
    server = Server(*scripts)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def talking(url: str, *, seconds: float = 2.0, seen: list[Exchange] | None = None) -> Iterator[Transport]:
    """A transport that is closed afterwards."""
    transport = Transport(
        url,
        KEY,
        request_timeout_seconds=seconds,
        on_exchange=None if seen is None else seen.append,
        user_agent="tests",
    )
    try:
        yield transport
    finally:
        transport.close()


def ask(transport: Transport, method: str = "GET", body: bytes | None = None) -> Any:
    """One request to a path of no meaning."""
    return transport.exchange(method, "/v1/{thing}", "/v1/a", "/v1/a?page=1", body)


def answering(*answers: bytes) -> Callable[[socket.socket, Server], None]:
    """Answers the requests of a connection one by one, then closes it."""

    def script(connection: socket.socket, server: Server) -> None:
        for answer in answers:
            if not server.receive(connection):
                return
            connection.sendall(answer)

    return script


def forever(answer: bytes) -> Callable[[socket.socket, Server], None]:
    """Answers every request of a connection."""

    def script(connection: socket.socket, server: Server) -> None:
        while server.receive(connection):
            connection.sendall(answer)

    return script


def reset(connection: socket.socket) -> None:
    """Close a connection with RST, as a crash does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def silent(connection: socket.socket, server: Server) -> None:
    """Read the request and never answer."""
    server.receive(connection)
    server.ended.wait(2)


def test_key_and_body_arrive() -> None:
    """A request carries the key, its length and its body as they are."""
    with serving(forever(OK)) as server, talking(server.url) as transport:
        reply = ask(transport, "POST", ROWS)
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert (reply.status, reply.payload, body) == (200, b"{}", ROWS)
    assert head.startswith(b"POST /v1/a?page=1 HTTP/1.1\r\n")
    assert f"x-api-key: {KEY}".encode() in head
    assert transport.date == "Wed, 01 Oct 2025 12:00:00 GMT"


def test_requests_have_their_headers() -> None:
    """A request says who asks and what is understood, the length of a POST, and the type of a body."""
    with serving(forever(OK)) as server, talking(server.url + "/") as transport:
        assert transport.api_url == server.url
        ask(transport)
        ask(transport, "POST")
        reply = transport.exchange("POST", "/a", "/a", "/a", b"{}", {"Idempotency-Key": "7"})
    assert (reply.status, reply.headers["Content-Length"]) == (200, "2")
    always = {
        f"x-api-key: {KEY}",
        "User-Agent: tests",
        "Accept: application/json",
        "Accept-Encoding: identity",
        f"Host: {server.url[7:]}",
    }
    heads = [request.partition(b"\r\n\r\n")[0].decode().split("\r\n") for request in server.requests]
    assert [head[0] for head in heads] == [
        *("GET /v1/a?page=1 HTTP/1.1", "POST /v1/a?page=1 HTTP/1.1", "POST /a HTTP/1.1"),
    ]
    assert [set(head[1:]) - always for head in heads] == [
        set(),
        {"Content-Length: 0"},
        {"Content-Length: 2", "Content-Type: application/json", "Idempotency-Key: 7"},
    ]
    assert all(always <= set(head) for head in heads)


def test_server_time_is_kept() -> None:
    """An answer without a date leaves the time of the one before it."""
    with (
        serving(answering(OK, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")) as server,
        talking(server.url) as transport,
    ):
        assert transport.date is None
        for _ in range(2):
            ask(transport)
            assert transport.date == "Wed, 01 Oct 2025 12:00:00 GMT"


def test_failed_tries_have_their_facts() -> None:
    """An error of a try has method, path and status, what happened, and what to do about it."""
    half = answering(b"HTTP/1.1 201 OK\r\nContent-Length: 50\r\n\r\n{}")
    for script, status in ((silent, None), (half, 201)):
        with (
            serving(script) as server,
            talking(server.url, seconds=0.05) as transport,
            pytest.raises(LostAnswerError) as lost,
        ):
            ask(transport, "POST", ROWS)
        assert (lost.value.method, lost.value.path, lost.value.status) == ("POST", "/v1/a", status)
        assert re.fullmatch(
            r"POST /v1/a was sent, but its answer was lost \(.+\); it may or may not have been carried out",
            lost.value.happened,
        )
        assert str(lost.value) == (
            f"{lost.value.happened}. Check the network, or raise request_timeout_seconds."
        )
    with talking(server.url) as transport, pytest.raises(UnreachableError) as caught:
        ask(transport, "POST", ROWS)
    assert (caught.value.method, caught.value.path, caught.value.status) == ("POST", "/v1/a", None)
    assert caught.value.happened == str(caught.value).partition(". Check")[0]


def test_connections_are_kept() -> None:
    """Requests of one thread share one connection."""
    with serving(forever(OK)) as server, talking(server.url) as transport:
        for _ in range(5):
            ask(transport)
    assert (len(server.requests), server.connections) == (5, 1)


def test_threads_have_own_connections() -> None:
    """Each thread has its own connection, and close ends them all."""
    with serving(forever(OK)) as server, talking(server.url) as transport:
        threads = [threading.Thread(target=ask, args=(transport,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(server.requests), server.connections) == (3, 3)


def test_refused_connection_never_left() -> None:
    """A refused connection says that nothing was stored."""
    with serving(forever(OK)) as server:
        pass
    with talking(server.url) as transport, pytest.raises(UnreachableError) as caught:
        ask(transport, "POST", ROWS)
    assert str(caught.value) == (
        f"POST /v1/a could not be sent, since {server.url[7:]} could not be reached (Connection refused); "
        "nothing was stored. Check the network, the proxy and the setting api_url."
    )


def test_unknown_host_never_left() -> None:
    """A host that has no address says that nothing was stored."""
    with (
        talking("https://databox.invalid") as transport,
        pytest.raises(UnreachableError, match=r"databox\.invalid"),
    ):
        ask(transport, "POST", ROWS)


def test_stalled_handshake_never_left() -> None:
    """A TLS handshake that isn't answered in time says that nothing was stored."""
    with (
        serving(lambda _, server: server.ended.wait(2) and None) as server,
        talking(server.url.replace("http:", "https:"), seconds=0.05) as transport,
        pytest.raises(UnreachableError, match=r"no answer within 0\.05 seconds"),
    ):
        ask(transport, "POST", ROWS)


def test_connecting_has_its_own_time() -> None:
    """Connecting may take less time than the request, and an error tells the time that was waited for."""
    with serving(lambda _, server: server.ended.wait(2) and None) as server:
        transport = Transport(
            server.url.replace("http:", "https:"),
            KEY,
            request_timeout_seconds=30,
            on_exchange=None,
            user_agent="tests",
            connect_timeout_seconds=0.05,
        )
        with pytest.raises(UnreachableError, match=r"no answer within 0\.05 seconds"):
            ask(transport, "POST", ROWS)
        transport.close()


def test_failed_handshake_never_left() -> None:
    """A TLS handshake that is answered with something else says that nothing was stored."""
    with (
        serving(lambda connection, _: connection.sendall(b"HTTP/1.1 400 Bad\r\n\r\n")) as server,
        talking(server.url.replace("http:", "https:")) as transport,
        pytest.raises(UnreachableError),
    ):
        ask(transport, "POST", ROWS)
    assert server.requests == []


@pytest.mark.parametrize(
    "script",
    [
        # Once the first byte is there: a reset before that can come while the client still connects.
        lambda connection, _: connection.recv(1, socket.MSG_PEEK) and reset(connection),
        lambda connection, server: server.receive(connection) and reset(connection),
        answering(b""),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}"),
        answering(b"nonsense\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}"),
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{}"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 5\r\n\r\n{}"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le"),
        answering(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"),
        answering(b"HTTP/1.1 400 Bad Request"),
    ],
    ids=[
        "reset-before-reading",
        "reset-after-reading",
        "closed",
        "half-an-answer",
        "nonsense",
        "not-gzip",
        "not-a-chunk",
        "half-a-chunk",
        "two-lengths",
        "half-a-head",
        "head-without-end",
        "half-a-status-line",
    ],
)
def test_broken_answers_are_lost(script: Any) -> None:
    """Whatever breaks after connecting leaves open whether the request was carried out."""
    with (
        serving(script) as server,
        talking(server.url) as transport,
        pytest.raises(LostAnswerError, match="it may or may not have been carried out") as caught,
    ):
        ask(transport, "POST", ROWS)
    assert caught.value.retry_after_seconds is None


def test_half_a_head_is_told_in_a_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """An answer that ends within its head is a lost one that says so, and no traceback of another library."""
    half = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Le"
    with (
        serving(answering(half)) as server,
        talking(server.url) as transport,
        pytest.raises(LostAnswerError, match=r"\(the connection ended within the head of the answer\)"),
    ):
        ask(transport, "POST", ROWS)
    assert not caplog.records


def test_going_on_is_no_answer() -> None:
    """After `100 Continue` the answer is read; any other interim one costs the connection, and no answer."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    real = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n1111"
    with serving(forever(hints + real), forever(OK)) as server, talking(server.url) as transport:
        with pytest.raises(LostAnswerError, match="only status 103 came"):
            ask(transport, "POST", ROWS)
        assert ask(transport).payload == b"{}"
    with (
        serving(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + real)) as server,
        talking(server.url) as transport,
    ):
        assert ask(transport, "POST", ROWS).payload == b"1111"


def test_early_refusal_is_an_answer() -> None:
    """A server that refuses a body before it has read all of it is heard."""

    def script(connection: socket.socket, _: Server) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with serving(script) as server, talking(server.url) as transport:
        assert ask(transport, "POST", b"x" * 900_000).status == 413


def test_circular_causes_have_an_end() -> None:
    """Errors that are each other's cause are told all the same."""
    first, second = OSError("first"), OSError("second")
    first.__cause__, second.__cause__ = second, first

    class Circular(requests.Session):
        def get_adapter(self, url: str | bytes) -> Any:
            del url
            raise first

    transport = Transport(
        "http://127.0.0.1:1",
        KEY,
        request_timeout_seconds=1.0,
        on_exchange=None,
        user_agent="tests",
        new_session=Circular,
    )
    with pytest.raises(LostAnswerError, match="second"):
        ask(transport)
    transport.close()


def test_silence_is_a_lost_answer() -> None:
    """An answer that doesn't come in time is lost."""
    with (
        serving(silent) as server,
        talking(server.url, seconds=0.05) as transport,
        pytest.raises(LostAnswerError, match=r"no answer within 0\.05 seconds"),
    ):
        ask(transport, "POST", ROWS)
    assert len(server.requests) == 1


def test_slow_body_is_a_lost_answer() -> None:
    """A body that drips, a byte now and then, ends with the request's time."""

    def drip(connection: socket.socket, server: Server) -> None:
        server.receive(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not server.ended.wait(0.01):
            connection.sendall(b" ")

    started = time.monotonic()
    with (
        serving(drip) as server,
        talking(server.url, seconds=0.08) as transport,
        pytest.raises(LostAnswerError, match=r"no answer within 0\.08 seconds"),
    ):
        ask(transport)
    assert time.monotonic() - started < 2


def test_large_body_is_a_lost_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer beyond the limit is given up, and the next request starts afresh."""
    monkeypatch.setattr(deadlines, "MAX_ANSWER_BYTES", 1000)
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b" " * 200_000
    gone = threading.Event()

    def until_gone(connection: socket.socket, server: Server) -> None:
        with contextlib.suppress(OSError):
            forever(large)(connection, server)
        gone.set()

    with serving(until_gone, forever(OK)) as server, talking(server.url) as transport:
        with pytest.raises(LostAnswerError, match="larger than 1000 bytes") as caught:
            ask(transport)
        assert gone.wait(2), f"the connection outlived {caught.value}"
        assert ask(transport).payload == b"{}"


def test_closed_kept_connection_is_lost() -> None:
    """A kept connection that the server closes under a POST may have delivered it."""

    def once_then_close(connection: socket.socket, server: Server) -> None:
        server.receive(connection)
        connection.sendall(OK)
        server.receive(connection)

    with serving(once_then_close, forever(OK)) as server, talking(server.url) as transport:
        ask(transport)
        with pytest.raises(LostAnswerError):
            ask(transport, "POST", ROWS)
        assert ask(transport).status == 200
    assert len(server.requests) == 3


def test_idle_close_costs_nothing() -> None:
    """A kept connection that was closed while idle is noticed before anything is sent."""
    closed = threading.Event()

    def once(connection: socket.socket, server: Server) -> None:
        answering(OK)(connection, server)
        connection.close()
        closed.set()

    with serving(once, forever(OK)) as server, talking(server.url) as transport:
        ask(transport)
        assert closed.wait(2)
        assert ask(transport, "POST", ROWS).status == 200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(status: int) -> None:
    """A redirect is an answer like any other: nobody else ever sees the key."""
    with serving(forever(OK)) as elsewhere:
        answer = (
            f"HTTP/1.1 {status} Moved\r\nLocation: {elsewhere.url}/v1/a\r\nContent-Length: 0\r\n\r\n".encode()
        )
        with serving(forever(answer)) as server, talking(server.url) as transport:
            assert ask(transport, "POST", ROWS).status == status
    assert elsewhere.connections == 0


def test_cookies_are_not_kept() -> None:
    """A cookie that the server sets is not sent back."""
    answer = OK.replace(b"\r\nDate", b"\r\nSet-Cookie: a=b\r\nDate")
    with serving(forever(answer)) as server, talking(server.url) as transport:
        ask(transport)
        ask(transport)
    assert b"ookie" not in server.requests[1]


def test_exchanges_are_reported() -> None:
    """Every try is reported with its status, failed ones too."""
    seen: list[Exchange] = []
    with serving(answering(OK)) as server, talking(server.url, seen=seen) as transport:
        ask(transport, "POST", ROWS)
    with talking(server.url, seen=seen) as transport, pytest.raises(UnreachableError):
        ask(transport)
    told = [(e.method, e.route, e.path, e.status) for e in seen]
    assert told == [
        ("POST", "/v1/{thing}", "/v1/a", 200),
        ("GET", "/v1/{thing}", "/v1/a", None),
    ]
    assert all(0 <= e.seconds < 5 for e in seen)


def test_debug_log_hides_key_and_rows(caplog: pytest.LogCaptureFixture) -> None:
    """The DEBUG log has a curl command, and neither the key nor a row, on success and on failure."""
    caplog.set_level(logging.DEBUG)
    with serving(answering(OK), silent) as server, talking(server.url, seconds=0.05) as transport:
        ask(transport, "POST", ROWS)
        with pytest.raises(LostAnswerError):
            ask(transport, "POST", ROWS)
    told = [each.getMessage() for each in caplog.records if each.name == "target_databox.api.transport"]
    for status, line in zip((200, None), told, strict=True):
        assert re.fullmatch(
            rf"POST /v1/a: status {status} in [0-9]\.[0-9]{{3}} seconds; curl --request POST "
            rf"{re.escape(server.url)}/v1/a\?page=1 .* --data @-",
            line.replace("'", ""),
        )
    assert "x-api-key: ***" in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "pak_ü", "tab\t"])
def test_odd_keys_are_refused(key: str) -> None:
    """A key that can't be a header is refused, and not repeated."""
    with pytest.raises(
        ValueError, match=r"^api_key must be plain text without blanks, as Databox shows it\.$"
    ) as caught:
        Transport("https://a.test", key, request_timeout_seconds=1, on_exchange=None, user_agent="t")
    assert not key or key not in str(caught.value)


def test_unsafe_addresses_are_refused() -> None:
    """Plain http towards another machine is refused."""
    with pytest.raises(ValueError, match=r"^api_url must be https.*\)\.$"):
        Transport("http://a.test", KEY, request_timeout_seconds=1, on_exchange=None, user_agent="t")


def test_clean_text_is_safe_to_log() -> None:
    """Text of the API becomes one short line without control characters and without the key."""
    with talking("https://a.test") as transport:
        assert transport.clean(f"bad\n\x1b[31m key {KEY}!") == "bad [31m key ***!"
        assert transport.clean("x" * 299 + KEY) == "x" * 299 + "…"
        assert transport.clean("x" * 300) == "x" * 300
        assert transport.clean("") is None
        assert transport.clean(None) is None
        assert transport.clean(7) == "7"
        deep: list[object] = []
        for _ in range(100_000):
            deep = [deep]
        assert transport.clean(deep) is None
