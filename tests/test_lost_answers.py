"""What the list of ingestions shows, hides and mixes up, before the first row and after a lost answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from target_databox.api.errors import MissingError, RefusedError
from target_databox.api.values import Accepted, IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.batches import RECENT_INGESTIONS
from target_databox.delivery.errors import RejectedError, UnconfirmedError
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
    stored,
    throttled,
    unreachable,
)

if TYPE_CHECKING:
    from target_databox.delivery.batches import Destination
    from target_databox.delivery.requests import Request

DONE, PENDING, FAILED = IngestionStatus.DONE, IngestionStatus.PENDING, IngestionStatus.FAILED
KEYLESS = destination(is_keyed=False)
OLD_KEYLESS = destination(is_keyed=False, is_new=False)


def confirm(scene: Scene, request: PostRows) -> None:
    """Accept a POST and store its rows."""
    scene.accept(request)
    scene.done(scene.wait().next(AskOutcome), stored(len(request.batch.rows)))


def lose(scene: Scene, request: Request) -> ReadList:
    """Lose the answer to a POST; returns the reading of the list that follows."""
    scene.done(request, lost())
    return scene.wait().next(ReadList)


def test_leftover_is_not_adopted() -> None:
    """What was there before the first row is not taken for a lost batch, whatever its time stamp says."""
    scene = Scene(to=OLD_KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing(("left", -1.0, DONE)))
    scene.done(lose(scene, scene.next(PostRows)), listing(("left", 7.0, DONE)))
    assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]


@pytest.mark.parametrize("word", [PENDING, IngestionStatus.UNKNOWN])
def test_smaller_ingestion_may_still_grow(word: IngestionStatus) -> None:
    """An ingestion that is smaller than the lost batch is ruled out only when the list shows it as done."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(lose(scene, scene.next(PostRows)), listing(("mine", 1.0, word)))
    scene.done(scene.next(ReadIngestion), stored(3))
    scene.done(scene.wait().next(ReadList), listing(("mine", 1.0, DONE)))
    scene.done(scene.next(ReadIngestion), stored(4))
    assert list(scene.lane.accepted) == ["mine"]


def test_larger_ingestion_is_ruled_out() -> None:
    """An ingestion that is larger than the lost batch is another one, also while it is processed."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(lose(scene, scene.next(PostRows)), listing(("other", 1.0, PENDING)))
    scene.done(scene.next(ReadIngestion), replace(stored(5), status=PENDING))
    assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]


def test_failed_ingestion_may_be_the_lost_one() -> None:
    """A failed ingestion that counted fewer rows than were sent is not taken for one of another size."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(lose(scene, scene.next(PostRows)), listing(("mine", 1.0, FAILED)))
    scene.done(scene.next(ReadIngestion), failed(2))
    assert list(scene.lane.accepted) == ["mine"]


@pytest.mark.parametrize("refusal", [throttled(60.0), unreachable()])
def test_only_carried_out_requests_count(refusal: Exception) -> None:
    """What came after a try that was never carried out, and before the one that was lost, is another's."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), refusal)
    scene.after(60.0)
    scene.done(lose(scene, scene.next(PostRows)), listing(("other", 40.0, DONE)))
    assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]


@pytest.mark.parametrize("has_clock", [True, False])
def test_first_lost_request_counts(*, has_clock: bool) -> None:
    """A batch that was lost twice is looked for from its first request on, also if that knew no time."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.dispatcher.server_time = EPOCH if has_clock else None
    first = scene.next(PostRows)
    scene.dispatcher.server_time = EPOCH
    scene.done(lose(scene, first), listing())
    scene.done(lose(scene, scene.next(PostRows)), listing(("mine", 1.0, DONE)))
    scene.done(scene.next(ReadIngestion), stored(4))
    assert list(scene.lane.accepted) == ["mine"]


