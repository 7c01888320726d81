"""Structure first: Canny's lines, the paper's widths, and that the second network paints from the completed lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.sources import load_faces
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models import composite
from faceinpaint.models.discriminators import PatchGAN, StructureCritics
from faceinpaint.models.structure_first import EncoderDecoder, StructureFirst, grey, lines
from faceinpaint.pixels import from_bytes
from faceinpaint.presets import preset
from faceinpaint.training.run import Config, load_generator
from faceinpaint.training.train import train

pytestmark = pytest.mark.usefixtures("seeded")


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def faces(batch: int = 2, size: int = 64) -> tuple[Tensor, Tensor]:
    """Drawn faces in [-1, 1] with drawn holes."""
    image = torch.from_numpy(load_faces("toy", "test", size, count=batch).images.copy()).permute(0, 3, 1, 2)
    hole = torch.from_numpy(drawn_holes(batch, size).holes.copy())[:, None].float()
    return from_bytes(image), hole


def test_parameter_counts_of_the_paper() -> None:
    with torch.device("meta"):
        net, critics = StructureFirst(), StructureCritics()
        started = StructureFirst(from_start=True)
    assert count(net.draw) == 10_761_089
    assert count(net.fill) == 10_774_595
    assert count(critics.picture) == count(PatchGAN()) == 2_763_776
    assert count(critics.structure) == 2_763_776 - 64 * 4 * 4  # two channels in the place of three
    assert count(started.draw) == count(net.draw)
    assert count(started.fill) == count(net.fill) + 64 * 7 * 7  # the hole is a channel more


def test_layers_in_order() -> None:
    net = EncoderDecoder(4, 3, 8)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [m.out_channels for m in convolutions] == [8, 16, 32, *[32] * 16, 16, 8, 3]
    assert [m.dilation[0] for m in convolutions] == [1, 1, 1, *[2, 1] * 8, 1, 1, 1]
    assert [m.stride[0] for m in convolutions] == [1, 2, 2, *[1] * 16, 2, 2, 1]
    norms = [m for m in net.modules() if isinstance(m, nn.InstanceNorm2d)]
    assert len(norms) == 3 + 16 + 2
    assert not any(m.affine or m.track_running_stats for m in norms)


def test_only_the_first_network_is_spectrally_normalised() -> None:
    net = StructureFirst(width=4)
    assert sum("parametrizations" in name for name, _ in net.draw.named_parameters()) == 3 + 16 + 2
    assert not any("parametrizations" in name for name, _ in net.fill.named_parameters())


def test_lines_lie_where_grey_changes_most() -> None:
    """Against a written-out gradient of the smoothed picture: lines are on its ridges, above both thresholds."""
    image, _ = faces(1)
    found = lines(image)[0, 0].bool().numpy()
    assert 0.01 < found.mean() < 0.3
    smooth = gaussian_filter(grey(image)[0, 0].double().numpy() / 2 + 0.5, 1.0, mode="nearest")
    slope = np.hypot(*np.gradient(smooth))
    assert slope[found].mean() > 2 * slope[~found].mean()
    assert not lines(torch.zeros(1, 3, 64, 64)).any()


def test_the_smoothing_of_lines_grows_with_the_picture() -> None:
    fine = torch.zeros(1, 3, 256, 256)
    fine[..., 100:103, :] = 2 * 0.12  # a band that a sigma of 2 pixels flattens, and one of 1 pixel does not
    assert not lines(fine).any()
    assert lines(fine[..., 64:128, 64:128]).any()


def test_holes_have_no_lines_and_no_border() -> None:
    image = torch.zeros(1, 3, 64, 64)
    image[..., :32] = -0.8
    hole = torch.zeros(1, 1, 64, 64)
    hole[..., 20:40, 20:40] = 1
    white = torch.where(hole > 0, 1, image)
    found = lines(white, hole)
    assert not (found * hole).any()
    assert found.sum() > 20
    assert found[..., 26:38].sum() == found.sum()  # the edge between both halves, and none around the hole
    assert lines(white).sum() > found.sum() + 40
    assert torch.equal(found, lines(torch.where(hole > 0, torch.nan, image), hole))


@pytest.mark.parametrize("from_start", [False, True])
def test_the_second_network_paints_from_the_photographs_lines_and_the_drawn_ones(from_start: bool) -> None:
    net = StructureFirst(width=4, from_start=from_start).eval()
    image, hole = faces()
    out = net(image, hole)
    shown = net.shown(image, hole)
    completed = composite(out.structure, lines(shown, hole), hole)
    assert out.coarse is None
    assert out.structure.shape == hole.shape
    assert 0 < out.structure.min() <= out.structure.max() < 1
    torch.testing.assert_close(out.image, net.paint(shown, hole, completed))
    assert not torch.allclose(out.image, net.paint(shown, hole, lines(image)), atol=1e-4)


def test_the_picture_teaches_only_the_second_network_and_the_lines_only_the_first() -> None:
    net = StructureFirst(width=4)
    image, hole = faces()
    for part, other, loss in (
        (net.fill, net.draw, lambda out: out.image.square().mean()),
        (net.draw, net.fill, lambda out: out.structure.square().mean()),
    ):
        net.zero_grad()
        loss(net(image, hole)).backward()
        assert all(p.grad is None for p in other.parameters())
        assert sum(p.grad.abs().sum() for p in part.parameters()) > 0


def test_what_lies_under_the_hole_is_white() -> None:
    net = StructureFirst(width=4)
    image, hole = faces()
    assert torch.equal(net.shown(image, hole), image * (1 - hole) + hole)
    assert StructureFirst(width=4, from_start=True).shown(image, hole) is image


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="width 0"):
        StructureFirst(0)
    with pytest.raises(DataError, match="62x64"):
        StructureFirst(4)(torch.zeros(1, 3, 62, 64), torch.zeros(1, 1, 62, 64))


@pytest.mark.slow
def test_it_learns_lines_and_colours(tmp_path: Path) -> None:
    """Lines in the hole come nearer to the true ones than an untrained network's, and so does the picture."""
    small = preset("smoke", start="membrane", baseline_scale=0.125, images=320, lr=2e-3)
    held, holes = load_faces("toy", "train", 64, count=64), drawn_holes(64, 64)
    config = Config("structure-first", small)
    train(config, held, holes, tmp_path, backbone_weights="seed")
    image, hole = faces(8)
    true = lines(image)
    off, wrong = {}, {}
    for name, net in (("fresh", config.generator().eval()), ("trained", load_generator(tmp_path)[0])):
        with torch.no_grad():
            out = net(image, hole)
        off[name] = float(((out.image - image).abs() * hole).sum() / hole.sum())
        wrong[name] = float(((out.structure - true).abs() * hole).sum() / hole.sum())
    assert off["trained"] < 0.9 * off["fresh"], off
    assert wrong["trained"] < 0.7 * wrong["fresh"], wrong
