"""Classes to regions, both class orders, and which regions a hole damages."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.regions import (
    CLASS_ORDERS,
    CLASSES,
    MERGES,
    MIRRORED,
    REGION_COLOURS,
    REGIONS,
    damaged_regions,
    merge_classes,
    n_regions,
    region_table,
    resize_regions,
    to_official,
)

EIGHT = {
    "skin": ["skin"],
    "nose": ["nose"],
    "eyes": ["l_eye", "r_eye"],
    "brows": ["l_brow", "r_brow"],
    "ears": ["l_ear", "r_ear"],
    "mouth": ["mouth", "u_lip", "l_lip"],
    "hair": ["hair"],
    "neck": ["neck"],
}


def test_the_two_orders_name_the_same_classes():
    assert set(CLASS_ORDERS) == {"celebamask-hq", "bisenet"}
    for names in CLASS_ORDERS.values():
        assert len(names) == len(set(names)) == 19
        assert set(names) == set(CLASSES)
    # Spot checks against the published lists.
    assert CLASS_ORDERS["celebamask-hq"][13] == "hair"
    assert CLASS_ORDERS["celebamask-hq"][3] == "eye_g"
    assert CLASS_ORDERS["bisenet"][17] == "hair"
    assert CLASS_ORDERS["bisenet"][6] == "eye_g"


@pytest.mark.parametrize(("name", "parts"), EIGHT.items())
def test_the_eight_regions(name, parts):
    table = region_table()
    assert [CLASSES[c] for c in np.flatnonzero(table == 1 + REGIONS.index(name))] == sorted(parts, key=CLASSES.index)


def test_what_is_no_region():
    rest = {CLASSES[c] for c in np.flatnonzero(region_table() == 0)}
    assert rest == {"background", "eye_g", "hat", "ear_r", "neck_l", "cloth"}


def test_accessories_join_what_is_beneath_them():
    table = region_table("accessories")
    moved = {CLASSES[c]: REGIONS[table[c] - 1] for c in np.flatnonzero(table != region_table())}
    assert moved == {"eye_g": "eyes", "ear_r": "ears", "neck_l": "neck"}


def test_numbers_of_regions():
    numbers = {merge: n_regions(merge) for merge in MERGES}
    assert numbers == {"regions": 8, "accessories": 8, "classes": 18, "none": 1}
    assert len(REGIONS) == 8
    assert len(set(REGION_COLOURS)) == 9
    with pytest.raises(ConfigError, match="unknown merge"):
        region_table("halves")


@pytest.mark.parametrize("merge", MERGES)
def test_every_region_id_is_used(merge):
    # Without regions the whole picture is region 1 and nothing is left over.
    assert set(region_table(merge).tolist()) == set(range(merge == "none", n_regions(merge) + 1))


def test_to_official_by_name():
    ids = np.arange(19).reshape(1, 19)
    assert [CLASSES[c] for c in to_official(ids, "bisenet")[0]] == list(CLASS_ORDERS["bisenet"])
    same = to_official(ids, "celebamask-hq")
    np.testing.assert_array_equal(same, ids)
    assert same.dtype == np.uint8
    assert to_official(np.zeros((0, 4), np.uint8), "bisenet").shape == (0, 4)


@pytest.mark.parametrize("value", [19, 255, -1])
def test_to_official_names_the_unknown_class(value):
    with pytest.raises(DataError, match=f"class {value},"):
        to_official(np.array([[0, value, 3]]), "bisenet")


def test_to_official_refuses_an_unknown_order():
    with pytest.raises(ConfigError, match="unknown class order"):
        to_official(np.zeros((2, 2), np.uint8), "mine")


@pytest.mark.parametrize("merge", MERGES)
def test_merge_is_the_same_in_numpy_and_torch(merge):
    labels = np.arange(19, dtype=np.uint8).reshape(1, 1, 19)
    got = merge_classes(labels, merge)
    assert got.dtype == np.uint8
    for kind in (torch.uint8, torch.int64):
        tensor = merge_classes(torch.from_numpy(labels).to(kind), merge)
        assert tensor.dtype == torch.uint8
        np.testing.assert_array_equal(tensor.numpy(), got)


def test_a_mirrored_face_needs_no_new_labels():
    """Left and right are one region, so mirroring the classes and swapping sides changes nothing after merging."""
    pairs = [("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")]
    swap = np.arange(19)
    for left, right in pairs:
        i, j = CLASSES.index(left), CLASSES.index(right)
        swap[i], swap[j] = j, i
    assert swap.tolist() == list(MIRRORED)
    labels = np.random.default_rng(0).integers(0, 19, (8, 8))
    np.testing.assert_array_equal(merge_classes(swap[labels[:, ::-1]]), merge_classes(labels)[:, ::-1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_resize_keeps_ids_and_type(dtype):
    regions = torch.randint(0, 9, (2, 16, 16), generator=torch.Generator().manual_seed(0)).to(dtype)
    small = resize_regions(regions, (4, 8))
    assert small.dtype == dtype
    torch.testing.assert_close(small, regions[:, ::4, ::2])
    torch.testing.assert_close(resize_regions(small, (16, 16))[:, ::4, ::2], small)
    assert resize_regions(regions, (16, 16)) is regions


@pytest.mark.parametrize("n", [8, 18])
def test_damaged_regions_against_a_plain_loop(n):
    generator = torch.Generator().manual_seed(1)
    regions = torch.randint(0, n + 1, (3, 12, 12), generator=generator)
    regions[0][regions[0] == 2] = 0  # region 2 is absent from the first picture
    hole = (torch.rand(3, 1, 12, 12, generator=generator) < 0.03).float()
    hole[2] = 0
    got = damaged_regions(regions.to(torch.uint8), hole, n)
    for b in range(3):
        for i in range(n + 1):
            assert got[b, i] == bool(((regions[b] == i) * hole[b, 0]).sum() > 0)
    assert got.shape == (3, n + 1)
    assert got.dtype == torch.bool
    assert not got[0, 2]
    assert not got[2].any()


def test_one_damaged_pixel_is_enough():
    regions = torch.zeros(1, 256, 256, dtype=torch.int64)
    regions[0, 7, 9] = 3
    hole = torch.zeros(1, 1, 256, 256)
    hole[0, 0, 7, 9] = 1
    assert damaged_regions(regions, hole)[0].nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize("merge", MERGES)
def test_a_map_with_more_than_the_known_classes_is_refused(merge: str) -> None:
    for labels in (np.array([[0, 19]]), torch.tensor([[19, 0]])):
        with pytest.raises(DataError, match="more than the classes 0 to 18"):
            merge_classes(labels, merge)


@pytest.mark.parametrize("value", [-1, -6, -19])
def test_a_map_with_negative_ids_is_refused(value: int) -> None:
    for labels in (np.array([[0, value]]), np.array([[value]], np.int8), torch.tensor([[value, 0]])):
        with pytest.raises(DataError, match="more than the classes 0 to 18"):
            merge_classes(labels)
