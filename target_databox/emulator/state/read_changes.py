"""What may become of values between a row's arrival and its reading back: one switch each; pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.state.json_rows import parsed_row

if TYPE_CHECKING:
    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.state.shapes import Dataset

_WRITTEN = msgspec.json.Encoder(decimal_format="number")
_FIFTEEN, _WIDE = Context(prec=15), Context(prec=5_000)
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?)(?:[.,](\d+))?(Z|[+-]\d\d(?::?\d\d)?)?", re.ASCII
)


class Changes:
    """Rows as they are read back, where that differs from how they came.

    Args:
        assumptions: What is taken for true where nobody knows.
    """

    def __init__(self, assumptions: Assumptions) -> None:
        self._numbers = assumptions.read_numbers
        self._texts = assumptions.read_texts
        self._fractions = assumptions.read_fractions
        self._offsets = assumptions.read_offsets
        self._columns = assumptions.read_columns
        kept = (self._numbers, self._texts, self._fractions, self._offsets, self._columns)
        self.are_none = set(kept) <= {"exact", "kept", "all"}

    def hidden_columns(self, dataset: Dataset) -> set[str]:
        """The columns that are not shown."""
        keys = dataset.keys or ()
        if self._columns == "key-hidden":
            return set(keys[:1])
        if self._columns == "last-hidden":
            return set([name for name in dataset.columns if name not in keys][-1:])
        return set()

    def changed(self, text: str, dataset: Dataset) -> str:
        """A stored row's JSON text as it is read back."""
        hidden = self.hidden_columns(dataset)
        row = {
            name: self._value(
                value, is_date_time=name in dataset.columns and self._is_date_time(dataset, name)
            )
            for name, value in parsed_row(text).items()
            if name not in hidden
        }
        return _WRITTEN.encode(row).decode()

    @staticmethod
    def _is_date_time(dataset: Dataset, name: str) -> bool:
        return dataset.columns[name].type == "datetime"

    def _value(self, value: Any, *, is_date_time: bool) -> Any:
        if isinstance(value, str):
            if is_date_time and (match := _DATE_TIME.fullmatch(value)):
                return self._date_time(*match.groups())
            return value.strip() if self._texts == "trimmed" else value
        if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
            return self._number(Decimal(value))
        return value

    def _number(self, value: Decimal) -> Any:
        if self._numbers == "doubles":
            double = float(value)
            return int(double) if double.is_integer() else double
        if self._numbers == "15-digits":
            return _FIFTEEN.plus(value)
        if self._numbers == "2-decimals" and int(value.as_tuple().exponent) < -2:
            return value.quantize(Decimal("0.01"), ROUND_HALF_EVEN, _WIDE)
        return value

    def _date_time(self, second: str, fraction: str | None, offset: str | None) -> str:
        if self._fractions == "milliseconds" and fraction is not None:
            fraction = fraction[:3]
        if self._offsets == "lost":
            offset = None
        if self._offsets == "utc" and offset not in {None, "Z"}:
            digits = (offset or "")[1:].replace(":", "")
            size = timedelta(hours=int(digits[:2]), minutes=int(digits[2:] or 0))
            moment = datetime.fromisoformat(second).replace(tzinfo=timezone.utc)
            moment += size if (offset or "").startswith("-") else -size
            second, offset = moment.replace(tzinfo=None).isoformat(), "Z"
        return f"{second}{'' if fraction is None else f'.{fraction}'}{offset or ''}"
