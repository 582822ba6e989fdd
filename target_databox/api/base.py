"""The base of all clients: sends one request and turns the response into a value or an error."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from target_databox.api.answers import Envelope, envelope_of, problems, read
from target_databox.api.errors import (
    LOST_ANSWER_STATUSES,
    LostAnswerError,
    RefusedError,
    error_of_answer,
    problems_text,
)
from target_databox.api.retries import epoch_of_http_date, retry_after_seconds
from target_databox.api.sessions import open_session
from target_databox.api.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import msgspec
    import requests

    from target_databox.api.exchanges import Exchange
    from target_databox.api.values import ApiProblem

T = TypeVar("T", bound=Envelope)


class BaseClient:
    """Base class of the clients. Each call makes one try. Thread-safe.

    Every method of a client raises `ThrottledError`, `UnreachableError` or `LostAnswerError` if the same call
    may succeed later, and `KeyRefusedError`, `MissingError` or another `RefusedError` if it will not.

    Args:
        api_url: Address of the API; see `addresses.address_problem`.
        api_key: The API key, sent as `x-api-key` (D).
        request_timeout_seconds: Longest duration of one try, from connecting to the end of the response.
        account_id: The configured account.
        on_exchange: Called after every try, in the thread that made it.
        user_agent: The `User-Agent` header.
        new_session: Makes the session of a thread; its adapters send the requests.

    Attributes:
        lost_statuses: Statuses after which a request may or may not have been carried out.

    Raises:
        ValueError: The address, the API key or the environment's proxy can't be used. The message contains
            none of them.
    """

    lost_statuses = LOST_ANSWER_STATUSES

    def __init__(
        self,
        api_url: str,
        api_key: str,
        *,
        request_timeout_seconds: float,
        account_id: int | None = None,
        on_exchange: Callable[[Exchange], None] | None = None,
        user_agent: str = "target-databox",
        new_session: Callable[[], requests.Session] = open_session,
    ) -> None:
        self._transport = Transport(
            api_url,
            api_key,
            request_timeout_seconds=request_timeout_seconds,
            on_exchange=on_exchange,
            user_agent=user_agent,
            new_session=new_session,
        )
        self._clean = self._transport.clean
        self._account_id = account_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._transport.api_url!r})"

    def close(self) -> None:
        """Close the connections of every thread; the client can't be used afterwards."""
        self._transport.close()

    def server_time(self) -> float | None:
        """Epoch seconds from the `Date` header of the latest response; None before the first."""
        return epoch_of_http_date(self._transport.date)

    def _ask(
        self,
        method: str,
        route: str,
        decoder: msgspec.json.Decoder[T],
        *ids: object,
        body: bytes | None = None,
        query: Mapping[str, int] | None = None,
        headers: Mapping[str, str] | None = None,
        may_be_empty: bool = False,
        role_needed: str | None = None,
    ) -> T:
        """Send one request once and decode the response.

        Args:
            method: HTTP method.
            route: The path, with names in braces in place of ids.
            decoder: Decodes a 2xx response.
            ids: The ids for the path, in order.
            body: JSON, or None.
            query: Query parameters.
            headers: Headers in addition to those of every request.
            may_be_empty: Whether a 2xx response may have no body.
            role_needed: Who may make this request, as a clause for the message of a 403.

        Raises:
            DataboxError: See `errors`.
        """
        path = path_of(route, ids)
        target = f"{path}?{urlencode(query)}" if query else path
        reply = self._transport.exchange(method, route, path, target, body, headers)
        if reply.status < 300:  # the transport takes a 1xx for no answer
            try:
                return read(decoder, reply.payload if reply.payload.strip() or not may_be_empty else b"{}")
            except ValueError as exc:
                raise self._unreadable(method, path, reply.status, reply.payload) from exc
        found, request_id = self._evidence(reply.payload)
        raise error_of_answer(
            method=method,
            path=path,
            status=reply.status,
            problems=found,
            request_id=request_id,
            # A date in Retry-After is compared with the server's own clock; ours may differ.
            retry_after_seconds=retry_after_seconds(
                reply.headers.get("Retry-After"), epoch_of_http_date(reply.headers.get("Date")) or time.time()
            ),
            lost_statuses=self.lost_statuses,
            role_needed=role_needed,
            location=self._clean(_host_of(reply.headers.get("Location"))),
        )

    def _unreadable(
        self, method: str, path: str, status: int, payload: bytes
    ) -> LostAnswerError | RefusedError:
        """The error for a 2xx that is not the documented JSON; a POST was refused if it contains errors."""
        found, request_id = self._evidence(payload)
        said = problems_text(found, request_id)
        kind: type[LostAnswerError | RefusedError] = LostAnswerError
        what = f"and not with the documented JSON{f' ({said})' if said else ''}; it may or may not have "
        what += "been carried out. Check the setting api_url, or run again later."
        if found and method == "POST":
            kind, what = RefusedError, f"but with errors ({said}); the API refused it."
        return kind(
            f"{method} {path} was answered with status {status} {what}",
            method=method,
            path=path,
            status=status,
            problems=found,
            request_id=request_id,
        )

    def _expect_no_problems(self, method: str, path: str, answer: Envelope) -> None:
        """Check that a 2xx response contains no errors.

        Raises:
            RefusedError: It does.
        """
        found = self._problems(answer.errors)
        if found:
            request_id = self._clean(answer.request_id)
            raise RefusedError(
                f"{method} {path} was answered with errors ({problems_text(found, request_id)}); "
                "the API refused it.",
                method=method,
                path=path,
                status=200,
                problems=found,
                request_id=request_id,
            )

    def _evidence(self, payload: bytes) -> tuple[tuple[ApiProblem, ...], str | None]:
        """The errors and the request id of a response that is not as expected."""
        envelope = envelope_of(payload)
        return self._problems(envelope.errors), self._clean(envelope.request_id)

    def _problems(self, errors: Any) -> tuple[ApiProblem, ...]:
        """The entries of an `errors` list, safe to log."""
        return problems(errors, self._clean)


def path_of(route: str, ids: tuple[object, ...]) -> str:
    """The route with ids in place of its names. Each id is quoted, so that it stays one path segment."""
    for one in ids:
        segment = quote(str(one), safe="")
        if segment in {"", ".", ".."}:
            raise ValueError(f"{segment!r} is not an id.")
        start, end = route.index("{"), route.index("}") + 1
        route = f"{route[:start]}{segment}{route[end:]}"
    return route


def _host_of(location: str | None) -> str | None:
    try:
        return urlsplit(location or "").hostname
    except ValueError:
        return None
