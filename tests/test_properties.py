"""What must hold for any holes, maps, pictures and lists, not only for those that other tests think of."""

from __future__ import annotations

import string
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from faceinpaint import metrics
from faceinpaint.data.cache import plain_name
from faceinpaint.data.images import read_labels, read_rgb
from faceinpaint.data.masks import BIN_EDGES, BIN_NAMES, bin_of, box, free_form, load_hole, mixture
from faceinpaint.data.pairs import Pair, check_pairs, make_pairs, read_pairs, write_pairs
from faceinpaint.data.sets import FaceSet, HoleSet, hole_fraction
from faceinpaint.errors import DataError
from faceinpaint.models import composite
from faceinpaint.models.facial_style import style_pool
from faceinpaint.regions import (
    CLASS_ORDERS,
    CLASSES,
    MERGES,
    damaged_regions,
    merge_classes,
    n_regions,
    resize_regions,
    to_official,
)

seeds = st.integers(0, 2**32 - 1)
sides = st.integers(16, 72)
masks = arrays.arrays(np.uint8, st.tuples(*[st.integers(2, 12)] * 2), elements=st.integers(0, 1))
class_maps = arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 9)] * 2), elements=st.integers(0, len(CLASSES) - 1))


# ------------------------------------------------------------------------------------------------- drawn holes


@given(seeds, sides, st.sampled_from([free_form, box, mixture]))
def test_a_drawn_hole_is_a_mask_with_a_hole_and_something_known(seed, size, draw):
    hole = draw(size, np.random.default_rng(seed))
    assert hole.shape == (size, size)
    assert hole.dtype == np.uint8
    assert set(np.unique(hole)) <= {0, 1}
    assert 0 < hole_fraction(hole) < 1
    assert np.array_equal(hole, draw(size, np.random.default_rng(seed)))


@given(seeds, sides, st.sampled_from(list(pairwise(BIN_EDGES))))
def test_a_mixture_for_a_bin_falls_into_it(seed, size, edges):
    assert bin_of(hole_fraction(mixture(size, np.random.default_rng(seed), *edges))) == BIN_EDGES.index(edges[0])


@given(st.floats(allow_nan=True), st.floats(0, 1))
def test_a_fraction_has_one_bin_or_none_and_bins_are_in_order(wild, fraction):
    for value in (wild, fraction):
        found = bin_of(value)
        inside = [i for i, (low, high) in enumerate(pairwise(BIN_EDGES)) if low < value <= high]
        assert inside == ([] if found is None else [found])
        assert (found is None) == (not BIN_EDGES[0] < value <= BIN_EDGES[-1])


# ----------------------------------------------------------------------------------------------- holes in files


@given(hole=masks, grey=st.booleans())
def test_a_hole_comes_back_from_its_file_in_either_polarity(tmp_path_factory, hole, grey):
    path = tmp_path_factory.mktemp("hole") / "x.png"
    assume(0 < hole.sum() < hole.size)
    Image.fromarray(hole * 255 if grey else hole.astype(bool)).save(path)
    np.testing.assert_array_equal(load_hole(path), hole)
    np.testing.assert_array_equal(load_hole(path, white_is_hole=False), 1 - hole)


@given(hole=arrays.arrays(np.uint8, (16, 16), elements=st.integers(0, 1)), scale=st.integers(2, 4))
def test_a_hole_enlarged_and_brought_back_is_the_same(tmp_path_factory, hole, scale):
    path = tmp_path_factory.mktemp("hole") / "x.png"
    assume(0 < hole.sum() < hole.size)
    Image.fromarray(np.kron(hole, np.full((scale, scale), 255, np.uint8))).save(path)
    np.testing.assert_array_equal(load_hole(path, 16), hole)


