"""Pictures and parsing maps from files: the one place where Pillow meets what a user brings."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceinpaint.errors import DataError
from faceinpaint.regions import CLASSES, to_official

PICTURE_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
"""What may hold a photograph or a hole; a closed list, because some of Pillow's other readers start programs."""

LABEL_FORMATS = ("PNG", "BMP", "TIFF")
"""What may hold a parsing map: formats that keep every class id as it was written."""

MOSTLY = 0.9
"""A hole that covers more of a photograph than this is named as one that may be meant the other way round."""

MAX_PIXELS = 89_478_485
"""Pictures with more pixels are refused (Pillow's own limit against decompression bombs, about 9459 x 9459)."""


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


def notes_of(path: str | Path) -> tuple[int, dict[int, Any]]:
    """The orientation of a picture file that has been decoded before, and the tags of a TIFF file, others' none."""
    with Image.open(path, formats=PICTURE_FORMATS) as picture:
        return orientation_of(picture), dict(getattr(picture, "tag_v2", {}))


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


def orientation_of(picture: Image.Image) -> int:
    """The tag of EXIF, 1 to 8; 1 where there is none.

    What browsers honour and nothing else: one short number in the first directory. Pillow also believes XMP and texts
    of PNG files, which no browser turns a picture by. (A TIFF file it turns as it reads it.)
    """
    held = picture.info.get("exif")
    body = held.removeprefix(b"Exif\0\0") if isinstance(held, bytes) else b""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(body[:4])
    if order is None:
        return 1
    with contextlib.suppress(struct.error):  # damaged
        (first,) = struct.unpack_from(f"{order}I", body, 4)
        (count,) = struct.unpack_from(f"{order}H", body, first)
        for entry in range(count):
            tag, kind, number, value = struct.unpack_from(f"{order}HHIH", body, first + 2 + 12 * entry)
            if (tag, kind, number) == (0x0112, 3, 1):
                return int(value) if 1 <= value <= 8 else 1
    return 1
