"""Pages of rows are read to their end, whatever an API says of them, and each once."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.budget import Budget
from target_databox.api.errors import LostAnswerError, RefusedError
from target_databox.api.values import RowsPage
from target_databox.verification.errors import VerificationError
from target_databox.verification.pages import MOST_PAGES_AHEAD, PageReader

if TYPE_CHECKING:
    from collections.abc import Iterator


class Dataset:
    """A dataset that is read in pages.

    Args:
        rows: How many it has.
        size: How many are on a page.
        total: What its pages say.
    """

    def __init__(self, rows: int, size: int = 10, total: int | None = None) -> None:
        self.all = [{"id": number} for number in range(rows)]
        self.size = size
        self.total = total
        self.asked: list[int] = []
        self.failures: list[Exception] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def rows(self, dataset_id: str, page: int, /) -> RowsPage:
        """A page."""
        assert dataset_id == "7"
        with self._lock:
            self.asked.append(page)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            failure = self.failures.pop() if self.failures else None
        with self._lock:
            self.at_once -= 1
        if failure:
            raise failure
        return RowsPage(tuple(self.all[(page - 1) * self.size : page * self.size]), self.total)


@contextlib.contextmanager
def reader(dataset: Any, ahead: int = 4) -> Iterator[PageReader]:
    """What reads its pages."""
    made = PageReader(
        dataset, Budget(1e6, 1e9), retry_seconds=0.05, ahead=ahead, interruptible=contextlib.nullcontext()
    )
    yield made
    made.close()


def ids(dataset: Any) -> list[int]:
    """The rows that are read, in their order."""
    with reader(dataset) as pages:
        return [row["id"] for page in pages.pages("7") for row in page.rows]


@pytest.mark.parametrize("rows", [0, 1, 9, 10, 11, 95, 100])
@pytest.mark.parametrize("tells", ["the total", "nothing", "too few", "too many"])
def test_every_row_is_read_once(rows: int, tells: str) -> None:
    """Rows come in order and once, whether the total is told, missing, or more than there is."""
    total = {"the total": rows, "nothing": None, "too few": 0, "too many": rows + 25}[tells]
    dataset = Dataset(rows, total=total)
    expected = min(rows, 10) if tells == "too few" else rows
    assert ids(dataset) == list(range(expected))
    assert len(dataset.asked) == len(set(dataset.asked)) <= rows // 10 + 5


def test_no_page_is_asked_for_in_vain() -> None:
    """Where the total is told, as many pages are asked for as there are."""
    dataset = Dataset(95, total=95)
    ids(dataset)
    assert sorted(dataset.asked) == list(range(1, 11))


def test_pages_without_an_end_are_an_error() -> None:
    """An API that answers every page with the first one, and tells no total, is not read for ever."""

    class Endless(Dataset):
        def rows(self, dataset_id: str, page: int, /) -> RowsPage:  # noqa: ARG002
            return RowsPage(tuple(self.all), None)

    with pytest.raises(VerificationError, match="come back without an end"):
        ids(Endless(3))


def failed(kind: type[Any]) -> Any:
    """A failure of a request."""
    return kind("failed", method="GET", path="/")


def test_failing_page_is_asked_for_again() -> None:
    """A page that fails for a moment is asked for again, and no row gets lost."""
    dataset = Dataset(35, total=35)
    dataset.failures = [failed(LostAnswerError)]
    assert ids(dataset) == list(range(35))


def test_refused_page_ends_it() -> None:
    """A page that is refused raises what the API said."""
    dataset = Dataset(35, total=35)
    dataset.failures = [failed(RefusedError)]
    with pytest.raises(RefusedError):
        ids(dataset)


def test_few_pages_are_held_at_once() -> None:
    """However many requests the settings allow, few pages are in memory."""
    dataset = Dataset(1000, total=1000)
    with reader(dataset, ahead=1000) as pages:
        next(pages.pages("7"))
        assert len(dataset.asked) <= 1 + MOST_PAGES_AHEAD


def test_closing_ends_retries() -> None:
    """A page that would be tried again for minutes is given up when nobody waits for it any more."""
    dataset = Dataset(35, total=35)
    dataset.failures = [failed(LostAnswerError) for _ in range(100)]
    pages = PageReader(
        dataset, Budget(1e6, 1e9), retry_seconds=100, ahead=1, interruptible=contextlib.nullcontext()
    )
    started = time.monotonic()
    page = pages._read("7", 1)
    pages.close()
    assert page.exception(timeout=20) is not None
    assert time.monotonic() - started < 10
    assert len(dataset.asked) < 5
