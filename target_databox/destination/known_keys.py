"""Reads the primary keys and columns of an existing dataset, which in v1 takes an undocumented route."""

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

# The route may not exist, so it is not tried for all of retry_seconds.
DETAIL_TRIES: Final = 3
# The column that `keyless_streams: hash` adds; no tap sends it.
HASH_COLUMN: Final = "_row_hash"


def detail_of(
    client: Client, with_retries: WithRetries, dataset_id: str, *, is_sure: bool = False
) -> DatasetDetail | None:
    """The detail of a dataset (O), or None if it can't be read.

    Args:
        client: The API.
        with_retries: Makes every request.
        dataset_id: The dataset.
        is_sure: Whether the API is known to have the route; then it is tried for all of `retry_seconds`.

    Raises:
        KeyRefusedError: The API key is wrong (401). A 403 may concern this route alone.
        MissingError: The dataset or the route does not exist.
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
    """Check by a documented route that a configured dataset exists.

    The request is for the list of its ingestions, since the dataset may be in any data source.

    Raises:
        DatasetError: It doesn't exist, or the API key can't see it.
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
    """The error for a dataset whose primary keys differ from the stream's, with the settings that help."""
    entry = json.dumps({stream: [] if found == (HASH_COLUMN,) else list(found)}, ensure_ascii=False)
    advice = f"give the stream the dataset's keys with primary_keys ({entry}), keyless_streams or load_method"
    if wanted == (HASH_COLUMN,) and not found:
        # A stream without keys is one already; primary_keys can't say it again.
        advice = "set keyless_streams to append"
    return KeysDifferError(
        f"The dataset {dataset_id} of the stream {stream!r} has {_keys_text(found)}, and the stream would "
        f"have {_keys_text(wanted)}. A dataset's keys can't be changed: choose another dataset with "
        f"dataset_titles or dataset_ids, or {advice}.",
        stream=stream,
        dataset_id=dataset_id,
        wanted=wanted,
        found=found,
    )


def _keys_text(keys: tuple[str, ...]) -> str:
    return f"the primary keys {', '.join(keys)}" if keys else "no primary keys"
