"""The emulator's pages as a browser gets them, without a browser."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import requests

from target_databox.emulator.serving.meter import Limits
from target_databox.emulator.state.browsing import MOST_PARSED_ROWS, MOST_SEARCHED_BYTES, MOST_SEARCHED_ROWS

if TYPE_CHECKING:
    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker

EVIL = "<script>alert(1)</script>"


def load(
    emulator: Emulator, *rows: dict[str, Any], title: str = "Orders", keys: tuple[str, ...] = ("id",)
) -> str:
    """Load rows into a new dataset; its id."""
    source = emulator.store.create_data_source("Shop")
    dataset_id = emulator.store.create_dataset(title, source.id, keys).id
    for begin in range(0, len(rows), 100):
        emulator.store.accept(dataset_id, [json.dumps(row).encode() for row in rows[begin : begin + 100]])
    emulator.store.finish_processing()
    return dataset_id


def page(emulator: Emulator, path: str, status: int = 200) -> str:
    """The HTML of a page."""
    response = requests.get(emulator.url + path, timeout=5)
    assert response.status_code == status
    assert response.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    return response.text


def cells(html: str) -> list[str]:
    """The texts of the table cells of a page."""
    return re.findall(r"<td[^>]*>([^<]*)</td>", html)


def test_empty_emulator_says_what_to_do(emulator: Emulator) -> None:
    """Before anything is loaded the page tells where to load, and not the key."""
    html = page(emulator, "/")
    assert "Nothing yet" in html
    assert emulator.url in html
    assert emulator.api_key not in html


def test_overview_counts_everything(emulator: Emulator) -> None:
    """The overview lists every dataset with its last load, rows, rejected rows and what is pending."""
    load(emulator, *({"id": n, "v": n} for n in range(150)), {"v": 1})
    html = page(emulator, "/")
    assert "Shop" in html
    headings = re.findall(r"<th [^>]*>([a-z ]+)</th>", html)
    assert headings[:5] == ["dataset", "last load", "rows", "rejected", "pending"]
    row = html.partition("<tbody>")[2].partition("</tr>")[0]
    texts = re.sub(r"<[^>]+>", " ", row).split()
    assert texts[0] == "Orders"
    assert texts[-6:] == ["150", "1", "0", "2", "2", "id"]
    assert re.search(r"(now|\d s ago)<small>20\d\d-\d\d-\d\d ", row)
    assert "150 appended, 0 overwritten, 1 rejected" in html


def test_dataset_shows_columns_and_rows(emulator: Emulator) -> None:
    """A dataset's page has its rows with every digit, then its columns with types and keys."""
    dataset_id = load(emulator, {"id": 1, "price": 1.50, "when": "2024-01-01", "tags": ["a"], "none": None})
    html = page(emulator, f"/datasets/{dataset_id}")
    found = cells(html)
    assert found[:5] == ["1", "1.5", "2024-01-01", "[&#34;a&#34;]", ""]
    assert found[5:8] == ["number", "from its values", "key"]
    assert "empty so far" in found[8:]
    assert re.findall(r"<small>([^<0-9]+)</small>", html)[:2] == ["number, key", "number"]


def test_rows_come_in_pages(emulator: Emulator) -> None:
    """A page has 50 rows, and links to the one before and the one after."""
    dataset_id = load(emulator, *({"id": n} for n in range(120)))
    first = page(emulator, f"/datasets/{dataset_id}")
    assert "Rows 1 to 50 of 120" in first
    assert 'rel="prev"' not in first
    last = page(emulator, f"/datasets/{dataset_id}?page=3")
    assert "Rows 101 to 120 of 120" in last
    assert f'href="/datasets/{dataset_id}?page=2" rel="prev"' in last
    assert 'rel="next"' not in last


