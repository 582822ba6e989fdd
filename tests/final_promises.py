"""What has to hold of a simulated world once all of its runs have ended and everything has landed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.promises import ViolationError, check_state, has_outcome, names_all

if TYPE_CHECKING:
    from tests.promises import Message
    from tests.simulated_dataset import SimulatedDataset
    from tests.simulation import World

UNSURE = ("suspect", "failed")
MOST_NAMED = 10


def check_bookmark(world: World) -> None:
    """What the orchestrator's bookmark is past has a durable outcome, whatever has landed since."""
    if world.bookmarks:
        check_state(world, world.bookmarks[-1])


def check_each_run(world: World) -> None:
    """Under v2 every single run keeps order and sends nothing in vain, however it ends."""
    plan = world.plan
    # Rows with keys may be sent again also when their idempotency key is forgotten, after a long nap.
    habits = plan.habits
    has_naps = any(each.nap for each in plan.each_run) or plan.nap
    is_rejecting = plan.bad or plan.fickle or habits.is_choosy
    is_sent_once = not (plan.failing or has_naps or habits.full_rows is not None)
    is_sent_once = is_sent_once and bool(names_all(plan) or not is_rejecting)
    for index in range(len(plan.streams)):
        if index in world.crossed:
            continue
        dataset = world.dataset(index)
        if dataset.keyed and (repeated := {each for each in dataset.repeated if _is_of(world, each[1])}):
            raise ViolationError(f"a key twice in one request (key, run): {repeated}")
        unsure = _unsure(world, index)
        went_back = {each for each in _of_v2(world, dataset.went_back_within) if each[0] not in unsure}
        if went_back and (_keeps_rejects(world) or not _may_fail(world)):
            raise ViolationError(
                f"an older row of the same run landed on a newer one (key, run): {went_back}"
            )
        if not dataset.keyed and (doubled := _of_v2(world, dataset.doubled)):
            raise ViolationError(f"rows twice in d{index} (row, run): {doubled}")
        if is_sent_once and (again := _of_v2(world, dataset.accepted_again)):
            raise ViolationError(f"rows in two ingestions of d{index} (row, run): {again}")


def _of_v2(world: World, found: set[tuple[Any, int]]) -> set[tuple[Any, int]]:
    return {
        (what, run)
        for what, run in found
        if _is_of(world, run) and world.versions[run - world.first_run] == "v2"
    }


def _is_of(world: World, run: int) -> bool:
    return world.first_run <= run < world.first_run + world.runs


def _keeps_rejects(world: World) -> bool:
    """Whether every rejected record is in a file, so that it is known."""
    if world.is_beside and world.plan.beside_plan is not None:
        return world.plan.beside_plan.keeps_rejects
    runs = world.plan.each_run[: world.runs]
    return all(each.keeps_rejects for each in runs) if runs else world.plan.keeps_rejects


def _may_fail(world: World) -> bool:
    """Whether a good row may be stored, and all the same rejected by another try."""
    return bool(world.plan.failing or world.plan.fickle or world.plan.habits.full_rows is not None)


def check_order(world: World) -> None:
    """As long as runs end normally, no older row lands on a newer one, and none without a key lands twice."""
    if not world.is_orderly:
        return
    for index, (keyed, known) in enumerate(world.plan.streams):
        if index in world.crossed:
            continue
        dataset = world.dataset(index)
        unsure = _unsure(world, index)
        went_back = {key for key in dataset.went_back if world.owns(key)} - unsure
        # Where the run ended at a row whose ingestions failed, it is not in the file of rejected ones.
        if went_back and (_keeps_rejects(world) or not _may_fail(world)):
            raise ViolationError(f"an older row landed on a newer one in the keys {went_back}")
        is_keyless = not dataset.keyed if world.plan.each_run else not keyed and known
        if is_keyless:
            mine = {each.row["n"]: each.number for each in world.input if each.row}
            twice = {
                number
                for number, copies in dataset.copies.items()
                if copies > dataset.equals[number] and number in mine and number not in world.rejected
            }
            if twice:
                raise ViolationError(f"rows twice in d{index}: {sorted(twice)}")


def _unsure(world: World, stream: int) -> set[Any]:
    """Keys of rows of which nobody knows whether they are stored."""
    # What an API rejects that judges a row anew at each try may have been stored by another one.
    habits = world.plan.habits
    is_fickle = world.plan.fickle or habits.full_rows is not None
    # As may one that another run has read under another SCHEMA.
    is_fickle = is_fickle or (habits.is_choosy and world.runs > 1)
    unsure = (*UNSURE, "rejected", "refused") if is_fickle else UNSURE
    return {
        each.row["id"]
        for each in world.input
        if each.row and each.stream == stream and world.rejected.get(each.number) in unsure
    }


def check_rows(world: World) -> None:
    """In the end every row has its outcome, and the datasets hold what they should."""
    for index, (keyed, _) in enumerate(world.plan.streams):
        dataset = world.dataset(index)
        mine = [message for message in world.input if message.stream == index]
        if not mine:
            continue
        for message in mine:
            if not has_outcome(world, message):
                raise ViolationError(f"record {message.number} has no outcome")
        if index in world.crossed:
            continue
        good = [each for each in mine if each.is_good and each.number not in world.rejected]
        if dataset.keyed:
            _check_keyed(world, dataset, good, _unsure(world, index))
        elif not keyed or world.plan.each_run:
            _check_keyless(world, dataset, mine, good)


def _check_keyed(world: World, dataset: SimulatedDataset, good: list[Message], unsure: set[Any]) -> None:
    wanted = {each.row["id"]: each.row["n"] for each in good if each.row}
    found = {
        key: row["n"]
        for key, row in dataset.rows.items()
        if world.owns(key) and (row["n"] > 0 or _is_emptied(world))
    }
    # A row whose ingestions failed may have been stored by a copy whose answer was lost.
    differing = {key for key, _ in set(wanted.items()) ^ set(found.items())} - unsure
    if differing:
        raise ViolationError(f"wanted and found differ in the keys {sorted(differing)[:MOST_NAMED]}")


def _is_emptied(world: World) -> bool:
    """Whether what was there before has been purged."""
    return world.plan.overwrite and not world.plan.each_run


def _check_keyless(world: World, dataset: SimulatedDataset, mine: list[Message], good: list[Message]) -> None:
    rejected = {each.row["n"] for each in mine if each.row and each.number in world.rejected}
    wanted = Counter(each.row["n"] for each in good if each.row)
    only_rejected = rejected - set(wanted)
    found = Counter(
        row["n"]
        for row in dataset.log
        if row["n"] not in only_rejected
        and world.owns(row.get("id", row["n"]))
        and (row["n"] > 0 or _is_emptied(world))
    )
    for number in wanted.keys() | found.keys():
        # What no STATE has passed is loaded again; of equal rows, one that is rejected may be stored as well.
        is_more_fine = world.runs > 1 or number in rejected
        if found[number] < wanted[number] or (found[number] > wanted[number] and not is_more_fine):
            raise ViolationError(f"rows missing or twice: {number}, {found[number]} times")
        if number not in wanted:
            raise ViolationError(f"a row that should not be there: {number}")
