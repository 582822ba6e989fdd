"""One look at a dataset: each page that comes back is compared with what is kept of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_databox.verification.comparison import Comparison
from target_databox.verification.normal import digest, normal_row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.api.values import RowsPage
    from target_databox.verification.kept_rows import KeptRows
    from target_databox.verification.lane import VerifyLane


class Look:
    """Compares pages with the rows of a stream.

    Args:
        lane: The stream.
        kept: The rows of the input.

    Attributes:
        comparison: What was found so far.
    """

    def __init__(self, lane: VerifyLane, kept: KeptRows) -> None:
        self._lane = lane
        self._kept = kept
        self.comparison = Comparison(lane.columns)
        kept.forget_seen(lane.number)

    def take(self, page: RowsPage) -> None:
        """Compare a page."""
        self.comparison.hidden_columns.update(page.hidden_columns)
        rows = [(self._lane.key(found) or digest(found), row, found) for row, found in self._read(page)]
        if self._lane.key_columns:
            self._compare(rows)
        else:
            self._count([key for key, _, _ in rows])

    def missing(self) -> int:
        """How many rows of the input have not come back."""
        return self._kept.counts(self._lane.number, by_copies=not self._lane.key_columns).missing

    def _read(self, page: RowsPage) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        lane, comparison = self._lane, self.comparison
        for row in page.rows:
            found = normal_row(row, lane.moments, lane.zone, lane.columns.numbers)
            comparison.look(row, found, lane.moments)
            yield row, found

    def _compare(self, rows: list[tuple[bytes, dict[str, Any], dict[str, Any]]]) -> None:
        comparison, keys = self.comparison, self._lane.key_columns
        known = self._kept.find(self._lane.number, list({key for key, _, _ in rows}))
        seen: dict[bytes, int] = {}
        for key, _, found in rows:
            sent = known.get(key)
            if sent is None:
                if any(name in found for name in keys):
                    comparison.add_only(key)
                else:
                    comparison.add_without_key()
                continue
            times = seen.get(key, sent.seen)
            seen[key] = times + 1
            if times:
                comparison.add_doubled(key)
            elif digest(found) == sent.whole:
                comparison.add_equal(sent.kept, found)
            else:
                comparison.add_different(key, sent.kept, found)
        self._kept.note(self._lane.number, seen.items())

    def _count(self, digests: list[bytes]) -> None:
        known = self._kept.find(self._lane.number, list(set(digests)))
        seen: dict[bytes, int] = {}
        for each in digests:
            sent = known.get(each)
            times = 0 if sent is None else seen.get(each, sent.seen)
            if sent is None or times >= sent.copies:
                self.comparison.only_in_databox += 1
                continue
            seen[each] = times + 1
            self.comparison.equal += 1
        self._kept.note(self._lane.number, seen.items())
