"""Drawn faces: parametric portraits with exact parsing maps, so that everything runs without a dataset.

``draw(seed, size)`` invents a person from the seed (pose, face shape, skin, hair, eyes, mouth, clothes, light,
background) and paints it layer by layer, back to front, at any size. Every layer is a signed distance ``d`` in
coordinates that do not depend on the size; the picture takes the layer's antialiased coverage, the parsing map
takes ``d < 0`` at the pixel's centre, so both show the same geometry and the map never mixes classes. The framing
follows CelebA-HQ: eyes a little above the middle, mouth at three quarters of the height, hair and neck visible.

The same seed gives the same picture on every platform: random numbers come from PCG64 alone, and the drawing uses
only operations that IEEE 754 rounds correctly (+ - * / and sqrt, in float64). Sines, powers and exponentials,
which differ between mathematics libraries, are replaced by rational functions and parabolas.

Frames (x to the right, y down, a picture spans [-1, 1] in both):
    body (bu, bv): image frame moved to the head and scaled, not rotated;
    head (u, v):   rotated with the head, origin between the cheeks just below the eyes;
    face (x, y):   the head frame shifted along the curved face when the head turns or nods; features are drawn
                   in it, and its rim coincides with the head's.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray as Array

from faceinpaint.data.cache import tracked
from faceinpaint.errors import ConfigError
from faceinpaint.regions import CLASSES

if TYPE_CHECKING:
    from faceinpaint.data.sets import FaceSet

SPLITS = ("train", "val", "test")
"""Splits of the drawn faces. Each has seeds of its own, so a face of one never appears in another."""

_LABEL = {name: np.uint8(number) for number, name in enumerate(CLASSES)}
_BLACK, _WHITE = np.zeros(3), np.ones(3)


# ---------------------------------------------------------------------------------------------- public functions


def draw(seed: int, size: int = 64) -> tuple[Array, Array]:
    """Draw one face.

    Args:
        seed: any integer >= 0; the same seed is the same person in the same picture at every size.
        size: side of the square picture in pixels, at least 16.

    Returns:
        Image (size, size, 3) uint8 RGB and parsing map (size, size) uint8 of official CelebAMask-HQ class ids.

    Raises:
        ConfigError: the seed is negative or the size below 16.
    """
    if seed < 0:
        raise ConfigError(f"the seed of a drawn face is {seed}", "Use an integer from 0 up")
    _check_size(size)
    rng = np.random.Generator(np.random.PCG64(seed))
    person = _Person(_Dice(rng))
    canvas = _Canvas(size, person)
    for layer in (
        _background, _hair_behind, _body, _ears, _head, _nose, _mouth, _eyes, _brows, _beard, _glasses,
        _hair_in_front, _hat, _earrings,
    ):  # fmt: skip
        layer(canvas, person)
    return canvas.picture(), canvas.labels


def toy_faces(count: int, size: int, split: str = "train", seed: int = 0, progress: bool = False) -> FaceSet:
    """Draw ``count`` faces of a split.

    Args:
        count: number of faces N, at least 1.
        size: side of the pictures in pixels.
        split: one of :data:`SPLITS`.
        seed: another seed gives other faces. Neither two seeds nor two splits share a face.
        progress: show a progress bar.

    Returns:
        The faces, ids ``toy-train-00000`` and up; a longer set begins with the shorter one.

    Raises:
        ConfigError: the split is unknown, the count below 1, or seed or size out of range.
    """
    from faceinpaint.data.sets import FaceSet

    seeds = _face_seeds(count, split, seed)
    _check_size(size)
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    labels = np.empty((count, size, size), dtype=np.uint8)
    for index, face_seed in enumerate(tracked(seeds, count, progress, "Drawing faces")):
        images[index], labels[index] = draw(face_seed, size)
    return FaceSet(
        images=images,
        labels=labels,
        ids=tuple(f"toy-{split}-{index:05d}" for index in range(count)),
        sha256=tuple(hashlib.sha256(image.tobytes()).hexdigest() for image in images),
        source=f"drawn faces (toy), {split}, seed {seed}",
    )


def _check_size(size: int) -> None:
    if size < 16:
        raise ConfigError(f"a drawn face of {size} pixels is too small", "Use a size of 16 pixels or more")


def _face_seeds(count: int, split: str, seed: int) -> range:
    """One seed for :func:`draw` per face: blocks of 2**32 seeds that no other (seed, split) uses."""
    if split not in SPLITS:
        raise ConfigError(f"unknown split {split!r} of the drawn faces", f"Use one of {', '.join(SPLITS)}")
    if count < 1 or count > 2**32:
        raise ConfigError(f"{count} drawn faces were asked for", "Ask for one face or more")
    if seed < 0:
        raise ConfigError(f"the seed of the drawn faces is {seed}", "Use an integer from 0 up")
    first = (seed * len(SPLITS) + SPLITS.index(split)) * 2**32
    return range(first, first + count)


# ---------------------------------------------------------------------------------- small exact building blocks


def _clip(x: Array, lo: float = 0.0, hi: float = 1.0) -> Array:
    return np.minimum(np.maximum(x, lo), hi)


def _ramp(x: Array, lo: float, hi: float) -> Array:
    """Smooth step from 0 at ``lo`` to 1 at ``hi``."""
    t = _clip((x - lo) * (1.0 / (hi - lo)))
    return t * t * (3.0 - 2.0 * t)


def _bump(q: Array) -> Array:
    """Soft hill of a squared radius: 1 at q = 0, 0 from q = 1 on."""
    t = np.maximum(1.0 - q, 0.0)
    return t * t


def _hill(x: Array, y: Array, cx: float, cy: float, rx: float, ry: float) -> Array:
    """Soft elliptic hill around (cx, cy)."""
    dx, dy = (x - cx) * (1.0 / rx), (y - cy) * (1.0 / ry)
    return _bump(dx * dx + dy * dy)


def _ellipse(x: Array, y: Array, rx: float, ry: float) -> Array:
    """Distance to an ellipse around 0, to first order near its edge."""
    dx, dy = x * (1.0 / rx), y * (1.0 / ry)
    radius = np.sqrt(dx * dx + dy * dy)
    dx, dy = dx * (1.0 / rx), dy * (1.0 / ry)
    steepness = np.sqrt(dx * dx + dy * dy) + 1e-9
    return (radius - 1.0) * ((radius + 1e-9 * min(rx, ry)) / steepness)


def _rounded_box(x: Array, y: Array, rx: float, ry: float, corner: float) -> Array:
    qx, qy = np.abs(x) - (rx - corner), np.abs(y) - (ry - corner)
    ox, oy = np.maximum(qx, 0.0), np.maximum(qy, 0.0)
    return np.sqrt(ox * ox + oy * oy) + np.minimum(np.maximum(qx, qy), 0.0) - corner


def _both(a: Array, b: Array, soft: float) -> Array:
    """Intersection of two shapes with a corner rounded over ``soft``."""
    h = np.maximum(soft - np.abs(a - b), 0.0)
    return np.maximum(a, b) + h * h * (0.25 / soft)


def _either(a: Array, b: Array, soft: float) -> Array:
    """Union of two shapes with a corner filled over ``soft``."""
    h = np.maximum(soft - np.abs(a - b), 0.0)
    return np.minimum(a, b) - h * h * (0.25 / soft)


def _wave(x: Array) -> Array:
    """Period 1, between -1 and 1: a sine made of parabolas."""
    w = (x - np.floor(x)) * 2.0 - 1.0
    return 4.0 * w * (1.0 - np.abs(w))


_CELLS, _STEPS = 32, 16
_TEXELS = _CELLS * _STEPS


@cache
def _noise_table() -> Array:
    """Value noise of 32x32 cells, periodic, smooth, in [-1, 1], flat (512 * 512,)."""
    rng = np.random.Generator(np.random.PCG64(20210824))
    lattice = rng.random((_CELLS, _CELLS)) * 2.0 - 1.0
    t = (np.arange(_STEPS) + 0.5) / _STEPS
    t = t * t * (3.0 - 2.0 * t)
    rows = lattice[:, None, :] * (1.0 - t)[:, None] + np.roll(lattice, -1, axis=0)[:, None, :] * t[:, None]
    rows = rows.reshape(_TEXELS, _CELLS)
    table = rows[:, :, None] * (1.0 - t) + np.roll(rows, -1, axis=1)[:, :, None] * t
    return table.reshape(-1)


def _noise(x: Array, y: Array) -> Array:
    """Smooth noise in [-1, 1] that changes over a length of about 1; x and y above -64."""
    ix = ((x + 64.0) * _STEPS).astype(np.intp) & (_TEXELS - 1)
    iy = ((y + 64.0) * _STEPS).astype(np.intp) & (_TEXELS - 1)
    return _noise_table().take(iy * _TEXELS + ix)


def _noise_field(x: Array, y: Array) -> Array:
    """The same noise on the grid of the vectors x and y, interpolated: for changes slow enough to show steps."""
    fx, fy = (x + 64.0) * _STEPS, (y + 64.0) * _STEPS
    ix, iy = np.floor(fx), np.floor(fy)
    table = _noise_table().reshape(_TEXELS, _TEXELS)
    left, up = ix.astype(np.intp) & (_TEXELS - 1), iy.astype(np.intp) & (_TEXELS - 1)
    right, down = (left + 1) & (_TEXELS - 1), (up + 1) & (_TEXELS - 1)
    rows = _mix(table[up], table[down], (fy - iy)[:, None])
    return _mix(rows[:, left], rows[:, right], fx - ix)


class _Dice:
    """The random stream of one face; everything comes from uniform numbers in [0, 1)."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.roll = rng.random

    def span(self, lo: float, hi: float) -> float:
        return lo + (hi - lo) * self.roll()

    def bell(self, lo: float, hi: float) -> float:
        """Between lo and hi, mostly near the middle."""
        return lo + (hi - lo) * (self.roll() + self.roll() + self.roll()) / 3.0

    def chance(self, probability: float) -> bool:
        return self.roll() < probability

    def pick(self, choices, weights=None):
        if weights is None:
            return choices[int(self.roll() * len(choices))]
        total = 0.0
        for weight in weights:  # not sum(), which rounds differently from Python 3.12 on
            total += weight
        left = self.roll() * total
        for choice, weight in zip(choices, weights, strict=True):
            left -= weight
            if left < 0:
                return choice
        return choices[-1]


