"""What a run says at its end."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.delivery.batches import Counts, Destination, Lane
from target_databox.delivery.rejections import Cause, Reason, Rejection
from target_databox.delivery.rows import Row
from target_databox.reports.summary import CountError, Rejections, stream_line, summarise
from tests.command import record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command

DESTINATION = Destination("orders", "d-1", "Orders", is_keyed=True)
LOG_CONFIG = """
version: 1
disable_existing_loggers: false
formatters: {structured: {"()": singer_sdk.logging.StructuredFormatter}}
handlers: {told: {class: logging.StreamHandler, formatter: structured, stream: "ext://sys.stderr"}}
root: {level: INFO, handlers: [told]}
loggers: {singer_sdk.metrics: {handlers: [told], propagate: false}}
"""


def reject(cause: Cause, key: Any = None, number: int = 1) -> Rejection:
    """A rejected row."""
    return Rejection(DESTINATION, Row(key, b"{}", number=number), cause)


def lines(*rejects: Rejection) -> list[str]:
    """What is said of rejected rows."""
    rejections = Rejections()
    rejections.add(rejects)
    return rejections.lines()


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        (
            Counts(
                read=3, confirmed=1, superseded=1, rejected=1, appended=1, batches=1, requests=2, retries=1
            ),
            "orders: read 3 = confirmed 1 + superseded 1 + rejected 1 (appended 1, overwritten 0; 1 batch, "
            "2 requests, 1 retry, 0.0 s waited for the rate limit)",
        ),
        (
            Counts(read=5, confirmed=2, overwritten=2, batches=2, requests=1, throttled_seconds=1.26),
            "orders: read 5 = confirmed 2 + superseded 0 + rejected 0 + 3 without an outcome (appended 0, "
            "overwritten 2; 2 batches, 1 request, 0 retries, 1.3 s waited for the rate limit)",
        ),
        (
            Counts(read=2, confirmed=2, unknown_counts=2),
            "orders: read 2 = confirmed 2 + superseded 0 + rejected 0 (appended 0, overwritten 0, not known "
            "for 2 rows, which the status alone confirmed; 0 batches, 0 requests, 0 retries, 0.0 s waited "
            "for the rate limit)",
        ),
        (
            Counts(read=1, confirmed=1, unknown_counts=1),
            "orders: read 1 = confirmed 1 + superseded 0 + rejected 0 (appended 0, overwritten 0, not known "
            "for 1 row, which the status alone confirmed; 0 batches, 0 requests, 0 retries, 0.0 s waited "
            "for the rate limit)",
        ),
    ],
)
def test_line_of_stream_adds_up(counts: Counts, line: str) -> None:
    """A stream's line says what became of every row that was read, and what that cost."""
    assert stream_line("orders", counts) == line


def test_sum_that_fails_is_an_error() -> None:
    """A complete run whose rows don't all have an outcome fails; one that ended early only says so."""
    lane = Lane(DESTINATION)
    lane.counts.read = 2
    summarise([lane], is_complete=False)
    with pytest.raises(CountError) as raised:
        summarise([lane], is_complete=True)
    assert str(raised.value) == (
        "Rows of orders have no outcome, though everything was read and sent. This is a bug in "
        "target-databox; please "
        "report it with the lines above. Run again: no STATE has passed those rows."
    )


@pytest.mark.parametrize(("is_complete", "warnings"), [(True, 1), (False, 0)])
def test_nothing_loaded_is_reported(
    caplog: pytest.LogCaptureFixture, is_complete: bool, warnings: int
) -> None:
    """A run that was given no stream says so, since a tap that failed looks the same from here."""
    summarise([], is_complete=is_complete)
    reported = (
        "No stream was loaded: the input held none, or stream_maps leave everything out. Did the tap fail?"
    )
    assert caplog.messages == [reported] * warnings


def test_rejects_are_reported_by_key() -> None:
    """Rows of one reason are reported together, at most five of them by their keys."""
    cause = Cause(Reason.REJECTED, "invalid_input", "said by the API")
    rejects = [reject(cause, key=(number,)) for number in range(7)]
    assert lines(*rejects) == [
        "orders: rejected 7, rejected by Databox (invalid_input): key 0, key 1, key 2, key 3, key 4, …."
    ]


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (None, "line 12"),
        ((Decimal("1.50"),), "key 1.50"),
        (("a", 2), "key (a, 2)"),
        ((("boolean", True),), "key True"),
        (("\x1b[31m\n",), "key  [31m "),
        (("x" * 100,), f"key {'x' * 59}…"),
    ],
)
def test_rows_are_named_safely(key: Any, name: str) -> None:
    """A key is reported on one line and within bounds; a record without one by its line."""
    assert lines(reject(Cause(Reason.FAILED, None, "m"), key, 12)) == [
        f"orders: rejected 1, not processed by Databox: {name}."
    ]


