"""The hash that is the key of rows without keys: which rows are equal, and that it never changes."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.records.columns import Column, ColumnError, columns
from target_databox.records.row_hash import ROW_HASH, row_hash, with_hash, with_row_hash
from target_databox.records.rows import BadRecordError, RowEncoder

NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.floats(allow_nan=False)
SCALARS = st.none() | st.booleans() | NUMBERS.filter(lambda n: abs(n) != float("inf")) | st.text(max_size=5)
ROWS = st.dictionaries(st.text(max_size=5), SCALARS | st.lists(SCALARS, max_size=3), max_size=5)


@pytest.mark.parametrize(
    ("row", "digits"),
    [
        ({}, "44136fa355b3678a1146ad16f7e8649e"),
        ({"a": 1, "b": "x"}, "ecf9e98ec0641e23113ff3ce8bdc78d0"),
        ({"amount": Decimal("12.50"), "day": "2024-01-31"}, "caca75f9e206da2e7ca39b5c3e867d5c"),
        ({"ä": "ö\n", "yes": True, "list": [1, None, "2"]}, "443dd8730a0fa034dbc5aa556d87544d"),
        ({"n": 10**50, "m": -(10**39), "tiny": Decimal("1e-400")}, "c2a4d8f55ab85927635e7dd9d51b4a9a"),
    ],
)
def test_hashes_never_change(row: dict[str, Any], digits: str) -> None:
    """Datasets hold these hashes: a version that made others would load every row again."""
    assert row_hash(row) == digits


def test_hash_can_be_made_elsewhere() -> None:
    """It is the beginning of the SHA-256 of the row as compact JSON, names in order, nulls left out."""
    row = {"name": "Zoë", "id": 7, "none": None, "tags": ["b", "a"]}
    text = json.dumps({"id": 7, "name": "Zoë", "tags": ["b", "a"]}, separators=(",", ":"), ensure_ascii=False)
    assert row_hash(row) == hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    "equal",
    [
        [1, 1.0, Decimal("1.0"), Decimal("1e0"), Decimal("10e-1"), Decimal("1." + "0" * 60)],
        [0, -0.0, Decimal("-0.0"), Decimal("0E+9999"), Decimal("-0E+9999")],
        [100, 1e2, Decimal("1E+2"), Decimal("100.00")],
        [0.1, Decimal("0.1"), Decimal("0.10")],
        [10**39, Decimal("1e39")],
        [10**40, Decimal("1e40"), Decimal(10**40)],
        [-(10**50), Decimal("-1E+50"), Decimal("-10E+49")],
        [[1, [Decimal("2.0")]], [1.0, [2]], (1, [2])],
        [None],
        ["1"],
        [True],
        ["true"],
        [""],
        [" "],
        [[]],
        [[None]],
        ["2024-01-01"],
        ["2024-01-01T00:00:00Z"],
        ["2024-01-01T00:00:00+00:00"],
        [Decimal("1e999999999")],
        [Decimal("1e-999999999")],
        [Decimal("0.1000000000000000000000000000000000000000001")],
    ],
)
def test_equal_values_have_one_hash(equal: list[Any]) -> None:
    """Numbers are compared by value, with every digit; text, booleans and numbers are never the same."""
    assert len({row_hash({"a": value}) for value in equal}) == 1


def test_unequal_values_have_unequal_hashes() -> None:
    """The first of every list above is another value than all the others."""
    (mark,) = (each for each in test_equal_values_have_one_hash.pytestmark if each.name == "parametrize")
    firsts = [equal[0] for equal in mark.args[1]]
    assert len({row_hash({"a": value}) for value in firsts}) == len(firsts)


@given(ROWS, st.randoms())
def test_order_of_columns_is_nothing(row: dict[str, Any], random: Any) -> None:
    """The columns may come in any order, and one that is null may be absent."""
    names = list(row)
    random.shuffle(names)
    shuffled = {name: row[name] for name in names}
    assert row_hash(shuffled) == row_hash(row)
    assert row_hash({**shuffled, "added later": None}) == row_hash(row)
    assert re.fullmatch("[0-9a-f]{32}", row_hash(row))


@given(ROWS, ROWS)
def test_other_rows_have_other_hashes(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two rows have one hash only if they are equal; Python takes True for 1, Databox does not."""

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(each) for each in value]
        if isinstance(value, float):
            return Decimal(repr(value))
        return ("boolean", value) if isinstance(value, bool) else value

    are_equal = {n: plain(v) for n, v in one.items() if v is not None} == {
        n: plain(v) for n, v in other.items() if v is not None
    }
    assert (row_hash(one) == row_hash(other)) == are_equal


