"""Facts on the request that a DEBUG log shows."""

from __future__ import annotations

import shlex

from target_databox.api.exchanges import curl


def test_secrets_are_masked() -> None:
    """Headers that carry secrets are masked whatever their case, others are shown."""
    line = curl(
        "GET",
        "https://a.test/v1/a?page=1&pageSize=2",
        {"X-API-Key": "canary", "Authorization": "canary", "Proxy-Authorization": "canary", "Accept": "a/b"},
        has_body=False,
    )
    assert shlex.split(line) == [
        *("curl", "--request", "GET", "https://a.test/v1/a?page=1&pageSize=2"),
        *("--header", "X-API-Key: ***", "--header", "Authorization: ***"),
        *("--header", "Proxy-Authorization: ***", "--header", "Accept: a/b"),
    ]


def test_bodies_are_read_from_input() -> None:
    """A body is never part of the command, which is safe to paste whatever the address holds."""
    line = curl("POST", "https://a.test/$(rm -rf ~)'", {}, has_body=True)
    assert shlex.split(line)[3:] == ["https://a.test/$(rm -rf ~)'", "--data", "@-"]
