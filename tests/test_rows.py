"""Facts on how records become rows: values, keys, objects, arrays, and what makes a record bad."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.records.columns import ColumnError, Flattening, columns
from target_databox.records.modern import modern
from target_databox.records.rows import BadRecordError, RowEncoder

DECODER = msgspec.json.Decoder(float_hook=Decimal)
STREAM = {
    "properties": {
        "id": {"type": "integer"},
        "name": {"type": ["string", "null"]},
        "amount": {"type": "number"},
        "active": {"type": "boolean"},
        "address": {
            "type": ["object", "null"],
            "properties": {
                "city": {"type": "string"},
                "geo": {
                    "type": "object",
                    "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
                },
            },
        },
        "metadata": {"type": ["null", "object"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "lines": {"type": "array", "items": {"type": "object"}},
        "anything": {},
    }
}


def encoder_of(
    schema: dict[str, Any], key_properties: tuple[str, ...] | list[str] = (), **options: Any
) -> RowEncoder:
    """The encoder of a schema."""
    whole = modern(schema)
    found = columns(whole, key_properties=key_properties, **options)
    return RowEncoder(whole, found, key_properties, **options)


def row_text(record_text: str, schema: dict[str, Any] | None = None, **options: Any) -> str:
    """The row of a record, both as JSON text."""
    encoder = encoder_of(STREAM if schema is None else schema, **options)
    return encoder.encode(DECODER.decode(record_text)).body.decode()


def problem(record: dict[str, Any], schema: dict[str, Any] | None = None, **options: Any) -> BadRecordError:
    """What is wrong with a record."""
    with pytest.raises(BadRecordError) as caught:
        encoder_of(STREAM if schema is None else schema, **options).encode(record)
    return caught.value


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ('{"id":1,"name":null}', '{"id":1,"name":null}'),
        ("{}", "{}"),
        ('{"amount":1.10}', '{"amount":1.10}'),
        (
            '{"amount":0.1000000000000000055511151231257827}',
            '{"amount":0.1000000000000000055511151231257827}',
        ),
        ('{"amount":1e400}', '{"amount":1E+400}'),
        ('{"id":123456789012345678901234567890}', '{"id":123456789012345678901234567890}'),
        ('{"name":"Zoë \\u2028 \\"x\\""}', '{"name":"Zoë \u2028 \\"x\\""}'),
        ('{"name":"NaN and Infinity","amount":1.5}', '{"name":"NaN and Infinity","amount":1.5}'),
        ('{"name":"2024/01/31"}', '{"name":"2024/01/31"}'),
        ('{"unknown":"kept","more":[1]}', '{"unknown":"kept","more":[1]}'),
        ('{"active":true}', '{"active":"true"}'),
        ('{"unknown":false}', '{"unknown":"false"}'),
        (
            '{"address":{"city":"Lviv","geo":{"lat":49.80}}}',
            '{"address__city":"Lviv","address__geo__lat":49.80}',
        ),
        ('{"address":null}', '{"address__city":null,"address__geo__lat":null,"address__geo__lon":null}'),
        ('{"address":{"geo":null}}', '{"address__geo__lat":null,"address__geo__lon":null}'),
        ('{"address":{}}', "{}"),
        ('{"address":{"new":{"x":1}}}', '{"address__new__x":1}'),
        (
            '{"metadata":{"order":"7","deep":{"x":true}}}',
            '{"metadata__order":"7","metadata__deep__x":"true"}',
        ),
        ('{"metadata":null}', "{}"),
        ('{"unknown":{"a":1.50}}', '{"unknown__a":1.50}'),
        ('{"tags":["a",1,2.50,true,null]}', '{"tags":["a",1,2.50,"true",null]}'),
        ('{"tags":[]}', '{"tags":[]}'),
        ('{"tags":[["a"]]}', '{"tags":"[[\\"a\\"]]"}'),
        (
            '{"lines":[{"p":1.10,"n":"é","b":true}]}',
            '{"lines":"[{\\"p\\":1.10,\\"n\\":\\"é\\",\\"b\\":true}]"}',
        ),
        ('{"lines":[]}', '{"lines":"[]"}'),
        ('{"lines":null}', '{"lines":null}'),
        ('{"anything":5}', '{"anything":"5"}'),
        ('{"anything":1.50}', '{"anything":"1.50"}'),
        ('{"anything":true}', '{"anything":"true"}'),
        ('{"anything":{"a":1.50}}', '{"anything":"{\\"a\\":1.50}"}'),
        ('{"anything":["a",1]}', '{"anything":["a",1]}'),
        ('{"anything":null}', '{"anything":null}'),
        ('{"name":{"a":1}}', '{"name":"{\\"a\\":1}"}'),
    ],
)
def test_values_go_out_as_promised(record: str, row: str) -> None:
    """Digits, nulls and absences are kept, objects are spread, and what can't be a column is JSON text."""
    assert row_text(record) == row


