"""Facts on when the list of ingestions is read, where that is how batches are confirmed."""

from __future__ import annotations

import pytest

from target_databox.api.values import IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.batches import Batch, Destination, Lane, Place
from target_databox.delivery.confirmation_by_list import (
    LONGEST_INTERVAL_SECONDS,
    MOST_BATCHES,
    SHORTEST_INTERVAL_SECONDS,
    ListReading,
)
from target_databox.delivery.errors import LoadingError, UnconfirmedError
from target_databox.delivery.requests import PostRows, ReadList
from target_databox.delivery.rows import Row
from tests.delivering import EPOCH, Scene, listing, lost

DELAY_SECONDS = 0.5
DONE, PENDING, FAILED = IngestionStatus.DONE, IngestionStatus.PENDING, IngestionStatus.FAILED


def lane_with(*accepted_at: float) -> Lane:
    """A dataset with one unconfirmed batch for each time of acceptance."""
    lane = Lane(Destination("orders", "1", "orders", is_keyed=True))
    for number, at in enumerate(accepted_at):
        batch = Batch(lane, [Row((number,), b"{}")], Place(), at)
        batch.accepted_at, batch.ingestion_id = at, f"i{number}"
        lane.accepted[f"i{number}"] = batch
    return lane


def test_few_batches_wait_for_more() -> None:
    """While more batches may come, a reading waits for some to be worth its request."""
    reading = ListReading(lane_with(10.0, 11.0).accepted, lag_seconds=30, timeout_seconds=600)
    reading._read_at = 10.4
    assert reading.due_at(DELAY_SECONDS) == 10.4 + LONGEST_INTERVAL_SECONDS


def test_last_batches_wait_for_nothing() -> None:
    """When no more batches will come, the reading is due as soon as the newest one should be done."""
    reading = ListReading(lane_with(10.0, 11.0).accepted, lag_seconds=30, timeout_seconds=600)
    reading._read_at = 10.4
    assert reading.due_at(DELAY_SECONDS, is_last=True) == 11.0 + DELAY_SECONDS


def test_nothing_unconfirmed_needs_no_reading() -> None:
    """Without an unconfirmed batch the list is not read."""
    assert ListReading(lane_with().accepted, lag_seconds=30, timeout_seconds=600).due_at(
        DELAY_SECONDS, is_last=True
    ) == float("inf")


def test_endless_list_is_left_in_time() -> None:
    """A list that has no end is left when an ingestion's time would be up."""
    reading = ListReading(lane_with(10.0, 11.0).accepted, lag_seconds=30, timeout_seconds=60)
    now = reading.due_at(DELAY_SECONDS)
    pages = 0
    while not pages or reading.is_walking:
        page = reading.page()
        pages, now = pages + 1, now + 1.0
        strangers = tuple(IngestionEntry(f"{page}-{each}", None, IngestionStatus.DONE) for each in range(99))
        own = IngestionEntry("i0", None, IngestionStatus.PENDING)
        reading.read(IngestionsPage((own, *strangers), page, 100, 10**9), now, due={"i0", "i1"})
    assert pages == 60


def test_ingestion_of_an_earlier_try_is_looked_for() -> None:
    """A batch that was recognised at its second try is found where the first try put it in the list."""
    lane = Lane(Destination("orders", "1", "orders", is_keyed=False, resends_are_recognised=True))
    for name, posted_after, lost_answers in (("new", 1_000.0, 0), ("old", 900.0, 1)):
        batch = Batch(lane, [Row(None, b"{}")], Place(), 0.0)
        batch.accepted_at, batch.ingestion_id = 10.0, name
        batch.posted_after, batch.lost_answers = posted_after, lost_answers
        lane.accepted[name] = batch
    reading = ListReading(lane.accepted, lag_seconds=30, timeout_seconds=60)
    others = [IngestionEntry(f"{at}", float(at), IngestionStatus.DONE) for at in range(1_000, 901, -1)]
    own = [IngestionEntry(name, at, IngestionStatus.DONE) for name, at in (("new", 1_001.0), ("old", 901.0))]
    pages = {1: (own[0], *others[:98]), 2: (own[1],)}
    assert reading.page() == 1
    reading.read(IngestionsPage(pages[1], 1, 100, 100), 11.0, due={"new", "old"})
    assert reading.is_walking
    assert reading.page() == 2


