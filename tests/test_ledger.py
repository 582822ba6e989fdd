"""The books of a run: what is open, what is held in memory, and what is let go, over several batches."""

from __future__ import annotations

import pytest

from target_databox.api.values import IngestionStatus
from target_databox.delivery.awaiting import GROWTH
from target_databox.delivery.requests import AskOutcome, PostRows, ReadList
from tests.delivering import Scene, failed, listing, lost, numbers, stored, unready


def test_books_add_up() -> None:
    """Rows and batches are counted over all that came, and nothing is open when all have their outcome."""
    scene = Scene()
    scene.put(1, 2)
    assert scene.dispatcher.open_rows == 2
    scene.put(1, 2, 3, 4)
    scene.put(5, 5, 6, 7, 8, state=True)
    assert scene.dispatcher.open_rows == 11
    posts = [scene.next(PostRows), scene.next(PostRows)]
    assert [numbers(post) for post in posts] == [[3, 4, 5, 6], [8, 9, 10, 11]]
    assert scene.dispatcher.unconfirmed_batches == 2
    for post in posts:
        scene.accept(post)
    scene.dispatcher.settle()
    for left in (5, 0):
        assert not scene.dispatcher.is_over(scene.now)
        scene.done(scene.after(1).next(AskOutcome), stored(4))
        assert scene.dispatcher.open_rows == left
    assert scene.dispatcher.is_over(scene.now)
    counts = scene.lane.counts
    assert (counts.read, counts.confirmed, counts.superseded, counts.open) == (11, 8, 3, 0)
    assert scene.dispatcher.unconfirmed_batches == 0
    assert scene.state() == b"11"
    assert scene.dispatcher.held_bytes == 0


def test_states_keep_their_interval() -> None:
    """At most one STATE goes out in `state_interval_seconds`."""
    scene = Scene(state_interval_seconds=5.0)
    scene.dispatcher.ended(b"1")
    assert scene.state() == b"1"
    scene.dispatcher.ended(b"2")
    assert scene.after(4.9).state() is None
    assert scene.after(0.1).state() == b"2"


def test_held_keys_count_with_their_values() -> None:
    """Keys that are held for first copies of several batches count with all of their values."""
    scene = Scene()
    scene.put(*(f"{number:01000d}" for number in range(8)))
    for post in (scene.next(PostRows), scene.next(PostRows)):
        scene.done(post, lost())
    for post in (scene.after(1).next(PostRows), scene.next(PostRows)):
        scene.accept(post)
    for _ in range(2):
        scene.done(scene.after(1).next(AskOutcome), stored(4))
    assert scene.dispatcher.open_rows == 0
    assert 8 * 1000 < scene.dispatcher.held_bytes < 8 * 1500
    scene.done(scene.wait().next(ReadList), listing())
    assert scene.dispatcher.held_bytes == 0


def test_keys_outlive_their_hold() -> None:
    """A batch that is confirmed when no first copy can land any more lets its keys go at once."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.after(25).accept(scene.next(PostRows))
    scene.put(1)
    question = scene.after(5).next(AskOutcome)
    scene.done(scene.next(ReadList), listing(("i1", 0.0, IngestionStatus.DONE)))
    scene.done(question, stored(4))
    scene.dispatcher.drain()
    assert numbers(scene.next(PostRows)) == [5]


def test_new_ingestion_is_asked_about_anew() -> None:
    """A question that comes too early for a batch's second ingestion teaches as much as for its first."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(AskOutcome), stored(4))
    scene.put(1, 2, 3, 4)
    scene.accept(scene.next(PostRows))
    scene.done(scene.wait().next(AskOutcome), unready())
    scene.done(scene.wait().next(AskOutcome), failed(4))
    scene.accept(scene.next(PostRows))
    accepted_at = scene.now
    scene.done(scene.wait().next(AskOutcome), unready())
    delay_seconds = scene.now - accepted_at
    scene.put(5, 6, 7, 8)
    scene.accept(scene.next(PostRows))
    accepted_at = scene.now
    while scene.wait().next(AskOutcome).ingestion_id != "i4":
        pass
    assert scene.now - accepted_at == pytest.approx(delay_seconds * GROWTH)
