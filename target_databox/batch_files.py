"""Records of BATCH messages: files of JSON lines, plain or gzip, read one line at a time."""

from __future__ import annotations

import gzip
from typing import IO, TYPE_CHECKING, Any

from singer_sdk.helpers._batch import StorageTarget

from target_databox.messages import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def record_lines(encoding: Mapping[str, Any], manifest: Sequence[str]) -> Iterator[bytes]:
    """Lines of the files that a BATCH message names, blank ones left out.

    Args:
        encoding: Its `encoding`: format and compression.
        manifest: Its `manifest`: addresses of the files.

    Raises:
        InputError: The format is not JSONL, or a file can't be read.
    """
    kind, compression = encoding.get("format"), encoding.get("compression")
    if kind != "jsonl" or compression not in (None, "", "none", "gzip"):
        raise InputError(
            f"is a BATCH of format {kind!r} with compression {compression!r}; jsonl, plain or gzip, can be read. Change "
            "batch_config of the tap."
        )
    for address in manifest:
        head, tail = StorageTarget.split_url(address)
        try:
            with StorageTarget.from_url(head).open(tail, mode="rb") as file:
                plain: IO[bytes] = gzip.open(file) if compression == "gzip" else file  # type: ignore[assignment]
                for line in plain:
                    if line.strip():
                        yield line.rstrip(b"\r\n")
        except (OSError, EOFError) as error:
            raise InputError(f"is a BATCH whose file {tail} can't be read: {error}.") from error