@pytest.mark.parametrize(
    ("words", "ids"),
    [("žiga", ["1"]), ("2.5", ["2"]), ("name", []), ("true", ["3"]), ("a b", ["4"]), ("é", ["4"])],
)
def test_search_looks_into_values(emulator: Emulator, words: str, ids: list[str]) -> None:
    """A search finds text in values, whatever its case, and not in the names of columns."""
    dataset_id = load(
        emulator,
        {"id": 1, "name": "Žiga"},
        {"id": 2, "size": 2.5},
        {"id": 3, "name": True},
        {"id": 4, "name": "A b\u00e9"},
    )
    rows = (
        page(emulator, f"/datasets/{dataset_id}?q={words}")
        .partition('data-live="rows"')[2]
        .partition('id="columns"')[0]
    )
    assert cells(rows)[::3] == ids


@pytest.mark.parametrize("number", ["0", "-1", "x", "²", "99999999999999999999"])
def test_odd_page_numbers_do_no_harm(emulator: Emulator, number: str) -> None:
    """Whatever is no page number shows a page nevertheless."""
    page(emulator, f"/datasets/{load(emulator, {'id': 1})}?page={number}")
    page(emulator, f"/rejected?page={number}")


def test_data_is_escaped_everywhere(emulator: Emulator) -> None:
    """Text that is HTML is shown as text, in titles, keys, columns, values, searches and paths."""
    dataset_id = load(
        emulator, {EVIL: 1, "when": "2024-01-01", "n": 1, "text": EVIL}, {"n": EVIL}, title=EVIL, keys=(EVIL,)
    )
    requests.get(f"{emulator.url}/{EVIL}?{EVIL}", headers={"x-api-key": emulator.api_key}, timeout=5)
    paths = ["/", f"/datasets/{dataset_id}?q={EVIL}&y={EVIL}&x=when", "/ingestions", "/rejected", "/requests"]
    paths += [
        f"/ingestions?dataset={dataset_id}",
        f"/rejected?dataset={dataset_id}",
        f"/datasets/{dataset_id}",
    ]
    for path in paths:
        html = page(emulator, path)
        assert "<script>alert" not in html
        assert html.count("<script") == 1, path
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page(emulator, f"/datasets/{dataset_id}")


def test_numbers_beyond_floats_are_passed_over(emulator: Emulator) -> None:
    """A plot passes over numbers that no float can hold, and survives the ends of the calendar."""
    huge = [
        b'{"id": 1, "at": "2024-01-01", "n": 1e400}',
        b'{"id": 2, "at": "2024-01-01", "n": 1' + b"0" * 400 + b"}",
    ]
    dataset_id = load(emulator, {"id": 3, "at": "0001-01-01T00:00:00+10:00", "n": 7})
    emulator.store.accept(dataset_id, huge)
    emulator.store.finish_processing()
    assert "n over at: 1 values from 7 to 7" in page(emulator, f"/datasets/{dataset_id}?x=at&y=n")


def test_number_is_plotted_over_time(emulator: Emulator) -> None:
    """A number column is plotted against a date-time column, the first ones or those that are asked for."""
    rows = ({"id": n, "day": f"2024-01-{n + 1:02}", "a": n, "b": -n} for n in range(20))
    dataset_id = load(emulator, *rows)
    assert "a over day: 20 values from 0 to 19" in page(emulator, f"/datasets/{dataset_id}")
    html = page(emulator, f"/datasets/{dataset_id}?x=day&y=b")
    assert "b over day: 20 values from -19 to 0, between 2024-01-01 and 2024-01-20." in html
    assert html.count('class="dot"') == 20
    assert "No row has values" in page(emulator, f"/datasets/{dataset_id}?x=day&y=day")


@pytest.mark.parametrize(
    ("columns", "keys", "first"),
    [
        (["id", "amount"], ["id"], "amount"),
        (["day_number", "amount"], ["day_number"], "amount"),
        (["customer_id", "customerId", "Id", "paid"], ["x"], "paid"),
        (["_sdc_sequence", "humid"], ["x"], "humid"),
        (["shop_id", "id"], ["id"], "shop_id"),
        (["id"], ["id"], "id"),
    ],
)
def test_plot_begins_with_a_measure(
    emulator: Emulator, columns: list[str], keys: list[str], first: str
) -> None:
    """A plot begins with a number that is no key, here or elsewhere, where there is one."""
    row = {**dict.fromkeys(columns, 1), "day": "2024-01-01", "x": "text"}
    dataset_id = load(emulator, row, keys=tuple(keys))
    assert f'<svg viewBox="0 0 760 260" role="img" aria-label="{first} over day:' in page(
        emulator, f"/datasets/{dataset_id}"
    )


