"""The engine with real threads towards an API in memory: it ends in every way it can, and no thread stays."""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.errors import KeyRefusedError, LostAnswerError, RefusedError, ThrottledError
from target_databox.api.v1.dialect import V1
from target_databox.api.values import (
    Accepted,
    ApiProblem,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
)
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.engine import LAST_WRITE_SECONDS, Engine
from target_databox.delivery.errors import LoadingError, RejectedError
from target_databox.delivery.rejections import Cause, Reason
from target_databox.delivery.rows import Row
from tests.delivering import EPOCH, FACTS, FreeBudget, destination, settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from target_databox.delivery.interfaces import Budget
    from target_databox.delivery.rejections import Rejection

PATIENCE_SECONDS = 5.0
RUNS_AT_ONCE = 6


class ApiInMemory:
    """Accepts and stores every row at once.

    Attributes:
        gate: POSTs wait here.
        trouble: Raised by POSTs, if set.
        date: What its answers tell as its time.
        leftovers: Ingestions of earlier runs.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.sizes: dict[str, int] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.trouble: Exception | None = None
        self.date: float | None = None
        self.leftovers: tuple[IngestionEntry, ...] = ()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._ids = itertools.count()

    def post_rows(self, _: str, body: bytes, _key: str) -> Accepted:
        """Take a batch."""
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        self.gate.wait(PATIENCE_SECONDS)
        try:
            if self.trouble is not None:
                raise self.trouble
            records = json.loads(body)["records"]
            with self._lock:
                name = f"i{next(self._ids)}"
                self.sizes[name] = len(records)
                self.rows += records
            return Accepted(name, (), None)
        finally:
            with self._lock:
                self._at_once -= 1

    def ingestion(self, _: str, ingestion_id: str) -> Ingestion:
        """Tell that everything was stored."""
        size = self.sizes[ingestion_id]
        return Ingestion(ingestion_id, IngestionStatus.DONE, None, size, size, 0, 0, (), None)

    def ingestions(self, _: str, page: int, page_size: int) -> IngestionsPage:
        """Nothing is listed but what earlier runs left."""
        return IngestionsPage(self.leftovers, page, page_size, len(self.leftovers))

    def purge(self, _: str, _key: str) -> None:
        """Forget everything."""
        self.rows.clear()

    def server_time(self) -> float | None:
        """No clock, unless a test sets it."""
        return self.date


class Station:
    """An engine, what it writes, and rows to load."""

    def __init__(
        self,
        *,
        workers: int = 4,
        writes: Callable[[bytes], None] | None = None,
        budget: Budget | None = None,
        **changes: Any,
    ) -> None:
        self.api = ApiInMemory()
        self.states: list[bytes] = []
        self.rejects: list[int] = []
        self.dispatcher = Dispatcher(
            settings(
                **{"batch_size_rows": 10, "batch_size_bytes": 1_000_000, "batch_age_seconds": 0.02, **changes}
            ),
            budget or FreeBudget(),
            wait=lambda _, asked: asked or 0.01,
            new_key=str,
        )
        self.engine = Engine(
            self.dispatcher,
            self.api,
            V1,
            workers=workers,
            write_state=writes or self.states.append,
            write_rejects=self._write_rejects,
        )
        self.lane = self.engine.open(destination())
        self._number = 0

    def _write_rejects(self, rejects: Sequence[Rejection]) -> None:
        self.rejects += [reject.row.number for reject in rejects]

    def load(self, count: int, *, state: bool = True) -> None:
        """Read some rows of new keys, and a STATE."""
        rows = []
        for _ in range(count):
            self._number += 1
            rows.append(Row((self._number,), b'{"id":%d}' % self._number, number=self._number))
        self.engine.put(self.lane, rows)
        if state:
            self.engine.state(b"%d" % self._number)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Return when something has come true."""
        until = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            assert time.monotonic() < until, "it did not happen"
            time.sleep(0.002)


@pytest.fixture(autouse=True)
def _no_thread_outlives() -> Iterator[None]:
    """No thread of the delivery is left when a test is over."""
    yield
    until = time.monotonic() + PATIENCE_SECONDS
    while any(thread.name.startswith("databox") for thread in threading.enumerate()):
        assert time.monotonic() < until, threading.enumerate()
        time.sleep(0.005)


