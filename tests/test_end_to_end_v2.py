"""The real command with `api_version: v2`: what lands, read back through v2, whatever fails on the way."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.emulator import Assumptions, Store
from target_databox.emulator.state.shapes import Account, Actor
from tests.command import Command, record, schema, state, text
from tests.conftest import QUICK
from tests.test_end_to_end_signals import (
    LEEWAY_SECONDS,
    ROWS,
    SETTINGS,
    SHUTDOWN_SECONDS,
    check,
    end_of,
    feed,
    rows_from,
    seeds,
    wait_for_requests,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker

KEYLESS = schema(keys=[])
READ_AT_ONCE = {"read_lag_seconds": 0.0}


class CommandOfV2(Command):
    """The command with `api_version: v2`, unless a run says otherwise."""

    def config(self, **settings: Any) -> Path:
        """A configuration file."""
        return super().config(**{"api_version": "v2", **settings})

    def read_back(self, title: str = "orders") -> list[dict[str, Any]]:
        """The rows of the only dataset with a title, as v2 reads them back, all pages of them."""
        self.emulator.store.finish_processing()
        number = self.emulator.store.dataset_titled(title).number
        rows: list[dict[str, Any]] = []
        for page in range(100):
            answer = requests.get(
                f"{self.emulator.url}/v2/datasets/{number}/data",
                params={"page": page, "pageSize": 1000},
                headers={"x-api-key": self.emulator.api_key},
                timeout=10,
            )
            items = answer.json()["data"]["items"]
            if not items:
                return rows
            rows += items
        raise AssertionError("the rows have no end")

    def asked(self, route: str) -> int:
        """How many requests there were on a route."""
        return len(self.emulator.log.of(route))


@pytest.fixture
def make_command(make_emulator: EmulatorMaker, tmp_path: Path) -> Callable[..., CommandOfV2]:
    """Makes the command for an emulator with options, whose rows can be read back at once."""
    return lambda **options: CommandOfV2(tmp_path, make_emulator(**{**READ_AT_ONCE, **options}))


@pytest.fixture
def command(make_command: Callable[..., CommandOfV2]) -> CommandOfV2:
    """The command for an emulator that is quick and knows no limits."""
    return make_command()


def orders(count: int, first: int = 0, name: str = "a") -> list[dict[str, Any]]:
    """Records with keys of their own."""
    return [record(id=number, name=name) for number in range(first, first + count)]


def assert_exactly_once(command: CommandOfV2, count: int) -> None:
    """Make sure that every row is there once: as v2 reads it back, and in the store."""
    expected = list(range(count))
    assert sorted(row["id"] for row in command.read_back()) == expected
    assert sorted(int(row["id"]) for row in command.rows()) == expected


def keys_of_posts(emulator: Emulator) -> Counter[str | None]:
    """How often each idempotency key came with rows."""
    return Counter(each.idempotency_key for each in emulator.log.of("post_rows"))


# What lands


def test_rows_and_states_arrive(command: CommandOfV2) -> None:
    """Rows go out by five hundreds, the newest of a key wins, and everything speaks v2."""
    run = command.run(schema(), *orders(1200), record(id=7, name="newest"), state(at=1))
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert_exactly_once(command, 1200)
    assert [row["name"] for row in command.read_back() if row["id"] == 7] == ["newest"]
    assert max(each.rows for each in command.emulator.log) == 500
    assert {each.version for each in command.emulator.log if each.route != "read_rows"} == {"v2"}
    keys = keys_of_posts(command.emulator)
    assert set(keys.values()) == {1}
    assert None not in keys
    assert not run.told("WARNING")


def test_second_run_reuses_everything(command: CommandOfV2) -> None:
    """A second run finds the data source and the dataset of the first one, and replaces rows by key."""
    assert command.run(schema(), *orders(10), state(at=1)).code == 0
    run = command.run(schema(), *orders(10, first=5, name="b"), state(at=2))
    assert (run.code, run.states) == (0, [{"at": 2}]), run.log
    assert len(command.emulator.store.data_sources()) == len(command.emulator.store.datasets()) == 1
    assert_exactly_once(command, 15)
    assert "appended 5, overwritten 5" in run.log
    keys = keys_of_posts(command.emulator)
    assert len(keys) == 2


def test_equal_batches_are_two(command: CommandOfV2) -> None:
    """Two batches of equal rows without keys are both loaded, in one run and in the next one."""
    rows = [record(id=1, name="a")] * 20
    for _ in range(2):
        assert command.run(KEYLESS, *rows, state(at=1), batch_size_rows=5).code == 0
    assert len(command.read_back()) == 40


def test_overwrite_replaces_what_was_there(command: CommandOfV2) -> None:
    """`overwrite` purges once, with an idempotency key, and loads the same rows as before once more."""
    assert command.run(schema(), *orders(5), state(at=1)).code == 0
    for count in (3, 3):
        run = command.run(schema(), *orders(count), state(at=2), load_method="overwrite")
        assert (run.code, run.out) == (0, b""), run.log
        assert_exactly_once(command, 3)
    purges = command.emulator.log.of("purge")
    assert len({each.idempotency_key for each in purges} - {None}) == 2


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"drop": "before"}, {"status": 500}])
def test_lost_purges_cost_no_wait(command: CommandOfV2, fault: dict[str, Any]) -> None:
    """A purge whose answer is lost is sent again at once, under its key, and never lands on new rows."""
    assert command.run(schema(), *orders(5), state(at=1)).code == 0
    command.emulator.faults.add("purge", times=1, **fault)
    began = time.monotonic()
    run = command.run(schema(), *orders(3), load_method="overwrite", listing_lag_seconds=60)
    assert run.code == 0, run.log
    assert time.monotonic() - began < 50
    assert_exactly_once(command, 3)
    assert len({each.idempotency_key for each in command.emulator.log.of("purge")}) == 1


def test_changed_keys_are_told(command: CommandOfV2) -> None:
    """A stream whose keys are not those of its dataset is an error that names both."""
    assert command.run(schema(), record(id=1, name="a")).code == 0
    run = command.run(schema(keys=["name"]), record(id=1, name="a"), state(at=1))
    assert (run.code, run.out) == (1, b"")
    (error,) = run.errors
    assert "has the primary keys id, and the stream would have the primary keys name" in error


@pytest.mark.parametrize("arguments", [(), ("--dry-run",)])
def test_too_many_columns_are_told_first(command: CommandOfV2, arguments: tuple[str, ...]) -> None:
    """More than 100 columns are an error with their number, before the dataset is made."""
    wide = schema(id={"type": "integer"}, **{f"c{number}": {"type": "string"} for number in range(100)})
    run = command.run(wide, record(id=1), state(at=1), arguments=arguments)
    assert run.code == 1
    assert b'"at"' not in run.out
    assert "101 columns" in run.log + run.out.decode()
    assert not command.emulator.store.datasets()
    fitting = schema(id={"type": "integer"}, **{f"c{number}": {"type": "string"} for number in range(99)})
    assert command.run(fitting, record(id=1), state(at=1), arguments=arguments).code == 0


# Lost answers


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "after"},
        {"drop": "before"},
        {"status": 502, "after_write": True, "html": True},
        {"status": 502, "html": True},
        {"status": 503},
        {"status": 409, "after_write": True},
        {"status": 409},
        {"status": 529, "after_write": True, "body": ""},
        {"status": 408, "after_write": True},
        {"status": 200, "after_write": True, "body": "no JSON"},
        {"status": 200, "after_write": True, "body": ""},
        {"status": 200, "after_write": True, "body": '{"data": {"ingestionId": null}}'},
    ],
    ids=lambda fault: "-".join(f"{name}={value}" for name, value in fault.items()),
)
def test_lost_answers_lose_nothing(command: CommandOfV2, fault: dict[str, Any], *, keyed: bool) -> None:
    """Answers lost before and after the write: every row once, no search, no wait for the list's lag."""
    planned = command.emulator.faults.add("v2_post_rows", every=3, **fault)
    began = time.monotonic()
    run = command.run(
        schema() if keyed else KEYLESS,
        *orders(90),
        state(at=1),
        batch_size_rows=10,
        listing_lag_seconds=60,
    )
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert time.monotonic() - began < 50
    assert planned.hits > 2
    assert_exactly_once(command, 90)
    assert not run.errors
    assert command.asked("ingestions") == 0
    # Each batch has one key, through all of its tries.
    keys = keys_of_posts(command.emulator)
    assert (len(keys), keys.total()) == (9, 9 + planned.hits)