def reading_of(lane: Lane, read_at: float = float("-inf")) -> ListReading:
    """The reading of a dataset's list, which was read before."""
    reading = ListReading(lane.accepted, lag_seconds=30, timeout_seconds=600)
    reading._read_at = read_at
    return reading


def page_of(number: int, *entries: IngestionEntry, total: int = 100) -> IngestionsPage:
    """A page of a list of many."""
    return IngestionsPage(entries, number, len(entries), total)


def strangers(number: int, newest: float | None, count: int = 10, step: float = -1.0) -> list[IngestionEntry]:
    """Entries of others, a second apart, the newest first if not said otherwise; without times if None."""
    stamps = [None if newest is None else newest + step * each for each in range(count)]
    return [IngestionEntry(f"{number}-{each}", at, DONE) for each, at in enumerate(stamps)]


def test_reading_keeps_its_shortest_interval() -> None:
    """Two readings are at least a twentieth of a second apart, however old the oldest batch is."""
    reading = reading_of(lane_with(10.0), 10.6)
    assert reading.due_at(DELAY_SECONDS, is_last=True) == 10.6 + SHORTEST_INTERVAL_SECONDS


@pytest.mark.parametrize(
    ("batches", "seconds", "status"),
    [(MOST_BATCHES - 1, 2.0, DONE), (MOST_BATCHES, 0.1, DONE), (MOST_BATCHES, 2.0, PENDING)],
)
def test_many_new_batches_are_read_soon(batches: int, seconds: float, status: IngestionStatus) -> None:
    """Twenty new batches are worth a reading, unless the last one has shown no outcome."""
    scene = Scene(confirmation="status", batch_size_rows=1, batch_size_bytes=1000)
    scene.put(0)
    first = scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(ReadList), listing((first, 0.0, status)))
    then = scene.now
    scene.put(*range(1, batches + 1))
    for _ in range(batches):
        scene.accept(scene.next(PostRows))
    scene.wait().next(ReadList)
    assert scene.now == pytest.approx(then + seconds)


def test_pages_of_a_reading_follow_each_other() -> None:
    """The next page is read at once, a page that could not be read after its wait, and none is blind."""
    scene = Scene(confirmation="status", batch_size_rows=1, batch_size_bytes=1000)
    scene.put(*range(MOST_BATCHES + 1))
    ids = [scene.accept(scene.next(PostRows)) for _ in range(MOST_BATCHES + 1)]
    own = [IngestionEntry(name, EPOCH + 50 - at, DONE) for at, name in enumerate(ids)]
    scene.done(scene.wait().next(ReadList), IngestionsPage(tuple(own[:20]), 1, 20, 21))
    second = scene.next(ReadList)
    assert second.page == 2
    scene.done(second, lost())
    assert scene.lane.counts.retries == 1
    then = scene.now
    second = scene.wait().next(ReadList)
    assert (second.page, scene.now) == (2, then + 1.0)
    scene.done(second, IngestionsPage(tuple(own[20:]), 2, 20, 21))
    assert scene.lane.is_idle
    assert scene.dispatcher._by_list.confirms(scene.lane)


def test_unreadable_list_ends_the_run() -> None:
    """A list that can't be read for `retry_seconds` ends the run with the last error."""
    scene = Scene(confirmation="status", retry_seconds=10.0)
    scene.put(1, 2, 3, 4)
    scene.accept(scene.next(PostRows))
    error = lost()
    while scene.dispatcher.error is None:
        scene.done(scene.wait().next(ReadList), error)
    assert isinstance(scene.dispatcher.error, LoadingError)
    assert scene.dispatcher.error.__cause__ is error
    assert scene.now == pytest.approx(10.1)


def test_old_pages_are_not_read() -> None:
    """A list in order is read back to a little before the oldest batch was sent, for clocks that differ."""
    lane = lane_with(10.0, 11.0)
    for name, at in (("i0", 1_000.0), ("i1", 1_001.0)):
        lane.accepted[name].posted_after = at
    for oldest, is_walking in ((995.0, True), (994.9, False)):
        reading = reading_of(lane)
        assert reading.page() == 1
        reading.read(page_of(1, *strangers(1, oldest + 9)), 12.0, due={"i0"})
        assert reading.is_walking == is_walking
        assert not reading.is_blind


def test_undated_batches_may_be_anywhere() -> None:
    """Where it is unknown when a batch was sent, no page is too old."""
    lane = lane_with(10.0)
    reading = reading_of(lane)
    reading.page()
    reading.read(page_of(1, *strangers(1, 900.0)), 12.0, due={"i0"})
    assert reading.is_walking


