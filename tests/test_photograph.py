"""Repairing one photograph: known pixels, sizes, and what must not be looked at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceinpaint import weights
from faceinpaint.errors import CheckpointError, ConfigError, DataError
from faceinpaint.faces.toy import draw
from faceinpaint.photograph import inpaint
from faceinpaint.presets import preset
from faceinpaint.train import Config

P = preset("smoke", size=32, width=4, style_width=4, baseline_scale=0.06)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generators with fresh weights: ``ours``, ``single`` (no map) and ``gated``."""
    root = tmp_path_factory.mktemp("runs")
    for name, method, merge in (
        ("ours", "facial-style", "regions"),
        ("single", "facial-style", "none"),
        ("gated", "gated-conv", "regions"),
    ):
        config = Config(method, P, merge=merge)
        (root / name).mkdir()
        tensors = config.generator().state_dict()
        weights.save(root / name / "generator.safetensors", tensors, {"config": config.to_dict()})
    return root


def photograph(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face, a hole of a box and a line, and the map, cut to any size."""
    image, labels = draw(5, max(height, width, 16))
    hole = np.zeros((height, width), np.uint8)
    hole[height // 4 : height // 2, width // 3 : 2 * width // 3] = 1
    hole[:, width // 5] = 1
    return image[:height, :width].copy(), hole, labels[:height, :width].copy()


@pytest.mark.parametrize("size", [(32, 32), (47, 33), (20, 90), (201, 150), (16, 16)])
@pytest.mark.parametrize("name", ["ours", "single", "gated"])
def test_known_pixels_come_back_bit_for_bit_at_any_size(name: str, size: tuple[int, int], runs: Path) -> None:
    photo, hole, parsing = photograph(*size)
    before = photo.copy(), hole.copy(), parsing.copy()
    repaired = inpaint(photo, hole, parsing if name == "ours" else None, weights=runs / name)
    assert (repaired.shape, repaired.dtype) == (photo.shape, np.uint8)
    assert np.array_equal(repaired[hole == 0], photo[hole == 0])
    assert (repaired[hole == 1] != photo[hole == 1]).any()
    for given, was in zip((photo, hole, parsing), before, strict=True):
        assert np.array_equal(given, was)


@pytest.mark.parametrize("size", [(32, 32), (47, 33), (201, 150)])
@pytest.mark.parametrize("name", ["ours", "gated"])
def test_what_lies_under_the_hole_is_never_looked_at(name: str, size: tuple[int, int], runs: Path) -> None:
    photo, hole, parsing = photograph(*size)
    results = []
    for colour in (0, 255):
        photo[hole == 1] = colour
        results.append(inpaint(photo, hole, parsing, weights=runs / name))
    assert np.array_equal(*results)


def test_a_single_missing_pixel_of_a_large_photograph_is_a_hole(runs: Path) -> None:
    photo = np.full((1200, 1200, 3), 90, np.uint8)
    hole = np.zeros((1200, 1200), np.uint8)
    hole[600, 600] = 1
    results = []
    for colour in (0, 255):
        photo[600, 600] = colour
        results.append(inpaint(photo, hole, weights=runs / "gated"))
    assert np.array_equal(*results)


def test_any_nonzero_value_of_the_mask_is_hole_and_none_is_fine(runs: Path) -> None:
    photo, hole, _ = photograph(40, 40)
    one = inpaint(photo, hole, weights=runs / "gated")
    assert np.array_equal(one, inpaint(photo, hole * 255, weights=runs / "gated"))
    assert np.array_equal(one, inpaint(photo, hole.astype(bool), weights=runs / "gated"))
    assert np.array_equal(inpaint(photo, hole * 0, weights=runs / "gated"), photo)
    everything = inpaint(photo, np.ones_like(hole), weights=runs / "gated")
    assert everything.shape == photo.shape


def test_the_map_matters_where_it_is_read(runs: Path) -> None:
    photo, hole, parsing = photograph(64, 64)
    results = [inpaint(photo, hole, labels, weights=runs / "ours") for labels in (parsing, np.ones_like(parsing))]
    assert not np.array_equal(*results)
    results = [inpaint(photo, hole, labels, weights=runs / "single") for labels in (parsing, None)]
    assert np.array_equal(*results)


def test_what_does_not_fit_is_refused(runs: Path, tmp_path: Path) -> None:
    photo, hole, parsing = photograph(40, 30)
    with pytest.raises(DataError, match="hole mask"):
        inpaint(photo, hole.T, parsing, weights=runs / "ours")
    with pytest.raises(DataError, match="parsing map is"):
        inpaint(photo, hole, parsing[1:], weights=runs / "ours")
    with pytest.raises(DataError, match="parsing map, and none is given"):
        inpaint(photo, hole, weights=runs / "ours")
    with pytest.raises(DataError, match="holds class 19"):
        inpaint(photo, hole, parsing + 19 - parsing, weights=runs / "ours")
    for bad in (photo[..., 0], photo[..., :2], photo.astype(np.float32)):
        with pytest.raises(DataError, match="the photograph is"):
            inpaint(bad, hole, parsing, weights=runs / "ours")
    with pytest.raises(CheckpointError, match="no such file"):
        inpaint(photo, hole, parsing, weights=tmp_path / "absent")


def test_weights_of_a_parser_are_refused(tmp_path):
    config = Config("parser", preset("smoke", parser_width=4, size=32))
    path = tmp_path / "generator.safetensors"
    weights.save(path, config.generator().state_dict(), {"config": config.to_dict()})
    photo, hole = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    with pytest.raises(ConfigError, match="weights of a parser"):
        inpaint(photo, hole, weights=path)
