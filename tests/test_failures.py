"""Failures are reported in their own words, and bugs by their places in the code alone."""

from __future__ import annotations

import logging

import pytest

from target_databox.delivery.errors import DeliveryError
from target_databox.failures import EXPLAINED, is_explained, log_failure, places
from target_databox.singer.messages import InputError

logger = logging.getLogger("target-databox")


def failing(error: Exception, cause: Exception) -> Exception:
    """An error that was raised because of another one."""
    try:
        try:
            raise cause  # noqa: TRY301 # on purpose, here
        except Exception as behind:
            raise error from behind
    except Exception as caught:  # noqa: BLE001 # any error is what this is for
        return caught


def test_explained_error_is_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """An error with words of its own is reported by them, without its places."""
    with caplog.at_level(logging.INFO):
        log_failure(logger, failing(InputError("Line 3 is bad."), ValueError("canary-value")))
    assert caplog.messages == ["Line 3 is bad."]


def test_bug_is_reported_by_its_places(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is reported by its type and its places: its message may quote a row."""
    with caplog.at_level(logging.DEBUG):
        log_failure(logger, failing(KeyError("canary-value"), ValueError("canary-value")))
    said, *where = caplog.messages
    assert said.startswith("The run ended with an unexpected error: KeyError. This is a bug")
    assert "builtins.ValueError" in where
    assert any(line.endswith("in failing") for line in where)
    assert "canary-value" not in caplog.text


def test_hidden_causes_stay_hidden() -> None:
    """What `from None` hides is not looked up."""
    error = KeyError("front")
    error.__context__ = ValueError("behind")
    assert "builtins.ValueError" in places(error)
    error.__suppress_context__ = True
    assert "builtins.ValueError" not in places(error)


@pytest.mark.parametrize("kind", EXPLAINED)
def test_foreseen_errors_are_explained(kind: type[Exception]) -> None:
    """Every kind of error that a user can correct counts as explained, and no general one does."""
    assert issubclass(kind, Exception)
    assert kind not in (Exception, ValueError, RuntimeError, OSError)


def test_every_delivery_error_is_explained() -> None:
    """The kinds of delivery's own errors are explained by their common one."""
    assert is_explained(DeliveryError("It ended."))
    assert not is_explained(ValueError("It ended."))
