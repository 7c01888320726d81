"""Faces and holes in memory: what a set knows of itself, and its subsets."""

from __future__ import annotations

import numpy as np
import pytest

from faceinpaint.data.sets import FaceSet
from faceinpaint.errors import DataError


def face_set(n: int = 4, size: int = 16) -> FaceSet:
    images = np.arange(n, dtype=np.uint8)[:, None, None, None] + np.zeros((1, size, size, 3), np.uint8)
    ids = tuple(f"f{i}" for i in range(n))
    return FaceSet(images, images[..., 0], ids, tuple(f"{i:064d}" for i in range(n)), "test faces")


def test_face_set_knows_its_length_and_size():
    faces = face_set(3, 16)
    assert len(faces) == 3
    assert faces.size == 16


@pytest.mark.parametrize("which", [["f2", "f0"], [2, 0], np.array([2, 0])])
def test_subset_by_id_or_index_keeps_the_order_asked_for(which):
    chosen = face_set().subset(which)
    assert chosen.ids == ("f2", "f0")
    assert chosen.images[:, 0, 0, 0].tolist() == [2, 0]
    assert chosen.labels[:, 0, 0].tolist() == [2, 0]
    assert chosen.sha256 == (f"{2:064d}", f"{0:064d}")


def test_subset_of_neighbours_copies_nothing():
    faces = face_set()
    assert np.shares_memory(faces.subset([1, 2]).images, faces.images)
    assert not np.shares_memory(faces.subset([2, 1]).images, faces.images)


@pytest.mark.parametrize("which", [["nobody"], [4], [-1]])
def test_subset_refuses_what_is_not_there(which):
    with pytest.raises(DataError, match="is no face of test faces"):
        face_set().subset(which)


def test_empty_subset():
    assert len(face_set().subset([])) == 0


def test_face_set_refuses_what_does_not_belong_together():
    good = face_set(2)
    for images, labels, ids, sha256 in [
        (good.images[:1], good.labels, good.ids, good.sha256),
        (good.images, good.labels[:, :8], good.ids, good.sha256),
        (good.images, good.labels, ("a", "a"), good.sha256),
        (good.images, good.labels, good.ids, good.sha256[:1]),
    ]:
        with pytest.raises(DataError, match="do not belong together"):
            FaceSet(images, labels, ids, sha256, "x")
