"""The account of a simulated Databox: what a run asks when it looks for its datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import KeyRefusedError, MissingError
from target_databox.api.values import (
    Account,
    Dataset,
    DatasetDetail,
    DataSource,
    IngestionsPage,
    Page,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_databox.api.values import ColumnLike
    from tests.simulated_databox import SimulatedDatabox

SOURCE = DataSource(1, "target-databox", None, "UTC")


class SimulatedAccount:
    """The client of one run.

    Args:
        server: The datasets.
        version: The version of the API.
        hidden: Datasets whose keys can't be read.
    """

    def __init__(self, server: SimulatedDatabox, version: str, hidden: set[str]) -> None:
        self._server = server
        self._version = version
        self._hidden = hidden

    def accounts(self, _page: int, /) -> Page[Account]:
        """The only account."""
        return Page.whole((Account(1, "a", "organization"),))

    def data_sources(self, _account_id: int, _page: int, /) -> Page[DataSource]:
        """The only data source."""
        return Page.whole((SOURCE,))

    def data_source(self, _data_source_id: int, /) -> DataSource | None:
        """The only data source."""
        return SOURCE

    def create_data_source(self, *_: object) -> DataSource:
        """Never asked: it exists."""
        raise NotImplementedError

    def datasets(self, _data_source_id: int, _page: int, /) -> Page[Dataset]:
        """The datasets that exist; their titles are their ids."""
        made = [name for name, each in self._server.datasets.items() if each.is_made]
        return Page.whole(tuple(Dataset(name, name, None, SOURCE.id) for name in made))

    def create_dataset(
        self,
        title: str,
        _data_source_id: int,
        primary_keys: Sequence[str],
        columns: Sequence[ColumnLike] | None,
        _idempotency_key: str,
        /,
    ) -> Dataset:
        """Make a dataset."""
        dataset = self._server.datasets[title]
        dataset.is_made, dataset.keyed = True, bool(primary_keys)
        dataset.is_declared = columns is not None
        dataset.types |= {each.name: each.data_type for each in columns or () if each.data_type}
        return Dataset(title, title, None, SOURCE.id)

    def dataset(self, dataset_id: str, /) -> DatasetDetail:
        """The keys and the types of a dataset, if they can be read.

        If not, the route or its field of keys is missing (v1), or it is forbidden (v2).
        """
        dataset = self._server.datasets[dataset_id]
        if dataset_id in self._hidden:
            path = f"/{self._version}/datasets/{dataset_id}"
            if self._version == "v1" and dataset_id.endswith("1"):
                return DatasetDetail(dataset_id, None, dict(dataset.types))
            if self._version == "v1":
                raise MissingError("missing", method="GET", path=path, status=404)
            raise KeyRefusedError("forbidden", method="GET", path=path, status=403)
        return DatasetDetail(dataset_id, ("id",) if dataset.keyed else (), dict(dataset.types))

    def ingestions(self, dataset_id: str, /, *, page_size: int) -> IngestionsPage:
        """Never asked: no dataset is configured by id."""
        raise NotImplementedError
