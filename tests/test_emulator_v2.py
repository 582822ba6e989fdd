"""The emulated API v2 over real sockets: shapes, pages, refusals, and one state with v1."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.emulator.serving.meter import Limits
from target_databox.emulator.state.shapes import Account

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker

NOW = {"read_lag_seconds": 0.0, "deleted_lag_seconds": 0.0}


class Client:
    """Talks v2 to an emulator, with its first key, over one kept connection."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["x-api-key"] = emulator.api_key

    def raw(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any request."""
        return self.session.request(method, self.emulator.url + path, timeout=10, **options)

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The data of a successful answer."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.raw(method, "/v2" + path, json=body, headers=named)
        assert response.status_code == 200, response.text
        answer = response.json()
        assert set(answer) == {"requestId", "status", "data"}
        assert answer["status"] == "success"
        return answer["data"]

    def refused(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str | None]:
        """Status and code of a refusal."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self.raw(method, "/v2" + path, json=body, headers=named)
        assert response.json()["status"] == "error"
        return response.status_code, response.json()["errors"][0]["code"]

    def source(self, name: str = "Source") -> int:
        """The id of a new data source."""
        return int(self("POST", "/data-sources", {"name": name})["id"])

    def dataset(self, *keys: str, name: str = "Dataset", source: int | None = None, **columns: str) -> int:
        """The id of a new dataset."""
        schema = [{"id": each, "dataType": kind} for each, kind in columns.items()]
        body = {
            "dataSourceId": source or self.source(),
            "name": name,
            "primaryKey": list(keys),
            "schema": schema,
        }
        return int(self("POST", "/datasets", body)["id"])

    def load(self, dataset: int, *rows: dict[str, Any]) -> dict[str, Any]:
        """Ingest rows; the record of the ingestion once it is processed."""
        accepted = self("POST", f"/datasets/{dataset}/data", {"records": rows})
        self.emulator.store.finish_processing()
        found: dict[str, Any] = self("GET", f"/datasets/{dataset}/ingestions/{accepted['ingestionId']}")
        return found


@pytest.fixture
def make_client(make_emulator: EmulatorMaker) -> Iterator[Any]:
    """Makes clients of emulators with options; what was read or deleted does not lag unless they say so."""
    made: list[Client] = []

    def make(**options: Any) -> Client:
        made.append(Client(make_emulator(**{**NOW, **options})))
        return made[-1]

    yield make
    for each in made:
        each.session.close()


@pytest.fixture
def call(make_client: Any) -> Client:
    """A client of an emulator without limits."""
    client: Client = make_client()
    return client


def test_source_and_dataset_have_their_fields(call: Client) -> None:
    """What a creation answers is what the detail and the list tell, with ids from one sequence."""
    source = call("POST", "/data-sources", {"name": "ERP", "timezone": "Europe/Ljubljana"})
    assert set(source) == {"id", "name", "createdAt", "timezone", "integrationKey"}
    assert (source["name"], source["timezone"], source["integrationKey"]) == (
        "ERP",
        "Europe/Ljubljana",
        "DataboxAPI",
    )
    assert source["createdAt"].endswith("+00:00")
    assert call("GET", f"/data-sources/{source['id']}") == source
    assert call("GET", "/data-sources") == {
        "items": [source],
        "pagination": {"page": 0, "pageSize": 25, "totalItems": 1},
    }
    body = {"dataSourceId": source["id"], "name": "Orders", "primaryKey": ["id"]}
    made = call("POST", "/datasets", {**body, "schema": [{"id": "id", "dataType": "number"}]})
    assert made["id"] == source["id"] + 1
    assert (made["columnCount"], made["rowCount"], made["size"], made["maxSize"]) == (1, 0, None, None)
    assert made["ingestionInfo"] == {"lastIngestionAt": None, "lastStatus": None}
    assert call("GET", f"/datasets/{made['id']}") == made
    [listed] = call("GET", f"/datasets?dataSourceId={source['id']}")["items"]
    assert listed == {name: made[name] for name in listed}
    assert "columnCount" not in listed
    assert call("GET", f"/datasets/{made['id']}/schema") == {
        "items": [{"id": "id", "displayName": "id", "dataType": "number", "order": 0, "visible": True}],
        "primaryKey": ["id"],
    }


def test_dataset_without_keys_or_schema(call: Client) -> None:
    """A dataset without keys has an empty list of them, and its first ingestion defines its columns."""
    dataset = call("POST", "/datasets", {"dataSourceId": call.source(), "name": "x"})["id"]
    assert call("GET", f"/datasets/{dataset}/schema") == {"items": [], "primaryKey": []}
    call.load(dataset, {"n": 1, "at": "2026-01-15"})
    items = call("GET", f"/datasets/{dataset}/schema")["items"]
    assert [(each["id"], each["dataType"]) for each in items] == [("n", "number"), ("at", "datetime")]
    detail = call("GET", f"/datasets/{dataset}")
    assert (detail["rowCount"], detail["columnCount"]) == (1, 2)
    assert detail["size"] > 0
    assert detail["maxSize"] > 0


def test_schema_may_be_required(make_client: Any) -> None:
    """With `v2_schema` required, a dataset without columns is refused."""
    client = make_client(v2_schema="required")
    body = {"dataSourceId": client.source(), "name": "x"}
    assert client.refused("POST", "/datasets", body) == (400, "invalid_input")
    client.dataset(id="number")


def test_ingestion_has_counts_and_reasons(call: Client) -> None:
    """The record of an ingestion counts its rows, and names each rejected one with the record itself."""
    dataset = call.dataset("id", id="number", v="number")
    answer = call("POST", f"/datasets/{dataset}/data", {"records": [{"id": 1, "v": 1}]})
    assert set(answer) == {"ingestionId", "message", "status"}
    assert answer["status"] == "accepted"
    call.emulator.store.finish_processing()
    found = call.load(dataset, {"id": 1, "v": 2}, {"v": 3}, {"id": 2, "v": "much"}, {"id": 3, "v": 9.50})
    assert set(found) == {"id", "status", "initiatedAt", "duration", "summary", "errors"}
    assert found["status"] == "success"
    assert found["summary"]["ingestion"] == {
        "receivedRecordCount": 4,
        "appendedRecordCount": 1,
        "overwrittenRecordCount": 1,
        "rejectedRecordCount": 2,
    }
    assert found["summary"]["dataset"]["rowCount"] == 2
    assert [(each["code"], each["field"], each["record"]) for each in found["errors"]] == [
        ("invalid_value", "id", {"v": 3}),
        ("invalid_value", "v", {"id": 2, "v": "much"}),
    ]
    assert all(each["message"] for each in found["errors"])


def test_rejected_records_keep_their_digits(call: Client) -> None:
    """A rejected record, and a row that is read back, have every digit that was sent."""
    dataset = call.dataset(v="number", t="string")
    body = b'{"records": [{"v": 12345678901234567890.123456789, "t": 1}, {"v": 0.10000000000000000000001}]}'
    headers = {"Content-Type": "application/json"}
    answer = call.raw("POST", f"/v2/datasets/{dataset}/data", data=body, headers=headers).json()["data"]
    call.emulator.store.finish_processing()
    path = f"/v2/datasets/{dataset}/ingestions/{answer['ingestionId']}"
    assert '{"v": 12345678901234567890.123456789, "t": 1}' in call.raw("GET", path).text
    assert "0.10000000000000000000001" in call.raw("GET", f"/v2/datasets/{dataset}/data").text


@pytest.mark.parametrize(
    ("switch", "summary"),
    [("null", None), ("parts-null", {"ingestion": None, "dataset": None}), ("zeros", "zeros")],
)
def test_pending_ingestions_follow_their_switch(make_client: Any, switch: str, summary: Any) -> None:
    """The summary of a pending ingestion is null, has null parts, or zeros; the list shows its word."""
    client = make_client(pending_summary=switch, processing_seconds_min=60.0, processing_seconds_max=60.0)
    dataset = client.dataset()
    accepted = client("POST", f"/datasets/{dataset}/data", {"records": [{"a": 1}]})
    found = client("GET", f"/datasets/{dataset}/ingestions/{accepted['ingestionId']}")
    assert (found["status"], found["duration"], found["errors"]) == ("processing", None, [])
    if summary == "zeros":
        assert list(found["summary"]["ingestion"].values()) == [1, 0, 0, 0]
    else:
        assert found["summary"] == summary
    listed = client("GET", f"/datasets/{dataset}/ingestions")["items"]
    assert [(each["id"], each["status"]) for each in listed] == [(accepted["ingestionId"], "processing")]


def test_new_ingestions_are_missing_from_the_list(make_client: Any) -> None:
    """A new ingestion is not in the list until the lag is over, while its own record is there."""
    client = make_client(listing_lag_seconds=60.0)
    dataset = client.dataset()
    found = client.load(dataset, {"a": 1})
    assert found["status"] == "success"
    assert client("GET", f"/datasets/{dataset}/ingestions")["items"] == []


def test_ingestions_come_in_pages(call: Client) -> None:
    """The list of ingestions has pages from 0, 25 long where nothing else is asked for, newest first."""
    dataset = call.dataset()
    path = f"/datasets/{dataset}/data"
    ids = [call("POST", path, {"records": [{"n": n}]})["ingestionId"] for n in range(27)][::-1]
    first = call("GET", f"/datasets/{dataset}/ingestions")
    assert [each["id"] for each in first["items"]] == ids[:25]
    assert first["pagination"] == {"page": 0, "pageSize": 25, "totalItems": 27}
    second = call("GET", f"/datasets/{dataset}/ingestions?page=1&pageSize=2")
    assert [each["id"] for each in second["items"]] == ids[2:4]
    assert set(second["items"][0]) == {"id", "status", "initiatedAt", "duration", "initiatedBy"}


@pytest.mark.parametrize("status", ["failed", "purged"])
def test_failed_and_purged_ingestions(make_client: Any, status: str) -> None:
    """An ingestion that fails, or that a purge discards, has its word, zeros for counts, and a reason."""
    client = make_client(purge_drops_pending=True)
    dataset = client.dataset()
    client.emulator.faults.add("post_rows", fail_ingestion=status == "failed", processing_seconds=60.0)
    accepted = client("POST", f"/datasets/{dataset}/data", {"records": [{"a": 1}]})
    if status == "purged":
        client("POST", f"/datasets/{dataset}/purge")
    client.emulator.store.finish_processing()
    found = client("GET", f"/datasets/{dataset}/ingestions/{accepted['ingestionId']}")
    assert found["status"] == status
    assert list(found["summary"]["ingestion"].values()) == [1, 0, 0, 0]
    assert [each["record"] for each in found["errors"]] == [None]


@pytest.mark.parametrize(("switch", "named"), [("all", 3), ("one", 1), ("none", 0)])
def test_names_of_rejected_rows_follow_their_switch(make_client: Any, switch: str, named: int) -> None:
    """All rejected rows are named, or fewer than were rejected."""
    client = make_client(named_errors=switch)
    found = client.load(client.dataset("id"), *({"v": n} for n in range(3)))
    assert (found["summary"]["ingestion"]["rejectedRecordCount"], len(found["errors"])) == (3, named)


def test_rows_rejected_with_others_have_no_reason(make_client: Any) -> None:
    """Where one bad row rejects its whole ingestion, only the bad one is named."""
    client = make_client(rejection_scope="ingestion")
    found = client.load(client.dataset("id"), {"id": 1}, {"v": 1}, {"id": 2})
    assert found["summary"]["ingestion"]["rejectedRecordCount"] == 3
    assert [each["record"] for each in found["errors"]] == [{"v": 1}]


def test_no_errors_may_be_null(make_client: Any) -> None:
    """`errors` of an ingestion without any is an empty list, or null."""
    for switch, errors in (("empty", []), ("null", None)):
        client = make_client(no_errors=switch)
        assert client.load(client.dataset(), {"a": 1})["errors"] == errors


def test_five_hundred_rows_are_taken(call: Client) -> None:
    """500 records are accepted, 501 are a 413, none is a 400."""
    dataset = call.dataset()
    path = f"/datasets/{dataset}/data"
    rows = [{"n": n} for n in range(501)]
    assert call.load(dataset, *rows[:500])["summary"]["ingestion"]["appendedRecordCount"] == 500
    assert call.refused("POST", path, {"records": rows}) == (413, "request_too_large")
    assert call.refused("POST", path, {"records": []}) == (400, "invalid_input")


@pytest.mark.parametrize(
    ("size", "status", "code"),
    [(10_485_760, 200, None), (10_485_761, 413, "request_too_large"), (30_000_001, 413, "html")],
)
def test_bodies_have_limits(call: Client, size: int, status: int, code: str | None) -> None:
    """A body of 10,485,760 bytes is taken, one more is a 413, and beyond 30,000,000 the proxy says so."""
    dataset = call.dataset()
    head, tail = b'{"records":[{"a":"', b'"}]}'
    body = head + b"x" * (size - len(head) - len(tail)) + tail
    headers = {"Content-Type": "application/json"}
    response = call.raw("POST", f"/v2/datasets/{dataset}/data", data=body, headers=headers)
    assert response.status_code == status
    if code == "html":
        assert response.text.startswith("<!doctype html>")
    elif code:
        assert response.json()["errors"][0]["code"] == code


def test_v1_and_v2_see_the_same(call: Client) -> None:
    """What one version makes, loads, purges and deletes, the other one sees."""
    v1 = call.emulator.url + "/v1"
    with requests.Session() as other:
        other.headers["x-api-key"] = call.emulator.api_key
        source = other.post(f"{v1}/data-sources", json={"title": "Old"}, timeout=5).json()["id"]
        body = {"title": "Orders", "dataSourceId": source, "primaryKeys": ["id"]}
        old = other.post(f"{v1}/datasets", json=body, timeout=5).json()["id"]
        [listed] = call("GET", f"/datasets?dataSourceId={source}")["items"]
        assert listed["name"] == "Orders"
        assert call("GET", f"/datasets/{listed['id']}/schema")["primaryKey"] == ["id"]
        other.post(f"{v1}/datasets/{old}/data", json={"records": [{"id": 1, "v": 1}]}, timeout=5)
        assert (
            call.load(listed["id"], {"id": 1, "v": 2})["summary"]["ingestion"]["overwrittenRecordCount"] == 1
        )
        assert call("GET", f"/datasets/{listed['id']}/data")["items"] == [{"id": 1, "v": 2}]
        assert call("GET", f"/data-sources/{source}")["name"] == "Old"
        seen = other.get(f"{v1}/datasets/{old}/ingestions", timeout=5).json()["pagination"]["totalItems"]
        assert seen == 2
        new = call.dataset(name="New", source=source)
        titles = other.get(f"{v1}/data-sources/{source}/datasets", timeout=5).json()["datasets"]
        assert [each["title"] for each in titles] == ["Orders", "New"]
        call("POST", f"/datasets/{listed['id']}/purge")
        call("DELETE", f"/datasets/{new}")
        titles = other.get(f"{v1}/data-sources/{source}/datasets", timeout=5).json()["datasets"]
        assert [each["title"] for each in titles] == ["Orders"]
    assert call("GET", f"/datasets/{listed['id']}/data")["items"] == []


def test_ids_are_never_used_again(call: Client) -> None:
    """Data sources and datasets share one sequence of ids, and what was deleted leaves a gap."""
    source = call.source()
    dataset = call.dataset(source=source)
    call("DELETE", f"/data-sources/{source}")
    assert call.source() == dataset + 1
    assert call.refused("GET", f"/datasets/{dataset}") == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/data-sources/1"),
        ("DELETE", "/data-sources/1"),
        ("POST", "/data-sources/1/purge"),
        ("GET", "/datasets/1"),
        ("GET", "/datasets/x"),
        ("GET", "/datasets/1/schema"),
        ("DELETE", "/datasets/1"),
        ("POST", "/datasets/1/purge"),
        ("GET", "/datasets/1/data"),
        ("GET", "/datasets/1/ingestions"),
        ("GET", "/datasets/1/ingestions/x"),
        ("GET", "/nothing"),
    ],
)
def test_unknown_ids_are_not_found(call: Client, method: str, path: str) -> None:
    """An id that nothing has, or that is none, is a 404 with its code; so is the id of the other kind."""
    assert call.refused(method, path) == (404, "not_found")
    source = call.source()
    dataset = call.dataset(source=source)
    assert call.refused("GET", f"/datasets/{source}") == (404, "not_found")
    assert call.refused("GET", f"/data-sources/{dataset}") == (404, "not_found")
    assert call.refused("GET", f"/datasets/{dataset}/ingestions/{uuid.uuid4()}") == (404, "not_found")
    assert call.refused("GET", f"/datasets/{dataset}/ingestions/7") == (404, "not_found")