def test_waiting_to_search_is_no_failure() -> None:
    """However long the search for a lost batch waits for the budget, its POST is tried again after it."""
    scene = Scene(to=KEYLESS, retry_seconds=60.0)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.budget.free_at = 3600.0
    scene.done(scene.wait().wait().next(ReadList), listing())
    assert scene.now == 3600
    scene.done(lose(scene, scene.next(PostRows)), listing())
    assert scene.dispatcher.error is None
    assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]


def test_own_ingestion_is_remembered() -> None:
    """An own ingestion from just before a lost batch is not adopted, however long that one is looked for."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    confirm(scene, scene.next(PostRows))
    scene.put(5, 6, 7, 8)
    reading = lose(scene, scene.next(PostRows))
    scene.after(4000.0)
    scene.done(reading, listing(("i1", 0.0, DONE)))
    scene.done(lose(scene, scene.next(PostRows)), listing(("i1", 0.0, DONE)))
    assert numbers(scene.next(PostRows)) == [5, 6, 7, 8]


def test_halves_keep_own_ingestions_in_mind() -> None:
    """While a batch whose answer was lost waits for its turn, no own ingestion before it is forgotten."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    confirm(scene, scene.next(PostRows))
    scene.put(5, 6, 7, 8)
    first = scene.next(PostRows)
    scene.done(lose(scene, first), listing(("i1", 0.0, DONE)))
    scene.after(5000.0)
    waiting = scene.next(PostRows).batch
    scene.lane.resends.append(waiting)
    scene.put(9)
    other = scene.lane.cut(scene.dispatcher.settings, scene.now)
    other.ingestion_id, other.accepted_at = "other", scene.now
    scene.lane.remember(other)
    assert scene.lane.knows("i1")


def test_few_own_ingestions_are_remembered() -> None:
    """Of own ingestions that are older than a minute no more than two thousand are remembered."""
    scene = Scene(to=KEYLESS)
    scene.put(1)
    batch = scene.lane.cut(scene.dispatcher.settings, 0.0)
    for number in range(RECENT_INGESTIONS + 500):
        batch.ingestion_id, batch.accepted_at = f"i{number}", number * 0.5
        scene.lane.remember(batch)
    assert len(scene.lane.recent) == RECENT_INGESTIONS
    assert not scene.lane.knows_all_older


def test_stuck_leftover_holds_no_key() -> None:
    """An ingestion that was pending before the run and stays so for ever keeps no key from being let go."""
    scene = Scene(
        to=destination(is_new=False),
        confirmation_timeout_seconds=60.0,
        batch_size_rows=1,
        batch_size_bytes=1000,
    )
    scene.put(1)
    while scene.lane.opening is not None:
        request = scene.dispatcher.next(scene.now)
        if request is None:
            scene.wait()
        else:
            scene.done(request, listing(("stuck", -9.0, PENDING)))
    scene.done(scene.next(PostRows), lost())
    confirm(scene, scene.wait().next(PostRows))
    scene.put(1)
    scene.done(scene.wait().next(ReadList), listing(("stuck", -9.0, PENDING), ("i1", 1.0, PENDING)))
    assert numbers(scene.next(PostRows)) == [2]


def test_hidden_ingestion_is_read_by_itself() -> None:
    """With `status`, an ingestion that the whole list doesn't show within its lag is read by itself."""
    scene = Scene(confirmation="status", batch_size_rows=1, batch_size_bytes=1000)
    scene.put(1, state=True)
    scene.accept(scene.next(PostRows))
    while scene.dispatcher._by_list.confirms(scene.lane):
        scene.done(scene.wait().next(ReadList), listing(("other", 1.0, DONE)))
    assert 30 < scene.now < 60
    scene.done(scene.next(AskOutcome), stored(1))
    assert scene.state() == b"1"


