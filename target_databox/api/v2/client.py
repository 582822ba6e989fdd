"""The client of API v2: one method per route, one try per call, no rate limiting and no retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from target_databox.api.answers import ENVELOPE, text, word_of
from target_databox.api.base import BaseClient, path_of
from target_databox.api.errors import LOST_ANSWER_STATUSES, RefusedError
from target_databox.api.v2 import reading, wire
from target_databox.api.v2.limits import FIRST_PAGE, PAGE_SIZE, ROWS_PAGE_SIZE, UNANSWERED_STATUS
from target_databox.api.values import Accepted, Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_databox.api.values import (
        Account,
        ColumnLike,
        Dataset,
        DatasetDetail,
        DatasetFacts,
        DataSource,
        Ingestion,
        IngestionsPage,
        RowsPage,
    )

IDEMPOTENCY_HEADER: Final = "Idempotency-Key"
ACCOUNT_HEADER: Final = "x-account-id"
# O: the permissions that these requests need.
MAY_CREATE: Final = "creating a dataset needs an admin, or the user who created the data source"
MAY_PURGE: Final = "purging a dataset needs an admin, or the user who created it"
MAY_READ: Final = "reading rows back needs a user with access to the dataset"
# Callers count pages from 1, whatever the version.
_PAGES_BEFORE: Final = 1 - FIRST_PAGE


class DataboxClient(BaseClient):
    """API v2. It recognises another try by its idempotency key, and names the account in a header."""

    lost_statuses = LOST_ANSWER_STATUSES | {UNANSWERED_STATUS}
    _own_account_id: int | None = None

    def validate_key(self) -> None:
        """Check the API key; `KeyRefusedError` if it is not valid (O)."""
        route = "/v2/auth/validate-key"
        answer = self._ask("GET", route, ENVELOPE, may_be_empty=True)
        self._expect_no_problems("GET", route, answer)

    def role(self) -> str | None:
        """The role of the API key's user (O): admin, user, editor or viewer; None if unknown."""
        answer = self._ask("GET", "/v2/profile", wire.FACTS)
        return self._clean(text((answer.data or {}).get("role")))

    def accounts(self, page: int = 1) -> Page[Account]:
        """The accounts that the API key can see: its own organization, then the accounts that it manages (U).

        Args:
            page: From 1. Page 1 is the organization itself, later pages are those of the managed accounts.
        """
        if page == 1:
            own = self._ask("GET", "/v2/organization", wire.FACTS).data or {}
            number = own.get("id")
            if not isinstance(number, int) or isinstance(number, bool):
                return Page((), None)
            self._own_account_id = number
            return Page((reading.account(number, own),), None)
        try:
            managed = reading.accounts(self._listed("/v2/accounts", page - 1))
        except RefusedError as error:
            if error.is_wrong_key:
                raise
            # A 400 if the organization manages no accounts (O).
            return Page((), None)
        total = managed.total_items
        return Page(managed.items, None if total is None else total + 1)

    def timezones(self) -> tuple[str, ...]:
        """IANA names of the time zones that Databox supports (O)."""
        return reading.timezones(self._ask("GET", "/v2/organization/timezones", wire.LIST).data)

    def data_sources(self, account_id: int, page: int = 1) -> Page[DataSource]:
        """A page of all data sources of an account (O).

        Args:
            account_id: The account.
            page: From 1.
        """
        return reading.data_sources(self._listed("/v2/data-sources", page, headers=self._account(account_id)))

    def data_source(self, data_source_id: int) -> DataSource | None:
        """One data source (O); `MissingError` if it is gone."""
        answer = self._ask("GET", "/v2/data-sources/{dataSourceId}", wire.NUMBERED, data_source_id)
        return reading.new_data_source(answer.data)

    def create_data_source(
        self, title: str, account_id: int | None, timezone: str | None, idempotency_key: str
    ) -> DataSource:
        """Create a data source (O), once per idempotency key.

        Args:
            title: Its name.
            account_id: Its account; None for the API key's own organization.
            timezone: IANA name; None for Databox's default.
            idempotency_key: A UUID.
        """
        fields = {"name": title} if timezone is None else {"name": title, "timezone": timezone}
        headers = {IDEMPOTENCY_HEADER: idempotency_key, **self._account(account_id)}
        body = msgspec.json.encode(fields)
        answer = self._ask("POST", "/v2/data-sources", wire.NUMBERED, body=body, headers=headers)
        return reading.new_data_source(answer.data)

    def datasets(self, data_source_id: int, page: int = 1) -> Page[Dataset]:  # noqa: ARG002 # as in v1
        """A page of all datasets of the account.

        The API's filter by data source is not used, since it was seen to return empty pages (O).

        Args:
            data_source_id: Ignored; the caller compares it with the data source of each dataset.
            page: From 1.
        """
        headers = self._account(self._account_id)
        return reading.datasets(self._listed("/v2/datasets", page, headers=headers))

    def create_dataset(
        self,
        title: str,
        data_source_id: int,
        primary_keys: Sequence[str],
        columns: Sequence[ColumnLike] | None,
        idempotency_key: str,
    ) -> Dataset:
        """Create a dataset (O), once per idempotency key.

        Args:
            title: Its name.
            data_source_id: The data source that holds it.
            primary_keys: Columns that identify a row; empty for a dataset to which rows are appended.
            columns: Columns to declare, except those without a type; None to declare none.
            idempotency_key: A UUID.
        """
        fields: dict[str, Any] = {
            "name": title,
            "dataSourceId": data_source_id,
            "primaryKey": primary_keys,
        }
        if columns is not None:
            fields["schema"] = [
                {"id": column.name, "dataType": column.data_type} for column in columns if column.data_type
            ]
        answer = self._ask(
            "POST",
            "/v2/datasets",
            wire.NUMBERED,
            body=msgspec.json.encode(fields),
            headers={IDEMPOTENCY_HEADER: idempotency_key, **self._account(self._account_id)},
            role_needed=MAY_CREATE,
        )
        return reading.new_dataset(answer.data)

    def dataset(self, dataset_id: str) -> DatasetDetail:
        """The primary keys and columns of a dataset (O); `MissingError` if it is gone."""
        answer = self._ask("GET", "/v2/datasets/{datasetId}/schema", wire.FACTS, dataset_id)
        return reading.dataset_detail(answer.data or {}, dataset_id)

    def dataset_facts(self, dataset_id: str) -> DatasetFacts:
        """How many rows a dataset holds, and its data source (O)."""
        answer = self._ask("GET", "/v2/datasets/{datasetId}", wire.FACTS, dataset_id)
        return reading.dataset_facts(answer.data or {})

    def rows(self, dataset_id: str, page: int = 1, page_size: int = ROWS_PAGE_SIZE) -> RowsPage:
        """A page of a dataset's rows (O), which lags behind their ingestion.

        Args:
            dataset_id: The dataset.
            page: From 1.
            page_size: 1 to 1,000.
        """
        query = {"page": page - _PAGES_BEFORE, "pageSize": page_size}
        route = "/v2/datasets/{datasetId}/data"
        answer = self._ask("GET", route, wire.ROWS, dataset_id, query=query, role_needed=MAY_READ)
        return reading.rows_page(answer.data)

    def purge(self, dataset_id: str, idempotency_key: str) -> None:
        """Remove all rows of a dataset, once per idempotency key; the dataset stays (O)."""
        route = "/v2/datasets/{datasetId}/purge"
        answer = self._ask(
            "POST",
            route,
            ENVELOPE,
            dataset_id,
            headers={IDEMPOTENCY_HEADER: idempotency_key},
            may_be_empty=True,
            role_needed=MAY_PURGE,
        )
        self._expect_no_problems("POST", path_of(route, (dataset_id,)), answer)

    def post_rows(self, dataset_id: str, body: bytes, idempotency_key: str) -> Accepted:
        """Send rows, which the API processes later (O), once per idempotency key.

        Args:
            dataset_id: The dataset.
            body: The whole body: JSON `{"records": […]}`, at most 500 rows.
            idempotency_key: A UUID that is used for no other rows.
        """
        answer = self._ask(
            "POST",
            "/v2/datasets/{datasetId}/data",
            wire.ACCEPTED,
            dataset_id,
            body=body,
            headers={IDEMPOTENCY_HEADER: idempotency_key},
        )
        return Accepted(
            answer.data.ingestion_id, self._problems(answer.errors), self._clean(answer.request_id)
        )

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """The detail of an ingestion (O), with the rejected rows; `MissingError` right after acceptance."""
        route = "/v2/datasets/{datasetId}/ingestions/{ingestionId}"
        answer = self._ask("GET", route, wire.FACTS, dataset_id, ingestion_id)
        facts = answer.data or {}
        problems = self._problems(facts.get("errors")) or self._problems(answer.errors)
        word = word_of(facts.get("status"), self._clean)
        return reading.ingestion(facts, ingestion_id, problems, self._clean(answer.request_id), word)

    def ingestions(self, dataset_id: str, page: int = 1, page_size: int = PAGE_SIZE) -> IngestionsPage:
        """A page of a dataset's ingestions (O), in unknown order; new ones may be missing for a while.

        Args:
            dataset_id: The dataset.
            page: From 1.
            page_size: 1 to 100.
        """
        found = self._listed("/v2/datasets/{datasetId}/ingestions", page, dataset_id, page_size=page_size)
        return reading.ingestions_page(found, page, page_size, self._clean)

    def _listed(
        self,
        route: str,
        page: int,
        *ids: object,
        page_size: int = PAGE_SIZE,
        headers: dict[str, str] | None = None,
    ) -> wire.Items:
        query = {"page": page - _PAGES_BEFORE, "pageSize": page_size}
        return self._ask("GET", route, wire.LIST, *ids, query=query, headers=headers).data

    def _account(self, account_id: int | None) -> dict[str, str]:
        """The header that names an account; without it the API uses the key's own organization."""
        if account_id is None or account_id == self._own_account_id:
            return {}
        return {ACCOUNT_HEADER: str(account_id)}
