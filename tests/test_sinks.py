"""One stream, one dataset: what a sink makes of a schema, and which records it lets through."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.delivery.errors import RejectedError
from target_databox.records.validation import SchemaError
from target_databox.singer.messages import InputError
from target_databox.sinks import DatasetSink
from target_databox.target import TargetDatabox
from tests.command import record, schema, state
from tests.loading import load, stored

if TYPE_CHECKING:
    from pathlib import Path

    from target_databox.emulator import Emulator

SCHEMA = {"properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}}


pytestmark = pytest.mark.usefixtures("signals")


def knot(size: int) -> dict[str, Any]:
    """A schema whose parts all refer to all others: to read it by every way would take years."""
    return {
        "allOf": [{"$ref": "#/definitions/0"}],
        "definitions": {
            str(part): {
                "anyOf": [{"$ref": f"#/definitions/{other}"} for other in range(size) if other != part]
            }
            for part in range(size)
        },
    }


def sink(
    given: dict[str, Any] | None = None, keys: tuple[str, ...] = ("id",), **settings: Any
) -> DatasetSink:
    """A sink whose dataset nobody has looked for."""
    target = TargetDatabox(config={"api_key": "pak_none", **settings})
    return DatasetSink(target, "orders", given or {**SCHEMA, "properties": dict(SCHEMA["properties"])}, keys)


def test_columns_follow_the_schema() -> None:
    """Columns and keys are those of the schema."""
    made = sink()
    assert [(column.name, column.data_type) for column in made.columns] == [
        ("id", "number"),
        ("at", "datetime"),
    ]
    assert made.load_keys == ("id",)


def test_append_only_has_no_keys() -> None:
    """With `append-only` the keys of the tap are not the dataset's."""
    assert sink(load_method="append-only").load_keys == ()


def test_metadata_columns_are_declared() -> None:
    """The columns of `add_record_metadata` are declared with their types."""
    types = {column.name: column.data_type for column in sink(add_record_metadata=True).columns}
    assert types["_sdc_extracted_at"] == "datetime"
    assert types["_sdc_sequence"] == "number"


@pytest.mark.parametrize("metadata", [False, True])
def test_own_metadata_columns_keep_their_types(metadata: bool) -> None:
    """What a source calls `_sdc_…` is declared as its own schema says, with our columns beside it or not."""
    own = {
        "properties": {"id": {}, "_sdc_sequence": {"type": "string"}, "_sdc_batched_at": {"type": "number"}}
    }
    types = {column.name: column.data_type for column in sink(own, add_record_metadata=metadata).columns}
    assert (types["_sdc_sequence"], types["_sdc_batched_at"]) == ("string", "number")
    assert ("_sdc_deleted_at" in types) == metadata


def test_validation_is_a_setting() -> None:
    """Without `validate_records` there is no validator, and no schema is too odd."""
    assert sink().get_validator() is not None
    odd = {"properties": {"id": {"type": "integer", "$ref": "http://127.0.0.1:9/x"}}}
    assert sink(odd, validate_records=False).get_validator() is None
    with pytest.raises(SchemaError, match="nothing is fetched"):
        sink(odd)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"properties": {"a": {"allOf": [{"$ref": "#/properties/a"}]}}}, "its references multiply"),
        (knot(16), "its references multiply"),
        ({"properties": {"a": {"$ref": "#/x"}}, "x": knot(16)}, '/x/allOf/0 refers to "#/definitions/0"'),
        (
            {"properties": {"a": {"pattern": "(" * 3}}},
            "it is not a valid JSON Schema at /properties/a/pattern",
        ),
    ],
    ids=["endless", "knotted", "dangling", "broken"],
)
@pytest.mark.parametrize("metadata", [False, True], ids=["plain", "with metadata"])
def test_schema_of_no_use_is_reported(
    emulator: Emulator, given: dict[str, Any], problem: str, metadata: bool
) -> None:
    """A schema that no validator can use ends the run with the reason, before a record is read."""
    message = {"type": "SCHEMA", "stream": "orders", "schema": given, "key_properties": ["id"]}
    with pytest.raises(InputError, match=f"is a SCHEMA of stream 'orders' that can't be loaded: {problem}"):
        load(emulator, message, record(id=1, a=1), add_record_metadata=metadata)
    assert not emulator.log.of("post_rows")