def test_slow_answers_are_awaited_once(make_command: Callable[..., CommandOfV2]) -> None:
    """A copy that comes while the first one is still carried out, and gets a 409, doubles nothing."""
    command = make_command(idempotency_overlap="409")
    command.emulator.faults.add("post_rows", every=3, delay_before_seconds=1.2)
    run = command.run(
        KEYLESS,
        *orders(60),
        state(at=1),
        batch_size_rows=10,
        request_timeout_seconds=0.5,
        retry_seconds=30,
        concurrent_requests=2,
    )
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert_exactly_once(command, 60)
    assert len(keys_of_posts(command.emulator)) == 6


def test_keys_that_came_with_other_rows_end_the_run(command: CommandOfV2, tmp_path: Path) -> None:
    """A 422 that calls the key reused ends the run as an error of ours: no row is rejected for it."""
    body = json.dumps(
        {"errors": [{"code": "idempotency_key_reused", "message": "Other input.", "field": ""}]}
    )
    command.emulator.faults.add("post_rows", nth=2, status=422, body=body)
    run = command.run(
        schema(),
        *orders(20),
        state(at=1),
        batch_size_rows=10,
        concurrent_requests=1,
        rejects_path=str(tmp_path / "rejects.singer"),
    )
    assert (run.code, run.out) == (1, b"")
    assert "takes the request for a copy of another one" in run.errors[-1]
    assert command.asked("post_rows") == 2
    assert not (tmp_path / "rejects.singer").exists() or not (tmp_path / "rejects.singer").read_bytes()


