"""Facts on how the API's answers are read from its JSON, however odd they are."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, NamedTuple, get_args, get_type_hints

import pytest
import requests
import requests_mock
from hypothesis import example, given
from hypothesis import strategies as st

from target_databox.api import answers, values
from target_databox.api.errors import LostAnswerError
from target_databox.api.v1.client import DataboxClient

if TYPE_CHECKING:
    from collections.abc import Callable

URL = "https://api.databox.test"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff", b'{"a":', b'"text"', b"7"])
def test_unreadable_bodies_tell_nothing(body: bytes) -> None:
    """The body of a failed answer may be anything without harm."""
    assert answers.envelope_of(body) == answers.Envelope()


class Route(NamedTuple):
    """A call of the client, an answer to it with everything, and the paths to what the answer may lack."""

    call: Callable[[DataboxClient], Any]
    answer: dict[str, Any]
    optional: tuple[str, ...]


TIMES = "2025-10-01T12:00:00.000000Z"
COUNTS = dict.fromkeys(
    (f"{kind}RecordsCount" for kind in ("received", "appended", "overwritten", "rejected")), 4
)
OF_DATASET = {"columnsCount": 4, "totalDatasetRecordsCount": 9}
SOURCE = {"id": 7, "title": "T", "created": TIMES, "timezone": "UTC", "key": "k", "ingestionSupported": True}
DATASET = {"id": "d", "title": "T", "created": TIMES}
SOURCE_FIELDS = ("title", "created", "timezone", "key", "ingestionSupported")
ROUTES = {
    "accounts": Route(
        lambda client: client.accounts(),
        {"accounts": [{"id": 1, "name": "A", "accountType": "agency"}]},
        ("accounts.0.name", "accounts.0.accountType"),
    ),
    "timezones": Route(
        lambda client: client.timezones(),
        {"timezones": [{"offset": "UTC", "timezone": "UTC"}]},
        ("timezones.0", "timezones.0.timezone"),
    ),
    "data sources": Route(
        lambda client: client.data_sources(1),
        {"dataSources": [SOURCE]},
        tuple(f"dataSources.0.{name}" for name in SOURCE_FIELDS),
    ),
    "new data source": Route(
        lambda client: client.create_data_source("T", 1, "UTC"),
        SOURCE,
        SOURCE_FIELDS,
    ),
    "datasets": Route(
        lambda client: client.datasets(7),
        {"datasets": [DATASET]},
        ("datasets.0.title", "datasets.0.created"),
    ),
    "new dataset": Route(lambda client: client.create_dataset("T", 7, []), DATASET, ("title", "created")),
    "dataset": Route(
        lambda client: client.dataset("d"),
        {**DATASET, "dataSourceId": 7, "primaryKeys": ["a"], "schema": []},
        ("id", "title", "created", "dataSourceId", "primaryKeys", "schema"),
    ),
    "rows": Route(
        lambda client: client.post_rows("d", b"{}"), {"ingestionId": "i", "message": "m"}, ("message",)
    ),
    "ingestion": Route(
        lambda client: client.ingestion("d", "i"),
        {
            "ingestionId": "i",
            "timestamp": TIMES,
            "metrics": {"datasetMetrics": OF_DATASET, "ingestionMetrics": COUNTS},
        },
        (
            *("ingestionId", "timestamp", "metrics", "metrics.datasetMetrics", "metrics.ingestionMetrics"),
            *(f"metrics.ingestionMetrics.{name}" for name in COUNTS),
            *(f"metrics.datasetMetrics.{name}" for name in OF_DATASET),
        ),
    ),
    "ingestions": Route(
        lambda client: client.ingestions("d"),
        {
            "ingestions": [{"ingestionId": "i", "timestamp": TIMES, "status": "success"}],
            "pagination": {"page": 1, "pageSize": 100, "totalItems": 1},
        },
        (
            *("ingestions.0.timestamp", "ingestions.0.status", "pagination"),
            *(f"pagination.{name}" for name in ("page", "pageSize", "totalItems")),
        ),
    ),
}
ENVELOPE = {"requestId": "r", "status": "success", "errors": []}

# What only the bytes of an answer can say.
RAW = (
    *(b"NaN", b"-Infinity", b"1e999", b"-1e999", b"1" + b"0" * 5000, b"0.1e-999", b"-0", b"4.0", b"1e2"),
    *(b'"\xff\xfe"', b'"\xed\xa0\x80"', b'"\\ud800"', b'"\\udc00x"', b'"\\u0000"', b"[" * 300 + b"]" * 300),
)
MARK = "@raw {}@"
plain = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["4", "4.0", "true", "null", "success", "{}", TIMES, "x" * 400])
    | st.integers(0, len(RAW) - 1).map(MARK.format)
)
junk = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "message", "receivedRecordsCount", "totalItems", "timezone"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


def changed(answer: Any, path: str, value: object, *, is_there: bool) -> None:
    """Put a value where a path leads, or take away what is there."""
    *way, last = path.split(".")
    for step in way:
        answer = answer[int(step) if isinstance(answer, list) else step]
    if is_there:
        answer[int(last) if isinstance(answer, list) else last] = value
    elif isinstance(answer, dict):
        del answer[last]


def payload_of(answer: object) -> bytes:
    """The bytes of an answer, marks replaced by what they stand for."""
    payload = json.dumps(answer).encode()
    for number, raw in enumerate(RAW):
        payload = payload.replace(json.dumps(MARK.format(number)).encode(), raw)
    return payload


def answered(call: Callable[[DataboxClient], Any], payload: bytes) -> Any:
    """What the client makes of an answer."""
    http = requests_mock.Adapter()
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=payload)

    def new_session() -> requests.Session:
        session = requests.Session()
        session.mount("https://", http)
        return session

    client = DataboxClient(URL, "pak_1", request_timeout_seconds=5, new_session=new_session)
    try:
        return call(client)
    finally:
        client.close()


def assert_typed(value: Any) -> None:
    """Everything in a value is of the type that its class declares, and can be written anywhere."""
    if isinstance(value, str):
        value.encode()
    if isinstance(value, tuple):
        for each in value:
            assert_typed(each)
    if not dataclasses.is_dataclass(value):
        return
    for name, hint in get_type_hints(type(value), {**vars(values), "Mapping": dict}).items():
        held = getattr(value, name)
        kinds = [getattr(kind, "__origin__", kind) for kind in get_args(hint) or (hint,)]
        if hasattr(hint, "__origin__"):
            kinds = [hint.__origin__]
        assert hint is Any or type(held) in kinds, f"{name} is {held!r}"
        assert_typed(held)


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@given(data=st.data())
def test_odd_parts_hide_nothing(route: Route, data: st.DataObject) -> None:
    """Whatever the optional parts of a good answer hold, it is read, and its values have their types."""
    answer = json.loads(json.dumps({**ENVELOPE, "more": 1, **route.answer}))
    paths = [*route.optional, "requestId", "status", "more"]
    odd = data.draw(st.lists(st.sampled_from(paths), max_size=4, unique=True))
    # Parts before what holds them.
    for path in sorted(odd, key=lambda path: -path.count(".")):
        changed(answer, path, data.draw(junk), is_there=data.draw(st.booleans()))
    found = answered(route.call, payload_of(answer))
    assert_typed(found)
    assert ids_of(found) == ids_of(route.answer)


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_odd_bytes_hide_nothing(route: Route) -> None:
    """Numbers and texts that JSON does not know, or Python can't hold, hide no answer wherever they stand."""
    good = {**ENVELOPE, "more": 1, **route.answer}
    for path in (*route.optional, "requestId", "status", "more"):
        for number in range(len(RAW)):
            answer = json.loads(json.dumps(good))
            changed(answer, path, MARK.format(number), is_there=True)
            found = answered(route.call, payload_of(answer))
            assert_typed(found)
            assert ids_of(found) == ids_of(route.answer)


