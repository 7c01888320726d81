"""A second opinion on a face that was found: does its parsing map look like a face's, in what is left of it?

The detector is told nothing of holes and sees a face in many things. The parser was trained on damaged faces framed as
CelebA-HQ frames them; where it sees no skin in the middle, or eyes, nose and mouth elsewhere than there, the frame
lies wrong or there is no face. And where too little is left for the detector to be sure, it looks again at the face as
it would be repaired: in a frame that lies right a face comes out, in another one hardly ever.
"""

from __future__ import annotations

import numpy as np

from faceinpaint.regions import REGIONS

SKIN, NOSE, EYES, BROWS, MOUTH = (REGIONS.index(name) + 1 for name in ("skin", "nose", "eyes", "brows", "mouth"))

OVAL = (0.5, 0.58, 0.22, 0.30)
"""Where the face itself lies in its frame, in sides: centre across and down, half of the width and of the height."""

PLACES = {EYES: (0.37, 0.58), NOSE: (0.42, 0.74), MOUTH: (0.62, 0.90)}
"""Rows between which features of a framed face lie, in sides. All lie between 0.2 and 0.8 across."""

LEAST, MORE = 0.635, 0.1
"""How sure the detector must be of a face of which nothing is left, and how much more of a whole one: a face that is
all there is seen clearly."""

CLEARLY, CERTAINLY = 0.765, 0.5
"""How sure it must be of a face that is looked at again, repaired, and how much of that the parser takes away where it
was not certain of what is missing (:func:`certainty_of`, 0 at most). Set on 60 test faces, each with two holes of more
than half, that are not among those of the record, and on other cuts of pictures without a face
(`tools/find_faces.py`)."""

FEW = 0.02
"""Share of the frame that the hole must cover to tell it."""

LEFT = 0.03
"""Share of the oval that must be known to tell anything."""

SEEN, PLACED = 0.4, 0.5
"""Shares that must be right: of the known oval, face; of the known pixels of each feature, in its place."""

ANY = 0.004
"""Share of the frame that a feature must cover to be judged."""


def unsure(score: float, hole: np.ndarray, again: float | None = None, certainty: float = 0.0) -> str | None:
    """Why the detector is not sure enough of a face, in words; None if it is.

    Args:
        score: its likelihood. hole: as for :func:`doubt`.
        again: how likely it is there once the hole is repaired; None where that was not asked.
        certainty: of the parser then, as :func:`certainty_of` gives it.

    >>> unsure(0.0, np.zeros((64, 64)))
    'the detector is not sure enough of it'
    >>> unsure(0.3, np.ones((64, 64)), again=0.9) is None
    True
    """
    if again is not None:
        return None if again + CERTAINLY * certainty >= CLEARLY else "repaired there, it is not seen as one"
    left = float((_oval(len(hole)) & (hole == 0)).sum() / _oval(len(hole)).sum())
    return None if score >= LEAST + MORE * left else "the detector is not sure enough of it"


def certainty_of(likely: np.ndarray, hole: np.ndarray) -> float:
    """How certain the parser is of the hole; minus infinity where hardly any hole lies in the frame.

    Args:
        likely: (S, S) logarithm of the likelihood of each pixel's region. hole: as for :func:`doubt`.

    >>> certainty_of(np.full((64, 64), -0.5), np.ones((64, 64)))
    -0.5
    """
    there = hole != 0
    return float(likely[there].mean()) if there.mean() >= FEW else -np.inf


def _oval(size: int) -> np.ndarray:
    down, across = (np.mgrid[:size, :size] + 0.5) / size
    x, y, width, height = OVAL
    return ((across - x) / width) ** 2 + ((down - y) / height) ** 2 <= 1


def doubt(regions: np.ndarray, hole: np.ndarray) -> str | None:
    """Why this is hardly a face, in words; None if it may well be one.

    Args:
        regions: (S, S) region ids of the eight regions, as the parser sees the frame.
        hole: (S, S) bool or 0 and 1, 1 = hole.

    >>> doubt(np.zeros((64, 64), int), np.zeros((64, 64)))
    '100% of what is left of it do not look like one'
    """
    size = len(regions)
    down, across = (np.mgrid[:size, :size] + 0.5) / size
    known, oval = hole == 0, _oval(size)
    left = (oval & known).sum() / oval.sum()
    if left < LEFT:
        return f"{100 * left:.0f}% of it are left"
    face = np.isin(regions, (SKIN, NOSE, EYES, BROWS, MOUTH))
    share = (face & oval & known).sum() / (oval & known).sum()
    if share < SEEN:
        return f"{100 * (1 - share):.0f}% of what is left of it do not look like one"
    middle = (across > 0.2) & (across < 0.8)
    seen = []
    for feature, (top, bottom) in PLACES.items():
        there = (regions == feature) & known
        if there.sum() < ANY * size**2:
            continue
        seen.append(feature)
        if (there & middle & (down > top) & (down < bottom)).sum() < PLACED * there.sum():
            return f"the {REGIONS[feature - 1]} would not be in its place"
    if not seen and left > 0.7:
        return "neither eyes nor nose nor mouth are seen"
    return None
