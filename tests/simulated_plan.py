"""What one seed makes of the world: faults, habits of the API, settings and signals of a simulated run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.simulated_habits import Habits
from tests.simulated_runs import RunPlan, usual_run
from tests.simulated_sequences import add_sequence


@dataclass
class Plan:
    """The world of one seed. Pairs are bounds of uniform distributions, in seconds.

    Attributes:
        streams: For each whether it has keys, and whether the dataset is known to have them.
        refuses: Whether a batch with a bad row is refused whole, instead of that row being rejected.
        late_detail: Share of questions about an ingestion that are answered with 404 in its first seconds.
        lost_before, lost_after: Shares of requests whose answer is lost, not carried out or carried out.
        hanging: Share of requests that are carried out only after the client has given them up.
        stuck: Share of ingestions that are never processed.
        down: From when to when nothing is reachable.
        key_refused_at: When the key is refused, in the first run.
        leftovers: Ingestions that are pending when the first run starts.
        leftovers_age: Their greatest age then, in seconds.
        second_writer: Whether somebody else writes rows of other keys, more at once than we do.
        server_limit: Requests per second after which the server answers 429.
        zeros_first: Whether counts are zero, not missing, until an ingestion is processed.
        undated: Whether ingestions have no time stamps.
        writer_delay: How long rejected rows take to get on disk.
        crash_runs: How many runs are killed.
        growing: Which counts grow while an ingestion is processed: `nothing`, `stored`, or `all` of them.
        pending_word: What a pending ingestion is said to be: `done` (on its detail), `pending`, `unknown`.
        done_word: What a processed ingestion is said to be: `done`, or `unknown`, a word that nobody knows.
        fails_as: What a failed ingestion leaves: `none` of its rows, or a `part` of them; `silent` without
            counts.
        fails_late: How much longer a failure takes than a success.
        refuses_as: How a batch is refused: with status 400, or with 200 and errors.
        most_rows: Rows beyond which a batch is refused whole.
        throttles: Whether 429 is for `all` requests or for `reads`.
        lists_down: From when to when the list of ingestions can't be read.
        untold_pages: Whether the list says nothing of its pages.
        listed_seconds: Age at which processed ingestions fall out of the list.
        list_stale: For how long the list shows a processed ingestion as pending.
        stamps: Time stamps of ingestions: `exact`, in full `seconds`, of the `landing` once that is over, or
            only on `some`.
        leftovers_stick: Whether what is pending when the first run starts stays so for ever.
        stamp_skew: Difference of the clock that stamps them.
        dated_from: From when in a run answers tell the server's time.
        odd: Share of records that can't be sent.
        line_rows: Most rows on one line (BATCH).
        rejects_whole: Whether one bad row makes the API reject its whole ingestion.
        fickle: Share of good rows that the API rejects, judged anew at each try.
        sittings: How many runs share the input, each after the normal end of the one before.
        disk_full_at, pipe_closed_at: When rejected rows, or STATEs, can't be written any more, in the first
            run.
        nap: When the process is stopped and for how long, as a laptop that sleeps.
        rewinds: Whether a run is resumed from an older STATE than the last.
        versions: The versions of the API that one run after another speaks, from the first again at the end.
        habits: What else the facts of the API leave open.
        each_run: The settings and the fate of each run, where they differ in more than the version.
        is_there: Whether the datasets of such runs are there before the first.
        beside: Whether another run goes on at the same time as one of them, on other `streams`, or on the
            same ones with other `keys`.
        beside_run: During which run.
        beside_plan: The settings and the fate of the other.

    Of v2 alone:

    Attributes:
        names: Which rejected rows an ingestion names: `all`, `fewer`, `none`, some of them `twice`, fewer and
            some twice (`cut`), or a `mixed` choice of these.
        rewrites: Whether it names them with other forms of numbers, columns in another order, and nulls.
        compares: Whether the input of an idempotency key is the same as `json` or as `bytes`.
        meeting: What a request meets whose first copy is on its way: nothing (`unaware`), the copy for which
            it `waits`, or a `conflict`.
        lateness: How long after the client gave it up a request may still be carried out.
        pagination: What a list says of its pages: what is `true`, an `untrue` size, or `null`.
        pending_text: The word for a pending ingestion.
        blur: What is added to every number of a row; so much that a float can't tell neighbours apart, and
            nothing else tells which of them is bad.
        warns: Whether rows are accepted with errors beside their ingestion.
    """

    processing: tuple[float, float] = (0.0, 2.0)
    list_lag: float = 0.0
    listing_lag_setting: float = 30.0
    order: str = "newest-first"
    page_size: int = 100
    refuses: bool = False
    failing: float = 0.0
    late_detail: float = 0.0
    lost_after: float = 0.0
    lost_before: float = 0.0
    hanging: float = 0.0
    stuck: float = 0.0
    down: tuple[float, float] | None = None
    key_refused_at: float | None = None
    leftovers: int = 0
    leftovers_age: float = 99.0
    second_writer: bool = False
    unreachable: float = 0.0
    server_limit: float | None = None
    bad: float = 0.0
    latency: tuple[float, float] = (0.01, 0.3)
    rows: int = 200
    keys: int = 20
    state_every: int = 20
    batch_rows: int = 10
    workers: int = 4
    window: int = 50
    unconfirmed_bytes: int = 2_000_000
    per_second: float = 50.0
    per_hour: float = 1e6
    confirmation: str = "rows"
    keeps_rejects: bool = True
    rejects_limit: int = 1000
    writer_delay: float = 0.0
    streams: tuple[tuple[bool, bool], ...] = ((True, True),)
    stop_at: float | None = None
    crash_at: float | None = None
    crash_runs: int = 1
    chunk_pause: float = 0.0
    overwrite: bool = False
    zeros_first: bool = False
    undated: bool = False
    growing: str = "nothing"
    pending_word: str = "done"
    done_word: str = "done"
    fails_as: str = "none"
    fails_late: float = 0.0
    refuses_as: int = 400
    most_rows: int = 100
    throttles: str = "all"
    lists_down: tuple[float, float] | None = None
    untold_pages: bool = False
    listed_seconds: float = 1e9
    list_stale: float = 0.0
    stamps: str = "exact"
    stamp_skew: float = 0.0
    leftovers_stick: bool = False
    dated_from: float = 0.0
    odd: float = 0.0
    line_rows: int = 1
    rejects_whole: bool = False
    fickle: float = 0.0
    sittings: int = 1
    disk_full_at: float | None = None
    pipe_closed_at: float | None = None
    nap: tuple[float, float] | None = None
    rewinds: bool = False
    versions: tuple[str, ...] = ("v1",)
    names: str = "all"
    rewrites: bool = False
    compares: str = "json"
    meeting: str = "unaware"
    lateness: float = 0.0
    pagination: str = "true"
    pending_text: str = "processing"
    blur: int = 0
    warns: bool = False
    habits: Habits = field(default_factory=Habits)
    each_run: tuple[RunPlan, ...] = ()
    is_there: bool = True
    beside: str = ""
    beside_run: int = 0
    beside_plan: RunPlan | None = None

    def run(self, number: int) -> RunPlan:
        """What a run is given, counted from 1."""
        return self.each_run[number - 1] if self.each_run else usual_run(self, number)

    @property
    def most_batch_rows(self) -> int:
        """Most rows that a run puts in one request."""
        return max((each.batch_rows for each in self.each_run), default=self.batch_rows)


def plan_of(seed: int, speaks: str = "v1") -> Plan:
    """The world of one seed.

    Args:
        seed: What happens.
        speaks: The version of the API that every run speaks, `both` for runs that change it, or `sequences`
            for runs that change everything.
    """
    rand = random.Random(seed)  # noqa: S311
    pick = rand.choice
    plan = Plan(
        processing=pick([(0.0, 0.0), (0.0, 0.5), (1.0, 6.0), (0.0, 40.0)]),
        list_lag=pick([0.0, 0.0, 5.0, 29.0]),
        order=pick(["newest-first", "oldest-first", "arbitrary"]),
        page_size=pick([100, 100, 5]),
        refuses=rand.random() < 0.4,
        failing=pick([0.0, 0.0, 0.0, 0.05]),
        late_detail=pick([0.0, 0.0, 0.3]),
        lost_after=pick([0.0, 0.0, 0.05, 0.2]),
        lost_before=pick([0.0, 0.0, 0.05, 0.2]),
        hanging=pick([0.0, 0.0, 0.0, 0.05]),
        stuck=pick([0.0] * 9 + [0.02]),
        down=pick([None] * 8 + [(2.0, 120.0), (2.0, 500.0)]),
        key_refused_at=pick([None] * 9 + [rand.uniform(0, 20)]),
        leftovers=pick([0, 0, 3]),
        second_writer=rand.random() < 0.2,
        unreachable=pick([0.0, 0.0, 0.1]),
        server_limit=pick([None, None, None, 8.0]),
        bad=pick([0.0, 0.0, 0.01, 0.1]),
        latency=pick([(0.01, 0.05), (0.01, 0.3), (0.05, 3.0)]),
        rows=rand.randint(0, 150),
        keys=pick([1, 5, 30, 1000]),
        state_every=pick([1, 7, 20, 50]),
        batch_rows=pick([1, 3, 10, 100]),
        workers=pick([1, 2, 8]),
        window=pick([1, 3, 50]),
        unconfirmed_bytes=pick([3_000, 20_000, 2_000_000]),
        per_second=pick([10.0, 50.0, 1000.0]),
        per_hour=pick([1e6, 1e6, 1e6, 100.0]),
        confirmation=pick(["rows", "rows", "status"]),
        keeps_rejects=rand.random() < 0.7,
        rejects_limit=pick([1000, 1000, 1000, 2]),
        writer_delay=pick([0.0, 0.0, 0.5, 5.0]),
        streams=tuple(
            pick([(True, True), (True, True), (True, False), (False, True)])
            for _ in range(pick([1, 1, 2, 3]))
        ),
        stop_at=pick([None, None, None, rand.uniform(0, 20)]),
        crash_at=pick([None, None, None, rand.uniform(0, 20)]),
        chunk_pause=pick([0.0, 0.0, 1.0]),
        overwrite=rand.random() < 0.1,
        zeros_first=pick([False, False, True]),
        undated=pick([False] * 9 + [True]),
    )
    _add_habits(plan, rand)
    _add_scenes(plan, rand)
    # Last, so that a world of v1 stays the same.
    if speaks != "v1":
        _add_v2(plan, rand, "both" if speaks == "sequences" else speaks)
    if plan.per_hour < 1e6:
        # Whoever waits for an hour would find nothing any more.
        plan.listed_seconds = 1e9
    if plan.second_writer and plan.growing == "all":
        # A stranger's ingestion that has grown to the size of ours could not be told from it.
        plan.growing = "stored"
    if speaks == "sequences":
        add_sequence(plan, rand)
    if plan.confirmation == "status":
        # Whoever confirms by status is blind to rejected rows, by choice.
        plan.fickle = 0.0
        plan.bad = plan.bad if plan.refuses else 0.0
    return plan


def _add_habits(plan: Plan, rand: random.Random) -> None:
    """What the API's documentation leaves open."""
    pick = rand.choice
    plan.page_size = pick([plan.page_size, plan.page_size, 10, 12])
    plan.growing = pick(["nothing", "nothing", "stored", "all"])
    plan.pending_word = pick(["done", "done", "pending", "unknown"])
    plan.done_word = "unknown" if rand.random() < 0.05 else "done"
    plan.fails_as = pick(["none", "none", "part", "silent"])
    plan.fails_late = pick([0.0, 0.0, 60.0])
    plan.refuses_as = pick([400, 400, 200])
    plan.most_rows = pick([100] * 9 + [2])
    plan.throttles = pick(["all", "reads"])
    plan.lists_down = pick([None] * 8 + [(2.0, 100.0), (10.0, 200.0)])
    plan.untold_pages = rand.random() < 0.1
    plan.listed_seconds = pick([1e9] * 9 + [900.0])
    plan.list_stale = pick([0.0, 0.0, 0.0, 10.0])
    plan.stamps = pick(["exact"] * 5 + ["seconds", "landing", "some"])
    plan.stamp_skew = pick([0.0] * 6 + [-3.0, 3.0])
    plan.dated_from = 0.0 if rand.random() > 0.05 else pick([10.0, float("inf")])
    if rand.random() < 0.2:
        plan.listing_lag_setting = pick([3.0, 10.0])
        plan.list_lag = min(plan.list_lag, plan.listing_lag_setting - 1)


