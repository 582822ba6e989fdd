"""The emulated API over real sockets: every route's shape, refusals, limits and faults."""

from __future__ import annotations

import http.client
import json
import re
import time
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.emulator import Emulator
from target_databox.emulator.serving.meter import UNLIMITED, Limits
from target_databox.emulator.serving.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import EmulatorMaker

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


class Client:
    """Talks to an emulator with its first key, over one kept connection."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["x-api-key"] = emulator.api_key

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any request."""
        return self.session.request(method, self.emulator.url + path, timeout=5, **options)

    def __call__(
        self, method: str, path: str, body: Any = None, *, status: int = 200, word: str = ""
    ) -> dict[str, Any]:
        """A request whose answer has a status, and the envelope that every answer has."""
        response = self.raw(method, path, json=body)
        assert response.status_code == status, response.text
        answer: dict[str, Any] = response.json()
        assert UUID.fullmatch(answer.pop("requestId"))
        words = {word} if word else {"success", "processing"} if status == 200 else {"error"}
        assert answer["status"] in words
        return answer

    def dataset(self, *, keys: list[str] | None = None, **fields: Any) -> str:
        """A new dataset in a new data source; its id."""
        source = self("POST", "/v1/data-sources", {"title": "Source"})["id"]
        body = {"title": "Dataset", "dataSourceId": source, "primaryKeys": keys, **fields}
        return str(self("POST", "/v1/datasets", body)["id"])

    def post_rows(self, dataset_id: str, *rows: dict[str, Any]) -> str:
        """The id of a new ingestion."""
        return str(self("POST", f"/v1/datasets/{dataset_id}/data", {"records": rows})["ingestionId"])


@pytest.fixture
def make_client(make_emulator: EmulatorMaker) -> Iterator[Any]:
    """Makes clients of emulators with options."""
    made: list[Client] = []

    def make(**options: Any) -> Client:
        made.append(Client(make_emulator(**options)))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


@pytest.fixture
def call(make_client: Any) -> Client:
    """A client of an emulator without limits."""
    client: Client = make_client()
    return client


def test_accounts_have_their_fields(call: Client) -> None:
    """An account has id, name and type."""
    assert call("GET", "/v1/accounts") == {
        "status": "success",
        "accounts": [{"id": 123456, "name": "Emulated account", "accountType": "organization"}],
    }


def test_valid_key_is_confirmed(call: Client) -> None:
    """The key check answers with nothing but the envelope."""
    assert call("GET", "/v1/auth/validate-key") == {"status": "success"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
@pytest.mark.parametrize("headers", [{}, {"x-api-key": "pak_wrong"}], ids=["missing", "wrong"])
def test_every_route_wants_the_key(emulator: Emulator, route: Any, headers: dict[str, str]) -> None:
    """Without a valid key every route answers 401 in the documented envelope, and does nothing."""
    path = re.sub(r"\{.*?\}", "1", route.path)
    response = requests.request(
        route.method, emulator.url + path, headers=headers, json={"title": "x"}, timeout=5
    )
    assert response.status_code == 401
    assert response.json()["status"] == "error"
    assert set(response.json()["errors"][0]) == {"code", "message", "field", "type"}
    assert emulator.store.data_sources() == []


def test_time_zones_have_offsets(call: Client) -> None:
    """A time zone has its IANA name and its offset from UTC."""
    zones = {each["timezone"]: each["offset"] for each in call("GET", "/v1/accounts/timezones")["timezones"]}
    assert zones["UTC"] == "UTC+0"
    assert zones["Asia/Kolkata"] == "UTC+5:30"
    assert zones["Europe/Berlin"] in {"UTC+1", "UTC+2"}
    assert zones["America/New_York"] in {"UTC-4", "UTC-5"}


def test_data_source_has_its_fields(call: Client) -> None:
    """A created data source answers with its fields at top level, and the list shows the same."""
    made = call(
        "POST", "/v1/data-sources", {"title": "ERP", "accountId": 123456, "timezone": "Europe/Ljubljana"}
    )
    assert TIMESTAMP.fullmatch(made["created"])
    assert made == {
        "status": "success",
        "id": made["id"],
        "title": "ERP",
        "created": made["created"],
        "timezone": "Europe/Ljubljana",
        "key": "ingestion",
        "ingestionSupported": True,
    }
    made.pop("status")
    assert call("GET", "/v1/accounts/123456/data-sources")["dataSources"] == [made]


def test_data_source_status_follows_its_switch(make_client: Any) -> None:
    """The creation of a data source may be answered with `processing`."""
    client = make_client(data_source_status="processing")
    assert client("POST", "/v1/data-sources", {"title": ""})["status"] == "processing"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": None}, "title"),
        ({"title": 1}, "title"),
        ({"title": "x", "accountId": "1"}, "accountId"),
        ({"title": "x", "accountId": True}, "accountId"),
        ({"title": "x", "timezone": "Mars/Olympus"}, "timezone"),
        ([], None),
    ],
)
def test_bad_data_source_is_refused(call: Client, body: Any, field: str | None) -> None:
    """A data source with a bad field is refused with a 400 that names the field."""
    [problem] = call("POST", "/v1/data-sources", body, status=400)["errors"]
    assert (problem["code"], problem["field"], problem["type"]) == ("invalid_input", field, "validation")


