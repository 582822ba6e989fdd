"""The kinds of values that a setting can have, read alike from a file's JSON and a variable's text."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from target_databox.records.conversions import column_type_problem

if TYPE_CHECKING:
    from collections.abc import Iterable

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS: Final = {
    "true": True, "yes": True, "on": True, "1": True,
    "false": False, "no": False, "off": False, "0": False,
}  # fmt: skip
# Larger than any id, count or size, and still exact in every JSON reader that has 64 bits.
MAX_INTEGER: Final = 2**63 - 1

LONGEST_SHOWN_CHARACTERS: Final = 20
MAX_COLUMN_TYPE_CHARACTERS: Final = 1000
MAX_ID_CHARACTERS: Final = 255
# Numbers and what goes for one, mistyped; anything else may be a password in a wrong place.
_HARMLESS: Final = re.compile(r"[0-9.,+\- ]{0,12}|nan|[+-]?inf(?:inity)?", re.IGNORECASE)


class ValueProblemError(ValueError):
    """A value is not what its setting needs; the message follows the setting's name."""


@dataclass(frozen=True)
class Integer:
    """Whole numbers from ``minimum`` to ``maximum``, both allowed."""

    minimum: int
    maximum: int = MAX_INTEGER

    def read(self, value: Any) -> int | None:
        """The value as an integer, None when it is empty.

        Raises:
            ValueProblemError: It is not an integer, or out of range.
        """
        exact = _decimal(value, f"an integer, {self.range}")
        if exact is None:
            return None
        if exact < self.minimum or exact > self.maximum:
            raise ValueProblemError(f"must be an integer, {self.range}; {shown(value)} is out of range")
        if exact != exact.to_integral_value():
            raise ValueProblemError(f"must be an integer, {self.range}; {shown(value)} is none")
        return int(exact)

    @property
    def range(self) -> str:
        """The allowed values in words."""
        if self.maximum == MAX_INTEGER:
            return f"{self.minimum:,} or more"
        return f"{self.minimum:,} to {self.maximum:,}"


@dataclass(frozen=True)
class Number:
    """Finite numbers, zero among them only when ``zero`` says so."""

    zero: bool

    def read(self, value: Any) -> float | None:
        """The value as a float, None when it is empty.

        Raises:
            ValueProblemError: It is not a number, or out of range.
        """
        exact = _decimal(value, f"a number, {self.range}")
        if exact is None:
            return None
        number = float(exact)
        if not math.isfinite(number) or number < 0 or (number == 0 and not self.zero):
            raise ValueProblemError(f"must be a number, {self.range}; {shown(value)} is out of range")
        return number

    @property
    def range(self) -> str:
        """The allowed values in words."""
        return "0 or more" if self.zero else "greater than 0"


@dataclass(frozen=True)
class Boolean:
    """True and false, also as the words that environments use for them."""

    range: str = "true or false (also yes/no, on/off, 1/0)"

    def read(self, value: Any) -> bool | None:
        """The value as a boolean, None when it is empty.

        Raises:
            ValueProblemError: It is neither.
        """
        if isinstance(value, bool):
            return value
        word = str(value).strip().lower() if isinstance(value, (str, int)) else "?"
        if word == "":
            return None
        if word not in _BOOLEANS:
            raise ValueProblemError(f"must be {self.range}, not {shown(value, _BOOLEANS)}")
        return _BOOLEANS[word]


@dataclass(frozen=True)
class Choice:
    """One word of a few."""

    words: tuple[str, ...]

    def read(self, value: Any) -> str | None:
        """The value, blanks around it removed.

        Raises:
            ValueProblemError: It is not one of the words.
        """
        word = value.strip() if isinstance(value, str) else value
        if word not in self.words:
            written = shown(value, self.words)
            other = "another one" if isinstance(value, str) and written == kind_of(value) else written
            raise ValueProblemError(f"must be {self.range}, not {other}")
        return str(word)

    @property
    def range(self) -> str:
        """The allowed values in words."""
        return ", ".join(self.words[:-1]) + f" or {self.words[-1]}"


@dataclass(frozen=True)
class Text:
    """Text of ``minimum`` to ``maximum`` characters, without the blanks around it unless ``verbatim``."""

    minimum: int = 0
    maximum: int | None = None
    verbatim: bool = False

    def read(self, value: Any) -> str | None:
        """The value as text, None when it is empty and may be.

        Raises:
            ValueProblemError: It is not text, too short or too long. The value is not quoted.
        """
        if not isinstance(value, str):
            raise ValueProblemError(f"must be {self.range}, not {kind_of(value)}")
        text = value if self.verbatim else value.strip()
        if len(text) < self.minimum or (self.maximum is not None and len(text) > self.maximum):
            raise ValueProblemError(f"must be {self.range}, not {len(text):,} characters")
        return text or None

    @property
    def range(self) -> str:
        """The allowed values in words."""
        if self.maximum is None:
            return f"text of {self.minimum:,} or more characters" if self.minimum else "text"
        return f"text of {self.minimum:,} to {self.maximum:,} characters"


