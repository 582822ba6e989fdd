"""Describes API v2; see `api.dialect`."""

from __future__ import annotations

from typing import Final

from target_databox.api.dialect import Dialect
from target_databox.api.v2 import limits

V2: Final = Dialect(
    name="v2",
    row_frame=limits.ROW_FRAME,
    most_rows=limits.MAX_REQUEST_ROWS,
    most_bytes=limits.MAX_REQUEST_BYTES,
    most_columns=limits.MAX_COLUMNS,
    page_size=limits.PAGE_SIZE,
    ids_are_numbers=True,
    resends_are_recognised=True,
    things_are_readable=True,
    lists_all_datasets=True,
)