def test_dataset_has_its_fields(call: Client) -> None:
    """A created dataset answers with id, title and creation time, and doesn't echo its keys."""
    source = call("POST", "/v1/data-sources", {"title": "Source"})["id"]
    assert call("GET", f"/v1/data-sources/{source}/datasets")["datasets"] == []
    made = call("POST", "/v1/datasets", {"title": "Orders", "dataSourceId": source, "primaryKeys": ["id"]})
    assert UUID.fullmatch(made["id"])
    assert TIMESTAMP.fullmatch(made["created"])
    assert set(made) == {"status", "id", "title", "created"}
    made.pop("status")
    assert call("GET", f"/v1/data-sources/{source}/datasets")["datasets"] == [made]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"title": None}, "title"),
        ({"dataSourceId": None}, "dataSourceId"),
        ({"primaryKeys": "id"}, "primaryKeys"),
        ({"primaryKeys": [""]}, "primaryKeys"),
        ({"schema": {"id": "number"}}, "schema"),
        ({"schema": [{"name": "id"}]}, "schema"),
        ({"schema": [{"name": "id", "dataType": "boolean"}]}, "schema"),
    ],
)
def test_bad_dataset_is_refused(call: Client, fields: dict[str, Any], field: str) -> None:
    """A dataset with a bad field is refused with a 400 that names the field."""
    source = call("POST", "/v1/data-sources", {"title": "Source"})["id"]
    body = {"title": "x", "dataSourceId": source, **fields}
    assert call("POST", "/v1/datasets", body, status=400)["errors"][0]["field"] == field


def test_undocumented_routes_show_more(call: Client) -> None:
    """The official CLI's two routes tell keys and columns of a dataset, and the datasets of an account."""
    dataset_id = call.dataset(keys=["id"], schema=[{"name": "id", "dataType": "number"}])
    detail = call("GET", f"/v1/datasets/{dataset_id}")
    assert set(detail) == {"status", "id", "created", "dataSourceId", "timezone", "primaryKeys", "schema"}
    assert detail["primaryKeys"] == ["id"]
    assert detail["schema"] == [{"name": "id", "dataType": "number"}]
    [listed] = call("GET", "/v1/accounts/123456/datasets?type=datasets&page=1&pageSize=10")["datasets"]
    assert listed == {
        "id": dataset_id,
        "dataSourceId": detail["dataSourceId"],
        "title": "Dataset",
        "created": detail["created"],
    }
    assert call("GET", "/v1/accounts/123456/datasets?type=merged_datasets")["datasets"] == []


def test_undocumented_routes_may_be_missing(make_client: Any) -> None:
    """With `dataset_detail` missing, the official CLI's two routes answer 404."""
    client = make_client(dataset_detail="missing")
    dataset_id = client.dataset()
    client("GET", f"/v1/datasets/{dataset_id}", status=404)
    client("GET", "/v1/accounts/123456/datasets", status=404)


