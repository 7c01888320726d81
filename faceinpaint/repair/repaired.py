"""A repaired photograph: its pixels, its faces as the networks saw them, and a sheet of before and after."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faceinpaint.regions import REGION_COLOURS
from faceinpaint.repair.framing import Box, Frame


@dataclass(frozen=True)
class Face:
    """One face of a photograph, as generator and parser saw it, S their size.

    Attributes:
        frame: where it lies in the photograph.
        box: the face found or given there; None if the whole photograph is the frame.
        image: (S, S, 3) uint8, zero in the hole.
        hole: (S, S) uint8, 1 = hole.
        regions: (S, S) uint8 region ids, predicted or as given; None if the generator reads no map.
        output: (S, S, 3) uint8, what the generator made of it, known pixels included.
        lent: (n,) float, how far the style of each region came from another photograph; None if there is none.

    >>> nothing = np.zeros((64, 64), np.uint8)
    >>> Face(Frame.whole(64, 64), None, nothing, nothing, None, nothing).frame.side  # nothing was seen
    64
    """

    frame: Frame
    box: Box | None
    image: np.ndarray
    hole: np.ndarray
    regions: np.ndarray | None
    output: np.ndarray
    lent: np.ndarray | None = None


@dataclass(frozen=True)
class Repair:
    """A repaired photograph.

    Attributes:
        pixels: of the shape and type of the photograph.
        faces: those that were repaired.
        classical: how many hole pixels lie outside of them and were filled classically.
        notes: what was done to the files that a reader should know.

    >>> Repair(np.zeros((8, 8, 3), np.uint8), faces=(), classical=12).classical
    12
    """

    pixels: np.ndarray
    faces: tuple[Face, ...]
    classical: int
    notes: tuple[str, ...] = ()


def comparison(photo: np.ndarray, hole: np.ndarray, done: Repair, height: int = 512) -> np.ndarray:
    """Before, hole, map and after of each face, side by side with their names above.

    What was filled outside of faces is shown if no face was repaired.

    Args:
        photo: (H, W, C) uint8 or uint16, as given to the repair. hole: (H, W), nonzero = hole.
        done: what came of it.
        height: of a row in pixels, at most; half of it at least.

    Returns:
        (h, w, 3) uint8.

    >>> photo, hole = np.zeros((64, 64, 3), np.uint8), np.eye(64)
    >>> comparison(photo, hole, Repair(photo, faces=(), classical=64), height=64).dtype
    dtype('uint8')
    """
    gap, top = 8, 24
    rows = [_row(photo, hole, done, place, height) for place in _shown(hole, done)]
    wide = max(4 * panels[0].shape[1] for panels in rows) + 5 * gap
    sheet = Image.new("RGB", (wide, sum(panels[0].shape[0] + top + gap for panels in rows)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    y = 0
    for panels in rows:
        for i, (name, panel) in enumerate(zip(("before", "hole", "map", "after"), panels, strict=True)):
            left = gap + i * (panel.shape[1] + gap)
            pen.text((left, y + 4), name, fill="black", font=font)
            sheet.paste(Image.fromarray(panel), (left, y + top))
        y += panels[0].shape[0] + top + gap
    return np.asarray(sheet)


def _shown(hole: np.ndarray, done: Repair) -> list[tuple[slice, slice]]:
    """Rows and columns of the faces; of the hole and as much around it if there are none; or of everything."""
    if done.faces:
        return [face.frame.place(*hole.shape) for face in done.faces]
    places = []
    for axis, length in ((1, hole.shape[0]), (0, hole.shape[1])):
        touched = np.flatnonzero((hole != 0).any(axis))
        low, high = (touched[0], touched[-1] + 1) if len(touched) else (0, length)
        places.append(slice(int(max(0, 2 * low - high)), int(min(length, 2 * high - low))))
    return [(places[0], places[1])]


def _row(
    photo: np.ndarray, hole: np.ndarray, done: Repair, place: tuple[slice, slice], height: int
) -> list[np.ndarray]:
    """The four panels of a part of a photograph, of one size."""
    gone = hole[place] != 0
    scale = min(height / gone.shape[0], 2 * height / gone.shape[1])
    if scale > 1:
        scale = max(1.0, min(scale, height / 2 / gone.shape[0]))
    size = max(1, round(gone.shape[1] * scale)), max(1, round(gone.shape[0] * scale))
    mask = np.asarray(Image.fromarray(gone.astype(np.uint8) * 255).resize(size, Image.Resampling.NEAREST))
    before = np.where(mask[..., None] > 0, _chequered(size), _small(photo[place], size))
    return [before, np.repeat(mask[..., None], 3, 2), _small(_coloured(photo, done)[place], size),
            _small(done.pixels[place], size)]  # fmt: skip


def _chequered(size: tuple[int, int]) -> np.ndarray:
    """What stands for a hole: two greys, which no face looks like."""
    squares = np.add.outer(np.arange(size[1]) // 8, np.arange(size[0]) // 8) % 2
    return np.where(squares, 118, 158).astype(np.uint8)[..., None]


def _small(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W, C) of any kind as (h, w, 3) uint8, transparent parts on white."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    eight = np.rint(pixels / 257).astype(np.uint8) if pixels.dtype == np.uint16 else pixels
    mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[eight.shape[2]]
    picture = Image.fromarray(eight[..., 0] if mode == "L" else np.ascontiguousarray(eight), mode=None)
    if mode in ("LA", "RGBA"):
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture.convert("RGBA"))
    return np.asarray(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS))


def _coloured(photo: np.ndarray, done: Repair) -> np.ndarray:
    """The photograph in grey, the regions of its repaired faces in their colours."""
    height, width = photo.shape[:2]
    base = np.repeat(_small(photo, (width, height)).mean(2, keepdims=True), 3, axis=2)
    table = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in REGION_COLOURS], np.float32)
    for face in done.faces:
        if face.regions is None:
            continue
        where = face.frame.place(height, width)
        side = (face.frame.side, face.frame.side)
        large = np.asarray(Image.fromarray(face.regions).resize(side, Image.Resampling.NEAREST))
        laid = face.frame.put_back(large, where, nearest=True)
        rows, columns = np.ogrid[where]
        inside = face.frame.distance(rows, columns) <= 1
        base[where][inside] = 0.35 * base[where][inside] + 0.65 * table[laid % len(table)][inside]
    return base.round().astype(np.uint8)
