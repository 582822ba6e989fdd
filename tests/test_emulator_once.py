"""`Idempotency-Key` on the emulated API v2: what is kept, for whom, how long, and what is not."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.test_emulator_v2 import NOW, Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import EmulatorMaker

KEY = "3f1c1f0e-8a51-4e53-9d3f-0b1d0c7d2a10"
OTHER = "3f1c1f0e-8a51-4e53-9d3f-0b1d0c7d2a11"


@pytest.fixture
def make_client(make_emulator: EmulatorMaker) -> Iterator[Any]:
    """Makes clients of emulators with options."""
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


def post(
    client: Client, path: str, body: Any = None, key: str | None = KEY, **headers: str
) -> requests.Response:
    """A POST with a key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if key is not None:
        named["Idempotency-Key"] = key
    return client.raw("POST", f"/v2{path}", json=body, headers=named)


def rows(client: Client, dataset: int) -> list[Any]:
    """The rows of a dataset once everything is processed."""
    client.emulator.store.finish_processing()
    found: list[Any] = client("GET", f"/datasets/{dataset}/data")["items"]
    return found


@pytest.mark.parametrize("name", ["data_source", "dataset", "data", "purge", "purge_source"])
def test_five_routes_replay_their_first_answer(call: Client, name: str) -> None:
    """On each of the five routes the same key gives the first answer, and nothing is done again."""
    source = call.source()
    dataset = call.dataset(source=source)
    path, body = {
        "data_source": ("/data-sources", {"name": "x"}),
        "dataset": ("/datasets", {"dataSourceId": source, "name": "x"}),
        "data": (f"/datasets/{dataset}/data", {"records": [{"a": 1}]}),
        "purge": (f"/datasets/{dataset}/purge", None),
        "purge_source": (f"/data-sources/{source}/purge", None),
    }[name]
    first = post(call, path, body)
    assert first.status_code == 200
    call.load(dataset, {"late": 1})
    again = post(call, path, body)
    assert again.content == first.content
    assert [each.replayed for each in call.emulator.log if each.idempotency_key] == [False, True]
    assert len(call.emulator.store.data_sources()) == (2 if name == "data_source" else 1)
    assert len(call.emulator.store.datasets()) == (2 if name == "dataset" else 1)
    assert {"late": 1} in [{"late": each["late"]} for each in rows(call, dataset) if each["late"] is not None]


def test_key_counts_on_no_other_route(call: Client) -> None:
    """A key on a DELETE or on a route of v1 counts for nothing."""
    dataset = call.dataset()
    headers = {"Idempotency-Key": KEY}
    assert call.raw("DELETE", f"/v2/datasets/{dataset}", headers=headers).status_code == 200
    assert call.raw("DELETE", f"/v2/datasets/{dataset}", headers=headers).status_code == 404
    for _ in range(2):
        call.raw("POST", "/v1/data-sources", json={"title": "x"}, headers=headers)
    assert len(call.emulator.store.data_sources()) == 3


def test_rows_without_a_key_are_stored_each_time(call: Client) -> None:
    """Without a key, and with another one, the same rows are stored again."""
    dataset = call.dataset()
    path, body = f"/datasets/{dataset}/data", {"records": [{"a": 1}]}
    for key in (None, None, KEY, OTHER, KEY):
        assert post(call, path, body, key).status_code == 200
    assert rows(call, dataset) == [{"a": 1}] * 4


def test_other_input_is_refused(call: Client) -> None:
    """The same key with other input is a 422 with its code, and nothing is done."""
    path = f"/datasets/{call.dataset()}/data"
    post(call, path, {"records": [{"a": 1}]})
    refused = post(call, path, {"records": [{"a": 2}]})
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "idempotency_key_reused")
    assert len(call.emulator.store.history()) == 1


def test_scope_is_route_resource_account_and_user(make_client: Any) -> None:
    """One key is another on another route, resource, account or user."""
    client = make_client(api_keys=["pak_one", "pak_two"])
    first, second = client.dataset(), client.dataset()
    for dataset in (first, second):
        assert post(client, f"/datasets/{dataset}/data", {"records": [{"a": dataset}]}).status_code == 200
        assert post(client, f"/datasets/{dataset}/purge").status_code == 200
    body = {"records": [{"b": 1}]}
    refused = post(client, f"/datasets/{first}/data", body)
    assert refused.status_code == 422
    assert post(client, f"/datasets/{first}/data", body, x_account_id="7").status_code == 200
    client.session.headers["x-api-key"] = "pak_two"
    assert post(client, f"/datasets/{first}/data", body).status_code == 200


def test_own_account_is_the_same_by_its_id(call: Client) -> None:
    """The key's own account is one scope, named or not."""
    for headers in ({}, {"x_account_id": "123456"}):
        post(call, "/data-sources", {"name": "x"}, **headers)
    assert len(call.emulator.store.data_sources()) == 1


@pytest.mark.parametrize(
    ("switch", "second", "status"),
    [
        ("json", b'{ "records":[ {"b":2,"a":1.0} ] }', 200),
        ("json", b'{"records": [{"a": 1.00, "b": 2}]}', 422),
        ("bytes", b'{ "records":[ {"b":2,"a":1.0} ] }', 422),
        ("bytes", b'{"records": [{"a": 1.0, "b": 2}]}', 200),
    ],
)
def test_input_is_compared_as_its_switch_says(
    make_client: Any, switch: str, second: bytes, status: int
) -> None:
    """Inputs are compared as JSON, where order and blanks count for nothing, or byte by byte."""
    client = make_client(idempotency_input=switch)
    path = f"/v2/datasets/{client.dataset()}/data"
    headers = {"Content-Type": "application/json", "Idempotency-Key": KEY}
    first = b'{"records": [{"a": 1.0, "b": 2}]}'
    assert client.raw("POST", path, data=first, headers=headers).status_code == 200
    assert client.raw("POST", path, data=second, headers=headers).status_code == status


