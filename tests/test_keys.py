"""`primary_keys` and `keyless_streams` as a user meets them: what lands in Databox, and what is said."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command, Run

TEXT = {"type": ["string", "null"]}
NUMBER = {"type": ["number", "null"]}
DRY = ("--dry-run",)


def keys_of(command: Command, title: str = "orders") -> tuple[str, ...] | None:
    """The primary keys of the only dataset with a title."""
    return command.emulator.store.dataset_titled(title).keys


def twice(command: Command, *messages: dict[str, Any], **settings: Any) -> Run:
    """The second of two runs over the same messages, which both succeed."""
    for _ in range(2):
        run = command.run(*messages, **settings)
        assert run.code == 0, run.log
    return run


# primary_keys


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"primary_keys": {"orders": ["id", "line"]}}, []),
        ({"primary_keys": '{"orders": ["line", "id"]}'}, ["name"]),
        ({"primary_keys": {"orders": '["id", "line"]'}}, ["id"]),
        ({"primary_keys.orders": ["id", "line"]}, ["name", "id"]),
    ],
)
def test_configured_keys_win(command: Command, given: dict[str, Any], sent: list[str]) -> None:
    """The keys of the settings are the dataset's, whatever the tap sends and however they are written."""
    messages = (
        schema(keys=sent, id=NUMBER, line=NUMBER, name=TEXT),
        record(id=1, line=1, name="a"),
        record(id=1, line=2, name="a"),
        record(id=1, line=1, name="b"),
    )
    twice(command, *messages, **given)
    assert sorted(keys_of(command)) == ["id", "line"]
    assert sorted((row["line"], row["name"]) for row in command.rows()) == [(1, "b"), (2, "a")]


def test_no_keys_can_be_configured(command: Command) -> None:
    """With an empty list a stream has no keys, though the tap sends some."""
    run = command.run(schema(), record(id=1), record(id=1), primary_keys={"orders": []})
    assert run.code == 0
    assert keys_of(command) == ()
    assert command.rows() == [{"id": 1}, {"id": 1}]


def test_append_only_has_no_configured_keys(command: Command) -> None:
    """`append-only` has no keys, whatever the settings say."""
    settings: dict[str, Any] = {"primary_keys": {"orders": ["id"]}, "load_method": "append-only"}
    run = twice(command, schema(keys=[]), record(id=1), **settings)
    assert keys_of(command) == ()
    assert len(command.rows()) == 2
    assert not run.told("WARNING")


def test_keys_are_those_of_renamed_streams(command: Command) -> None:
    """A stream that stream maps rename or copy is known by its new name, and dots in names do no harm."""
    maps = {
        "orders": {"__alias__": "shop.sales", "__key_properties__": ["name"]},
        "copy": {"__source__": "orders"},
    }
    run = command.run(
        schema(),
        record(id=1, name="a"),
        record(id=2, name="a"),
        stream_maps=maps,
        primary_keys={"shop": {"sales": ["id", "name"]}, "copy": ["name"], "orders": ["gone"]},
    )
    assert run.code == 0
    assert keys_of(command, "shop.sales") == ("id", "name")
    assert len(command.rows("shop.sales")) == 2
    assert command.rows("copy") == [{"id": 2, "name": "a"}]


def test_columns_of_objects_can_be_keys(command: Command) -> None:
    """A column that flattening makes is a key, also where the tap names the whole object as one."""
    campaign = {"type": "object", "properties": {"id": NUMBER, "name": TEXT}}
    messages = (
        schema("ads", ["campaign"], campaign=campaign, clicks=NUMBER),
        record("ads", campaign={"id": 1, "name": "x"}, clicks=3),
        record("ads", campaign={"id": 1.0, "name": "x"}, clicks=4),
    )
    refused = command.run(*messages)
    assert refused.code == 1
    assert "An object can't be a key: name one of its columns in primary_keys" in refused.errors[0]
    twice(command, *messages, primary_keys={"ads": ["campaign__id"]})
    assert keys_of(command, "ads") == ("campaign__id",)
    (row,) = command.rows("ads")
    assert row["clicks"] == 4


