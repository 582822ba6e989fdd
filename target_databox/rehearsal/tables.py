"""Tables and text for people on standard output: coloured on a terminal, plain in a pipe."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from target_databox.outputs.printable import printable, shortened

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

# Wide enough that nothing is wrapped in a pipe: a line stays a line for `grep`.
PIPE_COLUMNS: Final = 4000
# So that the cells of a line fit beside each other there.
WIDEST_CELL_CHARACTERS: Final = 1000


def shown(text: object) -> str:
    """Text on one line without control characters, whatever a server or a tap put into it."""
    return " ".join(printable("".join(c if c.isprintable() else " " for c in str(text))).split())


def cell(text: object) -> str:
    """Text for a cell of a table: as `shown`, and not too wide for its line."""
    return shortened(shown(text), WIDEST_CELL_CHARACTERS)


def counted(count: int, one: str, many: str) -> str:
    """A number with the noun that fits it."""
    return f"{count:,} {one if count == 1 else many}"


def plain_table(*headings: str) -> Table:
    """A table without a frame; in a pipe, without lines too."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD if sys.stdout.isatty() else None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def echo(*things: Any) -> None:
    """Print texts, each on one line, and tables."""
    from rich.console import Console

    is_terminal = sys.stdout.isatty()
    if hasattr(sys.stdout, "reconfigure"):
        # A terminal that knows ASCII only is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    # Both are explicit: FORCE_COLOR and the like would put control characters into a pipe.
    console = Console(
        file=sys.stdout,
        force_terminal=is_terminal,
        width=None if is_terminal else PIPE_COLUMNS,
        color_system="auto" if is_terminal else None,
        highlight=False,
        emoji=False,
    )
    for thing in things:
        if isinstance(thing, str):
            click.echo(printable(thing))  # the terminal wraps it, so that it can be copied
        else:
            click.echo(_without_padding(console, thing), color=is_terminal)


def _without_padding(console: Console, thing: Any) -> str:
    with console.capture() as captured:
        console.print(thing)
    return "\n".join(line.rstrip() for line in captured.get().rstrip("\n").split("\n"))
