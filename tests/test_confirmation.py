"""What is learned of accepted batches: their counts, when they are asked about, and why a run gives up."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.errors import MissingError, RefusedError
from target_databox.api.values import Ingestion, IngestionEntry, IngestionsPage, IngestionStatus
from target_databox.delivery.awaiting import GROWTH, PROBE_SECONDS
from target_databox.delivery.errors import LoadingError, UnconfirmedError
from target_databox.delivery.requests import AskOutcome, PostRows, ReadList
from tests.delivering import EPOCH, FACTS, Scene, listing, lost, stored, throttled, unready

if TYPE_CHECKING:
    from target_databox.delivery.requests import Request

DONE, PENDING, FAILED = IngestionStatus.DONE, IngestionStatus.PENDING, IngestionStatus.FAILED
UNKNOWN = IngestionStatus.UNKNOWN
SLOW = "raise confirmation_timeout_seconds if Databox is slow"
COUNTLESS = f"{SLOW}, or set `confirmation: status` if it gives no counts"
WORDLESS = f"{SLOW}, or set `confirmation: rows`, which goes by counts and not by words"


def ingestion(status: IngestionStatus, *counts: int | None, word: str | None = None) -> Ingestion:
    """An ingestion with its rows received, appended, overwritten and rejected, and its status word."""
    received, appended, overwritten, rejected = counts
    return Ingestion("i", status, EPOCH, received, appended, overwritten, rejected, (), "r", word)


def listed(status: IngestionStatus, word: str | None) -> IngestionsPage:
    """A list with one ingestion."""
    return IngestionsPage((IngestionEntry("i1", EPOCH, status, word),), 1, 100, 1)


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
        (UNKNOWN, 4, 3, 0, 0),
        (UNKNOWN, 0, 0, 0, 0),
        (UNKNOWN, None, None, None, None),
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


BY_LIST = {"confirmation": "status"}
MISFIT = "counts that don't add up to the 4 rows sent (received {}, appended {}, overwritten {}, rejected {})"


@pytest.mark.parametrize(
    ("changes", "answer", "finding", "advice"),
    [
        ({}, unready(), "its record has no counts that can be read", COUNTLESS),
        ({}, ingestion(DONE, 4, 4, None, 0), "its record has no counts that can be read", COUNTLESS),
        ({}, stored(3), f"its record has {MISFIT.format(3, 3, 0, 0)}", SLOW),
        ({}, ingestion(DONE, 4, 1, 2, 0), f"its record has {MISFIT.format(4, 1, 2, 0)}", SLOW),
        ({}, ingestion(PENDING, 4, 4, 0, 0, word="queued"), "its record shows it as queued", SLOW),
        ({}, ingestion(PENDING, None, None, None, None), "its record shows it as pending", SLOW),
        (
            {},
            ingestion(UNKNOWN, 4, 3, 0, 0, word="Archived"),
            f"its record shows it with the unknown status 'Archived', and has {MISFIT.format(4, 3, 0, 0)}",
            SLOW,
        ),
        (
            {},
            ingestion(UNKNOWN, None, None, None, None, word="Archived"),
            "its record shows it with the unknown status 'Archived', and has no counts that can be read",
            COUNTLESS,
        ),
        (
            {},
            ingestion(UNKNOWN, None, None, None, None),
            "its record shows it without a status, and has no counts that can be read",
            COUNTLESS,
        ),
        ({}, MissingError("Not yet.", **FACTS, status=404), "Databox does not know the ingestion", SLOW),
        (BY_LIST, listed(PENDING, None), "the list of ingestions shows it as pending", SLOW),
        (BY_LIST, listed(PENDING, "running"), "the list of ingestions shows it as running", SLOW),
        (
            BY_LIST,
            listed(UNKNOWN, "Archived"),
            "the list of ingestions shows it with the unknown status 'Archived'",
            WORDLESS,
        ),
        (BY_LIST, listed(UNKNOWN, None), "the list of ingestions shows it without a status", WORDLESS),
        (
            {**BY_LIST, "listing_lag_seconds": 1000.0},
            listing(),
            "the list of ingestions does not show its outcome",
            SLOW,
        ),
    ],
)
def test_giving_up_says_why(changes: dict[str, Any], answer: object, finding: str, advice: str) -> None:
    """An ingestion without an outcome ends the run with what is known of it, and no STATE passes its rows."""
    scene = Scene(**changes)
    accepted(scene)
    assert gives_up(scene, ReadList if changes else AskOutcome, answer) == (
        f"Ingestion i1 of stream 'orders' (dataset 'Orders', d1) is unconfirmed after 600 s: {finding}. Its "
        f"rows may or may not be stored, so no STATE passes them; run again, or {advice}."
    )


@pytest.mark.parametrize(
    ("word", "shown"), [("Archived", "with the unknown status 'Archived'"), (None, "without a status")]
)
def test_counts_outweigh_unknown_words(word: str | None, shown: str) -> None:
    """An ingestion of unknown status is done when its counts add up, rejected rows too, with one warning."""
    scene = Scene()
    accepted(scene, 3)
    for _ in range(2):
        scene.done(scene.after(1).next(AskOutcome), ingestion(UNKNOWN, 4, 3, 1, 0, word=word))
    scene.done(scene.next(AskOutcome), ingestion(UNKNOWN, 4, 3, 0, 1, word=word))
    assert scene.lane.counts.confirmed == 8
    assert isinstance(scene.next(PostRows), PostRows)  # what holds the rejected row is looked for
    assert [text for level, text in scene.said() if level == "warning"] == [
        f"Databox shows an ingestion of stream 'orders' (dataset 'Orders', d1) {shown}. It counts as "
        "processed, like others of that kind, since its counts add up to the rows sent."
    ]


def test_endless_words_are_told_of_a_few_times() -> None:
    """An API with a new word for every ingestion gets five warnings, and its rows are confirmed."""
    scene = Scene()
    accepted(scene, 9)
    for number in range(9):
        scene.done(scene.after(1).next(AskOutcome), ingestion(UNKNOWN, 4, 4, 0, 0, word=f"word {number}"))
    assert scene.state() == b"36"
    assert len(scene.said()) == 5


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


def test_questions_end_after_retry_seconds() -> None:
    """A question that keeps failing ends the run with the last error when `retry_seconds` are over."""
    scene = Scene(retry_seconds=10.0)
    accepted(scene)
    error = lost()
    while scene.dispatcher.error is None:
        scene.done(scene.wait().next(AskOutcome), error)
    assert isinstance(scene.dispatcher.error, LoadingError)
    assert scene.dispatcher.error.__cause__ is error
    assert scene.now == pytest.approx(10.1)


def test_counts_of_partly_stored_batches_are_taken() -> None:
    """What an ingestion stored counts though it rejected rows, and so does what the dataset holds since."""
    scene = Scene()
    accepted(scene)
    answer = replace(ingestion(DONE, 4, 1, 2, 1), dataset_rows=70, dataset_columns=3)
    scene.done(scene.wait().next(AskOutcome), answer)
    counts = scene.lane.counts
    assert (counts.appended, counts.overwritten) == (1, 2)
    assert (counts.dataset_rows, counts.dataset_columns) == (70, 3)


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
