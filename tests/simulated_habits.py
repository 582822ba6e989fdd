"""What the facts of the API leave open beyond the plan's first habits, each a choice with its extremes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True)
class Habits:
    """One way in which the API may fill the gaps of its documentation.

    Attributes:
        counts_second: How requests per second are counted: a `bucket` that takes no refused request, or a
            `strict` sliding second that counts refused ones too.
        cooldown: For how long after a 429 every request is refused too, in seconds.
        retry_after: Whether a 429 says how long to wait: `sometimes` or `never`.
        too_large: The status of the answer to more rows than a request may have.
        in_order: Whether the ingestions of a dataset are processed in the order of their acceptance.
        repeated_key: Which row counts if a request has a key twice: the `last`, the `first`, or the first,
            with the others `rejected`.
        missing_key: Whether a row without the key column is `rejected` or `kept`.
        conflicts: Whether a row with a value of another type than its column's is `rejected` or `kept`.
        new_columns: What becomes of a column that a dataset with declared columns lacks: it is `added`, its
            row is `rejected`, or its value is `dropped`.
        full_rows: How many rows a dataset may hold.
        full_as: What becomes of rows beyond that: their ingestion `fails`, or they are `refused` (413).
        counts_late: For how long after the end of processing the counts are still those of before.
        repeated_ids: Share of POSTs that are answered with the ingestion of another POST of their run.
        ids_are_counted_by: Whether the `account` has each id of an ingestion once, or each `dataset`.
        gone: From when to when the datasets are not visible.
        purges: Whether a purge is `done` or `forbidden`.
        locked_seconds: For how long after a purge rows are answered with 500.
        purge_drops_pending: Whether a purge ends the ingestions that are pending.
        key_scope: Whether an idempotency key belongs to a `route`, a `dataset` or the `account`.
        key_hours: For how long an idempotency key is remembered.
        echoes: Whether the list shows a new ingestion twice, once as it was before it was processed.
        names_in_v1: Whether v1 names rejected rows as well.
        warns_in_v1: Whether v1 accepts rows with errors beside their ingestion.
        count_form: How v2 writes counts: as `integer`, `float` or `text`.
        empty_success: Whether v2 answers a purge without a body.
        twins: Share of rows without keys that equal the row before.
    """

    counts_second: str = "bucket"
    cooldown: float = 0.0
    retry_after: str = "sometimes"
    too_large: int = 413
    in_order: bool = False
    repeated_key: str = "last"
    missing_key: str = "rejected"
    conflicts: str = "kept"
    new_columns: str = "added"
    full_rows: int | None = None
    full_as: str = "fails"
    counts_late: float = 0.0
    repeated_ids: float = 0.0
    ids_are_counted_by: str = "account"
    gone: tuple[float, float] | None = None
    purges: str = "done"
    locked_seconds: float = 0.0
    purge_drops_pending: bool = False
    key_scope: str = "route"
    key_hours: float = 24.0
    echoes: bool = False
    names_in_v1: bool = False
    warns_in_v1: bool = False
    count_form: str = "integer"
    empty_success: bool = False
    twins: float = 0.0

    @property
    def is_choosy(self) -> bool:
        """Whether the API may reject or refuse rows that are good in themselves, and have their keys."""
        return self.conflicts == "rejected" or self.new_columns == "rejected" or self.full_rows is not None


def habits_of(rand: random.Random, *, is_blind: bool, is_lossy: bool) -> Habits:
    """Draw habits.

    Args:
        rand: What happens.
        is_blind: Whether a run confirms by status, and so, by choice, does not see rejected rows.
        is_lossy: Whether answers get lost, so that a repeated id could be one that nobody has seen.
    """
    pick = rand.choice
    drawn = Habits(
        counts_second=pick(["bucket", "strict"]),
        cooldown=pick([0.0, 0.0, 2.0, 10.0]),
        retry_after=pick(["sometimes", "never"]),
        too_large=pick([413, 400]),
        in_order=rand.random() < 0.3,
        repeated_key=pick(["last", "first", "rejected"]),
        missing_key=pick(["rejected", "kept"]),
        conflicts=pick(["kept", "rejected"]),
        new_columns=pick(["added", "added", "rejected", "dropped"]),
        full_rows=pick([None] * 11 + [rand.randint(0, 60)]),
        full_as=pick(["fails", "refused"]),
        counts_late=pick([0.0, 0.0, 3.0]),
        repeated_ids=0.02 if rand.random() < 0.05 and not is_lossy else 0.0,
        ids_are_counted_by=pick(["account", "dataset"]),
        gone=(at := rand.uniform(0, 30), at + pick([5.0, 1e9])) if rand.random() < 0.04 else None,
        purges="forbidden" if rand.random() < 0.1 else "done",
        locked_seconds=pick([0.0, 0.0, 5.0, 40.0]),
        purge_drops_pending=rand.random() < 0.5,
        key_scope=pick(["route", "dataset", "account"]),
        key_hours=pick([24.0, 23.1, 1e6]),
        echoes=rand.random() < 0.2,
        names_in_v1=rand.random() < 0.3,
        warns_in_v1=rand.random() < 0.1,
        count_form=pick(["integer", "float", "text"]),
        empty_success=rand.random() < 0.3,
        twins=pick([0.0, 0.3]),
    )
    if not is_blind:
        return drawn
    kept = {"missing_key": "kept", "conflicts": "kept", "new_columns": "added", "repeated_key": "last"}
    return Habits(**{**vars(drawn), **kept})
