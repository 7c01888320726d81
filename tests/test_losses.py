"""The losses against plain formulas written out here, against torch's own, and against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from faceinpaint import losses

pytestmark = pytest.mark.usefixtures("seeded")


def close(actual: Tensor, expected: float, tolerance: float = 1e-6) -> None:
    assert actual.shape == ()
    assert actual.item() == pytest.approx(expected, rel=tolerance, abs=tolerance)


# --- the method of the patent ---------------------------------------------------------------------------------------


def test_eq22_generator_loss_is_the_weighted_sum_of_its_four_terms() -> None:
    terms = {"reconstruction": 0.5, "perceptual": 3.0, "style": 0.007, "adversarial": 1.3}
    tensors = {name: torch.tensor(value, requires_grad=True) for name, value in terms.items()}
    lambdas = {"reconstruction": 2.0, "perceptual": 0.25, "style": 11.0, "adversarial": 0.125}
    total = sum(losses.generator_loss(tensors, lambdas).values())
    close(total, 2.0 * 0.5 + 0.25 * 3.0 + 11.0 * 0.007 + 0.125 * 1.3)
    total.backward()
    assert {name: t.grad.item() for name, t in tensors.items()} == lambdas

    close(sum(losses.generator_loss(tensors).values()), 1.0 * 0.5 + 0.1 * 3.0 + 25.0 * 0.007 + 0.1 * 1.3)


def test_terms_of_weight_zero_are_left_out() -> None:
    broken = torch.tensor(math.nan)
    terms = {"reconstruction": torch.tensor(0.5), "style": broken}
    left = losses.generator_loss(terms, losses.LAMBDAS | {"style": 0.0})
    assert list(left) == ["reconstruction"]
    assert left["reconstruction"] == 0.5


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def relativistic(a: Tensor, b: Tensor) -> list[float]:
    """D_ra(a, b) = Sigmoid(C(a) - E[C(b)]) for every logit of a ([0214])."""
    mean = sum(b.flatten().tolist()) / b.numel()
    return [sigmoid(x - mean) for x in a.flatten().tolist()]


def minus_mean_log(values: list[float]) -> float:
    return -sum(math.log(v) for v in values) / len(values)


def logits(*shape: int, shift: float = 0.0) -> Tensor:
    """Critic outputs of a PatchGAN in double precision, a leaf of the graph."""
    return (torch.randn(*shape, dtype=torch.float64) * 2 + shift).requires_grad_()


LOGIT_SHAPES = [(4, 1, 3, 3), (1, 1, 6, 6), (5,)]


@pytest.mark.parametrize("shape", LOGIT_SHAPES)
def test_eq23_generator_wants_true_judged_false_and_repaired_judged_true(shape: tuple[int, ...]) -> None:
    real, fake = logits(*shape, shift=0.7), logits(*shape, shift=-0.4)
    false = [1 - d for d in relativistic(real, fake)]
    true = relativistic(fake, real)
    close(losses.ragan_generator(real, fake), (minus_mean_log(false) + minus_mean_log(true)) / 2, 1e-12)


@pytest.mark.parametrize("shape", LOGIT_SHAPES)
def test_eq24_discriminator_wants_true_judged_true_and_repaired_judged_false(shape: tuple[int, ...]) -> None:
    real, fake = logits(*shape, shift=0.7), logits(*shape, shift=-0.4)
    true = relativistic(real, fake)
    false = [1 - d for d in relativistic(fake, real)]
    loss = losses.ragan_discriminator(real, fake)
    close(loss, (minus_mean_log(true) + minus_mean_log(false)) / 2, 1e-12)
    assert loss.item() != losses.ragan_generator(real, fake).item()  # as the patent's letter has it


def test_ragan_agrees_with_cross_entropy_on_logits() -> None:
    """As the author of the relativistic GAN writes it: BCE with logits on both differences, halved."""
    real, fake = logits(3, 1, 4, 4, shift=1.0), logits(3, 1, 4, 4)
    one, zero = torch.ones_like(real), torch.zeros_like(real)
    above, below = real - fake.mean(), fake - real.mean()
    bce = F.binary_cross_entropy_with_logits
    torch.testing.assert_close(losses.ragan_discriminator(real, fake), (bce(above, one) + bce(below, zero)) / 2)
    torch.testing.assert_close(losses.ragan_generator(real, fake), (bce(above, zero) + bce(below, one)) / 2)


@pytest.mark.parametrize(
    ("of_generator", "of_discriminator", "uses_real"),
    [
        (losses.ragan_generator, losses.ragan_discriminator, True),
        (lambda r, f: losses.bce_generator(f), losses.bce_discriminator, False),
        (lambda r, f: losses.hinge_generator(f), losses.hinge_discriminator, False),
        (lambda r, f: -f.mean(), losses.wasserstein_discriminator, False),
    ],
    ids=["ragan", "bce", "hinge", "wasserstein"],
)
def test_generator_and_discriminator_pull_in_opposite_directions(
    of_generator: Callable, of_discriminator: Callable, uses_real: bool
) -> None:
    real, fake = torch.rand(4, 1, 3, 3) - 0.5, torch.rand(4, 1, 3, 3) - 0.5
    real, fake = real.requires_grad_(), fake.requires_grad_()
    g_real, g_fake = torch.autograd.grad(of_generator(real, fake), (real, fake), allow_unused=True)
    d_real, d_fake = torch.autograd.grad(of_discriminator(real, fake), (real, fake))
    assert (d_real < 0).all()  # a higher logit of a true image pleases the discriminator
    assert (d_fake > 0).all()
    assert (g_fake < 0).all()  # a higher logit of a repaired image pleases the generator
    if uses_real:
        assert (g_real > 0).all()
    else:
        assert g_real is None


def test_ragan_swaps_roles_between_generator_and_discriminator() -> None:
    real, fake = logits(4, 1, 3, 3), logits(4, 1, 3, 3)
    assert losses.ragan_generator(real, fake).item() == losses.ragan_discriminator(fake, real).item()


@pytest.mark.parametrize("loss", [losses.ragan_generator, losses.ragan_discriminator])
def test_ragan_takes_the_mean_over_all_devices(loss: Callable[..., Tensor]) -> None:
    """Two halves of a batch with the mean of the whole give the loss of the whole; with their own means they do not."""
    real, fake = logits(6, 1, 2, 2, shift=3.0), logits(6, 1, 2, 2)
    real = (real + torch.arange(6.0)[:, None, None, None]).detach()
    halves = list(zip(real.chunk(2), fake.chunk(2), strict=True))
    of_whole = {id(part): whole.mean() for pair in halves for part, whole in zip(pair, (real, fake), strict=True)}
    together = sum(loss(r, f, lambda part: of_whole[id(part)]) for r, f in halves) / 2
    torch.testing.assert_close(together, loss(real, fake))
    apart = sum(loss(r, f) for r, f in halves) / 2
    assert abs(apart - together) > 1e-3


@pytest.mark.parametrize("loss", [losses.ragan_generator, losses.ragan_discriminator])
def test_ragan_is_finite_where_sigmoid_and_log_are_not(loss: Callable[..., Tensor]) -> None:
    for sign in (1, -1):
        real, fake = torch.full((2, 1, 2, 2), sign * 1e4), torch.full((2, 1, 2, 2), -sign * 1e4, requires_grad=True)
        value = loss(real, fake)
        (gradient,) = torch.autograd.grad(value, fake)
        assert value.isfinite()
        assert gradient.isfinite().all()


def test_reconstruction_is_the_mean_absolute_difference() -> None:
    output, image = torch.rand(2, 3, 4, 5) * 2 - 1, torch.rand(2, 3, 4, 5) * 2 - 1
    expected = sum(abs(a - b) for a, b in zip(output.flatten().tolist(), image.flatten().tolist(), strict=True))
    close(losses.reconstruction(output, image), expected / (2 * 3 * 4 * 5))


def features() -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    shapes = {"shallow": (2, 3, 5, 4), "middle": (2, 4, 3, 3), "deep": (2, 5, 2, 1)}
    return tuple({tap: torch.randn(*s, dtype=torch.float64) for tap, s in shapes.items()} for _ in range(2))


def test_perceptual_sums_the_mean_difference_of_each_tap() -> None:
    output, image = features()
    expected = 0.0
    for tap in ("shallow", "deep"):
        pairs = zip(output[tap].flatten().tolist(), image[tap].flatten().tolist(), strict=True)
        expected += sum(abs(a - b) for a, b in pairs) / output[tap].numel()
    close(losses.perceptual(output, image, ("shallow", "deep")), expected, 1e-12)
    close(losses.perceptual(output, output, ("shallow", "deep")), 0.0)


def looped_gram(x: Tensor) -> list[list[list[float]]]:
    """G[b][i][j] = sum over pixels of x_i x_j / (C h w)."""
    batch, channels, height, width = x.shape
    matrices = []
    for b in range(batch):
        planes = [x[b, c].flatten().tolist() for c in range(channels)]
        matrices.append(
            [
                [sum(p * q for p, q in zip(one, two, strict=True)) / (channels * height * width) for two in planes]
                for one in planes
            ]
        )
    return matrices


def test_style_compares_gram_matrices() -> None:
    output, image = features()
    torch.testing.assert_close(losses.gram(output["middle"]).tolist(), looped_gram(output["middle"]))
    expected = 0.0
    for tap in ("shallow", "middle"):
        one, two = looped_gram(output[tap]), looped_gram(image[tap])
        channels = len(one[0])
        expected += sum(
            abs(one[b][i][j] - two[b][i][j]) for b in range(2) for i in range(channels) for j in range(channels)
        ) / (2 * channels**2)
    close(losses.style(output, image, ("shallow", "middle")), expected, 1e-12)


def test_style_does_not_see_where_a_feature_is() -> None:
    output, image = features()
    moved = {tap: x.flip(-1, -2) for tap, x in output.items()}
    close(losses.style(moved, image, ("shallow",)), losses.style(output, image, ("shallow",)).item(), 1e-12)
    assert losses.perceptual(moved, image, ("shallow",)) != losses.perceptual(output, image, ("shallow",))


def test_gram_of_half_precision_does_not_overflow() -> None:
    x = torch.full((1, 2, 64, 64), 100.0, dtype=torch.float16)  # sums to 4e7 before the division, half ends at 65504
    torch.testing.assert_close(losses.gram(x), torch.full((1, 2, 2), 5000.0))
    assert losses.gram(x.double()).dtype == torch.float64


# --- the baselines --------------------------------------------------------------------------------------------------


def test_bce_agrees_with_torch() -> None:
    real, fake = torch.randn(5, 2) * 3, torch.randn(5, 2) * 3
    bce = F.binary_cross_entropy_with_logits
    one, zero = torch.ones_like(real), torch.zeros_like(real)
    torch.testing.assert_close(losses.bce_generator(fake), bce(fake, one))
    torch.testing.assert_close(losses.bce_discriminator(real, fake), bce(real, one) + bce(fake, zero))


def test_hinge_agrees_with_torch() -> None:
    real, fake = torch.randn(2, 3, 4, 4) * 2, torch.randn(2, 3, 4, 4) * 2
    no = -torch.ones_like(real)  # torch: max(0, margin - x) where the target is -1
    expected = (F.hinge_embedding_loss(real, no, margin=1.0) + F.hinge_embedding_loss(-fake, no, margin=1.0)) / 2
    torch.testing.assert_close(losses.hinge_discriminator(real, fake), expected)
    close(losses.hinge_generator(fake), -sum(fake.flatten().tolist()) / fake.numel())


def test_hinge_discriminator_is_content_beyond_the_margin() -> None:
    assert losses.hinge_discriminator(torch.tensor([1.0, 5.0]), torch.tensor([-1.0, -9.0])) == 0
    assert losses.hinge_discriminator(torch.tensor([-1.0]), torch.tensor([2.0])) == 2.5


def test_wasserstein_is_the_difference_of_means() -> None:
    real, fake = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([4.0, -4.0, 9.0])
    assert losses.wasserstein_discriminator(real, fake) == 0
    assert losses.wasserstein_discriminator(real + 1.5, fake) == -1.5


def pictures(batch: int = 3, size: int = 4) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    real, fake = (torch.rand(batch, 3, size, size, dtype=torch.float64) * 2 - 1 for _ in range(2))
    hole = (torch.rand(batch, 1, size, size) < 0.5).double()
    return real, fake, hole, torch.rand(batch, 1, 1, 1, dtype=torch.float64)


@pytest.mark.parametrize("masked", [False, True])
def test_gradient_penalty_of_a_linear_critic(masked: bool) -> None:
    """The gradient of <w, x> is w at every x: the penalty is (|w| - 1)^2, of the hole's part of w."""
    real, fake, hole, chance = pictures()
    if not masked:
        hole = torch.ones_like(hole)
    w = torch.randn(3, 4, 4, dtype=torch.float64)
    expected = 0.0
    for b in range(3):
        inside = [
            w[c, i, j].item() for c in range(3) for i in range(4) for j in range(4) if hole[b, 0, i, j]
        ]  # fmt: skip
        expected += (math.sqrt(sum(v * v for v in inside)) - 1) ** 2 / 3
    penalty = losses.gradient_penalty(lambda x: (x * w).sum((1, 2, 3)), real, fake, hole, chance)
    close(penalty, expected, 1e-9)
    one = torch.ones_like(hole)
    unit = losses.gradient_penalty(lambda x: (x * w / w.norm()).sum((1, 2, 3)), real, fake, one, chance)
    close(unit, 0.0, 1e-9)


