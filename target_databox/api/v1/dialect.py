"""Describes API v1; see `api.dialect`."""

from __future__ import annotations

from typing import Final

from target_databox.api.dialect import Dialect
from target_databox.api.v1 import limits

V1: Final = Dialect(
    name="v1",
    row_frame=limits.ROW_FRAME,
    most_rows=limits.MAX_REQUEST_ROWS,
    most_bytes=limits.MAX_REQUEST_BYTES,
    most_columns=None,
    page_size=limits.PAGE_SIZE,
    ids_are_numbers=False,
    resends_are_recognised=False,
    things_are_readable=False,
    lists_all_datasets=False,
)
