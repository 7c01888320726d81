"""What a hole is: a mask with 1 = hole, drawn or read from files; its size bins; and the fixed test pairs.

Everywhere in the library 1 (or True) means hole and 0 means known. Files come in both polarities, and nothing in
them says which, so the polarity of files is always an argument.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from faceinpaint.data import cache as caches
from faceinpaint.data.cache import Item, Listing, Prepared, skip
from faceinpaint.data.faces import FaceSet, open_picture, pick, sha256_of
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.weights import write_text

BIN_EDGES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Edges of the hole fraction bins (Liu et al., ECCV 2018); a bin holds its upper edge, not its lower one."""

BIN_NAMES = ("0.01-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5", "0.5-0.6")
"""Name of each bin, as it stands in pair lists and results records."""

HOLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")

_SPLIT_STREAMS = {"train": 0, "test": 1}  # second word of the seed, so that the two never share a random stream


# ------------------------------------------------------------------------------------------- size of a hole


def hole_fraction(hole: np.ndarray) -> float:
    """Share of hole pixels, 0 to 1, of one hole mask (H, W) with 1 = hole."""
    return float(np.count_nonzero(hole)) / hole.size


def bin_of(fraction: float) -> int | None:
    """Index into :data:`BIN_NAMES` of a hole fraction, edges (lower, upper]; None outside (0.01, 0.6]."""
    for i, (lower, upper) in enumerate(pairwise(BIN_EDGES)):
        if lower < fraction <= upper:
            return i
    return None


@dataclass(frozen=True)
class HoleSet:
    """Holes to train or test on.

    Attributes:
        holes: (M, S, S) uint8, 1 = hole; may be memory-mapped read-only.
        ids: one name per hole, unique within the set.
        sha256: one hex digest per hole: of the file (file sets) or of the pixels (drawn).
        source: one line for results records, such as ``"drawn holes, train, seed 0"``.
        fractions: (M,) float64 share of hole pixels at size S; computed if not given.
        notes: remarks made while the files were prepared, such as a polarity that looks inverted.

    Raises:
        DataError: the counts do not belong together.
    """

    holes: np.ndarray
    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    source: str
    fractions: np.ndarray = field(default=None)  # type: ignore[arg-type]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.fractions is None:
            # Hole by hole: a memory-mapped set may be larger than memory.
            object.__setattr__(self, "fractions", np.array([hole_fraction(h) for h in self.holes]))
        m, size = len(self.ids), self.holes.shape[-1]
        if self.holes.dtype != np.uint8:
            raise DataError(f"holes are {self.holes.dtype}, not uint8", "Give 0 for known, 1 for hole")
        if (
            self.holes.shape != (m, size, size)
            or len(self.sha256) != m
            or len(set(self.ids)) != m
            or self.fractions.shape != (m,)
        ):
            raise DataError(
                f"holes {self.holes.shape}, {len(set(self.ids))} different ids, {len(self.sha256)} checksums and "
                f"{len(self.fractions)} fractions do not belong together",
                "Give M square holes, M different ids and M checksums",
            )

    @property
    def size(self) -> int:
        """Side S of the holes in pixels."""
        return self.holes.shape[-1]

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, which: Sequence[str] | Sequence[int] | np.ndarray) -> HoleSet:
        """The holes with these ids or indices, in this order.

        Raises:
            DataError: an id or index is not in the set.
        """
        rows, chosen = pick(which, self.ids, f"hole of {self.source}")
        return HoleSet(
            self.holes[rows],
            tuple(self.ids[i] for i in chosen),
            tuple(self.sha256[i] for i in chosen),
            self.source,
            self.fractions[rows],
            self.notes,
        )


# -------------------------------------------------------------------------------------------- drawn holes


def free_form(size: int, rng: np.random.Generator) -> np.ndarray:
    """Brush strokes as in Gated Convolution (Yu et al., ICCV 2019), lengths scaled from 256 to ``size``.

    One to three strokes; each 4 to 11 vertices, turning by 2 pi/5 -+ 2 pi/15 alternately to either side, segments
    N(d/8, d/16) long with d the diagonal, 12 to 40 pixels wide at 256.

    Returns:
        (S, S) uint8, 1 = hole.
    """
    canvas = Image.new("L", (size, size))
    for _ in range(rng.integers(1, 4)):
        _stroke(canvas, rng)
    return _flipped(np.array(canvas), rng)


