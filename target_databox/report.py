"""What a run says at its end: one line a stream, whose sum must hold."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.delivery.lane import Lane
    from target_databox.delivery.model import Counts

logger = logging.getLogger("target-databox")


class CountError(RuntimeError):
    """Rows were read that have no outcome, though the run is complete."""


def stream_line(stream: str, counts: Counts) -> str:
    """One stream's rows and what they cost."""
    parts = [
        f"{stream}: read {counts.read} = confirmed {counts.confirmed} + superseded {counts.superseded} "
        f"+ rejected {counts.rejected}"
    ]
    if counts.open:
        parts.append(f"+ {counts.open} without an outcome")
    stored = f"appended {counts.appended}, overwritten {counts.overwritten}"
    if counts.unknown_counts:
        stored += f", of {counts.unknown_counts} rows unknown since they were confirmed by status"
    return (
        f"{' '.join(parts)} ({stored}; {counts.batches} batches, {counts.requests} requests, {counts.retries} retries, "
        f"{counts.throttled_seconds:.1f} s waited for the rate limit)"
    )


def summarise(lanes: Iterable[Lane], *, is_complete: bool) -> None:
    """Log a line for every stream.

    Raises:
        CountError: The run is complete and a sum does not hold.
    """
    unaccounted = []
    for lane in lanes:
        logger.info("%s", stream_line(lane.destination.stream, lane.counts))
        if is_complete and lane.counts.open:
            unaccounted.append(lane.destination.stream)
    if unaccounted:
        raise CountError(
            f"Rows of {', '.join(unaccounted)} have no outcome, though everything was read and sent. This is a bug of "
            "target-databox; please report it with the lines above. Run again: no STATE has passed those rows."
        )
