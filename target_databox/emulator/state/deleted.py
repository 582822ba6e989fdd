"""Remembers what was deleted for as long as lists still show it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from target_databox.emulator.state.shapes import Dataset, DataSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.state.database import Database


class Deleted:
    """Data sources and datasets that were deleted a moment ago.

    Args:
        database: Where they are kept.
        clock: Returns the time, in seconds since 1970.
        assumptions: How long lists show them.
    """

    def __init__(self, database: Database, clock: Callable[[], float], assumptions: Assumptions) -> None:
        self._database = database
        self._clock = clock
        self._assumptions = assumptions

    def remember(self, what: DataSource | Dataset, number: int) -> None:
        """Remember what is about to be deleted.

        Args:
            what: A data source or a dataset.
            number: Its id.
        """
        if self._assumptions.deleted_lag_seconds:
            fields = {name: getattr(what, name) for name in what.__dataclass_fields__ if name != "columns"}
            self._database.run(
                "INSERT INTO deleted VALUES (?, ?, ?, ?)",
                type(what).__name__,
                number,
                json.dumps(fields),
                self._clock() + self._assumptions.deleted_lag_seconds,
            )

    def data_sources(self) -> list[DataSource]:
        """The data sources that lists still show."""
        return [DataSource(**fields) for fields in self._of("DataSource")]

    def datasets(self) -> list[Dataset]:
        """The datasets that lists still show; their columns are gone."""
        return [Dataset(**{**fields, "columns": {}}) for fields in self._of("Dataset")]

    def _of(self, kind: str) -> list[dict[str, Any]]:
        rows = self._database.all(
            "SELECT fields FROM deleted WHERE kind = ? AND until > ? ORDER BY id", kind, self._clock()
        )
        return [json.loads(row["fields"]) for row in rows]
