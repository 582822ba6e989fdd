"""Determines the outcome of accepted batches from the list of ingestions, many with one request. Pure.

This is `confirmation: status`. A list that does not show new ingestions within a page or two is called blind;
each ingestion is then read by itself instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from target_databox.api.errors import DataboxError, TransientError
from target_databox.api.values import IngestionsPage, IngestionStatus
from target_databox.delivery.attempts import Attempts
from target_databox.delivery.awaiting import SLOW, failure, learn, shown, still_pending
from target_databox.delivery.background import CLOCK_TOLERANCE_SECONDS
from target_databox.delivery.batches import NEVER
from target_databox.delivery.listing import ListWalk
from target_databox.delivery.outcomes import BatchNotStored, BatchStored, ListIsBlind, RunFails
from target_databox.delivery.requests import BLOCKED, ReadList

if TYPE_CHECKING:
    from collections import OrderedDict

    from target_databox.delivery.awaiting import PollDelay
    from target_databox.delivery.batches import Batch, Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.outcomes import Outcome
    from target_databox.delivery.requests import Blocked, Scheduler

# The list is read for this many new batches, or after this time.
MOST_BATCHES: Final = 20
LONGEST_INTERVAL_SECONDS: Final = 2.0
SHORTEST_INTERVAL_SECONDS: Final = 0.05
WORDLESS: Final = f"{SLOW}, or set `confirmation: rows`, which goes by counts and not by words"


class ListReading:
    """The repeated reading of one dataset's list.

    Args:
        accepted: The batches whose outcome is awaited, by ingestion id, oldest first; changes during the run.
        lag_seconds: How long a new ingestion may be missing from the list.
        timeout_seconds: How long one walk over the list may take.

    Attributes:
        attempts: Tries of the next page.
        is_away: Whether a page is being read.
        is_blind: Whether the list does not show new ingestions.
        accepted_so_far: Batches accepted since the run began.
    """

    def __init__(
        self, accepted: OrderedDict[str, Batch], *, lag_seconds: float, timeout_seconds: float
    ) -> None:
        self.attempts = Attempts(0.0)
        self.is_away = False
        self.is_blind = False
        self.accepted_so_far = 0
        self._accepted = accepted
        self._lag_seconds = lag_seconds
        self._timeout_seconds = timeout_seconds
        self._read_at = float("-inf")
        self._walk: ListWalk | None = None
        self._walk_began_at = 0.0
        self._last: ListWalk | None = None
        self._seen_own = False
        self._was_fruitful = True
        self._accepted_then = 0

    def due_at(self, delay_seconds: float, *, is_last: bool = False) -> float:
        """When the list should be read next; infinite while nothing is awaited.

        Args:
            delay_seconds: How long after its acceptance a batch probably has its outcome.
            is_last: Whether no more batches will come; then the list is read when the last one is expected.
        """
        if self._walk is not None:
            return self.attempts.due_at
        if not self._accepted:
            return NEVER
        at = next(iter(self._accepted.values())).accepted_at + delay_seconds
        if self.accepted_so_far - self._accepted_then < MOST_BATCHES or not self._was_fruitful:
            at = max(at, self._read_at + LONGEST_INTERVAL_SECONDS)
        if is_last and self._was_fruitful:
            at = min(at, next(reversed(self._accepted.values())).accepted_at + delay_seconds)
        self.attempts.due_at = max(at, self._read_at + SHORTEST_INTERVAL_SECONDS)
        return self.attempts.due_at

    @property
    def is_walking(self) -> bool:
        """Whether the current walk goes on with another page."""
        return self._walk is not None

    def page(self) -> int:
        """The page to read next."""
        if self._walk is None:
            self._accepted_then = self.accepted_so_far
            self._walk = ListWalk(self._since(), before=self._last)
            self._walk_began_at = self.attempts.due_at
            self._seen_own = False
            self._was_fruitful = False
        return self._walk.page() or 1

    def _since(self) -> float | None:
        """Server's time before which no awaited ingestion was created; None if unknown."""
        oldest = next(iter(self._accepted.values()))
        # A recognised resend has the ingestion of its first copy, which may be older than its acceptance.
        recognised = [each for each in self._accepted.values() if each.was_recognised]
        times = [each.posted_after for each in (oldest, *recognised)]
        known = [at for at in times if at is not None]
        return min(known) - CLOCK_TOLERANCE_SECONDS if len(known) == len(times) else None

    def read(self, page: IngestionsPage, now: float, *, due: set[str]) -> None:
        """Take a page.

        Args:
            page: The page.
            now: The current time.
            due: Ingestions that should have their outcome by now.
        """
        walk = self._walk
        if walk is None:
            return
        own = [entry for entry in page.entries if entry.id in self._accepted]
        walk.read(page)
        self._seen_own |= bool(own)
        self._was_fruitful |= any(
            entry.status in (IngestionStatus.DONE, IngestionStatus.FAILED) for entry in own
        )
        self.attempts.due_at = now
        unseen = due - walk.entries.keys()
        has_time = now - self._walk_began_at < self._timeout_seconds
        if unseen and has_time and walk.page() is not None and (self._seen_own or walk.pages_read < 2):
            return
        self.is_blind = any(
            self._accepted[missing].age_seconds(now) > self._lag_seconds
            for missing in unseen
            if missing in self._accepted
        )
        self._last, self._walk = walk, None
        self._read_at = now


