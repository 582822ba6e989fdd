"""Facts on how settings are read: from files, Meltano and the environment, and what is wrong with them."""

from __future__ import annotations

import dataclasses
import json
import zoneinfo
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from target_databox.settings.about import CONFIG_JSONSCHEMA
from target_databox.settings.checks import _is_timezone
from target_databox.settings.errors import SettingsError
from target_databox.settings.reading import Settings, read_settings
from target_databox.settings.table import TABLE

KEY = {"api_key": "pak_made-up"}
DEFAULTS = {setting.name: setting.default for setting in TABLE}


def settings(**config: Any) -> Settings:
    """Settings of a configuration that has a key."""
    return read_settings({**KEY, **config}, {})


def problems(config: dict[str, Any], variables: dict[str, str] | None = None) -> tuple[str, ...]:
    """What is wrong with a configuration."""
    with pytest.raises(SettingsError) as caught:
        read_settings(config, variables or {})
    assert all(problem in str(caught.value) for problem in caught.value.problems)
    return caught.value.problems


def test_defaults_are_those_of_the_table() -> None:
    """Without a configuration every setting has its default."""
    read = settings()
    limits = {"batch_size_rows": 100, "batch_size_bytes": 1_000_000}
    for name, default in {**DEFAULTS, **limits}.items():
        if name != "api_key":
            assert getattr(read, name) == ({} if default is None and name in OBJECTS else default), name
    assert not read.emulated


OBJECTS = (
    "dataset_ids",
    "dataset_titles",
    "primary_keys",
    "column_types",
    "stream_maps",
    "stream_map_config",
    "faker_config",
)


def test_limits_are_those_of_the_version() -> None:
    """Batches are as large as the version of the API allows, where nothing is said."""
    read = settings(api_version="v2")
    assert (read.batch_size_rows, read.batch_size_bytes) == (500, 10_485_760)
    assert (read.dialect.name, settings().dialect.name) == ("v2", "v1")
    assert settings(api_version="v2", batch_size_rows=101).batch_size_rows == 101


@pytest.mark.parametrize(
    ("version", "good", "bad", "kind"), [("v1", "6f96", 12, "a UUID"), ("v2", 12, "6f96", "a whole number")]
)
def test_ids_are_those_of_the_version(version: str, good: object, bad: object, kind: str) -> None:
    """An id of the other version is an error that says so; whole numbers may be text or not."""
    for each in (good, str(good)):
        assert settings(api_version=version, dataset_ids={"a": each}).dataset_ids == {"a": str(good)}
    (problem,) = problems({**KEY, "api_version": version, "dataset_ids": {"a": bad}})
    assert problem.startswith(f"dataset_ids.a must be {kind} with api_version {version}, not ")


def test_passed_defaults_are_accepted() -> None:
    """Meltano passes every default and null for the others: that is the same as passing nothing."""
    assert settings(**{name: value for name, value in DEFAULTS.items() if name != "api_key"}) == settings()


