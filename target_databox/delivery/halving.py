"""Finding the bad rows of a batch that is not stored whole. Pure.

Databox says how many rows of an ingestion it rejected, not which (D), and may reject an ingestion whole for
the sake of one row (A). So a batch is cut in two, and each half is sent and judged by its own outcome: a row
is bad only when it was refused alone. That is safe where nothing of the batch is stored, or where its rows
may be sent again; elsewhere the whole batch is suspect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.delivery.batches import Event

if TYPE_CHECKING:
    from target_databox.delivery.batches import Batch
    from target_databox.delivery.outcomes import BatchNotStored


def event_of(outcome: BatchNotStored, cutoff: int | None) -> Event:
    """What happens to a batch that is not stored whole.

    Args:
        outcome: What is known of it.
        cutoff: Line of the record that ends the run; None while none does.
    """
    batch = outcome.batch
    # 1. Sending it again could store rows twice, and nothing tells which are stored.
    if not (outcome.is_nothing_stored or batch.lane.destination.resends_safely):
        return Event.DOUBTED
    # 2. Its ingestion failed, which may be nobody's fault: once more.
    if outcome.may_pass and batch.ingestions == 1:
        return Event.FAILED
    # 3. It has one row, which is to blame.
    if len(batch.rows) == 1:
        return Event.BLAMED
    # 4. The run ends at a record that came before all of its rows.
    if cutoff is not None and not _has_row_until(batch, cutoff):
        return Event.PASSED
    # 5. One of several rows is to blame.
    return Event.DIVIDED


def _has_row_until(batch: Batch, cutoff: int) -> bool:
    return any(each.number <= cutoff for row in batch.rows for each in (row, *row.replaced()))
