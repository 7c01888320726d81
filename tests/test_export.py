"""ONNX files: the same pictures as PyTorch's, honest metadata, no trace of where they were written."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from faceinpaint import cli, weights
from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.toy import toy_faces
from faceinpaint.errors import CheckpointError, ConfigError
from faceinpaint.models import composite, region_affine
from faceinpaint.models.facial_style import Reference, lent_share
from faceinpaint.models.parser import FaceParser, parse
from faceinpaint.models.start import Started, within
from faceinpaint.presets import preset
from faceinpaint.regions import REGIONS, merge_classes, n_regions
from faceinpaint.repair.export import export_onnx
from faceinpaint.repair.trained import find
from faceinpaint.training.run import Config, SmallerRun, load_generator, load_smaller

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

ROOT = Path(__file__).resolve().parents[1]
SMALL = {"width": 4, "style_width": 4, "parser_width": 4, "baseline_scale": 0.06}
BLANK = SMALL | {"start": "blank"}
"""Without the membrane, hundreds of steps of the graph, which is written for the two networks of the fifty repairs."""


def seeded(
    folder: Path, method: str, options: dict | None = None, merge: str = "regions", smaller: SmallerRun | None = None,
    **changes,
) -> Path:  # fmt: skip
    """Weights drawn from a seed, spread so that every layer has something to say."""
    config = Config(method, preset("smoke", **changes), options or {}, merge, smaller=smaller)
    network = config.generator()
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=draw) * 0.05)
        if isinstance(within(network), FaceParser):  # every region is as likely as another
            image = torch.randn(1, 3, config.preset.size, config.preset.size, generator=draw)
            scores = network.eval()(image, torch.zeros_like(image[:, :1])).image
            within(network).score.bias -= scores.mean((0, 2, 3))
    folder.mkdir(parents=True, exist_ok=True)
    about = {"config": config.to_dict(), "data": {"faces": "drawn faces (toy)", "face_count": 3}, "images": 5}
    weights.save(folder / "generator.safetensors", network.state_dict(), about)
    return folder / "generator.safetensors"


class Pictures:
    """Drawn faces with holes, and what PyTorch and the ONNX file make of them."""

    def __init__(self, source: Path, file: Path, count: int) -> None:
        self.network, config, _ = load_generator(source)
        self.size, self.columns = config.preset.size, n_regions(config.merge)
        self.session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        faces, self.holes = toy_faces(count, self.size, "test"), drawn_holes(count, self.size, "test").holes
        self.images = faces.images.astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1
        self.regions = merge_classes(faces.labels, config.merge)

    def __iter__(self):
        for image, hole, regions in zip(self.images, self.holes, self.regions, strict=True):
            yield image[None], hole[None, None].astype(np.float32), regions[None]

    def onnx(self, *given: NDArray) -> list[NDArray]:
        """What the file gives; what is not given, the other photograph, is zeros: there is none."""
        inputs = self.session.get_inputs()
        zeros = (np.zeros(i.shape, np.float32) for i in inputs[len(given) :])
        return self.session.run(None, {i.name: x for i, x in zip(inputs, (*given, *zeros), strict=False)})

    def seen(self, image: NDArray, hole: NDArray) -> torch.Tensor:
        """What the network in the file looks at: the face with its start in the hole, or with nothing there."""
        face, mask = torch.from_numpy(image), torch.from_numpy(hole)
        return self.network.fill(face, mask) if isinstance(self.network, Started) else face * (1 - mask)

    @torch.no_grad()
    def torch(self, *given: NDArray) -> torch.Tensor:
        image, hole, regions = map(torch.from_numpy, given)
        if isinstance(within(self.network), FaceParser):
            return parse(self.network, image, hole)
        return composite(self.network(image, hole, regions).image, image, hole)


def psnr(a: NDArray, b: NDArray, hole: NDArray) -> float:
    """Over the pixels of the hole, of pictures in [-1, 1]."""
    inside = np.broadcast_to(hole > 0, a.shape)
    return float(10 * np.log10(4 / max(np.square(a - b)[inside].mean(), 1e-20)))


def check_fifty(source: Path, file: Path) -> float:
    """The lowest PSNR against PyTorch of 50 drawn faces; known pixels are equal bit for bit."""
    pictures, lowest = Pictures(source, file, 50), np.inf
    for image, hole, regions in pictures:
        repaired, *styles = pictures.onnx(image, hole, regions)
        expected = pictures.torch(image, hole, regions).numpy()
        known = np.broadcast_to(hole == 0, repaired.shape)
        assert np.array_equal(repaired[known], image[known])
        lowest = min(lowest, psnr(repaired, expected, hole))
        given = map(torch.from_numpy, (hole, regions))
        matrix = within(pictures.network).styles(pictures.seen(image, hole), *given).numpy()
        assert styles[0].shape == matrix.shape == (1, 256, len(REGIONS) + 1)
        np.testing.assert_allclose(styles[0], matrix, atol=0.02 * np.abs(matrix).max())
    return lowest


def exported(folder: Path, method: str) -> tuple[Path, Path]:
    """A seeded network at 64, and its file in 16 bits."""
    source = seeded(folder, method)
    export_onnx(source, folder / "half.onnx", half=True)
    return source, folder / "half.onnx"


@pytest.fixture(scope="module")
def generator(tmp_path_factory) -> tuple[Path, Path]:
    return exported(tmp_path_factory.mktemp("generator"), "facial-style")


@pytest.fixture(scope="module")
def parser(tmp_path_factory) -> tuple[Path, Path]:
    return exported(tmp_path_factory.mktemp("parser"), "parser")


def test_fifty_repairs_agree_with_pytorch_in_half_precision(generator):
    lowest = check_fifty(*generator)
    assert lowest > 40, f"{lowest:.1f} dB"


@pytest.mark.slow
def test_fifty_repairs_by_the_weights_of_the_repository_agree_with_pytorch(tmp_path):
    found = find()
    written = export_onnx(found.generator, tmp_path / "generator.onnx", half=True)
    assert (written["trained_on"], written["licence"]) == (found.entry.trained_on, found.entry.licence)
    lowest = check_fifty(found.generator, tmp_path / "generator.onnx")
    assert lowest > 40, f"{lowest:.1f} dB"


def test_a_network_with_a_smaller_one_in_front_is_one_file(tmp_path):
    parts = [seeded(tmp_path / name, name, **BLANK, size=32) for name in ("facial-style", "parser")]
    large = {"size": 64, "start": "smaller", "smaller": load_smaller(*parts)}
    source = seeded(tmp_path / "large", "context-encoder", **SMALL, **large)
    export_onnx(source, tmp_path / "large.onnx")
    pictures = Pictures(source, tmp_path / "large.onnx", 8)
    for image, hole, regions in pictures:
        repaired, expected = pictures.onnx(image, hole, regions)[0], pictures.torch(image, hole, regions).numpy()
        assert psnr(repaired, expected, hole) > 40


def test_fifty_maps_agree_with_pytorch(parser):
    pictures = Pictures(*parser, 50)
    equal = []
    for given in pictures:
        (regions,) = pictures.onnx(*given[:2])
        assert regions.dtype == np.uint8
        assert regions.shape == (1, 64, 64)
        equal.append((regions == pictures.torch(*given).numpy()).mean())
    assert len(np.unique(regions)) > 1, "a map of one region shows nothing"
    assert np.mean(equal) > 0.995


@pytest.mark.parametrize(
    ("method", "options", "merge"),
    [
        ("context-encoder", {}, "regions"),
        ("contextual-attention", {}, "regions"),
        ("gated-conv", {}, "regions"),
        ("facial-style", {"other": "own", "pooling": "valid", "statistics": "valid"}, "none"),
    ],
)
def test_every_method_is_exported(tmp_path, method, options, merge):
    source = seeded(tmp_path, method, options, merge, **BLANK)
    export_onnx(source, tmp_path / "out.onnx")
    pictures = Pictures(source, tmp_path / "out.onnx", 3)
    for given in pictures:
        assert psnr(pictures.onnx(*given)[0], pictures.torch(*given).numpy(), given[1]) > 80


def test_styles_of_a_region_of_their_own_are_exported(tmp_path):
    source = seeded(tmp_path, "facial-style", {"other": "own"}, **BLANK)
    export_onnx(source, tmp_path / "out.onnx")
    pictures = Pictures(source, tmp_path / "out.onnx", 1)
    ((image, hole, regions),) = pictures
    assert (regions == 0).any()
    styles = pictures.onnx(image, hole, regions)[1]
    assert styles.shape == (1, 256, len(REGIONS) + 2)
    with torch.no_grad():
        features = within(pictures.network).style(pictures.seen(image, hole)).numpy()
    outside = regions[0][:: 64 // features.shape[2], :: 64 // features.shape[3]] == 0
    np.testing.assert_allclose(styles[0, :, -2], features[0][:, outside].mean(1), atol=1e-4)


def read(pictures: Pictures, image: NDArray, regions: NDArray) -> tuple[NDArray, NDArray]:
    """What the file is told of another photograph: its style matrix, which the file itself reads, and what it shows."""
    shown = np.array([[(regions == i).any() for i in range(1, pictures.columns + 1)]], np.float32)
    return pictures.onnx(image, np.zeros_like(image[:, :1]), regions)[1], shown


def check_reference(source: Path, file: Path) -> float:
    """The lowest PSNR against PyTorch of drawn faces, each repaired by the styles of the next one."""
    pictures, lowest, changed = Pictures(source, file, 12), np.inf, 0
    given = list(pictures)
    for (image, hole, regions), (other, _, there) in zip(given, given[1:] + given[:1], strict=True):
        there = np.where(there == 3, 0, there)  # one region is not to be seen there
        repaired, styles, painted, lent = pictures.onnx(image, hole, regions, *read(pictures, other, there))
        seen, mask, where = torch.from_numpy(image), torch.from_numpy(hole), torch.from_numpy(regions)
        share = lent_share(where, mask, pictures.columns)
        reference = Reference(torch.from_numpy(other), torch.from_numpy(there), share)
        with torch.no_grad():
            network = within(pictures.network)
            expected = composite(pictures.network(seen, mask, where, reference).image, seen, mask).numpy()
            passed = network.read(reference)
            matrix = network.borrowed(network.styles(pictures.seen(image, hole), mask, where), passed).numpy()
        np.testing.assert_allclose(lent, passed.share.numpy(), atol=1e-6)
        assert lent[0, 2] == 0
        np.testing.assert_allclose(styles, matrix, atol=0.02 * np.abs(matrix).max())
        lowest = min(lowest, psnr(repaired, expected, hole))
        known = np.broadcast_to(hole == 0, repaired.shape)
        assert np.array_equal(repaired[known], image[known])
        alone = pictures.onnx(image, hole, regions)
        assert not alone[3].any()
        assert np.array_equal(alone[2], painted) == (not lent.any())
        changed += lent.any()
    assert changed > 3, "hardly any of these faces was lent anything"
    return lowest


def test_repairs_by_another_photograph_agree_with_pytorch_in_half_precision(generator):
    lowest = check_reference(*generator)
    assert lowest > 40, f"{lowest:.1f} dB"


@pytest.mark.slow
def test_repairs_by_another_photograph_and_the_weights_of_the_repository_agree_with_pytorch(tmp_path):
    export_onnx(find().generator, tmp_path / "generator.onnx", half=True)
    lowest = check_reference(find().generator, tmp_path / "generator.onnx")
    assert lowest > 40, f"{lowest:.1f} dB"


def test_a_graph_is_not_cut_into_blocks(monkeypatch):
    x = torch.zeros(2, 64, 2**16)
    assert len(region_affine._blocks(x)) > 1
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert len(region_affine._blocks(x)) == 1


def test_half_is_half_the_size(generator):
    source, half = generator
    assert half.stat().st_size < 0.55 * source.stat().st_size


def test_what_16_bits_cannot_hold_stays_in_32(parser, tmp_path):
    network, config, about = load_generator(parser[0])
    with torch.no_grad():
        within(network).score.weight.zero_()
        within(network).down[1][0].weight[0, 0, 0, 0] = 1e6
    weights.save(tmp_path / "generator.safetensors", network.state_dict(), {"config": config.to_dict(), **about})
    export_onnx(tmp_path, tmp_path / "out.onnx", half=True)
    held = {t.name: onnx.numpy_helper.to_array(t) for t in onnx.load(tmp_path / "out.onnx").graph.initializer}
    assert all(np.isfinite(values).all() for values in held.values())
    assert {v.dtype.name for v in held.values() if np.abs(v).max(initial=0) > 65504 and v.dtype.kind == "f"} == {
        "float32"
    }
    assert any(values.dtype == np.float16 for values in held.values())


def test_metadata_says_what_the_file_is(generator):
    source, file = generator
    model = onnx.load(file)
    found = {entry.key: entry.value for entry in model.metadata_props}
    assert found["weights_sha256"] == json.loads(source.with_suffix(".json").read_text())["sha256"]
    assert (found["method"], found["size"], found["merge"]) == ("facial-style", "64", "regions")
    assert found["licence"] == "MIT"
    assert found["trained_on"] == "drawn faces (toy), 3 faces, 5 training images"
    assert json.loads(found["regions"]) == ["other", *REGIONS]
    assert "float16" in found["precision"]
    assert [i.name for i in model.graph.input] == ["image", "hole", "regions", "reference", "lends"]
    assert [o.name for o in model.graph.output] == ["repaired", "styles", "painted", "lent"]
    assert model.opset_import[0].version == 20


def test_faces_that_are_not_drawn_leave_their_licence(tmp_path):
    source = seeded(tmp_path, "parser", **SMALL)
    about = json.loads(source.with_suffix(".json").read_text())
    about["data"] = {"faces": "CelebAMask-HQ as shipped, split train", "face_count": 9}
    source.with_suffix(".json").write_text(json.dumps(about))
    assert export_onnx(source, tmp_path / "out.onnx")["licence"] == "that of the faces they were trained on"


def test_the_same_weights_give_the_same_file_without_a_trace_of_where(parser, tmp_path):
    source, file = parser
    export_onnx(source, tmp_path / "elsewhere" / "again.onnx", half=True)
    content = file.read_bytes()
    assert (tmp_path / "elsewhere" / "again.onnx").read_bytes() == content
    assert b"site-packages" not in content
    assert str(ROOT).encode() not in content
    assert [p.name for p in (tmp_path / "elsewhere").iterdir()] == ["again.onnx"]


# ------------------------------------------------------------------------------------------------------- refusals


def test_onnx_is_asked_for_where_it_is_missing(parser, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ConfigError, match=r"onnx is not installed. pip install 'faceinpaint\[onnx\]'"):
        export_onnx(parser[0], tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_a_step_that_onnx_does_not_know_is_refused_in_one_line(parser, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise torch.onnx.errors.OnnxExporterError("no such step\nand pages of explanation")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(ConfigError, match=r"parser cannot be written as ONNX \(no such step\)"):
        export_onnx(parser[0], tmp_path / "out.onnx")


def test_a_file_that_cannot_be_written_leaves_nothing_behind(parser, tmp_path, monkeypatch):
    def fill_the_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fill_the_disk)
    with pytest.raises(OSError, match="No space"):
        export_onnx(parser[0], tmp_path / "out.onnx")
    assert not list(tmp_path.iterdir())


def test_missing_and_damaged_weights_are_refused(parser, tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        export_onnx(tmp_path / "absent.safetensors", tmp_path / "out.onnx")
    for file in parser[0].parent.glob("generator.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "generator.safetensors").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff\xff\xff\xff")
    with pytest.raises(CheckpointError, match="sha256"):
        export_onnx(tmp_path, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--onnx", "--half", "--out", "made/parser.onnx"], 0, "parser at 64x64, 0.7 MB -> made/parser.onnx"),
        (["--onnx", "--out", "file/parser.onnx"], 2, "the system refuses it"),
    ],
)
def test_command_line(parser, tmp_path, monkeypatch, capsys, arguments, code, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["faceinpaint", "export", str(parser[0]), *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert (ended.value.code or 0) == code
    assert words in " ".join((said.out + said.err).split())
    assert (tmp_path / "made" / "parser.onnx").exists() == (code == 0)
