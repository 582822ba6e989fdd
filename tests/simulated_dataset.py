"""One dataset of a simulated Databox: its rows and ingestions, and which rows it finds bad."""

from __future__ import annotations

import bisect
import heapq
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from target_databox.api.values import IngestionStatus

if TYPE_CHECKING:
    import random

    from tests.simulated_plan import Plan

# Of rows whose columns never differ.
PLAIN = frozenset({"id", "n", "bad"})


@dataclass
class StoredIngestion:
    """One ingestion as the server knows it: the outcome is appended, overwritten and rejected rows.

    Attributes:
        run: The run that made it; 0 for somebody else.
        rejected: Those of its rows that are bad, or were found to be.
    """

    id: str
    rows: list[dict[str, Any]]
    accepted_at: float
    lands_at: float
    listed_at: float
    stamp: float | None
    fails: bool = False
    outcome: tuple[int, int, int] | None = None
    is_silent: bool = False
    status: IngestionStatus = IngestionStatus.PENDING
    run: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class SimulatedDataset:
    """Rows by key, or a list of them.

    Attributes:
        is_made: Whether it exists.
        types: Types of its columns, as far as they are declared or learned.
        is_declared: Whether columns were declared when it was made.
        copies: How often each row without a key is stored.
        ever: Rows that were stored at some time.
        found_bad: Rows that were rejected or refused for their own sake.
        equals: How many records of the input are equal to a row, where that is more than one.
        went_back: Keys whose row was replaced by an older one.
        went_back_within: Those for which one run did so, with that run.
        doubled: Rows without a key that one run had stored twice, with that run.
        accepted_again: Rows that are in two ingestions of one run, with that run.
        repeated: Keys that are in one ingestion twice, with its run.
        locked_until: Until when it takes no rows.
    """

    keyed: bool
    plan: Plan
    rand: random.Random
    is_made: bool = True
    types: dict[str, str] = field(default_factory=dict)
    is_declared: bool = False
    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    copies: Counter[int] = field(default_factory=Counter)
    ever: set[int] = field(default_factory=set)
    found_bad: set[int] = field(default_factory=set)
    equals: Counter[int] = field(default_factory=Counter)
    ingestions: dict[str, StoredIngestion] = field(default_factory=dict)
    by_age: list[StoredIngestion] = field(default_factory=list)
    pending: list[tuple[float, int, StoredIngestion]] = field(default_factory=list)
    went_back: set[Any] = field(default_factory=set)
    went_back_within: set[tuple[Any, int]] = field(default_factory=set)
    doubled: set[tuple[int, int]] = field(default_factory=set)
    accepted_again: set[tuple[int, int]] = field(default_factory=set)
    repeated: set[tuple[Any, int]] = field(default_factory=set)
    accepted: Counter[tuple[int, int]] = field(default_factory=Counter)
    writers: dict[Any, int] = field(default_factory=dict)
    stored_by: Counter[tuple[int, int]] = field(default_factory=Counter)
    locked_until: float = 0.0
    last_lands_at: float = 0.0

    # Ingestions

    def add(self, ingestion: StoredIngestion) -> None:
        """Take in an ingestion that is processed later."""
        self.ingestions[ingestion.id] = ingestion
        bisect.insort(self.by_age, ingestion, key=lambda each: each.accepted_at)
        heapq.heappush(self.pending, (ingestion.lands_at, len(self.ingestions), ingestion))

    def note(self, ingestion: StoredIngestion) -> None:
        """Note what a run sent."""
        run = ingestion.run
        keys = Counter(row["id"] for row in ingestion.rows if "id" in row)
        self.repeated |= {(key, run) for key, count in keys.items() if count > 1}
        for row in ingestion.rows:
            mine = row["n"], run
            self.accepted[mine] += 1
            if self.accepted[mine] > self.equals.get(row["n"], 1):
                self.accepted_again.add(mine)

    def land(self, now: float) -> None:
        """Process every ingestion whose time has come, in the order of those times."""
        while self.pending and self.pending[0][0] <= now:
            ingestion = heapq.heappop(self.pending)[2]
            if not ingestion.fails and self.is_full(ingestion.rows):
                ingestion.fails = True
                self._fail(ingestion, "none")
            elif ingestion.fails:
                self._fail(ingestion, self.plan.fails_as)
            else:
                ingestion.outcome = self._judge(ingestion)
                ingestion.status = IngestionStatus.DONE

    def _fail(self, ingestion: StoredIngestion, fails_as: str) -> None:
        ingestion.status = IngestionStatus.FAILED
        ingestion.is_silent = fails_as == "silent"
        rows = ingestion.rows
        if fails_as == "none":
            ingestion.outcome = (0, 0, len(rows))
        elif fails_as == "purged":
            # It was stored, and is no longer.
            ingestion.outcome = (len(rows), 0, 0)
        else:
            appended, overwritten, _ = self._store(rows[: len(rows) // 2], ingestion.run)
            ingestion.outcome = (appended, overwritten, 0)

    def _judge(self, ingestion: StoredIngestion) -> tuple[int, int, int]:
        rows, before = ingestion.rows, dict(self.types)
        good = [row for row in rows if self._is_taken(row)]
        if self.plan.fickle:
            good = [row for row in good if row["n"] < 1 or self.rand.random() >= self.plan.fickle]
        if self.keyed and self.plan.habits.repeated_key == "rejected":
            seen: set[Any] = set()
            good = [row for row in good if row["n"] < 1 or not _is_in(seen, row.get("id"))]
        kept = {id(row) for row in good}
        ingestion.rejected = [row for row in rows if id(row) not in kept]
        self.found_bad.update(row["n"] for row in ingestion.rejected)
        if self.plan.rejects_whole and len(good) < len(rows):
            self.types = before
            return 0, 0, len(rows)
        appended, overwritten, _ = self._store(good, ingestion.run)
        return appended, overwritten, len(rows) - len(good)

    # Rows

    def _is_taken(self, row: dict[str, Any]) -> bool:
        """Whether a row is good; its values teach the types of new columns."""
        if self.is_bad(row):
            return False
        self._learn(row)
        return True

    def is_bad(self, row: dict[str, Any]) -> bool:
        """Whether a row is rejected, as the dataset is now."""
        if row.get("bad"):
            return True
        habits = self.plan.habits
        if self.keyed and "id" not in row and habits.missing_key == "rejected":
            return True
        for name, value in row.items():
            if name in PLAIN or value is None:
                continue
            there = self.types.get(name)
            if there is None and self.is_declared and habits.new_columns == "rejected":
                return True
            if there not in (None, _type(value)) and habits.conflicts == "rejected":
                return True
        return False

    def is_full(self, rows: list[dict[str, Any]], full_as: str = "fails") -> bool:
        """Whether it has no room for rows, and says so in this way."""
        habits = self.plan.habits
        if habits.full_rows is None or habits.full_as != full_as:
            return False
        return len(self.rows) + len(self.log) + len(rows) > habits.full_rows

    def refuse(self, rows: list[dict[str, Any]]) -> None:
        """Note rows that are refused with their request: the bad ones, or the only one."""
        self.found_bad.update(row["n"] for row in rows if len(rows) == 1 or self.is_bad(row))

    def _store(self, rows: list[dict[str, Any]], run: int) -> tuple[int, int, int]:
        appended = overwritten = rejected = 0
        keeps_first = self.plan.habits.repeated_key == "first"
        seen: set[Any] = set()
        for row in rows:
            if not self._is_taken(row):
                rejected += 1
                continue
            self.ever.add(row["n"])
            key = row.get("id")
            if not self.keyed or key is None:
                appended += 1
                self._append(row, run)
            elif keeps_first and row["n"] > 0 and _is_in(seen, key):
                overwritten += 1
            elif key in self.rows:
                overwritten += 1
                if self.rows[key]["n"] > row["n"]:
                    self.went_back.add(key)
                    if self.writers.get(key) == run:
                        self.went_back_within.add((key, run))
                self.rows[key] = row
                self.writers[key] = run
            else:
                appended += 1
                self.rows[key] = row
                self.writers[key] = run
        return appended, overwritten, rejected

    def _learn(self, row: dict[str, Any]) -> None:
        if self.is_declared and self.plan.habits.new_columns == "dropped":
            return
        for name, value in row.items():
            if name not in PLAIN and value is not None:
                self.types.setdefault(name, _type(value))

    def _append(self, row: dict[str, Any], run: int) -> None:
        number = row["n"]
        self.log.append(row)
        self.copies[number] += 1
        self.stored_by[number, run] += 1
        if run and self.stored_by[number, run] > self.equals.get(number, 1):
            self.doubled.add((number, run))

    def purge(self, now: float) -> None:
        """Remove every row."""
        self.writers.clear()
        self.stored_by.clear()
        self.rows.clear()
        self.log.clear()
        self.copies.clear()
        habits = self.plan.habits
        self.locked_until = now + habits.locked_seconds
        if not habits.purge_drops_pending:
            return
        later = []
        for entry in self.pending:
            ingestion = entry[2]
            if ingestion.accepted_at > now:
                later.append(entry)
                continue
            ingestion.fails, ingestion.lands_at = True, now
            self._fail(ingestion, "none")
        heapq.heapify(later)
        self.pending = later


def _is_in(seen: set[Any], key: object) -> bool:
    """Whether a key was seen before; from now on it was."""
    if key is None or key in seen:
        return key is not None
    seen.add(key)
    return False


def _type(value: object) -> str:
    return "string" if isinstance(value, str) else "number"
