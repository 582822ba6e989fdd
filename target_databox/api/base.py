"""What the clients of all versions share: a connection, one question, and what its answer amounts to."""

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
    """A version of Databox's API as Python, one try a call, thread-safe.

    Every method of a version raises `ThrottledError`, `UnreachableError` or `LostAnswerError` where the same
    call may succeed later, `KeyRefusedError`, `MissingError` or another `RefusedError` where it will not.

    Args:
        api_url: Address of the API; see `addresses.address_problem`.
        api_key: The key, sent as `x-api-key` (D).
        request_timeout_seconds: Longest time for one try of one request as a whole.
        account_id: The configured account.
        on_exchange: Called after every try, in the thread that made it.
        user_agent: Who we say we are.
        new_session: Makes the session of a thread; its adapters carry the requests.

    Attributes:
        lost_statuses: Statuses after which a request may or may not have been carried out.

    Raises:
        ValueError: The address, the key or the environment's proxy can't be used; the message repeats none.
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
        """Close the connections of every thread; nothing may be asked afterwards."""
        self._transport.close()

    def server_time(self) -> float | None:
        """Epoch seconds by the `Date` header of the newest answer, to the second; None before the first."""
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
        """Send one request once and read its answer.

        Args:
            method: HTTP method.
            route: The path, with names in braces in place of ids.
            decoder: What a good answer is.
            ids: What stands in the path, in order.
            body: JSON, or None.
            query: What stands behind the path.
            headers: Headers beside those of every request.
            may_be_empty: Whether a good answer may have no body.
            role_needed: Who may do this, as a clause; for the message of a 403.

        Raises:
            DataboxError: See `errors`.
        """
        path = path_of(route, ids)
        target = f"{path}?{urlencode(query)}" if query else path
        reply = self._transport.exchange(method, route, path, target, body, headers)
        if 200 <= reply.status < 300:
            try:
                return read(decoder, reply.payload if reply.payload.strip() or not may_be_empty else b"{}")
            except ValueError as exc:
                raise self._unreadable(method, path, reply.status, reply.payload) from exc
        found, request_id = self._told_by(reply.payload)
        raise error_of_answer(
            method=method,
            path=path,
            status=reply.status,
            problems=found,
            request_id=request_id,
            # Dates are read by the server's own clock, which ours may not agree with.
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
        """The error for a 2xx that is not the documented JSON: with errors of its own, a POST was refused."""
        found, request_id = self._told_by(payload)
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
        """Make sure that a 2xx answer has no errors.

        Raises:
            RefusedError: It has.
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

    def _told_by(self, payload: bytes) -> tuple[tuple[ApiProblem, ...], str | None]:
        told = envelope_of(payload)
        return self._problems(told.errors), self._clean(told.request_id)

    def _problems(self, errors: Any) -> tuple[ApiProblem, ...]:
        """The entries of an `errors` list, fit for a log."""
        return problems(errors, self._clean)


def path_of(route: str, ids: tuple[object, ...]) -> str:
    """The route with ids in place of its names, each as one segment of the path, whatever was configured."""
    for one in ids:
        segment = quote(str(one), safe="")
        if segment in {"", ".", ".."}:
            raise ValueError(f"{segment!r} is not an id.")
        start, end = route.index("{"), route.index("}") + 1
        route = f"{route[:start]}{segment}{route[end:]}"
    return route


def _host_of(location: str | None) -> str | None:
    try:
        return urlsplit(location).hostname if location else None
    except ValueError:
        return None
