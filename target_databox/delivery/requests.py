"""The requests of a delivery; decides when each may start and whether it is tried again. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from target_databox.api.errors import ThrottledError
from target_databox.delivery.background import IngestionDetail, ListPage
from target_databox.delivery.batches import NEVER

if TYPE_CHECKING:
    from target_databox.api.errors import TransientError
    from target_databox.api.retries import RetryRule
    from target_databox.delivery.attempts import Attempts
    from target_databox.delivery.background import Task
    from target_databox.delivery.batches import Batch, Lane
    from target_databox.delivery.interfaces import Budget
    from target_databox.delivery.notes import Notes

# At most one line about failures in this time; a server that is down fails every request.
QUIET_SECONDS: Final = 10.0


@dataclass(frozen=True)
class PostRows:
    """Send a batch."""

    lane: Lane
    batch: Batch


@dataclass(frozen=True)
class AskOutcome:
    """Read the ingestion of a batch."""

    lane: Lane
    batch: Batch
    ingestion_id: str


@dataclass(frozen=True)
class ReadList:
    """Read a page of the list of ingestions, for a background task; without one, to confirm batches."""

    lane: Lane
    task: Task | None
    page: int


@dataclass(frozen=True)
class ReadIngestion:
    """Read an ingestion for a background task."""

    lane: Lane
    task: Task
    ingestion_id: str


@dataclass(frozen=True)
class Purge:
    """Purge a dataset."""

    lane: Lane
    task: Task
    idempotency_key: str


Request: TypeAlias = PostRows | AskOutcome | ReadIngestion | ReadList | Purge


def request_of(lane: Lane, task: Task) -> ReadList | ReadIngestion | Purge:
    """The request that a task makes next."""
    question = task.question()
    if isinstance(question, ListPage):
        return ReadList(lane, task, question.page)
    if isinstance(question, IngestionDetail):
        return ReadIngestion(lane, task, question.ingestion_id)
    return Purge(lane, task, question.idempotency_key)


class Blocked:
    """A request is due, but the budget does not allow it yet."""


BLOCKED: Final = Blocked()


class Scheduler:
    """Decides when requests start within the budget, and plans another try for those that failed.

    Args:
        budget: Requests that the API key may still make.
        rule: Whether and when a request that failed is tried again.
        notes: Lines for the log.

    Attributes:
        wake_at: The earliest time at which something may be due, according to the calls since `begin`.
    """

    def __init__(self, budget: Budget, rule: RetryRule, notes: Notes) -> None:
        self.wake_at = NEVER
        self._budget = budget
        self._rule = rule
        self._notes = notes
        self._blocked_since: float | None = None
        self._noted_at = float("-inf")
        self._unnoted = 0

    def begin(self) -> None:
        """Begin a new search for a request that is due."""
        self.wake_at = NEVER

    def later(self, at: float) -> None:
        """Note that something is due at a time."""
        self.wake_at = min(self.wake_at, at)

    def may_start(self, lane: Lane, due_at: float, now: float, reserve: int = 0) -> bool:
        """Whether a request may start now; if so, it is taken from the budget.

        Args:
            lane: The dataset to whose counts the request and its wait are added.
            due_at: Since when it has been due.
            now: The current time.
            reserve: Further requests that the budget must still cover.
        """
        at = self._budget.take(now, reserve)
        if at > 0:
            self.later(at)
            if self._blocked_since is None:
                self._blocked_since = now
            return False
        if self._blocked_since is not None:
            lane.counts.throttled_seconds += now - max(self._blocked_since, due_at)
            self._blocked_since = None
        lane.counts.requests += 1
        return True

    def refused(self, now: float, retry_after_seconds: float | None) -> None:
        """Slow down after a 429."""
        warning = self._budget.refused(now, retry_after_seconds)
        if warning is not None:
            self._notes.warning("%s", warning)

    def succeeded(self) -> None:
        """Speed up after any other response."""
        self._budget.succeeded()

    def plan(self, lane: Lane, attempts: Attempts, error: TransientError, now: float) -> bool:
        """Plan another try of a request; False if it has failed for too long."""
        if isinstance(error, ThrottledError):
            # The budget decides how long to wait, and that wait does not count as failing.
            attempts.throttled(now)
            return True
        failing_seconds = attempts.failed(now)
        decision = self._rule.after(error, attempts.tries, failing_seconds)
        # Planned even if the run now ends: outcomes are still polled while there is time to shut down.
        attempts.due_at = now + decision.wait_seconds
        if not decision.again:
            error.give_up(decision.reason)
            return False
        lane.counts.retries += 1
        self._note(lane, error, decision.wait_seconds, now)
        return True

    def _note(self, lane: Lane, error: TransientError, wait_seconds: float, now: float) -> None:
        if now - self._noted_at < QUIET_SECONDS:
            self._unnoted += 1
            return
        more = f" ({self._unnoted} other requests failed since the last such line)" if self._unnoted else ""
        self._notes.warning(
            "A request for %s will be tried again in %.1f s: %s%s",
            lane.destination,
            wait_seconds,
            error.happened,
            more,
        )
        self._noted_at, self._unnoted = now, 0
