"""What both versions of the API read and write alike: records, words of a status, offsets of time zones."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from target_databox.emulator.state.errors import InvalidInputError
from target_databox.emulator.state.json_rows import UNREADABLE, parsed_rows
from target_databox.emulator.state.shapes import Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.emulator.serving.calls import Call
    from target_databox.emulator.serving.faults import Fault
    from target_databox.emulator.state.shapes import Ingestion

COUNTS: dict[str, Callable[[int], Any]] = {"integer": int, "float": float, "text": str}
ENDS = {"failed": "could not be processed", "purged": "was discarded by a purge"}


class _Records(msgspec.Struct):
    records: list[msgspec.Raw]


def records(call: Call) -> list[bytes]:
    """The JSON texts of a request's records; notes how many there are.

    Raises:
        InvalidInputError: The body is not what is documented.
    """
    try:
        texts = [bytes(text) for text in msgspec.json.decode(call.body, type=_Records).records]
    except UNREADABLE as exc:
        raise InvalidInputError(
            "The body must be a JSON object with an array called records.", "records"
        ) from exc
    call.rows = len(texts)
    return texts


def planned_fate(faults: Sequence[Fault], texts: Sequence[bytes], most_columns: int | None) -> Fate:
    """What planned faults have in store for rows.

    Args:
        faults: The faults that strike the request.
        texts: Each row as its JSON text.
        most_columns: Rows that would give the dataset more columns are rejected; `None` for no such limit.
    """
    rejects: list[tuple[int, str]] = []
    seconds = None
    for fault in faults:
        if fault.reject_rows is not None:
            rows = parsed_rows(b"[" + b",".join(texts) + b"]")
            rejects += [
                (place, "The row was refused.") for place, row in enumerate(rows) if fault.rejects(row)
            ]
        seconds = seconds if fault.processing_seconds is None else fault.processing_seconds
    return Fate(any(fault.fail_ingestion for fault in faults), tuple(rejects), seconds, most_columns)


def word(call: Call, ingestion: Ingestion) -> str:
    """The word for an ingestion's status."""
    assumptions = call.store.assumptions
    words = {
        "pending": assumptions.pending_word,
        "done": assumptions.done_word,
        "failed": assumptions.failed_word,
        "purged": assumptions.purged_word,
    }
    return words[ingestion.status]


def offset(name: str) -> str:
    """The offset of a time zone now, such as `UTC+1` or `UTC+5:30` (fields grade O)."""
    try:
        found = datetime.now(timezone.utc).astimezone(ZoneInfo(name)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError):
        found = None
    minutes = int(found.total_seconds()) // 60 if found else 0
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'-' if minutes < 0 else '+'}{hours}" + (f":{rest:02}" if rest else "")
