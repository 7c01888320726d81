"""What a figure is, and how arrays become pictures in one."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.files import write_text
from faceinpaint.pixels import to_bytes
from faceinpaint.regions import REGION_COLOURS, REGIONS

OTHER_AND_REGIONS = ("other", *REGIONS)
"""Names of region ids 0..8."""

WHOLE = "#808080"
"""Colour of a region that no hole damages."""

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
        x = to_bytes(torch.from_numpy(x)).numpy().transpose(1, 2, 0)
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
