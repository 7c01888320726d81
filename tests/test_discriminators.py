"""The critics: layer counts, logits without sigmoid, spectral norms, the local window."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models.discriminators import (
    ContextEncoderCritic,
    DeepFillCritic,
    PatchGAN,
    SNPatchGAN,
    WassersteinCritic,
    crop,
    local_window,
)

pytestmark = pytest.mark.usefixtures("seeded")

CRITICS = {
    "patch": lambda: PatchGAN(8),
    "patch, no spectral norm": lambda: PatchGAN(8, spectral=False),
    "context encoder": lambda: ContextEncoderCritic(64, 8),
    "deepfill": lambda: DeepFillCritic(64, 8),
    "sn-patch": lambda: SNPatchGAN(8),
}


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def faces(batch: int, size: int = 64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(batch, 3, size, size, generator=generator) * 2 - 1
    hole = torch.zeros(batch, 1, size, size)
    for i in range(batch):
        hole[i, 0, 5 + 9 * i : 20 + 9 * i, 30 - 4 * i : 40] = 1
    return image, hole


def test_a_patchgan_that_is_told_looks_at_hole_and_map_and_others_do_not() -> None:
    image, hole = faces(2)
    regions = torch.zeros(2, 64, 64, dtype=torch.uint8)
    other = regions.clone()
    other[:, 20:40] = 18  # the last class of all: merges differ in how many they leave
    told, plain = PatchGAN(4, told=True).eval(), PatchGAN(4).eval()
    assert told(image, hole, regions).shape == plain(image).shape
    assert not torch.equal(told(image, hole, regions), told(image, 1 - hole, regions))
    assert not torch.equal(told(image, hole, regions), told(image, hole, other))
    assert torch.equal(plain(image, hole, regions), plain(image))


def test_parameter_counts_of_the_papers() -> None:
    with torch.device("meta"):
        assert count(ContextEncoderCritic(64)) == 2_765_568  # of the centre square
        assert count(ContextEncoderCritic(128)) == 2_831_232
        assert count(ContextEncoderCritic()) == 2_831_232 + 64 * 64 * 16 + 2 * 64
        critic = DeepFillCritic()
        assert count(critic.local) == 4_339_329
        assert count(critic.whole) == 2_733_441
    assert count(SNPatchGAN()) == 5_946_816
    assert count(PatchGAN()) == 2_763_776


@pytest.mark.parametrize(("size", "side"), [(64, 6), (128, 14), (256, 30)])
def test_patchgan_gives_a_map_of_logits(size: int, side: int) -> None:
    assert PatchGAN(4)(torch.rand(2, 3, size, size)).shape == (2, 1, side, side)


def test_patchgan_window_is_70_pixels() -> None:
    net = PatchGAN(4)
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    net(image)[0, 0, 15, 15].backward()
    assert image.grad is not None
    seen = image.grad[0].abs().sum(0) > 0
    assert seen.any(0).sum() == seen.any(1).sum() == 70


@pytest.mark.parametrize(("size", "side"), [(32, 1), (64, 1), (128, 2), (256, 4)])
def test_sn_patchgan_gives_a_map_of_logits(size: int, side: int) -> None:
    image, hole = torch.rand(1, 3, size, size), torch.zeros(1, 1, size, size)
    assert SNPatchGAN(4)(image, hole).shape == (1, 16, side, side)


def test_only_sn_patchgan_is_shown_the_hole() -> None:
    image, hole = faces(2)
    sn = SNPatchGAN(8).eval()
    assert not sn(image, hole).equal(sn(image, 0 * hole))
    for net in (PatchGAN(8).eval(), ContextEncoderCritic(64, 8).eval()):
        assert net(image, hole).equal(net(image))


@pytest.mark.parametrize("name", CRITICS)
def test_logits_have_no_sigmoid(name: str) -> None:
    net = CRITICS[name]()
    image, hole = faces(3)
    if name == "deepfill":
        net.whole.score.bias.data -= 3
        net.local.score.bias.data += 3
    elif name != "sn-patch":
        last = [m for m in net.modules() if isinstance(m, nn.Conv2d)][-1]
        last.register_forward_hook(lambda _m, _i, out: out * 1e3)
    scores = net(image, hole)
    flat = torch.cat([s.flatten() for s in scores]) if isinstance(scores, tuple) else scores.flatten()
    assert flat.min() < 0
    if name != "sn-patch":
        assert flat.abs().max() > 1
    if name in ("context encoder", "deepfill"):
        assert all(s.shape == (3,) for s in (scores if isinstance(scores, tuple) else (scores,)))


@pytest.mark.parametrize("name", CRITICS)
def test_gradients_reach_every_parameter_and_the_picture(name: str) -> None:
    net = CRITICS[name]()
    image, hole = faces(3)
    image.requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=name.startswith("sn")):  # power iteration in bfloat16 too
        scores = net(image, hole)
    total = sum(s.float().square().mean() for s in (scores if isinstance(scores, tuple) else (scores,)))
    total.backward()
    for parameter_name, parameter in net.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name
    assert image.grad is not None
    assert image.grad.abs().sum() > 0


@pytest.mark.parametrize("name", CRITICS)
def test_bfloat16_autocast(name: str) -> None:
    net = CRITICS[name]().eval()
    image, hole = faces(3)
    exact = net(image, hole)
    with torch.autocast("cpu", torch.bfloat16):
        rough = net(image, hole)
    pairs = zip(exact, rough, strict=True) if isinstance(exact, tuple) else [(exact, rough)]
    for a, b in pairs:
        assert (a - b.float()).abs().max() < 0.1 * a.abs().max()


@pytest.mark.parametrize("name", ["patch", "sn-patch"])
def test_spectral_norms_are_one(name: str) -> None:
    net = CRITICS[name]()
    image, hole = faces(2)
    for _ in range(30):  # each call in training mode is one step of the power iteration
        net(image, hole)
    for layer in net.layers:
        if isinstance(layer, nn.Conv2d):
            largest = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
            assert largest == pytest.approx(1, abs=0.05)


def test_gradient_penalty_differentiates_twice() -> None:
    net = DeepFillCritic(64, 4)
    image, hole = faces(2)
    patch = crop(image, local_window(hole, net.window), net.window).requires_grad_()
    (slope,) = torch.autograd.grad(net.local(patch).sum(), patch, create_graph=True)
    (slope.flatten(1).norm(dim=1) - 1).square().mean().backward()
    assert net.local.layers[0].weight.grad.abs().sum() > 0


def test_wasserstein_critic_written_out() -> None:
    net = WassersteinCritic(32, (4, 8))
    image = torch.rand(2, 3, 32, 32)
    x = image
    for layer in (net.layers[0], net.layers[2]):
        x = F.leaky_relu(F.conv2d(F.pad(x, (1, 2, 1, 2)), layer.weight, layer.bias, stride=2), 0.2)
    assert torch.allclose(net(image), (x.flatten(1) @ net.score.weight.T + net.score.bias)[:, 0], atol=1e-5)


def test_deepfill_critic_looks_at_the_window() -> None:
    net = DeepFillCritic(64, 4)
    image, hole = faces(2)
    whole, local = net(image, hole)
    assert torch.allclose(whole, net.whole(image))
    for i, (top, left) in enumerate(local_window(hole, 32).tolist()):
        patch = image[i : i + 1, :, top : top + 32, left : left + 32]
        assert torch.allclose(local[i], net.local(patch)[0], atol=1e-5)
    assert DeepFillCritic(48, 4)(torch.rand(2, 3, 48, 48), torch.ones(2, 1, 48, 48))[1].shape == (2,)


def test_local_window() -> None:
    hole = torch.zeros(6, 1, 32, 48)
    hole[0, 0, 8:24, 20:36] = 1  # fits exactly
    hole[1, 0, 10:12, 20:24] = 1  # small: in the middle of the window
    hole[2, 0, 0, 0] = 1  # corner: window kept inside
    hole[3, 0, 31, 47] = 1
    hole[4, 0, 3, :] = 1  # too wide: middle of its bounding box
    # hole 5 is empty: middle of the picture
    assert local_window(hole, 16).tolist() == [[8, 20], [3, 14], [0, 0], [16, 32], [0, 16], [8, 16]]
    assert local_window(hole, 32)[:, 0].eq(0).all()


def test_local_window_holds_any_hole_that_fits() -> None:
    generator = torch.Generator().manual_seed(0)
    hole = torch.zeros(200, 1, 32, 32)
    for i in range(200):
        h, w = torch.randint(1, 17, (2,), generator=generator).tolist()
        top = int(torch.randint(0, 33 - h, (1,), generator=generator))
        left = int(torch.randint(0, 33 - w, (1,), generator=generator))
        hole[i, 0, top : top + h, left : left + w] = 1
    cut = crop(hole, local_window(hole, 16), 16)
    assert cut.sum((1, 2, 3)).equal(hole.sum((1, 2, 3)))


def test_crop_cuts_each_picture_at_its_own_place() -> None:
    image = torch.rand(3, 2, 10, 12)
    window = torch.tensor([[0, 0], [5, 7], [2, 3]])
    cut = crop(image, window, 5)
    for i, (top, left) in enumerate(window.tolist()):
        assert cut[i].equal(image[i, :, top : top + 5, left : left + 5])


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="size 40"):
        DeepFillCritic(40)
    with pytest.raises(ConfigError, match="size 96"):
        ContextEncoderCritic(96)
    with pytest.raises(DataError, match="64x64 pictures and was given 32x32"):
        ContextEncoderCritic(64, 4)(torch.rand(2, 3, 32, 32))
    with pytest.raises(DataError, match="64x64 pictures and was given 128x128"):
        DeepFillCritic(64, 4)(torch.rand(2, 3, 128, 128), torch.ones(2, 1, 128, 128))