def _add_scenes(plan: Plan, rand: random.Random) -> None:
    """What else may happen to a process."""
    pick = rand.choice
    plan.odd = pick([0.0, 0.0, 0.0, 0.02])
    plan.line_rows = pick([1, 1, 1, 30])
    plan.rejects_whole = rand.random() < 0.3
    plan.fickle = pick([0.0] * 9 + [0.02])
    plan.sittings = 1 if plan.overwrite else pick([1, 1, 2, 3])
    plan.leftovers_age = pick([99.0, 99.0, 1e6])
    plan.disk_full_at = pick([None] * 19 + [rand.uniform(0, 20)])
    plan.pipe_closed_at = pick([None] * 19 + [rand.uniform(0, 20)])
    plan.nap = pick([None] * 19 + [(rand.uniform(0, 20), pick([40.0, 700.0]))])
    plan.rewinds = rand.random() < 0.2
    plan.crash_runs = pick([1, 1, 3])
    if rand.random() < 0.05:
        plan.lost_before, plan.lost_after, plan.hanging = pick([(0.5, 0.0, 0.2), (0.1, 0.4, 0.2)])
    plan.leftovers_stick = rand.random() < 0.2


def _add_v2(plan: Plan, rand: random.Random, speaks: str) -> None:
    """What is unknown of API v2, and what only it makes possible."""
    pick = rand.choice
    plan.versions = ("v2",)
    if speaks == "both":
        plan.versions = pick([("v1", "v2"), ("v2", "v1"), ("v1", "v1", "v2", "v2"), ("v2", "v1", "v1")])
        # Most worlds have more than one run.
        plan.sittings = 1 if plan.overwrite else pick([1, 2, 3, 3])
        if plan.sittings == 1 and plan.crash_at is None:
            plan.crash_at, plan.crash_runs = rand.uniform(0, 20), pick([1, 2, 3])
    plan.names = pick(["all", "all", "fewer", "none", "twice", "cut", "mixed"])
    plan.rewrites = rand.random() < 0.5
    plan.compares = pick(["json", "bytes"])
    plan.meeting = pick(["unaware", "waits", "conflict"])
    # What waits for its first copy must not wait until the time for retries is over.
    plan.lateness = pick([2.0, 30.0, 30.0 if plan.meeting != "unaware" else 600.0])
    plan.pagination = pick(["true", "untrue", "null"])
    plan.pending_text = pick(["processing", "in_progress", "pending", "queued", "running"])
    plan.fails_as = pick([plan.fails_as, "purged"])
    if rand.random() < 0.2:
        plan.batch_rows = 500
    if plan.most_rows == 100:
        plan.most_rows = 500
    if plan.nap is not None and rand.random() < 0.3:
        # Longer than an idempotency key is kept.
        plan.nap = plan.nap[0], 100_000.0
    plan.blur = pick([0, 0, 0, 2**53])
    plan.warns = rand.random() < 0.1
