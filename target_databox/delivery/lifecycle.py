"""How far a run is: whether rows come in, whether anything new goes out, and why it ends early. Pure."""

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
    """What a run still does."""

    RUNNING = "rows come in and go out"
    DRAINING = "no more rows come in; everything goes out"
    SETTLING = "nothing new goes out; what is in flight gets its outcome"
    CLOSED = "nothing more happens"


class Lifecycle:
    """The run's lifecycle; it only moves forward.

    Args:
        shutdown_seconds: How long a run that fails waits for what is in flight.

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
        """Whether nothing new goes out any more."""
        return self.mode in (Mode.SETTLING, Mode.CLOSED)

    def drain(self) -> None:
        """The input has ended: everything goes out."""
        if self.mode is Mode.RUNNING:
            self.mode = Mode.DRAINING

    def settle(self, deadline: float = NEVER) -> None:
        """Send nothing new; outcomes of what is in flight are awaited until a deadline."""
        if self.mode is not Mode.CLOSED:
            self.mode = Mode.SETTLING
            self.deadline = min(self.deadline, deadline)

    def fail(self, error: BaseException, now: float) -> None:
        """End the run early; the first reason counts. A refused key leaves nothing to wait for."""
        self._blame(error)
        if isinstance(error, KeyRefusedError):
            self.close()
        self.settle(now + self._shutdown_seconds)

    def stop_for(self, error: BaseException) -> None:
        """End the run early without haste: what is in flight gets its outcome."""
        self._blame(error)
        self.settle()

    def say_where(self, error: DataboxError, destination: Destination) -> None:
        """Where an error of the API ends the run, name the stream: it knows the dataset's id at most."""
        if self.error is error:
            self.error = LoadingError(f"Loading {destination} failed: {error}")
            self.error.__cause__ = error

    def end_at_record(self, error: BaseException) -> None:
        """End the run at a record, what came before it delivered; of several the earliest is the reason."""
        if self.error is None or self._ends_at_record:
            self.error = error
            self._ends_at_record = True
        self.drain()

    def close(self) -> None:
        """Nothing more happens."""
        self.mode = Mode.CLOSED

    def _blame(self, error: BaseException) -> None:
        # What keeps the rows before a rejected record from being delivered is the weightier reason.
        if self.error is None or self._ends_at_record:
            self.error = error
            self._ends_at_record = False
