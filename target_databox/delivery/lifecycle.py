"""The run's lifecycle: whether rows come in, whether new batches are sent, and why it ends early. Pure."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from target_databox.api.errors import KeyRefusedError
from target_databox.delivery.batches import NEVER
from target_databox.delivery.errors import LoadingError

if TYPE_CHECKING:
    from target_databox.api.errors import DataboxError
    from target_databox.delivery.batches import Destination


class Mode(enum.Enum):
    """The phases of a run."""

    RUNNING = "rows come in and are sent"
    DRAINING = "no more rows come in; everything is sent"
    SETTLING = "no new batches are sent; those in flight get their outcome"
    CLOSED = "nothing more happens"


class Lifecycle:
    """The run's lifecycle; it only moves forward.

    Args:
        shutdown_seconds: How long a run that fails waits for the batches in flight.

    Attributes:
        error: Why the run ends early; None while it doesn't.
        deadline: When a run that is ending stops waiting.
    """

    def __init__(self, shutdown_seconds: float) -> None:
        self.mode = Mode.RUNNING
        self.error: BaseException | None = None
        self.deadline = NEVER
        self._shutdown_seconds = shutdown_seconds
        self._ends_at_record = False

    @property
    def is_settling(self) -> bool:
        """Whether no new batches are sent any more."""
        return self.mode in (Mode.SETTLING, Mode.CLOSED)

    def drain(self) -> None:
        """Send everything, since the input has ended."""
        if self.mode is Mode.RUNNING:
            self.mode = Mode.DRAINING

    def settle(self, deadline: float = NEVER) -> None:
        """Send no new batches; wait for the outcomes of those in flight until a deadline."""
        if self.mode is not Mode.CLOSED:
            self.mode = Mode.SETTLING
            self.deadline = min(self.deadline, deadline)

    def fail(self, error: BaseException, now: float) -> None:
        """End the run early; the first reason counts. With a refused API key there is nothing to wait for."""
        self._blame(error)
        if isinstance(error, KeyRefusedError):
            self.close()
        self.settle(now + self._shutdown_seconds)

    def stop_for(self, error: BaseException) -> None:
        """End the run early, but without a deadline for the outcomes of the batches in flight."""
        self._blame(error)
        self.settle()

    def say_where(self, error: DataboxError, destination: Destination) -> None:
        """Add the stream to the API error that ends the run, since such an error knows only the path."""
        if self.error is error:
            self.error = LoadingError(f"Loading {destination} failed: {error}")
            self.error.__cause__ = error

    def end_at_record(self, error: BaseException) -> None:
        """End the run at a record, after the rows before it; a later call is for an earlier record."""
        if self.error is None or self._ends_at_record:
            self.error = error
            self._ends_at_record = True
        self.drain()

    def close(self) -> None:
        """Stop everything."""
        self.mode = Mode.CLOSED

    def _blame(self, error: BaseException) -> None:
        # This keeps even the rows before a rejected record from being delivered, so it is the more important
        # one.
        if self.error is None or self._ends_at_record:
            self.error = error
            self._ends_at_record = False
