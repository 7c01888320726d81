"""The sheet of before and after: the face and not the scene, and the hole as a hole."""

from __future__ import annotations

import numpy as np
import pytest

from faceinpaint.data.toy import draw
from faceinpaint.repair.framing import Box, Frame
from faceinpaint.repair.repaired import Face, Repair, comparison

LEFT, RIGHT = Box(92, 79, 83, 83), Box(317, 79, 83, 83)


def face(frame: Frame, box: Box | None = None) -> Face:
    """As the networks of 32 pixels saw it: all of it skin."""
    small = np.zeros((32, 32), np.uint8)
    return Face(frame, box, small[..., None].repeat(3, 2), small, small + 1, small[..., None].repeat(3, 2))


def drawn() -> tuple[np.ndarray, np.ndarray]:
    hole = np.zeros((60, 80), np.uint8)
    hole[15:30, 26:53] = 1
    return draw(5, 80)[0][:60], hole


def test_the_comparison_shows_the_face_before_with_its_hole_and_after() -> None:
    photo, hole = drawn()
    whole = (face(Frame.whole(60, 80)),)
    for kind in (photo, photo[..., 0], photo.astype(np.uint16) * 257, np.dstack([photo, photo[..., 0]])):
        sheet = comparison(kind, hole, Repair(kind, whole, 0), 60)
        assert sheet.shape == (60 + 32, 4 * 80 + 40, 3)
        before, mask, regions, after = (sheet[24:84, 8 + i * 88 : 88 + i * 88] for i in range(4))
        assert np.array_equal(mask[..., 0] > 0, hole == 1)
        assert set(np.unique(before[hole == 1])) == {118, 158}
        assert np.array_equal(before[hole == 0], after[hole == 0])
        assert not np.array_equal(regions, after)
    assert comparison(photo, hole, Repair(photo, whole, 0), 30).shape == (62, 200, 3)


def test_the_comparison_of_a_large_scene_shows_each_face_in_a_row() -> None:
    photo, hole = np.full((300, 500, 3), 200, np.uint8), np.zeros((300, 500), np.uint8)
    hole[100:118, 140:160] = hole[100:118, 365:385] = 1
    faces = tuple(face(Frame.around(box), box) for box in (LEFT, RIGHT))
    assert faces[0].frame.side < 256
    sheet = comparison(photo, hole, Repair(photo, faces, 0))
    assert sheet.shape[0] == pytest.approx(2 * (256 + 32), abs=2)  # small faces are enlarged
    assert (sheet[24:280, 8:264, 0] == 118).mean() > 0.005  # the hole takes a good part of what is shown


def test_the_comparison_shows_the_hole_where_no_face_was_repaired() -> None:
    photo, hole = np.full((300, 500, 3), 200, np.uint8), np.zeros((300, 500), np.uint8)
    hole[20:38, 20:40] = 1
    sheet = comparison(photo, hole, Repair(photo, (), 360))
    width = (sheet.shape[1] - 40) // 4
    mask = sheet[24:-8, 16 + width : 16 + 2 * width, 0]
    assert 0.08 < (mask > 0).mean() < 0.3
