"""`databox-emulator serve`: an emulator that runs until it is stopped."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from target_databox.emulator.commands.options import (
    cannot_listen,
    emulator_from_options,
    emulator_options,
    warn_of_open_host,
)
from target_databox.emulator.serving.meter import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterator


@click.command
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8787, show_default=True, help="The port to listen on."
)
@emulator_options
def serve(port: int, **options: Any) -> None:
    """Serve the Databox API, v1 and v2, on this machine, until Ctrl-C.

    What nobody outside Databox knows about the API has an option here; its help says what is unknown.
    """
    warn_of_open_host(options["host"])
    store, emulator = emulator_from_options(options, port=port)
    with _stop_signal() as stopped:
        try:
            emulator.start()
        except OSError as exc:
            store.close()
            raise cannot_listen(options["host"], port, exc) from exc
        click.echo(f"Serving the Databox API, v1 and v2, at {emulator.url} (stop with Ctrl-C).")
        click.echo("That address in a browser shows what is loaded.")
        click.echo("To load into it, whatever the target's configuration says:")
        click.echo(f"  export TARGET_DATABOX_EMULATOR_URL={emulator.url}")
        click.echo(f"  export TARGET_DATABOX_EMULATOR_KEY={emulator.api_key}")
        if emulator.limits == UNLIMITED:
            click.echo("  export TARGET_DATABOX_EMULATOR_NO_LIMITS=true")
        stopped.wait()
        emulator.stop()
        store.close()
    click.echo("Stopped.")


@contextmanager
def _stop_signal() -> Iterator[Event]:
    """An event that SIGINT and SIGTERM set, instead of what they do otherwise."""
    stopped = Event()
    before = {
        number: signal.signal(number, lambda *_: stopped.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