def test_unread_page_ends_no_patience() -> None:
    """With `status`, an ingestion on a page that is still to be read is not taken for unconfirmed."""
    scene = Scene(
        confirmation="status", confirmation_timeout_seconds=5.0, batch_size_rows=1, batch_size_bytes=1000
    )
    scene.put(1)
    scene.accept(scene.next(PostRows))
    while scene.wait().now < 5:
        scene.done(scene.next(ReadList), listing(("i1", 0.0, PENDING)))
    others = tuple(IngestionEntry(f"o{at}", EPOCH + 90 - at, DONE) for at in range(10))
    scene.done(scene.next(ReadList), IngestionsPage(others, 1, 10, 11))
    assert scene.dispatcher.error is None
    scene.done(scene.next(ReadList), IngestionsPage((IngestionEntry("i1", EPOCH, DONE),), 2, 10, 11))
    assert scene.lane.is_idle


@pytest.mark.parametrize("confirmation", ["rows", "status"])
def test_budget_teaches_no_delay(confirmation: str) -> None:
    """After a question that waited an hour for the budget, the next one is asked as early as before."""
    scene = Scene(confirmation=confirmation, batch_size_rows=1, batch_size_bytes=1000)
    kind: type[Request] = AskOutcome if confirmation == "rows" else ReadList
    answers = [stored(1)] * 2 if confirmation == "rows" else [listing((f"i{at}", 0.0, DONE)) for at in (1, 2)]
    scene.put(1)
    scene.accept(scene.next(PostRows))
    scene.budget.free_at = 3600.0
    scene.done(scene.wait().wait().next(kind), answers[0])
    scene.put(2)
    scene.accept(scene.next(PostRows))
    began_at = scene.now
    scene.done(scene.wait().next(kind), answers[1])
    assert scene.now - began_at < 5
    assert scene.lane.is_idle


LOST = "The answer to a batch of stream 'orders' (dataset 'Orders', d1) was lost, and "


@pytest.mark.parametrize(
    ("to", "has_clock", "page", "answer", "finding"),
    [
        (
            KEYLESS,
            True,
            listing(("mine", 1.0, PENDING)),
            stored(3),
            "ingestions that could be the lost one are still pending, or the list has no end",
        ),
        (
            OLD_KEYLESS,
            False,
            listing(("mine", 1.0, DONE)),
            stored(4),
            "an ingestion could be the lost one or an earlier run's; its time does not decide which",
        ),
        (
            destination(),
            True,
            listing(("theirs", 1.0, PENDING)),
            None,
            "ingestions that this run did not make are still pending",
        ),
    ],
)
def test_unresolved_answers_say_why(
    to: Destination, has_clock: bool, page: IngestionsPage, answer: object, finding: str
) -> None:
    """A lost answer that can't be resolved ends the run with what is known, and no STATE passes its rows."""
    scene = Scene(to=to)
    if not has_clock:
        scene.dispatcher.server_time = None
    scene.put(1, 2, 3, 4, state=True)
    request: Request | None = scene.dispatcher.next(scene.now)
    was_lost = False
    while scene.dispatcher.error is None:
        if isinstance(request, PostRows) and not was_lost:
            was_lost = True
            scene.done(request, lost())
        elif isinstance(request, PostRows):
            scene.accept(request)
        elif isinstance(request, ReadList):
            scene.done(request, page if was_lost else listing())
        elif isinstance(request, ReadIngestion):
            scene.done(request, answer)
        elif isinstance(request, AskOutcome):
            scene.done(request, stored(4))
        else:
            scene.now = scene.dispatcher.wake_at
        request = scene.dispatcher.next(scene.now)
        assert scene.now < 700
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert str(scene.dispatcher.error) == (
        f"{LOST}{finding}. Its rows may or may not be stored, so no STATE passes them. Look at the "
        "dataset's ingestions in Databox, then run again."
    )


