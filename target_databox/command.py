"""The command line of `target-databox`: load, `--check`, `--dry-run`, `--verify`, `--about`; exit codes."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
from typing import IO, TYPE_CHECKING, Any

import click
from singer_sdk.plugin_base import SingerCommand, _ConfigInput

from target_databox.interrupts import end_in_time
from target_databox.outputs.printable import guard_logs
from target_databox.settings.files import config_of
from target_databox.settings.secrets import masked
from target_databox.target import TargetDatabox

if TYPE_CHECKING:
    from collections.abc import Mapping

logger = logging.getLogger("target-databox")

FAILED = 1
ENVIRONMENT = "ENV"
OBJECTS_BETWEEN_COLLECTIONS = 100_000


class _MaskedCommand(SingerCommand):
    """A command line whose complaints never repeat a key that stands in a wrong place."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the command line."""
        try:
            return super().make_context(*args, **options)
        except click.ClickException as error:
            error.message = masked(error.message)  # type: ignore[misc] # where click shows it from
            raise


class Command(TargetDatabox):
    # `--about` shows this sentence.
    """Loads the output of any Singer tap into Databox datasets."""

    @classmethod
    def invoke(  # type: ignore[override] # as in the SDK, one signature a command
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        file_input: IO[bytes] | None = None,
        check: bool = False,
        dry_run: bool = False,
        verify: bool = False,
    ) -> None:
        """Run the command.

        Args:
            about: Show the settings.
            about_format: How to show them, or what `--verify` found.
            config: Files and whether to read the environment.
            file_input: Read this instead of standard input.
            check: Only check what a run needs.
            dry_run: Only print what a run would do.
            verify: Only compare the input with what Databox holds.
        """
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=logger.info)
        config = config or _ConfigInput()
        if check + dry_run + verify > 1:
            raise click.UsageError("--check, --dry-run and --verify are commands of their own; choose one.")
        if verify:
            sys.exit(_verify(config.config, file_input, parse_env=config.parse_env, output=about_format))
        if check or dry_run:
            sys.exit(_rehearse(config.config, file_input, parse_env=config.parse_env, dry_run=dry_run))
        target = cls(config=config.config, parse_env_config=config.parse_env)
        end_in_time(target.settings.shutdown_seconds)
        target.listen(file_input)  # type: ignore[arg-type] # bytes, see LineReader

    @classmethod
    def cb_config(cls, ctx: click.Context, _param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """Read the configuration files, later ones over earlier ones; `ENV` stands for the environment."""
        given = _ConfigInput(parse_env=ENVIRONMENT in value)
        if not ctx.resilient_parsing:
            for path in value:
                if path != ENVIRONMENT:
                    given.config |= config_of(path)
        return given

    @classmethod
    def get_singer_command(cls) -> click.Command:
        """The command line: the SDK's, with bytes as input; the log has been set up by then."""
        guard_logs()
        given = super().get_singer_command()
        command = _MaskedCommand(
            name=given.name,
            callback=given.callback,
            context_settings=given.context_settings,
            params=given.params,
            help="Load Singer messages from standard input into Databox.",
            logger=cls.logger,
        )
        for parameter in command.params:
            if parameter.name == "file_input":
                parameter.type = click.File("rb")
        command.params += [
            click.Option(["--check"], is_flag=True, help="See whether a run could start; change nothing."),
            click.Option(["--dry-run"], is_flag=True, help="Read the input, say what a run would send."),
            click.Option(
                ["--verify"],
                is_flag=True,
                help="Read the input and the datasets, say what is not equal; send nothing. "
                "--format json prints an object for each stream.",
            ),
        ]
        return command


def _rehearse(
    config: Mapping[str, Any],
    file_input: IO[bytes] | None,
    *,
    parse_env: bool,
    dry_run: bool,
) -> int:
    """Check or preview a run.

    Args:
        config: The configuration of files.
        file_input: Read this instead of standard input.
        parse_env: Whether the environment holds settings.
        dry_run: Whether to read the input and print what a run would do, or else check what a run needs.

    Returns:
        The exit code.
    """
    if dry_run:
        from target_databox.rehearsal.preview import PreviewTarget

        target = PreviewTarget(config=dict(config), parse_env_config=parse_env)
        end_in_time(0.0)
        target.listen(file_input)  # type: ignore[arg-type] # bytes, see LineReader
        return target.exit_code
    from target_databox.rehearsal.check import run

    try:
        return 0 if run(config, os.environ, parse_env=parse_env) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _verify(
    config: Mapping[str, Any], file_input: IO[bytes] | None, *, parse_env: bool, output: str | None
) -> int:
    """Compare the input with what Databox holds.

    Args:
        config: The configuration of files.
        file_input: Read this instead of standard input.
        parse_env: Whether the environment holds settings.
        output: How to print what was found.

    Returns:
        The exit code.
    """
    if output not in {None, "text", "json"}:
        raise click.UsageError("--verify prints a table, or JSON with --format json.")
    from target_databox.verification.verify import VerifyTarget

    # Rows by the thousand are no garbage while they are compared: looking for it costs a tenth of the time.
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    target = VerifyTarget(config=dict(config), parse_env_config=parse_env)
    target.output = "json" if output == "json" else "table"
    end_in_time(0.0)
    target.listen(file_input)  # type: ignore[arg-type] # bytes, see LineReader
    return target.exit_code


def _is_noise(entry: logging.LogRecord) -> bool:
    # The SDK logs that it did not parse variables, which `settings` has read.
    return not str(entry.msg).endswith("parse of env var settings...")


def main() -> None:
    """Run `target-databox`; every failure becomes one message and exit code 1."""
    logger.addFilter(_is_noise)
    # At DEBUG it logs the values that expressions make.
    logging.getLogger("singer_sdk.mapper").setLevel(logging.INFO)
    try:
        Command.cli()
    except Exception as error:  # noqa: BLE001 # logged without its message, which may quote a row
        # Imported here, since `--version` does not need it.
        from target_databox.failures import log_failure

        log_failure(logger, error)
        sys.exit(FAILED)
    finally:
        # The run is over, and its exit code is final, even if the interpreter takes its time to end. Signals
        # are blocked first: one that arrives in the middle of `signal.signal` would be reported as an error.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGINT))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
