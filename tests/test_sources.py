"""Facts on lists in pages, and on how a run finds its account and its data source through either version."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.api.errors import AccountError, DatasetError, DataSourceError, KeyRefusedError, SetupError
from target_databox.api.values import Page
from target_databox.destination.lists import MOST_PAGES, whole_list
from target_databox.emulator.state.shapes import Account, Actor
from tests.finding import COLUMNS, asked, id_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker
    from tests.finding import Run

both = pytest.mark.parametrize("version", ["v1", "v2"])
AGENCY = [Account(1, "Agency", "agency"), Account(2, "Client"), Account(3, "Other client")]


@dataclass(frozen=True)
class Item:
    """Something with an id."""

    id: int


class Listing:
    """A list in pages that says of itself what it is told to.

    Args:
        size: How many items it has.
        page_items: How many are on a page.
        total: What it says that it has, by the page's number; by default the truth.
    """

    def __init__(
        self, size: int, *, page_items: int = 100, total: Callable[[int], int | None] | None = None
    ) -> None:
        self.items = tuple(map(Item, range(size)))
        self.pages: list[int] = []
        self._page_items = page_items
        self._total = total or (lambda _: size)

    def read(self, number: int) -> Page[Item]:
        """A page, counted from 1."""
        self.pages.append(number)
        first = (number - 1) * self._page_items
        return Page(self.items[first : first + self._page_items], self._total(number))

    def whole(self) -> tuple[Item, ...]:
        """All of it, as it is read."""
        return whole_list(lambda call: call(), "things", self.read)


@pytest.mark.parametrize(
    ("size", "page_items", "total", "pages"),
    [
        (0, 100, None, 1),
        (7, 100, None, 1),
        (100, 100, None, 1),
        (101, 100, None, 2),
        (250, 25, None, 10),
        (250, 1, None, 250),
        (7, 100, lambda _: None, 2),
        (250, 100, lambda _: None, 4),
        (250, 100, lambda _: 10**9, 4),
        (250, 100, lambda number: 250 if number > 1 else None, 3),
        (250, 100, lambda number: 250 + number, 4),
    ],
)
def test_lists_are_read_whole(
    size: int, page_items: int, total: Callable[[int], int | None] | None, pages: int
) -> None:
    """A list ends when as many were seen as it has, or at an empty page, however long a page is."""
    listing = Listing(size, page_items=page_items, total=total)
    assert listing.whole() == listing.items
    assert listing.pages == list(range(1, pages + 1))


def test_repeated_pages_end() -> None:
    """A list that has no pages, and repeats itself for every number, is read as what it is."""
    items = tuple(map(Item, range(7)))
    for total in (None, 7, 10**6):
        asked_for: list[int] = []

        def read(number: int, total: int | None = total, seen: list[int] = asked_for) -> Page[Item]:
            seen.append(number)
            return Page(items, total)

        assert whole_list(lambda call: call(), "things", read) == items
        assert len(asked_for) <= 3


def test_shifted_pages_are_read_once() -> None:
    """An item that moves to the next page while the list is read is there once."""
    pages = {1: (Item(1), Item(2)), 2: (Item(2), Item(3)), 3: ()}
    found = whole_list(lambda call: call(), "things", lambda number: Page(pages[number], None))
    assert found == (Item(1), Item(2), Item(3))


def test_endless_lists_end() -> None:
    """A list that always has another page is an error that names the settings which do without it."""
    asked_for: list[int] = []

    def read(number: int) -> Page[Item]:
        asked_for.append(number)
        return Page((Item(number),), None)

    with pytest.raises(
        SetupError, match=r"The list of things has more than .*Set data_source_id and dataset_ids"
    ):
        whole_list(lambda call: call(), "things", read)
    assert len(asked_for) == MOST_PAGES


# Pages of a real list


@pytest.mark.parametrize(
    "assumed",
    [
        {},
        {"told_page_size": "used"},
        {"pagination": "null"},
        {"pagination": "null", "empty_items": "null"},
        {"dataset_filter": "empty"},
        {"dataset_filter": "ignored"},
    ],
)
def test_later_pages_are_read(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], assumed: dict[str, Any]
) -> None:
    """Data source and dataset are found behind the first page, whatever the list says of its pages."""
    emulator = make_emulator(**assumed)
    store = emulator.store
    for number in range(120):
        source = store.create_data_source(f"Other {number}")
        store.create_dataset("S", source.id)
    source = store.create_data_source("Shop")
    dataset = store.create_dataset("S", source.id)
    run = run_on(emulator, version="v2", data_source_title="Shop")
    found = run.dataset("s", "S")
    assert (found.id, found.created) == (str(dataset.number), False)
    pages = 3 if assumed.get("pagination") else 2
    assert [asked(emulator).count(route) for route in ("data_sources", "datasets")] == [pages, pages]
    assert len(store.datasets()) == 121


@pytest.mark.parametrize("assumed", [{"pagination": "null", "empty_items": "null"}, {}])
def test_empty_lists_are_no_obstacle(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], assumed: dict[str, Any]
) -> None:
    """Where nothing is listed, null or not, everything is created; the next run finds it."""
    emulator = make_emulator(**assumed)
    made = run_on(emulator, version="v2").dataset("s", "S")
    assert made.created
    found = run_on(emulator, version="v2").dataset("s", "S")
    assert (found.id, found.created) == (made.id, False)


# Which one


@both
def test_titles_are_compared_whole(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """A title that only begins like the wanted one, or differs in capitals, is another one."""
    for title in ("Shop 2", "shop", "My Shop"):
        source = emulator.store.create_data_source(title)
        emulator.store.create_dataset("S", source.id)
    found = run_on(emulator, version=version, data_source_title="Shop").dataset("s", "S")
    assert found.created
    assert len(emulator.store.data_sources()) == 4


def test_sources_of_the_api_come_first(
    emulator: Emulator, run_on: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    """Of namesakes those that were made by API are used; another one where there is none of those."""
    theirs = emulator.store.create_data_source("Shop", key="GoogleAnalytics4")
    found, _ = run_on(emulator, version="v2", data_source_title="Shop").sources.resolve_data_source()
    assert found.id == theirs.id
    ours = [emulator.store.create_data_source("Shop") for _ in range(2)]
    found, _ = run_on(emulator, version="v2", data_source_title="Shop").sources.resolve_data_source()
    assert found.id == ours[0].id
    assert f'the same title: {ours[0].id} "Shop", {ours[1].id} "Shop". The oldest' in caplog.text


def test_datasets_of_others_are_none_of_ours(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """A dataset without a data source that can be read, or of another one, is not taken for the stream's."""
    source = emulator.store.create_data_source("target-databox")
    lines = [{"id": 901 + place, "name": "S", "dataSourceId": of} for place, of in enumerate((None, "1", 77))]
    body = {"data": {"items": [*lines, {"id": 904, "name": "S"}], "pagination": None}}
    emulator.faults.add("datasets", times=1, status=200, body=json.dumps(body))
    found = run_on(emulator, version="v2").dataset("s", "S")
    assert found.created
    assert [each.data_source_id for each in emulator.store.datasets()] == [source.id]


