"""The page "Repair in this page", end to end in a browser: paint, repair, and the same picture as PyTorch's."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import repair_page
from books import PHONE, ROOT, Site, built_book, chromium
from PIL import Image
from skimage import data

from faceinpaint.regions import REGION_COLOURS, REGIONS
from faceinpaint.repair.colour import line_of
from faceinpaint.repair.framing import Frame, find_faces
from faceinpaint.repair.photograph import Repairer
from faceinpaint.training.run import load_generator

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PAGE = "book/repair.html"

REPAIR = """() => new Promise((done, failed) => {
    const root = document.getElementById("repair");
    const status = root.querySelector("[data-part=status]");
    new MutationObserver(() => status.classList.contains("fr-error") && failed(status.textContent))
        .observe(status, {attributes: true});
    root.addEventListener("repaired", ({detail: d}) => done({
        view: d.view, before: [...d.before], after: [...d.rgba], hole: [...d.hole], regions: [...d.regions],
        styles: [...d.styles], lent: d.lent && [...d.lent], seconds: d.seconds.parser + d.seconds.generator}),
        {once: true});
    root.querySelector("[data-part=go]").click();
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    yield from chromium()


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    return built_book(tmp_path_factory)


@pytest.fixture(scope="module")
def about(built) -> dict:
    return json.loads((built / "html" / "_static" / "repair" / "about.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def site(browser, built) -> Iterator[Site]:
    made = Site(browser, built / "html")
    yield made
    made.close()


def opened(site: Site, **options):
    tab = site.open(PAGE, **options)
    tab.asked = []
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.wait_for_selector("#repair[data-state=ready]")
    return tab


@pytest.fixture(scope="module")
def page(site) -> Iterator:
    """The page, opened once: loading it takes longer than most tests."""
    made = opened(site)
    yield made
    made.context.close()


@pytest.fixture
def tab(site, page):
    """The page as if it had just been opened, but for networks that it may hold; nothing may go wrong on it."""
    from playwright.sync_api import expect  # where there is no browser these tests are skipped, not broken

    part(page, "faces").locator("button").first.click()
    if (remove := part(page, "unlike")).is_visible():
        remove.click()
    part(page, "brush").fill("8")
    if part(page, "erase").get_attribute("aria-pressed") == "true":
        part(page, "erase").click()
    expect(part(page, "share")).to_have_text(re.compile("^Nothing"))  # waits without eval, which the page forbids
    page.asked.clear()
    site.complaints.clear()
    yield page
    assert site.complaints == []


def part(tab, name: str):
    return tab.locator(f"#repair [data-part={name}]")


def point(tab, x: float, y: float) -> tuple[float, float]:
    """A place on the stage, given as shares of its sides, in the window."""
    stage = part(tab, "stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def paint(tab, *places: tuple[float, float]) -> str:
    """One stroke with the mouse; what the page then says of the hole."""
    tab.mouse.move(*point(tab, *places[0]))
    tab.mouse.down()
    for place in places:
        tab.mouse.move(*point(tab, *place), steps=4)
    tab.mouse.up()
    return share(tab)


def share(tab) -> str:
    tab.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return part(tab, "share").text_content()


def repair(tab, size: int) -> dict[str, np.ndarray]:
    found = tab.evaluate(REPAIR)
    view = found["view"]
    shapes = {"before": (view, view, 4), "after": (view, view, 4), "hole": (view, view), "regions": (size, size)}
    return found | {name: np.array(found[name], np.uint8).reshape(shape) for name, shape in shapes.items()}


def library(built: Path) -> Repairer:
    """The library with the networks of the page."""
    files = repair_page.networks(ROOT, built)
    generator, parser = (load_generator(files[name])[:2] for name in ("generator", "parser"))
    return Repairer(*generator, parser)


def decibels(found: dict[str, np.ndarray], repaired: np.ndarray) -> float:
    """How near the page's repair is to another, in the hole."""
    inside = found["hole"] == 1
    error = np.square(found["after"][inside][:, :3] - repaired[inside].astype(float)).mean()
    return 10 * np.log10(255**2 / max(error, 1e-9))


def by_torch(built: Path, found: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What the library makes of the same picture and hole: repaired picture, regions, style matrix."""
    tool = library(built)
    done = tool.repair(np.ascontiguousarray(found["before"][..., :3]), found["hole"], boxes="whole")
    (face,) = done.faces
    return done.pixels, face.regions, tool.styles(face).numpy()


def drawn(built: Path, about: dict, number: int = 0) -> np.ndarray:
    with Image.open(built / "html" / "_static" / "repair" / about["faces"][number]["file"]) as file:
        return np.asarray(file)


def picture_file(picture: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


# --- what is beside the page ----------------------------------------------------------------------------------------


def test_the_networks_are_small_enough_and_the_page_knows_what_it_loads(built, about):
    folder = built / "html" / "_static" / "repair"
    sizes = {name: (folder / path).stat().st_size for name, path in about["files"].items()}
    assert about["sizes"] == sizes
    assert about["bytes"] == sum(sizes.values()) < repair_page.LIMIT == 25_000_000
    assert about["finder"]["bytes"] == (folder / about["finder"]["file"]).stat().st_size
    assert (folder / about["runtime"]).is_file()
    assert [region["name"] for region in about["regions"]] == ["other", *REGIONS]
    assert [region["colour"] for region in about["regions"]] == list(REGION_COLOURS)
    files = repair_page.networks(ROOT, built)
    for name in ("generator", "parser"):
        record = json.loads(files[name].with_suffix(".json").read_text(encoding="utf-8"))
        assert about[name]["weights_sha256"] == record["sha256"]


def test_networks_are_exported_once_and_again_when_weights_change(built, about, tmp_path):
    before = (built / "repair" / "generator.onnx.gz").stat().st_mtime_ns
    repair_page.make(ROOT, built / "repair")
    assert (built / "repair" / "generator.onnx.gz").stat().st_mtime_ns == before
    files = repair_page.networks(ROOT, built)
    assert repair_page.key(ROOT, files) == about["key"]
    (tmp_path / "other").write_bytes(files["generator"].read_bytes() + b"!")
    assert repair_page.key(ROOT, files | {"generator": tmp_path / "other"}) != about["key"]


# --- paint and repair -----------------------------------------------------------------------------------------------


def test_a_painted_hole_is_repaired_as_pytorch_does_it(site, built, about, tmp_path):
    tab, size = opened(site), about["size"]
    assert not any(url.endswith((".gz", "repair_worker.js")) for url in tab.asked), "loaded without being asked"
    paint(tab, (0.35, 0.4), (0.6, 0.55))
    found = repair(tab, size)
    asked = {url.removeprefix(site.address) for url in tab.asked}
    assert {f"_static/repair/{name}.onnx.gz" for name in ("generator", "parser")} <= asked
    assert "_static/repair_worker.js" in asked
    assert not any("centerface" in url for url in asked), "no picture was given to find a face in"
    inside = found["hole"] == 1
    assert 0.02 < inside.mean() < 0.3
    assert inside[int(0.4 * size), int(0.35 * size)]
    assert inside[int(0.55 * size), int(0.6 * size)]
    # Known pixels are the picture's; the hole is what PyTorch makes of it.
    assert np.array_equal(found["before"][..., :3], drawn(built, about))
    assert np.array_equal(found["after"][~inside], found["before"][~inside])
    assert (found["after"][..., 3] == 255).all()
    repaired, regions, styles = by_torch(built, found)
    psnr = decibels(found, repaired)
    agree = (found["regions"] == regions).mean()
    assert agree > 0.995
    assert psnr > 40, f"{psnr:.1f} dB"
    matrix = np.array(found["styles"]).reshape(styles.shape)
    np.testing.assert_allclose(matrix, styles, atol=0.05 * np.abs(styles).max())
    # What is shown.
    names = [about["regions"][i]["name"] for i in np.unique(found["regions"])]
    assert part(tab, "legend").locator("li").all_text_contents() == names
    assert part(tab, "columns").locator("span").all_text_contents() == [*REGIONS, "whole face"]
    for name in ("before", "after", "regions", "styles"):
        assert part(tab, name).is_visible()
    assert names[0] in part(tab, "regions").get_attribute("aria-label")
    assert part(tab, "status").text_content().startswith("Repaired in ")
    # Without a connection it works on, and asks for nothing.
    asked = len(tab.asked)
    tab.context.set_offline(True)
    paint(tab, (0.5, 0.7))
    again = repair(tab, size)
    assert again["hole"].sum() > found["hole"].sum()
    assert len(tab.asked) == asked
    print(f"size {size}, {psnr:.1f} dB, regions {agree:.2%}, first {found['seconds']:.2f} s, {again['seconds']:.2f} s")
    # The file that is taken home is what is shown.
    with tab.expect_download() as download:
        part(tab, "download").click()
    assert download.value.suggested_filename == "repaired.png"
    download.value.save_as(tmp_path / "repaired.png")
    with Image.open(tmp_path / "repaired.png") as file:
        assert np.array_equal(np.asarray(file.convert("RGBA")), again["after"])
    assert site.complaints == []
    tab.context.close()


def test_before_and_after_are_laid_over_each_other(tab, about):
    paint(tab, (0.5, 0.5))
    repair(tab, about["size"])
    clip = "e => e.style.clipPath"
    assert part(tab, "after").evaluate(clip).startswith("inset(0px 0%")
    part(tab, "wipe").focus()
    part(tab, "wipe").press("Home")
    assert "100%" in part(tab, "after").evaluate(clip)


def test_strokes_are_taken_back_and_the_hole_is_cleared(tab):
    assert share(tab) == "Nothing is painted yet."
    assert part(tab, "undo").is_disabled()
    assert part(tab, "clear").is_disabled()
    first = paint(tab, (0.3, 0.3), (0.5, 0.3))
    second = paint(tab, (0.3, 0.7), (0.7, 0.7))
    assert first != second
    part(tab, "undo").click()
    assert share(tab) == first
    paint(tab, (0.3, 0.7), (0.7, 0.7))
    part(tab, "clear").click()
    assert share(tab) == "Nothing is painted yet."
    part(tab, "undo").click()
    assert share(tab) == second
    part(tab, "erase").click()
    assert part(tab, "erase").get_attribute("aria-pressed") == "true"
    assert paint(tab, (0.3, 0.7), (0.7, 0.7)) == first


def test_the_brush_has_a_size(tab):
    small = paint(tab, (0.5, 0.5))
    part(tab, "undo").click()
    part(tab, "brush").fill("24")
    large = paint(tab, (0.5, 0.5))
    percent = [int(text.split("covers ")[1].split("%")[0].replace("less than ", "")) for text in (small, large)]
    assert percent[1] > 4 * percent[0]


def test_painting_with_the_keyboard_alone(tab, about):
    point(tab, 0, 0)
    part(tab, "stage").focus()
    top = tab.evaluate("scrollY")
    for _ in range(4):
        tab.keyboard.press("ArrowUp")
    assert share(tab) == "Nothing is painted yet."
    tab.keyboard.down(" ")
    for _ in range(6):
        tab.keyboard.press("ArrowRight")
    tab.keyboard.up(" ")
    painted = share(tab)
    assert painted.startswith("The hole covers")
    assert abs(tab.evaluate("scrollY") - top) < 10, "the page moved"
    assert tab.url.endswith(PAGE)
    tab.keyboard.press("Control+z")
    assert share(tab) == "Nothing is painted yet.", "one stroke, from key down to key up"
    tab.keyboard.press(" ")
    assert share(tab) not in (painted, "Nothing is painted yet.")
    found = repair(tab, about["size"])
    y, x = (axis.mean() / about["size"] for axis in np.nonzero(found["hole"]))
    assert x > 0.5 > y


def test_painting_with_a_finger(tab):
    session = tab.context.new_cdp_session(tab)
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    x, y = point(tab, 0.3, 0.4)
    top = tab.evaluate("scrollY")
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 6):
        moved = [{"x": x + 10 * step, "y": y + 10 * step}]
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": moved})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert share(tab).startswith("The hole covers")
    session.send("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert abs(tab.evaluate("scrollY") - top) < 10, "the page moved instead"


def test_repair_without_a_hole_says_what_to_do(tab):
    part(tab, "go").click()
    assert "Paint a hole first" in part(tab, "status").text_content()
    assert not any(url.endswith(".gz") for url in tab.asked)


def test_a_network_that_does_not_arrive_can_be_asked_for_again(site, about):
    tab = opened(site)
    paint(tab, (0.5, 0.5))
    tab.context.route("**/generator.onnx.gz", lambda route: route.abort())
    part(tab, "go").click()
    tab.wait_for_selector("#repair .fr-error")
    assert "That did not work" in part(tab, "status").text_content()
    tab.context.unroute("**/generator.onnx.gz")
    part(tab, "go").click()
    part(tab, "result").wait_for(timeout=60_000)
    assert part(tab, "status").text_content().startswith("Repaired in ")
    tab.context.close()


# --- pictures of the reader's ---------------------------------------------------------------------------------------

GIVE = """([how, bytes]) => {
    const file = new File([new Uint8Array(bytes)], "own.png", {type: "image/png"});
    const data = new DataTransfer();
    data.items.add(file);
    const made = how === "drop" ? new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true})
        : new ClipboardEvent("paste", {clipboardData: data, bubbles: true, cancelable: true});
    document.getElementById("repair").dispatchEvent(made);
}"""


FRAMED = """() => { window.framed = null; document.getElementById("repair").addEventListener("framed",
    ({detail}) => { window.framed = detail || "nothing"; }, {once: true}); }"""


def give(tab, picture: np.ndarray, how: str = "file"):
    """Give the page a picture; where it then says that the face is, or "nothing"."""
    tab.evaluate(FRAMED)
    if how == "file":
        file = {"name": "own.png", "mimeType": "image/png", "buffer": picture_file(picture)}
        part(tab, "file").set_input_files(file, timeout=120_000)
    else:
        tab.evaluate(GIVE, [how, list(picture_file(picture))])
    part(tab, "frame").wait_for(timeout=120_000)
    ended = time.monotonic() + 240
    while not (framed := tab.evaluate("window.framed")):  # what waits in the page itself, the page's policy forbids
        assert time.monotonic() < ended, "no face was framed"
        tab.wait_for_timeout(200)
    return framed


def downloaded(tab) -> np.ndarray:
    """The file that the page gives back."""
    with tab.expect_download(timeout=240_000) as download:
        part(tab, "download").click()
    with Image.open(download.value.path()) as file:
        return np.asarray(file)


@pytest.mark.parametrize("how", ["file", "drop", "paste"])
def test_a_picture_of_ones_own_is_framed_and_stays_here(site, tab, about, how):
    size = about["size"]
    wide = np.random.default_rng(0).integers(0, 256, (size, 2 * size, 3), np.uint8)
    assert give(tab, wide, how) == "nothing"
    assert part(tab, "go").is_disabled()
    status = part(tab, "status").text_content()
    assert f"{2 * size} x {size} pixels" in status
    assert "No face was found" in status
    part(tab, "across").fill("75")  # the right half
    part(tab, "use").click()
    assert all(url.startswith(site.address) and "generator" not in url for url in tab.asked)
    paint(tab, (0.5, 0.5))
    found = repair(tab, size)
    assert np.array_equal(found["before"][..., :3], wide[:, size:])
    assert part(tab, "reframe").is_visible()


@pytest.mark.parametrize("turn", [0, 1])
def test_the_face_is_found_as_the_library_finds_it(tab, turn):
    picture = np.rot90(data.astronaut()[:260, 80:340], turn).copy()
    found = give(tab, picture)
    (box, *_) = find_faces(picture, np.zeros(picture.shape[:2], bool))
    frame = Frame.around(box)
    assert np.hypot(found["x"] - frame.x, found["y"] - frame.y) < 0.05 * frame.side
    assert found["side"] == pytest.approx(frame.side, rel=0.07)
    assert (found["tilt"] - frame.tilt + 180) % 360 - 180 == pytest.approx(0, abs=5)
    assert "The face was found" in part(tab, "status").text_content()


@pytest.mark.parametrize("kind", ["colour", "grey", "sepia", "transparent"])
def test_the_picture_comes_back_at_full_size_and_nothing_but_the_hole_is_changed(tab, about, kind):
    picture = data.astronaut()
    if kind == "grey":
        picture = picture[..., 1:2].repeat(3, axis=2)
    if kind == "sepia":
        picture = np.rint(picture[..., 1:2] * [0.95, 0.78, 0.55] + [10, 6, 2]).astype(np.uint8)
    if kind == "transparent":
        picture = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
        picture[:, :150] = 0
    assert give(tab, picture)["side"] > 150
    part(tab, "use").click()
    paint(tab, (0.35, 0.4), (0.5, 0.45))
    repair(tab, about["size"])
    made = downloaded(tab)
    assert made.shape == picture.shape
    changed = (made != picture).any(2)
    rows, columns = np.nonzero(changed)
    assert 100 < changed.sum() < 6000
    assert max(np.ptp(rows), np.ptp(columns)) < 80
    if kind == "grey":
        assert (made == made[..., :1]).all()
    if kind == "sepia":
        line = line_of(picture[~changed], 255)
        assert line.distance(made[changed]).max() <= line.distance(picture[~changed]).max()


def test_a_picture_of_24_megapixels_comes_back_whole(tab, about):
    large = np.full((4000, 6000, 3), 128, np.uint8)
    large[..., 0] = np.arange(6000) // 24
    large[1000:3048, 2000:4048] = np.asarray(Image.fromarray(data.astronaut()).resize((2048, 2048)))
    tab.evaluate("""() => { const real = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (...how) {
            if (this.width * this.height > 16777216) throw new Error("a phone has no such canvas");
            return real.apply(this, how); }; }""")
    found = give(tab, large)
    assert np.hypot(found["x"] * 6000 / 640 - 2900, found["y"] * 6000 / 640 - 1430) < 60
    part(tab, "use").click()
    paint(tab, (0.4, 0.45))
    repair(tab, about["size"])
    made = downloaded(tab)
    changed = (made != large).any(2)
    rows, columns = np.nonzero(changed)
    assert made.shape == large.shape
    assert 1000 < changed.sum() < 60_000
    assert max(np.ptp(rows), np.ptp(columns)) < 300


def test_opened_from_disk_the_page_says_how_to_serve_it(browser, built):
    tab = browser.new_page()
    tab.goto((built / "html" / PAGE).as_uri())
    assert "python3 -m http.server --directory _build/html 8000" in tab.locator("#repair").text_content()
    tab.close()


def test_the_frame_is_moved_and_scaled(tab, built, about):
    size = about["size"]
    picture = np.zeros((2 * size, 2 * size, 3), np.uint8)
    picture[:size, :size] = 200, 0, 0  # the upper left quarter
    assert give(tab, picture) == "nothing"
    part(tab, "stage").focus()
    for _ in range(16):
        tab.keyboard.press("+")  # 1.05 ** 16 > 2: a quarter of the picture fills the frame
    for key in ("ArrowUp", "ArrowLeft"):
        for _ in range(10):
            tab.keyboard.press(key)
    x, y = point(tab, 0.5, 0.5)
    tab.mouse.move(x, y)
    tab.mouse.down()
    tab.mouse.move(x + 300, y + 300, steps=3)  # as far as it goes
    tab.mouse.up()
    part(tab, "use").click()
    paint(tab, (0.5, 0.5))
    before = repair(tab, size)["before"]
    assert np.abs(before[: size // 2, : size // 2, :3].astype(int) - (200, 0, 0)).max() <= 1


def test_a_file_that_is_no_picture_is_refused(tab):
    part(tab, "file").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": b"not a picture"})
    tab.wait_for_selector("#repair .fr-error")
    assert "cannot read that file" in part(tab, "status").text_content()
    assert part(tab, "paint").is_visible()


# --- another photograph of the same person --------------------------------------------------------------------------

LIKENED = """() => { window.likened = null; document.getElementById("repair").addEventListener("likened",
    ({detail}) => { window.likened = detail ? detail.frame : "nothing"; }, {once: true}); }"""


def lend(tab, picture: np.ndarray | bytes):
    """Give the page another photograph of the person; where it then says that the face is, or "nothing"."""
    tab.evaluate(LIKENED)
    content = picture if isinstance(picture, bytes) else picture_file(picture)
    file = {"name": "other.png", "mimeType": "image/png", "buffer": content}
    part(tab, "like").set_input_files(file, timeout=120_000)
    ended = time.monotonic() + 240
    while not (found := tab.evaluate("window.likened")):
        assert time.monotonic() < ended, "nothing came of the other photograph"
        tab.wait_for_timeout(200)
    return found


def portrait(mirrored: bool = False) -> np.ndarray:
    photo = data.astronaut()[:260, 80:340]
    return (photo[:, ::-1] if mirrored else photo).copy()


def test_another_photograph_of_the_person_lends_as_the_library_lends_and_can_be_taken_back(site, tab, built, about):
    size, other = about["size"], portrait(mirrored=True)
    paint(tab, (0.27, 0.47), (0.73, 0.47))  # over both eyes
    alone = repair(tab, size)
    assert alone["lent"] is None
    (box, *_) = find_faces(other, np.zeros(other.shape[:2], bool))
    frame, found = Frame.around(box), lend(tab, other)
    assert np.hypot(found["x"] - frame.x, found["y"] - frame.y) < 0.05 * frame.side
    assert "Its face was found" in part(tab, "likeness").text_content()
    assert part(tab, "liked").is_visible()
    with_it = repair(tab, size)
    done = library(built).repair(alone["before"][..., :3].copy(), alone["hole"], boxes="whole", like=other)
    psnr = decibels(with_it, done.pixels)
    assert psnr > 40, f"{psnr:.1f} dB"
    np.testing.assert_allclose(with_it["lent"], done.faces[0].lent, atol=0.02)
    eyes = with_it["lent"][REGIONS.index("eyes")]
    assert eyes > 0.5
    for place in ("likeness", "scale"):
        assert f"lends styles: eyes ({100 * eyes:.0f}%)" in part(tab, place).text_content()
    # It changes the hole alone, and more than the page and the library differ.
    inside = alone["hole"] == 1
    assert np.array_equal(with_it["after"][~inside], alone["after"][~inside])
    difference = decibels(with_it, alone["after"][..., :3])
    assert difference < psnr
    print(f"page and library {psnr:.1f} dB, with and without {difference:.1f} dB, eyes lent {eyes:.2f}")
    # Taken back, by key, it leaves nothing behind.
    part(tab, "unlike").focus()
    part(tab, "unlike").press("Enter")
    assert not part(tab, "liked").is_visible()
    assert not part(tab, "unlike").is_visible()
    assert part(tab, "like").evaluate("e => e === document.activeElement")
    assert "made without it" in part(tab, "likeness").text_content()
    again = repair(tab, size)
    assert again["lent"] is None
    assert np.array_equal(again["after"], alone["after"])
    assert again["styles"] == alone["styles"]
    assert all(url.startswith(site.address) for url in tab.asked)


def test_where_enough_is_left_the_page_says_that_nothing_is_lent(tab, about):
    paint(tab, (0.5, 0.9))
    alone = repair(tab, about["size"])
    lend(tab, portrait())
    with_it = repair(tab, about["size"])
    assert not any(with_it["lent"])
    assert np.array_equal(with_it["after"], alone["after"])
    assert "lends nothing: enough is left" in part(tab, "likeness").text_content()


@pytest.mark.parametrize(
    ("picture", "why"),
    [
        (np.full((200, 200, 3), 120, np.uint8), "No face was found in it"),
        (np.hstack([portrait(), portrait(mirrored=True)]), "2 faces were found in it"),
        (b"not a picture", "cannot read that file"),
    ],
    ids=["none", "two", "no picture"],
)
def test_a_photograph_that_shows_not_one_face_is_refused(tab, picture, why):
    assert lend(tab, picture) == "nothing"
    said = part(tab, "likeness")
    assert why in said.text_content()
    assert "fr-error" in said.get_attribute("class")
    assert not part(tab, "liked").is_visible()
    assert part(tab, "go").is_enabled()


# --- for everyone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_telephone(site, about, scheme):
    tab = opened(site, viewport=PHONE, scheme=scheme)
    lend(tab, portrait())
    paint(tab, (0.5, 0.5))
    repair(tab, about["size"])
    assert tab.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    edges = "all => all.map(e => e.getBoundingClientRect()).filter(b => b.width).map(b => [b.left, b.right])"
    for left, right in tab.locator("#repair canvas, #repair button, #repair input").evaluate_all(edges):
        assert left >= 0
        assert right <= PHONE["width"]
    assert site.complaints == []
    tab.context.close()


def test_everything_has_a_name(tab):
    nameless = """all => all.filter(e => !(e.getAttribute("aria-label") || e.alt || e.closest("label")
        || (e.tagName === "BUTTON" && (e.textContent.trim() || e.querySelector("img[alt]"))))).map(e => e.outerHTML)"""
    shown = "#repair input, #repair button, #repair progress, #repair img, #repair canvas[role=application]"
    assert tab.locator(shown).evaluate_all(nameless) == []
    assert part(tab, "status").get_attribute("aria-live") == "polite"
    assert tab.locator("#repair script").count() == 0, "scripts stand in files"
