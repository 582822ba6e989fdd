"""Pipes, sockets and terminals that nobody reads: how to make them, and how to fill them up."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def pair_of(kind: str) -> tuple[int, int]:
    """Something empty to write to: descriptors of its end to read, which nobody does, and to write."""
    if kind == "socket":
        ours, theirs = socket.socketpair()
        return ours.detach(), theirs.detach()
    reading, writing = os.openpty() if kind == "terminal" else os.pipe()
    os.set_blocking(writing, kind != "non-blocking pipe")
    return reading, writing


KINDS = ["pipe", "non-blocking pipe", "socket", "terminal"]


def stuff(descriptor: int) -> None:
    """Fill up what is open there until nothing more is taken; how others write to it stays as it is."""
    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        with socket.socket(fileno=os.dup(descriptor)) as theirs:
            _fill(lambda data: theirs.send(data, socket.MSG_DONTWAIT))
        return
    # Opened once more, since not to block is a property of the open file that processes share.
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    _fill(lambda data: os.write(own, data))
    while os.isatty(own):
        # What a terminal has taken moves on in a moment, and leaves room for as much.
        time.sleep(0.03)
        if not _fill(lambda data: os.write(own, data)):
            break
    os.close(own)


def _fill(write: Callable[[bytes], int]) -> int:
    """Write until nothing more is taken; how many bytes were."""
    taken_bytes = 0
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                taken_bytes += write(b"\n" * size)
    return taken_bytes
