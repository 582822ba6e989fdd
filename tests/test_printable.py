"""Whatever a tap or the API calls a thing, what is said of it is printable lines of bounded length."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.logging import ConsoleFormatter, StructuredFormatter

from target_databox.emulator.commands.terminal import shown
from target_databox.outputs.printable import (
    MOST_CHARACTERS,
    PrintableFormatter,
    guard_logs,
    printable,
    shortened,
)
from target_databox.rehearsal.tables import cell
from tests.command import Command, finished, record, schema, state, text

if TYPE_CHECKING:
    from target_databox.emulator import Emulator

KEY = 'pak_canary"0815'
# What terminals, readers of logs and people are fooled with.
NASTY = {
    "escape": "\x1b]0;title\x07\x1b[2Jgone",
    "line": "orders\n2026-01-01 00:00:00,000 | ERROR    | target-databox | forged",
    "other lines": "a\r\x0b\x0c\x85\u2028\u2029b",
    "c1": "\x9b31mred\x90",
    "right to left": "abc\u202egnp.exe\u2066\u200f",
    "unseen": "a\u200bb\ufeff\u00ad\U000e0041",
    "zero": "a\x00b\x7f",
    "halves": "a\ud800b",
    "long": "x" * 20_000,
    "wide": "\U0001f600" * 5_000,
}


@pytest.mark.parametrize(
    ("said", "shown_as"),
    [
        ("", ""),
        ("Zürich, 東京 \U0001f600", "Zürich, 東京 \U0001f600"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m", r"\u001b[31m"),
        ("\x9b31m", r"\u009b31m"),
        ("\u202eabc", r"\u202eabc"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ('{"a\\u0007": 1}', '{"a\\u0007": 1}'),
        (f"key {KEY}, {KEY}!", "key ***, ***!"),
    ],
)
def test_text_is_escaped_as_in_json(said: str, shown_as: str) -> None:
    """What is not printable is written as JSON would write it; the key is masked; all else stays."""
    assert printable(said, [KEY]) == shown_as


@given(st.text(st.characters(), max_size=200), st.integers(40, 300))
def test_any_text_becomes_a_line(said: str, most: int) -> None:
    """Any text is one printable line, of at most the length that is asked for."""
    line = printable(said, [])
    assert line.isprintable()
    assert line.splitlines() in ([line], [])
    assert printable(line, []) == line
    assert len(shortened(line, most)) <= most
    assert shown(said, most).isprintable()
    assert len(shown(said, most)) <= most
    assert cell(said).isprintable()


@pytest.mark.parametrize("length", [4_001, 4_999, 5_000, 10_000, 103_999, 8_400_000])
def test_cut_says_how_much_is_left_out(length: int) -> None:
    """The mark's number and what is shown add up to the whole."""
    cut = shortened("x" * length)
    kept, _, mark = cut.partition("… [")
    assert len(kept) + int(mark.removesuffix(" more characters]").replace(",", "")) == length
    assert 3_900 < len(cut) <= 4_000


def entry(message: str, *arguments: object, error: Exception | None = None) -> logging.LogRecord:
    """An entry of a log."""
    where = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("name", logging.ERROR, __file__, 1, message, arguments, where)


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("kind", [ConsoleFormatter, StructuredFormatter, logging.Formatter])
def test_every_formatter_writes_lines(kind: type[logging.Formatter], nasty: str) -> None:
    """Messages, arguments and tracebacks become one line; one of JSON stays JSON."""
    formatter = PrintableFormatter(kind())
    for each in (
        entry(NASTY[nasty]),
        entry("Loading %s.", NASTY[nasty]),
        entry("Failed.", error=ValueError(NASTY[nasty])),
    ):
        line = formatter.format(each)
        assert line.isprintable()
        assert len(line) <= MOST_CHARACTERS
        if kind is StructuredFormatter:
            assert json.loads(line)["level"] == "error"
    assert PrintableFormatter(None).format(entry("All %s.", "well")) == "All well."


def test_long_lines_of_a_log_keep_their_beginning() -> None:
    """A line that is cut is as long as it may be, and says how much is missing."""
    line = PrintableFormatter(ConsoleFormatter()).format(entry("Start %s", "x" * 50_000))
    assert "| Start xxx" in line
    assert line.endswith(" more characters]")
    assert 3_600 < len(line) <= MOST_CHARACTERS


