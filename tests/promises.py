"""What has to hold in every simulated world, whatever happens in it.

No STATE ahead of durable outcomes; rows with keys as the last writer left them, never an older one on top of
a newer one; rows without keys exactly once; sums that add up; a budget and a memory that are kept; no error
without a cause in the world.

Under API v2 more: whatever happens to a run, none of its rows is stored twice or out of order, nothing is
looked for and nothing waited for after a lost answer, and no row is sent again that the API has named.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from target_databox.api.errors import IdempotencyError
from target_databox.delivery.errors import (
    LoadingError,
    RejectedError,
    RejectsLimitError,
    UnconfirmedError,
)

if TYPE_CHECKING:
    from target_databox.delivery.batches import Lane
    from tests.simulated_databox import SimulatedDataset
    from tests.simulated_plan import Plan
    from tests.simulation import Run, World

DEADLINE_SECONDS = 20.0
# The row that was read last, its key and its place in a checkpoint are on top.
ONE_LINE_BYTES = 20_000
UNSURE = ("suspect", "failed")


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
    dataset = world.server.datasets[f"d{message.stream}"]
    newest, number = message.row["id"], message.number
    is_keyed = world.plan.streams[message.stream][0]
    if dataset.keyed:
        found = dataset.rows.get(newest, {"n": 0})["n"]
        # A bad row is superseded by a newer one of its key that is stored, or else it had to be rejected.
        return bool(found >= number if message.is_good else found > number)
    if message.is_good and number in dataset.logged:
        return True
    return is_keyed and any(row["id"] == newest and row["n"] > number for row in dataset.log)


def check_reject(world: World, message: Message, reason: str) -> None:
    """No good row is rejected by an API that judges it the same way each time."""
    if message.is_good and reason in ("refused", "rejected") and not world.plan.fickle:
        raise ViolationError(f"record {message.number} is good, and was rejected")


def check_bounds(run: Run) -> None:
    """Window and memory are kept; under v2 no lost answer is looked for, and nothing held for it."""
    plan, dispatcher = run.world.plan, run.dispatcher
    if run.version == "v2" and any(lane.search or lane.copies or lane.holds for lane in run.lanes):
        raise ViolationError("a lost answer is looked for, or waited for")
    if dispatcher.unconfirmed_batches > plan.window:
        raise ViolationError(f"{dispatcher.unconfirmed_batches} batches in a window of {plan.window}")
    most = plan.unconfirmed_bytes + ONE_LINE_BYTES * plan.line_rows
    if dispatcher.held_bytes > most:
        raise ViolationError(f"{dispatcher.held_bytes} bytes are held, {most} allowed")


def check_haste(run: Run) -> None:
    """A run of v2 that has nothing left to do does not wait at its end."""
    dispatcher = run.dispatcher
    is_idle = run.free == run.world.plan.workers and not run.writing and run.can_write
    if run.version == "v2" and run.has_read_all and is_idle and not dispatcher.open_rows:
        raise ViolationError("every row has its outcome, and the run goes on")


def check_budget(run: Run) -> None:
    """No second and no hour of a run holds more requests than it may."""
    plan = run.world.plan
    for limit, window in ((plan.per_second, 1.0 - 1e-9), (plan.per_hour, 3600.0 - 1e-6)):
        for when, later in zip(run.taken, run.taken[int(limit) :], strict=False):
            if later - when < window:
                raise ViolationError(f"more requests in {window:.0f} s than {limit:g}")


def check_end(run: Run) -> None:
    """A run that ends has done what it could."""
    world, plan, dispatcher = run.world, run.world.plan, run.dispatcher
    if dispatcher.error is None and not run.is_stopped:
        for lane in run.lanes:
            if lane.counts.open or not _is_accounted(world, lane):
                raise ViolationError(f"counts do not add up: {lane.counts}")
        if not run.is_finished:
            raise ViolationError(f"the last STATE was not written: {world.states[-1:]}")
    deadline = run.began_at + (plan.stop_at or 0.0) + DEADLINE_SECONDS
    if run.is_stopped and not run.has_napped and world.now > deadline + 0.001:
        raise ViolationError("ended after its deadline")
    if isinstance(dispatcher.error, RejectedError) and not run.is_stopped:
        _check_before_reject(run)


def _is_accounted(world: World, lane: Lane) -> bool:
    """Whether confirmed rows are those that were appended or overwritten, where nothing went wrong."""
    plan, counts = world.plan, lane.counts
    goes_wrong = plan.lost_before + plan.lost_after + plan.hanging + plan.failing + plan.stuck
    is_named = lane.destination.resends_are_recognised and _names_all(plan)
    is_told = plan.refuses or lane.destination.resends_safely or is_named
    if goes_wrong or plan.fickle or plan.nap or (plan.bad and not is_told):
        return True
    return counts.confirmed == counts.appended + counts.overwritten + counts.unknown_counts


def _names_all(plan: Plan) -> bool:
    """Whether the API names every row that it rejects beyond doubt, and rejects no others with them."""
    return plan.names in ("all", "twice") and not (plan.rejects_whole or plan.blur)


def _check_before_reject(run: Run) -> None:
    """The run ended at a record: what came before it is stored, and the STATE before it written."""
    world = run.world
    world.server.land(world.now)
    cutoff = run.dispatcher.cutoff or 0
    is_of_row = "not stored" not in str(run.dispatcher.error) and not (
        world.plan.failing or world.plan.fickle
    )
    for message in world.input:
        if message.line == cutoff and not (is_of_row and message.is_good):
            # The one that was rejected, or, where good ones are too, perhaps that one.
            break
        if message.line <= cutoff and not has_outcome(world, message):
            raise ViolationError(f"record {message.number} before the rejected {cutoff} has no outcome")
    due = max((each.number for each in world.input if each.line < cutoff and each.stream is None), default=0)
    if due > (world.states or [0])[-1]:
        raise ViolationError(f"STATE {due} before the rejected record {cutoff} was not written")


def check_error(world: World, error: BaseException) -> None:
    """No run fails without a cause in its world."""
    plan = world.plan
    if isinstance(error.__cause__, IdempotencyError):
        raise ViolationError("an idempotency key was used for other input") from error
    is_v2 = world.versions[-1] == "v2"
    outage = plan.down or plan.lists_down
    lossy = plan.lost_before + plan.lost_after + plan.hanging
    is_broken = lossy >= 0.5 or plan.nap
    is_unsafe = not all(keyed and known for keyed, known in plan.streams)
    is_unclear = plan.undated or plan.stamps != "exact" or plan.second_writer or plan.dated_from
    # What an earlier run made just before may not be listed yet.
    is_unclear = is_unclear or world.runs > 1 or plan.leftovers or plan.overwrite
    # Where nobody knows the word for done, the list shows everything as pending.
    is_wordless = plan.done_word == "unknown" and (lossy or plan.confirmation == "status")
    is_confused = is_unsafe and lossy and (is_unclear or plan.hanging)
    is_rejecting = plan.bad or plan.odd or plan.failing or plan.fickle
    causes = {
        RejectedError: not plan.keeps_rejects and is_rejecting,
        RejectsLimitError: plan.rejects_limit < plan.rows and is_rejecting,
        LoadingError: outage or is_broken or plan.key_refused_at is not None,
        UnconfirmedError: plan.stuck or plan.nap or is_wordless or (not is_v2 and (is_broken or is_confused)),
    }
    if not causes.get(type(error), plan.disk_full_at or plan.pipe_closed_at):  # type: ignore[call-overload]
        raise ViolationError(f"a run failed without a cause: {error!r}") from error


def check_each_run(world: World) -> None:
    """Under v2 every single run keeps order and sends nothing in vain, however it ends."""
    plan = world.plan
    # Rows with keys may be sent again also when their idempotency key is forgotten, after a long nap.
    is_sent_once = not (plan.failing or plan.nap) and (_names_all(plan) or not (plan.bad or plan.fickle))
    for index in range(len(plan.streams)):
        dataset = world.server.datasets[f"d{index}"]
        unsure = _unsure(world, index)
        went_back = {each for each in _of_v2(world, dataset.went_back_within) if each[0] not in unsure}
        if went_back and (plan.keeps_rejects or not plan.failing):
            raise ViolationError(
                f"an older row of the same run landed on a newer one (key, run): {went_back}"
            )
        if not dataset.keyed and (doubled := _of_v2(world, dataset.doubled)):
            raise ViolationError(f"rows twice in d{index} (row, run): {doubled}")
        if is_sent_once and (again := _of_v2(world, dataset.accepted_again)):
            raise ViolationError(f"rows in two ingestions of d{index} (row, run): {again}")


def _of_v2(world: World, found: set[tuple[Any, int]]) -> set[tuple[Any, int]]:
    return {(what, run) for what, run in found if run and world.versions[run - 1] == "v2"}


def check_order(world: World) -> None:
    """As long as runs end normally, no older row lands on a newer one, and none without a key lands twice."""
    if not world.is_orderly:
        return
    for index, (keyed, known) in enumerate(world.plan.streams):
        dataset = world.server.datasets[f"d{index}"]
        unsure = _unsure(world, index)
        went_back = {key for key in dataset.went_back if key >= 0} - unsure
        # Where the run ended at a row whose ingestions failed, it is not in the file of rejected ones.
        if went_back and (world.plan.keeps_rejects or not world.plan.failing):
            raise ViolationError(f"an older row landed on a newer one in the keys {went_back}")
        if not keyed and known:
            numbers = [row["n"] for row in dataset.log if row["n"] > 0 and row["n"] not in world.rejected]
            if len(numbers) > len(set(numbers)):
                raise ViolationError(f"rows twice in d{index}: {sorted(numbers)}")


def _unsure(world: World, stream: int) -> set[Any]:
    """Keys of rows of which nobody knows whether they are stored."""
    # What an API rejects that judges a row anew at each try may have been stored by another one.
    unsure = (*UNSURE, "rejected") if world.plan.fickle else UNSURE
    return {
        each.row["id"]
        for each in world.input
        if each.row and each.stream == stream and world.rejected.get(each.number) in unsure
    }


def check_rows(world: World) -> None:
    """In the end every row has its outcome, and the datasets hold what they should."""
    for index, (keyed, _) in enumerate(world.plan.streams):
        dataset = world.server.datasets[f"d{index}"]
        mine = [message for message in world.input if message.stream == index]
        if not mine:
            continue
        for message in mine:
            if not has_outcome(world, message):
                raise ViolationError(f"record {message.number} has no outcome")
        good = [each for each in mine if each.is_good and each.number not in world.rejected]
        if dataset.keyed:
            _check_keyed(world, dataset, good, _unsure(world, index))
        elif not keyed:
            _check_keyless(world, dataset, good)


def _check_keyed(world: World, dataset: SimulatedDataset, good: list[Message], unsure: set[Any]) -> None:
    wanted = {each.row["id"]: each.number for each in good if each.row}
    found = {
        key: row["n"]
        for key, row in dataset.rows.items()
        if key >= 0 and (row["n"] > 0 or world.plan.overwrite)
    }
    # A row whose ingestions failed may have been stored by a copy whose answer was lost.
    differing = {key for key, _ in set(wanted.items()) ^ set(found.items())} - unsure
    if differing:
        raise ViolationError(f"wanted and found differ in the keys {differing}")


def _check_keyless(world: World, dataset: SimulatedDataset, good: list[Message]) -> None:
    wanted = sorted(each.number for each in good)
    found = sorted(
        row["n"]
        for row in dataset.log
        if row["n"] not in world.rejected and row["id"] >= 0 and (row["n"] > 0 or world.plan.overwrite)
    )
    if world.runs > 1:
        # What no STATE has passed is loaded again.
        found = sorted(set(found))
    if wanted != found:
        raise ViolationError(f"rows missing or twice: {set(wanted) ^ set(found)}")
