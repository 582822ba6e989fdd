"""The real command while Databox fails: refusals, lost answers, limits, bad rows, a key that is shared."""

from __future__ import annotations

import json
import random
import resource
import socket
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.emulator import Assumptions, Limits, Store
from target_databox.emulator.state.errors import InvalidInputError
from tests.command import TARGET, Command, finished, record, schema, state, text
from tests.conftest import QUICK

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from target_databox.emulator.state.ingestions import Fate, Ingestion
    from tests.conftest import EmulatorMaker

CANARY = "canary-value"
KEYLESS = schema(keys=[])


def versions(count: int, keys: int) -> list[dict[str, Any]]:
    """Every key many times, the newest version last."""
    return [record(id=number % keys, name=f"version {number}") for number in range(count)]


def newest(messages: list[dict[str, Any]]) -> dict[int, str]:
    """What is stored when the last one of each key wins."""
    return {each["record"]["id"]: each["record"]["name"] for each in messages}


def by_key(command: Command) -> dict[int, str]:
    """What is stored, by key."""
    return {int(row["id"]): row["name"] for row in command.rows()}


class PickyStore(Store):
    """Refuses every request that holds a bad row, and quotes it."""

    def accept(
        self, dataset_id: str, texts: Sequence[bytes], fate: Fate | None = None, **options: Any
    ) -> Ingestion:
        """Accept rows, none of which may be bad."""
        for each in texts:
            if b'"bad' in each:
                raise InvalidInputError(f"This row is not valid: {each.decode()}")
        return super().accept(dataset_id, texts, fate, **options)


@pytest.fixture
def picky_command(make_emulator: EmulatorMaker, tmp_path: Path) -> Iterator[Command]:
    """The command against an emulator that refuses whole requests for the sake of one row."""
    store = PickyStore(assumptions=Assumptions(**QUICK))
    yield Command(tmp_path, make_emulator(store=store))
    store.close()


# What ends a run


def test_wrong_key_ends_the_run(command: Command) -> None:
    """A key that Databox refuses ends the run at once, and is not logged."""
    run = command.run(schema(), record(id=1), state(at=1), api_key="pak_wrong-canary")
    assert (run.code, run.out) == (1, b"")
    (error,) = run.errors
    assert error.startswith("GET /v1/accounts was answered with status 401 (")
    assert "Check the setting api_key" in error
    assert "pak_wrong-canary" not in run.log
    assert command.emulator.log.total == 1


def test_key_withdrawn_in_the_middle_ends_the_run(command: Command) -> None:
    """A key that is refused while the input is silent ends the run without waiting for more of it."""
    command.emulator.faults.add("post_rows", nth=2, status=401)
    process = command.start(batch_age_seconds=0.05)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(text(schema(), record(id=1), state(at=1)))
    process.stdin.flush()
    assert process.stdout.readline() == b'{"at": 1}\n'
    process.stdin.write(text(record(id=2), state(at=2)))
    process.stdin.flush()
    assert process.wait(20) == 1
    run = finished(process)
    assert (run.code, run.out) == (1, b"")
    assert len(run.errors) == 1
    assert "status 401" in run.errors[0]


def test_unknown_account_is_reported(command: Command) -> None:
    """An account that the key does not know is an error that names those it knows."""
    run = command.run(schema(), account_id=99)
    assert (run.code, run.out) == (1, b"")
    (error,) = run.errors
    assert "99" in error
    assert "123456" in error
    assert "account_id" in error