@pytest.mark.parametrize(
    "body", [{}, {"name": ""}, {"name": " "}, {"name": 1}, {"name": "x", "timezone": "x"}]
)
def test_bad_sources_are_refused(call: Client, body: dict[str, Any]) -> None:
    """A data source without a name, or with a time zone that isn't there, is a 400."""
    assert call.refused("POST", "/data-sources", body) == (400, "invalid_input")


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": ""},
        {"dataSourceId": "x"},
        {"primaryKey": "id"},
        {"primaryKey": [""]},
        {"schema": [{"name": "id", "dataType": "number"}]},
        {"schema": [{"id": "id", "dataType": "boolean"}]},
        {"schema": [{"id": f"c{n}", "dataType": "number"} for n in range(101)]},
    ],
)
def test_bad_datasets_are_refused(call: Client, change: dict[str, Any]) -> None:
    """A dataset with a bad field is a 400; so is one of more than 100 columns."""
    body = {"dataSourceId": call.source(), "name": "x", "primaryKey": [], "schema": [], **change}
    assert call.refused("POST", "/datasets", body) == (400, "invalid_input")
    assert call("GET", "/datasets")["items"] == []


def test_key_is_required(call: Client) -> None:
    """Without a valid key the answer is a 401 that says so."""
    del call.session.headers["x-api-key"]
    response = call.raw("GET", "/v2/profile")
    assert response.status_code == 401
    assert "uthentication required" in response.json()["errors"][0]["message"]


