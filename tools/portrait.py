"""Reference figures of a repair of a real photograph -> data/results/portrait.json, and its picture, portrait.jpg.

The photograph is `skimage.data.astronaut`, a portrait of Eileen Collins by NASA, in the public domain, which is part
of scikit-image. Some of its face is hidden, found, repaired with the weights that come with the repository, and
compared with what was hidden.

    python tools/portrait.py
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from faceinpaint import metrics  # noqa: E402
from faceinpaint.files import write_json  # noqa: E402
from faceinpaint.provenance import stamp  # noqa: E402
from faceinpaint.repair import trained  # noqa: E402
from faceinpaint.repair.membrane import membrane  # noqa: E402
from faceinpaint.repair.photograph import Repairer  # noqa: E402

RECORD = ROOT / "data" / "results" / "portrait.json"
PICTURE = RECORD.with_suffix(".jpg")

HOLES = {"eye": (230, 92, 36, 22), "mouth": (190, 134, 50, 26), "half": (215, 80, 50, 55), "cheek": (180, 118, 24, 26)}
"""What is hidden: x, y, width, height in pixels of the 512 x 512 photograph."""


def hole_of(name: str) -> np.ndarray:
    """The hole mask (512, 512) uint8 of a case."""
    x, y, width, height = HOLES[name]
    hole = np.zeros((512, 512), np.uint8)
    hole[y : y + height, x : x + width] = 1
    return hole


def measure() -> dict[str, Any]:
    """Repair each case with the preferred weights: PSNR of the hole, SSIM around it, the same classically filled."""
    photo = data.astronaut()
    tool = Repairer.load()
    entry = trained.find().entry
    cases, changed = {}, 0
    for name, (x, y, width, height) in HOLES.items():
        hole = hole_of(name)
        done = tool.repair(photo, hole)
        changed += int((done.pixels != photo)[hole == 0].sum())
        box = done.faces[0].box
        around = np.s_[y - 11 : y + height + 11, x - 11 : x + width + 11]  # SSIM's window reaches 5 pixels, twice
        classical = np.rint(membrane(photo, hole == 0))
        cases[name] = {
            "hole": [x, y, width, height],
            "face": [round(float(v), 1) for v in box[:4]] if box else None,
            **_figures(done.pixels, photo, hole, around),
            "classical": _figures(classical, photo, hole, around),
        }
    return {"weights": asdict(entry) if entry else None, "known_pixels_changed": changed, "cases": cases}


def picture() -> Image.Image:
    """Each case as a row: damaged, filled by the membrane, repaired with the preferred weights, true."""
    photo, tool, rows = data.astronaut(), Repairer.load(), []
    face = np.s_[20:180, 140:300]
    for name in HOLES:
        hole = hole_of(name)
        damaged = np.where(hole[..., None] > 0, 255, photo)
        classical = np.rint(membrane(photo, hole == 0))
        row = [p[face] for p in (damaged, classical, tool.repair(photo, hole).pixels, photo)]
        rows.append(np.concatenate(row, axis=1))
    sheet = Image.fromarray(np.concatenate(rows).astype(np.uint8))
    return sheet.resize((960, 960), Image.Resampling.LANCZOS)


def _figures(picture: np.ndarray, photo: np.ndarray, hole: np.ndarray, around: Any) -> dict[str, float]:
    def tensor(pixels: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(pixels[around])).permute(2, 0, 1)[None].float()

    mask = torch.from_numpy(hole[around])[None, None].float()
    return {
        "psnr": round(metrics.psnr(tensor(picture), tensor(photo), mask).item(), 2),
        "ssim": round(metrics.ssim(tensor(picture), tensor(photo)).item(), 4),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    record = {
        "kind": "portrait",
        "photograph": "skimage.data.astronaut (NASA, public domain), 512 x 512",
        **measure(),
        "tolerance": {"psnr": 0.3, "ssim": 0.01},
        **stamp(),
    }
    write_json(RECORD, record)
    picture().save(PICTURE, quality=90)
    print(RECORD)
