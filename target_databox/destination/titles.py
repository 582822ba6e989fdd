"""Finds data sources and datasets by title, and chooses one if several have the same title."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from target_databox.api.errors import DataSourceError
from target_databox.api.values import epoch_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from target_databox.api.values import Dataset, DataSource

logger = logging.getLogger(__name__)

MIN_TITLE_CHARACTERS: Final = 1  # A: an empty title is allowed (D) but can't be found again
MAX_TITLE_CHARACTERS: Final = 255  # A: not documented; usual for such APIs
MOST_LISTED: Final = 50


class Titled(Protocol):
    """A data source or a dataset."""

    @property
    def id(self) -> int | str:
        """The id in the API's paths."""

    @property
    def title(self) -> str | None:
        """The title in Databox."""

    @property
    def created(self) -> str | None:
        """When it was created, as ISO 8601 text."""


TitledT = TypeVar("TitledT", bound=Titled)


def title_problem(title: str) -> str | None:
    """What is wrong with a trimmed title, as a clause; None if it can be used."""
    if MIN_TITLE_CHARACTERS <= len(title) <= MAX_TITLE_CHARACTERS:
        return None
    return f"must have {MIN_TITLE_CHARACTERS} to {MAX_TITLE_CHARACTERS} characters, and has {len(title)}"


def with_title(things: Iterable[TitledT], title: str) -> list[TitledT]:
    """The objects with a title, ignoring surrounding blanks, oldest first.

    The order is the same in every run, whatever the order of the list: by creation time, then by id. Those
    without a creation time come last.
    """
    found = {thing.id: thing for thing in things if (thing.title or "").strip() == title.strip()}
    return sorted(found.values(), key=_age)


def the_data_source(sources: Iterable[DataSource], title: str) -> DataSource | None:
    """The oldest data source with a title that takes data, or None; logs a warning if there are others."""
    titled = with_title(sources, title)
    # Prefer those that certainly take data. In v2 that is known only of data sources created through the API.
    found = [source for source in titled if source.ingestion_supported]
    found = found or [source for source in titled if source.ingestion_supported is None]
    if titled and not found:
        logger.warning(
            "No data source with the title %r takes data through the API (%s: ingestionSupported is false), "
            "so a run creates another one with this title. Set data_source_id or data_source_title to load "
            "elsewhere.",
            title,
            named(titled),
        )
    if len(found) > 1:
        logger.warning(
            "Several data sources have the same title: %s. The oldest, %s, is used; set data_source_id "
            "to choose another.",
            named(found),
            found[0].id,
        )
    return found[0] if found else None


def the_dataset(datasets: Iterable[Dataset], title: str) -> Dataset | None:
    """The oldest dataset with a title, or None; logs a warning if there are several."""
    found = with_title(datasets, title)
    if len(found) > 1:
        logger.warning(
            "Several datasets have the same title: %s. The oldest, %s, is used; set dataset_ids to choose "
            "another.",
            named(found),
            found[0].id,
        )
    return found[0] if found else None


def check_support(source: DataSource) -> None:
    """Check that a data source chosen by its id takes data.

    Raises:
        DataSourceError: It doesn't.
    """
    if source.ingestion_supported is False:
        raise DataSourceError(
            f"The data source {named([source])} does not take data through the API (ingestionSupported is "
            "false). Set data_source_id to another one, or remove it to use data_source_title."
        )


def named(things: Iterable[Titled]) -> str:
    """Ids and titles for a message, such as `12 "Shop", 15 "Shop"`."""
    return listed(f'{thing.id} "{thing.title or ""}"' for thing in things)


def listed(texts: Iterable[str]) -> str:
    """The first 50 texts for a message, and how many more there are."""
    found = list(texts)
    more = f" and {len(found) - MOST_LISTED} more" if len(found) > MOST_LISTED else ""
    return ", ".join(found[:MOST_LISTED]) + more or "none"


def _age(thing: Titled) -> tuple[float, int, str]:
    created = epoch_of(thing.created)
    number = thing.id if isinstance(thing.id, int) else 0
    return (math.inf if created is None else created, number, str(thing.id))
