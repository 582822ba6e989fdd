"""Runs one after another, and side by side, that differ in settings, SCHEMAs, fate and version of the API."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from tests.simulated_habits import habits_of
from tests.simulated_runs import Reading, RunPlan, usual_run

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from tests.simulated_plan import Plan

MOST_RUNS = 5
COLUMNS = ("c0", "c1", "c2")
TYPES = ("number", "string")


def add_sequence(plan: Plan, rand: random.Random) -> None:
    """Make a world of runs that change the version into one of runs that change everything.

    Args:
        plan: The world.
        rand: What happens.
    """
    pick = rand.choice
    count = pick([1, 2, 3, 3, 4, 5])
    plan.sittings = rand.randint(1, count)
    plan.rewinds = rand.random() < 0.2
    plan.is_there = plan.leftovers > 0 or plan.second_writer or rand.random() < 0.3
    plan.server_limit = pick([None, None, 8.0, 3.0])
    plan.stamp_skew = pick([plan.stamp_skew, plan.stamp_skew, -4.0, 4.0])
    plan.fickle = pick([0.0, 0.0, 0.0, 0.0, 0.02, 0.2])
    plan.beside = pick(["", "", "streams", "keys"])
    is_blind = plan.confirmation == "status"
    is_lossy = bool(plan.lost_before or plan.lost_after or plan.hanging)
    plan.habits = habits_of(rand, is_blind=is_blind, is_lossy=is_lossy)
    if plan.beside == "keys":
        # Of rows without known keys, nobody can tell whose a lost ingestion is.
        plan.streams = tuple((True, known) for _, known in plan.streams)
        plan.overwrite = False
    else:
        plan.overwrite = rand.random() < 0.2
    plan.each_run = tuple(_run(plan, rand, number, is_last=number == count) for number in range(1, count + 1))
    plan.versions = tuple(each.version for each in plan.each_run)
    if plan.beside:
        plan.beside_run = rand.randint(1, count)
        beside = _run(plan, rand, 1, is_last=True)
        plan.beside_plan = dataclasses.replace(beside, overwrite=False, key_refused_at=None)


def changed(plan: Plan, *, habits: dict[str, Any], runs: dict[str, Any], **changes: Any) -> Plan:
    """A world with other features, habits, and features of its runs.

    Args:
        plan: The world.
        habits: Its changed habits.
        runs: What changes in each of its runs.
        changes: What else changes.
    """
    if "streams" in changes:
        runs = {
            **runs,
            "streams": tuple(Reading(("id",) if keyed else ()) for keyed, _ in changes["streams"]),
        }
    return dataclasses.replace(
        plan,
        habits=dataclasses.replace(plan.habits, **habits),
        each_run=tuple(dataclasses.replace(each, **runs) for each in plan.each_run),
        **changes,
    )


def _run(plan: Plan, rand: random.Random, number: int, *, is_last: bool) -> RunPlan:
    pick = rand.choice
    usual = usual_run(plan, number)

    def rarely(of: float) -> float | None:
        return rand.uniform(0, 20) if rand.random() < of else None

    ends = pick(["stop", "crash", "", "", ""]) if not is_last else pick(["stop", "crash", *[""] * 8])
    # The last run mostly gets through, so that what all of them have left can be checked.
    is_patient = rand.random() < (0.9 if is_last else 0.6)
    lags = [seconds for seconds in (3.0, 10.0, 30.0, 60.0) if seconds > plan.list_lag]
    is_alone = not plan.beside
    # A run that waits too briefly for what an earlier one has left goes on, with a warning.
    longest = plan.processing[1] + plan.fails_late + plan.list_stale + plan.habits.counts_late + 10.0
    waits = [seconds for seconds in (60.0, 300.0) if seconds > longest]
    if number == 1 and not plan.is_there:
        waits.append(5.0)
    return RunPlan(
        version=pick(["v1", "v2"]),
        batch_rows=pick([1, 3, 10, 100, 500]),
        workers=pick([1, 2, 8]),
        window=pick([1, 3, 50]),
        unconfirmed_bytes=pick([3_000, 20_000, 2_000_000]),
        per_second=pick([usual.per_second, 10.0, 50.0]),
        per_hour=usual.per_hour,
        confirmation=pick(["rows", "status"]) if plan.confirmation == "status" else "rows",
        listing_lag=pick(lags),
        keeps_rejects=rand.random() < (0.9 if is_last else 0.75),
        rejects_limit=pick([1000, 1000, 1000, 1000, 1000, 0] if is_last else [1000, 1000, 2, 0]),
        overwrite=plan.overwrite and rand.random() < 0.4,
        streams=tuple(_reading(plan, rand, pick, keyed, number) for keyed, _ in plan.streams),
        stop_at=rand.uniform(0, 20) if ends == "stop" else None,
        crash_at=rand.uniform(0, 20) if ends == "crash" else None,
        disk_full_at=rarely(0.03),
        pipe_closed_at=rarely(0.03),
        key_refused_at=rarely(0.03) if is_alone else None,
        nap=(rand.uniform(0, 20), pick([40.0, 700.0, 100_000.0]))
        if rand.random() < 0.03 and is_alone
        else None,
        batch_age_seconds=pick([0.0, 5.0, 30.0]),
        retry_seconds=300.0 if is_patient else pick([0.0, 10.0, 60.0]),
        confirmation_timeout_seconds=600.0 if is_patient else pick(waits),
        state_interval_seconds=pick([0.0, 1.0, 30.0]),
        shutdown_seconds=pick([20.0, 20.0, 5.0, 0.0]),
    )


def _reading(
    plan: Plan, rand: random.Random, pick: Callable[[Sequence[str]], str], keyed: bool, number: int
) -> Reading:
    """How a run reads a stream: mostly with the keys that its dataset has."""
    keys: tuple[str, ...] = ("id",) if keyed else ()
    is_odd = rand.random() < 0.1
    # The first run makes the dataset with its own keys; those of another API or of before are `id` or none.
    if is_odd and plan.beside != "keys":
        others = [("id",), ()] if number == 1 else [("id",), ("k",), ("id", "k"), ()]
        keys = rand.choice(others)
    columns = _columns(rand, pick)
    reading = Reading(
        keys=keys,
        columns=columns,
        has_id="id" in keys or rand.random() < 0.8,
        are_keys_readable=rand.random() < 0.8 or plan.beside == "keys",
        is_declared=rand.random() < 0.7,
    )
    if rand.random() < 0.3:
        later = dataclasses.replace(reading, columns=_columns(rand, pick))
        if rand.random() < 0.2:
            later = dataclasses.replace(later, keys=rand.choice([("id",), ("k",), ()]), has_id=True)
        reading = dataclasses.replace(reading, later=later, later_from=rand.randint(1, 30))
    return reading


def _columns(rand: random.Random, pick: Callable[[Sequence[str]], str]) -> tuple[tuple[str, str], ...]:
    names = [name for name in COLUMNS if rand.random() < 0.5]
    # Mostly the same type, as with most taps.
    return tuple((name, TYPES[0] if rand.random() < 0.8 else pick(TYPES)) for name in names)
