"""Finds the account and the data source of a run, or creates the data source, so that the next run reuses it.

Methods named `find_…` only read; those named `resolve_…` may create. So that a lost answer or a concurrent
run does not lead to a second data source, the list is read again after a creation, and of several data
sources with one title every run uses the oldest.
"""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Final

from target_databox.api.errors import (
    AccountError,
    DataboxError,
    DataSourceError,
    KeyRefusedError,
    MissingError,
    RefusedError,
    SetupError,
)
from target_databox.api.values import DataSource
from target_databox.destination.creation import create_once
from target_databox.destination.lists import whole_list
from target_databox.destination.titles import (
    check_support,
    listed,
    named,
    the_data_source,
    title_problem,
    with_title,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from target_databox.api.dialect import Dialect
    from target_databox.api.values import Account, Dataset
    from target_databox.destination.interfaces import Client, WithRetries

logger = logging.getLogger(__name__)

# Accounts whose data sources are listed, which takes a request for each.
MOST_ACCOUNTS: Final = 100


class Sources:
    """Finds the account, and finds or creates the data source. For one thread; lists are read once.

    Args:
        client: The API.
        with_retries: Makes every request.
        account_id: The configured account, or None for the API key's only one.
        data_source_id: The configured data source; wins over the title.
        data_source_title: Title to find or to create.
        timezone: IANA name for a data source that is created.
        dialect: The version of the API.
        new_key: Returns a new idempotency key at every call.
    """

    def __init__(
        self,
        client: Client,
        with_retries: WithRetries,
        *,
        account_id: int | None = None,
        data_source_id: int | None = None,
        data_source_title: str = "target-databox",
        timezone: str = "UTC",
        dialect: Dialect,
        new_key: Callable[[], str],
    ) -> None:
        self._client = client
        self._with_retries = with_retries
        self._account_id = account_id
        self._data_source_id = data_source_id
        self._data_source_title = data_source_title.strip()
        self._timezone = timezone
        self._dialect = dialect
        self._new_key = new_key
        self._accounts: tuple[Account, ...] | None = None
        self._source: tuple[DataSource, bool] | None = None
        self._is_support_known = data_source_id is None

    def accounts(self) -> tuple[Account, ...]:
        """The accounts that the API key can see."""
        if self._accounts is None:
            self._accounts = whole_list(self._with_retries, "accounts", self._client.accounts)
        return self._accounts

    def resolve_account(self) -> Account:
        """The configured account, or the API key's only one.

        Raises:
            AccountError: The configured account is unknown, or none is configured and there isn't exactly
                one.
        """
        accounts = self.accounts()
        if self._account_id is not None:
            for account in accounts:
                if account.id == self._account_id:
                    return account
            raise AccountError(
                f"The account {self._account_id} does not exist, or the API key can't see it. The key's "
                f"accounts are: {_accounts_text(accounts)}. Set account_id to one of them."
            )
        if len(accounts) == 1:
            return accounts[0]
        if not accounts:
            raise AccountError(
                "The API key can see no account. Use a key (api_key) of a user that belongs to one."
            )
        raise AccountError(
            f"The API key can see several accounts: {_accounts_text(accounts)}. Set account_id to one of "
            "them."
        )

    def find_data_source(self) -> DataSource | None:
        """The run's data source, or None if a run would create it. Changes nothing.

        Raises:
            AccountError: The account can't be determined.
            DataSourceError: The configured id is in no list, takes no data or is in another account, or the
                title can't be used.
        """
        if self._data_source_id is None:
            return self._choose(self._existing_sources(self._certain_account_id()))
        seen = []
        for account, source in self._every_source():
            if source.id == self._data_source_id:
                self._check_use(account, source)
                return source
            seen.append(source)
        # Not listed, but a run would use it if its datasets can be read.
        source = DataSource(self._data_source_id, None, None, None)
        try:
            self.datasets_of(source)
        except KeyRefusedError:
            raise
        except RefusedError as error:
            raise self._unknown_data_source(seen, error.happened) from error
        return source

    def existing_data_source(self) -> DataSource:
        """The run's data source, which must exist; found once and remembered.

        Raises:
            AccountError: The account can't be determined.
            DataSourceError: It does not exist.
        """
        if self._source is None:
            found = self.find_data_source()
            if found is None:
                raise DataSourceError(
                    f"No data source of the account has the title {self._data_source_title!r}, so nothing "
                    "was loaded into it. Load first, or set data_source_title or data_source_id."
                )
            self._source = found, False
        return self._source[0]

    def resolve_data_source(self) -> tuple[DataSource, bool]:
        """Find the run's data source, or create it if none has its title.

        A configured id is not checked: the list of its datasets, which is read next, shows whether it exists.

        Returns:
            The data source, and whether this run created it.

        Raises:
            AccountError: The account can't be determined.
            DataSourceError: The title can't be used, or the API refuses to create it.
        """
        if self._source is None:
            if self._data_source_id is not None:
                self._source = DataSource(self._data_source_id, None, None, None), False
            else:
                self._source = self._find_or_create_data_source()
        return self._source

    def datasets_of(self, source: DataSource) -> tuple[Dataset, ...]:
        """The datasets of a data source; where the list covers the whole account, the others are dropped.

        Raises:
            AccountError: The list covers an account, and the account can't be determined.
        """
        if self._data_source_id is not None and self._dialect.things_are_readable:
            self._with_retries(lambda: self._client.data_source(source.id))
        if self._dialect.lists_all_datasets:
            # The wrong account's list would lack the datasets, and each run would create them again.
            self._certain_account_id()
        listed = whole_list(
            self._with_retries, "datasets", lambda page: self._client.datasets(source.id, page)
        )
        if not self._dialect.lists_all_datasets:
            return listed
        return tuple(each for each in listed if each.data_source_id == source.id)

    def check_support(self) -> None:
        """Check that a configured data source can be used, before the first dataset is created in it.

        Later runs find their datasets there and skip this. If the lists can't be read, the API decides when
        the dataset is created.

        Raises:
            DataSourceError: It can't be used.
        """
        if self._is_support_known:
            return
        self._is_support_known = True
        with contextlib.suppress(DataboxError, AccountError):
            for account, source in self._every_source():
                if source.id == self._data_source_id:
                    self._check_use(account, source)
                    break

    def _check_use(self, account: Account, source: DataSource) -> None:
        """Check that a configured data source takes data, and is in the account whose datasets are listed.

        Raises:
            DataSourceError: It takes no data, or it is in another account, where each run would create its
                datasets again.
        """
        check_support(source)
        looked_in = self._certain_account_id() if self._dialect.lists_all_datasets else account.id
        if account.id != looked_in:
            raise DataSourceError(
                f"The data source {named([source])} is in the account {_accounts_text([account])}, but a run "
                f"would look for its datasets in the account {looked_in}. Set account_id to {account.id}."
            )

    def unknown(self, said: str) -> DataSourceError:
        """The error for a data source whose datasets can't be read.

        Args:
            said: How the request failed.
        """
        return self._unknown_data_source(self._known_sources(), said)

    def _certain_account_id(self) -> int:
        # A configured account is not checked: the list of its data sources shows whether it exists.
        return self._account_id if self._account_id is not None else self.resolve_account().id

    def _data_sources(self, account_id: int) -> tuple[DataSource, ...]:
        try:
            return whole_list(
                self._with_retries, "data sources", lambda page: self._client.data_sources(account_id, page)
            )
        except RefusedError as error:
            if error.is_wrong_key:
                raise
            self.resolve_account()  # raises a better error if the account is the cause
            raise

    def _choose(self, sources: Iterable[DataSource]) -> DataSource | None:
        return the_data_source(sources, self._data_source_title)

    def _find_or_create_data_source(self) -> tuple[DataSource, bool]:
        problem = title_problem(self._data_source_title)
        if problem:
            raise DataSourceError(f"data_source_title {problem}.")
        account_id = self._certain_account_id()
        found = self._choose(self._existing_sources(account_id))
        if found:
            return found, False
        key = self._new_key()
        try:
            made, is_ours = create_once(
                self._with_retries,
                lambda: self._client.create_data_source(
                    self._data_source_title, account_id, self._timezone, key
                ),
                lambda: self._existing_sources(account_id),
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

    def _existing_sources(self, account_id: int) -> list[DataSource]:
        """The data sources of an account, without those with the title that are gone but still listed."""
        listed = self._data_sources(account_id)
        titled = {source.id for source in with_title(listed, self._data_source_title)}
        return [source for source in listed if source.id not in titled or self._exists(source.id)]

    def _exists(self, data_source_id: int) -> bool:
        """Whether a data source exists; assumed if the API has no route to read one."""
        if not self._dialect.things_are_readable:
            return True
        try:
            self._with_retries(lambda: self._client.data_source(data_source_id))
        except MissingError:
            return False
        return True

    def _known_sources(self) -> list[DataSource]:
        """All data sources to suggest in a message; empty if they can't be read."""
        try:
            return [source for _, source in self._every_source()]
        except (DataboxError, SetupError):
            return []

    def _every_source(self) -> Iterator[tuple[Account, DataSource]]:
        """The data sources of the first 100 accounts, the configured one first; one request per account."""
        accounts = sorted(self.accounts(), key=lambda each: each.id != self._account_id)
        for account in accounts[:MOST_ACCOUNTS]:
            yield from ((account, source) for source in self._data_sources(account.id))

    def _unknown_data_source(self, known: Iterable[DataSource], said: str = "") -> DataSourceError:
        source = self._source[0].id if self._source else self._data_source_id
        what = f"The data source {source} does not exist, or the API key can't see it"
        return DataSourceError(
            f"{what}{f': {said}' if said else ''}. Known are: {named(known)}. Correct data_source_id, or "
            "remove it to use data_source_title."
        )


def _accounts_text(accounts: Iterable[Account]) -> str:
    return listed(f'{account.id} "{account.name}"' for account in accounts)