def test_openings_are_told() -> None:
    """What is left behind, what was not searched, and a purge are told before the first row."""
    scene = Scene(to=destination(is_new=False, purge=True))
    scene.put(1, 2, 3, 4)
    request: object = scene.next(ReadList)
    number = 0
    while isinstance(request, ReadList):
        entries = tuple(IngestionEntry(f"i{number}-{each}", None, DONE) for each in range(99))
        number += 1
        stuck = IngestionEntry("theirs", None, PENDING)
        scene.done(request, IngestionsPage((stuck, *entries), request.page, 100, 100_000))
        request = scene.dispatcher.next(scene.now) or scene.wait().dispatcher.next(scene.now)
    assert isinstance(request, Purge)
    scene.done(request, None)
    scene.next(PostRows)
    assert scene.said() == [
        (
            "warning",
            "1 ingestions of stream 'orders' (dataset 'Orders', d1) were pending before this run and still "
            "are; going on without them. They may land after the rows of this run.",
        ),
        (
            "warning",
            "The list of ingestions of stream 'orders' (dataset 'Orders', d1) is long and in no order; only "
            "its first 50 pages were searched for pending ones.",
        ),
        ("info", "Purged stream 'orders' (dataset 'Orders', d1)."),
    ]


@pytest.mark.parametrize("kind", [RefusedError, MissingError])
@pytest.mark.parametrize("purges", [False, True])
def test_refused_errands_end_the_run(kind: type[RefusedError], *, purges: bool) -> None:
    """A list that can't be read or a purge that is refused ends the run with the stream and the reason."""
    scene = Scene(to=destination(is_new=False, purge=True))
    scene.put(1, 2, 3, 4)
    request: Request = scene.next(ReadList)
    if purges:
        scene.done(request, listing())
        request = scene.next(Purge)
    error = kind("It is gone.", **FACTS, status=404)
    scene.done(request, error)
    assert str(scene.dispatcher.error) == (
        "Loading stream 'orders' (dataset 'Orders', d1) failed: It is gone."
    )
    assert scene.dispatcher.deadline == scene.now + 20
    scene.none()


def newest_first(number: int, *stamps: float, status: IngestionStatus = DONE) -> IngestionsPage:
    """A page of a long list in order, by times after the scene's beginning."""
    entries = tuple(IngestionEntry(f"e{number}-{at}", EPOCH + at, status) for at in stamps)
    return IngestionsPage(entries, number, len(entries), 100 * len(entries))


def test_old_leftovers_are_not_looked_for() -> None:
    """A list whose newest come first is read as far back as an hour before the run, and no further."""
    scene = Scene(to=destination(is_new=False))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), newest_first(1, *range(-100, -2100, -200)))
    second = scene.next(ReadList)
    assert second.page == 2
    scene.done(second, newest_first(2, *range(-2300, -4300, -200)))
    scene.next(PostRows)


def test_old_copies_are_not_looked_for() -> None:
    """For a first copy the list is read back to a little before its request, for clocks that differ."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000)
    scene.put(1)
    scene.done(scene.next(PostRows), lost())
    scene.put(1)
    confirm(scene, scene.wait().next(PostRows))
    scene.done(scene.wait().next(ReadList), newest_first(1, *range(20, 0, -2)))
    second = scene.next(ReadList)
    assert second.page == 2
    scene.done(second, newest_first(2, *range(-3, -23, -2), status=PENDING))
    scene.none()
    scene.done(scene.wait().next(ReadList), newest_first(1, *range(20, 0, -2)))
    scene.done(scene.next(ReadList), newest_first(2, *range(-3, -23, -2)))
    assert numbers(scene.next(PostRows)) == [2]


@pytest.mark.parametrize(("seconds", "times"), [(1.5, [30.0, 31.5]), (1.0, [31.0])])
def test_copies_of_different_times_are_looked_for_apart(seconds: float, times: list[float]) -> None:
    """Keys whose answer was lost a second later or less are let go together, others by themselves."""
    scene = Scene(batch_size_rows=1, batch_size_bytes=1000)
    scene.put(1, 2)
    first, second = scene.next(PostRows), scene.next(PostRows)
    scene.done(first, lost())
    scene.after(seconds).done(second, lost())
    looked_at = []
    while scene.lane.holds:
        request = scene.dispatcher.next(scene.now) or scene.wait().dispatcher.next(scene.now)
        if isinstance(request, PostRows):
            scene.accept(request)
        elif isinstance(request, ReadList):
            looked_at.append(scene.now)
            scene.done(request, listing())
        else:
            assert isinstance(request, AskOutcome)
            scene.done(request, stored(1))
    assert looked_at == times


def test_lost_readings_are_tried_again_soon() -> None:
    """A reading whose answer was lost is done again after a moment, since doing it twice changes nothing."""
    scene = Scene(to=destination(is_new=False))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), lost())
    scene.wait().next(ReadList)
    assert scene.now == 1.0


def test_found_batches_are_told() -> None:
    """A lost batch that is found again is told with its ingestion, and shows that the dataset takes rows."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(lose(scene, scene.next(PostRows)), listing(("mine", 1.0, DONE)))
    scene.done(scene.next(ReadIngestion), stored(4))
    assert scene.said()[-1] == (
        "info",
        "Found ingestion mine of stream 'orders' (dataset 'Orders', d1), whose answer was lost.",
    )


