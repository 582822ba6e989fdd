"""Sequences of runs: they differ in everything, every open fact is drawn, and a broken delivery is caught."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests import mutations_sequences
from tests.simulated_habits import Habits
from tests.simulated_plan import plan_of
from tests.simulated_runs import RunPlan
from tests.simulated_sequences import MOST_RUNS, changed
from tests.simulation import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulated_run import Run

PLANS = [plan_of(seed, "sequences") for seed in range(300)]
SEEDS = 1500
# What a run gets of its world, the same in each.
SHARED = {"per_hour"}

QUIET: dict[str, Any] = {
    "lost_before": 0.0, "lost_after": 0.0, "hanging": 0.0, "failing": 0.0, "stuck": 0.0, "down": None,
    "lists_down": None, "rejects_whole": False, "refuses": False, "beside": "", "blur": 0,
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "stop_at": None, "crash_at": None, "keeps_rejects": True, "rejects_limit": 1000, "confirmation": "rows",
    "retry_seconds": 300.0, "confirmation_timeout_seconds": 600.0, "nap": None, "disk_full_at": None,
    "pipe_closed_at": None, "key_refused_at": None,
}  # fmt: skip
CALM: dict[str, Any] = {"gone": None, "full_rows": None, "repeated_ids": 0.0, "locked_seconds": 0.0}
# Worlds in which a mutation shows soon, as changes of the world, its habits and its runs.
WORLDS: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "problems_are_rows": (
        {**QUIET, "streams": ((False, True),), "fickle": 0.3, "names": "cut", "rewrites": False},
        {**CALM, "twins": 0.5},
        {**WHOLE, "version": "v2", "batch_rows": 10, "batch_age_seconds": 30.0, "overwrite": False},
    ),
    "schema_change_starts_over": (
        {**QUIET, "keys": 3, "bad": 0.0, "processing": (0.0, 40.0), "rows": 150, "state_every": 7},
        {**CALM, "in_order": False},
        {**WHOLE, "window": 50, "batch_rows": 3, "overwrite": False},
    ),
    "forbidden_purge_is_done": (
        {**QUIET, "streams": ((False, True),)},
        {**CALM, "purges": "forbidden"},
        {**WHOLE, "overwrite": True},
    ),
    "purge_key_is_the_datasets": (
        {**QUIET, "streams": ((False, True),)},
        {**CALM, "purges": "done", "key_scope": "route"},
        {**WHOLE, "version": "v2", "overwrite": True},
    ),
}
MUTANTS = [
    mutations_sequences.problems_are_rows,
    mutations_sequences.keys_counted_by_dataset,
    mutations_sequences.replaced_rows_sent_along,
    mutations_sequences.first_settings_kept,
    mutations_sequences.forbidden_purge_is_done,
    mutations_sequences.purge_key_is_the_datasets,
    mutations_sequences.differing_keys_overlooked,
    mutations_sequences.rows_before_a_bad_schema_dropped,
    mutations_sequences.schema_change_starts_over,
]


@pytest.mark.parametrize("fact", [each.name for each in dataclasses.fields(Habits)])
def test_open_facts_are_drawn(fact: str) -> None:
    """Every fact that is open has several answers in the worlds of some seeds."""
    assert len({getattr(plan.habits, fact) for plan in PLANS}) > 1


@pytest.mark.parametrize(
    "name", [each.name for each in dataclasses.fields(RunPlan) if each.name not in SHARED]
)
def test_runs_of_a_world_differ(name: str) -> None:
    """In each of its settings, SCHEMAs and fates a run may differ from another of its world."""
    assert any(len({getattr(each, name) for each in plan.each_run}) > 1 for plan in PLANS)


def test_runs_are_one_to_five() -> None:
    """A world has one to five runs, alone or with another one at the same time."""
    assert {len(plan.each_run) for plan in PLANS} == set(range(1, MOST_RUNS + 1))
    assert {plan.beside for plan in PLANS} == {"", "streams", "keys"}


@pytest.mark.parametrize("mutate", MUTANTS, ids=[mutant.__name__ for mutant in MUTANTS])
def test_broken_sequence_is_caught(mutate: Callable[[Run], None], caplog: pytest.LogCaptureFixture) -> None:
    """Some seed of different runs breaks a promise where the delivery is broken."""
    caplog.set_level(logging.CRITICAL)
    changes, habits, runs = WORLDS.get(mutate.__name__, ({}, {}, {}))
    for seed in range(SEEDS):
        plan = changed(plan_of(seed, "sequences"), habits=habits, runs=runs, **changes)
        try:
            World(seed, plan, mutate=mutate).check()
        except (AssertionError, KeyError, IndexError):
            return
    pytest.fail(f"No seed below {SEEDS} notices: {mutate.__doc__}")
