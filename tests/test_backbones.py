"""Feature networks: layers as torchvision's, found by name, and every way that weights come or fail to come."""

from __future__ import annotations

import hashlib
import logging
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from faceinpaint import backbones, losses
from faceinpaint.backbones import NETWORKS, download, download_folder, load_backbone
from faceinpaint.data.toy import toy_faces
from faceinpaint.errors import ConfigError, DataError, WeightsError
from faceinpaint.training.objectives import TAPS


@pytest.fixture(autouse=True)
def no_weights_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FACEINPAINT_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def left() -> list[str]:
    """What lies in the download folder, but for the lock of a process that fetched."""
    return sorted({path.name for path in download_folder().iterdir()} - {".lock"})


def torchvision_network(name: str, seed: int = 0) -> torch.nn.Module:
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(seed)
    return getattr(models, name)(weights=None).eval()


def feature_weights(network: torch.nn.Module) -> dict[str, Tensor]:
    return {key: value for key, value in network.state_dict().items() if key.startswith("features.")}


def small_weights(name: str, path: Path, heads: bool = False, **changes: Tensor) -> Path:
    """A valid weights file of a network, drawn here, with tensors replaced by ``changes``."""
    drawn = load_backbone(name, "seed", seed=5)
    state = {f"features.{key}": value for key, value in drawn.features.state_dict().items()}
    if heads:
        state |= {f"lin{k}.weight": head.data for k, head in enumerate(drawn.heads)}
    save_file(state | changes, path)
    return path


@pytest.mark.parametrize("name", NETWORKS)
def test_activations_are_those_of_torchvisions_network(name: str, tmp_path: Path) -> None:
    theirs = torchvision_network(name)
    save_file(feature_weights(theirs), tmp_path / f"{name}.safetensors")
    ours = load_backbone(name, tmp_path)
    image = torch.rand(2, 3, 68, 86) * 2 - 1  # sizes at which rounding a pooled size up or down matters
    found = ours(image)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (backbones.IMAGENET_MEAN, backbones.IMAGENET_STD))
    x = ((image + 1) / 2 - mean) / std
    expected = {}
    for index, layer in enumerate(theirs.features):
        x = layer(x)
        for tap, at in ours.layer_of.items():
            if at == index:
                expected[tap] = x.clone()
    assert list(found) == list(expected) == list(ours.taps)
    for tap, value in expected.items():
        assert torch.allclose(found[tap], value, atol=1e-5), tap


def test_taps_of_vgg19_bear_the_names_of_the_paper() -> None:
    shapes = {
        tap: tuple(value.shape[1:]) for tap, value in load_backbone("vgg19", "seed")(torch.zeros(1, 3, 32, 32)).items()
    }
    assert shapes["relu1_1"] == (64, 32, 32)
    assert shapes["relu2_2"] == (128, 16, 16)
    assert shapes["relu3_4"] == (256, 8, 8)
    assert shapes["relu4_1"] == (512, 4, 4)
    assert shapes["relu5_4"] == (512, 2, 2)
    assert len(shapes) == 16


def test_only_taps_asked_for_are_computed_and_in_that_order() -> None:
    network = load_backbone("vgg19", "seed")
    image = torch.rand(1, 3, 32, 32)
    seen = []
    for index, layer in enumerate(network.features):
        layer.register_forward_hook(lambda *_, index=index: seen.append(index))
    found = network(image, ["relu3_1", "relu1_1"])
    assert list(found) == ["relu3_1", "relu1_1"]
    assert max(seen) == network.layer_of["relu3_1"]
    assert torch.equal(found["relu1_1"], network(image)["relu1_1"])


def test_gradients_reach_the_image_and_not_the_weights() -> None:
    network = load_backbone("vgg19", "seed")
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    sum(value.mean() for value in network(image, ["relu1_1", "relu2_1"]).values()).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert all(not p.requires_grad and p.grad is None for p in network.parameters())


def test_weights_that_end_early_give_the_taps_they_have(tmp_path: Path) -> None:
    whole = feature_weights(torchvision_network("vgg19"))
    path = tmp_path / "vgg19_to_relu3_4.safetensors"
    save_file({key: value for key, value in whole.items() if int(key.split(".")[1]) <= 16}, path)
    network = load_backbone("vgg19", path)
    assert network.taps[-1] == "relu3_4"
    assert len(network.taps) == 8
    assert network.provenance == "vgg19_to_relu3_4.safetensors (features up to relu3_4)"
    assert network(torch.zeros(1, 3, 32, 32), ["relu3_4"])["relu3_4"].min() == 0
    with pytest.raises(WeightsError, match=r"end at relu3_4, before relu4_1"):
        network(torch.zeros(1, 3, 32, 32), ["relu4_1"])


