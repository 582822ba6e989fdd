"""What a verification says: a table for people, or a JSON object for each stream; of values only keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from target_databox.rehearsal.tables import cell, echo, plain_table, shown
from target_databox.verification.normal import key_values
from target_databox.verification.rules import WORDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from target_databox.verification.comparison import Difference, Finding

MOST_KEY_CHARACTERS: Final = 200
_JSON: Final = msgspec.json.Encoder(decimal_format="number")


@dataclass
class StreamReport:
    """What was found of one stream.

    Attributes:
        stream: Its name.
        dataset_id: Its dataset; empty where there is none.
        title: The dataset's title.
        key_columns: The columns of its key.
        read: Records of the input.
        superseded: Rows that a newer one of their key replaced.
        rejected: Records that a load would reject.
        rejected_is_accepted: Whether the settings accept that.
        equal: Rows that are there and equal.
        missing: Rows that are not there.
        different: Rows that are there and differ.
        named: Those of them that findings do not explain.
        doubled: Further rows of a key in Databox.
        only_in_databox: Rows whose key the input does not have.
        keys: Keys of the first rows of each kind; of rows without keys there are lines instead.
        lines: Lines of the first missing rows of a stream without keys.
        findings: What whole columns share.
        differences: What differs in single rows, by column.
        remarks: What else there is to know; nothing is wrong for it.
        error: Why the stream could not be compared; empty if it was.
    """

    stream: str
    dataset_id: str = ""
    title: str = ""
    key_columns: Sequence[str] = ()
    read: int = 0
    superseded: int = 0
    rejected: int = 0
    rejected_is_accepted: bool = False
    equal: int = 0
    missing: int = 0
    different: int = 0
    named: int = 0
    doubled: int = 0
    only_in_databox: int = 0
    keys: dict[str, list[bytes]] = field(default_factory=dict)
    lines: list[int] = field(default_factory=list)
    findings: Sequence[Finding] = ()
    differences: Sequence[Difference] = ()
    remarks: list[str] = field(default_factory=list)
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Whether everything that was read is there and equal."""
        is_bad = self.error or self.missing or self.different or self.doubled
        return not is_bad and (self.rejected_is_accepted or not self.rejected)


def print_table(reports: Sequence[StreamReport]) -> None:
    """Print what was found as a table, with a line for whatever needs one."""
    from rich.text import Text

    table = plain_table(
        "stream", "dataset", "read", "equal", "missing", "different", "doubled", "only in Databox", "result"
    )
    for report in reports:
        counts = (report.read, report.equal, report.missing, report.different, report.doubled)
        cells = ["" if report.error else f"{count:,}" for count in (*counts, report.only_in_databox)]
        result = Text("equal", "green") if report.is_good else Text(_result(report), "bold red")
        table.add_row(Text(cell(report.stream)), Text(cell(report.dataset_id)), *cells, result)
    lines = [shown(f"- {report.stream}: {line}") for report in reports for line in _lines(report)]
    echo(*([table] if reports else []), *lines, conclusion(reports))


def print_json(reports: Sequence[StreamReport]) -> None:
    """Print a JSON object for each stream, one a line."""
    for report in reports:
        click.echo(_JSON.encode(as_json(report)))


def conclusion(reports: Sequence[StreamReport]) -> str:
    """The last line."""
    if not reports:
        return "The input has no stream, so there is nothing to compare."
    bad = [shown(report.stream) for report in reports if not report.is_good]
    if not bad:
        return "Everything that was read is in Databox, and equal."
    names = ", ".join(bad[:20]) + (f" and {len(bad) - 20:,} more" if len(bad) > 20 else "")
    return f"Not everything that was read is in Databox, and equal: see {names}."


def as_json(report: StreamReport) -> dict[str, Any]:
    """A stream as an object for machines."""
    return {
        "stream": report.stream,
        "ok": report.is_good,
        "dataset_id": report.dataset_id or None,
        "dataset": report.title or None,
        "key_columns": list(report.key_columns),
        **{
            name: getattr(report, name)
            for name in (
                "read",
                "superseded",
                "rejected",
                "equal",
                "missing",
                "different",
                "doubled",
                "only_in_databox",
            )
        },
        "first_keys": {kind: _keys(keys) for kind, keys in report.keys.items()},
        "first_lines": {"missing": report.lines} if report.lines else {},
        "columns": {
            each.column: {"rows": each.rows, "first_keys": _keys(each.keys)} for each in report.differences
        },
        "findings": [
            {
                "column": each.column,
                "code": each.rule.name.lower(),
                "text": WORDS[each.rule],
                "rows": each.rows,
            }
            for each in report.findings
        ],
        "remarks": report.remarks,
        "error": report.error or None,
    }


def _result(report: StreamReport) -> str:
    if report.error:
        return "not compared"
    found = [name for name in ("missing", "different", "doubled", "rejected") if getattr(report, name)]
    return ", ".join(found)


def _lines(report: StreamReport) -> list[str]:
    if report.error:
        return [report.error]
    lines = [
        f"column {each.column}: {WORDS[each.rule]} ({each.rows:,} {'row' if each.rows == 1 else 'rows'})"
        for each in report.findings
    ]
    lines += [
        f"column {each.column} differs in {each.rows:,} {'row' if each.rows == 1 else 'rows'}: "
        f"{_keys_text(report, each.keys, each.rows)}"
        for each in report.differences
    ]
    totals = {
        "missing": report.missing,
        "different": report.named,
        "doubled": report.doubled,
        "only in Databox": report.only_in_databox,
    }
    for kind, keys in report.keys.items():
        if keys and (kind != "different" or not report.differences):
            lines.append(f"{kind}: {_keys_text(report, keys, totals[kind])}")
    if report.lines:
        more = ", …" if report.missing > len(report.lines) else ""
        lines.append(f"missing: the rows of lines {', '.join(map(str, report.lines))}{more} of the input")
    return lines + report.remarks


def _keys_text(report: StreamReport, keys: Sequence[bytes], total: int) -> str:
    texts = []
    for key in keys:
        text = ", ".join(map(str, key_values(key)))
        texts.append(text if len(text) <= MOST_KEY_CHARACTERS else f"{text[:MOST_KEY_CHARACTERS]}…")
    if len(report.key_columns) > 1:
        texts = [f"({text})" for text in texts]
    return f"{', '.join(report.key_columns)} {', '.join(texts)}{', …' if total > len(keys) else ''}"


def _keys(keys: Iterable[bytes]) -> list[Any]:
    return [key_values(key) for key in keys]
