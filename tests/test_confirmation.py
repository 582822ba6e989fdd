"""What is learned of accepted batches: their counts, when they are asked about, and why a run gives up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.errors import MissingError, RefusedError
from target_databox.api.shapes import Ingestion, IngestionStatus
from target_databox.delivery.awaiting import GROWTH, PROBE_SECONDS
from target_databox.delivery.errors import LoadingError, UnconfirmedError
from target_databox.delivery.requests import AskOutcome, PostRows, ReadList
from tests.delivering import EPOCH, FACTS, Scene, listing, lost, stored, throttled, unready

if TYPE_CHECKING:
    from target_databox.delivery.requests import Request

DONE, PENDING, FAILED = IngestionStatus.DONE, IngestionStatus.PENDING, IngestionStatus.FAILED


def ingestion(status: IngestionStatus, *counts: int | None) -> Ingestion:
    """An ingestion with its rows received, appended, overwritten and rejected."""
    received, appended, overwritten, rejected = counts
    return Ingestion("i", status, EPOCH, received, appended, overwritten, rejected, (), "r")


def accepted(scene: Scene, batches: int = 1) -> list[str]:
    """Have batches of four rows accepted; returns their ingestions."""
    scene.put(*range(4 * batches), state=True)
    return [scene.accept(scene.next(PostRows)) for _ in range(batches)]


def gives_up(scene: Scene, kind: type[Request], answer: object) -> str:
    """Answer every question alike until the run gives up; returns its words."""
    while scene.dispatcher.error is None:
        scene.done(scene.wait().next(kind), answer)
    assert isinstance(scene.dispatcher.error, UnconfirmedError)
    assert 600 <= scene.now < 640
    assert scene.state() is None
    return str(scene.dispatcher.error)


def test_counts_are_those_of_the_record() -> None:
    """Appended and overwritten rows, and how long outcomes took, are summed over all ingestions."""
    scene = Scene().after(10)
    accepted(scene, 3)
    for appended in (3, 1, 0):
        question = scene.after(2).next(AskOutcome)
        scene.done(question, ingestion(DONE, 4, appended, 4 - appended, 0))
    counts = scene.lane.counts
    assert (counts.appended, counts.overwritten, counts.unknown_counts) == (4, 8, 0)
    assert (counts.confirmations, counts.confirmation_seconds) == (3, 2 + 4 + 6)
    assert scene.state() == b"12"


@pytest.mark.parametrize(
    "counts",
    [
        (DONE, 4, 4, 0, None),
        (DONE, 4, None, 4, 0),
        (DONE, 4, 4, None, 0),
        (DONE, None, 4, 0, 0),
        (DONE, 3, 4, 0, 0),
        (DONE, 4, 3, 0, 0),
        (DONE, 4, 4, 0, 1),
        (DONE, 5, 4, 1, 0),
        (PENDING, 4, 4, 0, 0),
        (IngestionStatus.UNKNOWN, 4, 4, 0, 0),
    ],
)
def test_success_needs_every_count(counts: Any) -> None:
    """An ingestion is stored only when it is done and every row that was sent is in one of its counts."""
    scene = Scene()
    accepted(scene)
    scene.done(scene.wait().next(AskOutcome), ingestion(*counts))
    assert scene.state() is None
    assert scene.dispatcher.error is None
    assert scene.lane.counts.confirmations == 0
    scene.done(scene.wait().next(AskOutcome), ingestion(DONE, 4, 2, 2, 0))
    assert scene.state() == b"4"


@pytest.mark.parametrize(
    ("changes", "kind", "answer", "finding"),
    [
        ({}, AskOutcome, unready(), "its record has no counts yet"),
        ({}, AskOutcome, stored(3), "its record has counts that don't add up to the 4 rows sent"),
        (
            {},
            AskOutcome,
            MissingError("Not yet.", **FACTS, status=404),
            "Databox does not know the ingestion",
        ),
        (
            {"confirmation": "status"},
            ReadList,
            listing(("i1", 0.0, PENDING)),
            "the list of ingestions shows it as pending",
        ),
        (
            {"confirmation": "status", "listing_lag_seconds": 1000.0},
            ReadList,
            listing(),
            "the list of ingestions does not show its outcome",
        ),
    ],
)
def test_giving_up_says_why(
    changes: dict[str, Any], kind: type[Request], answer: object, finding: str
) -> None:
    """An ingestion without an outcome ends the run with what is known of it, and no STATE passes its rows."""
    scene = Scene(**changes)
    accepted(scene)
    start = "Ingestion i1 of stream 'orders' (dataset 'Orders', d1) is unconfirmed after 600 s"
    assert gives_up(scene, kind, answer).startswith(f"{start}: {finding}. Its rows")


def test_one_is_asked_about_first() -> None:
    """Until the first outcome is seen one ingestion is asked about for all, but not for longer than that."""
    scene = Scene()
    accepted(scene, 3)
    asked = set()
    while len(asked) < 2:
        question = scene.wait().next(AskOutcome)
        asked.add(question.ingestion_id)
        if len(asked) < 2:
            assert scene.now < 2 * PROBE_SECONDS
            scene.done(question, unready())
    assert scene.now >= PROBE_SECONDS


def test_outcome_lets_others_be_asked() -> None:
    """When the first outcome is seen, those that are as old are asked about at once, oldest first."""
    scene = Scene()
    ids = accepted(scene, 3)
    scene.done(scene.wait().next(AskOutcome), stored(4))
    assert [scene.next(AskOutcome).ingestion_id for _ in range(2)] == ids[1:]
    scene.none()


def test_questions_are_tried_again() -> None:
    """A question that fails is asked again after a wait, a 429 when the budget lets it, and others go on."""
    scene = Scene()
    accepted(scene, 2)
    scene.done(scene.wait().next(AskOutcome), stored(4))
    scene.done(scene.next(AskOutcome), lost())
    then = scene.now
    question = scene.wait().next(AskOutcome)
    assert scene.now == then + 1
    scene.done(question, throttled(7.0))
    scene.wait()
    assert scene.now == then + 8
    scene.done(scene.next(AskOutcome), stored(4))
    assert scene.state() == b"8"
    assert scene.lane.counts.retries == 1


@pytest.mark.parametrize(("changes", "kind"), [({}, AskOutcome), ({"confirmation": "status"}, ReadList)])
def test_final_answers_end_the_run(changes: dict[str, Any], kind: type[Request]) -> None:
    """A question that the API refuses for good ends the run with its words."""
    scene = Scene(**changes)
    accepted(scene)
    scene.done(scene.wait().next(kind), RefusedError("It is gone.", **FACTS, status=410))
    error = scene.dispatcher.error
    assert isinstance(error, LoadingError)
    assert str(error) == "Loading stream 'orders' (dataset 'Orders', d1) failed: It is gone."


def test_list_shows_several_outcomes() -> None:
    """One reading confirms what is done, sends again what failed, and leaves what is pending."""
    scene = Scene(confirmation="status")
    first, second, third = accepted(scene, 3)
    reading = scene.wait().next(ReadList)
    scene.done(reading, listing((third, 0.0, PENDING), (second, 0.0, FAILED), (first, 0.0, DONE)))
    again = scene.next(PostRows)
    assert [row.number for row in again.batch.rows] == [5, 6, 7, 8]
    assert list(scene.lane.accepted) == [third]
    counts = scene.lane.counts
    assert (counts.unknown_counts, counts.confirmed, counts.confirmations) == (4, 4, 2)
    fourth = scene.accept(again)
    scene.done(scene.wait().next(ReadList), listing((fourth, 0.0, DONE), (third, 0.0, DONE)))
    assert scene.state() == b"12"
    assert scene.lane.counts.unknown_counts == 12


@pytest.mark.parametrize(("changes", "reserves"), [({}, [1, 2, 3]), ({"confirmation": "status"}, [2, 2, 2])])
def test_batches_reserve_what_they_will_cost(changes: dict[str, Any], reserves: list[int]) -> None:
    """A POST leaves the budget a question for each batch on its way, or a reading of each list."""
    scene = Scene(**changes)
    accepted(scene, 3)
    assert scene.budget.reserves == reserves


def test_blind_lists_are_left() -> None:
    """Where the list does not show what is new, each ingestion is read by itself, which is told once."""
    scene = Scene(confirmation="status")
    ids = accepted(scene, 2)
    while scene.dispatcher._by_list.confirms(scene.lane):
        scene.done(scene.wait().next(ReadList), listing(("theirs", 0.0, DONE)))
    assert [note for _, note in scene.said()] == [
        "The list of ingestions of stream 'orders' (dataset 'Orders', d1) does not show new ones in a page "
        "or two; reading each ingestion by itself, as with confirmation `rows`."
    ]
    assert 30 <= scene.now < 40
    for name in ids:
        question = scene.next(AskOutcome)
        assert question.ingestion_id == name
        scene.done(question, stored(4))
    assert scene.state() == b"8"


@pytest.mark.parametrize(("drains", "seconds"), [(True, 0.1), (False, 2.0)])
def test_last_reading_waits_for_no_more(drains: bool, seconds: float) -> None:
    """While batches may follow the list is read every two seconds; after the last as soon as that helps."""
    scene = Scene(confirmation="status")
    (first,) = accepted(scene)
    scene.done(scene.wait().next(ReadList), listing((first, 0.0, DONE)))
    then = scene.now
    accepted(scene)
    if drains:
        scene.dispatcher.drain()
    scene.wait().next(ReadList)
    assert scene.now == pytest.approx(then + seconds)


def test_stuck_ingestion_teaches_once() -> None:
    """An ingestion that is asked about in vain makes others be asked a little later, however often it is."""
    scene = Scene()
    accepted(scene)
    scene.done(scene.wait().next(AskOutcome), stored(4))
    accepted(scene)
    then = scene.now
    scene.done(scene.wait().next(AskOutcome), unready())
    delay_seconds = (scene.now - then) * GROWTH
    for _ in range(4):
        scene.done(scene.wait().next(AskOutcome), unready())
    scene.put(5, 6, 7, 8)
    other = scene.accept(scene.next(PostRows))
    then = scene.now
    while (question := scene.wait().next(AskOutcome)).ingestion_id != other:
        scene.done(question, unready())
    assert scene.now - then == pytest.approx(delay_seconds)
