"""Batches against a slow, obvious model: no key twice in flight, the newest row of a key wins, none lost."""

from __future__ import annotations

import copy
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from target_databox.delivery.rows import (
    LINE_OVERHEAD_BYTES,
    ROW_OVERHEAD_BYTES,
    Row,
    RowQueue,
    key_bytes,
    key_text,
)

WIDE = (100, 1_000_000)


def row(number: int, key: object = None, size: int = 10) -> Row:
    """A row whose body has a certain size."""
    return Row(None if key is None else (key,), b"x" * size, number=number)


def numbers(rows: list[Row]) -> list[int]:
    """Places of rows in the input."""
    return [each.number for each in rows]


def joined_bytes(rows: list[Row]) -> int:
    """Bytes of rows in one request, with the commas between them."""
    return len(b",".join(each.body for each in rows))


def test_rows_without_keys_queue() -> None:
    """Without keys every row stands for itself, equal ones too."""
    queue = RowQueue(keyed=False)
    queue.put_all([row(1), row(2), row(3)], 0.0)
    rows = queue.cut(2, 1000)
    assert numbers(rows) == [1, 2]
    assert numbers(queue.cut(2, 1000)) == [3]
    queue.free(queue.keys(rows), 0.0)
    assert queue.busy == 1


def test_newer_row_takes_the_place() -> None:
    """A newer row replaces a waiting one in its place, and keeps it behind itself."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(1, "a"), row(2, "b"), row(3, "a")], 0.0)
    rows = queue.cut(*WIDE)
    assert numbers(rows) == [3, 2]
    assert numbers(list(rows[0].replaced())) == [1]


def test_equal_numbers_are_one_key() -> None:
    """Keys are compared by value: 1 and 1.0 are one."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(1, 1), row(2, 1.0)], 0.0)
    assert numbers(queue.cut(*WIDE)) == [2]


def test_age_counts_from_readiness() -> None:
    """A row that had to wait for its key is young when it is let go."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(1, "a")], 0.0)
    rows = queue.cut(*WIDE)
    queue.put_all([row(2, "a")], 1.0)
    assert queue.ready_since is None
    queue.free(queue.keys(rows), 9.0)
    assert queue.ready_since == 9.0


def test_restored_row_goes_behind_newer() -> None:
    """What a rejected row had replaced stands behind a newer row that waits for the key."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(1, "a"), row(2, "a")], 0.0)
    (bad,) = queue.cut(*WIDE)
    queue.put_all([row(3, "a"), row(4, "a")], 0.0)
    queue.restore(bad)
    queue.free(queue.keys([bad]), 0.0)
    (newest,) = queue.cut(*WIDE)
    assert [newest.number, *numbers(list(newest.replaced()))] == [4, 3, 1]


def test_many_versions_are_let_go() -> None:
    """However many versions of one key wait, letting go of them needs no deeper stack."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(number, "a") for number in range(300_000)], 0.0)
    rows = queue.cut(*WIDE)
    assert len(list(rows[0].replaced())) == 299_999
    del rows
    assert queue.busy == 1


def test_rows_after_a_cut_off_are_dropped() -> None:
    """A dropped row gives its place back to the one from before that it had replaced."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(1, "a"), row(2, "b")], 0.0)
    sent = queue.cut(1, 1000)
    queue.put_all([row(3, "a"), row(4, "b"), row(5, "c"), row(6, "a")], 0.0)
    dropped = queue.drop_from(4)
    assert sorted(numbers(dropped)) == [4, 5, 6]
    assert len(queue) == 2
    assert queue.ready_bytes == 10
    assert numbers(queue.cut(*WIDE)) == [2]
    queue.free(queue.keys(sent), 0.0)
    assert numbers(queue.cut(*WIDE)) == [3]
    assert len(queue) == 0


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 7), st.integers(60, 300))
def test_batches_keep_their_limits(sizes: list[int], most_rows: int, most_bytes: int) -> None:
    """Batches keep their limits of rows and bytes, in order; each but the last could not hold one more."""
    queue = RowQueue(keyed=False)
    cut = (most_rows, max(most_bytes, 60))
    queue.put_all([row(number, size=size) for number, size in enumerate(sizes)], 0.0)
    batches = []
    while queue.ready:
        is_full = queue.is_full(*cut)
        batch = queue.cut(*cut)
        batches.append(batch)
        assert len(batch) <= cut[0]
        assert joined_bytes(batch) <= cut[1]
        if queue.ready:
            assert is_full
            rest = row(0, size=sizes[batch[-1].number + 1])
            assert len(batch) == cut[0] or joined_bytes([*batch, rest]) > cut[1]
    assert numbers([each for batch in batches for each in batch]) == list(range(len(sizes)))
    assert queue.ready_bytes == 0


