"""Names what became of keys that come back otherwise, so that their rows seem to be missing. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_databox.verification.moments import Instant
from target_databox.verification.normal import Number, key_parts, mark
from target_databox.verification.rules import Rule, variants

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Sequence


def key_changes(
    missing: Iterable[bytes], others: Sequence[bytes], columns: Sequence[str], zone: dt.tzinfo
) -> dict[str, Rule]:
    """Rules by column that lead from keys that are missing to keys that are only in Databox.

    Args:
        missing: Keys of some missing rows.
        others: Keys of some rows that are only in Databox.
        columns: The key's columns.
        zone: The time zone of date-times without an offset.
    """
    found: dict[str, Rule] = {}
    there = [[mark(part) for part in key_parts(key)] for key in others]
    for key in missing:
        parts = key_parts(key)
        own = [mark(part) for part in parts]
        made = [_made(part, zone) for part in parts]
        for marks in there:
            changed = [place for place, each in enumerate(marks) if each != own[place]]
            if changed and all(marks[place] in made[place] for place in changed):
                for place in changed:
                    found.setdefault(columns[place], made[place][marks[place]])
                break
    return found


def _made(part: Any, zone: dt.tzinfo) -> dict[int, Rule]:
    """The gentlest rule that makes of a key's value what has a mark."""
    if not isinstance(part, (str, int, Number, Instant)):
        return {}
    written = f"{part.at}Z" if isinstance(part, Instant) else part
    return {each: rule for rule, each in sorted(variants(written, part, zone), reverse=True)}