def _rgb(code: str) -> Array:
    return np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255.0


def _colours(codes: str) -> tuple[Array, ...]:
    return tuple(_rgb(code) for code in codes.split())


def _mix(a: Array, b: Array, t: float | Array) -> Array:
    return a + (b - a) * t


# -------------------------------------------------------------------------------------------------- the person

_SKINS = _colours("#f3cfb8 #efc4a6 #e9bb98 #e3ad86 #dba27c #cf9468 #bf8258 #a96e48 #8f5a3a #754731 #5c3828")
_HAIRS = {
    "black": "#1d1a1e", "espresso": "#2c1d18", "brown": "#4a2f20", "chestnut": "#6b3f26", "auburn": "#7f3a22",
    "copper": "#ad5226", "honey": "#a9763c", "blond": "#cfa564", "platinum": "#e2cfa6", "grey": "#8d8a8a",
    "white": "#cfcac4", "rose": "#b8647c", "teal": "#2f6f78",
}  # fmt: skip
_IRISES = _colours("#3b2416 #5a3620 #7a5a2c #5f7a46 #4b7fa6 #6b94a8 #8aa0a6")
_CLOTHES = _colours(
    "#22304a #7c2f38 #2f5d50 #d9d4cb #c9803f #3c3c44 #8fa8bf #b9566b #e0b64c #5d4a7a #f1eee8 #4f7f9b "
    "#181a20 #9b8468 #6e8b5a"
)
_GROUNDS = (
    ("#8fb3c9", "#dfe9ec"), ("#c8b6a0", "#efe6d8"), ("#39424e", "#7b8794"), ("#6d8b74", "#cfdccb"),
    ("#b98b73", "#ecd3bf"), ("#5b4b6e", "#b7a6c9"), ("#d9a441", "#f6e3b4"), ("#31505a", "#8fb7b3"),
    ("#9c4a4a", "#e3b3a1"), ("#bfc4c9", "#f2f3f2"), ("#1f2733", "#4d5b70"), ("#7d9bd1", "#dbe6f7"),
)  # fmt: skip


@dataclass(frozen=True)
class _Style:
    """A hair cut. Lengths in units of the head frame (the face is about 1.05 wide and 1.5 high)."""

    name: str
    soft: float  # how often, for a person with soft features
    hard: float  # how often, for a person with hard features
    top: tuple[float, float]  # thickness above the skull
    side: tuple[float, float]  # thickness beside the skull
    length: tuple[float, float]  # v where the hair ends
    hairline: tuple[float, float]  # y of the hairline at the parting
    fall: tuple[float, float]  # slope of the hairline away from the parting
    inner: tuple[float, float]  # half-width of the opening at the temples
    flow: str = "drape"  # how strands run: drape, back, fringe, curl, stubble
    part: float = 0.0  # largest distance of the parting from the middle
    curl: float = 0.0  # height of curls on the outline
    wave: float = 0.0  # height of waves on long outlines
    flare: float = 0.0  # growth of the width downwards
    extra: str = ""  # bun, tail
    thin: float = 1.0  # opacity


_STYLES = (
    _Style("long", 5, 0.3, (0.06, 0.11), (0.07, 0.13), (1.1, 1.6), (-0.62, -0.56), (0.45, 0.8), (0.43, 0.48),
           part=0.10, flare=0.10),
    _Style("long side", 5, 0.3, (0.08, 0.13), (0.08, 0.14), (1.0, 1.6), (-0.62, -0.56), (0.3, 0.55), (0.43, 0.50),
           part=0.26, wave=0.015, flare=0.12),
    _Style("wavy", 5, 0.3, (0.09, 0.15), (0.12, 0.18), (0.9, 1.6), (-0.60, -0.54), (0.35, 0.7), (0.42, 0.48),
           part=0.2, wave=0.045, flare=0.14),
    _Style("tucked", 4, 0.5, (0.05, 0.09), (0.04, 0.08), (1.0, 1.6), (-0.62, -0.56), (0.30, 0.5), (0.54, 0.58),
           part=0.15, flare=0.16),
    _Style("bob", 4, 0.2, (0.07, 0.11), (0.09, 0.14), (0.42, 0.66), (-0.60, -0.54), (0.4, 0.7), (0.42, 0.47),
           part=0.22, flare=0.06),
    _Style("fringe", 4, 0.3, (0.07, 0.12), (0.08, 0.13), (0.5, 1.5), (-0.36, -0.31), (-0.04, 0.06), (0.42, 0.46),
           flow="fringe", flare=0.08),
    _Style("bun", 3, 0.3, (0.03, 0.06), (0.015, 0.035), (-0.02, 0.06), (-0.60, -0.54), (0.05, 0.2), (0.47, 0.50),
           flow="back", extra="bun"),
    _Style("ponytail", 3, 0.2, (0.03, 0.07), (0.015, 0.035), (-0.02, 0.06), (-0.60, -0.54), (0.05, 0.25),
           (0.47, 0.50), flow="back", extra="tail"),
    _Style("pixie", 2, 1, (0.07, 0.12), (0.03, 0.06), (0.05, 0.14), (-0.50, -0.42), (0.10, 0.4), (0.44, 0.47),
           flow="drape", part=0.3),
    _Style("curls", 3, 2, (0.12, 0.2), (0.10, 0.18), (0.1, 0.9), (-0.54, -0.46), (0.1, 0.4), (0.43, 0.47),
           flow="curl", curl=0.05, part=0.2, flare=-0.04),
    _Style("afro", 2, 2, (0.18, 0.27), (0.14, 0.24), (0.15, 0.4), (-0.56, -0.50), (0.0, 0.2), (0.46, 0.49),
           flow="curl", curl=0.03, flare=-0.42),
    _Style("crop", 0.2, 5, (0.05, 0.10), (0.01, 0.03), (0.0, 0.12), (-0.58, -0.48), (0.0, 0.12), (0.47, 0.50),
           flow="fringe", curl=0.012),
    _Style("side cut", 0.2, 5, (0.08, 0.13), (0.01, 0.03), (0.0, 0.12), (-0.58, -0.52), (0.02, 0.18),
           (0.47, 0.50), part=0.3),
    _Style("quiff", 0.1, 4, (0.14, 0.2), (0.01, 0.03), (0.0, 0.12), (-0.60, -0.54), (0.0, 0.12), (0.47, 0.50),
           flow="back", curl=0.015, part=0.15),
    _Style("short curls", 0.5, 3, (0.08, 0.14), (0.03, 0.05), (0.0, 0.1), (-0.56, -0.48), (0.0, 0.15),
           (0.47, 0.50), flow="curl", curl=0.035),
    _Style("buzz", 0.2, 3, (0.015, 0.03), (0.005, 0.012), (0.0, 0.1), (-0.60, -0.52), (0.0, 0.1), (0.48, 0.50),
           flow="stubble", thin=0.82),
    _Style("receding", 0, 2, (0.01, 0.03), (0.02, 0.04), (0.02, 0.12), (-0.78, -0.68), (0.15, 0.45),
           (0.48, 0.50), flow="back", thin=0.92),
    _Style("bald", 0.1, 1.2, (0.0, 0.0), (0.0, 0.0), (0.0, 0.0), (-2.0, -2.0), (0.0, 0.0), (0.5, 0.5), thin=0.0),
)  # fmt: skip


