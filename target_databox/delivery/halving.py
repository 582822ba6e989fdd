"""Isolating the bad rows of a batch: what a half's outcome says about its twin. Pure.

Databox tells how many rows of an ingestion it rejected, not which (D). A bad batch is cut in two; the first
half is sent, and what comes back often says enough about the second to spare its request: one bad row in a
batch costs about log2 of the batch in loads, not twice that. What says nothing of the second is a refusal of
the first: then the second waits, and goes with all others that were cut off so, when the bad row is found.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeVar

T = TypeVar("T")


class Twin(NamedTuple):
    """What is known of the second half.

    Attributes:
        verdict: `stored`, all its rows were stored by the batch before; `rejected`, that many of them were;
            `refused`, it holds the reason of a refusal; `unknown`, it has to be sent to know.
        rejected: How many of its rows were rejected, with `rejected`.
    """

    verdict: Literal["stored", "rejected", "refused", "unknown"]
    rejected: int = 0


def halves(rows: list[T]) -> tuple[list[T], list[T]]:
    """Cut a batch of at least two rows in two, the first half at least as large."""
    middle = (len(rows) + 1) // 2
    return rows[:middle], rows[middle:]


def twin(whole_rejected: int | None, first_rejected: int | None, second_rows: int) -> Twin:
    """Judge the second half by the whole and the first.

    Args:
        whole_rejected: Rows that the whole batch's ingestion rejected; None when the whole was refused,
            nothing of it stored.
        first_rejected: Rows rejected when the first half was sent alone; None when it was refused.
        second_rows: Rows in the second half.
    """
    if whole_rejected is None:
        if first_rejected == 0 and second_rows > 1:
            return Twin("refused")
        # A row that stands alone is sent, so that its own answer tells why.
        return Twin("unknown")
    if first_rejected is None or not 0 <= whole_rejected - first_rejected <= second_rows:
        # It was not judged the same way twice.
        return Twin("unknown")
    rejected = whole_rejected - first_rejected
    return Twin("rejected", rejected) if rejected else Twin("stored")
