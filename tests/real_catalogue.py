"""Accounts, data sources and datasets of a real server over a simulated Databox, for runs to find or make."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.promises import ViolationError
from tests.simulated_v1 import answered
from tests.simulated_v2 import IdempotencyKeys, done, failed

if TYPE_CHECKING:
    from target_databox.api.transport import Reply
    from tests.simulated_databox import SimulatedDatabox

ACCOUNT = 1
SOURCE = 2
FIRST_NUMBER = 100
CREATED = "2025-10-01T12:00:00.000000Z"
TITLE = "target-databox"
KEYS = {True: ["id"], False: []}
DATASET = re.compile(r"/v[12]/datasets/([^/?]+)")


class Catalogue:
    """What exists before the first row, in both versions of the API.

    Args:
        server: Its datasets; that of the stream `s0` is `d0`.
        existing: Which of them are there before the first run.
        has_source: Whether the data source is.
    """

    def __init__(self, server: SimulatedDatabox, existing: set[str], *, has_source: bool) -> None:
        self._server = server
        self._existing = existing
        self._has_source = has_source
        self._once = IdempotencyKeys("json")
        names = list(server.datasets)
        self._numbers = {name: FIRST_NUMBER + index for index, name in enumerate(names)}
        self._uuids = {name: f"{index:08x}-0000-4000-9000-0123456789ab" for index, name in enumerate(names)}
        self._names = {str(each): name for name, each in (*self._numbers.items(), *self._uuids.items())}

    def inner(self, target: str) -> str:
        """A path in which a dataset is called as the simulation calls it."""
        return DATASET.sub(lambda found: found[0].replace(found[1], self._names.get(found[1], "?")), target)

    def reply(self, method: str, target: str, body: bytes | None, key: str | None) -> Reply:
        """The answer to a request, in which a dataset is called as in the simulation."""
        path = urlsplit(target).path
        if method == "POST" and path.startswith("/v2/"):
            return self._once.once(path, key, body, 0.0, lambda: self._made(path, body))
        if method == "POST":
            return self._made(path, body)
        found = DATASET.match(path)
        if found is not None:
            return self._detail(found[1], path)
        page = int(parse_qs(urlsplit(target).query).get("page", ["0"])[0])
        routes = {
            "/v1/accounts": lambda: answered({"accounts": [{"id": ACCOUNT, "name": "Shop"}]}),
            f"/v1/accounts/{ACCOUNT}/data-sources": lambda: answered({"dataSources": self._sources("title")}),
            f"/v1/data-sources/{SOURCE}/datasets": lambda: answered({"datasets": self._datasets("v1")}),
            "/v2/organization": lambda: done({"id": ACCOUNT, "name": "Shop"}),
            "/v2/accounts": lambda: failed(400, "invalid_input", "No accounts are managed."),
            "/v2/data-sources": lambda: listed(self._sources("name"), page),
            f"/v2/data-sources/{SOURCE}": lambda: done(self._sources("name")[0]),
            "/v2/datasets": lambda: listed(self._datasets("v2"), page),
        }
        if path not in routes:
            raise ViolationError(f"no route {method} {target}")
        return routes[path]()

    def _sources(self, title: str) -> list[dict[str, Any]]:
        created = "created" if title == "title" else "createdAt"
        source = {"id": SOURCE, title: TITLE, created: CREATED, "timezone": "UTC"}
        return [source] if self._has_source else []

    def _datasets(self, version: str) -> list[dict[str, Any]]:
        return [self._dataset(name, version) for name in self._numbers if name in self._existing]

    def _dataset(self, name: str, version: str) -> dict[str, Any]:
        title = name.replace("d", "s")
        if version == "v1":
            return {"id": self._uuids[name], "title": title, "created": CREATED}
        return {"id": self._numbers[name], "name": title, "createdAt": CREATED, "dataSourceId": SOURCE}

    def _detail(self, name: str, path: str) -> Reply:
        index = int(name[1:])
        _, is_known = self._server.plan.streams[index]
        keys = KEYS[self._server.datasets[name].keyed]
        if path.startswith("/v2/"):
            return done({"items": [], "primaryKey": keys if is_known else None})
        if not is_known:
            return failed(404, "not_found", "Unknown.")
        return answered({**self._dataset(name, "v1"), "primaryKeys": keys or None, "schema": None})

    def _made(self, path: str, body: bytes | None) -> Reply:
        version, fields = path[1:3], json.loads(body or b"{}")
        if path.endswith("/data-sources"):
            if self._has_source:
                raise ViolationError("a second data source is made")
            self._has_source = True
            (source,) = self._sources("title" if version == "v1" else "name")
            return answered({**source, "status": "success"}) if version == "v1" else done(source)
        name = fields["title" if version == "v1" else "name"].replace("s", "d")
        if name in self._existing:
            raise ViolationError(f"a second dataset {name} is made")
        keys = fields.get("primaryKeys" if version == "v1" else "primaryKey") or []
        if keys != KEYS[self._server.datasets[name].keyed]:
            raise ViolationError(f"the dataset {name} is made with the keys {keys}")
        self._existing.add(name)
        return (answered if version == "v1" else done)(self._dataset(name, version))


def listed(items: list[dict[str, Any]], page: int) -> Reply:
    """A page of a list of v2."""
    told = {"page": page, "pageSize": 100, "totalItems": len(items)}
    return done({"items": [] if page else items, "pagination": told})
