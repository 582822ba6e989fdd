"""`--check` as a user meets it: the real command, what it prints, and that it changes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.emulator.state.store import Store
from tests.command import TARGET, Command, finished, record, schema

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Run
    from tests.conftest import EmulatorMaker

WHERE_KEYS_ARE_MADE = (
    "Administrators make keys in Databox: Account Management > Profile > Password & Security > API key > "
    "Create."
)
READING = {"GET"}


def checked(command: Command, **settings: Any) -> Run:
    """A finished check, in which whoever looks is not interested in standard input."""
    return command.run(arguments=("--check",), **settings)


def lines(run: Run) -> list[list[str]]:
    """What was printed: the cells of each line, which two blanks or more keep apart."""
    return [
        [cell.strip() for cell in line.split("  ") if cell.strip()]
        for line in run.out.decode().splitlines()
        if line.strip()
    ]


def advice(run: Run) -> list[str]:
    """What the table says is to be done."""
    return [cells[0].removeprefix("→ ") for cells in lines(run) if cells[0].startswith("→ ")]


def test_check_of_new_account_passes(command: Command) -> None:
    """With a valid key and one account a run can start, and every line says what was found."""
    run = checked(command, requests_per_second=None, requests_per_hour=None)
    url = command.emulator.url
    assert lines(run) == [
        ["what", "outcome", "found"],
        ["API key", "ok", f"valid at {url}"],
        ["account", "ok", "123456 'Emulated account' (organization)"],
        ["data source", "ok", "none has the title 'target-databox'; the first run creates it"],
        ["time zone", "ok", "UTC is supported"],
        ["datasets", "ok", "none yet; the first run creates one for each stream"],
        ["request budget", "ok", "at most 500,000 rows an hour with confirmation rows (as set)"],
        ["request budget", "ok", "at most 990,099 rows an hour with confirmation status"],
        ["rejected records", "ok", "the first one ends a run, since rejects_path is not set"],
        ["A run can start."],
    ]
    assert run.code == 0


def test_check_only_reads(command: Command) -> None:
    """Nothing but GET requests leave, and nothing is created."""
    checked(command)
    assert {exchange.method for exchange in command.emulator.log} == READING
    assert not command.emulator.store.data_sources()


def test_check_finds_what_runs_made(command: Command) -> None:
    """After a run its data source is found, and its datasets are counted."""
    command.run(schema(), record(id=1))
    (source,) = command.emulator.store.data_sources()
    found = lines(checked(command))
    assert ["data source", "ok", f"{source.id} 'target-databox', time zone UTC"] in found
    assert ["datasets", "ok", "1 in the data source; a stream's is found by title, or created"] in found


def test_missing_key_says_where_from(tmp_path: Path) -> None:
    """Without a key the check fails and says which setting it is and where Databox makes one."""
    process = subprocess.Popen(
        [TARGET, "--check"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    run = finished(process)
    assert run.code == 1
    assert ["API key", "FAILED", "not set"] in lines(run)
    assert advice(run) == [f"Set api_key (TARGET_DATABOX_API_KEY). {WHERE_KEYS_ARE_MADE}"]
    assert ["account", "not looked at", "needs what failed above"] in lines(run)
    assert lines(run)[-1] == ["A run can't start: see API key above."]


def test_wrong_key_is_reported(command: Command) -> None:
    """A refused key fails with what the API said, and is shown nowhere."""
    run = checked(command, api_key="pak_not_this_one")
    (found,) = (cells[2] for cells in lines(run) if cells[:2] == ["API key", "FAILED"])
    assert found.startswith("GET /v1/auth/validate-key was answered with status 401")
    assert advice(run) == [
        f"Check api_key, and the IP addresses that the key is bound to. {WHERE_KEYS_ARE_MADE}"
    ]
    assert (run.code, b"pak_not" in run.out, "pak_not" in run.log) == (1, False, False)


def test_unreachable_api_is_reported(command: Command) -> None:
    """An address where nobody answers fails within seconds, whatever retry_seconds says."""
    run = checked(command, api_url="http://127.0.0.1:9", retry_seconds=0.2)
    (found,) = (cells[2] for cells in lines(run) if cells[:2] == ["API", "FAILED"])
    assert "could not be reached" in found
    assert found.endswith("nothing was stored")
    assert advice(run) == ["Check the network, the proxy and api_url; or try again later."]
    assert run.code == 1


def test_unknown_account_is_reported(command: Command) -> None:
    """An account that the key can't see fails with those that it can."""
    run = checked(command, account_id=7)
    assert [
        "account",
        "FAILED",
        "The account 7 does not exist, or the API key can't see it. The key's accounts are: "
        '123456 "Emulated account". Set account_id to one of them.',
    ] in lines(run)
    assert run.code == 1


