"""Walks over the list of ingestions: nothing that matters is missed, in as few pages as may be."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_databox.api.shapes import IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.survey import Survey, order

SIZE = 20


def entry(at: float | None) -> IngestionEntry:
    """A line of the list that is named by its time."""
    return IngestionEntry(f"i{at}", at, IngestionStatus.DONE)


def page(entries: list[IngestionEntry], number: int, *, counted: bool = True) -> IngestionsPage:
    """One page of a list."""
    part = tuple(entries[(number - 1) * SIZE : number * SIZE])
    return IngestionsPage(part, number, SIZE, len(entries) if counted else None)


def walk(survey: Survey, entries: list[IngestionEntry], *, counted: bool = True) -> int:
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
    survey = Survey(float(since))
    walk(survey, entries, counted=counted)
    assert {f"i{float(at)}" for at in range(since, count)} <= survey.entries.keys()


def test_newest_first_needs_few_pages() -> None:
    """Where the newest come first, a walk ends with the page that reaches back far enough."""
    entries = [entry(float(at)) for at in range(1000, 0, -1)]
    assert walk(Survey(990.5), entries) == 1


def test_oldest_first_starts_at_the_end() -> None:
    """Where the oldest come first, a later walk starts with the last page."""
    entries = [entry(float(at)) for at in range(1000)]
    first = Survey(990.5)
    assert walk(first, entries) == 2
    assert walk(Survey(995.5, before=first), entries) == 1


def test_no_order_needs_every_page() -> None:
    """Where no order shows, every page is read, or as many as are allowed."""
    entries = [entry(float(at)) for at in range(1000)]
    random.Random(1).shuffle(entries)  # noqa: S311
    assert walk(Survey(990.5), entries) == math.ceil(1000 / SIZE)
    survey = Survey(990.5, most_pages=7)
    assert walk(survey, entries) == 7
    assert survey.is_cut_short
