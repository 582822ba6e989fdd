"""Pipes, sockets and terminals that nobody reads: how to make them, and how to fill them up."""

from __future__ import annotations

import os
import socket
import stat


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
            for size in (4096, 1):
                try:
                    while True:
                        theirs.send(b"\n" * size, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    continue
        return
    # Opened once more, since not to block is a property of the open file that processes share.
    own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    for size in (4096, 1):
        try:
            while True:
                os.write(own, b"\n" * size)
        except BlockingIOError:
            continue
    os.close(own)
