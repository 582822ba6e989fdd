"""The real command towards an API that refuses: whose fault it is, and how that is reported."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.command import record, schema, state

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Command


@pytest.mark.parametrize("status", [302, 501])
def test_rows_are_not_to_blame(command: Command, tmp_path: Path, status: int) -> None:
    """A redirect, or a server that can't, ends the run: no row is rejected for it and no STATE passes."""
    command.emulator.faults.add("post_rows", status=status)
    rejects = tmp_path / "rejects.singer"
    run = command.run(schema(), record(id=1), state(at=1), rejects_path=str(rejects), rejects_policy="accept")
    assert (run.code, run.out) == (1, b"")
    (error,) = run.errors
    assert f"status {status}" in error
    assert not rejects.exists()


@pytest.mark.parametrize("status", [401, 404, 503])
def test_failed_request_names_its_stream(command: Command, status: int) -> None:
    """An error of the API that ends a run names the stream and the dataset beside what the API said."""
    command.emulator.faults.add("post_rows", status=status)
    run = command.run(schema(), record(id=1), state(at=1), retry_seconds=0.1)
    assert (run.code, run.out) == (1, b"")
    (error,) = run.errors
    assert error.startswith("Loading stream 'orders' (dataset 'orders', ")
    assert re.search(f"answered with status {status} .*request id [-0-9a-f]+", error)


def test_refused_record_names_the_status(command: Command) -> None:
    """The error for a refused record says what the API said: status, message and request id."""
    command.emulator.faults.add("post_rows", status=422)
    run = command.run(schema(), record(id=1), state(at=1))
    (error,) = run.errors
    assert re.search(r"refused by Databox \(status 422, .*request id [-0-9a-f]+\)", error)


def test_batch_that_is_sent_again_counts_once(command: Command) -> None:
    """A batch that is throttled, then lost, then stored, is one batch in the summary."""
    command.emulator.faults.add("post_rows", nth=1, status=429)
    command.emulator.faults.add("post_rows", nth=2, status=503)
    run = command.run(schema(), record(id=1), state(at=1))
    assert run.code == 0
    (line,) = [each for each in run.told("INFO") if each.startswith("orders: read")]
    assert "1 batch, " in line
    assert "1 retry" in line
