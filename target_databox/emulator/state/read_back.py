"""Reads the rows of a dataset back as the API v2 does: by page, in an order, and some time behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.state.json_rows import parsed_row
from target_databox.emulator.state.read_changes import Changes

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.state.database import Database
    from target_databox.emulator.state.shapes import Dataset

# Values stay the text in which they came, so no digit can be lost.
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = msgspec.Raw(b"null")
# What a row was at a time: what it is, or what it was between two changes; null when it was not there yet.
_SHOWN = (
    "CASE WHEN changed_at <= ?1 THEN body ELSE (SELECT earlier_rows.body FROM earlier_rows"
    " WHERE row = rows.seq AND since <= ?1 AND until > ?1) END"
)


# Where pages end that were read, so that the next one need not be counted off.
_MOST_ENDS = 64


class ReadBack:
    """Reads rows as they were `read_lag_seconds` ago; a purge shows at once.

    Args:
        database: Where they are kept.
        clock: Returns the time, in seconds since 1970.
        assumptions: What is taken for true where nobody knows.
    """

    def __init__(self, database: Database, clock: Callable[[], float], assumptions: Assumptions) -> None:
        self._database = database
        self._clock = clock
        self._assumptions = assumptions
        self._changes = Changes(assumptions)
        self._shown_rows = " AND seq % 3 <> 0" if assumptions.read_rows == "filtered" else ""
        # By dataset, size and number of a page, the row before it; as of so many changes of the database.
        self._ends: dict[tuple[int, int, int], int] = {}
        self._ends_at = -1

    def page(
        self, dataset: Dataset, page: int, page_size: int, sort_by: str | None, *, descending: bool
    ) -> tuple[list[msgspec.Raw], int]:
        """One page of rows as JSON texts, each with every column, and how many rows there are.

        Args:
            dataset: The dataset.
            page: From 0 (grade O).
            page_size: Rows on a page.
            sort_by: The column to sort by; the order of the rows' first arrival when there is none.
            descending: Whether to begin at the other end.
        """
        direction = "DESC" if descending else "ASC"
        limit, offset = (page_size, page * page_size) if sort_by is None else (-1, 0)
        if self._is_settled(dataset):
            if sort_by is None and not descending:
                found, total = self._next_page(dataset, page, page_size), self._total(dataset)
                return [self._whole(row["body"], dataset) for row in found], total
            total = self._total(dataset)
            found = self._database.all(
                f"SELECT body FROM rows WHERE dataset = ?{self._shown_rows}"  # noqa: S608 -- no text of a request
                f" ORDER BY seq {direction} LIMIT ? OFFSET ?",
                dataset.seq,
                limit,
                offset,
            )
        else:
            then = self._clock() - self._assumptions.read_lag_seconds
            total = self._database.one(
                f"SELECT count({_SHOWN}) FROM rows WHERE dataset = ?2{self._shown_rows}",  # noqa: S608 -- no text of a request
                then,
                dataset.seq,
            )[0]
            found = self._database.all(
                f"SELECT {_SHOWN} AS body FROM rows WHERE dataset = ?2 AND {_SHOWN} IS NOT NULL"  # noqa: S608 -- no text of a request
                f"{self._shown_rows} ORDER BY seq {direction} LIMIT ?3 OFFSET ?4",
                then,
                dataset.seq,
                limit,
                offset,
            )
        texts = [row["body"] for row in found]
        if sort_by is not None:
            texts.sort(key=lambda text: _order(parsed_row(text).get(sort_by)), reverse=descending)
            texts = texts[page * page_size : (page + 1) * page_size]
        return [self._whole(text, dataset) for text in texts], total

    def hidden_columns(self, dataset: Dataset) -> set[str]:
        """The columns of a dataset that are not shown."""
        return self._changes.hidden_columns(dataset)

    def _next_page(self, dataset: Dataset, page: int, page_size: int) -> list[Any]:
        """A page in the order of arrival, from where an earlier one ended, if that is known."""
        changes = self._database.changes()
        if changes != self._ends_at:
            self._ends.clear()
            self._ends_at = changes
        known = page
        while known and (dataset.seq, page_size, known) not in self._ends:
            known -= 1
        found = self._database.all(
            f"SELECT seq, body FROM rows WHERE dataset = ? AND seq > ?{self._shown_rows}"  # noqa: S608 -- no text of a request
            " ORDER BY seq LIMIT ? OFFSET ?",
            dataset.seq,
            self._ends.get((dataset.seq, page_size, known), -1),
            page_size,
            (page - known) * page_size,
        )
        if found:
            self._ends[dataset.seq, page_size, page + 1] = found[-1]["seq"]
            while len(self._ends) > _MOST_ENDS:
                del self._ends[next(iter(self._ends))]
        return found

    def _total(self, dataset: Dataset) -> int:
        if not self._shown_rows:
            return dataset.row_count
        total: int = self._database.one(
            f"SELECT count(*) FROM rows WHERE dataset = ?{self._shown_rows}",  # noqa: S608 -- no text of a request
            dataset.seq,
        )[0]
        return total

    def _is_settled(self, dataset: Dataset) -> bool:
        """Whether nothing has changed within the lag, so that large datasets are read fast."""
        newest = self._database.one(
            "SELECT max(processed_at) FROM ingestions WHERE dataset = ?", dataset.seq
        )[0]
        return newest is None or newest + self._assumptions.read_lag_seconds <= self._clock()

    def _whole(self, text: str, dataset: Dataset) -> msgspec.Raw:
        """A row as it is read back, with a null for every shown column that it lacks."""
        if self._changes.are_none:
            values = _RAW.decode(text)
            return msgspec.Raw(msgspec.json.encode({**dict.fromkeys(dataset.columns, _NULL), **values}))
        values = _RAW.decode(self._changes.changed(text, dataset))
        nulls = {name: _NULL for name in dataset.columns if name not in self.hidden_columns(dataset)}
        return msgspec.Raw(msgspec.json.encode({**nulls, **values}))


def _order(value: Any) -> tuple[int, Any]:
    """Sorts nulls first, then numbers, then everything else as text."""
    if value is None:
        return 0, 0
    if isinstance(value, bool) or (not hasattr(value, "__index__") and not hasattr(value, "as_tuple")):
        return 2, str(value)
    return 1, value
