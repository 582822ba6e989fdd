"""Finds the rows of a batch that the API names as rejected. Pure.

The API names a row by repeating it, not by its position. Rows are compared by value, since the API may format
numbers and order columns differently; a null equals a missing value. If any doubt remains, the result is
None, and the batch is halved instead.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence

    from target_databox.api.values import ApiProblem
    from target_databox.delivery.rows import Row


def named_rows(
    rows: Sequence[Row], problems: Iterable[ApiProblem], rejected: int
) -> list[tuple[Row, ApiProblem]] | None:
    """The rejected rows of a batch, each with the API's problem for it.

    Args:
        rows: The rows that were sent.
        problems: The API's problems; different ones may be about one row, the same one hardly is (A).
        rejected: How many rows the API counts as rejected.

    Returns:
        As many rows as were rejected; None if the API names fewer rows or others, or if any doubt remains.
    """
    named: dict[Hashable, list[ApiProblem]] = {}
    try:
        for problem in problems:
            if isinstance(problem.record, dict):
                named.setdefault(_value(problem.record), []).append(problem)
        if not named:
            return None
        sent: dict[Hashable, list[Row]] = {}
        for row in rows:
            value = _value(json.loads(row.body))
            if value in named:
                sent.setdefault(value, []).append(row)
    except RecursionError:
        return None
    found: list[tuple[Row, ApiProblem]] = []
    for value, equal in sent.items():
        if len({row.body for row in equal}) > 1:
            return None  # equal by value but not identical: the API may mean any of them, even twice
        found += zip(equal[: _least_rows(named[value])], named[value], strict=False)
    return found if len(found) == rejected else None


def _least_rows(problems: Iterable[ApiProblem]) -> int:
    """How many identical rows problems are about at least: the same one twice is about two of them."""
    return max(Counter((each.code, each.field, each.message) for each in problems).values())


def _value(value: Any) -> Hashable:
    """A JSON value in a form that compares equal however it was formatted."""
    if isinstance(value, dict):
        return frozenset((name, _value(each)) for name, each in value.items() if each is not None)
    if isinstance(value, list):
        return tuple(map(_value, value))
    if isinstance(value, bool):
        return str, value
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return value  # type: ignore[no-any-return] # text or null
