"""Checks the SDK's own settings, so that they fail as all others do: before anything is read."""

from __future__ import annotations

import ast
import difflib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from target_databox.settings.values import kind_of, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

_ELSE: Final = "__else__"
_FILTER: Final = "__filter__"
_KEYS: Final = "__key_properties__"
_WORDS: Final = (_ELSE, _FILTER, _KEYS, "__alias__", "__source__")


def stream_map_problems(stream_maps: Mapping[str, Any]) -> Iterator[str]:
    """A clause for each entry of `stream_maps` that the SDK can't use, without the leading `stream_maps.`.

    Args:
        stream_maps: Nested, as the SDK takes them.
    """
    for stream, members in stream_maps.items():
        if stream == _ELSE:
            if not _is_removed(members):
                advice = "must be null, which leaves out streams that are not named"
                yield f"{stream} {advice}; not {shown(members)}"
        elif stream.startswith("__"):
            yield f"{stream} is no name of a stream, and no word of stream maps that can stand there"
        elif isinstance(members, Mapping):
            for name, value in members.items():
                problem = _member_problem(name, value)
                if problem is not None:
                    yield f"{stream}.{name} {problem}"
        elif not _is_removed(members):
            yield (
                f"{stream} must be an object from column to expression, or null to leave the stream out; not "
                f"{kind_of(members)}"
            )


def faker_problems(config: Mapping[str, Any]) -> Iterator[str]:
    """A clause for each entry of `faker_config` that is wrong, without the leading `faker_config.`."""
    for name, value in config.items():
        if name == "seed":
            if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float, str))):
                yield f"seed must be a number or text, not {kind_of(value)}"
        elif name == "locale":
            locales = value if isinstance(value, list) else [value]
            if value is not None and not all(isinstance(each, str) for each in locales):
                yield f"locale must be text or a list of texts, not {kind_of(value)}"
        else:
            yield f"{name} is not a setting of Faker here; there are seed and locale"


def _is_removed(value: Any) -> bool:
    return value is None or value == "__NULL__"


def _member_problem(name: str, value: Any) -> str | None:
    if value is None and name in (_FILTER, _KEYS):
        return None
    if name == _KEYS:
        is_list = isinstance(value, list) and all(isinstance(each, str) for each in value)
        return None if is_list else f"must be a list of columns' names, not {kind_of(value)}"
    if name == _ELSE:
        advice = "must be null, which leaves out columns that are not named"
        return None if _is_removed(value) else f"{advice}; not {shown(value)}"
    if name in _WORDS and not isinstance(value, str):
        return f"must be text, not {kind_of(value)}"
    if name in _WORDS and name != _FILTER:
        return None
    if name not in _WORDS and name.startswith("__") and name.endswith("__"):
        nearest = difflib.get_close_matches(name, _WORDS, n=1, cutoff=0.8)
        if nearest:
            return f"is no word of stream maps; did you mean {nearest[0]}"
    if _is_removed(value):
        return None
    if not isinstance(value, str):
        return f"must be an expression as text, or null to leave the column out; not {kind_of(value)}"
    return _expression_problem(value)


def _expression_problem(expression: str) -> str | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(expression, mode="eval")
    except SyntaxError as error:
        return f"is no expression ({error.msg})"
    except (ValueError, RecursionError, MemoryError):
        return "is no expression"
    return None
