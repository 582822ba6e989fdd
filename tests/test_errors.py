"""Facts on which error an answer becomes, and what it tells the user."""

from __future__ import annotations

import pytest

from target_databox.api.errors import (
    DataboxError,
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    SetupError,
    ThrottledError,
    TransientError,
    error_of_answer,
    problems_text,
)
from target_databox.api.values import ApiProblem

BAD_TITLE = ApiProblem("invalid_input", "The title is bad.", "title", "validation")
KINDS = {
    401: KeyRefusedError,
    403: KeyRefusedError,
    404: MissingError,
    429: ThrottledError,
    **dict.fromkeys((408, 425, 500, *range(502, 505), *range(506, 600)), LostAnswerError),
}


@pytest.mark.parametrize("status", [*range(100, 200), *range(300, 1000)])
def test_every_status_has_its_error(status: int) -> None:
    """Each status becomes exactly one error: 5xx but 501 and 505 are transient, what is not listed final."""
    error = error_of_answer(method="GET", path="/v1/accounts", status=status)
    assert type(error) is KINDS.get(status, RefusedError)
    assert (error.method, error.path, error.status) == ("GET", "/v1/accounts", status)


def test_transient_and_final_are_apart() -> None:
    """No error is both worth another try and final, and setup errors are neither."""
    assert not issubclass(TransientError, RefusedError)
    assert not issubclass(RefusedError, TransientError)
    assert not issubclass(SetupError, DataboxError)


def test_refusals_read_as_sentences() -> None:
    """A refusal says what failed, what the API said and what to do."""
    error = error_of_answer(
        method="POST", path="/v1/datasets", status=400, problems=(BAD_TITLE,), request_id="r-1"
    )
    assert str(error) == (
        "POST /v1/datasets was answered with status 400 (invalid_input: The title is bad, field "
        "title, request id "
        "r-1): the API refused it, and trying again would not help."
    )
    assert error.happened == str(error).partition("):")[0] + ")"
    assert (error.problems, error.request_id) == ((BAD_TITLE,), "r-1")


def test_throttling_says_what_helps() -> None:
    """A 429 names the settings that lower the pace, and carries the wait."""
    error = error_of_answer(method="GET", path="/v1/accounts", status=429, retry_after_seconds=7.0)
    assert str(error) == (
        "GET /v1/accounts was answered with status 429: the rate limit of the API key is used up; "
        "nothing was stored. "
        "Lower requests_per_second or requests_per_hour if something else uses this key."
    )
    assert isinstance(error, ThrottledError)
    assert error.retry_after_seconds == 7.0


def test_passing_failures_admit_ignorance() -> None:
    """A 5xx says that the request may or may not have been carried out."""
    error = error_of_answer(method="POST", path="/v1/datasets/a/data", status=503)
    assert str(error) == (
        "POST /v1/datasets/a/data was answered with status 503: this is a temporary failure of the API; the "
        "request may or may not have been carried out. Run again later."
    )


def test_refused_keys_name_the_setting() -> None:
    """A 401 says where keys come from and which setting holds it."""
    error = error_of_answer(method="GET", path="/v1/accounts", status=401)
    assert str(error) == (
        "GET /v1/accounts was answered with status 401: the API key was refused. Check the setting api_key: "
        "an administrator makes keys in Databox, and a key may be bound to a list of IP addresses or lack "
        "permission for this account."
    )


def test_missing_things_name_the_ids() -> None:
    """A 404 points at the configured ids."""
    error = error_of_answer(method="GET", path="/v1/datasets/a", status=404)
    assert str(error) == (
        "GET /v1/datasets/a was answered with status 404: it does not exist, or the API key can't "
        "see it. Check the "
        "configured ids and api_url."
    )


def test_redirects_name_their_host() -> None:
    """A redirect says where it leads and why nobody goes there."""
    error = error_of_answer(method="GET", path="/v1/accounts", status=302, location="elsewhere.test")
    assert str(error) == (
        "GET /v1/accounts was answered with status 302: redirects to elsewhere.test are not "
        "followed, to protect the API key. Check the setting api_url."
    )


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (BAD_TITLE, "invalid_input: The title is bad, field title"),
        (ApiProblem(None, "Bad.", None, "validation"), "Bad"),
        (ApiProblem("code", None, None, None), "code"),
        (ApiProblem(None, None, None, "permission"), "permission"),
        (ApiProblem(None, None, None, None), "no reason"),
    ],
)
def test_problems_read_as_clauses(problem: ApiProblem, text: str) -> None:
    """A problem is quoted with what it has."""
    assert problems_text([problem], None) == text


def test_no_problems_read_as_nothing() -> None:
    """Without problems and request id there is no clause."""
    assert problems_text([], None) == ""
    assert problems_text([BAD_TITLE, BAD_TITLE], "r").count("The title is bad") == 2
