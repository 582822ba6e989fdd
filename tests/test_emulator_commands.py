"""`databox-emulator serve` and `run` as a user meets them: the real command in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.emulator import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [sys.executable, "-m", "target_databox.emulator"]

# What a program that loads three rows would do, with nothing but the standard library.
LOAD = """
import json, os, sys, urllib.request
url, key = os.environ["TARGET_DATABOX_EMULATOR_URL"], os.environ["TARGET_DATABOX_EMULATOR_KEY"]
def post(path, body):
    headers = {"x-api-key": key, "Content-Type": "application/json"}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    return json.load(urllib.request.urlopen(request))
source = post("/v1/data-sources", {"title": "Trial"})["id"]
dataset = post("/v1/datasets", {"title": "Orders", "dataSourceId": source, "primaryKeys": ["id"]})["id"]
post(f"/v1/datasets/{dataset}/data", {"records": [{"id": 1, "amount": 2.50}, {"id": 2}, {"amount": 1}]})
print("said by the command")
sys.exit(int(sys.argv[1]))
"""


def ran(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A finished run of the command."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False, **options
    )


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts the command, and ends it after the test if it still runs."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen([*COMMAND, *arguments], **pipes, **options))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def lines_until(process: subprocess.Popen[str], word: str) -> list[str]:
    """What a process prints, up to a line with a word in it."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.strip())
        if word in line:
            return lines
    raise AssertionError(f"{word} was never printed: {lines}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_how_to_load(start: Any, number: signal.Signals) -> None:
    """It serves at the address that it prints, with the key that it prints, until a signal ends it with 0."""
    process = start("serve", "--port", "0")
    printed = lines_until(process, "EMULATOR_KEY=")
    values = dict(line.removeprefix("export ").split("=") for line in printed if line.startswith("export"))
    url, key = values["TARGET_DATABOX_EMULATOR_URL"], values["TARGET_DATABOX_EMULATOR_KEY"]
    assert requests.get(f"{url}/v1/accounts", headers={"x-api-key": key}, timeout=5).status_code == 200
    process.send_signal(number)
    rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "Stopped.\n", "")


def test_serve_takes_keys_limits_and_faults(start: Any) -> None:
    """Keys, accounts, limits, faults and assumptions are options."""
    options = ["--api-key", "pak_mine", "--account", "7:Shop:client", "--requests-per-hour", "3"]
    options += ["--fault", "accounts,nth=2,status=503", "--throttle-answer", "html"]
    process = start("serve", "--port", "0", *options)
    url = lines_until(process, "EMULATOR_URL=")[-1].partition("=")[2]
    answers = [
        requests.get(f"{url}/v1/accounts", headers={"x-api-key": "pak_mine"}, timeout=5) for _ in range(4)
    ]
    assert [each.status_code for each in answers] == [200, 503, 200, 429]
    assert answers[0].json()["accounts"] == [{"id": 7, "name": "Shop", "accountType": "client"}]
    assert answers[3].headers["Content-Type"].startswith("text/html")


def test_serve_takes_a_role_and_faults_of_one_version(start: Any) -> None:
    """The role of the keys' users is an option, and a fault may be for one version of the API."""
    options = ["--api-key", "pak_mine", "--role", "viewer", "--fault", "v2_timezones,status=503"]
    process = start("serve", "--port", "0", *options)
    url = lines_until(process, "EMULATOR_URL=")[-1].partition("=")[2]
    paths = ("/v2/profile", "/v2/organization/timezones", "/v1/accounts/timezones")
    answers = [requests.get(url + path, headers={"x-api-key": "pak_mine"}, timeout=5) for path in paths]
    assert [each.status_code for each in answers] == [200, 503, 200]
    assert answers[0].json()["data"]["role"] == "viewer"


