"""Sends batches: halves and those whose POST failed first, new ones where the window has a place for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import LostAnswerError, MissingError, RefusedError, TransientError
from target_databox.api.shapes import Accepted
from target_databox.delivery.course import Mode
from target_databox.delivery.gate import BLOCKED
from target_databox.delivery.lane import NEVER
from target_databox.delivery.model import PostRows

if TYPE_CHECKING:
    from target_databox.delivery.confirmation import Confirmation
    from target_databox.delivery.course import Course
    from target_databox.delivery.gate import Blocked, Gate
    from target_databox.delivery.lane import Lane
    from target_databox.delivery.ledger import Ledger
    from target_databox.delivery.model import Batch, Policy
    from target_databox.delivery.patience import Patience
    from target_databox.delivery.recovery import Recovery
    from target_databox.delivery.verdicts import Verdicts


class Posting:
    """POSTs of rows, of all datasets.

    Args:
        policy: When a batch is cut.
        lanes: All datasets; grows during the run.
        course: Says whether new batches may go out; ended by a dataset that is gone.
        ledger: Counts the places of the window.
        verdicts: What judges refused batches.
        confirmation: Where accepted batches go, and what their outcomes will cost.
        recovery: Where batches go whose answer was lost.
        gate: Where every request gets its turn.
        patience: What plans another try.
    """

    def __init__(
        self,
        policy: Policy,
        lanes: list[Lane],
        *,
        course: Course,
        ledger: Ledger,
        verdicts: Verdicts,
        confirmation: Confirmation,
        recovery: Recovery,
        gate: Gate,
        patience: Patience,
    ) -> None:
        self._policy = policy
        self._lanes = lanes
        self._course = course
        self._ledger = ledger
        self._verdicts = verdicts
        self._confirmation = confirmation
        self._recovery = recovery
        self._gate = gate
        self._patience = patience

    def resend(self, now: float, server_time: float | None) -> PostRows | Blocked | None:
        """The batch that goes first, if one is due."""
        for lane in self._lanes:
            if not (lane.resends and lane.may_post()):
                continue
            batch = lane.next_resend(now)
            if batch is None:
                continue
            due_at = batch.posting.due_at
            if due_at > now:
                self._gate.later(due_at)
                continue
            if not self._gate.lets(lane, due_at, now, self._confirmation.cost):
                return BLOCKED
            lane.resends.remove(batch)
            return self._post(batch, now, server_time)
        return None

    def fresh(self, now: float, server_time: float | None) -> PostRows | Blocked | None:
        """A new batch, if one is due and has a place; of several datasets the one that has waited longest."""
        if self._ledger.places >= self._policy.unconfirmed_batches:
            return None
        is_draining = self._course.mode is Mode.DRAINING
        is_pressed = is_draining or self._ledger.held_bytes >= self._policy.unconfirmed_bytes
        due_at, chosen = NEVER, None
        for lane in self._lanes:
            if lane.queue.ready and lane.may_post() and not (lane.is_serial and lane.resends):
                lane_due_at = lane.fresh_due_at(self._policy, is_pressed=is_pressed)
                if lane_due_at < due_at:
                    due_at, chosen = lane_due_at, lane
        if chosen is None or due_at > now:
            self._gate.later(due_at)
            return None
        if not self._gate.lets(chosen, due_at, now, self._confirmation.cost):
            return BLOCKED
        self._ledger.places += 1
        return self._post(chosen.cut(self._policy, now), now, server_time)

    def _post(self, batch: Batch, now: float, server_time: float | None) -> PostRows:
        batch.lane.posting += 1
        if batch.first_posted_at > now:
            batch.first_posted_at = now
            batch.lane.counts.batches += 1
        batch.posting.started(now)
        if not batch.was_lost:
            batch.posted_after = server_time
        return PostRows(batch.lane, batch)

    def answered(self, batch: Batch, answer: object, now: float) -> None:
        """Take in the answer to a POST."""
        lane = batch.lane
        lane.posting -= 1
        if isinstance(answer, Accepted):
            batch.posting.succeeded()
            batch.ingestion_id = answer.ingestion_id
            self._confirmation.accept(batch, now)
        elif isinstance(answer, LostAnswerError):
            self._patience.try_later(lane, batch.posting, answer, now)
            self._recovery.lost(batch, now)
        elif isinstance(answer, TransientError):
            self._patience.try_later(lane, batch.posting, answer, now)
            lane.resends.append(batch)
        elif isinstance(answer, MissingError) or (
            isinstance(answer, RefusedError) and not _is_of_rows(answer)
        ):
            self._course.fail(answer, now)
        elif isinstance(answer, RefusedError):
            self._verdicts.refused(batch, answer, now)


def _is_of_rows(error: RefusedError) -> bool:
    """Whether the rows may be why: a redirect or a server that can't says nothing of them."""
    return error.status is None or 200 <= error.status < 300 or 400 <= error.status < 500
