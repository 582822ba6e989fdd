"""Databox's API v1 as Python: one method a route, one try a call; pace and patience live elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from target_databox.api.errors import LostAnswerError, RefusedError, error_of_answer, problems_text
from target_databox.api.retries import epoch_of_http_date, retry_after_seconds
from target_databox.api.sessions import open_session
from target_databox.api.transport import Transport
from target_databox.api.v1 import reading, wire
from target_databox.api.v1.limits import FIRST_PAGE, PAGE_SIZE
from target_databox.api.values import (
    Accepted,
    Account,
    ApiProblem,
    Dataset,
    DatasetDetail,
    DataSource,
    Ingestion,
    IngestionsPage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import requests

    from target_databox.api.exchanges import Exchange
    from target_databox.api.values import ColumnLike

T = TypeVar("T", bound=wire.Envelope)


class DataboxClient:
    """Databox's API v1, one try a call, thread-safe.

    Every method raises `ThrottledError`, `UnreachableError` or `LostAnswerError` where the same call may
    succeed later, `KeyRefusedError`, `MissingError` or another `RefusedError` where it will not.

    Args:
        api_url: Address of the API; see `addresses.checked_api_url`.
        api_key: The key, sent as `x-api-key` (D).
        request_timeout_seconds: Longest silence of the API, and longest time to read an answer.
        on_exchange: Called after every try, in the thread that made it.
        user_agent: Who we say we are.
        new_session: Makes the session of a thread; its adapters carry the requests.

    Raises:
        ValueError: The address, the key or the environment's proxy can't be used; the message repeats none.
    """

    def __init__(
        self,
        api_url: str,
        api_key: str,
        *,
        request_timeout_seconds: float,
        on_exchange: Callable[[Exchange], None] | None = None,
        user_agent: str = "target-databox",
        new_session: Callable[[], requests.Session] = open_session,
    ) -> None:
        self._transport = Transport(
            api_url,
            api_key,
            request_timeout_seconds=request_timeout_seconds,
            on_exchange=on_exchange,
            user_agent=user_agent,
            new_session=new_session,
        )

    def __repr__(self) -> str:
        return f"DataboxClient({self._transport.api_url!r})"

    def close(self) -> None:
        """Close the connections of every thread; nothing may be asked afterwards."""
        self._transport.close()

    def server_time(self) -> float | None:
        """Epoch seconds by the `Date` header of the newest answer, to the second; None before the first."""
        return epoch_of_http_date(self._transport.date)

    def validate_key(self) -> None:
        """Ask whether the key is valid: `KeyRefusedError` when it isn't (D)."""
        route = "/v1/auth/validate-key"
        self._expect_no_problems("GET", route, self._ask("GET", route, wire.ENVELOPE))

    def accounts(self) -> tuple[Account, ...]:
        """Accounts that the key can see (D)."""
        return reading.accounts(self._ask("GET", "/v1/accounts", wire.ACCOUNTS))

    def timezones(self) -> tuple[str, ...]:
        """IANA names of the time zones that Databox supports (D; the field is O)."""
        return reading.timezones(self._ask("GET", "/v1/accounts/timezones", wire.TIMEZONES))

    def data_sources(self, account_id: int) -> tuple[DataSource, ...]:
        """All data sources of an account; the list has no pages (D)."""
        answer = self._ask("GET", "/v1/accounts/{accountId}/data-sources", wire.DATA_SOURCES, account_id)
        return tuple(reading.data_source(line) for line in answer.data_sources)

    def create_data_source(self, title: str, account_id: int | None, timezone: str | None) -> DataSource:
        """Create a data source (D); every call makes another one, also under a title that is taken.

        Args:
            title: Its title.
            account_id: Its account; None for the account that belongs to the key.
            timezone: IANA name; None for Databox's default.
        """
        fields: dict[str, Any] = {"title": title}
        if account_id is not None:
            fields["accountId"] = account_id
        if timezone is not None:
            fields["timezone"] = timezone
        body = msgspec.json.encode(fields)
        return reading.data_source(self._ask("POST", "/v1/data-sources", wire.NEW_DATA_SOURCE, body=body))

    def datasets(self, data_source_id: int) -> tuple[Dataset, ...]:
        """All datasets of a data source; the list has no pages (D)."""
        answer = self._ask("GET", "/v1/data-sources/{dataSourceId}/datasets", wire.DATASETS, data_source_id)
        return tuple(reading.dataset(line) for line in answer.datasets)

    def create_dataset(
        self,
        title: str,
        data_source_id: int,
        primary_keys: Sequence[str],
        columns: Sequence[ColumnLike] | None = None,
    ) -> Dataset:
        """Create a dataset (D); every call makes another one, also under a title that is taken.

        Args:
            title: Its title.
            data_source_id: The data source that holds it.
            primary_keys: Columns that identify a row; empty for a dataset to which rows are appended.
            columns: To be declared in the undocumented field `schema` (O), those without a type excepted;
                None to leave that field out.
        """
        fields: dict[str, Any] = {"title": title, "dataSourceId": data_source_id}
        if primary_keys:
            fields["primaryKeys"] = list(primary_keys)
        if columns is not None:
            fields["schema"] = [
                {"name": column.name, "dataType": column.data_type} for column in columns if column.data_type
            ]
        body = msgspec.json.encode(fields)
        return reading.dataset(self._ask("POST", "/v1/datasets", wire.NEW_DATASET, body=body))

    def dataset(self, dataset_id: str) -> DatasetDetail:
        """What the undocumented detail route says of a dataset (O); be ready for any error."""
        answer = self._ask("GET", "/v1/datasets/{datasetId}", wire.DATASET_DETAIL, dataset_id)
        return reading.dataset_detail(answer, dataset_id)

    def purge(self, dataset_id: str) -> None:
        """Remove all rows of a dataset; the dataset stays (D)."""
        route = "/v1/datasets/{datasetId}/purge"
        answer = self._ask("POST", route, wire.ENVELOPE, dataset_id)
        self._expect_no_problems("POST", _path(route, (dataset_id,)), answer)

    def post_rows(self, dataset_id: str, body: bytes) -> Accepted:
        """Hand over rows for later processing (D).

        Args:
            dataset_id: The dataset.
            body: The whole request: JSON `{"records": […]}`, at most 100 rows.

        Raises:
            RefusedError: Also for a 2xx answer that has errors and no ingestion.
        """
        answer = self._ask("POST", "/v1/datasets/{datasetId}/data", wire.ACCEPTED, dataset_id, body=body)
        problems, request_id = self._problems(answer.errors), self._transport.clean(answer.request_id)
        return Accepted(answer.ingestion_id, problems, request_id)

    def ingestion(self, dataset_id: str, ingestion_id: str) -> Ingestion:
        """What became of accepted rows (D); `MissingError` is possible right after acceptance (A)."""
        route = "/v1/datasets/{datasetId}/ingestions/{ingestionId}"
        answer = self._ask("GET", route, wire.INGESTION, dataset_id, ingestion_id)
        problems, request_id = self._problems(answer.errors), self._transport.clean(answer.request_id)
        word = reading.word_of(answer.status, self._transport.clean)
        return reading.ingestion(answer, ingestion_id, problems, request_id, word)

    def ingestions(
        self, dataset_id: str, page: int = FIRST_PAGE, page_size: int = PAGE_SIZE
    ) -> IngestionsPage:
        """One page of a dataset's ingestions (D), in unknown order; a new one may be missing for a while (O).

        Args:
            dataset_id: The dataset.
            page: Counted from 1 (O).
            page_size: 1 to 100.
        """
        route = "/v1/datasets/{datasetId}/ingestions"
        query = {"page": page, "pageSize": page_size}
        answer = self._ask("GET", route, wire.INGESTIONS, dataset_id, query=query)
        return reading.ingestions_page(answer, page, page_size, self._transport.clean)

    def _ask(
        self,
        method: str,
        route: str,
        decoder: msgspec.json.Decoder[T],
        *ids: object,
        body: bytes | None = None,
        query: Mapping[str, int] | None = None,
    ) -> T:
        path = _path(route, ids)
        target = f"{path}?{urlencode(query)}" if query else path
        reply = self._transport.exchange(method, route, path, target, body)
        if 200 <= reply.status < 300:
            try:
                return wire.read(decoder, reply.payload)
            except ValueError as exc:
                raise self._unreadable(method, path, reply.status, reply.payload) from exc
        problems, request_id = self._told_by(reply.payload)
        raise error_of_answer(
            method=method,
            path=path,
            status=reply.status,
            problems=problems,
            request_id=request_id,
            # Dates are read by the server's own clock, which ours may not agree with.
            retry_after_seconds=retry_after_seconds(
                reply.headers.get("Retry-After"), epoch_of_http_date(reply.headers.get("Date")) or time.time()
            ),
            location=self._transport.clean(_host_of(reply.headers.get("Location"))),
        )

    def _unreadable(
        self, method: str, path: str, status: int, payload: bytes
    ) -> LostAnswerError | RefusedError:
        """The error for a 2xx that is not the documented JSON: with errors of its own, a POST was refused."""
        problems, request_id = self._told_by(payload)
        said = problems_text(problems, request_id)
        kind: type[LostAnswerError | RefusedError] = LostAnswerError
        what = f"and not with the documented JSON{f' ({said})' if said else ''}; it may or may not have "
        what += "been carried out. Check the setting api_url, or run again later."
        if problems and method == "POST":
            kind, what = RefusedError, f"but with errors ({said}); the API refused it."
        return kind(
            f"{method} {path} was answered with status {status} {what}",
            method=method,
            path=path,
            status=status,
            problems=problems,
            request_id=request_id,
        )

    def _expect_no_problems(self, method: str, path: str, answer: wire.Envelope) -> None:
        problems = self._problems(answer.errors)
        if problems:
            request_id = self._transport.clean(answer.request_id)
            raise RefusedError(
                f"{method} {path} was answered with errors ({problems_text(problems, request_id)}); "
                "the API refused it.",
                method=method,
                path=path,
                status=200,
                problems=problems,
                request_id=request_id,
            )

    def _told_by(self, payload: bytes) -> tuple[tuple[ApiProblem, ...], str | None]:
        told = wire.envelope_of(payload)
        return self._problems(told.errors), self._transport.clean(told.request_id)

    def _problems(self, errors: Any) -> tuple[ApiProblem, ...]:
        return reading.problems(errors, self._transport.clean)


def _path(route: str, ids: tuple[object, ...]) -> str:
    """The route with ids in place of its names, each as one segment of the path, whatever was configured."""
    for one in ids:
        segment = quote(str(one), safe="")
        if segment in {"", ".", ".."}:
            raise ValueError(f"{segment!r} is not an id.")
        start, end = route.index("{"), route.index("}") + 1
        route = f"{route[:start]}{segment}{route[end:]}"
    return route


def _host_of(location: str | None) -> str | None:
    try:
        return urlsplit(location).hostname if location else None
    except ValueError:
        return None
