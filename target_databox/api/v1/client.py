"""The client of API v1: one method per route, one try per call, no rate limiting and no retries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.api.answers import ENVELOPE, word_of
from target_databox.api.base import BaseClient, path_of
from target_databox.api.v1 import reading, wire
from target_databox.api.v1.limits import FIRST_PAGE, PAGE_SIZE
from target_databox.api.values import Accepted, Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from target_databox.api.values import (
        Account,
        ColumnLike,
        Dataset,
        DatasetDetail,
        DataSource,
        Ingestion,
        IngestionsPage,
    )


class DataboxClient(BaseClient):
    """API v1. It names the account in paths and bodies, and does not know idempotency keys."""

    def validate_key(self) -> None:
        """Check the API key; `KeyRefusedError` if it is not valid (D)."""
        route = "/v1/auth/validate-key"
        self._expect_no_problems("GET", route, self._ask("GET", route, ENVELOPE))

    def role(self) -> str | None:
        """The role of the API key's user; None, since v1 has no route for it."""
        return None

    def accounts(self, page: int = FIRST_PAGE) -> Page[Account]:
        """The accounts that the API key can see (D)."""
        return Page.whole(reading.accounts(self._ask("GET", "/v1/accounts", wire.ACCOUNTS)))

    def timezones(self) -> tuple[str, ...]:
        """IANA names of the time zones that Databox supports (D; the field is O)."""
        return reading.timezones(self._ask("GET", "/v1/accounts/timezones", wire.TIMEZONES))

    def data_sources(self, account_id: int, page: int = FIRST_PAGE) -> Page[DataSource]:
        """All data sources of an account; the list has no pages (D)."""
        answer = self._ask("GET", "/v1/accounts/{accountId}/data-sources", wire.DATA_SOURCES, account_id)
        return Page.whole(tuple(reading.data_source(line) for line in answer.data_sources))

    def create_data_source(
        self,
        title: str,
        account_id: int | None,
        timezone: str | None,
        idempotency_key: str = "",
    ) -> DataSource:
        """Create a data source (D). Every call creates another one, even if the title is taken.

        Args:
            title: Its title.
            account_id: Its account; None for the API key's own account.
            timezone: IANA name; None for Databox's default.
            idempotency_key: Ignored; v1 does not know it.
        """
        fields: dict[str, Any] = {"title": title}
        if account_id is not None:
            fields["accountId"] = account_id
        if timezone is not None:
            fields["timezone"] = timezone
        body = msgspec.json.encode(fields)
        return reading.data_source(self._ask("POST", "/v1/data-sources", wire.NEW_DATA_SOURCE, body=body))

    def data_source(self, data_source_id: int) -> DataSource | None:
        """None, since v1 has no route that reads one data source."""
        return None

    def datasets(self, data_source_id: int, page: int = FIRST_PAGE) -> Page[Dataset]:
        """All datasets of a data source; the list has no pages (D)."""
        answer = self._ask("GET", "/v1/data-sources/{dataSourceId}/datasets", wire.DATASETS, data_source_id)
        return Page.whole(tuple(reading.dataset(line) for line in answer.datasets))

    def create_dataset(
        self,
        title: str,
        data_source_id: int,
        primary_keys: Sequence[str],
        columns: Sequence[ColumnLike] | None = None,
        idempotency_key: str = "",
    ) -> Dataset:
        """Create a dataset (D). Every call creates another one, even if the title is taken.

        Args:
            title: Its title.
            data_source_id: The data source that holds it.
            primary_keys: Columns that identify a row; empty for a dataset to which rows are appended.
            columns: Columns to declare in the undocumented field `schema` (O), except those without a type;
                None to omit the field.
            idempotency_key: Ignored; v1 does not know it.
        """
        fields: dict[str, Any] = {"title": title, "dataSourceId": data_source_id}
        if primary_keys:
            fields["primaryKeys"] = primary_keys
        if columns is not None:
            fields["schema"] = [
                {"name": column.name, "dataType": column.data_type} for column in columns if column.data_type
            ]
        body = msgspec.json.encode(fields)
        return reading.dataset(self._ask("POST", "/v1/datasets", wire.NEW_DATASET, body=body))

    def dataset(self, dataset_id: str) -> DatasetDetail:
        """The detail of a dataset (O). The route is undocumented, so expect any error."""
        answer = self._ask("GET", "/v1/datasets/{datasetId}", wire.DATASET_DETAIL, dataset_id)
        return reading.dataset_detail(answer, dataset_id)

    def purge(self, dataset_id: str, idempotency_key: str = "") -> None:
        """Remove all rows of a dataset; the dataset stays (D)."""
        route = "/v1/datasets/{datasetId}/purge"
        answer = self._ask("POST", route, ENVELOPE, dataset_id)
        self._expect_no_problems("POST", path_of(route, (dataset_id,)), answer)

    def post_rows(self, dataset_id: str, body: bytes, idempotency_key: str = "") -> Accepted:
        """Send rows, which the API processes later (D).

        Args:
            dataset_id: The dataset.
            body: The whole body: JSON `{"records": […]}`, at most 100 rows.
            idempotency_key: Ignored; v1 does not know it.

        Raises:
            RefusedError: Also for a 2xx response with errors and without an ingestion.
        """
        answer = self._ask("POST", "/v1/datasets/{datasetId}/data", wire.ACCEPTED, dataset_id, body=body)
        problems, request_id = (
            self._problems(answer.errors),
            self._clean(answer.request_id),
        )
        return Accepted(answer.ingestion_id, problems, request_id)

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """The detail of an ingestion (D); `MissingError` is possible right after acceptance (A)."""
        route = "/v1/datasets/{datasetId}/ingestions/{ingestionId}"
        answer = self._ask("GET", route, wire.INGESTION, dataset_id, ingestion_id)
        problems, request_id = (
            self._problems(answer.errors),
            self._clean(answer.request_id),
        )
        word = word_of(answer.status, self._clean)
        return reading.ingestion(answer, ingestion_id, problems, request_id, word)

    def ingestions(
        self, dataset_id: str, page: int = FIRST_PAGE, page_size: int = PAGE_SIZE
    ) -> IngestionsPage:
        """A page of a dataset's ingestions (D), in unknown order; new ones may be missing for a while (O).

        Args:
            dataset_id: The dataset.
            page: Counted from 1 (O).
            page_size: 1 to 100.
        """
        route = "/v1/datasets/{datasetId}/ingestions"
        query = {"page": page, "pageSize": page_size}
        answer = self._ask("GET", route, wire.INGESTIONS, dataset_id, query=query)
        return reading.ingestions_page(answer, page, page_size, self._clean)