# What is no list, no number and no text that is an id; the first is a field that is missing.
NO_LIST = (..., None, {}, "x", 7)
NO_NUMBER = (..., None, "7", 7.5, True, [7], {})
NO_ID = (..., None, "", 7, ["i"], {}, "x" * 256)
REQUIRED = {
    "accounts": {"accounts": NO_LIST, "accounts.0": (None, 7, []), "accounts.0.id": NO_NUMBER},
    "timezones": {"timezones": NO_LIST},
    "data sources": {"dataSources": NO_LIST, "dataSources.0": (None, 7, []), "dataSources.0.id": NO_NUMBER},
    "new data source": {"id": NO_NUMBER},
    "datasets": {"datasets": NO_LIST, "datasets.0": (None, 7, []), "datasets.0.id": NO_ID},
    "new dataset": {"id": NO_ID},
    "rows": {"ingestionId": NO_ID},
    "ingestions": {
        "ingestions": NO_LIST,
        "ingestions.0": (None, 7, []),
        "ingestions.0.ingestionId": NO_ID,
    },
}


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_required_must_be_there(name: str) -> None:
    """Without its list or its id, or with one of another type, an answer says nothing, and is lost."""
    for path, values_ in REQUIRED[name].items():
        for value in values_:
            answer = json.loads(json.dumps({**ENVELOPE, **ROUTES[name].answer}))
            changed(answer, path, value, is_there=value is not ...)
            with pytest.raises(LostAnswerError):
                answered(ROUTES[name].call, payload_of(answer))


