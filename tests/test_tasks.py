"""Background tasks of datasets: which request starts, what failures lead to, and what openings remember."""

from __future__ import annotations

import pytest

from target_databox.api.errors import RefusedError
from target_databox.api.values import IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.batches import Batch, Place
from target_databox.delivery.errors import LoadingError, UnconfirmedError
from target_databox.delivery.requests import AskOutcome, PostRows, Purge, ReadIngestion, ReadList
from target_databox.delivery.rows import Row
from tests.delivering import FACTS, Scene, destination, listing, lost, numbers, stored

DONE, PENDING = IngestionStatus.DONE, IngestionStatus.PENDING
KEYLESS = destination(is_keyed=False)


def held(**changes: object) -> Scene:
    """A scene in which an answer was lost, its batch sent again and stored, and its keys are held."""
    scene = Scene(**{"batch_size_rows": 1, "batch_size_bytes": 1000, **changes})  # type: ignore[arg-type] # many kinds
    scene.put(1)
    scene.done(scene.next(PostRows), lost())
    scene.accept(scene.wait().next(PostRows))
    scene.done(scene.wait().next(AskOutcome), stored(1))
    return scene


def refusal() -> RefusedError:
    """A final answer."""
    return RefusedError("No.", **FACTS, status=400)


def test_refused_list_ends_waits_for_keys() -> None:
    """Where rows wait for held keys, a list that can't be read ends the run, and no key is let go."""
    scene = held()
    scene.put(1)
    error = refusal()
    scene.done(scene.wait().next(ReadList), error)
    assert isinstance(scene.dispatcher.error, LoadingError)
    assert scene.dispatcher.error.__cause__ is error
    assert len(scene.lane.holds) == 1


@pytest.mark.parametrize("is_stopped", [True, False])
def test_other_tasks_give_up_nothing(*, is_stopped: bool) -> None:
    """A failure of another task than the wait for first copies ends the run, also while it settles."""
    scene = Scene(to=destination(is_new=False))
    scene.put(1)
    reading = scene.next(ReadList)
    if is_stopped:
        scene.dispatcher.settle(100.0)
    error = refusal()
    scene.done(reading, error)
    assert isinstance(scene.dispatcher.error, LoadingError)
    assert scene.dispatcher.error.__cause__ is error


def test_wait_begins_anew_after_giving_up() -> None:
    """After a wait for first copies was given up, keys that are held later have a wait of their own."""
    scene = held()
    scene.put(2)
    post = scene.next(PostRows)
    scene.dispatcher.settle(1_000.0)
    scene.done(scene.wait().next(ReadList), refusal())
    assert not scene.lane.holds
    ((level, said),) = scene.said()[-1:]
    assert (level, said) == (
        "warning",
        "The answer to a batch of stream 'orders' (dataset 'Orders', d1) was lost, and the list of "
        "ingestions can't be read (No.). If its first copy is stored after rows of the next run, it "
        "overwrites them with older values.",
    )
    scene.done(post, lost())
    then = scene.now
    scene.done(scene.wait().next(ReadList), listing())
    assert scene.now == then + 30.0
    assert not scene.lane.holds
    assert scene.dispatcher.error is None


