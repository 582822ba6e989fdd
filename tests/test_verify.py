"""`--verify` as a user meets it: what was changed behind the target's back is found, and nothing is sent."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.errors import KeyRefusedError, RefusedError
from target_databox.emulator import Store
from target_databox.verification import verify as verify_module
from target_databox.verification.errors import VerificationError
from target_databox.verification.progress import VerifyProgress
from target_databox.verification.rules import WORDS, Rule
from tests.command import Command, finished, record, schema, state, text
from tests.loading import load
from tests.verifying import change, verify

if TYPE_CHECKING:
    from target_databox.emulator import Emulator
    from tests.command import Run
    from tests.conftest import EmulatorMaker

TEXT = {"type": ["string", "null"]}
COLUMNS: dict[str, Any] = {
    "id": {"type": "integer"},
    "name": TEXT,
    "amount": {"type": "number"},
    "at": {"type": "string", "format": "date-time"},
    "tags": {"type": "array", "items": {"type": "string"}},
    "note": TEXT,
}


def order(number: int, **values: Any) -> dict[str, Any]:
    """A record whose every value is one that Databox might change."""
    return record(
        **{
            "id": number,
            "name": f" name of {number} ",
            "amount": b"",
            "at": f"2024-03-01T12:00:{number % 60:02}.123456+02:00",
            "tags": ["a", str(number)],
            "note": f"secret {number}",
            **values,
        }
    )


def orders(count: int = 12) -> bytes:
    """A stream of such records; amounts have more digits than a double."""
    lines = text(schema(**COLUMNS), *(order(number, amount="AMOUNT") for number in range(1, count + 1)))
    numbers = iter(range(1, count + 1))
    return re.sub(rb'"AMOUNT"', lambda _: b"%d.12345678901234567890" % next(numbers), lines)


@pytest.fixture
def emulator(make_emulator: EmulatorMaker) -> Emulator:
    """An emulator that reads rows back at once."""
    return make_emulator(read_lag_seconds=0.0)


@pytest.fixture
def verified(command: Command) -> Any:
    """Runs the real command with --verify."""

    def run(*messages: dict[str, Any] | bytes, arguments: tuple[str, ...] = (), **settings: Any) -> Run:
        return command.run(*messages, arguments=("--verify", *arguments), **settings)

    return run


def printed(run: Run) -> list[str]:
    """The lines that were printed, each with single blanks."""
    return [" ".join(line.split()) for line in run.out.decode().splitlines() if line.strip()]


def test_what_was_loaded_is_equal(command: Command, verified: Any) -> None:
    """A load is equal to its own input: exit 0, a table, and no STATE."""
    assert command.run(orders(), state(done=1)).code == 0
    run = verified(orders(), state(done=1))
    assert (run.code, run.errors) == (0, [])
    number = command.emulator.store.dataset_titled("orders").number
    assert printed(run) == [
        "stream dataset read equal missing different doubled only in Databox result",
        f"orders {number} 12 12 0 0 0 0 equal",
        "Everything that was read is in Databox, and equal.",
    ]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_changed_row_is_named(command: Command, verified: Any, version: str) -> None:
    """A value that was changed after the load is found by column and key, whichever version loaded it."""
    command.run(orders(), api_version=version)
    change(command.emulator, "UPDATE rows SET body = replace(body, 'secret 7', 'other')")
    run = verified(orders(), api_version=version, listing_lag_seconds=0)
    assert run.code == 1
    assert "- orders: column note differs in 1 row: id 7" in printed(run)
    assert printed(run)[-1] == "Not everything that was read is in Databox, and equal: see orders."
    assert "secret" not in f"{run.out.decode()}{run.log}"


OLDER = "2020-01-01T00:00:00Z"
CHANGES = {
    "value": (
        "UPDATE rows SET body = replace(body, ' name of 3 ', 'x') WHERE key LIKE '%number 3e0%'",
        "different",
    ),
    "array": ("""UPDATE rows SET body = replace(body, '"a","3"', '"3","a"')""", "different"),
    "missing": ("DELETE FROM rows WHERE key LIKE '%number 3e0%'", "missing"),
    "doubled": (
        "INSERT INTO rows (dataset, key, body) SELECT dataset, NULL, body FROM rows"
        " WHERE key LIKE '%number 3e0%'",
        "doubled",
    ),
}


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("changed", CHANGES)
def test_change_behind_the_back_is_found(emulator: Emulator, changed: str) -> None:
    """A changed value, a missing row and a doubled one are found by key, and nothing else is."""
    load(emulator, orders())
    statement, kind = CHANGES[changed]
    change(emulator, statement)
    code, (report,) = verify(emulator, orders())
    assert code == 1
    kinds = ("missing", "different", "doubled", "only_in_databox")
    assert {name: report[name] for name in kinds if report[name]} == {kind: 1}
    assert report["first_keys"] == {kind: [[3]]}
    assert report["findings"] == []


@pytest.mark.usefixtures("signals")
def test_older_version_is_found(emulator: Emulator) -> None:
    """The newest version of a key in the input counts: an older one in Databox is a difference."""
    messages = (schema(), record(id=1, name="old"), record(id=2, name="b"))
    load(emulator, *messages)
    code, (report,) = verify(emulator, *messages, record(id=1, name="new"))
    assert (code, report["different"], report["superseded"]) == (1, 1, 1)
    assert report["columns"] == {"name": {"rows": 1, "first_keys": [[1]]}}
    load(emulator, *messages, record(id=1, name="new"))
    code, (report,) = verify(emulator, *messages, record(id=1, name="new"))
    assert (code, report["equal"], report["superseded"]) == (0, 2, 1)


@pytest.mark.usefixtures("signals")
def test_other_rows_in_databox_are_a_remark(emulator: Emulator) -> None:
    """Rows that are only in Databox make nothing wrong, since a bookmark makes inputs partial."""
    load(emulator, orders())
    code, (report,) = verify(emulator, orders(5))
    assert (code, report["equal"], report["only_in_databox"]) == (0, 5, 7)
    assert report["first_keys"] == {"only in Databox": [[6], [7], [8], [9], [10]]}


#: The switches of reading back, and what the command says: findings by column, and remarks.
SWITCHES: dict[str, tuple[dict[str, Any], int, dict[str, Rule], str]] = {
    "doubles": ({"read_numbers": "doubles"}, 1, {"amount": Rule.DOUBLE}, ""),
    "15 digits": ({"read_numbers": "15-digits"}, 1, {"amount": Rule.DIGITS_15}, ""),
    "2 decimals": ({"read_numbers": "2-decimals"}, 1, {"amount": Rule.DECIMALS_2}, ""),
    "trimmed": ({"read_texts": "trimmed"}, 1, {"name": Rule.TRIMMED}, ""),
    "milliseconds": ({"read_fractions": "milliseconds"}, 1, {"at": Rule.MILLISECONDS}, ""),
    "offset lost": ({"read_offsets": "lost"}, 1, {"at": Rule.OFFSET_LOST}, ""),
    "utc": ({"read_offsets": "utc"}, 0, {}, "date-times come back in UTC, at the same instants"),
    "hidden column": ({"read_columns": "last-hidden"}, 1, {"note": Rule.ABSENT}, "hidden in Databox: note"),
    "hidden key": ({"read_columns": "key-hidden"}, 1, {}, "no row comes back with a value of its key (id)"),
    "filter": ({"read_rows": "filtered"}, 1, {}, "the dataset holds 12 rows and 8 come back: a filter"),
}


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("name", SWITCHES)
def test_what_databox_does_to_values_is_named_once(make_emulator: EmulatorMaker, name: str) -> None:
    """Whatever reading back does to a whole column is one finding, or a remark, and no difference by key."""
    switches, wanted_code, wanted, remark = SWITCHES[name]
    emulator = make_emulator(read_lag_seconds=0.0, **switches)
    load(emulator, orders())
    code, (report,) = verify(emulator, orders())
    assert code == wanted_code
    assert {each["column"]: each["code"] for each in report["findings"]} == {
        column: rule.name.lower() for column, rule in wanted.items()
    }
    assert all(
        each["rows"] == 12 and each["text"] == WORDS[wanted[each["column"]]] for each in report["findings"]
    )
    assert any(remark in each for each in report["remarks"]) or not remark
    assert (report["columns"], "different" in report["first_keys"]) == ({}, False)
    assert [None] not in report["first_keys"].get("only in Databox", [])


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("name", ["doubles", "trimmed", "milliseconds", "hidden column", "utc"])
def test_changed_row_shows_beside_a_finding(make_emulator: EmulatorMaker, name: str) -> None:
    """A single changed value is named by key also where whole columns come back otherwise."""
    emulator = make_emulator(read_lag_seconds=0.0, **SWITCHES[name][0])
    load(emulator, orders())
    change(emulator, """UPDATE rows SET body = replace(body, '"a","7"', '"a","8"')""")
    code, (report,) = verify(emulator, orders())
    assert code == 1
    assert report["columns"] == {"tags": {"rows": 1, "first_keys": [[7]]}}
    assert report["first_keys"]["different"] == [[7]]
    assert {each["column"]: each["code"] for each in report["findings"]} == {
        column: rule.name.lower() for column, rule in SWITCHES[name][2].items()
    }


@pytest.mark.usefixtures("signals")
def test_one_trimmed_text_is_no_finding(emulator: Emulator) -> None:
    """A text that lost its blanks while others of its column kept theirs is a difference by key."""
    load(emulator, orders())
    change(emulator, "UPDATE rows SET body = replace(body, ' name of 7 ', 'name of 7')")
    _, (report,) = verify(emulator, orders())
    assert (report["findings"], report["columns"]) == ([], {"name": {"rows": 1, "first_keys": [[7]]}})


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize(
    ("switch", "key", "rule"),
    [
        ({"read_texts": "trimmed"}, " a ", Rule.TRIMMED),
        ({"read_numbers": "doubles"}, 9007199254740993, Rule.DOUBLE),
        ({"read_fractions": "milliseconds"}, "2024-01-01T00:00:00.123456Z", Rule.MILLISECONDS),
    ],
)
def test_changed_keys_are_named(
    make_emulator: EmulatorMaker, switch: dict[str, Any], key: Any, rule: Rule
) -> None:
    """Rows whose keys come back otherwise are missing and only in Databox, and a remark says why."""
    emulator = make_emulator(read_lag_seconds=0.0, **switch)
    kind = {"type": "integer"} if isinstance(key, int) else TEXT
    kind = {**TEXT, "format": "date-time"} if str(key).endswith("Z") else kind
    messages = (schema(id=kind, part=TEXT, keys=["part", "id"]), record(id=key, part="x"))
    load(emulator, *messages)
    code, (report,) = verify(emulator, *messages)
    assert (code, report["missing"], report["only_in_databox"]) == (1, 1, 1)
    assert report["remarks"] == [f"key id: {WORDS[rule]}"]


@pytest.mark.usefixtures("signals")
def test_large_datasets_are_read_twice_at_most(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the input, a large dataset is read once more, and a small one a few times."""
    load(emulator, orders())
    emulator.log.clear()
    verify(emulator, orders(13), listing_lag_seconds=0.1)
    assert len(emulator.log.of("read_rows")) == 1 + len(verify_module.SHARES)
    monkeypatch.setattr(verify_module, "LARGE_ROWS", 11)
    emulator.log.clear()
    verify(emulator, orders(13), listing_lag_seconds=0.1)
    assert len(emulator.log.of("read_rows")) == 2


