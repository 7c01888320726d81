"""Real faces: CelebAMask-HQ as its authors ship it, or pictures and parsing maps in two folders.

CelebAMask-HQ (Lee et al., CVPR 2020) as shipped::

    CelebA-HQ-img/0.jpg ... 29999.jpg                          1024 x 1024
    CelebAMask-HQ-mask-anno/0 ... 14/00000_skin.png ...        512 x 512, one black and white file per class
    CelebA-HQ-to-CelebA-mapping.txt                            idx, orig_idx, orig_file

The split is CelebA's own partition carried over by ``orig_idx``: 24,183 train, 2,993 val, 2,824 test.

The flat layout is ``images/`` (png, jpg or webp) and ``labels/`` (png, one class id per pixel, same stem), with or
without ``train/`` and ``test/`` above them. Undivided, a tenth of the pairs is test, by the hash of the name.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from faceinpaint.data import cache
from faceinpaint.data.cache import Item, Listing, Prepared, skip
from faceinpaint.data.images import notes_of, open_picture, read_labels, read_rgb
from faceinpaint.data.sets import FaceSet
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.files import sha256_of
from faceinpaint.regions import CLASS_ORDERS, CLASSES

IMAGES, ANNOTATIONS = "CelebA-HQ-img", "CelebAMask-HQ-mask-anno"
MAPPING = "CelebA-HQ-to-CelebA-mapping.txt"

LAST_TRAIN, LAST_VAL = 162_770, 182_637
"""CelebA's partition by the number in the original file name: train up to the first, val up to the second."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")

_PER_FOLDER = 2000  # faces in each numbered folder of annotations
_FACE = [CLASSES.index(name) for name in ("skin", "nose", "l_eye", "r_eye", "mouth", "u_lip", "l_lip")]
_SEGMENTS = CLASSES[1:]  # every class but background has annotation files


class Pair(NamedTuple):
    """One face to read: its picture, and its map in one file or in one file per class present."""

    image: Path
    label: Path | None
    segments: tuple[tuple[int, Path], ...]


def prepare(
    source: str | Path,
    out: str | Path,
    *,
    split: str = "train",
    size: int = 256,
    order: str = "celebamask-hq",
    progress: bool = False,
    workers: int | None = None,
) -> Prepared:
    """Check every pair of a folder, resize it once and write the decoded cache that training memory-maps.

    Pictures are resized with Lanczos (antialiased), maps by nearest neighbour. A pair is skipped, with the
    reason, if a file is missing or cannot be read, the picture is not RGB, not square or under 16 pixels, the
    two differ in shape, a class is unknown, or the map is all background or holds no face. Picture and map may
    differ in scale, as they do in CelebAMask-HQ; that is noted.

    Args:
        source: the folder, in either layout.
        out: the cache folder to write: ``images.npy`` (N, S, S, 3), ``labels.npy`` (N, S, S), ``meta.json``. If it
            is already there and was made from the same files in the same way, it is kept.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
        size: side S of the square result in pixels, at least 16.
        order: class order of flat label maps by name; CelebAMask-HQ as shipped names its classes itself.
        progress: show a progress bar with the time left.
        workers: number of threads.

    Raises:
        ConfigError: unknown split or order, or a size below 16.
        DataError: no pair is left, ``source`` is in neither layout, the disk is too full, or ``out`` is something
            else.
    """
    source, out = Path(source), Path(out)
    cache.check_request(split, size)
    if order not in CLASS_ORDERS:
        raise ConfigError(f"unknown class order {order!r}", f"Use one of {', '.join(CLASS_ORDERS)}")
    listing = list_pairs(source, split)
    return cache.build(
        out,
        listing,
        partial(_read_pair, size=size, order=order),
        {"images": (size, size, 3), "labels": (size, size)},
        {"kind": "faces", "size": size, "split": split, "order": order},
        progress=progress,
        workers=workers,
    )


def open_faces(folder: str | Path, *, split: str, size: int, order: str | None = None) -> FaceSet:
    """The faces of a cache written by :func:`prepare`, memory-mapped.

    Args:
        order: the class order that the maps must have been read in; None for whichever it was.

    Raises:
        DataError: the cache is missing, damaged, or of another split, size or class order.
    """
    meta, (images, labels) = cache.load(Path(folder), "faces", ("images", "labels"))
    cache.check_loaded(meta, Path(folder), split, size, order=order)
    return FaceSet(images, labels, tuple(meta["ids"]), tuple(meta["sha256"]), meta["source"])


