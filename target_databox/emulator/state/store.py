"""The emulated API's whole state behind one door, for the server's thread and a test's at once."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from random import Random
from typing import TYPE_CHECKING, Any

from target_databox.emulator.assumptions import Assumptions
from target_databox.emulator.state.browsing import Browser
from target_databox.emulator.state.catalogue import Catalogue
from target_databox.emulator.state.database import Database
from target_databox.emulator.state.deleted import Deleted
from target_databox.emulator.state.ingestions import Ingestions
from target_databox.emulator.state.json_rows import parsed_row
from target_databox.emulator.state.kept_answers import KeptAnswers
from target_databox.emulator.state.permissions import allow_change
from target_databox.emulator.state.processing import Processing
from target_databox.emulator.state.read_back import ReadBack
from target_databox.emulator.state.shapes import Account, Fate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    import msgspec

    from target_databox.emulator.state.rules import Rejection
    from target_databox.emulator.state.shapes import Actor, Dataset, DataSource, Ingestion, Totals

_DEFAULT_ACCOUNT = Account(123456, "Emulated account")


class Store:
    """Accounts, data sources, datasets, rows and ingestions in SQLite: state and rules, no HTTP.

    Ingestions are processed lazily: whoever looks at anything first applies what is due, in order of time.

    Args:
        path: The database file, made when it or its directory is missing; `None` keeps everything in memory.
        assumptions: What is taken for true where nobody knows.
        accounts: The accounts to begin with; one organization when there are none.
        clock: Returns the time, in seconds since 1970.
        seed: Makes the processing times the same every time.
        adopt_unknown_ids: Make an account, data source or dataset whose id is asked for and unknown.
        keep_rows: Keep the rows of every request for the history, not only until they are processed.

    Raises:
        ValueError: The file is not an emulator's database.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        assumptions: Assumptions | None = None,
        accounts: Sequence[Account] = (),
        clock: Callable[[], float] = time.time,
        seed: int = 1,
        adopt_unknown_ids: bool = False,
        keep_rows: bool = True,
    ) -> None:
        self.assumptions = assumptions or Assumptions()
        self.now = clock
        random = Random(seed)  # noqa: S311 -- no secret: the same times every time
        self._database = Database(path)
        self.browser = Browser(self._database)
        self._deleted = Deleted(self._database, clock, self.assumptions)
        self._catalogue = Catalogue(
            self._database, clock, self.assumptions, self._deleted, adopt_unknown_ids=adopt_unknown_ids
        )
        self.kept_answers = KeptAnswers(self._database, clock)
        self._read_back = ReadBack(self._database, clock, self.assumptions)
        self._processing = Processing(
            self._database, self._catalogue, clock, self.assumptions, keep_rows=keep_rows
        )
        self._ingestions = Ingestions(
            self._database, self._catalogue, clock, self.assumptions, random, self._processing
        )
        for account in accounts or (() if self._catalogue.accounts() else (_DEFAULT_ACCOUNT,)):
            self._catalogue.add_account(account)

    @property
    def identity(self) -> int:
        """A number that no other store has, and that its file keeps."""
        return self._database.identity

    def accounts(self) -> list[Account]:
        """Every account, by id."""
        return self._catalogue.accounts()

    def data_sources(self, account_id: int | None = None) -> list[DataSource]:
        """Every data source of an account, or of all, in the order of creation."""
        with self._database.transaction():
            return self._catalogue.data_sources(account_id)

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
        """Make a data source; see `Catalogue.create_data_source`."""
        with self._database.transaction():
            return self._catalogue.create_data_source(
                title, account_id, timezone, key, ingestion_supported=ingestion_supported, actor=actor
            )

    def delete_data_source(self, data_source_id: int, actor: Actor | None = None) -> None:
        """Delete a data source with everything in it."""
        with self._database.transaction():
            self._catalogue.delete_data_source(data_source_id, actor)

    def purge_data_source(self, data_source_id: int, actor: Actor | None = None) -> None:
        """Remove every row of every dataset of a data source."""
        with self._settled():
            allow_change(actor, self._catalogue.data_source(data_source_id).creator, "data source")
            for each in self._catalogue.datasets(data_source_id):
                self._ingestions.purge(each.id)

    def listed_data_sources(self, account_id: int) -> list[DataSource]:
        """The data sources of an account, and those deleted ones that lists still show."""
        with self._database.transaction():
            ghosts = self._deleted.data_sources()
            return [
                # Nobody told the emulator the account of a data source that it adopted.
                *(
                    each
                    for each in self._catalogue.data_sources()
                    if each.account_id == account_id or not each.key
                ),
                *(each for each in ghosts if each.account_id == account_id),
            ]

    def listed_datasets(self, account_id: int) -> list[Dataset]:
        """The datasets of an account, and those deleted ones that lists still show."""
        with self._settled():
            sources = {each.id for each in self.listed_data_sources(account_id)}
            found = [*self._catalogue.datasets(), *self._deleted.datasets()]
            return [each for each in found if each.data_source_id in sources]

    def data_source(self, data_source_id: int) -> DataSource:
        """The data source of an id."""
        with self._database.transaction():
            return self._catalogue.data_source(data_source_id)

    def datasets(self, data_source_id: int | None = None) -> list[Dataset]:
        """Every dataset of a data source, or of all, in the order of creation."""
        with self._settled():
            return self._catalogue.datasets(data_source_id)

    def account_datasets(self, account_id: int) -> list[Dataset]:
        """Every dataset of an account."""
        with self._database.transaction():
            sources = {each.id for each in self._catalogue.data_sources(account_id)}
            return [each for each in self.datasets() if each.data_source_id in sources]

    def dataset(self, dataset_id: str) -> Dataset:
        """The dataset of an id."""
        with self._settled():
            return self._catalogue.dataset(dataset_id)

    def dataset_numbered(self, number: int) -> Dataset:
        """The dataset of an id of v2."""
        with self._settled():
            return self._catalogue.dataset_numbered(number)

    def own_account(self) -> Account:
        """The account that the keys belong to."""
        with self._database.transaction():
            return self._catalogue.own_account()

    def account(self, account_id: int) -> Account:
        """The account of an id."""
        with self._database.transaction():
            return self._catalogue.account(account_id)

    def dataset_titled(self, title: str) -> Dataset:
        """The only dataset with a title.

        Raises:
            LookupError: There is none, or there are several.
        """
        found = [each for each in self.datasets() if each.title == title]
        if len(found) != 1:
            raise LookupError(f"{len(found)} datasets are titled {title!r}.")
        return found[0]

    def create_dataset(
        self,
        title: str,
        data_source_id: int,
        keys: Sequence[str] = (),
        columns: Sequence[tuple[str, str]] = (),
        *,
        schema_field: str | None = None,
        actor: Actor | None = None,
    ) -> Dataset:
        """Make an empty dataset, by default as v1 does; see `Catalogue.create_dataset`."""
        with self._database.transaction():
            return self._catalogue.create_dataset(
                title,
                data_source_id,
                keys,
                columns,
                schema_field=schema_field or self.assumptions.schema_field,
                actor=actor,
            )

    def delete_dataset(self, dataset_id: str, actor: Actor | None = None) -> None:
        """Delete a dataset with its rows and ingestions."""
        with self._database.transaction():
            self._catalogue.delete_dataset(dataset_id, actor)

    def purge(self, dataset_id: str, actor: Actor | None = None) -> None:
        """Remove every row of a dataset; what is pending lands later, unless assumptions say otherwise."""
        with self._settled():
            self._ingestions.purge(dataset_id, actor)

    def accept(
        self,
        dataset_id: str,
        texts: Sequence[bytes],
        fate: Fate | None = None,
        *,
        most_rows: int = 100,
        actor: Actor | None = None,
    ) -> Ingestion:
        """Accept rows, each as its JSON text, for processing; see `Ingestions.accept`."""
        with self._settled():
            return self._ingestions.accept(
                dataset_id, texts, fate or Fate(), most_rows=most_rows, actor=actor
            )

    def newest_ingestions(self) -> dict[str, Ingestion]:
        """The newest ingestion of each dataset that has one, by the dataset's id."""
        with self._settled():
            return self._ingestions.newest()

    def rejected_texts(self, ingestion_id: str) -> list[tuple[Rejection, str]]:
        """The rejected rows of an ingestion: why, and the row's JSON text."""
        with self._settled():
            return self._ingestions.rejected_texts(ingestion_id)

    def read_rows(
        self, dataset: Dataset, page: int, page_size: int, sort_by: str | None, *, descending: bool
    ) -> tuple[list[msgspec.Raw], int]:
        """One page of a dataset's rows, as the API v2 reads them back; see `ReadBack.page`."""
        with self._settled():
            return self._read_back.page(dataset, page, page_size, sort_by, descending=descending)

    def hidden_columns(self, dataset: Dataset) -> set[str]:
        """The columns of a dataset that the API v2 does not read back."""
        return self._read_back.hidden_columns(dataset)

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """One ingestion as the API shows it."""
        with self._settled():
            return self._ingestions.ingestion(dataset_id, ingestion_id)

    def ingestions_page(self, dataset_id: str, page: int, page_size: int) -> tuple[list[Ingestion], int]:
        """One page of a dataset's list of ingestions, from page 1, and how many the list has."""
        with self._settled():
            return self._ingestions.page(dataset_id, page, page_size)

    def finish_processing(self) -> None:
        """Process everything that is pending now, whenever it would have been due."""
        with self._database.transaction():
            self._processing.settle(math.inf)

    def totals(self, dataset_id: str) -> Totals:
        """The sums over a dataset's ingestions."""
        with self._settled():
            return self._ingestions.totals(dataset_id)

    def history(self, dataset_id: str | None = None) -> list[Ingestion]:
        """Every ingestion so far, of a dataset or of all, in the order of acceptance, with its rows."""
        with self._settled():
            return self._ingestions.history(dataset_id)

    def rejections(self, dataset_id: str | None = None) -> list[tuple[str, Rejection, dict[str, Any]]]:
        """Every rejected row, of a dataset or of all: its ingestion's id, why, and the row."""
        with self._settled():
            return self._ingestions.rejections(dataset_id)

    def rows(self, dataset_id: str) -> list[dict[str, Any]]:
        """The rows of a dataset, in the order of their first arrival, with every digit of their numbers."""
        return [parsed_row(text) for text in self.row_texts(dataset_id)]

    def row_texts(self, dataset_id: str, offset: int = 0, limit: int = -1) -> Iterator[str]:
        """The rows of a dataset as the JSON text in which they came, in the order of their first arrival."""
        dataset = self.dataset(dataset_id)
        with self._database.transaction():
            found = self._database.all(
                "SELECT body FROM rows WHERE dataset = ? ORDER BY seq LIMIT ? OFFSET ?",
                dataset.seq,
                limit,
                offset,
            )
        return (row["body"] for row in found)

    def settled_changes(self) -> int:
        """A number that grows whenever anything has changed, for who wants to know whether to look again."""
        with self._settled():
            return self._database.changes()

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    @contextmanager
    def _settled(self) -> Iterator[None]:
        """A transaction after what is due has been applied: if it fails, that stays applied."""
        with self._database.transaction():
            self._processing.settle()
        with self._database.transaction():
            yield
