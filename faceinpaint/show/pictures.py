"""Figures of faces, parsing maps and holes."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faceinpaint.data.images import read_rgb
from faceinpaint.errors import DataError
from faceinpaint.regions import REGION_COLOURS, damaged_regions
from faceinpaint.show.figure import (
    _PALETTE,
    OTHER_AND_REGIONS,
    WHOLE,
    Figure,
    _and,
    _grid,
    _img,
    _legend,
    _plane,
    pixels,
)


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


def samples(folder: str | Path, *, rows: int = 2, caption: str = "") -> Figure:
    """What a network drew while it was trained: faces, damaged, and repaired at several moments.

    Args:
        folder: with ``samples.png`` and ``log.json``, as ``tools/drawn.py`` leaves them.
        rows: how many of the four faces.

    Raises:
        DataError: one of the files is missing or damaged.
    """
    folder = Path(folder)
    try:
        seen = [int(n) for n in json.loads((folder / "log.json").read_text(encoding="utf-8"))["pictured"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"its sample pictures cannot be read ({error})", "Train again", folder) from None
    whole = read_rgb(folder / "samples.png")
    columns = np.split(whole, 2 + len(seen), axis=1)
    faces_ = [np.split(column, 4)[:rows] for column in columns]
    titles = ["true", "damaged", *(f"after {n:,}" for n in seen)]
    text = "Faces of the training: true, damaged, and repaired after " + _and([f"{n:,}" for n in seen]) + " pictures."
    return faces([list(row) for row in zip(*faces_, strict=True)], titles, alt=text, caption=caption)


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
    colours = [REGION_COLOURS[i] if flags[i] else WHOLE for i in present]
    text = f"The hole damages {_and([OTHER_AND_REGIONS[i] for i in hit])} of {len(present)} regions."
    return Figure(_grid(cells, len(cells)) + _legend(names, colours), alt or text, caption)


def _percent(share: float) -> str:
    return "under 1%" if 0 < share < 0.01 else f"{share:.0%}"


def compare(
    before: Any, after: Any, titles: tuple[str, str] = ("before", "after"), *, alt: str | None = None, at: int = 50
) -> Figure:
    """Two pictures of the same size, one over the other, with a slider that uncovers the second.

    Args:
        at: where the slider stands at first, in percent of the width.
    """
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
        f'<div class="fi-top" style="clip-path:inset(0 0 0 {at}%)">{_img(b, titles[1])}</div></div>'
        f'<label class="fi-row"><span>{first}</span><input type="range" min="0" max="100" value="{at}" '
        f'data-first="{first}" aria-valuetext="{at}% {first}" oninput="{html.escape(move, quote=True)}">'
        f"<span>{second}</span></label>"
    )
    text = alt or f"Two pictures under one slider: {titles[0]} to the left of it, {titles[1]} to the right."
    return Figure(body, text, width="18rem")
