"""The demo: `tap | target-databox` into an emulator, with the bundled data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from target_databox.emulator import Store
from target_databox.emulator.commands.demo import DATA, FILES, DataFile
from target_databox.emulator.commands.demo import demo as demo_command

# What tap-jsonl does, as far as the demo needs it, with nothing but the standard library.
TAP = """#!{python}
import json, sys
config = json.load(open(sys.argv[2]))
name, [key] = config["stream_name"], config["primary_keys"]
rows = [json.loads(line) for line in open(config["path"], encoding="utf-8")]
kinds = {{column: "string" if isinstance(value, str) else "number" for column, value in rows[0].items()}}
schema = {{"properties": {{column: {{"type": kind}} for column, kind in kinds.items()}}}}
print(json.dumps({{"type": "SCHEMA", "stream": name, "key_properties": [key], "schema": schema}}))
for row in rows:
    print(json.dumps({{"type": "RECORD", "stream": name, "record": row}}))
print(json.dumps({{"type": "STATE", "value": {{name: "done"}}}}))
"""


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A finished demo."""
    command = [sys.executable, "-m", "target_databox.emulator", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


def script(path: Path, text: str) -> str:
    """A program in a file."""
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stream)
def test_bundled_data_has_keys(file: DataFile) -> None:
    """Every bundled row has a key of its own, and numbers are numbers."""
    lines = (DATA / file.name).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len({row[file.key] for row in rows}) == len(rows) > 100
    assert all(isinstance(value, (int, float)) for row in rows for value in list(row.values())[1:5])


@pytest.mark.parametrize(("arguments", "most_rows"), [((), 100), (("--api-version", "v2"), 500)])
def test_demo_shows_what_landed(tmp_path: Path, arguments: tuple[str, ...], most_rows: int) -> None:
    """It loads the bundled files through a tap and the target, shows the rows, and compares every value."""
    tap = script(tmp_path / "tap", TAP.format(python=sys.executable))
    done = demo("--tap", tap, "--database", str(tmp_path / "demo.db"), *arguments)
    assert done.returncode == 0, done.stderr
    store = Store(tmp_path / "demo.db")
    assert max(each.received for each in store.history()) == most_rows
    store.close()
    assert "What landed in Demo" in done.stdout
    assert "read 1461 = confirmed 1461" in done.stderr
    assert "METRIC" not in done.stderr
    assert "First rows of seattle_weather" in done.stdout
    assert "Every value of the 1,581 rows is the one in the files." in done.stdout
    store = Store(tmp_path / "demo.db")
    assert [(each.title, each.row_count, each.keys) for each in store.datasets()] == [
        ("seattle_weather", 1461, ("date",)),
        ("us_employment", 120, ("month",)),
    ]
    store.close()


@pytest.mark.parametrize("arguments", [[], ["--api-version", "v1"], ["--api-version", "v2"]])
def test_demo_hands_the_version_on(tmp_path: Path, arguments: list[str]) -> None:
    """The version of the API is in the target's configuration, and only where one is asked for."""
    seen = tmp_path / "seen"
    target = script(tmp_path / "target-databox", f'#!/bin/sh\ncat "$2" > {seen}\nexit 9\n')
    tap = script(tmp_path / "tap", "#!/bin/sh\nexit 0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("target_databox.emulator.commands.demo._target", lambda: Path(target))
        done = CliRunner().invoke(demo_command, ["--tap", tap, *arguments])
    assert "ended with 9" in done.output
    given = {"api_version": arguments[1]} if arguments else {}
    assert json.loads(seen.read_text()) == {"data_source_title": "Demo", **given}


def test_failing_tap_is_explained(tmp_path: Path) -> None:
    """A tap that fails ends the demo with 1, the tap's code and its last words."""
    done = demo("--tap", script(tmp_path / "tap", "#!/bin/sh\necho 'no such file' >&2\nexit 3\n"))
    assert done.returncode == 1
    assert done.stderr.endswith("ended with 3. The last that it said: no such file\n")


def test_tap_that_is_no_program_is_explained(tmp_path: Path) -> None:
    """A file that can't be run as a tap ends the demo with 1 and says so."""
    (tmp_path / "tap").write_text("text")
    done = demo("--tap", str(tmp_path / "tap"))
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: {tmp_path / 'tap'} can't be run: Permission denied.\n",
    )


@pytest.mark.slow
def test_demo_installs_a_real_tap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a tap of the user's it installs one from PyPI, and loads the same rows."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = demo()
    assert done.returncode == 0, done.stderr
    assert "Every value of the 1,581 rows is the one in the files." in done.stdout