@pytest.mark.parametrize(
    ("boolean_format", "row"),
    [
        ("text", {"b": "true", "list": ["false"], "x__y": "true"}),
        ("number", {"b": 1, "list": [0], "x__y": 1}),
        ("boolean", {"b": True, "list": [False], "x__y": True}),
    ],
)
def test_booleans_follow_their_setting(boolean_format: Any, row: dict[str, Any]) -> None:
    """Booleans go out in the chosen form, alone, in arrays and in objects."""
    schema = {"properties": {"b": {"type": "boolean"}}}
    text = row_text('{"b":true,"list":[false],"x":{"y":true}}', schema, boolean_format=boolean_format)
    assert json.loads(text) == row


def test_booleans_in_json_text_stay_json() -> None:
    """Inside JSON text a boolean is JSON's own, whatever the setting."""
    row = row_text('{"lines":[{"b":true}]}', boolean_format="number")
    assert row == '{"lines":"[{\\"b\\":true}]"}'


@pytest.mark.parametrize(
    ("flattening", "row"),
    [
        (Flattening(enabled=False), {"address": '{"city":"Lviv","geo":{"lat":1.0}}', "new": '{"a":{"b":1}}'}),
        (Flattening(max_depth=0), {"address": '{"city":"Lviv","geo":{"lat":1.0}}', "new": '{"a":{"b":1}}'}),
        (
            Flattening(max_depth=1),
            {"address__city": "Lviv", "address__geo": '{"lat":1.0}', "new__a": '{"b":1}'},
        ),
        (Flattening(separator="."), {"address.city": "Lviv", "address.geo.lat": 1.0, "new.a.b": 1}),
    ],
)
def test_depth_and_separator_are_kept(flattening: Flattening, row: dict[str, Any]) -> None:
    """Objects are spread as deep as the settings say; what is deeper is JSON text."""
    record = '{"address":{"city":"Lviv","geo":{"lat":1.0}},"new":{"a":{"b":1}}}'
    assert json.loads(row_text(record, flattening=flattening)) == row


def test_long_names_are_shortened_everywhere() -> None:
    """Declared and unknown properties of any depth get the same shortened names as columns do."""
    schema = {"properties": {"customerAddressOfBilling": {"type": "string"}}}
    flattening = Flattening(max_key_length=12)
    row = row_text(
        '{"customerAddressOfBilling":"a","otherLongPropertyName":"b"}', schema, flattening=flattening
    )
    assert json.loads(row) == {"caob": "a", "olpn": "b"}


def test_record_is_left_as_it_is() -> None:
    """Encoding changes nothing in the record, which may have to be written to the rejects file."""
    record = {"id": 1, "active": True, "address": {"city": "x"}, "anything": 5, "tags": [True]}
    copy = json.loads(json.dumps(record))
    encoder_of(STREAM).encode(record)
    assert record == copy


