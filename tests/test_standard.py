"""The SDK's own suite for targets, against the emulator; it runs inside the test's process."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.testing import get_target_test_class

from target_databox.emulator import UNLIMITED, Assumptions, Emulator
from target_databox.target import TargetDatabox
from tests.command import QUICK
from tests.conftest import QUICK as QUICK_PROCESSING

if TYPE_CHECKING:
    from collections.abc import Iterator

# One for the whole suite, which asks for its configuration when the module is imported; started by a fixture.
EMULATOR = Emulator(limits=UNLIMITED, assumptions=Assumptions(**QUICK_PROCESSING), api_keys=["pak_standard"])


class StandardTarget(TargetDatabox):
    """The target, with an address that is known only once the emulator serves."""

    def __init__(self, *, config: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(config={**(config or {}), "api_url": EMULATOR.url}, **options)


@pytest.fixture(scope="module", autouse=True)
def emulator_of_the_suite() -> Iterator[None]:
    """Serves while the suite runs; signals go where they went before afterwards."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with EMULATOR:
        yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


Suite = get_target_test_class(
    StandardTarget, config={"api_key": "pak_standard", **QUICK}, include_target_tests=True
)


class TestStandard(Suite):  # type: ignore[valid-type,misc] # made at run time by the SDK
    """What the SDK expects of every target."""
