"""The manual's recipes for orchestrators, run as they stand there: side by side, again, and cancelled.

Each recipe drives Meltano with one extractor for each stream. A tap of the test's waits for its sibling, so
that a run ends only where both are at work at once.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
import yaml

from tests.command import TARGET, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker

pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("orchestrators")]

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
STREAMS = ("customers", "orders")
#: Where the manual's project is.
PLACE = "/srv/meltano"
WAIT_SECONDS = 90

#: A tap of two streams. With MEETING it begins when two runs of it are there; with HOLD it never ends.
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
plan = json.loads(pathlib.Path("plan.json").read_text())
meeting = pathlib.Path(plan["meeting"])
(meeting / str(os.getpid())).touch()
deadline = time.monotonic() + 60
while len(list(meeting.iterdir())) < plan["runs"]:
    if time.monotonic() > deadline:
        sys.exit("no other run came")
    time.sleep(0.02)
catalog, state = read("--catalog"), read("--state")
bookmarks = dict(state.get("bookmarks", {{}}))
for entry in catalog["streams"]:
    name = entry["stream"]
    if any(not each["breadcrumb"] and each["metadata"].get("selected") for each in entry["metadata"]):
        say(type="SCHEMA", stream=name, schema=SCHEMA, key_properties=["id"])
        for number in range(bookmarks.get(name, 0) + 1, plan["newest"] + 1):
            say(type="RECORD", stream=name, record={{"id": number, "stream": name}})
        bookmarks[name] = plan["newest"]
        say(type="STATE", value={{"bookmarks": bookmarks}})
        if plan["hold"]:
            time.sleep(300)
"""


