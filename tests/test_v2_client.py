"""Facts on the client's routes of API v2: what is sent, what is understood, and which error it becomes."""

from __future__ import annotations

import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import requests
import requests_mock

from target_databox.api.errors import (
    DataboxError,
    IdempotencyError,
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from target_databox.api.v2.client import DataboxClient
from target_databox.api.values import (
    Accepted,
    Account,
    ApiProblem,
    Dataset,
    DatasetDetail,
    DatasetFacts,
    DataSource,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
    Page,
    RowsPage,
)
from tests.test_v1_client import Column, Http

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

URL = "https://api.databox.test"
KEY = "pak_canary-0815"
ONCE = str(uuid.UUID(int=7))
CREATED = "2025-10-01T12:00:00+00:00"
EPOCH = 1759320000.0
COUNTS = {
    "receivedRecordCount": 4,
    "appendedRecordCount": 2,
    "overwrittenRecordCount": 1,
    "rejectedRecordCount": 1,
}


def answer(data: Any = None, **more: Any) -> dict[str, Any]:
    """A good answer."""
    return {"requestId": "r-1", "status": "success", "data": data, **more}


def items(*lines: Any, total: Any = None) -> dict[str, Any]:
    """A good answer with a page of a list."""
    pages = {"page": 0, "pageSize": 100, "totalItems": len(lines) if total is None else total}
    return answer({"items": list(lines), "pagination": pages})


@pytest.fixture
def http() -> Http:
    """The API as canned answers."""
    return Http()


@pytest.fixture
def make_client(http: Http) -> Iterator[Callable[..., DataboxClient]]:
    """Makes clients of that API."""
    made: list[DataboxClient] = []

    def new_session() -> requests.Session:
        session = requests.Session()
        session.mount("https://", http)
        return session

    def make(**options: Any) -> DataboxClient:
        made.append(DataboxClient(URL, KEY, request_timeout_seconds=5, new_session=new_session, **options))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(make_client: Callable[..., DataboxClient]) -> DataboxClient:
    """A client of that API, without a configured account."""
    return make_client()


def asked(http: Http) -> str:
    """The newest request: its method, its path and its query."""
    request = http.last_request
    return f"{request.method} {request.url.removeprefix(URL)}"


@pytest.mark.parametrize(
    "content", [b"", b" ", b"{}", b'{"data":null}', b'{"data":{"more":1}}', b'{"data":[]}']
)
def test_key_is_validated(client: DataboxClient, http: Http, content: bytes) -> None:
    """Validating sends the key in its header; an answer without a body is a good one, whatever it holds."""
    http.get(f"{URL}/v2/auth/validate-key", content=content)
    client.validate_key()
    assert http.last_request.headers["x-api-key"] == KEY


def test_validation_with_errors_is_a_refusal(client: DataboxClient, http: Http) -> None:
    """A validation that is answered with errors is none."""
    http.get(f"{URL}/v2/auth/validate-key", json=answer({}, errors=[{"message": "No."}]))
    with pytest.raises(RefusedError, match=r"^GET /v2/auth/validate-key was answered with errors \(No, "):
        client.validate_key()


@pytest.mark.parametrize(
    ("data", "role"),
    [
        ({"role": "viewer"}, "viewer"),
        ({"role": f"odd\n{KEY}"}, "odd ***"),
        *(({"role": None}, None), ({"role": 7}, None), ({}, None), (None, None)),
    ],
)
def test_roles_are_read(client: DataboxClient, http: Http, data: Any, role: str | None) -> None:
    """The role of the key's user comes from the profile, safe to print; without one there is none."""
    http.get(f"{URL}/v2/profile", json=answer(data))
    assert client.role() == role


def test_accounts_begin_with_the_own(client: DataboxClient, http: Http) -> None:
    """The first page is the key's own organization, those behind it are pages of the managed accounts."""
    http.get(f"{URL}/v2/organization", json=answer({"id": 1, "name": "A", "more": 1}))
    http.get(
        f"{URL}/v2/accounts", json=items({"id": 2, "name": None}, {"id": "3"}, {"id": True}, {}, total=101)
    )
    assert client.accounts(1) == Page((Account(1, "A", "organization"),), None)
    assert asked(http) == "GET /v2/organization"
    assert client.accounts(2) == Page((Account(2, "", "organization"),), 102)
    assert asked(http) == "GET /v2/accounts?page=0&pageSize=100"
    client.accounts(3)
    assert asked(http) == "GET /v2/accounts?page=1&pageSize=100"


@pytest.mark.parametrize("status", [400, 403, 404])
def test_who_manages_none_has_one_account(client: DataboxClient, http: Http, status: int) -> None:
    """A refused list of managed accounts is an empty one; a wrong key stays one."""
    http.get(f"{URL}/v2/accounts", status_code=status, json={"errors": [{"code": "invalid_input"}]})
    assert client.accounts(2) == Page((), None)
    http.get(f"{URL}/v2/accounts", status_code=401)
    with pytest.raises(KeyRefusedError):
        client.accounts(2)


@pytest.mark.parametrize("data", [{}, None, {"id": None}, {"id": "1"}, {"id": True}])
def test_organizations_need_an_id(client: DataboxClient, http: Http, data: Any) -> None:
    """An organization without a number is no account."""
    http.get(f"{URL}/v2/organization", json=answer(data))
    assert client.accounts(1) == Page((), None)


def test_time_zones_are_read(client: DataboxClient, http: Http) -> None:
    """Time zones are asked for under the organization; what is none is left out."""
    lines = [
        {"offset": "UTC+1", "timezone": "Europe/Berlin"},
        *({"timezone": None}, {"offset": "UTC"}, {"timezone": ""}, {"timezone": 7}),
    ]
    http.get(f"{URL}/v2/organization/timezones", json=answer({"items": lines}))
    assert client.timezones() == ("Europe/Berlin",)
    assert asked(http) == "GET /v2/organization/timezones"


def test_data_sources_are_read(client: DataboxClient, http: Http) -> None:
    """Data sources may lack everything but their id; only those of the API are sure to take rows."""
    http.get(
        f"{URL}/v2/data-sources",
        json=items(
            {"id": 7, "name": "T", "createdAt": CREATED, "timezone": "UTC", "integrationKey": "DataboxAPI"},
            {"id": 8, "name": None, "integrationKey": "GoogleAnalytics4"},
            {"id": 9, "integrationKey": None},
            {"name": "no id"},
            total=250,
        ),
    )
    assert client.data_sources(1, 3) == Page(
        (
            DataSource(7, "T", CREATED, "UTC", ingestion_supported=True),
            DataSource(8, None, None, None, ingestion_supported=None),
            DataSource(9, None, None, None, ingestion_supported=None),
        ),
        250,
    )
    assert asked(http) == "GET /v2/data-sources?page=2&pageSize=100"


def test_data_sources_are_created(client: DataboxClient, http: Http) -> None:
    """A creation sends name and time zone, and no integration."""
    made = {"id": 7, "name": "T", "createdAt": CREATED, "timezone": "UTC", "integrationKey": "DataboxAPI"}
    http.post(f"{URL}/v2/data-sources", json=answer(made))
    assert client.create_data_source("T", 1, "UTC", ONCE) == DataSource(7, "T", CREATED, "UTC")
    assert http.last_request.json() == {"name": "T", "timezone": "UTC"}
    assert http.last_request.headers["Content-Type"] == "application/json"
    http.post(f"{URL}/v2/data-sources", json=answer({"id": 8}))
    found = client.create_data_source("Ü", None, None, ONCE)
    assert found == DataSource(8, None, None, None, ingestion_supported=None)
    assert http.last_request.json() == {"name": "Ü"}


def test_one_data_source_is_read(client: DataboxClient, http: Http) -> None:
    """A data source can be read by its id; one that is gone is missing."""
    http.get(f"{URL}/v2/data-sources/7", json=answer({"id": 7, "name": "T"}))
    assert client.data_source(7) == DataSource(7, "T", None, None, ingestion_supported=None)
    http.get(f"{URL}/v2/data-sources/7", status_code=404)
    with pytest.raises(MissingError):
        client.data_source(7)


def test_datasets_are_read(client: DataboxClient, http: Http) -> None:
    """The datasets of all data sources are listed: the filter by one is not trusted."""
    lines = [
        {"id": 11, "name": "T", "createdAt": CREATED, "dataSourceId": 7},
        {"id": 12, "name": None, "dataSourceId": "7"},
        {"id": "x"},
    ]
    http.get(f"{URL}/v2/datasets", json=items(*lines))
    assert client.datasets(7, 2) == Page((Dataset("11", "T", CREATED, 7), Dataset("12", None, None, None)), 3)
    assert asked(http) == "GET /v2/datasets?page=1&pageSize=100"


def test_datasets_are_created(client: DataboxClient, http: Http) -> None:
    """A creation sends keys, also that there are none, and the declared columns that have a type."""
    http.post(f"{URL}/v2/datasets", json=answer({"id": 11, "name": "T", "createdAt": CREATED}))
    columns = [Column("a", "number"), Column("b", None)]
    assert client.create_dataset("T", 7, ["a"], columns, ONCE) == Dataset("11", "T", CREATED)
    assert http.last_request.json() == {
        "name": "T",
        "dataSourceId": 7,
        "primaryKey": ["a"],
        "schema": [{"id": "a", "dataType": "number"}],
    }
    http.post(f"{URL}/v2/datasets", json=answer({"id": 12}))
    assert client.create_dataset("T", 7, [], None, ONCE) == Dataset("12", None, None)
    assert http.last_request.json() == {"name": "T", "dataSourceId": 7, "primaryKey": []}


@pytest.mark.parametrize(
    ("data", "keys", "types"),
    [
        (
            {"items": [{"id": "a", "dataType": "number", "displayName": "A"}], "primaryKey": ["b", "a"]},
            ("b", "a"),
            {"a": "number"},
        ),
        ({"items": None, "primaryKey": []}, (), {}),
        ({"items": [{"id": None}, 7, {"id": "a", "dataType": None}], "primaryKey": None}, None, {}),
        ({"primaryKey": "a"}, None, {}),
        ({"primaryKey": ["a", None]}, None, {}),
        ({"primaryKey": {}}, None, {}),
        ({}, None, {}),
        (None, None, {}),
    ],
)
def test_schemas_tell_keys_and_columns(
    client: DataboxClient, http: Http, data: Any, keys: Any, types: Any
) -> None:
    """Keys and columns come from the schema; an empty list is no keys, and null or odd ones are not known."""
    http.get(f"{URL}/v2/datasets/11/schema", json=answer(data))
    assert client.dataset("11") == DatasetDetail("11", keys, types)


@pytest.mark.parametrize(
    ("data", "facts"),
    [
        ({"rowCount": 5, "dataSourceId": 7}, DatasetFacts(5, 7)),
        ({"rowCount": "5", "dataSourceId": "7"}, DatasetFacts(5, None)),
        ({"rowCount": None}, DatasetFacts(None, None)),
        (None, DatasetFacts(None, None)),
    ],
)
def test_datasets_tell_how_many_rows_they_hold(
    client: DataboxClient, http: Http, data: Any, facts: DatasetFacts
) -> None:
    """The rows of a dataset and its data source are read; what is missing or odd is not known."""
    http.get(f"{URL}/v2/datasets/11", json=answer(data))
    assert client.dataset_facts("11") == facts


def test_rows_are_read_back(client: DataboxClient, http: Http) -> None:
    """A page of rows has every digit, its total, and which columns are hidden; pages count from 0 there."""
    text = (
        '{"data": {"items": [{"n": 1.10000000000000000001, "big": 12345678901234567890123,'
        ' "s": null, "e": 1e400, "more": 1e9999999999999999999}],'
        ' "pagination": {"totalItems": 2001}, "schema": [{"id": "s", "visible": false}, {"id": "n"}, 7,'
        ' {"id": "n", "visible": 0},'
        ' {"id": "", "visible": false}, {"id": 7, "visible": false}, {"visible": false}]}}'
    )
    http.get(f"{URL}/v2/datasets/11/data", text=text)
    page = client.rows("11", 3)
    assert page == RowsPage(
        (
            {
                "n": Decimal("1.10000000000000000001"),
                "big": 12345678901234567890123,
                "s": None,
                "e": Decimal("1e400"),
                "more": "1e9999999999999999999",
            },
        ),
        2001,
        ("s",),
    )
    assert http.last_request.qs == {"page": ["2"], "pagesize": ["1000"]}


def test_columns_of_an_answer_are_bounded(client: DataboxClient, http: Http) -> None:
    """Ten thousand columns of a schema are read and no more; more primary keys than that are not known."""
    lines = [{"id": f"c{each}", "dataType": "number", "visible": False} for each in range(10_001)]
    keys = [line["id"] for line in lines]
    http.get(f"{URL}/v2/datasets/11/schema", json=answer({"items": lines, "primaryKey": keys}))
    http.get(f"{URL}/v2/datasets/11/data", json=answer({"schema": lines}))
    assert client.dataset("11") == DatasetDetail("11", None, dict.fromkeys(keys[:-1], "number"))
    assert client.rows("11").hidden_columns == tuple(keys[:-1])
    http.get(f"{URL}/v2/datasets/11/schema", json=answer({"primaryKey": keys[:-1]}))
    assert client.dataset("11").primary_keys == tuple(keys[:-1])


@pytest.mark.parametrize("data", [{}, {"items": None, "pagination": None, "schema": None}, {"schema": "x"}])
def test_rows_may_be_none(client: DataboxClient, http: Http, data: Any) -> None:
    """A page without rows is empty, whatever else is missing."""
    http.get(f"{URL}/v2/datasets/11/data", json=answer(data))
    assert client.rows("11") == RowsPage((), None)


def test_rows_need_access(client: DataboxClient, http: Http) -> None:
    """A key that may not read rows gets an error that says who may."""
    http.get(f"{URL}/v2/datasets/11/data", status_code=403, json={})
    with pytest.raises(KeyRefusedError, match="needs a user with access to the dataset"):
        client.rows("11")


def test_rows_are_posted(client: DataboxClient, http: Http) -> None:
    """Rows go out byte by byte as they were encoded, with the key that they were given."""
    http.post(
        f"{URL}/v2/datasets/11/data", json=answer({"ingestionId": "i", "message": "m", "status": "accepted"})
    )
    body = b'{"records":[{"n":1.10}]}'
    assert client.post_rows("11", body, ONCE) == Accepted("i", (), "r-1")
    assert http.last_request.body == body


def test_accepted_rows_may_have_errors(client: DataboxClient, http: Http) -> None:
    """An acceptance with errors and an ingestion is one."""
    http.post(f"{URL}/v2/datasets/11/data", json=answer({"ingestionId": "i"}, errors=[{"message": "m"}]))
    assert client.post_rows("11", b"{}", ONCE).errors == (ApiProblem(None, "m", None, None),)


@pytest.mark.parametrize("data", [None, {}, {"ingestionId": None}, {"ingestionId": ""}, {"ingestionId": 7}])
def test_errors_without_ingestion_refuse(client: DataboxClient, http: Http, data: Any) -> None:
    """A 2xx to rows with errors and without an ingestion is a refusal."""
    http.post(f"{URL}/v2/datasets/11/data", json=answer(data, errors=[{"code": "c", "message": "Bad."}]))
    with pytest.raises(RefusedError) as caught:
        client.post_rows("11", b"{}", ONCE)
    assert str(caught.value) == (
        "POST /v2/datasets/11/data was answered with status 200 but with errors (c: Bad, request id r-1); "
        "the API refused it."
    )


@pytest.mark.parametrize("content", [b"", b"{}", b'{"data":null}', b'{"data":{}}', b'{"data":[]}'])
def test_purges_may_be_empty(client: DataboxClient, http: Http, content: bytes) -> None:
    """A purge sends no body, and any 2xx without errors says that it was done."""
    http.post(f"{URL}/v2/datasets/11/purge", content=content)
    client.purge("11", ONCE)
    assert http.last_request.body is None


def test_purges_with_errors_are_refused(client: DataboxClient, http: Http) -> None:
    """A purge that is answered with errors was not done."""
    http.post(f"{URL}/v2/datasets/11/purge", json=answer({}, errors=[{"message": "No."}]))
    with pytest.raises(RefusedError, match=r"^POST /v2/datasets/11/purge was answered with errors \(No, "):
        client.purge("11", ONCE)


def test_ingestions_are_read(client: DataboxClient, http: Http) -> None:
    """The detail has counts of itself and the dataset, its own status and time, and each rejected row."""
    row = {"id": 1, "amount": "x"}
    told = {
        "id": "i",
        "status": "success",
        "initiatedAt": CREATED,
        "duration": 0.5,
        "summary": {"ingestion": COUNTS, "dataset": {"columnCount": 2, "rowCount": 3, "size": 40}},
        "errors": [{"code": "invalid_value", "field": "amount", "message": "No number.", "record": row}],
    }
    http.get(f"{URL}/v2/datasets/11/ingestions/i", json=answer(told))
    problem = ApiProblem("invalid_value", "No number.", "amount", None, row)
    found = client.ingestion("11", "i")
    assert found == Ingestion(
        "i", IngestionStatus.DONE, EPOCH, 4, 2, 1, 1, (problem,), "r-1", "success", 3, 2
    )
    assert "amount" in repr(found)
    assert "'x'" not in repr(found)


@pytest.mark.parametrize(
    "summary",
    [
        {},
        {"summary": None},
        {"summary": {}},
        {"summary": {"ingestion": None, "dataset": None}},
        {"summary": {"ingestion": {}}},
        {"summary": {"dataset": {"rowCount": None, "columnCount": "many"}}},
        {"summary": {"dataset": {"rowCount": True, "columnCount": [2]}}},
        {"summary": "none yet"},
        {"summary": [COUNTS]},
        {"summary": {"ingestion": dict.fromkeys(COUNTS)}, "errors": None},
        {"errors": "none"},
    ],
)
def test_missing_summaries_are_unknown(client: DataboxClient, http: Http, summary: dict[str, Any]) -> None:
    """While the summary or a part of it is null, the counts are not known, rather than nought."""
    http.get(f"{URL}/v2/datasets/11/ingestions/i", json=answer({"status": "processing", **summary}))
    found = client.ingestion("11", "i")
    assert found.status is IngestionStatus.PENDING
    assert (found.received, found.appended, found.overwritten, found.rejected) == (None, None, None, None)
    assert (found.dataset_rows, found.dataset_columns) == (None, None)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("success", IngestionStatus.DONE),
        ("failed", IngestionStatus.FAILED),
        ("purged", IngestionStatus.FAILED),
        (" Purged ", IngestionStatus.FAILED),
        ("queued", IngestionStatus.PENDING),
        ("in_progress", IngestionStatus.PENDING),
        ("odd", IngestionStatus.UNKNOWN),
        (None, IngestionStatus.UNKNOWN),
    ],
)
def test_status_words_are_the_ingestions_own(
    client: DataboxClient, http: Http, word: str | None, status: IngestionStatus
) -> None:
    """The status is that within `data`, whatever the envelope says; `purged` is a failure."""
    http.get(f"{URL}/v2/datasets/11/ingestions/i", json=answer({"status": word}))
    http.get(f"{URL}/v2/datasets/11/ingestions", json=items({"id": "i", "status": word}))
    assert client.ingestion("11", "i").status is status
    assert client.ingestions("11").entries[0].status is status


