"""Facts on the client's routes: what is sent, what is understood, and which error an answer becomes."""

from __future__ import annotations

import email.utils
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import requests
import requests_mock

from target_databox.api.errors import (
    DataboxError,
    KeyRefusedError,
    LostAnswerError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnreachableError,
)
from target_databox.api.v1.client import DataboxClient
from target_databox.api.values import (
    Accepted,
    Account,
    ApiProblem,
    Dataset,
    DatasetDetail,
    DataSource,
    Ingestion,
    IngestionEntry,
    IngestionsPage,
    IngestionStatus,
    Page,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_databox.api.exchanges import Exchange

URL = "https://api.databox.test"
KEY = "pak_canary-0815"
CREATED = "2025-10-01T12:00:00.000000Z"
EPOCH = 1759320000.0
ENVELOPE = {"requestId": "r-1", "status": "success"}


class Column(NamedTuple):
    """A column as the client takes it."""

    name: str
    data_type: str | None


class Http(requests_mock.Adapter):
    """The API as canned answers."""

    def get(self, url: str, *answers: Any, **answer: Any) -> None:
        """Answer a GET."""
        self.register_uri("GET", url, *answers, **answer)

    def post(self, url: Any, *answers: Any, **answer: Any) -> None:
        """Answer a POST."""
        self.register_uri("POST", url, *answers, **answer)


@pytest.fixture
def http() -> Http:
    """The API as canned answers."""
    return Http()


@pytest.fixture
def client(http: Http) -> Iterator[DataboxClient]:
    """A client of that API."""

    def new_session() -> requests.Session:
        session = requests.Session()
        session.mount("https://", http)
        return session

    client = DataboxClient(URL + "/", KEY, request_timeout_seconds=5, new_session=new_session)
    yield client
    client.close()


def test_key_is_validated(client: DataboxClient, http: Http) -> None:
    """Validating asks the documented route with the key in its header."""
    http.get(f"{URL}/v1/auth/validate-key", json=ENVELOPE)
    client.validate_key()
    assert http.last_request.headers["x-api-key"] == KEY


def test_validation_with_errors_is_a_refusal(client: DataboxClient, http: Http) -> None:
    """A validation that is answered with errors is none."""
    http.get(f"{URL}/v1/auth/validate-key", json={**ENVELOPE, "errors": [{"message": "No."}]})
    with pytest.raises(RefusedError) as caught:
        client.validate_key()
    assert str(caught.value) == (
        "GET /v1/auth/validate-key was answered with errors (No, request id r-1); the API refused it."
    )
    assert caught.value.request_id == "r-1"


def test_accounts_are_read(client: DataboxClient, http: Http) -> None:
    """Accounts come with id, name and type; a missing name is empty."""
    lines = [{"id": 1, "name": "A", "accountType": "agency", "more": 1}, {"id": 2, "name": None}]
    http.get(f"{URL}/v1/accounts", json={**ENVELOPE, "accounts": lines})
    assert client.accounts() == Page((Account(1, "A", "agency"), Account(2, "", "")), 2)


def test_time_zones_are_read(client: DataboxClient, http: Http) -> None:
    """Time zones are asked for under accounts and come as IANA names; what is none is left out."""
    lines = [
        {"offset": "UTC+1", "timezone": "Europe/Berlin"},
        *({"timezone": None}, {"offset": "UTC"}, {"timezone": ""}, {"timezone": 7}),
        *("UTC", 7),
    ]
    http.get(f"{URL}/v1/accounts/timezones", json={**ENVELOPE, "timezones": lines})
    assert client.timezones() == ("Europe/Berlin",)


def test_data_sources_are_read(client: DataboxClient, http: Http) -> None:
    """Data sources may lack everything but their id."""
    lines = [
        {"id": 7, "title": "T", "created": CREATED, "timezone": "UTC", "key": None},
        {"id": 8, "title": None, "ingestionSupported": True},
        {"id": 9, "ingestionSupported": False},
    ]
    http.get(f"{URL}/v1/accounts/1/data-sources", json={**ENVELOPE, "dataSources": lines})
    assert client.data_sources(1).items == (
        DataSource(7, "T", CREATED, "UTC"),
        DataSource(8, None, None, None),
        DataSource(9, None, None, None, ingestion_supported=False),
    )


def test_data_sources_are_created(client: DataboxClient, http: Http) -> None:
    """A creation sends the documented fields; "processing" is a success."""
    made = {
        "requestId": "r",
        "status": "processing",
        "id": 7,
        "title": "T",
        "created": CREATED,
        "timezone": "UTC",
    }
    http.post(f"{URL}/v1/data-sources", [{"json": made}, {"json": {"id": 8}}])
    assert client.create_data_source("T", 1, "UTC") == DataSource(7, "T", CREATED, "UTC")
    assert http.last_request.json() == {"title": "T", "accountId": 1, "timezone": "UTC"}
    assert http.last_request.headers["Content-Type"] == "application/json"
    assert client.create_data_source("Ü", None, None) == DataSource(8, None, None, None)
    assert http.last_request.json() == {"title": "Ü"}


def test_datasets_are_read(client: DataboxClient, http: Http) -> None:
    """Datasets come with id, title and time of creation."""
    lines = [{"id": "d", "title": "T", "created": CREATED}, {"id": "e"}]
    http.get(f"{URL}/v1/data-sources/7/datasets", json={**ENVELOPE, "datasets": lines})
    assert client.datasets(7) == Page((Dataset("d", "T", CREATED), Dataset("e", None, None)), 2)


def test_datasets_are_created(client: DataboxClient, http: Http) -> None:
    """A creation sends keys and declared columns only where there are any."""
    made = {**ENVELOPE, "id": "d", "title": "T", "created": CREATED}
    http.post(f"{URL}/v1/datasets", [{"json": made}, {"json": {"id": "e"}}])
    columns = [Column("a", "number"), Column("b", None)]
    assert client.create_dataset("T", 7, ["a"], columns) == Dataset("d", "T", CREATED)
    assert http.last_request.json() == {
        "title": "T",
        "dataSourceId": 7,
        "primaryKeys": ["a"],
        "schema": [{"name": "a", "dataType": "number"}],
    }
    assert client.create_dataset("T", 7, []) == Dataset("e", None, None)
    assert http.last_request.json() == {"title": "T", "dataSourceId": 7}


@pytest.mark.parametrize(
    ("told", "keys", "types"),
    [
        (
            {"primaryKeys": ["b", "a"], "schema": [{"name": "a", "dataType": "number"}]},
            ("b", "a"),
            {"a": "number"},
        ),
        ({"primaryKeys": [], "schema": None}, (), {}),
        ({"primaryKeys": None, "schema": {"name": "a"}}, (), {}),
        ({"primaryKeys": None, "errors": [{"message": "No."}]}, None, {}),
        ({"schema": [{"name": "a", "dataType": None}, {"dataType": "number"}, 7, "a"]}, None, {}),
        ({}, None, {}),
        ({"errors": [{"message": "No."}]}, None, {}),
        ({"primaryKeys": [{"name": "a"}]}, None, {}),
        ({"primaryKeys": [""]}, None, {}),
        ({"primaryKeys": ["a", None]}, None, {}),
        ({"primaryKeys": {}}, None, {}),
        ({"primaryKeys": False}, None, {}),
        ({"primaryKeys": 0}, None, {}),
        ({"primaryKeys": ""}, None, {}),
        ({"primaryKeys": "a"}, None, {}),
    ],
)
def test_details_tell_what_they_tell(
    client: DataboxClient, http: Http, told: Any, keys: Any, types: Any
) -> None:
    """The undocumented detail is taken for what is certain in it: null keys are none, odd ones not known."""
    http.get(f"{URL}/v1/datasets/d", json={**ENVELOPE, "id": "d", **told})
    assert client.dataset("d") == DatasetDetail("d", keys, types)


def test_rows_are_posted(client: DataboxClient, http: Http) -> None:
    """Rows go out byte by byte as they were encoded."""
    http.post(f"{URL}/v1/datasets/d/data", json={**ENVELOPE, "ingestionId": "i", "message": "accepted"})
    body = b'{"records":[{"n":1.10}]}'
    assert client.post_rows("d", body) == Accepted("i", (), "r-1")
    assert http.last_request.body == body


def test_accepted_rows_may_have_errors(client: DataboxClient, http: Http) -> None:
    """An acceptance with errors and an ingestion is one."""
    http.post(
        f"{URL}/v1/datasets/d/data", json={**ENVELOPE, "ingestionId": "i", "errors": [{"message": "m"}]}
    )
    assert client.post_rows("d", b"{}").errors == (ApiProblem(None, "m", None, None),)


@pytest.mark.parametrize("ingestion_id", [{}, {"ingestionId": None}, {"ingestionId": ""}])
def test_errors_without_ingestion_refuse(
    client: DataboxClient, http: Http, ingestion_id: dict[str, Any]
) -> None:
    """A 2xx to rows with errors and without an ingestion is a refusal."""
    http.post(
        f"{URL}/v1/datasets/d/data",
        json={**ENVELOPE, **ingestion_id, "errors": [{"code": "c", "message": "Bad."}]},
    )
    with pytest.raises(RefusedError) as caught:
        client.post_rows("d", b"{}")
    assert str(caught.value) == (
        "POST /v1/datasets/d/data was answered with status 200 but with errors (c: Bad, request id r-1); the "
        "API refused it."
    )


def test_purges_with_errors_are_refused(client: DataboxClient, http: Http) -> None:
    """A purge that is answered with errors was not done."""
    http.post(f"{URL}/v1/datasets/d/purge", [{"json": ENVELOPE}, {"json": {"errors": [{"message": "No."}]}}])
    client.purge("d")
    assert http.last_request.body is None
    said = r"^POST /v1/datasets/d/purge was answered with errors \(No\)"
    with pytest.raises(RefusedError, match=said) as caught:
        client.purge("d")
    error = caught.value
    assert (error.method, error.path, error.status) == ("POST", "/v1/datasets/d/purge", 200)
    assert error.problems == (ApiProblem(None, "No.", None, None),)


def test_ingestions_are_read(client: DataboxClient, http: Http) -> None:
    """The detail has four counts, its status word and its time, and what the dataset holds then."""
    metrics = {
        "datasetMetrics": {"columnsCount": 2, "totalDatasetRecordsCount": 3},
        "ingestionMetrics": {
            "receivedRecordsCount": 4,
            "appendedRecordsCount": 2,
            "overwrittenRecordsCount": 1,
            "rejectedRecordsCount": 1,
        },
    }
    errors = [{"code": "c", "message": f"Key {KEY}."}]
    told = {**ENVELOPE, "ingestionId": "i", "timestamp": CREATED, "metrics": metrics, "errors": errors}
    http.get(f"{URL}/v1/datasets/d/ingestions/i", json=told)
    problem = ApiProblem("c", "Key ***.", None, None)
    assert client.ingestion("d", "i") == Ingestion(
        "i", IngestionStatus.DONE, EPOCH, 4, 2, 1, 1, (problem,), "r-1", "success", 3, 2
    )


@pytest.mark.parametrize(
    "metrics",
    [
        {},
        {"metrics": None},
        {"metrics": {}},
        {"metrics": {"ingestionMetrics": None}},
        {"metrics": {"ingestionMetrics": {}}},
        {"metrics": "none yet"},
        {"metrics": [{"receivedRecordsCount": 4}]},
        {"metrics": 4},
        {"metrics": {"ingestionMetrics": ["receivedRecordsCount", 4]}},
    ],
)
def test_missing_metrics_are_unknown(client: DataboxClient, http: Http, metrics: dict[str, Any]) -> None:
    """While the metrics are missing, or are no object, the counts are not known, rather than nought."""
    http.get(
        f"{URL}/v1/datasets/d/ingestions/i", json={"status": "processing", "ingestionId": "i", **metrics}
    )
    assert client.ingestion("d", "i") == Ingestion(
        "i", IngestionStatus.PENDING, None, None, None, None, None, (), None, "processing"
    )


@pytest.mark.parametrize(
    ("told", "page_size", "total_items"),
    [
        ({"pagination": {"page": "1", "pageSize": "50", "totalItems": "51"}}, 50, 51),
        ({"pagination": {"page": 1.0, "pageSize": 50.0, "totalItems": 51.0}}, 50, 51),
        ({"pagination": {"page": None, "pageSize": None, "totalItems": None}}, 100, None),
        ({"pagination": {"pageSize": 0, "totalItems": -1}}, 100, None),
        ({"pagination": {"pageSize": [50], "totalItems": {"count": 51}}}, 100, None),
        ({"pagination": "page 1 of 2"}, 100, None),
        ({"pagination": [1, 50, 51]}, 100, None),
        ({}, 100, None),
    ],
)
def test_odd_pages_are_read(
    client: DataboxClient, http: Http, told: dict[str, Any], page_size: int, total_items: int | None
) -> None:
    """What a page says of itself is read as far as it can be, else it is what was asked for."""
    http.get(f"{URL}/v1/datasets/d/ingestions?page=1&pageSize=100", json={"ingestions": [], **told})
    assert client.ingestions("d") == IngestionsPage((), 1, page_size, total_items)


def test_status_words_never_hold_the_key(client: DataboxClient, http: Http) -> None:
    """A status that quotes the key is kept for messages without it, on one short line."""
    word = f"odd\n{KEY} " + "x" * 5000
    http.get(f"{URL}/v1/datasets/d/ingestions", json={"ingestions": [{"ingestionId": "i", "status": word}]})
    http.get(f"{URL}/v1/datasets/d/ingestions/i", json={"status": word})
    for found in (client.ingestions("d").entries[0].word, client.ingestion("d", "i").word):
        assert found is not None
        assert found.startswith("odd *** xxx")
        assert len(found) == 40


def test_pages_of_ingestions_are_read(client: DataboxClient, http: Http) -> None:
    """A page is asked for by number and size, and says how many there are in all."""
    page = {"page": 2, "pageSize": 50, "totalItems": 51}
    lines = [{"ingestionId": "i", "timestamp": CREATED, "status": "failed"}, {"ingestionId": "j"}]
    http.get(
        f"{URL}/v1/datasets/d/ingestions?page=2&pageSize=100", json={"ingestions": lines, "pagination": page}
    )
    entries = (
        IngestionEntry("i", EPOCH, IngestionStatus.FAILED, "failed"),
        IngestionEntry("j", None, IngestionStatus.UNKNOWN, None),
    )
    assert client.ingestions("d", 2, 100) == IngestionsPage(entries, 2, 50, 51)
    http.get(f"{URL}/v1/datasets/d/ingestions?page=1&pageSize=100", json={"ingestions": []})
    assert client.ingestions("d") == IngestionsPage((), 1, 100, None)


@pytest.mark.parametrize("dataset_id", ["a/../b", "a?b=c", "a#b", "ä b", "../accounts"])
def test_ids_are_one_segment(client: DataboxClient, http: Http, dataset_id: str) -> None:
    """Whatever is configured as an id stays within its part of the path."""
    http.post(requests_mock.ANY, json=ENVELOPE)
    client.purge(dataset_id)
    path = requests.utils.urlparse(http.last_request.url).path
    assert path.count("/") == 4
    assert path.startswith("/v1/datasets/")
    assert path.endswith("/purge")
    assert requests.utils.unquote(path[len("/v1/datasets/") : -len("/purge")]) == dataset_id


@pytest.mark.parametrize("dataset_id", ["", ".", ".."])
def test_ids_are_not_steps(client: DataboxClient, dataset_id: str) -> None:
    """An id that would lead elsewhere in the path is refused."""
    with pytest.raises(ValueError, match=rf"^'{re.escape(dataset_id)}' is not an id\.$"):
        client.dataset(dataset_id)


CALLS: list[Callable[[DataboxClient], object]] = [
    lambda client: client.validate_key(),
    lambda client: client.accounts(),
    lambda client: client.timezones(),
    lambda client: client.data_sources(1),
    lambda client: client.create_data_source("T", 1, "UTC"),
    lambda client: client.datasets(1),
    lambda client: client.create_dataset("T", 1, []),
    lambda client: client.dataset("d"),
    lambda client: client.purge("d"),
    lambda client: client.post_rows("d", b"{}"),
    lambda client: client.ingestion("d", "i"),
    lambda client: client.ingestions("d"),
]
every_call = pytest.mark.parametrize("call", CALLS)


@every_call
@pytest.mark.parametrize("body", [b"", b"<html>Sign in</html>", b"[]", b"null", b"\xff\xfe", b'{"id":'])
def test_undocumented_answers_are_lost(
    client: DataboxClient, http: Http, call: Callable[[DataboxClient], object], body: bytes
) -> None:
    """A 2xx that is not the documented JSON leaves open what happened, on every route."""
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=body)
    with pytest.raises(LostAnswerError, match="it may or may not have been carried out"):
        call(client)


