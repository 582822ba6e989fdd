"""Ways to break a simulated delivery, each as a function that changes a run before it starts."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from target_databox.api.errors import LostAnswerError, MissingError, RefusedError
from target_databox.api.values import Ingestion, IngestionsPage, IngestionStatus
from target_databox.delivery.background import PurgeOnce, Search
from target_databox.delivery.batches import Event, State
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.outcomes import BatchNotStored, BatchStored, RunFails
from target_databox.delivery.rejections import Cause, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulated_run import Run

PROXY_STATUS = 520


def replace_outcomes(run: Run, kind: type[Any], change: Callable[[Any], Any]) -> None:
    """Let the dispatcher apply other outcomes than those that a module returned."""
    apply = run.dispatcher._apply

    def apply_changed(outcomes: list[Any], now: float) -> None:
        apply([change(each) if isinstance(each, kind) else each for each in outcomes], now)

    run.dispatcher._apply = apply_changed  # type: ignore[method-assign]


def state_at_post(run: Run) -> None:
    """Accepted rows are taken for stored."""
    dispatcher = run.dispatcher
    accepted = dispatcher._accepted

    def accepted_and_stored(outcome: Any, now: float) -> None:
        accepted(outcome, now)
        dispatcher._stored(BatchStored(outcome.batch, len(outcome.batch.rows), 0), now)

    dispatcher._accepted = accepted_and_stored  # type: ignore[method-assign]
    # What is asked about all the same changes nothing any more.
    answered = dispatcher._confirmation.answered
    dispatcher._confirmation.answered = lambda batch, answer, now: (  # type: ignore[method-assign]
        [] if batch.state is State.STORED else answered(batch, answer, now)
    )


def two_versions_in_flight(run: Run) -> None:
    """A row does not wait for the older one of its key."""

    class Forgetful(dict[Any, Any]):
        def __contains__(self, key: object) -> bool:
            return False

    for lane in run.lanes:
        lane.queue._busy = Forgetful()


def blind_resend(run: Run) -> None:
    """A lost batch is sent again at once, whatever the dataset."""
    dispatcher = run.dispatcher

    def lost(batch: Any, now: float) -> None:
        batch.happened(Event.LOST_AND_HELD)
        batch.lane.send_again(batch, now)

    dispatcher._lost = lost  # type: ignore[method-assign]


def lost_last_batch(run: Run) -> None:
    """The run ends as soon as nothing is queued and nothing on the wire."""
    dispatcher = run.dispatcher
    is_over = dispatcher.is_over

    def is_over_early(now: float, *, can_write: bool = True) -> bool:
        is_read = run.has_read_all
        return is_over(now, can_write=can_write) or (
            is_read and not dispatcher._away and not any(len(x.queue) for x in run.lanes)
        )

    dispatcher.is_over = is_over_early  # type: ignore[method-assign]


def ignored_rejected_count(run: Run) -> None:
    """An ingestion that rejected rows is taken for stored whole."""

    def stored(outcome: Any) -> Any:
        if outcome.cause.reason is Reason.REJECTED:
            return BatchStored(outcome.batch, outcome.appended, outcome.overwritten)
        return outcome

    replace_outcomes(run, BatchNotStored, stored)


def failed_is_stored(run: Run) -> None:
    """An ingestion that failed is taken for stored."""
    replace_outcomes(
        run, BatchNotStored, lambda each: BatchStored(each.batch, 0, 0) if each.may_pass else each
    )


def one_more_in_an_hour(run: Run) -> None:
    """The hour holds one request more than it may."""
    run.budget._hour_capacity += 1


def one_more_in_a_second(run: Run) -> None:
    """The second holds one request more than it may."""
    run.budget._pace = run.budget.per_second = run.budget.per_second + 1


def keys_freed_early(run: Run) -> None:
    """Keys are free when a batch is confirmed, though a first copy of it may still land."""
    lost_answers = run.dispatcher._lost_answers
    hold = lost_answers.hold

    def let_go(batch: Any, now: float) -> None:
        hold(batch, now)
        batch.hold.is_over = True
        batch.lane.holds.clear()

    lost_answers.hold = let_go  # type: ignore[method-assign]


def rejects_after_state(run: Run) -> None:
    """A rejected row counts as settled before it is on disk, and STATE is written first."""
    dispatcher, ledger = run.dispatcher, run.dispatcher._ledger
    rejects, reject = dispatcher.rejects, dispatcher._reject

    def reject_and_close(lane: Any, row: Any, *rest: Any, **named: Any) -> None:
        reject(lane, row, *rest, **named)
        ledger.close([row])

    dispatcher._reject = reject_and_close  # type: ignore[method-assign]
    dispatcher.rejects = lambda: [] if ledger.checkpoints.due_at() is not None else rejects()  # type: ignore[method-assign]
    dispatcher.written = lambda _: None  # type: ignore[method-assign]


def done_while_pending(run: Run) -> None:
    """The status of an ingestion's detail is believed, without its counts."""
    confirmation = run.dispatcher._confirmation
    answered = confirmation.answered

    def believing(batch: Any, answer: object, now: float) -> Any:
        if (
            isinstance(answer, Ingestion)
            and answer.received is None
            and answer.status is IngestionStatus.DONE
        ):
            sent = len(batch.rows)
            answer = dataclasses.replace(answer, received=sent, appended=sent, overwritten=0, rejected=0)
        return answered(batch, answer, now)

    confirmation.answered = believing  # type: ignore[method-assign]


