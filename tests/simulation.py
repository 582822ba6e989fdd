"""A Databox that never was, a clock that never ticks, and a run of the dispatcher between them: everything by seed.

`python -m tests.simulation SEED` replays one seed and prints what happened.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import sys
from dataclasses import dataclass, field

from target_databox.api.errors import (
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from target_databox.api.pacing import Budget
from target_databox.api.shapes import Accepted, Ingestion, IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.batches import Cut, Row, body
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.errors import DeliveryError, UnconfirmedError
from target_databox.delivery.model import (
    AskOutcome,
    Destination,
    Policy,
    PostRows,
    Purge,
    ReadIngestion,
    ReadList,
)

EPOCH = 1_700_000_000.0


@dataclass
class StoredIngestion:
    """One ingestion as the simulated server knows it."""

    id: str
    rows: list[dict]
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
    rows: dict = field(default_factory=dict)
    log: list[dict] = field(default_factory=list)
    ingestions: list[StoredIngestion] = field(default_factory=list)


class SimulatedDatabox:
    """Routes that delivery uses, with the documented behaviour and planned trouble."""

    def __init__(self, rand: random.Random, plan: Plan) -> None:
        self.rand = rand
        self.plan = plan
        self.datasets: dict[str, SimulatedDataset] = {}
        self.requests: list[float] = []
        self._ids = itertools.count(1)
        self.refuse_key_from = float("inf")

    def land(self, now: float) -> None:
        """Process every ingestion whose time has come, in the order of those times."""
        due = [
            (ingestion.lands_at, index, dataset, ingestion)
            for dataset in self.datasets.values()
            for index, ingestion in enumerate(dataset.ingestions)
            if ingestion.outcome is None
            and ingestion.status is IngestionStatus.PENDING
            and ingestion.lands_at <= now
        ]
        for _, _, dataset, ingestion in sorted(due, key=lambda item: item[:2]):
            self._process(dataset, ingestion)

    def _process(self, dataset: SimulatedDataset, ingestion: StoredIngestion) -> None:
        if ingestion.fails:
            ingestion.status = IngestionStatus.FAILED
            ingestion.outcome = (0, 0, len(ingestion.rows))
            return
        appended = overwritten = rejected = 0
        for row in ingestion.rows:
            if row.get("bad"):
                rejected += 1
            elif dataset.keyed and row["id"] in dataset.rows:
                overwritten += 1
                dataset.rows[row["id"]] = row
            else:
                appended += 1
                if dataset.keyed:
                    dataset.rows[row["id"]] = row
                else:
                    dataset.log.append(row)
        ingestion.outcome = (appended, overwritten, rejected)
        ingestion.status = IngestionStatus.DONE

    def post_rows(self, dataset_id: str, data: bytes, now: float) -> object:
        """Take a batch."""
        dataset = self.datasets[dataset_id]
        rows = json.loads(data)["records"]
        assert len(rows) <= 100
        assert len(data) <= 1_000_000
        if self.plan.refuses and any(row.get("bad") for row in rows):
            return RefusedError("refused", method="POST", path="/data", status=400)
        low, high = self.plan.processing
        ingestion = StoredIngestion(
            f"i{next(self._ids)}",
            rows,
            now,
            now + self.rand.uniform(low, high),
            now + self.rand.uniform(0, self.plan.list_lag),
            fails=self.rand.random() < self.plan.failing,
        )
        dataset.ingestions.append(ingestion)
        return Accepted(ingestion.id, (), "r")

    def ingestion(self, dataset_id: str, ingestion_id: str, now: float) -> object:
        """Tell of one ingestion."""
        for stored in self.datasets[dataset_id].ingestions:
            if stored.id == ingestion_id:
                break
        else:
            return MissingError("gone", method="GET", path="/ingestions/x", status=404)
        if self.rand.random() < self.plan.late_detail and now < stored.accepted_at + 5:
            return MissingError("not yet", method="GET", path="/ingestions/x", status=404)
        counts = stored.outcome or (None, None, None)
        status = stored.status if stored.status is not IngestionStatus.PENDING else IngestionStatus.DONE
        received = None if stored.outcome is None else len(stored.rows)
        return Ingestion(stored.id, status, EPOCH + stored.accepted_at, received, *counts, (), "r")

    def ingestions(self, dataset_id: str, page: int, now: float) -> object:
        """One page of the list."""
        size = self.plan.page_size
        listed = [entry for entry in self.datasets[dataset_id].ingestions if entry.listed_at <= now]
        if self.plan.order == "newest-first":
            listed = listed[::-1]
        elif self.plan.order == "arbitrary":
            listed = sorted(listed, key=lambda entry: entry.id[::-1])
        part = listed[(page - 1) * size : page * size]
        entries = tuple(IngestionEntry(entry.id, EPOCH + entry.accepted_at, entry.status) for entry in part)
        return IngestionsPage(entries, page, size, len(listed))

    def purge(self, dataset_id: str, now: float) -> None:
        """Empty a dataset."""
        dataset = self.datasets[dataset_id]
        dataset.rows.clear()
        dataset.log.clear()


@dataclass
class Plan:
    """What one seed makes of the world."""

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
    streams: tuple[tuple[bool, bool], ...] = ((True, True),)  # keyed, keys known
    stop_at: float | None = None
    crash_at: float | None = None
    chunk_pause: float = 0.0
    overwrite: bool = False


def plan_of(seed: int) -> Plan:
    """The world of one seed."""
    rand = random.Random(seed)
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
        streams=tuple(
            pick([(True, True), (True, True), (True, False), (False, True)])
            for _ in range(pick([1, 1, 2, 3]))
        ),
        stop_at=pick([None, None, None, rand.uniform(0, 20)]),
        crash_at=pick([None, None, None, rand.uniform(0, 20)]),
        chunk_pause=pick([0.0, 0.0, 1.0]),
    )
    if plan.confirmation == "status" and not plan.refuses:
        # Whoever confirms by status is blind to rejected rows, by choice.
        plan.bad = 0.0
    return plan


@dataclass
class Message:
    """One line of the simulated input: a row of a stream, or a STATE (`stream` None)."""

    number: int
    stream: int | None
    row: dict | None = None


class Violation(AssertionError):
    """A promise was broken."""


class Run:
    """One process: reads the input from a place, delivers it, writes STATEs."""

    def __init__(self, world: World, start: int, now: float) -> None:
        plan = world.plan
        self.world = world
        self.position = start
        self.budget = Budget(plan.per_second, plan.per_hour, rand=world.rand.random)
        self.dispatcher = Dispatcher(
            Policy(
                cut=Cut(plan.batch_rows, 1_000_000),
                batch_age_seconds=5.0,
                unconfirmed_batches=plan.window,
                unconfirmed_bytes=plan.unconfirmed_bytes,
                retry_seconds=300.0,
                confirmation=plan.confirmation,  # type: ignore[arg-type]
                confirmation_timeout_seconds=600.0,
                listing_lag_seconds=plan.listing_lag_setting,
                state_interval_seconds=1.0,
                shutdown_seconds=20.0,
                keeps_rejects=plan.keeps_rejects,
                rejects_limit=1000,
            ),
            self.budget,
            wait=lambda tries, asked: (asked or 0.0) + world.rand.uniform(0, min(30.0, 0.5 * 2**tries)),
        )
        self.lanes = [
            self.dispatcher.open_lane(
                Destination(
                    f"s{index}",
                    f"d{index}",
                    f"d{index}",
                    is_keyed=keyed,
                    keys_are_known=known,
                    is_new=start == 0 and not world.history,
                    purge=plan.overwrite,
                )
            )
            for index, (keyed, known) in enumerate(plan.streams)
        ]
        self.read_at = now
        self.free = plan.workers
        self.stopped = False
        self.rejected: set[int] = set()
        self.is_dead = False


class World:
    """The input, the server, and one run after another."""

    def __init__(self, seed: int, plan: Plan | None = None, *, mutate=None) -> None:
        self.seed = seed
        self.plan = plan or plan_of(seed)
        self.rand = random.Random(seed * 31 + 1)
        self.server = SimulatedDatabox(self.rand, self.plan)
        self.history = 0
        self.mutate = mutate
        self.now = 0.0
        self.states: list[int] = []
        self.rejected: dict[int, str] = {}
        self.taken: list[float] = []
        self.input = self._input()
        self.events: list = []
        self.sequence = itertools.count()
        self.crashed = False
        self.errors: list[BaseException] = []
        self.runs = 0
        self.trace: list[str] = []
        self.limit_tokens = self.plan.server_limit or 0.0
        self.limit_at = 0.0
        for index, (keyed, known) in enumerate(self.plan.streams):
            # A dataset whose keys can't be read may have them or not.
            self.server.datasets[f"d{index}"] = SimulatedDataset(keyed and (known or seed % 2 == 0))

    def _input(self) -> list[Message]:
        messages = []
        for number in range(1, self.plan.rows + 1):
            if number % self.plan.state_every == 0:
                messages.append(Message(number, None))
                continue
            stream = self.rand.randrange(len(self.plan.streams))
            row = {"id": self.rand.randrange(self.plan.keys), "n": number}
            if self.rand.random() < self.plan.bad:
                row["bad"] = 1
            messages.append(Message(number, stream, row))
        messages.append(Message(self.plan.rows + 1, None))
        return messages

    def at(self, when: float, what: str, *rest: object) -> None:
        heapq.heappush(self.events, (when, next(self.sequence), what, rest))

    # One run

    def play(self, start: int) -> BaseException | None:
        """One run from a place in the input to its end; returns why it failed."""
        self.runs += 1
        run = Run(self, start, self.now)
        if self.mutate:
            self.mutate(run)
        dispatcher = run.dispatcher
        is_first = self.runs == 1
        began = self.now
        drained = False
        for _ in range(200_000):
            now = self.now
            if is_first and self.plan.crash_at is not None and now - began >= self.plan.crash_at:
                self.crashed = True
                self._die(run)
                return None
            if (
                is_first
                and self.plan.stop_at is not None
                and now - began >= self.plan.stop_at
                and not run.stopped
            ):
                run.stopped = True
                dispatcher.settle(now + 20.0)
                self.stop_deadline = now + 20.0
            while (
                not run.stopped
                and dispatcher.error is None
                and run.read_at <= now
                and run.position < len(self.input)
                and dispatcher.has_room
            ):
                self._read(run, now)
            if run.position >= len(self.input) and not drained:
                drained = True
                dispatcher.drain()
            dispatcher.server_time = EPOCH + now - 0.9
            while run.free:
                request = dispatcher.next(now)
                if request is None:
                    break
                run.free -= 1
                self.taken.append(now)
                out = now + self.rand.uniform(*self.plan.latency) / 2
                # Bytes are on the wire from here on, whatever becomes of the process.
                data = body(request.batch.rows) if isinstance(request, PostRows) else b""
                self.at(out, "arrive", run, request, data)
            self._after(run, now)
            if dispatcher.is_over(now):
                break
            wake = min(dispatcher.wake_at, dispatcher.output_at)
            if (
                not run.stopped
                and dispatcher.error is None
                and run.position < len(self.input)
                and run.read_at > now
            ):
                wake = min(wake, run.read_at)
            if not run.free:
                wake = dispatcher.deadline
            if is_first and self.plan.crash_at is not None:
                wake = min(wake, began + self.plan.crash_at)
            if is_first and self.plan.stop_at is not None and not run.stopped:
                wake = min(wake, began + self.plan.stop_at)
            if self.events and self.events[0][0] <= wake:
                self.now, _, what, rest = heapq.heappop(self.events)
                self._happen(what, rest)
            elif wake == float("inf"):
                raise Violation(f"stuck at {now}: {dispatcher.mode}, open {dispatcher.open_rows}")
            else:
                self.now = max(wake, now + 1e-6)
        else:
            raise Violation("the run does not end")
        last = dispatcher.state(self.now, last=True)
        if last is not None:
            self._state(int(last))
        if dispatcher.error is None and not run.stopped:
            for lane in run.lanes:
                counts = lane.counts
                if counts.read != counts.confirmed + counts.superseded + counts.rejected:
                    raise Violation(f"counts do not add up: {counts}")
            if self.states[-1:] != [self.input[-1].number]:
                raise Violation(f"the last STATE was not written: {self.states[-1:]}")
        if run.stopped and self.now > self.stop_deadline + 0.001:
            raise Violation("ended after its deadline")
        dispatcher.close()
        self._die(run)
        return dispatcher.error

    def _die(self, run: Run) -> None:
        # What is on the wire still arrives; nobody hears the answer.
        run.is_dead = True
        self.events = [event for event in self.events if event[2] == "arrive"]
        heapq.heapify(self.events)

    def _read(self, run: Run, now: float) -> None:
        message = self.input[run.position]
        run.position += 1
        if message.stream is None:
            run.dispatcher.ended(str(message.number).encode())
            if self.plan.chunk_pause and self.rand.random() < 0.2:
                run.read_at = now + self.rand.uniform(0, self.plan.chunk_pause)
            return
        lane = run.lanes[message.stream]
        key = (message.row["id"],) if self.plan.streams[message.stream][0] else None
        row = Row(key, json.dumps(message.row).encode(), number=message.number, line=b"x")
        run.dispatcher.put(lane, [row], now)

    def _after(self, run: Run, now: float) -> None:
        rejects = run.dispatcher.rejects()
        for reject in rejects:
            if reject.row.number in run.rejected:
                raise Violation(f"record {reject.row.number} rejected twice")
            run.rejected.add(reject.row.number)
            self.rejected[reject.row.number] = reject.verdict.reason
        run.dispatcher.written(rejects)
        state = run.dispatcher.state(now)
        if state is not None:
            self._state(int(state))

    def _state(self, number: int) -> None:
        self.server.land(self.now)
        if self.states and number <= self.states[-1]:
            raise Violation(f"STATE {number} after {self.states[-1]}")
        self.states.append(number)
        for message in self.input:
            if message.number > number:
                break
            if message.stream is None or message.number in self.rejected:
                continue
            if not self._is_stored(message):
                raise Violation(f"STATE {number} is ahead of record {message.number}")

    def _is_stored(self, message: Message) -> bool:
        dataset = self.server.datasets[f"d{message.stream}"]
        if message.row.get("bad"):
            # Superseded by a newer one of its key that is stored, or else it had to be rejected.
            return self.plan.streams[message.stream][0] and self._newer_is_stored(message, dataset)
        if dataset.keyed:
            return dataset.rows.get(message.row["id"], {"n": 0})["n"] >= message.number
        if any(row["n"] == message.number for row in dataset.log):
            return True
        return self.plan.streams[message.stream][0] and self._newer_is_stored(message, dataset)

    def _newer_is_stored(self, message: Message, dataset: SimulatedDataset) -> bool:
        if dataset.keyed:
            return dataset.rows.get(message.row["id"], {"n": 0})["n"] > message.number
        return any(row["id"] == message.row["id"] and row["n"] > message.number for row in dataset.log)

    # The wire

    def _happen(self, what: str, rest: tuple) -> None:
        if what == "arrive":
            run, request, data = rest
            answer = self._serve(request, data)
            self.at(self.now + self.rand.uniform(*self.plan.latency) / 2, "answer", run, request, answer)
        else:
            run, request, answer = rest
            if run.is_dead:
                return
            run.free += 1
            run.dispatcher.done(request, answer, self.now)
            self._after(run, self.now)

    def _serve(self, request: object, data: bytes) -> object:
        now, server, plan, rand = self.now, self.server, self.plan, self.rand
        dataset_id = request.lane.destination.dataset_id
        server.land(now)
        server.requests.append(now)
        facts = {"method": "X", "path": "/x"}
        if rand.random() < plan.unreachable:
            return UnreachableError("unreachable", **facts)
        if plan.server_limit is not None:
            self.limit_tokens = min(
                plan.server_limit, self.limit_tokens + (now - self.limit_at) * plan.server_limit
            )
            self.limit_at = now
            if self.limit_tokens < 1:
                return ThrottledError("slow", **facts, retry_after_seconds=rand.choice([None, 1.0]))
            self.limit_tokens -= 1
        if rand.random() < plan.lost_before:
            return LostAnswerError("lost", **facts)
        if isinstance(request, PostRows):
            answer = server.post_rows(dataset_id, data, now)
        elif isinstance(request, AskOutcome):
            answer = server.ingestion(dataset_id, request.ingestion_id, now)
        elif isinstance(request, ReadIngestion):
            answer = server.ingestion(dataset_id, request.ingestion_id, now)
        elif isinstance(request, ReadList):
            answer = server.ingestions(dataset_id, request.page, now)
        elif isinstance(request, Purge):
            answer = server.purge(dataset_id, now)
        if now >= server.refuse_key_from:
            return KeyRefusedError("key", **facts, status=401)
        if rand.random() < plan.lost_after:
            return LostAnswerError("lost", **facts)
        return answer

    # The whole story

    def check(self) -> None:
        """Play all runs and check what stays true of all of them."""
        start, tries = 0, 0
        while True:
            error = self.play(start)
            if error is not None:
                self.errors.append(error)
                if not isinstance(error, (DeliveryError, LostAnswerError, UnreachableError)):
                    raise error
            finished = bool(self.states) and self.states[-1] == self.input[-1].number
            tries += 1
            if finished or tries > 4 or (error is not None and not isinstance(error, UnconfirmedError)):
                break
            done = self.states[-1] if self.states else 0
            start = next((i for i, m in enumerate(self.input) if m.number > done), len(self.input))
            self.history += 1
            # Resumed at once, or by a schedule; what a killed run sent less than the clock's tolerance before can't
            # be told from what the next one lost, on a dataset without keys.
            self.now += max(self.rand.choice([6.0, 60.0]), self.plan.list_lag + 6.0)
            while self.events and self.events[0][0] <= self.now:
                when, _, what, rest = heapq.heappop(self.events)
                if what == "arrive":
                    later, self.now = self.now, when
                    self._serve(rest[1], rest[2])
                    self.now = later
        self.server.land(float("inf"))
        self._check_budget()
        if finished:
            self._check_rows()

    def _check_budget(self) -> None:
        if self.runs > 1:
            return
        limit = self.plan.per_second
        for index, when in enumerate(self.taken):
            far = index + int(limit)
            if far < len(self.taken) and self.taken[far] - when < 1.0 - 1e-9:
                raise Violation("more requests in a second than the budget allows")
            far = index + int(self.plan.per_hour)
            if far < len(self.taken) and self.taken[far] - when < 3600.0 - 1e-6:
                raise Violation("more requests in an hour than the budget allows")

    def _check_rows(self) -> None:
        repeated = self.runs > 1
        for index, (keyed, known) in enumerate(self.plan.streams):
            dataset = self.server.datasets[f"d{index}"]
            good = [
                m
                for m in self.input
                if m.stream == index and not m.row.get("bad") and m.number not in self.rejected
            ]
            if dataset.keyed:
                wanted = {m.row["id"]: m.number for m in good}
                found = {key: row["n"] for key, row in dataset.rows.items()}
                # A row whose ingestions failed may have been stored by a copy whose answer was lost.
                unsure = {
                    m.row["id"]
                    for m in self.input
                    if m.row and self.rejected.get(m.number) in ("suspect", "failed")
                }
                differing = {key for key, _ in set(wanted.items()) ^ set(found.items())}
                if differing - unsure:
                    raise Violation(
                        f"dataset {index}: wanted and found differ in the keys {differing - unsure}"
                    )
            elif not keyed:
                wanted = sorted(m.number for m in good)
                found = sorted(row["n"] for row in dataset.log if row["n"] not in self.rejected)
                if repeated:
                    found = sorted(set(found))
                if wanted != found:
                    raise Violation(
                        f"dataset {index}: rows missing or twice: {set(wanted) ^ set(found)}, {len(wanted)} {len(found)}"
                    )
            for message in self.input:
                if message.stream != index or message.number in self.rejected:
                    continue
                if not self._is_stored(message):
                    raise Violation(f"record {message.number} has no outcome")


def main() -> None:
    """Replay one seed."""
    seed = int(sys.argv[1])
    world = World(seed)
    sys.stdout.write(f"{world.plan}\n")
    world.check()
    sys.stdout.write(
        f"fine: {world.runs} runs, states {world.states}, errors {world.errors}, {len(world.taken)} requests\n"
    )


if __name__ == "__main__":
    main()
