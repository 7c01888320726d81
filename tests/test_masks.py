"""Holes: bins, drawing, files of either polarity, compositing, and the fixed test pairs."""

from __future__ import annotations

import hashlib
import json
import math
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from made import face_set
from PIL import Image

from faceinpaint.data.masks import (
    BIN_EDGES,
    BIN_NAMES,
    bin_of,
    box,
    drawn_holes,
    drawn_test_holes,
    free_form,
    load_hole,
    mixture,
    open_holes,
    prepare_holes,
    read_hole,
)
from faceinpaint.data.pairs import make_pairs
from faceinpaint.data.sets import FaceSet, HoleSet, hole_fraction
from faceinpaint.data.sources import load_holes
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models import composite

# ------------------------------------------------------------------------------------------------ fractions


@pytest.mark.parametrize(
    ("fraction", "name"),
    [
        (0.0, None), (0.01, None), (0.0101, "0.01-0.1"), (0.1, "0.01-0.1"), (0.1001, "0.1-0.2"),
        (0.5, "0.4-0.5"), (0.6, "0.5-0.6"), (0.6001, None), (1.0, None), (math.nan, None),
    ],
)  # fmt: skip
def test_bins_hold_their_upper_edge(fraction, name):
    b = bin_of(fraction)
    assert (None if b is None else BIN_NAMES[b]) == name


def test_bin_names_are_the_edges():
    assert [f"{a}-{b}" for a, b in pairwise(BIN_EDGES)] == list(BIN_NAMES)


def test_hole_fraction():
    hole = np.zeros((4, 5), np.uint8)
    hole[0, :3] = 1
    assert hole_fraction(hole) == 3 / 20


# -------------------------------------------------------------------------------------------------- drawing


@pytest.mark.parametrize("draw", [free_form, box, mixture])
@pytest.mark.parametrize("size", [16, 64, 256])
def test_drawn_holes_are_masks_and_repeat_for_the_same_seed(draw, size):
    hole = draw(size, np.random.default_rng(3))
    assert hole.shape == (size, size)
    assert hole.dtype == np.uint8
    assert set(np.unique(hole)) == {0, 1}
    np.testing.assert_array_equal(hole, draw(size, np.random.default_rng(3)))
    assert not np.array_equal(hole, draw(size, np.random.default_rng(4)))


@pytest.mark.parametrize("draw", [free_form, mixture])
def test_the_same_settings_at_every_size(draw):
    """Lengths scale with the picture, so the mean hole fraction hardly depends on its size."""
    means = [np.mean([hole_fraction(draw(size, np.random.default_rng(i))) for i in range(150)]) for size in (64, 256)]
    assert means[0] == pytest.approx(means[1], rel=0.12)


def test_free_form_of_the_paper():
    """Strokes 12 to 40 pixels wide at 256: no hole pixel outside the brush, and several strokes now and then."""
    holes = np.stack([free_form(256, np.random.default_rng(i)) for i in range(100)])
    fractions = holes.mean((1, 2))
    assert fractions.min() > 0.005
    assert fractions.max() < 0.55
    assert 0.1 < fractions.mean() < 0.25
    # Every corner region is reached about equally often: no side of the picture is spared.
    quarters = [holes[:, :128, :128], holes[:, :128, 128:], holes[:, 128:, :128], holes[:, 128:, 128:]]
    shares = [q.mean() for q in quarters]
    assert max(shares) / min(shares) < 1.5


def test_box_is_one_rectangle_of_the_stated_sides():
    for i in range(50):
        hole = box(64, np.random.default_rng(i))
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert hole.sum() == len(rows) * len(columns)
        assert np.ptp(rows) == len(rows) - 1
        assert 24 <= len(rows) <= 32
        assert 24 <= len(columns) <= 32


@pytest.mark.parametrize(("lower", "upper"), pairwise(BIN_EDGES))
@pytest.mark.parametrize("size", [16, 64])
def test_mixture_stays_in_the_range_asked_for(size, lower, upper):
    for i in range(20):
        assert lower < hole_fraction(mixture(size, np.random.default_rng(i), lower, upper)) <= upper


