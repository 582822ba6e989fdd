"""Each way of installing that the README shows, tried: no clone, no development packages, two commands."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.command import DEADLINE_SECONDS, QUICK, record, schema, state, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.emulator import Emulator

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
SOURCES = (".dockerignore", "Dockerfile", "LICENSE", "README.md", "pyproject.toml", "target_databox")
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
#: What stands in the README for the address of this repository.
ADDRESS = "https://git.example/target-databox.git"
#: The image's user, and one whom no machine knows.
USER = 10001


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they are, committed to a repository of their own."""
    folder = tmp_path_factory.mktemp("repository")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    for words in (["init", "--quiet"], ["add", "."], [*author, "commit", "--quiet", "-m", "All"]):
        ran("git", *words, folder=folder)
    return folder


def ran(*command: str | Path, folder: Path | None = None, code: int = 0, **variables: str) -> str:
    """All that a command prints, which ends with a code."""
    run = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == code, run.stdout[-3000:]
    return run.stdout


def readme_line(beginning: str) -> str:
    """The README's only command that begins so."""
    (line,) = re.findall(rf"^{re.escape(beginning)}.*$", README, re.MULTILINE)
    return str(line)


def loads(commands: Path, emulator: Emulator, folder: Path) -> None:
    """The commands in a directory are there, and the target loads a row with them."""
    assert "target-databox, version" in ran(commands / "target-databox", "--version").replace(
        " v", ", version "
    )
    config = folder / "config.json"
    config.write_text(json.dumps({"api_url": emulator.url, "api_key": emulator.api_key, **QUICK}))
    run = subprocess.run(
        [commands / "target-databox", "--config", config],
        input=text(schema(), record(id=1), state(done=1)),
        capture_output=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert (run.returncode, json.loads(run.stdout)) == (0, {"done": 1}), run.stderr.decode()
    assert len(emulator.store.rows(emulator.store.dataset_titled("orders").id)) == 1


@pytest.mark.installing
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("installing")
@pytest.mark.parametrize(
    ("habit", "source"),
    [("uv tool install ", "git"), ("uv tool install ", "wheel"), ("pipx install ", "git")],
)
def test_tool_installs_without_a_clone(
    installers: Path, repository: Path, emulator: Emulator, tmp_path: Path, habit: str, source: str
) -> None:
    """The tools uv and pipx install both commands from a git address and from a wheel, as the README says."""
    line = readme_line(habit).replace(ADDRESS, f"file://{repository}")
    if source == "wheel":
        ran(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", tmp_path, repository)
        (wheel,) = tmp_path.glob("*.whl")
        line = line.replace(f"git+file://{repository}", f"file://{wheel}")
    assert str(tmp_path if source == "wheel" else repository) in line
    commands = tmp_path / "bin"
    places = {
        "UV_TOOL_DIR": str(tmp_path / "tools"),
        "UV_TOOL_BIN_DIR": str(commands),
        "PIPX_HOME": str(tmp_path / "tools"),
        "PIPX_BIN_DIR": str(commands),
    }
    ran("bash", "-c", line, folder=tmp_path, PATH=f"{installers}:{os.environ['PATH']}", **places)
    loads(commands, emulator, tmp_path)
    assert "serve" in ran(commands / "databox-emulator", "--help")


@pytest.mark.installing
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("installing")
def test_missing_extra_names_its_source(installers: Path, repository: Path, tmp_path: Path) -> None:
    """Without the extra the emulator says how to install it, from where the target was installed."""
    venv.create(tmp_path)
    command = tmp_path / "bin" / "databox-emulator"
    install = (installers / "uv", "pip", "install", "-q", "--python", tmp_path / "bin" / "python")
    for source in (f"git+file://{repository}", f"file://{repository}"):
        ran(*install, "--reinstall-package", "target-databox", f"target-databox @ {source}")
        said = ran(command, "serve", code=1)
        wanted = f"target-databox[emulator] @ {source}"
        assert said.endswith(f"Install target-databox again, in the same way, as '{wanted}'.\n")
    ran(*install, wanted)
    assert "Usage: databox-emulator" in ran(command, "--help")


class Image:
    """The Dockerfile carried out without Docker: its paths within a directory, its steps one after the other.

    Args:
        folder: What stands for the root of the image's file system.
        context: The directory that is sent to the build.
    """

    def __init__(self, folder: Path, context: Path) -> None:
        self.folder = folder
        self.environment = {"EXTRAS": ""}
        self.work = folder
        self.user = ""
        self.entrypoint: list[str] = []
        lines = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
        for line in filter(None, lines):
            word, _, rest = line.partition(" ")
            getattr(self, f"do_{word.lower()}")(rest, context)

    def within(self, words: str) -> str:
        """A step's words with the image's absolute paths within the directory."""
        return re.sub(r"(?<![\w.$}])/(?=(opt|src|data)\b)", f"{self.folder}/", words)

    def do_from(self, rest: str, _: Path) -> None:
        """A stage begins with the base image, whose Python is this machine's."""
        assert rest.startswith("python:3.")
        self.work = self.folder

    def do_workdir(self, rest: str, _: Path) -> None:
        """A directory, made if it is missing."""
        self.work = Path(self.within(rest))
        self.work.mkdir(parents=True, exist_ok=True)

    def do_copy(self, rest: str, context: Path) -> None:
        """Files of the context into the image; between the stages everything stays where it is."""
        *sources, target = rest.split()
        if sources[0].startswith("--from="):
            assert sources[1] == target
            return
        for source in sources:
            place = self.work / target
            if (context / source).is_dir():
                shutil.copytree(context / source, place)
            else:
                shutil.copy(context / source, place)

    def do_arg(self, rest: str, _: Path) -> None:
        """An argument with its default."""
        assert rest == 'EXTRAS=""'

    def do_env(self, rest: str, _: Path) -> None:
        """A variable of the image."""
        name, _, value = rest.partition("=")
        path = f"{self.folder}/python:{os.environ['PATH']}"
        self.environment[name] = self.within(value).replace("$PATH", path)

    def do_run(self, rest: str, _: Path) -> None:
        """A step of the build, run by a shell."""
        path = f"{self.folder}/python:{os.environ['PATH']}"
        ran("bash", "-euc", self.within(rest), folder=self.work, **{**self.environment, "PATH": path})

    def do_user(self, rest: str, _: Path) -> None:
        """Who runs what follows."""
        self.user = rest

    def do_entrypoint(self, rest: str, _: Path) -> None:
        """The command of a container."""
        self.entrypoint = json.loads(rest)


@pytest.fixture(scope="module")
def image(repository: Path) -> Iterator[Image]:
    """The image, where everybody may read it."""
    # A Python that users other than the one who runs the tests may start, where there is one.
    common = Path("/usr/bin/python3")
    known = (
        common.exists() and ran(common, "-c", "import sys; print(sys.version_info >= (3, 10))") == "True\n"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "python").mkdir()
        (folder / "python" / "python").symlink_to(common if known else sys.executable)
        (folder / "python" / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
        (folder / "python" / "pip").chmod(0o755)
        yield Image(folder, repository)


@pytest.mark.installing
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("installing")
def test_container_runs_as_nobody(image: Image, emulator: Emulator) -> None:
    """The image's command, as the first process of a container and its user, loads and obeys SIGTERM."""
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    assert image.user == f"{USER}:{USER}"
    config = image.folder / "data" / "config.json"
    config.write_text(json.dumps({"api_url": emulator.url, "api_key": emulator.api_key, **QUICK}))
    program = shutil.which(image.entrypoint[0], path=image.environment["PATH"])
    assert program is not None
    assert program.startswith(str(image.folder))
    container = subprocess.Popen(
        [
            *("unshare", "--pid", "--fork", "--kill-child"),
            *("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", program),
            *("--config", config, *image.entrypoint[1:]),
        ],
        cwd=image.work,
        env={"PATH": image.environment["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert container.stdin is not None
    assert container.stdout is not None
    container.stdin.write(text(schema(), record(id=1), state(done=1), record(id=2)))
    container.stdin.flush()
    first = container.stdout.readline()
    assert json.loads(first) == {"done": 1}, container.stderr and container.stderr.read()
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    process = int(children.read_text().split()[0])
    status = Path(f"/proc/{process}/status").read_text()
    assert re.search(rf"^Uid:\s+{USER}\s+{USER}", status, re.MULTILINE)
    assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE)
    os.kill(process, signal.SIGTERM)
    out, log = container.communicate(timeout=DEADLINE_SECONDS)
    assert (container.returncode, out) == (143, b""), log.decode()
    rows = emulator.store.rows(emulator.store.dataset_titled("orders").id)
    assert {row["id"] for row in rows} <= {1, 2}


@pytest.mark.installing
@pytest.mark.timeout(300)
@pytest.mark.xdist_group("installing")
def test_image_is_small(image: Image) -> None:
    """What the image adds to Python is under 150 MB, with neither pip nor a test of ours in it."""
    added = image.folder / "opt" / "target-databox"
    megabytes = sum(path.stat().st_size for path in added.rglob("*") if path.is_file()) / 1e6
    print(f"{megabytes:.0f} MB")  # noqa: T201 -- a figure for the log
    assert megabytes < 150
    assert not list(added.rglob("pip"))


def test_dockerfile_hides_no_signal() -> None:
    """The image starts the target itself, without a shell, as a user who is not root."""
    assert re.findall(r"^(?:ENTRYPOINT|CMD).*", DOCKERFILE, re.MULTILINE) == ['ENTRYPOINT ["target-databox"]']
    users = re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE)
    assert users == [f"{USER}:{USER}"]


def test_context_holds_what_is_copied() -> None:
    """Everything that the Dockerfile copies is sent to the build, and nothing else is."""
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [shlex.split(rest) for rest in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)]
    assert {source for *sources, _ in copies for source in sources} == sent
    assert (ROOT / ".dockerignore").read_text().splitlines()[0] == "*"


def fields(form: dict[str, Any]) -> dict[str, Any]:
    """The fields of an issue form that a user fills in, by their id."""
    return {each["id"]: each for each in form["body"] if each["type"] != "markdown"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_issue_forms_are_valid(path: Path) -> None:
    """Every issue form has what GitHub asks of one, and says that no key belongs into it."""
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.name == "config.yml":
        assert form == {"blank_issues_enabled": True}
        return
    assert {"name", "description", "body"} <= set(form)
    assert all({"label"} <= set(each["attributes"]) for each in fields(form).values())
    assert len(fields(form)) == len([each for each in form["body"] if each["type"] != "markdown"])
    assert "API key" in path.read_text(encoding="utf-8")


def test_issue_forms_ask_for_versions() -> None:
    """Both forms ask which version is used, so that nobody has to ask again."""
    forms = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in FORMS if path.name != "config.yml"]
    assert len(forms) == 2
    assert all(fields(form)["version"]["validations"]["required"] for form in forms)
