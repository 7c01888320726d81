"""Context Encoder: layer counts of both nets at every size, the fill colour, and the errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models.context_encoder import MEAN_COLOUR, ContextEncoder, channel_plan

pytestmark = pytest.mark.usefixtures("seeded")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def faces(batch: int, size: int = 64, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(batch, 3, size, size, generator=generator) * 2 - 1
    hole = torch.zeros(batch, 1, size, size)
    for i in range(batch):
        hole[i, 0, size // 4 : size // 2 + i, size // 4 : size // 2 + 3] = 1
    return image, hole


def test_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        assert count(ContextEncoder(128, centre=True)) == 71_124_544
        assert count(ContextEncoder(128, centre=True, bottleneck=100)) == 7_219_144
        assert count(ContextEncoder(128, centre=True, bottleneck=512)) == 13_970_176
        assert count(ContextEncoder(128)) == 71_190_208
        assert count(ContextEncoder()) == 71_321_536  # 256: one more layer down and up


def test_channels_by_size() -> None:
    assert channel_plan(32, 64) == [128, 256, 512]
    assert channel_plan(64, 64) == [64, 128, 256, 512]
    assert channel_plan(128, 64) == [64, 64, 128, 256, 512]
    assert channel_plan(512, 64) == [64, 64, 64, 64, 128, 256, 512]


def test_layers_in_order() -> None:
    net = ContextEncoder(64, width=8, bottleneck=20)
    kinds = [type(m).__name__ for m in net.encoder]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert kinds == ["Conv2d", "LeakyReLU", *block * 4]  # no normalisation on the first
    kinds = [type(m).__name__ for m in net.decoder]
    assert kinds == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 4 + ["ConvTranspose2d", "Tanh"]
    assert all(m.bias is None for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d))
    assert net.encoder[0].weight.std().item() == pytest.approx(0.02, rel=0.2)
    shapes = []
    for layer in net.encoder:
        layer.register_forward_hook(lambda _m, _i, out: shapes.append(tuple(out.shape[1:])))
    net(*faces(2))
    assert shapes[-4:] == [(64, 4, 4), (20, 1, 1), (20, 1, 1), (20, 1, 1)]


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_output_shape_and_range(size: int) -> None:
    net = ContextEncoder(size, width=4, bottleneck=16)
    image, hole = faces(2, size)
    out = net(image, hole, None)
    assert out.image.shape == image.shape
    assert out.image.abs().max() <= 1
    assert out.coarse is None
    assert net.eval()(image[:1], hole[:1]).image.shape == (1, 3, size, size)


def test_hole_is_filled_with_the_mean_colour() -> None:
    net = ContextEncoder(32, width=4, bottleneck=16)
    seen: list[Tensor] = []
    net.encoder.register_forward_hook(lambda _m, args, _o: seen.append(args[0]))
    image, hole = faces(2, 32)
    net(image, hole)
    for channel, value in enumerate((117, 104, 123)):
        filled = (seen[0][:, channel : channel + 1][hole > 0] + 1) * 255 / 2
        assert torch.allclose(filled, torch.full_like(filled, value), atol=1e-3)
        assert pytest.approx(2 * value / 255 - 1) == MEAN_COLOUR[channel]
    assert torch.where(hole > 0, image, seen[0]).equal(image)


def test_centre_net_draws_the_centre_square() -> None:
    net = ContextEncoder(64, width=8, bottleneck=16, centre=True).eval()
    image, hole = faces(2)
    patch = net.draw(image)
    assert patch.shape == (2, 3, 32, 32)
    out = net(image, hole).image
    assert out.shape == image.shape
    frame = torch.ones(64, 64, dtype=torch.bool)
    frame[16:48, 16:48] = False
    assert out[..., frame].equal(image[..., frame])
    damaged = torch.where(hole > 0, net.fill, image)
    assert torch.allclose(out[..., 16:48, 16:48], net.draw(damaged), atol=1e-6)
    hole[0, 0, 15, 20] = 1
    with pytest.raises(DataError, match="leaves the centre"):
        net(image, hole)


@pytest.mark.parametrize("centre", [False, True])
def test_gradients_reach_every_parameter(centre: bool) -> None:
    net = ContextEncoder(64, width=8, bottleneck=32, centre=centre)
    image, hole = faces(4)
    (net(image, hole).image - image).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("centre", [False, True])
def test_no_peeking_under_the_hole(centre: bool) -> None:
    net = ContextEncoder(64, width=8, bottleneck=32, centre=centre)
    image, hole = faces(3)
    other = torch.where(hole > 0, torch.rand_like(image), image)
    assert not other.equal(image)
    assert net(image, hole).image.equal(net(other, hole).image)
    visible = torch.where(hole > 0, image, torch.rand_like(image))
    assert not net(image, hole).image.equal(net(visible, hole).image)


def test_images_do_not_see_each_other_in_use() -> None:
    net = ContextEncoder(64, width=8, bottleneck=32)
    image, hole = faces(3)
    net(image, hole)  # running statistics
    net.eval()
    changed = image.clone()
    changed[0] = 0
    assert torch.allclose(net(image, hole).image[1:], net(changed, hole).image[1:], atol=1e-6)


def test_bfloat16_autocast() -> None:
    net = ContextEncoder(64, width=8, bottleneck=32)
    image, hole = faces(4)
    with torch.autocast("cpu", torch.bfloat16):
        out = net(image, hole).image
    out.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_refuses_what_it_cannot_do() -> None:
    for size in (16, 48, 96, 1024):
        with pytest.raises(ConfigError, match=f"size {size}"):
            ContextEncoder(size)
    net = ContextEncoder(32, width=4, bottleneck=8)
    with pytest.raises(DataError, match="32x32 pictures and was given 64x64"):
        net(*faces(2, 64))
    with pytest.raises(ConfigError, match="batch of one"):
        net(*faces(1, 32))
