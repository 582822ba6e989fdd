"""Applies accepted ingestions when their time has come: lazily, whenever somebody looks."""

from __future__ import annotations

import heapq
import json
from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.state.catalogue import columns_as_text
from target_databox.emulator.state.json_rows import parsed_rows, texts_of
from target_databox.emulator.state.rules import judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.state.catalogue import Catalogue
    from target_databox.emulator.state.database import Database
    from target_databox.emulator.state.shapes import Dataset

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_MERGED = msgspec.json.Encoder(decimal_format="number")
_PENDING = (
    "SELECT ingestions.*, datasets.id AS dataset_id FROM ingestions"
    " JOIN datasets ON datasets.seq = ingestions.dataset WHERE ingestions.seq = ? AND status = 'pending'"
)


class Processing:
    """Knows when each pending ingestion is due, and stores its rows then.

    Args:
        database: Where everything is kept.
        catalogue: Knows the datasets.
        clock: Returns the time, in seconds since 1970.
        assumptions: What is taken for true where nobody knows.
        keep_rows: Keep the rows of a request for the history, when they are processed.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        clock: Callable[[], float],
        assumptions: Assumptions,
        *,
        keep_rows: bool,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._assumptions = assumptions
        self._keeps_rows = keep_rows
        # The times of what is pending, so that looking costs nothing while nothing is due.
        self._due = [
            (row["due_at"], row["seq"])
            for row in database.all("SELECT due_at, seq FROM ingestions WHERE status = 'pending'")
        ]
        heapq.heapify(self._due)

    def schedule(self, seq: int, due_at: float) -> None:
        """Remember when an ingestion is due.

        Args:
            seq: The ingestion's number in the database.
            due_at: In seconds since 1970.
        """
        heapq.heappush(self._due, (due_at, seq))

    def settle(self, until: float | None = None) -> None:
        """Apply what is due, in the order of the times at which it became so.

        Args:
            until: Apply what is due by then, in seconds since 1970; now when it is not given.
        """
        now = self._clock()
        if not self._due or self._due[0][0] > (now if until is None else until):
            return
        taken: list[tuple[float, int]] = []
        try:
            with self._database.transaction():
                while self._due and self._due[0][0] <= (now if until is None else until):
                    taken.append(heapq.heappop(self._due))
                    due_at, seq = taken[-1]
                    row = self._database.first(_PENDING, seq)
                    if row:  # its dataset may have been deleted, or purged with what was pending
                        self._process(row, min(due_at, now))
        except BaseException:
            for each in taken:  # nothing of it happened
                heapq.heappush(self._due, each)
            raise

    def _process(self, row: Any, at: float) -> None:
        fate = json.loads(row["fate"])
        kept = row["rows"] if self._keeps_rows else None
        if fate["fails"]:
            self._fail(row["seq"], at, kept)
            return
        dataset = self._catalogue.dataset(row["dataset_id"])
        rows = parsed_rows(row["rows"])
        texts = texts_of(row["rows"])
        if (
            self._assumptions.size_over_limit == "fails"
            and dataset.size_bytes + len(row["rows"]) > self._assumptions.max_size_bytes
        ):
            self._fail(row["seq"], at, kept)
            return
        judged = judgement(
            rows,
            dataset.keys or (),
            dataset.columns,
            dict(fate["rejects"]),
            self._assumptions,
            fate["most_columns"],
        )
        if self._assumptions.unknown_columns == "dropped":
            texts = [_without_unknown(text, judged.columns) for text in texts]
        appended, overwritten = self._store(dataset, judged.taken, rows, texts, at)
        self._database.run_many(
            "INSERT INTO rejected_rows (ingestion, place, reason, field, body) VALUES (?, ?, ?, ?, ?)",
            [
                (row["seq"], each.place, each.reason, each.field, texts[each.place].decode())
                for each in judged.rejected
            ],
        )
        if judged.columns != dataset.columns:
            self._database.run(
                "UPDATE datasets SET columns = ? WHERE seq = ?", columns_as_text(judged.columns), dataset.seq
            )
        self._database.run(
            "UPDATE ingestions SET status = 'done', processed_at = ?,"
            " appended = ?, overwritten = ?, rejected = ?, rows = ? WHERE seq = ?",
            at,
            appended,
            overwritten + judged.repeated,
            len(judged.rejected),
            kept,
            row["seq"],
        )

    def _fail(self, seq: int, at: float, kept: bytes | None) -> None:
        self._database.run(
            "UPDATE ingestions SET status = 'failed', processed_at = ?, rows = ? WHERE seq = ?", at, kept, seq
        )

    def _keep_earlier(self, dataset: Dataset, keys: list[str], at: float) -> None:
        """Keep what rows were before they are replaced, for who reads them back meanwhile."""
        lag = self._assumptions.read_lag_seconds
        self._database.run("DELETE FROM earlier_rows WHERE until <= ?", at - lag)
        self._database.run(
            "INSERT INTO earlier_rows SELECT seq, body, changed_at, ? FROM rows"  # noqa: S608 -- question marks only
            f" WHERE dataset = ? AND key IN ({','.join('?' * len(keys))})",
            at,
            dataset.seq,
            *keys,
        )

    def _store(
        self,
        dataset: Dataset,
        taken: list[tuple[int, str | None]],
        rows: list[dict[str, Any]],
        texts: list[bytes],
        at: float,
    ) -> tuple[int, int]:
        """Store rows; how many were new, and how many replaced another."""
        wanted = [key for _, key in taken if key is not None]
        known = {
            row["key"]: row["body"]
            for row in self._database.all(
                f"SELECT key, body FROM rows WHERE dataset = ? AND key IN ({','.join('?' * len(wanted))})",  # noqa: S608 -- question marks only
                dataset.seq,
                *wanted,
            )
        }
        if known and self._assumptions.read_lag_seconds:
            self._keep_earlier(dataset, list(known), at)
        bodies = []
        for place, key in taken:
            text = texts[place].decode()
            if self._assumptions.key_update == "merge" and key in known:
                text = _MERGED.encode({**parsed_rows(f"[{known[key]}]")[0], **rows[place]}).decode()
            bodies.append((dataset.seq, key, text, at))
        self._database.run_many(
            "INSERT INTO rows (dataset, key, body, changed_at) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (dataset, key) WHERE key IS NOT NULL DO UPDATE SET"
            " body = excluded.body, changed_at = excluded.changed_at",
            bodies,
        )
        appended = len(bodies) - len(known)
        grown = sum(len(body) for _, _, body, *_ in bodies) - sum(map(len, known.values()))
        self._database.run(
            "UPDATE datasets SET row_count = row_count + ?, size_bytes = size_bytes + ? WHERE seq = ?",
            appended,
            grown,
            dataset.seq,
        )
        return appended, len(known)


def _without_unknown(text: bytes, columns: Mapping[str, Any]) -> bytes:
    values = _RAW.decode(text)
    if set(values) <= set(columns):
        return text
    return msgspec.json.encode({name: value for name, value in values.items() if name in columns})
