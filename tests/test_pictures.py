"""Photographs on disk: every known sample and everything around the samples comes back, whatever the file."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pillow_heif
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from faceinpaint.data.toy import draw
from faceinpaint.errors import ConfigError, DataError
from faceinpaint.repair.pictures import (
    CHANNELS,
    GREY,
    GREY_ALPHA,
    HOLDS,
    PALETTE,
    RGB,
    RGBA,
    read_hole_for,
    read_parsing_for,
    read_photograph,
    write_photograph,
)

HEIGHT, WIDTH = 22, 29
KINDS = [(GREY, d) for d in (1, 2, 4, 8, 16)] + [(PALETTE, d) for d in (1, 2, 4, 8)]
KINDS += [(kind, depth) for kind in (RGB, GREY_ALPHA, RGBA) for depth in (8, 16)]

EXTRA = {
    b"gAMA": struct.pack(">I", 45455),
    b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    b"pHYs": struct.pack(">IIB", 11811, 11811, 1),
    b"tIME": struct.pack(">HBBBBB", 2026, 11, 22, 12, 0, 0),
    b"tEXt": b"Author\0somebody",
    b"prVt": b"a chunk that nobody knows",
}


def encode(samples: np.ndarray, kind: int, depth: int, chunks: dict[bytes, bytes], after: dict[bytes, bytes]) -> bytes:
    """A PNG file, written without filters: for the test alone, so that the library is not tested by itself."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        lines = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = ["".join(format(int(v), f"0{depth}b") for v in row) for row in rows]
        lines = [bytes(int(b[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(b), 8)) for b in bits]
    body = zlib.compress(b"".join(b"\0" + line for line in lines))
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, kind, 0, 0, 0)
    parts = [
        (b"IHDR", head),
        *chunks.items(),
        (b"IDAT", body[:40]),
        (b"IDAT", body[40:]),
        *after.items(),
        (b"IEND", b""),
    ]
    out = b"\x89PNG\r\n\x1a\n"
    for name, content in parts:
        out += struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    return out


def decode(content: bytes) -> tuple[np.ndarray, tuple[int, int], list[tuple[bytes, bytes]]]:
    """Samples, (kind, depth) and the other chunks of a PNG file, byte by byte as the specification reads."""
    place, chunks, body = 8, [], b""
    while place < len(content):
        length, name = struct.unpack(">I4s", content[place : place + 8])
        data = content[place + 8 : place + 8 + length]
        assert struct.unpack(">I", content[place + 8 + length : place + 12 + length])[0] == zlib.crc32(name + data)
        place += 12 + length
        if name == b"IDAT":
            body += data
        else:
            chunks.append((name, data))
    width, height, depth, kind, _, _, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    assert not interlaced
    raw = zlib.decompress(body)
    channels = CHANNELS[kind]
    step, length = max(1, channels * depth // 8), (width * channels * depth + 7) // 8
    above, lines = bytes(length), []
    for y in range(height):
        how, line = raw[y * (length + 1)], bytearray(raw[y * (length + 1) + 1 : (y + 1) * (length + 1)])
        assert how in (0, 4)
        for i in range(length if how else 0):
            a = line[i - step] if i >= step else 0
            c = above[i - step] if i >= step else 0
            b = above[i]
            distance = [abs(a + b - c - x) for x in (a, b, c)]
            line[i] = (line[i] + (a, b, c)[distance.index(min(distance))]) & 255
        above = bytes(line)
        lines.append(above)
    if depth == 16:
        samples = np.frombuffer(b"".join(lines), ">u2").astype(np.uint16)
    else:
        bits = ["".join(format(v, "08b") for v in line)[: width * channels * depth] for line in lines]
        samples = np.array([int(b[i : i + depth], 2) for b in bits for i in range(0, len(b), depth)], np.uint8)
    return samples.reshape(height, width, channels), (kind, depth), chunks[1:-1]


def photograph(kind: int, depth: int, seed: int = 0) -> tuple[np.ndarray, bytes, list[tuple[bytes, bytes]]]:
    """Random samples of a kind, a file with them, and the chunks that it holds."""
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, 2**depth, (HEIGHT, WIDTH, CHANNELS[kind]))
    chunks = dict(EXTRA)
    if kind == PALETTE:
        chunks[b"PLTE"] = rng.integers(0, 256, 3 * 2**depth, dtype=np.uint8).tobytes()
        chunks[b"tRNS"] = bytes([255, 0])
    late = {b"zTXt": b"Comment\0\0" + zlib.compress(b"after the samples")}
    return samples, encode(samples, kind, depth, chunks, late), [*chunks.items(), *late.items()]


