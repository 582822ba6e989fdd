"""Reads what a request brings along, and refuses what is not what the documentation asks for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.state.errors import InvalidInputError
from target_databox.emulator.state.json_rows import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from target_databox.emulator.serving.faults import Fault
    from target_databox.emulator.state.shapes import Actor
    from target_databox.emulator.state.store import Store

# Of an id or a page: every JSON reader and every database knows such numbers exactly.
_MOST_DIGITS = 15


@dataclass(slots=True)
class Call:
    """One request, parsed no further than HTTP does.

    Attributes:
        store: The state of the emulated API.
        ids: The parts of the path that are ids, by name.
        query: The query's fields.
        headers: The request's headers, whatever their case.
        actor: Who asks.
        body: The request's body.
        faults: Planned faults that strike this request.
        rows: How many rows the request had; filled in by the route.
        replayed: Whether the answer was kept from an earlier request; filled in by the server.
    """

    store: Store
    ids: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    actor: Actor | None = None
    body: bytes = b""
    faults: Sequence[Fault] = ()
    rows: int = 0
    replayed: bool = False

    def number(self, name: str) -> int:
        """An id of the path as a number.

        Raises:
            InvalidInputError: It is none.
        """
        return whole_number(self.ids[name], name)

    def fields(self) -> dict[str, Any]:
        """The request's body as a JSON object.

        Raises:
            InvalidInputError: It is none.
        """
        try:
            fields = msgspec.json.decode(self.body)
        except UNREADABLE as exc:
            raise InvalidInputError("The body must be JSON.") from exc
        if not isinstance(fields, dict):
            raise InvalidInputError("The body must be a JSON object.")
        return fields


def whole_number(text: str, name: str) -> int:
    """A number of a path or a query.

    Raises:
        InvalidInputError: It is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise InvalidInputError(f"{name} must be a whole number.", name)
    return int(text)


def json_field(fields: Mapping[str, Any], name: str, kind: type, *, required: bool = False) -> Any:
    """A field of a request's body, or `None` when it is null or missing.

    Raises:
        InvalidInputError: It is of another kind, or required and missing.
    """
    value = fields.get(name)
    if value is None and not required:
        return None
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of numbers
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InvalidInputError(f"{name} must be {'a string' if kind is str else 'an integer'}.", name)
    if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
        raise InvalidInputError(f"{name} is too large.", name)
    return value


def array_field(fields: Mapping[str, Any], name: str) -> list[Any]:
    """An array of a request's body; empty when it is null or missing.

    Raises:
        InvalidInputError: It is something else.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, list):
        raise InvalidInputError(f"{name} must be an array.", name)
    return value or []