def test_unknown_data_source_is_reported(command: Command) -> None:
    """A configured data source that is in no list and has no datasets to read fails."""
    run = checked(command, data_source_id=99)
    (found,) = (cells[2] for cells in lines(run) if cells[:2] == ["data source", "FAILED"])
    assert found.startswith(
        "The data source 99 does not exist, or the API key can't see it: GET /v1/data-sources/99/datasets "
        "was answered with status 404 ("
    )
    assert found.endswith("Known are: none. Correct data_source_id, or remove it to use data_source_title.")


def test_data_source_that_takes_no_data_fails(command: Command) -> None:
    """A data source chosen by id into which Databox takes no rows fails the check, which says what to set."""
    reported = {"dataSources": [{"id": 99, "title": "Shop", "ingestionSupported": False}]}
    command.emulator.faults.add("data_sources", status=200, body=json.dumps(reported))
    run = checked(command, data_source_id=99)
    assert run.code == 1
    found = next(cells[2] for cells in lines(run) if cells[0] == "data source")
    assert found.startswith('The data source 99 "Shop" does not take data through the API')
    assert "Set data_source_id to another one" in found


def test_data_source_id_wins_over_the_account(command: Command) -> None:
    """A data source that a run would use is found in any account; an unknown account is a warning."""
    source = command.emulator.store.create_data_source("Shop")
    run = checked(command, data_source_id=source.id, account_id=99)
    assert run.code == 0
    outcomes = {cells[0]: cells[1:] for cells in lines(run)}
    assert outcomes["account"] == ["warning", "the key can't see the account 99; data_source_id is used"]
    assert outcomes["data source"][1].startswith(f"{source.id} 'Shop'")


def test_trial_makes_configured_ids(make_emulator: EmulatorMaker, tmp_path: Path) -> None:
    """In an emulator that makes the ids it is asked for, a check finds what a run would find."""
    with closing(Store(None, adopt_unknown_ids=True)) as store:
        command = Command(tmp_path, make_emulator(store=store))
        configured: list[dict[str, int]] = [
            {"account_id": 42},
            {"data_source_id": 4711},
            {"account_id": 43, "data_source_id": 4712},
        ]
        for ids in configured:
            run = checked(command, **ids)
            assert run.code == 0, run.out


def test_unsupported_timezone_is_reported(command: Command) -> None:
    """A zone that Databox doesn't list stops a run that would create the data source; a near one is named."""
    body = json.dumps({"requestId": "r", "status": "success",
                       "timezones": [{"offset": "UTC+1", "timezone": "Europe/Vienna"}]})  # fmt: skip
    command.emulator.faults.add("timezones", status=200, body=body)
    run = checked(command, timezone="Europe/Vilnius")
    assert ["time zone", "FAILED", "Databox does not support Europe/Vilnius"] in lines(run)
    assert advice(run) == ["Set timezone to one that it supports, such as Europe/Vienna."]
    assert run.code == 1


def test_unreadable_timezones_only_warn(command: Command) -> None:
    """A list of time zones that can't be read stops nothing."""
    command.emulator.faults.add("timezones", status=404)
    run = checked(command)
    (found,) = (cells[2] for cells in lines(run) if cells[:2] == ["time zone", "warning"])
    assert found.startswith(
        "whether Databox supports UTC could not be read: GET /v1/accounts/timezones was answered"
    )
    assert run.code == 0


