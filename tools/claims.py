"""What the patent says of its method, measured on trained weights -> data/results/claims.json.

Undamaged regions: what region normalisation does to them, and how far the raw output is off there. Seams: how wrong the
steps of colour across the borders of regions are, with the styles weighed as they were learned and with either alone.
Only figures leave this script.

    python tools/claims.py RUN --faces CelebAMask-HQ --holes irregular-masks [--count 500]
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faceinpaint import metrics  # noqa: E402
from faceinpaint.comparison.claims import fused_by, seams, untouched  # noqa: E402
from faceinpaint.data.sets import FaceSet, HoleSet  # noqa: E402
from faceinpaint.data.sources import load_faces, load_holes  # noqa: E402
from faceinpaint.files import write_json  # noqa: E402
from faceinpaint.models import composite  # noqa: E402
from faceinpaint.models.start import within  # noqa: E402
from faceinpaint.pixels import from_bytes  # noqa: E402
from faceinpaint.provenance import stamp  # noqa: E402
from faceinpaint.regions import damaged_regions, merge_classes  # noqa: E402
from faceinpaint.training.run import load_generator  # noqa: E402

RECORD = ROOT / "data" / "results" / "claims.json"

WEIGHED = ("learned", "local", "global")
"""How local and global styles are weighed: as trained, or one of them alone in the same network."""


def summary(values: np.ndarray, digits: int = 5) -> dict[str, float]:
    """Mean and its 95% interval over faces; what was not measured of a face is left out."""
    kept = values[np.isfinite(values)]
    low, high = metrics.bootstrap_interval(kept)
    return {
        name: round(float(x), digits) for name, x in (("mean", kept.mean()), ("low", low), ("high", high))
    }  # fmt: skip


def parts(hole: Tensor, regions: Tensor) -> dict[str, Tensor]:
    """Where a face is known in whole regions, known in damaged ones, and hole; masks (B, H, W)."""
    damaged = damaged_regions(regions, hole).gather(1, regions.flatten(1).long()).view(regions.shape)
    inside = hole[:, 0] > 0.5
    return {
        "whole regions": ~inside & ~damaged & (regions > 0), "rest of damaged regions": ~inside & damaged,
        "hole": inside,
    }  # fmt: skip


def measure(generator: nn.Module, faces: FaceSet, holes: HoleSet, batch: int = 16) -> dict[str, Any]:
    """All of it, each face with one hole and its true map."""
    steps: dict[str, dict[str, list[Tensor]]] = {name: {"across": [], "within": []} for name in WEIGHED}
    raw: dict[str, list[float]] = {}
    found = []
    for start in range(0, len(faces), batch):
        at = slice(start, min(start + batch, len(faces)))
        image = from_bytes(torch.from_numpy(faces.images[at].copy()).permute(0, 3, 1, 2))
        regions = torch.from_numpy(np.asarray(merge_classes(np.array(faces.labels[at])))).byte()
        numbers = np.arange(at.start, at.stop) % len(holes)
        hole = torch.from_numpy(np.stack([holes.holes[i] for i in numbers]))[:, None].float()
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
                    raw.setdefault(part, []).extend(values.tolist())
        print(f"\r{at.stop}/{len(faces)}", end="", file=sys.stderr)
    return {
        "untouched": {
            "of_normalised": max(f.of_normalised for f in found),
            "of_input": round(float(np.mean([f.of_input for f in found])), 3),
            "pixels": round(float(np.mean([f.pixels for f in found])), 3),
        },
        "raw_l1": {part: summary(np.array(values)) for part, values in raw.items()},
        "seams": {
            name: {kind: summary(torch.cat(values).numpy()) for kind, values in kinds.items()}
            for name, kinds in steps.items()
        },
        "change": {
            name: summary((torch.cat(steps[name]["across"]) - torch.cat(steps["learned"]["across"])).numpy())
            for name in WEIGHED[1:]
        },
    }


def main() -> None:
    """Measure and write the record."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("run", help="weights of the patent's method")
    told.add_argument("--local", help="weights of the same trained with fusion=local, without the global style")
    told.add_argument("--faces", default="toy")
    told.add_argument("--holes", default="drawn")
    told.add_argument("--count", type=int, default=500)
    told.add_argument("--cache", type=Path, help="folder of prepared pictures")
    told.add_argument("--out", type=Path, default=RECORD)
    given = told.parse_args()
    began = time.monotonic()
    generator, config, about = load_generator(given.run)
    if config.method != "facial-style" or not hasattr(within(generator), "repair"):
        told.error(f"{given.run} holds no region normalisation")
    size = config.preset.size
    faces = load_faces(given.faces, "test", size, count=given.count, cache=given.cache)
    holes = load_holes(given.holes, "test", size, count=given.count, cache=given.cache)
    holes = holes.subset(np.random.default_rng(0).permutation(len(holes)))  # masks are sorted by size
    found = measure(generator, faces, holes)
    if given.local:
        other, how, _ = load_generator(given.local)
        if how.options.get("fusion") != "local":
            told.error(f"{given.local} was not trained with fusion=local")
        found["trained_local"] = measure(other, faces, holes)["seams"]["learned"]
    record = {
        "kind": "claims", "version": 1, "size": size, "pairs": len(faces), "faces": faces.source,
        "holes": holes.source, "training": about, **found,
        **stamp(time.monotonic() - began),
    }  # fmt: skip
    write_json(given.out, record)
    print(f"\n{given.out}")


if __name__ == "__main__":
    main()
