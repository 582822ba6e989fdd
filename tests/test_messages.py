"""Lines become messages with every digit kept, or errors that say what is wrong."""

from __future__ import annotations

import pytest

from target_databox.messages import InputError, UnreadableRecordError, message

ODD_NUMBERS = (b"1e99999999999999999999", b"1.5e-99999999999999999999", b"9" * 5_000)


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_endless_numbers_are_bad_records(number: bytes) -> None:
    """A number beyond what can be read makes its record bad; it doesn't end the run as broken JSON would."""
    with pytest.raises(UnreadableRecordError) as caught:
        message(b'{"type":"RECORD","stream":"orders","record":{"id":%s}}' % number)
    assert (caught.value.stream, caught.value.code) == ("orders", "unreadable")


@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_endless_numbers_end_other_messages(number: bytes) -> None:
    """In any other message such a number is an error of the input."""
    with pytest.raises(InputError):
        message(b'{"type":"STATE","value":{"at":%s}}' % number)