def test_answers_are_kept_for_a_day(make_client: Any) -> None:
    """After 24 hours a key is new again."""
    now = [1_000_000.0]
    client = make_client(clock=lambda: now[0])
    path, body = "/data-sources", {"name": "x"}
    first = post(client, path, body).json()["data"]["id"]
    now[0] += 24 * 3600 - 1
    assert post(client, path, body).json()["data"]["id"] == first
    now[0] += 2
    assert post(client, path, body).json()["data"]["id"] != first


def test_errors_are_not_kept(call: Client) -> None:
    """A retry after a refusal runs the request again."""
    body = {"dataSourceId": 4754489, "name": "x"}
    assert post(call, "/datasets", body).status_code == 404
    assert call.source() == 4754489
    assert post(call, "/datasets", body).status_code == 200


@pytest.mark.parametrize(
    ("fault", "stored"),
    [
        ({"drop": "before"}, 1),
        ({"drop": "after"}, 1),
        ({"status": 503}, 1),
        ({"status": 502, "after_write": True, "html": True}, 1),
        ({"status": 524, "after_write": True}, 1),
        ({"status": 500, "after_write": True, "forgets": True}, 2),
    ],
)
def test_lost_answers_are_replayed(call: Client, fault: dict[str, Any], stored: int) -> None:
    """After a lost answer the same key stores nothing twice, unless the API itself failed after the write."""
    dataset = call.dataset()
    call.emulator.faults.add("v2_post_rows", nth=1, **fault)
    path, body = f"/datasets/{dataset}/data", {"records": [{"a": 1}]}
    with suppress(requests.ConnectionError):
        assert post(call, path, body).status_code >= 500
    assert post(call, path, body).status_code == 200
    assert rows(call, dataset) == [{"a": 1}] * stored


@pytest.mark.parametrize("key", ["", "x", KEY[:-1], KEY + "0", KEY.replace("-", "")])
def test_key_has_to_be_a_uuid(make_client: Any, key: str) -> None:
    """Text that is no UUID is a 400 that stores nothing, unless the switch says that any text will do."""
    client = make_client()
    path, body = f"/datasets/{client.dataset()}/data", {"records": [{"a": 1}]}
    assert post(client, path, body, key).status_code == 400
    assert client.emulator.store.history() == []
    other = make_client(idempotency_key_text="any")
    path = f"/datasets/{other.dataset()}/data"
    for _ in range(2):
        assert post(other, path, body, key).status_code == 200
    assert len(other.emulator.store.history()) == 1


@pytest.mark.parametrize(("switch", "statuses"), [("waits", [200, 200]), ("409", [200, 409])])
def test_requests_with_one_key_take_turns(make_client: Any, switch: str, statuses: list[int]) -> None:
    """A second request with the key of one that is not answered yet waits for its answer, or gets a 409."""
    client = make_client(idempotency_overlap=switch)
    dataset = client.dataset()
    client.emulator.faults.add("v2_post_rows", delay_before_seconds=0.1)
    url = f"{client.emulator.url}/v2/datasets/{dataset}/data"

    def send(key: str) -> requests.Response:
        headers = {"x-api-key": client.emulator.api_key, "Idempotency-Key": key}
        return requests.post(url, json={"records": [{"a": 1}]}, headers=headers, timeout=5)

    for attempt in range(1, 21):
        # On a busy machine the first may be answered before the second one comes.
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(send, [str(uuid.uuid4())] * 2))
        assert len(rows(client, dataset)) == attempt
        if sorted(each.status_code for each in answers) == statuses:
            break
    assert sorted(each.status_code for each in answers) == statuses
    if switch == "waits":
        assert answers[0].content == answers[1].content


def test_keys_of_others_do_not_wait(call: Client) -> None:
    """Requests with different keys don't wait for each other."""
    dataset = call.dataset()
    call.emulator.faults.add("v2_post_rows", nth=1, delay_before_seconds=0.1)
    url = f"{call.emulator.url}/v2/datasets/{dataset}/data"
    order: list[str] = []

    def send(pause_and_key: tuple[float, str]) -> None:
        time.sleep(pause_and_key[0])
        headers = {"x-api-key": call.emulator.api_key, "Idempotency-Key": pause_and_key[1]}
        requests.post(url, json={"records": [{"a": 1}]}, headers=headers, timeout=5)
        order.append(pause_and_key[1])

    with ThreadPoolExecutor() as pool:
        list(pool.map(send, [(0.0, KEY), (0.03, OTHER)]))
    assert order == [OTHER, KEY]


def test_replays_survive_a_restart(make_client: Any, tmp_path: Any) -> None:
    """What is kept is kept with the rows, in the database."""
    from target_databox.emulator import Store

    answers = []
    for _ in range(2):
        store = Store(tmp_path / "databox.sqlite")
        client = make_client(store=store)
        answers.append(post(client, "/data-sources", {"name": "x"}).json()["data"]["id"])
        client.emulator.stop()
        store.close()
    assert answers[0] == answers[1]


def test_keys_compare_whatever_their_case(call: Client) -> None:
    """A UUID is the same in capitals."""
    key = str(uuid.uuid4())
    for text in (key, key.upper()):
        post(call, "/data-sources", {"name": "x"}, text)
    assert len(call.emulator.store.data_sources()) == 1
