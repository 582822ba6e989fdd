"""One dataset's part of a delivery: its queue, its batches on their way, its errands."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from target_databox.delivery.batches import RowQueue
from target_databox.delivery.model import Batch, Counts, Slot

if TYPE_CHECKING:
    from target_databox.delivery.errands import Errand, PurgeOnce, Search, Settling
    from target_databox.delivery.model import Destination, Hold, Policy
    from target_databox.delivery.status_reading import StatusReading

# Own ingestions are remembered for this long before the oldest batch that may have to be told from them, and
# no more of them than this; those of the last minute always.
RECENT_SECONDS = 3600.0
RECENT_INGESTIONS = 2000
LAST_SECONDS = 60.0

NEVER = float("inf")


class Lane:
    """One dataset.

    Attributes:
        is_serial: Whether one POST at a time may be on its way, so that a lost one can be told from others.
        accepted: Batches that are accepted and unconfirmed, by ingestion, oldest first.
        recent: Own ingestions of late, by when they were accepted: a lost one must be told from them.
        strangers: Ingestions that were there before the first row, likewise; where there are keys, only those
            that are still pending.
        resends: Batches that go first: halves, and those whose POST failed.
        posting: POSTs on their way.
        opening: What has to be done before the first row: leftovers waited for, a purge.
        search: The search for a batch whose answer was lost and that must not be sent twice.
        copies: The wait for first copies, which holds keys.
        status: The reading of the list of ingestions, where that is how batches are confirmed.
        holds: Keys held because a first copy may still land.
        server_began_at: The server's clock when its first row came; None when that was not known.
        is_open: Whether leftovers were waited for and the dataset is purged, if it has to be.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self.is_serial = not destination.resends_safely
        self.counts = Counts()
        self.queue = RowQueue(keyed=destination.is_keyed)
        self.accepted: OrderedDict[str, Batch] = OrderedDict()
        self.recent: OrderedDict[str, float] = OrderedDict()
        self.strangers: frozenset[str] = frozenset()
        self.resends: deque[Batch] = deque()
        self.posting = 0
        self.opening: Settling | PurgeOnce | None = None
        self.search: Search | None = None
        self.copies: Settling | None = None
        self.status: StatusReading | None = None
        self.holds: list[Hold] = []
        self.server_began_at: float | None = None
        self.is_open = False
        # A dataset that this run has made holds nothing but its own, as long as it remembers them.
        self.knows_all_older = destination.is_new

    @property
    def is_idle(self) -> bool:
        """Whether every row has its outcome."""
        return self.has_all_accepted and not self.accepted

    @property
    def has_all_accepted(self) -> bool:
        """Whether no row is left that would have to be sent."""
        return not (len(self.queue) or self.resends or self.posting or self.search)

    @property
    def has_errands(self) -> bool:
        """Whether anything is under way, or has to be, beside the rows."""
        return bool(self.opening or self.search or self.copies or self.holds)

    def errands(self) -> list[Errand]:
        """What is under way beside the rows, the list of ingestions excepted."""
        return [errand for errand in (self.opening, self.search, self.copies) if errand is not None]

    def may_post(self) -> bool:
        """Whether a POST may start now."""
        if not self.is_open:
            return False
        return not (self.is_serial and (self.posting or self.search is not None))

    def next_resend(self, now: float) -> Batch | None:
        """The batch that goes first: the smallest of those that are due, or the one that is due earliest."""
        due = [batch for batch in self.resends if batch.posting.due_at <= now]
        if due:
            return min(due, key=lambda batch: len(batch.rows))
        return min(self.resends, key=lambda batch: batch.posting.due_at, default=None)

    def fresh_due_at(self, policy: Policy, *, is_pressed: bool) -> float:
        """When the next new batch should be cut."""
        queue = self.queue
        since = queue.ready_since
        if since is None:
            return NEVER
        if is_pressed or queue.is_full(policy.cut):
            return since
        return since + policy.batch_age_seconds

    def cut(self, policy: Policy, now: float) -> Batch:
        """Cut a new batch; its place in the window is its own."""
        return Batch(self, self.queue.cut(policy.cut), Slot(), now)

    def knows(self, ingestion_id: str) -> bool:
        """Whether an ingestion is this run's own, or was there before its first row."""
        return ingestion_id in self.accepted or ingestion_id in self.recent or ingestion_id in self.strangers

    def remember(self, batch: Batch) -> None:
        """Note an accepted ingestion as this run's own."""
        if batch.ingestion_id is None:
            return
        self.accepted[batch.ingestion_id] = batch
        self.recent[batch.ingestion_id] = batch.accepted_at
        unresolved = [*self.resends, *([self.search.batch] if self.search is not None else ())]
        since = min([each.first_posted_at for each in unresolved], default=batch.accepted_at)
        while self._is_forgotten(next(iter(self.recent.values())), min(since, batch.accepted_at)):
            self.recent.popitem(last=False)
            self.knows_all_older = False

    def _is_forgotten(self, accepted_at: float, since: float) -> bool:
        age = since - accepted_at
        return age > RECENT_SECONDS or (age > LAST_SECONDS and len(self.recent) > RECENT_INGESTIONS)
