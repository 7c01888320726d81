"""DeepFill v2: layer counts, gates, and that it draws without looking under the hole."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models.gated_conv import GatedConv, GatedConv2d
from faceinpaint.models.refinement import SameConv2d

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


def net_of(width: int) -> GatedConv:
    """A net whose output is not nearly zero: gates start at a half, which fades over seventeen layers."""
    net = GatedConv(width)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter *= 1.6
    return net


def test_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        net = GatedConv()
    assert count(net.coarse) == 1_631_151
    assert count(net.refine) == 2_421_327
    assert count(net) == 4_052_478


def test_layers_in_order() -> None:
    net = GatedConv(48)
    layers = [m for m in net.coarse.modules() if isinstance(m, SameConv2d)]
    assert [m.out_channels for m in layers] == [48, 96, 96, *[192] * 9, 96, 96, 48, 24, 3]
    assert [m.dilation[0] for m in layers] == [1] * 6 + [2, 4, 8, 16] + [1] * 7
    assert layers[0].in_channels == 5
    for branch, channels in (
        (net.refine.paint, [48, 48, 96, 96, 192, 192, 192, 192, 192, 192]),
        (net.refine.match, [48, 48, 96, 192, 192, 192]),
    ):
        layers = [m for m in branch.modules() if isinstance(m, SameConv2d)]
        assert [m.out_channels for m in layers] == channels
        assert layers[0].in_channels == 3
    assert [type(m.activation) for m in net.refine.match] == [nn.ELU] * 5 + [nn.ReLU]
    assert isinstance(net.coarse[-1], SameConv2d)  # the last is not gated


def test_gated_convolution_written_out() -> None:
    layer = GatedConv2d(3, 4, 3, stride=2)
    x = torch.randn(2, 3, 8, 8)
    both = F.conv2d(F.pad(x, (0, 1, 0, 1)), layer.conv.weight, layer.conv.bias, stride=2)
    features, gate = layer.split(x)
    assert features.shape == gate.shape == (2, 4, 4, 4)
    assert torch.allclose(features, F.elu(both[:, :4]))
    assert torch.allclose(gate, torch.sigmoid(both[:, 4:]))
    assert gate.min() > 0
    assert gate.max() < 1
    assert torch.allclose(layer(x), features * gate)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 80), (32, 32)])
def test_output_shape_and_range(height: int, width: int) -> None:
    net = net_of(8)
    image, hole = faces(2, height, width)
    with torch.no_grad():
        net.coarse[-1].bias.fill_(5)
        out = net(image, hole, None)
    assert out.image.shape == out.coarse.shape == image.shape
    assert out.image.abs().max() <= 1
    assert 0.9 < out.coarse.max() <= 1
    assert net.attention_map(image, hole).shape == (2, height * width // 64, height * width // 64)


def test_whole_picture_missing() -> None:
    net = net_of(8)
    image, _ = faces(2)
    assert net(image, torch.ones(2, 1, 64, 64)).image.isfinite().all()
    assert net.attention_map(image, torch.ones(2, 1, 64, 64)).eq(0).all()
    assert net(image, torch.zeros(2, 1, 64, 64)).image.isfinite().all()


def test_gradients_reach_every_parameter() -> None:
    net = net_of(8)
    image, hole = faces(2)
    net(image, hole).image.square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_no_peeking_under_the_hole() -> None:
    net = net_of(8)
    image, hole = faces(2)
    other = torch.where(hole > 0, torch.rand_like(image), image)
    assert not other.equal(image)
    with torch.no_grad():
        assert net(image, hole).image.equal(net(other, hole).image)
        assert net(image, hole).coarse.equal(net(other, hole).coarse)
        visible = torch.where(hole > 0, image, torch.rand_like(image))
        assert not net(image, hole).image.equal(net(visible, hole).image)


def test_second_stage_keeps_known_pixels() -> None:
    net = net_of(8)
    image, hole = faces(2)
    coarse, pasted = net.first_stage(image, hole)
    assert torch.where(hole > 0, coarse, image).equal(pasted)


def test_images_do_not_see_each_other() -> None:
    net = net_of(8)
    image, hole = faces(3)
    other_image, other_hole = faces(3, seed=5)
    other_image[1], other_hole[1] = image[1], hole[1]
    with torch.no_grad():
        first, second = net(image, hole).image, net(other_image, other_hole).image
        alone = net(image[1:2], hole[1:2]).image[0]
    assert torch.allclose(first[1], second[1], atol=1e-6)
    assert torch.allclose(first[1], alone, atol=1e-5)
    assert (first[0] - second[0]).abs().max() > 1e-3


def test_bfloat16_autocast() -> None:
    net = net_of(8)
    image, hole = faces(2)
    exact = net(image, hole).image
    with torch.autocast("cpu", torch.bfloat16):
        out = net(image, hole)
    assert (out.image.float() - exact).abs().max() < 0.1 * exact.abs().max()
    out.image.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="width 6"):
        GatedConv(6)
    with pytest.raises(DataError, match="60x64"):
        GatedConv(8)(torch.zeros(1, 3, 60, 64), torch.zeros(1, 1, 60, 64))
