"""What the JSON of all versions of the API has in common: the envelope, problems, status words, counts.

What can be read is read, the rest is not known, and none of it makes a good answer unreadable. How much of an
answer is read is bounded: a server may send anything.
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

# An id stands in paths; Databox's are UUIDs and numbers (D, O).
MOST_ID_CHARACTERS: Final = 255
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_ID_CHARACTERS)]
# Lines of a page, of which at most 100 are asked for. A list without pages may be longer.
MOST_LINES: Final = 10_000
Page = msgspec.Meta(max_length=MOST_LINES)
# What failed answers and those that only Python can read are worth.
MOST_FAILED_BYTES: Final = 1_000_000
MOST_ODD_BYTES: Final = 4_000_000
# Titles that can be found have at most 255 characters.
MOST_TEXT_CHARACTERS: Final = 1_000
MOST_NAMES: Final = 10_000
_INTEGER_DIGITS: Final = 18

# The status of an ingestion *event*. D: `success`; 3: `processing`; O: `completed`, `failed`, in v2 `purged`;
# the rest A. Another word is done where its counts add up to the rows sent, else pending until the caller's
# time is up.
PENDING_WORDS: Final = frozenset({"processing", "pending", "queued", "running", "in_progress", "accepted"})
DONE_WORDS: Final = frozenset({"success", "completed"})
FAILED_WORDS: Final = frozenset({"failed", "error", "purged", "cancelled", "canceled", "aborted"})

# From here on a JSON number has lost digits somewhere on its way.
MOST_COUNTED: Final = 2**53
LONGEST_WORD_CHARACTERS: Final = 40
_COUNT_TEXT: Final = re.compile(r"([0-9]{1,15})(?:\.0+)?")


class Envelope(msgspec.Struct, rename="camel"):
    """What every answer has beside its own fields (D)."""

    request_id: Any = None
    status: Any = None
    errors: Any = None


ENVELOPE: Final = msgspec.json.Decoder(Envelope)


def read(decoder: msgspec.json.Decoder[T], payload: bytes) -> T:
    """An answer of the expected kind.

    Raises:
        ValueError: It is not the documented JSON, or is nested too deeply to be read.
    """
    try:
        return decoder.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        if len(payload) > MOST_ODD_BYTES:
            raise ValueError(str(exc)) from exc
    try:
        # Once more as Python reads it: NaN, endless numbers or text that is not UTF-8 must not hide the rest.
        value = json.loads(payload.decode("utf-8-sig", "replace"), parse_int=_integer)
        return msgspec.convert(_writable(value), decoder.type)
    except (msgspec.MsgspecError, ValueError, RecursionError) as exc:
        raise ValueError(str(exc)) from exc


def envelope_of(payload: bytes) -> Envelope:
    """The envelope of a failed answer; an empty one when the body is too long, HTML or anything else."""
    if len(payload) > MOST_FAILED_BYTES:
        return Envelope()
    try:
        return read(ENVELOPE, payload)
    except ValueError:
        return Envelope()


def _writable(value: Any) -> Any:
    """A JSON value without halves of surrogate pairs, which could neither be logged nor sent."""
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, list):
        return [_writable(each) for each in value]
    if isinstance(value, dict):
        return {_writable(name): _writable(each) for name, each in value.items()}
    return value


def _integer(text: str) -> float:
    # Python refuses to read more than 4,300 digits, and nobody counts that far.
    return int(text) if len(text) <= _INTEGER_DIGITS else float(text)


def problems(errors: Any, clean: Callable[[object], str | None]) -> tuple[ApiProblem, ...]:
    """The first thousand entries of an `errors` list (D), whatever their shape.

    A row that one of them names (v2, O) comes along as `record`.

    Args:
        errors: What came under that name.
        clean: Makes text fit for a log.
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
    """What a status word means, whatever its case and the blanks around it; `UNKNOWN` for any other."""
    known = _plain(word)
    if known in DONE_WORDS:
        return IngestionStatus.DONE
    if known in FAILED_WORDS:
        return IngestionStatus.FAILED
    return IngestionStatus.PENDING if known in PENDING_WORDS else IngestionStatus.UNKNOWN


def word_of(word: object, clean: Callable[[object], str | None]) -> str | None:
    """A status word for a message, at most 40 characters; None when there is none.

    Args:
        word: What came under `status`.
        clean: Makes text fit for a log.
    """
    if status_of(word) is not IngestionStatus.UNKNOWN:
        return _plain(word)
    said = clean(word)
    if said is None or len(said) <= LONGEST_WORD_CHARACTERS:
        return said
    return f"{said[: LONGEST_WORD_CHARACTERS - 1]}…"


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
    """A field of what should be an object; None where it is none or has no such field."""
    return value.get(name) if isinstance(value, dict) else None


def text(value: object) -> str | None:
    """A text, at most a thousand characters of it; None for anything else."""
    return value[:MOST_TEXT_CHARACTERS] if isinstance(value, str) else None


def names(value: object) -> tuple[str, ...] | None:
    """A list of names; None for anything else, and for a list of thousands."""
    is_list_of_names = (
        isinstance(value, list)
        and len(value) <= MOST_NAMES
        and all(isinstance(name, str) and name for name in value)
    )
    return tuple(value) if is_list_of_names else None  # type: ignore[arg-type] # seen to be a list


def column_types(schema: object, name: str) -> dict[str, str]:
    """The types of columns, by the column's name; those that can't be read are left out.

    Args:
        schema: A list of objects.
        name: The field that names the column; its type is in `dataType`.
    """
    lines = schema[:MOST_NAMES] if isinstance(schema, list) else []
    told = ((text(field(line, name)), text(field(line, "dataType"))) for line in lines)
    return {column: data_type for column, data_type in told if column and data_type}


def _plain(word: object) -> str:
    return word.strip().lower() if isinstance(word, str) else ""
