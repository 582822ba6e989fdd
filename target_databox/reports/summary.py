"""The summary of a run: a line for each stream, whose sum must hold, and what was rejected and why."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from target_databox.delivery.batches import Counts, Lane
    from target_databox.delivery.rejections import Cause, Rejection
    from target_databox.delivery.rows import Row

logger = logging.getLogger("target-databox")

# Memory stays flat: further reasons of a stream are counted together, further records are not named.
MOST_REASONS: Final = 50
MOST_RECORDS_NAMED: Final = 5
LONGEST_KEY_CHARACTERS: Final = 60


class CountError(RuntimeError):
    """Rows were read that have no outcome, though the run is complete."""


class Rejections:
    """Rejected records by stream and reason, in flat memory.

    Args:
        rejects_path: Where they are kept.
    """

    def __init__(self, rejects_path: Path | None = None) -> None:
        self._rejects_path = rejects_path
        self._by_databox: dict[str, str] = {}
        self._groups: dict[str, dict[str, tuple[int, list[str]]]] = {}

    def add(self, rejects: Iterable[Rejection]) -> None:
        """Count rejected records."""
        for reject in rejects:
            destination = reject.destination
            groups = self._groups.setdefault(destination.stream, {})
            if not reject.cause.reason.is_ours:
                self._by_databox[destination.stream] = destination.type_differences
            reason = _reason(reject.cause)
            if reason not in groups and len(groups) >= MOST_REASONS:
                reason = "other reasons"
            count, names = groups.get(reason, (0, []))
            if len(names) < MOST_RECORDS_NAMED:
                names.append(_name(reject.row))
            groups[reason] = count + 1, names

    def lines(self) -> list[str]:
        """A sentence for each stream and reason, and what to do next."""
        lines = [
            f"{stream}: rejected {count}, {reason}: {', '.join(names)}{', …' if count > len(names) else ''}."
            for stream, groups in self._groups.items()
            for reason, (count, names) in groups.items()
        ]
        if any(reason.startswith("schema (") for groups in self._groups.values() for reason in groups):
            lines.append("With validate_records false, records that do not fit their schema are loaded too.")
        lines += [
            f"{stream}: column types differ, and Databox may reject rows for that: {differences}; set "
            "column_types."
            for stream, differences in self._by_databox.items()
            if differences
        ]
        if self._by_databox and self._rejects_path is not None:
            show = f"tail -n 1 {shlex.quote(str(self._rejects_path))}"
            lines.append(f"To see the newest rejected record, with what Databox said of it: {show}")
        return lines


def stream_line(stream: str, counts: Counts) -> str:
    """The line of one stream: its rows, and what they cost."""
    parts = [
        f"{stream}: read {counts.read} = confirmed {counts.confirmed} + superseded {counts.superseded} "
        f"+ rejected {counts.rejected}"
    ]
    if counts.open:
        parts.append(f"+ {counts.open} without an outcome")
    stored = f"appended {counts.appended}, overwritten {counts.overwritten}"
    if counts.unknown_counts:
        unknown = _counted(counts.unknown_counts, "row", "rows")
        stored += f", not known for {unknown}, which the status alone confirmed"
    if counts.dataset_rows is not None:
        stored += f"; the dataset holds {_counted(counts.dataset_rows, 'row', 'rows')}"
        if counts.dataset_columns is not None:
            stored += f" of {_counted(counts.dataset_columns, 'column', 'columns')}"
    cost = (
        f"{_counted(counts.batches, 'batch', 'batches')}, {_counted(counts.requests, 'request', 'requests')}"
    )
    retries = _counted(counts.retries, "retry", "retries")
    waited = f"{counts.throttled_seconds:.1f} s waited for the rate limit"
    return f"{' '.join(parts)} ({stored}; {cost}, {retries}, {waited})"


def summarise(
    lanes: Iterable[Lane],
    *,
    is_complete: bool,
    rejections: Rejections | None = None,
    show: Callable[[Sequence[Lane]], bool] = lambda _: False,
) -> None:
    """Log a line for each stream, and one for each reason for which its records were rejected.

    Args:
        lanes: The streams.
        is_complete: Whether everything was read and sent.
        rejections: What was rejected.
        show: Shows the streams in another way and says whether it did; then their lines are for DEBUG.

    Raises:
        CountError: The run is complete, and a sum does not hold.
    """
    unaccounted = []
    lanes = list(lanes)
    if is_complete and not lanes:
        logger.warning(
            "No stream was loaded: the input held none, or stream_maps leave everything out. Did the tap "
            "fail?"
        )
    level = logging.DEBUG if lanes and show(lanes) else logging.INFO
    for lane in lanes:
        logger.log(level, "%s", stream_line(lane.destination.stream, lane.counts))
        if is_complete and holds_others(lane):
            logger.warning(
                "%s holds %d rows; it was empty before this run, which appended %d. Either something else "
                "writes to it, or Databox counts otherwise: compare them before you rely on either.",
                lane.destination,
                lane.counts.dataset_rows,
                lane.counts.appended,
            )
        if is_complete and lane.counts.open:
            unaccounted.append(lane.destination.stream)
    for line in rejections.lines() if rejections else ():
        logger.warning("%s", line)
    if unaccounted:
        raise CountError(
            f"Rows of {', '.join(unaccounted)} have no outcome, though everything was read and sent. This is "
            "a bug in target-databox; please report it with the lines above. Run again: no STATE has passed "
            "those rows."
        )


def holds_others(lane: Lane) -> bool:
    """Whether a dataset that was empty before the run holds another number of rows than the run appended."""
    counts, destination = lane.counts, lane.destination
    if not (destination.is_new or destination.purge) or counts.unknown_counts or counts.uncounted_copies:
        return False
    return counts.dataset_rows is not None and counts.dataset_rows != counts.appended


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _reason(cause: Cause) -> str:
    if cause.reason.is_ours:
        return f"{cause.reason.value} ({cause.message.rstrip('.')})"
    # The API's message may quote a row, so it is in the rejects file alone.
    return f"{cause.reason.words} ({cause.code})" if cause.code else cause.reason.words


def _name(row: Row) -> str:
    """The name of a record: its key values, else its line."""
    if not isinstance(row.key, tuple):
        return f"line {row.number}"
    values = ", ".join(_key_value(value) for value in row.key)
    return f"key ({values})" if len(row.key) > 1 else f"key {values}"


def _key_value(value: Any) -> str:
    if isinstance(value, tuple):  # a boolean, kept apart from the number 1
        value = value[-1]
    text = "".join(character if character.isprintable() else " " for character in str(value))
    return text if len(text) <= LONGEST_KEY_CHARACTERS else f"{text[: LONGEST_KEY_CHARACTERS - 1]}…"
