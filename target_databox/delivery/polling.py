"""When to ask for an ingestion's outcome, learned from the answers so far. Pure."""

from __future__ import annotations

FIRST_SECONDS = 0.1
# Missing costs a request, waiting costs only time: these two settle where about one question in thirty comes
# too early.
GROWTH = 1.25
SHRINK = 0.9935
PATIENCE = 1.5
# From here on the first ingestion is not waited for before others are asked about: it may be stuck.
PROBE_SECONDS = 5.0
LONGEST_STEP_SECONDS = 30.0


class PollDelay:
    """How long after its acceptance an ingestion is asked about.

    Starts low and doubles until the first outcome is seen, one ingestion asked at a time; then follows the
    slow end of the processing times, so that asking once is nearly always enough.
    """

    def __init__(self) -> None:
        self.seconds = FIRST_SECONDS
        self.is_learned = False

    @property
    def asks_many(self) -> bool:
        """Whether more than one ingestion may be asked about before its outcome."""
        return self.is_learned or self.seconds >= PROBE_SECONDS

    def asked(self, age_seconds: float, *, done: bool, is_first: bool = True) -> None:
        """Learn from one question.

        Args:
            age_seconds: Time between the acceptance and the question.
            done: Whether the outcome was there.
            is_first: Whether it was the first question about that ingestion. One that is stuck, and asked
                about again and again, says nothing about the others.
        """
        if not done:
            if is_first or not self.is_learned:
                self.seconds = max(self.seconds, age_seconds * (GROWTH if self.is_learned else 2.0))
        elif not self.is_learned:
            self.is_learned = True
            self.seconds = max(age_seconds, FIRST_SECONDS)
        elif age_seconds <= self.seconds * GROWTH:
            self.seconds *= SHRINK

    def again(self, age_seconds: float, timeout_seconds: float) -> float:
        """The age at which to ask once more; the timeout itself is asked at exactly once."""
        later = max(
            self.seconds, min(age_seconds * PATIENCE, age_seconds + LONGEST_STEP_SECONDS), age_seconds + 0.05
        )
        return min(later, timeout_seconds) if age_seconds < timeout_seconds else later