def test_missing_dataset_is_reported(command: Command) -> None:
    """Each configured dataset is looked up."""
    command.run(schema(), record(id=1))
    known = command.emulator.store.dataset_titled("orders").id
    unknown = "11111111-2222-3333-4444-555555555555"
    run = checked(command, dataset_ids={"orders": known, "refunds": unknown})
    assert ["dataset of orders", "ok", f"{known} exists"] in lines(run)
    (found,) = (cells[2] for cells in lines(run) if cells[:2] == ["dataset of refunds", "FAILED"])
    assert found.startswith(f"The dataset {unknown} of the stream 'refunds' can't be used: GET /v1/datasets/")
    assert found.endswith(
        "Correct dataset_ids, or remove the stream there to have its dataset found by title."
    )


def test_unusable_rejects_path_is_reported(command: Command, tmp_path: Path) -> None:
    """A rejects file in a directory that doesn't exist stops a run; one that can be made is not made."""
    path = tmp_path / "rejects.singer"
    assert ["rejected records", "ok", f"are appended to {path}"] in lines(
        checked(command, rejects_path=str(path))
    )
    assert not path.exists()
    run = checked(command, rejects_path=str(tmp_path / "nowhere" / "rejects.singer"))
    (found,) = (cells[2] for cells in lines(run) if cells[:2] == ["settings", "FAILED"])
    assert "does not exist. Name a file in a directory that exists" in found
    assert run.code == 1


def test_bad_settings_are_lines(command: Command) -> None:
    """Every setting that can't be used is a line of its own."""
    run = checked(command, batch_size_rows=501, confirmation="maybe")
    failed = [cells[2] for cells in lines(run) if cells[:2] == ["settings", "FAILED"]]
    assert [text.split()[0] for text in failed] == ["batch_size_rows", "confirmation"]
    assert run.code == 1


def test_environment_is_understood(command: Command, tmp_path: Path) -> None:
    """Meltano's commands have no file: everything comes from the environment, objects dotted."""
    variables = {
        "TARGET_DATABOX_API_URL": command.emulator.url,
        "TARGET_DATABOX_API_KEY": command.emulator.api_key,
        "TARGET_DATABOX_COLUMN_TYPES": '{"orders.amount": "number"}',
        "TARGET_DATABOX_CONFIRMATION": "status",
    }
    process = subprocess.Popen(
        [TARGET, "--config", "ENV", "--check"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={**os.environ, **variables},
    )
    run = finished(process)
    assert run.code == 0
    assert [
        "request budget",
        "ok",
        "at most 990,099 rows an hour with confirmation status (as set)",
    ] in lines(run)


def test_emulator_is_named(command: Command) -> None:
    """Where the environment sends everything to an emulator, the check says so and asks that one."""
    env = {
        "TARGET_DATABOX_EMULATOR_URL": command.emulator.url,
        "TARGET_DATABOX_EMULATOR_KEY": command.emulator.api_key,
    }
    run = command.run(arguments=("--check",), env=env, api_url="https://api.databox.com", api_key="pak_real")
    assert lines(run)[1] == [
        "emulator",
        "ok",
        f"everything goes to {command.emulator.url}, whatever the configuration says",
    ]
    assert run.code == 0


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"])
def test_pipes_get_plain_text(command: Command, variable: str) -> None:
    """A pipe gets no control characters, whatever titles hold and the environment asks for."""
    source = command.emulator.store.create_data_source("\x1b[31mred [bold]\x07title", None)
    run = command.run(arguments=("--check",), env={variable: "1"}, data_source_id=source.id)
    assert run.code == 0
    assert all(character.isprintable() for character in run.out.decode().replace("\n", ""))


def test_interrupted_check_ends(command: Command) -> None:
    """Ctrl-C while Databox doesn't answer ends the check with 130, and nothing is claimed."""
    fault = command.emulator.faults.add("validate_key", delay_before_seconds=5)
    process = command.start("--check")
    while not fault.hits:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    run = finished(process)
    assert (run.code, run.out) == (130, b"")


def test_check_and_preview_exclude_each_other(command: Command) -> None:
    """Both options at once are a wrong command line."""
    run = command.run(arguments=("--check", "--dry-run"))
    assert run.code == 2
    assert "--check, --dry-run and --verify are commands of their own; choose one." in run.log
