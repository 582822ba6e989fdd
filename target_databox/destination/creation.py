"""Creates a data source or dataset once, even if an answer is lost or another run creates it as well."""

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
    """Create an object that the list lacks, so that all concurrent runs end up with the same one.

    1. The creation succeeds: read the list again, since another run may have created one too, and choose.
    2. Its answer is lost: read the list before every other try, and use what it shows.
    3. It is refused: another run may have been faster; use what the list shows.

    Args:
        with_retries: Makes the creation.
        create: One try of it.
        read_list: Reads the list again, with retries.
        choose: Picks the object to use from a list, by the same rule in every run.

    Returns:
        The object to use, and whether it is certainly the one created here.

    Raises:
        DataboxError: It could not be created, and the list doesn't show it either.
    """
    is_lost = False

    def one_try() -> tuple[TitledT, bool]:
        nonlocal is_lost
        # The lost request may have been carried out, so try again only if the list does not show its result.
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
        # Perhaps another run was faster, and the API accepts a title only once (A).
        found = choose(read_list())
        if found is None:
            raise
        return found, False
    if not is_certain:
        return made, False
    # The list may lag behind, so the created object takes part in the choice even if not listed yet.
    chosen = choose([*read_list(), made]) or made
    return chosen, chosen.id == made.id