def test_words_of_api_stay_out() -> None:
    """What the API says may hold values, so it is left to the rejects file; our own words are reported."""
    reported = lines(
        reject(Cause(Reason.REFUSED, None, "canary")),
        reject(Cause(Reason.SUSPECT, "c", "canary")),
        reject(Cause(Reason.KEY, "key_null", "The key column 'id' is null.")),
    )
    assert reported == [
        "orders: rejected 1, refused by Databox: line 1.",
        "orders: rejected 1, perhaps not stored by Databox (c): line 1.",
        "orders: rejected 1, key (The key column 'id' is null): line 1.",
    ]


def test_reasons_are_bounded() -> None:
    """However many reasons there are, few are remembered, and no reject is lost from the count."""
    reported = lines(*(reject(Cause(Reason.REFUSED, f"code {number}", "m")) for number in range(1000)))
    assert len(reported) == 51
    assert reported[-1].startswith("orders: rejected 950, other reasons: ")


def test_run_reports_its_rejects(command: Command, tmp_path: Path) -> None:
    """A run that goes on after rejects says at its end which rows they were, and by whom and why."""
    command.emulator.faults.add("post_rows", reject_rows="name=bad")
    amounts = {"id": {"type": "integer"}, "name": {"type": "string"}}
    run = command.run(
        schema(**amounts),
        *(record(id=n, name="bad" if n in (3, 7) else "good") for n in range(20)),
        record(id="x20", name="good"),
        state(done=1),
        rejects_path=str(tmp_path / "rejects.singer"),
        rejects_policy="accept",
    )
    assert (run.code, run.states) == (0, [{"done": 1}])
    (line,) = (said for said in run.told("INFO") if said.startswith("orders: read"))
    assert line.startswith("orders: read 21 = confirmed 18 + superseded 0 + rejected 3 (appended ")
    reported = sorted(said for said in run.told("WARNING") if "rejected" in said)
    assert reported[0] == (
        "To see the newest rejected record, with what Databox said of it: "
        f"tail -n 1 {shlex.quote(str(tmp_path / 'rejects.singer'))}"
    )
    assert reported[1].startswith("orders: rejected 1, schema (id: ")
    assert reported[1].endswith("): line 22.")
    assert re.fullmatch(r"orders: rejected 2, rejected by Databox.*: key [37], key [37]\.", reported[2])
    assert not any("bad" in said for said in reported)


def test_default_load_says_little(command: Command) -> None:
    """Each stream of a load is a line when it starts and one at its end, which says what is there."""
    for is_second in (False, True):
        run = command.run(
            schema(), record(id=1), record(id=2), schema("log", keys=()), record("log", id=1), state(done=1)
        )
        said = [re.sub(r"\(dataset [^)]*\)|; \d+ batch.*", "…", each) for each in run.told("INFO")]
        made = "" if is_second else ", which was created"
        appended, overwritten = (0, 2) if is_second else (2, 0)
        assert [each for each in said if each.startswith("Loading") or ": read" in each] == [
            f"Loading stream 'orders' …{made}.",
            f"Loading stream 'log' …{made}; without keys, so that every run appends its rows.",
            f"orders: read 2 = confirmed 2 + superseded 0 + rejected 0 (appended {appended}, overwritten "
            f"{overwritten}; the dataset holds 2 rows of 2 columns…",
            "log: read 1 = confirmed 1 + superseded 0 + rejected 0 (appended 1, overwritten 0; the dataset "
            f"holds {'2 rows' if is_second else '1 row'} of 2 columns…",
        ]
        warned = [each[:37] for each in run.told("WARNING")]
        assert warned == (["Appending to stream 'log' (dataset 'l"] if is_second else [])


def test_types_that_differ_are_named_before_and_after(command: Command, tmp_path: Path) -> None:
    """A column of another type than the dataset's is named at the start, and where rows are rejected."""
    command.run(schema(id={"type": "integer"}, amount={"type": "number"}), record(id=1, amount=2.5))
    changed = schema(id={"type": "integer"}, amount={"type": "string"})
    differing = "amount is number in the dataset and string in the stream"
    kept = tmp_path / "rejects.singer"
    for settings in ({}, {"rejects_path": str(kept)}):
        run = command.run(changed, record(id=2, amount="many"), state(done=1), **settings)
        assert (run.code, run.states) == (1, [{"done": 1}] if settings else [])
        warning, *_ = run.told("WARNING")
        assert f"differ: {differing}. Databox may reject rows because of this." in warning
        assert warning.endswith('{"orders": {"amount": "number"}}.')
        if settings:
            after = f"orders: column types differ, and Databox may reject rows for that: {differing}; set"
            assert f"{after} column_types." in run.told("WARNING")
        else:
            assert f"Column types differ: {differing}; set column_types." in run.told("ERROR")[-1]
    fitting = command.run(
        changed, record(id=2, amount="12"), state(done=1), column_types={"orders": {"amount": "number"}}
    )
    assert (fitting.code, fitting.states, fitting.told("WARNING")) == (0, [{"done": 1}], [])


