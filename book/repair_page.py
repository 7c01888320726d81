"""The files of the page "Repair in this page": networks as ONNX, drawn faces, and what the page must know of them.

An extension of the book's Sphinx build. The networks are exported when the library or the weights have changed, kept
in ``_build/repair`` and copied beside the page, where ``_assets/repair.js`` finds them.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(Path(__file__).parent))

if TYPE_CHECKING:
    from sphinx.application import Sphinx

PAGE = "book/repair"
LIMIT = 25_000_000
"""Bytes that a repair may load: both networks and what runs them."""

FACES = 6
WORN = {"eye_g": "with glasses", "hat": "with a hat"}
"""Classes that belong to no region, and how a face that wears them is called; such faces come last."""

RUNTIME = "onnxruntime/ort.wasm.bundle.min.js"
WASM = "onnxruntime/ort-wasm-simd-threaded.wasm.gz"


def key(root: Path, found: dict[str, Any]) -> str:
    """What the files depend on: the library, this script, the weights and what writes ONNX."""
    digest = hashlib.sha256()
    for path in [Path(__file__), *sorted((root / "faceinpaint").rglob("*.py"))]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for name in ("generator", "parser"):
        digest.update(found[name].read_bytes())
    digest.update("".join(version(name) for name in ("torch", "onnx", "onnxscript")).encode())
    return digest.hexdigest()


def make(root: Path, out: Path) -> Path:
    """Write the files of the page into ``out``, unless they are there and nothing has changed.

    Args:
        root: of the repository.
        out: folder that receives ``generator.onnx.gz``, ``parser.onnx.gz``, ``centerface.onnx.gz``, ``portrait.png``,
            ``face-1.png`` ... and ``about.json``.

    Returns:
        ``out``.

    Raises:
        SystemExit: the networks are too large for a page.
    """
    found = networks(root, out.parent)
    fresh = key(root, found)
    about = out / "about.json"
    if about.exists() and json.loads(about.read_text(encoding="utf-8"))["key"] == fresh:
        return out

    import numpy as np
    from faceinpaint.data.toy import toy_faces
    from faceinpaint.regions import CLASSES, REGION_COLOURS, REGIONS
    from faceinpaint.repair.doubt import LEAST, MORE
    from faceinpaint.repair.export import export_onnx
    from faceinpaint.repair.framing import Frame, find_faces
    from PIL import Image
    from skimage import data

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    written = {name: export_onnx(found[name], out / f"{name}.onnx", half=True) for name in ("generator", "parser")}
    sizes = {name: pack(out / f"{name}.onnx") for name in written}
    detector(out / "centerface.onnx")
    finder = pack(out / "centerface.onnx")
    vendor = Path(__file__).parent / "_vendor"
    sizes["wasm"] = (vendor / WASM).stat().st_size
    if sum(sizes.values()) > LIMIT:
        raise SystemExit(f"a repair would load {sum(sizes.values())} bytes, it may load {LIMIT}")
    size = int(written["generator"]["size"])
    assert written["parser"]["size"] == str(size), "both networks work at one size"
    faces = toy_faces(FACES, size, "test")
    worn = [[name for name in WORN if (labels == CLASSES.index(name)).any()] for labels in faces.labels]
    photo = data.astronaut()
    (box, *_) = find_faces(photo, np.zeros(photo.shape[:2], bool))
    portrait = Image.fromarray(Frame.around(box).cut(photo)).resize((size, size), Image.Resampling.LANCZOS)
    portrait.save(out / "portrait.png")
    titles = {"portrait.png": "a photograph: Eileen Collins, by NASA, in the public domain"}
    for i, face in enumerate(sorted(range(FACES), key=lambda face: len(worn[face])), 1):
        Image.fromarray(faces.images[face]).save(out / f"face-{i}.png")
        titles[f"face-{i}.png"] = " ".join([f"drawn face {i}", *(WORN[name] for name in worn[face])])
    names = ("other", *REGIONS)
    content = {
        "key": fresh,
        "size": size,
        "regions": [{"name": n, "colour": c} for n, c in zip(names, REGION_COLOURS, strict=True)],
        "columns": [*REGIONS, "whole face"],
        "faces": [{"file": file, "title": title} for file, title in titles.items()],
        "files": {
            "wasm": f"../{WASM}",
            "parser": "parser.onnx.gz",
            "generator": "generator.onnx.gz",
        },
        "finder": {"file": "centerface.onnx.gz", "bytes": finder, "sure": LEAST + MORE},
        "runtime": f"../{RUNTIME}",
        "bytes": sum(sizes.values()),
        "sizes": sizes,
        "weights": found["title"],
        "generator": written["generator"],
        "parser": written["parser"],
    }
    about.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return out


def pack(path: Path) -> int:
    """Replace an ONNX file by ``NAME.onnx.gz``; of weights in 16 bits the last is rounded away, so that they pack.

    Returns:
        the bytes of the packed file.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT16:
            bits = numpy_helper.to_array(tensor).view(np.uint16)
            even = np.where((bits & 0x7C00) < 0x7800, (bits + 1) & 0xFFFE, bits)  # not where it would grow to infinity
            tensor.CopyFrom(numpy_helper.from_array(even.astype(np.uint16).view(np.float16), tensor.name))
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(model.SerializeToString(deterministic=True), 9, mtime=0))
    path.unlink()
    return packed.stat().st_size