@pytest.mark.parametrize(
    ("switches", "keyless", "keyed"),
    [
        ({}, [], ["id"]),
        ({"no_keys": "null"}, None, ["id"]),
        ({"keys_field": "missing"}, "missing", "missing"),
        ({"keys_field": "missing", "no_keys": "null"}, "missing", "missing"),
    ],
)
def test_keys_of_a_dataset_follow_their_switches(
    make_client: Any, switches: dict[str, Any], keyless: Any, keyed: Any
) -> None:
    """The record of a dataset without keys has an empty list, null or no field at all."""
    client = make_client(**switches)
    for keys, shown in ((None, keyless), ([], keyless), (["id"], keyed)):
        detail = client("GET", f"/v1/datasets/{client.dataset(keys=keys)}")
        assert detail.get("primaryKeys", "missing") == shown


def test_ingestion_takes_its_way(make_client: Any) -> None:
    """The detail has no metrics until the rows are processed, then it has counts that add up."""
    client = make_client(processing_seconds_min=60.0, processing_seconds_max=60.0)
    dataset_id = client.dataset(keys=["id"])
    answer = client("POST", f"/v1/datasets/{dataset_id}/data", {"records": [{"id": 1}, {"id": 1}, {"v": 2}]})
    assert (answer["message"], answer["status"]) == ("Data ingestion request accepted", "success")
    path = f"/v1/datasets/{dataset_id}/ingestions"
    pending = client("GET", f"{path}/{answer['ingestionId']}")
    assert (pending["status"], "metrics" in pending) == ("processing", False)
    client.emulator.store.finish_processing()
    done = client("GET", f"{path}/{answer['ingestionId']}")
    assert TIMESTAMP.fullmatch(done["timestamp"])
    assert done["metrics"] == {
        "datasetMetrics": {"columnsCount": 1, "datasetSizeMB": 9e-06, "totalDatasetRecordsCount": 1},
        "ingestionMetrics": {
            "receivedRecordsCount": 3,
            "appendedRecordsCount": 1,
            "overwrittenRecordsCount": 1,
            "rejectedRecordsCount": 1,
        },
    }
    listing = client("GET", f"{path}?page=1&pageSize=10")
    assert listing["ingestions"] == [
        {"ingestionId": answer["ingestionId"], "timestamp": done["timestamp"], "status": "success"}
    ]
    assert listing["pagination"] == {"page": 1, "pageSize": 10, "totalItems": 1}


def test_detail_follows_its_switches(make_client: Any) -> None:
    """The detail's status may be the request's, its pending metrics null or zero, and its words others."""
    client = make_client(
        detail_status="request",
        pending_metrics="null",
        processing_seconds_min=60.0,
        processing_seconds_max=60.0,
    )
    dataset_id = client.dataset()
    path = f"/v1/datasets/{dataset_id}/ingestions/{client.post_rows(dataset_id, {'a': 1})}"
    assert client("GET", path) | {"timestamp": ""} == {
        "status": "success",
        "ingestionId": path.rpartition("/")[2],
        "timestamp": "",
        "metrics": None,
    }
    other = make_client(done_word="success", pending_metrics="zeros", processing_seconds_max=60.0)
    dataset_id = other.dataset()
    other.emulator.faults.add("post_rows", processing_seconds=60.0)
    ingestion_id = other.post_rows(dataset_id, {"a": 1})
    counts = other("GET", f"/v1/datasets/{dataset_id}/ingestions/{ingestion_id}")["metrics"][
        "ingestionMetrics"
    ]
    assert counts["receivedRecordsCount"] == 1
    assert counts["appendedRecordsCount"] == 0


@pytest.mark.parametrize("word", ["ready", "Done", "", "failed", "partially_completed"])
def test_words_are_taken_as_they_are(make_client: Any, word: str) -> None:
    """An ingestion's status may be any word, whatever it means, in the list and on its own record."""
    client = make_client(pending_word=word, done_word=word, failed_word=word)
    dataset_id = client.dataset()
    client.emulator.faults.add("post_rows", nth=1, fail_ingestion=True)
    client.emulator.faults.add("post_rows", nth=2, processing_seconds=60.0)
    ids = [client.post_rows(dataset_id, {"n": n}) for n in range(3)]
    client.emulator.store.dataset(dataset_id)
    path = f"/v1/datasets/{dataset_id}/ingestions"
    listed = client.raw("GET", path).json()["ingestions"]
    assert [each["status"] for each in listed] == [word] * 3
    assert [client.raw("GET", f"{path}/{each}").json()["status"] for each in ids] == [word] * 3


