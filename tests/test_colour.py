"""The line of a photograph's colours, and colours held near it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faceinpaint.repair.colour import line_of

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
