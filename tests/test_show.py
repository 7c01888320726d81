"""Figures of the book: what they hold, that they stand alone, and that bad input is refused."""

from __future__ import annotations

import ast
import base64
import html
import inspect
import io
import json
import re
import shutil
import subprocess
import textwrap
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from made import record as made_up
from PIL import Image

from faceinpaint import regions, show
from faceinpaint.comparison.records import Record, Region, Summary
from faceinpaint.data import masks
from faceinpaint.data.toy import toy_faces
from faceinpaint.errors import DataError
from faceinpaint.models import facial_style, refinement
from faceinpaint.show import listing, moving
from faceinpaint.training import methods, objectives


@pytest.fixture(scope="module")
def face():
    drawn = toy_faces(2, 32)
    return drawn.images, regions.merge_classes(drawn.labels)


@pytest.fixture(scope="module")
def records():
    def record(title, given, offset):
        bins = {
            name: {"psnr": Summary(12, 0, 30.0 + i + offset, 29.0 + i, 31.0 + i + offset)}
            for i, name in enumerate(masks.BIN_NAMES)
        }
        errors = {name: Region(0.1, 5) for name in show.OTHER_AND_REGIONS} | {"ears": Region(None, 0)}
        made = Record.from_json(made_up("a", "telea", given))
        views = {"composited": {**made.images["composited"], **bins}, "raw": made.images["raw"]}
        return replace(made, title=title, images=views, regions=errors)

    return [record("CE", None, 0), record("Ours", "true", 1)]


LOG = [{"step": i, "images": 8 * i, "reconstruction": 1 / (1 + i), "generator": 2.0, "gradient": 3.0} for i in range(9)]


@pytest.fixture(scope="module")
def figures(face, records):
    images, labels = face
    hole = masks.box(32, np.random.default_rng(0))
    matrix = torch.arange(256 * 9).reshape(1, 256, 9).sin()
    return {
        "faces": show.faces(list(images), ["one", "two"]),
        "rows": show.faces([list(images), list(images)], ["one", "two"]),
        "regions": show.regions(labels[0], images[0]),
        "maps": show.regions(list(labels)),
        "overlay": show.overlay(images[0], labels[0]),
        "hole": show.hole(images[0], hole),
        "damage": show.damage(labels[0], hole, images[0]),
        "style_matrix": show.style_matrix(matrix),
        "style_distances": show.style_distances(matrix),
        "features": show.features(torch.randn(1, 4, 8, 8), torch.randn(4, 8, 8)),
        "curves": show.curves(LOG),
        "by_bin": show.by_bin(records),
        "region_errors": show.region_errors(records),
        "lines": show.lines([1, 2], {"a": [1, 2], "b": [2, 1]}, xlabel="x", ylabel="y", alt="Two lines cross."),
        "bars": show.bars({"eyes": 1.0, "hair": 2.0}, xlabel="share"),
        "frames": show.frames(list(images), "face", ["first", "second"]),
        "compare": show.compare(images[0], images[1]),
        "explore": show.explore(lambda i: images[i], "face", [0, 1]),
        "choice": show.explore(lambda i: images[i], "face", [0, 1], choice=True),
        "paint": show.paint(images[0], labels[0]),
    }


def test_every_figure_is_described(figures):
    for name, figure in figures.items():
        text = figure._repr_html_()
        assert len(figure.alt) > 10, name
        assert repr(figure) == figure.alt
        assert html.escape(figure.alt, quote=True) in text, name
        for img in re.findall(r"<img[^>]*>", text):
            assert re.search(r'alt="[^"]+"', img), name
        for svg in re.findall(r"<svg[^>]*>", text):
            assert 'role="img"' in svg, name
            assert re.search(r'aria-label="[^"]+"', svg), name


def test_figures_need_nothing_else(figures):
    for name, figure in figures.items():
        text = figure._repr_html_()
        places = re.findall(r"""(?:src|href)=["']([^"']+)""", text) + re.findall(r"url\(([^)]+)\)", text)
        assert all(place.startswith(("data:", "#")) for place in places), name
        assert "<script" not in text, name


def test_figures_are_well_formed_and_have_no_id_twice(figures):
    for name, figure in figures.items():
        body = re.sub(r"<(img|input)([^>]*?)/?>", r"<\1\2/>", figure._repr_html_()).replace(" hidden>", ' hidden="">')
        tree = ElementTree.fromstring(f"<div>{body}</div>")
        ids = [node.get("id") for node in tree.iter() if node.get("id")]
        assert len(ids) == len(set(ids)), name


