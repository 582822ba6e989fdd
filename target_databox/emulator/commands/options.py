"""Turns limits, faults and assumptions into options of the command line, so that none is forgotten."""

from __future__ import annotations

import ipaddress
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from target_databox.emulator.assumptions import Assumptions, switches
from target_databox.emulator.commands.masking import masked
from target_databox.emulator.serving.faults import ATTRIBUTES, FaultPlan, fault_from_text
from target_databox.emulator.serving.meter import UNLIMITED, Limits
from target_databox.emulator.serving.routes import ROUTES
from target_databox.emulator.serving.server import Emulator
from target_databox.emulator.state.shapes import ROLES, Account
from target_databox.emulator.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from target_databox.emulator.serving.faults import Fault

Command = TypeVar("Command", bound="Callable[..., Any]")


def _fault(text: str) -> Fault:
    try:
        fault = fault_from_text(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    names = sorted({route.name for route in ROUTES})
    if not any(fault.concerns(route.name, route.version) for route in ROUTES):
        raise click.BadParameter(f"No route is called {fault.route!r}; the routes are {', '.join(names)}.")
    return fault


def _account(text: str) -> Account:
    number, _, rest = text.partition(":")
    name, _, kind = rest.partition(":")
    if not number.isdecimal() or not name or kind not in {"", "organization", "agency", "client"}:
        raise click.BadParameter(f"{text!r} is not like 123456:Name or 123456:Name:client.")
    return Account(int(number), name, kind or "organization")


def _api_key(text: str) -> str:
    if not text.strip():
        raise click.BadParameter("A key has to have characters.")
    return text


def _per_second(text: str) -> float:
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not 0 < limit < math.inf:
        raise click.BadParameter(f"{text!r} is no number above 0; --no-limits takes the limits away.")
    return limit


def _options() -> list[Callable[[Command], Command]]:
    plain: list[Callable[[Command], Command]] = [
        click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on."),
        click.option(
            "--database",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Keep everything in this file, made when it is missing; otherwise it is gone at the end."
            " A directory that is missing is made too, and git ignores all of it.",
        ),
        click.option(
            "--api-key",
            "api_keys",
            type=_api_key,
            metavar="TEXT",
            multiple=True,
            envvar="DATABOX_EMULATOR_API_KEY",
            help="A key that is valid; may be given several times. Without any, one is made up.",
        ),
        click.option(
            "--account",
            "accounts",
            type=_account,
            metavar="ID:NAME[:TYPE]",
            multiple=True,
            help="An account that the keys can see; may be given several times.",
        ),
        click.option(
            "--role",
            type=click.Choice(ROLES),
            default="admin",
            show_default=True,
            help="The role of the keys' users: who is no admin changes only what they made.",
        ),
        click.option(
            "--requests-per-second",
            type=_per_second,
            metavar="NUMBER",
            default=10.0,
            show_default=True,
            help="How many requests a key may make in a second.",
        ),
        click.option(
            "--requests-per-hour",
            type=click.IntRange(1),
            default=10_000,
            show_default=True,
            help="How many requests a key may make in an hour.",
        ),
        click.option(
            "--no-limits",
            is_flag=True,
            help="Let a key make as many requests as it likes, as fast as it can.",
        ),
        click.option(
            "--fault",
            "faults",
            type=_fault,
            metavar="FAULT",
            multiple=True,
            help="A planned failure, such as post_rows,nth=3,status=503 or post_rows,drop=after,times=1;"
            f" or a JSON object. May be given several times. Attributes: {', '.join(ATTRIBUTES)}.",
        ),
        click.option(
            "--seed", type=int, default=1, show_default=True, help="Repeats what is left to chance."
        ),
    ]
    assumed: list[Callable[[Command], Command]] = []
    for switch in switches():
        name = "--" + switch.name.replace("_", "-")
        if switch.type is bool:
            assumed.append(click.option(name, is_flag=True, default=switch.default, help=switch.unknown))
        else:
            kind = click.Choice(switch.choices) if switch.choices else switch.type
            option = click.option(
                name, type=kind, default=switch.default, show_default=True, help=switch.unknown
            )
            assumed.append(option)
    return plain + assumed


def emulator_options(command: Command) -> Command:
    """Give a command the options that describe an emulator; `emulator_from_options` takes their values."""
    for option in reversed(_options()):
        command = option(command)
    return command


def emulator_from_options(
    options: Mapping[str, Any], *, port: int = 0, adopt_unknown_ids: bool = False
) -> tuple[Store, Emulator]:
    """The store and the emulator, not started, that options describe.

    Args:
        options: The values of `emulator_options`, by name.
        port: The port to listen on; 0 finds a free one.
        adopt_unknown_ids: Make an account, data source or dataset whose id is asked for and unknown.

    Raises:
        click.UsageError: The values don't go together, or the database can't be used.
    """
    ids = [account.id for account in options["accounts"]]
    if len(set(ids)) < len(ids):
        raise click.UsageError("Two accounts have the same id.")
    try:
        assumptions = Assumptions(**{switch.name: options[switch.name] for switch in switches()})
        store = Store(
            options["database"],
            assumptions=assumptions,
            accounts=options["accounts"],
            seed=options["seed"],
            adopt_unknown_ids=adopt_unknown_ids,
            keep_rows=False,
        )
    except ValueError as exc:
        raise click.UsageError(str(exc)) from exc
    faults = FaultPlan()
    for fault in options["faults"]:
        faults.plan(fault)
    limits = Limits(options["requests_per_second"], options["requests_per_hour"])
    emulator = Emulator(
        store,
        host=options["host"],
        port=port,
        api_keys=options["api_keys"],
        limits=UNLIMITED if options["no_limits"] else limits,
        faults=faults,
        role=options["role"],
    )
    return store, emulator


def cannot_listen(host: str, port: int, error: OSError) -> click.ClickException:
    """The message for an emulator that can't be started."""
    # asyncio wraps the system's words in its own, which say the address again.
    reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return click.ClickException(f"Can't listen on {f'{host}:{port}' if port else host}: {reason}.")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def warn_of_open_host(host: str) -> None:
    """Warn when others than this machine could reach an address."""
    if not is_loopback(host):
        click.secho(
            f"Warning: everybody who can reach {masked(host)} can see what is loaded here."
            " Use --host 127.0.0.1 to prevent that.",
            fg="yellow",
            err=True,
        )