def test_gradient_penalty_looks_between_the_true_and_the_repaired_image() -> None:
    """The gradient of 3 |x|^2 / 2 is 3 x: the penalty shows which x was tried."""
    real, fake, hole, chance = pictures()
    chance = torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64).view(3, 1, 1, 1)
    tried = torch.stack([real[0], fake[1], 0.75 * real[2] + 0.25 * fake[2]])
    norms = [3 * math.sqrt((tried[b] * hole[b]).square().sum().item()) for b in range(3)]
    penalty = losses.gradient_penalty(lambda x: 1.5 * x.square().sum((1, 2, 3)), real, fake, hole, chance)
    close(penalty, sum((n - 1) ** 2 for n in norms) / 3, 1e-9)


def test_gradient_penalty_trains_the_critic_alone() -> None:
    real, fake, hole, chance = pictures()
    real.requires_grad_()
    fake.requires_grad_()
    w = torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True)
    penalty = losses.gradient_penalty(lambda x: (x * w).tanh().sum((1, 2, 3)), real, fake, hole, chance)
    grads = torch.autograd.grad(penalty, (w, real, fake), allow_unused=True)
    assert grads[0].abs().sum() > 0
    assert grads[1] is None
    assert grads[2] is None
    assert torch.autograd.gradcheck(
        lambda w: losses.gradient_penalty(lambda x: (x * w).tanh().sum((1, 2, 3)), real, fake, hole, chance), w
    )


