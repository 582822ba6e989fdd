"""The command `databox-emulator`."""

from __future__ import annotations

import sys

import click

_MISSING = """databox-emulator needs packages that are not installed: {name}.
Install them with: pip install 'target-databox[emulator]'"""


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
        sys.exit(_MISSING.format(name=exc.name))

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