def test_pages_of_ingestions_are_read(client: DataboxClient, http: Http) -> None:
    """A page is counted from 1 here and from 0 there, and its size is the one asked for, whatever is told."""
    pages = {"page": 7, "pageSize": 25, "totalItems": 101}
    lines = [{"id": "i", "initiatedAt": CREATED, "status": "failed"}, {"id": "j"}, {"id": 7}, {"id": ""}, {}]
    http.get(f"{URL}/v2/datasets/11/ingestions", json=answer({"items": lines, "pagination": pages}))
    entries = (
        IngestionEntry("i", EPOCH, IngestionStatus.FAILED, "failed"),
        IngestionEntry("j", None, IngestionStatus.UNKNOWN, None),
    )
    assert client.ingestions("11", 2, 50) == IngestionsPage(entries, 2, 50, 101)
    assert asked(http) == "GET /v2/datasets/11/ingestions?page=1&pageSize=50"
    client.ingestions("11")
    assert asked(http) == "GET /v2/datasets/11/ingestions?page=0&pageSize=100"


LISTS: list[Callable[[DataboxClient], Any]] = [
    lambda client: client.accounts(2).items,
    lambda client: client.data_sources(1).items,
    lambda client: client.datasets(7).items,
    lambda client: client.ingestions("11").entries,
    lambda client: client.timezones(),
]


