"""A method = generator + critic + losses + optimiser settings. The rows of the comparison table are these entries.

Training knows no method by name. It builds the generator and the critic, asks for the two losses, and adds up what
they return.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint import losses
from faceinpaint.backbones import Backbone
from faceinpaint.errors import ConfigError
from faceinpaint.models import composite
from faceinpaint.models.baselines import MeanFill, Telea
from faceinpaint.models.context_encoder import ContextEncoder
from faceinpaint.models.contextual_attention import ContextualAttention
from faceinpaint.models.discriminators import (
    ContextEncoderCritic,
    DeepFillCritic,
    PatchGAN,
    SNPatchGAN,
    crop,
    local_window,
)
from faceinpaint.models.facial_style import FacialStyle
from faceinpaint.models.gated_conv import GatedConv
from faceinpaint.models.parser import FaceParser
from faceinpaint.models.start import Started
from faceinpaint.presets import Preset
from faceinpaint.regions import n_regions

TAPS = {
    "vgg19": (("relu1_1", "relu2_1", "relu3_1"), ("relu2_2", "relu3_4")),
    "squeezenet1_1": (("relu1", "fire2", "fire4"), ("fire2", "fire4")),
}
"""For each frozen network the feature maps of the perceptual loss, and those of the style loss."""

SHARED = (
    "size", "start", "faces", "holes", "pairs_per_bin", "images", "batch", "lr", "decay", "ema", "precision", "compile",
    "checkpoint_every", "sample_every",
)  # fmt: skip
"""Settings of a preset that every method reads; the others are read by those that name them."""

WORDS = {"gan": ("ragan", "hinge"), "judge": ("raw", "composite"), "l1": ("all", "hole")}
"""What loss options that are words may say: which adversarial loss; whether critic and feature network judge the
generator's raw output or the photograph with its hole filled; over which pixels the reconstruction loss is taken."""

AS_PRINTED = {"reconstruction": 1.0, "style": 250.0, "judge": "raw", "l1": "all"}
"""Loss options of the patent's method as the patent has it, where the default is another: the raw output is judged, all
pixels are reconstructed, and the lambdas are those printed in EdgeConnect's paper, to which the patent leaves them."""


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


HALVED_FOUR_TIMES = range(32, 2**31, 16)
"""Sizes that are whole after four halvings, and then more than one pixel, which has no variance to normalise by."""

HALVED_FIVE_TIMES = range(64, 2**31, 32)
"""The same of five halvings."""


