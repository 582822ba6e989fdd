"""Meltano drives the target as a new user would, and a trial never reaches an account or moves a bookmark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from target_databox.emulator import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_databox.emulator import Emulator

# In one process: Meltano is installed once for all of them.
pytestmark = [pytest.mark.meltano, pytest.mark.timeout(400), pytest.mark.xdist_group("meltano")]

ROOT = Path(__file__).resolve().parent.parent
EMULATOR = str(Path(sys.executable).parent / "databox-emulator")
PAIR = ("tap-jsonl", "target-databox")
SOURCES = ("LICENSE", "README.md", "hub", "meltano.yml", "pyproject.toml", "target_databox")


@pytest.fixture(scope="module")
def meltano(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Meltano as pinned, in an environment of its own."""
    environment = tmp_path_factory.mktemp("meltano")
    venv.create(environment, with_pip=True)
    pins = ROOT / "requirements" / "meltano.txt"
    install = ["-m", "pip", "install", "-qq", "--require-hashes", "-r", str(pins)]
    subprocess.run([str(environment / "bin" / "python"), *install], check=True)
    return str(environment / "bin" / "meltano")


@pytest.fixture(scope="module")
def repository(meltano: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this repository's Meltano project, with its plugins installed."""
    project = tmp_path_factory.mktemp("repository")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, project / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, project / name)
    said(project, meltano, "install")
    return project