# Other failures


@pytest.mark.parametrize("form", ["no-header", "retry-after", "html", "empty"])
def test_throttled_run_completes(make_command: Callable[..., CommandOfV2], form: str) -> None:
    """A 429 without `Retry-After`, an HTML page or nothing at all is waited out, on every route."""
    command = make_command()
    headers = {"Retry-After": "0"} if form == "retry-after" else {}
    for route in ("data_sources", "create_dataset", "post_rows", "ingestion"):
        options = {"html": True} if form == "html" else {"body": ""} if form == "empty" else {}
        command.emulator.faults.add(route, times=1, status=429, headers=headers, **options)
    run = command.run(KEYLESS, *orders(40), state(at=1), batch_size_rows=10, retry_seconds=30)
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert_exactly_once(command, 40)


def test_failing_proxies_are_survived(command: CommandOfV2) -> None:
    """A 502 with an HTML page on every route, once or twice, costs retries and nothing else."""
    command.emulator.faults.add("v2_*", every=3, status=502, html=True)
    run = command.run(KEYLESS, *orders(60), state(at=1), batch_size_rows=10)
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    command.emulator.faults.clear()
    assert_exactly_once(command, 60)
    assert len(command.emulator.store.datasets()) == len(command.emulator.store.data_sources()) == 1


def test_locked_datasets_are_waited_for(make_command: Callable[..., CommandOfV2]) -> None:
    """A dataset that is locked after its purge gets its rows once it is free."""
    command = make_command(locked_seconds=0.3)
    assert command.run(schema(), *orders(5)).code == 0
    run = command.run(schema(), *orders(3), load_method="overwrite")
    assert run.code == 0, run.log
    assert_exactly_once(command, 3)


