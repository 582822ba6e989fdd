"""What becomes of batches that the API does not take whole: evidence, words, halves and their place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.errors import RefusedError
from target_databox.api.values import Accepted, ApiProblem, Ingestion, IngestionStatus
from target_databox.delivery.rejections import Cause, Reason
from target_databox.delivery.requests import AskOutcome, PostRows, ReadList
from target_databox.delivery.rows import Row
from tests.delivering import (
    EPOCH,
    FACTS,
    Scene,
    destination,
    failed,
    listing,
    lost,
    numbers,
    refused,
    stored,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.delivery.rejections import Rejection
    from target_databox.delivery.requests import Request

KEYLESS = destination(is_keyed=False)
BAD_VALUE = "Bad value (field amount)"
PROBLEM = ApiProblem("invalid_input", "Bad value.", "amount", "validation")


def refusal(*problems: ApiProblem) -> RefusedError:
    """A final answer with some of the API's reasons."""
    return RefusedError("It was refused.", **FACTS, status=422, problems=problems)


def play(scene: Scene, answer: Callable[[Any], object]) -> tuple[list[list[int]], list[Rejection]]:
    """Answer every request until the run is over; returns the POSTs by their rows, and what was rejected."""
    posts: list[list[int]] = []
    rejects: list[Rejection] = []
    scene.dispatcher.drain()
    while not scene.dispatcher.is_over(scene.now):
        request: Request | None = scene.dispatcher.next(scene.now)
        if request is None:
            scene.wait()
            continue
        if isinstance(request, PostRows):
            posts.append(numbers(request))
        scene.done(request, answer(request))
        new = scene.dispatcher.rejects()
        scene.dispatcher.written(new)
        rejects += new
    if scene.dispatcher.error is None:
        assert scene.dispatcher.unconfirmed_batches == 0
    return posts, rejects


def play_in_turn(scene: Scene, answer: Callable[[Any], object]) -> tuple[list[list[int]], list[Rejection]]:
    """As `play`, one batch after another: nothing else is posted while an outcome is awaited."""
    may_post = scene.lane.may_post
    scene.lane.may_post = lambda: may_post() and not (scene.lane.posting or scene.lane.accepted)  # type: ignore[method-assign]
    return play(scene, answer)


def posting(of_rows: Callable[[list[int]], object], of_outcome: Callable[[int], object]) -> Any:
    """Answers to POSTs, by the rows in them, and to questions, by the number of rows; None is acceptance."""
    ids: list[str] = []

    def answer(request: Request) -> object:
        if isinstance(request, PostRows):
            ids.append(f"i{len(ids) + 1}")
            return of_rows(numbers(request)) or Accepted(ids[-1], (), "r")
        if isinstance(request, ReadList):
            return listing(*((each, 0.0, IngestionStatus.FAILED) for each in ids))
        assert isinstance(request, AskOutcome)
        return of_outcome(len(request.batch.rows))

    return answer


def stored_part(rows: int) -> Ingestion:
    """An ingestion that says it failed, though it stored all but one of its rows."""
    return Ingestion("i", IngestionStatus.FAILED, EPOCH, rows, rows - 1, 0, 1, (PROBLEM,), "r")


