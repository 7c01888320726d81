"""The membrane against a direct solution, and what it must never do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import sparse
from scipy.sparse.linalg import spsolve

from faceinpaint.data.masks import box, free_form
from faceinpaint.data.toy import draw
from faceinpaint.repair.membrane import membrane


def direct(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Each unknown pixel the mean of its neighbours: one sparse system, solved exactly."""
    height, width = known.shape
    number = np.arange(height * width).reshape(height, width)
    rows, columns = [], []
    for a, b in ((number[1:], number[:-1]), (number[:, 1:], number[:, :-1])):
        rows += [a.ravel(), b.ravel()]
        columns += [b.ravel(), a.ravel()]
    i, j = np.concatenate(rows), np.concatenate(columns)
    links = sparse.csr_matrix((np.ones(len(i)), (i, j)), shape=(number.size, number.size))
    laplace = sparse.diags(np.asarray(links.sum(1)).ravel()) - links
    hole = ~known.ravel()
    flat = values.astype(float).reshape(number.size, -1)
    flat[hole] = spsolve(laplace[hole][:, hole].tocsc(), -laplace[hole][:, ~hole] @ flat[~hole]).reshape(hole.sum(), -1)
    return flat.reshape(values.shape)


@pytest.mark.parametrize("kind", [box, free_form])
@pytest.mark.parametrize("seed", range(2))
def test_it_is_the_solution_of_laplaces_equation(kind: Callable[..., np.ndarray], seed: int) -> None:
    image, _ = draw(seed, 96)
    known = kind(96, np.random.default_rng(seed)) == 0
    error = membrane(image, known) - direct(image, known)
    assert np.abs(error).max() < 3  # of 255, in the middle of wide holes
    assert np.sqrt((error[~known] ** 2).mean()) < 0.7


def test_known_pixels_stay_and_nothing_leaves_their_range() -> None:
    image, _ = draw(4, 65)
    image = image[:, :50]
    known = free_form(65, np.random.default_rng(1))[:, :50] == 0
    filled = membrane(image, known)
    assert filled.dtype == np.float32
    assert np.array_equal(filled[known], image[known])
    assert filled.min() >= image[known].min()
    assert filled.max() <= image[known].max()
    hidden = np.where(known[..., None], image, 255 - image)
    assert np.array_equal(membrane(hidden, known), filled)  # what lies under the hole is not looked at


def test_a_plane_is_continued_from_all_sides() -> None:
    slope = np.add.outer(np.arange(40.0), 2 * np.arange(40.0))
    known = np.ones((40, 40), bool)
    known[8:30, 10:33] = False
    assert np.abs(membrane(slope, known) - slope).max() < 0.6


def test_the_ends() -> None:
    image = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert np.array_equal(membrane(image, np.ones((3, 4), bool)), image)
    assert not membrane(image, np.zeros((3, 4), bool)).any()
    one = np.zeros((3, 4), bool)
    one[2, 1] = True
    assert np.allclose(membrane(image, one), 9)
    assert np.allclose(membrane(np.array([[5, 0, 0]]), np.array([[True, False, False]])), 5)
