"""Presets: everything that decides what a run costs, in one flat dataclass.

``smoke`` is minutes for the whole table on a CPU, ``cpu`` about an hour a method, ``gpu`` 256x256 on one GPU,
``paper`` 256x256 on 28,000 faces and several GPUs. All methods of one preset are trained alike: the same faces, holes,
number of images, batch and schedule.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from faceinpaint.errors import ConfigError
from faceinpaint.options import WORDS, CriticSees, Data, Heads, Network, Precision, Reading, Start, StyleUps, judged


@dataclass(frozen=True)
class Preset:
    """One scale of the whole reproduction.

    Attributes:
        name: what it is called in records.
        size: side of the square pictures in pixels.
        start: what the hole holds before a network looks at it, see :mod:`faceinpaint.models.start`.
        faces: drawn training faces (real faces are as many as the folder holds).
        holes: drawn training holes (likewise).
        pairs_per_bin: test pairs for each of the six bins of hole fraction, drawn faces.
        images: training images that each generator sees.
        large_holes: share of the training's holes that is drawn from the larger half of them, not from all.
        batch: images a step, over all devices.
        at_once: images that a device computes at a time. A larger share of the batch is taken in equal parts, whose
            gradients are added up: less memory, for a third more of the generator's work. What a loss or a
            normalisation averages over a batch it then averages over such a part.
        data: where a GPU's training set lies: on the "device", or on the "host", which then sends each batch over. It
            makes no difference to what is learned.
        lr: learning rate of every generator; None for that of its paper.
        decay: share of the training, at its end, over which learning rates fall linearly to zero.
        ema: decay of the running mean of the generator's weights, which is what is evaluated.
        critic_steps: discriminator steps for each generator step (Contextual Attention's paper took five).
        reading: of the layers of the facial-style generator, see :class:`faceinpaint.models.facial_style.FacialStyle`.
        width: channels of its first layer.
        style_width: the same of its style network.
        style_ups: see :class:`faceinpaint.models.facial_style.StyleExtractNet`.
        heads: see :class:`faceinpaint.models.facial_style.AdaptiveFusion`.
        baseline_scale: width of the baselines as a share of their papers'.
        critic_width: channels of the first layer of the facial-style discriminator.
        critic_sees: the "picture" alone, as the patent has it, or "hole-and-map" beside it.
        parser_width: channels of the parser at full size.
        backbone: frozen network of the perceptual and style losses, "vgg19" or "squeezenet1_1".
        precision: "32-true" or "bf16-mixed", as Lightning Fabric names them.
        compile: torch.compile and channels_last on a GPU.
        checkpoint_every: images between checkpoints. sample_every: images between sample pictures.

    >>> preset("smoke", images=8).images
    8
    """

    name: str
    size: int = 64
    start: Start = "membrane"
    faces: int = 512
    holes: int = 512
    pairs_per_bin: int = 8
    images: int = 3_000
    large_holes: float = 0.0
    batch: int = 8
    at_once: int = 128
    data: Data = "device"
    lr: float | None = 5e-4
    decay: float = 0.3
    ema: float = 0.99
    critic_steps: int = 1
    reading: Reading = "R1"
    width: int = 16
    style_width: int = 8
    style_ups: StyleUps = 2
    heads: Heads = "shared"
    baseline_scale: float = 0.25
    critic_width: int = 16
    critic_sees: CriticSees = "picture"
    parser_width: int = 8
    backbone: Network = "squeezenet1_1"
    precision: Precision = "32-true"
    compile: bool = False
    checkpoint_every: int = 500
    sample_every: int = 1_000

    def scaled(self, width: float, step: int = 4) -> int:
        """The width of a baseline in its paper -> here, in whole steps."""
        return max(step, round(width * self.baseline_scale / step) * step)


PRESETS = {
    p.name: p
    for p in (
        Preset("smoke"),
        Preset(
            "cpu", batch=4, faces=8_192, holes=8_192, pairs_per_bin=100, images=60_000, ema=0.998,
            parser_width=24, checkpoint_every=2_048, sample_every=8_192,
        ),
        Preset(
            "gpu", size=256, faces=8_192, holes=8_192, pairs_per_bin=500, images=400_000, batch=32, lr=2e-4, ema=0.999,
            width=32, style_width=32, style_ups=3, baseline_scale=1.0, critic_width=64, parser_width=32,
            backbone="vgg19", precision="bf16-mixed", compile=True, checkpoint_every=40_000, sample_every=40_000,
        ),
        Preset(
            "paper", size=256, faces=28_000, holes=28_000, pairs_per_bin=2_000, images=8_000_000, batch=128,
            at_once=64, lr=None, ema=0.9995, start="blank", width=64, style_width=64, style_ups=3, heads="separate",
            baseline_scale=1.0, critic_width=64, parser_width=32, backbone="vgg19", precision="bf16-mixed",
            compile=True, checkpoint_every=100_000, sample_every=200_000,
        ),
    )
}  # fmt: skip

LAMBDAS = {"reconstruction": 1.0, "perceptual": 0.1, "style": 25.0, "adversarial": 0.1}
"""lambda_1..lambda_4. The patent gives no values; these are near what EdgeConnect's (Nazeri et al., 2019) come to.

Its paper prints 1, 0.1, 250, 0.1, its code divides the L1 by the hole's share of the picture and takes the style of the
hole alone, on inputs in [0, 1] and other layers: its style term then weighs 7 to 16 times less against its L1 than 250
does here."""

CHOICES = {name: WORDS[name] for name in ("start", "reading", "heads", "backbone", "precision", "data", "critic_sees")}
"""What settings that are words may say."""


def preset(name: str, /, **changes: Any) -> Preset:
    """A preset by name, with fields replaced.

    Raises:
        ConfigError: the name or a field is unknown, or a value is of the wrong type or out of range.

    >>> preset("smoke", size=64).size
    64
    """
    if name not in PRESETS:
        raise ConfigError(f"unknown preset {name!r}", f"Use one of {', '.join(PRESETS)}")
    known = [f.name for f in dataclasses.fields(Preset) if f.name != "name"]
    for field, value in changes.items():
        if field not in known:
            raise ConfigError(f"unknown setting {field!r}", f"Settings of a preset are {', '.join(known)}")
        if field == "lr" and value is None:
            continue
        changes[field] = value = judged("setting", field, value, getattr(PRESETS["smoke"], field))
        if field in ("decay", "ema", "large_holes"):
            if not 0 <= value <= 1:
                raise ConfigError(f"setting {field} is {value!r}", "Give it a number from 0 to 1")
        elif type(value) in (int, float) and not 0 < value < math.inf:
            raise ConfigError(f"setting {field} is {value!r}", "Give it a positive number")
    made = dataclasses.replace(PRESETS[name], **changes)
    if made.size % 16 or made.size < 32:
        raise ConfigError(f"setting size is {made.size}", "Give a multiple of 16, at least 32")
    return made
