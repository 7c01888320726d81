"""Drawn faces: the same picture everywhere, an exact map, CelebA-HQ's framing, and variety."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from faceinpaint.data import toy
from faceinpaint.data.sources import load_faces
from faceinpaint.data.toy import SPLITS, draw, toy_faces
from faceinpaint.errors import ConfigError
from faceinpaint.regions import CLASSES, REGIONS, merge_classes

ID = {name: number for number, name in enumerate(CLASSES)}

# First 16 hex digits of the sha256 of picture and map. They hold on every platform; a change of the drawing
# changes them, and with them every record made from drawn faces.
HASHES = {
    (0, 32): ("468b5ae0abddb065", "dd42f267bfe45af3"),
    (1, 48): ("cdf4c0553b57c0dd", "cae305f5f3ffea0d"),
    (2, 64): ("1131b9a6ca9a261f", "a2461f7e5f32974e"),
    (7, 33): ("521df7f4a0a8b211", "fb1b367eb88a7a78"),
    (12, 64): ("2e838e645521a1b6", "d985346a7b669f38"),
    (41, 64): ("22c137fcc187ae29", "ea23f0e574847b61"),
    (123456789, 40): ("a95327c5d6e2ee21", "874a2a20051ac80c"),
    (1099511627781, 128): ("1de4af6e3e9fcac3", "80ed672b741f0ceb"),
}


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    """200 faces at 64: pictures (200, 64, 64, 3) and maps (200, 64, 64)."""
    drawn = [draw(seed, 64) for seed in range(200)]
    return np.stack([image for image, _ in drawn]), np.stack([labels for _, labels in drawn])


def digest(seed: int, size: int) -> tuple[str, str]:
    return tuple(hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in draw(seed, size))


def pieces(mask: np.ndarray) -> list[int]:
    """Sizes of the 8-connected pieces of a mask, largest first."""
    left, sizes = {tuple(p) for p in np.argwhere(mask)}, []
    while left:
        stack, size = [left.pop()], 0
        while stack:
            row, column = stack.pop()
            size += 1
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            stack.extend(around)
        sizes.append(size)
    return sorted(sizes, reverse=True)


@pytest.mark.parametrize(("seed", "size"), HASHES)
def test_same_picture_on_every_platform(seed: int, size: int) -> None:
    assert digest(seed, size) == HASHES[seed, size]


def test_same_picture_whatever_was_drawn_before_and_without_vector_instructions() -> None:
    # A fresh process with numpy's optional SIMD code switched off stands for another machine.
    code = (
        "import hashlib\nfrom faceinpaint.data.toy import draw\n"
        "print(*(hashlib.sha256(draw(s, 48)[k].tobytes()).hexdigest()[:16] for s in (3, 4, 5) for k in (0, 1)))"
    )
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    off = " ".join(name for name in __cpu_dispatch__ if __cpu_features__.get(name))
    environment = {**os.environ, "NPY_DISABLE_CPU_FEATURES": off}
    out = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.split() == [part for seed in (3, 4, 5) for part in digest(seed, 48)]


def test_no_platform_dependent_mathematics() -> None:
    source = Path(toy.__file__).read_text(encoding="utf-8")
    for name in ("np.sin", "np.cos", "np.exp", "np.log", "np.power", "np.tan", "np.arctan", "np.hypot", "np.dot",
                 "import math", "** 0.", "** 3", "np.sum", "np.mean", ".normal(", "np.einsum", " @ "):  # fmt: skip
        assert name not in source, name


def test_shapes_and_types(faces: tuple[np.ndarray, np.ndarray]) -> None:
    image, labels = draw(11, 100)  # any size, not only powers of two
    assert image.shape == (100, 100, 3)
    assert labels.shape == (100, 100)
    assert image.dtype == labels.dtype == np.uint8
    assert image.flags.c_contiguous
    assert draw(11, 16)[0].shape == (16, 16, 3)
    assert faces[1].max() < len(CLASSES)


def test_seeds_give_different_faces(faces: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = faces
    assert len({image.tobytes() for image in images}) == len(images)
    assert len({map_.tobytes() for map_ in labels}) == len(labels)


@pytest.mark.parametrize("seed", range(6))
def test_map_is_decided_at_pixel_centres(seed: int) -> None:
    # With an odd factor every coarse pixel's centre is also a fine pixel's centre: the fine map, sampled there, is
    # the coarse map. Texture on outlines does not depend on the size, so nothing else may differ either.
    coarse, fine = draw(seed, 48)[1], draw(seed, 144)[1]
    differing = (fine[1::3, 1::3] != coarse).mean()
    assert differing < 0.004


@pytest.mark.parametrize("seed", range(6))
def test_size_only_changes_the_sampling(seed: int) -> None:
    small = draw(seed, 64)[0].astype(float)
    large = draw(seed, 256)[0].astype(float).reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(small - large).mean() < 5.0


@pytest.mark.parametrize("seed", range(8))
def test_picture_and_map_show_the_same_geometry(seed: int) -> None:
    # Where the map changes class the picture has its edges: the gradient is larger there than inside classes.
    image, labels = draw(seed, 128)
    grey = image.astype(float).mean(2)
    step = np.abs(np.diff(grey, axis=1))
    border = labels[:, 1:] != labels[:, :-1]
    # The nose is shaded, not outlined: its border to the skin need not show.
    pair = {ID["skin"], ID["nose"]}
    soft = np.isin(labels[:, 1:], list(pair)) & np.isin(labels[:, :-1], list(pair))
    assert step[border & ~soft].mean() > 4.0 * step[~border].mean()


def test_every_class_occurs(faces: tuple[np.ndarray, np.ndarray]) -> None:
    share = np.array([(faces[1] == number).any((1, 2)).mean() for number in range(len(CLASSES))])
    assert (share > 0.02).all(), dict(zip(CLASSES, share, strict=True))
    for worn in ("eye_g", "hat", "ear_r", "neck_l"):
        assert share[ID[worn]] < 0.4


def test_most_faces_have_all_eight_regions(faces: tuple[np.ndarray, np.ndarray]) -> None:
    regions = merge_classes(faces[1])
    share = {name: (regions == number).any((1, 2)).mean() for number, name in enumerate(REGIONS, start=1)}
    ears = share.pop("ears")  # often under the hair, as in CelebA-HQ
    assert min(share.values()) > 0.9, share
    assert 0.4 < ears < 0.95


def test_framing_is_that_of_celeba_hq(faces: tuple[np.ndarray, np.ndarray]) -> None:
    labels = faces[1]
    rows = (np.arange(64) + 0.5) / 64

    def middle(name: str, axis: int) -> float:
        mask = labels == ID[name]
        return float((mask.sum(2 if axis == 0 else 1) @ rows).sum() / mask.sum())

    # Means over CelebAMask-HQ: eyes at 0.48 of the height and 0.38 / 0.62 of the width, lips at 0.73 to 0.77.
    assert middle("l_eye", 0) == pytest.approx(0.48, abs=0.04)
    assert middle("l_eye", 1) == pytest.approx(0.62, abs=0.03)
    assert middle("r_eye", 1) == pytest.approx(0.38, abs=0.03)
    assert middle("l_lip", 0) == pytest.approx(0.76, abs=0.05)
    inner = np.isin(labels, [ID[n] for n in CLASSES[1:8] + CLASSES[10:13] if n != "eye_g"]) | (labels == ID["eye_g"])
    heights = inner.any(2).sum(1) / 64
    assert 0.55 < heights.mean() < 0.75
    assert heights.min() > 0.35  # under a hat
    assert heights.max() < 0.9


def test_left_and_right_are_balanced(faces: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = faces
    for left, right in (("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")):
        a, b = (labels == ID[left]).sum(), (labels == ID[right]).sum()
        assert 0.8 < a / b < 1.25
    # l_ is the person's left, on the right of the picture; both stand on their own side of the nose.
    columns = np.arange(64)
    for map_ in labels:
        if (map_ == ID["l_eye"]).any() and (map_ == ID["r_eye"]).any():
            left, right = ((map_ == ID[n]).sum(0) @ columns / (map_ == ID[n]).sum() for n in ("l_eye", "r_eye"))
            assert right < left
    # The light comes from either side.
    bright = images.astype(float).mean(3)
    sides = np.array(
        [b[m & (columns < 32)].mean() - b[m & (columns >= 32)].mean() for b, m in zip(bright, labels == 1, strict=True)]
    )
    assert 0.3 < (sides > 0).mean() < 0.7
    assert np.abs(sides).mean() > 5.0


def test_features_lie_inside_the_face(faces: tuple[np.ndarray, np.ndarray]) -> None:
    # No eye, brow, nose or lip touches the background, and each but the brows (hair may part them) is one piece.
    for map_ in faces[1]:
        outside = map_ == ID["background"]
        near = outside.copy()
        near[1:] |= outside[:-1]
        near[:-1] |= outside[1:]
        near[:, 1:] |= outside[:, :-1]
        near[:, :-1] |= outside[:, 1:]
        for name in ("l_eye", "r_eye", "l_brow", "r_brow", "nose", "mouth", "u_lip", "l_lip"):
            assert not (near & (map_ == ID[name])).any(), name


def test_regions_are_in_one_piece() -> None:
    looked_at = 0
    for seed in range(40):
        labels = draw(seed, 128)[1]
        if (labels == ID["eye_g"]).any() or (labels == ID["hat"]).any():
            continue  # glasses and hats cut regions in two
        looked_at += 1
        for name in ("skin", "nose", "u_lip", "l_lip", "l_eye", "r_eye"):
            found = pieces(labels == ID[name])
            assert found, (seed, name)
            assert sum(found[1:]) <= 0.06 * found[0] + 2, (seed, name, found)
    assert looked_at > 20


def test_skin_and_hair_have_texture() -> None:
    # Fine structure: what a 3x3 mean takes away, inside one class and far from its border.
    fine = {"skin": [], "hair": []}
    for seed in range(12):
        image, labels = draw(seed, 128)
        grey = image.astype(float).mean(2)
        blur = sum(np.roll(grey, (i, j), (0, 1)) for i in (-1, 0, 1) for j in (-1, 0, 1)) / 9
        for name, values in fine.items():
            mask = labels == ID[name]
            for _ in range(3):
                mask = mask & np.roll(mask, 1, 0) & np.roll(mask, -1, 0) & np.roll(mask, 1, 1) & np.roll(mask, -1, 1)
            if mask.sum() > 200:
                values.append(np.abs(grey - blur)[mask].mean())
    assert np.mean(fine["skin"]) > 0.25
    assert np.mean(fine["hair"]) > 0.5


def test_variety_of_skin_hair_and_background(faces: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = faces
    for name, spread in (("skin", 25.0), ("hair", 25.0), ("cloth", 25.0), ("background", 25.0)):
        brightness = [
            image[map_ == ID[name]].mean()
            for image, map_ in zip(images, labels, strict=True)
            if (map_ == ID[name]).sum() > 20
        ]
        assert np.std(brightness) > spread, name


def test_toy_faces() -> None:
    faces = toy_faces(5, 32, "train", seed=2)
    assert len(faces) == 5
    assert faces.size == 32
    assert faces.images.shape == (5, 32, 32, 3)
    assert faces.ids == tuple(f"toy-train-{k:05d}" for k in range(5))
    assert faces.sha256[3] == hashlib.sha256(faces.images[3].tobytes()).hexdigest()
    assert "seed 2" in faces.source
    longer = toy_faces(7, 32, "train", seed=2)
    assert np.array_equal(longer.images[:5], faces.images)
    assert np.array_equal(longer.labels[:5], faces.labels)


def test_drawing_shows_a_progress_bar_if_wished(capsys: pytest.CaptureFixture[str]) -> None:
    shown = load_faces("toy", "train", 16, count=3, progress=True)
    said = capsys.readouterr()
    assert "Drawing faces" in said.err
    assert "3 of 3" in said.err
    assert said.out == ""
    assert np.array_equal(load_faces("toy", "train", 16, count=3).images, shown.images)
    assert capsys.readouterr() == ("", "")


def test_splits_and_seeds_share_no_face() -> None:
    seen: set[str] = set()
    for split in SPLITS:
        for seed in (0, 1, 2):
            found = set(toy_faces(6, 16, split, seed).sha256)
            assert len(found) == 6
            assert not found & seen
            seen |= found
    ranges = [toy._face_seeds(2**32, split, seed) for split in SPLITS for seed in range(5)]
    ranges.sort(key=lambda r: r.start)
    assert all(a.stop <= b.start for a, b in pairwise(ranges))


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: draw(-1), "seed"),
        (lambda: draw(0, 15), "small"),
        (lambda: toy_faces(1, -4), "small"),
        (lambda: toy_faces(0, 32), "0 drawn"),
        (lambda: toy_faces(1, 32, "holdout"), "holdout"),
        (lambda: toy_faces(1, 32, "train", -3), "-3"),
    ],
)
def test_bad_settings_are_named(call, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        call()
