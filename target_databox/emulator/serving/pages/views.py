"""Gathers what each page shows; the templates only write it down."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from target_databox.emulator.serving.pages import plots
from target_databox.emulator.state.browsing import cell, parsed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from target_databox.emulator.serving.emulation import Emulation
    from target_databox.emulator.state.shapes import Dataset

_ROWS = 50
_NEWEST = 100
_BARS = 60
# The name of a column that holds another table's keys: id, customer_id, customerId.
_REFERENCE = re.compile(r"(^|[\W_])[iI][dD]$|[a-z]I[dD]$")


@dataclass(frozen=True, slots=True)
class Request:
    """What a browser asked for: the server's address, the path, the ids in it, and the query."""

    url: str
    path: str
    ids: Mapping[str, str]
    query: Mapping[str, str]

    def page(self) -> int:
        """The number of the page, from 1; whatever is no number is 1."""
        return max(1, self.number("page"))

    def number(self, name: str) -> int:
        """A number of the query; whatever is none is 0."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0

    def link(self, **changes: Any) -> str:
        """The same address with some fields of the query changed; `None` leaves one out."""
        fields = {name: value for name, value in {**self.query, **changes}.items() if value not in {None, ""}}
        return f"{self.path}?{urlencode(fields)}" if fields else self.path


@dataclass(frozen=True, slots=True)
class Page:
    """A page to show: its template, its title and what the template writes down."""

    template: str
    title: str
    fields: dict[str, Any]
    status: int = 200


@dataclass(frozen=True, slots=True)
class Pager:
    """The way to the pages before and after; `None` where there is none."""

    first: int
    last: int
    total: int | None
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Searched:
    """How far a search has come: rows found here, rows looked at so far of all, and the ways on."""

    found: int
    looked: int
    total: int
    first: str | None
    on: str | None


def version(emulation: Emulation) -> str:
    """Text that changes whenever a page may look different."""
    return f"{emulation.log.total}.{emulation.store.settled_changes()}"


def overview(emulation: Emulation, request: Request) -> Page:
    """Every data source with its datasets, and the sums over all of them."""
    store = emulation.store
    datasets = store.datasets()
    totals = {each.id: store.totals(each.id) for each in datasets}
    sources = [
        (source, [(each, totals[each.id]) for each in datasets if each.data_source_id == source.id])
        for source in store.data_sources()
    ]
    return Page(
        "overview.html",
        "What has been loaded",
        {
            "sources": sources,
            "url": request.url,
            "now": store.now(),
            "last_at": max((each.last_at for each in totals.values() if each.last_at), default=None),
            "numbers": {
                "rows": sum(each.row_count for each in datasets),
                "rows on their way": sum(
                    each.received - each.appended - each.overwritten - each.rejected
                    for each in totals.values()
                    if each.pending
                ),
                "rows rejected": sum(each.bad_rows for each in totals.values()),
                "requests": emulation.log.total,
            },
            "plot": plots.bar_plot(store.browser.bars(None, _BARS)),
        },
    )


def dataset(emulation: Emulation, request: Request) -> Page:
    """One dataset: how its rows came, a plot of a number over time, its rows and its columns."""
    store = emulation.store
    found = store.dataset(request.ids["dataset_id"])
    words, page = request.query.get("q", "").strip(), request.page()
    searched = None
    if words:
        search = store.browser.search(found.seq, words, request.number("after"), _ROWS)
        texts = search.texts
        looked = request.number("looked") + search.looked
        searched = Searched(
            len(texts),
            looked,
            found.row_count,
            request.link(after=None, looked=None) if request.number("after") else None,
            request.link(after=search.rest, looked=looked) if search.rest is not None else None,
        )
    else:
        texts = store.browser.rows(found.seq, (page - 1) * _ROWS, _ROWS + 1)
    values = [parsed(text) for text in texts[:_ROWS]]
    rows = [[cell(row.get(name)) for name in found.columns] for row in values]
    plot = _column_plot(emulation, found, request)
    return Page(
        "dataset.html",
        found.title or found.id,
        {
            "dataset": found,
            "source": store.data_source(found.data_source_id),
            "totals": store.totals(found.id),
            "now": store.now(),
            "loads": plots.bar_plot(store.browser.bars(found.seq, _BARS), small=True),
            "rows": rows,
            "words": words,
            "searched": searched,
            "pager": _pager(request, page, _ROWS, len(texts), found.row_count),
            "keys": frozenset(found.keys or ()),
            **plot,
        },
    )


def _column_plot(emulation: Emulation, found: Dataset, request: Request) -> dict[str, Any]:
    dates = [name for name, each in found.columns.items() if each.type == "datetime"]
    numbers = [name for name, each in found.columns.items() if each.type == "number"]
    x = request.query.get("x", dates[0] if dates else "")
    y = request.query.get("y", _first_measure(numbers, found.keys or ()))
    plot, stride = None, 1
    if x in dates and y in numbers:
        points, stride = emulation.store.browser.points(found.seq, found.row_count, x, y)
        plot = plots.line_plot(points, x, y)
    return {"dates": dates, "numbers": numbers, "x": x, "y": y, "plot": plot, "stride": stride}


def _first_measure(numbers: Sequence[str], keys: Sequence[str]) -> str:
    """The number that a plot begins with: no key, here or elsewhere, and none that the pipeline added."""
    plain = [name for name in numbers if name not in keys]
    measures = [name for name in plain if not name.startswith("_sdc_") and not _REFERENCE.search(name)]
    return next(iter(measures or plain or numbers), "")


def ingestions(emulation: Emulation, request: Request) -> Page:
    """The newest ingestions of a dataset or of all, and the sums over time."""
    store, chosen = emulation.store, _chosen(emulation, request)
    page = request.page()
    found = store.browser.ingestions(chosen.seq if chosen else None, (page - 1) * _NEWEST, _NEWEST + 1)
    return Page(
        "ingestions.html",
        "Ingestions",
        {
            "ingestions": found[:_NEWEST],
            "titles": {each.id: each.title or each.id for each in store.datasets()},
            "chosen": chosen,
            "plot": plots.bar_plot(store.browser.bars(chosen.seq if chosen else None, _BARS)),
            "pager": _pager(request, page, _NEWEST, len(found), None),
        },
    )


def rejected(emulation: Emulation, request: Request) -> Page:
    """The rows that were rejected, newest first, with the reasons."""
    chosen, page = _chosen(emulation, request), request.page()
    emulation.store.datasets()  # whoever looks sees what is due
    found = emulation.store.browser.rejected(chosen.seq if chosen else None, (page - 1) * _ROWS, _ROWS + 1)
    return Page(
        "rejected.html",
        "Rejected rows",
        {
            "rejected": found[:_ROWS],
            "chosen": chosen,
            "pager": _pager(request, page, _ROWS, len(found), None),
        },
    )


def requests(emulation: Emulation, _: Request) -> Page:
    """The newest requests, how many there were of each kind, and the budget that they used."""
    exchanges = list(emulation.log)
    kinds = Counter((each.route or "no such route", each.version, _answer(each.status)) for each in exchanges)
    return Page(
        "requests.html",
        "Requests",
        {
            "budgets": emulation.budgets(),
            "limits": emulation.limits,
            "kinds": sorted(kinds.items()),
            "total": emulation.log.total,
            "newest": exchanges[: -_NEWEST - 1 : -1],
        },
    )


def _answer(status: int | None) -> str:
    return "connection cut" if status is None else str(status)


def _chosen(emulation: Emulation, request: Request) -> Dataset | None:
    dataset_id = request.query.get("dataset")
    return emulation.store.dataset(dataset_id) if dataset_id else None


def _pager(request: Request, page: int, size: int, found: int, total: int | None) -> Pager:
    first = (page - 1) * size + 1
    return Pager(
        first if found else 0,
        first + min(found, size) - 1 if found else 0,
        total,
        request.link(page=page - 1 if page > 2 else None) if page > 1 else None,
        request.link(page=page + 1) if found > size else None,
    )


def _moment(at: float | None) -> str:
    """A time as people read it, to the second, in UTC."""
    if at is None:
        return ""
    return f"{datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=at):%Y-%m-%d %H:%M:%S}"


def _age(at: float, now: float) -> str:
    """How long ago something was, as people say it."""
    seconds = max(0.0, now - at)
    for size, unit in ((86_400, "day"), (3_600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count:,} {unit}{'s' if unit == 'day' and count > 1 else ''} ago"
    return "now"


def _count(number: int) -> str:
    return f"{number:,}"


FILTERS: dict[str, Callable[..., str]] = {"moment": _moment, "age": _age, "count": _count, "answer": _answer}
"""What templates may do to a value, by name."""
