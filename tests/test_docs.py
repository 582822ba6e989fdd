"""The documents say what the code does: settings, commands, states of a batch, error texts, links."""

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
from target_databox.delivery.batches import TRANSITIONS, Batch, Destination, Event, Lane, Place, State
from target_databox.delivery.rejections import Reason
from target_databox.settings.table import TABLE

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sys.executable).parent
#: Every document by its path from the root.
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        ROOT / "README.md",
        ROOT / "SECURITY.md",
        ROOT / "CHANGELOG.md",
        ROOT / ".github" / "CONTRIBUTING.md",
        ROOT / "tests" / "MUTANTS.md",
        *sorted((ROOT / "docs").glob("*.md")),
    )
}
README = DOCUMENTS["README.md"]
CONTRIBUTING = DOCUMENTS[".github/CONTRIBUTING.md"]
MUTANTS = DOCUMENTS["tests/MUTANTS.md"]
#: What users read: the README and the pages that it leads to.
MANUAL = {path: text for path, text in DOCUMENTS.items() if path == "README.md" or path.startswith("docs/")}


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


def blocks(language: str, text: str) -> list[str]:
    """The code blocks of a document in a language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def manual_blocks(language: str) -> list[str]:
    """The code blocks of all that users read in a language."""
    return [block for text in MANUAL.values() for block in blocks(language, text)]


def table(text: str, *heading: str) -> list[list[str]]:
    """The rows of a document's table with a heading, cell by cell."""
    begin = text.index(f"| {' | '.join(heading)} |")
    lines = text[begin:].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("|")]


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def help_text(*command: str) -> str:
    """What a command says when it is asked for help."""
    run = subprocess.run(
        [SCRIPTS / command[0], *command[1:], "--help"], capture_output=True, text=True, check=True
    )
    return run.stdout


def test_generated_parts_are_current(describe: ModuleType, about: dict[str, Any]) -> None:
    """Every part of a document that repeats the code is what scripts/describe.py makes of it."""
    for path, text in describe.described_files(about).items():
        assert path.read_text(encoding="utf-8") == text, (
            f"Run scripts/describe.py: {path.name} is out of date."
        )


def test_about_shows_every_setting(about: dict[str, Any]) -> None:
    """--about has every setting of the table, with a title and a description."""
    shown = about["settings"]["properties"]
    assert {setting.name for setting in TABLE} == set(shown)
    assert all(schema.get("title") and schema.get("description") for schema in shown.values())


def test_about_says_what_the_target_does(about: dict[str, Any]) -> None:
    """--about begins with what the target is for, not with how its code is divided."""
    assert about["description"] == "Loads the output of any Singer tap into Databox datasets."


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
    demo, tests = (block.strip() for block in blocks("sh", README)[:2])
    assert demo.endswith("databox-emulator demo")
    assert tests.endswith("/pytest -n auto")
    assert not {"\n"} & {*demo, *tests}


def test_readme_is_short() -> None:
    """The README has at most 200 lines, and leads to every page of docs/."""
    assert len(README.splitlines()) <= 200
    assert {path for path in MANUAL if path != "README.md"} <= set(re.findall(r"\]\(([^)#]+)", README))


def test_every_setting_is_documented() -> None:
    """The table of settings has every setting, once and in the order of --about."""
    rows = table(DOCUMENTS["docs/settings.md"], "setting", "values", "default", "meaning")
    assert [row[0].strip("`") for row in rows] == [setting.name for setting in TABLE]
    assert all(all(row) for row in rows)


