"""What the emulated API may refuse, said without HTTP, so that the rules need not know about status codes.

RefusedError                 .message .field .code .type
 |- InvalidInputError        the request is not what the documentation asks for
 |- TooLargeError            more rows, or more bytes, than one ingestion may have
 |- UnknownObjectError       no account, data source, dataset or ingestion has this id
 |- ForbiddenError           the role does not allow it
 |- KeyReusedError           the Idempotency-Key came before with other input
 |- KeyInUseError            another request with the same Idempotency-Key is not answered yet
 |- LockedError              the dataset is locked
 `- UnknownRouteError        the API has no such route
"""

from __future__ import annotations


class RefusedError(Exception):
    """A request that the emulated API does not carry out.

    Attributes:
        message: A sentence for humans.
        field: Name of the request's field that is at fault, if one is.
        code: The machine-readable code; only `invalid_input` is documented (grade D), `request_too_large`
            is that of the API v2 (grade O).
        type: The category, such as `validation` or `permission` (grade D).
    """

    code: str | None = None
    type = "validation"

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.field = field


class InvalidInputError(RefusedError):
    """The request is not what the documentation asks for."""

    code = "invalid_input"


class TooLargeError(RefusedError):
    """More rows, or more bytes, than one ingestion may have."""

    code = "request_too_large"


class UnknownObjectError(RefusedError):
    """No account, data source, dataset or ingestion has this id."""

    type = "not_found"


class UnknownRouteError(RefusedError):
    """The API has no such route."""

    type = "not_found"


class ForbiddenError(RefusedError):
    """The role does not allow it; nothing was changed."""

    code = "forbidden"
    type = "permission"


class KeyReusedError(RefusedError):
    """The `Idempotency-Key` came before with other input."""

    code = "idempotency_key_reused"


class KeyInUseError(RefusedError):
    """Another request with the same `Idempotency-Key` is not answered yet."""

    type = "conflict"


class LockedError(RefusedError):
    """The dataset is locked, for the API itself is at work on it."""

    code = "internal_error"
    type = "internal"