@pytest.mark.parametrize("other", [Decimal("1.00"), Decimal("1E+0"), 1.0])
def test_equal_numbers_are_one_key(other: Any) -> None:
    """A key is compared by value: 1, 1.0 and 1.00 are one."""
    encoder = encoder_of({"properties": {"id": {"type": "number"}}}, key_properties=["id"])
    one = encoder.encode({"id": 1}).key
    same = encoder.encode({"id": other}).key
    assert one == same
    assert hash(one) == hash(same)


def test_float_keys_equal_their_text() -> None:
    """A float of a stream map is the number that is written for it."""
    encoder = encoder_of({"properties": {"id": {"type": "number"}}}, key_properties=["id"])
    assert encoder.encode({"id": 0.1}).key == encoder.encode({"id": Decimal("0.10")}).key


@pytest.mark.parametrize("boolean_format", ["text", "boolean"])
def test_kinds_of_keys_differ(boolean_format: Any) -> None:
    """The number 1, true and the text 1 are three keys, where nothing makes them text."""
    encoder = encoder_of({"type": "object"}, key_properties=["id"], boolean_format=boolean_format)
    assert len({encoder.encode({"id": value}).key for value in (1, True, "1")}) == 3


def test_keys_are_what_is_sent() -> None:
    """Values that are sent alike are one key, because Databox sees what is sent."""
    mixed = encoder_of({"properties": {"id": {}}}, key_properties=["id"])
    assert mixed.encode({"id": 1}).key == mixed.encode({"id": "1"}).key
    numbers = encoder_of({"properties": {"id": {}}}, key_properties=["id"], column_types={"id": "number"})
    assert numbers.encode({"id": "01"}).key == numbers.encode({"id": 1}).key


def test_keys_keep_their_order() -> None:
    """A key has the values of the key properties in their order."""
    encoder = encoder_of(STREAM, key_properties=["name", "id"])
    assert encoder.encode({"id": 7, "name": "x", "amount": 1}).key == ("x", 7)
    assert encoder.key_columns == ("name", "id")


def test_keys_may_be_flattened_columns() -> None:
    """A column within an object can be the key."""
    encoder = encoder_of(STREAM, key_properties=["address__city"])
    assert encoder.encode({"address": {"city": "Lviv"}}).key == ("Lviv",)
    with pytest.raises(BadRecordError, match="'address__city' is null"):
        encoder.encode({"address": None})


def test_streams_without_keys_have_none() -> None:
    """Rows of a stream without key properties have no key."""
    assert encoder_of(STREAM).encode({"id": 1}).key is None


def test_unknown_keys_are_refused() -> None:
    """A key property that can be no column is found before the first record."""
    with pytest.raises(ColumnError, match="nope"):
        encoder_of({**STREAM, "additionalProperties": False}, key_properties=["nope"])


