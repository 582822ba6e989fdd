"""Determines the outcome of accepted batches by reading each ingestion (`confirmation: rows`). Pure.

Polling uses the same budget as loading, so ideally each ingestion is polled once: the delay before the poll
follows the processing times seen so far. Until one is known, only one batch is polled at a time.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, Final

from target_databox.api.errors import MissingError, TransientError
from target_databox.api.values import Ingestion, IngestionStatus
from target_databox.delivery.attempts import Attempts
from target_databox.delivery.awaiting import SLOW, failure, learn, shown, still_pending
from target_databox.delivery.batches import NEVER
from target_databox.delivery.named_rows import named_rows
from target_databox.delivery.outcomes import BatchNotStored, BatchPartlyStored, BatchStored, RunFails
from target_databox.delivery.rejections import Cause, Reason, code_and_message
from target_databox.delivery.requests import BLOCKED, AskOutcome

if TYPE_CHECKING:
    from target_databox.api.values import ApiProblem
    from target_databox.delivery.awaiting import PollDelay
    from target_databox.delivery.batches import Batch
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.notes import Notes
    from target_databox.delivery.outcomes import Outcome
    from target_databox.delivery.requests import Blocked, Scheduler

# Warnings about unknown status words, for an API that uses a new one for every ingestion.
MOST_NOTED_WORDS: Final = 5
COUNTLESS: Final = f"{SLOW}, or set `confirmation: status` if it gives no counts"


class Confirmation:
    """Polls ingestions, of all datasets.

    Args:
        settings: How long to poll.
        scheduler: Decides when requests start.
        delay: How long after its acceptance an ingestion is polled.
        notes: Lines for the log.
    """

    def __init__(
        self, settings: DeliverySettings, scheduler: Scheduler, delay: PollDelay, notes: Notes
    ) -> None:
        self._settings = settings
        self._scheduler = scheduler
        self._delay = delay
        # Batches that were not polled yet, oldest first; the others by the time of their next poll.
        self._unasked: deque[Batch] = deque()
        self._again: list[tuple[float, int, Batch]] = []
        self._order = itertools.count()
        self._probe: Batch | None = None
        self._notes = notes
        self._noted_words: set[str | None] = set()

    def accept(self, batch: Batch) -> None:
        """Add a batch that was accepted."""
        self._unasked.append(batch)

    def question(self, now: float) -> AskOutcome | Blocked | None:
        """The poll that is due, if any."""
        first = self._unasked[0] if self._unasked else None
        again = self._again[0] if self._again else None
        first_at = NEVER
        if first is not None and (self._delay.asks_many or self._probe is None):
            first_at = first.accepted_at + self._delay.seconds
        again_at = again[0] if again is not None else NEVER
        due_at = min(first_at, again_at)
        if due_at > now:
            self._scheduler.later(due_at)
            return None
        batch = again[2] if again is not None and again_at <= first_at else first
        if batch is None:
            return None
        if not self._scheduler.may_start(batch.lane, due_at, now):
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
        """The outcomes that follow from the response to a poll; none while the ingestion is pending."""
        if isinstance(answer, TransientError):
            is_planned = self._scheduler.plan(batch.lane, batch.asking, answer, now)
            self._ask_again(batch, batch.asking.due_at)
            return [] if is_planned else [RunFails(answer)]
        if isinstance(answer, Ingestion):
            batch.asking.succeeded()
            return self._judge(batch, answer, now)
        if isinstance(answer, MissingError):
            batch.asking.succeeded()
            return self._still_pending(batch, "Databox does not know the ingestion", SLOW, now)
        return [RunFails(answer)] if isinstance(answer, BaseException) else []

    def _judge(self, batch: Batch, ingestion: Ingestion, now: float) -> list[Outcome]:
        sent = len(batch.rows)
        stored = None
        if ingestion.appended is not None and ingestion.overwritten is not None:
            stored = ingestion.appended + ingestion.overwritten
        if ingestion.status is IngestionStatus.FAILED:
            learn(self._delay, batch, now)
            return [failure(batch, ingestion, is_nothing_stored=stored == 0)]
        adds_up = (
            stored is not None
            and ingestion.rejected is not None
            and ingestion.received == sent == stored + ingestion.rejected
        )
        if not adds_up or ingestion.status is IngestionStatus.PENDING:
            return self._still_pending(batch, *_finding(ingestion, sent), now)
        if ingestion.status is IngestionStatus.UNKNOWN:
            self._note_word(batch, ingestion)
        learn(self._delay, batch, now)
        batch.lane.counts.hold(ingestion.dataset_rows, ingestion.dataset_columns)
        appended, overwritten = ingestion.appended or 0, ingestion.overwritten or 0
        if not ingestion.rejected:
            return [BatchStored(batch, appended, overwritten)]
        named = named_rows(batch.rows, ingestion.errors, ingestion.rejected)
        if named is not None:
            rejected = tuple((row, _cause_of(problem, ingestion)) for row, problem in named)
            return [BatchPartlyStored(batch, rejected, appended, overwritten)]
        code, message = code_and_message(ingestion.errors, _no_reason(ingestion.rejected, sent))
        cause = Cause(Reason.REJECTED, code, message, ingestion.request_id, ingestion.id)
        return [
            BatchNotStored(
                batch, cause, is_nothing_stored=not stored, appended=appended, overwritten=overwritten
            )
        ]

    def _ask_again(self, batch: Batch, at: float) -> None:
        batch.asking.due_at = at
        heapq.heappush(self._again, (at, next(self._order), batch))

    def _note_word(self, batch: Batch, ingestion: Ingestion) -> None:
        if ingestion.word in self._noted_words or len(self._noted_words) >= MOST_NOTED_WORDS:
            return
        self._noted_words.add(ingestion.word)
        self._notes.warning(
            "Databox shows an ingestion of %s %s. It counts as processed, like others of that kind, since "
            "its counts add up to the rows sent.",
            batch.lane.destination,
            shown(ingestion),
        )

    def _still_pending(self, batch: Batch, finding: str, advice: str, now: float) -> list[Outcome]:
        age, timeout = batch.age_seconds(now), self._settings.confirmation_timeout_seconds
        failures = still_pending(self._delay, batch, finding, advice, now, timeout)
        if not failures:
            self._ask_again(batch, now + self._delay.again(age, timeout) - age)
        return failures


def _cause_of(problem: ApiProblem, ingestion: Ingestion) -> Cause:
    code, message = code_and_message((problem,), "the API gave no reason")
    return Cause(Reason.REJECTED, code, message, ingestion.request_id, ingestion.id)


def _no_reason(rejected: int, sent: int) -> str:
    which = "this row" if sent == 1 else f"{rejected} of {sent} rows"
    return f"Databox does not say why it rejected {which}"


def _finding(ingestion: Ingestion, sent: int) -> tuple[str, str]:
    """Why an ingestion's detail does not confirm its rows yet, and what to do if it never does."""
    record = f"its record shows it {shown(ingestion)}"
    if ingestion.status is IngestionStatus.PENDING:
        return record, SLOW
    counts = (ingestion.received, ingestion.appended, ingestion.overwritten, ingestion.rejected)
    what, advice = "no counts that can be read", COUNTLESS
    if None not in counts:
        each = "received {}, appended {}, overwritten {}, rejected {}".format(*counts)
        what, advice = f"counts that don't add up to the {sent} rows sent ({each})", SLOW
    is_done = ingestion.status is IngestionStatus.DONE
    return f"its record has {what}" if is_done else f"{record}, and has {what}", advice
