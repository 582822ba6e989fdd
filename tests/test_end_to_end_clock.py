"""The real command while the system clock jumps by hours: nothing is lost, doubled, hurried or held up."""

from __future__ import annotations

import itertools
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import pytest

from tests.command import Command, finished, record, schema, state, text
from tests.jumping_clock import COMPILER, JumpingClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Run
    from tests.conftest import EmulatorMaker

pytestmark = pytest.mark.slow

HOURS = 2 * 3600
ROWS = 300
# A run that a jump holds up waits for an hour or two.
DEADLINE_SECONDS = 45


@pytest.fixture(scope="module")
def compiled_clock(tmp_path_factory: pytest.TempPathFactory) -> JumpingClock:
    """The clock, proven to jump as a process sees it; skips where that can't be."""
    if not sys.platform.startswith("linux") or COMPILER is None:
        pytest.skip("a C compiler on Linux is missing, so no system clock can jump")
    clock = JumpingClock(tmp_path_factory.mktemp("clock"))
    for seconds in (7200, -7200):
        clock.set(seconds)
        try:
            seen = clock.seen()
        except subprocess.TimeoutExpired:
            pytest.skip("this Python's own locks wait by the system clock, which is its limitation")
        assert seen == (seconds, 0)
    return clock


@pytest.fixture
def clock(compiled_clock: JumpingClock) -> JumpingClock:
    """The clock, which tells the true time until it is set."""
    compiled_clock.set(0)
    return compiled_clock


class SoonDate(Mapping[str, str]):
    """Headers that ask to wait until two seconds from now, as an HTTP date by the server's clock."""

    def __getitem__(self, name: str) -> str:
        """The date, two seconds from whenever it is asked for."""
        if name != "Retry-After":
            raise KeyError(name)
        return formatdate(time.time() + 2, usegmt=True)

    def __iter__(self) -> Iterator[str]:
        return iter(["Retry-After"])

    def __len__(self) -> int:
        return 1


def until(is_so: Callable[[], bool], seconds: float = DEADLINE_SECONDS) -> bool:
    """Wait until something is so, at most some seconds; whether it is."""
    deadline = time.monotonic() + seconds
    while not (found := is_so()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def answer_line(process: subprocess.Popen[bytes]) -> bytes:
    """The next line on standard output."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], DEADLINE_SECONDS)[0], "no STATE came"
    return process.stdout.readline()


def run_with_jumps(
    command: Command, clock: JumpingClock, places: list[int], data: bytes, **settings: Any
) -> tuple[Run, int]:
    """Run the command; the clock goes to the next place after every 429 and every lost answer.

    Returns:
        The run, and how often the clock has jumped.
    """
    log = command.emulator.log
    process = command.start(env=clock.env, **settings)
    ahead, jumps = itertools.cycle(places), 0
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(finished, process, data)
        while not ended.done():
            if log.count(lambda each: each.status in {429, None}) > jumps:
                clock.set(next(ahead))
                jumps += 1
            time.sleep(0.005)
    return ended.result(), jumps


@pytest.mark.parametrize("keys", [["id"], []], ids=["keyed", "keyless"])
@pytest.mark.parametrize(
    "places",
    [[HOURS, 2 * HOURS, 3 * HOURS], [-HOURS, -2 * HOURS, -3 * HOURS], [HOURS, -HOURS, 0]],
    ids=["forwards", "backwards", "to and fro"],
)
def test_jumps_change_nothing(
    make_emulator: EmulatorMaker, tmp_path: Path, clock: JumpingClock, places: list[int], keys: list[str]
) -> None:
    """The clock jumps after each 429 and each lost answer: every row is stored once, every STATE is right."""
    emulator = make_emulator(
        processing_seconds_min=0.0,
        processing_seconds_max=0.2,
        listing_lag_seconds=0.2,
        detail_missing_seconds=0.05,
    )
    lost = emulator.faults.add("post_rows", every=7, drop="after")
    limited = emulator.faults.add("*", nth=12, status=429, headers={"Retry-After": "1"})
    dated = emulator.faults.add("*", nth=30, status=429, headers=SoonDate())
    unasked = emulator.faults.add("*", nth=48, status=429)
    command = Command(tmp_path, emulator)
    messages: list[Any] = [schema(keys=keys)]
    for number in range(1, ROWS + 1):
        messages.append(record(id=number % 250 if keys else number, name=f"version {number}"))
        if number % 50 == 0:
            messages.append(state(upto=number))
    run, jumps = run_with_jumps(
        command, clock, places, text(*messages), batch_size_rows=10, listing_lag_seconds=0.4
    )
    assert (run.code, run.errors) == (0, []), run.log
    assert (limited.hits, dated.hits, unasked.hits) == (1, 1, 1)
    assert lost.hits >= 2
    assert jumps >= 5
    written = [each["upto"] for each in run.states]
    assert written == sorted(set(written))
    assert written[-1] == ROWS
    stored = sorted(int(row["name"].split()[1]) for row in command.rows())
    assert stored == list(range(51 if keys else 1, ROWS + 1))


def test_jumps_refill_no_budget(make_emulator: EmulatorMaker, tmp_path: Path, clock: JumpingClock) -> None:
    """A clock that jumps hours ahead, or back, is no hour of the budget; the run still ends when asked to."""
    most = 40
    emulator = make_emulator()
    command = Command(tmp_path, emulator)
    process = command.start(env=clock.env, requests_per_hour=most, batch_size_rows=1)
    assert process.stdin is not None
    process.stdin.write(
        text(
            schema(), *(each for number in range(1, 101) for each in (record(id=number), state(upto=number)))
        )
    )
    process.stdin.flush()
    # A POST starts only when its confirmation can be paid for, so one request may be left.
    assert until(lambda: emulator.log.total >= most - 1), emulator.log.total
    for place in (HOURS, -HOURS, 3 * HOURS):
        clock.set(place)
        assert not until(lambda: emulator.log.total > most, 0.5), "more requests than the hour allows"
    process.send_signal(signal.SIGTERM)
    run = finished(process)
    assert run.code == 143
    upto = run.states[-1]["upto"]
    assert 0 < upto <= emulator.log.total <= most
    assert {int(row["id"]) for row in command.rows()} >= set(range(1, upto + 1))


def test_jumps_hold_up_no_silent_input(
    make_emulator: EmulatorMaker, tmp_path: Path, clock: JumpingClock
) -> None:
    """A row is sent after batch_age_seconds and its STATE written, wherever the clock jumps meanwhile."""
    command = Command(tmp_path, make_emulator())
    process = command.start(env=clock.env, state_interval_seconds=0.3, batch_age_seconds=0.3)
    assert process.stdin is not None
    messages: list[Any] = [schema()]
    for number, place in enumerate([0, HOURS, -HOURS, -2 * HOURS, HOURS], start=1):
        process.stdin.write(text(*messages, record(id=number), state(upto=number)))
        process.stdin.flush()
        time.sleep(0.1)
        clock.set(place)
        assert answer_line(process) == b'{"upto": %d}\n' % number
        messages = []
    assert finished(process).code == 0
    assert len(command.rows()) == 5
