"""A batch of rows, the states of its life as one table, and the lane of a dataset that it moves in.

Theory of operation
===================

A batch is cut from the rows of one dataset, sent with one POST, and followed until every row of it has its
outcome. At any moment it is in exactly one `State`. Whatever happens to it is an `Event`; `TRANSITIONS` says
what each event leads to, and `Batch.happened` is the only place that changes a state: it refuses an event
that the table does not have for the state at hand.

Which event an answer amounts to is decided elsewhere: `posting` reads the answers to POSTs, `confirmation`
and `confirmation_by_list` learn outcomes, `lost_answers` looks for batches whose answer was lost, `halving`
decides what becomes of a batch that is not stored whole. What follows from an event for rows, keys, memory
and STATEs is the dispatcher's business.

A batch in a final state never changes again. A batch that is halved goes on as two new ones, which share its
place in the window.

The picture of the table in the documentation is made from this module by `scripts/describe.py`.
"""

from __future__ import annotations

import enum
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from target_databox.delivery.attempts import Attempts
from target_databox.delivery.rows import RowQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.delivery.background import Hold, PendingWait, PurgeOnce, Search, Task
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.rows import Row

NEVER: Final = float("inf")

# Own ingestions are remembered for this long before the oldest batch that may have to be told from them, and
# no more of them than this; those of the last minute always.
RECENT_SECONDS: Final = 3600.0
RECENT_INGESTIONS: Final = 2000
LAST_SECONDS: Final = 60.0


class State(enum.Enum):
    """Where a batch is in its life."""

    READY = "waits for its POST"
    POSTED = "its POST is on the wire"
    SEARCHED = "its answer was lost; it is looked for in the list of ingestions"
    ACCEPTED = "it has an ingestion, whose outcome is awaited"
    STORED = "every row is stored"
    MIXED = "the rows that the API named are rejected, every other one is stored"
    HALVED = "two halves go on in its place"
    REJECTED = "its only row is rejected"
    SUSPECT = "nobody knows which of its rows are stored, and it must not be sent again"
    LEFT = "the run ends at a record before its rows, which stay without an outcome"


class Event(enum.Enum):
    """What can happen to a batch."""

    SENT = "its POST starts"
    ACCEPTED = "the POST is answered with an ingestion"
    NOT_SENT = "the API was not reached, or said to come later (429)"
    LOST_AND_RECOGNISED = "the answer is lost; the API knows another copy for the same"
    LOST_AND_HELD = "the answer is lost; with known keys it may be sent again"
    LOST = "the answer is lost; without keys it must be found first"
    FOUND = "the lost ingestion is in the list"
    NOT_FOUND = "the lost ingestion is not in the list"
    STORED = "its ingestion stored every row"
    MIXED = "its ingestion names each row that it rejected, and stored the others"
    FAILED = "its ingestion failed for the first time, and sending it again is safe"
    DIVIDED = "it is not stored whole, several rows may be why, and sending them again is safe"
    BLAMED = "it is not stored, and has one row"
    DOUBTED = "it is not stored whole, and sending it again is not safe"
    PASSED = "it is not stored, and the run ends at a record before its rows"


TRANSITIONS: Final[dict[tuple[State, Event], State]] = {
    (State.READY, Event.SENT): State.POSTED,
    (State.POSTED, Event.ACCEPTED): State.ACCEPTED,
    (State.POSTED, Event.NOT_SENT): State.READY,
    (State.POSTED, Event.LOST_AND_RECOGNISED): State.READY,
    (State.POSTED, Event.LOST_AND_HELD): State.READY,
    (State.POSTED, Event.LOST): State.SEARCHED,
    (State.POSTED, Event.DIVIDED): State.HALVED,
    (State.POSTED, Event.BLAMED): State.REJECTED,
    (State.POSTED, Event.PASSED): State.LEFT,
    (State.SEARCHED, Event.FOUND): State.ACCEPTED,
    (State.SEARCHED, Event.NOT_FOUND): State.READY,
    (State.ACCEPTED, Event.STORED): State.STORED,
    (State.ACCEPTED, Event.MIXED): State.MIXED,
    (State.ACCEPTED, Event.FAILED): State.READY,
    (State.ACCEPTED, Event.DIVIDED): State.HALVED,
    (State.ACCEPTED, Event.BLAMED): State.REJECTED,
    (State.ACCEPTED, Event.DOUBTED): State.SUSPECT,
    (State.ACCEPTED, Event.PASSED): State.LEFT,
}


class ImpossibleEventError(RuntimeError):
    """Something happened to a batch that can't happen in its state."""


