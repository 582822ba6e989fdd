"""Records of BATCH messages: files of JSON lines, plain or gzip, read one line at a time.

An address comes from the tap: what is opened is a regular file of this machine, or an object of a storage.
"""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast
from urllib.parse import unquote

from singer_sdk.helpers._batch import StorageTarget

from target_databox.outputs.printable import shortened
from target_databox.singer.lines import LineTooLongError, bounded_lines
from target_databox.singer.messages import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


# Storage that the SDK reads where its extra is installed. Anything else could be any program's address.
STORAGES: Final = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss")
LONGEST_NAME_CHARACTERS: Final = 500
_FILE: Final = "file:"


class BatchLine(NamedTuple):
    """A line of a file of a BATCH: the file's name for messages, the line's number from 1, and its text."""

    address: str
    number: int
    text: bytes


def record_lines(
    encoding: Any, manifest: Any, opened: Callable[[str], AbstractContextManager[IO[bytes]]]
) -> Iterator[BatchLine]:
    """Lines of the files that a BATCH message names; blank ones have no text.

    Args:
        encoding: Its `encoding`: format and compression.
        manifest: Its `manifest`: addresses of the files.
        opened: Opens the file at an address.

    Raises:
        InputError: The format is not JSONL, a file can't be read, or a line is too long or holds too much.
    """
    kind, compression = (
        (encoding.get("format"), encoding.get("compression")) if isinstance(encoding, dict) else (None, None)
    )
    if kind != "jsonl" or compression not in (None, "", "none", "gzip"):
        raise InputError(
            f"is a BATCH of format {kind!r} with compression {compression!r}; jsonl, plain or gzip, can be "
            "read. Change batch_config of the tap."
        )
    if not isinstance(manifest, list) or not all(isinstance(address, str) for address in manifest):
        raise InputError("is a BATCH whose manifest is no list of addresses.")
    is_packed = compression == "gzip"
    for address in manifest:
        # What is wrong with it stands behind the name.
        name = shortened(address, LONGEST_NAME_CHARACTERS)
        try:
            with opened(address) as file:
                unpacked: IO[Any] = cast("IO[Any]", gzip.GzipFile(fileobj=file)) if is_packed else file
                number = 0
                for number, line in enumerate(bounded_lines(unpacked), start=1):
                    yield BatchLine(name, number, line.strip())
        except LineTooLongError as error:
            raise InputError(f"is a BATCH whose file {name} has a line {number + 1} that {error}") from error
        except (OSError, EOFError, ValueError, ImportError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"is a BATCH whose file {name} can't be read: {reason}. The file must be there, whole, "
                "when the message is read."
            ) from error


def opened(address: str) -> AbstractContextManager[IO[bytes]]:
    """A file of a BATCH, wherever the SDK can find it.

    Raises:
        ValueError: It is neither a regular file nor in a storage.
        OSError: It can't be opened.
    """
    scheme, has_scheme, _ = address.partition("://")
    if not has_scheme or scheme.lower() == "file":
        # The SDK would make its directory when that is missing.
        return _regular(_path(address))
    if scheme.lower() not in STORAGES:
        known = ", ".join(f"{each}://" for each in STORAGES)
        raise ValueError(f"it is neither a local file nor in a storage ({known})")
    head, tail = StorageTarget.split_url(address)
    return StorageTarget.from_url(head).open(tail, mode="rb")


def _path(address: str) -> Path:
    """The local file that an address means.

    As the SDK's own storage has it, `file://folder/x` is the relative path `folder/x`, and nothing is
    escaped. Its plain roots are escaped all the same; other writers escape by the book, or name `localhost`.
    """
    if not address.lower().startswith(_FILE):
        return Path(address)
    plain = address[len(_FILE) :].removeprefix("//")
    candidates = [plain, unquote(plain)]
    if plain.startswith("localhost/"):
        candidates += [each.removeprefix("localhost") for each in candidates]
    return next((path for path in map(Path, candidates) if path.exists()), Path(plain))


def _regular(path: Path) -> IO[bytes]:
    """A regular file, opened. Anything else is not even opened: that may wait, or do something."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is not a regular file")
    # Another file may have taken its name meanwhile.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("it is not a regular file")
    return file
