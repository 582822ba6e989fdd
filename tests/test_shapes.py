"""Facts on the shapes of the API's answers."""

from __future__ import annotations

import dataclasses

import pytest

from target_databox.api import shapes

SHAPES = [each for each in vars(shapes).values() if isinstance(each, type) and dataclasses.is_dataclass(each)]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_shapes_are_values(shape: type) -> None:
    """Every shape is frozen and has slots, so it can cross threads."""
    assert shape.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__slots__" in vars(shape)
