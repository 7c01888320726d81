"""The two fills that learn nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from faceinpaint.models.baselines import MeanFill, Telea

pytestmark = pytest.mark.usefixtures("seeded")

FILLS = {"mean": MeanFill, "telea": Telea}


def eight_bits(x: Tensor) -> Tensor:
    """The nearest picture of 256 levels, in [-1, 1]."""
    return ((x + 1) * 127.5).round() / 127.5 - 1


def sample(batch: int = 3, height: int = 32, width: int = 48) -> tuple[Tensor, Tensor]:
    image = eight_bits(torch.rand(batch, 3, height, width) * 2 - 1)
    hole = torch.zeros(batch, 1, height, width)
    for b in range(batch):
        hole[b, 0, 4 + b : 14 + 3 * b, 6 + 4 * b : 30 + b] = 1
    return image, hole


@pytest.mark.parametrize("name", FILLS)
def test_known_pixels_stay_and_the_hole_is_filled(name: str) -> None:
    image, hole = sample()
    out = FILLS[name]()(image, hole)
    assert out.coarse is None
    assert out.image.shape == image.shape
    assert out.image.dtype == torch.float32
    known = hole.expand_as(image) == 0
    torch.testing.assert_close(out.image[known], image[known], rtol=0, atol=1e-6)
    assert out.image.abs().max() <= 1


@pytest.mark.parametrize("name", FILLS)
def test_nothing_is_learned_from_under_the_hole_or_the_parsing_map(name: str) -> None:
    image, hole = sample()
    fill = FILLS[name]()
    assert list(fill.parameters()) == []
    assert list(fill.state_dict()) == []
    assert isinstance(fill, nn.Module)
    first = fill(image, hole).image
    other = torch.where(hole > 0, torch.rand_like(image) * 2 - 1, image)
    assert torch.equal(fill(other, hole, torch.randint(0, 9, (3, 32, 48))).image, first)
    before = image.clone(), hole.clone()
    assert torch.equal(fill(image, hole).image, first)  # the same each time
    assert torch.equal(image, before[0])  # and nothing is changed in place
    assert torch.equal(hole, before[1])


@pytest.mark.parametrize("name", FILLS)
def test_each_photograph_is_filled_by_itself(name: str) -> None:
    image, hole = sample()
    fill = FILLS[name]()
    together = fill(image, hole).image
    for b in range(3):
        torch.testing.assert_close(fill(image[b : b + 1], hole[b : b + 1]).image[0], together[b], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FILLS)
def test_an_empty_hole_changes_nothing(name: str) -> None:
    image, hole = sample()
    torch.testing.assert_close(FILLS[name]()(image, 0 * hole).image, image, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", FILLS)
def test_nothing_known_gives_grey(name: str) -> None:
    image, hole = sample()
    hole[1] = 1
    out = FILLS[name]()(image, hole).image
    assert out[1].abs().max() < 0.01
    assert out[0].abs().max() > 0.5  # the others are filled as ever


@pytest.mark.parametrize("name", FILLS)
def test_a_plain_photograph_stays_plain(name: str) -> None:
    colour = eight_bits(torch.tensor([-0.9, 0.1, 0.7]))
    image = colour.view(1, 3, 1, 1).expand(1, 3, 40, 40)
    hole = torch.zeros(1, 1, 40, 40)
    hole[..., 8:30, 12:33] = 1
    # OpenCV rounds at every pixel that it fills from filled ones: a few levels of 256 in the middle.
    tolerance = {"mean": 1e-6, "telea": 5 / 127.5}[name]
    torch.testing.assert_close(FILLS[name]()(image, hole).image, image, rtol=0, atol=tolerance)


def test_mean_fill_is_the_mean_of_the_known_pixels() -> None:
    image, hole = sample()
    out = MeanFill()(image, hole).image
    for b in range(3):
        inside = hole[b, 0] > 0
        for c in range(3):
            known = image[b, c][~inside].tolist()
            filled = out[b, c][inside]
            assert filled.min() == filled.max()
            assert filled[0].item() == pytest.approx(math.fsum(known) / len(known), abs=1e-6)


def test_telea_carries_a_slope_into_the_hole_and_the_mean_does_not() -> None:
    slope = torch.linspace(-0.8, 0.8, 48).view(1, 1, 1, 48).expand(1, 3, 32, 48)
    hole = torch.zeros(1, 1, 32, 48)
    hole[..., 10:20, 30:40] = 1  # the mean of the picture is 0, here it is bright
    inside = hole.expand_as(slope) > 0
    errors = {name: (FILLS[name]()(slope, hole).image - slope)[inside].abs().mean().item() for name in FILLS}
    assert errors["telea"] < 0.1
    assert errors["mean"] > 0.3


def test_telea_fills_from_the_edge_that_is_near() -> None:
    image = torch.full((1, 3, 32, 32), -1.0)
    image[..., 16:] = 1
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 8:24, 8:24] = 1
    out = Telea()(image, hole).image[0].mean(0)
    assert out[12:20, 9].max() < -0.9
    assert out[12:20, 22].min() > 0.9


def test_telea_gives_eight_bits_and_its_radius_counts() -> None:
    image, hole = sample()
    out = Telea()(image, hole).image
    torch.testing.assert_close(out, eight_bits(out), rtol=0, atol=1e-6)
    assert not torch.equal(Telea(radius=8)(image, hole).image, out)


def test_telea_takes_values_beyond_the_range_and_soft_masks() -> None:
    image, hole = sample()
    out = Telea()(image * 1.5, hole).image
    torch.testing.assert_close(out, Telea()((image * 1.5).clamp(-1, 1), hole).image)
    torch.testing.assert_close(Telea()(image, hole * 0.9).image, Telea()(image, hole).image)


def test_fills_need_no_gradient() -> None:
    image, hole = sample(1)
    image.requires_grad_()
    assert Telea()(image, hole).image.isfinite().all()
    (gradient,) = torch.autograd.grad(MeanFill()(image, hole).image.sum(), image)
    assert (gradient[hole.expand_as(image) > 0] == 0).all()
