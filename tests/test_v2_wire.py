"""Facts on how answers of API v2 are read from their JSON, however odd they are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import requests
import requests_mock
from hypothesis import given, settings
from hypothesis import strategies as st

from target_databox.api.errors import DataboxError, LostAnswerError
from target_databox.api.v2.client import DataboxClient
from tests.test_v1_wire import MARK, NO_ID, NO_NUMBER, RAW, assert_typed, changed, junk, payload_of
from tests.test_v2_client import CALLS, COUNTS, CREATED, URL

if TYPE_CHECKING:
    from collections.abc import Callable


class Route(NamedTuple):
    """An answer's `data` with everything, the paths to what it may lack, and the ids that are read."""

    data: dict[str, Any]
    optional: tuple[str, ...]
    ids: tuple[object, ...] = ()


PAGES = {"page": 0, "pageSize": 100, "totalItems": 1}
OF_PAGES = ("pagination", *(f"pagination.{name}" for name in PAGES))
SOURCE = {"id": 7, "name": "T", "createdAt": CREATED, "timezone": "UTC", "integrationKey": "DataboxAPI"}
DATASET = {"id": 11, "name": "T", "createdAt": CREATED, "dataSourceId": 7, "ingestionInfo": {}}
PROBLEM = {"code": "c", "field": "f", "message": "m", "record": {"id": 1}}
DETAIL = {
    "id": "i",
    "status": "success",
    "initiatedAt": CREATED,
    "duration": 1,
    "summary": {"ingestion": COUNTS, "dataset": {"columnCount": 2, "rowCount": 3}},
    "errors": [PROBLEM],
}


def fields_of(line: dict[str, Any], before: str = "", *, but: str = "id") -> tuple[str, ...]:
    """The paths to the fields of a line that it may lack."""
    return tuple(f"{before}{name}" for name in line if name != but)


ROUTES = {
    "validate key": Route({}, ()),
    "profile": Route({"id": 1, "role": "admin"}, ("id", "role")),
    "organization": Route({"id": 1, "name": "A"}, ("name",), (1,)),
    "accounts": Route(
        {"items": [{"id": 2, "name": "B"}], "pagination": PAGES}, ("items.0.name", *OF_PAGES), (2,)
    ),
    "time zones": Route({"items": [{"offset": "UTC", "timezone": "UTC"}]}, ("items.0.timezone",)),
    "data sources": Route(
        {"items": [SOURCE], "pagination": PAGES}, (*fields_of(SOURCE, "items.0."), *OF_PAGES), (7,)
    ),
    "data source": Route(SOURCE, fields_of(SOURCE), (7,)),
    "new data source": Route(SOURCE, fields_of(SOURCE), (7,)),
    "datasets": Route(
        {"items": [DATASET], "pagination": PAGES}, (*fields_of(DATASET, "items.0."), *OF_PAGES), ("11",)
    ),
    "new dataset": Route(DATASET, fields_of(DATASET), ("11",)),
    "schema": Route(
        {"items": [{"id": "a", "dataType": "number"}], "primaryKey": ["a"]},
        ("items", "items.0", "items.0.id", "items.0.dataType", "primaryKey", "primaryKey.0"),
        ("11",),
    ),
    "purge": Route({}, ()),
    "rows": Route({"ingestionId": "i", "message": "m", "status": "accepted"}, ("message", "status"), ("i",)),
    "ingestion": Route(
        DETAIL,
        (
            *fields_of(DETAIL, but=""),
            *("summary.ingestion", "summary.dataset", "errors.0"),
            *(f"summary.ingestion.{name}" for name in COUNTS),
            *("summary.dataset.columnCount", "summary.dataset.rowCount"),
            *(f"errors.0.{name}" for name in PROBLEM),
        ),
        ("i",),
    ),
    "ingestions": Route(
        {"items": [{"id": "i", "initiatedAt": CREATED, "status": "success"}], "pagination": PAGES},
        ("items.0.initiatedAt", "items.0.status", *OF_PAGES),
        ("i",),
    ),
    "facts": Route({"id": 11, "rowCount": 5, "dataSourceId": 7}, ("id", "rowCount", "dataSourceId")),
    "rows back": Route({"items": [{"a": 1}], "pagination": PAGES, "schema": []}, ("schema", *OF_PAGES)),
}
every_route = pytest.mark.parametrize("name", ROUTES)


