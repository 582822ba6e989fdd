"""A Databox that never was: the routes that delivery uses, with latency, faults and bad rows by seed."""

from __future__ import annotations

import itertools
import json
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from target_databox.api.errors import (
    DataboxError,
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnreachableError,
    error_of_answer,
)
from target_databox.api.v1.limits import PAGE_SIZE
from target_databox.api.values import (
    Accepted,
    ApiProblem,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
)
from target_databox.delivery.requests import AskOutcome, PostRows, Purge, ReadIngestion, ReadList, Request
from tests.simulated_dataset import SimulatedDataset, StoredIngestion
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
# For how long the list shows an ingestion twice, where it does.
ECHO_SECONDS = 10.0


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
        self._lately: deque[float] = deque()
        self._cool_until = 0.0
        # A dataset whose keys can't be read may have them or not.
        self.datasets = {
            f"d{index}": SimulatedDataset(
                keyed and (known or seed % 2 == 0), plan, rand, is_made=not plan.each_run or plan.is_there
            )
            for index, (keyed, known) in enumerate(plan.streams)
        }
        for dataset in self.datasets.values():
            for _ in range(plan.leftovers):
                rows = [{"id": rand.randrange(plan.keys), "n": 0}]
                lands_at = NEVER_LANDS if plan.leftovers_stick else rand.uniform(0, 20)
                self._take_in(dataset, rows, -rand.uniform(1, plan.leftovers_age), lands_at, -1.0)
            if plan.second_writer:
                self._write_beside(dataset)

    def expect(self, dataset_id: str, index: int) -> None:
        """Have room for the dataset of a stream, if it is none of those that are there."""
        keyed, _ = self.plan.streams[index]
        made = SimulatedDataset(keyed, self.plan, self.rand, is_made=False)
        self.datasets.setdefault(dataset_id, made)

    def _write_beside(self, dataset: SimulatedDataset) -> None:
        """Plan ingestions of somebody else, larger than ours, so that they can be told from a lost one."""
        for number in range(30):
            at = number * 7.0 + self.rand.uniform(0, 7)
            rows = [{"id": -1 - number, "n": 0}] * (self.plan.most_batch_rows + 1)
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
        if plan.habits.ids_are_counted_by == "dataset":
            number = len(dataset.ingestions) + 1
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
        fault = self.fault(now, is_post=isinstance(request, PostRows), is_list=isinstance(request, ReadList))
        if fault is not None:
            return fault
        if wire.version == "v2":
            is_lost = chance() < plan.lost_after
            self.v2.garbles = is_lost and chance() < 0.3
            answer = self.carry_out(request, wire, now)
            is_lost = is_lost and not self.v2.garbles
            self.v2.garbles = False
            return self.lost() if is_lost else answer
        answer = self.carry_out(request, wire, now)
        return self.lost() if chance() < plan.lost_after else answer

    def fault(self, now: float, *, is_post: bool, is_list: bool) -> DataboxError | None:
        """What becomes of a request that arrives now and is not carried out; None if it is.

        Args:
            now: The time.
            is_post: Whether it brings rows.
            is_list: Whether it asks for the list of ingestions.
        """
        plan, chance = self.plan, self.rand.random
        self.land(now)
        self.requests.append(now)
        if chance() < plan.unreachable or _is_within(now, plan.down):
            return UnreachableError("unreachable", **FACTS)
        if now >= self.refuses_key_from:
            return KeyRefusedError("key", **FACTS, status=401)
        if _is_within(now, plan.habits.gone):
            return MissingError("gone", **FACTS, status=404)
        is_counted = plan.throttles == "all" or not is_post
        if plan.server_limit is not None and is_counted and not self._has_room(plan.server_limit, now):
            self.throttled += 1
            is_told = plan.habits.retry_after == "sometimes"
            after = self.rand.choice([None, 1.0]) if is_told else None
            return ThrottledError("slow", **FACTS, retry_after_seconds=after)
        if is_list and _is_within(now, plan.lists_down):
            return self.lost()
        return self.lost() if chance() < plan.lost_before else None

    def lost(self) -> DataboxError:
        """An answer that says nothing of what became of its request: none, or any of these statuses."""
        status = self.rand.choice(LOST_STATUSES)
        if status is None:
            return LostAnswerError("lost", **FACTS)
        return error_of_answer(**FACTS, status=status)

    def carry_out(self, request: Request, wire: Wire, now: float) -> object:
        """Do what a request asks for."""
        self.land(now)
        plan = self.plan
        if wire.version == "v2":
            return self.v2.answer(request, wire, now)
        dataset = self.datasets[request.lane.destination.dataset_id]
        if isinstance(request, PostRows):
            return self.post(dataset, wire, now)
        if isinstance(request, (AskOutcome, ReadIngestion)):
            return self.detail(dataset, request.ingestion_id, now)
        if isinstance(request, ReadList):
            return self.listed_page(dataset, request.page, now)
        if isinstance(request, Purge) and plan.habits.purges == "forbidden":
            return KeyRefusedError("forbidden", **FACTS, status=403)
        dataset.purge(now)
        return None

    def _has_room(self, limit: float, now: float) -> bool:
        """Whether a request is within the limit, as this API counts."""
        habits = self.plan.habits
        if now < self._cool_until:
            has_room = False
        elif habits.counts_second == "strict":
            while self._lately and self._lately[0] <= now - 1.0:
                self._lately.popleft()
            has_room = len(self._lately) < limit
            self._lately.append(now)
        else:
            has_room = self._has_token(limit, now)
        if not has_room and now >= self._cool_until:
            self._cool_until = now + habits.cooldown
        return has_room

    def _has_token(self, limit: float, now: float) -> bool:
        self._tokens = min(limit, self._tokens + (now - self._tokens_at) * limit)
        self._tokens_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def post(self, dataset: SimulatedDataset, wire: Wire, now: float) -> Accepted | DataboxError:
        """Take in the rows of a request of v1."""
        plan = self.plan
        rows = self.rows_of(wire.body)
        assert len(rows) <= 100
        assert len(wire.body) <= 1_000_000
        if now < dataset.locked_until:
            return error_of_answer(**FACTS, status=500)
        if len(rows) > plan.most_rows or dataset.is_full(rows, "refused"):
            dataset.refuse(rows)
            return RefusedError("too large", **FACTS, status=plan.habits.too_large)
        if plan.refuses and any(map(dataset.is_bad, rows)):
            dataset.refuse(rows)
            return RefusedError("refused", **FACTS, status=plan.refuses_as)
        stored = self.accept(dataset, rows, now, wire.run)
        problems = (ApiProblem("odd", "A column is odd.", None, None),) if plan.habits.warns_in_v1 else ()
        return Accepted(self.told_id(dataset, stored), problems, "r")

    def told_id(self, dataset: SimulatedDataset, stored: StoredIngestion) -> str:
        """The id with which rows are accepted: that of their ingestion, or, on a bad day, of another one."""
        share = self.plan.habits.repeated_ids
        if share and self.rand.random() < share:
            # One whose answer the run has had.
            heard = stored.accepted_at - 2 * CLIENT_TIMEOUT_SECONDS
            mine = [each for each in dataset.ingestions.values() if each.run == stored.run]
            return self.rand.choice([each.id for each in mine if each.accepted_at < heard] or [stored.id])
        return stored.id

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
        if plan.habits.in_order and lands_at < NEVER_LANDS:
            lands_at = dataset.last_lands_at = max(lands_at, dataset.last_lands_at)
        ingestion = self._take_in(dataset, rows, now, lands_at, listed_at, fails=fails)
        ingestion.run = run
        dataset.note(ingestion)
        return ingestion

    def detail(self, dataset: SimulatedDataset, ingestion_id: str, now: float) -> Ingestion | MissingError:
        """An ingestion as v1 shows it."""
        stored = dataset.ingestions.get(ingestion_id)
        if stored is None:
            return MissingError("gone", **FACTS, status=404)
        if self.is_hidden(stored, now):
            return MissingError("not yet", **FACTS, status=404)
        is_pending = stored.status is IngestionStatus.PENDING
        status = WORDS[self.plan.pending_word] if is_pending else self._outcome(stored)
        counts = self.counts(stored, now)
        problems = self.v2.problems_of(stored) if self.plan.habits.names_in_v1 else ()
        return Ingestion(stored.id, status, self.stamp(stored), *counts, problems, "r")

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
        is_late = not stored.fails and now < stored.lands_at + plan.habits.counts_late
        if stored.outcome is not None and not is_late:
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

    def listed(self, dataset: SimulatedDataset, now: float) -> list[tuple[StoredIngestion, bool]]:
        """What the list of ingestions shows, in its order, each with whether it is shown as it was before."""
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
        shown = [(each, not self.is_shown_settled(each, now)) for each in listed]
        if not plan.habits.echoes:
            return shown
        twice = [
            [entry, (entry[0], True)] if now < entry[0].lands_at + ECHO_SECONDS else [entry]
            for entry in shown
        ]
        return [entry for entries in twice for entry in entries]

    def listed_page(self, dataset: SimulatedDataset, page: int, now: float) -> IngestionsPage:
        """A page of the list of ingestions as v1 shows it."""
        plan, size = self.plan, self.plan.page_size
        listed = self.listed(dataset, now)
        entries = tuple(
            IngestionEntry(entry.id, self.stamp(entry), self._listed_status(entry, is_before=is_before))
            for entry, is_before in listed[(page - 1) * size : page * size]
        )
        if plan.untold_pages:
            return IngestionsPage(entries, page, PAGE_SIZE, None)
        return IngestionsPage(entries, page, size, len(listed))

    def is_shown_settled(self, entry: StoredIngestion, now: float) -> bool:
        """Whether the list shows that an ingestion is processed."""
        return entry.outcome is not None and now >= entry.lands_at + self.plan.list_stale

    def _listed_status(self, entry: StoredIngestion, *, is_before: bool) -> IngestionStatus:
        if not is_before:
            return self._outcome(entry)
        is_unknown = self.plan.pending_word == "unknown"
        return IngestionStatus.UNKNOWN if is_unknown else IngestionStatus.PENDING


def _is_within(now: float, bounds: tuple[float, float] | None) -> bool:
    return bounds is not None and bounds[0] <= now < bounds[1]
