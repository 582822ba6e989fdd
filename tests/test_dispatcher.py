"""What the dispatcher decides, one behaviour a scene."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.errors import KeyRefusedError, LostAnswerError, MissingError
from target_databox.api.values import Ingestion, IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.errors import (
    LoadingError,
    RejectedError,
    RejectsLimitError,
    UnconfirmedError,
)
from target_databox.delivery.rejections import Reason
from target_databox.delivery.requests import AskOutcome, PostRows, Purge, ReadIngestion, ReadList
from target_databox.delivery.rows import Row
from tests.delivering import (
    EPOCH,
    FACTS,
    Scene,
    destination,
    failed,
    listing,
    lost,
    numbers,
    refused,
    stored,
    throttled,
    unreachable,
    unready,
)

if TYPE_CHECKING:
    from target_databox.delivery.requests import Request

KEYLESS = destination(is_keyed=False)
PENDING = IngestionStatus.PENDING
DONE = IngestionStatus.DONE


def confirm(scene: Scene, *batches: Request) -> None:
    """Accept POSTs and confirm each as stored whole."""
    for batch in batches:
        scene.accept(batch)
    for _ in batches:
        ask = scene.wait().next(AskOutcome)
        scene.done(ask, stored(len(ask.batch.rows)))


# Batches and STATE


def test_state_waits_for_rows() -> None:
    """A STATE is due when the rows before it are confirmed, not when they are accepted."""
    scene = Scene()
    scene.put(1, 2, 3, 4, state=True)
    post = scene.next(PostRows)
    scene.accept(post)
    assert scene.state() is None
    ask = scene.wait().next(AskOutcome)
    scene.done(ask, stored(4))
    assert scene.state() == b"4"
    assert scene.state() is None


def test_rows_wait_for_age() -> None:
    """A batch that is not full goes out when its oldest row has waited for `batch_age_seconds`."""
    scene = Scene()
    scene.put(1)
    scene.after(10).put(2)
    scene.wait()
    assert scene.now == 30
    assert numbers(scene.next(PostRows)) == [1, 2]


def test_newer_version_waits() -> None:
    """A row whose key is in flight waits, and rows of other keys pass it."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000)
    scene.put(1)
    first = scene.next(PostRows)
    scene.put(1, 2)
    assert numbers(scene.next(PostRows)) == [3]
    scene.none()
    confirm(scene, first)
    assert numbers(scene.next(PostRows)) == [2]


def test_replaced_row_is_sent_after_all() -> None:
    """A row that a rejected one had replaced is sent in its place."""
    scene = Scene()
    scene.put(7, 7, state=True)
    scene.dispatcher.drain()
    post = scene.next(PostRows)
    assert numbers(post) == [2]
    scene.done(post, refused())
    assert scene.rejects() == [(2, "refused")]
    assert scene.state() is None
    again = scene.next(PostRows)
    assert numbers(again) == [1]
    confirm(scene, again)
    assert scene.state() == b"2"
    assert scene.lane.counts.superseded == 0
    assert scene.lane.counts.open == 0


def test_full_window_stops_reading() -> None:
    """Where the window is full and a batch is ready behind it, no more rows are read."""
    scene = Scene(unconfirmed_batches=1)
    scene.put(1, 2, 3, 4)
    post = scene.next(PostRows)
    assert scene.dispatcher.has_room
    scene.put(5, 6, 7, 8)
    assert not scene.dispatcher.has_room
    scene.none()
    confirm(scene, post)
    scene.next(PostRows)
    assert scene.dispatcher.has_room


def test_silent_stream_does_not_stop_reading() -> None:
    """A stream that has sent little is read on while another one fills the window."""
    scene = Scene(unconfirmed_batches=1)
    quiet = scene.add_lane("quiet")
    scene.put(1, 2, 3, 4)
    scene.next(PostRows)
    scene.put(1, lane=quiet)
    assert scene.dispatcher.has_room


def test_large_states_stop_reading() -> None:
    """STATE values that wait for their rows count as memory."""
    scene = Scene(unconfirmed_bytes=10_000)
    scene.put(1)
    scene.dispatcher.ended(b"x" * 20_000)
    scene.put(2)
    assert not scene.dispatcher.has_room


