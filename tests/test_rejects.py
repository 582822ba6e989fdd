"""The rejects file: whole Singer messages, appended and synced, that load again."""

from __future__ import annotations

import base64
import io
import json
import logging
import multiprocessing
import os
import resource
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.delivery.batches import Destination
from target_databox.delivery.rejections import Cause, Reason, Rejection
from target_databox.delivery.rows import Origin, Row
from target_databox.outputs import printable
from target_databox.outputs.rejects import RejectsFile, RejectsFileError, RejectsLeftError
from target_databox.outputs.rejects_path import Found, look_at
from target_databox.singer.messages import kept_line

if TYPE_CHECKING:
    from pathlib import Path

DATASET = Destination("sales", "d1", "Sales", is_keyed=True)
SCHEMA = b'{"type":"SCHEMA","stream":"orders","schema":{"properties":{"id":{}}},"key_properties":["id"]}'
ORIGIN = Origin("orders", SCHEMA)
REFUSED = Cause(Reason.REFUSED, "invalid_input", "Bad row.", "r1", "i1")


def reject(line: bytes, cause: Cause = REFUSED, origin: Origin | None = ORIGIN) -> Rejection:
    """A rejected record of a line."""
    return Rejection(DATASET, Row(("1",), b"{}", number=7, line=line, origin=origin), cause)


def record(number: int) -> bytes:
    """The line of a record."""
    return b'{"type": "RECORD", "stream": "orders", "record": {"id": %d, "x": 1.50}}' % number


def messages(path: Path) -> list[dict[str, Any]]:
    """What the file holds."""
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


def test_new_file_is_synced_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every append is synced, and with the first one the directory that got the file's name."""
    path = tmp_path / "rejects.singer"
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    file = RejectsFile(path)
    file.append([reject(record(1))])
    file.append([reject(record(2))])
    inode = path.stat().st_ino
    assert synced == [inode, tmp_path.stat().st_ino, inode]


