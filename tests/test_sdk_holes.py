"""What the SDK does that this target must not rely on, or relies on: each as the SDK has it in this version.

When one of these fails after an update, the SDK has changed under an override: is that still right?
"""

from __future__ import annotations

import inspect
import io
import json
import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk import Sink, Target
from singer_sdk.exceptions import InvalidRecord, RecordsWithoutSchemaException
from singer_sdk.mapper import PluginMapper, RemoveRecordTransform, SameRecordTransform
from singer_sdk.plugin_base import PluginBase
from singer_sdk.singerlib.exceptions import InvalidInputLine
from singer_sdk.sinks.core import JSONSchemaValidator
from singer_sdk.target_base import Target as TargetBase

from target_databox.sinks import DatasetSink
from target_databox.target import TargetDatabox

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEMA = (
    '{"type":"SCHEMA","stream":"s","schema":{"properties":{"id":{"type":"integer"}}},"key_properties":["id"]}'
    "\n"
)
RECORD = '{"type":"RECORD","stream":"s","record":{"id":1}}\n'


class PlainSink(Sink):
    """Keeps what it is given."""

    taken: list[dict[str, Any]]

    def setup(self) -> None:
        """Begin with nothing."""
        self.taken = []

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:  # noqa: ARG002 # as in the SDK
        """Keep a record."""
        self.taken.append(record)

    def process_batch(self, context: dict[str, Any]) -> None:
        """Do nothing more."""


class PlainTarget(Target):
    """A target as the SDK makes it."""

    name = "target-plain"
    config_jsonschema: dict[str, Any] = {"properties": {}}  # noqa: RUF012 # as in the SDK
    default_sink_class = PlainSink


def plain(*lines: str) -> PlainTarget:
    """A target that has read some lines and not ended."""
    target = PlainTarget(config={}, validate_config=False)
    target.process_lines(io.StringIO("".join(lines)))
    return target


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the process's signals alone."""
    monkeypatch.setattr(PluginBase, "_setup_signal_handlers", lambda _: None)


def test_state_waits_for_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """The SDK writes STATE when everything is drained, not before."""
    target = plain(SCHEMA, RECORD, '{"type":"STATE","value":{"a":1}}\n')
    assert capsys.readouterr().out == ""
    target.process_endofpipe()
    assert capsys.readouterr().out == '{"a": 1}\n'


def test_empty_state_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    """The SDK does not write a STATE of {}."""
    plain('{"type":"STATE","value":{}}\n').process_endofpipe()
    assert capsys.readouterr().out == ""


def test_float_in_state_fails() -> None:
    """The SDK can't write a STATE with a fraction."""
    target = plain('{"type":"STATE","value":{"a":1.5}}\n')
    with pytest.raises(TypeError, match="Decimal is not JSON serializable"):
        target.process_endofpipe()


def test_termination_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    """The SDK's handler of signals drains from within whatever was going on, and exits with 0."""
    target = plain(SCHEMA, RECORD, '{"type":"STATE","value":{"a":1}}\n')
    with pytest.raises(SystemExit) as caught:
        TargetBase._handle_termination(target, 15, None)
    assert caught.value.code == 0
    assert capsys.readouterr().out == '{"a": 1}\n'
    assert TargetDatabox._handle_termination is not TargetBase._handle_termination


def test_bad_line_is_logged_whole(caplog: pytest.LogCaptureFixture) -> None:
    """The SDK's reader logs a line that it can't read."""
    with pytest.raises(InvalidInputLine, match="canary"):
        plain('{"canary": \n')
    assert "canary" in caplog.text


def test_activation_of_unknown_stream_is_no_sentence() -> None:
    """ACTIVATE_VERSION of an unknown stream is a bare KeyError."""
    with pytest.raises(KeyError):
        plain('{"type":"ACTIVATE_VERSION","stream":"s","version":1}\n')


def test_null_key_passes() -> None:
    """The SDK checks that key properties are there, not that they hold a value."""
    schema = SCHEMA.replace('"integer"', '["integer","null"]')
    target = plain(schema, RECORD.replace("1", "null"))
    assert target.get_sink("s").taken == [{"id": None}]  # type: ignore[attr-defined]


