"""The simulation's plans with the real command: real processes, sockets, pipes, signals and files.

`python -m tests.real_plans SEED [v1, v2 or both]` replays one seed and prints what happened. The seed decides
about the plan and the faults; which request meets which fault is up to the processes.
"""

from __future__ import annotations

import dataclasses
import logging
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from target_databox.delivery.errors import LoadingError, RejectedError, UnconfirmedError
from tests import promises
from tests.promises import ViolationError
from tests.real_catalogue import Catalogue
from tests.real_databox import SCALE, RealDatabox
from tests.real_run import CODES, RealRun, number_of
from tests.simulated_plan import plan_of
from tests.simulation import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.one_run import OneRun
    from tests.simulated_plan import Plan

SHUTDOWN_SECONDS = 1.0
# Signals and faults of a process come within this time after its first request; a plan's within 20 seconds.
SCENES_SECONDS = 2.0
PLANNED_SECONDS = 20.0
RETRY_SECONDS = 4.0
CONFIRMATION_TIMEOUT_SECONDS = 6.0
# What a busy machine may need between what the client notices and what the server does.
SLACK_SECONDS = 0.5
# A request that is not answered costs this much; any other has more time than it can need.
HANGING_SECONDS, PATIENT_SECONDS = 0.5, 20.0
LONGEST_NAP_SECONDS = 7.0
# Of the tap, behind each STATE.
LONGEST_PAUSE_SECONDS = 0.1
# From a signal to the end of the process, beside `shutdown_seconds`, on a busy machine.
LEEWAY_SECONDS = 6.0
MOST_BATCHES = 30
MOST_BATCHES_BY_WINDOW = {1: 12}


def fitted(plan: Plan) -> Plan:
    """A plan as a real run can play it, whose waits have the length that the code gives them."""
    is_lossy = plan.lost_before or plan.lost_after or plan.unreachable or plan.hanging
    batches = MOST_BATCHES if is_lossy else plan.rows
    return dataclasses.replace(
        plan,
        # An hour can't be scaled down, nor the memory that the setting allows at least.
        per_hour=1e6,
        unconfirmed_bytes=2_000_000,
        rows=min(plan.rows, min(batches, MOST_BATCHES_BY_WINDOW.get(plan.window, batches)) * plan.batch_rows),
        # After a 429 every run waits for a second or longer, however many requests were refused.
        server_limit=None if plan.server_limit is None else 2.0,
        # A server that is reached does not become unreachable: a connection ends without an answer.
        unreachable=0.0,
        # And fewer of them, since the time between two tries is not scaled down either.
        lost_before=(plan.lost_before + plan.unreachable) / 2,
        lost_after=plan.lost_after / 2,
        lateness=min(plan.lateness, 60.0),
        # Nobody waits for what is older than an hour, as the guarantees say: it stays pending for ever.
        leftovers_stick=plan.leftovers_stick or plan.leftovers_age > 3600,
        # Retries take longer here, compared with this.
        listed_seconds=1e9,
        key_refused_at=None if plan.key_refused_at is None else plan.key_refused_at * 5,
    )


