"""Compares the rows that come back with what is kept of the input, and finds what whole columns share. Pure.

A column whose differing values all follow one rule, while no value of it goes against that rule, is one
finding. Rows that differ in nothing else are counted, and not named one by one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from target_databox.verification.moments import Instant, is_elsewhere
from target_databox.verification.prints import pairs, unpacked
from target_databox.verification.rules import EMPTY, Rule, alternatives

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from target_databox.verification.prints import Columns

# Keys of each kind that a report names.
KEYS_NAMED: Final = 5
# Ways to differ that are told apart; rows of others are counted together.
MOST_KINDS: Final = 1_000
# Keys that are only in Databox and may be those of missing rows, changed on their way.
KEYS_KEPT: Final = 1_000
MOST_SHAPES: Final = 5_000
# Rules that are read off what comes back, so that a value that comes back as it is speaks against them.
_OF_ANSWERS: Final = frozenset({Rule.AS_TEXT, Rule.AS_NUMBER, Rule.AS_BOOLEAN})


class Kept(NamedTuple):
    """What is kept of a row of the input, as the file returns it.

    Attributes:
        marks: Of its columns, packed.
        shape: Which rules would change which columns, packed.
        variants: What they would make, packed.
    """

    marks: bytes
    shape: bytes
    variants: bytes


class Finding(NamedTuple):
    """What all values of a column share that come back otherwise.

    Attributes:
        column: The column.
        rule: What happened to them.
        rows: How many rows it changed.
    """

    column: str
    rule: Rule
    rows: int


class Difference(NamedTuple):
    """Values of a column that come back otherwise, each in its own way.

    Attributes:
        column: The column.
        rows: In how many rows.
        keys: Keys of the first of them.
    """

    column: str
    rows: int
    keys: tuple[bytes, ...]


class _Column:
    """How the values of one column differ."""

    def __init__(self) -> None:
        self.rows = 0
        self.rules: Counter[Rule] = Counter()
        self.keys: list[bytes] = []

    def add(self, key: bytes, rules: Iterable[Rule]) -> None:
        self.rows += 1
        self.rules.update(rules)
        if len(self.keys) < KEYS_NAMED:
            self.keys.append(key)


class Comparison:
    """One look at all rows of a stream's dataset.

    Args:
        columns: The columns of the input.

    Attributes:
        equal: Rows that are there and equal.
        different: Rows that are there and differ.
        doubled: Further rows of a key that came before.
        only_in_databox: Rows whose key the input does not have.
        doubled_keys: Keys of the first doubled rows.
        only_keys: Keys of the first rows that are in Databox alone.
        foreign_columns: Columns that the input does not have.
        elsewhere: Columns with date-times whose offset is not that of UTC.
        without_key: Rows that came back without any value of their key.
        hidden_columns: Columns that Databox calls invisible.
    """

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self.equal = self.different = self.doubled = self.only_in_databox = self.rows = 0
        self.doubled_keys: list[bytes] = []
        self.only_keys: list[bytes] = []
        self.foreign_columns: dict[str, None] = {}
        self.elsewhere: set[str] = set()
        self.without_key = 0
        self.hidden_columns: set[str] = set()
        self._other_filled: set[str] = set()
        self._equal_filled: set[str] = set()
        self._equal_empty: set[str] = set()
        # The columns of the last row, and those of them that the input does not have.
        self._names: tuple[str, ...] = ()
        self._foreign_names: list[str] = []
        self._differing: dict[int, _Column] = {}
        # What changes and what doesn't, by the columns that differ.
        self._kinds: Counter[tuple[int, ...]] = Counter()
        self._kind_keys: dict[tuple[int, ...], list[bytes]] = {}
        self._shapes: set[bytes] = set()
        self._against: set[tuple[int, Rule]] = set()

    @property
    def is_good(self) -> bool:
        """Whether nothing that came back is wrong."""
        return not self.different and not self.doubled

    @property
    def matched(self) -> int:
        """Rows of the input that came back, equal or not."""
        return self.equal + self.different

    @property
    def filled(self) -> set[str]:
        """Columns that came back with a value in a row of the input."""
        return self._equal_filled | self._other_filled

    def look(self, row: Mapping[str, Any], found: Mapping[str, Any], moments: Iterable[str]) -> None:
        """Note what a row shows of the columns.

        Args:
            row: As it came back.
            found: The same in its normal form, with the columns of the input alone.
            moments: Columns of date-times.
        """
        self.rows += 1
        names = tuple(row)
        if names != self._names:
            # Rows have the same columns again and again.
            self._names = names
            self._foreign_names = [name for name in names if name not in self._columns.numbers]
        for name in self._foreign_names:
            if row[name] is not None and len(self.foreign_columns) < MOST_KINDS:
                self.foreign_columns[name] = None
        for name in moments:
            if name not in self.elsewhere and type(found.get(name)) is Instant and is_elsewhere(row[name]):
                self.elsewhere.add(name)

    def add_equal(self, kept: Kept, found: Mapping[str, Any]) -> None:
        """Count a row that is as it was sent."""
        self.equal += 1
        self._equal_filled.update(found)
        if "" in found.values():
            self._equal_empty.update(name for name, value in found.items() if value == "")
        if kept.shape:
            self._shapes.add(kept.shape)
            if len(self._shapes) > MOST_SHAPES:
                self._settle_shapes()

    def add_doubled(self, key: bytes) -> None:
        """Count one more row of a key."""
        self.doubled += 1
        if len(self.doubled_keys) < KEYS_NAMED:
            self.doubled_keys.append(key)

    def add_only(self, key: bytes) -> None:
        """Count a row whose key the input does not have."""
        self.only_in_databox += 1
        if len(self.only_keys) < KEYS_KEPT:
            self.only_keys.append(key)

    def add_without_key(self) -> None:
        """Count a row that came back without its key."""
        self.only_in_databox += 1
        self.without_key += 1

    def add_different(self, key: bytes, kept: Kept, found: Mapping[str, Any]) -> None:
        """Count a row that differs, and find out where and how."""
        self.different += 1
        self._other_filled.update(found)
        sent, came = unpacked(kept.marks), self._columns.marks(found)
        changes: dict[int, set[Rule]] = {}
        for number, (before, after) in enumerate(zip(_filled(sent, len(came)), came, strict=True)):
            if before == after:
                if after:
                    self._note_equal(number, found)
                continue
            changes[number] = self._rules(number, before, after, found)
        for (number, rule), variant in zip(pairs(kept.shape), unpacked(kept.variants), strict=True):
            if came[number] == variant:
                changes.get(number, set()).add(rule)
        for number, rule in pairs(kept.shape):
            if rule not in changes.get(number, ()):
                self._against.add((number, rule))
        for number, rules in changes.items():
            self._differing.setdefault(number, _Column()).add(key, rules)
        kind = tuple(changes)
        if kind not in self._kinds and len(self._kinds) >= MOST_KINDS:
            kind = ()
        self._kinds[kind] += 1
        keys = self._kind_keys.setdefault(kind, [])
        if len(keys) < KEYS_NAMED:
            keys.append(key)

    def findings(self) -> list[Finding]:
        """What whole columns share, in the order of the columns."""
        return [
            Finding(self._columns.names[number], rule, self._differing[number].rows)
            for number in sorted(self._differing)
            if (rule := self._shared_rule(number)) is not None
        ]

    def differences(self) -> list[Difference]:
        """What differs in single rows, in the order of the columns."""
        return [
            Difference(self._columns.names[number], column.rows, tuple(column.keys))
            for number, column in sorted(self._differing.items())
            if self._shared_rule(number) is None
        ]

    def unexplained(self) -> tuple[int, list[bytes]]:
        """Rows that differ in more than what findings say, and keys of the first of them."""
        explained = {number for number in self._differing if self._shared_rule(number) is not None}
        rows, keys = 0, []
        for kind, count in self._kinds.items():
            if not kind or not explained.issuperset(kind):
                rows += count
                keys += self._kind_keys[kind]
        return rows, keys[:KEYS_NAMED]

    def _shared_rule(self, number: int) -> Rule | None:
        self._settle_shapes()
        column = self._differing[number]
        for rule in sorted(column.rules):
            if column.rules[rule] == column.rows and not self._is_contradicted(number, rule):
                return rule
        return None

    def _is_contradicted(self, number: int, rule: Rule) -> bool:
        name = self._columns.names[number]
        if rule is Rule.ABSENT:
            return name in self._equal_filled or name in self._other_filled
        if rule is Rule.EMPTY_AS_NULL:
            return name in self._equal_empty
        if rule in _OF_ANSWERS:
            return name in self._equal_filled
        return (number, rule) in self._against

    def _rules(self, number: int, before: int, after: int, found: Mapping[str, Any]) -> set[Rule]:
        if not after:
            return {Rule.ABSENT, Rule.EMPTY_AS_NULL} if before == EMPTY else {Rule.ABSENT}
        if not before:
            return set()
        value = found[self._columns.names[number]]
        return {rule for rule, mark in alternatives(value) if mark == before}

    def _note_equal(self, number: int, found: Mapping[str, Any]) -> None:
        name = self._columns.names[number]
        self._equal_filled.add(name)
        if found.get(name) == "":
            self._equal_empty.add(name)

    def _settle_shapes(self) -> None:
        for shape in self._shapes:
            self._against.update(pairs(shape))
        self._shapes.clear()


def _filled(marks: Sequence[int], length: int) -> list[int]:
    """Marks with a 0 for each column that was added later."""
    return [*marks, *[0] * (length - len(marks))]