@pytest.mark.parametrize(
    ("name", "given", "read"),
    [
        ("batch_size_rows", "10", 10),
        ("batch_size_rows", " 10 ", 10),
        ("batch_size_rows", 10.0, 10),
        ("batch_size_rows", "1e1", 10),
        ("account_id", "123", 123),
        ("account_id", "", None),
        ("account_id", None, None),
        ("rejects_limit", 0, 0),
        ("requests_per_second", "0.5", 0.5),
        ("requests_per_second", 3, 3.0),
        ("retry_seconds", "0", 0.0),
        ("batch_age_seconds", "", 30.0),
        ("schema_declaration", "false", False),
        ("schema_declaration", "No", False),
        ("schema_declaration", "OFF", False),
        ("schema_declaration", 0, False),
        ("schema_declaration", "0", False),
        ("add_record_metadata", "True", True),
        ("add_record_metadata", "yes", True),
        ("add_record_metadata", 1, True),
        ("schema_declaration", "", True),
        ("load_method", " overwrite ", "overwrite"),
        ("boolean_format", "number", "number"),
        ("data_source_title", "  Sales  ", "Sales"),
        ("timezone", "Europe/Berlin", "Europe/Berlin"),
        ("rejects_path", "out/rejects.singer", Path("out/rejects.singer")),
        ("rejects_path", "", None),
        ("api_url", "https://api.example.com/", "https://api.example.com"),
        ("api_key", " pak_1 ", "pak_1"),
        ("flattening_separator", " ", " "),
        ("flattening_max_depth", "0", 0),
        ("unconfirmed_bytes", 10**12, 10**12),
        ("dataset_ids", '{"orders": "abc"}', {"orders": "abc"}),
        ("dataset_ids", {"a": {"b": "abc"}}, {"a.b": "abc"}),
        ("dataset_ids", {"orders": None}, {}),
        ("dataset_titles", {"a.b": " T "}, {"a.b": "T"}),
        ("dataset_titles", "", {}),
        ("column_types", {"orders": {"amount": "number"}}, {"orders.amount": "number"}),
        ("column_types", {"orders.amount": "number"}, {"orders.amount": "number"}),
        ("column_types", '{"*": {"day": "datetime:%d.%m.%Y"}}', {"*.day": "datetime:%d.%m.%Y"}),
        ("stream_map_config", '{"a": 1}', {"a": 1}),
        ("primary_keys", {"orders": ["id", "line"], "log": []}, {"orders": ["id", "line"], "log": []}),
        ("primary_keys", '{"a.b": ["id"], "log": []}', {"a.b": ["id"], "log": []}),
        ("primary_keys", {"a": {"b": ["id"], "c": {"d": []}}, "e": None}, {"a.b": ["id"], "a.c.d": []}),
        ("primary_keys", {"orders": '["id", "a b"]'}, {"orders": ["id", "a b"]}),
        ("primary_keys", "", {}),
    ],
)
def test_values_are_understood(name: str, given: Any, read: Any) -> None:
    """Values are understood as files, Meltano and the environment write them."""
    value = getattr(settings(**{name: given}), name)
    assert value == read
    assert type(value) is type(read)


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("batch_size_rows", 0, "1 to 500"),
        ("batch_size_rows", 101, "at most 100 with api_version v1"),
        ("batch_size_rows", "ten", "1 to 500"),
        ("batch_size_rows", 1.5, "must be an integer"),
        ("batch_size_rows", True, "not True"),
        ("batch_size_rows", "1_0", "not text"),
        ("batch_size_rows", "1e999", "out of range"),
        ("batch_size_rows", [1], "must be an integer"),
        ("batch_size_bytes", 999, "1,000 to 10,485,760"),
        ("unconfirmed_bytes", 1_999_999, "2,000,000 or more"),
        ("account_id", 0, "1 or more"),
        ("account_id", float("nan"), "must be an integer"),
        ("concurrent_requests", 33, "1 to 32"),
        ("batch_age_seconds", 0, "greater than 0"),
        ("batch_age_seconds", -1, "greater than 0"),
        ("retry_seconds", -1, "0 or more"),
        ("request_timeout_seconds", "inf", "must be a number"),
        ("request_timeout_seconds", float("inf"), "must be a number"),
        ("request_timeout_seconds", "1e999", "out of range"),
        ("request_timeout_seconds", {}, "must be a number"),
        ("schema_declaration", "maybe", "true or false"),
        ("schema_declaration", 2, "true or false"),
        ("schema_declaration", [], "true or false"),
        ("load_method", "replace", "upsert, append-only or overwrite"),
        ("load_method", 3, "upsert"),
        ("load_method", "", "upsert"),
        ("confirmation", "none", "rows or status"),
        ("data_source_title", "   ", "1 to 255 characters"),
        ("data_source_title", "x" * 256, "256 characters"),
        ("data_source_title", 5, "not a number"),
        ("timezone", "Europe/Berln", "did you mean Europe/Berlin?"),
        ("timezone", "../etc/passwd", "IANA name"),
        ("api_url", "http://api.databox.com", "must be https"),
        ("api_url", "https://u:secret@x", "user name"),
        ("flattening_max_depth", -1, "0 to 100"),
        ("flattening_separator", "", "1"),
        ("dataset_ids", "[1]", "must be an object"),
        ("dataset_ids", "{", "no JSON"),
        ("dataset_ids", {"orders": 5}, "dataset_ids.orders must be a UUID with api_version v1"),
        ("dataset_ids", {"orders": 5.5}, "dataset_ids.orders must be an id"),
        ("dataset_titles", {"orders": ""}, "dataset_titles.orders must be text of 1 to 255"),
        ("column_types", {"orders": "number"}, "column_types.orders must be an object from column to type"),
        ("column_types", {"orders": {"a": "int"}}, "column_types.orders.a must be string, number, datetime"),
        (
            "column_types",
            {"orders": {"a": "datetime:%H"}},
            "column_types.orders.a needs a date format with a year",
        ),
        ("column_types", {"orders": {"a": ["number"]}}, "not an array"),
        ("primary_keys", {"orders": "id"}, 'orders must be a list of columns, such as ["id"], not text'),
        ("primary_keys", {"orders": "[1"}, "orders must be a list of columns"),
        ("primary_keys", {"a": {"b": True}}, "a.b must be a list of columns"),
        ("primary_keys", {"orders": ["id", 1]}, "; 1 is not the name of a column"),
        ("primary_keys", {"orders": '["id", " "]'}, "; ' ' is not the name of a column"),
        ("primary_keys", {"orders": ["id", "id"]}, "names a column twice"),
        ("primary_keys", ["id"], "must be an object"),
        ("rejects_policy", "accept", "needs rejects_path"),
        ("api_key", "pak secret", "characters that no key has"),
        ("api_key", "pak\nsecret", "characters"),
        ("api_key", 7, "must be text"),
    ],
)
def test_bad_values_are_reported(name: str, given: Any, words: str) -> None:
    """A bad value is an error that names the setting, the problem and the allowed range, and no secret."""
    (problem,) = problems({**KEY, name: given})
    assert problem.startswith(name)
    assert words in problem
    assert "secret" not in problem
    assert problem[-1] in ".?"