class ConfirmationByList:
    """Confirms batches by the list of ingestions, in all datasets whose list is not blind.

    Args:
        settings: Whether the list is used, and how long to wait for an outcome.
        scheduler: Decides when requests start.
        delay: How long after its acceptance a batch probably has its outcome.
    """

    def __init__(self, settings: DeliverySettings, scheduler: Scheduler, delay: PollDelay) -> None:
        self._settings = settings
        self._scheduler = scheduler
        self._delay = delay
        self._readings: dict[Lane, ListReading] = {}

    def begin(self, lane: Lane) -> None:
        """Prepare for the batches of a new dataset."""
        if self._settings.confirmation == "status":
            self._readings[lane] = ListReading(
                lane.accepted,
                lag_seconds=self._settings.listing_lag_seconds,
                timeout_seconds=self._settings.confirmation_timeout_seconds,
            )

    def confirms(self, lane: Lane) -> bool:
        """Whether the batches of a dataset are confirmed by its list."""
        return lane in self._readings

    def accept(self, batch: Batch) -> None:
        """Count a batch that was accepted."""
        self._readings[batch.lane].accepted_so_far += 1

    def request(self, now: float, *, is_draining: bool) -> ReadList | Blocked | None:
        """The page that is due, if any."""
        for lane, reading in self._readings.items():
            if reading.is_away:
                continue
            is_last = is_draining and lane.has_all_accepted
            due_at = reading.due_at(self._expected_seconds, is_last=is_last)
            if due_at > now:
                self._scheduler.later(due_at)
                continue
            if not self._scheduler.may_start(lane, due_at, now):
                return BLOCKED
            reading.is_away = True
            reading.attempts.started(now)
            for batch in lane.accepted.values():
                # This request is a poll of every batch, and waits for the budget count towards no timeout.
                batch.asking.waited_seconds += now - max(due_at, batch.accepted_at)
            return ReadList(lane, None, reading.page())
        return None

    def answered(self, lane: Lane, answer: object, now: float) -> list[Outcome]:
        """The outcomes that follow from a page."""
        reading = self._readings[lane]
        reading.is_away = False
        if isinstance(answer, TransientError):
            is_planned = self._scheduler.plan(lane, reading.attempts, answer, now)
            return [] if is_planned else [RunFails(answer)]
        if isinstance(answer, DataboxError):
            return [RunFails(answer)]
        if not isinstance(answer, IngestionsPage):
            return []
        reading.attempts.succeeded()
        expected = self._expected(lane, now)
        reading.read(answer, now, due=expected)
        outcomes = self._judge_listed(lane, answer, expected, now)
        if reading.is_blind:
            del self._readings[lane]
            return [*outcomes, ListIsBlind(lane)]
        if not reading.is_walking:
            outcomes += self._judge_unlisted(lane, outcomes, now)
        return outcomes

    def _expected(self, lane: Lane, now: float) -> set[str]:
        return {
            ingestion_id
            for ingestion_id, batch in lane.accepted.items()
            if batch.age_seconds(now) >= self._expected_seconds
        }

    @property
    def _expected_seconds(self) -> float:
        # Before the first outcome the delay doubles; it must not pass the timeout, when the list is read too.
        return min(self._delay.seconds, self._settings.confirmation_timeout_seconds)

    def _judge_listed(
        self, lane: Lane, page: IngestionsPage, expected: set[str], now: float
    ) -> list[Outcome]:
        outcomes: list[Outcome] = []
        entries = {entry.id: entry for entry in page.entries}
        for entry in entries.values():
            batch = lane.accepted.get(entry.id)
            if batch is None:
                continue
            if entry.status is IngestionStatus.DONE:
                learn(self._delay, batch, now)
                outcomes.append(BatchStored(batch))
            elif entry.status is IngestionStatus.FAILED:
                learn(self._delay, batch, now)
                outcomes.append(failure(batch, None, is_nothing_stored=False))
            elif entry.id in expected:
                advice = WORDLESS if entry.status is IngestionStatus.UNKNOWN else SLOW
                finding = f"the list of ingestions shows it {shown(entry)}"
                outcomes += self._still_pending(batch, finding, advice, now)
        return outcomes

    def _judge_unlisted(self, lane: Lane, judged: list[Outcome], now: float) -> list[Outcome]:
        timeout = self._settings.confirmation_timeout_seconds
        done = {outcome.batch for outcome in judged if isinstance(outcome, (BatchStored, BatchNotStored))}
        outcomes: list[Outcome] = []
        for batch in lane.accepted.values():
            if batch not in done and batch.age_seconds(now) >= timeout:
                finding = "the list of ingestions does not show its outcome"
                outcomes += self._still_pending(batch, finding, SLOW, now)
        return outcomes

    def _still_pending(self, batch: Batch, finding: str, advice: str, now: float) -> list[Outcome]:
        timeout = self._settings.confirmation_timeout_seconds
        return still_pending(self._delay, batch, finding, advice, now, timeout)
