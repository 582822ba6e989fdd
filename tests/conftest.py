"""Fixtures that several test modules use."""

from __future__ import annotations

import os
import signal
import subprocess
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

from target_databox.emulator import Assumptions, Emulator
from target_databox.emulator.serving.meter import UNLIMITED
from tests.command import Command
from tests.finding import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"

# Most tests start the command. Without bytecode each start compiles all of it again, and standard output is
# unbuffered only where a test asks for it.
for variable in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
    os.environ.pop(variable, None)

# A busy machine is slow, and that is no fault of the code.
settings.register_profile("busy-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy-machine")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """What `-n auto` means: three workers for two cores, since a test of the command mostly waits."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


class EmulatorMaker(Protocol):
    """Starts an emulator that is stopped after the test; assumptions and `Emulator` arguments by name."""

    def __call__(self, **options: Any) -> Emulator:
        """Start one."""


QUICK = {"processing_seconds_min": 0.0, "processing_seconds_max": 0.02, "listing_lag_seconds": 0.0}


@pytest.fixture
def make_emulator() -> Iterator[EmulatorMaker]:
    """Starts emulators without rate limits that process fast, unless their options say otherwise."""
    started: list[Emulator] = []

    def make(**options: Any) -> Emulator:
        names = Assumptions.__dataclass_fields__
        assumed = {**QUICK, **{name: options.pop(name) for name in list(options) if name in names}}
        emulator = Emulator(**{"limits": UNLIMITED, "assumptions": Assumptions(**assumed), **options})
        started.append(emulator.start())
        return emulator

    yield make
    for emulator in started:
        emulator.stop()


@pytest.fixture
def emulator(make_emulator: EmulatorMaker) -> Emulator:
    """An emulator without rate limits that processes fast: `url`, `api_key`, `store`, `faults`, `log`."""
    return make_emulator()


@pytest.fixture
def command(emulator: Emulator, tmp_path: Path) -> Command:
    """The real command, to be run against `emulator`."""
    return Command(tmp_path, emulator)


@pytest.fixture
def run_on() -> Iterator[Callable[..., Run]]:
    """Starts runs that find or create datasets, and closes their clients."""
    runs: list[Run] = []

    def start(emulator: Emulator, **options: Any) -> Run:
        runs.append(Run(emulator, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.client.close()


@pytest.fixture(scope="session")
def installers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the commands `uv` and `pipx`, as pinned."""
    folder = tmp_path_factory.mktemp("installers")
    venv.create(folder, with_pip=True)
    install = ["-m", "pip", "install", "-qq", "--require-hashes", "-r", REQUIREMENTS / "installers.txt"]
    subprocess.run([folder / "bin" / "python", *install], check=True)
    return folder / "bin"


@pytest.fixture(scope="session")
def environment_of(installers: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes virtual environments of what a file in requirements/ pins, and tells where their commands are."""

    def made(pins: str, folder: Path | None = None) -> Path:
        folder = folder or tmp_path_factory.mktemp(pins)
        venv.create(folder)
        install = ["pip", "install", "-q", "--require-hashes", "-r", REQUIREMENTS / f"{pins}.txt"]
        subprocess.run([installers / "uv", *install, "-p", folder / "bin" / "python"], check=True)
        return folder / "bin"

    return made


@pytest.fixture
def signals() -> Iterator[None]:
    """Puts back the handlers that a target replaces."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two pages; skips where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", folder],  # noqa: S607 # wherever it is
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)  # noqa: S607 # likewise