class _Person:
    """Everything about one picture that does not depend on its size, drawn in this order from the dice."""

    def __init__(self, dice: _Dice) -> None:
        span, bell, chance, pick = dice.span, dice.bell, dice.chance, dice.pick
        # Pose: roll as the tangent of half the angle; yaw and pitch as shifts of the face's middle.
        self.roll, self.scale = bell(-0.13, 0.13), span(1.0, 1.11)
        self.cx, self.cy = bell(-0.06, 0.06), bell(0.0, 0.07)
        self.yaw, self.pitch = bell(-0.19, 0.19), bell(-0.07, 0.07)
        # Light from a side and above.
        side = -1.0 if chance(0.5) else 1.0
        self.light = (side * span(0.25, 0.95), -span(0.15, 0.6))
        self.contrast, self.warmth = span(0.55, 1.0), span(-1.0, 1.0)
        # Who it is: soft to hard features, and age.
        self.soft = dice.roll()
        hardness = 1.0 - self.soft
        self.age = dice.roll() * dice.roll()
        skin = dice.roll() * (len(_SKINS) - 1)
        tone = int(skin)
        self.skin = _mix(_SKINS[tone], _SKINS[tone + 1], skin - tone) * (1.0 + span(-0.02, 0.02))
        self.dark_skin = skin / (len(_SKINS) - 1)
        self.freckles = chance(0.2) and self.dark_skin < 0.5
        self.patches = (span(0.0, 30.0), span(0.0, 30.0))  # where in the noise this face's texture begins
        # Face shape.
        self.width = bell(0.47, 0.56)
        self.crown, self.chin = bell(0.76, 0.84), bell(0.65, 0.75)
        self.taper, self.square = bell(0.0, 0.17) + 0.05 * self.soft, bell(0.1, 0.6) + 0.25 * hardness
        self.cheeks = span(0.0, 1.0)
        # Hair.
        weights = [s.soft * self.soft + s.hard * hardness for s in _STYLES]
        self.style = style = pick(_STYLES, weights)
        self.top, self.side, self.length = span(*style.top), span(*style.side), span(*style.length)
        self.hairline, self.fall = span(*style.hairline), (span(*style.fall), span(*style.fall))
        self.inner, self.part = span(*style.inner), span(-style.part, style.part)
        self.sweep = span(-1.0, 1.0)
        natural = ("black", "espresso", "brown", "chestnut", "auburn", "copper", "honey", "blond", "platinum")
        fair = 1.0 - self.dark_skin
        common = (3.0, 2.5, 2.5, 2.0 * fair, 1.0 * fair, 1.2 * fair, 1.4 * fair, 1.8 * fair, 0.8 * fair)
        name = pick(natural, common)
        if self.age > 0.45 and chance(0.8):
            name = pick(("grey", "white"))
        elif chance(0.05):
            name = pick(("rose", "teal"))
        self.hair = _rgb(_HAIRS[name]) * (1.0 + span(-0.08, 0.08))
        # Eyes.
        self.eye_x, self.eye_y = bell(0.215, 0.255), bell(-0.11, -0.06)
        self.eye_w, self.eye_h = bell(0.098, 0.124), bell(0.036, 0.060) + 0.006 * self.soft
        self.eye_tilt, self.iris_r = bell(-0.16, 0.06), bell(0.047, 0.056)
        dark_eyes = (3 + 6 * self.dark_skin, 3 + 3 * self.dark_skin, 1.5, fair, 2 * fair, 1.5 * fair, 0.7 * fair)
        self.iris = pick(_IRISES, dark_eyes)
        self.gaze = (bell(-0.03, 0.03), bell(-0.010, 0.012))
        self.lashes = 0.008 + 0.010 * self.soft
        self.shadow = pick(_CLOTHES) if self.soft > 0.5 and chance(0.35) else None
        # Brows.
        self.brow_y, self.brow_h = bell(-0.168, -0.130), bell(0.014, 0.023) + 0.010 * hardness
        self.brow_arch, self.brow_tilt = bell(0.01, 0.06), bell(-0.012, 0.03)
        # Nose.
        self.nose_w, self.nose_y = bell(0.105, 0.145) + 0.02 * self.dark_skin, bell(0.23, 0.29)
        self.bridge = bell(0.036, 0.054)
        # Mouth.
        self.mouth_y = self.nose_y + bell(0.15, 0.20)
        self.mouth_w, self.smile = bell(0.16, 0.22), bell(-0.01, 0.075)
        self.lips = (bell(0.030, 0.048) + 0.008 * self.soft, bell(0.044, 0.066) + 0.008 * self.soft)
        self.gap = 0.0
        if chance(0.45):  # an open smile
            self.smile, self.gap = span(0.035, 0.085), span(0.03, 0.085)
            self.mouth_w += 0.02
        natural_lip = _mix(self.skin * np.array([0.84, 0.60, 0.58]), _rgb("#c2606a"), 0.30 * fair)
        painted = pick(_colours("#b3202f #c2435a #8e2340 #d9697a #b5554a"))
        self.lip = _mix(natural_lip, painted, span(0.4, 0.8) if self.soft > 0.5 and chance(0.5) else 0.0)
        # Beard: none, stubble, moustache, goatee, full.
        self.beard = pick(("none", "stubble", "moustache", "goatee", "full"), (5, 4, 1, 1.2, 3))
        if self.soft > 0.45:
            self.beard = "none"
        # Body.
        self.neck = bell(0.25, 0.31) + 0.07 * hardness
        self.shoulder, self.slope = bell(0.74, 0.82), bell(0.10, 0.30)
        self.collar = pick(("crew", "vee", "shirt", "turtle", "scoop", "jacket"))
        self.cloth, self.cloth2 = pick(_CLOTHES), pick(_CLOTHES)
        self.weave = pick(("plain", "plain", "stripes", "knit", "check"))
        self.necklace = self.soft > 0.4 and self.collar in ("vee", "scoop") and chance(0.45)
        # Things worn.
        self.glasses = pick(("none", "round", "square", "thin", "sun"), (12, 1, 1.2, 0.9, 0.7))
        self.frame = pick(_colours("#1b1a1c #4a2c1a #7d2a2f #b08d4a #2c3e63"))
        self.hat = pick(("none", "beanie", "cap", "brim"), (14, 0.8, 0.6, 0.6))
        self.hat_colour = pick(_CLOTHES)
        if self.hat != "none":
            self.top, self.side = min(self.top, 0.08), min(self.side, 0.12)
        self.earrings = pick(("none", "stud", "hoop", "drop"), (6, 1.5, 1.0, 1.0)) if self.soft > 0.35 else "none"
        self.gem = pick(_colours("#e8c66a #dfe3e8 #3fa08c #c8385a"))
        # Background.
        self.ground = pick(("studio", "bokeh", "outdoors", "room", "leaves"))
        dark, bright = pick(_GROUNDS)
        self.ground_dark, self.ground_light = _rgb(dark), _rgb(bright)
        self.spots = [(span(-1.1, 1.1), span(-1.1, 0.8), span(0.08, 0.28), span(0.10, 0.45)) for _ in range(14)]


# -------------------------------------------------------------------------------------------------- the canvas

Window = tuple[slice, slice]


class _Canvas:
    """Picture and map under the brush, with the three frames evaluated at the pixel centres."""

    def __init__(self, size: int, person: _Person) -> None:
        p = person
        self.size, self.scale = size, p.scale
        self.image = np.zeros((3, size, size))
        self.labels = np.zeros((size, size), dtype=np.uint8)
        self.pixel = 2.0 / (size * p.scale)
        self.fine = min(1.0, size / 256.0)  # how much of the finest texture the pixels can carry
        grid = (np.arange(size) + 0.5) * (2.0 / size) - 1.0
        self.grid = grid
        bu, bv = (grid - p.cx) / p.scale, (grid - p.cy) / p.scale
        n = 1.0 + p.roll * p.roll
        self.cos, self.sin = (1.0 - p.roll * p.roll) / n, 2.0 * p.roll / n
        self.cx, self.cy = p.cx, p.cy
        self.u = self.cos * bu[None, :] + self.sin * bv[:, None]
        self.v = self.cos * bv[:, None] - self.sin * bu[None, :]
        self.yaw, self.pitch = p.yaw, p.pitch
        du, dv = self.u * (1.0 / p.width), self.v * (1.0 / p.chin)
        self.x = self.u - p.yaw * np.maximum(1.0 - du * du, 0.0)
        self.y = self.v - p.pitch * np.maximum(1.0 - dv * dv, 0.0)
        # The neck stands below the head, half as far aside as a rigid rotation would carry it.
        self.bu, self.bv = bu + 0.35 * self.sin, bv
        self.face_at = self.window(-p.width - 0.06, p.width + 0.06, -p.crown - 0.03, p.chin + 0.03)
        self.face_cover = self.cover(_outline(p, self.u[self.face_at], self.v[self.face_at]))

    def window(self, u0: float, u1: float, v0: float, v1: float) -> Window:
        """Pixels that may fall into a box of the head frame."""
        us, vs = (u0, u1, u0, u1), (v0, v0, v1, v1)
        xs = [self.cx + self.scale * (self.cos * u - self.sin * v) for u, v in zip(us, vs, strict=True)]
        ys = [self.cy + self.scale * (self.sin * u + self.cos * v) for u, v in zip(us, vs, strict=True)]
        return self.pixels(min(ys), max(ys)), self.pixels(min(xs), max(xs))

    def face_window(self, x0: float, x1: float, y0: float, y1: float) -> Window:
        """Pixels that may fall into a box of the face frame."""
        yaw, pitch = self.yaw, self.pitch
        return self.window(x0 + min(yaw, 0), x1 + max(yaw, 0), y0 + min(pitch, 0), y1 + max(pitch, 0))

    def pixels(self, lo: float, hi: float) -> slice:
        """Rows or columns that an interval of the image frame may touch."""
        half = self.size / 2.0
        return slice(max(int((lo + 1.0) * half) - 2, 0), max(min(int((hi + 1.0) * half) + 3, self.size), 0))

    def touched(self, d: Array) -> Window:
        """The smallest window of the whole picture that holds a shape."""
        near = d < self.pixel
        rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        if not rows.size:
            return slice(0, 0), slice(0, 0)
        return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)

    def cover(self, d: Array, blur: float = 1.0) -> Array:
        """How much of a pixel a shape covers, 0..1, from its distance; ``blur`` widens the edge."""
        return _clip(0.5 - d * (1.0 / (self.pixel * blur)))

    def paint(self, at: Window, d: Array, colour: Array, label: str = "", opacity: Array | float = 1.0) -> None:
        """Lay a shape over the picture and, where ``d < 0``, into the map.

        Args:
            colour: (3,) or (3, h, w) in 0..1.
            label: class name; empty when the shape belongs to the class beneath it.
        """
        self.tint(at, self.cover(d) * opacity, colour)
        if label:
            self.labels[at][d < 0] = _LABEL[label]

    def tint(self, at: Window, alpha: Array, colour: Array) -> None:
        """Mix a colour into the picture without touching the map."""
        part = self.image[:, at[0], at[1]]
        change = (colour if colour.ndim == 3 else colour[:, None, None]) - part
        change *= alpha
        part += change

    def picture(self) -> Array:
        """(size, size, 3) uint8."""
        rounded = np.rint(_clip(self.image) * 255.0).astype(np.uint8)
        return np.ascontiguousarray(rounded.transpose(1, 2, 0))