@dataclass(frozen=True)
class Destination:
    """Where the rows of a stream go.

    Attributes:
        stream: The stream's name.
        dataset_id: Its dataset.
        title: The dataset's title.
        is_keyed: Whether rows are ordered by key.
        keys_are_known: Whether the dataset is known to have those keys, so that sending a row again is
            harmless.
        is_new: Whether this run created the dataset, so that it holds nothing yet.
        purge: Whether to purge it before its first row.
        resends_are_recognised: Whether the API knows another copy of a request by its idempotency key.
        type_differences: Columns whose type there differs from the stream's, as a clause; empty when none is
            known to.
    """

    stream: str
    dataset_id: str
    title: str
    is_keyed: bool
    keys_are_known: bool = True
    is_new: bool = False
    purge: bool = False
    resends_are_recognised: bool = False
    type_differences: str = ""

    @property
    def resends_safely(self) -> bool:
        """Whether the same rows may be sent twice without a trace."""
        return self.is_keyed and self.keys_are_known

    def __str__(self) -> str:
        return f"stream '{self.stream}' (dataset '{self.title}', {self.dataset_id})"


@dataclass
class Counts:
    """What became of a stream's rows, and what it cost.

    Attributes:
        read: Rows taken in.
        unknown_counts: Confirmed rows whose appended and overwritten counts were not read.
        uncounted_copies: Ingestions that may have stored rows without being counted: their answer was lost,
            they failed, or they were sent once more in halves.
        dataset_rows, dataset_columns: What the dataset holds, as the ingestions that were read say; None when
            none said.
        throttled_seconds: Time spent waiting for the request budget.
        confirmation_seconds: Time from acceptance to outcome, summed over ingestions.
    """

    read: int = 0
    confirmed: int = 0
    superseded: int = 0
    rejected: int = 0
    appended: int = 0
    overwritten: int = 0
    unknown_counts: int = 0
    uncounted_copies: int = 0
    dataset_rows: int | None = None
    dataset_columns: int | None = None
    batches: int = 0
    requests: int = 0
    retries: int = 0
    confirmations: int = 0
    confirmation_seconds: float = 0.0
    throttled_seconds: float = 0.0

    @property
    def open(self) -> int:
        """Rows without an outcome."""
        return self.read - self.confirmed - self.superseded - self.rejected

    def hold(self, rows: int | None, columns: int | None) -> None:
        """Learn what the dataset holds; ingestions are read in any order, and none takes rows away."""
        if rows is not None:
            self.dataset_rows = max(rows, self.dataset_rows or 0)
        if columns is not None:
            self.dataset_columns = max(columns, self.dataset_columns or 0)


