"""What a version of the API is, as one value, so that whoever uses one need not know which."""

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
        row_frame: What stands before and behind the rows in the body of a request.
        most_rows: Rows in one request.
        most_bytes: Bytes in the body of one request, frame included.
        most_columns: Columns of a dataset; None when no limit is known.
        page_size: Lines on a full page of the list of ingestions.
        ids_are_numbers: Whether the ids of datasets are whole numbers; else they are UUIDs.
        resends_are_recognised: Whether a second copy of a request, with the same idempotency key, is known to
            be one, and carried out once.
        things_are_readable: Whether documented routes read one data source and one dataset, so that one
            that they do not know is gone.
        lists_all_datasets: Whether the list of datasets is that of the whole account, each with its data
            source; else it is that of one data source.
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
