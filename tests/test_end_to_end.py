"""The real command against the emulator: what goes in, what is stored, what is reported."""

from __future__ import annotations

import json
import os
import subprocess
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.command import TARGET, finished, record, schema, state, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command


def test_rows_and_states_arrive(command: Command) -> None:
    """Rows are stored, the newest of a key wins, and the last STATE is written."""
    run = command.run(
        schema(), record(id=1, name="a"), record(id=2, name="b"), record(id=1, name="c"), state(done=1)
    )
    assert run.code == 0
    assert run.states == [{"done": 1}]
    assert command.rows() == [{"id": 1, "name": "c"}, {"id": 2, "name": "b"}]


def test_second_run_reuses_everything(command: Command) -> None:
    """A second run finds the data source and the dataset of the first one."""
    for name in ("a", "b"):
        assert command.run(schema(), record(id=1, name=name)).code == 0
    assert len(command.emulator.store.data_sources()) == 1
    assert command.rows() == [{"id": 1, "name": "b"}]


def test_log_of_a_good_run_is_clean(command: Command) -> None:
    """A run without trouble logs neither warnings nor errors, and logs each stream's sum."""
    run = command.run(schema(), record(id=1, name="a"), state(done=1))
    assert not run.told("WARNING") + run.errors
    (line,) = (said for said in run.told("INFO") if said.startswith("orders: read"))
    assert line.startswith("orders: read 1 = confirmed 1 + superseded 0 + rejected 0")
    assert "Skipping parse" not in run.log
    assert '"metric":"record_count","value":1' in run.log


@pytest.mark.parametrize(
    "value",
    [
        b"{}",
        b'{"at":1.10}',
        b'{"at":12345678901234567890123456789}',
        b'{"at":null,"name":"\\u00fc \xc3\xbc"}',
        b'{"deep":{"list":[1,2.50,{"a":[]}]}}',
    ],
)
def test_state_is_written_as_it_came(command: Command, value: bytes) -> None:
    """A STATE keeps its text: empty ones, floats, huge numbers, escapes."""
    run = command.run(schema(), record(id=1), b'{"type":"STATE","value":' + value + b"}\n")
    assert run.code == 0
    assert run.out == value + b"\n"


def test_null_state_is_no_bookmark(command: Command) -> None:
    """A STATE whose value is null changes nothing."""
    run = command.run(schema(), state(done=1), b'{"type":"STATE","value":null}\n')
    assert (run.code, run.states) == (0, [{"done": 1}])


def test_empty_input_is_fine(command: Command) -> None:
    """Without any message nothing is sent and nothing is written."""
    run = command.run()
    assert (run.code, run.out) == (0, b"")
    assert len(command.emulator.log) == 0


