"""Figures of the book, and how it shows the library's source.

Every function returns a :class:`Figure`: a piece of HTML that needs nothing else, no file, no other host and no
running kernel. It reads on white and on black ground, in a narrow window and without colours: lines and letters take
the colour of the text around them, regions keep the colours of :data:`faceinpaint.regions.REGION_COLOURS` everywhere
and are named beside them. ``repr`` of a figure is its alternative text.

Pictures may be given as uint8 arrays (H, W, 3), or as tensors (3, H, W) or (1, 3, H, W) in [-1, 1]; maps and holes as
arrays or tensors with any leading dimensions of length 1.
"""

from __future__ import annotations

import ast
import base64
import html
import importlib.util
import inspect
import io
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from faceinpaint.comparison.records import METRICS, Record
from faceinpaint.data.masks import BIN_EDGES, BIN_NAMES, bin_of
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.files import write_text
from faceinpaint.regions import REGION_COLOURS, REGIONS, damaged_regions

OTHER_AND_REGIONS = ("other", *REGIONS)
"""Names of region ids 0..8."""

LINE_COLOURS = (
    "#1b7fc4", "#d55e00", "#0a9a72", "#c2649a", "#8c6d1f", "#7a7a7a", "#8a63d2", "#c8443c", "#3a8a99",
)  # fmt: skip
"""Colours of lines and bars, told apart by colour-blind readers, at least 3:1 against white and against black."""

LINE_STYLES: tuple[Any, ...] = (
    "-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (7, 2)), (0, (3, 1, 1, 1)), (0, (2, 3)),
)  # fmt: skip
MARKERS = "osD^vPX*h"

_INK = "#010203"  # stands for "the colour of the text" until matplotlib is done
_STYLE = """<style>
.fi{margin:.75rem 0;padding:0;max-width:44rem;color:inherit;text-align:left}
.fi img,.fi svg{display:block;width:100%;height:auto;margin:0;background:none!important}
.fi img{border-radius:3px;image-rendering:pixelated}
.fi figcaption{display:block;font:inherit;font-size:.875em;margin:.3rem 0 0;color:inherit;text-align:left}
.fi-grid{display:grid;gap:.5rem;align-items:start}
.fi-grid .fi-cell{min-width:0;font-size:.875em;line-height:1.3;overflow-wrap:anywhere}
.fi-legend{display:flex;flex-wrap:wrap;gap:.25rem .8rem;margin:.5rem 0 0;padding:0;list-style:none;font-size:.875em}
.fi-legend li{display:flex;align-items:center;gap:.35rem;margin:0}
.fi-legend i{width:.9em;height:.9em;border:1px solid currentColor;border-radius:2px;flex:none}
.fi-row{display:grid;grid-template-columns:auto 1fr auto;align-items:center;gap:.6rem;margin:.4rem 0}
.fi-row{font-size:.9em;max-width:30rem}
.fi-row input{min-width:4rem;width:100%;accent-color:#1b7fc4;height:1.75rem;margin:0}
.fi-row output{font-variant-numeric:tabular-nums}
.fi-row select{font:inherit;color:inherit;background:none;border:1px solid currentColor;border-radius:3px}
.fi-row select{min-height:1.9rem;padding:0 .4rem}.fi-row option{color:#111;background:#fff}
.fi-pair{position:relative;display:grid}.fi-pair>*{grid-area:1/1}
.fi [hidden]{display:none}
.fi-note{font-size:.875em;margin:.3rem 0 0}
.fi-cells{display:grid;z-index:1;touch-action:pinch-zoom;user-select:none}
.fi-cells input{appearance:none;margin:0;cursor:pointer;width:100%;height:100%;border:1px solid #fff5;border-radius:0}
.fi-cells input:checked{background:repeating-conic-gradient(#767676 0 25%,#9e9e9e 0 50%) 0 0/.5rem .5rem}
.fi-cells input:focus-visible{outline:3px solid #1b7fc4;outline-offset:-3px}
@media(max-width:30rem){.fi-many{grid-template-columns:repeat(3,minmax(0,9rem))!important}}
.fi svg{fill:currentColor}.fi svg text{font-family:inherit}
</style>"""


class Figure:
    """A figure for a notebook or a page.

    Args:
        body: HTML of its inside.
        alt: what it shows, in one or two sentences, for readers who do not see it; also its ``repr``.
        caption: text below it.
        width: greatest width on the page, in CSS units.
    """

    def __init__(self, body: str, alt: str, caption: str = "", width: str = "44rem") -> None:
        self.body, self.alt, self.caption, self.width = body, alt, caption, width

    def __repr__(self) -> str:
        return self.alt

    def save(self, path: Path) -> None:
        """Write what :func:`plot` made as an SVG file of its own.

        Raises:
            ConfigError: the figure is of another kind.
        """
        if not self.body.startswith("<svg"):
            raise ConfigError("only plots can be saved as SVG", "Save the pictures that the figure shows", path)
        write_text(path, self.body)

    def _repr_html_(self) -> str:
        below = f"<figcaption>{html.escape(self.caption)}</figcaption>" if self.caption else ""
        label = html.escape(self.alt, quote=True)
        opening = f'<figure class="fi" style="max-width:{self.width}" aria-label="{label}">'
        return f"{_STYLE}\n{opening}{self.body}{below}</figure>"


# --- source ---------------------------------------------------------------------------------------------------------


class Source:
    """Source of an object of the library, shown folded, as highlighted Python; ``repr`` says where it stands."""

    def __init__(self, code: str, place: str, name: str) -> None:
        self.code, self.place, self.name = code, place, name

    def __repr__(self) -> str:
        return self.place

    def _repr_markdown_(self) -> str:
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", self.code)), default=0))
        top = f"The library's <code>{html.escape(self.name)}</code> ({html.escape(self.place)})"
        listing = f"{fence}python\n{self.code}\n{fence}"
        return f'<details class="fi-source"><summary>{top}</summary>\n\n{listing}\n\n</details>\n'


