"""What ends a verification, as one error that says what to do."""

from __future__ import annotations


class VerificationError(Exception):
    """A verification can't go on; the message says what to do."""
