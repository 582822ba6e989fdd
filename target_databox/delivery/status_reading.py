"""Reads the list of ingestions again and again, so that one request confirms many batches. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.shapes import IngestionStatus
from target_databox.delivery.errands import CLOCK_TOLERANCE_SECONDS, Errand
from target_databox.delivery.model import ReadList
from target_databox.delivery.survey import Survey

if TYPE_CHECKING:
    from target_databox.api.shapes import IngestionsPage
    from target_databox.delivery.lane import Lane


class StatusReading(Errand):
    """Reads the list of ingestions again and again, to confirm many batches with one request.

    Attributes:
        is_blind: Whether the list does not show new ingestions, so that each has to be read by itself.
    """

    MOST_BATCHES = 20
    LONGEST_INTERVAL_SECONDS = 2.0

    def __init__(self, lane: Lane, *, lag_seconds: float, timeout_seconds: float) -> None:
        super().__init__(lane, 0.0)
        self.is_blind = False
        self._lag_seconds = lag_seconds
        self._timeout_seconds = timeout_seconds
        self._walk_began_at = 0.0
        self._read_at = float("-inf")
        self._survey: Survey | None = None
        self._last: Survey | None = None
        self._seen_own = False
        self._was_fruitful = True
        self._accepted_then = 0

    def due_at(self, delay_seconds: float, *, is_last: bool = False) -> float:
        """When the list should be read next; infinite while nothing is unconfirmed.

        Args:
            delay_seconds: How long after its acceptance an outcome is likely to be there.
            is_last: Whether no more batches will come, so that one reading can be the last.
        """
        if self._survey is not None or self.attempts.tries:
            return self.attempts.due_at
        accepted = self.lane.accepted
        if not accepted:
            return float("inf")
        at = next(iter(accepted.values())).accepted_at + delay_seconds
        if self._accepted_so_far - self._accepted_then < self.MOST_BATCHES or not self._was_fruitful:
            at = max(at, self._read_at + self.LONGEST_INTERVAL_SECONDS)
        if is_last and self._was_fruitful:
            at = min(at, next(reversed(accepted.values())).accepted_at + delay_seconds)
        self.attempts.due_at = max(at, self._read_at + 0.05)
        return self.attempts.due_at

    @property
    def is_walking(self) -> bool:
        """Whether a reading goes on with another page."""
        return self._survey is not None

    @property
    def _accepted_so_far(self) -> int:
        return self.lane.counts.confirmations + len(self.lane.accepted)

    def reading(self) -> ReadList:
        """The next page."""
        if self._survey is None:
            self._accepted_then = self._accepted_so_far
            oldest = next(iter(self.lane.accepted.values()))
            since = None if oldest.posted_after is None else oldest.posted_after - CLOCK_TOLERANCE_SECONDS
            self._survey = Survey(since, before=self._last)
            self._walk_began_at = self.attempts.due_at
            self._seen_own = False
            self._was_fruitful = False
        return ReadList(self.lane, self, self._survey.page() or 1)

    def listed(self, page: IngestionsPage, now: float, *, due: set[str]) -> None:
        """Take in a page.

        Args:
            page: The page.
            now: The present.
            due: Ingestions whose outcome is expected, before this page is taken for what it says of them.
        """
        survey = self._survey
        if survey is None:
            return
        own = [entry for entry in page.entries if entry.id in self.lane.accepted]
        survey.read(page)
        self._seen_own |= bool(own)
        self._was_fruitful |= any(
            entry.status in (IngestionStatus.DONE, IngestionStatus.FAILED) for entry in own
        )
        self.attempts.due_at = now
        unseen = due - survey.entries.keys()
        has_time = now - self._walk_began_at < self._timeout_seconds
        if unseen and has_time and survey.page() is not None and (self._seen_own or survey.pages_read < 2):
            return
        overdue = any(
            self.lane.accepted[missing].age_seconds(now) > self._lag_seconds
            for missing in unseen
            if missing in self.lane.accepted
        )
        self.is_blind = overdue
        self._last, self._survey = survey, None
        self._read_at = now