@every_call
@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RefusedError),
        (401, KeyRefusedError),
        (404, MissingError),
        (413, RefusedError),
        (429, ThrottledError),
        (502, LostAnswerError),
        (520, LostAnswerError),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>Oops</html>", b"\xff\x00"], ids=["empty", "page", "bytes"])
def test_odd_errors_keep_their_status(
    client: DataboxClient,
    http: Http,
    call: Callable[[DataboxClient], object],
    status: int,
    kind: type[DataboxError],
    body: bytes,
) -> None:
    """An empty answer, or the error page of something in between, is judged by its status alone."""
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=body, status_code=status)
    with pytest.raises(DataboxError) as caught:
        call(client)
    assert type(caught.value) is kind
    assert caught.value.problems == ()
    assert "html" not in str(caught.value)


@every_call
def test_errors_never_hold_the_key(
    client: DataboxClient, http: Http, call: Callable[[DataboxClient], object]
) -> None:
    """A key that is echoed anywhere in an answer is masked in the error."""
    problem = {"code": KEY, "message": f"Key {KEY} is bad", "field": KEY, "type": KEY}
    for status in (200, 302, 400, 401, 404, 429, 500):
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
            assert status == 200


def test_long_messages_are_cut(client: DataboxClient, http: Http) -> None:
    """A long message of the API is cut to 300 characters."""
    http.get(f"{URL}/v1/accounts", json={"errors": [{"message": "x" * 5000}]}, status_code=400)
    with pytest.raises(RefusedError) as caught:
        client.accounts()
    assert len(caught.value.problems[0].message or "") == 300


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "Wed, 01 Oct 2025 12:00:30 GMT", "Date": "Wed, 01 Oct 2025 12:00:00 GMT"}, 30.0),
        ({"Retry-After": "soon"}, None),
    ],
)
def test_retry_after_is_carried(
    client: DataboxClient, http: Http, headers: dict[str, str], seconds: float | None
) -> None:
    """A transient error carries the wait that was asked for, dates by the server's own clock."""
    for status in (429, 503):
        http.get(f"{URL}/v1/accounts", status_code=status, headers=headers)
        with pytest.raises((ThrottledError, LostAnswerError)) as caught:
            client.accounts()
        assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (requests.ConnectTimeout, UnreachableError),
        (requests.ConnectionError, LostAnswerError),
        (requests.ReadTimeout, LostAnswerError),
        (requests.exceptions.ChunkedEncodingError, LostAnswerError),
    ],
)
def test_failures_of_requests_are_judged(
    client: DataboxClient, http: Http, failure: type[Exception], kind: type[DataboxError]
) -> None:
    """What requests reports is lost, unless it can't have left."""
    http.post(f"{URL}/v1/datasets/d/data", exc=failure)
    with pytest.raises(kind):
        client.post_rows("d", b"{}")


