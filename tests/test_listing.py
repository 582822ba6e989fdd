"""Walks over the list of ingestions: nothing that matters is missed, in as few pages as may be."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_databox.api.values import IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.listing import ListWalk, order

SIZE = 20


def entry(at: float | None) -> IngestionEntry:
    """A line of the list that is named by its time."""
    return IngestionEntry(f"i{at}", at, IngestionStatus.DONE)


def page(entries: list[IngestionEntry], number: int, *, counted: bool = True) -> IngestionsPage:
    """One page of a list."""
    part = tuple(entries[(number - 1) * SIZE : number * SIZE])
    return IngestionsPage(part, number, SIZE, len(entries) if counted else None)


def walk(survey: ListWalk, entries: list[IngestionEntry], *, counted: bool = True) -> int:
    """Read what a walk asks for; returns the number of pages."""
    pages = 0
    while (number := survey.page()) is not None:
        survey.read(page(entries, number, counted=counted))
        pages += 1
        assert pages < 1000
    return pages


@pytest.mark.parametrize(
    ("stamps", "expected"),
    [
        (range(20), "oldest-first"),
        (range(20, 0, -1), "newest-first"),
        ([3, 1, 2, *range(20)], "unknown"),
        (range(5), "unknown"),
        ([1] * 20, "unknown"),
        ([None, *range(20)], "unknown"),
    ],
)
def test_order_is_seen_in_stamps(stamps: list[float | None], expected: str) -> None:
    """Ten or more time stamps in order show an order; anything else shows none."""
    assert order(tuple(entry(stamp) for stamp in stamps)) == expected


@settings(max_examples=200)
@given(
    st.integers(0, 120),
    st.sampled_from(["newest-first", "oldest-first", "arbitrary"]),
    st.integers(0, 120),
    st.booleans(),
)
def test_everything_recent_is_seen(count: int, shown: str, since: int, counted: bool) -> None:
    """A walk sees every entry that is not older than `since`, whatever the order, counted or not."""
    entries = [entry(float(at)) for at in range(count)]
    if shown == "newest-first":
        entries.reverse()
    elif shown == "arbitrary":
        random.Random(count).shuffle(entries)  # noqa: S311
    survey = ListWalk(float(since))
    walk(survey, entries, counted=counted)
    assert {f"i{float(at)}" for at in range(since, count)} <= survey.entries.keys()


@pytest.mark.parametrize("count", [1, 45])
def test_missing_time_stamps_hide_nothing(count: int) -> None:
    """Where no entry has a time stamp that can be read, every page is read."""
    survey = ListWalk(5.0)
    entries = [IngestionEntry(f"i{number}", None, IngestionStatus.DONE) for number in range(count)]
    walk(survey, entries)
    assert len(survey.entries) == count


def test_newest_first_needs_few_pages() -> None:
    """Where the newest come first, a walk ends with the page that reaches back far enough."""
    entries = [entry(float(at)) for at in range(1000, 0, -1)]
    assert walk(ListWalk(990.5), entries) == 1


def test_oldest_first_starts_at_the_end() -> None:
    """Where the oldest come first, a later walk starts with the last page."""
    entries = [entry(float(at)) for at in range(1000)]
    first = ListWalk(990.5)
    assert walk(first, entries) == 2
    assert walk(ListWalk(995.5, before=first), entries) == 1


def test_no_order_needs_every_page() -> None:
    """Where no order shows, every page is read, or as many as are allowed."""
    entries = [entry(float(at)) for at in range(1000)]
    random.Random(1).shuffle(entries)  # noqa: S311
    assert walk(ListWalk(990.5), entries) == math.ceil(1000 / SIZE)
    survey = ListWalk(990.5, most_pages=7)
    assert walk(survey, entries) == 7
    assert survey.is_cut_short


@pytest.mark.parametrize(("count", "expected"), [(9, "unknown"), (10, "oldest-first")])
def test_ten_stamps_show_an_order(count: int, expected: str) -> None:
    """Nine time stamps may be in order by chance, ten are not."""
    assert order(tuple(entry(float(at)) for at in range(count))) == expected


@pytest.mark.parametrize("is_reversed", [False, True])
def test_whole_list_is_read_without_since(is_reversed: bool) -> None:
    """Where everything matters every page is read, whatever is known of the order."""
    entries = [entry(float(at)) for at in range(100)]
    if is_reversed:
        entries.reverse()
    first = ListWalk()
    assert walk(first, entries) == 5
    again = ListWalk(before=first)
    assert walk(again, entries) == 5
    assert len(again.entries) == 100
    assert not again.is_cut_short


def test_newest_first_starts_at_the_beginning() -> None:
    """Where the newest come first, a later walk starts with the first page, however many there were."""
    entries = [entry(float(at)) for at in range(1000, 0, -1)]
    first = ListWalk(990.5)
    walk(first, entries)
    again = ListWalk(995.5, before=first)
    assert again.page() == 1
    assert walk(again, entries) == 1


def test_changed_order_hides_nothing() -> None:
    """A list whose order is no longer what it was is read from its beginning after all."""
    entries = [entry(float(at)) for at in range(100)]
    first = ListWalk(90.5)
    walk(first, entries)
    again = ListWalk(90.5, before=first)
    walk(again, entries[::-1])
    assert {f"i{float(at)}" for at in range(91, 100)} <= again.entries.keys()


def test_contradictions_are_remembered() -> None:
    """A list that showed two orders is read to its end, even where it shows one again."""
    pages = [range(20), range(100, 80, -1), [at - 0.5 for at in range(100, 80, -1)], range(60, 40, -1)]
    survey = ListWalk(90.2)
    walk(survey, [entry(float(at)) for stamps in pages for at in stamps])
    assert "i99.5" in survey.entries


def test_last_page_may_hold_one() -> None:
    """A last page with a single entry, which shows no order, doesn't spoil what is known of it."""
    entries = [entry(float(at)) for at in range(41)]
    first = ListWalk(30.5)
    walk(first, entries)
    assert walk(ListWalk(30.5, before=first), entries) == 2


