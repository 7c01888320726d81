"""The book in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from books import PAGES, ROOT, build, built_book, chapters, tiny_book

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 375, "height": 800}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Site:
    """A folder behind a plain file server, and a browser that notes what goes wrong."""

    def __init__(self, browser, folder: Path) -> None:
        self.browser, self.complaints = browser, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}/"

    def open(self, page: str, viewport=DESKTOP, scheme="light"):
        """The page, loaded, with every formula set."""
        self.complaints.clear()
        context = self.browser.new_context(viewport=viewport, color_scheme=scheme)
        tab = context.new_page()
        tab.on("pageerror", lambda error: self.complaints.append(f"script: {error}"))
        tab.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        tab.on("request", self._request)
        tab.on("response", lambda r: self.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        tab.goto(self.address + page, wait_until="load")
        if not page:  # the first page sends the reader on
            tab.wait_for_url("**/intro.html")
        tab.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => true) : true")
        return tab

    def _request(self, request) -> None:
        if not request.url.startswith((self.address, "data:", "blob:", "about:")):
            self.complaints.append(f"asks another host: {request.url}")

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as player:
        started = player.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture(scope="module")
def site(browser, tmp_path_factory) -> Iterator[Site]:
    made = Site(browser, built_book(tmp_path_factory) / "html")
    yield made
    made.close()


@pytest.mark.parametrize("page", PAGES)
def test_page_loads_without_errors_and_outside_requests(site, page):
    tab = site.open(f"{page}.html")
    assert tab.title()
    assert tab.locator("article h1").count() == 1
    tab.wait_for_timeout(300)
    assert site.complaints == []
    assert tab.locator("mjx-merror, .MathJax_Error, [data-mjx-error]").count() == 0, "a formula that TeX refuses"
    tab.context.close()


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_wider_than_a_phone(site, page):
    tab = site.open(f"{page}.html", PHONE)
    wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{wide} pixels too wide"
    # What is too wide for a phone can be scrolled to: it begins at the left edge, not beyond it.
    begins = (
        "[...document.querySelectorAll('article mjx-container, article table')].map(e => e.getBoundingClientRect().x)"
    )
    assert min(tab.evaluate(begins), default=0) >= 0
    tab.context.close()


@pytest.mark.parametrize("page", PAGES)
def test_pictures_and_formulas_have_alternative_text(site, page):
    tab = site.open(f"{page}.html")
    silent = "e => !(e.getAttribute('alt') || e.getAttribute('aria-label'))"
    found = tab.evaluate(
        f"[...document.querySelectorAll('article img, article svg[role=img]')].filter({silent}).length"
    )
    assert found == 0
    formulas = tab.locator("article mjx-container").count()
    assert tab.locator("article mjx-container mjx-assistive-mml").count() == formulas
    assert tab.locator("article input[type=range]").count() == tab.locator("article label input[type=range]").count()
    tab.context.close()


def test_first_page_is_found_without_a_name(site):
    tab = site.open("")
    assert tab.locator("article h1").count() == 1
    assert site.complaints == []
    tab.context.close()


def test_search_finds_a_phrase(site):
    tab = site.open("search.html?q=region+normalisation")
    tab.locator("#search-results li").first.wait_for(timeout=15_000)
    links = tab.locator("#search-results li a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert any("region_normalisation.html" in link for link in links)
    assert site.complaints == []
    tab.context.close()


STATE = """figure => [
    [...figure.querySelectorAll(':scope > .fi-frame')].findIndex(e => !e.hidden),
    figure.querySelector('.fi-top')?.style.clipPath, figure.querySelector('output')?.textContent]"""


@pytest.mark.parametrize("page", [page for page in PAGES if chapters.is_chapter(ROOT / f"{page}.md")])
def test_sliders_react_to_keys(site, page):
    tab = site.open(f"{page}.html")
    for figure in tab.locator("article figure.fi:has(> label input[type=range])").all():
        slider = figure.locator("> label input[type=range]")
        before = figure.evaluate(STATE)
        slider.focus()
        slider.press("ArrowRight" if slider.input_value() != slider.get_attribute("max") else "ArrowLeft")
        after = figure.evaluate(STATE)
        assert before != after
        assert slider.get_attribute("aria-valuetext")
        frames = figure.locator("> .fi-frame")
        if frames.count():
            assert figure.locator("> .fi-frame:visible").count() == 1
    assert site.complaints == []
    tab.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_of_figures_stand_out(site, scheme):
    tab = site.open("book/quickstart.html", DESKTOP, scheme)
    assert tab.evaluate("document.documentElement.dataset.theme") == scheme
    letters = tab.locator("article .fi svg text").first.evaluate("e => getComputedStyle(e).fill")
    ground = tab.locator("body").evaluate("e => getComputedStyle(e).backgroundColor")
    assert _contrast(letters, ground) > 4.5
    # Nothing between the figure and the page has a ground of its own.
    covered = tab.locator("article .fi").first.evaluate(
        "e => { const seen = []; for (; e && e.tagName != 'BODY'; e = e.parentElement)"
        " seen.push(getComputedStyle(e).backgroundColor); return seen }"
    )
    assert set(covered) <= {"rgba(0, 0, 0, 0)", ground}
    tab.context.close()


def _contrast(one: str, other: str) -> float:
    def light(colour: str) -> float:
        channels = [int(c) / 255 for c in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


WIDGETS = """# Widgets

Linked in the browser alone, as they are without a kernel.

```{code-cell}
import ipywidgets
from IPython.display import display

slider = ipywidgets.IntSlider(value=1, min=0, max=9, description="number")
text = ipywidgets.Label(value="1")
box = ipywidgets.IntText(value=1)
link = ipywidgets.jslink((slider, "value"), (box, "value"))
display(ipywidgets.VBox([slider, box, text]))
```
"""


def test_jupyter_widgets_work_without_a_kernel_or_a_network(browser, tmp_path):
    index = build(tmp_path / "_build", tiny_book(tmp_path / "root", {"widgets": WIDGETS, "other": "# Another page\n"}))
    site = Site(browser, index.parent)
    tab = site.open("book/widgets.html")
    box = tab.locator(".jupyter-widgets input[type=number]")
    box.wait_for(timeout=15_000)
    assert box.input_value() == "1"
    handle = tab.locator(".jupyter-widgets .noUi-handle")
    handle.focus()
    handle.press("ArrowRight")
    tab.wait_for_function("document.querySelector('.jupyter-widgets input[type=number]').value == '2'")
    assert site.complaints == []
    tab.context.close()
    site.close()
