"""`--dry-run` as a user meets it: the real command without network or key, and what it prints."""

from __future__ import annotations

import cProfile
import io
import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.rehearsal.preview import PreviewTarget
from tests.command import TARGET, finished, record, schema, state, text

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command, Run

TEXT = {"type": ["string", "null"]}


class Preview:
    """Runs `--dry-run` with nothing but settings; the address is one where nobody answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def config(self, **settings: Any) -> Path:
        """A configuration file."""
        path = self.folder / "config.json"
        path.write_text(json.dumps({"api_url": "http://127.0.0.1:9", **settings}))
        return path

    def start(self, **settings: Any) -> subprocess.Popen[bytes]:
        """Start it; its standard input stays open."""
        return subprocess.Popen(
            [TARGET, "--config", self.config(**settings), "--dry-run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def __call__(self, *messages: dict[str, Any] | bytes, **settings: Any) -> Run:
        """Feed it messages and wait for its end."""
        return finished(self.start(**settings), text(*messages))


@pytest.fixture
def preview(tmp_path: Path) -> Preview:
    """A dry run."""
    return Preview(tmp_path)


def printed(run: Run) -> list[str]:
    """The lines that were printed, each with single blanks."""
    return [" ".join(line.split()) for line in run.out.decode().splitlines() if line.strip()]


def test_stream_is_shown_whole(preview: Preview) -> None:
    """A stream's dataset, keys, columns, types, rows, batches, requests and time are printed; no STATE."""
    columns = {
        "id": {"type": "integer"},
        "paid": {"type": "boolean"},
        "at": {"type": "string", "format": "date-time"},
        "ship": {"type": ["object", "null"], "properties": {"city": TEXT}},
    }
    rows = [record(id=n, paid=True, at="2024-01-01T00:00:00Z", ship={"city": "Rome"}) for n in range(150)]
    run = preview(schema(**columns), *rows, state(done=1), dataset_titles={"orders": "Shop Orders"})
    assert printed(run) == [
        "orders → dataset 'Shop Orders', keys id, upsert",
        "column type values",
        "id number 150 key",
        "paid string 150",
        "at datetime 150",
        "ship__city string 150",
        "rows 150, batches 2, requests 4",
        "Together: 150 rows, 2 batches; with confirmation rows at least 9 requests, of which 5 find or make "
        "the datasets. At 10 requests a second and 10,000 an hour that takes at least 0.8 s. "
        "Rows whose key comes again soon need fewer: only the newest is sent.",
        "A run would load everything that was read, as far as that can be told without Databox.",
    ]
    assert (run.code, run.errors) == (0, [])


def test_text_of_numbers_and_dates_is_mended(preview: Preview) -> None:
    """The `column_types` that are hinted at can be pasted, and make numbers and dates of the text."""
    messages = (
        schema(id=TEXT, amount=TEXT, day=TEXT, zip=TEXT, name=TEXT),
        record(id="1", amount="2.50", day="31.12.2024", zip="01234", name="a"),
        record(id="2", amount="", day="01.02.2024", zip="50667", name="b"),
    )
    run = preview(*messages)
    (hint,) = (line for line in printed(run) if "column_types" in line)
    assert hint.startswith(
        "- text that holds only numbers or dates can't make metrics; add to your configuration: {"
    )
    pasted = json.loads(hint[hint.index("{") :])
    assert pasted == {"column_types": {"orders": {"amount": "number", "day": "datetime:%d.%m.%Y"}}}
    again = preview(*messages, **pasted)
    assert {"amount number 1", "day datetime 2"} < set(printed(again))
    assert not any("Hints" in line for line in printed(again))


def test_unclear_dates_are_left_to_the_user(preview: Preview) -> None:
    """Where no value tells day from month, both formats are named and none is chosen."""
    run = preview(schema(id=TEXT, day=TEXT), record(id="a", day="01/02/2024"))
    assert (
        "- orders: the dates of the column day could be datetime:%m/%d/%Y or datetime:%d/%m/%Y; no "
        "value tells which. "
        "Put the right one into column_types."
    ) in printed(run)


