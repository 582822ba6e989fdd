"""The routes of the API v2: each reads its request, calls the store, gives the answer's data; no rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.emulator.serving import v2_items
from target_databox.emulator.serving.calls import array_field, json_field
from target_databox.emulator.serving.route import Answer, Route
from target_databox.emulator.serving.v2_lists import LARGEST_ROWS, USUAL_ROWS, Page, chosen, order
from target_databox.emulator.serving.wording import offset, planned_fate, records
from target_databox.emulator.state.catalogue import MOST_COLUMNS, timezones
from target_databox.emulator.state.errors import InvalidInputError, TooLargeError, UnknownObjectError

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator.serving.calls import Call
    from target_databox.emulator.state.shapes import Account, Dataset

_MOST_RECORDS, _MOST_BYTES = 500, 10_485_760  # grade O


def _number(call: Call, name: str) -> int:
    """An id of the path; another text is an id that nothing has."""
    text = call.ids[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise UnknownObjectError(f"{name} must be a whole number.", name)
    return int(text)


def _account(call: Call) -> Account:
    """The account that the header names, or the key's own; a query parameter counts for nothing."""
    text = call.headers.get("x-account-id")
    if text is None:
        return call.store.own_account()
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise InvalidInputError("x-account-id must be a whole number.", "x-account-id")
    return call.store.account(int(text))


def _dataset(call: Call) -> Dataset:
    return call.store.dataset_numbered(_number(call, "datasetId"))


def _nothing(_: Call) -> None:
    return None


def _profile(call: Call) -> Answer:
    own = call.store.own_account()
    user = call.actor.id if call.actor else 1
    return {
        "id": user,
        "email": f"user{user}@example.com",
        "name": f"User {user}",
        "role": call.actor.role if call.actor else "admin",
        "timezone": "UTC",
        "organization": {"id": own.id, "name": own.name},
        "account": None,
    }


def _organization(call: Call) -> Answer:
    account = _account(call)
    return {"id": account.id, "name": account.name, "timezone": "UTC"}


def _timezones(_: Call) -> Answer:
    return {"items": [{"offset": offset(name), "timezone": name} for name in sorted(timezones())]}


def _accounts(call: Call) -> Answer:
    own = call.store.own_account()
    if own.type != "agency":
        raise InvalidInputError("The organization manages no accounts.")
    managed = [{"id": each.id, "name": each.name} for each in call.store.accounts() if each.id != own.id]
    return Page(call).of(managed)


def _data_sources(call: Call) -> Answer:
    found = call.store.listed_data_sources(_account(call).id)
    return Page(call).of(chosen(call, [v2_items.data_source(each) for each in found]))


def _create_data_source(call: Call) -> Answer:
    fields = call.fields()
    source = call.store.create_data_source(
        _name(fields), _account(call).id, json_field(fields, "timezone", str), actor=call.actor
    )
    return v2_items.data_source(source)


def _name(fields: Answer) -> str:
    name: str = json_field(fields, "name", str, required=True)
    if not name.strip():
        raise InvalidInputError("A name has to have characters.", "name")
    return name


def _data_source(call: Call) -> Answer:
    return v2_items.data_source(call.store.data_source(_number(call, "dataSourceId")))


def _delete_data_source(call: Call) -> None:
    call.store.delete_data_source(_number(call, "dataSourceId"), call.actor)


def _purge_data_source(call: Call) -> None:
    call.store.purge_data_source(_number(call, "dataSourceId"), call.actor)


def _datasets(call: Call) -> Answer:
    account = _account(call)
    newest = call.store.newest_ingestions()
    supported = {each.id for each in call.store.data_sources(account.id) if each.ingestion_supported}
    items = [
        v2_items.dataset(call, each, newest.get(each.id), each.data_source_id in supported)
        for each in call.store.listed_datasets(account.id)
    ]
    found, page = chosen(call, items), Page(call)
    wanted = call.query.get("dataSourceId")
    if wanted is None or call.store.assumptions.dataset_filter == "ignored":
        return page.of(found)
    if call.store.assumptions.dataset_filter == "empty":
        return page.holding([], len(found))
    return page.of([each for each in found if str(each["dataSourceId"]) == wanted])


def _create_dataset(call: Call) -> Answer:
    fields = call.fields()
    keys = array_field(fields, "primaryKey")
    if not all(isinstance(name, str) and name for name in keys):
        raise InvalidInputError("primaryKey must be an array of column names.", "primaryKey")
    columns = array_field(fields, "schema")
    if not all(_is_column(each) for each in columns):
        raise InvalidInputError("schema must be an array of objects with id and dataType.", "schema")
    if not columns and call.store.assumptions.v2_schema == "required":
        raise InvalidInputError("schema is required.", "schema")
    if len(columns) > MOST_COLUMNS:
        raise InvalidInputError(f"A dataset has at most {MOST_COLUMNS} columns.", "schema")
    dataset = call.store.create_dataset(
        _name(fields),
        json_field(fields, "dataSourceId", int, required=True),
        keys,
        [(each["id"], each["dataType"]) for each in columns],
        schema_field="accepted",
        actor=call.actor,
    )
    return v2_items.dataset_detail(call, dataset)


