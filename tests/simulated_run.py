"""One process of a simulated world: what it is given, how far it is, and what it has read and written."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

from target_databox.api.budget import Budget
from target_databox.api.errors import SetupError
from target_databox.delivery.batches import Destination
from target_databox.delivery.dispatcher import Dispatcher
from target_databox.delivery.rows import Row
from target_databox.destination.resources import Resources
from target_databox.destination.sources import Sources
from target_databox.singer.messages import InputError
from tests.one_run import OneRun
from tests.simulated_account import SOURCE, SimulatedAccount

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.api.values import ColumnLike
    from target_databox.delivery.batches import Lane
    from target_databox.delivery.interfaces import DeliverySettings
    from target_databox.delivery.rejections import Rejection
    from target_databox.destination.resources import ResolvedDataset
    from tests.promises import Message
    from tests.simulated_runs import Reading
    from tests.simulation import World

# Every third value of a column is missing.
GAPS = 3


class Run(OneRun):
    """A simulated process.

    Args:
        world: Its input and its server.
        start: Its place in the input.

    Attributes:
        failure: Why it can't read on, if that is the reason of its end.
    """

    def __init__(self, world: World, start: int) -> None:
        super().__init__(world, start)
        plan, settings = world.plan, self.settings
        self.budget = Budget(settings.per_second, settings.per_hour, rand=world.rand.random)
        self.dispatcher = Dispatcher(
            delivery_settings(self),
            self.budget,
            wait=lambda tries, asked: (asked or 0.0) + world.rand.uniform(0, min(30.0, 0.5 * 2**tries)),
            new_key=world.new_key,
        )
        self.failure: BaseException | None = None
        self.lane_of = dict(self._found_lanes() if plan.each_run else self._given_lanes())
        self.lanes = list(self.lane_of.values())
        self.began_at = world.now
        self.read_at = world.now
        self.free = settings.workers
        self.is_over = False
        self.is_stopped = False
        self.is_dead = False
        self.has_napped = False
        self.can_write = True
        self.paused_until = float("-inf")
        self.taken: list[float] = []
        self.writing: Sequence[Rejection] = ()
        self.numbers: dict[Row, int] = {}
        self._rows_read: Counter[int] = Counter()
        self._readings: dict[int, Reading] = {}

    @property
    def resends_safely(self) -> bool:
        """Whether sending any of its rows twice has the same result as sending them once."""
        return not self.crossed and all(lane.destination.resends_safely for lane in self.lanes)

    @property
    def has_read_all(self) -> bool:
        """Whether its input has ended, or it can't read on."""
        return self.position >= self.stop or self.failure is not None

    @property
    def last_state_read(self) -> int | None:
        """The newest STATE that it has read; None if there was none."""
        read = self.world.input[self.start : self.position]
        return next((each.number for each in reversed(read) if each.stream is None), None)

    # Its datasets

    def _given_lanes(self) -> list[tuple[int, Lane]]:
        """Lanes as the plan has them, where nothing has to be found."""
        plan = self.world.plan
        is_new = self.world.runs == 1 and not plan.leftovers and not plan.overwrite
        return [
            (
                index,
                self._open(
                    index,
                    is_keyed=keyed,
                    keys_are_known=known,
                    is_new=is_new,
                    purge=self.settings.overwrite,
                ),
            )
            for index, (keyed, known) in enumerate(plan.streams)
        ]

    def _open(self, index: int, **facts: Any) -> Lane:
        name = self.world.dataset_id(index)
        recognised = self.dialect.resends_are_recognised
        destination = Destination(f"s{index}", name, name, resends_are_recognised=recognised, **facts)
        return self.dispatcher.open_lane(destination)

    def _found_lanes(self) -> list[tuple[int, Lane]]:
        """Lanes of the datasets that the target itself finds or creates; a conflict is kept for later."""
        world, settings = self.world, self.settings
        hidden = {
            world.dataset_id(index)
            for index, reading in enumerate(settings.streams)
            if not reading.are_keys_readable
        }
        account = SimulatedAccount(world.server, self.version, hidden)
        sources = Sources(
            account,
            _at_once,
            account_id=1,
            data_source_id=SOURCE.id,
            dialect=self.dialect,
            new_key=world.new_key,
        )
        resources = Resources(account, _at_once, sources, dialect=self.dialect, new_key=world.new_key)
        found = []
        for index, reading in enumerate(settings.streams):
            try:
                dataset = self._resolved(resources, index, reading)
            except SetupError as error:
                self.conflicts[index] = error
                continue
            there = world.server.datasets[dataset.id]
            if set(reading.keys) != ({"id"} if there.keyed else set()):
                self.crossed.add(index)
            lane = self._open(
                index,
                is_keyed=bool(reading.keys),
                keys_are_known=dataset.keys_known,
                is_new=dataset.created,
                purge=settings.overwrite and not dataset.created,
            )
            found.append((index, lane))
        return found

    def _resolved(self, resources: Resources, index: int, reading: Reading) -> ResolvedDataset:
        columns = [_Column(name, kind) for name, kind in reading.columns]
        return resources.resolve_dataset(
            f"s{index}",
            self.world.dataset_id(index),
            primary_keys=reading.keys,
            columns=cast("Sequence[ColumnLike]", columns),
            declare=reading.is_declared,
        )

    # Its rows

    def take_schema(self, message: Message) -> None:
        """Take the SCHEMA before a line of rows, if there is another; it may be one that can't be loaded."""
        stream = message.stream
        if stream is None:
            return
        if stream in self.conflicts:
            self.failure = self.conflicts[stream]
            return
        first = self.settings.streams[stream]
        if first.later is None or self._rows_read[stream] < first.later_from:
            return
        self._readings[stream] = first.later
        if set(first.later.keys) != set(first.keys):
            self.failure = InputError("changes the key properties")

    def _reading(self, stream: int) -> Reading:
        return self._readings.get(stream, self.settings.streams[stream])

    def row(self, message: Message) -> Row:
        """A row as the target makes it of a record under the SCHEMA that is valid for it."""
        stream, record = cast("int", message.stream), cast("dict[str, Any]", message.row)
        reading = self._reading(stream)
        self._rows_read[stream] += 1
        values = {**record, "k": record["id"] % 4}
        key = tuple(values[name] for name in reading.keys) or None
        sent = self._sent(record, reading)
        row = Row(key, json.dumps(sent).encode(), number=message.line, line=b"x")
        self.numbers[row] = message.number
        return row

    def _sent(self, record: dict[str, Any], reading: Reading) -> dict[str, Any]:
        blur = self.world.plan.blur
        sent = {**record, "n": record["n"] + blur} if blur else dict(record)
        if blur:
            sent.pop("bad", None)
        if not reading.has_id:
            del sent["id"]
        number = record["n"]
        for place, (name, kind) in enumerate(reading.columns):
            if (number + place) % GAPS:
                sent[name] = number % 10 if kind == "number" else f"t{number % 10}"
        return sent


class _Column:
    def __init__(self, name: str, data_type: str) -> None:
        self.name = name
        self.data_type = data_type


def delivery_settings(run: Run) -> DeliverySettings:
    """The settings of a run, as the delivery knows them."""
    given = run.settings
    settings = SimpleNamespace(
        batch_size_rows=min(given.batch_rows, run.dialect.most_rows),
        most_rows_bytes=run.dialect.most_bytes - run.dialect.frame_bytes,
        batch_age_seconds=given.batch_age_seconds,
        unconfirmed_batches=given.window,
        unconfirmed_bytes=given.unconfirmed_bytes,
        retry_seconds=given.retry_seconds,
        confirmation=given.confirmation,
        confirmation_timeout_seconds=given.confirmation_timeout_seconds,
        listing_lag_seconds=given.listing_lag,
        state_interval_seconds=given.state_interval_seconds,
        shutdown_seconds=given.shutdown_seconds,
        rejects_path=Path("rejects") if given.keeps_rejects else None,
        rejects_limit=given.rejects_limit,
    )
    return cast("DeliverySettings", settings)


def _at_once(call: Callable[[], Any], /) -> Any:
    return call()
