"""A system clock that jumps changes no wait: durations come from the monotonic clock alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import target_databox

ROOT = Path(target_databox.__file__).parent
# Where the time of day is asked for, and why a jump does no harm there.
TIME_OF_DAY = {
    "api/base.py": "a Retry-After that is a date, in an answer without a Date header",
    "outputs/rejects.py": "when a record was rejected, for people to read",
}
# The emulator's own clock, which stamps what it stores, is not the target's.
MODULES = sorted(path for path in ROOT.rglob("*.py") if "emulator" not in path.relative_to(ROOT).parts)
WALL_CLOCKS = {
    "time": {"time", "time_ns", "ctime", "gmtime", "localtime", "strftime"},
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "dt": {"now", "utcnow", "today"},
}


def wall_clocks(tree: ast.AST) -> list[str]:
    """What in a module reads the time of day, with its line."""
    found = [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in WALL_CLOCKS.get(ast.unparse(node.value).rpartition(".")[2], set())
    ]
    return found + [
        f"{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.module == "time"
        and any(alias.name in WALL_CLOCKS["time"] for alias in node.names)
    ]


@pytest.mark.parametrize("path", MODULES, ids=[str(path.relative_to(ROOT)) for path in MODULES])
def test_durations_ignore_the_time_of_day(path: Path) -> None:
    """No module reads a clock that may jump, but those that tell the time to people or compare dates."""
    found = wall_clocks(ast.parse(path.read_text(encoding="utf-8")))
    assert bool(found) == (path.relative_to(ROOT).as_posix() in TIME_OF_DAY), found


@pytest.mark.parametrize(
    "code",
    [
        "time.time()",
        "from time import time",
        "datetime.now(utc)",
        "datetime.datetime.utcnow()",
        "dt.date.today()",
    ],
)
def test_wall_clocks_are_recognised(code: str) -> None:
    """The search itself finds every way to ask for the time of day."""
    assert wall_clocks(ast.parse(code))
