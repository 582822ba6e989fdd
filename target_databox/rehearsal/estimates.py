"""How many requests rows need, and how long the rate limits make them take. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from target_databox.api.budget import HOUR_SECONDS, MARGIN

if TYPE_CHECKING:
    from typing import Literal

    Confirmation = Literal["rows", "status"]

# Accounts, data sources and datasets are listed once in a run.
FINDING_REQUESTS: Final = 3
# The keys and the ingestions of an existing dataset are read; a new one is created and listed.
FINDING_REQUESTS_PER_STREAM: Final = 2


def requests_for(batches: int, confirmation: Confirmation, *, page_size: int) -> int:
    """The least number of requests that send and confirm batches.

    With `rows` each ingestion is read by itself; with `status` a page of the list shows up to `page_size`.
    """
    return batches + (batches if confirmation == "rows" else math.ceil(batches / page_size))


def rows_per_hour(
    confirmation: Confirmation, *, batch_rows: int, page_size: int, per_second: float, per_hour: float
) -> float:
    """The most rows that full batches can carry in an hour."""
    requests = min(per_hour, per_second / MARGIN * HOUR_SECONDS)
    return requests * batch_rows * page_size / requests_for(page_size, confirmation, page_size=page_size)


def shortest_seconds(requests: int, *, per_second: float, per_hour: float) -> float:
    """The shortest time from the first to the last of some requests that a key's limits allow."""
    if requests <= 1:
        return 0.0
    spacing = MARGIN / per_second
    # A limit below one an hour is one request in several hours.
    an_hour = max(1, math.floor(per_hour))
    window_seconds = HOUR_SECONDS * an_hour / per_hour if per_hour < 1 else HOUR_SECONDS
    if an_hour * spacing >= window_seconds:
        return (requests - 1) * spacing
    windows, rest = divmod(requests - 1, an_hour)
    return windows * window_seconds + rest * spacing