@pytest.mark.parametrize(
    ("rows", "changes", "of_rows", "of_outcome", "cause"),
    [
        (1, {}, refused(), None, Cause(Reason.REFUSED, "invalid_input", BAD_VALUE, "r9", None, 400)),
        (1, {}, refusal(), None, Cause(Reason.REFUSED, None, "the API gave no reason", status=422)),
        (
            1,
            {},
            refusal(ApiProblem(None, None, "a", None), ApiProblem("bad_row", None, None, None)),
            None,
            Cause(Reason.REFUSED, "bad_row", "bad_row", status=422),
        ),
        (
            1,
            {},
            refusal(ApiProblem(None, "Too long.", None, None)),
            None,
            Cause(Reason.REFUSED, None, "Too long.", status=422),
        ),
        (
            1,
            {},
            None,
            lambda rows: stored(rows, rejected=rows),
            Cause(Reason.REJECTED, None, "Databox does not say why it rejected this row", "r", "i"),
        ),
        (
            1,
            {},
            None,
            lambda rows: stored(rows, rejected=rows, errors=(PROBLEM,)),
            Cause(Reason.REJECTED, "invalid_input", BAD_VALUE, "r", "i"),
        ),
        (1, {}, None, failed, Cause(Reason.FAILED, None, "the ingestion failed", "r", "i2")),
        (
            1,
            {},
            None,
            lambda rows: replace(failed(rows), errors=(PROBLEM,)),
            Cause(Reason.FAILED, "invalid_input", BAD_VALUE, "r", "i2"),
        ),
        (1, {"to": KEYLESS}, None, failed, Cause(Reason.FAILED, None, "the ingestion failed", "r", "i2")),
        (
            1,
            {"confirmation": "status"},
            None,
            None,
            Cause(Reason.FAILED, None, "the ingestion failed", None, "i2"),
        ),
        (
            2,
            {"to": KEYLESS, "confirmation": "status"},
            None,
            None,
            Cause(Reason.SUSPECT, None, "the ingestion failed", None, "i1"),
        ),
        (
            2,
            {"to": KEYLESS},
            None,
            stored_part,
            Cause(Reason.SUSPECT, "invalid_input", BAD_VALUE, "r", "i1"),
        ),
        (
            2,
            {"to": KEYLESS},
            None,
            lambda rows: stored(rows, rejected=1, errors=(PROBLEM,)),
            Cause(Reason.SUSPECT, "invalid_input", BAD_VALUE, "r", "i"),
        ),
        (
            2,
            {"to": KEYLESS},
            None,
            lambda rows: stored(rows, rejected=1),
            Cause(Reason.SUSPECT, None, "Databox does not say why it rejected 1 of 2 rows", "r", "i"),
        ),
    ],
)
def test_rejects_carry_their_evidence(
    rows: int, changes: dict[str, Any], of_rows: object, of_outcome: Any, cause: Cause
) -> None:
    """A rejected row keeps what the API said of it, to which request, and of which ingestion."""
    scene = Scene(**changes)
    scene.put(*range(rows))
    _, rejects = play(scene, posting(lambda _: of_rows, of_outcome))
    assert [(each.row.number, each.cause) for each in rejects] == [
        (number, cause) for number in range(1, rows + 1)
    ]


@pytest.mark.parametrize(
    ("changes", "of_rows", "of_outcome", "words"),
    [
        ({}, refusal(), None, "was refused by Databox (status 422, the API gave no reason)"),
        (
            {"to": KEYLESS},
            None,
            failed,
            "was not processed by Databox (the ingestion failed, request id r)",
        ),
        (
            {"to": KEYLESS},
            None,
            lambda rows: replace(stored_part(rows), appended=1),
            "was perhaps not stored by Databox (invalid_input: Bad value (field amount), request id r)",
        ),
        (
            {},
            None,
            lambda rows: stored(rows, rejected=rows, errors=(ApiProblem("a", "Too long.", None, None),)),
            "was rejected by Databox (a: Too long, request id r)",
        ),
        (
            {},
            refusal(ApiProblem(None, "Too long.", None, None)),
            None,
            "was refused by Databox (status 422, Too long)",
        ),
    ],
)
def test_the_end_is_explained(changes: dict[str, Any], of_rows: object, of_outcome: Any, words: str) -> None:
    """Without a rejects file the error names the record, with its key if it has one, and what was said."""
    scene = Scene(rejects_path=None, **changes)
    scene.put("a")
    play(scene, posting(lambda _: of_rows, of_outcome))
    key = "" if "to" in changes else ", key a,"
    start = f"Line 1{key} of stream 'orders' (dataset 'Orders', d1) {words}. Rows before it"
    assert str(scene.dispatcher.error).startswith(start)