def test_purged_ingestions_say_so(make_client: Any) -> None:
    """An ingestion that a purge discards has a word of its own, and fails with a reason."""
    client = make_client(purge_drops_pending=True, processing_seconds_min=60.0, processing_seconds_max=60.0)
    dataset_id = client.dataset()
    ingestion_id = client.post_rows(dataset_id, {"n": 1})
    client("POST", f"/v1/datasets/{dataset_id}/purge")
    detail = client("GET", f"/v1/datasets/{dataset_id}/ingestions/{ingestion_id}", word="purged")
    assert list(detail["metrics"]["ingestionMetrics"].values()) == [1, 0, 0, 0]
    assert "purge" in detail["errors"][0]["message"]
    assert client.emulator.store.totals(dataset_id).failed == 1


@pytest.mark.parametrize(("form", "shown"), [("integer", "2"), ("float", "2.0"), ("text", '"2"')])
def test_counts_follow_their_switch(make_client: Any, form: str, shown: str) -> None:
    """Counts are whole numbers, numbers with a fraction or text."""
    client = make_client(count_form=form)
    dataset_id = client.dataset()
    path = f"/v1/datasets/{dataset_id}/ingestions/{client.post_rows(dataset_id, {'a': 1}, {'a': 2})}"
    client.emulator.store.finish_processing()
    metrics = client("GET", path)["metrics"]
    assert json.dumps(metrics["ingestionMetrics"]["receivedRecordsCount"]) == shown
    assert json.dumps(metrics["datasetMetrics"]["totalDatasetRecordsCount"]) == shown


@pytest.mark.parametrize("form", ["object", "text", "list"])
def test_metrics_follow_their_switch(make_client: Any, form: str) -> None:
    """Metrics are an object, a text or a list."""
    client = make_client(metrics_form=form)
    dataset_id = client.dataset()
    path = f"/v1/datasets/{dataset_id}/ingestions/{client.post_rows(dataset_id, {'a': 1})}"
    client.emulator.store.finish_processing()
    metrics = client("GET", path)["metrics"]
    if form == "text":
        metrics = json.loads(metrics)
    elif form == "list":
        [metrics] = metrics
    assert metrics["ingestionMetrics"]["appendedRecordsCount"] == 1


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "pageSize=0", "page=1.5"])
def test_bad_pages_are_refused(call: Client, query: str) -> None:
    """Pages start at 1 and have at least one ingestion."""
    call("GET", f"/v1/datasets/{call.dataset()}/ingestions?{query}", status=400)