def size_of(number: int) -> int:
    """Some size for a row, by its place in the input."""
    return 1 + number % 7


class Model:
    """The same queue, written so that it is obviously right: a list, looked through for everything."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, int]] = []
        self.flying: list[tuple[int, int]] = []

    def sendable(self) -> list[int]:
        """Newest waiting row of each key that is not in flight."""
        busy = {key for _, key in self.flying}
        keys = {key for _, key in self.waiting} - busy
        return sorted(max(number for number, key in self.waiting if key == each) for each in keys)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from("pppcfr"), st.integers(0, 3)), max_size=60))
def test_queue_equals_model(steps: list[tuple[str, int]]) -> None:
    """Whatever comes in, is cut, stored or rejected: what can be sent is the newest row of each free key."""
    queue, model = RowQueue(keyed=True), Model()
    flying: list[list[Row]] = []
    for number, (step, value) in enumerate(steps):
        if step == "p":
            queue.put_all([row(number, value, size_of(number))], 0.0)
            model.waiting.append((number, value))
        elif step == "c":
            batch = queue.cut(value + 1, 1000)
            assert set(numbers(batch)) <= set(model.sendable())
            flying += [batch] if batch else []
            for each in batch:
                taken = {each.number, *numbers(list(each.replaced()))}
                model.flying.append((each.number, each.key[0]))  # type: ignore[index]
                model.waiting = [waiting for waiting in model.waiting if waiting[0] not in taken]
        elif flying:
            batch = flying.pop(value % len(flying))
            for each in batch:
                model.flying.remove((each.number, each.key[0]))  # type: ignore[index]
                if step == "r":
                    model.waiting += [(older.number, each.key[0]) for older in each.replaced()]  # type: ignore[index]
                    queue.restore(each)
            queue.free(queue.keys(batch), 0.0)
        assert queue.ready == len(model.sendable())
        assert queue.ready_bytes == sum(map(size_of, model.sendable()))
        assert len(queue) == len({key for _, key in model.waiting})
    for batch in flying:
        queue.free(queue.keys(batch), 0.0)
    model.flying.clear()
    assert sorted(numbers(queue.cut(*WIDE))) == model.sendable()


@pytest.mark.parametrize("with_line", [False, True])
@pytest.mark.parametrize("key", [1_000_000, "k" * 200 + "%08d"])
def test_cost_covers_what_is_kept(key: object, *, with_line: bool) -> None:
    """What a row is said to cost is no less than what is kept of it, and not half as much again."""
    count = 5000
    queue = RowQueue(keyed=True)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    cost = 0
    for number in range(count):
        own = key + number if isinstance(key, int) else key % number  # type: ignore[operator]
        each = Row((own,), bytes(100), number=1000 + number, line=bytes(150) if with_line else None)
        cost += each.cost_bytes
        queue.put_all([each], 1.0 + number)
        del each
    batches = [queue.cut(*WIDE) for _ in range(count // 100)]
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert sum(map(len, batches)) == count
    assert kept <= cost <= 1.5 * kept


def test_costs_are_made_up() -> None:
    """A row costs its body, its line and its key with all of its parts, and more for each of them."""
    bare = Row(None, bytes(100))
    assert bare.cost_bytes == 100 + ROW_OVERHEAD_BYTES
    assert Row(None, bytes(100), line=bytes(150)).cost_bytes - bare.cost_bytes == 150 + LINE_OVERHEAD_BYTES
    assert Row(("k" * 500,) * 10, bytes(100)).cost_bytes - bare.cost_bytes > 10 * (8 + 500)
    assert Row((), bytes(100)).cost_bytes - bare.cost_bytes == sys.getsizeof(())
    assert key_bytes(bare) == sys.getsizeof(bare)


def test_keys_are_named_shortly() -> None:
    """A message names a key by its values, and cuts what is long."""
    assert key_text((5, "a", ("boolean", True))) == "5, a, True"
    assert len(key_text(("x" * 1000,))) == 201


def unsent(queue: RowQueue, everything: list[Row]) -> tuple[int, int, int]:
    """Rows that are ready, their bytes, and rows to be sent in all, counted by taking a copy apart."""
    taken = copy.deepcopy(queue)
    ready = taken.cut(10**9, 10**9)
    left = copy.deepcopy(queue)
    left.cut(10**9, 10**9)
    left.free([key for each in everything for key in left.keys([each])], 0.0)
    return len(ready), sum(len(each.body) for each in ready), len(ready) + len(left.cut(10**9, 10**9))


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "put_all", "cut", "free", "restore", "drop"]), st.integers(0, 3)),
    max_size=25,
)


@given(STEPS, st.booleans())
def test_queue_knows_its_size(steps: list[tuple[str, int]], keyed: bool) -> None:
    """Whatever happens, the counts of rows and bytes are those of the rows that are there."""
    queue = RowQueue(keyed=keyed)
    number, everything, in_flight = 0, list[Row](), list[Row]()
    for step, choice in steps:
        number += 2
        new = [row(number + more, choice if keyed else None, 10 + number + more) for more in (0, 1)]
        if step == "put":
            queue.put_all([new[0]], 0.0)
            everything.append(new[0])
        elif step == "put_all":
            queue.put_all(new, 0.0)
            everything += new
        elif step == "cut":
            in_flight += queue.cut(choice + 1, 60)
        elif step in {"free", "restore"} and in_flight:
            done = in_flight.pop(choice % len(in_flight))
            if step == "restore" and keyed:
                queue.restore(done)
            queue.free(queue.keys([done]), 0.0)
        elif step == "drop":
            queue.drop_from(number - 2 * choice)
        if keyed:
            ready, size, total = unsent(queue, everything)
            assert (queue.ready, queue.ready_bytes, len(queue)) == (ready, size, total)
        else:
            taken = copy.deepcopy(queue).cut(10**9, 10**9)
            assert (len(queue), queue.ready_bytes) == (len(taken), sum(len(each.body) for each in taken))


def test_batch_may_fill_its_limits() -> None:
    """A batch is full with as many rows, or more bytes with their commas, than one request may have."""
    queue = RowQueue(keyed=False)
    for number in (1, 2):
        queue.put_all([row(number)], 0.0)
    exact = 10 + 1 + 10
    assert queue.is_full(2, 1000)
    assert not queue.is_full(3, exact + 1)
    assert queue.is_full(3, exact - 1)
    assert numbers(queue.cut(3, exact - 1)) == [1]
    queue.put_all([row(3)], 0.0)
    assert numbers(queue.cut(3, exact)) == [2, 3]


def test_age_is_that_of_the_oldest() -> None:
    """A row is as old as the first of its key that could be sent, and so is what it had replaced."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(1, "a")], 1.0)
    queue.put_all([row(2, "a"), row(3, "b")], 2.0)
    assert queue.ready_since == 1.0
    queue.drop_from(2)
    assert queue.ready_since == 1.0
    queue.cut(*WIDE)
    queue.put_all([row(4, "c"), row(5, "c")], 3.0)
    assert queue.ready_since == 3.0


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (("x" * 200,), "x" * 200),
        (("x" * 201,), "x" * 200 + "…"),
        ((1, ("boolean", True)), "1, True"),
    ],
)
def test_key_names_are_cut(key: tuple[object, ...], text: str) -> None:
    """A key is named by its values, of which two hundred characters are shown."""
    assert key_text(key) == text


def test_cut_off_reaches_every_row() -> None:
    """Rows at or after a place are all taken out, behind others too, and what they replaced returns."""
    queue = RowQueue(keyed=True)
    queue.put_all([row(1, "a"), row(2, "b", 20), row(3, "c"), row(4, "b", 30), row(5, "d")], 0.0)
    assert sorted(numbers(queue.drop_from(3))) == [3, 4, 5]
    assert (len(queue), queue.ready_bytes) == (2, 30)
    assert numbers(queue.cut(*WIDE)) == [1, 2]
    queue.put_all([row(6, "b"), row(7, "a")], 0.0)
    assert len(queue) == 2
    assert numbers(queue.drop_from(7)) == [7]
    assert len(queue) == 1
    queue.free([("a",), ("b",)], 0.0)
    assert numbers(queue.cut(*WIDE)) == [6]
