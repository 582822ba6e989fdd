"""Meltano drives the target as a new user would, and a trial never reaches an account or moves a bookmark."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from target_databox.emulator import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker

# In one process: Meltano is installed once for all of them.
pytestmark = [pytest.mark.meltano, pytest.mark.timeout(400), pytest.mark.xdist_group("meltano")]

ROOT = Path(__file__).resolve().parent.parent
EMULATOR = str(Path(sys.executable).parent / "databox-emulator")
PAIR = ("tap-jsonl", "target-databox")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SOURCES = ("LICENSE", "README.md", "hub", "meltano.yml", "pyproject.toml", "target_databox")


@pytest.fixture(scope="module")
def meltano(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Meltano as pinned, in an environment of its own."""
    environment = tmp_path_factory.mktemp("meltano")
    venv.create(environment, with_pip=True)
    pins = ROOT / "requirements" / "meltano.txt"
    # Most of its modules are never imported, so compiling all of them would take the longest.
    install = ["-m", "pip", "install", "-qq", "--no-compile", "--require-hashes", "-r", str(pins)]
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
    author = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    for words in (("init", "--quiet"), ("add", "."), (*author, "commit", "--quiet", "-m", "All")):
        said(project, "git", *words)
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
    (pip_url,) = re.findall(r"^meltano config set target-databox _pip_url '(.*)'$", README, re.MULTILINE)
    source = pip_url.replace("https://git.example/target-databox.git", f"file://{repository}")
    assert source != pip_url
    said(project, meltano, "config", "set", "target-databox", "_pip_url", source)
    renamed = ("--plugin-type", "loader", "--inherit-from", "target-databox", "--no-install")
    for name in ("target-databox--eu", "target-databox-us"):
        said(project, meltano, "add", name, *renamed)
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


#: A tap of two streams that waits, before it reads its files, until another run of it has got as far.
TAP = """#!{python}
import json, os, pathlib, sys, time

def read(option):
    at = sys.argv.index(option) + 1 if option in sys.argv else 0
    return json.loads(pathlib.Path(sys.argv[at]).read_text()) if at else {{}}

def say(**message):
    print(json.dumps(message), flush=True)

SCHEMA = {{"type": "object", "properties": {{"id": {{"type": "integer"}}, "stream": {{"type": "string"}}}}}}
if "--discover" in sys.argv:
    metadata = [{{"breadcrumb": [], "metadata": {{"inclusion": "available"}}}}]
    streams = [
        {{"tap_stream_id": name, "stream": name, "schema": SCHEMA, "metadata": metadata}}
        for name in ("orders", "customers")
    ]
    say(streams=streams)
    sys.exit()
meeting = pathlib.Path(os.environ["MEETING"])
(meeting / str(os.getpid())).touch()
deadline = time.monotonic() + 20
while len(list(meeting.iterdir())) < 2:
    if time.monotonic() > deadline:
        sys.exit("no other run came")
    time.sleep(0.02)
catalog, state = read("--catalog"), read("--state")
bookmarks = dict(state.get("bookmarks", {{}}))
for entry in catalog["streams"]:
    name = entry["stream"]
    if any(not each["breadcrumb"] and each["metadata"].get("selected") for each in entry["metadata"]):
        say(type="SCHEMA", stream=name, schema=SCHEMA, key_properties=[])
        newest = bookmarks.get(name, 0)
        for number in range(newest + 1, int(os.environ["NEWEST"]) + 1):
            say(type="RECORD", stream=name, record={{"id": number, "stream": name}})
        bookmarks[name] = int(os.environ["NEWEST"])
        say(type="STATE", value={{"bookmarks": bookmarks}})
"""


