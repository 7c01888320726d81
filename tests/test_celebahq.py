"""Real faces, shipped and flat layout: what is read, what is skipped and why, and the cache that comes out."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceinpaint.data import cache as caches
from faceinpaint.data.celebahq import (
    ANNOTATIONS,
    IMAGES,
    MAPPING,
    composite_segments,
    list_pairs,
    open_faces,
    prepare,
    read_mapping,
)
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.regions import CLASS_ORDERS, CLASSES


def photo(seed: int, side: int = 64) -> Image.Image:
    """A smooth picture, different for each seed."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).resize((side, side), 3)


def parsing(side: int = 64) -> np.ndarray:
    """A map with all 19 classes in vertical bands."""
    return np.tile((np.arange(side) * 19 // side).astype(np.uint8), (side, 1))


def flat(folder: Path, names: list[str], side: int = 64) -> Path:
    """A folder ``images`` + ``labels`` with these pairs."""
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        photo(i, side).save(folder / "images" / f"{name}.png")
        Image.fromarray(parsing(side)).save(folder / "labels" / f"{name}.png")
    return folder


ROWS = {  # number in CelebA-HQ -> 0-based number in CelebA, on both sides of both edges of the partition
    0: 0, 1: 162_769, 2: 162_770, 3: 182_636, 4: 182_637, 2001: 202_598,
}  # fmt: skip
SPLIT = {0: "train", 1: "train", 2: "val", 3: "val", 4: "test", 2001: "test"}


def mapping_text(rows: dict[int, int] = ROWS) -> str:
    return "idx orig_idx orig_file\n" + "".join(f"{i:<8}{o:<12}{o + 1:06d}.jpg\n" for i, o in rows.items())


def shipped(root: Path) -> Path:
    """CelebAMask-HQ in little: 64-pixel pictures, 32-pixel annotations."""
    (root / IMAGES).mkdir(parents=True)
    (root / MAPPING).write_text(mapping_text())
    for idx in ROWS:
        photo(idx).save(root / IMAGES / f"{idx}.jpg")
        folder = root / ANNOTATIONS / str(idx // 2000)
        folder.mkdir(parents=True, exist_ok=True)
        for name, box in {"skin": (4, 4, 28, 28), "nose": (12, 12, 20, 20), "hair": (0, 0, 32, 8)}.items():
            layer = Image.new("RGB", (32, 32))
            layer.paste((255, 255, 255), box)
            layer.save(folder / f"{idx:05d}_{name}.png")
    return root


def reasons(skipped: list[dict[str, str]]) -> dict[str, str]:
    return {Path(entry["file"]).name: entry["reason"] for entry in skipped}


# -------------------------------------------------------------------------------------------- shipped layout


def test_mapping_follows_the_partition_of_celeba(tmp_path):
    (tmp_path / "m.txt").write_text(mapping_text())
    assert read_mapping(tmp_path / "m.txt") == SPLIT


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("5 10 000012.jpg", "not `idx"),
        ("5 10 ../../000011.jpg", "not `idx"),
        ("5 10 /000011.jpg", "not `idx"),
        ("5 -1 000000.jpg", "not `idx"),
        ("../5 10 000011.jpg", "not `idx"),
        ("٥ 10 000011.jpg", "cannot be read"),
        ("5 10", "not `idx"),
        ("0 10 000011.jpg", "number twice"),
    ],
)
def test_mapping_refuses_a_bad_row_and_names_the_line(tmp_path, line, what):
    path = tmp_path / "m.txt"
    path.write_text(mapping_text({0: 0}) + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=what) as caught:
        read_mapping(path)
    assert caught.value.path == path
    if what != "cannot be read":
        assert "line 3" in str(caught.value)


def test_mapping_missing_or_empty(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_mapping(tmp_path / "none.txt")
    (tmp_path / "m.txt").write_text("idx orig_idx orig_file\n")
    with pytest.raises(DataError, match="empty"):
        read_mapping(tmp_path / "m.txt")


@pytest.mark.parametrize("split", ["train", "val", "test", "all"])
def test_shipped_layout_gives_each_split(tmp_path, split):
    made = prepare(shipped(tmp_path / "raw"), tmp_path / "out", split=split, size=32)
    faces = open_faces(tmp_path / "out", split=split, size=32)
    assert faces.ids == tuple(str(i) for i, part in SPLIT.items() if split in ("all", part))
    assert made.skipped == []
    assert any("each resized on its own" in note for note in made.notes)
    assert split in faces.source


def test_shipped_layout_lays_later_classes_over_earlier_ones(tmp_path):
    prepare(shipped(tmp_path / "raw"), tmp_path / "out", split="test", size=32)
    label = open_faces(tmp_path / "out", split="test", size=32).labels[0]
    want = np.zeros((32, 32), np.uint8)
    want[4:28, 4:28] = CLASSES.index("skin")
    want[12:20, 12:20] = CLASSES.index("nose")
    want[0:8, 0:32] = CLASSES.index("hair")
    np.testing.assert_array_equal(label, want)


def test_shipped_layout_names_what_is_wrong(tmp_path):
    raw = shipped(tmp_path / "raw")
    photo(9).save(raw / IMAGES / "777.jpg")
    (raw / IMAGES / "notes.txt").write_text("x")
    (raw / ANNOTATIONS / "0" / "00004_beard.png").write_bytes(b"")
    for path in (raw / ANNOTATIONS / "1").glob("02001_*"):
        path.unlink()
    (raw / IMAGES / "0.jpg").unlink()
    made = prepare(raw, tmp_path / "out", split="test", size=32)
    assert made.count == 1
    assert reasons(made.skipped) == {
        "777.jpg": f"its number is not in {MAPPING}",
        "notes.txt": "not a picture <number>.jpg",
        "00004_beard.png": "not an annotation <number>_<class>.png",
        "2001.jpg": "it has no annotation",
    }
    made = prepare(raw, tmp_path / "train", split="train", size=32)
    assert "1 of the 2 faces of the split have no picture here" in made.notes


def test_shipped_layout_without_its_parts(tmp_path):
    raw = shipped(tmp_path / "raw")
    (raw / MAPPING).unlink()
    with pytest.raises(DataError, match="mapping file cannot be read"):
        prepare(raw, tmp_path / "out", split="train", size=32)
    assert prepare(raw, tmp_path / "out", split="all", size=32).count == len(ROWS)
    (raw / ANNOTATIONS).rename(raw / "elsewhere")
    with pytest.raises(DataError, match="no folder CelebAMask-HQ-mask-anno"):
        prepare(raw, tmp_path / "out2", split="all", size=32)


def test_annotations_in_palette_mode_count_by_brightness(tmp_path):
    layer = Image.new("P", (16, 16))
    layer.putpalette([0, 0, 0] + [9, 9, 9] * 224 + [225, 225, 225])
    layer.paste(225, (0, 0, 8, 16))
    layer.save(tmp_path / "00000_skin.png")
    got = composite_segments([(1, tmp_path / "00000_skin.png")])
    assert got[:, :8].all()
    assert not got[:, 8:].any()


def test_annotations_that_cannot_be_laid_over_each_other(tmp_path):
    Image.new("L", (16, 16), 255).save(tmp_path / "a.png")
    Image.new("L", (8, 8), 255).save(tmp_path / "b.png")
    Image.new("L", (16, 16), 1).save(tmp_path / "c.png")
    with pytest.raises(DataError, match=r"b\.png.*another size"):
        composite_segments([(1, tmp_path / "a.png"), (2, tmp_path / "b.png")])
    with pytest.raises(DataError, match=r"c\.png.*neither black nor white"):
        composite_segments([(1, tmp_path / "c.png")])


# ----------------------------------------------------------------------------------------------- flat layout


@pytest.mark.parametrize("order", CLASS_ORDERS)
def test_flat_layout_at_its_own_size_changes_no_pixel(tmp_path, order):
    raw = flat(tmp_path / "raw" / "train", ["b", "a"], side=38)
    made = prepare(tmp_path / "raw", tmp_path / "out", split="train", size=38, order=order)
    assert made == caches.Prepared(tmp_path / "out", 2, [], [], False)
    faces = open_faces(tmp_path / "out", split="train", size=38)
    assert faces.ids == ("a", "b")
    np.testing.assert_array_equal(faces.images[1], np.asarray(photo(0, 38)))
    assert [CLASSES[i] for i in faces.labels[0, 0, ::2]] == list(CLASS_ORDERS[order])
    want = hashlib.sha256((raw / "images" / "b.png").read_bytes()).hexdigest()
    assert faces.sha256[1] == want


def test_pictures_are_resized_with_antialiasing_and_maps_by_nearest(tmp_path):
    """A checkerboard of single pixels must become even grey; taking every second pixel would not."""
    raw = flat(tmp_path / "raw" / "train", ["a"])
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(np.repeat(board[..., None], 3, -1)).save(raw / "images" / "a.png")
    # Classes far apart, so that any blending of ids would show.
    label = np.random.default_rng(0).choice(np.array([1, 18], np.uint8), (64, 64))
    Image.fromarray(label).save(raw / "labels" / "a.png")
    prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32)
    faces = open_faces(tmp_path / "out", split="train", size=32)
    assert np.abs(faces.images[0, 4:-4, 4:-4].astype(int) - 128).max() <= 2
    np.testing.assert_array_equal(faces.labels[0], label[1::2, 1::2])


def test_flat_layout_skips_each_bad_pair_with_its_reason(tmp_path):
    names = ["good", "nomap", "empty", "cut", "wide", "tiny", "shape", "class", "blank", "cmyk", "colour", "twice"]
    raw = flat(tmp_path / "raw" / "train", names)
    images, labels = raw / "images", raw / "labels"
    (labels / "nomap.png").unlink()
    (images / "empty.png").write_bytes(b"")
    (images / "cut.png").write_bytes((images / "good.png").read_bytes()[:200])
    Image.new("RGB", (64, 48)).save(images / "wide.png")
    Image.new("RGB", (1, 1)).save(images / "tiny.png")
    Image.fromarray(np.ones((64, 48), np.uint8)).save(labels / "shape.png")
    Image.fromarray(np.full((64, 64), 19, np.uint8)).save(labels / "class.png")
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(labels / "blank.png")
    (images / "cmyk.png").unlink()
    Image.new("CMYK", (64, 64)).save(images / "cmyk.jpg")
    photo(3).save(labels / "colour.png")
    photo(3).save(images / "twice.webp")
    (images / "Thumbs.db").write_bytes(b"x")
    (images / "._good.png").write_bytes(b"x")  # left by another system's file manager: passed over in silence
    Image.fromarray(parsing()).save(labels / "alone.png")
    (images / 'a"b.png').write_bytes(b"x")

    made = prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32)
    why = reasons(made.skipped)
    for file, reason in {
        "nomap.png": "no map",
        "empty.png": "empty",
        "cut.png": "cannot be decoded",
        "wide.png": "64 x 48 pixels, not square",
        "tiny.png": "only 1 x 1 pixels",
        "shape.png": "the map is 48 x 64",
        "class.png": "class 19",
        "blank.png": "all background",
        "cmyk.jpg": "CMYK",
        "colour.png": "colours",
        "twice.webp": "second picture",
        "Thumbs.db": "not one of",
        "alone.png": "no picture",
        'a"b.png': "cannot be an id",
    }.items():
        assert reason in why.pop(file), file
    assert why == {}
    faces = open_faces(tmp_path / "out", split="train", size=32)
    assert faces.ids == ("good", "twice")
    assert faces.images.shape == (2, 32, 32, 3)
    # The array was shortened in place: its second row must still be the face it is said to be.
    want = np.asarray(photo(11).resize((32, 32), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(faces.images[1], want)
    meta = json.loads((tmp_path / "out" / "meta.json").read_text())
    assert meta["kind"] == "faces"
    assert meta["skipped"] == made.skipped
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["images.npy", "labels.npy", "meta.json"]


def test_differing_scale_and_enlarging_are_noted(tmp_path):
    raw = flat(tmp_path / "raw" / "train", ["a"], side=32)
    Image.fromarray(parsing(64)).save(raw / "labels" / "a.png")
    made = prepare(tmp_path / "raw", tmp_path / "out", split="train", size=64)
    assert len(made.notes) == 2
    assert "enlarged from 32 pixels" in made.notes[0]
    assert "picture 32 and map 64 pixels" in made.notes[1]


def test_an_undivided_folder_is_divided_by_name_without_overlap(tmp_path):
    names = [f"{i:03d}" for i in range(60)]
    flat(tmp_path / "raw", names, side=16)
    parts = {split: list_pairs(tmp_path / "raw", split).ids for split in ("train", "test", "all")}
    assert sorted(parts["train"] + parts["test"]) == parts["all"] == names
    assert 2 <= len(parts["test"]) <= 12
    # A face keeps its side when others are added.
    flat(tmp_path / "raw", [f"more{i}" for i in range(20)], side=16)
    assert set(parts["test"]) <= set(list_pairs(tmp_path / "raw", "test").ids)
    with pytest.raises(DataError, match="nothing is left"):
        prepare(tmp_path / "raw", tmp_path / "out", split="val", size=16)


def test_a_folder_named_as_a_split_is_that_split_whole(tmp_path):
    names = [f"{i}" for i in range(20)]
    flat(tmp_path / "raw" / "train", names, side=16)
    assert sorted(list_pairs(tmp_path / "raw" / "train", "train").ids) == sorted(names)
    with pytest.raises(DataError, match="the folder is the train split"):
        list_pairs(tmp_path / "raw" / "train", "test")
    with pytest.raises(DataError, match="it holds train, not test"):
        list_pairs(tmp_path / "raw", "test")


def test_files_may_be_links_to_elsewhere(tmp_path):
    flat(tmp_path / "far", ["a"])
    for kind in ("images", "labels"):
        (tmp_path / "raw" / "train" / kind).mkdir(parents=True)
        (tmp_path / "raw" / "train" / kind / "a.png").symlink_to(tmp_path / "far" / kind / "a.png")
    assert prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32).count == 1


# ------------------------------------------------------------------------------------------------- the whole


def test_preparing_again_keeps_the_cache_until_the_files_change(tmp_path):
    raw = flat(tmp_path / "raw" / "train", ["a", "b"])
    (raw / "images" / "b.png").write_bytes(b"bad")
    first = prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32)
    again = prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32)
    assert not first.reused
    assert again.reused
    assert again.skipped == first.skipped
    assert again.count == 1
    for changed in ({"size": 16}, {"order": "bisenet"}):
        options = {"split": "train", "size": 32} | changed
        with pytest.raises(DataError, match="the cache there is another one"):
            prepare(tmp_path / "raw", tmp_path / "out", **options)
    photo(1).save(raw / "images" / "b.png")
    with pytest.raises(DataError, match="files have changed"):
        prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32)


