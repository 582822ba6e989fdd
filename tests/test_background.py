"""Background tasks by themselves: what they ask next, what they make of the answers, and when they end."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from target_databox.api.values import Ingestion, IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.background import (
    FIRST_LOOK_SECONDS,
    LONGEST_LOOK_SECONDS,
    IngestionDetail,
    ListPage,
    PendingWait,
    PurgeOnce,
    PurgeRows,
    Search,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DONE, PENDING, FAILED = IngestionStatus.DONE, IngestionStatus.PENDING, IngestionStatus.FAILED
UNKNOWN = IngestionStatus.UNKNOWN
SINCE = 1_000.0


def entry(name: str, at: float | None = SINCE + 1, status: IngestionStatus = DONE) -> IngestionEntry:
    """A line of the list."""
    return IngestionEntry(name, at, status)


def whole(*entries: IngestionEntry) -> IngestionsPage:
    """A list of one page."""
    return IngestionsPage(entries, 1, 100, len(entries))


def newest_first(page: int, newest: float, pages: int = 9) -> IngestionsPage:
    """A page of ten ingestions, a second apart, of a list in order."""
    entries = tuple(entry(f"{page}-{each}", newest - each) for each in range(10))
    return IngestionsPage(entries, page, 10, 10 * pages)


def detail(
    received: int | None, status: IngestionStatus = DONE, at: float | None = SINCE + 1, **counts: int | None
) -> Ingestion:
    """An ingestion whose rows were all appended, if nothing else is said."""
    one = Ingestion("x", status, at, received, received, 0, 0, (), "r")
    return replace(one, **counts)  # type: ignore[arg-type] # of many kinds


def search(
    rows: int = 4,
    *,
    is_known: Callable[[str], bool] = lambda _: False,
    since: float | None = SINCE,
    sure_from: float = -math.inf,
) -> Search:
    """A search for a batch, due at 30 s."""
    return Search(30.0, rows=rows, is_known=is_known, since=since, sure_from=sure_from, timeout_seconds=600.0)


# Purges


def test_purge_keeps_its_key() -> None:
    """A purge is asked for with its own idempotency key until it is done."""
    purge = PurgeOnce(5.0, "k")
    assert purge.attempts.due_at == 5.0
    assert purge.question() == purge.question() == PurgeRows("k")
    assert purge.ended is None
    purge.take(None, 6.0)
    assert purge.ended == "done"


# Waits


def wait_for_pending(**changes: object) -> PendingWait:
    """A wait for what is pending, due at 30 s."""
    values = {"is_known": lambda _: False, "since": SINCE, "timeout_seconds": 600.0, **changes}
    return PendingWait(30.0, **values)  # type: ignore[arg-type] # of many kinds


def test_looks_grow_apart() -> None:
    """While something is pending, the list is read again after waits that grow to fifteen seconds."""
    wait = wait_for_pending()
    now, waits = 30.0, []
    for _ in range(10):
        assert wait.question() == ListPage(1)
        wait.take(whole(entry("theirs", status=PENDING)), now)
        waits.append(wait.attempts.due_at - now)
        now = wait.attempts.due_at
    assert waits[:3] == [FIRST_LOOK_SECONDS, 1.5, 2.25]
    assert waits[-2:] == [LONGEST_LOOK_SECONDS] * 2
    assert wait.found == {"theirs"}
    wait.take(whole(entry("theirs"), entry("new", status=PENDING)), now)
    assert (wait.ended, wait.found, wait.seen) == ("done", set(), {"theirs", "new"})


@pytest.mark.parametrize(
    ("one", "is_awaited"),
    [
        (entry("x", SINCE, PENDING), True),
        (entry("x", None, PENDING), True),
        (entry("x", SINCE, UNKNOWN), True),
        (entry("x", SINCE - 0.1, PENDING), False),
        (entry("known", SINCE, PENDING), False),
        (entry("x", SINCE, DONE), False),
        (entry("x", SINCE, FAILED), False),
    ],
)
def test_others_recent_pending_ones_are_awaited(one: IngestionEntry, *, is_awaited: bool) -> None:
    """What is waited for is pending or unclear, not this run's own, and not older than it matters."""
    wait = wait_for_pending(is_known=lambda name: name == "known")
    wait.take(whole(one), 30.0)
    assert (wait.ended is None) == is_awaited


def test_next_page_is_read_at_once() -> None:
    """The pages of one walk follow each other without a wait, and a later walk begins where that one was."""
    wait = wait_for_pending()
    wait.take(newest_first(1, SINCE + 20), 31.0)
    assert (wait.question(), wait.attempts.due_at, wait.found) == (ListPage(2), 31.0, None)
    page = newest_first(2, SINCE + 4)
    wait.take(replace(page, entries=(replace(page.entries[0], status=PENDING), *page.entries[1:])), 32.0)
    assert (wait.question(), wait.attempts.due_at, wait.found) == (ListPage(1), 33.0, {"2-0"})
    assert not wait.is_cut_short


