"""A method = generator + what it is trained for + optimiser settings. The rows of the comparison table are these.

Training knows no method by name. It builds the generator and the critic, asks for the two losses
(:mod:`faceinpaint.training.objectives`), and adds up what they return.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import nn

from faceinpaint.errors import ConfigError
from faceinpaint.models.baselines import MeanFill, Membrane, Telea
from faceinpaint.models.context_encoder import ContextEncoder
from faceinpaint.models.contextual_attention import ContextualAttention
from faceinpaint.models.facial_style import FacialStyle
from faceinpaint.models.gated_conv import GatedConv
from faceinpaint.models.parser import FaceParser
from faceinpaint.models.similar_faces import SimilarFaces
from faceinpaint.models.start import Started
from faceinpaint.models.structure_first import StructureFirst
from faceinpaint.options import judged
from faceinpaint.presets import LAMBDAS, Preset
from faceinpaint.regions import n_regions

if TYPE_CHECKING:
    from faceinpaint.training.objectives import Objective

SHARED = (
    "size", "start", "faces", "holes", "pairs_per_bin", "images", "large_holes", "batch", "at_once", "data", "lr",
    "decay", "ema", "precision", "compile", "checkpoint_every", "sample_every",
)  # fmt: skip
"""Settings of a preset that every method reads; the others are read by those that name them."""

AS_PRINTED = {"reconstruction": 1.0, "style": 250.0, "judge": "raw", "l1": "all"}
"""Training options of the patent's method as the patent has it, where the default is another: the raw output is judged,
all pixels are reconstructed, and the lambdas are those printed in EdgeConnect's paper, to which the patent leaves
them."""


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
        options: of the training, such as those of the losses, and their defaults.
        lr: learning rate of the paper; critic_lr: that of the critic as a multiple of it.
        betas: of Adam.
        settings: of a preset, those that it reads beside :data:`SHARED`.
        sides: sizes of pictures that its networks take, given the generator's arguments that differ from the preset's.
        perceptual: a frozen network is looked through.
        uses_map: the generator looks at the parsing map.
        remembers: the generator is given the training faces before it is trained, ``remember(faces, weights)``.
        trained: whether it learns anything; what for, :mod:`faceinpaint.training.objectives` says.
    """

    name: str
    title: str
    generator: type[nn.Module]
    sizes: Callable[[Preset], dict[str, Any]]
    options: dict[str, Any] = field(default_factory=dict)
    lr: float = 1e-4
    critic_lr: float = 1.0
    betas: tuple[float, float] = (0.5, 0.999)
    settings: tuple[str, ...] = ()
    sides: Callable[[dict[str, Any]], Sequence[int]] = lambda options: HALVED_FOUR_TIMES
    perceptual: bool = False
    uses_map: bool = False
    remembers: bool = False
    trained: bool = True

    @property
    def objective(self) -> Objective | None:
        """What it is trained for; None if it learns nothing."""
        from faceinpaint.training.objectives import OBJECTIVES  # here: who only repairs loads no loss and no critic

        return OBJECTIVES.get(self.name)

    @property
    def critic(self) -> Callable[[Preset], nn.Module] | None:
        """Builds its critic, given the preset; None if there is none."""
        return self.objective.critic if self.objective else None

    @property
    def generator_loss(self) -> Any:
        """From a :class:`~faceinpaint.training.objectives.Step` to weighted terms by name; the loss is their sum."""
        return self.objective.generator_loss if self.objective else None

    @property
    def critic_loss(self) -> Any:
        """The same of the critic."""
        return self.objective.critic_loss if self.objective else None

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
            ConfigError: they do not, and the sizes that they take.
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
            value = judged(f"{self.name} option", name, value, default)
            problem = f"{self.name} option {name} is {value!r}"
            if type(value) is int and value < 1:
                raise ConfigError(problem, "Give it a positive number")
            if type(value) is float and not 0 <= value < math.inf:
                raise ConfigError(problem, "Give it a number from 0 up")
            (loss if name in self.options else model)[name] = value
        lambdas = [value for value in loss.values() if type(value) is float]
        if lambdas and not any(lambdas):
            raise ConfigError(f"all loss weights of {self.name} are zero", "Leave one of them above zero")
        return model, loss

    def build(
        self, preset: Preset, merge: str = "regions", options: dict[str, Any] | None = None,
        smaller: nn.Module | None = None,
    ) -> nn.Module:  # fmt: skip
        """The generator with fresh weights, its start in front of it.

        Args:
            preset: gives size, start and widths.
            merge: how classes become regions (:data:`faceinpaint.regions.MERGES`).
            options: arguments of the generator that differ from the preset's.
            smaller: what start "smaller" begins from, a :class:`faceinpaint.models.start.Smaller`.

        Raises:
            ConfigError: start "smaller" has nothing to begin from.
        """
        arguments = self.sizes(preset) | (options or {})
        if self.uses_map:
            arguments["n"] = n_regions(merge)
        if preset.start == "blank" or not self.trained:
            return self.generator(**arguments)
        return Started(self.generator(**arguments, from_start=True), preset.start, smaller)


