"""Settings from the environment: `TARGET_DATABOX_*` variables and the `.env` file of the working directory.

Settings are taken from them with `--config ENV` only. Two things happen in every run: the emulator's
variables count, so that a trial never loads into a real account, and a name that nothing reads is an error,
so that a typo doesn't go unnoticed. Parent directories are never searched for a `.env` file: one there could
send the API key to another host.
"""

from __future__ import annotations

import difflib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values

from target_databox.settings.errors import SettingsError
from target_databox.settings.table import TABLE
from target_databox.settings.values import Tree

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

ENVIRONMENT_PREFIX: Final = "TARGET_DATABOX_"
EMULATOR_URL_VARIABLE: Final = "TARGET_DATABOX_EMULATOR_URL"
EMULATOR_KEY_VARIABLE: Final = "TARGET_DATABOX_EMULATOR_KEY"
# Means something only beside the address, which is one of this machine.
EMULATOR_NO_LIMITS_VARIABLE: Final = "TARGET_DATABOX_EMULATOR_NO_LIMITS"
# The SDK's own: the level of the log.
LOG_LEVEL_VARIABLE: Final = "TARGET_DATABOX_LOGLEVEL"
# Set by Meltano for a loader that it runs.
MELTANO_LOADER_VARIABLE: Final = "MELTANO_LOADER_NAME"

_SETTINGS: Final = {f"{ENVIRONMENT_PREFIX}{setting.name.upper()}": setting for setting in TABLE}
_EMULATOR: Final = (EMULATOR_URL_VARIABLE, EMULATOR_KEY_VARIABLE, EMULATOR_NO_LIMITS_VARIABLE)
_KNOWN: Final = (*_SETTINGS, *_EMULATOR, LOG_LEVEL_VARIABLE)


@dataclass(frozen=True)
class Environment:
    """The variables of a run.

    Attributes:
        variables: Those of the process, and those that only the `.env` file has.
        from_file: Names of the latter.
    """

    variables: Mapping[str, str]
    from_file: frozenset[str] = frozenset()

    def origins(self, *, parse_env: bool) -> list[str]:
        """What this run takes from the `.env` file: names of settings, and of the emulator's variables.

        Args:
            parse_env: Whether settings are taken from the environment.
        """
        names = [setting.name for variable, setting in _SETTINGS.items() if self._is_from_file(variable)]
        return [*(names if parse_env else []), *filter(self._is_from_file, _EMULATOR)]

    def _is_from_file(self, variable: str) -> bool:
        return variable in self.from_file and bool(self.variables[variable].strip())


def read_environment(process: Mapping[str, str], folder: Path | None = None) -> Environment:
    """The variables of the process, and of the `.env` file, which never replaces one that is set.

    Args:
        process: The process's environment.
        folder: Where to look for the file; the working directory unless given.

    Raises:
        SettingsError: The file exists and can't be read.
    """
    in_file = _file_variables((folder or Path.cwd()) / ".env")
    added = {name: value for name, value in in_file.items() if name not in process}
    return Environment({**added, **process}, frozenset(added))


def _file_variables(path: Path) -> dict[str, str]:
    advice = "Correct it, or run in another directory."
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
        return {}
    except OSError as error:
        raise SettingsError(
            [f"The file .env of the working directory can't be read: {error.strerror}. {advice}"]
        ) from error
    except UnicodeDecodeError:
        raise SettingsError([f"The file .env of the working directory is not UTF-8. {advice}"]) from None
    values = dotenv_values(stream=io.StringIO(text))
    return {name: value for name, value in values.items() if value is not None}


def environment_config(variables: Mapping[str, str]) -> dict[str, str]:
    """The configuration that `TARGET_DATABOX_*` variables hold, as text; empty ones are not set.

    Args:
        variables: The process's environment, or `Environment.variables`.
    """
    return {
        setting.name: variables[variable]
        for variable, setting in _SETTINGS.items()
        if variables.get(variable, "").strip()
    }


def unknown_variables(
    variables: Mapping[str, str], from_file: Collection[str] = (), *, reported: Collection[str] = ()
) -> Iterator[str]:
    """A sentence for each `TARGET_DATABOX_*` variable that nothing reads, in the order of their names.

    Ignores empty variables, names with a double underscore, which Meltano gives to renamed loaders and to its
    own options, and the others that Meltano sets for the loader that it runs: one for each entry of an object
    (`TARGET_DATABOX_DATASET_TITLES_ORDERS`), and those under the name of a loader such as
    `target-databox-eu`.

    Args:
        variables: The variables of the run.
        from_file: Names of those that come from the `.env` file.
        reported: Names of unknown settings that the configuration has, which are reported already.
    """
    loader = variables.get(MELTANO_LOADER_VARIABLE, "")
    set_by_meltano = tuple(_prefixes_of(loader)) if loader else ()
    for variable in sorted(variables):
        if not variable.startswith(ENVIRONMENT_PREFIX) or variable in _KNOWN or "__" in variable:
            continue
        name = variable.removeprefix(ENVIRONMENT_PREFIX)
        if not variables[variable].strip() or name.lower() in reported or variable.startswith(set_by_meltano):
            continue
        where = " (in the file .env)" if variable in from_file else ""
        hint = _nearest(name) + (_advice_for_loaders(name) if loader else "")
        yield f"{variable}{where} is not a setting of target-databox{hint}"


def _prefixes_of(loader: str) -> Iterator[str]:
    """Prefixes of the variables that Meltano sets for a loader, beside those of the settings."""
    own = re.sub(r"[^A-Z0-9]", "_", f"{loader.upper()}_")
    if own != ENVIRONMENT_PREFIX:
        yield own
    yield from (f"{variable}_" for variable, setting in _SETTINGS.items() if isinstance(setting.kind, Tree))


def _nearest(name: str) -> str:
    """The end of a sentence: the name that was probably meant."""
    known = {variable.removeprefix(ENVIRONMENT_PREFIX): variable for variable in _KNOWN}
    nearest = difflib.get_close_matches(name.upper(), known, n=1)
    return f"; did you mean {known[nearest[0]]}?" if nearest else "."


def _advice_for_loaders(name: str) -> str:
    """Advice for the variable of another loader, whose name begins like ours."""
    for setting in TABLE:
        loader = name.removesuffix(f"_{setting.name.upper()}")
        if loader != name:
            renamed = loader.lower().replace("_", "-")
            return f" If it is another loader's, name that one with two hyphens: target-databox--{renamed}."
    return ""
