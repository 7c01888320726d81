"""A photograph on disk: read with all that belongs to it, written back with every known sample as it was.

What a repair must not touch is not only the pixels around the hole. A photograph has a depth of 8 or 16 bits, perhaps
a palette, transparency, a colour profile, a camera's notes and an orientation. Here they are kept by never being
converted: the samples stay as they are stored, and the other parts of a PNG file are copied byte for byte.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from faceinpaint.data.images import MOSTLY, notes_of, open_picture, orientation_of
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.files import replacing

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
"""What a photograph is read from; a closed list, see :data:`faceinpaint.data.images.PICTURE_FORMATS`. HEIC too, where
pillow-heif is installed."""

HEIC = (".heic", ".heif")

ENDINGS = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".avif", *HEIC)
"""Of files that are taken for photographs in a folder."""

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
"""Kinds of samples, by PNG's own numbers (PNG specification, third edition, 11.2.1)."""

CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}

_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1), 7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2), 8: np.rot90,
}  # fmt: skip
"""What each orientation tag of EXIF asks a viewer to do with the picture as it is stored."""


@dataclass(frozen=True)
class Photograph:
    """A photograph as it is stored, and what lies around its samples in the file.

    Attributes:
        path: where it was read.
        samples: (H, W, C) uint8 or uint16 as stored; palette: indices; below 8 bits: 0 .. 2^depth - 1.
        kind: one of :data:`CHANNELS`.
        depth: bits a sample.
        orientation: EXIF tag, 1 to 8.
        before, after: (type, content) of the other PNG chunks before and after the samples.
        info: what WebP can hold: ``icc_profile``, ``exif``, ``xmp``.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = Path(place) / "photo.png"
    ...     Image.new("RGB", (20, 10), "red").save(path)
    ...     photo = read_photograph(path)
    >>> photo.pixels.shape, photo.depth, photo.orientation
    ((10, 20, 3), 8, 1)
    """

    path: Path
    samples: np.ndarray
    kind: int
    depth: int
    orientation: int
    before: tuple[tuple[bytes, bytes], ...]
    after: tuple[tuple[bytes, bytes], ...]
    info: dict[str, bytes]

    @property
    def pixels(self) -> np.ndarray:
        """Colours as seen: upright (H, W, C), C = 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA; uint8 or uint16."""
        samples = self.samples
        if self.kind == PALETTE:
            colours, alpha = self._palette()
            opaque = (alpha == 255).all()
            samples = (colours if opaque else np.column_stack([colours, alpha]))[samples[..., 0]]
        elif self.depth < 8:
            samples = samples * (255 // (2**self.depth - 1))
        return np.ascontiguousarray(turned(samples.astype(np.uint16 if self.depth == 16 else np.uint8), self))

    def repaired(self, pixels: np.ndarray, hole: np.ndarray) -> Photograph:
        """This photograph with other colours in the hole.

        Args:
            pixels: of the shape and type of :attr:`pixels`.
            hole: (H, W) bool, upright. Samples outside it are not touched.

        A palette keeps its colours: those of the hole are the nearest there are, dithered. So do 1, 2 and 4 bits.
        """
        back = replace(self, orientation={6: 8, 8: 6}.get(self.orientation, self.orientation))
        pixels, hole = turned(pixels, back), turned(hole, back)[..., None]
        if self.kind == PALETTE or self.depth < 8:
            pixels = self._in_palette(pixels)
        return replace(self, samples=np.where(hole, pixels, self.samples))

    def _palette(self) -> tuple[np.ndarray, np.ndarray]:
        """The colours (N, 3) and alphas (N,) that samples stand for, in uint8."""
        if self.kind != PALETTE:
            levels = np.arange(2**self.depth, dtype=np.uint8) * (255 // (2**self.depth - 1))
            return np.repeat(levels[:, None], 3, axis=1), np.full(len(levels), 255, np.uint8)
        parts = dict(self.before)
        colours = np.frombuffer(parts[b"PLTE"], np.uint8).reshape(-1, 3)
        alpha = np.full(len(colours), 255, np.uint8)
        given = np.frombuffer(parts.get(b"tRNS", b""), np.uint8)[: len(alpha)]
        alpha[: len(given)] = given
        return colours, alpha

    def _in_palette(self, pixels: np.ndarray) -> np.ndarray:
        """Colours (H, W, 1 | 3 | 4) uint8 -> indices (H, W, 1) of the palette's nearest, errors spread (dithered)."""
        colours, alpha = self._palette()
        usable = np.flatnonzero(alpha >= 128) if (alpha >= 128).any() else np.arange(len(alpha))
        rgb = np.broadcast_to(pixels[..., :1], (*pixels.shape[:2], 3)) if pixels.shape[2] == 1 else pixels[..., :3]
        sheet = Image.new("P", (1, 1))
        full = np.minimum(np.arange(256), len(usable) - 1)  # Pillow wants 256 colours: the last one fills up
        sheet.putpalette(colours[usable[full]].tobytes())
        nearest = Image.fromarray(np.ascontiguousarray(rgb)).quantize(palette=sheet, dither=Image.Dither.FLOYDSTEINBERG)
        found = usable[full][np.asarray(nearest)].astype(np.uint8)[..., None]
        if pixels.shape[2] == 4:
            found[pixels[..., 3] < 128] = alpha.argmin()
        return found


def turned(array: np.ndarray, photo: Photograph) -> np.ndarray:
    """An array (H, W, ...) laid out as the photograph is stored, turned upright.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = Path(place) / "photo.png"
    ...     Image.new("RGB", (20, 10), "red").save(path)
    ...     photo = replace(read_photograph(path), orientation=6)
    >>> turned(np.zeros((10, 20)), photo).shape
    (20, 10)
    """
    return _TURNS[photo.orientation](array)


def read_photograph(path: str | Path) -> Photograph:
    """Read a file of one of :data:`FORMATS`.

    Raises:
        DataError: it cannot be read (:func:`faceinpaint.data.images.open_picture`), or its colours are those of
            print (CMYK).

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = Path(place) / "photo.png"
    ...     Image.new("RGB", (20, 10), "red").save(path)
    ...     read_photograph(path).pixels[0, 0].tolist()
    [255, 0, 0]
    """
    path = Path(path)
    picture = open_picture(path, (*FORMATS, "HEIF") if path.suffix.lower() in HEIC and _reads_heic(path) else FORMATS)
    content = path.read_bytes()
    orientation = orientation_of(picture)
    if content.startswith(b"\x89PNG"):
        return _from_png(path, picture, content, orientation)
    tags: Mapping[int, Any] = notes_of(path)[1] if content[:2] in (b"II", b"MM") else {}
    deep = _deep_tiff(path, content, tags)
    if deep is None and picture.mode not in _MODES:
        raise DataError(f"its colours are {picture.mode}, not RGB or grey", "Convert it to RGB", path)
    held = picture.info
    if noted := {tag: tags[tag] for tag in NOTED if tag in tags}:  # Pillow keeps a TIFF file's own notes elsewhere
        exif = Image.Exif()
        exif.update(noted)
        held = held | {"exif": exif.tobytes()}
    chunks = _chunks_of(held)
    if deep is not None:
        kind, depth, samples = {3: RGB, 4: RGBA}[deep.shape[2]], 16, deep
    else:
        kind, depth = _MODES[picture.mode]
        samples = np.asarray(picture.convert("RGBA") if picture.mode == "PA" else picture)
        samples = samples.astype(np.uint16 if depth == 16 else np.uint8)
    if kind == PALETTE:
        chunks = (*_palette_of(picture), *chunks)
        _check_palette(path, samples, chunks)
    elif kind == GREY and isinstance(held.get("transparency"), int):  # of a GIF file
        chunks = ((b"tRNS", struct.pack(">H", held["transparency"])), *chunks)
    info = {name: held[name] for name in ("icc_profile", "exif", "xmp") if isinstance(held.get(name), bytes)}
    samples = samples.reshape(picture.height, picture.width, -1)
    return Photograph(path, samples, kind, depth, orientation, chunks, (), info)


NOTED = (270, 271, 272, 305, 306, 315, 33432)
"""Notes of a TIFF file that come back: description, maker, model, software, date, artist, copyright."""

_MODES = {
    "1": (GREY, 1), "L": (GREY, 8), "I;16": (GREY, 16), "I;16L": (GREY, 16), "I;16B": (GREY, 16), "P": (PALETTE, 8),
    "LA": (GREY_ALPHA, 8), "RGB": (RGB, 8), "RGBA": (RGBA, 8), "PA": (RGBA, 8),
}  # fmt: skip
"""Kind and depth of samples by Pillow's name for them."""


def _reads_heic(path: Path) -> bool:
    """Teach Pillow to read HEIC.

    Raises:
        DataError: the package that does is not installed.
    """
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        remedy = "pip install 'faceinpaint[heic]', or save the photograph as JPEG or PNG"
        raise DataError("HEIC is read by pillow-heif, which is not installed", remedy, path) from None
    register_heif_opener()
    return True


def _deep_tiff(path: Path, content: bytes, tags: Mapping[int, Any]) -> np.ndarray | None:
    """(H, W, 3 | 4) uint16, upright, of a TIFF file with 16-bit colours, of which Pillow keeps 8; else None.

    Raises:
        DataError: they cannot be decoded.
    """
    bits, turn, channels = tags.get(258, 8), tags.get(274, 1), tags.get(277, 1)
    if (max(bits) if isinstance(bits, tuple) else bits) <= 8 or channels < 3:
        return None
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if decoded is None or decoded.dtype != np.uint16 or decoded.ndim != 3 or decoded.shape[2] not in (3, 4):
        raise DataError("its 16-bit colours cannot be decoded", "Save it as PNG", path)
    return np.asarray(_TURNS.get(turn, _TURNS[1])(decoded[..., [2, 1, 0, 3][: decoded.shape[2]]]))


def _palette_of(picture: Image.Image) -> tuple[tuple[bytes, bytes], ...]:
    """A palette as chunks of a PNG file, with transparency if there is some."""
    colours = bytes(picture.getpalette("RGB") or ())
    clear = picture.info.get("transparency")
    if isinstance(clear, int):
        clear = bytes([255] * clear + [0])
    return ((b"PLTE", colours), *(((b"tRNS", clear),) if isinstance(clear, bytes) else ()))


def read_hole_for(
    photo: Photograph, path: str | Path, white_is_hole: bool = True, notes: list[str] | None = None
) -> np.ndarray:
    """The hole mask of a photograph, upright.

    A mask may lie as the photograph is seen or as it is stored: its own orientation tag says so, else its size.

    Args:
        notes: is told of a soft mask, which is cut, and of a hole that is nearly everything.

    Returns:
        (H, W) uint8, 1 = hole, of the size of ``photo.pixels``.

    Raises:
        DataError: it is no mask (:func:`faceinpaint.data.masks.load_hole`), or of another size than the photograph.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = Path(place) / "photo.png"
    ...     Image.new("RGB", (20, 10), "red").save(path)
    ...     mask = Path(place) / "hole.png"
    ...     Image.fromarray(255 * np.eye(10, 20, dtype=np.uint8)).save(mask)
    ...     int(read_hole_for(read_photograph(path), mask).sum())
    10
    """
    from faceinpaint.data.masks import read_hole

    own = orientation_of(open_picture(path))
    hole, between = read_hole(Path(path), None, white_is_hole)
    if between and notes is not None:
        share = f"{100 * between:.1f}%" if between >= 0.0005 else "less than 0.1%"
        notes.append(f"{path}: {share} of the mask is neither black nor white, and was cut at the middle grey, 128")
    if hole.mean() > MOSTLY and notes is not None:
        share = f"{100 * hole.mean():.1f}%"
        notes.append(f"{path}: the hole is {share} of the photograph; --black-is-hole takes it the other way round")
    return _upright_like(photo, hole, own, "mask", path)


def read_parsing_for(photo: Photograph, path: str | Path, order: str = "celebamask-hq") -> np.ndarray:
    """The parsing map of a photograph, upright, (H, W) uint8 official class ids; as :func:`read_hole_for`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = Path(place) / "photo.png"
    ...     Image.new("RGB", (20, 10), "red").save(path)
    ...     Image.new("L", (20, 10), 1).save(Path(place) / "map.png")
    ...     read_parsing_for(read_photograph(path), Path(place) / "map.png").shape
    (10, 20)
    """
    from faceinpaint.data.images import read_labels

    return _upright_like(photo, read_labels(path, order), 1, "parsing map", path)


def _upright_like(photo: Photograph, plane: np.ndarray, own: int, what: str, path: str | Path) -> np.ndarray:
    stored = photo.samples.shape[:2]
    seen = turned(np.empty(stored, bool), photo).shape
    upright = _TURNS[own](plane)
    if own == 1 and plane.shape != seen and plane.shape == stored:
        upright = turned(plane, photo)
    if upright.shape != seen:
        raise DataError(
            f"the {what} has {upright.shape[1]} x {upright.shape[0]} pixels, the photograph {seen[1]} x {seen[0]}",
            f"Give a {what} of the photograph's size",
            path,
        )
    return np.ascontiguousarray(upright)


HOLDS = {
    ".png": [(kind, depth) for kind in CHANNELS for depth in (1, 2, 4, 8, 16)],
    ".webp": [(RGB, 8), (RGBA, 8)],
    ".tif": [(GREY, 8), (GREY, 16), (GREY_ALPHA, 8), (RGB, 8), (RGBA, 8)],
    ".tiff": [(GREY, 8), (GREY, 16), (GREY_ALPHA, 8), (RGB, 8), (RGBA, 8)],
    ".bmp": [(GREY, 8), (RGB, 8)],
}
"""Kinds and depths of samples that come back bit for bit from a file of this ending."""


def write_photograph(path: str | Path, photo: Photograph) -> None:
    """Write a file of one of the endings of :data:`HOLDS`; under a temporary name, then renamed.

    Raises:
        ConfigError: the format would change known pixels.
        OSError: the system refuses.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     path = Path(place) / "photo.png"
    ...     Image.new("RGB", (20, 10), "red").save(path)
    ...     write_photograph(Path(place) / "copy.png", read_photograph(path))
    ...     read_photograph(Path(place) / "copy.png").pixels.shape
    (10, 20, 3)
    """
    path = Path(path)
    check_format(path, photo)
    content = _png(photo) if path.suffix.lower() == ".png" else _saved(photo, path.suffix.lower())
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as new:
        new.write_bytes(content)


def check_format(path: Path, photo: Photograph | None = None) -> None:
    """Refuse a file name that asks for a format in which known pixels would not come back bit for bit.

    Raises:
        ConfigError: the format would change known pixels.

    >>> check_format(Path("repaired.jpg"))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    faceinpaint.errors.ConfigError: repaired.jpg: known pixels would not survive this format. Name a .png, ...
    """
    ending = path.suffix.lower()
    if ending not in HOLDS:
        if path.is_dir():
            raise ConfigError("it is a folder", "Name a file to write", path)
        raise ConfigError("known pixels would not survive this format", "Name a .png, .webp, .tif or .bmp file", path)
    if photo is None:
        return
    if (photo.kind, photo.depth) not in HOLDS[ending]:
        raise ConfigError(f"{ending} does not hold what this photograph is, bit for bit", "Write a .png", path)
    if ending != ".png" and any(kind == b"tRNS" for kind, _ in photo.before):
        raise ConfigError(f"{ending} does not hold which colour is transparent here", "Write a .png", path)
    if ending == ".webp" and max(photo.samples.shape[:2]) > 16383:
        raise ConfigError("WebP holds at most 16383 pixels a side", "Write a .png", path)


# --- PNG ------------------------------------------------------------------------------------------------------------


def _from_png(path: Path, picture: Image.Image, content: bytes, orientation: int) -> Photograph:
    before: list[tuple[bytes, bytes]] = []
    after: list[tuple[bytes, bytes]] = []
    header, place, chunks = b"", 8, before
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        body = content[place + 8 : place + 8 + length]
        place += 12 + length
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            chunks = after
        elif kind == b"IEND":
            break
        else:
            chunks.append((kind, body))
    depth, kind_of_samples = header[8], header[9]
    samples: Any = np.asarray(picture)
    if depth == 16 and kind_of_samples != GREY:  # of these, Pillow keeps 8 bits
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if decoded is None or decoded.dtype != np.uint16 or decoded.shape[:2] != samples.shape[:2]:
            raise DataError("its 16-bit samples cannot be decoded", "Save it again as PNG", path)
        order = {RGB: [2, 1, 0], GREY_ALPHA: [2, 3], RGBA: [2, 1, 0, 3]}[kind_of_samples]
        samples = decoded[..., order]
    elif depth < 8 and kind_of_samples == GREY:  # Pillow stretches these to 0 .. 255
        samples = samples.astype(np.uint8) if depth == 1 else samples // (255 // (2**depth - 1))
    samples = samples.reshape(picture.height, picture.width, -1)
    if samples.shape[2] != CHANNELS[kind_of_samples]:
        raise DataError(f"it was decoded as {picture.mode}, not as it is stored", "Save it again as PNG", path)
    if kind_of_samples == PALETTE:
        _check_palette(path, samples, before)
    info: dict[str, bytes] = {n: picture.info[n] for n in ("icc_profile", "exif") if n in picture.info}
    xmp = picture.info.get("XML:com.adobe.xmp")
    if isinstance(xmp, str):
        info["xmp"] = xmp.encode()
    return Photograph(path, samples, kind_of_samples, depth, orientation, tuple(before), tuple(after), info)


def _check_palette(path: Path, samples: np.ndarray, chunks: Iterable[tuple[bytes, bytes]]) -> None:
    if int(samples.max()) * 3 + 3 > len(dict(chunks).get(b"PLTE", b"")):
        raise DataError("its palette has fewer colours than it uses", "Save it again as PNG", path)


def _chunks_of(held: dict[Any, Any]) -> tuple[tuple[bytes, bytes], ...]:
    """What a JPEG or WebP file holds beside its samples, as chunks of a PNG file."""
    chunks = []
    if isinstance(held.get("icc_profile"), bytes):
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(held["icc_profile"])))
    if "dpi" in held:
        # A density that is no number is none.
        with contextlib.suppress(ValueError, OverflowError, ZeroDivisionError, TypeError, struct.error):
            chunks.append((b"pHYs", struct.pack(">IIB", *(round(float(d) / 0.0254) for d in held["dpi"]), 1)))
    if isinstance(held.get("exif"), bytes) and held["exif"]:
        chunks.append((b"eXIf", held["exif"].removeprefix(b"Exif\0\0")))
    if isinstance(held.get("xmp"), bytes):
        chunks.append((b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + held["xmp"]))
    if isinstance(held.get("comment"), bytes):
        chunks.append((b"tEXt", b"Comment\0" + held["comment"].replace(b"\0", b" ")))
    return tuple(chunks)