def test_gradient_penalty_of_an_empty_hole_has_a_finite_gradient() -> None:
    real, fake, hole, chance = pictures()
    w = torch.randn(3, 4, 4, dtype=torch.float64, requires_grad=True)
    penalty = losses.gradient_penalty(lambda x: (x * w).sum((1, 2, 3)), real, fake, 0 * hole, chance)
    close(penalty, 1.0, 1e-5)
    assert torch.autograd.grad(penalty, w)[0].isfinite().all()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 9), (8, 8), (20, 7)])
def test_discount_of_a_rectangle_is_that_of_contextual_attention(height: int, width: int) -> None:
    """max(.9^min(i, H - i), .9^min(j, W - j)), i and j counted from the nearer side of each pair."""
    hole = torch.zeros(1, 1, 32, 24)
    hole[..., 6 : 6 + height, 9 : 9 + width] = 1
    expected = torch.ones_like(hole)
    for i in range(height):
        for j in range(width):
            expected[0, 0, 6 + i, 9 + j] = max(0.9 ** min(i, height - 1 - i), 0.9 ** min(j, width - 1 - j))
    torch.testing.assert_close(losses.discount(hole), expected)


def test_discount_as_printed_differs_by_one_step_at_the_far_sides_only() -> None:
    hole = torch.zeros(1, 1, 32, 32)
    hole[..., 4:20, 4:20] = 1
    ours = losses.discount(hole)[0, 0, 4:20, 4:20]
    printed = torch.tensor([[max(0.9 ** min(i, 16 - i), 0.9 ** min(j, 16 - j)) for j in range(16)] for i in range(16)])
    torch.testing.assert_close(ours[:8, :8], printed[:8, :8])
    ratio = printed / ours
    assert ratio.min() > 0.9 - 1e-4
    assert ratio.max() < 1 + 1e-4