def test_serve_warns_of_open_doors(start: Any) -> None:
    """An address that others can reach is served with a warning."""
    process = start("serve", "--port", "0", "--host", "0.0.0.0")  # noqa: S104 -- that is what the warning is about
    lines_until(process, "EMULATOR_KEY=")
    process.send_signal(signal.SIGINT)
    assert "everybody who can reach 0.0.0.0" in process.communicate(timeout=10)[1]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["serve", "--fault", "nonsense,status=500"], "No route is called 'nonsense'"),
        (["serve", "--fault", "accounts"], "does nothing"),
        (["serve", "--fault", "v1_profile,status=500"], "No route is called 'v1_profile'"),
        (["serve", "--role", "owner"], "'owner' is not one of"),
        (["serve", "--account", "x"], "not like 123456:Name"),
        (["serve", "--processing-seconds-min", "5"], "must not be more than processing_seconds_max"),
        (["serve", "--list-order", "random"], "newest-first"),
        (["serve", "--database", __file__], "is not a database of the emulator"),
        (["serve", "--database", f"{__file__}/none"], "can't be opened"),
        (["run", "--cooldown-seconds", "nan", "true"], "must be a number of at least 0"),
        (["run", "--page-size-cap", "0", "true"], "must be at least 1"),
        (["run", "--requests-per-second", "nan", "true"], "'nan' is no number above 0"),
        (["run", "--requests-per-second", "x", "true"], "'x' is no number above 0"),
        (["run", "--api-key", "", "true"], "A key has to have characters"),
        (["run", "--account", "1:a", "--account", "1:b", "true"], "Two accounts have the same id"),
        (["run"], "Missing argument 'COMMAND...'"),
        (["run", "--nonsense", "--", "true"], "No such option"),
    ],
)
def test_wrong_command_lines_are_explained(arguments: list[str], complaint: str) -> None:
    """A wrong command line ends with 2 and says what is wrong."""
    done = ran(*arguments)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_taken_port_is_explained(start: Any) -> None:
    """A port that is taken ends the command with 1 and a sentence."""
    process = start("serve", "--port", "0")
    port = lines_until(process, "EMULATOR_URL=")[-1].rpartition(":")[2]
    done = ran("serve", "--port", port)
    assert (done.returncode, done.stderr) == (
        1,
        f"Error: Can't listen on 127.0.0.1:{port}: Address already in use.\n",
    )


def test_address_of_others_is_explained() -> None:
    """An address that is not this machine's ends the command with 1 and a sentence."""
    done = ran("run", "--host", "192.0.2.1", "--", "true")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("Error: Can't listen on 192.0.2.1: ")


@pytest.mark.parametrize("code", [0, 3])
def test_run_shows_what_landed(code: int) -> None:
    """It exits with the command's code, and prints what landed where it disturbs no pipe."""
    done = ran("run", "--rows", "2", "--", sys.executable, "-c", LOAD, str(code))
    assert (done.returncode, done.stdout) == (code, "said by the command\n")
    assert "What landed in Trial" in done.stderr
    assert "Orders: id (number), amount (number)" in done.stderr
    assert "2.5" in done.stderr
    assert "3 requests." in done.stderr


def test_run_keeps_a_database(tmp_path: Path) -> None:
    """With --database the rows stay, in a file that can be looked at and loaded into again."""
    path = tmp_path / "trial.db"
    for _ in range(2):
        assert ran("run", "--database", str(path), "--", sys.executable, "-c", LOAD, "0").returncode == 0
    store = Store(path)
    assert [each.row_count for each in store.datasets()] == [2, 2]
    store.close()


