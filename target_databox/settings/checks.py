"""Checks of settings that need more than the table: addresses, keys, time zones, and what a version allows.

Each adds a sentence for every problem that it finds.
"""

from __future__ import annotations

import difflib
import zoneinfo
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from target_databox.api.addresses import address_problem, is_loopback
from target_databox.settings.environment import EMULATOR_URL_VARIABLE, ENVIRONMENT_PREFIX
from target_databox.settings.values import shown
from target_databox.versions import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_address(values: dict[str, Any], problems: list[str], *, emulated: bool) -> None:
    """Look for what is wrong with the address of the API."""
    name = EMULATOR_URL_VARIABLE if emulated else "api_url"
    url = values["api_url"]
    problem = address_problem(url)
    # The variable promises that nothing reaches a real account.
    if problem is None and emulated and not is_loopback(urlsplit(url).hostname or ""):
        problem = "must be an address of this machine, such as http://127.0.0.1:8080"
    if problem is not None:
        problems.append(f"{name} {problem}.")
    values["api_url"] = url.rstrip("/")


def check_key(
    values: dict[str, Any], problems: list[str], variables: Mapping[str, str], *, require_key: bool
) -> None:
    """Look for what is wrong with the key."""
    key = values["api_key"] = values["api_key"] or ""
    variable = f"{ENVIRONMENT_PREFIX}API_KEY"
    if not key and require_key:
        problems.append(
            f"api_key is required. {variable} is set, but variables are read with --config ENV only."
            if variables.get(variable, "").strip()
            else f"api_key is required. Write it into the file of --config, or set {variable} and add "
            "--config ENV."
        )
    elif not key.isascii() or any(not character.isprintable() or character == " " for character in key):
        problems.append(
            "api_key holds characters that no key has: blanks, line breaks, or non-ASCII letters."
        )


def check_timezone(values: dict[str, Any], problems: list[str]) -> None:
    """Look for what is wrong with the time zone."""
    name = values["timezone"]
    if _is_timezone(name):
        return
    # Reads hundreds of files, so only where it is needed.
    known = zoneinfo.available_timezones()
    # Without time zone data nothing can be checked.
    if name in known or (not known and name.replace("/", "").replace("_", "").isascii()):
        return
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {nearest[0]}?" if nearest else "."
    problems.append(f"timezone must be an IANA name such as Europe/Berlin, not {shown(name, nearest)}{hint}")


def fit_to_version(values: dict[str, Any], problems: list[str]) -> None:
    """Set defaults that depend on the version of the API, and check the settings that it limits."""
    version = values["api_version"]
    dialect = DIALECTS[version]
    for name, most in (("batch_size_rows", dialect.most_rows), ("batch_size_bytes", dialect.most_bytes)):
        if values[name] is None:
            values[name] = most
        elif values[name] > most:
            problems.append(
                f"{name} must be at most {most:,} with api_version {version}; {values[name]:,} is more."
            )
    for stream, dataset_id in values["dataset_ids"].items():
        if dataset_id.strip().isdecimal() != dialect.ids_are_numbers:
            kind = "a whole number" if dialect.ids_are_numbers else "a UUID"
            problems.append(
                f"dataset_ids.{stream} must be {kind} with api_version {version}, not {shown(dataset_id)}. "
                "Remove it to have the dataset found by its title, which both versions share."
            )


def _is_timezone(name: str) -> bool:
    """Whether this machine knows a time zone; names in copies of the whole tree don't count."""
    if name.partition("/")[0] in {"posix", "posixrules", "right"}:
        return False
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
