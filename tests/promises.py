"""What has to hold in every simulated world, whatever happens in it.

No STATE ahead of durable outcomes; rows with keys as the last writer left them, never an older one on top of
a newer one; rows without keys exactly once; sums that add up; a budget and a memory that are kept; no error
without a cause in the world.

Under API v2 more: whatever happens to a run, none of its rows is stored twice or out of order, nothing is
looked for and nothing waited for after a lost answer, and no row is sent again that the API has named.

Here is what holds while runs go on; `tests.final_promises` has what holds once all has settled, and
`tests.causes` why a run may fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_databox.delivery.errors import RejectedError

if TYPE_CHECKING:
    from target_databox.delivery.batches import Lane
    from tests.one_run import OneRun
    from tests.simulated_dataset import SimulatedDataset
    from tests.simulated_plan import Plan
    from tests.simulated_run import Run
    from tests.simulation import World

# The row that was read last, its key and its place in a checkpoint are on top.
ONE_LINE_BYTES = 20_000


@dataclass
class Message:
    """One message of the simulated input: a row of a stream, or a STATE (`stream` None).

    Attributes:
        number: Its place; several rows may be on one line.
        line: Place of its line.
        is_odd: Whether it can't be sent.
    """

    number: int
    line: int
    stream: int | None
    row: dict[str, Any] | None = None
    is_odd: bool = False

    @property
    def is_good(self) -> bool:
        """Whether it is a row that should be stored."""
        return self.row is not None and not self.is_odd and not self.row.get("bad")


class ViolationError(AssertionError):
    """A promise was broken."""


def check_state(world: World, number: int) -> None:
    """No STATE is ahead of durable outcomes."""
    world.server.land(world.now)
    for message in world.input:
        if message.number > number:
            break
        if not has_outcome(world, message):
            raise ViolationError(f"STATE {number} is ahead of record {message.number}")


def has_outcome(world: World, message: Message) -> bool:
    """Whether a message's outcome is durable."""
    if message.stream is None or message.row is None or message.number in world.rejected:
        return True
    dataset = world.dataset(message.stream)
    newest, number = message.row["id"], message.row["n"]
    if message.stream in world.crossed:
        # What was stored may have been replaced by another row that is the same to the dataset alone.
        return number in dataset.ever or _is_superseded_at_some_time(world, message)
    if dataset.keyed:
        found = dataset.rows.get(newest, {"n": 0})["n"]
        # A bad row is superseded by a newer one of its key that is stored, or else it had to be rejected.
        return bool(found >= number if message.is_good else found > number)
    if message.is_good and _is_stored(world, dataset, message):
        return True
    # A stream with keys, in a dataset without, which its runs can't know.
    is_keyed = world.plan.streams[message.stream][0] and not world.plan.each_run
    return is_keyed and any(row["id"] == newest and row["n"] > number for row in dataset.log)


def _is_stored(world: World, dataset: SimulatedDataset, message: Message) -> bool:
    """Whether a row without a key is stored, and each equal one before it is stored or rejected as well."""
    if message.row is None:
        return False
    number = message.row["n"]
    copies = dataset.copies[number]
    if dataset.equals[number] <= 1:
        return copies > 0
    equal = [each.number for each in world.input if each.row and each.row["n"] == number]
    rejected = sum(each in world.rejected for each in equal)
    return copies + rejected > equal.index(message.number)


def _is_superseded_at_some_time(world: World, message: Message) -> bool:
    ever = world.dataset(message.stream or 0).ever
    key = message.row["id"] if message.row else None
    return any(
        each.row["n"] in ever
        for each in world.input
        if each.row
        and each.stream == message.stream
        and each.number > message.number
        # By either key that a run may read the stream with.
        and (each.row["id"] - (key or 0)) % 4 == 0
    )


def check_reject(world: World, message: Message, reason: str) -> None:
    """No good row is rejected that the API itself has not found bad."""
    if not message.is_good or reason not in ("refused", "rejected") or message.row is None:
        return
    if message.row["n"] not in world.dataset(message.stream or 0).found_bad:
        raise ViolationError(f"record {message.number} is good, and was rejected")


def check_bounds(run: Run) -> None:
    """Window and memory are kept; under v2 no lost answer is looked for, and nothing held for it."""
    given, dispatcher = run.settings, run.dispatcher
    if run.version == "v2" and any(lane.search or lane.copies or lane.holds for lane in run.lanes):
        raise ViolationError("a lost answer is looked for, or waited for")
    if dispatcher.unconfirmed_batches > given.window:
        raise ViolationError(f"{dispatcher.unconfirmed_batches} batches in a window of {given.window}")
    most = given.unconfirmed_bytes + ONE_LINE_BYTES * run.world.plan.line_rows
    if dispatcher.held_bytes > most:
        raise ViolationError(f"{dispatcher.held_bytes} bytes are held, {most} allowed")


