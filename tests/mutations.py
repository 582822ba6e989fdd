"""Ways to break a simulated delivery, each as a function that changes a run before it starts."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from target_databox.api.errors import MissingError
from target_databox.api.shapes import Ingestion, IngestionsPage, IngestionStatus
from target_databox.delivery.errands import PurgeOnce, Search
from target_databox.delivery.model import Verdict

if TYPE_CHECKING:
    from tests.simulation import Run


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

    def is_over_early(now: float, *, can_write: bool = True) -> bool:
        is_read = run.has_read_all
        return is_over(now, can_write=can_write) or (
            is_read and not dispatcher._away and not any(len(x.queue) for x in run.lanes)
        )

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
    """The second half of a bad batch is taken for stored."""
    verdicts = run.dispatcher._verdicts
    send = verdicts._send
    is_first = True

    def send_first(batch: Any, now: float) -> None:
        nonlocal is_first
        if batch.slot.parts == 1 or is_first:
            send(batch, now)
        else:
            verdicts.stored(batch, now)
        is_first = not is_first

    verdicts._send = send_first  # type: ignore[method-assign]


def judged_by_subtraction(run: Run) -> None:
    """The second half is taken for stored where the first one rejected as many rows as the whole did."""
    verdicts = run.dispatcher._verdicts
    rejected, halve = verdicts.rejected, verdicts._halve
    counts: dict[Any, int] = {}
    twins: dict[Any, Any] = {}

    def halve_and_note(batch: Any, now: float) -> None:
        halve(batch, now)
        first, second = list(batch.lane.resends)[-2:]
        if batch in counts:
            twins[first] = second, counts[batch]

    def rejected_and_concluded(batch: Any, ingestion: Any, now: float) -> None:
        counts[batch] = ingestion.rejected
        second, count = twins.pop(batch, (None, 0))
        if second is not None and count == ingestion.rejected and second in second.lane.resends:
            second.lane.resends.remove(second)
            verdicts.stored(second, now)
        rejected(batch, ingestion, now)

    verdicts.rejected = rejected_and_concluded  # type: ignore[method-assign]
    verdicts._halve = halve_and_note  # type: ignore[method-assign]


def whole_rejection_is_final(run: Run) -> None:
    """An ingestion that rejected all of its rows is taken to be bad in each of them."""
    verdicts = run.dispatcher._verdicts
    rejected = verdicts.rejected

    def taken_literally(batch: Any, ingestion: Any, now: float) -> None:
        if ingestion.rejected < len(batch.rows):
            rejected(batch, ingestion, now)
            return
        run.dispatcher._ledger.unlist(batch)
        verdict = Verdict("rejected", None, "all", None, ingestion.id)
        for row in batch.rows:
            batch.lane.queue.restore(row)
            verdicts._reject(batch.lane, row, verdict)
        run.dispatcher._ledger.release(batch, now)

    verdicts.rejected = taken_literally  # type: ignore[method-assign]


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
    recovery = run.dispatcher._recovery

    def landed(lane: Any, errand: Any, now: float) -> None:
        lane.copies = None
        for hold in errand.holds:
            run.dispatcher._ledger.end_hold(lane, hold, now)

    recovery._landed = landed  # type: ignore[method-assign]


def copies_sought_early(run: Run) -> None:
    """Keys are let go when the list shows no copy, without waiting for the list's lag."""
    recovery = run.dispatcher._recovery
    recovery._policy = dataclasses.replace(recovery._policy, listing_lag_seconds=0.0)


def any_size_adopted(run: Run) -> None:
    """The one ingestion that could be the lost one is adopted, whatever its size."""
    recovery = run.dispatcher._recovery
    returned = recovery.returned

    def blind(request: Any, answer: object, now: float) -> None:
        if isinstance(request.errand, Search) and isinstance(answer, Ingestion):
            answer = dataclasses.replace(answer, received=len(request.errand.batch.rows))
        returned(request, answer, now)

    recovery.returned = blind  # type: ignore[method-assign]


