"""`databox-emulator run`: a command that loads into an emulator of its own, and never into an account."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from target_databox.emulator.commands.masking import masked
from target_databox.emulator.commands.options import (
    cannot_listen,
    emulator_from_options,
    emulator_options,
    warn_of_open_host,
)
from target_databox.emulator.commands.summary import show_landed
from target_databox.emulator.commands.terminal import shown
from target_databox.emulator.serving.meter import UNLIMITED
from target_databox.emulator.state.directories import make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from target_databox.emulator.serving.server import Emulator

# The target reads it only beside the emulator's address.
_NO_LIMITS = "TARGET_DATABOX_EMULATOR_NO_LIMITS"
_NOT_FOUND, _NOT_RUNNABLE = 127, 126  # what shells say


@click.command(
    short_help="Run a command towards an emulator, print what landed.",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@click.option(
    "--rows",
    "sample_rows",
    type=click.IntRange(0),
    default=0,
    help="Also print so many rows of each dataset.",
)
@emulator_options
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def run(ctx: click.Context, /, command: tuple[str, ...], sample_rows: int, **options: Any) -> None:
    """Run COMMAND towards an emulator, print what landed, and exit with COMMAND's code.

    target-databox loads into the emulator then, whatever its configuration says, and Meltano keeps the
    bookmarks of the trial apart. A pipeline needs a shell:
    databox-emulator run -- sh -c 'tap … | target-databox …'
    """
    warn_of_open_host(options["host"])
    with ExitStack() as stack:
        store, emulator = emulator_from_options(options, adopt_unknown_ids=True)
        stack.callback(store.close)
        state_path = _state_path(options["database"], store.identity, stack)
        try:
            stack.enter_context(emulator)
        except OSError as exc:
            raise cannot_listen(options["host"], 0, exc) from exc
        code = exit_code(command, environment(os.environ, emulator, state_path))
        # The command's standard output is its own: a pipe behind it must not meet a table.
        show_landed(store, emulator.log, Console(stderr=True), sample_rows=sample_rows)
    ctx.exit(code)


def _state_path(database: Path | None, identity: int, stack: ExitStack) -> Path:
    """Where Meltano keeps the trial's bookmarks: beside the database, or gone at the end as the rows are.

    Raises:
        click.UsageError: The directory can't be made.
    """
    if database is None:
        return Path(stack.enter_context(TemporaryDirectory(prefix="databox-emulator-")))
    beside = database.absolute().with_name(database.name + ".state")
    # Of this database alone: a new one in the same place starts without bookmarks.
    path = beside / f"{identity:08x}"
    try:
        make_directory(beside)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as exc:
        raise click.UsageError(
            f"{beside} can't hold the trial's bookmarks: {exc.strerror}. Name another database."
        ) from exc
    return path


def environment(inherited: Mapping[str, str], emulator: Emulator, state_path: Path) -> dict[str, str]:
    """The environment of a command that must not reach a real account.

    Args:
        inherited: The environment to begin with.
        emulator: The emulator to load into.
        state_path: Where Meltano keeps the trial's bookmarks.
    """
    # A proxy must not come between a command and its own machine.
    direct = ",".join(
        filter(None, [inherited.get("NO_PROXY") or inherited.get("no_proxy"), "127.0.0.1,localhost,::1"])
    )
    # The target is often installed beside this command, in an environment that nobody activated.
    search = os.pathsep.join(filter(None, [inherited.get("PATH"), sysconfig.get_path("scripts")]))
    outer = {name: value for name, value in inherited.items() if name != _NO_LIMITS}
    return {
        **outer,
        "PATH": search,
        "NO_PROXY": direct,
        "no_proxy": direct,
        "MELTANO_STATE_BACKEND_URI": state_path.as_uri(),
        "TARGET_DATABOX_EMULATOR_URL": emulator.url,
        "TARGET_DATABOX_EMULATOR_KEY": emulator.api_key,
        **({_NO_LIMITS: "true"} if emulator.limits == UNLIMITED else {}),
        # For commands other than the target, and for reading: the two above decide.
        "TARGET_DATABOX_API_URL": emulator.url,
        "TARGET_DATABOX_API_KEY": emulator.api_key,
    }


def exit_code(command: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run a command, pass signals on to it, and return how it ended, as a shell does.

    Args:
        command: The program and its arguments.
        variables: Its environment.
    """
    try:
        # The user's own command, without a shell in between.
        child = subprocess.Popen(command, env=dict(variables))  # noqa: S603 -- no shell, and the user's own command
    except FileNotFoundError:
        click.echo(f"{shown(masked(command[0]))}: command not found.", err=True)
        return _NOT_FOUND
    except OSError as exc:
        click.echo(f"{shown(masked(command[0]))}: {exc.strerror}.", err=True)
        return _NOT_RUNNABLE
    with _signals_passed_on(child):
        code = child.wait()
    return 128 - code if code < 0 else code


@contextmanager
def _signals_passed_on(child: subprocess.Popen[bytes]) -> Iterator[None]:
    def pass_on(number: int, _: object) -> None:
        # A terminal gives Ctrl-C to the whole process group: the command has it already.
        if not (number == signal.SIGINT and _terminal_is_ours()):
            child.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _terminal_is_ours() -> bool:
    """Whether this process belongs to the group that its terminal gives its keys to."""
    try:
        descriptor = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return False
    finally:
        os.close(descriptor)
