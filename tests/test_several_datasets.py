"""What several datasets share: none waits for another's turn, and every request is accounted for."""

from __future__ import annotations

import pytest

from target_databox.api.errors import RefusedError
from target_databox.api.values import Accepted, IngestionStatus
from target_databox.delivery.errors import UnconfirmedError
from target_databox.delivery.requests import AskOutcome, PostRows, Purge, ReadList
from tests.delivering import (
    FACTS,
    FreeBudget,
    Scene,
    destination,
    listing,
    lost,
    numbers,
    refused,
    stored,
    throttled,
    unreachable,
)

DONE, PENDING = IngestionStatus.DONE, IngestionStatus.PENDING


class CountingBudget(FreeBudget):
    """A budget that counts answers."""

    def __init__(self) -> None:
        super().__init__()
        self.successes = 0
        self.refusals = 0

    def succeeded(self) -> None:
        """Count a success."""
        self.successes += 1

    def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
        """Count a 429."""
        self.refusals += 1
        return super().refused(now, retry_after_seconds)


def test_lists_are_read_side_by_side() -> None:
    """While one dataset's list is read another's is read as well, and none is read twice at once."""
    scene = Scene(confirmation="status")
    second = scene.add_lane("second")
    scene.put(1, 2, 3, 4)
    scene.put(1, 2, 3, 4, lane=second)
    for _ in range(2):
        scene.accept(scene.next(PostRows))
    assert [scene.wait().next(ReadList).lane, scene.next(ReadList).lane] == [scene.lane, second]
    scene.after(100).none()


def test_list_that_is_due_is_read_first() -> None:
    """A dataset whose list is not due yet holds up no other's."""
    scene = Scene(confirmation="status", batch_size_rows=1, batch_size_bytes=1000)
    second = scene.add_lane("second")
    scene.put(1)
    name = scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(ReadList), listing((name, 0.0, DONE)))
    scene.put(2)
    scene.put(1, lane=second)
    for _ in range(2):
        scene.accept(scene.next(PostRows))
    reading = scene.wait().next(ReadList)
    assert reading.lane is second


def test_resends_of_any_dataset_are_sent() -> None:
    """A batch is sent again though a dataset before its own has none, or none that is due."""
    scene = Scene()
    second = scene.add_lane("second")
    scene.put(1, 2, 3, 4, lane=second)
    scene.done(scene.next(PostRows), unreachable())
    post = scene.wait().next(PostRows)
    assert post.lane is second
    scene.done(post, unreachable())
    scene.after(0.5).put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), unreachable())
    assert scene.wait().next(PostRows).lane is second
    assert scene.now == 2.0
    assert scene.wait().next(PostRows).lane is scene.lane
    assert scene.now == 2.5
    assert (second.counts.batches, second.counts.retries) == (1, 2)


def test_tasks_of_any_dataset_are_done() -> None:
    """A dataset is opened though one before it has no task, or one that is away or not due."""
    scene = Scene()
    second, third = (scene.add_lane(name, is_new=False) for name in ("second", "third"))
    scene.put(1, lane=second)
    reading = scene.next(ReadList)
    scene.put(1, lane=third)
    other = scene.next(ReadList)
    assert (reading.lane, other.lane) == (second, third)
    scene.done(reading, listing(("theirs", 0.0, PENDING)))
    scene.done(other, listing(("theirs", 0.0, PENDING)))
    scene.done(scene.wait().next(ReadList), listing(("theirs", 0.0, PENDING)))
    assert scene.next(ReadList).lane is third


def test_batches_are_counted_once() -> None:
    """A batch counts when it is sent for the first time, however often that is tried."""
    scene = Scene()
    scene.put(*range(12))
    posts = [scene.next(PostRows) for _ in range(3)]
    for post in posts:
        scene.done(post, unreachable())
    for _ in posts:
        scene.after(1).next(PostRows)
    assert (scene.lane.counts.batches, scene.lane.counts.requests) == (3, 6)


