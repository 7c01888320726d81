"""Where faces are in a picture: CenterFace, a small network, and five landmarks that say place, size and tilt.

CenterFace (Xu et al., 2019) gives each pixel of a quarter of the picture's size the likelihood that a face's centre is
there, the size of that face, and where its eyes, nose and corners of the mouth lie. Its file is part of this package
(``centerface/``, MIT licence) and is read by OpenCV. The frame of CelebA-HQ follows from eyes and mouth (Karras et
al., 2018, appendix C): so the networks see a face as they saw those that they learned from, at any angle.

What is looked at has no holes: they are filled with the membrane first.
"""

from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from faceinpaint.errors import CheckpointError

FILE = Path(__file__).parent / "centerface" / "centerface.onnx"
SHA256 = "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc"

STEP = 32
"""Sides that the network takes are multiples of this."""

OUTPUTS = ("537", "538", "539", "540")
"""Likelihood (1, 1, h, w); log of height and width of the face over 4; offset of the centre, down and across, in pixels
of the output; landmarks, down and across, in heights and widths of the face."""

LEAST = 0.15
"""Likelihood below which nothing is said of a place."""

LONGEST = 640
"""Side in pixels to which a picture is shrunk."""

SHARES = (1.0, 0.5, 0.25)
"""Sizes at which it is looked at then. Small ones show large faces, and faces of which much is filled, more clearly."""

LEAST_SIDE = 24
"""Pixels below which a picture shows no face."""

ZOOM = 96
"""Side in pixels that the frame of a tilted face has as it is looked at again, upright."""

STRAIGHT = 20
"""Degrees of tilt from which on it is."""

SURE, TURNED = 0.85, 0.75
"""A face that is as sure as the one as the picture lies is not looked for in turned pictures; one in a turned picture
must be as sure as the other, and surer than all before."""

_BACK = {0: [[1, 0, 0], [0, 1, 0]], 1: [[0, -1, 1], [1, 0, 0]], 2: [[-1, 0, 1], [0, -1, 1]], 3: [[0, 1, 0], [-1, 0, 1]]}
"""From a picture turned by so many quarters to the left to the picture; the last column in its sides."""

ENLARGED, LOWERED = 1.036, 0.008
"""The frame that the landmarks give is larger than CelebA-HQ's by the one, and its centre lower by the other, in sides:
medians over 150 training faces of the 256-pixel CelebAMask-HQ, taken out again (`tests/test_framing.py` measures again
where the faces are at hand)."""


@dataclass(frozen=True)
class Sight:
    """A face that was seen.

    Attributes:
        score: how sure the network is, 0 to 1.
        points: (5, 2) float: eyes, nose, corners of the mouth, in the picture of an upright head from left to right;
            across and down, in pixels counted from the picture's edge.

    >>> face = Sight(0.9, np.array([[40.0, 50], [60, 50], [50, 60], [43, 70], [57, 70]]))
    >>> [round(number) for number in face.frame]
    [50, 51, 77, 0]
    """

    score: float
    points: np.ndarray

    @functools.cached_property
    def frame(self) -> tuple[float, float, float, float]:
        """The square of CelebA-HQ around the face: centre across and down, side, and tilt clockwise in degrees."""
        left, right, _, *mouth = self.points
        eyes, between = (left + right) / 2, right - left
        up = eyes - np.mean(mouth, axis=0)
        side = max(4 * np.hypot(*between), 3.6 * np.hypot(*up), 1e-3) / ENLARGED
        x, y = between + np.array([-up[1], up[0]])  # along the eyes, and across the line from mouth to eyes
        tilt = np.arctan2(y, x)
        down = 0.1 * np.hypot(*up) - LOWERED * side
        place = eyes + down * np.array([-np.sin(tilt), np.cos(tilt)])
        return float(place[0]), float(place[1]), float(side), float(np.degrees(tilt))

    def mirrored(self, width: float) -> Sight:
        """The same in a picture that is so wide, mirrored."""
        return Sight(self.score, (self.points * [-1, 1] + [width, 0])[[1, 0, 2, 4, 3]])

    def moved(self, matrix: np.ndarray) -> Sight:
        """The same in other coordinates: (2, 3) ``matrix`` applied to its points."""
        return Sight(self.score, self.points @ matrix[:, :2].T + matrix[:, 2])


@functools.cache
def _network() -> cv2.dnn.Net:
    """CenterFace, read once.

    Raises:
        CheckpointError: its file is missing, or is not the one that it should be.
    """
    content = FILE.read_bytes() if FILE.is_file() else b""
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise CheckpointError("this is not the face detector of the package", "Install faceinpaint again", FILE)
    return cv2.dnn.readNetFromONNX(np.frombuffer(content, np.uint8))


_TURN = threading.Lock()
"""The network holds its input, so threads take turns."""