def test_records_that_never_left_are_explained() -> None:
    """A record that can't be sent ends the run without a rejects file; of two in one line it is the first."""
    scene = Scene(rejects_path=None)
    bad = Row(None, b"", number=7, line=b"{}")
    scene.dispatcher.reject(scene.lane, bad, Reason.SCHEMA, "schema", "It is no number.")
    first = scene.dispatcher.error
    assert str(first).startswith(
        "Line 7 of stream 'orders' (dataset 'Orders', d1) was rejected (schema: It is no number). "
    )
    scene.dispatcher.reject(scene.lane, Row(None, b"", number=7), Reason.KEY, "key_null", "It is null.")
    assert scene.dispatcher.error is first
    scene.dispatcher.reject(scene.lane, Row(None, b"", number=3), Reason.KEY, "key_null", "It is null.")
    assert "Line 3 of" in str(scene.dispatcher.error)


def test_records_that_never_left_are_kept() -> None:
    """A record that can't be sent keeps its reason, its code and its words; the limit counts each once."""
    scene = Scene(rejects_limit=1)
    for number in (1, 2):
        assert scene.dispatcher.error is None
        row = Row(None, b"", number=number)
        scene.dispatcher.reject(scene.lane, row, Reason.KEY, "key_null", "It is null.")
    assert str(scene.dispatcher.error).startswith("2 records were rejected, more than rejects_limit (1)")
    (first, _) = scene.dispatcher.rejects()
    assert first.cause == Cause(Reason.KEY, "key_null", "It is null.")


def test_both_halves_are_sent() -> None:
    """Both halves of a refused batch are sent, in the place of the whole, whatever the first one says."""
    scene = Scene()
    scene.put(1, 2, 3, 4, state=True)
    places = []

    def of_rows(rows: list[int]) -> object:
        places.append(scene.dispatcher.unconfirmed_batches)
        return refused() if 4 in rows else None

    posts, rejects = play(scene, posting(of_rows, stored))
    assert posts == [[1, 2, 3, 4], [1, 2], [3, 4], [3], [4]]
    assert places == [1, 1, 1, 1, 1]
    assert [each.row.number for each in rejects] == [4]
    assert scene.state() == b"4"


@pytest.mark.parametrize("to", [destination(), KEYLESS, destination(keys_are_known=False)])
@pytest.mark.parametrize("bad", [{1}, {4}, {2, 3}, {1, 2, 3, 4}])
def test_whole_rejection_blames_no_row(to: Any, bad: set[int]) -> None:
    """Where an API rejects an ingestion whole for the sake of a row, only that row is rejected in the end."""
    scene = Scene(to=to)
    scene.put(1, 2, 3, 4, state=True)
    seen: list[list[int]] = []

    def outcome(rows: int) -> Ingestion:
        return stored(rows, rejected=rows if bad.intersection(seen[-1]) else 0)

    answers = posting(lambda rows: seen.append(rows), outcome)
    _, rejects = play_in_turn(scene, answers)
    assert {each.row.number for each in rejects} == bad
    assert {each.cause.reason.value for each in rejects} == {"rejected"}
    assert scene.lane.counts.confirmed == 4 - len(bad)
    assert scene.lane.counts.appended == 4 - len(bad)
    assert scene.state() == b"4"


def test_rows_are_judged_by_their_own_outcome() -> None:
    """Where a row is judged differently on another try, no other row counts as stored for its sake."""
    scene = Scene()
    scene.put(1, 2, 3, 4, state=True)
    # One of four is rejected, then one of the first two, and none when they are sent alone.
    outcomes = iter([stored(4, rejected=1), stored(2, rejected=1), stored(1), stored(1), stored(2)])
    posts, rejects = play_in_turn(scene, posting(lambda _: None, lambda _: next(outcomes)))
    assert posts == [[1, 2, 3, 4], [1, 2], [1], [2], [3, 4]]
    assert not rejects
    assert scene.state() == b"4"


def costs(bad: set[int], **changes: Any) -> int:
    """Requests that a hundred rows cost beyond two, where a batch with some of them is refused."""
    scene = Scene(batch_size_rows=100, batch_size_bytes=1_000_000)
    scene.put(*range(100), state=True)
    refusing = posting(lambda rows: refused(**changes) if bad.intersection(rows) else None, stored)
    requests = []

    def counted(request: Request) -> object:
        requests.append(request)
        return refusing(request)

    _, rejects = play(scene, counted)
    assert {each.row.number for each in rejects} == bad
    assert scene.lane.counts.confirmed == 100 - len(bad)
    assert scene.state() == b"100"
    return len(requests) - 2


