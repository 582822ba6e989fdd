"""What a run has to say, collected while its lock is held and logged by the engine when it no longer is."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["info", "warning"]


class Note(NamedTuple):
    """One line for the log.

    Attributes:
        level: How it is logged.
        text: The line, with `%s` and the like for its arguments.
        arguments: What is put in.
    """

    level: Level
    text: str
    arguments: tuple[object, ...]

    def __str__(self) -> str:
        return self.text % self.arguments


class Notes:
    """Lines for the log, in their order."""

    def __init__(self) -> None:
        self._notes: list[Note] = []

    @property
    def are_waiting(self) -> bool:
        """Whether there is a line that nobody has taken."""
        return bool(self._notes)

    def info(self, text: str, *arguments: object) -> None:
        """Add a line about what goes as it should."""
        self._notes.append(Note("info", text, arguments))

    def warning(self, text: str, *arguments: object) -> None:
        """Add a line about what the run copes with by itself."""
        self._notes.append(Note("warning", text, arguments))

    def taken(self) -> list[Note]:
        """The lines added since the last call."""
        notes, self._notes = self._notes, []
        return notes
