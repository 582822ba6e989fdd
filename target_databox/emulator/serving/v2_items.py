"""Data sources, datasets and ingestions as API v2 writes them; nulls are written, not left out."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from target_databox.emulator.serving.wording import COUNTS, ENDS, word
from target_databox.emulator.state.rules import OTHER_ROW

if TYPE_CHECKING:
    from target_databox.emulator.serving.calls import Call
    from target_databox.emulator.serving.route import Answer
    from target_databox.emulator.state.shapes import Dataset, DataSource, Ingestion

_OF_THE_API = "DataboxAPI"  # a fixture's (grade M)


def moment(seconds: float | None) -> str | None:
    """A time as v2 writes it: `2026-09-01T08:00:00+00:00` (grade M)."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(int(seconds), tz=timezone.utc).isoformat()


def data_source(source: DataSource) -> Answer:
    """A data source as an item of a list."""
    return {
        "id": source.id,
        "name": source.title,
        "createdAt": moment(source.created),
        "timezone": source.timezone,
        "integrationKey": _OF_THE_API if source.key == "ingestion" else source.key,
    }


def dataset(call: Call, found: Dataset, newest: Ingestion | None, supported: bool = True) -> Answer:
    """A dataset as an item of a list."""
    info = {
        "lastIngestionAt": moment(newest.accepted_at) if newest else None,
        "lastStatus": word(call, newest) if newest else None,
    }
    return {
        "id": found.number,
        "name": found.title,
        "dataSourceId": found.data_source_id,
        "createdAt": moment(found.created),
        "ingestionSupported": supported,
        "ingestionInfo": info,
    }


def dataset_detail(call: Call, found: Dataset) -> Answer:
    """A dataset with its sizes, which are null before the first ingestion."""
    newest = call.store.newest_ingestions().get(found.id)
    return {
        **dataset(call, found, newest),
        "columnCount": len(found.columns),
        "rowCount": found.row_count,
        "size": found.size_bytes if newest else None,
        "maxSize": call.store.assumptions.max_size_bytes if newest else None,
    }


def columns(call: Call, found: Dataset) -> list[Answer]:
    """The columns of a dataset."""
    hidden = call.store.hidden_columns(found)
    return [
        {
            "id": name,
            "displayName": name,
            "dataType": each.type or "string",
            "order": order,
            "visible": name not in hidden,
        }
        for order, (name, each) in enumerate(found.columns.items())
    ]


def ingestion(call: Call, found: Ingestion) -> Answer:
    """An ingestion as an item of a list; what `duration` and `initiatedBy` look like is not known."""
    return {
        "id": found.id,
        "status": word(call, found),
        "initiatedAt": moment(found.accepted_at),
        "duration": None if found.processed_at is None else found.processed_at - found.accepted_at,
        "initiatedBy": None if found.creator is None else f"User {found.creator}",
    }


def ingestion_detail(call: Call, found: Ingestion, of: Dataset) -> Answer:
    """An ingestion with its counts and its rejected rows."""
    item = ingestion(call, found)
    del item["initiatedBy"]
    errors = _errors(call, found)
    if not errors and call.store.assumptions.no_errors == "null":
        return {**item, "summary": _summary(call, found, of), "errors": None}
    return {**item, "summary": _summary(call, found, of), "errors": errors}


def _summary(call: Call, found: Ingestion, of: Dataset) -> Answer | None:
    assumptions = call.store.assumptions
    if found.status == "pending":
        if assumptions.pending_summary == "null":
            return None
        if assumptions.pending_summary == "parts-null":
            return {"ingestion": None, "dataset": None}
    elif found.status != "done" and assumptions.failed_metrics == "absent":
        return None
    count = COUNTS[assumptions.count_form]
    return {
        "ingestion": {
            "receivedRecordCount": count(found.received),
            "appendedRecordCount": count(found.appended),
            "overwrittenRecordCount": count(found.overwritten),
            "rejectedRecordCount": count(found.rejected),
        },
        "dataset": {
            "columnCount": count(len(of.columns)),
            "rowCount": count(of.row_count),
            "size": count(of.size_bytes),
        },
    }


def _errors(call: Call, found: Ingestion) -> list[dict[str, Any]]:
    if found.status in ENDS:
        message = f"The ingestion {ENDS[found.status]}."
        return [{"code": None, "field": None, "message": message, "record": None}]
    if not found.rejected:
        return []
    named = [
        {
            "code": "invalid_value",
            "field": why.field,
            "message": why.reason,
            "record": msgspec.Raw(text.encode()),
        }
        for why, text in call.store.rejected_texts(found.id)
        if why.reason != OTHER_ROW  # there is nothing wrong with it
    ]
    return {"all": named, "one": named[:1], "none": []}[call.store.assumptions.named_errors]