def test_everything_is_stored_and_written() -> None:
    """At the end of input every row is stored once, and the last STATE is written last."""
    station = Station()
    for _ in range(20):
        station.load(37)
    station.engine.finish()
    assert sorted(row["id"] for row in station.api.rows) == list(range(1, 741))
    assert station.states[-1] == b"740"
    assert station.states == sorted(station.states, key=int)
    assert station.lane.counts.open == 0


class RecordingApi(ApiInMemory):
    """Notes what each request is about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[object, ...]] = []

    def post_rows(self, dataset_id: str, body: bytes, key: str) -> Accepted:
        """Note a batch."""
        self.asked.append(("rows", dataset_id, body, key))
        return super().post_rows(dataset_id, body, key)

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """Note a question."""
        self.asked.append(("ingestion", dataset_id, ingestion_id))
        return super().ingestion(dataset_id, ingestion_id)

    def ingestions(self, dataset_id: str, page: int, page_size: int) -> IngestionsPage:
        """Note a reading."""
        self.asked.append(("ingestions", dataset_id, page, page_size))
        return super().ingestions(dataset_id, page, page_size)

    def purge(self, dataset_id: str, key: str) -> None:
        """Note a purge."""
        self.asked.append(("purge", dataset_id, key))
        super().purge(dataset_id, key)


def test_requests_say_what_they_are_about(caplog: pytest.LogCaptureFixture) -> None:
    """Each request names its dataset and what it is about, and what is noted is logged at its level."""
    caplog.set_level(logging.INFO, "target_databox.delivery.engine")
    station = Station()
    api = station.engine._api = RecordingApi()
    keys = itertools.count(1)
    lane = station.engine.open(destination(is_new=False, purge=True))
    lane.new_key = lambda: f"key {next(keys)}"
    station.engine.put(lane, [Row((1,), b'{"id":1}', number=1)])
    station.engine.finish()
    assert api.asked == [
        ("ingestions", "d1", 1, V1.page_size),
        ("purge", "d1", "key 1"),
        ("rows", "d1", b'{"records":[{"id":1}]}', "key 2"),
        ("ingestion", "d1", "i0"),
    ]
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        ("INFO", "Purged stream 'orders' (dataset 'Orders', d1).")
    ]


def test_answers_are_masked() -> None:
    """What the API says of a row that it refuses is kept without the values of the row."""
    station = Station()
    problem = ApiProblem("bad", "Value 'abcde-1' is bad.", "name", None)
    station.api.trouble = RefusedError("No.", **FACTS, status=422, problems=(problem,))
    rejects: list[Rejection] = []
    station.engine._write_rejects = rejects.extend
    station.engine.put(station.lane, [Row((1,), b'{"name":"abcde-1"}', number=1)])
    station.engine.finish()
    assert [each.cause.message for each in rejects] == ["Value '***' is bad (field name)"]


def test_rejects_are_written() -> None:
    """Rejected rows are handed to what writes them, also by a run that writes no STATE."""
    station = Station()
    row = Row(None, b"", number=7, line=b"{}")
    station.engine.reject(station.lane, row, Reason.SCHEMA, "schema", "it does not fit")
    station.engine.finish()
    assert station.rejects == [7]
    assert station.dispatcher.open_rows == 0


def test_rejects_keep_their_cause() -> None:
    """A record that can't be sent is handed on with its reason, its code and its message."""
    station = Station()
    rejects: list[Rejection] = []
    station.engine._write_rejects = rejects.extend
    row = Row(None, b"", number=7, line=b"{}")
    station.engine.reject(station.lane, row, Reason.SCHEMA, "schema", "it does not fit")
    station.engine.finish()
    assert [each.cause for each in rejects] == [Cause(Reason.SCHEMA, "schema", "it does not fit")]


def test_nothing_is_written_after_the_end() -> None:
    """What a blocked writer had still to write when the run ended without it is not written later."""
    written: list[bytes] = []
    is_reading = threading.Event()

    def slow(state: bytes) -> None:
        written.append(state)
        is_reading.wait(PATIENCE_SECONDS)

    station = Station(writes=slow, shutdown_seconds=0.0)
    station.engine.state(b"first")
    station.wait_for(lambda: written == [b"first"])
    station.engine.state(b"late")
    station.engine.stop()
    station.engine.finish()
    is_reading.set()
    station.engine._writer.join(PATIENCE_SECONDS)
    assert written == [b"first"]


