"""Facts on the values that the API's answers become."""

from __future__ import annotations

import dataclasses
import time

import pytest

from target_databox.api import values

VALUES = [each for each in vars(values).values() if isinstance(each, type) and dataclasses.is_dataclass(each)]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: value.__name__)
def test_values_are_frozen(value: type) -> None:
    """Every value is frozen and has slots, so it can cross threads."""
    assert value.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(value)


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("2025-10-01T12:00:00.000000Z", 1759320000.0),
        ("2025-10-01T12:00:00.250Z", 1759320000.25),
        ("2025-10-01T14:00:00+02:00", 1759320000.0),
        ("2025-10-01T12:00:00", 1759320000.0),
        (" 2025-10-01T12:00:00z\n", 1759320000.0),
        ("2025-10-01 12:00:00Z", 1759320000.0),
        ("0001-01-01T00:00:00+23:59", -62135683140.0),
        ("9999-12-31T23:59:59-23:59", 253402387139.0),
        ("2025-13-01T12:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        (1759320000, None),
    ],
)
def test_timestamps_become_epochs(text: object, epoch: float | None) -> None:
    """ISO 8601 times become epoch seconds, UTC where no offset is given; anything else is not known."""
    assert values.epoch_of(text) == epoch


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the system's zone can't be set")
def test_times_without_offset_are_universal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time without an offset is taken for UTC, wherever this machine is."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert values.epoch_of("2025-10-01T12:00:00") == 1759320000.0
    finally:
        monkeypatch.undo()
        time.tzset()