def look(picture: np.ndarray, least: float = LEAST) -> list[Sight]:
    """Faces of a picture (H, W, 3) RGB, 0..255, from some 20 pixels up to the whole picture; the surest first.

    >>> look(np.zeros((64, 64, 3), np.uint8))
    []
    """
    height, width = picture.shape[:2]
    padded = np.zeros((1, 3, -(-height // STEP) * STEP, -(-width // STEP) * STEP), np.float32)
    padded[0, :, :height, :width] = picture.transpose(2, 0, 1)
    network = _network()
    with _TURN:
        network.setInput(padded)
        outputs = network.forward(OUTPUTS)
    heat, size, offset, marks = (output[0] for output in outputs)
    heat = heat[0]
    peaks = np.argwhere((heat >= least) & (heat == cv2.dilate(heat, np.ones((3, 3), np.uint8))))
    found = []
    for y, x in peaks:
        extent = 4 * np.exp(np.clip(size[:, y, x], -5, 8))  # height and width
        corner = 4 * (np.array([y, x]) + offset[:, y, x] + 0.5) - extent / 2
        points = (marks[:, y, x].reshape(5, 2) * extent + corner)[:, ::-1]
        found.append(Sight(float(heat[y, x]), points.astype(np.float64)))
    return apart(found)


def apart(sights: Iterable[Sight]) -> list[Sight]:
    """Sights of the same face joined to their mean, the surest first; one that swallows surer faces is dropped.

    >>> points = np.array([[40.0, 50], [60, 50], [50, 60], [43, 70], [57, 70]])
    >>> len(apart([Sight(0.9, points), Sight(0.8, points + 1), Sight(0.7, points + 200)]))
    2
    """
    groups: list[list[Sight]] = []
    for sight in sorted(sights, key=lambda s: -s.score):
        x, y, side, _ = sight.frame
        for group in groups:
            u, v, other, _ = group[0].frame
            if np.hypot(x - u, y - v) < 0.3 * max(side, other):
                if 0.6 < side / other < 1.6 and np.abs(sight.points - group[0].points).max() < 0.4 * other:
                    group.append(sight)
                break
        else:
            groups.append([sight])
    joined = [
        Sight(group[0].score, np.average([s.points for s in group], axis=0, weights=[s.score**2 for s in group]))
        for group in groups
    ]
    return [sight for i, sight in enumerate(joined) if not any(_swallows(sight, surer) for surer in joined[:i])]


def _swallows(sight: Sight, other: Sight) -> bool:
    """Whether the face of one sight would hold the middle of a much smaller other one."""
    x, y, side, _ = sight.frame
    u, v, small, _ = other.frame
    return small < 0.6 * side and max(abs(x - u), abs(y - v)) < 0.35 * side


def search(picture: np.ndarray) -> list[Sight]:
    """Faces of a picture at any angle, the surest first.

    It is turned by quarters if no face is :data:`SURE` as it lies. In turned pictures a face is seen too, in the wrong
    place, and more so the less is left of it: there it is believed only if it is as sure as :data:`TURNED`.

    Args:
        picture: (H, W, 3) RGB, 0..255; nothing larger than :data:`LONGEST` is looked at.

    >>> search(np.full((64, 64, 3), 128, np.uint8))
    []
    """
    best = look_closely(picture)
    if best and best[0].score >= SURE:
        return best
    for turn in (1, 2, 3):
        turned = look_closely(picture, turn)
        if turned and turned[0].score >= max(TURNED, best[0].score if best else 0.0):
            best = turned
    return best


def look_closely(picture: np.ndarray, turn: int = 0) -> list[Sight]:
    """Faces of a picture turned by quarters to the left, looked for at several sizes, mirrored too.

    One that is tilted is looked at again, upright: the network learned from upright ones.

    >>> look_closely(np.full((64, 64, 3), 128, np.uint8), turn=1)
    []
    """
    scale = min(1.0, LONGEST / max(picture.shape[:2]))
    turned = np.rot90(picture, turn)
    height, width = turned.shape[:2]
    back = np.array(_BACK[turn], float) * [[1, 1, picture.shape[1]], [1, 1, picture.shape[0]]]
    found = []
    for share in SHARES:
        size = max(1, round(width * scale * share)), max(1, round(height * scale * share))
        if min(size) < LEAST_SIDE:
            continue
        view = cv2.resize(turned, size, interpolation=cv2.INTER_AREA)
        widen = np.array([[width / size[0], 0, 0], [0, height / size[1], 0]])
        for mirrored in (False, True):
            sights = look(view[:, ::-1] if mirrored else view)
            found += [(s.mirrored(size[0]) if mirrored else s).moved(widen).moved(back) for s in sights]
    base = -90.0 * turn  # of an upright head in the turned picture
    sights = []
    for sight in apart(found):
        lean = (sight.frame[3] + base + 180) % 360 - 180
        sights.append(_upright_look(picture, sight) if abs(lean) > STRAIGHT else sight)
    return apart(sights)


def _upright_look(picture: np.ndarray, sight: Sight) -> Sight:
    """The same face seen again, upright and of one size, mirrored too; as it was, less sure, if it is not seen."""
    x, y, side, tilt = sight.frame
    scale = side / ZOOM
    c, s = scale * np.cos(np.radians(tilt)), scale * np.sin(np.radians(tilt))
    matrix = np.array([[c, -s, x - ZOOM * (c - s)], [s, c, y - ZOOM * (s + c)]])
    cut = _cut(picture, matrix, 2 * ZOOM)  # two frames wide
    views = look(cut) + [view.mirrored(2 * ZOOM) for view in look(cut[:, ::-1])]
    near = [v for v in views if max(abs(v.frame[0] - ZOOM), abs(v.frame[1] - ZOOM)) < ZOOM / 3]
    return apart(near)[0].moved(matrix) if near else Sight(sight.score / 2, sight.points)


def _cut(picture: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """(side, side, 3) of a picture; ``matrix`` leads from there to the picture, both counted from the edge."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale > 1.5:  # shrunk first, so that it is averaged and not sampled
        size = max(1, round(picture.shape[1] / scale)), max(1, round(picture.shape[0] / scale))
        shrunk = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        matrix = matrix * np.array([[size[0] / picture.shape[1]], [size[1] / picture.shape[0]]])
        picture = shrunk
    centred = matrix.copy()
    centred[:, 2] += matrix[:, :2].sum(1) / 2 - 0.5  # OpenCV counts from the first pixel's centre
    return cv2.warpAffine(
        picture, centred, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )
