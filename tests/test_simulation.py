"""Thousands of runs by seed, each with its own latencies, faults, signals and crashes: the promise holds."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
from typing import TYPE_CHECKING

import pytest

from tests.simulated_plan import Plan, plan_of
from tests.simulation import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# How many worlds whose runs speak one version of the API, change between `both`, or differ in everything.
SEEDS = {"v1": 750, "v2": 500, "both": 250, "sequences": 375}
# So many in one test: small enough for a busy machine, and for several processes to share.
PORTION = 125
FIRST_OF_MANY = 1500
# So many times this share of them; see the contributors' page.
TIMES = int(os.environ.get("SEEDS", "1"))
MANY_SEEDS = {"v1": 1_000 * TIMES, "v2": 1_000 * TIMES, "both": 500 * TIMES, "sequences": 500 * TIMES}
PARTS = 16
SCALED_HOUR_REQUESTS = 600


@pytest.fixture(autouse=True)
def _silent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@contextlib.contextmanager
def explained(how: str) -> Iterator[None]:
    """Add to a failure how to replay it."""
    try:
        yield
    except Exception as error:
        raise AssertionError(f"{error}\n{how}") from error


def play(seeds: Iterable[int], speaks: str) -> None:
    """Play seeds one after another; a broken promise fails with the command that replays it."""
    for seed in seeds:
        with explained(f"Replay it with: python -m tests.simulation {seed} {speaks}"):
            World(seed, plan_of(seed, speaks)).check()


@pytest.mark.parametrize(
    ("speaks", "first"),
    [(speaks, first) for speaks, count in SEEDS.items() for first in range(0, count, PORTION)],
)
def test_promise_holds_for_seeds(speaks: str, first: int) -> None:
    """No STATE is ahead of its data, no row is out of order, missing or twice, in many worlds."""
    play(range(first, first + PORTION), speaks)


@pytest.mark.slow
@pytest.mark.parametrize("speaks", SEEDS)
@pytest.mark.parametrize("part", range(PARTS))
def test_promise_holds_for_many_seeds(part: int, speaks: str) -> None:
    """The same holds in three thousand other worlds, or in as many times that as are asked for."""
    play(range(FIRST_OF_MANY + part, FIRST_OF_MANY + MANY_SEEDS[speaks], PARTS), speaks)


@pytest.mark.parametrize("speaks", SEEDS)
def test_seed_says_everything(speaks: str) -> None:
    """A seed played twice takes the same turns at the same times."""
    first, second = World(7, plan_of(7, speaks)), World(7, plan_of(7, speaks))
    first.check()
    second.check()
    assert first.taken == second.taken
    assert first.states == second.states


@pytest.mark.parametrize("seed", range(3))
def test_hourly_limit_is_survived(seed: int) -> None:
    """A load of several scaled-down hours completes without a 429 and with nothing unconfirmed."""
    plan = Plan(
        rows=100_000,
        keys=10**9,
        state_every=10_000,
        batch_rows=100,
        processing=(1.0, 6.0),
        per_second=10.0,
        per_hour=SCALED_HOUR_REQUESTS,
        window=500,
        unconfirmed_bytes=64_000_000,
        streams=((True, True), (False, True)),
    )
    world = World(seed, plan)
    world.check()
    assert world.is_finished
    assert not world.errors
    assert world.now > 2 * 3600
    assert not world.server.throttled
    arrived = world.server.requests
    for when, later in zip(arrived, arrived[SCALED_HOUR_REQUESTS + 1 :], strict=False):
        # Two requests may change places on the wire.
        assert later - when > 3600 - plan.latency[1]


@pytest.mark.parametrize(("confirmation", "most", "rows"), [("rows", 2.1, 30_000), ("status", 1.1, 55_000)])
def test_requests_per_batch_are_few(confirmation: str, most: float, rows: int) -> None:
    """In a minute at the documented limit, a batch costs 2.1 requests with `rows` and 1.1 with `status`."""
    plan = Plan(
        rows=rows,
        keys=10**9,
        state_every=5000,
        batch_rows=100,
        processing=(1.0, 6.0),
        latency=(0.05, 0.15),
        per_second=10.0,
        window=500,
        unconfirmed_bytes=64_000_000,
        workers=8,
        confirmation=confirmation,
    )
    world = World(1, plan)
    world.check()
    assert world.last_run is not None
    batches = world.last_run.lanes[0].counts.batches
    assert len(world.taken) <= most * batches
    assert len(world.taken) >= 0.95 * 10 * (world.now - 10)


@pytest.mark.parametrize("list_lag", [0.0, 29.0])
@pytest.mark.parametrize("order", ["newest-first", "oldest-first", "arbitrary"])
def test_kills_lose_nothing(list_lag: float, order: str) -> None:
    """A run that is killed at any moment and resumed from its last STATE leaves every row as it should be."""
    for seed in range(25):
        plan = dataclasses.replace(
            plan_of(seed, ("v1", "v2", "both")[seed % 3]),
            list_lag=list_lag,
            order=order,
            crash_at=0.4 * seed,
            stop_at=None,
            overwrite=False,
            down=None,
            rows=150,
            stuck=0.0,
            key_refused_at=None,
        )
        with explained(f"Seed {seed} of {plan}"):
            World(seed, plan).check()