def check_haste(run: Run) -> None:
    """A run of v2 that has nothing left to do does not wait at its end."""
    dispatcher = run.dispatcher
    is_idle = run.free == run.settings.workers and not run.writing and run.can_write
    if run.version == "v2" and run.has_read_all and is_idle and not dispatcher.open_rows:
        raise ViolationError("every row has its outcome, and the run goes on")


def check_budget(run: Run) -> None:
    """No second and no hour of a run holds more requests than it may."""
    given = run.settings
    for limit, window in ((given.per_second, 1.0 - 1e-9), (given.per_hour, 3600.0 - 1e-6)):
        for when, later in zip(run.taken, run.taken[int(limit) :], strict=False):
            if later - when < window:
                raise ViolationError(f"more requests in {window:.0f} s than {limit:g}")


def check_end(run: Run) -> None:
    """A run that ends has done what it could."""
    world, given, dispatcher = run.world, run.settings, run.dispatcher
    if dispatcher.error is None and not run.is_stopped:
        for lane in run.lanes:
            if lane.counts.open or not _is_accounted(world, lane):
                raise ViolationError(f"counts do not add up: {lane.counts}")
        if run.failure is None and not run.is_finished:
            raise ViolationError(f"the last STATE was not written: {run.states[-1:]}")
        if run.failure is not None and run.last_state_read not in (None, *run.states[-1:]):
            raise ViolationError(f"the last STATE that was read was not written: {run.last_state_read}")
        if given.overwrite:
            _check_emptied(run)
    deadline = run.began_at + (given.stop_at or 0.0) + given.shutdown_seconds
    if run.is_stopped and not run.has_napped and world.now > deadline + 0.001:
        raise ViolationError("ended after its deadline")
    if isinstance(dispatcher.error, RejectedError) and not run.is_stopped:
        check_before_reject(run, dispatcher.cutoff or 0, str(dispatcher.error))


def _check_emptied(run: Run) -> None:
    """A run that has replaced what a dataset without keys held leaves each of its rows there once."""
    world = run.world
    world.server.land(world.now)
    for index, lane in run.lane_of.items():
        dataset = world.dataset(index)
        if dataset.keyed or index in world.crossed or not (lane.destination.purge and lane.counts.read):
            continue
        copies = dataset.copies.items()
        twice = {number for number, count in copies if number and count > dataset.equals.get(number, 1)}
        if twice:
            raise ViolationError(f"rows of before were not purged: {sorted(twice)}")


def _is_accounted(world: World, lane: Lane) -> bool:
    """Whether confirmed rows are those that were appended or overwritten, where nothing went wrong."""
    plan, counts = world.plan, lane.counts
    habits = plan.habits
    goes_wrong = plan.lost_before + plan.lost_after + plan.hanging + plan.failing + plan.stuck
    goes_wrong += bool(is_choosy(world) or habits.locked_seconds or habits.gone)
    is_named = lane.destination.resends_are_recognised and names_all(plan)
    is_told = plan.refuses or lane.destination.resends_safely or is_named
    has_napped = world.last_run is not None and world.last_run.settings.nap
    if goes_wrong or plan.fickle or has_napped or (plan.bad and not is_told):
        return True
    return counts.confirmed == counts.appended + counts.overwritten + counts.unknown_counts


def check_before_reject(run: OneRun, cutoff: int, said: str) -> None:
    """The run ended at a record: what came before it is stored, and the STATE before it written.

    Args:
        run: The run.
        cutoff: The line of that record.
        said: What the run said of it.
    """
    world = run.world
    world.server.land(world.now)
    is_of_row = "not stored" not in said and not (world.plan.failing or world.plan.fickle or is_choosy(world))
    for message in world.input:
        if message.line == cutoff and not (is_of_row and message.is_good):
            # The one that was rejected, or, where good ones are too, perhaps that one.
            break
        if message.line <= cutoff and not has_outcome(world, message):
            raise ViolationError(f"record {message.number} before the rejected {cutoff} has no outcome")
    due = max((each.number for each in world.input if each.line < cutoff and each.stream is None), default=0)
    before = [world.input[run.start - 1].number] if run.start else [0]
    if due > (run.states or before)[-1] and not run.hides_states:
        raise ViolationError(f"STATE {due} before the rejected record {cutoff} was not written")


def is_choosy(world: World) -> bool:
    """Whether the API may reject good rows, if only since a run reads them with other keys than it has."""
    return world.plan.habits.is_choosy or bool(world.crossed)


def names_all(plan: Plan) -> bool:
    """Whether the API names every row that it rejects beyond doubt, and rejects no others with them."""
    is_certain = not (plan.rejects_whole or plan.blur or plan.habits.twins)
    return plan.names in ("all", "twice") and is_certain
