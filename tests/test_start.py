"""What the hole holds before a network looks: the membrane, and networks that begin from a fill."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.sources import load_faces
from faceinpaint.errors import ConfigError
from faceinpaint.models import Output
from faceinpaint.models.parser import parse
from faceinpaint.models.start import MEAN_COLOUR, STARTS, Smaller, Started, enlarged, membrane, within
from faceinpaint.presets import CHOICES, preset
from faceinpaint.repair.membrane import _doubled
from faceinpaint.repair.membrane import membrane as exact
from faceinpaint.training.methods import METHODS, PARSER, TRAINED, method
from faceinpaint.training.run import Config

pytestmark = pytest.mark.usefixtures("seeded")

TINY = preset("smoke", width=4, style_width=4, critic_width=4, parser_width=4, baseline_scale=0.06)


def built(name: str, start: str) -> nn.Module:
    """A network with fresh weights; what start ``smaller`` begins from are a generator and a parser, fresh too."""
    beneath = Smaller(method("facial-style").build(TINY), PARSER.build(TINY)) if start == "smaller" else None
    return method(name).build(dataclasses.replace(TINY, start=start), smaller=beneath).eval()


def faces_with_holes(size: int, count: int = 8) -> tuple[Tensor, Tensor]:
    """Drawn faces (B, 3, size, size) in grey levels, and drawn holes."""
    faces, holes = load_faces("toy", "test", size, count=count), drawn_holes(count, size, seed=3)
    image = torch.from_numpy(np.array(faces.images)).permute(0, 3, 1, 2).float()
    return image, torch.from_numpy(np.array(holes.holes))[:, None].float()


@pytest.mark.parametrize("size", [64, 96, 128])
def test_the_membrane_is_that_of_a_finer_solver_to_half_a_grey_level(size: int) -> None:
    image, hole = faces_with_holes(size)
    filled, off = membrane(image, hole), []
    for b in range(len(image)):
        fine = exact(image[b].permute(1, 2, 0).numpy(), hole[b, 0].numpy() == 0)
        inside = hole[b, 0] > 0
        off.append((filled[b].permute(1, 2, 0) - torch.from_numpy(fine))[inside].abs().mean())
        assert torch.equal(filled[b][:, ~inside], image[b][:, ~inside])
    assert sum(off) / len(off) < 0.5  # in the hole, the mean of the faces


def test_the_membrane_obeys_laplace() -> None:
    """On a ring around a hole stands a harmonic function; inside, the membrane is that function."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, 33), torch.linspace(-1, 1, 33), indexing="ij")
    harmonic = torch.stack([x, y, x * y, x**2 - y**2])[None]
    hole = torch.zeros(1, 1, 33, 33)
    hole[..., 6:27, 6:27] = 1
    off = (membrane(harmonic, hole, 400) - harmonic).abs()
    assert off.max() < 1e-4
    assert (membrane(harmonic, hole) - harmonic).abs().max() < 0.02  # after the usual number of relaxations


def test_what_lies_under_the_hole_is_not_looked_at() -> None:
    image, hole = faces_with_holes(32, 2)
    spoilt = torch.where(hole > 0, torch.nan, image)
    assert torch.equal(membrane(spoilt, hole), membrane(image, hole))
    with pytest.raises(ConfigError, match="for start 'blank'"):
        Started(nn.Identity(), "blank")
    for start in ("mean", "membrane"):
        front = Started(nn.Identity(), start)
        assert torch.equal(front.fill(spoilt, hole), front.fill(image, hole))


def test_the_membrane_lies_between_the_known_values_or_close() -> None:
    image, hole = faces_with_holes(64)
    filled, known = membrane(image, hole), torch.where(hole > 0, torch.nan, image)
    for b in range(len(image)):
        low, high = np.nanmin(known[b]), np.nanmax(known[b])
        assert low - 2 < filled[b].min() <= filled[b].max() < high + 2


def test_the_membrane_takes_any_sides_and_batch_alike() -> None:
    image, hole = faces_with_holes(64, 4)
    for height, width in ((64, 64), (33, 57), (1, 40), (7, 1)):
        cut, at = image[..., :height, :width], hole[..., :height, :width]
        whole = membrane(cut, at)
        for b in range(4):
            torch.testing.assert_close(membrane(cut[b : b + 1], at[b : b + 1]), whole[b : b + 1])
            torch.testing.assert_close(membrane(cut[b : b + 1].mT, at[b : b + 1].mT), whole[b : b + 1].mT)


