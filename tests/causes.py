"""Why a simulated run may fail: each kind of error with what in its world can cause it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import IdempotencyError, KeysDifferError
from target_databox.delivery.errors import (
    LoadingError,
    RejectedError,
    RejectsLimitError,
    UnconfirmedError,
)
from target_databox.singer.messages import InputError
from tests.promises import ViolationError, is_choosy

if TYPE_CHECKING:
    from tests.one_run import OneRun


def check_error(run: OneRun, error: BaseException) -> None:
    """No run fails without a cause in its world."""
    if isinstance(error.__cause__, IdempotencyError):
        raise ViolationError("an idempotency key was used for other input") from error
    writes_fail = run.settings.disk_full_at or run.settings.pipe_closed_at
    if not run.world.causes(run).get(type(error), writes_fail):
        raise ViolationError(f"a run failed without a cause: {error!r}") from error


def causes(run: OneRun) -> dict[type[BaseException], object]:
    """By error, whether the world is a cause for a run to fail with it."""
    world, given = run.world, run.settings
    plan, habits = world.plan, world.plan.habits
    outage = plan.down or plan.lists_down or habits.gone
    lossy = plan.lost_before + plan.lost_after + plan.hanging + habits.locked_seconds
    is_broken = lossy - habits.locked_seconds >= 0.5 or given.nap or given.is_impatient
    is_unclear = plan.undated or plan.stamps != "exact" or plan.second_writer or plan.dated_from
    # What an earlier run made just before may not be listed yet.
    is_unclear = is_unclear or world.runs > 1 or plan.leftovers or plan.overwrite
    is_other = bool(plan.each_run)
    is_unclear = is_unclear or (is_other and plan.is_there)
    # Where nobody knows the word for done, the list shows everything as pending.
    is_wordless = plan.done_word == "unknown" and (lossy or given.confirmation == "status")
    is_confused = not run.resends_safely and lossy and (is_unclear or plan.hanging)
    is_rejecting = plan.bad or plan.odd or plan.failing or plan.fickle or is_choosy(world)
    is_v2 = run.version == "v2"
    is_forbidden = given.overwrite and habits.purges == "forbidden"
    return {
        RejectedError: not given.keeps_rejects and is_rejecting,
        RejectsLimitError: given.rejects_limit < plan.rows and is_rejecting,
        LoadingError: outage or is_broken or given.key_refused_at is not None or is_forbidden,
        UnconfirmedError: plan.stuck
        or is_wordless
        or habits.repeated_ids
        or habits.gone
        or given.nap
        or given.is_impatient
        or (not is_v2 and (is_broken or is_confused)),
        KeysDifferError: is_other and run.conflicts,
        InputError: is_other and any(each.later for each in given.streams),
    }
