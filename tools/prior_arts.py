"""What the patent says of the two kinds of prior art that its table leaves out -> data/results/prior_arts.json.

Structure first: time for one face beside that of other methods, and PSNR in the hole with no lines, with the completed
ones and with the true ones. Similar faces: PSNR in the hole by the distance to the nearest face of the set, beside the
membrane's, and with the set cut to a tenth. Only figures leave this script.

    python tools/prior_arts.py --structure RUN --similar RUN [--others RUN ...] --faces CelebAMask-HQ --holes MASKS
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faceinpaint import metrics  # noqa: E402
from faceinpaint.data.sets import FaceSet, HoleSet  # noqa: E402
from faceinpaint.data.sources import load_faces, load_holes  # noqa: E402
from faceinpaint.errors import DataError  # noqa: E402
from faceinpaint.files import write_json  # noqa: E402
from faceinpaint.models import composite  # noqa: E402
from faceinpaint.models.similar_faces import SimilarFaces  # noqa: E402
from faceinpaint.models.start import Started, membrane, within  # noqa: E402
from faceinpaint.models.structure_first import StructureFirst, lines  # noqa: E402
from faceinpaint.pixels import from_bytes  # noqa: E402
from faceinpaint.provenance import stamp  # noqa: E402
from faceinpaint.training.methods import METHODS  # noqa: E402
from faceinpaint.training.run import load_generator  # noqa: E402

RECORD = ROOT / "data" / "results" / "prior_arts.json"

QUARTERS = 4
"""Groups of faces by their distance to the nearest of the set."""


def pairs(faces: FaceSet, holes: HoleSet, batch: int = 16) -> Iterator[tuple[Tensor, Tensor]]:
    """Photographs (B, 3, S, S) in [-1, 1] with one hole each, (B, 1, S, S)."""
    for start in range(0, len(faces), batch):
        image = from_bytes(torch.from_numpy(faces.images[start : start + batch].copy()).permute(0, 3, 1, 2))
        numbers = np.arange(start, start + len(image)) % len(holes)
        yield image, torch.from_numpy(np.stack([holes.holes[i] for i in numbers]))[:, None].float()
        print(f"\r{start + len(image)}/{len(faces)}", end="", file=sys.stderr)


def quality(made: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """PSNR in the hole."""
    return metrics.psnr(metrics.quantise(composite(made, image, hole)), metrics.quantise(image), hole)


def interval(values: Tensor) -> dict[str, float]:
    """Mean and its 95% interval over faces."""
    low, high = metrics.bootstrap_interval(values.numpy())
    return {"psnr": round(float(values.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def milliseconds(generator: Callable[..., Any], size: int, repeats: int = 21) -> float:
    """Median time for one face, after one that is not counted."""
    image, hole, regions = torch.zeros(1, 3, size, size), torch.zeros(1, 1, size, size), torch.ones(1, size, size)
    hole[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    took = []
    with torch.no_grad():
        for _ in range(repeats + 1):
            began = time.perf_counter()
            generator(image, hole, regions.byte())
            took.append(time.perf_counter() - began)
    return round(1000 * float(np.median(took[1:])), 2)


def of_structure(run: str, others: Sequence[str], faces: FaceSet, holes: HoleSet) -> dict[str, Any]:
    """Both statements about two stages.

    Raises:
        DataError: the weights are of another method.
    """
    generator, config, about = load_generator(run)
    network = within(generator)
    if not isinstance(network, StructureFirst):
        raise DataError(f"these are the weights of {config.method}", "Name those of structure-first", run)
    found: dict[str, list[Tensor]] = {"none": [], "completed": [], "true": []}
    for image, hole in pairs(faces, holes):
        with torch.no_grad():
            out = generator(image, hole)
            filled = generator.fill(image, hole) if isinstance(generator, Started) else image
            shown = network.shown(filled, hole)
            known = lines(shown, hole)
            found["completed"].append(quality(out.image, image, hole))
            for name, inside in (("none", torch.zeros_like(known)), ("true", lines(image))):
                painted = network.paint(shown, hole, composite(inside, known, hole))
                found[name].append(quality(painted, image, hole))
    size = config.preset.size
    took = {METHODS[config.method].title: milliseconds(generator, size)}
    for other in others:
        net, how, _ = load_generator(other)
        took[METHODS[how.method].title] = milliseconds(net, how.preset.size)
    return {
        "training": about, "images": about["images"], "size": size, "pairs": len(faces), "faces": faces.source,
        "psnr": {name: interval(torch.cat(values)) for name, values in found.items()}, "milliseconds": took,
    }  # fmt: skip


def of_similar(run: str, faces: FaceSet, holes: HoleSet) -> dict[str, Any]:
    """Both statements about sets of similar faces.

    Raises:
        DataError: the weights are of another method.
    """
    generator, config, about = load_generator(run)
    network = within(generator)
    if not isinstance(network, SimilarFaces):
        raise DataError(f"these are the weights of {config.method}", "Name those of similar-faces", run)

    def repaired() -> tuple[Tensor, Tensor, Tensor]:
        made, near, classical = [], [], []
        for image, hole in pairs(faces, holes):
            with torch.no_grad():
                filled = generator.fill(image, hole) if isinstance(generator, Started) else image * (1 - hole)
                made.append(quality(generator(image, hole).image, image, hole))
                near.append(network.similar(filled, hole)[2][:, 0])
                classical.append(quality(membrane(image, hole), image, hole))
        return torch.cat(made), torch.cat(near), torch.cat(classical)

    whole, near, classical = repaired()
    references = int(network.held.sum())
    network.cut(max(references // 10, network.nearest + 1))
    change = interval(repaired()[0] - whole)
    order = near.argsort()
    return {
        "training": about, "images": about["images"], "size": config.preset.size, "pairs": len(faces),
        "faces": faces.source, "references": references,
        "quarters": [
            {
                "low": round(float(near[part].min()), 4), "high": round(float(near[part].max()), 4),
                "psnr": round(float(whole[part].mean()), 4), "membrane": round(float(classical[part].mean()), 4),
            }
            for part in order.tensor_split(QUARTERS)
        ],
        "tenth": {"change": change["psnr"], "low": change["low"], "high": change["high"]},
    }  # fmt: skip


def main() -> None:
    """Measure and write the record."""
    told = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    told.add_argument("--structure", help="weights of structure-first")
    told.add_argument("--similar", help="weights of similar-faces")
    told.add_argument("--others", nargs="*", default=[], help="weights of other methods, to be timed")
    told.add_argument("--faces", default="toy")
    told.add_argument("--holes", default="drawn")
    told.add_argument("--count", type=int, default=500)
    told.add_argument("--cache", type=Path, help="folder of prepared pictures")
    told.add_argument("--out", type=Path, default=RECORD)
    given = told.parse_args()
    if not (given.structure or given.similar):
        told.error("name the weights of --structure or of --similar")
    began = time.monotonic()
    record: dict[str, Any] = {"kind": "prior arts", "version": 1}
    size = load_generator(given.structure or given.similar)[1].preset.size
    faces = load_faces(given.faces, "test", size, count=given.count, cache=given.cache)
    holes = load_holes(given.holes, "test", size, count=given.count, cache=given.cache)
    holes = holes.subset(np.random.default_rng(0).permutation(len(holes)))  # masks are sorted by size
    if given.structure:
        record["structure"] = of_structure(given.structure, given.others, faces, holes)
    if given.similar:
        record["similar"] = of_similar(given.similar, faces, holes)
    write_json(given.out, record | {"threads": torch.get_num_threads()} | stamp(time.monotonic() - began))
    print(f"\n{given.out}")


if __name__ == "__main__":
    main()
