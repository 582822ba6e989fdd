"""Decides whether a request is tried again and how long to wait first. Pure, except `call_with_retries`."""

from __future__ import annotations

import email.utils
import functools
import itertools
import logging
import random
import re
import time
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING, Final, TypeVar

import backoff

from target_databox.api.errors import ThrottledError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable

    from target_databox.api.budget import BlockingBudget

logger = logging.getLogger(__name__)

T = TypeVar("T")

BASE_SECONDS: Final = 1.0
CAP_SECONDS: Final = 60.0
# The longest window in which the API counts requests is an hour (D), so no wait needs to be longer.
LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
# Spreads processes that received the same Retry-After.
RETRY_AFTER_JITTER: Final = 0.1
SHORTEST_JITTER_SECONDS: Final = 0.1
LONGEST_JITTER_SECONDS: Final = 5.0
# Less than this counts as no time left; sums of times have rounding errors.
SHORTEST_SECONDS: Final = 0.001

# 1, 2, 4 … seconds. The first value of backoff's generator only primes it, so skip it.
CEILINGS_SECONDS: Final = tuple(
    itertools.islice(backoff.expo(base=2, factor=BASE_SECONDS, max_value=CAP_SECONDS), 1, 9)
)
_DELTA_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")


def retry_after_seconds(header_value: str | None, now_epoch: float) -> float | None:
    """How long a `Retry-After` header asks to wait. That Databox sends one is assumed (A).

    Args:
        header_value: Seconds, or an HTTP date; None when there is no such header.
        now_epoch: The current time by the server's clock, for dates.

    Returns:
        Seconds from 0 to an hour, or None if the header is missing or unreadable.
    """
    text = (header_value or "").strip()
    if _DELTA_SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER_SECONDS)
    at = epoch_of_http_date(text)
    return None if at is None else min(max(at - now_epoch, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def epoch_of_http_date(text: str | None) -> float | None:
    """Epoch seconds of an HTTP date, such as the `Date` header; None if it can't be read."""
    try:
        moment = email.utils.parsedate_to_datetime(text or "")
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (ValueError, OverflowError):
        return None


def wait_seconds(
    tries: int, retry_after_seconds: float | None, rand: Callable[[], float] = random.random
) -> float:
    """How long to wait before the next try: full jitter, or slightly more than the API asked for.

    Args:
        tries: Tries that have failed so far, from 1.
        retry_after_seconds: What the API asked for, or None.
        rand: Uniform random number in [0, 1).

    Returns:
        Without `retry_after_seconds` between 0 and min(60, 2 ** (tries - 1)) seconds; with it at least that.
    """
    if retry_after_seconds is not None:
        jitter = min(
            max(retry_after_seconds * RETRY_AFTER_JITTER, SHORTEST_JITTER_SECONDS), LONGEST_JITTER_SECONDS
        )
        return retry_after_seconds + rand() * jitter
    return rand() * CEILINGS_SECONDS[min(tries, len(CEILINGS_SECONDS)) - 1]


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request that failed is tried again.

    Attributes:
        again: Whether to try again.
        wait_seconds: How long to wait first.
        reason: Why there is no other try, as a clause without a full stop; empty if there is one.
    """

    again: bool
    wait_seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RetryRule:
    """When a request that failed transiently is tried again: one rule for setup and delivery.

    1. `retry_seconds` starts with a request's first failure. Failed tries and the waits between them count;
       tries that end with 429 and waits for the budget don't.
    2. If the API asks for a wait that would end after that time, there is no other try.
    3. Any other wait is cut to the time left, so that the last try is made when the time is up.

    The rule is never asked about a 429: the budget handles those, and they count towards no timeout.

    Attributes:
        retry_seconds: The setting of that name; 0 means one try.
        wait: Seconds to wait, from the number of failed tries and what the API asked for (None: nothing).
    """

    retry_seconds: float
    wait: Callable[[int, float | None], float] = wait_seconds

    def after(self, error: TransientError, failures: int, failing_seconds: float) -> Decision:
        """Decide what follows a failed try.

        Args:
            error: How it failed.
            failures: Failed tries so far, this one included.
            failing_seconds: How long the request has been failing; see rule 1.
        """
        asked = error.retry_after_seconds
        wait = self.wait(failures, asked)
        left = self.retry_seconds - failing_seconds
        if left < SHORTEST_SECONDS:
            return Decision(
                again=False,
                wait_seconds=wait,
                reason=f"the {self.retry_seconds:g} seconds of retry_seconds are over",
            )
        if asked is not None and asked > left:
            return Decision(
                again=False,
                wait_seconds=wait,
                reason=f"the API asks for a wait of {asked:g} seconds, and retry_seconds leaves "
                f"{round(left, 1):g}",
            )
        return Decision(again=True, wait_seconds=min(wait, left))


def call_with_retries(
    call: Callable[[], T],
    *,
    budget: BlockingBudget,
    retry_seconds: float,
    now: Callable[[], float] = time.monotonic,
    rest: Callable[[float], object] = time.sleep,
    rand: Callable[[], float] = random.random,
) -> T:
    """Make one request, and try again while its failures are transient; see `RetryRule`.

    `backoff.on_exception` is not used: a signal could not interrupt its sleep, and it would count waits for
    the budget as failing time.

    Args:
        call: One try of the request.
        budget: Delays every try until the budget allows it, also after a 429.
        retry_seconds: How long the request may keep failing.
        now: Monotonic clock, in seconds.
        rest: Waits some seconds; may raise to end the call, as on a signal.
        rand: Uniform random number in [0, 1).

    Returns:
        What `call` returned.

    Raises:
        DataboxError: The failure is final, or has lasted for `retry_seconds`.
    """
    rule = RetryRule(retry_seconds, functools.partial(wait_seconds, rand=rand))
    failures, failing_seconds = 0, 0.0
    while True:
        budget.wait_turn()
        started, waited = now(), budget.waited_seconds
        try:
            result = call()
        except ThrottledError as error:
            budget.refused(error.retry_after_seconds)
        except TransientError as error:
            if failures:
                # The call may have made other requests first, which waited for the budget themselves.
                failing_seconds += now() - started - (budget.waited_seconds - waited)
            failures += 1
            decision = rule.after(error, failures, failing_seconds)
            if not decision.again:
                error.give_up(decision.reason)
                raise
            logger.warning(
                "Try %s failed, the next is in %.1f seconds: %s", failures, decision.wait_seconds, error
            )
            rest(decision.wait_seconds)
            failing_seconds += decision.wait_seconds
        else:
            budget.succeeded()
            return result
