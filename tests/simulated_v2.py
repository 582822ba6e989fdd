"""The routes of API v2 over a simulated Databox, as JSON that the real client asks for and reads.

The rules are those of the API's facts and of nothing in the client. What is unknown of it is drawn by seed.
"""

from __future__ import annotations

import datetime
import json
import random
import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

from target_databox.api.errors import DataboxError
from target_databox.api.transport import Reply
from target_databox.api.v2.client import DataboxClient
from target_databox.api.values import ApiProblem
from target_databox.delivery.requests import AskOutcome, PostRows, ReadIngestion, ReadList

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from target_databox.delivery.requests import Request
    from tests.simulated_databox import SimulatedDatabox, Wire
    from tests.simulated_dataset import SimulatedDataset, StoredIngestion

MOST_ROWS = 500
MOST_BYTES = 10_485_760
LARGEST_PAGE = 100
SUCCESS = 200
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ROUTES = re.compile(r"/v2/datasets/(?P<dataset>[^/]+)/(?P<what>data|purge|ingestions)(/(?P<ingestion>.+))?")
# What stands in place of an answer that a proxy, or Databox on a bad day, has garbled.
GARBLED = (b"", b"null", b"<html>Bad gateway</html>", b'{"status": "success"}', b'{"data": ')


class Kept(NamedTuple):
    """A successful answer, with the input that it answered."""

    path: str
    body: bytes | None
    reply: Reply
    until: float


class IdempotencyKeys:
    """Successful answers by dataset, route and key, each for a day.

    Args:
        compares: Whether input is the same as `json` or as `bytes`.
        scope: Whether a key belongs to a `route`, a `dataset` or the `account`; another route is other input.
        hours: For how long a key is remembered.

    Attributes:
        replayed: How many requests were not carried out again.
    """

    def __init__(self, compares: str, *, scope: str = "route", hours: float = 24.0) -> None:
        self.replayed = 0
        self._compares = compares
        # How many parts of the path belong to it.
        self._parts = {"route": 5, "dataset": 4, "account": 0}[scope]
        self._kept_seconds = hours * 3600
        self._kept: dict[tuple[str, str], Kept] = {}

    def once(
        self, path: str, key: str | None, body: bytes | None, now: float, act: Callable[[], Reply]
    ) -> Reply:
        """Carry a request out, or answer as before."""
        if key is None:
            return act()
        if not UUID.fullmatch(key):
            return failed(400, "invalid_input", "The idempotency key is no UUID.")
        place = ("/".join(path.split("/")[: self._parts]), key)
        kept = self._kept.get(place)
        if kept is not None and now < kept.until:
            if kept.path != path or not self._is_same(kept.body, body):
                return failed(422, "idempotency_key_reused", "The key came with other input.")
            self.replayed += 1
            return kept.reply
        reply = act()
        if reply.status == SUCCESS and (not reply.payload or _is_success(reply)):
            self._kept[place] = Kept(path, body, reply, now + self._kept_seconds)
        return reply

    def _is_same(self, one: bytes | None, other: bytes | None) -> bool:
        if self._compares == "bytes" or one is None or other is None:
            return one == other
        return bool(json.loads(one) == json.loads(other))


def _is_success(reply: Reply) -> bool:
    return bool(json.loads(reply.payload)["status"] == "success")