def leftovers_ignored(run: Run) -> None:
    """A dataset is written to at once, whatever a killed run left behind."""
    for lane in run.lanes:
        lane.is_open = not lane.destination.purge


def purge_before_leftovers(run: Run) -> None:
    """A dataset is purged at once, whatever a killed run left behind."""
    for lane in run.lanes:
        if lane.destination.purge:
            lane.opening = PurgeOnce(0.0, "")


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

    def stored(outcome: Any) -> Any:
        batch = next((each for lane in run.lanes for each in lane.accepted.values()), None)
        is_unconfirmed = isinstance(outcome.error, UnconfirmedError) and batch is not None
        return BatchStored(batch, 0, 0) if batch is not None and is_unconfirmed else outcome

    replace_outcomes(run, RunFails, stored)


def half_forgotten(run: Run) -> None:
    """The second half of a bad batch is taken for stored."""
    dispatcher = run.dispatcher
    not_stored = dispatcher._not_stored

    def first_half_only(outcome: Any, now: float) -> None:
        not_stored(outcome, now)
        if outcome.batch.state is State.HALVED:
            second = outcome.batch.lane.resends.pop()
            dispatcher._ledger.confirm(second, now)

    dispatcher._not_stored = first_half_only  # type: ignore[method-assign]


def judged_by_subtraction(run: Run) -> None:
    """The second half is taken for stored where the first one rejected as many rows as the whole did."""
    dispatcher = run.dispatcher
    not_stored = dispatcher._not_stored
    twins: dict[Any, Any] = {}

    def concluded(outcome: Any, now: float) -> None:
        batch, lane = outcome.batch, outcome.batch.lane
        count = len(batch.rows) - outcome.appended - outcome.overwritten
        second, whole = twins.pop(batch, (None, 0))
        if second is not None and whole == count and second in lane.resends:
            lane.resends.remove(second)
            dispatcher._ledger.confirm(second, now)
        not_stored(outcome, now)
        if batch.state is State.HALVED and outcome.cause.reason is Reason.REJECTED:
            twins[lane.resends[-2]] = lane.resends[-1], count

    dispatcher._not_stored = concluded  # type: ignore[method-assign]


def whole_rejection_is_final(run: Run) -> None:
    """An ingestion that rejected all of its rows is taken to be bad in each of them."""
    dispatcher = run.dispatcher
    not_stored = dispatcher._not_stored

    def taken_literally(outcome: Any, now: float) -> None:
        batch = outcome.batch
        if outcome.cause.reason is not Reason.REJECTED or not outcome.is_nothing_stored:
            not_stored(outcome, now)
            return
        dispatcher._ledger.unlist(batch)
        for row in batch.rows:
            batch.lane.queue.restore(row)
            dispatcher._reject(batch.lane, row, outcome.cause)
        dispatcher._ledger.release(batch, now)

    dispatcher._not_stored = taken_literally  # type: ignore[method-assign]