def rings(hole: Tensor) -> Tensor:
    """Steps of a king from each hole pixel of (H, W) to the nearest known one, by looking at all of them."""
    known = (hole == 0).nonzero().tolist()
    steps = torch.zeros_like(hole)
    for i, j in hole.nonzero().tolist():
        steps[i, j] = min(max(abs(i - k), abs(j - m)) for k, m in known)
    return steps


def test_discount_of_any_hole_falls_with_the_distance_to_known_pixels() -> None:
    holes = torch.zeros(4, 1, 24, 24)
    yy, xx = torch.meshgrid(torch.arange(24), torch.arange(24), indexing="ij")
    holes[0, 0] = ((yy - 11) ** 2 + (xx - 13) ** 2 < 90).float()  # a disc
    holes[1, 0, 3:20, 5:9] = holes[1, 0, 14:20, 5:21] = 1  # an L
    holes[2, 0, :, 2:] = 1  # known pixels on one side only: the border is not known
    holes[3, 0] = (torch.rand(24, 24) < 0.97).float()
    weights = losses.discount(holes)
    for hole, weight in zip(holes[:, 0], weights[:, 0], strict=True):
        torch.testing.assert_close(weight, 0.9 ** (rings(hole) - 1).clamp(min=0))
    assert torch.equal(losses.discount(holes[1:2]), weights[1:2])  # each image for itself