def any_age_adopted(run: Run) -> None:
    """A lost batch is taken for an ingestion that is older than its request."""
    recovery = run.dispatcher._recovery
    lost = recovery.lost

    def ageless(batch: Any, now: float) -> None:
        lost(batch, now)
        if batch.lane.search is not None:
            batch.lane.search._since = None
            batch.lane.search._is_perhaps_earlier = lambda _: False
            batch.lane.knows_all_older = True

    recovery.lost = ageless  # type: ignore[method-assign]


def leftover_adopted(run: Run) -> None:
    """A lost batch is taken for an ingestion that was there before the first row."""
    earlier_run_adopted(run)
    for lane in run.lanes:
        known = lane.knows
        lane.knows = lambda name, lane=lane, known=known: name not in lane.strangers and known(name)  # type: ignore[method-assign]


def earlier_run_adopted(run: Run) -> None:
    """A lost batch is taken for an ingestion of a run that ended right before and was not listed then."""
    recovery = run.dispatcher._recovery
    lost = recovery.lost

    def trusting(batch: Any, now: float) -> None:
        lost(batch, now)
        if batch.lane.search is not None:
            batch.lane.search._is_perhaps_earlier = lambda _: False

    recovery.lost = trusting  # type: ignore[method-assign]


def own_ingestions_forgotten(run: Run) -> None:
    """A lost batch is taken for an ingestion of this run that is confirmed."""
    for lane in run.lanes:
        lane.knows = lambda name, lane=lane: name in lane.accepted or name in lane.strangers  # type: ignore[method-assign]


def resent_within_the_lag(run: Run) -> None:
    """A lost batch without keys is looked for before the list can show it."""
    recovery = run.dispatcher._recovery
    lost = recovery.lost

    def hasty(batch: Any, now: float) -> None:
        lost(batch, now)
        if batch.lane.search is not None:
            batch.lane.search.attempts.due_at = now

    recovery.lost = hasty  # type: ignore[method-assign]


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
    outcome = confirmation._outcome

    def content(batch: Any, ingestion: Ingestion, now: float) -> None:
        if ingestion.received and ingestion.received == (ingestion.appended or 0) + (ingestion.rejected or 0):
            sent = len(batch.rows)
            ingestion = dataclasses.replace(ingestion, received=sent, appended=sent - ingestion.rejected)
        outcome(batch, ingestion, now)

    confirmation._outcome = content  # type: ignore[method-assign]


def missing_is_refused(run: Run) -> None:
    """An ingestion that can't be read yet is taken for refused."""
    confirmation, verdicts = run.dispatcher._confirmation, run.dispatcher._verdicts
    answered = confirmation.answered

    def impatient(batch: Any, answer: object, now: float) -> None:
        if isinstance(answer, MissingError):
            verdicts.refused(batch, answer, now)
        else:
            answered(batch, answer, now)

    confirmation.answered = impatient  # type: ignore[method-assign]


def partly_stored_is_resent(run: Run) -> None:
    """A failed ingestion is sent once more, though some of it is stored and there are no keys."""
    verdicts = run.dispatcher._verdicts
    failed = verdicts.failed
    verdicts.failed = lambda batch, ingestion, _, now: failed(batch, ingestion, 0, now)  # type: ignore[method-assign]


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
    posting = run.dispatcher._posting
    posting._policy = dataclasses.replace(posting._policy, unconfirmed_batches=10**6)


def counted_twice(run: Run) -> None:
    """Rows that a bad batch had stored are counted again with its halves."""
    verdicts = run.dispatcher._verdicts
    send = verdicts._send

    def uncounted(batch: Any, now: float) -> None:
        batch.was_counted = False
        send(batch, now)

    verdicts._send = uncounted  # type: ignore[method-assign]
