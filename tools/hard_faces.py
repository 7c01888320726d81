"""Which faces are hard to repair -> data/results/hard_faces.json.

Test faces, one hole each, repaired as photographs are, with a predicted map and the weights of the repository that fit
their size, and by the membrane alone, which learns nothing; the error by what is special about the face or the hole,
read off the true parsing map. Only figures leave this script.

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


def measure(
    tool: Repairer, faces: FaceSet, holes: HoleSet, lpips: Backbone | None = None,
    progress: Callable[[int], None] | None = None,
) -> Any:  # fmt: skip
    """PSNR in the hole and LPIPS of each face with one hole, as means over each group, beside the membrane's."""
    scores: dict[str, list[float]] = {}
    turns, losses = [turn(labels) for labels in faces.labels], []
    for i, (image, labels) in enumerate(zip(faces.images, faces.labels, strict=True)):
        hole = holes.holes[i % len(holes)]
        repaired = tool.repair(np.asarray(image), hole, boxes="whole").pixels
        mask = torch.from_numpy(np.array(hole))[None, None].float()
        for names, picture in (
            (("psnr_hole", "lpips"), repaired),
            (("classical", "classical_lpips"), np.rint(membrane(image, hole == 0))),
        ):
            pair = [torch.from_numpy(np.array(p)).permute(2, 0, 1)[None].float() for p in (picture, image)]
            scores.setdefault(names[0], []).append(metrics.psnr(*pair, mask).item())
            if lpips is not None:
                scores.setdefault(names[1], []).append(metrics.lpips(*pair, lpips).item())
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
            **{key: round(float(np.mean(np.array(found)[chosen])), 4) for key, found in scores.items()},
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
    size = given.size
    tool = Repairer.load().fitting(Frame.whole(size, size))
    entry = next((entry for entry in trained.listed() if tool.checksum.startswith(entry.generator)), None)
    with tempfile.TemporaryDirectory() as cache:
        faces = load_faces(given.faces, "test", size, count=given.count, cache=Path(cache))
        holes = load_holes(given.holes, "test", size, count=len(faces), cache=Path(cache))
        # Masks are sorted by size: in another order no kind of face gets the large ones.
        mixed = holes.subset(np.random.default_rng(0).permutation(len(holes)))
        lpips = load_backbone("alexnet", given.weights)
        groups = measure(tool, faces, mixed, lpips, lambda n: print(f"\r{n}/{len(faces)}", end="", file=sys.stderr))
    record = {
        "kind": "hard faces",
        "weights": asdict(entry) if entry else None,
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