def test_unreachable_host_is_reported(command: Command) -> None:
    """A host that does not answer is tried for retry_seconds, then reported."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = command.run(schema(), api_url=f"http://127.0.0.1:{port}", retry_seconds=0.2)
    assert (run.code, run.out) == (1, b"")
    assert len(run.errors) == 1
    assert "/v1/accounts" in run.errors[0]
    assert "Traceback" not in run.log


def test_changed_keys_are_reported(command: Command) -> None:
    """A stream whose keys are not those of its dataset is an error that names both."""
    assert command.run(schema(), record(id=1)).code == 0
    run = command.run(schema(keys=["name"]), record(id=1, name="a"), state(at=1))
    assert (run.code, run.out) == (1, b"")
    (error,) = run.errors
    assert "'orders'" in error
    assert "id" in error
    assert "name" in error
    assert command.rows() == [{"id": 1}]


def test_missing_dataset_is_reported(command: Command) -> None:
    """A dataset that is gone is one clear error."""
    run = command.run(
        schema(), record(id=1), state(at=1), dataset_ids={"orders": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"}
    )
    assert (run.code, run.out) == (1, b"")
    assert len(run.errors) == 1
    assert "6f9619ff-8b86-4d01-b42d-00cf4fc964ff" in run.errors[0]


def test_systemic_refusal_is_no_storm(command: Command, tmp_path: Path) -> None:
    """An API that refuses every row of a dataset ends the run at `rejects_limit`, not after thousands."""
    command.emulator.faults.add("post_rows", status=422)
    rejects = tmp_path / "rejects.singer"
    rows = [record(id=number) for number in range(1000)]
    run = command.run(schema(), *rows, state(at=1), rejects_path=str(rejects), rejects_limit=20)
    assert (run.code, run.out) == (1, b"")
    assert len(command.emulator.log.of("post_rows")) < 100
    assert "more than rejects_limit (20)" in run.errors[-1]


@pytest.mark.parametrize("route", ["accounts", "create_dataset", "post_rows", "ingestion"])
def test_long_waits_are_not_begun(command: Command, route: str) -> None:
    """A 503 that asks for a longer wait than `retry_seconds` ends setup and delivery alike, at once."""
    planned = command.emulator.faults.add(route, status=503, headers={"Retry-After": "600"})
    run = command.run(schema(), record(id=1), state(at=1), retry_seconds=300, shutdown_seconds=0.1)
    assert (run.code, run.out, planned.hits) == (1, b"", 1)
    assert run.errors[-1].endswith(
        "It is not tried again: the API asks for a wait of 600 seconds, and retry_seconds leaves 300."
    )


# What a run survives


@pytest.mark.parametrize("keyed", [True, False], ids=["keyed", "keyless"])
@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "after"},
        {"drop": "before"},
        {"status": 502, "after_write": True, "html": True},
        {"status": 503},
        {"status": 520, "after_write": True, "html": True},
        {"status": 529, "after_write": True, "body": ""},
        {"status": 408, "after_write": True},
        {"status": 200, "after_write": True, "body": "no JSON"},
    ],
    ids=[
        "lost after",
        "lost before",
        "502 after",
        "503 before",
        "520 after",
        "529 after",
        "408 after",
        "no JSON after",
    ],
)
def test_lost_answers_lose_nothing(command: Command, fault: dict[str, Any], *, keyed: bool) -> None:
    """Answers lost before and after the write: no row is missing, none is there twice."""
    planned = command.emulator.faults.add("post_rows", every=3, **fault)
    rows = [record(id=number, name="a") for number in range(90)]
    run = command.run(
        schema() if keyed else KEYLESS, *rows, state(at=1), batch_size_rows=10, listing_lag_seconds=0.3
    )
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert planned.hits > 2
    assert sorted(int(row["id"]) for row in command.rows()) == list(range(90))
    assert not run.errors


def test_versions_arrive_in_order(make_emulator: EmulatorMaker, tmp_path: Path) -> None:
    """Every key updated many times, ingestions processed in random order, answers lost: the last one wins."""
    emulator = make_emulator(processing_seconds_min=0.0, processing_seconds_max=0.3)
    command = Command(tmp_path, emulator)
    emulator.faults.add("post_rows", probability=0.2, seed=4, drop="after")
    emulator.faults.add("post_rows", probability=0.2, seed=5, processing_seconds=0.6)
    messages = versions(600, 30)
    run = command.run(schema(), *messages, state(at=1), batch_size_rows=7, listing_lag_seconds=0.3)
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    emulator.store.finish_processing()
    assert by_key(command) == newest(messages)


@pytest.mark.parametrize("word", ["Archived", " STORED away", "succeeded"])
def test_unknown_words_go_by_counts(make_emulator: EmulatorMaker, tmp_path: Path, word: str) -> None:
    """A status word that nobody knows is done when the counts add up, with one warning that names it."""
    command = Command(tmp_path, make_emulator(done_word=word))
    rows = [record(id=number) for number in range(50)]
    run = command.run(schema(), *rows, state(at=1), batch_size_rows=10)
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert len(command.rows()) == 50
    assert run.log.count(f"with the unknown status '{word.strip()}'") == 1


def test_unknown_words_of_lists_are_named(make_emulator: EmulatorMaker, tmp_path: Path) -> None:
    """With `confirmation` by status such a word is pending, and the error names it with what to do."""
    command = Command(tmp_path, make_emulator(done_word="Archived"))
    run = command.run(
        schema(),
        record(id=1),
        state(at=1),
        confirmation="status",
        confirmation_timeout_seconds=0.5,
        shutdown_seconds=0.1,
    )
    assert (run.code, run.out) == (1, b"")
    assert "the list of ingestions shows it with the unknown status 'Archived'" in run.errors[-1]
    assert "set `confirmation: rows`" in run.errors[-1]


def test_throttled_run_completes(command: Command) -> None:
    """429 answers, with and without Retry-After, empty or a page, delay the run and change nothing else."""
    command.emulator.faults.add("*", every=4, status=429, headers={"Retry-After": "0"})
    command.emulator.faults.add("post_rows", nth=5, status=429, html=True, body="<p>slow down</p>")
    command.emulator.faults.add("ingestion", nth=3, status=429, body="")
    rows = [record(id=number) for number in range(50)]
    run = command.run(schema(), *rows, state(at=1), batch_size_rows=10)
    assert (run.code, run.states) == (0, [{"at": 1}])
    assert len(command.rows()) == 50
    assert not run.errors


@pytest.mark.slow
def test_two_runs_share_one_key(make_emulator: EmulatorMaker, tmp_path: Path) -> None:
    """Two processes on one key with the server's limit of ten a second both finish."""
    command = Command(tmp_path, make_emulator(limits=Limits()))
    processes = []
    for stream in ("one", "two"):
        rows = [record(stream, id=number) for number in range(60)]
        messages = text(schema(stream), *rows, state(at=1))
        process = command.start(requests_per_second=10, requests_per_hour=10_000, batch_size_rows=2)
        processes.append((process, messages))
    for process, messages in processes:
        assert process.stdin is not None
        process.stdin.write(messages)
        process.stdin.close()
        process.stdin = None
    for process, _ in processes:
        run = finished(process)
        assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    assert len(command.rows("one")) == len(command.rows("two")) == 60