def test_seeded_weights_repeat_and_are_said_loudly(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="faceinpaint"):
        first = load_backbone("alexnet")
    assert first.record() == {
        "network": "alexnet",
        "weights": "seeded 0 (no trained weights found)",
        "sha256": first.sha256,
        "trained": False,
    }
    assert "random weights" in caplog.text
    assert "FACEINPAINT_WEIGHTS" in caplog.text
    again, other = load_backbone("alexnet", "seed"), load_backbone("alexnet", "seed", seed=1)
    assert first.sha256 == again.sha256 != other.sha256
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(first(image)["relu5"], again(image)["relu5"])
    assert not torch.equal(first(image)["relu5"], other(image)["relu5"])
    assert again.provenance == "seeded 0 (as asked)"


@pytest.mark.parametrize("name", NETWORKS)
def test_seeded_activations_keep_their_size_with_depth(name: str) -> None:
    image = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for tap, value in load_backbone(name, "seed")(image).items():
        assert 0.1 < value.std() < 10, tap


def test_weights_are_looked_for_in_the_named_folder_then_among_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    download_folder().mkdir(parents=True)
    downloaded = small_weights("squeezenet1_1", download_folder() / "squeezenet1_1_torchvision.safetensors")
    network = load_backbone("squeezenet1_1")
    assert network.trained
    assert network.sha256 == hashlib.sha256(downloaded.read_bytes()).hexdigest()
    assert load_backbone("squeezenet1_1", "download").sha256 == network.sha256  # nothing is fetched twice

    named = tmp_path / "weights"
    named.mkdir()
    monkeypatch.setenv("FACEINPAINT_WEIGHTS", str(named))
    assert load_backbone("squeezenet1_1").sha256 == network.sha256
    head = torch.zeros(1, 64, 1, 1)
    small_weights("squeezenet1_1", named / "squeezenet1_1_mine.safetensors", heads=True, **{"lin0.weight": head})
    mine = load_backbone("squeezenet1_1")
    assert mine.provenance.startswith("squeezenet1_1_mine.safetensors")
    assert [tuple(h.shape) for h in mine.heads] == [(1, c, 1, 1) for c in (64, 128, 256, 384, 384, 512, 512)]
    assert not mine.heads[0].any()
    assert not load_backbone("squeezenet1_1", "seed").trained


