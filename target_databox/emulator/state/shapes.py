"""What the emulated API is about, as values: accounts, data sources, datasets, ingestions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from target_databox.emulator.state.rules import Column


@dataclass(frozen=True, slots=True)
class Account:
    """An account that the keys can see; `type` is `organization`, `agency` or `client` (grade D)."""

    id: int
    name: str
    type: str = "organization"


@dataclass(frozen=True, slots=True)
class DataSource:
    """A container for datasets.

    Attributes:
        id: Its number; no dataset has the same.
        account_id: The account that it belongs to.
        title: What a human calls it.
        timezone: An IANA name.
        key: The integration that fills it; `ingestion` for the API.
        created: In seconds since 1970.
        ingestion_supported: Whether the API may fill it.
        creator: The user who made it, if one did.
    """

    id: int
    account_id: int
    title: str | None
    timezone: str | None
    key: str | None
    created: float
    ingestion_supported: bool = True
    creator: int | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """A table of rows.

    Attributes:
        seq: Its number in the database, in the order of creation.
        id: A UUID, its id in the API v1.
        number: Its id in the API v2; no data source has the same.
        data_source_id: The data source that it belongs to.
        title: What a human calls it.
        keys: Its primary keys; empty when it has none, `None` when nobody said (an adopted id).
        columns: Its columns by name, in the order in which they came.
        created: In seconds since 1970.
        row_count: How many rows it holds.
        size_bytes: The sum of its rows' bytes, as JSON.
        creator: The user who made it, if one did.
        locked_until: Nothing can be written before, in seconds since 1970.
    """

    seq: int
    id: str
    number: int
    data_source_id: int
    title: str | None
    keys: tuple[str, ...] | None
    columns: dict[str, Column]
    created: float
    row_count: int
    size_bytes: int
    creator: int | None = None
    locked_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Ingestion:
    """One accepted request to store rows.

    Attributes:
        id: A UUID.
        dataset_id: The dataset that it is for.
        status: `pending`, `done`, `failed` or `purged`: what is true, whatever words the API uses for it.
        received: How many rows the request had.
        appended: How many rows were stored under a new key, or without one.
        overwritten: How many rows replaced a stored one.
        rejected: How many rows were not stored.
        accepted_at: In seconds since 1970.
        processed_at: In seconds since 1970; `None` while it is pending.
        rows: The rows of the request with every digit; `None` when this emulator doesn't keep them.
        creator: The user who sent it, if one did.
    """

    id: str
    dataset_id: str
    status: str
    received: int
    appended: int
    overwritten: int
    rejected: int
    accepted_at: float
    processed_at: float | None
    rows: list[dict[str, Any]] | None = None
    creator: int | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """The sums over the ingestions of a dataset.

    Attributes:
        ingestions: How many there are.
        received: How many rows they had.
        appended: Rows stored under a new key, or without one.
        overwritten: Rows that replaced a stored one.
        rejected: Rows that were not stored, each as often as it was tried.
        failed: Ingestions that were not processed.
        pending: Ingestions that are not processed yet.
        last_at: When the newest one was accepted, in seconds since 1970; `None` without any.
        bad_rows: Rows that were rejected for their own sake, each once however often it was tried.
    """

    ingestions: int
    received: int
    appended: int
    overwritten: int
    rejected: int
    failed: int
    pending: int
    last_at: float | None
    bad_rows: int


@dataclass(frozen=True, slots=True)
class Fate:
    """What a planned fault has in store for an ingestion.

    Attributes:
        fails: It is accepted, and its processing fails.
        rejects: Places of rows that are rejected, from 0, each with the reason.
        processing_seconds: How long its processing takes; `None` leaves that to the assumptions.
        most_columns: Rows that would give the dataset more columns are rejected; `None` for no such limit.
    """

    fails: bool = False
    rejects: tuple[tuple[int, str], ...] = ()
    processing_seconds: float | None = None
    most_columns: int | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the user of an API key, with a role in the organization.

    Attributes:
        id: The user's number.
        role: `admin`, `user`, `editor` or `viewer` (grade O).
    """

    id: int
    role: str = "admin"

    def may_change(self, creator: int | None) -> bool:
        """Whether the role allows to change what somebody made: an admin, or who made it (grade O)."""
        return self.role == "admin" or self.id == creator


ROLES = ("admin", "user", "editor", "viewer")
