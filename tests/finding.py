"""One run's way to its datasets, without the rest of the target."""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

from target_databox.api.retries import call_with_retries
from target_databox.destination.resources import Resources
from target_databox.destination.sources import Sources
from target_databox.versions import DIALECTS, client_class

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator import Emulator
    from target_databox.emulator.state.shapes import Dataset


class Column(NamedTuple):
    """A column to declare."""

    name: str
    data_type: str | None


COLUMNS = (Column("id", "number"), Column("ok", None))


class Turns:
    """A budget without limits that counts its turns."""

    waited_seconds = 0.0

    def __init__(self) -> None:
        self.taken = 0

    def wait_turn(self) -> None:
        """Take a turn."""
        self.taken += 1

    def refused(self, retry_after_seconds: float | None) -> None:
        """Learn of a 429."""

    def succeeded(self) -> None:
        """Learn of an answer."""


def new_key() -> str:
    """An idempotency key."""
    return str(uuid.uuid4())


class Run:
    """What one run of the target has: a client, retries without waits, and its resources."""

    def __init__(
        self, emulator: Emulator, *, version: str = "v1", retry_seconds: float = 5.0, **settings: Any
    ) -> None:
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.turns = Turns()
        self.client = client_class(version)(
            emulator.url,
            emulator.api_key,
            request_timeout_seconds=5,
            account_id=settings.get("account_id"),
            on_exchange=self._pass,
        )
        with_retries = functools.partial(
            call_with_retries,
            budget=self.turns,
            retry_seconds=retry_seconds,
            rest=lambda _: None,
            now=lambda: 0.0,
        )
        self.sources = Sources(
            self.client, with_retries, dialect=DIALECTS[version], new_key=new_key, **settings
        )
        self.resources = Resources(
            self.client, with_retries, self.sources, dialect=DIALECTS[version], new_key=new_key
        )
        self.dataset = self.resources.resolve_dataset

    def _pass(self, exchange: Any) -> None:
        happening = self.meanwhile.pop(f"{exchange.method} {exchange.route}", None)
        if happening:
            happening()


def asked(emulator: Emulator) -> list[str]:
    """The routes that were asked, in order."""
    return [str(each.route) for each in emulator.log]


def id_in(version: str, dataset: Dataset) -> str:
    """The id of a dataset in a version of the API."""
    return dataset.id if version == "v1" else str(dataset.number)
