"""What a route of the emulated API is, in any of its versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator.serving.calls import Call

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """A route of the API.

    Attributes:
        name: The name by which faults and the log know it; what two versions have alike has one name.
        method: The HTTP method.
        path: The path, with ids in braces.
        answer: Does what is asked and gives the answer's fields, beside the envelope's; `None` when there is
            nothing to return.
        version: `v1` or `v2`.
        once: Whether it heeds `Idempotency-Key`.
    """

    name: str
    method: str
    path: str
    answer: Callable[[Call], Answer | None]
    version: str = "v1"
    once: bool = False

    @property
    def operation(self) -> str:
        """The only route of this name: `v2_post_rows` is not `v1_post_rows`."""
        return f"{self.version}_{self.name}"