@pytest.mark.parametrize(
    ("record", "options", "code", "words"),
    [
        ({}, {"key_properties": ["id"]}, "key_missing", "'id' is missing"),
        ({"id": None}, {"key_properties": ["id"]}, "key_null", "'id' is null"),
        ({"id": 1}, {"key_properties": ["id", "name"]}, "key_missing", "'name'"),
        ({"id": " "}, {"key_properties": ["id"], "column_types": {"id": "number"}}, "key_null", "'id'"),
        ({"tags": ["a"]}, {"key_properties": ["tags"]}, "key_not_scalar", "'tags'"),
        ({"amount": float("nan")}, {}, "nan", "'amount'"),
        ({"amount": float("-inf")}, {}, "nan", "'amount'"),
        ({"amount": Decimal("NaN")}, {}, "nan", "'amount'"),
        ({"amount": Decimal("sNaN")}, {}, "nan", "'amount'"),
        ({"amount": Decimal("-Infinity")}, {}, "nan", "'amount'"),
        ({"tags": [1, float("nan")]}, {}, "nan", "'tags'"),
        ({"tags": [Decimal("Infinity")]}, {}, "nan", "'tags'"),
        ({"lines": [{"a": [Decimal("NaN")]}]}, {}, "nan", "'lines'"),
        ({"anything": {"a": float("inf")}}, {}, "nan", "'anything'"),
        ({"address": {"geo": {"lat": float("nan")}}}, {}, "nan", "'address__geo__lat'"),
        ({"id": float("nan")}, {"column_types": {"id": "number"}}, "nan", "'id'"),
        ({"name": "a\ud800"}, {}, "unencodable", "'name' holds a lone surrogate"),
        ({"a\ud800": "x"}, {}, "unencodable", "surrogate"),
        ({"lines": [{"a\udfff": 1}]}, {}, "unencodable", "'lines'"),
        ({"tags": ["\ud800"]}, {}, "unencodable", "'tags'"),
        ({"name": b"secret"}, {}, "unencodable", "'name' holds bytes"),
        ({"lines": [[b"secret"]]}, {}, "unencodable", "'lines' holds bytes"),
        ({"name": object()}, {}, "unencodable", "'name'"),
        ({"address": {"city": "a"}, "address__city": "b"}, {}, "column_clash", "'address__city'"),
        ({"address": None, "address__city": "b"}, {}, "column_clash", "'address__city'"),
        ({"address__city": "b", "address": None}, {}, "column_clash", "'address__city'"),
        ({"x": {"y": 1}, "x__y": 2}, {}, "column_clash", "'x__y'"),
        ({"id": "secret"}, {"column_types": {"id": "number"}}, "not_a_number", "'id' is not a plain number"),
        ({"day": "secret"}, {"column_types": {"day": "datetime"}}, "not_a_datetime", "'day'"),
        ({"day": "secret"}, {"column_types": {"day": "datetime:%d.%m.%Y"}}, "not_a_datetime", "%d.%m.%Y"),
        ({"lines": [{"a": 1}]}, {"column_types": {"lines": "number"}}, "not_a_number", "'lines'"),
    ],
)
def test_bad_records_are_reported(
    record: dict[str, Any], options: dict[str, Any], code: str, words: str
) -> None:
    """A record that can't be a row is refused with a code and the column's name, never with a value."""
    error = problem(record, **options)
    assert error.code == code
    assert words in error.message
    assert "secret" not in error.message
    assert error.message.endswith(".")
    error.message.encode()