@pytest.mark.usefixtures("signals")
def test_late_rows_are_looked_at_again(make_emulator: EmulatorMaker) -> None:
    """Rows that are read back late are waited for, as long as listing_lag_seconds says."""
    emulator = make_emulator(read_lag_seconds=0.4)
    load(emulator, orders())
    code, (report,) = verify(emulator, orders())
    assert (code, report["missing"]) == (1, 12)
    load(emulator, schema(), record(id=1, name="newer"))
    code, (report,) = verify(emulator, schema(), record(id=1, name="newer"), listing_lag_seconds=2)
    assert (code, report["equal"]) == (0, 1)


@pytest.mark.usefixtures("signals")
def test_keyless_streams_are_compared_as_multisets(emulator: Emulator) -> None:
    """Rows without keys are counted by what they hold: each copy counts, and lines stand for keys."""
    keyless = schema(keys=[])
    rows = [record(id=1, name="a"), record(id=1, name="a"), record(id=2, name="b")]
    load(emulator, keyless, *rows)
    code, (report,) = verify(emulator, keyless, *reversed(rows))
    assert (code, report["equal"], report["missing"], report["superseded"]) == (0, 3, 0, 0)
    assert "without keys" in report["remarks"][0]
    code, (report,) = verify(emulator, keyless, *rows, record(id=1, name="a"), record(id=3, name="c"))
    assert (code, report["equal"], report["missing"]) == (1, 3, 2)
    assert report["first_lines"] == {"missing": [5, 6]}
    load(emulator, keyless, *rows)
    code, (report,) = verify(emulator, keyless, *rows)
    assert (code, report["equal"], report["only_in_databox"]) == (0, 3, 3)
    change(emulator, """UPDATE rows SET body = replace(body, '"b"', '"x"')""")
    code, (report,) = verify(emulator, keyless, *rows)
    assert (code, report["equal"], report["missing"], report["only_in_databox"]) == (1, 2, 1, 4)


