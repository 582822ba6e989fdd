"""Ways to break a simulated delivery by API v2, each as a function that changes a run before it starts."""

from __future__ import annotations

import dataclasses
import json
import uuid
from typing import TYPE_CHECKING, Any

from target_databox.api.errors import LostAnswerError, RefusedError, UnreachableError
from target_databox.api.values import Ingestion, IngestionStatus
from target_databox.delivery.batches import Event, State
from target_databox.delivery.named_rows import named_rows
from target_databox.delivery.outcomes import BatchNotStored, BatchPartlyStored
from target_databox.delivery.rejections import Cause, Reason
from target_databox.delivery.requests import PostRows, Purge
from tests.mutations import replaced_row_dropped

if TYPE_CHECKING:
    from tests.simulated_run import Run

NAMESPACE = uuid.UUID("00000000-0000-4000-8000-000000000000")


def change_answers(run: Run, change: Any) -> None:
    """Let the dispatcher take in another answer than the API gave: `change(request, answer)`."""
    done = run.dispatcher.done
    run.dispatcher.done = lambda request, answer, now: done(request, change(request, answer), now)  # type: ignore[method-assign]


def _before_sending(run: Run, change: Any) -> None:
    """Change every batch right before each try of its POST."""
    sent = run.dispatcher._sent

    def sent_changed(batch: Any, now: float) -> None:
        change(batch)
        sent(batch, now)

    run.dispatcher._sent = sent_changed  # type: ignore[method-assign]


def _after_bad_batches(run: Run, event: Event, change: Any) -> None:
    """Change what follows an event of a batch that is not stored whole: `change(batch, old key)`."""
    not_stored = run.dispatcher._not_stored

    def not_stored_changed(outcome: Any, now: float) -> None:
        batch, key = outcome.batch, outcome.batch.idempotency_key
        happened: list[Event] = []
        resends = len(batch.lane.resends)
        not_stored(outcome, now)
        if batch.state is State.HALVED:
            happened.append(Event.DIVIDED)
        elif batch.state is State.READY and len(batch.lane.resends) > resends:
            happened.append(Event.FAILED)
        if event in happened:
            change(batch, key)

    run.dispatcher._not_stored = not_stored_changed  # type: ignore[method-assign]


def new_key_at_each_try(run: Run) -> None:
    """Every try of a POST has an idempotency key of its own."""

    def renew(batch: Any) -> None:
        batch.idempotency_key = batch.lane.new_key()

    _before_sending(run, renew)


def key_of_the_rows(run: Run) -> None:
    """The idempotency key is made of the rows, so that another load of the same rows has it as well."""

    def derive(batch: Any) -> None:
        body = b",".join(row.body for row in batch.rows)
        batch.idempotency_key = str(uuid.uuid5(NAMESPACE, body.decode()))

    _before_sending(run, derive)


def key_kept_for_halves(run: Run) -> None:
    """Halves have the idempotency key of the whole."""

    def keep(batch: Any, key: str) -> None:
        batch.lane.resends[-1].idempotency_key = batch.lane.resends[-2].idempotency_key = key

    _after_bad_batches(run, Event.DIVIDED, keep)


def key_kept_for_first_half(run: Run) -> None:
    """The first half has the idempotency key of the whole."""

    def keep(batch: Any, key: str) -> None:
        batch.lane.resends[-2].idempotency_key = key

    _after_bad_batches(run, Event.DIVIDED, keep)


def key_kept_after_failure(run: Run) -> None:
    """A batch whose ingestion failed is sent again with its old idempotency key."""

    def keep(batch: Any, key: str) -> None:
        batch.idempotency_key = key

    _after_bad_batches(run, Event.FAILED, keep)


def one_key_for_all(run: Run) -> None:
    """All batches of a run have one idempotency key."""
    key = run.world.new_key()
    for lane in run.lanes:
        lane.new_key = lambda: key


def new_key_for_each_purge(run: Run) -> None:
    """Every try of a purge has an idempotency key of its own, so that a late one empties the dataset."""
    offer = run.dispatcher._tasks.request

    def renewed(now: float, *, is_settling: bool) -> Any:
        request = offer(now, is_settling=is_settling)
        if isinstance(request, Purge):
            return dataclasses.replace(request, idempotency_key=run.world.new_key())
        return request

    run.dispatcher._tasks.request = renewed  # type: ignore[method-assign]


def purged_is_stored(run: Run) -> None:
    """An ingestion that was purged is taken for a success, since its counts add up."""

    def forgive(request: Any, answer: Any) -> Any:
        if isinstance(answer, Ingestion) and answer.word == "purged":
            return dataclasses.replace(answer, status=IngestionStatus.DONE)
        return answer

    change_answers(run, forgive)


def lost_is_not_sent(run: Run) -> None:
    """A lost answer to rows without keys is taken for a request that never left: again, as a new one."""

    def hope(request: Any, answer: Any) -> Any:
        is_lost = isinstance(request, PostRows) and isinstance(answer, LostAnswerError)
        if is_lost and not request.lane.destination.is_keyed:
            request.batch.idempotency_key = request.lane.new_key()
            return UnreachableError("never left", method="POST", path="/")
        return answer

    change_answers(run, hope)


def conflict_is_refusal(run: Run) -> None:
    """A 409, which says that the first copy is being carried out, is taken for a refusal of the rows."""

    def take_literally(request: Any, answer: Any) -> Any:
        if isinstance(answer, LostAnswerError) and answer.status == 409 and isinstance(request, PostRows):
            return RefusedError("conflict", method="POST", path="/", status=409)
        return answer

    change_answers(run, take_literally)


