"""Describes one try of a request for metrics and DEBUG logs, without rows and without the API key."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MASK: Final = "***"
_SECRET_HEADERS: Final = frozenset({"x-api-key", "authorization", "proxy-authorization", "cookie"})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One try of one request.

    Attributes:
        method: HTTP method.
        route: The path with names in place of ids, such as `/v1/datasets/{datasetId}/data`.
        path: The path as it was sent, without its query.
        status: HTTP status, or None if no answer arrived.
        seconds: Time from before connecting to the last byte of the response.
    """

    method: str
    route: str
    path: str
    status: int | None
    seconds: float


def curl(method: str, url: str, headers: Mapping[str, str], *, has_body: bool) -> str:
    """A request as a `curl` command that a user can try, with the API key masked.

    Args:
        method: HTTP method.
        url: The whole address.
        headers: The request's headers; values of secret ones are masked.
        has_body: Whether a body is sent; the command reads it from standard input.

    Returns:
        One line of shell, every argument quoted.
    """
    words = ["curl", "--request", method, url]
    for name, value in headers.items():
        shown = MASK if name.lower() in _SECRET_HEADERS else value
        words += ["--header", f"{name}: {shown}"]
    if has_body:
        words += ["--data", "@-"]
    return shlex.join(words)
