"""The inputs that are measured: run `python benchmarks/inputs.py flat 200000 > FILE` to have one.

`python benchmarks/inputs.py streams 500 1000 > FILE` makes 500 streams of 1,000 records each.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXT = {"type": ["string", "null"]}
TIME = {"type": ["string", "null"], "format": "date-time"}
FLAT: dict[str, Any] = {
    "id": {"type": "integer"},
    "name": TEXT,
    "email": TEXT,
    "city": TEXT,
    "note": TEXT,
    "amount": {"type": ["number", "null"]},
    "visits": {"type": ["integer", "null"]},
    "active": {"type": ["boolean", "null"]},
    "created_at": TIME,
    "updated_at": TIME,
}
FLAT_RECORD = (
    b'{"type": "RECORD", "stream": "orders", "record": {"id": %d, "name": "Customer Number %d", '
    b'"email": "customer%d@example.com", "city": "Ljubljana", "note": "A note of some length", '
    b'"amount": %d.%02d, "visits": %d, "active": %s, '
    b'"created_at": "2025-01-%02dT10:%02d:00.000000Z", "updated_at": "2025-02-%02dT11:%02d:30.500000Z"}, '
    b'"time_extracted": "2025-03-01T00:00:00.000000Z"}\n'
)
# 27 leaves in three objects of nine, two levels deep, with a key and two columns beside them.
PARTS = ("billing", "shipping", "terms")
NESTED: dict[str, Any] = {
    "id": {"type": "integer"},
    "status": TEXT,
    "created_at": TIME,
    **{
        part: {
            "type": ["object", "null"],
            "properties": {
                "name": TEXT,
                "street": TEXT,
                "city": TEXT,
                "amount": {"type": ["number", "null"]},
                "visits": {"type": ["integer", "null"]},
                "inner": {
                    "type": ["object", "null"],
                    "properties": {
                        "code": TEXT,
                        "rate": {"type": ["number", "null"]},
                        "at": TIME,
                        "confirmed": {"type": ["boolean", "null"]},
                    },
                },
            },
        }
        for part in PARTS
    },
}
_PART = (
    b'"%s": {"name": "Customer %d", "street": "Dunajska cesta 1", "city": "Ljubljana", "amount": %d.%02d, '
    b'"visits": %d, "inner": {"code": "c-%d", "rate": 0.25, "at": "2025-01-31T10:15:00.000000Z", '
    b'"confirmed": true}}'
)
# About 1 kB as a row.
WIDE: dict[str, Any] = {"id": {"type": "integer"}, "text": TEXT}
WIDE_RECORD = b'{"type": "RECORD", "stream": "orders", "record": {"id": %d, "text": "' + b"x" * 970 + b'"}}\n'
STATE_EVERY = 10_000


def lines(kind: str, records: int, first: int = 0) -> Iterator[bytes]:
    """Singer messages of one stream, with a STATE after every 10,000 records.

    Args:
        kind: `flat` (10 columns), `nested` (30 columns once it is flattened) or `wide` (rows of 1 kB).
        records: How many.
        first: The first key.
    """
    properties = {"flat": FLAT, "nested": NESTED, "wide": WIDE}[kind]
    schema = {"type": "object", "properties": properties}
    message = {"type": "SCHEMA", "stream": "orders", "schema": schema, "key_properties": ["id"]}
    yield json.dumps(message).encode() + b"\n"
    record = {"flat": _flat, "nested": _nested, "wide": lambda i: WIDE_RECORD % i}[kind]
    for i in range(first, first + records):
        yield record(i)
        if (i + 1) % STATE_EVERY == 0:
            yield b'{"type": "STATE", "value": {"bookmarks": {"orders": {"id": %d}}}}\n' % i


def _flat(i: int) -> bytes:
    active = b"true" if i & 1 else b"false"
    day, minute = i % 28 + 1, i % 60
    return FLAT_RECORD % (i, i, i, i % 9973, i % 100, i % 100, active, day, minute, day, minute)


def _nested(i: int) -> bytes:
    parts = b", ".join(_PART % (part.encode(), i, i % 9973, i % 100, i % 100, i) for part in PARTS)
    return (
        b'{"type": "RECORD", "stream": "orders", "record": {"id": %d, "status": "open", '
        b'"created_at": "2025-01-31T10:15:00.000000Z", %s}}\n' % (i, parts)
    )


def streams(count: int, records: int) -> Iterator[bytes]:
    """Messages of many streams, one after another, with a STATE after each.

    Args:
        count: How many streams.
        records: How many records of each.
    """
    for number in range(count):
        stream = b"orders_%d" % number
        for line in lines("flat", records):
            yield line.replace(b'"orders"', b'"%s"' % stream, 1)
        yield b'{"type": "STATE", "value": {"bookmarks": {"%s": {"id": %d}}}}\n' % (stream, records)


if __name__ == "__main__":
    kind, *numbers = sys.argv[1:]
    made = streams(*map(int, numbers)) if kind == "streams" else lines(kind, *map(int, numbers))
    sys.stdout.buffer.writelines(made)
