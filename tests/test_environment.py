"""Facts on the environment: which variables count, what `.env` may say, and which names are errors."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from target_databox.settings.environment import (
    environment_config,
    read_environment,
    unknown_variables,
)
from target_databox.settings.errors import SettingsError
from target_databox.settings.reading import read_settings
from target_databox.settings.table import TABLE
from tests.command import TARGET, finished, record, schema, state, text
from tests.command import Command as Runner

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command, Run
    from tests.conftest import EmulatorMaker

UNKNOWN = "is not a setting of target-databox"
# What Meltano 4.4 sets for a loader with objects in its configuration, beside the settings themselves.
BY_MELTANO = {
    "TARGET_DATABOX_COLUMN_TYPES_A_B_C": "string",
    "TARGET_DATABOX_DATASET_TITLES_ORDERS": "Shop",
    "TARGET_DATABOX_STREAM_MAPS_ORDERS___ALIAS__": "shop",
    "TARGET_DATABOX_STREAM_MAP_CONFIG_HASH_SEED": "x",
    "TARGET_DATABOX__DIALECT": "target_databox",
    "TARGET_DATABOX__LOG_PARSER": "singer-sdk",
}


def reported(**variables: str) -> list[str]:
    """What is wrong with the names of variables."""
    return list(unknown_variables(variables))


def test_environment_holds_any_setting() -> None:
    """Every setting is a variable, and an empty one is not set."""
    variables = {f"TARGET_DATABOX_{setting.name.upper()}": "x" for setting in TABLE}
    assert list(environment_config(variables)) == [setting.name for setting in TABLE]
    variables = {
        "TARGET_DATABOX_API_KEY": "pak_1",
        "TARGET_DATABOX_BATCH_SIZE_ROWS": "10",
        "TARGET_DATABOX_ACCOUNT_ID": "",
        "TARGET_DATABOX_COLUMN_TYPES": '{"orders.amount": "number"}',
        "TARGET_DATABOX_EMULATOR_URL": "",
        "BATCH_SIZE_BYTES": "5",
    }
    read = read_settings(environment_config(variables), variables)
    assert read.batch_size_rows == 10
    assert read.account_id is None
    assert read.column_types == {"orders.amount": "number"}
    assert not read.emulated


@pytest.mark.parametrize(
    ("variable", "end"),
    [
        ("TARGET_DATABOX_BATCH_SIZE_ROW", "; did you mean TARGET_DATABOX_BATCH_SIZE_ROWS?"),
        ("TARGET_DATABOX_LOG_LEVEL", "; did you mean TARGET_DATABOX_LOGLEVEL?"),
        ("TARGET_DATABOX_EMULATOR_URI", "; did you mean TARGET_DATABOX_EMULATOR_URL?"),
        ("TARGET_DATABOX_api_key", "; did you mean TARGET_DATABOX_API_KEY?"),
        ("TARGET_DATABOX_DATASET_TITLES_ORDERS", "; did you mean TARGET_DATABOX_DATASET_TITLES?"),
        ("TARGET_DATABOX_ZZZ", "."),
        ("TARGET_DATABOX_", "."),
    ],
)
def test_unknown_variables_are_named(variable: str, end: str) -> None:
    """A variable that nothing reads is an error that names it and the nearest known one, in any mode."""
    assert reported(**{variable: "1"}) == [f"{variable} {UNKNOWN}{end}"]
    with pytest.raises(SettingsError) as caught:
        read_settings({"api_key": "pak_1"}, {variable: "secret"})
    assert caught.value.problems == (f"{variable} {UNKNOWN}{end}",)


def test_known_variables_are_no_error() -> None:
    """Settings, the emulator's and the log's level are known; empty and foreign names don't count."""
    names = [f"TARGET_DATABOX_{setting.name.upper()}" for setting in TABLE]
    names += [f"TARGET_DATABOX_EMULATOR_{name}" for name in ("URL", "KEY", "NO_LIMITS")]
    names += ["TARGET_DATABOX_LOGLEVEL"]
    names += ["TARGET_DATABOX", "TARGET_DATABOXES", "TARGET_POSTGRES_HOST", "target_databox_x", "PATH"]
    assert reported(**dict.fromkeys(names, "1"), TARGET_DATABOX_ZZZ=" ") == []


@pytest.mark.parametrize("loader", ["target-databox", "target-databox--eu", "target-databox-eu", "databox"])
def test_what_meltano_sets_is_left_alone(loader: str) -> None:
    """Meltano's variables for entries of objects, for its options and for renamed loaders are no settings."""
    own = "".join(letter if letter.isalnum() else "_" for letter in loader.upper())
    given = {
        **BY_MELTANO,
        f"{own}_API_KEY": "pak_1",
        f"{own}_DATASET_TITLES_ORDERS": "Shop",
        f"{own}__DIALECT": "x",
        "TARGET_DATABOX__US_API_KEY": "pak_2",
        "MELTANO_LOADER_NAME": loader,
    }
    assert reported(**given) == []
    assert reported(**given, TARGET_DATABOX_BATCH_SIZE_ROW="1") == [
        f"TARGET_DATABOX_BATCH_SIZE_ROW {UNKNOWN}; did you mean TARGET_DATABOX_BATCH_SIZE_ROWS?"
    ]