def test_plots_take_the_text_colour_and_no_background(figures):
    for name in ("curves", "by_bin", "region_errors", "bars", "lines", "style_matrix", "features"):
        svg = figures[name].body
        assert "currentColor" in svg, name
        assert "#010203" not in svg, name
        assert "#ffffff" not in svg or name == "style_matrix", name
        assert "font-family" not in svg, name


def test_figures_are_the_same_every_time(face, figures, records):
    again = {"bars": show.bars({"eyes": 1.0, "hair": 2.0}, xlabel="share"), "by_bin": show.by_bin(records)}
    for name, figure in again.items():
        assert figure._repr_html_() == figures[name]._repr_html_()


# --- pictures -------------------------------------------------------------------------------------------------------


def pictures_of(figure) -> list[np.ndarray]:
    found = re.findall(r"data:image/png;base64,([A-Za-z0-9+/=]+)", figure.body)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(code))).convert("RGB")) for code in found]


def test_pixels_accepts_arrays_and_tensors():
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    tensor = torch.from_numpy(picture).permute(2, 0, 1).float() / 127.5 - 1
    for form in (picture, tensor, tensor[None]):
        np.testing.assert_array_equal(show.pixels(form), picture)
    grey = show.pixels(torch.zeros(1, 8, 8))
    assert grey.shape == (8, 8, 3)
    assert (grey == 128).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((8, 8)), np.zeros((8, 8, 3)), torch.zeros(2, 3, 8, 8), torch.zeros(5, 8, 8), torch.zeros(8, 8)]
)
def test_pixels_refuses_what_is_no_picture(bad):
    with pytest.raises(DataError, match="not one picture"):
        show.pixels(bad)


def test_faces_come_back_exactly(face, figures):
    for shown, given in zip(pictures_of(figures["faces"]), face[0], strict=True):
        np.testing.assert_array_equal(shown, given)
    assert "repeat(2," in figures["rows"].body


def test_regions_are_drawn_in_their_colours(face, figures):
    colours = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in regions.REGION_COLOURS])
    _, drawn = pictures_of(figures["regions"])
    np.testing.assert_array_equal(drawn, colours[face[1][0]])
    for i in np.unique(face[1][0]):
        assert regions.REGION_COLOURS[i] in figures["regions"].body
        assert show.OTHER_AND_REGIONS[i] in figures["regions"].body


def test_overlay_leaves_other_alone(face, figures):
    (drawn,) = pictures_of(figures["overlay"])
    outside = face[1][0] == 0
    np.testing.assert_array_equal(drawn[outside], face[0][0][outside])
    assert (drawn[~outside] != face[0][0][~outside]).any()


def test_hole_hides_exactly_the_hole(face):
    hole = masks.box(32, np.random.default_rng(1))
    shown = show.with_hole(face[0][0], hole)
    np.testing.assert_array_equal(shown[hole == 0], face[0][0][hole == 0])
    assert set(np.unique(shown[hole == 1])) == {118, 158}


def test_damage_names_the_damaged_regions(face):
    labels = np.zeros((8, 8), np.uint8)
    labels[:4], labels[4:] = 1, 7
    hole = np.zeros((8, 8), np.uint8)
    hole[0, :2] = 1
    figure = show.damage(labels, hole)
    assert repr(figure) == "The hole damages skin of 2 regions."
    assert "skin: 6% lost" in figure.body
    assert "hair: whole" in figure.body
    (drawn,) = pictures_of(figure)
    assert (drawn[4:] == 128).all()  # whole regions are grey


def test_cells_of_heat_maps_have_sharp_edges(figures):
    made, ax = show.canvas()
    ax.imshow(np.eye(4))
    for body in (figures["style_matrix"].body, show.plot(made, "A heat map.").body):
        assert "image-rendering:pixelated" in body


def test_every_row_of_a_table_has_a_look_of_its_own():
    looks = {*zip(show.LINE_COLOURS, show.LINE_STYLES, show.MARKERS, strict=True)}
    assert len(looks) == len(set(show.LINE_COLOURS)) == len(set(show.MARKERS)) >= 8
    for colour in show.LINE_COLOURS:
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
        light = 0.2126 * r + 0.7152 * g + 0.0722 * b
        assert 1.05 / (light + 0.05) >= 3, colour
        assert (light + 0.05) / 0.05 >= 3, colour


def test_features_share_a_scale(figures):
    assert figures["features"].body.count("<image") == 8


def test_style_distances_name_the_closest():
    matrix = np.zeros((256, 9))
    matrix[:, :] = np.arange(9) ** 2
    assert "closest are skin and nose" in repr(show.style_distances(matrix))


