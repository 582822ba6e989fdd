"""Finding things by title: what matches, and which one everybody uses when several do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol, TypeVar

from target_databox.api.answers import epoch_of
from target_databox.api.limits import MAX_TITLE_CHARACTERS, MIN_TITLE_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Iterable


class Titled(Protocol):
    """A data source or a dataset."""

    @property
    def id(self) -> int | str:
        """What it is addressed by."""

    @property
    def title(self) -> str | None:
        """What people call it."""

    @property
    def created(self) -> str | None:
        """When it was created, as ISO 8601 text."""


TitledT = TypeVar("TitledT", bound=Titled)


def title_problem(title: str) -> str | None:
    """What is wrong with a trimmed title as a clause, or None when it can be used."""
    if MIN_TITLE_CHARACTERS <= len(title) <= MAX_TITLE_CHARACTERS:
        return None
    return f"must have {MIN_TITLE_CHARACTERS} to {MAX_TITLE_CHARACTERS} characters, and has {len(title)}"


def with_title(things: Iterable[TitledT], title: str) -> list[TitledT]:
    """Those whose title is the given one after trimming, the oldest first.

    The order is the same for every run that looks, whatever order the list has: by creation, then by id. What
    doesn't say when it was created comes last.
    """
    found = {thing.id: thing for thing in things if (thing.title or "").strip() == title.strip()}
    return sorted(found.values(), key=_age)


def named(things: Iterable[Titled]) -> str:
    """The things as `12 "Shop", 15 "Shop"`, for a message."""
    return ", ".join(f'{thing.id} "{thing.title or ""}"' for thing in things) or "none"


def _age(thing: Titled) -> tuple[float, int, str]:
    created = epoch_of(thing.created)
    number = thing.id if isinstance(thing.id, int) else 0
    return (math.inf if created is None else created, number, str(thing.id))
