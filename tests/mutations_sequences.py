"""Ways to break a simulated delivery that show only where runs differ, or where the API has odd habits."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from target_databox.api.errors import KeyRefusedError
from target_databox.delivery.outcomes import BatchNotStored, BatchPartlyStored
from target_databox.delivery.rejections import Cause, Reason
from target_databox.delivery.requests import Purge
from tests.mutations_v2 import change_answers
from tests.simulated_run import delivery_settings

if TYPE_CHECKING:
    from target_databox.api.values import Ingestion
    from tests.simulated_run import Run


def problems_are_rows(run: Run) -> None:
    """Of identical rows as many are taken for rejected as the API has problems with them."""
    judge = run.dispatcher._confirmation._judge

    def literal(batch: Any, ingestion: Ingestion, now: float) -> Any:
        outcomes = judge(batch, ingestion, now)
        told = [_plain(each.record) for each in ingestion.errors if isinstance(each.record, dict)]
        is_told = len(told) == ingestion.rejected and bool(told)
        if not (is_told and outcomes and isinstance(outcomes[0], BatchNotStored)):
            return outcomes
        rows, rejected = list(batch.rows), []
        for record in told:
            like = [row for row in rows if _plain(json.loads(row.body)) == record]
            if not like:
                return outcomes
            rows.remove(like[0])
            rejected.append((like[0], Cause(Reason.REJECTED, None, "named")))
        return [BatchPartlyStored(batch, tuple(rejected), len(rows), 0)]

    run.dispatcher._confirmation._judge = literal  # type: ignore[method-assign] # broken


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None}


def keys_counted_by_dataset(run: Run) -> None:
    """Idempotency keys are counted for each dataset, so that two datasets have the same."""
    for lane in run.lanes:
        count = itertools.count()
        lane.new_key = lambda count=count: f"{run.number:08x}-0000-4000-8000-{next(count):012x}"  # type: ignore[misc] # broken


def replaced_rows_sent_along(run: Run) -> None:
    """Rows that were replaced before they were sent are sent in front of their successors."""
    sent = run.dispatcher._sent

    def sent_with_all(batch: Any, now: float) -> None:
        rows = []
        for row in batch.rows:
            older, row.older = row.older or [], None
            rows += [*older, row]
        batch.rows = rows
        sent(batch, now)

    run.dispatcher._sent = sent_with_all  # type: ignore[method-assign] # broken


def first_settings_kept(run: Run) -> None:
    """A run has the window of the first run."""
    world = run.world
    if world.runs == 1:
        world.first_settings = delivery_settings(run)  # type: ignore[attr-defined] # kept there by it
    run.dispatcher.settings = world.first_settings  # type: ignore[attr-defined] # kept there by it


def forbidden_purge_is_done(run: Run) -> None:
    """A purge that the API forbids is taken for done."""

    def content(request: Any, answer: Any) -> Any:
        return None if isinstance(request, Purge) and isinstance(answer, KeyRefusedError) else answer

    change_answers(run, content)


def purge_key_is_the_datasets(run: Run) -> None:
    """The idempotency key of a purge is always the same, so that the next run's is answered and not done."""
    offer = run.dispatcher._tasks.request

    def same(now: float, *, is_settling: bool) -> Any:
        request = offer(now, is_settling=is_settling)
        if isinstance(request, Purge):
            key = "00000000-0000-4000-8000-ffffffffffff"
            return Purge(request.lane, request.task, key)
        return request

    run.dispatcher._tasks.request = same  # type: ignore[method-assign] # broken


def differing_keys_overlooked(run: Run) -> None:
    """A dataset is taken to have the keys that the stream would give it, whatever it has."""
    for index in [*run.conflicts]:
        del run.conflicts[index]
        keys = run.settings.streams[index].keys
        run.lane_of[index] = run._open(index, is_keyed=bool(keys), keys_are_known=True, is_new=False)
        run.lanes.append(run.lane_of[index])


def rows_before_a_bad_schema_dropped(run: Run) -> None:
    """A SCHEMA that can't be loaded ends the run at once, without the rows before it."""
    drain = run.dispatcher.drain

    def hasty() -> None:
        if run.failure is not None:
            run.dispatcher.settle(run.world.now)
        drain()

    run.dispatcher.drain = hasty  # type: ignore[method-assign] # broken


def schema_change_starts_over(run: Run) -> None:
    """After another SCHEMA of its stream a row no longer waits for the older one of its key."""
    put = run.dispatcher.put
    columns: dict[Any, Any] = {}

    def put_anew(lane: Any, rows: Any, now: float) -> None:
        index = next(each for each, one in run.lane_of.items() if one is lane)
        reading = run._reading(index)
        if columns.setdefault(lane, reading) != reading:
            columns[lane] = reading
            lane.queue._busy = _Forgetful(lane.queue._busy)
        put(lane, rows, now)

    run.dispatcher.put = put_anew  # type: ignore[method-assign] # broken


class _Forgetful(dict[Any, Any]):
    def __contains__(self, key: object) -> bool:
        return False