# What is gone, yet still listed


def test_deleted_sources_are_not_used(make_emulator: EmulatorMaker, run_on: Callable[..., Run]) -> None:
    """A data source that was deleted, and is still listed, is not used: a run creates another one."""
    emulator = make_emulator(deleted_lag_seconds=600.0)
    gone = emulator.store.create_data_source("target-databox")
    emulator.store.create_dataset("S", gone.id)
    emulator.store.delete_data_source(gone.id)
    assert run_on(emulator, version="v2").sources.find_data_source() is None
    made = run_on(emulator, version="v2").dataset("s", "S")
    assert made.created
    [source] = emulator.store.data_sources()
    assert source.id != gone.id
    found = run_on(emulator, version="v2").dataset("s", "S")
    assert (found.id, found.created) == (made.id, False)


@pytest.mark.parametrize("namesakes", [0, 1])
def test_deleted_datasets_are_not_used(
    make_emulator: EmulatorMaker,
    run_on: Callable[..., Run],
    caplog: pytest.LogCaptureFixture,
    namesakes: int,
) -> None:
    """A dataset that was deleted, and is still listed, is passed over for its namesake, or a new one."""
    emulator = make_emulator(deleted_lag_seconds=600.0)
    source = emulator.store.create_data_source("target-databox")
    gone = [emulator.store.create_dataset("S", source.id) for _ in range(2)]
    left = [emulator.store.create_dataset("S", source.id) for _ in range(namesakes)]
    for each in gone:
        emulator.store.delete_dataset(each.id)
    run = run_on(emulator, version="v2")
    found = run.dataset("s", "S")
    assert found.created is not bool(namesakes)
    [dataset] = emulator.store.datasets()
    assert found.id == str(dataset.number)
    assert not namesakes or dataset.id == left[0].id
    assert not [each for each in caplog.records if "could not be read" in each.message]
    # The next stream of the run meets them as well.
    with pytest.raises(DatasetError, match="would both load into"):
        run.dataset("t", "S")