def test_documented_settings_exist() -> None:
    """Whatever a document gives a value, as in `name: value`, or names in a table is a setting."""
    names = {setting.name for setting in TABLE}
    text = "\n".join(MANUAL.values())
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)(?:: [^`]+)?`", text))
    # Singer's and Meltano's own words.
    assert named - names == {"key_properties", "inherit_from"}
    assert {row[0].strip("`") for row in table(README, "setting", "for")} <= names


def test_states_are_those_of_the_code() -> None:
    """The picture and tables of a batch's states have each state and transition of the code alone."""
    text = DOCUMENTS["docs/guarantees.md"]
    (picture,) = blocks("mermaid", text)
    named = {each.name.lower().replace("_", " "): each for each in State}
    happening = {each.name.lower().replace("_", " "): each for each in Event}
    drawn = re.findall(r"^    (\w+) --> (\w+): (.+)$", picture, re.MULTILINE)
    moves = {(named[before], happening[event]): named[after] for before, after, event in drawn}
    assert len(drawn) == len(moves)
    assert moves == TRANSITIONS
    rows = table(text, "state", "event", "what happened", "next")
    assert [(before, after, event) for before, event, _, after in rows] == drawn
    assert {row[0] for row in table(text, "state", "meaning")} == set(named)


def test_picture_begins_and_ends() -> None:
    """In the picture a batch begins as a new one does, and ends in the states that nothing leads out of."""
    (picture,) = blocks("mermaid", DOCUMENTS["docs/guarantees.md"])
    fresh = Batch(Lane(Destination("s", "d", "t", is_keyed=True)), [], Place(), 0.0)
    assert re.findall(r"\[\*\] --> (\w+)$", picture, re.MULTILINE) == [fresh.state.name.lower()]
    final = {state.name.lower() for state in set(State) - {state for state, _ in TRANSITIONS}}
    assert set(re.findall(r"(\w+) --> \[\*\]$", picture, re.MULTILINE)) == final


def test_every_reason_is_documented() -> None:
    """The page about rejected records has every reason that the rejects file can name."""
    rows = table(DOCUMENTS["docs/rejects.md"], "reason", "what happened")
    assert [row[0].strip("`") for row in rows] == [reason.value for reason in Reason]


def test_documented_commands_exist() -> None:
    """Every command, subcommand and option in the documents is one that help knows."""
    # `meltano add target-databox` and the like name the loader, not the command.
    spoken = re.sub(r"^.*\bmeltano .*$", "", "\n".join([*MANUAL.values(), CONTRIBUTING]), flags=re.MULTILINE)
    for name in ("serve", "run", "demo"):
        assert f"databox-emulator {name}" in README
        helped = help_text("databox-emulator", name)
        calls = re.findall(rf"databox-emulator {name}((?: --(?!-)[a-z-]+(?: [\w.,=]+)?)*)", spoken)
        for option in re.findall(r"--[a-z-]+", " ".join(calls)):
            assert option in helped
    helped = help_text("target-databox")
    calls = re.findall(r"target-databox((?: --[a-z-]+(?: [\w.]+)?)+)", spoken)
    options = re.findall(r"--[a-z-]+", " ".join(calls))
    assert {"--config", "--check", "--dry-run", "--verify", "--about"} <= set(options)
    for option in options:
        assert option in helped


def test_emulator_options_exist() -> None:
    """Every option that the emulator's page names is one of the emulator or of a command that it runs."""
    options = set(re.findall(r"(?<![\w-])--[a-z-]+", DOCUMENTS["docs/emulator.md"]))
    known = "".join(help_text("databox-emulator", name) for name in ("serve", "demo"))
    known += help_text("target-databox")
    assert {option for option in options if option not in known} == set()


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
    """Every error text that the page about troubleshooting explains is one that the code says."""
    spoken = re.sub(r"\s*…\s*", "…", spoken_texts())
    rows = table(DOCUMENTS["docs/troubleshooting.md"], "it says", "because", "do")
    quoted = [text for row in rows for text in re.findall(r"`([^`]+)`", row[0])]
    assert len(quoted) > 5
    assert [text for text in quoted if re.sub(r"\s*…\s*", "…", text) not in spoken] == []


def test_examples_are_valid() -> None:
    """Python in the documents compiles, YAML parses, and JSON is a configuration or a Singer message."""
    for code in manual_blocks("python"):
        compile(code, "a document", "exec")
    for text in manual_blocks("yaml"):
        yaml.safe_load(text)
    examples = [json.loads(text) for text in manual_blocks("json")]
    names = {setting.name for setting in TABLE}
    assert examples
    assert all("stream" in example or set(example) <= names for example in examples)


@pytest.mark.parametrize("path", sorted(DOCUMENTS))
def test_links_lead_somewhere(path: str) -> None:
    """Every link within the repository leads to a file, and to a heading of it, that exist."""
    text = re.sub(r"```.*?```", "", DOCUMENTS[path], flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = ((ROOT / path).parent / file).resolve() if file else ROOT / path
        assert linked.is_file(), target
        if anchor:
            assert anchor in anchors(linked.read_text(encoding="utf-8")), target


def test_pages_lead_to_each_other() -> None:
    """Every page of docs/ begins with the same way to all the others, itself in bold."""
    pages = [path for path in MANUAL if path != "README.md"]
    ways = set()
    for path in pages:
        way = MANUAL[path].splitlines()[2]
        assert {f"docs/{file}" for file in re.findall(r"\]\((\w+\.md)\)", way)} == {*pages} - {path}
        ways.add(re.sub(r"\*\*|\[|\]|\([^)]*\)", "", way))
    assert len(ways) == 1


def test_described_modules_exist() -> None:
    """Every module that CONTRIBUTING or the list of mutations names exists."""
    package = ROOT / "target_databox"
    parts = [row[0] for row in table(CONTRIBUTING, "part of `target_databox/`", "knows", "must not import")]
    for part in re.findall(r"`([^`]+)`", " ".join(parts)):
        assert (package / part).exists(), part
    tried = [row[0].strip("`") for row in table(MUTANTS, "module", "mutations", "killed", "survived")]
    assert tried
    assert [module for module in tried if not (package / f"{module}.py").is_file()] == []