@pytest.mark.parametrize("bad", [torch.zeros(2, 256, 9), torch.zeros(256)])
def test_style_matrix_refuses_what_is_none(bad):
    with pytest.raises(DataError, match="not one style matrix"):
        show.style_matrix(bad)


def test_a_map_of_several_faces_is_refused(face):
    with pytest.raises(DataError, match="not one map"):
        show.regions(face[1])


# --- results --------------------------------------------------------------------------------------------------------


def test_curves_reads_a_log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in LOG), encoding="utf-8")
    assert repr(show.curves(path)) == repr(show.curves(LOG))
    assert "reconstruction from 1 to 0.111" in repr(show.curves(LOG))
    assert "gradient" not in repr(show.curves(LOG))
    with path.open("a", encoding="utf-8") as file:  # as a training leaves it that is writing at this moment
        file.write('{"step": 9, "ima')
    assert repr(show.curves(path)) == repr(show.curves(LOG))


def test_numbers_beside_a_logarithmic_axis_do_not_crowd() -> None:
    drawn = show.curves([{"images": 1000 * i, "a": 0.02 * (1 + i), "b": 0.7} for i in range(3)])
    beside = [float(t) for t in re.findall(r"<text[^>]*>(0\.\d+)</text>", drawn.body)]
    assert sorted(beside) == [0.02, 0.05, 0.1, 0.2, 0.5]
    wide = show.lines(range(3), {"a": [1, 1e-3, 1e-7]}, xlabel="x", ylabel="y", log=True, alt="a")
    assert ">1e\N{MINUS SIGN}07</text>" in wide.body
    assert "tspan" not in wide.body  # raised digits are smaller than what a phone can show


def test_curves_refuses_missing_empty_and_broken_logs(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "broken").write_text("{\n", encoding="utf-8")
    for name, what in (("missing", "cannot be read"), ("empty", "empty"), ("broken", "cannot be read")):
        with pytest.raises(DataError, match=what):
            show.curves(tmp_path / name)


def test_results_name_rows_and_their_maps(figures):
    for name in ("by_bin", "region_errors"):
        assert "Ours (true map)" in figures[name].body
        assert "CE" in repr(figures[name])
    for name in masks.BIN_NAMES:
        assert name in figures["by_bin"].body


def test_letters_of_plots_are_large_enough_and_a_long_label_is_broken(figures):
    for name in ("curves", "by_bin", "region_errors", "bars", "lines", "style_matrix", "style_distances", "features"):
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", figures[name].body)]
        assert sizes, name
        assert min(sizes) >= 10.5, name
    words = "what is on this axis cannot be said in so few words that they stand on one line below it"
    body = show.bars({"a bar with a long name": 1.0}, xlabel=words).body
    lines = [line.strip() for line in re.findall(r"<text[^>]*>([^<]*)", body)]
    assert words not in lines
    assert any(line.endswith("below it") for line in lines)


def test_axes_have_the_unit_of_their_bars_and_no_half_layers():
    shares = show.bars({"a": 0.2, "b": 0.7}, xlabel="share", form="{:.0%}").body
    numbers = re.findall(r"<text[^>]*>([\d.]+%?)</text>", shares)
    assert len(numbers) > 4
    assert all(number.endswith("%") for number in numbers)
    layers = show.lines(range(1, 17), {"a": [1000 * i for i in range(16)]}, xlabel="layer", ylabel="y", alt="a").body
    assert not re.search(r">\d+\.\d+</text>", layers)


def test_rows_with_another_start_are_told_apart():
    printed, started = (made_up(key, "facial-style", "true") for key in "ab")
    started["training"]["config"]["preset"] = {"start": "membrane"}
    rows = [Record.from_json(content) for content in (printed, started)]
    both, alone = (show.by_bin(shown).body for shown in (rows, rows[1:]))
    assert "Ours (true map)" in both
    assert "Ours (from membrane, true map)" in both
    assert "from membrane" not in alone, "nothing to tell it from"


def test_a_legend_of_many_lines_takes_nothing_from_the_axes():
    many = show.lines(
        [1, 2], {f"a line with a name {i}": [i, 2] for i in range(9)}, xlabel="x", ylabel="y", alt="Lines."
    )
    few = show.lines([1, 2], {"a": [1, 2], "b": [2, 1]}, xlabel="x", ylabel="y", alt="Two lines.")
    high = [float(re.search(r'viewBox="0 0 [\d.]+ ([\d.]+)"', figure.body)[1]) for figure in (many, few)]
    assert high[0] > high[1] + 72 * 0.22 * 2


# --- things to move -------------------------------------------------------------------------------------------------