def test_bad_row_counts_once(emulator: Emulator) -> None:
    """A bad row that is tried in ever smaller batches is one rejected row, with the number of its tries."""
    bad, good = {"v": "no key"}, [{"id": n, "v": "x"} for n in range(7)]
    dataset_id = load(emulator, *good, bad)
    for count in (4, 2, 1):
        texts = [json.dumps(row).encode() for row in (*good[: count - 1], bad)]
        emulator.store.accept(dataset_id, texts)
    emulator.store.accept(dataset_id, [b'{"v": "another one"}'])
    emulator.store.finish_processing()
    assert emulator.store.totals(dataset_id).rejected == 5
    for path in ("/", f"/datasets/{dataset_id}"):
        assert "7 appended, 4 overwritten, 2 rejected, 0 on their way" in page(emulator, path)
    assert re.search(r"rows rejected</dt><dd>2<", page(emulator, "/"))
    assert re.search(r"rejected rows</a></dt><dd>2<", page(emulator, f"/datasets/{dataset_id}"))
    html = page(emulator, "/rejected")
    assert cells(html).count("The row has no value for a primary key.") == 2
    assert sorted(re.findall(r'<td class="n">(\d+)</td>\s*<td class="t">', html)) == ["1", "4"]


def test_company_of_a_bad_row_is_not_rejected(make_emulator: EmulatorMaker) -> None:
    """Rows that are refused only because another row of their ingestion is bad are no rejected rows."""
    emulator = make_emulator(rejection_scope="ingestion")
    dataset_id = load(emulator, {"id": 1}, {"id": 2}, {"v": 1})
    assert emulator.store.totals(dataset_id).bad_rows == 1
    assert "0 appended, 0 overwritten, 1 rejected" in page(emulator, "/")
    assert page(emulator, "/rejected").count("<tr>") == 2


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-5, "now"),
        (0.5, "now"),
        (59, "59 s ago"),
        (61, "1 min ago"),
        (7_300, "2 h ago"),
        (90_000, "1 day ago"),
        (1e9, "11,574 days ago"),
    ],
)
def test_ages_are_short(make_emulator: EmulatorMaker, seconds: float, age: str) -> None:
    """The age of the last load is given in one unit, the largest that fits."""
    now = [1_700_000_000.0]
    emulator = make_emulator(clock=lambda: now[0])
    dataset_id = load(emulator, {"id": 1})
    now[0] += seconds
    for path in ("/", f"/datasets/{dataset_id}"):
        assert f">{age}<small>2023-11-14 22:13:20</small>" in page(emulator, path)


def test_rows_are_charted_over_time(emulator: Emulator) -> None:
    """A dataset's page has a small chart of its own rows over the time of their ingestions."""
    dataset_id = load(emulator, *({"id": n} for n in range(150)))
    load(emulator, {"id": 1}, title="Another")
    html = page(emulator, f"/datasets/{dataset_id}")
    chart = html.partition('data-live="loads"')[2].partition("</figure>")[0]
    assert '<figure class="small">' in chart
    assert re.search(r"Rows between \d{4}-\d\d-\d\d [\d:]+ and .*: 150 appended, 0 over", chart)
    assert sum(int(count) for count in re.findall(r"<title>(\d+) rows appended", chart)) == 150
    made = emulator.store.create_dataset("Empty", emulator.store.data_sources()[0].id).id
    assert "<figure" not in page(emulator, f"/datasets/{made}")


