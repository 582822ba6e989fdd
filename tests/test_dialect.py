"""Facts on what a version of the API is as a value."""

from __future__ import annotations

import dataclasses
import json

from target_databox.api.v1.dialect import V1


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
