"""What a verification asks Databox: whether rows can be read back, where datasets are, their rows."""

from __future__ import annotations

import contextlib
import datetime as dt
import zoneinfo
from typing import TYPE_CHECKING, TypeVar

from target_databox import __version__
from target_databox.api.budget import BlockingBudget, Budget
from target_databox.api.errors import DatasetError, KeyRefusedError, RefusedError
from target_databox.api.retries import call_with_retries
from target_databox.api.values import DatasetFacts
from target_databox.delivery.batches import Destination
from target_databox.destination.resources import Resources
from target_databox.destination.sources import Sources
from target_databox.verification.errors import VerificationError
from target_databox.verification.lane import VerifyLane
from target_databox.verification.pages import PageReader
from target_databox.versions import READING_BACK, reading_client_class

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from target_databox.api.values import RowsPage
    from target_databox.interrupts import Interrupts
    from target_databox.settings.reading import Settings
    from target_databox.sinks import DatasetSink

T = TypeVar("T")


class Databox:
    """Databox as a verification sees it.

    Args:
        settings: The run's settings.
        interrupts: Entered where a signal may interrupt a wait.
    """

    def __init__(self, settings: Settings, interrupts: Interrupts) -> None:
        self._settings = settings
        self._interrupts = interrupts
        self._client = reading_client_class()(
            settings.api_url,
            settings.api_key,
            account_id=settings.account_id,
            request_timeout_seconds=settings.request_timeout_seconds,
            user_agent=f"target-databox/{__version__}",
        )
        budget = Budget(settings.requests_per_second, settings.requests_per_hour)
        self._reader = PageReader(
            self._client,
            budget,
            retry_seconds=settings.retry_seconds,
            ahead=settings.concurrent_requests,
            interruptible=interrupts,
        )
        self._blocking_budget = BlockingBudget(budget, rest=self.rest)
        sources = Sources(
            self._client,
            self._with_retries,
            account_id=settings.account_id,
            data_source_id=settings.data_source_id,
            data_source_title=settings.data_source_title,
            timezone=settings.timezone,
            dialect=READING_BACK,
            new_key=_no_key,
        )
        self._resources = Resources(
            self._client, self._with_retries, sources, dialect=READING_BACK, new_key=_no_key
        )
        self._zones: dict[int | None, dt.tzinfo] = {}

    def require(self) -> None:
        """Make sure that rows can be read back.

        Raises:
            KeyRefusedError: The API key is refused.
            VerificationError: API v2 is not to be had.
            TransientError: The API can't be reached.
        """
        try:
            self._with_retries(self._client.validate_key)
        except KeyRefusedError:
            raise
        except RefusedError as error:
            raise VerificationError(
                f"Rows are read back through API v2, whatever api_version says, and {self._settings.api_url} "
                f"does not have it: {error.happened}. Check api_url."
            ) from error

    def lane(self, sink: DatasetSink, number: int) -> VerifyLane:
        """The stream of a sink with its dataset.

        Raises:
            DatasetError: There is no such dataset, or it can't be the stream's.
        """
        settings, stream = self._settings, sink.stream_name
        dataset_id = settings.dataset_ids.get(stream)
        if dataset_id is not None and not dataset_id.strip().isdecimal():
            raise DatasetError(
                f"dataset_ids names the dataset of the stream {stream!r} by its id of API v1, and API v2, "
                "which reads rows back, does not know that. For --verify remove the stream there, and "
                "its dataset is found by title; or set api_version to v2 and give its number of v2."
            )
        found = self._resources.find_dataset(
            stream,
            settings.dataset_titles.get(stream, stream),
            dataset_id=dataset_id,
            primary_keys=sink.encoder.key_columns,
        )
        facts = self._facts(found.id)
        destination = Destination(stream, found.id, found.title or found.id, is_keyed=bool(sink.load_keys))
        return VerifyLane(
            destination,
            number,
            sink.encoder.key_columns,
            zone=self._zone(facts.data_source_id),
            column_types=found.column_types,
            row_count=facts.row_count,
        )

    def pages(self, dataset_id: str) -> Iterator[RowsPage]:
        """All rows of a dataset, page by page."""
        return self._reader.pages(dataset_id)

    def rest(self, seconds: float) -> None:
        """Wait, unless a signal comes."""
        self._reader.rest(seconds)

    def close(self) -> None:
        """Ask nothing more."""
        self._reader.close()
        self._client.close()

    def _facts(self, dataset_id: str) -> DatasetFacts:
        try:
            return self._with_retries(lambda: self._client.dataset_facts(dataset_id))
        except RefusedError as error:
            if error.is_wrong_key:
                raise
            return DatasetFacts(None, None)

    def _zone(self, data_source_id: int | None) -> dt.tzinfo:
        """The time zone of a data source, or of the settings where it isn't told."""
        if data_source_id not in self._zones:
            name = None
            if data_source_id is not None:
                with contextlib.suppress(RefusedError):
                    source = self._with_retries(lambda: self._client.data_source(data_source_id))
                    name = source.timezone if source else None
            self._zones[data_source_id] = (
                _zone_named(name) or _zone_named(self._settings.timezone) or dt.timezone.utc
            )
        return self._zones[data_source_id]

    def _with_retries(self, call: Callable[[], T]) -> T:
        def interruptible_call() -> T:
            with self._interrupts:
                return call()

        return call_with_retries(
            interruptible_call,
            budget=self._blocking_budget,
            retry_seconds=self._settings.retry_seconds,
            rest=self.rest,
        )


def _zone_named(name: str | None) -> dt.tzinfo | None:
    if name is None:
        return None
    if name.upper() in {"UTC", "ETC/UTC", "Z"}:
        return dt.timezone.utc
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _no_key() -> str:
    """Refuse to make an idempotency key: nothing is created."""
    raise AssertionError("a verification creates nothing")
