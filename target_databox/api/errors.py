"""Every way in which a request to Databox can fail, told apart by what the caller may do next.

    DataboxError                evidence of one failed request
     |- TransientError          worth another try
     |   |- ThrottledError      429: nothing was stored
     |   |- UnreachableError    the request never left: nothing was stored
     |   `- LostAnswerError     sent, but the answer is lost or unreadable: stored or not, nobody knows
     `- RefusedError            a final answer: another try gives the same
    x

    SetupError                  what was configured and what Databox holds don't fit; a setting helps
     |- AccountError
     |- DataSourceError
     `- DatasetError
         `- KeysDifferError

`str(error)` is the whole sentence for the user: what failed, on which object, what the API said, what to do.
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
# A: after these the request may or may not have been carried out. Proxies have words of their own (520 to
# 529 and more), so it is every 5xx but those that say that the request was not understood (501, 505).
LOST_ANSWER_STATUSES: Final = frozenset({408, 425, *range(500, 600)}) - {501, 505}
WRONG_KEY_STATUS: Final = 401
PROBLEMS_TOLD: Final = 10
FORBIDDEN_STATUS: Final = 403
# O: the answer of v2 to an idempotency key that came with other input before.
REUSED_KEY_STATUS: Final = 422
REUSED_KEY_CODE: Final = "idempotency_key_reused"


class DataboxError(Exception):
    """A request to Databox failed.

    Attributes:
        message: The whole sentence for the user.
        happened: Its part without advice and full stop, for an error that knows better advice.
        method: HTTP method, such as `POST`.
        path: The request's path, such as `/v1/datasets/…/data`; never a query with values, never the host.
        status: HTTP status, or None when no answer arrived.
        problems: The `errors` of the answer; empty when there were none or the body was unreadable.
        request_id: The API's name of the request, for Databox's support; or None.
        retry_after_seconds: How long the API asked to wait (`Retry-After`), or None when it didn't say.
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
    """The rate limit was passed (429, A): nothing was stored, every request on this key has to slow down."""


class UnreachableError(TransientError):
    """The request never left (name lookup, refused, connect timeout, TLS handshake): nothing was stored."""


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
        """Whether what was sent may be why; a redirect or a server that can't says nothing of it."""
        return self.status is None or 200 <= self.status < 300 or 400 <= self.status < 500


class KeyRefusedError(RefusedError):
    """The API key is missing, wrong or not allowed to do this (401 D, 403 3): nothing else can succeed."""


class MissingError(RefusedError):
    """What the path names does not exist, or is not visible to this key (404, A)."""

    @property
    def may_blame_body(self) -> bool:
        """Never: the path is why."""
        return False


class IdempotencyError(RefusedError):
    """The idempotency key of a request is another request's (422, O)."""

    @property
    def may_blame_body(self) -> bool:
        """Never: what was sent is not looked at."""
        return False


class SetupError(Exception):
    """Configuration and Databox don't fit; the message names the setting that helps."""


class AccountError(SetupError):
    """The account is unknown, or there are several and none is configured."""


class DataSourceError(SetupError):
    """The data source is unknown or can't be used."""


class DatasetError(SetupError):
    """A stream's dataset is unknown or can't be used."""


class KeysDifferError(DatasetError):
    """A dataset's primary keys are known to differ from what the stream and `load_method` ask for.

    Attributes:
        stream: The Singer stream.
        dataset_id: Its dataset.
        wanted: Keys that the stream would have.
        found: Keys that the dataset has.
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
    """Whether an answer says that an idempotency key is another request's (v2, O)."""
    return status == REUSED_KEY_STATUS and any(each.code == REUSED_KEY_CODE for each in problems)


def problems_text(problems: Iterable[ApiProblem], request_id: str | None) -> str:
    """What the API said, as one clause such as `invalid_input: Bad title, field title, request id 12`.

    Returns:
        The clause without a full stop, of at most ten problems; empty when the API said nothing.
    """
    problems, told = tuple(problems), []
    for problem in problems[:PROBLEMS_TOLD]:
        message = (problem.message or "").rstrip(".")
        words = ": ".join(part for part in (problem.code, message) if part) or problem.type or "no reason"
        told.append(f"{words}, field {problem.field}" if problem.field else words)
    if len(problems) > PROBLEMS_TOLD:
        least = "at least " if len(problems) >= MOST_PROBLEMS else ""
        told.append(f"and {least}{len(problems) - PROBLEMS_TOLD} more")
    clauses = ["; ".join(told)] if told else []
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
    """The error for an answer whose status is not 2xx.

    Args:
        method: HTTP method of the request.
        path: Path of the request.
        status: HTTP status of the answer.
        problems: The answer's `errors`.
        request_id: The answer's `requestId`.
        retry_after_seconds: From the answer's `Retry-After`.
        location: The host that a redirect points to, shown and never followed.
        lost_statuses: Those after which the request may or may not have been carried out.
        role_needed: Who may do this, as a clause; None when that is not known.

    Returns:
        An instance of the class that says what the caller may do next; never raised here.
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
            "it to the makers of target-databox."
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
    elif 300 <= status < 400:
        where = f" to {location}" if location else ""
        advice = f"redirects{where} are not followed, for the sake of the API key. Check the setting api_url."
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