# Rejected rows


@pytest.mark.parametrize("refusal", [False, True], ids=["rejected by count", "refused with 4xx"])
@pytest.mark.parametrize(
    ("count", "bad", "limit"),
    [
        (2000, 1, 30),
        (2000, 20, 600),
        (400, 100, 400),
        pytest.param(100_000, 1, 30, marks=pytest.mark.slow),
        pytest.param(20_000, 200, 6000, marks=pytest.mark.slow),
    ],
    ids=["1 in 2,000", "1 %", "a whole batch", "1 in 100,000", "1 % of 20,000"],
)
def test_bad_rows_are_found(
    command: Command,
    picky_command: Command,
    tmp_path: Path,
    count: int,
    bad: int,
    limit: int,
    *,
    refusal: bool,
) -> None:
    """Exactly the bad rows are in the rejects file, all others are stored, at the cost of a few requests."""
    dice = random.Random(count + bad)  # noqa: S311 -- the same draws every time
    marked = set(range(100, 200)) if bad == 100 else set(dice.sample(range(count), bad))
    rows = [record(id=number, name="bad" if number in marked else "good") for number in range(count)]
    if refusal:
        command = picky_command
    else:
        command.emulator.faults.add("post_rows", reject_rows=lambda row: row["name"] == "bad")
    rejects = tmp_path / "rejects.singer"
    run = command.run(
        schema(),
        *rows,
        state(at=1),
        rejects_path=str(rejects),
        rejects_policy="accept",
        rejects_limit=count,
    )
    assert (run.code, run.states) == (0, [{"at": 1}]), run.log
    kept = [json.loads(line) for line in rejects.read_bytes().splitlines()]
    assert {each["record"]["id"] for each in kept if each["type"] == "RECORD"} == marked
    assert set(by_key(command)) == set(range(count)) - marked
    extra = command.emulator.log.total - 2 * (count // 100) - 10
    print(f"{bad} bad rows of {count}: {extra} extra requests")  # noqa: T201 # a figure to look at
    assert extra <= limit


def test_replayed_rejects_are_loaded(command: Command, tmp_path: Path) -> None:
    """Corrected records of the rejects file load with `target-databox < file`, under the same conversions."""
    rejects = tmp_path / "rejects.singer"
    settings = {"rejects_path": str(rejects), "rejects_policy": "accept"}
    bad = b'{"type":"RECORD","stream":"orders","record":{"id":3,"name":"\xff"}}\n'
    run = command.run(schema(), record(id="1"), record(id=2, name="b"), bad, state(at=1), **settings)
    assert (run.code, run.states) == (0, [{"at": 1}])

    own = command.run(rejects.read_bytes(), arguments=("--input", str(rejects)), **settings)
    assert own.code == 1
    assert own.errors == [
        f"The input is {rejects}, which is rejects_path too. Move it away before it is loaded, or set "
        "another rejects_path."
    ]
    assert own.told("WARNING")[0] == (
        f"{rejects} holds 2 records that earlier runs rejected. Bookmarks may be past them: correct them and "
        "load the file."
    )

    lines = [json.loads(line) for line in rejects.read_bytes().splitlines()]
    for line in lines:
        if line["type"] == "RECORD":
            line["record"] = {"id": 1, "name": "mended"} if line["record"] else {"id": 3, "name": "ÿ"}
    again = command.run(*lines)
    assert again.code == 0
    assert by_key(command) == {2: "b", 1: "mended", 3: "ÿ"}


def test_rejects_end_with_code_1(command: Command, tmp_path: Path) -> None:
    """With the policy `fail` a run that rejected records is complete and exits with 1."""
    rejects = tmp_path / "rejects.singer"
    run = command.run(schema(), record(id="x"), record(id=2), state(at=1), rejects_path=str(rejects))
    assert (run.code, run.states) == (1, [{"at": 1}])
    assert run.errors == [
        f"1 record was rejected; it is in {rejects}, with the reason. Correct and load that file with "
        "target-databox, or set rejects_policy to accept."
    ]


def test_rejects_limit_ends_the_run(command: Command, tmp_path: Path) -> None:
    """More rejected records than rejects_limit end the run; those that were met are in the file."""
    rejects = tmp_path / "rejects.singer"
    messages = [record(id=f"{CANARY} {number}") for number in range(200)]
    run = command.run(schema(), *messages, state(at=1), rejects_path=str(rejects), rejects_limit=5)
    assert (run.code, run.out) == (1, b"")
    assert "more than rejects_limit (5) allows" in run.errors[0]
    assert 6 <= rejects.read_bytes().count(b'"rejected"') < 200
    assert CANARY not in run.log


def test_full_disk_stops_the_states(command: Command, tmp_path: Path) -> None:
    """When a rejected record can't be written, no STATE passes it and nothing half is in the file."""
    rejects = tmp_path / "rejects.singer"
    left = text(schema(), {**record(id=0, name="x"), "rejected": {"reason": "key"}})
    rejects.write_bytes(left.rjust(4001))
    config = command.config(rejects_path=str(rejects), rejects_limit=1000)

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    process = subprocess.Popen(
        [TARGET, "--config", config],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=small_disk,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(text(schema(), record(id=1), state(at=1)))
    process.stdin.flush()
    assert process.stdout.readline() == b'{"at": 1}\n'
    run = finished(process, text(record(id="x"), state(at=2)))
    assert (run.code, run.out) == (1, b"")
    assert run.errors == [
        f"1 rejected record could not be written to {rejects}: File too large. No STATE passes them; make "
        "room or choose another rejects_path, then run again."
    ]
    assert rejects.stat().st_size == 4001


# Secrets


@pytest.mark.parametrize("policy", ["fail", "accept", None], ids=["fail", "accept", "no file"])
def test_neither_rows_nor_key_are_logged(picky_command: Command, tmp_path: Path, policy: str | None) -> None:
    """At DEBUG, with an API that echoes rows, neither key nor a value of a row is in the log."""
    rejects = tmp_path / "rejects.singer"
    settings = {"rejects_path": str(rejects), "rejects_policy": policy} if policy else {}
    picky_command.emulator.faults.add("post_rows", nth=3, status=503, body='{"errors": "canary-value"}')
    messages = [
        record(id=1, name=f"bad {CANARY}", secret=f"{CANARY}-2"),
        record(id=2, name=CANARY, age=f"{CANARY}-3"),
        record(id=f"{CANARY}-4"),
        record(name=CANARY),
        b'{"type":"RECORD","stream":"orders","record":{"id":5,"name":"canary-value\xff"}}\n',
        record(id=6, name=CANARY),
        b'{"type":"RECORD","stream":"orders","record":{"id":7,"name":"canary-value',
    ]
    maps = {"orders": {"__filter__": "record.get('name', 1)", "copy": "record.get('name')"}}
    run = picky_command.run(
        schema(),
        *messages,
        env={"TARGET_DATABOX_LOGLEVEL": "DEBUG"},
        stream_maps=maps,
        batch_size_rows=2,
        stream_map_config={"hash_seed": "another-secret"},
        **settings,
    )
    assert run.code == 1
    key = picky_command.emulator.api_key
    for secret in (CANARY, key, key.removeprefix("pak_")):
        assert secret not in run.log
        assert secret not in run.out.decode()
    if policy:
        kept = rejects.read_text()
        assert key not in kept
        assert kept.count('"rejected"') >= 4


def test_bugs_are_reported_without_data(command: Command, tmp_path: Path) -> None:
    """An error that nobody foresaw is reported by its kind and its places, not by its words."""
    hook = tmp_path / "sitecustomize.py"
    hook.write_text(
        "import target_databox.records.rows as rows\n"
        "def broken(self, record, **options):\n"
        "    raise RuntimeError('canary-value')\n"
        "rows.RowEncoder.encode = broken\n"
    )
    run = command.run(schema(), record(id=1), state(at=1), env={"PYTHONPATH": str(tmp_path)})
    assert (run.code, run.out) == (1, b"")
    error, *where = run.errors
    assert error.startswith("The run ended with an unexpected error: RuntimeError. This is a bug")
    assert any(line.endswith("in broken") for line in where)
    assert CANARY not in run.log