def test_memory_pressure_sends_at_once() -> None:
    """Where memory is used up, a batch goes out though it is not full and not old."""
    scene = Scene(unconfirmed_bytes=1000)
    scene.put(1, 2)
    assert not scene.dispatcher.has_room
    assert numbers(scene.next(PostRows)) == [1, 2]


def test_memory_is_used_up_at_its_limit() -> None:
    """Rows are read as long as less memory is held than allowed."""
    scene = Scene()
    scene.put(1)
    assert scene.dispatcher.has_room
    held = scene.dispatcher.held_bytes
    for limit in (held, held + 1):
        scene = Scene(unconfirmed_bytes=limit)
        scene.put(1)
        assert scene.dispatcher.has_room == (limit > held)


def test_memory_is_given_back() -> None:
    """When everything has its outcome, nothing is counted as held."""
    scene = Scene()
    scene.put(1, 1, 2, state=True)
    scene.dispatcher.drain()
    confirm(scene, scene.next(PostRows))
    assert scene.dispatcher.held_bytes == 0
    assert scene.dispatcher.open_rows == 0
    assert scene.dispatcher.unconfirmed_batches == 0


def test_oldest_stream_goes_first() -> None:
    """Of several full streams the one that has waited longest is sent first."""
    scene = Scene()
    second = scene.add_lane("second")
    scene.put(1, 2, 3, 4, lane=second)
    scene.after(1).put(*range(8))
    assert scene.next(PostRows).lane is second
    scene.put(5, 6, 7, 8, lane=second)
    assert [scene.next(PostRows).lane.destination.stream for _ in range(3)] == ["orders", "orders", "second"]


# Confirmation


def test_outcomes_go_before_batches() -> None:
    """An outcome that is due is asked for before a new batch is sent."""
    scene = Scene()
    scene.put(*range(8))
    scene.accept(scene.next(PostRows))
    scene.after(5)
    scene.next(AskOutcome)
    scene.next(PostRows)


def test_post_reserves_its_confirmation() -> None:
    """A POST starts only when the budget can pay for the outcomes of all that are on their way, too."""
    scene = Scene()
    scene.put(*range(12))
    for _ in range(3):
        scene.accept(scene.next(PostRows))
    assert scene.budget.reserves == [1, 2, 3]


@pytest.mark.parametrize("answer", [unready(), MissingError("Not yet.", **FACTS, status=404)])
def test_unready_outcome_is_asked_again(answer: object) -> None:
    """An ingestion that is missing, or has no counts yet, is pending."""
    scene = Scene()
    scene.put(1, 2, 3, 4, state=True)
    scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(AskOutcome), answer)
    assert scene.state() is None
    scene.done(scene.wait().next(AskOutcome), stored(4))
    assert scene.state() == b"4"


def test_counts_that_differ_are_never_success() -> None:
    """An ingestion whose counts never add up ends the run as unconfirmed, in these words."""
    scene = Scene()
    scene.put(1, 2, 3, 4, state=True)
    scene.accept(scene.next(PostRows))
    while scene.dispatcher.error is None:
        scene.done(scene.wait().next(AskOutcome), stored(3))
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert str(scene.dispatcher.error) == (
        "Ingestion i1 of stream 'orders' (dataset 'Orders', d1) is unconfirmed after 600 s: its record has "
        "counts that don't add up to the 4 rows sent (received 3, appended 3, overwritten 0, rejected 0). "
        "Its rows may or may not be stored, so no STATE passes them; run again, or raise "
        "confirmation_timeout_seconds if Databox is slow."
    )
    assert scene.state() is None


def test_waiting_for_the_budget_is_no_timeout() -> None:
    """Hours of waiting for the budget leave an ingestion confirmable."""
    scene = Scene()
    scene.put(1, 2, 3, 4, state=True)
    scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(AskOutcome), throttled(7200.0))
    scene.wait()
    scene.done(scene.next(AskOutcome), unready())
    assert scene.dispatcher.error is None
    scene.done(scene.wait().next(AskOutcome), stored(4))
    assert scene.state() == b"4"
    assert scene.lane.counts.throttled_seconds == pytest.approx(7200.0)