REFUSED = {
    "dangling in an array": (
        {"properties": {"tags": {"type": "array", "items": {"$ref": "#/components/schemas/Tag"}}}},
        '/properties/tags/items refers to "#/components/schemas/Tag"',
    ),
    "dangling column": ({"properties": {"a": {"$ref": "#/definitions/a"}}}, "/properties/a refers to"),
    "dangling in a union": (
        {"properties": {"a": {"anyOf": [{}, {"$ref": "#b"}]}}},
        "/properties/a/anyOf/1 refers",
    ),
    "dangling in a definition": (
        {"properties": {"a": {"$ref": "#/d/b"}}, "d": {"b": {"items": {"$ref": "#/d/c"}}}},
        '/d/b/items refers to "#/d/c"',
    ),
    "dangling at the top": ({"properties": {"id": {}}, "$ref": "#/definitions/x"}, "its top refers to"),
    "dangling in what is not looked at": (
        {"properties": {"a": {"additionalProperties": {"$ref": "#/x"}}}},
        "/properties/a/additionalProperties refers to",
    ),
    "another document": (
        {"properties": {"a": {"$ref": "components#/schemas/A"}}},
        "refers to another document",
    ),
    "no such type": ({"properties": {"a": {"type": "date"}}}, '/properties/a/type, which is "date"'),
    "a length that is text": (
        {"properties": {"a": {"maxLength": "255"}}},
        '/properties/a/maxLength, which is "2',
    ),
    "properties that are a list": ({"properties": [{"name": "a"}]}, '/properties, which is [{"name": "a"}]'),
    "a column that is text": ({"properties": {"a": "string"}}, '/properties/a, which is "string"'),
    "negative": ({"properties": {"a": {"maxLength": -1}}}, "/properties/a/maxLength, which is -1"),
    "no object": ({"type": "array", "items": {"properties": {"id": {}}}}, "its type fits no object"),
}


