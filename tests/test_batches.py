"""The table of a batch's life: what it refuses, where it ends, and what lanes and halves keep."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

from target_databox.delivery import batches
from target_databox.delivery.batches import (
    LAST_SECONDS,
    RECENT_INGESTIONS,
    RECENT_SECONDS,
    TRANSITIONS,
    Batch,
    Counts,
    Event,
    ImpossibleEventError,
    Lane,
    Place,
    State,
)
from target_databox.delivery.rows import Row
from tests.delivering import destination
from tests.simulated_plan import plan_of
from tests.simulation import World

# Runs that end at a rejected record while batches of later rows are in flight: rare among all worlds.
REJECTING = {
    "bad": 0.1, "keeps_rejects": False, "confirmation": "rows", "streams": ((True, True),), "keys": 1000,
    "window": 50, "workers": 8, "stop_at": None, "crash_at": None,
}  # fmt: skip
SEEDS = 1500
FINAL = {State.STORED, State.MIXED, State.HALVED, State.REJECTED, State.SUSPECT, State.LEFT}


class Seen(dict[tuple[State, Event], State]):
    """A table that notes which of its transitions are used."""

    def __init__(self) -> None:
        super().__init__(TRANSITIONS)
        self.used: set[tuple[State, Event]] = set()

    def __getitem__(self, transition: tuple[State, Event]) -> State:
        self.used.add(transition)
        return super().__getitem__(transition)


def batch(rows: int = 4) -> Batch:
    """A batch of some rows."""
    return Batch(Lane(destination()), [Row((number,), b"{}") for number in range(rows)], Place(), 0.0)


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_batch_moves_by_the_table_alone(state: State, event: Event) -> None:
    """An event leads where the table says, or is refused and changes nothing."""
    one = batch()
    one.state = state
    if (state, event) in TRANSITIONS:
        one.happened(event)
        assert one.state is TRANSITIONS[state, event]
        return
    with pytest.raises(ImpossibleEventError, match=event.name):
        one.happened(event)
    assert one.state is state


def test_every_state_is_reached_and_left_or_final() -> None:
    """Each state but the first is led to, and each but the final ones is left."""
    assert {state for state, _ in TRANSITIONS} == set(State) - FINAL
    assert set(TRANSITIONS.values()) == set(State)
    assert {event for _, event in TRANSITIONS} == set(Event)


@pytest.mark.parametrize("rows", [2, 3, 4, 99, 100])
def test_halves_share_a_place(rows: int) -> None:
    """Halves have the rows of the whole in their order, the first at least as many, in the whole's place."""
    whole = batch(rows)
    first, second = whole.halves(1.0)
    assert first.rows + second.rows == whole.rows
    assert 0 <= len(first.rows) - len(second.rows) <= 1
    assert first.place is second.place is whole.place
    assert whole.place.parts == 2
    assert (first.state, second.state) == (State.READY, State.READY)


def test_dataset_holds_the_most_that_was_seen() -> None:
    """What a dataset holds is the most that any ingestion said of it, as far as they said something."""
    counts = Counts()
    seen = []
    for rows, columns in ((None, None), (5, None), (3, 4), (0, 0), (None, 6), (9, None)):
        counts.hold(rows, columns)
        seen.append((counts.dataset_rows, counts.dataset_columns))
    assert seen == [(None, None), (5, None), (5, 4), (5, 4), (5, 6), (9, 6)]
    counts = Counts()
    counts.hold(0, 0)
    assert (counts.dataset_rows, counts.dataset_columns) == (0, 0)


def remembering(*accepted_at: float) -> Lane:
    """A dataset that remembers ingestions of these times of acceptance."""
    lane = Lane(destination(is_keyed=False))
    one = Batch(lane, [Row(None, b"{}")], Place(), 0.0)
    for number, at in enumerate(accepted_at):
        one.ingestion_id, one.accepted_at = f"i{number}", at
        lane.remember(one)
        del lane.accepted[one.ingestion_id]
    return lane


@pytest.mark.parametrize(("seconds", "is_known"), [(RECENT_SECONDS, True), (RECENT_SECONDS + 0.1, False)])
def test_ingestions_are_remembered_for_an_hour(seconds: float, *, is_known: bool) -> None:
    """An own ingestion is remembered until a later one is accepted more than an hour after it."""
    lane = remembering(0.0, seconds)
    assert lane.knows("i0") == is_known
    assert lane.knows_all_older == is_known


@pytest.mark.parametrize(("seconds", "count"), [(LAST_SECONDS, 2_001), (LAST_SECONDS + 0.1, 2_000)])
def test_ingestions_of_a_minute_are_remembered(seconds: float, count: int) -> None:
    """However many own ingestions there are, those of the last minute are remembered."""
    lane = remembering(*[0.0] * RECENT_INGESTIONS, seconds)
    assert len(lane.recent) == count


def test_every_transition_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated runs make every transition of the table, and none beside it."""
    seen = Seen()
    monkeypatch.setattr(batches, "TRANSITIONS", seen)
    for seed, changes in itertools.product(range(SEEDS), ({}, REJECTING)):
        plan = plan_of(seed, ("v1", "v2", "both")[seed % 3])
        World(seed, dataclasses.replace(plan, **changes)).check()
        if seen.used == set(TRANSITIONS):
            return
    pytest.fail(
        f"Never seen: {set(TRANSITIONS) - seen.used}; beside the table: {seen.used - set(TRANSITIONS)}"
    )
