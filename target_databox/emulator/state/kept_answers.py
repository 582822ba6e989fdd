"""Keeps the first successful answer for each `Idempotency-Key`: a request sent again does nothing again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.emulator.state.errors import KeyReusedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator.state.database import Database

KEPT_SECONDS = 24 * 3600.0  # grade O


class KeptAnswers:
    """Answers by scope: user, account, route, resource and key.

    Args:
        database: Where they are kept.
        clock: Returns the time, in seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def find(self, scope: str, given: str) -> bytes | None:
        """The kept answer, or `None` when the request is to be carried out.

        Args:
            scope: User, account, route, resource and key, as one text.
            given: The request's input, as one text.

        Raises:
            KeyReusedError: The key came before with other input.
        """
        row = self._database.first(
            "SELECT input, answer FROM kept_answers WHERE scope = ? AND until > ?", scope, self._clock()
        )
        if row is None:
            return None
        if row["input"] != given:
            raise KeyReusedError("This Idempotency-Key was used with other input.", "Idempotency-Key")
        answer: bytes = row["answer"]
        return answer

    def keep(self, scope: str, given: str, answer: bytes) -> None:
        """Keep a successful answer for 24 hours.

        Args:
            scope: User, account, route, resource and key, as one text.
            given: The request's input, as one text.
            answer: The answer's body.
        """
        now = self._clock()
        self._database.run("DELETE FROM kept_answers WHERE until <= ?", now)
        self._database.run(
            "INSERT OR REPLACE INTO kept_answers VALUES (?, ?, ?, ?)",
            scope,
            given,
            answer,
            now + KEPT_SECONDS,
        )
