"""What a dataset needs beside its rows: leftovers waited for, a purge, lost answers found. Pure.

An errand says when its next request is due and which one, and takes in the answer. What follows for the
dataset is the dispatcher's business: an errand only ends, with its finding in `ended`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from target_databox.api.shapes import IngestionStatus
from target_databox.delivery.model import Attempts, Purge, ReadIngestion, ReadList
from target_databox.delivery.survey import Survey

if TYPE_CHECKING:
    from target_databox.api.shapes import Ingestion, IngestionEntry, IngestionsPage
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.model import Batch, Hold, Request

# The server's clock is known from the Date header of an answer, perhaps of another machine of theirs.
# Too much makes a stranger's ingestion a candidate, which ends the run; too little would load rows twice.
CLOCK_TOLERANCE_SECONDS = 5.0
# Ingestions this old are taken for forgotten, not for pending.
LEFTOVER_HORIZON_SECONDS = 3600.0
LEFTOVER_MOST_PAGES = 50
FIRST_LOOK_SECONDS = 1.0
LONGEST_LOOK_SECONDS = 15.0
LOOK_GROWTH = 1.5


class Errand:
    """One thing to be done for a dataset.

    Attributes:
        attempts: When its next request is due.
        began_at: When its first request was due.
        is_away: Whether a request of it is on its way.
        ended: None while it goes on.
    """

    def __init__(self, lane: Lane, due_at: float) -> None:
        self.lane = lane
        self.attempts = Attempts(due_at)
        self.is_away = False
        self.ended: Literal["done", "late"] | None = None
        self.began_at = due_at
        self._waited_seconds = 0.0
        self._look_seconds = FIRST_LOOK_SECONDS

    def started(self, now: float) -> None:
        """Its request starts."""
        self.is_away = True
        self._waited_seconds += max(0.0, now - self.attempts.due_at)
        self.attempts.started(now)

    def request(self) -> Request:
        """The request that is due."""
        raise NotImplementedError

    def _go_on(self, now: float, timeout_seconds: float, *, wait: bool = False) -> None:
        """Plan the next request, at once or after a growing wait, or end when the time is up."""
        if now - self.began_at - self._waited_seconds >= timeout_seconds:
            self.ended = "late"
            return
        self.attempts.due_at = now
        if wait:
            self.attempts.due_at += self._look_seconds
            self._look_seconds = min(self._look_seconds * LOOK_GROWTH, LONGEST_LOOK_SECONDS)


class PurgeOnce(Errand):
    """Removes every row of the dataset; doing it twice before the first row is as good as once."""

    def request(self) -> Request:
        """The purge."""
        return Purge(self.lane, self)

    def purged(self) -> None:
        """The purge was done."""
        self.ended = "done"


class Settling(Errand):
    """Waits until ingestions that this run doesn't know are no longer pending.

    Only those that the first walk finds count: a second writer may always have new ones. So do only those
    that are not older than `since`, wherever in the list they are.

    Args:
        lane: The dataset.
        due_at: When the first walk may start.
        since: Server's time before which nothing matters; None when all does.
        timeout_seconds: How long to read and to wait for what is pending.
        holds: Held keys that this walk can release.
        most_pages: Pages after which a walk stops all the same.

    Attributes:
        found: Ingestions that the first walk found pending, and that still are; None before its end.
        seen: All ingestions that the newest walk saw.
        is_cut_short: Whether that walk left pages unread.
    """

    def __init__(
        self,
        lane: Lane,
        due_at: float,
        *,
        since: float | None,
        timeout_seconds: float,
        holds: tuple[Hold, ...] = (),
        most_pages: int | None = None,
    ) -> None:
        super().__init__(lane, due_at)
        self.holds = holds
        self.found: set[str] | None = None
        self.seen: set[str] = set()
        self.is_cut_short = False
        self._since = since
        self._timeout_seconds = timeout_seconds
        self._most_pages = most_pages
        self._survey = Survey(since, most_pages=most_pages)

    def request(self) -> Request:
        """The next page."""
        return ReadList(self.lane, self, self._survey.page() or 1)

    def listed(self, page: IngestionsPage, now: float) -> None:
        """Take in a page."""
        self._survey.read(page)
        if self._survey.page() is not None:
            self._go_on(now, self._timeout_seconds)
            return
        self.is_cut_short = self._survey.is_cut_short
        pending = {
            entry.id
            for entry in self._survey.entries.values()
            if entry.status in (IngestionStatus.PENDING, IngestionStatus.UNKNOWN)
            and not _is_older(entry.timestamp, self._since)
            and not self.lane.knows(entry.id)
        }
        self.found = pending if self.found is None else self.found & pending
        self.seen = set(self._survey.entries)
        self._survey = Survey(self._since, most_pages=self._most_pages, before=self._survey)
        if not self.found:
            self.ended = "done"
        else:
            self._go_on(now, self._timeout_seconds, wait=True)


class Search(Errand):
    """Looks for a batch whose answer was lost in the list of ingestions, where it must not be sent twice.

    Exactly one unknown ingestion that is as large as the batch and not older than its request is the lost
    one. One whose counts may still grow is looked at again.

    Attributes:
        matches: The ingestions that could be the lost one, once the search has ended.
        is_unsure: Whether one of them may be an earlier run's, since the times don't tell.
    """

    def __init__(self, lane: Lane, batch: Batch, due_at: float, *, timeout_seconds: float) -> None:
        super().__init__(lane, due_at)
        self.batch = batch
        self.matches: list[str] = []
        self.is_unsure = False
        self._timeout_seconds = timeout_seconds
        self._since = None if batch.posted_after is None else batch.posted_after - CLOCK_TOLERANCE_SECONDS
        self._survey: Survey | None = Survey(self._since)
        self._walked: Survey | None = None
        self._unread: list[str] = []
        self._pending: list[str] = []
        self._listed: dict[str, IngestionEntry] = {}
        self._is_list_stale = False

    def request(self) -> Request:
        """The next page, or the next ingestion that could be the lost one."""
        if self._survey is not None:
            return ReadList(self.lane, self, self._survey.page() or 1)
        return ReadIngestion(self.lane, self, self._unread[0])

    def listed(self, page: IngestionsPage, now: float) -> None:
        """Take in a page."""
        survey = self._survey
        if survey is None:
            return
        survey.read(page)
        if survey.page() is not None:
            self._go_on(now, self._timeout_seconds)
            return
        self._listed = {
            entry.id: entry
            for entry in survey.entries.values()
            if not self.lane.knows(entry.id) and not _is_older(entry.timestamp, self._since)
        }
        self._unread = [*self._listed]
        self._walked, self._survey = survey, None
        self._finish_if_read(now)

    def read(self, ingestion: Ingestion | None, now: float) -> None:
        """Take in an ingestion; None when it is listed and can't be read yet."""
        read = self._listed[self._unread.pop(0)]
        at = read.timestamp
        if at is None and ingestion is not None:
            at = ingestion.timestamp
        if ingestion is None:
            self._pending.append(read.id)
        elif _is_older(at, self._since) or (ingestion.received or 0) > len(self.batch.rows):
            pass
        elif ingestion.received == len(self.batch.rows):
            self._match(read.id, at)
        elif ingestion.status is IngestionStatus.FAILED:
            # It may have stopped before it counted everything, and can't be told from ours.
            self._match(read.id, at)
        elif not _is_counted(ingestion):
            self._pending.append(read.id)
        elif read.status is not IngestionStatus.DONE:
            # What the list doesn't show as processed may still grow to the size of the batch.
            self._pending.append(read.id)
            self._is_list_stale = True
        self._finish_if_read(now)

    def _match(self, ingestion_id: str, at: float | None) -> None:
        self.matches.append(ingestion_id)
        has_no_time = at is None or self._since is None
        self.is_unsure |= self._is_perhaps_earlier(at) or (has_no_time and not self.lane.knows_all_older)

    def _is_perhaps_earlier(self, at: float | None) -> bool:
        """Whether a run that ended right before this one may have made it, not listed yet at the start."""
        began_at = self.lane.server_began_at
        return not self.lane.destination.is_new and (
            at is None or began_at is None or at < began_at + CLOCK_TOLERANCE_SECONDS
        )

    def _finish_if_read(self, now: float) -> None:
        if self._unread:
            self._go_on(now, self._timeout_seconds)
            return
        if not self._pending:
            self.ended = "done"
            return
        self._unread, self._pending = self._pending, []
        if self._is_list_stale:
            self._survey, self._is_list_stale = Survey(self._since, before=self._walked), False
            self.matches, self.is_unsure = [], False
        self._go_on(now, self._timeout_seconds, wait=True)


def _is_older(at: float | None, since: float | None) -> bool:
    return at is not None and since is not None and at < since


def _is_counted(ingestion: Ingestion) -> bool:
    """Whether an ingestion's counts add up: they may be zero, or missing, while it is processed."""
    if not ingestion.received or ingestion.status in (IngestionStatus.PENDING, IngestionStatus.UNKNOWN):
        return False
    counts = (ingestion.appended, ingestion.overwritten, ingestion.rejected)
    return ingestion.received == sum(each or 0 for each in counts)
