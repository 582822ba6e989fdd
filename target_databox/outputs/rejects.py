"""The rejects file: Singer messages that can be loaded again, on disk before a STATE passes them."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import logging
import os
import stat
from datetime import datetime, timezone
from typing import IO, TYPE_CHECKING, Any, Final

import msgspec

from target_databox.delivery.rejections import Reason
from target_databox.outputs.printable import printable
from target_databox.outputs.rejects_path import OPENING, OTHERS, look_at
from target_databox.singer.messages import is_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from target_databox.delivery.rejections import Rejection

logger = logging.getLogger("target-databox")

_encode: Final = msgspec.json.Encoder().encode


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
    """A file of Singer messages, which any number of runs may append to, and only its owner may read.

    An append is complete in itself: SCHEMA lines, then RECORDs, in one locked write that is synced or undone.
    What was there before is never changed.

    Args:
        path: The file; made when the first record is rejected.

    Raises:
        RejectsFileError: It can't be used; see `rejects_path.look_at`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        found = look_at(path)
        if found.problem:
            raise RejectsFileError(f"rejects_path {found.problem}.")
        if found.records:
            logger.warning(
                "%s holds %s that earlier runs rejected. Bookmarks may be past them: correct them and load "
                "the file.",
                path,
                _counted(found.records, "record"),
            )
        if found.cut_line:
            logger.warning(
                "Line %d of %s is incomplete, as a run leaves it that is killed while it writes. No STATE "
                "has passed its record. Remove that line before you load the file.",
                found.cut_line,
                path,
            )

    def refuse_as_input(self, source: IO[Any]) -> None:
        """Make sure that this file is neither the input, which would grow while it is read, nor an output.

        Raises:
            RejectsFileError: It is, under whatever name.
        """
        ends = [(1, "standard output"), (2, "standard error")]
        with contextlib.suppress(AttributeError, OSError):  # an input that is no file
            ends.insert(0, (source.fileno(), "input"))
        for descriptor, name in ends:
            if self._is_open_as(descriptor):
                advice = "Move it away before it is loaded, or set" if name == "input" else "Set"
                raise RejectsFileError(
                    f"The {name} is {self.path}, which is rejects_path too. {advice} another rejects_path."
                )

    def make_private(self) -> None:
        """Make an existing file readable by its owner only.

        Raises:
            RejectsFileError: The owner or the file system does not allow that.
        """
        if self.path.exists():
            os.close(self._opened())

    def _is_open_as(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), self.path.stat())
        except OSError:
            return False

    def _opened(self) -> int:
        """The file, made if it is missing, private whatever it was before.

        Raises:
            RejectsFileError: It can't be made private, or is no regular file any more.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | OPENING, 0o600)
        mode = _private_mode(descriptor)
        if stat.S_ISREG(mode) and not mode & OTHERS:
            return descriptor
        os.close(descriptor)
        if not stat.S_ISREG(mode):
            raise RejectsFileError(f"{self.path} is no regular file any more. Set another rejects_path.")
        raise RejectsFileError(
            f"{self.path} holds whole records, and can't be made readable by its owner only. Run chmod 600 "
            "on it, or set a rejects_path on a file system that keeps permissions."
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
        descriptor = self._opened()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # An editor left out the last line's end, or a killed run its second half.
                data = b"\n" + data
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


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _private_mode(descriptor: int) -> int:
    """The mode of an open file, after others were shut out as far as its owner and file system allow that."""
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode) and mode & OTHERS:
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o600)
    return os.fstat(descriptor).st_mode


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _message(reject: Rejection, stream: str, at: str) -> bytes:
    cause, destination = reject.cause, reject.destination
    told = {
        "reason": cause.reason.value,
        "code": cause.code,
        "message": cause.message,
        "requestId": cause.request_id,
        "at": at,
        "datasetId": destination.dataset_id,
        "ingestionId": cause.ingestion_id,
    }
    # Ids come from the API as they are, and could hold the API key.
    rejected: dict[str, Any] = {name: said and printable(said) for name, said in told.items()}
    line = (reject.row.line or b"").strip()
    if cause.reason is Reason.ENCODING and not is_json(line):
        rejected["line"] = base64.b64encode(line).decode()
        return _encode({"type": "RECORD", "stream": stream, "record": {}, "rejected": rejected})
    if b'"rejected"' in line:
        line = _without_rejected(line)
    return line[: line.rindex(b"}")] + b',"rejected":' + _encode(rejected) + b"}"


def _without_rejected(line: bytes) -> bytes:
    """A message that was rejected before, without its former `rejected`; its values are unchanged."""
    try:
        members = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.DecodeError:
        # Half a surrogate pair, perhaps. `rejected` is at the end, unless somebody has moved it.
        rest = line[: line.rfind(b',"rejected":{"reason":')] + b"}"
        return rest if is_json(rest) else line
    members.pop("rejected", None)
    return b"{" + b",".join(_encode(name) + b":" + bytes(value) for name, value in members.items()) + b"}"
