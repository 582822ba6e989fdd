"""The rows of one dataset: fills batches, and never sends two rows with one key at the same time. Pure."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

# Memory of a row in addition to its bytes and its key: objects and queue entries (measured with tracemalloc).
ROW_OVERHEAD_BYTES = 400
LINE_OVERHEAD_BYTES = 33
KEY_TEXT_CHARACTERS = 200


class Origin(NamedTuple):
    """Where records came from: the tap's stream, and the SCHEMA line that was valid for them."""

    stream: str
    schema: bytes


class Row(msgspec.Struct, eq=False, gc=False):
    """An encoded record with its primary key.

    Attributes:
        key: Value of the primary key; None in a dataset without keys. Compared by value.
        body: The encoded row, one JSON object.
        number: Line number of its message in the input, from 1.
        line: The Singer line it came from, if rejected records are kept; else None.
        origin: Where that line came from; shared by all rows read under one SCHEMA.
        stretch: The stretch of input between two STATE messages that it belongs to.
        since: When it could first be sent, in seconds.
        older: The rows with the same key that it replaced before they were sent, oldest first. They are kept
            in one list because freeing a long chain of linked rows would exceed the recursion limit.
    """

    key: tuple[Hashable, ...] | None
    body: bytes
    number: int = 0
    line: bytes | None = None
    origin: Origin | None = None
    stretch: int = 0
    since: float = 0.0
    older: list[Row] | None = None
    _cost_bytes: int = 0

    @property
    def cost_bytes(self) -> int:
        """Memory kept for this row alone."""
        if not self._cost_bytes:
            self._cost_bytes = self._summed_bytes()
        return self._cost_bytes

    def _summed_bytes(self) -> int:
        size = len(self.body) + ROW_OVERHEAD_BYTES
        if self.line is not None:
            size += len(self.line) + LINE_OVERHEAD_BYTES
        return size if self.key is None else size + key_bytes(self.key)

    def replaced(self) -> Iterator[Row]:
        """The rows that this one replaced, newest first."""
        return reversed(self.older or ())

    def replace(self, row: Row) -> None:
        """Replace a row that was not sent yet, and those that it had replaced."""
        self.older, row.older = row.older or [], None
        self.older.append(row)

    def give_back(self) -> Row | None:
        """Detach the newest row that this one replaced, which keeps the older ones; None if there is none."""
        older, self.older = self.older, None
        if not older:
            return None
        newest = older.pop()
        newest.older = older or None
        return newest