def _toned(base: Array, tone: Array, dark: Array, light: Array) -> Array:
    """Colour (3, h, w) of a surface: ``dark`` at tone -1, ``base`` at 0, ``light`` at 1."""
    colour = _clip(tone) * (light - base)[:, None, None]
    colour += base[:, None, None]
    colour += _clip(-tone) * (dark - base)[:, None, None]
    return colour


def _skin(p: _Person, tone: Array) -> Array:
    """Skin colour for a tone in [-1, 1]."""
    warm = np.array([0.03, 0.0, -0.03]) * p.warmth
    dark = p.skin * np.array([0.56, 0.44, 0.40])
    light = _mix(p.skin, np.array([1.0, 0.95, 0.88]), 0.55) + warm
    return _toned(p.skin, tone * p.contrast, dark, light)


def _skin_texture(c: _Canvas, p: _Person, u: Array, v: Array) -> Array:
    """Mottling and pores, about -0.1 to 0.1 in tone."""
    ox, oy = p.patches
    coarse = _noise(u * 9.0 + ox, v * 9.0 + oy)
    fine = _noise(u * 34.0 + oy, v * 34.0 + ox)
    return 0.03 * coarse + (0.025 + 0.03 * c.fine) * fine


# ------------------------------------------------------------------------------------- layers, back to front


def _background(c: _Canvas, p: _Person) -> None:
    """A studio wall, lights out of focus, a horizon, a room or foliage, darker in the corners."""
    x, y = c.grid[None, :], c.grid[:, None]
    dark, light = p.ground_dark[:, None, None], p.ground_light[:, None, None]
    ox, oy = p.patches
    soft = _noise_field(c.grid * 1.7 + ox, c.grid * 1.7 + oy)
    lx, _ = p.light
    if p.ground == "studio":
        gx, gy = x - 0.3 * lx, y + 0.2
        t = 1.0 - 0.55 * (gx * gx + gy * gy) + 0.10 * soft
    elif p.ground == "outdoors":
        horizon = 0.15 + 0.12 * soft
        t = 0.95 - 0.25 * (y + 1.0) - 0.55 * _ramp(y - horizon, -0.12, 0.12)
    elif p.ground == "room":
        panel = _wave(x * 0.55 + ox) + 0.35 * _wave(x * 1.9 + oy)
        t = 0.45 + 0.22 * _ramp(panel, -0.25, 0.25) - 0.12 * y + 0.08 * soft
        sill = _ramp(y - 0.45, -0.03, 0.03)
        t = t - 0.15 * sill
    elif p.ground == "leaves":
        t = 0.45 + 0.3 * soft + 0.22 * _noise_field(c.grid * 4.0 + oy, c.grid * 4.0 + ox)
    else:
        t = 0.25 - 0.15 * y + 0.15 * soft
    full = (slice(None), slice(None))
    c.image[:] = dark + _clip(t) * (light - dark)
    if p.ground in ("bokeh", "leaves", "outdoors"):
        few = p.spots if p.ground == "bokeh" else p.spots[:7]
        for sx, sy, r, strength in few:
            at = (c.pixels(sy - r * 1.3, sy + r * 1.3), c.pixels(sx - r * 1.3, sx + r * 1.3))
            dx, dy = c.grid[at[1]][None, :] - sx, c.grid[at[0]][:, None] - sy
            ring = np.sqrt(dx * dx + dy * dy) * (1.0 / r)
            disc = 1.0 - _ramp(ring, 0.75, 1.05)
            c.tint(at, disc * (strength * (0.55 + 0.45 * _clip(ring))), _mix(p.ground_light, _WHITE, 0.45))
    c.tint(full, 0.28 * _clip(0.5 * (x * x + y * y) - 0.3), _BLACK)


_SKULL = 0.36
"""How square the skull is, 0 = elliptic."""


def _outline(p: _Person, u: Array, v: Array) -> Array:
    """Distance to the head's outline, skull to chin."""
    down = _clip(v * (1.0 / p.chin))
    half = p.width * (1.0 - p.taper * (down * down * (3.0 - 2.0 * down)))
    du = (u - 0.45 * p.yaw * down * down) / half
    dv = v * np.where(v < 0, 1.0 / p.crown, 1.0 / p.chin)
    uu, vv = du * du, dv * dv
    square = np.where(v < 0, _SKULL, p.square * p.square)
    return (np.sqrt(np.maximum(uu + vv - square * uu * vv, 0.0)) - 1.0) * p.width


def _hair_shape(p: _Person, u: Array, v: Array) -> tuple[Array, Array]:
    """Distance to the outer outline of the hair without its lower end, and the normalised radius inside it."""
    style = p.style
    below = np.maximum(v + 0.1, 0.0)
    lean = u - (0.10 * p.sweep * np.maximum(-0.45 - v, 0.0) if style.name == "quiff" else 0.0)
    half = p.width + p.side + (style.flare if p.length > 0.2 else -0.45) * below
    if style.wave:
        half = half + style.wave * _wave(v * 2.3 + p.patches[0]) * _ramp(v, -0.5, 0.3)
    radius_v = np.minimum(v + 0.1, 0.0) * (1.0 / (p.crown - 0.1 + p.top))
    du = lean / half
    uu, vv = du * du, radius_v * radius_v
    rho = np.sqrt(np.maximum(uu + vv - _SKULL * uu * vv, 0.0))
    d = (rho - 1.0) * (p.width + p.side)
    if style.curl and p.hat == "none":
        ox, oy = p.patches
        k = 9.0 if style.curl > 0.02 else 22.0
        d = d + style.curl * _noise(u * k + ox, v * k + oy)
    return d, rho


def _hair_colour(c: _Canvas, p: _Person, u: Array, v: Array, rho: Array, depth: float) -> Array:
    """Strands, halo and light; ``depth`` darkens hair that lies further back."""
    ox, oy = p.patches
    flow = p.style.flow
    if flow == "stubble":
        strand = 0.5 * _noise(u * 30.0 + ox, v * 30.0 + oy) + 0.7 * c.fine * _noise(u * 70.0 + oy, v * 60.0 + ox)
        halo, seam = 0.0, 0.0
    elif flow == "curl":
        # Curls are embossed: noise minus itself a little further from the light.
        lx, ly = p.light
        x, y = u * 13.0 + ox, v * 13.0 + oy
        strand = 0.9 * (_noise(x, y) - _noise(x - 0.45 * lx, y - 0.45 * ly))
        x, y = u * 26.0 + oy, v * 26.0 + ox
        strand = strand + (0.3 + 0.45 * c.fine) * (_noise(x, y) - _noise(x - 0.5 * lx, y - 0.5 * ly))
        halo = 0.0
    else:
        seam = 0.0
        if flow == "drape":
            du, dv = (u - p.part) * 1.35, np.minimum(v + 0.25, 0.0)
            across, along = np.sqrt(du * du + dv * dv) * np.where(du < 0, -1.0, 1.0), v
            seam = _bump(du * du * 60.0) * _ramp(-v, 0.25, 0.45)
        elif flow == "back":
            dv = v + 0.05
            r = np.sqrt(u * u + dv * dv)
            across, along = u / (r + 0.05) * 1.2, r
        else:
            across, along = u / (1.35 + 0.5 * v), v
        if p.style.wave:
            across = across + 0.6 * p.style.wave * _wave(v * 2.3 + p.patches[0])
        strand = 0.62 * _noise(across * 17.0 + ox, along * 1.6 + oy)
        strand = strand + (0.25 + 0.35 * c.fine) * _noise(across * 52.0 + oy, along * 2.6 + ox)
        strand = strand * (1.0 - seam) - 0.6 * seam
        ring = (rho - 0.86 + 0.03 * strand) * (1.0 / 0.13)
        halo = _bump(ring * ring) * (0.75 + 0.35 * strand) * _ramp(-v, -0.1, 0.35)
        lx, _ = p.light
        halo = halo * (0.65 + 0.5 * _clip(u * (1.6 * lx), -1.0, 1.0))
    lx, ly = p.light
    half = p.width + p.side
    side = u * (1.0 / half)
    form = 0.6 * _clip(side * lx, -0.8, 0.8) + 0.55 * np.minimum(v + 0.1, 0.0) * ly - 0.05
    rim = 0.35 * _ramp(rho, 0.9, 1.02)
    tone = form + 0.42 * strand + 0.8 * halo - rim - depth
    dark = p.hair * 0.36
    light = _mix(p.hair, np.array([1.0, 0.93, 0.82]), 0.42) + 0.04
    return _toned(p.hair, tone, dark, light)