def test_declared_dates_to_convert_are_hinted_at(preview: Preview) -> None:
    """Dates that the schema promises, in a form that nothing understands, get a hint that helps."""
    day = {"type": "string", "format": "date"}
    run = preview(schema(id=TEXT, day=day), record(id="a", day="31.01.2024"))
    assert "day datetime 1 holds text that is no ISO 8601 date" in printed(run)
    assert any('{"column_types": {"orders": {"day": "datetime:%d.%m.%Y"}}}' in line for line in printed(run))
    corrected = preview(
        schema(id=TEXT, day=day),
        record(id="a", day="31.01.2024"),
        column_types={"*": {"day": "datetime:%d.%m.%Y"}},
    )
    assert not any("Hints" in line or "no ISO 8601" in line for line in printed(corrected))


DATE = {"type": ["null", "string"], "format": "date-time"}


@pytest.mark.parametrize(
    ("values", "column_type", "remark"),
    [
        (["2021-08-29T00:00:00Z", ""], "datetime", "empty in 1"),
        (["", "  ", None], "datetime", "empty in 2"),
        (["31.01.2024", ""], "datetime:%d.%m.%Y", "holds text that is no ISO 8601 date, empty in 1"),
        (["2024-01-31", "n/a"], "string", "holds text that is no ISO 8601 date"),
        (["0000-00-00 00:00:00"], "string", "holds text that is no ISO 8601 date"),
        (["1700000000", ""], "string", "holds text that is no ISO 8601 date, empty in 1"),
    ],
)
def test_dates_that_are_none_are_reported(
    preview: Preview, values: list[str | None], column_type: str, remark: str
) -> None:
    """A date column with empty text, or text that is not a date, is reported, and the hint helps."""
    messages = (
        schema(id=TEXT, at=DATE),
        *(record(id=str(number), at=at) for number, at in enumerate(values)),
    )
    run = preview(*messages)
    filled = sum(value is not None for value in values)
    assert f"at datetime {filled} {remark}" in printed(run)
    entry = json.dumps({"column_types": {"orders": {"at": column_type}}})
    assert (
        "- dates that are empty, or no ISO 8601 dates, may be rejected by Databox; add to your configuration"
        f": {entry}"
    ) in printed(run)
    assert printed(run)[-1] == (
        "A run would load everything that was read, if Databox takes dates that are empty or no dates: see "
        "the hints."
    )
    corrected = preview(*messages, **json.loads(entry))
    assert not any("may be rejected" in line or "if Databox takes" in line for line in printed(corrected))
    assert corrected.code == 0


def test_hints_for_dates_and_text_are_one_entry(preview: Preview) -> None:
    """What helps date columns and text columns is one entry to paste."""
    run = preview(schema(id=TEXT, at=DATE, n=TEXT), record(id="a", at="", n="1"))
    (hint,) = (line for line in printed(run) if "column_types" in line)
    assert hint == (
        "- dates that are empty, or no ISO 8601 dates, may be rejected by Databox; text that holds only "
        "numbers or dates can't make metrics; add to your configuration: "
        '{"column_types": {"orders": {"at": "datetime", "n": "number"}}}'
    )


def test_mixed_columns_of_records_are_reported(preview: Preview) -> None:
    """A column that no schema names, with numbers and text in it, is reported, and the hint helps."""
    messages = (
        {**schema(keys=["_id"]), "schema": {"type": "object"}},
        record(_id="a", score=12.5, size=1, day="2024-01-31", tags=[1], who={"age": 3}),
        record(_id="b", score="n/a", size=None, day="", tags="x", who={"age": "old"}),
    )
    run = preview(*messages)
    assert "score not declared 2 numbers and text" in printed(run)
    assert "tags not declared 2" in printed(run)
    entry = json.dumps({"column_types": {"orders": {"score": "string", "who__age": "string"}}})
    assert (
        "- columns of no schema that hold numbers and text get their type from the first value that Databox "
        f"sees, which may reject the others; add to your configuration: {entry}"
    ) in printed(run)
    assert printed(run)[-1] == (
        "A run would load everything that was read, if Databox takes numbers and text in one column: see "
        "the hints."
    )
    corrected = preview(*messages, **json.loads(entry))
    assert printed(corrected)[-1].endswith("as far as that can be told without Databox.")


