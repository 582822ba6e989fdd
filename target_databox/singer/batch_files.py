"""Records of BATCH messages: files of JSON lines, plain or gzip, read one line at a time."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from singer_sdk.helpers._batch import StorageTarget

from target_databox.singer.messages import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


def record_lines(
    encoding: Any, manifest: Any, opened: Callable[[str], AbstractContextManager[IO[bytes]]]
) -> Iterator[bytes]:
    """Lines of the files that a BATCH message names, blank ones left out.

    Args:
        encoding: Its `encoding`: format and compression.
        manifest: Its `manifest`: addresses of the files.
        opened: Opens the file at an address.

    Raises:
        InputError: The format is not JSONL, or a file can't be read.
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
    for address in manifest:
        try:
            with opened(address) as file:
                for line in gzip.GzipFile(fileobj=file) if compression == "gzip" else file:
                    if line.strip():
                        yield line.rstrip(b"\r\n")
        except (OSError, EOFError, ValueError, ImportError, zlib.error) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(
                f"is a BATCH whose file {address} can't be read: {reason}. The file must be there, whole, "
                "when the message is read."
            ) from error


def opened(address: str) -> AbstractContextManager[IO[bytes]]:
    """A file of a BATCH, wherever the SDK can find it."""
    parts = urlsplit(address)
    if parts.scheme in ("", "file"):
        # The SDK would make its directory when that is missing.
        return Path(url2pathname(parts.path) if parts.scheme else address).open("rb")
    head, tail = StorageTarget.split_url(address)
    return StorageTarget.from_url(head).open(tail, mode="rb")
