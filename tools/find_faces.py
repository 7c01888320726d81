"""How surely faces are found in photographs with holes -> data/results/find_faces.json.

Test faces lie in a larger picture, each with a hole of every size; and there are pictures without any face, with holes.
What is measured is what `faceinpaint inpaint` would repair, with the weights that come with the repository: the
detector and the parser's second opinion. Right is a frame whose centre is less than a sixth of its side from the
true one's (a quarter of the face's width), whose side is within a third, and whose tilt within 20 degrees. Wrong is
another frame that is taken; the rest is refused, which costs a word and no picture. Only figures leave this script.

    python tools/find_faces.py --faces CelebAMask-HQ --holes irregular-masks [--count 100]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faceinpaint.data.masks import BIN_NAMES, bin_of  # noqa: E402
from faceinpaint.data.sets import FaceSet, HoleSet  # noqa: E402
from faceinpaint.data.sources import load_faces, load_holes  # noqa: E402
from faceinpaint.files import write_json  # noqa: E402
from faceinpaint.provenance import commit, versions  # noqa: E402
from faceinpaint.repair import trained  # noqa: E402
from faceinpaint.repair.framing import Frame  # noqa: E402
from faceinpaint.repair.photograph import Repairer  # noqa: E402

RECORD = ROOT / "data" / "results" / "find_faces.json"


RIGHT = {"place": 1 / 6, "side": 4 / 3, "tilt": 20.0}
"""How far a right frame may be from the true one: in its sides, as a factor, in degrees."""

SIDE = 512
"""Of the larger picture, in pixels."""

FACELESS = ("brick", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "ihc", "moon",
            "motorcycle_left", "page", "retina", "rocket", "text")  # fmt: skip
"""Pictures of scikit-image that show no face of a person; a cat is among them."""


def measure(tool: Repairer, faces: FaceSet, holes: HoleSet, rng: np.random.Generator) -> dict[str, dict[str, int]]:
    """Right, wrong and refused by bin of the hole: each face once in each."""
    counts = {name: {"right": 0, "wrong": 0, "refused": 0} for name in BIN_NAMES}
    bins = np.array([bin_of(float(hole.mean())) for hole in holes.holes])
    for face in faces.images:
        size = int(rng.integers(160, 360))
        top, left = rng.integers(0, SIDE - size, 2)
        for number, name in enumerate(BIN_NAMES):
            hole = holes.holes[rng.choice(np.flatnonzero(bins == number))]
            photo = np.full((SIDE, SIDE, 3), rng.integers(60, 200, 3), np.uint8)
            mask = np.zeros((SIDE, SIDE), bool)
            place = slice(top, top + size), slice(left, left + size)
            photo[place] = Image.fromarray(face).resize((size, size), Image.Resampling.LANCZOS)
            mask[place] = np.asarray(Image.fromarray(hole * 255).resize((size, size))) > 127
            found = tool.repair(photo, mask, outside="classical").faces
            true = Frame.on_pixels(left + size / 2, top + size / 2, size)
            counts[name]["right" if any(near(f.frame, true) for f in found) else "wrong" if found else "refused"] += 1
    return counts


def near(frame: Frame, true: Frame) -> bool:
    """Whether a frame is right."""
    apart = np.hypot(frame.x - true.x, frame.y - true.y) / true.side
    wider = max(frame.side / true.side, true.side / frame.side)
    return bool(apart <= RIGHT["place"] and wider <= RIGHT["side"] and abs(frame.tilt - true.tilt) <= RIGHT["tilt"])


def without(tool: Repairer, holes: HoleSet, count: int, rng: np.random.Generator) -> int:
    """In how many of so many pictures without a face one was taken to be there."""
    folder, taken = Path(skimage.data.__file__).parent, 0
    for number in range(count):
        path = next(folder.glob(f"{FACELESS[number % len(FACELESS)]}.*"))
        picture = Image.open(path).convert("RGB")
        side = int(rng.integers(min(128, *picture.size), min(picture.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        photo = np.asarray(picture.crop((left, top, left + side, top + side)).resize((384, 384)))
        hole = Image.fromarray(holes.holes[rng.integers(len(holes))] * 255).resize((384, 384))
        taken += bool(tool.repair(photo, np.asarray(hole) > 127, outside="classical").faces)
    return taken


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", required=True)
    parser.add_argument("--holes", required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--faceless", type=int, default=200)
    given = parser.parse_args()
    entry, tool, rng = trained.find().entry, Repairer.load(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as cache:
        faces = load_faces(given.faces, "test", 256, count=given.count, cache=Path(cache))
        holes = load_holes(given.holes, "test", 256, cache=Path(cache))
        record = {
            "kind": "faces found",
            "weights": asdict(entry) if entry else None,
            "faces": faces.source,
            "holes": holes.source,
            "count": len(faces),
            "right": RIGHT,
            "bins": measure(tool, faces, holes, rng),
            "faceless": {"count": given.faceless, "taken": without(tool, holes, given.faceless, rng)},
            "versions": versions(),
            "commit": commit(),
        }
    write_json(RECORD, record)
    print(RECORD)


if __name__ == "__main__":
    main()
