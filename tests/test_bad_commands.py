"""The bad files of test_bad_input.py as a user meets them: one message that names the file, exit code 2.

Each is given to the command that reads such files, in this process as the console script would. Nothing is written.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import test_bad_input as bad
import torch
from PIL import Image

from faceinpaint import cli, files
from faceinpaint.data.celebahq import ANNOTATIONS, IMAGES, MAPPING
from faceinpaint.errors import DataError
from faceinpaint.training.methods import method


class Said(NamedTuple):
    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Runs a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("FACEINPAINT_WEIGHTS", raising=False)

    def run(*words: object) -> Said:
        monkeypatch.setattr(sys, "argv", ["faceinpaint", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Said(ended.value.code or 0, *capfd.readouterr())

    return run


def refuses(call: Call, folder: Path, named: Path | None, *words: object) -> None:
    """One line that names the file, exit code 2, no traceback, the folder as it was."""
    before = bad.listing(folder)
    said = call(*words)
    assert said.code == 2, said
    messages = [line for line in said.err.splitlines() if line.startswith("Error: ")]
    assert len(messages) == 1, said.err
    assert "Traceback" not in said.err + said.out
    if named is not None:
        assert str(named) in messages[0]
    assert bad.listing(folder) == before


# ------------------------------------------------------------------------------------------------------ inpaint


FILES = ("photo", "hole", "labels")


@pytest.fixture
def scene(tmp_path: Path) -> dict[str, Path]:
    """A photograph, its hole and its map, all of them good."""
    places = {name: tmp_path / f"{name}.png" for name in FILES}
    Image.fromarray(bad.photo()).save(places["photo"])
    Image.fromarray(bad.spot() * 255).save(places["hole"])
    Image.fromarray(bad.spot()).save(places["labels"])
    return places


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bad.saved(tmp_path_factory.mktemp("generator"))


def repair(scene: dict[str, Path], weights: Path) -> tuple[object, ...]:
    words = ("--hole", scene["hole"], "--parsing", scene["labels"], "--box", "whole", "--outside", "classical")
    out = ("--out", scene["photo"].with_name("repaired.png"))
    return ("inpaint", scene["photo"], *words, "--weights", weights, "--device", "cpu", *out)


def test_the_good_scene_is_repaired(call: Call, scene: dict[str, Path], generator: Path, tmp_path: Path) -> None:
    assert call(*repair(scene, generator)).code == 0
    assert (tmp_path / "repaired.png").exists()


@pytest.mark.parametrize(
    ("kind", "reader"),
    [(k, r) for k in bad.BROKEN for r in FILES if (k, r) != ("a folder", "photo")],  # that would be several photographs
)
def test_broken_pictures(
    call: Call, scene: dict[str, Path], generator: Path, tmp_path: Path, kind: str, reader: str
) -> None:
    scene[reader].unlink()
    bad.BROKEN[kind](scene[reader])
    refuses(call, tmp_path, scene[reader], *repair(scene, generator))


@pytest.mark.parametrize("name", [n for n in bad.UNFIT if n != "transparent photo"])  # repaired as it is
def test_pictures_of_the_wrong_kind(
    call: Call, scene: dict[str, Path], generator: Path, tmp_path: Path, name: str
) -> None:
    reader, write, _ = bad.UNFIT[name]
    write(scene[reader])
    refuses(call, tmp_path, scene[reader], *repair(scene, generator))


@pytest.mark.parametrize("name", bad.GENERATORS)
def test_damaged_and_foreign_generators(call: Call, scene: dict[str, Path], tmp_path: Path, name: str) -> None:
    path = bad.saved(tmp_path / "run")
    bad.GENERATORS[name](path)
    refuses(call, tmp_path, None if "option" in name else path.with_suffix(""), *repair(scene, path))


# ------------------------------------------------------------------------------------------------------ evaluate


@pytest.fixture(scope="module")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of two test faces and one of six test holes, one for each bin, of the size of the smallest preset."""
    folder = tmp_path_factory.mktemp("caches")
    for name in ("one", "two"):
        bad.good_pair(folder / "faces" / "test", name, 64)
    (folder / "holes" / "test").mkdir(parents=True)
    for width in (3, 10, 16, 22, 29, 35):
        hole = np.zeros((64, 64), np.uint8)
        hole[:, :width] = 255
        Image.fromarray(hole).save(folder / "holes" / "test" / f"{width}.png")
    bad.prepare(folder / "faces", folder / "cache" / "faces-test-64", split="test", size=64)
    bad.prepare_holes(folder / "holes", folder / "cache" / "holes-test-64", split="test", size=64)
    return folder / "cache"


