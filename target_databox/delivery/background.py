"""Background tasks of a dataset: wait for an earlier run's ingestions, purge, find a lost batch. Pure.

Theory of operation
===================

A task makes one request at a time: `question` returns the next one, `attempts.due_at` is its time, and `take`
takes the response and plans the next request or ends the task (`ended`). A task knows neither the dataset nor
the rows. It only holds its result; `opening` and `lost_answers` decide what follows from it.

    PurgeOnce       POST purge                                     → done
    PendingWait     walk the list; walk again while ingestions of  → done, or late
                    others are pending
    Search          walk the list; read each candidate; again      → done with matches, or late
                    while candidates may still change

A task is late once it has run for `confirmation_timeout_seconds`, not counting its waits for the budget.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from target_databox.api.values import Ingestion, IngestionsPage, IngestionStatus
from target_databox.delivery.attempts import Attempts
from target_databox.delivery.listing import ListWalk

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from target_databox.api.values import IngestionEntry

# The server's time comes from a Date header, perhaps of another machine than the one that stamps ingestions.
# If this is too large, another writer's ingestion may become a candidate, which ends the run. If it is too
# small, the lost ingestion is missed and its rows are loaded twice.
CLOCK_TOLERANCE_SECONDS: Final = 5.0
FIRST_LOOK_SECONDS: Final = 1.0
LONGEST_LOOK_SECONDS: Final = 15.0
LOOK_GROWTH: Final = 1.5


@dataclass(frozen=True)
class ListPage:
    """Read a page of the dataset's list of ingestions."""

    page: int


@dataclass(frozen=True)
class IngestionDetail:
    """Read the detail of one ingestion."""

    ingestion_id: str


@dataclass(frozen=True)
class PurgeRows:
    """Purge the dataset; every try has the same idempotency key."""

    idempotency_key: str


Question: TypeAlias = ListPage | IngestionDetail | PurgeRows


@dataclass
class Hold:
    """Primary keys that stay busy, since a first copy of their batch may still be stored.

    Attributes:
        lost_at: When the latest answer was lost.
        posted_after: The server's time before the first of these POSTs; None if unknown.
        keys: Keys whose rows already have their outcome, to be freed at the end of the hold.
        is_over: Whether the hold has ended.
    """

    lost_at: float
    posted_after: float | None
    keys: list[Hashable] = field(default_factory=list)
    is_over: bool = False


class Task:
    """A background task of a dataset, which makes one request at a time.

    Attributes:
        attempts: Tries of its next request.
        began_at: When its first request was due.
        is_away: Whether one of its requests is on the wire.
        ended: `done`, or `late` if its time is up; None while it goes on.
    """

    def __init__(self, due_at: float) -> None:
        self.attempts = Attempts(due_at)
        self.is_away = False
        self.ended: Literal["done", "late"] | None = None
        self.began_at = due_at
        self._waited_seconds = 0.0
        self._look_seconds = FIRST_LOOK_SECONDS

    def started(self, now: float) -> None:
        """Note that its request starts."""
        self.is_away = True
        self._waited_seconds += max(0.0, now - self.attempts.due_at)
        self.attempts.started(now)

    def question(self) -> Question:
        """The next request."""
        raise NotImplementedError

    def take(self, answer: IngestionsPage | Ingestion | None, now: float) -> None:
        """Take the response; None for a completed purge, and for an ingestion that can't be read yet."""
        raise NotImplementedError

    def _go_on(self, now: float, timeout_seconds: float, *, wait: bool = False) -> None:
        """Plan the next request, at once or after a growing wait; end as `late` if the time is up."""
        if now - self.began_at - self._waited_seconds >= timeout_seconds:
            self.ended = "late"
            return
        self.attempts.due_at = now
        if wait:
            self.attempts.due_at += self._look_seconds
            self._look_seconds = min(self._look_seconds * LOOK_GROWTH, LONGEST_LOOK_SECONDS)


