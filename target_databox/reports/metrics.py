"""Figures of a run as the SDK's `METRIC:` lines: requests, waits for the rate limit, confirmations."""

from __future__ import annotations

import enum
import logging
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from singer_sdk import metrics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.api.exchanges import Exchange
    from target_databox.delivery.batches import Lane


class Figure(str, enum.Enum):
    """Figures that the SDK has no name for."""

    THROTTLE_SECONDS = "throttle_seconds"
    CONFIRMATION_SECONDS = "confirmation_seconds"
    CONFIRMATION_COUNT = "confirmation_count"


class Requests:
    """Counts tries of requests by route and status; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[tuple[str, int | None]] = Counter()

    def add(self, exchange: Exchange) -> None:
        """Count one try."""
        with self._lock:
            self._counts[f"{exchange.method} {exchange.route}", exchange.status] += 1

    def log(self) -> None:
        """Log a metric for each route and status."""
        with self._lock:
            counts = sorted(self._counts.items(), key=str)
        for (endpoint, status), count in counts:
            is_done = status is not None and status < 400
            tags: dict[str, Any] = {
                metrics.Tag.ENDPOINT: endpoint,
                metrics.Tag.HTTP_STATUS_CODE: status,
                metrics.Tag.STATUS: metrics.Status.SUCCEEDED if is_done else metrics.Status.FAILED,
            }
            _log("counter", metrics.Metric.HTTP_REQUEST_COUNT, count, tags)


def log_streams(lanes: Iterable[Lane]) -> None:
    """Log how long each stream waited for the rate limit and for confirmations."""
    for lane in lanes:
        tags = {metrics.Tag.STREAM: lane.destination.stream}
        counts = lane.counts
        _log("counter", Figure.THROTTLE_SECONDS, round(counts.throttled_seconds, 3), tags)
        _log("counter", Figure.CONFIRMATION_SECONDS, round(counts.confirmation_seconds, 3), tags)
        _log("counter", Figure.CONFIRMATION_COUNT, counts.confirmations, tags)


def _log(kind: str, metric: enum.Enum, value: float, tags: dict[Any, Any]) -> None:
    named_tags = {str(name.value): tag for name, tag in tags.items()} | {"pid": os.getpid()}
    point = metrics.Point(kind, metric, value, named_tags)  # type: ignore[arg-type] # any enum of names will do
    metrics_logger = metrics.get_metrics_logger()
    # The SDK's own text: its StructuredFormatter makes an object of the figure by it.
    metrics_logger.log(_level(metrics_logger), "METRIC: %s", point)


def _level(metrics_logger: logging.Logger) -> int:
    """INFO where the logging configuration gives the SDK's metrics a handler, else DEBUG."""
    # A handler and not a level: the SDK sets the logger's level by TARGET_DATABOX_LOGLEVEL in any case.
    return logging.INFO if metrics_logger.handlers else logging.DEBUG
