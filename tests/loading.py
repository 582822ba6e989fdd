"""Messages loaded inside the test's process, which is faster than a process of their own."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from target_databox.target import TargetDatabox
from tests.command import QUICK, text

if TYPE_CHECKING:
    from target_databox.emulator import Emulator


def load(emulator: Emulator, *messages: dict[str, Any] | bytes, **settings: Any) -> None:
    """Load messages; what ends the run is raised. The test needs the fixture `signals`."""
    config = {"api_url": emulator.url, "api_key": emulator.api_key, **QUICK, **settings}
    TargetDatabox(config=config).listen(io.BytesIO(text(*messages)))  # type: ignore[arg-type] # bytes are read


def stored(emulator: Emulator, title: str = "orders") -> list[dict[str, Any]]:
    """The rows of the only dataset with a title."""
    return emulator.store.rows(emulator.store.dataset_titled(title).id)