@pytest.mark.usefixtures("signals")
def test_hashed_rows_are_compared_by_their_hash(emulator: Emulator) -> None:
    """With keyless_streams hash a row's hash is its key, on both sides."""
    messages = (schema(keys=[]), record(id=1, name="a"), record(id=1, name="a"), record(id=2, name=None))
    load(emulator, *messages, keyless_streams="hash")
    code, (report,) = verify(emulator, *messages, keyless_streams="hash")
    assert (code, report["equal"], report["superseded"]) == (0, 2, 1)
    assert report["key_columns"] == ["_row_hash"]


@pytest.mark.usefixtures("signals")
def test_input_is_read_as_by_a_load(emulator: Emulator) -> None:
    """Stream maps, types, flattening, titles and metadata do the same as in the load."""
    columns = {"id": {"type": "integer"}, "day": TEXT, "ship": {"type": "object", "properties": {"to": TEXT}}}
    messages = (
        schema(**columns),
        record(id=1, day="31.12.2024", ship={"to": "Rome"}),
        record(id=2, day="", ship={"to": None}),
    )
    settings: dict[str, Any] = {
        "stream_maps": {"orders": {"twice": "id * 2", "__alias__": "sales"}},
        "column_types": {"sales": {"day": "datetime:%d.%m.%Y"}},
        "dataset_titles": {"sales": "All sales"},
        "add_record_metadata": True,
    }
    load(emulator, *messages, **settings)
    code, (report,) = verify(emulator, *messages, **settings)
    assert (code, report["stream"], report["dataset"], report["equal"]) == (0, "sales", "All sales", 2)
    (remark,) = report["remarks"]
    assert remark.startswith("not compared, since each run adds its own: _sdc_")


