"""What is open: rows without an outcome, the memory they take, batches in the window, STATEs behind them."""

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

# What a key in flight costs beside its values: places in a dictionary and a list (measured with tracemalloc).
KEY_OVERHEAD_BYTES = 150


class Ledger:
    """The books of a run: every row that comes in is closed once, every batch gives its place back once.

    Args:
        state_interval_seconds: At most one STATE in this time.

    Attributes:
        open_rows: Rows without an outcome.
        places: Batches in the window, accepted or not.
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
        """Memory kept for rows without an outcome, keys held beyond it, and the STATEs behind them."""
        return self._row_bytes + self._key_bytes + self.checkpoints.held_bytes

    def enter(self, lane: Lane, rows: Sequence[Row]) -> None:
        """Rows came in."""
        stretch = self.checkpoints.stretch
        for row in rows:
            row.stretch = stretch
            self._row_bytes += row.cost_bytes
        self.checkpoints.opened(len(rows))
        self.open_rows += len(rows)
        lane.counts.read += len(rows)

    def close(self, rows: Sequence[Row]) -> None:
        """Rows have their outcome, and that is durable."""
        self.open_rows -= len(rows)
        self._row_bytes -= sum([row.cost_bytes for row in rows])
        for stretch, count in Counter([row.stretch for row in rows]).items():
            self.checkpoints.closed(stretch, count)

    def accepted(self, batch: Batch, ingestion_id: str, now: float) -> None:
        """A batch has an ingestion, whose outcome is awaited."""
        batch.ingestion_id = ingestion_id
        batch.accepted_at = now
        batch.ingestions += 1
        batch.questions = 0
        batch.asking = Attempts(now)
        batch.lane.remember(batch)
        self.unconfirmed += 1

    def unlist(self, batch: Batch) -> None:
        """A batch's ingestion has its outcome, whatever it is."""
        if batch.ingestion_id is not None and batch.lane.accepted.pop(batch.ingestion_id, None) is not None:
            self.unconfirmed -= 1
        batch.ingestion_id = None

    def confirm(self, batch: Batch, now: float, *, rejected: Collection[Row] = ()) -> None:
        """Every row of a batch but the rejected ones is stored, and what it replaced is superseded."""
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
        """A batch is over: its keys are free unless a first copy may still land, its place as well."""
        self.unlist(batch)
        keys = batch.lane.queue.keys(batch.rows)
        if batch.hold is not None and not batch.hold.is_over:
            batch.hold.keys.extend(keys)
            self._key_bytes += _held_bytes(keys)
        else:
            batch.lane.queue.free(keys, now)
        self.give_up_place(batch)

    def end_hold(self, lane: Lane, hold: Hold, now: float) -> None:
        """No first copy can land any more: the keys it held are free."""
        hold.is_over = True
        lane.holds.remove(hold)
        lane.queue.free(hold.keys, now)
        self._key_bytes -= _held_bytes(hold.keys)

    def give_up_place(self, batch: Batch) -> None:
        """A batch needs its place in the window no longer; it is free when all of its parts say so."""
        batch.place.parts -= 1
        self.places -= batch.place.parts == 0


def _held_bytes(keys: Iterable[Hashable]) -> int:
    return sum(KEY_OVERHEAD_BYTES + key_bytes(key) for key in keys)
