"""`primary_keys` and `keyless_streams` as a user meets them: what lands in Databox, and what is said."""

from __future__ import annotations

import json
import re
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
    assert "Name a column that it becomes, such as 'campaign__id', in primary_keys" in refused.errors[0]
    twice(command, *messages, primary_keys={"ads": ["campaign__id"]})
    assert keys_of(command, "ads") == ("campaign__id",)
    (row,) = command.rows("ads")
    assert row["clicks"] == 4


@pytest.mark.parametrize("arguments", [(), DRY])
def test_unknown_key_columns_are_refused(command: Command, arguments: tuple[str, ...]) -> None:
    """A key that is no column of the stream is an error that names it and the setting."""
    run = command.run(schema(), record(id=1), arguments=arguments, primary_keys={"orders": ["idd"]})
    reported = (
        "Line 1 of the input is a SCHEMA of stream 'orders' that can't be loaded: The key property 'idd' "
        "is not a column of the stream. Name columns of the stream in primary_keys, [] for none."
    )
    assert run.code == 1
    assert reported in (run.out.decode() if arguments else "\n".join(run.errors))
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
    assert 'primary_keys.orders must be a list of columns, such as ["id"], not text.' in run.out.decode()
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


# keyless_streams

LINES = (
    schema(keys=[], at=TEXT, text=TEXT, amount=NUMBER),
    record(at="2024-01-01T00:00:00Z", text="a", amount=1),
    record(amount=1.0, text="a", at="2024-01-01T00:00:00Z"),
    record(at="2024-01-01T00:00:00Z", text="a"),
    record(at="2024-01-01T00:00:00Z", text="a", amount=None),
    record(at="2024-01-01T00:00:00Z", text="a", amount=1.5),
    state(done=1),
)


def test_hash_makes_equal_rows_one(command: Command) -> None:
    """Equal rows are one in any order of their columns, and loading them again changes nothing."""
    run = twice(command, *LINES, keyless_streams="hash")
    rows = command.rows()
    assert keys_of(command) == ("_row_hash",)
    assert sorted(str(row.get("amount")) for row in rows) == ["1.0", "1.5", "None"]
    assert all(re.fullmatch("[0-9a-f]{32}", row["_row_hash"]) for row in rows)
    assert run.states == [{"done": 1}]
    assert "superseded 2 + rejected 0 (appended 0, overwritten 3;" in run.log
    assert not run.told("WARNING")


def test_hash_counts_every_column(command: Command) -> None:
    """Columns of objects, arrays, and columns that the schema doesn't list count, as they are sent."""
    columns = {"at": TEXT, "paid": {"type": ["string", "boolean"]}, "ship": {"type": "object"}}
    records = [
        record(at="31.01.2024", paid=True, ship={"city": "Rome"}, extra=[1, 2]),
        record(at="31.01.2024", paid="true", extra=[1.0, 2], ship={"city": "Rome", "zip": None}),
        record(at="31.01.2024", paid=True, ship={"city": "Oslo"}, extra=[1, 2]),
        record(at="31.01.2024", paid=True, ship={"city": "Rome"}, extra=[2, 1]),
        record(at="01.02.2024", paid=True, ship={"city": "Rome"}, extra=[1, 2]),
    ]
    types = {"orders": {"at": "datetime:%d.%m.%Y"}}
    twice(command, schema(keys=[], **columns), *records, keyless_streams="hash", column_types=types)
    assert len(command.rows()) == 4


@pytest.mark.parametrize("own", ["", "declared", "undeclared"])
def test_added_metadata_is_not_hashed(command: Command, own: str) -> None:
    """What add_record_metadata adds is another in every run and doesn't count; a source's own column does."""
    columns = {"text": TEXT, **({"_sdc_sequence": NUMBER} if own == "declared" else {})}
    values = [{"text": "a", **({"_sdc_sequence": number} if own else {})} for number in (1, 2)]
    records = [record(**each) for each in values]
    settings: dict[str, Any] = {"keyless_streams": "hash", "add_record_metadata": True}
    twice(command, schema(keys=[], **columns), *records, **settings)
    assert len(command.rows()) == (2 if own else 1)
    assert all(row["_sdc_received_at"] for row in command.rows())


def test_hash_leaves_streams_with_keys_alone(command: Command) -> None:
    """Only streams without keys are hashed, and those whose keys primary_keys takes away."""
    messages = (schema(), schema("a", []), schema("b"), record(id=1), record("a", id=1), record("b", id=1))
    twice(command, *messages, keyless_streams="hash", primary_keys={"b": []})
    assert [keys_of(command, title) for title in ("orders", "a", "b")] == [
        ("id",),
        ("_row_hash",),
        ("_row_hash",),
    ]
    assert command.rows() == [{"id": 1}]
    assert len(command.rows("b")) == 1


def test_append_only_hashes_nothing(command: Command) -> None:
    """`append-only` has no keys, whatever keyless_streams says."""
    twice(command, schema(keys=[]), record(id=1), keyless_streams="hash", load_method="append-only")
    assert command.rows() == [{"id": 1}, {"id": 1}]
    assert keys_of(command) == ()


def test_overwrite_hashes(command: Command) -> None:
    """With `overwrite` the rows of the run replace the dataset's, equal ones once."""
    messages = (schema(keys=[]), record(id=1), record(id=1))
    twice(command, *messages, keyless_streams="hash", load_method="overwrite")
    assert [row["id"] for row in command.rows()] == [1]