@pytest.mark.parametrize(("given", "problem"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("maps", [None, {"orders": {"x": "'y'"}}], ids=["plain", "mapped"])
def test_schema_is_refused_where_it_stands(
    emulator: Emulator, given: dict[str, Any], problem: str, maps: dict[str, Any] | None
) -> None:
    """What a validator can't use is refused at its SCHEMA, with its place and the way out, and that works."""
    message = {"type": "SCHEMA", "stream": "orders", "schema": given, "key_properties": ["id"]}
    lines = (message, record(id=1, a=["x"], tags=["y"]), record(id=2, a=["z"]))
    with pytest.raises(InputError, match=r"^Line 1 of the input is a SCHEMA of stream 'orders' ") as caught:
        load(emulator, *lines, stream_maps=maps)
    assert not emulator.log.of("post_rows")
    if maps is None or problem in str(caught.value):
        assert problem in str(caught.value)
        assert str(caught.value).endswith("Fix the tap, or set validate_records to false.")
        load(emulator, *lines, validate_records=False)
        assert len(stored(emulator)) == 2


@pytest.mark.parametrize("number", ["2", "2.0", "2e3"])
def test_unusual_patterns_keep_whole_numbers(emulator: Emulator, number: str) -> None:
    """Beside a pattern that only Python can read, `2.0` is an integer all the same."""
    described = schema(id={"type": "integer"}, name={"pattern": "^a\\Z"})
    line = f'{{"type":"RECORD","stream":"orders","record":{{"id":{number},"name":"a"}}}}\n'
    load(emulator, described, line.encode())
    assert len(stored(emulator)) == 1
    with pytest.raises(RejectedError, match="schema: id: its value does not fit 'type'"):
        load(emulator, described, line.replace(number, "2.5").encode())


@pytest.mark.parametrize("number", ["1e400", "1e999999999", "-1e30"])
def test_unusual_patterns_reject_what_cannot_be_divided(emulator: Emulator, number: str) -> None:
    """Beside a pattern that only Python can read, a number too large for `multipleOf` is rejected."""
    described = schema(id={"multipleOf": 0.01}, name={"pattern": "^a\\Z"})
    line = f'{{"type":"RECORD","stream":"orders","record":{{"id":{number}}}}}\n'
    with pytest.raises(RejectedError, match="its schema can't be applied to a number of this size"):
        load(emulator, described, line.encode())


@pytest.mark.parametrize("levels", [60, 120, 250, 400])
def test_deep_schema_is_loaded_or_reported(emulator: Emulator, levels: int) -> None:
    """A schema with objects in objects is loaded, or the input is in error; it is never a bug of ours."""
    part: dict[str, Any] = {"type": "integer"}
    for _ in range(levels):
        part = {"type": "object", "properties": {"a": part}}
    try:
        load(emulator, schema(id={"type": "integer"}, a=part), record(id=1))
    except InputError as error:
        assert "is a SCHEMA of stream 'orders' that" in str(error)  # noqa: PT017 # either is well
    else:
        assert levels < 250
        assert stored(emulator) == [{"id": 1}]


@pytest.mark.parametrize("pattern", ["^(a+)+\\Z", "^(a+)+$"], ids=["Python's", "everybody's"])
def test_pattern_without_end_rejects(emulator: Emulator, tmp_path: Path, pattern: str) -> None:
    """A pattern with more ways to fit than anybody could try rejects its record, and loading goes on."""
    rejects = tmp_path / "rejects.singer"
    described = schema(id={"type": "integer"}, name={"pattern": pattern})
    records = [record(id=number, name="a" * 60 + ("!" if number == 2 else "")) for number in (1, 2, 3)]
    load(emulator, described, *records, rejects_path=str(rejects), rejects_policy="accept")
    assert [row["id"] for row in stored(emulator)] == [1, 3]
    kept = [json.loads(line) for line in rejects.read_bytes().splitlines()]
    assert [line["record"]["id"] for line in kept if "rejected" in line] == [2]


def test_record_count_is_logged_at_the_end_alone(caplog: pytest.LogCaptureFixture) -> None:
    """However long a stream takes, its record count is one figure, at its end."""
    caplog.set_level(logging.INFO, "singer_sdk.metrics")
    counter = sink().record_counter_metric
    counter.last_log_time -= 1_000_000
    counter.increment(7)
    assert not caplog.messages
    counter.exit()
    (message,) = caplog.messages
    assert '"value":7' in message.replace(" ", "")


def test_process_batch_does_nothing() -> None:
    """Batches are the delivery's: the SDK's own hook has nothing left to do."""
    sink().process_batch({})


def test_row_may_fill_a_request(emulator: Emulator) -> None:
    """A row that fills a request to the last byte is sent; with one byte more it is rejected."""
    frame = len(b'{"records":[{"id":1,"name":""}]}')
    load(emulator, schema(), record(id=1, name="x" * (1000 - frame)), batch_size_bytes=1000)
    (sent,) = emulator.log.of("post_rows")
    assert sent.request_bytes == 1000
    with pytest.raises(
        Exception, match="too_large: it is 987 bytes, more than one request of 1,000 may hold"
    ):
        load(emulator, schema(), record(id=1, name="x" * (1001 - frame)), batch_size_bytes=1000)


def test_stream_without_rows_is_made(emulator: Emulator) -> None:
    """A stream that has a SCHEMA and no record gets its dataset, and no request more."""
    load(emulator, schema(), state(at=1))
    assert [dataset.title for dataset in emulator.store.datasets()] == ["orders"]
    assert not emulator.log.of("post_rows")


def test_changed_keys_do_not_matter_to_append_only(emulator: Emulator) -> None:
    """With `append-only` a tap may change its keys: the dataset has none."""
    load(emulator, schema(), record(id=1), schema(keys=["name"]), record(id=2), load_method="append-only")
    assert len(stored(emulator)) == 2


def test_wide_stream_is_warned_of(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """A stream of more columns than Databox may take loads, with one warning of what each depth makes."""
    deep = {str(n): {"type": "object", "properties": {str(m): {} for m in range(51)}} for n in range(2)}
    lines = (schema(id={}, **deep), record(id="1"), schema(id={}, more={}, **deep), record(id="2"))
    load(emulator, *lines, load_method="append-only")
    reported = [entry.getMessage() for entry in caplog.records if "columns" in entry.getMessage()]
    assert reported == [
        "Stream 'orders' has 103 columns, and Databox may take no more than 100 of a dataset. A smaller "
        "flattening_max_depth makes fewer: 3 with 0."
    ]
    assert len(stored(emulator)) == 2


def test_wide_flat_stream_is_warned_of(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    """Where no depth makes fewer columns, the warning says what else does."""
    load(emulator, schema(id={}, **{f"c{number}": {} for number in range(100)}))
    assert "than 100 of a dataset. Deselect properties in the tap." in caplog.text
    caplog.clear()
    load(emulator, schema("narrow", id={}, **{f"c{number}": {} for number in range(99)}))
    assert "of a dataset" not in caplog.text