def test_misfits_name_the_setting(preview: Preview) -> None:
    """Where records do not fit their schema, the hints name the setting that loads them all the same."""
    run = preview(schema(), record(id="x"), record(id=1))
    advice = "- with validate_records false, records that do not fit their schema are loaded too."
    assert (run.code, advice in printed(run)) == (1, True)
    assert advice not in printed(preview(schema(), record(name="x")))


def test_wide_streams_are_reported_with_depths(preview: Preview) -> None:
    """A stream of more columns than Databox may take is reported with what each smaller depth makes of it."""
    deep = {str(n): {"type": "object", "properties": {str(m): TEXT for m in range(6)}} for n in range(20)}
    run = preview(
        schema("a", [], **deep),
        schema("b", ["id"], id=TEXT),
        record("b", **dict.fromkeys(map(str, range(200)), 1)),
    )
    assert (
        "- Stream 'a' has 120 columns, and Databox may take no more than 100 of a dataset. A smaller "
        "flattening_max_depth makes fewer: 20 with 0."
    ) in printed(run)
    run = preview(schema("b", ["id"], id=TEXT), record("b", id="1", **{f"c{n}": n for n in range(100)}))
    assert (
        "- b: its records bring more than 100 columns, and Databox may take no more of a dataset. Set "
        "flattening_max_depth lower, or deselect properties in the tap."
    ) in printed(run)
    narrow = preview(schema(id=TEXT), record(id="1", **{f"c{n}": n for n in range(99)}))
    assert not any("columns" in line for line in printed(narrow) if line.startswith("- "))


@pytest.mark.parametrize(("version", "columns", "code"), [("v1", 101, 0), ("v2", 100, 0), ("v2", 101, 1)])
def test_records_of_too_many_columns_are_not_loaded_by_v2(
    preview: Preview, version: str, columns: int, code: int
) -> None:
    """Records that bring more columns than the version of the API takes are no run that loads everything."""
    more = {f"c{n}": n for n in range(columns - 1)}
    run = preview(schema("b", ["id"], id=TEXT), record("b", id="1", **more), api_version=version)
    refusal = (
        "A run would not load everything: the records of a stream bring more than 100 columns, and API v2 "
        "takes no more."
    )
    assert (run.code, refusal in printed(run)) == (code, bool(code))


def test_later_schemas_of_too_many_columns_fail_with_v2(preview: Preview) -> None:
    """A later SCHEMA of more columns than API v2 takes is reported by its line, as a first one is."""
    wide = {f"c{n}": TEXT for n in range(100)}
    messages = schema("b", ["id"], id=TEXT), record("b", id="1"), schema("b", ["id"], id=TEXT, **wide)
    run = preview(*messages, api_version="v2")
    (reported,) = (line for line in printed(run) if line.startswith("b: "))
    assert reported.startswith("b: Line 3 of the input is a SCHEMA that can't be loaded. Stream 'b' has 101 ")
    assert (run.code, preview(*messages).code) == (1, 0)


def test_schemas_of_too_many_columns_together_fail_with_v2(preview: Preview) -> None:
    """SCHEMAs that fit alone, and together have more columns than API v2 takes, fail at the last of them."""
    first, second = ({f"{letter}{n}": TEXT for n in range(60)} for letter in "ab")
    messages = schema("b", ["id"], id=TEXT, **first), schema("b", ["id"], id=TEXT, **second)
    run = preview(*messages, api_version="v2")
    (reported,) = (line for line in printed(run) if line.startswith("b: "))
    assert reported.startswith("b: Line 2 of the input is a SCHEMA that can't be loaded. Stream 'b' has 121 ")
    assert (run.code, preview(*messages).code) == (1, 0)


