"""`--check` and `--dry-run` as commands: what stands between the command line and what they do."""

from __future__ import annotations

import os
import signal
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping


def rehearse(
    config: Mapping[str, Any],
    file_input: IO[bytes] | None,
    *,
    parse_env: bool,
    check: bool,
    dry_run: bool,
) -> int:
    """Check or preview a run.

    Args:
        config: The configuration of files.
        file_input: Read this instead of standard input.
        parse_env: Whether the environment holds settings.
        check: Whether to look at what a run needs.
        dry_run: Whether to read the input and say what a run would do.

    Returns:
        The exit code.
    """
    if check and dry_run:
        raise click.UsageError("--check and --dry-run are two commands; choose one.")
    if dry_run:
        from target_databox.rehearsal.preview import PreviewTarget

        target = PreviewTarget(config=dict(config), parse_env_config=parse_env)
        target.listen(file_input)  # type: ignore[arg-type] # bytes, see LineReader
        return target.exit_code
    from target_databox.rehearsal.check import run

    try:
        return 0 if run(config, os.environ, parse_env=parse_env) else 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
