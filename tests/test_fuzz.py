"""Arbitrary schemas, records, bytes and streams: each is loaded, rejected or refused in words of our own."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, reject, settings
from hypothesis import strategies as st

from target_databox.failures import is_explained
from target_databox.records.columns import ColumnError
from target_databox.records.columns import columns as columns_of
from target_databox.records.conversions import ENCODER
from target_databox.records.modern import modern
from target_databox.records.rows import BadRecordError, RowEncoder
from target_databox.records.validation import RecordValidator, SchemaError
from target_databox.rehearsal.preview import PreviewTarget
from target_databox.singer.messages import InputError, UnreadableRecordError, message
from target_databox.target import TargetDatabox
from tests.command import QUICK, record, schema, state, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.emulator import Emulator

# Few where every change is tested; a failing one is reported, and is the same every time.
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
MANY_EXAMPLES = 150
DIGITS = msgspec.json.Decoder(float_hook=Decimal)

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

names = st.sampled_from(["id", "a", "b", "a__b", "A", " a", "", "$ref", "ü", "\x00", "type"]) | st.text(
    max_size=6
)
numbers = (
    st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from([Decimal("1e999"), Decimal("-0.0"), Decimal("0.10"), 2**70])
)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=20)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
records = st.dictionaries(names, values, max_size=6)

types = st.sampled_from(["string", "number", "integer", "boolean", "object", "array", "null"])
plain_nodes = st.fixed_dictionaries(
    {},
    optional={
        "type": types | st.lists(types, max_size=3),
        "format": st.sampled_from(["date-time", "date", "time", "uuid"]),
        "enum": st.lists(scalars, max_size=3),
        "const": scalars,
        "$ref": st.sampled_from(
            ["#", "#/properties/a", "#/$defs/a", "#/nowhere", "#/properties/a/items/0", "##"]
        ),
        "minimum": numbers,
        "maxLength": st.integers(-1, 9),
        "multipleOf": numbers,
        "pattern": st.sampled_from(["^a", "(", "\\d+", "(?=a)"]),
        "required": st.lists(names, max_size=2),
        "additionalProperties": st.booleans(),
    },
)


def _deeper(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    branches = st.lists(inner, max_size=3)
    members = st.dictionaries(names, inner, max_size=4)
    parts = {"properties": members, "items": inner | branches, "$defs": members, "not": inner}
    unions = {"anyOf": branches, "oneOf": branches, "allOf": branches}
    return st.builds(
        lambda one, other: {**one, **other},
        plain_nodes,
        st.fixed_dictionaries({}, optional={**parts, **unions}),
    )


nodes = st.recursive(plain_nodes | st.booleans(), _deeper, max_leaves=8)
# Parts that refer to each other over and over, for the same value and for parts of it.
KNOT = 8
references = st.sampled_from(["#", *(f"#/$defs/{part}" for part in range(KNOT))]).map(
    lambda place: {"$ref": place}
)
knots = st.lists(
    st.dictionaries(
        st.sampled_from(["allOf", "anyOf", "oneOf"]),
        st.lists(references, min_size=3, max_size=KNOT),
        min_size=1,
    )
    | st.builds(
        lambda keyword, part: {keyword: part},
        st.sampled_from(["items", "not", "additionalProperties"]),
        references,
    ),
    min_size=KNOT,
    max_size=KNOT,
).map(lambda parts: {"$defs": {str(number): part for number, part in enumerate(parts)}, **parts[0]})
# A schema as a SCHEMA message may bring it: an object with properties, whatever else it holds.
schemas = st.builds(
    lambda whole, members: {**whole, "properties": members},
    st.dictionaries(names, values, max_size=2)
    | plain_nodes
    | _deeper(nodes).filter(lambda node: isinstance(node, dict))
    | knots,
    st.dictionaries(names, nodes | values | references, max_size=5),
)


@st.composite
def keyed_schemas(draw: st.DrawFn) -> tuple[dict[str, Any], list[str]]:
    """A schema, and key properties that are mostly among its own."""
    node = draw(schemas)
    members = st.sampled_from(sorted(node["properties"])) if node["properties"] else names
    return node, draw(st.lists(members, max_size=2, unique=True) | st.lists(names, max_size=1))


def encoder_of(node: dict[str, Any], key_properties: list[str], **options: Any) -> RowEncoder:
    """The encoder for a schema; the example ends where the schema can't become columns."""
    whole = modern(node)
    try:
        found = columns_of(whole, key_properties=key_properties, **options)
    except ColumnError:
        reject()
    return RowEncoder(whole, found, key_properties, **options)