@pytest.mark.parametrize(
    ("changes", "reserves"), [({}, [1, 2, 3, 4]), ({"confirmation": "status"}, [2, 2, 2, 2])]
)
def test_batches_on_the_wire_reserve_their_outcome(changes: dict[str, str], reserves: list[int]) -> None:
    """A POST leaves the budget what all batches cost that have a place, also those not accepted yet."""
    scene = Scene(**changes)
    scene.put(*range(12))
    posts = [scene.next(PostRows) for _ in range(3)]
    scene.done(posts[0], throttled(None))
    scene.after(1).next(PostRows)
    # The batch that is sent again has its place already, and one more may come.
    assert scene.budget.reserves == reserves


def test_batches_of_a_blind_list_reserve_one_each() -> None:
    """Where ingestions are read one by one after all, each that is awaited reserves a request."""
    scene = Scene(confirmation="status")
    scene.put(*range(8))
    for _ in range(2):
        scene.accept(scene.next(PostRows))
    while scene.dispatcher._by_list.confirms(scene.lane):
        scene.done(scene.wait().next(ReadList), listing(("theirs", 0.0, DONE)))
    questions = [scene.next(AskOutcome)]
    scene.put(*range(8, 12))
    scene.next(PostRows)
    assert questions
    assert scene.budget.reserves[-1] == 3


def test_waits_for_turns_are_put_down() -> None:
    """What a new batch waited for the budget is counted for its dataset."""
    scene = Scene()
    scene.budget.free_at = 10.0
    scene.after(1).put(1, 2, 3, 4)
    scene.after(1).none()
    scene.after(8).next(PostRows)
    assert scene.lane.counts.throttled_seconds == 8.0


def test_answers_reach_the_budget() -> None:
    """Each answer of the API speeds requests up again, a 429 slows them down, and a failure does neither."""
    scene = Scene(to=destination(is_new=False, purge=True))
    budget = CountingBudget()
    scene.dispatcher._scheduler._budget = budget
    scene.put(*range(8))
    scene.done(scene.next(ReadList), listing())
    scene.done(scene.next(Purge), None)
    assert budget.successes == 2
    first, second = scene.next(PostRows), scene.next(PostRows)
    scene.done(first, unreachable())
    scene.done(scene.after(1).next(PostRows), lost())
    assert budget.successes == 2
    scene.done(second, refused())
    assert budget.successes == 3
    scene.done(scene.next(PostRows), throttled(1.0))
    assert (budget.successes, budget.refusals) == (3, 1)
    scene.accept(scene.after(1).next(PostRows))
    assert budget.successes == 4
    scene.done(scene.after(1).next(AskOutcome), stored(2))
    assert budget.successes == 5


@pytest.mark.parametrize("kind", [ReadList, Purge])
def test_bugs_in_tasks_end_the_run(kind: type[ReadList | Purge]) -> None:
    """An answer to a background task that is none of the API's ends the run with itself."""
    scene = Scene(to=destination(is_new=False, purge=True))
    scene.put(1, 2, 3, 4)
    request: ReadList | Purge = scene.next(ReadList)
    if kind is Purge:
        scene.done(request, listing())
        request = scene.next(Purge)
    error = ZeroDivisionError("a bug")
    scene.done(request, error)
    assert scene.dispatcher.error is error
    scene.none()


def test_bugs_in_readings_end_the_run() -> None:
    """An answer to a reading of the list that is none of the API's ends the run with itself."""
    scene = Scene(confirmation="status")
    scene.put(1, 2, 3, 4)
    scene.accept(scene.next(PostRows))
    error = ZeroDivisionError("a bug")
    scene.done(scene.wait().next(ReadList), error)
    assert scene.dispatcher.error is error


