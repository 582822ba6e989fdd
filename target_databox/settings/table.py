"""Every setting of the target: its type, default, range, title and meaning.

The table is long because it is the only description of a setting: ``--about`` and the docs show it as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from target_databox.api import limits
from target_databox.destination.titles import MAX_TITLE_CHARACTERS, MIN_TITLE_CHARACTERS
from target_databox.settings.values import (
    Boolean,
    Choice,
    ColumnType,
    Id,
    Integer,
    Kind,
    Names,
    Number,
    Text,
    Tree,
)
from target_databox.versions import DIALECTS


def _by_version(number: str) -> str:
    """A number of each version, for a description."""
    return " and ".join(f"{getattr(each, number):,} with `{name}`" for name, each in DIALECTS.items())


@dataclass(frozen=True)
class Setting:
    """One setting; ``kind`` is its type and range."""

    name: str
    kind: Kind
    default: Any
    title: str
    description: str
    secret: bool = False
    required: bool = False


TABLE: Final[tuple[Setting, ...]] = (
    Setting(
        "api_key",
        Text(),
        None,
        "API key",
        "Key of the Databox API, sent as `x-api-key`. Account administrators make keys in Databox.",
        secret=True,
        required=True,
    ),
    Setting(
        "api_version",
        Choice(tuple(DIALECTS)),
        "v1",
        "API version",
        "Version of the Databox API. `v2` takes five times the rows in a request, loads rows without keys "
        "exactly once when answers get lost, and tells why a row was rejected; no documentation of it is "
        "published.",
    ),
    Setting(
        "api_url",
        Text(1),
        limits.DEFAULT_API_URL,
        "API address",
        "Base address of the Databox API. Plain `http` is possible only towards this machine.",
    ),
    Setting(
        "account_id",
        Integer(1),
        None,
        "Account id",
        "Account of the data source. Without it the key's only account is used; several are an error that "
        "lists them.",
    ),
    Setting(
        "data_source_id",
        Integer(1),
        None,
        "Data source id",
        "Load into this existing data source; `data_source_title`, `account_id` and `timezone` are not used "
        "then.",
    ),
    Setting(
        "data_source_title",
        Text(MIN_TITLE_CHARACTERS, MAX_TITLE_CHARACTERS),
        "target-databox",
        "Data source title",
        "Title of the data source, 1 to 255 characters. It is found by this title in the account, and "
        "created when missing.",
    ),
    Setting(
        "timezone",
        Text(1),
        "UTC",
        "Time zone",
        "IANA name, such as `Europe/Berlin`, given to a data source that is created.",
    ),
    Setting(
        "dataset_ids",
        Tree(Id()),
        None,
        "Dataset ids",
        "Object from stream to dataset id: load the stream into this existing dataset. Ids are UUIDs with "
        "`v1`, and whole numbers with `v2`.",
    ),
    Setting(
        "dataset_titles",
        Tree(Text(MIN_TITLE_CHARACTERS, MAX_TITLE_CHARACTERS)),
        None,
        "Dataset titles",
        "Object from stream to the title of its dataset. Default: the stream's name.",
    ),
    Setting(
        "primary_keys",
        Tree(Names()),
        None,
        "Primary keys",
        'Object from stream to a list of columns, such as `{"orders": ["id"]}`: the stream\'s keys, whatever '
        "its `key_properties` say; `[]` for none.",
    ),
    Setting(
        "keyless_streams",
        Choice(("append", "hash")),
        "append",
        "Streams without keys",
        "What becomes of streams without keys. `append`: every run appends its rows. `hash`: the column "
        "`_row_hash` is added and is the key, 32 hexadecimal digits over all columns: equal rows are one, "
        "and loading rows again changes nothing.",
    ),
    Setting(
        "load_method",
        Choice(("upsert", "append-only", "overwrite")),
        "upsert",
        "Load method",
        "`upsert`: a row with a known key replaces the older one; see `primary_keys` and "
        "`keyless_streams`. `append-only`: a dataset without keys, whatever these two say. `overwrite`: the "
        "dataset is purged once, before the stream's first row of the run, then as `upsert`; such a run "
        "writes no STATE.",
    ),
    Setting(
        "column_types",
        Tree(ColumnType(), by_column=True),
        None,
        "Column types",
        "Object from stream (`*` for every stream) to column to type: `string`, `number`, `datetime`, or "
        "`datetime:%d.%m.%Y` with a strptime format. Values are converted; one that can't be makes its "
        "record a rejected one, and empty text becomes null in number and datetime columns. Without a "
        "format, ISO 8601 and `YYYY/MM/DD` are understood.",
    ),
    Setting(
        "schema_declaration",
        Boolean(),
        True,
        "Schema declaration",
        "Send column names and types when a dataset is created. When the API refuses them, the dataset is "
        "created again without.",
    ),
    Setting(
        "boolean_format",
        Choice(("text", "number", "boolean")),
        "text",
        "Boolean format",
        "How booleans go out: `true` and `false` as text, 1 and 0, or JSON booleans. The API documents "
        "string, number and datetime columns only.",
    ),
    Setting(
        "batch_size_rows",
        Integer(1, max(each.most_rows for each in DIALECTS.values())),
        None,
        "Batch size in rows",
        f"Rows in one ingestion. Default, and at most: {_by_version('most_rows')}.",
    ),
    Setting(
        "batch_size_bytes",
        Integer(1_000, max(each.most_bytes for each in DIALECTS.values())),
        None,
        "Batch size in bytes",
        f"Bytes in one request body. Default, and at most: {_by_version('most_bytes')}.",
    ),
    Setting(
        "batch_age_seconds",
        Number(zero=False),
        30,
        "Batch age",
        "A row that could be sent waits at most this long for its batch to fill, also while the input is "
        "silent.",
    ),
    Setting("concurrent_requests", Integer(1, 32), 8, "Concurrent requests", "Requests at the same time."),
    Setting(
        "unconfirmed_batches",
        Integer(1, 10_000),
        500,
        "Unconfirmed batches",
        "Accepted but unconfirmed ingestions at the same time; reading pauses there.",
    ),
    Setting(
        "unconfirmed_bytes",
        Integer(2_000_000),
        64_000_000,
        "Unconfirmed bytes",
        "Bytes of rows held in memory until they are confirmed; reading pauses there too.",
    ),
    Setting(
        "requests_per_second",
        Number(zero=False),
        limits.REQUESTS_PER_SECOND,
        "Requests per second",
        "Requests of all kinds in any second. The default is the API's documented limit per key.",
    ),
    Setting(
        "requests_per_hour",
        Number(zero=False),
        limits.REQUESTS_PER_HOUR,
        "Requests per hour",
        "Requests of all kinds in any hour. The default is the API's documented limit per key.",
    ),
    Setting(
        "request_timeout_seconds",
        Number(zero=False),
        60,
        "Request timeout",
        "Time for one try of one request.",
    ),
    Setting(
        "retry_seconds",
        Number(zero=True),
        300,
        "Retry time",
        "How long one request is tried again while its failures are transient. A wait that would end later "
        "is not begun, also one that `Retry-After` asks for (429 excepted).",
    ),
    Setting(
        "confirmation",
        Choice(("rows", "status")),
        "rows",
        "Confirmation",
        "`rows`: every ingestion's own record is read, and its counts must add up to the rows sent. "
        "`status`: the list of ingestions is read, one request for many; cheaper, but blind to rejected "
        "rows.",
    ),
    Setting(
        "confirmation_timeout_seconds",
        Number(zero=False),
        600,
        "Confirmation timeout",
        "An ingestion that is still unconfirmed by then fails the run.",
    ),
    Setting(
        "listing_lag_seconds",
        Number(zero=True),
        30,
        "Listing lag",
        "How long a new ingestion may be missing from the list of ingestions.",
    ),
    Setting(
        "state_interval_seconds",
        Number(zero=True),
        1,
        "State interval",
        "At most one STATE line in this time, the last one excepted.",
    ),
    Setting(
        "rejects_path",
        Text(),
        None,
        "Rejects file",
        "File to which rejected records are appended as Singer messages. Without it the first rejected "
        "record ends the run.",
    ),
    Setting(
        "rejects_policy",
        Choice(("fail", "accept")),
        "fail",
        "Rejects policy",
        "With `rejects_path`: exit 1 (`fail`) or 0 (`accept`) at the end of a run that rejected records.",
    ),
    Setting(
        "rejects_limit",
        Integer(0),
        100,
        "Rejects limit",
        "More rejected records than this end the run at once.",
    ),
    Setting(
        "shutdown_seconds",
        Number(zero=True),
        20,
        "Shutdown time",
        "After SIGTERM or SIGINT: time to finish what is in flight.",
    ),
    Setting(
        "add_record_metadata",
        Boolean(),
        False,
        "Record metadata",
        "Add the SDK's `_sdc_*` columns to every row.",
    ),
    Setting(
        "validate_records",
        Boolean(),
        True,
        "Record validation",
        "Validate every record against its stream's schema; what fails is a rejected record.",
    ),
    # Titles and descriptions of the next three are the SDK's own; see `about`.
    Setting("stream_maps", Tree(), None, "", ""),
    Setting("stream_map_config", Tree(), None, "", ""),
    Setting("faker_config", Tree(), None, "", ""),
    Setting(
        "flattening_enabled",
        Boolean(),
        True,
        "Flattening",
        "Spread objects over columns of their own, such as `address__city`.",
    ),
    Setting(
        "flattening_max_depth",
        Integer(0, 100),
        5,
        "Flattening depth",
        "Levels of objects that are spread; what is deeper becomes JSON text.",
    ),
    Setting(
        "flattening_max_key_length",
        Integer(1),
        255,
        "Flattened name length",
        "Names of columns that are this long or longer are shortened, outer parts first.",
    ),
    Setting(
        "flattening_separator",
        Text(1, verbatim=True),
        "__",
        "Flattening separator",
        "What stands between the parts of a flattened column's name.",
    ),
)
