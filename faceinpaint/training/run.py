"""A run: what it is asked to train, what it leaves, and how its weights and its log are read again."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from faceinpaint import weights
from faceinpaint.errors import CheckpointError, ConfigError
from faceinpaint.files import read_json, write_json
from faceinpaint.models.start import Smaller
from faceinpaint.presets import Preset, preset
from faceinpaint.regions import MERGES
from faceinpaint.training.methods import AS_PRINTED, METHODS, PARSER, Method, method

SMALLER = "smaller."
"""How the names of the weights begin that a generator with start ``smaller`` holds of the smaller network."""


class _Unfilled(TorchFunctionMode):
    """Leaves tensors as they are made, where random numbers are not looked at: to fill one on the device ``meta``,
    torch loads its compiler, which takes more than a second."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "").endswith(("normal_", "uniform_")):
            return args[0] if args else given["tensor"]
        return func(*args, **given)


@dataclass(frozen=True)
class SmallerRun:
    """The trained networks of half the size that start ``smaller`` begins from; see :func:`load_smaller`.

    Attributes:
        generator: sha256, images and configuration of the generator's training.
        parser: the same of the parser that guesses its maps; None where it reads none.
        tensors: the weights of both, as :class:`faceinpaint.models.start.Smaller` names them. None where the
            configuration was read from a record: they then stand in the weights beside it.
    """

    generator: dict[str, Any]
    parser: dict[str, Any] | None = None
    tensors: dict[str, Tensor] | None = field(default=None, compare=False, repr=False)

    def network(self) -> Smaller:
        """The networks, with these weights if they are here."""
        parts = [Config.from_dict(told["config"], Path("smaller")) for told in (self.generator, self.parser) if told]
        made = Smaller(*(part.built() for part in parts))
        if self.tensors is not None and not next(made.parameters()).is_meta:
            weights.fill(made, self.tensors, Path("smaller"))
        return made

    @property
    def size(self) -> int:
        """Of the pictures that it was trained with."""
        return int(self.generator["config"]["preset"]["size"])

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"generator": self.generator, "parser": self.parser}