class Place:
    """A batch's share of `unconfirmed_batches`, which it shares with the halves that it is cut into."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts = 1


class Batch:
    """Rows that are sent, and get their outcome, together.

    Attributes:
        lane: Its dataset's lane.
        rows: Its rows, in the order of the input.
        place: Its place in the window.
        idempotency_key: What the API knows all tries of its POST by; never made of its rows, which another
            batch may have as well.
        state: Where it is in its life; changed by `happened` alone.
        posting: Tries of its POST.
        asking: Tries of the question for its outcome.
        ingestion_id: Its present ingestion, while it is accepted.
        ingestions: How many ingestions it has had.
        questions: How often its present ingestion was asked about in vain.
        first_posted_at: When its first POST started; infinite before.
        posted_after: The server's clock before its first POST that may have been carried out.
        lost_answers: How many answers to its POST were lost, each of which it may be stored by.
        hold: Its held keys, when such an answer was lost.
        is_counted: Whether an ingestion before it was counted as appended and overwritten.
    """

    __slots__ = (
        "accepted_at", "asking", "first_posted_at", "hold", "idempotency_key", "ingestion_id", "ingestions",
        "is_counted", "lane", "lost_answers", "place", "posted_after", "posting", "questions", "rows",
        "state",
    )  # fmt: skip

    def __init__(self, lane: Lane, rows: list[Row], place: Place, now: float) -> None:
        self.lane = lane
        self.rows = rows
        self.place = place
        self.idempotency_key = lane.new_key()
        self.state = State.READY
        self.posting = Attempts(now)
        self.asking = Attempts(now)
        self.ingestion_id: str | None = None
        self.ingestions = 0
        self.questions = 0
        self.accepted_at = 0.0
        self.first_posted_at = NEVER
        self.posted_after: float | None = None
        self.lost_answers = 0
        self.hold: Hold | None = None
        self.is_counted = False

    def happened(self, event: Event) -> None:
        """Move to the state that an event leads to.

        Raises:
            ImpossibleEventError: The table has no such event in the present state.
        """
        try:
            self.state = TRANSITIONS[self.state, event]
        except KeyError:
            raise ImpossibleEventError(f"{event} in {self.state} of {self.lane.destination}") from None

    @property
    def was_recognised(self) -> bool:
        """Whether its ingestion may be that of an earlier try, whose answer was lost."""
        return self.lost_answers > 0 and self.lane.destination.resends_are_recognised

    def age_seconds(self, now: float) -> float:
        """Time since its acceptance, without what its questions waited for the budget."""
        return now - self.accepted_at - self.asking.waited_seconds

    def halves(self, now: float) -> tuple[Batch, Batch]:
        """Two batches that go on in its place, the first at least as large."""
        middle = (len(self.rows) + 1) // 2
        self.place.parts += 1
        return self._part(self.rows[:middle], now), self._part(self.rows[middle:], now)

    def _part(self, rows: list[Row], now: float) -> Batch:
        part = Batch(self.lane, rows, self.place, now)
        part.hold = self.hold
        part.is_counted = self.is_counted
        return part


class Lane:
    """One stream's delivery into one dataset.

    Args:
        destination: Where its rows go.
        new_key: Makes an idempotency key.

    Attributes:
        is_serial: Whether one POST at a time may be on the wire, so that a lost one can be told from others.
        accepted: Batches whose outcome is awaited, by ingestion, oldest first.
        recent: Own ingestions of late, by when they were accepted: a lost one must be told from them.
        strangers: Ingestions that were there before the first row, likewise; where there are keys, only those
            that are still pending.
        resends: Batches that go first: halves, and those whose POST failed.
        posting: POSTs on the wire.
        opening: What has to be done before the first row: leftovers waited for, a purge.
        searched: The batch whose answer was lost and that must not be sent twice.
        search: The search for it.
        copies: The wait for first copies, which holds keys.
        holds: Keys held because a first copy may still land.
        server_began_at: The server's clock when its first row came; None when that was not known.
        is_open: Whether leftovers were waited for and the dataset is purged, if it has to be.
        knows_all_older: Whether every ingestion of the dataset is this run's, and remembered.
    """

    def __init__(self, destination: Destination, new_key: Callable[[], str] = str) -> None:
        self.destination = destination
        self.new_key = new_key
        self.is_serial = not (destination.resends_safely or destination.resends_are_recognised)
        self.counts = Counts()
        self.queue = RowQueue(keyed=destination.is_keyed)
        self.accepted: OrderedDict[str, Batch] = OrderedDict()
        self.recent: OrderedDict[str, float] = OrderedDict()
        self.strangers: frozenset[str] = frozenset()
        self.resends: deque[Batch] = deque()
        self.posting = 0
        self.opening: PendingWait | PurgeOnce | None = None
        self.searched: Batch | None = None
        self.search: Search | None = None
        self.copies: PendingWait | None = None
        self.holds: list[Hold] = []
        self.server_began_at: float | None = None
        self.is_open = destination.is_new
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
    def has_tasks(self) -> bool:
        """Whether anything is under way, or has to be, beside the rows."""
        return bool(self.opening or self.search or self.copies or self.holds)

    def tasks(self) -> list[Task]:
        """What is under way beside the rows and their confirmation."""
        return [task for task in (self.opening, self.search, self.copies) if task is not None]

    def may_post(self) -> bool:
        """Whether a POST may start now."""
        if not self.is_open:
            return False
        return not (self.is_serial and (self.posting or self.search is not None))

    def may_post_fresh(self) -> bool:
        """Whether the POST of a new batch may start now; without keys halves go first."""
        return bool(self.queue.ready) and self.may_post() and not (self.is_serial and self.resends)

    def next_resend(self, now: float) -> Batch | None:
        """The batch that goes first: the smallest of those that are due, or the one that is due earliest."""
        due = [batch for batch in self.resends if batch.posting.due_at <= now]
        if due:
            return min(due, key=lambda batch: len(batch.rows))
        return min(self.resends, key=lambda batch: batch.posting.due_at, default=None)

    def fresh_due_at(self, settings: DeliverySettings, *, is_pressed: bool) -> float:
        """When the next new batch should be cut."""
        queue = self.queue
        since = queue.ready_since
        if since is None:
            return NEVER
        if is_pressed or queue.is_full(settings.batch_size_rows, settings.most_rows_bytes):
            return since
        return since + settings.batch_age_seconds

    def cut(self, settings: DeliverySettings, now: float) -> Batch:
        """Cut a new batch; its place in the window is its own."""
        return Batch(self, self.queue.cut(settings.batch_size_rows, settings.most_rows_bytes), Place(), now)

    def send_again(self, batch: Batch, due_at: float | None = None) -> None:
        """Let a batch go first, at a time or when its next try is due anyway."""
        if due_at is not None:
            batch.posting.due_at = due_at
        self.resends.append(batch)

    def knows(self, ingestion_id: str) -> bool:
        """Whether an ingestion is this run's own, or was there before its first row."""
        return ingestion_id in self.accepted or ingestion_id in self.recent or ingestion_id in self.strangers

    def remember(self, batch: Batch) -> None:
        """Note an accepted ingestion as this run's own."""
        if batch.ingestion_id is None:
            return
        self.accepted[batch.ingestion_id] = batch
        self.recent[batch.ingestion_id] = batch.accepted_at
        unresolved = [*self.resends, *([self.searched] if self.searched is not None else ())]
        since = min([each.first_posted_at for each in unresolved], default=batch.accepted_at)
        while self._is_forgotten(next(iter(self.recent.values())), min(since, batch.accepted_at)):
            self.recent.popitem(last=False)
            self.knows_all_older = False

    def _is_forgotten(self, accepted_at: float, since: float) -> bool:
        age = since - accepted_at
        return age > RECENT_SECONDS or (age > LAST_SECONDS and len(self.recent) > RECENT_INGESTIONS)
