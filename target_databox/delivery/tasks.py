"""Runs the background tasks of all datasets: starts their requests and interprets the responses. Pure.

The tasks themselves are in `background`. What they find out is applied by `opening` and `lost_answers`; what
concerns batches and held keys is returned as outcomes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import DataboxError, LostAnswerError, MissingError, TransientError
from target_databox.api.values import Ingestion, IngestionsPage
from target_databox.delivery.background import PendingWait
from target_databox.delivery.lost_answers import unresolved
from target_databox.delivery.outcomes import HoldsOver, RunFails
from target_databox.delivery.requests import BLOCKED, Purge, ReadIngestion, ReadList, request_of

if TYPE_CHECKING:
    from target_databox.delivery.background import Task
    from target_databox.delivery.batches import Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.lost_answers import LostAnswers
    from target_databox.delivery.opening import Opening
    from target_databox.delivery.outcomes import Outcome
    from target_databox.delivery.requests import Blocked, Scheduler


class Tasks:
    """The background tasks of all datasets.

    Args:
        settings: How long the list of ingestions may lag.
        lanes: All datasets; the list grows during the run.
        scheduler: Decides when requests start.
        opening: Prepares datasets.
        lost_answers: Manages held keys and searches.
    """

    def __init__(
        self,
        settings: DeliverySettings,
        lanes: list[Lane],
        scheduler: Scheduler,
        *,
        opening: Opening,
        lost_answers: LostAnswers,
    ) -> None:
        self._settings = settings
        self._lanes = lanes
        self._scheduler = scheduler
        self._opening = opening
        self._lost_answers = lost_answers

    def request(self, now: float, *, is_settling: bool) -> ReadList | ReadIngestion | Purge | Blocked | None:
        """The request of a task that is due.

        Args:
            now: The current time.
            is_settling: Whether no new batches are sent; then only waits for first copies go on.
        """
        for lane in self._lanes:
            if not lane.has_tasks:
                continue
            self._lost_answers.look_for_copies(lane)
            for task in lane.tasks():
                if task.is_away or (is_settling and task is not lane.copies):
                    continue
                due_at = task.attempts.due_at
                if due_at > now:
                    self._scheduler.later(due_at)
                    continue
                if not self._scheduler.may_start(lane, due_at, now):
                    return BLOCKED
                task.started(now)
                return request_of(lane, task)
        return None

    def answered(
        self, request: ReadList | ReadIngestion | Purge, answer: object, now: float, *, holds_delay_rows: bool
    ) -> list[Outcome]:
        """The outcomes that follow from the response to a task.

        Args:
            request: The request.
            answer: The API's response, or its error.
            now: The current time.
            holds_delay_rows: Whether rows may wait for held keys. Otherwise only the end of the run does, and
                holds that can't be resolved end with a warning.
        """
        lane, task = request.lane, request.task
        if task is None:
            return []
        task.is_away = False
        # A listed ingestion may not be readable yet.
        is_missing = isinstance(request, ReadIngestion) and isinstance(answer, MissingError)
        if isinstance(answer, DataboxError) and not is_missing:
            return self._failed(request, task, answer, now, holds_delay_rows=holds_delay_rows)
        task.attempts.succeeded()
        task.take(answer if isinstance(answer, (IngestionsPage, Ingestion)) else None, now)
        if task.ended is None:
            return []
        if task is lane.opening:
            self._opening.ended(lane, now)
            return []
        if task is lane.search:
            return self._lost_answers.found(lane)
        return self._copies_ended(lane, holds_delay_rows=holds_delay_rows)

    def _failed(
        self,
        request: ReadList | ReadIngestion | Purge,
        task: Task,
        error: DataboxError,
        now: float,
        *,
        holds_delay_rows: bool,
    ) -> list[Outcome]:
        lane = request.lane
        # 1. It is tried again.
        if isinstance(error, TransientError) and self._scheduler.plan(lane, task.attempts, error, now):
            is_lost_purge = isinstance(request, Purge) and isinstance(error, LostAnswerError)
            if is_lost_purge and not lane.destination.resends_are_recognised:
                # The lost purge may still be carried out, and must not delete rows. So purge again after the
                # lag; rows are sent only once that has succeeded.
                lag_is_over_at = now + self._settings.listing_lag_seconds
                task.attempts.due_at = max(task.attempts.due_at, lag_is_over_at)
            return []
        # 2. Every row is confirmed and every STATE is due, so this is no reason to fail.
        if task is lane.copies and not holds_delay_rows:
            return self._given_up(lane, f"the list of ingestions can't be read ({error.happened})")
        # 3. The run ends.
        return [RunFails(error)]

    def _copies_ended(self, lane: Lane, *, holds_delay_rows: bool) -> list[Outcome]:
        wait = lane.copies
        if not isinstance(wait, PendingWait):
            return []
        if wait.ended == "done":
            lane.copies = None
            return [HoldsOver(lane, tuple(self._lost_answers.landed(wait)))]
        finding = "ingestions that this run did not make are still pending"
        return [unresolved(lane, finding)] if holds_delay_rows else self._given_up(lane, finding)

    def _given_up(self, lane: Lane, finding: str) -> list[Outcome]:
        lane.copies = None
        return [HoldsOver(lane, tuple(self._lost_answers.give_up(lane, finding)))]
