"""The report of a dry run: what each stream would be in Databox, what it would cost, what could be better."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from target_databox.records.columns import MOST_ADVISED_COLUMNS
from target_databox.rehearsal.estimates import (
    FINDING_REQUESTS,
    FINDING_REQUESTS_PER_STREAM,
    requests_for,
    shortest_seconds,
)
from target_databox.rehearsal.hints import DATETIME, STRING
from target_databox.rehearsal.tables import cell, counted, echo, plain_table, shown
from target_databox.reports.durations import duration_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.table import Table

    from target_databox.rehearsal.preview_lane import PreviewLane
    from target_databox.settings.reading import Settings


_TEXT_MAKES_NO_METRICS: Final = "text that holds only numbers or dates can't make metrics"
_DATES_MAY_BE_REJECTED: Final = "dates that are empty, or no ISO 8601 dates, may be rejected by Databox"
# Columns are inferred at ingestion (O, said of v2); what then becomes of another value is unknown (A).
_OTHERS_MAY_BE_REJECTED: Final = (
    "columns of no schema that hold numbers and text get their type from the first value that Databox sees, "
    "which may reject the others"
)


def print_report(
    settings: Settings,
    lanes: Sequence[PreviewLane],
    failed: Mapping[str, str],
    skipped: Mapping[str, int],
    unused: Sequence[str],
) -> None:
    """Print everything but the conclusion.

    Args:
        settings: The run's settings.
        lanes: The streams.
        failed: Why streams can't be loaded, some of them only from some line on.
        skipped: Records of failed streams that were not read.
        unused: Entries of object settings that matched nothing.
    """
    for lane in lanes:
        echo(
            _heading(settings, lane), *([_columns(lane)] if lane.filled else []), *_facts(settings, lane), ""
        )
    for stream, problem in failed.items():
        left = skipped.get(stream, 0)
        echo(shown(f"{stream}: {problem}"), f"  its records that were left out: {left:,}", "")
    hints = [
        *_hints(settings, lanes),
        *(f"nothing matched the setting {entry}; is it misspelt?" for entry in unused),
    ]
    if hints:
        echo("Hints:", *(f"- {shown(hint)}" for hint in hints), "")
    if not lanes and not failed:
        echo("The input has no stream: the tap sent nothing, or stream_maps leave everything out.")
        return
    echo(_sum(settings, lanes))


def conclusion(settings: Settings, lanes: Sequence[PreviewLane], failed: int) -> str:
    """One sentence on whether a run would load everything.

    Args:
        settings: The run's settings.
        lanes: The streams.
        failed: How many other streams can't be loaded.
    """
    rejected = sum(lane.counts.rejected for lane in lanes)
    parts = []
    if failed:
        parts.append("a stream can't be loaded" if failed == 1 else f"{failed} streams can't be loaded")
    wide = sum(is_too_wide(settings, lane) for lane in lanes)
    if wide:
        streams = "the records of a stream bring" if wide == 1 else f"the records of {wide} streams bring"
        most = settings.dialect.most_columns
        parts.append(f"{streams} more than {most} columns, and API {settings.api_version} takes no more")
    if rejected:
        what = "a record would be rejected" if rejected == 1 else f"{rejected:,} records would be rejected"
        if settings.rejects_path is None:
            what += ", and the first one would end the run, since rejects_path is not set"
        elif rejected > settings.rejects_limit:
            what += f", more than rejects_limit ({settings.rejects_limit:,}), which would end the run"
        parts.append(what)
    if parts:
        return f"A run would not load everything: {'; '.join(parts)}."
    if not lanes:
        return "A run would load nothing."
    doubts = []
    if any(_may_be_rejected(lane) for lane in lanes):
        doubts.append("dates that are empty or no dates")
    if any(lane.mixed for lane in lanes):
        doubts.append("numbers and text in one column")
    if doubts:
        return (
            f"A run would load everything that was read, if Databox takes {', and '.join(doubts)}: "
            "see the hints."
        )
    return "A run would load everything that was read, as far as that can be told without Databox."


def is_too_wide(settings: Settings, lane: PreviewLane) -> bool:
    """Whether records hold more columns than the version of the API takes in a dataset."""
    most = settings.dialect.most_columns
    return most is not None and sum(map(bool, lane.filled.values())) > most


def _may_be_rejected(lane: PreviewLane) -> bool:
    """Whether a date column holds anything that is not a date."""
    return any(
        guess.types_of_date for name, guess in lane.guesses.items() if lane.data_types[name] == DATETIME
    )


def _heading(settings: Settings, lane: PreviewLane) -> str:
    destination = lane.destination
    dataset = (
        f"dataset {destination.dataset_id}" if destination.dataset_id else f"dataset '{destination.title}'"
    )
    keys = f"keys {', '.join(lane.key_columns)}" if lane.key_columns else "no keys"
    return shown(f"{destination.stream} → {dataset}, {keys}, {settings.load_method}")


def _columns(lane: PreviewLane) -> Table:
    from rich.text import Text

    table = plain_table("column", "type", "values", "")
    table.columns[2].justify = "right"
    for name, count in lane.filled.items():
        data_type = lane.data_types.get(name) or "not declared"
        table.add_row(Text(cell(name)), data_type, f"{count:,}", Text(_remark(lane, name)))
    return table


def _remark(lane: PreviewLane, name: str) -> str:
    parts = ["key"] if name in lane.key_columns else []
    guess = lane.guesses.get(name)
    if guess is None:
        if name in lane.with_numbers and name in lane.with_text:
            parts.append("numbers and text")
        return ", ".join(parts)
    if lane.data_types.get(name) == DATETIME:
        if not guess.is_iso:
            parts.append("holds text that is no ISO 8601 date")
        if guess.blank:
            parts.append(f"empty in {guess.blank:,}")
    elif guess.types:
        parts.append("only dates" if guess.is_date else "only numbers")
    return ", ".join(parts)


def _facts(settings: Settings, lane: PreviewLane) -> list[str]:
    counts = lane.counts
    requests = _requests(settings, lane)
    rows = counts.read - counts.rejected
    facts = [f"  rows {rows:,}, batches {counts.batches:,}, requests {requests:,}"]
    if counts.rejected:
        facts.append(f"  rejected {counts.rejected:,}:")
        facts += [f"    {shown(text)}: {records}" for text, records in lane.reasons.items()]
    return facts


def _hints(settings: Settings, lanes: Sequence[PreviewLane]) -> list[str]:
    hints: list[str] = []
    column_types: dict[str, dict[str, str]] = {}
    reasons: dict[str, None] = {}
    for lane in lanes:
        stream, rows = lane.destination.stream, lane.counts.read - lane.counts.rejected
        if not lane.key_columns and settings.load_method != "append-only":
            hints.append(
                f"{stream} has no keys: every run appends what it reads, also what is there already. Name "
                f"its keys in primary_keys ({json.dumps({stream: ['…']}, ensure_ascii=False)}), or "
                "set keyless_streams to hash, which makes equal rows one."
            )
        is_dated = DATETIME in lane.data_types.values()
        for name, guess in lane.guesses.items():
            is_declared = lane.data_types[name] == DATETIME
            types = guess.types_of_date if is_declared else guess.types
            if not types:
                continue
            if len(types) > 1:
                hints.append(
                    f"{stream}: the dates of the column {name} could be {' or '.join(types)}; no value tells "
                    "which. Put the right one into column_types."
                )
            else:
                column_types.setdefault(stream, {})[name] = types[0]
                reasons[_DATES_MAY_BE_REJECTED if is_declared else _TEXT_MAKES_NO_METRICS] = None
            is_dated |= guess.is_date
        for name in lane.mixed:
            column_types.setdefault(stream, {})[name] = STRING
            reasons[_OTHERS_MAY_BE_REJECTED] = None
        if rows and not is_dated:
            hints.append(f"{stream} has no date column: Databox shows a metric over time by one.")
        if lane.width:
            hints.append(lane.width)
        elif len(lane.filled) > MOST_ADVISED_COLUMNS:
            hints.append(
                f"{stream}: its records bring more than {MOST_ADVISED_COLUMNS} columns, and Databox may take "
                "no more of a dataset. Set flattening_max_depth lower, or deselect properties in the tap."
            )
    if any(text.startswith("schema:") for lane in lanes for text in lane.reasons):
        hints.append("with validate_records false, records that do not fit their schema are loaded too.")
    if column_types:
        entry = json.dumps({"column_types": column_types}, ensure_ascii=False)
        more = (
            "add to your configuration"
            if not settings.column_types
            else "add to column_types of your configuration"
        )
        hints.append(f"{'; '.join(reasons)}; {more}: {entry}")
    return hints


def _sum(settings: Settings, lanes: Sequence[PreviewLane]) -> str:
    rows = sum(lane.counts.read - lane.counts.rejected for lane in lanes)
    batches = sum(lane.counts.batches for lane in lanes)
    requests = sum(_requests(settings, lane) for lane in lanes)
    finding = FINDING_REQUESTS + FINDING_REQUESTS_PER_STREAM * len(lanes)
    if settings.load_method == "overwrite":
        finding += len(lanes)  # a purge each
    total = requests + finding
    seconds = shortest_seconds(
        total, per_second=settings.requests_per_second, per_hour=settings.requests_per_hour
    )
    is_keyed = any(lane.key_columns for lane in lanes)
    saving = " Rows whose key comes again soon need fewer: only the newest is sent." if is_keyed else ""
    return (
        f"Together: {counted(rows, 'row', 'rows')}, {counted(batches, 'batch', 'batches')}; "
        f"with confirmation {settings.confirmation} at least "
        f"{total:,} requests, of which {finding:,} find or make the datasets. At "
        f"{settings.requests_per_second:g} requests a second and {settings.requests_per_hour:,g} an hour "
        f"that takes at least {duration_text(seconds)}.{saving}"
    )


def _requests(settings: Settings, lane: PreviewLane) -> int:
    """Requests that send a stream's batches and confirm them."""
    page_size = settings.dialect.page_size
    return requests_for(lane.counts.batches, settings.confirmation, page_size=page_size)