@dataclass(frozen=True)
class Id:
    """The id of a dataset in `dataset_ids`."""

    range: str = "an id, as text or as a whole number"

    def read(self, value: Any) -> str:
        """The value as text, blanks around it removed.

        Raises:
            ValueProblemError: It is neither.
        """
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not isinstance(value, str) and not is_number:
            raise ValueProblemError(f"must be {self.range}, not {kind_of(value)}")
        return Text(1, MAX_ID_CHARACTERS).read(str(value)) or ""


@dataclass(frozen=True)
class ColumnType:
    """The type of a column in `column_types`."""

    range: str = "a type of a column"

    def read(self, value: Any) -> str:
        """The value, blanks around it removed.

        Raises:
            ValueProblemError: It is not a column type.
        """
        column_type = Text(1, MAX_COLUMN_TYPE_CHARACTERS).read(value) or ""
        problem = column_type_problem(column_type)
        if problem is not None:
            raise ValueProblemError(problem)
        return column_type


@dataclass(frozen=True)
class Names:
    """Names of columns, as a list or as JSON text of one; it may be empty."""

    range: str = 'a list of columns, such as ["id"]'

    def read(self, value: Any) -> list[str]:
        """The names, unchanged.

        Raises:
            ValueProblemError: It is not such a list, or a name is empty or there twice.
        """
        names = value
        if isinstance(value, str):
            try:
                names = json.loads(value)
            except (ValueError, RecursionError):
                names = None
        if not isinstance(names, list):
            raise ValueProblemError(f"must be {self.range}, not {shown(value)}")
        for name in names:
            if not isinstance(name, str) or not name.strip():
                raise ValueProblemError(f"must be {self.range}; {shown(name)} is not the name of a column")
        if len(set(names)) < len(names):
            raise ValueProblemError("names a column twice")
        return names


@dataclass(frozen=True)
class Tree:
    """An object, in a file or as JSON text.

    Attributes:
        entry: The kind of the values by stream, or by stream and column; None for an object of another
            structure. `trees.entries` reads them.
        by_column: Whether entries are by stream and column.
    """

    entry: Text | Id | ColumnType | Names | None = None
    by_column: bool = False
    range: str = "an object, or an object as JSON text"

    def read(self, value: Any) -> dict[str, Any] | None:
        """The value as a dict, None when it is empty text.

        Raises:
            ValueProblemError: It is not an object.
        """
        if isinstance(value, str):
            if not value.strip():
                return None
            try:
                value = json.loads(value)
            except (ValueError, RecursionError):
                raise ValueProblemError(f"must be {self.range}; this text is no JSON") from None
        if not isinstance(value, Mapping):
            raise ValueProblemError(f"must be {self.range}, not {kind_of(value)}")
        return dict(value)


Kind = Integer | Number | Boolean | Choice | Text | Tree


def _decimal(value: Any, needed: str) -> Decimal | None:
    """A number, or the text of one, without loss; None for empty text."""
    if isinstance(value, str):
        stripped = value.strip()
        if not stripped:
            return None
        if _NUMBER.fullmatch(stripped):
            return Decimal(stripped)
    elif isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool) and Decimal(value).is_finite():
        return Decimal(value)
    raise ValueProblemError(f"must be {needed}, not {shown(value)}")


def shown(value: Any, words: Iterable[str] = ()) -> str:
    """A value as a message may repeat it: short numbers and mistyped words; what may be secret by its kind.

    Args:
        value: What was written.
        words: Texts that would have been right.
    """
    if isinstance(value, str):
        is_near = bool(difflib.get_close_matches(value.strip().lower(), [each.lower() for each in words], 1))
        return repr(value) if is_near or _HARMLESS.fullmatch(value) else kind_of(value)
    written = str(value) if isinstance(value, Decimal) else repr(value)
    is_plain = isinstance(value, (int, float, Decimal, type(None)))
    return written if is_plain and len(written) <= LONGEST_SHOWN_CHARACTERS else kind_of(value)


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    names = {dict: "an object", list: "an array", bool: "a boolean", type(None): "null", str: "text"}
    return names.get(type(value), "a number" if isinstance(value, (int, float, Decimal)) else "this value")