def test_values_do_not_move_between_columns() -> None:
    """The same values in other columns are another row."""
    assert row_hash({"a": "x", "b": "y"}) != row_hash({"a": "y", "b": "x"})
    assert row_hash({"a": "x"}) != row_hash({"b": "x"})
    assert row_hash({"a": "x", "b": 1}, {"b"}) == row_hash({"a": "x", "b": 2, "c": None}, {"b"})


def test_hash_is_the_last_column() -> None:
    """The hash stands in the row as it is sent, also where there is nothing else."""
    assert json.loads(with_hash(b"{}", "f" * 32)) == {ROW_HASH: "f" * 32}
    assert with_hash(b'{"a":1}', "f" * 32) == b'{"a":1,"_row_hash":"' + b"f" * 32 + b'"}'


def test_column_of_the_hash_is_free() -> None:
    """The column is text, and a stream that has one of that name is refused."""
    found = columns({"properties": {"a": {"type": "integer"}}})
    assert with_row_hash(found)[-1] == Column(ROW_HASH, "string", (ROW_HASH,))
    for name in (ROW_HASH, f" {ROW_HASH} "):
        taken = columns({"properties": {name: {"type": "string"}}})
        with pytest.raises(ColumnError, match=r"it has a column _row_hash itself.*primary_keys"):
            with_row_hash(taken)


def encoder(properties: dict[str, Any], **options: Any) -> RowEncoder:
    """An encoder of rows whose key is their hash."""
    schema = {"properties": properties}
    types = {"column_types": options["column_types"]} if "column_types" in options else {}
    found = with_row_hash(columns(schema, **types))
    return RowEncoder(schema, found, (ROW_HASH,), is_hashed=True, **options)


@pytest.mark.parametrize(
    ("properties", "record", "options"),
    [
        ({"a": {"type": "integer"}}, {"a": 1}, {}),
        ({}, {"a": 1}, {}),
        ({"a": {"type": "string"}}, {"a": " 1.00 "}, {"column_types": {"a": "number"}}),
        ({"a": {"type": "integer"}, "b": {}}, {"b": None, "a": 1.0}, {}),
    ],
)
def test_hash_is_that_of_what_is_sent(
    properties: dict[str, Any], record: dict[str, Any], options: dict[str, Any]
) -> None:
    """Values count as they go out, after conversions; the hash is the row's key and its last column."""
    row = encoder(properties, **options).encode(record)
    assert row.key == (row_hash({"a": 1}),)
    assert json.loads(row.body)[ROW_HASH] == row.key[0]
    more = encoder(properties, **options).encode({**record, "added": 5}, unhashed={"added"})
    assert more.key == row.key


def test_dates_of_stream_maps_are_hashed() -> None:
    """What JSON has no type for is hashed as the text that is sent."""
    day, number = dt.datetime(2024, 1, 31, tzinfo=dt.timezone.utc), uuid.UUID(int=7)
    row = encoder({}).encode({"day": day, "id": number})
    assert row.key == (row_hash({"day": "2024-01-31T00:00:00Z", "id": str(number)}),)


@pytest.mark.parametrize("properties", [{}, {"a": {"type": "integer"}}])
def test_record_with_a_hash_of_its_own_is_bad(properties: dict[str, Any]) -> None:
    """A record that brings a column of that name, which its schema does not list, is a bad one."""
    with pytest.raises(BadRecordError, match="'_row_hash' itself, which keyless_streams hash adds") as caught:
        encoder(properties).encode({"a": 1, ROW_HASH: "x"})
    assert caught.value.code == "column_clash"


def test_bad_values_stay_bad() -> None:
    """NaN in a row is an error, and never hashed."""
    with pytest.raises(BadRecordError) as caught:
        encoder({}).encode({"a": Decimal("NaN")})
    assert caught.value.code == "nan"