@pytest.mark.usefixtures("signals")
def test_rejected_records_are_counted(emulator: Emulator, tmp_path: Path) -> None:
    """A record that a load would reject is not there: exit 1, unless the settings accept that."""
    messages = (schema(), record(id=1, name="a"), record(id=None, name="b"))
    accepting = {"rejects_path": str(tmp_path / "rejects"), "rejects_policy": "accept"}
    load(emulator, *messages, **accepting)
    code, (report,) = verify(emulator, *messages)
    assert (code, report["equal"], report["rejected"], report["superseded"]) == (1, 1, 1, 0)
    assert "1 record would be rejected by a load and was not compared" in report["remarks"]
    rejects = (tmp_path / "rejects").read_bytes()
    assert verify(emulator, *messages, **accepting)[0] == 0
    assert (tmp_path / "rejects").read_bytes() == rejects


@pytest.mark.usefixtures("signals")
def test_naive_date_times_are_in_the_zone_of_the_source(emulator: Emulator) -> None:
    """A date-time without an offset is one of the data source's time zone."""
    source = emulator.store.create_data_source("target-databox", timezone="Europe/Berlin")
    columns = {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}
    load(
        emulator,
        schema(**columns),
        record(id=1, at="2024-07-01T12:00:00"),
        record(id=2, at="2024-01-01T12:00:00"),
    )
    change(emulator, "UPDATE rows SET body = replace(body, '2024-07-01T12:00:00', '2024-07-01T10:00:00Z')")
    later = (
        schema(**columns),
        record(id=1, at="2024-07-01T12:00:00"),
        record(id=2, at="2024-01-01T12:00:00"),
    )
    assert (source.timezone, verify(emulator, *later)[0]) == ("Europe/Berlin", 0)
    change(emulator, "UPDATE rows SET body = replace(body, '2024-01-01T12:00:00', '2024-01-01T12:00:00Z')")
    assert verify(emulator, *later)[1][0]["columns"] == {"at": {"rows": 1, "first_keys": [[2]]}}


