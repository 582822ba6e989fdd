"""Answers the questions that only the page asks: rows by search, sums over time, points of a plot."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.state.rules import OTHER_ROW
from target_databox.emulator.state.shapes import Ingestion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.emulator.state.database import Database

# A page waits for its plot: this many rows are read in a moment, and no screen has more dots.
_MOST_POINTS = 20_000
# Letters and signs that JSON writes as they are.
_PLAIN = re.compile(r"[\w.@/-]+")
# What one page searches, half a second's work: rows that are only glanced at, and rows that are parsed.
MOST_SEARCHED_ROWS = 200_000
MOST_PARSED_ROWS = 30_000
MOST_SEARCHED_BYTES = 50_000_000
# Rows may be wide.
_PIECE_ROWS = 200
_ROW = msgspec.json.Decoder(dict[str, Any], float_hook=float)


@dataclass(frozen=True, slots=True)
class Bar:
    """The rows of the ingestions that were accepted in one span of time.

    Attributes:
        begins_at: In seconds since 1970.
        appended: Rows stored under a new key, or without one.
        overwritten: Rows that replaced a stored one.
        rejected: Rows that were rejected for the first time.
        waiting: Rows that are not processed yet, or whose processing failed.
    """

    begins_at: float
    appended: int
    overwritten: int
    rejected: int
    waiting: int


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was rejected for its own sake: whose it was, how its newest try ended, and its JSON text."""

    dataset_id: str
    dataset_title: str
    ingestion_id: str
    accepted_at: float
    place: int
    field: str | None
    reason: str
    text: str
    tries: int


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found in one go.

    Attributes:
        texts: The JSON texts of the rows that match, in the order of their first arrival.
        looked: How many rows were looked at.
        rest: Where to go on; `None` when all rows have been looked at.
    """

    texts: list[str]
    looked: int
    rest: int | None


class Browser:
    """Leafs through what an emulator holds, and changes nothing.

    Args:
        database: The emulator's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def rows(self, dataset_seq: int, offset: int, limit: int) -> list[str]:
        """The JSON texts of a dataset's rows, in the order of their first arrival.

        Args:
            dataset_seq: The dataset's number in the database.
            offset: How many of them to pass over.
            limit: How many of them to give at most.
        """
        rows = self._database.all(
            "SELECT body FROM rows WHERE dataset = ? ORDER BY seq LIMIT ? OFFSET ?",
            dataset_seq,
            limit,
            offset,
        )
        return [row["body"] for row in rows]

    def search(self, dataset_seq: int, words: str, after: int, limit: int) -> Search:
        """Look for text in the values of a dataset's rows, in a piece of it that takes a moment.

        Args:
            dataset_seq: The dataset's number in the database.
            words: What is looked for in values, whatever its case.
            after: Where to go on, as an earlier search tells; 0 begins.
            limit: How many rows to find at most.
        """
        wanted = words.casefold()
        # Parsing every row of a large dataset takes long. What is plain in the words shows at a glance, in a
        # text without escapes, that it doesn't match.
        pieces = _PLAIN.findall(wanted)
        texts: list[str] = []
        looked = read = size = 0
        last = after
        for row in self._rows(dataset_seq, after, MOST_SEARCHED_ROWS):
            last, text = row["seq"], row["body"]
            looked, size = looked + 1, size + len(text)
            folded = text.casefold()
            if "\\" in text or all(piece in folded for piece in pieces):
                read += 1
                if any(wanted in cell(value).casefold() for value in parsed(text).values()):
                    texts.append(text)
            if len(texts) == limit or read == MOST_PARSED_ROWS or size > MOST_SEARCHED_BYTES:
                break
        rest = self._database.first(
            "SELECT 1 FROM rows WHERE dataset = ? AND seq > ? LIMIT 1", dataset_seq, last
        )
        return Search(texts, looked, None if rest is None else last)

    def _rows(self, dataset_seq: int, after: int, most: int) -> Iterator[Any]:
        """So many rows at most, in pieces so that loading goes on between."""
        while most and (
            piece := self._database.all(
                "SELECT seq, body FROM rows WHERE dataset = ? AND seq > ? ORDER BY seq LIMIT ?",
                dataset_seq,
                after,
                min(most, _PIECE_ROWS),
            )
        ):
            yield from piece
            after = piece[-1]["seq"]
            most -= len(piece)

    def points(
        self, dataset_seq: int, row_count: int, x: str, y: str
    ) -> tuple[list[tuple[float, float]], int]:
        """A number column against a date-time column.

        Args:
            dataset_seq: The dataset's number in the database.
            row_count: How many rows it has.
            x: The date-time column.
            y: The number column.

        Returns:
            Seconds since 1970 with numbers, in the order of time; and k, when only every k-th row was read.
        """
        stride = max(1, -(-row_count // _MOST_POINTS))
        points = []
        for row in self._database.all(
            "SELECT body FROM rows WHERE dataset = ? AND seq % ? = 0", dataset_seq, stride
        ):
            values = _ROW.decode(row["body"])
            at, number = seconds(values.get(x)), values.get(y)
            if at is not None and isinstance(number, (int, float)) and not isinstance(number, bool):
                with suppress(OverflowError):  # a whole number that no plot could show
                    points.append((at, float(number)))
        return sorted(points), stride

    def bars(self, dataset_seq: int | None, count: int) -> list[Bar]:
        """Rows by outcome over time, from the first ingestion to the newest, in spans of the same length.

        Args:
            dataset_seq: The dataset's number in the database; `None` for all.
            count: How many spans.
        """
        first, last = self._database.one(
            "SELECT min(accepted_at), max(accepted_at) FROM ingestions WHERE ? IS NULL OR dataset = ?",
            dataset_seq,
            dataset_seq,
        )
        if first is None:
            return []
        width = max((last - first) / count, 0.001)
        sums = {
            row[0]: row[1:]
            for row in self._database.all(
                "SELECT min(CAST((accepted_at - ?) / ? AS INTEGER), ?), sum(appended), sum(overwritten),"
                " sum(CASE WHEN status = 'done' THEN 0 ELSE received END)"
                " FROM ingestions WHERE ? IS NULL OR dataset = ? GROUP BY 1",
                first,
                width,
                count - 1,
                dataset_seq,
                dataset_seq,
            )
        }
        bad = {
            row[0]: row[1]
            for row in self._database.all(
                "SELECT min(CAST((at - ?) / ? AS INTEGER), ?), count(*) FROM ("
                "SELECT min(accepted_at) AS at FROM rejected_rows"
                " JOIN ingestions ON ingestions.seq = rejected_rows.ingestion"
                " WHERE (? IS NULL OR dataset = ?) AND reason <> ? GROUP BY dataset, body) GROUP BY 1",
                first,
                width,
                count - 1,
                dataset_seq,
                dataset_seq,
                OTHER_ROW,
            )
        }
        return [
            Bar(first + width * n, appended, overwritten, bad.get(n, 0), waiting)
            for n in range(count)
            for appended, overwritten, waiting in [sums.get(n, (0, 0, 0))]
        ]

    def ingestions(self, dataset_seq: int | None, offset: int, limit: int) -> list[Ingestion]:
        """Ingestions, newest first, of a dataset or of all, also those that the API doesn't list yet.

        Args:
            dataset_seq: The dataset's number in the database; `None` for all.
            offset: How many to pass over.
            limit: How many to give at most.
        """
        rows = self._database.all(
            "SELECT ingestions.id, datasets.id, status, received, appended, overwritten, rejected,"
            " accepted_at, processed_at FROM ingestions JOIN datasets ON datasets.seq = ingestions.dataset"
            " WHERE ? IS NULL OR datasets.seq = ? ORDER BY ingestions.seq DESC LIMIT ? OFFSET ?",
            dataset_seq,
            dataset_seq,
            limit,
            offset,
        )
        return [Ingestion(*row) for row in rows]

    def rejected(self, dataset_seq: int | None, offset: int, limit: int) -> list[RejectedRow]:
        """Rejected rows, each once, the newest first, of a dataset or of all.

        Left out is what was rejected only because another row of its ingestion was bad.

        Args:
            dataset_seq: The dataset's number in the database; `None` for all.
            offset: How many to pass over.
            limit: How many to give at most.
        """
        rows = self._database.all(
            "SELECT datasets.id, coalesce(datasets.title, datasets.id), ingestions.id, accepted_at, place,"
            " field, reason, body, count(*), max(rejected_rows.seq) FROM rejected_rows"
            " JOIN ingestions ON ingestions.seq = rejected_rows.ingestion"
            " JOIN datasets ON datasets.seq = ingestions.dataset"
            " WHERE (? IS NULL OR datasets.seq = ?) AND reason <> ?"
            # SQLite takes the other columns from the row of the maximum.
            " GROUP BY datasets.seq, body ORDER BY max(rejected_rows.seq) DESC LIMIT ? OFFSET ?",
            dataset_seq,
            dataset_seq,
            OTHER_ROW,
            limit,
            offset,
        )
        return [RejectedRow(*row[:-1]) for row in rows]


def parsed(text: str) -> dict[str, Any]:
    """A row's values, with every digit of their numbers."""
    values: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return values


def cell(value: Any) -> str:
    """A value as a table shows it: text as it is, numbers with every digit, everything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, (str, int, Decimal)) and not isinstance(value, bool):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def seconds(value: Any) -> float | None:
    """An ISO 8601 date or date-time in seconds since 1970, in UTC without an offset; `None` for others."""
    if not isinstance(value, str):
        return None
    text = value.replace("Z", "+00:00").replace(",", ".")
    head, dot, rest = text.partition(".")
    if dot:  # Python 3.10 reads fractions of three or six digits only
        digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
        text = f"{head}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()
