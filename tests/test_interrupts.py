"""Signals interrupt where that does no harm, once, and a late second one ends at once."""

from __future__ import annotations

import signal

import pytest

from target_databox.interrupts import ECHO_SECONDS, Interrupted, Interrupts


def test_signal_waits_for_a_place() -> None:
    """Outside of the context a signal is only noted; entering it raises."""
    interrupts = Interrupts()
    interrupts.handle(signal.SIGTERM)
    assert (interrupts.signal, interrupts.exit_code) == (signal.SIGTERM, 143)
    with pytest.raises(Interrupted, match="SIGTERM"), interrupts:
        pytest.fail("It must not be entered.")


def test_signal_interrupts_inside() -> None:
    """Inside the context a signal raises at once."""
    interrupts = Interrupts()
    with pytest.raises(Interrupted, match="SIGINT"), interrupts:
        interrupts.handle(signal.SIGINT)
    assert interrupts.exit_code == 130


def test_run_is_interrupted_once() -> None:
    """Once interrupted, the end of the run is not interrupted again."""
    interrupts = Interrupts()
    with pytest.raises(Interrupted), interrupts:
        interrupts.handle(signal.SIGTERM)
    with interrupts:
        interrupts.handle(signal.SIGTERM)
    assert interrupts.exit_code == 143


def test_no_signal_no_code() -> None:
    """Without a signal nothing happens."""
    interrupts = Interrupts()
    with interrupts:
        pass
    assert interrupts.exit_code is None


@pytest.mark.parametrize(
    ("after", "left"),
    [(0.0, []), (ECHO_SECONDS, []), (ECHO_SECONDS + 0.01, [130])],
    ids=["echo", "late echo", "second signal"],
)
def test_late_second_signal_leaves(after: float, left: list[int]) -> None:
    """The same signal within two seconds is an echo; a later one is meant, and ends the process."""
    now = 100.0
    codes: list[int] = []
    interrupts = Interrupts(clock=lambda: now, leave=codes.append)
    interrupts.handle(signal.SIGTERM)
    now += after
    interrupts.handle(signal.SIGINT)
    assert codes == left
    assert interrupts.exit_code == 143
