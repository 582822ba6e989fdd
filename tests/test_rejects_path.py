"""A path that can't be the rejects file is a settings error; what is there stays byte for byte as it is."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from target_databox.outputs.rejects_path import Found, look_at
from tests.command import TARGET, Command, finished, record, schema, state, text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import EmulatorMaker

SCHEMA = text(schema())
REJECTED = text({**record(id=1), "rejected": {"reason": "key"}})


@pytest.fixture
def command(tmp_path: Path, make_emulator: EmulatorMaker) -> Command:
    """Runs the command."""
    return Command(tmp_path, make_emulator())


def pipe(folder: Path) -> Path:
    """A FIFO."""
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def socket_file(folder: Path) -> Path:
    """A socket's name in a directory."""
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(os.path.relpath(folder / "socket"))
    return folder / "socket"


def loop(folder: Path) -> Path:
    """Two links that lead to each other."""
    (folder / "a").symlink_to(folder / "b")
    (folder / "b").symlink_to(folder / "a")
    return folder / "a"


def link(folder: Path, target: str) -> Path:
    """A link."""
    (folder / "link").symlink_to(target)
    return folder / "link"


def below_a_file(folder: Path) -> Path:
    """A file taken for a directory."""
    (folder / "file").touch()
    return folder / "file" / "rejects"


PLACES: dict[str, tuple[Callable[[Path], Path | str], str]] = {
    "NUL": (lambda folder: f"{folder}/a\0b", "it holds a NUL"),
    "half a surrogate pair": (lambda folder: f"{folder}/\ud800", "half a surrogate pair"),
    "endless": (lambda folder: f"{folder}/{'x/' * 500_000}r", "File name too long"),
    "long name": (lambda folder: folder / ("x" * 300), "File name too long"),
    "directory": (lambda folder: folder, "is a directory"),
    "link to a directory": (lambda folder: link(folder, str(folder)), "is a directory"),
    "pipe": (pipe, "is a pipe"),
    "socket": (socket_file, "is a socket"),
    "null device": (lambda _: "/dev/null", "is a device"),
    "full device": (lambda _: "/dev/full", "is a device"),
    "link to a device": (lambda folder: link(folder, "/dev/zero"), "is a device"),
    "loop of links": (loop, "symbolic links"),
    "below a file": (below_a_file, "Not a directory"),
    "missing directory": (lambda folder: folder / "missing" / "r", "missing, which does not exist"),
    "link to a missing directory": (lambda folder: link(folder, "no/r"), "no, which does not exist"),
}


@pytest.mark.parametrize("place", PLACES)
def test_unusable_path_is_a_settings_error(command: Command, tmp_path: Path, place: str) -> None:
    """Whatever keeps a path from being a file is told before the input is read and a request is made."""
    make, problem = PLACES[place]
    for arguments in ((), ("--check",), ("--dry-run",)) if place == "pipe" else ((),):
        path = str(tmp_path / "pipe") if arguments else str(make(tmp_path))
        process = command.start(*arguments, rejects_path=path)
        # The input stays open: what is refused is not waited for.
        assert process.wait(30) == 1
        run = finished(process)
        told = run.out.decode() if arguments == ("--check",) else run.log
        assert "rejects_path" in told
        assert problem in " ".join(told.split()) or arguments == ("--check",)  # in the cells of a table
        assert "bug" not in told
        assert len(told) < 4000
    assert not command.emulator.log.total


CONTENTS = {
    "configuration": json.dumps({"api_key": "pak_secret", "rejects_path": "r"}).encode(),
    "pretty configuration": json.dumps({"api_key": "pak_secret", "type": "SCHEMA"}, indent=2).encode(),
    "cut configuration": b'{"api_key": "pak_sec',
    "CSV": b"id,name\n1,a\n",
    "text": b"a note\n",
    "list": b"[1,2]\n",
    "states": b'{"bookmarks": {"orders": 1}}\n{"bookmarks": {"orders": 2}}\n',
    "binary": bytes(range(256)) * 300,
    "zeros": bytes(1_000_000),
    "database": b"SQLite format 3\0" + bytes(4000),
    "a tap's output": text(schema(), record(id=1), state(at=1)),
    "a tap's records": text(schema(), record(id=1)),
    "records without SCHEMA": REJECTED,
    "state messages": text(state(at=1)),
    "byte order mark": b"\xef\xbb\xbf" + SCHEMA + REJECTED,
    "deep": b"[" * 200_000,
}


