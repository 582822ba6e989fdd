"""Checkpoints against a model that keeps every row: a STATE is due when nothing before it is open."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from target_databox.delivery.checkpoints import STRETCH_OVERHEAD_BYTES, Checkpoints


def test_state_waits_for_earlier_stretches() -> None:
    """A STATE is not due while a row of an earlier stretch is open."""
    checkpoints = Checkpoints(0.0)
    checkpoints.opened()
    checkpoints.ended(b"1")
    second = checkpoints.stretch
    checkpoints.opened()
    checkpoints.ended(b"2")
    checkpoints.closed(second)
    assert checkpoints.take(0.0) is None
    checkpoints.closed(second - 1)
    assert checkpoints.take(0.0) == b"2"


def test_states_keep_their_interval() -> None:
    """At most one STATE is given in the interval, the newest; the last one does not wait."""
    checkpoints = Checkpoints(10.0)
    checkpoints.ended(b"1")
    assert checkpoints.take(0.0) == b"1"
    checkpoints.ended(b"2")
    checkpoints.ended(b"3")
    assert checkpoints.take(9.9) is None
    assert checkpoints.due_at() == 10.0
    assert checkpoints.take(10.0) == b"3"
    checkpoints.ended(b"{}")
    assert checkpoints.take(11.0, last=True) == b"{}"
    assert checkpoints.take(99.0, last=True) is None


def test_empty_stretches_take_no_memory() -> None:
    """STATEs without rows between them are kept as one."""
    checkpoints = Checkpoints(0.0)
    checkpoints.opened()
    for number in range(10_000):
        checkpoints.ended(b"%d" % number)
    assert checkpoints.held_bytes < 1000
    checkpoints.closed(0)
    assert checkpoints.take(0.0) == b"9999"
    assert checkpoints.held_bytes == 0


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from("rrscct"), st.integers(0, 10)), max_size=80))
def test_due_state_equals_model(steps: list[tuple[str, int]]) -> None:
    """Whatever the order of outcomes, STATEs are given in order, once, and never ahead of an open row."""
    checkpoints = Checkpoints(0.0)
    lines: list[tuple[str, int]] = []
    rows: list[tuple[int, int]] = []
    given_states: list[int] = []
    for place, (step, value) in enumerate(steps):
        if step == "r":
            rows.append((place, checkpoints.stretch))
            checkpoints.opened()
        elif step == "s":
            lines.append(("state", place))
            checkpoints.ended(b"%d" % place)
        elif step == "c" and rows:
            _, stretch = rows.pop(value % len(rows))
            checkpoints.closed(stretch)
        elif step == "t":
            first_open = min((row for row, _ in rows), default=10**9)
            last = given_states[-1] if given_states else -1
            due = [state for _, state in lines if last < state < first_open]
            state = checkpoints.take(0.0)
            assert state == (b"%d" % due[-1] if due else None)
            given_states += due[-1:]
    assert given_states == sorted(set(given_states))


def test_stretches_are_told_apart() -> None:
    """A row's outcome counts for its own stretch, also after earlier stretches are gone."""
    checkpoints = Checkpoints(0.0)
    stretches = []
    for state in (b"1", b"2", b"3"):
        checkpoints.opened()
        stretches.append(checkpoints.stretch)
        checkpoints.ended(state)
    assert stretches == [0, 1, 2]
    for stretch, state in zip(stretches, (b"1", b"2", b"3"), strict=True):
        assert checkpoints.take(0.0) is None
        checkpoints.closed(stretch)
        assert checkpoints.take(0.0) == state


def test_held_bytes_are_those_of_states() -> None:
    """What is kept for states is counted: one for a stretch, the newest where nothing lies between."""
    checkpoints = Checkpoints(0.0)
    checkpoints.opened()
    checkpoints.ended(b"first")
    checkpoints.ended(b"second one")
    assert checkpoints.held_bytes == len(b"second one") + STRETCH_OVERHEAD_BYTES
    checkpoints.opened()
    checkpoints.ended(b"third")
    assert checkpoints.held_bytes == len(b"second one" + b"third") + 2 * STRETCH_OVERHEAD_BYTES
    checkpoints.closed(0)
    assert checkpoints.held_bytes == len(b"third") + STRETCH_OVERHEAD_BYTES
    checkpoints.closed(1)
    assert checkpoints.held_bytes == 0
