"""The rejects file: Singer messages that can be loaded again, on disk before a STATE passes them."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import logging
import os
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.delivery.rejections import Reason
from target_databox.singer.messages import is_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from target_databox.delivery.rejections import Rejection

logger = logging.getLogger("target-databox")

BLOCK_BYTES: Final = 1 << 16

_encode: Final = msgspec.json.Encoder().encode
# A column may be called so too: what was said of a record begins with its reason.
_REJECTED: Final = re.compile(rb'"rejected"\s*:\s*\{\s*"reason"')


class RejectsFileError(RuntimeError):
    """The rejects file can't be used."""


class RejectsLeftError(RuntimeError):
    """The run is complete, and rejected some records."""

    def __init__(self, count: int, path: Path | None) -> None:
        what, them = (f"{count:,} records were", "they are") if count > 1 else ("1 record was", "it is")
        super().__init__(
            f"{what} rejected; {them} in {path}, with the reason. Correct and load that file with "
            "target-databox, or set rejects_policy to accept."
        )


class RejectsFile:
    """A file of Singer messages, appended to by any number of runs.

    Every append stands for itself: SCHEMA lines, then RECORDs, in one locked write that is synced or undone.

    Args:
        path: The file; made when the first record is rejected.

    Raises:
        RejectsFileError: It can't be written, or its directory doesn't exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        directory = path.parent
        if not directory.is_dir() or (path.exists() and not path.is_file()):
            problem = "is no file" if directory.is_dir() else f"is in {directory}, which does not exist"
            raise RejectsFileError(f"rejects_path {path} {problem}. Name a file in a directory that exists.")
        if not os.access(path if path.exists() else directory, os.W_OK):
            raise RejectsFileError(f"rejects_path {path} can't be written. Check its permissions.")
        left = self._count()
        if left:
            logger.warning(
                "%s holds %s that earlier runs rejected. Bookmarks may be past them: correct them and load "
                "the file.",
                path,
                _counted(left, "record"),
            )

    def refuse_as_input(self, descriptor: int) -> None:
        """Make sure that the input is not this file, which would grow while it is read."""
        if self.path.exists() and os.path.samestat(os.fstat(descriptor), self.path.stat()):
            raise RejectsFileError(
                f"The input is {self.path}, which is rejects_path too. Move it away before it is loaded, or "
                "set another rejects_path."
            )

    def append(self, rejects: Sequence[Rejection]) -> None:
        """Write rejected records; returns when they are safe on disk.

        Raises:
            RejectsFileError: They could not be written; nothing of them is in the file.
        """
        at = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        lines: list[bytes] = []
        present: dict[str, bytes] = {}
        for reject in rejects:
            origin = reject.row.origin
            stream = origin.stream if origin else reject.destination.stream
            if origin and present.get(stream) != origin.schema:
                present[stream] = origin.schema
                lines.append(origin.schema)
            lines.append(_message(reject, stream, at))
        try:
            self._write(b"".join(line + b"\n" for line in lines))
        except OSError as error:
            raise RejectsFileError(
                f"{_counted(len(rejects), 'rejected record')} could not be written to {self.path}: "
                f"{error.strerror}. No STATE passes them; make room or choose another rejects_path, then run "
                "again."
            ) from error

    def _write(self, data: bytes) -> None:
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size, line_end = _end_of_lines(descriptor)
            data = line_end + data
            try:
                written = 0
                while written < len(data):
                    written += os.write(descriptor, data[written:])
                os.fsync(descriptor)
                if is_new:
                    # A new file's name is safe only once its directory is. Not every file system can do that.
                    with contextlib.suppress(OSError):
                        _sync_directory(self.path.parent)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def _count(self) -> int:
        if not self.path.exists():
            return 0
        with self.path.open("rb") as file:
            return sum(bool(_REJECTED.search(line)) for line in file)


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _end_of_lines(descriptor: int) -> tuple[int, bytes]:
    """Where to go on, and what to write first so that a new line begins there.

    A message that a crash cut short is taken away: no STATE ever passed that one.
    """
    size = end = os.fstat(descriptor).st_size
    tail = b""
    while end and b"\n" not in tail:
        start = max(0, end - BLOCK_BYTES)
        tail = os.pread(descriptor, end - start, start) + tail
        end = start
    tail = tail.rpartition(b"\n")[2]
    if not tail:
        return size, b""
    if tail.startswith(b"{") and not is_json(tail):
        os.ftruncate(descriptor, size - len(tail))
        return size - len(tail), b""
    # Somebody's editor left out the end of the last line.
    return size, b"\n"


def _message(reject: Rejection, stream: str, at: str) -> bytes:
    cause, destination = reject.cause, reject.destination
    rejected: dict[str, Any] = {
        "reason": cause.reason.value,
        "code": cause.code,
        "message": cause.message,
        "requestId": cause.request_id,
        "at": at,
        "datasetId": destination.dataset_id,
        "ingestionId": cause.ingestion_id,
    }
    line = (reject.row.line or b"").strip()
    if cause.reason is Reason.ENCODING and not is_json(line):
        rejected["line"] = base64.b64encode(line).decode()
        return _encode({"type": "RECORD", "stream": stream, "record": {}, "rejected": rejected})
    if b'"rejected"' in line:
        line = _without_rejected(line)
    return line[: line.rindex(b"}")] + b',"rejected":' + _encode(rejected) + b"}"


def _without_rejected(line: bytes) -> bytes:
    """A message that was rejected before, without what was said of it then; its values stay as they are."""
    try:
        members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        # Half a surrogate pair, perhaps. What was said stands at the end, unless somebody has moved it.
        rest = line[: line.rfind(b',"rejected":{"reason":')] + b"}"
        return rest if is_json(rest) else line
    members.pop("rejected", None)
    return b"{" + b",".join(_encode(name) + b":" + bytes(value) for name, value in members.items()) + b"}"
