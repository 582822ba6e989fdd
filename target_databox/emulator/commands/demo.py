"""`databox-emulator demo`: a real tap and the real target load real data into an emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sysconfig
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from target_databox.emulator.commands.run import environment
from target_databox.emulator.commands.summary import show_landed
from target_databox.emulator.commands.taps import TapError, cache_path, installed_tap
from target_databox.emulator.commands.terminal import shown
from target_databox.emulator.serving.server import Emulator
from target_databox.emulator.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping

DATA = Path(__file__).parent.with_name("data")
_TAP = "tap-jsonl"
# Made by requirements/remake.
PINNED = DATA / "tap-jsonl.txt"
_SAMPLE_ROWS = 5
# The SDK's figures are for machines; there would be more of them than of everything else.
_QUIET = {
    "version": 1,
    "disable_existing_loggers": False,
    "loggers": {"singer_sdk.metrics": {"propagate": False}},
}


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of the demo: the stream that the tap makes of it, its key, and what it is."""

    name: str
    stream: str
    key: str
    title: str


FILES = (
    DataFile("seattle_weather.jsonl", "seattle_weather", "date", "daily weather of Seattle, 2012 to 2015"),
    DataFile(
        "us_employment.jsonl", "us_employment", "month", "jobs in the United States by sector, 2006 to 2015"
    ),
)


@dataclass(frozen=True, slots=True)
class Loaded:
    """How a pipeline ended: exit codes of tap and target, and the STATE lines that the target wrote."""

    tap_code: int
    target_code: int
    states: list[str]


@click.command
@click.option(
    "--database",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep what is loaded in this file, made when it is missing.",
)
@click.option(
    "--tap", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A tap-jsonl to use."
)
@click.option(
    "--api-version",
    type=click.Choice(["v1", "v2"]),
    help="The version of the API that the target speaks; its own default without this.",
)
def demo(database: Path | None, tap: Path | None, api_version: str | None) -> None:
    """Load real data with a real tap, without an account.

    Installs tap-jsonl from PyPI into a virtual environment of its own, once; reads public data about weather
    and jobs with it; loads that with target-databox into an emulator, and shows what landed.
    """
    console = Console()
    target = _target()
    if tap is None:
        console.print(
            f"Finding {_TAP}; the first time it is installed from PyPI, as it is pinned.", highlight=False
        )
        try:
            tap = installed_tap(_TAP, PINNED, cache_path(os.environ))
        except TapError as exc:
            raise click.ClickException(str(exc)) from exc
    with ExitStack() as stack:
        try:
            store = Store(database, keep_rows=False)
        except ValueError as exc:
            raise click.UsageError(str(exc)) from exc
        stack.callback(store.close)
        work = Path(stack.enter_context(TemporaryDirectory(prefix="databox-demo-")))
        emulator = stack.enter_context(Emulator(store))
        console.print(
            f"The Databox API is emulated at {emulator.url}, with its rate limits.", highlight=False
        )
        log_config = work / "logging.json"
        log_config.write_text(json.dumps(_QUIET))
        variables = {"SINGER_SDK_LOG_CONFIG": str(log_config), **environment(os.environ, emulator, work)}
        settings = {"data_source_title": "Demo"}
        if api_version is not None:
            settings["api_version"] = api_version
        for file in FILES:
            console.print(f"\n[bold]tap-jsonl | target-databox[/bold]: {file.title}", highlight=False)
            _load(tap, target, file, work, settings, variables, console)
        console.print()
        show_landed(store, emulator.log, console, sample_rows=_SAMPLE_ROWS)
        _check(store, console)
    if database:
        console.print(f"Look at it with: databox-emulator serve --database {database}", highlight=False)


def _target() -> Path:
    """The command `target-databox` that belongs to this installation."""
    beside = Path(sysconfig.get_path("scripts")) / "target-databox"
    found = beside if beside.exists() else shutil.which("target-databox")
    if found is None:
        raise click.ClickException(
            "The command target-databox is not installed. Run: pip install target-databox"
        )
    return Path(found)


def _load(
    tap: Path,
    target: Path,
    file: DataFile,
    work: Path,
    settings: Mapping[str, str],
    variables: Mapping[str, str],
    console: Console,
) -> None:
    """Pipe one file through tap and target.

    Raises:
        click.ClickException: One of them failed.
    """
    tap_config, target_config, tap_log = (work / f"{file.stream}-{name}" for name in ("tap", "target", "log"))
    # The tap adds the file's name and the like to every record; a stream map takes them out again.
    added = ("_sdc_last_modified", "_sdc_filename", "_sdc_stream")
    tap_settings = {"path": str(DATA / file.name), "stream_name": file.stream, "primary_keys": [file.key]}
    tap_config.write_text(json.dumps({**tap_settings, "stream_maps": {file.stream: dict.fromkeys(added)}}))
    target_config.write_text(json.dumps(settings))
    try:
        loaded = _piped(
            [tap, "--config", tap_config], [target, "--config", target_config], tap_log, variables
        )
    except OSError as exc:
        raise click.ClickException(f"{exc.filename} can't be run: {exc.strerror}.") from exc
    if loaded.tap_code:
        last = (tap_log.read_text(errors="replace").strip().splitlines() or ["nothing"])[-1]
        raise click.ClickException(
            f"{tap} ended with {loaded.tap_code}. The last that it said: {shown(last)}"
        )
    if loaded.target_code:
        raise click.ClickException(f"{target} ended with {loaded.target_code}. What it said is above.")
    console.print(f"STATE lines on standard output: {len(loaded.states)}.", highlight=False)


def _piped(tap: list[Any], target: list[Any], tap_log: Path, variables: Mapping[str, str]) -> Loaded:
    """Run `tap | target`; the target's messages go to standard error as always, the tap's to a file."""
    # Commands of this installation with configuration files of our own, no shell.
    with ExitStack() as stack:
        log = stack.enter_context(tap_log.open("w"))
        source = subprocess.Popen(tap, stdout=subprocess.PIPE, stderr=log)  # noqa: S603 -- no shell, and words of our own
        stack.callback(_end, source)
        sink = subprocess.Popen(  # noqa: S603 -- no shell, and words of our own
            target, stdin=source.stdout, stdout=subprocess.PIPE, env=dict(variables), text=True
        )
        stack.callback(_end, sink)
        if source.stdout is not None:
            source.stdout.close()  # only the target holds it now: the tap notices when that is gone
        output, _ = sink.communicate()
        source.wait()
    return Loaded(source.returncode, sink.returncode, output.splitlines())


def _end(process: subprocess.Popen[Any]) -> None:
    """End a process that still runs, as after Ctrl-C, and give it the time that it needs for that."""
    if process.poll() is None:
        process.terminate()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _check(store: Store, console: Console) -> None:
    """Compare what landed with the files, value by value.

    Raises:
        click.ClickException: Something is missing or different.
    """
    total = 0
    for file in FILES:
        with (DATA / file.name).open(encoding="utf-8") as lines:
            expected = {row[file.key]: row for row in map(json.loads, lines)}
        dataset = store.dataset_titled(file.stream)
        landed = {row[file.key]: row for row in map(json.loads, store.row_texts(dataset.id))}
        if landed != expected:
            raise click.ClickException(f"The rows of {file.stream} are not those of the file {file.name}.")
        total += len(landed)
    console.print(f"Every value of the {total:,} rows is the one in the files.", highlight=False)