def test_declared_dates_that_are_understood_are_no_hint(preview: Preview) -> None:
    """Dates that go out as ISO 8601 of themselves need no remark."""
    day = {"type": "string", "format": "date"}
    run = preview(schema(id=TEXT, day=day), record(id="a", day="2024/01/31"))
    assert not any("no ISO 8601" in line for line in printed(run))


def test_numbers_beyond_any_float_are_previewed(preview: Preview) -> None:
    """A number that no float can hold is a number like any other."""
    line = b'{"type":"RECORD","stream":"orders","record":{"id":"a","n":1e999999}}'
    run = preview(schema(id=TEXT, n={"type": "number"}), line)
    assert run.code == 0
    assert "n number 1" in printed(run)


def test_streams_without_keys_or_dates_are_hinted_at(preview: Preview) -> None:
    """A stream without keys would be appended again by every run, one without dates has no time axis."""
    run = preview(schema(keys=[], text=TEXT), record(text="a"))
    assert printed(run)[0] == "orders → dataset 'orders', no keys, upsert"
    assert (
        "- orders has no keys: every run appends what it reads, also what is there already. Name its keys in "
        'primary_keys ({"orders": ["…"]}), or set keyless_streams to hash, which makes equal rows one.'
    ) in printed(run)
    assert "- orders has no date column: Databox shows a metric over time by one." in printed(run)
    chosen = preview(schema(keys=[], text=TEXT), record(text="a"), load_method="append-only")
    assert not any("has no keys" in line for line in printed(chosen))


def test_rejects_are_counted_by_reason(preview: Preview) -> None:
    """Records that would be rejected are grouped by reason, with the first lines and without a value."""
    amount = {"type": ["number", "null"]}
    bad = [record(id=n, amount="canary") for n in range(7)]
    run = preview(
        schema(id={"type": ["integer", "null"]}, amount=amount),
        *bad,
        record(id=None, amount=1),
        b'{"type":"RECORD","stream":"orders","record":{"id":9,"amount":NaN}}\n',
        record(id=10, amount=1),
    )
    shown = printed(run)
    at = shown.index("rejected 9:")
    assert shown[at - 1 : at + 4] == [
        "rows 1, batches 1, requests 2",
        "rejected 9:",
        'schema: amount: its value is not of types "null", "number": 7 (lines 2, 3, 4, 5, 6, …)',
        "key: The key column 'id' is null: 1 (line 9)",
        "encoding: it holds NaN or an infinity, which JSON does not know: 1 (line 10)",
    ]
    assert shown[-1] == (
        "A run would not load everything: 9 records would be rejected, and the first one would end the run, "
        "since rejects_path is not set."
    )
    assert (run.code, b"canary" in run.out, "canary" in run.log) == (1, False, False)


def test_rejects_limit_is_thought_of(preview: Preview, tmp_path: Path) -> None:
    """With a rejects file the conclusion says whether the limit would end the run; the file is unchanged."""
    path = tmp_path / "rejects.singer"
    bad = [record(id="x") for _ in range(3)]
    run = preview(schema(), *bad, rejects_path=str(path), rejects_limit=2)
    assert printed(run)[-1] == (
        "A run would not load everything: 3 records would be rejected, more than rejects_limit (2), which "
        "would end the run."
    )
    run = preview(schema(), *bad, rejects_path=str(path))
    assert printed(run)[-1] == "A run would not load everything: 3 records would be rejected."
    assert not path.exists()


