"""Facts on how a creation is settled with other runs; see also the facts on resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from target_databox.destination.creation import create_once
from target_databox.destination.titles import with_title

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")


class Thing(NamedTuple):
    """Something with a title."""

    id: int
    title: str
    created: str


OLD = Thing(1, "T", "2025-10-01T12:00:00Z")
NEW = Thing(2, "T", "2025-10-01T12:00:01Z")


def at_once(call: Callable[[], T], /) -> T:
    """Make a request without retries."""
    return call()


def oldest(things: Iterable[Thing]) -> Thing | None:
    """The one to use."""
    return next(iter(with_title(things, "T")), None)


def test_own_creation_takes_part() -> None:
    """What was created here is used when it is the oldest, also while a list shows only another one."""
    assert create_once(at_once, lambda: OLD, lambda: [NEW], oldest) == (OLD, True)
    assert create_once(at_once, lambda: NEW, lambda: [OLD], oldest) == (OLD, False)
    assert create_once(at_once, lambda: NEW, list, oldest) == (NEW, True)