@pytest.mark.parametrize(("switch", "header"), [("no-header", None), ("retry-after", "1")])
def test_budget_is_one_for_both_versions(make_client: Any, switch: str, header: str | None) -> None:
    """A key has one budget for v1 and v2; v2's 429 comes without `Retry-After` unless its switch says so."""
    client = make_client(limits=Limits(None, 4), v2_throttle_answer=switch)
    for version in ("v1", "v2", "v1", "v2"):
        assert client.raw("GET", f"/{version}/auth/validate-key").status_code == 200
    response = client.raw("GET", "/v2/auth/validate-key")
    assert response.status_code == 429
    assert ("Retry-After" in response.headers) is (header is not None)
    assert response.json()["errors"][0]["code"] is None
    assert client.raw("GET", "/v1/auth/validate-key").headers["Retry-After"]


@pytest.mark.parametrize(("switch", "body"), [("html", "<!doctype"), ("empty", "")])
def test_429_may_be_no_envelope(make_client: Any, switch: str, body: str) -> None:
    """A 429 of v2 may be an HTML page, or have no body."""
    client = make_client(limits=Limits(None, 1), v2_throttle_answer=switch)
    client("GET", "/profile")
    response = client.raw("GET", "/v2/profile")
    assert response.status_code == 429
    assert response.text[:9] == body


