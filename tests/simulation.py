"""Runs of the dispatcher towards a simulated Databox under a clock that never ticks: everything by seed.

`python -m tests.simulation SEED [v1, v2 or both]` replays one seed and prints what happened. What has to hold
of every seed is checked while it is played, see `tests.promises`.
"""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import random
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from target_databox.api.budget import Budget
from target_databox.api.errors import LostAnswerError, ThrottledError
from target_databox.delivery.batches import Destination
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.errors import DeliveryError, LoadingError, UnconfirmedError
from target_databox.delivery.rejections import Reason
from target_databox.delivery.requests import PostRows, Purge
from target_databox.delivery.rows import Row
from target_databox.versions import DIALECTS
from tests import promises
from tests.promises import Message, ViolationError
from tests.simulated_databox import CLIENT_TIMEOUT_SECONDS, EPOCH, FACTS, NEVER_LANDS, SimulatedDatabox, Wire
from tests.simulated_plan import plan_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.delivery.batches import Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.rejections import Rejection
    from target_databox.delivery.requests import Request
    from tests.simulated_plan import Plan

logger = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 20.0
MOST_RUNS = 5


class OutputError(OSError):
    """A full disk, or a pipe that nobody reads from any more."""


class Run:
    """One process: reads the input from a place, delivers it, writes STATEs."""

    def __init__(self, world: World, start: int) -> None:
        plan = world.plan
        self.world = world
        self.number = world.runs
        self.dialect = DIALECTS[plan.versions[(world.runs - 1) % len(plan.versions)]]
        self.position = start
        self.stop = next(stop for stop in world.stops if stop > start or stop == len(world.input))
        self.budget = Budget(plan.per_second, plan.per_hour, rand=world.rand.random)
        settings = SimpleNamespace(
            batch_size_rows=min(plan.batch_rows, self.dialect.most_rows),
            most_rows_bytes=self.dialect.most_bytes - self.dialect.frame_bytes,
            batch_age_seconds=5.0,
            unconfirmed_batches=plan.window,
            unconfirmed_bytes=plan.unconfirmed_bytes,
            retry_seconds=300.0,
            confirmation=plan.confirmation,
            confirmation_timeout_seconds=600.0,
            listing_lag_seconds=plan.listing_lag_setting,
            state_interval_seconds=1.0,
            shutdown_seconds=SHUTDOWN_SECONDS,
            rejects_path=Path("rejects") if plan.keeps_rejects else None,
            rejects_limit=plan.rejects_limit,
        )
        self.dispatcher = Dispatcher(
            cast("DeliverySettings", settings),
            self.budget,
            wait=lambda tries, asked: (asked or 0.0) + world.rand.uniform(0, min(30.0, 0.5 * 2**tries)),
            new_key=world.new_key,
        )
        is_new = world.runs == 1 and not plan.leftovers and not plan.overwrite
        self.lanes = [
            self.dispatcher.open_lane(
                Destination(
                    f"s{index}",
                    f"d{index}",
                    f"d{index}",
                    is_keyed=keyed,
                    keys_are_known=known,
                    is_new=is_new,
                    purge=plan.overwrite,
                    resends_are_recognised=self.dialect.resends_are_recognised,
                )
            )
            for index, (keyed, known) in enumerate(plan.streams)
        ]
        self.began_at = world.now
        self.read_at = world.now
        self.free = plan.workers
        self.is_stopped = False
        self.is_dead = False
        self.is_killed = False
        self.has_napped = False
        self.can_write = True
        self.paused_until = float("-inf")
        self.taken: list[float] = []
        self.states: list[int] = []
        self.rejected: set[int] = set()
        self.writing: Sequence[Rejection] = ()

    @property
    def version(self) -> str:
        """The version of the API that it speaks."""
        return self.dialect.name

    @property
    def is_finished(self) -> bool:
        """Whether the last STATE of its input is written."""
        return self.world.states[-1:] == [self.world.input[self.stop - 1].number]

    @property
    def has_read_all(self) -> bool:
        """Whether its input has ended."""
        return self.position >= self.stop