def test_large_pages_follow_their_switch(make_client: Any) -> None:
    """A page larger than the cap is cut to it, or refused."""
    for switch in ("clamped", "refused"):
        client = make_client(page_size_cap=2, page_size_over_cap=switch)
        dataset_id = client.dataset()
        for n in range(3):
            client.post_rows(dataset_id, {"n": n})
        path = f"/v1/datasets/{dataset_id}/ingestions?pageSize=3"
        if switch == "refused":
            client("GET", path, status=400)
        else:
            assert len(client("GET", path)["ingestions"]) == 2
            assert client("GET", path)["pagination"] == {"page": 1, "pageSize": 2, "totalItems": 3}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"rows": []}',
        b'{"records": {}}',
        b'{"records": []}',
        b'{"records": [1]}',
        b'{"records": [{"a": NaN}]}',
        b'{"records": [{"a": "\xff"}]}',
    ],
)
def test_bad_records_are_refused(call: Client, body: bytes) -> None:
    """A body that is not the documented JSON is refused whole."""
    dataset_id = call.dataset()
    response = call.raw(
        "POST", f"/v1/datasets/{dataset_id}/data", data=body, headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400
    assert response.json()["errors"][0]["code"] == "invalid_input"
    assert call.emulator.store.history() == []


@pytest.mark.parametrize(
    "value",
    [
        b'"\\ud800"',
        b"1" * 30,
        b"1e99",
        b"1e99999999999999999999",
        b"9" * 5_000,
        b"[" * 100_000,
        b"NaN",
        b"\xff",
        b"",
    ],
)
def test_odd_values_are_refused(call: Client, value: bytes) -> None:
    """Halves of surrogate pairs, endless numbers and depths get the usual 400, wherever they stand."""
    dataset_id = call.dataset()
    bodies = {
        "/v1/data-sources": [b'{"title":%s}', b'{"title":"x","accountId":%s}'],
        "/v1/datasets": [b'{"title":%s,"dataSourceId":1}', b'{"title":"x","dataSourceId":%s}'],
        f"/v1/datasets/{dataset_id}/data": [b'{"records":%s}'],
    }
    for path, places in bodies.items():
        for place in places:
            headers = {"Content-Type": "application/json"}
            response = call.raw("POST", path, data=place % value, headers=headers)
            assert (response.status_code, response.json()["status"]) == (400, "error")


@pytest.mark.parametrize(
    "value",
    [b'"\\ud800"', b"1e99999999999999999999", b"9" * 5_000, b"[" * 90_000 + b"]" * 90_000, b"NaN", b"\xff"],
)
def test_odd_values_in_rows_are_refused(call: Client, value: bytes) -> None:
    """A row that can't be read is refused with the whole request."""
    path = f"/v1/datasets/{call.dataset()}/data"
    headers = {"Content-Type": "application/json"}
    response = call.raw("POST", path, data=b'{"records":[{"a":%s}]}' % value, headers=headers)
    assert (response.status_code, response.json()["status"]) == (400, "error")


def test_whole_numbers_may_be_written_as_fractions(call: Client) -> None:
    """A number is an integer by its value, as in JSON Schema."""
    source = call("POST", "/v1/data-sources", {"title": "x"})["id"]
    call("POST", "/v1/datasets", {"title": "x", "dataSourceId": float(source)})


def test_last_page_has_a_bound(call: Client) -> None:
    """A page far behind the end is empty, one beyond what a number can be is refused."""
    path = f"/v1/datasets/{call.dataset()}/ingestions?page="
    assert call("GET", path + "9" * 15)["ingestions"] == []
    call("GET", path + "9" * 16, status=400)


@pytest.mark.parametrize(
    ("switch", "status", "code"),
    [
        ({}, 413, "request_too_large"),
        ({"too_large_status": "413"}, 413, "request_too_large"),
        ({"too_large_status": "400"}, 400, "invalid_input"),
    ],
)
def test_too_much_is_refused(make_client: Any, switch: dict[str, Any], status: int, code: str) -> None:
    """More than 100 rows, or more bytes than the limit, are refused with the switch's status and its code."""
    client = make_client(body_limit_bytes=10_000, **switch)
    path = f"/v1/datasets/{client.dataset()}/data"
    for rows in ([{"n": n} for n in range(101)], [{"text": "x" * 10_000}]):
        assert client("POST", path, {"records": rows}, status=status)["errors"][0]["code"] == code
    client("POST", path, {"records": [{"n": n} for n in range(100)]})


def test_other_content_types_are_refused(call: Client) -> None:
    """A body has to be called application/json."""
    response = call.raw("POST", f"/v1/datasets/{call.dataset()}/data", data=b'{"records": [{"a": 1}]}')
    assert response.status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/accounts/1/data-sources", None),
        ("GET", "/v1/accounts/1/datasets", None),
        ("POST", "/v1/data-sources", {"title": "x", "accountId": 1}),
        ("DELETE", "/v1/data-sources/1", None),
        ("GET", "/v1/data-sources/1/datasets", None),
        ("POST", "/v1/datasets", {"title": "x", "dataSourceId": 1}),
        ("GET", "/v1/datasets/nope", None),
        ("DELETE", "/v1/datasets/nope", None),
        ("POST", "/v1/datasets/nope/purge", None),
        ("POST", "/v1/datasets/nope/data", {"records": [{"a": 1}]}),
        ("GET", "/v1/datasets/nope/ingestions", None),
        ("GET", "/v1/datasets/nope/ingestions/nope", None),
    ],
)
def test_unknown_ids_are_not_found(make_client: Any, method: str, path: str, body: Any) -> None:
    """An id that nothing has is answered with 404, or with 400 where the switch says so."""
    make_client()(method, path, body, status=404)
    make_client(unknown_id_status="400")(method, path, body, status=400)


def test_odd_numbers_in_paths_are_refused(call: Client) -> None:
    """An id that should be a number and is none is refused, whatever Unicode calls a digit."""
    for text in ("x", "1.5", "-1", "²", "9" * 30):
        call("GET", f"/v1/data-sources/{text}/datasets", status=400)


