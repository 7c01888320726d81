"""Small networks trained on drawn faces, for the chapters that teach them -> data/weights/drawn-64.

    python tools/drawn.py                          # about an hour on two idle cores
    python tools/drawn.py --images 2000 --only context-encoder

A training that was interrupted goes on when the command is given again. Each network is stored in half precision, in
less than 3 MB. A chapter shows the network of its folder, and trains one for seconds where there is none.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.sources import load_faces
from faceinpaint.presets import preset
from faceinpaint.repair.trained import halve
from faceinpaint.training.run import Config
from faceinpaint.training.train import train

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "data" / "weights" / "drawn-64"
LARGEST = 3 * 2**20

NETWORKS: dict[str, dict[str, Any]] = {
    "facial-style": {"reading": "R1", "width": 6, "style_width": 8, "critic_width": 8},
    "context-encoder": {"batch": 16, "lr": 2e-3, "baseline_scale": 0.125},
    "contextual-attention": {"batch": 8},
    "gated-conv": {"batch": 8},
}
"""Settings of each, beside those of the preset ``cpu``: as printed, so from a blank hole, and small."""


def make(name: str, images: int, work: Path, out: Path = OUT) -> Path:
    """Train a network of :data:`NETWORKS`, or go on with it, and store it.

    Args:
        name: of the method.
        images: how many pictures it sees.
        work: where its run lies.
        out: gets a folder of that name.

    Returns:
        the folder.

    Raises:
        SystemExit: the file would be larger than 3 MB.
    """
    settings = preset("cpu", **{"start": "blank", "images": images, "checkpoint_every": 4_096} | NETWORKS[name])
    run = work / name
    train(
        Config(name, settings),
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
    return out / name


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=40_000, help="training pictures of each network")
    parser.add_argument("--only", choices=list(NETWORKS), help="one network alone")
    parser.add_argument("--work", type=Path, default=ROOT / "out" / "drawn", help="folder of the runs")
    given = parser.parse_args()
    for name in [given.only] if given.only else NETWORKS:
        print(make(name, given.images, given.work))


if __name__ == "__main__":
    main()