def test_any_number_of_threads_gives_the_same_cache(tmp_path):
    flat(tmp_path / "raw" / "train", [f"{i:02d}" for i in range(24)])
    for workers in (1, 4):
        prepare(tmp_path / "raw", tmp_path / str(workers), split="train", size=32, workers=workers)
    for name in ("images.npy", "labels.npy", "meta.json"):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "4" / name).read_bytes()


def test_nothing_usable_is_refused_and_leaves_nothing_behind(tmp_path):
    raw = flat(tmp_path / "raw" / "train", ["a"])
    (raw / "images" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"nothing is left.*a\.png: the file is empty"):
        prepare(tmp_path / "raw", tmp_path / "sub" / "out", split="train", size=32)
    assert list((tmp_path / "sub").iterdir()) == []


def test_an_unforeseen_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    flat(tmp_path / "raw" / "train", ["a", "b"])

    def fail(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("faceinpaint.data.celebahq.read_labels", fail)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "raw", tmp_path / "sub" / "out", split="train", size=32, workers=1)
    assert list((tmp_path / "sub").iterdir()) == []


def test_bad_requests(tmp_path):
    flat(tmp_path / "raw" / "train", ["a"])
    with pytest.raises(ConfigError, match="unknown split"):
        prepare(tmp_path / "raw", tmp_path / "out", split="dev", size=32)
    with pytest.raises(ConfigError, match="size 8"):
        prepare(tmp_path / "raw", tmp_path / "out", split="train", size=8)
    with pytest.raises(ConfigError, match="class order"):
        prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32, order="other")
    with pytest.raises(DataError, match="no such folder"):
        prepare(tmp_path / "none", tmp_path / "out", split="train", size=32)
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="no pictures were found"):
        prepare(tmp_path / "void", tmp_path / "out", split="train", size=32)
    with pytest.raises(DataError, match="is not a cache"):
        prepare(tmp_path / "raw", tmp_path / "raw", split="train", size=32)


