"""Lines of BATCH files, wherever they are."""

from __future__ import annotations

import gzip
import io
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from singer_sdk.contrib.batch_encoder_jsonl import JSONLinesBatcher
from singer_sdk.helpers._batch import BatchConfig

from target_databox.singer.batch_files import BatchLine, opened, record_lines
from target_databox.singer.messages import InputError
from tests.command import finished, record, schema, state, text
from tests.loading import load, stored

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from target_databox.emulator import Emulator
    from tests.command import Command

FILES = {
    "plain": b'{"a":1}\r\n\n  \n{"a":2}',
    "packed": gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n'),
    "empty": b"",
    "cut": gzip.compress(b'{"a":1}\n' * 100)[:-12],
    "broken": b"\x1f\x8bcanary-value",
}


def table(address: str) -> AbstractContextManager[IO[bytes]]:
    """A file of the table above."""
    if address not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return io.BytesIO(FILES[address])


def lines(manifest: Any, **encoding: Any) -> list[bytes]:
    """The lines of some files, JSON lines unless said otherwise."""
    found = record_lines({"format": "jsonl", **encoding}, manifest, table)
    return [line.text for line in found if line.text]


@pytest.mark.parametrize("compression", [None, "", "none"])
def test_plain_files_are_read(compression: str | None) -> None:
    """Lines come without their ends, blank ones have no text, files follow each other."""
    assert lines(["plain", "empty", "plain"], compression=compression) == [b'{"a":1}', b'{"a":2}'] * 2


def test_packed_files_are_read() -> None:
    """A gzip file of several members is one file."""
    assert lines(["packed"], compression="gzip") == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize(
    "encoding",
    [{"format": "parquet"}, {"format": "jsonl", "compression": "zstd"}, {}, "jsonl", None],
)
def test_other_formats_are_reported(encoding: Any) -> None:
    """What is not JSON lines, plain or gzip, is an error that names the format."""
    with pytest.raises(InputError, match=r"^is a BATCH of format .*Change batch_config of the tap\.$"):
        list(record_lines(encoding, ["plain"], table))


@pytest.mark.parametrize("manifest", ["plain", None, [1], {"a": 1}])
def test_manifest_must_be_a_list(manifest: Any) -> None:
    """A manifest that is no list of addresses is reported."""
    with pytest.raises(InputError, match=r"^is a BATCH whose manifest is no list of addresses\.$"):
        lines(manifest)


@pytest.mark.parametrize("name", ["missing", "cut", "broken"])
def test_unreadable_files_are_reported(name: str) -> None:
    """A file that is missing, cut off or broken is reported by its address, not by its content."""
    with pytest.raises(InputError, match=f"^is a BATCH whose file {name} can't be read: ") as caught:
        lines([name], compression="gzip")
    assert "canary-value" not in str(caught.value)


def test_lines_are_counted_by_file() -> None:
    """A line is known by its file and its number there, blank ones counted."""
    found = list(record_lines({"format": "jsonl"}, ["plain", "plain"], table))
    assert found[2:5] == [
        BatchLine("plain", 3, b""),
        BatchLine("plain", 4, b'{"a":2}'),
        BatchLine("plain", 1, b'{"a":1}'),
    ]


def test_long_lines_are_reported() -> None:
    """A line that unpacks to more than memory allows is reported by its file, number and size."""
    packed = gzip.compress(b'{"a":1}\n') + gzip.compress(bytes(1_000_000)) * 65
    with pytest.raises(InputError) as caught:
        list(record_lines({"format": "jsonl", "compression": "gzip"}, ["x"], lambda _: io.BytesIO(packed)))
    assert str(caught.value) == (
        "is a BATCH whose file x has a line 2 that is 65,000,000 bytes long, and lines of up to 64,000,000 "
        "bytes are read. Ask the tap for smaller records."
    )