def test_every_problem_is_listed() -> None:
    """All problems are reported at once."""
    reported = problems({"batch_size_rows": 0, "timezone": "x", "api_kee": "k"})
    assert [problem.split()[0] for problem in reported] == [
        "api_kee",
        "batch_size_rows",
        "api_key",
        "timezone",
    ]


@pytest.mark.parametrize(
    ("name", "reported"),
    [
        (
            "batch_size_row",
            "batch_size_row is not a setting of target-databox; did you mean batch_size_rows?",
        ),
        ("zzz", "zzz is not a setting of target-databox."),
        (
            "load_method.orders",
            "load_method.orders is not a setting of target-databox; did you mean load_method?",
        ),
    ],
)
def test_unknown_settings_are_named(name: str, reported: str) -> None:
    """An unknown setting is an error that names it and the nearest known one."""
    assert problems({**KEY, name: 1}) == (reported,)


def test_key_is_required_and_hidden() -> None:
    """A run needs a key unless told otherwise, and no text that describes the settings holds it."""
    reported = (
        "api_key is required. Write it into the file of --config, or set TARGET_DATABOX_API_KEY and add "
        "--config ENV."
    )
    assert problems({}) == (reported,)
    assert problems({"api_key": " "}) == (reported,)
    assert read_settings({}, {}, require_key=False).api_key == ""
    assert "pak_made-up" not in repr(settings())


