"""What is worth another try, and how long to wait before it: sums first, the thin edge that waits last."""

from __future__ import annotations

import email.utils
import itertools
import logging
import random
import re
import time
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

import backoff

from target_databox.api.errors import ThrottledError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

logger = logging.getLogger(__name__)

T = TypeVar("T")

BASE_SECONDS: Final = 1.0
CAP_SECONDS: Final = 60.0
# Nothing waits longer than the longest window in which the API counts requests (an hour, D).
LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
# Several processes that were told the same Retry-After must not come back in the same instant.
RETRY_AFTER_JITTER: Final = 0.1
SHORTEST_JITTER_SECONDS: Final = 0.1
LONGEST_JITTER_SECONDS: Final = 5.0

# 1, 2, 4 … seconds; backoff's generator starts with a value that primes it.
CEILINGS_SECONDS: Final = tuple(
    itertools.islice(backoff.expo(base=2, factor=BASE_SECONDS, max_value=CAP_SECONDS), 1, 9)
)
_DELTA_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")


class Budget(Protocol):
    """Where every request of a run gets its turn, so that the rate limit of the key is kept."""

    def wait_turn(self) -> None:
        """Return when a request may be sent."""

    def refused(self, retry_after_seconds: float | None) -> None:
        """Note a 429; later turns wait for `retry_after_seconds`, or for a growing time when it is None."""

    def succeeded(self) -> None:
        """Note an answer that is not a 429."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether to try again, and why.

    Attributes:
        again: True for another try.
        reason: A clause for a log line or an error, without a full stop.
    """

    again: bool
    reason: str


def retry_after_seconds(header_value: str | None, now_epoch: float) -> float | None:
    """How long a `Retry-After` header asks to wait. That Databox sends one is assumed (A).

    Args:
        header_value: Seconds, or an HTTP date; None when there is no such header.
        now_epoch: The present by the server's clock, for dates.

    Returns:
        Seconds from 0 to an hour, or None when the header says nothing that can be read.
    """
    text = (header_value or "").strip()
    if _DELTA_SECONDS.fullmatch(text):
        return min(float(text), LONGEST_RETRY_AFTER_SECONDS)
    at = epoch_of_http_date(text)
    return None if at is None else min(max(at - now_epoch, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def epoch_of_http_date(text: str | None) -> float | None:
    """Epoch seconds of an HTTP date, such as the `Date` header; None when it can't be read."""
    if not text:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def wait_seconds(tries: int, retry_after_seconds: float | None, rand: Callable[[], float]) -> float:
    """How long to wait before the next try: full jitter, or what the API asked for and a little more.

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


def is_worth_retrying(error: Exception, failing_seconds: float, retry_seconds: float) -> Decision:
    """Whether a failed request should be tried again.

    Args:
        error: How it failed.
        failing_seconds: How long it has been failing: its failed tries and the waits between them, without
            anything that was a 429 or a wait for the budget.
        retry_seconds: The setting: how long a request may go on failing.

    Returns:
        The decision with its reason.
    """
    if not isinstance(error, TransientError):
        return Decision(again=False, reason="the answer is final")
    if isinstance(error, ThrottledError):
        return Decision(
            again=True, reason="the rate limit passes, and waiting for it counts towards no timeout"
        )
    if failing_seconds >= retry_seconds:
        return Decision(
            again=False, reason=f"it has been failing for {retry_seconds:g} seconds (retry_seconds)"
        )
    asked = error.retry_after_seconds
    if asked is not None and failing_seconds + asked > retry_seconds:
        return Decision(
            again=False,
            reason=f"the API asks to wait {asked:g} seconds, which is more than retry_seconds leaves",
        )
    return Decision(again=True, reason="the failure is transient")


def patiently(
    call: Callable[[], T],
    *,
    budget: Budget,
    retry_seconds: float,
    now: Callable[[], float] = time.monotonic,
    rest: Callable[[float], object] = time.sleep,
    rand: Callable[[], float] = random.random,
) -> T:
    """Make one request, and make it again while its failures are transient.

    Args:
        call: One try of the request.
        budget: Gives every try its turn; a 429 is its to wait for.
        retry_seconds: How long the request may go on failing. Waits for the budget and 429s don't count.
        now: Monotonic clock, in seconds.
        rest: Waits some seconds; may raise to end the call, as a signal does.
        rand: Uniform random number in [0, 1).

    Returns:
        What `call` returned.

    Raises:
        DataboxError: The failure is final, or has lasted for `retry_seconds`.
    """
    failing_seconds = 0.0
    failures = 0

    def one_try() -> T:
        nonlocal failing_seconds, failures
        budget.wait_turn()
        started = now()
        try:
            result = call()
        except ThrottledError as error:
            budget.refused(error.retry_after_seconds)
            raise
        except TransientError:
            failing_seconds += now() - started
            failures += 1
            raise
        budget.succeeded()
        return result

    def is_hopeless(error: Exception) -> bool:
        decision = is_worth_retrying(error, failing_seconds, retry_seconds)
        if not decision.again:
            logger.debug("No further try, since %s.", decision.reason)
        return not decision.again

    def waits() -> Generator[float, TransientError, None]:
        nonlocal failing_seconds
        error = yield 0.0
        while True:
            if not isinstance(error, ThrottledError):
                wait = wait_seconds(failures, error.retry_after_seconds, rand)
                # The last try is made when the time is up, not given away because a wait overshoots it.
                wait = max(min(wait, retry_seconds - failing_seconds), error.retry_after_seconds or 0.0)
                logger.warning("Try %s failed, the next is in %.1f seconds: %s", failures, wait, error)
                rest(wait)
                failing_seconds += wait
            # `rest` has waited; backoff's own sleep could not be woken by a signal.
            error = yield 0.0

    patient = backoff.on_exception(
        waits, TransientError, giveup=is_hopeless, jitter=None, logger=None, raise_on_giveup=True
    )(one_try)
    return patient()
