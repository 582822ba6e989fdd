"""Whatever a server answers, however deep, long or many its parts: it is read in bounded time, or refused."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.answers import MOST_LINES, problems
from target_databox.api.errors import DataboxError, LostAnswerError, RefusedError, problems_text
from target_databox.api.v1.client import DataboxClient as ClientV1
from target_databox.api.v2.client import DataboxClient as ClientV2
from target_databox.api.values import (
    MOST_PROBLEMS,
    Account,
    ApiProblem,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
    Page,
)
from target_databox.delivery.listing import ListWalk
from target_databox.delivery.masking import masked
from target_databox.delivery.rows import Row
from target_databox.destination.lists import whole_list
from target_databox.destination.titles import listed
from tests.command import record, schema
from tests.test_transport import KEY, forever, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Command

# What a busy machine takes for the largest answers; unbounded they took 7 to 80 seconds.
MOST_SECONDS = 4.0
MOST_TEXT = 5_000


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    """A value so many levels deep."""
    return opening * depth + b"1" * (opening != b"[") + closing * depth


def many(item: bytes, count: int) -> bytes:
    """A list of one thing again and again."""
    return b"[" + b",".join([item] * count) + b"]"


DEEP = nested(b"[", b"]", 200_000)
LONG = b'"' + b"x" * 4_000_000 + b'"'
LINES = (
    b"["
    + b",".join(b'{"id":"%d","ingestionId":"x","timezone":"UTC"}' % each for each in range(40_000))
    + b"]"
)

PARTS: dict[str, tuple[bytes, ...]] = {
    "deep": (DEEP, nested(b'{"a":', b"}", 200_000), nested(b"[", b"]", 900), nested(b'{"a":', b"}", 900)),
    "long": (
        LONG,
        b"[" + LONG + b"]",
        b'{"a":' + LONG + b"}",
        b"1" * 4_000_000,
        b'"' + b"\\u0000" * 999_999 + b'"',
    ),
    "many": (
        many(b'{"code":"a","message":"m"}', 200_000),
        many(b'"m"', 200_000),
        LINES,
    ),
    "odd": (b"NaN", b"1e999999999", b'"' + b"\\ud800" * 400_000 + b'"', b'"\xff"', b"-1"),
}
WHOLE = {
    "nothing but depth": b"[" * 8_000_000,
    "objects without end": b'{"a":' * 1_000_000,
    "blanks": b" " * 8_000_000,
    "zeros": b"\x00" * 8_000_000,
    "two bytes a character": '{"errors":[]}'.encode("utf-16"),
}
FIELDS = (
    *("requestId", "status", "errors", "accounts", "timezones", "dataSources", "datasets", "ingestions"),
    *("id", "title", "created", "timezone", "primaryKeys", "schema", "ingestionId", "timestamp", "metrics"),
    *("pagination", "name", "items", "summary", "primaryKey", "role"),
)
# Where large parts stand, beside the errors.
LISTS = ("accounts", "timezones", "dataSources", "datasets", "ingestions", "items")
FRAMES: dict[type[ClientV1 | ClientV2], bytes] = {ClientV1: b"%b", ClientV2: b'{"data":%b}'}
ASKED: dict[str, Callable[[Any], object]] = {
    "key": lambda client: client.validate_key(),
    "accounts": lambda client: client.accounts(),
    "time zones": lambda client: client.timezones(),
    "data sources": lambda client: client.data_sources(1),
    "datasets": lambda client: client.datasets(1),
    "new dataset": lambda client: client.create_dataset("a", 1, [], None, "key"),
    "dataset": lambda client: client.dataset("a"),
    "rows": lambda client: client.post_rows("a", b"{}", "key"),
    "ingestion": lambda client: client.ingestion("a", "b"),
    "ingestions": lambda client: client.ingestions("a"),
}


def answer_of(status: int, body: bytes) -> bytes:
    """An HTTP answer."""
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def bodies(kind: str, frame: bytes) -> list[tuple[int, bytes]]:
    """Statuses and answers that have a part of some kind in their fields, or in a list and an error."""
    if kind == "whole":
        return [(status, body) for body in WHOLE.values() for status in (200, 400)]
    found = []
    for part in PARTS[kind]:
        is_small = len(part) < 500_000
        inner = b",".join(b'"%b":%b' % (name.encode(), part) for name in (FIELDS if is_small else LISTS))
        errors = b'{"errors":%b}' % part
        found += [(200, frame % (b"{" + inner + b"}")), (200, errors), (400, errors)]
    return found


def outcome(ask: Callable[[], object]) -> str:
    """What the user is told of a question; nothing of one that was answered."""
    try:
        ask()
    except DataboxError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", [*PARTS, "whole"])
@pytest.mark.parametrize("client_class", FRAMES)
def test_no_answer_is_too_much(client_class: type[ClientV1 | ClientV2], kind: str) -> None:
    """Every question gets a value of bounded size, or an error that says what failed, in time."""
    for status, body in bodies(kind, FRAMES[client_class]):
        with serving(forever(answer_of(status, body))) as server:
            client = client_class(server.url, KEY, request_timeout_seconds=60)
            for what, ask in ASKED.items():
                began = time.monotonic()
                told = outcome(lambda ask=ask, client=client: ask(client))  # type: ignore[misc] # mypy
                taken = time.monotonic() - began
                assert taken < MOST_SECONDS, (what, status, body[:50], taken)
                assert len(told) < MOST_TEXT, (what, status, body[:50])
                assert told.isprintable()
            client.close()


@pytest.mark.parametrize("client_class", [ClientV1, ClientV2])
@pytest.mark.parametrize("asked", ["ingestions", "time zones"])
def test_pages_are_bounded(client_class: type[ClientV1 | ClientV2], asked: str) -> None:
    """A page may be longer than was asked for, but not without end."""
    line = {"id": "1", "ingestionId": "1", "timezone": "UTC"}

    def page(count: int) -> bytes:
        lines = [line] * count
        return json.dumps({"ingestions": lines, "timezones": lines, "data": {"items": lines}}).encode()

    with serving(forever(answer_of(200, page(MOST_LINES)))) as server:
        ASKED[asked](client_class(server.url, KEY, request_timeout_seconds=60))
    with serving(forever(answer_of(200, page(MOST_LINES + 1)))) as server:
        client = client_class(server.url, KEY, request_timeout_seconds=60)
        with pytest.raises(LostAnswerError):
            ASKED[asked](client)
        if isinstance(client, ClientV2):
            with pytest.raises(LostAnswerError):
                client.rows("a")


@pytest.mark.parametrize("length", [255, 256, 1_000_000])
def test_ids_are_bounded(length: int) -> None:
    """An id stands in addresses: a longer one than any API has is none."""
    body = json.dumps({"ingestionId": "x" * length, "data": {"ingestionId": "x" * length}}).encode()
    for client_class in (ClientV1, ClientV2):
        with serving(forever(answer_of(200, body))) as server:
            client = client_class(server.url, KEY, request_timeout_seconds=60)
            if length <= 255:
                assert client.post_rows("a", b"{}", "key").ingestion_id == "x" * length
            else:
                with pytest.raises(LostAnswerError):
                    client.post_rows("a", b"{}", "key")
            client.close()
    listed = json.dumps({"data": {"items": [{"id": "x" * length}, {"id": "y"}]}}).encode()
    with serving(forever(answer_of(200, listed))) as server:
        client = ClientV2(server.url, KEY, request_timeout_seconds=60)
        found = [entry.id for entry in client.ingestions("a").entries]
        assert found == ["x" * length, "y"][length > 255 :]
        client.close()


@pytest.mark.parametrize("count", [1, 10, 11, 500, 999, 1_000, 500_000])
def test_errors_are_told_in_part(count: int) -> None:
    """Of many errors ten are told, and how many there are more."""
    found = problems(
        [{"code": "bad", "message": f"no {each}"} for each in range(count)], lambda text: str(text)
    )
    assert len(found) == min(count, MOST_PROBLEMS)
    said = problems_text(found, "r-1")
    assert said.count("bad: no") == min(count, 10)
    assert said.endswith(", request id r-1")
    if 10 < count < MOST_PROBLEMS:
        assert f"; and {count - 10} more," in said
    elif count >= MOST_PROBLEMS:
        assert "; and at least 990 more," in said
    else:
        assert "more" not in said


def test_many_words_about_many_rows_are_masked_in_time() -> None:
    """What is said of rows is compared with their values for some seconds at most; the rest is hidden."""
    rows = [Row((each,), b'{"id":%d,"a":"%b"}' % (each, b"value-%d " % each * 500)) for each in range(100)]
    told = [
        ApiProblem("bad", " ".join(f"w{each}x{word}" for word in range(60)), None, None)
        for each in range(MOST_PROBLEMS)
    ]
    error = RefusedError(
        f"Refused: {told[0].message}.",
        method="POST",
        path="/a",
        problems=[*told, ApiProblem(None, "value-7", None, None)],
    )
    began = time.monotonic()
    masked(error, rows)
    assert time.monotonic() - began < 3 * MOST_SECONDS
    assert error.problems[-1].message == "***"
    assert error.problems[0].message == told[0].message


def test_lists_of_names_are_told_in_part() -> None:
    """A message names fifty of many things."""
    assert listed(str(each) for each in range(3)) == "0, 1, 2"
    assert listed(str(each) for each in range(500_000)).endswith(", 49 and 499950 more")
    assert listed([]) == "none"


def test_lists_without_pages_are_bounded() -> None:
    """A server that sends ever more items on every page is given up."""
    asked: list[int] = []

    def read(page: int) -> Page[Account]:
        asked.append(page)
        return Page(tuple(Account(page * 10_000 + each, "a", "b") for each in range(10_000)), None)

    with pytest.raises(Exception, match="items"):
        whole_list(lambda call: call(), "accounts", read)
    assert len(asked) < 30


def test_any_number_of_pages_may_be_claimed() -> None:
    """A list that is said to have billions of pages costs a walk no memory."""
    walk = ListWalk(since=5.0)
    entries = tuple(IngestionEntry(f"i{each}", float(each), IngestionStatus.DONE) for each in range(20))
    walk.read(IngestionsPage(entries, 1, 20, 2**53))
    last = walk.page()
    assert last is not None
    walk.read(IngestionsPage(entries[10:], last, 20, 2**53))
    assert walk.page() == last - 1


def test_titles_of_the_api_are_told_printable(command: Command) -> None:
    """Warnings that list data sources by their titles hold no key and no control character."""
    title = f"Shop \x1b[2J\n\u202e{command.emulator.api_key}"
    for _ in range(2):
        command.emulator.store.create_data_source(title, None)
    run = command.run(schema(), record(id=1), data_source_id=99_999_999)
    assert run.code == 1
    assert "Shop" in run.log
    assert all(line.isprintable() for line in run.log.splitlines())
