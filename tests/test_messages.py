"""Lines become messages with every digit kept, or errors that say what is wrong."""

from __future__ import annotations

import pytest

from target_databox.singer.messages import InputError, UnreadableRecordError, message

ODD_NUMBERS = (b"1e99999999999999999999", b"1.5e-99999999999999999999", b"9" * 5_000)
# Deeper than any supported Python reads.
LEVELS = 100_000
DEPTHS = {
    "arrays": b"[" * LEVELS + b"]" * LEVELS,
    "objects": b'{"a\\"]":' * LEVELS + b"1" + b"}" * LEVELS,
    "twice": b"[%s,7,%s]" % ((b"[" * LEVELS + b"]" * LEVELS,) * 2),
    "behind bytes that are not UTF-8": b'["\xff",' * LEVELS + b"0" + b"]" * LEVELS,
}


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


@pytest.mark.parametrize("value", DEPTHS.values(), ids=DEPTHS)
def test_endless_depths_are_bad_records(value: bytes) -> None:
    """A record that is nested beyond what can be read is a bad record, and its stream is known."""
    with pytest.raises(UnreadableRecordError) as caught:
        message(b'{"type":"RECORD","record":{"id":%s},"stream":"orders"}' % value)
    assert (caught.value.stream, caught.value.code) == ("orders", "too_deep")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"type":"STATE","value":%s}' % DEPTHS["arrays"], "is nested too deeply."),
        (b"[" * LEVELS + b"]" * LEVELS, "is nested too deeply."),
        (b'{"type":"RECORD","stream":"a","record":{"id":%s}' % DEPTHS["arrays"], "cut off"),
        (b'{"type":"RECORD","stream":"a","record":{"id":%s' % DEPTHS["arrays"][:-1], "cut off"),
        (b'{"type":"RECORD","stream":"a","record":{"id":%s' % DEPTHS["arrays"] + b'"', "cut off"),
        (
            b'{"type":"RECORD","stream":"a","record":{"id":%s}}'
            % (b"[" * LEVELS + b"}" + b"]" * (LEVELS - 1)),
            "cut off",
        ),
        (b'{"type":"RECORD","stream":"a",,"record":{"id":%s}}' % DEPTHS["arrays"], "cut off"),
    ],
    ids=["STATE", "no object", "cut at its end", "cut inside", "open text", "wrong brackets", "two commas"],
)
def test_other_deep_lines_end_the_run(line: bytes, problem: str) -> None:
    """A deep line that is broken, or is no RECORD, is an error of the input."""
    with pytest.raises(InputError, match=problem):
        message(line)
