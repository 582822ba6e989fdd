"""Compares the column types of a stream with those of its dataset. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from target_databox.api.values import ColumnLike

TYPES: Final = ("string", "number", "datetime")
MOST_NAMED: Final = 10


class TypeDifference(NamedTuple):
    """A column with different types in the dataset and the stream."""

    column: str
    stream_type: str
    dataset_type: str


def type_differences(columns: Iterable[ColumnLike], dataset_types: Mapping[str, str]) -> list[TypeDifference]:
    """The columns whose types differ, if both types are known.

    Args:
        columns: The stream's columns.
        dataset_types: The dataset's types by column name.
    """
    found = []
    for column in columns:
        there = dataset_types.get(column.name, "").lower()
        if column.data_type and there in TYPES and there != column.data_type:
            found.append(TypeDifference(column.name, column.data_type, there))
    return found


def differences_text(differences: Iterable[TypeDifference]) -> str:
    """The differences as a clause, such as `amount is number in the dataset and string in the stream`."""
    clauses = [
        f"{each.column} is {each.dataset_type} in the dataset and {each.stream_type} in the stream"
        for each in differences
    ]
    more = len(clauses) - MOST_NAMED
    return ", ".join(clauses[:MOST_NAMED]) + (f", and {more} more" if more > 0 else "")


def fitting_types(stream: str, differences: Iterable[TypeDifference]) -> str:
    """The `column_types` that would convert the stream's values to the dataset's types."""
    types = {each.column: each.dataset_type for each in differences}
    return json.dumps({stream: types}, ensure_ascii=False)