def box(size: int, rng: np.random.Generator) -> np.ndarray:
    """One rectangle as in Contextual Attention (Yu et al., CVPR 2018): sides 3/8 to 1/2 of ``size``, anywhere.

    Returns:
        (S, S) uint8, 1 = hole.
    """
    canvas = Image.new("L", (size, size))
    _rectangle(canvas, rng, 3 / 8, 1 / 2)
    return np.array(canvas)


def mixture(
    size: int, rng: np.random.Generator, lower: float = BIN_EDGES[0], upper: float = BIN_EDGES[-1]
) -> np.ndarray:
    """Strokes and boxes together, until a hole fraction drawn evenly from (lower, upper] is reached.

    Gated Convolution trains on the union of strokes and one box; the evenly drawn target lets training meet every bin
    of the test. The bins are not equally frequent: the last stroke or the box overshoots the target, most of all a
    small one, so holes below a tenth come about half as often as their share of the range.

    Returns:
        (S, S) uint8, 1 = hole; its fraction lies in (lower, upper].
    """
    while True:
        target = lower + (upper - lower) * rng.random()
        canvas = Image.new("L", (size, size))
        # A thin brush for small holes: one full-size stroke alone covers about a tenth.
        scale = float(np.clip(3 * math.sqrt(target / BIN_EDGES[-1]), 0.4, 1.0))
        with_box = rng.random() < 0.5
        if with_box:
            side = math.sqrt(target)
            _rectangle(canvas, rng, 0.4 * side, 0.9 * side)
        for _ in range(40):
            hole = np.asarray(canvas)
            fraction = hole_fraction(hole)
            if fraction >= target:
                break
            _stroke(canvas, rng, scale)
        if lower < fraction <= upper:
            return _flipped(hole, rng)


def _stroke(canvas: Image.Image, rng: np.random.Generator, scale: float = 1.0) -> None:
    """Draw one brush stroke with 1 into an 8-bit picture; ``scale`` shrinks its length and width."""
    size = canvas.width
    vertices = int(rng.integers(4, 12))
    low, high = 2 * math.pi / 5 - 2 * math.pi / 15 * rng.random(2) * (1, -1)
    turn = low + (high - low) * rng.random(vertices)
    turn[::2] = 2 * math.pi - turn[::2]
    mean = scale * math.sqrt(2) * size / 8
    length = np.clip(rng.normal(mean, mean / 2, vertices), 0, 2 * mean)
    x, y = (int(v) for v in rng.integers(0, size, 2))
    points = [(x, y)]
    for angle, step in zip(turn, length, strict=True):
        x = int(np.clip(x + step * math.cos(angle), 0, size))
        y = int(np.clip(y + step * math.sin(angle), 0, size))
        points.append((x, y))
    width = max(1, round(scale * (12 + 28 * rng.random()) * size / 256))
    draw = ImageDraw.Draw(canvas)
    draw.line(points, fill=1, width=width)
    for x, y in points:  # round joints and ends
        half = width // 2
        draw.ellipse((x - half, y - half, x + half, y + half), fill=1)


def _rectangle(canvas: Image.Image, rng: np.random.Generator, low: float, high: float) -> None:
    """Draw one rectangle with 1; its sides are shares ``low`` to ``high`` of the picture's side."""
    size = canvas.width
    width, height = (max(1, round(size * (low + (high - low) * u))) for u in rng.random(2))
    left, top = int(rng.integers(0, size - width + 1)), int(rng.integers(0, size - height + 1))
    ImageDraw.Draw(canvas).rectangle((left, top, left + width - 1, top + height - 1), fill=1)