def test_next_reading_begins_at_the_end() -> None:
    """A list whose oldest come first is read from its end as soon as that is known."""
    lane = lane_with(10.0)
    lane.accepted["i0"].posted_after = 1_000.0
    reading = reading_of(lane)
    for number, newest in ((1, 900.0), (10, 1_000.0)):
        assert reading.page() == number
        reading.read(page_of(number, *strangers(number, newest - 9, step=1.0)), 12.0, due={"i0"})
    assert not reading.is_walking
    assert reading.page() == 10


@pytest.mark.parametrize(("own_page", "pages"), [(1, 5), (2, 5), (3, 2)])
def test_list_without_own_ones_is_left(own_page: int, pages: int) -> None:
    """Of a list that shows nothing of this run's own in two pages no third is read."""
    reading = reading_of(lane_with(10.0, 11.0))
    number = 0
    while not number or (reading.is_walking and number < 5):
        assert reading.page() == number + 1
        number += 1
        entries = strangers(number, None)
        if number == own_page:
            entries[0] = IngestionEntry("i0", None, PENDING)
        reading.read(page_of(number, *entries), 12.0, due={"i0", "i1"})
    assert number == pages


@pytest.mark.parametrize(("age", "is_blind"), [(30.0, False), (30.1, True)])
def test_list_is_blind_after_its_lag(age: float, *, is_blind: bool) -> None:
    """A list that does not show an ingestion that is older than its lag is blind."""
    reading = reading_of(lane_with(10.0))
    reading.page()
    reading.read(page_of(1, *strangers(1, None), total=10), 10.0 + age, due={"i0", "gone"})
    assert (reading.is_walking, reading.is_blind) == (False, is_blind)


def test_outcome_on_any_page_is_fruit() -> None:
    """A reading that showed an outcome on any of its pages lets the last batches be read about early."""
    lane = lane_with(10.0, 11.0)
    reading = reading_of(lane)
    reading.page()
    reading.read(
        page_of(1, IngestionEntry("i0", None, DONE), *strangers(1, None), total=16), 11.0, due={"i0", "i1"}
    )
    reading.page()
    reading.read(page_of(2, *strangers(2, None, 5), total=16), 11.0, due={"i0", "i1"})
    assert not reading.is_walking
    del lane.accepted["i0"]
    assert reading.due_at(DELAY_SECONDS, is_last=True) == 11.5
    reading.page()
    reading.read(
        page_of(1, IngestionEntry("i1", None, PENDING), *strangers(1, None), total=11), 11.5, due={"i1"}
    )
    assert reading.due_at(DELAY_SECONDS, is_last=True) == 13.5


def test_page_shows_outcomes_in_any_order() -> None:
    """An outcome counts wherever it stands on a page, before or behind what is pending."""
    scene = Scene(confirmation="status")
    scene.put(*range(12))
    ids = [scene.accept(scene.next(PostRows)) for _ in range(3)]
    entries = zip(ids, (0.0, 0.0, 0.0), (DONE, FAILED, PENDING), strict=True)
    scene.done(scene.wait().next(ReadList), listing(*entries))
    assert list(scene.lane.accepted) == ids[2:]


def test_unlisted_ones_are_unconfirmed_at_the_timeout() -> None:
    """Of several ingestions that the list never shows, the oldest is named when its time is up."""
    scene = Scene(
        confirmation="status", confirmation_timeout_seconds=2.0, listing_lag_seconds=1000.0, batch_size_rows=1
    )
    scene.put(1, 2)
    for _ in range(2):
        scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(ReadList), listing())
    assert scene.dispatcher.error is None
    reading = scene.wait().next(ReadList)
    scene.now = 2.0
    scene.done(reading, listing())
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert str(scene.dispatcher.error).startswith("Ingestion i1 of")


def test_unlisted_ones_teach_nothing() -> None:
    """An ingestion that is not listed yet does not make the list be read later for the next ones."""
    scene = Scene(confirmation="status")
    for number in range(3):
        scene.put(*range(4))
        name = scene.accept(scene.next(PostRows))
        if number == 1:
            scene.done(scene.wait().next(ReadList), listing())
            scene.done(scene.wait().next(ReadList), listing())
        then = scene.now
        scene.done(scene.wait().next(ReadList), listing((name, 0.0, DONE)))
        assert scene.now <= then + LONGEST_INTERVAL_SECONDS