def test_two_pictures_begin_where_they_are_told_to(face):
    body = show.compare(face[0][0], face[0][1], at=62).body
    assert 'value="62"' in body
    assert "inset(0 0 0 62%)" in body


def test_frames_hold_all_pictures_and_show_one(face, figures):
    body = figures["frames"].body
    assert len(pictures_of(figures["frames"])) == 2
    assert body.count('class="fi-frame" hidden') == 1
    assert 'type="range" min="0" max="1" value="0"' in body
    assert 'aria-valuetext="first"' in body
    assert "<label" in body


def test_frames_of_figures_keep_their_descriptions():
    made = [show.bars({"eyes": i}, xlabel="n") for i in (1, 2)]
    body = show.frames(made, "n").body
    for figure in made:
        assert figure.alt in body


@pytest.mark.parametrize(("pictures", "values"), [(1, ["a", "b"]), (0, [])])
def test_frames_refuses_a_wrong_number_of_values(face, pictures, values):
    with pytest.raises(DataError, match="values"):
        show.frames(list(face[0][:pictures]), "x", values)


def test_frames_of_figures_keep_their_captions(face):
    made = [show.faces([face[0][i]], alt=f"Face {i}.", caption=f"Caption <{i}>") for i in (0, 1)]
    body = show.frames(made, "n").body
    for i in (0, 1):
        assert f"Caption &lt;{i}&gt;" in body
        assert f'aria-label="Face {i}."' in body


def test_a_choice_is_a_list_with_one_chosen(face):
    figure = show.frames(list(face[0]), "face", ["first", "second"], start=1, choice=True)
    assert re.findall(r'<option value="(\d)"( selected="")?>(\w+)', figure.body) == [
        ("0", "", "first"), ("1", ' selected=""', "second"),
    ]  # fmt: skip
    assert "range" not in figure.body
    assert re.search(r'class="fi-frame" hidden><img[^>]*face: first', figure.body)
    assert repr(figure) == "A choice of 2 pictures: face from first to second."


def test_many_pictures_fold_on_a_phone_but_rows_do_not(face):
    assert "fi-many" in show.faces([face[0][0]] * 6).body
    assert "fi-many" not in show.faces([[face[0][0]] * 6] * 2).body


def test_a_painted_hole_is_summed_over_its_squares(face):
    images, labels = face
    figure = show.paint(images[0], labels[0], start=(0, 9, 18))
    hole = np.zeros((8, 8), np.uint8)
    hole.flat[[0, 9, 18]] = 1
    hole = hole.repeat(4, axis=0).repeat(4, axis=1)
    data = json.loads(html.unescape(re.search(r'data-paint="([^"]*)"', figure.body)[1]))
    present = [i for i in range(1, 9) if (labels[0] == i).any()]
    assert data["names"] == [regions.REGIONS[i - 1] for i in present]
    for k, i in enumerate(present):
        assert sum(cell[k] for cell in data["cells"]) == (labels[0] == i).sum()
        assert sum(data["cells"][c][k] for c in (0, 9, 18)) == ((labels[0] == i) & (hole > 0)).sum()
        lost = hole[labels[0] == i].mean()
        text = re.search(rf"<span>{data['names'][k]}: ([^<]*)</span>", figure.body)[1]
        assert (text == "whole") == (lost == 0)
        swatch = re.search(rf'background:(#\w+)"></i><span>{data["names"][k]}:', figure.body)[1]
        assert swatch == (data["colours"][k] if lost else data["whole"]), "as grey as the picture shows it"
        layer = re.search(rf'<img class="fi-layer"[^>]*alt="{data["names"][k]}, damaged"[^>]*>', figure.body)[0]
        assert ("hidden" in layer) == (lost == 0)
    assert "hole fraction 0.05, bin 0.01-0.1" in figure.body
    assert len(re.findall(r'<input type="checkbox"[^>]*checked=""', figure.body)) == 3


def test_paint_refuses_squares_that_do_not_fit(face):
    with pytest.raises(DataError, match="squares"):
        show.paint(face[0][0], face[1][0], cells=7)
    with pytest.raises(DataError, match="squares"):
        show.paint(face[0][0], face[1][0][:16])


def test_live_painting_draws_the_hole_again(face):
    pytest.importorskip("ipywidgets")
    holes = []

    def draw(hole):
        holes.append(hole)
        return show.with_hole(face[0][0], hole)

    widget = show.paint(face[0][0], face[1][0], start=(0,), live=True, draw=draw)
    buttons = widget.children[0].children
    assert len(buttons) == 64
    buttons[63].value = True
    assert [hole.sum() for hole in holes] == [16, 32]
    assert holes[-1][:4, :4].all()
    assert holes[-1][-4:, -4:].all()
    show.paint(face[0][0], face[1][0], live=True).children[0].children[0].value = True  # draws damage by itself