def hole_of(shape: tuple[int, ...]) -> np.ndarray:
    hole = np.zeros(shape[:2], bool)
    hole[3:9, 5:15] = True
    hole[shape[0] - 1, 0] = True
    return hole


@pytest.mark.parametrize(("kind", "depth"), KINDS)
def test_a_png_keeps_known_samples_depth_and_every_other_chunk(kind: int, depth: int, tmp_path: Path) -> None:
    samples, content, chunks = photograph(kind, depth)
    (tmp_path / "a.png").write_bytes(content)
    photo = read_photograph(tmp_path / "a.png")
    assert np.array_equal(photo.samples, samples)
    pixels = photo.pixels
    assert pixels.dtype == (np.uint16 if depth == 16 else np.uint8)
    hole = hole_of(samples.shape)
    write_photograph(tmp_path / "b.png", photo.repaired(pixels[::-1].copy(), hole))
    found, kept, others = decode((tmp_path / "b.png").read_bytes())
    assert kept == (kind, depth)
    assert others == chunks
    assert np.array_equal(found[~hole], samples[~hole])
    if depth >= 8 and kind != PALETTE:
        assert np.array_equal(found[hole], pixels[::-1][hole])
    with Image.open(tmp_path / "a.png") as one, Image.open(tmp_path / "b.png") as other:
        assert (one.mode, one.size) == (other.mode, other.size)
        one.load()
        other.load()
        assert one.info == other.info
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


def test_pixels_are_the_colours_that_others_see(tmp_path: Path) -> None:
    for kind, depth in KINDS:
        if depth == 16:
            continue  # Pillow has no 16-bit colours to compare with
        _, content, _ = photograph(kind, depth)
        (tmp_path / "a.png").write_bytes(content)
        seen = Image.open(tmp_path / "a.png")
        pixels = read_photograph(tmp_path / "a.png").pixels
        mode = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[pixels.shape[2]]
        assert np.array_equal(pixels, np.asarray(seen.convert(mode)).reshape(pixels.shape)), (kind, depth)