@fuzzed
@given(keyed_schemas(), records, st.sampled_from(["text", "number", "boolean"]), st.booleans())
@example(({"properties": {"a": {"$ref": "#"}}}, []), {"a": {"a": {"a": 1}}}, "text", False)
def test_any_record_is_a_row_or_bad(
    keyed_schema: tuple[dict[str, Any], list[str]], values_of: dict[str, Any], booleans: Any, is_json: bool
) -> None:
    """Whatever schema and record come, there is a row with its key columns, or one of our own errors."""
    node, key_properties = keyed_schema
    encoder = encoder_of(node, key_properties, boolean_format=booleans)
    before = repr(values_of)
    try:
        row = encoder.encode(values_of, is_json=is_json)
    except BadRecordError:
        return
    finally:
        assert repr(values_of) == before
    decoded = DIGITS.decode(row.body)
    assert isinstance(decoded, dict)
    assert json.loads(row.body) is not None
    assert set(encoder.key_columns) <= decoded.keys()
    assert (row.key is None) == (not key_properties)
    assert row.key is None or len(row.key) == len(key_properties)
    hash(row.key)


@fuzzed
@given(st.dictionaries(st.text(min_size=1, max_size=6), numbers, max_size=6))
def test_numbers_keep_their_digits(values_of: dict[str, Any]) -> None:
    """A number of a number column goes out with the digits with which it came."""
    line = ENCODER.encode({"type": "RECORD", "stream": "orders", "record": values_of})
    given_texts = _number_texts(line)
    node = {"properties": {name: {"type": "number"} for name in values_of}}
    encoder = encoder_of(node, [])
    row = encoder.encode(message(line)["record"], is_json=True)
    assert _number_texts(b'{"record":' + row.body + b"}") == given_texts


def _number_texts(line: bytes) -> dict[str, Decimal]:
    """The numbers of a record, as tuples of digits and exponent."""
    read: dict[str, Decimal] = json.loads(line, parse_int=Decimal, parse_float=Decimal)["record"]
    return {name: value.as_tuple() for name, value in read.items()}  # type: ignore[misc]


@fuzzed
@given(schemas, records)
def test_any_record_is_valid_or_reported(node: dict[str, Any], values_of: dict[str, Any]) -> None:
    """Whatever schema and record come, the record fits, the misfit is reported, or the schema is refused."""
    try:
        validator = RecordValidator(modern(node))
    except SchemaError:
        return
    assert validator.is_valid(values_of) == (validator.problem(values_of) is None)


# Every keyword of every draft, with what belongs there and what does not.
places = st.sampled_from(
    [
        "#",
        "#/properties/a",
        "#/definitions/a",
        "#/$defs/a/items",
        "#a",
        "a.json",
        "#/x",
        "http://a/b#/c",
        "##",
        "%",
    ]
)
odd = st.none() | st.booleans() | numbers | st.sampled_from(["", "a", "^a", "(", "object", "any", "integer"])
any_types = (
    types | st.sampled_from(["any", "date", "String"]) | st.none() | st.lists(types | st.none(), max_size=3)
)
LOOSE: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("$ref", "$dynamicRef", "$recursiveRef"), places | odd),
    **dict.fromkeys(("$id", "id", "$anchor", "$dynamicAnchor"), places | st.just("a") | odd),
    **dict.fromkeys(("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"), odd),
    **dict.fromkeys(("maxLength", "minItems", "maxProperties", "uniqueItems", "format", "pattern"), odd),
    **dict.fromkeys(("const", "enum", "default", "examples"), odd | st.lists(odd, max_size=2)),
    **dict.fromkeys(("required", "dependentRequired"), odd | st.lists(names, max_size=3)),
    "type": any_types,
    "$schema": st.sampled_from(
        ["http://json-schema.org/draft-04/schema#", "https://json-schema.org/draft/2019-09/schema", "x", None]
    ),
}


