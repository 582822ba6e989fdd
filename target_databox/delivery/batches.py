"""Batches, the table of their states, and lanes, which hold all state of one dataset's delivery.

Theory of operation
===================

A batch is cut from the rows of one dataset, sent with one POST, and followed until every row of it has its
outcome. At any moment it is in exactly one `State`. `TRANSITIONS` lists the events that change it; only
`Batch.happened` applies them, and refuses an event that is not listed for the current state.

Other modules decide which event a response means: `posting` handles responses to POSTs, `confirmation` and
`confirmation_by_list` determine outcomes, `lost_answers` searches for batches whose answer was lost,
`halving` decides what happens to a batch that is not stored whole. The dispatcher then updates rows, keys,
memory and STATEs.

A halved batch is replaced by two new ones, which share its place. `scripts/describe.py` generates the diagram
in the documentation from this module.
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

# A search must not take one of this run's own ingestions for a lost one, so they are remembered: those
# accepted up to an hour before the oldest unresolved batch was sent, at most 2,000, but always those of the
# last minute.
RECENT_SECONDS: Final = 3600.0
RECENT_INGESTIONS: Final = 2000
LAST_SECONDS: Final = 60.0


class State(enum.Enum):
    """The states of a batch; each value describes it for the documentation."""

    READY = "waits for its POST"
    POSTED = "its POST is on the wire"
    SEARCHED = "its answer was lost; it is searched for in the list of ingestions"
    ACCEPTED = "it has an ingestion, whose outcome is awaited"
    STORED = "every row is stored"
    MIXED = "the rows that the API named are rejected, all others are stored"
    HALVED = "two halves replace it"
    REJECTED = "its only row is rejected"
    SUSPECT = "which of its rows are stored is unknown, and it must not be sent again"
    LEFT = "the run ends at a record before its rows, which stay without an outcome"


class Event(enum.Enum):
    """The events that change the state of a batch; each value describes it for the documentation."""

    SENT = "its POST starts"
    ACCEPTED = "the POST is answered with an ingestion"
    NOT_SENT = "the API was not reached, or its rate limit was exceeded (429)"
    LOST_AND_RECOGNISED = "the answer is lost; the API recognises another copy"
    LOST_AND_HELD = "the answer is lost; with known keys it may be sent again"
    LOST = "the answer is lost; without keys it must be found first"
    FOUND = "the lost ingestion is in the list"
    NOT_FOUND = "the lost ingestion is not in the list"
    STORED = "its ingestion stored every row"
    MIXED = "its ingestion names each row that it rejected, and stored the others"
    FAILED = "its ingestion failed for the first time, and sending it again is safe"
    DIVIDED = "it is not stored whole, any of several rows may be the cause, and sending them again is safe"
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
    """An event does not occur in the batch's state, according to the table."""


@dataclass(frozen=True)
class Destination:
    """Where the rows of a stream go.

    Attributes:
        stream: The stream's name.
        dataset_id: Its dataset.
        title: The dataset's title.
        is_keyed: Whether rows have a primary key, by which they are kept in order.
        keys_are_known: Whether the dataset certainly has that primary key, so that sending a row again is
            harmless.
        is_new: Whether this run created the dataset, so that it is empty.
        purge: Whether to purge it before its first row.
        resends_are_recognised: Whether the API recognises another copy of a request by its idempotency key.
        type_differences: Columns whose type in the dataset differs from the stream's, as a clause; empty if
            none is known.
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
        """Whether sending the same rows twice has the same result as sending them once."""
        return self.is_keyed and self.keys_are_known

    def __str__(self) -> str:
        return f"stream '{self.stream}' (dataset '{self.title}', {self.dataset_id})"


@dataclass
class Counts:
    """Counts of a stream's rows by outcome, and of the requests they took.

    Attributes:
        read: Rows received.
        unknown_counts: Confirmed rows for which the appended and overwritten counts were not read.
        uncounted_copies: Ingestions that may have stored rows without being counted: their answer was lost,
            they failed, or their rows were sent again in halves.
        dataset_rows, dataset_columns: What the dataset holds according to its ingestions; None if unknown.
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
        """Note what the dataset holds: the maximum, as ingestions are read in any order and none deletes."""
        if rows is not None:
            self.dataset_rows = max(rows, self.dataset_rows or 0)
        if columns is not None:
            self.dataset_columns = max(columns, self.dataset_columns or 0)


