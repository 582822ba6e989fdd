"""Awaiting an ingestion's outcome: when to ask, learned from the answers so far, and for how long. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from target_databox.api.values import IngestionStatus
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.outcomes import BatchNotStored, RunFails
from target_databox.delivery.rejections import Cause, Reason, said

if TYPE_CHECKING:
    from target_databox.api.values import Ingestion, IngestionEntry
    from target_databox.delivery.batches import Batch
    from target_databox.delivery.outcomes import Outcome

FIRST_SECONDS = 0.1
# Missing costs a request, waiting costs only time: these two settle where about one question in eighty comes
# too early.
GROWTH = 1.25
SHRINK = 0.9972
PATIENCE = 1.5
# From here on the first ingestion is not waited for before others are asked about: it may be stuck.
PROBE_SECONDS = 5.0
LONGEST_STEP_SECONDS = 30.0

SLOW: Final = "raise confirmation_timeout_seconds if Databox is slow"


class PollDelay:
    """How long after its acceptance an ingestion is asked about.

    Starts low and doubles until the first outcome is seen, one ingestion asked at a time; then follows the
    slow end of the processing times, so that asking once is nearly always enough.
    """

    def __init__(self) -> None:
        self.seconds = FIRST_SECONDS
        self.is_learned = False

    @property
    def asks_many(self) -> bool:
        """Whether more than one ingestion may be asked about before its outcome."""
        return self.is_learned or self.seconds >= PROBE_SECONDS

    def asked(self, age_seconds: float, *, done: bool, is_first: bool = True) -> None:
        """Learn from one question.

        Args:
            age_seconds: Time between the acceptance and the question.
            done: Whether the outcome was there.
            is_first: Whether it was the first question about that ingestion. One that is stuck, and asked
                about again and again, says nothing about the others.
        """
        if not done:
            if is_first or not self.is_learned:
                self.seconds = max(self.seconds, age_seconds * (GROWTH if self.is_learned else 2.0))
        elif not self.is_learned:
            self.is_learned = True
            self.seconds = max(age_seconds, FIRST_SECONDS)
        elif age_seconds <= self.seconds * GROWTH:
            self.seconds *= SHRINK

    def again(self, age_seconds: float, timeout_seconds: float) -> float:
        """The age at which to ask once more; the timeout itself is asked at exactly once."""
        later = max(
            self.seconds, min(age_seconds * PATIENCE, age_seconds + LONGEST_STEP_SECONDS), age_seconds + 0.05
        )
        return min(later, timeout_seconds) if age_seconds < timeout_seconds else later


def learn(delay: PollDelay, batch: Batch, now: float) -> None:
    """Learn from a batch whose outcome is known how long outcomes take."""
    # How long the question waited for the budget says nothing of the next one's.
    delay.asked(batch.age_seconds(now), done=True)
    batch.lane.counts.confirmations += 1
    batch.lane.counts.confirmation_seconds += now - batch.accepted_at


def still_pending(
    delay: PollDelay, batch: Batch, finding: str, advice: str, now: float, timeout_seconds: float
) -> list[Outcome]:
    """Learn from a batch that was asked about in vain; the run fails when its time is up."""
    age = batch.age_seconds(now)
    delay.asked(age, done=False, is_first=not batch.questions)
    batch.questions += 1
    if age < timeout_seconds:
        return []
    return [
        RunFails(
            UnconfirmedError(
                f"Ingestion {batch.ingestion_id} of {batch.lane.destination} is unconfirmed after "
                f"{timeout_seconds:g} s: {finding}. Its rows may or may not be stored, so no STATE passes "
                f"them; run again, or {advice}."
            )
        )
    ]


def failure(batch: Batch, ingestion: Ingestion | None, *, is_nothing_stored: bool) -> BatchNotStored:
    """An ingestion that failed, with what is known of it."""
    problems = ingestion.errors if ingestion is not None else ()
    request_id = ingestion.request_id if ingestion is not None else None
    code, message = said(problems, "the ingestion failed")
    cause = Cause(Reason.FAILED, code, message, request_id, batch.ingestion_id)
    return BatchNotStored(batch, cause, is_nothing_stored=is_nothing_stored, may_pass=True)


def shown(one: Ingestion | IngestionEntry) -> str:
    """How Databox shows an ingestion, as a clause with its status word."""
    if one.status is not IngestionStatus.UNKNOWN:
        return f"as {one.word or 'pending'}"
    return "without a status" if one.word is None else f"with the unknown status '{one.word}'"
