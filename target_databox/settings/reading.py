"""Reads the settings of a run from wherever they are, and checks them before anything is read or sent.

Configuration files, Meltano and the environment write one value in different ways (numbers and booleans as
text, objects nested or dotted). ``read_settings`` accepts all of them, so that no other code has to.
``table`` describes the settings, ``values`` and ``trees`` what a value may be.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from target_databox.outputs.rejects_path import look_at
from target_databox.records.columns import Flattening
from target_databox.settings.checks import check_address, check_key, check_timezone, fit_to_version
from target_databox.settings.environment import (
    EMULATOR_KEY_VARIABLE,
    EMULATOR_NO_LIMITS_VARIABLE,
    EMULATOR_URL_VARIABLE,
    ENVIRONMENT_PREFIX,
    environment_config,
    read_environment,
    unknown_variables,
)
from target_databox.settings.errors import SettingsError
from target_databox.settings.mapping import faker_problems, stream_map_problems
from target_databox.settings.secrets import holders_of_keys
from target_databox.settings.table import TABLE, Setting
from target_databox.settings.trees import entries, nested_stream_maps
from target_databox.settings.values import Boolean, Tree, ValueProblemError
from target_databox.versions import DIALECTS

if TYPE_CHECKING:
    from target_databox.api.dialect import Dialect

logger = logging.getLogger("target-databox")

EVERY_STREAM: Final = "*"

# What is never sent or shown: a stream map may well need a secret.
_MAY_HOLD_SECRETS: Final = ("api_key", "stream_maps", "stream_map_config", "faker_config")

# More requests, a second or an hour, than any run makes.
_UNLIMITED: Final = 1_000_000_000

_BY_NAME: Final = {setting.name: setting for setting in TABLE}


@dataclass(frozen=True)
class Settings:
    """The settings of a run, one attribute each, in their own types; ``TABLE`` describes them.

    Attributes:
        api_key: Empty when it was not required and not given.
        dataset_ids: Dataset id by stream name.
        dataset_titles: Dataset title by stream name.
        primary_keys: Key columns by stream name, empty for none.
        column_types: Type by ``stream.column``, or by ``*.column``; see ``column_types_for``.
        config: The same settings as a configuration that ``about.CONFIG_JSONSCHEMA`` accepts, key included.
        emulated: Whether the environment sends this run to an emulator, whatever its configuration says.
    """

    api_key: str = field(repr=False)
    api_version: Literal["v1", "v2"]
    api_url: str
    account_id: int | None
    data_source_id: int | None
    data_source_title: str
    timezone: str
    dataset_ids: Mapping[str, str]
    dataset_titles: Mapping[str, str]
    primary_keys: Mapping[str, list[str]]
    keyless_streams: Literal["append", "hash"]
    load_method: Literal["upsert", "append-only", "overwrite"]
    column_types: Mapping[str, str]
    schema_declaration: bool
    boolean_format: Literal["text", "number", "boolean"]
    batch_size_rows: int
    batch_size_bytes: int
    batch_age_seconds: float
    concurrent_requests: int
    unconfirmed_batches: int
    unconfirmed_bytes: int
    requests_per_second: float
    requests_per_hour: float
    request_timeout_seconds: float
    retry_seconds: float
    confirmation: Literal["rows", "status"]
    confirmation_timeout_seconds: float
    listing_lag_seconds: float
    state_interval_seconds: float
    rejects_path: Path | None
    rejects_policy: Literal["fail", "accept"]
    rejects_limit: int
    shutdown_seconds: float
    add_record_metadata: bool
    validate_records: bool
    stream_maps: Mapping[str, Any]
    stream_map_config: Mapping[str, Any]
    faker_config: Mapping[str, Any]
    flattening_enabled: bool
    flattening_max_depth: int
    flattening_max_key_length: int
    flattening_separator: str
    emulated: bool
    config: Mapping[str, Any] = field(repr=False)

    @property
    def dialect(self) -> Dialect:
        """The version of the API that the run uses."""
        return DIALECTS[self.api_version]

    @property
    def most_rows_bytes(self) -> int:
        """The most bytes of rows in one request, the commas between them included."""
        return self.batch_size_bytes - self.dialect.frame_bytes

    @property
    def flattening(self) -> Flattening:
        """How objects become columns."""
        return Flattening(
            enabled=self.flattening_enabled,
            max_depth=self.flattening_max_depth,
            separator=self.flattening_separator,
            max_key_length=self.flattening_max_key_length,
        )

    def sdk_config(self) -> dict[str, Any]:
        """The configuration for the SDK, without flattening: records are flattened after validation."""
        return {**self.config, "flattening_enabled": False}

    def column_types_for(self, stream: str, columns: Collection[str] | None = None) -> dict[str, str]:
        """The types that the settings give to a stream's columns; entries of the stream win over ``*``.

        Names of streams and of columns may hold dots, so a path belongs to a stream when it starts with
        the stream's name and a dot: ``a.b.amount`` is ``amount`` of stream ``a.b`` and ``b.amount`` of ``a``.

        Args:
            stream: Name of the stream, after stream maps.
            columns: Names of the stream's columns, to leave out all others.
        """
        by_stream = self._types_by_stream
        types = {**by_stream.get(EVERY_STREAM, {}), **by_stream.get(stream, {})}
        return {name: types[name] for name in types if columns is None or name in columns}

    @cached_property
    def _types_by_stream(self) -> dict[str, dict[str, str]]:
        """Types by column, by whatever could be the name of a stream: one look for each of many streams."""
        by_stream: dict[str, dict[str, str]] = {}
        for path, column_type in self.column_types.items():
            for stream, column in _readings(path):
                by_stream.setdefault(stream, {})[column] = column_type
        return by_stream

    def keys_of(self, stream: str, key_properties: Sequence[str]) -> tuple[str, ...]:
        """The columns that make up the key of a stream's rows; empty for none.

        Args:
            stream: Name of the stream, after stream maps.
            key_properties: Those of the tap or a stream map.
        """
        if self.load_method == "append-only":
            return ()
        return tuple(self.primary_keys.get(stream, key_properties))

    @property
    def hashes_rows(self) -> bool:
        """Whether the key of a row is its hash where the stream has no keys."""
        return self.keyless_streams == "hash" and self.load_method != "append-only"

    def unused(self, columns: Mapping[str, Collection[str]]) -> list[str]:
        """Entries of `column_types` for columns that their stream does not have: they may be misspelt.

        Entries of a stream that is not in the input don't count: another run may read that stream.

        Args:
            columns: Columns by stream, of the streams in the input.

        Returns:
            Entries such as `column_types.orders.amuont`, in order.
        """
        of_any_stream = set().union(*columns.values())
        known = {**columns, **({EVERY_STREAM: of_any_stream} if columns else {})}
        entries = []
        for path in self.column_types:
            matches = [column in known[stream] for stream, column in _readings(path) if stream in known]
            if matches and not any(matches):
                entries.append(f"column_types.{path}")
        return entries


def _readings(path: str) -> Iterator[tuple[str, str]]:
    """The ways to read an entry of `column_types` as stream and column, since both may hold dots."""
    dot = path.find(".")
    while dot >= 0:
        yield path[:dot], path[dot + 1 :]
        dot = path.find(".", dot + 1)


def settings_of_run(
    config: Mapping[str, Any], process: Mapping[str, str], *, parse_env: bool, require_key: bool
) -> Settings:
    """The settings of a run; those of the environment win over those of its files.

    Args:
        config: The configuration of files, later ones over earlier ones.
        process: The process's environment.
        parse_env: Whether settings are taken from the environment (`--config ENV`).
        require_key: Whether a missing API key is an error.

    Raises:
        SettingsError: As `read_settings`, or the `.env` file can't be read, or the rejects file not be used.
    """
    environment = read_environment(process)
    origins = environment.origins(parse_env=parse_env)
    if origins:
        logger.info("Read from the file .env of the working directory: %s.", ", ".join(origins))
    given = {**config, **(environment_config(environment.variables) if parse_env else {})}
    settings = read_settings(
        given, environment.variables, from_file=environment.from_file, require_key=require_key
    )
    problem = look_at(settings.rejects_path).problem if settings.rejects_path is not None else ""
    if problem:
        raise SettingsError([f"rejects_path {problem}."])
    return settings


def read_settings(
    config: Mapping[str, Any],
    variables: Mapping[str, str],
    *,
    from_file: Collection[str] = (),
    require_key: bool = True,
) -> Settings:
    """The settings of a run.

    Args:
        config: The configuration, of files and of ``environment_config``, later ones over earlier ones.
        variables: The variables of the run. Only the emulator's are read, which win over the
            configuration; a `TARGET_DATABOX_*` variable that nothing reads is an error.
        from_file: Names of variables that come from the `.env` file.
        require_key: Whether a missing API key is an error.

    Raises:
        SettingsError: A setting is unknown, missing, of the wrong type, out of range, or contradicts
            another one.
    """
    problems: list[str] = []
    given = _given(config, problems)
    problems += unknown_variables(variables, from_file, reported=config.keys() - _BY_NAME.keys())
    emulator_url = variables.get(EMULATOR_URL_VARIABLE, "").strip()
    if emulator_url:
        given.pop("api_url", None)
        given["api_key"] = variables.get(EMULATOR_KEY_VARIABLE, "").strip()
        if not given["api_key"]:
            problems.append(f"{EMULATOR_KEY_VARIABLE} must be set where {EMULATOR_URL_VARIABLE} is.")
            require_key = False
        if _is_unlimited(variables, problems):
            given |= dict.fromkeys(("requests_per_second", "requests_per_hour"), _UNLIMITED)

    values: dict[str, Any] = {}
    for setting in TABLE:
        try:
            read = _read(setting, given.get(setting.name))
        except ValueProblemError as problem:
            problems.append(f"{setting.name} {problem}.")
            read = _read(setting, None)
        values[setting.name] = read

    if emulator_url:
        values["api_url"] = emulator_url
    check_address(values, problems, emulated=bool(emulator_url))
    if not any(problem.startswith("api_key ") for problem in problems):
        check_key(values, problems, variables, require_key=require_key)
    check_timezone(values, problems)
    _read_objects(values, problems)
    fit_to_version(values, problems)
    if values["rejects_policy"] == "accept" and values["rejects_path"] is None:
        problems.append(
            "rejects_policy accept needs rejects_path: without that file rejected records are lost."
        )
    secrets = _secrets(config, variables)
    elsewhere = {name: value for name, value in values.items() if name not in _MAY_HOLD_SECRETS}
    problems += [
        f"{name} holds an API key, which belongs into api_key alone."
        for name in holders_of_keys(elsewhere, secrets)
    ]
    if problems:
        raise SettingsError(problems, secrets)

    clean = {name: value for name, value in values.items() if value is not None}
    values["rejects_path"] = Path(values["rejects_path"]) if values["rejects_path"] else None
    return Settings(**values, emulated=bool(emulator_url), config=clean)


def _is_unlimited(variables: Mapping[str, str], problems: list[str]) -> bool:
    """Whether the emulator takes as many requests as it gets, so that nothing has to be paced."""
    try:
        return bool(Boolean().read(variables.get(EMULATOR_NO_LIMITS_VARIABLE, "")))
    except ValueProblemError as problem:
        problems.append(f"{EMULATOR_NO_LIMITS_VARIABLE} {problem}.")
        return False


def _secrets(config: Mapping[str, Any], variables: Mapping[str, str]) -> list[str]:
    """The keys that a run knows, wherever they were written."""
    names = (f"{ENVIRONMENT_PREFIX}API_KEY", EMULATOR_KEY_VARIABLE)
    given = [config.get("api_key"), *(variables.get(name) for name in names)]
    return [each.strip() for each in map(str, filter(None, given))]


def _read(setting: Setting, value: Any) -> Any:
    """A setting's value in its type; its default for null and for empty text."""
    read = None if value is None else setting.kind.read(value)
    return setting.kind.read(setting.default) if read is None and setting.default is not None else read


