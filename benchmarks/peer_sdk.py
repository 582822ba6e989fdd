"""A target written the usual way on the SDK, to compare with: it posts a batch and asks until it is done."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any, ClassVar

import requests
from singer_sdk import Target
from singer_sdk import typing as th
from singer_sdk.sinks import BatchSink


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Decimal) else str(value)


class UsualSink(BatchSink):
    """One dataset, made with the first batch."""

    MAX_SIZE_DEFAULT = 100
    _dataset = ""

    @property
    def _headers(self) -> dict[str, str]:
        return {"x-api-key": self.config["api_key"], "Content-Type": "application/json"}

    def setup(self) -> None:
        """Make the dataset."""
        body = {"title": self.stream_name, "dataSourceId": 7, "primaryKeys": list(self.key_properties)}
        answer = requests.post(
            f"{self.config['api_url']}/v1/datasets", json=body, headers=self._headers, timeout=60
        )
        self._dataset = answer.json()["id"]

    def process_batch(self, context: dict[str, Any]) -> None:
        """Post a batch and wait for its outcome."""
        url = f"{self.config['api_url']}/v1/datasets/{self._dataset}"
        body = json.dumps({"records": context["records"]}, default=_plain)
        answer = requests.post(f"{url}/data", data=body, headers=self._headers, timeout=60)
        answer.raise_for_status()
        ingestion = answer.json()["ingestionId"]
        while True:
            answer = requests.get(f"{url}/ingestions/{ingestion}", headers=self._headers, timeout=60)
            answer.raise_for_status()
            if answer.json()["status"] == "success":
                return
            time.sleep(self.config["poll_seconds"])


class UsualTarget(Target):
    """What the SDK's template gives, and a sink."""

    name = "target-usual"
    default_sink_class = UsualSink
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList(
        th.Property("api_url", th.StringType, required=True),
        th.Property("api_key", th.StringType, required=True),
        th.Property("poll_seconds", th.NumberType, default=0.1),
    ).to_dict()


if __name__ == "__main__":
    UsualTarget.cli()