def test_waiting_for_the_budget_to_read_the_list_is_no_timeout() -> None:
    """An ingestion whose list could not be read for the budget's sake has not used up its time."""
    scene = Scene(confirmation="status", confirmation_timeout_seconds=60.0)
    scene.put(1, 2, 3, 4, state=True)
    scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(ReadList), throttled(3600.0))
    reading = scene.wait().next(ReadList)
    assert scene.now > 3600
    scene.done(reading, listing(("i1", 0.0, PENDING)))
    assert scene.dispatcher.error is None
    while scene.dispatcher.error is None:
        scene.done(scene.wait().next(ReadList), listing(("i1", 0.0, PENDING)))
    assert 3660 < scene.now < 3700


def test_list_confirms_many() -> None:
    """With `status`, one reading of the list confirms every batch that it shows as done."""
    scene = Scene(confirmation="status")
    scene.put(*range(8), state=True)
    ids = [scene.accept(scene.next(PostRows)) for _ in range(2)]
    reading = scene.wait().next(ReadList)
    scene.done(reading, listing(*((name, 0.0, DONE) for name in ids)))
    assert scene.state() == b"8"
    assert scene.lane.counts.unknown_counts == 8


# Lost answers


def test_keys_are_held_for_first_copy() -> None:
    """After a lost answer a newer row of the key waits until the first copy can no longer land on it."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000)
    scene.put(1)
    scene.done(scene.next(PostRows), lost())
    scene.put(1)
    again = scene.wait().next(PostRows)
    confirm(scene, again)
    reading = scene.wait().next(ReadList)
    assert scene.now == pytest.approx(30.0)
    scene.done(reading, listing(("theirs", 0.0, PENDING), ("i1", 1.0, DONE)))
    reading = scene.wait().next(ReadList)
    scene.done(reading, listing(("theirs", 0.0, DONE), ("i1", 1.0, DONE)))
    assert numbers(scene.next(PostRows)) == [2]


def test_keys_are_held_for_every_copy() -> None:
    """Where a second copy was lost as well, its lag counts too."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000, listing_lag_seconds=30.0)
    scene.put(1)
    scene.done(scene.next(PostRows), lost())
    scene.put(1)
    second = scene.wait().next(PostRows)
    scene.after(20).done(second, lost())
    confirm(scene, scene.wait().next(PostRows))
    scene.done(scene.wait().next(ReadList), listing())
    assert scene.now == pytest.approx(30.0)
    reading = scene.wait().next(ReadList)
    assert scene.now == pytest.approx(51.0)
    scene.done(reading, listing())
    assert numbers(scene.next(PostRows)) == [2]


def test_held_keys_block_only_themselves() -> None:
    """Rows of other keys pass while a key is held for a first copy."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000)
    scene.put(1)
    scene.done(scene.next(PostRows), lost())
    confirm(scene, scene.wait().next(PostRows))
    scene.put(1, 2)
    assert numbers(scene.next(PostRows)) == [3]


def test_held_keys_count_as_memory() -> None:
    """Keys that are held for a first copy are counted until they are let go."""
    scene = Scene()
    scene.put("a key", 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    confirm(scene, scene.wait().next(PostRows))
    assert scene.dispatcher.held_bytes > 4 * 100
    scene.done(scene.wait().next(ReadList), listing())
    assert scene.dispatcher.held_bytes == 0


def test_keyless_batch_is_found_again() -> None:
    """Without keys a lost batch is looked for, alone, and adopted when an unknown ingestion has its size."""
    scene = Scene(to=KEYLESS)
    scene.put(*range(8), state=True)
    scene.done(scene.next(PostRows), lost())
    reading = scene.wait().next(ReadList)
    assert scene.now == 30
    scene.done(reading, listing(("older", -6.0, DONE), ("mine", 1.0, DONE), ("other", 2.0, DONE)))
    scene.done(scene.next(ReadIngestion), stored(4))
    scene.done(scene.next(ReadIngestion), stored(3))
    assert list(scene.lane.accepted) == ["mine"]
    assert numbers(scene.next(PostRows)) == [5, 6, 7, 8]


def test_clocks_of_the_server_may_differ() -> None:
    """An ingestion whose time stamp is a few seconds before the server's Date is still found again."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.done(scene.wait().next(ReadList), listing(("mine", -4.0, DONE)))
    scene.done(scene.next(ReadIngestion), stored(4))
    assert list(scene.lane.accepted) == ["mine"]


