"""Reads what the JSON of all API versions has in common: the envelope, problems, status words, counts.

A field that can't be read counts as unknown; it never makes the whole response unreadable. The amount that is
read is bounded, since a server may send anything.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec

from target_databox.api.values import MOST_PROBLEMS, ApiProblem, IngestionStatus

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# Ids become path segments; Databox's are UUIDs and numbers (D, O).
MOST_ID_CHARACTERS: Final = 255
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_ID_CHARACTERS)]
# Lines of one page. Requests ask for at most 100; a list without pages may be longer.
MOST_LINES: Final = 10_000
Page = msgspec.Meta(max_length=MOST_LINES)
# Longest body of a failed response, and longest body that is given to Python's slower, more lenient parser.
MOST_FAILED_BYTES: Final = 1_000_000
MOST_ODD_BYTES: Final = 4_000_000
# More than any title that can be found (255 characters).
MOST_TEXT_CHARACTERS: Final = 1_000
MOST_NAMES: Final = 10_000
_INTEGER_DIGITS: Final = 18

# Status words of an ingestion *event*. D: `success`; 3: `processing`; O: `completed`, `failed`, in v2
# `purged`; the rest A. With any other word the ingestion is done once its counts add up to the rows sent;
# until then it is pending, as long as the caller waits.
PENDING_WORDS: Final = frozenset({"processing", "pending", "queued", "running", "in_progress", "accepted"})
DONE_WORDS: Final = frozenset({"success", "completed"})
FAILED_WORDS: Final = frozenset({"failed", "error", "purged", "cancelled", "canceled", "aborted"})

# Above this a JSON number may have lost digits: some parsers read it as a double.
MOST_COUNTED: Final = 2**53
LONGEST_WORD_CHARACTERS: Final = 40
_COUNT_TEXT: Final = re.compile(r"([0-9]{1,15})(?:\.0+)?")


class Envelope(msgspec.Struct, rename="camel"):
    """The fields that every response has (D)."""

    request_id: Any = None
    status: Any = None
    errors: Any = None


ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def read(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """Decode a response.

    Raises:
        ValueError: It is not the documented JSON, or is nested too deeply to be read.
    """
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        if len(payload) > MOST_ODD_BYTES:
            raise ValueError(str(exc)) from exc
    try:
        # Try Python's lenient parser: NaN, endless numbers or invalid UTF-8 must not hide the rest.
        value = json.loads(payload.decode("utf-8-sig", "replace"), parse_int=_integer)
        return msgspec.convert(_writable(value), decoder.type)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def envelope_of(payload: bytes) -> Envelope:
    """The envelope of a failed response; empty if the body is too long, HTML or anything else."""
    if len(payload) > MOST_FAILED_BYTES:
        return Envelope()
    try:
        return read(ENVELOPE, payload)
    except ValueError:
        return Envelope()


def _writable(value: Any) -> Any:
    """A JSON value without lone surrogates, which can neither be logged nor sent."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_writable(each) for each in value]
    if isinstance(value, dict):
        return {_writable(name): _writable(each) for name, each in value.items()}
    return value


def _integer(text: str) -> float:
    # Python refuses integers of more than 4,300 digits; no count has that many.
    return int(text) if len(text) <= _INTEGER_DIGITS else float(text)


def problems(errors: Any, clean: Callable[[object], str | None]) -> tuple[ApiProblem, ...]:
    """The first thousand entries of an `errors` list (D), whatever their shape.

    A rejected row that an entry contains (v2, O) becomes `record`.

    Args:
        errors: The value of `errors` in the response.
        clean: Makes text safe to log.
    """
    if not errors:
        return ()
    entries = errors[:MOST_PROBLEMS] if isinstance(errors, list) else [errors]
    return tuple(
        ApiProblem(
            clean(entry.get("code")),
            clean(entry.get("message")),
            clean(entry.get("field")),
            clean(entry.get("type")),
            entry.get("record"),
        )
        if isinstance(entry, dict)
        else ApiProblem(None, clean(entry), None, None)
        for entry in entries
    )


def status_of(word: object) -> IngestionStatus:
    """What a status word means, ignoring case and surrounding blanks; `UNKNOWN` for any other word."""
    known = _plain(word)
    if known in DONE_WORDS:
        return IngestionStatus.DONE
    if known in FAILED_WORDS:
        return IngestionStatus.FAILED
    return IngestionStatus.PENDING if known in PENDING_WORDS else IngestionStatus.UNKNOWN


def word_of(word: object, clean: Callable[[object], str | None]) -> str | None:
    """A status word for a message, at most 40 characters; None if there is none.

    Args:
        word: The value of `status` in the response.
        clean: Makes text safe to log.
    """
    if status_of(word) is not IngestionStatus.UNKNOWN:
        return _plain(word)
    shown = clean(word)
    if shown is None or len(shown) <= LONGEST_WORD_CHARACTERS:
        return shown
    return f"{shown[: LONGEST_WORD_CHARACTERS - 1]}…"


def count_of(value: object) -> int | None:
    """A count, also as a float without fraction (`100.0`) or as text (`"100"`); None for anything else."""
    if isinstance(value, str):
        found = _COUNT_TEXT.fullmatch(value.strip())
        return int(found[1]) if found else None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    is_count = 0 <= value <= MOST_COUNTED and value == int(value)
    return int(value) if is_count else None


def field(value: object, name: str) -> object:
    """A field of a JSON object; None if the value is not an object or lacks the field."""
    return value.get(name) if isinstance(value, dict) else None


def text(value: object) -> str | None:
    """The first thousand characters of a text; None for anything else."""
    return value[:MOST_TEXT_CHARACTERS] if isinstance(value, str) else None


def names(value: object) -> tuple[str, ...] | None:
    """A list of non-empty names, at most 10,000; None for anything else."""
    is_list_of_names = (
        isinstance(value, list)
        and len(value) <= MOST_NAMES
        and all(isinstance(name, str) and name for name in value)
    )
    return tuple(value) if is_list_of_names else None  # type: ignore[arg-type] # seen to be a list


def column_types(schema: object, name: str) -> dict[str, str]:
    """Column types by column name, without those that can't be read.

    Args:
        schema: A list of objects.
        name: The field with the column's name; its type is in `dataType`.
    """
    lines = schema[:MOST_NAMES] if isinstance(schema, list) else []
    pairs = ((text(field(line, name)), text(field(line, "dataType"))) for line in lines)
    return {column: data_type for column, data_type in pairs if column and data_type}


def _plain(word: object) -> str:
    return word.strip().lower() if isinstance(word, str) else ""