def _is_column(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("id"), str)
        and isinstance(value.get("dataType"), str)
    )


def _dataset_detail(call: Call) -> Answer:
    return v2_items.dataset_detail(call, _dataset(call))


def _schema(call: Call) -> Answer:
    found = _dataset(call)
    # The keys of an adopted dataset are not known here.
    return {
        "items": v2_items.columns(call, found),
        "primaryKey": None if found.keys is None else list(found.keys),
    }


def _delete_dataset(call: Call) -> None:
    call.store.delete_dataset(_dataset(call).id, call.actor)


def _purge(call: Call) -> None:
    call.store.purge(_dataset(call).id, call.actor)


def _post_rows(call: Call) -> Answer:
    if len(call.body) > _MOST_BYTES:
        raise TooLargeError(f"A request has at most {_MOST_BYTES} bytes.", "records")
    texts = records(call)
    fate = planned_fate(call.faults, texts, MOST_COLUMNS)
    accepted = call.store.accept(_dataset(call).id, texts, fate, most_rows=_MOST_RECORDS, actor=call.actor)
    return {
        "ingestionId": accepted.id,
        "message": "Data ingestion request accepted",
        "status": call.store.assumptions.accepted_word,
    }


def _ingestions(call: Call) -> Answer:
    page = Page(call)
    found, total = call.store.ingestions_page(_dataset(call).id, page.number + 1, page.size)
    return page.holding([v2_items.ingestion(call, each) for each in found], total)


def _ingestion(call: Call) -> Answer:
    dataset = _dataset(call)
    found = call.store.ingestion(dataset.id, call.ids["ingestionId"])
    return v2_items.ingestion_detail(call, found, call.store.dataset(dataset.id))


def _read_rows(call: Call) -> Answer:
    found, page = _dataset(call), Page(call, USUAL_ROWS, LARGEST_ROWS)
    sort_by = call.query.get("sortBy")
    if sort_by is not None and sort_by not in found.columns:
        raise InvalidInputError("sortBy must be a column.", "sortBy")
    rows, total = call.store.read_rows(found, page.number, page.size, sort_by, descending=order(call))
    newest = call.store.newest_ingestions().get(found.id)
    return {
        **page.holding(rows, total),
        "schema": v2_items.columns(call, found),
        "lastUpdatedAt": v2_items.moment(newest.processed_at if newest else None),
    }


_SOURCES, _DATASETS = "/v2/data-sources", "/v2/datasets"
_ONE_SOURCE, _ONE_DATASET = f"{_SOURCES}/{{dataSourceId}}", f"{_DATASETS}/{{datasetId}}"


def _once(name: str, path: str, answer: Callable[[Call], Answer | None]) -> Route:
    return Route(name, "POST", path, answer, "v2", once=True)


def _plain(name: str, method: str, path: str, answer: Callable[[Call], Answer | None]) -> Route:
    return Route(name, method, path, answer, "v2")


ROUTES = (
    _plain("validate_key", "GET", "/v2/auth/validate-key", _nothing),
    _plain("profile", "GET", "/v2/profile", _profile),
    _plain("organization", "GET", "/v2/organization", _organization),
    _plain("timezones", "GET", "/v2/organization/timezones", _timezones),
    _plain("accounts", "GET", "/v2/accounts", _accounts),
    _plain("data_sources", "GET", _SOURCES, _data_sources),
    _once("create_data_source", _SOURCES, _create_data_source),
    _plain("data_source", "GET", _ONE_SOURCE, _data_source),
    _plain("delete_data_source", "DELETE", _ONE_SOURCE, _delete_data_source),
    _once("purge_data_source", f"{_ONE_SOURCE}/purge", _purge_data_source),
    _plain("datasets", "GET", _DATASETS, _datasets),
    _once("create_dataset", _DATASETS, _create_dataset),
    _plain("dataset", "GET", _ONE_DATASET, _dataset_detail),
    _plain("schema", "GET", f"{_ONE_DATASET}/schema", _schema),
    _plain("delete_dataset", "DELETE", _ONE_DATASET, _delete_dataset),
    _once("purge", f"{_ONE_DATASET}/purge", _purge),
    _once("post_rows", f"{_ONE_DATASET}/data", _post_rows),
    _plain("read_rows", "GET", f"{_ONE_DATASET}/data", _read_rows),
    _plain("ingestions", "GET", f"{_ONE_DATASET}/ingestions", _ingestions),
    _plain("ingestion", "GET", f"{_ONE_DATASET}/ingestions/{{ingestionId}}", _ingestion),
)