def test_waits_for_copies_without_a_clock() -> None:
    """Where it is unknown when the lost POST was sent, every pending ingestion is waited for."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000)
    scene.put(1, 2)
    scene.dispatcher.server_time = None
    first = scene.next(PostRows)
    scene.dispatcher.server_time = 1_700_000_000.0
    for post in (first, scene.next(PostRows)):
        scene.done(post, lost())
    for post in (scene.after(1).next(PostRows), scene.next(PostRows)):
        scene.accept(post)
    for _ in range(2):
        scene.done(scene.after(1).next(AskOutcome), stored(1))
    scene.put(1)
    scene.done(scene.wait().next(ReadList), listing(("theirs", -9_999.0, PENDING)))
    scene.done(scene.wait().next(ReadList), listing(("theirs", -9_999.0, DONE)))
    assert numbers(scene.next(PostRows)) == [3]


@pytest.mark.parametrize(("is_keyed", "strangers"), [(True, {"stuck"}), (False, {"stuck", "older"})])
def test_openings_remember_what_was_there(*, is_keyed: bool, strangers: set[str]) -> None:
    """What was pending before the first row is remembered, and without keys all that was listed."""
    scene = Scene(to=destination(is_keyed=is_keyed, is_new=False), confirmation_timeout_seconds=1.0)
    scene.put(1)
    reading = scene.next(ReadList)
    while scene.lane.opening is not None:
        scene.done(reading, listing(("stuck", -9.0, PENDING), ("older", -99.0, DONE)))
        if scene.lane.opening is not None:
            reading = scene.wait().next(ReadList)
    assert scene.lane.strangers == strangers


def test_endless_list_ends_no_opening() -> None:
    """A list that can't be read to its end in time lets the run go on, with a warning of that alone."""
    scene = Scene(to=destination(is_keyed=False, is_new=False), confirmation_timeout_seconds=2.0)
    scene.put(1, 2, 3, 4)
    while scene.lane.opening is not None:
        reading = scene.next(ReadList)
        entries = tuple(IngestionEntry(f"{reading.page}-{each}", None, PENDING) for each in range(9))
        scene.after(1).done(reading, IngestionsPage(entries, reading.page, 9, 9_000))
    assert [(level, said[:14]) for level, said in scene.said()] == [("warning", "0 ingestions o")]
    assert scene.lane.strangers == frozenset()
    assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]


def test_purges_keep_their_key() -> None:
    """A purge that is tried again has the idempotency key of the first try, which no batch has."""
    scene = Scene(to=destination(is_new=False, purge=True, resends_are_recognised=True))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing())
    keys = set()
    for answer in (lost(), None):
        purge = scene.dispatcher.next(scene.now) or scene.wait().next(Purge)
        assert isinstance(purge, Purge)
        keys.add(purge.idempotency_key)
        scene.done(purge, answer)
    assert scene.now == 1.0
    assert keys == {"key 1"}
    assert scene.next(PostRows).batch.idempotency_key == "key 2"


def test_searches_ask_for_their_candidates() -> None:
    """A candidate is read by its id, and its times make a match of an earlier run unsure without a clock."""
    scene = Scene(to=destination(is_keyed=False, is_new=False))
    scene.dispatcher.server_time = None
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing())
    scene.dispatcher.server_time = 1_700_000_000.0
    scene.done(scene.next(PostRows), lost())
    scene.done(scene.wait().next(ReadList), listing(("mine", 50.0, DONE)))
    reading = scene.next(ReadIngestion)
    assert reading.ingestion_id == "mine"
    scene.done(reading, stored(4))
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert "its time does not decide which" in str(scene.dispatcher.error)


@pytest.mark.parametrize(
    ("change", "is_accepted"), [("queue", False), ("resends", False), ("posting", False), ("accepted", True)]
)
def test_lane_is_idle_without_rows(change: str, *, is_accepted: bool) -> None:
    """A dataset is idle when nothing is queued, sent again, on the wire, searched for or unconfirmed."""
    scene = Scene()
    lane = scene.lane
    assert lane.has_all_accepted
    assert lane.is_idle
    row = Row((1,), b"{}")
    if change == "queue":
        lane.queue.put_all([row], 0.0)
    elif change == "resends":
        lane.send_again(Batch(lane, [row], Place(), 0.0))
    elif change == "posting":
        lane.posting += 1
    else:
        lane.accepted["i1"] = Batch(lane, [row], Place(), 0.0)
    assert lane.has_all_accepted == is_accepted
    assert not lane.is_idle
    assert not lane.has_tasks


def test_searching_lane_is_not_idle() -> None:
    """A dataset whose lost batch is searched for has a task and something left to send."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    assert not scene.lane.has_all_accepted
    assert scene.lane.has_tasks
