"""Small networks trained on drawn faces, for the chapters that teach them -> data/weights/drawn-64.

    python tools/drawn.py                          # about half an hour on one idle core
    python tools/drawn.py --images 2000 --only context-encoder

A training that was interrupted goes on when the command is given again. Each network is stored in half precision, in
less than 3 MB, with its losses (``log.json``) and with what it drew on the way (``samples.png``). A chapter shows the
network of its folder, and trains one for seconds where there is none.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.sources import load_faces
from faceinpaint.files import write_json
from faceinpaint.presets import preset
from faceinpaint.repair.trained import halve
from faceinpaint.training.run import Config, thinned_log
from faceinpaint.training.train import train

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "data" / "weights" / "drawn-64"
LARGEST = 3 * 2**20
PICTURED = (1, 2, 5, 20)
"""Moments of a training whose pictures are kept, in twentieths of it."""

NETWORKS: dict[str, dict[str, Any]] = {
    "facial-style": {
        "images": 12_000, "lr": 1e-3, "reading": "R1", "width": 6, "style_width": 8, "critic_width": 8,
    },
    "context-encoder": {"images": 24_000, "batch": 16, "lr": 2e-3, "baseline_scale": 0.125},
    "gated-conv": {"images": 4_000, "batch": 8, "lr": 3e-3},
    "contextual-attention": {"images": 3_000, "lr": 1e-3},
}  # fmt: skip
"""Settings of each, beside those of the preset ``cpu``: as printed, so from a blank hole, and small."""

OPTIONS: dict[str, dict[str, Any]] = {"gated-conv": {"adversarial": 0.0}}
"""Its critic counts as much as its difference from the first step on: in so short a training it learns nothing else."""


def make(name: str, work: Path, out: Path = OUT, images: int | None = None) -> Path:
    """Train a network of :data:`NETWORKS`, or go on with it, and store it.

    Args:
        name: of the method.
        work: where its run lies.
        out: gets a folder of that name.
        images: how many pictures it sees, if not as many as :data:`NETWORKS` says.

    Returns:
        the folder.

    Raises:
        SystemExit: the file would be larger than 3 MB.
    """
    given = {"start": "blank", "faces": 2_048, "holes": 2_048, "checkpoint_every": 1_024} | NETWORKS[name]
    images = images or given["images"]
    settings = preset("cpu", **given | {"images": images, "sample_every": max(images // PICTURED[-1], 1)})
    run = work / name
    train(
        Config(name, settings, OPTIONS.get(name, {})),
        load_faces("toy", "train", settings.size, count=settings.faces, cache=work / "cache"),
        drawn_holes(settings.holes, settings.size),
        run,
        backbone_weights="seed",
    )
    (out / name).mkdir(parents=True, exist_ok=True)
    made = out / name / "generator.safetensors"
    halve(run / "generator.safetensors", made)
    if made.stat().st_size > LARGEST:
        raise SystemExit(f"{made}: {made.stat().st_size / 2**20:.1f} MB are too many; give it a smaller width")
    pictured = progress(run / "samples", settings.batch, out / name / "samples.png")
    write_json(out / name / "log.json", {"pictured": pictured, "log": thinned_log(run / "log.jsonl")})
    return out / name


def progress(samples: Path, batch: int, out: Path) -> list[int]:
    """Four faces of the training: true, damaged, and repaired by the network as it was at four moments.

    Args:
        samples: pictures that the training left, named after their step.
        batch: pictures a step.
        out: the picture to write: four rows, six columns.

    Returns:
        after how many pictures each moment was.
    """
    files = sorted(samples.glob("*.png"))
    files = [files[min(k, len(files)) - 1] for k in PICTURED]
    seen = [np.split(np.asarray(Image.open(file)), 4, axis=1) for file in files]
    Image.fromarray(np.concatenate([*seen[0][:2], *(columns[3] for columns in seen)], axis=1)).save(out, optimize=True)
    return [int(file.stem) * batch for file in files]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, help="training pictures of each network")
    parser.add_argument("--only", choices=list(NETWORKS), help="one network alone")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "drawn", help="folder of the runs")
    given = parser.parse_args()
    for name in [given.only] if given.only else NETWORKS:
        print(make(name, given.work, images=given.images))


if __name__ == "__main__":
    main()
