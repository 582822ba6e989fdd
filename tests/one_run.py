"""One run of a world, simulated or real: what it is given, its part of the input, what it has written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.versions import DIALECTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_databox.api.errors import SetupError
    from target_databox.delivery.batches import Lane
    from tests.simulated_runs import RunPlan
    from tests.simulation import World


class OneRun:
    """Reads the input from a place, delivers it, writes STATEs.

    Args:
        world: Its input and its server.
        start: Its place in the input.

    Attributes:
        settings: What it is given.
        lanes: Of its streams, as far as their datasets can be used and it is simulated.
        conflicts: Why the datasets of other streams can't be used.
        crossed: Streams that it reads with other keys than their dataset has, which it can't know.
        hides_states: Whether nobody sees its STATEs.
    """

    hides_states = False

    def __init__(self, world: World, start: int) -> None:
        self.world = world
        self.settings: RunPlan = world.run_plan()
        self.number = world.first_run + world.runs - 1
        self.dialect = DIALECTS[self.settings.version]
        self.start = start
        self.position = start
        self.stop = next(
            stop
            for stop in world.stops
            if (stop > start and stop >= world.reached) or stop == len(world.input)
        )
        self.lanes: Sequence[Lane] = ()
        self.conflicts: dict[int, SetupError] = {}
        self.crossed: set[int] = set()
        self.is_killed = False
        self.states: list[int] = []
        self.rejected: set[int] = set()

    @property
    def version(self) -> str:
        """The version of the API that it speaks."""
        return self.dialect.name

    @property
    def is_finished(self) -> bool:
        """Whether the last STATE of its input is written."""
        if self.start == self.stop:
            return not self.is_killed
        return self.states[-1:] == [self.world.input[self.stop - 1].number]

    @property
    def resends_safely(self) -> bool:
        """Whether sending any of its rows twice has the same result as sending them once."""
        raise NotImplementedError