@pytest.fixture
def shop(newcomer: Path, tmp_path: Path) -> Path:
    """The newcomer's project with the manual's extractors, one inherited for each stream."""
    project = tmp_path / "shop"
    shutil.copytree(newcomer, project, symlinks=True)
    tap = project / "tap-shop.py"
    tap.write_text(TAP.format(python=sys.executable), encoding="utf-8")
    tap.chmod(0o755)
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(plugins:.*?)```", page, re.DOTALL)
    extractors = yaml.safe_load(recipe)["plugins"]["extractors"]
    extractors[0] |= {
        "namespace": "tap_shop",
        "executable": "./tap-shop.py",
        "capabilities": ["catalog", "discover", "state"],
    }
    path = project / "meltano.yml"
    configuration = yaml.safe_load(path.read_text(encoding="utf-8"))
    configuration["plugins"]["extractors"] = extractors
    path.write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
    return project


def recipe_runs() -> list[list[str]]:
    """The manual's runs that are to go on side by side."""
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    runs = re.findall(r"^meltano (run tap-shop--\w+ target-databox) &$", page, re.MULTILINE)
    assert len(runs) == 2
    return [run.split() for run in runs]


def account(loader: str, emulator: Emulator) -> dict[str, str]:
    """The variables with which Meltano's loader reaches an emulator as if it were an account."""
    prefix = loader.upper().replace("-", "_")
    return {f"{prefix}_API_URL": emulator.url, f"{prefix}_API_KEY": emulator.api_key}


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


def test_extra_brings_the_emulator(meltano: str, newcomer: Path) -> None:
    """With the README's pip_url the emulator is where the README says, and its packages are beside it."""
    (path,) = re.findall(r"`(\.meltano/\S+/databox-emulator)`", README)
    assert "What landed" in said(newcomer, path, "run", "--", meltano, "run", "--full-refresh", *PAIR)


def test_dry_run_sends_nothing(meltano: str, newcomer: Path, emulator: Emulator) -> None:
    """The README's dry run says what a run would send, without a request and without moving a bookmark."""
    (line,) = re.findall(r"^meltano invoke tap-shop \| .*:dry-run$", README, re.MULTILINE)
    path = f"{Path(meltano).parent}:{os.environ['PATH']}"
    named = account("target-databox", emulator)
    line = line.replace("tap-shop", "tap-jsonl")
    reported = said(newcomer, "bash", "-o", "pipefail", "-c", line, PATH=path, **named)
    assert re.search(r"rows\W+1,?461", reported), reported
    assert len(emulator.log) == 0
    assert "tap-jsonl-to-target-databox" not in said(newcomer, meltano, "state", "list")


def test_verify_compares_what_a_run_loaded(meltano: str, newcomer: Path, tmp_path: Path) -> None:
    """The manual's verification finds every row of a run equal, and a changed one by its key."""
    page = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^meltano invoke tap-shop \| .*:verify$", page, re.MULTILINE)
    path = f"{Path(meltano).parent}:{os.environ['PATH']}"
    database = tmp_path / "trial.sqlite"
    trial = (EMULATOR, "run", "--database", str(database), "--read-lag-seconds", "0", "--")
    verification = (*trial, "bash", "-o", "pipefail", "-c", line.replace("tap-shop", "tap-jsonl"))
    quick = {"TARGET_DATABOX_LISTING_LAG_SECONDS": "0"}
    said(newcomer, *trial, meltano, "run", "--full-refresh", *PAIR)
    assert "Everything that was read is in Databox, and equal." in said(
        newcomer, *verification, PATH=path, **quick
    )
    with contextlib.closing(sqlite3.connect(database)) as opened, opened:
        opened.execute("UPDATE rows SET body = replace(body, '\"drizzle\"', '\"fog\"') WHERE seq = 1")
    told = said(newcomer, *verification, code=1, PATH=path, **quick)
    assert re.search(r"seattle_weather: column weather differs in 1 row: date 2012", told), told[-2000:]


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


def test_trial_goes_over_to_v2(meltano: str, repository: Path, newcomer: Path, tmp_path: Path) -> None:
    """With `api_version` a trial goes on from where v1 ended, in the same dataset; nothing is doubled."""
    database = tmp_path / "trial.sqlite"
    trial = (EMULATOR, "run", "--database", str(database), "--", meltano, "run", *PAIR)
    said(newcomer, *trial)
    told = said(newcomer, *trial, TARGET_DATABOX_API_VERSION="v2")
    assert "with bookmark value: 20" in told
    stored = {str(row): row for row in stored_rows(database, "seattle_weather")}
    assert stored == {str(row): row for row in source_rows(repository, "seattle_weather")}
    said(newcomer, *trial, "--full-refresh", TARGET_DATABOX_API_VERSION="v2")
    assert len(stored_rows(database, "seattle_weather")) == len(stored)
    with contextlib.closing(Store(database)) as store:
        assert len(store.datasets()) == len(store.data_sources()) == 1
        assert max(each.received for each in store.history()) == 500


def test_trials_share_their_bookmark(meltano: str, repository: Path, tmp_path: Path) -> None:
    """Of two trials with one database the second tap starts where the first one ended."""
    database = tmp_path / "trial.sqlite"
    trial = (EMULATOR, "run", "--database", str(database), "--", meltano, "run", *PAIR)
    assert "with bookmark value: None" in said(repository, *trial)
    assert "with bookmark value: 20" in said(repository, *trial)


def test_new_database_starts_anew(meltano: str, repository: Path, tmp_path: Path) -> None:
    """A trial whose database was removed reads everything again, and without limits waits for nothing."""
    database = tmp_path / "trial.sqlite"
    trial = (EMULATOR, "run", "--no-limits", "--database", str(database), "--", meltano, "run", *PAIR)
    said(repository, *trial)
    database.unlink()
    told = said(repository, *trial)
    assert "with bookmark value: None" in told
    assert " 0.0 s waited for the rate limit" in told
    assert len(stored_rows(database, "seattle_weather")) == len(source_rows(repository, "seattle_weather"))


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
    trial = (EMULATOR, "run", "--database", str(database), "--", meltano, "run", "tap-jsonl", loader)
    said(newcomer, *trial, **account(loader, emulator))
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
        "PRIMARY_KEYS": '{"seattle_weather": ["date", "weather"]}',
        "KEYLESS_STREAMS": "hash",
    }
    named = {f"TARGET_DATABOX_{name}": value for name, value in variables.items()}
    said(newcomer, meltano, "run", "--full-refresh", "tap-jsonl", "target-databox", **named)
    dataset = emulator.store.dataset_titled("From variables")
    assert dataset.keys == ("date", "weather")
    assert max(each.received for each in emulator.store.history(dataset.id)) == 50


@pytest.mark.parametrize("loader", ["target-databox", "target-databox--eu", "target-databox-us"])
def test_check_reports_the_account(meltano: str, newcomer: Path, emulator: Emulator, loader: str) -> None:
    """The loader's `check` command, renamed or not, looks at the configured account and creates nothing."""
    objects = {"column_types": '{"a.b": {"amount": "number"}}', "primary_keys": '{"a.b": ["id"], "c": []}'}
    for name, value in objects.items():
        said(newcomer, meltano, "config", "set", "target-databox", name, value)
    reported = said(newcomer, meltano, "invoke", f"{loader}:check", **account(loader, emulator))
    assert "Emulated account" in reported
    assert emulator.api_key not in reported
    assert emulator.store.data_sources() == []


def test_parallel_runs_load_their_own_streams(
    meltano: str, shop: Path, emulator: Emulator, tmp_path: Path
) -> None:
    """Of two runs side by side each loads its stream alone and moves its own bookmark, three times."""
    for number in (1, 2, 3):
        newest = number * 50
        meeting = tmp_path / f"meeting-{number}"
        meeting.mkdir()
        variables = {
            "TARGET_DATABOX_API_URL": emulator.url,
            "TARGET_DATABOX_API_KEY": emulator.api_key,
            "MEETING": str(meeting),
            "NEWEST": str(newest),
        }
        with ThreadPoolExecutor() as pool:
            runs = [pool.submit(said, shop, meltano, *run, **variables) for run in recipe_runs()]
            for run in runs:
                run.result()
        for stream in ("orders", "customers"):
            rows = emulator.store.rows(emulator.store.dataset_titled(stream).id)
            assert sorted(row["id"] for row in rows) == list(range(1, newest + 1))
            assert {row["stream"] for row in rows} == {stream}
            reported = said(shop, meltano, "state", "get", f"dev:tap-shop--{stream}-to-target-databox")
            value = json.loads(next(line for line in reported.splitlines() if line.startswith("{")))
            assert value["singer_state"] == {"bookmarks": {stream: newest}}


@pytest.mark.parametrize(
    ("loader", "command"),
    [
        ("target-databox", ("invoke", "target-databox:check")),
        ("target-databox", ("run", "--full-refresh", *PAIR)),
        ("target-databox--eu", ("invoke", "target-databox--eu:check")),
        ("target-databox-us", ("run", "--full-refresh", "tap-jsonl", "target-databox-us")),
    ],
)
def test_misspelt_variables_are_refused(
    meltano: str, newcomer: Path, emulator: Emulator, loader: str, command: tuple[str, ...]
) -> None:
    """A variable that neither Meltano nor the loader knows ends a run and a check alike."""
    named = account(loader, emulator)
    reported = said(newcomer, meltano, *command, code=1, TARGET_DATABOX_BATCH_SIZE_ROW="5", **named)
    assert (
        "TARGET_DATABOX_BATCH_SIZE_ROW is not a setting of target-databox; did you mean "
        "TARGET_DATABOX_BATCH_SIZE_ROWS?"
    ) in reported
    assert len(emulator.log) == 0


def test_emulator_in_dotenv_counts(
    meltano: str, newcomer: Path, emulator: Emulator, make_emulator: EmulatorMaker
) -> None:
    """With the emulator's variables in the project's .env a run loads there, not into the account."""
    trial, path = make_emulator(), newcomer / ".env"
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(
        f"{before}\nTARGET_DATABOX_EMULATOR_URL={trial.url}\nTARGET_DATABOX_EMULATOR_KEY={trial.api_key}\n",
        encoding="utf-8",
    )
    try:
        named = account("target-databox", emulator)
        said(newcomer, meltano, "run", "--full-refresh", *PAIR, **named)
    finally:
        path.write_text(before, encoding="utf-8")
    assert trial.store.dataset_titled("seattle_weather")
    assert len(emulator.log) == 0