@pytest.mark.parametrize("call", LISTS)
@pytest.mark.parametrize(
    "data", [{"items": None, "pagination": None}, {"items": []}, {"pagination": "none"}, {}]
)
def test_null_lists_are_empty(
    client: DataboxClient, http: Http, call: Callable[[DataboxClient], Any], data: Any
) -> None:
    """A list may have null for its items and for its pagination: then it is empty, and of no known length."""
    http.register_uri(requests_mock.ANY, requests_mock.ANY, json=answer(data))
    assert call(client) == ()
    assert client.datasets(7).total_items is None


# What is sent beside path and body

CALLS: dict[str, Callable[[DataboxClient], object]] = {
    "validate key": lambda client: client.validate_key(),
    "profile": lambda client: client.role(),
    "organization": lambda client: client.accounts(1),
    "accounts": lambda client: client.accounts(2),
    "time zones": lambda client: client.timezones(),
    "data sources": lambda client: client.data_sources(5),
    "data source": lambda client: client.data_source(7),
    "new data source": lambda client: client.create_data_source("T", 5, "UTC", ONCE),
    "datasets": lambda client: client.datasets(7),
    "new dataset": lambda client: client.create_dataset("T", 7, [], [], ONCE),
    "schema": lambda client: client.dataset("11"),
    "purge": lambda client: client.purge("11", ONCE),
    "rows": lambda client: client.post_rows("11", b"{}", ONCE),
    "ingestion": lambda client: client.ingestion("11", "i"),
    "ingestions": lambda client: client.ingestions("11"),
    "facts": lambda client: client.dataset_facts("11"),
    "rows back": lambda client: client.rows("11"),
}
OF_AN_ACCOUNT = {"data sources", "new data source", "datasets", "new dataset"}
ONCE_ONLY = {"new data source", "new dataset", "purge", "rows"}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_headers_go_where_they_belong(
    make_client: Callable[..., DataboxClient], http: Http, name: str
) -> None:
    """The account goes with lists and creations, the idempotency key with POSTs, the key with everything."""
    http.register_uri(
        requests_mock.ANY, requests_mock.ANY, json=answer({"id": 5, "items": [], "ingestionId": "i"})
    )
    CALLS[name](make_client(account_id=5))
    headers = http.last_request.headers
    assert headers.get("x-account-id") == ("5" if name in OF_AN_ACCOUNT else None)
    assert headers.get("Idempotency-Key") == (ONCE if name in ONCE_ONLY else None)
    assert (http.last_request.method == "POST") == (name in ONCE_ONLY)
    assert headers["x-api-key"] == KEY


