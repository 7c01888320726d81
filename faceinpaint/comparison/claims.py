"""Measures for what the patent says of its method and no table shows: regions left alone, and seams between regions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.models.facial_style import AdaptiveFusion, RegionNorm
from faceinpaint.options import Fusion
from faceinpaint.regions import damaged_regions


class Untouched(NamedTuple):
    """What region normalisation does to pixels of whole regions, over all such modules of a network.

    Attributes:
        of_normalised: greatest difference of a feature there from plain instance normalisation.
        of_input: root mean square difference from the features that went in, in units of their own spread.
        pixels: share of the picture that lies in whole regions.
    """

    of_normalised: float
    of_input: float
    pixels: float


@torch.no_grad()
def untouched(network: nn.Module, image: Tensor, hole: Tensor, regions: Tensor) -> Untouched:
    """Does region normalisation leave undamaged regions as they were ("no operation", [0136], claim 5)?

    Args:
        network: holds :class:`~faceinpaint.models.facial_style.RegionNorm` modules.
        image, hole, regions: what it is called with; regions 0 are no region, and not counted.

    >>> from faceinpaint.models.facial_style import FacialStyle
    >>> regions = torch.ones(1, 64, 64, dtype=torch.uint8)
    >>> regions[..., 32:] = 2
    >>> hole = torch.zeros(1, 1, 64, 64)
    >>> hole[..., :16] = 1
    >>> found = untouched(FacialStyle(width=4), torch.rand(1, 3, 64, 64), hole, regions)
    >>> found.of_normalised < 1e-4 < found.of_input, found.pixels
    (True, 0.5)
    """
    greatest, squares, count = 0.0, 0.0, 0
    damaged = damaged_regions(regions, hole)
    at_full = ~damaged.gather(1, regions.flatten(1).long()).view(regions.shape) & (regions > 0)

    def look(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
        nonlocal greatest, squares, count
        x, _, labels, _, flags = given
        whole = ~flags.gather(1, labels.flatten(1).long()).view(labels.shape) & (labels > 0)
        where = whole[:, None].expand_as(x)
        if not where.any():
            return
        greatest = max(greatest, float((made - F.instance_norm(x))[where].abs().max()))
        spread = x.std((2, 3), keepdim=True).clamp(min=1e-6)
        squares += float(((made - x) / spread)[where].square().sum())
        count += int(where.sum())

    hooks = [m.register_forward_hook(look) for m in network.modules() if isinstance(m, RegionNorm)]
    try:
        network(image, hole, regions)
    finally:
        for hook in hooks:
            hook.remove()
    return Untouched(greatest, (squares / count) ** 0.5 if count else 0.0, float(at_full.float().mean()))


def seams(output: Tensor, image: Tensor, hole: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
    """How wrong the step from pixel to pixel is, across the borders of regions and within them.

    A repair whose regions differ in colour where the photograph's do not has a wrong step at their border. Steps are
    between neighbours in a row or column, of which at least one lies in the hole and both in a region.

    Args:
        output: repaired pictures (B, 3, H, W), composited.
        image: true ones.
        hole: (B, 1, H, W), 1 = hole.
        regions: true parsing map (B, H, W), 0 = no region.

    Returns:
        mean absolute error of steps across borders, and within regions, both (B,) in the units of the pictures, NaN
        where there is no such step.

    >>> image, hole = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    >>> regions = torch.tensor([1, 1, 2, 2]).expand(1, 4, 4)
    >>> output = torch.where(regions == 2, 0.5, 0.0)[:, None].expand(1, 3, 4, 4)  # one region has another colour
    >>> across, within = seams(output, image, hole, regions)
    >>> across.item(), within.item()
    (0.5, 0.0)
    """
    sums = torch.zeros(2, len(image))
    counts = torch.zeros(2, len(image))
    off = output - image
    for dim in (-2, -1):
        length = off.shape[dim] - 1
        a, b = (slice(0, length), slice(1, length + 1))

        def pick(x: Tensor, part: slice, dim: int = dim) -> Tensor:
            return x[..., part] if dim == -1 else x[..., part, :]

        wrong = (pick(off, b) - pick(off, a)).abs().mean(1)
        inside = (pick(hole, a) + pick(hole, b))[:, 0] > 0.5
        first, second = pick(regions, a), pick(regions, b)
        both = inside & (first > 0) & (second > 0)
        for k, where in enumerate((both & (first != second), both & (first == second))):
            sums[k] += (wrong * where).sum((1, 2)).cpu()
            counts[k] += where.sum((1, 2)).cpu()
    across, within = torch.where(counts > 0, sums / counts, torch.nan)
    return across, within


@contextmanager
def fused_by(network: nn.Module, fusion: Fusion) -> Iterator[None]:
    """A trained network whose local and global styles are weighed otherwise for a while.

    >>> fuse = AdaptiveFusion(4)
    >>> with fused_by(fuse, "local"):
    ...     float(fuse.local_share().min())
    1.0
    """
    fuses = [m for m in network.modules() if isinstance(m, AdaptiveFusion)]
    before = [m.fusion for m in fuses]
    try:
        for m in fuses:
            m.fusion = fusion
        yield
    finally:
        for m, kept in zip(fuses, before, strict=True):
            m.fusion = kept