class FaceOfV2:
    """API v2 of a simulated Databox, with the real client in front.

    Attributes:
        keys: What it remembers of idempotency keys.
        garbles: Whether the next answer is unreadable.
    """

    def __init__(self, server: SimulatedDatabox, seed: int) -> None:
        habits = server.plan.habits
        self.keys = IdempotencyKeys(server.plan.compares, scope=habits.key_scope, hours=habits.key_hours)
        self.garbles = False
        self._server = server
        self._plan = server.plan
        # Of its own, so that runs of v1 in the same world are dealt the same.
        self._rand = random.Random(seed * 37 + 5)  # noqa: S311
        self._errors: dict[int, list[dict[str, Any]] | None] = {}
        self._now = 0.0
        self._run = 0
        self._client = DataboxClient("https://api.databox.com", "pak_simulated", request_timeout_seconds=60.0)
        self._client._transport.exchange = self._exchange  # type: ignore[method-assign]

    def answer(self, request: Request, wire: Wire, now: float) -> object:
        """What the client makes of the answer to a request."""
        self._now, self._run = now, wire.run
        dataset_id = request.lane.destination.dataset_id
        client = self._client
        try:
            if isinstance(request, PostRows):
                return client.post_rows(dataset_id, wire.body, wire.key)
            if isinstance(request, (AskOutcome, ReadIngestion)):
                return client.ingestion(dataset_id, request.ingestion_id)
            if isinstance(request, ReadList):
                return client.ingestions(dataset_id, request.page)
            client.purge(dataset_id, wire.key)
        except DataboxError as error:
            return error
        return None

    def reply(
        self, method: str, target: str, body: bytes | None, key: str | None, *, now: float, run: int
    ) -> Reply:
        """The answer to a request of a run, as it goes over the wire."""
        self._now, self._run = now, run
        return self._reply(method, urlsplit(target).path, target, body, key)

    def conflict(self, request: Request, wire: Wire, now: float) -> object:
        """What the client makes of a 409: another request with this key is being carried out."""
        exchange = self._client._transport.exchange
        self._client._transport.exchange = lambda *_: failed(409, "conflict", "In progress.")  # type: ignore[method-assign]
        answer = self.answer(request, wire, now)
        self._client._transport.exchange = exchange  # type: ignore[method-assign]
        return answer

    def _exchange(
        self,
        method: str,
        route: str,  # noqa: ARG002 # for metrics
        path: str,
        target: str,
        body: bytes | None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        reply = self._reply(method, path, target, body, (headers or {}).get("Idempotency-Key"))
        if self.garbles and reply.status == SUCCESS:
            return Reply(SUCCESS, {}, self._rand.choice(GARBLED))
        return reply

    def _reply(self, method: str, path: str, target: str, body: bytes | None, key: str | None) -> Reply:
        found = ROUTES.fullmatch(path)
        dataset = self._server.datasets.get(found["dataset"]) if found else None
        if found is None or dataset is None:
            return failed(404, "not_found", "Unknown.")
        if (method, found["what"]) == ("POST", "data"):
            return self.keys.once(path, key, body, self._now, lambda: self._post(dataset, body or b""))
        if (method, found["what"]) == ("POST", "purge"):
            return self.keys.once(path, key, body, self._now, lambda: self._purge(dataset))
        assert (method, found["what"]) == ("GET", "ingestions")
        if found["ingestion"]:
            return self._detail(dataset, found["ingestion"])
        query = parse_qs(urlsplit(target).query)
        return self._list(dataset, int(query["page"][0]), int(query["pageSize"][0]))

    # Rows come in

    def _post(self, dataset: SimulatedDataset, body: bytes) -> Reply:
        rows = self._server.rows_of(body)
        # Our own limits keep us from asking for more; an API that takes fewer is in the plan.
        assert 1 <= len(rows) <= MOST_ROWS
        assert len(body) <= MOST_BYTES
        if self._now < dataset.locked_until:
            return failed(500, "internal_error", "The dataset is locked.")
        if len(rows) > self._plan.most_rows or dataset.is_full(rows, "refused"):
            dataset.refuse(rows)
            return failed(413, "request_too_large", "Too many.")
        if self._plan.refuses and any(map(dataset.is_bad, rows)):
            dataset.refuse(rows)
            return failed(self._plan.refuses_as, "invalid_input", "A bad row.")
        stored = self._server.accept(dataset, rows, self._now, self._run)
        told_id = self._server.told_id(dataset, stored)
        accepted = done({"ingestionId": told_id, "message": "Accepted", "status": "accepted"})
        if self._plan.warns:
            warning = failed(SUCCESS, "odd_column", "A column is odd.")
            both = json.loads(warning.payload) | json.loads(accepted.payload)
            return Reply(SUCCESS, {}, json.dumps(both).encode())
        return accepted

    def _purge(self, dataset: SimulatedDataset) -> Reply:
        if self._plan.habits.purges == "forbidden":
            return failed(403, "forbidden", "The role does not allow it.")
        dataset.purge(self._now)
        return Reply(SUCCESS, {}, b"") if self._plan.habits.empty_success else done({"message": "Purged"})

    # Outcomes are read

    def _detail(self, dataset: SimulatedDataset, ingestion_id: str) -> Reply:
        stored = dataset.ingestions.get(ingestion_id)
        if stored is None or self._server.is_hidden(stored, self._now):
            return failed(404, "not_found", "Unknown.")
        counts = self._server.counts(stored, self._now)
        errors = self._errors_of(stored)
        if stored.outcome is None and counts[0] is not None:
            # An API that counts as it goes along names as it goes along.
            judged = stored.rows[: (counts[1] or 0)]
            bad = [row for row in judged if dataset.is_bad(row)]
            counts = counts[0], len(judged) - len(bad), 0, len(bad)
            errors = [self._error(row) for row in bad]
        return done(
            {
                "id": stored.id,
                "status": self._word(stored),
                "initiatedAt": self._stamp(stored),
                "duration": None,
                "summary": self._summary(counts),
                "errors": errors,
            }
        )

    def _summary(self, counts: tuple[int | None, ...]) -> dict[str, Any] | None:
        names = (
            "receivedRecordCount",
            "appendedRecordCount",
            "overwrittenRecordCount",
            "rejectedRecordCount",
        )
        ingestion = dict(zip(names, map(self._count, counts), strict=True))
        dataset = {"columnCount": 3, "rowCount": None, "size": None}
        if counts[0] is None:
            return self._rand.choice(
                [None, {"ingestion": None, "dataset": None}, {"ingestion": ingestion, "dataset": dataset}]
            )
        return {"ingestion": ingestion, "dataset": dataset}

    def _count(self, count: int | None) -> int | float | str | None:
        form = self._plan.habits.count_form
        if count is None or form == "integer":
            return count
        return float(count) if form == "float" else str(count)

    def _pending_word(self) -> str:
        return "importing" if self._plan.pending_word == "unknown" else self._plan.pending_text

    def _word(self, stored: StoredIngestion) -> str:
        plan = self._plan
        if stored.outcome is None:
            # The record's own status may be that of the request.
            return "success" if plan.pending_word == "done" else self._pending_word()
        if stored.fails:
            return "purged" if plan.fails_as == "purged" else "failed"
        return "success" if plan.done_word == "done" else "imported"

    def _stamp(self, stored: StoredIngestion) -> str | None:
        at = self._server.stamp(stored)
        return None if at is None else datetime.datetime.fromtimestamp(at, datetime.timezone.utc).isoformat()

    def _list(self, dataset: SimulatedDataset, page: int, page_size: int) -> Reply:
        plan = self._plan
        listed = self._server.listed(dataset, self._now)
        size = min(page_size, LARGEST_PAGE, plan.page_size)
        items = [
            {
                "id": entry.id,
                "status": self._pending_word() if is_before else self._word(entry),
                "initiatedAt": self._stamp(entry),
                "duration": None,
                "initiatedBy": None,
            }
            for entry, is_before in listed[page * size : (page + 1) * size]
        ]
        told = {
            "true": {"page": page, "pageSize": size, "totalItems": len(listed)},
            "untrue": {"page": page, "pageSize": 25, "totalItems": len(listed)},
            "null": None,
        }[plan.pagination]
        return done({"items": items or self._rand.choice([[], None]), "pagination": told})

    # Rejected rows are named

    def problems_of(self, stored: StoredIngestion) -> tuple[ApiProblem, ...]:
        """What an ingestion says of its rejected rows, as a client reads it."""
        return tuple(
            ApiProblem(each["code"], each["message"], each["field"], None, each["record"])
            for each in self._errors_of(stored) or ()
        )

    def _errors_of(self, stored: StoredIngestion) -> list[dict[str, Any]] | None:
        if stored.outcome is None:
            return None
        if id(stored) not in self._errors:
            self._errors[id(stored)] = self._named(stored)
        return self._errors[id(stored)]

    def _named(self, stored: StoredIngestion) -> list[dict[str, Any]] | None:
        rand, rows = self._rand, list(stored.rejected)
        rand.shuffle(rows)
        names = self._plan.names
        if names == "mixed":
            names = rand.choice(["all", "fewer", "none", "twice", "cut"])
        if names in ("fewer", "cut"):
            rows = rows[: rand.randrange(len(rows))] if rows else []
        if names == "none" or not rows:
            # A reason all the same, or none.
            reason = {"code": "invalid_value", "message": "A bad row.", "field": "", "record": None}
            return rand.choice([None, [], [reason]])
        errors = [self._error(row) for row in rows]
        if names in ("twice", "cut"):
            more = [self._error(row) for row in rows if rand.random() < 0.5]
            errors += [{**each, "message": "Bad in another way."} for each in more]
        return errors

    def _error(self, row: dict[str, Any]) -> dict[str, Any]:
        record: dict[str, Any] = row
        if self._plan.blur:
            record = {name: row[name] for name in row if name != "bad"}
            record["n"] += self._plan.blur
        if self._plan.rewrites:
            record = {name: _rewritten(value) for name, value in reversed(record.items())} | {"none": None}
        return {"code": "invalid_value", "message": "Bad.", "field": "bad", "record": record}


def _rewritten(value: object) -> object:
    return float(value) if isinstance(value, int) else value


def done(data: dict[str, Any]) -> Reply:
    """A good answer."""
    return Reply(SUCCESS, {}, json.dumps({"requestId": "r", "status": "success", "data": data}).encode())


def failed(status: int, code: str, message: str) -> Reply:
    """An answer with errors."""
    errors = [{"code": code, "message": message, "field": "", "type": "validation"}]
    return Reply(status, {}, json.dumps({"requestId": "r", "status": "error", "errors": errors}).encode())
