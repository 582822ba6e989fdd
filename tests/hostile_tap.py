"""A tap with one bad habit: what it writes to a file, and what files it leaves for the target to read."""

from __future__ import annotations

import gzip
import os
from typing import TYPE_CHECKING, Any

from tests.command import record, schema, state, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NASTY = "\x1b]0;x\x07\x1b[2J\n2026-01-01 | ERROR | forged \u202e\x9b31m"
DEEP = b"[" * 200_000 + b"]" * 200_000
RECORD = b'{"type":"RECORD","stream":"orders","record":{"id":%b}}\n'

SCHEMA = b'{"type":"SCHEMA","stream":"a","key_properties":[],"schema":{"properties":{"a":{"enum":%b}}}}\n'


def batch(address: Path | str, *, is_packed: bool = False) -> dict[str, Any]:
    """A BATCH message of one file."""
    encoding = {"format": "jsonl", **({"compression": "gzip"} if is_packed else {})}
    return {"type": "BATCH", "stream": "orders", "encoding": encoding, "manifest": [str(address)]}


def fifo(folder: Path) -> bytes:
    """A file of a BATCH that is a pipe nobody writes to."""
    os.mkfifo(folder / "pipe")
    return text(batch(folder / "pipe"))


def packed(line: bytes, times: int) -> Callable[[Path], bytes]:
    """A small file of a BATCH that unpacks to something large, without line ends."""

    def write(folder: Path) -> bytes:
        (folder / "file.gz").write_bytes(gzip.compress(line) * times)
        return text(batch(folder / "file.gz", is_packed=True))

    return write


def plain(content: bytes) -> Callable[[Path], bytes]:
    """A file of a BATCH."""

    def write(folder: Path) -> bytes:
        (folder / "file").write_bytes(content)
        return text(batch(folder / "file"))

    return write


def wide(count: int) -> dict[str, Any]:
    """A record of many values."""
    return record(**{f"c{each}": each for each in range(count)})


# What stands between a good record and the last STATE, by name.
HABITS: dict[str, Callable[[Path], bytes]] = {
    "a line of 1 GB": lambda _: bytes(1_000_000_000),
    "brackets": lambda _: b"[" * 60_000_000,
    "objects without end": lambda _: b'{"a":' * 12_000_000,
    "empty lists": lambda _: b"[" + b"[]," * 20_000_000 + b"[]]\n",
    "quotes": lambda _: b'"' * 60_000_000,
    "a record that is deep": lambda _: RECORD % DEEP,
    "a SCHEMA that is deep": lambda _: (
        b'{"type":"SCHEMA","stream":"a","key_properties":[],"schema":{"properties":{"a":{"enum":%b}}}}\n'
        % DEEP
    ),
    "a STATE that is deep": lambda _: b'{"type":"STATE","value":{"a":%b}}\n' % DEEP,
    "a number of digits": lambda _: RECORD % (b"9" * 10_000_000),
    "a record of 300,000 columns": lambda _: text(wide(300_000)),
    "a stream of a long name": lambda _: text(schema("x" * 1_000_000), record("x" * 1_000_000, id=1)),
    "nasty names": lambda _: text(
        schema(NASTY, keys=[NASTY], **{NASTY: {"type": "string"}}), record(NASTY, **{NASTY: NASTY})
    ),
    "nasty keys": lambda _: text(schema(NASTY, keys=[NASTY, NASTY + "2"])),
    "nasty type": lambda _: text({"type": NASTY, "stream": NASTY}),
    "nasty address": lambda _: text(batch(f"file:///{NASTY}")),
    "nasty format": lambda _: text(
        {**batch("x"), "encoding": {"format": NASTY, "compression": NASTY * 9_000}}
    ),
    "a pipe as a file": fifo,
    "a device as a file": lambda _: text(batch("/dev/zero")),
    "a foreign address": lambda _: text(batch("http://127.0.0.1:1/x")),
    "another stream in a file": plain(b'{"id":2},"stream":"other"\n'),
    "a file of brackets": plain(b"[" * 60_000_000),
    "a packed line of 1 GB": packed(bytes(1_000_000), 1_000),
    "a packed line of brackets": packed(b"[" * 1_000_000, 60),
    "packed objects": packed(b'{"a":' * 200_000, 60),
}


def messages(name: str, folder: Path) -> bytes:
    """What a tap with this habit writes: a good beginning, the habit, and a STATE that must not pass it."""
    return text(schema(), record(id=1, name="a"), state(at=1)) + HABITS[name](folder) + text(state(at=2))
