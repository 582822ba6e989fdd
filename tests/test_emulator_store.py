"""The emulated API's state, without HTTP, under a clock that the tests move."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.emulator import Assumptions, Store
from target_databox.emulator.state.errors import InvalidInputError, TooLargeError, UnknownObjectError
from target_databox.emulator.state.shapes import Account, Fate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class World:
    """A store with one dataset, and a clock that stands still until it is moved."""

    def __init__(self, path: Path | None = None, *, keys: tuple[str, ...] = ("id",), **options: Any) -> None:
        names = Assumptions.__dataclass_fields__
        assumed = {name: options.pop(name) for name in list(options) if name in names}
        self.now = 1_000_000.0
        self.store = Store(path, assumptions=Assumptions(**assumed), clock=lambda: self.now, **options)
        source = self.store.create_data_source("Source")
        self.dataset_id = self.store.create_dataset("Dataset", source.id, keys).id

    def accept(self, *rows: dict[str, Any], fate: Fate | None = None) -> str:
        """Accept rows; the ingestion's id."""
        return self.store.accept(self.dataset_id, [json.dumps(row).encode() for row in rows], fate).id

    def load(self, *rows: dict[str, Any]) -> tuple[int, int, int]:
        """Accept and process rows; how many were appended, overwritten and rejected."""
        ingestion_id = self.accept(*rows)
        self.store.finish_processing()
        found = self.store.ingestion(self.dataset_id, ingestion_id)
        return found.appended, found.overwritten, found.rejected

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The stored rows."""
        return self.store.rows(self.dataset_id)

    def listed(self, page: int = 1, page_size: int = 100) -> list[str]:
        """The ids on a page of the list."""
        return [each.id for each in self.store.ingestions_page(self.dataset_id, page, page_size)[0]]


@pytest.fixture
def worlds() -> Iterator[Any]:
    """Makes worlds, and closes them after the test."""
    made: list[World] = []

    def make(*args: Any, **options: Any) -> World:
        made.append(World(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.store.close()


def test_known_key_replaces_its_row(worlds: Any) -> None:
    """A row with a known key replaces the stored row whole, in its place, and counts as overwritten."""
    world = worlds()
    assert world.load({"id": 1, "a": 1}, {"id": 2}) == (2, 0, 0)
    assert world.load({"id": 1, "b": 2}, {"id": 3}) == (1, 1, 0)
    assert world.rows == [{"id": 1, "b": 2}, {"id": 2}, {"id": 3}]


def test_known_key_may_merge(worlds: Any) -> None:
    """With `key_update` merge, columns that the new row lacks stay."""
    world = worlds(key_update="merge")
    world.load({"id": 1, "a": 1, "b": 1})
    world.load({"id": 1, "b": 2})
    assert world.rows == [{"id": 1, "a": 1, "b": 2}]


def test_rows_without_keys_append(worlds: Any) -> None:
    """A dataset without keys keeps every row, equal ones too."""
    world = worlds(keys=())
    assert world.load({"a": 1}, {"a": 1}) == (2, 0, 0)
    assert world.load({"a": 1}) == (1, 0, 0)
    assert len(world.rows) == 3


def test_counts_add_up_with_repeats(worlds: Any) -> None:
    """Received is appended plus overwritten plus rejected, also when a request repeats a key."""
    world = worlds()
    assert world.load({"id": 1, "v": 1}, {"id": 1, "v": 2}, {"v": 3}) == (1, 1, 1)
    assert world.rows == [{"id": 1, "v": 2}]


def test_digits_survive_storage(worlds: Any) -> None:
    """Numbers keep every digit that came in, beyond what a float can hold."""
    world = worlds()
    text = (
        b'{"id": 1, "a": 1.10, "b": 1234567890123456789.123456789, "c": 1e400, "d": 123456789012345678901234}'
    )
    world.store.accept(world.dataset_id, [text])
    world.store.finish_processing()
    row = world.rows[0]
    assert str(row["a"]) == "1.10"
    assert row["b"] == Decimal("1234567890123456789.123456789")
    assert row["c"] == Decimal("1e400")
    assert row["d"] == 123456789012345678901234
    assert list(world.store.row_texts(world.dataset_id)) == [text.decode()]


def test_nothing_lands_before_its_time(worlds: Any) -> None:
    """Accepted rows are stored when their processing time is over, not at once."""
    world = worlds(processing_seconds_min=5.0, processing_seconds_max=5.0)
    ingestion_id = world.accept({"id": 1})
    world.now += 4.9
    assert world.rows == []
    assert world.store.ingestion(world.dataset_id, ingestion_id).status == "pending"
    world.now += 0.2
    assert world.rows == [{"id": 1}]
    assert world.store.ingestion(world.dataset_id, ingestion_id).status == "done"


def test_refusal_takes_nothing_back(worlds: Any) -> None:
    """A request that is refused just when an ingestion is due doesn't undo its processing."""
    world = worlds(processing_seconds_min=1.0, processing_seconds_max=1.0)
    refused: list[Any] = [
        lambda: world.store.accept(world.dataset_id, []),
        lambda: world.store.ingestion(world.dataset_id, "unknown"),
        lambda: world.store.rows("unknown"),
        lambda: world.store.purge("unknown"),
    ]
    for number, refuse in enumerate(refused, start=1):
        ingestion_id = world.accept({"id": number})
        world.now += 2
        with pytest.raises((InvalidInputError, UnknownObjectError)):
            refuse()
        assert world.store.ingestion(world.dataset_id, ingestion_id).status == "done"
    assert len(world.rows) == len(refused)


