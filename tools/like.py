"""What another photograph of the same person is worth -> data/results/like.json.

Test faces with one hole each and a guessed map, repaired without a reference, with the undamaged picture of another
face, and with that of the face itself, mirrored. Measured is each region where so little of it is left that a reference
lends its style: elsewhere nothing changes. Only figures leave this script.

    python tools/like.py [--trained RUN] --faces CelebAMask-HQ --holes irregular-masks --weights DIR [--count 300]
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import measuring  # before the library, which it finds
import numpy as np
import torch
from torch import Tensor, nn

from faceinpaint import metrics
from faceinpaint.backbones import Backbone, load_backbone
from faceinpaint.comparison.records import REFERENCES, LikeRecord
from faceinpaint.data.masks import BIN_NAMES, bin_of
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.files import write_json
from faceinpaint.models import composite
from faceinpaint.models.facial_style import LITTLE, MUCH, Reference, lent_share
from faceinpaint.models.parser import parse
from faceinpaint.provenance import stamp
from faceinpaint.regions import REGIONS
from faceinpaint.repair import trained
from faceinpaint.training.run import check_merge, load_generator, load_parser

MEASURED = ("eyes", "mouth", "hair")
LEAST = 8
"""Lost pixels of a region from which on it is measured."""

FEWEST = 5
"""Pairs, of which a mean says something."""


class Scene(NamedTuple):
    """A batch of faces with a hole each: the true map, the guessed one, and the references by name."""

    image: Tensor
    hole: Tensor
    true: Tensor
    guessed: Tensor
    others: dict[str, Reference]


class Seen(NamedTuple):
    """One pair: its bin, PSNR and LPIPS without a reference, and of each region that is lent a style colour distance
    and LPIPS by reference."""

    bin: int | None
    psnr: Tensor
    lpips: Tensor
    regions: dict[str, dict[str, tuple[float, float]]]


def scenes(parser: nn.Module, faces: FaceSet, holes: HoleSet) -> list[Scene]:
    """Each face with one hole; the stranger is the next face of the set."""
    others = faces.subset(np.roll(np.arange(len(faces)), -1))
    both = zip(measuring.batches(faces, holes), measuring.batches(others, holes), strict=True)
    found = []
    for (image, hole, true), (stranger, _, _) in both:
        guessed = parse(parser, image, hole)
        share, nothing = lent_share(guessed, hole), torch.zeros_like(hole)
        pictures = zip(REFERENCES, (stranger, image.flip(-1)), strict=True)
        lenders = {name: Reference(picture, parse(parser, picture, nothing), share) for name, picture in pictures}
        found.append(Scene(image, hole, true, guessed, lenders))
    return found


def distance(made: Tensor, image: Tensor, where: Tensor) -> float:
    """Between the mean colours of pixels ``where`` (S, S)."""
    return float((made[:, where].mean(1) - image[:, where].mean(1)).norm())


@torch.no_grad()
def look(generator: nn.Module, shown: Iterable[Scene], lpips: Backbone) -> Iterator[Seen]:
    """Repair each face with each reference and without."""

    def judged(made: Tensor, image: Tensor) -> Tensor:
        return metrics.lpips(metrics.quantise(made), metrics.quantise(image), lpips)

    for image, hole, true, guessed, others in shown:
        outputs = {"none": generator(image, hole, guessed).image}
        outputs |= {name: generator(image, hole, guessed, other).image for name, other in others.items()}
        made = {name: composite(output, image, hole) for name, output in outputs.items()}
        psnr = metrics.psnr(metrics.quantise(made["none"]), metrics.quantise(image), hole)
        whole = judged(made["none"], image)
        found: list[dict[str, dict[str, tuple[float, float]]]] = [{} for _ in image]
        share = others[REFERENCES[0]].share
        for region in MEASURED:
            column = REGIONS.index(region)
            lost = (true == column + 1) & (hole[:, 0] > 0)
            at = [b for b in range(len(image)) if share[b, column] > 0 and lost[b].sum() >= LEAST]
            if not at:
                continue
            of_region = {
                name: judged(composite(picture[at], image[at], lost[at][:, None].float()), image[at])
                for name, picture in made.items()
            }
            for k, b in enumerate(at):
                found[b][region] = {
                    name: (distance(picture[b], image[b], lost[b]), float(of_region[name][k]))
                    for name, picture in made.items()
                }
        for b, of_pair in enumerate(found):
            yield Seen(bin_of(float(hole[b].mean())), psnr[b], whole[b], of_pair)


def summary(values: Tensor) -> dict[str, Any]:
    """As :class:`faceinpaint.comparison.records.Summary` has it."""
    return {"n": len(values), "perfect": 0} | measuring.interval(values)


def lent(pairs: list[dict[str, tuple[float, float]]]) -> dict[str, Any]:
    """Of the pairs of a group, by measure and reference: the means without one, and the changes from them."""
    told: dict[str, Any] = {}
    for k, measure in enumerate(("colour", "lpips")):
        plain = torch.tensor([of["none"][k] for of in pairs])
        told[measure] = {"none": summary(plain)}
        for name in REFERENCES:
            told[measure][name] = summary(torch.tensor([of[name][k] for of in pairs]) - plain)
    return told


def measure(generator: nn.Module, shown: Iterable[Scene], lpips: Backbone) -> dict[str, Any]:
    """Of weights, as :class:`faceinpaint.comparison.records.Lender` has it, without their training."""
    seen = list(look(generator, shown, lpips))
    groups = {"all": seen} | {name: [s for s in seen if s.bin == b] for b, name in enumerate(BIN_NAMES)}
    regions: dict[str, dict[str, Any]] = {}
    for region in MEASURED:
        chosen = {group: [s.regions[region] for s in of if region in s.regions] for group, of in groups.items()}
        regions[region] = {group: lent(pairs) for group, pairs in chosen.items() if len(pairs) >= FEWEST}
    whole = {name: summary(torch.stack([getattr(s, name) for s in seen])) for name in ("psnr", "lpips")}
    return {"regions": regions, "whole": whole}


def main() -> None:
    """Measure and write the record."""
    told = measuring.arguments(__doc__, "like.json")
    told.add_argument("--shipped", help="weights in use: as for `faceinpaint inpaint --weights`; default: the first")
    told.add_argument("--trained", help="the same taken on with like=half")
    told.add_argument("--parser", help="weights of the parser; default: beside those in use")
    told.add_argument("--weights", default="auto", help="of the frozen network of LPIPS")
    given = told.parse_args()
    began = time.monotonic()
    found = trained.find(given.shipped, given.parser)
    if found.parser is None:
        told.error("there is no parser beside these weights: name one with --parser")
    parser, how, parser_about = load_parser(found.parser)
    runs = {"shipped": found.generator} | ({"trained with references": given.trained} if given.trained else {})
    size = how.preset.size
    faces, holes = measuring.pictures(given, size)
    lpips = load_backbone("alexnet", given.weights)
    shown, lenders = scenes(parser, faces, holes), {}
    for name, run in runs.items():
        generator, config, about = load_generator(run)
        check_merge(how, config, found.parser)
        lenders[name] = {"training": about} | measure(generator, shown, lpips)
    record = {
        "kind": "like", "version": 1, "size": size, "pairs": len(faces), "faces": faces.source, "holes": holes.source,
        "little": LITTLE, "much": MUCH, "parser": parser_about, "weights": lenders,
        **stamp(time.monotonic() - began, "cpu"),
    }  # fmt: skip
    write_json(given.out, LikeRecord.from_json(record).to_json())
    print(f"\n{given.out}")


if __name__ == "__main__":
    main()
