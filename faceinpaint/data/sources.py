"""Where faces and holes come from: drawn, a prepared cache, or a folder of pictures."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceinpaint.data import cache as caches
from faceinpaint.data.celebahq import open_faces, prepare
from faceinpaint.data.masks import BIN_NAMES, drawn_holes, drawn_test_holes, open_holes, prepare_holes
from faceinpaint.data.pairs import TestSet, make_pairs, read_pairs
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.data.toy import toy_faces
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.presets import Preset

log = logging.getLogger(__name__)


def load_faces(
    source: str | Path,
    split: str,
    size: int,
    *,
    count: int | None = None,
    cache: Path | None = None,
    order: str | None = None,
    seed: int = 0,
    progress: bool = False,
) -> FaceSet:
    """Faces from wherever they are: drawn, a prepared cache, or a folder of pictures.

    Args:
        source: ``"toy"`` for drawn faces; a cache folder written by :func:`faceinpaint.data.celebahq.prepare`
            or a folder that holds such caches; or CelebAMask-HQ or an ``images`` + ``labels`` folder, which is
            then prepared first.
        split: ``"train"``, ``"val"``, ``"test"`` or ``"all"``.
        size: side of the square pictures in pixels.
        count: drawn faces: how many (required). Real faces: the first so many, all if there are fewer.
        cache: folder that receives ``faces-<split>-<size>`` when a folder of pictures has to be prepared; by
            default the one that FACEINPAINT_CACHE names.
        order: class order of the label maps by name, see :data:`faceinpaint.regions.CLASS_ORDERS`; None, if nothing is
            said of it, for the official one, or for that of the cache.
        seed: drawn faces only.
        progress: show a progress bar while preparing or drawing.

    Raises:
        ConfigError: ``count`` or ``cache`` is needed and missing.
        DataError: the folder is not usable, or its cache has another size, split or class order.
    """
    if str(source) == "toy":
        if count is None:
            raise ConfigError("drawn faces need a number of faces", "Give count")
        return toy_faces(count, size, split, seed, progress)

    folder = caches.find("faces", Path(source), split, size)
    if folder is None:
        folder = caches.room("faces", source, split, size, cache)
        read_as = "celebamask-hq" if order is None else order
        prepare(source, folder, split=split, size=size, order=read_as, progress=progress)
    faces = open_faces(folder, split=split, size=size, order=order)
    return faces if count is None or count >= len(faces) else faces.subset(range(count))


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
        cache: folder that receives ``holes-<split>-<size>`` when a folder of files has to be prepared; by
            default the one that FACEINPAINT_CACHE names.
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
        folder = caches.room("holes", source, split, size, cache)
        polarity = white_is_hole is not False
        prepare_holes(source, folder, split=split, size=size, white_is_hole=polarity, progress=progress)
    holes = open_holes(folder, split=split, size=size, white_is_hole=white_is_hole)
    if count is None or count >= len(holes):
        return holes
    return holes.subset(np.arange(count) * len(holes) // count)


def save_faces(faces: FaceSet, out: Path) -> None:
    """Write faces as a folder of pictures, ``images/ID.png`` and ``labels/ID.png``.

    Raises:
        DataError: others are there, with which these would be mixed.
    """
    names = {f"{face}.png" for face in faces.ids}
    folders = {out / "images": faces.images, out / "labels": faces.labels}
    for folder in folders:
        if folder.is_dir() and (others := {path.name for path in folder.iterdir()} - names):
            raise DataError(f"it holds other files, such as {min(others)}", "Name another folder, or empty it", folder)
    for folder, pictures in folders.items():
        folder.mkdir(parents=True, exist_ok=True)
        for face, picture in zip(faces.ids, pictures, strict=True):
            Image.fromarray(picture).save(folder / f"{face}.png")


@dataclass(frozen=True)
class Sources:
    """Where pictures and weights come from.

    Attributes:
        faces: "toy" for drawn faces, or a folder (see :func:`faceinpaint.data.sources.load_faces`).
        holes: "drawn", or a folder of hole masks (see :func:`faceinpaint.data.sources.load_holes`).
        order: class order of the label maps; None if nothing is said of it, as a prepared cache knows it.
        white_is_hole: polarity of the hole files; None likewise.
        pairs: CSV of test pairs; None makes one from the test sets.
        weights: of the frozen networks, see :func:`faceinpaint.backbones.load_backbone`.
        inception: clean-fid's Inception file, for FID proper.
    """

    faces: str | Path = "toy"
    holes: str | Path = "drawn"
    order: str | None = None
    white_is_hole: bool | None = None
    pairs: Path | None = None
    weights: str | Path = "auto"
    inception: Path | None = None

    def training(self, preset: Preset, cache: Path, seed: int = 0, progress: bool = False) -> tuple[Any, Any]:
        """Training faces and holes at the preset's size; a folder of pictures is prepared into ``cache`` first."""
        faces = self._faces("train", preset, cache, preset.faces, seed, progress)
        holes = load_holes(
            self.holes, "train", preset.size, count=preset.holes if str(self.holes) == "drawn" else None, cache=cache,
            white_is_hole=self.white_is_hole, seed=seed, progress=progress,
        )  # fmt: skip
        self.remark()
        return faces, holes

    def remark(self) -> None:
        """Say that holes are drawn where faces are not, which is easily forgotten."""
        if str(self.faces) != "toy" and str(self.holes) == "drawn":
            log.warning("Holes are drawn. For those of a folder, name it: --holes FOLDER")

    def test(self, preset: Preset, cache: Path, seed: int = 0, progress: bool = False) -> TestSet:
        """The fixed test pairs: those of the CSV, or each test face once in every bin."""
        faces = self._faces("test", preset, cache, preset.pairs_per_bin, seed, progress)
        if str(self.holes) == "drawn":
            holes = drawn_test_holes(preset.pairs_per_bin, preset.size, seed, progress)
        else:
            holes = load_holes(
                self.holes, "test", preset.size, cache=cache, white_is_hole=self.white_is_hole, progress=progress
            )
        return TestSet(faces, holes, read_pairs(self.pairs) if self.pairs else make_pairs(faces, holes, seed))

    def _faces(self, split: str, preset: Preset, cache: Path, count: int, seed: int, progress: bool) -> Any:
        drawn = str(self.faces) == "toy"
        return load_faces(
            self.faces, split, preset.size, count=count if drawn else None, cache=cache, order=self.order, seed=seed,
            progress=progress,
        )  # fmt: skip
