"""Why a delivery ends early.

DeliveryError
├── LoadingError         a request for a stream failed for good; the API's own error is its cause
├── UnconfirmedError     an ingestion's outcome could not be determined
├── RejectedError        a record was rejected and there is no file to keep it in
└── RejectsLimitError    more records were rejected than the limit allows
"""

from __future__ import annotations


class DeliveryError(Exception):
    """The run ends early; the message says what happened, where, and what to do."""


class LoadingError(DeliveryError):
    """A request for a stream failed for good; the API's own error is its cause."""


class UnconfirmedError(DeliveryError):
    """An ingestion's outcome could not be determined in time; it is never assumed to be a success."""


class RejectedError(DeliveryError):
    """A record was rejected and there is no file to keep it in."""


class RejectsLimitError(DeliveryError):
    """More records were rejected than `rejects_limit` allows."""
