"""Figures of the book, and how it shows the library's source.

Every function returns a :class:`Figure`: a piece of HTML that needs nothing else, no file, no other host and no
running kernel. It reads on white and on black ground, in a narrow window and without colours: lines and letters take
the colour of the text around them, regions keep the colours of :data:`faceinpaint.regions.REGION_COLOURS` everywhere
and are named beside them. ``repr`` of a figure is its alternative text.

Pictures may be given as uint8 arrays (H, W, 3), or as tensors (3, H, W) or (1, 3, H, W) in [-1, 1]; maps and holes as
arrays or tensors with any leading dimensions of length 1.
"""

from __future__ import annotations

from faceinpaint.show.figure import LINE_COLOURS, LINE_STYLES, MARKERS, OTHER_AND_REGIONS, Figure, pixels
from faceinpaint.show.listing import COLUMNS, Source, source
from faceinpaint.show.moving import explore, frames, paint
from faceinpaint.show.pictures import compare, damage, faces, hole, overlay, regions, samples, with_hole
from faceinpaint.show.plots import (
    WIDTH,
    bars,
    by_bin,
    canvas,
    curves,
    features,
    lines,
    plot,
    region_axis,
    region_errors,
    style_distances,
    style_matrix,
    write_plots,
)

__all__ = [
    "COLUMNS",
    "LINE_COLOURS",
    "LINE_STYLES",
    "MARKERS",
    "OTHER_AND_REGIONS",
    "WIDTH",
    "Figure",
    "Source",
    "bars",
    "by_bin",
    "canvas",
    "compare",
    "curves",
    "damage",
    "explore",
    "faces",
    "features",
    "frames",
    "hole",
    "lines",
    "overlay",
    "paint",
    "pixels",
    "plot",
    "region_axis",
    "region_errors",
    "regions",
    "samples",
    "source",
    "style_distances",
    "style_matrix",
    "with_hole",
    "write_plots",
]
