"""Creating a thing once, although answers get lost and other runs create the same at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from target_databox.api.errors import KeyRefusedError, LostAnswerError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from target_databox.destination.interfaces import WithRetries
    from target_databox.destination.titles import TitledT


def create_once(
    with_retries: WithRetries,
    create: Callable[[], TitledT],
    read_list: Callable[[], Iterable[TitledT]],
    choose: Callable[[Iterable[TitledT]], TitledT | None],
) -> tuple[TitledT, bool]:
    """Create a thing that a list did not show, and agree on one with other runs.

    Args:
        with_retries: Makes the creation.
        create: One try of it.
        read_list: Reads the list again, patiently.
        choose: Picks the one to use among those of a list, by the same rule in every run.

    Returns:
        The thing to use, and whether it is certainly the one that was created here.

    Raises:
        DataboxError: It could not be created, and the list doesn't show it either.
    """
    is_lost = False

    def one_try() -> tuple[TitledT, bool]:
        nonlocal is_lost
        # A second copy only while the first is nowhere to be seen: its answer may be all that was lost.
        if is_lost and (found := choose(read_list())):
            return found, False
        try:
            return create(), True
        except LostAnswerError:
            is_lost = True
            raise

    try:
        made, is_certain = with_retries(one_try)
    except LostAnswerError:
        found = choose(read_list()) if is_lost else None
        if found is None:
            raise
        return found, False
    except KeyRefusedError:
        raise
    except RefusedError:
        # Perhaps refused because another run was faster, if the API takes a title only once (A).
        found = choose(read_list())
        if found is None:
            raise
        return found, False
    if not is_certain:
        return made, False
    # The list may lag and not show ours yet, so the creation's own answer takes part in the choice.
    chosen = choose([*read_list(), made]) or made
    return chosen, chosen.id == made.id
