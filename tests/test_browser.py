"""The book in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from books import DESKTOP, PAGES, PHONE, ROOT, Site, build, built_book, chapters, chromium, tiny_book

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    yield from chromium()


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
