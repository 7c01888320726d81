"""Full disks, read-only folders, vanished files, two runs in one folder, Ctrl-C: a clear message, nothing lost."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from records import leave

from faceinpaint.data.toy import toy_faces

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from test_distributed import (  # noqa: F401  one of the faults: collected here too
    test_a_killed_worker_ends_the_run_with_a_clear_message_and_the_run_resumes,
)

pytestmark = pytest.mark.soak

TRAIN = [
    "train",
    "gated-conv",
    "--faces",
    "toy",
    "--holes",
    "drawn",
    "--device",
    "cpu",
    "--weights",
    "seed",
    "--set",
    "size=32",
    "--set",
    "images=40",
    "--set",
    "batch=2",
    "--set",
    "faces=6",
    "--set",
    "holes=6",
    "--set",
    "baseline_scale=0.06",
    "--set",
    "checkpoint_every=4",
    "--set",
    "sample_every=20",
]

passed: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def record() -> Iterator[None]:
    began = time.monotonic()
    yield
    if len(passed) >= 7:
        leave("faults", {"passed": passed}, 0, began)


@pytest.fixture(autouse=True)
def note(request: pytest.FixtureRequest) -> Iterator[None]:
    before = request.session.testsfailed
    yield
    if request.session.testsfailed == before:
        passed.append(request.node.name)


def start(*arguments: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "faceinpaint", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, **options
    )  # type: ignore[call-overload]


def run(*arguments: str, code: int, **options: object) -> str:
    process = start(*arguments, **options)
    _, err = process.communicate(timeout=600)
    assert process.returncode == code, err
    assert "Traceback" not in err
    return err


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("undisturbed")
    run(*TRAIN, "--out", str(out), code=0)
    return (out / "generator.safetensors").read_bytes()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB, if this machine lets us mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(place)], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("mounting a small disk needs rights that this user does not have")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def pictures(folder: Path, count: int = 30) -> None:
    faces = toy_faces(count, 64)
    for kind, arrays in (("images", faces.images), ("labels", faces.labels)):
        (folder / "train" / kind).mkdir(parents=True)
        for name, array in zip(faces.ids, arrays, strict=True):
            Image.fromarray(array).save(folder / "train" / kind / f"{name}.png")


def test_training_on_a_full_disk_says_so_and_goes_on_when_there_is_room(small_disk: Path, undisturbed: bytes) -> None:
    out = small_disk / "run"
    said = run(*TRAIN, "--out", str(out), code=2)
    assert "No space left" in said
    remount(small_disk, "size=60m")
    run(*TRAIN, "--out", str(out), code=0)
    assert (out / "generator.safetensors").read_bytes() == undisturbed
    assert not [p for p in out.rglob("*") if p.name.endswith((".new", ".partial"))]


def test_preparing_on_a_full_disk_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "faces")
    command = ("data", "prepare", "--faces", str(tmp_path / "faces"), "--size", "128", "--split", "train", "--out")
    said = run(*command, str(small_disk / "cache"), code=2)
    assert "no room" in said
    assert not list((small_disk / "cache").glob("*"))
    remount(small_disk, "size=60m")
    run(*command, str(small_disk / "cache"), code=0)


def test_a_read_only_folder_is_named(small_disk: Path) -> None:
    remount(small_disk, "ro")
    draw = ["data", "toy", "--count", "1", "--size", "16"]
    measure = ["evaluate", "mean-fill", "--weights", "seed", "--device", "cpu"]
    for command in (TRAIN, draw, measure, ["reproduce"]):
        said = run(*command, "--out", str(small_disk / "out"), code=2)
        assert "Read-only file system" in said
        assert str(small_disk) in said


def test_a_limit_on_the_size_of_files_is_met_cleanly(tmp_path: Path, undisturbed: bytes) -> None:
    """As a quota would; the memory-mapped cache and the checkpoint are refused, then made."""
    pictures(tmp_path / "faces")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    prepare = ("data", "prepare", "--faces", str(tmp_path / "faces"), "--size", "64", "--split", "train", "--out")
    for command, out in ((prepare, tmp_path / "cache"), (TRAIN, tmp_path / "run")):
        said = run(*command, str(out) if command is prepare else f"--out={out}", code=2, preexec_fn=limit)
        assert "Error" in said
        assert "File too large" in said
    assert not list((tmp_path / "cache").glob(".*")) + list((tmp_path / "cache").glob("*"))
    run(*TRAIN, f"--out={tmp_path / 'run'}", code=0)
    assert (tmp_path / "run" / "generator.safetensors").read_bytes() == undisturbed


def until(condition: object, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_second_run_in_one_folder_is_refused_and_the_first_goes_on(tmp_path: Path, undisturbed: bytes) -> None:
    out = tmp_path / "run"
    first = start(*TRAIN, "--out", str(out))
    until((out / "log.jsonl").exists)
    first.send_signal(signal.SIGSTOP)
    try:
        said = run(*TRAIN, "--out", str(out), code=2)
    finally:
        first.send_signal(signal.SIGCONT)
    assert "another run is writing there" in said
    assert str(out) in said
    first.communicate(timeout=600)
    assert first.returncode == 0
    assert (out / "generator.safetensors").read_bytes() == undisturbed


def test_two_preparations_at_once_make_one_cache(tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 60)
    command = ("data", "prepare", "--faces", str(tmp_path / "faces"), "--size", "64", "--split", "train", "--out")
    both = [start(*command, str(tmp_path / "cache")) for _ in range(2)]
    for process in both:
        assert process.wait(600) == 0, process.stderr
        with contextlib.suppress(AttributeError):
            process.communicate()
    assert [p.name for p in (tmp_path / "cache").iterdir()] == ["faces-train-64"]
    run("data", "check", str(tmp_path / "cache"), code=0)


def test_ctrl_c_stops_training_after_the_step(tmp_path: Path, undisturbed: bytes) -> None:
    out = tmp_path / "run"
    for _ in range(2):
        process = start(*TRAIN, "--out", str(out))
        logged = (out / "log.jsonl").stat().st_size if out.exists() else 0
        until(lambda: (out / "log.jsonl").exists() and (out / "log.jsonl").stat().st_size > logged)  # noqa: B023
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=600)
        assert process.returncode in (130, 0), err
        assert "Traceback" not in err
        if process.returncode == 130:
            assert "goes on where it was" in err
    run(*TRAIN, "--out", str(out), code=0)
    assert (out / "generator.safetensors").read_bytes() == undisturbed


def test_a_file_that_vanishes_is_named_and_the_rest_prepared(tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 200)
    command = ("data", "prepare", "--faces", str(tmp_path / "faces"), "--size", "64", "--split", "train", "--out")
    process = start(*command, str(tmp_path / "cache"))
    until(lambda: list((tmp_path / "cache").glob(".*.partial")))
    last = sorted((tmp_path / "faces" / "train" / "images").iterdir())[-1]
    last.unlink()
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    assert f"{last}: there is no such file" in out
    assert "199 faces, 1 left out" in out


def test_a_vanished_cache_is_named(tmp_path: Path) -> None:
    pictures(tmp_path / "faces", 4)
    run("data", "prepare", "--faces", str(tmp_path / "faces"), "--size", "32", "--split", "train", "--out",
        str(tmp_path / "cache"), code=0)  # fmt: skip
    shutil.rmtree(tmp_path / "cache" / "faces-train-32")
    said = run(*TRAIN, "--faces", str(tmp_path / "cache"), "--out", str(tmp_path / "run"), code=2)
    assert str(tmp_path / "cache") in said