def test_server_time_follows_answers(client: DataboxClient, http: Http) -> None:
    """The server's clock is that of the newest answer that had one."""
    assert client.server_time() is None
    http.get(f"{URL}/v1/accounts", json={"accounts": []}, headers={"Date": "Wed, 01 Oct 2025 12:00:00 GMT"})
    client.accounts()
    assert client.server_time() == EPOCH
    http.get(f"{URL}/v1/accounts", json={"accounts": []})
    client.accounts()
    assert client.server_time() == EPOCH


def test_tries_are_reported_by_route(http: Http) -> None:
    """Each try is reported under its route's name; the session is the caller's, and is closed at the end."""
    seen: list[Exchange] = []
    closed: list[bool] = []

    class Session(requests.Session):
        def close(self) -> None:
            closed.append(True)
            super().close()

    def new_session() -> requests.Session:
        session = Session()
        session.mount("https://", http)
        return session

    http.get(f"{URL}/v1/datasets/d/ingestions", json={"ingestions": []})
    client = DataboxClient(
        URL,
        KEY,
        request_timeout_seconds=5,
        on_exchange=seen.append,
        user_agent="agent/1",
        new_session=new_session,
    )
    client.ingestions("d")
    assert http.last_request.headers["User-Agent"] == "agent/1"
    [exchange] = seen
    assert (exchange.method, exchange.route) == ("GET", "/v1/datasets/{datasetId}/ingestions")
    assert (exchange.path, exchange.status) == ("/v1/datasets/d/ingestions", 200)
    assert not closed
    client.close()
    assert closed == [True]


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://elsewhere.test:8443/v1?key=1", "redirects to elsewhere.test are not followed"),
        (f"https://{KEY}.test/", r"redirects to \*\*\*\.test are not followed"),
        ("https://[broken", "redirects are not followed"),
        ("/login", "redirects are not followed"),
        (None, "redirects are not followed"),
    ],
)
def test_redirects_name_their_host(
    client: DataboxClient, http: Http, location: str | None, where: str
) -> None:
    """Of where a redirect leads the host is told, without the key, if it can be read."""
    headers = {"Location": location} if location else {}
    http.get(f"{URL}/v1/accounts", status_code=302, headers=headers)
    with pytest.raises(RefusedError, match=where):
        client.accounts()