def test_searches_are_no_failure() -> None:
    """What a batch's searches took is left out of how long it has failed; what its tries took is not."""
    scene = Scene(to=KEYLESS, retry_seconds=130.0)
    scene.put(1, 2, 3, 4)
    losses = 0
    while scene.dispatcher.error is None:
        post = scene.next(PostRows)
        scene.after(20)
        losses += 1
        scene.done(post, lost())
        if scene.dispatcher.error is None:
            reading = scene.wait().next(ReadList)
            scene.after(40).done(reading, listing())
        assert losses < 10
    assert losses == 4


# The end


def lost_and_stored(**changes: object) -> Scene:
    """A scene in which an answer was lost and its batch sent again and stored, at the end of the input."""
    scene = Scene(**changes)  # type: ignore[arg-type]
    scene.put(1, 2, 3, 4, state=True)
    scene.done(scene.next(PostRows), lost())
    scene.dispatcher.drain()
    scene.accept(scene.wait().next(PostRows))
    scene.done(scene.wait().next(AskOutcome), stored(4))
    return scene


def test_end_waits_for_held_keys() -> None:
    """With every row confirmed and its STATE out, the run waits until no first copy can land any more."""
    scene = lost_and_stored()
    assert scene.state() == b"4"
    assert not scene.dispatcher.is_over(scene.now)
    reading = scene.wait().next(ReadList)
    assert scene.now == pytest.approx(30.0)
    scene.done(reading, listing(("copy", 0.0, PENDING), ("i1", 1.0, DONE)))
    assert not scene.dispatcher.is_over(scene.now)
    scene.done(scene.wait().next(ReadList), listing(("copy", 0.0, DONE), ("i1", 1.0, DONE)))
    assert scene.dispatcher.is_over(scene.now)
    assert scene.dispatcher.error is None


def test_last_state_does_not_wait_for_held_keys() -> None:
    """While the end waits for a first copy the last STATE is out, whatever `state_interval_seconds` says."""
    scene = Scene(state_interval_seconds=1e6)
    scene.dispatcher.ended(b"0")
    assert scene.state() == b"0"
    scene.put(1, 2, 3, 4, state=True)
    scene.done(scene.next(PostRows), lost())
    scene.accept(scene.wait().next(PostRows))
    scene.done(scene.wait().next(AskOutcome), stored(4))
    assert scene.state() is None
    assert scene.dispatcher.output_at > 1e5
    scene.dispatcher.drain()
    assert scene.dispatcher.output_at <= scene.now
    assert not scene.dispatcher.is_over(scene.now)
    assert scene.state() == b"4"