@pytest.mark.parametrize("is_confirmed", [True, False])
def test_ingestion_of_an_earlier_batch_is_refused(*, is_confirmed: bool) -> None:
    """An ingestion that another batch has, or had, ends the run in these words."""
    scene = Scene()
    scene.put(*range(8))
    scene.done(scene.next(PostRows), Accepted("same", (), "r"))
    other = scene.next(PostRows)
    if is_confirmed:
        scene.done(scene.wait().next(AskOutcome), stored(4))
    scene.done(other, Accepted("same", (), "r"))
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert str(scene.dispatcher.error) == (
        "Databox gave two batches of stream 'orders' (dataset 'Orders', d1) the same ingestion same, so "
        "which rows are stored is unknown. No STATE passes them; run again, and report it to Databox if it "
        "happens again."
    )


@pytest.mark.parametrize(("seconds", "is_sent"), [(23 * 3600.0, True), (23 * 3600.0 + 0.1, False)])
def test_idempotency_keys_are_good_for_a_day(seconds: float, *, is_sent: bool) -> None:
    """A lost batch is sent again with its key for 23 hours after its first POST, and then ends the run."""
    scene = Scene(to=destination(is_keyed=False, resends_are_recognised=True)).after(200_000)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.budget.free_at = scene.now + seconds
    scene.none()
    request = scene.after(seconds).dispatcher.next(scene.now)
    assert (request is not None) == is_sent
    words = (
        "The answer to a batch of stream 'orders' (dataset 'Orders', d1) was lost, and its idempotency key "
        "may be forgotten. Its rows may or may not be stored, so no STATE passes them. Look at the dataset's "
        "ingestions in Databox, then run again."
    )
    assert str(scene.dispatcher.error) == ("None" if is_sent else words)


@pytest.mark.parametrize("is_recognised", [True, False])
def test_other_batches_are_sent_after_a_day(*, is_recognised: bool) -> None:
    """A batch of which no copy can be stored is sent again however old its first POST is."""
    scene = Scene(to=destination(is_keyed=False, resends_are_recognised=is_recognised))
    scene.put(1, 2, 3, 4)
    if is_recognised:
        scene.done(scene.next(PostRows), unreachable())
    else:
        scene.done(scene.next(PostRows), lost())
        scene.done(scene.wait().next(ReadList), listing())
    scene.budget.free_at = scene.now + 90_000.0
    scene.none()
    assert numbers(scene.after(90_000.0).next(PostRows)) == [1, 2, 3, 4]
    assert scene.dispatcher.error is None


def test_end_waits_for_rejects_on_disk() -> None:
    """A run does not end before rejected rows that were taken to be written are on disk."""
    scene = Scene()
    scene.put(1)
    scene.dispatcher.drain()
    scene.done(scene.next(PostRows), refused())
    rejects = scene.dispatcher.rejects()
    assert not scene.dispatcher.is_over(scene.now)
    scene.dispatcher.written(rejects)
    assert scene.dispatcher.is_over(scene.now)


def test_nothing_starts_at_the_deadline() -> None:
    """A run that is told to stop makes no request at its deadline itself."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    scene.accept(scene.next(PostRows))
    scene.dispatcher.settle(20.0)
    scene.after(20.0).none()
    scene.dispatcher.close()


def test_refused_purge_names_its_stream() -> None:
    """A refusal of one dataset ends the run, and names that dataset."""
    scene = Scene()
    second = scene.add_lane("second", is_new=False)
    scene.put(1, lane=second)
    scene.done(scene.next(ReadList), RefusedError("No.", **FACTS, status=400))
    assert str(scene.dispatcher.error) == "Loading stream 'second' (dataset 'second', second) failed: No."


def test_full_memory_sends_at_once() -> None:
    """Where exactly as much memory is held as allowed, a batch goes out though it is not full."""
    scene = Scene()
    scene.put(1)
    scene = Scene(unconfirmed_bytes=scene.dispatcher.held_bytes)
    scene.put(1)
    assert numbers(scene.next(PostRows)) == [1]
