"""Text of taps and servers as one printable line, which moves no cursor and forges no line of a log.

Everything that is logged goes through here last, whatever the log's configuration is, so no message needs to
care. Escapes are those of JSON: an example that is copied from a message still is JSON.
"""

from __future__ import annotations

import copy
import json
import logging
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

MASK: Final = "***"
MOST_CHARACTERS: Final = 4_000
# How much of a message is kept where the whole line is too long. The last one fits even where every character
# of it is written as twelve, as JSON logs do.
_SHORTENED_CHARACTERS: Final = (3_700, 1_000, 250)
_NAMED: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

_secrets: list[str] = []


def keep_secret(secret: str) -> None:
    """Mask a text from here on wherever it is logged or shown, also as JSON, Python and URLs write it."""
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret, safe="")):
        if form and form not in _secrets:
            _secrets.append(form)


def printable(text: str, secrets: Iterable[str] | None = None) -> str:
    """Text on one line without control, format and unassigned characters, and without secrets.

    Args:
        text: Anything.
        secrets: What is masked; by default what `keep_secret` was given.
    """
    for secret in _secrets if secrets is None else secrets:
        if secret in text:
            text = text.replace(secret, MASK)
    return text if text.isprintable() else "".join(map(_escaped, text))


def shortened(text: str, most_characters: int = MOST_CHARACTERS) -> str:
    """Text of at most so many characters (at least 40); the end says how much is left out."""
    if len(text) <= most_characters:
        return text
    # The mark is longest where it counts everything.
    kept = most_characters - len(_mark(len(text)))
    return text[:kept] + _mark(len(text) - kept)


def _mark(count: int) -> str:
    return f"… [{count:,} more characters]"


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    if character in _NAMED:
        return _NAMED[character]
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


class PrintableFormatter(logging.Formatter):
    """Formats with another formatter, and makes the outcome one printable line of bounded length.

    Args:
        inner: The other formatter.
    """

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        """One line of at most 4,000 characters; a line of JSON stays JSON."""
        line = printable(self._inner.format(record))
        for most_characters in _SHORTENED_CHARACTERS:
            if len(line) <= MOST_CHARACTERS:
                return line
            line = printable(self._inner.format(_shortened_record(record, most_characters)))
        return shortened(line)


def _shortened_record(record: logging.LogRecord, most_characters: int) -> logging.LogRecord:
    """A record with a shorter message, which has the traceback at its end, if there is one."""
    said = record.getMessage()
    if record.exc_info:
        said = f"{said}\n{logging.Formatter().formatException(record.exc_info)}"
    short = copy.copy(record)
    short.msg, short.args = shortened(printable(said), most_characters), None
    short.exc_info = short.exc_text = short.stack_info = None
    return short


def guard_logs() -> None:
    """Make every handler that there is write printable lines, those of the user's own configuration too."""
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    handlers = [handler for each in loggers if isinstance(each, logging.Logger) for handler in each.handlers]
    for handler in (*handlers, logging.lastResort):
        if handler is not None and not isinstance(handler.formatter, PrintableFormatter):
            handler.setFormatter(PrintableFormatter(handler.formatter))
