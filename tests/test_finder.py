"""The face detector: its file, its landmarks, and the frame that follows from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.toy import toy_faces
from faceinpaint.errors import CheckpointError
from faceinpaint.repair import finder
from faceinpaint.repair.finder import Sight, apart, look_closely
from faceinpaint.repair.framing import Box, Frame

EYES, MOUTH = np.array([[130, 108], [170, 108]]), 152
"""Of the portrait, roughly, as a reader sees them."""


def level(x: float, y: float, side: float, score: float = 0.9) -> Sight:
    """An upright face whose eyes are a quarter of ``side`` apart."""
    points = np.array([[-0.125, 0], [0.125, 0], [0, 0.13], [-0.1, 0.26], [0.1, 0.26]]) * side + (x, y)
    return Sight(score, points)


def test_the_frame_is_that_of_karras_and_others() -> None:
    x, y, side, tilt = level(100, 100, 80).frame
    assert side == pytest.approx(80 / finder.ENLARGED)
    assert (x, tilt) == (pytest.approx(100), pytest.approx(0))
    assert y == pytest.approx(100 + 0.1 * 0.26 * 80 - finder.LOWERED * side)


@pytest.mark.parametrize("turn", [30, 90, 180, -120])
def test_the_frame_turns_with_the_face(turn: float) -> None:
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    matrix = np.array([[c, -s, 7], [s, c, -3]])
    sight = level(100, 100, 80)
    x, y, side, tilt = sight.moved(matrix).frame
    assert (x, y) == pytest.approx(tuple(matrix @ [*sight.frame[:2], 1]))
    assert side == pytest.approx(sight.frame[2])
    assert (tilt - turn + 180) % 360 - 180 == pytest.approx(0, abs=1e-6)


def test_a_mirrored_face_has_its_left_eye_on_the_left() -> None:
    sight = level(100, 100, 80).mirrored(300)
    assert sight.frame == pytest.approx((200, *level(100, 100, 80).frame[1:]))
    assert sight.points[0, 0] < sight.points[1, 0]


def test_sights_of_one_face_are_joined_and_a_frame_that_swallows_others_is_dropped() -> None:
    found = apart([level(100, 100, 80, 0.9), level(102, 100, 84, 0.8), level(300, 100, 80), level(120, 110, 400, 0.4)])
    assert [round(s.score, 1) for s in found] == [0.9, 0.9]
    assert 80 < found[0].frame[2] * finder.ENLARGED < 84
    group = [level(x, y, 80) for x in (100, 220) for y in (100, 220)]
    assert len(apart([*group, level(160, 160, 300, 0.7)])) == 4, "the middles of all are far from its own"


def test_eyes_and_mouth_of_a_real_face_are_seen() -> None:
    (sight, *_) = look_closely(data.astronaut()[:260, 80:340].astype(np.float32))
    assert sight.score > 0.8
    assert np.abs(sight.points[:2] - EYES).max() < 12
    assert np.abs(sight.points[3:, 1] - MOUTH).max() < 12


@pytest.mark.parametrize(
    ("upright", "quarters", "believed"),
    [
        (0.6, (0.74, 0.0, 0.0), 0),  # clearer, and not sure enough
        (0.6, (0.76, 0.0, 0.0), 1),
        (0.8, (0.0, 0.79, 0.0), 0),  # sure enough, and not surer
        (0.86, (0.0, 0.99, 0.0), 0),  # it is sure as it lies
        (0.5, (0.9, 0.86, 0.95), 3),  # the surest
        (None, (0.0, 0.8, 0.3), 2),
        (None, (0.7, 0.0, 0.0), None),
    ],
)
def test_a_face_in_a_turned_picture_must_be_surer_than_any_other_and_sure_enough(
    upright: float | None, quarters: tuple[float, ...], believed: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(picture: np.ndarray, turn: int = 0) -> list[Sight]:
        score = quarters[turn - 1] if turn else upright
        return [] if score is None else [level(100 + turn, 100, 80, score)]

    monkeypatch.setattr(finder, "look_closely", seen)
    found = finder.search(np.zeros((64, 64, 3)))
    assert [round(sight.frame[0] - 100) for sight in found] == ([] if believed is None else [believed])


def test_the_page_believes_what_the_library_believes() -> None:
    script = Path(__file__).resolve().parents[1] / "book" / "_assets" / "repair_finder.js"
    text = script.read_text(encoding="utf-8")
    assert f"const [SURE, TURNED] = [{finder.SURE}, {finder.TURNED}];" in text
    assert "other[0].score >= Math.max(TURNED, best.length ? best[0].score : 0)" in text
    for name in ("STEP", "LEAST", "LEAST_SIDE", "ZOOM", "STRAIGHT"):
        assert f"const {name} = {getattr(finder, name)};" in text


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "centerface.onnx"
    other.write_bytes(finder.FILE.read_bytes()[:-1] + b"\0")
    for path in (other, tmp_path / "absent.onnx"):
        monkeypatch.setattr(finder, "FILE", path)
        finder._network.cache_clear()
        with pytest.raises(CheckpointError, match="not the face detector"):
            finder._network()
    monkeypatch.undo()
    finder._network.cache_clear()


def test_the_record_of_found_faces_counts_right_wrong_and_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "tools"))
    import find_faces
    from find_faces import ABOVE, NONE, UP_TO_HALF, counted

    photo, mask, true = np.zeros((200, 200, 3), np.uint8), np.eye(200, dtype=bool), Frame.on_pixels(100, 100, 60)
    right, wrong = Box.framed(104, 100, 60), Box.framed(150, 100, 60)
    told = {
        UP_TO_HALF: ([right], [wrong, right], []),
        ABOVE: ([wrong], [right], []),
        NONE: ([], [right]),
    }
    answers = [answer for group in told.values() for answer in group]
    shown = [(group, photo, mask, None if group == NONE else true) for group, found in told.items() for _ in found]

    class Tool:
        def find(self, colours: np.ndarray, hole: np.ndarray) -> tuple[list[Box], list[str]]:
            assert not colours[hole].any()
            return answers.pop(0), []

    assert counted(Tool(), iter(shown)) == {
        UP_TO_HALF: {"right": 2, "wrong": 0, "refused": 1},
        ABOVE: {"right": 1, "wrong": 1, "refused": 1},
        NONE: {"right": 0, "wrong": 1, "refused": 1},
    }
    apart_ = Frame.on_pixels(112, 100, 60), Frame.on_pixels(100, 100, 90), Frame.on_pixels(100, 100, 60, 30)
    assert find_faces.near(Frame.on_pixels(108, 100, 70), true)
    assert not any(find_faces.near(other, true) for other in apart_)


def test_the_pictures_of_that_record_have_holes_where_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[1] / "tools"))
    from find_faces import ABOVE, NONE, SHIFTED, pictures

    some = drawn_holes(100, 64)
    holes = replace(some, holes=np.concatenate([some.holes[:-1], np.ones((1, 64, 64), np.uint8)]), fractions=None)
    made = list(pictures(toy_faces(2, 64, "test"), holes, 3, np.random.default_rng(0)))
    assert [group for group, *_ in made].count(NONE) == 3
    for group, photo, mask, true in made:
        assert photo.shape[:2] == mask.shape
        assert mask.any()
        if group == NONE:
            assert true is None
            continue
        inside = true.cut(mask.astype(np.float32), mirrored=False) > 0.5
        assert inside.sum() <= mask.sum() + 8
        if group != SHIFTED:
            assert inside.sum() >= 0.98 * mask.sum(), "no hole beside the face's picture"
            assert (inside.mean() > 0.5) == (group == ABOVE)


def test_threads_that_look_at_once_see_what_one_sees() -> None:
    picture = data.astronaut()[::2, ::2].copy()
    pictures = [picture, picture[:, ::-1].copy()]
    alone = [finder.look(p) for p in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(finder.look, pictures * 8))
    for i, seen in enumerate(together):
        assert [s.score for s in seen] == [s.score for s in alone[i % 2]]
        assert all((a.points == b.points).all() for a, b in zip(seen, alone[i % 2], strict=True))