def test_one_refused_row_is_cheap() -> None:
    """One bad row that has its batch refused costs some 3 log2(100) requests more, wherever it stands."""
    extra = [costs({bad}) for bad in range(1, 101)]
    assert max(extra) <= 20
    assert sum(extra) / 100 < 20


@pytest.mark.parametrize(("bad", "most"), [({1, 100}, 38), ({7, 8}, 38), ({3, 50, 51, 97}, 68)])
def test_several_refused_rows_are_found(bad: set[int], most: int) -> None:
    """Several bad rows cost no more than each of them alone, wherever they stand."""
    assert costs(bad) <= most


def test_many_refused_rows_cost_twice_at_most() -> None:
    """A batch that is refused for the sake of nearly every row costs two requests a row."""
    assert costs(set(range(2, 101))) <= 2 * 100 + 14


def test_size_blames_no_half() -> None:
    """Where a batch is refused for its size, halves are sent as they are, and the smaller ones are taken."""
    scene = Scene(batch_size_rows=100, batch_size_bytes=1_000_000)
    scene.put(*range(100))
    posts, rejects = play(scene, posting(lambda rows: refused(413) if len(rows) > 30 else None, stored))
    assert sorted(len(rows) for rows in posts) == [25, 25, 25, 25, 50, 50, 100]
    assert not rejects


