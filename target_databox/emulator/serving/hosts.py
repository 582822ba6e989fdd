"""Refuses requests that come by another's name for this machine (DNS rebinding), to API and pages alike."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

_HOST = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::([0-9]{1,5}))?")


class HostGuard:
    """Looks at the `Host` of every request before anything else does.

    A browser asks by the name in its address bar. A site can make its own name point to 127.0.0.1, and its
    scripts then reach what listens there, with answers that they may read. So an emulator that only this
    machine can reach answers to names of this machine alone. One that listens on other addresses was meant to
    be reached by names that nobody can know here.

    Args:
        host: The address that the emulator listens on; requests to it pass, whatever it is.
    """

    def __init__(self, host: str) -> None:
        self._own_name = host.lower()
        self._is_local = True

    def listens_on(self, address: str) -> None:
        """Set the address that the emulator is bound to, which is more exact than a name.

        Args:
            address: As the socket gives it.
        """
        self._is_local = is_loopback(address)

    def refusal(self, request: web.Request) -> web.Response | None:
        """What to answer instead, or `None` for a request that may pass."""
        hosts = request.headers.getall("Host", [])
        names = [_name(host) for host in hosts]
        if len(names) != 1 or names[0] is None:
            return web.Response(status=400, text="The request has no Host that can be understood.")
        # A request to a proxy names its host once more, in its first line.
        asked = (names[0], request.url.host or "")
        if self._is_local and not all(is_loopback(each) or each.lower() == self._own_name for each in asked):
            return web.Response(
                status=421, text="This emulator answers to addresses of its own machine only."
            )
        return None

    def middleware(self) -> Middleware:
        """The guard as aiohttp calls it."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            return self.refusal(request) or await handler(request)

        return guard


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's, without asking anybody."""
    name = host.lower().removesuffix(".")
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _name(host: str) -> str | None:
    """The name or address of a `Host`, without its port; `None` where there is none."""
    match = _HOST.fullmatch(host)
    if match is None or int(match[3] or 0) > 65_535:
        return None
    if match[1] is None:
        return match[2]
    try:
        return str(ipaddress.IPv6Address(match[1]))
    except ValueError:
        return None
