"""Puts together what is said of a stream: its counts, and what explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from target_databox.verification.comparison import KEYS_NAMED
from target_databox.verification.key_changes import key_changes
from target_databox.verification.report import StreamReport
from target_databox.verification.rules import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.verification.comparison import Comparison
    from target_databox.verification.kept_rows import KeptRows
    from target_databox.verification.lane import VerifyLane

MOST_NAMES: Final = 10


def report_of(lane: VerifyLane, found: Comparison, kept: KeptRows, *, accepts_rejects: bool) -> StreamReport:
    """What is said of a stream.

    Args:
        lane: The stream.
        found: The last look at its dataset.
        kept: The rows of the input.
        accepts_rejects: Whether the settings accept rejected records.
    """
    is_keyed = bool(lane.key_columns)
    counts = kept.counts(lane.number, by_copies=not is_keyed)
    named, different_keys = found.unexplained()
    report = StreamReport(
        lane.destination.stream,
        lane.destination.dataset_id,
        lane.destination.title,
        lane.key_columns,
        read=lane.counts.read,
        superseded=lane.counts.read - lane.counts.rejected - counts.keys if is_keyed else 0,
        rejected=lane.counts.rejected,
        rejected_is_accepted=accepts_rejects,
        equal=found.equal,
        missing=counts.missing,
        different=found.different,
        named=named,
        doubled=found.doubled,
        only_in_databox=found.only_in_databox,
        findings=found.findings(),
        differences=found.differences(),
    )
    missing = kept.missing(lane.number, by_copies=not is_keyed) if counts.missing else []
    if is_keyed:
        keys = {
            "missing": [key for key, _ in missing],
            "different": different_keys,
            "doubled": found.doubled_keys,
            "only in Databox": found.only_keys[:KEYS_NAMED],
        }
        report.keys = {kind: some for kind, some in keys.items() if some}
    else:
        report.lines = [line for _, line in missing]
    report.remarks = list(_remarks(lane, found, report))
    if is_keyed and missing:
        changed = key_changes([key for key, _ in missing], found.only_keys, lane.key_columns, lane.zone)
        report.remarks += [f"key {column}: {WORDS[rule]}" for column, rule in changed.items()]
    return report


def _remarks(lane: VerifyLane, found: Comparison, report: StreamReport) -> Iterable[str]:
    if not lane.key_columns:
        yield (
            "without keys, so rows are compared whole and by how often they occur: which row differs, and "
            "where, can't be told. Name the stream's keys in primary_keys, or set keyless_streams to hash."
        )
    elif found.without_key and found.without_key == found.rows:
        yield (
            f"no row comes back with a value of its key ({', '.join(lane.key_columns)}), so that rows "
            "can't be told apart: the column may be hidden in Databox. Show it there, and verify again."
        )
    hidden = sorted(name for name in found.hidden_columns if name in lane.columns.numbers)
    if hidden:
        yield f"hidden in Databox: {_names(hidden)}"
    if lane.row_count is not None and lane.row_count > found.rows:
        yield (
            f"the dataset holds {lane.row_count:,} rows and {found.rows:,} come back: a filter in Databox "
            "hides the others, or they were loaded less than a minute ago"
        )
    in_utc = sorted((lane.elsewhere & found.filled) - found.elsewhere)
    if in_utc:
        yield f"date-times come back in UTC, at the same instants unless named above: {_names(in_utc)}"
    foreign = sorted(set(found.foreign_columns) - set(lane.added))
    if foreign:
        yield f"not compared, since the input does not have them: {_names(foreign)}"
    if lane.added:
        yield f"not compared, since each run adds its own: {_names(lane.added)}"
    if report.rejected:
        accepted = ", as rejects_policy accepts" if report.rejected_is_accepted else ""
        one = report.rejected == 1
        records, were = ("1 record", "was") if one else (f"{report.rejected:,} records", "were")
        yield f"{records} would be rejected by a load and {were} not compared{accepted}"


def _names(names: Iterable[str]) -> str:
    told = list(names)
    more = f" and {len(told) - MOST_NAMES} more" if len(told) > MOST_NAMES else ""
    return ", ".join(told[:MOST_NAMES]) + more