def test_unread_variable_is_reported() -> None:
    """A key that stands in a variable which nobody asked to read is reported by how to have it read."""
    with pytest.raises(SettingsError) as caught:
        read_settings({}, {"TARGET_DATABOX_API_KEY": "pak_made-up"})
    assert caught.value.problems == (
        "api_key is required. TARGET_DATABOX_API_KEY is set, but variables are read with --config ENV only.",
    )


def test_emulator_wins_over_everything() -> None:
    """Where the environment names an emulator, its address and key are used whatever else is set."""
    variables = {
        "TARGET_DATABOX_EMULATOR_URL": "http://127.0.0.1:8123",
        "TARGET_DATABOX_EMULATOR_KEY": "pak_emulator",
    }
    read = read_settings({"api_key": "pak_real", "api_url": "https://api.databox.com"}, variables)
    assert (read.api_url, read.api_key, read.emulated) == ("http://127.0.0.1:8123", "pak_emulator", True)
    assert read.config["api_key"] == "pak_emulator"
    assert read.config["api_url"] == "http://127.0.0.1:8123"
    assert read_settings({"api_url": "nonsense"}, variables).api_key == "pak_emulator"


@pytest.mark.parametrize(
    "url", ["https://api.databox.com", "http://10.0.0.1:80", "nonsense", "https://user:x@localhost"]
)
def test_emulators_are_on_this_machine(url: str) -> None:
    """The emulator's address can't lead to another machine."""
    variables = {"TARGET_DATABOX_EMULATOR_URL": url, "TARGET_DATABOX_EMULATOR_KEY": "k"}
    (problem,) = problems(KEY, variables)
    assert problem.startswith("TARGET_DATABOX_EMULATOR_URL must")


@pytest.mark.parametrize(
    ("word", "unlimited"), [("true", True), ("1", True), ("false", False), (" ", False), (None, False)]
)
def test_unlimited_emulators_are_not_paced(word: str | None, unlimited: bool) -> None:
    """Beside an emulator's address the word that it has no limits wins over the configured pace."""
    variables = {"TARGET_DATABOX_EMULATOR_URL": "http://127.0.0.1:1", "TARGET_DATABOX_EMULATOR_KEY": "k"}
    if word is not None:
        variables["TARGET_DATABOX_EMULATOR_NO_LIMITS"] = word
    read = read_settings({"requests_per_second": 2, "requests_per_hour": "30"}, variables)
    assert (read.requests_per_second > 1e6, read.requests_per_hour > 1e6) == (unlimited, unlimited)
    assert unlimited or (read.requests_per_second, read.requests_per_hour) == (2, 30)


def test_real_accounts_are_always_paced() -> None:
    """Without an emulator's address the word that it has no limits means nothing."""
    read = read_settings({"api_key": "pak_real"}, {"TARGET_DATABOX_EMULATOR_NO_LIMITS": "true"})
    assert (read.requests_per_second, read.requests_per_hour) == (10, 10_000)


def test_unclear_words_about_limits_are_refused() -> None:
    """A word that is neither yes nor no is an error that names the variable."""
    variables = {"TARGET_DATABOX_EMULATOR_URL": "http://127.0.0.1:1", "TARGET_DATABOX_EMULATOR_KEY": "k"}
    (problem,) = problems(KEY, {**variables, "TARGET_DATABOX_EMULATOR_NO_LIMITS": "perhaps"})
    assert problem.startswith("TARGET_DATABOX_EMULATOR_NO_LIMITS must be true or false")


def test_emulators_need_their_own_key() -> None:
    """The configured key, which may be a real one, is never sent to an emulator."""
    (problem,) = problems(KEY, {"TARGET_DATABOX_EMULATOR_URL": "http://localhost:1"})
    assert problem == "TARGET_DATABOX_EMULATOR_KEY must be set where TARGET_DATABOX_EMULATOR_URL is."


