"""Facts on the shapes of the API's answers and on how they are read from its JSON."""

from __future__ import annotations

import dataclasses

import pytest

from target_databox.api import answers, shapes
from target_databox.api.limits import DONE_WORDS, FAILED_WORDS, PENDING_WORDS
from target_databox.api.shapes import ApiProblem, IngestionStatus

SHAPES = [each for each in vars(shapes).values() if isinstance(each, type) and dataclasses.is_dataclass(each)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_shapes_are_values(shape: type) -> None:
    """Every shape is frozen and has slots, so it can cross threads."""
    assert shape.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(shape)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (PENDING_WORDS, IngestionStatus.PENDING),
        (DONE_WORDS, IngestionStatus.DONE),
        (FAILED_WORDS, IngestionStatus.FAILED),
        (["Success", "COMPLETED"], IngestionStatus.DONE),
        (["new-word", "", None, 7, ["success"]], IngestionStatus.UNKNOWN),
    ],
)
def test_status_words_are_understood(words: list[object], status: IngestionStatus) -> None:
    """Each known word has its meaning, whatever its case; any other is unknown."""
    assert {answers.status_of(word) for word in words} == {status}


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("2025-10-01T12:00:00.000000Z", 1759320000.0),
        ("2025-10-01T12:00:00.250Z", 1759320000.25),
        ("2025-10-01T14:00:00+02:00", 1759320000.0),
        ("2025-10-01T12:00:00", 1759320000.0),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1759320000, None),
    ],
)
def test_timestamps_become_epochs(text: object, epoch: float | None) -> None:
    """ISO 8601 times become epoch seconds, UTC where no offset is given; anything else is not known."""
    assert answers.epoch_of(text) == epoch


@pytest.mark.parametrize(
    ("errors", "found"),
    [
        (None, ()),
        ([], ()),
        ({}, ()),
        ([{"code": None, "message": "m", "field": "f", "type": "t"}], (ApiProblem(None, "m", "f", "t"),)),
        ([{"code": 7}], (ApiProblem("7", None, None, None),)),
        (["text"], (ApiProblem(None, "text", None, None),)),
        ("text", (ApiProblem(None, "text", None, None),)),
        ({"message": "m"}, (ApiProblem(None, "m", None, None),)),
        ([None], (ApiProblem(None, None, None, None),)),
    ],
)
def test_problems_of_any_shape_are_read(errors: object, found: tuple[ApiProblem, ...]) -> None:
    """An errors list is read whatever is in it."""
    assert answers.problems(errors, lambda text: None if text is None else str(text)) == found


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b'{"a":', b'"text"', b"7"])
def test_unreadable_bodies_tell_nothing(body: bytes) -> None:
    """The body of a failed answer may be anything without harm."""
    assert answers.envelope_of(body) == answers.Envelope()
