"""The emulator answers to names of its own machine alone, whichever way somebody asks by another one."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import requests

from target_databox.emulator.serving.hosts import is_loopback

if TYPE_CHECKING:
    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker

PATHS = (
    *("/", "/version", "/requests", "/openapi.json", "/static/style.css", "/nowhere"),
    *("/v1/accounts", "/v1/datasets/1", "/v2/accounts", "/v2/data-sources"),
)
FOREIGN = (
    *("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "93.184.216.34"),
    *("[2001:db8::1]", "127.1", "0x7f000001", "0.0.0.0", "128.0.0.1", "[::2]"),  # noqa: S104 # asked for, not bound
)
BROKEN = (
    *(
        "[",
        "]",
        "[]",
        "[::1",
        "::1",
        "[::1]]",
        "[zz]",
        "[::ffff:999.0.0.1]",
        "a b",
        "a@127.0.0.1",
        "a/b",
        "a\\b",
    ),
    *("127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.1:-1", "", "a,b", "\xe9", "%31", "[::1%25lo]"),
)
OWN = (
    *(
        "127.0.0.1",
        "127.0.0.1:1",
        "127.8.9.10",
        "localhost",
        "LOCALHOST:80",
        "localhost.",
        "[::1]",
        "[::1]:9",
    ),
    "[::ffff:127.0.0.1]",
)


def status(emulator: Emulator, path: str, *hosts: str, address: str = "127.0.0.1") -> tuple[int, bytes]:
    """The answer to a request with the key, and with these Host headers."""
    lines = [f"GET {path} HTTP/1.1", *(f"Host: {host}" for host in hosts)]
    lines += [f"x-api-key: {emulator.api_key}", "Connection: close", "", ""]
    with socket.create_connection((address, emulator.port), timeout=5) as connection:
        connection.sendall("\r\n".join(lines).encode("latin-1"))
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return int(answer.split(b" ", 2)[1]), answer


@pytest.mark.parametrize("path", PATHS)
def test_foreign_names_reach_nothing(emulator: Emulator, path: str) -> None:
    """Asked by another name, pages and both versions of the API tell nothing, even with the key."""
    for host in FOREIGN:
        code, answer = status(emulator, path, host)
        assert (code, b"Emulated account" in answer) == (421, False), host
    assert len(emulator.log) == 0


@pytest.mark.parametrize("host", BROKEN)
def test_broken_hosts_are_bad_requests(emulator: Emulator, host: str) -> None:
    """A Host that nobody can understand is a 400, on pages and on the API."""
    for path in ("/", "/v1/accounts", "/v2/accounts"):
        assert status(emulator, path, host)[0] == 400


def test_one_host_is_needed(emulator: Emulator) -> None:
    """No Host, or two of them, are a 400."""
    assert status(emulator, "/")[0] == 400
    assert status(emulator, "/v1/accounts", "localhost", "evil.example")[0] == 400


@pytest.mark.parametrize("host", OWN)
def test_own_names_are_answered(emulator: Emulator, host: str) -> None:
    """Every way to write this machine's own address works, whatever the port."""
    assert [status(emulator, path, host)[0] for path in ("/", "/v1/accounts", "/v2/profile")] == [200] * 3


def test_name_in_the_first_line_counts(emulator: Emulator) -> None:
    """A request that names a foreign host in its first line, as for a proxy, is turned away too."""
    assert status(emulator, "http://evil.example/v1/accounts", "localhost")[0] == 421
    assert status(emulator, "http://localhost/v1/accounts", "localhost")[0] == 200


@pytest.mark.parametrize("address", ["127.0.0.2", "127.1.2.3", "localhost", "::1"])
def test_any_loopback_is_guarded(make_emulator: EmulatorMaker, address: str) -> None:
    """Listening on any address of this machine, the emulator looks at the Host, and answers to its own."""
    try:
        emulator = make_emulator(host=address)
    except OSError:
        pytest.skip(f"{address} can't be listened on here")
    assert status(emulator, "/v1/accounts", "evil.example", address=address)[0] == 421
    headers = {"x-api-key": emulator.api_key}
    assert requests.get(f"{emulator.url}/v1/accounts", headers=headers, timeout=5).status_code == 200


def test_open_emulator_answers_to_any_name(make_emulator: EmulatorMaker) -> None:
    """One that others may reach answers to any name, since its names are theirs, but to no broken one."""
    emulator = make_emulator(host="0.0.0.0")  # noqa: S104 # for a moment, in a test
    assert status(emulator, "/v1/accounts", "emulator.internal:8787")[0] == 200
    assert status(emulator, "/", "emulator_1")[0] == 200
    assert status(emulator, "/", "[")[0] == 400


@pytest.mark.parametrize(
    ("name", "is_ours"), [("::FFFF:7f00:1", True), ("::ffff:8.8.8.8", False), ("", False)]
)
def test_loopback_is_told_by_value(name: str, is_ours: bool) -> None:
    """An address counts by what it is, not by how it is written."""
    assert is_loopback(name) == is_ours
