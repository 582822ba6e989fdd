"""Says whether a path can be the rejects file, so that a run refuses a wrong one before it reads."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import msgspec

from target_databox.singer.messages import is_json

# A line of the file holds a line of input, at most 64 MB, and in base64 a third more.
MOST_LINE_BYTES: Final = 128_000_000
MOST_SHOWN_CHARACTERS: Final = 200
# What others may do with a file.
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
# Never waits for the other end of a FIFO, and never makes a terminal the process's own.
OPENING: Final = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

# A column may be called so too: what was said of a record begins with its reason.
_REJECTED: Final = re.compile(rb'"rejected"\s*:\s*\{\s*"reason"')
_CUT_SCHEMA: Final = re.compile(rb'\s*\{.*"type"\s*:\s*"SCHEMA"', re.DOTALL)
_OTHER_FILE: Final = "It is left as it is. Name a new file, or one that target-databox has written"


class _Message(msgspec.Struct):
    type: str = ""
    stream: str = ""


_decode: Final = msgspec.json.Decoder(_Message).decode


@dataclass(frozen=True)
class Found:
    """What is at a path.

    Attributes:
        problem: Why it can't be the rejects file, as a clause that follows `rejects_path`; empty if it can.
        records: Rejected records that it holds.
        cut_line: Number of the first line that a killed run left incomplete; 0 for none.
    """

    problem: str = ""
    records: int = 0
    cut_line: int = 0


def shown_path(path: Path | str) -> str:
    """A path as a message repeats it: an endless one is cut."""
    text = str(path)
    return text if len(text) <= MOST_SHOWN_CHARACTERS else f"{text[:MOST_SHOWN_CHARACTERS]}…"


def look_at(path: Path) -> Found:
    """What is at a path; nothing is changed or made.

    Args:
        path: A file that exists or not, relative to the working directory.
    """
    shown = shown_path(path)
    try:
        status = path.stat()
    except FileNotFoundError:
        return Found(_directory_problem(path))
    except ValueError:
        return Found("must be a path; it holds a NUL or half a surrogate pair")
    except OSError as error:
        return Found(f"can't be used: {shown}: {error.strerror}. Name another file")
    kind = _kind(status.st_mode)
    if kind:
        return Found(f"must be a regular file; {shown} is {kind}. Name a file in a directory that exists")
    if status.st_mode & OTHERS and os.geteuid() not in (0, status.st_uid):
        return Found(
            f"names {shown}, which others can read and which belongs to another user. Its owner must make it "
            "readable by its owner only (chmod 600); or name another file"
        )
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | OPENING)
    except OSError as error:
        return Found(f"can't be read and written: {shown}: {error.strerror}. Check its permissions")
    try:
        with os.fdopen(descriptor, "rb") as file:
            return _content(file, shown)
    except OSError as error:
        return Found(f"can't be read: {shown}: {error.strerror}. Name another file")


def _directory_problem(path: Path) -> str:
    """What keeps a file from being made; a link to nothing is made where it leads."""
    directory = Path(os.path.realpath(path)).parent
    shown = shown_path(path)
    try:
        if not directory.is_dir():
            where = shown_path(directory)
            return f"{shown} is in {where}, which does not exist. Name a file in a directory that exists"
    except OSError as error:
        return f"can't be used: {shown}: {error.strerror}. Name another file"
    if not os.access(directory, os.W_OK | os.X_OK):
        where = shown_path(directory)
        return f"{shown} can't be made: no permission to write in {where}. Name a file in another directory"
    return ""


def _kind(mode: int) -> str:
    """What is no regular file, in words."""
    if stat.S_ISREG(mode):
        return ""
    kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _content(file: IO[bytes], shown: str) -> Found:
    """What a file holds; only a file that begins as the rejects file does is read to its end."""
    records = cut_line = number = 0
    is_begun = False
    while line := file.readline(MOST_LINE_BYTES if is_begun or _may_begin(file) else 1):
        number += 1
        if not line.strip():
            continue
        kind = _kind_of_message(line)
        if not is_begun and kind != "SCHEMA" and not _is_cut(line, _CUT_SCHEMA):
            return Found(f"names {shown}, which is not a rejects file. {_OTHER_FILE}")
        is_begun = True
        if kind in ("STATE", "BATCH", "ACTIVATE_VERSION"):
            return Found(f"names {shown}, which holds the output of a tap. {_OTHER_FILE}")
        records += bool(_REJECTED.search(line))
        if not kind and not cut_line and _is_cut(line):
            cut_line = number
    if is_begun and not records and not cut_line:
        return Found(f"names {shown}, which holds no rejected record. {_OTHER_FILE}")
    return Found(records=records, cut_line=cut_line)


def _may_begin(file: IO[bytes]) -> bool:
    """Whether the next line could be a message; a file of gigabytes without lines is never read whole."""
    return file.peek(1)[:1] in (b"{", b"\n", b"\r", b" ", b"\t")  # type: ignore[attr-defined] # buffered


def _kind_of_message(line: bytes) -> str:
    try:
        message = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return message.type if message.stream or message.type == "STATE" else ""


def _is_cut(line: bytes, begin: re.Pattern[bytes] = re.compile(rb"\s*\{")) -> bool:
    """Whether a line is the beginning of a message alone, as a run that was killed leaves it."""
    return begin.match(line) is not None and not is_json(line)
