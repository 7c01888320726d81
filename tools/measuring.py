"""What the tools that measure trained weights share: arguments, test faces with a hole each, intervals."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faceinpaint import metrics  # noqa: E402
from faceinpaint.data.sets import FaceSet, HoleSet  # noqa: E402
from faceinpaint.data.sources import load_faces, load_holes  # noqa: E402
from faceinpaint.pixels import from_bytes  # noqa: E402
from faceinpaint.regions import merge_classes  # noqa: E402


def arguments(doc: str | None, record: str) -> argparse.ArgumentParser:
    """Those of every such tool: where faces and holes are, how many, and where the record goes."""
    told = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--faces", default="toy", help="drawn ones by default, or a folder")
    told.add_argument("--holes", default="drawn", help="drawn ones by default, or a folder")
    told.add_argument("--count", type=int, default=500, help="how many test faces")
    told.add_argument("--cache", type=Path, help="folder of prepared pictures")
    told.add_argument("--out", type=Path, default=ROOT / "data" / "results" / record)
    return told


def pictures(given: argparse.Namespace, size: int) -> tuple[FaceSet, HoleSet]:
    """Test faces and holes, these in another order: their files are sorted by size."""
    faces = load_faces(given.faces, "test", size, count=given.count, cache=given.cache)
    holes = load_holes(given.holes, "test", size, count=given.count, cache=given.cache)
    return faces, holes.subset(np.random.default_rng(0).permutation(len(holes)))


def batches(faces: FaceSet, holes: HoleSet, batch: int = 16) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each face with one hole and its true map: (B, 3, S, S) in [-1, 1], (B, 1, S, S), (B, S, S) uint8."""
    for start in range(0, len(faces), batch):
        at = slice(start, min(start + batch, len(faces)))
        image = from_bytes(torch.from_numpy(faces.images[at].copy()).permute(0, 3, 1, 2))
        regions = torch.from_numpy(np.asarray(merge_classes(np.array(faces.labels[at])))).byte()
        numbers = np.arange(at.start, at.stop) % len(holes)
        yield image, torch.from_numpy(np.stack([holes.holes[i] for i in numbers]))[:, None].float(), regions
        print(f"\r{at.stop}/{len(faces)}", end="", file=sys.stderr)


def interval(values: Tensor, digits: int = 4) -> dict[str, float]:
    """Mean and its 95% interval over faces; what was not measured of a face is left out."""
    kept = values[values.isfinite()].double().numpy()
    low, high = metrics.bootstrap_interval(kept)
    return {"mean": round(float(kept.mean()), digits), "low": round(low, digits), "high": round(high, digits)}