def _hair_behind(c: _Canvas, p: _Person) -> None:
    """Hair behind neck and shoulders; bun and ponytail."""
    if p.style.thin == 0.0:
        return
    if p.style.extra == "bun" and p.hat == "none":
        bun_v = -p.crown - p.top + 0.02
        bun_u = 0.06 * p.sweep
        at = c.window(bun_u - 0.3, bun_u + 0.3, bun_v - 0.3, bun_v + 0.3)
        u, v = c.u[at], c.v[at]
        d = _ellipse(u - bun_u, v - bun_v, 0.25, 0.19) + 0.010 * _noise(u * 12.0, v * 12.0 + 9.0)
        rho = np.sqrt((u - bun_u) ** 2 + (v - bun_v) ** 2) * 4.0
        c.paint(at, d, _hair_colour(c, p, (u - bun_u) * 2.0, (v - bun_v) * 2.5, rho, 0.0), "hair")
    if p.style.extra == "tail":
        side = 1.0 if p.sweep > 0 else -1.0
        at = c.window(-1.1, 1.1, -0.3, 1.2)
        u, v = c.u[at] * side, c.v[at]
        bend = 0.50 + 0.10 * _wave(v * 0.45 + 0.1)
        d = np.abs(u - bend) - 0.13 * _ramp(v, -0.45, 0.35) * (1.0 - 0.5 * _ramp(v, 0.5, 1.1))
        d = np.maximum(d, -0.25 - v)
        c.paint(at, d, _hair_colour(c, p, u - bend + 0.45, v, 0.8 + 0.0 * u, 0.35), "hair")
    if p.length < 0.2 and p.style.flow != "curl":
        return
    d, rho = _hair_shape(p, c.u, c.v)
    d = _both(d, _hair_end(c, p, c.u, c.v), 0.18)
    at = c.touched(d)
    c.paint(at, d[at], _hair_colour(c, p, c.u[at], c.v[at], rho[at], 0.45), "hair")


def _hair_end(c: _Canvas, p: _Person, u: Array, v: Array) -> Array:
    """Distance below the lower end of the hair, with uneven tips."""
    return v - p.length + 0.03 * _noise(u * 16.0 + p.patches[1], 0.5 * v + 3.0)


def _body(c: _Canvas, p: _Person) -> None:
    """Neck, shoulders, clothes, necklace."""
    at = c.window(-2.5, 2.5, 0.25, 2.5)
    at = (at[0], slice(0, c.size))
    u, v = np.meshgrid(c.bu, c.bv[at[0]])
    shoulders = (p.shoulder + 0.9 * p.slope * u * u - v) * 0.8
    side = np.abs(u)
    throat = side - p.neck - 0.10 * _ramp(v, 0.6, 1.0)
    d = _either(np.maximum(throat, 0.2 - v), shoulders, 0.22)
    lx, _ = p.light
    chin = _outline(p, c.u[at] + 0.10 * lx, c.v[at] - 0.10)
    tone = 0.7 * _clip(u * (1.0 / p.neck), -1.0, 1.0) * lx - 0.28 - 0.55 * (1.0 - _ramp(chin, -0.10, 0.09))
    tendon = _bump(((side - 0.13 - 0.14 * (0.95 - v)) * 14.0) ** 2) * 0.12
    tone = tone + tendon - 0.15 * _bump((u * 6.0) ** 2 + ((v - 0.92) * 9.0) ** 2)
    tone = tone + _skin_texture(c, p, u, v) - 0.25 * _ramp(d, -0.09, 0.0)
    c.paint(at, d, _skin(p, tone), "neck")

    # Clothes: the shoulders without the neckline, a collar where there is one.
    if p.collar == "vee":
        line = side * 0.95 + (v - p.shoulder - 0.22) * 0.62
    elif p.collar == "scoop":
        line = _ellipse(u, np.maximum(v - p.shoulder + 0.12, 0.0), p.neck + 0.15, 0.24)
    elif p.collar == "turtle":
        line = np.maximum(side - p.neck - 0.06, v - p.shoulder + 0.13 + 0.25 * u * u)
    elif p.collar == "crew":
        line = _ellipse(u, np.maximum(v - p.shoulder + 0.06, 0.0), p.neck + 0.06, 0.15)
    else:
        line = side * 0.9 + (v - p.shoulder - 0.10) * 0.75
    wrap = d - 0.015  # cloth lies a little outside the skin
    cloth = np.maximum(wrap, -line)
    folds = 0.10 * _noise(u * 3.2 + p.patches[1], v * 5.0 + 2.0) + 0.05 * _noise(u * 30.0, v * 30.0)
    form = 0.45 * _clip(u, -0.9, 0.9) * lx + 0.12 + folds - 0.25 * _ramp(wrap, -0.14, 0.02)
    if p.weave == "stripes":
        form = form + 0.5 * _clip(5.0 * _wave(v * 7.0 + 0.6 * u * u), -1.0, 1.0)
    elif p.weave == "knit":
        form = form + 0.22 * _wave(u * 13.0) * (0.4 + 0.6 * c.fine)
    elif p.weave == "check":
        form = form + 0.22 * (_clip(5.0 * _wave(v * 6.0), -1.0, 1.0) + _clip(5.0 * _wave(u * 6.0), -1.0, 1.0))
    fabric = _toned(p.cloth, form, p.cloth * 0.5, _mix(p.cloth, _WHITE, 0.45))
    c.paint(at, cloth, fabric, "cloth")
    trim = np.maximum(np.abs(line - 0.018) - 0.020, wrap)
    if p.collar in ("crew", "scoop", "turtle"):
        c.tint(at, 0.30 * c.cover(trim), p.cloth * 0.6)
    elif p.collar in ("shirt", "jacket"):
        flap = np.maximum(np.abs(line - 0.075) - 0.075, p.shoulder - 0.13 + 0.1 * side - v)
        flap = np.maximum(flap, wrap - 0.01)
        second = _mix(p.cloth2, _WHITE, 0.55) if p.collar == "jacket" else _mix(p.cloth, _WHITE, 0.22)
        c.paint(at, flap, _toned(second, form * 0.6, second * 0.6, _WHITE), "cloth")
        c.tint(at, 0.35 * c.cover(np.abs(line - 0.15) - 0.006) * c.cover(cloth), _BLACK)
    if p.necklace:
        ring = _ellipse(u, v - p.shoulder + 0.10, p.neck + 0.04, 0.20)
        chain = np.maximum(np.abs(ring) - 0.017, p.shoulder - 0.12 - v)
        beads = 0.55 + 0.45 * _wave(u * 16.0)
        c.paint(at, chain, _toned(p.gem, beads - 0.4, p.gem * 0.45, _WHITE), "neck_l")


def _ear_place(p: _Person, side: float) -> tuple[float, float]:
    """Middle of an ear in the head frame."""
    return side * (p.width + 0.012) - 0.25 * p.yaw, 0.06 + 0.3 * p.pitch


def _ears(c: _Canvas, p: _Person) -> None:
    """Ears; turning the head hides one behind the cheek."""
    lx, _ = p.light
    for side, label in ((1.0, "l_ear"), (-1.0, "r_ear")):
        eu, ev = _ear_place(p, side)
        at = c.window(eu - 0.14, eu + 0.14, ev - 0.22, ev + 0.22)
        u, v = (c.u[at] - eu) * side, c.v[at] - ev
        lobe = u + 0.12 * v
        d = _ellipse(lobe, v, 0.078, 0.165) + 0.10 * np.maximum(v, 0.0) * np.maximum(u, 0.0)
        tone = 0.45 * side * lx - 0.12 + 0.3 * _bump((d + 0.012) * (d + 0.012) * 2500.0)
        hollow = _hill(lobe, v, 0.005, -0.02, 0.045, 0.105)
        tone = tone - 0.75 * hollow + _skin_texture(c, p, u, v)
        c.paint(at, d, _skin(p, tone), label)
        c.tint(at, 0.22 * c.cover(d), _rgb("#b8433a"))


