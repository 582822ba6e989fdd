"""Reads the rows of a dataset back page by page, several at a time, within the budget and with retries."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from target_databox.api.budget import BlockingBudget
from target_databox.api.retries import call_with_retries
from target_databox.verification.errors import VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from target_databox.api.budget import Budget
    from target_databox.api.values import RowsPage

# Pages of 1,000 rows that are held at once, so that memory stays flat whatever concurrent_requests says.
MOST_PAGES_AHEAD: Final = 8


class Client(Protocol):
    """What reads a page; one try a call."""

    def rows(self, dataset_id: str, page: int, /) -> RowsPage:
        """One page of a dataset's rows; pages are counted from 1."""


class _OverError(Exception):
    """Nobody waits for the page any more."""


class PageReader:
    """Reads pages in threads of its own; for one caller.

    Args:
        client: The API.
        budget: What every request draws from.
        retry_seconds: How long one request may go on failing.
        ahead: Pages that are read at the same time.
        interruptible: Entered where a signal may interrupt a wait.
    """

    def __init__(
        self,
        client: Client,
        budget: Budget,
        *,
        retry_seconds: float,
        ahead: int,
        interruptible: AbstractContextManager[object],
    ) -> None:
        self._client = client
        self._budget = budget
        self._retry_seconds = retry_seconds
        self._ahead = min(ahead, MOST_PAGES_AHEAD)
        self._interruptible = interruptible
        self._over = threading.Event()
        self._threads = ThreadPoolExecutor(self._ahead, thread_name_prefix="databox-page")

    def pages(self, dataset_id: str) -> Iterator[RowsPage]:
        """All pages of a dataset, in their order.

        They are over when as many rows were seen as there are, or when a page is empty (O).

        Raises:
            DataboxError: A page can't be read.
            VerificationError: The pages have no end.
        """
        first = page = self._wait(self._read(dataset_id, 1))
        total, seen, asked = first.total_rows, 0, 1
        waiting: deque[Future[RowsPage]] = deque()
        while page.rows:
            seen += len(page.rows)
            total = page.total_rows if page.total_rows is not None else total
            yield page
            if total is not None and seen >= total:
                break
            # A page may be shorter than asked for, and says itself how long pages are.
            while not waiting or (
                total is not None and len(waiting) < self._ahead and asked * len(first.rows) < total
            ):
                asked += 1
                waiting.append(self._read(dataset_id, asked))
            page = self._wait(waiting.popleft())
            if total is None and page.rows == first.rows:
                raise VerificationError(
                    f"The rows of the dataset {dataset_id} come back without an end: every page is the first "
                    "one. Report it to the makers of target-databox."
                )
        for each in waiting:
            each.cancel()

    def close(self) -> None:
        """Read nothing more; what is being read ends by itself."""
        self._over.set()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def rest(self, seconds: float) -> None:
        """Wait, in the caller's thread."""
        with self._interruptible:
            time.sleep(seconds)

    def _read(self, dataset_id: str, page: int) -> Future[RowsPage]:
        return self._threads.submit(self._read_with_retries, dataset_id, page)

    def _read_with_retries(self, dataset_id: str, page: int) -> RowsPage:
        return call_with_retries(
            lambda: self._client.rows(dataset_id, page),
            budget=BlockingBudget(self._budget, rest=self._pause),
            retry_seconds=self._retry_seconds,
            rest=self._pause,
        )

    def _wait(self, future: Future[RowsPage]) -> RowsPage:
        with self._interruptible:
            return future.result()

    def _pause(self, seconds: float) -> None:
        if self._over.wait(seconds):
            raise _OverError
