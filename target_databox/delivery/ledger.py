"""Keeps account of what is open: rows without an outcome, their memory, batches, held keys and STATEs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from target_databox.delivery.attempts import Attempts
from target_databox.delivery.checkpoints import Checkpoints
from target_databox.delivery.rows import key_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Hashable, Iterable, Sequence

    from target_databox.delivery.background import Hold
    from target_databox.delivery.batches import Batch, Lane
    from target_databox.delivery.rows import Row

# Memory of a key in flight in addition to its values: entries in a dict and a list (measured with
# tracemalloc).
KEY_OVERHEAD_BYTES = 150


class Ledger:
    """The accounts of a run. Every row that enters is closed once; every batch gives its place back once.

    Args:
        state_interval_seconds: At most one STATE in this time.

    Attributes:
        checkpoints: Determines which STATE is due.
        open_rows: Rows without an outcome.
        places: Batches without an outcome, accepted or not; all parts of a halved batch count as one.
        unconfirmed: Accepted batches without an outcome.
    """

    def __init__(self, state_interval_seconds: float) -> None:
        self.checkpoints = Checkpoints(state_interval_seconds)
        self.open_rows = 0
        self.places = 0
        self.unconfirmed = 0
        self._row_bytes = 0
        self._key_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Memory kept for rows without an outcome, held keys and STATEs that are not due yet."""
        return self._row_bytes + self._key_bytes + self.checkpoints.held_bytes

    def enter(self, lane: Lane, rows: Sequence[Row]) -> None:
        """Open rows."""
        stretch = self.checkpoints.stretch
        for row in rows:
            row.stretch = stretch
            self._row_bytes += row.cost_bytes
        self.checkpoints.opened(len(rows))
        self.open_rows += len(rows)
        lane.counts.read += len(rows)

    def close(self, rows: Sequence[Row]) -> None:
        """Close rows that have a durable outcome."""
        self.open_rows -= len(rows)
        self._row_bytes -= sum([row.cost_bytes for row in rows])
        for stretch, count in Counter([row.stretch for row in rows]).items():
            self.checkpoints.closed(stretch, count)

    def accepted(self, batch: Batch, ingestion_id: str, now: float) -> None:
        """Give a batch the ingestion whose outcome is now awaited."""
        batch.ingestion_id = ingestion_id
        batch.accepted_at = now
        batch.ingestions += 1
        batch.questions = 0
        batch.asking = Attempts(now)
        batch.lane.remember(batch)
        self.unconfirmed += 1

    def unlist(self, batch: Batch) -> None:
        """Take a batch's ingestion, which has its outcome, from the awaited ones."""
        if batch.ingestion_id is not None and batch.lane.accepted.pop(batch.ingestion_id, None) is not None:
            self.unconfirmed -= 1
        batch.ingestion_id = None

    def confirm(self, batch: Batch, now: float, *, rejected: Collection[Row] = ()) -> None:
        """Close a batch: rows that are not rejected are stored, and the rows they replaced are superseded."""
        counts = batch.lane.counts
        stored = [row for row in batch.rows if row not in rejected] if rejected else batch.rows
        superseded = [older for row in stored if row.older is not None for older in row.replaced()]
        counts.confirmed += len(stored)
        counts.superseded += len(superseded)
        self.close(stored)
        if superseded:
            self.close(superseded)
        self.release(batch, now)

    def release(self, batch: Batch, now: float) -> None:
        """Free the place and the keys of a batch; keys stay held while a first copy may still be stored."""
        self.unlist(batch)
        keys = batch.lane.queue.keys(batch.rows)
        if batch.hold is not None and not batch.hold.is_over:
            batch.hold.keys.extend(keys)
            self._key_bytes += _held_bytes(keys)
        else:
            batch.lane.queue.free(keys, now)
        self.give_up_place(batch)

    def end_hold(self, lane: Lane, hold: Hold, now: float) -> None:
        """Free the keys of a hold, since no first copy can be stored any more."""
        hold.is_over = True
        lane.holds.remove(hold)
        lane.queue.free(hold.keys, now)
        self._key_bytes -= _held_bytes(hold.keys)

    def give_up_place(self, batch: Batch) -> None:
        """Give up a batch's share of its place, which is free once all parts have done so."""
        batch.place.parts -= 1
        self.places -= batch.place.parts == 0


def _held_bytes(keys: Iterable[Hashable]) -> int:
    return sum(KEY_OVERHEAD_BYTES + key_bytes(key) for key in keys)
