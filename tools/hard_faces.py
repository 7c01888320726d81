"""Which faces are hard to repair -> data/results/hard_faces.json.

Test faces, one hole each, repaired as photographs are, with a predicted map and the weights of the repository that fit
their size; by the smaller weights, whose repair is enlarged; and by the membrane alone, which learns nothing. Measured
are the error and how fine the fill is against what surrounds it, by what is special about the face or the hole, read
off the true parsing map. Only figures leave this script.

    python tools/hard_faces.py --faces CelebAMask-HQ --holes irregular-masks --weights DIR [--count 500] [--size 256]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faceinpaint import metrics  # noqa: E402
from faceinpaint.backbones import Backbone, load_backbone  # noqa: E402
from faceinpaint.data.sets import FaceSet, HoleSet  # noqa: E402
from faceinpaint.data.sources import load_faces, load_holes  # noqa: E402
from faceinpaint.files import write_json  # noqa: E402
from faceinpaint.provenance import stamp  # noqa: E402
from faceinpaint.regions import CLASSES, merge_classes  # noqa: E402
from faceinpaint.repair import trained  # noqa: E402
from faceinpaint.repair.framing import Frame  # noqa: E402
from faceinpaint.repair.membrane import membrane  # noqa: E402
from faceinpaint.repair.photograph import Repairer  # noqa: E402

RECORD = ROOT / "data" / "results" / "hard_faces.json"


def share(labels: np.ndarray, name: str) -> float:
    """Which part of the picture a class takes."""
    return float((labels == CLASSES.index(name)).mean())


def turn(labels: np.ndarray) -> float:
    """How far the nose stands from the middle of the face, in widths of the face: 0 from the front."""
    nose, skin = (np.flatnonzero((labels == CLASSES.index(name)).any(0)) for name in ("nose", "skin"))
    if not len(nose) or not len(skin):
        return 0.0
    return abs(float(nose.mean()) - (skin[0] + skin[-1]) / 2) / (skin[-1] - skin[0] + 1)


def lost(labels: np.ndarray, hole: np.ndarray) -> float:
    """Which part of the face (without hair, ears and neck) lies under the hole."""
    face = np.isin(merge_classes(labels), (1, 2, 3, 4, 6))
    return float(hole[face].mean()) if face.any() else 0.0


def fineness(picture: np.ndarray, hole: np.ndarray) -> float:
    """How fine the fill is against a ring of known pixels: the mean absolute Laplacian of the one over the other's."""
    grey = picture.astype(np.float32).mean(axis=2)
    fine = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    wide = 2 * (len(hole) // 16) + 1
    near, known = cv2.dilate(hole, np.ones((wide, wide))), cv2.dilate(hole, np.ones((3, 3))) == 0
    ring = (near > 0) & known  # Laplacians that see no pixel of the hole
    return float(fine[hole > 0].mean() / max(fine[ring].mean(), 1e-6)) if ring.any() else float("nan")


def measure(
    tools: dict[str, Repairer], faces: FaceSet, holes: HoleSet, lpips: Backbone | None = None,
    progress: Callable[[int], None] | None = None,
) -> Any:  # fmt: skip
    """Of each face with one hole, PSNR in the hole, LPIPS and fineness, as means over each group.

    Args:
        tools: what repairs, under the first part of the names of their figures; "classical" is the membrane.
    """
    scores: dict[str, list[float]] = {}
    turns, losses = [turn(labels) for labels in faces.labels], []
    for i, (image, labels) in enumerate(zip(faces.images, faces.labels, strict=True)):
        hole = holes.holes[i % len(holes)]
        mask = torch.from_numpy(np.array(hole))[None, None].float()
        pictures = {
            **{name: tool.repair(np.asarray(image), hole, boxes="whole").pixels for name, tool in tools.items()},
            "classical": np.rint(membrane(image, hole == 0)),
            "true": image,
        }
        for name, picture in pictures.items():
            scores.setdefault(f"{name}_fineness", []).append(fineness(picture, np.array(hole)))
            if name == "true":
                continue
            pair = [torch.from_numpy(np.array(p)).permute(2, 0, 1)[None].float() for p in (picture, image)]
            scores.setdefault(f"{name}_psnr", []).append(metrics.psnr(*pair, mask).item())
            if lpips is not None:
                scores.setdefault(f"{name}_lpips", []).append(metrics.lpips(*pair, lpips).item())
        losses.append(lost(labels, hole))
        if progress:
            progress(i + 1)
    groups = {
        "all": np.ones(len(faces), bool),
        "with glasses": np.array([share(labels, "eye_g") > 0.005 for labels in faces.labels]),
        "with a hat": np.array([share(labels, "hat") > 0.01 for labels in faces.labels]),
        "most turned tenth": np.array(turns) >= np.quantile(turns, 0.9),
        "under a tenth of it missing": np.array(losses) < 0.1,
        "over half of it missing": np.array(losses) > 0.5,
    }
    return {
        name: {
            "faces": int(chosen.sum()),
            **{key: round(float(np.nanmean(np.array(found)[chosen])), 4) for key, found in scores.items()},
        }
        for name, chosen in groups.items()
        if chosen.sum() >= 5  # a mean over fewer says nothing
    }


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--holes", required=True)
    parser.add_argument("--weights", default="auto", help="of the frozen network of LPIPS")
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--size", type=int, default=256)
    given = parser.parse_args()
    size, usual = given.size, Repairer.load()
    fitting = usual.fitting(Frame.whole(size, size))
    entries = {
        name: next((entry for entry in trained.listed() if tool.checksum.startswith(entry.generator)), None)
        for name, tool in {"repaired": fitting, "smaller": usual}.items()
    }
    tools = {"repaired": fitting}
    if fitting is not usual:  # what the smaller networks would make of it
        tools["smaller"] = Repairer.load(entries["smaller"].name)
    with tempfile.TemporaryDirectory() as cache:
        faces = load_faces(given.faces, "test", size, count=given.count, cache=Path(cache))
        holes = load_holes(given.holes, "test", size, count=len(faces), cache=Path(cache))
        # Masks are sorted by size: in another order no kind of face gets the large ones.
        mixed = holes.subset(np.random.default_rng(0).permutation(len(holes)))
        lpips = load_backbone("alexnet", given.weights)
        groups = measure(tools, faces, mixed, lpips, lambda n: print(f"\r{n}/{len(faces)}", end="", file=sys.stderr))
    record = {
        "kind": "hard faces",
        "weights": {name: asdict(entries[name]) for name in tools},
        "faces": faces.source,
        "holes": holes.source,
        "size": size,
        "groups": groups,
        **stamp(),
    }
    write_json(RECORD, record)
    print(f"\n{RECORD}")


if __name__ == "__main__":
    main()
