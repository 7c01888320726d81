"""What the patent says of the two kinds of prior art that its table leaves out -> data/results/prior_arts.json.

Structure first: time for one face beside that of other methods, and PSNR in the hole with no lines, with the completed
ones and with the true ones. Similar faces: PSNR in the hole by the distance to the nearest face of the set, beside the
membrane's, and with the set cut to a tenth. Only figures leave this script.

    python tools/prior_arts.py --structure RUN --similar RUN [--others RUN ...] --faces CelebAMask-HQ --holes MASKS
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import measuring  # before the library, which it finds
import numpy as np
import torch
from torch import Tensor

from faceinpaint import metrics
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.errors import DataError
from faceinpaint.files import write_json
from faceinpaint.models import composite
from faceinpaint.models.similar_faces import SimilarFaces
from faceinpaint.models.start import Started, membrane, within
from faceinpaint.models.structure_first import StructureFirst, lines
from faceinpaint.provenance import stamp
from faceinpaint.training.methods import METHODS
from faceinpaint.training.run import load_generator

QUARTERS = 4
"""Groups of faces by their distance to the nearest of the set."""


def quality(made: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """PSNR in the hole."""
    return metrics.psnr(metrics.quantise(composite(made, image, hole)), metrics.quantise(image), hole)


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
    for image, hole, _ in measuring.batches(faces, holes):
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
        "psnr": {name: measuring.interval(torch.cat(values)) for name, values in found.items()}, "milliseconds": took,
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
        for image, hole, _ in measuring.batches(faces, holes):
            with torch.no_grad():
                filled = generator.fill(image, hole) if isinstance(generator, Started) else image * (1 - hole)
                made.append(quality(generator(image, hole).image, image, hole))
                near.append(network.similar(filled, hole)[2][:, 0])
                classical.append(quality(membrane(image, hole), image, hole))
        return torch.cat(made), torch.cat(near), torch.cat(classical)

    whole, near, classical = repaired()
    references = int(network.held.sum())
    network.cut(max(references // 10, network.nearest + 1))
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
        "tenth": measuring.interval(repaired()[0] - whole),
    }  # fmt: skip


def main() -> None:
    """Measure and write the record."""
    told = measuring.arguments(__doc__, "prior_arts.json")
    told.add_argument("--structure", help="weights of structure-first")
    told.add_argument("--similar", help="weights of similar-faces")
    told.add_argument("--others", nargs="*", default=[], help="weights of other methods, to be timed")
    given = told.parse_args()
    if not (given.structure or given.similar):
        told.error("name the weights of --structure or of --similar")
    began = time.monotonic()
    record: dict[str, Any] = {"kind": "prior arts", "version": 1}
    size = load_generator(given.structure or given.similar)[1].preset.size
    faces, holes = measuring.pictures(given, size)
    if given.structure:
        record["structure"] = of_structure(given.structure, given.others, faces, holes)
    if given.similar:
        record["similar"] = of_similar(given.similar, faces, holes)
    write_json(given.out, record | {"threads": torch.get_num_threads()} | stamp(time.monotonic() - began))
    print(f"\n{given.out}")


if __name__ == "__main__":
    main()
