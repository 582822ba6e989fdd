"""What the target makes of every kind of message, run inside the test's process for speed."""

from __future__ import annotations

import gzip
import io
import json
import logging
import signal
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.failures import log_failure
from target_databox.interrupts import Interrupted
from target_databox.target import TargetDatabox
from tests.command import QUICK, Run, record, schema, state, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from target_databox.emulator import Emulator

    Load = Callable[..., Run]

BEFORE = (
    schema(id={"type": "integer"}, name={"type": ["string", "null"]}, ok={"type": ["boolean", "null"]}),
    record(id=1, name="a"),
    state(at=1),
)
AFTER = (record(id=2, name="b"), state(at=2))
CANARY = "canary-value"


@pytest.fixture
def load(
    emulator: Emulator, capsysbinary: pytest.CaptureFixture[bytes], caplog: pytest.LogCaptureFixture
) -> Iterator[Load]:
    """Loads messages as the command does; settings by name."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    caplog.set_level(logging.DEBUG)

    def run(*messages: dict[str, Any] | bytes, **settings: Any) -> Run:
        caplog.clear()
        capsysbinary.readouterr()
        code = 0
        try:
            config = {"api_url": emulator.url, "api_key": emulator.api_key, **QUICK, **settings}
            TargetDatabox(config=config).listen(io.BytesIO(text(*messages)))  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 # as the command does
            log_failure(logging.getLogger("target-databox"), error)
            code = 1
        reported = "".join(
            f"2026-01-01 00:00:00,000 | {entry.levelname} | x | {entry.getMessage()}\n"
            for entry in caplog.records
        )
        return Run(code, capsysbinary.readouterr().out, reported)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def stored(emulator: Emulator, title: str = "orders") -> list[dict[str, Any]]:
    """The rows of the only dataset with a title."""
    return emulator.store.rows(emulator.store.dataset_titled(title).id)


BAD_LINES = {
    "half a line": (
        b'{"type": "RECORD", "stream": "orders", "record": {"id": 7, "name": "canary-value',
        "is not valid JSON; was the tap cut off, or is this no tap's output?",
    ),
    "no object": (b'"canary-value"\n', "is not a Singer message: it has no type."),
    "unknown type": (b'{"type": "canary-value"}\n', "has a type that is not one of Singer's."),
    "no stream": (
        b'{"type":"RECORD","record":{"id":"canary-value"}}\n',
        "is a RECORD that names no stream.",
    ),
    "stream is an object": (
        b'{"type":"RECORD","stream":{"canary-value":1},"record":{"id":1}}\n',
        "is a RECORD that names no stream.",
    ),
    "record before schema": (
        b'{"type":"RECORD","stream":"other","record":{"id":"canary-value"}}\n',
        "belongs to stream 'other', which has had no SCHEMA. Check the tap.",
    ),
    "null of no stream": (
        b'{"type":"RECORD","stream":" ","record":null}\n',
        "is a RECORD that names no stream.",
    ),
    "null before schema": (
        b'{"type":"RECORD","stream":"other","record":null}\n',
        "belongs to stream 'other', which has had no SCHEMA. Check the tap.",
    ),
    "unreadable before schema": (
        b'{"type":"RECORD","stream":"other","record":{"id":NaN}}\n',
        "belongs to stream 'other', which has had no SCHEMA. Check the tap.",
    ),
    "nested too deeply": (
        b'{"type":"STATE","value":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
        "is nested too deeply.",
    ),
    "bad text outside of records": (
        b'{"type":"STATE","value":{"a":"\\ud800"}}\n',
        "holds text or numbers that JSON does not allow.",
    ),
    "state is a list": (
        b'{"type":"STATE","value":["canary-value"]}\n',
        "is a STATE whose value is not an object.",
    ),
    "state without value": (b'{"type":"STATE"}\n', "is a STATE without value."),
    "schema without properties and keys": (
        b'{"type":"SCHEMA","stream":"other","schema":{}}\n',
        "is a SCHEMA of stream 'other' that can't be loaded: it names neither properties nor keys. Ask the "
        "tap for them, or name the stream's keys in primary_keys.",
    ),
    "schema is a list": (
        b'{"type":"SCHEMA","stream":"other","schema":[{"properties":{}}]}\n',
        "is a SCHEMA of stream 'other' whose schema is not an object. Ask the tap for a JSON Schema.",
    ),
    "schema of no stream": (
        b'{"type":"SCHEMA","stream":" ","schema":{"properties":{}}}\n',
        "is a SCHEMA that names no stream.",
    ),
    "keys are no list": (
        b'{"type":"SCHEMA","stream":"other","schema":{"properties":{"a":{}}},"key_properties":"a"}\n',
        "is a SCHEMA of stream 'other' whose key_properties are not a list of names. Ask the tap for the "
        "names of properties, or for an empty list where the stream has no keys.",
    ),
    "key is no column": (
        b'{"type":"SCHEMA","stream":"other","schema":{"properties":{"a":{}},"additionalProperties":false},'
        b'"key_properties":["b"]}\n',
        "is a SCHEMA of stream 'other' that can't be loaded: The key property 'b' is not a column of the "
        "stream. Name columns of the stream in primary_keys, [] for none.",
    ),
    "columns clash": (
        b'{"type":"SCHEMA","stream":"other","schema":{"properties":'
        b'{"a__b":{},"a":{"type":"object","properties":{"b":{}}}}}}\n',
        "is a SCHEMA of stream 'other' that can't be loaded: The properties 'a__b' and 'a' > 'b' would both "
        "become the column 'a__b'. Rename one with a stream map, or choose another flattening_separator or "
        "flattening_max_key_length.",
    ),
    "schema refers to the network": (
        b'{"type":"SCHEMA","stream":"other","schema":{"properties":{"a":{"$ref":"http://127.0.0.1:9/a"}}}}\n',
        "is a SCHEMA of stream 'other' that can't be loaded: /properties/a refers to another document, "
        '"http://127.0.0.1:9/a", and nothing is fetched. Fix the tap, or set validate_records to false.',
    ),
    "schema is none": (
        b'{"type":"SCHEMA","stream":"other","schema":{"properties":{"a":{"type":"strin"}}}}\n',
        "is a SCHEMA of stream 'other' that can't be loaded: it is not a valid JSON Schema at "
        '/properties/a/type, which is "strin". Fix the tap, or set validate_records to false.',
    ),
    "keys change": (
        text(schema(keys=["name"])),
        "changes the key properties of stream 'orders' from id to name: the keys of a Databox dataset can't "
        "be changed. Set primary_keys for the stream, or load it into another dataset with dataset_titles.",
    ),
    "activation of an unknown stream": (
        b'{"type":"ACTIVATE_VERSION","stream":"other","version":1}\n',
        "belongs to stream 'other', which has had no SCHEMA. Check the tap.",
    ),
    "batch of another format": (
        b'{"type":"BATCH","stream":"orders","encoding":{"format":"parquet"},"manifest":[]}\n',
        "is a BATCH of format 'parquet' with compression None; jsonl, plain or gzip, can be read. "
        "Change batch_config of the tap.",
    ),
    "batch file is missing": (
        b'{"type":"BATCH","stream":"orders","encoding":{"format":"jsonl"},"manifest":["file:///no/file"]}\n',
        "is a BATCH whose file file:///no/file can't be read: No such file or directory. The file must be "
        "there, whole, when the message is read.",
    ),
    "batch without manifest": (
        b'{"type":"BATCH","stream":"orders","encoding":{"format":"jsonl"}}\n',
        "is a BATCH without manifest.",
    ),
}


@pytest.mark.parametrize(("line", "problem"), BAD_LINES.values(), ids=BAD_LINES)
def test_bad_line_ends_the_run(load: Load, emulator: Emulator, line: bytes, problem: str) -> None:
    """A line that makes no sense is reported by its number alone; what came before it is delivered."""
    run = load(*BEFORE, line, *AFTER)
    assert run.code == 1
    assert run.errors == [f"Line 4 of the input {problem}"]
    assert run.states == [{"at": 1}]
    assert stored(emulator) == [{"id": 1, "name": "a"}]
    assert CANARY not in run.log


BAD_RECORDS = {
    "null": (b"null", "no_object: its record is null"),
    "a list": (b'[{"id":"canary-value"}]', "no_object: its record is not an object"),
    "text": (b'"canary-value"', "no_object: its record is not an object"),
    "a number": (b"1.5", "no_object: its record is not an object"),
    "schema": (
        b'{"id":"canary-value"}',
        'schema: id: its value is not of type "integer"',
    ),
    "several problems": (
        b'{"id":"canary-value","ok":["canary-value"]}',
        'schema: id: its value is not of type "integer"; ok: its value is not of types "null", "boolean"',
    ),
    "key missing": (b'{"name":"canary-value"}', "key_missing: The key column 'id' is missing."),
    "nan": (b'{"id":2,"x":NaN}', "nan: it holds NaN or an infinity, which JSON does not know"),
    "infinity": (b'{"id":2,"x":-Infinity}', "nan: it holds NaN or an infinity, which JSON does not know"),
    "not utf-8": (b'{"id":2,"name":"canary-value\xff"}', "not_utf8: it holds bytes that are not UTF-8"),
    "lone surrogate": (
        b'{"id":2,"name":"canary-value\\ud800"}',
        "lone_surrogate: it holds half of a surrogate pair, which is no text",
    ),
    "nested too deeply": (
        b'{"id":2,"name":' + b"[" * 500 + b'"canary-value"' + b"]" * 500 + b"}",
        "schema: the record: it does not fit, and is nested too deeply to tell where",
    ),
    "nested beyond reading": (
        b'{"id":2,"name":' + b"[" * 100_000 + b'"canary-value"' + b"]" * 100_000 + b"}",
        "too_deep: it is nested too deeply to be read",
    ),
    "too large": (
        b'{"id":2,"name":"' + b"canary-value" * 200 + b'"}',
        "too_large: it is 2,418 bytes, more than one request of 2,000 may hold",
    ),
}


@pytest.mark.parametrize(("values", "reason"), BAD_RECORDS.values(), ids=BAD_RECORDS)
def test_bad_record_ends_the_run(load: Load, emulator: Emulator, values: bytes, reason: str) -> None:
    """Without rejects_path the first rejected record ends the run; what came before it is delivered."""
    line = b'{"type":"RECORD","stream":"orders","record":' + values + b"}\n"
    run = load(*BEFORE, line, *AFTER, batch_size_bytes=2000)
    assert (run.code, run.states) == (1, [{"at": 1}])
    (error,) = run.errors
    assert f"({reason})" in error or f"({reason.rstrip('.')})" in error
    assert error.startswith("Line 4 of stream 'orders' (dataset 'orders', ")
    assert "set rejects_path" in error
    assert stored(emulator) == [{"id": 1, "name": "a"}]
    assert CANARY not in run.log


def test_missing_record_is_rejected(load: Load, emulator: Emulator, tmp_path: Path) -> None:
    """A RECORD without its record is a rejected one: it is kept as it came, and loading goes on."""
    path = tmp_path / "rejects.singer"
    lines = (
        b'{"type":"RECORD","stream":"orders"}\n',
        b'{"type":"RECORD","stream":"orders","record":null}\n',
        b'{"record":[],"type":"RECORD","stream":"orders"}\n',
    )
    run = load(*BEFORE, *lines, *AFTER, rejects_path=str(path), rejects_policy="accept")
    assert (run.code, run.states[-1]) == (0, {"at": 2})
    assert [row["id"] for row in stored(emulator)] == [1, 2]
    kept = [line for line in path.read_bytes().splitlines() if b'"rejected"' in line]
    assert [line.split(b',"rejected"')[0] + b"}\n" for line in kept] == list(lines)
    again = load(path.read_bytes(), rejects_path=str(tmp_path / "again.singer"))
    assert (again.code, again.out) == (1, b"")
    assert "orders: read 3 = confirmed 0 + superseded 0 + rejected 3" in again.log


def test_validation_is_named_where_it_helps(load: Load, tmp_path: Path) -> None:
    """`validate_records: false` is named where a record does not fit its schema, and nowhere else."""
    misfit, keyless = record(id="x"), record(name="x")
    assert "set validate_records to false to load it as it is" in load(schema(), misfit).errors[0]
    assert "validate_records" not in load(schema(), keyless).errors[0]
    kept = {"rejects_path": str(tmp_path / "rejects.singer"), "rejects_policy": "accept"}
    advice = "With validate_records false, records that do not fit their schema are loaded too."
    assert advice in load(schema(), misfit, keyless, **kept).told("WARNING")
    assert advice not in load(schema(), keyless, **kept).told("WARNING")


@pytest.mark.parametrize(
    "line",
    [b"{broken\n", b'{"type":"RECORD","stream":"orders","record":{"id":"x"}}\n'],
    ids=["a line that is no message", "a rejected record"],
)
def test_rows_just_before_are_delivered(load: Load, emulator: Emulator, line: bytes) -> None:
    """Rows that were read together with the line that ends the run, and before it, are delivered."""
    run = load(schema(), schema("refunds"), record(id=1), record("refunds", id=2), line, record(id=3))
    assert run.code == 1
    assert stored(emulator) == [{"id": 1}]
    assert stored(emulator, "refunds") == [{"id": 2}]


@pytest.mark.parametrize("last", [record(id="text"), b"{"], ids=["bad record", "bad line"])
def test_rows_just_before_the_end_arrive(
    load: Load, emulator: Emulator, last: dict[str, Any] | bytes
) -> None:
    """Rows of all streams that were read just before what ends the run are delivered."""
    run = load(schema(), schema("other"), record(id=1), record("other", id=1), last, record(id=2))
    assert run.code == 1
    assert (stored(emulator), stored(emulator, "other")) == ([{"id": 1}], [{"id": 1}])


def test_null_key_lacks(load: Load) -> None:
    """A key that is null counts as lacking."""
    nullable = schema(id={"type": ["integer", "null"]})
    run = load(nullable, record(id=None))
    assert run.code == 1
    assert "key_null" in run.errors[0]


def test_validation_can_be_switched_off(load: Load, emulator: Emulator) -> None:
    """Without validate_records a record that does not fit its schema is loaded as it is."""
    strict = schema(id={"type": "integer", "maximum": 5})
    assert load(strict, record(id=9), validate_records=False).code == 0
    assert stored(emulator) == [{"id": 9}]
    assert load(strict, record(id=9)).code == 1


def test_unusual_patterns_are_understood(load: Load) -> None:
    """A pattern that only Python can read is checked by the SDK's validator, and no value is reported."""
    messages = schema(id={"type": "string", "pattern": "^(?P<x>[a-c])\\Z"}), record(id="a")
    assert load(*messages).code == 0
    run = load(*messages, record(id=CANARY))
    assert run.code == 1
    assert "(schema: id: its value does not fit 'pattern')" in run.errors[0]
    assert CANARY not in run.log


