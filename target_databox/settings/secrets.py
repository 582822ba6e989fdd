"""Keeps keys that were typed in a wrong place out of messages: by what they are, and by how they look.

Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

MASK: Final = "***"
# O: how keys of Databox begin.
KEY_PREFIX: Final = "pak_"
# A shorter key would be hidden in the middle of words.
LEAST_CHARACTERS: Final = 6

_KEY: Final = re.compile(r"pak_[\w-]*", re.IGNORECASE)
_WHOLE_KEY: Final = re.compile(r"pak_[\w-]{8,}", re.IGNORECASE)
# Tokens of all kinds: no name or word is as long without a break, and has several digits.
_TOKEN: Final = re.compile(r"[A-Za-z0-9]{20,}")
_FEWEST_DIGITS: Final = 3


def masked(text: str, secrets: Collection[str] = ()) -> str:
    """A text without keys: those that are known, and whatever looks like one.

    Args:
        text: What is to be shown.
        secrets: Keys that are known; blanks around them don't matter.
    """
    for secret in sorted({each.strip() for each in secrets}, key=len, reverse=True):
        if len(secret) >= LEAST_CHARACTERS:
            for form in {secret, repr(secret)[1:-1], ascii(secret)[1:-1]}:
                text = text.replace(form, MASK)
    return _TOKEN.sub(_masked_token, _KEY.sub(MASK, text))


def holders_of_keys(values: Mapping[str, Any], secrets: Collection[str]) -> Iterator[str]:
    """Names of the settings whose value holds a key, in their order.

    Args:
        values: Value by name of a setting, without the setting that a key belongs to.
        secrets: Keys that are known.
    """
    known = [each for each in secrets if len(each) >= LEAST_CHARACTERS]
    for name, value in values.items():
        if any(_WHOLE_KEY.search(text) or any(key in text for key in known) for text in _texts(value)):
            yield name


def _masked_token(found: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in found[0])
    return MASK if _FEWEST_DIGITS <= digits < len(found[0]) else found[0]


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(name)
            yield from _texts(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from _texts(inner)