def test_processing_follows_due_times(worlds: Any) -> None:
    """A later ingestion may land first by default, so that the slower, older one wins."""
    world = worlds()
    world.accept({"id": 1, "v": "old"}, fate=Fate(processing_seconds=9.0))
    world.accept({"id": 1, "v": "new"}, fate=Fate(processing_seconds=1.0))
    world.now += 10
    assert world.rows == [{"id": 1, "v": "old"}]


def test_processing_may_keep_the_order(worlds: Any) -> None:
    """With `processing_order` acceptance, a later ingestion waits for those before it."""
    world = worlds(processing_order="acceptance")
    world.accept({"id": 1, "v": "old"}, fate=Fate(processing_seconds=9.0))
    world.accept({"id": 1, "v": "new"}, fate=Fate(processing_seconds=1.0))
    world.now += 5
    assert world.rows == []
    world.now += 5
    assert world.rows == [{"id": 1, "v": "new"}]


def test_failed_ingestion_stores_nothing(worlds: Any) -> None:
    """An ingestion that is to fail is accepted, then fails, and none of its rows is stored."""
    world = worlds()
    ingestion_id = world.accept({"id": 1}, fate=Fate(fails=True))
    world.store.finish_processing()
    found = world.store.ingestion(world.dataset_id, ingestion_id)
    assert (found.status, found.received, found.appended) == ("failed", 1, 0)
    assert world.rows == []


def test_counts_may_come_late(worlds: Any) -> None:
    """With `late_counts_seconds`, a processed ingestion's counts are zero for a while."""
    world = worlds(late_counts_seconds=10.0)
    ingestion_id = world.accept({"id": 1})
    world.now += 1
    assert world.store.ingestion(world.dataset_id, ingestion_id).appended == 0
    world.now += 11
    assert world.store.ingestion(world.dataset_id, ingestion_id).appended == 1


def test_detail_may_come_late(worlds: Any) -> None:
    """With `detail_missing_seconds`, a new ingestion's own record can't be found for a while."""
    world = worlds(detail_missing_seconds=10.0)
    ingestion_id = world.accept({"id": 1})
    with pytest.raises(UnknownObjectError):
        world.store.ingestion(world.dataset_id, ingestion_id)
    world.now += 11
    assert world.store.ingestion(world.dataset_id, ingestion_id).id == ingestion_id


def test_list_lags_behind(worlds: Any) -> None:
    """A new ingestion shows in the list after the lag, and counts in its total only then."""
    world = worlds(listing_lag_seconds=30.0)
    ingestion_id = world.accept({"id": 1})
    assert world.store.ingestions_page(world.dataset_id, 1, 100) == ([], 0)
    world.now += 31
    assert world.listed() == [ingestion_id]
    assert world.store.ingestions_page(world.dataset_id, 1, 100)[1] == 1


def test_list_order_follows_its_switch(worlds: Any) -> None:
    """The list is newest first by default, or oldest first, or in an arbitrary order that stays the same."""
    for order in ("newest-first", "oldest-first", "arbitrary"):
        world = worlds(listing_lag_seconds=0.0, list_order=order)
        ids = [world.accept({"id": n}) for n in range(20)]
        listed = world.listed()
        assert sorted(listed) == sorted(ids)
        assert (listed == ids[::-1]) is (order == "newest-first")
        assert (listed == ids) is (order == "oldest-first")
        assert world.listed() == listed