@pytest.fixture(scope="module")
def newcomer(meltano: str, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of somebody who added the loader by its definition, and a tap of the repository's."""
    home = tmp_path_factory.mktemp("newcomer")
    said(home, meltano, "init", "project")
    project = home / "project"
    definition = str(repository / "hub" / "target-databox.yml")
    add = ("add", "target-databox", "--plugin-type", "loader", "--from-ref", definition, "--no-install")
    said(project, meltano, *add)
    said(project, meltano, "config", "set", "target-databox", "_pip_url", str(repository))
    renamed = ("--plugin-type", "loader", "--inherit-from", "target-databox", "--no-install")
    said(project, meltano, "add", "target-databox--eu", *renamed)
    path = project / "meltano.yml"
    configuration = yaml.safe_load(path.read_text(encoding="utf-8"))
    configuration["plugins"]["extractors"] = taps(repository)
    path.write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
    said(project, meltano, "install")
    return project


def taps(repository: Path) -> list[dict[str, Any]]:
    """The repository's extractors, reading from where the repository is."""
    configuration = yaml.safe_load((repository / "meltano.yml").read_text(encoding="utf-8"))
    extractors: list[dict[str, Any]] = configuration["plugins"]["extractors"]
    for extractor in extractors:
        extractor["config"]["path"] = str(repository / extractor["config"]["path"])
    return extractors


def said(project: Path, *command: str, code: int = 0, **variables: str) -> str:
    """Everything that a command says, which ends with a code."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("TARGET_", "MELTANO_"))
    }
    quiet: Mapping[str, str] = {"MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false", "NO_COLOR": "1"}
    run = subprocess.run(
        command,
        cwd=project,
        env={**inherited, **quiet, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=180,
    )
    assert run.returncode == code, run.stdout[-4000:]
    return run.stdout


def source_rows(project: Path, stream: str) -> list[dict[str, Any]]:
    """The rows that the repository's tap reads for a stream."""
    text = (project / f"target_databox/emulator/data/{stream}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def stored_rows(database: Path, stream: str) -> list[dict[str, Any]]:
    """The rows that an emulator's database holds for a stream."""
    store = Store(database)
    try:
        return [json.loads(text) for text in store.row_texts(store.dataset_titled(stream).id)]
    finally:
        store.close()


def test_repository_project_loads_twice(meltano: str, repository: Path, tmp_path: Path) -> None:
    """The repository's own project loads every value of its data sets, and a second run changes nothing."""
    database = tmp_path / "trial.sqlite"
    trial = (EMULATOR, "run", "--database", str(database), "--", meltano, "run", "--full-refresh")
    for _ in range(2):
        said(repository, *trial, "tap-jsonl", "target-databox", "tap-jsonl--employment", "target-databox")
        for stream in ("seattle_weather", "us_employment"):
            stored = {str(row): row for row in stored_rows(database, stream)}
            assert stored
            assert stored == {str(row): row for row in source_rows(repository, stream)}


def test_trials_share_their_bookmark(meltano: str, repository: Path, tmp_path: Path) -> None:
    """Of two trials with one database the second tap is told where the first one ended."""
    database = tmp_path / "trial.sqlite"
    trial = (EMULATOR, "run", "--database", str(database), "--", meltano, "run", *PAIR)
    assert "with bookmark value: None" in said(repository, *trial)
    assert "with bookmark value: 20" in said(repository, *trial)


def test_trial_moves_no_bookmark(meltano: str, newcomer: Path, tmp_path: Path) -> None:
    """A trial keeps its bookmarks beside its own database: the project's stay as they were."""
    database = tmp_path / "trial.sqlite"
    trial = (
        EMULATOR,
        "run",
        "--database",
        str(database),
        "--",
        meltano,
        "run",
        "tap-jsonl",
        "target-databox",
    )
    said(newcomer, *trial)
    assert stored_rows(database, "seattle_weather")
    assert "tap-jsonl-to-target-databox" not in said(newcomer, meltano, "state", "list")


@pytest.mark.parametrize("loader", ["target-databox", "target-databox--eu"])
def test_trial_never_reaches_the_account(
    meltano: str, newcomer: Path, emulator: Emulator, tmp_path: Path, loader: str
) -> None:
    """A trial leaves the configured account alone, be its address in the project, in .env or in variables."""
    said(newcomer, meltano, "config", "set", "target-databox", "api_url", emulator.url)
    said(newcomer, meltano, "config", "set", "target-databox", "api_key", emulator.api_key)
    database = tmp_path / "trial.sqlite"
    prefix = loader.upper().replace("-", "_")
    trial = (EMULATOR, "run", "--database", str(database), "--", meltano, "run", "tap-jsonl", loader)
    said(newcomer, *trial, **{f"{prefix}_API_URL": emulator.url, f"{prefix}_API_KEY": emulator.api_key})
    assert stored_rows(database, "seattle_weather")
    assert len(emulator.log) == 0


def test_variables_reach_the_target(meltano: str, newcomer: Path, emulator: Emulator) -> None:
    """Numbers, booleans and objects from variables, all of them text, arrive as they were meant."""
    variables = {
        "API_URL": emulator.url,
        "API_KEY": emulator.api_key,
        "DATASET_TITLES": '{"seattle_weather": "From variables"}',
        "REQUESTS_PER_SECOND": "1000.5",
        "BATCH_SIZE_ROWS": "50",
        "SCHEMA_DECLARATION": "false",
    }
    named = {f"TARGET_DATABOX_{name}": value for name, value in variables.items()}
    said(newcomer, meltano, "run", "--full-refresh", "tap-jsonl", "target-databox", **named)
    dataset = emulator.store.dataset_titled("From variables")
    assert max(each.received for each in emulator.store.history(dataset.id)) == 50


@pytest.mark.parametrize("loader", ["target-databox", "target-databox--eu"])
def test_check_tells_of_the_account(meltano: str, newcomer: Path, emulator: Emulator, loader: str) -> None:
    """The loader's `check` command, renamed or not, looks at the configured account and creates nothing."""
    said(
        newcomer, meltano, "config", "set", "target-databox", "column_types", '{"a.b": {"amount": "number"}}'
    )
    named = {"TARGET_DATABOX_API_URL": emulator.url, "TARGET_DATABOX_API_KEY": emulator.api_key}
    renamed = {"TARGET_DATABOX__EU_API_URL": emulator.url, "TARGET_DATABOX__EU_API_KEY": emulator.api_key}
    told = said(newcomer, meltano, "invoke", f"{loader}:check", **named, **renamed)
    assert "Emulated account" in told
    assert emulator.api_key not in told
    assert emulator.store.data_sources() == []