def test_pages_start_at_zero(call: Client) -> None:
    """A list has 25 items a page and at most 100; its answer tells the size that was asked for."""
    source = call.source()
    for n in range(103):
        call.emulator.store.create_dataset(f"d{n}", source)
    first = call("GET", "/datasets")
    assert (len(first["items"]), first["pagination"]["totalItems"]) == (25, 103)
    large = call("GET", "/datasets?pageSize=500")
    assert (len(large["items"]), large["pagination"]["pageSize"]) == (100, 500)
    assert len(call("GET", "/datasets?page=1&pageSize=100")["items"]) == 3
    assert call("GET", "/datasets?page=2&pageSize=100")["items"] == []
    assert [each["name"] for each in call("GET", "/datasets?page=1&pageSize=2")["items"]] == ["d2", "d3"]
    for query in ("page=-1", "page=x", "pageSize=0"):
        assert call.refused("GET", f"/datasets?{query}") == (400, "invalid_input")


def test_told_page_size_follows_its_switch(make_client: Any) -> None:
    """With `told_page_size` used, a list tells how many items a page really has."""
    client = make_client(told_page_size="used")
    assert client("GET", "/data-sources?pageSize=500")["pagination"]["pageSize"] == 100


@pytest.mark.parametrize(("switch", "found", "total"), [("works", 1, 1), ("empty", 0, 2), ("ignored", 2, 2)])
def test_dataset_filter_is_not_to_be_trusted(make_client: Any, switch: str, found: int, total: int) -> None:
    """The filter by data source works, gives empty pages with the unfiltered total, or is ignored."""
    client = make_client(dataset_filter=switch)
    source = client.source()
    client.dataset(source=source)
    client.dataset()
    answer = client("GET", f"/datasets?dataSourceId={source}")
    assert (len(answer["items"]), answer["pagination"]["totalItems"]) == (found, total)


