"""Why records are rejected: one word and one sentence for each reason, and the record that ends a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from target_databox.delivery.errors import RejectedError, RejectsLimitError
from target_databox.delivery.rejections import Cause, Reason, Rejection, Rejections
from target_databox.delivery.rows import Row
from tests.delivering import destination, settings

REJECTS_PAGE = Path(__file__).parent.parent / "docs" / "rejects.md"


def rejection(
    number: int, reason: Reason = Reason.REFUSED, message: str = "It is bad.", differing: str = ""
) -> Rejection:
    """A rejected record at a line, of a dataset whose column types may differ."""
    to = destination(type_differences=differing)
    return Rejection(to, Row(("a",), b"{}", number=number), Cause(reason, None, message))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_documented(reason: Reason) -> None:
    """The word that the rejects file has for a reason is explained in the documentation."""
    assert f"`{reason.value}`" in REJECTS_PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_worded(reason: Reason) -> None:
    """The error of a run that ends at a record says what happened to it, in the reason's own words."""
    error = Rejections(settings(rejects_path=None)).add(rejection(7, reason))
    assert isinstance(error, RejectedError)
    words = "rejected" if reason.is_ours else reason.words
    assert f"Line 7, key a, of {destination()} was {words} (It is bad). " in str(error)
    advice = "set validate_records to false to load it as it is, " if reason is Reason.SCHEMA else ""
    assert f" Fix it at its source, {advice}or set rejects_path to keep" in str(error)


@pytest.mark.parametrize("reason", Reason)
def test_differing_types_are_named(reason: Reason) -> None:
    """Where Databox rejects a record, its error names the columns whose types differ."""
    differing = "a is a number in the dataset"
    error = Rejections(settings(rejects_path=None)).add(rejection(7, reason, differing=differing))
    types = "" if reason.is_ours else f" Column types differ: {differing}; set column_types."
    assert f"the next run meets it again.{types} Fix it" in str(error)


def test_messages_lose_their_full_stop_alone() -> None:
    """What was said of a record stands in brackets, without its full stop and with every letter."""
    error = Rejections(settings(rejects_path=None)).add(rejection(7, message="It is not in BOX."))
    assert "(It is not in BOX)." in str(error)


@pytest.mark.parametrize(
    ("numbers", "cutoffs"),
    [([5], [5]), ([5, 7], [5, 5]), ([7, 5], [7, 5]), ([7, 7], [7, 7]), ([9, 3, 5], [9, 3, 3])],
)
def test_earliest_rejected_record_ends_the_run(numbers: list[int], cutoffs: list[int]) -> None:
    """Without a file the earliest rejected record is where the run ends."""
    rejections = Rejections(settings(rejects_path=None))
    for number, cutoff in zip(numbers, cutoffs, strict=True):
        was = rejections.cutoff
        error = rejections.add(rejection(number))
        assert rejections.cutoff == cutoff
        assert (error is not None) == (was is None or number < was)
    assert not rejections.outbox


@pytest.mark.parametrize("limit", [0, 1, 5])
def test_limit_is_passed_by_one_more(limit: int) -> None:
    """With a file as many records as the limit are kept in silence, and each beyond it is an error."""
    rejections = Rejections(settings(rejects_limit=limit))
    errors = [rejections.add(rejection(number)) for number in range(limit + 2)]
    assert errors[:limit] == [None] * limit
    assert all(isinstance(error, RejectsLimitError) for error in errors[limit:])
    assert len(rejections.outbox) == limit + 2
    assert rejections.cutoff is None
    counted = "1 record was rejected" if limit == 0 else f"{limit + 1} records were rejected"
    assert str(errors[limit]).startswith(f"{counted}, more than rejects_limit ({limit}) allows; ")
