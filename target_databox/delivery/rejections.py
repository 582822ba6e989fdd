"""Collects rejected records with their reasons, and decides whether one ends the run. Pure."""

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
        value: Its word in the rejects file.
        words: What happened to the record, as the end of a sentence.
        is_ours: Whether it was found before sending, so that the message is ours and does not quote the API,
            whose messages may quote a row.
    """

    words: str
    is_ours: bool

    def __new__(cls, value: str, words: str, is_ours: bool) -> Reason:
        """Make a member from its word in the rejects file, its description and its origin."""
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
    """Why rows are not stored, as far as is known.

    Attributes:
        reason: The kind of reason.
        code: The API's code, or ours.
        message: One sentence, without values of rows.
        request_id: The API's id of the request; None if unknown.
        ingestion_id: The ingestion that rejected them, if any.
        status: The HTTP status of the response that refused them, if any.
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
        settings: Whether rejected records are kept, and how many are allowed.

    Attributes:
        outbox: Rejected records that are not written to the file yet.
        cutoff: Line number of the record that ends the run; only rows up to that line are still sent.
    """

    def __init__(self, settings: DeliverySettings) -> None:
        self.outbox: list[Rejection] = []
        self.cutoff: int | None = None
        self._settings = settings
        self._count = 0

    def add(self, rejection: Rejection) -> RejectedError | RejectsLimitError | None:
        """Add a rejected record.

        Returns:
            Why the run ends, if it does: at this record (`cutoff`), or because there are too many.
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


def code_and_message(problems: tuple[ApiProblem, ...], otherwise: str) -> tuple[str | None, str]:
    """The code and the message of the first problem that has either.

    Args:
        problems: The API's problems.
        otherwise: The message if there is none.
    """
    for problem in problems:
        if problem.code or problem.message:
            message = problem.message or problem.code or ""
            if problem.field:
                message = f"{message.rstrip('.')} (field {problem.field})"
            return problem.code, message
    return None, otherwise


def _limit_error(rejection: Rejection, count: int, limit: int) -> RejectsLimitError:
    what = "1 record was" if count == 1 else f"{count} records were"
    return RejectsLimitError(
        f"{what} rejected, more than rejects_limit ({limit}) allows; the last one of "
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
