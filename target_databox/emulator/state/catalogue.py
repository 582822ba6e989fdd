"""Accounts, data sources and datasets of the emulated API: state and rules, no HTTP."""

from __future__ import annotations

import json
import uuid
from functools import cache
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from target_databox.emulator.state.errors import ForbiddenError, InvalidInputError, UnknownObjectError
from target_databox.emulator.state.permissions import allow_change
from target_databox.emulator.state.rules import Column
from target_databox.emulator.state.shapes import Account, Dataset, DataSource

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.emulator.assumptions import Assumptions
    from target_databox.emulator.state.database import Database
    from target_databox.emulator.state.deleted import Deleted
    from target_databox.emulator.state.shapes import Actor

_COLUMN_TYPES = ("string", "number", "datetime")
MOST_COLUMNS = 100  # of a dataset (grade O for v2)
_SOURCES = (
    "SELECT id, account_id, title, timezone, key, created, ingestion_supported, creator FROM data_sources"
)


class Catalogue:
    """Accounts, data sources and datasets, and what may be done to them.

    Args:
        database: Where they are kept.
        clock: Returns the time, in seconds since 1970.
        assumptions: What is taken for true where nobody knows.
        deleted: Remembers what lists still show.
        adopt_unknown_ids: Make an account, data source or dataset whose id is asked for and unknown.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        assumptions: Assumptions,
        deleted: Deleted,
        *,
        adopt_unknown_ids: bool = False,
    ) -> None:
        self._database = database
        self._clock = clock
        self._assumptions = assumptions
        self._adopts = adopt_unknown_ids
        self._deleted = deleted
        self._last_data_source_id: int | None = None

    def add_account(self, account: Account) -> Account:
        """Add an account, unless its id is there already; the stored one is returned."""
        self._database.run(
            "INSERT OR IGNORE INTO accounts VALUES (?, ?, ?)", account.id, account.name, account.type
        )
        return self.account(account.id)

    def accounts(self) -> list[Account]:
        """Every account, by id."""
        return [
            Account(*row) for row in self._database.all("SELECT id, name, type FROM accounts ORDER BY id")
        ]

    def account(self, account_id: int) -> Account:
        """The account of an id.

        Raises:
            UnknownObjectError: There is none.
        """
        row = self._database.first("SELECT id, name, type FROM accounts WHERE id = ?", account_id)
        if row:
            return Account(*row)
        if self._adopts:
            return self.add_account(Account(account_id, f"Account {account_id}"))
        raise UnknownObjectError("The account does not exist.", "accountId")

    def own_account(self) -> Account:
        """The account that the keys belong to: the first that no agency manages."""
        accounts = self.accounts()
        return next((each for each in accounts if each.type != "client"), accounts[0])

    def data_sources(self, account_id: int | None = None) -> list[DataSource]:
        """Every data source of an account, or of all accounts, in the order of creation.

        Raises:
            UnknownObjectError: The account does not exist.
        """
        if account_id is not None:
            self.account(account_id)
        rows = self._database.all(
            f"{_SOURCES} WHERE ? IS NULL OR account_id = ? ORDER BY created, id",
            account_id,
            account_id,
        )
        return [_data_source(row) for row in rows]

    def data_source(self, data_source_id: int) -> DataSource:
        """The data source of an id.

        Raises:
            UnknownObjectError: There is none.
        """
        row = self._database.first(
            f"{_SOURCES} WHERE id = ?",
            data_source_id,
        )
        if row:
            self._last_data_source_id = data_source_id
            return _data_source(row)
        if self._adopts and not self._has_dataset(data_source_id):
            return self._insert_data_source(
                f"Data source {data_source_id}", None, "UTC", None, data_source_id
            )
        raise UnknownObjectError("The data source does not exist.", "dataSourceId")

    def _has_dataset(self, number: int) -> bool:
        return self._database.first("SELECT 1 FROM datasets WHERE number = ?", number) is not None

    def create_data_source(
        self,
        title: str,
        account_id: int | None = None,
        timezone: str | None = None,
        key: str | None = None,
        *,
        ingestion_supported: bool = True,
        actor: Actor | None = None,
    ) -> DataSource:
        """Make a data source, in the first account when none is named.

        Args:
            title: May be empty (grade D).
            account_id: The account to make it in.
            timezone: An IANA name; `UTC` when there is none.
            key: What the official CLI sends (grade O); `ingestion` when there is none (grade D).
            ingestion_supported: Whether the API may fill it.
            actor: Who makes it.

        Raises:
            UnknownObjectError: The account does not exist.
            InvalidInputError: The time zone does not exist, or the title is taken where titles must differ.
        """
        if timezone is not None and timezone not in timezones():
            raise InvalidInputError("The time zone is not supported.", "timezone")
        if self._assumptions.same_titles == "refused":
            account = account_id if account_id is not None else self.own_account().id
            if any(each.title == title for each in self.data_sources(account)):
                raise InvalidInputError("A data source with this title exists.", "title")
        return self._insert_data_source(
            title,
            account_id,
            timezone or "UTC",
            key or "ingestion",
            ingestion_supported=ingestion_supported,
            creator=actor.id if actor else None,
        )

    def _insert_data_source(
        self,
        title: str,
        account_id: int | None,
        timezone: str,
        key: str | None,
        data_source_id: int | None = None,
        *,
        ingestion_supported: bool = True,
        creator: int | None = None,
    ) -> DataSource:
        account = self.own_account() if account_id is None else self.account(account_id)
        data_source_id = self._new_id(data_source_id)
        self._database.run(
            "INSERT INTO data_sources VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            data_source_id,
            account.id,
            title,
            timezone,
            key,
            self._clock(),
            ingestion_supported,
            creator,
        )
        return self.data_source(data_source_id)

    def _new_id(self, wanted: int | None = None) -> int:
        """An id that nothing has or had, or a wanted one that nothing has."""
        if wanted is None:
            return self._database.run("INSERT INTO ids VALUES (NULL)")
        self._database.run("INSERT OR IGNORE INTO ids VALUES (?)", wanted)
        return wanted

    def delete_data_source(self, data_source_id: int, actor: Actor | None = None) -> None:
        """Delete a data source, its datasets and their rows (grade D).

        Raises:
            UnknownObjectError: It does not exist.
            ForbiddenError: The actor is no admin and did not make it.
        """
        source = self.data_source(data_source_id)
        allow_change(actor, source.creator, "data source")
        for each in self.datasets(data_source_id):
            self._deleted.remember(each, each.number)
        self._deleted.remember(source, source.id)
        self._database.run("DELETE FROM data_sources WHERE id = ?", data_source_id)

    def datasets(self, data_source_id: int | None = None) -> list[Dataset]:
        """Every dataset of a data source, or of all, in the order of creation.

        Raises:
            UnknownObjectError: The data source does not exist.
        """
        if data_source_id is not None:
            self.data_source(data_source_id)
        rows = self._database.all(
            "SELECT * FROM datasets WHERE ? IS NULL OR data_source_id = ? ORDER BY seq",
            data_source_id,
            data_source_id,
        )
        return [_dataset(row) for row in rows]

    def dataset_numbered(self, number: int) -> Dataset:
        """The dataset of an id of v2.

        Raises:
            UnknownObjectError: There is none.
        """
        row = self._database.first("SELECT * FROM datasets WHERE number = ?", number)
        if row:
            return _dataset(row)
        if self._adopts and not any(each.id == number for each in self.data_sources()):
            return self._adopted_dataset(str(uuid.uuid4()), number)
        raise UnknownObjectError("The dataset does not exist.", "datasetId")

    def dataset(self, dataset_id: str) -> Dataset:
        """The dataset of an id of v1.

        Raises:
            UnknownObjectError: There is none.
        """
        row = self._database.first("SELECT * FROM datasets WHERE id = ?", dataset_id)
        if row:
            return _dataset(row)
        if self._adopts:
            return self._adopted_dataset(dataset_id)
        raise UnknownObjectError("The dataset does not exist.", "datasetId")

    def create_dataset(
        self,
        title: str,
        data_source_id: int,
        keys: Sequence[str] = (),
        columns: Sequence[tuple[str, str]] = (),
        *,
        schema_field: str = "accepted",
        actor: Actor | None = None,
    ) -> Dataset:
        """Make an empty dataset.

        Args:
            title: What a human calls it.
            data_source_id: The data source to make it in.
            keys: Its primary keys; empty for none.
            columns: Names and types of the columns to declare.
            schema_field: What becomes of `columns`; see `Assumptions.schema_field`.
            actor: Who makes it.

        Raises:
            UnknownObjectError: The data source does not exist.
            ForbiddenError: The actor is no admin and did not make the data source.
            InvalidInputError: A column's type does not exist, `schema` is refused, the title is taken
                where titles must differ, or the API can't fill the data source.
        """
        source = self.data_source(data_source_id)
        if actor and not actor.may_change(source.creator):
            raise ForbiddenError("Only an admin, or who made the data source, may make a dataset in it.")
        if not source.ingestion_supported:
            raise InvalidInputError("The data source does not support ingestion.", "dataSourceId")
        if columns and schema_field == "refused":
            raise InvalidInputError("The field schema is not known.", "schema")
        if any(column_type not in _COLUMN_TYPES for _, column_type in columns):
            raise InvalidInputError(f"A dataType must be one of {', '.join(_COLUMN_TYPES)}.", "schema")
        if self._assumptions.same_titles == "refused" and any(
            each.title == title for each in self.datasets(data_source_id)
        ):
            raise InvalidInputError("A dataset with this title exists.", "title")
        declared = {name: Column(column_type, declared=True) for name, column_type in columns}
        if schema_field == "ignored":
            declared = {}
        return self._insert_dataset(
            str(uuid.uuid4()), None, data_source_id, title, tuple(keys), declared, actor.id if actor else None
        )

    def _insert_dataset(
        self,
        dataset_id: str,
        number: int | None,
        data_source_id: int,
        title: str,
        keys: tuple[str, ...] | None,
        columns: dict[str, Column],
        creator: int | None = None,
    ) -> Dataset:
        self._database.run(
            "INSERT INTO datasets (id, number, data_source_id, title, keys, columns, created, creator)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            dataset_id,
            self._new_id(number),
            data_source_id,
            title,
            None if keys is None else json.dumps(keys),
            columns_as_text(columns),
            self._clock(),
            creator,
        )
        return self.dataset(dataset_id)

    def _adopted_dataset(self, dataset_id: str, number: int | None = None) -> Dataset:
        # A dataset's id doesn't name its data source: the one that was asked for last is the likeliest.
        source_id = self._last_data_source_id
        if source_id not in [each.id for each in self.data_sources()] or source_id is None:
            source_id = self._insert_data_source("Data source", None, "UTC", "ingestion").id
        return self._insert_dataset(
            dataset_id, number, source_id, f"Dataset {number or dataset_id}", None, {}
        )

    def delete_dataset(self, dataset_id: str, actor: Actor | None = None) -> None:
        """Delete a dataset with its rows and ingestions.

        Raises:
            UnknownObjectError: It does not exist.
            ForbiddenError: The actor is no admin and did not make it.
        """
        dataset = self.dataset(dataset_id)
        allow_change(actor, dataset.creator, "dataset")
        self._deleted.remember(dataset, dataset.number)
        self._database.run("DELETE FROM datasets WHERE seq = ?", dataset.seq)


def columns_as_text(columns: dict[str, Column]) -> str:
    """Columns as the database keeps them."""
    return json.dumps(
        {name: [each.type, each.declared] for name, each in columns.items()}, ensure_ascii=False
    )


def _data_source(row: Any) -> DataSource:
    values = dict(row)
    return DataSource(**{**values, "ingestion_supported": bool(values["ingestion_supported"])})


def _dataset(row: Any) -> Dataset:
    return Dataset(
        row["seq"],
        row["id"],
        row["number"],
        row["data_source_id"],
        row["title"],
        None if row["keys"] is None else tuple(json.loads(row["keys"])),
        {name: Column(*each) for name, each in json.loads(row["columns"]).items()},
        row["created"],
        row["row_count"],
        row["size_bytes"],
        row["creator"],
        row["locked_until"],
    )


@cache
def timezones() -> frozenset[str]:
    """The IANA names that the emulated API supports: those that this machine knows, and `UTC`."""
    return frozenset(available_timezones() | {"UTC"})