def test_run_shuts_the_way_to_real_accounts(tmp_path: Path) -> None:
    """The command's environment names the emulator everywhere, no proxy, and bookmarks of its own."""
    inherited = {
        **os.environ,
        "TARGET_DATABOX_API_KEY": "pak_real",
        "TARGET_DATABOX_EMULATOR_URL": "http://127.0.0.1:1",
    }
    inherited |= {
        "MELTANO_STATE_BACKEND_URI": "s3://real",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "NO_PROXY": "intra.net",
    }
    done = ran("run", "--database", str(tmp_path / "x.db"), "--", sys.executable, "-c", SHOW, env=inherited)
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    url = variables["TARGET_DATABOX_EMULATOR_URL"]
    assert url.startswith("http://127.0.0.1:")
    assert url != "http://127.0.0.1:1"
    assert variables["TARGET_DATABOX_API_URL"] == url
    assert variables["TARGET_DATABOX_EMULATOR_KEY"] == variables["TARGET_DATABOX_API_KEY"] != "pak_real"
    assert variables["MELTANO_STATE_BACKEND_URI"].startswith((tmp_path / "x.db.state").as_uri())
    assert variables["NO_PROXY"].split(",")[:2] == ["intra.net", "127.0.0.1"]


# Says whether there is a bookmark, and leaves one.
BOOKMARK = """
import os, pathlib, urllib.parse
uri = os.environ["MELTANO_STATE_BACKEND_URI"]
folder = pathlib.Path(urllib.parse.unquote(urllib.parse.urlsplit(uri).path))
print((folder / "bookmark").exists())
(folder / "bookmark").touch()
"""


def test_bookmarks_belong_to_their_database(tmp_path: Path) -> None:
    """A database keeps its bookmarks; a new one in the same place starts without any, whoever made it."""
    path = tmp_path / "my trial.sqlite"

    def found() -> str:
        done = ran("run", "--database", str(path), "--", sys.executable, "-c", BOOKMARK)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert [found(), found()] == ["False", "True"]
    path.unlink()
    assert [found(), found()] == ["False", "True"]
    path.unlink()
    Store(path).close()
    assert [found(), found()] == ["False", "True"]