@pytest.mark.parametrize("root", ["file://out", "file://out/deep er", "out", "file://.", "file://100%25"])
def test_what_the_sdk_writes_is_read(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str, signals: None
) -> None:
    """Files that the SDK's own writer makes are read by the addresses that it gives them."""
    monkeypatch.chdir(tmp_path)
    config = BatchConfig.from_dict(
        {
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "storage": {"root": root, "prefix": "b a%20t-"},
            "batch_size": 2,
        }
    )
    writer = JSONLinesBatcher("tap", "orders", config)
    batches = [
        {
            "type": "BATCH",
            "stream": "orders",
            "encoding": {"format": "jsonl", "compression": "gzip"},
            "manifest": m,
        }
        for m in writer.get_batches({"id": number} for number in range(5))
    ]
    load(emulator, schema(), *batches, state(at=1))
    assert sorted(row["id"] for row in stored(emulator)) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "address",
    [
        "file://folder/x y.jsonl",
        "file://folder/x%20y.jsonl",
        "file://./folder/x y.jsonl",
        "folder/x y.jsonl",
        "{}/folder/x y.jsonl",
        "file://{}/folder/x y.jsonl",
        "file://{}/folder/x%20y.jsonl",
        "FILE://{}/folder/x y.jsonl",
        "file:{}/folder/x y.jsonl",
        "file://localhost{}/folder/x%20y.jsonl",
        "file://link.jsonl",
    ],
)
def test_local_addresses_are_understood(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative address begins in the working directory, folder and all, and may be escaped or not."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "x y.jsonl").write_bytes(b"another")
    (tmp_path / "folder" / "x y.jsonl").write_bytes(b"the one")
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "folder" / "x y.jsonl")
    monkeypatch.chdir(tmp_path)
    with opened(address.format(tmp_path)) as file:
        assert file.read() == b"the one"


