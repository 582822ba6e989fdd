"""Finding things by title: what matches, and which one everybody uses when several do."""

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
MAX_TITLE_CHARACTERS: Final = 255  # A: nothing is documented; the manners of comparable APIs
MOST_LISTED: Final = 50


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


def the_data_source(sources: Iterable[DataSource], title: str) -> DataSource | None:
    """The oldest data source of that title that takes data, or None; a warning tells what else there is."""
    titled = with_title(sources, title)
    # Those of which that is certain, if there are any (v2 is certain of none but the API's own).
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
    """The oldest dataset of that title, or None; a warning tells of several."""
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
    """Make sure that a data source chosen by its id takes data.

    Raises:
        DataSourceError: It doesn't.
    """
    if source.ingestion_supported is False:
        raise DataSourceError(
            f"The data source {named([source])} does not take data through the API (ingestionSupported is "
            "false). Set data_source_id to another one, or remove it to use data_source_title."
        )


def named(things: Iterable[Titled]) -> str:
    """The things as `12 "Shop", 15 "Shop"`, for a message."""
    return listed(f'{thing.id} "{thing.title or ""}"' for thing in things)


def listed(texts: Iterable[str]) -> str:
    """The first of some texts, and how many there are more, for a message."""
    told = list(texts)
    more = f" and {len(told) - MOST_LISTED} more" if len(told) > MOST_LISTED else ""
    return ", ".join(told[:MOST_LISTED]) + more or "none"


def _age(thing: Titled) -> tuple[float, int, str]:
    created = epoch_of(thing.created)
    number = thing.id if isinstance(thing.id, int) else 0
    return (math.inf if created is None else created, number, str(thing.id))
