"""Find a face in a photograph, and cut it out the way the generator has seen faces: CelebA-HQ's framing.

The detector is scikit-image's cascade of local binary patterns (Viola and Jones, 2004; Ahonen et al., 2006), trained
on frontal faces; its file is part of that package. It looks at the photograph with the hole filled classically,
never at what lies under the hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from faceinpaint.errors import ConfigError
from faceinpaint.repair.membrane import membrane

BOX_SHARE = 0.644
BOX_CENTRE = (0.506, 0.555)
"""Where the detector's box lies in a face framed as in CelebA-HQ: its side and its centre, in sides of the picture.

Medians over the first 400 training faces of the 256-pixel CelebAMask-HQ (`tests/test_framing.py` measures again where
the faces are at hand). In the middle half of the faces the box's side is between 0.62 and 0.67."""

TILTS = (-20.0, 20.0, -40.0, 40.0)
"""Degrees by which the photograph is turned to look for faces, if none is likely upright."""

WIDEST = 4
LONGEST = 32766
"""How large the frame of a given box may be: so many times the photograph's longer side, for a face of which the
photograph shows a small part; and so many pixels, which is what OpenCV can cut out."""

SCALES = (1.0, 0.94, 0.88)
"""Sizes at which a doubtful photograph is looked at: a face is seen at all of them, a chance likeness at one."""

CLEAR, LIKELY, ENOUGH = 8, 10, 3
"""Windows of the detector that must agree on a face: at one size; at all of :data:`SCALES` together; and there, if
nothing better is found in a turned photograph."""


class Look(NamedTuple):
    """Where faces are looked for.

    Attributes:
        longest: side in pixels to which the photograph is shrunk.
        least, most: smallest and largest face in pixels then.
        near: look around the hole alone.
    """

    longest: int
    least: int
    most: int
    near: bool = False


ALL = Look(512, 40, 512)
SMALL = Look(1536, 40, 120, near=True)


class Box(NamedTuple):
    """A face in a photograph, as the detector draws it: from the brows to below the mouth, from temple to temple.

    Attributes:
        x, y: upper left corner in pixels of the upright photograph, before the box is turned.
        width, height: in pixels.
        tilt: how far the box is turned about its centre, clockwise, in degrees.
    """

    x: float
    y: float
    width: float
    height: float
    tilt: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        """In pixels."""
        return self.x + self.width / 2, self.y + self.height / 2

    def __str__(self) -> str:
        numbers = self if self.tilt else self[:4]
        return ",".join(f"{number:.0f}" for number in numbers)