def test_record_is_kept_as_it_came(tmp_path: Path) -> None:
    """The file holds the SCHEMA line, then the record's own line with what was said of it."""
    path = tmp_path / "rejects.singer"
    RejectsFile(path).append([reject(record(1) + b"\r")])
    first, second = path.read_bytes().splitlines()
    assert first == SCHEMA
    assert second.startswith(record(1)[:-1] + b',"rejected":{')
    rejected = json.loads(second)["rejected"]
    assert rejected.pop("at").endswith("Z")
    assert rejected == {
        "reason": "refused",
        "code": "invalid_input",
        "message": "Bad row.",
        "requestId": "r1",
        "datasetId": "d1",
        "ingestionId": "i1",
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_key_is_masked_wherever_it_is_echoed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An API that names an ingestion by the key does not get it written to the file."""
    monkeypatch.setattr(printable, "_secrets", [])
    printable.keep_secret("pak_canary-0815")
    path = tmp_path / "rejects.singer"
    cause = Cause(Reason.REFUSED, "pak_canary-0815", "Bad row.", "r pak_canary-0815", "i-pak_canary-0815\x1b")
    RejectsFile(path).append([reject(record(1), cause)])
    assert b"canary" not in path.read_bytes()
    assert messages(path)[1]["rejected"]["ingestionId"] == "i-***\\u001b"


def test_schema_stands_once_in_an_append(tmp_path: Path) -> None:
    """Records under one SCHEMA follow it; another SCHEMA, and the next append, bring their own."""
    file = RejectsFile(tmp_path / "rejects.singer")
    other = Origin("orders", SCHEMA.replace(b'{"id":{}}', b'{"id":{},"x":{}}'))
    file.append([reject(record(1)), reject(record(2)), reject(record(3), origin=other)])
    file.append([reject(record(4))])
    kinds = [each["type"][0] for each in messages(file.path)]
    assert "".join(kinds) == "SRRSRSR"


def test_line_that_is_no_json_is_kept(tmp_path: Path) -> None:
    """A line that is not JSON text in itself is kept in base64, and comes back as it was."""
    file = RejectsFile(tmp_path / "rejects.singer")
    lines = (
        b'{"type":"RECORD","stream":"orders","record":{"a":NaN}}',
        b'{"type":"RECORD","stream":"orders","record":{"a":"\xff"}}',
    )
    file.append([reject(line, Cause(Reason.ENCODING, "nan", "it holds NaN")) for line in lines])
    kept = [each for each in messages(file.path) if each["type"] == "RECORD"]
    assert [kept_line(each) for each in kept] == list(lines)
    assert base64.b64decode(kept[0]["rejected"]["line"]) == lines[0]


def test_rejected_again_is_reported_once(tmp_path: Path) -> None:
    """A record that was rejected before has only the newest cause; its values keep their digits."""
    path = tmp_path / "rejects.singer"
    RejectsFile(path).append([reject(record(1))])
    (_, line) = path.read_bytes().splitlines()
    path.unlink()
    RejectsFile(path).append([reject(line, Cause(Reason.SIZE, "too_large", "it is large"))])
    (_, again) = path.read_bytes().splitlines()
    assert again.count(b'"rejected"') == 1
    assert b'"x": 1.50' in again
    assert json.loads(again)["rejected"]["reason"] == "size"


def test_half_a_surrogate_pair_is_reported_once(tmp_path: Path) -> None:
    """A record that is no text for most readers keeps its values and the newest reason alone, too."""
    line = b'{"type":"RECORD","stream":"orders","record":{"id":2,"name":"\\ud800","x":1.50}}'
    path = tmp_path / "rejects.singer"
    RejectsFile(path).append([reject(line)])
    kept = path.read_bytes().splitlines()[1]
    again = tmp_path / "again.singer"
    RejectsFile(again).append([reject(kept, Cause(Reason.ENCODING, "lone_surrogate", "Half."))])
    newest = again.read_bytes().splitlines()[1]
    assert newest.startswith(line[:-1] + b',"rejected":{"reason":"encoding",')
    assert newest.count(b'"rejected"') == 1


CUT_LINES = (
    b'{"type":"RECORD","stre',
    record(9)[:-1],
    SCHEMA[:40],
    b'{"type": "RECORD", "record": {"x": "\xc3',
)


@pytest.mark.parametrize("cut", CUT_LINES)
def test_cut_line_stays_and_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture, cut: bytes) -> None:
    """A line that a killed run cut short stays, is told, and the next message begins a new line."""
    path = tmp_path / "rejects.singer"
    RejectsFile(path).append([reject(record(1))])
    whole = path.read_bytes()
    path.write_bytes(whole + cut)
    file = RejectsFile(path)
    assert f"Line 3 of {path} is incomplete" in caplog.text
    file.append([reject(record(2))])
    assert path.read_bytes().startswith(whole + cut + b"\n" + SCHEMA + b"\n")
    last = path.read_bytes().splitlines()[-1]
    assert json.loads(last)["record"]["id"] == 2
    assert look_at(path) == Found(records=2, cut_line=3)


def test_cut_first_line_is_a_rejects_file(tmp_path: Path) -> None:
    """A file in which a killed run left nothing but half a SCHEMA is still used."""
    path = tmp_path / "rejects.singer"
    path.write_bytes(SCHEMA[:-5])
    RejectsFile(path).append([reject(record(2))])
    assert path.read_bytes().startswith(SCHEMA[:-5] + b"\n" + SCHEMA + b"\n")


REJECTED = record(1)[:-1] + b',"rejected":{"reason":"key"}}'


@pytest.mark.parametrize("last", [REJECTED, b"a note"], ids=["message", "note"])
def test_last_line_without_end_stays(tmp_path: Path, last: bytes) -> None:
    """A whole last line whose end an editor left out is kept; the next message begins a new line."""
    path = tmp_path / "rejects.singer"
    path.write_bytes(SCHEMA + b"\n" + REJECTED + b"\n" + last)
    RejectsFile(path).append([reject(record(2))])
    lines = path.read_bytes().splitlines()
    assert lines[:4] == [SCHEMA, REJECTED, last, SCHEMA]
    assert json.loads(lines[4])["record"]["id"] == 2


@pytest.mark.parametrize("mode", [0o666, 0o644, 0o640, 0o604, 0o777])
def test_existing_file_becomes_private(tmp_path: Path, mode: int) -> None:
    """A file that others could read is its owner's alone once a run has begun, not before."""
    path = tmp_path / "rejects.singer"
    path.write_bytes(SCHEMA + b"\n" + REJECTED + b"\n")
    path.chmod(mode)
    file = RejectsFile(path)
    assert path.stat().st_mode & 0o777 == mode
    file.make_private()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(mode)
    file.append([reject(record(2))])
    assert path.stat().st_mode & 0o777 == 0o600


def test_file_that_stays_open_to_others_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where owner or file system don't let the mode be changed, no record is written."""
    path = tmp_path / "rejects.singer"
    path.touch()
    path.chmod(0o666)
    file = RejectsFile(path)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    with pytest.raises(RejectsFileError, match="can't be made readable by its owner only"):
        file.make_private()
    with pytest.raises(RejectsFileError, match="Run chmod 600"):
        file.append([reject(record(2))])
    assert path.read_bytes() == b""


def test_pipe_that_took_the_name_is_refused(tmp_path: Path) -> None:
    """A path that becomes a pipe while the run goes on keeps nothing, and nobody waits for its reader."""
    path = tmp_path / "rejects.singer"
    file = RejectsFile(path)
    os.mkfifo(path)
    with pytest.raises(RejectsFileError, match="is no regular file any more"):
        file.append([reject(record(2))])


def test_full_disk_leaves_nothing_half(tmp_path: Path) -> None:
    """When there is no room for all of an append, nothing of it is in the file, and the error says so."""
    path = tmp_path / "rejects.singer"
    file = RejectsFile(path)
    file.append([reject(record(1))])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 200, limits[1]))
    try:
        with pytest.raises(RejectsFileError) as caught:
            file.append([reject(record(number)) for number in range(5)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert str(caught.value) == (
        f"5 rejected records could not be written to {path}: File too large. No STATE passes them; make room "
        "or choose another rejects_path, then run again."
    )


def append_many(path: Path, first: int) -> None:
    """Append records one by one, as a run does."""
    file = RejectsFile(path)
    for number in range(first, first + 50):
        file.append([reject(record(number))])


def test_two_runs_append_whole_messages(tmp_path: Path) -> None:
    """Two processes that append at once leave whole messages, each record behind its SCHEMA."""
    path = tmp_path / "rejects.singer"
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=append_many, args=(path, first)) for first in (0, 1000)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    kept = messages(path)
    assert [each["type"] for each in kept] == ["SCHEMA", "RECORD"] * 100
    ids = [each["record"]["id"] for each in kept if each["type"] == "RECORD"]
    assert sorted(ids) == [*range(50), *range(1000, 1050)]


def test_former_rejects_are_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file that holds records already is reported with their number; an empty one is not."""
    path = tmp_path / "rejects.singer"
    path.touch()
    file = RejectsFile(path)
    assert not caplog.records
    file.append([reject(record(1)), reject(record(2))])
    with caplog.at_level(logging.WARNING):
        RejectsFile(path)
    assert caplog.messages == [
        f"{path} holds 2 records that earlier runs rejected. Bookmarks may be past them: correct them "
        f"and load the file."
    ]


def test_column_named_rejected_is_no_reject(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The count of former rejects is one of records, whatever a column is called."""
    path = tmp_path / "rejects.singer"
    schema = (
        b'{"type":"SCHEMA","stream":"orders","schema":{"properties":{"rejected":{}}},"key_properties":[]}'
    )
    RejectsFile(path).append([reject(record(1), origin=Origin("orders", schema))])
    with caplog.at_level(logging.WARNING):
        RejectsFile(path)
    assert "holds 1 record that" in caplog.text


@pytest.mark.parametrize("kind", ["hard link", "symlink", "itself"])
def test_own_file_is_no_input(tmp_path: Path, kind: str) -> None:
    """The file can't be read and appended to in one run, by whatever name it is opened."""
    path = tmp_path / "rejects.singer"
    path.touch()
    link = tmp_path / "link"
    if kind == "symlink":
        link.symlink_to(path)
    elif kind == "hard link":
        os.link(path, link)
    else:
        link = path
    file = RejectsFile(path)
    with link.open("rb") as source, pytest.raises(RejectsFileError, match="Move it away before it is loaded"):
        file.refuse_as_input(source)
    with (tmp_path / "other").open("w+b") as source:
        file.refuse_as_input(source)
    file.refuse_as_input(io.BytesIO())


def test_error_at_the_end_names_the_way(tmp_path: Path) -> None:
    """The error of a run that rejected records says where they are and what to do."""
    path = tmp_path / "r"
    advice = (
        "with the reason. Correct and load that file with target-databox, or set rejects_policy to accept."
    )
    assert str(RejectsLeftError(1, path)) == f"1 record was rejected; it is in {path}, {advice}"
    assert str(RejectsLeftError(1200, path)) == f"1,200 records were rejected; they are in {path}, {advice}"