def list_pairs(source: Path, split: str) -> Listing:
    """The pairs of a folder that belong to a split, in either layout, and what is unusable at first sight.

    Raises:
        DataError: ``source`` is in neither layout, or its mapping file is missing or damaged.
    """
    if (source / IMAGES).is_dir():
        return _list_shipped(source, split)
    folder, divide = cache.split_folder(
        source, split, lambda f: (f / "images").is_dir() and (f / "labels").is_dir(), lambda f: (f / IMAGES).is_dir()
    )
    return _list_flat(source, folder, split if divide else "all", split)


def _list_flat(source: Path, folder: Path, keep: str, split: str) -> Listing:
    """``images/`` + ``labels/`` of one folder; ``keep`` is the part that the hash of the name must give."""
    pictures: dict[str, Path] = {}
    skipped = []
    for path in cache.visible(folder / "images"):
        if not cache.in_split(path.stem, keep):
            continue
        if path.suffix.lower() not in PICTURE_SUFFIXES:
            skipped.append(skip(path, f"not one of {', '.join(PICTURE_SUFFIXES)}"))
        elif not cache.plain_name(path.stem):
            skipped.append(skip(path, "the name cannot be an id"))
        elif path.stem in pictures:
            skipped.append(skip(path, f"a second picture beside {pictures[path.stem].name}"))
        else:
            pictures[path.stem] = path
    labels = {p.stem: p for p in cache.visible(folder / "labels") if p.suffix.lower() == ".png"}
    pairs = []
    for name, path in pictures.items():
        if name in labels:
            pairs.append((name, Pair(path, labels[name], ())))
        else:
            skipped.append(skip(path, f"no map labels/{name}.png"))
    for name, path in labels.items():
        if name not in pictures and cache.in_split(name, keep):
            skipped.append(skip(path, "no picture of this name"))
    how = f"split {split}" + (" (a tenth is test, by hash of the name)" if keep != "all" else "")
    return _listing(source, pairs, f"{source.resolve().name}, images + labels, {how}", skipped, [])


