"""Taps that send SCHEMA after SCHEMA: the order of versions is kept by key, and no message waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.command import record, schema, state

if TYPE_CHECKING:
    from tests.command import Command

TEXT, NUMBER = {"type": ["string", "null"]}, {"type": "number"}
WIDTHS: list[dict[str, Any]] = [
    {"id": {"type": "integer"}, "name": TEXT},
    {"id": {"type": "integer"}, "name": TEXT, "size": NUMBER},
    {"id": {"type": "integer"}, "size": NUMBER},
    {"id": {"type": "integer"}, "note": TEXT, "size": NUMBER},
]


def posts(command: Command) -> int:
    """How many ingestions were sent."""
    return len(command.emulator.log.of("post_rows"))


@pytest.mark.parametrize("kinds", [1, 2, 3, 4])
def test_alternating_schemas_fill_batches(command: Command, kinds: int) -> None:
    """A SCHEMA before every record, of one kind or of several in turn, costs no ingestion."""
    messages = []
    for number in range(300):
        messages += [schema(**WIDTHS[number % kinds]), record(id=number, name="a", size=1)]
    run = command.run(*messages, state(at=300), batch_age_seconds=30)
    assert (run.code, run.states) == (0, [{"at": 300}])
    assert posts(command) == 3
    assert len(command.rows()) == 300


def test_versions_keep_their_order_across_schemas(command: Command) -> None:
    """Of one key the newest version stays, whichever of two alternating SCHEMAs it came under."""
    messages = []
    for number in range(200):
        messages += [schema(**WIDTHS[number % 2]), record(id=number % 3, name=f"v{number}")]
    run = command.run(*messages, state(at=200), batch_size_rows=2)
    assert run.code == 0
    assert {row["id"]: row["name"] for row in command.rows()} == {0: "v198", 1: "v199", 2: "v197"}


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_keys_in_another_order_are_the_same(command: Command, order: list[str]) -> None:
    """A later SCHEMA that names the same keys in another order means the same keys: the newest wins."""
    columns = {"a": {"type": "integer"}, "b": {"type": "integer"}, "v": {"type": "integer"}}
    messages = []
    for number in range(60):
        keys = order if number % 2 else ["a", "b"]
        messages += [schema(keys=keys, **columns), record(a=1, b=2, v=number), record(a=2, b=1, v=-number)]
    run = command.run(*messages, state(at=1), batch_size_rows=1)
    assert run.code == 0
    rows = {(row["a"], row["b"]): row["v"] for row in command.rows()}
    assert rows == {(1, 2): 59, (2, 1): -59}


def test_activate_version_waits_for_nothing(command: Command) -> None:
    """An ACTIVATE_VERSION between records leaves their batch to fill."""
    messages: list[Any] = [schema()]
    for number in range(150):
        messages += [record(id=number), {"type": "ACTIVATE_VERSION", "stream": "orders", "version": number}]
    run = command.run(*messages, state(at=1), batch_age_seconds=30)
    assert run.code == 0
    assert posts(command) == 2


def test_changed_keys_are_refused(command: Command) -> None:
    """A later SCHEMA with other keys is an error, and what came before it is delivered."""
    run = command.run(schema(), record(id=1), state(at=1), schema(keys=["name"]), record(id=2, name="b"))
    assert (run.code, run.states) == (1, [{"at": 1}])
    assert "changes the key properties of stream 'orders' from id to name" in run.errors[-1]


def test_settings_of_an_earlier_schema_are_no_misspelling(command: Command) -> None:
    """A type for a column that only an earlier SCHEMA had was of use, and every record counts."""
    first = schema(id={"type": "integer"}, amount=TEXT)
    second = schema(id={"type": "integer"}, other=TEXT)
    run = command.run(
        first, record(id=1, amount="1"), second, record(id=2, other="b"), state(at=2),
        column_types={"orders": {"amount": "number"}},
    )  # fmt: skip
    assert (run.code, run.states) == (0, [{"at": 2}])
    assert "misspelt" not in run.log
    assert run.log.count('"metric":"record_count"') == 1
    assert '"metric":"record_count","value":2' in run.log


def test_equal_looking_schemas_are_distinguished(command: Command) -> None:
    """A SCHEMA with `false` where the one before had 0 is another one."""
    numbers = schema(id={"type": "integer"}, flag={"enum": [0, 1]})
    booleans = schema(id={"type": "integer"}, flag={"enum": [False, True]})
    run = command.run(
        numbers, record(id=1, flag=1), booleans, record(id=2, flag=True), state(at=2), boolean_format="number"
    )
    assert (run.code, run.states) == (0, [{"at": 2}])


def test_nine_kinds_of_schema_are_as_good_as_eight(command: Command) -> None:
    """Many SCHEMAs in turn are read again, not made anew, and nothing is logged for each."""
    messages: list[Any] = []
    for number in range(270):
        kind = {"id": {"type": "integer"}, f"c{number % 9}": TEXT}
        messages += [schema(**kind), record(id=number)]
    run = command.run(*messages, state(at=1), batch_age_seconds=30)
    assert run.code == 0
    assert posts(command) == 3
    assert len(run.log.splitlines()) < 40