class PurgeOnce(Task):
    """Purges the dataset. A second purge before the first row does no harm."""

    def __init__(self, due_at: float, idempotency_key: str) -> None:
        super().__init__(due_at)
        self._idempotency_key = idempotency_key

    def question(self) -> Question:
        """The purge, with the same idempotency key at every try."""
        return PurgeRows(self._idempotency_key)

    def take(self, answer: IngestionsPage | Ingestion | None, now: float) -> None:  # noqa: ARG002 # as every task
        """End: the dataset is purged."""
        self.ended = "done"


class PendingWait(Task):
    """Waits until ingestions that this run doesn't know are no longer pending.

    It waits only for ingestions that the first walk finds, since a second writer may always add new ones, and
    ignores those older than `since`.

    Args:
        due_at: When the first walk may start.
        is_known: Whether an ingestion is this run's own, or existed before.
        since: Server's time before which ingestions are ignored; None to ignore none.
        timeout_seconds: How long to read the list and to wait.
        most_pages: Most pages of one walk; None for no limit.
        holds: Held keys that this wait can release.

    Attributes:
        found: Ingestions that the first walk found pending, and that still are; None during the first walk.
        seen: All ingestions that the latest complete walk saw.
        is_cut_short: Whether that walk left pages unread.
    """

    def __init__(
        self,
        due_at: float,
        *,
        is_known: Callable[[str], bool],
        since: float | None,
        timeout_seconds: float,
        most_pages: int | None = None,
        holds: tuple[Hold, ...] = (),
    ) -> None:
        super().__init__(due_at)
        self.holds = holds
        self.found: set[str] | None = None
        self.seen: set[str] = set()
        self.is_cut_short = False
        self._is_known = is_known
        self._since = since
        self._timeout_seconds = timeout_seconds
        self._most_pages = most_pages
        self._walk = ListWalk(since, most_pages=most_pages)

    def question(self) -> Question:
        """The next page."""
        return ListPage(self._walk.page() or 1)

    def take(self, answer: IngestionsPage | Ingestion | None, now: float) -> None:
        """Take a page."""
        if not isinstance(answer, IngestionsPage):
            return
        self._walk.read(answer)
        if self._walk.page() is not None:
            self._go_on(now, self._timeout_seconds)
            return
        self.is_cut_short = self._walk.is_cut_short
        pending = {
            entry.id
            for entry in self._walk.entries.values()
            if entry.status in (IngestionStatus.PENDING, IngestionStatus.UNKNOWN)
            and not _is_older(entry.timestamp, self._since)
            and not self._is_known(entry.id)
        }
        self.found = pending if self.found is None else self.found & pending
        self.seen = set(self._walk.entries)
        self._walk = ListWalk(self._since, most_pages=self._most_pages, before=self._walk)
        if not self.found:
            self.ended = "done"
        else:
            self._go_on(now, self._timeout_seconds, wait=True)


