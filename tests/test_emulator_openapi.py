"""The hand-written OpenAPI description says what the emulator does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema_rs
import pytest
import requests

from target_databox.emulator.serving.meter import Limits
from target_databox.emulator.serving.routes import ROUTES
from target_databox.emulator.state.shapes import Account

if TYPE_CHECKING:
    from target_databox.emulator import Emulator
    from target_databox.emulator.serving.route import Route
    from tests.conftest import EmulatorMaker


@pytest.fixture
def description(emulator: Emulator) -> dict[str, Any]:
    """The description that the emulator serves."""
    found: dict[str, Any] = requests.get(f"{emulator.url}/openapi.json", timeout=5).json()
    return found


def operation_of(route: Route) -> str:
    """The id of a route's operation: its name, for v2 with the version before it."""
    return route.name if route.version == "v1" else route.operation


def operations(description: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Method, path and description of each operation, by its id."""
    return {
        operation["operationId"]: (method.upper(), path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    }


def complaints(description: dict[str, Any], operation_id: str, response: requests.Response) -> list[str]:
    """What an answer has that its description doesn't allow."""
    answer = operations(description)[operation_id][2]["responses"][str(response.status_code)]
    if "$ref" in answer:
        answer = description["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = {**answer["content"]["application/json"]["schema"], "components": description["components"]}
    validator = jsonschema_rs.validator_for(schema, validate_formats=True)
    return [error.message for error in validator.iter_errors(response.json())]


def test_description_has_every_route(description: dict[str, Any]) -> None:
    """Every route is described under its name, and nothing else is."""
    described = {name: (method, path) for name, (method, path, _) in operations(description).items()}
    assert described == {operation_of(route): (route.method, route.path) for route in ROUTES}


def test_paths_declare_their_ids(description: dict[str, Any]) -> None:
    """Every id in a path is declared as a parameter."""
    for _, path, operation in operations(description).values():
        declared = [each["name"] for each in operation.get("parameters", []) if each.get("in") == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path)


def test_answers_are_as_described(emulator: Emulator, description: dict[str, Any]) -> None:
    """What every route answers, done or refused, is allowed by its description."""
    ids: dict[str, Any] = {"accountId": 123456}
    bodies = {
        "create_data_source": {"title": "x", "timezone": "UTC"},
        "create_dataset": {
            "title": "x",
            "primaryKeys": ["id"],
            "schema": [{"name": "id", "dataType": "number"}],
        },
        "post_rows": {"records": [{"id": 1}, {"x": 2}]},
    }
    routes = {route.name: route for route in ROUTES if route.version == "v1"}
    order = ["create_data_source", "create_dataset", "post_rows", *routes]
    last = ["purge", "delete_dataset", "delete_data_source"]
    for name in [name for name in order if name not in last] + last:
        route = routes[name]
        path = re.sub(r"\{(\w+)\}", lambda found: str(ids[found[1]]), route.path)
        body = (
            {**bodies[name], "dataSourceId": ids["dataSourceId"]}
            if name == "create_dataset"
            else bodies.get(name)
        )
        headers = {"x-api-key": emulator.api_key}
        response = requests.request(route.method, emulator.url + path, json=body, headers=headers, timeout=5)
        assert response.status_code == 200, response.text
        assert complaints(description, name, response) == [], name
        answer = response.json()
        if name == "create_data_source":
            ids["dataSourceId"] = answer["id"]
        elif name == "create_dataset":
            ids["datasetId"] = answer["id"]
        elif name == "post_rows":
            ids["ingestionId"] = answer["ingestionId"]
            emulator.store.finish_processing()
        wrong = requests.request(route.method, emulator.url + path, json=body, timeout=5)
        assert complaints(description, name, wrong) == [], name


SWITCHES_OF_V2: list[dict[str, Any]] = [
    {},
    {"empty_items": "null", "pagination": "null", "no_errors": "null", "told_page_size": "used"},
    {"pending_summary": "zeros", "count_form": "float", "problem_field": "empty"},
    {"pending_summary": "parts-null", "count_form": "text", "failed_metrics": "absent"},
]


@pytest.mark.parametrize("switches", SWITCHES_OF_V2, ids=lambda each: ",".join(each) or "defaults")
def test_answers_of_v2_are_as_described(make_emulator: EmulatorMaker, switches: dict[str, Any]) -> None:
    """What every route of v2 answers is allowed by its description, whatever the switches."""
    accounts = [Account(1, "Agency", "agency"), Account(2, "Client", "client")]
    emulator = make_emulator(accounts=accounts, **switches)
    description = requests.get(f"{emulator.url}/openapi.json", timeout=5).json()
    routes = {route.name: route for route in ROUTES if route.version == "v2"}
    ids: dict[str, Any] = {}
    bodies: dict[str, Any] = {
        "create_data_source": {"name": "x", "timezone": "UTC"},
        "create_dataset": {"name": "x", "primaryKey": ["id"], "schema": [{"id": "id", "dataType": "number"}]},
        "post_rows": {"records": [{"id": 1}, {"x": 2}]},
    }
    first = ["create_data_source", "create_dataset", "post_rows", "ingestion", "ingestions"]
    last = ["purge", "purge_data_source", "delete_dataset", "delete_data_source"]
    emulator.faults.add("post_rows", nth=1, processing_seconds=99.0)
    emulator.faults.add("post_rows", nth=2, fail_ingestion=True)
    middle = [name for name in routes if name not in last]
    for name in [*first, "post_rows", *middle, *last]:
        path = re.sub(r"\{(\w+)\}", lambda found: str(ids[found[1]]), routes[name].path)
        body = bodies.get(name)
        if name == "create_dataset":
            body = {**body, "dataSourceId": ids["dataSourceId"]}
        headers = {"x-api-key": emulator.api_key}
        method = routes[name].method
        answer = requests.request(method, emulator.url + path, json=body, headers=headers, timeout=5)
        assert answer.status_code == 200, answer.text
        assert complaints(description, f"v2_{name}", answer) == [], name
        wrong = requests.request(method, emulator.url + path, json=body, timeout=5)
        assert complaints(description, f"v2_{name}", wrong) == [], name
        data = answer.json()["data"]
        ids.update({"create_data_source": {"dataSourceId": data.get("id")}}.get(name, {}))
        ids.update({"create_dataset": {"datasetId": data.get("id")}}.get(name, {}))
        ids.update({"post_rows": {"ingestionId": data.get("ingestionId")}}.get(name, {}))
        if name == "ingestions":
            emulator.store.finish_processing()


@pytest.mark.parametrize("metrics", ["absent", "null", "zeros"])
def test_pending_ingestions_are_described(make_emulator: EmulatorMaker, metrics: str) -> None:
    """The answer about an ingestion that is pending or failed is allowed, whatever its metrics are."""
    emulator = make_emulator(pending_metrics=metrics)
    description = requests.get(f"{emulator.url}/openapi.json", timeout=5).json()
    dataset = emulator.store.create_dataset("x", emulator.store.create_data_source("x").id)
    headers = {"x-api-key": emulator.api_key}
    emulator.faults.add("post_rows", processing_seconds=99.0, fail_ingestion=True)
    url = f"{emulator.url}/v1/datasets/{dataset.id}"
    posted = requests.post(f"{url}/data", json={"records": [{"a": 1}]}, headers=headers, timeout=5).json()
    for _ in range(2):
        answer = requests.get(f"{url}/ingestions/{posted['ingestionId']}", headers=headers, timeout=5)
        assert complaints(description, "ingestion", answer) == []
        emulator.store.finish_processing()


def test_refusals_are_described(make_emulator: EmulatorMaker) -> None:
    """The answers 400, 404 and 429 are as described."""
    emulator = make_emulator(limits=Limits(None, 2))
    description = requests.get(f"{emulator.url}/openapi.json", timeout=5).json()
    headers = {"x-api-key": emulator.api_key}
    for path, status in (("x", 400), ("1", 404), ("1", 429)):
        answer = requests.get(f"{emulator.url}/v1/data-sources/{path}/datasets", headers=headers, timeout=5)
        assert answer.status_code == status
        assert complaints(description, "datasets", answer) == []


def test_description_is_laid_out_for_people(description: dict[str, Any]) -> None:
    """Every operation says in one line what it does, and the whole is plain JSON."""
    assert all(operation["summary"] for _, _, operation in operations(description).values())
    assert json.loads(json.dumps(description)) == description