@pytest.mark.parametrize("arguments", [(), DRY])
def test_own_column_of_that_name_is_refused(command: Command, arguments: tuple[str, ...]) -> None:
    """A stream that has a column `_row_hash` is refused at its SCHEMA, with a setting that works."""
    messages = (schema(keys=[], _row_hash=TEXT, id=NUMBER), record(_row_hash="x", id=1))
    run = command.run(*messages, arguments=arguments, keyless_streams="hash")
    reported = (
        "Line 1 of the input is a SCHEMA of stream 'orders' that can't be loaded: it has a column _row_hash "
        "itself, which keyless_streams hash would add. Make it the key with primary_keys, rename it with a "
        "stream map, or set keyless_streams to append."
    )
    assert run.code == 1
    assert reported in (run.out.decode() if arguments else "\n".join(run.errors))
    twice(command, *messages, keyless_streams="hash", primary_keys={"orders": ["_row_hash"]})
    assert command.rows() == [{"_row_hash": "x", "id": 1}]


def test_record_with_that_column_is_rejected(command: Command, tmp_path: Path) -> None:
    """A record that brings the column unannounced is kept as rejected, and the others load."""
    path = tmp_path / "rejects.singer"
    messages = (schema(keys=[]), record(id=1), record(id=2, _row_hash="x"), record(id=3), state(done=1))
    run = command.run(*messages, keyless_streams="hash", rejects_path=str(path))
    assert (run.code, run.states) == (1, [{"done": 1}])
    assert sorted(row["id"] for row in command.rows()) == [1, 3]
    assert "'_row_hash' itself" in path.read_text()


def test_schema_change_keeps_hashes(command: Command) -> None:
    """A column that a tap adds later changes no row that leaves it null, in a run and from run to run."""
    later = schema(keys=[], id=NUMBER, name=TEXT, city=TEXT)
    first = (schema(keys=[]), record(id=1, name="a"), record(id=2, name="b"))
    second = (later, record(id=1, name="a", city=None), record(id=2, name="b", city="Rome"))
    assert command.run(*first, *second, keyless_streams="hash").code == 0
    assert command.run(*second, *first, keyless_streams="hash").code == 0
    assert sorted((row["id"], row.get("city")) for row in command.rows() if row["id"] == 1) == [(1, None)]
    assert sorted(str(row.get("city")) for row in command.rows() if row["id"] == 2) == ["None", "Rome"]


def test_keys_that_come_later_are_an_error(command: Command) -> None:
    """A stream that is hashed and then names keys would change the dataset's: that ends the run."""
    run = command.run(schema(keys=[]), record(id=1), schema(), record(id=2), keyless_streams="hash")
    assert run.code == 1
    assert run.errors[-1].startswith(
        "Line 3 of the input changes the key properties of stream 'orders' from _row_hash to id: "
    )
    assert [row["id"] for row in command.rows()] == [1]


@pytest.mark.parametrize(
    ("first", "second", "fit"),
    [
        ({}, {"keyless_streams": "hash"}, {"keyless_streams": "append"}),
        ({"keyless_streams": "hash"}, {}, {"keyless_streams": "hash"}),
        ({"keyless_streams": "hash"}, {"primary_keys": {"orders": ["id"]}}, {"keyless_streams": "hash"}),
    ],
)
def test_datasets_made_otherwise_are_refused(
    command: Command, first: dict[str, Any], second: dict[str, Any], fit: dict[str, Any]
) -> None:
    """A dataset of the other kind is an error that names the settings, and with them the run succeeds."""
    messages = (schema(keys=[]), record(id=1))
    assert command.run(*messages, **first).code == 0
    refused = command.run(*messages, **second)
    assert refused.code == 1
    (error,) = refused.errors
    advice = (
        "or set keyless_streams to append."
        if not first
        else 'primary_keys ({"orders": []}), keyless_streams or load_method.'
    )
    assert advice in error
    assert command.run(*messages, **{**second, "primary_keys": {"orders": []}, **fit}).code == 0


def test_appending_again_is_warned_of(command: Command) -> None:
    """Rows without keys that go to a dataset of an earlier run are appended, and a warning says so."""
    messages = (schema(keys=[]), schema("keyed"), record(id=1), record("keyed", id=1))
    first = command.run(*messages)
    assert not first.told("WARNING")
    second = command.run(*messages)
    dataset = command.emulator.store.dataset_titled("orders").id
    assert second.told("WARNING") == [
        f"Appending to stream 'orders' (dataset 'orders', {dataset}), which already existed, since the "
        "stream has no keys: rows that the dataset already holds are stored twice. To load each row once, "
        "name the stream's keys in primary_keys or set keyless_streams to hash, and choose another dataset "
        "with dataset_titles: the keys of a dataset can't be changed."
    ]
    assert len(command.rows()) == 2
    for method in ("append-only", "overwrite"):
        chosen = command.run(schema(keys=[]), record(id=1), load_method=method)
        assert (chosen.code, chosen.told("WARNING")) == (0, [])


def test_dry_run_shows_hashed_streams(command: Command) -> None:
    """A dry run shows the hash as key and column, and hints at no keys that would be missing."""
    run = command.run(*LINES, arguments=DRY, keyless_streams="hash")
    shown = [" ".join(line.split()) for line in run.out.decode().splitlines()]
    assert "orders → dataset 'orders', keys _row_hash, upsert" in shown
    assert "_row_hash string 5 key" in shown
    assert "has no keys" not in run.out.decode()
    hinted = command.run(*LINES, arguments=DRY).out.decode()
    assert 'primary_keys ({"orders": ["…"]}), or set keyless_streams to hash' in hinted


def test_check_refuses_other_words(command: Command) -> None:
    """`--check` refuses a word that keyless_streams does not know."""
    run = command.run(arguments=("--check",), keyless_streams="hsh")
    assert run.code == 1
    assert "keyless_streams must be append or hash, not 'hsh'." in run.out.decode()
