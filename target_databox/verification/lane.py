"""One stream on its way into a comparison: what is kept of its rows, and how they are read."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.delivery.batches import Lane
from target_databox.verification.moments import is_elsewhere
from target_databox.verification.normal import key_of, normal_row
from target_databox.verification.prints import Columns, print_of

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping

    from target_databox.delivery.batches import Destination
    from target_databox.delivery.rows import Row
    from target_databox.records.columns import Column
    from target_databox.verification.prints import Print

_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_DATE_TIME: Final = "datetime"


class VerifyLane(Lane):
    """One stream and its dataset.

    Attributes:
        number: The stream's number.
        key_columns: The columns of its key; empty for none.
        zone: The time zone of date-times without an offset.
        added: Columns that the run itself adds, which differ every time.
        columns: The columns of the input.
        moments: Columns of date-times.
        elsewhere: Those of them with values whose offset is not that of UTC.
        row_count: How many rows Databox says that the dataset holds; None when it doesn't.
    """

    def __init__(
        self,
        destination: Destination,
        number: int,
        key_columns: tuple[str, ...],
        *,
        zone: dt.tzinfo,
        column_types: Mapping[str, str],
        row_count: int | None,
    ) -> None:
        super().__init__(destination)
        self.number = number
        self.key_columns = key_columns
        self.zone = zone
        self.row_count = row_count
        self.added: tuple[str, ...] = ()
        self.columns = Columns()
        self.moments = {name for name, kind in column_types.items() if kind == _DATE_TIME}
        self.elsewhere: set[str] = set()

    def declare(self, columns: Iterable[Column], added: tuple[str, ...]) -> None:
        """Add the columns of a SCHEMA; what rows were read as before stays so."""
        self.added = added
        for column in columns:
            if column.name in added:
                continue
            if column.name not in self.columns.numbers and column.data_type == _DATE_TIME:
                self.moments.add(column.name)
            self.columns.add((column.name,))

    def take(self, rows: Iterable[Row]) -> list[tuple[bytes, Print, int]]:
        """What is kept of rows: their key, what else is kept, and their place in the input."""
        found = []
        moments, zone, elsewhere = self.moments, self.zone, self.elsewhere
        for row in rows:
            self.counts.read += 1
            values = _decode(row.body)
            for name in self.added:
                values.pop(name, None)
            kept = normal_row(values, moments, zone)
            for name in moments:
                value = values.get(name)
                if name not in elsewhere and type(value) is str and is_elsewhere(value):
                    elsewhere.add(name)
            printed = print_of(values, kept, self.columns, zone)
            found.append((self.key(kept) or printed.whole, printed, row.number))
        return found

    def key(self, row: Mapping[str, Any]) -> bytes:
        """The key of a row in its normal form; empty for a stream without keys."""
        return key_of(row, self.key_columns) if self.key_columns else b""
