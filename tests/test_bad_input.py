"""Bad input to every reader: one error of the library's own that names the file, the problem and the remedy.

Each case writes one bad thing and says which call must refuse it. On the command line the same errors end with exit
code 2 and no traceback. Whatever is refused, nothing is written.
"""

from __future__ import annotations

import copy
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from faceinpaint import cli, files, weights
from faceinpaint.backbones import load_backbone
from faceinpaint.comparison import table
from faceinpaint.comparison.records import VERSION, Record, read_records
from faceinpaint.comparison.reproduce import reproduce
from faceinpaint.data import celebahq
from faceinpaint.data.cache import check
from faceinpaint.data.celebahq import open_faces, prepare, read_mapping
from faceinpaint.data.images import read_labels, read_rgb
from faceinpaint.data.masks import BIN_NAMES, drawn_holes, load_hole, open_holes, prepare_holes
from faceinpaint.data.pairs import Pair, check_pairs, read_pairs, write_pairs
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.data.sources import load_faces, load_holes
from faceinpaint.errors import ConfigError, DataError, FaceInpaintError
from faceinpaint.presets import preset
from faceinpaint.repair.photograph import inpaint
from faceinpaint.repair.pictures import read_photograph
from faceinpaint.training.run import Config, load_generator
from faceinpaint.training.train import train

Write = Callable[[Path], Any]


def listing(folder: Path) -> set[tuple[str, int]]:
    """Everything under a folder, by name and size."""
    return {(str(p.relative_to(folder)), p.lstat().st_size) for p in folder.rglob("*")}


def refused(call: Callable[[], Any], folder: Path, named: Path | None) -> FaceInpaintError:
    """The call fails with one error that says what, where and how to mend it, and leaves the folder as it was."""
    before = listing(folder)
    with pytest.raises(FaceInpaintError) as caught:
        call()
    error = caught.value
    assert type(error) is not FaceInpaintError
    assert error.problem
    assert error.remedy
    assert not error.remedy.endswith(".")
    assert "\n" not in str(error)
    if named is not None:
        assert str(named) in str(error)
    assert listing(folder) == before
    return error


# ------------------------------------------------------------------------------------------------------ pictures


