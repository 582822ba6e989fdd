"""What real taps wrote, kept in data/corpus, loads into the tables that their sources hold.

data/corpus/README.md says what an entry is.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.command import finished

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.emulator import Emulator
    from tests.command import Command, Run

CORPUS = Path(__file__).resolve().parent / "data" / "corpus"
MOST_BYTES = 500_000
MOST_OUTPUT_BYTES = 30_000

pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="source distributions leave the corpus out")


class Entry:
    """One output of a tap, and what must become of it.

    Args:
        folder: Where it is kept.

    Attributes:
        name: Its folder's name.
        output: What the tap wrote.
        tables: Keys, columns and rows that the emulator holds in the end, by dataset.
        is_alone: Whether it loads only by itself, for its settings, its rejects or its files.
    """

    def __init__(self, folder: Path) -> None:
        expected = json.loads((folder / "expected.json").read_bytes(), parse_float=Decimal)
        self.folder, self.name = folder, folder.name
        self.output = (folder / "tap.singer").read_bytes()
        self.settings: dict[str, Any] = expected.get("settings", {})
        self.code: int = expected["code"]
        self.state: dict[str, Any] | None = expected["state"]
        self.warnings: list[str] = expected["warnings"]
        self.errors: list[str] = expected.get("errors", [])
        self.rejects: list[dict[str, Any]] = expected.get("rejects", [])
        self.tables: dict[str, dict[str, Any]] = expected["tables"]
        self.is_alone = bool(set(self.settings) - {"column_types"}) or b'"BATCH"' in self.output


ENTRIES = {path.parent.name: Entry(path.parent) for path in sorted(CORPUS.glob("*/expected.json"))}
TOGETHER = [entry for entry in ENTRIES.values() if not entry.is_alone]
ALONE = [
    *((name, "v1") for name in ENTRIES),
    *((name, "v2") for name, entry in ENTRIES.items() if entry.is_alone),
]


def texts(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Rows in any order, with every digit of their numbers."""
    return sorted(
        json.dumps(row, sort_keys=True, default=lambda number: {"digits": str(number)}, ensure_ascii=False)
        for row in rows
    )


def compare(emulator: Emulator, entries: Iterable[Entry], runs: int = 1) -> None:
    """Compare each table with what is expected after a number of runs: rows without keys are appended."""
    titles = set()
    for entry in entries:
        for title, table in entry.tables.items():
            dataset = emulator.store.dataset_titled(title)
            titles.add(title)
            assert list(dataset.keys or ()) == table["keys"], title
            types: dict[str, list[str]] = {}
            for name, column in dataset.columns.items():
                types.setdefault(column.type or "none", []).append(name)
            assert {kind: sorted(names) for kind, names in types.items()} == {
                kind: sorted(names) for kind, names in table["types"].items()
            }, title
            rows = table["rows"] if table["keys"] else table["rows"] * runs
            assert texts(emulator.store.rows(dataset.id)) == texts(rows), title
    assert {dataset.title for dataset in emulator.store.datasets()} == titles


def told(lines: list[str], beginnings: list[str]) -> bool:
    """Whether the lines of a log are these, in order; each is known by a part of it."""
    return len(lines) == len(beginnings) and all(
        part in line for line, part in zip(lines, beginnings, strict=True)
    )


def column_types_of(entries: Iterable[Entry]) -> dict[str, Any]:
    """The setting for several outputs in one run."""
    return {
        stream: types for entry in entries for stream, types in entry.settings.get("column_types", {}).items()
    }


