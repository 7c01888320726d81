"""Training: it learns, it resumes to the bit, it stops when it must, and it says why."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from safetensors.torch import load_file

from faceinpaint import files, weights
from faceinpaint.backbones import load_backbone
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.data.sources import load_faces, load_holes
from faceinpaint.errors import CheckpointError, ConfigError, DataError, TrainingError
from faceinpaint.presets import Preset, preset
from faceinpaint.regions import MIRRORED, merge_classes
from faceinpaint.training import train as module
from faceinpaint.training.feed import SHIFTED, TINTED, Feed, another_view
from faceinpaint.training.methods import method
from faceinpaint.training.objectives import Batch
from faceinpaint.training.processes import launch
from faceinpaint.training.run import Config, SmallerRun, load_generator, load_smaller, thinned_log
from faceinpaint.training.train import train

pytestmark = pytest.mark.filterwarnings("error::ResourceWarning")

FOUR = ("context-encoder", "contextual-attention", "gated-conv", "facial-style")

TINY = {
    "size": 32, "start": "blank", "images": 28, "batch": 4, "width": 4, "style_width": 4, "critic_width": 4,
    "baseline_scale": 0.06, "checkpoint_every": 12, "sample_every": 16, "lr": 2e-3,
}  # fmt: skip
"""Seven steps; checkpoints after steps 3, 6 and 7; pictures after steps 4 and 7."""


def tiny(**changes: Any) -> Preset:
    return preset("smoke", **(TINY | changes))


@pytest.fixture(scope="module")
def faces() -> FaceSet:
    return load_faces("toy", "train", 32, count=10)


@pytest.fixture(scope="module")
def holes() -> HoleSet:
    return load_holes("drawn", "train", 32, count=7)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen network is drawn once."""
    net = module.load_backbone("squeezenet1_1", "seed")
    monkeypatch.setattr(module, "load_backbone", lambda name, chosen: net)


Trained = Callable[..., tuple[bytes, str]]


def results(out: Path) -> tuple[bytes, str]:
    """What must not depend on interruptions."""
    return (out / "generator.safetensors").read_bytes(), (out / "log.jsonl").read_text()


@pytest.fixture(scope="module")
def undisturbed(
    faces: FaceSet, holes: HoleSet, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[bytes, str]]:
    """Results of runs that nothing interrupted, by method."""
    made: dict[str, tuple[bytes, str]] = {}

    def run(name: str) -> tuple[bytes, str]:
        if name not in made:
            out = tmp_path_factory.mktemp(name)
            train(Config(name, tiny()), faces, holes, out)
            made[name] = results(out)
        return made[name]

    return run


def lines(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


# ------------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("context-encoder", ("reconstruction",)),
        ("contextual-attention", ("hole", "known")),
        ("gated-conv", ("reconstruction",)),
        ("facial-style", ("reconstruction",)),
    ],
)
def test_reconstruction_of_a_few_faces_improves(
    name: str, terms: tuple[str, ...], faces: FaceSet, holes: HoleSet, tmp_path: Path
) -> None:
    options = {"perceptual": 0.0, "style": 0.0} if name == "facial-style" else {}
    config = Config(name, tiny(images=160, lr=4e-3, decay=0.0), options)
    train(config, faces.subset([0, 1, 2, 3]), holes.subset([0]), tmp_path)
    loss = [sum(line[term] for term in terms) for line in lines(tmp_path)]
    assert len(loss) == 40
    assert np.mean(loss[-4:]) < 0.8 * np.mean(loss[:4])


@pytest.mark.parametrize("name", FOUR)
def test_a_run_leaves_what_it_promises(name: str, faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    told: list[tuple[int, str]] = []
    config = Config(name, tiny(), seed=3)
    path = train(config, faces, holes, tmp_path, progress=lambda n, note: told.append((n, note)))
    assert path == tmp_path / "generator.safetensors"
    assert sum(n for n, _ in told) == 28
    assert "loss" in told[-1][1]

    log = lines(tmp_path)
    assert [line["step"] for line in log] == list(range(7))
    assert [line["images"] for line in log] == list(range(4, 29, 4))
    own = {"context-encoder": set(), "contextual-attention": {"hole", "known", "penalty"}}
    terms = {"generator", "gradient", "critic", "adversarial"} | own.get(name, {"reconstruction"})
    assert terms <= log[0].keys()
    assert all(np.isfinite(list(line.values())).all() for line in log)
    weighted = set(log[0]) - {"step", "images", "generator", "gradient", "critic", "penalty"}
    assert sum(log[2][t] for t in weighted) == pytest.approx(log[2]["generator"], rel=1e-4)

    assert [p.name for p in sorted((tmp_path / "samples").iterdir())] == ["00000004.png", "00000007.png"]
    with Image.open(tmp_path / "samples" / "00000007.png") as picture:
        assert picture.size == (4 * 32, 4 * 32)
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000007"]
    assert not list(tmp_path.rglob("*.new"))

    network, again, about = load_generator(tmp_path)
    assert again == config
    assert (about["images"], about["devices"]) == (28, 1)
    pictures = about["data"].pop("pictures_sha256")
    assert len(pictures) == 64
    assert about["data"] == {"faces": faces.source, "holes": holes.source, "face_count": 10, "hole_count": 7}
    assert about["versions"]["torch"] == torch.__version__
    assert "commit" in about
    assert (about["backbone"] is not None) == (name == "facial-style")
    state = load_file(tmp_path / "checkpoints" / "step-00000007" / "state.safetensors")
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[f"ema.{key}"])