def answered(call: Callable[[DataboxClient], Any], payload: bytes, status: int = 200) -> Any:
    """What the client makes of an answer."""
    http = requests_mock.Adapter()
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=payload, status_code=status)

    def new_session() -> requests.Session:
        session = requests.Session()
        session.mount("https://", http)
        return session

    client = DataboxClient(URL, "pak_1", request_timeout_seconds=5, account_id=5, new_session=new_session)
    try:
        return call(client)
    finally:
        client.close()


def good(name: str) -> dict[str, Any]:
    """A good answer with everything, and with more than that; a copy."""
    answer = {"requestId": "r", "status": "success", "more": 1, "data": ROUTES[name].data}
    return dict(json.loads(json.dumps(answer)))


def paths_of(name: str) -> list[str]:
    """The paths to everything that an answer may lack."""
    return [*(f"data.{path}" for path in ROUTES[name].optional), "requestId", "status", "more"]


def ids_of(found: Any) -> tuple[object, ...]:
    """The ids in what the client answered."""
    if hasattr(found, "entries") or hasattr(found, "items"):
        found = getattr(found, "entries", None) or found.items
    lines = found if isinstance(found, tuple) else (found,)
    ids = (getattr(line, "id", None) or getattr(line, "ingestion_id", None) for line in lines)
    return tuple(each for each in ids if each)


def test_every_route_is_here() -> None:
    """Every call of the client has an answer."""
    assert ROUTES.keys() == CALLS.keys()


@every_route
@given(data=st.data())
def test_odd_parts_hide_nothing(name: str, data: st.DataObject) -> None:
    """Whatever the optional parts of a good answer hold, it is read, and its values have their types."""
    answer = good(name)
    odd = data.draw(st.lists(st.sampled_from(paths_of(name)), max_size=4, unique=True))
    # Parts before what holds them.
    for path in sorted(odd, key=lambda path: -path.count(".")):
        changed(answer, path, data.draw(junk), is_there=data.draw(st.booleans()))
    found = answered(CALLS[name], payload_of(answer))
    assert_typed(found)
    assert ids_of(found) == ROUTES[name].ids


@every_route
def test_odd_bytes_hide_nothing(name: str) -> None:
    """Numbers and texts that JSON does not know, or Python can't hold, hide no answer wherever they stand."""
    for path in paths_of(name):
        for number in range(len(RAW)):
            answer = good(name)
            changed(answer, path, MARK.format(number), is_there=True)
            found = answered(CALLS[name], payload_of(answer))
            assert_typed(found)
            assert ids_of(found) == ROUTES[name].ids


NO_DATA = (..., None, [], "x", 7)
OF_LISTS = {"data": NO_DATA, "data.items": ({}, "x", 7, [7], [None], [[]])}
OF_THINGS = {"data": NO_DATA, "data.id": NO_NUMBER}
REQUIRED: dict[str, dict[str, tuple[object, ...]]] = {
    "accounts": OF_LISTS,
    "time zones": OF_LISTS,
    "data sources": OF_LISTS,
    "datasets": OF_LISTS,
    "ingestions": OF_LISTS,
    "rows back": OF_LISTS,
    "data source": OF_THINGS,
    "new data source": OF_THINGS,
    "new dataset": OF_THINGS,
    "rows": {"data": NO_DATA, "data.ingestionId": NO_ID},
    **{name: {"data": ([], "x", 7)} for name in ("profile", "organization", "schema", "ingestion", "facts")},
}


@pytest.mark.parametrize("name", REQUIRED)
def test_what_is_required_must_be_there(name: str) -> None:
    """Without its data or its id, or with a part of another type, an answer says nothing, and is lost."""
    for path, values in REQUIRED[name].items():
        for value in values:
            answer = good(name)
            changed(answer, path, value, is_there=value is not ...)
            with pytest.raises(LostAnswerError):
                answered(CALLS[name], payload_of(answer))


