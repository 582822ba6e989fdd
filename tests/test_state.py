"""STATE lines are written as they are, and a closed output is reported."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from target_databox.outputs.state import OutputClosedError, _take_back, write_state

if TYPE_CHECKING:
    from pathlib import Path

HOLDER = """
import fcntl, sys
with open(sys.argv[1], "ab") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
    file.write(b"theirs\\n")
"""


def test_state_is_one_line(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """A STATE value is written as it came, with the end of a line behind it."""
    write_state('{"a": 1.50, "ü": {}}'.encode())
    assert capsysbinary.readouterr().out == '{"a": 1.50, "ü": {}}\n'.encode()


def test_text_output_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard output takes text alone, as in tests of the SDK, text is written."""
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    write_state('{"ü": 1}'.encode())
    assert output.getvalue() == '{"ü": 1}\n'


def test_state_is_utf_8_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where text goes out in another encoding, or with other ends of lines, a STATE keeps its bytes."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252", newline="\r\n"))
    write_state('{"ü": 1}'.encode())
    assert written.getvalue() == '{"ü": 1}\n'.encode()


def test_no_output_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without standard output there is nowhere to write to."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(OutputClosedError) as caught:
        write_state(b"{}")
    assert str(caught.value) == (
        "There is no standard output, so no STATE can be written. The run ends; the next one loads again "
        "what no STATE has passed."
    )


def test_closed_pipe_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that has gone is reported, and nothing fails once more when the output is closed."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as output:  # noqa: PTH123 # a descriptor
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(
            OutputClosedError, match=r"^Standard output was closed by its reader, so no STATE"
        ):
            write_state(b"{}")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")  # noqa: PTH110
def test_full_output_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output on a full disk is reported with the reason."""
    with open("/dev/full", "w") as output:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(OutputClosedError, match="can't be written \\(No space left on device\\)"):
            write_state(b"{}")


def test_runs_take_turns_at_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another run writes to the same file a STATE waits, and comes behind what that run wrote."""
    path = tmp_path / "states"
    with (
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder,
        path.open("a") as output,
    ):
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        monkeypatch.setattr(sys, "stdout", output)
        writer = threading.Thread(target=write_state, args=(b"ours",))
        writer.start()
        writer.join(0.1)
        assert writer.is_alive()
        assert path.read_bytes() == b""
        holder.stdin.close()
        writer.join(10)
    assert path.read_bytes() == b"theirs\nours\n"


def test_cut_line_is_ended_where_something_follows(tmp_path: Path) -> None:
    """A part of a line is taken back from a file's end; what somebody else wrote behind it is kept."""
    path = tmp_path / "states"
    with path.open("ab", buffering=0) as ours, path.open("ab", buffering=0) as theirs:
        ours.write(b"whole\ncut")
        _take_back(ours.fileno(), 6, 3)
        assert path.read_bytes() == b"whole\n"
        ours.write(b"cut")
        theirs.write(b"theirs\n")
        _take_back(ours.fileno(), 6, 3)
    assert path.read_bytes() == b"whole\ncuttheirs\n\n"