def _flipped(hole: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrored left-right and upside down, each at odds of one half."""
    across, down = rng.random(2) < 0.5
    return np.ascontiguousarray(hole[:: -1 if down else 1, :: -1 if across else 1])


def drawn_holes(count: int, size: int, split: str = "train", seed: int = 0, progress: bool = False) -> HoleSet:
    """``count`` mixtures, each from its own seed, so the first hundred are the same however many are drawn.

    Train and test draw from different random streams for every seed. ``progress`` shows a progress bar.

    Raises:
        ConfigError: unknown split, or ``count`` or ``size`` is too small.
    """
    if split not in _SPLIT_STREAMS:
        raise ConfigError(f"there are no drawn holes for split {split!r}", "Use train or test")
    if count < 1:
        raise ConfigError(f"{count} drawn holes were asked for", "Ask for at least 1")
    caches.check_request(split, size)
    drawn = (mixture(size, _rng(seed, split, i)) for i in range(count))
    holes = list(caches.tracked(drawn, count, progress, "Drawing holes"))
    return _drawn_set(holes, range(count), split, seed)


def drawn_test_holes(per_bin: int, size: int, seed: int = 0, progress: bool = False) -> HoleSet:
    """Drawn test holes, ``per_bin`` for each of the six bins, small bins first; the same for the same seed.

    ``progress`` shows a progress bar.

    Raises:
        ConfigError: ``per_bin`` or ``size`` is too small.
    """
    if per_bin < 1:
        raise ConfigError(f"{per_bin} drawn holes a bin were asked for", "Ask for at least 1")
    caches.check_request("test", size)
    bins = list(pairwise(BIN_EDGES))
    # Counted across the bins, so that asking for more holes a bin keeps the earlier ones under their names.
    numbers = [i * len(bins) + b for b in range(len(bins)) for i in range(per_bin)]
    drawn = (mixture(size, _rng(seed, "test", n), *bins[n % len(bins)]) for n in numbers)
    holes = list(caches.tracked(drawn, len(numbers), progress, "Drawing holes"))
    return _drawn_set(holes, numbers, "test", seed)


def _rng(seed: int, split: str, number: int) -> np.random.Generator:
    """The random stream of one drawn hole."""
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative", "Use 0 or more")
    return np.random.Generator(np.random.PCG64([seed, _SPLIT_STREAMS[split], number]))


def _drawn_set(holes: list[np.ndarray], numbers: Sequence[int], split: str, seed: int) -> HoleSet:
    """Drawn holes as a set, named by split and number."""
    ids = tuple(f"drawn-{split}-{n:05d}" for n in numbers)
    sha256 = tuple(hashlib.sha256(hole.tobytes()).hexdigest() for hole in holes)
    return HoleSet(np.stack(holes), ids, sha256, f"drawn holes, {split}, seed {seed}")


# --------------------------------------------------------------------------------------- holes from files


def load_hole(path: str | Path, size: int | None = None, *, white_is_hole: bool = True) -> np.ndarray:
    """One hole mask from a picture file.

    Resized by area to ``size`` if given, then a pixel is white from grey 128 upwards.

    Args:
        size: side of the square result; None keeps the file's own width and height.
        white_is_hole: polarity of the file; False if black pixels are the hole.

    Returns:
        (S, S), or (H, W) without ``size``, uint8, 1 = hole.

    Raises:
        DataError: the file cannot be read, is not a mask, is not square though ``size`` is given, or has no hole
            or nothing but hole.
    """
    return _read_hole(Path(path), size, white_is_hole)[0]


def _read_hole(path: Path, size: int | None, white_is_hole: bool) -> tuple[np.ndarray, float]:
    """The hole mask of a file, and the share of its pixels that were neither black nor white."""
    picture = open_picture(path)
    if picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
        raise DataError("the mask is partly transparent", "Save it in black and white", path)
    if picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(f"its pixels are {picture.mode}, not 8-bit grey", "Save it in black and white", path)
    grey = picture.convert("L")
    value = np.asarray(grey)
    # A mask of 0 and 1 instead of 0 and 255 would come out all black.
    if value.any() and value.max() < 128:
        raise DataError(
            f"the mask has no white, its brightest pixel is {value.max()}", "Use 0 and 255, not 0 and 1", path
        )
    between = float(np.mean((value > 0) & (value < 255)))
    if size is not None and grey.size != (size, size):
        if grey.width != grey.height:
            raise DataError(
                f"the mask has {grey.width} x {grey.height} pixels, not square", "Crop it to a square", path
            )
        value = np.asarray(grey.resize((size, size), Image.Resampling.BOX))
    hole = ((value >= 128) == white_is_hole).astype(np.uint8)
    if not hole.any():
        raise DataError("there is no hole in it", "Check the polarity of the file", path)
    if hole.all():
        raise DataError("it is nothing but hole", "Check the polarity of the file", path)
    return hole, between


def prepare_holes(
    source: str | Path,
    out: str | Path,
    *,
    split: str = "train",
    size: int = 256,
    white_is_hole: bool = True,
    progress: bool = False,
    workers: int | None = None,
) -> Prepared:
    """Check every hole file of a folder, resize it once and write the cache that training memory-maps.

    The folder holds the files directly or in ``train/`` and ``test/``; undivided, a tenth is test, by the hash of
    the name. The hole fraction is computed after resizing. Unusable files are skipped with the reason; grey
    pixels, and a polarity that looks inverted, are noted.

    Args:
        source: the folder; NVIDIA's irregular mask test set has white = hole.
        out: the cache folder to write: ``holes.npy`` (M, S, S), ``meta.json``.
        white_is_hole: polarity of the files.
        split, size, progress, workers: as for :func:`faceinpaint.data.celebahq.prepare`.

    Raises:
        ConfigError: unknown split, or a size below 16.
        DataError: no usable hole is left, the folder has none, or ``out`` is something else.
    """
    source, out = Path(source), Path(out)
    caches.check_request(split, size)

    def read(path: Path) -> Item:
        hole, between = _read_hole(path, size, white_is_hole)
        remarks = ["grey pixels, cut at 128"] if between else []
        fraction = hole_fraction(hole)
        if bin_of(fraction) is None:
            remarks.append(f"hole fraction outside {BIN_EDGES[0]} to {BIN_EDGES[-1]}, in no bin")
        return Item((hole,), {"sha256": sha256_of(path), "fractions": fraction}, tuple(remarks))

    def review(facts: dict[str, list]) -> list[str]:
        middle = float(np.median(facts["fractions"]))
        if middle <= 0.5:
            return []
        return [
            f"half of the holes cover more than {middle:.2f} of the picture: the polarity looks inverted, "
            f"white was taken as {'hole' if white_is_hole else 'known'}"
        ]

    return caches.build(
        out,
        _list_holes(source, split, white_is_hole),
        read,
        {"holes": (size, size)},
        {"kind": "holes", "size": size, "split": split, "white_is_hole": white_is_hole},
        review=review,
        progress=progress,
        workers=workers,
    )


def _list_holes(source: Path, split: str, white_is_hole: bool) -> Listing:
    """The hole files of a folder that belong to a split."""

    def has(folder: Path) -> bool:
        return folder.is_dir() and any(p.suffix.lower() in HOLE_SUFFIXES for p in folder.iterdir())

    folder, divide = caches.split_folder(source, split, has)
    files: dict[str, Path] = {}
    skipped = []
    for path in caches.visible(folder):
        if divide and not caches.in_split(path.stem, split):
            continue
        if not caches.plain_name(path.stem):
            skipped.append(skip(path, "the name cannot be an id"))
        elif path.stem in files:
            skipped.append(skip(path, f"a second file beside {files[path.stem].name}"))
        elif path.suffix.lower() in HOLE_SUFFIXES:
            files[path.stem] = path
    how = f"split {split}" + (" (a tenth is test, by hash of the name)" if divide else "")
    text = f"{source.resolve().name}, holes from files, {how}, {'white' if white_is_hole else 'black'} = hole"
    paths = list(files.values())
    return Listing(list(files), paths, text, caches.listing_digest(source, paths), skipped)


def open_holes(folder: str | Path, *, split: str, size: int, white_is_hole: bool | None = None) -> HoleSet:
    """The holes of a cache written by :func:`prepare_holes`, memory-mapped.

    Args:
        white_is_hole: the polarity that the files must have been read with; None for whichever it was.

    Raises:
        DataError: the cache is missing, damaged, or of another split, size or polarity.
    """
    folder = Path(folder)
    meta, (holes,) = caches.load(folder, "holes", ("holes",))
    caches.check_loaded(meta, folder, split, size, white_is_hole=white_is_hole)
    try:
        fractions = np.array(meta["fractions"], dtype=np.float64)
        return HoleSet(
            holes, tuple(meta["ids"]), tuple(meta["sha256"]), meta["source"], fractions, tuple(meta["notes"])
        )
    except (KeyError, TypeError, ValueError, DataError):
        raise DataError(
            "its entries are incomplete", "Delete the folder and prepare it again", folder / "meta.json"
        ) from None


def load_holes(
    source: str | Path,
    split: str,
    size: int,
    *,
    count: int | None = None,
    cache: Path | None = None,
    white_is_hole: bool | None = None,
    seed: int = 0,
    progress: bool = False,
) -> HoleSet:
    """Holes from wherever they are: drawn, a prepared cache, or a folder of files.

    Args:
        source: ``"drawn"``; or a cache folder written by :func:`prepare_holes` or a folder that holds such caches;
            or a folder of mask files, which is then prepared first.
        split: ``"train"`` or ``"test"`` (``"val"``, ``"all"``: files only).
        size: side of the square holes in pixels.
        count: how many. Drawn: required; for test, rounded up to equal numbers per bin. Files: at most so
            many, taken evenly along the sorted names, since mask sets are often sorted by hole size.
        cache: folder that receives ``holes-<split>-<size>`` when a folder of files has to be prepared.
        white_is_hole: polarity of the files; None, if nothing is said of it, for white = hole, or for that of the
            cache.
        seed: drawn holes only.
        progress: show a progress bar while preparing or drawing.

    Raises:
        ConfigError: ``count`` or ``cache`` is needed and missing.
        DataError: the folder is not usable, or its cache has another size, split or polarity.
    """
    if str(source) == "drawn":
        if count is None:
            raise ConfigError("drawn holes need a number of holes", "Give count")
        if split == "test":
            return drawn_test_holes(-(-count // len(BIN_NAMES)), size, seed, progress)
        return drawn_holes(count, size, split, seed, progress)
    folder = caches.find("holes", Path(source), split, size)
    if folder is None:
        if cache is None:
            raise ConfigError(
                f"{source} is not a prepared cache, and no folder for one is given",
                "Run `faceinpaint data prepare` first, or name a cache folder",
            )
        folder = Path(cache) / caches.folder_name("holes", split, size)
        polarity = white_is_hole is not False
        prepare_holes(source, folder, split=split, size=size, white_is_hole=polarity, progress=progress)
    holes = open_holes(folder, split=split, size=size, white_is_hole=white_is_hole)
    if count is None or count >= len(holes):
        return holes
    return holes.subset(np.arange(count) * len(holes) // count)


# ------------------------------------------------------------------------------------------- compositing


# -------------------------------------------------------------------------------------------- test pairs


class Pair(NamedTuple):
    """One line of the test protocol: this face with this hole; ``bin`` is one of :data:`BIN_NAMES`."""

    face_id: str
    face_sha256: str
    hole_id: str
    hole_sha256: str
    fraction: float
    bin: str


def make_pairs(faces: FaceSet, holes: HoleSet, seed: int = 0) -> list[Pair]:
    """Each face once in each bin, with a hole of that bin; sorted by bin, then in the order of the faces.

    Within a bin all holes are shuffled and dealt out, and again when they are used up, so their numbers of uses
    differ by one at most. The same sets and seed give the same list.

    Raises:
        DataError: a bin has no hole.
    """
    bins = np.array([-1 if (b := bin_of(f)) is None else b for f in holes.fractions])
    empty = [name for b, name in enumerate(BIN_NAMES) if not (bins == b).any()]
    if empty:
        raise DataError(
            f"{holes.source}: no hole of fraction {', '.join(empty)} among {len(holes)}",
            "Use a hole set that covers every bin from 0.01 to 0.6",
        )
    pairs = []
    for b, name in enumerate(BIN_NAMES):
        rng = np.random.Generator(np.random.PCG64([seed, b]))
        members = np.flatnonzero(bins == b)
        rounds = -(-len(faces) // len(members))
        dealt = np.concatenate([rng.permutation(members) for _ in range(rounds)])
        for f in range(len(faces)):
            h = int(dealt[f])
            pairs.append(
                Pair(
                    faces.ids[f],
                    faces.sha256[f],
                    holes.ids[h],
                    holes.sha256[h],
                    float(holes.fractions[h]),
                    name,
                )
            )
    return pairs


def write_pairs(path: str | Path, pairs: Sequence[Pair]) -> None:
    """Write a pair list as CSV with one header line; to a temporary name first, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Pair._fields)
    # repr keeps every digit: a rounded fraction could fall on the other side of a bin's edge.
    writer.writerows([*pair[:4], repr(float(pair.fraction)), pair.bin] for pair in pairs)
    write_text(path, text.getvalue())