COLUMNS = 88
"""Widest line of a listing: what fits beside both side bars of a window 1280 pixels wide."""


def source(thing: Any, *, docstring: bool = False) -> Source:
    """Source of a class or function of the library, as it runs, in lines of at most :data:`COLUMNS`.

    Args:
        thing: class, function or method.
        docstring: with its docstring, or without.

    Returns:
        what a notebook shows as highlighted Python, folded under the name of the object, the file and the line.
    """
    thing = inspect.unwrap(thing)
    lines, start = inspect.getsourcelines(thing)
    code = textwrap.dedent("".join(lines)).rstrip()
    if not docstring and inspect.getdoc(thing):
        code = _without_docstring(code)
    package = thing.__module__.split(".")[0]
    parts = Path(inspect.getsourcefile(thing) or "").parts
    at = len(parts) - 1 - parts[::-1].index(package) if package in parts else len(parts) - 1
    return Source(_narrow(code), f"{'/'.join(parts[at:])}, line {start}", thing.__qualname__)


def _narrow(code: str) -> str:
    """Code wrapped to :data:`COLUMNS` by ruff, where it is installed; comments in any case."""
    code = re.sub(r" *# fmt: skip$", "", code, flags=re.M)
    if importlib.util.find_spec("ruff"):
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(COLUMNS), "-"]
        done = subprocess.run(command, input=code, capture_output=True, text=True, timeout=60)
        code = done.stdout.rstrip() if done.returncode == 0 else code
    return "\n".join(part for line in code.splitlines() for part in _wrapped(line))


def _wrapped(line: str) -> list[str]:
    """A line whose comment is cut to :data:`COLUMNS`; one that ends in a comment gets it above."""
    found = re.match(r"( *)([^#\"']*?) *# (.*)$", line)
    if len(line) <= COLUMNS or not found:
        return [line]
    indent, statement, comment = found.groups()
    above = textwrap.wrap(comment, COLUMNS, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")
    return [*above, *([indent + statement] if statement else [])]


def _without_docstring(code: str) -> str:
    """The code without its docstring and without those of the functions in it."""
    spans = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) and len(node.body) > 1:
            spans.append((node.body[0].lineno, node.body[0].end_lineno or 0))
    gone = {number for first, last in spans for number in range(first, last + 1)}
    kept = [line for number, line in enumerate(code.splitlines(), 1) if number not in gone]
    return re.sub(r"(:\n)\n+", r"\1", "\n".join(kept))


# --- from arrays to pictures ----------------------------------------------------------------------------------------


def pixels(picture: Any) -> np.ndarray:
    """A picture in any of the accepted forms -> (H, W, 3) uint8.

    Raises:
        DataError: it has another shape.
    """
    if isinstance(picture, torch.Tensor):
        x = picture.detach().float().cpu().numpy()
        x = x.reshape(x.shape[-3:]) if x.ndim > 3 and set(x.shape[:-3]) == {1} else x
        if x.ndim != 3 or x.shape[0] not in (1, 3):
            raise DataError(f"a tensor of shape {tuple(picture.shape)} is not one picture", "Give (3, H, W) in [-1, 1]")
        x = ((np.clip(x, -1, 1) + 1) * 127.5).round().astype(np.uint8).transpose(1, 2, 0)
        return np.repeat(x, 3, axis=2) if x.shape[2] == 1 else x
    x = np.asarray(picture)
    if x.ndim != 3 or x.shape[2] != 3 or x.dtype != np.uint8:
        raise DataError(f"an array {x.shape} {x.dtype} is not one picture", "Give (H, W, 3) uint8")
    return x


def _plane(plane: Any) -> np.ndarray:
    """A map or hole -> (H, W) integers."""
    x = plane.detach().cpu().numpy() if isinstance(plane, torch.Tensor) else np.asarray(plane)
    if x.ndim < 2 or x.size != x.shape[-1] * x.shape[-2]:
        raise DataError(f"an array of shape {x.shape} is not one map", "Give (H, W)")
    return x.reshape(x.shape[-2:]).astype(np.int64)


def _uri(picture: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _img(picture: np.ndarray, alt: str) -> str:
    smooth = ' style="image-rendering:auto"' if picture.shape[0] >= 128 else ""
    return f'<img src="{_uri(picture)}" alt="{html.escape(alt, quote=True)}"{smooth}>'


def _grid(
    cells: Iterable[tuple[np.ndarray, str, str]], columns: int, width: float | None = None, *, fold: bool = False
) -> str:
    """Pictures with (picture, title, alt) in rows of ``columns``, each at most ``width`` rem wide.

    By default they take the column's width, but for a few, which would be too large.
    """
    width = width or min(13.0, max(9.0, 43 / columns))
    made = "".join(
        f'<div class="fi-cell">{_img(picture, alt)}{html.escape(title)}</div>' for picture, title, alt in cells
    )
    many = " fi-many" if fold and columns > 4 else ""  # on a phone three of them stand in a row
    layout = f"grid-template-columns:repeat({columns},minmax(0,{width:g}rem))"
    return f'<div class="fi-grid{many}" style="{layout}">{made}</div>'


def _legend(names: Sequence[str], colours: Sequence[str]) -> str:
    rows = "".join(
        f'<li><i style="background:{c}"></i>{html.escape(n)}</li>' for n, c in zip(names, colours, strict=True)
    )
    return f'<ul class="fi-legend">{rows}</ul>'


def _rgb(colour: str) -> tuple[int, int, int]:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


_PALETTE = np.array([_rgb(c) for c in REGION_COLOURS], np.uint8)


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names) or "none"


# --- faces, regions, holes ------------------------------------------------------------------------------------------


