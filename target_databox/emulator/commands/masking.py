"""Keeps keys out of what the command line says about itself: one that was typed in a wrong place, say."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

# Grade O: how keys begin. And tokens of all kinds: long, without a break, with several digits.
_KEY = re.compile(r"pak_[\w-]*", re.IGNORECASE)
_TOKEN = re.compile(r"[A-Za-z0-9]{20,}")
_FEWEST_DIGITS = 3


class MaskedGroup(click.Group):
    """A group of commands whose complaints never repeat a key."""

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the command line."""
        with _masked_complaints():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        with _masked_complaints():
            return super().invoke(ctx)


@contextmanager
def _masked_complaints() -> Iterator[None]:
    try:
        yield
    except click.ClickException as exc:
        exc.message = masked(exc.message)  # type: ignore[misc] # where click shows it from
        raise


def masked(text: str) -> str:
    """A text without what looks like a key."""
    return _TOKEN.sub(_masked_token, _KEY.sub("***", text))


def _masked_token(found: re.Match[str]) -> str:
    digits = sum(character.isdigit() for character in found[0])
    return "***" if _FEWEST_DIGITS <= digits < len(found[0]) else found[0]
