"""What the client takes for true of the API, held against the emulator and, marked `live`, against Databox.

The live half needs DATABOX_LIVE_API_KEY, and DATABOX_LIVE_ACCOUNT_ID where the key can see several accounts.
It creates one data source for each test, and deletes it with everything in it. Both versions of the API are
asked the same.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import requests

from target_databox.api.errors import IdempotencyError, KeyRefusedError, RefusedError
from target_databox.api.limits import DEFAULT_API_URL
from target_databox.api.values import DatasetDetail, Ingestion, IngestionStatus
from target_databox.versions import DIALECTS, client_class
from tests.finding import Column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.api.values import Dataset

LIVE_PATIENCE_SECONDS = 120.0
VERSIONS = ("v1", "v2")


def new_key() -> str:
    """An idempotency key."""
    return str(uuid.uuid4())


class Place:
    """Somewhere to load into: an address, a key, and a data source of our own."""

    def __init__(
        self, version: str, url: str, api_key: str, account_id: int | None, pause_seconds: float
    ) -> None:
        self.version = version
        self.url = url
        self.api_key = api_key
        self.pause_seconds = pause_seconds
        self.client = client_class(version)(url, api_key, request_timeout_seconds=60, account_id=account_id)
        self.account_id = account_id or self.client.accounts(1).items[0].id
        self.title = f"target-databox contract {uuid.uuid4()}"
        self.source = self.client.create_data_source(self.title, self.account_id, "UTC", new_key())

    @property
    def unknown_id(self) -> str:
        """The id of no dataset."""
        return "999999999999" if self.version == "v2" else str(uuid.uuid4())

    def dataset(self, *keys: str) -> Dataset:
        """A new, empty dataset with a column of numbers."""
        columns = [Column("n", "number")]
        title = f"dataset {uuid.uuid4()}"
        return self.client.create_dataset(title, self.source.id, keys, columns, new_key())

    def datasets(self) -> list[tuple[str, str | None]]:
        """The data source's datasets on the first page of their list."""
        listed = self.client.datasets(self.source.id, 1).items
        return [(each.id, each.title) for each in listed if each.data_source_id in {None, self.source.id}]

    def post(self, dataset: Dataset, rows: list[dict[str, Any]], key: str = "") -> str:
        """Post rows; the id of their ingestion."""
        body = json.dumps({"records": rows}).encode()
        return self.client.post_rows(dataset.id, body, key or new_key()).ingestion_id

    def load(self, dataset: Dataset, rows: list[dict[str, Any]]) -> Ingestion:
        """Post rows and wait for their outcome."""
        return self.outcome(dataset, self.post(dataset, rows), len(rows))

    def outcome(self, dataset: Dataset, ingestion_id: str, rows: int) -> Ingestion:
        """Wait for the outcome of an ingestion."""
        deadline = time.monotonic() + LIVE_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                ingestion = self.client.ingestion(dataset.id, ingestion_id)
            except RefusedError:  # not to be seen yet
                time.sleep(self.pause_seconds)
                continue
            if ingestion.received == rows and ingestion.status is not IngestionStatus.PENDING:
                return ingestion
            time.sleep(self.pause_seconds)
        pytest.fail("The ingestion was not processed in time.")

    def clean(self) -> None:
        """Delete the data source; the client itself can't."""
        requests.delete(
            f"{self.url}/{self.version}/data-sources/{self.source.id}",
            headers={"x-api-key": self.api_key},
            timeout=60,
        ).raise_for_status()
        self.client.close()


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """Each version of the API."""
    return str(request.param)


@pytest.fixture(params=["emulator", pytest.param("live", marks=pytest.mark.live)])
def place(request: pytest.FixtureRequest, version: str) -> Iterator[Place]:
    """The emulator, or Databox."""
    if request.param == "emulator":
        emulator = request.getfixturevalue("emulator")
        place = Place(version, emulator.url, emulator.api_key, None, 0.01)
    else:
        key = os.environ.get("DATABOX_LIVE_API_KEY")
        if not key:
            pytest.skip("DATABOX_LIVE_API_KEY is not set.")
        account = os.environ.get("DATABOX_LIVE_ACCOUNT_ID")
        place = Place(version, DEFAULT_API_URL, key, int(account) if account else None, 1.0)
    yield place
    place.clean()


def test_keys_are_checked(place: Place) -> None:
    """A valid key is confirmed, and another one is refused with 401."""
    place.client.validate_key()
    stranger = client_class(place.version)(place.url, f"pak_{uuid.uuid4()}", request_timeout_seconds=60)
    with pytest.raises(KeyRefusedError) as caught:
        stranger.validate_key()
    stranger.close()
    assert caught.value.status == 401
    assert caught.value.request_id