def test_streams_may_hold_dots() -> None:
    """Types of columns find their stream however they are nested and wherever the dots are."""
    types = {"a": {"b": {"amount": "number"}}, "a.b.day": "datetime", "*": {"day": "string", "x.y": "number"}}
    read = settings(column_types=types)
    assert read.column_types_for("a.b") == {"day": "datetime", "amount": "number", "x.y": "number"}
    assert read.column_types_for("a") == {
        "day": "string", "x.y": "number", "b.amount": "number", "b.day": "datetime",
    }  # fmt: skip
    assert read.column_types_for("a.b", ["amount"]) == {"amount": "number"}
    assert read.column_types_for("other") == {"day": "string", "x.y": "number"}


class Counted(dict[str, str]):
    """An object that counts how often all of its entries are looked at."""

    looks = 0

    def items(self) -> Any:
        """Every entry, counted."""
        self.looks += 1
        return super().items()

    def __iter__(self) -> Any:
        """Every name, counted."""
        self.looks += 1
        return super().__iter__()


def test_many_streams_look_at_the_types_once() -> None:
    """However many streams ask for their types, and what is unused, each entry is looked at twice."""
    names = [f"s{number}" for number in range(300)]
    types = Counted({f"{name}.a": "number" for name in names})
    read = dataclasses.replace(settings(), column_types=types)
    assert [read.column_types_for(name) for name in names] == [{"a": "number"}] * 300
    assert read.unused({name: {"b"} for name in names}) == [f"column_types.{name}.a" for name in names]
    assert types.looks == 2


def test_dotted_entries_keep_their_place() -> None:
    """Objects that come dotted, nested or both are one, and what was given is not changed."""
    nested = {"b": "2"}
    config = {"dataset_titles.a": "1", "dataset_titles": nested, "dataset_titles.c.d": "3"}
    assert settings(**config).dataset_titles == {"a": "1", "b": "2", "c.d": "3"}
    assert settings(**{"dataset_titles": nested, "dataset_titles.a": "1"}).dataset_titles == {
        "b": "2",
        "a": "1",
    }
    assert nested == {"b": "2"}


