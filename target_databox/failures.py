"""Logs why a run failed: the error's message or, for a bug, where it happened, without any data."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from target_databox.api.errors import DataboxError, SetupError
from target_databox.delivery.errors import DeliveryError
from target_databox.outputs.rejects import RejectsFileError, RejectsLeftError
from target_databox.outputs.state import OutputClosedError
from target_databox.records.columns import ColumnError
from target_databox.reports.summary import CountError
from target_databox.settings.errors import SettingsError
from target_databox.singer.messages import InputError
from target_databox.verification.errors import VerificationError

if TYPE_CHECKING:
    import logging

EXPLAINED = (
    SettingsError,
    InputError,
    ColumnError,
    DataboxError,
    SetupError,
    DeliveryError,
    OutputClosedError,
    RejectsFileError,
    RejectsLeftError,
    CountError,
    VerificationError,
)


def is_explained(error: BaseException) -> bool:
    """Whether an error's message says what to do, so that a traceback would only hide it."""
    return isinstance(error, EXPLAINED)


def log_failure(logger: logging.Logger, error: BaseException) -> None:
    """Log why the run failed.

    Of an unexpected error only the type and the places in the code are logged: its message, or that of its
    cause, may quote a row.
    """
    if is_explained(error):
        # A line of the log is one line; only settings list their problems below each other.
        for line in str(error).split("\n") if isinstance(error, SettingsError) else [error]:
            logger.error("%s", line)
        for line in ("Where it happened:", *places(error)):
            logger.debug("%s", line)
        return
    logger.error(
        "The run ended with an unexpected error: %s. This is a bug in target-databox; please "
        "report it with the lines below. No STATE has passed rows that are not confirmed.",
        type(error).__name__,
    )
    for line in places(error):
        logger.error("%s", line)


def places(error: BaseException) -> list[str]:
    """Kinds of an error and of those behind it, and where each was raised; without their messages."""
    lines: list[str] = []
    behind: BaseException | None = error
    while behind is not None:
        lines.append(f"{type(behind).__module__}.{type(behind).__qualname__}")
        lines += [
            f"  {frame.filename}:{frame.lineno} in {frame.name}"
            for frame in traceback.extract_tb(behind.__traceback__)
        ]
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)
    return lines