def ends_with_held_keys(run: Run) -> None:
    """The run ends though a first copy may still land."""
    dispatcher = run.dispatcher
    is_over = dispatcher.is_over

    def is_over_early(now: float, *, can_write: bool = True) -> bool:
        for lane in run.lanes:
            if run.has_read_all and not dispatcher.open_rows:
                lane.holds.clear()
        return is_over(now, can_write=can_write)

    dispatcher.is_over = is_over_early  # type: ignore[method-assign]


def second_copy_forgotten(run: Run) -> None:
    """Keys are let go when the first lost copy has landed, though a second one was lost since."""
    run.dispatcher._lost_answers.landed = lambda wait: list(wait.holds)  # type: ignore[method-assign]


def copies_sought_early(run: Run) -> None:
    """Keys are let go when the list shows no copy, without waiting for the list's lag."""
    lost_answers = run.dispatcher._lost_answers
    settings = SimpleNamespace(**vars(lost_answers._settings))
    settings.listing_lag_seconds = 0.0
    lost_answers._settings = settings  # type: ignore[assignment]


def any_size_adopted(run: Run) -> None:
    """The one ingestion that could be the lost one is adopted, whatever its size."""
    answered = run.dispatcher._tasks.answered

    def blind(request: Any, answer: object, now: float, *, holds_delay_rows: bool) -> Any:
        if isinstance(request.task, Search) and isinstance(answer, Ingestion):
            answer = dataclasses.replace(answer, received=request.task._rows)
        return answered(request, answer, now, holds_delay_rows=holds_delay_rows)

    run.dispatcher._tasks.answered = blind  # type: ignore[method-assign]


def change_searches(run: Run, change: Callable[[Any], object]) -> None:
    """Break every search for a lost batch right when it begins."""
    lost_answers = run.dispatcher._lost_answers
    search = lost_answers.search

    def search_changed(batch: Any, now: float) -> None:
        search(batch, now)
        change(batch.lane.search)

    lost_answers.search = search_changed  # type: ignore[method-assign]


def any_age_adopted(run: Run) -> None:
    """A lost batch is taken for an ingestion that is older than its request."""

    def ageless(search: Any) -> None:
        search._since, search._sure_from = None, float("-inf")

    change_searches(run, ageless)


def leftover_adopted(run: Run) -> None:
    """A lost batch is taken for an ingestion that was there before the first row."""
    earlier_run_adopted(run)
    for lane in run.lanes:
        known = lane.knows
        lane.knows = lambda name, lane=lane, known=known: name not in lane.strangers and known(name)  # type: ignore[method-assign]


def earlier_run_adopted(run: Run) -> None:
    """A lost batch is taken for an ingestion of a run that ended right before and was not listed then."""

    def trusting(search: Any) -> None:
        search._sure_from = float("-inf")

    change_searches(run, trusting)


def own_ingestions_forgotten(run: Run) -> None:
    """A lost batch is taken for an ingestion of this run that is confirmed."""
    for lane in run.lanes:
        lane.knows = lambda name, lane=lane: name in lane.accepted or name in lane.strangers  # type: ignore[method-assign]


def resent_within_the_lag(run: Run) -> None:
    """A lost batch without keys is looked for before the list can show it."""

    def hasty(search: Any) -> None:
        search.attempts.due_at = 0.0

    change_searches(run, hasty)


def first_page_only(run: Run) -> None:
    """The first page of the list is taken for all of it."""
    done = run.dispatcher.done

    def short_sighted(request: Any, answer: object, now: float) -> None:
        if isinstance(answer, IngestionsPage):
            answer = dataclasses.replace(answer, total_items=len(answer.entries))
        done(request, answer, now)

    run.dispatcher.done = short_sighted  # type: ignore[method-assign]


def counted_in_part(run: Run) -> None:
    """Counts that add up are believed, though fewer rows were received than sent."""
    confirmation = run.dispatcher._confirmation
    judge = confirmation._judge

    def content(batch: Any, ingestion: Ingestion, now: float) -> Any:
        if ingestion.received and ingestion.received == (ingestion.appended or 0) + (ingestion.rejected or 0):
            sent = len(batch.rows)
            ingestion = dataclasses.replace(ingestion, received=sent, appended=sent - ingestion.rejected)
        return judge(batch, ingestion, now)

    confirmation._judge = content  # type: ignore[method-assign]