def test_own_account_needs_no_header(client: DataboxClient, http: Http) -> None:
    """The key's own organization is what is meant without a header; a managed account is named."""
    http.get(f"{URL}/v2/organization", json=answer({"id": 5}))
    http.get(f"{URL}/v2/data-sources", json=items())
    client.accounts(1)
    client.data_sources(5)
    assert "x-account-id" not in http.last_request.headers
    client.data_sources(6)
    assert http.last_request.headers["x-account-id"] == "6"
    http.get(f"{URL}/v2/datasets", json=items())
    client.datasets(7)
    assert "x-account-id" not in http.last_request.headers


@pytest.mark.parametrize("dataset_id", ["a/../b", "a?b=c", "a#b", "ä b", "../accounts"])
def test_ids_are_one_segment(client: DataboxClient, http: Http, dataset_id: str) -> None:
    """Whatever is configured as an id stays within its part of the path."""
    http.post(requests_mock.ANY, json=answer())
    client.purge(dataset_id, ONCE)
    path = requests.utils.urlparse(http.last_request.url).path
    assert path.count("/") == 4
    assert requests.utils.unquote(path[len("/v2/datasets/") : -len("/purge")]) == dataset_id


# Errors


@every_call
@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"[]", b"null", b"\xff\xfe", b'{"data":', b"7"])
def test_undocumented_answers_are_lost(
    client: DataboxClient, http: Http, call: Callable[[DataboxClient], object], body: bytes
) -> None:
    """A 2xx that is not the documented JSON leaves open what happened, on every route."""
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=body)
    with pytest.raises(LostAnswerError, match="it may or may not have been carried out"):
        call(client)


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"validate key", "purge"}))
@pytest.mark.parametrize("content", [b"", b"\n", b'{"data":7}', b"{}", b'{"status":"success"}'])
def test_empty_answers_are_lost(client: DataboxClient, http: Http, name: str, content: bytes) -> None:
    """A 2xx without a body, or without `data` in it, is lost where something was to be learned from it."""
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=content)
    with pytest.raises(LostAnswerError):
        CALLS[name](client)


