"""Scenes for tests of the delivery: a dispatcher whose clock is moved by hand, answers given one by one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from target_databox.api.errors import LostAnswerError, RefusedError, ThrottledError, UnreachableError
from target_databox.api.v1.dialect import V1
from target_databox.api.values import (
    Accepted,
    ApiProblem,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
)
from target_databox.delivery.batches import Destination
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.rows import Row

if TYPE_CHECKING:
    from target_databox.delivery.batches import Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.requests import Request

EPOCH = 1_700_000_000.0
FACTS: dict[str, Any] = {"method": "POST", "path": "/v1/datasets/d1/data"}

T = TypeVar("T")


class FreeBudget:
    """A budget without end that counts what it heard."""

    def __init__(self) -> None:
        self.free_at = 0.0
        self.reserves: list[int] = []

    def take(self, now: float, reserve: int = 0) -> float:
        """Take a turn."""
        if now < self.free_at:
            return self.free_at
        self.reserves.append(reserve)
        return 0.0

    def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
        """Pause."""
        self.free_at = now + (retry_after_seconds or 1.0)

    def succeeded(self) -> None:
        """Nothing to recover from."""


def settings(**changes: Any) -> DeliverySettings:
    """The settings' defaults, with batches of four rows."""
    values: dict[str, Any] = {
        "batch_size_rows": 4,
        "batch_size_bytes": 1_000_000,
        "batch_age_seconds": 30.0,
        "unconfirmed_batches": 500,
        "unconfirmed_bytes": 64_000_000,
        "retry_seconds": 300.0,
        "confirmation": "rows",
        "confirmation_timeout_seconds": 600.0,
        "listing_lag_seconds": 30.0,
        "state_interval_seconds": 0.0,
        "shutdown_seconds": 20.0,
        "rejects_path": Path("rejects"),
        "rejects_limit": 100,
        **changes,
    }
    values["most_rows_bytes"] = values["batch_size_bytes"] - V1.frame_bytes
    return cast("DeliverySettings", SimpleNamespace(**values))


def destination(**changes: Any) -> Destination:
    """A new dataset with known keys."""
    values: dict[str, Any] = {"is_keyed": True, "is_new": True, **changes}
    return Destination("orders", "d1", "Orders", **values)


class Scene:
    """One dispatcher with its clock."""

    def __init__(self, *, to: Destination | None = None, **changes: Any) -> None:
        self.now = 0.0
        self.budget = FreeBudget()
        self.dispatcher = Dispatcher(
            settings(**changes), self.budget, wait=lambda _, asked: asked or 1.0, new_key=self._new_key
        )
        self.dispatcher.server_time = EPOCH
        self.lane = self.dispatcher.open_lane(to or destination())
        self._number = 0
        self._ids = 0
        self._keys = 0

    def _new_key(self) -> str:
        self._keys += 1
        return f"key {self._keys}"

    def add_lane(self, stream: str, **changes: Any) -> Lane:
        """Another dataset."""
        values: dict[str, Any] = {"is_keyed": True, "is_new": True, **changes}
        return self.dispatcher.open_lane(Destination(stream, stream, stream, **values))

    def put(self, *keys: Any, lane: Lane | None = None, state: bool = False) -> list[Row]:
        """Read one row a key, and a STATE behind them that is their last row's number."""
        rows = []
        lane = lane or self.lane
        for key in keys:
            self._number += 1
            body = json.dumps({"id": key, "n": self._number}).encode()
            own_key = (key,) if lane.destination.is_keyed else None
            rows.append(Row(own_key, body, number=self._number, line=b"{}"))
        self.dispatcher.put(lane, rows, self.now)
        if state:
            self.dispatcher.ended(str(self._number).encode())
        return rows

    def next(self, kind: type[T]) -> T:
        """The request that starts now, of one kind."""
        request = self.dispatcher.next(self.now)
        assert isinstance(request, kind), f"{request} at {self.now}"
        return request

    def none(self) -> None:
        """Nothing starts now."""
        request = self.dispatcher.next(self.now)
        assert request is None, f"{request} at {self.now}"

    def after(self, seconds: float) -> Scene:
        """Let time pass."""
        self.now += seconds
        assert self.dispatcher.server_time is not None
        self.dispatcher.server_time += seconds
        return self

    def wait(self) -> Scene:
        """Let time pass until something is due."""
        self.none()
        wake_at = self.dispatcher.wake_at
        assert self.now < wake_at < float("inf"), wake_at
        return self.after(wake_at - self.now)

    def done(self, request: Request, answer: object) -> None:
        """Answer a request."""
        self.dispatcher.done(request, answer, self.now)

    def accept(self, request: Request) -> str:
        """Accept a POST; returns its ingestion's id."""
        self._ids += 1
        self.done(request, Accepted(f"i{self._ids}", (), "r"))
        return f"i{self._ids}"

    def rejects(self) -> list[tuple[int, str]]:
        """Write down what was rejected: numbers and reasons."""
        rejects = self.dispatcher.rejects()
        self.dispatcher.written(rejects)
        return [(reject.row.number, reject.cause.reason.value) for reject in rejects]

    def said(self) -> list[tuple[str, str]]:
        """What is to be logged since the last call: levels and lines."""
        return [(note.level, str(note)) for note in self.dispatcher.notes.taken()]

    def state(self) -> bytes | None:
        """The STATE that is due."""
        return self.dispatcher.state(self.now)


def numbers(request: Any) -> list[int]:
    """The rows of a POST, by their places in the input."""
    return [row.number for row in request.batch.rows]


def stored(rows: int, *, rejected: int = 0, errors: tuple[ApiProblem, ...] = ()) -> Ingestion:
    """An ingestion that is done."""
    return Ingestion("i", IngestionStatus.DONE, EPOCH, rows, rows - rejected, 0, rejected, errors, "r")


def unready() -> Ingestion:
    """An ingestion without counts."""
    return Ingestion("i", IngestionStatus.DONE, EPOCH, None, None, None, None, (), "r")


def failed(rows: int) -> Ingestion:
    """An ingestion that failed as a whole."""
    return Ingestion("i", IngestionStatus.FAILED, EPOCH, rows, 0, 0, rows, (), "r")


def listing(*entries: tuple[str, float, IngestionStatus]) -> IngestionsPage:
    """A page of the list that is all of it."""
    lines = tuple(IngestionEntry(name, EPOCH + at, status) for name, at, status in entries)
    return IngestionsPage(lines, 1, 100, len(lines))


def lost() -> LostAnswerError:
    """A lost answer."""
    return LostAnswerError("It was lost.", **FACTS)


def unreachable() -> UnreachableError:
    """A request that never left."""
    return UnreachableError("It never left.", **FACTS)


def throttled(seconds: float | None) -> ThrottledError:
    """A 429."""
    return ThrottledError("Slow down.", **FACTS, retry_after_seconds=seconds)


def refused(status: int = 400) -> RefusedError:
    """A final answer."""
    problem = ApiProblem("invalid_input", "Bad value.", "amount", "validation")
    return RefusedError("It was refused.", **FACTS, status=status, problems=(problem,), request_id="r9")