@given(array=arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_a_photograph_comes_back_from_its_file(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("photo") / "x.png"
    Image.fromarray(array).save(path)
    np.testing.assert_array_equal(read_rgb(path), array)


@given(labels=class_maps, order=st.sampled_from(list(CLASS_ORDERS)))
def test_a_map_comes_back_from_its_file_in_official_order(tmp_path_factory, labels, order):
    path = tmp_path_factory.mktemp("labels") / "x.png"
    Image.fromarray(labels).save(path)
    names = np.array(CLASS_ORDERS[order])[labels]
    assert (np.array(CLASSES)[read_labels(path, order)] == names).all()


# ------------------------------------------------------------------------------------------------------ regions


@given(class_maps, st.sampled_from(MERGES))
def test_merging_depends_on_the_class_alone(labels, merge):
    got = merge_classes(labels, merge)
    assert got.shape == labels.shape
    assert int(got.max()) <= n_regions(merge)
    table = merge_classes(np.arange(len(CLASSES)), merge)
    np.testing.assert_array_equal(got, table[labels])
    np.testing.assert_array_equal(merge_classes(torch.from_numpy(labels), merge).numpy(), got)


@given(class_maps, st.sampled_from(["regions", "accessories", "none"]))
def test_left_and_right_are_one_region(labels, merge):
    def other_side(name: str) -> str:
        swap = {"l_": "r_", "r_": "l_"}
        return swap[name[:2]] + name[2:] if name[:2] in swap and name != "l_lip" else name

    swapped = np.array([CLASSES.index(other_side(name)) for name in CLASSES])[labels]
    np.testing.assert_array_equal(merge_classes(swapped, merge), merge_classes(labels, merge))


@given(class_maps)
def test_orders_are_permutations_of_each_other(labels):
    assert (to_official(labels, "celebamask-hq") == labels).all()
    everything = to_official(np.arange(len(CLASSES)), "bisenet")
    assert sorted(everything) == list(range(len(CLASSES)))


@given(class_maps, st.integers(1, 4))
def test_a_map_enlarged_by_whole_steps_and_shrunk_is_the_same(labels, scale):
    small = torch.from_numpy(labels)[None]
    height, width = labels.shape
    large = resize_regions(small, (height * scale, width * scale))
    assert (large.numpy()[0] == np.kron(labels, np.ones((scale, scale), np.uint8))).all()
    assert torch.equal(resize_regions(large, (height, width)), small)


@given(seeds, st.integers(1, 9), st.integers(1, 9), st.integers(1, 8))
def test_damage_adds_up(seed, height, width, n):
    rng = np.random.default_rng(seed)
    regions = torch.from_numpy(rng.integers(0, n + 1, (2, height, width)))
    one, two = (torch.from_numpy(rng.integers(0, 2, (2, 1, height, width))).float() for _ in range(2))
    both = damaged_regions(regions, torch.maximum(one, two), n)
    assert torch.equal(both, damaged_regions(regions, one, n) | damaged_regions(regions, two, n))
    assert not damaged_regions(regions, torch.zeros_like(one), n).any()
    present = torch.stack([(regions == i).flatten(1).any(1) for i in range(n + 1)], 1)
    assert torch.equal(damaged_regions(regions, torch.ones_like(one), n), present)


@given(seeds, st.integers(1, 9), st.integers(1, 9), st.integers(1, 8))
def test_styles_are_means(seed, height, width, n):
    """Each lies between the least and greatest feature; the whole face's is the mean of the regions' by area."""
    rng = np.random.default_rng(seed)
    regions = torch.from_numpy(rng.integers(0, n + 1, (2, height, width)))
    features = torch.from_numpy(rng.normal(size=(2, 3, height, width)))
    local, whole = style_pool(features, regions, n)
    area = torch.stack([(regions == i).flatten(1).sum(1) for i in range(1, n + 1)], 1)[..., None]
    low, high = features.amin((2, 3))[:, None], features.amax((2, 3))[:, None]
    assert ((local >= low - 1e-12) & (local <= high + 1e-12))[(area > 0).expand_as(local)].all()
    assert (local[(area == 0).expand_as(local)] == 0).all()
    torch.testing.assert_close((local * area).sum(1) / area.sum(1).clamp(min=1), whole)


# ---------------------------------------------------------------------------------------------------- composite


@given(seeds, st.integers(1, 3), st.integers(1, 9), st.integers(1, 9))
def test_composite_is_a_choice_of_pixels(seed, batch, height, width):
    rng = np.random.default_rng(seed)
    a, b = (torch.from_numpy(rng.normal(size=(batch, 3, height, width))) for _ in range(2))
    hole = torch.from_numpy(rng.integers(0, 2, (batch, 1, height, width))).double()
    c = composite(a, b, hole)
    assert torch.equal(c, hole * a + (1 - hole) * b)
    assert torch.equal(composite(c, b, hole), c)
    assert torch.equal(composite(b, a, 1 - hole), c)
    assert torch.equal(composite(a, a, hole), a)
    assert torch.equal(composite(a, b, torch.ones_like(hole)), a)
    assert torch.equal(composite(torch.full_like(a, torch.nan), b, torch.zeros_like(hole)), b)


# ------------------------------------------------------------------------------------------------------ metrics


def pictures(seed: int, count: int = 2, side: int = 12) -> list[torch.Tensor]:
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.integers(0, 256, (2, 3, side, side + 3)).astype(np.float32)) for _ in range(count)]