@pytest.mark.parametrize("failed_metrics", ["zeros", "absent"])
@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
@pytest.mark.parametrize("confirmation", ["rows", "status"])
def test_purged_is_never_success(
    make_command: Callable[..., CommandOfV2], *, failed_metrics: str, keyed: bool, confirmation: str
) -> None:
    """Rows that somebody purged while they were pending are loaded again where that is safe, or suspect."""
    command = make_command(
        purge_drops_pending=True,
        failed_metrics=failed_metrics,
        processing_seconds_min=1.5,
        processing_seconds_max=1.5,
    )
    process = command.start(confirmation=confirmation)
    feeder = feed(process, text(schema() if keyed else KEYLESS, *orders(5), state(at=1)), close=True)
    wait_until(lambda: bool(command.emulator.log.of("post_rows")), 30)
    command.emulator.store.purge(command.emulator.store.datasets()[0].id)
    run, _ = end_of(process, feeder)
    if keyed or (failed_metrics == "zeros" and confirmation == "rows"):
        assert (run.code, run.states) == (0, [{"at": 1}]), run.log
        assert_exactly_once(command, 5)
        assert len(keys_of_posts(command.emulator)) == 2
    else:
        assert (run.code, run.out) == (1, b"")
        assert command.asked("post_rows") == 1


def test_forbidden_purges_name_the_role(make_command: Callable[..., CommandOfV2]) -> None:
    """A key that may not purge a dataset ends the run with the role that is needed; nothing is lost."""
    command = make_command(role="editor")
    store, admin = command.emulator.store, Actor(99, "admin")
    source = store.create_data_source("target-databox", actor=admin)
    store.create_dataset("orders", source.id, ["id"], [("id", "number")], actor=admin)
    assert command.run(schema(), *orders(3), state(at=1)).code == 0
    run = command.run(schema(), *orders(1), load_method="overwrite")
    assert (run.code, run.out) == (1, b"")
    assert "purging a dataset needs an admin, or the user who created it" in run.errors[-1]
    assert_exactly_once(command, 3)
    run = command.run(schema("other"), record("other", id=1), state(at=1))
    assert (run.code, run.out) == (1, b"")
    assert "creating a dataset needs an admin, or the user who created the data source" in run.errors[-1]


# Rejected rows


def bad_orders(count: int, every: int) -> list[dict[str, Any]]:
    """Records of which each so many can't be stored, since their dataset has a date there."""
    return [
        record(id=number, name="a", day="canary" if number % every == 3 else f"2026-01-{number % 28 + 1:02}")
        for number in range(count)
    ]


def with_day(keys: list[str]) -> dict[str, Any]:
    """A stream that calls text what its dataset has as a date."""
    return schema(keys=keys, id={"type": "integer"}, name={"type": "string"}, day={"type": "string"})