def test_a_palette_gives_the_hole_its_nearest_colours(tmp_path: Path) -> None:
    image, _ = draw(3, 64)
    Image.fromarray(image).quantize(64).save(tmp_path / "a.png")
    photo = read_photograph(tmp_path / "a.png")
    hole = hole_of((64, 64))
    done = photo.repaired(image, hole)
    assert (np.abs(done.pixels[hole].astype(float) - image[hole]).mean()) < 12
    assert np.array_equal(done.samples[~hole], photo.samples[~hole])
    Image.fromarray(image).convert("1").save(tmp_path / "b.png")
    done = read_photograph(tmp_path / "b.png").repaired(np.full((64, 64, 1), 128, np.uint8), np.ones((64, 64), bool))
    assert 0.4 < done.samples.mean() < 0.6  # a grey is dithered, not all black or all white


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    tags[0x010F] = "a camera"
    return tags.tobytes()


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_becomes_a_png_with_profile_exif_xmp_density_and_comment(mode: str, tmp_path: Path) -> None:
    image, _ = draw(1, 40)
    held = {"icc_profile": profile(), "exif": exif(1), "dpi": (300, 300), "comment": b"scanned", "xmp": b"<x:xmpmeta/>"}
    Image.fromarray(image[:30]).convert(mode).save(tmp_path / "a.jpg", **held)
    photo = read_photograph(tmp_path / "a.jpg")
    write_photograph(tmp_path / "b.png", photo.repaired(photo.pixels, hole_of((30, 40))))
    with Image.open(tmp_path / "a.jpg") as before, Image.open(tmp_path / "b.png") as after:
        assert (before.mode, before.size) == (after.mode, after.size)
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert after.info["icc_profile"] == held["icc_profile"]
        assert dict(after.getexif()) == dict(before.getexif())
        assert after.info["XML:com.adobe.xmp"] == "<x:xmpmeta/>"
        assert np.allclose(after.info["dpi"], 300, atol=0.01)
        assert after.info["Comment"] == "scanned"


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_webp_goes_to_webp_and_png(mode: str, tmp_path: Path) -> None:
    image, _ = draw(1, 40)
    alpha = np.random.default_rng(0).integers(0, 3, (40, 40), dtype=np.uint8) * 127
    array = image if mode == "RGB" else np.dstack([image, alpha])
    held = {"icc_profile": profile(), "exif": exif(1)}
    Image.fromarray(array).save(tmp_path / "a.webp", lossless=True, exact=True, xmp=b"<x:xmpmeta/>", **held)
    photo = read_photograph(tmp_path / "a.webp")
    for name in ("b.webp", "b.png"):
        write_photograph(tmp_path / name, photo.repaired(255 - photo.pixels, hole_of(array.shape)))
        with Image.open(tmp_path / name) as after:
            pixels = np.asarray(after)
            assert after.mode == mode
            assert after.info["icc_profile"] == held["icc_profile"]
            assert after.getexif()[0x010F] == "a camera"
        hole = hole_of(array.shape)
        assert np.array_equal(pixels[~hole], array[~hole])
        assert np.array_equal(pixels[hole], 255 - array[hole])


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_an_orientation_is_obeyed_and_kept(orientation: int, name: str, tmp_path: Path) -> None:
    from PIL import ImageOps

    image, _ = draw(2, 40)
    options = {"lossless": True} if name == "a.webp" else {}
    Image.fromarray(image[:26]).save(tmp_path / name, exif=exif(orientation), **options)
    photo = read_photograph(tmp_path / name)
    with Image.open(tmp_path / name) as stored:
        upright = np.asarray(ImageOps.exif_transpose(stored))
        kept = np.asarray(stored).copy()
    assert np.array_equal(photo.pixels, upright)
    hole = np.zeros(upright.shape[:2], bool)
    hole[2:9, 4:8] = True
    changed = np.where(hole[..., None], 255 - upright, upright)
    write_photograph(tmp_path / "b.png", photo.repaired(changed, hole))
    with Image.open(tmp_path / "b.png") as after:
        assert after.getexif()[0x0112] == orientation
        assert np.array_equal(np.asarray(ImageOps.exif_transpose(after)), changed)
        same = (np.asarray(after) == kept).all(2)
    assert same.sum() == kept.shape[0] * kept.shape[1] - hole.sum() + (255 - upright == upright).all(2)[hole].sum()

    # A mask as it is seen, as it is stored, and as it is stored with the tag: all the same hole.
    mask = Image.fromarray(hole.astype(np.uint8) * 255)
    mask.save(tmp_path / "seen.png")
    assert np.array_equal(read_hole_for(photo, tmp_path / "seen.png"), hole)
    back = {6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270, 5: Image.Transpose.TRANSPOSE}
    back |= {7: Image.Transpose.TRANSVERSE, 2: Image.Transpose.FLIP_LEFT_RIGHT, 4: Image.Transpose.FLIP_TOP_BOTTOM}
    back |= {3: Image.Transpose.ROTATE_180}
    if orientation > 1:
        stored_mask = mask.transpose(back[orientation])
        stored_mask.save(tmp_path / "tagged.png", exif=exif(orientation))
        assert np.array_equal(read_hole_for(photo, tmp_path / "tagged.png"), hole)
    if orientation > 4:
        stored_mask.save(tmp_path / "stored.png")
        assert np.array_equal(read_hole_for(photo, tmp_path / "stored.png"), hole)
        Image.fromarray(np.asarray(stored_mask) // 255).save(tmp_path / "labels.png")
        assert np.array_equal(read_parsing_for(photo, tmp_path / "labels.png"), hole)


def test_a_large_photograph_is_written_in_strips(tmp_path: Path) -> None:
    image, _ = draw(5, 200)
    Image.fromarray(image).save(tmp_path / "a.png")
    photo = read_photograph(tmp_path / "a.png")
    write_photograph(tmp_path / "b.png", photo)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "b.png")), image)
    assert (tmp_path / "b.png").stat().st_size < 1.2 * (tmp_path / "a.png").stat().st_size


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    image, _ = draw(0, 32)
    Image.fromarray(image).convert("CMYK").save(tmp_path / "print.jpg")
    with pytest.raises(DataError, match="CMYK"):
        read_photograph(tmp_path / "print.jpg")
    Image.fromarray(image).save(tmp_path / "a.ppm")
    with pytest.raises(DataError, match="not a picture"):
        read_photograph(tmp_path / "a.ppm")
    Image.fromarray(image).save(tmp_path / "moving.gif", save_all=True, append_images=[Image.fromarray(image[::-1])])
    with pytest.raises(DataError, match="holds 2 frames"):
        read_photograph(tmp_path / "moving.gif")
    (tmp_path / "deep.png").write_bytes(photograph(RGB, 16)[1])
    deep = read_photograph(tmp_path / "deep.png")
    with pytest.raises(ConfigError, match="does not hold what this photograph is"):
        write_photograph(tmp_path / "b.webp", deep)
    for name in ("b.jpg", "b.gif", "b"):
        with pytest.raises(ConfigError, match="known pixels would not survive"):
            write_photograph(tmp_path / name, deep)
    Image.fromarray(image[..., 0] // 2 + 128).save(tmp_path / "mask.png")
    Image.fromarray(np.eye(31, dtype=np.uint8) * 255).save(tmp_path / "small.png")
    with pytest.raises(DataError, match="31 x 31 pixels, the photograph 29 x 22"):
        read_hole_for(deep, tmp_path / "small.png")
    short = encode(np.full((4, 4, 1), 3), PALETTE, 8, {b"PLTE": bytes(6)}, {})
    (tmp_path / "short.png").write_bytes(short)
    with pytest.raises(DataError, match="palette"):
        read_photograph(tmp_path / "short.png")


def test_a_text_that_pillow_wrote_comes_back(tmp_path: Path) -> None:
    image, _ = draw(0, 32)
    text = PngInfo()
    text.add_itxt("Title", "Großmutter", "de", "Titel")
    Image.fromarray(image).save(tmp_path / "a.png", pnginfo=text, icc_profile=profile(), dpi=(72, 72))
    photo = read_photograph(tmp_path / "a.png")
    write_photograph(tmp_path / "b.png", photo.repaired(photo.pixels, hole_of(image.shape)))
    infos = []
    for name in ("a.png", "b.png"):
        with Image.open(io.BytesIO((tmp_path / name).read_bytes())) as picture:
            picture.load()
            infos.append(picture.info)
    assert infos[0] == infos[1]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    image, _ = draw(0, 32)
    Image.fromarray(image).save(tmp_path / "a.png")
    photo = read_photograph(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    with pytest.raises(DataError, match=r"b\.png: .*not a plain file"):
        write_photograph(tmp_path / "b.png", photo)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]


@pytest.mark.parametrize("ending", [".tif", ".bmp", ".gif", ".avif", ".jfif", ".jpe"])
@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1", "LA"])
def test_other_formats_are_taken_and_written_back(ending: str, mode: str, tmp_path: Path) -> None:
    image, _ = draw(1, 40)
    source = tmp_path / f"a{ending}"
    picture = Image.fromarray(image[:30]).convert(mode)
    kind = "JPEG" if ending in (".jfif", ".jpe") else None
    try:
        picture.save(source, kind)
    except OSError:
        pytest.skip(f"no {mode} in {ending}")
    with Image.open(source) as stored:
        stored.load()
        seen = np.asarray(stored.convert("RGBA"))
    photo, hole = read_photograph(source), hole_of((30, 40))
    made = photo.repaired(photo.pixels[::-1].copy(), hole)
    outs = [".png", *(out for out in (".tif", ".bmp", ".webp") if (photo.kind, photo.depth) in HOLDS[out])]
    for out in outs:
        write_photograph(tmp_path / f"b{out}", made)
        with Image.open(tmp_path / f"b{out}") as after:
            written = np.asarray(after.convert("RGBA"))
        assert np.array_equal(written[~hole], seen[~hole]), out
        again = read_photograph(tmp_path / f"b{out}").pixels  # without alpha, where WebP sees that all is opaque
        assert np.array_equal(again, made.pixels[..., : again.shape[2]]), out


def test_a_tiff_of_16_bits_keeps_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for samples in (rng.integers(0, 65536, (20, 30, 3), np.uint16), rng.integers(0, 65536, (20, 30, 1), np.uint16)):
        cv2.imwrite(str(tmp_path / "a.tif"), samples[..., ::-1])
        photo = read_photograph(tmp_path / "a.tif")
        assert np.array_equal(photo.pixels, samples)
        write_photograph(tmp_path / "b.png", photo)
        assert np.array_equal(read_photograph(tmp_path / "b.png").pixels, samples)


def test_heic_needs_a_package_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.heic").write_bytes(b"anything")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(DataError, match=r"a\.heic: HEIC is read by pillow-heif, which is not installed\. pip install"):
        read_photograph(tmp_path / "a.heic")


def test_heic_is_read_and_repaired_where_the_package_is_there(tmp_path: Path) -> None:
    image, _ = draw(1, 64)
    image = np.ascontiguousarray(image[:48])
    for mode in ("RGB", "RGBA"):
        pixels = image if mode == "RGB" else np.dstack([image, np.full((48, 64), 200, np.uint8)])
        whole = pillow_heif.from_bytes(mode=mode, size=(64, 48), data=pixels.tobytes())
        whole.save(tmp_path / "a.heic", quality=-1)
        photo = read_photograph(tmp_path / "a.heic")
        assert (photo.depth, photo.pixels.shape[:2]) == (8, (48, 64))
        assert np.abs(photo.pixels[..., :3].astype(int) - image).mean() < 3  # it is kept as YCbCr
        hole = hole_of((48, 64))
        made = photo.repaired(photo.pixels[::-1].copy(), hole)
        write_photograph(tmp_path / "b.png", made)
        assert np.array_equal(read_photograph(tmp_path / "b.png").pixels[~hole], photo.pixels[~hole])
    turned = pillow_heif.from_bytes(mode="RGB", size=(64, 48), data=image.tobytes())
    turned.save(tmp_path / "c.heic", quality=-1, exif=exif(6))
    upright = read_photograph(tmp_path / "c.heic")
    assert upright.pixels.shape[:2] == (64, 48)
    assert np.abs(upright.pixels.astype(int) - np.rot90(image, -1)).mean() < 3


def test_a_picture_is_turned_by_exif_alone(tmp_path: Path) -> None:
    """As browsers do: not by what XMP says, nor by a text of a PNG file, nor by a tag of another type."""
    image, _ = draw(1, 40)
    picture = Image.fromarray(image[:30])
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    picture.save(tmp_path / "a.jpg", xmp=xmp)
    text = PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n      34\n" + exif(6).removeprefix(b"Exif\0\0").hex())
    picture.save(tmp_path / "a.png", pnginfo=text)
    long_tag = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x06\0\0\0\0"
    picture.save(tmp_path / "b.jpg", exif=b"Exif\0\0" + long_tag)
    for name in ("a.jpg", "a.png", "b.jpg"):
        assert read_photograph(tmp_path / name).pixels.shape == (30, 40, 3), name
    for order in ("<", ">"):
        start = struct.pack(f"{order}HIHHHIHHI", 42, 8, 1, 0x0112, 3, 1, 6, 0, 0)
        picture.save(tmp_path / "d.jpg", exif=b"Exif\0\0" + (b"II" if order == "<" else b"MM") + start)
        assert read_photograph(tmp_path / "d.jpg").pixels.shape == (40, 30, 3)


def test_a_camera_and_its_place_come_back_in_a_tiff(tmp_path: Path) -> None:
    # Pillow's compressor cannot write EXIF with directories of its own, as each camera's photograph has.
    held = Image.Exif()
    held[0x010F] = "a camera"
    held.get_ifd(0x8769)[0x829A] = 0.01
    held.get_ifd(0x8825)[1] = "N"
    Image.fromarray(draw(2, 40)[0]).save(tmp_path / "a.jpg", exif=held)
    write_photograph(tmp_path / "b.tif", read_photograph(tmp_path / "a.jpg"))
    with Image.open(tmp_path / "a.jpg") as before, Image.open(tmp_path / "b.tif") as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))
        assert after.getexif()[0x010F] == "a camera"
        assert float(after.getexif().get_ifd(0x8769)[0x829A]) == 0.01
        assert after.getexif().get_ifd(0x8825)[1] == "N"