@pytest.mark.parametrize("content", CONTENTS)
def test_other_file_is_left_as_it_is(tmp_path: Path, content: str) -> None:
    """A file that is no rejects file is refused; its bytes, mode and times stay, and none are quoted."""
    path = tmp_path / "file"
    path.write_bytes(CONTENTS[content])
    path.chmod(0o644)
    before = path.stat()
    problem = look_at(path).problem
    assert problem.startswith(f"names {path}, which ")
    assert "It is left as it is." in problem
    assert "pak_sec" not in problem
    assert path.read_bytes() == CONTENTS[content]
    after = path.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_configuration_is_refused_as_rejects_file(command: Command) -> None:
    """A configuration can't be the rejects file, and keeps its bytes when a record is rejected."""
    other = command.config()
    before = other.read_bytes()
    run = command.run(schema(), record(id="x"), rejects_path=str(other), rejects_policy="accept")
    assert run.code == 1
    assert "which is not a rejects file. It is left as it is." in run.log
    assert other.read_bytes() == before
    assert not command.emulator.log.total


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, Found()),
        (b"", Found()),
        (b"\n\n", Found()),
        (SCHEMA + REJECTED, Found(records=1)),
        (b"\n" + SCHEMA + REJECTED + SCHEMA + REJECTED + REJECTED, Found(records=3)),
        (SCHEMA + b"a note\n" + REJECTED, Found(records=1)),
        (SCHEMA + REJECTED + SCHEMA[:20], Found(records=1, cut_line=3)),
        (SCHEMA[:-9], Found(cut_line=1)),
    ],
)
def test_rejects_file_is_known(tmp_path: Path, content: bytes | None, found: Found) -> None:
    """New, empty and earlier rejects files are used, whatever a killed run left at their end."""
    path = tmp_path / "rejects"
    if content is not None:
        path.write_bytes(content)
    assert look_at(path) == found


def test_endless_file_is_not_read_whole(tmp_path: Path) -> None:
    """A file of a terabyte that does not begin as a message is judged by its first byte."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    tracemalloc.start()
    try:
        assert "is not a rejects file" in look_at(path).problem
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_run_shuts_others_out_and_rehearsals_do_not(command: Command, tmp_path: Path) -> None:
    """A run makes an existing file private even if it rejects nothing; rehearsals leave it as it is."""
    path = tmp_path / "rejects"
    path.write_bytes(SCHEMA + REJECTED)
    path.chmod(0o666)
    modes = []
    for arguments in (("--check",), ("--dry-run",), ()):
        run = command.run(schema(), record(id=1), arguments=arguments, rejects_path=str(path))
        assert run.code == 0
        modes.append(stat.S_IMODE(path.stat().st_mode))
    assert modes == [0o666, 0o666, 0o600]
    assert path.read_bytes() == SCHEMA + REJECTED


def as_nobody(path: Path) -> str:
    """What a user without rights is told of a path."""
    script = (
        "import os, sys; sys.path[:0] = sys.argv[2:]\n"
        "from target_databox.outputs.rejects_path import look_at; from pathlib import Path\n"
        "os.setgid(65534); os.setuid(65534); print(look_at(Path(sys.argv[1])).problem)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path, *sys.path],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return done.stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_permissions_are_looked_at(tmp_path: Path) -> None:
    """A user that may not write, or not shut out others, is told so."""
    for folder in (tmp_path, *list(tmp_path.parents)[:-2]):
        folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    assert "can't be made: no permission to write in" in as_nobody(tmp_path / "new")
    private = tmp_path / "private"
    private.write_bytes(SCHEMA + REJECTED)
    private.chmod(0o600)
    assert "can't be read and written" in as_nobody(private)
    assert "Permission denied" in as_nobody(private)
    private.chmod(0o666)
    assert "others can read and which belongs to another user" in as_nobody(private)
    assert stat.S_IMODE(private.stat().st_mode) == 0o666


@pytest.mark.parametrize("way", ["--input", "redirect", "standard output", "standard error"])
def test_own_file_is_refused_by_any_name(command: Command, tmp_path: Path, way: str) -> None:
    """A run is refused whose input or output is its rejects file, given by a hard link."""
    path, other = tmp_path / "rejects", tmp_path / "other"
    path.write_bytes(SCHEMA + REJECTED)
    os.link(path, other)
    before = path.read_bytes()
    config = command.config(rejects_path=str(path))
    arguments = ("--input", other) if way == "--input" else ()
    with other.open("ab+") as file:
        file.seek(0)
        done = subprocess.run(
            [TARGET, "--config", config, *arguments],
            stdin=file if way == "redirect" else subprocess.DEVNULL,
            stdout=file if way == "standard output" else subprocess.PIPE,
            stderr=file if way == "standard error" else subprocess.PIPE,
            timeout=30,
            check=False,
        )
    assert done.returncode == 1
    told = other.read_bytes() if way == "standard error" else done.stderr
    assert b"which is rejects_path too" in told
    if way != "standard error":
        assert path.read_bytes() == before
    assert not command.emulator.log.total