def test_deep_nesting_is_a_bad_record() -> None:
    """A value that is nested beyond what can be encoded is refused, not a crash."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert problem({"tags": value}).code == "too_deep"


def test_overrides_convert_values() -> None:
    """Columns with a type in the settings get values of that type, unknown and nested ones too."""
    types = {
        "id": "number", "day": "datetime:%d.%m.%Y", "at": "datetime", "amount": "string",
        "address__geo__lat": "string", "extra__n": "number", "active": "number", "tags": "string",
    }  # fmt: skip
    record = (
        '{"id":" 007 ","day":"31.01.2024","at":"2024/01/31 10:15","amount":1.50,'
        '"address":{"geo":{"lat":2.50}},"extra":{"n":"1e3"},"active":true,"tags":["a"]}'
    )
    assert row_text(record, column_types=types) == (
        '{"id":7,"day":"2024-01-31","at":"2024-01-31T10:15","amount":"1.50",'
        '"address__geo__lat":"2.50","extra__n":1E+3,"active":1,"tags":"[\\"a\\"]"}'
    )


def test_objects_with_a_type_are_one_column() -> None:
    """An object that is given the type string is not spread."""
    row = row_text('{"address":{"city":"x"},"metadata":{"a":1}}', column_types={"address": "string"})
    assert row == '{"address":"{\\"city\\":\\"x\\"}","metadata__a":1}'
    row = row_text('{"new":{"a":1}}', column_types={"new": "string"})
    assert row == '{"new":"{\\"a\\":1}"}'


def test_python_values_of_stream_maps_are_understood() -> None:
    """Dates, times and ids that a stream map makes go out as ISO 8601 and as text."""
    utc, ident = dt.timezone.utc, uuid.UUID(int=7)
    record = {
        "at": dt.datetime(2024, 1, 31, 10, 15, tzinfo=utc),
        "naive": dt.datetime(2024, 1, 31, 10, 15),
        "day": dt.date(2024, 1, 31),
        "time": dt.time(10, 15),
        "ident": ident,
        "anything": dt.date(2024, 1, 31),
        "amount": 0.5,
    }
    row = encoder_of(STREAM, key_properties=["amount"]).encode(record)
    assert json.loads(row.body) == {
        "at": "2024-01-31T10:15:00Z",
        "naive": "2024-01-31T10:15:00",
        "day": "2024-01-31",
        "time": "10:15:00",
        "ident": str(ident),
        "anything": "2024-01-31",
        "amount": 0.5,
    }
    schema = {"properties": {"at": {"type": "string", "format": "date-time"}}}
    key = encoder_of(schema, key_properties=["at"]).encode({"at": record["at"]}).key
    assert key == ("2024-01-31T10:15:00Z",)


def test_recursive_schemas_end() -> None:
    """A schema that holds itself is spread as the record comes, down to the depth."""
    schema = {
        "definitions": {
            "node": {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "next": {"$ref": "#/definitions/node"}},
            }
        },
        "properties": {"first": {"$ref": "#/definitions/node"}},
    }
    row = row_text('{"first":{"n":1,"next":{"n":2,"next":{"n":3}}}}', schema)
    assert json.loads(row) == {"first__n": 1, "first__next__n": 2, "first__next__next__n": 3}


# All characters, lone surrogates among them.
TEXT = st.text(st.characters(), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | TEXT | st.decimals() | st.floats()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
BAD = {"column_clash", "unencodable", "nan"}


def outcome(encoder: RowEncoder, record: dict[str, Any]) -> bytes | str:
    """The body of a record's row, or the code of what is wrong with it."""
    try:
        return encoder.encode(record).body
    except BadRecordError as error:
        return error.code


@given(st.dictionaries(TEXT, VALUES, max_size=6))
def test_rows_are_flat_json(record: dict[str, Any]) -> None:
    """Whatever a record holds, its row is an object of scalars and arrays of scalars, or it is bad."""
    body = outcome(encoder_of(STREAM), record)
    if isinstance(body, str):
        assert body in BAD
        return
    for value in json.loads(body, parse_constant=pytest.fail).values():
        for inner in value if isinstance(value, list) else [value]:
            assert not isinstance(inner, (dict, list, bool))


@given(st.dictionaries(TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.decimals(), max_size=8))
def test_plain_records_lose_nothing(record: dict[str, Any]) -> None:
    """A flat record without a schema arrives with every name and every digit."""
    body = outcome(encoder_of({}, boolean_format="boolean"), record)
    if isinstance(body, str):
        assert body in BAD
        return
    read = DECODER.decode(body)
    assert list(read.items()) == list(record.items())
    assert [isinstance(value, bool) for value in read.values()] == [
        isinstance(value, bool) for value in record.values()
    ]


LONG_NAME = "first_" + "long_name_" * 30


@given(
    st.dictionaries(st.text("ab", max_size=2) | st.just(LONG_NAME), SCALARS | VALUES, max_size=4),
    st.sampled_from([Flattening(), Flattening(max_key_length=2), Flattening(enabled=False)]),
    st.sampled_from([None, LONG_NAME]),
)
def test_shortcut_equals_the_long_way(
    record: dict[str, Any], flattening: Flattening, declared: str | None
) -> None:
    """The shortcut for plain records gives the rows that the general way gives, and the same names."""
    schema = {"properties": {name: {"type": "string"} for name in ("a", "b", "aa", declared) if name}}
    assert outcome(encoder_of(schema, flattening=flattening), record) == outcome(
        encoder_of(schema, flattening=flattening, column_types={"never": "number"}), record
    )


