"""Background tasks of a dataset: wait for an earlier run's ingestions, purge, find a lost batch. Pure.

A task says when its next question is due and which one it is, and takes in the answer. It knows neither the
dataset nor the rows: it ends with its finding, and what follows from that is decided elsewhere.
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

# The server's clock is known from the Date header of an answer, perhaps of another machine of theirs.
# Too much makes a stranger's ingestion a candidate, which ends the run; too little would load rows twice.
CLOCK_TOLERANCE_SECONDS: Final = 5.0
FIRST_LOOK_SECONDS: Final = 1.0
LONGEST_LOOK_SECONDS: Final = 15.0
LOOK_GROWTH: Final = 1.5


@dataclass(frozen=True)
class ListPage:
    """A page of the dataset's list of ingestions is to be read."""

    page: int


@dataclass(frozen=True)
class IngestionDetail:
    """One ingestion's own record is to be read."""

    ingestion_id: str


@dataclass(frozen=True)
class PurgeRows:
    """The dataset is to be purged; every try has the same idempotency key."""

    idempotency_key: str


Question: TypeAlias = ListPage | IngestionDetail | PurgeRows


@dataclass
class Hold:
    """Primary keys kept busy, since a first copy of their batch may still land.

    Attributes:
        lost_at: When the newest answer was lost.
        posted_after: The server's clock before the first of these POSTs.
        keys: Keys whose rows have their outcome meanwhile.
    """

    lost_at: float
    posted_after: float | None
    keys: list[Hashable] = field(default_factory=list)
    is_over: bool = False


class Task:
    """One thing to be done for a dataset, by questions to the API.

    Attributes:
        attempts: Tries of its next question.
        began_at: When its first question was due.
        is_away: Whether a question of it is on the wire.
        ended: None while it goes on.
    """

    def __init__(self, due_at: float) -> None:
        self.attempts = Attempts(due_at)
        self.is_away = False
        self.ended: Literal["done", "late"] | None = None
        self.began_at = due_at
        self._waited_seconds = 0.0
        self._look_seconds = FIRST_LOOK_SECONDS

    def started(self, now: float) -> None:
        """Its question starts."""
        self.is_away = True
        self._waited_seconds += max(0.0, now - self.attempts.due_at)
        self.attempts.started(now)

    def question(self) -> Question:
        """What is to be asked next."""
        raise NotImplementedError

    def take(self, answer: IngestionsPage | Ingestion | None, now: float) -> None:
        """Take in the answer; None for a purge that was done, and for an ingestion that can't be read yet."""
        raise NotImplementedError

    def _go_on(self, now: float, timeout_seconds: float, *, wait: bool = False) -> None:
        """Plan the next question, at once or after a growing wait, or end when the time is up."""
        if now - self.began_at - self._waited_seconds >= timeout_seconds:
            self.ended = "late"
            return
        self.attempts.due_at = now
        if wait:
            self.attempts.due_at += self._look_seconds
            self._look_seconds = min(self._look_seconds * LOOK_GROWTH, LONGEST_LOOK_SECONDS)


class PurgeOnce(Task):
    """Removes every row of the dataset; doing it twice before the first row is as good as once."""

    def __init__(self, due_at: float, idempotency_key: str) -> None:
        super().__init__(due_at)
        self._idempotency_key = idempotency_key

    def question(self) -> Question:
        """The purge."""
        return PurgeRows(self._idempotency_key)

    def take(self, answer: IngestionsPage | Ingestion | None, now: float) -> None:  # noqa: ARG002 # as every task
        """It was done."""
        self.ended = "done"


class PendingWait(Task):
    """Waits until ingestions that this run doesn't know are no longer pending.

    Only those that the first walk finds count: a second writer may always have new ones. So do only those
    that are not older than `since`, wherever in the list they are.

    Args:
        due_at: When the first walk may start.
        is_known: Whether an ingestion is this run's own, or was there before.
        since: Server's time before which nothing matters; None when all does.
        timeout_seconds: How long to read and to wait for what is pending.
        most_pages: Pages after which a walk stops all the same.
        holds: Held keys that this wait can release.

    Attributes:
        found: Ingestions that the first walk found pending, and that still are; None before its end.
        seen: All ingestions that the newest walk saw.
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
        """Take in a page."""
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
    """Looks for a batch whose answer was lost in the list of ingestions, where it must not be sent twice.

    Exactly one unknown ingestion that is as large as the batch and not older than its request is the lost
    one. One whose counts may still grow is looked at again.

    Args:
        due_at: When the list may show it.
        rows: How many rows the batch has.
        is_known: Whether an ingestion is this run's own, or was there before.
        since: Server's time before which it can't have been accepted; None when that is not known.
        sure_from: Server's time from which an unknown ingestion can be no earlier run's; infinite when there
            is none, minus infinity when all of them are this run's.
        timeout_seconds: How long to look for it.

    Attributes:
        matches: The ingestions that could be the lost one, once the search has ended.
        is_unsure: Whether one of them may be an earlier run's, since the times don't tell.
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
        """The next page, or the next ingestion that could be the lost one."""
        if self._walk is not None:
            return ListPage(self._walk.page() or 1)
        return IngestionDetail(self._unread[0])

    def take(self, answer: IngestionsPage | Ingestion | None, now: float) -> None:
        """Take in a page, or an ingestion; None when it is listed and can't be read yet."""
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
        self.is_unsure |= at < self._sure_from if at is not None else self._sure_from > -math.inf

    def _finish_if_read(self, now: float) -> None:
        if self._unread:
            self._go_on(now, self._timeout_seconds)
            return
        if not self._pending:
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
    """Whether an ingestion's counts add up: they may be zero, or missing, while it is processed."""
    if not ingestion.received or ingestion.status in (IngestionStatus.PENDING, IngestionStatus.UNKNOWN):
        return False
    counts = (ingestion.appended, ingestion.overwritten, ingestion.rejected)
    return ingestion.received == sum(each or 0 for each in counts)