def test_missing_and_ambiguous_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=r"absent\.safetensors: no weights of alexnet found"):
        load_backbone("alexnet", tmp_path / "absent.safetensors")
    with pytest.raises(WeightsError, match=r"no weights of alexnet found.*alexnet\*\.safetensors"):
        load_backbone("alexnet", tmp_path)
    small_weights("alexnet", tmp_path / "alexnet_a.safetensors")
    small_weights("alexnet", tmp_path / "alexnet_b.safetensors")
    with pytest.raises(WeightsError, match=r"alexnet_a\.safetensors, alexnet_b\.safetensors"):
        load_backbone("alexnet", tmp_path)
    monkeypatch.setenv("FACEINPAINT_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="names no folder"):
        load_backbone("alexnet")
    with pytest.raises(ConfigError, match="vgg19, alexnet, squeezenet1_1"):
        load_backbone("resnet", "seed")


def test_files_with_other_content_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "alexnet.safetensors"
    path.write_bytes(b"\x80\x04not safetensors")
    with pytest.raises(WeightsError, match="not a readable safetensors file"):
        load_backbone("alexnet", path)
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(WeightsError, match=r"no key begins with features\."):
        load_backbone("alexnet", path)
    with pytest.raises(WeightsError, match="not weights of squeezenet1_1"):
        load_backbone("squeezenet1_1", small_weights("alexnet", path))
    small_weights("alexnet", path, **{"features.0.bias": torch.full((64,), float("nan"))})
    with pytest.raises(WeightsError, match="not finite"):
        load_backbone("alexnet", path)
    small_weights("alexnet", path, heads=True, **{"lin0.weight": torch.zeros(1, 3, 1, 1)})
    with pytest.raises(WeightsError, match="LPIPS heads"):
        load_backbone("alexnet", path)


def test_images_that_a_network_cannot_see_are_refused() -> None:
    network = load_backbone("alexnet", "seed")
    for shape in ((1, 1, 64, 64), (3, 64, 64), (1, 3, 16, 64)):
        with pytest.raises(DataError, match="of at least 32 pixels"):
            network(torch.zeros(shape))
    with pytest.raises(ConfigError, match="no layer 'relu1_1'"):
        network(torch.zeros(1, 3, 64, 64), ["relu1_1"])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_tap_has_a_position_at_the_smallest_size(name: str) -> None:
    network = load_backbone(name, "seed")
    found = network(torch.zeros(1, 3, network.smallest, network.smallest))
    assert all(min(value.shape[2:]) >= 1 for value in found.values())


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file like torchvision's, served from the disk under a name with the digits of its sha256."""
    network = load_backbone("alexnet", "seed", seed=3)
    state = {f"features.{key}": value for key, value in network.features.state_dict().items()}
    state["classifier.1.weight"] = torch.zeros(10, 10)
    torch.save(state, tmp_path / "alexnet.pth")
    digits = hashlib.sha256((tmp_path / "alexnet.pth").read_bytes()).hexdigest()[:8]
    path = (tmp_path / "alexnet.pth").rename(tmp_path / f"alexnet-owt-{digits}.pth")
    monkeypatch.setattr(NETWORKS["alexnet"], "url", path.as_uri())
    return path


def test_a_download_is_checked_converted_and_used(published: Path) -> None:
    sha256 = hashlib.sha256(published.read_bytes()).hexdigest()
    network = load_backbone("alexnet", "download")
    assert network.trained
    assert len(network.heads) == 5
    kept = download_folder() / "alexnet_torchvision.safetensors"
    assert left() == [kept.name]  # no pickle file stays
    assert "classifier.1.weight" not in load_file(kept)
    with safe_open(kept, "pt") as file:
        assert file.metadata() == {"source": published.as_uri(), "source_sha256": sha256}
    expected = load_backbone("alexnet", "seed", seed=3)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(network(image)["relu5"], expected(image)["relu5"])
    assert load_backbone("alexnet").sha256 == network.sha256  # found again without being asked


def test_a_download_of_other_content_is_refused_unread(published: Path) -> None:
    published.write_bytes(published.read_bytes() + b"tail")
    with pytest.raises(WeightsError, match="invalid hash value"):
        load_backbone("alexnet", "download")
    assert not left()


class _Program:
    """Pickled, it asks the reader to make a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


def test_a_download_that_holds_a_program_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"features.0.weight": _Program(tmp_path / "made")}, tmp_path / "program.pth")
    digits = hashlib.sha256((tmp_path / "program.pth").read_bytes()).hexdigest()[:8]
    path = (tmp_path / "program.pth").rename(tmp_path / f"alexnet-owt-{digits}.pth")
    monkeypatch.setattr(NETWORKS["alexnet"], "url", path.as_uri())
    with pytest.raises(WeightsError, match="more than tensors"):
        download("alexnet")
    assert not (tmp_path / "made").exists()
    assert not left()


def test_a_download_that_cannot_be_had_says_so(published: Path) -> None:
    published.unlink()
    with pytest.raises(WeightsError, match=r"could not be fetched.*safetensors file alexnet\*"):
        download("alexnet")


@pytest.mark.realdata
def test_published_heads_are_those_of_the_weights_at_hand(realdata: Path) -> None:
    for name in ("alexnet", "squeezenet1_1"):
        at_hand = load_backbone(name, realdata / "weights")
        theirs = backbones._published_heads(NETWORKS[name])
        assert len(theirs) == len(at_hand.heads) > 0
        for k, head in enumerate(at_hand.heads):
            assert torch.equal(head, theirs[f"lin{k}.weight"])


@pytest.mark.realdata
def test_trained_vgg19_has_activations_near_one_on_a_face(realdata: Path) -> None:
    """The weights at hand are rescaled so that loss weights tuned for torchvision's keep their order."""
    import numpy as np
    from PIL import Image

    faces = sorted((realdata / "celebamask-hq-256" / "test" / "images").iterdir())[:4]
    images = torch.stack([torch.from_numpy(np.asarray(Image.open(f).convert("RGB")).copy()) for f in faces])
    network = load_backbone("vgg19", realdata / "weights")
    found = network(images.permute(0, 3, 1, 2) / 127.5 - 1, ["relu1_1", "relu2_1", "relu3_1", "relu3_4"])
    for tap, value in found.items():
        assert 0.7 < value.mean() < 1.4, tap


def test_changed_heads_are_not_used(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """LPIPS heads come with torchmetrics; another file than the published one is said and left."""
    name, _ = NETWORKS["alexnet"].heads_file
    monkeypatch.setattr(NETWORKS["alexnet"], "heads_file", (name, "0" * 64))
    with caplog.at_level(logging.WARNING):
        assert backbones._published_heads(NETWORKS["alexnet"]) == {}
    assert "alexnet will have none" in caplog.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which torch hides, and asks for
@pytest.mark.parametrize("name", ["vgg19", "squeezenet1_1"])
def test_in_half_precision_and_compiled_the_losses_differ_by_less_than_one_percent(name: str) -> None:
    taps, style_taps = TAPS[name]
    network = load_backbone(name, "seed")
    true, out = (torch.from_numpy(toy_faces(2, 64, seed=s).images).permute(0, 3, 1, 2) / 127.5 - 1 for s in (0, 1))
    found = []
    for network.in_half in (False, True):
        if network.in_half:  # as in training on a GPU, but for the code that a compiler would write
            network.to(memory_format=torch.channels_last).compile(backend="aot_eager")
            true, out = (x.contiguous(memory_format=torch.channels_last) for x in (true, out))
        image = out.clone().requires_grad_()
        seen, wanted = network(image), network(true)
        assert all(features.dtype == torch.float32 for features in seen.values())
        values = losses.perceptual(seen, wanted, taps), losses.style(seen, wanted, style_taps)
        (gradient,) = torch.autograd.grad(sum(values), image)
        found.append((*(value.detach() for value in values), gradient))
    for exact, half in zip(*found, strict=True):
        assert (exact - half).norm() < 0.01 * exact.norm() or exact.ndim == 4
    full, rounded = found[0][2].flatten(), found[1][2].flatten()
    assert torch.cosine_similarity(full, rounded, dim=0) > 0.95