def test_short_page_is_the_last() -> None:
    """Where the entries are not counted, a page that isn't full ends the walk."""
    assert walk(ListWalk(), [entry(float(at)) for at in range(25)], counted=False) == 2


def test_pages_may_hold_one() -> None:
    """Pages of one entry are counted right."""
    survey = ListWalk()
    survey.read(IngestionsPage((entry(1.0),), 1, 1, 2))
    assert survey.page() == 2


def test_equal_stamps_are_not_cut() -> None:
    """Entries as old as `since` matter, so a page that ends with one is not the last."""
    newest = [entry(float(at)) for at in range(40, 20, -1)]
    twin = IngestionEntry("twin", 21.0, IngestionStatus.DONE)
    survey = ListWalk(21.0)
    walk(survey, [*newest, twin, *(entry(float(at)) for at in range(20, 0, -1))])
    assert "twin" in survey.entries


@pytest.mark.parametrize("counted", [True, False])
def test_pages_may_be_smaller_than_asked(counted: bool) -> None:
    """A server that shows fewer entries on a page than it was asked for hides nothing by that."""
    survey = ListWalk()
    ids = set()
    while (number := survey.page()) is not None:
        entries = tuple(entry(float(at)) for at in range(25)[(number - 1) * 5 : number * 5])
        ids |= {each.id for each in entries}
        survey.read(IngestionsPage(entries, number, 100, 25 if counted else None))
    assert len(ids) == 25
    assert survey.pages_read <= 6


def test_server_without_pages_ends_walk() -> None:
    """A list that is the same on every page is read a few times, and not for ever."""
    survey = ListWalk()
    entries = tuple(entry(float(at)) for at in range(SIZE))
    while (number := survey.page()) is not None:
        survey.read(IngestionsPage(entries, number, SIZE, None))
    assert survey.pages_read == 3


@pytest.mark.parametrize("count", [95, 100])
@pytest.mark.parametrize("appears_at", range(5))
def test_shifting_pages_hide_nothing(appears_at: int, count: int) -> None:
    """An entry that another one moves to a page that was read already is seen all the same."""
    stamps = [float(at) for at in range(count)]
    first = ListWalk(45.0)
    walk(first, [entry(at) for at in stamps])
    again = ListWalk(45.0, before=first)
    read = 0
    while (number := again.page()) is not None:
        if read == appears_at:
            stamps.insert(30, 29.5)
        again.read(page([entry(at) for at in stamps], number))
        read += 1
    assert {f"i{float(at)}" for at in range(45, count)} <= again.entries.keys()
    assert read <= 8


def test_growth_by_a_page_hides_nothing() -> None:
    """An entry that moves to the page behind, as the list grows by a page, is seen all the same."""
    stamps = [float(at) for at in range(5 * SIZE)]
    survey = ListWalk(75.0)
    numbers = []
    while (number := survey.page()) is not None:
        if number == 4:
            stamps.insert(62, 61.5)
        numbers.append(number)
        survey.read(page([entry(at) for at in stamps], number))
    assert numbers == [1, 5, 4, 6, 5]
    assert {f"i{float(at)}" for at in range(75, 100)} <= survey.entries.keys()


@pytest.mark.parametrize("dropped_at", range(5))
def test_dropped_entries_hide_nothing(dropped_at: int) -> None:
    """An entry that moves to a page that was read already, since one before it is dropped, is seen."""
    stamps = [float(at) for at in range(100)]
    random.Random(3).shuffle(stamps)  # noqa: S311
    survey = ListWalk(45.0)
    read = 0
    while (number := survey.page()) is not None:
        if read == dropped_at:
            stamps = [at for at in stamps if at >= 3]
        survey.read(page([entry(at) for at in stamps], number))
        read += 1
    assert {f"i{float(at)}" for at in range(45, 100)} <= survey.entries.keys()
    assert read <= 10


def test_uncounted_list_may_grow() -> None:
    """A list that isn't counted and has grown since it was walked is read to its new end."""
    first = ListWalk()
    walk(first, [entry(float(at)) for at in range(25)], counted=False)
    again = ListWalk(before=first)
    walk(again, [entry(float(at)) for at in range(95)], counted=False)
    assert len(again.entries) == 95


@pytest.mark.parametrize(("counted", "pages"), [(0, 1), (None, 1), (2 * SIZE, 2)])
def test_empty_lists_end_walks(counted: int | None, pages: int) -> None:
    """A list that shows nothing is read once, or as often as its own count makes pages."""
    survey = ListWalk()
    while (number := survey.page()) is not None:
        survey.read(IngestionsPage((), number, SIZE, counted))
        assert survey.pages_read <= pages
    assert survey.pages_read == pages
    assert not survey.entries