def _head(c: _Canvas, p: _Person) -> None:
    """The skin of the face with light, blush, texture, wrinkles and the shadow of the hair."""
    at = c.face_at
    u, v, x, y = c.u[at], c.v[at], c.x[at], c.y[at]
    d = _outline(p, u, v)
    lx, ly = p.light
    nx, ny = u * (1.0 / p.width), v * (1.0 / p.chin)
    rim = nx * nx + 0.6 * ny * ny
    tone = 0.62 * nx * lx + 0.35 * ny * ly + 0.20 - 0.42 * rim * rim
    ax = np.abs(x)
    near = np.where(x * lx > 0, 1.0, 0.55)  # features facing the light catch more of it
    # Planes of the face: forehead, cheekbones, sockets, chin, folds beside the mouth.
    tone = tone + 0.22 * _hill(x, y, 0.12 * lx, -0.42, 0.40, 0.24)
    tone = tone + (0.20 + 0.12 * p.cheeks) * near * _hill(ax, y, 0.29, 0.10, 0.20, 0.15)
    tone = tone - (0.15 + 0.15 * p.cheeks) * _hill(ax, y, 0.40, 0.34, 0.17, 0.26)
    tone = tone - 0.36 * _hill(ax, y, p.eye_x - 0.05, p.eye_y - 0.03, 0.20, 0.12)
    tone = tone + 0.16 * _hill(ax, y, p.eye_x + 0.02, p.eye_y - 0.12, 0.15, 0.05)
    tone = tone + 0.26 * _hill(x, y, 0.04 * lx, p.chin - 0.14, 0.15, 0.10)
    tone = tone - 0.30 * _hill(x, y, 0.0, p.mouth_y + p.gap + p.lips[1] + 0.055, 0.14, 0.045)
    tone = tone - (0.10 + 0.22 * p.age) * _hill(ax, y, p.eye_x - 0.02, p.eye_y + 0.085, 0.11, 0.035)
    fold = ax - p.nose_w - 0.02 - 0.42 * (y - p.nose_y + 0.05)
    reach = _hill(ax, y, p.mouth_w - 0.01, p.mouth_y - 0.09, 0.12, 0.16)
    depth = 0.10 + 0.30 * p.age + 3.0 * max(p.smile, 0.0)
    tone = tone - depth * reach * _bump(fold * fold * 900.0)
    if p.age > 0.3:
        lines = _bump((_wave(y * 11.0 + 0.15 * _noise(x * 5.0 + 3.0, y * 4.0 + 3.0)) - 1.0) ** 2 * 9.0)
        tone = tone - 0.35 * p.age * lines * _hill(x, y, 0.0, -0.42, 0.36, 0.15)
    tone = tone + _skin_texture(c, p, u, v)
    # Shadow cast by the hair or the hat.
    edge = _opening(p, u, v, x, y)
    if p.style.thin > 0.0:
        cast = _opening(p, u + 0.05 * lx, v, x + 0.05 * lx, y - 0.05)
        tone = tone - 0.55 * p.style.thin * _ramp(np.maximum(cast, edge), -0.10, 0.03)
    c.paint(at, d, _skin(p, tone), "skin")
    red = _mix(p.skin * np.array([0.95, 0.62, 0.58]), _rgb("#d8505a"), 0.35 * (1.0 - p.dark_skin))
    blush = (0.26 + 0.16 * p.soft) * _hill(ax, y, 0.31, 0.17, 0.19, 0.14)
    c.tint(at, blush * c.face_cover, red)
    if p.freckles:
        ox, oy = p.patches
        dots = _ramp(_noise(x * 32.0 + ox, y * 32.0 + oy), 0.25, 0.95) * _hill(ax, y, 0.16, 0.10, 0.30, 0.15)
        c.tint(at, 0.3 * dots * c.face_cover, p.skin * np.array([0.7, 0.5, 0.4]))


def _nose(c: _Canvas, p: _Person) -> None:
    """The nose, made of light and shade on the skin: only its map has an outline."""
    top, bottom, wide = p.eye_y - 0.02, p.nose_y, p.nose_w
    lean = 0.30 * p.yaw  # the tip stands out of the face, so it shifts further when the head turns
    at = c.face_window(-0.28, 0.28, top - 0.06, bottom + 0.14)
    y = c.y[at]
    down = _clip((y - top) * (1.0 / (bottom - top)))
    x = c.x[at] - lean * down * down
    ax = np.abs(x)
    lx, _ = p.light
    # Outline: the bridge widens to the wings and closes below them.
    wing = _ramp(down, 0.45, 0.86)
    half = p.bridge + 0.012 * down + (wide - p.bridge - 0.012) * wing
    under = y - bottom - 0.022 + 0.35 * ax * ax * (1.0 / wide)
    d = _both(np.maximum((ax - half) * 0.9, top - y), under, 0.09)
    tone = np.zeros_like(x)
    lit = x if lx > 0 else -x  # positive on the side of the light
    flank = abs(lx) * (0.25 + 0.35 * down)
    tone = tone - 0.85 * flank * _hill(lit, y, -p.bridge - 0.02, bottom - 0.12, 0.075, 0.26)
    ridge = _bump(((x - 0.010 * lx) * (1.0 / 0.036)) ** 2)
    tone = tone + 0.34 * ridge * _ramp(down, 0.0, 0.4) * (1.0 - _ramp(down, 0.9, 1.05))
    tone = tone + 0.38 * _hill(x, y, 0.018 * lx, bottom - 0.055, 0.042, 0.040)
    tone = tone - 0.40 * _hill(x, y, -0.03 * lx, bottom + 0.035, wide * 1.1, 0.050)
    crease = _bump(((ax - wide + 0.004) * (1.0 / 0.022)) ** 2) * _hill(ax, y, wide, bottom - 0.045, 0.08, 0.065)
    tone = tone - 0.55 * crease
    tone = tone * p.contrast
    shade = p.skin * np.array([0.48, 0.34, 0.30])
    gleam = _mix(p.skin, np.array([1.0, 0.96, 0.90]), 0.70)
    inside = c.cover(_outline(p, c.u[at], c.v[at]))
    c.tint(at, _clip(-tone) * inside, shade)
    c.tint(at, _clip(tone) * inside, gleam)
    c.tint(at, 0.22 * _hill(x, y, 0.0, bottom - 0.03, wide * 1.1, 0.09) * inside, _rgb("#c0524a"))
    hole_x, hole_y = ax - 0.52 * wide + 0.12 * (y - bottom), y - bottom - 0.002 + 0.3 * (ax - 0.5 * wide)
    nostril = _ellipse(hole_x, hole_y, 0.030, 0.0145)
    c.tint(at, 0.75 * c.cover(nostril, 1.6), p.skin * np.array([0.28, 0.17, 0.15]))
    c.labels[at][(d < 0) & (c.labels[at] == _LABEL["skin"])] = _LABEL["nose"]


def _mouth(c: _Canvas, p: _Person) -> None:
    """Lips; between them a seam, or in an open smile the teeth."""
    w, (upper, lower) = p.mouth_w, p.lips
    at = c.face_window(-w - 0.05, w + 0.05, p.mouth_y - upper - 0.12, p.mouth_y + lower + p.gap + 0.08)
    x, y = c.x[at] - 0.10 * p.yaw, c.y[at]
    t = _clip(x * (1.0 / w), -1.5, 1.5)
    m = 1.0 - t * t
    lx, _ = p.light
    line = p.mouth_y - p.smile * (t * t) + 0.35 * p.smile
    bow = 1.0 - 0.30 * _bump(t * t * 14.0)
    inner_top = line - 0.25 * p.gap * m * np.abs(m) - 0.006 * _bump(t * t * 9.0) * (p.gap == 0)
    inner_bottom = line + 0.75 * p.gap * m * np.abs(m)
    outer_top = line - upper * m * bow - 0.25 * p.gap * m * np.abs(m)
    outer_bottom = inner_bottom + lower * m * (0.75 + 0.25 * m)
    texture = 0.12 * _noise(x * 60.0 + 5.0, y * 8.0 + 5.0) * (0.3 + 0.7 * c.fine)
    dark, light = p.lip * np.array([0.55, 0.45, 0.47]), _mix(p.lip, _WHITE, 0.45)
    # Upper lip, in its own shade; lower lip, catching the light.
    top_d = np.maximum(outer_top - y, y - inner_top) * 0.9
    tone = -0.38 + 0.25 * t * lx + texture + 0.3 * _bump(((y - outer_top) * 40.0) ** 2)
    c.paint(at, top_d, _toned(p.lip, tone, dark, light), "u_lip")
    low_d = np.maximum(inner_bottom - y, y - outer_bottom) * 0.9
    gleam = _hill(x, y, 0.25 * w * lx, p.mouth_y + 0.35 * p.smile + 0.75 * p.gap + 0.42 * lower, 0.6 * w, 0.40 * lower)
    tone = 0.05 + 0.2 * t * lx + texture + (0.45 + 0.25 * p.soft) * gleam
    tone = tone - 0.4 * _ramp((y - inner_bottom) / lower, 0.55, 1.0)
    c.paint(at, low_d, _toned(p.lip, tone, dark, light), "l_lip")
    if p.gap > 0:
        open_d = np.maximum(inner_top - y, y - inner_bottom)
        c.paint(at, open_d, _rgb("#3a1216"), "mouth")
        depth = (y - inner_top) * (1.0 / p.gap)
        teeth = np.maximum(open_d + 0.003, (depth - 0.72) * p.gap)
        shade = 0.35 - 0.55 * t * t - 0.35 * _bump((depth * 3.0) ** 2)
        between = _bump(_wave(x * 11.0 + 0.25) ** 2 * 16.0) * (0.3 * c.fine)
        c.tint(at, c.cover(teeth), _toned(_rgb("#e6ddd0"), shade - between, _rgb("#8a7468"), _rgb("#fffaf2")))
    else:
        seam = np.abs(y - inner_top) - 0.0075 * _clip(m + 0.25)
        c.tint(at, 0.8 * c.cover(seam, 1.3) * (m > -0.15), p.lip * np.array([0.36, 0.25, 0.27]))
    for corner in (-1.0, 1.0):
        pit = _hill(x, y, corner * w, p.mouth_y - 0.65 * p.smile, 0.035, 0.03)
        c.tint(at, 0.4 * pit, p.skin * np.array([0.45, 0.30, 0.28]))


