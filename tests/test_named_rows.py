"""Facts on how the rows of a batch are found that the API names as rejected."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.api.values import ApiProblem
from target_databox.delivery.named_rows import named_rows
from target_databox.delivery.rejections import Cause, Reason
from target_databox.delivery.requests import AskOutcome, PostRows
from target_databox.delivery.rows import Row
from tests.delivering import Scene, destination, numbers, stored

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
RECORDS = st.dictionaries(st.text(max_size=3), VALUES | st.lists(VALUES, max_size=2), max_size=3)


def rows_of(*bodies: str) -> list[Row]:
    """Rows, numbered from 1."""
    return [Row(None, body.encode(), number=number) for number, body in enumerate(bodies, start=1)]


def about(*records: Any) -> list[ApiProblem]:
    """Something else that the API says of each of some records, numbered from 1."""
    return [
        ApiProblem(f"c{number}", "Bad.", "a", None, record) for number, record in enumerate(records, start=1)
    ]


def same(*records: Any) -> list[ApiProblem]:
    """The same that the API says of each of some records."""
    return [ApiProblem("c", "Bad.", "a", None, record) for record in records]


@pytest.mark.parametrize(
    ("sent", "named", "rejected", "found"),
    [
        (['{"a":1}', '{"a":2}'], [{"a": 2}], 1, [2]),
        (['{"a":1,"b":"x"}'], [{"b": "x", "a": 1}], 1, [1]),
        (['{"a":1.50}', '{"a":2}'], [{"a": 1.5}], 1, [1]),
        (['{"a":1.0}'], [{"a": 1}], 1, [1]),
        (['{"a":1}'], [{"a": 1.0}], 1, [1]),
        (['{"a":1,"b":null}'], [{"a": 1}], 1, [1]),
        (['{"a":1}'], [{"a": 1, "b": None}], 1, [1]),
        (['{"a":[1,null,"x"]}'], [{"a": [1.0, None, "x"]}], 1, [1]),
        # Two problems of one row.
        (['{"a":1}', '{"a":2}'], [{"a": 1}, {"a": 1}], 1, [1]),
        (['{"a":1}', '{"a":2}'], [{"a": 1}, {"a": 1}, {"a": 2}], 2, [1, 2]),
        # Fewer, more or other ones than were rejected.
        (['{"a":1}', '{"a":2}'], [{"a": 1}], 2, None),
        (['{"a":1}', '{"a":2}'], [{"a": 1}, {"a": 2}], 1, None),
        (['{"a":1}', '{"a":2}'], [{"a": 3}], 1, None),
        (['{"a":1}'], [], 1, None),
        (['{"a":1}'], [None], 1, None),
        (['{"a":1}'], ["a"], 1, None),
        # What differs in kind is not the same.
        (['{"a":1}'], [{"a": "1"}], 1, None),
        (['{"a":true}'], [{"a": 1}], 1, None),
        (['{"a":1}'], [{"a": True}], 1, None),
        (['{"a":"x"}'], [{"a": ["x"]}], 1, None),
        # Equal as far as floats tell, yet two rows: either may be meant.
        (['{"a":9007199254740993}', '{"a":9007199254740992}'], [{"a": 9007199254740993}], 1, None),
        (['{"a":1}', '{"a":1.0}'], [{"a": 1}], 1, None),
        # Two problems of one of them, and none of a third row.
        (['{"a":1}', '{"a":1.0}', '{"a":2}'], [{"a": 1}, {"a": 1}], 2, None),
        # The same of identical rows.
        (['{"a":1}', '{"a":1}', '{"a":2}'], [{"a": 1}, {"a": 1}], 2, None),
        (['{"a":1}', '{"a":1}', '{"a":2}'], [{"a": 1}, {"a": 2}], 2, [1, 3]),
        (['{"a":1}', '{"a":1}', '{"a":2}'], [{"a": 1}, {"a": 1}], 1, [1]),
        (['{"a":1}', '{"a":1}', '{"a":2}', '{"a":2}'], [{"a": 1}, {"a": 1}, {"a": 2}], 3, None),
        # Larger than a float can be.
        (['{"a":1' + "0" * 400 + "}"], [{"a": 10**400}], 1, [1]),
    ],
)
def test_named_rows_are_found(
    sent: list[str], named: list[Any], rejected: int, found: list[int] | None
) -> None:
    """Rows are found by their values, duplicates by count; where a doubt is left, none is."""
    got = named_rows(rows_of(*sent), about(*named), rejected)
    assert (None if got is None else sorted(row.number for row, _ in got)) == found


@pytest.mark.parametrize(
    ("sent", "named", "rejected", "found"),
    [
        # Of identical rows as many are bad as the API names, whatever else is in the batch.
        ([1, 1, 1], [1, 1], 2, [1, 2]),
        ([1, 2, 1, 2, 1], [1, 1, 1], 3, [1, 3, 5]),
        ([1, 1, 2, 2, 3], [1, 2, 1], 3, [1, 2, 3]),
        ([1, 2], [1, 1], 1, [1]),
        # It names one of them too few, or one too many.
        ([1, 1, 2], [1, 1], 3, None),
        ([1, 1, 2], [1, 1], 1, None),
        ([1, 2], [1, 1], 2, None),
    ],
)
def test_same_problem_is_of_another_row(
    sent: list[int], named: list[int], rejected: int, found: list[int] | None
) -> None:
    """What the API says twice of identical rows is about two of them."""
    bodies = [f'{{"a":{each}}}' for each in sent]
    got = named_rows(rows_of(*bodies), same(*({"a": each} for each in named)), rejected)
    assert (None if got is None else sorted(row.number for row, _ in got)) == found


def test_rows_have_their_own_problem() -> None:
    """Each row comes with the first thing that the API said of it."""
    got = named_rows(rows_of('{"a":1}', '{"a":2}'), about({"a": 2}, {"a": 2}, {"a": 1}), 2)
    assert got is not None
    assert {row.number: problem.code for row, problem in got} == {2: "c1", 1: "c3"}


def test_endless_records_name_nothing() -> None:
    """A record that is nested too deeply to be compared names no row."""
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    assert named_rows(rows_of('{"a":1}'), about(deep), 1) is None


SMALL_LISTS = [
    values for size in range(5) for values in itertools.combinations_with_replacement(range(3), size)
]


@pytest.mark.parametrize("says", [about, same])
@pytest.mark.parametrize("sent", SMALL_LISTS[1:])
def test_found_rows_are_only_choice(sent: tuple[int, ...], says: Callable[..., list[ApiProblem]]) -> None:
    """Rows are found where no other choice of rejected rows has the named ones and is as many."""
    for told, rejected in itertools.product(SMALL_LISTS, range(1, len(sent) + 1)):
        bodies = [f'{{"a":{each}}}' for each in sent]
        got = named_rows(rows_of(*bodies), says(*({"a": each} for each in told)), rejected)
        if got is None:
            continue
        # Another problem may be of the same row.
        least = Counter(told) & Counter(sent) if says is same else Counter(set(told) & set(sent))
        choices = {choice for choice in itertools.combinations(sent, rejected) if Counter(choice) >= least}
        assert choices == {tuple(sorted(json.loads(row.body)["a"] for row, _ in got))}, (told, rejected)


@given(st.lists(RECORDS, min_size=1, max_size=6, unique_by=repr), st.data())
def test_any_rows_are_found_in_any_order(records: list[dict[str, Any]], data: st.DataObject) -> None:
    """Whatever is named in whatever order, each row found is one that was named, as often as it was."""
    chosen = data.draw(st.lists(st.sampled_from(range(len(records))), unique=True))
    told = [records[number] for number in chosen]
    told.reverse()
    got = named_rows(rows_of(*map(json.dumps, records)), about(*told), len(told))
    if got is not None:
        assert len(got) == len({id(row) for row, _ in got}) == len(told)
        without_nulls = [{name: each for name, each in record.items() if each is not None} for record in told]
        for row, _ in got:
            sent = {name: each for name, each in json.loads(row.body).items() if each is not None}
            assert sent in without_nulls


# What becomes of a batch


@pytest.mark.parametrize("is_keyed", [True, False])
def test_named_rows_alone_are_rejected(*, is_keyed: bool) -> None:
    """Rows that the API names are rejected with its words, and the others of their batch are confirmed."""
    scene = Scene(to=destination(is_keyed=is_keyed))
    scene.put("a", "b", "c", "d", state=True)
    scene.accept(scene.next(PostRows))
    problems = (
        ApiProblem("bad", "Too long.", "id", None, {"id": "d", "n": 4}),
        ApiProblem(None, None, None, None, {"id": "b", "n": 2}),
        ApiProblem("bad", "Not in BOX.", "id", None, {"id": "a", "n": 1}),
    )
    answer = replace(stored(4, rejected=3, errors=problems), id="i1", appended=0, overwritten=1)
    scene.done(scene.wait().next(AskOutcome), answer)
    rejects = scene.dispatcher.rejects()
    assert [(each.row.number, each.cause) for each in rejects] == [
        (1, Cause(Reason.REJECTED, "bad", "Not in BOX (field id)", "r", "i1")),
        (2, Cause(Reason.REJECTED, None, "the API gave no reason", "r", "i1")),
        (4, Cause(Reason.REJECTED, "bad", "Too long (field id)", "r", "i1")),
    ]
    assert {each.destination for each in rejects} == {scene.lane.destination}
    assert scene.dispatcher.open_rows == 3
    assert scene.state() is None
    scene.dispatcher.written(rejects)
    assert scene.state() == b"4"
    counts = scene.lane.counts
    assert (counts.confirmed, counts.rejected, counts.appended, counts.overwritten) == (1, 3, 0, 1)
    assert (counts.uncounted_copies, counts.open) == (0, 0)
    assert (scene.dispatcher.unconfirmed_batches, scene.dispatcher.held_bytes) == (0, 0)
    scene.none()


def test_named_row_gives_way_to_older_one() -> None:
    """A row that a named one had replaced is sent in its place, and one that waited for its key follows."""
    scene = Scene()
    scene.put("a", "a", "b", state=True)
    scene.dispatcher.drain()
    post = scene.next(PostRows)
    scene.accept(post)
    scene.put("b")
    problem = ApiProblem("bad", None, None, None, {"id": "a", "n": 2})
    scene.done(scene.wait().next(AskOutcome), stored(2, rejected=1, errors=(problem,)))
    assert scene.rejects() == [(2, "rejected")]
    again = scene.next(PostRows)
    assert sorted(numbers(again)) == [1, 4]
    scene.accept(again)
    scene.done(scene.wait().next(AskOutcome), stored(2))
    assert scene.state() == b"3"
    assert scene.lane.counts.superseded == 0
    assert scene.lane.counts.open == 0


def test_named_rows_are_not_counted_again() -> None:
    """Where a batch was halved since not all of its bad rows were named, what it stored is counted once."""
    scene = Scene()
    scene.put("a", "b", "c", "d", state=True)
    scene.accept(scene.next(PostRows))
    first, second = (
        ApiProblem("bad", None, None, None, {"id": name, "n": number})
        for name, number in (("b", 2), ("c", 3))
    )
    scene.done(scene.wait().next(AskOutcome), stored(4, rejected=2, errors=(first,)))
    posts = [scene.next(PostRows), scene.next(PostRows)]
    assert [numbers(post) for post in posts] == [[1, 2], [3, 4]]
    for post in posts:
        scene.accept(post)
    for problem in (first, second):
        answer = replace(stored(2, rejected=1, errors=(problem,)), appended=0, overwritten=1)
        scene.done(scene.after(1).next(AskOutcome), answer)
    assert scene.rejects() == [(2, "rejected"), (3, "rejected")]
    counts = scene.lane.counts
    assert (counts.appended, counts.overwritten, counts.uncounted_copies) == (2, 0, 1)
    assert scene.state() == b"4"
