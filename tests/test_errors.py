"""Facts on which error an answer becomes, and what it tells the user."""

from __future__ import annotations

from typing import Any

import pytest

from target_databox.api.errors import (
    DataboxError,
    DatasetError,
    IdempotencyError,
    KeyRefusedError,
    KeysDifferError,
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


def test_redirects_may_lead_nowhere() -> None:
    """A redirect without a host is told without one."""
    for status in (300, 399):
        error = error_of_answer(method="GET", path="/v1/accounts", status=status)
        assert "redirects are not followed, to protect the API key." in str(error)


def test_roles_are_named() -> None:
    """A 403 says who may make the request, where that is known; a 401 is about the key whoever may."""
    error = error_of_answer(method="POST", path="/v2/datasets", status=403, role_needed="it needs an admin")
    assert type(error) is KeyRefusedError
    assert str(error) == (
        "POST /v2/datasets was answered with status 403: it needs an admin. Use a key (api_key) of such a "
        "user, or ask one for it."
    )
    for status, role_needed in ((401, "it needs an admin"), (403, None)):
        error = error_of_answer(method="POST", path="/a", status=status, role_needed=role_needed)
        assert ": the API key was refused. Check the setting api_key" in str(error)


def test_reused_keys_are_reported() -> None:
    """A 422 is about the idempotency key only where one of its problems says so."""
    reused = ApiProblem("idempotency_key_reused", None, None, None)
    error = error_of_answer(method="POST", path="/a", status=422, problems=(BAD_TITLE, reused))
    assert type(error) is IdempotencyError
    assert str(error).endswith(
        "idempotency_key_reused): the API takes the request for a copy of another one. Nothing was stored; "
        "run again, and report it to the maintainers of target-databox."
    )
    for status, problems in ((422, (BAD_TITLE,)), (422, ()), (400, (reused,))):
        other = error_of_answer(method="POST", path="/a", status=status, problems=problems)
        assert type(other) is RefusedError


@pytest.mark.parametrize(
    ("status", "may"),
    [
        *((None, True), (199, False), (200, True), (299, True), (300, False), (302, False), (399, False)),
        *((400, True), (413, True), (422, True), (499, True), (500, False), (501, False), (505, False)),
    ],
)
def test_bodies_are_blamed_by_status(status: int | None, may: bool) -> None:
    """Rows are looked at only where the API may have refused what it read."""
    facts: dict[str, Any] = {"method": "POST", "path": "/a", "status": status}
    assert RefusedError("No.", **facts).may_blame_body is may
    assert MissingError("No.", **facts).may_blame_body is False
    assert IdempotencyError("No.", **facts).may_blame_body is False


def test_wrong_keys_are_those_of_401() -> None:
    """A 401 is about the key itself, a 403 perhaps about one request."""
    found = [
        error_of_answer(method="GET", path="/a", status=status).is_wrong_key  # type: ignore[attr-defined] # of one kind
        for status in (400, 401, 402, 403)
    ]
    assert found == [False, True, False, False]


def test_errors_carry_their_evidence() -> None:
    """An error has what is known of its request, and nothing where nothing is."""
    error = DataboxError("No.", method="GET", path="/a")
    assert (str(error), error.message, error.happened) == ("No.", "No.", "No.")
    assert (error.method, error.path) == ("GET", "/a")
    assert (error.status, error.problems, error.request_id, error.retry_after_seconds) == (
        None,
        (),
        None,
        None,
    )
    known = DataboxError(
        "No.",
        method="GET",
        path="/a",
        status=400,
        problems=[BAD_TITLE],
        request_id="r",
        happened="That",
        retry_after_seconds=7.0,
    )
    assert (known.status, known.problems, known.request_id) == (400, (BAD_TITLE,), "r")
    assert (known.happened, known.retry_after_seconds) == ("That", 7.0)


def test_giving_up_is_told() -> None:
    """Why there is no other try is the end of the message."""
    error = DataboxError("No.", method="GET", path="/a")
    error.give_up("time is up")
    assert str(error) == error.message == "No. It is not tried again: time is up."
    assert error.happened == "No."


def test_keys_that_differ_are_carried() -> None:
    """An error about primary keys has the stream, the dataset, and both sides."""
    error = KeysDifferError("No.", stream="s", dataset_id="d", wanted=("a",), found=("b",))
    assert isinstance(error, DatasetError)
    assert str(error) == "No."
    assert (error.stream, error.dataset_id, error.wanted, error.found) == ("s", "d", ("a",), ("b",))


@pytest.mark.parametrize(
    ("count", "end"),
    [
        (10, "c: m, request id r"),
        (11, "c: m; and 1 more, request id r"),
        (999, "; and 989 more, request id r"),
        (1_000, "; and at least 990 more, request id r"),
    ],
)
def test_ten_problems_are_told(count: int, end: str) -> None:
    """Ten problems are told with the number of the others, which is the least of it where all were cut."""
    said = problems_text([ApiProblem("c", "m", None, None)] * count, "r")
    assert said.count("c: m") == 10
    assert said.endswith(end)


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
    assert problems_text([], "r") == "request id r"
    assert problems_text(iter([BAD_TITLE]), "r").endswith("field title, request id r")
    assert problems_text([BAD_TITLE, BAD_TITLE], "r").count("The title is bad") == 2
