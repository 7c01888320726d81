"""Losses: one small callable for each term of each method.

All take tensors as the networks give them: images (B, 3, H, W) in [-1, 1], hole masks (B, 1, H, W) with 1 = hole,
features (B, C, h, w), critic outputs of any shape as logits. All return one number (a scalar tensor).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from faceinpaint.presets import LAMBDAS

Mean = Callable[[Tensor], Tensor]
"""Mean over the whole batch; with several devices, over the batches of all of them."""


# --- the method of the patent ---------------------------------------------------------------------------------------


def generator_loss(terms: Mapping[str, Tensor], lambdas: Mapping[str, float] = LAMBDAS) -> dict[str, Tensor]:
    r"""Weight the terms of the generator's loss. Eq. (22).

    .. math:: L_{gen} = \lambda_1 L_{rec} + \lambda_2 L_{per} + \lambda_3 L_{style} + \lambda_4 L_{adv}

    Args:
        terms: unweighted terms by name.
        lambdas: weight of each; a term of weight 0 is left out.

    Returns:
        the weighted terms; the loss is their sum.

    >>> terms = {"reconstruction": torch.tensor(0.5), "style": torch.tensor(0.01)}
    >>> {name: round(value.item(), 3) for name, value in generator_loss(terms).items()}
    {'reconstruction': 0.5, 'style': 0.25}
    """
    return {name: lambdas[name] * value for name, value in terms.items() if lambdas[name]}


def reconstruction(output: Tensor, image: Tensor, hole: Tensor | None = None) -> Tensor:
    """Mean absolute difference (L1). The patent does not say which norm, nor over which pixels.

    Args:
        output, image: pictures (B, 3, H, W) in [-1, 1].
        hole: (B, 1, H, W), 1 = hole: only its pixels count, and each picture's mean as much as any other's, however
            small its hole; None for the mean over all pixels of the batch.

    >>> image = torch.zeros(1, 3, 2, 2)
    >>> hole = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    >>> reconstruction(image + hole, image), reconstruction(image + hole, image, hole)
    (tensor(0.2500), tensor(1.))
    """
    if hole is None:
        return F.l1_loss(output, image)
    off = ((output - image).abs() * hole).mean(1).sum((1, 2))
    return (off / hole.sum((1, 2, 3)).clamp(min=1)).mean()


def perceptual(output: Mapping[str, Tensor], image: Mapping[str, Tensor], layers: tuple[str, ...]) -> Tensor:
    """Mean absolute difference of feature maps, summed over ``layers`` (Johnson et al., 2016).

    Args:
        output, image: feature maps by layer name, from a frozen network of :mod:`faceinpaint.backbones`.
        layers: which of them count.

    >>> features = {"relu1_1": torch.ones(1, 2, 2, 2)}
    >>> perceptual(features, {"relu1_1": torch.zeros(1, 2, 2, 2)}, ("relu1_1",))
    tensor(1.)
    """
    return torch.stack([F.l1_loss(output[layer], image[layer]) for layer in layers]).sum()


def gram(features: Tensor) -> Tensor:
    """Gram matrix (B, C, C) of features (B, C, h, w), divided by C h w.

    >>> gram(torch.ones(1, 2, 2, 2)).shape
    torch.Size([1, 2, 2])
    """
    flat = features.flatten(2)
    with torch.autocast(flat.device.type, enabled=False):  # sums over thousands of pixels overflow half precision
        flat = flat.float() if flat.dtype in (torch.float16, torch.bfloat16) else flat
        return flat @ flat.transpose(1, 2) / flat[0].numel()


def style(output: Mapping[str, Tensor], image: Mapping[str, Tensor], layers: tuple[str, ...]) -> Tensor:
    """Mean absolute difference of Gram matrices, summed over ``layers`` (Gatys et al., 2016).

    >>> features = {"relu1_1": torch.ones(1, 2, 2, 2)}
    >>> style(features, features, ("relu1_1",))
    tensor(0.)
    """
    return torch.stack([F.l1_loss(gram(output[layer]), gram(image[layer])) for layer in layers]).sum()


def ragan_generator(real: Tensor, fake: Tensor, mean: Mean = torch.mean) -> Tensor:
    r"""Relativistic average adversarial loss of the generator. Eq. (23).

    .. math::
        L_{adv} = -E[\log(1 - D_{ra}(I_{true}, I_{out}))] - E[\log D_{ra}(I_{out}, I_{true})], \quad
        D_{ra}(a, b) = \sigma(C(a) - E[C(b)])

    halved, as in Jolicoeur-Martineau (2018): the patent omits the 1/2, which only rescales lambda_4.

    Args:
        real, fake: critic logits C for true and repaired images. No sigmoid in the network: it comes after the
            subtraction.

    >>> ragan_generator(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)).round(decimals=4)
    tensor(0.6931)
    """
    return (F.softplus(real - mean(fake)).mean() + F.softplus(-(fake - mean(real))).mean()) / 2


def ragan_discriminator(real: Tensor, fake: Tensor, mean: Mean = torch.mean) -> Tensor:
    """Relativistic average adversarial loss of the discriminator. Eq. (24).

    The patent sets it equal to the generator's loss, with which both networks would pull the same way; here, as
    in Jolicoeur-Martineau (2018), real and fake are swapped.

    >>> real, fake = torch.ones(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    >>> ragan_discriminator(real, fake) < ragan_generator(real, fake)
    tensor(True)
    """
    return ragan_generator(fake, real, mean)


# --- the baselines --------------------------------------------------------------------------------------------------


def bce_generator(fake: Tensor) -> Tensor:
    """Non-saturating loss of the generator on logits (Context Encoder).

    >>> bce_generator(torch.tensor([10.0])) < bce_generator(torch.tensor([-10.0]))
    tensor(True)
    """
    return F.softplus(-fake).mean()


def bce_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy of the discriminator on logits (Context Encoder).

    >>> bce_discriminator(torch.tensor([10.0]), torch.tensor([-10.0])).round(decimals=3)
    tensor(0.)
    """
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """Hinge loss of the generator (Gated Convolution).

    >>> hinge_generator(torch.tensor([0.5, 1.5]))
    tensor(-1.)
    """
    return -fake.mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss of the discriminator, the mean of both halves (Gated Convolution).

    >>> hinge_discriminator(torch.tensor([2.0]), torch.tensor([-2.0]))
    tensor(0.)
    """
    return (F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Difference of the critic's means (Contextual Attention).

    >>> wasserstein_discriminator(torch.tensor([3.0]), torch.tensor([1.0]))
    tensor(-2.)
    """
    return fake.mean() - real.mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, hole: Tensor, chance: Tensor
) -> Tensor:
    """Gradient penalty of WGAN-GP, of the hole's pixels only, target norm 1 (Contextual Attention).

    Args:
        critic: image (B, 3, h, w) -> score (B, ...).
        real, fake: images (B, 3, h, w); a random point on the line between each pair is tried.
        hole: hole mask of them (B, 1, h, w).
        chance: where on the line, (B, 1, 1, 1), uniform in [0, 1).

    >>> image, hole, chance = torch.ones(2, 3, 4, 4), torch.ones(2, 1, 4, 4), torch.full((2, 1, 1, 1), 0.5)
    >>> gradient_penalty(lambda x: x.sum((1, 2, 3)), image, 0 * image, hole, chance) > 0
    tensor(True)
    """
    between = torch.lerp(real.detach(), fake.detach(), chance).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    norm = ((gradient * hole).square().sum((1, 2, 3)) + 1e-12).sqrt()  # the root of 0 has no gradient
    return (norm - 1).square().mean()