def test_end_gives_up_a_copy_that_stays_pending() -> None:
    """A first copy that is pending for `confirmation_timeout_seconds` ends the run with a warning alone."""
    scene = lost_and_stored(confirmation_timeout_seconds=60.0)
    while not scene.dispatcher.is_over(scene.now):
        scene.done(scene.wait().next(ReadList), listing(("copy", 0.0, PENDING)))
    assert 90.0 <= scene.now < 110.0
    assert scene.dispatcher.error is None
    ((_, said),) = scene.said()[-1:]
    assert "still pending" in said


@pytest.mark.parametrize(
    "failure", [unreachable(), lost(), RefusedError("Refused.", **FACTS, status=400)], ids=repr
)
def test_end_gives_up_a_list_that_is_not_to_be_had(
    failure: Exception,
) -> None:
    """A list that can't be read ends the run with a warning alone, since every row is confirmed."""
    scene = lost_and_stored(retry_seconds=20.0)
    while not scene.dispatcher.is_over(scene.now):
        scene.done(scene.wait().next(ReadList), failure)
    assert scene.now < 60.0
    assert scene.dispatcher.error is None
    ((_, said),) = scene.said()[-1:]
    assert "can't be read" in said


def test_stop_waits_for_held_keys_until_its_deadline() -> None:
    """A run that was told to stop waits for a first copy, but not beyond `shutdown_seconds`."""
    scene = lost_and_stored()
    scene.dispatcher.settle(scene.now + 20.0)
    scene.none()
    assert not scene.dispatcher.is_over(scene.now)
    assert scene.dispatcher.is_over(scene.now + 20.0)
    scene.dispatcher.settle(scene.now + 60.0)
    assert scene.dispatcher.error is None


# Bounds


@pytest.mark.parametrize("listed_behind", [0, 30])
def test_forgotten_leftovers_are_not_waited_for(listed_behind: int) -> None:
    """An ingestion that has been pending for days delays no run, wherever in the list it is."""
    scene = Scene(to=destination(is_new=False))
    scene.put(1, 2, 3, 4)
    young = [(f"x{number}", -10.0 - number, DONE) for number in range(listed_behind)]
    scene.done(scene.next(ReadList), listing(*young, ("stuck", -864_000.0, PENDING)))
    assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]


@pytest.mark.parametrize("to", [destination(), KEYLESS], ids=["keyed", "keyless"])
def test_endless_list_ends_the_search(to: Destination) -> None:
    """A list without an end is left at `confirmation_timeout_seconds`, and the run ends as unconfirmed."""
    scene = Scene(to=to, confirmation_timeout_seconds=60.0)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.put(1)
    pages = 0
    while scene.dispatcher.error is None:
        request = scene.dispatcher.next(scene.now)
        if request is None:
            scene.wait()
        elif isinstance(request, ReadList):
            pages += 1
            entries = tuple(IngestionEntry(f"{pages}-{each}", None, DONE) for each in range(100))
            scene.after(1.0).done(request, IngestionsPage(entries, request.page, 100, 10**9))
        elif isinstance(request, PostRows):
            scene.done(request, unreachable())
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert 50 < pages < 70


def test_lost_posts_keep_their_planned_waits() -> None:
    """Without a list's lag, a keyless POST that is lost each time waits between tries, and ends in time."""
    scene = Scene(to=KEYLESS, listing_lag_seconds=0.0, retry_seconds=10.0)
    scene.put(1, 2, 3, 4)
    posts = 0
    while scene.dispatcher.error is None:
        request = scene.dispatcher.next(scene.now)
        if request is None:
            scene.wait()
            continue
        posts += isinstance(request, PostRows)
        scene.after(0.1).done(request, lost() if isinstance(request, PostRows) else listing())
    assert posts <= 12
    assert scene.now < 13.0


@pytest.mark.parametrize(("seconds", "is_adopted"), [(1.0, False), (4.9, False), (5.0, True)])
def test_earlier_run_is_not_adopted(seconds: float, *, is_adopted: bool) -> None:
    """An ingestion from the first moments may be a run's that ended right before, and is not adopted."""
    scene = Scene(to=OLD_KEYLESS)
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(ReadList), listing())
    scene.after(seconds).done(lose(scene, scene.next(PostRows)), listing(("x", seconds, DONE)))
    scene.done(scene.next(ReadIngestion), stored(4))
    assert (scene.dispatcher.error is None) == is_adopted


