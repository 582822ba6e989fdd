"""Runs of the dispatcher towards a simulated Databox under a clock that never ticks: everything by seed.

`python -m tests.simulation SEED [v1, v2, both or sequences]` replays one seed and prints what happened. What
has to hold of every seed is checked while it is played, see `tests.promises`.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import random
import sys
from typing import TYPE_CHECKING, Any

from target_databox.api.errors import LostAnswerError, SetupError, ThrottledError
from target_databox.delivery.errors import DeliveryError, LoadingError, UnconfirmedError
from target_databox.delivery.rejections import Reason
from target_databox.delivery.requests import PostRows, Purge
from target_databox.singer.messages import InputError
from tests import causes, final_promises, promises
from tests.promises import ViolationError
from tests.simulated_databox import CLIENT_TIMEOUT_SECONDS, EPOCH, FACTS, NEVER_LANDS, SimulatedDatabox, Wire
from tests.simulated_input import input_of
from tests.simulated_plan import plan_of
from tests.simulated_run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.delivery.batches import Lane
    from target_databox.delivery.rejections import Rejection
    from target_databox.delivery.requests import Request
    from target_databox.delivery.rows import Row
    from tests.one_run import OneRun
    from tests.promises import Message
    from tests.simulated_dataset import SimulatedDataset
    from tests.simulated_plan import Plan
    from tests.simulated_runs import RunPlan

logger = logging.getLogger(__name__)

MOST_RUNS = 5
# Where numbers, keys and runs of a world begin that is beside another one.
BESIDE_FIRST = 1_000_000


class OutputError(OSError):
    """A full disk, or a pipe that nobody reads from any more."""


class Timeline:
    """One clock and what is still to happen, for all runs that go on at the same time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self.sequence = itertools.count()


