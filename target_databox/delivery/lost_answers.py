"""After a POST whose answer was lost, so that its rows may be stored now, later or never. Pure.

Where the API recognises another copy by its idempotency key, the batch is sent again, and that is all. With
known keys the batch is sent again, and its keys stay held until the first copy can no longer land.
Without, it is looked for in the list of ingestions and adopted, or sent again when it is not there.
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

# An idempotency key is known for 24 hours (O), counted by another clock than ours.
RECOGNITION_SECONDS: Final = 23 * 3600.0
# What was lost within this time is looked for together.
SAME_MOMENT_SECONDS: Final = 1.0


class LostAnswers:
    """Held keys and searches of all datasets.

    Args:
        settings: How long the list may lag, and how long to wait for what it shows.
        notes: What is to be logged.
    """

    def __init__(self, settings: DeliverySettings, notes: Notes) -> None:
        self._settings = settings
        self._notes = notes

    # Where resends are recognised

    def may_be_forgotten(self, batch: Batch, now: float) -> bool:
        """Whether the API may take another copy of a lost batch, which must not be stored twice, for new."""
        is_harmless = batch.lane.destination.resends_safely
        age_seconds = now - batch.first_posted_at
        return batch.was_recognised and not is_harmless and age_seconds > RECOGNITION_SECONDS

    # With known keys

    def hold(self, batch: Batch, now: float) -> None:
        """Hold the keys of a batch that is sent again."""
        if batch.hold is None or batch.hold.is_over:
            batch.hold = Hold(now, batch.posted_after)
            batch.lane.holds.append(batch.hold)
        batch.hold.lost_at = now

    def look_for_copies(self, lane: Lane) -> None:
        """Plan the wait for first copies, where keys are held and none is planned."""
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
        """The holds that a wait for first copies has released.

        Of those that lost another answer meanwhile, that copy may not be listed yet.
        """
        lag = self._settings.listing_lag_seconds
        return [hold for hold in wait.holds if hold.lost_at + lag <= wait.began_at]

    def give_up(self, lane: Lane, finding: str) -> list[Hold]:
        """All holds of a dataset, where the run ends and nothing but its end waits for them."""
        self._notes.warning(
            "The answer to a batch of %s was lost, and %s. If its first copy is stored after rows of the "
            "next run, it brings back older values of their keys.",
            lane.destination,
            finding,
        )
        return list(lane.holds)

    # Without

    def search(self, batch: Batch, now: float) -> None:
        """Look for a batch that must not be sent twice."""
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
        # The planned wait stays; what the search takes beyond it is no failure of the POST.
        batch.posting.due_at = max(batch.posting.due_at, lane.search.began_at)

    def found(self, lane: Lane) -> list[Outcome]:
        """What a search that has ended says of its batch."""
        search, batch = lane.search, lane.searched
        if search is None or batch is None:
            return []
        # 1. It did not come to an end in time.
        if search.ended == "late":
            finding = "ingestions that could be the lost one are still pending, or the list has no end"
            return [unresolved(lane, finding)]
        # 2. Several could be the lost one, or one that may be somebody else's.
        if len(search.matches) > 1:
            return [unresolved(lane, f"{len(search.matches)} ingestions could be the lost one")]
        if search.is_unsure:
            finding = "an ingestion could be the lost one, or an earlier run's: their times don't tell"
            return [unresolved(lane, finding)]
        lane.search = lane.searched = None
        # 3. None is it.
        if not search.matches:
            return [BatchNotFound(batch)]
        # 4. Exactly one is it.
        (ingestion_id,) = search.matches
        self._notes.info(
            "Found ingestion %s of %s again, whose answer was lost.", ingestion_id, lane.destination
        )
        return [BatchAccepted(batch, ingestion_id, was_lost=True)]


def unresolved(lane: Lane, finding: str) -> RunFails:
    """The run ends, since a lost batch could not be accounted for."""
    return RunFails(
        UnconfirmedError(
            f"The answer to a batch of {lane.destination} was lost, and {finding}. Its rows may or "
            "may not be stored, so no STATE passes them. Look at the dataset's ingestions in Databox, then "
            "run again."
        )
    )


def _sure_from(lane: Lane, since: float | None) -> float:
    """Server's time from which an unknown ingestion can only be the lost one; see `Search`."""
    if lane.knows_all_older:
        return -math.inf
    if since is None:
        return math.inf
    if lane.destination.is_new:
        return since
    # An earlier run may have ended right before this one, with ingestions that were not listed yet.
    return math.inf if lane.server_began_at is None else lane.server_began_at + CLOCK_TOLERANCE_SECONDS