def test_failure_before_the_first_row_ends_the_run() -> None:
    """A run that fails before anything was read ends with that error."""
    station = Station()
    station.engine.stop(OSError("The disk is full."))
    with pytest.raises(OSError, match="full"):
        station.engine.finish()


def test_threads_hold_up_no_exit() -> None:
    """Every thread has a name of its own and ends with the process, whatever it does."""
    station = Station(workers=2)
    station.load(1)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("databox")]
    assert sorted(thread.name for thread in threads) == ["databox-1", "databox-2", "databox-writer"]
    assert all(thread.daemon for thread in threads)
    station.engine.finish()


def test_failed_run_reads_no_more() -> None:
    """`put` returns without room for more rows when the run fails."""
    station = Station(unconfirmed_bytes=20_000, shutdown_seconds=PATIENCE_SECONDS)
    station.api.gate.clear()
    reader = threading.Thread(target=lambda: station.load(200), name="reader")
    reader.start()
    station.wait_for(lambda: station.api.most_at_once > 0)
    station.engine.stop(OSError("The disk is full."))
    reader.join(PATIENCE_SECONDS / 2)
    assert not reader.is_alive()
    station.api.gate.set()
    with pytest.raises(OSError, match="full"):
        station.engine.finish()


def test_requests_run_side_by_side() -> None:
    """As many requests are under way as there are workers."""
    station = Station(workers=3)
    station.api.gate.clear()
    station.load(100)
    station.wait_for(lambda: station.api.most_at_once == 3)
    station.api.gate.set()
    station.engine.finish()
    assert station.api.most_at_once == 3


def test_silent_input_is_delivered() -> None:
    """Rows that don't fill a batch are confirmed, and their STATE written, while nothing is read."""
    station = Station()
    station.load(3)
    station.wait_for(lambda: station.states == [b"3"])
    station.engine.finish()
    assert station.states == [b"3"]


def test_first_row_knows_the_server_time() -> None:
    """The time that the API told before the first row is known when that row comes."""
    station = Station()
    station.lane = station.engine.open(destination(is_new=False))
    station.api.date = EPOCH
    station.load(1)
    station.engine.finish()
    assert station.lane.server_began_at is not None
    assert EPOCH <= station.lane.server_began_at < EPOCH + PATIENCE_SECONDS


def test_old_leftover_holds_up_no_run() -> None:
    """What has been pending for more than an hour is not waited for, by the first stream either."""
    station = Station()
    station.lane = station.engine.open(destination(is_new=False))
    station.api.date = EPOCH
    station.api.leftovers = (IngestionEntry("left", EPOCH - 2 * 3600, IngestionStatus.PENDING),)
    station.load(3)
    station.wait_for(lambda: station.states == [b"3"])
    station.engine.finish()


def test_reading_waits_for_room() -> None:
    """`put` returns only when there is room for more rows."""
    station = Station(unconfirmed_bytes=20_000)
    station.api.gate.clear()
    reader = threading.Thread(target=lambda: station.load(200), name="reader")
    reader.start()
    station.wait_for(lambda: station.api.most_at_once > 0)
    reader.join(0.05)
    assert reader.is_alive()
    station.api.gate.set()
    reader.join(PATIENCE_SECONDS)
    assert not reader.is_alive()
    station.engine.finish()


def test_stopped_run_keeps_its_promise() -> None:
    """A run that is told to stop sends nothing new, confirms what is away and writes the STATE due."""
    station = Station(workers=1)
    station.api.gate.clear()
    station.load(10)
    station.load(10)
    station.wait_for(lambda: station.api.most_at_once == 1)
    station.engine.stop()
    station.api.gate.set()
    station.engine.finish()
    assert len(station.api.rows) == 10
    assert station.states == [b"10"]


def test_stop_is_bounded() -> None:
    """A run that is told to stop doesn't wait longer than `shutdown_seconds` for a request that hangs."""
    station = Station(workers=1, shutdown_seconds=0.1)
    station.api.gate.clear()
    station.load(10)
    station.wait_for(lambda: station.api.most_at_once == 1)
    began = time.monotonic()
    station.engine.stop()
    station.engine.finish()
    assert time.monotonic() - began < 2.0
    assert station.states == []
    station.api.gate.set()


@pytest.fixture
def blocked() -> Iterator[Callable[[bytes], None]]:
    """Takes a STATE only when the test is over."""
    is_over = threading.Event()
    yield lambda _: is_over.wait(PATIENCE_SECONDS) and None
    is_over.set()


