"""Judges batches that the API doesn't take whole: halved to find the bad rows, sent once more, or reported.

A batch that was refused, or whose ingestion rejected rows, is halved where that is safe: nothing of it is
stored, or the dataset has keys, so that a row may be sent again. Both halves are sent, and each is judged by
its own outcome: a row is bad only when it was refused alone. Elsewhere the whole batch is *suspect*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.delivery.batches import key_text
from target_databox.delivery.errors import RejectedError, RejectsLimitError
from target_databox.delivery.model import Batch, Reject, Verdict

if TYPE_CHECKING:
    from target_databox.api.errors import RefusedError
    from target_databox.api.shapes import ApiProblem, Ingestion
    from target_databox.delivery.batches import Row
    from target_databox.delivery.course import Course
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.ledger import Ledger
    from target_databox.delivery.model import Policy

_BLAME = {
    "refused": "refused by Databox",
    "rejected": "rejected by Databox",
    "failed": "not processed by Databox",
    "suspect": "perhaps not stored by Databox",
}


class Verdicts:
    """Judges batches by their outcomes.

    Args:
        policy: What is done with rejected records.
        lanes: All datasets; grows during the run.
        course: Ended by records that can't be kept, and by an API that takes nothing.
        ledger: Where rows get their outcome.

    Attributes:
        outbox: Rejected rows that are not written down yet.
        cutoff: Line of the record that ends the run; only rows up to that line are still sent.
    """

    def __init__(self, policy: Policy, lanes: list[Lane], *, course: Course, ledger: Ledger) -> None:
        self.outbox: list[Reject] = []
        self.cutoff: int | None = None
        self._policy = policy
        self._lanes = lanes
        self._course = course
        self._ledger = ledger
        self._rejected = 0

    def unsendable(self, lane: Lane, row: Row, reason: str, code: str, message: str) -> None:
        """A record is bad before it is sent."""
        self._reject(lane, row, Verdict(reason, code, message))

    def refused(self, batch: Batch, error: RefusedError, now: float) -> None:
        """A POST was answered with a final error: nothing of it is stored."""
        code, message = _said(error.problems, "the API gave no reason")
        verdict = Verdict("refused", code, message, error.request_id, status=error.status)
        self._bad(batch, verdict, now)

    def rejected(self, batch: Batch, ingestion: Ingestion, now: float) -> None:
        """An ingestion rejected some of its rows."""
        count = ingestion.rejected or 0
        code, message = _said(
            ingestion.errors, f"{count} of {len(batch.rows)} rows of the ingestion were rejected"
        )
        verdict = Verdict("rejected", code, message, ingestion.request_id, ingestion.id)
        is_stored_in_part = count < len(batch.rows)
        batch.was_counted |= is_stored_in_part
        if not is_stored_in_part or batch.lane.destination.resends_safely:
            self._bad(batch, verdict, now)
        else:
            self._suspect(batch, verdict, now)

    def failed(self, batch: Batch, ingestion: Ingestion | None, stored: int | None, now: float) -> None:
        """An ingestion failed: it is sent once more where that is safe, then counts as refused."""
        is_safe = stored == 0 or batch.lane.destination.resends_safely
        if is_safe and not batch.was_resent:
            batch.was_resent = True
            self._ledger.unlist(batch)
            self._send(batch, now)
            return
        problems = ingestion.errors if ingestion is not None else ()
        request_id = ingestion.request_id if ingestion is not None else None
        code, message = _said(problems, "the ingestion failed")
        verdict = Verdict("failed", code, message, request_id, batch.ingestion_id)
        if is_safe:
            self._bad(batch, verdict, now)
        else:
            self._suspect(batch, verdict, now)

    def stored(self, batch: Batch, now: float) -> None:
        """Every row of a batch is stored."""
        self._ledger.confirm(batch, now)

    def _bad(self, batch: Batch, verdict: Verdict, now: float) -> None:
        # Nothing of it is stored, or its rows may be sent again.
        self._ledger.unlist(batch)
        if len(batch.rows) == 1:
            row = batch.rows[0]
            batch.lane.queue.restore(row)
            self._reject(batch.lane, row, verdict)
            self._ledger.release(batch, now)
        elif self._is_worth_halving(batch):
            self._halve(batch, now)
        else:
            # The run ends before these rows: they stay without an outcome.
            self._ledger.give_up_place(batch)

    def _suspect(self, batch: Batch, verdict: Verdict, now: float) -> None:
        suspect = Verdict("suspect", verdict.code, verdict.message, verdict.request_id, verdict.ingestion_id)
        self._ledger.unlist(batch)
        for row in batch.rows:
            # What a suspect row had replaced can't be sent after it, nor taken for superseded: it goes along.
            replaced, row.older = row.older or [], None
            for each in (*replaced, row):
                self._reject(batch.lane, each, suspect)
        self._ledger.release(batch, now)

    def _is_worth_halving(self, batch: Batch) -> bool:
        cutoff = self.cutoff
        if cutoff is None:
            return True
        return any(each.number <= cutoff for row in batch.rows for each in (row, *row.replaced()))

    def _halve(self, batch: Batch, now: float) -> None:
        middle = (len(batch.rows) + 1) // 2
        batch.slot.parts += 1
        for rows in (batch.rows[:middle], batch.rows[middle:]):
            part = Batch(batch.lane, rows, batch.slot, now)
            part.hold = batch.hold
            part.was_counted = batch.was_counted
            self._send(part, now)

    @staticmethod
    def _send(batch: Batch, now: float) -> None:
        batch.posting.due_at = now
        batch.lane.resends.append(batch)

    def _reject(self, lane: Lane, row: Row, verdict: Verdict) -> None:
        self._rejected += 1
        lane.counts.rejected += 1
        reject = Reject(lane.destination, row, verdict)
        policy = self._policy
        if policy.keeps_rejects:
            self.outbox.append(reject)
            if self._rejected > policy.rejects_limit and not self._course.is_settling:
                self._course.stop_for(
                    RejectsLimitError(
                        f"{self._rejected} records were rejected, more than rejects_limit "
                        f"({policy.rejects_limit}) allows; the last one of {lane.destination}: "
                        f"{verdict.message}. What was rejected is in rejects_path; mend the cause, or raise "
                        "rejects_limit."
                    )
                )
            return
        if self.cutoff is None or row.number < self.cutoff:
            self.cutoff = row.number
            self._course.end_at_record(_rejected_error(reject))
            for each in self._lanes:
                each.queue.drop_from(row.number + 1)


def _said(problems: tuple[ApiProblem, ...], otherwise: str) -> tuple[str | None, str]:
    """The code and the words of the first problem that the API names."""
    for problem in problems:
        if problem.code or problem.message:
            where = f" (field {problem.field})" if problem.field else ""
            return problem.code, f"{problem.message or problem.code}{where}"
    return None, otherwise


def _rejected_error(reject: Reject) -> RejectedError:
    verdict = reject.verdict
    key = f", key {key_text(reject.row.key)}," if reject.row.key is not None else ""
    said = ", ".join(
        filter(
            None,
            [
                f"status {verdict.status}" if verdict.status else "",
                f"{verdict.code}: {verdict.message.rstrip('.')}"
                if verdict.code
                else verdict.message.rstrip("."),
                f"request id {verdict.request_id}" if verdict.request_id else "",
            ],
        )
    )
    return RejectedError(
        f"Record {reject.row.number}{key} of {reject.destination} was "
        f"{_BLAME.get(verdict.reason, 'rejected')} ({said}). Rows before it are delivered, no STATE passes "
        "it, and the next run meets it again. Mend it at its source, or set rejects_path to keep rejected "
        "records in a file and go on."
    )
