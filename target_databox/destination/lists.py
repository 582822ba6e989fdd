"""Reads all pages of a list, even if the API's page sizes and counts are wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from target_databox.api.errors import SetupError

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.api.values import Page
    from target_databox.destination.interfaces import WithRetries

# 100,000 items, far more than an account has; lists without pages may be longer.
MOST_PAGES: Final = 1000
MOST_ITEMS: Final = 250_000
# After this many pages without a new item, the API evidently ignores the page number.
MOST_BARREN_PAGES: Final = 2


class Identified(Protocol):
    """An object with an id."""

    @property
    def id(self) -> int | str:
        """The id in the API's paths."""


IdentifiedT = TypeVar("IdentifiedT", bound=Identified)


def whole_list(
    with_retries: WithRetries, what: str, read: Callable[[int], Page[IdentifiedT]]
) -> tuple[IdentifiedT, ...]:
    """All items of a list, in the API's order, each once.

    The list ends when as many items were seen as it claims to have, or with an empty page. A short page is
    not the end (O).

    Args:
        with_retries: Makes every request.
        what: What the list contains, for messages.
        read: Reads a page; pages are counted from 1.

    Raises:
        SetupError: The list has no end.
    """
    found: dict[int | str, IdentifiedT] = {}
    seen = barren = 0
    for number in range(1, MOST_PAGES + 1):
        page = with_retries(lambda number=number: read(number))  # type: ignore[misc] # mypy does not infer it
        news = {item.id: item for item in page.items if item.id not in found}
        found.update(news)
        seen += len(page.items)
        barren = 0 if news else barren + 1
        if len(found) > MOST_ITEMS:
            break
        is_over = page.total_items is not None and seen >= page.total_items
        if is_over or not page.items or barren >= MOST_BARREN_PAGES:
            return tuple(found.values())
    raise SetupError(
        f"The list of {what} has more than {MOST_PAGES:,} pages or {MOST_ITEMS:,} items. Set data_source_id "
        "and dataset_ids, so that it is not needed."
    )