def create_with_day(command: Command, keys: list[str]) -> None:
    """Make the dataset of such a stream."""
    store = command.emulator.store
    columns = [("id", "number"), ("name", "string"), ("day", "datetime")]
    store.create_dataset("orders", store.create_data_source("target-databox").id, keys, columns)


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
def test_named_rows_are_rejected_at_once(command: CommandOfV2, tmp_path: Path, *, keyed: bool) -> None:
    """Rows that the API names go into the file with its reason, and cost no further request."""
    path = tmp_path / "rejects.singer"
    keys = ["id"] if keyed else []
    create_with_day(command, keys)
    messages = [with_day(keys), *bad_orders(1000, 100), state(at=1)]
    run = command.run(*messages, rejects_path=str(path), rejects_policy="accept")
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    good = [number for number in range(1000) if number % 100 != 3]
    assert sorted(row["id"] for row in command.read_back()) == good
    # As many requests as without bad rows: one for each batch, and one for each outcome, once it is there.
    assert command.asked("post_rows") == 2
    assert set(keys_of_posts(command.emulator).values()) == {1}
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    kept = [line for line in lines if line["type"] == "RECORD"]
    assert sorted(line["record"]["id"] for line in kept) == list(range(3, 1000, 100))
    dataset = command.emulator.store.dataset_titled("orders")
    ingestions = {each.id for each in command.emulator.store.history()}
    for line in kept:
        said = line["rejected"]
        assert (said["reason"], said["code"]) == ("rejected", "invalid_value")
        assert "(field day)" in said["message"]
        assert said["requestId"]
        assert said["ingestionId"] in ingestions
        assert said["datasetId"] == str(dataset.number)
    told = [each for each in run.told("WARNING") if "rejected" in each and "invalid_value" in each]
    assert len(told) == 1, run.log
    assert "orders: rejected 10" in told[0]
    assert "read 1000 = confirmed 990 + superseded 0 + rejected 10 (appended 990, overwritten 0" in run.log
    assert "canary" not in run.log


def test_equal_rows_are_counted(command: CommandOfV2, tmp_path: Path) -> None:
    """Of equal rows each one that is named is rejected, without keys as well."""
    path = tmp_path / "rejects.singer"
    create_with_day(command, [])
    bad, good = record(id=1, day="canary"), record(id=2, day="2026-01-15")
    run = command.run(with_day([]), bad, good, bad, good, bad, state(at=1), rejects_path=str(path))
    assert (run.code, run.states) == (1, [{"at": 1}]), run.log
    assert path.read_bytes().count(b'"reason":"rejected"') == 3
    assert [row["id"] for row in command.read_back()] == [2, 2]


def test_odd_rows_are_known_again(command: CommandOfV2, tmp_path: Path) -> None:
    """A row is known by its values, however they are written: each that is named is found at once."""
    path = tmp_path / "rejects.singer"
    odd = [
        b'{"id":1,"v":1.10,"w":[1,2.50,null]}',
        b'{"id":2,"v":1e400,"w":{"b":{"c":[1]}}}',
        b'{"id":3,"v":123456789012345678901234567890,"w":true}',
        b'{"id":4,"v":-0.0,"w":"\\u00e9\\ud83d\\ude00\\u2028"}',
        b'{"id":5,"v":null,"w":""}',
        b'{"w":"key last","id":6}',
        b'{"id":7,"v":0.1,"w":"\\"quoted\\" \\\\ \\/ \\u0001"}',
    ]
    wide = schema(keys=["id"], id={"type": "integer"}, v={"type": ["number", "null"]}, w={})
    command.emulator.faults.add("post_rows", reject_rows=lambda row: float(row["id"]) < 8)
    lines = [b'{"type":"RECORD","stream":"orders","record":%s}\n' % row for row in odd]
    run = command.run(
        wide, *lines, record(id=8), state(at=1), rejects_path=str(path), rejects_policy="accept"
    )
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert [row["id"] for row in command.read_back()] == [8]
    assert path.read_bytes().count(b'"type":"RECORD"') == 7
    assert command.asked("post_rows") == 1


@pytest.mark.parametrize("named", ["one", "none"])
@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
def test_unnamed_rows_are_found_by_halves(
    make_command: Callable[..., CommandOfV2], tmp_path: Path, *, named: str, keyed: bool
) -> None:
    """Where the API names fewer rows than it counts, batches with keys are halved, under new keys."""
    command, path = make_command(named_errors=named), tmp_path / "rejects.singer"
    keys = ["id"] if keyed else []
    create_with_day(command, keys)
    rows = bad_orders(64, 16)
    run = command.run(with_day(keys), *rows, state(at=1), rejects_path=str(path), rejects_policy="accept")
    kept = [json.loads(line) for line in path.read_bytes().splitlines()]
    ids = sorted(line["record"]["id"] for line in kept if line["type"] == "RECORD")
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    stored = sorted(row["id"] for row in command.read_back())
    assert stored == [number for number in range(64) if number % 16 != 3]
    if keyed:
        assert ids == [3, 19, 35, 51]
        assert command.asked("post_rows") > 4
    else:
        assert ids == list(range(64))
        assert {line["rejected"]["reason"] for line in kept if line["type"] == "RECORD"} == {"suspect"}
        assert command.asked("post_rows") == 1
    assert set(keys_of_posts(command.emulator).values()) == {1}