def test_accounts_and_zones_are_listed(place: Place) -> None:
    """The account is listed with its type, and UTC is a time zone."""
    found = [account.id for page in (1, 2) for account in place.client.accounts(page).items]
    assert place.account_id in found
    assert "UTC" in place.client.timezones()


def test_created_sources_are_listed(place: Place) -> None:
    """A data source that was created is in its account's list, with its title and time of creation."""
    listed = {source.id: source for source in place.client.data_sources(place.account_id, 1).items}
    assert listed[place.source.id].title == place.title
    assert listed[place.source.id].created


def test_created_datasets_are_listed(place: Place) -> None:
    """A dataset that was created is in its source's list."""
    dataset = place.dataset("id")
    assert place.datasets() == [(dataset.id, dataset.title)]


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
    most = DIALECTS[place.version].most_rows
    dataset = place.dataset()
    assert place.load(dataset, [{"n": number} for number in range(most)]).appended == most
    with pytest.raises(RefusedError):
        place.post(dataset, [{"n": number} for number in range(most + 1)])


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
    place.client.purge(dataset.id, new_key())
    assert place.load(dataset, [{"id": 1}]).appended == 1


@pytest.mark.parametrize("call", ["dataset", "ingestions", "purge"])
def test_unknown_datasets_are_refused(place: Place, call: str) -> None:
    """What names a dataset that doesn't exist is refused for good."""
    options = (new_key(),) if call == "purge" else ()
    with pytest.raises(RefusedError):
        getattr(place.client, call)(place.unknown_id, *options)


def test_keys_and_columns_are_told(place: Place) -> None:
    """A dataset tells its keys and the types of its declared columns, with keys and without."""
    dataset = place.dataset("n")
    assert place.client.dataset(dataset.id) == DatasetDetail(dataset.id, ("n",), {"n": "number"})
    assert place.client.dataset(place.dataset().id).primary_keys == ()


def test_bad_rows_are_counted(place: Place) -> None:
    """A row whose value is not of its column's type is rejected alone; v2 names it with its reason."""
    dataset = place.dataset("id")
    found = place.load(dataset, [{"id": 1, "n": 1}, {"id": 2, "n": "no number"}, {"id": 3, "n": 3}])
    assert (found.appended, found.overwritten, found.rejected) == (2, 0, 1)
    if place.version == "v2":
        [problem] = found.errors
        assert problem.record == {"id": 2, "n": "no number"}
        assert problem.code
        assert problem.message


# What only v2 has

v2 = pytest.mark.parametrize("version", ["v2"], indirect=True)


@v2
def test_rows_are_taken_once(place: Place) -> None:
    """The same rows with the same key are one ingestion, and with another key another one."""
    dataset, key = place.dataset(), new_key()
    rows = [{"n": 1}]
    first, again, other = (place.post(dataset, rows, each) for each in (key, key, new_key()))
    assert first == again
    assert first != other
    assert [place.outcome(dataset, each, 1).appended for each in (first, other)] == [1, 1]
    with pytest.raises(IdempotencyError):
        place.post(dataset, [{"n": 2}], key)


@v2
def test_creations_are_made_once(place: Place) -> None:
    """A creation with the same key gives the same dataset, or data source."""
    key, title = new_key(), f"dataset {uuid.uuid4()}"
    columns = [Column("n", "number")]
    made = [place.client.create_dataset(title, place.source.id, [], columns, key) for _ in range(2)]
    assert made[0] == made[1]
    assert place.datasets() == [(made[0].id, title)]


@v2
def test_purges_are_made_once(place: Place) -> None:
    """A purge with the same key happens once: what was loaded since stays."""
    dataset, key = place.dataset("id"), new_key()
    place.load(dataset, [{"id": 1}])
    place.client.purge(dataset.id, key)
    place.load(dataset, [{"id": 1}])
    place.client.purge(dataset.id, key)
    assert place.load(dataset, [{"id": 1}]).overwritten == 1


@v2
def test_role_is_told(place: Place) -> None:
    """The key's user has a role."""
    assert place.client.role() in {"admin", "user", "editor", "viewer"}


@v2
def test_versions_share_everything(place: Place) -> None:
    """What v2 made is listed by v1 under the same titles, and v1's datasets by v2."""
    dataset = place.dataset("id")
    other = client_class("v1")(place.url, place.api_key, request_timeout_seconds=60)
    try:
        listed = {source.id: source.title for source in other.data_sources(place.account_id, 1).items}
        assert listed[place.source.id] == place.title
        [found] = other.datasets(place.source.id, 1).items
        assert found.title == dataset.title
        made = other.create_dataset(f"dataset {uuid.uuid4()}", place.source.id, ["id"], None, "")
    finally:
        other.close()
    assert (dataset.id, dataset.title) in place.datasets()
    assert made.title in {title for _, title in place.datasets()}