def _given(config: Mapping[str, Any], problems: list[str]) -> dict[str, Any]:
    """The known settings of a configuration; dotted names (``column_types.orders``) become objects."""
    given: dict[str, Any] = {}
    # Objects made here, which may be added to: copied for each entry, thousands would take long.
    own: dict[str, dict[str, Any]] = {}
    for name, value in config.items():
        head, dot, rest = name.partition(".")
        setting = _BY_NAME.get(head)
        if setting is not None and not dot:
            if name in own and isinstance(value, Mapping):
                given[name] = own[name] = {**value, **own[name]}
            else:
                given[name] = value
        elif setting is not None and isinstance(setting.kind, Tree):
            known = given.get(head, {})
            if isinstance(known, Mapping):
                given[head] = own[head] = own[head] if known is own.get(head) else dict(known)
                own[head][rest] = value
        else:
            nearest = difflib.get_close_matches(name, _BY_NAME, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else "."
            problems.append(f"{name} is not a setting of target-databox{hint}")
    return given


def _read_objects(values: dict[str, Any], problems: list[str]) -> None:
    for setting in TABLE:
        if isinstance(setting.kind, Tree):
            values[setting.name] = values[setting.name] or {}
    values["stream_maps"] = nested_stream_maps(values["stream_maps"])
    problems += [f"stream_maps.{problem}." for problem in stream_map_problems(values["stream_maps"])]
    problems += [f"faker_config.{problem}." for problem in faker_problems(values["faker_config"])]
    for setting in TABLE:
        if isinstance(setting.kind, Tree) and setting.kind.entry is not None:
            values[setting.name] = entries(setting.name, setting.kind, values[setting.name], problems)
