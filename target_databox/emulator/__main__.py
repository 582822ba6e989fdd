"""The command `databox-emulator`."""

from __future__ import annotations

import json
import sys
from importlib.metadata import distribution

import click

_MISSING = """databox-emulator needs packages that are not installed: {name}.
They come with the extra `emulator`. Install target-databox again, in the same way, as '{requirement}'."""


def requirement_with_extra() -> str:
    """What to install for the emulator, from where target-databox itself was installed."""
    name = "target-databox[emulator]"
    # PEP 610: where it came from, if that was no package index.
    origin = json.loads(distribution("target-databox").read_text("direct_url.json") or "{}")
    if not origin:
        return name
    system = origin.get("vcs_info", {}).get("vcs")
    return f"{name} @ {system}+{origin['url']}" if system else f"{name} @ {origin['url']}"


def main() -> None:
    """Run the command `databox-emulator`."""
    try:
        from target_databox.emulator.commands.demo import demo
        from target_databox.emulator.commands.masking import MaskedGroup
        from target_databox.emulator.commands.run import run
        from target_databox.emulator.commands.serve import serve
    except ModuleNotFoundError as exc:
        if exc.name not in {"aiohttp", "jinja2"}:
            raise
        sys.exit(_MISSING.format(name=exc.name, requirement=requirement_with_extra()))

    @click.group(cls=MaskedGroup, context_settings={"help_option_names": ["-h", "--help"]})
    @click.version_option(package_name="target-databox")
    def databox_emulator() -> None:
        """The Databox API, v1 and v2, on this machine: try and test target-databox without an account."""

    databox_emulator.add_command(serve)
    databox_emulator.add_command(run)
    databox_emulator.add_command(demo)
    databox_emulator(prog_name="databox-emulator")


if __name__ == "__main__":
    main()