def test_unused_entries_are_found() -> None:
    """Types of columns that their stream does not have are found; streams that never came are no fault."""
    read = settings(
        dataset_ids={"ordres": "a", "orders": "b"},
        dataset_titles={"gone": "T"},
        primary_keys={"gone": ["id"]},
        column_types={
            "orders": {"amuont": "number", "amount": "number"},
            "*.day": "datetime",
            "*.dya": "datetime",
            "gone.x": "string",
            "a.b.day": "datetime",
        },
    )
    assert read.unused({}) == []
    assert read.unused({"orders": {"amount"}, "a.b": {"day"}}) == [
        "column_types.orders.amuont",
        "column_types.*.dya",
    ]
    assert read.unused({"a": {"b.day"}, "a.b": set()}) == ["column_types.*.day", "column_types.*.dya"]


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ({"orders": {"total": "a * b"}}, {"orders": {"total": "a * b"}}),
        ({"orders.total": "a * b"}, {"orders": {"total": "a * b"}}),
        ({"a.b.total": "x", "a.b": {"__alias__": "c"}}, {"a.b": {"total": "x", "__alias__": "c"}}),
        ({"a": {"b": {"__alias__": "c"}}}, {"a.b": {"__alias__": "c"}}),
        ({"a": {"x": "y", "b": {"z": None}}}, {"a": {"x": "y"}, "a.b": {"z": None}}),
        ({"orders.__key_properties__": ["id"]}, {"orders": {"__key_properties__": ["id"]}}),
        ({"orders.__else__": None}, {"orders": {"__else__": None}}),
        (
            {"a.b": None, "c.d": "__NULL__", "__else__": None},
            {"a.b": None, "c.d": "__NULL__", "__else__": None},
        ),
        ({"orders": {}}, {"orders": {}}),
    ],
)
def test_stream_maps_are_nested(given: dict[str, Any], read: dict[str, Any]) -> None:
    """Stream maps are understood nested and dotted, as the SDK's own form."""
    assert settings(stream_maps=given).stream_maps == read
    assert settings(stream_maps=json.dumps(given)).config["stream_maps"] == read


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        (
            {"orders": "abc"},
            "orders must be an object from column to expression, or null to leave the stream out; not text",
        ),
        ({"__else__": "x"}, "__else__ must be null, which leaves out streams that are not named; not text"),
        (
            {"__alias__": {"x": "y"}},
            "__alias__ is no name of a stream, and no word of stream maps that can stand there",
        ),
        (
            {"orders": {"x": 5}},
            "orders.x must be an expression as text, or null to leave the column out; not a number",
        ),
        (
            {"orders": {"__else__": "x"}},
            "orders.__else__ must be null, which leaves out columns that are not named; not text",
        ),
        ({"orders": {"__alias__": 5}}, "orders.__alias__ must be text, not a number"),
        ({"orders": {"__filter__": 1}}, "orders.__filter__ must be text, not a number"),
        ({"orders": {"__source__": None}}, "orders.__source__ must be text, not null"),
        (
            {"__else__": {"x": "y"}},
            "__else__ must be null, which leaves out streams that are not named; not an object",
        ),
        (
            {"orders.__key_properties__": "id"},
            "orders.__key_properties__ must be a list of columns' names, not text",
        ),
        (
            {"orders": {"__filtr__": "a"}},
            "orders.__filtr__ is no word of stream maps; did you mean __filter__",
        ),
        ({"orders": {"x": "int("}}, "orders.x is no expression ('(' was never closed)."),
        ({"orders": {"x": "a = b"}}, "orders.x is no expression (invalid syntax"),
        ({"orders": {"__filter__": ""}}, "orders.__filter__ is no expression (invalid syntax)."),
        ({"orders": {"x": "(" * 3_000}}, "orders.x is no expression"),
        ({"orders": {"x": "a\0"}}, "orders.x is no expression"),
    ],
)
def test_bad_stream_maps_are_named(given: dict[str, Any], reported: str) -> None:
    """What the SDK can't use of stream_maps is reported by stream and column, before anything is read."""
    (problem,) = problems({**KEY, "stream_maps": given})
    assert problem.startswith(f"stream_maps.{reported}")


def test_good_stream_maps_pass() -> None:
    """Words of stream maps, filters and columns that look like words have nothing wrong with them."""
    maps = {
        "orders": {
            "__filter__": "bool(x > 1)",
            "__else__": "__NULL__",
            "__alias__": "a-b c",
            "__typename__": "x",
        },
        "other": {"__filter__": None, "__key_properties__": None},
        "copy": {"__source__": "orders", "__key_properties__": [], "id": "__NULL__", "total": "float(a) * 2"},
        "gone": None,
        "__else__": None,
    }
    assert settings(stream_maps=maps).stream_maps == maps


@pytest.mark.parametrize(
    ("given", "reported"),
    [
        ({"sed": 1}, "sed is not a setting of Faker here; there are seed and locale"),
        ({"seed": [1]}, "seed must be a number or text, not an array"),
        ({"locale": ["de", 5]}, "locale must be text or a list of texts, not an array"),
    ],
)
def test_bad_faker_config_is_named(given: dict[str, Any], reported: str) -> None:
    """What Faker could not use is reported by its name."""
    assert problems({**KEY, "faker_config": given}) == (f"faker_config.{reported}.",)
    assert settings(faker_config={"seed": 1, "locale": ["de", "en"]}).faker_config["seed"] == 1