def test_empty_lists_may_be_null(make_client: Any) -> None:
    """`items` of an empty list, and `pagination`, may be null."""
    client = make_client(empty_items="null", pagination="null")
    assert client("GET", "/datasets") == {"items": None, "pagination": None}


def test_lists_are_searched_and_sorted(call: Client) -> None:
    """Lists are searched by name, whatever its case, and sorted by a field; another field is a 400."""
    for name in ("beta", "Alpha", "gamma"):
        call.source(name)
    names = [
        each["name"] for each in call("GET", "/data-sources?search=A&sortBy=name&sortOrder=desc")["items"]
    ]
    assert names == ["gamma", "beta", "Alpha"]
    assert [each["name"] for each in call("GET", "/data-sources?search=AMM")["items"]] == ["gamma"]
    for query in ("sortBy=colour", "sortOrder=up"):
        assert call.refused("GET", f"/data-sources?{query}") == (400, "invalid_input")


def test_other_sources_are_listed_too(call: Client) -> None:
    """The list has data sources that no rows can be sent to, and their datasets say so."""
    store = call.emulator.store
    source = store.create_data_source("Analytics", key="GoogleAnalytics4", ingestion_supported=False)
    [listed] = call("GET", "/data-sources")["items"]
    assert listed["integrationKey"] == "GoogleAnalytics4"
    assert call.refused("POST", "/datasets", {"dataSourceId": source.id, "name": "x"}) == (
        400,
        "invalid_input",
    )


def test_deleted_things_linger_in_lists(make_client: Any) -> None:
    """What was deleted is still listed for a short time, though it is a 404 by its id."""
    client = make_client(deleted_lag_seconds=60.0)
    source = client.source()
    dataset = client.dataset(source=source)
    client("DELETE", f"/data-sources/{source}")
    assert [each["id"] for each in client("GET", "/data-sources")["items"]] == [source]
    assert [each["id"] for each in client("GET", "/datasets")["items"]] == [dataset]
    assert client.refused("GET", f"/datasets/{dataset}") == (404, "not_found")
    other = client.dataset()
    client("DELETE", f"/datasets/{other}")
    assert other in {each["id"] for each in client("GET", "/datasets")["items"]}
    gone = make_client()
    gone("DELETE", f"/data-sources/{gone.source()}")
    assert gone("GET", "/data-sources")["items"] == []


def test_rows_are_read_back(call: Client) -> None:
    """Rows come by column id with nulls written, in pages, in an order that may be asked for."""
    dataset = call.dataset("id")
    call.load(dataset, *({"id": n, **({"v": -n} if n else {})} for n in range(203)))
    first = call("GET", f"/datasets/{dataset}/data")
    assert (len(first["items"]), first["pagination"]["totalItems"]) == (200, 203)
    assert first["items"][0] == {"id": 0, "v": None}
    assert first["schema"] == call("GET", f"/datasets/{dataset}/schema")["items"]
    assert first["lastUpdatedAt"]
    assert len(call("GET", f"/datasets/{dataset}/data?page=1")["items"]) == 3
    smallest = call("GET", f"/datasets/{dataset}/data?sortBy=v&pageSize=2&page=1")["items"]
    assert [each["v"] for each in smallest] == [-201, -200]
    largest = call("GET", f"/datasets/{dataset}/data?sortBy=v&sortOrder=desc&pageSize=1")["items"]
    assert largest == [{"id": 1, "v": -1}]
    assert call.refused("GET", f"/datasets/{dataset}/data?sortBy=none") == (400, "invalid_input")


def test_thousand_rows_are_the_largest_page(call: Client) -> None:
    """A page of rows has at most 1,000, whatever is asked for."""
    dataset = call.dataset()
    for _ in range(3):
        call.load(dataset, *({"n": n} for n in range(400)))
    assert len(call("GET", f"/datasets/{dataset}/data?pageSize=5000")["items"]) == 1000


def test_reading_lags_behind(make_client: Any) -> None:
    """Rows are read back as they were before, until the lag is over."""
    now = [1_000_000.0]
    client = make_client(read_lag_seconds=50.0, clock=lambda: now[0])
    dataset = client.dataset("id")
    path = f"/datasets/{dataset}/data"
    client.load(dataset, {"id": 1, "v": "old"})
    now[0] += 1
    assert client("GET", path)["items"] == []
    assert client("GET", path)["pagination"]["totalItems"] == 0
    now[0] += 51
    assert client("GET", path)["items"] == [{"id": 1, "v": "old"}]
    client.load(dataset, {"id": 1, "v": "newer"}, {"id": 2, "v": "more"})
    client.load(dataset, {"id": 1, "v": "newest"})
    assert client("GET", path)["items"] == [{"id": 1, "v": "old"}]
    now[0] += 51
    assert [each["v"] for each in client("GET", path)["items"]] == ["newest", "more"]