def test_every_handler_is_guarded_once() -> None:
    """Handlers of any logger get the formatter; a second time nothing changes."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("tests.of.guards")
    logger.addHandler(handler)
    before = {each: each.formatter for each in logging.root.handlers}
    try:
        guard_logs()
        guarded = handler.formatter
        assert isinstance(guarded, PrintableFormatter)
        assert handler.format(entry("a\nb")) == r"a\nb"
        guard_logs()
        assert handler.formatter is guarded
    finally:
        logger.removeHandler(handler)
        for each, formatter in before.items():
            each.setFormatter(formatter)


LOG_CONFIGS: dict[str, dict[str, Any] | None] = {
    "none": None,
    # As Meltano sets it.
    "json": {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "singer_sdk.logging.StructuredFormatter"}},
        "handlers": {
            "c": {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
        },
        "root": {"level": "DEBUG", "handlers": ["c"]},
    },
    "own": {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"f": {"format": "%(message)s"}},
        "handlers": {"c": {"class": "logging.StreamHandler", "formatter": "f"}},
        "loggers": {"target-databox": {"level": "DEBUG", "propagate": False, "handlers": ["c"]}},
        "root": {"level": "DEBUG"},
    },
}


def assert_lines(said: str, most: int | None = MOST_CHARACTERS) -> None:
    """Every line is printable and short."""
    lines = said.split("\n")
    assert lines.pop() == ""
    assert all(line.isprintable() for line in lines)
    assert most is None or all(len(line) <= most for line in lines)
    assert not [line for line in lines if line.startswith("2026-01-01")]


@pytest.mark.parametrize("config", LOG_CONFIGS)
def test_names_of_a_tap_forge_no_line(command: Command, tmp_path: Path, config: str) -> None:
    """A run whose stream, columns and keys are named to fool a terminal writes printable lines only."""
    name = "".join(NASTY[each] for each in ("escape", "line", "other lines", "c1", "right to left", "unseen"))
    column = {name: {"type": "string"}, name * 20: {"type": "string"}}
    env = {}
    if LOG_CONFIGS[config]:
        path = tmp_path / "log.json"
        path.write_text(json.dumps(LOG_CONFIGS[config]))
        env["SINGER_SDK_LOG_CONFIG"] = str(path)
    messages = (
        schema(name, id={"type": "integer"}, **column),
        record(name, id=1, **{name: "a"}),
        record(name, id="bad", **{name: "a"}),
        state(at=1),
    )
    run = command.run(*messages, env=env)
    assert run.code == 1
    assert "orders" in run.log
    assert_lines(run.log)


def test_unknown_failures_are_told_in_lines(command: Command) -> None:
    """A traceback is a line for each of its places."""
    run = command.run(schema(), record(id=1), env={"SINGER_SDK_LOG_CONFIG": "/proc/self/mem"})
    assert run.code == 1
    assert "This is a bug" in run.log
    assert_lines(run.log)
    assert len(run.errors) > 3


@pytest.mark.parametrize("argument", ["--check", "--dry-run"])
def test_tables_hold_names_in_one_line(command: Command, argument: str) -> None:
    """What `--check` and `--dry-run` print is a line for each row of their tables, whatever the names."""
    name = "".join(NASTY[each] for each in ("escape", "line", "other lines", "c1", "right to left", "unseen"))
    key = command.emulator.api_key
    source = command.emulator.store.create_data_source(f"{name}{key}", None)
    dataset = command.emulator.store.create_dataset(name, source.id, ["id"])
    run = command.run(
        schema(name, id={"type": "integer"}, **{name: {"type": "string"}, name + "y" * 9_000: {}, key: {}}),
        record(name, id=1, **{name: "1"}, **{name + "y" * 9_000: "2", key: "3"}),
        arguments=(argument,),
        data_source_id=source.id,
        dataset_ids={name: dataset.id},
    )
    assert run.code == 0
    assert "forged" in run.out.decode()
    assert_lines(run.out.decode(), None)
    assert_lines(run.log)
    lines = run.out.decode().splitlines()
    assert not [line for line in lines if line.strip("y") == "" and line]


def test_what_landed_is_shown_in_lines(command: Command, emulator: Emulator) -> None:
    """`databox-emulator run` prints printable lines, whatever it stores and whatever it is to run."""
    del emulator
    name = "".join(NASTY[each] for each in ("escape", "line", "other lines", "c1", "right to left", "unseen"))
    messages = command.folder / "messages"
    messages.write_bytes(
        text(
            schema(name, id={"type": "integer"}, **{name: {"type": "string"}}),
            record(name, id=1, **{name: name}),
        )
    )
    target = ["target-databox", "--config", str(command.config(data_source_title=f"\x1b[1m{name[30:90]}"))]
    run = emulated("--no-limits", "--rows", "3", "--", *target, "--input", str(messages))
    assert run.code == 0
    assert "forged" in run.log
    assert_lines(run.log, None)
    run = emulated("--", "/none/\x1b[2J\n\u202e")
    assert (run.code, run.log.splitlines()[0]) == (127, r"/none/\x1b[2J\n\u202e: command not found.")


def emulated(*arguments: str) -> Any:
    """`databox-emulator run` with some arguments."""
    import subprocess

    emulator = Path(sys.executable).parent / "databox-emulator"
    return finished(
        subprocess.Popen([emulator, "run", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    )
