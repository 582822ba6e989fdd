"""The simulation has teeth: a delivery that is broken on purpose in any of these ways is caught by seeds."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.shapes import Ingestion, IngestionStatus
from target_databox.delivery.errands import PurgeOnce
from tests.simulation import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation import Run

SEEDS = 1500


def state_at_post(run: Run) -> None:
    """Accepted rows are taken for stored."""
    dispatcher = run.dispatcher
    dispatcher._confirmation.accept = dispatcher._verdicts.stored  # type: ignore[method-assign]


def two_versions_in_flight(run: Run) -> None:
    """A row does not wait for the older one of its key."""

    class Forgetful(dict[Any, Any]):
        def __contains__(self, key: object) -> bool:
            return False

    for lane in run.lanes:
        lane.queue._busy = Forgetful()


def blind_resend(run: Run) -> None:
    """A lost batch is sent again at once, whatever the dataset."""
    run.dispatcher._recovery.lost = lambda batch, _: batch.lane.resends.append(batch)  # type: ignore[method-assign]


def lost_last_batch(run: Run) -> None:
    """The run ends as soon as nothing is queued and nothing on the wire."""
    dispatcher = run.dispatcher
    is_over = dispatcher.is_over

    def is_over_early(now: float) -> bool:
        is_read = run.position >= len(run.world.input)
        return is_over(now) or (is_read and not dispatcher._away and not any(len(x.queue) for x in run.lanes))

    dispatcher.is_over = is_over_early  # type: ignore[method-assign]


def ignored_rejected_count(run: Run) -> None:
    """An ingestion that rejected rows is taken for stored whole."""
    verdicts = run.dispatcher._verdicts
    verdicts.rejected = lambda batch, _, now: verdicts.stored(batch, now)  # type: ignore[method-assign]


def failed_is_stored(run: Run) -> None:
    """An ingestion that failed is taken for stored."""
    verdicts = run.dispatcher._verdicts
    verdicts.failed = lambda batch, _, __, now: verdicts.stored(batch, now)  # type: ignore[method-assign]


def one_more_in_an_hour(run: Run) -> None:
    """The hour holds one request more than it may."""
    run.budget._hour_capacity += 1


def one_more_in_a_second(run: Run) -> None:
    """The second holds one request more than it may."""
    run.budget._pace = run.budget.per_second = run.budget.per_second + 1


def keys_freed_early(run: Run) -> None:
    """Keys are free when a batch is confirmed, though a first copy of it may still land."""
    recovery = run.dispatcher._recovery
    lost = recovery.lost

    def lost_without_hold(batch: Any, now: float) -> None:
        lost(batch, now)
        if batch.hold is not None:
            batch.hold.is_over = True
            batch.lane.holds.clear()

    recovery.lost = lost_without_hold  # type: ignore[method-assign]


def rejects_after_state(run: Run) -> None:
    """A rejected row counts as settled before it is on disk, and STATE is written first."""
    dispatcher, ledger = run.dispatcher, run.dispatcher._ledger
    rejects, reject = dispatcher.rejects, dispatcher._verdicts._reject

    def reject_and_close(lane: Any, row: Any, *rest: Any, **named: Any) -> None:
        reject(lane, row, *rest, **named)
        ledger.close([row])

    dispatcher._verdicts._reject = reject_and_close  # type: ignore[method-assign]
    dispatcher.rejects = lambda: [] if ledger.checkpoints.due_at() is not None else rejects()  # type: ignore[method-assign]
    dispatcher.written = lambda _: None  # type: ignore[method-assign]


def done_while_pending(run: Run) -> None:
    """The status of an ingestion's detail is believed, without its counts."""
    confirmation = run.dispatcher._confirmation
    answered = confirmation.answered

    def believing(batch: Any, answer: object, now: float) -> None:
        if (
            isinstance(answer, Ingestion)
            and answer.received is None
            and answer.status is IngestionStatus.DONE
        ):
            sent = len(batch.rows)
            answer = dataclasses.replace(answer, received=sent, appended=sent, overwritten=0, rejected=0)
        answered(batch, answer, now)

    confirmation.answered = believing  # type: ignore[method-assign]


def leftovers_ignored(run: Run) -> None:
    """A dataset is written to at once, whatever a killed run left behind."""
    for lane in run.lanes:
        lane.is_open = not lane.destination.purge


def purge_before_leftovers(run: Run) -> None:
    """A dataset is purged at once, whatever a killed run left behind."""
    for lane in run.lanes:
        if lane.destination.purge:
            lane.opening = PurgeOnce(lane, 0.0)


def superseded_at_once(run: Run) -> None:
    """A row is settled when a newer one of its key comes, not when that one is stored."""
    for lane in run.lanes:
        put_all = lane.queue.put_all

        def put_and_forget(rows: Any, now: float, put_all: Any = put_all, lane: Any = lane) -> None:
            put_all(rows, now)
            for row in rows:
                if row.older is not None:
                    lane.counts.superseded += len(row.older)
                    run.dispatcher._ledger.close(row.older)
                    row.older = None

        lane.queue.put_all = put_and_forget  # type: ignore[method-assign]


def timeout_is_success(run: Run) -> None:
    """An ingestion that is never confirmed is taken for stored in the end."""
    confirmation = run.dispatcher._confirmation
    still_pending = confirmation._still_pending

    def giving_in(batch: Any, finding: str, now: float) -> None:
        if batch.age_seconds(now) >= 600.0:
            run.dispatcher._verdicts.stored(batch, now)
        else:
            still_pending(batch, finding, now)

    confirmation._still_pending = giving_in  # type: ignore[method-assign]


def half_forgotten(run: Run) -> None:
    """The second half of a bad batch is taken for stored, whatever the first one says."""
    verdicts = run.dispatcher._verdicts

    def judged(batch: Any, _: int | None, now: float) -> None:
        second, batch.twin = batch.twin, None
        if second is not None:
            verdicts.stored(second, now)

    verdicts._judge_twin = judged  # type: ignore[method-assign]


MUTANTS = [
    state_at_post,
    two_versions_in_flight,
    blind_resend,
    lost_last_batch,
    ignored_rejected_count,
    failed_is_stored,
    one_more_in_an_hour,
    one_more_in_a_second,
    keys_freed_early,
    rejects_after_state,
    done_while_pending,
    leftovers_ignored,
    purge_before_leftovers,
    superseded_at_once,
    timeout_is_success,
    half_forgotten,
]


@pytest.mark.parametrize("mutate", MUTANTS, ids=[mutant.__name__ for mutant in MUTANTS])
def test_broken_delivery_is_caught(mutate: Callable[[Run], None], caplog: pytest.LogCaptureFixture) -> None:
    """Some seed breaks a promise where the delivery is broken."""
    caplog.set_level(logging.CRITICAL)
    for seed in range(SEEDS):
        try:
            World(seed, mutate=mutate).check()
        except (AssertionError, KeyError, IndexError):
            return
    pytest.fail(f"No seed below {SEEDS} notices: {mutate.__doc__}")
