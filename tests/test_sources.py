"""The choice of a source of faces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made import colours
from PIL import Image

from faceinpaint.data.celebahq import prepare
from faceinpaint.data.images import read_rgb
from faceinpaint.data.sources import Sources, load_faces, load_holes, save_faces
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.presets import preset

# ------------------------------------------------------------------------------------------- the source


def flat_folder(root: Path, n: int = 3) -> Path:
    for part in ("train", "test"):
        for kind in ("images", "labels"):
            (root / part / kind).mkdir(parents=True)
        for i in range(n):
            Image.fromarray(colours(32, 32) + np.uint8(i)).save(root / part / "images" / f"{part}{i}.png")
            classes = np.ones((32, 32), np.uint8)  # skin, and a class that tells the faces apart
            classes[:, 16:] += np.uint8(i)
            Image.fromarray(classes).save(root / part / "labels" / f"{part}{i}.png")
    return root


def test_load_drawn_faces():
    faces = load_faces("toy", "train", 32, count=3, seed=1)
    assert len(faces) == 3
    assert faces.size == 32
    with pytest.raises(ConfigError, match="number of faces"):
        load_faces("toy", "train", 32)


def test_load_prepares_a_raw_folder_once(tmp_path):
    raw = flat_folder(tmp_path / "raw")
    with pytest.raises(ConfigError, match="no folder for one"):
        load_faces(raw, "train", 16)
    faces = load_faces(raw, "train", 16, cache=tmp_path / "cache")
    assert faces.ids == ("train0", "train1", "train2")
    made = (tmp_path / "cache" / "faces-train-16" / "images.npy").stat().st_mtime_ns
    again = load_faces(raw, "train", 16, cache=tmp_path / "cache", count=2)
    assert again.ids == ("train0", "train1")
    assert isinstance(again.images, np.memmap)
    assert (tmp_path / "cache" / "faces-train-16" / "images.npy").stat().st_mtime_ns == made


def test_load_opens_a_cache_or_a_folder_of_caches(tmp_path):
    raw = flat_folder(tmp_path / "raw")
    for split in ("train", "test"):
        prepare(raw, tmp_path / "cache" / f"faces-{split}-16", split=split, size=16)
    assert load_faces(tmp_path / "cache", "test", 16).ids == ("test0", "test1", "test2")
    assert load_faces(str(tmp_path / "cache" / "faces-test-16"), "test", 16, count=99).size == 16
    with pytest.raises(DataError, match="split test, asked is train"):
        load_faces(tmp_path / "cache" / "faces-test-16", "train", 16)
    with pytest.raises(DataError, match="size 16, asked is 32"):
        load_faces(tmp_path / "cache" / "faces-test-16", "test", 32)


def test_a_class_order_that_contradicts_the_cache_is_refused(tmp_path):
    raw = flat_folder(tmp_path / "raw")
    prepare(raw, tmp_path / "cache" / "faces-test-16", split="test", size=16, order="bisenet")
    stated = load_faces(tmp_path / "cache", "test", 16, order="bisenet")
    silent = load_faces(tmp_path / "cache", "test", 16)
    assert np.array_equal(stated.labels, silent.labels)
    with pytest.raises(DataError, match="order 'bisenet', asked is 'celebamask-hq'") as caught:
        load_faces(tmp_path / "cache", "test", 16, order="celebamask-hq")
    assert caught.value.path == tmp_path / "cache" / "faces-test-16"
    # A folder of pictures is read in the official order where nothing is said.
    load_faces(raw, "test", 16, cache=tmp_path / "other")
    assert load_faces(tmp_path / "other", "test", 16, order="celebamask-hq").ids == silent.ids


def test_load_from_nowhere(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        load_faces(tmp_path / "nowhere", "train", 16, cache=tmp_path / "cache")


@pytest.mark.parametrize(("named", "meant"), [(".", "raw"), ("raw/train/images", "raw/train"), ("raw/other", "raw")])
def test_one_folder_too_high_or_too_low_is_told_the_right_one(named, meant, tmp_path):
    raw = flat_folder(tmp_path / "raw")
    (raw / "other").mkdir()
    with pytest.raises(DataError, match="no pictures were found there") as caught:
        load_faces(tmp_path / named, "train", 32, cache=tmp_path / "cache")
    assert caught.value.path == tmp_path / named
    assert caught.value.remedy == f"They are in {(tmp_path / meant).resolve()}: name that"


def test_one_folder_too_high_is_told_where_holes_are(tmp_path):
    for i in range(2):
        (tmp_path / "masks" / "train").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(tmp_path / "masks" / "train" / f"{i}.png")
    (tmp_path / "up").mkdir()
    (tmp_path / "masks").rename(tmp_path / "up" / "masks")
    with pytest.raises(DataError, match="no pictures were found there") as caught:
        load_holes(tmp_path / "up", "train", 32, cache=tmp_path / "cache")
    assert caught.value.remedy == f"They are in {tmp_path / 'up' / 'masks'}: name that"
    assert len(load_holes(tmp_path / "up" / "masks", "train", 32, cache=tmp_path / "cache")) == 2


def test_where_no_pictures_are_near_the_layout_is_named(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    with pytest.raises(DataError, match=r"data/README\.md"):
        load_faces(tmp_path / "a" / "b", "train", 32, cache=tmp_path / "cache")


def test_faces_are_saved_beside_no_others(tmp_path: Path) -> None:
    save_faces(load_faces("toy", "train", 32, count=3), tmp_path)
    save_faces(load_faces("toy", "train", 64, count=3), tmp_path)  # the same names: replaced
    assert {read_rgb(path).shape for path in tmp_path.glob("images/*.png")} == {(64, 64, 3)}
    with pytest.raises(DataError, match="it holds other files"):
        save_faces(load_faces("toy", "train", 32, count=2), tmp_path)
    assert len(list(tmp_path.glob("images/*.png"))) == 3


def test_drawn_sources_may_be_named_by_a_path(tmp_path: Path) -> None:
    faces, holes = Sources(faces=Path("toy"), holes=Path("drawn")).training(
        preset("smoke", size=32, faces=2, holes=2), tmp_path
    )
    assert len(faces) == len(holes) == 2
