"""Chooses the batch to send next, resends before new batches, and interprets the response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import LostAnswerError, RefusedError, TransientError
from target_databox.api.values import Accepted
from target_databox.delivery.batches import NEVER
from target_databox.delivery.outcomes import BatchAccepted, BatchLost, BatchNotSent, BatchNotStored, RunFails
from target_databox.delivery.rejections import Cause, Reason, code_and_message
from target_databox.delivery.requests import BLOCKED, PostRows

if TYPE_CHECKING:
    from target_databox.delivery.batches import Batch, Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.outcomes import Outcome
    from target_databox.delivery.requests import Blocked, Scheduler


class Posting:
    """POSTs of rows, of all datasets.

    Args:
        settings: When a batch is cut.
        lanes: All datasets; the list grows during the run.
        scheduler: Decides when requests start.
    """

    def __init__(self, settings: DeliverySettings, lanes: list[Lane], scheduler: Scheduler) -> None:
        self._settings = settings
        self._lanes = lanes
        self._scheduler = scheduler

    def resend(self, now: float, *, reserve: int) -> PostRows | Blocked | None:
        """The POST of a half or of a failed batch, if one is due.

        Args:
            now: The current time.
            reserve: Requests that the outcomes of all batches in flight will take.
        """
        for lane in self._lanes:
            if not (lane.resends and lane.may_post()):
                continue
            batch = lane.next_resend(now)
            due_at = batch.posting.due_at
            if due_at > now:
                self._scheduler.later(due_at)
                continue
            if not self._scheduler.may_start(lane, due_at, now, reserve):
                return BLOCKED
            lane.resends.remove(batch)
            return PostRows(lane, batch)
        return None

    def fresh(self, now: float, *, reserve: int, is_pressed: bool) -> PostRows | Blocked | None:
        """The POST of a new batch, if one is due, of the dataset that has waited longest.

        Args:
            now: The current time.
            reserve: Requests that the outcomes of all batches in flight will take.
            is_pressed: Whether batches are cut before they are full or old.
        """
        due_at, chosen = NEVER, None
        for lane in self._lanes:
            if lane.may_post_fresh():
                lane_due_at = lane.fresh_due_at(self._settings, is_pressed=is_pressed)
                if lane_due_at < due_at:
                    due_at, chosen = lane_due_at, lane
        if chosen is None or due_at > now:
            self._scheduler.later(due_at)
            return None
        if not self._scheduler.may_start(chosen, due_at, now, reserve):
            return BLOCKED
        return PostRows(chosen, chosen.cut(self._settings, now))

    def answered(self, batch: Batch, answer: object, now: float) -> list[Outcome]:
        """The outcomes that follow from the response to a POST."""
        if isinstance(answer, Accepted):
            return [BatchAccepted(batch, answer.ingestion_id)]
        if isinstance(answer, TransientError):
            is_planned = self._scheduler.plan(batch.lane, batch.posting, answer, now)
            what: Outcome = BatchLost(batch) if isinstance(answer, LostAnswerError) else BatchNotSent(batch)
            return [what] if is_planned else [what, RunFails(answer)]
        if isinstance(answer, RefusedError) and answer.may_blame_body:
            code, message = code_and_message(answer.problems, "the API gave no reason")
            cause = Cause(Reason.REFUSED, code, message, answer.request_id, status=answer.status)
            return [BatchNotStored(batch, cause, is_nothing_stored=True)]
        return [RunFails(answer)] if isinstance(answer, BaseException) else []
