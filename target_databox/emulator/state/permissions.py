"""Decides who may change what: an admin everything, others what they made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.emulator.state.errors import ForbiddenError

if TYPE_CHECKING:
    from target_databox.emulator.state.shapes import Actor


def allow_change(actor: Actor | None, creator: int | None, what: str) -> None:
    """Let an admin, or who made something, purge or delete it (grade O).

    Args:
        actor: Who asks; `None` is the emulator's own user, who may do everything.
        creator: Who made it.
        what: What it is called.

    Raises:
        ForbiddenError: It is somebody else.
    """
    if actor and not actor.may_change(creator):
        raise ForbiddenError(f"Only an admin, or who made it, may purge or delete a {what}.")