def test_training_holes_cover_every_bin():
    holes = drawn_holes(300, 64)
    counts = np.bincount([bin_of(f) for f in holes.fractions], minlength=6)
    assert counts.min() >= 12
    assert len(set(holes.sha256)) == 300


def test_a_thousand_training_holes_in_a_second_or_two():
    start = time.process_time()
    drawn_holes(1000, 64)
    assert time.process_time() - start < 4


def test_drawn_set_describes_itself():
    holes = drawn_holes(3, 32, "train", 7)
    assert len(holes) == 3
    assert holes.size == 32
    assert holes.ids == ("drawn-train-00000", "drawn-train-00001", "drawn-train-00002")
    assert holes.sha256[1] == hashlib.sha256(holes.holes[1].tobytes()).hexdigest()
    assert holes.fractions.tolist() == [hole_fraction(h) for h in holes.holes]
    assert holes.source == "drawn holes, train, seed 7"


def test_the_first_holes_do_not_depend_on_their_number():
    assert drawn_holes(20, 32).sha256[:5] == drawn_holes(5, 32).sha256
    few, many = drawn_test_holes(2, 32), drawn_test_holes(4, 32)
    named = dict(zip(many.ids, many.sha256, strict=True))
    assert all(named[i] == s for i, s in zip(few.ids, few.sha256, strict=True))


@pytest.mark.parametrize("size", [16, 64])
def test_test_holes_are_equal_in_number_per_bin(size):
    holes = drawn_test_holes(7, size, seed=2)
    assert [bin_of(f) for f in holes.fractions] == [b for b in range(6) for _ in range(7)]
    assert len(set(holes.ids)) == 42


def test_train_and_test_holes_never_mix():
    """Neither for one seed nor for neighbouring seeds, which a sum of seed and index would let overlap."""
    train = {s for seed in range(3) for s in drawn_holes(100, 64, "train", seed).sha256}
    test = {s for seed in range(3) for s in drawn_test_holes(10, 64, seed).sha256}
    test |= {s for seed in range(3) for s in drawn_holes(100, 64, "test", seed).sha256}
    assert len(train) == 300
    assert not train & test


def test_drawn_hole_is_pinned():
    """The committed test pairs name drawn holes by checksum: the drawing may not change unnoticed."""
    holes = drawn_test_holes(1, 64, seed=0)
    assert holes.sha256[0][:16] == PINNED_FIRST
    assert hashlib.sha256("".join(holes.sha256).encode()).hexdigest()[:16] == PINNED_ALL


PINNED_FIRST = "72c39c3a4dd03d59"
PINNED_ALL = "011ec6692bfc0c3e"


def test_bad_requests_for_drawn_holes():
    with pytest.raises(ConfigError, match="no drawn holes for split 'val'"):
        drawn_holes(3, 32, "val")
    with pytest.raises(ConfigError, match="0 drawn holes"):
        drawn_holes(0, 32)
    with pytest.raises(ConfigError, match="0 drawn holes"):
        drawn_test_holes(0, 32)
    with pytest.raises(ConfigError, match="size 8"):
        drawn_holes(3, 8)
    with pytest.raises(ConfigError, match="seed -1"):
        drawn_holes(3, 32, seed=-1)
    with pytest.raises(ConfigError, match="number of holes"):
        load_holes("drawn", "train", 32)


def test_load_drawn_holes():
    assert load_holes("drawn", "train", 32, count=5, seed=1).sha256 == drawn_holes(5, 32, "train", 1).sha256
    assert load_holes("drawn", "test", 32, count=13).sha256 == drawn_test_holes(3, 32).sha256


# ---------------------------------------------------------------------------------------------------- files


def save_mask(path: Path, hole: np.ndarray, white_is_hole: bool = True, kind: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(((hole > 0) == white_is_hole).astype(np.uint8) * 255).convert(kind).save(path)


@pytest.mark.parametrize("white_is_hole", [True, False])
@pytest.mark.parametrize("kind", ["1", "L", "RGB", "P"])
def test_load_hole_of_either_polarity(tmp_path, white_is_hole, kind):
    hole = mixture(48, np.random.default_rng(0))
    save_mask(tmp_path / "a.png", hole, white_is_hole, kind)
    got = load_hole(tmp_path / "a.png", white_is_hole=white_is_hole)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, hole)
    other = load_hole(tmp_path / "a.png", 48, white_is_hole=not white_is_hole)
    np.testing.assert_array_equal(other, 1 - hole)


