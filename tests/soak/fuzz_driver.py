"""Damage good files at random and give them to their readers, in bounded time and memory (for test_fuzz.py)."""

from __future__ import annotations

import faulthandler
import json
import random
import resource
import signal
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from faceinpaint import files, weights
from faceinpaint.backbones import load_backbone
from faceinpaint.comparison.records import read_records
from faceinpaint.data.celebahq import open_faces, prepare, read_mapping
from faceinpaint.data.images import read_labels, read_rgb
from faceinpaint.data.masks import drawn_test_holes, load_hole, open_holes, prepare_holes
from faceinpaint.data.pairs import make_pairs, read_pairs, write_pairs
from faceinpaint.data.toy import draw, toy_faces
from faceinpaint.errors import FaceInpaintError
from faceinpaint.repair import trained
from faceinpaint.repair.pictures import read_photograph, write_photograph
from faceinpaint.training.run import load_generator

sys.path.insert(0, sys.argv[4])
from test_bad_input import record, saved

warnings.simplefilter("error")
warnings.simplefilter("ignore", DeprecationWarning)
folder, seconds, seed = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
faulthandler.enable()

# One good file for each reader.
image, labels = draw(3, 48)
hole = np.zeros((48, 48), np.uint8)
hole[9:30, 5:33] = 255
good = folder / "good"
good.mkdir()
readers = {}
for kind in ("png", "jpg", "webp", "bmp", "gif", "tif"):
    Image.fromarray(image).save(good / f"photo.{kind}")
    readers[f"photo.{kind}"] = read_rgb
turn = Image.Exif()
turn[0x0112] = 6


def kept(path):
    # Read with all that belongs to the file, and written again.
    write_photograph(path.with_name("again.png"), read_photograph(path))


for kind in ("png", "jpg", "webp"):
    Image.fromarray(image).save(good / f"photograph.{kind}", exif=turn, dpi=(72, 72))
    readers[f"photograph.{kind}"] = kept
Image.fromarray(image).quantize(9).save(good / "palette.png", transparency=3)
Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(good / "deep.png")
for name in ("palette.png", "deep.png"):
    readers[name] = kept
for kind in ("png", "bmp", "tif"):
    Image.fromarray(labels).save(good / f"labels.{kind}")
    readers[f"labels.{kind}"] = read_labels
for kind in ("png", "gif", "tif"):
    Image.fromarray(hole).save(good / f"hole.{kind}")
    readers[f"hole.{kind}"] = lambda p: load_hole(p, 32)
faces, holes = toy_faces(2, 32, "test"), drawn_test_holes(1, 32)
write_pairs(good / "pairs.csv", make_pairs(faces, holes))
readers["pairs.csv"] = read_pairs
(good / "mapping.txt").write_text(
    "idx orig_idx orig_file\n" + "".join(f"{i} {i + 7} {i + 8:06d}.jpg\n" for i in range(9))
)
readers["mapping.txt"] = read_mapping
(good / "record.json").write_text(json.dumps(record()))
readers["record.json"] = lambda p: read_records([p])
saved(good, "facial-style")
for name in ("generator.json", "generator.safetensors"):
    readers[name] = lambda p: load_generator(p.with_suffix(".safetensors"))
entry = {"name": "a", "trained_on": "faces", "licence": "MIT", "generator": "0" * 64, "parser": None}
(good / "index.json").write_text(json.dumps({"weights": [entry]}))
readers["index.json"] = lambda p: trained.listed(p.parent)
net = load_backbone("squeezenet1_1", "seed")
layers = {f"features.{k}": v for k, v in net.features.state_dict().items() if int(k.partition(".")[0]) < 5}
weights.save_file(layers, good / "squeezenet1_1.safetensors")
readers["squeezenet1_1.safetensors"] = lambda p: load_backbone("squeezenet1_1", p)
(good / "s" / "images").mkdir(parents=True)
(good / "s" / "labels").mkdir()
(good / "h").mkdir()
for i in range(2):
    Image.fromarray(image).save(good / "s" / "images" / f"{i}.png")
    Image.fromarray(labels).save(good / "s" / "labels" / f"{i}.png")
    Image.fromarray(hole).save(good / "h" / f"{i}.png")
prepare(good / "s", good / "faces", split="all", size=16)
prepare_holes(good / "h", good / "holes", split="all", size=16)
for cache, names, opened in (
    ("faces", ("meta.json", "images.npy", "labels.npy"), open_faces),
    ("holes", ("meta.json", "holes.npy"), open_holes),
):
    for name in names:
        readers[f"{cache}/{name}"] = lambda p, opened=opened: opened(p.parent, split="all", size=16)

WORDS = [
    b"-1",
    b"0",
    b"1e999",
    b"NaN",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"99999999999999999999",
    b"../",
    b"/etc/passwd",
    b"\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"true",
    b"\n",
    b",",
    b'"',
]


def damage(data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not data:
            break
        how, at = rng.randrange(8), rng.randrange(len(data))
        if rng.random() < 0.5:
            at = min(at, rng.randrange(256)) % len(data)  # headers decide most
        if how == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif how == 2:
            del data[at:]
        elif how == 3:
            del data[at : at + rng.choice((1, 2, 4, 8, 64))]
        elif how == 4:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 64))))
        elif how == 5:
            data[at : at + 4] = rng.choice((0, 2**31 - 1, 2**32 - 1, 60000)).to_bytes(4, rng.choice(("big", "little")))
        elif how == 6:
            data[at : at + rng.choice((0, 1, 4))] = rng.choice(WORDS)
        else:
            length = rng.choice((8, 64, 512))
            data[at:at] = data[at : at + length] * rng.choice((1, 2, 50))
    return bytes(data)


def signed(data):
    # A PNG file with the checksums of its chunks made right, as a forger would.
    data, at = bytearray(data), 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            break
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(data)


def size():
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


for name, reader in readers.items():
    reader(good / name)  # the good files are taken
limit = size() + int(sys.argv[5])
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def late(*_):
    raise TimeoutError("a reader took more than twenty seconds")


signal.signal(signal.SIGALRM, late)

counts = {name: {"taken": 0, "refused": 0, "refused badly": 0} for name in readers}
slowest, began = 0.0, time.monotonic()
names = list(readers)
while time.monotonic() - began < seconds:
    name = rng.choice(names)
    path = good / name
    whole = path.read_bytes()
    bad = damage(whole)
    if name.endswith(".png") and rng.random() < 0.7:
        bad = signed(bad)
    path.write_bytes(bad)
    about = None
    if name == "generator.safetensors" and rng.random() < 0.7:  # signed, as a forger would
        about = path.with_suffix(".json").read_bytes()
        path.with_suffix(".json").write_text(json.dumps(json.loads(about) | {"sha256": files.sha256_of(path)}))
    start = time.monotonic()
    signal.alarm(20)
    try:
        readers[name](path)
        counts[name]["taken"] += 1
    except FaceInpaintError as error:
        counts[name]["refused" if error.remedy and "\n" not in error.problem else "refused badly"] += 1
    except BaseException:
        (folder / "case").write_bytes(bad)
        print(f"{name}: {len(bad)} bytes kept in {folder / 'case'}", file=sys.stderr)
        raise
    finally:
        signal.alarm(0)
    slowest = max(slowest, time.monotonic() - start)
    path.write_bytes(whole)
    if about:
        path.with_suffix(".json").write_bytes(about)
print(
    json.dumps(
        {
            "cases": sum(sum(c.values()) for c in counts.values()),
            "readers": counts,
            "slowest_seconds": round(slowest, 2),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    )
)