def test_first_rejected_row_ends_the_run(command: CommandOfV2) -> None:
    """Without `rejects_path` a named row ends the run with the API's reason, and no STATE passes it."""
    create_with_day(command, ["id"])
    rows = bad_orders(10, 8)
    run = command.run(with_day(["id"]), *rows[:3], state(at=1), *rows[3:], state(at=2))
    assert run.code == 1
    assert run.states in ([], [{"at": 1}])
    assert "invalid_value" in run.errors[-1]
    assert "field day" in run.errors[-1]
    assert "request id" in run.errors[-1]
    assert "canary" not in run.log


# Confirmation by the list


@pytest.mark.parametrize("order", ["newest-first", "arbitrary"])
@pytest.mark.parametrize("told", ["asked", "used"])
def test_lists_confirm(make_command: Callable[..., CommandOfV2], order: str, told: str) -> None:
    """With `confirmation: status` the pages of the list are read from 0, and no ingestion by itself."""
    command = make_command(list_order=order, told_page_size=told)
    run = command.run(schema(), *orders(250), state(at=1), batch_size_rows=1, confirmation="status")
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert_exactly_once(command, 250)
    pages = {
        each.path.partition("page=")[2].partition("&")[0] for each in command.emulator.log.of("ingestions")
    }
    assert "0" in pages
    assert command.asked("ingestion") == 0
    assert "not known for 250 rows" in run.log
    # A second run begins with a list that has pages already.
    run = command.run(
        schema(), *orders(120, first=250), state(at=2), batch_size_rows=1, confirmation="status"
    )
    assert (run.code, run.states) == (0, [{"at": 2}]), run.log
    assert_exactly_once(command, 370)


def test_lists_that_hide_the_newest_are_given_up(make_command: Callable[..., CommandOfV2]) -> None:
    """Where new ones are on a late page, and times to the second show no order, each is read by itself."""
    command = make_command(list_order="oldest-first")
    run = command.run(schema(), *orders(350), state(at=1), batch_size_rows=1, confirmation="status")
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert_exactly_once(command, 350)
    assert run.log.count("reading each ingestion by itself") == bool(command.asked("ingestion"))


# Rehearsal and settings


def checked(command: CommandOfV2, env: dict[str, str] | None = None, **settings: Any) -> tuple[int, str]:
    """Exit code and table of a check."""
    run = command.run(
        arguments=("--check",),
        env=env,
        **{"requests_per_second": None, "requests_per_hour": None, **settings},
    )
    return run.code, run.out.decode()


def test_check_tells_budget_and_role(command: CommandOfV2) -> None:
    """`--check` tells the budget of this version, and the role; it changes nothing."""
    code, said = checked(command)
    assert code == 0, said
    assert "admin, who may create datasets everywhere" in said
    v1 = checked(command, api_version="v1")[1]
    rows = [
        int(table.partition("at most ")[2].partition(" rows an hour")[0].replace(",", ""))
        for table in (said, v1)
    ]
    assert rows[0] == 5 * rows[1]
    assert {each.method for each in command.emulator.log} == {"GET"}
    assert not command.emulator.store.data_sources()


@pytest.mark.parametrize("role", ["viewer", "editor", "user"])
def test_check_warns_of_roles(make_command: Callable[..., CommandOfV2], role: str) -> None:
    """`--check` warns where creating a dataset may need another role."""
    code, said = checked(make_command(role=role))
    assert code == 0, said
    assert f"{role}, who may create datasets only in data sources that the same user created" in said


