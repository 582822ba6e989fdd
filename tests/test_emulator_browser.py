"""The emulator's pages in a real headless Chromium; skipped without one."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from target_databox.emulator.commands.demo import DATA

sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed.")

if TYPE_CHECKING:
    from collections.abc import Iterator

    from target_databox.emulator import Emulator
    from tests.conftest import EmulatorMaker

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

# A name of somebody else's that was made to point to this machine.
REBOUND = "rebound.example"

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed."),
    # The driver leaves its event loop to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser."""
    with sync_api.sync_playwright() as driver:
        # Containers have no user namespaces for its sandbox; only pages of our own are opened.
        arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"]
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(params=[(1100, "light"), (360, "dark")], ids=["desktop-light", "phone-dark"])
def tab(chromium: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A page that fails the test when a script fails, something is blocked, or a dialog opens."""
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    tab = context.new_page()
    tab.set_default_timeout(5000)
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("dialog", lambda dialog: (complaints.append(dialog.message), dialog.dismiss()))
    yield tab
    context.close()
    assert complaints == []


def load(emulator: Emulator, title: str, rows: list[dict[str, Any]], key: str) -> str:
    """Load rows into a new dataset; its id."""
    source = emulator.store.create_data_source("Shop")
    dataset_id = emulator.store.create_dataset(title, source.id, [key]).id
    for begin in range(0, len(rows), 100):
        emulator.store.accept(dataset_id, [json.dumps(row).encode() for row in rows[begin : begin + 100]])
    emulator.store.finish_processing()
    return dataset_id


@pytest.fixture
def weather(emulator: Emulator) -> str:
    """The id of a dataset with the bundled weather."""
    lines = (DATA / "seattle_weather.jsonl").read_text(encoding="utf-8").splitlines()
    return load(emulator, "Weather", [json.loads(line) for line in lines], "date")


def is_wider_than_its_window(tab: Any) -> bool:
    """Whether a page has to be scrolled sideways."""
    return bool(tab.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def test_loaded_data_can_be_found(emulator: Emulator, weather: str, tab: Any) -> None:
    """From the overview a click leads to the dataset with its columns and its first rows."""
    tab.goto(emulator.url)
    assert not is_wider_than_its_window(tab)
    headings = tab.get_by_role("columnheader")
    assert headings.all_inner_texts()[:4] == ["dataset", "last load", "rows", "rejected"]
    rejected = headings.nth(3).bounding_box()
    assert rejected["x"] + rejected["width"] <= tab.viewport_size["width"]
    tab.get_by_role("link", name="Weather").click()
    assert tab.url.endswith(weather)
    assert not is_wider_than_its_window(tab)
    assert (
        tab.get_by_role("region", name="Rows").get_by_role("row").nth(1).inner_text().split()[0]
        == "2012-01-01"
    )
    assert "Rows 1 to 50 of 1,461" in tab.inner_text("main")


def test_long_names_wrap(emulator: Emulator, tab: Any) -> None:
    """Names of 200 letters without a blank, of datasets, columns and keys, widen no page and no column."""
    name = "shipping_address__" * 11
    row = {f"{name}id": 1, f"{name}amount": 2.5, f"{name}day": "2024-01-01", "text": "x" * 3000}
    dataset_id = load(emulator, name, [row, {"text": "y" * 3000}], f"{name}id")
    paths = ("/", f"/datasets/{dataset_id}", f"/ingestions?dataset={dataset_id}", "/rejected", "/requests")
    for path in paths:
        tab.goto(emulator.url + path)
        assert not is_wider_than_its_window(tab), path
        widths = tab.evaluate("[...document.querySelectorAll('th, td')].map(each => each.offsetWidth)")
        assert max(widths, default=0) < 640, path


def test_rows_come_before_the_columns(emulator: Emulator, tab: Any) -> None:
    """On the page of a wide dataset its rows are above the list of its columns, with a link to that."""
    row = {"id": 1, **{f"{number} measured": "some words" for number in range(99)}}
    dataset_id = load(emulator, "Wide", [row], "id")
    tab.goto(f"{emulator.url}/datasets/{dataset_id}")
    rows, columns = (tab.get_by_role("region", name=name, exact=True) for name in ("Rows", "Columns"))
    assert rows.bounding_box()["y"] < columns.bounding_box()["y"]
    assert rows.get_by_role("row").nth(1).bounding_box()["height"] < 40
    assert not is_wider_than_its_window(tab)
    tab.get_by_role("link", name="columns").click()
    assert tab.evaluate("document.querySelector('#columns').getBoundingClientRect().top") < 800


def test_ages_grow(make_emulator: EmulatorMaker, tab: Any) -> None:
    """The age of the last load grows on an open page, though nothing happens."""
    now = [1_700_000_000.0]
    emulator = make_emulator(clock=lambda: now[0])
    load(emulator, "Orders", [{"id": 1}], "id")
    now[0] += 125
    tab.clock.install()
    tab.goto(emulator.url)
    assert "2 min ago" in tab.get_by_role("region").inner_text()
    now[0] += 60
    tab.clock.run_for(62_000)
    tab.get_by_role("region").get_by_text("3 min ago").wait_for()


@pytest.mark.usefixtures("weather")
def test_search_works_by_keyboard(emulator: Emulator, tab: Any) -> None:
    """A search is typed and sent with Enter, and shows only rows that match."""
    tab.goto(emulator.url)
    tab.get_by_role("link", name="Weather").press("Enter")
    tab.get_by_role("searchbox").fill("2014-02-0")
    tab.get_by_role("searchbox").press("Enter")
    tab.wait_for_url("**q=2014-02-0**")
    assert tab.get_by_role("region", name="Rows").get_by_role("row").count() == 10
    assert "Rows found here: 9; searched 1,461 of 1,461" in tab.inner_text("main")


def test_plot_shows_the_chosen_column(emulator: Emulator, weather: str, tab: Any) -> None:
    """A number column that is chosen is drawn over the date-time column."""
    tab.goto(f"{emulator.url}/datasets/{weather}")
    tab.get_by_label("number").select_option("temp_max")
    tab.get_by_role("button", name="Plot").click()
    tab.wait_for_url("**y=temp_max**")
    picture = tab.get_by_role("img", name="temp_max over date: 1,461 values from -1.6 to 35.6")
    assert picture.is_visible()
    assert picture.locator("polyline").bounding_box()["width"] > 200


def test_html_in_data_stays_text(emulator: Emulator, tab: Any) -> None:
    """Text that is HTML is shown letter by letter, and nothing in it runs."""
    evil = "<img src=x onerror=alert(1)><script>alert(2)</script>"
    dataset_id = load(emulator, evil, [{"id": 1, evil: evil}, {evil: 1}], "id")
    for path in ("/", f"/datasets/{dataset_id}", "/ingestions", "/rejected"):
        tab.goto(emulator.url + path)
        assert "<img src=x onerror=alert(1)>" in tab.inner_text("main")
        assert tab.locator("main img, main script").count() == 0


def test_page_follows_a_load(emulator: Emulator, tab: Any) -> None:
    """While a load runs the page shows new rows by itself, and leaves what is being typed alone."""
    dataset_id = load(emulator, "Orders", [{"id": 1}], "id")
    tab.goto(f"{emulator.url}/datasets/{dataset_id}")
    tab.get_by_role("searchbox").fill("half a wo")
    emulator.store.accept(dataset_id, [b'{"id": 2}'])
    emulator.store.finish_processing()
    tab.get_by_text("Rows 1 to 2 of 2").wait_for()
    assert tab.get_by_role("searchbox").input_value() == "half a wo"
    assert tab.evaluate("document.activeElement.name") == "q"


@pytest.mark.usefixtures("weather")
def test_everything_is_reached_by_tab(emulator: Emulator, tab: Any) -> None:
    """The Tab key reaches the way past the navigation first, then every link."""
    tab.goto(emulator.url)
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"
    names = set()
    for _ in range(12):
        tab.keyboard.press("Tab")
        names.add(tab.evaluate("document.activeElement.textContent"))
    assert {"Data", "Ingestions", "Rejected rows", "Requests", "Weather"} <= names


@pytest.mark.usefixtures("weather")
def test_rebound_site_reads_nothing(emulator: Emulator, chromium: Any) -> None:
    """A script of a site whose name was made to point here gets nothing, even with the key."""
    context = chromium.new_context()
    tab = context.new_page()
    answer = tab.goto(f"http://{REBOUND}:{emulator.port}/")
    assert (answer.status, "Weather" in answer.text()) == (421, False)
    asked = """key => Promise.all(["/", "/v1/accounts", "/v2/profile", "/v2/accounts"].map(async path => {
        const got = await fetch(path, {headers: {"x-api-key": key}});
        return [got.status, await got.text()];
    }))"""
    told = tab.evaluate(asked, emulator.api_key)
    assert [status for status, _ in told] == [421] * 4
    assert not [text for _, text in told if "account" in text.lower()]
    tab.goto(emulator.url)
    assert [status for status, _ in tab.evaluate(asked, emulator.api_key)][:3] == [200] * 3
    context.close()
