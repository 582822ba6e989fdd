"""Lists of the API v2: pages from 0, sizes, search and order, and what is not to be trusted about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_databox.emulator.serving.calls import whole_number
from target_databox.emulator.state.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_databox.emulator.serving.calls import Call
    from target_databox.emulator.serving.route import Answer

USUAL, LARGEST = 25, 100  # grade O
USUAL_ROWS, LARGEST_ROWS = 200, 1000  # grade O


class Page:
    """The page that a request asks for.

    Args:
        call: The request.
        usual: The size of a page where none is asked for.
        largest: The size that larger ones are cut to.

    Raises:
        InvalidInputError: It is no page.
    """

    def __init__(self, call: Call, usual: int = USUAL, largest: int = LARGEST) -> None:
        self.number = whole_number(call.query.get("page", "0"), "page")
        asked = whole_number(call.query.get("pageSize", str(usual)), "pageSize")
        if asked < 1:
            raise InvalidInputError("A page has at least one item.", "pageSize")
        self.size = min(asked, largest)
        self._assumptions = call.store.assumptions
        self._told_size = asked if self._assumptions.told_page_size == "asked" else self.size

    def of(self, items: Sequence[Answer]) -> Answer:
        """This page of a whole list."""
        return self.holding(items[self.number * self.size : (self.number + 1) * self.size], len(items))

    def holding(self, items: Sequence[Any], total: int) -> Answer:
        """This page, which holds some items of so many."""
        return {
            "items": None if not items and self._assumptions.empty_items == "null" else list(items),
            "pagination": None
            if self._assumptions.pagination == "null"
            else {"page": self.number, "pageSize": self._told_size, "totalItems": total},
        }


def order(call: Call) -> bool:
    """Whether a list is to begin at its end.

    Raises:
        InvalidInputError: `sortOrder` is neither `asc` nor `desc`.
    """
    asked = call.query.get("sortOrder", "asc").lower()
    if asked not in {"asc", "desc"}:
        raise InvalidInputError("sortOrder must be asc or desc.", "sortOrder")
    return asked == "desc"


def chosen(call: Call, items: Sequence[Answer]) -> list[Answer]:
    """The items that a search leaves, in the order that is asked for.

    Raises:
        InvalidInputError: There is no such order.
    """
    words = call.query.get("search", "").casefold()
    found = [each for each in items if words in (each["name"] or "").casefold()]
    field = call.query.get("sortBy")
    if field is not None:
        if field not in {"id", "name", "createdAt"}:
            raise InvalidInputError("sortBy must be id, name or createdAt.", "sortBy")
        found.sort(key=lambda each: (each[field] is not None, each[field]))
    return found[::-1] if order(call) else found
