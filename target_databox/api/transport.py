"""Makes one try of a request, and distinguishes a request that was never sent from a lost answer."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from urllib3.exceptions import HTTPError

from target_databox.api.addresses import address_problem
from target_databox.api.deadlines import this_try
from target_databox.api.errors import LostAnswerError, UnreachableError
from target_databox.api.exchanges import MASK, Exchange, curl
from target_databox.api.sessions import NeverLeftError, open_session, surroundings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT_SECONDS: Final = 10.0
MAX_TEXT_CHARACTERS: Final = 300
_LOOKED_AT_CHARACTERS: Final = 3_000
FIRST_FINAL_STATUS: Final = 200
_CHUNK_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """A response of any status, with its raw body."""

    status: int
    headers: Mapping[str, str]
    payload: bytes


class Transport:
    """Sends requests with the API key, with one session per thread.

    Args:
        api_url: Address of the API.
        api_key: The API key.
        request_timeout_seconds: Longest duration of one try, from connecting to the end of the response.
        on_exchange: Called after every try, in the thread that made it.
        user_agent: The `User-Agent` header.
        connect_timeout_seconds: Longest wait for a connection, at most `request_timeout_seconds`.
        new_session: Makes the session of a thread; its adapters send the requests.

    Raises:
        ValueError: The address, the API key or the environment's proxy can't be used. The message contains
            none of them.
    """

    def __init__(
        self,
        api_url: str,
        api_key: str,
        *,
        request_timeout_seconds: float,
        on_exchange: Callable[[Exchange], None] | None,
        user_agent: str,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        new_session: Callable[[], requests.Session] = open_session,
    ) -> None:
        problem = address_problem(api_url)
        if problem is not None:
            raise ValueError(f"api_url {problem}.")
        self.api_url = api_url.rstrip("/")
        if not (api_key and api_key.isascii() and api_key.isprintable() and " " not in api_key):
            raise ValueError("api_key must be plain text without blanks, as Databox shows it.")
        self.date: str | None = None
        self._host = urlsplit(self.api_url).netloc
        self._key = api_key
        self._timeout_seconds = request_timeout_seconds
        self._connect_seconds = min(connect_timeout_seconds, request_timeout_seconds)
        self._on_exchange = on_exchange
        self._new_session = new_session
        self._surroundings = surroundings(self.api_url)
        self._headers = {"x-api-key": api_key, "User-Agent": user_agent, "Accept": "application/json"}
        self._headers["Accept-Encoding"] = "identity"
        self._of_thread = threading.local()
        self._sessions: list[requests.Session] = []
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connections of every thread."""
        with self._lock:
            sessions, self._sessions = self._sessions, []
        for session in sessions:
            session.close()

    def clean(self, text: object) -> str | None:
        """Text from the API, safe to log: one line, at most 300 characters, the API key masked; or None."""
        if text is None or text == "":
            return None
        try:
            raw = str(text)
        except RecursionError:  # deeply nested JSON
            return None
        # Only the beginning of a very long text is processed.
        raw = raw.replace(self._key, MASK)[:_LOOKED_AT_CHARACTERS]
        line = " ".join("".join(c if c.isprintable() else " " for c in raw).split())
        line = line.replace(self._key, MASK)
        return line if len(line) <= MAX_TEXT_CHARACTERS else line[: MAX_TEXT_CHARACTERS - 1] + "…"

    def exchange(
        self,
        method: str,
        route: str,
        path: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request once.

        Args:
            method: HTTP method.
            route: Name of the route, for metrics.
            path: Path, for errors.
            target: Path with its query.
            body: JSON, or None.
            headers: Headers in addition to those of every request.

        Returns:
            The response, whatever its status.

        Raises:
            UnreachableError: No byte was sent.
            LostAnswerError: The response was not received whole.
        """
        session = self._session()
        request = requests.PreparedRequest()
        # Built by hand: `prepare` parses the address twice, reads .netrc and takes longer than sending.
        request.method, request.url, request.body = method, f"{self.api_url}{target}", body
        request.headers = CaseInsensitiveDict({**self._headers, **(headers or {})})
        if body is not None:
            request.headers["Content-Type"] = "application/json"
        if method == "POST":
            request.headers["Content-Length"] = str(len(body or b""))

        status: int | None = None
        payload = bytearray()
        started = time.perf_counter()
        this_try.begin(self._timeout_seconds)
        try:
            # The adapter is called directly, so redirects are not followed and cookies not kept.
            response = session.get_adapter(request.url).send(
                request,
                stream=True,
                timeout=(self._connect_seconds, self._timeout_seconds),
                verify=self._surroundings.verify,
                proxies=self._surroundings.proxies,
            )
            status = response.status_code
            self.date = response.headers.get("Date", self.date)
            try:
                if not self._is_readable(response):
                    response.raw.close()
                    return Reply(status, response.headers, b"")
                while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
                    payload += chunk
                    this_try.left_seconds()  # buffered chunks arrive without checking the time
            except BaseException:
                response.raw.close()  # the rest of this response would be read as the next one
                raise
            return Reply(status, response.headers, bytes(payload))
        except (NeverLeftError, requests.ConnectTimeout) as exc:
            # Connecting has less time than the request, but for a proxy that does not open its tunnel.
            waited = time.perf_counter() - started
            limits = (self._connect_seconds, self._timeout_seconds)
            reason = self._reason(exc, min(limits, key=lambda limit: abs(limit - waited)))
            happened = (
                f"{method} {path} could not be sent, since {self._host} could not be reached "
                f"({reason}); nothing was stored"
            )
            raise UnreachableError(
                f"{happened}. Check the network, the proxy and the setting api_url.",
                method=method,
                path=path,
                happened=happened,
            ) from exc
        except (requests.RequestException, HTTPError, OSError) as exc:
            reason = self._reason(exc, self._timeout_seconds)
            happened = (
                f"{method} {path} was sent, but its answer was lost ({reason}); it may or "
                "may not have been carried out"
            )
            raise LostAnswerError(
                f"{happened}. Check the network, or raise request_timeout_seconds.",
                method=method,
                path=path,
                status=status,
                happened=happened,
            ) from exc
        finally:
            seconds = time.perf_counter() - started
            if logger.isEnabledFor(logging.DEBUG):
                command = curl(method, request.url, request.headers, has_body=body is not None)
                logger.debug("%s %s: status %s in %.3f seconds; %s", method, path, status, seconds, command)
            if self._on_exchange is not None:
                self._on_exchange(Exchange(method, route, path, status, seconds))

    def _is_readable(self, response: requests.Response) -> bool:
        """Whether the body can be read; without it, the status of a failed response is enough.

        Raises:
            requests.ConnectionError: It can't be, and the status alone is not enough.
        """
        if response.status_code < FIRST_FINAL_STATUS:
            # The real response follows, and would be read as the next request's.
            raise requests.ConnectionError(f"only status {response.status_code} came, which is no answer")
        # No encoding was requested, and a small encoded body may decode to gigabytes.
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return True
        if response.ok:
            raise requests.ConnectionError(f"it is encoded as {encoding}, though no encoding was asked for")
        return False

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = self._of_thread.session = self._new_session()
            with self._lock:
                self._sessions.append(session)
        return session

    def _reason(self, error: BaseException, limit_seconds: float) -> str:
        """The innermost cause in a few words, without the address that `requests` adds."""
        innermost, seen = error, {id(error)}
        while (deeper := _cause_of(innermost)) is not None and id(deeper) not in seen:
            innermost = deeper
            seen.add(id(deeper))
        if isinstance(innermost, TimeoutError) or "timed out" in str(innermost):
            return f"no answer within {limit_seconds:g} seconds"
        reason = getattr(innermost, "verify_message", None) or getattr(innermost, "strerror", None)
        return self.clean(reason or str(innermost)) or type(innermost).__name__


def _cause_of(error: BaseException) -> BaseException | None:
    for candidate in (getattr(error, "reason", None), *error.args, error.__cause__, error.__context__):
        if isinstance(candidate, BaseException) and candidate is not error:
            return candidate
    return None
