"""Collects lines for the log while the engine's lock is held; the engine logs them after releasing it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["info", "warning"]


class Note(NamedTuple):
    """One line for the log.

    Attributes:
        level: The level of the line.
        text: The line, with `%s` and the like for its arguments.
        arguments: The arguments.
    """

    level: Level
    text: str
    arguments: tuple[object, ...]

    def __str__(self) -> str:
        return self.text % self.arguments


class Notes:
    """Lines for the log, in order."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    def info(self, text: str, *arguments: object) -> None:
        """Add a line about normal operation."""
        self._notes.append(Note("info", text, arguments))

    def warning(self, text: str, *arguments: object) -> None:
        """Add a line about a problem that the run handles by itself."""
        self._notes.append(Note("warning", text, arguments))

    def taken(self) -> list[Note]:
        """The lines added since the last call."""
        notes, self._notes = self._notes, []
        return notes
