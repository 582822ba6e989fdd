"""Decides when to poll an ingestion, learning from earlier polls, and when to give up. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from target_databox.api.values import IngestionStatus
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.outcomes import BatchNotStored, RunFails
from target_databox.delivery.rejections import Cause, Reason, code_and_message

if TYPE_CHECKING:
    from target_databox.api.values import Ingestion, IngestionEntry
    from target_databox.delivery.batches import Batch
    from target_databox.delivery.outcomes import Outcome

FIRST_SECONDS = 0.1
# A poll that comes too early costs a request, one that comes late only time. With these two factors the delay
# settles where about one poll in eighty is too early.
GROWTH = 1.25
SHRINK = 0.9972
# An ingestion that is still pending is polled again at this multiple of its age.
AGE_GROWTH = 1.5
# When the delay has reached this, other ingestions are polled as well: the first one may be stuck.
PROBE_SECONDS = 5.0
LONGEST_STEP_SECONDS = 30.0

SLOW: Final = "raise confirmation_timeout_seconds if Databox is slow"


class PollDelay:
    """How long after its acceptance an ingestion is polled.

    Until the first outcome the delay starts low and doubles, and one ingestion is polled at a time. After
    that it follows the longer processing times, so that one poll is nearly always enough.
    """

    def __init__(self) -> None:
        self.seconds = FIRST_SECONDS
        self.is_learned = False

    @property
    def asks_many(self) -> bool:
        """Whether several ingestions may be polled at once."""
        return self.is_learned or self.seconds >= PROBE_SECONDS

    def asked(self, age_seconds: float, *, done: bool, is_first: bool = True) -> None:
        """Learn from one poll.

        Args:
            age_seconds: Time between the acceptance and the poll.
            done: Whether the outcome was known.
            is_first: Whether it was the first poll of that ingestion. Later polls of one that is stuck say
                nothing about the others.
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
        """The age at which to poll an ingestion again; exactly one poll is made at the timeout itself."""
        step_end = min(age_seconds * AGE_GROWTH, age_seconds + LONGEST_STEP_SECONDS)
        later = max(self.seconds, step_end, age_seconds + 0.05)
        return min(later, timeout_seconds) if age_seconds < timeout_seconds else later


def learn(delay: PollDelay, batch: Batch, now: float) -> None:
    """Learn from a batch whose outcome is known how long processing takes."""
    # The age leaves out the poll's wait for the budget, which differs from poll to poll.
    delay.asked(batch.age_seconds(now), done=True)
    batch.lane.counts.confirmations += 1
    batch.lane.counts.confirmation_seconds += now - batch.accepted_at


def still_pending(
    delay: PollDelay, batch: Batch, finding: str, advice: str, now: float, timeout_seconds: float
) -> list[Outcome]:
    """Learn from a batch that is still pending; the run fails once its time is up."""
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
    """The outcome of an ingestion that failed.

    Args:
        batch: Its batch.
        ingestion: Its detail; None if only the list was read.
        is_nothing_stored: Whether certainly none of its rows is stored.
    """
    problems = ingestion.errors if ingestion is not None else ()
    request_id = ingestion.request_id if ingestion is not None else None
    code, message = code_and_message(problems, "the ingestion failed")
    cause = Cause(Reason.FAILED, code, message, request_id, batch.ingestion_id)
    return BatchNotStored(batch, cause, is_nothing_stored=is_nothing_stored, may_pass=True)


def shown(one: Ingestion | IngestionEntry) -> str:
    """An ingestion's status as a clause, such as `as processing`."""
    if one.status is not IngestionStatus.UNKNOWN:
        return f"as {one.word or 'pending'}"
    return "without a status" if one.word is None else f"with the unknown status '{one.word}'"
