"""Reads the rows of a dataset back as the API v2 does: by page, in an order, and some time behind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.state.json_rows import parsed_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.state.database import Database
    from target_databox.emulator.state.shapes import Dataset

# Values stay the text in which they came, so no digit can be lost.
_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NULL = msgspec.Raw(b"null")
_SHOWN = "CASE WHEN changed_at + ? <= ? THEN body ELSE earlier END"


class ReadBack:
    """Reads rows as they were `read_lag_seconds` ago.

    A row that was changed again within the lag shows what it was before the first of these changes.

    Args:
        database: Where they are kept.
        clock: Tells the time, in seconds since 1970.
        assumptions: What is taken for true where nobody knows.
    """

    def __init__(self, database: Database, clock: Callable[[], float], assumptions: Assumptions) -> None:
        self._database = database
        self._clock = clock
        self._assumptions = assumptions

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
        shown = (self._assumptions.read_lag_seconds, self._clock())
        total = self._database.one(
            f"SELECT count({_SHOWN}) FROM rows WHERE dataset = ?",  # noqa: S608 -- no text of a request
            *shown,
            dataset.seq,
        )[0]
        direction = "DESC" if descending else "ASC"
        limit, offset = (page_size, page * page_size) if sort_by is None else (-1, 0)
        texts = [
            row["shown"]
            for row in self._database.all(
                f"SELECT {_SHOWN} AS shown FROM rows WHERE dataset = ? AND {_SHOWN} IS NOT NULL"  # noqa: S608 -- no text of a request
                f" ORDER BY seq {direction} LIMIT ? OFFSET ?",
                *shown,
                dataset.seq,
                *shown,
                limit,
                offset,
            )
        ]
        if sort_by is not None:
            texts.sort(key=lambda text: _order(parsed_row(text).get(sort_by)), reverse=descending)
            texts = texts[page * page_size : (page + 1) * page_size]
        return [_whole(text, dataset) for text in texts], total


def _whole(text: str, dataset: Dataset) -> msgspec.Raw:
    """A row with a null for every column that it lacks."""
    values = _RAW.decode(text)
    return msgspec.Raw(msgspec.json.encode({**dict.fromkeys(dataset.columns, _NULL), **values}))


def _order(value: Any) -> tuple[int, Any]:
    """Sorts nulls first, then numbers, then everything else as text."""
    if value is None:
        return 0, 0
    if isinstance(value, bool) or (not hasattr(value, "__index__") and not hasattr(value, "as_tuple")):
        return 2, str(value)
    return 1, value