class RealWorld(World):
    """A world whose runs are processes.

    Args:
        seed: What happens.
        speaks: The version of the API that its runs speak, or `both`.
        folder: Where its files go.

    Attributes:
        opens_at: When the next run gets its first line.
    """

    def __init__(self, seed: int, speaks: str, folder: Path, plan: Plan | None = None) -> None:
        super().__init__(seed, plan or fitted(plan_of(seed, speaks)))
        self.seed = seed
        self.folder = folder
        self.rejects_path = folder / "rejects.singer"
        self.opens_at = 0.0
        self.played: list[RealRun] = []
        existing = {
            f"d{index}"
            for index, (_, known) in enumerate(self.plan.streams)
            if self.plan.leftovers or self.plan.second_writer or not known
        }
        catalogue = Catalogue(self.server, existing, has_source=bool(existing) or seed % 2 == 0)
        self.databox = RealDatabox(self.server, catalogue, seed)
        self._rejects_read = 0
        self._holds_input_back = self.plan.stop_at is not None and seed % 3 == 0

    def close(self) -> None:
        """Stop the server."""
        self.databox.stop()

    def causes(self, run: OneRun) -> dict[type[BaseException], object]:
        """Causes of the simulation, and those that come with retries whose length can't be scaled down."""
        plan, found = self.plan, super().causes(run)
        is_lossy = plan.lost_before or plan.lost_after or plan.hanging or self.databox.is_lossy
        found[LoadingError] = found[LoadingError] or is_lossy
        found[UnconfirmedError] = found[UnconfirmedError] or (is_lossy and run.version == "v1")
        return found

    def settings_of(self, run: RealRun) -> dict[str, Any]:
        """The configuration of a run."""
        plan = self.plan
        return {
            "api_url": self.databox.url,
            "api_key": run.api_key,
            "api_version": run.version,
            "load_method": "overwrite" if plan.overwrite else "upsert",
            "batch_size_rows": min(plan.batch_rows, run.dialect.most_rows),
            "batch_age_seconds": 0.1,
            "concurrent_requests": plan.workers,
            "unconfirmed_batches": plan.window,
            "unconfirmed_bytes": plan.unconfirmed_bytes,
            "requests_per_second": plan.per_second * 10,
            "requests_per_hour": plan.per_hour,
            "request_timeout_seconds": HANGING_SECONDS if plan.hanging else PATIENT_SECONDS,
            "retry_seconds": RETRY_SECONDS,
            "confirmation": plan.confirmation,
            "confirmation_timeout_seconds": CONFIRMATION_TIMEOUT_SECONDS,
            "listing_lag_seconds": plan.listing_lag_setting / SCALE + SLACK_SECONDS,
            "state_interval_seconds": 1 / SCALE,
            "shutdown_seconds": SHUTDOWN_SECONDS,
            "rejects_limit": plan.rejects_limit,
            **(self._rejects if plan.keeps_rejects else {}),
        }

    @property
    def _rejects(self) -> dict[str, Any]:
        policy = "accept" if self.seed % 2 else "fail"
        return {"rejects_path": str(self.rejects_path), "rejects_policy": policy}

    # One run

    def play(self, start: int) -> BaseException | None:
        """One run from a place in the input to its end; returns why it failed."""
        self.runs += 1
        run = self.last_run = RealRun(self, start)
        refused_at = run.settings.key_refused_at
        self.server.refuses_key_from = float("inf") if refused_at is None else refused_at
        self.played.append(run)
        self.versions.append(run.version)
        run.play(self._scenes(run))
        self.databox.rest()
        if not run.is_killed:
            # What a run leaves on the wire when it ends is its own affair.
            self.databox.rest(of_late=True)
        for failure in self.databox.failures:
            raise failure
        with self.databox.lock:
            self.now = self.databox.clock()
            self._read_rejects(run)
            return self._explained(run, self._judged(run))

    def _scenes(self, run: RealRun) -> list[tuple[float, Callable[[], None]]]:
        given = run.settings
        number = self.rand.choice([signal.SIGTERM, signal.SIGINT])
        twice = self.rand.random() < 0.3
        nap_at, nap_seconds = given.nap or (None, 0.0)
        nap_seconds = min(nap_seconds / SCALE, LONGEST_NAP_SECONDS)
        planned: list[tuple[float | None, Callable[[], None]]] = [
            (given.crash_at, run.kill),
            (given.stop_at, lambda: run.ask_to_stop(number, twice=twice)),
            (nap_at, lambda: run.nap(nap_seconds)),
            (given.disk_full_at, run.fill_disk),
            (given.pipe_closed_at, run.close_output),
        ]
        return [(at / PLANNED_SECONDS * SCENES_SECONDS, act) for at, act in planned if at is not None]

    def _wait_until(self, moment: float) -> None:
        """Give the next run its first line at a time."""
        self.opens_at = moment

    def pause_seconds(self) -> float:
        """How long the tap rests behind a STATE."""
        with self.databox.lock:
            return self.rand.uniform(0, LONGEST_PAUSE_SECONDS) if self.plan.chunk_pause else 0.0

    def keeps_open(self, run: RealRun) -> bool:
        """Whether the input of a run does not end by itself."""
        return self._holds_input_back and run.number == 1 and run.signal is None

    # What it writes

    def take_state(self, run: RealRun, number: int) -> None:
        """Check a STATE that has just come out."""
        with self.databox.lock:
            self.now = self.databox.clock()
            self._read_rejects(run)
            if run.hides_states:
                raise ViolationError(f"STATE {number} of a run that overwrites")
            self._state(run, number)

    def _read_rejects(self, run: RealRun) -> None:
        """Take in what is new in the file of rejected records."""
        if not self.rejects_path.exists():
            return
        with self.rejects_path.open("rb") as file:
            file.seek(self._rejects_read)
            lines = file.read().splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            lines.pop()
        for line in lines:
            self._rejects_read += len(line)
            try:
                found = number_of(line)
            except ValueError:
                if not any(each.is_killed for each in self.played):
                    raise
                continue
            if found is not None:
                self._reject(run, found[0] - self.plan.blur, found[1])

    # How it ends

    def _judged(self, run: RealRun) -> Exception | None:
        """Check the end of a run; returns why it failed.

        Raises:
            ViolationError: It ended as no run should.
        """
        for secret in (run.api_key, "Traceback", "Exception ignored", "This is a bug"):
            if secret in run.log:
                raise ViolationError(f"{secret} in the log")
        if self.rejects_path.exists() and run.api_key.encode() in self.rejects_path.read_bytes():
            raise ViolationError("the key is in the file of rejected records")
        failure = run.failure()
        run.is_complete = run.code == 0 or (run.code == 1 and failure is None)
        if run.is_complete and run.hides_states:
            # An orchestrator knows by the exit code that all is loaded.
            self.bookmarks.append(self.input[run.stop - 1].number)
        if run.is_killed and run.code == -signal.SIGKILL:
            return failure
        run.is_killed = False
        if run.signal is not None and CODES.get(run.code) is run.signal:
            if run.seconds_to_stop > SHUTDOWN_SECONDS + LEEWAY_SECONDS:
                raise ViolationError(f"it ended {run.seconds_to_stop:.1f} s after its signal")
            return failure
        if run.code not in (0, 1) or (run.code == 1) != bool(run.ended().errors):
            raise ViolationError(f"exit code {run.code} with {run.ended().errors}")
        if run.rest and run.code == 0:
            raise ViolationError(f"half a STATE: {run.rest!r}")
        if run.is_complete:
            self._check_complete(run)
        if isinstance(failure, RejectedError) and run.signal is None:
            promises.check_before_reject(run, run.cutoff(str(failure)), str(failure))
        return failure

    def _check_complete(self, run: RealRun) -> None:
        is_told = run.code == 1
        is_failing = bool(run.rejected) and self.seed % 2 == 0
        if is_told != is_failing:
            raise ViolationError(f"exit code {run.code} after {len(run.rejected)} rejected records")
        if not (run.is_finished or run.is_cut_off or run.hides_states):
            raise ViolationError(f"the last STATE was not written: {self.states[-1:]}")


def play(seed: int, speaks: str, plan: Plan | None = None) -> RealWorld:
    """Play one seed, and return it; a broken promise is raised with what the runs said.

    Args:
        seed: What happens.
        speaks: The version of the API that its runs speak, or `both`.
        plan: The world, if it is not the seed's own.

    Raises:
        AssertionError: A promise was broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        world = RealWorld(seed, speaks, Path(folder), plan)
        try:
            world.check()
        except Exception as error:
            said = "\n".join(f"Run {run.number}, exit code {run.code}:\n{run.log}" for run in world.played)
            raise AssertionError(
                f"{error}\n{said}\nReplay it with: python -m tests.real_plans {seed} {speaks}"
            ) from error
        finally:
            world.close()
    return world


def main() -> None:
    """Replay one seed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    seed, speaks = int(sys.argv[1]), (*sys.argv[2:], "v1")[0]
    sys.stdout.write(f"{fitted(plan_of(seed, speaks))}\n")
    world = play(seed, speaks)
    for run in world.played:
        sys.stdout.write(f"Run {run.number} of {run.version}, exit code {run.code}:\n{run.log}")
    sys.stdout.write(f"Fine: STATEs {world.states}, {world.databox.requests} requests.\n")


if __name__ == "__main__":
    main()