def test_check_wants_what_a_run_wants(make_command: Callable[..., CommandOfV2]) -> None:
    """`--check` refuses a data source by id in an account that is not certain, as a run does."""
    command = make_command(accounts=[Account(1, "Agency", "agency"), Account(2, "Client")])
    source = command.emulator.store.create_data_source("Shop", 2)
    code, said = checked(command, data_source_id=source.id)
    assert code == 1
    assert "Set account_id to one of them" in " ".join(said.split())
    assert command.run(schema(), record(id=1), data_source_id=source.id).code == 1
    code, said = checked(command, data_source_id=source.id, account_id=2)
    assert code == 0, said
    assert command.run(schema(), record(id=1), data_source_id=source.id, account_id=2).code == 0


def test_dry_run_plans_with_the_limits(command: CommandOfV2) -> None:
    """`--dry-run` plans with batches of five hundred rows."""
    said = {}
    for version in ("v1", "v2"):
        run = command.run(schema(), *orders(1000), arguments=("--dry-run",), api_version=version)
        assert run.code == 0, run.log
        said[version] = run.out.decode()
    assert not command.emulator.log.total
    numbers = {version: set(table.replace(",", "").split()) for version, table in said.items()}
    assert "10" in numbers["v1"]
    assert "2" in numbers["v2"]
    assert "10" not in numbers["v2"]


@pytest.mark.parametrize(
    ("version", "given", "kind"),
    [
        ("v2", "6f9619ff-8b86-4d01-b42d-00cf4fc964ff", "a whole number"),
        ("v2", "12a", "a whole number"),
        ("v1", "4754489", "a UUID"),
    ],
)
def test_ids_of_the_other_version_are_told(command: CommandOfV2, version: str, given: str, kind: str) -> None:
    """An id of the wrong kind is refused before anything is sent, with what to do."""
    run = command.run(schema(), api_version=version, dataset_ids={"orders": given})
    assert (run.code, run.out) == (1, b"")
    assert f"dataset_ids.orders must be {kind} with api_version {version}, not" in run.log
    assert "found by its title" in run.log
    assert not command.emulator.log.total


@pytest.mark.parametrize("as_text", [True, False])
def test_datasets_by_id_are_used(command: CommandOfV2, *, as_text: bool) -> None:
    """A dataset by its number is loaded, whatever it is called; one that is gone is told."""
    source = command.emulator.store.create_data_source("Other")
    dataset = command.emulator.store.create_dataset("Other", source.id, ["id"])
    given = str(dataset.number) if as_text else dataset.number
    run = command.run(schema(), *orders(3), state(at=1), dataset_ids={"orders": given})
    assert run.code == 0, run.log
    assert len(command.read_back("Other")) == 3
    run = command.run(schema(), *orders(3), dataset_ids={"orders": "99999999"})
    assert run.code == 1
    assert "The dataset 99999999 of the stream 'orders' can't be used" in run.errors[-1]


def test_trial_makes_configured_ids(make_command: Callable[..., CommandOfV2]) -> None:
    """A trial makes the configured account, data source and dataset, and its second run finds them."""
    with closing(Store(None, adopt_unknown_ids=True, assumptions=Assumptions(**QUICK))) as store:
        command = make_command(store=store)
        env = {
            "TARGET_DATABOX_EMULATOR_URL": command.emulator.url,
            "TARGET_DATABOX_EMULATOR_KEY": command.emulator.api_key,
        }
        settings = {"account_id": 777, "data_source_id": 888, "dataset_ids": {"orders": "999"}}
        for _ in range(2):
            run = command.run(
                *(schema(), record(id=1), schema("other"), record("other", id=1), state(at=1)),
                env=env,
                **settings,
            )
            assert (run.code, run.states) == (0, [{"at": 1}]), run.log
            assert checked(command, env=env, **settings)[0] == 0
        assert len(command.rows("other")) == 1
        assert {each.number for each in store.datasets() if each.title != "other"} == {999}