def test_deletes_and_purges_say_so(call: Client) -> None:
    """Purging and deleting answer with a message, and do what they say."""
    dataset_id = call.dataset()
    call.post_rows(dataset_id, {"a": 1})
    call.emulator.store.finish_processing()
    assert call("POST", f"/v1/datasets/{dataset_id}/purge")["message"]
    assert call.emulator.store.rows(dataset_id) == []
    assert call("DELETE", f"/v1/datasets/{dataset_id}")["message"]
    [source] = call.emulator.store.data_sources()
    assert call("DELETE", f"/v1/data-sources/{source.id}")["message"]
    assert call.emulator.store.data_sources() == []


def test_log_shows_what_was_asked(call: Client) -> None:
    """The log has every exchange, names routes that don't exist, and keeps neither keys nor rows."""
    dataset_id = call.dataset()
    call.post_rows(dataset_id, {"a": "secret value"})
    call("GET", "/v2/hello?x=1", status=404)
    log = call.emulator.log
    [posted] = log.of("post_rows")
    assert (posted.method, posted.status, posted.rows, posted.body) == ("POST", 200, 1, None)
    assert log.unknown_routes() == ["GET /v2/hello?x=1"]
    assert log.count(lambda each: each.status == 200) == len(log) - 1 == 3
    assert call.emulator.api_key not in str(list(log))


def test_answers_carry_the_time(call: Client) -> None:
    """Every answer has a Date header, as the recovery of lost answers needs."""
    assert call.raw("GET", "/v1/accounts").headers["Date"].endswith("GMT")


