"""The Databox API v1 on this machine, so that the target can be tried and tested without an account.

It shares no code with the client in `target_databox.api`: what both got from one place, both could get wrong.

Example:
    >>> from target_databox.emulator import Emulator
    >>> with Emulator() as emulator:
    ...     emulator.url.startswith("http://127.0.0.1:")
    True
"""

from target_databox.emulator.assumptions import Assumptions
from target_databox.emulator.faults import Fault, FaultPlan
from target_databox.emulator.server import Emulator
from target_databox.emulator.store import Store

__all__ = ["Assumptions", "Emulator", "Fault", "FaultPlan", "Store"]
