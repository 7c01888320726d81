"""Training in several processes: the same weights as in one, each face once, one writer, and clear ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from faceinpaint.training.methods import TRAINED

# Adam divides by the size of the gradient, so a weight whose gradient is nothing but rounding still moves, by a full
# step, and in float32 two orders of summation are soon two different runs. In float64 they stay together.
WORKER = """
import dataclasses, os, sys
import torch
torch.set_num_threads(1)

from faceinpaint import backbones
from faceinpaint.training import processes, train
from faceinpaint.data.sources import load_faces
from faceinpaint.data.masks import drawn_holes
from faceinpaint.training.methods import TRAINED
from faceinpaint.presets import preset

class DoubleFeed(train.Feed):
    def __call__(self, step):
        seen.append(self.plan(step)[0][self.share].tolist())
        return train.Batch(*(x.double() if x.is_floating_point() else x for x in super().__call__(step)))

backbone = train.load_backbone("squeezenet1_1", "seed").double()
torch.set_default_dtype(torch.float64)
train.Feed = DoubleFeed
train.load_backbone = backbones.load_backbone = lambda name, weights: backbone
faces, holes = load_faces("toy", "train", 32, count=16), drawn_holes(16, 32)
scale = dataclasses.replace(preset("smoke", size=32, batch=8, images=64, ema=0.5), precision="64-true")
fabric = train.launch(scale)
for name in TRAINED:
    seen, out = [], f"{sys.argv[1]}/{name}"
    train.train(train.Config(name, scale), faces, holes, out, backbone_weights="seed", fabric=fabric)
    with open(f"{out}/faces.{os.environ.get('RANK', '0')}", "w") as file:
        print(seen, file=file)
processes.disband(fabric)
"""


def torchrun(arguments: list[str], **options: object) -> subprocess.Popen:
    """Start two processes on a free port."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", *arguments]
    return start(command, **options)


def start(command: list[str], **options: object) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, **options
    )


def finish(process: subprocess.Popen) -> str:
    """Its output, once it has ended well."""
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders with a run of each method: in one process, and in two."""
    folder = tmp_path_factory.mktemp("runs")
    script = folder / "worker.py"
    script.write_text(WORKER)
    both = folder / "one", folder / "two"
    alone = start([sys.executable, str(script), str(both[0])])
    try:
        finish(torchrun([str(script), str(both[1])]))
    finally:
        finish(alone)
    return both


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_two_processes_train_the_same_weights_as_one(name: str, runs: tuple[Path, Path]) -> None:
    one, two = (load_file(run / name / "generator.safetensors") for run in runs)
    assert one.keys() == two.keys()
    for key in one:
        assert (one[key].double() - two[key].double()).abs().max() <= 1e-5, key
    lines = [(run / name / "log.jsonl").read_text().splitlines() for run in runs]
    assert len(lines[0]) == len(lines[1]) == 8  # one writer
    for line in zip(*lines, strict=True):
        assert json.loads(line[1]) == pytest.approx(json.loads(line[0]), rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_two_processes_see_each_face_once_an_epoch(name: str, runs: tuple[Path, Path]) -> None:
    shares = [json.loads((runs[1] / name / f"faces.{rank}").read_text()) for rank in (0, 1)]
    for epoch in range(4):  # 8 steps of 8 are 4 epochs of 16 faces
        batches = [batch for share in shares for batch in share[2 * epoch : 2 * epoch + 2]]
        assert [len(batch) for batch in batches] == [4, 4, 4, 4]
        assert sorted(face for batch in batches for face in batch) == list(range(16))


def rank_1_of(agent: int) -> int | None:
    """Process id of the second worker of torchrun, once it is there."""
    for child in Path(f"/proc/{agent}/task/{agent}/children").read_text().split():
        try:
            if b"\0RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
                return int(child)
        except OSError:  # gone in the meantime
            continue
    return None


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes through /proc")
def test_a_killed_worker_ends_the_run_with_a_clear_message_and_the_run_resumes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = {"size": 32, "faces": 16, "holes": 16, "batch": 4, "images": 4000, "checkpoint_every": 40}
    settings["sample_every"] = 4000
    command = ["-m", "faceinpaint", "train", "context-encoder", "--out", str(out), "--device", "cpu"]
    command += [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    run = torchrun(command)
    deadline = time.monotonic() + 600
    while not list(out.glob("checkpoints/step-*")):
        assert run.poll() is None, run.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    worker = rank_1_of(run.pid)
    assert worker
    os.kill(worker, signal.SIGKILL)
    output, _ = run.communicate(timeout=600)
    assert run.returncode != 0
    assert "another process of the run was lost" in re.sub(r"\s+", " ", output), output
    assert not (out / "generator.safetensors").exists()

    done = max(int(p.name.removeprefix("step-")) for p in out.glob("checkpoints/step-*"))
    assert done
    again = torchrun(command)
    deadline = time.monotonic() + 600
    while not any(int(p.name.removeprefix("step-")) > done for p in out.glob("checkpoints/step-*")):
        assert again.poll() is None, again.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again.terminate()
    again.communicate(timeout=600)
    steps = [json.loads(line)["step"] for line in (out / "log.jsonl").read_text().splitlines()[: done + 1]]
    assert steps == list(range(done + 1))
