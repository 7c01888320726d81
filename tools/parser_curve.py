"""How good must a parser be? -> data/results/parser_curve.json.

The true map of each test face is damaged to several degrees, the generator repairs the face with each, and the error is
set against how much of the true map is left (mean intersection over union of the eight regions). Maps are damaged by a
smooth random warp, as a parser's errors are: borders wander, small regions are lost first. Beside that curve stand the
map of a real parser and that of another face, taken whole. Only figures leave this script.

    python tools/parser_curve.py RUN --faces CelebAMask-HQ --holes irregular-masks [--parser RUN] [--count 500]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faceinpaint import metrics  # noqa: E402
from faceinpaint.backbones import Backbone, load_backbone  # noqa: E402
from faceinpaint.data.sets import FaceSet, HoleSet  # noqa: E402
from faceinpaint.data.sources import load_faces, load_holes  # noqa: E402
from faceinpaint.files import write_json  # noqa: E402
from faceinpaint.models import composite  # noqa: E402
from faceinpaint.models.parser import parse  # noqa: E402
from faceinpaint.pixels import from_bytes  # noqa: E402
from faceinpaint.provenance import stamp  # noqa: E402
from faceinpaint.regions import REGIONS, merge_classes  # noqa: E402
from faceinpaint.training.run import check_merge, load_generator, load_parser  # noqa: E402

RECORD = ROOT / "data" / "results" / "parser_curve.json"

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


class Overlap:
    """Mean intersection over union of the eight regions, over all pixels that are added."""

    def __init__(self) -> None:
        self.table = np.zeros((len(REGIONS) + 1, len(REGIONS) + 1), np.int64)

    def add(self, true: Tensor, guess: Tensor, where: Tensor) -> None:
        """Note two maps (B, H, W), where a mask (B, H, W) says."""
        size = len(self.table)
        both = (true.long() * size + guess.long())[where]
        self.table += np.bincount(both.numpy(), minlength=size**2).reshape(size, size)

    def mean(self) -> float:
        """Over the regions that are there."""
        hit = np.diag(self.table)
        union = self.table.sum(0) + self.table.sum(1) - hit
        return float(np.mean([h / u for h, u in zip(hit[1:], union[1:], strict=True) if u]))


def measure(
    generator: nn.Module, faces: FaceSet, holes: HoleSet, maps: dict[str, Callable[..., Tensor]],
    lpips: Backbone | None = None, batch: int = 16,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Repair each face with one hole and each of several maps.

    Args:
        maps: by name, from (image, hole, true map, number of the first face) to the map that is given.

    Returns:
        by name ``iou``, ``iou_hole``, and mean, ``low`` and ``high`` of ``psnr`` (in the hole) and ``lpips``.
    """
    overlaps = {name: (Overlap(), Overlap()) for name in maps}
    scores: dict[str, dict[str, list[Tensor]]] = {name: {"psnr": [], "lpips": []} for name in maps}
    for start in range(0, len(faces), batch):
        at = slice(start, min(start + batch, len(faces)))
        image = from_bytes(torch.from_numpy(faces.images[at].copy()).permute(0, 3, 1, 2))
        true = torch.from_numpy(np.asarray(merge_classes(np.array(faces.labels[at])))).byte()
        numbers = np.arange(at.start, at.stop) % len(holes)
        hole = torch.from_numpy(np.stack([holes.holes[i] for i in numbers]))[:, None].float()
        inside = hole[:, 0] > 0.5
        whole = metrics.quantise(image)
        for name, of in maps.items():
            given = of(image, hole, true, start)
            for overlap, where in zip(overlaps[name], (torch.ones_like(inside), inside), strict=True):
                overlap.add(true, given, where)
            with torch.no_grad():
                made = metrics.quantise(composite(generator(image, hole, given).image, image, hole))
            scores[name]["psnr"].append(metrics.psnr(made, whole, hole))
            if lpips is not None:
                scores[name]["lpips"].append(metrics.lpips(made, whole, lpips))
        print(f"\r{at.stop}/{len(faces)}", end="", file=sys.stderr)
    found: dict[str, dict[str, Any]] = {}
    for name, (everywhere, hidden) in overlaps.items():
        found[name] = {"iou": round(everywhere.mean(), 4), "iou_hole": round(hidden.mean(), 4)}
        for metric, parts in scores[name].items():
            if parts:
                values = torch.cat(parts).numpy()
                low, high = metrics.bootstrap_interval(values)
                found[name][metric] = {
                    "mean": round(float(values.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4),
                }  # fmt: skip
    return found


def main() -> None:
    """Measure and write the record."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("run", help="weights of the generator")
    told.add_argument("--faces", default="toy")
    told.add_argument("--holes", default="drawn")
    told.add_argument("--parser", help="weights of a parser, to be set beside the curve")
    told.add_argument("--weights", default="auto", help="of the frozen network of LPIPS")
    told.add_argument("--count", type=int, default=500)
    told.add_argument("--cache", type=Path, help="folder of prepared pictures")
    told.add_argument("--out", type=Path, default=RECORD)
    given = told.parse_args()
    began = time.monotonic()
    generator, config, about = load_generator(given.run)
    size = config.preset.size
    faces = load_faces(given.faces, "test", size, count=given.count, cache=given.cache)
    holes = load_holes(given.holes, "test", size, count=given.count, cache=given.cache)
    holes = holes.subset(np.random.default_rng(0).permutation(len(holes)))  # masks are sorted by size
    lpips = load_backbone("alexnet", given.weights)
    maps: dict[str, Callable[..., Tensor]] = {
        f"{degree:g}": lambda image, hole, true, start, degree=degree: warped(true, degree, start)
        for degree in DEGREES
    }  # fmt: skip
    maps["another face"] = lambda image, hole, true, start: true.roll(1, 0)
    parser_about = None
    if given.parser:
        parser, how, parser_about = load_parser(given.parser)
        check_merge(how, config, given.parser)
        maps["parser"] = lambda image, hole, true, start: parse(parser, image, hole)
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
