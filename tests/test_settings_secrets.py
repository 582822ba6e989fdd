"""Keys and passwords in a wrong place are told by where they stand, never by what they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.settings.errors import SettingsError
from target_databox.settings.reading import read_settings
from target_databox.settings.secrets import holders_of_keys, masked
from target_databox.settings.table import TABLE
from tests.command import TARGET

if TYPE_CHECKING:
    from tests.command import Command

EMULATOR = Path(sys.executable).parent / "databox-emulator"
KEY = "pak_4b1dcafe-0000-4000-8000-canarycanary"
OWN = "no-prefix'canary\"ä"
SECRETS = {
    "a key": KEY,
    "a cut key": "pak_4b1dcafe",
    "a key in capitals": KEY.upper(),
    "a bare key": "4b1dcafe-1111-4222-8333-444455556666",
    "a token": "ghs1A2b3C4d5E6f7G8h9I0j1K2l3M4n5",
    "32 digits": "0123456789abcdef0123456789abcdef",
    "a password": "correct horse battery",
    "a short password": "hunter2!",
}
NAMES = [setting.name for setting in TABLE if setting.name != "api_key"]


def told(config: dict[str, Any], variables: dict[str, str] | None = None) -> str:
    """What is said of a configuration; nothing when it can be used."""
    try:
        read_settings({"api_key": "pak_the-right-one", **config}, variables or {})
    except SettingsError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize("name", NAMES)
def test_no_setting_echoes_a_secret(name: str, kind: str) -> None:
    """Whatever setting a secret was typed into, alone or deep in an object, the error does not repeat it."""
    secret = SECRETS[kind]
    forms: list[Any] = [
        *(secret, f" {secret}\n", f"x {secret} y", [secret], {"orders": secret}, {"orders": {"a": secret}}),
        *({"orders": [secret, 3]}, {"orders": [secret, secret]}, json.dumps({"orders": {"a": [secret]}})),
    ]
    for form in forms:
        assert secret not in told({name: form})


@pytest.mark.parametrize("kind", [kind for kind in list(SECRETS)[:6] if kind != "a bare key"])
@pytest.mark.parametrize(
    "name", ["{}", "api_key.{}", "timezone.{}", "column_types.{}", "stream_maps.{}.a", "X{}"]
)
def test_names_are_masked_too(name: str, kind: str) -> None:
    """A key in the place of a setting's name, or of a stream's, is not repeated."""
    secret = SECRETS[kind]
    said = told({name.format(secret): 7})
    assert said
    assert secret not in said


@pytest.mark.parametrize("name", ["TARGET_DATABOX_{}", "TARGET_DATABOX_KEY_{}"])
def test_names_of_variables_are_masked(name: str) -> None:
    """A key in the name of a variable is not repeated."""
    for secret in (KEY, KEY.upper(), SECRETS["a token"]):
        said = told({}, {name.format(secret): "1"})
        assert "is not a setting of target-databox" in said
        assert secret not in said


SENT_OR_SHOWN = {
    "data_source_title": KEY,
    "dataset_titles": {"orders": f"Orders {KEY}"},
    "dataset_ids": {"orders": KEY},
    "primary_keys": {"orders": [KEY]},
    "column_types": {KEY: {"a": "string"}},
    "rejects_path": f"/tmp/{KEY}",  # noqa: S108 # never made
    "flattening_separator": KEY,
    "api_url": f"https://api.databox.com/{KEY}",
}


@pytest.mark.parametrize("name", SENT_OR_SHOWN)
def test_key_in_a_wrong_setting_is_an_error(name: str) -> None:
    """A key where any text goes would be sent to Databox or shown in the log, so it is refused."""
    said = told({name: SENT_OR_SHOWN[name]})
    assert f"{name} holds an API key, which belongs into api_key alone." in said
    assert KEY not in said


@pytest.mark.parametrize(
    "name", ["data_source_title", "timezone", "batch_size_rows", "load_method", OWN, "confirmation"]
)
def test_own_key_is_known_by_value(name: str) -> None:
    """The configured key is masked whatever it looks like, from a file, a variable or the emulator's."""
    for config, variables in (
        ({"api_key": OWN}, {}),
        ({"api_key": "pak_other"}, {"TARGET_DATABOX_API_KEY": OWN}),
        (
            {},
            {"TARGET_DATABOX_EMULATOR_URL": "http://127.0.0.1:1", "TARGET_DATABOX_EMULATOR_KEY": f" {OWN} "},
        ),
    ):
        said = told({**config, name: OWN, f"x{OWN}": 1}, variables)
        assert "***" in said
        assert OWN not in said
        assert "canary" not in said


def test_mistyped_words_are_shown() -> None:
    """What is no secret is repeated, so that it can be found: numbers, and words that are nearly right."""
    assert "not 'upsrt'" in told({"load_method": "upsrt"})
    assert "not 'Europe/Berlni'; did you mean Europe/Berlin?" in told({"timezone": "Europe/Berlni"})
    assert "not '1,000'" in told({"batch_size_rows": "1,000"})
    assert "500 is out of range" in told({"concurrent_requests": 500})
    assert "batch_sise_rows is not a setting" in told({"batch_sise_rows": 5})


def test_masking_leaves_words_alone() -> None:
    """Long words, paths and numbers without letters are no keys."""
    text = (
        "Donaudampfschifffahrtsgesellschaft 12345678901234567890 /srv/databox/rejects2024.singer column_types"
    )
    assert masked(text, ["12345"]) == text
    assert masked(f"{KEY} {OWN}", [OWN]) == "*** ***"
    assert list(holders_of_keys({"a": "pak_", "b": "pak_1", "c": 7, "d": None}, ["pak"])) == []


@pytest.mark.parametrize(
    "arguments",
    [
        *(
            (KEY,),
            ("--config", KEY),
            ("--input", KEY),
            ("--format", KEY, "--about"),
            (f"--{KEY}",),
            (f"--check={KEY}",),
        ),
    ],
)
def test_command_line_echoes_no_key(command: Command, arguments: tuple[str, ...]) -> None:
    """A key in a wrong place of the command line is not repeated, also where its file is missing."""
    done = subprocess.run(
        [TARGET, "--config", command.config(), *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert done.stderr.strip()
    assert KEY not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        *((KEY,), ("serve", KEY), ("serve", "--port", KEY), ("serve", "--seed", KEY), ("serve", f"--{KEY}")),
        *(
            ("serve", "--fault", KEY),
            ("serve", "--fault", f"post_rows,status={KEY}"),
            ("serve", "--account", KEY),
        ),
        *(("serve", "--role", KEY), ("serve", "--database", f"/none/none/{KEY}"), ("serve", "--host", KEY)),
        *(("serve", "--requests-per-second", KEY), ("run", "--", KEY), ("demo", "--tap", KEY), ("demo", KEY)),
    ],
)
def test_emulator_echoes_no_key(arguments: tuple[str, ...]) -> None:
    """Nor do the emulator's commands repeat one."""
    done = subprocess.run(
        [EMULATOR, *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=30,
        check=False,
    )
    assert done.returncode
    assert done.stderr.strip()
    assert KEY not in done.stderr + done.stdout