@pytest.mark.parametrize("arguments", [(), DRY])
def test_unknown_key_columns_are_refused(command: Command, arguments: tuple[str, ...]) -> None:
    """A key that is no column of the stream is an error that names it and the setting."""
    run = command.run(schema(), record(id=1), arguments=arguments, primary_keys={"orders": ["idd"]})
    told = (
        "Line 1 of the input is a SCHEMA of stream 'orders' that can't be loaded: The key properties 'idd' "
        "are no columns of the stream. Name columns of the stream in primary_keys, [] for none."
    )
    assert run.code == 1
    assert told in (run.out.decode() if arguments else "\n".join(run.errors))
    assert command.emulator.store.data_sources() == []


def test_lacking_configured_keys_reject(command: Command) -> None:
    """A record that lacks a value of a configured key is a rejected one, as with the tap's own keys."""
    run = command.run(
        schema(keys=[], id=NUMBER, name=TEXT),
        record(id=1, name="a"),
        record(id=None, name="b"),
        primary_keys={"orders": ["id"]},
    )
    assert run.code == 1
    assert "The key column 'id' is null" in run.errors[-1]
    assert command.rows() == [{"id": 1, "name": "a"}]


def test_dataset_with_other_keys_names_the_setting(command: Command) -> None:
    """The error for a dataset with other keys shows the entry with which the run succeeds."""
    messages = (schema(keys=["name"]), record(id=1, name="a"))
    assert command.run(*messages).code == 0
    refused = command.run(*messages, primary_keys={"orders": ["id"]})
    (error,) = refused.errors
    assert refused.code == 1
    assert "has the primary keys name, and the stream would have the primary keys id" in error
    entry = json.loads(error.split("primary_keys (", 1)[1].split(")", 1)[0])
    assert entry == {"orders": ["name"]}
    assert command.run(*messages, primary_keys=entry).code == 0
    keyless = command.run(schema(keys=[]), record(id=1, name="a"), primary_keys=entry)
    assert keyless.code == 0
    assert len(command.rows()) == 1


def test_later_key_properties_change_nothing(command: Command) -> None:
    """A tap that changes its key_properties on the way can't change keys that are configured."""
    messages = (schema(), record(id=1, name="a"), schema(keys=["name"]), record(id=1, name="b"), state(x=1))
    assert command.run(*messages).code == 1
    run = command.run(*messages, primary_keys={"orders": ["id"]})
    assert (run.code, run.states) == (0, [{"x": 1}])
    assert command.rows() == [{"id": 1, "name": "b"}]


def test_dry_run_shows_configured_keys(command: Command) -> None:
    """A dry run shows the keys of the settings, and without keys says with which settings there are some."""
    run = command.run(schema(keys=[]), record(id=1), arguments=DRY, primary_keys={"orders": ["id"]})
    assert "orders → dataset 'orders', keys id, upsert" in run.out.decode()
    assert "has no keys" not in run.out.decode()


def test_check_refuses_bad_keys(command: Command) -> None:
    """`--check` refuses what a run would refuse: keys that are no list of columns."""
    run = command.run(arguments=("--check",), primary_keys={"orders": "id"})
    assert run.code == 1
    assert "primary_keys.orders must be a list of columns, such as [\"id\"], not 'id'." in run.out.decode()
    assert command.run(arguments=("--check",), primary_keys={"orders": ["id"]}).code == 0


@pytest.mark.parametrize("config", ["file", "ENV"])
def test_keys_come_from_meltano(command: Command, tmp_path: Path, config: str) -> None:
    """Keys arrive as Meltano passes them: nested in a file, as JSON text with dots in a variable."""
    path = tmp_path / "meltano.json"
    path.write_text(json.dumps({"primary_keys": {"orders": ["id"], "a": {"b": []}}}))
    variables = {
        "MELTANO_LOADER_NAME": "target-databox",
        "TARGET_DATABOX_PRIMARY_KEYS": '{"orders": ["id"], "a.b": []}',
        "TARGET_DATABOX_PRIMARY_KEYS_ORDERS": '["id"]',
        "TARGET_DATABOX_PRIMARY_KEYS_A_B": "[]",
    }
    run = command.run(
        schema(keys=[]),
        schema("a.b"),
        record(id=1),
        arguments=("--config", str(path) if config == "file" else "ENV"),
        env=variables,
    )
    assert run.code == 0, run.log
    assert keys_of(command) == ("id",)
    assert keys_of(command, "a.b") == ()
