"""The words of delivery: batches, requests, policies, outcomes. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from target_databox.api.shapes import Accepted, Ingestion, IngestionsPage
    from target_databox.delivery.batches import Cut, Row
    from target_databox.delivery.errands import Errand
    from target_databox.delivery.lane import Lane


class Api(Protocol):
    """What delivery needs of Databox: one try a call; failures are errors of `target_databox.api.errors`."""

    def post_rows(self, dataset_id: str, body: bytes) -> Accepted:
        """Send one batch."""

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """Read one ingestion's own record."""

    def ingestions(self, dataset_id: str, page: int, page_size: int) -> IngestionsPage:
        """Read one page of the list of ingestions."""

    def purge(self, dataset_id: str) -> None:
        """Remove every row of a dataset."""

    def server_time(self) -> float | None:
        """The server's clock at its newest answer, in epoch seconds."""


class Turns(Protocol):
    """The request budget."""

    def take(self, now: float, reserve: int = 0) -> float:
        """Take a turn; 0 when taken, else when to ask again."""

    def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
        """Slow down after a 429; returns what to warn of, if that is news."""

    def succeeded(self) -> None:
        """Recover after an answer."""


@dataclass(frozen=True)
class Policy:
    """How to deliver; each value is the setting of the same name.

    Attributes:
        cut: Limits of one batch.
        keeps_rejects: Whether rejected records have a file to go to; without one the first of them ends the
            run.
    """

    cut: Cut
    batch_age_seconds: float
    unconfirmed_batches: int
    unconfirmed_bytes: int
    retry_seconds: float
    confirmation: Literal["rows", "status"]
    confirmation_timeout_seconds: float
    listing_lag_seconds: float
    state_interval_seconds: float
    shutdown_seconds: float
    keeps_rejects: bool = False
    rejects_limit: int = 0


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
    """

    stream: str
    dataset_id: str
    title: str
    is_keyed: bool
    keys_are_known: bool = True
    is_new: bool = False
    purge: bool = False

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


@dataclass(frozen=True)
class Verdict:
    """Why a row was rejected.

    Attributes:
        reason: `map`, `schema`, `key`, `encoding`, `size` before it was sent; `refused`, `rejected`,
            `failed`, `suspect` by the API.
        code: The API's code, or ours.
        message: One sentence, without values.
        status: The HTTP status of an answer that refused it.
    """

    reason: str
    code: str | None
    message: str
    request_id: str | None = None
    ingestion_id: str | None = None
    status: int | None = None


@dataclass(frozen=True)
class Reject:
    """One rejected row."""

    destination: Destination
    row: Row
    verdict: Verdict


class Slot:
    """A batch's place in the window, shared by the parts it was cut into."""

    __slots__ = ("parts",)

    def __init__(self) -> None:
        self.parts = 1


@dataclass
class Hold:
    """Keys that stay in flight, since a first copy of their batch may still land.

    Attributes:
        lost_at: When the newest answer was lost.
        posted_after: The server's clock before the first of these POSTs.
        keys: Keys whose rows have their outcome meanwhile.
    """

    lost_at: float
    posted_after: float | None
    keys: list[Hashable] = field(default_factory=list)
    is_over: bool = False


class Attempts:
    """Tries of one request, and how long they have been failing; waiting for the budget does not count.

    Attributes:
        due_at: When the next try may start.
        waited_seconds: Time after `due_at` that tries had to wait for their turn, all of them together.
    """

    __slots__ = ("_waited_before", "due_at", "failing_since", "tries", "waited_seconds")

    def __init__(self, due_at: float) -> None:
        self.due_at = due_at
        self.failing_since: float | None = None
        self.tries = 0
        self.waited_seconds = 0.0
        self._waited_before = 0.0

    def started(self, now: float) -> None:
        """A try starts."""
        self.waited_seconds += max(0.0, now - self.due_at)

    def succeeded(self) -> None:
        """The answer came."""
        self.failing_since = None
        self.tries = 0

    def failed(self, now: float, wait: Callable[[int], float]) -> float:
        """A try failed; the next is due after a wait, which depends on how many have.

        Returns:
            For how long tries have been failing, in seconds.
        """
        if self.failing_since is None:
            self.failing_since = now
            self._waited_before = self.waited_seconds
        self.tries += 1
        self.due_at = now + wait(self.tries)
        return now - self.failing_since - (self.waited_seconds - self._waited_before)


class Batch:
    """Rows that go, and are confirmed, together.

    Attributes:
        posting: Its POST.
        asking: Its question for the outcome.
        first_posted_at: When its first POST started; infinite before.
        posted_after: The server's clock before its first POST that may have been carried out.
        was_lost: Whether the answer to a POST of it was lost, so that it may be stored.
        hold: Set when an answer to its POST was lost.
        was_asked: Whether its present ingestion was asked about in vain.
        was_counted: Whether an ingestion before it was counted as appended and overwritten.
        was_resent: Whether an ingestion of it failed and it was sent once more.
    """

    __slots__ = (
        "accepted_at", "asking", "first_posted_at", "hold", "ingestion_id", "lane", "posted_after", "posting",
        "rows", "slot", "was_asked", "was_counted", "was_lost", "was_resent",
    )  # fmt: skip

    def __init__(self, lane: Lane, rows: list[Row], slot: Slot, now: float) -> None:
        self.lane = lane
        self.rows = rows
        self.slot = slot
        self.posting = Attempts(now)
        self.asking = Attempts(now)
        self.ingestion_id: str | None = None
        self.accepted_at = 0.0
        self.first_posted_at = float("inf")
        self.posted_after: float | None = None
        self.was_lost = False
        self.hold: Hold | None = None
        self.was_asked = False
        self.was_counted = False
        self.was_resent = False

    def age_seconds(self, now: float) -> float:
        """Time since its acceptance, without what its questions waited for the budget."""
        return now - self.accepted_at - self.asking.waited_seconds


@dataclass(frozen=True)
class PostRows:
    """Send a batch."""

    lane: Lane
    batch: Batch


@dataclass(frozen=True)
class AskOutcome:
    """Read the ingestion of a batch."""

    lane: Lane
    batch: Batch
    ingestion_id: str


@dataclass(frozen=True)
class ReadIngestion:
    """Read an ingestion for an errand."""

    lane: Lane
    errand: Errand
    ingestion_id: str


@dataclass(frozen=True)
class ReadList:
    """Read a page of the list of ingestions for an errand."""

    lane: Lane
    errand: Errand
    page: int


@dataclass(frozen=True)
class Purge:
    """Purge a dataset."""

    lane: Lane
    errand: Errand


Request: TypeAlias = PostRows | AskOutcome | ReadIngestion | ReadList | Purge
