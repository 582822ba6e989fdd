"""The page of the first hour and the page about deletes, carried out as they stand."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.emulator import Store
from tests.command import TARGET, free_port, record, schema, state

if TYPE_CHECKING:
    from target_databox.emulator import Emulator
    from tests.command import Command

DOCS = Path(__file__).resolve().parent.parent / "docs"
START = (DOCS / "start.md").read_text(encoding="utf-8")
DELETES = (DOCS / "deletes.md").read_text(encoding="utf-8")


class Hour:
    """Somebody who pastes the page's commands into a shell, one block after the other.

    Args:
        folder: The empty directory.
        installers: Where `uv` is.
        emulator: What stands for the account.
    """

    def __init__(self, folder: Path, installers: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.blocks = re.findall(r"```sh\n(.*?)```", START, re.DOTALL)
        self.emulator = emulator
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TARGET_DATABOX")}
        self.variables = {
            **kept,
            "PATH": f"{folder}/.bin:{TARGET.parent}:{installers}:/usr/bin:/bin",
            "UV_TOOL_DIR": f"{folder}/.tools",
            "UV_TOOL_BIN_DIR": f"{folder}/.bin",
            "XDG_CACHE_HOME": f"{folder}/.cache",
            "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache" / "uv")),
        }

    def paste(self, word: str, code: int = 0) -> str:
        """Paste the next block, which has a word in it; all that is printed."""
        block = self.blocks.pop(0)
        assert word in block
        account = f'"api_url": "{self.emulator.url}", "api_key": "{self.emulator.api_key}"'
        run = subprocess.run(
            ["/bin/bash", "-c", block.replace('"api_key": "pak_…"', account)],
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=110,
            check=False,
        )
        assert run.returncode == code, run.stdout[-3000:]
        return run.stdout

    def trial_rows(self) -> list[dict[str, Any]]:
        """What the trial's database holds of the orders."""
        store = Store(self.folder / "trial" / "shop.sqlite")
        try:
            return store.rows(store.dataset_titled("orders").id)
        finally:
            store.close()


@pytest.mark.installing
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("installing")
def test_first_hour_can_be_pasted(installers: Path, emulator: Emulator, tmp_path: Path) -> None:
    """Every command of the page works as pasted, in an empty directory, up to the load that cron repeats."""
    hour = Hour(tmp_path, installers, emulator)
    # Tried by the tests of installing, each way of it.
    assert hour.blocks.pop(0).startswith("uv tool install 'target-databox[emulator]")
    assert "Every value of the 1,581 rows is the one in the files." in hour.paste("demo")
    hour.paste("uv tool install tap-jsonl")
    assert "What landed in Shop" in hour.paste("databox-emulator run")
    assert {row["amount"] for row in hour.trial_rows()} == {"19.90", "5.00", "112.50"}
    assert "<title>" in served(hour, hour.blocks.pop(0))
    hints = hour.paste("--dry-run")
    assert '{"column_types": {"orders": {"paid_on": "datetime:%d.%m.%Y", "amount": "number"}}}' in hints
    assert "orders has no keys" in hints
    assert "Hints" not in hour.paste("column_types")
    hour.paste("rm -rf trial")
    assert sorted(str(row["amount"]) for row in hour.trial_rows()) == ["112.50", "19.90", "5.00"]
    assert {row["paid_on"] for row in hour.trial_rows()} == {"2026-01-30", "2026-01-31"}
    assert len(emulator.log) == 0
    assert "Emulated account" in hour.paste("--check")
    assert emulator.store.data_sources() == []
    for word in ("load.sh", "flock"):
        hour.paste(word)
        dataset = emulator.store.dataset_titled("orders")
        assert (dataset.keys, len(emulator.store.rows(dataset.id))) == (("id",), 3)
    assert (tmp_path / "load.done").exists()
    assert hour.blocks == []


def served(hour: Hour, block: str) -> str:
    """The page that a block serves, and a Ctrl-C after it."""
    port = free_port()
    assert "--port 8080" in block
    assert "`http://127.0.0.1:8080/`" in START
    with subprocess.Popen(
        ["/bin/bash", "-c", "exec " + block.replace("8080", str(port))],
        cwd=hour.folder,
        env=hour.variables,
        stdout=subprocess.DEVNULL,
    ) as server:
        deadline = time.monotonic() + 30
        while True:
            try:
                page = requests.get(f"http://127.0.0.1:{port}/", timeout=5)
            except requests.ConnectionError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            else:
                break
        server.send_signal(signal.SIGINT)
    return page.text


ROW = {"id": {"type": "integer"}, "amount": {"type": ["null", "number"]}}
MARK = {"_sdc_deleted_at": {"type": ["null", "string"], "format": "date-time"}}


def configurations() -> list[dict[str, Any]]:
    """The configurations of the page about deletes."""
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", DELETES, re.DOTALL)]
    return [each for each in examples if "stream" not in each]


def deletion() -> dict[str, Any]:
    """The record of a deleted row, as the page shows it."""
    (message,) = (
        json.loads(text)
        for text in re.findall(r"```json\n(.*_sdc_deleted_at.*)\n```", DELETES)
        if "RECORD" in text
    )
    assert isinstance(message, dict)
    return message


def test_deleted_row_is_marked(command: Command) -> None:
    """A deleted row that a tap sends once more stands in its dataset once, with the mark to filter by."""
    messages = [schema(**ROW, **MARK), record(id=1, amount=10.5), record(id=2, amount=2.5), deletion()]
    assert command.run(*messages, state(done=1)).code == 0
    rows = {row["id"]: row.get("_sdc_deleted_at") for row in command.rows()}
    assert rows == {1: "2026-05-01T10:00:00Z", 2: None}
    assert len(command.rows()) == 2
    assert command.emulator.store.dataset_titled("orders").columns["_sdc_deleted_at"].type == "datetime"


def test_deleted_row_can_add_nothing(command: Command) -> None:
    """With the page's expression a deleted row's number is zero, whether or not the tap sends it along."""
    (settings,) = (each for each in configurations() if "stream_maps" in each)
    gone = deletion()
    messages = [
        schema(**ROW, **MARK),
        record(id=1, amount=10.5),
        record(id=2, amount=2.5),
        record(id=3, amount=None),
    ]
    also = record(id=2, amount=2.5, _sdc_deleted_at="2026-05-02T00:00:00Z")
    run = command.run(*messages, gone, also, state(done=1), **settings)
    assert run.code == 0, run.log
    assert {row["id"]: float(row["amount"]) for row in command.rows()} == {1: 0, 2: 0, 3: 0}
    assert command.emulator.store.dataset_titled("orders").columns["amount"].type == "number"


def test_fresh_copy_takes_rows_away(command: Command) -> None:
    """With the page's `overwrite` what the tap no longer sends is gone; without rows nothing is purged."""
    (settings,) = (each for each in configurations() if "load_method" in each)
    assert command.run(schema(**ROW), record(id=1), record(id=2), **settings).code == 0
    run = command.run(schema(**ROW), record(id=2), state(done=1), **settings)
    assert (run.code, run.states) == (0, [])
    assert [row["id"] for row in command.rows()] == [2]
    assert command.run(schema(**ROW), **settings).code == 0
    assert [row["id"] for row in command.rows()] == [2]