def test_connections_are_kept_open(call: Client) -> None:
    """Many requests may use one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", call.emulator.port, timeout=5)
    for _ in range(3):
        connection.request("GET", "/v1/accounts", headers={"x-api-key": call.emulator.api_key})
        assert connection.getresponse().read()
        assert connection.sock is not None
    connection.close()


@pytest.mark.parametrize(
    ("answer", "header", "begins"),
    [
        ("retry-after", "1", '{"requestId"'),
        ("no-header", None, '{"requestId"'),
        ("html", None, "<!doctype html>"),
        ("empty", None, None),
    ],
)
def test_limits_are_enforced(make_client: Any, answer: str, header: str | None, begins: str | None) -> None:
    """The eleventh request of a second is refused with a 429 as the switch describes it."""
    client = make_client(limits=Limits(), throttle_answer=answer)
    responses = [client.raw("GET", "/v1/accounts") for _ in range(12)]
    assert [each.status_code for each in responses[:10]] == [200] * 10
    refused = next(each for each in responses if each.status_code == 429)
    assert refused.headers.get("Retry-After") == header
    assert refused.text.startswith(begins) if begins else refused.content == b""


def test_limits_are_per_key(make_client: Any) -> None:
    """Each key has limits of its own."""
    client = make_client(limits=Limits(None, 1), api_keys=["pak_one", "pak_two"])
    client("GET", "/v1/accounts")
    client("GET", "/v1/accounts", status=429)
    client.session.headers["x-api-key"] = "pak_two"
    client("GET", "/v1/accounts")


@pytest.mark.parametrize(("drop", "stored"), [("before", 0), ("after", 1)])
def test_connections_are_really_cut(call: Client, drop: str, stored: int) -> None:
    """A connection is cut before the rows are stored, or after, so that only the answer is lost."""
    dataset_id = call.dataset()
    fault = call.emulator.faults.add("post_rows", nth=1, drop=drop)
    with pytest.raises(requests.ConnectionError):
        call.post_rows(dataset_id, {"a": 1})
    assert len(call.emulator.store.history(dataset_id)) == stored
    assert fault.hits == 1
    assert call.emulator.log.of("post_rows")[0].status is None
    call.post_rows(dataset_id, {"a": 2})


@pytest.mark.parametrize(("after_write", "stored"), [(False, 0), (True, 1)])
def test_failures_come_before_or_after_the_write(call: Client, after_write: bool, stored: int) -> None:
    """A planned status is answered instead of the write, or after it."""
    dataset_id = call.dataset()
    call.emulator.faults.add(
        "post_rows", status=502, after_write=after_write, html=True, headers={"X-Proxy": "1"}
    )
    response = call.raw("POST", f"/v1/datasets/{dataset_id}/data", json={"records": [{"a": 1}]})
    assert (response.status_code, response.headers["X-Proxy"]) == (502, "1")
    assert response.headers["Content-Type"].startswith("text/html")
    assert len(call.emulator.store.history(dataset_id)) == stored


@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 522, 524, 529, 599])
@pytest.mark.parametrize("form", [{"html": True}, {"body": ""}, {}], ids=["html", "empty", "envelope"])
def test_any_5xx_may_follow_the_write(call: Client, status: int, form: dict[str, Any]) -> None:
    """A status that proxies invented is answered as it is, in any form, though the rows were stored."""
    dataset_id = call.dataset()
    call.emulator.faults.add("post_rows", status=status, after_write=True, **form)
    response = call.raw("POST", f"/v1/datasets/{dataset_id}/data", json={"records": [{"a": 1}]})
    assert response.status_code == status
    assert (response.text == "") is ("body" in form)
    call.emulator.store.finish_processing()
    assert call.emulator.store.rows(dataset_id) == [{"a": 1}]


def test_planned_bodies_are_sent(call: Client) -> None:
    """A planned answer may have any body, also a 200 that is no JSON."""
    call.emulator.faults.add("accounts", status=200, body="not JSON")
    assert call.raw("GET", "/v1/accounts").text == "not JSON"


def test_delays_hold_answers_back(call: Client) -> None:
    """A planned delay holds the answer back, and other requests pass meanwhile."""
    call.emulator.faults.add("accounts", delay_before_seconds=0.05, delay_after_seconds=0.05)
    began = time.monotonic()
    call("GET", "/v1/accounts")
    assert time.monotonic() - began >= 0.1


def test_planned_ingestions_fail(call: Client) -> None:
    """An ingestion that is to fail is accepted, and its detail says that it failed."""
    dataset_id = call.dataset()
    call.emulator.faults.add("post_rows", fail_ingestion=True)
    ingestion_id = call.post_rows(dataset_id, {"a": 1})
    call.emulator.store.finish_processing()
    response = call.raw("GET", f"/v1/datasets/{dataset_id}/ingestions/{ingestion_id}").json()
    assert (response["status"], len(response["errors"])) == ("failed", 1)
    assert response["metrics"]["ingestionMetrics"]["appendedRecordsCount"] == 0


def test_planned_rows_are_rejected(call: Client) -> None:
    """Rows that a rule rejects are counted, and the others are stored."""
    dataset_id = call.dataset()
    call.emulator.faults.add("post_rows", reject_rows=lambda row: row["n"] % 2 == 1)
    call.post_rows(dataset_id, *({"n": n} for n in range(4)))
    call.emulator.store.finish_processing()
    assert [row["n"] for row in call.emulator.store.rows(dataset_id)] == [0, 2]
    assert [row["n"] for _, _, row in call.emulator.store.rejections()] == [1, 3]


def test_one_bad_row_may_reject_all(make_client: Any) -> None:
    """With `rejection_scope` ingestion, the detail says success, rejects every row, and nothing is stored."""
    client = make_client(rejection_scope="ingestion")
    dataset_id = client.dataset(keys=["id"])
    ingestion_id = client.post_rows(dataset_id, {"id": 1}, {"v": 1}, {"id": 2})
    client.emulator.store.finish_processing()
    detail = client("GET", f"/v1/datasets/{dataset_id}/ingestions/{ingestion_id}", word="success")
    assert list(detail["metrics"]["ingestionMetrics"].values()) == [3, 0, 0, 3]
    assert client.emulator.store.rows(dataset_id) == []


def test_port_in_use_is_reported(emulator: Emulator) -> None:
    """A port that is taken is an error at the start, and stopping twice does no harm."""
    other = Emulator(port=emulator.port)
    with pytest.raises(OSError, match="address already in use"):
        other.start()
    other.stop()
    other.stop()


def test_stopping_is_quick() -> None:
    """Stopping does not wait for clients that keep their connections open."""
    with Emulator(limits=UNLIMITED) as emulator:
        connection = http.client.HTTPConnection("127.0.0.1", emulator.port, timeout=5)
        connection.request("GET", "/v1/accounts", headers={"x-api-key": emulator.api_key})
        assert json.loads(connection.getresponse().read())["status"] == "success"
        began = time.monotonic()
    assert time.monotonic() - began < 1.0
    connection.close()