def _png(photo: Photograph) -> bytes:
    """The whole file: header, the other chunks as they came, the samples."""
    height, width = photo.samples.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, photo.depth, photo.kind, 0, 0, 0)
    chunks = [(b"IHDR", header), *photo.before, (b"IDAT", _packed(photo)), *photo.after, (b"IEND", b"")]
    out = [b"\x89PNG\r\n\x1a\n"]
    for kind, body in chunks:
        out += [struct.pack(">I", len(body)), kind, body, struct.pack(">I", zlib.crc32(kind + body))]
    return b"".join(out)


def _packed(photo: Photograph) -> bytes:
    """The samples, filtered and compressed (PNG specification, 9.2 and 10)."""
    height = len(photo.samples)
    squeeze = zlib.compressobj(6)
    parts = []
    step = 1 if photo.depth < 8 else CHANNELS[photo.kind] * photo.depth // 8  # bytes back to the pixel on the left
    previous: np.ndarray | None = None
    for start in range(0, height, 64):  # in strips, so that a large photograph needs little memory
        strip = photo.samples[start : start + 64].reshape(min(64, height - start), -1)
        if photo.depth == 16:
            rows = strip.astype(">u2").view(np.uint8)
        elif photo.depth == 8:
            rows = np.ascontiguousarray(strip)
        else:
            bits = (strip[..., None] >> np.arange(photo.depth - 1, -1, -1, dtype=np.uint8)) & 1
            rows = np.packbits(bits.reshape(len(strip), -1), axis=1)
        above = np.vstack([np.zeros_like(rows[:1]) if previous is None else previous, rows[:-1]])
        previous = rows[-1:]
        plain = photo.depth < 8 or photo.kind == PALETTE  # neighbouring indices say nothing of each other
        coded = rows if plain else rows - _paeth(rows, above, step)
        kind = np.full((len(rows), 1), 0 if plain else 4, np.uint8)
        parts.append(squeeze.compress(np.hstack([kind, coded]).tobytes()))
    return b"".join([*parts, squeeze.flush()])