@pytest.mark.parametrize("white_is_hole", [True, False])
def test_load_hole_resizes_by_area_and_cuts_at_one_half(tmp_path, white_is_hole):
    hole = np.random.default_rng(0).integers(0, 2, (32, 32))
    value = 255 * (hole if white_is_hole else 1 - hole)
    Image.fromarray(value.astype(np.uint8)).save(tmp_path / "a.png")
    share = hole.reshape(16, 2, 16, 2).mean((1, 3))
    got = load_hole(tmp_path / "a.png", 16, white_is_hole=white_is_hole)
    np.testing.assert_array_equal(got, share >= 0.5)


def test_load_hole_without_size_keeps_the_shape(tmp_path):
    hole = np.zeros((20, 30), np.uint8)
    hole[2:9, 3:8] = 1
    save_mask(tmp_path / "a.png", hole)
    np.testing.assert_array_equal(load_hole(tmp_path / "a.png"), hole)
    with pytest.raises(DataError, match="30 x 20 pixels, not square"):
        load_hole(tmp_path / "a.png", 16)


def test_load_hole_names_file_and_problem(tmp_path):
    zeros = np.zeros((32, 32), np.uint8)
    Image.fromarray(zeros).save(tmp_path / "none.png")
    Image.fromarray(zeros + 255).save(tmp_path / "all.png")
    Image.fromarray(np.eye(32, dtype=np.uint8)).save(tmp_path / "ones.png")
    Image.fromarray(zeros.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.new("RGBA", (32, 32), (255, 255, 255, 0)).save(tmp_path / "clear.png")
    (tmp_path / "empty.png").write_bytes(b"")
    for name, problem in {
        "none": "no hole", "all": "nothing but hole", "ones": "brightest pixel is 1", "deep": "not 8-bit grey",
        "clear": "transparent", "empty": "empty", "missing": "no such file",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=problem) as caught:
            load_hole(tmp_path / f"{name}.png")
        assert caught.value.path == tmp_path / f"{name}.png"


def hole_folder(root: Path, n: int = 30, white_is_hole: bool = True) -> Path:
    for part, seed in (("train", 0), ("test", 1000)):
        for i in range(n):
            save_mask(root / part / f"{part}{i:03d}.png", mixture(32, np.random.default_rng(seed + i)), white_is_hole)
    (root / "train.csv").write_text("file,hole_fraction\n")
    return root


def test_prepare_holes_writes_what_the_files_hold(tmp_path):
    raw = hole_folder(tmp_path / "raw")
    (raw / "train" / "zz.png").write_bytes(b"bad")
    (raw / "train" / "readme.txt").write_text("not a mask")
    made = prepare_holes(raw, tmp_path / "out", split="train", size=32)
    assert made.count == 30
    assert [Path(s["file"]).name for s in made.skipped] == ["zz.png"]
    assert made.notes == []
    holes = open_holes(tmp_path / "out", split="train", size=32)
    np.testing.assert_array_equal(holes.holes[7], mixture(32, np.random.default_rng(7)))
    assert holes.fractions.tolist() == [hole_fraction(h) for h in holes.holes]
    assert holes.sha256[7] == hashlib.sha256((raw / "train" / "train007.png").read_bytes()).hexdigest()
    assert "white = hole" in holes.source
    assert prepare_holes(raw, tmp_path / "out", split="train", size=32).reused
    with pytest.raises(DataError, match="white_is_hole True, asked False"):
        prepare_holes(raw, tmp_path / "out", split="train", size=32, white_is_hole=False)


def test_fraction_is_computed_after_resizing(tmp_path):
    """Lone pixels vanish when a mask is made smaller, and the fraction must say so."""
    hole = np.zeros((64, 64), np.uint8)
    hole[::4, ::4] = 1
    hole[:16, :16] = 1
    save_mask(tmp_path / "raw" / "test" / "a.png", hole)
    prepare_holes(tmp_path / "raw", tmp_path / "out", split="test", size=16)
    assert open_holes(tmp_path / "out", split="test", size=16).fractions.tolist() == [1 / 16]


def test_an_inverted_polarity_is_noticed(tmp_path):
    raw = hole_folder(tmp_path / "raw", white_is_hole=False)
    wrong = prepare_holes(raw, tmp_path / "wrong", split="train", size=32)
    assert any("polarity looks inverted" in note for note in wrong.notes)
    right = prepare_holes(raw, tmp_path / "right", split="train", size=32, white_is_hole=False)
    assert right.notes == []
    holes = open_holes(tmp_path / "wrong", split="train", size=32)
    assert any("inverted" in note for note in holes.notes)


def test_grey_pixels_and_holes_outside_the_bins_are_noted(tmp_path):
    soft = np.full((32, 32), 255, np.uint8)
    soft[8:20] = 100
    soft[20:] = 0
    folder = tmp_path / "raw" / "test"
    folder.mkdir(parents=True)
    Image.fromarray(255 - soft).save(folder / "a.png")
    Image.fromarray(soft).save(folder / "b.png")
    made = prepare_holes(tmp_path / "raw", tmp_path / "out", split="test", size=32)
    assert made.notes[0] == "2 of 2 files: grey pixels, cut at 128"
    assert made.notes[1].startswith("1 of 2 files: hole fraction outside 0.01 to 0.6")
    assert json.loads((tmp_path / "out" / "meta.json").read_text())["notes"] == made.notes


def test_load_holes_from_files(tmp_path):
    raw = hole_folder(tmp_path / "raw")
    with pytest.raises(ConfigError, match="no folder for one"):
        load_holes(raw, "test", 32)
    holes = load_holes(raw, "test", 32, cache=tmp_path / "cache")
    assert len(holes) == 30
    assert load_holes(tmp_path / "cache", "test", 32).sha256 == holes.sha256
    # Evenly along the names: mask sets are sorted by hole size, and the first few would be one bin only.
    assert load_holes(tmp_path / "cache", "test", 32, count=3).ids == ("test000", "test010", "test020")
    assert load_holes(tmp_path / "cache", "test", 32, count=99).ids == holes.ids
    train = load_holes(raw, "train", 32, cache=tmp_path / "cache")
    assert not set(train.sha256) & set(holes.sha256)


def test_a_polarity_that_contradicts_the_cache_is_refused(tmp_path):
    raw = hole_folder(tmp_path / "raw")
    for name, white, other in (("white", True, False), ("black", False, True)):
        cache = tmp_path / name
        prepare_holes(raw, cache / "holes-test-32", split="test", size=32, white_is_hole=white)
        stated = load_holes(cache, "test", 32, white_is_hole=white)
        assert np.array_equal(stated.holes, load_holes(cache, "test", 32).holes)
        with pytest.raises(DataError, match=f"white_is_hole {white}, asked is {other}") as caught:
            load_holes(cache, "test", 32, white_is_hole=other)
        assert caught.value.path == cache / "holes-test-32"
    # A folder of files is read with white = hole where nothing is said.
    load_holes(raw, "test", 32, cache=tmp_path / "unsaid")
    assert load_holes(tmp_path / "unsaid", "test", 32, white_is_hole=True).ids == stated.ids


def test_small_holes_are_the_rarest_as_the_text_says():
    """Holes below a tenth are drawn about half as often as their share of the range of sizes, the others as often."""
    fractions = drawn_holes(600, 32).fractions
    counts = np.histogram(fractions, BIN_EDGES)[0] / 600
    share = np.diff(BIN_EDGES) / (BIN_EDGES[-1] - BIN_EDGES[0])
    assert 0.3 < counts[0] / share[0] < 0.75
    assert (np.abs(counts[1:] / share[1:] - 1) < 0.35).all()


def test_drawing_shows_a_progress_bar_if_wished(capsys):
    shown = drawn_holes(3, 32, progress=True)
    assert "3 of 3" in capsys.readouterr().err
    load_holes("drawn", "test", 32, count=6, progress=True)
    assert "6 of 6" in capsys.readouterr().err
    assert drawn_holes(3, 32).sha256 == shown.sha256
    assert capsys.readouterr() == ("", "")


def test_an_undivided_folder_of_holes_is_divided_by_name(tmp_path):
    for i in range(40):
        save_mask(tmp_path / "raw" / f"{i:05d}.png", mixture(32, np.random.default_rng(i)))
    train = load_holes(tmp_path / "raw", "train", 32, cache=tmp_path / "cache")
    test = load_holes(tmp_path / "raw", "test", 32, cache=tmp_path / "cache")
    assert sorted(train.ids + test.ids) == [f"{i:05d}" for i in range(40)]
    assert "hash of the name" in train.source


def test_hole_set_subset_and_checks():
    holes = drawn_holes(5, 32)
    part = holes.subset([3, 1])
    assert part.ids == (holes.ids[3], holes.ids[1])
    assert part.fractions.tolist() == holes.fractions[[3, 1]].tolist()
    with pytest.raises(DataError, match="is no hole of"):
        holes.subset(["x"])
    with pytest.raises(DataError, match="do not belong together"):
        HoleSet(holes.holes, holes.ids[:4], holes.sha256, "x")


# --------------------------------------------------------------------------------------------- compositing


def test_composite_keeps_known_pixels_bit_for_bit():
    generator = torch.Generator().manual_seed(0)
    image, output = torch.rand(2, 2, 3, 16, 16, generator=generator).unbind(0)
    image, output = image * 2 - 1, output * 2 - 1
    hole = (torch.rand(2, 1, 16, 16, generator=generator) < 0.4).float()
    got = composite(output, image, hole)
    inside = hole.expand_as(image) == 1
    assert torch.equal(got[inside], output[inside])
    assert torch.equal(got[~inside], image[~inside])
    torch.testing.assert_close(got, hole * output + (1 - hole) * image)


def test_composite_lets_nothing_of_the_output_out_of_the_hole():
    hole = torch.zeros(1, 1, 4, 4)
    hole[..., :2] = 1
    output = torch.where(hole > 0, 0.5, torch.nan).expand(1, 3, 4, 4).clone().requires_grad_()
    got = composite(output, torch.zeros(1, 3, 4, 4), hole)
    assert got.isfinite().all()
    got.sum().backward()
    assert torch.equal(output.grad, hole.expand(1, 3, 4, 4))


# ---------------------------------------------------------------------------------------------------- pairs


# ----------------------------------------------------------------------------------------------- real holes


@pytest.mark.realdata
def test_real_test_holes(realdata, tmp_path):
    raw = realdata / "irregular-masks-256"
    holes = load_holes(raw, "test", 256, cache=tmp_path)
    assert len(holes) == 1200
    assert holes.notes == ()
    listed = dict(line.split(",")[:2] for line in (raw / "test.csv").read_text().splitlines()[1:])
    got = {f"{name}.png": fraction for name, fraction in zip(holes.ids, holes.fractions, strict=True)}
    assert got == pytest.approx({name: float(value) for name, value in listed.items()}, abs=6e-5)
    pairs = make_pairs(face_set(4, 256), holes)
    assert len(pairs) == 24


@pytest.mark.realdata
def test_real_holes_in_the_wrong_polarity_are_noticed(realdata, tmp_path):
    made = prepare_holes(realdata / "irregular-masks-256", tmp_path / "out", split="test", size=64, white_is_hole=False)
    assert any("polarity looks inverted" in note for note in made.notes)


def test_files_that_cannot_name_a_hole_are_left_out_with_the_reason(tmp_path: Path) -> None:
    for name in ("one.png", "one.gif", 'two"or.png'):
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(tmp_path / name)
    done = prepare_holes(tmp_path, tmp_path / "out", split="all", size=16)
    assert done.count == 1
    reasons = {Path(entry["file"]).name: entry["reason"] for entry in done.skipped}
    assert reasons == {"one.png": "a second file beside one.gif", 'two"or.png': "the name cannot be an id"}


def test_an_opaque_hole_file_is_read_and_a_transparent_one_refused(tmp_path: Path) -> None:
    hole = np.eye(20, dtype=np.uint8)
    for alpha in (255, 254):
        Image.merge("LA", (Image.fromarray(hole * 255), Image.new("L", (20, 20), alpha))).save(
            tmp_path / f"{alpha}.png"
        )
    np.testing.assert_array_equal(load_hole(tmp_path / "255.png"), hole)
    with pytest.raises(DataError, match="transparent"):
        load_hole(tmp_path / "254.png")


def test_what_is_drawn_and_paired_without_a_seed_is_that_of_seed_zero() -> None:
    one, two = drawn_holes(8, 32), drawn_holes(8, 32, seed=0)
    np.testing.assert_array_equal(one.holes, two.holes)
    assert not np.array_equal(one.holes, drawn_holes(8, 32, seed=1).holes)
    holes = drawn_test_holes(4, 32)
    np.testing.assert_array_equal(holes.holes, drawn_test_holes(4, 32, 0).holes)
    blank = np.zeros((5, 32, 32, 3), np.uint8)
    faces = FaceSet(blank, blank[..., 0], tuple("abcde"), tuple("vwxyz"), "faces")
    assert make_pairs(faces, holes) == make_pairs(faces, holes, 0) != make_pairs(faces, holes, 1)


@pytest.mark.parametrize("count", [-1, 0])
def test_one_hole_may_be_asked_for_and_no_fewer(count: int) -> None:
    assert len(drawn_holes(1, 32)) == len(load_holes("drawn", "train", 32, count=1)) == 1
    with pytest.raises((ConfigError, DataError)):
        drawn_holes(count, 32)


@pytest.mark.parametrize("ground", [0, 255])
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 0, 255), (0, 0, 128), (255, 0, 255), (40, 200, 90)])
@pytest.mark.parametrize("white_is_hole", [True, False])
def test_a_coloured_brush_on_black_or_white_is_the_hole(
    ground: int, colour: tuple[int, ...], white_is_hole: bool, tmp_path: Path
) -> None:
    mask = np.full((40, 50, 3), ground, np.uint8)
    mask[10:20, 15:30] = colour
    mask[10:20, 30] = np.add(mask[0, 0], colour) // 2  # a soft rim
    Image.fromarray(mask).save(tmp_path / "a.png")
    hole = load_hole(tmp_path / "a.png", white_is_hole=white_is_hole)
    assert hole[:, 31:].sum() == hole[:, :15].sum() == 0
    assert (hole[10:20, 15:30] == 1).all()
    assert hole.sum() in (150, 160)