class World:
    """The input, the server, and one run after another.

    Args:
        seed: What happens.
        plan: The world, if it is not the seed's own.
        mutate: Breaks a run on purpose.
    """

    def __init__(
        self, seed: int, plan: Plan | None = None, *, mutate: Callable[[Run], object] | None = None
    ) -> None:
        self.plan = plan or plan_of(seed)
        self.rand = random.Random(seed * 31 + 1)  # noqa: S311
        self.server = SimulatedDatabox(self.rand, self.plan, seed)
        self.now = 0.0
        self.states: list[int] = []
        self.rejected: dict[int, str] = {}
        self.taken: list[float] = []
        self.errors: list[BaseException] = []
        self.runs = 0
        self.versions: list[str] = []
        self.last_run: Run | None = None
        self.input = self._input()
        self.server.bad = {each.number for each in self.input if each.row and each.row.get("bad")}
        self.stops = self._stops()
        self.is_orderly = True
        self._mutate = mutate
        self._events: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._sequence = itertools.count()
        self._keys = itertools.count()

    def _input(self) -> list[Message]:
        messages = []
        rand, plan = self.rand, self.plan
        line, stream, room = 0, -1, 0
        for number in range(1, plan.rows + 1):
            if number % plan.state_every == 0:
                messages.append(Message(number, number, None))
                room = 0
                continue
            if not room:
                line, room = number, rand.randint(1, plan.line_rows)
                stream = rand.randrange(len(plan.streams))
            room -= 1
            row = {"id": rand.randrange(plan.keys), "n": number}
            if rand.random() < plan.bad:
                row["bad"] = 1
            is_odd = bool(plan.odd) and rand.random() < plan.odd
            messages.append(Message(number, line, stream, row, is_odd))
        messages.append(Message(plan.rows + 1, plan.rows + 1, None))
        return messages

    def _stops(self) -> list[int]:
        """Where runs end: behind STATEs, and at the end of the input."""
        behind = [index + 1 for index, each in enumerate(self.input[:-1]) if each.stream is None]
        count = min(len(behind), self.plan.sittings - 1)
        return [*sorted(self.rand.sample(behind, count)), len(self.input)]

    @property
    def is_finished(self) -> bool:
        """Whether the last STATE of the input is written."""
        return self.states[-1:] == [self.input[-1].number]

    def new_key(self) -> str:
        """An idempotency key: a UUID, as API v2 wants it."""
        return f"00000000-0000-4000-8000-{next(self._keys):012x}"

    # The whole story

    def check(self) -> None:
        """Play all runs and check what stays true of all of them."""
        start = 0
        while True:
            error = self.play(start)
            if error is not None:
                self.errors.append(error)
                if not isinstance(error, (DeliveryError, OutputError)):
                    raise error
                promises.check_error(self, error)
            is_worth_another = error is None or isinstance(
                error, (UnconfirmedError, LoadingError, OutputError)
            )
            if self.is_finished or self.runs >= MOST_RUNS or not is_worth_another:
                break
            start = self._next_start()
        self.server.land(NEVER_LANDS / 2)
        promises.check_order(self)
        promises.check_each_run(self)
        if self.is_finished:
            promises.check_rows(self)

    def _next_start(self) -> int:
        run = self.last_run
        if run is not None and run.is_finished and not run.is_killed:
            # The next run starts right after a normal end, for whatever came into the source meanwhile.
            self.now += self.rand.choice([0.0, 0.1, 5.0])
            return run.stop
        self.is_orderly = False
        if self.plan.overwrite:
            # Such a run writes no STATE that an orchestrator sees: the next one begins with the first row.
            self.states.clear()
        if self.plan.rewinds and len(self.states) > 1:
            self.states.pop()
        done = self.states[-1] if self.states else 0
        # What a killed run sent less than the clock's tolerance before can't be told from what the next one
        # lost; with keys, less than the list's lag before, it can't be seen.
        hidden_seconds = 6.0 + abs(self.plan.stamp_skew)
        if any(keyed for keyed, _ in self.plan.streams) or self.plan.stamps == "landing" or self.plan.undated:
            hidden_seconds += self.plan.list_lag
        if self.plan.hanging:
            hidden_seconds += self.plan.listing_lag_setting + CLIENT_TIMEOUT_SECONDS + self.plan.lateness
        later = self.now + max(self.rand.choice([6.0, 60.0]), hidden_seconds)
        while self._events and self._events[0][0] <= later:
            self._next_event()
        self.now = later
        return next((index for index, each in enumerate(self.input) if each.number > done), len(self.input))

    # One run

    def play(self, start: int) -> BaseException | None:
        """One run from a place in the input to its end; returns why it failed."""
        self.runs += 1
        run = self.last_run = Run(self, start)
        self.versions.append(run.version)
        if self._mutate is not None:
            self._mutate(run)
        refused_at = self.plan.key_refused_at if self.runs == 1 else None
        self.server.refuses_key_from = float("inf") if refused_at is None else refused_at
        for _ in range(200_000):
            if self.runs <= self.plan.crash_runs and self._is_past(self.plan.crash_at, run):
                run.is_killed = True
                self._die(run)
                break
            if self._is_due(self.plan.stop_at, run) and not run.is_stopped:
                run.is_stopped = True
                run.dispatcher.settle(self.now + SHUTDOWN_SECONDS)
            self._turn(run)
            promises.check_bounds(run)
            if run.dispatcher.is_over(self.now, can_write=run.can_write):
                self._end(run)
                break
            promises.check_haste(run)
            self._sleep(run)
        else:
            raise ViolationError("the run does not end")
        promises.check_budget(run)
        return run.dispatcher.error

    def _is_due(self, at: float | None, run: Run) -> bool:
        return self.runs == 1 and self._is_past(at, run)

    def _is_past(self, at: float | None, run: Run) -> bool:
        return at is not None and self.now - run.began_at >= at

    def _is_reading(self, run: Run) -> bool:
        return not run.has_read_all and not run.is_stopped and run.dispatcher.error is None

    def _turn(self, run: Run) -> None:
        """Everything that can be done at this moment."""
        now, dispatcher = self.now, run.dispatcher
        while self._is_reading(run) and run.read_at <= now and dispatcher.has_room:
            self._read(run)
        if run.has_read_all:
            dispatcher.drain()
        is_dated = now - run.began_at >= self.plan.dated_from
        dispatcher.server_time = EPOCH + now - 0.9 if is_dated else None
        while run.free:
            request = dispatcher.next(now)
            if request is None:
                break
            if now < run.paused_until:
                raise ViolationError(f"a request at {now}, before Retry-After is over")
            run.free -= 1
            run.taken.append(now)
            self.taken.append(now)
            # Bytes are on the wire from here on, whatever becomes of the process.
            self._at(
                now + self.rand.uniform(*self.plan.latency) / 2,
                "arrive",
                run,
                request,
                self._wire(run, request),
            )
        self._write(run)
        for note in dispatcher.notes.taken():
            logger.info("%s: %s", note.level, note)

    @staticmethod
    def _wire(run: Run, request: Request) -> Wire:
        body, key = b"", ""
        if isinstance(request, PostRows):
            body = run.dialect.body(row.body for row in request.batch.rows)
            key = request.batch.idempotency_key
        elif isinstance(request, Purge):
            key = request.idempotency_key
        return Wire(body, key, run.version, run.number)

    def _sleep(self, run: Run) -> None:
        """Go on to the next moment at which something happens."""
        dispatcher = run.dispatcher
        if self._is_reading(run) and run.read_at <= self.now and dispatcher.has_room:
            # What was just written has made room.
            return
        nap = self.plan.nap
        if nap is not None and not run.has_napped and self._is_due(nap[0], run):
            self._nap(run, nap[1])
            return
        wake_at = dispatcher.wake_at if run.free else dispatcher.deadline
        if not run.writing and run.can_write:
            wake_at = min(wake_at, dispatcher.output_at)
        if self._is_reading(run) and run.read_at > self.now:
            wake_at = min(wake_at, run.read_at)
        wake_at = min(wake_at, self._next_scene(run))
        if self._events and self._events[0][0] <= wake_at:
            self._next_event()
        elif wake_at == float("inf"):
            raise ViolationError(f"stuck at {self.now}: {dispatcher.mode}, open {dispatcher.open_rows}")
        else:
            self.now = max(wake_at, self.now + 1e-6)

    def _next_scene(self, run: Run) -> float:
        plan, at = self.plan, []
        if self.runs <= plan.crash_runs and plan.crash_at is not None:
            at.append(plan.crash_at)
        if self.runs == 1:
            if plan.stop_at is not None and not run.is_stopped:
                at.append(plan.stop_at)
            if plan.nap is not None and not run.has_napped:
                at.append(plan.nap[0])
        return run.began_at + min(at, default=float("inf"))

    def _nap(self, run: Run, seconds: float) -> None:
        """The process stands still; what is on the wire arrives, and answers wait for it."""
        run.has_napped = True
        awake_at = self.now + seconds
        answers = [event for event in self._events if not event[2].startswith("arrive")]
        self._events = [event for event in self._events if event[2].startswith("arrive")]
        heapq.heapify(self._events)
        while self._events and self._events[0][0] <= awake_at:
            self._next_event()
        self.now = awake_at
        for _, number, what, rest in answers:
            heapq.heappush(self._events, (awake_at, number, what, rest))

    def _end(self, run: Run) -> None:
        dispatcher = run.dispatcher
        if run.writing:
            self._written(run, run.writing)
        last = dispatcher.state(self.now, last=True) if run.can_write else None
        if last is not None:
            self._state(run, int(last))
        promises.check_end(run)
        dispatcher.close()
        self._die(run)

    def _die(self, run: Run) -> None:
        # What is on the wire still arrives; nobody hears the answer.
        run.is_dead = True
        self._events = [event for event in self._events if event[2].startswith("arrive")]
        heapq.heapify(self._events)

    # What is read

    def _read(self, run: Run) -> None:
        first = self.input[run.position]
        if first.stream is None:
            run.position += 1
            run.dispatcher.ended(str(first.number).encode())
            if self.plan.chunk_pause and self.rand.random() < 0.2:
                run.read_at = self.now + self.rand.uniform(0, self.plan.chunk_pause)
            return
        lane = run.lanes[first.stream]
        rows: list[Row] = []
        while not run.has_read_all and self.input[run.position].line == first.line:
            message = self.input[run.position]
            run.position += 1
            key = (message.row["id"],) if self.plan.streams[first.stream][0] else None
            row = Row(key, json.dumps(self._sent(message)).encode(), number=message.line, line=b"x")
            if not message.is_odd:
                rows.append(row)
                continue
            self._put(run, lane, rows)
            rows = []
            run.dispatcher.reject(lane, row, Reason.ENCODING, "odd", "It can't be sent")
            if run.dispatcher.error is not None:
                return
        self._put(run, lane, rows)

    def _sent(self, message: Message) -> dict[str, Any] | None:
        row, blur = message.row, self.plan.blur
        return {"id": row["id"], "n": row["n"] + blur} if blur and row else row

    def _put(self, run: Run, lane: Lane, rows: list[Row]) -> None:
        if rows:
            run.dispatcher.put(lane, rows, self.now)

    # What is written

    def _write(self, run: Run) -> None:
        if run.writing or not run.can_write:
            return
        rejects = run.dispatcher.rejects()
        if rejects and self._is_due(self.plan.disk_full_at, run):
            # Some of them may be on disk; nobody knows which.
            self._note(run, rejects[: len(rejects) // 2])
            self._fail_to_write(run)
            return
        if rejects and self.plan.writer_delay:
            run.writing = rejects
            self._at(self.now + self.plan.writer_delay, "written", run, rejects)
            return
        if rejects:
            self._written(run, rejects)
        if self._is_due(self.plan.pipe_closed_at, run):
            if run.dispatcher.state(self.now) is not None:
                self._fail_to_write(run)
            return
        state = run.dispatcher.state(self.now)
        if state is not None:
            self._state(run, int(state))

    @staticmethod
    def _fail_to_write(run: Run) -> None:
        run.can_write = False
        run.dispatcher.fail(OutputError("full or closed"), run.world.now)

    def _written(self, run: Run, rejects: Sequence[Rejection]) -> None:
        run.writing = ()
        self._note(run, rejects)
        run.dispatcher.written(rejects)

    def _note(self, run: Run, rejects: Sequence[Rejection]) -> None:
        for reject in rejects:
            number = json.loads(reject.row.body)["n"] - self.plan.blur
            if number in run.rejected:
                raise ViolationError(f"record {number} was rejected twice")
            run.rejected.add(number)
            self.rejected[number] = reject.cause.reason.value
            promises.check_reject(self, self.input[number - 1], reject.cause.reason.value)

    def _state(self, run: Run, number: int) -> None:
        if run.states and number <= run.states[-1]:
            raise ViolationError(f"STATE {number} after {run.states[-1]}")
        run.states.append(number)
        self.states.append(number)
        promises.check_state(self, number)

    # The wire

    def _at(self, when: float, what: str, *rest: object) -> None:
        heapq.heappush(self._events, (when, next(self._sequence), what, rest))

    def _next_event(self) -> None:
        self.now, _, what, rest = heapq.heappop(self._events)
        if what == "arrive":
            self._arrive(*rest)
        elif what == "arrive late":
            self.server.carry_out(*rest, self.now)
        elif what == "written":
            self._written(*rest)
        else:
            self._answered(*rest)

    def _answered(self, run: Run, request: Request, answer: object) -> None:
        if run.is_dead:
            return
        run.free += 1
        if isinstance(answer, ThrottledError) and answer.retry_after_seconds is not None:
            run.paused_until = self.now + answer.retry_after_seconds
        run.dispatcher.done(request, answer, self.now)

    def _arrive(self, run: Run, request: Request, wire: Wire) -> None:
        plan, is_v2 = self.plan, wire.version == "v2"
        if is_v2 and wire.key and self._has_met_its_copy(run, request, wire):
            return
        if plan.hanging and self.rand.random() < plan.hanging:
            given_up_at = self.now + CLIENT_TIMEOUT_SECONDS
            latest = max(0.0, plan.listing_lag_setting - plan.list_lag - 0.1)
            late_at = given_up_at + self.rand.uniform(0, plan.lateness if is_v2 else latest)
            self._at(late_at, "arrive late", request, wire)
            self._at(given_up_at, "answer", run, request, LostAnswerError("timeout", **FACTS))
            if is_v2 and wire.key:
                self.server.in_progress[request.lane.destination.dataset_id, wire.key] = late_at
            return
        answer = self.server.serve(request, wire, self.now)
        self._at(self.now + self.rand.uniform(*plan.latency) / 2, "answer", run, request, answer)

    def _has_met_its_copy(self, run: Run, request: Request, wire: Wire) -> bool:
        """Whether a request found another with its idempotency key that is still being carried out."""
        done_at = self.server.in_progress.get((request.lane.destination.dataset_id, wire.key), 0.0)
        if done_at <= self.now or self.plan.meeting == "unaware":
            return False
        if self.plan.meeting == "conflict":
            answer = self.server.v2.conflict(request, wire, self.now)
            self._at(self.now + self.rand.uniform(*self.plan.latency) / 2, "answer", run, request, answer)
        elif done_at < self.now + CLIENT_TIMEOUT_SECONDS:
            self._at(done_at + 1e-6, "arrive", run, request, wire)
        else:
            # It is carried out after the first, when nobody listens any more.
            self._at(done_at + 1e-6, "arrive late", request, wire)
            lost = LostAnswerError("timeout", **FACTS)
            self._at(self.now + CLIENT_TIMEOUT_SECONDS, "answer", run, request, lost)
        return True


def main() -> None:
    """Replay one seed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    seed = int(sys.argv[1])
    world = World(seed, plan_of(seed, *sys.argv[2:]))
    sys.stdout.write(f"{world.plan}\n")
    world.check()
    sys.stdout.write(
        f"Fine: runs of {', '.join(world.versions)}; STATEs {world.states}, errors {world.errors}, "
        f"{len(world.taken)} requests.\n"
    )


if __name__ == "__main__":
    main()
