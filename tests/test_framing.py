"""Finding a face and framing it: the geometry of frames, and the detector on the one photograph that ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from faceinpaint.data.toy import draw
from faceinpaint.errors import ConfigError
from faceinpaint.repair import framing
from faceinpaint.repair.framing import (
    BOX_CENTRE,
    BOX_SHARE,
    FAR,
    MOVES,
    STEP,
    WIDER,
    Box,
    Frame,
    check_frame,
    find_faces,
    owners,
    parse_box,
    settled,
)

FACE = 93, 72, 92, 92
"""Where a reader sees the face of the portrait below."""


def test_an_upright_frame_cuts_and_puts_back_exactly() -> None:
    image, _ = draw(1, 90)
    for frame in (Frame.on_pixels(40, 30, 31), Frame.on_pixels(39.7, 30.2, 40), Frame.on_pixels(45, 45, 90)):
        rows, columns = frame.place(90, 90)
        cut = frame.cut(image)
        assert cut.shape == (frame.side, frame.side, 3)
        assert np.array_equal(cut, image[rows, columns])
        assert np.array_equal(frame.put_back(cut.astype(np.float32), (rows, columns)), image[rows, columns])


def test_beyond_the_photograph_it_is_mirrored() -> None:
    image, _ = draw(1, 60)
    frame = Frame.on_pixels(5, 55, 40)
    cut = frame.cut(image)
    rows, columns = frame.place(60, 60)
    assert np.array_equal(cut[:25, 15:], image[35:, :25])
    assert np.array_equal(cut[:25, :15], image[35:, 14::-1])
    assert np.array_equal(cut[25:, 15:], image[59:44:-1, :25])
    back = frame.put_back(cut.astype(np.float32), (rows, columns))
    assert np.array_equal(back, image[rows, columns])
    assert not frame.cut(image, mirrored=False)[25:].any()


def test_a_tilted_frame_turns_the_face_upright() -> None:
    image, _ = draw(2, 128)
    turned = np.asarray(Image.fromarray(image).rotate(-30, Image.Resampling.BICUBIC))  # clockwise by 30 degrees
    frame = Frame.on_pixels(64, 64, 80, 30)
    straight = Frame.on_pixels(64, 64, 80).cut(image)
    difference = np.abs(frame.cut(turned).astype(float) - straight)
    assert difference.mean() < 3
    assert np.abs(Frame.on_pixels(64, 64, 80, -30).cut(turned).astype(float) - straight).mean() > 5 * difference.mean()
    where = frame.place(128, 128)
    rows, columns = np.ogrid[where]
    inside = frame.distance(rows, columns) < 0.95
    back = frame.put_back(frame.cut(turned.astype(np.float32)), where)
    assert np.abs(back - turned[where])[inside].mean() < 3


def test_a_tilted_box_moves_along_its_own_sides() -> None:
    box = Box(40, 50, 120, 100, 90).moved(0.5, 0.25, 2)
    assert box.centre == pytest.approx((100 - 25, 100 + 60)), "its right is down, its down is left"
    assert box[2:] == (240, 200, 90)


def test_a_box_is_settled_where_it_is_judged_best_and_no_farther_than_it_may_go() -> None:
    start, asked = Box(100, 100, 100, 100), []

    def near(target: Box):
        def judge(box: Box) -> float:
            asked.append(box)
            return (
                -float(np.abs(np.subtract(box.centre, target.centre)).sum()) / 50 - abs(box.width - target.width) / 50
            )

        return judge

    for target in (start, start.moved(STEP, -STEP, 1), start.moved(0, STEP, WIDER)):
        assert settled(start, near(target)) == pytest.approx(target)
    far = settled(start, near(start.moved(40 * STEP, 0, 1)))
    assert far == pytest.approx(start.moved(MOVES * STEP, 0, 1))
    assert len(asked) == len(set(asked[:7])) + len(asked[7:]), "no box is judged twice"
    assert settled(start, lambda box: 0.9 * FAR * (box != start)) == start, "hardly better is not worth a step"


def test_a_box_in_its_frame_lies_where_it_lies_in_celeba_hq() -> None:
    frame = Frame.around(Box(100, 200, 64, 64))
    assert abs(frame.side - 64 / BOX_SHARE) <= 1
    left, top = frame.x - (frame.side - 1) / 2, frame.y - (frame.side - 1) / 2
    assert ((131.5 - left) / frame.side, (231.5 - top) / frame.side) == pytest.approx(BOX_CENTRE, abs=0.01)
    tilted = Frame.around(Box(100, 200, 64, 64, 90))  # the crown of the head points to the right
    assert tilted.x > 132
    assert tilted.y == pytest.approx(231.5, abs=1.5)
    assert Frame.whole(40, 60) == Frame(29.5, 19.5, 60)


def test_a_pixel_belongs_to_the_nearest_frame() -> None:
    frames = [Frame.on_pixels(20, 20, 20), Frame.on_pixels(32, 20, 20), Frame.on_pixels(80, 20, 10)]
    rows, columns = np.array([20, 20, 20, 20, 60]), np.array([12, 24, 28, 80, 20])
    assert owners(frames, rows, columns).tolist() == [0, 0, 1, 2, -1]
    assert owners([], rows, columns).tolist() == [-1] * 5


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,x", "1,2,0,5", "1,2,3,nan", "1,2,3,4,5,6", "1,2,3,-4", "1e9,2,3,4"]
)
def test_boxes_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not that of a face"):
        parse_box(text)


def test_a_frame_may_be_larger_than_the_photograph_but_not_without_end() -> None:
    check_frame(Box(0, 0, 160, 160), 40, 64)
    with pytest.raises(ConfigError, match="at most 256 x 256"):
        check_frame(Box(0, 0, 170, 170), 40, 64)
    check_frame(Box(0, 0, 21000, 21000), 40, 12000)
    with pytest.raises(ConfigError, match=f"at most {framing.LONGEST} x {framing.LONGEST}"):
        check_frame(Box(0, 0, 22000, 22000), 40, 12000)


def test_boxes_are_read_and_written_alike() -> None:
    assert parse_box("1, 2.4,30,40") == Box(1, 2.4, 30, 40, 0)
    assert str(parse_box("1,2,30,40,-15")) == "1,2,30,40,-15"
    assert str(parse_box("1,2,30,40")) == "1,2,30,40"


def near(box: Box, face: tuple[float, ...] = FACE, tilt: float = 0) -> bool:
    wanted = Box(*face)
    apart = np.hypot(*np.subtract(box.centre, wanted.centre))
    lean = (box.tilt - tilt + 180) % 360 - 180
    return bool(apart < 0.2 * wanted.width and 0.8 < box.width / wanted.width < 1.25 and abs(lean) < 12)


def portrait() -> np.ndarray:
    """The astronaut down to the shoulders: faster than all of the photograph."""
    return np.ascontiguousarray(data.astronaut()[:260, 80:340])


def eye() -> np.ndarray:
    hole = np.zeros((260, 260), bool)
    hole[80:135, 135:185] = True
    return hole


def test_the_face_of_a_photograph_is_found_though_half_of_it_is_missing() -> None:
    found = find_faces(portrait(), eye())
    assert len(found) == 1
    assert near(found[0])
    black = np.where(eye()[..., None], 0, portrait())
    assert find_faces(black, eye()) == found  # what lies under the hole is not looked at


@pytest.mark.parametrize("tilt", [40, 90, 180, -90, 140])
def test_a_face_is_found_at_any_angle(tilt: int) -> None:
    wide = np.full((420, 420, 3), 90, np.uint8)
    wide[80:340, 80:340] = portrait()
    picture = np.asarray(Image.fromarray(wide).rotate(-tilt, Image.Resampling.BICUBIC))
    one_eye = np.zeros((420, 420), bool)
    one_eye[175:195, 220:245] = True
    hole = np.asarray(Image.fromarray(one_eye).rotate(-tilt))
    c, s = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
    x, y = FACE[0] + 80 + FACE[2] / 2 - 210, FACE[1] + 80 + FACE[3] / 2 - 210
    x, y = 210 + c * x - s * y, 210 + s * x + c * y
    found = find_faces(picture, hole)
    assert [near(box, (x - FACE[2] / 2, y - FACE[3] / 2, *FACE[2:]), tilt) for box in found] == [True], found


def test_a_small_face_in_a_large_photograph_is_found_near_the_hole() -> None:
    """At the first look it is too small; the second looks around the hole alone."""
    wide = np.full((3000, 5200, 3), 120, np.uint8)
    wide[300:560, 900:1160] = portrait()
    hole = np.zeros((3000, 5200), bool)
    hole[395:415, 1040:1065] = True
    found = find_faces(wide, hole)
    assert [near(box, (FACE[0] + 900, FACE[1] + 300, *FACE[2:])) for box in found] == [True]


def test_of_several_faces_only_the_touched_one_is_taken_and_none_is_swallowed() -> None:
    row = np.hstack([portrait()] * 3)
    hole = np.zeros((260, 780), bool)
    hole[95:115, 260 + 140 : 260 + 165] = True
    assert [near(box, (FACE[0] + 260, *FACE[1:])) for box in find_faces(row, hole)] == [True]


def test_a_face_cut_by_the_edge_is_framed_beyond_it() -> None:
    half = portrait()[:, :140]
    hole = np.zeros((260, 140), bool)
    hole[90:110, 100:120] = True
    found = find_faces(np.ascontiguousarray(half), hole)
    assert [near(box) for box in found] == [True]
    assert found[0].x + found[0].width > 140


def test_where_there_is_no_face_none_is_found() -> None:
    flat = np.full((200, 200, 3), 90, np.uint8)
    assert find_faces(flat, np.eye(200, dtype=bool)) == []
    assert find_faces(flat, np.ones((200, 200), bool)) == []
    assert find_faces(flat[:20, :20], np.eye(20, dtype=bool)) == []


@pytest.mark.realdata
def test_the_frame_is_that_of_celeba_hq(realdata: Path) -> None:
    frames = []
    # The sides of 60 faces have a median that is off by 5 pixels now and then.
    for path in sorted((realdata / "celebamask-hq-256" / "test" / "images").iterdir())[:210]:
        picture = np.pad(np.asarray(Image.open(path).convert("RGB")), [(64, 64), (64, 64), (0, 0)])
        for box in find_faces(picture, np.zeros(picture.shape[:2], bool))[:1]:
            frame = Frame.around(box)
            frames.append((frame.x - 191.5, frame.y - 191.5, frame.side, frame.tilt))
    assert len(frames) >= 206
    assert np.median(frames, axis=0) == pytest.approx([0, 0, 256, 0], abs=4)


def test_a_square_that_cannot_be_cut_out_is_refused_whole_photographs_too() -> None:
    assert Frame.whole(200, framing.LONGEST).side == framing.LONGEST
    with pytest.raises(ConfigError, match="33000 x 200 is more than"):
        Frame.whole(200, 33000)