def test_loaders_with_one_hyphen_are_explained() -> None:
    """Another loader's variable, which Meltano passes to this one too, is an error that says what to do."""
    assert reported(MELTANO_LOADER_NAME="target-databox", TARGET_DATABOX_BIG_SHOP_TIMEZONE="UTC") == [
        f"TARGET_DATABOX_BIG_SHOP_TIMEZONE {UNKNOWN}; did you mean TARGET_DATABOX_TIMEZONE? If it is another "
        "loader's, name that one with two hyphens: target-databox--big-shop."
    ]


def test_one_typo_is_reported_once() -> None:
    """What Meltano passes in a file and as a variable is one problem."""
    with pytest.raises(SettingsError) as caught:
        read_settings({"api_key": "k", "foo": "1"}, {"TARGET_DATABOX_FOO": "1"})
    assert caught.value.problems == (f"foo {UNKNOWN}.",)


def test_dotenv_fills_the_environment(tmp_path: Path) -> None:
    """The file adds variables, replaces none that is set, and says which settings come from it."""
    (tmp_path / ".env").write_bytes(
        b"\xef\xbb\xbfTARGET_DATABOX_API_KEY=from-file\nexport TARGET_DATABOX_TIMEZONE='Europe/Kyiv'\nEMPTY\n"
        b"TARGET_DATABOX_BATCH_SIZE_ROWS=1\nTARGET_DATABOX_ACCOUNT_ID=7\nTARGET_DATABOX_EMULATOR_KEY=k\nTARGET_DATABOX_RETRY_SECONDS=\nOTHER=1\n"
    )
    process = {"TARGET_DATABOX_ACCOUNT_ID": "", "TARGET_DATABOX_BATCH_SIZE_ROWS": "5"}
    read = read_environment(process, tmp_path)
    assert read.variables == {
        **process,
        "TARGET_DATABOX_API_KEY": "from-file",
        "TARGET_DATABOX_TIMEZONE": "Europe/Kyiv",
        "TARGET_DATABOX_EMULATOR_KEY": "k",
        "TARGET_DATABOX_RETRY_SECONDS": "",
        "OTHER": "1",
    }
    assert read.origins(parse_env=True) == ["api_key", "timezone", "TARGET_DATABOX_EMULATOR_KEY"]
    assert read.origins(parse_env=False) == ["TARGET_DATABOX_EMULATOR_KEY"]