class RowQueue:
    """The rows of a dataset that are not sent yet, and the keys of those in flight.

    A row whose key is in flight waits; others don't. A newer row replaces a waiting one with the same key,
    which is kept until the newer one has its outcome.
    """

    def __init__(self, *, keyed: bool) -> None:
        self.keyed = keyed
        self._ready: OrderedDict[Hashable, Row] = OrderedDict()
        # Keys in flight or held, each with the row that waits for it.
        self._busy: dict[Hashable, Row | None] = {}
        self._waiting = 0
        self.ready_bytes = 0

    def __len__(self) -> int:
        """The number of rows to send, including those that wait for their key but not replaced ones."""
        return len(self._ready) + self._waiting

    @property
    def ready(self) -> int:
        """The number of rows that could be sent now."""
        return len(self._ready)

    @property
    def ready_since(self) -> float | None:
        """Since when the first of them could be sent; None if there is none."""
        return next(iter(self._ready.values())).since if self._ready else None

    @property
    def busy(self) -> int:
        """The number of keys in flight or held."""
        return len(self._busy)

    def put_all(self, rows: Iterable[Row], now: float) -> None:
        """Add rows in their order, each newer than those before with the same key."""
        ready, busy, keyed = self._ready, self._busy, self.keyed
        size = 0
        for row in rows:
            key = row.key if keyed else row
            if key in busy:
                self._hold_back(key, row)
                continue
            replaced = ready.get(key)
            if replaced is None:
                row.since = now
            else:
                row.replace(replaced)
                row.since = replaced.since
                size -= len(replaced.body)
            ready[key] = row
            size += len(row.body)
        self.ready_bytes += size

    def _hold_back(self, key: Hashable, row: Row) -> None:
        """Make a row wait until its key is free."""
        waiting = self._busy[key]
        if waiting is None:
            self._waiting += 1
        else:
            row.replace(waiting)
        self._busy[key] = row

    def is_full(self, most_rows: int, most_bytes: int) -> bool:
        """Whether a whole batch could be cut; see `cut`."""
        return len(self._ready) >= most_rows or self.ready_bytes + len(self._ready) > most_bytes

    def cut(self, most_rows: int, most_bytes: int) -> list[Row]:
        """Remove the rows of the next batch, oldest first; their keys are in flight from now on.

        Args:
            most_rows: Most rows of one batch.
            most_bytes: Most bytes of its rows, including the commas between them. A larger row is sent alone.
        """
        ready, busy = self._ready, self._busy
        rows: list[Row] = []
        size = -1
        while ready and len(rows) < most_rows:
            key, row = ready.popitem(last=False)
            # Every row but the first has a comma before it.
            size += len(row.body) + 1
            if rows and size > most_bytes:
                ready[key] = row
                ready.move_to_end(key, last=False)
                break
            self.ready_bytes -= len(row.body)
            busy[key] = None
            rows.append(row)
        return rows

    def keys(self, rows: Iterable[Row]) -> list[Hashable]:
        """The keys to free when these rows have their outcome."""
        return [self._key(row) for row in rows]

    def free(self, keys: Iterable[Hashable], now: float) -> None:
        """Free keys; the rows that waited for them are ready to be sent."""
        for key in keys:
            newer = self._busy.pop(key, None)
            if newer is not None:
                self._waiting -= 1
                newer.since = now
                self._ready[key] = newer
                self.ready_bytes += len(newer.body)

    def restore(self, row: Row) -> None:
        """Bring back the rows that a rejected row had replaced, while its key is still in flight.

        1. A newer row waits for the key: it takes them over as rows that it replaced.
        2. Otherwise the newest of them waits for the key itself.
        """
        key = self._key(row)
        newest = self._busy[key]
        if newest is not None:
            newest.older = [*(row.older or ()), *(newest.older or ())] or None
            row.older = None
            return
        older = row.give_back()
        if older is not None:
            self._busy[key] = older
            self._waiting += 1

    def drop_from(self, number: int) -> list[Row]:
        """Remove every unsent row from a line number of the input onwards.

        If one of them had replaced an earlier row, that row takes its place again.

        Returns:
            The removed rows.
        """
        dropped: list[Row] = []
        for key, row in list(self._ready.items()):
            kept = _older_than(row, number, dropped)
            if kept is row:
                continue
            self.ready_bytes -= len(row.body)
            if kept is None:
                del self._ready[key]
            else:
                kept.since = row.since
                self._ready[key] = kept
                self.ready_bytes += len(kept.body)
        for key, waiting in self._busy.items():
            if waiting is not None:
                self._busy[key] = _older_than(waiting, number, dropped)
                self._waiting -= self._busy[key] is None
        return dropped

    def _key(self, row: Row) -> Hashable:
        # Without a primary key, every row is its own key.
        return row.key if self.keyed else row


def _older_than(row: Row, number: int, dropped: list[Row]) -> Row | None:
    kept: Row | None = row
    while kept is not None and kept.number >= number:
        dropped.append(kept)
        kept = kept.give_back()
    return kept


def key_bytes(key: Hashable) -> int:
    """Memory of a key and its values; a row that is its own key has no values."""
    parts = key if isinstance(key, tuple) else ()
    return sys.getsizeof(key) + sum(map(sys.getsizeof, parts))


def key_text(key: tuple[Hashable, ...]) -> str:
    """A key's values for a message, cut to a readable length."""
    text = ", ".join(str(value[-1] if isinstance(value, tuple) else value) for value in key)
    return text if len(text) <= KEY_TEXT_CHARACTERS else f"{text[:KEY_TEXT_CHARACTERS]}…"
