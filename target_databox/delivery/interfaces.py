"""What delivery needs of the world: an API, a request budget, settings. Protocols only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from target_databox.api.values import Accepted, Ingestion, IngestionsPage


class Api(Protocol):
    """What delivery needs of Databox: one try a call; failures are errors of `target_databox.api.errors`."""

    def post_rows(self, dataset_id: str, body: bytes, idempotency_key: str) -> Accepted:
        """Send one batch."""

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """Read one ingestion's own record."""

    def ingestions(self, dataset_id: str, page: int, page_size: int) -> IngestionsPage:
        """Read one page of the list of ingestions."""

    def purge(self, dataset_id: str, idempotency_key: str) -> None:
        """Remove every row of a dataset."""

    def server_time(self) -> float | None:
        """The server's clock at its newest answer, in epoch seconds."""


class Budget(Protocol):
    """Requests that the API key may still make."""

    def take(self, now: float, reserve: int = 0) -> float:
        """Take one; 0 when taken, else when to ask again."""

    def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
        """Slow down after a 429; returns what to warn of, if anything."""

    def succeeded(self) -> None:
        """Recover after an answer."""


class DeliverySettings(Protocol):
    """How to deliver: settings of the target, each under its own name, and what follows from them."""

    @property
    def batch_size_rows(self) -> int:
        """Rows in one ingestion."""

    @property
    def most_rows_bytes(self) -> int:
        """Bytes that the rows of one request may have, with the commas between them."""

    @property
    def batch_age_seconds(self) -> float:
        """How long a row that could be sent waits for its batch to fill."""

    @property
    def unconfirmed_batches(self) -> int:
        """Batches in flight at the same time."""

    @property
    def unconfirmed_bytes(self) -> int:
        """Bytes of rows held in memory until they are confirmed."""

    @property
    def retry_seconds(self) -> float:
        """How long one request is tried again."""

    @property
    def confirmation(self) -> Literal["rows", "status"]:
        """Whether each ingestion is read, or their list."""

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
        """Time to finish what is in flight, once the run is to end."""

    @property
    def rejects_path(self) -> Path | None:
        """Where rejected records are kept; without it the first of them ends the run."""

    @property
    def rejects_limit(self) -> int:
        """More rejected records than this end the run."""
