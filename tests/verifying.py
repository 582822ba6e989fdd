"""The verification inside the test's process, and rows that are changed behind the target's back."""

from __future__ import annotations

import contextlib
import io
import json
from typing import TYPE_CHECKING, Any

from target_databox.verification.verify import VerifyTarget
from tests.command import QUICK, text

if TYPE_CHECKING:
    from target_databox.emulator import Emulator


def verify(
    emulator: Emulator, *messages: dict[str, Any] | bytes, **settings: Any
) -> tuple[int, list[dict[str, Any]]]:
    """The exit code and what is said of each stream. The test needs the fixture `signals`."""
    config = {"api_url": emulator.url, "api_key": emulator.api_key, **QUICK, "listing_lag_seconds": 0}
    target = VerifyTarget(config={**config, **settings})
    target.output = "json"
    said = io.BytesIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(said, write_through=True)) as out:
        target.listen(io.BytesIO(text(*messages)))  # type: ignore[arg-type] # bytes are read
        lines = said.getvalue().splitlines()
        out.detach()
    return target.exit_code, [json.loads(line) for line in lines]


def change(emulator: Emulator, statement: str, *values: Any) -> None:
    """Change what the emulator holds, as nobody could through the API."""
    database = emulator.store._database
    with database.transaction():
        database.run(statement, *values)
