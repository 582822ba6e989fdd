"""What one stream would be in Databox: its rows are counted and inspected, never kept."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.delivery.batches import Lane
from target_databox.delivery.rows import RowQueue
from target_databox.rehearsal.hints import Guess

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.delivery.batches import Destination
    from target_databox.delivery.rows import Row
    from target_databox.records.columns import Column
    from target_databox.settings.reading import Settings

# Memory stays flat: more columns or reasons than this are counted together.
MOST_COLUMNS: Final = 1000
MOST_REASONS: Final = 20
MOST_LINES_NAMED: Final = 5

_decode: Final = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode


class _Reason:
    """Rejected records of one reason."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[int] = []

    def add(self, number: int) -> None:
        self.count += 1
        if len(self.lines) < MOST_LINES_NAMED:
            self.lines.append(number)

    def __str__(self) -> str:
        numbers = ", ".join(str(number) for number in self.lines)
        more = ", …" if self.count > len(self.lines) else ""
        return f"{self.count:,} (line{'s' if self.count > 1 else ''} {numbers}{more})"


class PreviewLane(Lane):
    """What one stream would be in Databox.

    Attributes:
        key_columns: Columns that would be the dataset's keys.
        data_types: Declared type by column, in the schema's order.
        filled: How many values are not null, by column.
        guesses: Guessed types of text columns.
        with_numbers: Columns that no schema gives a type and that hold numbers.
        with_text: Likewise, that hold anything else.
        reasons: Records that would be rejected, by reason.
        width: The hint for too many columns; empty if there is none.
    """

    def __init__(self, destination: Destination, key_columns: tuple[str, ...], settings: Settings) -> None:
        super().__init__(destination)
        self.key_columns = key_columns
        self.data_types: dict[str, str | None] = {}
        self.filled: dict[str, int] = {}
        self.guesses: dict[str, Guess] = {}
        self.with_numbers: set[str] = set()
        self.with_text: set[str] = set()
        self.reasons: dict[str, _Reason] = {}
        self.width = ""
        self._limits = settings.batch_size_rows, settings.most_rows_bytes
        # The delivery's own queue cuts the batches; with keys they would depend on how fast Databox is.
        self._batch = RowQueue(keyed=False)

    def declare(self, columns: Iterable[Column]) -> None:
        """Add the columns of a SCHEMA."""
        for column in columns:
            self.data_types[column.name] = column.data_type
            self.filled.setdefault(column.name, 0)
            if column.data_type in ("string", "datetime") and column.name not in self.guesses:
                self.guesses[column.name] = Guess(is_key=column.name in self.key_columns)

    def take(self, row: Row) -> None:
        """Count a row, and learn from its values."""
        self.counts.read += 1
        self._batch.put_all((row,), 0.0)
        while self._batch.is_full(*self._limits):
            self._send()
        for name, value in _decode(row.body).items():
            if value is None:
                continue
            count = self.filled.get(name)
            if count is None and len(self.filled) >= MOST_COLUMNS:
                continue
            self.filled[name] = (count or 0) + 1
            guess = self.guesses.get(name)
            if guess is not None:
                guess.see(value)
            elif self.data_types.get(name) is None:
                is_number = isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)
                (self.with_numbers if is_number else self.with_text).add(name)

    @property
    def mixed(self) -> list[str]:
        """Columns that no schema gives a type and that hold both numbers and anything else."""
        return [name for name in self.filled if name in self.with_numbers and name in self.with_text]

    def refuse(self, number: int, reason: str, message: str) -> None:
        """Count a record that can't be sent."""
        self.counts.read += 1
        self.counts.rejected += 1
        text = f"{reason}: {message.rstrip('.')}"
        if text not in self.reasons and len(self.reasons) >= MOST_REASONS:
            text = "other reasons"
        self.reasons.setdefault(text, _Reason()).add(number)

    def close_batch(self) -> None:
        """Cut what is left, at the end of the input."""
        while len(self._batch):
            self._send()

    def _send(self) -> None:
        rows = self._batch.cut(*self._limits)
        self._batch.free(self._batch.keys(rows), 0.0)
        self.counts.batches += 1
