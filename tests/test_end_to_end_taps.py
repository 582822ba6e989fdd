"""What taps on PyPI send, as public bug reports of other targets describe it: the real command loads it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import pytest

from tests.command import state, text

if TYPE_CHECKING:
    from tests.command import Command

D = Decimal
encode = msgspec.json.Encoder(decimal_format="number").encode


class Sent(NamedTuple):
    """A stream as a tap sends it.

    Attributes:
        schema: Its schema.
        records: Its records.
        rows: What is stored; the records where nothing is said.
        keys: Its key properties.
    """

    schema: dict[str, Any]
    records: list[dict[str, Any]]
    rows: list[dict[str, Any]] | None = None
    keys: tuple[str, ...] = ("id",)


INTEGER = {"type": "integer"}
METADATA = frozenset(
    f"_sdc_{name}"
    for name in (
        "extracted_at",
        "received_at",
        "batched_at",
        "deleted_at",
        "sequence",
        "table_version",
        "sync_started_at",
    )
)

KINDS = {
    "draft 4 without saying so": [
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "v": {
                        "type": ["null", "number"],
                        "exclusiveMaximum": True,
                        "multipleOf": D("1E-38"),
                        "maximum": 10**62,
                        "minimum": -(10**62),
                        "exclusiveMinimum": True,
                    },
                }
            },
            [
                {"id": 1, "v": D("12345678901234567890.12345678901234567890")},
                {"id": 2, "v": 4},
                {"id": 3, "v": D("1E+61")},
                {"id": 4, "v": D("0.1")},
                {"id": 5, "v": None},
            ],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "v": {
                        "type": ["null", "number"],
                        "exclusiveMaximum": False,
                        "maximum": D("9.99"),
                        "multipleOf": D("0.01"),
                    },
                }
            },
            [{"id": 1, "v": D("9.99")}, {"id": 2, "v": D("-1234567.89")}],
        ),
        Sent(
            {"properties": {"id": INTEGER, "v": {"exclusiveMinimum": True, "minimum": 0, "type": "integer"}}},
            [{"id": 1, "v": 123456789012345678901234567890}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "list": {
                        "type": "array",
                        "items": [{"type": "string"}, {"type": "number"}],
                        "additionalItems": False,
                    },
                }
            },
            [{"id": 1, "list": ["a", D("1.50")]}],
        ),
        Sent(
            {
                "properties": {"id": INTEGER, "a": {"type": "string", "required": True}},
                "dependencies": {"a": ["id"]},
            },
            [{"id": 1, "a": "x"}, {"id": 2}],
        ),
        Sent(
            {
                "$schema": "http://json-schema.org/draft-04/schema#",
                "id": "http://jsonschema.net",
                "properties": {
                    "id": {"id": "http://jsonschema.net/id", "type": "integer"},
                    "v": {"id": "#/properties/v", "type": "number", "minimum": 0, "exclusiveMinimum": True},
                },
            },
            [{"id": 1, "v": D("0.10")}],
        ),
    ],
    "references and anchors": [
        Sent(
            {
                "properties": {"id": INTEGER, "price": {"$ref": "#money"}},
                "$defs": {"m": {"$anchor": "money", "type": ["null", "number"]}},
            },
            [{"id": 1, "price": D("9.50")}, {"id": 2, "price": None}],
        ),
        Sent(
            {
                "properties": {"id": INTEGER, "price": {"$ref": "#money"}},
                "definitions": {"m": {"$id": "#money", "type": "number"}},
            },
            [{"id": 1, "price": D("9.50")}],
        ),
        Sent(
            {
                "properties": {"id": INTEGER, "at": {"$ref": "place.json"}},
                "definitions": {
                    "p": {
                        "$id": "place.json",
                        "type": ["null", "object"],
                        "properties": {"city": {"type": "string"}},
                    }
                },
            },
            [{"id": 1, "at": {"city": "Rome"}}, {"id": 2, "at": None}],
            rows=[{"id": 1, "at__city": "Rome"}, {"id": 2, "at__city": None}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "tags": {"type": "array", "items": {"$ref": "#/components/schemas/Tag"}},
                },
                "components": {"schemas": {"Tag": {"type": "string"}}},
            },
            [{"id": 1, "tags": []}, {"id": 2, "tags": ["a", "b"]}],
        ),
        Sent(
            {
                "$id": "http://a.example/row.json",
                "properties": {
                    "id": INTEGER,
                    "twice": {"$ref": "row.json#/properties/id"},
                    "none": {"$dynamicRef": "#n"},
                },
                "$defs": {"n": {"$dynamicAnchor": "n", "type": ["null", "boolean"]}},
            },
            [{"id": 1, "twice": 2, "none": True}],
            rows=[{"id": 1, "twice": 2, "none": "true"}],
        ),
        Sent(
            {
                "type": "object",
                "$ref": "#/definitions/row",
                "definitions": {
                    "row": {
                        "type": "object",
                        "properties": {
                            "id": INTEGER,
                            "up": {"anyOf": [{"$ref": "#/definitions/row"}, {"type": "null"}]},
                        },
                    }
                },
            },
            [{"id": 1, "up": {"id": 2, "up": {"id": 3, "up": None}}}],
            rows=[{"id": 1, "up__id": 2, "up__up__id": 3, "up__up__up": None}],
        ),
    ],
    "references and unions at the top": [
        Sent(
            {
                "$ref": "#/definitions/order",
                "definitions": {
                    "order": {
                        "type": "object",
                        "properties": {"id": INTEGER, "total": {"type": "number"}},
                        "required": ["id"],
                    }
                },
            },
            [{"id": 1, "total": D("2.50")}],
        ),
        Sent(
            {
                "allOf": [{"properties": {"id": INTEGER}}, {"$ref": "#/definitions/dated"}],
                "definitions": {"dated": {"properties": {"on": {"type": "string", "format": "date"}}}},
            },
            [{"id": 1, "on": "2024-01-31"}],
        ),
        Sent(
            {
                "anyOf": [
                    {"properties": {"id": INTEGER, "a": {"type": "string"}}, "required": ["a"]},
                    {"properties": {"id": INTEGER, "b": INTEGER}, "required": ["b"]},
                ]
            },
            [{"id": 1, "a": "x"}, {"id": 2, "b": 3}],
        ),
        Sent(
            {"type": ["object", "null"], "oneOf": [{"properties": {"id": INTEGER}}, {"type": "null"}]},
            [{"id": 1, "more": D("1.5")}],
        ),
        Sent(
            {
                "properties": {"id": INTEGER},
                "$ref": "#/definitions/rest",
                "definitions": {"rest": {"properties": {"n": {"type": "number"}}}},
            },
            [{"id": 1, "n": 7}],
        ),
        Sent(
            {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "$ref": "#/definitions/Row",
                "definitions": {
                    "Row": {"type": "object", "properties": {"id": INTEGER}, "additionalProperties": False}
                },
            },
            [{"id": 1}],
        ),
    ],
    "open schemas": [
        Sent(
            {"type": "object"}, [{"_id": "5f0a", "name": "a", "tags": ["a"], "n": D("1.50")}], keys=("_id",)
        ),
        Sent(
            {},
            [{"_id": "5f0a", "deep": {"er": {"x": 1}}}],
            rows=[{"_id": "5f0a", "deep__er__x": 1}],
            keys=("_id",),
        ),
        Sent(
            {"type": "object", "properties": None}, [{"a": 1, "b": "x"}, {"a": 1, "b": "y"}], keys=("a", "b")
        ),
        Sent(
            {"properties": [], "additionalProperties": True}, [{"_id": 1}, {"_id": D("2.50")}], keys=("_id",)
        ),
        Sent(
            {"type": "object", "patternProperties": {"^[a-z]": {"type": ["null", "number"]}}},
            [{"id": 1, "n": D("2.50")}],
        ),
        Sent({"additionalProperties": {"type": "string"}}, [{"id": "1", "name": "a"}]),
    ],
    "keys that the schema does not name": [
        Sent(
            {
                "type": "object",
                "properties": {"seen": {"anyOf": [{"type": "string", "format": "date-time"}, {}]}},
            },
            [
                {"_id": "5f0a", "name": "a", "seen": "2020-07-06T00:00:00.000000Z"},
                {"_id": "5f0b", "size": D("3.25")},
            ],
            keys=("_id",),
        ),
        Sent({"properties": {}}, [{"id": 1, "a": 1}, {"id": 1, "a": 2}], rows=[{"id": 1, "a": 2}]),
        Sent(
            {"properties": {"n": INTEGER}},
            [{"n": 1, "_id": {"$oid": "5f"}}],
            rows=[{"n": 1, "_id": '{"$oid":"5f"}'}],
            keys=("_id",),
        ),
        Sent(
            {"properties": {"a": {"type": "string"}}},
            [{"a": "x", "b": True}, {"a": "x", "b": False}],
            rows=[{"a": "x", "b": "true"}, {"a": "x", "b": "false"}],
            keys=("a", "b"),
        ),
        Sent(
            {"properties": {"o": {"type": "object"}}, "additionalProperties": False},
            [{"o": {"id": 1, "n": 2}}],
            rows=[{"o__id": 1, "o__n": 2}],
            keys=("o__id",),
        ),
        Sent(
            {"properties": {"n": INTEGER}, "additionalProperties": INTEGER},
            [{"n": 1, "ÜID": 7}],
            keys=("ÜID",),
        ),
    ],
    "a source's own metadata": [
        Sent(
            {"properties": {"_sdc_sequence": INTEGER, "n": INTEGER}},
            [{"_sdc_sequence": 1, "n": 1}, {"_sdc_sequence": 2, "n": 2}],
            keys=("_sdc_sequence",),
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "amount": {"type": "number"},
                    "_sdc_deleted_at": {"type": ["null", "string"], "format": "date-time"},
                }
            },
            [
                {"id": 1, "amount": D("10.50"), "_sdc_deleted_at": None},
                {"id": 2, "_sdc_deleted_at": "2024-05-01T10:00:00Z"},
            ],
        ),
        Sent(
            {
                "required": ["_sdc_extracted_at"],
                "properties": {"id": INTEGER, "_sdc_extracted_at": {"type": "string"}},
            },
            [{"id": 1, "_sdc_extracted_at": "2020-09-01T00:00:00Z"}],
        ),
        Sent(
            {"properties": {"id": INTEGER}},
            [{"id": 1, "_sdc_deleted_at": "2024-05-01", "_sdc_batched_at": "2024-05-02T00:00:00+00:00"}],
        ),
        Sent(
            {
                "properties": {"id": INTEGER, "_sdc_table_version": {"type": "string"}},
                "additionalProperties": False,
            },
            [{"id": 1, "_sdc_table_version": "v2"}, {"id": 2}],
        ),
        Sent(
            {
                "$ref": "#/definitions/r",
                "definitions": {
                    "r": {
                        "properties": {
                            "_sdc_received_at": {"type": "null"},
                            "_sdc_sync_started_at": {"enum": ["a"]},
                            "id": {},
                        }
                    }
                },
            },
            [{"id": "1", "_sdc_received_at": None, "_sdc_sync_started_at": "a"}],
        ),
    ],
    "columns that are typed wrongly": [
        Sent(
            {"properties": {"id": INTEGER, "zip": {"type": ["null", "string"]}}},
            [
                {"id": 1, "zip": 10115},
                {"id": 2, "zip": "01067"},
                {"id": 3, "zip": None},
                {"id": 4, "zip": D("1.50")},
            ],
            rows=[
                {"id": 1, "zip": "10115"},
                {"id": 2, "zip": "01067"},
                {"id": 3, "zip": None},
                {"id": 4, "zip": "1.50"},
            ],
        ),
        Sent(
            {"properties": {"id": {"type": "string"}, "on": {"type": "string"}}},
            [{"id": 1, "on": True}, {"id": "1"}],
            rows=[{"id": "1"}],
        ),
        Sent(
            {"properties": {"id": INTEGER, "a": {"type": "object", "properties": {"b": {"type": "string"}}}}},
            [{"id": 1, "a": {"b": 12345678901234567890}}],
            rows=[{"id": 1, "a__b": "12345678901234567890"}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "a": {"anyOf": [{"type": "string", "maxLength": 2}, {"type": "null"}]},
                }
            },
            [{"id": 1, "a": 123}, {"id": 2, "a": False}],
            rows=[{"id": 1, "a": "123"}, {"id": 2, "a": "false"}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "pay": {"type": "array", "items": {"properties": {"p": {"type": ["string", "null"]}}}},
                }
            },
            [{"id": 1, "pay": [{"p": 100}, {"p": "1"}]}],
            rows=[{"id": 1, "pay": '[{"p":100},{"p":"1"}]'}],
        ),
        Sent(
            {
                "properties": {"id": INTEGER, "a": {"$ref": "#/definitions/text"}},
                "definitions": {
                    "text": {"type": ["null", "string"]},
                    "row": {"properties": {"id": {}, "n": {}}},
                },
            },
            [{"id": 1, "a": D("-0.0")}],
            rows=[{"id": 1, "a": "-0.0"}],
        ),
        Sent(
            {"properties": {"id": INTEGER, "geometry": {"type": ["string", "null"]}}},
            [
                {"id": 1, "geometry": {"type": "Point", "coordinates": [D("8.50"), 50]}},
                {"id": 2, "geometry": [{"term": "a", "label": None}]},
                {"id": 3, "geometry": ["a", 1]},
            ],
            rows=[
                {"id": 1, "geometry": '{"type":"Point","coordinates":[8.50,50]}'},
                {"id": 2, "geometry": '[{"term":"a","label":null}]'},
                {"id": 3, "geometry": ["a", 1]},
            ],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "credit": {"type": ["null", "number"], "multipleOf": D("0.01"), "maximum": 1000000},
                    "inner": {
                        "type": "object",
                        "properties": {"n": {"type": "number", "multipleOf": D("0.1")}},
                    },
                }
            },
            [
                {"id": 1, "credit": D("99999.990000000005238689482212066650390625")},
                {
                    "id": 2,
                    "credit": D("10.0999999999999996447286321199499070644378662109375"),
                    "inner": {"n": D("0.3")},
                },
                {"id": 3, "inner": {"n": D("0.1000000000000000055511151231257827021181583404541015625")}},
            ],
            rows=[
                {"id": 1, "credit": D("99999.990000000005238689482212066650390625")},
                {
                    "id": 2,
                    "credit": D("10.0999999999999996447286321199499070644378662109375"),
                    "inner__n": D("0.3"),
                },
                {"id": 3, "inner__n": D("0.1000000000000000055511151231257827021181583404541015625")},
            ],
        ),
    ],
    "odd but well meant": [
        Sent(
            {
                "properties": {
                    "id": True,
                    "a": {"type": ["string", None, "null", "string"]},
                    "b": {"type": []},
                }
            },
            [{"id": "1", "a": None, "b": "x"}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "d": {"type": ["string"], "format": "singer.decimal"},
                    "u": {"type": "string", "format": "uuid4"},
                    "c": {"const": "x"},
                    "e": {"enum": ["a", None]},
                }
            },
            [{"id": 1, "d": "12.50", "u": "no uuid", "c": "x", "e": None}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "a": None,
                    "b": {"type": "string", "maxLength": None, "format": None},
                },
                "required": None,
                "additionalProperties": None,
            },
            [{"id": 1, "a": "x", "b": "y"}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "n": {"multipleOf": D("0.01")},
                    "o": {"patternProperties": {"^a": {}}},
                }
            },
            [{"id": 1, "n": D("2.50"), "o": {"a": 1}}],
            rows=[{"id": 1, "n": D("2.50"), "o__a": 1}],
        ),
        Sent(
            {
                "properties": {
                    "id": {
                        "type": ["integer", "null"],
                        "inclusion": "automatic",
                        "selected": True,
                        "sql-datatype": "bigint",
                    },
                    "t": {"type": "any"},
                    "l": {"items": []},
                }
            },
            [{"id": 1, "t": "x", "l": ["a", 2]}],
        ),
        Sent(
            {
                "properties": {
                    "id": INTEGER,
                    "a": {"type": "string", "pattern": "^\\d+(?<!0)\\Z"},
                    "w": {"if": {"type": "string"}, "then": {"maxLength": 3}, "else": {}},
                }
            },
            [{"id": 1, "a": "11", "w": "abc"}],
        ),
    ],
}


def messages(streams: list[Sent]) -> bytes:
    """Streams as a tap sends them, one after the other, with a STATE at the end."""
    lines: list[bytes] = []
    for number, sent in enumerate(streams):
        stream = f"s{number}"
        declared = {"type": "SCHEMA", "stream": stream, "schema": sent.schema, "key_properties": sent.keys}
        lines.append(encode(declared))
        lines += (encode({"type": "RECORD", "stream": stream, "record": each}) for each in sent.records)
    return text(*(line + b"\n" for line in lines), state(done=1))


@pytest.mark.parametrize("settings", [{}, {"validate_records": False}], ids=["validated", "not validated"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_taps_send_is_stored(command: Command, kind: str, settings: dict[str, Any]) -> None:
    """Each stream of each kind loads with its keys and every digit, validated or not."""
    streams = KINDS[kind]
    run = command.run(messages(streams), **settings)
    assert (run.code, run.states) == (0, [{"done": 1}]), run.errors
    for number, sent in enumerate(streams):
        assert command.rows(f"s{number}") == (sent.rows or sent.records), sent.schema
        assert command.emulator.store.dataset_titled(f"s{number}").keys == sent.keys


def test_every_kind_is_varied() -> None:
    """There are six streams of every kind at least."""
    assert all(len(streams) >= 6 for streams in KINDS.values())


def test_own_metadata_stays_beside_ours(command: Command) -> None:
    """With `add_record_metadata` a source's own columns keep their values, and those it lacks are added."""
    streams = KINDS["a source's own metadata"]
    run = command.run(messages(streams), add_record_metadata=True)
    assert (run.code, run.states) == (0, [{"done": 1}]), run.errors
    for number, sent in enumerate(streams):
        for row, own in zip(command.rows(f"s{number}"), sent.records, strict=True):
            assert own.items() <= row.items()
            named = {*own, *sent.schema.get("properties", {})}
            assert METADATA - named <= row.keys()


def test_no_row_is_lost_to_metadata(command: Command) -> None:
    """A thousand rows whose key the SDK would fill in itself are a thousand rows."""
    sent = Sent(
        {"properties": {"_sdc_sequence": INTEGER, "n": INTEGER}},
        [{"_sdc_sequence": number, "n": number} for number in range(1000)],
        keys=("_sdc_sequence",),
    )
    assert command.run(messages([sent]), add_record_metadata=True).code == 0
    assert sorted(row["n"] for row in command.rows("s0")) == list(range(1000))