def test_v2_rejections_show_their_reasons(emulator: Emulator) -> None:
    """A row that v2 rejects is shown with its reason, and its request with the version that it spoke."""
    dataset_id = load(emulator, {"id": 1, "amount": 2})
    number = emulator.store.dataset(dataset_id).number
    headers = {"x-api-key": emulator.api_key}
    body = {"records": [{"id": 2, "amount": "many"}, {"id": 3, "amount": 3}]}
    for url in (f"v2/datasets/{number}/data", f"v1/datasets/{dataset_id}/data"):
        requests.post(f"{emulator.url}/{url}", json=body, headers=headers, timeout=5)
    emulator.store.finish_processing()
    found = cells(page(emulator, "/rejected"))
    assert found.count("A value is no number, which its column is.") == 1
    assert cells(page(emulator, "/requests"))[:6] == ["v1", "200", "1", "v2", "200", "1"]


def test_ingestions_show_their_counts(emulator: Emulator) -> None:
    """The ingestions are listed newest first, with status and counts, pending and failed ones too."""
    dataset_id = load(emulator, {"id": 1}, {"v": 1})
    emulator.faults.add("post_rows", fail_ingestion=True)
    headers = {"x-api-key": emulator.api_key}
    url = f"{emulator.url}/v1/datasets/{dataset_id}/data"
    requests.post(url, json={"records": [{"id": 2}]}, headers=headers, timeout=5)
    emulator.store.finish_processing()
    html = page(emulator, f"/ingestions?dataset={dataset_id}")
    assert re.findall(r'class="status \w+">(\w+)<', html) == ["failed", "done"]
    assert "1 appended, 0 overwritten, 1 rejected, 1 on their way or failed" in html


def test_rejected_rows_show_their_reasons(emulator: Emulator) -> None:
    """A rejected row is shown with its column and the reason."""
    load(emulator, {"id": 1}, {"v": "lost"})
    found = cells(page(emulator, "/rejected"))
    assert "The row has no value for a primary key." in found
    assert "id" in found


def test_requests_show_the_budget(make_emulator: EmulatorMaker) -> None:
    """The page of requests counts them by route and answer, and shows what is left of the hour."""
    emulator = make_emulator(limits=Limits(10, 3))
    for _ in range(4):
        requests.get(f"{emulator.url}/v1/accounts", headers={"x-api-key": emulator.api_key}, timeout=5)
    html = page(emulator, "/requests")
    assert "3 requests in the last hour, 0 left" in html
    assert cells(html)[:6] == ["v1", "200", "3", "v1", "429", "1"]
    assert emulator.api_key not in html


def test_limits_can_be_off(emulator: Emulator) -> None:
    """Without limits the page of requests says so."""
    assert "The limits are switched off." in page(emulator, "/requests")


def test_version_grows_with_changes(emulator: Emulator) -> None:
    """The version stays while nothing happens, and changes with every load and request."""

    def version() -> str:
        return requests.get(f"{emulator.url}/version", timeout=5).text

    first = version()
    assert version() == first
    page(emulator, "/")
    assert version() == first
    load(emulator, {"id": 1})
    second = version()
    assert second != first
    requests.get(f"{emulator.url}/v1/accounts", headers={"x-api-key": emulator.api_key}, timeout=5)
    assert version() != second


def test_pages_leave_the_log_alone(emulator: Emulator) -> None:
    """Looking at pages spends no budget and is no exchange of the API."""
    for path in ("/", "/ingestions", "/rejected", "/requests", "/version", "/static/style.css"):
        assert requests.get(emulator.url + path, timeout=5).status_code == 200
    assert len(emulator.log) == 0


@pytest.mark.parametrize("path", ["/datasets/nope", "/ingestions?dataset=nope", "/rejected?dataset=nope"])
def test_missing_dataset_is_explained(emulator: Emulator, path: str) -> None:
    """A dataset that isn't there is answered with a page that says so."""
    assert "The dataset does not exist." in page(emulator, path, 404)


def test_unknown_files_are_not_served(emulator: Emulator) -> None:
    """Only the style and the script are served as files."""
    for name in ("nope.css", "..%2F__init__.py", "style.css%00"):
        assert requests.get(f"{emulator.url}/static/{name}", timeout=5).status_code == 404