@pytest.mark.parametrize("name", ["100%.jsonl", "a%20b.jsonl", "ü.jsonl"])
def test_names_are_taken_as_they_stand_first(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that holds what looks escaped is found, as the SDK finds it."""
    (tmp_path / name).write_bytes(b"the one")
    monkeypatch.chdir(tmp_path)
    for address in (f"file://{name}", (tmp_path / name).as_uri()):
        with opened(address) as file:
            assert file.read() == b"the one"


def test_name_as_it_stands_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are a name that looks escaped and the one that it would mean, the SDK takes the former."""
    (tmp_path / "a b.jsonl").write_bytes(b"another")
    (tmp_path / "a%20b.jsonl").write_bytes(b"the one")
    monkeypatch.chdir(tmp_path)
    with opened("file://a%20b.jsonl") as file:
        assert file.read() == b"the one"


def test_nothing_but_regular_files_is_opened(tmp_path: Path) -> None:
    """A pipe, a device, a socket and a directory are refused without being opened."""
    pipe, listening = tmp_path / "pipe", socket.socket(socket.AF_UNIX)
    os.mkfifo(pipe)
    listening.bind(str(tmp_path / "socket"))
    (tmp_path / "link").symlink_to(pipe)
    for path in (pipe, tmp_path / "link", tmp_path / "socket", tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match=r"^it is not a regular file$"):
            opened(f"file://{path}")
    listening.close()


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/a",
        "https://127.0.0.1:9/a",
        "ftp://a/b",
        "data://text",
        "memory://a",
        "github://a:b@c",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    """An address that is neither local nor in a storage is refused before anything is asked for."""
    with pytest.raises(InputError) as caught:
        list(record_lines({"format": "jsonl"}, [address], opened))
    assert str(caught.value).startswith(
        f"is a BATCH whose file {address} can't be read: it is neither a local file nor in a storage (s3://, "
    )


def test_storage_without_its_extra_is_reported() -> None:
    """An address in a storage whose extra is not installed is an error that names what is missing."""
    with pytest.raises(InputError, match=r"^is a BATCH whose file s3://b/x can't be read: .*s3fs"):
        list(record_lines({"format": "jsonl"}, ["s3://b/x"], opened))


def test_pipe_as_a_batch_ends_the_run(emulator: Emulator, tmp_path: Path, signals: None) -> None:
    """A BATCH that names a pipe ends the run at once, where opening it would wait for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    batch = {"type": "BATCH", "stream": "orders", "encoding": {"format": "jsonl"}, "manifest": [str(pipe)]}
    with pytest.raises(
        InputError, match=r"^Line 3 of the input is a BATCH whose file .* is not a regular file"
    ):
        load(emulator, schema(), record(id=1), json.dumps(batch).encode())
    assert stored(emulator) == [{"id": 1}]


BREAKS = {
    "another stream": b'{"id":2},"stream":"other"',
    "another type": b'{"id":2},"type":"STATE","value":{"at":9}',
    "another record": b'{"id":2},"record":{"id":3}',
    "another message": b'{"id":2}}{"type":"STATE","value":{}',
    "two records": b'{"id":2} {"id":3}',
    "nothing but a member": b'null,"record":{"id":3}',
    "with a bad number": b'{"id":NaN},"stream":"other"',
    "with a bad character": b'{"id":2,"name":"\xff"},"stream":"other"',
    "with a deep value": b'{"id":' + b"[" * 5_000 + b"]" * 5_000 + b'},"stream":"other"',
}


@pytest.mark.parametrize("name", BREAKS)
def test_lines_of_a_file_are_records_alone(command: Command, tmp_path: Path, name: str) -> None:
    """A line that would be something else within its message ends the run; it reaches no other stream."""
    file = tmp_path / "batch.jsonl"
    file.write_bytes(b'{"id":1}\n' + BREAKS[name] + b"\n")
    batch = {"type": "BATCH", "stream": "orders", "encoding": {"format": "jsonl"}, "manifest": [str(file)]}
    rejects = tmp_path / "rejects.singer"
    settings = {"rejects_path": str(rejects), "rejects_policy": "accept"}
    run = command.run(schema(), schema("other"), state(at=1), batch, state(at=2), **settings)
    assert (run.code, run.states[-1:]) == (1, [{"at": 1}])
    assert [row["id"] for row in command.rows()] == [1]
    assert command.rows("other") == []
    assert run.errors == [
        f"Line 4 of the input is a BATCH whose file {file} has a line 2 that is not valid JSON; was the tap "
        "cut off, or is this no tap's output?"
    ]
    assert not rejects.exists() or not rejects.read_text()


def slow_fifo(tmp_path: Path) -> str:
    """A pipe that nobody writes to."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return str(path)


def endless_blanks(tmp_path: Path) -> str:
    """A small file that unpacks to blank lines for hours."""
    path = tmp_path / "blanks.gz"
    path.write_bytes(gzip.compress(b"\n" * 10_000_000) * 10_000)
    return str(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_endless_files_can_be_interrupted(command: Command, tmp_path: Path, number: signal.Signals) -> None:
    """A signal soon ends a run that reads blank lines without end; what came before is delivered."""
    batch = {
        "type": "BATCH",
        "stream": "orders",
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "manifest": [endless_blanks(tmp_path)],
    }
    process = command.start(shutdown_seconds=30)
    assert process.stdin is not None
    process.stdin.write(text(schema(), record(id=1), state(at=1), batch))
    process.stdin.flush()
    assert process.stdout is not None
    assert process.stdout.readline() == b'{"at": 1}\n'
    began = time.monotonic()
    process.send_signal(number)
    run = finished(process)
    assert run.code == 128 + number
    assert time.monotonic() - began < 15
    assert [row["id"] for row in command.rows()] == [1]


NO_FILES = [
    slow_fifo,
    *("/dev/zero", "/dev/stdin", "/proc/self/mem", ".", "file:///dev/tty", "a\0b", "x" * 5_000),
    *("http://127.0.0.1:1/x", "local:there/x.jsonl", "data:,{}"),
]


@pytest.mark.parametrize("address", NO_FILES)
def test_only_files_are_opened(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: Any
) -> None:
    """What is no regular file ends the run at once, whatever it is; no directory is made for it."""
    monkeypatch.chdir(tmp_path)
    manifest = [address(tmp_path) if callable(address) else address]
    batch = {"type": "BATCH", "stream": "orders", "encoding": {"format": "jsonl"}, "manifest": manifest}
    run = command.run(schema(), record(id=1), state(at=1), batch)
    assert run.code == 1
    (error,) = run.errors
    assert error.startswith("Line 4 of the input is a BATCH whose file ")
    assert "can't be read" in error
    assert not (tmp_path / "there").exists()