def test_deleted_namesakes_are_not_found_after_a_race(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run]
) -> None:
    """A deleted dataset that the list shows again after the creation does not win as the oldest."""
    emulator = make_emulator(deleted_lag_seconds=600.0)
    source = emulator.store.create_data_source("target-databox")
    emulator.store.delete_dataset(emulator.store.create_dataset("S", source.id).id)
    emulator.faults.add("create_dataset", times=1, drop="after")
    run = run_on(emulator, version="v2")
    found = run.dataset("s", "S", primary_keys=["id"])
    [dataset] = emulator.store.datasets()
    assert (found.id, found.keys) == (str(dataset.number), ("id",))


# Accounts


@both
def test_accounts_are_all_listed(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], version: str
) -> None:
    """The key's own account and those that it manages are listed, each once."""
    many = [
        Account(1, "Agency", "agency"),
        *(Account(number, f"Client {number}") for number in range(2, 252)),
    ]
    run = run_on(make_emulator(accounts=many), version=version)
    assert [account.id for account in run.sources.accounts()] == list(range(1, 252))


@both
@pytest.mark.parametrize("account_id", [1, 2])
def test_account_is_where_everything_is(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], version: str, account_id: int
) -> None:
    """With `account_id` everything is created in that account, and the next run finds it there."""
    emulator = make_emulator(accounts=AGENCY)
    for other in {1, 2, 3} - {account_id}:
        source = emulator.store.create_data_source("target-databox", other)
        emulator.store.create_dataset("S", source.id)
    made = run_on(emulator, version=version, account_id=account_id).dataset("s", "S")
    assert made.created
    [source] = emulator.store.data_sources(account_id)
    [dataset] = emulator.store.datasets(source.id)
    assert made.id == id_in(version, dataset)
    found = run_on(emulator, version=version, account_id=account_id).dataset("s", "S")
    assert (found.id, found.created) == (made.id, False)


@both
def test_sources_by_id_may_be_in_any_account(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], version: str
) -> None:
    """A data source by id is used in the account that it is in; v2 lists by account, and asks which."""
    emulator = make_emulator(accounts=AGENCY)
    source = emulator.store.create_data_source("Shop", 2)
    emulator.store.create_dataset("S", source.id)
    if version == "v2":
        with pytest.raises(AccountError, match=r'several accounts: 1 "Agency", 2 .*Set account_id'):
            run_on(emulator, version=version, data_source_id=source.id).dataset("s", "S")
    settings = {"v1": {}, "v2": {"account_id": 2}}[version]
    found = run_on(emulator, version=version, data_source_id=source.id, **settings).dataset("s", "S")
    assert not found.created
    assert len(emulator.store.datasets()) == 1


@pytest.mark.parametrize("account_id", [1, 3])
def test_sources_of_other_accounts_are_refused(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], account_id: int
) -> None:
    """A data source by id that is in another account than the configured one is an error at once."""
    emulator = make_emulator(accounts=AGENCY)
    source = emulator.store.create_data_source("Shop", 2)
    message = (
        rf'The data source {source.id} "Shop" is in the account 2 "Client", but a run would look for its '
        rf"datasets in the account {account_id}\. Set account_id to 2\."
    )
    settings = {"data_source_id": source.id, "account_id": account_id}
    with pytest.raises(DataSourceError, match=message):
        run_on(emulator, version="v2", **settings).dataset("s", "S")
    with pytest.raises(DataSourceError, match=message):
        run_on(emulator, version="v2", **settings).sources.find_data_source()
    assert not emulator.store.datasets()
    assert run_on(emulator, version="v1", **settings).dataset("s", "S").created


@both
@pytest.mark.parametrize("status", ["404", "400"])
def test_unknown_sources_by_id_are_named(
    make_emulator: EmulatorMaker, run_on: Callable[..., Run], version: str, status: str
) -> None:
    """A data source by id that does not exist is an error that lists those that do."""
    emulator = make_emulator(unknown_id_status=status)
    source = emulator.store.create_data_source("Shop")
    known = rf'The data source 99 does not exist, .*Known are: {source.id} "Shop"\. Correct data_source_id'
    with pytest.raises(DataSourceError, match=known):
        run_on(emulator, version=version, data_source_id=99).dataset("s", "S")
    with pytest.raises(DataSourceError, match=known):
        run_on(emulator, version=version, data_source_id=99).sources.find_data_source()


@both
def test_unknown_accounts_are_errors(emulator: Emulator, run_on: Callable[..., Run], version: str) -> None:
    """A configured account that the key can't see is an error that names those that it can."""
    with pytest.raises(AccountError, match=r'accounts are: 123456 "Emulated account"\. Set account_id'):
        run_on(emulator, version=version, account_id=5).dataset("s", "S")
    assert not emulator.store.data_sources()


# Creating once


