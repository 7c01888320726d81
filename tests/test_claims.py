"""The patent's statements: measures that can fail, and the tools that write their records."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceinpaint.comparison.claims import fused_by, seams, untouched
from faceinpaint.comparison.evaluate import Confusion
from faceinpaint.comparison.records import LikeRecord
from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.sources import load_faces
from faceinpaint.models.facial_style import AdaptiveFusion, FacialStyle
from faceinpaint.pixels import from_bytes
from faceinpaint.presets import preset
from faceinpaint.regions import merge_classes
from faceinpaint.training.run import Config
from faceinpaint.training.train import train

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

import parser_curve  # noqa: E402

pytestmark = pytest.mark.usefixtures("seeded")


@pytest.fixture(scope="module")
def scene() -> tuple[Tensor, Tensor, Tensor]:
    """Drawn faces, a hole in the upper left of each, and their maps."""
    faces = load_faces("toy", "test", 64, count=3)
    image = from_bytes(torch.from_numpy(faces.images.copy()).permute(0, 3, 1, 2))
    hole = torch.zeros(3, 1, 64, 64)
    hole[..., 20:34, 10:30] = 1
    return image, hole, torch.from_numpy(merge_classes(np.array(faces.labels))).byte()


def roused(**options: object) -> FacialStyle:
    """A network whose region normalisation does something."""
    net = FacialStyle(width=4, style_width=4, **options).eval()
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if ".fuse." in name and "alpha" not in name:
                parameter.normal_(0, 0.5)
    return net


def test_whole_regions_are_normalised_and_nothing_more(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    found = untouched(roused(), *scene)
    assert 0.01 < found.pixels < 0.95
    assert found.of_normalised < 1e-3
    assert found.of_input > 0.05, "normalising is an operation"


def test_the_measure_sees_a_normalisation_that_touches_whole_regions(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    assert untouched(roused(mask_beta=False), *scene).of_normalised > 0.1


def test_a_face_without_whole_regions_says_nothing(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    image, hole, regions = scene
    found = untouched(roused(), image, torch.ones_like(hole), regions)
    assert found == (0.0, 0.0, 0.0)


def test_steps_of_colour_written_out(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    image, hole, regions = scene
    output = image + torch.randn_like(image) * hole
    across, within = seams(output, image, hole, regions)
    off, labels = (output - image)[0], regions[0]
    lists: dict[bool, list[float]] = {True: [], False: []}
    for y in range(64):
        for x in range(64):
            for v, u in ((y + 1, x), (y, x + 1)):
                if v < 64 and u < 64 and (hole[0, 0, y, x] or hole[0, 0, v, u]) and labels[y, x] and labels[v, u]:
                    step = float((off[:, v, u] - off[:, y, x]).abs().mean())
                    lists[bool(labels[y, x] != labels[v, u])].append(step)
    assert float(across[0]) == pytest.approx(np.mean(lists[True]), rel=1e-4)
    assert float(within[0]) == pytest.approx(np.mean(lists[False]), rel=1e-4)


def test_a_colour_of_its_own_in_one_region_shows_at_its_border_alone(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    image, _, regions = scene
    hole = torch.ones(3, 1, 64, 64)
    output = image + 0.3 * (regions == 1)[:, None]
    across, within = seams(output, image, hole, regions)
    assert (across > 0.05).all()
    assert (within < 1e-6).all()
    across, within = seams(image + 0.3, image, hole, regions)  # the same everywhere: no seam
    assert (across < 1e-6).all()
    assert all(math.isnan(x) for x in seams(image, image, 0 * hole, regions)[0])


def test_styles_are_weighed_otherwise_for_a_while(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    net = roused()
    with torch.no_grad():
        learned = net(*scene).image
        with fused_by(net, "local"):
            local = net(*scene).image
            assert all(m.fusion == "local" for m in net.modules() if isinstance(m, AdaptiveFusion))
        assert torch.equal(net(*scene).image, learned)
    assert not torch.allclose(local, learned, atol=1e-6)


# --- how good a parser must be --------------------------------------------------------------------------------------


def test_a_map_is_warped_further_by_degree(scene: tuple[Tensor, Tensor, Tensor]) -> None:
    regions = scene[2]
    assert torch.equal(parser_curve.warped(regions, 0, 0), regions)
    overlaps = []
    for degree in (0.01, 0.04, 0.16):
        made = parser_curve.warped(regions, degree, 0)
        assert torch.equal(made, parser_curve.warped(regions, degree, 0))
        counted = Confusion()
        counted.add(regions, made, torch.ones_like(regions))
        overlaps.append(counted.overlap().mean)
    assert 1 > overlaps[0] > overlaps[1] > overlaps[2] > 0


def test_overlap_counts_regions_alike() -> None:
    true = torch.tensor([[[1, 1, 1, 2]]], dtype=torch.uint8)
    counted = Confusion()
    counted.add(true, torch.tensor([[[1, 1, 2, 2]]], dtype=torch.uint8), torch.ones(1, 1, 4))
    assert counted.overlap().mean == pytest.approx((2 / 3 + 1 / 2) / 2)


@pytest.mark.slow
def test_the_tools_write_their_records(tmp_path: Path) -> None:
    small = preset("smoke", images=8, width=4, style_width=4, critic_width=4, parser_width=4, baseline_scale=0.0625)
    faces, holes = load_faces("toy", "train", 64, count=8), drawn_holes(8, 64)
    runs = {
        name: train(Config(name, small), faces, holes, tmp_path / name, backbone_weights="seed")
        for name in ("facial-style", "parser", "structure-first", "similar-faces")
    }

    def record(tool: str, *arguments: object) -> dict:
        out = tmp_path / f"{tool}.json"
        command = [sys.executable, str(ROOT / "tools" / f"{tool}.py"), *map(str, arguments)]
        command += ["--weights", "seed"] if tool in ("parser_curve", "like") else []
        run = subprocess.run([*command, "--count", "6", "--out", str(out)], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return json.loads(out.read_text())

    points = record("parser_curve", runs["facial-style"], "--parser", runs["parser"])["points"]
    assert points["0"]["iou"] == 1 > points["0.32"]["iou"]
    assert {"another face", "parser"} < points.keys()
    whole_picture = Config("facial-style", small, {"l1": "all"})
    runs["all"] = train(whole_picture, faces, holes, tmp_path / "all", backbone_weights="seed")
    told = record("claims", runs["facial-style"], "--all", runs["all"])
    assert told["trained_all"].keys() == told["raw_l1"].keys()
    assert told["trained_all"] != told["raw_l1"]
    assert "trained_local" not in told
    assert told["untouched"]["of_normalised"] < 1e-3
    assert told["seams"].keys() == {"learned", "local", "global"}
    assert told["raw_l1"].keys() == {"whole regions", "rest of damaged regions", "hole"}
    trained = "--shipped", runs["facial-style"], "--trained", runs["facial-style"], "--parser", runs["parser"]
    shipped, same = LikeRecord.from_json(record("like", *trained)).weights.values()
    assert shipped == same
    assert shipped.whole["psnr"].n == 6
    arts = record("prior_arts", "--structure", runs["structure-first"], "--similar", runs["similar-faces"])
    assert arts["structure"]["psnr"].keys() == {"none", "completed", "true"}
    assert arts["similar"]["tenth"].keys() == {"mean", "low", "high"}