def test_bookmarks_without_a_place_are_explained(tmp_path: Path) -> None:
    """Where the directory of the bookmarks can't be made the command ends with 2, before anything is run."""
    (tmp_path / "x.db.state").touch()
    done = ran("run", "--database", str(tmp_path / "x.db"), "--", sys.executable, "-c", "print('ran')")
    assert (done.returncode, done.stdout) == (2, "")
    assert "x.db.state can't hold the trial's bookmarks: File exists." in done.stderr


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed.")
def test_git_is_offered_no_trial(tmp_path: Path) -> None:
    """Git is offered no bookmarks anywhere, and no database in a directory that was made for it."""
    git = str(shutil.which("git"))

    def offered() -> list[str]:
        status = [git, "status", "--porcelain", "--untracked-files=all"]
        return subprocess.run(status, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()

    subprocess.run([git, "init", "-q"], cwd=tmp_path, check=True)
    script = f"{BOOKMARK}\nassert os.path.exists('trial/shop.sqlite-wal')"
    done = ran("run", "--database", "trial/shop.sqlite", "--", sys.executable, "-c", script, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("trial/shop.sqlite.state/*/bookmark"))
    assert offered() == []
    done = ran("run", "--database", "beside.sqlite", "--", sys.executable, "-c", BOOKMARK, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert offered() == ["??", "beside.sqlite"]
    (tmp_path / "there").mkdir()
    assert ran("run", "--database", "there/x.sqlite", "--", "true", cwd=tmp_path).returncode == 0
    assert not (tmp_path / "there" / ".gitignore").exists()


def test_unlimited_run_is_not_paced(tmp_path: Path) -> None:
    """With --no-limits the target makes more requests than its configured pace allows."""
    config, messages = tmp_path / "config.json", tmp_path / "messages"
    config.write_text('{"api_key": "real", "requests_per_second": 20, "batch_size_rows": 1}')
    lines: list[dict[str, Any]] = [
        {
            "type": "SCHEMA",
            "stream": "s",
            "key_properties": ["n"],
            "schema": {"properties": {"n": {"type": "integer"}}},
        }
    ]
    lines += [{"type": "RECORD", "stream": "s", "record": {"n": n}} for n in range(60)]
    messages.write_text("".join(json.dumps(line) + "\n" for line in lines))
    program = "from target_databox.command import main; main()"
    target = [sys.executable, "-c", program, "--config", str(config), "--input", str(messages)]
    done = ran("run", "--no-limits", "--processing-seconds-max", "0.1", "--", *target)
    assert done.returncode == 0, done.stderr
    assert " 0.0 s waited for the rate limit" in done.stderr
    inherited = {**os.environ, "TARGET_DATABOX_EMULATOR_NO_LIMITS": "true"}
    show = ran("run", "--", sys.executable, "-c", SHOW, env=inherited)
    assert "TARGET_DATABOX_EMULATOR_NO_LIMITS" not in show.stdout


def test_unlimited_server_says_so(start: Any) -> None:
    """With --no-limits the server prints the variable that lets the target go as fast as it can."""
    process = start("serve", "--port", "0", "--no-limits")
    assert lines_until(process, "NO_LIMITS")[-1] == "export TARGET_DATABOX_EMULATOR_NO_LIMITS=true"


SHOW = "import os; print(*(f'{name}={value}' for name, value in os.environ.items()), sep='\\n')"


def test_run_forgets_its_bookmarks() -> None:
    """Without --database, the place of the bookmarks is there while the command runs, and gone afterwards."""
    script = "import os; path = os.environ['MELTANO_STATE_BACKEND_URI'][7:]; print(path, os.path.isdir(path))"
    path, there = ran("run", "--", sys.executable, "-c", script).stdout.split()
    assert there == "True"
    assert not os.path.exists(path)  # noqa: PTH110 -- a path in text


@pytest.mark.parametrize(
    ("command", "code"),
    [(["no-such-command-here"], 127), ([os.path.devnull], 126), (["sh", "-c", "kill -TERM $$"], 143)],
)
def test_run_ends_as_a_shell_would(command: list[str], code: int) -> None:
    """A command that is not found, can't be run, or dies of a signal gives the code that a shell gives."""
    assert ran("run", "--", *command).returncode == code


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_run_passes_signals_on(start: Any, number: signal.Signals) -> None:
    """A signal to the runner reaches the command once, and its own exit code comes out."""
    script = (
        "import signal, time, sys\n"
        "caught = []\n"
        f"signal.signal({int(number)}, lambda *_: caught.append(1))\n"
        "print('ready', flush=True)\n"
        "while not caught: time.sleep(0.01)\n"
        "time.sleep(0.05)\n"
        "sys.exit(40 + len(caught))\n"
    )
    process = start("run", "--", sys.executable, "-c", script, start_new_session=True)
    lines_until(process, "ready")
    process.send_signal(number)
    began = time.monotonic()
    assert "No dataset was made." in process.communicate(timeout=10)[1]
    assert process.returncode == 41
    assert time.monotonic() - began < 5


def test_run_makes_what_is_configured(tmp_path: Path) -> None:
    """An account, a data source and a dataset whose ids only the real API knows are made in the emulator."""
    dataset_id = "11111111-2222-4333-8444-555555555555"
    config, messages, database = (tmp_path / name for name in ("config.json", "messages", "trial.db"))
    config.write_text(json.dumps({"api_key": "real", "data_source_id": 99, "dataset_ids": {"s": dataset_id}}))
    schema = {"properties": {"n": {"type": "integer"}}}
    lines: list[dict[str, Any]] = []
    for stream in ("t", "s"):
        lines.append({"type": "SCHEMA", "stream": stream, "key_properties": [], "schema": schema})
        lines.append({"type": "RECORD", "stream": stream, "record": {"n": 1}})
    messages.write_text("".join(json.dumps(line) + "\n" for line in lines))
    program = "from target_databox.command import main; main()"
    target = [sys.executable, "-c", program, "--config", str(config), "--input", str(messages)]
    done = ran("run", "--database", str(database), "--", *target)
    assert done.returncode == 0, done.stderr
    store = Store(database)
    made, adopted = store.datasets()
    assert (made.title, made.data_source_id, made.row_count) == ("t", 99, 1)
    assert (adopted.id, adopted.data_source_id, adopted.row_count) == (dataset_id, 99, 1)
    store.close()