def _paeth(rows: np.ndarray, above: np.ndarray, step: int) -> np.ndarray:
    """What the filter of that name expects of each byte: the left, upper or upper left one, whichever is nearest."""
    a, c = (np.pad(r, [(0, 0), (step, 0)])[:, : r.shape[1]].astype(np.int16) for r in (rows, above))
    b = above.astype(np.int16)
    towards = a + b - c
    pa, pb, pc = (np.abs(towards - x) for x in (a, b, c))
    return np.where((pa <= pb) & (pa <= pc), a, np.where(pb <= pc, b, c)).astype(np.uint8)


# --- others ---------------------------------------------------------------------------------------------------------


FOLDERS = {0x8769, 0x8825, 0xA005}
"""Tags of EXIF that name a directory of tags: of the camera, of the place, of compatibility."""


def _saved(photo: Photograph, ending: str) -> bytes:
    """A WebP file without loss, a TIFF or a BMP file."""
    out, samples = io.BytesIO(), np.ascontiguousarray(photo.samples)
    picture = Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)
    if ending == ".webp":
        picture.save(out, "WEBP", lossless=True, exact=True, **photo.info)  # exact: colours under transparency too
    elif ending == ".bmp":
        Image.fromarray(np.ascontiguousarray(turned(np.asarray(picture), photo))).save(out, "BMP")  # has no EXIF
    else:
        held: dict[str, Any] = {name: photo.info[name] for name in ("icc_profile", "exif") if name in photo.info}
        if b"pHYs" in (parts := dict(photo.before)):
            across, down, metres = struct.unpack(">IIB", parts[b"pHYs"])
            held |= {"dpi": (across * 0.0254, down * 0.0254)} if metres else {}
        exif = Image.Exif()
        exif.load(photo.info.get("exif", b""))
        plain = FOLDERS & set(exif)  # Pillow's compressor cannot write these
        picture.save(out, "TIFF", compression=None if plain else "tiff_adobe_deflate", **held)
    return out.getvalue()
