"""Where faces come from: one sample type, one way to read a picture, one adapter for each source."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.regions import CLASSES, to_official

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""What may hold a photograph or a hole; a closed list, because some of Pillow's other readers start programs."""

LABEL_FORMATS = ("PNG", "BMP", "TIFF")
"""What may hold a parsing map: formats that keep every class id as it was written."""

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused (Pillow's own limit against decompression bombs, about 9459 x 9459)."""


@dataclass(frozen=True)
class FaceSet:
    """Faces with their parsing maps: the one sample type of the library.

    Attributes:
        images: (N, S, S, 3) uint8 RGB; may be memory-mapped read-only, so copy before changing anything.
        labels: (N, S, S) uint8, official CelebAMask-HQ class ids 0..18 (:data:`faceinpaint.regions.CLASSES`).
        ids: one name per face, unique within the set, a plain file stem.
        sha256: one hex digest per face: of the picture file (real) or of the pixels (drawn).
        source: one line for results records, such as ``"drawn faces (toy), seed 0"``.

    Raises:
        DataError: the shapes and counts do not belong together.
    """

    images: np.ndarray
    labels: np.ndarray
    ids: tuple[str, ...]
    sha256: tuple[str, ...]
    source: str

    def __post_init__(self) -> None:
        n, size = len(self.ids), self.images.shape[1] if self.images.ndim == 4 else -1
        for name, array in (("pictures", self.images), ("maps", self.labels)):
            if array.dtype != np.uint8:
                raise DataError(f"{name} are {array.dtype}, not uint8", "Give whole numbers 0 to 255")
        if (
            self.images.shape != (n, size, size, 3)
            or self.labels.shape != (n, size, size)
            or len(self.sha256) != n
            or len(set(self.ids)) != n
        ):
            raise DataError(
                f"pictures {self.images.shape}, maps {self.labels.shape}, {len(set(self.ids))} different ids and "
                f"{len(self.sha256)} checksums do not belong together",
                "Give N square pictures, N maps of the same size, N different ids and N checksums",
            )

    @property
    def size(self) -> int:
        """Side S of the pictures in pixels."""
        return self.images.shape[1]

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, which: Sequence[str] | Sequence[int] | np.ndarray) -> FaceSet:
        """The faces with these ids or indices, in this order; a run of neighbours stays memory-mapped.

        Raises:
            DataError: an id or index is not in the set.
        """
        rows, chosen = pick(which, self.ids, f"face of {self.source}")
        return FaceSet(
            self.images[rows],
            self.labels[rows],
            tuple(self.ids[i] for i in chosen),
            tuple(self.sha256[i] for i in chosen),
            self.source,
        )


