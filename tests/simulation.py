"""Runs of the dispatcher towards a simulated Databox under a clock that never ticks: everything by seed.

`python -m tests.simulation SEED` replays one seed and prints what happened. What has to hold of every seed is
checked while it is played: no STATE ahead of durable outcomes, never two versions of a key out of order, rows
without keys exactly once, sums that add up, a budget that is kept, an end.
"""

from __future__ import annotations

import heapq
import itertools
import json
import logging
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_databox.api.errors import LostAnswerError
from target_databox.api.pacing import Budget
from target_databox.delivery.batches import Cut, Row, body
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.errors import DeliveryError, LoadingError, RejectedError, UnconfirmedError
from target_databox.delivery.model import Destination, Policy, PostRows
from tests.simulated_databox import (
    CLIENT_TIMEOUT_SECONDS,
    EPOCH,
    FACTS,
    NEVER_LANDS,
    Plan,
    SimulatedDatabox,
    SimulatedDataset,
    plan_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.delivery.model import Reject, Request

SHUTDOWN_SECONDS = 20.0
MOST_RUNS = 5


@dataclass
class Message:
    """One line of the simulated input: a row of a stream, or a STATE (`stream` None)."""

    number: int
    stream: int | None
    row: dict[str, Any] | None = None


class ViolationError(AssertionError):
    """A promise was broken."""


class Run:
    """One process: reads the input from a place, delivers it, writes STATEs."""

    def __init__(self, world: World, start: int) -> None:
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
                shutdown_seconds=SHUTDOWN_SECONDS,
                keeps_rejects=plan.keeps_rejects,
                rejects_limit=plan.rejects_limit,
            ),
            self.budget,
            wait=lambda tries, asked: (asked or 0.0) + world.rand.uniform(0, min(30.0, 0.5 * 2**tries)),
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
                )
            )
            for index, (keyed, known) in enumerate(plan.streams)
        ]
        self.began_at = world.now
        self.read_at = world.now
        self.free = plan.workers
        self.is_stopped = False
        self.is_dead = False
        self.rejected: set[int] = set()
        self.writing: Sequence[Reject] = ()


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
        self.last_run: Run | None = None
        self.input = self._input()
        self._mutate = mutate
        self._events: list[tuple[float, int, str, tuple[Any, ...]]] = []
        self._sequence = itertools.count()
        self._checked_to = 0

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

    @property
    def is_finished(self) -> bool:
        """Whether the last STATE of the input is written."""
        return self.states[-1:] == [self.input[-1].number]

    # The whole story

    def check(self) -> None:
        """Play all runs and check what stays true of all of them."""
        start = 0
        while True:
            error = self.play(start)
            if error is not None:
                self.errors.append(error)
                if not isinstance(error, DeliveryError):
                    raise error
            is_worth_another = error is None or isinstance(error, (UnconfirmedError, LoadingError))
            if self.is_finished or self.runs >= MOST_RUNS or not is_worth_another or self.plan.overwrite:
                break
            start = self._next_start()
        self.server.land(NEVER_LANDS / 2)
        self._check_budget()
        if self.is_finished:
            self._check_rows()

    def _next_start(self) -> int:
        done = self.states[-1] if self.states else 0
        # What a killed run sent less than the list's lag before can't be seen by the next one; and without
        # keys, less than the clock's tolerance before, it can't be told from what the next one lost.
        hidden_seconds = self.plan.list_lag + 6.0
        if self.plan.hanging:
            hidden_seconds += self.plan.listing_lag_setting
        later = self.now + max(self.rand.choice([6.0, 60.0]), hidden_seconds)
        while self._events and self._events[0][0] <= later:
            self.now, _, what, rest = heapq.heappop(self._events)
            self._happen(what, rest)
        self.now = later
        return next((index for index, each in enumerate(self.input) if each.number > done), len(self.input))

    # One run

    def play(self, start: int) -> BaseException | None:
        """One run from a place in the input to its end; returns why it failed."""
        self.runs += 1
        run = self.last_run = Run(self, start)
        if self._mutate is not None:
            self._mutate(run)
        refused_at = self.plan.key_refused_at if self.runs == 1 else None
        self.server.refuses_key_from = float("inf") if refused_at is None else refused_at
        for _ in range(200_000):
            if self._is_due(self.plan.crash_at, run):
                self._die(run)
                return None
            if self._is_due(self.plan.stop_at, run) and not run.is_stopped:
                run.is_stopped = True
                run.dispatcher.settle(self.now + SHUTDOWN_SECONDS)
            self._turn(run)
            if run.dispatcher.is_over(self.now):
                break
            self._sleep(run)
        else:
            raise ViolationError("the run does not end")
        self._end(run)
        return run.dispatcher.error

    def _is_due(self, at: float | None, run: Run) -> bool:
        return at is not None and self.runs == 1 and self.now - run.began_at >= at

    def _is_reading(self, run: Run) -> bool:
        return not run.is_stopped and run.dispatcher.error is None and run.position < len(self.input)

    def _turn(self, run: Run) -> None:
        """Everything that can be done at this moment."""
        now, dispatcher = self.now, run.dispatcher
        while self._is_reading(run) and run.read_at <= now and dispatcher.has_room:
            self._read(run)
        if run.position >= len(self.input):
            dispatcher.drain()
        dispatcher.server_time = EPOCH + now - 0.9
        while run.free:
            request = dispatcher.next(now)
            if request is None:
                break
            run.free -= 1
            self.taken.append(now)
            # Bytes are on the wire from here on, whatever becomes of the process.
            data = body(request.batch.rows) if isinstance(request, PostRows) else b""
            self._at(now + self.rand.uniform(*self.plan.latency) / 2, "arrive", run, request, data)
        self._write(run)

    def _sleep(self, run: Run) -> None:
        """Go on to the next moment at which something happens."""
        dispatcher = run.dispatcher
        if self._is_reading(run) and run.read_at <= self.now and dispatcher.has_room:
            # What was just written has made room.
            return
        wake_at = dispatcher.wake_at if run.free else dispatcher.deadline
        if not run.writing:
            wake_at = min(wake_at, dispatcher.output_at)
        if self._is_reading(run) and run.read_at > self.now:
            wake_at = min(wake_at, run.read_at)
        if self.runs == 1:
            for at in (self.plan.crash_at, None if run.is_stopped else self.plan.stop_at):
                wake_at = wake_at if at is None else min(wake_at, run.began_at + at)
        if self._events and self._events[0][0] <= wake_at:
            self.now, _, what, rest = heapq.heappop(self._events)
            self._happen(what, rest)
        elif wake_at == float("inf"):
            raise ViolationError(f"stuck at {self.now}: {dispatcher.mode}, open {dispatcher.open_rows}")
        else:
            self.now = max(wake_at, self.now + 1e-6)

    def _end(self, run: Run) -> None:
        dispatcher = run.dispatcher
        if run.writing:
            self._written(run, run.writing)
        last = dispatcher.state(self.now, last=True)
        if last is not None:
            self._state(int(last))
        if dispatcher.error is None and not run.is_stopped:
            for lane in run.lanes:
                if lane.counts.open:
                    raise ViolationError(f"counts do not add up: {lane.counts}")
            if not self.is_finished:
                raise ViolationError(f"the last STATE was not written: {self.states[-1:]}")
        deadline = run.began_at + (self.plan.stop_at or 0.0) + SHUTDOWN_SECONDS
        if run.is_stopped and self.now > deadline + 0.001:
            raise ViolationError("ended after its deadline")
        if isinstance(dispatcher.error, RejectedError) and not run.is_stopped:
            self._check_before_reject(run)
        dispatcher.close()
        self._die(run)

    def _die(self, run: Run) -> None:
        # What is on the wire still arrives; nobody hears the answer.
        run.is_dead = True
        self._events = [event for event in self._events if event[2].startswith("arrive")]
        heapq.heapify(self._events)

    def _read(self, run: Run) -> None:
        message = self.input[run.position]
        run.position += 1
        if message.stream is None or message.row is None:
            run.dispatcher.ended(str(message.number).encode())
            if self.plan.chunk_pause and self.rand.random() < 0.2:
                run.read_at = self.now + self.rand.uniform(0, self.plan.chunk_pause)
            return
        key = (message.row["id"],) if self.plan.streams[message.stream][0] else None
        row = Row(key, json.dumps(message.row).encode(), number=message.number, line=b"x")
        run.dispatcher.put(run.lanes[message.stream], [row], self.now)

    # What is written

    def _write(self, run: Run) -> None:
        if run.writing:
            return
        rejects = run.dispatcher.rejects()
        if rejects and self.plan.writer_delay:
            run.writing = rejects
            self._at(self.now + self.plan.writer_delay, "written", run, rejects)
            return
        self._written(run, rejects)
        state = run.dispatcher.state(self.now)
        if state is not None:
            self._state(int(state))

    def _written(self, run: Run, rejects: Sequence[Reject]) -> None:
        run.writing = ()
        for reject in rejects:
            if reject.row.number in run.rejected:
                raise ViolationError(f"record {reject.row.number} was rejected twice")
            run.rejected.add(reject.row.number)
            self.rejected[reject.row.number] = reject.verdict.reason
        run.dispatcher.written(rejects)

    def _state(self, number: int) -> None:
        self.server.land(self.now)
        if self.states and number <= self.states[-1]:
            raise ViolationError(f"STATE {number} after {self.states[-1]}")
        self.states.append(number)
        for message in self.input:
            if message.number > number:
                break
            if not self._has_outcome(message):
                raise ViolationError(f"STATE {number} is ahead of record {message.number}")

    def _has_outcome(self, message: Message) -> bool:
        if message.stream is None or message.row is None or message.number in self.rejected:
            return True
        dataset = self.server.datasets[f"d{message.stream}"]
        newest, number = message.row["id"], message.number
        is_keyed = self.plan.streams[message.stream][0]
        if dataset.keyed:
            found = dataset.rows.get(newest, {"n": 0})["n"]
            # A bad row is superseded by a newer one of its key that is stored, or else it had to be rejected.
            return bool(found > number if message.row.get("bad") else found >= number)
        if not message.row.get("bad") and number in dataset.logged:
            return True
        return is_keyed and any(row["id"] == newest and row["n"] > number for row in dataset.log)

    # The wire

    def _at(self, when: float, what: str, *rest: object) -> None:
        heapq.heappush(self._events, (when, next(self._sequence), what, rest))

    def _happen(self, what: str, rest: tuple[Any, ...]) -> None:
        if what == "arrive":
            self._arrive(*rest)
        elif what == "arrive late":
            self.server.carry_out(*rest, self.now)
        elif what == "written":
            self._written(*rest)
        else:
            run, request, answer = rest
            if not run.is_dead:
                run.free += 1
                run.dispatcher.done(request, answer, self.now)

    def _arrive(self, run: Run, request: Request, data: bytes) -> None:
        plan = self.plan
        if plan.hanging and self.rand.random() < plan.hanging:
            given_up_at = self.now + CLIENT_TIMEOUT_SECONDS
            patience = max(0.0, plan.listing_lag_setting - plan.list_lag - 0.1)
            self._at(given_up_at + self.rand.uniform(0, patience), "arrive late", request, data)
            self._at(given_up_at, "answer", run, request, LostAnswerError("timeout", **FACTS))
            return
        answer = self.server.serve(request, data, self.now)
        self._at(self.now + self.rand.uniform(*plan.latency) / 2, "answer", run, request, answer)

    # What holds at the end

    def _check_budget(self) -> None:
        if self.runs > 1:
            return
        for limit, window in ((self.plan.per_second, 1.0 - 1e-9), (self.plan.per_hour, 3600.0 - 1e-6)):
            for when, later in zip(self.taken, self.taken[int(limit) :], strict=False):
                if later - when < window:
                    raise ViolationError(f"more requests in {window:.0f} s than {limit:g}")

    def _check_before_reject(self, run: Run) -> None:
        """The run ended at a record: what came before it is stored, and the STATE before it written."""
        self.server.land(self.now)
        cutoff = run.dispatcher.cutoff or 0
        for message in self.input:
            if message.number < cutoff and not self._has_outcome(message):
                raise ViolationError(f"record {message.number} before the rejected {cutoff} has no outcome")
        due = max(
            (each.number for each in self.input if each.number < cutoff and each.stream is None), default=0
        )
        if due > (self.states or [0])[-1]:
            raise ViolationError(f"STATE {due} before the rejected record {cutoff} was not written")

    def _check_rows(self) -> None:
        for index, (keyed, _) in enumerate(self.plan.streams):
            dataset = self.server.datasets[f"d{index}"]
            mine = [message for message in self.input if message.stream == index]
            if not mine:
                continue
            for message in mine:
                if not self._has_outcome(message):
                    raise ViolationError(f"record {message.number} has no outcome")
            good = [m for m in mine if m.row and not m.row.get("bad") and m.number not in self.rejected]
            if dataset.keyed:
                self._check_keyed(dataset, good, mine)
            elif not keyed:
                self._check_keyless(dataset, good)

    def _check_keyed(self, dataset: SimulatedDataset, good: list[Message], mine: list[Message]) -> None:
        wanted = {m.row["id"]: m.number for m in good if m.row}
        found = {
            key: row["n"]
            for key, row in dataset.rows.items()
            if key >= 0 and (row["n"] > 0 or self.plan.overwrite)
        }
        # A row whose ingestions failed may have been stored by a copy whose answer was lost.
        unsure = {m.row["id"] for m in mine if m.row and self.rejected.get(m.number) in ("suspect", "failed")}
        differing = {key for key, _ in set(wanted.items()) ^ set(found.items())} - unsure
        if differing:
            raise ViolationError(f"wanted and found differ in the keys {differing}")

    def _check_keyless(self, dataset: SimulatedDataset, good: list[Message]) -> None:
        wanted = sorted(m.number for m in good)
        found = sorted(
            row["n"]
            for row in dataset.log
            if row["n"] not in self.rejected and row["id"] >= 0 and (row["n"] > 0 or self.plan.overwrite)
        )
        if self.runs > 1:
            # What no STATE has passed is loaded again.
            found = sorted(set(found))
        if wanted != found:
            raise ViolationError(f"rows missing or twice: {set(wanted) ^ set(found)}")


def main() -> None:
    """Replay one seed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    seed = int(sys.argv[1])
    world = World(seed)
    sys.stdout.write(f"{world.plan}\n")
    world.check()
    sys.stdout.write(
        f"Fine: {world.runs} runs, STATEs {world.states}, errors {world.errors}, "
        f"{len(world.taken)} requests.\n"
    )


if __name__ == "__main__":
    main()
