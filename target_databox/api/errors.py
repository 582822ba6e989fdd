"""Every way in which a request to Databox can fail, classified by what the caller may do next.

    DataboxError                evidence of one failed request
     |- TransientError          worth another try
     |   |- ThrottledError      429: nothing was stored
     |   |- UnreachableError    the request never left: nothing was stored
     |   `- LostAnswerError     sent, but the answer is lost or unreadable: it may or may not be stored
     `- RefusedError            a final answer: another try gives the same
    x

    SetupError                  the settings don't fit what Databox holds; another setting helps
     |- AccountError
     |- DataSourceError
     `- DatasetError
         `- KeysDifferError

`str(error)` is the complete message: what failed, on which object, what the API said, what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from target_databox.api.values import MOST_PROBLEMS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.api.values import ApiProblem

# D: 401 (documented), 403 (3: on deletes). Either ends a run: no later request can succeed.
KEY_REFUSED_STATUSES: Final = frozenset({401, 403})
MISSING_STATUS: Final = 404  # A: documented for no route
THROTTLED_STATUS: Final = 429  # A: the status past the rate limit is not documented
# A: after these the request may or may not have been carried out. Proxies use statuses of their own (520 to
# 529 and more), so it is every 5xx except those that mean that the request was not understood (501, 505).
LOST_ANSWER_STATUSES: Final = frozenset({408, 425, *range(500, 600)}) - {501, 505}
WRONG_KEY_STATUS: Final = 401
PROBLEMS_SHOWN: Final = 10
FORBIDDEN_STATUS: Final = 403
# O: how v2 answers an idempotency key that it has seen with another request.
REUSED_KEY_STATUS: Final = 422
REUSED_KEY_CODE: Final = "idempotency_key_reused"


class DataboxError(Exception):
    """A request to Databox failed.

    Attributes:
        message: The complete message for the user.
        happened: The message without advice and full stop, for an error that gives better advice.
        method: HTTP method, such as `POST`.
        path: The request's path, such as `/v1/datasets/…/data`; without query and host.
        status: HTTP status, or None if no answer arrived.
        problems: The `errors` of the response; empty if there were none or the body was unreadable.
        request_id: The API's id of the request, for Databox's support; or None.
        retry_after_seconds: How long the API asked to wait (`Retry-After`), or None if it didn't.
    """

    def __init__(
        self,
        message: str,
        *,
        method: str,
        path: str,
        status: int | None = None,
        problems: Iterable[ApiProblem] = (),
        request_id: str | None = None,
        happened: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.happened = happened or message
        self.method = method
        self.path = path
        self.status = status
        self.problems: tuple[ApiProblem, ...] = tuple(problems)
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds

    def give_up(self, reason: str) -> None:
        """Add to the message why the request is not tried again.

        Args:
            reason: A clause without a full stop.
        """
        self.message = f"{self.message} It is not tried again: {reason}."
        self.args = (self.message,)


class TransientError(DataboxError):
    """The same request may succeed later."""


class ThrottledError(TransientError):
    """The rate limit was exceeded (429, A): nothing was stored; all requests of this key must slow down."""


class UnreachableError(TransientError):
    """No byte was sent (name lookup, refused, connect timeout, TLS handshake): nothing was stored."""


class LostAnswerError(TransientError):
    """The request was sent and its answer is lost or unreadable: it may or may not have been carried out."""


class RefusedError(DataboxError):
    """A final answer: the API understood the request and will not carry it out."""

    @property
    def is_wrong_key(self) -> bool:
        """Whether the API key itself is refused (401, D). A 403 may concern this request alone."""
        return self.status == WRONG_KEY_STATUS

    @property
    def may_blame_body(self) -> bool:
        """Whether the request's body may be the cause; with a redirect, a 501 or a 505 it is not."""
        return self.status is None or 200 <= self.status < 300 or 400 <= self.status < 500


class KeyRefusedError(RefusedError):
    """The API key is missing, wrong or lacks permission (401 D, 403 3): no other request can succeed."""


class MissingError(RefusedError):
    """What the path names does not exist, or is not visible to this API key (404, A)."""

    @property
    def may_blame_body(self) -> bool:
        """Never: the path is the cause."""
        return False


class IdempotencyError(RefusedError):
    """The request's idempotency key was already used for another request (422, O)."""

    @property
    def may_blame_body(self) -> bool:
        """Never: the API does not look at the body."""
        return False


class SetupError(Exception):
    """The settings don't fit what Databox holds; the message names the setting to change."""


class AccountError(SetupError):
    """The account is unknown, or there are several and `account_id` is not set."""


class DataSourceError(SetupError):
    """The data source is unknown or can't be used."""


