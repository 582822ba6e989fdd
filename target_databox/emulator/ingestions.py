"""Ingestions of the emulated API, accepted now and processed later, and the rows that they leave: no HTTP."""

from __future__ import annotations

import heapq
import json
import uuid
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.catalogue import columns_as_text
from target_databox.emulator.errors import InvalidInputError, TooLargeError, UnknownObjectError
from target_databox.emulator.rules import Rejection, judgement

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.catalogue import Catalogue, Dataset
    from target_databox.emulator.database import Database

# Rows are kept as the text in which they came, so no digit can be lost; this decoder only judges them.
_ROWS = msgspec.json.Decoder(list[dict[str, Any]], float_hook=Decimal)
_TEXTS = msgspec.json.Decoder(list[msgspec.Raw])
_MOST_ROWS = 100  # documented for one ingestion (grade D)
_MERGED = msgspec.json.Encoder(decimal_format="number")

_SELECT = (
    "SELECT ingestions.*, datasets.id AS dataset_id FROM ingestions"
    " JOIN datasets ON datasets.seq = ingestions.dataset"
)


@dataclass(frozen=True, slots=True)
class Ingestion:
    """One accepted request to store rows.

    Attributes:
        id: A UUID.
        dataset_id: The dataset that it is for.
        status: `pending`, `done` or `failed`: what is true, whatever words the API uses for it.
        received: How many rows the request had.
        appended: How many rows were stored under a new key, or without one.
        overwritten: How many rows replaced a stored one.
        rejected: How many rows were not stored.
        accepted_at: In seconds since 1970.
        processed_at: In seconds since 1970; `None` while it is pending.
        rows: The rows of the request with every digit; `None` when this emulator doesn't keep them.
    """

    id: str
    dataset_id: str
    status: str
    received: int
    appended: int
    overwritten: int
    rejected: int
    accepted_at: float
    processed_at: float | None
    rows: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over the ingestions of a dataset: how many there are, and their rows by outcome."""

    ingestions: int
    received: int
    appended: int
    overwritten: int
    rejected: int
    failed: int
    pending: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What a planned fault has in store for an ingestion.

    Attributes:
        fails: It is accepted, and its processing fails.
        rejects: Places of rows that are rejected, from 0, each with the reason.
        processing_seconds: How long its processing takes; `None` leaves that to the assumptions.
    """

    fails: bool = False
    rejects: tuple[tuple[int, str], ...] = ()
    processing_seconds: float | None = None