def test_pages_cut_the_list(worlds: Any) -> None:
    """Pages start at 1, hold what was asked for, and the last may be short or empty."""
    world = worlds(listing_lag_seconds=0.0)
    ids = [world.accept({"id": n}) for n in range(5)][::-1]
    assert [world.listed(page, 2) for page in (1, 2, 3, 4)] == [ids[:2], ids[2:4], ids[4:], []]


def test_purge_empties_the_dataset(worlds: Any) -> None:
    """A purge removes the rows and keeps the dataset; what was pending lands afterwards."""
    world = worlds(processing_seconds_min=5.0, processing_seconds_max=5.0)
    world.load({"id": 1})
    world.accept({"id": 2})
    world.store.purge(world.dataset_id)
    assert world.rows == []
    assert world.store.dataset(world.dataset_id).row_count == 0
    world.now += 6
    assert world.rows == [{"id": 2}]


def test_purge_may_drop_what_is_pending(worlds: Any) -> None:
    """With `purge_drops_pending`, what was accepted before a purge never lands."""
    world = worlds(purge_drops_pending=True, processing_seconds_min=5.0, processing_seconds_max=5.0)
    world.accept({"id": 2})
    world.store.purge(world.dataset_id)
    world.now += 6
    assert world.rows == []


def test_delete_takes_everything_along(worlds: Any) -> None:
    """Deleting a data source deletes its datasets, their rows and ingestions, pending ones too."""
    world = worlds()
    world.load({"id": 1})
    world.accept({"id": 2})
    world.store.delete_data_source(world.store.data_sources()[0].id)
    world.store.finish_processing()
    assert world.store.datasets() == []
    assert world.store.history() == []
    with pytest.raises(UnknownObjectError):
        world.store.rows(world.dataset_id)


@pytest.mark.parametrize("count", [0, 101])
def test_row_counts_are_limited(worlds: Any, count: int) -> None:
    """An ingestion has from 1 to 100 rows."""
    world = worlds()
    with pytest.raises(TooLargeError if count else InvalidInputError):
        world.accept(*({"id": n} for n in range(count)))
    assert world.store.history() == []


def test_records_must_be_objects(worlds: Any) -> None:
    """A record that is not a JSON object refuses the whole request."""
    world = worlds()
    with pytest.raises(InvalidInputError):
        world.store.accept(world.dataset_id, [b'{"id": 1}', b"[1]"])


def test_history_keeps_what_came(worlds: Any) -> None:
    """The history has every ingestion with its rows, counts and times."""
    world = worlds(processing_seconds_min=2.0, processing_seconds_max=2.0)
    world.accept({"id": 1, "v": 1.5})
    world.now += 3
    world.accept({"id": 2})
    first, second = world.store.history(world.dataset_id)
    assert (first.rows, first.status, first.appended) == ([{"id": 1, "v": Decimal("1.5")}], "done", 1)
    assert (first.accepted_at, first.processed_at) == (1_000_000.0, 1_000_002.0)
    assert (second.status, second.processed_at) == ("pending", None)


def test_history_may_forget_rows(worlds: Any) -> None:
    """With `keep_rows` off, rows are kept only until they are processed."""
    world = worlds(keep_rows=False)
    world.load({"id": 1})
    assert world.store.history()[0].rows is None
    assert world.rows == [{"id": 1}]


def test_rejections_name_row_and_reason(worlds: Any) -> None:
    """A rejected row can be looked at, with the reason, and is not stored."""
    world = worlds()
    world.load({"id": 1}, {"v": 2})
    [(ingestion_id, why, row)] = world.store.rejections(world.dataset_id)
    assert ingestion_id == world.store.history()[0].id
    assert (why.place, why.field, row) == (1, "id", {"v": 2})


def test_columns_grow_with_rows(worlds: Any) -> None:
    """New columns simply arrive, after those that were declared."""
    world = worlds()
    source_id = world.store.data_sources()[0].id
    dataset = world.store.create_dataset("Declared", source_id, (), [("when", "datetime")])
    world.store.accept(dataset.id, [b'{"when": "2024-01-01", "n": 1}'])
    world.store.finish_processing()
    columns = world.store.dataset(dataset.id).columns
    assert {name: each.type for name, each in columns.items()} == {"when": "datetime", "n": "number"}


