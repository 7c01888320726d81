"""The book in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import re
from collections.abc import Iterator

import chapters
import pytest
from books import DESKTOP, PAGES, PHONE, ROOT, Site, built_book, chromium, tiny_book
from build import build

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def browser() -> Iterator:
    yield from chromium()


@pytest.fixture(scope="module")
def site(browser, tmp_path_factory) -> Iterator[Site]:
    made = Site(browser, built_book(tmp_path_factory) / "html")
    yield made
    made.close()


@pytest.fixture(scope="module", params=PAGES)
def opened(site, request) -> Iterator:
    """A page, opened once for all tests that look at it; to load it takes longer than to look. With its name."""
    tab = site.open(f"{request.param}.html")
    yield request.param, tab
    tab.context.close()


def test_page_loads_without_errors_and_outside_requests(site, opened):
    _, tab = opened
    assert tab.title()
    assert tab.locator("article h1").count() == 1
    tab.wait_for_timeout(300)
    assert site.complaints == []
    assert tab.locator("mjx-merror, .MathJax_Error, [data-mjx-error]").count() == 0, "a formula that TeX refuses"


def test_nothing_is_wider_than_a_phone(opened):
    page, tab = opened
    tab.set_viewport_size(PHONE)
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    wide = tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    # What is too wide for a phone can be scrolled to: it begins at the left edge, not beyond it.
    begins = (
        "[...document.querySelectorAll('article mjx-container, article table')].map(e => e.getBoundingClientRect().x)"
    )
    left = min(tab.evaluate(begins), default=0)
    tab.set_viewport_size(DESKTOP)  # as the other tests of this page have it
    assert wide <= 0, f"{page}: {wide} pixels too wide"
    assert left >= 0


def test_pictures_and_formulas_have_alternative_text(opened):
    _, tab = opened
    silent = "e => !(e.getAttribute('alt') || e.getAttribute('aria-label'))"
    found = tab.evaluate(
        f"[...document.querySelectorAll('article img, article svg[role=img]')].filter({silent}).length"
    )
    assert found == 0
    formulas = tab.locator("article mjx-container").count()
    assert tab.locator("article mjx-container mjx-assistive-mml").count() == formulas
    assert tab.locator("article input[type=range]").count() == tab.locator("article label input[type=range]").count()


def test_first_page_is_found_without_a_name(site):
    # Whether a browser asks for an icon before it is sent on is a matter of luck.
    icon = re.search(r'<link rel="icon" href="([^"]+)">', (site.folder / "index.html").read_text(encoding="utf-8"))
    assert icon
    assert (site.folder / icon[1]).is_file()
    tab = site.open("")
    assert tab.locator("article h1").count() == 1
    assert site.complaints == []
    tab.context.close()


def test_search_finds_a_phrase(site):
    tab = site.open("search.html?q=region+normalisation")
    tab.locator("#search-results li").first.wait_for(timeout=15_000)
    links = tab.locator("#search-results li a").evaluate_all("all => all.map(a => a.getAttribute('href'))")
    assert any("region_normalisation.html" in link for link in links)
    tab.locator("#search-results li p.context").first.wait_for(timeout=15_000)
    excerpts = tab.locator("#search-results li p.context").all_inner_texts()
    assert not [text for text in excerpts if re.search(r"\\[a-zA-Z]{2}", text)], "formulas are left out"
    assert not [text for text in excerpts if "Show the code" in text], "folded code is left out"
    assert site.complaints == []
    tab.context.close()


STATE = """figure => [
    [...figure.querySelectorAll(':scope > .fi-frame')].findIndex(e => !e.hidden),
    figure.querySelector('.fi-top')?.style.clipPath, figure.querySelector('output')?.textContent]"""


def test_sliders_react_to_keys(site, opened):
    page, tab = opened
    figures = tab.locator("article figure.fi:has(> label input[type=range])").all()
    assert chapters.is_chapter(ROOT / f"{page}.md") or not figures
    for figure in figures:
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


def test_a_list_to_choose_from_reacts(site):
    tab = site.open("book/region_normalisation.html")
    figure = tab.locator("article figure.fi:has(> label select)").first
    seen = set()
    for number in range(figure.locator("option").count()):
        figure.locator("select").select_option(index=number)
        assert figure.locator("> .fi-frame:visible").count() == 1
        seen.add(figure.locator("> .fi-frame:visible img").get_attribute("src"))
    assert len(seen) == figure.locator("option").count() > 4
    assert site.complaints == []
    tab.context.close()


def at_rest(tab, *squares):
    """Where squares are once the page, which scrolls smoothly, has come to rest: a busy machine scrolls in jerks.

    All of them are in view then: a mouse outside of it moves nothing.
    """
    for square in reversed(squares):
        square.scroll_into_view_if_needed()
    before, looks = None, 0
    while looks < 5:
        now = [square.bounding_box() for square in squares]
        before, looks = now, looks + 1 if now == before else 0
        tab.wait_for_timeout(150)
    assert all(0 <= place["y"] <= tab.viewport_size["height"] - place["height"] for place in before), "not in view"
    return before


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE])
def test_a_hole_can_be_painted(site, viewport):
    tab = site.open("book/masks.html", viewport)
    figure = tab.locator("article figure.fi:has(.fi-cells)")
    boxes = figure.locator("input[type=checkbox]")
    state = "f => [f.querySelector('output').textContent, f.querySelector('.fi-legend').textContent,"
    state += " f.querySelectorAll('.fi-layer:not([hidden])').length]"
    start = figure.evaluate(state)
    boxes.nth(0).focus()
    boxes.nth(0).press(" ")  # by key
    keyed = figure.evaluate(state)
    assert keyed[0] != start[0]
    boxes.nth(5).click()  # by mouse or finger
    assert boxes.nth(5).is_checked()
    first, last = at_rest(tab, boxes.nth(16), boxes.nth(23))
    tab.mouse.move(first["x"] + 5, first["y"] + 5)
    tab.mouse.down()
    tab.mouse.move(last["x"] + 5, last["y"] + 5, steps=30)  # by drawing over a row
    tab.mouse.up()
    painted = boxes.evaluate_all("all => all.flatMap((box, i) => (box.checked ? [i] : []))")
    assert {*range(16, 24)} <= {*painted}
    assert figure.evaluate(state)[1] != start[1]
    for i in range(64):
        boxes.nth(i).uncheck()
    text, legend, layers = figure.evaluate(state)
    assert text == "hole fraction 0.00, in none of the bins"
    assert "lost" not in legend
    assert layers == 0
    assert first["width"] >= 18, "wide enough for a finger"
    assert site.complaints == []
    tab.context.close()


def test_a_hole_is_painted_by_a_finger_that_moves(site):
    tab = site.open("book/masks.html", PHONE)
    boxes = tab.locator("article figure.fi:has(.fi-cells) input[type=checkbox]")
    boxes.nth(0).scroll_into_view_if_needed()
    first, last = at_rest(tab, boxes.nth(0), boxes.nth(7))
    assert not any(boxes.nth(i).is_checked() for i in range(8))
    finger = tab.context.new_cdp_session(tab)
    for k in range(31):
        x = first["x"] + first["width"] - 2 + (last["x"] - first["x"]) * k / 30  # comes down near an edge
        points = [{"x": x, "y": first["y"] + 5}]
        finger.send("Input.dispatchTouchEvent", {"type": "touchMove" if k else "touchStart", "touchPoints": points})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert all(boxes.nth(i).is_checked() for i in range(8))
    assert site.complaints == []
    tab.context.close()


def test_the_hours_on_a_gpu_in_the_readme_are_those_that_the_chapter_counts(site):
    page = (site.folder / "book" / "train.html").read_text(encoding="utf-8")
    counted = re.search(r"every row: ([\d.]+) hours on one GPU.* and (\d+) GPU hours", " ".join(page.split()))
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert f"take {counted[1]} hours in `gpu`, {counted[2]} in `paper`" in readme


def test_a_page_runs_no_script_but_its_own(site):
    tab = site.open("book/masks.html")
    tab.evaluate(
        """() => {
            const s = document.createElement('script'), p = document.createElement('p');
            s.textContent = 'window.strange = 1';
            p.setAttribute('onclick', 'window.strange = 2');
            document.body.append(s, p);
            p.click();
            return fetch('http://127.0.0.1:9/').catch(() => 0);
        }"""
    )
    assert tab.evaluate("window.strange") is None
    assert len([text for text in site.complaints if "Content Security Policy" in text]) >= 3
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
