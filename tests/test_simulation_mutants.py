"""The simulation has teeth: a delivery that is broken on purpose in any of these ways is caught by seeds."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING, Any

import pytest

from tests import mutations, mutations_v2
from tests.simulated_plan import plan_of
from tests.simulation import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.simulated_plan import Plan
    from tests.simulation import Run

SEEDS = 1500
# Worlds in which a mutation shows soon; the others show in any.
LOSSY = {"lost_before": 0.2, "lost_after": 0.2, "unreachable": 0.0, "down": None, "stop_at": None}
KEYLESS = {**LOSSY, "streams": ((False, True),), "undated": False, "batch_rows": 1, "dated_from": 0.0}
QUIET = {
    "lost_before": 0.0, "lost_after": 0.0, "hanging": 0.0, "failing": 0.0, "stuck": 0.0, "down": None,
    "lists_down": None, "nap": None, "stop_at": None, "crash_at": None, "key_refused_at": None,
}  # fmt: skip
LATE_COPIES = {
    **LOSSY, "hanging": 0.4, "keys": 3, "streams": ((True, True),), "processing": (0.0, 0.5),
    "failing": 0.0, "chunk_pause": 30.0, "state_every": 2, "per_hour": 1e6,
}  # fmt: skip
WORLDS: dict[str, dict[str, Any]] = {
    "second_copy_forgotten": LATE_COPIES,
    "keys_freed_early": LATE_COPIES,
    "copies_sought_early": {
        **LOSSY, "list_lag": 29.0, "listing_lag_setting": 30.0, "keys": 3, "streams": ((True, True),),
        "chunk_pause": 30.0, "state_every": 2, "processing": (0.0, 40.0), "batch_rows": 3, "failing": 0.0,
        "key_refused_at": None,
    },
    "any_size_adopted": {
        **KEYLESS, "lost_after": 0.0, "confirmation": "status", "second_writer": True,
        "listing_lag_setting": 3.0, "list_lag": 0.0, "bad": 0.0, "latency": (0.01, 0.05),
        "growing": "nothing",
    },
    "any_age_adopted": {**KEYLESS, "list_lag": 29.0, "crash_at": 3.0, "stamps": "exact"},
    "leftover_adopted": {**KEYLESS, "stamps": "landing", "leftovers": 3},
    "earlier_run_adopted": {
        **KEYLESS, "list_lag": 29.0, "listing_lag_setting": 30.0, "sittings": 3, "stamps": "exact",
        "state_every": 7, "crash_at": None, "confirmation": "rows", "processing": (0.0, 0.0),
        "latency": (0.01, 0.05), "keeps_rejects": True, "key_refused_at": None, "lost_after": 0.0,
    },
    "judged_by_subtraction": {
        **QUIET, "fickle": 0.1, "bad": 0.0, "rejects_whole": False, "confirmation": "rows",
        "streams": ((True, True),), "batch_rows": 10, "keeps_rejects": True, "rejects_limit": 1000,
    },
    "ends_with_held_keys": {
        **LOSSY, "hanging": 0.4, "keys": 3, "streams": ((True, True),), "processing": (0.0, 0.5),
        "failing": 0.0, "stuck": 0.0, "state_every": 7, "sittings": 3, "crash_at": None, "batch_rows": 3,
        "key_refused_at": None, "list_lag": 0.0, "listing_lag_setting": 30.0, "per_hour": 1e6,
    },
    "own_ingestions_forgotten": KEYLESS,
    "retry_after_ignored": {
        "server_limit": 8.0, "per_second": 50.0, "down": None, "key_refused_at": None,
    },
    "whole_rejection_is_final": {
        **QUIET, "bad": 0.1, "refuses": False, "rejects_whole": True, "confirmation": "rows",
        "batch_rows": 10, "keeps_rejects": True, "rejects_limit": 1000,
    },
    "partly_stored_is_resent": {
        **QUIET, "failing": 0.3, "fails_as": "part", "streams": ((False, True),), "confirmation": "rows",
    },
    "counted_in_part": {**QUIET, "growing": "all", "processing": (1.0, 6.0), "confirmation": "rows"},
    "resent_within_the_lag": {**KEYLESS, "list_lag": 29.0, "listing_lag_setting": 30.0},
    "first_page_only": {**KEYLESS, "page_size": 5},
    "counted_twice": {
        **QUIET, "bad": 0.1, "refuses": False, "confirmation": "rows", "streams": ((True, True),),
        "batch_rows": 10, "keeps_rejects": True, "rejects_limit": 1000,
    },
}  # fmt: skip

NAMED = {
    "bad": 0.1, "refuses": False, "rejects_whole": False, "confirmation": "rows", "keeps_rejects": True,
    "rejects_limit": 1000, "batch_rows": 10, "stop_at": None, "crash_at": None, "failing": 0.0,
}  # fmt: skip
WORLDS_OF_V2: dict[str, dict[str, Any]] = {
    "key_of_the_rows": {**QUIET, "overwrite": True, "crash_at": 5.0, "sittings": 1, "fickle": 0.0},
    "new_key_for_each_purge": {**LOSSY, "overwrite": True, "hanging": 0.4, "sittings": 1, "rows": 150},
    "some_named_is_all_named": {**NAMED, "names": "fewer"},
    "named_while_pending": {**NAMED, "growing": "stored", "names": "all"},
    "others_of_named_forgotten": NAMED,
    "named_row_is_confirmed": NAMED,
    "others_of_named_sent_again": {**NAMED, "streams": ((False, True),)},
    "replaced_by_named_dropped": {**NAMED, "keys": 3, "streams": ((True, True),)},
    "key_never_forgotten": {
        **LOSSY, "streams": ((False, True),), "nap": (3.0, 100_000.0), "lists_down": None, "crash_at": None,
        "rows": 150, "batch_rows": 3,
    },
    "doubtful_row_named": {**NAMED, "streams": ((False, True),), "keys": 1, "blur": 2**53, "names": "all"},
}  # fmt: skip

MUTANTS = [
    mutations.state_at_post,
    mutations.two_versions_in_flight,
    mutations.blind_resend,
    mutations.lost_last_batch,
    mutations.ignored_rejected_count,
    mutations.failed_is_stored,
    mutations.one_more_in_an_hour,
    mutations.one_more_in_a_second,
    mutations.keys_freed_early,
    mutations.rejects_after_state,
    mutations.done_while_pending,
    mutations.leftovers_ignored,
    mutations.purge_before_leftovers,
    mutations.superseded_at_once,
    mutations.timeout_is_success,
    mutations.half_forgotten,
    mutations.judged_by_subtraction,
    mutations.whole_rejection_is_final,
    mutations.ends_with_held_keys,
    mutations.second_copy_forgotten,
    mutations.copies_sought_early,
    mutations.any_size_adopted,
    mutations.any_age_adopted,
    mutations.leftover_adopted,
    mutations.earlier_run_adopted,
    mutations.own_ingestions_forgotten,
    mutations.resent_within_the_lag,
    mutations.first_page_only,
    mutations.counted_in_part,
    mutations.missing_is_refused,
    mutations.partly_stored_is_resent,
    mutations.replaced_row_dropped,
    mutations.state_twice,
    mutations.last_state_unwritten,
    mutations.retry_after_ignored,
    mutations.window_ignored,
    mutations.counted_twice,
    mutations.unknown_word_is_done,
    mutations.odd_status_is_refused,
]


MUTANTS_OF_V2 = [
    mutations.state_at_post,
    mutations.two_versions_in_flight,
    mutations.failed_is_stored,
    mutations_v2.new_key_at_each_try,
    mutations_v2.lost_is_not_sent,
    mutations_v2.key_of_the_rows,
    mutations_v2.one_key_for_all,
    mutations_v2.key_kept_for_halves,
    mutations_v2.key_kept_for_first_half,
    mutations_v2.key_kept_after_failure,
    mutations_v2.key_never_forgotten,
    mutations_v2.new_key_for_each_purge,
    mutations_v2.conflict_is_refusal,
    mutations_v2.keys_held_all_the_same,
    mutations_v2.purged_is_stored,
    mutations_v2.some_named_is_all_named,
    mutations_v2.doubtful_row_named,
    mutations_v2.named_while_pending,
    mutations_v2.named_row_is_confirmed,
    mutations_v2.others_of_named_forgotten,
    mutations_v2.others_of_named_sent_again,
    mutations_v2.replaced_by_named_dropped,
]


def notices(plans: Iterable[Plan], mutate: Callable[[Run], None]) -> bool:
    """Whether some world breaks a promise, seeds from 0."""
    for seed, plan in enumerate(plans):
        try:
            World(seed, plan, mutate=mutate).check()
        except (AssertionError, KeyError, IndexError):
            return True
    return False


@pytest.mark.parametrize("mutate", MUTANTS, ids=[mutant.__name__ for mutant in MUTANTS])
def test_broken_delivery_is_caught(mutate: Callable[[Run], None], caplog: pytest.LogCaptureFixture) -> None:
    """Some seed breaks a promise where the delivery is broken."""
    caplog.set_level(logging.CRITICAL)
    changes = WORLDS.get(mutate.__name__, {})
    plans = (dataclasses.replace(plan_of(seed), **changes) for seed in range(SEEDS))
    assert notices(plans, mutate), f"No seed below {SEEDS} notices: {mutate.__doc__}"


@pytest.mark.parametrize("mutate", MUTANTS_OF_V2, ids=[mutant.__name__ for mutant in MUTANTS_OF_V2])
def test_broken_delivery_by_v2_is_caught(
    mutate: Callable[[Run], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Some seed whose runs speak API v2 breaks a promise where the delivery is broken."""
    caplog.set_level(logging.CRITICAL)
    changes = WORLDS_OF_V2.get(mutate.__name__, {})
    plans = (dataclasses.replace(plan_of(seed, "v2"), **changes) for seed in range(SEEDS))
    assert notices(plans, mutate), f"No seed below {SEEDS} notices: {mutate.__doc__}"