def test_errors_in_place_of_an_answer_are_told(client: DataboxClient, http: Http) -> None:
    """What a 2xx says in place of its JSON is told; only a POST is refused by it."""
    said = {"requestId": "r-1", "errors": [{"code": "c", "message": "Bad."}]}
    http.register_uri(requests_mock.ANY, requests_mock.ANY, json=said, status_code=201)
    with pytest.raises(LostAnswerError) as lost:
        client.accounts()
    assert str(lost.value) == (
        "GET /v1/accounts was answered with status 201 and not with the documented JSON (c: Bad, request id "
        "r-1); it may or may not have been carried out. Check the setting api_url, or run again later."
    )
    assert (lost.value.method, lost.value.path, lost.value.status) == ("GET", "/v1/accounts", 201)
    with pytest.raises(RefusedError) as refused:
        client.create_dataset("T", 7, [])
    for error in (lost.value, refused.value):
        assert error.problems == (ApiProblem("c", "Bad.", None, None),)
        assert error.request_id == "r-1"
    assert (refused.value.method, refused.value.path) == ("POST", "/v1/datasets")
    http.register_uri(requests_mock.ANY, requests_mock.ANY, content=b"<html>")
    with pytest.raises(LostAnswerError, match=r"with the documented JSON; it may or may not"):
        client.create_dataset("T", 7, [])