@given(seeds)
def test_errors_are_symmetric_and_obey_the_triangle(seed):
    a, b, c = pictures(seed, 3)
    for error in (metrics.psnr, metrics.l1, metrics.ssim):
        torch.testing.assert_close(error(a, b), error(b, a), rtol=1e-12, atol=0)
    assert (metrics.l1(a, c) <= metrics.l1(a, b) + metrics.l1(b, c) + 1e-12).all()
    assert (metrics.l1(a, a) == 0).all()
    assert metrics.psnr(a, a).isposinf().all()
    # Jensen: the root of the mean square is no less than the mean.
    assert (10 ** (-metrics.psnr(a, b) / 20) >= metrics.l1(a, b) - 1e-12).all()


@given(seeds)
def test_the_error_is_that_of_the_hole_and_that_of_the_rest(seed):
    a, b = pictures(seed)
    hole = torch.from_numpy(np.random.default_rng([seed, 1]).integers(0, 2, (2, 1, 12, 15))).float()
    share = hole.double().mean((1, 2, 3))
    assume(bool(((share > 0) & (share < 1)).all()))
    parts = share * metrics.l1(a, b, hole) + (1 - share) * metrics.l1(a, b, 1 - hole)
    torch.testing.assert_close(parts, metrics.l1(a, b))
    torch.testing.assert_close(metrics.psnr(a, b, torch.ones_like(hole)), metrics.psnr(a, b))
    # Of a composited picture all error lies in the hole.
    mixed = composite(a, b, hole)
    torch.testing.assert_close(metrics.l1(mixed, b), share * metrics.l1(a, b, hole))


@given(seeds, st.floats(0.1, 0.9))
def test_less_error_scores_better(seed, share):
    a, b = pictures(seed)
    nearer = b + share * (a - b)
    assert (metrics.psnr(nearer, b) > metrics.psnr(a, b)).all()
    assert (metrics.l1(nearer, b) < metrics.l1(a, b)).all()


@given(arrays.arrays(np.uint8, (1, 3, 4, 5)))
def test_eight_bit_pictures_survive_the_range_and_back(pixels):
    image = torch.from_numpy(pixels.astype(np.float32)) / 127.5 - 1
    assert (metrics.quantise(image).numpy() == pixels).all()


def features(seed: int, count: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width))


@given(seeds, st.integers(2, 12), st.integers(2, 12), st.integers(1, 6))
def test_distances_of_sets_are_symmetric_and_blind_to_order_and_rotation(seed, m, n, width):
    a, b = features(seed, m, width), features(seed + 1, n, width) + 1

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return metrics.frechet_distance(*(metrics.FeatureStats().update(z) for z in (x, y)))

    close = pytest.approx(distance(a, b), rel=1e-6, abs=1e-7)
    assert distance(b, a) == close
    assert distance(a[::-1], b) == close
    assert distance(a + 3, b + 3) == close
    turn = np.linalg.qr(features(seed + 2, width, width))[0]
    assert distance(a @ turn, b @ turn) == close
    assert distance(a, b) > -1e-7
    assert distance(a, a) == pytest.approx(0, abs=1e-6)
    shift = features(seed + 3, 1, width)
    assert distance(a, a + shift) == pytest.approx((shift**2).sum(), rel=1e-6, abs=1e-6)
    kid = pytest.approx(metrics.kid(a, b), rel=1e-9, abs=1e-12)
    assert metrics.kid(b, a) == kid
    assert metrics.kid(a[::-1], b) == kid
    assert metrics.kid(a @ turn, b @ turn) == pytest.approx(metrics.kid(a, b), rel=1e-6, abs=1e-9)


