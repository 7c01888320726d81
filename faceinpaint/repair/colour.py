"""A repair has no colour that its photograph does not have.

The colours of a photograph without colour lie on the line from black to white, those of a sepia one on another line,
those of any other around a line, at some distance. The networks know colourful faces and paint such ones. So what they
paint is brought as near to that line as the known pixels are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

PALE = 0.03
"""Of the range of values: a photograph of which all but a few pixels are as near to the line has no colour, and those
few (a stamp, a date) do not lend theirs to the rest."""

FEW = 0.005

ROUNDING = 1e-9
"""How far beyond a line's reach a colour may seem to lie because numbers are rounded."""

AT_ONCE, STRIP, SAMPLE = 1 << 13, 1 << 18, 1 << 21
"""Colours looked at in one piece, hard ones and known ones, so that a large photograph needs little memory; and of how
many known ones at most it is told how far nearly all are from the line."""

STEPS = np.arange(-3, 3.5, 0.5)
"""How far along the line whole numbers are looked for that lie near it, where there are none beside a colour."""


class Line(NamedTuple):
    """The line of a photograph's colours.

    Attributes:
        centre, along: (3,) a point on it, and its direction, of length 1.
        reach: how far from it colours lie.

    >>> grey = Line(np.zeros(3), np.full(3, 3**-0.5), 0.0)
    >>> grey.held(np.array([[90, 100, 110]]), most=255).tolist()
    [[100.0, 100.0, 100.0]]
    """

    centre: np.ndarray
    along: np.ndarray
    reach: float

    def distance(self, colours: np.ndarray) -> np.ndarray:
        """Of colours (..., 3) from the line."""
        return np.linalg.norm(self._beside(colours.astype(np.float64)), axis=-1)

    def _beside(self, colours: np.ndarray) -> np.ndarray:
        apart = colours - self.centre
        return apart - (apart @ self.along)[..., None] * self.along

    def _within(self, colours: np.ndarray, most: int) -> np.ndarray:
        """Colours (n, 3) moved along the line until they are colours at all: cut off, they would leave it."""
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = np.sort([-colours / self.along, (most - colours) / self.along], axis=0)  # steps to either bound
        ends = np.where(self.along != 0, ends, np.array([-np.inf, np.inf])[:, None, None])
        first, last = ends[0].max(1), ends[1].min(1)
        step = np.where(first <= last, np.clip(0, first, last), 0)
        return colours + step[:, None] * self.along

    def held(self, colours: np.ndarray, most: int) -> np.ndarray:
        """Colours (n, 3) as whole numbers from 0 to ``most``, none farther from the line than :attr:`reach`, if there
        are whole numbers so near."""
        colours = colours.astype(np.float64)
        beside = self._beside(colours)
        far = np.linalg.norm(beside, axis=1)
        shrink = np.minimum(1, self.reach / np.maximum(far, 1e-9))
        wanted = self._within(colours - beside * (1 - shrink)[:, None], most)
        whole = np.rint(wanted).clip(0, most)
        over = np.flatnonzero(self.distance(whole) > self.reach + ROUNDING)
        for start in range(0, len(over), AT_ONCE):
            some = over[start : start + AT_ONCE]
            whole[some] = self._nearest(wanted[some], most)
        return whole

    def _nearest(self, wanted: np.ndarray, most: int) -> np.ndarray:
        """For colours (n, 3) that rounding takes away from the line: of whole numbers on all sides, the best."""
        corners = np.array(np.meshgrid(*[[0, 1]] * 3, indexing="ij")).reshape(3, -1).T
        near = wanted[:, None] + STEPS[:, None] * self.along  # a little lighter and darker, too
        choices = (np.floor(near)[:, :, None] + corners).reshape(len(wanted), -1, 3).clip(0, most)
        apart = np.linalg.norm(choices - wanted[:, None], axis=2)
        outside = np.maximum(self.distance(choices) - self.reach, 0)
        best = np.argmin(outside * 1e6 + apart, axis=1)
        return np.asarray(choices[np.arange(len(wanted)), best])


def line_of(colours: np.ndarray, most: int) -> Line:
    """The line of known colours (n, 3), n > 0, of values from 0 to ``most``.

    >>> line_of(np.array([[10, 10, 10], [200, 200, 200]]), most=255).reach
    0.0
    """
    if (colours == colours[:, :1]).all():
        return Line(np.zeros(3), np.full(3, 3**-0.5), 0.0)
    count = len(colours)
    strips = [colours[i : i + STRIP] for i in range(0, count, STRIP)]
    centre = np.sum([strip.sum(0, dtype=np.float64) for strip in strips], axis=0) / count
    spread = np.zeros((3, 3))
    for strip in strips:
        apart = strip - centre
        spread += apart.T @ apart
    _, directions = np.linalg.eigh(spread / count if count > 1 else np.eye(3))
    line = Line(centre, directions[:, -1], 0.0)
    sampled = colours[:: -(-count // SAMPLE)]
    nearly_all = float(np.quantile(line.distance(sampled), 1 - FEW))
    if nearly_all < PALE * most:
        return line._replace(reach=nearly_all)
    return line._replace(reach=max(float(line.distance(strip).max()) for strip in strips))
