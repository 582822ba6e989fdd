"""Facts on how parts of the API's JSON become values; for whole answers see the facts on the wire."""

from __future__ import annotations

import math

import msgspec
import pytest

from target_databox.api import answers
from target_databox.api.answers import DONE_WORDS, FAILED_WORDS, PENDING_WORDS
from target_databox.api.values import ApiProblem, IngestionStatus


def padded(payload: bytes, length: int) -> bytes:
    """An answer that is made longer by blanks."""
    return payload + b" " * (length - len(payload))


def test_odd_json_is_read() -> None:
    """What a strict parser calls no JSON is read all the same, and every text in it can be written."""
    decoder = msgspec.json.Decoder()
    assert answers.read(decoder, b'\xef\xbb\xbf{"a\\ud800":["\\udc00",{"b":1e400}]}') == {
        "a?": ["?", {"b": math.inf}]
    }
    assert answers.read(decoder, b'"\xff"') == "\ufffd"
    digits = "9" * 18
    assert answers.read(decoder, f"[{digits}, NaN]".encode())[0] == int(digits)
    assert repr(answers.read(decoder, f"[{digits}0, NaN]".encode())[0]) == repr(float(digits + "0"))


@pytest.mark.parametrize(
    ("payload", "said"),
    [(b"7", "Expected `object`, got `int`"), (b'{"a":', "Expecting value"), (b"", "value")],
)
def test_other_json_is_refused(payload: bytes, said: str) -> None:
    """What is not the documented JSON is an error that says why."""
    with pytest.raises(ValueError, match=said):
        answers.read(answers.ENVELOPE, payload)


def test_odd_json_is_read_up_to_a_length() -> None:
    """The slower parser gets four megabytes at most; what the strict one reads may be longer."""
    odd, good = b'{"requestId":NaN}', b'{"requestId":1}'
    assert math.isnan(answers.read(answers.ENVELOPE, padded(odd, 4_000_000)).request_id)
    with pytest.raises(ValueError, match="malformed"):
        answers.read(answers.ENVELOPE, padded(odd, 4_000_001))
    assert answers.read(answers.ENVELOPE, padded(good, 4_000_001)).request_id == 1


def test_failed_answers_are_read_up_to_a_length() -> None:
    """The body of a failed answer is read up to a megabyte; a longer one tells nothing."""
    body = b'{"requestId":"r"}'
    assert answers.envelope_of(padded(body, 1_000_000)).request_id == "r"
    assert answers.envelope_of(padded(body, 1_000_001)) == answers.Envelope()
    assert answers.envelope_of(b"<html>") == answers.Envelope()


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (PENDING_WORDS, IngestionStatus.PENDING),
        (DONE_WORDS, IngestionStatus.DONE),
        (FAILED_WORDS, IngestionStatus.FAILED),
        (["Success", "COMPLETED", " success", "Completed\n"], IngestionStatus.DONE),
        (
            ["processing", "pending", "Queued ", "running", "IN_PROGRESS", "accepted"],
            IngestionStatus.PENDING,
        ),
        (
            ["failed", "error", "Purged", "cancelled", "canceled", "\tABORTED"],
            IngestionStatus.FAILED,
        ),
        (["new-word", "", " ", None, 7, True, ["success"], {"status": "success"}], IngestionStatus.UNKNOWN),
    ],
)
def test_status_words_are_understood(words: list[object], status: IngestionStatus) -> None:
    """Each known word has its meaning, whatever its case and the blanks around it; any other is unknown."""
    assert {answers.status_of(word) for word in words} == {status}


@pytest.mark.parametrize(
    ("errors", "found"),
    [
        (None, ()),
        ([], ()),
        ({}, ()),
        ([{"code": None, "message": "m", "field": "f", "type": "t"}], (ApiProblem(None, "m", "f", "t"),)),
        ([{"code": 7}], (ApiProblem("7", None, None, None),)),
        ([{"record": {"a": 1}}], (ApiProblem(None, None, None, None, {"a": 1}),)),
        (["text"], (ApiProblem(None, "text", None, None),)),
        ("text", (ApiProblem(None, "text", None, None),)),
        ({"message": "m"}, (ApiProblem(None, "m", None, None),)),
        ([None], (ApiProblem(None, None, None, None),)),
    ],
)
def test_problems_of_any_shape_are_read(errors: object, found: tuple[ApiProblem, ...]) -> None:
    """An errors list is read whatever is in it."""
    assert answers.problems(errors, lambda text: None if text is None else str(text)) == found


def test_parts_of_answers_are_bounded() -> None:
    """A text is read to 1,000 characters, errors and columns to 1,000 and 10,000, a list of names in full."""
    assert answers.text("x" * 1_001) == "x" * 1_000
    assert len(answers.problems(["m"] * 1_001, str)) == 1_000
    assert answers.names(["a"] * 10_000) == ("a",) * 10_000
    assert answers.names(["a"] * 10_001) is None
    columns = [{"name": f"c{each}", "dataType": "number"} for each in range(10_001)]
    assert list(answers.column_types(columns, "name")) == [f"c{each}" for each in range(10_000)]


def test_odd_columns_are_left_out() -> None:
    """A column without a name or a type that is text is not known; the others are."""
    odd = [7, "a", {}, *({"name": name, "dataType": "number"} for name in (None, "", 7, ["a"], {}))]
    odd += [{"name": "b", "dataType": data_type} for data_type in (None, "", 7, ["number"])]
    assert answers.column_types([*odd, {"name": "a", "dataType": "number"}], "name") == {"a": "number"}
    assert answers.column_types({"name": "a", "dataType": "number"}, "name") == {}


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, 0),
        (100, 100),
        (100.0, 100),
        (-0.0, 0),
        ("100", 100),
        (" 100 ", 100),
        ("100.0", 100),
        ("007", 7),
        (2**53, 2**53),
        (-1, None),
        (1.5, None),
        ("1.5", None),
        ("-1", None),
        ("+1", None),
        ("1e2", None),
        ("1,000", None),
        ("", None),
        ("\u0661", None),
        ("9" * 16, None),
        (2**53 + 1, None),
        (10**400, None),
        (1e300, None),
        (math.inf, None),
        (math.nan, None),
        (True, None),
        (False, None),
        (None, None),
        ([100], None),
        ({"count": 100}, None),
    ],
)
def test_counts_are_read(value: object, count: int | None) -> None:
    """A count may be a float without fraction, or decimal text; what is negative or odd is none."""
    assert answers.count_of(value) == count
    assert isinstance(answers.count_of(value), (int, type(None)))


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("Success ", "success"),
        (" Archived ", "Archived"),
        ("rolled\nback", "rolled back"),
        ("x" * 40, "x" * 40),
        ("x" * 41, "x" * 39 + "…"),
        (7, "7"),
        (["success"], "['success']"),
        ("", None),
        (None, None),
    ],
)
def test_words_are_kept_for_messages(word: object, shown: str | None) -> None:
    """A known status word is kept as it is known, any other as it came, short and on one line."""

    def clean(text: object) -> str | None:
        return " ".join(str(text).split()) if text else None

    assert answers.word_of(word, clean) == shown