def test_errors_of_answers_have_their_facts(client: DataboxClient, http: Http) -> None:
    """An error has the method, the path without its query, the status and the API's id of the request."""
    http.get(f"{URL}/v1/datasets/d/ingestions", status_code=400, json={"requestId": "r-1"})
    with pytest.raises(RefusedError) as caught:
        client.ingestions("d")
    error = caught.value
    assert (error.method, error.path) == ("GET", "/v1/datasets/d/ingestions")
    assert (error.status, error.request_id) == (400, "r-1")


@pytest.mark.parametrize(("status", "is_answer"), [(200, True), (204, True), (299, True), (300, False)])
def test_every_success_is_an_answer(client: DataboxClient, http: Http, status: int, is_answer: bool) -> None:
    """Every 2xx is read."""
    http.get(f"{URL}/v1/accounts", status_code=status, json={"accounts": []})
    if is_answer:
        assert client.accounts() == Page((), 0)
    else:
        with pytest.raises(RefusedError):
            client.accounts()


def test_dates_without_a_clock_are_compared_with_ours(client: DataboxClient, http: Http) -> None:
    """Where the server does not tell its time, a date to wait for is compared with this machine's clock."""
    at = email.utils.formatdate(time.time() + 100, usegmt=True)
    http.get(f"{URL}/v1/accounts", status_code=503, headers={"Retry-After": at})
    with pytest.raises(LostAnswerError) as caught:
        client.accounts()
    assert 0 < (caught.value.retry_after_seconds or 0) <= 100


def test_repr_hides_the_key(client: DataboxClient) -> None:
    """The client shows its address and not its key."""
    assert repr(client) == f"DataboxClient('{URL}')"