def test_rejected_record_stays_the_reason_of_the_end() -> None:
    """Where a run ends at a rejected record, a first copy that stays pending is no other reason."""
    scene = Scene(confirmation_timeout_seconds=60.0, rejects_path=None, state_interval_seconds=3600.0)
    scene.put(1, 2, 3, 4, state=True)
    scene.done(scene.next(PostRows), lost())
    scene.accept(scene.wait().next(PostRows))
    scene.done(scene.wait().next(AskOutcome), stored(4))
    scene.state()
    row = Row(None, b"", number=5, line=b"{}")
    scene.dispatcher.reject(scene.lane, row, Reason.KEY, "key_null", "It is null.")
    scene.dispatcher.drain()
    while not scene.dispatcher.is_over(scene.now):
        scene.done(scene.wait().next(ReadList), listing(("copy", 0.0, PENDING)))
    assert isinstance(scene.dispatcher.error, RejectedError)


@pytest.mark.parametrize("confirmation", ["rows", "status"])
def test_one_ingestion_confirms_no_two_batches(confirmation: str) -> None:
    """Where two POSTs are answered with one ingestion, the run ends and no STATE passes either."""
    scene = Scene(confirmation=confirmation)
    scene.put(*range(4), state=True)
    scene.put(*range(4, 8), state=True)
    first, second = scene.next(PostRows), scene.next(PostRows)
    scene.done(first, Accepted("same", (), "r"))
    scene.done(second, Accepted("same", (), "r"))
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert "two batches" in str(scene.dispatcher.error)
    scene.after(5.0).none()
    assert scene.dispatcher.is_over(scene.now)
    assert scene.dispatcher.state(scene.now, last=True) is None


def test_throttled_readings_lengthen_no_later_timeout() -> None:
    """Waits for the budget of one ingestion count for its own time alone, not for that of the next."""
    scene = Scene(confirmation="status", confirmation_timeout_seconds=60.0)
    scene.put(1, 2, 3, 4)
    scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(ReadList), throttled(500.0))
    scene.done(scene.wait().next(ReadList), listing(("i1", 0.0, FAILED)))
    scene.accept(scene.next(PostRows))
    began = scene.now
    while scene.dispatcher.error is None:
        scene.done(scene.wait().next(ReadList), listing(("i2", 0.0, PENDING)))
    assert scene.now - began < 70.0


@pytest.mark.parametrize(("is_keyed", "is_sent"), [(True, True), (False, False)])
def test_forgotten_key_stores_nothing_twice(is_keyed: bool, is_sent: bool) -> None:
    """A lost batch that waited for a day is sent again only where its rows may be stored twice."""
    scene = Scene(to=destination(is_keyed=is_keyed, resends_are_recognised=True))
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.budget.free_at = scene.now + 86_400.0
    scene.none()
    scene.after(86_400.0)
    if is_sent:
        assert numbers(scene.next(PostRows)) == [1, 2, 3, 4]
        return
    scene.none()
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert "idempotency key" in str(scene.dispatcher.error)
    assert scene.dispatcher.is_over(scene.now)


def test_recognised_batch_keeps_its_key() -> None:
    """A lost batch that the API recognises is sent again with its idempotency key, hours later too."""
    scene = Scene(to=destination(is_keyed=False, resends_are_recognised=True), retry_seconds=1e6)
    scene.put(1, 2, 3, 4)
    keys = set()
    for _ in range(3):
        request = scene.next(PostRows)
        keys.add(request.batch.idempotency_key)
        scene.done(request, lost())
        scene.after(3 * 3600.0)
    assert len(keys) == 1
    assert scene.dispatcher.error is None
