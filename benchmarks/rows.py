"""How long a record takes to become a row, in microseconds of one core: run `python benchmarks/rows.py`."""

from __future__ import annotations

import time
import timeit
from decimal import Decimal
from typing import Any

from target_databox.records.columns import columns
from target_databox.records.conversions import ENCODER
from target_databox.records.rows import RowEncoder

ROUNDS = 50_000
PLAIN: dict[str, Any] = {
    "id": 12345,
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "amount": Decimal("1234.50"),
    "tax": Decimal("0.19"),
    "created_at": "2024-01-31T10:15:00.000000Z",
    "city": "London",
    "country": "GB",
    "count": 7,
    "note": None,
}
PROPERTIES: dict[str, Any] = {
    "id": {"type": "integer"},
    "amount": {"type": "number"},
    "tax": {"type": "number"},
    "count": {"type": "integer"},
    "active": {"type": "boolean"},
    **{
        name: {"type": ["string", "null"]}
        for name in ("name", "email", "created_at", "city", "country", "note")
    },
}
OBJECTS = {
    "address": {
        "type": ["object", "null"],
        "properties": {"street": {"type": "string"}, "zip": {"type": "string"}},
    },
    "tags": {"type": "array", "items": {"type": "string"}},
}
BOOLEAN = {**PLAIN, "active": True}
NESTED = {**BOOLEAN, "address": {"street": "Main", "zip": "1"}, "tags": ["a", "b"]}


def encoder(properties: dict[str, Any], column_types: dict[str, str] | None = None) -> RowEncoder:
    """The encoder of a schema with one key."""
    schema = {"properties": properties}
    return RowEncoder(schema, columns(schema, column_types=column_types), ["id"], column_types)


def microseconds(statement: Any) -> float:
    """The best of several measurements, since other programs only ever add to one."""
    return min(timeit.repeat(statement, number=ROUNDS, repeat=7, timer=time.process_time)) / ROUNDS * 1e6


def main() -> None:
    """Print one line for each kind of record."""
    flat = encoder(PROPERTIES)
    converting = encoder(PROPERTIES, {"count": "number", "created_at": "datetime"})
    spreading = encoder({**PROPERTIES, **OBJECTS})
    print(f"JSON alone           {microseconds(lambda: ENCODER.encode(PLAIN)):6.2f}")
    print(f"plain values         {microseconds(lambda: flat.encode(PLAIN)):6.2f}")
    print(f"and a boolean        {microseconds(lambda: flat.encode(BOOLEAN)):6.2f}")
    print(f"two columns converted{microseconds(lambda: converting.encode({**BOOLEAN, 'count': '007'})):6.2f}")
    print(f"object and array     {microseconds(lambda: spreading.encode(NESTED)):6.2f}")


if __name__ == "__main__":
    main()