def test_keyless_batch_is_sent_again() -> None:
    """Without keys a lost batch that the list doesn't show is sent again."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.done(scene.wait().next(ReadList), listing())
    assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "early",
    [
        Ingestion("mine", IngestionStatus.DONE, EPOCH, 0, 0, 0, 0, (), "r"),
        Ingestion("mine", IngestionStatus.PENDING, EPOCH, 3, 3, 0, 0, (), "r"),
        Ingestion("mine", IngestionStatus.DONE, EPOCH, 3, 2, 0, 0, (), "r"),
    ],
)
def test_growing_counts_are_no_size(early: Ingestion) -> None:
    """An ingestion whose counts are not complete yet is read again, not taken for one of another size."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.done(scene.wait().next(ReadList), listing(("mine", 1.0, PENDING)))
    scene.done(scene.next(ReadIngestion), early)
    scene.done(scene.wait().next(ReadIngestion), stored(4))
    assert list(scene.lane.accepted) == ["mine"]


def test_forgotten_ingestion_is_not_adopted() -> None:
    """An own ingestion of an hour ago is not taken for the lost one where no time tells them apart."""
    scene = Scene(to=KEYLESS)
    for _ in range(2):
        scene.put(1, 2, 3, 4)
        confirm(scene, scene.next(PostRows))
        scene.after(4000.0)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    page = IngestionsPage((IngestionEntry("i1", None, DONE), IngestionEntry("i2", None, DONE)), 1, 100, 2)
    scene.done(scene.wait().next(ReadList), page)
    scene.done(scene.next(ReadIngestion), replace(stored(4), timestamp=None))
    assert isinstance(scene.dispatcher.error, UnconfirmedError)


@pytest.mark.parametrize("has_clock", [True, False])
def test_undated_ingestion_is_not_adopted(*, has_clock: bool) -> None:
    """In a dataset that was there before, an ingestion that may be older is not adopted."""
    scene = Scene(to=destination(is_keyed=False, is_new=False))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing())
    scene.dispatcher.server_time = EPOCH if has_clock else None
    scene.done(scene.next(PostRows), lost())
    scene.dispatcher.server_time = EPOCH
    page = IngestionsPage((IngestionEntry("old", None if has_clock else EPOCH, DONE),), 1, 100, 1)
    scene.done(scene.wait().next(ReadList), page)
    scene.done(scene.next(ReadIngestion), replace(stored(4), timestamp=None))
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert not scene.lane.accepted


def test_listed_ingestion_is_not_gone() -> None:
    """An ingestion that is listed and can't be read yet is read again, not taken for missing."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.done(scene.wait().next(ReadList), listing(("mine", 1.0, PENDING)))
    scene.done(scene.next(ReadIngestion), MissingError("Not yet.", **FACTS, status=404))
    scene.done(scene.wait().next(ReadIngestion), stored(4))
    assert list(scene.lane.accepted) == ["mine"]


def test_two_candidates_end_the_run() -> None:
    """Two unknown ingestions of the batch's size are never guessed between; the error says so."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.done(scene.wait().next(ReadList), listing(("a", 1.0, DONE), ("b", 2.0, DONE)))
    for _ in range(2):
        scene.done(scene.next(ReadIngestion), stored(4))
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert str(scene.dispatcher.error) == (
        "The answer to a batch of stream 'orders' (dataset 'Orders', d1) was lost, and 2 ingestions could be "
        "the lost one. Its rows may or may not be stored, so no STATE passes them. Look at the "
        "dataset's ingestions in Databox, then run again."
    )


# Retries


def test_failures_end_after_retry_seconds() -> None:
    """A request that keeps failing ends the run with its own error when `retry_seconds` are over."""
    scene = Scene(retry_seconds=10.0)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), unreachable())
    while scene.dispatcher.error is None:
        scene.done(scene.wait().next(PostRows), unreachable())
    assert str(scene.dispatcher.error) == (
        "Loading stream 'orders' (dataset 'Orders', d1) failed: It never left. It is not tried again: the 10 "
        "seconds of retry_seconds are over."
    )
    assert scene.now == 10
    assert scene.lane.counts.retries == 10