STATUSES: list[tuple[int, type[DataboxError]]] = [
    (400, RefusedError),
    (401, KeyRefusedError),
    (403, KeyRefusedError),
    (404, MissingError),
    (408, LostAnswerError),
    (409, LostAnswerError),
    (413, RefusedError),
    (422, RefusedError),
    (425, LostAnswerError),
    (429, ThrottledError),
    (500, LostAnswerError),
    (501, RefusedError),
    (502, LostAnswerError),
    (505, RefusedError),
    (520, LostAnswerError),
    (599, LostAnswerError),
]


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"accounts"}))
@pytest.mark.parametrize(("status", "kind"), STATUSES)
@pytest.mark.parametrize(
    "body",
    [b"", b"<html>Oops</html>", b"\xff\x00", b"null", b'{"errors":null}', b'{"errors":{}}', b'{"errors":[]}'],
)
def test_odd_errors_keep_their_status(
    client: DataboxClient, http: Http, name: str, status: int, kind: type[DataboxError], body: bytes
) -> None:
    """An empty answer, JSON null, or a proxy's page is judged by its status alone."""
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=body, status_code=status)
    with pytest.raises(DataboxError) as caught:
        CALLS[name](client)
    assert type(caught.value) is kind
    assert caught.value.problems == ()
    assert "html" not in str(caught.value)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([{"code": "invalid_input", "message": "Bad.", "field": ""}], "invalid_input: Bad"),
        ([{"code": "a", "field": "name"}, {"message": "B."}], "a, field name; B"),
        ("Bad.", "Bad"),
        ({"code": "c", "message": "One."}, "c: One"),
        ([None, 7, ["x"]], "no reason; 7; ['x']"),
    ],
)
def test_errors_are_told(client: DataboxClient, http: Http, errors: Any, said: str) -> None:
    """Several errors, empty fields, and errors that are no list are told as what they are."""
    http.get(f"{URL}/v2/datasets/11/schema", json={"requestId": "r", "errors": errors}, status_code=400)
    with pytest.raises(RefusedError) as caught:
        client.dataset("11")
    assert str(caught.value).startswith(
        f"GET /v2/datasets/11/schema was answered with status 400 ({said}, request id r): "
    )


