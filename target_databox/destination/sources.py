"""Finds the account and the data source of a run, or creates the data source, so that the next run reuses it.

Reading (`find_…`) is apart from creating (`resolve_…`). Creating twice must not happen because an answer
was lost or another run was faster: the list is read again, and of several with one title the oldest is used.
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

# Whose data sources are looked through, one request each.
MOST_ACCOUNTS: Final = 100


class Sources:
    """The accounts of a key and the data source of a run. For one thread; lists are read once.

    Args:
        client: The API.
        with_retries: Makes every request.
        account_id: The configured account, or None for the key's only one.
        data_source_id: The configured data source; wins over the title.
        data_source_title: Title to find or to create.
        timezone: IANA name, given to a data source that is created.
        dialect: The version of the API.
        new_key: Makes an idempotency key, another one at every call.
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
        """The accounts that the key can see."""
        if self._accounts is None:
            self._accounts = whole_list(self._with_retries, "accounts", self._client.accounts)
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
        # Not listed, yet a run would use it if its datasets can be read.
        source = DataSource(self._data_source_id, None, None, None)
        try:
            self.datasets_of(source)
        except KeyRefusedError:
            raise
        except RefusedError as error:
            raise self._unknown_data_source(seen, error.happened) from error
        return source

    def existing_data_source(self) -> DataSource:
        """The run's data source, which must be there; looked for once.

        Raises:
            AccountError: The account is not certain.
            DataSourceError: There is none.
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

    def datasets_of(self, source: DataSource) -> tuple[Dataset, ...]:
        """The datasets of a data source, without those of others that the list may have.

        Raises:
            AccountError: The list is that of an account, and the account is not certain.
        """
        if self._data_source_id is not None and self._dialect.things_are_readable:
            self._with_retries(lambda: self._client.data_source(source.id))
        if self._dialect.lists_all_datasets:
            # Another account's list would not show them, and each run would create them once more.
            self._certain_account_id()
        listed = whole_list(
            self._with_retries, "datasets", lambda page: self._client.datasets(source.id, page)
        )
        if not self._dialect.lists_all_datasets:
            return listed
        return tuple(each for each in listed if each.data_source_id == source.id)

    def check_support(self) -> None:
        """Look whether a configured data source can be used, before the first dataset is created in it.

        Who loads into it for the second time finds datasets there, and pays nothing. Where the lists can't be
        read, what the API answers to the creation decides.
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
        """Make sure that a configured data source takes data, and is where its datasets are looked for.

        Raises:
            DataSourceError: It doesn't, or it isn't: each run would create its datasets once more.
        """
        check_support(source)
        looked_in = self._certain_account_id() if self._dialect.lists_all_datasets else account.id
        if account.id != looked_in:
            raise DataSourceError(
                f"The data source {named([source])} is in the account {_told([account])}, and its datasets "
                f"would be looked for in the account {looked_in}. Set account_id to {account.id}."
            )

    def unknown(self, said: str) -> DataSourceError:
        """The error for a data source whose datasets can't be read.

        Args:
            said: What the API said of it.
        """
        return self._unknown_data_source(self._known_sources(), said)

    def _certain_account_id(self) -> int:
        # A configured account is not looked up: the list of its data sources shows whether it exists.
        return self._account_id if self._account_id is not None else self.resolve_account().id

    def _data_sources(self, account_id: int) -> tuple[DataSource, ...]:
        try:
            return whole_list(
                self._with_retries, "data sources", lambda page: self._client.data_sources(account_id, page)
            )
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
        """The data sources of an account, without those of the title that are gone, yet still listed."""
        listed = self._data_sources(account_id)
        titled = {source.id for source in with_title(listed, self._data_source_title)}
        return [source for source in listed if source.id not in titled or self._exists(source.id)]

    def _exists(self, data_source_id: int) -> bool:
        """Whether a data source is there, as far as the API has a route for one."""
        if not self._dialect.things_are_readable:
            return True
        try:
            self._with_retries(lambda: self._client.data_source(data_source_id))
        except MissingError:
            return False
        return True

    def _known_sources(self) -> list[DataSource]:
        """The data sources that could have been meant, as far as they can be read."""
        try:
            return [source for _, source in self._every_source()]
        except (DataboxError, SetupError):
            return []

    def _every_source(self) -> Iterator[tuple[Account, DataSource]]:
        """The data sources of the first accounts, those of the configured one first: each takes a request."""
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


def _told(accounts: Iterable[Account]) -> str:
    return listed(f'{account.id} "{account.name}"' for account in accounts)
