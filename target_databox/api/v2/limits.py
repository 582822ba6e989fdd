"""Limits of the Databox API v2, each with its source.

Grades: O the official Databox client does so, 3 a third party says so, A assumed. No documentation of v2
could be read.
"""

from __future__ import annotations

from typing import Final

ROW_FRAME: Final = (b'{"records":[', b"]}")  # O: the body of `POST /v2/datasets/{id}/data`
MAX_REQUEST_ROWS: Final = 500  # O: more get a 413 `request_too_large`
MAX_REQUEST_BYTES: Final = 10_485_760  # O: likewise
MAX_COLUMNS: Final = 100  # O: of a dataset

FIRST_PAGE: Final = 0  # O: pages are counted from 0
PAGE_SIZE: Final = 100  # O: a larger `pageSize` is reduced to this
ROWS_PAGE_SIZE: Final = 1_000  # O: likewise, for rows that are read back

# A: an earlier try with the same idempotency key is still being processed.
UNANSWERED_STATUS: Final = 409
