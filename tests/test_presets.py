"""The presets, and what may be changed in them."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from faceinpaint.backbones import NETWORKS
from faceinpaint.errors import ConfigError
from faceinpaint.options import read_settings
from faceinpaint.presets import CHOICES, PRESETS, Preset, preset
from faceinpaint.training.methods import METHODS
from faceinpaint.training.objectives import Batch, Step

SETTINGS = [f.name for f in dataclasses.fields(Preset) if f.name != "name"]


def test_there_are_four_presets_by_name() -> None:
    assert tuple(PRESETS) == ("smoke", "cpu", "gpu", "paper")
    for name in PRESETS:
        assert preset(name) is not None
        assert preset(name) == PRESETS[name]
        assert preset(name).name == name


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_passes_its_own_checks(name: str) -> None:
    given = dataclasses.asdict(PRESETS[name])
    given.pop("name")
    for base in PRESETS:  # from any preset, with all fields given
        assert dataclasses.replace(preset(base, **given), name=name) == PRESETS[name]


def test_every_setting_is_described() -> None:
    text = Preset.__doc__ or ""
    assert [name for name in SETTINGS if f" {name}: " not in text] == []


def test_each_preset_costs_more_than_the_one_before() -> None:
    for field in ("size", "images", "faces", "width", "critic_width", "parser_width", "baseline_scale"):
        values = [getattr(p, field) for p in PRESETS.values()]
        assert values == sorted(values), field
    assert PRESETS["smoke"].images < PRESETS["cpu"].images < PRESETS["gpu"].images < PRESETS["paper"].images
    assert [p.size for p in PRESETS.values()] == [64, 64, 256, 256]
    assert PRESETS["paper"].faces == 28_000
    assert PRESETS["paper"].lr is None  # each method its paper's
    assert PRESETS["gpu"].precision == PRESETS["paper"].precision == "bf16-mixed"


def test_checkpoints_come_before_the_end() -> None:
    for p in PRESETS.values():
        assert p.checkpoint_every < p.images, p.name
        assert p.images % p.batch == 0, p.name


def test_changes_replace_fields_and_nothing_else() -> None:
    made = preset("cpu", batch=3, lr=1e-3, heads="separate", compile=True, size=96)
    assert made == dataclasses.replace(PRESETS["cpu"], batch=3, lr=1e-3, heads="separate", compile=True, size=96)
    assert PRESETS["cpu"] == Preset(
        "cpu", batch=4, faces=8_192, holes=8_192, pairs_per_bin=100, images=60_000, ema=0.998,
        parser_width=24, checkpoint_every=2_048, sample_every=8_192,
    )  # fmt: skip
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.batch = 4  # type: ignore[misc]


def test_whole_numbers_are_taken_for_broken_ones_and_lr_may_be_none() -> None:
    made = preset("smoke", lr=1, baseline_scale=2, decay=0, ema=1)
    for field, value in {"lr": 1.0, "baseline_scale": 2.0, "decay": 0.0, "ema": 1.0}.items():
        assert getattr(made, field) == value
        assert type(getattr(made, field)) is float
    assert preset("smoke", lr=None).lr is None
    assert json.loads(json.dumps(dataclasses.asdict(made))) == dataclasses.asdict(made)


def refused(problem: str, remedy: str, name: str = "smoke", **changes: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        preset(name, **changes)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    refused("unknown preset 'huge'", "smoke, cpu, gpu, paper", "huge")
    refused("unknown setting 'widht'", "size, start, faces", widht=3)
    with pytest.raises(ConfigError, match="unknown setting 'colour'") as caught:
        preset("gpu", batch=8, colour="red")
    assert all(setting in caught.value.remedy for setting in SETTINGS)
    assert "name" not in caught.value.remedy.split(", ")
    with pytest.raises(ConfigError, match="unknown setting 'name'"):
        preset("gpu", **{"name": "mine"})


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("batch", 2.0, "int"),
        ("batch", "8", "int"),
        ("batch", True, "int"),
        ("batch", None, "int"),
        ("lr", "fast", "float"),
        ("lr", True, "float"),
        ("ema", None, "float"),
        ("ema", [0.9], "float"),
        ("compile", 1, "bool"),
        ("compile", "true", "bool"),
        ("heads", 2, "str"),
        ("backbone", None, "str"),
    ],
)
def test_values_of_another_type_are_refused(field: str, value: Any, kind: str) -> None:
    refused(f"setting {field} is {value!r}", f"of type {kind}", **{field: value})


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(
    "field", [f for f in SETTINGS if type(getattr(PRESETS["smoke"], f)) is int and f != "style_ups"]
)
def test_counts_are_at_least_one(field: str, value: int) -> None:
    refused(f"setting {field} is {value}", "positive number", **{field: value})


def test_upsamplings_are_two_or_three() -> None:
    for value in (0, -1, 4):
        refused(f"setting style_ups is {value}", "2, 3", style_ups=value)


@pytest.mark.parametrize("value", [0.0, -1e-4, math.nan, math.inf])
@pytest.mark.parametrize("field", ["lr", "baseline_scale"])
def test_rates_are_positive_and_finite(field: str, value: float) -> None:
    refused(f"setting {field} is {value}", "positive number", **{field: value})


@pytest.mark.parametrize("value", [-0.1, 1.001, math.nan, math.inf])
@pytest.mark.parametrize("field", ["decay", "ema", "large_holes"])
def test_shares_are_between_zero_and_one(field: str, value: float) -> None:
    refused(f"setting {field} is {value}", "from 0 to 1", **{field: value})


@pytest.mark.parametrize("size", [16, 31, 40, 63, 100, 257])
def test_sizes_are_multiples_of_16_from_32_up(size: int) -> None:
    refused(f"setting size is {size}", "multiple of 16, at least 32", size=size)
    assert preset("smoke", size=32).size == 32


@pytest.mark.parametrize("field", CHOICES)
def test_words_are_among_the_known_ones(field: str) -> None:
    for word in CHOICES[field]:
        assert getattr(preset("smoke", **{field: word}), field) == word
    refused(f"setting {field} is 'nonsense'", ", ".join(CHOICES[field]), **{field: "nonsense"})


def test_every_setting_that_is_a_word_has_its_choices() -> None:
    assert set(CHOICES) == {f for f in SETTINGS if type(getattr(PRESETS["smoke"], f)) is str}
    assert set(CHOICES["backbone"]) <= set(NETWORKS)


def kept_for_the_backward_pass(scale: Preset, images: int) -> float:
    """GiB that the generator's step of facial-style keeps, in the preset's precision; nothing is computed."""
    chosen, size, held = METHODS["facial-style"], scale.size, {}
    with FakeTensorMode(), torch.autocast("cpu", torch.bfloat16, enabled=scale.precision == "bf16-mixed"):
        networks = chosen.build(scale), chosen.critic(scale).requires_grad_(False), NETWORKS[scale.backbone]()
        networks[2].requires_grad_(False).in_half = scale.precision == "bf16-mixed"
        own = {p.untyped_storage()._cdata for network in networks for p in network.parameters()}
        image, hole = torch.zeros(images, 3, size, size), torch.zeros(images, 1, size, size)
        batch = Batch(image, hole, torch.ones(images, size, size, dtype=torch.uint8), torch.zeros(images, 1, 1, 1))

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage._cdata not in own:
                held[storage._cdata] = tensor, storage.nbytes()  # the tensor too: the place of one that went is taken
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = networks[0](batch.image, batch.hole, batch.regions)
            step = Step(batch, output, networks[1], networks[2], torch.mean, chosen.split_options({})[1])
            chosen.generator_loss(step)
    return sum(size for _, size in held.values()) / 2**30


@pytest.mark.slow
def test_what_the_readme_says_of_memory_is_counted() -> None:
    text = " ".join((Path(__file__).resolve().parents[1] / "README.md").read_text().split())
    of_gpu, of_paper = (kept_for_the_backward_pass(p, 2) / 2 for p in (PRESETS["gpu"], PRESETS["paper"]))
    paper = PRESETS["paper"]
    data = paper.size**2 * (4 * paper.faces + paper.holes) / 2**30
    assert f"{of_gpu * PRESETS['gpu'].batch:.0f} GiB in `gpu`, {of_paper * paper.at_once:.0f} GiB in `paper`" in text
    assert f"{data:.0f} GiB of data" in text
    assert of_paper * paper.at_once + data < 60 < of_paper * paper.batch + data  # of 80, with room for what passes
    # Of the 16 GB of a card that computes in single precision: what the README sets fits, the preset alone does not.
    (settings,) = re.findall(r"takes `gpu` with `((?:--set \w+=[\w-]+ ?)+)`", text)
    small = preset("gpu", **read_settings(settings.replace("--set ", "").split()))
    kept = kept_for_the_backward_pass(small, 2) / 2
    data = small.size**2 * (4 * small.faces + small.holes) / 2**30
    assert small.precision == "32-true"
    assert f"{kept * small.at_once:.0f} GiB, of the {kept * small.batch:.0f} that the whole batch would keep" in text
    assert kept * small.at_once + data < 12 < 15 < kept * small.batch