def parse_box(text: str) -> Box:
    """``x,y,width,height`` or ``x,y,width,height,tilt``, as on the command line.

    Raises:
        ConfigError: it is not four or five numbers, or the box is empty.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    return check_box(numbers, text)


def check_box(numbers: Sequence[float], text: str | None = None) -> Box:
    """Four or five numbers as a box.

    Raises:
        ConfigError: they are not four or five, not finite, or the box is empty.
    """
    good = len(numbers) in (4, 5) and np.isfinite(numbers).all() and numbers[2] >= 1 and numbers[3] >= 1
    if not good or max(map(abs, numbers)) > 1e6:
        raise ConfigError(
            f"the box {text or tuple(numbers)!r} is not that of a face",
            "Give x,y,width,height in pixels and, if the head is tilted, the tilt in degrees",
        )
    return Box(*numbers)


def check_frame(box: Box, height: int, width: int) -> None:
    """Refuse a box whose frame does not fit a photograph of this size: cutting it out would take all memory.

    Raises:
        ConfigError: the frame's side is more than :data:`WIDEST` times the photograph's longer one, or more than
            :data:`LONGEST` pixels.
    """
    side, most = Frame.around(box).side, min(WIDEST * max(height, width), LONGEST)
    if side > most:
        raise ConfigError(
            f"the box {box} asks for {side} x {side} pixels around the face, and of this photograph of "
            f"{width} x {height} at most {most} x {most} are cut out",
            "Give a box that fits the face, or shrink the photograph",
        )


@dataclass(frozen=True)
class Frame:
    """The square that the generator sees, laid over a photograph.

    Attributes:
        x, y: its centre in pixels, counted so that the first pixel's centre is 0.
        side: in pixels.
        tilt: clockwise, in degrees.
    """

    x: float
    y: float
    side: int
    tilt: float = 0.0

    @classmethod
    def around(cls, box: Box) -> Frame:
        """The frame of a face found at ``box``: CelebA-HQ's, see :data:`BOX_SHARE`."""
        side = max(2, round((box.width + box.height) / 2 / BOX_SHARE))
        dx, dy = (side * (0.5 - place) for place in BOX_CENTRE)
        c, s = np.cos(np.radians(box.tilt)), np.sin(np.radians(box.tilt))
        x, y = box.centre
        return cls.on_pixels(x + c * dx - s * dy, y + s * dx + c * dy, side, box.tilt)

    @classmethod
    def whole(cls, height: int, width: int) -> Frame:
        """The smallest square that holds a picture which is framed already."""
        return cls.on_pixels(width / 2, height / 2, max(height, width))

    @classmethod
    def on_pixels(cls, x: float, y: float, side: int, tilt: float = 0.0) -> Frame:
        """A frame around (x, y), counted from the edge of the picture; moved by less than a pixel onto its grid."""
        half = (side - 1) / 2
        return cls(round(x - side / 2) + half, round(y - side / 2) + half, side, tilt)

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3): from a pixel (u, v) of the frame to the pixel of the photograph."""
        c, s = np.cos(np.radians(self.tilt)), np.sin(np.radians(self.tilt))
        half = (self.side - 1) / 2
        return np.array([[c, -s, self.x - half * (c - s)], [s, c, self.y - half * (s + c)]])

    def cut(self, plane: np.ndarray, *, nearest: bool = False, mirrored: bool = True) -> np.ndarray:
        """What the frame shows of (H, W) or (H, W, C): (side, side) or (side, side, C) of the same type.

        Where it reaches beyond the photograph, the photograph is mirrored, or else zero.
        """
        how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
        border = cv2.BORDER_REFLECT if mirrored else cv2.BORDER_CONSTANT
        size = (self.side, self.side)
        return cv2.warpAffine(plane, self.matrix, size, flags=how | cv2.WARP_INVERSE_MAP, borderMode=border)

    def place(self, height: int, width: int) -> tuple[slice, slice]:
        """Rows and columns of a photograph that hold all of the frame that lies on it; may be empty."""
        half = (self.side - 1) / 2
        reach = half * (abs(np.cos(np.radians(self.tilt))) + abs(np.sin(np.radians(self.tilt))))
        bounds = []
        for centre, length in ((self.y, height), (self.x, width)):
            low, high = int(np.clip(np.floor(centre - reach), 0, length)), int(np.ceil(centre + reach)) + 1
            bounds.append(slice(low, int(np.clip(high, low, length))))
        return bounds[0], bounds[1]

    def put_back(self, plane: np.ndarray, place: tuple[slice, slice], *, nearest: bool = False) -> np.ndarray:
        """The frame's picture (side, side) or (side, side, C) as it lies on these rows and columns."""
        matrix = self.matrix - [[0, 0, place[1].start], [0, 0, place[0].start]]
        size = (place[1].stop - place[1].start, place[0].stop - place[0].start)
        how = cv2.INTER_NEAREST if nearest else cv2.INTER_CUBIC
        return cv2.warpAffine(plane, matrix, size, flags=how, borderMode=cv2.BORDER_REPLICATE)

    def distance(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """How far pixels lie from the frame's centre: 0 there, 1 on its edge, more outside."""
        c, s = np.cos(np.radians(self.tilt)), np.sin(np.radians(self.tilt))
        dx, dy = columns - self.x, rows - self.y
        return np.maximum(np.abs(c * dx + s * dy), np.abs(c * dy - s * dx)) / (self.side / 2)


def owners(frames: Sequence[Frame], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Which frame each pixel belongs to, (n,) int: of those that it lies in, the one whose centre is nearest; or -1."""
    if not frames or not len(rows):
        return np.full(len(rows), -1)
    distances = np.stack([frame.distance(rows, columns) for frame in frames])
    return np.where(distances.min(0) <= 1, distances.argmin(0), -1)


def find_faces(photo: np.ndarray, hole: np.ndarray) -> list[Box]:
    """Faces whose frame the hole touches; if there is none of these, other faces of the photograph.

    If none is clear, the likeliest, looked for at several sizes, small ones near the hole and tilted ones too.

    Args:
        photo: (H, W, 3) uint8 RGB, upright. What lies under the hole is not looked at.
        hole: (H, W) bool.

    Returns:
        largest first.
    """
    rows, columns = np.nonzero(hole)

    def touched(found: list[tuple[int, Box]], votes: int) -> list[tuple[int, Box]]:
        likely = [(n, box) for n, box in found if n >= votes]
        return [(n, box) for n, box in likely if (owners([Frame.around(box)], rows, columns) == 0).any()]

    first = _look(photo, hole, ALL, SCALES[:1])
    clear = touched(first, CLEAR)
    if clear:
        return [box for _, box in clear]
    upright = [(ALL, 0.0)] + [(SMALL, 0.0)] * (max(hole.shape) > ALL.longest)
    doubtful: list[tuple[int, Box]] = []
    for looks in (upright, [(ALL, tilt) for tilt in TILTS]):
        doubtful += touched([f for look, tilt in looks for f in _look(photo, hole, look, SCALES, tilt)], ENOUGH)
        if any(votes >= LIKELY for votes, _ in doubtful):
            break
    if doubtful:
        return [max(doubtful, key=lambda f: f[0] * f[1].width ** 2)[1]]  # chance likenesses are small
    return [box for votes, box in first if votes >= CLEAR]


def _look(
    photo: np.ndarray, hole: np.ndarray, look: Look, scales: Sequence[float], tilt: float = 0.0
) -> list[tuple[int, Box]]:
    """What the detector finds, in pixels of the photograph, and how many of its windows agree on each face."""
    windows = []
    for share in scales:
        height, width = hole.shape
        scale = share * min(1.0, look.longest / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        whole = cv2.resize((~hole).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999  # no bit of the hole
        seen = cv2.resize(photo * ~hole[..., None], size, interpolation=cv2.INTER_AREA)
        if not whole.any():
            continue
        filled = np.rint(membrane(seen, whole)).astype(np.uint8)
        top = left = 0
        if look.near and not whole.all():
            reach = round(look.most / BOX_SHARE)
            around = [np.flatnonzero((~whole).any(axis)) for axis in (1, 0)]
            (top, bottom), (left, right) = ((max(0, int(a.min()) - reach), int(a.max()) + reach) for a in around)
            filled = filled[top:bottom, left:right]
        windows += [
            Box((b.x + left) / scale, (b.y + top) / scale, b.width / scale, b.height / scale, tilt)
            for b in _windows(filled, look, tilt)
        ]
    return _agreed(windows)


def _windows(picture: np.ndarray, look: Look, tilt: float) -> list[Box]:
    """Every window of (H, W, 3) uint8, turned back by ``tilt`` degrees, in which the detector sees a face."""
    from skimage import data
    from skimage.feature import Cascade  # takes a second to import, and not every repair looks for a face

    height, width = picture.shape[:2]
    if min(height, width) < look.least:
        return []
    turned = Frame.on_pixels(width / 2, height / 2, max(height, width), tilt)
    view = turned.cut(picture, mirrored=False) if tilt else picture
    found = Cascade(data.lbp_frontal_face_cascade_filename()).detect_multi_scale(
        img=np.ascontiguousarray(view), scale_factor=1.1, step_ratio=1, min_size=(look.least, look.least),
        max_size=(look.most, look.most), min_neighbor_number=1, intersection_score_threshold=1.0,
    )  # fmt: skip
    windows = []
    for f in found:
        x, y, side = f["c"] + f["width"] / 2, f["r"] + f["height"] / 2, float(f["width"])
        if tilt:
            x, y = (float(place) for place in turned.matrix @ [x - 0.5, y - 0.5, 1] + 0.5)
        if 0 <= x < width and 0 <= y < height:
            windows.append(Box(x - side / 2, y - side / 2, side, side, tilt))
    return windows


def _agreed(windows: Sequence[Box]) -> list[tuple[int, Box]]:
    """Windows of nearly the same face joined to their mean, with their number; largest first.

    Much smaller ones in the frame of a face that more windows agree on are dropped: there the detector has taken a
    mouth or a chin for a face.
    """
    groups: list[list[Box]] = []
    for window in sorted(windows, key=lambda w: (-w.width, w.x, w.y)):
        for group in groups:
            mean = Box(*np.mean(group, axis=0))
            apart = np.hypot(*np.subtract(window.centre, mean.centre))
            if apart < mean.width / 4 and window.width > mean.width / 1.5 and window.tilt == mean.tilt:
                group.append(window)
                break
        else:
            groups.append([window])
    found = [(len(group), Box(*(float(number) for number in np.mean(group, axis=0)))) for group in groups]
    return [
        (votes, box)
        for votes, box in found
        if not any(
            more >= votes
            and other.width > box.width
            and np.abs(np.subtract(box.centre, other.centre)).max() < other.width / BOX_SHARE / 2
            for more, other in found
        )
    ]
