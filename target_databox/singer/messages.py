"""Lines as Singer messages, with every digit and every error kept."""

from __future__ import annotations

import base64
import json
import re
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

# Levels of objects and arrays that every version of Python can read.
READABLE_LEVELS: Final = 100

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"

# A longer line that is nested too deeply is no record that could be loaded; to find its stream takes long.
MOST_SEARCHED_BYTES: Final = 1_000_000

# What gives JSON its levels; a quote alone begins text without an end.
_BRACKETS_AND_TEXTS: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}"]', re.DOTALL)
_CLOSING: Final = {b"[": b"]", b"{": b"}"}

# Any line of JSON; fractions are Decimals.
decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
# Broken JSON, bytes that are not UTF-8, depth without end, an exponent of twenty digits.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError, InvalidOperation)


class _StateMessage(msgspec.Struct):
    value: msgspec.Raw


_state_decoder = msgspec.json.Decoder(_StateMessage)


class InputError(ValueError):
    """A line is not a Singer message, or makes no sense in its place. Never quotes the line."""


class UnreadableRecordError(ValueError):
    """A line is a RECORD message whose values can't be read.

    Attributes:
        stream: The stream that it names.
        code: `not_utf8`, `nan`, `lone_surrogate`, `too_deep`, `no_object` or `unreadable`.
    """

    def __init__(self, stream: str, code: str, message: str) -> None:
        super().__init__(message)
        self.stream = stream
        self.code = code
        self.message = message


def message(line: bytes) -> dict[str, Any]:
    """One message; fractions are Decimals.

    Raises:
        UnreadableRecordError: It is a RECORD whose values can't be read.
        InputError: It is no message.
    """
    try:
        decoded = decode(line)
    except UNREADABLE:
        raise _unreadable(line) from None  # the cause may quote the line
    if not isinstance(decoded, dict) or not isinstance(decoded.get("type"), str):
        raise InputError("is not a Singer message: it has no type.")
    return decoded


def require(message: Mapping[str, Any], *names: str) -> None:
    """Make sure that a message has its members.

    Raises:
        InputError: One is missing.
    """
    missing = [name for name in names if name not in message]
    if missing:
        raise InputError(f"is a {message['type']} without {' and '.join(missing)}.")


def stream_of(message: Mapping[str, Any]) -> str:
    """The stream that a message names.

    Raises:
        InputError: It names none.
    """
    stream = message.get("stream")
    if not isinstance(stream, str) or not stream.strip():
        raise InputError(f"is a {message['type']} that names no stream.")
    return stream


def record_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a RECORD message.

    Raises:
        UnreadableRecordError: It is not an object, or there is none.
        InputError: The message names no stream either.
    """
    record = message.get("record")
    if not isinstance(record, dict):
        what = "is null" if record is None else "is not an object"
        raise UnreadableRecordError(
            stream_of(message), "no_object", f"its record {what if 'record' in message else 'is missing'}"
        )
    return record


def declaration(message: Mapping[str, Any]) -> tuple[str, dict[str, Any], list[str]]:
    """Stream, schema and keys of a SCHEMA message.

    Raises:
        InputError: One of them is missing or makes no sense.
    """
    stream, schema = stream_of(message), message.get("schema")
    if schema is True:  # a schema that fits everything
        schema = {}
    if not isinstance(schema, dict):
        raise InputError(
            f"is a SCHEMA of stream '{stream}' whose schema is not an object. Ask the tap for a JSON Schema."
        )
    keys = message.get("key_properties")
    keys = [] if keys is None else keys
    if not isinstance(keys, list) or not all(isinstance(key, str) and key.strip() for key in keys):
        raise InputError(
            f"is a SCHEMA of stream '{stream}' whose key_properties are not a list of names. Ask the tap for "
            "the names of properties, or for an empty list where the stream has no keys."
        )
    return stream, schema, list(dict.fromkeys(keys))


def state_value(line: bytes) -> bytes:
    """The value of a STATE message, as it came."""
    return bytes(_state_decoder.decode(line).value).strip()


def _read_as_it_may_be(line: bytes, *, is_too_deep: bool = False) -> tuple[Any, bool]:
    """What a line holds that is JSON but for some of its values, and whether it is nested too deeply.

    Raises:
        InputError: It is no JSON at all.
    """
    try:
        # A number of five thousand digits is JSON, too.
        return json.loads(line.decode("utf-8", "surrogateescape"), parse_int=str), is_too_deep
    except RecursionError:
        if len(line) > MOST_SEARCHED_BYTES:
            return None, True
        return _read_as_it_may_be(_without_depths(line), is_too_deep=True)
    except ValueError:
        raise InputError("is not valid JSON; was the tap cut off, or is this no tap's output?") from None


def _unreadable(line: bytes) -> Exception:
    """Tell a RECORD with bad values from a line that is no message."""
    try:
        decoded, is_too_deep = _read_as_it_may_be(line)
    except InputError as error:
        return error
    if (
        not isinstance(decoded, dict)
        or decoded.get("type") != "RECORD"
        or not isinstance(decoded.get("stream"), str)
    ):
        what = "is nested too deeply" if is_too_deep else "holds text or numbers that JSON does not allow"
        return InputError(f"{what}.")
    stream = decoded["stream"]
    if is_too_deep:
        return UnreadableRecordError(stream, "too_deep", "it is nested too deeply to be read")
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return UnreadableRecordError(stream, "not_utf8", "it holds bytes that are not UTF-8")
    if not is_json(line):
        return UnreadableRecordError(stream, "nan", "it holds NaN or an infinity, which JSON does not know")
    try:
        json.dumps(decoded, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return UnreadableRecordError(
            stream, "lone_surrogate", "it holds half of a surrogate pair, which is no text"
        )
    return UnreadableRecordError(stream, "unreadable", "its JSON can't be read")


def _without_depths(line: bytes) -> bytes:
    """A line with null for what is nested too deeply; nothing is left of one whose brackets do not match."""
    kept: list[bytes] = []
    begin = 0
    closing: list[bytes] = []
    for match in _BRACKETS_AND_TEXTS.finditer(line):
        mark = match[0]
        if mark in _CLOSING:
            if len(closing) == READABLE_LEVELS:
                kept += line[begin : match.start()], b"null"
            closing.append(_CLOSING[mark])
        elif mark in (b"]", b"}"):
            if not closing or closing.pop() != mark:
                return b""
            if len(closing) == READABLE_LEVELS:
                begin = match.end()
        elif mark == b'"':
            return b""
    return b"" if closing else b"".join((*kept, line[begin:]))


def record_line(stream: str, text: bytes) -> bytes:
    """The line of a RECORD message around the text of a record, which stays as it is."""
    return b'{"type":"RECORD","stream":' + msgspec.json.encode(stream) + b',"record":' + text + b"}"


def record_message(stream: str, text: bytes) -> dict[str, Any]:
    """The RECORD message around the text of a record.

    The text is read alone: more than a value would make another message of the whole line.

    Raises:
        UnreadableRecordError: The record's values can't be read.
        InputError: It is not the text of one JSON value.
    """
    try:
        return {"type": "RECORD", "stream": stream, "record": decode(text)}
    except UNREADABLE:
        _read_as_it_may_be(text)
    raise _unreadable(record_line(stream, text))


def is_json(line: bytes) -> bool:
    """Whether a line is JSON text in itself, whatever its strings hold."""
    try:
        json.loads(line.decode("utf-8"), parse_constant=_refuse, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def kept_line(decoded: Mapping[str, Any]) -> bytes | None:
    """The line that a rejected record was kept as, where that was no JSON text; None for any other message.

    One whose record somebody has filled in is corrected, and counts as it is.

    Raises:
        InputError: What was kept is not base64.
    """
    rejected = decoded.get("rejected")
    if not isinstance(rejected, dict) or not isinstance(rejected.get("line"), str) or decoded.get("record"):
        return None
    try:
        return base64.b64decode(rejected["line"], validate=True)
    except ValueError:
        raise InputError("holds a rejected record whose kept line is not base64.") from None


def _refuse(constant: str) -> None:
    raise ValueError(constant)
