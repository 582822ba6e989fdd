"""Why records are rejected, how many may be, and which of them ends the run. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_databox.delivery.errors import RejectedError, RejectsLimitError
from target_databox.delivery.rows import key_text

if TYPE_CHECKING:
    from target_databox.api.values import ApiProblem
    from target_databox.delivery.batches import Destination
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.rows import Row


class Reason(enum.Enum):
    """Why a record is not stored.

    Attributes:
        value: The word for it in the rejects file.
        words: What happened to the record, as the end of a sentence.
        is_ours: Whether it was found before anything was sent, so that its message holds no words of the
            API, which may quote a row.
    """

    words: str
    is_ours: bool

    def __new__(cls, value: str, words: str, is_ours: bool) -> Reason:
        """Make a member of its word and what is said about it."""
        member = object.__new__(cls)
        member._value_ = value
        member.words = words
        member.is_ours = is_ours
        return member

    MAP = "map", "rejected, since an expression of stream_maps fails on it", True
    SCHEMA = "schema", "rejected, since it does not fit its schema", True
    KEY = "key", "rejected, since it lacks a key value", True
    ENCODING = "encoding", "rejected, since it can't be read or encoded", True
    SIZE = "size", "rejected, since it is larger than a request may be", True
    REFUSED = "refused", "refused by Databox", False
    REJECTED = "rejected", "rejected by Databox", False
    FAILED = "failed", "not processed by Databox", False
    SUSPECT = "suspect", "perhaps not stored by Databox", False


@dataclass(frozen=True)
class Cause:
    """What is known about why rows are not stored.

    Attributes:
        code: The API's code, or ours.
        message: One sentence, without values.
        status: The HTTP status of an answer that refused them.
    """

    reason: Reason
    code: str | None
    message: str
    request_id: str | None = None
    ingestion_id: str | None = None
    status: int | None = None


@dataclass(frozen=True)
class Rejection:
    """A record that is not stored, with its cause."""

    destination: Destination
    row: Row
    cause: Cause


class Rejections:
    """The rejected records of a run.

    Args:
        settings: Whether rejected records are kept, and how many may be.

    Attributes:
        outbox: Rejected records that are not written down yet.
        cutoff: Line of the record that ends the run; only rows up to that line are still sent.
    """

    def __init__(self, settings: DeliverySettings) -> None:
        self.outbox: list[Rejection] = []
        self.cutoff: int | None = None
        self._settings = settings
        self._count = 0

    def add(self, rejection: Rejection) -> RejectedError | RejectsLimitError | None:
        """Take in a rejected record.

        Returns:
            Why the run ends, if it does: at this record (`cutoff`), or since there are too many.
        """
        self._count += 1
        if self._settings.rejects_path is not None:
            self.outbox.append(rejection)
            limit = self._settings.rejects_limit
            return _limit_error(rejection, self._count, limit) if self._count > limit else None
        if self.cutoff is not None and rejection.row.number >= self.cutoff:
            return None
        self.cutoff = rejection.row.number
        return _rejected_error(rejection)


def said(problems: tuple[ApiProblem, ...], otherwise: str) -> tuple[str | None, str]:
    """The code and the words of the first problem that the API names."""
    for problem in problems:
        if problem.code or problem.message:
            message = problem.message or problem.code or ""
            if problem.field:
                message = f"{message.rstrip('.')} (field {problem.field})"
            return problem.code, message
    return None, otherwise


def _limit_error(rejection: Rejection, count: int, limit: int) -> RejectsLimitError:
    return RejectsLimitError(
        f"{count} records were rejected, more than rejects_limit ({limit}) allows; the last one of "
        f"{rejection.destination}: {rejection.cause.message}. What was rejected is in rejects_path; correct "
        "the cause, or raise rejects_limit."
    )


def _rejected_error(rejection: Rejection) -> RejectedError:
    cause, row = rejection.cause, rejection.row
    key = f", key {key_text(row.key)}," if row.key is not None else ""
    message = cause.message.rstrip(".")
    evidence = [
        f"status {cause.status}" if cause.status else "",
        f"{cause.code}: {message}" if cause.code else message,
        f"request id {cause.request_id}" if cause.request_id else "",
    ]
    what = "rejected" if cause.reason.is_ours else cause.reason.words
    is_misfit = cause.reason is Reason.SCHEMA
    differing = rejection.destination.type_differences
    types = (
        f" Column types differ: {differing}; set column_types."
        if differing and not cause.reason.is_ours
        else ""
    )
    unvalidated = "set validate_records to false to load it as it is, " if is_misfit else ""
    return RejectedError(
        f"Line {row.number}{key} of {rejection.destination} was {what} "
        f"({', '.join(filter(None, evidence))}). Rows before it are delivered, no STATE passes it, and "
        f"the next run meets it again.{types} Fix it at its source, {unvalidated}or set rejects_path to keep "
        "rejected records in a file, each with what Databox said of it, and go on."
    )