def test_counts_are_taken_once() -> None:
    """Rows that an ingestion stored before its bad ones were looked for are counted as appended once."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    bad = {2}
    seen: list[list[int]] = []
    posts, _ = play_in_turn(
        scene,
        posting(
            lambda rows: seen.append(rows),
            lambda rows: stored(rows, rejected=len(bad.intersection(seen[-1]))),
        ),
    )
    assert posts == [[1, 2, 3, 4], [1, 2], [1], [2], [3, 4]]
    assert scene.lane.counts.appended == 3
    assert (scene.lane.counts.confirmed, scene.lane.counts.rejected) == (3, 1)


@pytest.mark.parametrize("outcome", [stored(2, rejected=1), stored_part(2)])
def test_suspect_rows_leave_newer_ones_waiting(outcome: Ingestion) -> None:
    """A row that waits for the key of a suspect one is sent after it, at the age that it has then."""
    scene = Scene(to=destination(keys_are_known=False))
    scene.put(1, 2)
    post = scene.wait().next(PostRows)
    scene.accept(post)
    scene.put(1)
    scene.done(scene.wait().next(AskOutcome), outcome)
    assert scene.rejects() == [(1, "suspect"), (2, "suspect")]
    then = scene.now
    assert numbers(scene.wait().next(PostRows)) == [3]
    assert scene.now == then + 30


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("outcome", [stored(2, rejected=1), stored_part(2)])
def test_refused_half_may_be_partly_stored(outcome: Ingestion, status: int) -> None:
    """Without keys the halves of a refused batch are sent, and one that is partly stored is suspect."""
    scene = Scene(to=KEYLESS)
    scene.put(1, 2, 3, 4)
    posts, rejects = play(
        scene,
        posting(
            lambda rows: refused(status) if len(rows) == 4 else None,
            lambda rows: stored(rows) if scene.lane.counts.rejected else outcome,
        ),
    )
    assert posts == [[1, 2, 3, 4], [1, 2], [3, 4]]
    assert [(each.row.number, each.cause.reason.value) for each in rejects] == [
        (1, "suspect"),
        (2, "suspect"),
    ]
    assert scene.lane.counts.confirmed == 2


def test_halves_keep_the_hold() -> None:
    """Where a first copy of a batch may still land, the keys of its halves are held for it as well."""
    scene = Scene()
    scene.put(1, 2, 3, 4)
    scene.done(scene.next(PostRows), lost())
    scene.put(1)
    scene.done(scene.wait().next(PostRows), refused())
    halves = scene.next(PostRows), scene.next(PostRows)
    assert [numbers(half) for half in halves] == [[1, 2], [3, 4]]
    for half in halves:
        scene.accept(half)
    scene.wait()
    for _ in halves:
        scene.done(scene.next(AskOutcome), stored(2))
    scene.dispatcher.drain()
    reading = scene.wait().next(ReadList)
    assert scene.now == pytest.approx(30.0)
    scene.done(reading, listing())
    assert numbers(scene.next(PostRows)) == [5]


@pytest.mark.parametrize("to", [destination(), KEYLESS])
@pytest.mark.parametrize("step", [2, 3, 5, 9, 12])
def test_bad_rows_everywhere_are_found(to: Any, step: int) -> None:
    """Many bad rows in the first batch of a dataset are found."""
    scene = Scene(to=to, batch_size_rows=100, batch_size_bytes=1_000_000)
    scene.put(*range(100))
    bad = set(range(1, 101, step))
    _, rejects = play(scene, posting(lambda rows: refused() if bad.intersection(rows) else None, stored))
    assert {each.row.number for each in rejects} == bad
    assert scene.dispatcher.error is None


@pytest.mark.parametrize(("to", "is_sent"), [(destination(), True), (KEYLESS, False)])
def test_halves_go_first_without_keys(to: Any, *, is_sent: bool) -> None:
    """Without keys new batches wait for halves, also while these wait to be tried again."""
    scene = Scene(to=to)
    scene.put(*range(8))
    scene.done(scene.next(PostRows), refused())
    for _ in range(2):
        scene.done(scene.next(PostRows), unreachable())
    request = scene.dispatcher.next(scene.now)
    assert (request is not None) == is_sent


def test_rows_after_the_end_are_left() -> None:
    """Where the run ends at a record, a refused batch is halved only for rows that came before that one."""
    scene = Scene(batch_size_rows=2, batch_size_bytes=1_000_000, rejects_path=None)
    scene.put("a", "b", "bad", "c", "d", "e", "a", "b")
    newer, ending, after = (scene.next(PostRows) for _ in range(3))
    assert [numbers(each) for each in (newer, ending, after)] == [[7, 8], [3, 4], [5, 6]]
    scene.done(ending, refused())
    scene.done(scene.next(PostRows), refused())
    assert "Line 3," in str(scene.dispatcher.error)
    assert numbers(scene.next(PostRows)) == [4]
    scene.done(after, refused())
    scene.none()
    scene.done(newer, refused())
    for number in (7, 8):
        post = scene.next(PostRows)
        assert numbers(post) == [number]
        scene.done(post, refused())
    post = scene.next(PostRows)
    assert numbers(post) == [1, 2]


def test_failed_ingestions_are_halved() -> None:
    """A batch whose ingestion fails twice is halved, and a newer row of one of its keys follows."""
    scene = Scene()
    scene.put(1, 2)
    scene.dispatcher.drain()
    post = scene.next(PostRows)
    scene.put(1)
    for _ in range(2):
        scene.accept(post)
        scene.done(scene.wait().next(AskOutcome), failed(2))
        post = scene.next(PostRows)
    other = scene.next(PostRows)
    assert [numbers(post), numbers(other)] == [[1], [2]]
    scene.accept(post)
    scene.done(scene.wait().next(AskOutcome), stored(1))
    assert numbers(scene.next(PostRows)) == [3]


def test_rows_of_the_last_line_are_delivered() -> None:
    """Where a line that brought many rows ends the run, a refused batch is halved for the others of it."""
    scene = Scene(batch_size_rows=2, batch_size_bytes=1_000_000, rejects_path=None)
    lines = [(1, "a"), (2, "bad"), (2, "b"), (3, "c")]
    rows = [Row((key,), b'{"id":1}', number=number) for number, key in lines]
    scene.dispatcher.put(scene.lane, rows, scene.now)
    ending, other = scene.next(PostRows), scene.next(PostRows)
    scene.accept(ending)
    scene.done(scene.wait().next(AskOutcome), stored(2, rejected=1))
    half, rest = scene.next(PostRows), scene.next(PostRows)
    assert [each.batch.rows for each in (half, rest)] == [[rows[0]], [rows[1]]]
    scene.accept(half)
    scene.done(rest, refused())
    assert "2, key bad, of" in str(scene.dispatcher.error)
    scene.done(other, refused())
    post = scene.next(PostRows)
    assert [row.key for row in post.batch.rows] == [("b",)]
