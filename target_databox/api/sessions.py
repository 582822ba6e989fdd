"""HTTP sessions, one per thread, that never retry and report whether a failed request had been sent.

Proxies and certificates are read from the environment once: doing so at every request costs a quarter of its
CPU time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, LocationParseError
from urllib3.util import parse_url

from target_databox.api.addresses import is_loopback
from target_databox.api.deadlines import InTime, this_try

if TYPE_CHECKING:
    from collections.abc import Mapping


class NeverLeftError(requests.ConnectionError):
    """No byte of the request was sent: nothing can have been stored."""


# urllib3 raises the same exception for a TLS handshake that timed out and for an answer that never came. So
# these connections note in `this_try` when they are connected: from then on bytes may have been sent.
class _Connection(InTime, HTTPConnection):
    pass


class _TlsConnection(InTime, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS: Final = {"http": _Pool, "https": _TlsPool}


class ApiAdapter(HTTPAdapter):
    """Sends a request once over a kept connection; `NeverLeftError` if no byte of it was sent."""

    def __init__(self) -> None:
        # One connection is enough: a session belongs to one thread.
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Use our connection classes for direct connections."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Use our connection classes for connections through an HTTP proxy."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if proxy.lower().startswith("socks"):
            # SOCKS connections have classes of their own and note nothing, so assume that bytes were sent.
            this_try.has_left = True
        else:
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def close(self) -> None:
        """Close every connection now; urllib3 would leave that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in tuple(manager.pools.keys()):  # the container itself is not iterable
                manager.pools[key].close()
        super().close()

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request once.

        Args:
            request: The complete request.
            stream: Whether the response's body is left unread.
            timeout: Longest waits for a connection and between two bytes, in seconds.
            verify: True, or the path of the certificates to trust.
            cert: Not used by Databox.
            proxies: Proxies by scheme.

        Raises:
            NeverLeftError: No byte of the request was sent.
            requests.RequestException: Any other failure that `requests` reports.
            urllib3.exceptions.HTTPError: Any other failure that `requests` does not wrap.
        """
        try:
            return super().send(
                request,
                stream=stream,
                timeout=timeout,
                verify=verify,
                cert=cert,
                proxies=dict(proxies) if proxies else None,
            )
        except (requests.RequestException, HTTPError, OSError) as exc:
            if this_try.has_left:
                raise
            raise NeverLeftError(type(exc).__name__) from exc


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The environment's settings for one address, looked up once.

    Attributes:
        proxies: Proxies by scheme; they may hold passwords and are never shown.
        verify: True for the default certificates, else the path of a file or directory of certificates.
    """

    proxies: Mapping[str, str] = field(repr=False)
    verify: bool | str


def surroundings(api_url: str) -> Surroundings:
    """The proxies (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`) and certificates (`REQUESTS_CA_BUNDLE`) to use.

    This machine is never reached through a proxy: with plain http the proxy would see the API key.

    Raises:
        ValueError: A proxy is not an address, or the certificates don't exist.
    """
    with requests.Session() as session:
        found = session.merge_environment_settings(api_url, {}, None, None, None)
    proxies = {} if is_loopback(urlsplit(api_url).hostname or "") else dict(found["proxies"])
    verify = found["verify"]
    if isinstance(verify, str) and not Path(verify).exists():
        raise ValueError(
            f"REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names {verify}, which does not exist. Correct or unset it."
        )
    proxy = select_proxy(api_url, proxies)
    try:
        is_address = not proxy or parse_url(proxy).host is not None
    except LocationParseError:
        is_address = False
    if not is_address:
        # Raised outside the handler: the parser's error contains the proxy, which may hold a password.
        raise ValueError(
            "HTTPS_PROXY or ALL_PROXY is not an address such as http://proxy:3128. Correct or unset it."
        )
    return Surroundings(proxies=proxies, verify=True if verify is None else verify)


def open_session() -> requests.Session:
    """A session for one thread, which reads nothing from the environment."""
    session = requests.Session()
    session.trust_env = False  # no proxies and no .netrc, which would add an Authorization header
    for scheme in ("https://", "http://"):
        session.mount(scheme, ApiAdapter())
    return session