def test_throttling_is_no_failure() -> None:
    """A 429 is waited for, however long, and counts as no retry."""
    scene = Scene(retry_seconds=10.0)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), throttled(3600.0))
    assert numbers(scene.wait().next(PostRows)) == [1, 2, 3, 4]
    assert scene.now == 3600
    assert scene.dispatcher.error is None
    assert scene.lane.counts.retries == 0
    assert scene.lane.counts.requests == 2


def test_failures_are_told_sparingly() -> None:
    """Of many failures one in ten seconds is told, with its reason and the number of the others."""
    scene = Scene()
    scene.put(*range(80))
    for post in [scene.next(PostRows) for _ in range(20)]:
        scene.done(post, unreachable())
    ((level, said),) = scene.said()
    assert level == "warning"
    assert said == (
        "A request for stream 'orders' (dataset 'Orders', d1) will be tried again in 1.0 s: It never left."
    )
    scene.after(11).done(scene.next(PostRows), unreachable())
    ((_, said),) = scene.said()
    assert said.endswith("(19 other requests failed since the last such line)")


# Before the first row


def test_leftovers_are_waited_for() -> None:
    """A dataset that this run did not make is written to when no ingestion is pending in it."""
    scene = Scene(to=destination(is_new=False))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing(("theirs", -5.0, PENDING)))
    scene.done(scene.wait().next(ReadList), listing(("theirs", -5.0, DONE), ("new", 0.0, PENDING)))
    scene.next(PostRows)


def test_leftovers_do_not_stop_a_run() -> None:
    """An ingestion that stays pending for `confirmation_timeout_seconds` is left behind with a warning."""
    scene = Scene(to=destination(is_new=False))
    scene.put(1, 2, 3, 4)
    request: Any = scene.next(ReadList)
    while isinstance(request, ReadList):
        scene.done(request, listing(("theirs", -5.0, PENDING)))
        request = scene.dispatcher.next(scene.now)
        if request is None:
            request = scene.wait().dispatcher.next(scene.now)
    assert isinstance(request, PostRows)
    assert 600 <= scene.now < 620
    ((_, said),) = scene.said()
    assert said.startswith("1 ingestions of stream 'orders'")


def test_purge_comes_first() -> None:
    """With `overwrite` the dataset is purged once, after leftovers and before its first row."""
    scene = Scene(to=destination(is_new=False, purge=True))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing())
    scene.done(scene.next(Purge), None)
    scene.next(PostRows)
    scene.none()


def test_lost_purge_is_outwaited() -> None:
    """A purge whose answer was lost is done again when the first one can no longer come late."""
    scene = Scene(to=destination(is_new=False, purge=True))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing())
    scene.done(scene.next(Purge), lost())
    scene.done(scene.wait().next(Purge), None)
    assert scene.now == 30
    scene.next(PostRows)


# Rejected rows


def isolate(scene: Scene, bad: set[int]) -> int:
    """Answer everything as an API that rejects some rows; returns the number of requests."""
    requests = 0
    while not scene.dispatcher.is_over(scene.now):
        request = scene.dispatcher.next(scene.now)
        if request is None:
            scene.after(scene.dispatcher.wake_at - scene.now)
            continue
        requests += 1
        if isinstance(request, PostRows):
            scene.accept(request)
        else:
            assert isinstance(request, AskOutcome)
            count = len(bad.intersection(numbers(request)))
            scene.done(request, stored(len(request.batch.rows), rejected=count))
        scene.dispatcher.written(scene.dispatcher.rejects())
    return requests


@pytest.mark.parametrize("bad", [1, 37, 50, 51, 100])
def test_one_bad_row_is_cheap(bad: int) -> None:
    """One bad row among a hundred costs at most 4 log2(100) requests more, and only it is rejected."""
    scene = Scene(batch_size_rows=100, batch_size_bytes=1_000_000)
    scene.put(*range(100), state=True)
    scene.dispatcher.drain()
    requests = isolate(scene, {bad})
    assert requests - 2 <= 28
    assert scene.lane.counts.rejected == 1
    assert scene.lane.counts.confirmed == 99
    assert scene.lane.counts.open == 0


def test_whole_bad_batch_is_searched() -> None:
    """A batch of which every row was rejected is halved: the API may have rejected it for the sake of one."""
    scene = Scene(batch_size_rows=100, batch_size_bytes=1_000_000)
    scene.put(*range(100))
    scene.dispatcher.drain()
    assert isolate(scene, set(range(1, 101))) == 2 * 199
    assert scene.lane.counts.rejected == 100