@pytest.mark.parametrize("value", ["9" * 5_000, "pak_0f5e", "x" * 300, "\u2028\x1b[31m\ud800"])
@pytest.mark.parametrize(
    "name", ["account_id", "timezone", "load_method", "requests_per_hour", "column_types.a.b"]
)
def test_odd_values_are_not_repeated(name: str, value: str) -> None:
    """A value that is long, looks like a key, or can't be printed stands in no message as it came."""
    (problem,) = problems({**KEY, name: value})
    assert problem.startswith(name)
    assert value not in problem
    assert len(problem) < 250
    assert problem.isprintable()


def test_endless_depth_is_no_object() -> None:
    """Text of a setting that is nested beyond reading is no JSON."""
    (problem,) = problems({**KEY, "column_types": '{"a":' * 100_000 + "1" + "}" * 100_000})
    assert problem == "column_types must be an object, or an object as JSON text; this text is no JSON."


def test_dotted_settings_join_their_object() -> None:
    """A dotted setting is an entry of its object, beside those that came nested."""
    read = settings(**{"primary_keys.a.b": ["id"], "primary_keys": {"orders": []}})
    assert read.primary_keys == {"a.b": ["id"], "orders": []}
    read = settings(
        **{"column_types.orders.amount": "number", "column_types": {"orders": {"day": "datetime"}}}
    )
    assert read.column_types == {"orders.amount": "number", "orders.day": "datetime"}


def test_read_configuration_fits_the_schema() -> None:
    """What has been read is a configuration that the published schema accepts, and reads the same again."""
    read = settings(
        batch_size_rows="10", requests_per_hour="5000", schema_declaration="off", stream_maps={"a.b": "c"},
        column_types={"a": {"b": {"c": "number"}}}, rejects_path="x", account_id="7",
        primary_keys={"a": {"b": ["id"]}},
    )  # fmt: skip
    for config in (read.config, read.sdk_config(), read_settings({}, {}, require_key=False).config):
        jsonschema.Draft202012Validator(CONFIG_JSONSCHEMA).validate(config)
    assert read_settings(read.config, {}) == read
    assert read.flattening_enabled
    assert read.flattening.enabled
    assert read.sdk_config()["flattening_enabled"] is False


def test_schema_describes_every_setting() -> None:
    """Every setting has a title, a description and its default in the schema; the key is a secret."""
    properties = CONFIG_JSONSCHEMA["properties"]
    assert list(properties) == [setting.name for setting in TABLE]
    for setting in TABLE:
        assert properties[setting.name]["title"], setting.name
        assert properties[setting.name]["description"].endswith("."), setting.name
        assert properties[setting.name].get("default") == setting.default, setting.name
    assert properties["api_key"]["secret"]
    assert CONFIG_JSONSCHEMA["required"] == ["api_key"]
    assert CONFIG_JSONSCHEMA["additionalProperties"] is False
    assert properties["batch_size_rows"]["maximum"] == 500


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(DEFAULTS)), ANYTHING)
def test_any_value_is_read_or_reported(name: str, value: Any) -> None:
    """Whatever a configuration holds, it is read or reported as a problem of that setting."""
    try:
        config = read_settings({**KEY, name: value}, {}).config
    except SettingsError as error:
        reported = error.problems
    else:
        reported = ()
        jsonschema.Draft202012Validator(CONFIG_JSONSCHEMA).validate(config)
    assert all(problem.startswith((name, "api_key")) for problem in reported)


def test_every_known_timezone_is_valid() -> None:
    """A time zone is valid if this machine lists it."""
    known = zoneinfo.available_timezones()
    assert {name for name in known if not _is_timezone(name)} == set()


@pytest.mark.parametrize(
    "name", ["", "Europe", "posix/Europe/Berlin", "right/UTC", "posixrules", "../UTC", "/UTC", "a\0b"]
)
def test_parts_of_the_tree_are_no_timezones(name: str) -> None:
    """Directories, copies and paths of time zone data are no time zones."""
    assert not _is_timezone(name)