@pytest.mark.usefixtures("signals")
def test_nothing_is_sent_but_questions(emulator: Emulator) -> None:
    """Whatever is found or missing, a verification makes GET requests alone, and only of API v2."""
    load(emulator, orders())
    emulator.log.clear()
    before = emulator.store.settled_changes()
    verify(emulator, orders(), listing_lag_seconds=0.1)
    verify(emulator, orders(20), schema("refunds"), record("refunds", id=1), listing_lag_seconds=0.1)
    with pytest.raises(Exception, match="nothing was loaded into it"):
        verify(emulator, orders(), data_source_title="unknown")
    assert len(emulator.log) > 10
    assert {exchange.method for exchange in emulator.log} == {"GET"}
    assert all(exchange.path.startswith("/v2/") for exchange in emulator.log)
    assert emulator.store.settled_changes() == before


@pytest.mark.usefixtures("signals")
def test_missing_dataset_is_said_of_its_stream(emulator: Emulator) -> None:
    """A stream without a dataset is an error of that stream, and the others are compared."""
    load(emulator, orders())
    code, reports = verify(emulator, orders(), schema("refunds"), record("refunds", id=1))
    assert (code, [report["ok"] for report in reports]) == (1, [True, False])
    assert "none in the data source" in reports[1]["error"]
    assert "Load the stream first, or set dataset_titles." in reports[1]["error"]


@pytest.mark.usefixtures("signals")
def test_configured_datasets_are_read(emulator: Emulator) -> None:
    """A dataset is found by its number of v2; an id of v1 is an error that says what to do."""
    load(emulator, orders(), dataset_titles={"orders": "By number"})
    dataset = emulator.store.dataset_titled("By number")
    code, _ = verify(emulator, orders(), api_version="v2", dataset_ids={"orders": str(dataset.number)})
    assert code == 0
    code, (report,) = verify(emulator, orders(), dataset_ids={"orders": dataset.id})
    assert code == 1
    assert "its dataset is found by title" in report["error"]


@pytest.mark.usefixtures("signals")
def test_other_keys_are_refused(emulator: Emulator) -> None:
    """A dataset with other keys than the stream's can't be compared, as it can't be loaded into."""
    load(emulator, orders())
    code, (report,) = verify(emulator, orders(), primary_keys={"orders": ["name"]})
    assert code == 1
    assert "has the primary keys id" in report["error"]


@pytest.mark.usefixtures("signals")
def test_refusals_end_it_at_once(emulator: Emulator) -> None:
    """A wrong key, a key that may not read, and a Databox without v2 are errors that say so."""
    load(emulator, orders())
    with pytest.raises(KeyRefusedError, match="the API key was refused"):
        verify(emulator, orders(), api_key="pak_wrong")
    emulator.faults.add("read_rows", status=403)
    with pytest.raises(KeyRefusedError, match="reading rows back needs a user with access to the dataset"):
        verify(emulator, orders())
    emulator.faults.add("validate_key", status=404)
    with pytest.raises(
        VerificationError, match=r"does not have it: GET /v2/auth/validate-key .* Check api_url"
    ):
        verify(emulator, orders())
    assert issubclass(KeyRefusedError, RefusedError)


@pytest.mark.usefixtures("signals")
def test_failing_pages_are_read_again(emulator: Emulator) -> None:
    """A page that fails for a moment is asked for again."""
    load(emulator, orders())
    emulator.faults.add("read_rows", status=503, times=2)
    assert verify(emulator, orders())[0] == 0