@pytest.mark.parametrize("name", ROUTES)
def test_what_is_optional_may_be_missing(name: str) -> None:
    """An answer without any of its optional parts is read."""
    for path in (*ROUTES[name].optional, "requestId", "status", "errors"):
        answer = json.loads(json.dumps({**ENVELOPE, **ROUTES[name].answer}))
        changed(answer, path, None, is_there=False)
        found = answered(ROUTES[name].call, payload_of(answer))
        assert_typed(found)
        assert ids_of(found) == ids_of(ROUTES[name].answer)


def test_odd_ids_are_ids() -> None:
    """An id that holds what can't be sent is read, and asked about, without an error of another kind."""
    payload = b'{"ingestionId":"i\\ud800"}'
    assert answered(ROUTES["rows"].call, payload).ingestion_id == "i?"


def ids_of(found: Any) -> object:
    """The ids in what the client answered, or in what it was told."""
    if isinstance(found, (tuple, list)):
        return [each for each in map(ids_of, found) if each]
    if isinstance(found, dict):
        inner = [value for value in found.values() if isinstance(value, list)]
        return found.get("ingestionId") or found.get("id") or (ids_of(inner[0]) if inner else None)
    if hasattr(found, "entries"):
        return ids_of(found.entries)
    if hasattr(found, "items"):
        return ids_of(found.items)
    return getattr(found, "id", None) or getattr(found, "ingestion_id", None)


@given(junk)
@example("no")
@example([["nested"], {"code": 7, "message": ["m"]}, None])
def test_odd_errors_hide_no_ingestion(errors: object) -> None:
    """An acceptance stays one whatever its list of errors is, and so does an outcome."""
    for name in ("rows", "ingestion"):
        route = ROUTES[name]
        found = answered(route.call, payload_of({**ENVELOPE, **route.answer, "errors": errors}))
        assert_typed(found)
        assert ids_of(found) == "i"


@pytest.mark.parametrize("field", ["requestId", "status", "errors", "metrics", "more"])
def test_deep_answers_end_nothing(field: str) -> None:
    """However deep an answer is nested, it is read or it is lost: there is no error of another kind."""
    depths = [*range(850, 1010, 3), 2000, 100_000]
    outcomes = set()
    for depth in depths:
        payload = b'{"%s":%s%s}' % (field.encode(), b"[" * depth, b"]" * depth)
        try:
            answered(ROUTES["ingestion"].call, payload)
        except LostAnswerError:
            outcomes.add("lost")
        else:
            outcomes.add("read")
    assert outcomes == {"read", "lost"}
