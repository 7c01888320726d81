"""The same seed gives the same result: twice in a row, on one or two threads, on every supported Python."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from faceinpaint import metrics
from faceinpaint.comparison.reproduce import ROWS, reproduce
from faceinpaint.data.masks import drawn_holes, drawn_test_holes
from faceinpaint.data.pairs import make_pairs, read_pairs
from faceinpaint.data.sources import load_faces
from faceinpaint.data.toy import toy_faces
from faceinpaint.presets import PRESETS, preset
from faceinpaint.training.run import Config
from faceinpaint.training.train import train

ROOT = Path(__file__).resolve().parents[1]

TINY = preset(
    "smoke", size=32, images=8, batch=2, faces=6, holes=6, pairs_per_bin=1, width=4, style_width=4, critic_width=4,
    baseline_scale=0.06, parser_width=4,
)  # fmt: skip

# ------------------------------------------------------------------------------------------ drawn faces and holes

DRAWN = {
    "faces": "633ab83607f5f698a1baffcb2880761c344184caa6952465758e3915d3527df6",
    "test faces": "78a7daa07319020b53694a9be94cf5ed279d735b59556498ad63d83275f19790",
    "holes": "0bee5ae81110bfab14b57ea4fc6282af649b12a3ba7e1afa2fcc9d2059cbacce",
    "test holes": "b867252f20a3d5f50f04a937b0a97a7c2b29e739c61e0529573b75e832a6227f",
    "pairs": "3fb684d98be8af8cc819f3b58965620e9b7f67594b14c15782e2e1e494080f9d",
}
"""SHA-256 of what is drawn from seed 0; whoever changes one changes every test that was ever run on drawn faces."""

DRAW = """
import hashlib, json
from faceinpaint.data.toy import toy_faces
from faceinpaint.data.masks import drawn_holes, drawn_test_holes
from faceinpaint.data.pairs import make_pairs

def sha256(*arrays):
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(repr(array.shape).encode() + array.tobytes())
    return digest.hexdigest()

faces, tests = toy_faces(6, 64), toy_faces(4, 64, "test")
holes, test_holes = drawn_holes(20, 64), drawn_test_holes(3, 64)
found = {
    "faces": sha256(faces.images, faces.labels), "test faces": sha256(tests.images, tests.labels),
    "holes": sha256(holes.holes), "test holes": sha256(test_holes.holes),
    "pairs": hashlib.sha256(repr(make_pairs(tests, test_holes)).encode()).hexdigest(),
}
"""

STUBS = """
import sys, types
class Stub(types.ModuleType):
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})
for name in ("torch", "torch.nn", "torch.nn.functional", "safetensors", "safetensors.torch"):
    try:
        __import__(name)
    except ImportError:
        sys.modules[name] = Stub(name)
        outer, _, inner = name.rpartition(".")
        if outer:
            setattr(sys.modules[outer], inner, sys.modules[name])
