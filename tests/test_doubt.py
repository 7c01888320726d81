"""The second opinion: a drawn face is believed, and what is none is doubted with the reason."""

from __future__ import annotations

import numpy as np
import pytest

from faceinpaint.data.toy import toy_faces
from faceinpaint.regions import merge_classes
from faceinpaint.repair.doubt import CLEARLY, FEW, MOUTH, SKIN, certainty_of, doubt, unsure

NOTHING = np.zeros((64, 64), np.uint8)


def maps() -> list[np.ndarray]:
    return [merge_classes(labels, "regions") for labels in toy_faces(12, 64, "test").labels]


def test_drawn_faces_are_believed_with_a_hole_and_without() -> None:
    half = NOTHING.copy()
    half[:, 32:] = 1
    for regions in maps():
        assert doubt(regions, NOTHING) is None
        assert doubt(regions, half) is None


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_frame_that_is_turned_is_doubted(turn: int) -> None:
    reasons = [doubt(np.rot90(regions, turn), NOTHING) for regions in maps()]
    assert sum(reason is not None for reason in reasons) >= 11


def test_each_reason_is_given() -> None:
    everything = np.ones((64, 64), np.uint8)
    skin = np.full((64, 64), SKIN, np.uint8)
    upper_mouth = skin.copy()
    upper_mouth[10:16, 24:40] = MOUTH
    assert doubt(skin, everything) == "0% of it are left"
    assert doubt(NOTHING, NOTHING) == "100% of what is left of it do not look like one"
    assert doubt(skin, NOTHING) == "neither eyes nor nose nor mouth are seen"
    assert doubt(upper_mouth, NOTHING) == "the mouth would not be in its place"


def test_the_more_is_left_of_a_face_the_surer_must_the_detector_be() -> None:
    half = NOTHING.copy()
    half[:, 32:] = 1
    for score, hole, sure in ((0.9, NOTHING, True), (0.7, NOTHING, False), (0.7, half, True), (0.6, half, False)):
        assert (unsure(score, hole) is None) == sure
    assert unsure(0.3, NOTHING) == "the detector is not sure enough of it"


def test_a_face_that_is_looked_at_again_is_judged_by_that_alone() -> None:
    for score, again, sure in ((0.1, CLEARLY, True), (0.99, CLEARLY - 0.01, False)):
        assert (unsure(score, NOTHING, again) is None) == sure
    assert unsure(0.1, NOTHING, 0.9, -0.1) is None
    assert unsure(0.1, NOTHING, 0.9, -0.4) is not None, "the parser guessed what was missing"
    assert unsure(0.8, NOTHING, 0.5) == "repaired there, it is not seen as one"


def test_the_certainty_is_that_of_the_hole_and_none_where_there_is_hardly_one() -> None:
    hole, likely = NOTHING.copy(), np.full((64, 64), -0.01)
    hole[10:20, 10:30] = 1
    likely[10:20, 10:20], likely[10:20, 20:30] = -0.2, -0.4
    assert certainty_of(likely, hole) == pytest.approx(-0.3)
    hole[11:] = 0
    assert hole.mean() < FEW
    assert certainty_of(likely, hole) == -np.inf