class Place:
    """A batch's share of `unconfirmed_batches`, which the halves of a batch have in common."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts = 1


class Batch:
    """Rows that are sent with one POST.

    Attributes:
        lane: Its dataset's lane.
        rows: Its rows, in the order of the input.
        place: Its share of `unconfirmed_batches`.
        idempotency_key: The same for all tries of its POST. Random and not derived from the rows, since
            another batch may have equal rows.
        state: Its state; only `happened` changes it.
        posting: Tries of its POST.
        asking: Tries of the request for its outcome.
        ingestion_id: Its current ingestion, while it is accepted.
        ingestions: How many ingestions it has had.
        questions: How many polls found its current ingestion still pending.
        accepted_at: When its current ingestion was accepted.
        first_posted_at: When its first POST started; infinite before.
        posted_after: The server's time before its first POST that may have been carried out; None if unknown.
        lost_answers: How many answers to its POST were lost. Each of those POSTs may have stored it.
        hold: Its held keys, if such an answer was lost.
        is_counted: Whether the appended and overwritten rows of an earlier ingestion of it were counted.
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
        """Change to the state that follows from an event.

        Raises:
            ImpossibleEventError: The table does not list the event for the current state.
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
        """Time since its acceptance, without the waits of its polls for the budget."""
        return now - self.accepted_at - self.asking.waited_seconds

    def halves(self, now: float) -> tuple[Batch, Batch]:
        """Two batches that replace it; the first has one row more if their number is odd."""
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
        new_key: Returns a new idempotency key at every call.

    Attributes:
        is_serial: Whether only one POST at a time may be on the wire, so that a lost batch can be identified.
        counts: What the summary reports.
        queue: Rows that are not sent yet, and the keys of those that are.
        accepted: Batches whose outcome is awaited, by ingestion id, oldest first.
        recent: This run's recent ingestions by id, with the time of acceptance; a search ignores them.
        strangers: Ingestions that existed before the first row, which a search ignores too; with keys only
            those that were pending.
        resends: Batches that are sent before new ones: halves, and those whose POST failed.
        posting: POSTs on the wire.
        opening: The task before the first row: the wait for leftovers or the purge.
        searched: The batch whose answer was lost and that must not be sent twice.
        search: The search for it.
        copies: The wait for first copies, which releases holds.
        holds: Keys held because a first copy may still be stored.
        server_began_at: The server's time when its first row came; None if unknown.
        is_open: Whether rows may be sent: leftovers were waited for, and the dataset is purged if necessary.
        knows_all_older: Whether every ingestion of the dataset is this run's and still in `recent`.
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
        """Whether every row has an ingestion or an outcome, so that nothing is left to send."""
        return not (len(self.queue) or self.resends or self.posting or self.search)

    @property
    def has_tasks(self) -> bool:
        """Whether a background task is running or is needed."""
        return bool(self.opening or self.search or self.copies or self.holds)

    def tasks(self) -> list[Task]:
        """The background tasks that are running."""
        return [task for task in (self.opening, self.search, self.copies) if task is not None]

    def may_post(self) -> bool:
        """Whether a POST may start now."""
        if not self.is_open:
            return False
        return not (self.is_serial and (self.posting or self.search is not None))

    def may_post_fresh(self) -> bool:
        """Whether the POST of a new batch may start now; a serial lane sends its resends first."""
        return bool(self.queue.ready) and self.may_post() and not (self.is_serial and self.resends)

    def next_resend(self, now: float) -> Batch:
        """The smallest batch in `resends` that is due, or the one that is due earliest; there must be one."""
        due = [batch for batch in self.resends if batch.posting.due_at <= now]
        if due:
            return min(due, key=lambda batch: len(batch.rows))
        return min(self.resends, key=lambda batch: batch.posting.due_at)

    def fresh_due_at(self, settings: DeliverySettings, *, is_pressed: bool) -> float:
        """When the next new batch should be cut; if pressed, even before it is full or old."""
        queue = self.queue
        since = queue.ready_since
        if since is None:
            return NEVER
        if is_pressed or queue.is_full(settings.batch_size_rows, settings.most_rows_bytes):
            return since
        return since + settings.batch_age_seconds

    def cut(self, settings: DeliverySettings, now: float) -> Batch:
        """Cut a new batch with a place of its own."""
        return Batch(self, self.queue.cut(settings.batch_size_rows, settings.most_rows_bytes), Place(), now)

    def send_again(self, batch: Batch, due_at: float | None = None) -> None:
        """Add a batch to `resends`, due at a time, or else when its next try is due anyway."""
        if due_at is not None:
            batch.posting.due_at = due_at
        self.resends.append(batch)

    def knows(self, ingestion_id: str) -> bool:
        """Whether an ingestion is this run's own, or existed before its first row."""
        return ingestion_id in self.accepted or ingestion_id in self.recent or ingestion_id in self.strangers

    def remember(self, batch: Batch) -> None:
        """Add an accepted ingestion to `accepted` and `recent`, and forget those that are old enough."""
        if batch.ingestion_id is None:
            return
        self.accepted[batch.ingestion_id] = batch
        self.recent[batch.ingestion_id] = batch.accepted_at
        # While a batch is searched for, none is accepted.
        since = min([each.first_posted_at for each in self.resends], default=batch.accepted_at)
        while self._is_forgotten(next(iter(self.recent.values())), min(since, batch.accepted_at)):
            self.recent.popitem(last=False)
            self.knows_all_older = False

    def _is_forgotten(self, accepted_at: float, since: float) -> bool:
        age = since - accepted_at
        return age > RECENT_SECONDS or (age > LAST_SECONDS and len(self.recent) > RECENT_INGESTIONS)