def test_progress_bar_counts_to_the_end(tmp_path, capsys):
    flat(tmp_path / "raw" / "train", ["a", "b"])
    prepare(tmp_path / "raw", tmp_path / "out", split="train", size=32, progress=True)
    said = capsys.readouterr()
    assert "2 of 2" in said.err
    assert said.out == ""


# ------------------------------------------------------------------------------------------------- real faces


@pytest.mark.realdata
def test_real_faces_resize_and_read(realdata, tmp_path):
    sample = realdata / "celebamask-hq-512-sample"
    made = prepare(sample, tmp_path / "out", split="all", size=256)
    assert made.count == 16
    assert made.skipped == []
    faces = open_faces(tmp_path / "out", split="all", size=256)
    for i, name in enumerate(faces.ids):
        assert {CLASSES[c] for c in np.unique(faces.labels[i])} >= {"background", "skin", "nose"}, name
        assert faces.images[i].std() > 20
    # The same faces lie in the train set at 256, made from the same pictures by other hands.
    shared = realdata / "celebamask-hq-256" / "train" / "images" / f"{faces.ids[0]}.webp"
    if shared.exists():
        other = np.asarray(Image.open(shared).convert("RGB")).astype(int)
        assert np.abs(other - faces.images[0]).mean() < 4


@pytest.mark.realdata
def test_real_test_faces_prepare_without_a_loss(realdata, tmp_path):
    made = prepare(realdata / "celebamask-hq-256", tmp_path / "out", split="test", size=64)
    assert made.count == 500
    assert made.skipped == []


def test_a_picture_that_viewers_turn_is_left_out(tmp_path: Path) -> None:
    # Its map is upright or sideways, and nothing says which: to train on the wrong one would go unnoticed.
    flat(tmp_path, ["good", "turned"])
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(1).save(tmp_path / "images" / "turned.png", exif=exif)
    made = prepare(tmp_path, tmp_path / "out", split="all", size=32)
    assert made.count == 1
    assert "viewers turn it by an EXIF tag" in reasons(made.skipped)["turned.png"]