@pytest.mark.parametrize(("switch", "columns"), [("accepted", ["a"]), ("ignored", [])])
def test_schema_field_follows_its_switch(worlds: Any, switch: str, columns: list[str]) -> None:
    """Declared columns are taken, or ignored."""
    world = worlds(schema_field=switch)
    dataset = world.store.create_dataset("x", world.store.data_sources()[0].id, (), [("a", "number")])
    assert list(dataset.columns) == columns


def test_schema_field_may_be_refused(worlds: Any) -> None:
    """With `schema_field` refused, a dataset is created without it only."""
    world = worlds(schema_field="refused")
    source_id = world.store.data_sources()[0].id
    with pytest.raises(InvalidInputError):
        world.store.create_dataset("x", source_id, (), [("a", "number")])
    assert world.store.create_dataset("x", source_id).columns == {}


def test_titles_may_have_to_differ(worlds: Any) -> None:
    """Titles may repeat by default; a switch refuses that."""
    world = worlds()
    source_id = world.store.data_sources()[0].id
    world.store.create_dataset("Dataset", source_id)
    strict = worlds(same_titles="refused")
    with pytest.raises(InvalidInputError):
        strict.store.create_dataset("Dataset", strict.store.data_sources()[0].id)
    with pytest.raises(InvalidInputError):
        strict.store.create_data_source("Source")


def test_unknown_time_zone_is_refused(worlds: Any) -> None:
    """A data source can't be created with a time zone that does not exist."""
    with pytest.raises(InvalidInputError):
        worlds().store.create_data_source("x", timezone="Europe/Ljubljanaa")


def test_unknown_ids_may_be_adopted(worlds: Any) -> None:
    """With `adopt_unknown_ids`, accounts, data sources and datasets that are asked for come into being."""
    store = worlds(adopt_unknown_ids=True).store
    assert store.data_sources(77) == []
    assert store.datasets(99) == []
    assert store.data_source(99).title == "Data source 99"
    adopted = store.dataset("11111111-2222-4333-8444-555555555555")
    assert (adopted.keys, adopted.data_source_id) == (None, 99)
    assert 77 in [each.id for each in store.accounts()]


def test_file_can_be_opened_again(worlds: Any, tmp_path: Path) -> None:
    """A database file keeps rows, columns and what is pending across two emulators."""
    path = tmp_path / "emulator.db"
    first = worlds(path, processing_seconds_min=5.0, processing_seconds_max=5.0)
    first.load({"id": 1, "a": 1.50})
    first.accept({"id": 2})
    first.store.close()
    later = Store(path, clock=lambda: 1_000_100.0)
    assert [row["id"] for row in later.rows(first.dataset_id)] == [1, 2]
    assert later.dataset(first.dataset_id).keys == ("id",)
    assert len(later.accounts()) == 1
    later.close()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    """A file that is no database, or somebody else's, is refused and left as it was."""
    text = tmp_path / "notes.txt"
    text.write_text("Dear diary, this is no database at all. " * 20)
    with pytest.raises(ValueError, match=r"notes\.txt is not a database of the emulator"):
        Store(text)
    assert text.read_text().startswith("Dear diary")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE mine (a)")
    connection.close()
    with pytest.raises(ValueError, match="was not made by this version"):
        Store(other)


def test_accounts_can_be_chosen() -> None:
    """A store begins with the accounts it is given, and creates data sources in the first by default."""
    store = Store(accounts=[Account(2, "B", "client"), Account(1, "A", "agency")])
    assert [each.id for each in store.accounts()] == [1, 2]
    assert store.create_data_source("x").account_id == 1
    assert store.create_data_source("y", 2).account_id == 2
    with pytest.raises(UnknownObjectError):
        store.create_data_source("z", 3)
    store.close()


def test_threads_share_a_store(worlds: Any) -> None:
    """Threads that load and look at once lose nothing."""
    world = worlds(processing_seconds_min=0.0, processing_seconds_max=0.0)

    def load(first: int) -> None:
        for n in range(first, first + 50):
            world.accept({"id": n})
            world.store.dataset(world.dataset_id)

    threads = [Thread(target=load, args=(first,)) for first in range(0, 200, 50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row["id"] for row in world.rows) == list(range(200))
