"""Describes a version of the API as one value, so that the code that uses it is the same for all versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True)
class Dialect:
    """A version of the API.

    Attributes:
        name: Its name, as in the paths of its routes.
        row_frame: The bytes before and after the rows in a request's body.
        most_rows: Most rows in one request.
        most_bytes: Most bytes in the body of one request, frame included.
        most_columns: Most columns of a dataset; None if no limit is known.
        page_size: Lines on a full page of the list of ingestions.
        ids_are_numbers: Whether dataset ids are whole numbers; otherwise they are UUIDs.
        resends_are_recognised: Whether the API recognises a second copy of a request by its idempotency key,
            and carries it out once.
        things_are_readable: Whether documented routes read a single data source and a single dataset, so that
            a 404 means that it is gone.
        lists_all_datasets: Whether the list of datasets covers the whole account and names each one's data
            source; otherwise it covers one data source.
    """

    name: str
    row_frame: tuple[bytes, bytes]
    most_rows: int
    most_bytes: int
    most_columns: int | None
    page_size: int
    ids_are_numbers: bool
    resends_are_recognised: bool
    things_are_readable: bool
    lists_all_datasets: bool

    @property
    def frame_bytes(self) -> int:
        """Bytes of a request's body that are not its rows."""
        return sum(map(len, self.row_frame))

    def body(self, rows: Iterable[bytes]) -> bytes:
        """The body of one request: encoded rows, joined."""
        before, behind = self.row_frame
        return before + b",".join(rows) + behind
