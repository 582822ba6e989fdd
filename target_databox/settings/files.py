"""Reads configuration files; one that is missing or broken is reported in a sentence, without a traceback."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from target_databox.settings.errors import SettingsError


def config_of(path: str) -> dict[str, Any]:
    """The settings in one file, with fractions as Decimals.

    Raises:
        SettingsError: The file can't be read, or is not a JSON object; its content is never quoted.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise SettingsError(
            [f"The file {path} can't be read: {error.strerror}. Check --config; ENV reads variables."]
        ) from error
    except UnicodeDecodeError:
        raise SettingsError([f"The file {path} is not UTF-8. Save it as UTF-8."]) from None
    try:
        config = json.loads(text, parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise SettingsError(
            [f"The file {path} is not valid JSON (line {error.lineno}, column {error.colno}: {error.msg})."]
        ) from None  # the cause holds the whole text, and the key with it
    except ValueError:
        raise SettingsError([f"The file {path} holds a number that is too long to be read."]) from None
    except RecursionError:
        raise SettingsError([f"The file {path} is nested too deeply."]) from None
    if not isinstance(config, dict):
        raise SettingsError([f"The file {path} must hold a JSON object of settings."])
    return config
