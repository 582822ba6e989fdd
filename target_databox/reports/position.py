"""How far a run is, as a value and as a sentence. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from target_databox.reports.durations import duration_text

REFRESH_SECONDS: Final = 0.25
# How long the end of a run waits for the display, which a terminal that takes no more output blocks.
JOIN_SECONDS: Final = 0.25


@dataclass(frozen=True)
class Position:
    """How far a run is.

    Attributes:
        read_rows: Rows read.
        done_rows: Those that have their outcome.
        unconfirmed_batches: Batches in flight.
        budget_share: Part of this hour's requests that are used, from 0 to 1.
        input_share: Part of the input that was read, from 0 to 1; None when its end is not known.
        requests: Requests made for rows so far.
        hour_requests: Requests allowed in an hour.
    """

    read_rows: int
    done_rows: int
    unconfirmed_batches: int
    budget_share: float
    input_share: float | None
    requests: int = 0
    hour_requests: int = 0


def words(position: Position, rows_per_second: float, seconds_left: float | None) -> str:
    """How far a run is, as a sentence without its full stop."""
    if not position.read_rows:
        return "no rows read yet"
    batches = position.unconfirmed_batches
    parts = [
        f"{position.done_rows:,} of {position.read_rows:,} rows read are done",
        f"{rows_per_second:,.0f} a second",
        f"{batches:,} {'batch' if batches == 1 else 'batches'} unconfirmed",
        f"{position.budget_share:.0%} of an hour's requests used",
    ]
    if seconds_left is not None:
        parts.append(f"about {duration_text(seconds_left)} left")
    return ", ".join(parts)