def test_partly_stored_keyless_batch_is_suspect() -> None:
    """Without keys a batch that was partly stored is reported whole, and not sent again."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4, state=True)
    scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(AskOutcome), stored(4, rejected=1))
    assert scene.rejects() == [(number, "suspect") for number in (1, 2, 3, 4)]
    assert scene.state() == b"4"
    scene.none()


def test_older_version_never_follows_a_suspect_one() -> None:
    """What a suspect row had replaced is reported before it, not sent after it: the newer may be stored."""
    scene = Scene(to=destination(keys_are_known=False))
    scene.put(1, 1, 2, state=True)
    post = scene.wait().next(PostRows)
    assert numbers(post) == [2, 3]
    scene.accept(post)
    scene.done(scene.wait().next(AskOutcome), stored(2, rejected=1))
    assert scene.rejects() == [(1, "suspect"), (2, "suspect"), (3, "suspect")]
    assert scene.dispatcher.open_rows == 0
    assert scene.state() == b"3"
    scene.none()


def test_failed_ingestion_is_sent_once_more() -> None:
    """An ingestion that failed is sent again once, and then halved like a refused one."""
    scene = Scene()
    scene.put(1)
    scene.dispatcher.drain()
    keys = []
    for _ in range(2):
        post = scene.next(PostRows)
        keys.append(post.batch.idempotency_key)
        scene.accept(post)
        scene.done(scene.wait().next(AskOutcome), failed(1))
    assert scene.rejects() == [(1, "failed")]
    # With the first key the API would give the failed ingestion again.
    assert keys == ["key 1", "key 2"]


def test_ingestions_that_may_have_stored_rows_are_counted() -> None:
    """An ingestion that failed, or stored a part of its rows, leaves the number of stored rows uncertain."""
    scene = Scene()
    scene.put(*range(8))
    posts = [scene.next(PostRows), scene.next(PostRows)]
    for post in posts:
        scene.accept(post)
    for answer in (failed(4), failed(4)):
        scene.done(scene.after(1).next(AskOutcome), answer)
    assert scene.lane.counts.uncounted_copies == 2
    for _ in posts:
        scene.accept(scene.next(PostRows))
    for answer in (stored(4, rejected=1), stored(4, rejected=1)):
        scene.done(scene.after(1).next(AskOutcome), answer)
    assert scene.lane.counts.uncounted_copies == 4


def test_rejected_record_ends_the_run() -> None:
    """Without a rejects file the first rejected record ends the run, after the rows before it."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000, rejects_path=None)
    scene.put("a", state=True)
    scene.put("b", state=True)
    scene.put("c", state=True)
    first, second = scene.next(PostRows), scene.next(PostRows)
    scene.done(second, refused())
    assert not scene.dispatcher.is_over(scene.now)
    confirm(scene, first)
    assert scene.dispatcher.is_over(scene.now)
    assert scene.state() == b"1"
    assert scene.dispatcher.state(scene.now, last=True) is None
    error = scene.dispatcher.error
    assert isinstance(error, RejectedError)
    assert str(error) == (
        "Line 2, key b, of stream 'orders' (dataset 'Orders', d1) was refused by Databox (status 400, "
        "invalid_input: Bad value (field amount), request id r9). Rows before it are delivered, no STATE "
        "passes it, and the next run meets it again. Fix it at its source, or set rejects_path to keep "
        "rejected records in a file, each with what Databox said of it, and go on."
    )


def test_rows_after_the_end_are_not_taken() -> None:
    """Rows that are read after the run has met its last record are left, those of its line are sent."""
    scene = Scene(rejects_path=None)
    bad = Row(None, b"", number=5, line=b"{}")
    scene.dispatcher.reject(scene.lane, bad, Reason.SCHEMA, "schema", "It is no number")
    rows = [Row((number,), b"{}", number=number) for number in (4, 5, 6)]
    scene.dispatcher.put(scene.lane, rows, scene.now)
    assert scene.lane.counts.read == 3
    scene.dispatcher.drain()
    assert numbers(scene.next(PostRows)) == [4, 5]


