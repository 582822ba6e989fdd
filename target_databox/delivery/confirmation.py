"""Learns what became of accepted batches by reading each ingestion's own record (`confirmation: rows`). Pure.

Asking spends the same budget as loading, so an ingestion is asked about once, if it can be helped: the delay
before the question follows the processing times seen so far. Before any is known, one batch is asked about
for all.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING

from target_databox.api.errors import MissingError, TransientError
from target_databox.api.shapes import Ingestion, IngestionStatus
from target_databox.delivery.attempts import Attempts
from target_databox.delivery.awaiting import failure, learn, still_pending
from target_databox.delivery.batches import NEVER
from target_databox.delivery.outcomes import BatchNotStored, BatchStored, RunFails
from target_databox.delivery.rejections import Cause, Reason, said
from target_databox.delivery.requests import BLOCKED, AskOutcome

if TYPE_CHECKING:
    from target_databox.delivery.awaiting import PollDelay
    from target_databox.delivery.batches import Batch
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.outcomes import Outcome
    from target_databox.delivery.requests import Blocked, Turns


class Confirmation:
    """The batches whose ingestion is read by itself, of all datasets.

    Args:
        settings: How long to try.
        turns: Where every request gets its turn.
        delay: When to ask.
    """

    def __init__(self, settings: DeliverySettings, turns: Turns, delay: PollDelay) -> None:
        self._settings = settings
        self._turns = turns
        self._delay = delay
        # Accepted batches nobody asked about yet, oldest first; the others by when to ask again.
        self._unasked: deque[Batch] = deque()
        self._again: list[tuple[float, int, Batch]] = []
        self._order = itertools.count()
        self._probe: Batch | None = None

    def accept(self, batch: Batch) -> None:
        """Take in a batch that has an ingestion."""
        self._unasked.append(batch)

    def question(self, now: float) -> AskOutcome | Blocked | None:
        """The question that is due, if any."""
        first = self._unasked[0] if self._unasked else None
        again = self._again[0] if self._again else None
        first_at = NEVER
        if first is not None and (self._delay.asks_many or self._probe is None):
            first_at = first.accepted_at + self._delay.seconds
        again_at = again[0] if again is not None else NEVER
        due_at = min(first_at, again_at)
        if due_at > now:
            self._turns.later(due_at)
            return None
        batch = again[2] if again is not None and again_at <= first_at else first
        if batch is None:
            return None
        if not self._turns.lets(batch.lane, due_at, now):
            return BLOCKED
        if batch is first:
            self._unasked.popleft()
            batch.asking = Attempts(due_at)
            if not self._delay.is_learned:
                self._probe = batch
        else:
            heapq.heappop(self._again)
        batch.asking.started(now)
        return AskOutcome(batch.lane, batch, batch.ingestion_id or "")

    def answered(self, batch: Batch, answer: object, now: float) -> list[Outcome]:
        """What the answer to a question amounts to; nothing while the ingestion is pending."""
        if isinstance(answer, TransientError):
            is_planned = self._turns.plan(batch.lane, batch.asking, answer, now)
            self._ask_again(batch, batch.asking.due_at)
            return [] if is_planned else [RunFails(answer)]
        if isinstance(answer, Ingestion):
            batch.asking.succeeded()
            return self._judge(batch, answer, now)
        if isinstance(answer, MissingError):
            batch.asking.succeeded()
            return self._still_pending(batch, "Databox does not know the ingestion", now)
        return [RunFails(answer)] if isinstance(answer, BaseException) else []

    def _judge(self, batch: Batch, ingestion: Ingestion, now: float) -> list[Outcome]:
        sent = len(batch.rows)
        stored = None
        if ingestion.appended is not None and ingestion.overwritten is not None:
            stored = ingestion.appended + ingestion.overwritten
        if ingestion.status is IngestionStatus.FAILED:
            self._learn(batch, now)
            return [failure(batch, ingestion, is_nothing_stored=stored == 0)]
        adds_up = (
            ingestion.status is IngestionStatus.DONE
            and stored is not None
            and ingestion.rejected is not None
            and ingestion.received == sent == stored + ingestion.rejected
        )
        if not adds_up:
            counts = (
                f"counts that don't add up to the {sent} rows sent" if stored is not None else "no counts yet"
            )
            return self._still_pending(batch, f"its record has {counts}", now)
        self._learn(batch, now)
        appended, overwritten = ingestion.appended or 0, ingestion.overwritten or 0
        if not ingestion.rejected:
            return [BatchStored(batch, appended, overwritten)]
        code, message = said(
            ingestion.errors, f"{ingestion.rejected} of {sent} rows of the ingestion were rejected"
        )
        cause = Cause(Reason.REJECTED, code, message, ingestion.request_id, ingestion.id)
        return [
            BatchNotStored(
                batch, cause, is_nothing_stored=not stored, appended=appended, overwritten=overwritten
            )
        ]

    def _ask_again(self, batch: Batch, at: float) -> None:
        batch.asking.due_at = at
        heapq.heappush(self._again, (at, next(self._order), batch))

    def _learn(self, batch: Batch, now: float) -> None:
        learn(self._delay, batch, now)
        self._probe = None

    def _still_pending(self, batch: Batch, finding: str, now: float) -> list[Outcome]:
        age, timeout = batch.age_seconds(now), self._settings.confirmation_timeout_seconds
        failures = still_pending(self._delay, batch, finding, now, timeout)
        if not failures:
            self._ask_again(batch, now + self._delay.again(age, timeout) - age)
        return failures