# ------------------------------------------------------------------------------------------------------- pairs

digests = st.text("0123456789abcdef", min_size=64, max_size=64)


@st.composite
def sets(draw) -> tuple[FaceSet, HoleSet]:
    """Faces and holes whose fractions cover every bin, some holes outside all bins."""
    count = draw(st.integers(1, 9))
    blank = np.zeros((count, 16, 16, 3), np.uint8)
    faces = FaceSet(
        blank, blank[..., 0], tuple(f"f{i}" for i in range(count)), tuple(f"{i:064d}" for i in range(count)), "faces"
    )
    inside = [draw(st.lists(st.floats(a + 1e-9, b), min_size=1, max_size=4)) for a, b in pairwise(BIN_EDGES)]
    outside = draw(st.lists(st.one_of(st.floats(0, 0.01), st.floats(0.61, 1)), max_size=3))
    fractions = np.array([*sum(inside, []), *outside])  # noqa: RUF017 - a dozen numbers
    ids = tuple(f"h{i}" for i in range(len(fractions)))
    holes = HoleSet(np.zeros((len(ids), 16, 16), np.uint8), ids, tuple("0" * 64 for _ in ids), "holes", fractions)
    return faces, holes


@given(sets(), st.integers(0, 2**31))
def test_pairs_are_fair_and_repeat(both, seed):
    faces, holes = both
    pairs = make_pairs(faces, holes, seed)
    assert pairs == make_pairs(faces, holes, seed)
    assert [(p.bin, p.face_id) for p in pairs] == [(b, f) for b in BIN_NAMES for f in faces.ids]
    for name in BIN_NAMES:
        members = {h for h, f in zip(holes.ids, holes.fractions, strict=True) if bin_of(f) == BIN_NAMES.index(name)}
        uses = Counter(dict.fromkeys(members, 0) | Counter(p.hole_id for p in pairs if p.bin == name))
        assert uses.keys() == members
        assert max(uses.values()) - min(uses.values()) <= 1
    places = check_pairs(pairs, faces, holes)
    assert [(faces.ids[f], holes.ids[h]) for f, h in places] == [(p.face_id, p.hole_id) for p in pairs]


names = st.text(
    st.characters(exclude_categories=("C", "Zl", "Zp", "Zs"), exclude_characters='/\\:"'), min_size=1, max_size=12
).filter(plain_name)


@given(st.lists(st.tuples(names, digests, names, digests), max_size=6, unique_by=(lambda t: t[0], lambda t: t[2])))
def test_any_list_of_pairs_comes_back_from_its_file(tmp_path_factory, rows):
    path: Path = tmp_path_factory.mktemp("pairs") / "x.csv"
    pairs = [Pair(*row, 0.1 + 0.1 * (i + 1) / 7, "0.1-0.2") for i, row in enumerate(rows)]
    write_pairs(path, pairs)
    if pairs:
        assert read_pairs(path) == pairs
    else:
        with pytest.raises(DataError, match="empty"):
            read_pairs(path)


@given(st.text(string.printable, max_size=60))
def test_any_line_of_a_list_is_a_pair_or_refused(tmp_path_factory, line):
    path: Path = tmp_path_factory.mktemp("pairs") / "x.csv"
    path.write_text(f"{','.join(Pair._fields)}\n{line}\n", newline="")
    try:
        pairs = read_pairs(path)
    except DataError:
        return
    assert all(plain_name(p.face_id) and plain_name(p.hole_id) for p in pairs)
