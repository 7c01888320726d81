"""The decoded cache: whole or not there, checked when it is opened, and divided by name."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceinpaint.data.cache import (
    Item,
    Listing,
    Prepared,
    build,
    check,
    check_request,
    find,
    folder_name,
    in_split,
    load,
    plain_name,
    room,
    split_folder,
)
from faceinpaint.errors import ConfigError, DataError

META = {"kind": "things", "size": 16, "split": "train"}
ARRAYS = {"things": (16, 16)}


def listing(n: int = 4, digest: str = "d") -> Listing:
    return Listing([f"n{i}" for i in range(n)], list(range(n)), "test things", digest)


def read(number: int) -> Item:
    """Item 2 is bad; the others are filled with their number."""
    if number == 2:
        raise DataError("it is two", "Do without", f"file{number}")
    return Item((np.full((16, 16), number, np.uint8),), {"sha256": f"{number:064d}"}, ("odd",) * (number % 2))


def made(folder: Path, n: int = 4) -> Path:
    build(folder, listing(n), read, ARRAYS, META)
    return folder


def test_build_and_load(tmp_path):
    result = build(tmp_path / "a" / "out", listing(), read, ARRAYS, META, review=lambda facts: [str(len(facts["ids"]))])
    notes = ["2 of 4 files: odd", "3"]
    skipped = [{"file": "file2", "reason": "it is two"}]
    assert result == Prepared(tmp_path / "a" / "out", 3, skipped, notes, False)
    meta, (things,) = load(tmp_path / "a" / "out", "things", ["things"])
    assert meta["ids"] == ["n0", "n1", "n3"]
    assert meta["sha256"] == [f"{i:064d}" for i in (0, 1, 3)]
    assert meta["source"] == "test things"
    assert things[:, 0, 0].tolist() == [0, 1, 3]
    with pytest.raises(ValueError, match="read-only"):
        things[0] = 1


def test_build_keeps_what_another_process_finished_first(tmp_path):
    """The rename fails because the folder has appeared meanwhile; the finished cache is then used."""
    started = []

    def slow(number: int) -> Item:
        if not started:
            started.append(True)
            shutil.copytree(made(tmp_path / "other"), tmp_path / "out")
        return read(number)

    result = build(tmp_path / "out", listing(), slow, ARRAYS, META, workers=1)
    assert result.reused
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_build_uses_an_empty_folder_but_no_other(tmp_path):
    (tmp_path / "out").mkdir()
    assert made(tmp_path / "out") == tmp_path / "out"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="in use and is not a cache"):
        made(tmp_path / "mine")
    assert (tmp_path / "mine" / "letter.txt").read_text() == "dear"
    with pytest.raises(DataError, match="is not a cache"):
        made(tmp_path / "mine" / "letter.txt")


def test_build_asks_for_room_first(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10, 9, 1000))
    with pytest.raises(DataError, match="no room"):
        made(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_not_text_do_not_stop_the_report(tmp_path):
    odd = os.fsdecode(b"b\xffd.png")

    def bad_name(number: int) -> Item:
        if number == 2:
            raise DataError("it is two", "Do without", odd)
        return read(number)

    build(tmp_path / "out", listing(), bad_name, ARRAYS, META)
    assert json.loads((tmp_path / "out" / "meta.json").read_text("utf-8"))["skipped"][0]["file"] == "b?d.png"


def spoil(folder: Path, how: str) -> None:
    meta, data = folder / "meta.json", folder / "things.npy"
    entries = json.loads(meta.read_text())
    if how == "no meta":
        meta.unlink()
    elif how == "half meta":
        meta.write_text(meta.read_text()[:50])
    elif how == "list":
        meta.write_text("[]")
    elif how == "kind":
        meta.write_text(json.dumps(entries | {"kind": "faces"}))
    elif how == "twice":
        meta.write_text(json.dumps(entries | {"ids": ["n0", "n0", "n3"]}))
    elif how == "path":
        meta.write_text(json.dumps(entries | {"ids": ["n0", "../n1", "n3"]}))
    elif how == "checksums":
        meta.write_text(json.dumps(entries | {"sha256": []}))
    elif how == "ids":
        meta.write_text(json.dumps({k: v for k, v in entries.items() if k != "ids"}))
    elif how == "count":
        meta.write_text(json.dumps(entries | {"ids": ["n0", "n1"], "sha256": ["0", "1"]}))
    elif how == "no array":
        data.unlink()
    elif how == "cut":
        data.write_bytes(data.read_bytes()[:300])
    elif how == "empty":
        data.write_bytes(b"")
    elif how == "type":
        np.save(data, np.zeros((3, 16, 16), np.float32))
    elif how == "objects":
        np.save(data, np.array([{}, {}, {}], dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("no meta", "cannot be read"), ("half meta", "cannot be read"), ("list", "incomplete"),
        ("kind", "not a cache of things"), ("twice", "incomplete"), ("path", "incomplete"),
        ("checksums", "incomplete"), ("ids", "incomplete"), ("count", "its shape is"), ("no array", "cannot be read"),
        ("cut", "cannot be read"), ("empty", "cannot be read"), ("type", "its type is float32"),
        ("objects", "cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_cache_is_refused(tmp_path, how, problem):
    folder = made(tmp_path / "out")
    load(folder, "things", ["things"])
    spoil(folder, how)
    with pytest.raises(DataError, match=problem) as caught:
        load(folder, "things", ["things"])
    assert str(folder) in str(caught.value)


def test_what_killed_runs_left_is_removed(tmp_path):
    """A folder of this process number or of a process that is gone; not one of a process that still runs."""
    host = socket.gethostname()
    gone, running = (tmp_path / f".out.{host}.{pid}.partial" for pid in (2**22 + 1, os.getppid()))
    for left in (gone, running, tmp_path / f".out.{host}.{os.getpid()}.partial"):
        left.mkdir()
        (left / "things.npy").write_bytes(b"x")
    made(tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([running.name, "out"])


def holes_cache(folder: Path, split: str, fill: int = 1, first: int = 0) -> Path:
    """Three holes, each a constant, with the checksums ``first``, ``first`` + 1, ..."""

    def one(number: int) -> Item:
        return Item((np.full((16, 16), fill, np.uint8),), {"sha256": f"{number + first:064d}"})

    build(folder, listing(3), one, {"holes": (16, 16)}, {"kind": "holes", "size": 16, "split": split})
    return folder


def test_check_reads_everything_and_reports(tmp_path):
    holes_cache(tmp_path / "a-test", "test")
    holes_cache(tmp_path / "a-train", "train", first=3)
    want = "3 holes of 16 x 16 pixels, 0 left out; test things"
    assert check(tmp_path) == [f"a-test: {want}", f"a-train: {want}"]
    assert check(str(tmp_path / "a-test")) == [f"a-test: {want}"]
    meta = json.loads((tmp_path / "a-test" / "meta.json").read_text())
    meta |= {"notes": ["2 of 3 files: odd"], "skipped": [{"file": "x.png", "reason": "it is empty"}]}
    (tmp_path / "a-test" / "meta.json").write_text(json.dumps(meta))
    assert check(tmp_path / "a-test")[1:] == ["  2 of 3 files: odd", "  left out: x.png: it is empty"]


def test_check_refuses_a_picture_in_two_splits(tmp_path):
    holes_cache(tmp_path / "test", "test")
    holes_cache(tmp_path / "all", "all")
    check(tmp_path)
    holes_cache(tmp_path / "train", "train", first=2)
    with pytest.raises(DataError, match="n0 is in split test too"):
        check(tmp_path)


def test_check_refuses_impossible_values_and_an_empty_folder(tmp_path):
    with pytest.raises(DataError, match="no prepared cache"):
        check(tmp_path)
    holes_cache(tmp_path / "a", "train", fill=2)
    with pytest.raises(DataError, match="a value is above 1"):
        check(tmp_path)


def test_find(tmp_path):
    assert find("things", made(tmp_path / "a"), "train", 16) == tmp_path / "a"
    made(tmp_path / "all" / folder_name("things", "train", 16))
    assert find("things", tmp_path / "all", "train", 16) == tmp_path / "all" / "things-train-16"
    (tmp_path / "pictures").mkdir()
    assert find("things", tmp_path / "pictures", "train", 16) is None
    with pytest.raises(DataError, match="no such folder"):
        find("things", tmp_path / "none", "train", 16)


def test_caches_of_another_size_are_named_with_the_command(tmp_path):
    for size in (16, 32):
        made(tmp_path / folder_name("things", "train", size))
    with pytest.raises(
        DataError, match="holds things-train-16 and things-train-32, wanted is things-train-64"
    ) as caught:
        find("things", tmp_path, "train", 64)
    assert "faceinpaint data prepare --things FOLDER --split train --size 64 --out" in caught.value.remedy


def test_without_a_cache_the_one_of_the_environment_is_taken(tmp_path, monkeypatch):
    monkeypatch.delenv("FACEINPAINT_CACHE", raising=False)
    with pytest.raises(ConfigError, match="no folder for one is given") as caught:
        room("faces", "CelebAMask-HQ", "test", 64, None)
    assert "data prepare --faces CelebAMask-HQ --size 64 --out" in caught.value.remedy
    monkeypatch.setenv("FACEINPAINT_CACHE", str(tmp_path))
    assert room("faces", "CelebAMask-HQ", "test", 64, None) == tmp_path / "faces-test-64"
    assert room("faces", "CelebAMask-HQ", "test", 64, tmp_path / "own") == tmp_path / "own" / "faces-test-64"


def test_a_folder_too_high_or_too_low_is_named(tmp_path):
    def has(folder):
        return (folder / "a.png").exists()

    for folder in ("set/train", "other"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "set" / "train" / "a.png").touch()
    for wrong in (tmp_path, tmp_path / "set" / "train" / "lower"):
        wrong.mkdir(exist_ok=True)
        with pytest.raises(DataError, match="no pictures were found there") as caught:
            split_folder(wrong, "train", has)
        right = tmp_path / "set" if wrong == tmp_path else tmp_path / "set" / "train"
        assert caught.value.remedy == f"They are in {right}: name that"
    (tmp_path / "other" / "shipped").mkdir()
    with pytest.raises(DataError, match=r"They are in .*other: name that"):
        split_folder(tmp_path / "other" / "shipped", "train", has, lambda folder: (folder / "shipped").is_dir())


def test_split_folder(tmp_path):
    (tmp_path / "train").mkdir()
    assert split_folder(tmp_path, "train", Path.is_dir) == (tmp_path / "train", False)
    with pytest.raises(DataError, match="it holds train, not val"):
        split_folder(tmp_path, "val", Path.is_dir)
    with pytest.raises(DataError, match="no pictures"):
        split_folder(tmp_path, "val", lambda folder: False)


def test_requests():
    check_request("val", 16)
    for split, size in (("dev", 64), ("train", 15)):
        with pytest.raises(ConfigError):
            check_request(split, size)


def test_a_name_never_changes_its_side():
    """Pinned, because a test face that became a training face would spoil every comparison."""
    assert [i for i in range(40) if in_split(f"{i:05d}", "test")] == PINNED_TEST


PINNED_TEST = [2, 13, 17, 24, 27]


@given(st.text(max_size=12))
def test_every_name_is_on_exactly_one_side(name):
    assert in_split(name, "train") != in_split(name, "test")
    assert in_split(name, "all")
    assert not in_split(name, "val")


@pytest.mark.parametrize("name", ["00012", "toy-train-00012", "Zoë", "a b", "x..y"])
def test_plain_names(name):
    assert plain_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "a\\b", "/a", "C:a", "a\n", "a\0", 'a"', "\udcff"])
def test_names_that_are_not_plain(name):
    assert not plain_name(name)


def test_a_cache_that_another_process_finished_first_is_kept(tmp_path):
    """Both make the same; the one that comes second finds it and leaves nothing behind."""
    out = tmp_path / "out"

    def late(number):
        if number == 3 and not out.exists():
            build(tmp_path / "other", listing(), read, ARRAYS, META)
            (tmp_path / "other").rename(out)
        return read(number)

    result = build(out, listing(), late, ARRAYS, META, workers=1)
    assert result.reused
    assert result.count == 3
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_a_process_of_another_user_is_making_is_left_alone(tmp_path, monkeypatch):
    def kill(pid, signal):
        raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    theirs = tmp_path / f".out.{socket.gethostname()}.{os.getppid()}.partial"
    theirs.mkdir()
    made(tmp_path / "out")
    assert theirs.exists()


def test_check_refuses_a_cache_of_something_unknown(tmp_path):
    with pytest.raises(DataError, match="'things' is not known"):
        check(made(tmp_path / "out"))