def faces(
    pictures: Sequence[Any], titles: Sequence[str] = (), *, columns: int | None = None, alt: str | None = None,
    caption: str = "",
) -> Figure:  # fmt: skip
    """Pictures side by side.

    Args:
        pictures: pictures, or rows of pictures of equal length.
        titles: one for each picture, or for each column when rows are given.
        columns: pictures in a row; all of them by default, six at most.
        alt: what they show; each picture's own is its title.
    """
    rows = [list(row) for row in pictures] if _is_rows(pictures) else None
    flat = [p for row in rows for p in row] if rows else list(pictures)
    columns = len(rows[0]) if rows else columns or min(len(flat), 6)
    shown = list(titles) + [""] * (len(flat) - len(titles))
    named = [titles[i % columns] if rows and titles else shown[i] for i in range(len(flat))]
    cells = [
        (pixels(p), t, n or f"picture {i + 1} of {len(flat)}")
        for i, (p, t, n) in enumerate(zip(flat, shown, named, strict=True))
    ]
    if alt is None:
        alt = f"{len(flat)} pictures" + (f": {_and(list(titles))}" if titles else "")
    return Figure(_grid(cells, columns, fold=rows is None), alt, caption)


def _is_rows(pictures: Sequence[Any]) -> bool:
    return bool(len(pictures)) and isinstance(pictures[0], (list, tuple))


def regions(labels: Any, image: Any = None, *, alt: str | None = None, caption: str = "") -> Figure:
    """A parsing map (or several in a list) in the colours of the regions, with their names.

    Args:
        labels: region ids 0..8 (H, W), or a list of such maps.
        image: the face beside it, if one map is given.
    """
    maps = [_plane(m) for m in labels] if isinstance(labels, (list, tuple)) else [_plane(labels)]
    present = sorted({int(i) for m in maps for i in np.unique(m)})
    names = [OTHER_AND_REGIONS[i] for i in present]
    cells = [(pixels(image), "face", "the face")] if image is not None else []
    cells += [(_PALETTE[m], "parsing map" if image is not None else "", "parsing map") for m in maps]
    body = _grid(cells, len(cells), fold=True) + _legend(names, [REGION_COLOURS[i] for i in present])
    return Figure(body, alt or f"Parsing map with the regions {_and(names)}.", caption)


def overlay(image: Any, labels: Any, *, strength: float = 0.6, alt: str | None = None, caption: str = "") -> Figure:
    """A face with its regions laid over it in colour.

    Args:
        strength: share of the colour, 0 to 1; region 0 keeps the face.
    """
    body = _grid([(_blend(pixels(image), _plane(labels), strength), "", "face under its regions")], 1, 14.0)
    present = [i for i in np.unique(_plane(labels)) if i]
    names = [OTHER_AND_REGIONS[i] for i in present]
    body += _legend(names, [REGION_COLOURS[i] for i in present])
    return Figure(body, alt or f"A face with its regions laid over it: {_and(names)}.", caption)


def _blend(picture: np.ndarray, labels: np.ndarray, strength: float) -> np.ndarray:
    share = strength * (labels > 0)[..., None]
    return (picture * (1 - share) + _PALETTE[labels] * share).round().astype(np.uint8)