def test_later_walk_begins_at_the_end() -> None:
    """A list whose oldest come first is read from its end by later walks."""
    wait = wait_for_pending()
    old = tuple(entry(f"old {each}", SINCE - 90 + each) for each in range(10))
    new = tuple(entry(f"new {each}", SINCE - 5 + each, PENDING) for each in range(10))
    wait.take(IngestionsPage(old, 1, 10, 30), 31.0)
    assert wait.question() == ListPage(3)
    wait.take(IngestionsPage(new, 3, 10, 30), 32.0)
    assert wait.found == {f"new {each}" for each in range(5, 10)}
    assert wait.question() == ListPage(3)


def test_every_walk_has_its_bound() -> None:
    """No walk reads more pages than are allowed, and each notes whether it left some."""
    wait = wait_for_pending(since=None, most_pages=2)
    for _ in range(2):
        for page in (1, 2):
            assert wait.question() == ListPage(page)
            entries = tuple(entry(f"{page}-{each}", None, PENDING) for each in range(10))
            wait.take(IngestionsPage(entries, page, 10, 90), 30.0)
        assert wait.is_cut_short
    assert wait.found is not None
    assert len(wait.found) == 20


def test_time_is_up_at_the_timeout() -> None:
    """A wait is late at the timeout itself, which leaves out what its requests waited for the budget."""
    wait = wait_for_pending(timeout_seconds=60.0)
    pending = whole(entry("x", status=PENDING))
    for now, is_late in ((50.0, False), (189.9, False), (190.0, True)):
        if now == 50.0:
            wait.started(now)  # 20 s after it was due
            assert wait.is_away
        elif now == 189.9:
            wait.attempts.due_at = 89.9 - 10
            wait.started(159.9)  # 80 s
        wait.take(pending, now)
        assert (wait.ended == "late") == is_late


# Searches


def test_search_reads_its_candidates() -> None:
    """Each unknown ingestion since the request is read by itself, in the list's order, at once."""
    one = search(is_known=lambda name: name == "own")
    assert one.question() == ListPage(1)
    one.take(whole(entry("a"), entry("own"), entry("old", SINCE - 0.1), entry("b", SINCE)), 31.0)
    assert (one.question(), one.attempts.due_at) == (IngestionDetail("a"), 31.0)
    one.take(detail(5), 32.0)
    assert (one.question(), one.attempts.due_at) == (IngestionDetail("b"), 32.0)
    one.take(detail(4), 33.0)
    assert (one.ended, one.matches, one.is_unsure) == ("done", ["b"], False)


def test_search_reads_every_page_back_to_the_request() -> None:
    """A list in order is read page by page until one reaches back before the request."""
    one = search(is_known=lambda name: name != "2-9")
    one.take(newest_first(1, SINCE + 19), 31.0)
    assert (one.question(), one.attempts.due_at, one.ended) == (ListPage(2), 31.0, None)
    one.take(newest_first(2, SINCE + 9), 32.0)
    assert one.question() == ListPage(3)
    one.take(newest_first(3, SINCE - 1), 33.0)
    assert one.question() == IngestionDetail("2-9")


@pytest.mark.parametrize(
    ("answer", "is_match"),
    [
        (detail(4), True),
        (detail(4, PENDING), True),
        (detail(4, FAILED), True),
        (detail(3, FAILED), True),
        (detail(None, FAILED), True),
        (detail(3), False),
        (detail(5), False),
        (detail(5, FAILED), False),
        (detail(5, PENDING), False),
    ],
)
def test_sizes_decide(answer: Ingestion, *, is_match: bool) -> None:
    """One of the batch's size matches, and a failed one that may not have counted all of its rows."""
    one = search()
    one.take(whole(entry("x")), 31.0)
    one.take(answer, 32.0)
    assert (one.ended, one.matches) == ("done", ["x"] if is_match else [])


@pytest.mark.parametrize(
    "unready",
    [
        None,
        detail(None),
        detail(0),
        detail(3, PENDING),
        detail(3, UNKNOWN),
        detail(3, appended=2),
        detail(3, appended=None),
        detail(3, appended=3, overwritten=1, rejected=None),
    ],
)
def test_unready_candidates_are_read_again(unready: Ingestion | None) -> None:
    """A candidate that can't be read or counted yet is read again after a wait, the others are not."""
    one = search()
    one.take(whole(entry("x"), entry("y")), 31.0)
    one.take(unready, 32.0)
    one.take(detail(3), 33.0)
    assert (one.question(), one.attempts.due_at, one.ended) == (IngestionDetail("x"), 34.0, None)
    one.take(detail(4), 34.0)
    assert (one.ended, one.matches) == ("done", ["x"])


