"""The one error of settings: it lists everything that is wrong with them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class SettingsError(ValueError):
    """The settings can't be used; the message lists everything that is wrong with them.

    Attributes:
        problems: One sentence for each problem, without the key's value.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(map(_printable, problems))
        super().__init__(
            "The settings can't be used:\n" + "\n".join(f"- {problem}" for problem in self.problems)
        )


def _printable(text: str) -> str:
    """Text on one line that any terminal can show, whatever was written into a setting."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