@given(
    st.dictionaries(
        st.sampled_from(["id", "name", "amount", "active", "other"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.text()
        | st.decimals(allow_nan=False, allow_infinity=False),
    )
)
def test_json_needs_no_nan_search(record: dict[str, Any]) -> None:
    """A record that is known to be JSON becomes the same row as one in which NaN is looked for."""
    encoder = encoder_of(STREAM)
    assert encoder.encode(record, is_json=True).body == encoder.encode(record).body


def test_number_text_stays_searched() -> None:
    """Text that a number column makes a NaN of is a bad value, in records of JSON too."""
    encoder = encoder_of({"properties": {"a": {"type": "string"}}}, column_types={"a": "number"})
    with pytest.raises(BadRecordError, match="'a'"):
        encoder.encode({"a": "NaN"}, is_json=True)


@pytest.mark.parametrize(
    ("boolean_format", "row"),
    [("text", '{"a":"true","b":"false","n":1}'), ("number", '{"a":1,"b":0,"n":1}')],
)
def test_booleans_of_flat_records_are_written(boolean_format: Any, row: str) -> None:
    """The short way of records with nothing but plain values writes booleans as the long way does."""
    schema = {"properties": {"a": {"type": "boolean"}, "b": {"type": "boolean"}}}
    assert row_text('{"a":true,"b":false,"n":1}', schema, boolean_format=boolean_format) == row


def test_several_keys_come_with_the_row() -> None:
    """A row of several key columns has its body, and Decimals among its keys stay exact."""
    schema = {"properties": {"a": {"type": "boolean"}, "b": {"type": "number"}, "c": {"type": "string"}}}
    encoder = encoder_of(schema, key_properties=["b", "a"], boolean_format="boolean")
    row = encoder.encode({"a": True, "b": Decimal("0.10"), "c": "x"})
    assert row.body == b'{"a":true,"b":0.10,"c":"x"}'
    assert row.key == (Decimal("0.1"), ("boolean", True))
    plain = encoder_of(schema, key_properties=["b", "c"]).encode({"b": 1, "c": "x"})
    assert (plain.key, plain.body) == ((1, "x"), b'{"b":1,"c":"x"}')


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ('{"b":1,"a":{"b":2}}', '{"b":1,"a__b":2}'),
        ('{"a":5}', '{"a":5}'),
        ('{"a":{"o":5}}', '{"a__o":5}'),
        ('{"flat":{"name":{"x":1}}}', '{"flat__name":"{\\"x\\":1}"}'),
    ],
)
def test_values_at_unexpected_places_keep_their_column(record: str, row: str) -> None:
    """A value in place of an object, or an object in place of a value, goes under the path's name."""
    inner = {"b": {"type": "number"}, "o": {"type": "object", "properties": {"c": {"type": "string"}}}}
    schema = {"properties": {"a": {"type": "object", "properties": inner}, "flat__name": {"type": "string"}}}
    assert row_text(record, schema) == row


@pytest.mark.parametrize("name", ["a", LONG_NAME])
@pytest.mark.parametrize("flattening", [Flattening(), Flattening(max_key_length=20)])
def test_short_ways_shorten_names_too(name: str, flattening: Flattening) -> None:
    """A plain record's names are shortened where they are too long, declared or not."""
    schema = {"properties": {name: {"type": "number"}}}
    assert row_text(f'{{"{name}":1}}', schema, flattening=flattening) == f'{{"{flattening.name([name])}":1}}'
    row = row_text(f'{{"{name}":1,"b":2,"c{LONG_NAME}":3}}', schema, flattening=flattening)
    short = flattening.name(["c" + LONG_NAME])
    assert len(short) < 100
    assert row == f'{{"{flattening.name([name])}":1,"b":2,"{short}":3}}'


