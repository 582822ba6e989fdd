"""Ingestions of the emulated API, accepted now and processed later, and the rows that they leave: no HTTP."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from target_databox.emulator.state.errors import (
    InvalidInputError,
    LockedError,
    TooLargeError,
    UnknownObjectError,
)
from target_databox.emulator.state.json_rows import parsed_row, parsed_rows, texts_of
from target_databox.emulator.state.permissions import allow_change
from target_databox.emulator.state.rules import OTHER_ROW, Rejection
from target_databox.emulator.state.shapes import Fate, Ingestion, Totals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.state.catalogue import Catalogue
    from target_databox.emulator.state.database import Database
    from target_databox.emulator.state.processing import Processing
    from target_databox.emulator.state.shapes import Actor, Dataset

_MOST_ROWS = 100  # documented for one ingestion of v1 (grade D)

_SELECT = (
    "SELECT ingestions.*, datasets.id AS dataset_id FROM ingestions"
    " JOIN datasets ON datasets.seq = ingestions.dataset"
)


class Ingestions:
    """Accepts rows for processing, and reports what became of them.

    Args:
        database: Where they are kept.
        catalogue: Knows the datasets.
        clock: Returns the time, in seconds since 1970.
        assumptions: What is taken for true where nobody knows.
        random: Draws the processing times.
        processing: Processes what is accepted.
    """

    def __init__(
        self,
        database: Database,
        catalogue: Catalogue,
        clock: Callable[[], float],
        assumptions: Assumptions,
        random: Random,
        processing: Processing,
    ) -> None:
        self._database = database
        self._catalogue = catalogue
        self._clock = clock
        self._assumptions = assumptions
        self._random = random
        self._processing = processing

    def accept(
        self,
        dataset_id: str,
        texts: Sequence[bytes],
        fate: Fate,
        *,
        most_rows: int = _MOST_ROWS,
        actor: Actor | None = None,
    ) -> Ingestion:
        """Accept rows for processing.

        Args:
            dataset_id: The dataset that they are for.
            texts: Each row as the JSON text in which it came.
            fate: What is in store for them.
            most_rows: How many rows there may be.
            actor: Who sends them.

        Raises:
            UnknownObjectError: The dataset does not exist.
            InvalidInputError: There is no row, one is not a JSON object, or there would be too many columns.
            TooLargeError: There are more than `most_rows` rows, or the dataset is full.
            LockedError: The dataset is locked.
        """
        dataset = self._catalogue.dataset(dataset_id)
        self._check_lock(dataset)
        if not texts:
            raise InvalidInputError("There must be at least one record.", "records")
        if len(texts) > most_rows:
            raise TooLargeError(f"There may be at most {most_rows} records in one ingestion.", "records")
        body = b"[" + b",".join(texts) + b"]"
        rows = parsed_rows(body)
        if fate.most_columns is not None and self._assumptions.column_over_limit == "refused":
            names = set(dataset.columns).union(*rows)
            if len(names) > fate.most_columns:
                raise InvalidInputError(f"A dataset has at most {fate.most_columns} columns.", "records")
        if (
            self._assumptions.size_over_limit == "413"
            and dataset.size_bytes + len(body) > self._assumptions.max_size_bytes
        ):
            raise TooLargeError("The dataset is full.", "records")
        now = self._clock()
        ingestion_id = str(uuid.uuid4())
        due_at = self._due_at(now, dataset, fate)
        seq = self._database.run(
            "INSERT INTO ingestions"
            " (id, dataset, accepted_at, due_at, listed_at, shuffle, status, received, fate, rows, creator)"
            " VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?, ?)",
            ingestion_id,
            dataset.seq,
            now,
            due_at,
            now + self._assumptions.listing_lag_seconds,
            self._random.random(),
            len(texts),
            json.dumps({"fails": fate.fails, "rejects": fate.rejects, "most_columns": fate.most_columns}),
            body,
            actor.id if actor else None,
        )
        self._processing.schedule(seq, due_at)
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

    def _check_lock(self, dataset: Dataset) -> None:
        if self._clock() < dataset.locked_until:
            raise LockedError("The dataset is locked.")

    def purge(self, dataset_id: str, actor: Actor | None = None) -> None:
        """Remove every row of a dataset; the dataset stays (grade D).

        Raises:
            UnknownObjectError: It does not exist.
            ForbiddenError: The actor is no admin and did not make it.
            LockedError: It is locked.
        """
        dataset = self._catalogue.dataset(dataset_id)
        allow_change(actor, dataset.creator, "dataset")
        self._check_lock(dataset)
        self._database.run(
            "UPDATE datasets SET locked_until = ? WHERE seq = ?",
            self._clock() + self._assumptions.locked_seconds if self._assumptions.locked_seconds else 0.0,
            dataset.seq,
        )
        self._database.run("DELETE FROM rows WHERE dataset = ?", dataset.seq)
        self._database.run("UPDATE datasets SET row_count = 0, size_bytes = 0 WHERE seq = ?", dataset.seq)
        if self._assumptions.purge_drops_pending:
            self._database.run(
                "UPDATE ingestions SET status = 'purged', processed_at = ?"
                " WHERE dataset = ? AND status = 'pending'",
                self._clock(),
                dataset.seq,
            )

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """One ingestion, as the API shows it: not before its time, and with counts only when they are there.

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

    def newest(self) -> dict[str, Ingestion]:
        """The newest ingestion of each dataset that has one, by the dataset's id."""
        rows = self._database.all(
            f"{_SELECT} WHERE ingestions.seq IN (SELECT max(seq) FROM ingestions GROUP BY dataset)"  # noqa: S608 -- no text of a request
        )
        return {row["dataset_id"]: _ingestion(row) for row in rows}

    def rejected_texts(self, ingestion_id: str) -> list[tuple[Rejection, str]]:
        """The rejected rows of an ingestion: why, and the row's JSON text."""
        rows = self._database.all(
            "SELECT place, reason, field, body FROM rejected_rows"
            " JOIN ingestions ON ingestions.seq = rejected_rows.ingestion"
            " WHERE ingestions.id = ? ORDER BY place",
            ingestion_id,
        )
        return [(Rejection(row["place"], row["reason"], row["field"]), row["body"]) for row in rows]

    def totals(self, dataset_id: str) -> Totals:
        """The sums over a dataset's ingestions.

        Raises:
            UnknownObjectError: The dataset does not exist.
        """
        dataset = self._catalogue.dataset(dataset_id).seq
        *sums, last_at = self._database.one(
            "SELECT count(*), sum(received), sum(appended), sum(overwritten), sum(rejected),"
            " sum(status IN ('failed', 'purged')), sum(status = 'pending'), max(accepted_at)"
            " FROM ingestions WHERE dataset = ?",
            dataset,
        )
        # A client finds the bad row of a batch by trying it again in ever smaller ones.
        bad_rows = self._database.one(
            "SELECT count(DISTINCT body) FROM ingestions"
            " JOIN rejected_rows ON rejected_rows.ingestion = ingestions.seq"
            " WHERE dataset = ? AND ingestions.rejected > 0 AND reason <> ?",
            dataset,
            OTHER_ROW,
        )[0]
        return Totals(*[*(each or 0 for each in sums), last_at, bad_rows])

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


def _ingestion(row: Any, *, with_rows: bool = False) -> Ingestion:
    rows = (
        [parsed_row(text.decode()) for text in texts_of(row["rows"])] if with_rows and row["rows"] else None
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
        row["creator"],
    )
