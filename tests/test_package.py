"""The package says of itself what is true, and nothing that builds or publishes it can change unnoticed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

import target_databox

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PINS = {
    "requirements/dev.txt": (
        *PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"]["emulator"],
        *(PROJECT["dependency-groups"][group] for group in ("test", "lint", "build")),
    ),
    "requirements/audit.txt": (PROJECT["dependency-groups"]["audit"],),
    "requirements/meltano.txt": (PROJECT["dependency-groups"]["meltano"],),
    **{
        f"requirements/{group}.txt": (PROJECT["dependency-groups"][group],)
        for group in (
            *("installers", "airflow", "dagster"),
            *("postgres", "tap-postgres", "pipelinewise-tap-postgres", "tap-spreadsheets"),
            *("secantusdb", "tap-mongodb"),
        )
    },
    "target_databox/emulator/data/tap-jsonl.txt": (PROJECT["dependency-groups"]["demo"],),
}


def distribution_name(requirement: str) -> str:
    """The normalised name of a requirement such as `Foo_bar[extra]>=1`."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement, maxsplit=1)[0]).lower()


def wanted_names(wishes: tuple[Any, ...]) -> set[str]:
    """The names in requirements and in lists of them."""
    flat = [each for wish in wishes for each in (wish if isinstance(wish, list) else [wish])]
    return {distribution_name(each) for each in flat}


@pytest.mark.parametrize("file", sorted(PINS))
def test_requirements_are_pinned_with_hashes(file: str) -> None:
    """Everything that pyproject.toml asks for is pinned, and every pin has hashes."""
    text = (ROOT / file).read_text(encoding="utf-8")
    entries = re.findall(r"^[a-z][^\n]*(?:\n {4}--hash[^\n]*)*", text, re.MULTILINE)
    assert all(" \\\n    --hash=sha256:" in entry for entry in entries)
    assert wanted_names(PINS[file]) <= {distribution_name(entry) for entry in entries}


@pytest.mark.parametrize("file", sorted(PINS))
def test_requirements_name_no_registry(file: str) -> None:
    """Pinned requirements work with any mirror, since they name no place to get them from."""
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not re.search(r"(https?|file)://|--(extra-)?index-url|--find-links|--trusted-host", text)


def test_remake_knows_every_file() -> None:
    """The script that makes the pins again makes all of them."""
    remake = (ROOT / "requirements" / "remake").read_text(encoding="utf-8")
    assert set(re.findall(r"--output-file (\S+)", remake)) == set(PINS)
    found = [*(ROOT / "requirements").glob("*.txt"), *ROOT.glob("target_databox/**/*.txt")]
    assert {str(path.relative_to(ROOT)) for path in found} == set(PINS)


def test_demo_and_meltano_use_one_tap() -> None:
    """The version of the tap that the demo pins is the one of meltano.yml."""
    (wanted,) = PROJECT["dependency-groups"]["demo"]
    assert f"\n{wanted} \\\n" in (ROOT / "target_databox/emulator/data/tap-jsonl.txt").read_text(
        encoding="utf-8"
    )
    project = yaml.safe_load((ROOT / "meltano.yml").read_text(encoding="utf-8"))
    pip_urls = [each.get("pip_url") for each in project["plugins"]["extractors"]]
    assert [each for each in pip_urls if each] == [wanted]


def audited(tmp_path: Path, text: str, code: int) -> tuple[int, str]:
    """Exit code of requirements/audit with pins and a pip-audit of the test's, and how that was called."""
    folder = tmp_path / "requirements"
    folder.mkdir()
    (tmp_path / "target_databox" / "emulator" / "data").mkdir(parents=True)
    shutil.copy(ROOT / "requirements" / "audit", folder)
    (folder / "a.txt").write_text(text)
    (tmp_path / "target_databox" / "emulator" / "data" / "b.txt").write_text("b==1\n")
    stand_in = tmp_path / "pip-audit"
    stand_in.write_text(f"#!/bin/sh\necho called: $@\nexit {code}\n")
    stand_in.chmod(0o755)
    done = subprocess.run(
        [folder / "audit"],
        env={**os.environ, "PIP_AUDIT": str(stand_in)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_audit_is_strict(tmp_path: Path) -> None:
    """Every file of pins is audited, and what can't be looked up is a failure."""
    code, told = audited(tmp_path, "a==1\n", 0)
    assert code == 0
    calls = re.findall(r"called: (.*)", told)
    assert all(each.startswith("--strict --require-hashes --disable-pip --requirement ") for each in calls)
    assert [each.rpartition("/")[2] for each in calls] == ["a.txt", "b.txt"]


@pytest.mark.parametrize(("text", "code"), [("a==1\n", 1), ("# nothing\n", 0), ("", 0)])
def test_audit_of_nothing_fails(tmp_path: Path, text: str, code: int) -> None:
    """A file without pins, or an audit that fails, fails the whole."""
    assert audited(tmp_path, text, code)[0] == 1


def test_workflow_audits_all_pins() -> None:
    """CI runs the same audit that a contributor runs."""
    text = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    assert "run: PIP_AUDIT=.venv-audit/bin/pip-audit requirements/audit" in text


def test_version_is_reported_alike() -> None:
    """The command, the module and the installed metadata tell one version."""
    command = [str(Path(sys.executable).parent / "target-databox"), "--version"]
    reported = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert target_databox.__version__ in reported
    assert metadata.version("target-databox") == target_databox.__version__


def test_changelog_begins_with_unreleased() -> None:
    """The changelog has a place for what comes next, before all releases."""
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"


def test_python_versions_agree() -> None:
    """What the classifiers promise is what CI tests."""
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    workflow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["tests"]["strategy"]["matrix"]["python-version"] == promised
    assert PROJECT["project"]["requires-python"] == f">={promised[0]}"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit(path: Path) -> None:
    """Every action of others is named by its commit, with the version beside it."""
    uses = re.findall(r"uses: (\S+)(.*)", path.read_text(encoding="utf-8"))
    assert uses
    for action, comment in uses:
        if not action.startswith("./"):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)
            assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_only_read(path: Path) -> None:
    """A workflow's token reads the repository; only publishing may do more, and only for its signatures."""
    workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        extra = {right: level for right, level in job.get("permissions", {}).items() if level != "read"}
        assert extra == ({"id-token": "write", "attestations": "write"} if name == "publish" else {})


def test_gate_waits_for_every_job() -> None:
    """The one job that branch protection looks at depends on all others."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8"))["jobs"]
    assert set(jobs["gate"]["needs"]) == set(jobs) - {"gate"}
