"""Notes wait in order until they are taken, once."""

from __future__ import annotations

from target_databox.delivery.notes import Notes


def test_notes_wait_until_taken() -> None:
    """Lines are handed over once, in their order, with their level and their arguments."""
    notes = Notes()
    assert notes.taken() == []
    notes.info("%s of %d", "one", 2)
    notes.warning("late")
    assert [(note.level, str(note)) for note in notes.taken()] == [("info", "one of 2"), ("warning", "late")]
    assert notes.taken() == []
