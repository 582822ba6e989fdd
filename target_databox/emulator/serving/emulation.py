"""What is emulated, for the server and the page alike: state, keys with their limits, faults, the log."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_databox.emulator.serving.exchanges import ExchangeLog
from target_databox.emulator.serving.faults import FaultPlan
from target_databox.emulator.serving.meter import Limits, Meter
from target_databox.emulator.state.shapes import ROLES, Actor

if TYPE_CHECKING:
    from target_databox.emulator.state.store import Store

# Enough of a key to distinguish two, and not enough to use it.
_SHOWN_OF_KEY = 8


@dataclass(frozen=True, slots=True)
class Budget:
    """What a key used of its hour: the beginning of the key, and its requests in the last hour."""

    key: str
    used_this_hour: int


@dataclass(slots=True)
class Emulation:
    """The emulated API without its server.

    Attributes:
        store: The state.
        api_keys: The keys that are valid; one is made up when there are none.
        limits: What one key may do.
        faults: Planned failures.
        log: Remembers the exchanges.
        role: The role of the keys' users.

    Raises:
        ValueError: There is no such role.
    """

    store: Store
    api_keys: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    faults: FaultPlan = field(default_factory=FaultPlan)
    log: ExchangeLog = field(default_factory=ExchangeLog)
    role: str = "admin"
    _meters: dict[str, Meter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make up a key when there is none."""
        self.api_keys = self.api_keys or (f"pak_{uuid.uuid4()}",)
        if self.role not in ROLES:
            raise ValueError(f"role must be one of {', '.join(ROLES)}; got {self.role!r}.")

    def actor(self, key: str) -> Actor:
        """Whom a valid key belongs to."""
        return Actor(self.api_keys.index(key) + 1, self.role)

    def meter(self, key: str) -> Meter:
        """What counts the requests of a key, whatever version of the API they speak."""
        if key not in self._meters:
            self._meters[key] = Meter(self.limits, self.store.assumptions, time.monotonic)
        return self._meters[key]

    def budgets(self) -> list[Budget]:
        """What each key that was used has left of the hour."""
        return [Budget(shown_key(key), meter.used_this_hour()) for key, meter in list(self._meters.items())]


def shown_key(key: str) -> str:
    """The beginning of a key, which may be shown."""
    return key[:_SHOWN_OF_KEY]
