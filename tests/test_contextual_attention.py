"""DeepFill v1: layer counts, SAME padding, and the attention against loops written from its description."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models.contextual_attention import ContextualAttention, conv
from faceinpaint.models.refinement import SameConv2d, to_picture

pytestmark = pytest.mark.usefixtures("seeded")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def faces(batch: int, height: int = 64, width: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Photographs of noise in [-1, 1] with one irregular hole each, a box and a stroke, no two alike."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, height, width, generator=generator) * 2 - 1
    hole = torch.zeros(batch, 1, height, width)
    for i in range(batch):
        top, left = torch.randint(0, height // 2, (2,), generator=generator).tolist()
        hole[i, 0, top : top + 18 + i, left : left + 15] = 1
        hole[i, 0, 5 * i + 3, :] = 1
    return image, hole


# --- the net --------------------------------------------------------------------------------------------------------


def test_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        net = ContextualAttention()
    assert count(net.coarse) == 1_448_227
    assert count(net.refine) == 2_153_315
    assert count(net) == 3_601_542


def test_layers_in_order() -> None:
    net = ContextualAttention(32)
    layers = [m for m in net.coarse.modules() if isinstance(m, SameConv2d)]
    assert [m.out_channels for m in layers] == [32, 64, 64, *[128] * 9, 64, 64, 32, 16, 3]
    assert [m.kernel_size[0] for m in layers] == [5] + [3] * 16
    assert [m.stride[0] for m in layers] == [1, 2, 1, 2] + [1] * 13
    assert [m.dilation[0] for m in layers] == [1] * 6 + [2, 4, 8, 16] + [1] * 7
    paint = [m for m in net.refine.paint.modules() if isinstance(m, SameConv2d)]
    assert [m.out_channels for m in paint] == [32, 32, 64, 64, 128, 128, 128, 128, 128, 128]
    match = [m for m in net.refine.match.modules() if isinstance(m, SameConv2d)]
    assert [m.out_channels for m in match] == [32, 32, 64, 128, 128, 128]
    assert [type(m[1]) for m in net.refine.match] == [nn.ELU] * 5 + [nn.ReLU]
    assert len(to_picture(conv, 128, 32)) == 7


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (32, 32)])
def test_output_shape_and_range(height: int, width: int) -> None:
    net = ContextualAttention(8)
    image, hole = faces(2, height, width)
    with torch.no_grad():
        net.refine.merge[-1].bias.fill_(0.9)
        net.coarse[-1].bias.fill_(-2)
        out = net(image, hole, None)
    assert out.image.shape == out.coarse.shape == image.shape
    assert out.image.abs().max() <= 1
    assert (out.coarse == -1).any()
    assert out.coarse.min() == -1
    assert net.attention_map(image, hole).shape == (2, height * width // 64, height * width // 64)


def test_whole_picture_missing() -> None:
    net = ContextualAttention(8)
    image, _ = faces(2)
    out = net(image, torch.ones(2, 1, 64, 64))
    assert out.image.isfinite().all()
    assert net.attention_map(image, torch.ones(2, 1, 64, 64)).eq(0).all()
    assert net(image, torch.zeros(2, 1, 64, 64)).image.isfinite().all()


def test_gradients_reach_every_parameter() -> None:
    net = ContextualAttention(8)
    image, hole = faces(2)
    net(image, hole).image.square().mean().backward()  # through the second stage into the first
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_no_peeking_under_the_hole() -> None:
    net = ContextualAttention(8)
    image, hole = faces(2)
    other = torch.where(hole > 0, torch.rand_like(image), image)
    assert not other.equal(image)
    with torch.no_grad():
        assert net(image, hole).image.equal(net(other, hole).image)
        assert net(image, hole).coarse.equal(net(other, hole).coarse)
        visible = torch.where(hole > 0, image, torch.rand_like(image))
        assert not net(image, hole).image.equal(net(visible, hole).image)


def test_images_do_not_see_each_other() -> None:
    net = ContextualAttention(8)
    image, hole = faces(3)
    other_image, other_hole = faces(3, seed=5)
    other_image[1], other_hole[1] = image[1], hole[1]
    with torch.no_grad():
        first, second = net(image, hole).image, net(other_image, other_hole).image
        alone = net(image[1:2], hole[1:2]).image[0]
    assert torch.allclose(first[1], second[1], atol=1e-6)
    assert torch.allclose(first[1], alone, atol=1e-5)
    assert not torch.allclose(first[0], second[0], atol=1e-3)


def test_bfloat16_autocast() -> None:
    net = ContextualAttention(8)
    image, hole = faces(2)
    exact = net(image, hole).image
    with torch.autocast("cpu", torch.bfloat16):
        out = net(image, hole)
        scores = net.attention_map(image, hole)
    assert scores.dtype == torch.float32
    assert (out.image.float() - exact).abs().max() < 0.1 * exact.abs().max()
    out.image.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="width 7"):
        ContextualAttention(7)
    with pytest.raises(DataError, match="60x64"):
        ContextualAttention(8)(torch.zeros(1, 3, 60, 64), torch.zeros(1, 1, 60, 64))
