"""Similar faces as reference: who is found, how they are averaged, and that no face is its own reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.sources import load_faces
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models.similar_faces import SimilarFaces
from faceinpaint.models.start import Started, within
from faceinpaint.pixels import from_bytes
from faceinpaint.presets import preset
from faceinpaint.training.run import Config, load_generator
from faceinpaint.training.train import train

pytestmark = pytest.mark.usefixtures("seeded")

SET = load_faces("toy", "train", 64, count=24)
OTHERS = load_faces("toy", "test", 64, count=4)


def pictures(images: np.ndarray) -> Tensor:
    return from_bytes(torch.from_numpy(images.copy()).permute(0, 3, 1, 2))


def holes(count: int, size: int = 64) -> Tensor:
    return torch.from_numpy(drawn_holes(count, size).holes.copy())[:, None].float()


def network(**options: int) -> SimilarFaces:
    made = SimilarFaces(width=4, **{"size": 64, "references": 24, "nearest": 3} | options).eval()
    made.remember(SET.images, "seed")
    return made


def damaged(images: np.ndarray) -> tuple[Tensor, Tensor]:
    image, hole = pictures(images), holes(len(images))
    return torch.where(hole > 0, 0, image), hole


def test_nearest_faces_and_their_mean_written_out() -> None:
    net = network()
    shown, hole = damaged(OTHERS.images)
    mean, which, distance = net.similar(shown, hole)
    features = net.look(pictures(SET.images), ("fire4",))["fire4"]
    query = net.look(shown, ("fire4",))["fire4"]
    features, query = (x / x.square().sum(1, keepdim=True).sqrt() for x in (features, query))
    for b in range(len(shown)):
        known = torch.nn.functional.adaptive_avg_pool2d(1 - hole[b], query.shape[-2:])
        off = ((query[b] - features).square().sum(1, keepdim=True) * known).sum((1, 2, 3)) / known.sum()
        order = off.argsort()[:3]
        assert which[b].tolist() == order.tolist()
        torch.testing.assert_close(distance[b], off[order], atol=1e-5, rtol=1e-4)
        weight = 1 / off[order] / (1 / off[order]).sum()
        expected = (weight[:, None, None, None] * pictures(SET.images[order.numpy()])).sum(0)
        torch.testing.assert_close(mean[b], expected, atol=1e-4, rtol=0)


def test_no_face_is_its_own_reference_mirrored_or_not() -> None:
    """A training face stands in the set; so would a test face that got into it by mistake."""
    net = network()
    shown, hole = damaged(SET.images[:6])
    for flipped in (False, True):
        seen = (shown.flip(-1), hole.flip(-1)) if flipped else (shown, hole)
        _, which, distance = net.similar(*seen)
        assert distance.isfinite().all()
        for b in range(6):
            assert b not in which[b].tolist()
    other = shown.clone()
    other[:, :, :8] = 0.9  # a face that differs in what is known is another one, and found
    hole[:, :, :8] = 0
    assert any(b in net.similar(other, hole)[1][b].tolist() for b in range(6))


def test_its_own_face_is_left_out_at_sizes_above_those_kept(tmp_path: Path) -> None:
    large = load_faces("toy", "train", 128, count=8)
    net = SimilarFaces(width=4, size=128, references=8, nearest=2).eval()
    net.remember(large.images, "seed")
    assert net.faces.shape == (8, 3, 64, 64)
    image, hole = pictures(large.images), holes(8, 128)
    mean, which, _ = net.similar(torch.where(hole > 0, 0, image), hole)
    assert mean.shape == image.shape
    assert not any(b in which[b].tolist() for b in range(8))


def test_the_set_is_the_training_faces_and_no_others(tmp_path: Path) -> None:
    small = preset("smoke", baseline_scale=0.0625, images=16)
    path = train(Config("similar-faces", small), SET, drawn_holes(8, 64), tmp_path, backbone_weights="seed")
    net = within(load_generator(path)[0])
    assert torch.equal(net.faces[net.held], torch.from_numpy(SET.images.copy()).permute(0, 3, 1, 2))
    assert net.held.sum() == len(SET)
    assert not set(SET.sha256) & set(OTHERS.sha256)
    train(Config("similar-faces", small), SET, drawn_holes(8, 64), tmp_path, backbone_weights="seed")  # already there


def test_more_faces_than_there_is_room_for_and_fewer() -> None:
    net = network(references=10)
    assert torch.equal(net.faces, torch.from_numpy(SET.images[:10].copy()).permute(0, 3, 1, 2))
    net.cut(5)
    assert net.similar(*damaged(OTHERS.images))[1].max() < 5
    with pytest.raises(DataError, match="3 faces have no 3"):
        net.cut(3)
    net = network(references=40)
    assert net.held.tolist() == [True] * 24 + [False] * 16
    shown, hole = damaged(OTHERS.images)
    assert torch.equal(net.similar(shown, hole)[0], network().similar(shown, hole)[0])


def test_with_nothing_known_and_with_no_face_there_is_no_reference() -> None:
    image = pictures(OTHERS.images)
    whole = torch.ones(4, 1, 64, 64)
    mean, _, distance = network().similar(image, whole)
    assert not mean.any()
    assert distance.isinf().all()
    empty = SimilarFaces(width=4, size=64, references=8).eval()
    assert not empty.similar(*damaged(OTHERS.images))[0].any()
    assert empty(image, whole).image.isfinite().all()


def test_the_mean_face_reaches_the_picture() -> None:
    net = network()
    shown, hole = damaged(OTHERS.images)
    with torch.no_grad():
        first = net(shown, hole).image
        net.remember(SET.images[12:], "seed")
        assert not torch.allclose(first, net(shown, hole).image, atol=1e-4)


def test_the_frozen_network_does_not_learn() -> None:
    net = network()
    net(*damaged(OTHERS.images)).image.square().mean().backward()
    assert all(p.grad is None and not p.requires_grad for p in net.look.parameters())
    assert all(p.grad is not None for p in net.paint.parameters())


def test_from_a_start_the_output_is_added_to_it() -> None:
    net = SimilarFaces(width=4, size=64, references=24, nearest=3, from_start=True)
    net.remember(SET.images, "seed")
    started = Started(net, "membrane")
    image, hole = pictures(OTHERS.images), holes(4)
    torch.nn.init.zeros_(net.paint[-1].weight)
    assert torch.equal(started(image, hole).image, started.fill(image, hole))


def test_refuses_what_it_cannot_do() -> None:
    with pytest.raises(ConfigError, match="5 faces cannot be the nearest of 5"):
        SimilarFaces(4, references=5)
    with pytest.raises(DataError, match="2 faces have no 3 similar ones"):
        network().remember(SET.images[:2], "seed")
    with pytest.raises(DataError, match="62x64"):
        network()(torch.zeros(1, 3, 62, 64), torch.zeros(1, 1, 62, 64))
