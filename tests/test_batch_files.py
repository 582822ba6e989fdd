"""Lines of BATCH files, wherever they are."""

from __future__ import annotations

import gzip
import io
from typing import IO, TYPE_CHECKING, Any

import pytest

from target_databox.singer.batch_files import record_lines
from target_databox.singer.messages import InputError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

FILES = {
    "plain": b'{"a":1}\r\n\n  \n{"a":2}',
    "packed": gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n'),
    "empty": b"",
    "cut": gzip.compress(b'{"a":1}\n' * 100)[:-12],
    "broken": b"\x1f\x8bcanary-value",
}


def opened(address: str) -> AbstractContextManager[IO[bytes]]:
    """A file of the table above."""
    if address not in FILES:
        raise FileNotFoundError(2, "No such file or directory")
    return io.BytesIO(FILES[address])


def lines(manifest: Any, **encoding: Any) -> list[bytes]:
    """The lines of some files, JSON lines unless said otherwise."""
    return list(record_lines({"format": "jsonl", **encoding}, manifest, opened))


@pytest.mark.parametrize("compression", [None, "", "none"])
def test_plain_files_are_read(compression: str | None) -> None:
    """Lines come without their ends, blank ones are left out, files follow each other."""
    assert lines(["plain", "empty", "plain"], compression=compression) == [b'{"a":1}', b'{"a":2}'] * 2


def test_packed_files_are_read() -> None:
    """A gzip file of several members is one file."""
    assert lines(["packed"], compression="gzip") == [b'{"a":1}', b'{"a":2}']


@pytest.mark.parametrize(
    "encoding",
    [{"format": "parquet"}, {"format": "jsonl", "compression": "zstd"}, {}, "jsonl", None],
)
def test_other_formats_are_told(encoding: Any) -> None:
    """What is not JSON lines, plain or gzip, is an error that names the format."""
    with pytest.raises(InputError, match=r"^is a BATCH of format .*Change batch_config of the tap\.$"):
        list(record_lines(encoding, ["plain"], opened))


@pytest.mark.parametrize("manifest", ["plain", None, [1], {"a": 1}])
def test_manifest_must_be_a_list(manifest: Any) -> None:
    """A manifest that is no list of addresses is told."""
    with pytest.raises(InputError, match=r"^is a BATCH whose manifest is no list of addresses\.$"):
        lines(manifest)


@pytest.mark.parametrize("name", ["missing", "cut", "broken"])
def test_unreadable_files_are_told(name: str) -> None:
    """A file that is missing, cut off or broken is told by its address, not by its content."""
    with pytest.raises(InputError, match=f"^is a BATCH whose file {name} can't be read: ") as caught:
        lines([name], compression="gzip")
    assert "canary-value" not in str(caught.value)
