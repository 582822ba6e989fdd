"""The one error of settings: it lists everything that is wrong with them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.settings.secrets import masked

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class SettingsError(ValueError):
    """The settings can't be used; the message lists everything that is wrong with them.

    Attributes:
        problems: One sentence for each problem, without anything that is a key or looks like one.

    Args:
        problems: One sentence for each problem.
        secrets: Keys that are known, and that may stand where they don't belong.
    """

    def __init__(self, problems: Iterable[str], secrets: Collection[str] = ()) -> None:
        self.problems = tuple(_printable(masked(problem, secrets)) for problem in problems)
        super().__init__(
            "The settings can't be used:\n" + "\n".join(f"- {problem}" for problem in self.problems)
        )


def _printable(text: str) -> str:
    """Text on one line that any terminal can show, whatever a setting holds."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
