"""Facts on which addresses the API key may be sent to."""

from __future__ import annotations

import pytest

from target_databox.api.addresses import checked_api_url


@pytest.mark.parametrize(
    ("url", "spelling"),
    [
        ("https://api.databox.com", "https://api.databox.com"),
        ("https://proxy.example.com:8443/databox/", "https://proxy.example.com:8443/databox"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("HTTP://LOCALHOST:5000", "http://localhost:5000"),
    ],
)
def test_https_and_loopback_are_allowed(url: str, spelling: str) -> None:
    """Any https address and plain http towards this machine may receive the key, in one spelling."""
    assert checked_api_url(url) == spelling


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("http://api.databox.com", "must begin with https"),
        ("http://localhost.example.com", "must begin with https"),
        ("http://127.0.0.1.example.com", "must begin with https"),
        ("http://2130706433", "must begin with https"),
        ("http://[::ffff:8.8.8.8]", "must begin with https"),
        ("http://127.0.0.1@evil.example", "user name"),
        ("https://user:secret@api.databox.com", "user name"),
        ("https://api.databox.com?x=1", "query"),
        ("https://api.databox.com#x", "fragment"),
        ("ftp://127.0.0.1", "must be an address"),
        ("api.databox.com", "must be an address"),
        ("https://", "must be an address"),
        ("", "must be an address"),
        ("https://host:port", "can't be read"),
        ("https://[::1", "can't be read"),
        ("https://api.databox.com/\nx", "odd characters"),
        ("https://api.databox.com\\@evil.example", "odd characters"),
    ],
)
def test_other_addresses_are_refused(url: str, problem: str) -> None:
    """Everything else is refused with its reason, and without repeating the address."""
    with pytest.raises(ValueError, match=problem) as caught:
        checked_api_url(url)
    assert "secret" not in str(caught.value)
