"""Numbers at the edges: nothing becomes NaN, half precision stays near, gradients agree with finite differences.

Of the facial-style layers and of the losses, tests/test_facial_style.py and tests/test_losses.py compare each gradient
entry by entry; here whole networks are checked, along random directions, and what those two leave out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from faceinpaint import losses, metrics
from faceinpaint.backbones import load_backbone
from faceinpaint.errors import ConfigError
from faceinpaint.models import composite
from faceinpaint.models.discriminators import ContextEncoderCritic, DeepFillCritic, PatchGAN, SNPatchGAN
from faceinpaint.models.facial_style import AdaptiveFusion, RegionRepair, StyleExtractNet, down, style_pool, up
from faceinpaint.models.gated_conv import GatedConv
from faceinpaint.models.parser import FaceParser
from faceinpaint.presets import preset
from faceinpaint.training.methods import METHODS, method
from faceinpaint.training.objectives import Batch, Step

pytestmark = pytest.mark.usefixtures("seeded")

SIZE = 32
TINY = preset("smoke", size=SIZE, width=4, style_width=4, critic_width=4, baseline_scale=0.06, parser_width=4, batch=2)
TRAINED = ("context-encoder", "contextual-attention", "gated-conv", "facial-style", "parser")


def blank(batch: int = 2, height: int = SIZE, width: int = SIZE) -> tuple[Tensor, Tensor, Tensor]:
    image = torch.rand(batch, 3, height, width) * 2 - 1
    hole = torch.zeros(batch, 1, height, width)
    hole[..., height // 4 : height // 2, width // 4 : width // 2] = 1
    regions = torch.arange(width).remainder(9).expand(batch, height, width).contiguous()
    return image, hole, regions


def changed(**parts: Any) -> Callable[[], tuple[Tensor, Tensor, Tensor]]:
    def make() -> tuple[Tensor, Tensor, Tensor]:
        image, hole, regions = blank(parts.get("batch", 2))
        if "hole" in parts:
            hole = torch.full_like(hole, parts["hole"])
        if "regions" in parts:
            regions = torch.full_like(regions, parts["regions"])
        for name in parts.get("dots", ()):
            if name == "hole":
                hole[..., 7, 9] = 1
            else:
                regions[..., 7, 9] = 5
        if "image" in parts:
            image = torch.full_like(image, parts["image"])
        return image, hole, regions

    return make


EDGES = {
    "all hole": changed(hole=1.0),
    "no hole": changed(hole=0.0),
    "one pixel missing": changed(hole=0.0, dots=("hole",)),
    "one pixel known": lambda: (blank()[0], 1 - changed(hole=0.0, dots=("hole",))()[1], blank()[2]),
    "a region of one pixel, missing": changed(hole=0.0, regions=1, dots=("hole", "regions")),
    "a region of one pixel, known": changed(regions=1, dots=("regions",)),
    "one region in the whole batch": changed(regions=4),
    "no region in the whole batch": changed(regions=0),
    "no region, all hole": changed(regions=0, hole=1.0),
    "one face": changed(batch=1),
    "one face, all hole": changed(batch=1, hole=1.0),
    "black": changed(image=-1.0),
    "white": changed(image=1.0),
    "grey": changed(image=0.0),
}


@pytest.mark.parametrize("edge", EDGES)
@pytest.mark.parametrize("name", TRAINED)
def test_losses_and_gradients_stay_finite(name: str, edge: str) -> None:
    """The losses of one training step, and every gradient, of generator and critic."""
    chosen = method(name)
    generator = chosen.build(TINY)
    if name == "context-encoder" and edge.startswith("one face"):
        with pytest.raises(ConfigError, match="batch of one"):  # its bottleneck is normalised over the batch
            generator(*EDGES[edge]())
        return
    critic = chosen.critic(TINY) if chosen.critic else None
    backbone = load_backbone("squeezenet1_1", "seed") if chosen.perceptual else None
    image, hole, regions = EDGES[edge]()
    batch = Batch(image, hole, regions, torch.rand(len(image), 1, 1, 1))
    output = generator(image, hole, regions)
    assert output.image.isfinite().all()
    step = Step(batch, output, critic, backbone, torch.mean, chosen.split_options({})[1])
    steps = [(generator, chosen.generator_loss(step))]
    if critic is not None:
        detached = step._replace(output=output._replace(image=output.image.detach()))
        steps.append((critic, chosen.critic_loss(detached)))
    for network, terms in steps:
        assert all(value.isfinite() for value in terms.values()), terms
        network.zero_grad()
        sum(terms.values()).backward()
        found = [p.grad for p in network.parameters() if p.grad is not None]
        assert found
        assert all(g.isfinite().all() for g in found)


@pytest.mark.parametrize("name", [n for n in (*METHODS, "parser") if n != "context-encoder"])
@pytest.mark.parametrize(("height", "width"), [(32, 80), (48, 32), (112, 48)])
def test_odd_sizes_give_finite_pictures_of_the_same_size(name: str, height: int, width: int) -> None:
    image, hole, regions = blank(1, height, width)
    with torch.no_grad():
        out = method(name).build(TINY).eval()(image, hole, regions).image
    assert out.shape[2:] == (height, width)
    assert out.isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(11, 11), (11, 200), (33, 17), (64, 65)])
def test_metrics_of_odd_sizes_are_finite(height: int, width: int) -> None:
    image, reference = (torch.randint(0, 256, (1, 3, height, width)).float() for _ in range(2))
    for value in (metrics.psnr(image, reference), metrics.ssim(image, reference), metrics.l1(image, reference)):
        assert value.isfinite().all()
    flat = torch.zeros_like(image)
    assert metrics.ssim(flat, flat).item() == 1
    assert metrics.ssim(flat, flat + 255).isfinite().all()


def test_metrics_of_one_picture_and_of_equal_features() -> None:
    same = np.ones((5, 3))
    stats = metrics.FeatureStats().update(same)
    assert metrics.frechet_distance(stats, stats) == 0
    assert metrics.kid(same, same) == pytest.approx(0)


# ------------------------------------------------------------------------------------------------ half precision

HALF = {"bfloat16": (torch.bfloat16, 0.02, 0.25), "float16": (torch.float16, 0.003, 0.05)}
"""Mean and greatest difference from float32 that autocast may bring, of pictures in [-1, 1]."""


@pytest.mark.parametrize("kind", HALF)
@pytest.mark.parametrize("name", [n for n in TRAINED if n != "parser"])
def test_half_precision_stays_within_the_stated_error(name: str, kind: str) -> None:
    dtype, mean, greatest = HALF[kind]
    generator = method(name).build(TINY).eval()
    image, hole, regions = blank()
    with torch.no_grad():
        exact = generator(image, hole, regions).image
        with torch.autocast("cpu", dtype):
            rough = generator(image, hole, regions).image.float()
    difference = (rough - exact).abs()
    assert 0 < difference.mean() < mean
    assert difference.max() < greatest


# ---------------------------------------------------------------------------------------------- finite differences


def agrees(call: Callable[[], Tensor], tensors: list[Tensor], tolerance: float = 1e-5) -> None:
    """The gradient along a random direction through all tensors at once against central differences, float64.

    One of several steps must agree: a long one crosses the kinks of ReLU, a short one is lost in rounding.
    """
    for t in tensors:
        t.requires_grad_()
    gradients = torch.autograd.grad(call(), tensors, allow_unused=True)
    directions = [torch.randn_like(t) for t in tensors]
    told = sum((g * d).sum() for g, d in zip(gradients, directions, strict=True) if g is not None).item()
    assert abs(told) > 1e-6  # a direction along which nothing changes would prove nothing
    here = [t.detach().clone() for t in tensors]

    def value(step: float) -> float:
        for t, place, direction in zip(tensors, here, directions, strict=True):
            t.data.copy_(place + step * direction)
        return call().item()

    found = [(value(step) - value(-step)) / (2 * step) for step in (1e-6, 1e-7, 1e-8, 1e-9)]
    assert min(abs(f - told) for f in found) < tolerance * abs(told), (told, found)


def roused(network: nn.Module) -> nn.Module:
    """Weights that keep activations near one: where they are tiny, every step crosses kinks."""
    for p in network.parameters():
        nn.init.kaiming_normal_(p) if p.dim() > 1 else nn.init.normal_(p, 1, 0.1)
    return network


def weighted(value: Tensor) -> Tensor:
    """One number that every entry moves, each by another weight."""
    return (value * torch.linspace(-1, 1, value.numel(), dtype=value.dtype).view_as(value)).sum()


LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "down": (lambda: down(3, 4, 2), (2, 3, 8, 8)),
    "up": (lambda: up(3, 4), (2, 3, 4, 4)),
    "up of one size": (lambda: up(3, 4, resize=False), (2, 3, 4, 4)),
    "style network": (lambda: StyleExtractNet(2, ups=2), (1, 3, 32, 32)),
    "PatchGAN": (lambda: PatchGAN(2), (1, 3, 32, 32)),
    "SN-PatchGAN": (lambda: SNPatchGAN(2), (1, 3, 64, 64)),
    "context encoder's critic": (lambda: ContextEncoderCritic(32, 4), (2, 3, 32, 32)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_layers_agree_with_finite_differences(name: str) -> None:
    build, shape = LAYERS[name]
    layer = build().double().eval()  # evaluation: spectral norms and running means keep still
    x = torch.randn(shape, dtype=torch.float64)
    more = (
        (torch.rand(shape[0], 1, *shape[2:], dtype=torch.float64).round(),) if "GAN" in name or "critic" in name else ()
    )
    agrees(lambda: weighted(layer(x, *more)), [x, *layer.parameters()])


@pytest.mark.parametrize("heads", ["separate", "shared"])
def test_gradients_of_fusion_agree_with_finite_differences(heads: str) -> None:
    fusion = AdaptiveFusion(3, 2, heads=heads).double()
    nn.init.normal_(fusion.alpha)
    local, whole = torch.randn(2, 2, 2, 256, dtype=torch.float64)
    agrees(lambda: sum(weighted(v) for v in fusion(local, whole)), [local, whole, *fusion.parameters()])


@pytest.mark.parametrize("valid", [False, True])
def test_gradients_of_style_pooling_agree_with_finite_differences(valid: bool) -> None:
    features = torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    regions = torch.arange(16).remainder(4).view(1, 4, 4).expand(2, 4, 4)
    hole = torch.zeros(2, 1, 4, 4).double()
    hole[..., :2] = 1
    assert torch.autograd.gradcheck(lambda f: style_pool(f, regions, 4, hole if valid else None), features)


def test_gradients_of_a_repair_module_agree_with_finite_differences() -> None:
    repair = RegionRepair(3, 8).double()
    _, hole, regions = blank(2, 8, 8)
    skip, matrix = torch.randn(2, 3, 8, 8).double(), torch.randn(2, 256, 9).double()
    damaged = torch.ones(2, 9, dtype=torch.bool)
    agrees(
        lambda: weighted(repair(skip, matrix, regions, hole.double(), damaged)), [skip, matrix, *repair.parameters()]
    )


@pytest.mark.parametrize("name", [n for n in TRAINED if n not in ("parser", "gated-conv")])
def test_gradients_of_generators_agree_with_finite_differences(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "float", Tensor.double)  # attention asks for float32, which hides small differences
    generator = roused(method(name).build(TINY).double().eval())
    image, hole, regions = blank(1)
    image, hole = image.double(), hole.double()
    agrees(lambda: weighted(generator(image, hole, regions).image), [image, *generator.parameters()], tolerance=1e-4)


@pytest.mark.parametrize("build", [lambda: GatedConv(4), lambda: FaceParser(2)], ids=["gated-conv", "parser"])
def test_gradients_of_the_other_generators_agree_with_finite_differences(build: Callable[[], nn.Module]) -> None:
    generator = build().double().eval()
    image, hole, regions = (x.double() for x in blank(1))
    agrees(lambda: weighted(generator(image, hole, regions).image), [image, *generator.parameters()], tolerance=1e-4)


def test_gradients_of_deepfills_critic_agree_with_finite_differences() -> None:
    critic = DeepFillCritic(32, 4).double()
    image, hole, _ = (x.double() for x in blank(1))
    agrees(lambda: sum(weighted(s) for s in critic(image, hole)), [image, *critic.parameters()])


def test_second_derivatives_of_the_gradient_penalty_agree_with_finite_differences() -> None:
    """The penalty holds a gradient itself; its own gradient trains the critic."""
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Conv2d(4, 1, 3)).double()
    real, fake = torch.randn(2, 2, 3, 6, 6, dtype=torch.float64)
    hole = torch.rand(2, 1, 6, 6, dtype=torch.float64).round()
    chance = torch.rand(2, 1, 1, 1, dtype=torch.float64)
    agrees(
        lambda: losses.gradient_penalty(critic, real, fake, hole, chance),
        [p for p in critic.parameters() if p.dim() > 1],
    )


def test_gradients_of_compositing_agree_with_finite_differences() -> None:
    output, image = (torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    hole = torch.eye(4, dtype=torch.float64)[None, None]
    assert torch.autograd.gradcheck(lambda o, i: composite(o, i, hole), (output, image))


def test_a_wrong_gradient_would_be_noticed() -> None:
    class Wrong(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.square()

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = torch.randn(3, dtype=torch.float64)
    with pytest.raises(AssertionError):
        agrees(lambda: Wrong.apply(x).sum(), [x])
