#!/usr/bin/env python3
"""Generates the parts of documents and definitions that repeat the code, so that they can't drift from it.

The settings that `target-databox --about` shows go to `docs/settings.md`, to the loader in `meltano.yml`, and
to the definition for Meltano Hub and `meltano add --from-ref`, `hub/target-databox.yml`. A batch's states,
from `target_databox.delivery.batches`, go to `docs/guarantees.md`. Run it where the tests run:

    .venv-test/bin/python scripts/describe.py
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from target_databox.delivery.batches import TRANSITIONS, Event, State

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = {
    "check": {
        "args": "--config ENV --check",
        "description": "See whether a run could start: key, account, time zone, data source, request budget.",
    },
    "dry-run": {
        "args": "--config ENV --dry-run",
        "description": "Read Singer messages on standard input and say what a run would send; sends nothing.",
    },
    "verify": {
        "args": "--config ENV --verify",
        "description": "Read Singer messages and the datasets, and say what is not equal; sends nothing.",
    },
}
ENDS = {
    "docs/settings.md": "<!-- settings: {} -->",
    "docs/guarantees.md": "<!-- states: {} -->",
    "meltano.yml": "      # settings: {}",
}


def about() -> dict[str, Any]:
    """What the installed command says of itself."""
    command = [str(Path(sys.executable).parent / "target-databox"), "--about", "--format", "json"]
    spoken = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    described: dict[str, Any] = json.loads(spoken)
    return described


def kind(schema: dict[str, Any]) -> str:
    """Meltano's kind of a setting."""
    if "enum" in schema:
        return "options"
    first = str(next(word for word in schema["type"] if word != "null"))
    # Meltano can't pass on a `decimal` that comes from the environment; number text is understood.
    return {"number": "string"}.get(first, first)


def meltano_setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A setting as Meltano declares it."""
    setting: dict[str, Any] = {"name": name, "label": schema["title"], "kind": kind(schema)}
    if schema.get("secret"):
        setting["sensitive"] = True
    if "default" in schema:
        number_text = setting["kind"] == "string" and not isinstance(schema["default"], str)
        setting["value"] = f"{schema['default']:g}" if number_text else schema["default"]
    if "enum" in schema:
        setting["options"] = [{"label": word.capitalize(), "value": word} for word in schema["enum"]]
    setting["description"] = schema["description"]
    return setting


def meltano_settings(described: dict[str, Any]) -> list[dict[str, Any]]:
    """Every setting as Meltano declares it."""
    return [meltano_setting(name, schema) for name, schema in described["settings"]["properties"].items()]


def values_text(schema: dict[str, Any]) -> str:
    """Type and range of a setting in a few words."""
    if "enum" in schema:
        return ", ".join(f"`{word}`" for word in schema["enum"])
    first = next(word for word in schema["type"] if word != "null")
    low, high = schema.get("minimum", schema.get("minLength")), schema.get("maximum", schema.get("maxLength"))
    bounds = ""
    if "exclusiveMinimum" in schema:
        bounds = f" > {schema['exclusiveMinimum']}"
    elif first != "string" and low is not None:
        bounds = f", {low:,} to {high:,}" if high is not None else f" ≥ {low:,}"
    elif high is not None:
        bounds = f" of {low} to {high} characters"
    return first + bounds + (", secret" if schema.get("secret") else "")


def default_text(name: str, schema: dict[str, Any], required: list[str]) -> str:
    """The default of a setting, or that it has none."""
    if name in required:
        return "required"
    default = schema.get("default")
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, (int, float)):
        return f"{default:,g}" if default < 1_000_000 else f"{default:,.0f}"
    return f"`{default}`" if default else "none"


def settings_table(described: dict[str, Any]) -> str:
    """Every setting as a row of a Markdown table."""
    settings = described["settings"]
    rows = ["| setting | values | default | meaning |", "| --- | --- | --- | --- |"]
    for name, schema in settings["properties"].items():
        default = default_text(name, schema, settings["required"])
        rows.append(f"| `{name}` | {values_text(schema)} | {default} | {schema['description']} |")
    return "\n".join(rows)


def phrase(member: Event | State) -> str:
    """The name of a state or an event as words."""
    return member.name.lower().replace("_", " ")


def state_diagram() -> str:
    """The table of a batch's states as a Mermaid diagram; a batch begins in the first state."""
    final = [state for state in State if not any(state is before for before, _ in TRANSITIONS)]
    return "\n".join(
        [
            "```mermaid",
            "stateDiagram-v2",
            f"    [*] --> {phrase(next(iter(State)))}",
            *(
                f"    {phrase(before)} --> {phrase(after)}: {phrase(event)}"
                for (before, event), after in TRANSITIONS.items()
            ),
            *(f"    {phrase(state)} --> [*]" for state in final),
            "```",
        ]
    )


def states_part() -> str:
    """The states of a batch: a diagram, what each state means, and what leads where."""
    meanings = ["| state | meaning |", "| --- | --- |"]
    meanings += [f"| {phrase(state)} | {state.value} |" for state in State]
    moves = ["| state | event | what happened | next |", "| --- | --- | --- | --- |"]
    moves += [
        f"| {phrase(before)} | {phrase(event)} | {event.value} | {phrase(after)} |"
        for (before, event), after in TRANSITIONS.items()
    ]
    return "\n\n".join([state_diagram(), "\n".join(meanings), "\n".join(moves)])


def dumped(value: Any) -> str:
    """YAML in the order it was built."""
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=110)
    return text


def hub_definition(described: dict[str, Any]) -> str:
    """The plugin definition for Meltano Hub."""
    definition = {
        "name": "target-databox",
        "variant": "target-databox",
        "namespace": "target_databox",
        "label": "Databox",
        "description": "Business analytics platform; loads through its API v1, every row confirmed.",
        "domain_url": "https://databox.com",
        "pip_url": "target-databox",
        "executable": "target-databox",
        "keywords": ["api", "meltano_sdk"],
        "capabilities": described["capabilities"],
        "commands": COMMANDS,
        "settings_group_validation": [described["settings"]["required"]],
        "settings": meltano_settings(described),
    }
    return f"# Generated by scripts/describe.py from target-databox --about.\n{dumped(definition)}"


def replaced(path: str, part: str) -> str:
    """A file's text with what stands between its two marks replaced."""
    begin, end = (ENDS[path].format(word) for word in ("begin", "end"))
    text = (ROOT / path).read_text(encoding="utf-8")
    before, rest = text.split(begin, 1)
    return f"{before}{begin}\n{part.rstrip()}\n{end}{rest.split(end, 1)[1]}"


def described_files(described: dict[str, Any]) -> dict[Path, str]:
    """Each file that repeats the description, and the text it should have."""
    loader = {
        "capabilities": described["capabilities"],
        "commands": COMMANDS,
        "settings": meltano_settings(described),
    }
    indented = "".join(f"      {line}\n" for line in dumped(loader).splitlines())
    return {
        ROOT / "docs/settings.md": replaced("docs/settings.md", settings_table(described)),
        ROOT / "docs/guarantees.md": replaced("docs/guarantees.md", states_part()),
        ROOT / "meltano.yml": replaced("meltano.yml", indented),
        ROOT / "hub" / "target-databox.yml": hub_definition(described),
    }


if __name__ == "__main__":
    for path, text in described_files(about()).items():
        path.write_text(text, encoding="utf-8")
