"""What one run of a simulated world is given: its settings, its SCHEMAs, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulated_plan import Plan


@dataclass(frozen=True)
class Reading:
    """How a run reads a stream: its SCHEMA, and what of the dataset can be read.

    Attributes:
        keys: The primary keys that the stream would have: `id`, `k`, or none.
        columns: Further columns with their types, `number` or `string`.
        has_id: Whether the stream has the column `id` at all.
        are_keys_readable: Whether the API shows the keys of the dataset.
        is_declared: Whether columns are declared when the dataset is created.
        later: How the stream is read after another SCHEMA.
        later_from: After how many rows of the run that comes.
    """

    keys: tuple[str, ...] = ("id",)
    columns: tuple[tuple[str, str], ...] = ()
    has_id: bool = True
    are_keys_readable: bool = True
    is_declared: bool = True
    later: Reading | None = None
    later_from: int = 0


@dataclass(frozen=True)
class RunPlan:
    """The settings and the fate of one run. Times are seconds after its begin.

    Attributes:
        streams: How it reads each stream.
        stop_at, crash_at: When it is signalled, or killed.
        disk_full_at, pipe_closed_at: When rejected rows, or STATEs, can't be written any more.
        key_refused_at: When the API key is refused.
        nap: When the process is stopped and for how long, as a laptop that sleeps.
    """

    version: str
    batch_rows: int
    workers: int
    window: int
    unconfirmed_bytes: int
    per_second: float
    per_hour: float
    confirmation: str
    listing_lag: float
    keeps_rejects: bool
    rejects_limit: int
    overwrite: bool
    streams: tuple[Reading, ...]
    stop_at: float | None = None
    crash_at: float | None = None
    disk_full_at: float | None = None
    pipe_closed_at: float | None = None
    key_refused_at: float | None = None
    nap: tuple[float, float] | None = None
    batch_age_seconds: float = 5.0
    retry_seconds: float = 300.0
    confirmation_timeout_seconds: float = 600.0
    state_interval_seconds: float = 1.0
    shutdown_seconds: float = 20.0

    @property
    def is_impatient(self) -> bool:
        """Whether it may give up where another run would still wait."""
        return self.retry_seconds < 300 or self.confirmation_timeout_seconds < 600


def usual_run(plan: Plan, number: int) -> RunPlan:
    """A run of a world whose runs differ in nothing but the version of the API, and in what becomes of them.

    Args:
        plan: The world.
        number: The run's number, from 1.
    """
    is_first = number == 1
    return RunPlan(
        version=plan.versions[(number - 1) % len(plan.versions)],
        batch_rows=plan.batch_rows,
        workers=plan.workers,
        window=plan.window,
        unconfirmed_bytes=plan.unconfirmed_bytes,
        per_second=plan.per_second,
        per_hour=plan.per_hour,
        confirmation=plan.confirmation,
        listing_lag=plan.listing_lag_setting,
        keeps_rejects=plan.keeps_rejects,
        rejects_limit=plan.rejects_limit,
        overwrite=plan.overwrite,
        streams=tuple(
            Reading(("id",) if keyed else (), are_keys_readable=known) for keyed, known in plan.streams
        ),
        stop_at=plan.stop_at if is_first else None,
        crash_at=plan.crash_at if number <= plan.crash_runs else None,
        disk_full_at=plan.disk_full_at if is_first else None,
        pipe_closed_at=plan.pipe_closed_at if is_first else None,
        key_refused_at=plan.key_refused_at if is_first else None,
        nap=plan.nap if is_first else None,
    )
