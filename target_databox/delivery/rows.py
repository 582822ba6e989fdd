"""Rows of one dataset from their arrival to their outcome: filling batches, holding back by key. Pure."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator

# What a row costs beside its bytes and its key: objects and places in queues (measured with tracemalloc).
ROW_OVERHEAD_BYTES = 400
LINE_OVERHEAD_BYTES = 33
KEY_TEXT_CHARACTERS = 200


class Origin(NamedTuple):
    """Where records came from: the tap's stream, and the SCHEMA line under which they were read."""

    stream: str
    schema: bytes


class Row(msgspec.Struct, eq=False, gc=False):
    """One row on its way.

    Attributes:
        key: Value of the primary key, None in a dataset without keys. Compared by value.
        body: The encoded row, one JSON object.
        line: The Singer line it came from, where rejected records are kept, else None.
        origin: Where that line came from; shared by all rows read under one SCHEMA.
        number: Place of its message in the input, from 1.
        stretch: The stretch of input between two STATE messages that it belongs to.
        since: When it could first be sent, in seconds.
        older: The rows of the same key that it replaced before they were sent, oldest first. One list for all
            of them: linked to one another they would be freed by a recursion as deep as they are many.
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
        """Memory that is kept for this row alone."""
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
        """Take the place of a row that is not sent yet, and of those that it had replaced."""
        self.older, row.older = row.older or [], None
        self.older.append(row)

    def give_back(self) -> Row | None:
        """The newest row that this one had replaced, which keeps the others; None when there is none."""
        older, self.older = self.older, None
        if not older:
            return None
        newest = older.pop()
        newest.older = older or None
        return newest


class RowQueue:
    """The rows of a dataset that are not sent yet, and the keys that are.

    A row whose key is in flight waits, and only it. A newer row takes the place of a waiting one, which is
    kept behind it until the newer one has its outcome.
    """

    def __init__(self, *, keyed: bool) -> None:
        self.keyed = keyed
        self._ready: OrderedDict[Hashable, Row] = OrderedDict()
        # Keys in flight, each with the row that waits for it.
        self._busy: dict[Hashable, Row | None] = {}
        self._waiting = 0
        self.ready_bytes = 0

    def __len__(self) -> int:
        """Rows to be sent, those that wait for their key included; replaced ones do not count."""
        return len(self._ready) + self._waiting

    @property
    def ready(self) -> int:
        """Rows that could be sent now."""
        return len(self._ready)

    @property
    def ready_since(self) -> float | None:
        """Since when the first of them could be sent."""
        return next(iter(self._ready.values())).since if self._ready else None

    @property
    def busy(self) -> int:
        """Keys in flight or held."""
        return len(self._busy)

    def put_all(self, rows: Iterable[Row], now: float) -> None:
        """Take in rows in their order, each the newest of its key."""
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
        """Let a row wait until its key is free."""
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
        """Take the next batch out, oldest rows first; their keys are in flight from here on.

        Args:
            most_rows: Rows of one batch.
            most_bytes: Bytes of its rows, with the commas between them. A larger row goes alone.
        """
        ready, busy = self._ready, self._busy
        rows: list[Row] = []
        size = -1
        while ready and len(rows) < most_rows:
            key, row = ready.popitem(last=False)
            # With the comma before all but the first.
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
        """What to free when these rows have their outcome."""
        return [self._key(row) for row in rows]

    def free(self, keys: Iterable[Hashable], now: float) -> None:
        """Let go of keys in flight; whatever waited for them is ready."""
        for key in keys:
            newer = self._busy.pop(key, None)
            if newer is not None:
                self._waiting -= 1
                newer.since = now
                self._ready[key] = newer
                self.ready_bytes += len(newer.body)

    def restore(self, row: Row) -> None:
        """Give back what a rejected row had replaced, while its key is still in flight.

        It goes behind a newer row that waits for the key, or waits for it itself.
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
        """Take out every unsent row that came at or after a place in the input.

        A row from before that one of them had replaced stands in its place again.

        Returns:
            The rows taken out.
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
        # Without keys every row is one of its own.
        return row.key if self.keyed else row


def _older_than(row: Row, number: int, dropped: list[Row]) -> Row | None:
    kept: Row | None = row
    while kept is not None and kept.number >= number:
        dropped.append(kept)
        kept = kept.give_back()
    return kept


def key_bytes(key: Hashable) -> int:
    """Memory that a key takes; that of a row without a key, which stands for itself, is counted with it."""
    parts = key if isinstance(key, tuple) else ()
    return sys.getsizeof(key) + sum(map(sys.getsizeof, parts))


def key_text(key: tuple[Hashable, ...]) -> str:
    """A key's values as a message shows them, cut to a readable length."""
    text = ", ".join(str(value[-1] if isinstance(value, tuple) else value) for value in key)
    return text if len(text) <= KEY_TEXT_CHARACTERS else f"{text[:KEY_TEXT_CHARACTERS]}…"
