"""What a schema's references add up to: some multiply until no validator comes to an end. Pure.

Validators can't be interrupted, so such a schema is refused before the first record.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from target_databox.records.keywords import ALL, AT_THE_SAME, inner_schemas
from target_databox.records.references import definition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

# What references may add: a millisecond for a value.
MOST_SCHEMAS: Final = 10_000
ENDLESS: Final = (
    "its references multiply, or lead back to where they began, so that no validator would ever be done with "
    "a value. Ask the tap for a schema that ends."
)


class Expansion:
    """What becomes of a schema where references are replaced by what they refer to.

    Args:
        schema: The whole, as `modern` gives it.

    Attributes:
        is_endless: Whether far too many of its schemas look at one and the same value, each counted as often
            as it is come by; so it is where one leads back to itself without going on to a part of the value.
        is_vast: The same, counted with the schemas of the value's parts; so is every recursive schema.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._at_one_value: dict[int, float] = {}
        in_all: dict[int, float] = {}
        self.is_vast = self._count(schema, in_all, parts_too=True) > len(in_all) + MOST_SCHEMAS
        self.is_endless = max(self._at_one_value.values()) > MOST_SCHEMAS

    def _count(self, node: Any, known: dict[int, float], *, parts_too: bool) -> float:
        """How many schemas are come by from here; infinite while it is being counted already."""
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
