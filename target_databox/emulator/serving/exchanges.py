"""Remembers what was asked and answered, so that tests can see what a client really did."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        at: When the request came, in seconds since 1970.
        seconds: How long the answer took.
        method: The HTTP method.
        route: The route's name; `None` when the API has no such route.
        path: The path with its query.
        status: The answer's status; `None` when the connection was cut instead.
        key: The beginning of the key that was sent, enough to distinguish two; empty when there was none.
        rows: How many rows a request to store rows had, else 0.
        request_bytes: The size of the request's body.
        body: The request's body, when the log was asked to keep bodies.
        version: The version of the API that the request spoke, `v1` or `v2`; empty for none.
        idempotency_key: The `Idempotency-Key` that was sent; `None` when there was none.
        replayed: Whether the answer was that of an earlier request with the same key.
    """

    at: float
    seconds: float
    method: str
    route: str | None
    path: str
    status: int | None
    key: str
    rows: int
    request_bytes: int
    body: bytes | None = None
    version: str = ""
    idempotency_key: str | None = None
    replayed: bool = False


# Longer than any path of the API. Nobody reads more, and a client may send thousands of characters.
_MOST_CHARACTERS = 300
# What Python needs for an exchange and its numbers, beside the texts.
_EXCHANGE_BYTES = 500
_MOST_BYTES = 64_000_000


def shortened(text: str) -> str:
    """A text of a request as it is remembered: an endless one is cut."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


class ExchangeLog:
    """The newest exchanges, oldest first; may be read while the emulator runs.

    It needs no more than 64 MB, whatever is asked, beside the bodies that it is asked to keep.

    Args:
        length: How many are remembered.
        keep_bodies: Remember what was sent, too.
    """

    def __init__(self, length: int = 100_000, *, keep_bodies: bool = False) -> None:
        self.keep_bodies = keep_bodies
        self._exchanges: deque[Exchange] = deque(maxlen=length)
        self._lock = RLock()
        self._total = 0
        self._bytes = 0

    def add(self, exchange: Exchange) -> None:
        """Remember an exchange."""
        with self._lock:
            if len(self._exchanges) == self._exchanges.maxlen:
                self._forget_oldest()
            self._exchanges.append(exchange)
            self._bytes += _bytes(exchange)
            self._total += 1
            while self._bytes > _MOST_BYTES:
                self._forget_oldest()

    def __iter__(self) -> Iterator[Exchange]:
        with self._lock:
            return iter(list(self._exchanges))

    def __len__(self) -> int:
        return len(self._exchanges)

    @property
    def total(self) -> int:
        """How many exchanges there were, remembered or not."""
        return self._total

    def of(self, route: str) -> list[Exchange]:
        """The exchanges on a route."""
        return [each for each in self if each.route == route]

    def count(self, predicate: Callable[[Exchange], bool]) -> int:
        """How many exchanges a predicate holds for."""
        return sum(1 for each in self if predicate(each))

    def unknown_routes(self) -> list[str]:
        """Method and path of every request that no route of the API answers."""
        return [f"{each.method} {each.path}" for each in self if each.route is None]

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._exchanges.clear()
            self._total = 0
            self._bytes = 0

    def _forget_oldest(self) -> None:
        if self._exchanges:
            self._bytes -= _bytes(self._exchanges.popleft())


def _bytes(exchange: Exchange) -> int:
    """About what an exchange needs in memory, without its body."""
    return _EXCHANGE_BYTES + len(exchange.path) + len(exchange.idempotency_key or "")
