"""Everything that is unknown about the API, one named switch each, so that a test can try both ways."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Iterator


def _switch(default: Any, unknown: str) -> Any:
    return field(default=default, metadata={"unknown": unknown})


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the emulator takes for true where neither documentation nor client says (grade A).

    Every switch is an option of `databox-emulator serve`; its sentence says what is unknown.
    """

    rate_counting: Literal["bucket", "strict"] = _switch(
        "bucket",
        "How requests per second are counted: a bucket that refills evenly and takes no refused request, "
        "or a strict sliding second that counts refused requests too.",
    )
    throttle_answer: Literal["retry-after", "no-header", "html", "empty"] = _switch(
        "retry-after",
        "What a 429 is: the usual envelope with a Retry-After header, the envelope alone, an HTML page, "
        "or no body at all; only the first has the header.",
    )
    cooldown_seconds: float = _switch(
        0.0, "How long the documented cooldown lasts: every request in this time after a 429 is refused too."
    )
    too_large_status: Literal["413", "400"] = _switch(
        "413", "The status of the answer to more rows or more bytes than one ingestion may have."
    )
    body_limit_bytes: int = _switch(
        1_000_000, "The largest request body: three Databox pages name three sizes, this is the smallest."
    )
    unknown_id_status: Literal["404", "400"] = _switch(
        "404", "The status of the answer to an id that nothing has; only 400 and 401 are documented."
    )
    booleans: Literal["kept", "rejected"] = _switch(
        "kept", "How booleans are taken: there is no boolean column type."
    )
    nested_objects: Literal["kept", "rejected"] = _switch(
        "kept", "Whether a value may be an object, or an array that holds one; if so it is kept as JSON."
    )
    nulls: Literal["kept", "rejected"] = _switch("kept", "Whether a value may be null.")
    type_conflicts: Literal["rejected", "kept"] = _switch(
        "rejected", "What becomes of a row with a value that conflicts with its column's type."
    )
    date_inference: Literal["iso-text", "declared-only"] = _switch(
        "iso-text",
        "Whether a column that was not declared is a date-time while all its values are ISO 8601 text; "
        "other text turns it into a string column.",
    )
    key_update: Literal["replace", "merge"] = _switch(
        "replace", "Whether a row with a known key replaces the stored row whole, or only the columns it has."
    )
    repeated_key: Literal["last", "first", "rejected"] = _switch(
        "last", "Which row counts when one request has the same key twice."
    )
    missing_key: Literal["rejected", "kept"] = _switch(
        "rejected", "What becomes of a row without one of its key columns, or with a null there."
    )
    rejection_scope: Literal["row", "ingestion"] = _switch(
        "row",
        "Whether a bad row is rejected alone, or with its whole ingestion, of which nothing is stored then.",
    )
    processing_order: Literal["any", "acceptance"] = _switch(
        "any", "Whether ingestions of one dataset are processed in the order in which they were accepted."
    )
    processing_seconds_min: float = _switch(
        0.05, "The shortest time from acceptance to the end of processing."
    )
    processing_seconds_max: float = _switch(0.3, "The longest time from acceptance to the end of processing.")
    listing_lag_seconds: float = _switch(
        1.0, "How long a new ingestion is missing from the list; Databox's own tests allow for 30 seconds."
    )
    list_order: Literal["newest-first", "oldest-first", "arbitrary"] = _switch(
        "newest-first", "The order of the list of ingestions."
    )
    detail_missing_seconds: float = _switch(
        0.0, "How long after acceptance an ingestion's own record is still answered with 404."
    )
    detail_status: Literal["ingestion", "request"] = _switch(
        "ingestion",
        "What `status` means on an ingestion's own record: the processing's outcome, or the request's.",
    )
    pending_metrics: Literal["absent", "null", "zeros"] = _switch(
        "absent", "What an ingestion's metrics are while it is processed."
    )
    failed_metrics: Literal["zeros", "absent"] = _switch(
        "zeros", "What the metrics of a failed ingestion are: received rows with all outcomes zero, or none."
    )
    count_form: Literal["integer", "float", "text"] = _switch(
        "integer", 'How an ingestion\'s counts are written: 100, 100.0 or "100".'
    )
    metrics_form: Literal["object", "text", "list"] = _switch(
        "object", "What an ingestion's metrics are: an object, that object as JSON text, or a list of it."
    )
    late_counts_seconds: float = _switch(
        0.0, "How long after the end of processing the counts of the outcomes are still zero."
    )
    pending_word: str = _switch("processing", "The word for an ingestion that is not processed yet.")
    done_word: str = _switch("success", "The word for an ingestion that is processed.")
    failed_word: str = _switch("failed", "The word for an ingestion that failed.")
    purged_word: str = _switch("purged", "The word for an ingestion that a purge discarded before its end.")
    page_size_cap: int = _switch(100, "The largest page of the list of ingestions, in ingestions.")
    page_size_over_cap: Literal["clamped", "refused"] = _switch(
        "clamped", "What becomes of a request for a larger page."
    )
    purge_drops_pending: bool = _switch(
        False, "Whether a purge also discards the ingestions that are accepted but not yet processed."
    )
    schema_field: Literal["accepted", "ignored", "refused"] = _switch(
        "accepted", "Whether a dataset may be created with `schema`, which only the official CLI sends."
    )
    same_titles: Literal["allowed", "refused"] = _switch(
        "allowed",
        "Whether two datasets of a data source, or two data sources of an account, may share a title.",
    )
    dataset_detail: Literal["available", "missing"] = _switch(
        "available", "Whether the undocumented routes of the official CLI exist."
    )
    no_keys: Literal["empty", "null"] = _switch(
        "empty", "What `primaryKeys` is on the record of a dataset without keys: an empty list, or null."
    )
    keys_field: Literal["present", "missing"] = _switch(
        "present",
        "Whether the record of a dataset has `primaryKeys` at all; keys or none, it may be missing.",
    )
    unknown_columns: Literal["added", "rejected", "dropped"] = _switch(
        "added",
        "What becomes of a column that a dataset with declared columns doesn't have: it is added, its row is "
        "rejected, or its value is dropped.",
    )
    column_over_limit: Literal["refused", "rejected"] = _switch(
        "refused", "What becomes of the 101st column: its request gets a 400, or its row is rejected."
    )
    column_limit_of_v1: Literal["none", "same"] = _switch(
        "none", "Whether requests of v1 have the limit of 100 columns too."
    )
    max_size_bytes: int = _switch(10_000_000_000, "How many bytes of rows a dataset may have; its `maxSize`.")
    size_over_limit: Literal["fails", "413"] = _switch(
        "fails", "What becomes of rows beyond a dataset's `maxSize`: their ingestion fails, or a 413."
    )
    idempotency_key_text: Literal["uuid", "any"] = _switch(
        "uuid", "Whether an Idempotency-Key that is no UUID gets a 400."
    )
    idempotency_input: Literal["json", "bytes"] = _switch(
        "json", "Whether two requests with one Idempotency-Key are compared as JSON or byte by byte."
    )
    idempotency_overlap: Literal["waits", "409"] = _switch(
        "waits",
        "What a request gets while another with its Idempotency-Key is unanswered: that answer, or 409.",
    )
    v2_throttle_answer: Literal["no-header", "retry-after", "html", "empty"] = _switch(
        "no-header", "What a 429 of v2 is; as --throttle-answer says for v1. Retry-After was never seen."
    )
    v2_schema: Literal["optional", "required"] = _switch(
        "optional", "Whether v2 makes a dataset without `schema`; two clients disagree."
    )
    accepted_word: str = _switch("accepted", "The `status` in v2's answer to rows that it accepts.")
    read_lag_seconds: float = _switch(
        1.0, "How long v2 reads rows back as they were before an ingestion; up to 50 seconds were seen."
    )
    read_numbers: Literal["exact", "doubles", "15-digits", "2-decimals"] = _switch(
        "exact", "How exactly v2 reads numbers back: every digit, as a double, 15 digits, or two decimals."
    )
    read_texts: Literal["kept", "trimmed"] = _switch(
        "kept", "Whether v2 reads texts back with the blanks around them."
    )
    read_fractions: Literal["kept", "milliseconds"] = _switch(
        "kept", "How exactly v2 reads date-times back: every digit of a second, or milliseconds."
    )
    read_offsets: Literal["kept", "utc", "lost"] = _switch(
        "kept",
        "How v2 reads date-times back that came with an offset: as they came, the same instant in UTC, or "
        "without it.",
    )
    read_columns: Literal["all", "last-hidden", "key-hidden"] = _switch(
        "all",
        "Whether a column is hidden in Databox, so that v2 does not read it back: the last one that is no "
        "key, or the first key.",
    )
    read_rows: Literal["all", "filtered"] = _switch(
        "all", "Whether a filter in Databox hides a third of the rows, so that v2 does not read them back."
    )
    deleted_lag_seconds: float = _switch(
        1.0, "How long v2 still lists what was deleted; for a short time, Databox's own client says."
    )
    locked_seconds: float = _switch(
        0.0, "How long a dataset is locked after a purge: what would change it gets a 500 until then."
    )
    dataset_filter: Literal["works", "empty", "ignored"] = _switch(
        "works",
        "Whether v2's `dataSourceId` filter works, gives empty pages with the unfiltered `totalItems` (a "
        "user saw that), or is ignored.",
    )
    told_page_size: Literal["asked", "used"] = _switch(
        "asked", "Which `pageSize` v2's lists tell when a larger page is asked for than they have."
    )
    empty_items: Literal["empty", "null"] = _switch("empty", "What `items` is in a list of v2 without any.")
    pagination: Literal["present", "null"] = _switch("present", "What `pagination` is in the lists of v2.")
    empty_success: Literal["envelope", "nothing"] = _switch(
        "envelope", "What v2 answers where there is nothing to tell: an envelope with empty data, or no body."
    )
    problem_field: Literal["null", "empty"] = _switch(
        "null", "What `field` is in a problem of v2 that has none: null or an empty text."
    )
    pending_summary: Literal["null", "parts-null", "zeros"] = _switch(
        "null", "What v2 tells of a pending ingestion: no summary, one whose parts are null, or zeros."
    )
    no_errors: Literal["empty", "null"] = _switch(
        "empty", "What `errors` is in v2's record of an ingestion that has none."
    )
    named_errors: Literal["all", "one", "none"] = _switch(
        "all", "How many of an ingestion's rejected rows v2 names in `errors`."
    )
    data_source_status: Literal["success", "processing"] = _switch(
        "success", "The `status` in the answer to the creation of a data source; both words are documented."
    )

    def __post_init__(self) -> None:
        """Check every value.

        Raises:
            ValueError: A switch has a value that it can't have.
        """
        for switch in switches():
            value = getattr(self, switch.name)
            if switch.choices and value not in switch.choices:
                raise ValueError(f"{switch.name} must be one of {', '.join(switch.choices)}; got {value!r}.")
            if switch.type is float and not 0 <= value < math.inf:
                raise ValueError(f"{switch.name} must be a number of at least 0; got {value!r}.")
            if switch.type is int and value < 1:
                raise ValueError(f"{switch.name} must be at least 1; got {value!r}.")
        if self.processing_seconds_min > self.processing_seconds_max:
            raise ValueError("processing_seconds_min must not be more than processing_seconds_max.")


@dataclass(frozen=True, slots=True)
class Switch:
    """One assumption, described for a command line or a page.

    Attributes:
        name: The attribute of `Assumptions`.
        type: `str`, `int`, `float` or `bool`.
        choices: The words it may have; empty when any value of its type will do.
        default: The value where nothing is said.
        unknown: One sentence that says what is unknown.
    """

    name: str
    type: type
    choices: tuple[str, ...]
    default: Any
    unknown: str


def switches() -> Iterator[Switch]:
    """Every assumption, in the order of its declaration."""
    hints = get_type_hints(Assumptions)
    for each in fields(Assumptions):
        hint = hints[each.name]
        words = get_args(hint) if get_origin(hint) is Literal else ()
        yield Switch(each.name, str if words else hint, words, each.default, each.metadata["unknown"])
