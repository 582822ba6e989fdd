"""Facts on what a version of the API is as a value."""

from __future__ import annotations

import dataclasses
import json

from target_databox.api.dialect import Dialect
from target_databox.api.v1.dialect import V1
from target_databox.api.v2.dialect import V2


def test_versions_are_what_databox_says() -> None:
    """Each version has the limits and the habits that its facts name."""
    frame = (b'{"records":[', b"]}")
    assert (
        Dialect(
            name="v1",
            row_frame=frame,
            most_rows=100,
            most_bytes=1_000_000,
            most_columns=None,
            page_size=100,
            ids_are_numbers=False,
            resends_are_recognised=False,
            things_are_readable=False,
            lists_all_datasets=False,
        )
        == V1
    )
    assert (
        Dialect(
            name="v2",
            row_frame=frame,
            most_rows=500,
            most_bytes=10_485_760,
            most_columns=100,
            page_size=100,
            ids_are_numbers=True,
            resends_are_recognised=True,
            things_are_readable=True,
            lists_all_datasets=True,
        )
        == V2
    )


def test_body_is_one_json_object() -> None:
    """The body of a request is its rows as they were encoded."""
    body = V1.body([b'{"a":1}', b'{"a":2.50}'])
    assert body == b'{"records":[{"a":1},{"a":2.50}]}'
    assert json.loads(body) == {"records": [{"a": 1}, {"a": 2.5}]}


def test_frame_is_what_rows_do_not_take() -> None:
    """The bytes of the frame are those of a request without rows, in every version."""
    other = dataclasses.replace(V1, row_frame=(b"[", b"]"))
    assert [each.frame_bytes for each in (V1, other)] == [len(V1.body([])), 2]
    assert other.body([b"{}", b"{}"]) == b"[{},{}]"
