"""Facts on the way to the API: proxies, certificates, and what the environment may not do to the key."""

from __future__ import annotations

import contextlib
import ssl
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from target_databox.api.errors import LostAnswerError, UnreachableError
from target_databox.api.sessions import surroundings
from target_databox.api.transport import Transport
from tests.test_transport import KEY, OK, ROWS, Server, answering, ask, forever, serving, talking

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

DATA = Path(__file__).parent / "data"
URL = "https://api.databox.test"  # in the certificate, and never looked up: only the proxy hears the name
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without proxies and certificates of the machine that runs the tests."""
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)


def behind_proxy(script: Callable[[socket.socket, Server], None]) -> Callable[[socket.socket, Server], None]:
    """A proxy that opens a tunnel and is itself the TLS server at its end."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(DATA / "api.databox.test.pem")

    def tunnel(connection: socket.socket, server: Server) -> None:
        server.receive(connection)
        connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as inside:
            script(inside, server)

    return tunnel


def test_proxies_carry_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go through the environment's proxy, inside a tunnel that hides the key from it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "test-authority.pem"))
    with serving(behind_proxy(forever(OK))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("http://", "http://user:word@"))
        with talking(URL) as transport:
            assert ask(transport, "POST", ROWS).status == 200
            assert ask(transport).status == 200
    assert proxy.requests[0].startswith(b"CONNECT api.databox.test:443 ")
    assert b"Proxy-Authorization: Basic" in proxy.requests[0]
    assert KEY.encode() not in proxy.requests[0]
    assert [f"x-api-key: {KEY}".encode() in request for request in proxy.requests[1:]] == [True, True]
    assert [b"Proxy-Auth" in request for request in proxy.requests[1:]] == [False, False]
    assert proxy.connections == 1


def test_lost_answers_behind_proxies_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that is lost behind a proxy is lost, not unsent."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(DATA / "test-authority.pem"))
    with serving(behind_proxy(answering(b""))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with talking(URL) as transport, pytest.raises(LostAnswerError):
            ask(transport, "POST", ROWS)


def test_refusing_proxies_keep_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tunnel that is refused never carried the request."""
    with serving(answering(b"HTTP/1.1 407 Authentication Required\r\nContent-Length: 0\r\n\r\n")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with talking(URL) as transport, pytest.raises(UnreachableError, match="407"):
            ask(transport, "POST", ROWS)


def test_unknown_authorities_keep_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate of an unknown authority ends the handshake: the key never leaves."""
    with serving(behind_proxy(forever(OK))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with talking(URL) as transport, pytest.raises(UnreachableError, match=r"certificate|issuer"):
            ask(transport, "POST", ROWS)
    assert len(proxy.requests) == 1


def test_loopback_needs_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is reached directly: a proxy would see the key of a plain http request."""
    with serving(forever(OK)) as proxy, serving(forever(OK)) as server:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        with talking(server.url) as transport:
            ask(transport)
    assert (proxy.connections, len(server.requests)) == (0, 1)


def test_no_proxy_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_PROXY takes an address away from the proxy."""
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    assert surroundings(URL).proxies["https"] == "http://proxy.test:3128"
    monkeypatch.setenv("NO_PROXY", ".databox.test")
    assert not surroundings(URL).proxies


def test_netrc_adds_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A .netrc entry for the host adds no Authorization header."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login someone password canary\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(forever(OK)) as server, talking(server.url) as transport:
        ask(transport)
    assert b"uthorization" not in server.requests[0]


def test_missing_certificates_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that doesn't exist is an error at once, which names it."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/bundle.pem")
    with pytest.raises(ValueError, match=r"names /nowhere/bundle\.pem, which does not exist"):
        surroundings(URL)


def test_bad_proxies_hide_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that can't be read is an error that doesn't repeat it, nor does its traceback."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@[broken:3128")
    with pytest.raises(ValueError, match="HTTPS_PROXY or ALL_PROXY is not an address") as caught:
        surroundings(URL)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_slow_uploads_have_the_requests_time() -> None:
    """Sending a body may take longer than connecting may."""
    started = threading.Event()

    def slowly(connection: socket.socket, server: Server) -> None:
        started.wait(0.09)
        forever(OK)(connection, server)

    with serving(slowly) as server:
        transport = Transport(
            server.url,
            KEY,
            request_timeout_seconds=5,
            on_exchange=None,
            user_agent="t",
            connect_timeout_seconds=0.03,
        )
        assert ask(transport, "POST", b" " * 20_000_000).status == 200
        transport.close()
