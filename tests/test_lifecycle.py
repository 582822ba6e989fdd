"""How a run ends: the weightiest and earliest reason counts, and the earliest deadline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from target_databox.api.errors import KeyRefusedError, RefusedError
from target_databox.delivery.batches import NEVER
from target_databox.delivery.errors import LoadingError
from target_databox.delivery.lifecycle import Lifecycle, Mode
from tests.delivering import FACTS, destination

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST, SECOND, RECORD, EARLIER = (ValueError(word) for word in ("first", "second", "record", "earlier"))
KEY = KeyRefusedError("No.", **FACTS, status=401)


@pytest.mark.parametrize(
    ("steps", "error", "mode", "deadline"),
    [
        ([], None, Mode.RUNNING, NEVER),
        ([Lifecycle.drain], None, Mode.DRAINING, NEVER),
        ([Lifecycle.settle, Lifecycle.drain], None, Mode.SETTLING, NEVER),
        ([lambda it: it.settle(50.0), lambda it: it.settle(70.0)], None, Mode.SETTLING, 50.0),
        ([lambda it: it.fail(FIRST, 100.0)], FIRST, Mode.SETTLING, 120.0),
        ([lambda it: it.settle(110.0), lambda it: it.fail(FIRST, 100.0)], FIRST, Mode.SETTLING, 110.0),
        (
            [lambda it: it.fail(FIRST, 100.0), lambda it: it.fail(SECOND, 90.0)],
            FIRST,
            Mode.SETTLING,
            110.0,
        ),
        ([lambda it: it.stop_for(FIRST)], FIRST, Mode.SETTLING, NEVER),
        ([lambda it: it.stop_for(FIRST), lambda it: it.fail(SECOND, 100.0)], FIRST, Mode.SETTLING, 120.0),
        ([lambda it: it.end_at_record(RECORD)], RECORD, Mode.DRAINING, NEVER),
        (
            [lambda it: it.end_at_record(RECORD), lambda it: it.end_at_record(EARLIER)],
            EARLIER,
            Mode.DRAINING,
            NEVER,
        ),
        (
            [
                lambda it: it.end_at_record(RECORD),
                lambda it: it.fail(FIRST, 100.0),
                lambda it: it.fail(SECOND, 100.0),
                lambda it: it.end_at_record(EARLIER),
            ],
            FIRST,
            Mode.SETTLING,
            120.0,
        ),
        ([lambda it: it.fail(KEY, 100.0)], KEY, Mode.CLOSED, NEVER),
        ([Lifecycle.close, lambda it: it.settle(50.0), Lifecycle.drain], None, Mode.CLOSED, NEVER),
    ],
)
def test_ends_have_one_reason(
    steps: list[Callable[[Lifecycle], object]], error: Exception | None, mode: Mode, deadline: float
) -> None:
    """The first reason counts, but one that keeps rows back weighs more than a rejected record."""
    lifecycle = Lifecycle(20.0)
    for step in steps:
        step(lifecycle)
    assert (lifecycle.error, lifecycle.mode, lifecycle.deadline) == (error, mode, deadline)
    assert lifecycle.is_settling == (mode in {Mode.SETTLING, Mode.CLOSED})


def test_errors_name_the_stream_once() -> None:
    """The error of the API that ends the run is told with its stream; another one changes nothing."""
    lifecycle = Lifecycle(20.0)
    error, other = (RefusedError(words, **FACTS) for words in ("It is gone.", "Another."))
    lifecycle.fail(error, 0.0)
    lifecycle.say_where(other, destination())
    assert lifecycle.error is error
    lifecycle.say_where(error, destination())
    assert isinstance(lifecycle.error, LoadingError)
    assert str(lifecycle.error) == "Loading stream 'orders' (dataset 'Orders', d1) failed: It is gone."
    assert lifecycle.error.__cause__ is error
