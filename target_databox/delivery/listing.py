"""Walks a dataset's list of ingestions, in any order, with as few pages as possible. Pure.

Theory of operation
===================

Databox documents no order, so a walk infers it from the time stamps of each page:

1. Newest first: pages 1, 2, … until one reaches back before `since`.
2. Oldest first: the last page, then backwards, until one reaches back before `since`. If the first page shows
   this order, the walk goes on with the last one.
3. Unknown, or no `since`: every page.

The number of pages follows from the length that the API reports, and from the longest page seen. Without a
reported length, the list ends at a page that is short, empty or shows nothing new.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from target_databox.api.values import IngestionEntry, IngestionsPage

# Fewer time stamps than this may be in order by chance.
FEWEST_IN_ORDER = 10
# After this many pages without a new entry, a list of unknown length evidently ignores the page number.
MOST_BARREN_PAGES = 2

Order = Literal["newest-first", "oldest-first", "unknown"]


def order(entries: tuple[IngestionEntry, ...]) -> Order:
    """The order of a page's time stamps."""
    stamps = [entry.timestamp for entry in entries]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(stamps) or len(set(known)) < FEWEST_IN_ORDER:
        return "unknown"
    if known == sorted(known):
        return "oldest-first"
    return "newest-first" if known == sorted(known, reverse=True) else "unknown"


class ListWalk:
    """One walk over the list, until everything that is not older than `since` has been seen.

    Pages may shift during the walk: a new entry moves later ones to the next page, and a removed entry moves
    them to the previous page. If that may have hidden an entry, the affected page is read again.

    Args:
        since: Epoch seconds before which entries don't matter; None if all matter.
        most_pages: Most pages to read; None for no limit.
        before: An earlier walk over the same list, whose order and length determine where to start.

    Attributes:
        entries: The entries seen so far, by id.
        pages_read: How many pages were read.
        is_cut_short: Whether `most_pages` ended the walk.
    """

    def __init__(
        self, since: float | None = None, *, most_pages: int | None = None, before: ListWalk | None = None
    ) -> None:
        self._since = since
        self._most_pages = most_pages
        self._order: Order | None = before._order if before else None
        self._pages: int | None = before._pages if before else None
        # The longest page seen: a server may return fewer entries per page than requested.
        self._longest: int = before._longest if before else 0
        # Pages that need not be read again, each with the length of the list at that time.
        self._read: dict[int, int | None] = {}
        self._reaches_back_from = 0
        self._barren_pages = 0
        self._complete = False
        self.entries: dict[str, IngestionEntry] = {}
        self.pages_read = 0
        self.is_cut_short = False

    def page(self) -> int | None:
        """The number of the page to read next; None if the walk is over."""
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
        """Take a page."""
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
        # If the list has grown since the next page was read, or shrunk since the previous one was, an entry
        # may have moved from this page to that one and been seen on neither.
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
            # The list has grown since the walk before, so its number of pages is unknown again.
            self._pages = None

    def _has_read_from(self, number: int) -> bool:
        # Oldest first: pages after this one may hold anything, so all of them must have been read. The count
        # is compared first, since the API may claim any number of pages.
        if self._pages is None or len(self._read) <= self._pages - number:
            return False
        return all(page in self._read for page in range(number, self._pages + 1))

    def _reaches_back(self, entries: tuple[IngestionEntry, ...]) -> bool:
        if self._since is None:
            return False
        stamps = [entry.timestamp for entry in entries if entry.timestamp is not None]
        return bool(stamps) and min(stamps) < self._since