class Shop:
    """The manual's Meltano project: an extractor for each stream, and the target of these tests as it is.

    Args:
        folder: Where the project is.
        meltano: The command.
        emulator: What stands for Databox.
    """

    def __init__(self, folder: Path, meltano: Path, emulator: Emulator) -> None:
        self.folder = folder
        self.meltano = meltano
        self.emulator = emulator
        self._meetings = 0
        tap = folder / "tap-shop.py"
        tap.write_text(TAP.format(python=sys.executable), encoding="utf-8")
        tap.chmod(0o755)
        project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
        del project["project_id"]
        (recipe,) = re.findall(r"```yaml\n(plugins:.*?)```", PAGE, re.DOTALL)
        extractors = yaml.safe_load(recipe)["plugins"]["extractors"]
        capabilities = ["catalog", "discover", "state"]
        extractors[0] |= {"namespace": "shop", "executable": "./tap-shop.py", "capabilities": capabilities}
        project["plugins"]["extractors"] = extractors
        # Nothing to install: the tap is a file, and the target is the one that is tested.
        (loader,) = project["plugins"]["loaders"]
        del loader["pip_url"]
        loader["executable"] = str(TARGET)
        loader["config"] = {"batch_size_rows": 50}
        (folder / "meltano.yml").write_text(yaml.safe_dump(project, sort_keys=False), encoding="utf-8")
        # As the manual says: two first runs at once would both make Meltano's database.
        (first,) = re.findall(r"^(meltano state list)$", PAGE, re.MULTILINE)
        words = ["/bin/sh", "-c", first]
        subprocess.run(words, cwd=folder, env=self.variables, capture_output=True, check=True)

    @property
    def variables(self) -> dict[str, str]:
        """The environment of an orchestrator."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TARGET_DATABOX")}
        return {
            **kept,
            "PATH": f"{self.meltano.parent}:{os.environ['PATH']}",
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            "NO_COLOR": "1",
            "TARGET_DATABOX_API_URL": self.emulator.url,
            "TARGET_DATABOX_API_KEY": self.emulator.api_key,
        }

    def plan(self, newest: int, *, hold: bool = False, runs: int = 2) -> None:
        """Have the next runs load up to a row, wait for each other, and perhaps never end."""
        self._meetings += 1
        meeting = self.folder / f"meeting-{self._meetings}"
        meeting.mkdir()
        plan = {"newest": newest, "hold": hold, "runs": runs, "meeting": str(meeting)}
        (self.folder / "plan.json").write_text(json.dumps(plan))

    def recipe(self, language: str, word: str) -> str:
        """The manual's only block in a language that has a word, for this project."""
        blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
        (block,) = (block for block in blocks if word in block)
        assert PLACE in block
        return str(block).replace(PLACE, str(self.folder))

    def bookmark(self, stream: str) -> Any:
        """What Meltano remembers of a stream."""
        got = subprocess.run(
            [self.meltano, "state", "get", f"dev:tap-shop--{stream}-to-target-databox"],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=True,
        )
        line = next(each for each in got.stdout.splitlines() if each.startswith("{"))
        return json.loads(line).get("singer_state", {}).get("bookmarks", {})

    def ids(self, stream: str) -> list[int]:
        """The rows of a stream's dataset, none where it does not exist yet."""
        if stream not in {each.title for each in self.emulator.store.datasets()}:
            return []
        rows = self.emulator.store.rows(self.emulator.store.dataset_titled(stream).id)
        assert {row["stream"] for row in rows} <= {stream}
        return sorted(row["id"] for row in rows)

    def holds(self, newest: int) -> None:
        """Each dataset holds its stream's rows up to one, and each bookmark is there."""
        for stream in STREAMS:
            assert self.ids(stream) == list(range(1, newest + 1))
            assert self.bookmark(stream) == {stream: newest}

    def holds_what_was_in_flight(self, newest: int, before: int) -> None:
        """Each dataset holds its stream's rows up to one, and no bookmark is ahead of them.

        Meltano may drop a STATE that the target writes after a signal, and keeps the bookmark before it then.
        """
        for stream in STREAMS:
            assert self.ids(stream) == list(range(1, newest + 1))
            assert self.bookmark(stream)[stream] in (before, newest)

    def wait_for_posts(self, count: int) -> None:
        """Wait until so many batches were accepted, of both streams together."""

        def accepted() -> bool:
            datasets = self.emulator.store.datasets()
            return sum(len(self.emulator.store.history(each.id)) for each in datasets) >= count

        wait_until(accepted, f"{count} batches")

    def processes(self) -> list[int]:
        """The processes that work in the project, whoever started them."""
        found = []
        for path in Path("/proc").iterdir():
            try:
                if path.name.isdecimal() and (path / "cwd").readlink() == self.folder:
                    found.append(int(path.name))
            except OSError:
                continue
        return found


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait for something that other processes do."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def meltano(environment_of: Callable[[str], Path]) -> Path:
    """Meltano as pinned."""
    return environment_of("meltano") / "meltano"


@pytest.fixture
def shop(meltano: Path, make_emulator: EmulatorMaker, tmp_path: Path) -> Iterator[Shop]:
    """The manual's project, and a Databox that takes some time to store rows."""
    emulator = make_emulator(processing_seconds_min=2.0, processing_seconds_max=2.0)
    folder = tmp_path / "shop"
    folder.mkdir()
    shop = Shop(folder, meltano, emulator)
    yield shop
    for process in shop.processes():
        os.kill(process, signal.SIGKILL)