def _list_shipped(source: Path, split: str) -> Listing:
    """CelebAMask-HQ as its authors ship it."""
    if not (source / ANNOTATIONS).is_dir():
        raise DataError(f"there is no folder {ANNOTATIONS}", "Unpack the data set completely", source)
    partition = None if split == "all" and not (source / MAPPING).exists() else read_mapping(source / MAPPING)
    pictures: dict[int, Path] = {}
    skipped, notes = [], []
    for path in cache.visible(source / IMAGES):
        if path.suffix.lower() != ".jpg" or not _digits(path.stem):
            skipped.append(skip(path, "not a picture <number>.jpg"))
        elif partition is not None and int(path.stem) not in partition:
            skipped.append(skip(path, f"its number is not in {MAPPING}"))
        elif partition is None or split in ("all", partition[int(path.stem)]):
            pictures[int(path.stem)] = path
    if partition is not None:
        wanted = sum(split in ("all", part) for part in partition.values())
        if wanted > len(pictures):
            notes.append(f"{wanted - len(pictures)} of the {wanted} faces of the split have no picture here")

    # One pass over each folder of annotations: asking for 19 files a face would cost half a million look-ups.
    segments: dict[int, list[tuple[int, Path]]] = {}
    for number in sorted({idx // _PER_FOLDER for idx in pictures}):
        for path in cache.visible(source / ANNOTATIONS / str(number)):
            digits, _, name = path.stem.partition("_")
            if not _digits(digits) or name not in _SEGMENTS or path.suffix != ".png":
                skipped.append(skip(path, "not an annotation <number>_<class>.png"))
            else:
                segments.setdefault(int(digits), []).append((CLASSES.index(name), path))
    pairs = []
    for idx, path in sorted(pictures.items()):
        if idx in segments:
            # In the official order later classes lie over earlier ones.
            pairs.append((path.stem, Pair(path, None, tuple(sorted(segments[idx])))))
        else:
            skipped.append(skip(path, "it has no annotation"))
    how = "CelebA's partition" if split != "all" else "undivided"
    return _listing(source, pairs, f"CelebAMask-HQ as shipped, split {split} ({how})", skipped, notes)


def _listing(
    source: Path,
    pairs: list[tuple[str, Pair]],
    text: str,
    skipped: list[dict[str, str]],
    notes: list[str],
) -> Listing:
    """The listing of these pairs; the digest covers pictures and flat maps, and the names of annotations."""
    files = [p for _, pair in pairs for p in (pair.image, pair.label) if p is not None]
    names = [str(number) for _, pair in pairs for number, _ in pair.segments]
    digest = cache.listing_digest(source, files, names)
    return Listing([name for name, _ in pairs], [pair for _, pair in pairs], text, digest, skipped, notes)


def _digits(text: str) -> bool:
    """Whether a text is a number of at most nine plain digits (``str.isdigit`` takes other scripts too)."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def read_mapping(path: Path) -> dict[int, str]:
    """``CelebA-HQ-to-CelebA-mapping.txt`` -> the split of each face by its number in CelebA-HQ.

    A row is ``idx orig_idx orig_file`` with ``orig_file`` = ``orig_idx`` + 1 as six digits and ``.jpg``.

    Raises:
        DataError: the file is missing, or a row (named) is not of this form, or comes twice.
    """
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(
            f"the mapping file cannot be read ({error})",
            "Copy it from the data set, or prepare the split all without it",
            path,
        ) from None
    split: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        row = line.split()
        if not row or (number == 1 and row == ["idx", "orig_idx", "orig_file"]):
            continue
        good = len(row) == 3 and _digits(row[0]) and _digits(row[1]) and row[2] == f"{int(row[1]) + 1:06d}.jpg"
        if not good or int(row[0]) in split:
            what = "number twice" if good else "not `idx orig_idx orig_file`"
            raise DataError(f"line {number}: {what}: {line[:60]!r}", "Copy the file again", path)
        original = int(row[1]) + 1
        split[int(row[0])] = "train" if original <= LAST_TRAIN else "val" if original <= LAST_VAL else "test"
    if not split:
        raise DataError("the mapping file is empty", "Copy it again", path)
    return split


def _read_pair(pair: Pair, size: int, order: str) -> Item:
    """Read, check and resize one face.

    Raises:
        DataError: the pair is not usable.
    """
    image = read_rgb(pair.image)
    if notes_of(pair.image)[0] != 1:
        problem = "viewers turn it by an EXIF tag, and its map is made for one side or the other"
        raise DataError(problem, "Turn the picture itself, as its map is", pair.image)
    height, width = image.shape[:2]
    if min(height, width) < cache.MIN_SIDE:
        raise DataError(f"only {width} x {height} pixels", "Leave it out", pair.image)
    if height != width:
        raise DataError(f"{width} x {height} pixels, not square", "Crop it to the face", pair.image)
    label = read_labels(pair.label, order) if pair.label else composite_segments(pair.segments)
    if label.shape[0] != label.shape[1]:
        problem = f"the map is {label.shape[1]} x {label.shape[0]}, the picture {width} x {height}"
        raise DataError(problem, "Make the map from this picture", pair.label or pair.image)
    if not label.any():
        raise DataError("the map is all background", "Leave it out", pair.label or pair.image)
    if not np.isin(label, _FACE).any():
        held = ", ".join(CLASSES[number] for number in np.unique(label))
        raise DataError(f"the map holds no face, only {held}", "Leave it out", pair.label or pair.image)
    remarks = []
    if label.shape[0] != height:
        remarks.append(f"picture {height} and map {label.shape[0]} pixels wide, each resized on its own")
    if height < size:
        remarks.append(f"enlarged from {height} pixels")
    if height != size:
        image = np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.LANCZOS))
    if label.shape[0] != size:
        label = np.asarray(Image.fromarray(label).resize((size, size), Image.Resampling.NEAREST))
    return Item((image, label), {"sha256": sha256_of(pair.image)}, tuple(remarks))


def composite_segments(segments: Iterable[tuple[int, Path]]) -> np.ndarray:
    """The files of one face, one per class, laid over each other in ascending class id -> (H, W) uint8.

    Raises:
        DataError: a file cannot be read, is not black and white, or differs in size from the others.
    """
    label: np.ndarray | None = None
    for number, path in segments:
        # Through "L", so that a palette file gives brightness and not palette indices.
        value = np.asarray(open_picture(path).convert("L"))
        if value.any() and value.max() < 128:
            raise DataError("an annotation that is neither black nor white", "Copy it again", path)
        if label is None:
            label = np.zeros(value.shape, dtype=np.uint8)
        if value.shape != label.shape:
            raise DataError("an annotation of another size than the others", "Copy it again", path)
        label[value >= 128] = number
    assert label is not None, "a face is listed only if it has an annotation"
    return label