def measure(caches: Path) -> tuple[object, ...]:
    return ("evaluate", "mean-fill", "--out", "record.json", "--faces", caches, "--holes", caches, "--device", "cpu")


@pytest.mark.parametrize("name", bad.LISTS)
def test_bad_pair_lists(call: Call, caches: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "pairs.csv").write_bytes(bad.LISTS[name])
    words = (*measure(caches), "--pairs", "pairs.csv", "--weights", "seed")
    refuses(call, tmp_path, Path("pairs.csv"), *words)


def test_pairs_of_other_data(call: Call, caches: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_bytes(bad.row())
    refuses(call, tmp_path, None, *measure(caches), "--pairs", "pairs.csv", "--weights", "seed")


@pytest.mark.parametrize("name", bad.NETWORKS)
def test_bad_weights_of_frozen_networks(call: Call, caches: Path, tmp_path: Path, name: str) -> None:
    path = tmp_path / "weights" / "alexnet.safetensors"
    path.parent.mkdir()
    bad.NETWORKS[name](path)
    refuses(call, tmp_path, path.parent, *measure(caches), "--weights", path.parent)


# ------------------------------------------------------------------------------------------ prepare, check, table


@pytest.mark.parametrize("name", bad.MAPPINGS)
def test_bad_mapping_files(call: Call, tmp_path: Path, name: str) -> None:
    for folder in (IMAGES, ANNOTATIONS):
        (tmp_path / "shipped" / folder).mkdir(parents=True)
    path = tmp_path / "shipped" / MAPPING
    path.write_bytes(bad.MAPPINGS[name])
    refuses(call, tmp_path, path, "data", "prepare", "--size", "64", "--faces", tmp_path / "shipped", "--out", "out")


@pytest.mark.parametrize("name", [n for n in bad.BROKEN if n != "missing"])
def test_folders_with_one_broken_picture(call: Call, tmp_path: Path, name: str) -> None:
    """Left out with its reason; and nothing is left."""
    bad.good_pair(tmp_path / "faces", "odd")
    path = tmp_path / "faces" / "images" / "odd.png"
    path.unlink()
    bad.BROKEN[name](path)
    (tmp_path / "out").mkdir()
    refuses(
        call,
        tmp_path,
        Path("out"),
        "data",
        "prepare",
        "--size",
        "64",
        "--faces",
        "faces",
        "--split",
        "all",
        "--out",
        "out",
    )


@pytest.mark.parametrize("kind", ["faces", "holes"])
@pytest.mark.parametrize("name", [n for n in bad.CACHES if n not in ("other split", "no split")])
def test_damaged_caches(call: Call, tmp_path: Path, kind: str, name: str) -> None:
    bad.cache_of(kind, tmp_path)
    bad.CACHES[name](tmp_path / "cache")
    refuses(call, tmp_path, Path("cache"), "data", "check", "cache")


@pytest.mark.parametrize("name", bad.RECORDS)
def test_damaged_records(call: Call, tmp_path: Path, name: str) -> None:
    (tmp_path / "record.json").write_bytes(bad.RECORDS[name])
    refuses(call, tmp_path, Path("record.json"), "table", "record.json", "--out", "tables")


# --------------------------------------------------------------------------------------------------------- train

TRAIN = (
    "train", "context-encoder", "--device", "cpu", "--out", "out",
    *(
        word
        for name, value in (bad.TINY | {"faces": 2, "holes": 2}).items()
        if method("context-encoder").reads(name)
        for word in ("--set", f"{name}={value}")
    ),
)  # fmt: skip


@pytest.fixture
def interrupted(call: Call, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, stopped before its end; made once."""
    kept = tmp_path_factory.getbasetemp() / "interrupted"
    if not kept.exists():
        assert call(*TRAIN).code == 0
        for path in (tmp_path / "out").glob("generator.*"):
            path.unlink()
        shutil.copytree(tmp_path / "out", kept)
    else:
        shutil.copytree(kept, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("name", bad.RUNS)
def test_damaged_runs(call: Call, interrupted: Path, tmp_path: Path, name: str) -> None:
    bad.RUNS[name](interrupted)
    refuses(call, tmp_path, Path("out"), *TRAIN)


def test_start_smaller_wants_a_smaller_network(call: Call, generator: Path, tmp_path: Path) -> None:
    refuses(call, tmp_path, None, *TRAIN, "--set", "start=smaller")
    refuses(call, tmp_path, generator, *TRAIN, "--set", "start=smaller", "--smaller", generator)  # no parser beside it
    refuses(call, tmp_path, Path("absent"), *TRAIN, "--set", "start=smaller", "--smaller", "absent")


def test_there_are_at_least_two_hundred_commands() -> None:
    counts = (
        len(bad.BROKEN) * len(FILES), len(bad.UNFIT), len(bad.GENERATORS), len(bad.LISTS), len(bad.NETWORKS),
        len(bad.MAPPINGS), len(bad.BROKEN), 2 * len(bad.CACHES), len(bad.RECORDS), len(bad.RUNS),
    )  # fmt: skip
    assert sum(counts) > 350


# ------------------------------------------------------------------------------------------------------ results


@pytest.mark.parametrize("kind", ["folder", "pipe"])
def test_what_is_no_plain_file_is_refused_before_the_work(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    place = tmp_path / "there"
    place.mkdir() if kind == "folder" else os.mkfifo(place)
    monkeypatch.setattr(
        "faceinpaint.comparison.evaluate.evaluate", lambda *a, **k: pytest.fail("it was measured first")
    )
    refuses(call, tmp_path, place, "evaluate", "mean-fill", "--out", place)
    with pytest.raises(DataError, match="not a plain file"), files.replacing(place):
        pass


@pytest.mark.parametrize("words", [("evaluate",), ("export", "--onnx")])
@pytest.mark.parametrize("name", ["generator.safetensors", "generator.json"])
def test_a_result_does_not_replace_the_weights_that_it_is_made_from(
    call: Call, generator: Path, tmp_path: Path, words: tuple[str, ...], name: str
) -> None:
    run = generator.parent if generator.is_file() else generator
    own = run / name
    before = own.read_bytes()
    refuses(call, tmp_path, own, *words, run, "--out", own)
    assert own.read_bytes() == before


def test_a_run_has_its_own_preset(call: Call, generator: Path, tmp_path: Path) -> None:
    refuses(call, tmp_path, generator, "evaluate", generator, "--preset", "smoke", "--out", tmp_path / "a.json")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("3 TiB"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3 TiB"),
        cv2.error("alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 3 TiB"),
    ],
)
def test_too_little_memory_is_one_message(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("faceinpaint.data.sources.Sources.test", full)
    said = call("evaluate", "mean-fill", "--out", tmp_path / "a.json")
    assert said.code == 2
    assert "not enough memory" in said.err
    assert "smaller batch" in said.err


@pytest.mark.parametrize("defect", ["a defect", "CUDA error: an illegal memory access was encountered"])
def test_another_error_is_not_taken_for_one_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, defect: str
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError(defect)

    monkeypatch.setattr("faceinpaint.data.sources.Sources.test", broken)
    monkeypatch.setattr(sys, "argv", ["faceinpaint", "evaluate", "mean-fill", "--out", str(tmp_path / "a.json")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match=defect):
        cli.main()