def test_curves_and_pictures_in_tensorboard_survive_an_interruption(
    faces: FaceSet, holes: HoleSet, tmp_path: Path
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = Config("context-encoder", tiny())
    with pytest.raises(KeyboardInterrupt):
        train(config, faces, holes, tmp_path, progress=Interrupt(at=5))
    time.sleep(1)  # TensorBoard orders files by the second that they were opened in
    train(config, faces, holes, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    log = lines(tmp_path)
    assert set(log[0]) - {"step", "images"} == set(events.Tags()["scalars"])
    for tag in events.Tags()["scalars"]:
        found = events.Scalars(tag)
        assert [e.step for e in found] == [line["images"] for line in log]
        assert [e.value for e in found] == pytest.approx([line[tag] for line in log], rel=1e-5)
    (images,) = events.Tags()["images"]
    assert [e.step for e in events.Images(images)] == [16, 28]


def test_two_critic_steps_see_other_faces_and_train_as_many_generator_steps(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    call = Feed.__call__
    monkeypatch.setattr(Feed, "__call__", lambda self, step: asked.append(step) or call(self, step))
    steps: dict[int, int] = {}
    adam = torch.optim.Adam.step

    def count(self: torch.optim.Adam, *args: Any, **kwargs: Any) -> Any:
        steps[id(self)] = steps.get(id(self), 0) + 1
        return adam(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", count)
    train(Config("gated-conv", tiny(critic_steps=2, sample_every=1000)), faces, holes, tmp_path)
    assert asked == [*range(14), 0]  # the last for the sample pictures
    assert sorted(steps.values()) == [7, 14]


def test_without_a_critic_there_is_one_turn_a_step(faces: FaceSet, holes: HoleSet) -> None:
    run = module._Run(Config("parser", tiny(critic_steps=5)), method("parser"), Fabric(accelerator="cpu"), None)
    asked: list[int] = []
    feed = Feed(faces, holes, 4)

    def noted(step: int) -> Batch:
        asked.append(step)
        return feed(step)

    for step in range(3):
        run.step(step, 3, noted)
    assert asked == [0, 1, 2]
    counts = [t for name, t in run.bare["generator"].state_dict().items() if name.endswith("num_batches_tracked")]
    assert {int(count) for count in counts} == {3}


def test_without_adversarial_loss_the_critic_stays_as_it_was(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    config = Config("facial-style", tiny(images=8), {"adversarial": 0.0})
    train(config, faces, holes, tmp_path)
    assert "adversarial" not in lines(tmp_path)[0]
    state = load_file(tmp_path / "checkpoints" / "step-00000002" / "state.safetensors")
    assert not [name for name in state if name.startswith("adam.critic")]
    torch.manual_seed(config.seed + 1)
    for name, tensor in method("facial-style").critic(config.preset).state_dict().items():
        assert torch.equal(tensor, state[f"critic.{name}"])


# ---------------------------------------------------------------------------------------------- exact resume


class Interrupt:
    """Progress that presses Ctrl-C when a step is reported."""

    def __init__(self, at: int) -> None:
        self.left = at + 1  # the first call says "started"

    def __call__(self, images: int, note: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


class Crash(BaseException):
    """Stands for whatever ends a process between two lines."""


class CrashAt(Interrupt):
    """Progress that crashes instead."""

    def __call__(self, images: int, note: str) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


@pytest.mark.parametrize("name", FOUR)
def test_after_ctrl_c_the_result_is_the_same_to_the_bit(
    name: str, faces: FaceSet, holes: HoleSet, tmp_path: Path, undisturbed: Callable[[str], tuple[bytes, str]]
) -> None:
    config = Config(name, tiny())
    handler = signal.getsignal(signal.SIGINT)
    for at in (2, 3):  # step 2 of the first run, then the third after it
        with pytest.raises(KeyboardInterrupt):
            train(config, faces, holes, tmp_path, progress=Interrupt(at))
        assert signal.getsignal(signal.SIGINT) is handler
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-00000005"]
    assert not (tmp_path / "generator.safetensors").exists()
    train(config, faces, holes, tmp_path)
    assert results(tmp_path) == undisturbed(name)


def test_sigterm_is_obeyed_again_once_a_run_of_several_processes_is_over(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    ctrl_c, seen = module.interruptible, []
    config = Config("context-encoder", tiny(images=8))
    with monkeypatch.context() as patch:  # as if there were several
        patch.setattr(module, "interruptible", lambda several: ctrl_c(True))
        train(config, faces, holes, tmp_path, progress=lambda *_: seen.append(signal.getsignal(signal.SIGTERM)))
    assert signal.getsignal(signal.SIGTERM) is before
    assert seen[-1] is not before

    several = SimpleNamespace(world_size=2, is_global_zero=True)
    for reason, restored in (("gloo: connection closed by peer", False), ("something else", True)):

        def lose(*arguments: Any, reason: str = reason) -> None:
            with ctrl_c(True):
                raise RuntimeError(reason)

        monkeypatch.setattr(module, "_train", lose)
        try:
            with pytest.raises(RuntimeError if restored else TrainingError, match=reason):
                train(config, faces, holes, tmp_path, fabric=several)
            # When one is lost, SIGTERM comes to the others, which have yet to say so.
            assert (signal.getsignal(signal.SIGTERM) is before) == restored
        finally:
            signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("name", FOUR)
def test_after_a_crash_between_checkpoints_the_result_is_the_same_to_the_bit(
    name: str, faces: FaceSet, holes: HoleSet, tmp_path: Path, undisturbed: Callable[[str], tuple[bytes, str]]
) -> None:
    config = Config(name, tiny())
    for at in (2, 5, 2):  # before the first checkpoint; two steps after it; again
        with pytest.raises(Crash):
            train(config, faces, holes, tmp_path, progress=CrashAt(at))
    train(config, faces, holes, tmp_path)
    assert results(tmp_path) == undisturbed(name)


@pytest.mark.slow
def test_no_moment_of_writing_files_is_a_bad_one_for_a_crash(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crash before, then after, every single rename, save and removal of a run; go on each time."""
    left = [0]

    def crashing(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            for after in (False, True):
                if after:
                    result = function(*args, **kwargs)
                left[0] -= 1
                if left[0] == 0:
                    raise Crash
            return result

        return call

    for owner, name in ((os, "replace"), (Path, "rename"), (shutil, "rmtree"), (weights, "save_file")):
        monkeypatch.setattr(owner, name, crashing(getattr(owner, name)))
    config = Config("context-encoder", tiny(images=8, checkpoint_every=4, sample_every=100))
    train(config, faces, holes, tmp_path / "whole")
    expected = results(tmp_path / "whole")
    crashes, finished = 0, False
    while not finished:
        crashes += 1
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        left[0] = crashes
        try:
            train(config, faces, holes, tmp_path / "run")
            finished = True
        except Crash:
            left[0] = 0
            train(config, faces, holes, tmp_path / "run")
        assert results(tmp_path / "run") == expected
        left[0] = 0
    assert crashes > 15


KILLED = """
import os, random, signal, sys, time
from pathlib import Path
import lightning_fabric, torch, torch.utils.tensorboard  # once, and not in each child
torch.set_num_threads(1)
from faceinpaint.data.sources import load_faces
from faceinpaint.data.sources import load_holes
from faceinpaint.presets import preset
from faceinpaint.training.train import train
from faceinpaint.training.run import Config

out, changes, names, chance = Path(sys.argv[1]), eval(sys.argv[2]), eval(sys.argv[3]), random.Random(int(sys.argv[4]))
faces, holes = load_faces("toy", "train", 32, count=10), load_holes("drawn", "train", 32, count=7)
for name in names:
    kills = 0
    for attempt in range(40):
        child = os.fork()
        if not child:
            train(Config(name, preset("smoke", **changes)), faces, holes, out / name, backbone_weights="seed")
            os._exit(0)
        if attempt < 3:  # kill once it has begun to log, after a random while
            log = out / name / "log.jsonl"
            size = log.stat().st_size if log.exists() else -1
            begun = time.monotonic()
            while (log.stat().st_size if log.exists() else -1) == size and time.monotonic() < begun + 20:
                time.sleep(0.002)
            time.sleep(chance.random() * 0.15)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if status == 0:
            break
        kills += 1
        assert status == signal.SIGKILL, status
    print(name, kills, flush=True)
"""


@pytest.mark.slow
def test_after_kills_at_random_moments_the_result_is_the_same_to_the_bit(
    faces: FaceSet, holes: HoleSet, tmp_path: Path
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as many as in the processes that are killed: sums depend on it
    try:
        for name in FOUR:
            train(Config(name, tiny()), faces, holes, tmp_path / "whole" / name)
    finally:
        torch.set_num_threads(threads)
    seed = random.SystemRandom().randrange(2**32)
    arguments = [str(tmp_path / "killed"), repr(TINY), repr(FOUR), str(seed)]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments], capture_output=True, text=True, timeout=240,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kills = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert sum(kills) >= len(FOUR), f"seed {seed}: only {kills} kills"
    for name in FOUR:
        assert results(tmp_path / "killed" / name) == results(tmp_path / "whole" / name), f"{name}, seed {seed}"


def test_called_again_a_finished_run_is_left_alone(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    config = Config("context-encoder", tiny(images=8))
    path = train(config, faces, holes, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}
    told: list[tuple[int, str]] = []
    assert train(config, faces, holes, tmp_path, progress=lambda n, note: told.append((n, note))) == path
    assert told == [(8, "already trained")]
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p.is_file()}


def test_more_images_take_a_run_further(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    # At a steady learning rate, a run taken further is the run that was asked for all of it at once.
    steady = {"decay": 0.0, "ema": 0.5}
    for name in ("facial-style", "contextual-attention"):
        train(Config(name, tiny(images=8, **steady)), faces, holes, tmp_path / name)
        longer = train(Config(name, tiny(images=20, **steady)), faces, holes, tmp_path / name)
        whole = train(Config(name, tiny(images=20, **steady)), faces, holes, tmp_path / f"{name} at once")
        assert load_file(longer).keys() == load_file(whole).keys()
        assert longer.read_bytes() == whole.read_bytes()
        held, at_once = (files.read_json(path.with_suffix(".json")) for path in (longer, whole))
        assert (held["images"], held["earlier"], at_once.get("earlier")) == (20, [8], None)
        assert files.read_json(tmp_path / name / "config.json")["earlier"] == [8]
        steps = [json.loads(line)["step"] for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        assert steps == sorted(set(steps))
    with pytest.raises(CheckpointError, match=r"another run.*images is 20 there, 8 here"):
        train(Config("facial-style", tiny(images=8, **steady)), faces, holes, tmp_path / "facial-style")


def test_a_run_broken_off_while_it_is_taken_further_goes_on(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short, long = (Config("context-encoder", tiny(images=n, checkpoint_every=4)) for n in (8, 16))
    for place in ("whole", "broken"):
        train(short, faces, holes, tmp_path / place)
    train(long, faces, holes, tmp_path / "whole")
    final = tmp_path / "broken" / "generator.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(long, faces, holes, tmp_path / "broken", progress=Interrupt(1))
    assert weights.load(final)[1]["images"] == 8  # nothing lost meanwhile

    replace = os.replace

    def crash(source: Path, target: Path) -> None:
        if Path(target) == final:  # its JSON is the new one by now
            raise Crash
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", crash)
        with pytest.raises(Crash):
            train(long, faces, holes, tmp_path / "broken")
    train(long, faces, holes, tmp_path / "broken")
    assert results(tmp_path / "broken") == results(tmp_path / "whole")


def test_training_goes_on_from_other_weights_at_another_size(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    first = train(Config("facial-style", tiny(images=8)), faces, holes, tmp_path / "small")
    larger = load_faces("toy", "train", 48, count=4), load_holes("drawn", "train", 48, count=4)
    still = Config("facial-style", tiny(size=48, images=8, lr=1e-30, checkpoint_every=4))
    out = tmp_path / "large"
    train(still, *larger, out, begin=tmp_path / "small")
    learned, known = load_file(first), load_file(out / "generator.safetensors")
    assert all(torch.allclose(known[name], learned[name], atol=1e-20) for name in learned)  # nothing moves so far
    held = files.read_json(out / "config.json")["begin"]
    before = files.read_json(first.with_suffix(".json"))
    assert (held["sha256"], held["images"]) == (before["sha256"], before["images"]) == (before["sha256"], 8)
    with pytest.raises(CheckpointError, match="begin is"):  # another beginning is another run
        train(still, *larger, out)
    # What begins from weights resumes from its own checkpoint, not from them again.
    moving = Config("facial-style", tiny(size=48, images=16, checkpoint_every=4))
    whole = train(moving, *larger, tmp_path / "a", begin=first)

    def stop(count: int, note: str, seen: list[int] = []) -> None:  # noqa: B006
        seen.append(count)
        if sum(seen) == 8:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(moving, *larger, tmp_path / "b", begin=first, progress=stop)
    train(moving, *larger, tmp_path / "b", begin=first)
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert whole.read_bytes() != first.read_bytes()
    remedies = {
        "Set width=4, style_width=4, as they have": Config("facial-style", tiny(width=8, style_width=6)),
        "of the same method, width and options": Config("facial-style", tiny(), {"fusion": "local"}),
        "weights of the same method": Config("gated-conv", tiny()),
    }
    for remedy, other in remedies.items():
        with pytest.raises(CheckpointError, match=f"do not fit .*{remedy}"):
            train(other, faces, holes, tmp_path / remedy, begin=first)
    with pytest.raises(CheckpointError, match="no such file"):
        train(still, faces, holes, tmp_path / "d", begin=tmp_path / "nothing")


def fresh(folder: Path, name: str, **changes: Any) -> Path:
    """Weights of a run that nothing was trained for."""
    config = Config(name, tiny(**changes))
    folder.mkdir()
    about = {"config": config.to_dict(), "images": 8}
    weights.save(folder / "generator.safetensors", config.generator().state_dict(), about)
    return folder / "generator.safetensors"


def test_training_begins_from_the_repair_of_a_smaller_network(tmp_path: Path) -> None:
    small, guess = fresh(tmp_path / "small", "facial-style", start="membrane"), fresh(tmp_path / "parser", "parser")
    beneath = load_smaller(small, guess)
    larger = load_faces("toy", "train", 64, count=8), load_holes("drawn", "train", 64, count=8)
    config = Config("facial-style", tiny(size=64, images=8, start="smaller"), smaller=beneath)
    out = train(config, *larger, tmp_path / "large")

    network, read, about = load_generator(out)  # its weights hold those of the smaller one, as they were
    assert read == config
    held = about["config"]["smaller"]
    for part, file in (("generator", small), ("parser", guess)):
        assert held[part]["sha256"] == files.read_json(file.with_suffix(".json"))["sha256"]
        for name, tensor in load_file(file).items():
            inside = f"smaller.{'network' if part == 'generator' else part}.{name}"
            assert torch.equal(network.state_dict()[inside], tensor)
    fresh_ones = config.generator().state_dict()
    assert any(not torch.equal(t, fresh_ones[n]) for n, t in network.state_dict().items() if n.startswith("network."))

    # Taken further, it finds its own; with another smaller network it is another run.
    train(dataclasses.replace(config, preset=tiny(size=64, images=16, start="smaller")), *larger, tmp_path / "large")
    other = load_smaller(fresh(tmp_path / "other", "facial-style", start="membrane", width=8), guess)
    with pytest.raises(CheckpointError, match="sha256 is"):
        train(dataclasses.replace(config, smaller=other), *larger, tmp_path / "large")
    with pytest.raises(ConfigError, match="weights of the smaller network are not loaded"):
        train(read, *larger, tmp_path / "again")
    # What it grows from has another start: that of the smaller network stays its own.
    still = dataclasses.replace(config, preset=tiny(size=64, images=4, start="smaller", lr=1e-30))
    grown, _, _ = load_generator(train(still, *larger, tmp_path / "grown", begin=small))
    for name, tensor in load_file(small).items():
        assert torch.allclose(grown.state_dict()[name], tensor, atol=1e-20)


def test_a_smaller_network_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    small, guess = fresh(tmp_path / "small", "facial-style", start="membrane"), fresh(tmp_path / "parser", "parser")
    with pytest.raises(ConfigError, match=r"small.*looks at a parsing map, and no parser lies beside it"):
        load_smaller(small)
    with pytest.raises(ConfigError, match="weights of a parser"):
        load_smaller(guess, guess)
    with pytest.raises(ConfigError, match=r"parser was trained with pictures of 64 pixels, the generator with 32"):
        load_smaller(small, fresh(tmp_path / "large-parser", "parser", size=64))
    assert load_smaller(fresh(tmp_path / "blind", "gated-conv")).parser is None
    beneath = load_smaller(small, guess)
    with pytest.raises(ConfigError, match="pictures of 32 pixels, not of half of 32"):
        Config("facial-style", tiny(start="smaller"), smaller=beneath)
    with pytest.raises(ConfigError, match="start membrane does not begin from one"):
        Config("facial-style", tiny(size=64, start="membrane"), smaller=beneath)
    told = Config("facial-style", tiny(size=64, start="smaller"), smaller=beneath).to_dict()
    for damage in ({"generator": None, "parser": None}, {"parser": None}, "small", {"generator": {}, "parser": None}):
        with pytest.raises(ConfigError, match=r"record\.json"):
            Config.from_dict(told | {"smaller": damage}, tmp_path / "record.json")
    assert SmallerRun(beneath.generator, beneath.parser) == beneath


def test_everything_that_steps_change_is_restored(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    """Weights, moments, running means of batch normalisation, vectors of spectral normalisation, the mean weights."""
    for name, wanted in (("context-encoder", "running_var"), ("facial-style", "_u"), ("gated-conv", "_v")):
        config = Config(name, tiny())
        net = module.load_backbone("squeezenet1_1", "seed")
        feed = Feed(faces, holes, 4)
        run = module._Run(config, method(name), Fabric(accelerator="cpu"), net)
        for step in range(2):
            run.step(step, 7, feed)
        run.save(tmp_path / name, 2)
        fresh = module._Run(config, method(name), Fabric(accelerator="cpu"), net)
        assert fresh.restore(tmp_path / name) == 2
        assert fresh.seconds == run.seconds
        compared = 0
        for kind, network in run.bare.items():
            theirs = fresh.bare[kind].state_dict()
            for key, tensor in network.state_dict().items():
                assert torch.equal(tensor, theirs[key]), key
                compared += key.endswith(wanted)
        assert compared
        assert all(torch.equal(tensor, fresh.ema[key]) for key, tensor in run.ema.items())
        for kind, optimiser in run.optimisers.items():
            one, other = optimiser.state_dict(), fresh.optimisers[kind].state_dict()
            assert one["state"].keys() == other["state"].keys()
            assert one["state"]
            for index, moments in one["state"].items():
                assert moments.keys() == other["state"][index].keys()
                assert all(torch.equal(v, other["state"][index][k]) for k, v in moments.items())


def test_the_seed_decides(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    made = []
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.manual_seed(random.randrange(2**31))  # whatever went before
        train(Config("context-encoder", tiny(images=8), seed=seed), faces, holes, tmp_path / folder)
        made.append(results(tmp_path / folder))
    assert made[0] == made[1]
    assert made[0][0] != made[2][0]


# ------------------------------------------------------------------------------------- what is refused, and how


@pytest.fixture(scope="module")
def interrupted(faces: FaceSet, holes: HoleSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a run interrupted after its third step, which no test changes."""
    out = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        train(Config("context-encoder", tiny()), faces, holes, out, progress=Interrupt(3))
    return out


@pytest.fixture
def started(interrupted: Path, tmp_path: Path) -> Path:
    """A copy of that run, of the test's own."""
    return Path(shutil.copytree(interrupted, tmp_path / "run"))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"preset": tiny(batch=2)}, "batch"),
        ({"preset": tiny(lr=1e-3)}, "lr"),
        ({"options": {"adversarial": 0.1}}, "adversarial"),
        ({"method": "gated-conv"}, "method"),
        ({"merge": "none"}, "merge"),
    ],
)
def test_another_configuration_in_the_same_folder_is_refused_by_name(
    changes: dict[str, Any], named: str, faces: FaceSet, holes: HoleSet, started: Path
) -> None:
    config = dataclasses.replace(Config("context-encoder", tiny()), **changes)
    with pytest.raises(CheckpointError, match="another run") as caught:
        train(config, faces, holes, started)
    assert named in caught.value.problem
    assert {"seed", "batch", "lr", "adversarial", "method", "merge"} & set(caught.value.problem.split()) <= {named}
    assert caught.value.path == started


def test_other_data_or_another_frozen_network_in_the_same_folder_is_refused(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config("facial-style", tiny())
    with pytest.raises(KeyboardInterrupt):
        train(config, faces, holes, tmp_path, progress=Interrupt(1))
    with pytest.raises(CheckpointError, match=r"another run.*face_count"):
        train(config, faces.subset([0, 1, 2, 3]), holes, tmp_path)
    monkeypatch.undo()
    other = module.load_backbone("squeezenet1_1", "seed", 1)
    monkeypatch.setattr(module, "load_backbone", lambda name, chosen: other)
    with pytest.raises(CheckpointError, match=r"another run.*sha256"):
        train(config, faces, holes, tmp_path)


def test_other_pictures_under_the_same_name_are_refused(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    config, longer = (Config("context-encoder", tiny(images=n)) for n in (8, 12))
    train(config, faces, holes, tmp_path)
    for others in (
        (dataclasses.replace(faces, sha256=("0" * 64, *faces.sha256[1:])), holes),
        (faces, dataclasses.replace(holes, sha256=(*holes.sha256[:-1], "0" * 64))),
    ):
        with pytest.raises(CheckpointError, match=r"another run.*pictures_sha256"):
            train(longer, *others, tmp_path)
    # A run whose record has no checksum is taken to be of the same pictures, and has one from then on.
    for name in ("config.json", "generator.json"):
        about = files.read_json(tmp_path / name)
        del about["data"]["pictures_sha256"]
        files.write_json(tmp_path / name, about)
    train(config, faces, holes, tmp_path)
    train(longer, faces, holes, tmp_path)
    assert len(files.read_json(tmp_path / "config.json")["data"]["pictures_sha256"]) == 64


def test_settings_that_the_method_does_not_read_make_no_other_run(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, undisturbed: Callable[[str], tuple[bytes, str]]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(Config("context-encoder", tiny(width=8)), faces, holes, tmp_path, progress=Interrupt(3))
    train(Config("context-encoder", tiny()), faces, holes, tmp_path)
    assert results(tmp_path) == undisturbed("context-encoder")


def _truncate(folder: Path) -> None:
    path = folder / "state.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def _flip(folder: Path) -> None:
    path = folder / "state.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        lambda folder: (folder / "state.safetensors").unlink(),
        lambda folder: (folder / "state.json").unlink(),
        lambda folder: (folder / "state.json").write_text("{"),
        lambda folder: (folder / "state.json").write_text("[]"),
    ],
)
def test_a_damaged_checkpoint_is_refused(
    damage: Callable[[Path], Any], faces: FaceSet, holes: HoleSet, started: Path
) -> None:
    folder = started / "checkpoints" / "step-00000003"
    damage(folder)
    with pytest.raises(CheckpointError) as caught:
        train(Config("context-encoder", tiny()), faces, holes, started)
    assert caught.value.path.parent == folder


def test_a_checkpoint_of_another_run_is_refused(faces: FaceSet, holes: HoleSet, started: Path) -> None:
    shutil.copytree(started, started.parent / "other")
    (started.parent / "other" / "config.json").unlink()
    with pytest.raises(CheckpointError, match="belongs to another run"):
        train(Config("context-encoder", tiny(), seed=1), faces, holes, started.parent / "other")
    shutil.rmtree(started.parent / "other")


@pytest.mark.parametrize("name", FOUR)
def test_data_that_are_not_numbers_stop_training_and_leave_the_checkpoint_good(
    name: str, faces: FaceSet, holes: HoleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    undisturbed: Callable[[str], tuple[bytes, str]],
) -> None:  # fmt: skip
    call = Feed.__call__

    def poisoned(self: Feed, step: int) -> Batch:
        batch = call(self, step)
        return batch._replace(image=torch.full_like(batch.image, float("nan"))) if step == 5 else batch

    config = Config(name, tiny())
    with monkeypatch.context() as patch:
        patch.setattr(Feed, "__call__", poisoned)
        with pytest.raises(TrainingError, match="step 5") as caught:
            train(config, faces, holes, tmp_path)
    assert "nan" in caught.value.problem
    assert caught.value.path == tmp_path
    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert kept.name == "step-00000003"
    assert all(t.isfinite().all() for t in load_file(kept / "state.safetensors").values())
    train(config, faces, holes, tmp_path)
    assert results(tmp_path) == undisturbed(name)


@pytest.mark.parametrize("name", FOUR)
def test_an_exploding_learning_rate_stops_training(name: str, faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    config = Config(name, tiny(lr=1e25, checkpoint_every=4))
    with pytest.raises(TrainingError, match="lower lr"):
        train(config, faces, holes, tmp_path)
    assert not (tmp_path / "generator.safetensors").exists()
    for path in tmp_path.rglob("state.safetensors"):
        assert all(t.isfinite().all() for t in load_file(path).values())


def test_weights_that_are_not_finite_are_never_saved(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    run = module._Run(Config("context-encoder", tiny()), method("context-encoder"), Fabric(accelerator="cpu"), None)
    next(t for n, t in run.bare["generator"].named_buffers() if n.endswith("running_var")).fill_(float("inf"))
    with pytest.raises(TrainingError, match=r"generator\."):
        run.save(tmp_path, 1)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_configurations_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown method"):
        Config("magic", tiny())
    with pytest.raises(ConfigError, match="not trained"):
        Config("telea", tiny())
    with pytest.raises(ConfigError, match="unknown merge"):
        Config("facial-style", tiny(), merge="all")
    with pytest.raises(ConfigError, match="no option 'speed'"):
        Config("facial-style", tiny(), {"speed": 1})
    for name, changes, options in (
        ("context-encoder", {"size": 48}, {}), ("facial-style", {"size": 48}, {"reading": "R2"}),
        ("facial-style", {}, {"reading": "R2"}),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match="takes no pictures of"):
            Config(name, tiny(**changes), options)
    for name, options in (("facial-style", {"reading": "R9"}), ("gated-conv", {"width": 6})):  # before data are read
        with pytest.raises(ConfigError):
            Config(name, tiny(), options)
    good = Config("facial-style", tiny(), {"gan": "hinge"}, "none", 7)
    assert Config.from_dict(json.loads(json.dumps(good.to_dict())), tmp_path) == good
    for damage in ({"preset": 3}, {"preset": {}}, {"colour": 1}, {"method": "magic"}, {"preset": {"name": "huge"}}):
        with pytest.raises(ConfigError) as caught:
            Config.from_dict(good.to_dict() | damage, tmp_path)
        assert caught.value.path == tmp_path


# ---------------------------------------------------------------------------------- schedule and running mean


def test_learning_rates_fall_linearly_at_the_end(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: dict[int, list[float]] = {}
    adam = torch.optim.Adam.step

    def note(self: torch.optim.Adam, *args: Any, **kwargs: Any) -> Any:
        rates.setdefault(id(self), []).append(self.param_groups[0]["lr"])
        return adam(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", note)
    train(Config("context-encoder", tiny(images=40, lr=1e-3, decay=0.4)), faces, holes, tmp_path)
    critic, generator = rates.values()
    share = [1, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert generator == pytest.approx([1e-3 * s for s in share])
    assert critic == pytest.approx([1e-4 * s for s in share])  # a tenth, as in the paper

    rates.clear()
    monkeypatch.setattr(torch.optim.Adam, "__init__", _remember_betas(torch.optim.Adam.__init__))
    train(Config("contextual-attention", tiny(images=12, lr=1e-3, decay=0.0)), faces, holes, tmp_path / "2")
    assert [rate for one in rates.values() for rate in one] == [1e-3] * 6
    assert BETAS == [(0.5, 0.9)] * 2


BETAS: list[tuple[float, float]] = []


def _remember_betas(init: Callable[..., None]) -> Callable[..., None]:
    def made(self: Any, params: Any, lr: float, betas: tuple[float, float], **kwargs: Any) -> None:
        BETAS.append(betas)
        init(self, params, lr, betas, **kwargs)

    return made


def test_without_a_rate_of_its_own_a_preset_takes_that_of_the_paper() -> None:
    fabric = Fabric(accelerator="cpu")
    for name in FOUR:
        p = dataclasses.replace(tiny(), lr=None)
        run = module._Run(Config(name, p), method(name), fabric, None)
        generator, critic = (run.optimisers[kind].param_groups[0]["lr"] for kind in ("generator", "critic"))
        assert generator == method(name).lr
        assert critic == pytest.approx(method(name).lr * method(name).critic_lr)


def test_running_mean_of_weights_is_the_loop_written_out(faces: FaceSet, holes: HoleSet) -> None:
    config = Config("context-encoder", tiny(ema=0.3))
    run = module._Run(config, method("context-encoder"), Fabric(accelerator="cpu"), None)
    feed = Feed(faces, holes, 4)
    mean = {k: t.double().clone() for k, t in run.bare["generator"].state_dict().items()}
    start = {k: t.clone() for k, t in mean.items()}
    for step in range(6):
        run.step(step, 6, feed)
        keep = min(0.3, (1 + step) / (10 + step))
        for k, t in run.bare["generator"].state_dict().items():
            mean[k] = keep * mean[k] + (1 - keep) * t.double() if t.is_floating_point() else t.clone()
    moved = 0
    for k, t in run.ema.items():
        torch.testing.assert_close(t.double(), mean[k].double(), rtol=1e-5, atol=1e-6)
        moved += not torch.allclose(t.double(), start[k].double())
    assert moved > len(mean) / 2
    assert run.ema[next(k for k in mean if k.endswith("num_batches_tracked"))] == 6


# ----------------------------------------------------------------------------------------------------- Feed


@pytest.fixture
def marked() -> tuple[FaceSet, HoleSet]:
    """Seven faces whose label map is a function of their pixels; four holes, each with a different corner."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 19, (7, 32, 32), dtype=np.uint8)
    images = np.stack([labels * 13, np.broadcast_to(np.arange(7)[:, None, None], labels.shape), labels], axis=-1)
    faces = FaceSet(images.astype(np.uint8), labels, tuple("abcdefg"), ("0",) * 7, "marked")
    holes = rng.integers(0, 2, (4, 32, 32), dtype=np.uint8)
    return faces, HoleSet(holes, tuple("pqrs"), ("0",) * 4, "marked")


def which(batch: Batch) -> list[int]:
    return ((batch.image[:, 1, 0, 0] + 1) * 127.5).round().int().tolist()


def test_each_face_comes_once_an_epoch_in_another_order(marked: tuple[FaceSet, HoleSet]) -> None:
    feed = Feed(*marked, batch=4, seed=5)
    seen = [face for step in range(14) for face in which(feed(step))]
    epochs = [seen[i : i + 7] for i in range(0, 56, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) > 4


def test_a_batch_follows_from_its_step_alone(marked: tuple[FaceSet, HoleSet]) -> None:
    feed, other = Feed(*marked, batch=4, seed=5), Feed(*marked, batch=4, seed=5)
    first = [feed(step) for step in range(6)]
    for step in (5, 0, 3, 3):
        for a, b in zip(first[step], other(step), strict=True):
            assert torch.equal(a, b)
    assert not torch.equal(first[0].hole, Feed(*marked, batch=4, seed=6)(0).hole)


def test_large_holes_can_be_drawn_more_often(marked: tuple[FaceSet, HoleSet]) -> None:
    """Of these four the two largest, and nothing else of a step changes."""
    faces, some = marked
    cut = np.zeros_like(some.holes)
    for i, side in enumerate((20, 4, 31, 8)):
        cut[i, :side, :side] = 1
    holes = HoleSet(cut, some.ids, some.sha256, some.source)
    plain, larger = (Feed(faces, holes, batch=4, seed=5, large_holes=share) for share in (0.0, 1.0))
    for step in range(20):
        (at, _, *rest), (same, large, *others) = plain.plan(step), larger.plan(step)
        assert set(large) <= {0, 2}
        assert np.array_equal(at, same)
        assert all(np.array_equal(a, b) for a, b in zip(rest, others, strict=True))
    assert {*np.concatenate([plain.plan(step)[1] for step in range(20)])} == {0, 1, 2, 3}
    half = np.concatenate([Feed(faces, holes, batch=4, seed=5, large_holes=0.5).plan(step)[1] for step in range(100)])
    assert 0.67 < np.isin(half, (0, 2)).mean() < 0.83


def test_two_processes_share_the_batch_of_one(marked: tuple[FaceSet, HoleSet]) -> None:
    whole = Feed(*marked, batch=6, seed=1)
    shares = [Feed(*marked, batch=6, seed=1, rank=rank, world=2) for rank in range(2)]
    for step in range(4):
        for together, *parts in zip(whole(step), *(share(step) for share in shares), strict=True):
            assert [len(part) for part in parts] == [3, 3]
            assert torch.equal(torch.cat(parts), together)
    with pytest.raises(ConfigError, match="cannot be shared by 4"):
        Feed(*marked, batch=6, world=4)


def test_mirroring_keeps_picture_and_map_together(marked: tuple[FaceSet, HoleSet]) -> None:
    faces, _ = marked
    feed = Feed(*marked, batch=7, merge="classes")
    turned = {True: 0, False: 0}
    for step in range(6):
        batch = feed(step)
        for i, face in enumerate(which(batch)):
            plain, shown = torch.from_numpy(faces.labels[face]), ((batch.image[i, 2] + 1) * 127.5).round().byte()
            mirrored = torch.equal(shown, plain.flip(-1))
            assert mirrored or torch.equal(shown, plain)
            # In a mirrored picture the left eye, brow and ear are the right ones.
            swapped = torch.tensor(MIRRORED, dtype=torch.uint8)[shown.long()]
            assert torch.equal(batch.regions[i], swapped if mirrored else shown)
            turned[mirrored] += 1
    assert min(turned.values()) > 10


def test_another_view_is_the_face_mirrored_moved_and_tinted(marked: tuple[FaceSet, HoleSet]) -> None:
    batch = Feed(*marked, batch=7, merge="classes")(0)
    view = another_view(batch)
    assert view.share.flatten().tolist() == [float(c < 0.5) for c in batch.chance.flatten()]
    assert {0.0, 1.0} == set(view.share.flatten().tolist())
    shifts, tints = set(), []
    for b in range(7):
        across, down = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="xy")
        found = [
            (dx, dy)
            for dx, dy in ((dx, dy) for dx in range(-4, 5) for dy in range(-4, 5))
            if torch.equal(
                view.regions[b], batch.regions[b].flip(-1)[(down + dy).clamp(0, 31), (across + dx).clamp(0, 31)]
            )
        ]
        ((dx, dy),) = found
        shifts.add((dx, dy))
        assert max(abs(dx), abs(dy)) <= 32 * SHIFTED + 0.5
        moved = batch.image[b].flip(-1)[:, (down + dy).clamp(0, 31), (across + dx).clamp(0, 31)]
        for was, seen in zip(moved, view.image[b], strict=True):  # each colour by one factor
            factors = ((seen + 1) / (was + 1))[(was > -0.9) & (seen < 1)]
            if len(factors):
                assert factors.max() - factors.min() < 1e-4
                tints.append(float(factors.mean()) - 1)
    assert 0.3 * TINTED < max(map(abs, tints)) <= TINTED + 1e-4
    assert len(shifts) > 3
    for a, b in zip(another_view(batch), view, strict=True):  # the same numbers give the same view
        assert torch.equal(a, b)


def test_a_training_with_references_says_so_and_lends_styles_in_half_of_its_images(
    faces: FaceSet, holes: HoleSet, tmp_path: Path
) -> None:
    config = Config("facial-style", tiny(), {"like": "half"})
    run = module._Run(config, method(config.method), launch(config.preset), None)
    given: list[Any] = []
    run.bare["generator"].register_forward_pre_hook(lambda _, seen: given.append(seen))
    feed = Feed(faces, holes, 4)
    for step in range(6):
        run.step(step, 6, feed)
    references = [seen[3] for seen in given]
    lending = torch.cat([reference.share.any(1) for reference in references])
    chance = torch.cat([feed(step).chance.flatten() for step in range(6)])
    assert not lending[chance >= 0.5].any()
    assert lending[chance < 0.5].sum() > 3
    plain, same, with_references = (tmp_path / name for name in ("plain", "same", "with"))
    for out, options in ((plain, {}), (same, {"like": "none"}), (with_references, {"like": "half"})):
        train(Config("facial-style", tiny(images=8), options), faces, holes, out)
    assert load_generator(with_references)[1].options == {"like": "half"}
    assert results(plain) == results(same)
    assert results(plain)[0] != results(with_references)[0]


def test_references_are_parsed_as_the_faces_are(
    faces: FaceSet, holes: HoleSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config("facial-style", tiny(), {"like": "half"})
    guesser = Config("parser", tiny()).generator()
    run = module._Run(config, method(config.method), launch(config.preset), None, guesser)
    asked: list[float] = []

    def parse(parser: Any, image: torch.Tensor, hole: torch.Tensor) -> torch.Tensor:
        asked.append(float(hole.mean()))
        return torch.full_like(hole[:, 0], len(asked)).byte()

    monkeypatch.setattr(module, "parse", parse)
    given: list[Any] = []
    run.bare["generator"].register_forward_pre_hook(lambda _, seen: given.append(seen))
    run.step(0, 6, Feed(faces, holes, 4))
    assert asked[0] > 0 == asked[1]
    assert given[0][2].unique().tolist() == [1]
    assert given[0][3].regions.unique().tolist() == [2]


def test_batches_are_what_the_contract_says(faces: FaceSet, holes: HoleSet) -> None:
    batch = Feed(faces, holes, 4)(0)
    assert (batch.image.shape, batch.image.dtype) == ((4, 3, 32, 32), torch.float32)
    assert (batch.hole.shape, batch.hole.dtype) == ((4, 1, 32, 32), torch.float32)
    assert (batch.regions.shape, batch.chance.shape) == ((4, 32, 32), (4, 1, 1, 1))
    assert -1 <= batch.image.min() < -0.2 < 0.2 < batch.image.max() <= 1
    assert set(batch.hole.unique().tolist()) == {0.0, 1.0}
    assert ((batch.chance >= 0) & (batch.chance < 1)).all()
    plain = {merge_classes(label).tobytes() for label in faces.labels}
    plain |= {merge_classes(label[:, ::-1]).tobytes() for label in faces.labels}
    assert {region.numpy().tobytes() for region in batch.regions} <= plain


def test_holes_are_mirrored_and_turned_but_never_changed(marked: tuple[FaceSet, HoleSet]) -> None:
    _, holes = marked
    ways = {
        np.ascontiguousarray(way).tobytes(): (h, w) for h, hole in enumerate(holes.holes) for w, way in all_ways(hole)
    }
    assert len(ways) == 32
    feed = Feed(*marked, batch=7)
    seen = {ways[hole.byte().numpy().tobytes()] for step in range(60) for hole in feed(step).hole[:, 0]}
    assert len(seen) == 32  # every hole in every of its eight positions


def all_ways(hole: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    for quarter in range(4):
        yield quarter, np.rot90(hole, quarter)
        yield quarter + 4, np.rot90(hole[:, ::-1], quarter)


def test_memory_mapped_sets_are_read_without_a_warning(faces: FaceSet, holes: HoleSet, tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", faces.images)
    mapped = dataclasses.replace(faces, images=np.load(tmp_path / "images.npy", mmap_mode="r"))
    for a, b in zip(Feed(mapped, holes, 4)(1), Feed(faces, holes, 4)(1), strict=True):
        assert torch.equal(a, b)


def test_a_set_that_stays_on_the_host_gives_the_device_its_batches(faces: FaceSet, holes: HoleSet) -> None:
    # "meta" is a device without numbers, and so without a GPU: what lies where is seen on it as well.
    for data, place in (("device", "meta"), ("host", "cpu")):
        feed = Feed(faces, holes, 4, device="meta", data=data)
        assert {array.device.type for array in feed.arrays} == {place}
        for sent, known in zip(feed(1), Feed(faces, holes, 4)(1), strict=True):
            assert (sent.device.type, sent.shape, sent.dtype) == ("meta", known.shape, known.dtype)
    for a, b in zip(Feed(faces, holes, 4, data="host")(1), Feed(faces, holes, 4)(1), strict=True):
        assert torch.equal(a, b)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
@pytest.mark.parametrize("data", ["device", "host"])
def test_batches_of_a_gpu_are_those_of_a_cpu(data: str, faces: FaceSet, holes: HoleSet) -> None:
    feed = Feed(faces, holes, 4, device="cuda", data=data)
    for sent, known in zip(feed(1), Feed(faces, holes, 4)(1), strict=True):
        torch.testing.assert_close(sent.cpu(), known, rtol=0, atol=1e-6)


def test_a_run_goes_on_wherever_its_pictures_lie(
    faces: FaceSet, holes: HoleSet, tmp_path: Path, undisturbed: Callable[[str], tuple[bytes, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    places: list[str] = []
    made = Feed.__init__
    monkeypatch.setattr(Feed, "__init__", lambda self, *a, **b: places.append(b["data"]) or made(self, *a, **b))
    with pytest.raises(KeyboardInterrupt):
        train(Config("context-encoder", tiny()), faces, holes, tmp_path, progress=Interrupt(3))
    train(Config("context-encoder", tiny(data="host")), faces, holes, tmp_path)
    assert places == ["device", "host"]
    assert results(tmp_path) == undisturbed("context-encoder")


def test_a_feed_refuses_what_does_not_fit(faces: FaceSet, holes: HoleSet) -> None:
    with pytest.raises(DataError, match="32 pixels wide, holes 48"):
        Feed(faces, load_holes("drawn", "train", 48, count=2), 4)
    with pytest.raises(DataError, match="nothing to train on"):
        Feed(faces.subset([]), holes, 4)


def test_more_gpus_than_there_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="4 GPUs are asked for, there are 2"):
        launch(tiny(), "cuda", 4)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    monkeypatch.setenv("WORLD_SIZE", "16")
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    with pytest.raises(ConfigError, match="8 GPUs are asked for, there are 2"):
        launch(tiny(), "cuda", 1)


def test_a_log_is_thinned_to_means_of_equal_stretches(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": i, "loss": i * i}) + "\n" for i in range(1000)))
    thin = thinned_log(log, 10)
    assert [row["step"] for row in thin] == [49.5 + 100 * k for k in range(10)]
    assert thin[3]["loss"] == pytest.approx(np.mean(np.arange(300, 400) ** 2), rel=1e-3)
    assert thinned_log(tmp_path / "none.jsonl") == []
    log.write_text('{"step": 1, "loss": 2}\n{"step": 2}\n')
    with pytest.raises(CheckpointError, match="damaged"):
        thinned_log(log, 10)


PER_PICTURE = {"l1": "all", "perceptual": 0.0, "style": 0.0, "adversarial": 0.0}
"""Loss options of the patent's method with which a loss is the mean of what it is of each picture."""


def test_a_batch_in_parts_takes_the_same_step(faces: FaceSet, holes: HoleSet) -> None:
    made = []
    for at_once in (4, 3, 2, 1):  # 3 does not divide 4: parts are equal, and so of 2
        config = Config("facial-style", tiny(at_once=at_once), PER_PICTURE)
        run = module._Run(config, method(config.method), launch(config.preset), None)
        seen: list[tuple[int, bool]] = []
        run.bare["generator"].register_forward_pre_hook(
            lambda _, given, seen=seen: seen.append((len(given[0]), torch.is_grad_enabled()))
        )
        feed = Feed(faces, holes, 4)
        scalars = [{k: float(v) for k, v in run.step(step, 10, feed).items()} for step in range(3)]
        assert [n for n, graph in seen if graph] == {4: [4], 3: [2, 2], 2: [2, 2], 1: [1] * 4}[at_once] * 3
        made.append((scalars, torch.cat([q.grad.flatten() for q in run.bare["generator"].parameters()])))
    (whole, gradient), *others = made
    for scalars, found in others:
        for ours, theirs in zip(scalars, whole, strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4)
        assert (found - gradient).norm() <= 1e-3 * gradient.norm()  # of the third step


@pytest.mark.parametrize("name", [*FOUR, "parser"])
def test_every_method_learns_from_a_batch_in_parts(name: str, faces: FaceSet, holes: HoleSet) -> None:
    losses = []
    for at_once in (4, 2):
        config, chosen = Config(name, tiny(at_once=at_once)), method(name)
        backbone = load_backbone("squeezenet1_1", "seed") if chosen.perceptual else None
        run = module._Run(config, chosen, launch(config.preset), backbone)
        losses.append({k: float(v) for k, v in run.step(0, 10, Feed(faces, holes, 4)).items()})
    whole, parts = losses
    assert parts.keys() == whole.keys()
    assert parts["generator"] == pytest.approx(whole["generator"], rel=0.1)  # what is averaged over a batch differs


def test_a_run_from_before_some_settings_could_be_said_goes_on(
    faces: FaceSet, holes: HoleSet, started: Path, undisturbed: Callable[[str], tuple[bytes, str]]
) -> None:
    (state,) = (started / "checkpoints").glob("*/state.json")
    for path in (started / "config.json", state):
        about = files.read_json(path)
        for later in ("at_once", "critic_sees", "large_holes"):
            del about["config"]["preset"][later]
        files.write_json(path, about)
    with pytest.raises(CheckpointError, match="at_once is 128 there, 2 here"):
        train(Config("context-encoder", tiny(at_once=2)), faces, holes, started)
    train(Config("context-encoder", tiny()), faces, holes, started)
    assert results(started) == undisturbed("context-encoder")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FOUR, "parser"])
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # which torch hides, and asks for
def test_the_compiled_path_takes_the_same_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, channels_last and the frozen network included, but for the code that a compiler would write."""
    data = load_faces("toy", "train", 64, count=4), load_holes("drawn", "train", 64, count=4)
    monkeypatch.setattr(module, "BACKEND", "aot_eager")
    config, chosen = Config(name, tiny(size=64, batch=2, parser_width=4, compile=True)), method(name)
    made = []
    for where in ((), ("cpu",)):
        monkeypatch.setattr(module, "COMPILED", where)
        torch._dynamo.utils.counters.clear()
        backbone = load_backbone("squeezenet1_1", "seed") if chosen.perceptual else None
        run = module._Run(config, chosen, launch(config.preset), backbone)
        scalars = run.step(0, 10, Feed(*data, 2))
        assert bool(torch._dynamo.utils.counters["stats"]) == bool(where)  # else eager was compared with itself
        gradients = [q.grad.flatten() for q in run.bare["generator"].parameters() if q.grad is not None]
        made.append(({key: float(value) for key, value in scalars.items()}, torch.cat(gradients)))
    torch._dynamo.reset()
    (eager, plain), (compiled, fast) = made
    del eager["gradient"], compiled["gradient"]  # a norm, of which the next line says more
    # In double precision the parser's agree to 1e-14; single precision suffers from its means over so few values.
    assert (plain - fast).norm() <= (5e-2 if name == "parser" else 1e-3) * plain.norm()
    assert compiled == pytest.approx(eager, rel=1e-4, abs=1e-6)
