"""What each method is trained for: its critic and its losses.

Apart from :mod:`faceinpaint.training.methods`, which says how a method is built, so that whoever only repairs loads no
loss and no critic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint import losses
from faceinpaint.backbones import Backbone
from faceinpaint.models import composite
from faceinpaint.models.discriminators import (
    ContextEncoderCritic,
    DeepFillCritic,
    PatchGAN,
    SNPatchGAN,
    StructureCritics,
    crop,
    local_window,
)
from faceinpaint.models.structure_first import grey, lines
from faceinpaint.presets import Preset

TAPS = {
    "vgg19": (("relu1_1", "relu2_1", "relu3_1"), ("relu2_2", "relu3_4")),
    "squeezenet1_1": (("relu1", "fire2", "fire4"), ("fire2", "fire4")),
}
"""For each frozen network the feature maps of the perceptual loss, and those of the style loss."""


class Batch(NamedTuple):
    """What one training step sees.

    Attributes:
        image: (B, 3, H, W) in [-1, 1].
        hole: (B, 1, H, W), 1 = hole.
        regions: parsing map (B, H, W), 0 = other.
        chance: (B, 1, 1, 1) uniform in [0, 1), the same whatever the number of devices.
    """

    image: Tensor
    hole: Tensor
    regions: Tensor
    chance: Tensor


class Step(NamedTuple):
    """What a loss sees: the batch, the generator's output, the critic, and the frozen network if one is used.

    Attributes:
        output: an :class:`faceinpaint.models.Output`.
        critic: one of :mod:`faceinpaint.models.discriminators`, None if the method has none.
        mean: mean over the batches of all devices, of critic outputs or features.
        options: the method's loss options.
    """

    batch: Batch
    output: Any
    critic: Any
    backbone: Backbone | None
    mean: losses.Mean
    options: dict[str, Any]


@dataclass(frozen=True)
class Objective:
    """What one method is trained for.

    Attributes:
        generator_loss, critic_loss: from a :class:`Step` to weighted terms by name; the loss is their sum.
        critic: builds the critic, given the preset; None if there is none.
    """

    generator_loss: Callable[[Step], dict[str, Tensor]]
    critic_loss: Callable[[Step], dict[str, Tensor]] | None = None
    critic: Callable[[Preset], nn.Module] | None = None


def _facial_generator(s: Step) -> dict[str, Tensor]:
    out, image, o = s.output.image, s.batch.image, s.options
    where = s.batch.hole if o["l1"] == "hole" else None
    terms = {"reconstruction": losses.reconstruction(out, image, where)}
    if s.output.coarse is not None:
        terms["reconstruction"] = terms["reconstruction"] + losses.reconstruction(s.output.coarse, image, where)
    judged = composite(out, image, s.batch.hole) if o["judge"] == "composite" else out
    if s.backbone is not None and (o["perceptual"] or o["style"]):
        perceptual_taps, style_taps = TAPS[s.backbone.name]
        taps = tuple(dict.fromkeys(perceptual_taps + style_taps))  # not a set: all devices take the means in one order
        with torch.no_grad():
            true = s.backbone(image, taps)
            # Networks differ in the size of their activations; divided by their mean, lambdas mean the same for all.
            exact = torch.promote_types(image.dtype, torch.float32)
            scale = {tap: s.mean(features.to(exact)).clamp(min=1e-6) for tap, features in true.items()}
            true = {tap: features / scale[tap] for tap, features in true.items()}
        seen = {tap: features / scale[tap] for tap, features in s.backbone(judged, taps).items()}
        terms["perceptual"] = losses.perceptual(seen, true, perceptual_taps)
        terms["style"] = losses.style(seen, true, style_taps)
    if o["adversarial"]:
        fake = s.critic(judged, s.batch.hole, s.batch.regions)
        if o["gan"] == "hinge":
            terms["adversarial"] = losses.hinge_generator(fake)
        elif o["gan"] == "bce":
            terms["adversarial"] = losses.bce_generator(fake)
        else:
            with torch.no_grad():
                real = s.critic(image, s.batch.hole, s.batch.regions)
            terms["adversarial"] = losses.ragan_generator(real, fake, s.mean)
    return losses.generator_loss(terms, {name: o[name] for name in losses.LAMBDAS})


def _facial_critic(s: Step) -> dict[str, Tensor]:
    if not s.options["adversarial"]:
        return {}
    out = s.output.image
    judged = composite(out, s.batch.image, s.batch.hole) if s.options["judge"] == "composite" else out
    real, fake = (s.critic(image, s.batch.hole, s.batch.regions) for image in (s.batch.image, judged))
    if s.options["gan"] == "hinge":
        return {"critic": losses.hinge_discriminator(real, fake)}
    if s.options["gan"] == "bce":
        return {"critic": losses.bce_discriminator(real, fake)}
    return {"critic": losses.ragan_discriminator(real, fake, s.mean)}


def _encoder_generator(s: Step) -> dict[str, Tensor]:
    # As the random-region net was released (train_random.lua): the raw output is judged, and compared at all pixels.
    # The paper's equations mask the loss by the hole; pasting into the photograph is done by the test script only.
    out = s.output.image
    return {
        "reconstruction": s.options["reconstruction"] * (out - s.batch.image).square().mean(),
        "adversarial": s.options["adversarial"] * losses.bce_generator(s.critic(out, s.batch.hole)),
    }


def _encoder_critic(s: Step) -> dict[str, Tensor]:
    real, fake = s.critic(s.batch.image, s.batch.hole), s.critic(s.output.image, s.batch.hole)
    return {"critic": losses.bce_discriminator(real, fake)}


def _attention_generator(s: Step) -> dict[str, Tensor]:
    image, hole, coarse, fine = s.batch.image, s.batch.hole, s.output.coarse, s.output.image
    # The paper's L1 looks at the patch of its rectangular hole; here, at the hole itself, discounted inwards.
    share = s.mean(hole)
    inside = losses.discount(hole) * hole / share.clamp(min=1e-6)
    outside = (1 - hole) / (1 - share).clamp(min=1e-6)
    l1, ae = (
        1.2 * losses.weighted_l1(coarse, image, where) + losses.weighted_l1(fine, image, where)
        for where in (inside, outside)
    )
    scores = s.critic(composite(fine, image, hole), hole)
    return {
        "hole": s.options["hole"] * l1,
        "known": s.options["known"] * ae,
        "adversarial": -s.options["adversarial"] * sum(score.mean() for score in scores),
    }


def _attention_critic(s: Step) -> dict[str, Tensor]:
    image, hole, critic = s.batch.image, s.batch.hole, s.critic
    repaired = composite(s.output.image, image, hole)
    real, fake = critic(image, hole), critic(repaired, hole)
    window = local_window(hole, critic.window)
    real_patch, fake_patch, hole_patch = (crop(x, window, critic.window) for x in (image, repaired, hole))
    penalty = losses.gradient_penalty(critic.whole, image, repaired, hole, s.batch.chance)
    penalty = penalty + losses.gradient_penalty(critic.local, real_patch, fake_patch, hole_patch, s.batch.chance)
    return {
        "critic": sum(losses.wasserstein_discriminator(r, f) for r, f in zip(real, fake, strict=True)),
        "penalty": s.options["penalty"] * penalty,
    }


def _gated_generator(s: Step) -> dict[str, Tensor]:
    image, hole = s.batch.image, s.batch.hole
    both = losses.reconstruction(s.output.coarse, image) + losses.reconstruction(s.output.image, image)
    fake = s.critic(composite(s.output.image, image, hole), hole)
    return {
        "reconstruction": s.options["reconstruction"] * both,
        "adversarial": s.options["adversarial"] * losses.hinge_generator(fake),
    }


def _gated_critic(s: Step) -> dict[str, Tensor]:
    repaired = composite(s.output.image, s.batch.image, s.batch.hole)
    real, fake = s.critic(s.batch.image, s.batch.hole), s.critic(repaired, s.batch.hole)
    return {"critic": losses.hinge_discriminator(real, fake)}


def _structure_generator(s: Step) -> dict[str, Tensor]:
    shade, o, judge = grey(s.batch.image), s.options, s.critic.structure
    terms = _facial_generator(s)
    if o["lines"] or o["matching"]:
        drawn = judge.features(torch.cat([shade, s.output.structure], dim=1))
        with torch.no_grad():
            true = judge.features(torch.cat([shade, lines(s.batch.image)], dim=1))
        terms["lines"] = o["lines"] * losses.bce_generator(drawn[-1])
        matches = torch.stack([F.l1_loss(a, b) for a, b in zip(drawn, true, strict=True)])
        terms["matching"] = o["matching"] * matches.sum()
    return terms


def _structure_critic(s: Step) -> dict[str, Tensor]:
    shade, judge = grey(s.batch.image), s.critic.structure
    terms = _facial_critic(s)
    if s.options["lines"] or s.options["matching"]:  # features that tell lines apart are those of a critic that learns
        real = judge(torch.cat([shade, lines(s.batch.image)], dim=1))
        fake = judge(torch.cat([shade, s.output.structure.detach()], dim=1))
        terms["critic of lines"] = losses.bce_discriminator(real, fake)
    return terms


def _parser(s: Step) -> dict[str, Tensor]:
    # Eyes and brows are a hundredth of a face: unweighted, the parser leaves them out for a long time. A region counts
    # by the inverse root of its share, between counting every pixel alike and counting every region alike.
    scores, regions = s.output.image.float(), s.batch.regions.long()
    share = torch.stack([s.mean((regions == i).float()) for i in range(scores.shape[1])])
    weight = share.clamp(min=1e-4).rsqrt()
    loss = (F.cross_entropy(scores, regions, reduction="none") * weight[regions]).mean()
    return {"cross_entropy": loss / (weight * share).sum()}


OBJECTIVES = {
    "context-encoder": Objective(
        _encoder_generator, _encoder_critic, lambda p: ContextEncoderCritic(p.size, p.scaled(64))
    ),
    "contextual-attention": Objective(
        _attention_generator, _attention_critic, lambda p: DeepFillCritic(p.size, p.scaled(64))
    ),
    "gated-conv": Objective(_gated_generator, _gated_critic, lambda p: SNPatchGAN(p.scaled(64))),
    "structure-first": Objective(_structure_generator, _structure_critic, lambda p: StructureCritics(p.scaled(64))),
    "similar-faces": Objective(_facial_generator, _facial_critic, lambda p: PatchGAN(p.scaled(64))),
    "gated-conv-our-losses": Objective(_facial_generator, _facial_critic, lambda p: PatchGAN(p.critic_width)),
    "facial-style": Objective(
        _facial_generator, _facial_critic, lambda p: PatchGAN(p.critic_width, told=p.critic_sees == "hole-and-map")
    ),
    "parser": Objective(_parser),
}
"""By the name of the method, :data:`faceinpaint.training.methods.TRAINED`."""
