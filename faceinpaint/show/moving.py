"""Figures to move: sliders, and a face to paint a hole on."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from faceinpaint.data.masks import BIN_EDGES, BIN_NAMES, bin_of
from faceinpaint.errors import DataError
from faceinpaint.regions import REGION_COLOURS
from faceinpaint.show.figure import _PALETTE, OTHER_AND_REGIONS, WHOLE, Figure, _img, _plane, _uri, pixels
from faceinpaint.show.pictures import _percent, damage, faces


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
    return _painter(picture, regions_at, painted.reshape(cells, cells), alt)


def _painter(picture: np.ndarray, regions_at: np.ndarray, painted: np.ndarray, alt: str | None) -> Figure:
    """The squares over the face as check boxes, beside them the damaged regions, and what the hole takes in words."""
    cells, square = len(painted), len(regions_at) // len(painted)
    present = [i for i in range(1, len(OTHER_AND_REGIONS)) if (regions_at == i).any()]
    tiles = regions_at.reshape(cells, square, cells, square).transpose(0, 2, 1, 3).reshape(cells * cells, -1)
    data = {
        "cells": [[int((tile == i).sum()) for i in present] for tile in tiles],
        "names": [OTHER_AND_REGIONS[i] for i in present],
        "colours": [REGION_COLOURS[i] for i in present],
        "whole": WHOLE,
        "edges": BIN_EDGES,
        "bins": BIN_NAMES,
    }
    checked = ' checked=""'
    boxes = "".join(
        f'<input type="checkbox" aria-label="row {i // cells + 1}, column {i % cells + 1}"{checked if on else ""}>'
        for i, on in enumerate(painted.flat)
    )
    mask = painted.repeat(square, axis=0).repeat(square, axis=1)
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
        f'<li><i style="background:{REGION_COLOURS[i] if lost[i] else WHOLE}"></i>'
        f"<span>{OTHER_AND_REGIONS[i]}: {_percent(lost[i]) + ' lost' if lost[i] else 'whole'}</span></li>"
        for i in present
    )
    body = (
        f'<div class="fi-grid" style="grid-template-columns:repeat(2,minmax(0,16rem))">'
        f'<div class="fi-cell"><div class="fi-pair">{_img(picture, "the face")}'
        f'<div class="fi-cells" role="group" aria-label="squares of the hole" '
        f'style="grid-template:repeat({cells},1fr)/repeat({cells},1fr)" '
        f'data-paint="{html.escape(json.dumps(data), quote=True)}" oninput="{_script("count")}" '
        f'onpointerover="{_script("drag")}" ontouchmove="{_script("swipe")}">{boxes}</div></div>paint here</div>'
        f'<div class="fi-cell"><div class="fi-pair">{_img(grey, "parsing map; whole regions are grey")}{layers}</div>'
        f'damaged regions</div></div><ul class="fi-legend">{swatches}</ul>'
        f'<p class="fi-note"><output>{said}</output></p>'
    )
    return Figure(body, alt or "A face cut into squares to paint a hole on; beside it the regions the hole damages.")


def _script(name: str) -> str:
    """A file of ``painter/`` as the value of an attribute: a figure has its scripts in itself and needs no file.

    The folder stands with the book's other scripts; here is a link to it, and in an installed package the files.
    """
    text = (Path(__file__).parent / "painter" / f"{name}.js").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines() if not line.lstrip().startswith("//"))
    return html.escape(" ".join(lines), quote=True)


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
