"""Finds or creates the datasets of a run, so that the next run reuses them; see `sources`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from target_databox.api.errors import (
    DatasetError,
    IdempotencyError,
    KeyRefusedError,
    MissingError,
    RefusedError,
)
from target_databox.destination.creation import create_once
from target_databox.destination.known_keys import check_existence, detail_of, keys_differ
from target_databox.destination.titles import (
    the_dataset,
    title_problem,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_databox.api.dialect import Dialect
    from target_databox.api.values import ColumnLike, Dataset, DataSource
    from target_databox.destination.interfaces import Client, WithRetries
    from target_databox.destination.sources import Sources

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResolvedDataset:
    """The dataset of a stream.

    Attributes:
        id: Its id.
        title: Its title; None if it was configured by id.
        created: Whether this run created it, so that it is empty and has no pending ingestions.
        keys: Its primary keys, empty if it has none; None if unknown.
        keys_known: Whether `keys` is certain.
        column_types: Types by column name of an existing dataset, as far as they are known.
    """

    id: str
    title: str | None
    created: bool
    keys: tuple[str, ...] | None
    keys_known: bool
    column_types: Mapping[str, str] = field(default_factory=dict)


class _GoneError(Exception):
    """A dataset was deleted but is still listed."""


class Resources:
    """Finds or creates the datasets of a run. For one thread; the list of datasets is read once.

    Args:
        client: The API.
        with_retries: Makes every request.
        sources: Finds or creates the data source.
        dialect: The version of the API.
        new_key: Returns a new idempotency key at every call.
    """

    def __init__(
        self,
        client: Client,
        with_retries: WithRetries,
        sources: Sources,
        *,
        dialect: Dialect,
        new_key: Callable[[], str],
    ) -> None:
        self._client = client
        self._with_retries = with_retries
        self._sources = sources
        self._dialect = dialect
        self._new_key = new_key
        self._datasets: tuple[Dataset, ...] | None = None
        # Datasets that were deleted but are still listed.
        self._gone: set[str] = set()
        self._streams: dict[str, str] = {}
        self._is_schema_accepted = True

    def resolve_dataset(
        self,
        stream: str,
        title: str,
        *,
        dataset_id: str | None = None,
        primary_keys: Sequence[str] = (),
        columns: Sequence[ColumnLike] = (),
        declare: bool = True,
    ) -> ResolvedDataset:
        """Find the dataset of a stream by id or by title, or create it.

        Args:
            stream: The Singer stream, for messages.
            title: Title to find or to create.
            dataset_id: The configured dataset; wins over the title.
            primary_keys: Primary keys that the dataset must have; empty for none.
            columns: Columns to declare when it is created.
            declare: Whether to declare them.

        Raises:
            DatasetError: It doesn't exist, can't be created or already belongs to another stream.
            KeysDifferError: It exists with other primary keys.
            DataSourceError: The configured data source doesn't exist, or takes no data.
        """
        wanted = tuple(primary_keys)
        if dataset_id is None:
            return self._titled(stream, title.strip(), wanted, columns if declare else ())
        if dataset_id.strip() in {"", ".", ".."}:
            raise DatasetError(
                f"dataset_ids names {dataset_id!r} for the stream {stream!r}, which is not an id."
            )
        return self._existing(stream, dataset_id.strip(), None, wanted)

    def find_dataset(
        self, stream: str, title: str, *, dataset_id: str | None = None, primary_keys: Sequence[str] = ()
    ) -> ResolvedDataset:
        """The existing dataset that a run would load the stream into; creates nothing.

        Args:
            stream: The Singer stream, for messages.
            title: Title to find.
            dataset_id: The configured dataset; wins over the title.
            primary_keys: Primary keys that the dataset must have; empty for none.

        Raises:
            DatasetError: It doesn't exist, or already belongs to another stream.
            KeysDifferError: It exists with other primary keys.
            DataSourceError: The data source doesn't exist.
        """
        if dataset_id is not None:
            return self.resolve_dataset(stream, title, dataset_id=dataset_id, primary_keys=primary_keys)
        title = title.strip()
        source = self._sources.existing_data_source()
        found = self._found(stream, title, tuple(primary_keys), source)
        if found is None:
            raise DatasetError(
                f"The stream {stream!r} has no dataset: none in the data source {source.id} has the title "
                f"{title!r}. Load the stream first, or set dataset_titles."
            )
        return found

    def _listed(self, source: DataSource, *, afresh: bool = False) -> tuple[Dataset, ...]:
        if self._datasets is None or afresh:
            try:
                self._datasets = self._sources.datasets_of(source)
            except KeyRefusedError:
                raise
            except RefusedError as error:
                # Any refusal counts, since the status for an unknown id is not documented.
                raise self._sources.unknown(error.happened) from error
        return tuple(each for each in self._datasets if each.id not in self._gone)

    def _titled(
        self, stream: str, title: str, wanted: tuple[str, ...], columns: Sequence[ColumnLike]
    ) -> ResolvedDataset:
        problem = title_problem(title)
        if problem:
            raise DatasetError(f"The dataset title of the stream {stream!r} {problem}. Set dataset_titles.")
        source, _ = self._sources.resolve_data_source()
        found = self._found(stream, title, wanted, source)
        if found is not None:
            return found
        self._sources.check_support()
        made, is_ours = self._create_dataset(stream, title, source, wanted, columns)
        if not is_ours:
            return self._existing(stream, made.id, title, wanted)
        self._claim(stream, made.id)
        if all(each.id != made.id for each in self._datasets or ()):
            self._datasets = (*(self._datasets or ()), made)  # the list may lag behind
        logger.debug("Created the dataset %s %r of the stream %r.", made.id, title, stream)
        return ResolvedDataset(made.id, title, created=True, keys=wanted, keys_known=True)

    def _found(
        self, stream: str, title: str, wanted: tuple[str, ...], source: DataSource
    ) -> ResolvedDataset | None:
        """The dataset with a title, without those that were deleted but are still listed."""
        while found := the_dataset(self._listed(source), title):
            try:
                return self._existing(stream, found.id, title, wanted)
            except _GoneError:
                self._gone.add(found.id)
        return None

    def _create_dataset(
        self,
        stream: str,
        title: str,
        source: DataSource,
        wanted: tuple[str, ...],
        columns: Sequence[ColumnLike],
    ) -> tuple[Dataset, bool]:
        def attempt(declared: Sequence[ColumnLike] | None) -> tuple[Dataset, bool]:
            key = self._new_key()
            return create_once(
                self._with_retries,
                lambda: self._client.create_dataset(title, source.id, wanted, declared, key),
                lambda: self._listed(source, afresh=True),
                lambda datasets: the_dataset(datasets, title),
            )

        typed = [column for column in columns if column.data_type] if self._is_schema_accepted else []
        try:
            if not typed:
                return attempt(None)
            try:
                return attempt(typed)
            except (IdempotencyError, KeyRefusedError, MissingError):
                raise
            except RefusedError as error:
                # The field `schema` is undocumented (O) and may be the cause, so try again without it.
                made = attempt(None)
                self._is_schema_accepted = False
                logger.info(
                    "Column types are no longer declared, since the API refused that: %s.", error.happened
                )
                return made
        except (IdempotencyError, KeyRefusedError):
            raise
        except RefusedError as error:
            raise DatasetError(
                f"The dataset {title!r} of the stream {stream!r} could not be created in the data source "
                f"{source.id}: {error.happened}. Check dataset_titles and the stream's key properties."
            ) from error

    def _existing(
        self, stream: str, dataset_id: str, title: str | None, wanted: tuple[str, ...]
    ) -> ResolvedDataset:
        self._claim(stream, dataset_id)
        detail = None
        try:
            detail = detail_of(
                self._client, self._with_retries, dataset_id, is_sure=self._dialect.things_are_readable
            )
        except MissingError as error:
            if title is not None and self._dialect.things_are_readable:
                raise _GoneError from error
        if detail is None and title is None:
            check_existence(self._client, self._with_retries, stream, dataset_id)
        keys = None if detail is None else detail.primary_keys
        if keys is None:
            logger.warning(
                "The primary keys of the dataset %s of the stream %r could not be read. Its rows keep their "
                "order as if it had keys, but are never sent twice, as if it had none.",
                dataset_id,
                stream,
            )
        elif set(keys) != set(wanted):
            raise keys_differ(stream, dataset_id, wanted=wanted, found=keys)
        return ResolvedDataset(
            dataset_id,
            title,
            created=False,
            keys=keys,
            keys_known=keys is not None,
            column_types={} if detail is None else detail.column_types,
        )

    def _claim(self, stream: str, dataset_id: str) -> None:
        # Ids are UUIDs (D), which are case-insensitive.
        owner = self._streams.setdefault(dataset_id.lower(), stream)
        if owner != stream:
            raise DatasetError(
                f"The streams {owner!r} and {stream!r} would both load into the dataset {dataset_id}. Give "
                "one of them a dataset of its own with dataset_titles or dataset_ids."
            )
