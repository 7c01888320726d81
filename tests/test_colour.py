"""The line of a photograph's colours, and colours held near it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faceinpaint.repair import colour
from faceinpaint.repair.colour import Line, line_of

ANY = np.random.default_rng(0).integers(0, 256, (500, 3))


def test_grey_stays_grey_to_the_last_level() -> None:
    line = line_of(np.repeat(np.arange(256)[:, None], 3, axis=1), 255)
    held = line.held(ANY, 255)
    assert (held == held[:, :1]).all()
    assert np.abs(held[:, 0] - ANY.mean(1)).max() <= 0.51


@given(st.tuples(*[st.floats(0.2, 1)] * 3), st.tuples(*[st.floats(0, 30)] * 3))
def test_a_tint_stays_on_its_line(tint: tuple[float, ...], offset: tuple[float, ...]) -> None:
    known = np.rint(np.linspace(0, 220, 200)[:, None] * tint + offset)
    line = line_of(known, 255)
    assert line.distance(line.held(ANY, 255)).max() <= max(line.distance(known).max(), 1)


def test_a_colourful_photograph_lends_all_its_colours() -> None:
    line = line_of(ANY, 255)
    assert np.array_equal(line.held(ANY, 255), ANY)


def test_a_few_coloured_pixels_do_not_colour_a_grey_photograph() -> None:
    known = np.repeat(np.linspace(0, 255, 2000).round()[:, None], 3, axis=1)
    known[:5] = (255, 0, 0)
    assert line_of(known, 255).reach < 3


def test_a_photograph_without_colour_takes_no_detour(monkeypatch) -> None:
    # Rounding of 1e-14 once counted as "off the line", and each hole pixel of a grey photograph got 104 candidates.
    rng = np.random.default_rng(0)
    grey = line_of(np.repeat(rng.integers(0, 256, (500, 1)), 3, axis=1), 255)
    monkeypatch.setattr(Line, "_nearest", None)  # not to be called
    held = grey.held(rng.uniform(0, 255, (500, 3)), 255)
    assert (held == held[:, :1]).all()


def test_many_colours_are_looked_at_in_pieces(monkeypatch) -> None:
    rng = np.random.default_rng(1)
    known = np.rint(rng.uniform(20, 230, (4000, 1)) * [1, 0.8, 0.6]).astype(np.uint8)
    wanted = rng.uniform(0, 255, (300, 3))
    whole = line_of(known, 255)
    for name, value in (("STRIP", 700), ("AT_ONCE", 7)):
        monkeypatch.setattr(colour, name, value)
    pieces = line_of(known, 255)
    assert np.allclose(pieces.centre, whole.centre)
    assert np.allclose(abs(pieces.along @ whole.along), 1)
    assert np.isclose(pieces.reach, whole.reach)
    np.testing.assert_array_equal(pieces.held(wanted, 255), whole.held(wanted, 255))
    monkeypatch.setattr(colour, "SAMPLE", 1000)  # of some of them it is told how far nearly all are
    assert abs(line_of(known, 255).reach - whole.reach) < 0.1
