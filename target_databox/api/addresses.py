"""Which addresses the API key may be sent to: one rule for the settings and the client."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def address_problem(url: str) -> str | None:
    """Why an address can't be used, or None if it can.

    The result never contains the address, which may hold a password.

    Args:
        url: Base address of the API.

    Returns:
        A clause to follow the setting's name, such as "must be https, ...".
    """
    # Refuse whatever two URL parsers could read differently.
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return "must not hold blanks, backslashes, control characters or non-ASCII letters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a valid address"
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        return "must look like https://host or https://host:port/path"
    if parts.username is not None:  # also where there is a password alone
        return "must not hold a user name or a password"
    if "?" in url or "#" in url:
        return "must not hold a query or a fragment"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "must be https, since plain http would send the key in clear text (http is for loopback only)"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine: ``localhost``, 127.0.0.0/8 or ``::1``.

    Other names are not resolved: what they resolve to may change between the check and the connection.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
