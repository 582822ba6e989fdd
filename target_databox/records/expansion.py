"""How large a schema becomes by its references: some multiply without end. Pure.

A validator can't be interrupted, so such a schema is refused before the first record.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from target_databox.records.keywords import ALL, AT_THE_SAME, inner_schemas
from target_databox.records.references import definition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# Schemas that references may add; a validator needs a millisecond for so many.
MOST_SCHEMAS: Final = 10_000
ENDLESS: Final = (
    "its references multiply, or lead back to where they began, so that no validator would ever be done with "
    "a value. Ask the tap for a schema that ends."
)


class Expansion:
    """The size of a schema when each reference is replaced by what it refers to.

    Args:
        schema: The whole schema, as `modern` returns it.

    Attributes:
        is_endless: Whether far too many schemas apply to one value, each counted every time it is reached;
            also true where a schema leads back to itself without moving on to a part of the value.
        is_vast: The same, with the schemas of the value's parts counted too; true for recursive schemas.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._at_one_value: dict[int, float] = {}
        in_all: dict[int, float] = {}
        self.is_vast = self._count(schema, in_all, parts_too=True) > len(in_all) + MOST_SCHEMAS
        self.is_endless = max(self._at_one_value.values()) > MOST_SCHEMAS

    def _count(self, node: Any, known: dict[int, float], *, parts_too: bool) -> float:
        """How many schemas are reached from here; infinite for one that is still being counted."""
        if not isinstance(node, dict):
            return 1.0
        if id(node) not in known:
            known[id(node)] = math.inf
            inner = [each for _, each in inner_schemas(node, ALL if parts_too else AT_THE_SAME)]
            reference = node.get("$ref")
            if isinstance(reference, str):
                inner.append(definition_of(self._schema, reference))
            known[id(node)] = 1.0 + sum(self._count(each, known, parts_too=parts_too) for each in inner)
            if parts_too:
                self._count(node, self._at_one_value, parts_too=False)
        return known[id(node)]