# --- the rows -------------------------------------------------------------------------------------------------------

METHODS = {
    m.name: m
    for m in (
        Method("mean-fill", "Mean colour", MeanFill, lambda p: {}, trained=False),
        Method("telea", "Telea (classical)", Telea, lambda p: {}, trained=False),
        Method("membrane", "Membrane (classical)", Membrane, lambda p: {}, trained=False),
        Method(
            "context-encoder", "CE", ContextEncoder,
            lambda p: {"size": p.size, "width": p.scaled(64), "bottleneck": p.scaled(4000)},
            {"reconstruction": 0.999, "adversarial": 0.001}, lr=2e-3, critic_lr=0.1,
            settings=("baseline_scale", "critic_steps"), sides=lambda options: (32, 64, 128, 256, 512),
        ),
        Method(
            "contextual-attention", "CA", ContextualAttention,
            lambda p: {"width": p.scaled(32)},
            {"hole": 1.2, "known": 1.2, "adversarial": 0.001, "penalty": 10.0}, betas=(0.5, 0.9),
            settings=("baseline_scale", "critic_steps"),
        ),
        Method(
            "gated-conv", "DF2", GatedConv,
            lambda p: {"width": p.scaled(48)},
            {"reconstruction": 1.0, "adversarial": 1.0}, settings=("baseline_scale", "critic_steps"),
        ),
        Method(
            "structure-first", "Structure first", StructureFirst,
            lambda p: {"width": p.scaled(64)},
            LAMBDAS | {"lines": 1.0, "matching": 10.0, "gan": "bce", "judge": "raw", "l1": "hole"},
            critic_lr=0.1, betas=(0.0, 0.9), settings=("baseline_scale", "backbone", "critic_steps"), perceptual=True,
        ),
        Method(
            "similar-faces", "Similar faces", SimilarFaces,
            lambda p: {"size": p.size, "width": p.scaled(64)},
            LAMBDAS | {"gan": "bce", "judge": "raw", "l1": "hole"}, critic_lr=0.1, betas=(0.0, 0.9),
            settings=("baseline_scale", "backbone", "critic_steps"), perceptual=True, remembers=True,
        ),
        Method(
            "gated-conv-our-losses", "DF2, our losses", GatedConv,
            lambda p: {"width": p.scaled(48)},
            LAMBDAS | {"gan": "ragan", "judge": "composite", "l1": "hole"}, betas=(0.0, 0.9),
            settings=("baseline_scale", "critic_width", "backbone", "critic_steps"), perceptual=True,
        ),
        Method(
            "facial-style", "Ours", FacialStyle,
            lambda p: {
                "reading": p.reading, "width": p.width, "style_width": p.style_width, "style_ups": p.style_ups,
                "heads": p.heads,
            },
            LAMBDAS | {"gan": "ragan", "judge": "composite", "l1": "hole", "like": "none"}, betas=(0.0, 0.9),
            settings=(
                "reading", "width", "style_width", "style_ups", "heads", "critic_width", "critic_sees", "backbone",
                "critic_steps",
            ), perceptual=True, uses_map=True,
            sides=lambda options: HALVED_FIVE_TIMES if options.get("reading") == "R2" else HALVED_FOUR_TIMES,
        ),
    )
}  # fmt: skip
"""The rows of the comparison table, in its order."""

PARSER = Method(
    "parser", "Parser", FaceParser, lambda p: {"width": p.parser_width}, lr=1e-3,
    betas=(0.9, 0.999), settings=("parser_width",), uses_map=True,
)  # fmt: skip
"""No row of its own: it supplies the parsing map where there is none."""

TRAINED = (*(name for name, m in METHODS.items() if m.trained), PARSER.name)
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
