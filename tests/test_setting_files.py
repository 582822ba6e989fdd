"""Configuration files are read whole, and what is wrong with one is reported without quoting it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from target_databox.settings.errors import SettingsError
from target_databox.settings.files import config_of

if TYPE_CHECKING:
    from pathlib import Path


def test_file_is_read(tmp_path: Path) -> None:
    """An object of settings is read with its digits, a byte order mark does no harm."""
    path = tmp_path / "config.json"
    path.write_bytes(b'\xef\xbb\xbf{"batch_age_seconds": 0.10, "timezone": "UTC"}')
    assert config_of(str(path)) == {"batch_age_seconds": Decimal("0.10"), "timezone": "UTC"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'{"api_key": "canary', "is not valid JSON (line 1, column 13: Unterminated string starting at)."),
        (b'"canary"', "must hold a JSON object of settings."),
        (b"\xffcanary", "is not UTF-8. Save it as UTF-8."),
        (b"[" * 100_000, "is nested too deeply."),
        (b'{"account_id": %s}' % (b"9" * 5_000), "holds a number that is too long to be read."),
        (None, "can't be read: No such file or directory. Check --config; ENV reads variables."),
    ],
)
def test_broken_file_is_reported(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """What can't be read is reported by its path and the place, and the error holds nothing of it."""
    path = tmp_path / "config.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        config_of(str(path))
    assert str(caught.value) == f"The settings can't be used:\n- The file {path} {problem}"
    assert "canary" not in f"{caught.value}{caught.value.__cause__}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is caught.value.__cause__