def test_notes_and_resolution_of_a_tiff_come_back(tmp_path: Path) -> None:
    notes = {271: "a maker", 272: "a model", 306: "2026:11:22 12:00:00"}
    held = Image.Exif()
    held.update(notes)
    Image.fromarray(draw(2, 40)[0]).save(tmp_path / "a.tif", exif=held, dpi=(300, 300))
    photo = read_photograph(tmp_path / "a.tif")
    for name in ("b.png", "b.tif"):
        write_photograph(tmp_path / name, photo)
        with Image.open(tmp_path / name) as after:
            assert notes.items() <= dict(after.getexif()).items(), name
            assert [round(float(d)) for d in after.info["dpi"]] == [300, 300], name


def test_the_transparent_grey_of_a_gif_comes_back_or_is_refused(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / "a.gif", transparency=5)
    photo = read_photograph(tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as before:
        clear = np.asarray(before.convert("RGBA"))[..., 3] == 0
    assert clear.sum() == 1
    write_photograph(tmp_path / "b.png", photo)
    with Image.open(tmp_path / "b.png") as after:
        assert np.array_equal(np.asarray(after.convert("RGBA"))[..., 3] == 0, clear)
    for ending in (".tif", ".bmp"):
        with pytest.raises(ConfigError, match=r"Write a \.png"):
            write_photograph(tmp_path / f"c{ending}", photo)


def test_large_tiff_files_are_read_and_damaged_palettes_named(tmp_path: Path) -> None:
    image = draw(2, 40)[0]
    Image.fromarray(image).save(tmp_path / "big.tif", big_tiff=True)
    assert np.array_equal(read_photograph(tmp_path / "big.tif").pixels, image)
    palette = Image.fromarray(np.full((8, 8), 1, np.uint8), "P")
    palette.putpalette([0, 0, 0, 9, 9, 9])
    palette.save(tmp_path / "a.bmp")
    content = bytearray((tmp_path / "a.bmp").read_bytes())
    start = struct.unpack_from("<I", content, 10)[0]
    content[start:] = bytes([200]) * len(content[start:])
    (tmp_path / "a.bmp").write_bytes(content)
    with pytest.raises(DataError, match="fewer colours than it uses"):
        read_photograph(tmp_path / "a.bmp")