def test_date_times_become_objects() -> None:
    """The SDK parses date-times, and cuts them to microseconds."""
    schema = SCHEMA.replace('"integer"', '"string","format":"date-time"')
    target = plain(schema, RECORD.replace(":1}", ':"2026-01-01T00:00:00.123456789Z"}'))
    (record,) = target.get_sink("s").taken  # type: ignore[attr-defined]
    assert record["id"].microsecond == 123456


def test_changed_schema_keeps_the_old_sink() -> None:
    """On a changed SCHEMA the SDK sets the old sink aside, to be drained after newer rows."""
    target = plain(SCHEMA, RECORD, SCHEMA.replace("integer", "number"))
    assert len(target._sinks_to_clear) == 1


def test_unknown_stream_has_an_error() -> None:
    """The SDK's own errors for a RECORD before SCHEMA is what its suite asks for."""
    with pytest.raises(RecordsWithoutSchemaException):
        plain(RECORD)


def test_validator_quotes_values() -> None:
    """The SDK's validator says what a value is."""
    with pytest.raises(InvalidRecord, match="canary"):
        JSONSchemaValidator({"properties": {"a": {"type": "integer"}}}).validate({"a": "canary"})


def test_schema_is_changed_in_place() -> None:
    """A sink changes the schema that it is given, which is why what was declared is kept apart."""
    schema = {"properties": {"id": {"type": "integer"}}}
    target = PlainTarget(config={"add_record_metadata": True}, validate_config=False)
    target.get_sink("s", schema=schema, key_properties=["id"])
    assert "_sdc_sequence" in schema["properties"]


def test_flattening_comes_first() -> None:
    """The SDK flattens before it validates, so its flattening stays off."""
    config = {"flattening_enabled": True, "flattening_max_depth": 2}
    mapper = PluginMapper(plugin_config=config, logger=logging.getLogger("x"))
    mapper.register_raw_stream_schema("s", {"properties": {"a": {"type": "array"}}}, [])
    assert mapper.stream_maps["s"][0].transform({"a": [1, Decimal("2.5")]}) == {"a": "[1,2.5]"}


def test_maps_are_of_known_kinds() -> None:
    """A stream without maps passes as it is, and one that is mapped to null is removed."""
    mapper = PluginMapper(plugin_config={"stream_maps": {"b": "__NULL__"}}, logger=logging.getLogger("x"))
    for stream in "ab":
        mapper.register_raw_stream_schema(stream, {"properties": {"id": {}}}, ["id"])
    assert type(mapper.stream_maps["a"][0]) is SameRecordTransform
    assert type(mapper.stream_maps["b"][0]) is RemoveRecordTransform


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (TargetBase, "_process_schema_message", ["self", "message_dict"]),
        (TargetBase, "_process_record_message", ["self", "message_dict"]),
        (TargetBase, "_process_state_message", ["self", "message_dict"]),
        (TargetBase, "_process_batch_message", ["self", "message_dict"]),
        (TargetBase, "_process_activate_version_message", ["self", "message_dict"]),
        (TargetBase, "_handle_termination", ["self", "signum", "frame"]),
        (TargetBase, "process_endofpipe", ["self"]),
        (TargetBase, "get_sink", ["self", "stream_name", "record", "schema", "key_properties"]),
        (Sink, "_add_sdc_metadata_to_record", ["self", "record", "message", "context"]),
        (Sink, "_remove_sdc_metadata_from_record", ["self", "record"]),
        (Sink, "get_validator", ["self"]),
        (Sink, "clean_up", ["self"]),
        (PluginMapper, "register_raw_stream_schema", ["self", "stream_name", "schema", "key_properties"]),
    ],
)
def test_overridden_names_are_there(owner: Any, name: str, parameters: Sequence[str]) -> None:
    """Every private name that is overridden or called has the parameters that are counted on."""
    assert list(inspect.signature(getattr(owner, name)).parameters) == list(parameters)


def test_batch_size_is_the_setting() -> None:
    """A sink's batch size is the setting's, which has a value in every configuration; max_size stays."""
    assert "max_size" not in vars(DatasetSink)
    for version, most_rows in (("v1", 100), ("v2", 500)):
        config = {"api_key": "k", "api_version": version}
        sink = DatasetSink(TargetDatabox(config=config), "s", {"properties": {"id": {}}}, ["id"])
        assert sink.max_size == most_rows


def test_about_is_json() -> None:
    """What `--about` says of the settings can be read by a machine."""
    assert json.loads(json.dumps(TargetDatabox.config_jsonschema))["additionalProperties"] is False
