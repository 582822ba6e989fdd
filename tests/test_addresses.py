"""Facts on which addresses the API key may be sent to."""

from __future__ import annotations

import pytest

from target_databox.api.addresses import address_problem, is_loopback

CLAUSES = (
    "must not hold blanks, backslashes, control characters or non-ASCII letters",
    "is not a valid address",
    "must look like https://host or https://host:port/path",
    "must not hold a user name or a password",
    "must not hold a query or a fragment",
    "must be https, since plain http would send the key in clear text (http is for loopback only)",
)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.databox.com",
        "https://proxy.example.com:8443/databox",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "http://localhost:5000",
        "HTTP://LOCALHOST:5000",
    ],
)
def test_https_and_loopback_are_allowed(url: str) -> None:
    """Any https address and plain http towards this machine may receive the key."""
    assert address_problem(url) is None


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://api.databox.com", "must be https"),
        ("http://localhost.example.com", "must be https"),
        ("http://127.0.0.1.example.com", "must be https"),
        ("http://2130706433", "must be https"),
        ("http://[::ffff:8.8.8.8]", "must be https"),
        ("http://127.0.0.1@evil.example", "user name"),
        ("https://user:secret@api.databox.com", "user name"),
        ("https://:secret@api.databox.com", "user name"),
        ("https://@api.databox.com", "user name"),
        ("https://api.databox.com?x=1", "query"),
        ("https://api.databox.com?", "query"),
        ("https://api.databox.com#x", "fragment"),
        ("https://api.databox.com#", "fragment"),
        ("ftp://127.0.0.1", "must look like"),
        ("api.databox.com", "must look like"),
        ("https://", "must look like"),
        ("https://host:0", "must look like"),
        ("", "must look like"),
        ("https://host:port", "not a valid address"),
        ("https://[::1", "not a valid address"),
        ("https://api.databox.com/\nx", "control"),
        ("https://api.databox.com\\@evil.example", "backslashes"),
        ("https://ápi.databox.com", "non-ASCII"),
        ("https://api.databox.com/a b", "blanks"),
    ],
)
def test_other_addresses_are_refused(url: str, problem: str) -> None:
    """Everything else is refused with its reason, and without repeating the address."""
    answer = address_problem(url)
    assert answer is not None
    assert problem in answer
    assert answer in CLAUSES
    assert "secret" not in answer


@pytest.mark.parametrize(
    ("host", "is_here"),
    [
        *(
            ("localhost", True),
            ("LocalHost", True),
            ("127.0.0.1", True),
            ("127.255.1.2", True),
            ("::1", True),
        ),
        *(("localhost.", False), ("128.0.0.1", False), ("::2", False), ("", False), ("a.test", False)),
    ],
)
def test_loopback_is_this_machine(host: str, is_here: bool) -> None:
    """This machine is `localhost`, 127.0.0.0/8 and `::1`; other names are not looked up."""
    assert is_loopback(host) is is_here