def pick(
    which: Sequence[str] | Sequence[int] | np.ndarray, ids: Sequence[str], what: str
) -> tuple[slice | np.ndarray, list[int]]:
    """Ids or indices -> (rows to index an array with, the same as a list of ints).

    The rows are a slice where that is possible, so that a memory-mapped array is not read into memory.

    Raises:
        DataError: an id or index does not exist; ``what`` says of which set.
    """
    place = {name: i for i, name in enumerate(ids)}
    chosen = [place.get(w, -1) if isinstance(w, str) else int(w) for w in which]
    for wanted, i in zip(which, chosen, strict=True):
        if not 0 <= i < len(ids):
            raise DataError(f"{wanted!r} is no {what} ({len(ids)} in all)", "Use the set that the list was made from")
    if chosen and chosen == list(range(chosen[0], chosen[0] + len(chosen))):
        return slice(chosen[0], chosen[0] + len(chosen)), chosen
    return np.array(chosen, dtype=np.int64), chosen


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
        cache: folder that receives ``faces-<split>-<size>`` when a folder of pictures has to be prepared.
        order: class order of the label maps by name, see :data:`faceinpaint.regions.CLASS_ORDERS`; None, if nothing is
            said of it, for the official one, or for that of the cache.
        seed: drawn faces only.
        progress: show a progress bar while preparing or drawing.

    Raises:
        ConfigError: ``count`` or ``cache`` is needed and missing.
        DataError: the folder is not usable, or its cache has another size, split or class order.
    """
    # Both adapters import the sample type from here, so they are imported when they are needed.
    if str(source) == "toy":
        from faceinpaint.data.toy import toy_faces

        if count is None:
            raise ConfigError("drawn faces need a number of faces", "Give count")
        return toy_faces(count, size, split, seed, progress)

    from faceinpaint.data import cache as caches
    from faceinpaint.data.celebahq import open_faces, prepare

    folder = caches.find("faces", Path(source), split, size)
    if folder is None:
        if cache is None:
            raise ConfigError(
                f"{source} is not a prepared cache, and no folder for one is given",
                "Run `faceinpaint data prepare` first, or name a cache folder",
            )
        folder = Path(cache) / caches.folder_name("faces", split, size)
        read_as = "celebamask-hq" if order is None else order
        prepare(source, folder, split=split, size=size, order=read_as, progress=progress)
    faces = open_faces(folder, split=split, size=size, order=order)
    return faces if count is None or count >= len(faces) else faces.subset(range(count))


def open_picture(path: str | Path, formats: tuple[str, ...] = PICTURE_FORMATS) -> Image.Image:
    """Open and decode one picture file completely; the one place where Pillow meets a user's file.

    The pixels are taken as they are stored: an orientation or a colour profile in the file is not applied.

    Raises:
        DataError: missing, empty, truncated, not one of ``formats``, animated, or more than
            :data:`MAX_PIXELS` pixels.
    """
    path = Path(path)
    kinds = ", ".join(formats)
    if not os.path.isfile(path):
        raise DataError("there is no such file", "Check the name", path)
    try:
        if path.stat().st_size == 0:
            raise DataError("the file is empty", "Copy or download it again", path)
        with Image.open(path, formats=formats) as picture:
            width, height = picture.size
            if width * height > MAX_PIXELS:
                raise DataError(
                    f"{width} x {height} pixels are more than is read ({MAX_PIXELS})", "Shrink it first", path
                )
            # A camera's MPO file is a JPEG with a preview behind it; its first picture is the photograph.
            frames = getattr(picture, "n_frames", 1)
            if picture.format != "MPO" and frames > 1:
                raise DataError(f"it holds {frames} frames", "Give a still picture", path)
            picture.load()
            return picture.copy()
    except DataError:
        raise
    except Image.UnidentifiedImageError:
        raise DataError(f"it is not a picture ({kinds})", "Give a file of one of these kinds", path) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"more pixels than is read ({MAX_PIXELS})", "Shrink it first", path) from None
    except Exception as error:
        # Pillow's decoders raise almost anything on a damaged file: OSError, ValueError, SyntaxError, struct.error.
        reason = str(error).split("\n")[0].rstrip(". ")
        raise DataError(
            f"it cannot be decoded ({reason or type(error).__name__})", "Copy or download it again", path
        ) from error


def read_rgb(path: str | Path) -> np.ndarray:
    """One photograph as (H, W, 3) uint8 RGB, size as stored.

    Grey, palette, 16-bit grey and fully opaque pictures are converted; colours that depend on something
    outside the file (CMYK, transparency) are refused rather than guessed.

    Raises:
        DataError: the file cannot be read (:func:`open_picture`) or is none of these.
    """
    picture = open_picture(path)
    if picture.mode.startswith("I;16"):
        grey = np.rint(np.asarray(picture).astype(np.float64) / 257).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        rgba = np.asarray(picture.convert("RGBA"))
        if rgba[..., 3].min() < 255:
            raise DataError("it is partly transparent", "Flatten it onto a background", path)
        return rgba[..., :3].copy()
    if picture.mode not in ("1", "L", "P", "RGB", "RGBX"):
        raise DataError(f"its colours are {picture.mode}, not RGB", "Convert it to 8-bit RGB", path)
    return np.array(picture.convert("RGB"))


def read_labels(path: str | Path, order: str = "celebamask-hq") -> np.ndarray:
    """One parsing map as (H, W) uint8 official class ids 0..18, size as stored.

    A palette picture gives its indices. A picture with three equal channels gives one of them.

    Args:
        order: the class order used in the file, by name (:data:`faceinpaint.regions.CLASS_ORDERS`).

    Raises:
        ConfigError: the order is unknown.
        DataError: the file cannot be read (:func:`open_picture`), holds colours, or an unknown class.
    """
    picture = open_picture(path, LABEL_FORMATS)
    with open(path, "rb") as file:
        head = file.read(26)
    # PNG: byte 24 is the bit depth, byte 25 the colour type. Pillow stretches 2- and 4-bit grey to 0..255.
    if head.startswith(b"\x89PNG") and head[24] in (2, 4) and head[25] == 0:
        raise DataError(f"a grey PNG of {head[24]} bits a pixel", "Save the map with 8 bits a pixel", path)
    values = np.asarray(picture)
    if values.ndim == 3:
        colours = values[..., :3] if values.shape[2] >= 3 else values[..., :1]
        if (colours != colours[..., :1]).any():
            raise DataError("it holds colours, not class ids", f"Give one id 0 to {len(CLASSES) - 1} per pixel", path)
        values = colours[..., 0]
    if values.dtype == bool:
        values = values.astype(np.uint8)
    if values.dtype.kind not in "iu":
        raise DataError(f"its pixels are {values.dtype}, not class ids", "Save the map as 8-bit PNG", path)
    try:
        return to_official(values, order)
    except DataError as error:
        raise DataError(error.problem, error.remedy, path) from None


def sha256_of(path: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