def test_stream_that_fails_leaves_the_others(preview: Preview) -> None:
    """A stream that can't be loaded is named with its reason, and the others are shown all the same."""
    clash = schema("clash", [], **{"a__b": TEXT, "a": {"type": "object", "properties": {"b": TEXT}}})
    version = {"type": "ACTIVATE_VERSION", "stream": "clash", "version": 1}
    run = preview(
        clash, record("clash", a__b="x"), schema(), record(id=1), version, record("clash", a__b="y")
    )
    assert (
        "clash: Line 1 of the input is a SCHEMA of stream 'clash' that can't be loaded: The "
        "properties 'a__b' and 'a' > 'b' would both become the column 'a__b'. Rename one with a stream map, "
        "or choose another flattening_separator or flattening_max_key_length."
    ) in printed(run)
    assert "its records that were left out: 2" in printed(run)
    assert "rows 1, batches 1, requests 2" in printed(run)
    assert printed(run)[-1] == "A run would not load everything: a stream can't be loaded."
    assert run.code == 1


def test_two_streams_on_one_dataset_fail(preview: Preview) -> None:
    """Titles that would meet in one dataset are found without Databox."""
    run = preview(schema(), schema("refunds"), dataset_titles={"refunds": " orders "})
    assert (
        "refunds: The streams 'orders' and 'refunds' would both load into the dataset 'orders'. Give one of "
        "them a dataset of its own with dataset_titles or dataset_ids."
    ) in printed(run)