def test_every_version_of_a_row_has_its_time(make_client: Any) -> None:
    """A row that changes often is read back in each of its versions, one lag after it was written."""
    now = [1_000_000.0]
    client = make_client(read_lag_seconds=10.0, clock=lambda: now[0])
    dataset = client.dataset("id")
    for at, version in ((0, "a"), (5, "b"), (8, "c")):
        now[0] = 1_000_000.0 + at
        client.load(dataset, {"id": 1, "v": version})
    for at, shown in ((9, []), (11, ["a"]), (16, ["b"]), (17.9, ["b"]), (18, ["c"]), (99, ["c"])):
        now[0] = 1_000_000.0 + at
        assert [each["v"] for each in client("GET", f"/datasets/{dataset}/data")["items"]] == shown
    client("POST", f"/datasets/{dataset}/purge")
    assert client("GET", f"/datasets/{dataset}/data")["items"] == []


def test_all_pages_have_all_rows(make_client: Any) -> None:
    """Pages of rows, read while they lag and after, have every row once, whatever was overwritten."""
    now = [1_000_000.0]
    client = make_client(read_lag_seconds=10.0, clock=lambda: now[0])
    dataset = client.dataset("id")
    for begin in (0, 300, 150):
        client.load(dataset, *({"id": n, "begin": begin} for n in range(begin, begin + 300)))
        now[0] += 6
    then, later = [0] * 300 + [300] * 300, [0] * 150 + [150] * 300 + [300] * 150
    for expected in (then, later):
        pages = [client("GET", f"/datasets/{dataset}/data?page={page}&pageSize=70") for page in range(10)]
        rows = {row["id"]: row["begin"] for page in pages for row in page["items"]}
        assert [rows[n] for n in range(600)] == expected
        assert sum(len(page["items"]) for page in pages) == 600
        assert {page["pagination"]["totalItems"] for page in pages} == {600}
        now[0] += 6


def test_key_belongs_to_somebody(call: Client) -> None:
    """Profile and organization tell whose the key is; the key check answers with nothing."""
    assert call("GET", "/auth/validate-key") == {}
    profile = call("GET", "/profile", x_account_id="999")
    assert (profile["role"], profile["account"]) == ("admin", None)
    assert profile["organization"] == {"id": 123456, "name": "Emulated account"}
    assert call("GET", "/organization")["id"] == 123456
    zones = {each["timezone"]: each["offset"] for each in call("GET", "/organization/timezones")["items"]}
    assert zones["UTC"] == "UTC+0"


def test_account_is_a_header(make_client: Any) -> None:
    """`x-account-id` chooses an account on lists and creations; a query parameter counts for nothing."""
    accounts = [Account(7, "Client", "client"), Account(9, "Agency", "agency")]
    client = make_client(accounts=accounts)
    assert client("GET", "/accounts")["items"] == [{"id": 7, "name": "Client"}]
    assert client("GET", "/organization")["id"] == 9
    assert client("GET", "/organization", x_account_id="7")["name"] == "Client"
    theirs = client("POST", "/data-sources", {"name": "x"}, x_account_id="7")["id"]
    ours = client("POST", "/data-sources?accountId=7", {"name": "y"})["id"]
    assert [each["id"] for each in client("GET", "/data-sources", x_account_id="7")["items"]] == [theirs]
    assert [each["id"] for each in client("GET", "/data-sources?x-account-id=7")["items"]] == [ours]
    assert client.refused("GET", "/data-sources", x_account_id="8") == (404, "not_found")
    assert client.refused("GET", "/data-sources", x_account_id="x") == (400, "invalid_input")


def test_organization_may_manage_none(call: Client) -> None:
    """An organization that manages no accounts gets a 400 for their list."""
    assert call.refused("GET", "/accounts") == (400, "invalid_input")


@pytest.mark.parametrize("role", ["user", "editor", "viewer"])
def test_roles_limit_changes(make_client: Any, role: str) -> None:
    """Who is no admin changes only what they made; ingesting and reading is for everybody."""
    client = make_client(role=role)
    assert client("GET", "/profile")["role"] == role
    foreign = client.emulator.store.create_data_source("Foreign")
    dataset = client.emulator.store.create_dataset("Foreign", foreign.id)
    for method, path, body in (
        ("POST", "/datasets", {"dataSourceId": foreign.id, "name": "x"}),
        ("POST", f"/datasets/{dataset.number}/purge", None),
        ("DELETE", f"/datasets/{dataset.number}", None),
        ("POST", f"/data-sources/{foreign.id}/purge", None),
        ("DELETE", f"/data-sources/{foreign.id}", None),
    ):
        assert client.refused(method, path, body) == (403, "forbidden"), path
    assert client.raw("DELETE", f"/v1/datasets/{dataset.id}").status_code == 403
    assert client.load(dataset.number, {"a": 1})["summary"]["ingestion"]["appendedRecordCount"] == 1
    assert client("GET", f"/datasets/{dataset.number}/data")["items"] == [{"a": 1}]
    source = client.source()
    own = client.dataset(source=source)
    client("POST", f"/datasets/{own}/purge")
    client("POST", f"/data-sources/{source}/purge")
    client("DELETE", f"/datasets/{own}")
    client("DELETE", f"/data-sources/{source}")


def test_purged_source_keeps_its_datasets(call: Client) -> None:
    """Purging a data source empties each of its datasets, and no other."""
    source = call.source()
    first, second = call.dataset(source=source), call.dataset()
    for dataset in (first, second):
        call.load(dataset, {"a": 1})
    assert call("POST", f"/data-sources/{source}/purge") == {}
    assert [call("GET", f"/datasets/{each}")["rowCount"] for each in (first, second)] == [0, 1]