def test_a_live_choice_draws_again(face):
    pytest.importorskip("ipywidgets")
    drawn = []
    widget = show.explore(lambda i: drawn.append(i) or face[0][i], "face", [0, 1], live=True, choice=True)
    widget.children[0].value = 1
    assert drawn[-1] == 1


def test_compare_refuses_two_sizes(face):
    with pytest.raises(DataError, match="laid over"):
        show.compare(face[0][0], face[0][0][:16])


def test_a_live_slider_draws_again(face):
    pytest.importorskip("ipywidgets")
    drawn = []

    def draw(i):
        drawn.append(i)
        return face[0][i]

    widget = show.explore(draw, "face", [0, 1], live=True)
    widget.children[0].value = 1
    assert drawn[-1] == 1


def test_text_is_escaped(face):
    figure = show.faces([face[0][0]], ['<b>"&'], alt='<i>"')
    assert "<b>" not in figure._repr_html_()
    assert "<i>" not in figure._repr_html_()


# --- source ---------------------------------------------------------------------------------------------------------


def test_source_is_the_code_with_its_place():
    shown = show.source(regions.merge_classes)
    assert re.fullmatch(r"faceinpaint/regions\.py, line \d+", repr(shown))
    assert shown.code.startswith("def merge_classes(")
    line = int(repr(shown).split()[-1])
    with open(regions.__file__, encoding="utf-8") as file:
        assert "def merge_classes(" in file.read().splitlines()[line - 1]
    text = shown._repr_markdown_()
    assert text.count("```") == 2
    assert "```python\n" in text
    assert text.startswith('<details class="fi-source"><summary>'), "it is folded"
    assert "<code>merge_classes</code>" in text


def test_source_of_a_method_is_dedented_and_can_drop_its_docstring():
    shown = show.source(show.Figure.__init__)
    assert shown.code.startswith("def __init__(")
    bare = show.source(regions.damaged_regions).code
    assert '"""' not in bare
    assert "scatter_add_" in bare
    compile(bare, "bare", "exec")
    assert '"""' in show.source(regions.damaged_regions, docstring=True).code
    assert '"""' not in show.source(facial_style.RegionRepair).code, "nor do the methods of a class keep theirs"


@pytest.mark.parametrize(
    "thing",
    [
        show.Figure,
        facial_style.FacialStyle,
        objectives._facial_generator,
        methods.Method,
        refinement.attention,
    ],
)
def test_a_listing_has_88_columns_and_is_the_code_that_runs(thing):
    shown = show.source(thing, docstring=True).code
    assert max(map(len, shown.splitlines())) <= show.COLUMNS or '"""' in shown
    assert max(map(len, show.source(thing).code.splitlines())) <= show.COLUMNS
    whole = textwrap.dedent(inspect.getsource(thing))
    assert ast.dump(ast.parse(shown)) == ast.dump(ast.parse(whole)), "only its lines are broken otherwise"


def test_a_long_comment_stands_above_its_line():
    words = "a word " * 12
    shown = listing._wrapped(f"    x = 1  # {words}")
    assert shown[-1] == "    x = 1"
    assert all(line.startswith("    # ") and len(line) <= show.COLUMNS for line in shown[:-1])
    assert listing._wrapped('x = "#' + "y" * 99 + '"') == ['x = "#' + "y" * 99 + '"'], "a string is no comment"


def test_source_without_a_docstring_is_kept_whole():
    def plain():
        return 1

    assert show.source(plain).code == "def plain():\n    return 1"


def test_the_scripts_of_the_painter_and_of_the_page_are_well_formed():
    if (node := shutil.which("node")) is None:
        pytest.skip("there is no Node on this machine")
    painter = sorted((Path(show.__file__).parent / "painter").glob("*.js"))
    assert len(painter) == 3
    for path in [*painter, *sorted((Path(__file__).resolve().parents[1] / "book" / "_assets").glob("*.js"))]:
        code = path.read_text(encoding="utf-8")
        if path in painter:  # the body of an event handler
            code = f"(function (event) {{ {html.unescape(moving._script(path.stem))} }})"
            assert not re.search(r"\bvar\b|[^=!]==[^=]|[^;{}]$", path.read_text().rstrip()), path
        done = subprocess.run(
            [node, "--check", "--input-type=module", "-"], input=f"'use strict';{code}", text=True, capture_output=True
        )
        assert done.returncode == 0, f"{path}: {done.stderr}"