def _eyes(c: _Canvas, p: _Person) -> None:
    """Lids, lashes, eyeball, iris, pupil and the lights in it."""
    a = p.eye_w
    squint = 1.0 - 0.28 * (p.gap > 0) * min(p.smile / 0.08, 1.0)
    lx, _ = p.light
    for side, label in ((1.0, "l_eye"), (-1.0, "r_eye")):
        ex, ey = side * p.eye_x, p.eye_y
        at = c.face_window(ex - 0.21, ex + 0.21, ey - 0.14, ey + 0.12)
        gx = c.x[at] - ex
        x, y = gx * side, c.y[at] - ey
        y = y - p.eye_tilt * x
        t = _clip(x * (1.0 / a), -2.0, 2.0)
        m = 1.0 - t * t
        upper = -p.eye_h * squint * m * (1.08 - 0.14 * t)
        lower = 0.62 * p.eye_h * squint * m * (1.0 + 0.22 * t)
        d = np.maximum(upper - y, y - lower)
        lash = p.lashes * _clip(0.55 + 0.55 * t, 0.25, 1.15) * _clip(1.6 * m + 0.25, 0.0, 1.0)
        rim = np.maximum(upper - lash - y, y - lower - 0.003)
        wide = _clip(1.35 - t * t)
        if p.shadow is not None:
            lid = _bump(((y - upper + 0.022) * (1.0 / 0.045)) ** 2) * wide
            c.tint(at, 0.30 * lid, p.shadow)
        crease = np.abs(y - upper + 0.026 + 0.006 * t) - 0.0055
        c.tint(at, 0.50 * c.cover(crease, 1.8) * _clip(1.5 * m), p.skin * np.array([0.45, 0.31, 0.28]))
        bag = np.abs(y - lower - 0.022) - 0.004
        c.tint(at, (0.10 + 0.35 * p.age) * c.cover(bag, 2.5) * _clip(m), p.skin * np.array([0.5, 0.35, 0.33]))
        # The lash line belongs to the eye; the ball is painted into it.
        ink = _mix(p.hair * 0.35, _rgb("#1a1214"), 0.7)
        c.paint(at, rim, _mix(ink, p.skin * 0.5, 0.12), label)
        ball = c.cover(d)
        shaded = 0.45 - 0.95 * _bump(((y - upper) * (1.0 / 0.030)) ** 2) - 0.45 * t * t + 0.25 * lx * gx * (1.0 / a)
        c.tint(at, ball, _toned(_rgb("#e4ddd8"), shaded, _rgb("#7d6a68"), _rgb("#fbf9f6")))
        c.tint(at, 0.6 * ball * _hill(t, y, -0.93, 0.0, 0.22, 0.03), _rgb("#c4726c"))
        # Iris, pupil, lights.
        r = p.iris_r
        ix, iy = gx - p.gaze[0], y - p.gaze[1] + 0.006
        rr = np.sqrt(ix * ix + iy * iy) * (1.0 / r)
        disc = c.cover((rr - 1.0) * r) * ball
        spokes = 0.35 * c.fine * _noise(ix * 90.0, iy * 90.0)
        tone = 0.75 * _hill(ix, iy, -0.3 * r * lx, 0.45 * r, 1.1 * r, 0.8 * r) - 0.9 * _ramp(rr, 0.72, 1.0) + spokes
        tone = tone - 0.6 * _bump(((y - upper) * (1.0 / 0.028)) ** 2)
        c.tint(at, disc, _toned(p.iris, tone, p.iris * 0.30, _mix(p.iris, _WHITE, 0.50)))
        c.tint(at, c.cover((rr - 0.42) * r) * disc, _rgb("#0d0a0c"))
        glint = c.cover(np.sqrt((ix - 0.36 * r * lx) ** 2 + (iy + 0.34 * r) ** 2) - 0.26 * r)
        c.tint(at, 0.95 * glint * ball, _WHITE)
        soft = _hill(ix, iy, -0.35 * r * lx, 0.42 * r, 0.42 * r, 0.32 * r)
        c.tint(at, 0.40 * soft * ball, _WHITE)


def _brows(c: _Canvas, p: _Person) -> None:
    """Brows, in the colour of the hair drawn towards that of the skin."""
    colour = _mix(p.hair * 0.62, p.skin * np.array([0.45, 0.33, 0.28]), 0.30)
    if p.style.name == "bald" or float(p.hair.max()) > 0.6:
        colour = _mix(colour, p.skin * np.array([0.42, 0.30, 0.24]), 0.35)
    by = p.eye_y + p.brow_y
    for side, label in ((1.0, "l_brow"), (-1.0, "r_brow")):
        bx = side * (p.eye_x + 0.015)
        at = c.face_window(bx - 0.22, bx + 0.22, by - 0.12, by + 0.10)
        x, y = (c.x[at] - bx) * side, c.y[at] - by
        t = x * (1.0 / 0.155)
        bend = t - 0.15
        curve = p.brow_arch * (0.72 * bend * bend - 0.6) + p.brow_tilt * t
        thick = p.brow_h * np.maximum(1.0 - 0.55 * np.maximum(t, 0.0), 0.2) * _clip(4.0 - 4.0 * t * t, -4.0, 1.0)
        hairs = _noise(x * 40.0 + 22.0 * y + p.patches[0], y * 16.0 + p.patches[1])
        d = np.abs(y - curve) - thick + 0.003 * hairs
        tone = 0.5 * hairs * (0.35 + 0.65 * c.fine) - 0.1
        opacity = 0.60 + 0.30 * _ramp(t, -1.0, -0.55)  # thinner beside the nose
        c.paint(at, d, _toned(colour, tone, colour * 0.55, _mix(colour, p.skin, 0.45)), label, opacity)


def _beard(c: _Canvas, p: _Person) -> None:
    """Beards keep the class skin, as in CelebAMask-HQ."""
    if p.beard == "none":
        return
    at = c.face_at
    x, y = c.x[at], c.y[at]
    ax = np.abs(x)
    lip_top, lip_low = p.mouth_y - p.lips[0] - 0.01, p.mouth_y + p.lips[1] + p.gap
    moustache = _hill(ax, y, 0.07, lip_top - 0.0075, 0.17, 0.06)
    cheek = 0.20 - 0.9 * np.maximum(ax - 0.30, 0.0) + 0.28 * _ramp(0.34 - ax, 0.0, 0.2)
    jaw = _ramp(y - cheek, 0.02, 0.14)
    chin = _hill(x, y, 0.0, lip_low + 0.12, 0.19, 0.17)
    around = np.maximum(chin, moustache)
    if p.beard == "moustache":
        amount, strength = _ramp(moustache, 0.15, 0.5), 0.9
    elif p.beard == "goatee":
        amount, strength = _ramp(around, 0.12, 0.5), 0.85
    else:
        amount = np.maximum(jaw, _ramp(moustache, 0.1, 0.6))
        strength = 0.28 if p.beard == "stubble" else 0.85
    lips = _ellipse(x, y - 0.5 * (lip_top + lip_low) - 0.005, p.mouth_w + 0.01, 0.5 * (lip_low - lip_top) + 0.012)
    amount = amount * _ramp(lips, 0.0, 0.04)
    hairs = _noise(x * 44.0 + 3.0, y * 16.0 + p.patches[0])
    amount = _clip(amount * (0.88 + 0.30 * hairs)) * strength * c.face_cover
    free = c.labels[at] == _LABEL["skin"]
    lx, _ = p.light
    tone = 0.9 * x * lx - 0.25 + 0.55 * hairs
    c.tint(at, amount * free, _toned(p.hair * 0.9, tone, p.hair * 0.4, _mix(p.hair, p.skin, 0.45)))


