"""Find a face in a photograph, and cut it out the way the generator has seen faces: CelebA-HQ's framing.

Five landmarks of each face (:mod:`faceinpaint.repair.finder`) give place, size and tilt. The detector looks at the
photograph with the hole filled classically, never at what lies under the hole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from faceinpaint.data.images import MOSTLY
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.repair.finder import LONGEST as SEEN
from faceinpaint.repair.finder import SURE, Sight, search
from faceinpaint.repair.membrane import membrane

BOX_SHARE = 0.644
BOX_CENTRE = (0.506, 0.555)
"""Where the detector's box lies in a face framed as in CelebA-HQ: its side and its centre, in sides of the picture.

Medians over the first 400 training faces of the 256-pixel CelebAMask-HQ (`tests/test_framing.py` measures again where
the faces are at hand). In the middle half of the faces the box's side is between 0.62 and 0.67."""

WIDEST = 4
LONGEST = 32766
"""How large the frame of a given box may be: so many times the photograph's longer side, for a face of which the
photograph shows a small part; and so many pixels, which is what OpenCV can cut out."""

CLEAR, ENOUGH = 0.5, 0.25
"""Likelihood of a face that is clear; and of the best one, if none is. Both may be doubted still, see
:func:`faceinpaint.repair.doubt.doubt`."""

STEP, WIDER, FAR, MOVES = 0.186, 1.2, 0.005, 4
"""How a doubtful frame is settled: by steps of so many sides of its box across or down, or so much wider or narrower,
each square of the number of which counts against it by so much, and at most so many of them."""

OF_HOLE = 1.1
"""Side of the frame of a face that is looked for where a large hole is, in sides of the square around the hole."""

NEAR = 6
"""How much of a large photograph is looked at around the hole for small faces: so many times the hole's extent."""


class Box(NamedTuple):
    """A face in a photograph, as the detector draws it: from the brows to below the mouth, from temple to temple.

    Attributes:
        x, y: upper left corner in pixels of the upright photograph, before the box is turned.
        width, height: in pixels.
        tilt: how far the box is turned about its centre, clockwise, in degrees.

    >>> Box(40, 50, 120, 120).centre, str(Box(40, 50, 120, 120, 30))
    ((100.0, 110.0), '40,50,120,120,30')
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

    @classmethod
    def of(cls, sight: Sight) -> Box:
        """The box whose frame (:meth:`Frame.around`) is that of a face that was seen."""
        return cls.framed(*sight.frame)

    @classmethod
    def framed(cls, x: float, y: float, side: float, tilt: float = 0.0) -> Box:
        """The box whose frame has this centre, counted from the edge of the picture, this side and this tilt.

        >>> Frame.around(Box.framed(160, 160, 160)) == Frame.on_pixels(160, 160, 160)
        True
        """
        c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
        dx, dy = (side * (place - 0.5) for place in BOX_CENTRE)
        width = BOX_SHARE * side
        left, top = x + c * dx - s * dy - width / 2, y + s * dx + c * dy - width / 2
        return cls(float(left), float(top), width, width, tilt)

    def moved(self, right: float, down: float, wider: float) -> Box:
        """The box moved along its own sides, in sides, and so much wider, about its centre.

        >>> Box(40, 50, 120, 120).moved(0, 0.5, 1.5)
        Box(x=10.0, y=80.0, width=180.0, height=180.0, tilt=0.0)
        """
        c, s = np.cos(np.radians(self.tilt)), np.sin(np.radians(self.tilt))
        dx, dy = right * self.width, down * self.height
        width, height = wider * self.width, wider * self.height
        (x, y), (left, up) = self.centre, (width / 2, height / 2)
        return Box(float(x + c * dx - s * dy - left), float(y + s * dx + c * dy - up), width, height, self.tilt)

    def __str__(self) -> str:
        numbers = self if round(self.tilt) else self[:4]
        return ",".join(f"{number:.0f}" for number in numbers)


def parse_box(text: str) -> Box:
    """``x,y,width,height`` or ``x,y,width,height,tilt``, as on the command line.

    Raises:
        ConfigError: it is not four or five numbers, or the box is empty.

    >>> parse_box("40,50,120,120")
    Box(x=40.0, y=50.0, width=120.0, height=120.0, tilt=0.0)
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    return check_box(numbers, text)


def check_box(numbers: Sequence[float], text: str | None = None) -> Box:
    """Four or five numbers as a box.

    Raises:
        ConfigError: they are not four or five, not finite, turned by more than a whole turn, or the box is empty.

    >>> check_box([40, 50, 0, 120])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    faceinpaint.errors.ConfigError: the box (40, 50, 0, 120) is not that of a face. Give x,y,width,height in pixels ...
    """
    good = len(numbers) in (4, 5) and np.isfinite(numbers).all() and numbers[2] >= 1 and numbers[3] >= 1
    if not good or max(map(abs, numbers)) > 1e6 or any(abs(tilt) > 360 for tilt in numbers[4:]):
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

    >>> check_frame(Box(40, 50, 120, 120), height=300, width=200)
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

    >>> frame = Frame.whole(64, 64)
    >>> frame.cut(np.arange(64 * 64, dtype=np.float32).reshape(64, 64)).shape, frame.place(64, 64)
    ((64, 64), (slice(0, 64, None), slice(0, 64, None)))
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
        """The smallest square that holds a picture which is framed already.

        Raises:
            ConfigError: its longer side is more than :data:`LONGEST`.
        """
        if max(height, width) > LONGEST:
            raise ConfigError(
                f"a square around all of a photograph of {width} x {height} is more than the {LONGEST} x {LONGEST} "
                "pixels that can be cut out",
                "Give the box of the face, or shrink the photograph",
            )
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


def around_hole(hole: np.ndarray) -> Box:
    """Where a face would lie of which nothing is seen, since the hole covers most of it.

    Args:
        hole: (H, W) bool, some of it True. Its outermost pixels, one in fifty on each side, do not count.

    >>> Frame.around(around_hole(np.ones((100, 100), bool))).side
    105
    """
    low, high = np.percentile(np.argwhere(hole)[:, ::-1], (2, 98), axis=0)
    x, y = (low + high + 1) / 2
    return Box.framed(float(x), float(y), OF_HOLE * max(1.0, float((high - low).max())))


def settled(box: Box, judge: Callable[[Box], float]) -> Box:
    """The box near one that was found which is judged best: uphill from there, by :data:`MOVES` steps at most.

    >>> str(settled(Box(40, 50, 120, 120), lambda box: -abs(box.centre[0] - 130) / 100))
    '62,50,120,120'
    """
    values: dict[tuple[int, int, int], float] = {}

    def at(place: tuple[int, int, int]) -> Box:
        right, down, wider = place
        return box.moved(STEP * right, STEP * down, WIDER**wider)

    def value(place: tuple[int, int, int]) -> float:
        if place not in values:
            values[place] = judge(at(place)) - FAR * sum(number**2 for number in place)
        return values[place]

    best = 0, 0, 0
    for _ in range(MOVES):
        x, y, z = best
        steps = [(x + d, y, z) for d in (1, -1)] + [(x, y + d, z) for d in (1, -1)] + [(x, y, z + d) for d in (1, -1)]
        top = max(steps, key=value)
        if value(top) <= value(best):
            break
        best = top
    return at(best)


def owners(frames: Sequence[Frame], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Which frame each pixel belongs to, (n,) int: of those that it lies in, the one whose centre is nearest; or -1.

    >>> frames = [Frame(10, 10, 20), Frame(40, 10, 20)]
    >>> owners(frames, rows=np.array([10, 10, 60]), columns=np.array([12, 38, 10])).tolist()
    [0, 1, -1]
    """
    if not frames or not len(rows):
        return np.full(len(rows), -1)
    distances = np.stack([frame.distance(rows, columns) for frame in frames])
    return np.where(distances.min(0) <= 1, distances.argmin(0), -1)


def find_faces(photo: np.ndarray, hole: np.ndarray) -> list[Box]:
    """Faces whose frame the hole touches; if there is none of these, other clear faces of the photograph.

    If no touched one is clear, the likeliest is given. What is small there is looked at again near the hole.

    Args:
        photo: (H, W, 3) uint8 RGB, upright. What lies under the hole is not looked at.
        hole: (H, W) bool.

    Returns:
        the surest first.

    >>> find_faces(np.full((64, 64, 3), 128, np.uint8), np.eye(64, dtype=bool))
    []
    """
    return [Box.of(sight) for sight in sights_near(photo, hole)]


def sights_near(photo: np.ndarray, hole: np.ndarray) -> list[Sight]:
    """The faces that :func:`find_faces` gives, as they were seen.

    >>> sights_near(np.full((64, 64, 3), 128, np.uint8), np.eye(64, dtype=bool))
    []
    """
    if hole.all():
        return []
    rows, columns = np.nonzero(hole)

    def touched(sights: list[Sight]) -> list[Sight]:
        clear = [s for s in sights if s.score >= CLEAR] or [s for s in sights[:1] if s.score >= ENOUGH]
        return [s for s in clear if (owners([Frame.around(Box.of(s))], rows, columns) == 0).any()]

    everything = slice(0, hole.shape[0]), slice(0, hole.shape[1])
    sights = _seen(photo, hole, everything)
    found = touched(sights)
    sure = sights[0].score if sights else 0.0
    if (not found or sure < SURE) and len(rows) and max(hole.shape) > SEEN:  # looked at in small, and not clear there
        around = []
        for places, length in ((rows, hole.shape[0]), (columns, hole.shape[1])):
            low, high = int(places.min()), int(places.max()) + 1
            reach = max(NEAR * (high - low), SEEN) // 2
            around.append(slice(max(0, (low + high) // 2 - reach), min(length, (low + high) // 2 + reach)))
        closer = _seen(photo, hole, (around[0], around[1]))
        if not found or (closer and closer[0].score > sure):
            found = touched(closer) or found
    return found or [s for s in sights if s.score >= CLEAR]


def _seen(photo: np.ndarray, hole: np.ndarray, part: tuple[slice, slice]) -> list[Sight]:
    """Faces of a part of a photograph, its hole filled; in pixels of the photograph."""
    photo, hole = photo[part], hole[part]
    height, width = hole.shape
    scale = min(1.0, SEEN / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    whole = cv2.resize((~hole).astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.999  # no bit of the hole
    seen = cv2.resize(photo * ~hole[..., None], size, interpolation=cv2.INTER_AREA)
    back = np.array([[width / size[0], 0, part[1].start], [0, height / size[1], part[0].start]])
    return [sight.moved(back) for sight in search(membrane(seen, whole))]


def nowhere(
    places: Sequence[tuple[Frame, Box | None]], doubts: Sequence[str], share: float, covered: float
) -> DataError:
    """The refusal of a hole of which a part lies in no face.

    Args:
        places: of the faces. doubts: why others were not taken.
        share: of the hole that lies in none. covered: by the hole, of the photograph.

    >>> nowhere([], ["why not"], 1.0, 0.1).problem
    'no face was found (why not)'
    """
    where = "; ".join(str(box) for _, box in places)
    if not places:
        problem = "no face was found" + (f" ({'; '.join(doubts)})" if doubts else "")
    elif share == 1:
        problem = f"the hole lies outside the faces ({where})"
    else:
        problem = f"{100 * share:.1f}% of the hole lie outside the faces ({where})"
    if covered > MOSTLY:
        problem += f"; the hole covers {100 * covered:.1f}% of the photograph, as if black and white were exchanged"
    return DataError(
        problem,
        "Give the box of the face (--box x,y,width,height[,tilt]), or fill what lies outside faces classically "
        "(--outside classical)",
    )
