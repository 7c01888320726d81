"""What the patent says of its method, measured on trained weights -> data/results/claims.json.

Undamaged regions: what region normalisation does to them, and how far the raw output is off there. Seams: how wrong the
steps of colour across the borders of regions are, with the styles weighed as they were learned and with either alone.
Only figures leave this script.

    python tools/claims.py RUN --local RUN --all RUN --faces CelebAMask-HQ --holes irregular-masks [--count 500]
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import measuring  # before the library, which it finds
import numpy as np
import torch
from torch import Tensor, nn

from faceinpaint.comparison.claims import fused_by, seams, untouched
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.files import write_json
from faceinpaint.models import composite
from faceinpaint.models.start import within
from faceinpaint.provenance import stamp
from faceinpaint.regions import damaged_regions
from faceinpaint.training.run import load_generator

WEIGHED = ("learned", "local", "global")
"""How local and global styles are weighed: as trained, or one of them alone in the same network."""


def parts(hole: Tensor, regions: Tensor) -> dict[str, Tensor]:
    """Where a face is known in whole regions, known in damaged ones, and hole; masks (B, H, W)."""
    damaged = damaged_regions(regions, hole).gather(1, regions.flatten(1).long()).view(regions.shape)
    inside = hole[:, 0] > 0.5
    return {
        "whole regions": ~inside & ~damaged & (regions > 0), "rest of damaged regions": ~inside & damaged,
        "hole": inside,
    }  # fmt: skip


def measure(generator: nn.Module, faces: FaceSet, holes: HoleSet) -> dict[str, Any]:
    """All of it, each face with one hole and its true map."""
    steps: dict[str, dict[str, list[Tensor]]] = {name: {"across": [], "within": []} for name in WEIGHED}
    raw: dict[str, list[Tensor]] = {}
    found = []
    for image, hole, regions in measuring.batches(faces, holes):
        found.append(untouched(generator, image, hole, regions))
        for name in WEIGHED:
            with torch.no_grad(), fused_by(generator, name) if name != "learned" else nullcontext():
                output = generator(image, hole, regions).image
            across, inner = seams(composite(output, image, hole) / 2, image / 2, hole, regions)
            steps[name]["across"].append(across)
            steps[name]["within"].append(inner)
            if name == "learned":
                off = (output - image).abs().mean(1) / 2
                for part, where in parts(hole, regions).items():
                    share = where.sum((1, 2))
                    values = torch.where(share > 0, (off * where).sum((1, 2)) / share, torch.nan)
                    raw.setdefault(part, []).append(values)
    return {
        "untouched": {
            "of_normalised": max(f.of_normalised for f in found),
            "of_input": round(float(np.mean([f.of_input for f in found])), 3),
            "pixels": round(float(np.mean([f.pixels for f in found])), 3),
        },
        "raw_l1": {part: measuring.interval(torch.cat(values), 5) for part, values in raw.items()},
        "seams": {
            name: {kind: measuring.interval(torch.cat(values), 5) for kind, values in kinds.items()}
            for name, kinds in steps.items()
        },
        "change": {
            name: measuring.interval(torch.cat(steps[name]["across"]) - torch.cat(steps["learned"]["across"]), 5)
            for name in WEIGHED[1:]
        },
    }


def main() -> None:
    """Measure and write the record."""
    told = measuring.arguments(__doc__, "claims.json")
    told.add_argument("run", help="weights of the patent's method")
    told.add_argument("--local", help="weights of the same trained with fusion=local, without the global style")
    told.add_argument("--all", help="weights of the same trained with l1=all, so that known pixels are asked for")
    given = told.parse_args()
    began = time.monotonic()
    generator, config, about = load_generator(given.run)
    if config.method != "facial-style" or not hasattr(within(generator), "repair"):
        told.error(f"{given.run} holds no region normalisation")
    size = config.preset.size
    faces, holes = measuring.pictures(given, size)
    found = measure(generator, faces, holes)
    for asked, option, value in ((given.local, "fusion", "local"), (given.all, "l1", "all")):
        if asked:
            other, how, _ = load_generator(asked)
            if how.options.get(option) != value:
                told.error(f"{asked} was not trained with {option}={value}")
            also = measure(other, faces, holes)
            found[f"trained_{value}"] = also["seams"]["learned"] if option == "fusion" else also["raw_l1"]
    record = {
        "kind": "claims", "version": 1, "size": size, "pairs": len(faces), "faces": faces.source,
        "holes": holes.source, "training": about, **found,
        **stamp(time.monotonic() - began),
    }  # fmt: skip
    write_json(given.out, record)
    print(f"\n{given.out}")


if __name__ == "__main__":
    main()
