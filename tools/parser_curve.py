"""How good must a parser be? -> data/results/parser_curve.json.

The true map of each test face is damaged to several degrees, the generator repairs the face with each, and the error is
set against how much of the true map is left (mean intersection over union of the eight regions). Maps are damaged by a
smooth random warp, as a parser's errors are: borders wander, small regions are lost first. Beside that curve stand the
map of a real parser and that of another face, taken whole. Only figures leave this script.

    python tools/parser_curve.py RUN --faces CelebAMask-HQ --holes irregular-masks [--parser RUN] [--count 500]
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import measuring  # before the library, which it finds
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint import metrics
from faceinpaint.backbones import Backbone, load_backbone
from faceinpaint.comparison.evaluate import Confusion
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.files import write_json
from faceinpaint.models import composite
from faceinpaint.models.parser import parse
from faceinpaint.provenance import stamp
from faceinpaint.training.run import check_merge, load_generator, load_parser

DEGREES = (0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
"""By how much maps are warped: root mean square of the displacement, as a share of the side."""

BENDS = 5
"""Places along a side where the displacement is drawn; it is smooth between them."""


def warped(regions: Tensor, degree: float, seed: int) -> Tensor:
    """A map whose borders have wandered.

    Args:
        regions: (B, H, W) uint8.
        degree: root mean square of the displacement, as a share of the side.
        seed: the same for the same warp; degrees only stretch it.
    """
    drawn = torch.Generator().manual_seed(seed)
    bends = torch.randn(len(regions), 2, BENDS, BENDS, generator=drawn)
    moved = F.interpolate(bends, size=regions.shape[-2:], mode="bicubic", align_corners=True)
    moved = moved / moved.square().sum(1).mean((1, 2)).sqrt()[:, None, None, None]
    straight = torch.eye(2, 3).expand(len(regions), 2, 3)
    places = F.affine_grid(straight, [len(regions), 1, *regions.shape[-2:]], align_corners=False)
    places = places + 2 * degree * moved.permute(0, 2, 3, 1)  # a side is 2 long
    found = F.grid_sample(regions[:, None].float(), places, "nearest", "border", align_corners=False)
    return found[:, 0].round().byte()


def measure(
    generator: nn.Module, faces: FaceSet, holes: HoleSet, maps: dict[str, Callable[..., Tensor]],
    lpips: Backbone | None = None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Repair each face with one hole and each of several maps.

    Args:
        maps: by name, from (image, hole, true map, number of the first face) to the map that is given.

    Returns:
        by name ``iou``, ``iou_hole``, and mean, ``low`` and ``high`` of ``psnr`` (in the hole) and ``lpips``.
    """
    overlaps = {name: (Confusion(), Confusion()) for name in maps}
    scores: dict[str, dict[str, list[Tensor]]] = {name: {"psnr": [], "lpips": []} for name in maps}
    first = 0
    for image, hole, true in measuring.batches(faces, holes):
        inside = hole[:, 0] > 0.5
        whole = metrics.quantise(image)
        for name, of in maps.items():
            given = of(image, hole, true, first)
            for overlap, where in zip(overlaps[name], (torch.ones_like(inside), inside), strict=True):
                overlap.add(true, given, where)
            with torch.no_grad():
                made = metrics.quantise(composite(generator(image, hole, given).image, image, hole))
            scores[name]["psnr"].append(metrics.psnr(made, whole, hole))
            if lpips is not None:
                scores[name]["lpips"].append(metrics.lpips(made, whole, lpips))
        first += len(image)
    found: dict[str, dict[str, Any]] = {}
    for name, (everywhere, hidden) in overlaps.items():
        iou, iou_hole = (counted.overlap().mean or 0.0 for counted in (everywhere, hidden))
        found[name] = {"iou": round(iou, 4), "iou_hole": round(iou_hole, 4)}
        found[name] |= {metric: measuring.interval(torch.cat(parts)) for metric, parts in scores[name].items() if parts}
    return found


def main() -> None:
    """Measure and write the record."""
    told = measuring.arguments(__doc__, "parser_curve.json")
    told.add_argument("run", help="weights of the generator")
    told.add_argument("--parser", help="weights of a parser, to be set beside the curve")
    told.add_argument("--weights", default="auto", help="of the frozen network of LPIPS")
    given = told.parse_args()
    began = time.monotonic()
    generator, config, about = load_generator(given.run)
    size = config.preset.size
    faces, holes = measuring.pictures(given, size)
    lpips = load_backbone("alexnet", given.weights)
    maps: dict[str, Callable[..., Tensor]] = {
        f"{degree:g}": lambda image, hole, true, first, degree=degree: warped(true, degree, first)
        for degree in DEGREES
    }  # fmt: skip
    maps["another face"] = lambda image, hole, true, first: true.roll(1, 0)
    parser_about = None
    if given.parser:
        parser, how, parser_about = load_parser(given.parser)
        check_merge(how, config, given.parser)
        maps["parser"] = lambda image, hole, true, first: parse(parser, image, hole)
    record = {
        "kind": "parser curve", "version": 1, "size": size, "pairs": len(faces), "faces": faces.source,
        "holes": holes.source, "training": about, "parser": parser_about,
        "points": measure(generator, faces, holes, maps, lpips if lpips.trained else None),
        **stamp(time.monotonic() - began),
    }  # fmt: skip
    write_json(given.out, record)
    print(f"\n{given.out}")


if __name__ == "__main__":
    main()
