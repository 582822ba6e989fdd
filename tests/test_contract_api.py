"""What the client takes for true of the API, held against the emulator and, marked `live`, against Databox.

The live half needs DATABOX_LIVE_API_KEY, and DATABOX_LIVE_ACCOUNT_ID where the key can see several accounts.
It creates one data source for each test, and deletes it with everything in it.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.api.errors import KeyRefusedError, RefusedError
from target_databox.api.limits import DEFAULT_API_URL
from target_databox.api.v1.client import DataboxClient
from target_databox.api.v1.limits import MAX_REQUEST_ROWS
from target_databox.api.values import Ingestion, IngestionStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.api.values import Dataset

LIVE_PATIENCE_SECONDS = 120.0


class Place:
    """Somewhere to load into: an address, a key, and a data source of our own."""

    def __init__(self, url: str, api_key: str, account_id: int | None, pause_seconds: float) -> None:
        self.url = url
        self.api_key = api_key
        self.pause_seconds = pause_seconds
        self.client = DataboxClient(url, api_key, request_timeout_seconds=60)
        self.account_id = account_id or self.client.accounts().items[0].id
        self.title = f"target-databox contract {uuid.uuid4()}"
        self.source = self.client.create_data_source(self.title, self.account_id, "UTC")

    def dataset(self, *keys: str) -> Dataset:
        """A new, empty dataset."""
        return self.client.create_dataset(f"dataset {uuid.uuid4()}", self.source.id, keys)

    def load(self, dataset: Dataset, rows: list[dict[str, Any]]) -> Ingestion:
        """Post rows and wait for their outcome."""
        accepted = self.client.post_rows(dataset.id, json.dumps({"records": rows}).encode())
        deadline = time.monotonic() + LIVE_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                ingestion = self.client.ingestion(dataset.id, accepted.ingestion_id)
            except RefusedError:  # not to be seen yet
                time.sleep(self.pause_seconds)
                continue
            if ingestion.received == len(rows) and ingestion.status is not IngestionStatus.PENDING:
                return ingestion
            time.sleep(self.pause_seconds)
        pytest.fail("The ingestion was not processed in time.")

    def clean(self) -> None:
        """Delete the data source; the client itself can't."""
        requests.delete(
            f"{self.url}/v1/data-sources/{self.source.id}", headers={"x-api-key": self.api_key}, timeout=60
        ).raise_for_status()
        self.client.close()


@pytest.fixture(params=["emulator", pytest.param("live", marks=pytest.mark.live)])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The emulator, or Databox."""
    if request.param == "emulator":
        emulator = request.getfixturevalue("emulator")
        place = Place(emulator.url, emulator.api_key, None, 0.01)
    else:
        key = os.environ.get("DATABOX_LIVE_API_KEY")
        if not key:
            pytest.skip("DATABOX_LIVE_API_KEY is not set.")
        account = os.environ.get("DATABOX_LIVE_ACCOUNT_ID")
        place = Place(DEFAULT_API_URL, key, int(account) if account else None, 1.0)
    yield place
    place.clean()


def test_keys_are_checked(place: Place) -> None:
    """A valid key is confirmed, and another one is refused with 401."""
    place.client.validate_key()
    stranger = DataboxClient(place.url, f"pak_{uuid.uuid4()}", request_timeout_seconds=60)
    with pytest.raises(KeyRefusedError) as caught:
        stranger.validate_key()
    stranger.close()
    assert caught.value.status == 401
    assert caught.value.request_id


def test_accounts_and_zones_are_listed(place: Place) -> None:
    """The account is listed with its type, and UTC is a time zone."""
    assert place.account_id in {account.id for account in place.client.accounts().items}
    assert "UTC" in place.client.timezones()


def test_created_sources_are_listed(place: Place) -> None:
    """A data source that was created is in its account's list, with its title and time of creation."""
    listed = {source.id: source for source in place.client.data_sources(place.account_id).items}
    assert listed[place.source.id].title == place.title
    assert listed[place.source.id].created


def test_created_datasets_are_listed(place: Place) -> None:
    """A dataset that was created is in its source's list."""
    dataset = place.dataset("id")
    assert [(each.id, each.title) for each in place.client.datasets(place.source.id).items] == [
        (dataset.id, dataset.title)
    ]


def test_keyed_rows_are_replaced(place: Place) -> None:
    """With keys, a row with a known key overwrites, and any other appends."""
    dataset = place.dataset("id")
    first = place.load(dataset, [{"id": 1, "v": "a"}, {"id": 2, "v": "b"}])
    assert (first.appended, first.overwritten, first.rejected) == (2, 0, 0)
    second = place.load(dataset, [{"id": 2, "v": "c"}, {"id": 3, "v": "d"}])
    assert (second.appended, second.overwritten, second.rejected) == (1, 1, 0)


def test_keyless_rows_are_appended(place: Place) -> None:
    """Without keys, rows append, also when they are the same."""
    dataset = place.dataset()
    for _ in range(2):
        ingestion = place.load(dataset, [{"v": "a"}])
        assert (ingestion.appended, ingestion.overwritten, ingestion.rejected) == (1, 0, 0)


def test_more_rows_are_refused(place: Place) -> None:
    """A request with more rows than documented is a final refusal."""
    rows = [{"v": number} for number in range(MAX_REQUEST_ROWS + 1)]
    with pytest.raises(RefusedError):
        place.client.post_rows(place.dataset().id, json.dumps({"records": rows}).encode())


def test_ingestions_are_listed(place: Place) -> None:
    """An ingestion appears in its dataset's list, dated by the server's clock."""
    dataset = place.dataset()
    ingestion = place.load(dataset, [{"v": 1}])
    deadline = time.monotonic() + LIVE_PATIENCE_SECONDS
    while not (entries := place.client.ingestions(dataset.id).entries) and time.monotonic() < deadline:
        time.sleep(place.pause_seconds)
    assert [entry.id for entry in entries] == [ingestion.id]
    server_time = place.client.server_time()
    assert server_time is not None
    assert entries[0].timestamp is not None
    assert abs(server_time - entries[0].timestamp) < LIVE_PATIENCE_SECONDS


def test_purged_datasets_stay(place: Place) -> None:
    """A purge empties a dataset, so that a known key appends again."""
    dataset = place.dataset("id")
    place.load(dataset, [{"id": 1}])
    place.client.purge(dataset.id)
    assert place.load(dataset, [{"id": 1}]).appended == 1


@pytest.mark.parametrize("call", ["dataset", "ingestions", "purge"])
def test_unknown_datasets_are_refused(place: Place, call: str) -> None:
    """What names a dataset that doesn't exist is refused for good."""
    with pytest.raises(RefusedError):
        getattr(place.client, call)(str(uuid.uuid4()))