def missing_is_refused(run: Run) -> None:
    """An ingestion that can't be read yet is taken for refused."""
    confirmation = run.dispatcher._confirmation
    answered = confirmation.answered

    def never_waiting(batch: Any, answer: object, now: float) -> Any:
        if isinstance(answer, MissingError):
            return [BatchNotStored(batch, Cause(Reason.REFUSED, None, "gone"), is_nothing_stored=True)]
        return answered(batch, answer, now)

    confirmation.answered = never_waiting  # type: ignore[method-assign]


def partly_stored_is_resent(run: Run) -> None:
    """A failed ingestion is sent once more, though some of it is stored and there are no keys."""
    replace_outcomes(
        run,
        BatchNotStored,
        lambda each: dataclasses.replace(each, is_nothing_stored=True) if each.may_pass else each,
    )


def replaced_row_dropped(run: Run) -> None:
    """What a rejected row had replaced is taken for superseded by it."""
    for lane in run.lanes:

        def restore(row: Any, lane: Any = lane) -> None:
            if row.older:
                lane.counts.superseded += len(row.older)
                run.dispatcher._ledger.close(row.older)
                row.older = None

        lane.queue.restore = restore  # type: ignore[method-assign]


def state_twice(run: Run) -> None:
    """A STATE is due again after it was written."""
    checkpoints = run.dispatcher._ledger.checkpoints
    take = checkpoints.take

    def forgetful(now: float, *, last: bool = False) -> bytes | None:
        state = take(now, last=last)
        checkpoints._due = checkpoints._due if state is None or last else state
        return state

    checkpoints.take = forgetful  # type: ignore[method-assign]


def last_state_unwritten(run: Run) -> None:
    """The interval between STATEs holds back the last one."""
    checkpoints = run.dispatcher._ledger.checkpoints
    take = checkpoints.take
    checkpoints.take = lambda now, **_: take(now)  # type: ignore[method-assign]


def retry_after_ignored(run: Run) -> None:
    """A 429 lowers the pace and pauses nothing."""
    refused = run.budget.refused
    run.budget.refused = lambda now, _: refused(now, 0.0)  # type: ignore[method-assign]


def window_ignored(run: Run) -> None:
    """Batches are sent though the window is full."""
    settings = SimpleNamespace(**vars(run.dispatcher.settings))
    settings.unconfirmed_batches = 10**6
    run.dispatcher.settings = settings  # type: ignore[assignment]


def counted_twice(run: Run) -> None:
    """Rows that a bad batch had stored are counted again with its halves."""
    dispatcher = run.dispatcher
    send = dispatcher._sent

    def uncounted(batch: Any, now: float) -> None:
        batch.is_counted = False
        send(batch, now)

    dispatcher._sent = uncounted  # type: ignore[method-assign]


def unknown_word_is_done(run: Run) -> None:
    """An ingestion of unknown status is taken for stored, whatever its counts."""
    confirmation = run.dispatcher._confirmation
    judge = confirmation._judge

    def content(batch: Any, ingestion: Ingestion, now: float) -> Any:
        if ingestion.status is IngestionStatus.UNKNOWN and batch.questions >= 1:
            sent = len(batch.rows)
            ingestion = dataclasses.replace(
                ingestion, received=sent, appended=sent, overwritten=0, rejected=0
            )
        return judge(batch, ingestion, now)

    confirmation._judge = content  # type: ignore[method-assign]


def odd_status_is_refused(run: Run) -> None:
    """A proxy's status after a POST is taken for a refusal of its rows."""
    done = run.dispatcher.done

    def taken_literally(request: Any, answer: Any, now: float) -> None:
        if isinstance(answer, LostAnswerError) and (answer.status or 0) >= PROXY_STATUS:
            answer = RefusedError("odd", method="POST", path="/", status=400)
        done(request, answer, now)

    run.dispatcher.done = taken_literally  # type: ignore[method-assign]
