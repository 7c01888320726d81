"""The smoothest surface through what is known: the classical fill, and what hides the seam of a repair.

A membrane clamped at the known pixels obeys Laplace's equation where nothing is known. Stretched over the colours
around a hole it fills the hole without learning anything; stretched over the difference between a photograph and its
repair along the edge of a hole, and added to the repair, it makes the two meet without a step and leaves the
repair's detail alone (Perez, Gangnet, Blake: Poisson Image Editing, 2003, where the guiding gradient is the repair's).

The networks' own start (:func:`faceinpaint.models.start.membrane`) is coarser, since it must be cheap, differentiable
and part of an exported network. At full size a seam shows what is left of it: in a box of a quarter of a photograph of
256 pixels that one is 1.9 levels of 255 from Laplace's equation in the mean and 8.5 at most, this one 0.14 and 0.75.
"""

from __future__ import annotations

import numpy as np

SWEEPS = 16
"""Relaxations at each resolution. The coarser ones have settled what is far from the edge by then."""

PUSH = 1.8
"""How far a relaxation goes beyond the mean of the neighbours (successive over-relaxation, below 2 to converge)."""


def membrane(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Fill unknown pixels so that each is the mean of its four neighbours.

    Solved from coarse to fine: halve the picture until the hole is closed, then double it again and relax. A pixel at
    the edge of the picture has fewer neighbours (no flow across the edge).

    Args:
        values: (H, W) or (H, W, C), any real type; unknown ones are not looked at.
        known: (H, W) bool.

    Returns:
        float32 of the shape of ``values``: known pixels as they were, unknown ones between the smallest and the
        largest known value; zero everywhere if nothing is known.

    >>> known = np.array([[True, False, True]])
    >>> membrane(np.array([[10, 0, 30]]), known).round().tolist()
    [[10.0, 20.0, 30.0]]
    """
    planes = values.reshape(*known.shape, -1).astype(np.float32)
    if known.all():
        return planes.reshape(values.shape)
    if not known.any():
        return np.zeros(values.shape, np.float32)
    rows, columns = (np.flatnonzero((~known).any(axis)) for axis in (1, 0))
    top, left = max(rows[0] - 1, 0), max(columns[0] - 1, 0)
    place = slice(top, rows[-1] + 2), slice(left, columns[-1] + 2)  # the hole and the ring around it
    planes[place] = _solve(np.where(known[place][..., None], planes[place], 0), known[place])
    return planes.reshape(values.shape)


def _solve(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The membrane on (H, W, C) float32 with zeros where unknown and some pixel known."""
    if known.all() or max(known.shape) == 1:
        return values
    height, width = known.shape
    small = _fours(np.pad(values, [(0, height % 2), (0, width % 2), (0, 0)]))
    count = _fours(np.pad(known, [(0, height % 2), (0, width % 2)]).astype(np.float32))
    coarse = _solve(small / np.maximum(count, 1)[..., None], count > 0)
    filled = np.where(known[..., None], values, _doubled(coarse)[:height, :width])
    share = PUSH / _sum_of_neighbours(np.ones((height, width, 1), np.float32))
    odd = np.add.outer(np.arange(height), np.arange(width)) % 2 == 1
    squares = [(~known & (odd == side))[..., None] for side in (False, True)]
    for _ in range(SWEEPS):
        for square in squares:  # like a chessboard: the white ones, then the black ones from the new white ones
            np.copyto(filled, _sum_of_neighbours(filled) * share + (1 - PUSH) * filled, where=square)
    return np.clip(filled, values[known].min(0), values[known].max(0))  # a push may have gone too far


def _fours(planes: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 pixels."""
    return planes[::2, ::2] + planes[1::2, ::2] + planes[::2, 1::2] + planes[1::2, 1::2]


def _doubled(planes: np.ndarray) -> np.ndarray:
    """Twice the size, bilinear."""
    for axis in (0, 1):
        padded = np.concatenate([planes.take([0], axis), planes, planes.take([-1], axis)], axis)
        n = planes.shape[axis]
        before, after = (padded.take(range(i, n + i), axis) for i in (0, 2))
        pair = np.stack([0.75 * planes + 0.25 * before, 0.75 * planes + 0.25 * after], axis + 1)
        planes = pair.reshape(*planes.shape[:axis], 2 * n, *planes.shape[axis + 1 :])
    return planes


def _sum_of_neighbours(planes: np.ndarray) -> np.ndarray:
    total = np.zeros_like(planes)
    total[1:] += planes[:-1]
    total[:-1] += planes[1:]
    total[:, 1:] += planes[:, :-1]
    total[:, :-1] += planes[:, 1:]
    return total