@pytest.mark.parametrize(("switch", "status"), [("refused", 400), ("rejected", 200)])
def test_101st_column_follows_its_switch(make_client: Any, switch: str, status: int) -> None:
    """More than 100 columns are a 400, or the row that brings them is rejected."""
    client = make_client(column_over_limit=switch)
    dataset = client.dataset()
    wide = {f"c{n}": n for n in range(100)}
    client.load(dataset, wide)
    body = {"records": [{"c1": 1}, {"one_more": 1}]}
    response = client.raw("POST", f"/v2/datasets/{dataset}/data", json=body)
    assert response.status_code == status
    client.emulator.store.finish_processing()
    detail = client("GET", f"/datasets/{dataset}")
    assert (detail["columnCount"], detail["rowCount"]) == (100, 1 if status == 400 else 2)


@pytest.mark.parametrize(("switch", "status"), [("none", 200), ("same", 400)])
def test_column_limit_of_v1_follows_its_switch(make_client: Any, switch: str, status: int) -> None:
    """v1 has no limit of columns that is known, or the same as v2."""
    client = make_client(column_limit_of_v1=switch)
    dataset = client.emulator.store.create_dataset("x", client.source())
    body = {"records": [{f"c{n}": n for n in range(101)}]}
    assert client.raw("POST", f"/v1/datasets/{dataset.id}/data", json=body).status_code == status
    schema = [{"name": f"c{n}", "dataType": "number"} for n in range(101)]
    made = {"title": "y", "dataSourceId": dataset.data_source_id, "schema": schema}
    assert client.raw("POST", "/v1/datasets", json=made).status_code == status


@pytest.mark.parametrize(("switch", "status", "word"), [("fails", 200, "failed"), ("413", 413, None)])
def test_full_dataset_follows_its_switch(
    make_client: Any, switch: str, status: int, word: str | None
) -> None:
    """Rows beyond a dataset's `maxSize` make their ingestion fail, or get a 413."""
    client = make_client(max_size_bytes=1_000, size_over_limit=switch)
    dataset = client.dataset()
    client.load(dataset, {"a": "x" * 900})
    assert client("GET", f"/datasets/{dataset}")["maxSize"] == 1_000
    body = {"records": [{"a": "x" * 200}]}
    response = client.raw("POST", f"/v2/datasets/{dataset}/data", json=body)
    assert response.status_code == status
    client.emulator.store.finish_processing()
    if word:
        ingestion_id = response.json()["data"]["ingestionId"]
        assert client("GET", f"/datasets/{dataset}/ingestions/{ingestion_id}")["status"] == word
    assert client("GET", f"/datasets/{dataset}")["rowCount"] == 1


@pytest.mark.parametrize(
    ("switch", "rows"), [("added", [{"a": 1, "b": 2}]), ("rejected", []), ("dropped", [{"a": 1}])]
)
def test_unknown_columns_follow_their_switch(make_client: Any, switch: str, rows: list[Any]) -> None:
    """A column that a declared dataset lacks is added, rejects its row, or loses its value."""
    client = make_client(unknown_columns=switch)
    dataset = client.dataset(a="number")
    client.load(dataset, {"a": 1, "b": 2})
    assert client("GET", f"/datasets/{dataset}/data")["items"] == rows


def test_locked_datasets_are_a_500(make_client: Any) -> None:
    """While a dataset is locked after a purge, what would change it is a 500 with its code."""
    client = make_client(locked_seconds=60.0)
    dataset = client.dataset()
    client("POST", f"/datasets/{dataset}/purge")
    body = {"records": [{"a": 1}]}
    assert client.refused("POST", f"/datasets/{dataset}/data", body) == (500, "internal_error")
    client("GET", f"/datasets/{dataset}")


def test_success_may_be_empty(make_client: Any) -> None:
    """Where there is nothing to tell, the answer is an envelope with empty data, or has no body."""
    client = make_client(empty_success="nothing")
    dataset = client.dataset()
    for method, path in (
        ("GET", "/auth/validate-key"),
        ("POST", f"/datasets/{dataset}/purge"),
        ("DELETE", f"/datasets/{dataset}"),
    ):
        response = client.raw(method, f"/v2{path}")
        assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize(("switch", "field"), [("null", None), ("empty", "")])
def test_field_of_a_problem_follows_its_switch(make_client: Any, switch: str, field: str | None) -> None:
    """A problem without a field has null there, or an empty text."""
    client = make_client(problem_field=switch)
    assert client.raw("GET", "/v2/accounts").json()["errors"][0]["field"] == field


def test_faults_know_the_versions(call: Client) -> None:
    """A fault on a route's name strikes both versions; with a version before it, only that one."""
    call.emulator.faults.add("validate_key", times=2, status=503)
    for version in ("v1", "v2"):
        assert call.raw("GET", f"/{version}/auth/validate-key").status_code == 503
    call.emulator.faults.add("v2_valid*", status=502)
    assert call.raw("GET", "/v1/auth/validate-key").status_code == 200
    assert call.raw("GET", "/v2/auth/validate-key").status_code == 502


def test_log_names_the_version(call: Client) -> None:
    """The log, and the page, tell which version each request spoke."""
    call("GET", "/profile")
    call.raw("GET", "/v1/accounts")
    assert [each.version for each in call.emulator.log] == ["v2", "v1"]
    html = requests.get(call.emulator.url + "/requests", timeout=5).text
    assert "<td>v2</td>" in html
    assert "/v2/profile" in html