@every_route
def test_what_is_optional_may_be_missing(name: str) -> None:
    """An answer without any of its optional parts is read."""
    for path in paths_of(name):
        answer = good(name)
        changed(answer, path, None, is_there=False)
        found = answered(CALLS[name], payload_of(answer))
        assert_typed(found)
        assert ids_of(found) == ROUTES[name].ids


def test_facts_may_be_null() -> None:
    """Where nothing is required, an answer whose data is null is one that tells nothing."""
    payload = b'{"data":null}'
    assert answered(CALLS["profile"], payload) is None
    assert ids_of(answered(CALLS["organization"], payload)) == ()
    assert answered(CALLS["schema"], payload).primary_keys is None
    assert answered(CALLS["ingestion"], payload).received is None
    assert answered(CALLS["facts"], payload).row_count is None


@every_route
@settings(max_examples=40)
@given(answer=junk, data=junk, status=st.sampled_from([200, 201, 400, 403, 404, 409, 422, 429, 500]))
def test_any_json_is_an_answer_or_an_error(name: str, answer: object, data: object, status: int) -> None:
    """Whatever JSON an answer is, it is read, or it is an error of the API: there is none of another kind."""
    for one in (answer, {"data": answer}, {"data": {"items": data, "id": answer}, "errors": answer}):
        try:
            found = answered(CALLS[name], payload_of(one), status)
        except DataboxError as error:
            str(error).encode()
        else:
            assert_typed(found)


@given(junk)
def test_odd_errors_hide_no_ingestion(errors: object) -> None:
    """An acceptance stays one whatever its list of errors is, and so does an outcome."""
    for name in ("rows", "ingestion"):
        found = answered(CALLS[name], payload_of({**good(name), "errors": errors}))
        assert_typed(found)
        assert ids_of(found) == ("i",)


def test_errors_of_an_ingestion_are_in_its_data() -> None:
    """The rejected rows are those in `data`; an envelope's errors count where there are none."""
    of_envelope = {"errors": [{"code": "of the envelope"}]}
    [problem] = answered(CALLS["ingestion"], payload_of({**good("ingestion"), **of_envelope})).errors
    assert (problem.code, problem.record) == ("c", {"id": 1})
    [problem] = answered(CALLS["ingestion"], payload_of({"data": {"errors": None}, **of_envelope})).errors
    assert problem.code == "of the envelope"


@pytest.mark.parametrize("one", ["7", '"7"', "7.0", "null", "true", "-7", "1e400", "12345678901234567890123"])
def test_odd_ids_end_nothing(one: str) -> None:
    """An id of an odd kind is a number, or it is left out of a list and makes a creation a lost one."""
    line = b'{"id":%s,"name":"T"}' % one.encode()
    sources = answered(CALLS["data sources"], b'{"data":{"items":[%s]}}' % line).items
    assert all(type(source.id) is int for source in sources)
    assert bool(sources) == (one in {"7", "-7", "12345678901234567890123"})
    for name in ("new data source", "new dataset"):
        try:
            made = answered(CALLS[name], b'{"data":%s}' % line)
        except LostAnswerError:
            assert one not in {"7", "-7"}
        else:
            assert str(made.id).lstrip("-").isdecimal()


def test_odd_ingestion_ids_are_ids() -> None:
    """An id that holds what can't be sent is read, and asked about, without an error of another kind."""
    found = answered(CALLS["rows"], b'{"data":{"ingestionId":"i\\ud800"}}')
    assert found.ingestion_id == "i?"


@pytest.mark.parametrize("field", ["requestId", "status", "errors", "data", "more"])
def test_deep_answers_end_nothing(field: str) -> None:
    """However deep an answer is nested, it is read or it is lost: there is no error of another kind."""
    outcomes = set()
    for depth in (5, *range(850, 1010, 3), 2000, 100_000):
        deep = b'{"errors":[' * (depth // 2) + b"]}" * (depth // 2)
        payload = b'{"data":null,"%s":%s}' % (field.encode(), deep)
        try:
            answered(CALLS["ingestion"], payload)
        except LostAnswerError:
            outcomes.add("lost")
        else:
            outcomes.add("read")
    assert outcomes == {"read", "lost"}