@pytest.mark.parametrize("counts", [{"appended": 1, "overwritten": 2}, {"appended": 1, "rejected": 2}])
def test_counts_of_every_kind_add_up(counts: dict[str, int]) -> None:
    """A smaller ingestion is another one when its rows are all appended, overwritten or rejected."""
    one = search()
    one.take(whole(entry("x")), 31.0)
    one.take(detail(3, **counts), 32.0)
    assert (one.ended, one.matches) == ("done", [])


@pytest.mark.parametrize(
    ("listed", "read", "is_match", "is_unsure"),
    [
        (SINCE + 50, None, True, False),
        (SINCE + 50, SINCE - 50, True, False),
        (SINCE + 49.9, SINCE + 50, True, True),
        (None, SINCE + 50, True, False),
        (None, SINCE + 49.9, True, True),
        (None, SINCE - 0.1, False, False),
        (None, None, True, True),
    ],
)
@pytest.mark.parametrize("status", [DONE, FAILED])
def test_times_decide(
    status: IngestionStatus, listed: float | None, read: float | None, *, is_match: bool, is_unsure: bool
) -> None:
    """The list's time counts, else the detail's; one that may be an earlier run's makes the match unsure."""
    one = search(sure_from=SINCE + 50)
    one.take(whole(entry("x", listed)), 31.0)
    one.take(detail(4 if status is DONE else 3, status, read), 32.0)
    assert (one.ended, one.matches) == ("done", ["x"] if is_match else [])
    assert one.is_unsure == is_unsure


def test_undated_match_is_sure_among_known_ones() -> None:
    """Where every other ingestion is known, a match needs no time to be the lost one."""
    one = search(sure_from=-math.inf)
    one.take(whole(entry("x", None)), 31.0)
    one.take(detail(4, at=None), 32.0)
    assert (one.matches, one.is_unsure) == (["x"], False)


def test_stale_list_is_walked_again() -> None:
    """A smaller candidate that is done, but not in the list, has the list read again from where it was."""
    one = search(sure_from=SINCE + 50)
    old, late = (tuple(entry(f"{at} {each}", SINCE - at + each) for each in range(10)) for at in (90, 20))
    new = [entry(f"new {each}", SINCE + each) for each in range(10)]
    new[8:] = [entry("match", SINCE + 8), entry("stale", SINCE + 9, PENDING)]
    for number, entries in ((1, old), (3, tuple(new)), (2, late)):
        assert one.question() == ListPage(number)
        one.take(IngestionsPage(entries, number, 10, 30), 31.0)
    for _ in range(8):
        one.take(detail(5), 31.0)
    one.take(detail(4), 31.0)
    one.take(detail(3), 31.0)
    # What was a match may be unsure, or gone, in the new walk.
    assert (one.question(), one.attempts.due_at, one.matches) == (ListPage(3), 32.0, [])
    one.take(IngestionsPage(tuple(new), 3, 10, 30), 32.0)
    assert one.question() == ListPage(2)
    one.take(IngestionsPage(late, 2, 10, 30), 32.0)
    assert one.question() == IngestionDetail("new 0")


def test_nothing_found_is_not_unsure() -> None:
    """Where nothing matches after the list was read again, what the walk before found counts for nothing."""
    one = search(sure_from=SINCE + 50)
    one.take(whole(entry("x", status=PENDING)), 31.0)
    one.take(detail(3), 31.0)
    one.take(whole(entry("x")), 32.0)
    one.take(detail(3), 32.0)
    assert (one.ended, one.matches, one.is_unsure) == ("done", [], False)


def test_list_is_stale_for_one_walk() -> None:
    """After the list was read again, a candidate that can't be read yet is read again by itself."""
    one = search(sure_from=SINCE + 50)
    one.take(whole(entry("x", status=PENDING), entry("y", SINCE + 60)), 31.0)
    one.take(detail(3), 31.0)
    one.take(detail(4), 31.0)
    assert one.question() == ListPage(1)
    one.take(whole(entry("x"), entry("y", SINCE + 60)), 32.0)
    one.take(None, 32.0)
    one.take(detail(4), 32.0)
    assert (one.question(), one.matches) == (IngestionDetail("x"), ["y"])
    one.take(detail(3), 33.0)
    assert (one.ended, one.matches, one.is_unsure) == ("done", ["y"], False)