@dataclass(frozen=True)
class Config:
    """Everything that decides the weights that come out, but the pictures themselves.

    Attributes:
        method: one of :data:`faceinpaint.training.methods.TRAINED`.
        preset: sizes and budget.
        options: of the model or its losses, those that differ from the default.
        merge: how classes become regions; "none" trains without a parsing map.
        seed: of weights, order, holes and mirroring.
        smaller: what start "smaller" begins from; None with any other start.
    """

    method: str
    preset: Preset
    options: dict[str, Any] = field(default_factory=dict)
    merge: str = "regions"
    seed: int = 0
    smaller: SmallerRun | None = None

    def __post_init__(self) -> None:
        if not method(self.method).trained:
            raise ConfigError(f"method {self.method} is not trained", "Evaluate it as it is")
        if self.merge not in MERGES:
            raise ConfigError(f"unknown merge {self.merge!r}", f"Use one of {', '.join(MERGES)}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise ConfigError(f"seed is {self.seed!r}", "Give a whole number from 0 up, below 2**63")
        model, _ = method(self.method).split_options(self.options)
        method(self.method).check_size(self.preset.size, method(self.method).sizes(self.preset) | model)
        start, size = self.preset.start, self.preset.size
        if self.smaller is not None and start != "smaller":
            problem = f"a smaller network is named, and start {start} does not begin from one"
            raise ConfigError(problem, "Set start=smaller")
        if self.smaller is not None and 2 * self.smaller.size != size:
            raise ConfigError(
                f"the smaller network was trained with pictures of {self.smaller.size} pixels, not of half of {size}",
                f"Set size={2 * self.smaller.size}, or name another",
            )
        with torch.device("meta"), _Unfilled():  # in no time: what cannot be built is refused before data are read
            self.built()

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        content: dict[str, Any] = {
            "method": self.method, "preset": dataclasses.asdict(self.preset), "options": dict(self.options),
            "merge": self.merge, "seed": self.seed,
        }  # fmt: skip
        return content if self.smaller is None else content | {"smaller": self.smaller.to_dict()}

    @classmethod
    def from_dict(cls, content: dict[str, Any], path: Path) -> Config:
        """From JSON.

        Raises:
            ConfigError: a key is missing or unknown, or a value cannot be used.
        """
        content = dict(content)
        try:
            fields = dict(content.pop("preset"))
            if "start" not in fields:  # written before there were starts: what was the default then
                fields |= {"start": "blank", "reading": "R1"}
                if content["method"] == "facial-style":
                    content["options"] = AS_PRINTED | content["options"]
            if content.get("smaller") is not None:
                content["smaller"] = SmallerRun(content["smaller"]["generator"], content["smaller"]["parser"])
            return cls(preset=preset(fields.pop("name"), **fields), **content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(f"it does not describe a run ({error})", "Train again", path) from None
        except ConfigError as error:
            raise ConfigError(error.problem, error.remedy, path) from None

    @property
    def reads_map(self) -> bool:
        """Whether the generator looks at a parsing map that somebody has to give."""
        return method(self.method).uses_map and self.merge != "none"

    def generator(self) -> nn.Module:
        """The generator with fresh weights, the same ones for the same seed; those of a smaller one are its own."""
        torch.manual_seed(self.seed)
        return self.built()

    def built(self) -> nn.Module:
        """The generator with the next random weights."""
        chosen = method(self.method)
        model, _ = chosen.split_options(self.options)
        return chosen.build(self.preset, self.merge, model, self.smaller.network() if self.smaller else None)


def configured(
    name: str, scale: str, settings: dict[str, Any], merge: str = "regions", seed: int = 0,
    smaller: SmallerRun | None = None,
) -> Config:  # fmt: skip
    """A run as a user asks for it: a setting goes to the preset if the method takes it from there, else to the method.

    Args:
        name: of the method.
        scale: name of the preset.
        settings: by name.
        merge, seed, smaller: see :class:`Config`.

    Raises:
        ConfigError: neither has such a setting, or it cannot be so.
    """
    changes, options = method(name).split_settings(settings)
    return Config(name, preset(scale, **changes), options, merge, seed, smaller)


def repairer(config: Config, path: str | Path) -> Method:
    """The method of loaded weights, if it repairs.

    Raises:
        ConfigError: they are a parser's.
    """
    if config.method not in METHODS:
        raise ConfigError(f"these are the weights of a {config.method}", "Name those of a generator", path)
    return METHODS[config.method]


def load_generator(path: str | Path) -> tuple[nn.Module, Config, dict[str, Any]]:
    """A trained generator, ready to use, with its configuration and training record.

    The smaller network that it begins from is in its file, or in a folder beside its own, so that two weights of a list
    need not hold it twice.

    Args:
        path: ``generator.safetensors``, or the folder of a run that holds it.

    Raises:
        CheckpointError: the file is missing, damaged, or does not fit its configuration; or the smaller network is
            neither here nor there.
        ConfigError: the configuration is not valid.
    """
    folder, path = Path(path), weights.trained_file(path)
    if folder.is_dir() and not path.exists():
        raise CheckpointError(
            "the folder holds no generator.safetensors", "Finish the training, or name another folder", folder
        )
    tensors, about = weights.load(path)
    if not isinstance(about.get("config"), dict):
        raise CheckpointError("its JSON does not say how it was trained", "Train again", path.with_suffix(".json"))
    config = Config.from_dict(about["config"], path.with_suffix(".json"))
    if config.smaller is not None and not any(name.startswith(SMALLER) for name in tensors):
        tensors |= {SMALLER + name: tensor for name, tensor in _beside(path, config.smaller).items()}
    with _Unfilled():
        generator = config.generator()
    weights.fill(generator, tensors, path)
    return generator.eval().requires_grad_(False), config, about


def _beside(path: Path, wanted: SmallerRun) -> dict[str, Tensor]:
    """The weights of a smaller network out of the folder beside that of ``path`` that holds them."""
    for other in sorted(path.absolute().parent.parent.glob("*/generator.json")):
        if read_json(other).get("sha256") == wanted.generator["sha256"]:
            found = load_smaller(other.with_suffix(".safetensors"), other.with_name("parser.safetensors"))
            if found == wanted and found.tensors is not None:
                return found.tensors
    size, named = wanted.size, str(wanted.generator["sha256"])[:12]
    raise CheckpointError(
        f"they begin from weights of {size} pixels (sha256 {named}...), which are in no folder beside theirs",
        "Put those and their parser there (`faceinpaint weights download` fetches both)", path,
    )  # fmt: skip


def load_parser(path: str | Path) -> tuple[nn.Module, Config, dict[str, Any]]:
    """A trained parser, ready to use, with its configuration and training record.

    Raises:
        CheckpointError: as :func:`load_generator`, or the weights are not a parser's.
    """
    network, config, about = load_generator(path)
    if config.method != PARSER.name:
        raise CheckpointError(f"these are the weights of a {config.method}", "Name those of a parser", path)
    return network, config, about


def load_smaller(generator: str | Path, parser: str | Path | None = None) -> SmallerRun:
    """Trained weights for start ``smaller``, to be named in a configuration of twice their size.

    Args:
        generator: ``generator.safetensors``, or the folder of a run that holds it.
        parser: weights of the parser that guesses its maps; not looked at if it reads none.

    Raises:
        CheckpointError: weights cannot be used.
        ConfigError: they are no generator's, or it reads a map and the parser is missing or does not go with it.
    """
    network, config, about = load_generator(generator)
    repairer(config, generator)
    guess: tuple[Any, Any] = (None, None)
    if config.reads_map:
        if parser is None:
            raise ConfigError(
                "the smaller network looks at a parsing map, and no parser lies beside it to guess one",
                "Put its parser.safetensors and .json there", generator,
            )  # fmt: skip
        guesser, how, told = load_parser(parser)
        check_merge(how, config, parser)
        if how.preset.size != config.preset.size:
            raise ConfigError(
                f"the parser was trained with pictures of {how.preset.size} pixels, the generator with "
                f"{config.preset.size}", "Name one of the same size", parser,
            )  # fmt: skip
        guess = guesser, brief_of(told)
    return SmallerRun(brief_of(about), guess[1], Smaller(network, guess[0]).state_dict())


def brief_of(about: dict[str, Any], *more: str) -> dict[str, Any]:
    """What the record of one training says of another: which weights, after how many images, how they were trained."""
    return {key: about.get(key) for key in ("sha256", "images", "config", *more)}


def check_merge(parser: Config, generator: Config, path: str | Path | None = None) -> None:
    """Refuse a parser that tells other regions apart than the generator was trained with.

    Args:
        parser, generator: their configurations.
        path: of the parser, to be named.

    Raises:
        ConfigError: the parser tells other regions apart.
    """
    if parser.merge != generator.merge:
        raise ConfigError(
            f"the parser was trained with merge {parser.merge}, the generator with {generator.merge}",
            "Use two that were trained with the same",
            path,
        )


def thinned_log(path: Path, points: int = 100) -> list[dict[str, float]]:
    """A run's ``log.jsonl`` in few lines, for records and plots: the means of stretches of equal length.

    Raises:
        CheckpointError: a line is damaged.
    """
    try:
        rows = [json.loads(line) for line in log_lines(path)]
        names = list(rows[0]) if rows else []
        cuts = np.array_split(np.arange(len(rows)), min(points, len(rows))) if rows else []
        means = [{name: float(np.mean([rows[i][name] for i in cut])) for name in names} for cut in cuts]
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"a line of it is damaged ({error})", "Delete it", path) from None
    return [{name: float(f"{value:.4g}") for name, value in row.items()} for row in means]


def log_lines(path: Path) -> list[str]:
    """Whole lines of a log; a last one that is cut short, by a crash or while it is written, is dropped."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def claim(out: Path, about: dict[str, Any]) -> list[int]:
    """Make ``out`` the folder of this run, or check that it already is; returns the fewer images asked for before."""
    path = out / "config.json"
    about = json.loads(json.dumps(about))
    earlier: list[int] = []
    if path.exists():
        held = read_json(path)
        earlier = held.pop("earlier", [])
        differs = differences(held, about)
        if not isinstance(earlier, list):
            differs.append(f"earlier is {earlier!r} there")
        if differs:
            problem = f"the folder holds another run ({'; '.join(differs)})"
            raise CheckpointError(problem, "Choose another folder, or delete it", out)
        before = held["config"]["preset"]["images"]
        if before == about["config"]["preset"]["images"]:
            return earlier
        earlier = [*earlier, before]
    write_json(path, about | {"earlier": earlier} if earlier else about)
    return earlier


UNSAID = {"at_once": 128, "critic_sees": "picture", "large_holes": 0.0}
"""What settings were before they could be said: runs on file may lack them."""


def differences(held: Any, wanted: Any, name: str = "it") -> list[str]:
    """What keeps a run on file from being the one that is wanted, in words; empty if nothing does.

    Where a frozen network's weights were found does not matter, their sha256 does. Nor do settings that the method does
    not read, nor in whose memory the pictures lie, nor that the run has fewer images, or its parser had: both can be
    taken further. Runs that keep no checksum of their pictures are taken to be of the same ones.
    """
    if name == "parser" and _longer(held, wanted):
        return []
    if isinstance(held, dict) and isinstance(wanted, dict):
        held, wanted = _decisive(held), _decisive(wanted)
        keys = list(wanted | held)
        return [line for key in keys for line in differences(held.get(key), wanted.get(key), key)]
    if held == wanted or name == "weights":
        return []
    if name == "pictures_sha256" and None in (held, wanted):
        return []
    if name == "images" and isinstance(held, int) and isinstance(wanted, int) and held < wanted:
        return []
    return [f"{name} is {held!r} there, {wanted!r} here"]


def other_widths(held: dict[str, Any], config: Config, path: Path) -> list[str]:
    """Settings that give the network of weights on file other sizes than that of a run, as they are there.

    Args:
        held: what is recorded beside the weights.
        config: of the run.
        path: of the weights.

    Returns:
        such as ["reading=R2", "width=28"]; none where the methods differ.
    """
    theirs, chosen = Config.from_dict(held["config"], path), method(config.method)
    if theirs.method != config.method:
        return []
    there = {name: getattr(theirs.preset, name) for name in chosen.settings}
    sizes = chosen.sizes(config.preset)
    return [
        f"{name}={value}"
        for name, value in there.items()
        if chosen.sizes(dataclasses.replace(config.preset, **{name: value})) != sizes
    ]


def _longer(held: Any, wanted: Any) -> bool:
    """Whether a parser is the one of before, taken further."""
    if not isinstance(held, dict) or not isinstance(wanted, dict) or differences(held.get("config"), wanted["config"]):
        return False
    return isinstance(held.get("images"), int) and held["images"] < wanted["images"]


def _decisive(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the settings that decide nothing of its method; any other dictionary as it is."""
    if not isinstance(config.get("method"), str) or not isinstance(config.get("preset"), dict):
        return config
    try:
        chosen = method(config["method"])
    except ConfigError:
        return config
    preset = UNSAID | config["preset"]
    kept = {name: value for name, value in preset.items() if name == "name" or chosen.reads(name)}
    kept.pop("data", None)  # where they lie changes no picture
    return config | {"preset": kept}