def test_answers_may_be_no_envelope(call: Client) -> None:
    """A planned body may be JSON null, or errors that are no list."""
    for body in ("null", json.dumps({"status": "error", "errors": "no"}), "<html>"):
        call.emulator.faults.add("v2_profile", times=1, status=500, body=body)
        assert call.raw("GET", "/v2/profile").text == body


def test_unknown_numbers_may_be_adopted(make_client: Any) -> None:
    """A trial's emulator makes a source or dataset of an unknown id, but no id is of both kinds."""
    client = make_client(adopt_unknown_ids=True)
    assert client("GET", "/data-sources/77")["id"] == 77
    found = client("GET", "/datasets/88")
    assert (found["id"], found["dataSourceId"]) == (88, 77)
    assert client("GET", "/datasets/88/schema") == {"items": [], "primaryKey": None}
    assert client.load(88, {"a": 1})["summary"]["ingestion"]["appendedRecordCount"] == 1
    assert client.refused("GET", "/datasets/77") == (404, "not_found")
    assert client.refused("GET", "/data-sources/88") == (404, "not_found")
    assert client.source() not in {77, 88}


CHANGED = {
    "id": 1,
    "text": " a ",
    "number": "NUMBER",
    "at": "2024-03-01T23:30:00.123456-02:00",
    "day": "2024-03-01",
    "last": "x",
}
READ: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"read_numbers": "doubles"}, {"number": "1234567890.1234567"}),
    ({"read_numbers": "15-digits"}, {"number": "1234567890.12346"}),
    ({"read_numbers": "2-decimals"}, {"number": "1234567890.12"}),
    ({"read_texts": "trimmed"}, {"text": "a"}),
    ({"read_fractions": "milliseconds"}, {"at": "2024-03-01T23:30:00.123-02:00"}),
    ({"read_offsets": "utc"}, {"at": "2024-03-02T01:30:00.123456Z"}),
    ({"read_offsets": "lost"}, {"at": "2024-03-01T23:30:00.123456"}),
    ({"read_columns": "last-hidden"}, {"last": None}),
    ({"read_columns": "key-hidden"}, {"id": None}),
]


@pytest.mark.parametrize(("switch", "changed"), READ)
def test_values_change_on_their_way_back(
    make_emulator: EmulatorMaker, switch: dict[str, Any], changed: dict[str, Any]
) -> None:
    """Each switch of reading back changes what it says and nothing else, and hidden columns are called so."""
    emulator = make_emulator(**NOW, **switch)
    source = emulator.store.create_data_source("s")
    dataset = emulator.store.create_dataset("d", source.id, ["id"])
    number = "1234567890.12345678901"
    emulator.store.accept(dataset.id, [json.dumps(CHANGED).replace('"NUMBER"', number).encode()])
    emulator.store.finish_processing()
    answer = Client(emulator).raw("GET", f"/v2/datasets/{dataset.number}/data")
    data = json.loads(answer.text, parse_float=str)["data"]
    wanted = {**CHANGED, "number": number, **changed}
    (row,) = data["items"]
    assert row == {name: value for name, value in wanted.items() if value is not None}
    assert [each["id"] for each in data["schema"] if not each["visible"]] == [
        name for name, value in wanted.items() if value is None
    ]


def test_filter_hides_rows_of_every_page(make_emulator: EmulatorMaker) -> None:
    """A filter hides a third of the rows from pages and totals; the dataset still holds them."""
    emulator = make_emulator(**NOW, read_rows="filtered")
    source = emulator.store.create_data_source("s")
    dataset = emulator.store.create_dataset("d", source.id)
    emulator.store.accept(dataset.id, [b'{"id": %d}' % number for number in range(90)])
    emulator.store.finish_processing()
    held = emulator.store.dataset(dataset.id)
    pages = [emulator.store.read_rows(held, page, 25, None, descending=False) for page in range(4)]
    assert [(len(rows), total) for rows, total in pages] == [(25, 60), (25, 60), (10, 60), (0, 60)]
    assert held.row_count == 90


def test_pages_are_the_same_in_any_order(make_emulator: EmulatorMaker) -> None:
    """A page is the same whichever was read before it, also after rows have come and gone."""
    emulator = make_emulator(**NOW)
    store = emulator.store
    dataset = store.create_dataset("d", store.create_data_source("s").id, ["id"])

    def add(first: int) -> None:
        store.accept(dataset.id, [b'{"id":%d}' % number for number in range(first, first + 50)])
        store.finish_processing()

    def ids(page: int) -> list[int]:
        rows, _ = store.read_rows(store.dataset(dataset.id), page, 10, None, descending=False)
        return [json.loads(bytes(row))["id"] for row in rows]

    add(0)
    for page in (0, 1, 4, 2, 3, 0, 3, 5):
        assert ids(page) == list(range(50))[page * 10 : page * 10 + 10]
    store.purge(dataset.id)
    assert ids(1) == []
    add(100)
    assert ids(1) == list(range(110, 120))
    add(200)
    assert (ids(4), ids(5), ids(9)) == (list(range(140, 150)), list(range(200, 210)), list(range(240, 250)))
    with store._database.transaction():
        store._database.run("DELETE FROM rows WHERE body = '{\"id\":105}'")
    assert ids(1) == list(range(111, 121))
