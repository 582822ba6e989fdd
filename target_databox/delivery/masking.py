"""Removes the values of rows from the API's messages about them, so that no log and no error contains one."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from target_databox.api.errors import DataboxError
from target_databox.api.values import Accepted, Ingestion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from target_databox.api.values import ApiProblem
    from target_databox.delivery.rows import Row

MASK: Final = "***"
# A message may quote only a piece of a value; pieces shorter than this match too much by chance.
PIECE_CHARACTERS: Final = 4
# Most comparisons for one response, which take some seconds. Comparing a word with all values counts as one
# comparison for every CHARACTERS_A_LOOK characters of the values.
MOST_LOOKS: Final = 15_000_000
CHARACTERS_A_LOOK: Final = 100
_WORD: Final = re.compile(r"[^\s\"'`,;:()\[\]{}<>=]+")


def masked(answer: object, rows: Iterable[Row]) -> object:
    """A response, or an error, without the values of the rows that it is about.

    Args:
        answer: The response to a request about these rows, or its error, which is changed in place.
        rows: The rows that were sent.
    """
    if isinstance(answer, DataboxError) and answer.problems:
        original, answer.problems = answer.problems, _without(answer.problems, _Mask(rows))
        for problem, hidden in zip(original, answer.problems, strict=True):
            message = (problem.message or "").rstrip(".")
            if message:
                instead = (hidden.message or "").rstrip(".")
                answer.message = answer.message.replace(message, instead)
                answer.happened = answer.happened.replace(message, instead)
        answer.args = (answer.message,)
    elif isinstance(answer, Accepted) and answer.errors:
        return replace(answer, errors=_without(answer.errors, _Mask(rows)))
    elif isinstance(answer, Ingestion) and (answer.errors or " " in (answer.word or "")):
        mask = _Mask(rows)
        # A status of one word does not quote a row, and a row may contain that word by chance.
        word = mask(answer.word) if answer.word and " " in answer.word else answer.word
        return replace(answer, errors=_without(answer.errors, mask), word=word)
    return answer


class _Mask:
    """Masks the values of some rows in text, both whole values and pieces of them."""

    def __init__(self, rows: Iterable[Row]) -> None:
        values = {
            text for row in rows for text in _texts(json.loads(row.body, parse_float=str, parse_int=str))
        }
        self._values = sorted(values - {""}, key=len, reverse=True)
        self._all = "\n".join(self._values).casefold()
        self._looks = 0

    def __call__(self, text: str) -> str:
        # A long message about large rows would take too long to compare, so it is masked as a whole.
        self._looks += len(self._values)
        if self._looks > MOST_LOOKS:
            return MASK
        for value in self._values:
            if value in text:
                text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", MASK, text)
        return _WORD.sub(self._word, text)

    def _word(self, found: re.Match[str]) -> str:
        word = found[0].rstrip(".!?…")
        self._looks += len(self._all) // CHARACTERS_A_LOOK
        if len(word) >= PIECE_CHARACTERS and word.casefold() in self._all:
            return MASK + found[0][len(word) :]
        return found[0]


def _without(problems: tuple[ApiProblem, ...], mask: _Mask) -> tuple[ApiProblem, ...]:
    return tuple(replace(each, message=each.message and mask(each.message)) for each in problems)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