def test_wrong_key_ends_with_exit_1(command: Command, verified: Any) -> None:
    """The command says of a wrong key what to do, and prints nothing."""
    run = verified(orders(), api_key="pak_wrong")
    assert (run.code, run.out) == (1, b"")
    assert "the API key was refused. Check the setting api_key" in run.errors[-1]


def test_json_lines_are_one_a_stream(command: Command, verified: Any) -> None:
    """--format json prints an object for each stream and nothing else; markdown is refused."""
    command.run(orders())
    run = verified(orders(), arguments=("--format", "json"))
    (report,) = (json.loads(line) for line in run.out.splitlines())
    assert (run.code, report["stream"], report["ok"], report["equal"]) == (0, "orders", True, 12)
    assert verified(orders(), arguments=("--format", "markdown")).code == 2


def test_two_commands_at_once_are_refused(verified: Any) -> None:
    """--verify goes with no other command."""
    assert verified(arguments=("--check",)).code == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_no_file(command: Command, tmp_path: Path, number: int) -> None:
    """While it runs the temporary file has no name any more, and a signal ends it with its own code."""
    command.run(orders())
    folder = tmp_path / "temporary"
    folder.mkdir()
    process = command.start("--verify", env={"TMPDIR": str(folder)})
    assert process.stdin is not None
    process.stdin.write(orders())
    process.stdin.flush()
    opened = _wait_for_file(process.pid, folder)
    assert opened.endswith("(deleted)")
    assert list(folder.iterdir()) == []
    process.send_signal(number)
    run = finished(process)
    assert run.code == 128 + number
    assert list(folder.iterdir()) == []


def _wait_for_file(pid: int, folder: Path) -> str:
    """Where an open file of a process in a folder was, once it has no name any more."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for each in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(each.readlink())
            except OSError:
                continue
            if target.startswith(str(folder)) and target.endswith("(deleted)"):
                return target
        time.sleep(0.02)
    raise AssertionError(f"no file in {tempfile.gettempdir()}")


def test_terminal_shows_progress_and_a_table(command: Command) -> None:
    """On a terminal progress is drawn and removed, and the table has colours."""
    command.run(orders(3))
    command.emulator.faults.add("read_rows", delay_before_seconds=0.4)
    shown, own = pty.openpty()
    process = command.start("--verify", stdout=own, stderr=own, env={"TERM": "xterm", "COLUMNS": "120"})
    assert process.stdin is not None
    process.stdin.write(orders(3))
    process.stdin.close()
    os.close(own)
    said = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while part := os.read(shown, 65536):
            said += part
    os.close(shown)
    assert process.wait(timeout=20) == 0
    assert b"'orders': 3 of 3 rows compared" in said
    assert b"Everything that was read is in Databox, and equal." in said
    assert re.search(rb"\x1b\[32mequal", said)


def test_progress_is_a_line_at_intervals(caplog: pytest.LogCaptureFixture) -> None:
    """Without a terminal progress is a log line every ten seconds, with the pace and what is left."""
    now = [0.0]
    progress = VerifyProgress(clock=lambda: now[0])
    with caplog.at_level("INFO"):
        progress.read(1000)
        now[0] = 10.0
        progress.read(2000)
        progress.begin()
        now[0] = 15.0
        progress.compared("orders", 500, 4000)
        now[0] = 20.0
        progress.compared("orders", 1000, 4000)
        now[0] = 30.0
        progress.compared("orders", 2000, None)
    progress.stop()
    assert [each.message for each in caplog.records] == [
        "2,000 rows of the input read.",
        "'orders': 1,000 of 4,000 rows compared, 100 a second, about 30 s left.",
        "'orders': 2,000 rows compared, 100 a second.",
    ]


def test_emulator_is_asked_through_v2_alone(command: Command, verified: Any) -> None:
    """A trial's data is read back as an account's is; the store is the same for both versions."""
    command.run(orders(3), api_version="v1")
    assert isinstance(command.emulator.store, Store)
    assert verified(orders(3), api_version="v1").code == 0