class Search(Task):
    """Searches the list of ingestions for a batch whose answer was lost and that must not be sent twice.

    A match is an unknown ingestion that has as many rows as the batch and is not older than its request. Each
    candidate on the list is read by itself, since only the detail has the row count:

    1. It can't be read yet: read it again later.
    2. It is older than the request, or has more rows than the batch: it is another one.
    3. It has as many rows as the batch: a match.
    4. It failed with fewer rows: a match, since it may have failed before it counted all of them.
    5. Its counts don't add up, or the list does not show it as done: its row count may still grow, so read it
       again later, in the second case after another walk over the list.
    6. It is done with fewer rows: it is another one.

    Args:
        due_at: When the list should show the ingestion.
        rows: How many rows the batch has.
        is_known: Whether an ingestion is this run's own, or existed before.
        since: Server's time before which it can't have been accepted; None if unknown.
        sure_from: Server's time from which an unknown ingestion can't be an earlier run's. Infinite if there
            is no such time, minus infinity if all unknown ingestions are this run's.
        timeout_seconds: How long to search.

    Attributes:
        matches: The ingestions that could be the lost one, once the search has ended.
        is_unsure: Whether a match may be an earlier run's, judging by its time.
    """

    def __init__(
        self,
        due_at: float,
        *,
        rows: int,
        is_known: Callable[[str], bool],
        since: float | None,
        sure_from: float,
        timeout_seconds: float,
    ) -> None:
        super().__init__(due_at)
        self.matches: list[str] = []
        self.is_unsure = False
        self._rows = rows
        self._is_known = is_known
        self._since = since
        self._sure_from = sure_from
        self._timeout_seconds = timeout_seconds
        self._walk: ListWalk | None = ListWalk(since)
        self._walked: ListWalk | None = None
        self._unread: list[str] = []
        self._pending: list[str] = []
        self._listed: dict[str, IngestionEntry] = {}
        self._is_list_stale = False

    def question(self) -> Question:
        """The next page, or the next candidate."""
        if self._walk is not None:
            return ListPage(self._walk.page() or 1)
        return IngestionDetail(self._unread[0])

    def take(self, answer: IngestionsPage | Ingestion | None, now: float) -> None:
        """Take a page or an ingestion; None for one that is listed but can't be read yet."""
        if isinstance(answer, IngestionsPage):
            self._listed_page(answer, now)
        else:
            self._read(answer, now)

    def _listed_page(self, page: IngestionsPage, now: float) -> None:
        walk = self._walk
        if walk is None:
            return
        walk.read(page)
        if walk.page() is not None:
            self._go_on(now, self._timeout_seconds)
            return
        self._listed = {
            entry.id: entry
            for entry in walk.entries.values()
            if not self._is_known(entry.id) and not _is_older(entry.timestamp, self._since)
        }
        self._unread = [*self._listed]
        self._walked, self._walk = walk, None
        self._finish_if_read(now)

    def _read(self, ingestion: Ingestion | None, now: float) -> None:
        read = self._listed[self._unread.pop(0)]
        at = read.timestamp
        if at is None and ingestion is not None:
            at = ingestion.timestamp
        if ingestion is None:
            self._pending.append(read.id)
        elif _is_older(at, self._since) or (ingestion.received or 0) > self._rows:
            pass
        elif ingestion.received == self._rows:
            self._match(read.id, at)
        elif ingestion.status is IngestionStatus.FAILED:
            # It may have failed before it counted all rows, so it could be ours.
            self._match(read.id, at)
        elif not _is_counted(ingestion):
            self._pending.append(read.id)
        elif read.status is not IngestionStatus.DONE:
            # Until the list shows it as done, its row count may still grow to that of the batch.
            self._is_list_stale = True
        self._finish_if_read(now)

    def _match(self, ingestion_id: str, at: float | None) -> None:
        self.matches.append(ingestion_id)
        # Only asked about where there is one match.
        self.is_unsure = at < self._sure_from if at is not None else self._sure_from > -math.inf

    def _finish_if_read(self, now: float) -> None:
        if self._unread:
            self._go_on(now, self._timeout_seconds)
            return
        if not (self._pending or self._is_list_stale):
            self.ended = "done"
            return
        self._unread, self._pending = self._pending, []
        if self._is_list_stale:
            self._walk, self._is_list_stale = ListWalk(self._since, before=self._walked), False
            self.matches, self.is_unsure = [], False
        self._go_on(now, self._timeout_seconds, wait=True)


def _is_older(at: float | None, since: float | None) -> bool:
    return at is not None and since is not None and at < since


def _is_counted(ingestion: Ingestion) -> bool:
    """Whether an ingestion's counts add up; during processing they may be zero or missing."""
    if not ingestion.received or ingestion.status in (IngestionStatus.PENDING, IngestionStatus.UNKNOWN):
        return False
    counts = (ingestion.appended, ingestion.overwritten, ingestion.rejected)
    return ingestion.received == sum(each or 0 for each in counts)