def noise(size: int = 32, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    array = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(array).convert(mode).save(out, kind, **options)
    return out.getvalue()


def png(width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes = b"") -> bytes:
    """A PNG that claims this size and kind, whatever it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def animation(kind: str) -> bytes:
    out = io.BytesIO()
    frames = [Image.new("L", (20, 20), shade) for shade in (0, 200)]
    frames[0].save(out, kind, save_all=True, append_images=frames[1:])
    return out.getvalue()


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, noise())
    return out.getvalue()


def array_file(array: np.ndarray, pickled: bool = False) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=pickled)
    return out.getvalue()


def content(data: bytes) -> Write:
    return lambda path: path.write_bytes(data)


def tiff(array: np.ndarray) -> Write:
    return lambda path: Image.fromarray(array).save(path, "TIFF")


BROKEN: dict[str, Write] = {
    "missing": lambda path: None,
    "a folder": lambda path: path.mkdir(),
    "a link to nothing": lambda path: path.symlink_to("nowhere.png"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": lambda path: os.mkfifo(path),
    "no bytes": content(b""),
    "one byte": content(b"\x89"),
    "zeros": content(bytes(4096)),
    "signature only": content(noise()[:8]),
    "header only": content(noise()[:33]),
    "truncated PNG": content(noise()[:900]),
    "truncated JPEG": content(noise(kind="JPEG", quality=95)[:700]),
    "truncated WebP": content(noise(kind="WEBP", lossless=True)[:600]),
    "truncated BMP": content(noise(kind="BMP")[:500]),
    "no pixels": content(png(16, 16)),
    "no width": content(png(0, 16)),
    "a web page": content(b"<!doctype html><title>404</title>"),
    "SVG": content(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "PDF": content(b"%PDF-1.7\n1 0 obj\n"),
    "PostScript": content(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n"),
    "a program": content(b"\x7fELF\x02\x01\x01" + bytes(64)),
    "an archive": content(zipped("a.png")),
    "an archive that climbs": content(zipped("../../a.png")),
    "an archive from the root": content(zipped("/a.png")),
    "an array": content(array_file(np.zeros((20, 20, 3), np.uint8))),
    "a pickle": content(pickle.dumps({"picture": 1})),
    "animated GIF": content(animation("GIF")),
    "animated PNG": content(animation("PNG")),
    "animated TIFF": content(animation("TIFF")),
    "decompression bomb": content(png(60_000, 60_000)),
    "20,000 pixels wide and high": content(png(20_000, 20_000)),
    "more pixels than there are numbers": content(png(2**31 - 1, 2**31 - 1)),
    "float pixels": tiff(np.full((20, 20), np.nan, np.float32)),
}
"""Files that no reader of pictures takes."""

READERS: dict[str, Callable[[Path], Any]] = {
    "photo": read_rgb, "photograph": read_photograph, "labels": read_labels, "hole": load_hole,
}  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_pictures_are_refused(tmp_path: Path, kind: str, reader: str) -> None:
    path = tmp_path / "x.png"
    BROKEN[kind](path)
    refused(lambda: READERS[reader](path), tmp_path, path)


def grey(value: int, size: int = 20) -> Write:
    return lambda path: Image.new("L", (size, size), value).save(path)


UNFIT: dict[str, tuple[str, Write, str]] = {
    "CMYK photo": ("photo", content(noise(kind="JPEG", mode="CMYK")), "CMYK"),
    "Lab photo": ("photo", content(noise(kind="TIFF", mode="LAB")), "LAB"),
    "transparent photo": ("photo", lambda p: Image.new("RGBA", (20, 20), (9, 9, 9, 9)).save(p), "transparent"),
    "32-bit photo": ("photo", tiff(np.zeros((20, 20), np.int32)), "not RGB"),
    "unknown class": ("labels", grey(19), "class 19"),
    "class 255": ("labels", grey(255), "class 255"),
    "colour-coded labels": ("labels", content(noise()), "colours"),
    "one colour": ("labels", lambda p: Image.new("RGB", (20, 20), (204, 0, 0)).save(p), "colours"),
    "lossy labels": ("labels", content(noise(kind="JPEG", mode="L")), "not a picture"),
    "animated-format labels": ("labels", content(noise(kind="GIF", mode="L")), "not a picture"),
    "16-bit unknown class": ("labels", lambda p: Image.fromarray(np.full((9, 9), 300, np.uint16)).save(p), "class 300"),
    "negative class": ("labels", tiff(np.full((9, 9), -1, np.int32)), "class -1"),
    "2-bit labels": ("labels", content(png(4, 4, 2, 0, b"\0\0" * 4)), "2 bits"),
    "4-bit labels": ("labels", content(png(4, 4, 4, 0, b"\0\0\0" * 4)), "4 bits"),
    "no hole": ("hole", grey(0), "no hole"),
    "all hole": ("hole", grey(255), "nothing but hole"),
    "all grey": ("hole", grey(200), "nothing but hole"),
    "dark grey": ("hole", grey(100), "no white"),
    "zeros and ones": ("hole", lambda p: Image.fromarray(np.eye(20, dtype=np.uint8)).save(p), "no white"),
    "transparent hole": ("hole", lambda p: Image.new("LA", (20, 20), (255, 3)).save(p), "transparent"),
    "CMYK hole": ("hole", content(noise(kind="JPEG", mode="CMYK")), "CMYK"),
    "16-bit hole": ("hole", lambda p: Image.fromarray(np.eye(9, dtype=np.uint16) * 65535).save(p), "not 8-bit"),
}


@pytest.mark.parametrize("name", UNFIT)
def test_pictures_of_the_wrong_kind_are_refused(tmp_path: Path, name: str) -> None:
    reader, write, problem = UNFIT[name]
    path = tmp_path / "x.png"
    write(path)
    assert problem in refused(lambda: READERS[reader](path), tmp_path, path).problem


def test_a_hole_of_another_shape_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.eye(20, 30, dtype=np.uint8) * 255).save(tmp_path / "x.png")
    refused(lambda: load_hole(tmp_path / "x.png", 16), tmp_path, tmp_path / "x.png")


def test_holes_of_the_wrong_polarity_are_the_other_half(tmp_path: Path) -> None:
    """Nothing in a file says which colour is the hole; what can be noticed is noted when a folder is prepared."""
    hole = np.zeros((32, 32), np.uint8)
    hole[4:9, 4:9] = 255
    Image.fromarray(hole).save(tmp_path / "x.png")
    np.testing.assert_array_equal(load_hole(tmp_path / "x.png"), 1 - load_hole(tmp_path / "x.png", white_is_hole=False))
    done = prepare_holes(tmp_path, tmp_path / "out", split="all", size=32, white_is_hole=False)
    assert any("polarity looks inverted" in note for note in done.notes)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_turns_nothing(tmp_path: Path) -> None:
    """What lies beside the samples may be damaged; the photograph is then taken as it is stored."""
    turn = Image.Exif()
    turn[0x0112] = 6
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "x.jpg", exif=turn)
    assert read_photograph(tmp_path / "x.jpg").pixels.shape[:2] == (30, 20)
    data = (tmp_path / "x.jpg").read_bytes()
    at = data.index(b"Exif\0\0") + 14  # the number of entries
    (tmp_path / "x.jpg").write_bytes(data[:at] + b"\xff\xff" + data[at + 2 :])
    assert read_photograph(tmp_path / "x.jpg").pixels.shape[:2] in ((20, 30), (30, 20))


# --------------------------------------------------------------------------------------------- folders of pictures


def good_pair(folder: Path, name: str = "good", size: int = 32) -> None:
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    (folder / "images" / f"{name}.png").write_bytes(noise(size))
    Image.fromarray(np.full((size, size), 1, np.uint8)).save(folder / "labels" / f"{name}.png")


def shape(width: int, height: int) -> Write:
    return lambda path: Image.new("RGB", (width, height), (9, 80, 200)).save(path)


BAD_MEMBERS: dict[str, tuple[str, Write]] = {
    **{f"image: {name}": ("images", write) for name, write in BROKEN.items() if name != "missing"},
    **{f"labels: {name}": ("labels", write) for name, write in BROKEN.items() if name != "missing"},
    "image: 1 x 1": ("images", shape(1, 1)),
    "image: 20,000 x 1": ("images", shape(20_000, 1)),
    "image: not square": ("images", shape(40, 30)),
    "image: CMYK": ("images", UNFIT["CMYK photo"][1]),
    "labels: not square": ("labels", lambda p: Image.new("L", (40, 30), 1).save(p)),
    "labels: background only": ("labels", grey(0)),
    "labels: cloth alone": ("labels", grey(18)),
    "labels: unknown class": ("labels", grey(19)),
    "labels: colours": ("labels", content(noise())),
}


@pytest.mark.parametrize("name", BAD_MEMBERS)
def test_a_bad_file_of_a_folder_is_left_out_with_its_reason(tmp_path: Path, name: str) -> None:
    kind, write = BAD_MEMBERS[name]
    source = tmp_path / "source"
    good_pair(source, "good")
    good_pair(source, "odd")
    (source / kind / "odd.png").unlink()
    write(source / kind / "odd.png")
    done = prepare(source, tmp_path / "out", split="all", size=16)
    assert done.count == 1
    (skipped,) = done.skipped
    assert "odd" in skipped["file"]
    assert skipped["reason"]
    assert len(open_faces(tmp_path / "out", split="all", size=16)) == 1


def test_labels_in_the_other_order_change_their_meaning(tmp_path: Path) -> None:
    """An order cannot be seen in a file; named, it is translated; an unknown one is refused before anything is read."""
    good_pair(tmp_path / "source")
    hair = np.full((32, 32), 17, np.uint8)
    hair[16:] = 1  # skin in both orders; a map without a face is refused
    Image.fromarray(hair).save(tmp_path / "source" / "labels" / "good.png")
    prepare(tmp_path / "source", tmp_path / "out", split="all", size=16, order="bisenet")
    assert open_faces(tmp_path / "out", split="all", size=16).labels[0, 0, 0] == 13  # hair
    refused(
        lambda: prepare(tmp_path / "source", tmp_path / "no", split="all", size=16, order="alphabetical"),
        tmp_path,
        None,
    )
    refused(  # a cache made in one order does not serve the other
        lambda: prepare(tmp_path / "source", tmp_path / "out", split="all", size=16), tmp_path, tmp_path / "out"
    )


FOLDERS: dict[str, tuple[Write, Callable[[Path, Path], Any]]] = {
    "no such folder": (lambda s: None, lambda s, o: prepare(s, o, size=32)),
    "a file": (content(noise()), lambda s, o: prepare(s, o, size=32)),
    "empty folder": (Path.mkdir, lambda s, o: prepare(s, o, size=32)),
    "images without labels": (lambda s: (s / "images").mkdir(parents=True), lambda s, o: prepare(s, o, size=32)),
    "nothing in it": (
        lambda s: [(s / k).mkdir(parents=True) for k in ("images", "labels")], lambda s, o: prepare(s, o)
    ),
    "unknown split": (good_pair, lambda s, o: prepare(s, o, split="dev")),
    "split not there": (lambda s: good_pair(s / "train"), lambda s, o: prepare(s, o, split="test")),
    "size 0": (good_pair, lambda s, o: prepare(s, o, size=0)),
    "size -64": (good_pair, lambda s, o: prepare(s, o, size=-64)),
    "no cache named": (good_pair, lambda s, o: load_faces(s, "train", 32)),
    "drawn without a number": (good_pair, lambda s, o: load_faces("toy", "train", 32)),
    "drawn -1": (good_pair, lambda s, o: load_faces("toy", "train", 32, count=-1)),
    "shipped without its mapping": (
        lambda s: [(s / k).mkdir(parents=True) for k in ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno")],
        lambda s, o: prepare(s, o, split="test", size=32),
    ),
    "holes: no such folder": (lambda s: None, lambda s, o: prepare_holes(s, o, size=32)),
    "holes: empty folder": (Path.mkdir, lambda s, o: prepare_holes(s, o, size=32)),
    "holes: unknown split": (Path.mkdir, lambda s, o: prepare_holes(s, o, split="dev", size=32)),
    "holes: no cache named": (Path.mkdir, lambda s, o: load_holes(s, "train", 32)),
    "holes: drawn without a number": (Path.mkdir, lambda s, o: load_holes("drawn", "train", 32)),
    "holes: drawn 0": (Path.mkdir, lambda s, o: load_holes("drawn", "train", 32, count=0)),
    "holes: drawn val": (Path.mkdir, lambda s, o: load_holes("drawn", "val", 32, count=3)),
    "holes: drawn of size -1": (Path.mkdir, lambda s, o: load_holes("drawn", "train", -1, count=3)),
}  # fmt: skip


@pytest.mark.parametrize("name", FOLDERS)
def test_folders_and_requests_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    write, call = FOLDERS[name]
    write(tmp_path / "source")
    refused(lambda: call(tmp_path / "source", tmp_path / "out"), tmp_path, None)


@pytest.mark.parametrize("name", [n for n in BROKEN if n not in ("missing", "a folder")])
def test_a_bad_hole_of_a_folder_is_left_out_with_its_reason(tmp_path: Path, name: str) -> None:
    (tmp_path / "source").mkdir()
    Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(tmp_path / "source" / "good.png")
    BROKEN[name](tmp_path / "source" / "odd.png")
    done = prepare_holes(tmp_path / "source", tmp_path / "out", split="all", size=16)
    assert done.count == 1
    assert [Path(s["file"]).name for s in done.skipped] == ["odd.png"]


# ---------------------------------------------------------------------------------------------- lists and mappings

HEADER = ",".join(Pair._fields)
GOOD = f"f1,{'a' * 64},h1,{'b' * 64},0.15,0.1-0.2"


def row(**changes: str) -> bytes:
    fields = dict(zip(Pair._fields, GOOD.split(","), strict=True)) | changes
    return f"{HEADER}\n{','.join(fields.values())}\n".encode()


LISTS: dict[str, bytes] = {
    "empty": b"",
    "header only": f"{HEADER}\n".encode(),
    "no header": f"{GOOD}\n".encode(),
    "wrong header": f"{HEADER.replace('bin', 'size')}\n{GOOD}\n".encode(),
    "header in another order": f"{','.join(reversed(Pair._fields))}\n{GOOD}\n".encode(),
    "two byte order marks": 2 * b"\xef\xbb\xbf" + row(),
    "UTF-16": row().decode().encode("utf-16"),
    "not UTF-8": row(face_id="f\xff").decode().encode("latin-1"),
    "semicolons": row().replace(b",", b";"),
    "too few fields": f"{HEADER}\n{GOOD.rpartition(',')[0]}\n".encode(),
    "too many fields": f"{HEADER}\n{GOOD},more\n".encode(),
    "blank line": f"{HEADER}\n\n{GOOD}\n".encode(),
    "open quote": f'{HEADER}\n"{GOOD}\n'.encode(),
    "NUL byte": row(face_id="f\0"),
    "binary": noise(),
    "huge field": row(face_id="f" * 200_000),
    "empty id": row(face_id=""),
    "id climbs": row(face_id="../../etc/passwd"),
    "id from the root": row(hole_id="/etc/passwd"),
    "id of a drive": row(hole_id="C:x"),
    "id with backslash": row(face_id="..\\x"),
    "hidden id": row(face_id=".ssh"),
    "id with a bell": row(face_id="f\a"),
    "id over two lines": row(face_id="f\x0bg"),
    "short checksum": row(face_sha256="abc"),
    "checksum in capitals": row(face_sha256="A" * 64),
    "checksum of other signs": row(hole_sha256="g" * 64),
    "unknown bin": row(bin="0.15-0.25"),
    "fraction of another bin": row(fraction="0.25"),
    "fraction not a number": row(fraction="nan"),
    "fraction infinite": row(fraction="inf"),
    "fraction negative": row(fraction="-0.15"),
    "fraction a word": row(fraction="small"),
    "fraction missing": row(fraction=""),
    "fraction overflows": row(fraction="1e999"),
    "face twice in a bin": row() + f"{GOOD.replace('h1', 'h2')}\n".encode(),
    "face with two checksums": row() + f"f1,{'c' * 64},h2,{'d' * 64},0.25,0.2-0.3\n".encode(),
    "hole with two checksums": row() + f"f2,{'c' * 64},h1,{'d' * 64},0.25,0.2-0.3\n".encode(),
}


@pytest.mark.parametrize("name", LISTS)
def test_bad_pair_lists_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(LISTS[name])
    refused(lambda: read_pairs(path), tmp_path, path)


@pytest.mark.parametrize("name", ["missing", "a folder", "a link to itself"])
def test_pair_lists_that_are_no_files_are_refused(tmp_path: Path, name: str) -> None:
    BROKEN[name](tmp_path / "pairs.csv")
    refused(lambda: read_pairs(tmp_path / "pairs.csv"), tmp_path, tmp_path / "pairs.csv")


def face_set(size: int = 32, **changes: Any) -> FaceSet:
    blank = np.zeros((2, size, size, 3), np.uint8)
    fields = {
        "images": blank, "labels": blank[..., 0] + 1, "ids": ("f1", "f2"), "sha256": ("a" * 64, "c" * 64),
        "source": "test faces",
    }  # fmt: skip
    return FaceSet(**(fields | changes))


def hole_set(**changes: Any) -> HoleSet:
    hole = np.zeros((1, 32, 32), np.uint8)
    hole[0, :10, :16] = 1  # 0.15625
    fields = {"holes": hole, "ids": ("h1",), "sha256": ("b" * 64,), "source": "test holes"}
    return HoleSet(**(fields | changes))


PAIR = Pair("f1", "a" * 64, "h1", "b" * 64, 0.15625, "0.1-0.2")


@pytest.mark.parametrize(
    "change",
    [
        {"face_id": "f9"}, {"hole_id": "h9"}, {"face_sha256": "d" * 64}, {"hole_sha256": "d" * 64},
        {"fraction": 0.1563}, {"fraction": float("nan")},
    ],
    ids=str,
)  # fmt: skip
def test_pairs_of_other_data_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    check_pairs([PAIR], face_set(), hole_set())
    refused(lambda: check_pairs([PAIR._replace(**change)], face_set(), hole_set()), tmp_path, None)


MAPPINGS: dict[str, bytes] = {
    "empty": b"",
    "header only": b"idx orig_idx orig_file\n",
    "two fields": b"0 119613\n",
    "four fields": b"0 119613 119614.jpg x\n",
    "file does not follow": b"0 119613 119613.jpg\n",
    "file climbs": b"0 119613 ../119614.jpg\n",
    "negative": b"-1 119613 119614.jpg\n",
    "not a number": b"zero 119613 119614.jpg\n",
    "digits of another script": "٣ 119613 119614.jpg\n".encode(),
    "number too long": b"1" * 400 + b" 119613 119614.jpg\n",
    "twice": b"0 119613 119614.jpg\n0 119613 119614.jpg\n",
    "header in the middle": b"0 119613 119614.jpg\nidx orig_idx orig_file\n",
    "not ASCII": b"\xff\xfe0\x00",
    "binary": noise(),
}


@pytest.mark.parametrize("name", MAPPINGS)
def test_bad_mapping_files_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "mapping.txt"
    path.write_bytes(MAPPINGS[name])
    refused(lambda: read_mapping(path), tmp_path, path)


# --------------------------------------------------------------------------------------------------------- caches


def meta(**changes: Any) -> Write:
    def write(folder: Path) -> None:
        entries = json.loads((folder / "meta.json").read_text()) | changes
        kept = {name: value for name, value in entries.items() if value is not ...}
        (folder / "meta.json").write_text(json.dumps(kept))

    return write


def raw(name: str, data: bytes) -> Write:
    return lambda folder: (folder / name).write_bytes(data)


def arrays(change: Callable[[np.ndarray], np.ndarray]) -> Write:
    """Rewrite the last array of the cache (labels or holes)."""

    def write(folder: Path) -> None:
        path = sorted(folder.glob("*.npy"))[-1]
        np.save(path, change(np.load(path, allow_pickle=False)))

    return write


def bytes_of(change: Callable[[bytes], bytes]) -> Write:
    def write(folder: Path) -> None:
        path = sorted(folder.glob("*.npy"))[-1]
        path.write_bytes(change(path.read_bytes()))

    return write


CACHES: dict[str, Write] = {
    "no meta": lambda f: (f / "meta.json").unlink(),
    "meta cut": lambda f: (f / "meta.json").write_bytes((f / "meta.json").read_bytes()[:40]),
    "meta not text": raw("meta.json", b"\xff\xfe\x00"),
    "meta nested without end": raw("meta.json", b"[" * 200_000),
    "meta a list": raw("meta.json", b"[]"),
    "meta null": raw("meta.json", b"null"),
    "no kind": meta(kind=...),
    "other kind": meta(kind="sounds"),
    "size a word": meta(size="32"),
    "size missing": meta(size=...),
    "other size": meta(size=64),
    "negative size": meta(size=-16),
    "other split": meta(split="test"),
    "no split": meta(split=...),
    "no ids": meta(ids=[], sha256=[]),
    "ids numbers": meta(ids=[1, 2]),
    "id climbs": meta(ids=["../a", "b"]),
    "ids equal": meta(ids=["a", "a"]),
    "one id too few": meta(ids=["a"], sha256=["0" * 64]),
    "checksums missing": meta(sha256=[]),
    "checksums numbers": meta(sha256=[1, 2]),
    "skipped a word": meta(skipped="none"),
    "skipped without reason": meta(skipped=[{"file": "x"}]),
    "notes missing": meta(notes=...),
    "array missing": lambda f: sorted(f.glob("*.npy"))[-1].unlink(),
    "array empty": bytes_of(lambda b: b""),
    "array cut": bytes_of(lambda b: b[:-100]),
    "array header cut": bytes_of(lambda b: b[:50]),
    "array with a forged shape": bytes_of(lambda b: b.replace(b"(2, 16, 16)", b"(9, 99, 99)")),
    "array header without end": bytes_of(lambda b: b.replace(b"16)", b"16(")),
    "array header a program": bytes_of(lambda b: b.replace(b"'shape'", b"exit() ")),
    "array of an unknown version": bytes_of(lambda b: b[:6] + b"\x09" + b[7:]),
    "array pickled": bytes_of(lambda b: array_file(np.array([{}, {}], dtype=object), pickled=True)),
    "a pickle": bytes_of(lambda b: pickle.dumps([1, 2])),
    "an archive": bytes_of(lambda b: zipped("labels.npy")),
    "a picture": bytes_of(lambda b: noise()),
    "float": arrays(lambda a: a.astype(np.float32)),
    "not a number": arrays(lambda a: np.full(a.shape, np.nan)),
    "16 bits": arrays(lambda a: a.astype(np.uint16)),
    "one item too few": arrays(lambda a: a[:1]),
    "another size": arrays(lambda a: a[:, :8, :8]),
    "not square": arrays(lambda a: a[:, :, :8]),
    "one number": arrays(lambda a: a[0, 0, 0]),
    "values out of range": arrays(lambda a: a + 19),
}


def cache_of(kind: str, folder: Path) -> Callable[[], Any]:
    """A good cache of two; returns the call that opens it."""
    source = folder / "source"
    if kind == "faces":
        good_pair(source, "one")
        good_pair(source, "two")
        prepare(source, folder / "cache", split="all", size=16)
        return lambda: open_faces(folder / "cache", split="all", size=16)
    source.mkdir()
    for name in ("one", "two"):
        Image.fromarray(np.eye(32, dtype=np.uint8) * 255).save(source / f"{name}.png")
    prepare_holes(source, folder / "cache", split="all", size=16)
    return lambda: open_holes(folder / "cache", split="all", size=16)


@pytest.mark.parametrize("kind", ["faces", "holes"])
@pytest.mark.parametrize("name", CACHES)
def test_damaged_caches_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    call = cache_of(kind, tmp_path)
    assert len(call()) == 2
    CACHES[name](tmp_path / "cache")
    refused(call, tmp_path, tmp_path / "cache")


@pytest.mark.parametrize("wrong", [..., None, "many", [0.1], [0.1, "x"], [[0.1], [0.2, 0.3]], {}], ids=str)
def test_hole_caches_without_proper_fractions_are_refused(tmp_path: Path, wrong: Any) -> None:
    call = cache_of("holes", tmp_path)
    meta(fractions=wrong)(tmp_path / "cache")
    refused(call, tmp_path, tmp_path / "cache")


def test_a_cache_checked_on_request_is_refused_too(tmp_path: Path) -> None:
    cache_of("faces", tmp_path)
    CACHES["values out of range"](tmp_path / "cache")
    refused(lambda: check(tmp_path / "cache"), tmp_path, tmp_path / "cache")
    refused(lambda: check(tmp_path / "nowhere"), tmp_path, tmp_path / "nowhere")


# ------------------------------------------------------------------------------ weights, configurations, checkpoints

TINY = {
    "size": 32, "reading": "R1", "images": 4, "batch": 2, "width": 4, "style_width": 4, "critic_width": 4,
    "baseline_scale": 0.06, "checkpoint_every": 2, "sample_every": 4, "parser_width": 4,
}  # fmt: skip


def saved(folder: Path, name: str = "facial-style", **changes: Any) -> Path:
    """A generator as training leaves it, fresh weights."""
    config = Config(name, preset("smoke", **(TINY | changes)))
    folder.mkdir(parents=True, exist_ok=True)
    weights.save(folder / "generator.safetensors", config.generator().state_dict(), {"config": config.to_dict()})
    return folder / "generator.safetensors"


def damaged(change: Callable[[bytes], bytes]) -> Write:
    return lambda path: path.write_bytes(change(path.read_bytes()))


def described(**changes: Any) -> Write:
    """Change the configuration in the JSON beside the tensors; a name like ``preset__size`` reaches inside."""

    def write(path: Path) -> None:
        about = json.loads(path.with_suffix(".json").read_text())
        for name, value in changes.items():
            inner = about["config"]
            *outer, last = name.split("__")
            for part in outer:
                inner = inner[part]
            if value is ...:
                del inner[last]
            else:
                inner[last] = value
        path.with_suffix(".json").write_text(json.dumps(about))

    return write


def about(data: bytes) -> Write:
    return lambda path: path.with_suffix(".json").write_bytes(data)


def other_tensors(change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Write:
    """Forge a consistent pair of files that hold other tensors."""

    def write(path: Path) -> None:
        tensors, held = weights.load(path)
        weights.save(path, change(tensors), held)

    return write


def _first(tensors: dict[str, torch.Tensor]) -> str:
    return sorted(tensors)[0]


GENERATORS: dict[str, Write] = {
    "tensors missing": Path.unlink,
    "JSON missing": lambda p: p.with_suffix(".json").unlink(),
    "tensors empty": damaged(lambda b: b""),
    "tensors cut": damaged(lambda b: b[: len(b) // 2]),
    "last byte missing": damaged(lambda b: b[:-1]),
    "one byte more": damaged(lambda b: b + b"\0"),
    "first bit flipped": damaged(lambda b: bytes([b[0] ^ 1]) + b[1:]),
    "bit of the header flipped": damaged(lambda b: b[:20] + bytes([b[20] ^ 4]) + b[21:]),
    "bit in the middle flipped": damaged(
        lambda b: b[: len(b) // 2] + bytes([b[len(b) // 2] ^ 8]) + b[len(b) // 2 + 1 :]
    ),
    "last bit flipped": damaged(lambda b: b[:-1] + bytes([b[-1] ^ 128])),
    "a pickle": damaged(lambda b: pickle.dumps({"weight": 1})),
    "a torch archive": lambda p: torch.save({"weight": torch.zeros(1)}, p),
    "a picture": damaged(lambda b: noise()),
    "JSON empty": about(b""),
    "JSON cut": about(b'{"config": {"method"'),
    "JSON a list": about(b"[]"),
    "JSON not text": about(b"\xff\xfe"),
    "JSON nested without end": about(b'{"a":' * 100_000),
    "JSON without a checksum": about(b"{}"),
    "no configuration": lambda p: weights.save(p, weights.load(p)[0], {"step": 1}),
    "a tensor missing": other_tensors(lambda t: {k: v for k, v in t.items() if k != _first(t)}),
    "a tensor too many": other_tensors(lambda t: t | {"more": torch.zeros(1)}),
    "a tensor of another shape": other_tensors(lambda t: t | {_first(t): torch.zeros(5)}),
    "another method": described(method="gated-conv"),
    "another width": described(preset__width=8),
    "other regions": described(merge="classes"),
    "another option": described(options={"mask_channel": False}),
    "unknown method": described(method="magic"),
    "a method that is not trained": described(method="mean-fill"),
    "method a number": described(method=3),
    "method a list": described(method=[]),
    "method missing": described(method=...),
    "unknown key": described(colour="blue"),
    "preset missing": described(preset=...),
    "preset a word": described(preset="smoke"),
    "preset a list": described(preset=[1, 2]),
    "preset null": described(preset=None),
    "preset without a name": described(preset__name=...),
    "preset of an unknown name": described(preset__name="huge"),
    "preset named by a list": described(preset__name=[]),
    "unknown setting": described(preset__colour=1),
    "negative size": described(preset__size=-64),
    "size 0": described(preset__size=0),
    "size 100": described(preset__size=100),
    "size a word": described(preset__size="64"),
    "size broken": described(preset__size=64.5),
    "size true": described(preset__size=True),
    "negative width": described(preset__width=-4),
    "lr infinite": described(preset__lr=float("inf")),
    "lr not a number": described(preset__lr=float("nan")),
    "lr larger than any float": described(preset__lr=10**400),
    "ema above 1": described(preset__ema=1.5),
    "precision unknown": described(preset__precision="8-bit"),
    "backbone unknown": described(preset__backbone="resnet"),
    "batch null": described(preset__batch=None),
    "unknown merge": described(merge="faces"),
    "merge a number": described(merge=8),
    "options a list": described(options=[1]),
    "options a word": described(options="none"),
    "unknown option": described(options={"colour": 1}),
    "option of another type": described(options={"style": "much"}),
    "option negative": described(options={"style": -1.0}),
    "option larger than any float": described(options={"style": 10**400}),
    "option with an unknown word": described(options={"gan": "magic"}),
    "generator option with an unknown word": described(options={"reading": "R9"}),
    "seed negative": described(seed=-1),
    "seed a word": described(seed="0"),
    "seed too large": described(seed=2**64),
    "seed broken": described(seed=0.5),
}


@pytest.mark.parametrize("name", GENERATORS)
def test_damaged_and_foreign_generators_are_refused(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / "run")
    load_generator(path)
    GENERATORS[name](path)
    refused(lambda: load_generator(path), tmp_path, None if "option" in name else path.with_suffix(""))


def test_folders_that_hold_no_generator_are_refused(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    refused(lambda: load_generator(tmp_path / "run"), tmp_path, tmp_path / "run")
    refused(lambda: load_generator(tmp_path / "nowhere"), tmp_path, tmp_path / "nowhere")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two steps, interrupted before its end."""
    out = tmp_path_factory.mktemp("run") / "out"
    train(RUN, face_set(), drawn_holes(2, 32), out)
    for path in out.glob("generator.*"):
        path.unlink()
    return out


RUN = Config("context-encoder", preset("smoke", **TINY))


def state(change: Callable[[dict[str, torch.Tensor], dict[str, Any]], Any]) -> Write:
    """Forge a consistent checkpoint with other tensors or another description."""

    def write(out: Path) -> None:
        path = out / "checkpoints" / "step-00000002" / "state.safetensors"
        tensors, held = weights.load(path)
        change(tensors, held)
        weights.save(path, tensors, held)

    return write


RUNS: dict[str, Write] = {
    "config cut": raw("config.json", b'{"config"'),
    "config a list": raw("config.json", b"[]"),
    "config of another seed": lambda o: files.write_json(
        o / "config.json", json.loads((o / "config.json").read_text()) | {"config": RUN.to_dict() | {"seed": 5}}
    ),
    "log damaged": raw("log.jsonl", b"\0\0\0\n"),
    "log of lists": raw("log.jsonl", b"[]\n"),
    "log without steps": raw("log.jsonl", b"{}\n"),
    "log not text": raw("log.jsonl", b"\xff\xfe\n"),
    "checkpoint empty": lambda o: (o / "checkpoints" / "step-00000002" / "state.safetensors").write_bytes(b""),
    "checkpoint without tensors": lambda o: (o / "checkpoints" / "step-00000002" / "state.safetensors").unlink(),
    "checkpoint without JSON": lambda o: (o / "checkpoints" / "step-00000002" / "state.json").unlink(),
    "checkpoint of another run": state(lambda t, a: a["config"].update(seed=5)),
    "checkpoint without a step": state(lambda t, a: a.pop("step")),
    "checkpoint with a word for a step": state(lambda t, a: a.update(step="two")),
    "checkpoint without seconds": state(lambda t, a: a.pop("seconds")),
    "checkpoint with unknown tensors": state(lambda t, a: t.update({"more": torch.zeros(1)})),
    "checkpoint without mean weights": state(lambda t, a: [t.pop(n) for n in list(t) if n.startswith("ema.")]),
    "checkpoint without moments": state(
        lambda t, a: [t.pop(n) for n in [n for n in t if n.startswith("adam.generator.0.exp")]]
    ),
    "checkpoint with moments of another shape": state(
        lambda t, a: t.update({"adam.generator.0.exp_avg": torch.ones(7)})
    ),
    "checkpoint with odd moments": state(lambda t, a: t.update({"adam.generator.one.exp_avg": torch.zeros(1)})),
}  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_damaged_runs_are_not_gone_on_with(tmp_path: Path, run: Path, name: str) -> None:
    out = tmp_path / "out"
    shutil.copytree(run, out)
    RUNS[name](out)
    before = listing(out)
    with pytest.raises(FaceInpaintError) as caught:
        train(RUN, face_set(), drawn_holes(2, 32), out)
    assert str(out) in str(caught.value)
    assert caught.value.remedy
    assert listing(out) == before


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "run"
    with files.claimed(out):
        assert "another run" in refused(lambda: train(RUN, face_set(), drawn_holes(2, 32), out), tmp_path, out).problem
        assert "another run" in refused(lambda: reproduce(RUN.preset, out), tmp_path, out).problem
    with pytest.raises(ZeroDivisionError), files.claimed(out):
        _ = 1 / 0
    with files.claimed(out):  # free again, however the last one ended
        assert [p.name for p in out.iterdir()] == [".lock"]


def test_what_the_system_refuses_is_said_with_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(lambda: train(RUN, face_set(), drawn_holes(2, 32), tmp_path / "file" / "run"), tmp_path, tmp_path / "file")

    def full() -> None:
        with files.claimed(tmp_path):
            raise OSError(28, "No space left on device")

    full_disk = refused_after(full)
    assert full_disk.problem == "the system refuses it (No space left on device)"
    assert full_disk.path == tmp_path


def refused_after(call: Callable[[], Any]) -> FaceInpaintError:
    with pytest.raises(FaceInpaintError) as caught:
        call()
    return caught.value


def test_a_file_that_vanishes_while_it_is_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("good", "gone"):
        good_pair(tmp_path / "source", name)
    read = celebahq.sha256_of

    def vanish(path: Path) -> str:
        if path.stem == "gone":
            path.unlink()
        return read(path)

    monkeypatch.setattr(celebahq, "sha256_of", vanish)
    done = prepare(tmp_path / "source", tmp_path / "out", split="all", size=16)
    assert done.count == 1
    assert done.skipped == [
        {
            "file": str(tmp_path / "source" / "images" / "gone.png"),
            "reason": "the system refuses it (No such file or directory)",
        }
    ]


NETWORKS: dict[str, Write] = {
    "missing": lambda p: None,
    "empty": content(b""),
    "text": content(b"weights"),
    "a pickle": content(pickle.dumps({"features.0.weight": 1})),
    "a torch archive": lambda p: torch.save({"features.0.weight": torch.zeros(1)}, p),
    "a header without end": content(struct.pack("<Q", 2**62) + b"{}"),
    "no features": lambda p: weights.save_file({"classifier.weight": torch.zeros(1)}, p),
    "another network": lambda p: weights.save_file({"features.0.weight": torch.zeros(1, 2)}, p),
    "not a number": lambda p: weights.save_file(
        {"features.0.weight": torch.full((64, 3, 11, 11), torch.nan), "features.0.bias": torch.zeros(64)}, p
    ),
    "a layer with a word for a number": lambda p: weights.save_file({"features.first.weight": torch.zeros(1)}, p),
    "a layer beyond the end": lambda p: weights.save_file({"features.99.weight": torch.zeros(1)}, p),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_bad_weights_of_frozen_networks_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "alexnet.safetensors"
    NETWORKS[name](path)
    refused(lambda: load_backbone("alexnet", path), tmp_path, path)


def test_bad_names_of_frozen_networks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(lambda: load_backbone("resnet"), tmp_path, None)
    refused(lambda: load_backbone("alexnet", tmp_path), tmp_path, tmp_path)
    monkeypatch.setenv("FACEINPAINT_WEIGHTS", str(tmp_path / "nowhere"))
    refused(lambda: load_backbone("alexnet"), tmp_path, tmp_path / "nowhere")


# -------------------------------------------------------------------------------------------------- results records


def record() -> dict[str, Any]:
    value = {"n": 6, "perfect": 0, "mean": 20.0, "low": 19.0, "high": 21.0}
    images = {group: {"psnr": value, "ssim": value, "l1": value} for group in ("all", *BIN_NAMES)}
    sets = {group: {"fd": 1.0, "kid_between_faces": 0.1, "n": 6} for group in ("all", *BIN_NAMES)}
    return {
        "kind": "evaluation", "version": VERSION, "key": "mean-fill", "title": "Mean colour", "method": "mean-fill",
        "map": None, "preset": "smoke", "size": 64, "training": None, "parameters": None, "flops": None,
        "test": {"faces": "f", "holes": "h", "pairs": 6, "pairs_sha256": "a" * 64},
        "images": {"composited": images, "raw": images}, "sets": {"composited": sets, "raw": sets},
        "inception": None, "networks": {"lpips": None, "distance": {"weights": "seeded"}}, "commit": None,
        "date": "2025-01-01",
    }  # fmt: skip


RECORDS: dict[str, bytes] = {
    "empty": b"",
    "cut": json.dumps(record()).encode()[:300],
    "not text": b"\xff\xfe\x00",
    "nested without end": b"[" * 200_000,
    "a list": b"[1]",
    "another kind": json.dumps(record() | {"kind": "parser"}).encode(),
    **{
        f"{name} = {value!r}": json.dumps(record() | {name: value}).encode()
        for name, value in {
            "version": 0, "method": "magic", "map": "guessed", "preset": 3, "size": "64", "key": None, "test": {},
            "images": {}, "sets": [], "networks": None, "training": {"seconds": 3}, "parameters": "many",
            "flops": [1], "commit": 3, "inception": {"composited": {"fid": "low"}}, "date": [],
        }.items()
    },
    **{
        f"without {name}": json.dumps({k: v for k, v in record().items() if k != name}).encode()
        for name in ("version", "method", "key", "title", "map", "preset", "size", "test", "images", "sets", "date")
    },
    "method a list": json.dumps(record() | {"method": []}).encode(),
    "values are words": json.dumps(record()).replace("20.0", '"high"').encode(),
    "values are missing": json.dumps(record()).replace('"low": 19.0, ', "").encode(),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDS)
def test_damaged_records_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(RECORDS[name])
    refused(lambda: read_records([path]), tmp_path, path)


def test_records_of_nowhere_and_of_different_tests_are_refused(tmp_path: Path) -> None:
    refused(lambda: read_records([tmp_path / "none"]), tmp_path, tmp_path / "none")
    refused(lambda: read_records([tmp_path]), tmp_path, tmp_path)
    one = record()
    (tmp_path / "r.json").write_text(json.dumps(one))
    two = Record.from_json(one | {"test": one["test"] | {"pairs_sha256": "b" * 64}})
    records = [*read_records([tmp_path]), two]
    refused(lambda: table.write(records, tmp_path), tmp_path, None)


# --------------------------------------------------------------------------------------------- arrays from Python


def photo(size: int = 40) -> np.ndarray:
    return np.zeros((size, size, 3), np.uint8)


def spot(size: int = 40) -> np.ndarray:
    hole = np.zeros((size, size), np.uint8)
    hole[5:9, 5:9] = 1
    return hole


INPAINT: dict[str, tuple[np.ndarray, np.ndarray, np.ndarray | None]] = {
    "photo of NaN": (np.full((40, 40, 3), np.nan), spot(), spot()),
    "photo of floats": (photo().astype(np.float32), spot(), spot()),
    "photo of five channels": (np.zeros((40, 40, 5), np.uint8), spot(), spot()),
    "photo of signed numbers": (photo().astype(np.int16), spot(), spot()),
    "photo of nothing": (np.zeros((0, 0, 3), np.uint8), np.zeros((0, 0), np.uint8), None),
    "a batch": (photo()[None], spot(), spot()),
    "hole of another size": (photo(), spot(41), spot()),
    "hole with channels": (photo(), spot()[..., None], spot()),
    "hole of NaN": (photo(), np.full((40, 40), np.nan), spot()),
    "hole infinite": (photo(), np.full((40, 40), np.inf), spot()),
    "map of another size": (photo(), spot(), spot(41)),
    "map of floats": (photo(), spot(), spot().astype(np.float32)),
    "map of NaN": (photo(), spot(), np.full((40, 40), np.nan)),
    "map with class 19": (photo(), spot(), spot() * 19),
    "map with class 256": (photo(), spot(), spot().astype(np.int64) * 256),
    "map with class -1": (photo(), spot(), spot().astype(np.int64) * -1),
    "no map": (photo(), spot(), None),
}


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("generator"))


@pytest.mark.parametrize("name", INPAINT)
def test_arrays_that_inpaint_cannot_use_are_refused(tmp_path: Path, generator: Path, name: str) -> None:
    refused(lambda: inpaint(*INPAINT[name], weights=generator, boxes="whole"), tmp_path, None)


SETS: dict[str, Callable[[], Any]] = {
    "pictures of NaN": lambda: face_set(images=np.full((2, 32, 32, 3), np.nan)),
    "pictures of floats": lambda: face_set(images=np.zeros((2, 32, 32, 3), np.float32)),
    "pictures of 16 bits": lambda: face_set(images=np.zeros((2, 32, 32, 3), np.uint16)),
    "pictures without channels": lambda: face_set(images=np.zeros((2, 32, 32), np.uint8)),
    "pictures not square": lambda: face_set(images=np.zeros((2, 32, 30, 3), np.uint8)),
    "maps of NaN": lambda: face_set(labels=np.full((2, 32, 32), np.nan)),
    "maps of another size": lambda: face_set(labels=np.zeros((2, 16, 16), np.uint8)),
    "ids equal": lambda: face_set(ids=("f1", "f1")),
    "ids too few": lambda: face_set(ids=("f1",)),
    "checksums too many": lambda: face_set(sha256=("a",) * 3),
    "a face that is not there": lambda: face_set().subset(["f9"]),
    "a face before the first": lambda: face_set().subset([-1]),
    "a face after the last": lambda: face_set().subset([2]),
    "holes of NaN": lambda: hole_set(holes=np.full((1, 32, 32), np.nan)),
    "holes of another type": lambda: hole_set(holes=np.zeros((1, 32, 32), np.int64)),
    "holes not square": lambda: hole_set(holes=np.zeros((1, 32, 30), np.uint8)),
    "hole without an id": lambda: hole_set(ids=()),
    "fractions too many": lambda: hole_set(fractions=np.zeros(2)),
    "a hole that is not there": lambda: hole_set().subset(["h9"]),
    "training on an unknown class": lambda: train(
        RUN, face_set(labels=np.full((2, 32, 32), 19, np.uint8)), drawn_holes(2, 32), Path("never")
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_sets_that_do_not_hold_together_are_refused(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        SETS[name]()
    assert caught.value.problem
    assert caught.value.remedy


# ------------------------------------------------------------------------------------------------- the command line

COMMANDS: dict[str, tuple[str, Write]] = {
    "check nothing": ("data check nowhere", lambda f: None),
    "check a damaged cache": ("data check cache", lambda f: (cache_of("faces", f), meta(kind=3)(f / "cache"))),
    "prepare nothing": ("data prepare --size 32 --out out", lambda f: None),
    "prepare nowhere": ("data prepare --faces nowhere --size 32 --out out", lambda f: None),
    "prepare a file": ("data prepare --faces x.png --size 32 --out out", lambda f: (f / "x.png").write_bytes(noise())),
    "prepare an unknown split": ("data prepare --faces . --size 32 --out out --split dev", lambda f: None),
    "prepare over something": (
        "data prepare --faces source --split all --size 32 --out out",
        lambda f: (good_pair(f / "source"), (f / "out" / "faces-all-32").mkdir(parents=True),
                   (f / "out" / "faces-all-32" / "letter").write_text("dear")),
    ),
    "prepare into a file": (
        "data prepare --faces source --split all --size 32 --out out",
        lambda f: (good_pair(f / "source"), (f / "out").write_text("dear")),
    ),
    "draw into a file": ("data toy --out out --count 1 --size 16", lambda f: (f / "out").write_text("dear")),
    "draw too small": ("data toy --out out --size 1", lambda f: None),
    "train an unknown method": ("train magic --out out", lambda f: None),
    "train a floor": ("train mean-fill --out out", lambda f: None),
    "train an unknown preset": ("train gated-conv --preset huge --out out", lambda f: None),
    "train an unknown setting": ("train gated-conv --set colour=1 --out out", lambda f: None),
    "train a negative size": ("train gated-conv --set size=-64 --out out", lambda f: None),
    "train a word for a number": ("train gated-conv --set batch=many --out out", lambda f: None),
    "train a setting without a value": ("train gated-conv --set batch --out out", lambda f: None),
    "train a negative seed": ("train gated-conv --seed -1 --out out", lambda f: None),
    "train on no device": ("train gated-conv --device tpu --out out", lambda f: None),
    "train on nothing": ("train gated-conv --faces nowhere --out out", lambda f: None),
    "train with an unknown merge": ("train facial-style --merge faces --out out", lambda f: None),
    "evaluate nothing": ("evaluate nowhere --out out.json", lambda f: None),
    "evaluate a damaged generator": (
        "evaluate run --out out.json", lambda f: damaged(lambda b: b[:-1])(saved(f / "run", "gated-conv"))
    ),
    "evaluate on no pairs": (
        "evaluate mean-fill --out out.json --pairs pairs.csv --weights seed", lambda f: None
    ),
    "evaluate on bad pairs": (
        "evaluate mean-fill --out out.json --pairs pairs.csv --weights seed",
        lambda f: (f / "pairs.csv").write_bytes(LISTS["id climbs"]),
    ),
    "reproduce unknown rows": ("reproduce --rows all --out out", lambda f: None),
    "reproduce an unknown setting": ("reproduce --set colour=1 --out out", lambda f: None),
    "tabulate nothing": ("table nowhere", lambda f: None),
    "tabulate a damaged record": ("table r.json", lambda f: (f / "r.json").write_bytes(RECORDS["cut"])),
    "tabulate an unknown view": ("table r.json --view side", lambda f: None),
    "inpaint nothing": ("inpaint a.png --hole b.png --weights run --out c.png", lambda f: None),
    "inpaint without a map": (
        "inpaint a.png --hole b.png --weights run --out c.png",
        lambda f: ((f / "a.png").write_bytes(noise(40)), Image.fromarray(spot() * 255).save(f / "b.png"),
                   saved(f / "run")),
    ),
    "inpaint a hole of another size": (
        "inpaint a.png --hole b.png --weights run --out c.png",
        lambda f: ((f / "a.png").write_bytes(noise(41)), Image.fromarray(spot() * 255).save(f / "b.png"),
                   saved(f / "run", "gated-conv")),
    ),
    "inpaint to a lossy file": (
        "inpaint a.png --hole b.png --weights run --out c.jpg",
        lambda f: ((f / "a.png").write_bytes(noise(40)), Image.fromarray(spot() * 255).save(f / "b.png"),
                   saved(f / "run", "gated-conv")),
    ),
    "an unknown command": ("paint", lambda f: None),
    "an unknown option": ("train gated-conv --out out --colour blue", lambda f: None),
}  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_end_with_one_message_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    command, write = COMMANDS[name]
    write(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["faceinpaint", *command.split()])
    before = listing(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    said = capfd.readouterr().err
    assert "Error" in said
    assert "Traceback" not in said
    assert listing(tmp_path) == before


def test_a_process_of_its_own_ends_the_same_way(tmp_path: Path) -> None:
    """What the tests above do inside this process, once as a user does it."""
    done = subprocess.run(
        [sys.executable, "-m", "faceinpaint", "data", "check", "nowhere"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "Error: nowhere: there is no prepared cache. Run `faceinpaint data prepare` first.\n"
    assert done.stdout == ""


def test_there_are_at_least_two_hundred_cases() -> None:
    counts = (
        len(BROKEN) * len(READERS), len(UNFIT), len(BAD_MEMBERS), len(FOLDERS), len(LISTS), len(MAPPINGS),
        2 * len(CACHES), len(GENERATORS), len(RUNS), len(NETWORKS), len(RECORDS), len(INPAINT), len(SETS),
        len(COMMANDS),
    )  # fmt: skip
    assert sum(counts) >= 500


def test_good_input_is_taken(tmp_path: Path) -> None:
    """The cases above differ from what is accepted by the one thing that is wrong with them."""
    good_pair(tmp_path)
    assert read_rgb(tmp_path / "images" / "good.png").shape == (32, 32, 3)
    assert read_labels(tmp_path / "labels" / "good.png").max() == 1
    (tmp_path / "pairs.csv").write_bytes(row())
    assert len(read_pairs(tmp_path / "pairs.csv")) == 1
    write_pairs(tmp_path / "pairs.csv", [PAIR])
    assert read_pairs(tmp_path / "pairs.csv") == [PAIR]
    (tmp_path / "mapping.txt").write_bytes(b"idx orig_idx orig_file\n0 119613 119614.jpg\n\n")
    assert read_mapping(tmp_path / "mapping.txt") == {0: "train"}
    (tmp_path / "r.json").write_text(json.dumps(record()))
    assert read_records([tmp_path / "r.json"]) == [Record.from_json(record())]
    assert inpaint(photo(), spot(), spot(), weights=saved(tmp_path / "run"), boxes="whole").shape == (40, 40, 3)


@pytest.mark.parametrize("kind", [DataError, ConfigError])
def test_an_error_of_a_worker_process_reaches_its_parent(kind: type[FaceInpaintError]) -> None:
    # One that could not be unpickled left a pool of processes waiting for ever.
    again = pickle.loads(pickle.dumps(kind("it is empty", "Name another", "hole.png")))
    assert (type(again), str(again)) == (kind, "hole.png: it is empty. Name another.")
    assert str(copy.copy(again)) == str(again)