def read_pairs(path: str | Path) -> list[Pair]:
    """Read and check a pair list written by :func:`write_pairs`.

    Raises:
        DataError: naming the line: wrong header, an id that is empty or not a plain name, a checksum that is not
            one, a fraction that is no number or not of the stated bin, a face twice in one bin, or one id with two
            checksums; or the file is missing or has no pairs.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark at the beginning
        rows = list(csv.reader(text.splitlines(), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"the pair list cannot be read ({error})", "Check the file", path) from None
    header = ",".join(Pair._fields)
    if not rows or tuple(rows[0]) != Pair._fields:
        raise DataError(f"line 1: the header is not {header}", "Make the list with write_pairs", path)
    pairs: list[Pair] = []
    seen: set[tuple[str, str]] = set()
    checksums: dict[tuple[str, str], str] = {}
    for line, row in enumerate(rows[1:], 2):
        try:
            pair = _parse_pair(row)
        except ValueError as error:
            raise DataError(f"line {line}: {error}", "Mend the line or make the list again", path) from None
        if (pair.face_id, pair.bin) in seen:
            raise DataError(
                f"line {line}: face {pair.face_id!r} is in bin {pair.bin} twice", "Remove one of them", path
            )
        seen.add((pair.face_id, pair.bin))
        for key, value in ((("face", pair[0]), pair[1]), (("hole", pair[2]), pair[3])):
            if checksums.setdefault(key, value) != value:
                raise DataError(f"line {line}: {key[0]} {key[1]!r} has two checksums", "Make the list again", path)
        pairs.append(pair)
    if not pairs:
        raise DataError("the pair list is empty", "Make the list again", path)
    return pairs


def _parse_pair(row: list[str]) -> Pair:
    """One row of the CSV, checked by itself.

    Raises:
        ValueError: what is wrong with it.
    """
    if len(row) != len(Pair._fields):
        raise ValueError(f"{len(row)} fields, not {len(Pair._fields)}")
    face_id, face_sha256, hole_id, hole_sha256, fraction, name = row
    for value in (face_id, hole_id):
        if not caches.plain_name(value):
            raise ValueError(f"{value!r} is not a plain id")
    for value in (face_sha256, hole_sha256):
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise ValueError(f"{value!r} is not a SHA-256 checksum")
    if name not in BIN_NAMES:
        raise ValueError(f"unknown bin {name!r}")
    try:
        share = float(fraction)
    except ValueError:
        raise ValueError(f"fraction {fraction!r} is not a number") from None
    if bin_of(share) != BIN_NAMES.index(name):
        raise ValueError(f"fraction {fraction} is not in bin {name}")
    return Pair(face_id, face_sha256, hole_id, hole_sha256, share, name)


def check_pairs(pairs: Sequence[Pair], faces: FaceSet, holes: HoleSet) -> list[tuple[int, int]]:
    """Make sure that faces and holes are the very ones the pair list was made from.

    Returns:
        Index of the face and index of the hole of each pair.

    Raises:
        DataError: an id is missing, a checksum differs, or a hole has another fraction at this size.
    """
    remedy = "Use the data the list was made from, or make a new list"
    face_at = {name: i for i, name in enumerate(faces.ids)}
    hole_at = {name: i for i, name in enumerate(holes.ids)}
    found = []
    for pair in pairs:
        f, h = face_at.get(pair.face_id), hole_at.get(pair.hole_id)
        if f is None:
            raise DataError(f"face {pair.face_id!r} of the pair list is not in {faces.source}", remedy)
        if h is None:
            raise DataError(f"hole {pair.hole_id!r} of the pair list is not in {holes.source}", remedy)
        if faces.sha256[f] != pair.face_sha256:
            raise DataError(f"face {pair.face_id!r} of {faces.source} is another picture", remedy)
        if holes.sha256[h] != pair.hole_sha256:
            raise DataError(f"hole {pair.hole_id!r} of {holes.source} is another hole", remedy)
        if holes.fractions[h] != pair.fraction:
            raise DataError(
                f"hole {pair.hole_id!r} covers {holes.fractions[h]:.4f} at {holes.size} pixels, the list says "
                f"{pair.fraction:.4f}",
                "Use the size that the list was made for, or make a new list",
            )
        found.append((f, h))
    return found