EXPRESSIONS = {
    "no such function": ("nothing(name)", "FunctionNotDefined"),
    "no such name": ("nmae + 'x'", "NameNotDefined"),
    "a value that does not suit": ("int(name)", "ValueError"),
    "a null": ("name + note", "TypeError"),
    "no such member": ("name.wrong()", "AttributeDoesNotExist"),
    "an error of no kind": ("datetime.datetime.strptime(name, '%')", "ValueError"),
}


@pytest.mark.parametrize(("expression", "kind"), EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_failing_expression_rejects_the_record(load: Load, expression: str, kind: str) -> None:
    """A record on which an expression of stream_maps fails is a bad one, reported by the expression alone."""
    run = load(schema(), record(id=1, name=CANARY, note=None), stream_maps={"orders": {"x": expression}})
    assert (run.code, run.states) == (1, [])
    (error,) = run.errors
    assert f"(expression: the expression {expression} of stream_maps fails on it ({kind}))." in error
    assert CANARY not in "".join(run.errors)


def test_rows_without_the_failure_are_loaded(load: Load, emulator: Emulator, tmp_path: Path) -> None:
    """Where only some records do not suit an expression, they are kept as they came and the others loaded."""
    path = tmp_path / "rejects.singer"
    lines = [json.dumps(record(id=number, name=name)).encode() for number, name in ((1, "7"), (2, None))]
    run = load(
        schema(),
        *(line + b"\n" for line in lines),
        state(at=2),
        stream_maps={"orders": {"name": "str(int(name) + 1)"}},
        rejects_path=str(path),
        rejects_policy="accept",
    )
    assert (run.code, run.states) == (0, [{"at": 2}])
    assert stored(emulator) == [{"id": 1, "name": "8"}]
    kept = [json.loads(line) for line in path.read_bytes().splitlines()][1]
    assert (kept["record"], kept["rejected"]["reason"]) == ({"id": 2, "name": None}, "map")
    assert "orders: read 2 = confirmed 1 + superseded 0 + rejected 1" in run.log
    assert "map (the expression str(int(name) + 1) of stream_maps fails on it (TypeError)): line 3" in run.log


def test_unusable_stream_maps_are_reported(load: Load) -> None:
    """Stream maps that do not fit a stream's SCHEMA are reported with what is wrong."""
    run = load(schema(), stream_maps={"orders": {"id": None}})
    (error,) = run.errors
    assert error.startswith(
        "Line 1 of the input is a SCHEMA of stream 'orders' to which stream_maps do not fit: Removing key "
        "property 'id' is not permitted"
    )


def test_two_streams_on_one_alias_fail(load: Load, emulator: Emulator) -> None:
    """Two streams that are mapped to one name are an error before the second one changes anything."""
    run = load(
        schema(),
        record(id=1),
        state(at=1),
        schema("other", keys=["x"], x={"type": "string"}),
        stream_maps={"other": {"__alias__": "orders"}},
    )
    assert run.errors == [
        "Line 4 of the input maps stream 'other' to 'orders', as stream 'orders' is: two streams can't share "
        "one dataset. Change __alias__ in stream_maps."
    ]
    assert (run.states, stored(emulator)) == ([{"at": 1}], [{"id": 1}])


def test_two_streams_on_one_dataset_fail(load: Load, emulator: Emulator) -> None:
    """Two streams whose dataset has one title are an error; rows of the first one are delivered."""
    run = load(schema(), record(id=1), state(at=1), schema("other"), dataset_titles={"other": "orders"})
    assert run.code == 1
    assert len(run.errors) == 1
    assert "'orders'" in run.errors[0]
    assert "'other'" in run.errors[0]
    assert (run.states, stored(emulator)) == ([{"at": 1}], [{"id": 1}])


def test_one_stream_may_become_two(load: Load, emulator: Emulator) -> None:
    """`__source__` makes a second stream of one, and both are loaded."""
    run = load(schema(), record(id=1, name="a"), stream_maps={"copy": {"__source__": "orders", "name": None}})
    assert run.code == 0
    assert (stored(emulator), stored(emulator, "copy")) == ([{"id": 1, "name": "a"}], [{"id": 1}])


def test_compressed_batches_are_read(load: Load, emulator: Emulator, tmp_path: Path) -> None:
    """A gzip file is read like a plain one, by its path too; a bad line in it is a rejected record."""
    file = tmp_path / "a b.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"id": 1}\r\n{"id": 2, "x": NaN}\n{"id": 3}'))
    batch = {
        "type": "BATCH",
        "stream": "orders",
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "manifest": [str(file)],
    }
    rejects = tmp_path / "rejects.singer"
    run = load(schema(), batch, state(at=1), rejects_path=str(rejects), rejects_policy="accept")
    assert (run.code, run.states) == (0, [{"at": 1}])
    assert stored(emulator) == [{"id": 1}, {"id": 3}]
    assert [json.loads(line)["type"] for line in rejects.read_bytes().splitlines()] == ["SCHEMA", "RECORD"]


def test_batch_ends_at_its_bad_record(load: Load, emulator: Emulator, tmp_path: Path) -> None:
    """Records of a BATCH that stand before the one that ends the run are delivered, and no STATE passes."""
    file = tmp_path / "batch.jsonl"
    file.write_bytes(b'{"id": 1}\n{"id": 2}\n{"id": "x"}\n')
    batch = {"type": "BATCH", "stream": "orders", "encoding": {"format": "jsonl"}, "manifest": [str(file)]}
    run = load(schema(), state(at=1), batch, state(at=2))
    assert (run.code, run.states) == (1, [{"at": 1}])
    assert stored(emulator) == [{"id": 1}, {"id": 2}]


def test_broken_batch_files_are_reported(load: Load, tmp_path: Path) -> None:
    """A gzip file that is cut off, or not JSON, ends the run; a line of it that is no record is rejected."""
    file = tmp_path / "batch.jsonl.gz"
    batch = {
        "type": "BATCH",
        "stream": "orders",
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "manifest": [file.as_uri()],
    }
    file.write_bytes(gzip.compress(b'{"id": 1}\n' * 1000)[:-20])
    run = load(schema(), batch)
    assert run.errors[0].startswith(
        f"Line 2 of the input is a BATCH whose file {file.as_uri()} can't be read: "
    )
    file.write_bytes(gzip.compress(b'{"id": 1}\n["canary-value"]\n'))
    run = load(schema(), batch)
    assert "was rejected (no_object: its record is not an object)" in run.errors[0]
    assert CANARY not in run.log
    file.write_bytes(gzip.compress(b'{"id": 1}\n{"id": "canary-'))
    run = load(schema(), batch)
    assert run.errors == [
        f"Line 2 of the input is a BATCH whose file {file.as_uri()} has a line 2 that is not valid JSON; was "
        "the tap cut off, or is this no tap's output?"
    ]


def test_repeated_schema_is_not_flushed(load: Load, emulator: Emulator) -> None:
    """A SCHEMA that comes again unchanged does not cut batches, with stream maps and metadata either."""
    messages = [each for number in range(50) for each in (schema(), record(id=number, name="a"))]
    run = load(
        *messages,
        stream_maps={"orders": {"up": "name.upper()"}},
        add_record_metadata=True,
        batch_age_seconds=5,
    )
    assert run.code == 0
    assert len(emulator.log.of("post_rows")) == 1


def test_new_columns_keep_the_order(load: Load, emulator: Emulator) -> None:
    """Rows read under an old schema are stored before rows of the new one."""
    wider = schema(id={"type": "integer"}, name={"type": "string"}, more={"type": "string"})
    run = load(schema(), record(id=1, name="old"), wider, record(id=1, name="new", more="x"), state(at=1))
    assert (run.code, run.states) == (0, [{"at": 1}])
    assert stored(emulator) == [{"id": 1, "name": "new", "more": "x"}]


def test_emulator_wins_over_configuration(
    load: Load, emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With TARGET_DATABOX_EMULATOR_URL set, the configured address is not used, and a warning says so."""
    monkeypatch.setenv("TARGET_DATABOX_EMULATOR_URL", emulator.url)
    monkeypatch.setenv("TARGET_DATABOX_EMULATOR_KEY", emulator.api_key)
    run = load(schema(), record(id=1), api_url="https://api.databox.com", api_key="another")
    assert run.code == 0
    assert run.told("WARNING") == [
        f"Loading into the emulator at {emulator.url}, whatever the configuration says, since "
        "TARGET_DATABOX_EMULATOR_URL is set."
    ]


def test_interruption_is_no_exception(emulator: Emulator) -> None:
    """A signal passes every handler of exceptions on its way to the end of the reading."""
    assert not issubclass(Interrupted, Exception)
    assert emulator.api_key not in repr(
        TargetDatabox(config={"api_url": emulator.url, "api_key": emulator.api_key}).settings
    )
