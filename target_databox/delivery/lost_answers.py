"""Handles lost answers to POSTs, after which the rows may be stored now, later or never. Pure.

Theory of operation
===================

1. The API recognises another copy by its idempotency key: the batch is just sent again, unless the API may
   have forgotten the key (`may_be_forgotten`).
2. Otherwise, with known primary keys: the batch is sent again, which changes nothing if the first copy is
   stored. But the first copy may still be stored late, over newer rows. So its primary keys are held, until
   the list lag has passed and no unknown ingestion is pending (`hold`, `look_for_copies`, `landed`).
3. Otherwise a second copy would be stored twice. So the lost ingestion is searched for in the list; it is
   adopted if exactly one matches, and the batch is sent again if none does (`search`, `found`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from target_databox.delivery.background import CLOCK_TOLERANCE_SECONDS, Hold, PendingWait, Search
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.outcomes import BatchAccepted, BatchNotFound, RunFails

if TYPE_CHECKING:
    from target_databox.delivery.batches import Batch, Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.notes import Notes
    from target_databox.delivery.outcomes import Outcome

# The API knows an idempotency key for 24 hours (O) by its own clock, which may differ from ours.
RECOGNITION_SECONDS: Final = 23 * 3600.0
# Answers lost within this time are handled by one wait for first copies.
SAME_MOMENT_SECONDS: Final = 1.0


class LostAnswers:
    """Manages held keys and searches, of all datasets.

    Args:
        settings: How long the list may lag, and how long to wait or search.
        notes: Lines for the log.
    """

    def __init__(self, settings: DeliverySettings, notes: Notes) -> None:
        self._settings = settings
        self._notes = notes

    # 1. Resends are recognised

    def may_be_forgotten(self, batch: Batch, now: float) -> bool:
        """Whether a resend could be stored twice, since the batch's idempotency key is too old."""
        is_harmless = batch.lane.destination.resends_safely
        age_seconds = now - batch.first_posted_at
        return batch.was_recognised and not is_harmless and age_seconds > RECOGNITION_SECONDS

    # 2. Known primary keys

    def hold(self, batch: Batch, now: float) -> None:
        """Hold the keys of a batch that is sent again, or prolong their hold."""
        if batch.hold is None or batch.hold.is_over:
            batch.hold = Hold(now, batch.posted_after)
            batch.lane.holds.append(batch.hold)
        else:
            batch.hold.lost_at = now

    def look_for_copies(self, lane: Lane) -> None:
        """Start a wait for first copies, if keys are held and no wait is running."""
        if not lane.holds or lane.copies is not None:
            return
        lag = self._settings.listing_lag_seconds
        oldest_at = min(hold.lost_at for hold in lane.holds)
        holds = tuple(hold for hold in lane.holds if hold.lost_at <= oldest_at + SAME_MOMENT_SECONDS)
        known = [hold.posted_after for hold in holds if hold.posted_after is not None]
        lane.copies = PendingWait(
            max(hold.lost_at for hold in holds) + lag,
            is_known=lane.knows,
            since=min(known) - CLOCK_TOLERANCE_SECONDS if len(known) == len(holds) else None,
            timeout_seconds=self._settings.confirmation_timeout_seconds,
            holds=holds,
        )

    def landed(self, wait: PendingWait) -> list[Hold]:
        """The holds that a completed wait for first copies releases.

        A hold that lost another answer in the meantime is not released: that copy may not be listed yet.
        """
        lag = self._settings.listing_lag_seconds
        return [hold for hold in wait.holds if hold.lost_at + lag <= wait.began_at]

    def give_up(self, lane: Lane, finding: str) -> list[Hold]:
        """All holds of a dataset, which end with a warning. For use only when no row waits for them."""
        self._notes.warning(
            "The answer to a batch of %s was lost, and %s. If its first copy is stored after rows of the "
            "next run, it overwrites them with older values.",
            lane.destination,
            finding,
        )
        return list(lane.holds)

    # 3. No known primary keys

    def search(self, batch: Batch, now: float) -> None:
        """Start to search for a batch that must not be sent twice."""
        lane = batch.lane
        since = None if batch.posted_after is None else batch.posted_after - CLOCK_TOLERANCE_SECONDS
        lane.searched = batch
        lane.search = Search(
            now + self._settings.listing_lag_seconds,
            rows=len(batch.rows),
            is_known=lane.knows,
            since=since,
            sure_from=_sure_from(lane, since),
            timeout_seconds=self._settings.confirmation_timeout_seconds,
        )
        # The planned wait still applies. The time of the search must not count as failing time of the POST.
        batch.posting.due_at = max(batch.posting.due_at, lane.search.began_at)

    def found(self, lane: Lane) -> list[Outcome]:
        """The outcomes of a search that has ended."""
        search, batch = lane.search, lane.searched
        if search is None or batch is None:
            return []
        # 1. Its time is up.
        if search.ended == "late":
            finding = "ingestions that could be the lost one are still pending, or the list has no end"
            return [unresolved(lane, finding)]
        # 2. Several ingestions match, or one that may be an earlier run's.
        if len(search.matches) > 1:
            return [unresolved(lane, f"{len(search.matches)} ingestions could be the lost one")]
        if search.is_unsure:
            finding = "an ingestion could be the lost one or an earlier run's; its time does not decide which"
            return [unresolved(lane, finding)]
        lane.search = lane.searched = None
        # 3. No ingestion matches.
        if not search.matches:
            return [BatchNotFound(batch)]
        # 4. Exactly one matches.
        (ingestion_id,) = search.matches
        self._notes.info("Found ingestion %s of %s, whose answer was lost.", ingestion_id, lane.destination)
        return [BatchAccepted(batch, ingestion_id, was_lost=True)]


def unresolved(lane: Lane, finding: str) -> RunFails:
    """The outcome that ends the run, since it is unknown whether a lost batch is stored."""
    return RunFails(
        UnconfirmedError(
            f"The answer to a batch of {lane.destination} was lost, and {finding}. Its rows may or "
            "may not be stored, so no STATE passes them. Look at the dataset's ingestions in Databox, then "
            "run again."
        )
    )


def _sure_from(lane: Lane, since: float | None) -> float:
    """Server's time from which an unknown ingestion can't be an earlier run's; see `Search`."""
    # 1. Every other ingestion of the dataset is known.
    if lane.knows_all_older:
        return -math.inf
    # 2. The server's time at the POST is unknown.
    if since is None:
        return math.inf
    # 3. The dataset is new, so there is no earlier run.
    if lane.destination.is_new:
        return since
    # 4. An earlier run may have ended just before this one, with ingestions that were not listed yet.
    return math.inf if lane.server_began_at is None else lane.server_began_at + CLOCK_TOLERANCE_SECONDS
