"""What can be learned of an existing dataset: in v1 from a route that no page documents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from target_databox.api.errors import (
    DatasetError,
    KeyRefusedError,
    KeysDifferError,
    LostAnswerError,
    MissingError,
    RefusedError,
)

if TYPE_CHECKING:
    from target_databox.api.values import DatasetDetail
    from target_databox.destination.interfaces import Client, WithRetries

# A route that may not be there is not worth all of retry_seconds.
DETAIL_TRIES: Final = 3
# Added by keyless_streams hash; no tap has it.
HASH_COLUMN: Final = "_row_hash"


def detail_of(
    client: Client, with_retries: WithRetries, dataset_id: str, *, is_sure: bool = False
) -> DatasetDetail | None:
    """What the API tells of a dataset (O), or None when it is not to be had.

    Args:
        client: The API.
        with_retries: Makes every request.
        dataset_id: The dataset.
        is_sure: Whether the API is known to have the route, so that it is worth all of `retry_seconds`.

    Raises:
        KeyRefusedError: The API key is wrong (401). A 403 may concern this route alone.
        MissingError: The API does not know the dataset, or not this route.
        TransientError: The API can't be reached.
    """
    failures = 0

    def one_try() -> DatasetDetail | None:
        nonlocal failures
        try:
            return client.dataset(dataset_id)
        except LostAnswerError:
            failures += 1
            if is_sure or failures < DETAIL_TRIES:
                raise
            return None

    try:
        return with_retries(one_try)
    except MissingError:
        raise
    except LostAnswerError:
        return None
    except RefusedError as error:
        if error.is_wrong_key:
            raise
        return None


def check_existence(client: Client, with_retries: WithRetries, stream: str, dataset_id: str) -> None:
    """Make sure that a configured dataset exists, by a documented route.

    The list of its ingestions is asked for, since the dataset may be in any data source.

    Raises:
        DatasetError: It doesn't exist, or the key can't see it.
    """
    try:
        with_retries(lambda: client.ingestions(dataset_id, page_size=1))
    except KeyRefusedError:
        raise
    except RefusedError as error:
        raise DatasetError(
            f"The dataset {dataset_id} of the stream {stream!r} can't be used: {error.happened}. Correct "
            "dataset_ids, or remove the stream there to have its dataset found by title."
        ) from error


def keys_differ(
    stream: str, dataset_id: str, *, wanted: tuple[str, ...], found: tuple[str, ...]
) -> KeysDifferError:
    """The error for a dataset that has other keys than the stream would have; it says how they would fit."""
    entry = json.dumps({stream: [] if found == (HASH_COLUMN,) else list(found)}, ensure_ascii=False)
    return KeysDifferError(
        f"The dataset {dataset_id} of the stream {stream!r} has {_keys_text(found)}, and the stream would "
        f"have {_keys_text(wanted)}. A dataset's keys can't be changed: choose another dataset with "
        "dataset_titles or dataset_ids, or give the stream the dataset's keys with primary_keys "
        f"({entry}), keyless_streams or load_method.",
        stream=stream,
        dataset_id=dataset_id,
        wanted=wanted,
        found=found,
    )


def _keys_text(keys: tuple[str, ...]) -> str:
    return f"the primary keys {', '.join(keys)}" if keys else "no primary keys"
