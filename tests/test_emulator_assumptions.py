"""Every unknown of the API has a switch of the emulator, with the default that the project assumes."""

from __future__ import annotations

from typing import Any

import pytest

from target_databox.emulator.assumptions import Assumptions, switches

# What nobody outside Databox knows of the API v1: the switch, its default, and the other ways it may be.
UNKNOWN_OF_V1 = [
    ("rate_counting", "bucket", ["strict"]),
    ("throttle_answer", "retry-after", ["no-header", "html", "empty"]),
    ("cooldown_seconds", 0.0, [60.0]),
    ("too_large_status", "413", ["400"]),
    ("body_limit_bytes", 1_000_000, [10_485_760]),
    ("unknown_id_status", "404", ["400"]),
    ("booleans", "kept", ["rejected"]),
    ("nested_objects", "kept", ["rejected"]),
    ("nulls", "kept", ["rejected"]),
    ("type_conflicts", "rejected", ["kept"]),
    ("key_update", "replace", ["merge"]),
    ("repeated_key", "last", ["first", "rejected"]),
    ("missing_key", "rejected", ["kept"]),
    ("rejection_scope", "row", ["ingestion"]),
    ("processing_order", "any", ["acceptance"]),
    ("listing_lag_seconds", 1.0, [30.0]),
    ("list_order", "newest-first", ["oldest-first", "arbitrary"]),
    ("detail_status", "ingestion", ["request"]),
    ("pending_metrics", "absent", ["null", "zeros"]),
    ("count_form", "integer", ["float", "text"]),
    ("metrics_form", "object", ["text", "list"]),
    ("pending_word", "processing", ["queued"]),
    ("done_word", "success", ["completed"]),
    ("failed_word", "failed", ["error"]),
    ("purged_word", "purged", ["cancelled"]),
    ("purge_drops_pending", False, [True]),
    ("schema_field", "accepted", ["ignored", "refused"]),
    ("same_titles", "allowed", ["refused"]),
    ("dataset_detail", "available", ["missing"]),
    ("no_keys", "empty", ["null"]),
    ("keys_field", "present", ["missing"]),
    ("data_source_status", "success", ["processing"]),
]


# Likewise of v2, and what was seen of it that a client should not trust.
UNKNOWN_OF_V2 = [
    ("unknown_columns", "added", ["rejected", "dropped"]),
    ("column_over_limit", "refused", ["rejected"]),
    ("column_limit_of_v1", "none", ["same"]),
    ("size_over_limit", "fails", ["413"]),
    ("max_size_bytes", 10_000_000_000, [1_000]),
    ("idempotency_key_text", "uuid", ["any"]),
    ("idempotency_input", "json", ["bytes"]),
    ("idempotency_overlap", "waits", ["409"]),
    ("v2_throttle_answer", "no-header", ["retry-after", "html", "empty"]),
    ("v2_schema", "optional", ["required"]),
    ("accepted_word", "accepted", ["success"]),
    ("read_lag_seconds", 1.0, [50.0]),
    ("read_numbers", "exact", ["doubles", "15-digits", "2-decimals"]),
    ("read_texts", "kept", ["trimmed"]),
    ("read_fractions", "kept", ["milliseconds"]),
    ("read_offsets", "kept", ["utc", "lost"]),
    ("read_columns", "all", ["last-hidden", "key-hidden"]),
    ("read_rows", "all", ["filtered"]),
    ("deleted_lag_seconds", 1.0, [30.0]),
    ("locked_seconds", 0.0, [1.0]),
    ("dataset_filter", "works", ["empty", "ignored"]),
    ("told_page_size", "asked", ["used"]),
    ("empty_items", "empty", ["null"]),
    ("pagination", "present", ["null"]),
    ("empty_success", "envelope", ["nothing"]),
    ("problem_field", "null", ["empty"]),
    ("pending_summary", "null", ["parts-null", "zeros"]),
    ("no_errors", "empty", ["null"]),
    ("named_errors", "all", ["one", "none"]),
]


@pytest.mark.parametrize(
    ("name", "default", "others"), [*UNKNOWN_OF_V1, *UNKNOWN_OF_V2], ids=lambda each: str(each)
)
def test_unknowns_are_switches(name: str, default: Any, others: list[Any]) -> None:
    """What is unknown is a switch with the assumed default, which can be turned to each other way."""
    assert getattr(Assumptions(), name) == default
    for other in others:
        assert getattr(Assumptions(**{name: other}), name) == other


def test_every_switch_is_in_a_table() -> None:
    """No switch but those of time, and of how dates and pages are read, is missing from the two tables."""
    listed = {name for name, *_ in [*UNKNOWN_OF_V1, *UNKNOWN_OF_V2]}
    assert {each.name for each in switches()} - listed == {
        "date_inference",
        "processing_seconds_min",
        "processing_seconds_max",
        "detail_missing_seconds",
        "failed_metrics",
        "late_counts_seconds",
        "page_size_cap",
        "page_size_over_cap",
    }


def test_switches_say_what_is_unknown() -> None:
    """Every switch has a sentence that says what is unknown, ending with a full stop."""
    assert [each.name for each in switches() if not each.unknown.endswith(".")] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("booleans", "maybe"),
        ("cooldown_seconds", -1.0),
        ("cooldown_seconds", float("nan")),
        ("page_size_cap", 0),
    ],
)
def test_bad_values_are_refused(name: str, value: Any) -> None:
    """A value that a switch can't have is an error that names the switch."""
    with pytest.raises(ValueError, match=name):
        Assumptions(**{name: value})