def test_reused_keys_are_our_mistake(client: DataboxClient, http: Http) -> None:
    """A 422 that calls the key reused says so, and blames no row; any other 422 is a refusal."""
    problem = {"code": "idempotency_key_reused", "message": "Other input."}
    http.post(f"{URL}/v2/datasets/11/data", json={"errors": [problem]}, status_code=422)
    with pytest.raises(IdempotencyError, match="takes the request for a copy of another one") as caught:
        client.post_rows("11", b"{}", ONCE)
    assert not caught.value.may_blame_body
    http.post(f"{URL}/v2/datasets/11/data", json={"errors": [{"code": "invalid_input"}]}, status_code=422)
    with pytest.raises(RefusedError) as refused:
        client.post_rows("11", b"{}", ONCE)
    assert type(refused.value) is RefusedError
    assert refused.value.may_blame_body


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("new dataset", "creating a dataset needs an admin, or the user who created the data source"),
        ("purge", "purging a dataset needs an admin, or the user who created it"),
        ("rows", "Check the setting api_key"),
        ("datasets", "Check the setting api_key"),
    ],
)
def test_forbidden_calls_name_the_role(client: DataboxClient, http: Http, name: str, needed: str) -> None:
    """A 403 says which role is needed, where that is known."""
    http.register_uri(
        requests_mock.ANY, requests_mock.ANY, status_code=403, json={"errors": [{"code": "forbidden"}]}
    )
    with pytest.raises(KeyRefusedError, match=needed):
        CALLS[name](client)