def test_creations_are_tried_with_one_key(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """Each try of a creation has the same idempotency key, each creation another one."""
    for route in ("create_data_source", "create_dataset"):
        emulator.faults.add(route, times=2, status=503)
    run = run_on(emulator, version="v2")
    run.dataset("s", "S")
    run.dataset("t", "T")
    keys = [each.idempotency_key for each in emulator.log.of("create_data_source")]
    keys += [each.idempotency_key for each in emulator.log.of("create_dataset")]
    assert None not in keys
    assert [keys.count(key) for key in dict.fromkeys(keys)] == [3, 3, 1]
    assert {each.idempotency_key for each in emulator.log if each.method == "GET"} == {None}


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "after"},
        {"status": 503, "after_write": True},
        {"status": 409, "after_write": True},
        {"status": 502, "after_write": True, "html": True},
        {"status": 200, "after_write": True, "body": "no JSON"},
        {"status": 200, "after_write": True, "body": ""},
    ],
)
def test_lost_creations_happen_once(
    emulator: Emulator, run_on: Callable[..., Run], fault: dict[str, Any]
) -> None:
    """A creation whose answer is lost, while the list does not show it, is answered again, not done again."""
    for route in ("create_data_source", "create_dataset"):
        emulator.faults.add(route, times=1, **fault)
    empty = json.dumps({"data": {"items": None, "pagination": None}})
    for route in ("data_sources", "datasets"):
        emulator.faults.add(route, status=200, body=empty)
    found = run_on(emulator, version="v2").dataset("s", "S", primary_keys=["id"], columns=COLUMNS)
    [dataset] = emulator.store.datasets()
    assert len(emulator.store.data_sources()) == 1
    assert (found.id, found.created, found.keys) == (str(dataset.number), True, ("id",))
    assert [each.replayed for each in emulator.log.of("create_dataset")] == [False, True]


def test_viewers_are_told_the_role(make_emulator: EmulatorMaker, run_on: Callable[..., Run]) -> None:
    """A 403 to a creation says which role is needed, and nothing was created."""
    emulator = make_emulator(role="viewer")
    source = emulator.store.create_data_source("target-databox", actor=Actor(99, "admin"))
    run = run_on(emulator, version="v2")
    with pytest.raises(KeyRefusedError, match="creating a dataset needs an admin, or the user who created"):
        run.dataset("s", "S", columns=COLUMNS)
    assert asked(emulator).count("create_dataset") == 1
    assert not emulator.store.datasets(source.id)


# Keys and columns


def test_columns_are_read(emulator: Emulator, run_on: Callable[..., Run]) -> None:
    """Keys and column types of an existing dataset come from its schema."""
    run_on(emulator, version="v2").dataset("s", "S", primary_keys=["id"], columns=COLUMNS)
    found = run_on(emulator, version="v2").dataset("s", "S", primary_keys=["id"])
    assert (found.keys, found.keys_known, found.column_types) == (("id",), True, {"id": "number"})


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 405},
        {"status": 403},
        {"status": 500},
        {"status": 200, "body": "<html>"},
        {"status": 200, "body": '{"data": {"items": null, "primaryKey": null}}'},
        {"status": 200, "body": '{"data": null}'},
        {"status": 200, "body": '{"data": {"primaryKey": "id"}}'},
        {"drop": "before"},
    ],
)
@pytest.mark.parametrize("by_id", [False, True])
def test_unknown_keys_are_a_warning(
    emulator: Emulator,
    run_on: Callable[..., Run],
    caplog: pytest.LogCaptureFixture,
    fault: dict[str, Any],
    by_id: bool,
) -> None:
    """Keys that are null, or can't be read, are not known, with one warning; the run goes on."""
    first = run_on(emulator, version="v2").dataset("s", "S", primary_keys=["id"])
    emulator.faults.add("schema", **fault)
    found = run_on(emulator, version="v2").dataset(
        "s", "S", dataset_id=first.id if by_id else None, primary_keys=["id"]
    )
    assert (found.id, found.keys, found.keys_known) == (first.id, None, False)
    assert [each.levelno for each in caplog.records if "could not be read" in each.message] == [
        logging.WARNING
    ]


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 502, "html": True}, {"drop": "after"}])
def test_keys_are_worth_all_retries(
    emulator: Emulator, run_on: Callable[..., Run], fault: dict[str, Any]
) -> None:
    """A schema that can't be read for a while, as of a locked dataset, is read in the end: keys are known."""
    run_on(emulator, version="v2").dataset("s", "S", primary_keys=["id"])
    emulator.faults.add("schema", times=5, **fault)
    found = run_on(emulator, version="v2", retry_seconds=300).dataset("s", "S", primary_keys=["id"])
    assert (found.keys, found.keys_known) == (("id",), True)