def test_nothing_known_is_filled_with_nothing_and_nothing_lost_stays() -> None:
    image = torch.rand(1, 3, 16, 16)
    assert torch.equal(membrane(image, torch.ones(1, 1, 16, 16)), torch.zeros_like(image))
    assert torch.equal(membrane(image, torch.zeros(1, 1, 16, 16)), image)


def test_the_membrane_has_a_gradient_that_is_right() -> None:
    hole = torch.zeros(1, 1, 6, 5, dtype=torch.float64)
    hole[..., 1:4, 1:4] = 1
    image = torch.rand(1, 1, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: membrane(x, hole), image)


# --- in front of a network ------------------------------------------------------------------------------------------


class Seen(nn.Module):
    """Gives back what it is shown."""

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        return Output(image)


def test_a_start_fills_the_hole_and_leaves_the_rest() -> None:
    image, hole = faces_with_holes(32, 2)
    image = image / 127.5 - 1
    assert torch.equal(Started(Seen(), "membrane")(image, hole).image, membrane(image, hole))
    shown = Started(Seen(), "mean")(image, hole).image
    colour = torch.tensor(MEAN_COLOUR).view(1, 3, 1, 1).expand_as(image)
    assert torch.equal(shown, torch.where(hole > 0, colour, image))
    assert isinstance(within(Started(Seen(), "mean")), Seen)
    assert isinstance(within(Seen()), Seen)


def silence(network: nn.Module) -> None:
    """All weights to zero, but those that are divided by their own size."""
    for name, weight in network.named_parameters():
        if ".parametrizations." not in name:
            nn.init.zeros_(weight)


@pytest.mark.parametrize("start", ["mean", "membrane", "smaller"])
@pytest.mark.parametrize("name", [n for n in TRAINED if n in METHODS])
def test_a_network_adds_its_output_to_the_start(name: str, start: str) -> None:
    """With its last layer at zero it gives the start back; without a start it gives nothing of it."""
    image, hole = faces_with_holes(64, 2)
    image, regions = image / 127.5 - 1, torch.ones(2, 64, 64, dtype=torch.uint8)
    generator = built(name, start)
    silence(within(generator))
    out = generator(image, hole, regions)
    filled = generator.fill(image, hole)
    torch.testing.assert_close(out.image, filled)
    if out.coarse is not None:
        torch.testing.assert_close(out.coarse, filled)
    alone = method(name).build(dataclasses.replace(TINY, start="blank")).eval()
    silence(alone)
    assert not torch.allclose(alone(image, hole, regions).image, filled, atol=0.1)


@pytest.mark.parametrize("name", TRAINED)
def test_what_is_under_the_hole_reaches_no_network(name: str) -> None:
    image, hole = faces_with_holes(64, 2)
    image, regions = image / 127.5 - 1, torch.ones(2, 64, 64, dtype=torch.uint8)
    other = torch.where(hole > 0, torch.rand_like(image), image)
    for start in CHOICES["start"]:
        network = built(name, start)
        with torch.no_grad():
            assert torch.equal(network(image, hole, regions).image, network(other, hole, regions).image), start


def test_the_output_on_a_start_has_no_bound() -> None:
    """A correction may be larger than tanh allows."""
    for name in ("facial-style", "context-encoder", "contextual-attention", "gated-conv"):
        generator = method(name).build(dataclasses.replace(TINY, start="membrane")).eval()
        for parameter_name, weight in generator.named_parameters():
            if "conv" in parameter_name or "decoder" in parameter_name or "merge" in parameter_name:
                nn.init.constant_(weight, 1.0)
        image, hole = faces_with_holes(64, 1)
        with torch.no_grad():
            out = generator(image / 127.5 - 1, hole, torch.ones(1, 64, 64, dtype=torch.uint8)).image
        assert out.abs().max() > 3, name


def test_fills_that_learn_nothing_have_no_start_in_front() -> None:
    for name in ("mean-fill", "telea", "membrane"):
        assert not isinstance(METHODS[name].build(dataclasses.replace(TINY, start="membrane")), Started)


def test_the_starts_that_a_preset_may_name_are_known() -> None:
    assert set(CHOICES["start"]) <= set(STARTS)
    with pytest.raises(ConfigError, match="setting start is 'telea'"):
        preset("smoke", start="telea")


def test_a_run_from_before_there_were_starts_is_read_as_it_was() -> None:
    old: dict[str, Any] = Config("facial-style", TINY).to_dict()
    del old["preset"]["start"], old["preset"]["reading"]
    config = Config.from_dict(old, Path("old.json"))
    assert (config.preset.start, config.preset.reading) == ("blank", "R1")
    assert config.options == {"judge": "raw", "l1": "all", "reconstruction": 1.0, "style": 250.0}
    assert not isinstance(config.generator(), Started)
    parser: dict[str, Any] = Config(PARSER.name, TINY).to_dict()
    del parser["preset"]["start"]
    assert Config.from_dict(parser, Path("old.json")).options == {}


