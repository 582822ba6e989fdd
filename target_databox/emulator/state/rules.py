"""Decides what becomes of each row of an ingestion; pure, so that assumptions are tested as tables."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_databox.emulator.assumptions import Assumptions

_ISO_8601 = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
    r"(?:[T ](?:[01]\d|2[0-4]):[0-5]\d(?::[0-5]\d(?:[.,]\d{1,9})?|:60)?(?:Z|[+-]\d\d(?::?\d\d)?)?)?"
)


# Python types whose values fit a column of this type whatever the assumptions are: most values, decided fast.
_PLAIN: dict[type, str] = {str: "string", int: "number", Decimal: "number"}
OTHER_ROW = "Another row of the same request was rejected."
_encoded = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a dataset.

    Attributes:
        type: `string`, `number` or `datetime` (grade O); `None` while it held nothing but null.
        declared: Whether the dataset was created with it; inferred ones may change from date-time to string.
    """

    type: str | None
    declared: bool = False


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that the emulated API did not take.

    Attributes:
        place: The row's place in its request, from 0.
        reason: A sentence for humans, without the row's values.
        field: The column that is at fault, if one is.
    """

    place: int
    reason: str
    field: str | None = None


@dataclass(slots=True)
class Judgement:
    """What becomes of the rows of one ingestion.

    Attributes:
        taken: Place and key of each row to store, in the order to store them; the key is `None` without keys.
        repeated: How many rows counted for nothing, since the same request has another row of their key.
        rejected: The rows that are not stored.
        columns: The dataset's columns afterwards.
    """

    taken: list[tuple[int, str | None]] = field(default_factory=list)
    repeated: int = 0
    rejected: list[Rejection] = field(default_factory=list)
    columns: dict[str, Column] = field(default_factory=dict)


def judgement(
    rows: Sequence[Mapping[str, Any]],
    keys: Sequence[str],
    columns: Mapping[str, Column],
    doomed: Mapping[int, str],
    assumptions: Assumptions,
    most_columns: int | None = None,
) -> Judgement:
    """Decide what becomes of the rows of one ingestion.

    Args:
        rows: The rows in the order of the request; numbers are `int` or `Decimal`.
        keys: The dataset's primary keys; empty when it has none.
        columns: The dataset's columns so far.
        doomed: Places of rows that a planned fault rejects, each with the reason.
        assumptions: What is taken for true.
        most_columns: A row that would make more columns than that is rejected; `None` for no such limit.
    """
    result = Judgement(columns=dict(columns))
    places: dict[str, int] = {}
    for place, row in enumerate(rows):
        rejection = _rejection(place, row, keys, result.columns, doomed, assumptions, most_columns)
        if rejection:
            result.rejected.append(rejection)
            continue
        if not keys:
            result.taken.append((place, None))
            continue
        key = row_key(row, keys)
        if key not in places:
            places[key] = place
        elif assumptions.repeated_key == "rejected":
            result.rejected.append(
                Rejection(place, "The request has another row with the same key.", keys[0])
            )
        else:
            result.repeated += 1
            if assumptions.repeated_key == "last":
                places[key] = place
    result.taken += [(place, key) for key, place in places.items()]
    if result.rejected and assumptions.rejection_scope == "ingestion":
        return _rejected_whole(len(rows), result.rejected, columns)
    return result


def _rejected_whole(count: int, bad: Sequence[Rejection], columns: Mapping[str, Column]) -> Judgement:
    """Every row rejected, the good ones too, as if nothing had been sent."""
    reasons = {each.place: each for each in bad}
    rejected = [reasons.get(place) or Rejection(place, OTHER_ROW) for place in range(count)]
    return Judgement(rejected=rejected, columns=dict(columns))


def row_key(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The key of a row as text, equal when the values are: 1 and 1.0 are one key, 1 and "1" are two."""
    return _encoded([_key_part(row.get(name)) for name in keys])


def _key_part(value: Any) -> str:
    if isinstance(value, str):
        return f"text {value}"
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        sign, digits, exponent = Decimal(value).as_tuple()
        text = "".join(map(str, digits)).lstrip("0")
        bare = text.rstrip("0")
        if not bare:
            return "number 0"
        return f"number {'-' if sign else ''}{bare}e{int(exponent) + len(text) - len(bare)}"
    return json.dumps(value, default=str)


def _rejection(
    place: int,
    row: Mapping[str, Any],
    keys: Sequence[str],
    columns: dict[str, Column],
    doomed: Mapping[int, str],
    assumptions: Assumptions,
    most_columns: int | None,
) -> Rejection | None:
    """Why a row is not taken, or `None`; what a taken row says about the columns is noted in `columns`."""
    if place in doomed:
        return Rejection(place, doomed[place])
    if assumptions.missing_key == "rejected":
        for name in keys:
            if row.get(name) is None:
                return Rejection(place, "The row has no value for a primary key.", name)
    changed: dict[str, Column] = {}
    fixed = assumptions.unknown_columns != "added" and any(each.declared for each in columns.values())
    for name, value in row.items():
        column = columns.get(name)
        if column is None and fixed:
            if assumptions.unknown_columns == "rejected":
                return Rejection(place, "The dataset has no such column.", name)
            continue
        if column and _PLAIN.get(type(value)) == column.type is not None:
            continue
        if value is None:
            if assumptions.nulls == "rejected":
                return Rejection(place, "A value is null.", name)
            if column is None:
                changed[name] = Column(None)
            continue
        if isinstance(value, bool) and assumptions.booleans == "rejected":
            return Rejection(place, "A value is a boolean.", name)
        if assumptions.nested_objects == "rejected" and _holds_object(value):
            return Rejection(place, "A value is an object.", name)
        if column is None or column.type is None:
            inferred = _inferred_type(value, assumptions)
            changed[name] = replace(column, type=inferred) if column else Column(inferred)
        elif not _fits(value, column.type):
            if column.type == "datetime" and not column.declared and isinstance(value, str):
                changed[name] = Column("string")
            elif assumptions.type_conflicts == "rejected":
                return Rejection(place, f"A value is no {column.type}, which its column is.", name)
    if changed and most_columns is not None:
        added = [name for name in changed if name not in columns]
        if added and len(columns) + len(added) > most_columns:
            return Rejection(place, f"A dataset has at most {most_columns} columns.", added[-1])
    columns.update(changed)
    return None


def _fits(value: Any, column_type: str) -> bool:
    if column_type == "number":
        return isinstance(value, (int, Decimal)) and not isinstance(value, bool)
    if column_type == "datetime":
        return isinstance(value, str) and _ISO_8601.fullmatch(value) is not None
    return isinstance(value, (str, bool, list, dict))


def _inferred_type(value: Any, assumptions: Assumptions) -> str:
    if _fits(value, "number"):
        return "number"
    if assumptions.date_inference == "iso-text" and _fits(value, "datetime"):
        return "datetime"
    return "string"


def _holds_object(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(map(_holds_object, value)))
