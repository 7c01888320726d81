"""The reading of one picture or map."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import colours
from PIL import Image

from faceinpaint.data.images import MAX_PIXELS, open_picture, read_labels, read_rgb
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.regions import CLASS_ORDERS, CLASSES


@pytest.mark.parametrize("suffix", ["png", "webp", "bmp", "tiff"])
def test_read_rgb_returns_the_pixels(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(colours()).save(path, **({"lossless": True} if suffix == "webp" else {}))
    got = read_rgb(path)
    assert got.dtype == np.uint8
    np.testing.assert_array_equal(got, colours())
    got[0] = 0  # writable: callers may paint into it


def test_read_rgb_of_jpeg_is_close(tmp_path):
    smooth = np.full((32, 32, 3), (200, 100, 50), np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_rgb(tmp_path / "a.jpg").astype(int) - smooth).max() <= 3


def test_read_rgb_does_not_apply_the_orientation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(colours()).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), colours())


def test_read_rgb_converts_grey_palette_and_opaque(tmp_path):
    grey = colours()[..., 0]
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "grey.png"), np.repeat(grey[..., None], 3, -1))

    Image.fromarray(grey > 90).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "bits.png")[..., 1], (grey > 90) * np.uint8(255))

    few = colours() // 128 * 255
    Image.fromarray(few).quantize(8).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "palette.png"), few)

    Image.fromarray(np.dstack([colours(), np.full((24, 20), 255, np.uint8)])).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "opaque.png"), colours())


def test_read_rgb_scales_16_bit_grey(tmp_path):
    deep = (np.arange(400, dtype=np.uint16).reshape(20, 20) * 164).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "deep.png")[..., 2], np.rint(deep / 257))


def test_read_rgb_takes_the_photograph_of_a_camera_file(tmp_path):
    first, second = Image.fromarray(colours()), Image.new("RGB", (20, 24))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[second], quality=100)
    assert np.abs(read_rgb(tmp_path / "a.jpg").astype(int) - colours()).mean() < 8


def animated(path: Path) -> None:
    Image.new("L", (20, 20)).save(path, save_all=True, append_images=[Image.new("L", (20, 20), 9)])


def png_of(width: int, height: int) -> bytes:
    """A PNG that claims to have this size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def write_bad(kind: str, path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(whole, "PNG")
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("<html>404 not found</html>")
    elif kind == "truncated":
        path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    elif kind == "cmyk":
        Image.new("CMYK", (20, 20)).save(path, "JPEG")
    elif kind == "float":
        Image.fromarray(np.zeros((20, 20), np.float32)).save(path, "TIFF")
    elif kind == "animated":
        animated(path)
    elif kind == "transparent":
        Image.new("RGBA", (20, 20), (1, 2, 3, 254)).save(path)
    elif kind == "bomb":
        path.write_bytes(png_of(40_000, 40_000))
    elif kind == "large":
        path.write_bytes(png_of(10_000, 9_000))
    elif kind == "script":
        path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n")
    elif kind == "folder":
        path.mkdir()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("missing", "no such file"),
        ("folder", "no such file"),
        ("empty", "empty"),
        ("text", "not a picture"),
        ("truncated", "cannot be decoded"),
        ("cmyk", "CMYK, not RGB"),
        ("float", "F, not RGB"),
        ("animated", "2 frames"),
        ("transparent", "partly transparent"),
        ("bomb", "pixels"),
        ("large", "pixels"),
        ("script", "not a picture"),
    ],
)
def test_read_rgb_names_file_and_problem(tmp_path, kind, problem):
    path = tmp_path / "x.png"
    write_bad(kind, path)
    with pytest.raises(DataError, match=problem) as caught:
        read_rgb(path)
    assert caught.value.path == path
    assert caught.value.remedy