def _glasses(c: _Canvas, p: _Person) -> None:
    """Frames and lenses are class eye_g; eyes, brows and nose keep their class behind clear lenses."""
    if p.glasses == "none":
        return
    lens_x, lens_y = p.eye_x + 0.012, p.eye_y + 0.025
    rx, ry, corner, bar = {
        "round": (0.172, 0.168, 0.160, 0.016), "square": (0.188, 0.135, 0.060, 0.022),
        "thin": (0.182, 0.125, 0.100, 0.011), "sun": (0.200, 0.160, 0.095, 0.020),
    }[p.glasses]  # fmt: skip
    at = c.window(-p.width - 0.1, p.width + 0.1, -0.45, 0.35)
    x, y, u, v = c.x[at], c.y[at], c.u[at], c.v[at]
    ax = np.abs(x)
    lens = _rounded_box(ax - lens_x, y - lens_y, rx, ry, corner)
    bridge = np.maximum(np.abs(y - lens_y + 0.045 + 1.5 * x * x) - 0.8 * bar, ax - lens_x + rx)
    temple = np.maximum(np.abs(y - lens_y + 0.05) - 0.9 * bar, lens_x + rx - 0.01 - ax)
    temple = np.maximum(temple, _outline(p, u, v) - 0.01)
    frame = np.minimum(np.minimum(np.abs(lens) - bar, bridge), temple)
    c.tint(at, 0.22 * _bump((np.maximum(frame, 0.0) * 22.0) ** 2) * c.cover(_outline(p, u, v - 0.03)), _BLACK)
    lx, _ = p.light
    sheen = _ramp(_wave((x - 0.55 * y) * 2.2 + 0.3 * lx), 0.35, 0.9)
    behind = c.labels[at]
    if p.glasses == "sun":
        depth = _clip((y - lens_y + ry) * (0.5 / ry))
        tint = _toned(p.frame * 0.6, 0.7 * depth - 0.3 + 0.25 * sheen, _BLACK, _mix(p.frame, _rgb("#c89a6a"), 0.4))
        c.paint(at, lens, tint, "eye_g", 0.93)
    else:
        c.tint(at, c.cover(lens) * (0.06 + 0.16 * sheen), _rgb("#eef4f8"))
        behind[(lens < 0) & (behind == _LABEL["skin"])] = _LABEL["eye_g"]
    tone = 0.5 * _bump(((lens - 0.3 * bar) * (1.0 / bar)) ** 2) * _ramp(lens_y - y, -0.1, 0.2) - 0.1
    c.paint(at, frame, _toned(p.frame, tone, p.frame * 0.5, _mix(p.frame, _WHITE, 0.5)), "eye_g")


def _opening(p: _Person, u: Array, v: Array, x: Array, y: Array) -> Array:
    """Distance to the opening in the front hair through which the face looks."""
    style = p.style
    off = x - p.part
    slope = np.where(off < 0, p.fall[0], p.fall[1])
    line = p.hairline + slope * (np.sqrt(off * off + 0.0016) - 0.04) + 0.35 * off * off
    ragged = 0.012
    if style.flow == "fringe":
        ragged = 0.030
        line = line + 0.06 * p.sweep * x - 0.25 * off * off
    elif style.flow == "curl":
        ragged = 0.5 * style.curl + 0.008
    ox, oy = p.patches
    k = 20.0 if style.flow == "fringe" else 9.0
    line = line + ragged * _noise(u * k + oy, v * (7.0 if style.flow == "curl" else 1.5) + ox)
    if p.length < 0.2:  # short: temples and sideburns
        half = p.inner + 0.15 * np.maximum(v + 0.05, 0.0) - 0.03 * _ramp(-v, 0.1, 0.4)
    else:  # long: beside the cheeks, then in front of the shoulders
        half = p.inner + (0.24 - 0.6 * p.inner) * _ramp(v, 0.3, 0.9) + 0.4 * style.wave * _wave(v * 2.3 + ox)
    return _both(line - y, np.abs(x) - half, 0.16)


def _hair_in_front(c: _Canvas, p: _Person) -> None:
    """All hair outside the opening of the face: fringe, temples, locks in front of the shoulders."""
    if p.style.thin == 0.0:
        return
    u, v = c.u, c.v
    d, rho = _hair_shape(p, u, v)
    opening = _opening(p, u, v, c.x, c.y)
    if p.length < 0.2:  # a high forehead ends at the skull: no gap between it and the hair on top
        opening = np.where(v < -0.2, np.maximum(opening, _outline(p, u, v)), opening)
    d = np.maximum(_both(d, _hair_end(c, p, u, v), 0.10), -opening)
    at = c.touched(d)
    colour = _hair_colour(c, p, u[at], v[at], rho[at], 0.0)
    if p.style.flow != "fringe":  # darker at the roots
        colour *= 1.0 - 0.30 * _bump((opening[at] * 9.0) ** 2)
    c.paint(at, d[at], colour, "hair", p.style.thin)


def _hat(c: _Canvas, p: _Person) -> None:
    """Beanie, cap or brimmed hat, and its shadow."""
    if p.hat == "none":
        return
    lx, ly = p.light
    at = (slice(0, c.pixels(p.cy, p.cy).stop), slice(None))  # hats end above the cheeks
    u, v = c.u[at], c.v[at]
    half, high = p.width + p.side + 0.045, p.crown + p.top + 0.05
    line = -0.40 if p.hat == "beanie" else -0.46
    bow = u * (1.0 / half)
    edge = line + 0.07 * bow * bow - 0.3 * p.pitch  # above the eyes, so its rim bends down at the sides
    du, dv = bow, np.minimum(v + 0.1, 0.0) * (1.0 / (high - 0.1))
    if p.hat == "brim":
        dv = dv * 0.94
        rho = np.sqrt(np.sqrt((du * du) ** 2 + (dv * dv) ** 2))
    else:
        rho = np.sqrt(du * du + dv * dv)
    dome = np.maximum((rho - 1.0) * half, v - edge)
    form = 0.65 * du * lx + 0.5 * dv * ly + 0.15 - 0.35 * _ramp(rho, 0.8, 1.02)
    form = form + 0.06 * _noise(u * 26.0, v * 26.0) + 0.08 * _noise(u * 4.0, v * 4.0)
    base = p.hat_colour
    # Its shadow on forehead and hair.
    under = 1.0 - _ramp(v - edge, -0.02, 0.13)
    over_head = c.cover(_outline(p, u, v) - 0.02, 2.0)
    c.tint(at, 0.42 * under * over_head, base * 0.12)
    if p.hat == "beanie":
        form = form + 0.30 * _wave(u * (9.0 / half) / (1.25 + 0.5 * np.minimum(v, 0.0))) * (0.45 + 0.55 * c.fine)
        cuff = np.maximum(np.abs(v - edge + 0.075) - 0.085, (np.abs(du) - 1.03) * half)
        colour = _toned(base, form, base * 0.45, _mix(base, _WHITE, 0.45))
        c.paint(at, dome, colour, "hat")
        form = form + 0.22 - 0.6 * _ramp(v - edge, -0.05, 0.02)
        c.paint(at, cuff, _toned(base, form, base * 0.45, _mix(base, _WHITE, 0.5)), "hat")
        c.tint(at, 0.35 * c.cover(np.abs(v - edge + 0.16) - 0.012, 2.0) * c.cover(dome), _BLACK)
    elif p.hat == "cap":
        colour = _toned(base, form, base * 0.45, _mix(base, _WHITE, 0.4))
        c.paint(at, dome, colour, "hat")
        shift = u - 0.8 * p.yaw
        seam = np.abs(shift - 0.15 * du * du) - 0.006
        c.tint(at, 0.25 * c.cover(seam, 1.5) * c.cover(dome), _BLACK)
        visor = _ellipse(shift, v - edge - 0.015, 0.50, 0.105)
        visor = np.maximum(visor, edge - 0.05 - 0.12 * _bump(shift * shift * 3.0) - v)
        shade = 0.35 * shift * lx + 0.35 - 4.4 * np.maximum(v - edge, 0.0)
        second = p.cloth2
        c.paint(at, visor, _toned(second, shade, second * 0.4, _mix(second, _WHITE, 0.4)), "hat")
    else:
        colour = _toned(base, form, base * 0.45, _mix(base, _WHITE, 0.4))
        c.paint(at, dome, colour, "hat")
        band = np.abs(v - edge + 0.09) - 0.07
        c.tint(at, 0.9 * c.cover(band) * c.cover(dome), p.cloth2 * 0.55)
        sag = 0.10 * bow * bow
        brim = _ellipse(u, v - edge - 0.01 + sag, half + 0.30, 0.085)
        shade = 0.4 * bow * lx + 0.25 - 4.0 * (v - edge + sag)
        c.paint(at, brim, _toned(base, shade, base * 0.35, _mix(base, _WHITE, 0.35)), "hat")


def _earrings(c: _Canvas, p: _Person) -> None:
    """Earrings hang from visible lobes."""
    if p.earrings == "none":
        return
    for side, name in ((1.0, "l_ear"), (-1.0, "r_ear")):
        eu, ev = _ear_place(p, side)
        eu, ev = eu - side * 0.012, ev + 0.165
        at = c.window(eu - 0.15, eu + 0.15, ev - 0.12, ev + 0.28)
        if not (c.labels[at] == _LABEL[name]).any():
            continue
        u, v = c.u[at] - eu, c.v[at] - ev
        if p.earrings == "stud":
            d = _ellipse(u, v + 0.02, 0.028, 0.028)
        elif p.earrings == "hoop":
            d = np.abs(_ellipse(u, v - 0.075, 0.080, 0.092)) - 0.013
        else:
            wire = np.maximum(np.abs(u) - 0.008, np.abs(v - 0.02) - 0.05)
            d = _either(_ellipse(u, v - 0.10, 0.034, 0.055), wire, 0.02)
        tone = 0.6 * _hill(u, v, -0.01, 0.0, 0.06, 0.10) + 6.0 * u * p.light[0] - 0.1
        c.paint(at, d, _toned(p.gem, tone, p.gem * 0.4, _WHITE), "ear_r")
