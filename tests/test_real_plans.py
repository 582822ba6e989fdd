"""The real command under the simulation's plans, with sockets, signals, pipes and files: the promise holds.

What is checked of every seed is what is checked of the simulation's, see `tests.promises`.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.real_plans import play
from tests.simulated_plan import Plan

# Of each kind. A process mostly waits, so several worlds are played at a time.
SEEDS = int(os.environ.get("REAL_SEEDS", "5"))
PORTION = 14
AT_ONCE = 7
FIRST_OF_MANY = 100
# Worlds in which much happens in little time.
USUAL = [("v1", 36), ("v2", 19), ("both", 78)]

# Worlds in which one thing happens often that is rare in the others.
BRISK: dict[str, Any] = {
    "processing": (0.0, 0.5), "latency": (0.01, 0.05), "workers": 8, "per_second": 1000.0, "chunk_pause": 1.0,
}  # fmt: skip
OFTEN: dict[str, dict[str, Any]] = {
    "late first copies": {
        **BRISK, "hanging": 0.2, "keys": 1, "rows": 60, "state_every": 2, "listing_lag_setting": 100.0,
    },
    "lost answers without keys": {
        **BRISK, "lost_before": 0.1, "lost_after": 0.1, "streams": ((False, True),), "rows": 40,
        "batch_rows": 2, "listing_lag_setting": 10.0, "list_lag": 5.0,
    },
}  # fmt: skip
OFTEN_SEEDS = 8


def portions(speaks: str) -> list[Any]:
    """As many seeds as asked for, so many in one test."""
    end = FIRST_OF_MANY + SEEDS
    return [
        pytest.param(speaks, range(first, min(first + PORTION, end)), id=f"{speaks}-{first}")
        for first in range(FIRST_OF_MANY, end, PORTION)
    ]


@pytest.mark.parametrize(("speaks", "seed"), USUAL)
def test_promise_holds_for_processes(speaks: str, seed: int) -> None:
    """No STATE is ahead of its data, and no row is lost, out of order or twice, whatever a process meets."""
    play(seed, speaks)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("speaks", "seeds"), [each for speaks in ("v1", "v2", "both") for each in portions(speaks)]
)
def test_promise_holds_for_many_processes(speaks: str, seeds: range) -> None:
    """The same holds in other worlds, of both versions."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda seed: play(seed, speaks), seeds))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", OFTEN)
def test_lost_answers_leave_no_trace(world: str) -> None:
    """With v1, rows whose answers are lost, or that land late, are there once and in order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda seed: play(seed, "v1", Plan(**OFTEN[world])), range(OFTEN_SEEDS)))
