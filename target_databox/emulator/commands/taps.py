"""Installs a tap into a virtual environment of its own, since taps pin other versions of the SDK."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_INSTALL_SECONDS = 600


class TapError(Exception):
    """A tap can't be installed; the message says why and what to do."""


def cache_path(variables: Mapping[str, str]) -> Path:
    """The directory for what can be made again: `target-databox` in the user's cache.

    Args:
        variables: The environment, for `XDG_CACHE_HOME`.
    """
    base = variables.get("XDG_CACHE_HOME", "")
    # The XDG specification says to ignore a relative path.
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "target-databox"


def installed_tap(name: str, pinned: Path, cache: Path) -> Path:
    """The command of a tap, installed on the first call and only found on later ones.

    A half-made environment, as an interrupted installation leaves it, is made anew. Of two processes that
    install at the same time the second waits for the first.

    Args:
        name: The distribution's name, which is also the command's.
        pinned: The tap with all that it needs, in exact versions with the hashes of their wheels. Other pins
            make another environment.
        cache: The directory to make the environment in.

    Raises:
        TapError: It can't be installed.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(pinned.read_bytes()).hexdigest()[:12]
    place = cache / f"{name}-{digest}-python{python}"
    command, complete = place / "bin" / name, place / "complete"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _only_one(cache / f"{place.name}.lock"):
            # A python that was removed leaves a dangling link behind, which does not exist.
            if not (complete.exists() and command.exists() and (place / "bin" / "python").exists()):
                shutil.rmtree(place, ignore_errors=True)
                venv.create(place, with_pip=True)
                _install(name, pinned, place, cache / f"{place.name}.log")
                complete.touch()
    except (OSError, subprocess.SubprocessError) as exc:
        raise TapError(f"No virtual environment for {name} could be made in {place}: {exc}.") from exc
    return command


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _install(name: str, pinned: Path, place: Path, log: Path) -> None:
    python = str(place / "bin" / "python")
    # Wheels alone: to build one would run code that nothing pins.
    only = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--requirement", str(pinned)]
    command = [python, "-m", "pip", "install", "--disable-pip-version-check", *only]
    # The parent's own environment must not leak into the tap's.
    variables = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}
    }
    with log.open("w") as output:
        # Our own words and paths, no shell.
        done = subprocess.run(  # noqa: S603 -- no shell, and words of our own
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    if done.returncode:
        raise TapError(
            f"pip could not install {name} as it is pinned in {pinned}; is PyPI, or a mirror of it, within "
            f"reach? What pip said is in {log}. Run this command again then, or name a tap-jsonl with --tap."
        )