def test_rows_behind_held_keys_are_delivered() -> None:
    """A row before the one that ends the run is delivered, though its key has to be waited for."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000, rejects_path=None)
    scene.put("a")
    first = scene.next(PostRows)
    scene.put("a", "b", state=True)
    other = scene.next(PostRows)
    assert numbers(other) == [3]
    scene.done(other, refused())
    confirm(scene, first)
    second = scene.next(PostRows)
    assert numbers(second) == [2]
    confirm(scene, second)
    assert scene.dispatcher.is_over(scene.now)


def test_too_many_rejects_end_the_run() -> None:
    """Beyond `rejects_limit` nothing new is sent; what is on its way is still settled and written."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000, rejects_limit=1)
    scene.put(1, 2, 3, 4, state=True)
    first, second, third = (scene.next(PostRows) for _ in range(3))
    scene.done(first, refused())
    scene.done(second, refused())
    scene.none()
    error = scene.dispatcher.error
    assert isinstance(error, RejectsLimitError)
    assert str(error) == (
        "2 records were rejected, more than rejects_limit (1) allows; the last one of stream 'orders' "
        "(dataset 'Orders', d1): Bad value (field amount). What was rejected is in rejects_path; correct the "
        "cause, or raise rejects_limit."
    )
    assert not scene.dispatcher.is_over(scene.now)
    confirm(scene, third)
    assert not scene.dispatcher.is_over(scene.now)
    assert scene.rejects() == [(1, "refused"), (2, "refused")]
    assert scene.dispatcher.is_over(scene.now)


@pytest.mark.parametrize("limit", [0, 10, 100])
def test_api_that_refuses_everything_meets_the_limit(limit: int) -> None:
    """An API that refuses every row ends the run at `rejects_limit`, a few requests a row."""
    scene = Scene(batch_size_rows=100, batch_size_bytes=1_000_000, rejects_limit=limit)
    scene.put(*range(1000))
    scene.dispatcher.drain()
    requests = 0
    while scene.dispatcher.error is None:
        scene.done(scene.next(PostRows), refused(422))
        requests += 1
    assert requests <= 2 * limit + 15
    assert isinstance(scene.dispatcher.error, RejectsLimitError)


def test_unsendable_record_holds_state() -> None:
    """A record that can't be sent is open until it is written to the rejects file."""
    scene = Scene()
    scene.dispatcher.reject(
        scene.lane, Row(None, b"", number=1, line=b"{}"), Reason.SCHEMA, "schema", "It is no number"
    )
    scene.dispatcher.ended(b"1")
    assert scene.state() is None
    assert scene.rejects() == [(1, "schema")]
    assert scene.state() == b"1"


def test_output_is_due() -> None:
    """Rejected rows are due at once, a STATE when its interval is over, and nothing when there is neither."""
    scene = Scene(state_interval_seconds=5.0)
    assert scene.dispatcher.output_at == float("inf")
    scene.dispatcher.ended(b"1")
    assert scene.dispatcher.output_at <= 0.0
    assert scene.after(1).state() == b"1"
    assert scene.dispatcher.output_at == float("inf")
    scene.dispatcher.ended(b"2")
    assert scene.dispatcher.output_at == 6.0
    row = Row(None, b"", number=3, line=b"{}")
    scene.dispatcher.reject(scene.lane, row, Reason.SCHEMA, "schema", "It is no number")
    assert scene.dispatcher.output_at == 0.0


# Ends


def test_last_state_of_stopped_run_is_due() -> None:
    """A run that is told to stop keeps the interval of STATEs until all in flight has its outcome."""
    scene = Scene(state_interval_seconds=1e6)
    scene.dispatcher.ended(b"0")
    assert scene.state() == b"0"
    scene.put(1, 2, 3, 4, state=True)
    scene.put(5, 6, 7, 8, state=True)
    first, second = scene.next(PostRows), scene.next(PostRows)
    scene.accept(first)
    scene.dispatcher.settle(1000.0)
    scene.done(scene.wait().next(AskOutcome), stored(4))
    assert scene.dispatcher.output_at > 1e5
    scene.accept(second)
    assert scene.dispatcher.output_at > 1e5
    scene.done(scene.wait().next(AskOutcome), stored(4))
    assert scene.dispatcher.output_at <= 0.0
    assert scene.state() == b"8"