class Ingestions:
    """Accepts rows, and applies them when their time has come and somebody looks.

    Args:
        database: Where they are kept.
        catalogue: Knows the datasets.
        clock: Tells the time, in seconds since 1970.
        assumptions: What is taken for true where nobody knows.
        random: Draws the processing times.
        keep_rows: Keep the rows of every request for the history, not only until they are processed.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        clock: Callable[[], float],
        assumptions: Assumptions,
        random: Random,
        *,
        keep_rows: bool,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._assumptions = assumptions
        self._random = random
        self._keeps_rows = keep_rows
        # The times of what is pending, so that looking costs nothing while nothing is due.
        self._due = [
            (row["due_at"], row["seq"])
            for row in database.all("SELECT due_at, seq FROM ingestions WHERE status = 'pending'")
        ]
        heapq.heapify(self._due)

    def accept(self, dataset_id: str, texts: Sequence[bytes], fate: Fate) -> Ingestion:
        """Accept rows for processing.

        Args:
            dataset_id: The dataset that they are for.
            texts: Each row as the JSON text in which it came.
            fate: What a planned fault has in store for them.

        Raises:
            UnknownObjectError: The dataset does not exist.
            InvalidInputError: There is no row, or one is not a JSON object.
            TooLargeError: There are more than 100 rows (grade D).
        """
        dataset = self._catalogue.dataset(dataset_id)
        if not texts:
            raise InvalidInputError("There must be at least one record.", "records")
        if len(texts) > _MOST_ROWS:
            raise TooLargeError(f"There may be at most {_MOST_ROWS} records in one ingestion.", "records")
        body = b"[" + b",".join(texts) + b"]"
        parsed_rows(body)
        now = self._clock()
        ingestion_id = str(uuid.uuid4())
        due_at = self._due_at(now, dataset, fate)
        seq = self._database.run(
            "INSERT INTO ingestions"
            " (id, dataset, accepted_at, due_at, listed_at, shuffle, status, received, fate, rows)"
            " VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)",
            ingestion_id,
            dataset.seq,
            now,
            due_at,
            now + self._assumptions.listing_lag_seconds,
            self._random.random(),
            len(texts),
            json.dumps({"fails": fate.fails, "rejects": fate.rejects}),
            body,
        )
        heapq.heappush(self._due, (due_at, seq))
        return Ingestion(ingestion_id, dataset_id, "pending", len(texts), 0, 0, 0, now, None)

    def _due_at(self, now: float, dataset: Dataset, fate: Fate) -> float:
        shortest, longest = self._assumptions.processing_seconds_min, self._assumptions.processing_seconds_max
        seconds = self._random.uniform(shortest, longest)
        due_at = now + (seconds if fate.processing_seconds is None else fate.processing_seconds)
        if self._assumptions.processing_order == "acceptance":
            last = self._database.one(
                "SELECT max(due_at) FROM ingestions WHERE dataset = ? AND status = 'pending'", dataset.seq
            )[0]
            due_at = max(due_at, last or 0.0)
        return due_at

    def settle(self, until: float | None = None) -> None:
        """Apply what is due, in the order of the times at which it became so.

        Args:
            until: Apply what is due by then, in seconds since 1970; now when it is not given.
        """
        now = self._clock()
        if not self._due or self._due[0][0] > (now if until is None else until):
            return
        with self._database.transaction():
            while self._due and self._due[0][0] <= (now if until is None else until):
                due_at, seq = heapq.heappop(self._due)
                row = self._database.first(f"{_SELECT} WHERE ingestions.seq = ? AND status = 'pending'", seq)
                if row:  # its dataset may have been deleted, or purged with what was pending
                    self._process(row, min(due_at, now))

    def _process(self, row: Any, at: float) -> None:
        fate = json.loads(row["fate"])
        kept = row["rows"] if self._keeps_rows else None
        if fate["fails"]:
            self._database.run(
                "UPDATE ingestions SET status = 'failed', processed_at = ?, rows = ? WHERE seq = ?",
                at,
                kept,
                row["seq"],
            )
            return
        dataset = self._catalogue.dataset(row["dataset_id"])
        rows = parsed_rows(row["rows"])
        texts = [bytes(text) for text in _TEXTS.decode(row["rows"])]
        verdict = judgement(
            rows,
            dataset.keys or (),
            dataset.columns,
            dict(fate["rejects"]),
            self._assumptions,
        )
        appended, overwritten = self._store(dataset, verdict.taken, rows, texts)
        self._database.run_many(
            "INSERT INTO rejected_rows (ingestion, place, reason, field, body) VALUES (?, ?, ?, ?, ?)",
            [
                (row["seq"], each.place, each.reason, each.field, texts[each.place].decode())
                for each in verdict.rejected
            ],
        )
        if verdict.columns != dataset.columns:
            self._database.run(
                "UPDATE datasets SET columns = ? WHERE seq = ?", columns_as_text(verdict.columns), dataset.seq
            )
        self._database.run(
            "UPDATE ingestions SET status = 'done', processed_at = ?,"
            " appended = ?, overwritten = ?, rejected = ?, rows = ? WHERE seq = ?",
            at,
            appended,
            overwritten + verdict.repeated,
            len(verdict.rejected),
            kept,
            row["seq"],
        )

    def _store(
        self,
        dataset: Dataset,
        taken: list[tuple[int, str | None]],
        rows: list[dict[str, Any]],
        texts: list[bytes],
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
        bodies = []
        for place, key in taken:
            text = texts[place].decode()
            if self._assumptions.key_update == "merge" and key in known:
                text = _MERGED.encode({**parsed_rows(f"[{known[key]}]")[0], **rows[place]}).decode()
            bodies.append((dataset.seq, key, text))
        self._database.run_many(
            "INSERT INTO rows (dataset, key, body) VALUES (?, ?, ?)"
            " ON CONFLICT (dataset, key) WHERE key IS NOT NULL DO UPDATE SET body = excluded.body",
            bodies,
        )
        appended = len(bodies) - len(known)
        grown = sum(len(body) for *_, body in bodies) - sum(map(len, known.values()))
        self._database.run(
            "UPDATE datasets SET row_count = row_count + ?, size_bytes = size_bytes + ? WHERE seq = ?",
            appended,
            grown,
            dataset.seq,
        )
        return appended, len(known)

    def purge(self, dataset_id: str) -> None:
        """Remove every row of a dataset; the dataset stays (grade D).

        Raises:
            UnknownObjectError: It does not exist.
        """
        dataset = self._catalogue.dataset(dataset_id)
        self._database.run("DELETE FROM rows WHERE dataset = ?", dataset.seq)
        self._database.run("UPDATE datasets SET row_count = 0, size_bytes = 0 WHERE seq = ?", dataset.seq)
        if self._assumptions.purge_drops_pending:
            self._database.run(
                "UPDATE ingestions SET status = 'failed', processed_at = ?"
                " WHERE dataset = ? AND status = 'pending'",
                self._clock(),
                dataset.seq,
            )

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """One ingestion, as the API tells it: not before its time, and with counts only when they are there.

        Raises:
            UnknownObjectError: The dataset or the ingestion does not exist, or does not show yet.
        """
        dataset = self._catalogue.dataset(dataset_id)
        row = self._database.first(
            f"{_SELECT} WHERE ingestions.id = ? AND dataset = ?", ingestion_id, dataset.seq
        )
        now = self._clock()
        if row is None or now < row["accepted_at"] + self._assumptions.detail_missing_seconds:
            raise UnknownObjectError("The ingestion does not exist.", "ingestionId")
        found = _ingestion(row)
        if (
            found.processed_at is not None
            and now < found.processed_at + self._assumptions.late_counts_seconds
        ):
            return replace(found, appended=0, overwritten=0, rejected=0)
        return found

    def page(self, dataset_id: str, page: int, page_size: int) -> tuple[list[Ingestion], int]:
        """One page of a dataset's list of ingestions, and how many the list has.

        Args:
            dataset_id: The dataset.
            page: From 1 (grade O).
            page_size: Ingestions on a page.

        Raises:
            UnknownObjectError: The dataset does not exist.
        """
        dataset = self._catalogue.dataset(dataset_id)
        order = {
            "newest-first": "ingestions.seq DESC",
            "oldest-first": "ingestions.seq",
            "arbitrary": "shuffle",
        }
        now = self._clock()
        rows = self._database.all(
            f"{_SELECT} WHERE dataset = ? AND listed_at <= ? ORDER BY {order[self._assumptions.list_order]}"
            " LIMIT ? OFFSET ?",
            dataset.seq,
            now,
            page_size,
            (page - 1) * page_size,
        )
        total = self._database.one(
            "SELECT count(*) FROM ingestions WHERE dataset = ? AND listed_at <= ?", dataset.seq, now
        )[0]
        return [_ingestion(row) for row in rows], total

    def totals(self, dataset_id: str) -> Totals:
        """The sums over a dataset's ingestions.

        Raises:
            UnknownObjectError: The dataset does not exist.
        """
        row = self._database.one(
            "SELECT count(*), sum(received), sum(appended), sum(overwritten), sum(rejected),"
            " sum(status = 'failed'), sum(status = 'pending') FROM ingestions WHERE dataset = ?",
            self._catalogue.dataset(dataset_id).seq,
        )
        return Totals(*(each or 0 for each in row))

    def history(self, dataset_id: str | None = None) -> list[Ingestion]:
        """Every ingestion ever accepted, of a dataset or of all, in order of acceptance, with its rows."""
        rows = self._database.all(
            f"{_SELECT} WHERE ? IS NULL OR datasets.id = ? ORDER BY ingestions.seq", dataset_id, dataset_id
        )
        return [_ingestion(row, with_rows=True) for row in rows]

    def rejections(self, dataset_id: str | None = None) -> list[tuple[str, Rejection, dict[str, Any]]]:
        """Every rejected row, of a dataset or of all: its ingestion's id, why, and the row."""
        rows = self._database.all(
            "SELECT ingestions.id, place, reason, field, body FROM rejected_rows"
            " JOIN ingestions ON ingestions.seq = rejected_rows.ingestion"
            " JOIN datasets ON datasets.seq = ingestions.dataset"
            " WHERE ? IS NULL OR datasets.id = ? ORDER BY rejected_rows.seq",
            dataset_id,
            dataset_id,
        )
        return [(row[0], Rejection(row[1], row[2], row[3]), parsed_row(row[4])) for row in rows]


def parsed_rows(body: bytes | str) -> list[dict[str, Any]]:
    """A JSON array of rows, with every digit of their numbers.

    Raises:
        InvalidInputError: It is not one.
    """
    try:
        return _ROWS.decode(body)
    except (msgspec.MsgspecError, ValueError) as exc:
        raise InvalidInputError("Every record must be a JSON object.", "records") from exc


def parsed_row(text: str) -> dict[str, Any]:
    """A stored row, read by another parser than the one that judged it, with every digit of its numbers."""
    row: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return row


def _ingestion(row: Any, *, with_rows: bool = False) -> Ingestion:
    rows = (
        [parsed_row(bytes(text).decode()) for text in _TEXTS.decode(row["rows"])]
        if with_rows and row["rows"]
        else None
    )
    return Ingestion(
        row["id"],
        row["dataset_id"],
        row["status"],
        row["received"],
        row["appended"],
        row["overwritten"],
        row["rejected"],
        row["accepted_at"],
        row["processed_at"],
        rows,
    )
