"""How surely faces are found in photographs with holes -> data/results/find_faces.json.

Test faces lie in a larger picture, each with a hole of up to half of it and with a larger one; and there are pictures
without any face, with holes. What is measured is what `faceinpaint inpaint` would repair, with the weights that come
with the repository: the detector, the parser's second opinion and the second look. Right is a frame whose centre is
less than a sixth of its side from the true one's (a quarter of the face's width), whose side is within a third, and
whose tilt within 20 degrees. Wrong is another frame that is taken; the rest is refused, which costs a word and no
picture. Holes lie on the face's own picture, as the holes of the test do; in the last group of faces each is shifted
by up to a third of its side, so that its place does not tell the face's. Only figures leave this script.

    python tools/find_faces.py --faces CelebAMask-HQ --holes irregular-masks [--count 100]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
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

SIDE = 360
"""Of the larger picture, and of one without a face, in pixels."""

UP_TO_HALF, ABOVE, SHIFTED = "up to half missing", "more than half missing", "more than half missing, hole shifted"

NONE = "no face"

FACELESS = ("brick", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "ihc", "moon",
            "motorcycle_left", "page", "retina", "rocket", "text")  # fmt: skip
"""Pictures of scikit-image that show no face of a person; a cat is among them."""


def pictures(
    faces: FaceSet, holes: HoleSet, faceless: int, rng: np.random.Generator
) -> Iterator[tuple[str, np.ndarray, np.ndarray, Frame | None]]:
    """Group, photograph, hole and the true frame: each face three times, and pictures without one."""
    bins = np.array([bin_of(float(hole.mean())) for hole in holes.holes])
    last = len(BIN_NAMES) - 1
    for i, face in enumerate(faces.images):
        size = int(rng.integers(SIDE // 3, 2 * SIDE // 3))
        top, left = rng.integers(0, SIDE - size, 2)
        for number, group in ((i % last, UP_TO_HALF), (last, ABOVE), (last, SHIFTED)):
            hole = holes.holes[rng.choice(np.flatnonzero(bins == number))]
            photo = np.full((SIDE, SIDE, 3), rng.integers(60, 200, 3), np.uint8)
            photo[top : top + size, left : left + size] = Image.fromarray(face).resize(
                (size, size), Image.Resampling.LANCZOS
            )
            down, right = rng.integers(-size // 3, size // 3 + 1, 2) * (group == SHIFTED)
            rows, columns = np.nonzero(np.asarray(Image.fromarray(hole * 255).resize((size, size))) > 127)
            rows, columns = rows + top + down, columns + left + right
            inside = (rows >= 0) & (rows < SIDE) & (columns >= 0) & (columns < SIDE)
            mask = np.zeros((SIDE, SIDE), bool)
            mask[rows[inside], columns[inside]] = True
            yield group, photo, mask, Frame.on_pixels(left + size / 2, top + size / 2, size)
    folder = Path(skimage.data.__file__).parent
    for number in range(faceless):
        path = next(folder.glob(f"{FACELESS[number % len(FACELESS)]}.*"))
        picture = Image.open(path).convert("RGB")
        side = int(rng.integers(min(128, *picture.size), min(picture.size) + 1))
        left, top = (int(rng.integers(0, length - side + 1)) for length in picture.size)
        photo = np.asarray(picture.crop((left, top, left + side, top + side)).resize((SIDE, SIDE)))
        mask = np.asarray(Image.fromarray(holes.holes[rng.integers(len(holes))] * 255).resize((SIDE, SIDE))) > 127
        yield NONE, photo, mask, None


def counted(
    tool: Repairer, shown: Iterator[tuple[str, np.ndarray, np.ndarray, Frame | None]]
) -> dict[str, dict[str, int]]:
    """Right, wrong and refused by group."""
    counts: dict[str, dict[str, int]] = {}
    for number, (group, photo, mask, true) in enumerate(shown):
        found, _ = tool.find(np.where(mask[..., None], 0, photo).astype(np.float32), mask)
        right = any(true is not None and near(Frame.around(box), true) for box in found)
        result = "right" if right else "wrong" if found else "refused"
        counts.setdefault(group, {"right": 0, "wrong": 0, "refused": 0})[result] += 1
        print(f"\r{number + 1}", end="", file=sys.stderr, flush=True)
    return counts


def near(frame: Frame, true: Frame) -> bool:
    """Whether a frame is right."""
    apart = np.hypot(frame.x - true.x, frame.y - true.y) / true.side
    wider = max(frame.side / true.side, true.side / frame.side)
    return bool(apart <= RIGHT["place"] and wider <= RIGHT["side"] and abs(frame.tilt - true.tilt) <= RIGHT["tilt"])


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faces", required=True)
    parser.add_argument("--holes", required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--faceless", type=int, default=200)
    parser.add_argument(
        "--skip", type=int, default=300, help="so many faces first; limits were set on faces 400 to 459"
    )
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    entry, tool, rng = trained.find().entry, Repairer.load(), np.random.default_rng(given.seed)
    with tempfile.TemporaryDirectory() as cache:
        faces = load_faces(given.faces, "test", 256, count=given.skip + given.count, cache=Path(cache))
        faces = faces.subset(list(range(given.skip, len(faces))))
        holes = load_holes(given.holes, "test", 256, cache=Path(cache))
        record = {
            "kind": "faces found",
            "weights": asdict(entry) if entry else None,
            "faces": faces.source,
            "holes": holes.source,
            "skipped": given.skip,
            "seed": given.seed,
            "right": RIGHT,
            "groups": counted(tool, pictures(faces, holes, given.faceless, rng)),
            "versions": versions(),
            "commit": commit(),
        }
    write_json(RECORD, record)
    print(RECORD)


if __name__ == "__main__":
    main()
