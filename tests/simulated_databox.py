"""A Databox that never was: the routes that delivery uses, with latency, faults and bad rows by seed."""

from __future__ import annotations

import bisect
import heapq
import itertools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from target_databox.api.errors import (
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnreachableError,
    error_of_answer,
)
from target_databox.api.v1.limits import PAGE_SIZE
from target_databox.api.values import Accepted, Ingestion, IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.requests import AskOutcome, PostRows, ReadIngestion, ReadList, Request
from tests.simulated_v2 import FaceOfV2

if TYPE_CHECKING:
    import random

    from tests.simulated_plan import Plan

EPOCH = 1_700_000_000.0
NEVER_LANDS = 1e12
# 520 and above are those of proxies.
LOST_STATUSES = (None, None, 408, 425, 500, 502, 503, 504, 507, 520, 522, 524, 529, 599)
CLIENT_TIMEOUT_SECONDS = 5.0
FACTS: dict[str, Any] = {"method": "POST", "path": "/v1/datasets/d/data"}
WORDS = {
    "done": IngestionStatus.DONE,
    "pending": IngestionStatus.PENDING,
    "unknown": IngestionStatus.UNKNOWN,
}


class Wire(NamedTuple):
    """What is on the wire beside the path: a body, an idempotency key, and whose request it is.

    Attributes:
        version: The version of the API that the run speaks.
        run: The run, from 1; 0 is somebody else.
    """

    body: bytes
    key: str
    version: str
    run: int


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
        went_back: Keys whose row was replaced by an older one.
        went_back_within: Those for which one run did so, with that run.
        doubled: Rows without a key that one run had stored twice, with that run.
        accepted_again: Rows that are in two ingestions of one run, with that run.
    """

    keyed: bool
    plan: Plan
    rand: random.Random
    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    logged: set[int] = field(default_factory=set)
    ingestions: dict[str, StoredIngestion] = field(default_factory=dict)
    by_age: list[StoredIngestion] = field(default_factory=list)
    pending: list[tuple[float, int, StoredIngestion]] = field(default_factory=list)
    went_back: set[Any] = field(default_factory=set)
    went_back_within: set[tuple[Any, int]] = field(default_factory=set)
    doubled: set[tuple[int, int]] = field(default_factory=set)
    accepted_again: set[tuple[int, int]] = field(default_factory=set)
    accepted: set[tuple[int, int]] = field(default_factory=set)
    writers: dict[Any, int] = field(default_factory=dict)
    stored_by: set[tuple[int, int]] = field(default_factory=set)

    def add(self, ingestion: StoredIngestion) -> None:
        """Take in an ingestion that is processed later."""
        self.ingestions[ingestion.id] = ingestion
        bisect.insort(self.by_age, ingestion, key=lambda each: each.accepted_at)
        heapq.heappush(self.pending, (ingestion.lands_at, len(self.ingestions), ingestion))

    def land(self, now: float) -> None:
        """Process every ingestion whose time has come, in the order of those times."""
        while self.pending and self.pending[0][0] <= now:
            ingestion = heapq.heappop(self.pending)[2]
            if ingestion.fails:
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
        rows = ingestion.rows
        good = [row for row in rows if not row.get("bad")]
        if self.plan.fickle:
            good = [row for row in good if row["n"] < 1 or self.rand.random() >= self.plan.fickle]
        kept = {id(row) for row in good}
        ingestion.rejected = [row for row in rows if id(row) not in kept]
        if self.plan.rejects_whole and len(good) < len(rows):
            return 0, 0, len(rows)
        appended, overwritten, _ = self._store(good, ingestion.run)
        return appended, overwritten, len(rows) - len(good)

    def _store(self, rows: list[dict[str, Any]], run: int) -> tuple[int, int, int]:
        appended = overwritten = rejected = 0
        for row in rows:
            if row.get("bad"):
                rejected += 1
            elif self.keyed and row["id"] in self.rows:
                overwritten += 1
                if self.rows[row["id"]]["n"] > row["n"]:
                    self.went_back.add(row["id"])
                    if self.writers.get(row["id"]) == run:
                        self.went_back_within.add((row["id"], run))
                self.rows[row["id"]] = row
                self.writers[row["id"]] = run
            else:
                appended += 1
                if self.keyed:
                    self.rows[row["id"]] = row
                    self.writers[row["id"]] = run
                else:
                    self._append(row, run)
        return appended, overwritten, rejected

    def _append(self, row: dict[str, Any], run: int) -> None:
        self.log.append(row)
        self.logged.add(row["n"])
        if run and (row["n"], run) in self.stored_by:
            self.doubled.add((row["n"], run))
        self.stored_by.add((row["n"], run))

    def purge(self) -> None:
        """Remove every row."""
        self.writers.clear()
        self.stored_by.clear()
        self.rows.clear()
        self.log.clear()
        self.logged.clear()


class SimulatedDatabox:
    """All datasets behind one wire.

    Attributes:
        requests: When each request arrived.
        throttled: How many were answered with 429.
        refuses_key_from: When the key stops to be good.
        v2: Its API v2.
        bad: Numbers of the rows that it rejects, where nothing else tells.
        in_progress: Until when requests with an idempotency key are being carried out, by dataset and key.
    """

    def __init__(self, rand: random.Random, plan: Plan, seed: int) -> None:
        self.rand = rand
        self.plan = plan
        self.requests: list[float] = []
        self.throttled = 0
        self.refuses_key_from = float("inf")
        self.v2 = FaceOfV2(self, seed)
        self.bad: set[int] = set()
        self.in_progress: dict[tuple[str, str], float] = {}
        self._ids = itertools.count(1)
        self._tokens = plan.server_limit or 0.0
        self._tokens_at = 0.0
        # A dataset whose keys can't be read may have them or not.
        self.datasets = {
            f"d{index}": SimulatedDataset(keyed and (known or seed % 2 == 0), plan, rand)
            for index, (keyed, known) in enumerate(plan.streams)
        }
        for dataset in self.datasets.values():
            for _ in range(plan.leftovers):
                rows = [{"id": rand.randrange(plan.keys), "n": 0}]
                lands_at = NEVER_LANDS if plan.leftovers_stick else rand.uniform(0, 20)
                self._take_in(dataset, rows, -rand.uniform(1, plan.leftovers_age), lands_at, -1.0)
            if plan.second_writer:
                self._write_beside(dataset)

    def _write_beside(self, dataset: SimulatedDataset) -> None:
        """Plan ingestions of somebody else, larger than ours, so that they can be told from a lost one."""
        for number in range(30):
            at = number * 7.0 + self.rand.uniform(0, 7)
            rows = [{"id": -1 - number, "n": 0}] * (self.plan.batch_rows + 1)
            lands_at = at + self.rand.uniform(*self.plan.processing)
            self._take_in(dataset, rows, at, lands_at, at + self.plan.list_lag)

    def _take_in(
        self,
        dataset: SimulatedDataset,
        rows: list[dict[str, Any]],
        now: float,
        lands_at: float,
        listed_at: float,
        *,
        fails: bool = False,
    ) -> StoredIngestion:
        plan = self.plan
        stamp: float | None = EPOCH + now + plan.stamp_skew
        if plan.undated or (plan.stamps == "some" and self.rand.random() < 0.3):
            stamp = None
        number = next(self._ids)
        name = f"i{number}" if plan.versions == ("v1",) else f"{number:08x}-0000-4000-8000-000000000000"
        ingestion = StoredIngestion(name, rows, now, lands_at, listed_at, stamp, fails=fails)
        dataset.add(ingestion)
        return ingestion

    def land(self, now: float) -> None:
        """Process what is due."""
        for dataset in self.datasets.values():
            dataset.land(now)

    def serve(self, request: Request, wire: Wire, now: float) -> object:
        """Answer a request that arrives now."""
        plan, chance = self.plan, self.rand.random
        self.land(now)
        self.requests.append(now)
        if chance() < plan.unreachable or _is_within(now, plan.down):
            return UnreachableError("unreachable", **FACTS)
        if now >= self.refuses_key_from:
            return KeyRefusedError("key", **FACTS, status=401)
        is_read = not isinstance(request, PostRows)
        is_counted = plan.throttles == "all" or is_read
        if plan.server_limit is not None and is_counted and not self._has_token(plan.server_limit, now):
            self.throttled += 1
            return ThrottledError("slow", **FACTS, retry_after_seconds=self.rand.choice([None, 1.0]))
        if isinstance(request, ReadList) and _is_within(now, plan.lists_down):
            return self._lost()
        if chance() < plan.lost_before:
            return self._lost()
        if wire.version == "v2":
            is_lost = chance() < plan.lost_after
            self.v2.garbles = is_lost and chance() < 0.3
            answer = self.carry_out(request, wire, now)
            is_lost = is_lost and not self.v2.garbles
            self.v2.garbles = False
            return self._lost() if is_lost else answer
        answer = self.carry_out(request, wire, now)
        return self._lost() if chance() < plan.lost_after else answer

    def _lost(self) -> object:
        """An answer that says nothing of what became of its request: none, or any of these statuses."""
        status = self.rand.choice(LOST_STATUSES)
        if status is None:
            return LostAnswerError("lost", **FACTS)
        return error_of_answer(**FACTS, status=status)

    def carry_out(self, request: Request, wire: Wire, now: float) -> object:
        """Do what a request asks for."""
        self.land(now)
        if wire.version == "v2":
            return self.v2.answer(request, wire, now)
        dataset = self.datasets[request.lane.destination.dataset_id]
        if isinstance(request, PostRows):
            return self._post(dataset, wire, now)
        if isinstance(request, (AskOutcome, ReadIngestion)):
            return self._detail(dataset, request.ingestion_id, now)
        if isinstance(request, ReadList):
            return self._list(dataset, request.page, now)
        dataset.purge()
        return None

    def _has_token(self, limit: float, now: float) -> bool:
        self._tokens = min(limit, self._tokens + (now - self._tokens_at) * limit)
        self._tokens_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _post(self, dataset: SimulatedDataset, wire: Wire, now: float) -> object:
        plan = self.plan
        rows = self.rows_of(wire.body)
        assert len(rows) <= 100
        assert len(wire.body) <= 1_000_000
        if len(rows) > plan.most_rows:
            return RefusedError("too large", **FACTS, status=413)
        if plan.refuses and any(row.get("bad") for row in rows):
            return RefusedError("refused", **FACTS, status=plan.refuses_as)
        return Accepted(self.accept(dataset, rows, now, wire.run).id, (), "r")

    def rows_of(self, body: bytes) -> list[dict[str, Any]]:
        """The rows in the body of a request."""
        rows: list[dict[str, Any]] = json.loads(body)["records"]
        if self.plan.blur:
            for row in rows:
                row["n"] -= self.plan.blur
                row |= {"bad": 1} if row["n"] in self.bad else {}
        return rows

    def accept(
        self, dataset: SimulatedDataset, rows: list[dict[str, Any]], now: float, run: int
    ) -> StoredIngestion:
        """Take in the rows of a run."""
        plan, rand = self.plan, self.rand
        lands_at = now + rand.uniform(*plan.processing)
        if rand.random() < plan.stuck:
            lands_at = NEVER_LANDS
        fails = rand.random() < plan.failing
        listed_at = now + rand.uniform(0, plan.list_lag)
        lands_at += plan.fails_late if fails else 0.0
        ingestion = self._take_in(dataset, rows, now, lands_at, listed_at, fails=fails)
        ingestion.run = run
        mine = {(row["n"], run) for row in rows}
        dataset.accepted_again |= mine & dataset.accepted
        dataset.accepted |= mine
        return ingestion

    def _detail(self, dataset: SimulatedDataset, ingestion_id: str, now: float) -> object:
        stored = dataset.ingestions.get(ingestion_id)
        if stored is None:
            return MissingError("gone", **FACTS, status=404)
        if self.is_hidden(stored, now):
            return MissingError("not yet", **FACTS, status=404)
        is_pending = stored.status is IngestionStatus.PENDING
        status = WORDS[self.plan.pending_word] if is_pending else self._outcome(stored)
        counts = self.counts(stored, now)
        return Ingestion(stored.id, status, self.stamp(stored), *counts, (), "r")

    def is_hidden(self, stored: StoredIngestion, now: float) -> bool:
        """Whether a question about an ingestion finds it missing."""
        return self.rand.random() < self.plan.late_detail and now < stored.accepted_at + 5

    def _outcome(self, stored: StoredIngestion) -> IngestionStatus:
        is_done = stored.status is IngestionStatus.DONE
        return WORDS[self.plan.done_word] if is_done else stored.status

    def counts(self, stored: StoredIngestion, now: float) -> tuple[int | None, ...]:
        """Received, appended, overwritten and rejected rows, as an ingestion shows them."""
        plan = self.plan
        if stored.is_silent:
            return None, None, None, None
        if stored.outcome is not None:
            return len(stored.rows), *stored.outcome
        if plan.growing != "nothing":
            share = (now - stored.accepted_at) / max(1e-6, stored.lands_at - stored.accepted_at)
            done = int(len(stored.rows) * min(share, 0.999))
            return (done if plan.growing == "all" else len(stored.rows)), done, 0, 0
        early = 0 if plan.zeros_first else None
        return early, early, early, early

    def stamp(self, stored: StoredIngestion) -> float | None:
        """When an ingestion was made, as it shows it."""
        if stored.stamp is None:
            return None
        if self.plan.stamps == "seconds":
            return float(int(stored.stamp))
        if self.plan.stamps == "landing" and stored.outcome is not None:
            return EPOCH + stored.lands_at + self.plan.stamp_skew
        return stored.stamp

    def listed(self, dataset: SimulatedDataset, now: float) -> list[StoredIngestion]:
        """What the list of ingestions shows, in its order."""
        plan = self.plan
        oldest = now - plan.listed_seconds
        listed = [
            each
            for each in dataset.by_age
            if each.listed_at <= now and (each.accepted_at > oldest or each.outcome is None)
        ]
        if plan.order == "newest-first":
            listed.reverse()
        elif plan.order == "arbitrary":
            listed.sort(key=lambda entry: entry.id[:8][::-1])
        return listed

    def _list(self, dataset: SimulatedDataset, page: int, now: float) -> object:
        plan, size = self.plan, self.plan.page_size
        listed = self.listed(dataset, now)
        entries = tuple(
            IngestionEntry(entry.id, self.stamp(entry), self._listed_status(entry, now))
            for entry in listed[(page - 1) * size : page * size]
        )
        if plan.untold_pages:
            return IngestionsPage(entries, page, PAGE_SIZE, None)
        return IngestionsPage(entries, page, size, len(listed))

    def is_shown_settled(self, entry: StoredIngestion, now: float) -> bool:
        """Whether the list shows that an ingestion is processed."""
        return entry.outcome is not None and now >= entry.lands_at + self.plan.list_stale

    def _listed_status(self, entry: StoredIngestion, now: float) -> IngestionStatus:
        if self.is_shown_settled(entry, now):
            return self._outcome(entry)
        is_unknown = self.plan.pending_word == "unknown"
        return IngestionStatus.UNKNOWN if is_unknown else IngestionStatus.PENDING


def _is_within(now: float, bounds: tuple[float, float] | None) -> bool:
    return bounds is not None and bounds[0] <= now < bounds[1]