def test_a_picture_is_no_mask(tmp_path: Path) -> None:
    from skimage import data

    Image.fromarray(data.astronaut()[:200, 100:300]).save(tmp_path / "a.png")
    over = data.camera()[:, :, None].repeat(3, 2)
    over[100:200, 100:200] = (255, 0, 0)
    Image.fromarray(over).save(tmp_path / "b.png")
    for name in ("a.png", "b.png"):
        with pytest.raises(DataError, match="a picture of many colours, not a mask"):
            load_hole(tmp_path / name)


def test_a_hole_saved_inverted_is_the_same_hole(tmp_path: Path) -> None:
    white = np.zeros((32, 32), np.uint8)
    white[::2, 5:20] = 255  # halved, each pixel between 5 and 20 is half hole
    for name, value in (("white", white), ("black", 255 - white)):
        Image.fromarray(value).save(tmp_path / f"{name}.png")
    one = load_hole(tmp_path / "white.png", 16)
    other = load_hole(tmp_path / "black.png", 16, white_is_hole=False)
    assert np.array_equal(one, other)
    assert one[:, 3:9].all()


def test_a_grey_picture_is_no_mask_and_a_lossy_one_is(tmp_path: Path) -> None:
    grey = np.tile(np.linspace(0, 255, 64).astype(np.uint8), (64, 1))
    Image.fromarray(grey).save(tmp_path / "photo.png")
    with pytest.raises(DataError, match="it is a grey picture, not a mask: 86% of it"):
        load_hole(tmp_path / "photo.png", 64)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:40, 20:40] = 255
    Image.fromarray(np.maximum(mask, 1)).save(tmp_path / "mask.png")  # as JPEG files have it
    hole, between = read_hole(tmp_path / "mask.png", 64, True)
    assert np.array_equal(hole, mask > 0)
    assert between == 0
