"""Killed at random moments of preparing, training, evaluating and tabulating, then gone on with: the same result."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from records import leave

from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.toy import toy_faces

KILLS = int(os.environ.get("FACEINPAINT_SOAK_KILLS", "50"))


@pytest.mark.soak
def test_killed_runs_end_like_undisturbed_ones(tmp_path: Path) -> None:
    seed, began = int(os.environ.get("FACEINPAINT_SOAK_SEED", random.randrange(10**6))), time.monotonic()
    for split, count in (("train", 40), ("test", 2)):
        for kind in ("images", "labels"):
            (tmp_path / "faces" / split / kind).mkdir(parents=True)
        faces = toy_faces(count, 48, split)
        for name, image, labels in zip(faces.ids, faces.images, faces.labels, strict=True):
            Image.fromarray(image).save(tmp_path / "faces" / split / "images" / f"{name}.png")
            Image.fromarray(labels).save(tmp_path / "faces" / split / "labels" / f"{name}.png")
        (tmp_path / "holes" / split).mkdir(parents=True)
        for i, hole in enumerate(drawn_holes(60, 48, split).holes):
            Image.fromarray(hole * 255).save(tmp_path / "holes" / split / f"{i:03d}.png")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kill_driver.py")), str(tmp_path), str(KILLS), str(seed)],
        capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"seed {seed}\n{done.stderr[-5000:]}"
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= KILLS
    leave("kill", found | {"different": 0}, seed, began)
