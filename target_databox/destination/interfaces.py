"""What `destination` needs of the API, in any version. Protocols only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from target_databox.api.values import (
        Account,
        ColumnLike,
        Dataset,
        DatasetDetail,
        DataSource,
        IngestionsPage,
        Page,
    )

T = TypeVar("T")


class Client(Protocol):
    """Makes one try per call; failures are errors of `target_databox.api.errors`."""

    def accounts(self, page: int, /) -> Page[Account]:
        """A page of the accounts that the API key can see; pages are counted from 1."""

    def data_sources(self, account_id: int, page: int, /) -> Page[DataSource]:
        """A page of the data sources of an account."""

    def data_source(self, data_source_id: int, /) -> DataSource | None:
        """One data source; None if the API has no route for it."""

    def create_data_source(
        self, title: str, account_id: int | None, timezone: str | None, idempotency_key: str, /
    ) -> DataSource:
        """Create a data source, a new one for every idempotency key."""

    def datasets(self, data_source_id: int, page: int, /) -> Page[Dataset]:
        """A page of the datasets of a data source; it may include those of other data sources."""

    def create_dataset(
        self,
        title: str,
        data_source_id: int,
        primary_keys: Sequence[str],
        columns: Sequence[ColumnLike] | None,
        idempotency_key: str,
        /,
    ) -> Dataset:
        """Create a dataset, a new one for every idempotency key; without `columns` none are declared."""

    def dataset(self, dataset_id: str, /) -> DatasetDetail:
        """The detail of a dataset."""

    def ingestions(self, dataset_id: str, /, *, page_size: int) -> IngestionsPage:
        """The first page of a dataset's ingestions."""


class WithRetries(Protocol):
    """Makes a request within the budget and retries transient failures; see `retries.call_with_retries`."""

    def __call__(self, call: Callable[[], T], /) -> T:
        """Return what `call` returned."""
