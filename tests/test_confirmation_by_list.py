"""Facts on when the list of ingestions is read, where that is how batches are confirmed."""

from __future__ import annotations

from target_databox.api.values import IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.batches import Batch, Destination, Lane, Place
from target_databox.delivery.confirmation_by_list import LONGEST_INTERVAL_SECONDS, ListReading
from target_databox.delivery.rows import Row

DELAY_SECONDS = 0.5


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
    assert 50 < pages < 70


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