def with_hole(image: Any, hole: Any) -> np.ndarray:
    """The picture (H, W, 3) uint8 with its hole drawn as a grey checker board, which no face looks like."""
    picture, mask = pixels(image), _plane(hole)
    size = max(1, len(mask) // 32)
    y, x = np.indices(mask.shape) // size
    board = np.where((x + y) % 2, 118, 158).astype(np.uint8)[..., None]
    return np.where(mask[..., None] > 0, board, picture)


def hole(image: Any, hole: Any, *, alt: str | None = None, caption: str = "") -> Figure:
    """A face, its hole, and what is left of the face."""
    mask = _plane(hole)
    fraction = float((mask > 0).mean())
    drawn = np.repeat((mask > 0)[..., None], 3, axis=2).astype(np.uint8) * 255
    cells = [
        (pixels(image), "face", "the whole face"),
        (drawn, "hole mask (white = hole)", "the hole mask, white where the hole is"),
        (with_hole(image, hole), "what is known", "the face with a checker board where the hole is"),
    ]
    return Figure(_grid(cells, 3), alt or f"A face and a hole that covers {fraction:.0%} of it.", caption)


def damage(labels: Any, hole: Any, image: Any = None, *, alt: str | None = None, caption: str = "") -> Figure:
    """Which regions a hole damages: their whole area in colour, the others in outline grey.

    Args:
        labels: region ids (H, W). hole: 1 = hole (H, W). image: the face beside it.
    """
    regions_at, mask = _plane(labels), _plane(hole) > 0
    flags = damaged_regions(torch.from_numpy(regions_at)[None], torch.from_numpy(mask)[None, None])[0].numpy()
    present = [i for i in range(1, len(OTHER_AND_REGIONS)) if (regions_at == i).any()]
    hit = [i for i in present if flags[i]]
    picture = np.where(flags[regions_at][..., None] & (regions_at > 0)[..., None], _PALETTE[regions_at], 128)
    picture = np.where((regions_at == 0)[..., None], 90, picture).astype(np.uint8)
    cells = [(with_hole(image, hole), "hole", "the face with its hole")] if image is not None else []
    cells += [(picture, "damaged regions", "damaged regions in colour, whole ones in grey")]
    shares = [float(mask[regions_at == i].mean()) for i in present]
    names = [
        f"{OTHER_AND_REGIONS[i]}: " + (f"{_percent(s)} lost" if flags[i] else "whole")
        for i, s in zip(present, shares, strict=True)
    ]
    colours = [REGION_COLOURS[i] if flags[i] else "#808080" for i in present]
    text = f"The hole damages {_and([OTHER_AND_REGIONS[i] for i in hit])} of {len(present)} regions."
    return Figure(_grid(cells, len(cells)) + _legend(names, colours), alt or text, caption)


def _percent(share: float) -> str:
    return "under 1%" if 0 < share < 0.01 else f"{share:.0%}"


def compare(
    before: Any, after: Any, titles: tuple[str, str] = ("before", "after"), *, alt: str | None = None
) -> Figure:
    """Two pictures of the same size, one over the other, with a slider that uncovers the second."""
    a, b = (pixels(p) for p in (before, after))
    if a.shape != b.shape:
        raise DataError(f"pictures of {a.shape[:2]} and {b.shape[:2]} cannot be laid over each other", "Give one size")
    first, second = map(html.escape, titles)
    move = (
        "this.closest('figure').querySelector('.fi-top').style.clipPath='inset(0 0 0 '+this.value+'%)';"
        "this.setAttribute('aria-valuetext',this.value+'% '+this.dataset.first)"
    )
    body = (
        f'<div class="fi-pair">{_img(a, titles[0])}'
        f'<div class="fi-top" style="clip-path:inset(0 0 0 50%)">{_img(b, titles[1])}</div></div>'
        f'<label class="fi-row"><span>{first}</span><input type="range" min="0" max="100" value="50" '
        f'data-first="{first}" aria-valuetext="50% {first}" oninput="{html.escape(move, quote=True)}">'
        f"<span>{second}</span></label>"
    )
    text = alt or f"Two pictures under one slider: {titles[0]} to the left of it, {titles[1]} to the right."
    return Figure(body, text, width="18rem")


# --- styles and features --------------------------------------------------------------------------------------------


WIDTH = 4.4
"""Of a plot, in inches: letters of 10.5 points are then 11 pixels high on a phone whose column has 330."""


def canvas(
    width: float = WIDTH, height: float = 2.9, rows: int = 1, columns: int = 1, **options: Any
) -> tuple[Any, Any]:
    """Matplotlib figure and axes in the look of the book; hand the figure to :func:`plot` when it is drawn.

    Args:
        width, height: in inches. A width up to 5 becomes :data:`WIDTH`; a wider plot is scrolled on a phone.
        rows, columns, options: as for ``matplotlib.figure.Figure.subplots``.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Sheet

    with mpl.rc_context(_RC):
        made = Sheet(figsize=(min(width, WIDTH) if width <= 5 else width, height), layout="constrained")
        FigureCanvasSVG(made)
        axes = made.subplots(rows, columns, **options)
    return made, axes


_RC: Any = {
    "font.size": 10.5, "axes.titlesize": 10.5, "legend.fontsize": 10.5, "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "axes.labelsize": 10.5, "axes.titlelocation": "left", "figure.facecolor": "none",
    "axes.facecolor": "none", "savefig.facecolor": "none", "text.color": _INK, "axes.labelcolor": _INK,
    "axes.edgecolor": _INK, "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "legend.frameon": False, "svg.fonttype": "none", "svg.hashsalt": "faceinpaint",
    "lines.linewidth": 1.8, "lines.markersize": 4.5, "axes.linewidth": 0.7,
}  # fmt: skip


def plot(figure: Any, alt: str, caption: str = "") -> Figure:
    """A matplotlib figure made by :func:`canvas` -> a figure whose lines and letters take the page's text colour.

    Args:
        figure: of :func:`canvas`.
        alt: what it shows.
    """
    import matplotlib as mpl

    for legend in [*filter(None, (axes.get_legend() for axes in figure.axes)), *figure.legends]:
        legend.set_frame_on(False)
    for image in (image for axes in figure.axes for image in axes.images):
        image.set_interpolation("none")  # a cell of a heat map is one number, and is shown as one colour

    file = io.StringIO()
    with mpl.rc_context(_RC):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S).replace(_INK, "currentColor")
    svg = re.sub(r"""(font-family|font):[^;"]*(['"])?[^;"]*;?""", _font, svg)
    used = set(re.findall(r"(?:url\(#|href=\"#)([\w-]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda m: m[0] if m[1] in used else "", svg)
    size = re.search(r'width="[\d.]+pt" height="[\d.]+pt"', svg)
    svg = svg.replace(size[0] if size else "", f'role="img" aria-label="{html.escape(alt, quote=True)}"', 1)
    width = figure.get_figwidth()
    if width > WIDTH:
        svg = svg.replace("<svg ", f'<svg style="min-width:{75 * width:.0f}px" ', 1)
    return Figure(re.sub(r"\n\s*", "\n", svg), alt, caption, f"{8 * width:.1f}rem")


def _font(found: re.Match[str]) -> str:
    size = re.search(r"[\d.]+px", found[0])
    return f"font-size: {size[0]};" if found[1] == "font" and size else ""


def _names(names: Sequence[str] | None, columns: int) -> list[str]:
    if names is not None:
        return list(names)
    if columns == len(REGIONS) + 1:
        return [*REGIONS, "whole face"]
    return [*(f"region {i + 1}" for i in range(columns - 1)), "whole face"]


def _matrix(matrix: Any) -> np.ndarray:
    x = matrix.detach().float().cpu().numpy() if isinstance(matrix, torch.Tensor) else np.asarray(matrix, np.float64)
    x = x[0] if x.ndim == 3 and len(x) == 1 else x
    if x.ndim != 2:
        raise DataError(f"an array of shape {x.shape} is not one style matrix", "Give (256, regions + 1)")
    return x


def style_matrix(
    matrix: Any, names: Sequence[str] | None = None, *, alt: str | None = None, caption: str = ""
) -> Figure:
    """A style matrix as a heat map: one named column a region, the last one the whole face.

    Args:
        matrix: (256, n + 1). Orange is positive, violet negative.
        names: of the columns; the eight regions and "whole face" by default.
    """
    x, labels = _matrix(matrix), _names(names, _matrix(matrix).shape[1])
    made, ax = canvas(WIDTH, 3.8)
    limit = float(np.abs(x).max()) or 1.0
    image = ax.imshow(x, aspect="auto", cmap="PuOr_r", vmin=-limit, vmax=limit)
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_ylabel("component of the style")
    made.colorbar(image, ax=ax, fraction=0.05, pad=0.02)
    text = alt or f"Heat map of a style matrix: {x.shape[0]} rows, columns {_and(labels)}."
    return plot(made, text, caption)


def style_distances(
    matrix: Any, names: Sequence[str] | None = None, *, alt: str | None = None, caption: str = ""
) -> Figure:
    """Euclidean distances between the columns of a style matrix, as a heat map with its numbers."""
    x, labels = _matrix(matrix), _names(names, _matrix(matrix).shape[1])
    distance = np.linalg.norm(x[:, :, None] - x[:, None, :], axis=0)
    made, ax = canvas(WIDTH, 4.3)
    ax.imshow(distance, cmap="cividis")
    for i, j in np.ndindex(*distance.shape):
        dark = distance[i, j] < 0.55 * distance.max()
        ax.text(j, i, f"{distance[i, j]:.2g}", ha="center", va="center", color="#ffffff" if dark else "#111111")
    ax.set_xticks(range(len(labels)), labels, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(labels)), labels)
    off = distance + np.where(np.eye(len(labels)), np.inf, 0)
    i, j = np.unravel_index(off.argmin(), off.shape)
    text = alt or f"Distances between the styles of {_and(labels)}; closest are {labels[i]} and {labels[j]}."
    return plot(made, text, caption)


def features(
    before: Any, after: Any, *, channels: Sequence[int] = (0, 1, 2, 3), titles: tuple[str, str] = ("before", "after"),
    alt: str | None = None, caption: str = "",
) -> Figure:  # fmt: skip
    """Some channels of a feature map, before above and after below, both on one scale for each channel.

    Args:
        before, after: (C, h, w), or (1, C, h, w).
        channels: which.
    """
    maps = [x.detach().float().cpu().numpy().reshape(x.shape[-3:]) for x in (before, after)]
    made, axes = canvas(WIDTH, WIDTH / len(channels) * 2 + 0.4, 2, len(channels), squeeze=False)
    for row, (x, title) in enumerate(zip(maps, titles, strict=True)):
        for column, channel in enumerate(channels):
            ax = axes[row, column]
            limit = max(float(np.abs(m[channel]).max()) for m in maps) or 1.0
            ax.imshow(x[channel], cmap="PuOr_r", vmin=-limit, vmax=limit)
            ax.set(xticks=[], yticks=[])
            if row == 0:
                ax.set_title(f"channel {channel}")
        axes[row, 0].set_ylabel(title)
    text = alt or f"{len(channels)} channels of a feature map, {titles[0]} above, {titles[1]} below."
    return plot(made, text, caption)


# --- curves and results ---------------------------------------------------------------------------------------------


def _legend_above(figure: Any) -> None:
    """Names of the lines above the axes, where they hide nothing, in as many columns as fit."""
    longest = max(len(label) for ax in figure.axes for label in ax.get_legend_handles_labels()[1])
    figure.legend(loc="outside upper left", ncols=max(1, min(3, int(72 * WIDTH / (35 + 5.5 * longest)))))


def lines(
    x: Sequence[float], series: Mapping[str, Sequence[float]], *, xlabel: str, ylabel: str, alt: str, log: bool = False,
    markers: bool = True, caption: str = "",
) -> Figure:  # fmt: skip
    """Lines over common x values, told apart by colour, stroke and mark; named in a legend.

    Args:
        series: y values by name. log: logarithmic y axis.
    """
    made, ax = canvas()
    for i, (name, y) in enumerate(series.items()):
        k = i % len(LINE_COLOURS)
        mark = MARKERS[k] if markers else None
        ax.plot(x, y, color=LINE_COLOURS[k], linestyle=LINE_STYLES[k], marker=mark, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, yscale="log" if log else "linear")
    if len(series) > 1:
        _legend_above(made)
    return plot(made, alt, caption)


def bars(
    values: Mapping[str, float], *, xlabel: str, form: str = "{:.3g}", alt: str | None = None, caption: str = ""
) -> Figure:
    """Horizontal bars, each with its value; bars named after a region have its colour.

    Args:
        values: length of each bar by name.
        form: how a value is written.
    """
    made, ax = canvas(WIDTH, 0.55 + 0.28 * len(values))
    known = dict(zip(OTHER_AND_REGIONS, REGION_COLOURS, strict=True))
    names = list(values)
    colours = [known.get(name, LINE_COLOURS[0]) for name in names]
    ax.barh(names, list(values.values()), color=colours, edgecolor=_INK, linewidth=0.7)
    top = max(map(abs, values.values()), default=1) or 1
    for row, value in enumerate(values.values()):
        ax.text(max(value, 0) + 0.01 * top, row, form.format(value), va="center")
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel(xlabel)
    ax.tick_params(left=False)
    written = ", ".join(f"{name} {form.format(value)}" for name, value in values.items())
    return plot(made, alt or f"Bars, {xlabel}: {written}.", caption)


def curves(
    log: str | Path | Sequence[Mapping[str, float]],
    terms: Sequence[str] = (),
    *,
    alt: str | None = None,
    caption: str = "",
) -> Figure:
    """Losses over training.

    Args:
        log: ``log.jsonl`` of a run, or its lines as dictionaries.
        terms: which columns; all but step, images and gradient by default.
    """
    rows = _log_lines(Path(log)) if isinstance(log, (str, Path)) else list(log)
    if not rows:
        raise DataError("the log is empty", "Train first", log if isinstance(log, (str, Path)) else None)
    terms = list(terms) or [name for name in rows[0] if name not in ("step", "images", "gradient")]
    made, ax = canvas()
    at = [row["images"] for row in rows]
    for i, name in enumerate(terms):
        k = i % len(LINE_COLOURS)
        ax.plot(at, [row[name] for row in rows], color=LINE_COLOURS[k], linestyle=LINE_STYLES[k], label=name)
    values = [row[name] for row in rows for name in terms]
    wide = min(values) > 0 and max(values) > 20 * min(values)
    ax.set(xlabel="training images seen", ylabel="loss", yscale="log" if wide else "linear")
    _legend_above(made)
    first, last = rows[0], rows[-1]
    ends = "; ".join(f"{name} from {first[name]:.3g} to {last[name]:.3g}" for name in terms)
    return plot(made, alt or f"Losses over {at[-1]} training images: {ends}.", caption)


def _log_lines(path: Path) -> list[dict[str, float]]:
    from faceinpaint.training.run import log_lines  # here, because pictures need no training

    try:
        if not path.exists():
            raise FileNotFoundError("there is no such file")
        return [json.loads(line) for line in log_lines(path)]
    except (OSError, ValueError) as error:
        raise DataError(f"the log cannot be read ({error})", "Name the log.jsonl of a run", path) from None


def by_bin(
    records: Sequence[Record], metric: str = "psnr", *, view: str = "composited", alt: str | None = None,
    caption: str = "",
) -> Figure:  # fmt: skip
    """A metric over the bins of hole fraction, one line a row of the table, with 95% intervals.

    Args:
        records: results records of one test (:func:`faceinpaint.comparison.records.read_records`).
        metric: one of :data:`faceinpaint.comparison.records.METRICS`. view: "composited" or "raw".
    """
    shown = METRICS[metric]
    label = f"{shown.title}, {'higher' if shown.better > 0 else 'lower'} is better"
    made, ax = canvas(WIDTH, 3.2)
    for i, record in enumerate(records):
        k = i % len(LINE_COLOURS)
        cells = [record.images[view].get(name, {}).get(metric) for name in BIN_NAMES]
        ends = [(c.mean, c.low, c.high) if c else (None, None, None) for c in cells]
        mean, low, high = np.array(ends, float).T * shown.factor  # nothing measured is not a number
        at = np.arange(len(BIN_NAMES)) + 0.06 * (i - (len(records) - 1) / 2)
        ax.errorbar(
            at, mean, yerr=[mean - low, high - mean], color=LINE_COLOURS[k], linestyle=LINE_STYLES[k],
            marker=MARKERS[k], capsize=2, elinewidth=1, label=record.title + _map_note(record),
        )  # fmt: skip
    ax.set_xticks(range(len(BIN_NAMES)), BIN_NAMES)
    ax.set(xlabel="hole fraction", ylabel=label)
    _legend_above(made)
    names = [record.title for record in records]
    return plot(made, alt or f"{label}, by hole fraction, for {_and(names)}.", caption)


def _map_note(record: Record) -> str:
    return f" ({record.map} map)" if record.map else ""


def region_axis(ax: Any, names: Sequence[str] = OTHER_AND_REGIONS) -> None:
    """Make the rows of ``ax`` regions, from the top: a line, a patch of the region's colour and its name for each."""
    known = dict(zip(OTHER_AND_REGIONS, REGION_COLOURS, strict=True))
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(left=False, pad=11)
    ax.set_ylim(len(names) - 0.5, -0.5)
    for row, name in enumerate(names):
        ax.axhline(row, color=_INK, linewidth=0.5, alpha=0.4, zorder=0)
        ax.plot(
            [-0.025], [row], "s", color=known[name], markeredgecolor=_INK, markeredgewidth=0.7, markersize=8,
            transform=ax.get_yaxis_transform(), clip_on=False, scalex=False, scaley=False,
        )  # fmt: skip


def region_errors(records: Sequence[Record], *, alt: str | None = None, caption: str = "") -> Figure:
    """Mean absolute error inside the hole by region, one row of marks a region.

    Args:
        records: results records of one test.
    """
    names = list(OTHER_AND_REGIONS)
    made, ax = canvas(WIDTH, 3.8)
    for i, record in enumerate(records):
        k = i % len(LINE_COLOURS)
        found = [region.l1 if (region := record.regions.get(name)) else None for name in names]
        values = [np.nan if v is None else 100 * v for v in found]
        ax.plot(values, range(len(names)), MARKERS[k], color=LINE_COLOURS[k], label=record.title + _map_note(record))
    region_axis(ax)
    ax.set_xlabel("mean absolute error of hole pixels (%), lower is better")
    _legend_above(made)
    titles = [record.title for record in records]
    return plot(made, alt or f"Error of hole pixels by region, for {_and(titles)}.", caption)


def write_plots(
    records: Sequence[Record], out: Path, logs: Mapping[str, Sequence[Mapping[str, float]]] | None = None
) -> list[Path]:
    """Write the plots of a comparison as SVG: each metric by bin, error by region, losses of each training.

    Args:
        records: results records of one test.
        out: folder, which is there.
        logs: thinned logs by training (:func:`faceinpaint.training.run.thinned_log`).
    """
    plots = {}
    if len(records) <= len(LINE_COLOURS):  # more could not be told apart
        plots = {f"{metric}_by_bin": by_bin(records, metric) for metric in METRICS if _measured(records, metric)}
        plots["error_by_region"] = region_errors(records)
    plots |= {f"losses_{name}": curves(log) for name, log in (logs or {}).items()}
    for name, figure in plots.items():
        figure.save(out / f"{name}.svg")
    return [out / f"{name}.svg" for name in plots]


def _measured(records: Sequence[Record], metric: str) -> bool:
    found = (r.whole.get(metric) for r in records)
    return any(cell is not None and cell.mean is not None for cell in found)


# --- things to move -------------------------------------------------------------------------------------------------


def frames(
    pictures: Sequence[Any], label: str, values: Sequence[Any] | None = None, *, start: int = 0, choice: bool = False,
    alt: str | None = None, width: str | None = None,
) -> Figure:  # fmt: skip
    """A slider over pictures made beforehand. It needs no kernel: mouse, finger and arrow keys move it.

    Args:
        pictures: pictures or figures, all of one size. A figure keeps its caption and its description.
        label: what the slider changes.
        values: what stands beside the slider for each picture; 1, 2, ... by default.
        start: which one is shown first.
        choice: a list to choose from in place of the slider, for values that have no order.
    """
    made = [p if isinstance(p, Figure) else None for p in pictures]
    shown = [str(v) for v in (values if values is not None else range(1, len(pictures) + 1))]
    if len(shown) != len(pictures) or not shown:
        raise DataError(f"{len(pictures)} pictures and {len(shown)} values", "Give one value for each picture")
    parts = []
    for i, (picture, figure) in enumerate(zip(pictures, made, strict=True)):
        if figure:
            below = f'<p class="fi-note">{html.escape(figure.caption)}</p>' if figure.caption else ""
            inside = f'<div role="group" aria-label="{html.escape(figure.alt, quote=True)}">{figure.body}</div>{below}'
        else:
            inside = _img(pixels(picture), f"{label}: {shown[i]}")
        parts.append(f'<div class="fi-frame"{"" if i == start else " hidden"}>{inside}</div>')
    move = (
        "const f=this.closest('figure'),v=JSON.parse(this.dataset.values)[this.value];"
        "f.querySelectorAll(':scope>.fi-frame').forEach((e,i)=>{e.hidden=i!=this.value});"
        "const o=f.querySelector(':scope>label output');if(o){o.textContent=v;this.setAttribute('aria-valuetext',v)}"
    )
    quoted = html.escape(json.dumps(shown, ensure_ascii=False), quote=True)
    common = f'data-values="{quoted}" oninput="{html.escape(move, quote=True)}"'
    if choice:
        selected = ' selected=""'
        options = "".join(
            f'<option value="{i}"{selected if i == start else ""}>{html.escape(v)}</option>'
            for i, v in enumerate(shown)
        )
        control = f"<select {common}>{options}</select>"
    else:
        control = (
            f'<input type="range" min="0" max="{len(shown) - 1}" value="{start}" {common} '
            f'aria-valuetext="{html.escape(shown[start], quote=True)}"><output>{html.escape(shown[start])}</output>'
        )
    top = f'<label class="fi-row"><span>{html.escape(label)}</span>{control}</label>'
    kind = "A choice of" if choice else "A slider over"
    text = alt or f"{kind} {len(shown)} pictures: {label} from {shown[0]} to {shown[-1]}."
    default = next((f.width for f in made if f), "18rem")
    return Figure(top + "".join(parts), text, width=width or default)


def explore(
    draw: Callable[[Any], Any], label: str, values: Sequence[Any], *, start: int = 0, live: bool = False,
    choice: bool = False, alt: str | None = None, width: str | None = None,
) -> Any:  # fmt: skip
    """What ``draw`` makes of each value: a slider over frames, or with a kernel a widget that draws anew.

    Args:
        draw: value -> picture or :class:`Figure`.
        label: name of the value.
        values: to choose from.
        live: True in a running notebook: an ipywidgets slider that calls ``draw`` whenever it is moved, so that a
            changed ``draw`` shows at once. False makes all frames now, which is what a page needs.
        start, choice, alt, width: as for :func:`frames`.
    """
    if not live:
        return frames([draw(v) for v in values], label, values, start=start, choice=choice, alt=alt, width=width)
    import ipywidgets
    from IPython.display import display

    def show_one(value: Any) -> None:
        made = draw(value)
        display(made if isinstance(made, Figure) else faces([made], alt=f"{label}: {value}"))

    control = ipywidgets.Dropdown if choice else ipywidgets.SelectionSlider
    options = [(str(v), v) for v in values]
    widget = control(
        options=options, value=options[start][1], description=label, style={"description_width": "initial"}
    )
    return ipywidgets.interactive(show_one, value=widget)


def paint(
    image: Any, labels: Any, *, cells: int = 8, start: Iterable[int] = (27, 28, 35, 36), live: bool = False,
    draw: Callable[[np.ndarray], Any] | None = None, alt: str | None = None,
) -> Any:  # fmt: skip
    """A face to paint a hole on, square by square, and what the hole takes: its size and the regions it damages.

    On a page nothing is computed but sums: how many pixels of each region lie in each square is known beforehand.

    Args:
        image: the face. labels: its region ids (H, W).
        cells: squares in a row; a divisor of the side.
        start: numbers of the squares painted at first, row by row from 0.
        live: True in a running notebook: ipywidgets buttons that call ``draw`` whenever a square is painted.
        draw: hole (H, W) uint8 -> picture or :class:`Figure`; :func:`damage` by default.
    """
    picture, regions_at = pixels(image), _plane(labels)
    side = len(regions_at)
    if regions_at.shape != (side, side) or picture.shape[:2] != (side, side) or side % cells:
        raise DataError(
            f"a face of {picture.shape[:2]} with a map of {regions_at.shape} has no {cells} x {cells} squares",
            "Give a square face and its map, and a divisor of the side",
        )
    square = side // cells
    painted = np.zeros(cells * cells, bool)
    painted[list(start)] = True
    if live:
        return _paint_live(cells, painted, square, draw or (lambda mask: damage(regions_at, mask, picture)))
    present = [i for i in range(1, len(OTHER_AND_REGIONS)) if (regions_at == i).any()]
    tiles = regions_at.reshape(cells, square, cells, square).transpose(0, 2, 1, 3).reshape(cells * cells, -1)
    data = {
        "cells": [[int((tile == i).sum()) for i in present] for tile in tiles],
        "names": [OTHER_AND_REGIONS[i] for i in present],
        "edges": BIN_EDGES,
        "bins": BIN_NAMES,
    }
    checked = ' checked=""'
    boxes = "".join(
        f'<input type="checkbox" aria-label="row {i // cells + 1}, column {i % cells + 1}"'
        f"{checked if painted[i] else ''}>"
        for i in range(cells * cells)
    )
    mask = painted.reshape(cells, cells).repeat(square, axis=0).repeat(square, axis=1)
    lost = {i: float(mask[regions_at == i].mean()) for i in present}
    number = bin_of(float(mask.mean()))
    said = f"hole fraction {mask.mean():.2f}, " + (
        "in none of the bins" if number is None else f"bin {BIN_NAMES[number]}"
    )
    grey = np.where(regions_at[..., None] > 0, 128, 90).repeat(3, axis=2).astype(np.uint8)
    layers = ""
    for i in present:
        layer = np.dstack([_PALETTE[regions_at], 255 * (regions_at == i).astype(np.uint8)])
        hidden = "" if lost[i] else ' hidden=""'
        layers += f'<img class="fi-layer" src="{_uri(layer)}" alt="{OTHER_AND_REGIONS[i]}, damaged"{hidden}>'
    swatches = "".join(
        f'<li><i style="background:{REGION_COLOURS[i]}"></i>'
        f"<span>{OTHER_AND_REGIONS[i]}: {_percent(lost[i]) + ' lost' if lost[i] else 'whole'}</span></li>"
        for i in present
    )
    count = (
        "const f=this.closest('figure'),d=JSON.parse(this.dataset.paint),t=d.names.map(()=>0),a=t.slice();"
        "[...this.children].forEach((c,i)=>d.cells[i].forEach((v,k)=>{a[k]+=v;if(c.checked)t[k]+=v}));"
        "const n=[...this.children].filter(c=>c.checked).length/this.children.length;"  # all squares have one size
        "f.querySelectorAll('.fi-layer').forEach((e,k)=>{e.hidden=!t[k]});"
        "f.querySelectorAll('.fi-legend span').forEach((e,k)=>{const p=t[k]/a[k];e.textContent=d.names[k]+': '+"
        "(p==0?'whole':p<.01?'under 1% lost':Math.round(100*p)+'% lost')});"
        "const b=d.bins.find((_,i)=>n>d.edges[i]&&n<=d.edges[i+1]);"
        "f.querySelector('output').textContent='hole fraction '+n.toFixed(2)+', '+(b?'bin '+b:'in none of the bins')"
    )
    # A fast mouse skips squares between two events: all on the line from the last one are painted.
    drag = (
        "const q=[...this.children],n=Math.sqrt(q.length),b=q.indexOf(event.target);"
        "if(event.buttons&1&&event.pointerType=='mouse'&&b>=0){"
        "const o=q.indexOf(event.relatedTarget),a=o<0?b:o,y=a/n|0,x=a%n,v=(b/n|0)-y,u=b%n-x,"
        "m=Math.max(Math.abs(u),Math.abs(v),1);"
        "for(let k=0;k<=m;k++)q[Math.round(y+v*k/m)*n+Math.round(x+u*k/m)].checked=true;"
        "this.dispatchEvent(new Event('input'))}"
    )
    # A finger stays captured by the square where it came down: ask what lies under it.
    swipe = (
        "const t=event.touches[0],e=document.elementFromPoint(t.clientX,t.clientY);"
        "if(e&&e.parentNode==this&&!e.checked){e.checked=true;this.dispatchEvent(new Event('input'))}"
    )
    body = (
        f'<div class="fi-grid" style="grid-template-columns:repeat(2,minmax(0,16rem))">'
        f'<div class="fi-cell"><div class="fi-pair">{_img(picture, "the face")}'
        f'<div class="fi-cells" role="group" aria-label="squares of the hole" '
        f'style="grid-template:repeat({cells},1fr)/repeat({cells},1fr)" '
        f'data-paint="{html.escape(json.dumps(data), quote=True)}" oninput="{html.escape(count, quote=True)}" '
        f'onpointerover="{html.escape(drag, quote=True)}" ontouchmove="{html.escape(swipe, quote=True)}">'
        f"{boxes}</div></div>paint here</div>"
        f'<div class="fi-cell"><div class="fi-pair">{_img(grey, "parsing map; whole regions are grey")}{layers}</div>'
        f'damaged regions</div></div><ul class="fi-legend">{swatches}</ul>'
        f'<p class="fi-note"><output>{said}</output></p>'
    )
    return Figure(body, alt or "A face cut into squares to paint a hole on; beside it the regions the hole damages.")


def _paint_live(cells: int, painted: np.ndarray, square: int, draw: Callable[[np.ndarray], Any]) -> Any:
    """Buttons, one a square, and below them what ``draw`` makes of the hole."""
    import ipywidgets
    from IPython.display import display

    size = {"width": "1.8rem", "height": "1.8rem", "margin": "0", "padding": "0"}
    buttons = [
        ipywidgets.ToggleButton(
            value=bool(on), layout=size, tooltip=f"row {i // cells + 1}, column {i % cells + 1}",
        )
        for i, on in enumerate(painted)
    ]  # fmt: skip
    below = ipywidgets.Output()

    def redraw(_: Any = None) -> None:
        grid = np.array([button.value for button in buttons], np.uint8).reshape(cells, cells)
        mask = grid.repeat(square, axis=0).repeat(square, axis=1)
        made = draw(mask)
        below.clear_output(wait=True)
        with below:
            display(made if isinstance(made, Figure) else faces([made], alt="What became of the painted hole."))

    for button in buttons:
        button.observe(redraw, "value")
    redraw()
    grid = ipywidgets.GridBox(buttons, layout={"grid_template_columns": f"repeat({cells}, 1.8rem)"})
    return ipywidgets.VBox([grid, below])