@every_call
def test_errors_never_hold_the_key(
    client: DataboxClient, http: Http, call: Callable[[DataboxClient], object]
) -> None:
    """A key that is echoed anywhere in an answer is masked in the error."""
    problem = {"code": KEY, "message": f"Key {KEY} is bad", "field": KEY, "type": KEY}
    for status in (200, 302, 400, 401, 403, 404, 409, 422, 429, 500):
        http.register_uri(
            requests_mock.ANY,
            requests_mock.ANY,
            json={"requestId": KEY, "errors": [problem]},
            headers={"Location": f"https://{KEY}.test/"},
            status_code=status,
        )
        try:
            call(client)
        except DataboxError as error:
            assert "canary" not in f"{error} {error.problems} {error.request_id} {error.happened}"  # noqa: PT017
        else:
            assert status == 200 or call is CALLS["accounts"]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (requests.ConnectTimeout, UnreachableError),
        (requests.ConnectionError, LostAnswerError),
        (requests.ReadTimeout, LostAnswerError),
    ],
)
@pytest.mark.parametrize("name", sorted(ONCE_ONLY))
def test_failures_of_requests_are_judged(
    client: DataboxClient, http: Http, name: str, failure: type[Exception], kind: type[DataboxError]
) -> None:
    """What requests reports is lost, unless it can't have left."""
    http.register_uri(requests_mock.ANY, requests_mock.ANY, exc=failure)
    with pytest.raises(kind):
        CALLS[name](client)