@dataclass(frozen=True)
class Method:
    """One row of the comparison table.

    Attributes:
        name: on the command line and in records.
        title: in the table.
        generator: class of the generator.
        sizes: its width arguments at a preset.
        critic: builds the critic, given the preset; None if there is none.
        generator_loss, critic_loss: from a :class:`Step` to weighted terms by name; the loss is their sum. A method
            without is not trained.
        options: loss options and their defaults.
        lr: learning rate of the paper; critic_lr: that of the critic as a multiple of it.
        betas: of Adam.
        settings: of a preset, those that it reads beside :data:`SHARED`.
        sides: sizes of pictures that its networks take, given the generator's arguments that differ from the preset's.
        perceptual: a frozen network is looked through.
        uses_map: the generator looks at the parsing map.
    """

    name: str
    title: str
    generator: type[nn.Module]
    sizes: Callable[[Preset], dict[str, Any]]
    critic: Callable[[Preset], nn.Module] | None = None
    generator_loss: Any = None
    critic_loss: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    lr: float = 1e-4
    critic_lr: float = 1.0
    betas: tuple[float, float] = (0.5, 0.999)
    settings: tuple[str, ...] = ()
    sides: Callable[[dict[str, Any]], Sequence[int]] = lambda options: HALVED_FOUR_TIMES
    perceptual: bool = False
    uses_map: bool = False

    def own_options(self) -> dict[str, Any]:
        """Arguments of the generator that are options, with their defaults."""
        return {
            p.name: p.default
            for p in inspect.signature(self.generator).parameters.values()
            if p.name not in ("n", "size", "from_start") and p.default is not p.empty
        }

    def reads(self, setting: str) -> bool:
        """Whether a setting of the preset changes anything for this method."""
        return setting in SHARED or setting in self.settings

    def split_settings(self, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Settings by name, as a user gives them -> (fields of the preset, options of the method).

        A name that both have, such as ``width``, is the preset's where the method takes it from there.

        Raises:
            ConfigError: the method does not read a setting of the preset, and has no option of that name.
        """
        own = [name for name in self.own_options() | self.options if not self.reads(name)]
        for name in given.keys() & {f.name for f in dataclasses.fields(Preset)} - set(own):
            if not self.reads(name):
                takes = ", ".join([*SHARED, *self.settings, *own])
                raise ConfigError(f"{self.name} does not read the setting {name!r}", f"It reads {takes}")
        of_preset = {name: value for name, value in given.items() if self.reads(name)}
        return of_preset, {name: value for name, value in given.items() if not self.reads(name)}

    def check_size(self, size: int, options: dict[str, Any]) -> None:
        """Refuse pictures of a size that the networks do not take.

        Args:
            size: side in pixels.
            options: arguments of the generator that differ from the preset's.

        Raises:
            ConfigError: so.
        """
        sides = self.sides(options)
        if size not in sides:
            fits = (
                f"a multiple of {sides.step}, at least {sides.start}"
                if isinstance(sides, range)
                else f"one of {', '.join(map(str, sides))}"
            )
            how = f" with reading={options['reading']}" if "reading" in options else ""
            raise ConfigError(f"{self.name}{how} takes no pictures of {size} pixels", f"Give size {fits}")

    def split_options(self, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Options by name -> (arguments of the generator, loss options with their defaults).

        Raises:
            ConfigError: an option is neither, of another type than its default, or a value that it cannot have, or
                nothing is left to train for.
        """
        of_model = self.own_options()
        model: dict[str, Any] = {}
        loss = dict(self.options)
        for name, value in given.items():
            if name not in of_model and name not in self.options:
                known = ", ".join([*of_model, *self.options]) or "none"
                raise ConfigError(f"{self.name} has no option {name!r}", f"Its options are: {known}")
            default = self.options[name] if name in self.options else of_model[name]
            kind = int if default is None else type(default)
            if kind is float and type(value) is int:
                value = float(value) if abs(value) < 2**1023 else math.inf
            problem = f"{self.name} option {name} is {value!r}"
            if type(value) is not kind and (value is not None or default is not None):
                raise ConfigError(problem, f"Give it a value of type {kind.__name__}")
            if value not in WORDS.get(name, (value,)):
                raise ConfigError(problem, f"Use one of {', '.join(WORDS[name])}")
            if type(value) is int and value < 1:
                raise ConfigError(problem, "Give it a positive number")
            if type(value) is float and not 0 <= value < math.inf:
                raise ConfigError(problem, "Give it a number from 0 up")
            (loss if name in self.options else model)[name] = value
        lambdas = [value for value in loss.values() if type(value) is float]
        if lambdas and not any(lambdas):
            raise ConfigError(f"all loss weights of {self.name} are zero", "Leave one of them above zero")
        return model, loss

    def build(self, preset: Preset, merge: str = "regions", options: dict[str, Any] | None = None) -> nn.Module:
        """The generator with fresh weights, its start in front of it.

        Args:
            preset: gives size, start and widths.
            merge: how classes become regions (:data:`faceinpaint.regions.MERGES`).
            options: arguments of the generator that differ from the preset's.
        """
        arguments = self.sizes(preset) | (options or {})
        if self.uses_map:
            arguments["n"] = n_regions(merge)
        if preset.start == "blank":
            return self.generator(**arguments)
        return Started(self.generator(**arguments, from_start=True), preset.start)


# --- losses of each method ------------------------------------------------------------------------------------------


def _facial_generator(s: Step) -> dict[str, Tensor]:
    out, image, o = s.output.image, s.batch.image, s.options
    terms = {"reconstruction": losses.reconstruction(out, image, s.batch.hole if o["l1"] == "hole" else None)}
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
        fake = s.critic(judged, s.batch.hole)
        if o["gan"] == "hinge":
            terms["adversarial"] = losses.hinge_generator(fake)
        else:
            with torch.no_grad():
                real = s.critic(image, s.batch.hole)
            terms["adversarial"] = losses.ragan_generator(real, fake, s.mean)
    return losses.generator_loss(terms, {name: o[name] for name in losses.LAMBDAS})


def _facial_critic(s: Step) -> dict[str, Tensor]:
    if not s.options["adversarial"]:
        return {}
    out = s.output.image
    judged = composite(out, s.batch.image, s.batch.hole) if s.options["judge"] == "composite" else out
    real, fake = s.critic(s.batch.image, s.batch.hole), s.critic(judged, s.batch.hole)
    if s.options["gan"] == "hinge":
        return {"critic": losses.hinge_discriminator(real, fake)}
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


def _parser(s: Step) -> dict[str, Tensor]:
    # Eyes and brows are a hundredth of a face: unweighted, the parser leaves them out for a long time. A region counts
    # by the inverse root of its share, between counting every pixel alike and counting every region alike.
    scores, regions = s.output.image.float(), s.batch.regions.long()
    share = torch.stack([s.mean((regions == i).float()) for i in range(scores.shape[1])])
    weight = share.clamp(min=1e-4).rsqrt()
    loss = (F.cross_entropy(scores, regions, reduction="none") * weight[regions]).mean()
    return {"cross_entropy": loss / (weight * share).sum()}


# --- the rows -------------------------------------------------------------------------------------------------------


def _scaled(width: float, preset: Preset, step: int = 4) -> int:
    return max(step, round(width * preset.baseline_scale / step) * step)


METHODS = {
    m.name: m
    for m in (
        Method("mean-fill", "Mean colour", MeanFill, lambda p: {}),
        Method("telea", "Telea (classical)", Telea, lambda p: {}),
        Method(
            "context-encoder", "CE", ContextEncoder,
            lambda p: {"size": p.size, "width": _scaled(64, p), "bottleneck": _scaled(4000, p)},
            lambda p: ContextEncoderCritic(p.size, _scaled(64, p)),
            _encoder_generator, _encoder_critic,
            {"reconstruction": 0.999, "adversarial": 0.001}, lr=2e-3, critic_lr=0.1,
            settings=("baseline_scale", "critic_steps"), sides=lambda options: (32, 64, 128, 256, 512),
        ),
        Method(
            "contextual-attention", "CA", ContextualAttention,
            lambda p: {"width": _scaled(32, p)},
            lambda p: DeepFillCritic(p.size, _scaled(64, p)),
            _attention_generator, _attention_critic,
            {"hole": 1.2, "known": 1.2, "adversarial": 0.001, "penalty": 10.0}, betas=(0.5, 0.9),
            settings=("baseline_scale", "critic_steps"),
        ),
        Method(
            "gated-conv", "DF2", GatedConv,
            lambda p: {"width": _scaled(48, p)},
            lambda p: SNPatchGAN(_scaled(64, p)),
            _gated_generator, _gated_critic,
            {"reconstruction": 1.0, "adversarial": 1.0}, settings=("baseline_scale", "critic_steps"),
        ),
        Method(
            "facial-style", "Ours", FacialStyle,
            lambda p: {
                "reading": p.reading, "width": p.width, "style_width": p.style_width, "style_ups": p.style_ups,
                "heads": p.heads,
            },
            lambda p: PatchGAN(p.critic_width),
            _facial_generator, _facial_critic,
            losses.LAMBDAS | {"gan": "ragan", "judge": "composite", "l1": "hole"}, betas=(0.0, 0.9),
            settings=(
                "reading", "width", "style_width", "style_ups", "heads", "critic_width", "backbone", "critic_steps",
            ), perceptual=True, uses_map=True,
            sides=lambda options: HALVED_FIVE_TIMES if options.get("reading") == "R2" else HALVED_FOUR_TIMES,
        ),
    )
}  # fmt: skip
"""The rows of the comparison table, in its order."""

PARSER = Method(
    "parser", "Parser", FaceParser, lambda p: {"width": p.parser_width}, generator_loss=_parser, lr=1e-3,
    betas=(0.9, 0.999), settings=("parser_width",), uses_map=True,
)  # fmt: skip
"""No row of its own: it supplies the parsing map where there is none."""

TRAINED = (*(name for name, m in METHODS.items() if m.generator_loss is not None), PARSER.name)
"""What ``faceinpaint train`` accepts."""


def method(name: str) -> Method:
    """A method by name.

    Raises:
        ConfigError: the name is unknown.
    """
    known = METHODS | {PARSER.name: PARSER}
    if name not in known:
        raise ConfigError(f"unknown method {name!r}", f"Use one of {', '.join(known)}")
    return known[name]
