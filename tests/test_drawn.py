"""Small networks on drawn faces: trained, stored small, and loaded as a chapter loads them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from faceinpaint import show
from faceinpaint.errors import DataError
from faceinpaint.presets import preset
from faceinpaint.training.run import Config, load_generator

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
import drawn


@pytest.mark.parametrize("name", drawn.NETWORKS)
def test_every_network_can_be_built_and_is_small(name):
    settings = preset("cpu", **{"start": "blank"} | drawn.NETWORKS[name])
    numbers = sum(tensor.numel() for tensor in Config(name, settings).generator().state_dict().values())
    assert 2 * numbers < drawn.LARGEST


@pytest.mark.parametrize("name", drawn.NETWORKS)
def test_the_networks_of_the_chapters_are_kept_with_their_losses(name):
    folder = drawn.OUT / name
    _, config, about = load_generator(folder)
    assert about["images"] == config.preset.images == drawn.NETWORKS[name]["images"]
    assert about["data"]["faces"].startswith("drawn faces")
    assert (folder / "generator.safetensors").stat().st_size < drawn.LARGEST
    kept = json.loads((folder / "log.json").read_text(encoding="utf-8"))
    assert kept["pictured"] == sorted(kept["pictured"])
    assert kept["pictured"][-1] == about["images"]
    term = "hole" if name == "contextual-attention" else "reconstruction"
    losses = [row[term] for row in kept["log"]]
    assert sum(losses[-20:]) < sum(losses[:20])


@pytest.mark.slow
def test_a_network_is_trained_stored_in_half_precision_and_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr(drawn, "preset", lambda _, **settings: preset("smoke", **settings))
    folder = drawn.make("context-encoder", tmp_path / "work", tmp_path / "out", 64)
    network, config, about = load_generator(folder)
    assert config.method == "context-encoder"
    assert config.preset.start == "blank"
    assert about["images"] == 64
    assert about["stored"] == "float16"
    assert (folder / "generator.safetensors").stat().st_size < drawn.LARGEST
    assert not network.training
    shown = show.samples(folder, rows=3)
    assert shown.body.count("<img") == 3 * (2 + len(drawn.PICTURED))
    assert "after 64" in shown.body


def test_sample_pictures_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataError, match="sample pictures cannot be read"):
        show.samples(tmp_path)