def test_read_rgb_follows_a_link(tmp_path):
    (tmp_path / "far").mkdir()
    Image.fromarray(colours()).save(tmp_path / "far" / "a.png")
    os.symlink(tmp_path / "far" / "a.png", tmp_path / "b.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "b.png"), colours())


@given(place=st.integers(0, 10_000), value=st.integers(0, 255), kind=st.sampled_from(["PNG", "JPEG", "WEBP", "GIF"]))
def test_a_damaged_picture_is_read_or_refused_never_a_crash(tmp_path_factory, place, value, kind):
    whole = io.BytesIO()
    Image.fromarray(colours()).save(whole, kind)
    data = bytearray(whole.getvalue())
    data[place % len(data)] = value
    path = tmp_path_factory.mktemp("fuzz") / "x.png"
    path.write_bytes(data)
    try:
        got = read_rgb(path)
    except DataError:
        return
    assert got.ndim == 3
    assert got.dtype == np.uint8


def ids_map(size: int = 19) -> np.ndarray:
    return np.tile(np.arange(19, dtype=np.uint8), (size, 1))


def test_read_labels_of_grey_palette_and_equal_channels(tmp_path):
    want = ids_map()
    Image.fromarray(want).save(tmp_path / "grey.png")
    palette = Image.new("P", (19, 19))
    palette.putdata(want.reshape(-1).tolist())
    palette.putpalette([(7 * i) % 256 for i in range(57)])
    palette.save(tmp_path / "palette.png")
    Image.fromarray(np.repeat(want[..., None], 3, -1)).save(tmp_path / "channels.png")
    Image.fromarray(want.astype(np.uint16)).save(tmp_path / "deep.png")
    for name in ("grey", "palette", "channels", "deep"):
        got = read_labels(tmp_path / f"{name}.png")
        assert got.dtype == np.uint8
        np.testing.assert_array_equal(got, want, err_msg=name)


def test_read_labels_translates_the_other_order(tmp_path):
    Image.fromarray(ids_map()).save(tmp_path / "a.png")
    got = read_labels(tmp_path / "a.png", "bisenet")[0]
    assert [CLASSES[i] for i in got] == list(CLASS_ORDERS["bisenet"])
    with pytest.raises(ConfigError, match="class order"):
        read_labels(tmp_path / "a.png", "alphabetical")


def test_read_labels_of_one_bit(tmp_path):
    Image.fromarray(ids_map() > 4).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), ids_map() > 4)


def test_read_labels_refuses_unknown_classes_colours_and_lossy_files(tmp_path):
    Image.fromarray(ids_map() + 1).save(tmp_path / "nineteen.png")
    with pytest.raises(DataError, match=r"nineteen\.png.*class 19"):
        read_labels(tmp_path / "nineteen.png")
    Image.fromarray(colours()).save(tmp_path / "colours.png")
    with pytest.raises(DataError, match="colours, not class ids"):
        read_labels(tmp_path / "colours.png")
    Image.fromarray(ids_map()).save(tmp_path / "lossy.jpg")
    with pytest.raises(DataError, match="not a picture"):
        read_labels(tmp_path / "lossy.jpg")
    Image.fromarray(ids_map().astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match="float32"):
        read_labels(tmp_path / "float.tif")


def test_read_labels_refuses_grey_that_pillow_would_stretch(tmp_path):
    """Class 1 of a 4-bit grey PNG would be read as 17, a valid class, and the neck would cover the face."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\x11" * 8 for _ in range(16))
    head = struct.pack(">IIBBBBB", 16, 16, 4, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(data)
    assert np.asarray(open_picture(tmp_path / "a.png")).max() == 17
    with pytest.raises(DataError, match="4 bits"):
        read_labels(tmp_path / "a.png")


def test_limits_are_pillows_own():
    assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_picture_just_above_the_limit_is_refused_where_pillow_only_warns(tmp_path):
    path = tmp_path / "x.png"
    side = 9_460
    path.write_bytes(png_of(side, side))
    with pytest.raises(DataError, match=f"{side} x {side} pixels are more than is read"):
        open_picture(path)
