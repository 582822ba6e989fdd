"""Facts on when the list of ingestions is read, where that is how batches are confirmed."""

from __future__ import annotations

from target_databox.delivery.batches import Row
from target_databox.delivery.lane import Lane
from target_databox.delivery.model import Batch, Destination, Slot
from target_databox.delivery.status_reading import StatusReading

DELAY_SECONDS = 0.5


def lane_with(*accepted_at: float) -> Lane:
    """A dataset with one unconfirmed batch for each time of acceptance."""
    lane = Lane(Destination("orders", "1", "orders", is_keyed=True))
    for number, at in enumerate(accepted_at):
        batch = Batch(lane, [Row((number,), b"{}")], Slot(), at)
        batch.accepted_at, batch.ingestion_id = at, f"i{number}"
        lane.accepted[f"i{number}"] = batch
    return lane


def test_few_batches_wait_for_more() -> None:
    """While more batches may come, a reading waits for some to be worth its request."""
    reading = StatusReading(lane_with(10.0, 11.0), lag_seconds=30)
    reading._read_at = 10.4
    assert reading.due_at(DELAY_SECONDS) == 10.4 + StatusReading.LONGEST_INTERVAL_SECONDS


def test_last_batches_wait_for_nothing() -> None:
    """When no more batches will come, the reading is due as soon as the newest one should be done."""
    reading = StatusReading(lane_with(10.0, 11.0), lag_seconds=30)
    reading._read_at = 10.4
    assert reading.due_at(DELAY_SECONDS, is_last=True) == 11.0 + DELAY_SECONDS


def test_nothing_unconfirmed_needs_no_reading() -> None:
    """Without an unconfirmed batch the list is not read."""
    assert StatusReading(lane_with(), lag_seconds=30).due_at(DELAY_SECONDS, is_last=True) == float("inf")
