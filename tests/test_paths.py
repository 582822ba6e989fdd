"""Facts on the short cut that plain records take: it changes nothing but the time that they need."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import singer_sdk.testing.target_test_streams
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from target_databox.emulator import UNLIMITED, Assumptions, Emulator
from target_databox.target import TargetDatabox
from tests.command import QUICK, schema, text

pytestmark = pytest.mark.usefixtures("signals")

STREAMS = sorted(Path(singer_sdk.testing.target_test_streams.__file__).parent.glob("*.singer"))
# They differ from run to run.
OF_THE_RUN = ("at", "datasetId", "ingestionId", "requestId")


class LongWayTarget(TargetDatabox):
    """The target without its short cut: every record goes by way of the SDK."""

    def _is_taken_as_it_is(self, stream: str) -> bool:  # noqa: ARG002
        return False


def outcome(kind: type[TargetDatabox], messages: bytes, **settings: Any) -> dict[str, Any]:
    """What a run leaves: rows by dataset, rejected records, and why it failed."""
    api = Assumptions(
        processing_seconds_min=0.0,
        processing_seconds_max=0.0,
        listing_lag_seconds=0.0,
        # What the API rejects depends on which batch comes first.
        type_conflicts="kept",
    )
    with (
        tempfile.TemporaryDirectory() as directory,
        Emulator(limits=UNLIMITED, assumptions=api) as emulator,
    ):
        rejects = Path(directory) / "rejects.singer"
        config = {
            **QUICK,
            "api_url": emulator.url,
            "api_key": emulator.api_key,
            "rejects_path": str(rejects),
            "rejects_policy": "accept",
            **settings,
        }
        failure = None
        try:
            kind(config=config).listen(io.BytesIO(messages))  # type: ignore[arg-type] # bytes, see LineReader
        except Exception as error:  # noqa: BLE001 # compared
            failure = type(error).__name__, str(error)
        rows = {each.title: sorted(emulator.store.row_texts(each.id)) for each in emulator.store.datasets()}
        return {"rows": rows, "rejects": rejected(rejects), "failure": failure}


def rejected(path: Path) -> list[dict[str, Any]]:
    """The records of a rejects file, without what differs from run to run."""
    if not path.exists():
        return []
    messages = [json.loads(line) for line in path.read_bytes().splitlines() if b'"RECORD"' in line]
    for message in messages:
        for name in OF_THE_RUN:
            message.get("rejected", {}).pop(name, None)
    return messages


@pytest.mark.parametrize("path", STREAMS, ids=lambda path: path.stem)
def test_sdk_streams_load_alike(path: Path) -> None:
    """The SDK's own test streams leave the same by the short cut as by the SDK's way."""
    messages = path.read_bytes()
    assert outcome(TargetDatabox, messages) == outcome(LongWayTarget, messages)


PROPERTIES = {
    "id": {"type": ["integer", "null"]},
    "name": {"type": ["string", "null"]},
    "amount": {"type": ["number", "null"]},
    "active": {"type": ["boolean", "null"]},
    "at": {"type": ["string", "null"], "format": "date-time"},
    "anything": {},
    "part": {"type": ["object", "null"], "properties": {"city": {"type": "string"}}},
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
    | st.sampled_from(["2025-01-31T10:15:00.000000Z", "NaN", "Infinity", "1.50", ""])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)
FITTING = {
    "name": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    "amount": st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    "active": st.none() | st.booleans(),
    "at": st.none() | st.datetimes().map(lambda at: at.isoformat() + "Z"),
    "anything": VALUES,
    "part": st.none() | st.fixed_dictionaries({"city": st.text(max_size=3)}, optional={"more": SCALARS}),
}
RECORDS = st.fixed_dictionaries(
    {"id": st.integers(1, 5)},
    optional={**FITTING, "extra": VALUES, "_sdc_deleted_at": SCALARS, "_sdc_other": SCALARS},
) | st.fixed_dictionaries({"id": SCALARS}, optional=dict.fromkeys(FITTING, SCALARS))
MESSAGES = st.builds(
    lambda record, more: {"type": "RECORD", "stream": "orders", "record": record, **more},
    RECORDS,
    st.fixed_dictionaries(
        {}, optional={"time_extracted": st.just("2025-01-01T00:00:00Z"), "version": st.integers(0, 9)}
    ),
)
ODD_LINES = st.sampled_from(
    [
        b'{"type":"RECORD","stream":"orders","record":{"id":6,"amount":NaN}}\n',
        b'{"type":"RECORD","stream":"orders","record":{"id":6,"name":"\xff"}}\n',
        b'{"type":"RECORD","stream":"orders","record":{"id":6},"time_extracted":"\xff"}\n',
        b'{"type":"RECORD","stream":"orders","record":{"id":6,"name":"\\ud800"}}\n',
        b'{"type":"RECORD","stream":"orders","record":{"id":6},"rejected":{"reason":"schema"}}\n',
        b'{"type":"RECORD","stream":"orders","record":{"id":null}}\n',
        b'{"type":"RECORD","stream":"orders","record":{"id":7,"id":8,"amount":1E400}}\n',
        b'{"type":"STATE","value":{"a":1.50}}\n',
        b"\n",
    ]
)
BROKEN_LINES = st.sampled_from(
    [
        b'{"type":"RECORD","stream":"orders","record":[1]}\n',
        b'{"type":"RECORD","stream":["orders"],"record":{"id":1}}\n',
        b'{"type":"RECORD","stream":"other","record":{"id":1}}\n',
        b'{"type":"RECORD","record":{"id":1}}\n',
        b"[1]\n",
        b'"orders"\n',
        b'{"type":"RECORD","stream":"orders","rec',
    ]
)


# Whole runs are too slow to be shrunk.
@profile(
    max_examples=8,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
@given(
    lines=st.lists(MESSAGES.map(text) | ODD_LINES, min_size=10, max_size=60),
    end=st.just(b"") | BROKEN_LINES,
    keys=st.sampled_from([["id"], []]),
)
def test_any_records_load_alike(lines: list[bytes], end: bytes, keys: list[str]) -> None:
    """Whatever the records are, both ways store the same rows, reject the same records, fail alike."""
    messages = text(schema(keys=keys, **PROPERTIES)) + b"".join(lines) + end
    assert outcome(TargetDatabox, messages) == outcome(LongWayTarget, messages)


def test_plain_streams_take_the_short_cut() -> None:
    """The short cut is open to a plain stream, and closed to one that stream maps or metadata change."""
    messages = text(schema())
    for open_to, settings in (
        (["orders"], {}),
        ([], {"stream_maps": {"orders": {"more": "id"}}}),
        ([], {"add_record_metadata": True}),
    ):
        with Emulator() as emulator:
            config = {**QUICK, "api_url": emulator.url, "api_key": emulator.api_key, **settings}
            target = TargetDatabox(config=config)
            target.listen(io.BytesIO(messages))  # type: ignore[arg-type] # bytes, see LineReader
            assert list(target.short_cuts) == open_to
