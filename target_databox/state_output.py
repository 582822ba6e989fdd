"""Writes STATE where the orchestrator reads it, and says so when nobody reads it any more."""

from __future__ import annotations

import os
import sys


class OutputClosedError(RuntimeError):
    """Whoever should read STATE has gone."""


def write_state(value: bytes) -> None:
    """Write one STATE value on standard output.

    Raises:
        OutputClosedError: Nobody reads it any more.
    """
    advice = "The run ends; the next one loads again what no STATE has passed."
    if sys.stdout is None:
        raise OutputClosedError(f"There is no standard output, so no STATE can be written. {advice}")
    try:
        binary = getattr(sys.stdout, "buffer", None)
        if binary is None:
            sys.stdout.write(f"{value.decode()}\n")
        else:
            binary.write(value + b"\n")
        sys.stdout.flush()
    except OSError as error:
        # Python would fail once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        problem = (
            "was closed by its reader"
            if isinstance(error, BrokenPipeError)
            else f"can't be written ({error.strerror})"
        )
        raise OutputClosedError(f"Standard output {problem}, so no STATE can be written. {advice}") from error
