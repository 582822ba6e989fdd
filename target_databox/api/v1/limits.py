"""Limits of the Databox API v1, each with its source.

Grades: D documented by Databox, O the official Databox CLI does so, 3 a third party says so, A assumed.
"""

from __future__ import annotations

from typing import Final

ROW_FRAME: Final = (b'{"records":[', b"]}")  # D: the body of `POST /v1/datasets/{datasetId}/data`
MAX_REQUEST_ROWS: Final = 100  # D: "up to 100 records per ingestion event", API index
# D, the strictest: Databox's pages say 1 MB, 10 MB or nothing; a decimal megabyte satisfies all of them.
MAX_REQUEST_BYTES: Final = 1_000_000

FIRST_PAGE: Final = 1  # O: pages of ingestions are counted from 1
PAGE_SIZE: Final = 100  # 3: the default `pageSize` of the list of ingestions; a larger one is not documented