# --- the repair of a smaller network --------------------------------------------------------------------------------


def test_halving_enlarging_and_joining_are_what_they_are_called() -> None:
    """A coarse pixel is the mean of its known ones; a hole only where all four are; what is missed is spread."""
    image, hole = faces_with_holes(32, 3)
    shown: list[Tensor] = []

    def repair(small: Tensor, gap: Tensor) -> Tensor:
        shown.extend((small, gap))
        return 255 - small / 2

    done = enlarged(repair, image, hole)
    known = torch.where(hole > 0, torch.nan, image)
    fours = known.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    gap = fours.isnan().all(-1)
    assert gap.any()
    assert torch.equal(shown[1], gap[:, :1].float())
    mean = fours.nanmean(-1).nan_to_num(0)
    torch.testing.assert_close(shown[0], mean)
    painted = torch.where(gap, 255 - mean / 2, mean)
    fine = torch.from_numpy(np.stack([_doubled(one.permute(1, 2, 0).numpy()) for one in painted])).permute(0, 3, 1, 2)
    missed = membrane(image - fine, hole)
    torch.testing.assert_close(done, torch.where(hole > 0, fine + missed, image), atol=1e-3, rtol=1e-5)


def test_a_smaller_repair_changes_no_known_pixel_and_keeps_one_colour() -> None:
    image, hole = faces_with_holes(64, 4)
    for away in (hole, torch.zeros_like(hole), torch.ones_like(hole)):
        done = enlarged(lambda small, gap: torch.rand_like(small), image, away)
        assert torch.equal(torch.where(away > 0, 0, done), torch.where(away > 0, 0, image))
        assert done.isfinite().all()
    grey = torch.full_like(image, 0.3)
    torch.testing.assert_close(enlarged(lambda small, gap: torch.full_like(small, 0.3), grey, hole), grey)


def test_a_smaller_repair_joins_without_a_step() -> None:
    """At the rim of the hole it steps no more than the photograph does there, and less than when merely enlarged."""
    image, hole = faces_with_holes(64)
    coarse = F.avg_pool2d(image, 2)
    done = enlarged(lambda small, gap: coarse, image, hole)
    alone = torch.where(hole > 0, F.interpolate(coarse, scale_factor=2.0, mode="bilinear"), image)

    def step(picture: Tensor) -> float:
        """Mean difference of neighbours of which one is known."""
        across = (hole[..., 1:] != hole[..., :-1]).expand(-1, 3, -1, -1)
        return float((picture[..., 1:] - picture[..., :-1])[across].abs().mean())

    assert step(done) < 1.05 * step(image)
    assert step(done) < step(alone)


def test_a_smaller_repair_has_a_gradient_that_is_right() -> None:
    hole = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    hole[..., 2:6, 2:7] = 1
    image = torch.rand(1, 1, 8, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: enlarged(lambda small, gap: small**2 + gap, x, hole), image)


def test_a_smaller_network_repairs_with_its_own_map_and_is_never_trained() -> None:
    image, hole = faces_with_holes(64, 2)
    image = image / 127.5 - 1
    network, parser = method("facial-style").build(TINY), PARSER.build(TINY)
    started = Started(Seen(), "smaller", Smaller(network, parser)).train()
    assert started.training
    assert not any(part.training for part in (network, parser, *parser.modules()))
    assert not any(p.requires_grad for p in started.parameters())
    maps: list[Tensor] = []
    network.register_forward_hook(lambda _, given, out: maps.extend(given))
    shown = started(image, hole, torch.full((2, 64, 64), 9)).image  # a map of larger faces is nothing to it
    small, gap, regions = maps
    assert small.shape == (2, 3, 32, 32)
    assert torch.equal(regions, parse(parser, small, gap))
    torch.testing.assert_close(shown, enlarged(lambda s, g: network(s, g, parse(parser, s, g)).image, image, hole))
    torch.testing.assert_close(shown, Smaller(network, parser)(image, hole).image)
    blind = Smaller(method("facial-style").build(TINY, merge="none"))
    assert blind(image, hole).image.isfinite().all()


def test_start_smaller_wants_a_smaller_network() -> None:
    with pytest.raises(ConfigError, match=r"none is given\. Name a trained one of half the size: .* --smaller"):
        Started(nn.Identity(), "smaller")
    with pytest.raises(ConfigError, match="none is given"):
        Config("facial-style", dataclasses.replace(TINY, start="smaller"))
