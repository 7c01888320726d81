"""What a facial region is: 19 CelebAMask-HQ classes -> 8 regions (+ 0 = other), and which of them are damaged.

On disk a parsing map holds the 19 class ids of CelebAMask-HQ in their official order. In the library it holds
region ids: 0 = other (background, cloth, hat, ...), 1..8 = skin, nose, eyes, brows, ears, mouth, hair, neck, the
eight regions that the patent names ([0008]). Left and right are merged, so a mirrored face needs no relabelling; only
where each class is a region of its own, :data:`MIRRORED` swaps them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceinpaint.errors import ConfigError, DataError

REGIONS = ("skin", "nose", "eyes", "brows", "ears", "mouth", "hair", "neck")
"""Names of regions 1..8; region 0 is everything else."""

REGION_COLOURS = (
    "#9a9a9a", "#e8b98f", "#d55e00", "#0072b2", "#5b3a8c", "#cc79a7", "#b3123f", "#7f6242", "#009e73",
)  # fmt: skip
"""One colour per region id 0..8, the same in every figure; told apart in lightness as well as in hue."""

_OFFICIAL = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
_BISENET = (
    "background", "skin", "l_brow", "r_brow", "l_eye", "r_eye", "eye_g", "l_ear", "r_ear", "ear_r",
    "nose", "mouth", "u_lip", "l_lip", "neck", "neck_l", "cloth", "hair", "hat",
)  # fmt: skip

CLASS_ORDERS = {"celebamask-hq": _OFFICIAL, "bisenet": _BISENET}
"""The two class orders in circulation; a file does not say which one it uses, so it is always named."""

CLASSES = _OFFICIAL
"""Names of the 19 classes by official id (0..18), the order of every label map in this library."""

MIRRORED = tuple(
    CLASSES.index({"l": "r", "r": "l"}[name[0]] + name[1:] if name[2:] in ("eye", "brow", "ear") else name)
    for name in CLASSES
)
"""Official id of each class in a mirrored picture: the left eye, brow and ear are the right ones there."""

_REGION_OF = {
    "skin": 1, "nose": 2, "l_eye": 3, "r_eye": 3, "l_brow": 4, "r_brow": 4, "l_ear": 5, "r_ear": 5,
    "mouth": 6, "u_lip": 6, "l_lip": 6, "hair": 7, "neck": 8,
}  # fmt: skip
_ACCESSORIES = {"eye_g": 3, "ear_r": 5, "neck_l": 8}

MERGES = ("regions", "accessories", "classes", "none")
"""How classes become regions: the patent's 8; the same with glasses, earrings and necklaces given to the
region beneath them; each of the 18 classes a region of its own (claim 1 allows more than eight); or none: the
whole picture is one region, which needs no parsing map."""


def n_regions(merge: str = "regions") -> int:
    """Number of regions N of a merge (region 0 = other not counted).

    >>> n_regions("regions"), n_regions("none")
    (8, 1)
    """
    return int(region_table(merge).max())


def region_table(merge: str = "regions") -> np.ndarray:
    """Lookup table (19,) uint8 from official class id to region id.

    Raises:
        ConfigError: ``merge`` is not one of :data:`MERGES`.

    >>> region_table().tolist()
    [0, 1, 2, 0, 3, 3, 4, 4, 5, 5, 6, 6, 6, 7, 0, 0, 0, 8, 0]
    """
    if merge not in MERGES:
        raise ConfigError(f"unknown merge {merge!r}", f"Use one of {', '.join(MERGES)}")
    if merge == "classes":
        return np.arange(len(CLASSES), dtype=np.uint8)
    if merge == "none":
        return np.ones(len(CLASSES), dtype=np.uint8)
    names = _REGION_OF | (_ACCESSORIES if merge == "accessories" else {})
    return np.array([names.get(name, 0) for name in CLASSES], dtype=np.uint8)


def to_official(labels: np.ndarray, order: str) -> np.ndarray:
    """Class ids in any known order -> official ids, shape kept, uint8.

    Raises:
        ConfigError: the order is unknown.
        DataError: a value is not one of the 19 class ids.

    >>> to_official(np.array([[0, 17]]), "bisenet").tolist(), CLASSES[17]
    ([[0, 13]], 'neck')
    """
    if order not in CLASS_ORDERS:
        raise ConfigError(f"unknown class order {order!r}", f"Use one of {', '.join(CLASS_ORDERS)}")
    if labels.size and (labels.min() < 0 or labels.max() >= len(CLASSES)):
        raise DataError(
            f"a label map holds class {int(labels.max() if labels.min() >= 0 else labels.min())}, "
            f"known are 0 to {len(CLASSES) - 1}",
            "Give maps with one CelebAMask-HQ class id per pixel, not colours",
        )
    table = np.array([CLASSES.index(name) for name in CLASS_ORDERS[order]], dtype=np.uint8)
    return table[labels]


@overload
def merge_classes(labels: np.ndarray, merge: str = ...) -> np.ndarray: ...
@overload
def merge_classes(labels: Tensor, merge: str = ...) -> Tensor: ...
def merge_classes(labels: np.ndarray | Tensor, merge: str = "regions") -> np.ndarray | Tensor:
    """Official class ids (any shape) -> region ids of the same shape and kind (numpy or torch), uint8.

    Raises:
        ConfigError: the merge is unknown.
        DataError: a value is no class id (on a GPU that is not noticed here).

    >>> merge_classes(np.array([CLASSES.index("l_eye"), CLASSES.index("hair")])).tolist()
    [3, 7]
    """
    table = region_table(merge)
    try:
        if isinstance(labels, Tensor):
            if labels.device.type == "cpu" and labels.dtype.is_signed and bool((labels < 0).any()):
                raise IndexError  # a negative id would be counted from the end
            return torch.from_numpy(table).to(labels.device)[labels.long()]
        if labels.dtype.kind == "i" and (labels < 0).any():
            raise IndexError
        return table[labels]
    except IndexError:
        raise DataError(
            f"a parsing map holds more than the classes 0 to {len(CLASSES) - 1}", "Give one class id per pixel"
        ) from None


def resize_regions(regions: Tensor, size: Sequence[int]) -> Tensor:
    """Nearest-neighbour resize of a parsing map (B, H, W) to (B, h, w), integer type kept.

    >>> resize_regions(torch.tensor([[[1, 1], [2, 2]]], dtype=torch.uint8), (1, 1))
    tensor([[[1]]], dtype=torch.uint8)
    """
    if regions.shape[-2:] == tuple(size):
        return regions
    return F.interpolate(regions[:, None].float(), size=tuple(size), mode="nearest")[:, 0].to(regions.dtype)


def damaged_regions(regions: Tensor, hole: Tensor, n: int = len(REGIONS)) -> Tensor:
    """Which regions the hole touches: the test sum(M_i) > 0 with M_i = S_i * M, taken once at full size.

    Decided at full size because small regions vanish from a map resized to 16 or 32 pixels.

    Args:
        regions: parsing map (B, H, W), integer, 0..n.
        hole: hole mask (B, 1, H, W), 1 = hole.

    Returns:
        (B, n + 1) bool; column i is region i, column 0 the pixels outside all regions.

    >>> damaged_regions(torch.tensor([[[1, 2]]]), torch.tensor([[[[0.0, 1.0]]]]), n=2)
    tensor([[False, False,  True]])
    """
    counts = torch.zeros(len(regions), n + 1, device=regions.device)
    counts.scatter_add_(1, regions.flatten(1).long(), hole.flatten(1).to(counts.dtype))
    return counts > 0