def test_dotenv_of_parents_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the working directory is looked into, and a directory of that name is no file."""
    (tmp_path / ".env").write_text("TARGET_DATABOX_API_URL=https://elsewhere.example\n")
    inner = tmp_path / "inner"
    (inner / ".env").mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert read_environment({}).variables == {}
    (inner / ".env").rmdir()
    assert read_environment({}).variables == {}


def test_unreadable_dotenv_is_an_error(tmp_path: Path) -> None:
    """A file that may hold the emulator's address, and can't be read, ends the run before anything else."""
    path = tmp_path / ".env"
    path.write_bytes(b"TARGET_DATABOX_API_KEY=\xff\n")
    with pytest.raises(SettingsError, match=r"is not UTF-8\. Correct it, or run in another directory\."):
        read_environment({}, tmp_path)
    path.unlink()
    path.symlink_to(path)
    with pytest.raises(SettingsError, match=r"can't be read: Too many levels of symbolic links\. Correct it"):
        read_environment({}, tmp_path)


# The real command


def ran(folder: Path, *arguments: str, data: bytes = b"", **variables: str) -> Run:
    """A finished run of the command in a directory."""
    process = subprocess.Popen(
        [TARGET, *arguments],
        cwd=folder,
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    return finished(process, data)


MESSAGES = text(schema(), record(id=1), state(done=1))


@pytest.mark.parametrize("mode", [(), ("--check",), ("--dry-run",)])
@pytest.mark.parametrize("source", ["file", "ENV"])
@pytest.mark.parametrize("place", ["variable", ".env"])
def test_typos_end_every_command(
    command: Command, tmp_path: Path, mode: tuple[str, ...], source: str, place: str
) -> None:
    """A misspelt variable ends a run, a check and a dry run alike, wherever the settings come from."""
    config = str(command.config()) if source == "file" else "ENV"
    typo = {"TARGET_DATABOX_BATCH_SIZE_ROW": "5"}
    if place == ".env":
        (tmp_path / ".env").write_text("TARGET_DATABOX_BATCH_SIZE_ROW=5\n")
    run = ran(
        tmp_path,
        "--config",
        config,
        *mode,
        data=MESSAGES,
        TARGET_DATABOX_API_URL=command.emulator.url,
        TARGET_DATABOX_API_KEY=command.emulator.api_key,
        **(typo if place == "variable" else {}),
    )
    where = "" if place == "variable" else " (in the file .env)"
    problem = f"TARGET_DATABOX_BATCH_SIZE_ROW{where} {UNKNOWN}; did you mean TARGET_DATABOX_BATCH_SIZE_ROWS?"
    assert run.code == 1
    if mode == ("--check",):
        assert problem in run.out.decode()
        assert "A run can't start: see settings above." in run.out.decode()
    else:
        assert run.errors == ["The settings can't be used:", f"- {problem}"]
    assert len(command.emulator.log) == 0


def test_log_names_what_dotenv_sets(command: Command, tmp_path: Path) -> None:
    """With --config ENV settings come from .env, and one line says which, never their values."""
    (tmp_path / ".env").write_text(
        f"TARGET_DATABOX_API_KEY={command.emulator.api_key}\n"
        f"TARGET_DATABOX_API_URL={command.emulator.url}\n"
        'TARGET_DATABOX_DATASET_TITLES=\'{"orders": "Env"}\'\n'
    )
    run = ran(tmp_path, "--config", "ENV", data=MESSAGES)
    assert run.states == [{"done": 1}]
    assert command.rows("Env") == [{"id": 1}]
    line = "Read from the file .env of the working directory: api_key, api_url, dataset_titles."
    assert run.told("INFO").count(line) == 1
    assert command.emulator.api_key not in run.log
    run = ran(tmp_path, "--config", str(command.config()), data=MESSAGES)
    assert run.code == 0
    assert "the file .env" not in run.log
    assert command.rows() == [{"id": 1}]


def test_dotenv_of_a_parent_diverts_no_key(
    command: Command, make_emulator: EmulatorMaker, tmp_path: Path
) -> None:
    """An address in a parent's .env is not used: the key goes where the settings say."""
    other = make_emulator()
    (tmp_path / ".env").write_text(
        f"TARGET_DATABOX_API_URL={other.url}\nTARGET_DATABOX_EMULATOR_URL={other.url}\n"
        f"TARGET_DATABOX_EMULATOR_KEY={other.api_key}\nTARGET_DATABOX_TYPO=1\n"
    )
    inner = tmp_path / "project"
    inner.mkdir()
    for arguments in (("--config", "ENV"), ("--config", str(command.config()))):
        run = ran(
            inner,
            *arguments,
            data=MESSAGES,
            TARGET_DATABOX_API_URL=command.emulator.url,
            TARGET_DATABOX_API_KEY=command.emulator.api_key,
        )
        assert run.code == 0
    assert len(other.log) == 0
    assert command.rows() == [{"id": 1}]


@pytest.mark.parametrize("source", ["file", "ENV"])
@pytest.mark.parametrize("mode", [(), ("--check",)])
def test_emulator_in_dotenv_counts(
    command: Command, make_emulator: EmulatorMaker, tmp_path: Path, source: str, mode: tuple[str, ...]
) -> None:
    """The emulator's two variables in .env send every command there, and nothing to the real account."""
    trial = make_emulator()
    real = command.emulator
    (tmp_path / ".env").write_text(
        f"TARGET_DATABOX_EMULATOR_URL={trial.url}\nTARGET_DATABOX_EMULATOR_KEY={trial.api_key}\n"
    )
    run = ran(
        tmp_path,
        "--config",
        str(command.config()) if source == "file" else "ENV",
        *mode,
        data=MESSAGES,
        TARGET_DATABOX_API_URL=real.url,
        TARGET_DATABOX_API_KEY=real.api_key,
    )
    assert run.code == 0
    assert len(real.log) == 0
    assert len(trial.log) > 0
    line = (
        "Read from the file .env of the working directory: TARGET_DATABOX_EMULATOR_URL, "
        "TARGET_DATABOX_EMULATOR_KEY."
    )
    assert run.told("INFO").count(line) == 1
    if not mode:
        assert Runner(tmp_path, trial).rows() == [{"id": 1}]


def test_set_emulator_wins_over_dotenv(
    command: Command, make_emulator: EmulatorMaker, tmp_path: Path
) -> None:
    """Where `databox-emulator run` sets the two variables, the file's don't count."""
    other = make_emulator()
    (tmp_path / ".env").write_text(
        f"TARGET_DATABOX_EMULATOR_URL={other.url}\nTARGET_DATABOX_EMULATOR_KEY={other.api_key}\n"
    )
    run = ran(
        tmp_path,
        "--config",
        str(command.config(api_url="https://api.databox.com", api_key="pak_real")),
        data=MESSAGES,
        TARGET_DATABOX_EMULATOR_URL=command.emulator.url,
        TARGET_DATABOX_EMULATOR_KEY=command.emulator.api_key,
    )
    assert run.states == [{"done": 1}]
    assert command.rows() == [{"id": 1}]
    assert len(other.log) == 0