def load(command: Command, entry: Entry, folder: Path, **settings: Any) -> Run:
    """Load an output where its BATCH files are; the rejects go to a folder of the test."""
    settings = {**entry.settings, **settings}
    if "rejects_path" in settings:
        settings["rejects_path"] = str(folder / settings["rejects_path"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(entry.folder)
        process = command.start(**settings)
    return finished(process, entry.output)


@pytest.mark.parametrize(("name", "api_version"), ALONE)
def test_output_of_tap_is_loaded(
    command: Command, emulator: Emulator, tmp_path: Path, name: str, api_version: str
) -> None:
    """Tables, primary keys, columns, STATE, exit code, warnings and rejects are the ones of the source."""
    entry = ENTRIES[name]
    run = load(command, entry, tmp_path, api_version=api_version)
    assert run.code == entry.code, run.errors
    assert told(run.errors, entry.errors), run.errors
    assert told(run.told("WARNING"), entry.warnings), run.told("WARNING")
    assert (run.states[-1] if run.states else None) == entry.state
    compare(emulator, [entry])
    if "rejects_path" not in entry.settings:
        return
    kept = [
        json.loads(line) for line in (tmp_path / entry.settings["rejects_path"]).read_bytes().splitlines()
    ]
    sent = [json.loads(line) for line in entry.output.splitlines()]
    rejected = [message for message in kept if message["type"] == "RECORD"]
    assert [message["record"] for message in rejected] == [
        sent[each["line"] - 1]["record"] for each in entry.rejects
    ]
    for message, each in zip(rejected, entry.rejects, strict=True):
        assert message["rejected"]["reason"] == each["reason"]
        assert message["rejected"]["message"].startswith(each["message"])


@pytest.mark.parametrize("name", [entry.name for entry in ENTRIES.values() if entry.is_alone])
def test_special_output_is_loaded_twice(
    command: Command, emulator: Emulator, tmp_path: Path, name: str
) -> None:
    """A second run, which speaks the other version of the API, leaves the tables as they are."""
    entry = ENTRIES[name]
    for runs, api_version in enumerate(("v1", "v2"), start=1):
        run = load(command, entry, tmp_path, api_version=api_version)
        assert (run.code, run.states[-1]) == (entry.code, entry.state)
        compare(emulator, [entry], runs)


@pytest.mark.parametrize("api_version", ["v1", "v2"])
def test_all_outputs_load_in_one_run(command: Command, emulator: Emulator, api_version: str) -> None:
    """One run loads all outputs, and a second one changes nothing but that it adds rows without keys."""
    whole = b"".join(entry.output for entry in TOGETHER)
    column_types = column_types_of(TOGETHER)
    *_, last = (entry.state for entry in TOGETHER if entry.state is not None)
    for runs in (1, 2):
        run = command.run(whole, column_types=column_types, api_version=api_version)
        assert (run.code, run.errors, run.states[-1]) == (0, [], last)
        compare(emulator, TOGETHER, runs)


def test_corpus_is_previewed_and_verified(command: Command) -> None:
    """`--dry-run` foresees that all outputs load, and `--verify` finds every row of them equal."""
    whole = b"".join(entry.output for entry in TOGETHER)
    settings = {"column_types": column_types_of(TOGETHER), "api_version": "v2"}
    foreseen = command.run(whole, arguments=("--dry-run",), **settings)
    assert (foreseen.code, foreseen.errors) == (0, [])
    assert b"A run would load everything that was read" in foreseen.out
    assert command.run(whole, **settings).code == 0
    verified = command.run(whole, arguments=("--verify",), **settings)
    assert (verified.code, verified.errors) == (0, [])
    assert b"Everything that was read is in Databox, and equal." in verified.out


def test_corpus_is_not_distributed() -> None:
    """Neither the wheel nor the source distribution holds what taps wrote."""
    root = CORPUS.parent.parent.parent
    for builder in (SdistBuilder(str(root)), WheelBuilder(str(root))):
        paths = [file.distribution_path for file in builder.recurse_included_files()]
        assert paths
        assert not any("corpus/" in path for path in paths)


def test_entries_are_small_and_explained() -> None:
    """Each entry says how it was made, none holds a path of the machine, and all of them are small."""
    files = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    assert {path.parent.name for path in CORPUS.glob("*/tap.singer")} == set(ENTRIES)
    for entry in ENTRIES.values():
        assert len(entry.output) < MOST_OUTPUT_BYTES
        made = (entry.folder / "made.md").read_text(encoding="utf-8")
        for heading in ("Tap", "Python", "SDK", "Source", "Command", "Checked"):
            assert f"\n* {heading}:" in made, (entry.name, heading)
        assert not re.search(rb'["\s](?:file://)?/[a-z]+/', entry.output), entry.name