@pytest.mark.parametrize(
    ("record", "row"),
    [
        ('{"a":{"b":{"c":1}}}', '{"a__b__c":1}'),
        ('{"a":{"b":{"c":1}},"a__b":2}', '{"a__b__c":1,"a__b":"2"}'),
        ('{"a":{"b":null},"a__b":{"x":1}}', '{"a__b__c":null,"a__b":"{\\"x\\":1}"}'),
        ('{"a":{"b":3}}', '{"a__b":"3"}'),
    ],
)
def test_objects_may_share_a_columns_name(record: str, row: str) -> None:
    """An object that the schema spreads is spread, though another property is a column of its name."""
    schema = {
        "properties": {
            "a": {
                "type": "object",
                "properties": {"b": {"type": "object", "properties": {"c": {"type": "number"}}}},
            },
            "a__b": {},
        }
    }
    assert row_text(record, schema) == row


def test_deep_open_objects_bring_no_column() -> None:
    """An object without named members is spread as deep as the settings say, and brings nothing as null."""
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(7):
        schema = {"type": "object", "properties": {"a": schema}}
    wrapped = '{"a":' * 6
    name = "__".join("a" * 7)
    deep = Flattening(max_depth=7)
    assert row_text(wrapped + '{"a":{"x":1}}' + "}" * 6, schema, flattening=deep) == f'{{"{name}__x":1}}'
    assert row_text(wrapped + '{"a":null}' + "}" * 6, schema, flattening=deep) == "{}"


def test_converted_columns_that_are_unlisted_are_known() -> None:
    """Columns that were converted and are not the schema's are known after a record brought them."""
    types = {"id": "string", "x__y": "number", "n__o": "number", "never": "number"}
    schema = {"properties": {"id": {"type": "integer"}, "any": {}, "n__o": {"type": "number"}}}
    encoder = encoder_of(schema, column_types=types)
    assert encoder.unlisted == set()
    encoder.encode({"id": 1, "any": 2, "other": 3, "x": {"y": "4"}, "n": {"o": "5"}})
    assert encoder.unlisted == {"x__y"}


def test_open_objects_stay_whole_without_flattening() -> None:
    """With flattening off an object without named members is JSON text as well."""
    schema = {"properties": {"o": {"type": "object"}}}
    assert row_text('{"o":{"a":1}}', schema, flattening=Flattening(enabled=False)) == '{"o":"{\\"a\\":1}"}'


def test_rows_do_not_share_memory() -> None:
    """A row keeps its bytes while longer and shorter ones are encoded, also after a bad one."""
    encoder = encoder_of({"properties": {"a": {"type": "string"}}})
    texts = ["x" * length for length in (1, 5000, 3, 700, 0)]
    rows = [encoder.encode({"a": text}).body for text in texts]
    with pytest.raises(BadRecordError):
        encoder.encode({"a": "y" * 9 + "\ud800"})
    rows.append(encoder.encode({"a": "z"}).body)
    assert rows == [msgspec.json.encode({"a": text}) for text in [*texts, "z"]]


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("2024-01-31T10:00:00Z", "2024-01-31T10:00:00Z"),
        ("2024-01-31", "2024-01-31"),
        ("2024-01-31T10:00:00.123456789+02:00", "2024-01-31T10:00:00.123456789+02:00"),
        ("2024-01-31 10:00:00", "2024-01-31T10:00:00"),
        ("2024/01/31", "2024-01-31"),
        ("20240131T101010Z", "2024-01-31T10:10:10Z"),
        ("next Tuesday", "next Tuesday"),
        ("", ""),
    ],
)
def test_declared_dates_go_out_as_iso(given: str, written: str) -> None:
    """A date of the schema is written anew only where it is understood and not ISO 8601 already."""
    schema = {"properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}}
    record = {"id": 1, "at": given}
    row = encoder_of(schema, key_properties=["at"]).encode(record)
    assert msgspec.json.decode(row.body)["at"] == written
    assert row.key == (written,)
    assert record["at"] == given