# Ends, and moving over


@pytest.fixture
def slow_command(make_command: Callable[..., CommandOfV2]) -> CommandOfV2:
    """The command against an emulator that processes in random order, at some distance."""
    command = make_command(processing_seconds_min=0.0, processing_seconds_max=0.2)
    command.emulator.faults.add("*", delay_before_seconds=0.005)
    return command


@pytest.mark.parametrize("seed", seeds(3, 15))
def test_signal_at_any_instant(slow_command: CommandOfV2, seed: int) -> None:
    """After SIGTERM or SIGINT at any instant: the exit code, in time, and no STATE ahead of stored rows."""
    dice = random.Random(seed)  # noqa: S311 -- the same draws every time
    slow_command.emulator.faults.add("post_rows", probability=0.1, seed=seed, drop="after")
    number, code = dice.choice([(signal.SIGTERM, 143), (signal.SIGINT, 130)])
    process = slow_command.start(**SETTINGS)
    feeder = feed(process, rows_from(1))
    wait_for_requests(slow_command, process, dice.randrange(8, 90))
    process.send_signal(number)
    run, seconds = end_of(process, feeder)
    check(slow_command, run)
    assert run.code == code, run.log
    assert seconds < SHUTDOWN_SECONDS + LEEWAY_SECONDS
    assert not run.errors


@pytest.mark.parametrize("seed", seeds(3, 15))
@pytest.mark.parametrize("versions", [("v2", "v2"), ("v1", "v2"), ("v2", "v1")], ids="-".join)
def test_killed_run_goes_on(slow_command: CommandOfV2, seed: int, versions: tuple[str, str]) -> None:
    """After kill -9 a run of either version goes on from the last STATE of either: by key it is exact."""
    dice = random.Random(f"{seed} {versions}")  # noqa: S311 -- the same draws every time
    slow_command.emulator.faults.add("post_rows", probability=0.1, seed=seed, drop="after")
    before, after = versions
    process = slow_command.start(api_version=before, **SETTINGS)
    feeder = feed(process, rows_from(1, keys=700), close=True)
    wait_for_requests(slow_command, process, dice.randrange(5, 60))
    process.kill()
    killed, _ = end_of(process, feeder)
    upto = check(slow_command, killed, keys=700)
    run = slow_command.run(
        # A tenth of the answers is lost, by chance several of one batch after another.
        rows_from(upto + 1, keys=700),
        api_version=after,
        **{**SETTINGS, "retry_seconds": 60},
    )
    assert run.code == 0, run.log
    assert [each["upto"] for each in run.states][-1] == ROWS
    expected = {number % 700: f"version {number}" for number in range(1, ROWS + 1)}
    rows = slow_command.read_back()
    assert {row["id"]: row["name"] for row in rows} == expected
    assert len(rows) == len(expected)
    store = slow_command.emulator.store
    assert (len(store.data_sources()), len(store.datasets())) == (1, 1)


def test_versions_take_turns(command: CommandOfV2) -> None:
    """Complete runs of v1 and v2 by turns append to the same keyless dataset, each row once."""
    settings = {"data_source_title": "Shop", "dataset_titles": {"orders": "Orders"}}
    for place, version in enumerate(("v1", "v2", "v1", "v2")):
        run = command.run(
            KEYLESS,
            *orders(130, first=130 * place),
            state(at=place),
            api_version=version,
            **settings,
        )
        assert (run.code, run.states) == (0, [{"at": place}]), run.log
        asked = {each.version for each in list(command.emulator.log)}
        assert asked == {version}
        command.emulator.log.clear()
    assert len(command.emulator.store.data_sources()) == 1
    rows = command.read_back("Orders")
    assert sorted(row["id"] for row in rows) == list(range(4 * 130))
