"""What is written for users is what the code does: settings, commands, error texts, links."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import target_databox
from target_databox.settings.table import TABLE

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sys.executable).parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def describe() -> ModuleType:
    """The script that repeats the settings."""
    spec = importlib.util.spec_from_file_location("describe", ROOT / "scripts" / "describe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def about(describe: ModuleType) -> dict[str, Any]:
    """What the installed command says of itself."""
    described: dict[str, Any] = describe.about()
    return described


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def section(title: str) -> str:
    """The README's text under a heading of the second level."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def help_text(*command: str) -> str:
    """What a command says when it is asked for help."""
    run = subprocess.run(
        [SCRIPTS / command[0], *command[1:], "--help"], capture_output=True, text=True, check=True
    )
    return run.stdout


def test_settings_stand_everywhere(describe: ModuleType, about: dict[str, Any]) -> None:
    """The README, meltano.yml and the Hub definition say of every setting what --about says."""
    for path, text in describe.described_files(about).items():
        assert path.read_text(encoding="utf-8") == text, (
            f"Run scripts/describe.py: {path.name} is out of date."
        )


def test_about_shows_every_setting(about: dict[str, Any]) -> None:
    """--about has every setting of the table, with a title and a description."""
    shown = about["settings"]["properties"]
    assert {setting.name for setting in TABLE} == set(shown)
    assert all(schema.get("title") and schema.get("description") for schema in shown.values())


def test_meltano_hides_the_key() -> None:
    """Meltano treats the key as a secret, gives it no default, and passes on no number as a decimal."""
    for path, loader in (
        ("meltano.yml", lambda project: project["plugins"]["loaders"][0]),
        ("hub/target-databox.yml", lambda definition: definition),
    ):
        settings = loader(yaml.safe_load((ROOT / path).read_text(encoding="utf-8")))["settings"]
        assert [each["name"] for each in settings if each.get("sensitive")] == ["api_key"]
        assert "value" not in next(each for each in settings if each["name"] == "api_key")
        assert "decimal" not in {each["kind"] for each in settings}


def test_ci_runs_the_readme_command() -> None:
    """CI takes its test command from the README, where it stands once, and CONTRIBUTING has the same."""
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv .venv-test && ")]
    assert len(commands) == 1
    assert commands[0] in CONTRIBUTING.splitlines()
    assert 'step "tests (the README\'s command)" tests' in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_readme_begins_with_two_commands() -> None:
    """The README's first two commands are one line each: the demo and the tests."""
    demo, tests = (block.strip() for block in blocks("sh")[:2])
    assert demo.endswith("databox-emulator demo")
    assert tests.endswith("/pytest -n auto")
    assert not {"\n"} & {*demo, *tests}


def test_documented_commands_exist() -> None:
    """Every command, subcommand and option in the README's shell blocks and tables is one that help knows."""
    # `meltano add target-databox` and the like name the loader, not the command.
    spoken = re.sub(r"^.*\bmeltano .*$", "", README + CONTRIBUTING, flags=re.MULTILINE)
    for name in ("serve", "run", "demo"):
        assert f"databox-emulator {name}" in README
        helped = help_text("databox-emulator", name)
        calls = re.findall(rf"databox-emulator {name}((?: --(?!-)[a-z-]+(?: [\w.]+)?)*)", spoken)
        for option in re.findall(r"--[a-z-]+", " ".join(calls)):
            assert option in helped
    helped = help_text("target-databox")
    calls = re.findall(r"target-databox((?: --[a-z-]+(?: [\w.]+)?)+)", spoken)
    options = re.findall(r"--[a-z-]+", " ".join(calls))
    assert {"--config", "--check", "--dry-run", "--about"} <= set(options)
    for option in options:
        assert option in helped


def test_no_command_is_undocumented() -> None:
    """Every subcommand of the emulator and every option of the target is in the README."""
    names = re.findall(r"^  ([a-z]+)\s", help_text("databox-emulator").split("Commands:")[1], re.MULTILINE)
    assert all(f"databox-emulator {name}" in README for name in names)
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", help_text("target-databox")))
    # Offered by every SDK target and explained by --help alone.
    assert {option for option in options if option not in README} <= {"--no-validate"}


def spoken_texts() -> str:
    """Every text in the package's code, with `…` where a value is put in."""
    texts = []
    for path in Path(target_databox.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                texts.append(
                    "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return "\n".join(texts)


def test_troubleshooting_quotes_real_errors() -> None:
    """Every error text that the README explains is one that the code says."""
    spoken = re.sub(r"\s*…\s*", "…", spoken_texts())
    rows = [line.split("|")[1] for line in section("Troubleshooting").splitlines() if line.startswith("| ")]
    quoted = [text for cell in rows[2:] for text in re.findall(r"`([^`]+)`", cell)]
    assert len(quoted) > 5
    assert [text for text in quoted if re.sub(r"\s*…\s*", "…", text) not in spoken] == []


def test_examples_are_valid() -> None:
    """The README's Python compiles, its JSON parses, and its column types are a setting."""
    for code in blocks("python"):
        compile(code, "README.md", "exec")
    examples = [json.loads(text) for text in blocks("json")]
    names = {setting.name for setting in TABLE}
    assert examples
    assert all(set(example) <= names for example in examples)


def test_links_lead_somewhere() -> None:
    """Every link within the repository leads to a file or a heading that exists."""
    anchors = {
        re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    }
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors
        elif "://" not in target:
            assert (ROOT / target).exists(), target
