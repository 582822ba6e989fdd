"""Shows on a terminal what has landed in an emulator."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from target_databox.emulator.commands.terminal import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from target_databox.emulator.serving.exchanges import ExchangeLog
    from target_databox.emulator.state.shapes import Dataset, DataSource
    from target_databox.emulator.state.store import Store

_WIDEST_CHARACTERS = 24
_MOST_COLUMNS = 6
_MOST_LISTED = 12


def show_landed(store: Store, log: ExchangeLog, console: Console, *, sample_rows: int = 0) -> None:
    """Print what landed: every dataset with its keys, columns, rows and ingestions, and the requests it took.

    Args:
        store: The state to show; what is pending is processed first, as the API would do.
        log: The exchanges.
        console: Where to print.
        sample_rows: How many rows of each dataset to show.
    """
    store.finish_processing()
    datasets = store.datasets()
    if not datasets:
        console.print("No dataset was made.")
    for source in store.data_sources():
        if found := [each for each in datasets if each.data_source_id == source.id]:
            console.print(_datasets(store, source, found))
    for dataset in datasets:
        console.print(_columns(dataset), highlight=False)
        if sample_rows:
            console.print(_rows(store, dataset, sample_rows))
    statuses = Counter(each.status for each in log)
    parts = [f"{log.total:,} requests"]
    if statuses[429]:
        parts.append(f"{statuses[429]:,} refused by the rate limits")
    if statuses[None]:
        parts.append(f"{statuses[None]:,} cut connections")
    if unknown := log.unknown_routes():
        parts.append(f"{len(unknown):,} for routes that the API does not have")
    console.print(f"{', '.join(parts)}.", highlight=False)


def _datasets(store: Store, source: DataSource, datasets: list[Dataset]) -> RenderableType:
    title = f"What landed in {_escaped(source.title or str(source.id))}"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("dataset", overflow="fold")
    table.add_column("keys", overflow="fold")
    for name in ("rows", "columns", "ingestions", "overwritten", "rejected"):
        table.add_column(name, justify="right", no_wrap=True)
    for dataset in datasets:
        totals = store.totals(dataset.id)
        numbers = (
            dataset.row_count,
            len(dataset.columns),
            totals.ingestions,
            totals.overwritten,
            totals.bad_rows,
        )
        table.add_row(
            _escaped(dataset.title or dataset.id),
            _escaped("not told" if dataset.keys is None else ", ".join(dataset.keys) or "none"),
            *(f"{number:,}" for number in numbers),
        )
    return table


def _columns(dataset: Dataset) -> str:
    described = [f"{shown(name)} ({each.type or 'empty'})" for name, each in dataset.columns.items()]
    listed = described[:_MOST_LISTED]
    if len(described) > len(listed):
        listed.append(f"and {len(described) - len(listed)} more")
    return f"{_escaped(dataset.title or dataset.id)}: {escape(', '.join(listed)) or 'no columns'}"


def _rows(store: Store, dataset: Dataset, count: int) -> RenderableType:
    names = list(dataset.columns)[:_MOST_COLUMNS]
    left_out = len(dataset.columns) - len(names)
    title = f"First rows of {_escaped(dataset.title or dataset.id)}"
    table = Table(
        title=f"{title} ({left_out} more columns)" if left_out else title,
        title_justify="left",
        box=SIMPLE_HEAD,
    )
    for name in names:
        table.add_column(
            _escaped(name), justify="right" if dataset.columns[name].type == "number" else "left"
        )
    for row in _first_rows(store, dataset, count):
        table.add_row(*(escape(_cell(row.get(name))) for name in names))
    return table


def _first_rows(store: Store, dataset: Dataset, count: int) -> Iterator[dict[str, Any]]:
    for text in store.row_texts(dataset.id, limit=count):
        yield json.loads(text, parse_float=Decimal)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = (
        value
        if isinstance(value, str)
        else str(value)
        if isinstance(value, Decimal)
        else json.dumps(value, default=str)
    )
    return shown(text, _WIDEST_CHARACTERS)


def _escaped(text: str) -> str:
    """A name without markup, whatever it holds."""
    return escape(shown(text))