@pytest.mark.parametrize("confirmed_first", [True, False])
def test_blocked_reader_does_not_outlive_a_stop(
    blocked: Callable[[bytes], None], confirmed_first: bool
) -> None:
    """A run that is told to stop ends `shutdown_seconds` later though nobody takes its STATE."""
    station = Station(writes=blocked, shutdown_seconds=0.2)
    station.load(10)
    if confirmed_first:
        station.wait_for(lambda: station.dispatcher.open_rows == 0)
    began = time.monotonic()
    station.engine.stop()
    station.engine.finish()
    seconds = time.monotonic() - began
    assert seconds < 2.0
    # Stopped before its rows were sent it has nothing to wait for.
    assert seconds >= 0.2 or not confirmed_first


@pytest.mark.parametrize(
    "trouble",
    [KeyRefusedError("The key was refused.", **FACTS), ZeroDivisionError("a bug")],
    ids=["closed at once", "settled"],
)
def test_blocked_reader_does_not_outlive_a_failure(
    blocked: Callable[[bytes], None], trouble: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """A run that fails ends `shutdown_seconds` later though nobody takes its STATE."""
    station = Station(writes=blocked, shutdown_seconds=0.2)
    station.engine.state(b"first")
    station.api.trouble = trouble
    station.load(10)
    began = time.monotonic()
    with pytest.raises((LoadingError, ZeroDivisionError)):
        station.engine.finish()
    seconds = time.monotonic() - began
    assert seconds < 2.0
    # A run that is closed has no deadline but this.
    assert seconds >= 0.2 + LAST_WRITE_SECONDS - 0.01 or not isinstance(trouble, KeyRefusedError)
    assert [(line.levelname, line.getMessage()) for line in caplog.records] == [
        (
            "WARNING",
            "Writing STATE or rejected records is blocked; ending without them. The next run loads again "
            "what no STATE has passed.",
        )
    ]


@pytest.fixture
def blocked_log() -> Iterator[threading.Event]:
    """A log that is written to the end only when the test is over; the event says that a line waits."""
    is_waiting, is_over = threading.Event(), threading.Event()

    class Blocked(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            is_waiting.set()
            is_over.wait(PATIENCE_SECONDS)

    handler = Blocked()
    log = logging.getLogger("target_databox.delivery.engine")
    log.addHandler(handler)
    yield is_waiting
    is_over.set()
    log.removeHandler(handler)


def test_blocked_log_holds_up_nobody_else(blocked_log: threading.Event) -> None:
    """While a worker waits for its line in the log, others deliver and confirm, and STATE is written."""

    class LoudTurns(FreeBudget):
        """A budget that warns of a 429."""

        def refused(self, now: float, retry_after_seconds: float | None) -> str | None:
            super().refused(now, retry_after_seconds)
            return "Slow down."

    station = Station(workers=2, budget=LoudTurns())
    station.api.trouble = ThrottledError("Slow down.", **FACTS, retry_after_seconds=0.01)
    began = time.monotonic()
    station.load(5)
    assert blocked_log.wait(PATIENCE_SECONDS)
    station.api.trouble = None
    station.load(5)
    station.wait_for(lambda: station.states[-1:] == [b"10"])
    station.engine.finish()
    assert len(station.api.rows) == 10
    assert time.monotonic() - began < PATIENCE_SECONDS


def with_late_state(**changes: Any) -> Station:
    """A run with a STATE that is written, and one that is due when the interval is over."""
    station = Station(**changes)
    station.engine.state(b"first")
    station.wait_for(lambda: station.states == [b"first"])
    station.engine.state(b"late")
    return station


def test_states_are_written_after_their_interval() -> None:
    """A STATE that its interval holds back is written when that is over, though nothing else happens."""
    station = with_late_state(state_interval_seconds=0.05)
    station.wait_for(lambda: station.states == [b"first", b"late"])
    station.engine.finish()


def test_due_state_is_written_at_the_end() -> None:
    """A STATE that its interval holds back is written when the API refuses the key, which ends the run."""
    station = with_late_state(state_interval_seconds=1e6)
    station.api.trouble = KeyRefusedError("No.", **FACTS)
    station.load(10)
    with pytest.raises(LoadingError):
        station.engine.finish()
    assert station.states == [b"first", b"late"]


def test_no_state_is_written_after_a_bug() -> None:
    """After a bug in what decides, not even a STATE is written that seemed due before."""

    class BrokenDispatcher(Dispatcher):
        def done(self, *_: object) -> None:
            raise ZeroDivisionError("a bug")

    station = with_late_state(state_interval_seconds=1e6)
    station.dispatcher.__class__ = BrokenDispatcher
    station.load(10)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        station.engine.finish()
    assert station.states == [b"first"]


def test_rejected_record_ends_reading() -> None:
    """A run that ends at a record reads no more, though it still delivers the rows before it."""
    station = Station(rejects_path=None)
    row = Row(None, b"", number=1, line=b"{}")
    assert not station.engine.is_stopping
    station.engine.reject(station.lane, row, Reason.SCHEMA, "schema", "it does not fit")
    assert station.engine.is_stopping
    assert not station.dispatcher.is_settling
    with pytest.raises(RejectedError):
        station.engine.finish()


def test_server_time_goes_on() -> None:
    """The server's time is that of its latest answer and what has passed since, never more."""
    station = Station()
    dates = iter([None, 1000.0, 1000.0, 1000.0, 1003.0, None])
    station.api.server_time = lambda: next(dates)  # type: ignore[method-assign] # a fake
    told = [station.engine._server_time(now) for now in (10.0, 20.0, 25.0, 26.5, 27.0, 30.0)]
    assert told == [None, 1000.0, 1005.0, 1006.5, 1003.0, 1006.0]


def test_dispatcher_knows_the_servers_time() -> None:
    """The server's time is known to what decides."""
    station = Station()
    station.api.server_time = lambda: 1000.0  # type: ignore[method-assign] # a fake
    station.load(5)
    station.engine.finish()
    assert station.dispatcher.server_time is not None
    assert 1000.0 <= station.dispatcher.server_time < 1000.0 + PATIENCE_SECONDS


def test_slow_reader_is_waited_for() -> None:
    """A run that is not told to stop waits for whoever takes its last STATE."""
    taken: list[bytes] = []
    is_reading = threading.Event()

    def slow(state: bytes) -> None:
        is_reading.wait(PATIENCE_SECONDS)
        taken.append(state)

    station = Station(writes=slow, shutdown_seconds=0.0)
    station.load(10)
    ending = threading.Thread(target=station.engine.finish, name="ending")
    ending.start()
    ending.join(0.1)
    assert ending.is_alive()
    is_reading.set()
    ending.join(PATIENCE_SECONDS)
    assert taken[-1] == b"10"


def test_states_are_written_by_one_thread() -> None:
    """Every STATE, also the last one, is written by the writer's thread."""
    threads: list[str] = []
    station = Station(
        writes=lambda _: threads.append(threading.current_thread().name), state_interval_seconds=1e6
    )
    station.load(10)
    station.wait_for(lambda: bool(threads))
    station.load(10)
    station.engine.finish()
    assert threads == ["databox-writer"] * 2


def test_finish_can_be_called_again() -> None:
    """A second `finish` changes nothing."""
    station = Station()
    station.load(5)
    station.engine.finish()
    station.engine.finish()
    assert station.states == [b"5"]


def test_empty_run_starts_no_thread() -> None:
    """A run without rows ends without having started anything."""
    station = Station()
    station.engine.finish()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("databox")]


def test_only_states_are_written() -> None:
    """A STATE without rows before it is written."""
    station = Station()
    station.engine.state(b"{}")
    station.engine.finish()
    assert station.states == [b"{}"]


def test_bug_in_api_ends_the_run() -> None:
    """An exception that is none of the API's ends the run with itself, and no STATE passes its rows."""
    station = Station()
    station.api.trouble = ZeroDivisionError("a bug")
    station.load(10)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        station.engine.finish()
    assert station.states == []


def test_bug_between_requests_ends_the_run() -> None:
    """An exception while the next request is chosen ends the run with itself, not one thread in silence."""

    class BrokenTurns(FreeBudget):
        """A budget with a bug."""

        def take(self, now: float, reserve: int = 0) -> float:
            raise ZeroDivisionError("a bug", now, reserve)

    station = Station(budget=BrokenTurns())
    station.load(10)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        station.engine.finish()
    assert station.states == []


@pytest.mark.parametrize("method", ["next", "done", "rejects"])
def test_bug_in_dispatcher_ends_the_run(method: str) -> None:
    """A bug in what decides ends the run with itself, whichever thread meets it, and no STATE is written."""

    class BrokenDispatcher(Dispatcher):
        pass

    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    setattr(BrokenDispatcher, method, broken)
    station = Station()
    station.dispatcher.__class__ = BrokenDispatcher
    station.load(10)
    with pytest.raises(ZeroDivisionError, match="a bug"):
        station.engine.finish()
    assert station.states == []


def test_lost_answers_end_the_run() -> None:
    """Failures that don't end within `retry_seconds` end the run, told with the stream's name."""
    station = Station(retry_seconds=0.05, shutdown_seconds=0.1)
    station.api.trouble = LostAnswerError("It was lost.", **FACTS)
    station.load(10)
    with pytest.raises(Exception, match=r"stream 'orders' .* It was lost\."):
        station.engine.finish()
    assert station.states == []


def test_closed_output_ends_the_run() -> None:
    """Where STATE can't be written the run ends with that error, and writes no other."""

    def closed(_: bytes) -> None:
        raise BrokenPipeError("nobody reads")

    station = Station(writes=closed)
    station.load(10)
    station.wait_for(lambda: station.engine.is_stopping)
    with pytest.raises(BrokenPipeError, match="nobody reads"):
        station.engine.finish()


def test_rejects_are_written_before_state() -> None:
    """A STATE is written after the rejected rows before it."""
    station = Station()
    order: list[str] = []
    station.engine._write_state = lambda _: order.append("state")
    station.engine._write_rejects = lambda _: order.append("reject")
    row = Row(None, b"", number=1, line=b"{}")
    station.engine.reject(station.lane, row, Reason.SCHEMA, "schema", "it does not fit")
    station.engine.state(b"1")
    station.engine.finish()
    assert order == ["reject", "state"]


def test_full_disk_ends_the_run() -> None:
    """Where rejected rows can't be written the run ends with that error, and no STATE passes them."""
    station = Station()

    def full(_: Sequence[Rejection]) -> None:
        raise OSError("no space left")

    station.engine._write_rejects = full
    row = Row(None, b"", number=1, line=b"{}")
    station.engine.reject(station.lane, row, Reason.SCHEMA, "schema", "it does not fit")
    station.engine.state(b"1")
    with pytest.raises(OSError, match="no space left"):
        station.engine.finish()
    assert station.states == []


def test_full_disk_is_waited_for_by_nobody() -> None:
    """Rows that are rejected after the file could not be written don't hold up the end, nor pass for kept."""
    station = Station(shutdown_seconds=1e6)

    def full(_: Sequence[Rejection]) -> None:
        raise OSError("no space left")

    station.engine._write_rejects = full
    row = Row(None, b"", number=1, line=b"{}")
    station.engine.reject(station.lane, row, Reason.SCHEMA, "schema", "it does not fit")
    station.wait_for(lambda: station.engine.error is not None)
    station.engine.reject(
        station.lane, Row(None, b"", number=2, line=b"{}"), Reason.SCHEMA, "schema", "nor this"
    )
    station.engine.state(b"2")
    with pytest.raises(OSError, match="no space left"):
        station.engine.finish()
    assert station.states == []
    assert station.lane.counts.open == 0
    assert station.dispatcher.open_rows == 2


def test_many_short_runs_end_soon() -> None:
    """Sixty runs of a few rows end without a missed wake-up, which would cost each its batch's age."""

    def run(number: int) -> None:
        station = Station(workers=1 + number % 4, batch_age_seconds=30.0)
        station.load(1 + number % 23)
        station.engine.finish()
        assert len(station.api.rows) == 1 + number % 23
        assert station.states[-1:] == [b"%d" % (1 + number % 23)]

    began = time.monotonic()
    with ThreadPoolExecutor(RUNS_AT_ONCE) as pool:
        list(pool.map(run, range(60)))
    assert time.monotonic() - began < 30


def test_ages_of_waiting_are_survived() -> None:
    """A batch that may wait for longer than a lock can still goes out at the end of the input."""
    station = Station(batch_age_seconds=1e12, state_interval_seconds=1e12)
    station.engine.put(station.lane, [Row((1,), b'{"id":1}')])
    station.engine.state(b"1")
    station.engine.finish()
    assert station.api.rows == [{"id": 1}]
    assert station.states == [b"1"]
