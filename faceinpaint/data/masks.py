"""What a hole is: a mask with 1 = hole, drawn or read from files; its size bins; and the fixed test pairs.

Everywhere in the library 1 (or True) means hole and 0 means known. Files come in both polarities, and nothing in
them says which, so the polarity of files is always an argument.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from faceinpaint.data import cache as caches
from faceinpaint.data.cache import Item, Listing, Prepared, skip
from faceinpaint.data.images import open_picture
from faceinpaint.data.sets import HoleSet, hole_fraction
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.files import sha256_of

BIN_EDGES = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
"""Edges of the hole fraction bins (Liu et al., ECCV 2018); a bin holds its upper edge, not its lower one."""

BIN_NAMES = ("0.01-0.1", "0.1-0.2", "0.2-0.3", "0.3-0.4", "0.4-0.5", "0.5-0.6")
"""Name of each bin, as it stands in pair lists and results records."""

HOLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")

_SPLIT_STREAMS = {"train": 0, "test": 1}  # second word of the seed, so that the two never share a random stream


# ------------------------------------------------------------------------------------------- size of a hole


def bin_of(fraction: float) -> int | None:
    """Index into :data:`BIN_NAMES` of a hole fraction, edges (lower, upper]; None outside (0.01, 0.6]."""
    for i, (lower, upper) in enumerate(pairwise(BIN_EDGES)):
        if lower < fraction <= upper:
            return i
    return None


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

    Resized by area to ``size`` if given; a pixel that is half hole counts as hole, in either polarity. A hole painted
    with a brush of one colour on black or white is one, too.

    Args:
        size: side of the square result; None keeps the file's own width and height.
        white_is_hole: polarity of the file; False if black pixels are the hole.

    Returns:
        (S, S), or (H, W) without ``size``, uint8, 1 = hole.

    Raises:
        DataError: the file cannot be read, is not a mask, is not square though ``size`` is given, or has no hole
            or nothing but hole.
    """
    return read_hole(Path(path), size, white_is_hole)[0]


def read_hole(path: Path, size: int | None, white_is_hole: bool) -> tuple[np.ndarray, float]:
    """As :func:`load_hole`, with the share of the file's pixels that were neither black nor white."""
    picture = open_picture(path)
    if picture.has_transparency_data and np.asarray(picture.convert("RGBA"))[..., 3].min() < 255:
        raise DataError("the mask is partly transparent", "Save it in black and white", path)
    if picture.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        raise DataError(f"its pixels are {picture.mode}, not 8-bit grey", "Save it in black and white", path)
    brushed = None if picture.mode in ("1", "L", "LA") else _brushed(np.asarray(picture.convert("RGB")), path)
    if brushed is not None:
        value = brushed  # the brush is the hole, whatever it was painted on
    else:
        value = np.asarray(picture.convert("L"))
        # A mask of 0 and 1 instead of 0 and 255 would come out all black.
        if value.any() and value.max() < 128:
            raise DataError(
                f"the mask has no white, its brightest pixel is {value.max()}", "Use 0 and 255, not 0 and 1", path
            )
        value = value if white_is_hole else 255 - value  # before it is resized: halves are hole in either polarity
    between = float(np.mean((value > FAINT) & (value < 255 - FAINT)))
    if size is not None and value.shape != (size, size):
        height, width = value.shape
        if width != height:
            raise DataError(f"the mask has {width} x {height} pixels, not square", "Crop it to a square", path)
        value = np.asarray(Image.fromarray(value).resize((size, size), Image.Resampling.BOX))
    hole = (value >= 128).astype(np.uint8)
    if not hole.any():
        raise DataError("there is no hole in it", "Check the polarity of the file", path)
    if hole.all():
        raise DataError("it is nothing but hole", "Check the polarity of the file", path)
    if between > GREY:
        raise DataError(
            f"it is a grey picture, not a mask: {100 * between:.0f}% of it are neither black nor white",
            "Paint the hole white on black", path,
        )  # fmt: skip
    return hole, between


FAINT, GREY = 16, 0.7
"""Levels from black or white that a lossy file adds to them; and the share of other greys from which on a picture is no
mask, however soft its brush was."""

COLOURED = 64
"""Levels between the strongest and the weakest channel from which on a pixel of a mask has a colour."""


def _brushed(rgb: np.ndarray, path: Path) -> np.ndarray | None:
    """How much of a coloured brush each pixel holds, 0 to 255; None where nothing has a colour.

    Args:
        rgb: (H, W, 3) uint8.

    Raises:
        DataError: there are many colours, or neither black nor white around the brush: a picture, not a mask.
    """
    wide = rgb.astype(np.float32)
    weakest = wide.min(2)
    chroma = wide.max(2) - weakest
    coloured = chroma >= COLOURED
    if not coloured.any():
        return None
    hues = (wide[coloured] - weakest[coloured][:, None]) / chroma[coloured][:, None]
    others = np.abs(hues - np.median(hues, axis=0)).max(1) > 0.3
    plain = weakest[~coloured]
    dark = not plain.size or np.median(plain) < 128
    between = (plain >= 64) & (plain < 192)  # the rim of a soft brush, and little else
    if others.mean() > 0.05 or between.sum() > 0.5 * coloured.sum():
        raise DataError(
            "it is a picture of many colours, not a mask", "Paint the hole white, or in one colour, on black", path
        )
    share = 255 * np.minimum(chroma / np.median(chroma[coloured]), 1)
    return np.rint(np.maximum(share, weakest) if dark else share).astype(np.uint8)


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
        hole, between = read_hole(path, size, white_is_hole)
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