def detector(out: Path) -> None:
    """Write the package's face detector so that it takes pictures of any size: its file names one."""
    import onnx
    from faceinpaint.repair import finder

    finder._network()  # refuses another file
    model = onnx.load(finder.FILE)
    used = {name for node in model.graph.node for name in node.input}
    weights = [tensor for tensor in model.graph.initializer if tensor.name in used]
    given = {tensor.name for tensor in model.graph.initializer}
    (picture,) = (
        onnx.ValueInfoProto.FromString(value.SerializeToString())
        for value in model.graph.input
        if value.name not in given
    )
    for value, names in ((picture, ("height", "width")), *((out_, ("rows", "columns")) for out_ in model.graph.output)):
        shape = value.type.tensor_type.shape
        shape.dim[0].dim_value = 1
        for axis, name in enumerate(names, 2):
            shape.dim[axis].dim_param = name
    del model.graph.value_info[:]
    del model.graph.input[:]
    model.graph.input.append(picture)  # weights among the inputs may not be folded
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    model.ir_version = max(model.ir_version, 4)
    onnx.save(model, out)


def networks(root: Path, build: Path) -> dict[str, Any]:
    """The best weights that there are, ``generator`` and ``parser`` as paths, and ``title``, what they are called.

    Where the repository holds none, small ones are trained on drawn faces, in less than a minute, and kept.
    """
    from faceinpaint.repair.trained import find, listed

    if listed(root / "data" / "weights"):
        best = find(folder=root / "data" / "weights")
        return {"generator": best.generator, "parser": best.parser, "title": best.entry.name}

    from faceinpaint.data.masks import drawn_holes
    from faceinpaint.data.toy import toy_faces
    from faceinpaint.presets import preset
    from faceinpaint.training.run import Config
    from faceinpaint.training.train import train

    scale = preset("smoke", images=400, faces=128, holes=128)
    faces, holes = toy_faces(scale.faces, scale.size), drawn_holes(scale.holes, scale.size)
    runs = build / "repair-weights"
    paths = {
        name: train(Config(method, scale), faces, holes, runs / method, backbone_weights="seed")
        for name, method in (("generator", "facial-style"), ("parser", "parser"))
    }
    return {**paths, "title": "an example, trained for less than a minute"}


# --- the Sphinx extension -------------------------------------------------------------------------------------------


def _make(app: Sphinx) -> None:
    if PAGE in app.config.external_site_map and app.builder.format == "html":
        make(ROOT, Path(app.outdir).parent / "repair")


def _copy(app: Sphinx, failure: Exception | None) -> None:
    if failure is None and PAGE in app.config.external_site_map and app.builder.format == "html":
        shutil.copytree(
            Path(app.outdir).parent / "repair",
            Path(app.outdir) / "_static" / "repair",
            dirs_exist_ok=True,
        )


def setup(app: Sphinx) -> dict[str, bool]:
    """Entry point of the extension."""
    app.connect("builder-inited", _make)
    app.connect("build-finished", _copy)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