@pytest.mark.parametrize(
    ("facts", "counts", "is_odd"),
    [
        ({"is_new": True}, {"appended": 5, "dataset_rows": 5}, False),
        ({"is_new": True}, {"appended": 5, "dataset_rows": 4}, True),
        ({"purge": True}, {"appended": 5, "dataset_rows": 6}, True),
        # Rows were there before.
        ({}, {"appended": 5, "dataset_rows": 9}, False),
        # What was appended, or is there, is not known for certain.
        ({"is_new": True}, {"appended": 5, "dataset_rows": None}, False),
        ({"is_new": True}, {"appended": 5, "dataset_rows": 6, "unknown_counts": 1}, False),
        ({"is_new": True}, {"appended": 5, "dataset_rows": 6, "uncounted_copies": 1}, False),
    ],
)
def test_other_numbers_of_rows_are_reported(
    caplog: pytest.LogCaptureFixture, facts: dict[str, Any], counts: dict[str, Any], is_odd: bool
) -> None:
    """A dataset that was empty and now holds another number of rows than the run appended is a warning."""
    lane = Lane(dataclasses.replace(DESTINATION, **facts))
    lane.counts = Counts(read=5, confirmed=5, **counts)
    summarise([lane], is_complete=True)
    odd = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(odd) == is_odd
    assert all("it was empty before this run, which appended 5" in each for each in odd)
    caplog.clear()
    summarise([lane], is_complete=False)
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def metrics(log: str) -> list[dict[str, Any]]:
    """The figures in a log."""
    return [json.loads(line.partition("METRIC: ")[2]) for line in log.splitlines() if "METRIC: " in line]


def test_metrics_count_requests_at_debug(command: Command) -> None:
    """At DEBUG requests are counted by route and status, and each stream's waits and confirmations."""
    command.emulator.faults.add("accounts", nth=1, status=503)
    run = command.run(schema(), record(id=1), env={"TARGET_DATABOX_LOGLEVEL": "DEBUG"})
    logged = metrics(run.log)
    requests = {
        (each["tags"]["endpoint"], each["tags"]["http_status_code"], each["tags"]["status"]): each["value"]
        for each in logged
        if each["metric"] == "http_request_count"
    }
    assert requests["GET /v1/accounts", 503, "failed"] == 1
    assert requests["GET /v1/accounts", 200, "succeeded"] == 1
    assert requests["POST /v1/datasets/{datasetId}/data", 200, "succeeded"] == 1
    assert sum(requests.values()) == len(command.emulator.log)
    figures = {each["metric"]: each for each in logged if each["tags"].get("stream") == "orders"}
    assert figures["confirmation_count"]["value"] == 1
    assert figures["confirmation_seconds"]["value"] > 0
    assert figures["throttle_seconds"]["value"] >= 0
    assert figures["record_count"]["value"] == 1


def test_default_log_counts_records_alone(command: Command) -> None:
    """By default the record count of each stream is the only figure in the log."""
    run = command.run(schema(), record(id=1), schema("others"), record("others", id=1))
    figures = [(each["metric"], each["tags"]["stream"], each["value"]) for each in metrics(run.log)]
    assert sorted(figures) == [("record_count", "orders", 1), ("record_count", "others", 1)]


def test_sum_is_reported_last(command: Command) -> None:
    """What a run loaded is the end of its log, behind the figures for machines."""
    run = command.run(schema(), record(id=1))
    assert " | orders: read 1 = " in run.log.splitlines()[-1]


def test_log_configuration_asks_for_the_figures(command: Command, tmp_path: Path) -> None:
    """A configuration that gives metrics a handler gets every figure, as objects in structured lines."""
    path = tmp_path / "logging.yaml"
    path.write_text(LOG_CONFIG)
    run = command.run(schema(), record(id=1), env={"SINGER_SDK_LOG_CONFIG": str(path)})
    entries = [json.loads(line) for line in run.log.splitlines() if line.startswith("{")]
    figures = {entry["metric_info"]["metric"] for entry in entries if entry["message"] == "METRIC"}
    assert figures == {
        "record_count",
        "http_request_count",
        "throttle_seconds",
        "confirmation_seconds",
        "confirmation_count",
    }
    assert run.code == 0


def test_failed_requests_are_shown_as_curl(command: Command) -> None:
    """At DEBUG a request can be copied as a curl command; the key in it is masked."""
    command.emulator.faults.add("accounts", nth=1, status=503)
    run = command.run(schema(), env={"TARGET_DATABOX_LOGLEVEL": "DEBUG"})
    (line, *_) = (said for said in run.told("DEBUG") if said.startswith("GET /v1/accounts: status 503"))
    assert f"; curl --request GET {command.emulator.url}/v1/accounts --header 'x-api-key: ***'" in line
    assert command.emulator.api_key not in run.log
