"""Prepares a dataset before its first row: waits for ingestions of earlier runs, and purges. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from target_databox.delivery.background import PendingWait, PurgeOnce

if TYPE_CHECKING:
    from target_databox.delivery.batches import Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.notes import Notes

# Ingestions that have been pending for this long are assumed to be stuck, and ignored.
LEFTOVER_HORIZON_SECONDS: Final = 3600.0
LEFTOVER_MOST_PAGES: Final = 50


class Opening:
    """Prepares datasets that this run did not create.

    Args:
        settings: How long to wait for ingestions of earlier runs.
        notes: Lines for the log.
    """

    def __init__(self, settings: DeliverySettings, notes: Notes) -> None:
        self._settings = settings
        self._notes = notes

    def begin(self, lane: Lane, now: float, server_time: float | None) -> None:
        """Start to prepare a dataset when its first row comes, unless that has been done."""
        if lane.is_open or lane.opening is not None:
            return
        lane.server_began_at = server_time
        timeout = self._settings.confirmation_timeout_seconds
        since = None if server_time is None else server_time - max(LEFTOVER_HORIZON_SECONDS, timeout)
        lane.opening = PendingWait(
            now, is_known=lane.knows, since=since, timeout_seconds=timeout, most_pages=LEFTOVER_MOST_PAGES
        )

    def ended(self, lane: Lane, now: float) -> None:
        """Go on after the wait or the purge has ended; the last step opens the lane."""
        task = lane.opening
        if isinstance(task, PendingWait):
            found = task.found or set()
            lane.strangers = frozenset(task.seen if lane.is_serial else found)
            self._note_leftovers(lane, task, found)
            if lane.destination.purge:
                lane.opening = PurgeOnce(now, lane.new_key())
                return
        else:
            self._notes.info("Purged %s.", lane.destination)
        lane.opening = None
        lane.is_open = True

    def _note_leftovers(self, lane: Lane, task: PendingWait, found: set[str]) -> None:
        if task.ended == "late":
            self._notes.warning(
                "%d ingestions of %s were pending before this run and still are; going on without them. They "
                "may land after the rows of this run.",
                len(found),
                lane.destination,
            )
        if task.is_cut_short:
            self._notes.warning(
                "The list of ingestions of %s is long and in no order; only its first %d pages were searched "
                "for pending ones.",
                lane.destination,
                LEFTOVER_MOST_PAGES,
            )