class Airflow:
    """A whole Airflow on this machine: scheduler with the LocalExecutor, DAG processor and API server.

    Args:
        commands: The directory of its command.
        shop: The project of its DAG.
        home: Where it keeps everything.
    """

    def __init__(self, commands: Path, shop: Shop, home: Path) -> None:
        self.commands = commands
        self.shop = shop
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (home / "dags").mkdir(parents=True)
        (home / "dags" / "databox.py").write_text(shop.recipe("python", "airflow"), encoding="utf-8")
        self.variables = {
            **shop.variables,
            "PATH": f"{commands}:{shop.variables['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
        }
        self._log = (home / "standalone.log").open("wb")
        self._process = subprocess.Popen(
            [commands / "airflow", "standalone"],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        wait_until(self.is_ready, "Airflow to know the DAG")

    def is_ready(self) -> bool:
        """Whether it serves its API, and the DAG with it."""
        assert self._process.poll() is None, (self.home / "standalone.log").read_text()[-3000:]
        try:
            return requests.get(f"{self.url}/api/v2/dags/databox", headers=self.headers(), timeout=60).ok
        except requests.RequestException:
            return False

    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        token = requests.get(f"{self.url}/auth/token", timeout=60).json()["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the API."""
        url = f"{self.url}/api/v2/dags/databox{path}"
        answer = requests.request(method, url, json=body, headers=self.headers(), timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def unpaused(self) -> str:
        """Let the scheduler have the DAG, which starts the run that is due at once."""
        self.call("PATCH", "", {"is_paused": False})
        wait_until(lambda: self.call("GET", "/dagRuns")["dag_runs"], "the scheduler to start a run")
        return str(self.call("GET", "/dagRuns")["dag_runs"][0]["dag_run_id"])

    def triggered(self) -> str:
        """Start a run of the DAG."""
        return str(self.call("POST", "/dagRuns", {"logical_date": None})["dag_run_id"])

    def finish(self, run: str) -> None:
        """Wait until both tasks of a run have ended well."""

        def ended() -> bool:
            states = set(self.states(run).values())
            assert states <= {None, "scheduled", "queued", "running", "success"}, states
            return states == {"success"}

        wait_until(ended, "both tasks")

    def states(self, run: str) -> dict[str, str | None]:
        """The state of each task of a run."""
        tasks = self.call("GET", f"/dagRuns/{run}/taskInstances")["task_instances"]
        return {task["task_id"]: task["state"] for task in tasks}

    def said(self, run: str, stream: str) -> str:
        """The log of a task."""
        (path,) = (self.home / "logs").glob(f"dag_id=databox/run_id={run}/task_id={stream}/attempt=1.log")
        return path.read_text(encoding="utf-8")

    def stop(self) -> None:
        """Stop all of it."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._log.close()


@pytest.mark.orchestrators
def test_airflow_runs_side_by_side(environment_of: Callable[[str], Path], shop: Shop, tmp_path: Path) -> None:
    """Airflow's scheduler runs both tasks at once, twice; a cancelled one ends in order, the next goes on."""
    airflow = Airflow(environment_of("airflow"), shop, tmp_path / "airflow")
    try:
        shop.plan(50)
        airflow.finish(airflow.unpaused())
        shop.holds(50)
        shop.plan(100)
        airflow.finish(airflow.triggered())
        shop.holds(100)
        shop.plan(150, hold=True)
        # So long that the rows are still in flight when Airflow sends the signal, at a heartbeat of the task.
        shop.emulator.faults.add("post_rows", processing_seconds=12.0, times=len(STREAMS))
        run = airflow.triggered()
        shop.wait_for_posts(6)
        airflow.call("PATCH", f"/dagRuns/{run}", {"state": "failed"})
        wait_until(lambda: not shop.processes(), "the cancelled tasks to end")
        for stream in STREAMS:
            said = airflow.said(run, stream)
            assert "Stopping on request; finishing what is in flight" in said
            # Airflow ends its own worker 5 seconds later. Meltano went on without it, and the rows are there.
            assert "Task killed!" in said
        shop.holds_what_was_in_flight(150, before=100)
        shop.plan(200)
        airflow.finish(airflow.triggered())
        shop.holds(200)
    finally:
        airflow.stop()


@pytest.mark.orchestrators
def test_dagster_runs_side_by_side(environment_of: Callable[[str], Path], shop: Shop, tmp_path: Path) -> None:
    """Dagster's default executor runs both assets at once, twice; cancelled ones end in order."""
    commands = environment_of("dagster")
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "definitions.py").write_text(shop.recipe("python", "dagster"), encoding="utf-8")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    log = home / "run.log"

    def started() -> subprocess.Popen[bytes]:
        with log.open("wb") as output:
            return subprocess.Popen(
                [commands / "dagster", "asset", "materialize", "--select", "*", "-f", "definitions.py"],
                cwd=home,
                env={**shop.variables, "DAGSTER_HOME": str(home)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    for newest in (50, 100):
        shop.plan(newest)
        assert started().wait(WAIT_SECONDS) == 0, log.read_text()[-3000:]
        shop.holds(newest)
    shop.plan(150, hold=True)
    run = started()
    shop.wait_for_posts(6)
    # As Dagster's own launcher cancels a run.
    run.send_signal(signal.SIGINT)
    assert run.wait(WAIT_SECONDS) != 0
    wait_until(lambda: not shop.processes(), "the cancelled runs to end")
    said = log.read_text()
    assert said.count("Stopping on request; finishing what is in flight") == len(STREAMS), said[-3000:]
    shop.holds_what_was_in_flight(150, before=100)
    shop.plan(200)
    assert started().wait(WAIT_SECONDS) == 0, log.read_text()[-3000:]
    shop.holds(200)


def cron_line(shop: Shop) -> str:
    """The command of the manual's crontab, as cron would hand it to a shell."""
    path, line = shop.recipe("crontab", "flock").splitlines()
    assert path.startswith("PATH=")
    times = line.split(" ", 5)
    assert all(re.fullmatch(r"\d+|\*", each) for each in times[:5])
    return times[5]


def unit_start(shop: Shop) -> str:
    """The ExecStart of the manual's service, with Meltano from where the test has it."""
    unit = shop.recipe("ini", "ExecStart=")
    (start,) = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)
    (after,) = re.findall(r"^ExecStartPost=(.*)$", unit, re.MULTILINE)
    started = start.replace(f"{shop.folder}/.venv/bin/meltano", str(shop.meltano))
    # systemd runs the second only where the first ended well, and writes both to the journal.
    return f"{{ {started} && {after}; }} >> databox.log 2>&1"


@pytest.mark.orchestrators
@pytest.mark.parametrize("recipe", [cron_line, unit_start], ids=["cron", "systemd"])
def test_lock_keeps_runs_apart(shop: Shop, recipe: Callable[[Shop], str]) -> None:
    """Of two runs of a scheduled line the later does nothing; SIGTERM ends the first in order."""
    command = recipe(shop)
    few = {name: value for name, value in shop.variables.items() if name.startswith(("PATH", "TARGET"))}

    def started() -> subprocess.Popen[bytes]:
        cd = "" if command.startswith("cd ") else f"cd {shop.folder} && "
        return subprocess.Popen(["/bin/sh", "-c", cd + command], env=few, cwd="/")

    done = shop.folder / "databox.done"
    shop.plan(50, runs=1)
    assert started().wait(WAIT_SECONDS) == 0, (shop.folder / "databox.log").read_text()[-3000:]
    assert done.exists()
    shop.holds(50)
    done.unlink()
    shop.plan(100, hold=True, runs=1)
    first = started()
    shop.wait_for_posts(3)
    assert started().wait(WAIT_SECONDS) == 75
    (meltano,) = (
        process
        for process in shop.processes()
        if b"meltano\0run" in Path(f"/proc/{process}/cmdline").read_bytes()
        and Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0] != b"/bin/sh"
    )
    os.kill(meltano, signal.SIGTERM)
    assert first.wait(WAIT_SECONDS) == 143
    wait_until(lambda: not shop.processes(), "the run to end")
    assert not done.exists()
    assert "Stopping on request" in (shop.folder / "databox.log").read_text()
    assert shop.ids("orders") == list(range(1, 101))
    assert shop.bookmark("orders")["orders"] in (50, 100)
    shop.plan(150, runs=1)
    assert started().wait(WAIT_SECONDS) == 0
    shop.holds(150)
    assert done.exists()
