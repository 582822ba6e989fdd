"""Documented numbers and words of the Databox API v1, in one place so that each has its source beside it.

Grades: D documented by Databox, O the official Databox CLI does so, 3 a third party says so, A assumed.
"""

from __future__ import annotations

from typing import Final

DEFAULT_API_URL: Final = "https://api.databox.com"  # D: servers, API index

MAX_REQUEST_ROWS: Final = 100  # D: "up to 100 records per ingestion event", API index
# D, cautiously: Databox's pages name 1 MB, 10 MB and no size; a decimal megabyte satisfies all of them.
MAX_REQUEST_BYTES: Final = 1_000_000

REQUESTS_PER_SECOND: Final = 10  # D: per API key, every request counted, help article
REQUESTS_PER_HOUR: Final = 10_000  # D: likewise

FIRST_PAGE: Final = 1  # O: pages of ingestions are counted from 1
PAGE_SIZE: Final = 100  # 3: the default `pageSize` of the list of ingestions; a larger one is not documented

MIN_TITLE_CHARACTERS: Final = 1  # A: an empty title is allowed (D) but can't be found again
MAX_TITLE_CHARACTERS: Final = 255  # A: nothing is documented; the manners of comparable APIs

# The status of an ingestion *event*. D: `success`; 3: `processing`; O: `completed`, `failed`, in v2 `purged`;
# the rest A. Another word is done where its counts add up to the rows sent, else pending until the caller's
# time is up.
PENDING_WORDS: Final = frozenset({"processing", "pending", "queued", "running", "in_progress", "accepted"})
DONE_WORDS: Final = frozenset({"success", "completed"})
FAILED_WORDS: Final = frozenset({"failed", "error", "purged", "cancelled", "canceled", "aborted"})

COLUMN_TYPES: Final = ("string", "number", "datetime")  # O: `dataType` of a column; there is no boolean
ACCOUNT_TYPES: Final = ("organization", "agency", "client")  # D: `accountType`

# D: 401 (documented), 403 (3: on deletes). Either ends a run: no later request can succeed.
KEY_REFUSED_STATUSES: Final = frozenset({401, 403})
MISSING_STATUS: Final = 404  # A: documented for no route
THROTTLED_STATUS: Final = 429  # A: the status past the rate limit is not documented
# A: after these the request may or may not have been carried out. Proxies have words of their own (520 to
# 529 and more), so it is every 5xx but those that say that the request was not understood (501, 505).
LOST_ANSWER_STATUSES: Final = frozenset({408, 425, *range(500, 600)}) - {501, 505}
