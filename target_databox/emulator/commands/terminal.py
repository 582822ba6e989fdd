"""What was loaded, fit for a terminal: no name and no value moves the cursor or begins a new line."""

from __future__ import annotations

from typing import Final

WIDEST_NAME_CHARACTERS: Final = 200


def shown(text: str, most_characters: int = WIDEST_NAME_CHARACTERS) -> str:
    """Text on one line without control or format characters, cut with an ellipsis.

    Args:
        text: Anything.
        most_characters: How long it may be.
    """
    # No more is looked at than can be shown: a value may have a megabyte.
    line = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text[: most_characters + 1])
    return line if len(line) <= most_characters else line[: most_characters - 1] + "…"
