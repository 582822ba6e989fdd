"""Planned failures, so that a test or a curious user can see what the target does when the API misbehaves."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from random import Random
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(slots=True)
class Fault:
    """One planned failure: which requests it meets, and what becomes of them.

    Attributes:
        route: The route's name, or a pattern such as `*` or `post_*`; the names are those of `routes.ROUTES`,
            and with `v1_` or `v2_` before them those of one version of the API.
        nth: Only the nth matching request, from 1.
        every: Only every k-th matching request.
        probability: Only this share of the matching requests, from 0 to 1, drawn with `seed`.
        seed: Makes the draws the same every time.
        times: At most so many requests; `None` means no end.
        status: Answer with this status, instead of doing what was asked.
        after_write: With `status`: do what was asked first.
        forgets: The answer that the API gave is not kept for an `Idempotency-Key`, as after its own errors.
        headers: Headers of that answer.
        body: Text of that answer; the usual envelope when it is not given.
        html: That answer is an HTML page, as a proxy would send it.
        delay_before_seconds: Wait before doing anything.
        delay_after_seconds: Wait between doing what was asked and answering.
        drop: Cut the connection `before` doing what was asked, or `after` it, so that the answer is lost.
        fail_ingestion: The ingestion is accepted, and its processing fails.
        reject_rows: Reject the rows for which this is true; as text `column=value`, or `*` for every row.
        processing_seconds: The ingestion takes this long.
        met: How many requests matched `route` so far.
        hits: How many of them this fault struck.
    """

    route: str = "*"
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    seed: int = 1
    times: int | None = None
    status: int | None = None
    after_write: bool = False
    forgets: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    html: bool = False
    delay_before_seconds: float = 0.0
    delay_after_seconds: float = 0.0
    drop: Literal["before", "after"] | None = None
    fail_ingestion: bool = False
    reject_rows: Callable[[dict[str, Any]], bool] | str | None = None
    processing_seconds: float | None = None
    met: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)
    _random: Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Check what was asked for.

        Raises:
            ValueError: An attribute has a value that it can't have.
        """
        if self.drop not in {None, "before", "after"}:
            raise ValueError(f"drop must be before or after; got {self.drop!r}.")
        if isinstance(self.reject_rows, str) and self.reject_rows != "*" and "=" not in self.reject_rows:
            raise ValueError(f"reject_rows must be column=value, or *; got {self.reject_rows!r}.")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"status must be from 200 to 599; got {self.status!r}.")
        for name in ("nth", "every"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1; got {value!r}.")
        acts = self.status or self.delay_before_seconds or self.delay_after_seconds or self.drop
        if not (acts or self.fail_ingestion or self.reject_rows or self.processing_seconds is not None):
            raise ValueError("this fault does nothing; give it a status, a delay, a drop or another effect.")
        self._random = Random(self.seed)  # noqa: S311 -- no secret: the same draws every time

    def concerns(self, route: str, version: str = "v1") -> bool:
        """Whether a route is one of those that the fault is for."""
        return fnmatchcase(route, self.route) or fnmatchcase(f"{version}_{route}", self.route)

    def strikes(self, route: str, version: str = "v1") -> bool:
        """Whether the next request on a route is struck; counts it."""
        if not self.concerns(route, version):
            return False
        self.met += 1
        if self.times is not None and self.hits >= self.times:
            return False
        struck = (
            (self.nth is None or self.met == self.nth)
            and (self.every is None or self.met % self.every == 0)
            and (self.probability is None or self._random.random() < self.probability)
        )
        self.hits += struck
        return struck

    def rejects(self, row: dict[str, Any]) -> bool:
        """Whether a row is one of those to reject."""
        if self.reject_rows is None or isinstance(self.reject_rows, str):
            if not self.reject_rows or self.reject_rows == "*":
                return self.reject_rows == "*"
            column, _, value = self.reject_rows.partition("=")
            return column in row and _text(row[column]) == value
        return self.reject_rows(row)


ATTRIBUTES = tuple(each.name for each in fields(Fault) if each.init)
"""What a fault may be given, by name."""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


class FaultPlan:
    """The faults that are planned, which may change while the emulator runs."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = RLock()

    def add(self, route: str = "*", **attributes: Any) -> Fault:
        """Plan a fault.

        Args:
            route: The route's name, or a pattern.
            **attributes: Attributes of `Fault`.

        Returns:
            The fault, whose `hits` counts what it struck.
        """
        return self.plan(Fault(route, **attributes))

    def plan(self, fault: Fault) -> Fault:
        """Plan a fault that is made already."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Plan nothing any more."""
        with self._lock:
            self._faults.clear()

    def struck(self, route: str, version: str = "v1") -> list[Fault]:
        """The faults that strike the next request on a route, in the order in which they were planned."""
        if not self._faults:
            return []
        with self._lock:
            return [fault for fault in self._faults if fault.strikes(route, version)]


def fault_from_text(text: str) -> Fault:
    """A fault as a command line gives it.

    Args:
        text: A JSON object with attributes of `Fault`, or `ROUTE,attribute=value,…`.

    Raises:
        ValueError: It is neither, or an attribute or its value is not known.
    """
    try:
        given = json.loads(text) if text.lstrip().startswith("{") else _pairs(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} is no fault: {exc}") from exc
    for name in given:
        if name not in ATTRIBUTES:
            raise ValueError(f"A fault has no attribute {name!r}; it may have {', '.join(ATTRIBUTES)}.")
    try:
        return Fault(**given)
    except TypeError as exc:
        raise ValueError(f"{text!r} is no fault: {exc}.") from exc


def _pairs(text: str) -> dict[str, Any]:
    route, *pairs = text.split(",")
    given: dict[str, Any] = {"route": route.strip()}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"{pair!r} is not attribute=value")
        if name.strip() in {"reject_rows", "body"}:
            given[name.strip()] = value
            continue
        try:
            given[name.strip()] = json.loads(value)
        except ValueError:
            given[name.strip()] = value
    return given