def some_named_is_all_named(run: Run) -> None:
    """What an ingestion names is taken for all that it rejected, though it counts more."""
    judge = run.dispatcher._confirmation._judge

    def content(batch: Any, ingestion: Ingestion, now: float) -> Any:
        outcomes = judge(batch, ingestion, now)
        for count in range(ingestion.rejected or 0, 0, -1):
            named = named_rows(batch.rows, ingestion.errors, count)
            if named and outcomes and isinstance(outcomes[0], BatchNotStored):
                cause = Cause(Reason.REJECTED, None, "named")
                rejected = tuple((row, cause) for row, _ in named)
                stored = len(batch.rows) - len(named)
                return [BatchPartlyStored(batch, rejected, stored, 0)]
        return outcomes

    run.dispatcher._confirmation._judge = content  # type: ignore[method-assign]


def named_while_pending(run: Run) -> None:
    """As soon as a pending ingestion names rows, the others are taken for stored."""
    judge = run.dispatcher._confirmation._judge

    def hasty(batch: Any, ingestion: Ingestion, now: float) -> Any:
        if any(isinstance(each.record, dict) for each in ingestion.errors):
            sent, rejected = len(batch.rows), ingestion.rejected or 0
            ingestion = dataclasses.replace(
                ingestion, received=sent, appended=sent - rejected, overwritten=0, status=IngestionStatus.DONE
            )
        return judge(batch, ingestion, now)

    run.dispatcher._confirmation._judge = hasty  # type: ignore[method-assign]


def others_of_named_forgotten(run: Run) -> None:
    """Of a batch whose rejected rows are named, the others never get their outcome."""
    dispatcher = run.dispatcher
    confirm = dispatcher._ledger.confirm

    def rejected_only(batch: Any, now: float, *, rejected: Any = ()) -> None:
        if not rejected:
            confirm(batch, now)
            return
        dispatcher._ledger.release(batch, now)

    dispatcher._ledger.confirm = rejected_only  # type: ignore[method-assign]


def named_row_is_confirmed(run: Run) -> None:
    """A row that is named as rejected is confirmed with the others."""
    dispatcher = run.dispatcher

    def all_confirmed(outcome: Any, now: float) -> None:
        outcome.batch.happened(Event.MIXED)
        dispatcher._count(outcome.batch, outcome.appended, outcome.overwritten)
        dispatcher._ledger.confirm(outcome.batch, now)

    dispatcher._partly_stored = all_confirmed  # type: ignore[method-assign]


def others_of_named_sent_again(run: Run) -> None:
    """Of a batch whose rejected rows are named, the halves are sent all the same."""
    partly_stored = run.dispatcher._partly_stored

    def halved(outcome: Any, now: float) -> None:
        batch = outcome.batch
        if len(batch.rows) == 1:
            partly_stored(outcome, now)
            return
        cause = Cause(Reason.REJECTED, None, "named")
        run.dispatcher._not_stored(
            BatchNotStored(
                batch,
                cause,
                is_nothing_stored=True,
                appended=outcome.appended,
                overwritten=outcome.overwritten,
            ),
            now,
        )

    run.dispatcher._partly_stored = halved  # type: ignore[method-assign]


def replaced_by_named_dropped(run: Run) -> None:
    """What a named row had replaced is taken for superseded by it."""
    replaced_row_dropped(run)


def keys_held_all_the_same(run: Run) -> None:
    """A lost answer holds keys until its first copy can't land any more, as under v1."""
    dispatcher = run.dispatcher

    def lost(batch: Any, now: float) -> None:
        batch.lost_answers += 1
        batch.happened(Event.LOST_AND_HELD)
        dispatcher._lost_answers.hold(batch, now)
        batch.lane.send_again(batch)

    dispatcher._lost = lost  # type: ignore[method-assign]


def key_never_forgotten(run: Run) -> None:
    """A lost batch is sent again after any time, as if the API kept idempotency keys for ever."""
    run.dispatcher._lost_answers.may_be_forgotten = lambda *_: False  # type: ignore[method-assign]


def doubtful_row_named(run: Run) -> None:
    """Of rows that look the same once numbers are rounded, the first is taken for the one that is meant."""
    judge = run.dispatcher._confirmation._judge

    def sure(batch: Any, ingestion: Ingestion, now: float) -> Any:
        outcomes = judge(batch, ingestion, now)
        told = [each.record for each in ingestion.errors if isinstance(each.record, dict)]
        is_told = len(told) == ingestion.rejected and bool(told)
        if not (is_told and outcomes and isinstance(outcomes[0], BatchNotStored)):
            return outcomes
        rows = list(batch.rows)
        rejected = []
        for record in told:
            like = [row for row in rows if _is_like(json.loads(row.body), record)]
            if not like:
                return outcomes
            rows.remove(like[0])
            rejected.append((like[0], Cause(Reason.REJECTED, None, "named")))
        stored = len(batch.rows) - len(rejected)
        return [BatchPartlyStored(batch, tuple(rejected), stored, 0)]

    run.dispatcher._confirmation._judge = sure  # type: ignore[method-assign]


def _is_like(row: dict[str, Any], record: dict[str, Any]) -> bool:
    return all(float(value) == float(record[name]) for name, value in row.items())