"""
"""Drawing needs NumPy and Pillow only; where torch is missing, the modules that also hold other things still load."""


def test_what_is_drawn_is_what_was_drawn_before() -> None:
    found: dict[str, Any] = {}
    exec(DRAW, found)
    assert found["found"] == DRAWN


def interpreters() -> list[str]:
    """Other Pythons that have NumPy and Pillow: on the path, or named by FACEINPAINT_PYTHONS."""
    named = os.environ.get("FACEINPAINT_PYTHONS", "").split(os.pathsep)
    places = [*named, *(shutil.which(f"python3.{minor}") for minor in (11, 12, 13))]
    usable = []
    for python in dict.fromkeys(p for p in places if p and Path(p).resolve() != Path(sys.executable).resolve()):
        done = subprocess.run([python, "-c", "import numpy, PIL"], capture_output=True, check=False)
        if done.returncode == 0:
            usable.append(python)
    return usable


def test_other_pythons_draw_the_same() -> None:
    found = interpreters()
    if not found:
        pytest.skip("no other Python with NumPy and Pillow on the path or in FACEINPAINT_PYTHONS")
    for python in found:
        done = subprocess.run(
            [python, "-c", f"{STUBS}{DRAW}\nprint(json.dumps(found))"], cwd=ROOT, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == DRAWN, python


def test_drawing_in_a_process_without_torch_is_drawing_with_it() -> None:
    """The stand-ins of the test above change nothing: the same hashes with torch hidden."""
    hidden = "import sys\nfor name in ('torch', 'safetensors'):\n    sys.modules[name] = None\n"
    stubs = STUBS.replace("__import__(name)", "raise ImportError")
    done = subprocess.run(
        [sys.executable, "-c", f"{hidden}{stubs}{DRAW}\nprint(json.dumps(found))"], cwd=ROOT, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout) == DRAWN


def test_committed_pairs_of_drawn_faces_are_the_ones_that_are_made() -> None:
    """The list for drawn faces in data/test_pairs is that of the preset with the most pairs at its size."""
    pairs = read_pairs(ROOT / "data" / "test_pairs" / "drawn-64.csv")
    count = len({p.face_id for p in pairs})
    assert count in {p.pairs_per_bin for p in PRESETS.values()}
    faces = toy_faces(count, 64, "test")
    assert make_pairs(faces, drawn_test_holes(count, 64)) == pairs


@pytest.mark.parametrize("count", [1, 7])
def test_sets_begin_alike_whatever_their_length(count: int) -> None:
    few, many = toy_faces(count, 32), toy_faces(9, 32)
    np.testing.assert_array_equal(few.images, many.images[:count])
    assert drawn_holes(count, 32).sha256 == drawn_holes(9, 32).sha256[:count]


# ------------------------------------------------------------------------------------------------------ a whole run


def same_but_for_time(record: Any) -> Any:
    """A record without what must differ between two equal runs."""
    if isinstance(record, dict):
        return {k: same_but_for_time(v) for k, v in record.items() if k not in ("seconds", "date", "sha256")}
    return record


def test_a_reproduction_run_twice_gives_the_same_table(tmp_path: Path) -> None:
    rows = [r for r in ROWS if r.key in ("mean-fill", "gated-conv", "facial-style", "facial-style-membrane-guessed")]
    found = []
    for name in ("one", "two"):
        out = tmp_path / name
        reproduce(TINY, out, rows=rows, console=Console(file=io.StringIO()))
        records = {
            p.name: same_but_for_time(json.loads(p.read_text())) for p in sorted((out / "records").glob("*.json"))
        }
        weights = {
            str(p.relative_to(out)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(out.rglob("generator.safetensors"))
        }
        lines = [line.rpartition(",")[0] for line in (out / "table.csv").read_text().splitlines()]  # without minutes
        found.append((records, weights, lines, (out / "test_pairs.csv").read_bytes()))
    assert found[0] == found[1]
    assert len(found[0][0]) == 6  # with the parser's and the logs of training
    assert len(found[0][1]) == 4


THREADS = {"first step": 1e-4, "losses": 5e-3, "metrics": 1e-9}
"""Relative distance of results on two threads from those on one: sums are taken in another order, which is float32's
rounding in the first step. Adam then makes it grow, because its steps are as long for a tiny gradient as for a large
one."""


def test_two_threads_stay_within_the_stated_tolerance(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    faces, holes = load_faces("toy", "train", 32, count=6), drawn_holes(6, 32)
    logs, scores = [], []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            config = Config("facial-style", TINY, {"perceptual": 0.0, "style": 0.0})
            train(config, faces, holes, tmp_path / str(threads))
            lines = (tmp_path / str(threads) / "log.jsonl").read_text().splitlines()
            logs.append([(json.loads(line)["generator"], json.loads(line)["gradient"]) for line in lines])
            a, b = (torch.from_numpy(faces.images[[i]]).permute(0, 3, 1, 2).float() for i in (0, 1))
            scores.append(torch.cat([metrics.psnr(a, b), metrics.ssim(a, b), metrics.l1(a, b)]))
    finally:
        torch.set_num_threads(before)
    one, two = (np.array(log) for log in logs)
    np.testing.assert_allclose(two[0], one[0], rtol=THREADS["first step"])
    np.testing.assert_allclose(two[:, 0], one[:, 0], rtol=THREADS["losses"])
    torch.testing.assert_close(scores[0], scores[1], rtol=THREADS["metrics"], atol=0)