def _loose(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    inner = inner | odd
    several = st.lists(inner, max_size=3) | inner
    named = st.dictionaries(names, inner, max_size=3) | odd | st.just([])
    held = {
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems", "items", "additionalItems"), several),
        **dict.fromkeys(("not", "if", "then", "else", "contains", "propertyNames"), inner),
        **dict.fromkeys(("additionalProperties", "unevaluatedProperties", "unevaluatedItems"), inner),
        **dict.fromkeys(
            ("properties", "patternProperties", "definitions", "$defs", "dependencies", "dependentSchemas"),
            named,
        ),
    }
    chosen = st.lists(st.sampled_from(sorted({**LOOSE, **held})), max_size=5, unique=True)
    return chosen.flatmap(lambda keys: st.fixed_dictionaries({key: {**LOOSE, **held}[key] for key in keys}))


loose_schemas = st.recursive(st.just({}) | st.booleans(), _loose, max_leaves=12)


@pytest.mark.usefixtures("quiet")
def test_any_schema_is_loaded_or_refused_where_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever schema, keys, maps and records come, only our own errors end it, where the SCHEMA stands."""

    @settings(fuzzed, max_examples=3 * EXAMPLES)
    @given(
        loose_schemas | schemas,
        st.lists(names, max_size=2),
        st.lists(records, min_size=1, max_size=2),
        st.booleans(),
        st.sampled_from(
            [{}, {"orders": {"a": "a", "new": "'x'"}}, {"orders": {"id": None, "__key_properties__": []}}]
        ),
    )
    @example({"properties": {"a": {"items": {"$ref": "#/x"}}}}, [], [{"a": [1]}], True, {})
    def is_well(whole: Any, keys: list[str], some: list[Any], validate: bool, maps: dict[str, Any]) -> None:
        declared = {"type": "SCHEMA", "stream": "orders", "schema": whole, "key_properties": keys}
        lines = [declared, *({"type": "RECORD", "stream": "orders", "record": each} for each in some)]
        target = PreviewTarget(config={"validate_records": validate, "stream_maps": maps})
        failure: Exception | None = None
        try:
            target.listen(io.BytesIO(b"\n".join(map(ENCODER.encode, lines))))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 # what it may be is asserted below
            failure = error
        assert failure is None or is_explained(failure), repr(failure)
        capsys.readouterr()
        for problem in target.failed.values():
            assert problem.startswith("Line 1 of the input is a SCHEMA of stream 'orders' ")

    is_well()


GOOD_LINES = [
    line
    for number in range(3)
    for line in text(record(id=number, name="é"), state(at=number), record(id=9, name=None)).splitlines()
]


@st.composite
def broken_lines(draw: st.DrawFn) -> bytes:
    """Arbitrary bytes, or a good line with some of its bytes changed, taken out or put in."""
    if draw(st.booleans()):
        return draw(st.binary(max_size=80))
    line = bytearray(draw(st.sampled_from(GOOD_LINES)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(line)))
        line[place : place + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"NaN", b"1e", b"{", b"\\ud800"])
        )
    return bytes(line)


@fuzzed
@given(broken_lines())
@example(b'{"type":"RECORD","stream":"a","record":{"a":1e99999999999999999999}}')
def test_any_line_is_a_message_or_reported(line: bytes) -> None:
    """A line is a message, a bad record of a stream, or an error of the input; nothing else is raised."""
    with suppress(UnreadableRecordError, InputError):
        assert isinstance(message(line)["type"], str)


Stream = list[bytes]


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    """Lines of a good stream, whose states count its records, with some of them spoilt."""
    lines = [text(schema()).rstrip()]
    for number in range(draw(st.integers(1, 12))):
        lines.append(text(record(id=draw(st.integers(0, 3)), name=f"row {number}")).rstrip())
        if draw(st.booleans()):
            lines.append(text(state(at=len(lines))).rstrip())
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["cut", "swap", "double", "drop", "flip", "insert", "join"])):
            case "cut":
                lines[place] = lines[place][: draw(st.integers(0, len(lines[place])))]
            case "swap":
                other = draw(st.integers(0, len(lines) - 1))
                lines[place], lines[other] = lines[other], lines[place]
            case "double":
                lines.insert(place, lines[place])
            case "drop" if len(lines) > 1:
                del lines[place]
            case "flip" if lines[place]:
                line = bytearray(lines[place])
                line[draw(st.integers(0, len(line) - 1))] ^= 1 << draw(st.integers(0, 7))
                lines[place] = bytes(line)
            case "insert":
                lines.insert(place, draw(broken_lines()))
            case "join":
                lines[place : place + 2] = [b"".join(lines[place : place + 2])]
    return b"\n".join(lines).split(b"\n")


def states_before_trouble(lines: Stream) -> tuple[list[Any], bool]:
    """The values of STATE lines before the first line that is no JSON object, and whether there is one."""
    values_found: list[Any] = []
    for line in lines:
        if not line.strip():
            continue
        try:
            decoded = json.loads(line.decode(), parse_constant=Decimal)
        except ValueError:
            return values_found, True
        if not isinstance(decoded, dict):
            return values_found, True
        if decoded.get("type") == "STATE":
            values_found.append(decoded.get("value"))
    return values_found, False


@pytest.fixture
def quiet(signals: None) -> Iterator[None]:
    """Signals go where they went before, and logs nowhere."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.usefixtures("quiet")
def test_any_stream_ends_well(emulator: Emulator, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A spoilt stream is loaded or ends with an error that is explained, and no STATE passes a bad line."""

    @settings(fuzzed, max_examples=max(30, EXAMPLES // 2))
    @given(streams())
    def ends_well(lines: Stream) -> None:
        capsysbinary.readouterr()
        config = {"api_url": emulator.url, "api_key": emulator.api_key, **QUICK, "batch_age_seconds": 0.01}
        failure: Exception | None = None
        try:
            TargetDatabox(config=config).listen(io.BytesIO(b"\n".join(lines)))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 # what it may be is asserted below
            failure = error
        assert failure is None or is_explained(failure), repr(failure)
        assert failure is None or str(failure)
        written = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
        allowed, is_spoilt = states_before_trouble(lines)
        assert not is_spoilt or failure is not None
        assert all(value in allowed for value in written), (written, allowed)
        if failure is None and allowed:
            assert written[-1:] == allowed[-1:]

    ends_well()


PROPERTIES = [name for name in globals() if name.startswith("test_")]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", PROPERTIES)
def test_many_more_examples(name: str) -> None:
    """All of it holds for many more examples."""
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--timeout",
            "360",
            f"{__file__}::{name}",
        ],
        env={**os.environ, "FUZZ_EXAMPLES": str(MANY_EXAMPLES)},
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-5000:]
