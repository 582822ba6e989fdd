"""Numbers and words of the Databox API v1, in one place so that each has its source beside it.

Grades: D documented by Databox, O the official Databox CLI does so, 3 a third party says so, A assumed.
"""

from __future__ import annotations

from typing import Final

DEFAULT_API_URL: Final = "https://api.databox.com"  # D: servers, API index

ROW_FRAME: Final = (b'{"records":[', b"]}")  # D: the body of `POST /v1/datasets/{datasetId}/data`
MAX_REQUEST_ROWS: Final = 100  # D: "up to 100 records per ingestion event", API index
# D, cautiously: Databox's pages name 1 MB, 10 MB and no size; a decimal megabyte satisfies all of them.
MAX_REQUEST_BYTES: Final = 1_000_000

REQUESTS_PER_SECOND: Final = 10  # D: per API key, every request counted, help article
REQUESTS_PER_HOUR: Final = 10_000  # D: likewise

FIRST_PAGE: Final = 1  # O: pages of ingestions are counted from 1
PAGE_SIZE: Final = 100  # 3: the default `pageSize` of the list of ingestions; a larger one is not documented

# The status of an ingestion *event*. D: `success`; 3: `processing`; O: `completed`, `failed`, in v2 `purged`;
# the rest A. Another word is done where its counts add up to the rows sent, else pending until the caller's
# time is up.
PENDING_WORDS: Final = frozenset({"processing", "pending", "queued", "running", "in_progress", "accepted"})
DONE_WORDS: Final = frozenset({"success", "completed"})
FAILED_WORDS: Final = frozenset({"failed", "error", "purged", "cancelled", "canceled", "aborted"})
