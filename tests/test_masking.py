"""What the API says of rows is told without their values."""

from __future__ import annotations

import json

import pytest

from target_databox.api.errors import error_of_answer
from target_databox.api.values import Accepted, ApiProblem, Ingestion, IngestionStatus
from target_databox.delivery.masking import CHARACTERS_A_LOOK, MOST_LOOKS, masked
from target_databox.delivery.rows import Row

ROW = Row(
    None,
    b'{"id":17,"name":"Ada Lovelace 42","mail":"ada@example.com","size":1.250,"tags":["secret tag"],'
    b'"surname":"Lovelace","code":"maxx-7","note":""}',
)


def said(message: str | None) -> str | None:
    """A message about the row, masked."""
    answer = masked(Accepted("i1", (ApiProblem("bad", message, "name", "validation"),), "r1"), [ROW])
    assert isinstance(answer, Accepted)
    return answer.errors[0].message


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Value 'Ada Lovelace 42' is not valid.", "Value '***' is not valid."),
        ("Bad value: ada@example.com", "Bad value: ***"),
        ("Bad value: ada@exam...", "Bad value: ***..."),
        ("Lovel… is too long", "***… is too long"),
        ("Row 17 has size 1.250", "Row *** has size ***"),
        ("tags[0]=secret tag!", "tags[0]=***!"),
        ("LOVELACE is unknown", "*** is unknown"),
        ("Love, MAXX: bad", "***, ***: bad"),
        ("Lov is short, Lovely is no piece", "Lov is short, Lovely is no piece"),
        ("The provided parameter is invalid.", "The provided parameter is invalid."),
        ("", ""),
        (None, None),
    ],
)
def test_values_are_masked(message: str | None, shown: str | None) -> None:
    """Whole values and pieces of them are masked, whatever their type; other words stay."""
    assert said(message) == shown


def test_errors_are_masked_everywhere() -> None:
    """An error's text, its attributes and its problems hold no value; status, code and field stay."""
    error = error_of_answer(
        method="POST",
        path="/v1/datasets/d1/data",
        status=422,
        problems=(ApiProblem("bad_row", "Row with mail ada@example.com is bad.", "mail", "validation"),),
        request_id="r1",
    )
    assert masked(error, [ROW]) is error
    assert "ada@" not in f"{error} {error!r} {error.__dict__}"
    happened = (
        "POST /v1/datasets/d1/data was answered with status 422 (bad_row: Row with mail *** is bad, field "
        "mail, request id r1)"
    )
    assert str(error).startswith(happened)
    assert error.happened == happened


def test_masked_sentences_replace_whole_ones() -> None:
    """An error quotes a masked problem in the place of the whole one, to its last letter."""
    problem = ApiProblem(None, "MAXX is not in BOX.", None, None)
    error = error_of_answer(method="POST", path="/v1/datasets/d1/data", status=422, problems=(problem,))
    masked(error, [ROW])
    assert "status 422 (*** is not in BOX): " in str(error)


@pytest.mark.parametrize(
    ("word", "shown"),
    [("lovelace", "lovelace"), ("bad: ada@example.com", "bad: ***"), ("no value", "no value"), (None, None)],
)
def test_status_sentences_are_masked(word: str | None, shown: str | None) -> None:
    """A status that is a sentence may quote a row; one that is a word is kept."""
    for errors in ((), (ApiProblem(None, "Odd.", None, None),)):
        answer = masked(Ingestion("i", IngestionStatus.UNKNOWN, None, 1, 1, 0, 0, errors, "r", word), [ROW])
        assert isinstance(answer, Ingestion)
        assert answer.word == shown
        assert answer.errors == errors


def test_problems_of_ingestions_are_masked() -> None:
    """What an ingestion says of its rows is told without their values, and keeps code and field."""
    errors = (ApiProblem("bad", "No 17 here.", "id", None), ApiProblem("worse", None, "name", None))
    answer = masked(Ingestion("i", IngestionStatus.DONE, None, 2, 0, 0, 2, errors, "r"), [ROW])
    assert isinstance(answer, Ingestion)
    assert answer.errors == (ApiProblem("bad", "No *** here.", "id", None), errors[1])


@pytest.mark.parametrize(("words", "shown"), [(14_990, "short"), (14_991, "***")])
def test_long_answers_are_masked_as_a_whole(words: int, shown: str) -> None:
    """When a response has taken as many comparisons as are allowed, its later messages are hidden whole."""
    values, characters = 5_000, 100_099
    texts = [f"{number:019d}" for number in range(values - 1)]
    texts.append("9" * (characters - (values - 1) * 20))
    row = Row(None, json.dumps(texts).encode())
    # Each message is compared with each value, and each word of it with the text of all values.
    assert 2 * values + 14_990 * (characters // CHARACTERS_A_LOOK) == MOST_LOOKS
    messages = ("a " * words, "short")
    answer = masked(
        Accepted("i1", tuple(ApiProblem(None, each, None, None) for each in messages), "r"), [row]
    )
    assert isinstance(answer, Accepted)
    assert [each.message for each in answer.errors] == ["a " * words, shown]


def test_other_answers_pass() -> None:
    """What names no problem is passed on as it is."""
    answer = Accepted("i1", (), "r1")
    assert masked(answer, [ROW]) is answer
    assert masked(None, [ROW]) is None
