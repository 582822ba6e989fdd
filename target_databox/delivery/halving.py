"""Finds the bad rows of a batch that is not stored whole. Pure.

Databox reports how many rows of an ingestion it rejected, not which (D), and may reject a whole ingestion
because of one row (A). So a batch is cut in two halves, and each is sent and judged by its own outcome: a row
is bad only if it was refused alone. That is safe if nothing of the batch is stored, or if its rows may be
sent again. Otherwise the whole batch is suspect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.delivery.batches import Event

if TYPE_CHECKING:
    from target_databox.delivery.batches import Batch
    from target_databox.delivery.outcomes import BatchNotStored


def event_of(outcome: BatchNotStored, cutoff: int | None) -> Event:
    """The event for a batch that is not stored whole.

    Args:
        outcome: What is known about it.
        cutoff: Line number of the record that ends the run; None while none does.
    """
    batch = outcome.batch
    # 1. Some rows may be stored, it is unknown which, and sending the batch again could store them twice.
    if not (outcome.is_nothing_stored or batch.lane.destination.resends_safely):
        return Event.DOUBTED
    # 2. Its first ingestion failed, perhaps not because of its rows: send it once more.
    if outcome.may_pass and batch.ingestions == 1:
        return Event.FAILED
    # 3. It has one row, which is the cause.
    if len(batch.rows) == 1:
        return Event.BLAMED
    # 4. The run ends at a record that came before all of its rows.
    if cutoff is not None and not _has_row_until(batch, cutoff):
        return Event.PASSED
    # 5. Any of several rows may be the cause.
    return Event.DIVIDED


def _has_row_until(batch: Batch, cutoff: int) -> bool:
    return any(each.number <= cutoff for row in batch.rows for each in (row, *row.replaced()))