def test_odd_line_ends_are_read(command: Command) -> None:
    """Blank lines, CRLF, a byte order mark and a last line without its end do no harm."""
    lines = text(schema(), record(id=1, name="a"), b"\n", b"  \r\n", record(id=2, name="ü"), state(done=2))
    run = command.run(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n").rstrip(b"\r\n"))
    assert (run.code, run.states) == (0, [{"done": 2}])
    assert command.rows() == [{"id": 1, "name": "a"}, {"id": 2, "name": "ü"}]


def test_locale_does_not_matter(command: Command) -> None:
    """Text arrives and is reported whatever the locale is."""
    env = {"LC_ALL": "C", "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    run = command.run(schema("größe 寸"), record("größe 寸", id=1, name="日本 ü"), state(é="寸"), env=env)
    assert (run.code, run.states) == (0, [{"é": "寸"}])
    assert command.rows("größe 寸") == [{"id": 1, "name": "日本 ü"}]
    assert "Logging error" not in run.log


def test_huge_lines_are_read(command: Command) -> None:
    """A line of many chunks arrives whole."""
    name = "x" * 900_000
    assert command.run(schema(), record(id=1, name=name)).code == 0
    assert command.rows() == [{"id": 1, "name": name}]


def test_input_option_reads_a_file(command: Command, tmp_path: Path) -> None:
    """`--input` reads a file instead of standard input."""
    file = tmp_path / "in.singer"
    file.write_bytes(text(schema(), record(id=1, name="a"), state(done=1)))
    run = command.run(arguments=("--input", str(file)))
    assert (run.code, run.states) == (0, [{"done": 1}])


def test_environment_is_a_configuration(command: Command, tmp_path: Path) -> None:
    """`--config ENV` reads the settings from variables, numbers as text included."""
    env = {
        **os.environ,
        "TARGET_DATABOX_API_URL": command.emulator.url,
        "TARGET_DATABOX_API_KEY": command.emulator.api_key,
        "TARGET_DATABOX_BATCH_SIZE_ROWS": "1",
        "TARGET_DATABOX_DATASET_TITLES": '{"orders": "Orders"}',
    }
    process = subprocess.Popen(
        [TARGET, "--config", "ENV"],
        env=env,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    run = finished(process, text(schema(), record(id=1, name="a"), record(id=2, name="b")))
    assert run.code == 0
    assert len(command.rows("Orders")) == 2
    assert len(command.emulator.log.of("post_rows")) == 2


# Streams


def test_keys_may_be_missing(command: Command) -> None:
    """Streams without keys append their rows."""
    message = schema()
    message["key_properties"] = None
    for _ in range(2):
        assert command.run(message, record(id=1, name="a")).code == 0
    assert command.rows() == [{"id": 1, "name": "a"}] * 2


def test_append_only_ignores_keys(command: Command) -> None:
    """With `append-only` rows of one key stay beside each other."""
    run = command.run(schema(), record(id=1), record(id=1), state(done=1), load_method="append-only")
    assert (run.code, run.states) == (0, [{"done": 1}])
    assert command.rows() == [{"id": 1}, {"id": 1}]


def test_overwrite_replaces_what_was_there(command: Command) -> None:
    """`overwrite` purges once before a stream's first row, writes no STATE, and spares empty streams."""
    other = schema("other")
    command.run(schema(), other, record(id=1), record("other", id=1))
    run = command.run(
        schema(),
        other,
        record(id=2),
        state(done=1),
        record(id=3),
        state(done=2),
        load_method="overwrite",
        batch_size_rows=1,
    )
    assert (run.code, run.out) == (0, b"")
    assert sorted(row["id"] for row in command.rows()) == [2, 3]
    assert command.rows("other") == [{"id": 1}]
    assert len(command.emulator.log.of("purge")) == 1


def test_schema_may_come_again(command: Command) -> None:
    """A SCHEMA that comes again costs nothing; a changed one brings its new columns, in order."""
    wider = schema(id={"type": "integer"}, name={"type": ["string", "null"]}, size={"type": "number"})
    messages = (
        schema(), record(id=1, name="a"), schema(), record(id=2, name="b"),
        wider, record(id=1, name="c", size=1.5), state(done=1),
    )  # fmt: skip
    run = command.run(*messages)
    assert (run.code, run.states) == (0, [{"done": 1}])
    assert command.rows() == [{"id": 1, "name": "c", "size": Decimal("1.5")}, {"id": 2, "name": "b"}]
    assert len(command.emulator.log.of("post_rows")) <= 2


def test_batch_messages_are_read_in_order(command: Command, tmp_path: Path) -> None:
    """Records of BATCH files are rows like any others, between what comes before and after them."""
    file = tmp_path / "batch.jsonl"
    file.write_bytes(b'{"id": 1, "name": "file"}\n\n{"id": 2, "name": "file"}\n')
    batch = {
        "type": "BATCH",
        "stream": "orders",
        "encoding": {"format": "jsonl", "compression": "none"},
        "manifest": [file.as_uri()],
    }
    run = command.run(schema(), record(id=1, name="before"), batch, record(id=2, name="after"), state(done=1))
    assert (run.code, run.states) == (0, [{"done": 1}])
    assert command.rows() == [{"id": 1, "name": "file"}, {"id": 2, "name": "after"}]


def test_activate_version_is_accepted(command: Command) -> None:
    """ACTIVATE_VERSION is answered with one warning that says what it can't do."""
    version = {"type": "ACTIVATE_VERSION", "stream": "orders", "version": 1}
    run = command.run(schema(), record(id=1), version, version, state(done=1))
    assert (run.code, run.states) == (0, [{"done": 1}])
    assert run.told("WARNING") == [
        "ACTIVATE_VERSION of stream 'orders' changes nothing: the Databox API can't delete single rows, "
        "so rows that are gone at the source stay in the dataset. Use load_method overwrite for a fresh copy "
        "every run."
    ]


def test_stream_maps_make_other_streams(command: Command) -> None:
    """Stream maps rename, filter, compute, choose keys and drop whole streams, which get no dataset."""
    maps = {
        "orders": {
            "__alias__": "sales",
            "__filter__": "name != 'drop'",
            "__key_properties__": ["code"],
            "code": "name.upper()",
            "day": "datetime.date(2026, 1, 31)",
        },
        "secret": "__NULL__",
    }
    run = command.run(
        schema(),
        schema("secret"),
        record(id=1, name="a"),
        record(id=2, name="drop"),
        record("secret", id=1),
        b'{"type":"RECORD","stream":"secret","record":{"id":NaN}}\n',
        state(done=1),
        stream_maps=maps,
    )
    assert (run.code, run.states) == (0, [{"done": 1}])
    (dataset,) = command.emulator.store.datasets()
    assert (dataset.title, tuple(dataset.keys)) == ("sales", ("code",))
    assert command.rows("sales") == [{"id": 1, "name": "a", "code": "A", "day": "2026-01-31"}]


def test_metadata_columns_are_added(command: Command) -> None:
    """`add_record_metadata` adds the seven columns of the SDK, and a tap's own are loaded without it."""
    message = {**record(id=1), "time_extracted": "2026-01-01T00:00:00Z", "version": 7}
    assert command.run(schema(), message, add_record_metadata=True).code == 0
    (row,) = command.rows()
    assert row["_sdc_extracted_at"] == "2026-01-01T00:00:00Z"
    assert row["_sdc_table_version"] == 7
    assert len([name for name in row if name.startswith("_sdc_")]) == 7
    declared = schema("b", id={"type": "integer"}, _sdc_sequence={"type": "integer"})
    assert command.run(declared, record("b", id=1, _sdc_sequence=5)).code == 0
    assert command.rows("b") == [{"id": 1, "_sdc_sequence": 5}]


def test_unused_settings_are_reported(command: Command) -> None:
    """A type for a column that its stream lacks may be misspelt; another stream's settings are no reason."""
    types = {"orders": {"nme": "string"}, "customers": {"id": "number"}}
    run = command.run(schema(), record(id=1), column_types=types, dataset_titles={"customers": "C"})
    assert run.code == 0
    assert run.told("WARNING") == [
        "Nothing in the input matched the setting column_types.orders.nme; is it misspelt?"
    ]


def test_types_of_unlisted_columns_are_used(command: Command) -> None:
    """A type for a column that the schema does not name converts it, and is not called misspelt."""
    open_object = schema(id={"type": "integer"}, o={"type": "object"})
    types = {"orders": {"o__k": "number", "extra": "number"}}
    run = command.run(open_object, record(id=1, o={"k": "5"}, extra="6"), column_types=types)
    assert run.code == 0
    assert not run.told("WARNING")
    assert command.rows() == [{"id": 1, "o__k": 5, "extra": 6}]


# Command line


def test_wrong_command_line_exits_2(command: Command) -> None:
    """An unknown option, or a file for `--input` that is missing, is a usage error."""
    assert command.run(arguments=("--no-such-option",)).code == 2
    assert command.run(arguments=("--input", "no such file")).code == 2


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "can't be read: No such file or directory. Check --config; ENV reads variables."),
        (b'{"api_key": "SECRET', "is not valid JSON (line 1, column 13: Unterminated string starting at)."),
        (b'["SECRET"]', "must hold a JSON object of settings."),
        (b'{"api_key": "\xff"}', "is not UTF-8. Save it as UTF-8."),
    ],
)
def test_broken_configuration_is_reported(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """A configuration that can't be read is one sentence that quotes nothing of it."""
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    process = subprocess.Popen(
        [TARGET, "--config", str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    run = finished(process)
    assert (run.code, run.out) == (1, b"")
    assert run.errors == ["The settings can't be used:", f"- The file {path} {problem}"]
    assert "Traceback" not in run.log
    assert "SECRET" not in run.log


def test_bad_settings_are_reported_together(command: Command) -> None:
    """Every bad setting is reported before anything is read or sent."""
    run = command.run(b"no Singer", batch_size_rows=0, data_source_titel="x")
    assert (run.code, run.out) == (1, b"")
    assert (
        "- data_source_titel is not a setting of target-databox; did you mean data_source_title?"
        in run.errors
    )
    assert any(line.startswith("- batch_size_rows ") for line in run.errors)
    assert len(command.emulator.log) == 0


def test_about_names_every_setting(command: Command) -> None:
    """`--about` describes the settings in JSON, and knows no key."""
    run = command.run(arguments=("--about", "--format", "json"))
    assert run.code == 0
    assert {"api_key", "rejects_limit", "stream_maps"} <= set(json.loads(run.out)["settings"]["properties"])
    assert command.emulator.api_key not in run.out.decode() + run.log
