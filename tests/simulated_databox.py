"""A Databox that never was: the routes that delivery uses, with latency, faults and bad rows by seed."""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass, field
from typing import Any

from target_databox.api.errors import (
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from target_databox.api.shapes import Accepted, Ingestion, IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.model import AskOutcome, PostRows, ReadIngestion, ReadList, Request

EPOCH = 1_700_000_000.0
NEVER_LANDS = 1e12
CLIENT_TIMEOUT_SECONDS = 5.0
FACTS: dict[str, Any] = {"method": "POST", "path": "/v1/datasets/d/data"}


@dataclass
class Plan:
    """What one seed makes of the world. Pairs are bounds of uniform distributions, in seconds.

    Attributes:
        streams: For each whether it has keys, and whether the dataset is known to have them.
        refuses: Whether a batch with a bad row is refused whole, instead of that row being rejected.
        late_detail: Share of questions about an ingestion that are answered with 404 in its first seconds.
        lost_before, lost_after: Shares of requests whose answer is lost, not carried out or carried out.
        hanging: Share of requests that are carried out only after the client has given them up.
        stuck: Share of ingestions that are never processed.
        down: From when to when nothing is reachable.
        key_refused_at: When the key is refused, in the first run.
        leftovers: Ingestions that are pending when the first run starts.
        second_writer: Whether somebody else writes rows of other keys, more at once than we do.
        server_limit: Requests per second after which the server answers 429.
        zeros_first: Whether counts are zero, not missing, until an ingestion is processed.
        undated: Whether ingestions have no time stamps.
        writer_delay: How long rejected rows take to get on disk.
    """

    processing: tuple[float, float] = (0.0, 2.0)
    list_lag: float = 0.0
    listing_lag_setting: float = 30.0
    order: str = "newest-first"
    page_size: int = 100
    refuses: bool = False
    failing: float = 0.0
    late_detail: float = 0.0
    lost_after: float = 0.0
    lost_before: float = 0.0
    hanging: float = 0.0
    stuck: float = 0.0
    down: tuple[float, float] | None = None
    key_refused_at: float | None = None
    leftovers: int = 0
    second_writer: bool = False
    unreachable: float = 0.0
    server_limit: float | None = None
    bad: float = 0.0
    latency: tuple[float, float] = (0.01, 0.3)
    rows: int = 200
    keys: int = 20
    state_every: int = 20
    batch_rows: int = 10
    workers: int = 4
    window: int = 50
    unconfirmed_bytes: int = 2_000_000
    per_second: float = 50.0
    per_hour: float = 1e6
    confirmation: str = "rows"
    keeps_rejects: bool = True
    rejects_limit: int = 1000
    writer_delay: float = 0.0
    streams: tuple[tuple[bool, bool], ...] = ((True, True),)
    stop_at: float | None = None
    crash_at: float | None = None
    chunk_pause: float = 0.0
    overwrite: bool = False
    zeros_first: bool = False
    undated: bool = False


def plan_of(seed: int) -> Plan:
    """The world of one seed."""
    rand = random.Random(seed)  # noqa: S311
    pick = rand.choice
    plan = Plan(
        processing=pick([(0.0, 0.0), (0.0, 0.5), (1.0, 6.0), (0.0, 40.0)]),
        list_lag=pick([0.0, 0.0, 5.0, 29.0]),
        order=pick(["newest-first", "oldest-first", "arbitrary"]),
        page_size=pick([100, 100, 5]),
        refuses=rand.random() < 0.4,
        failing=pick([0.0, 0.0, 0.0, 0.05]),
        late_detail=pick([0.0, 0.0, 0.3]),
        lost_after=pick([0.0, 0.0, 0.05, 0.2]),
        lost_before=pick([0.0, 0.0, 0.05, 0.2]),
        hanging=pick([0.0, 0.0, 0.0, 0.05]),
        stuck=pick([0.0] * 9 + [0.02]),
        down=pick([None] * 8 + [(2.0, 120.0), (2.0, 500.0)]),
        key_refused_at=pick([None] * 9 + [rand.uniform(0, 20)]),
        leftovers=pick([0, 0, 3]),
        second_writer=rand.random() < 0.2,
        unreachable=pick([0.0, 0.0, 0.1]),
        server_limit=pick([None, None, None, 8.0]),
        bad=pick([0.0, 0.0, 0.01, 0.1]),
        latency=pick([(0.01, 0.05), (0.01, 0.3), (0.05, 3.0)]),
        rows=rand.randint(0, 150),
        keys=pick([1, 5, 30, 1000]),
        state_every=pick([1, 7, 20, 50]),
        batch_rows=pick([1, 3, 10, 100]),
        workers=pick([1, 2, 8]),
        window=pick([1, 3, 50]),
        unconfirmed_bytes=pick([3_000, 20_000, 2_000_000]),
        per_second=pick([10.0, 50.0, 1000.0]),
        per_hour=pick([1e6, 1e6, 1e6, 100.0]),
        confirmation=pick(["rows", "rows", "status"]),
        keeps_rejects=rand.random() < 0.7,
        rejects_limit=pick([1000, 1000, 1000, 2]),
        writer_delay=pick([0.0, 0.0, 0.5, 5.0]),
        streams=tuple(
            pick([(True, True), (True, True), (True, False), (False, True)])
            for _ in range(pick([1, 1, 2, 3]))
        ),
        stop_at=pick([None, None, None, rand.uniform(0, 20)]),
        crash_at=pick([None, None, None, rand.uniform(0, 20)]),
        chunk_pause=pick([0.0, 0.0, 1.0]),
        overwrite=rand.random() < 0.1,
        zeros_first=pick([False, False, True]),
        undated=pick([False] * 9 + [True]),
    )
    if plan.confirmation == "status" and not plan.refuses:
        # Whoever confirms by status is blind to rejected rows, by choice.
        plan.bad = 0.0
    if plan.overwrite:
        # Such a run is not resumed: the next one starts with an empty dataset again.
        plan.crash_at = plan.stop_at = plan.key_refused_at = None
    return plan


@dataclass
class StoredIngestion:
    """One ingestion as the server knows it."""

    id: str
    rows: list[dict[str, Any]]
    accepted_at: float
    lands_at: float
    listed_at: float
    fails: bool = False
    outcome: tuple[int, int, int] | None = None
    status: IngestionStatus = IngestionStatus.PENDING


@dataclass
class SimulatedDataset:
    """Rows by key, or a list of them."""

    keyed: bool
    rows: dict[Any, dict[str, Any]] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    logged: set[int] = field(default_factory=set)
    ingestions: dict[str, StoredIngestion] = field(default_factory=dict)
    pending: list[StoredIngestion] = field(default_factory=list)

    def add(self, ingestion: StoredIngestion) -> None:
        """Take in an ingestion that is processed later."""
        self.ingestions[ingestion.id] = ingestion
        self.pending.append(ingestion)

    def land(self, now: float) -> None:
        """Process every ingestion whose time has come, in the order of those times."""
        due = [ingestion for ingestion in self.pending if ingestion.lands_at <= now]
        if due:
            self.pending = [ingestion for ingestion in self.pending if ingestion.lands_at > now]
        for ingestion in sorted(due, key=lambda each: each.lands_at):
            self._process(ingestion)

    def _process(self, ingestion: StoredIngestion) -> None:
        if ingestion.fails:
            ingestion.status = IngestionStatus.FAILED
            ingestion.outcome = (0, 0, len(ingestion.rows))
            return
        appended = overwritten = rejected = 0
        for row in ingestion.rows:
            if row.get("bad"):
                rejected += 1
            elif self.keyed and row["id"] in self.rows:
                overwritten += 1
                self.rows[row["id"]] = row
            else:
                appended += 1
                if self.keyed:
                    self.rows[row["id"]] = row
                else:
                    self.log.append(row)
                    self.logged.add(row["n"])
        ingestion.outcome = (appended, overwritten, rejected)
        ingestion.status = IngestionStatus.DONE

    def purge(self) -> None:
        """Remove every row."""
        self.rows.clear()
        self.log.clear()
        self.logged.clear()


class SimulatedDatabox:
    """All datasets behind one wire.

    Attributes:
        requests: When each request arrived.
        throttled: How many were answered with 429.
        refuses_key_from: When the key stops to be good.
    """

    def __init__(self, rand: random.Random, plan: Plan, seed: int) -> None:
        self.rand = rand
        self.plan = plan
        self.requests: list[float] = []
        self.throttled = 0
        self.refuses_key_from = float("inf")
        self._ids = itertools.count(1)
        self._tokens = plan.server_limit or 0.0
        self._tokens_at = 0.0
        # A dataset whose keys can't be read may have them or not.
        self.datasets = {
            f"d{index}": SimulatedDataset(keyed and (known or seed % 2 == 0))
            for index, (keyed, known) in enumerate(plan.streams)
        }
        for dataset in self.datasets.values():
            for _ in range(plan.leftovers):
                rows = [{"id": rand.randrange(plan.keys), "n": 0}]
                dataset.add(
                    StoredIngestion(self._id(), rows, -rand.uniform(1, 99), rand.uniform(0, 20), -1.0)
                )
            if plan.second_writer:
                self._write_beside(dataset)

    def _write_beside(self, dataset: SimulatedDataset) -> None:
        """Plan ingestions of somebody else, larger than ours, so that they can be told from a lost one."""
        for number in range(30):
            at = number * 7.0 + self.rand.uniform(0, 7)
            rows = [{"id": -1 - number, "n": 0}] * (self.plan.batch_rows + 1)
            lands_at = at + self.rand.uniform(*self.plan.processing)
            dataset.add(StoredIngestion(self._id(), rows, at, lands_at, at + self.plan.list_lag))

    def _id(self) -> str:
        return f"i{next(self._ids)}"

    def land(self, now: float) -> None:
        """Process what is due."""
        for dataset in self.datasets.values():
            dataset.land(now)

    def serve(self, request: Request, data: bytes, now: float) -> object:
        """Answer a request that arrives now."""
        plan, chance = self.plan, self.rand.random
        self.land(now)
        self.requests.append(now)
        if chance() < plan.unreachable or (plan.down is not None and plan.down[0] <= now < plan.down[1]):
            return UnreachableError("unreachable", **FACTS)
        if now >= self.refuses_key_from:
            return KeyRefusedError("key", **FACTS, status=401)
        if plan.server_limit is not None and not self._has_token(plan.server_limit, now):
            self.throttled += 1
            return ThrottledError("slow", **FACTS, retry_after_seconds=self.rand.choice([None, 1.0]))
        if chance() < plan.lost_before:
            return LostAnswerError("lost", **FACTS)
        answer = self.carry_out(request, data, now)
        return LostAnswerError("lost", **FACTS) if chance() < plan.lost_after else answer

    def carry_out(self, request: Request, data: bytes, now: float) -> object:
        """Do what a request asks for."""
        self.land(now)
        dataset = self.datasets[request.lane.destination.dataset_id]
        if isinstance(request, PostRows):
            return self._post(dataset, data, now)
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

    def _post(self, dataset: SimulatedDataset, data: bytes, now: float) -> object:
        rows = json.loads(data)["records"]
        assert len(rows) <= 100
        assert len(data) <= 1_000_000
        if self.plan.refuses and any(row.get("bad") for row in rows):
            return RefusedError("refused", **FACTS, status=400)
        lands_at = now + self.rand.uniform(*self.plan.processing)
        ingestion = StoredIngestion(
            self._id(),
            rows,
            now,
            NEVER_LANDS if self.rand.random() < self.plan.stuck else lands_at,
            now + self.rand.uniform(0, self.plan.list_lag),
            fails=self.rand.random() < self.plan.failing,
        )
        dataset.add(ingestion)
        return Accepted(ingestion.id, (), "r")

    def _detail(self, dataset: SimulatedDataset, ingestion_id: str, now: float) -> object:
        stored = dataset.ingestions.get(ingestion_id)
        if stored is None:
            return MissingError("gone", **FACTS, status=404)
        if self.rand.random() < self.plan.late_detail and now < stored.accepted_at + 5:
            return MissingError("not yet", **FACTS, status=404)
        early = 0 if self.plan.zeros_first else None
        counts = stored.outcome or (early, early, early)
        status = stored.status if stored.status is not IngestionStatus.PENDING else IngestionStatus.DONE
        received = early if stored.outcome is None else len(stored.rows)
        return Ingestion(stored.id, status, self._stamp(stored), received, *counts, (), "r")

    def _stamp(self, stored: StoredIngestion) -> float | None:
        return None if self.plan.undated else EPOCH + stored.accepted_at

    def _list(self, dataset: SimulatedDataset, page: int, now: float) -> object:
        size = self.plan.page_size
        listed = sorted(
            (entry for entry in dataset.ingestions.values() if entry.listed_at <= now),
            key=lambda entry: entry.accepted_at,
            reverse=self.plan.order == "newest-first",
        )
        if self.plan.order == "arbitrary":
            listed.sort(key=lambda entry: entry.id[::-1])
        entries = tuple(
            IngestionEntry(entry.id, self._stamp(entry), entry.status)
            for entry in listed[(page - 1) * size : page * size]
        )
        return IngestionsPage(entries, page, size, len(listed))