class DatasetError(SetupError):
    """A stream's dataset is unknown or can't be used."""


class KeysDifferError(DatasetError):
    """A dataset's primary keys are known to differ from what the stream and `load_method` ask for.

    Attributes:
        stream: The Singer stream.
        dataset_id: Its dataset.
        wanted: The stream's primary keys.
        found: The dataset's primary keys.
    """

    def __init__(
        self, message: str, *, stream: str, dataset_id: str, wanted: tuple[str, ...], found: tuple[str, ...]
    ) -> None:
        super().__init__(message)
        self.stream = stream
        self.dataset_id = dataset_id
        self.wanted = wanted
        self.found = found


def is_reused_key(status: int, problems: Iterable[ApiProblem]) -> bool:
    """Whether a response says that the idempotency key was used for another request (v2, O)."""
    return status == REUSED_KEY_STATUS and any(each.code == REUSED_KEY_CODE for each in problems)


def problems_text(problems: Iterable[ApiProblem], request_id: str | None) -> str:
    """The API's errors as one clause, such as `invalid_input: Bad title, field title, request id 12`.

    Returns:
        The clause without a full stop, with at most ten problems; empty if there is nothing to show.
    """
    problems, shown = tuple(problems), []
    for problem in problems[:PROBLEMS_SHOWN]:
        message = (problem.message or "").rstrip(".")
        words = ": ".join(part for part in (problem.code, message) if part) or problem.type or "no reason"
        shown.append(f"{words}, field {problem.field}" if problem.field else words)
    if len(problems) > PROBLEMS_SHOWN:
        least = "at least " if len(problems) >= MOST_PROBLEMS else ""
        shown.append(f"and {least}{len(problems) - PROBLEMS_SHOWN} more")
    clauses = ["; ".join(shown)] if shown else []
    if request_id:
        clauses.append(f"request id {request_id}")
    return ", ".join(clauses)


def error_of_answer(
    *,
    method: str,
    path: str,
    status: int,
    problems: tuple[ApiProblem, ...] = (),
    request_id: str | None = None,
    retry_after_seconds: float | None = None,
    location: str | None = None,
    lost_statuses: frozenset[int] = LOST_ANSWER_STATUSES,
    role_needed: str | None = None,
) -> DataboxError:
    """The error for a response whose status is not 2xx.

    Args:
        method: HTTP method of the request.
        path: Path of the request.
        status: HTTP status of the response.
        problems: The response's `errors`.
        request_id: The response's `requestId`.
        retry_after_seconds: From the response's `Retry-After`.
        location: The host that a redirect points to; shown, never followed.
        lost_statuses: Statuses after which the request may or may not have been carried out.
        role_needed: Who may make this request, as a clause; None if unknown.

    Returns:
        The error, of the class that fits what the caller may do next; it is not raised here.
    """
    said = problems_text(problems, request_id)
    happened = f"{method} {path} was answered with status {status}" + (f" ({said})" if said else "")

    kind: type[DataboxError] = RefusedError
    advice = "the API refused it, and trying again would not help."
    if status == THROTTLED_STATUS:
        kind = ThrottledError
        advice = (
            "the rate limit of the API key is used up; nothing was stored. Lower requests_per_second or "
            "requests_per_hour if something else uses this key."
        )
    elif status in lost_statuses:
        kind = LostAnswerError
        advice = (
            "this is a temporary failure of the API; the request may or may not have been carried "
            "out. Run again later."
        )
    elif status == FORBIDDEN_STATUS and role_needed is not None:
        kind = KeyRefusedError
        advice = f"{role_needed}. Use a key (api_key) of such a user, or ask one for it."
    elif is_reused_key(status, problems):
        kind = IdempotencyError
        advice = (
            "the API takes the request for a copy of another one. Nothing was stored; run again, and report "
            "it to the maintainers of target-databox."
        )
    elif status in KEY_REFUSED_STATUSES:
        kind = KeyRefusedError
        advice = (
            "the API key was refused. Check the setting api_key: an administrator makes keys in Databox, and "
            "a key may be bound to a list of IP addresses or lack permission for this account."
        )
    elif status == MISSING_STATUS:
        kind = MissingError
        advice = "it does not exist, or the API key can't see it. Check the configured ids and api_url."
    elif status < 400:
        where = f" to {location}" if location else ""
        advice = f"redirects{where} are not followed, to protect the API key. Check the setting api_url."
    return kind(
        f"{happened}: {advice}",
        method=method,
        path=path,
        status=status,
        problems=problems,
        request_id=request_id,
        happened=happened,
        retry_after_seconds=retry_after_seconds,
    )
