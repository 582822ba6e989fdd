"""Walks a dataset's list of ingestions, whatever its order, with as few pages as that order allows. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from target_databox.api.values import IngestionEntry, IngestionsPage

# Fewer time stamps than this can be in order by chance.
FEWEST_IN_ORDER = 10
# So many pages of a list that isn't counted show nothing new: it has no pages, whatever number is asked for.
MOST_BARREN_PAGES = 2

Order = Literal["newest-first", "oldest-first", "unknown"]


def order(entries: tuple[IngestionEntry, ...]) -> Order:
    """The order that the time stamps of a page show; Databox documents none."""
    stamps = [entry.timestamp for entry in entries]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps) or len(set(known)) < FEWEST_IN_ORDER:
        return "unknown"
    if known == sorted(known):
        return "oldest-first"
    return "newest-first" if known == sorted(known, reverse=True) else "unknown"


class ListWalk:
    """One walk over the list, until everything that is not older than `since` has been seen.

    Pages may shift while they are read: an entry that appears moves those behind it to the next page, one
    that is dropped moves them to the page before. Where that may have hidden some, a page is read again.

    Args:
        since: Time stamp, in epoch seconds, before which nothing matters; None when all of it does.
        most_pages: Pages after which to stop all the same; None for no bound.
        before: An earlier walk over the same list, whose order and length tell where to start.
    """

    def __init__(
        self, since: float | None = None, *, most_pages: int | None = None, before: ListWalk | None = None
    ) -> None:
        self._since = since
        self._most_pages = most_pages
        self._order: Order | None = before._order if before else None
        self._pages: int | None = before._pages if before else None
        # A server may show fewer entries on a page than it was asked for.
        self._longest: int = before._longest if before else 0
        # Pages that need not be read again, each with how long the list was then.
        self._read: dict[int, int | None] = {}
        self._reaches_back_from = 0
        self._barren_pages = 0
        self._complete = False
        self.entries: dict[str, IngestionEntry] = {}
        self.pages_read = 0
        self.is_cut_short = False

    def page(self) -> int | None:
        """Number of the page to read next; None when the walk is over."""
        if self._complete:
            return None
        if not self._read:
            return self._pages if self._order == "oldest-first" and self._pages else 1
        if self._most_pages is not None and self.pages_read >= self._most_pages:
            self.is_cut_short = True
            return None
        if self._order == "oldest-first" and self._pages is not None:
            return next((page for page in range(self._pages, 0, -1) if page not in self._read), None)
        page = next(number for number in range(1, len(self._read) + 2) if number not in self._read)
        return page if self._pages is None or page <= self._pages else None

    def read(self, page: IngestionsPage) -> None:
        """Take in one page."""
        number, entries = page.page, page.entries
        self.pages_read += 1
        self._note(number, page.total_items)
        self._count_pages(page)
        self.entries.update((entry.id, entry) for entry in entries)
        shown = order(entries)
        if self._order is None:
            self._order = shown
        elif len(entries) > 1 and shown != self._order:
            self._order = "unknown"
        if self._reaches_back(entries):
            self._reaches_back_from = max(self._reaches_back_from, number)
            self._complete = self._order == "newest-first"
        if self._order == "oldest-first" and self._reaches_back_from:
            self._complete = self._has_read_from(self._reaches_back_from)

    def _note(self, number: int, length: int | None) -> None:
        # What has moved from here to the next page or the one before, since that was read, was on neither.
        for other, grown in ((number + 1, 1), (number - 1, -1)):
            then = self._read.get(other)
            if then is not None and length is not None and (length - then) * grown > 0:
                del self._read[other]
        self._read[number] = length

    def _count_pages(self, page: IngestionsPage) -> None:
        length = len(page.entries)
        self._longest = max(self._longest, length)
        if page.total_items is not None:
            self._pages = math.ceil(page.total_items / max(1, self._longest or page.page_size))
            return
        has_news = any(entry.id not in self.entries for entry in page.entries)
        self._barren_pages = 0 if has_news else self._barren_pages + 1
        if length < self._longest or not length or self._barren_pages >= MOST_BARREN_PAGES:
            self._pages = max(self._read)
        elif self._pages is not None and page.page >= self._pages:
            # The list has grown since it was walked before.
            self._pages = None

    def _has_read_from(self, number: int) -> bool:
        # A page of a list that starts with the oldest says nothing about those behind it.
        # Counted first: the API may claim any number of pages.
        if self._pages is None or len(self._read) <= self._pages - number:
            return False
        return all(page in self._read for page in range(number, self._pages + 1))

    def _reaches_back(self, entries: tuple[IngestionEntry, ...]) -> bool:
        if self._since is None:
            return False
        stamps = [entry.timestamp for entry in entries if entry.timestamp is not None]
        return bool(stamps) and min(stamps) < self._since