def test_discount_of_half_a_picture_goes_on_to_the_border() -> None:
    hole = torch.zeros(1, 1, 8, 40)
    hole[..., 2:] = 1
    torch.testing.assert_close(losses.discount(hole)[0, 0, 3, 2:], 0.9 ** torch.arange(38.0))


def test_discount_ends_at_a_hundredth() -> None:
    full = losses.discount(torch.ones(1, 1, 128, 128))
    assert full.min() == full.max()
    assert 0.01 <= full.min() <= 0.011
    assert losses.discount(torch.zeros(1, 1, 16, 16)).eq(1).all()
    hole = torch.zeros(1, 1, 16, 16)
    hole[..., 4:12, 4:12] = 1
    torch.testing.assert_close(
        losses.discount(hole, rate=0.5)[0, 0, 8, 4:9], torch.tensor([1, 0.5, 0.25, 0.125, 0.125])
    )


def test_weighted_l1_weighs_every_pixel() -> None:
    output, image, weight = torch.randn(2, 3, 4, 5), torch.randn(2, 3, 4, 5), torch.rand(2, 1, 4, 5)
    expected = 0.0
    for b in range(2):
        for c in range(3):
            for i in range(4):
                for j in range(5):
                    expected += weight[b, 0, i, j].item() * abs((output - image)[b, c, i, j].item())
    close(losses.weighted_l1(output, image, weight), expected / (2 * 3 * 4 * 5))


# --- gradients ------------------------------------------------------------------------------------------------------

TWO_LOGITS = {
    "ragan_generator": losses.ragan_generator,
    "ragan_discriminator": losses.ragan_discriminator,
    "bce_discriminator": losses.bce_discriminator,
    "hinge_discriminator": losses.hinge_discriminator,
    "wasserstein_discriminator": losses.wasserstein_discriminator,
    "reconstruction": losses.reconstruction,
    "perceptual": lambda a, b: losses.perceptual({"t": a, "u": 2 * a}, {"t": b, "u": b * b}, ("t", "u")),
    "style": lambda a, b: losses.style({"t": a, "u": a.sin()}, {"t": b, "u": b}, ("t", "u")),
    "bce_generator": lambda a, b: losses.bce_generator(a) + losses.bce_generator(3 * b),
    "hinge_generator": lambda a, b: losses.hinge_generator(a * b),
    "generator_loss": lambda a, b: sum(
        losses.generator_loss({"reconstruction": a.sin().sum(), "style": (a * b).sum()}).values()
    ),
}


@pytest.mark.parametrize("name", TWO_LOGITS)
def test_gradients_agree_with_finite_differences(name: str) -> None:
    a, b = logits(2, 2, 3, 2, shift=0.3), logits(2, 2, 3, 2)
    assert torch.autograd.gradcheck(TWO_LOGITS[name], (a, b))


def test_gradients_of_weighted_l1_agree_with_finite_differences() -> None:
    output, image = logits(2, 3, 3, 3), logits(2, 3, 3, 3)
    weight = torch.rand(2, 1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(losses.weighted_l1, (output, image, weight))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_gram_is_taken_in_single_precision_under_autocast(dtype: torch.dtype) -> None:
    features = torch.rand(1, 8, 32, 32, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.autocast("cpu", dtype):
        found = losses.gram(features)
    assert found.dtype == torch.float32
    assert torch.equal(found, losses.gram(features.float()))