def discount(hole: Tensor, rate: float = 0.9) -> Tensor:
    """Spatial discount (B, 1, h, w): rate to the power of how many pixels lie between a hole pixel and the known ones.

    Contextual Attention defines it for a rectangle, by the distance to its sides along either axis. For a hole of any
    shape the distance is counted the same way, in steps of a 3x3 dilation of the known pixels; for a rectangle both
    agree, but that the original's distance to the lower and the right side is one more than to the others, and not
    here. Known pixels and those that touch one have weight 1.

    >>> discount(torch.ones(1, 1, 4, 4)).shape
    torch.Size([1, 1, 4, 4])
    """
    weight = torch.ones_like(hole)
    left = hole
    value = 1.0
    for _ in range(max(hole.shape[-2:])):
        # What is still hole after one more ring of known pixels has grown inwards. The picture's border is not known.
        left = -F.max_pool2d(-left, 3, 1, 1)
        value *= rate
        if value < 1e-2:  # beyond 43 pixels the weight no longer matters
            break
        weight = torch.where(left > 0, value, weight)
    return weight


def weighted_l1(output: Tensor, image: Tensor, weight: Tensor) -> Tensor:
    """Mean of weight * |output - image| over all pixels; ``weight`` is (B, 1, H, W).

    >>> weighted_l1(torch.ones(1, 3, 2, 2), torch.zeros(1, 3, 2, 2), torch.ones(1, 1, 2, 2))
    tensor(1.)
    """
    return (weight * (output - image).abs()).mean()
