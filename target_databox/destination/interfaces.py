"""What finding and creating need of the API, whatever its version. Protocols only."""

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
    )

T = TypeVar("T")


class Client(Protocol):
    """One try a call; failures are errors of `target_databox.api.errors`."""

    def accounts(self) -> tuple[Account, ...]:
        """Accounts that the API key can see."""

    def data_sources(self, account_id: int, /) -> tuple[DataSource, ...]:
        """All data sources of an account."""

    def create_data_source(self, title: str, account_id: int | None, timezone: str | None, /) -> DataSource:
        """Create a data source, another one at every call."""

    def datasets(self, data_source_id: int, /) -> tuple[Dataset, ...]:
        """All datasets of a data source."""

    def create_dataset(
        self,
        title: str,
        data_source_id: int,
        primary_keys: Sequence[str],
        columns: Sequence[ColumnLike] | None,
        /,
    ) -> Dataset:
        """Create a dataset, another one at every call; `columns` is None where none are declared."""

    def dataset(self, dataset_id: str, /) -> DatasetDetail:
        """The detail of a dataset."""

    def ingestions(self, dataset_id: str, /, *, page_size: int) -> IngestionsPage:
        """The first page of a dataset's ingestions."""


class Patience(Protocol):
    """Makes a request in its turn, and again while its failures are transient; see `retries.patiently`."""

    def __call__(self, call: Callable[[], T], /) -> T:
        """Return what `call` returned."""
