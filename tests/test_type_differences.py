"""Facts on how column types of a stream and of its dataset are compared."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

from target_databox.destination.type_differences import differences_text, fitting_types, type_differences


class Column(NamedTuple):
    """A column of a stream."""

    name: str
    data_type: str | None


@pytest.mark.parametrize(
    ("here", "there", "differs"),
    [
        ("number", "number", False),
        ("number", "Number", False),
        ("number", "string", True),
        ("string", "datetime", True),
        # Not declared, not told, or a word that says nothing.
        (None, "string", False),
        ("number", "", False),
        ("number", "decimal", False),
    ],
)
def test_types_that_both_sides_tell_are_compared(here: str | None, there: str, differs: bool) -> None:
    """Only types that both sides tell, in words that are known, can differ."""
    found = type_differences([Column("a", here)], {"a": there} if there else {})
    assert bool(found) == differs
    if differs:
        assert differences_text(found) == f"a is {there} in the dataset and {here} in the stream"
        assert json.loads(fitting_types("s", found)) == {"s": {"a": there}}


def test_many_differences_are_counted() -> None:
    """Of many differences the first ten are named."""
    columns = [Column(f"c{number}", "number") for number in range(13)]
    text = differences_text(type_differences(columns, {column.name: "string" for column in columns}))
    assert text.endswith("c9 is string in the dataset and number in the stream, and 3 more")