def test_foreign_names_are_turned_away(emulator: Emulator) -> None:
    """A page that was reached by a foreign name, as in DNS rebinding, shows nothing."""
    for path in ("/", "/version"):
        response = requests.get(emulator.url + path, headers={"Host": "evil.example"}, timeout=5)
        assert (response.status_code, "Databox" in response.text) == (421, False)


def filled(emulator: Emulator, count: int, name: str = "Ordinary") -> str:
    """The id of a dataset with many rows, of which the last is special; written past the slow API."""
    source = emulator.store.create_data_source("Large")
    dataset = emulator.store.create_dataset("large", source.id, ["id"])
    bodies = (f'{{"id":{number},"name":"{name}"}}' for number in range(count - 1))
    rows = [
        (dataset.seq, str(number), body) for number, body in enumerate([*bodies, '{"name":"Spécial one"}'])
    ]
    database = emulator.store._database
    with database.transaction():
        database.run_many("INSERT INTO rows (dataset, key, body) VALUES (?, ?, ?)", rows)
        database.run("UPDATE datasets SET row_count = ?, columns = ?", count, '{"id":["number",false]}')
    return dataset.id


@pytest.mark.parametrize(
    ("words", "most"),
    [
        ("spécial one", MOST_SEARCHED_ROWS),
        ("x, y", MOST_SEARCHED_ROWS),
        ('"', MOST_PARSED_ROWS),
        ("name", MOST_PARSED_ROWS),
    ],
)
def test_search_of_a_large_dataset_goes_on(emulator: Emulator, words: str, most: int) -> None:
    """A page searches a bounded number of rows, says how far it has come, and links to the rest."""
    count = most + 100
    dataset_id = filled(emulator, count)
    html = page(emulator, f"/datasets/{dataset_id}?q={quote(words)}")
    assert f"Rows found here: 0; searched {most:,} of {count:,}" in html
    (link,) = re.findall(r'href="([^"]+)" rel="next">Search on<', html)
    assert "From the beginning" not in html
    rest = page(emulator, unescape(link))
    found = int(words.startswith("sp"))
    assert f"Rows found here: {found}; searched {count:,} of {count:,}" in rest
    assert "Search on" not in rest
    assert "From the beginning" in rest


def test_search_shows_a_page_at_a_time(emulator: Emulator) -> None:
    """Fifty rows that match are a page, and the link behind them leads to the next, without any row twice."""
    dataset_id = filled(emulator, 131)
    seen: list[str] = []
    link = f"/datasets/{dataset_id}?q=ordinary"
    for expected in (50, 50, 30):
        html = page(emulator, unescape(link))
        ids = cells(html.partition('data-live="rows"')[2])
        assert f"Rows found here: {expected};" in html
        seen += [each for each in ids if each.isdigit()]
        link = next(iter(re.findall(r'href="([^"]+)" rel="next">Search on<', html)), "")
    assert not link
    assert sorted(seen, key=int) == [str(number) for number in range(130)]


def test_wide_search_is_bounded_by_bytes(emulator: Emulator) -> None:
    """Rows of many bytes are searched in smaller numbers."""
    size = MOST_SEARCHED_BYTES // 100
    dataset_id = filled(emulator, 150, name="x" * size)
    assert "searched 100 of 150" in page(emulator, f"/datasets/{dataset_id}?q=nowhere")


def test_wide_page_reads_each_row_once(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many columns a dataset has, its page parses every row that it shows once."""
    dataset_id = load(emulator, *({"id": n, **{f"c{k}": k for k in range(300)}} for n in range(20)))
    parsed: list[str] = []
    loads = json.loads

    def counted(text: str, **options: Any) -> Any:
        if '"c299"' in text:
            parsed.append(text)
        return loads(text, **options)

    monkeypatch.setattr(json, "loads", counted)
    page(emulator, f"/datasets/{dataset_id}?x=a&y=b")
    rows = [each for each in parsed if not each.startswith('{"id": [')]  # not the types of columns
    assert len(rows) == 20