class World:
    """The input, the server, and one run after another.

    Args:
        seed: What happens.
        plan: The world, if it is not the seed's own.
        mutate: Breaks a run on purpose.
        beside: The world whose server and clock this one shares, with an input of its own.

    Attributes:
        states: Every STATE that was written.
        bookmarks: Those that the orchestrator has; the next run begins after the last one.
        reached: Where in the input the furthest run ends.
        crossed: Streams that a run has read with other keys than their dataset has.
    """

    def __init__(
        self,
        seed: int,
        plan: Plan | None = None,
        *,
        mutate: Callable[[Run], object] | None = None,
        beside: World | None = None,
    ) -> None:
        self.plan = plan or plan_of(seed)
        self.rand = random.Random(seed * 31 + 1)  # noqa: S311
        self.is_beside = beside is not None
        self.server: SimulatedDatabox = (
            SimulatedDatabox(self.rand, self.plan, seed) if beside is None else beside.server
        )
        self.time: Timeline = Timeline() if beside is None else beside.time
        self.first_number = BESIDE_FIRST if self.is_beside else 0
        self.first_run = BESIDE_FIRST if self.is_beside else 1
        self.prefix = "e" if self.is_beside and self.plan.beside == "streams" else "d"
        self.states: list[int] = []
        self.bookmarks: list[int] = []
        self.rejected: dict[int, str] = {}
        self.taken: list[float] = []
        self.errors: list[BaseException] = []
        self.runs = 0
        self.versions: list[str] = []
        self.last_run: OneRun | None = None
        self.input = input_of(self.plan, self.rand, self.first_number)
        for index in range(len(self.plan.streams)):
            self.server.expect(self.dataset_id(index), index)
        self._tell_server()
        self.stops = self._stops()
        self.reached = 0
        self.crossed: set[int] = set()
        self.is_orderly = True
        self._mutate = mutate
        self._keys = itertools.count(self.first_number)
        self.beside = (
            World(seed + BESIDE_FIRST, self.plan, mutate=mutate, beside=self) if self._has_other else None
        )

    @property
    def _has_other(self) -> bool:
        return bool(self.plan.beside) and not self.is_beside

    @property
    def now(self) -> float:
        """The time, in seconds."""
        return self.time.now

    @now.setter
    def now(self, at: float) -> None:
        self.time.now = at

    def run_plan(self) -> RunPlan:
        """What the present run is given."""
        if self.is_beside and self.plan.beside_plan is not None:
            return self.plan.beside_plan
        return self.plan.run(self.runs)

    def dataset_id(self, stream: int) -> str:
        """The dataset of a stream."""
        return f"{self.prefix}{stream}"

    def dataset(self, stream: int) -> SimulatedDataset:
        """The dataset of a stream."""
        return self.server.datasets[self.dataset_id(stream)]

    def owns(self, key: int) -> bool:
        """Whether a key is one of its own input's, not another writer's."""
        if not self.plan.beside:
            return key >= 0
        return self.first_number <= key < self.first_number + BESIDE_FIRST

    def _tell_server(self) -> None:
        """What the server has to know of the rows: which are bad, and which are equal."""
        for each in self.input:
            if each.row is None or each.stream is None:
                continue
            if each.row.get("bad"):
                self.server.bad.add(each.row["n"])
            if not each.is_odd:
                self.dataset(each.stream).equals[each.row["n"]] += 1

    def message(self, number: int) -> Message:
        """The message at a place in the input."""
        return self.input[number - self.first_number - 1]

    def _stops(self) -> list[int]:
        """Where runs end: behind STATEs, and at the end of the input."""
        behind = [index + 1 for index, each in enumerate(self.input[:-1]) if each.stream is None]
        count = 0 if self.is_beside else min(len(behind), self.plan.sittings - 1)
        return [*sorted(self.rand.sample(behind, count)), len(self.input)]

    @property
    def is_finished(self) -> bool:
        """Whether the last STATE of the input is written."""
        return self.bookmarks[-1:] == [self.input[-1].number]

    def new_key(self) -> str:
        """An idempotency key: a UUID, as API v2 wants it."""
        return f"00000000-0000-4000-8000-{next(self._keys):012x}"

    # The whole story

    def check(self) -> None:
        """Play all runs and check what stays true of all of them."""
        start = 0
        while True:
            error = self.play(start)
            is_worth_another = error is None or isinstance(
                error, (UnconfirmedError, LoadingError, OutputError)
            )
            if self.plan.each_run:
                if self.runs >= len(self.plan.each_run):
                    break
            elif self.is_finished or self.runs >= MOST_RUNS or not is_worth_another:
                break
            start = self._next_start()
        self.server.land(NEVER_LANDS / 2)
        for world in filter(None, (self, self.beside)):
            final_promises.check_order(world)
            final_promises.check_each_run(world)
            final_promises.check_bookmark(world)
            if world.is_finished:
                final_promises.check_rows(world)

    def _judge(self, run: Run) -> BaseException | None:
        """What has to hold of the end of a run; returns why it failed."""
        promises.check_budget(run)
        return self._explained(run, run.dispatcher.error or run.failure)

    def _explained(self, run: OneRun, error: BaseException | None) -> BaseException | None:
        """Why a run failed, which must have a cause."""
        if error is not None:
            self.errors.append(error)
            if not isinstance(error, (DeliveryError, OutputError, SetupError, InputError)):
                raise error
            causes.check_error(run, error)
        return error

    def causes(self, run: OneRun) -> dict[type[BaseException], object]:
        """By error, whether the world is a cause for a run to fail with it."""
        return causes.causes(run)

    def _next_start(self) -> int:
        run = self.last_run
        assert run is not None
        upcoming = self.plan.run(self.runs + 1) if self.plan.each_run else None
        is_fresh = upcoming is not None and upcoming.overwrite
        is_clean = run.is_finished and not run.is_killed
        if self.plan.each_run and any(lane.holds for lane in run.lanes):
            # It was signalled before it was sure that nothing of it can land any more.
            is_clean = False
        if is_clean:
            # The next run starts right after a normal end, for whatever came into the source meanwhile.
            self.now += self.rand.choice([0.0, 0.1, 5.0])
            if not is_fresh and self._place_after_bookmark() == run.stop:
                return run.stop
        self.is_orderly = False
        if is_fresh or (self.plan.overwrite and upcoming is None):
            # Such a run writes no STATE that an orchestrator sees: the next one begins with the first row.
            self.bookmarks.clear()
        if self.plan.rewinds and len(self.bookmarks) > 1:
            self.bookmarks.pop()
        if not is_clean:
            self._let_land(run)
        return self._place_after_bookmark()

    def _place_after_bookmark(self) -> int:
        done = self.bookmarks[-1] if self.bookmarks else 0
        return next((index for index, each in enumerate(self.input) if each.number > done), len(self.input))

    def _let_land(self, run: OneRun) -> None:
        """Let time pass after a run that has left something on the way."""
        plan = self.plan
        # What a killed run sent less than the clock's tolerance before can't be told from what the next one
        # lost; with keys, less than the list's lag before, it can't be seen.
        hidden_seconds = 6.0 + abs(plan.stamp_skew)
        if any(keyed for keyed, _ in plan.streams) or plan.stamps == "landing" or plan.undated:
            hidden_seconds += plan.list_lag
        if plan.hanging:
            hidden_seconds += run.settings.listing_lag + CLIENT_TIMEOUT_SECONDS + plan.lateness
        self._wait_until(self.now + max(self.rand.choice([6.0, 60.0]), hidden_seconds))

    def _wait_until(self, moment: float) -> None:
        """Let nothing begin before a time."""
        while self.time.events and self.time.events[0][0] <= moment:
            self._next_event()
        self.now = moment

    # One run

    def play(self, start: int) -> BaseException | None:
        """One run from a place in the input to its end; returns why it failed."""
        runs = [self._begin(start)]
        if self.beside is not None and self.runs == self.plan.beside_run:
            runs.append(self.beside._begin(0))
        for _ in range(200_000):
            for run in runs:
                if not run.is_over:
                    run.world._step(run)
            going = [run for run in runs if not run.is_over]
            if not going:
                break
            self._pass_time(going)
        else:
            raise ViolationError("the run does not end")
        errors = [run.world._judge(run) for run in runs]
        return errors[0]

    def _begin(self, start: int) -> Run:
        self.runs += 1
        run = self.last_run = Run(self, start)
        self.crossed |= run.crossed
        self.reached = run.stop if self.plan.each_run else 0
        self.versions.append(run.version)
        if self._mutate is not None:
            self._mutate(run)
        refused_at = run.settings.key_refused_at
        if not self.is_beside:
            self.server.refuses_key_from = float("inf") if refused_at is None else self.now + refused_at
        return run

    def _step(self, run: Run) -> None:
        """Let a run do what it can at this moment."""
        if self._is_past(run.settings.crash_at, run):
            run.is_killed = True
            self._die(run)
            return
        if self._is_past(run.settings.stop_at, run) and not run.is_stopped:
            run.is_stopped = True
            run.dispatcher.settle(self.now + run.settings.shutdown_seconds)
        self._turn(run)
        promises.check_bounds(run)
        if run.dispatcher.is_over(self.now, can_write=run.can_write):
            self._end(run)
            return
        promises.check_haste(run)

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

    def _pass_time(self, runs: list[Run]) -> None:
        """Go on to the next moment at which something happens to one of the runs."""
        if any(self._may_read(run) for run in runs):
            # What was just written has made room.
            return
        for run in runs:
            nap = run.settings.nap
            if nap is not None and not run.has_napped and self._is_past(nap[0], run):
                self._nap(run, nap[1])
                return
        wake_at = min(run.world._wake_at(run) for run in runs)
        events = self.time.events
        if events and events[0][0] <= wake_at:
            self._next_event()
        elif wake_at == float("inf"):
            dispatcher = runs[0].dispatcher
            raise ViolationError(f"stuck at {self.now}: {dispatcher.mode}, open {dispatcher.open_rows}")
        else:
            self.now = max(wake_at, self.now + 1e-6)

    def _may_read(self, run: Run) -> bool:
        return self._is_reading(run) and run.read_at <= self.now and run.dispatcher.has_room

    def _wake_at(self, run: Run) -> float:
        dispatcher = run.dispatcher
        wake_at = dispatcher.wake_at if run.free else dispatcher.deadline
        if not run.writing and run.can_write:
            wake_at = min(wake_at, dispatcher.output_at)
        if self._is_reading(run) and run.read_at > self.now:
            wake_at = min(wake_at, run.read_at)
        return min(wake_at, self._next_scene(run))

    @staticmethod
    def _next_scene(run: Run) -> float:
        given = run.settings
        at = [
            given.crash_at,
            None if run.is_stopped else given.stop_at,
            None if run.has_napped or given.nap is None else given.nap[0],
        ]
        return run.began_at + min((each for each in at if each is not None), default=float("inf"))

    def _nap(self, run: Run, seconds: float) -> None:
        """The process stands still; what is on the wire arrives, and answers wait for it."""
        run.has_napped = True
        awake_at = self.now + seconds
        answers = [event for event in self.time.events if not event[2].startswith("arrive")]
        self._keep([event for event in self.time.events if event[2].startswith("arrive")])
        while self.time.events and self.time.events[0][0] <= awake_at:
            self._next_event()
        self.now = awake_at
        for _, number, what, rest in answers:
            heapq.heappush(self.time.events, (awake_at, number, what, rest))

    def _keep(self, events: list[tuple[float, int, str, tuple[Any, ...]]]) -> None:
        heapq.heapify(events)
        self.time.events = events

    def _end(self, run: Run) -> None:
        dispatcher = run.dispatcher
        if run.writing:
            self._written(run, run.writing)
        last = dispatcher.state(self.now, last=True) if run.can_write else None
        if last is not None:
            self._state(run, int(last))
        promises.check_end(run)
        self._note_end(run)
        dispatcher.close()
        self._die(run)

    def _die(self, run: Run) -> None:
        # What is on the wire still arrives; nobody hears the answer.
        run.is_dead = run.is_over = True
        self._keep(
            [each for each in self.time.events if each[2].startswith("arrive") or not each[3][0].is_dead]
        )

    def _note_end(self, run: Run) -> None:
        """What the orchestrator makes of the end of a run that overwrites, whose STATEs it never sees."""
        if self.plan.each_run and run.settings.overwrite and run.is_finished and run.dispatcher.error is None:
            self.bookmarks.append(self.input[run.stop - 1].number)

    # What is read

    def _read(self, run: Run) -> None:
        first = self.input[run.position]
        if first.stream is None:
            run.position += 1
            run.dispatcher.ended(str(first.number).encode())
            if self.plan.chunk_pause and self.rand.random() < 0.2:
                run.read_at = self.now + self.rand.uniform(0, self.plan.chunk_pause)
            return
        run.take_schema(first)
        if run.failure is not None:
            return
        lane = run.lane_of[first.stream]
        rows: list[Row] = []
        while not run.has_read_all and self.input[run.position].line == first.line:
            message = self.input[run.position]
            run.position += 1
            # It gets another outcome.
            self.rejected.pop(message.number, None)
            row = run.row(message)
            if not message.is_odd:
                rows.append(row)
                continue
            self._put(run, lane, rows)
            rows = []
            run.dispatcher.reject(lane, row, Reason.ENCODING, "odd", "It can't be sent")
            if run.dispatcher.error is not None:
                return
        self._put(run, lane, rows)

    def _put(self, run: Run, lane: Lane, rows: list[Row]) -> None:
        if rows:
            run.dispatcher.put(lane, rows, self.now)

    # What is written

    def _write(self, run: Run) -> None:
        if run.writing or not run.can_write:
            return
        rejects = run.dispatcher.rejects()
        if rejects and self._is_past(run.settings.disk_full_at, run):
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
        if self._is_past(run.settings.pipe_closed_at, run):
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
            self._reject(run, run.numbers[reject.row], reject.cause.reason.value)

    def _reject(self, run: OneRun, number: int, reason: str) -> None:
        if number in run.rejected:
            raise ViolationError(f"record {number} was rejected twice")
        run.rejected.add(number)
        self.rejected[number] = reason
        promises.check_reject(self, self.message(number), reason)

    def _state(self, run: OneRun, number: int) -> None:
        if run.states and number <= run.states[-1]:
            raise ViolationError(f"STATE {number} after {run.states[-1]}")
        run.states.append(number)
        self.states.append(number)
        if not (self.plan.each_run and run.settings.overwrite):
            self.bookmarks.append(number)
        promises.check_state(self, number)

    # The wire

    def _at(self, when: float, what: str, *rest: object) -> None:
        heapq.heappush(self.time.events, (when, next(self.time.sequence), what, rest))

    def _next_event(self) -> None:
        self.now, _, what, rest = heapq.heappop(self.time.events)
        if what == "arrive late":
            self.server.carry_out(*rest, self.now)
            return
        world = rest[0].world
        if what == "arrive":
            world._arrive(*rest)
        elif what == "written":
            world._written(*rest)
        else:
            world._answered(*rest)

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
            latest = max(0.0, run.settings.listing_lag - plan.list_lag - 0.1)
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
