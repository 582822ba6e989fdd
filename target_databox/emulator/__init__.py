"""The Databox API, v1 and v2, on this machine, so that the target can be tried and tested without an account.

It shares no code with the client in `target_databox.api`: what both got from one place, both could get wrong.

Example:
    >>> from target_databox.emulator import Emulator
    >>> with Emulator() as emulator:
    ...     emulator.url.startswith("http://127.0.0.1:")
    True
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.serving.faults import Fault, FaultPlan
    from target_databox.emulator.serving.meter import UNLIMITED, Limits
    from target_databox.emulator.serving.server import Emulator
    from target_databox.emulator.state.store import Store

__all__ = ["UNLIMITED", "Assumptions", "Emulator", "Fault", "FaultPlan", "Limits", "Store"]

_MODULES = {
    "Assumptions": "assumptions",
    "Emulator": "serving.server",
    "Fault": "serving.faults",
    "FaultPlan": "serving.faults",
    "Limits": "serving.meter",
    "Store": "state.store",
    "UNLIMITED": "serving.meter",
}


def __getattr__(name: str) -> Any:
    # The HTTP server is an extra: importing it only when it is asked for lets the command explain that.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