def test_closed_run_writes_its_last_state_alone() -> None:
    """After a run has closed, a STATE is given only as the last one."""
    scene = Scene()
    scene.dispatcher.ended(b"1")
    scene.dispatcher.close()
    assert scene.state() is None
    assert scene.dispatcher.state(scene.now, last=True) == b"1"


def test_failure_from_outside_ends_the_run() -> None:
    """A run that is failed from outside has that reason, and `shutdown_seconds` for what is in flight."""
    scene = Scene().after(100)
    error = OSError("The disk is full.")
    scene.dispatcher.fail(error, scene.now)
    assert scene.dispatcher.error is error
    assert (scene.dispatcher.deadline, scene.dispatcher.wake_at) == (120.0, 120.0)


def test_lost_copies_are_not_counted() -> None:
    """Each POST whose answer was lost may have stored rows that nobody counted."""
    scene = Scene()
    scene.put(*range(8))
    for lost_answers in range(1, 4):
        request = scene.dispatcher.next(scene.now) or scene.wait().next(PostRows)
        scene.done(request, lost())
        assert scene.lane.counts.uncounted_copies == lost_answers


def test_refused_key_ends_at_once() -> None:
    """A 401 ends the run at once; no request follows."""
    scene = Scene()
    scene.put(*range(8))
    first = scene.next(PostRows)
    scene.next(PostRows)
    error = KeyRefusedError("The key was refused.", **FACTS, status=401)
    scene.done(first, error)
    scene.none()
    assert scene.dispatcher.is_over(scene.now)
    assert scene.dispatcher.error is not None
    assert scene.dispatcher.error.__cause__ is error


def test_missing_dataset_ends_the_run() -> None:
    """A POST that is answered with 404 ends the run, and no row is blamed."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), MissingError("It is gone.", **FACTS, status=404))
    assert isinstance(scene.dispatcher.error, LoadingError)
    assert isinstance(scene.dispatcher.error.__cause__, MissingError)
    assert scene.rejects() == []


def test_stopped_run_settles_what_is_away() -> None:
    """A run that is told to stop sends nothing new, and waits for outcomes until its deadline."""
    scene = Scene()
    scene.put(1, 2, 3, 4, state=True)
    scene.put(5, 6, 7, 8)
    post = scene.next(PostRows)
    scene.dispatcher.settle(20.0)
    scene.accept(post)
    assert not scene.dispatcher.is_over(scene.now)
    scene.done(scene.wait().next(AskOutcome), stored(4))
    assert scene.dispatcher.is_over(scene.now)
    assert scene.state() == b"4"
    scene.none()


def test_stopped_run_ends_at_its_deadline() -> None:
    """A run that is told to stop ends at its deadline, whatever is still on its way."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    scene.next(PostRows)
    scene.dispatcher.settle(20.0)
    assert not scene.dispatcher.is_over(19.9)
    assert scene.dispatcher.is_over(20.0)
    assert scene.dispatcher.wake_at == 20.0


def test_weightier_reason_is_told() -> None:
    """A failure that keeps rows before a rejected record from being delivered is the reason that counts."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000, rejects_path=None)
    scene.put(1, 2)
    first, second = scene.next(PostRows), scene.next(PostRows)
    scene.done(second, refused())
    assert isinstance(scene.dispatcher.error, RejectedError)
    scene.done(first, MissingError("It is gone.", **FACTS, status=404))
    assert isinstance(scene.dispatcher.error, LoadingError)


def test_bugs_end_the_run() -> None:
    """An answer that is no answer of the API's ends the run with itself."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    error = ZeroDivisionError("a bug")
    scene.done(scene.next(PostRows), error)
    assert scene.dispatcher.error is error


def test_lost_answers_end_with_their_error() -> None:
    """A keyed batch whose answers keep being lost ends the run with that error."""
    scene = Scene(retry_seconds=5.0)
    scene.put(1, 2, 3, 4)
    while scene.dispatcher.error is None:
        request = scene.dispatcher.next(scene.now) or scene.wait().dispatcher.next(scene.now)
        assert isinstance(request, PostRows)
        scene.done(request, lost())
    assert isinstance(scene.dispatcher.error, LoadingError)
    assert isinstance(scene.dispatcher.error.__cause__, LostAnswerError)