def test_own_rejects_are_refused(preview: Preview, tmp_path: Path) -> None:
    """A run would refuse its own rejects file as input, and so does its preview."""
    path = tmp_path / "rejects.singer"
    path.write_bytes(text(schema(), {**record(id=1), "rejected": {"reason": "key"}}))
    config = preview.config(rejects_path=str(path))
    with path.open("rb") as file:
        done = subprocess.run(
            [TARGET, "--config", config, "--dry-run"],
            stdin=file,
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"which is rejects_path too. Move it away before it is loaded" in done.stderr


def test_changed_keys_fail(preview: Preview) -> None:
    """A SCHEMA that changes the keys is reported by its line; what came before it is counted."""
    run = preview(schema(), record(id=1, name="a"), schema(keys=["name"]), record(id=2, name="b"))
    (reported,) = (line for line in printed(run) if line.startswith("orders: "))
    assert reported.startswith("orders: Line 3 of the input changes the key properties of stream 'orders'")
    assert "rows 1, batches 1, requests 2" in printed(run)
    assert run.code == 1


def test_broken_input_ends_with_its_line(preview: Preview) -> None:
    """A line that is no message ends the reading; what was read until then is shown."""
    run = preview(schema(), record(id=1), b"canary\n", record(id=2))
    assert "rows 1, batches 1, requests 2" in printed(run)
    problem = "is not valid JSON; was the tap cut off, or is this no tap's output?"
    assert run.errors == [f"Line 3 of the input {problem}"]
    assert (run.code, b"canary" in run.out) == (1, False)


def test_misspelt_settings_are_hinted_at(preview: Preview) -> None:
    """Types of columns that their stream does not have are named; another stream's are not."""
    run = preview(
        schema(), record(id=1), column_types={"orders": {"nme": "string"}, "order": {"id": "string"}}
    )
    assert [line for line in printed(run) if "misspelt" in line] == [
        "- nothing matched the setting column_types.orders.nme; is it misspelt?",
    ]


def test_settings_of_failed_streams_are_not_blamed(preview: Preview) -> None:
    """Where a stream can't be loaded, nothing is said of settings that may be its own."""
    clash = schema("clash", [], **{"a__b": TEXT, "a": {"type": "object", "properties": {"b": TEXT}}})
    run = preview(clash, column_types={"clash": {"c": "number"}})
    assert not any("misspelt" in line for line in printed(run))


def test_empty_input_is_fine(preview: Preview) -> None:
    """Without any message there is nothing that could fail."""
    run = preview()
    assert printed(run) == [
        "The input has no stream: the tap sent nothing, or stream_maps leave everything out.",
        "A run would load nothing.",
    ]
    assert run.code == 0


def test_bad_settings_need_no_network(preview: Preview) -> None:
    """Settings are checked as for a run; only the key may be missing."""
    run = preview(schema(), batch_size_rows=500)
    assert (run.code, run.out) == (1, b"")
    assert "batch_size_rows must be" in run.errors[1]


@pytest.mark.parametrize("load_method", ["upsert", "append-only", "overwrite"])
def test_preview_and_run_agree(command: Command, preview: Preview, load_method: str) -> None:
    """A run needs the batches and at least the requests that its preview told, and stores its columns."""
    messages = [
        schema(id={"type": "integer"}, name=TEXT, ship={"type": "object", "properties": {"at": TEXT}})
    ]
    messages += [record(id=n, name="x" * (n % 97), ship={"at": str(n)}) for n in range(1234)]
    settings = {"load_method": load_method, "batch_size_bytes": 3000}
    shown = printed(preview(*messages, **settings))
    run = command.run(*messages, state(done=1), batch_age_seconds=30, **settings)
    (reported,) = (line for line in run.told("INFO") if line.startswith("orders: read"))
    batches = int(reported.split(" batches")[0].split()[-1])
    (facts,) = (line for line in shown if line.startswith("rows "))
    assert facts.startswith(f"rows 1,234, batches {batches}, ")
    least = int(facts.split("requests ")[1].split()[0].replace(",", ""))
    assert int(reported.split(" requests")[0].split()[-1]) >= least
    stored = {name for row in command.rows() for name in row}
    assert stored <= {line.split()[0] for line in shown}


def test_preview_sends_nothing(command: Command) -> None:
    """Also with a key and an API at hand nothing is asked."""
    run = command.run(schema(), record(id=1), state(done=1), arguments=("--dry-run",))
    assert run.code == 0
    assert len(command.emulator.log) == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_it(preview: Preview, number: signal.Signals, code: int) -> None:
    """A signal ends a preview that waits for its input, and nothing is claimed of what was not read."""
    process = preview.start()
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write(text(schema(), {"type": "ACTIVATE_VERSION", "stream": "orders", "version": 1}))
    process.stdin.flush()
    while b"ACTIVATE_VERSION" not in process.stderr.readline():
        pass
    process.send_signal(number)
    run = finished(process)
    assert run.code == code
    assert b"A run would" not in run.out


@pytest.mark.slow
def test_memory_stays_flat(preview: Preview) -> None:
    """Ten times the rows take no more memory."""

    def peak_kilobytes(count: int) -> int:
        rows = b"".join(text(record(id=n, name=f"{n} " + "x" * 200)) for n in range(count))
        script = (
            "import resource, subprocess, sys;"
            "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, TARGET, "--dry-run"],
            input=text(schema()) + rows,
            capture_output=True,
            check=True,
        )
        return int(done.stdout)

    assert peak_kilobytes(60_000) < 1.1 * peak_kilobytes(6_000)


def calls(streams: int, columns: int, rows: int) -> int:
    """How many functions a preview of an input of this size calls."""
    names = [f"c{number}" for number in range(columns)]
    messages = [
        message
        for stream in range(streams)
        for message in (
            schema(f"s{stream}", ["c0"], **dict.fromkeys(names, TEXT)),
            *(record(f"s{stream}", **dict.fromkeys(names, str(row))) for row in range(rows)),
            state(at=stream),
        )
    ]
    counted = cProfile.Profile()
    counted.runcall(PreviewTarget(config={}).listen, io.BytesIO(text(*messages)))  # type: ignore[arg-type]
    return sum(entry.callcount for entry in counted.getstats())


@pytest.mark.usefixtures("signals")
@pytest.mark.parametrize("grows", ["streams", "columns", "rows"])
def test_time_grows_linearly(grows: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The last twenty of eighty streams, columns or rows cost no more than the second twenty."""
    others = {"streams": 2, "columns": 3, "rows": 1}
    calls(**others)  # what is imported and made only once
    first, second, third, fourth = (calls(**{**others, grows: size}) for size in (20, 40, 60, 80))
    assert fourth - third < 1.004 * (second - first)
