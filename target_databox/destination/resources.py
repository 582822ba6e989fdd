"""Finds the data source and the datasets of a run, or creates them, so that the next run reuses them.

Reading (`find_…`) is apart from creating (`resolve_…`). Creating twice must not happen because an answer
was lost or another run was faster: the list is read again, and of several with one title the oldest is used.
"""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from target_databox.api.errors import (
    AccountError,
    DataboxError,
    DatasetError,
    DataSourceError,
    KeyRefusedError,
    MissingError,
    RefusedError,
)
from target_databox.api.values import DataSource
from target_databox.destination.creation import create_once
from target_databox.destination.known_keys import check_existence, keys_differ, known_keys
from target_databox.destination.titles import (
    check_support,
    named,
    the_data_source,
    the_dataset,
    title_problem,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from target_databox.api.values import Account, ColumnLike, Dataset
    from target_databox.destination.interfaces import Client, Patience

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ResolvedDataset:
    """The dataset of a stream.

    Attributes:
        id: Its id.
        title: Its title; None when it was configured by id.
        created: Whether this run created it, so that nothing can be in it or on its way to it.
        keys: Its primary keys, empty when it has none; None when they are not known.
        keys_known: Whether `keys` is certain.
    """

    id: str
    title: str | None
    created: bool
    keys: tuple[str, ...] | None
    keys_known: bool


class Resources:
    """What a run loads into. For one thread; lists are read once and remembered for the run.

    Args:
        client: The API.
        patience: Makes every request.
        account_id: The configured account, or None for the key's only one.
        data_source_id: The configured data source; wins over the title.
        data_source_title: Title to find or to create.
        timezone: IANA name, given to a data source that is created.
    """

    def __init__(
        self,
        client: Client,
        patience: Patience,
        *,
        account_id: int | None = None,
        data_source_id: int | None = None,
        data_source_title: str = "target-databox",
        timezone: str = "UTC",
    ) -> None:
        self._client = client
        self._patience = patience
        self._account_id = account_id
        self._data_source_id = data_source_id
        self._data_source_title = data_source_title.strip()
        self._timezone = timezone
        self._accounts: tuple[Account, ...] | None = None
        self._source: tuple[DataSource, bool] | None = None
        self._datasets: tuple[Dataset, ...] | None = None
        self._streams: dict[str, str] = {}
        self._is_support_known = data_source_id is None
        self._is_schema_accepted = True

    def accounts(self) -> tuple[Account, ...]:
        """The accounts that the key can see."""
        if self._accounts is None:
            self._accounts = self._patience(self._client.accounts)
        return self._accounts

    def resolve_account(self) -> Account:
        """The configured account, or the key's only one.

        Raises:
            AccountError: It is not among the key's accounts, or none is configured and there isn't just one.
        """
        accounts = self.accounts()
        if self._account_id is not None:
            for account in accounts:
                if account.id == self._account_id:
                    return account
            raise AccountError(
                f"The account {self._account_id} does not exist, or the API key can't see it. The key's "
                f"accounts are: {_told(accounts)}. Set account_id to one of them."
            )
        if len(accounts) == 1:
            return accounts[0]
        if not accounts:
            raise AccountError(
                "The API key can see no account. Use a key (api_key) of a user that belongs to one."
            )
        raise AccountError(
            f"The API key can see several accounts: {_told(accounts)}. Set account_id to one of them."
        )

    def find_data_source(self) -> DataSource | None:
        """The run's data source as a list shows it, or None when it would be created. Changes nothing.

        Raises:
            AccountError: The account is not certain.
            DataSourceError: The configured id is in no list or takes no data, or the title can't be used.
        """
        if self._data_source_id is None:
            return self._choose(self._data_sources(self._certain_account_id()))
        seen = []
        for source in self._every_source():
            if source.id == self._data_source_id:
                check_support(source)
                return source
            seen.append(source)
        # Not listed, yet a run would use it if its datasets can be read.
        try:
            self._patience(lambda: self._client.datasets(self._data_source_id or 0))
        except KeyRefusedError:
            raise
        except RefusedError as error:
            raise self._unknown_data_source(seen, error.happened) from error
        return DataSource(self._data_source_id, None, None, None)

    def resolve_data_source(self) -> tuple[DataSource, bool]:
        """The run's data source, created when there is none of its title, and whether it was created.

        A configured id is taken as it is: the list of its datasets, read next, shows whether it exists.

        Raises:
            AccountError: The account is not certain.
            DataSourceError: The title can't be used, or the API refuses to create it.
        """
        if self._source is None:
            if self._data_source_id is not None:
                self._source = DataSource(self._data_source_id, None, None, None), False
            else:
                self._source = self._find_or_create_data_source()
        return self._source

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
        """The dataset of a stream: by id, else by title, else created.

        Args:
            stream: The Singer stream, for messages.
            title: Title to find or to create.
            dataset_id: The configured dataset; wins over the title.
            primary_keys: Keys that the dataset must have; empty for none.
            columns: Columns to declare when it is created.
            declare: Whether to declare them.

        Raises:
            DatasetError: It doesn't exist, can't be created or is another stream's already.
            KeysDifferError: It exists with other keys.
            DataSourceError: The configured data source doesn't exist, or takes no data.
        """
        wanted = tuple(primary_keys)
        if dataset_id is None:
            return self._titled(stream, title.strip(), wanted, columns if declare else ())
        if dataset_id.strip() in {"", ".", ".."}:
            raise DatasetError(f"dataset_ids names {dataset_id!r} for the stream {stream!r}, which is no id.")
        return self._existing(stream, dataset_id.strip(), None, wanted)

    def _certain_account_id(self) -> int:
        # A configured account is not looked up: the list of its data sources shows whether it exists.
        return self._account_id if self._account_id is not None else self.resolve_account().id

    def _data_sources(self, account_id: int) -> tuple[DataSource, ...]:
        try:
            return self._patience(lambda: self._client.data_sources(account_id))
        except RefusedError as error:
            if error.is_wrong_key:
                raise
            self.resolve_account()  # raises the better error when the account is what is wrong
            raise

    def _choose(self, sources: Iterable[DataSource]) -> DataSource | None:
        return the_data_source(sources, self._data_source_title)

    def _find_or_create_data_source(self) -> tuple[DataSource, bool]:
        problem = title_problem(self._data_source_title)
        if problem:
            raise DataSourceError(f"data_source_title {problem}.")
        account_id = self._certain_account_id()
        found = self._choose(self._data_sources(account_id))
        if found:
            return found, False
        try:
            made, is_ours = create_once(
                self._patience,
                lambda: self._client.create_data_source(self._data_source_title, account_id, self._timezone),
                lambda: self._data_sources(account_id),
                self._choose,
            )
        except KeyRefusedError:
            raise
        except RefusedError as error:
            raise DataSourceError(
                f"The data source {self._data_source_title!r} could not be created in the account "
                f"{account_id} with the time zone {self._timezone}: {error.happened}. Check "
                "data_source_title and timezone."
            ) from error
        if is_ours:
            logger.info("Created the data source %s %r.", made.id, self._data_source_title)
        return made, is_ours

    def _listed(self, source: DataSource, *, afresh: bool = False) -> tuple[Dataset, ...]:
        if self._datasets is None or afresh:
            try:
                self._datasets = self._patience(lambda: self._client.datasets(source.id))
            except KeyRefusedError:
                raise
            except RefusedError as error:
                # Also a 400: for an id that doesn't exist no status is documented.
                raise self._unknown_data_source(self._known_sources(), error.happened) from error
        return self._datasets

    def _titled(
        self, stream: str, title: str, wanted: tuple[str, ...], columns: Sequence[ColumnLike]
    ) -> ResolvedDataset:
        problem = title_problem(title)
        if problem:
            raise DatasetError(f"The dataset title of the stream {stream!r} {problem}. Set dataset_titles.")
        source, _ = self.resolve_data_source()
        found = the_dataset(self._listed(source), title)
        if found:
            return self._existing(stream, found.id, title, wanted)
        self._make_sure_of_support()
        made, is_ours = self._create_dataset(stream, title, source, wanted, columns)
        if not is_ours:
            return self._existing(stream, made.id, title, wanted)
        self._claim(stream, made.id)
        if all(each.id != made.id for each in self._datasets or ()):
            self._datasets = (*(self._datasets or ()), made)  # a list that lags doesn't show it yet
        logger.info("Created the dataset %s %r of the stream %r.", made.id, title, stream)
        return ResolvedDataset(made.id, title, created=True, keys=wanted, keys_known=True)

    def _create_dataset(
        self,
        stream: str,
        title: str,
        source: DataSource,
        wanted: tuple[str, ...],
        columns: Sequence[ColumnLike],
    ) -> tuple[Dataset, bool]:
        def attempt(declared: Sequence[ColumnLike] | None) -> tuple[Dataset, bool]:
            return create_once(
                self._patience,
                lambda: self._client.create_dataset(title, source.id, wanted, declared),
                lambda: self._listed(source, afresh=True),
                lambda datasets: the_dataset(datasets, title),
            )

        typed = [column for column in columns if column.data_type] if self._is_schema_accepted else []
        try:
            if not typed:
                return attempt(None)
            try:
                return attempt(typed)
            except (KeyRefusedError, MissingError):
                raise
            except RefusedError as error:
                # The field is undocumented (O): whether it is what was refused shows without it.
                made = attempt(None)
                self._is_schema_accepted = False
                logger.info(
                    "Column types are no longer declared, since the API refused that: %s.", error.happened
                )
                return made
        except KeyRefusedError:
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
        keys, exists = known_keys(self._client, self._patience, dataset_id)
        if not exists and title is None:
            check_existence(self._client, self._patience, stream, dataset_id)
        if keys is None:
            logger.warning(
                "The primary keys of the dataset %s of the stream %r could not be read. Rows keep their "
                "order as with keys; after a lost answer they are recovered as without keys.",
                dataset_id,
                stream,
            )
            return ResolvedDataset(dataset_id, title, created=False, keys=None, keys_known=False)
        if set(keys) != set(wanted):
            raise keys_differ(stream, dataset_id, wanted=wanted, found=keys)
        return ResolvedDataset(dataset_id, title, created=False, keys=keys, keys_known=True)

    def _claim(self, stream: str, dataset_id: str) -> None:
        # Ids are UUIDs (D), which are the same in capitals.
        owner = self._streams.setdefault(dataset_id.lower(), stream)
        if owner != stream:
            raise DatasetError(
                f"The streams {owner!r} and {stream!r} would both load into the dataset {dataset_id}. Give "
                "one of them a dataset of its own with dataset_titles or dataset_ids."
            )

    def _make_sure_of_support(self) -> None:
        """Look whether a configured data source takes data, before the first dataset is created in it.

        Who loads into it for the second time finds datasets there, and pays nothing. Where the lists can't be
        read, what the API answers to the creation decides.
        """
        if self._is_support_known:
            return
        self._is_support_known = True
        with contextlib.suppress(DataboxError, AccountError):
            source = next((each for each in self._every_source() if each.id == self._data_source_id), None)
            if source is not None:
                check_support(source)

    def _known_sources(self) -> list[DataSource]:
        """The data sources that could have been meant, as far as they can be read."""
        try:
            return list(self._every_source())
        except (DataboxError, AccountError):
            return []

    def _every_source(self) -> Iterator[DataSource]:
        """The data sources of all accounts, those of the configured one first."""
        for account in sorted(self.accounts(), key=lambda each: each.id != self._account_id):
            yield from self._data_sources(account.id)

    def _unknown_data_source(self, known: Iterable[DataSource], said: str = "") -> DataSourceError:
        source = self._source[0].id if self._source else self._data_source_id
        what = f"The data source {source} does not exist, or the API key can't see it"
        return DataSourceError(
            f"{what}{f': {said}' if said else ''}. Known are: {named(known)}. Correct data_source_id, or "
            "remove it to use data_source_title."
        )


def _told(accounts: Iterable[Account]) -> str:
    return ", ".join(f'{account.id} "{account.name}"' for account in accounts) or "none"
