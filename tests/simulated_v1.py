"""The routes of API v1 over a simulated Databox, as JSON for a real client to read.

The rules are those of the API's facts. What is unknown of it is drawn by seed.
"""

from __future__ import annotations

import datetime
import json
import random
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from target_databox.api.errors import DataboxError, MissingError
from target_databox.api.transport import Reply
from target_databox.api.values import IngestionStatus
from tests.simulated_databox import Wire
from tests.simulated_v2 import SUCCESS, failed

if TYPE_CHECKING:
    from target_databox.api.values import Ingestion
    from tests.simulated_databox import SimulatedDatabox
    from tests.simulated_dataset import SimulatedDataset

ROUTES = re.compile(r"/v1/datasets/(?P<dataset>[^/]+)/(?P<what>data|purge|ingestions)(/(?P<ingestion>.+))?")
WORDS = {
    IngestionStatus.PENDING: ("processing", "pending", "queued", "running", "in_progress"),
    IngestionStatus.DONE: ("success", "completed"),
    IngestionStatus.FAILED: ("failed", "error"),
    IngestionStatus.UNKNOWN: ("importing",),
}


class FaceOfV1:
    """API v1 of a simulated Databox."""

    def __init__(self, server: SimulatedDatabox, seed: int) -> None:
        self._server = server
        self._rand = random.Random(seed * 41 + 3)  # noqa: S311 # no secret

    def reply(self, method: str, target: str, body: bytes | None, *, now: float, run: int) -> Reply:
        """The answer to a request of a run, as it goes over the wire."""
        self._server.land(now)
        found = ROUTES.fullmatch(urlsplit(target).path)
        dataset = self._server.datasets.get(found["dataset"]) if found else None
        if found is None or dataset is None:
            return failed(404, "not_found", "Unknown.")
        if (method, found["what"]) == ("POST", "data"):
            return self._post(dataset, Wire(body or b"", "", "v1", run), now)
        if (method, found["what"]) == ("POST", "purge"):
            if self._server.plan.habits.purges == "forbidden":
                return failed(403, "forbidden", "The role does not allow it.")
            dataset.purge(now)
            return answered({"message": "Purged"})
        assert (method, found["what"]) == ("GET", "ingestions")
        if found["ingestion"]:
            return self._detail(dataset, found["ingestion"], now)
        query = parse_qs(urlsplit(target).query)
        return self._list(dataset, int(query["page"][0]), now)

    def _post(self, dataset: SimulatedDataset, wire: Wire, now: float) -> Reply:
        answer = self._server.post(dataset, wire, now)
        if isinstance(answer, DataboxError):
            return failed(answer.status or SUCCESS, "invalid_input", "A bad row.")
        return answered({"ingestionId": answer.ingestion_id, "message": "Data ingestion request accepted"})

    def _detail(self, dataset: SimulatedDataset, ingestion_id: str, now: float) -> Reply:
        answer = self._server.detail(dataset, ingestion_id, now)
        if isinstance(answer, MissingError):
            return failed(404, "not_found", "Unknown.")
        return answered(
            {
                "ingestionId": answer.id,
                "timestamp": written(answer.timestamp),
                "metrics": self._metrics(answer),
                "status": self._word(answer.status),
            }
        )

    def _metrics(self, ingestion: Ingestion) -> dict[str, Any] | None:
        counts = {
            "receivedRecordsCount": ingestion.received,
            "appendedRecordsCount": ingestion.appended,
            "overwrittenRecordsCount": ingestion.overwritten,
            "rejectedRecordsCount": ingestion.rejected,
        }
        if ingestion.received is None:
            return self._rand.choice([None, {}, {"ingestionMetrics": None}, {"ingestionMetrics": counts}])
        return {"datasetMetrics": None, "ingestionMetrics": counts}

    def _list(self, dataset: SimulatedDataset, page: int, now: float) -> Reply:
        answer = self._server.listed_page(dataset, page, now)
        lines = [
            {
                "ingestionId": entry.id,
                "timestamp": written(entry.timestamp),
                "status": self._word(entry.status),
            }
            for entry in answer.entries
        ]
        told = {"page": page, "pageSize": answer.page_size, "totalItems": answer.total_items}
        return answered({"ingestions": lines, "pagination": None if answer.total_items is None else told})

    def _word(self, status: IngestionStatus) -> str:
        return self._rand.choice(WORDS[status])


def answered(facts: dict[str, Any]) -> Reply:
    """A good answer of v1."""
    return Reply(SUCCESS, {}, json.dumps({"requestId": "r", "status": "success", **facts}).encode())


def written(at: float | None) -> str | None:
    """A time as the API writes it."""
    if at is None:
        return None
    moment = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
