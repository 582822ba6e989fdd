"""What `delivery` needs from outside: an API, a request budget, settings. Protocols only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from target_databox.api.values import Accepted, Ingestion, IngestionsPage


class Api(Protocol):
    """A client of Databox: one try per call; failures are errors of `target_databox.api.errors`."""

    def post_rows(self, dataset_id: str, body: bytes, idempotency_key: str) -> Accepted:
        """Send one batch."""

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """Read the detail of one ingestion."""

    def ingestions(self, dataset_id: str, page: int, page_size: int) -> IngestionsPage:
        """Read one page of the list of ingestions."""

    def purge(self, dataset_id: str, idempotency_key: str) -> None:
        """Remove every row of a dataset."""

    def server_time(self) -> float | None:
        """The server's time at its latest response, in epoch seconds; None before the first."""


class Budget(Protocol):
    """Requests that the API key may still make."""

    def take(self, now: float, reserve: int = 0) -> float:
        """Take one request; returns 0 if it may be sent, else when to ask again."""

    def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
        """Slow down after a 429; returns a warning, if there is one to log."""

    def succeeded(self) -> None:
        """Speed up after any other response."""


class DeliverySettings(Protocol):
    """How to deliver: settings of the target under their own names, and values derived from them."""

    @property
    def batch_size_rows(self) -> int:
        """Most rows in one ingestion."""

    @property
    def most_rows_bytes(self) -> int:
        """Most bytes of the rows of one request, including the commas between them."""

    @property
    def batch_age_seconds(self) -> float:
        """How long a row that could be sent waits for its batch to fill."""

    @property
    def unconfirmed_batches(self) -> int:
        """Most batches in flight at the same time."""

    @property
    def unconfirmed_bytes(self) -> int:
        """Most bytes of rows held in memory until they are confirmed."""

    @property
    def retry_seconds(self) -> float:
        """How long one request is retried."""

    @property
    def confirmation(self) -> Literal["rows", "status"]:
        """Whether each ingestion is read by itself (`rows`), or the list of them (`status`)."""

    @property
    def confirmation_timeout_seconds(self) -> float:
        """How long an ingestion may stay unconfirmed."""

    @property
    def listing_lag_seconds(self) -> float:
        """How long a new ingestion may be missing from the list."""

    @property
    def state_interval_seconds(self) -> float:
        """At most one STATE in this time."""

    @property
    def shutdown_seconds(self) -> float:
        """Time to finish the batches in flight once the run ends early."""

    @property
    def rejects_path(self) -> Path | None:
        """Where rejected records are kept; without it the first one ends the run."""

    @property
    def rejects_limit(self) -> int:
        """The number of rejected records above which the run ends."""
