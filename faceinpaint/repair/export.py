"""Trained networks as ONNX files, which run without Python: in a browser, on a telephone, in another language.

One file holds one network for one face of fixed size, and says in its metadata whose weights it carries, what they
were trained on and under which licence they stand.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from faceinpaint import __version__
from faceinpaint.errors import ConfigError
from faceinpaint.files import replacing
from faceinpaint.models import composite
from faceinpaint.models.facial_style import STYLE_DIM, FacialStyle, Lent, lent_share
from faceinpaint.models.start import Started, within
from faceinpaint.regions import REGIONS
from faceinpaint.repair.trained import halved, listed
from faceinpaint.training.methods import PARSER
from faceinpaint.training.run import Config, load_generator

OPSET = 20
"""Version of the ONNX operators."""

HALVED = 1024
"""``half`` leaves tensors of fewer numbers as they are: biases and other small ones save nothing."""


class _Repair(nn.Module):
    """What the file of a generator computes: the repaired face, known pixels as they were.

    The method of the patent takes three inputs more: ``regions`` (1, S, S) uint8; and of another photograph of the same
    person ``reference``, its style matrix (1, 256, n + 1), or n + 2 columns with ``other="own"``, and ``lends`` (1, n)
    float32, 1 for each region that it shows. Zeros in both are no such photograph. It also gives ``styles``, the style
    matrix that it repaired by; ``painted`` (1, 3, S, S), the face as it was painted, whose known pixels say how far off
    the colours are along the edge of the hole; and ``lent`` (1, n), how far each region's style came from the other
    photograph (:func:`faceinpaint.models.facial_style.lent_share`). The style matrix of the other photograph is the
    file's own ``styles`` of it, where ``hole`` holds zeros.
    """

    def __init__(self, generator: nn.Module) -> None:
        super().__init__()
        self.generator = generator

    def forward(
        self, image: Tensor, hole: Tensor, regions: Tensor | None = None, reference: Tensor | None = None,
        lends: Tensor | None = None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        network = within(self.generator)
        seen = self.generator.fill(image, hole) if isinstance(self.generator, Started) else image * (1 - hole)
        if not isinstance(network, FacialStyle) or regions is None or reference is None or lends is None:
            return (composite(network(seen, hole, regions).image, image, hole),)
        lent = Lent(reference, lent_share(regions, hole, network.n) * lends)
        painted = network(seen, hole, regions, lent).image
        # Asked for a second time; equal parts of a graph are computed once.
        styles = network.borrowed(network.styles(seen, hole, regions), lent)
        return composite(painted, image, hole), styles, painted, lent.share


class _Parse(nn.Module):
    """What the file of a parser computes: the region of each pixel."""

    def __init__(self, parser: nn.Module) -> None:
        super().__init__()
        self.parser = parser

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        return self.parser(image, hole).image.argmax(1).to(torch.uint8)


def export_onnx(source: str | Path, out: str | Path, *, half: bool = False) -> dict[str, str]:
    """Write a trained generator or parser as an ONNX file.

    Inputs, S the size that it was trained at: ``image`` (1, 3, S, S) float32 in [-1, 1], ``hole`` (1, 1, S, S) float32,
    1 = hole. A generator gives ``repaired`` (1, 3, S, S), outside the hole equal to ``image``; the method of the patent
    also takes and gives what :class:`_Repair` tells. A parser gives ``regions`` (1, S, S) uint8.

    Args:
        source: ``generator.safetensors``, or the folder of a run that holds it.
        out: file to write; it is written whole or not at all.
        half: keep weights in 16 bits, half the size. They are widened as the file is loaded, and computing is in
            32 bits as before.

    Returns:
        the metadata written into the file.

    Raises:
        CheckpointError: the weights are missing, damaged, or do not fit their configuration.
        ConfigError: onnx is not installed, or the network has a step that ONNX does not know.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     export_onnx(folder, Path(folder) / "generator.onnx")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    faceinpaint.errors.CheckpointError: ...: the folder holds no generator.safetensors. Finish the training, or ...
    """
    out = Path(out)
    network, config, about = load_generator(source)
    try:
        import onnx
        import onnxscript  # noqa: F401  torch needs it
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed", "pip install 'faceinpaint[onnx]'") from None
    wrapped, inputs, outputs = _wrapped(network, config)
    metadata = _metadata(config, about, half)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own, on its own parts
        try:
            program = torch.onnx.export(
                wrapped.eval(), tuple(inputs.values()), dynamo=True, opset_version=OPSET, verbose=False,
                input_names=list(inputs), output_names=outputs,
            )  # fmt: skip
        except torch.onnx.errors.OnnxExporterError as error:
            problem = f"{config.method} cannot be written as ONNX ({str(error).strip().partition(chr(10))[0]})"
            raise ConfigError(problem, "Export another method, or keep to Python", source) from error
    assert program is not None
    model = program.model_proto
    _forget_the_run(model)
    if half:
        _halve(model)
    model.producer_name, model.producer_version = "faceinpaint", __version__
    for name, value in metadata.items():
        model.metadata_props.add(key=name, value=value)
    onnx.checker.check_model(model)
    out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(out) as new:
        new.write_bytes(model.SerializeToString(deterministic=True))
    return metadata


def _wrapped(network: nn.Module, config: Config) -> tuple[nn.Module, dict[str, Tensor], list[str]]:
    """What is written, with inputs to trace it by and the names of its outputs."""
    size = config.preset.size
    inputs = {"image": torch.zeros(1, 3, size, size), "hole": torch.zeros(1, 1, size, size)}
    wrapped: nn.Module
    if config.method == PARSER.name:
        wrapped, outputs = _Parse(network), ["regions"]
    else:
        wrapped, outputs = _Repair(network), ["repaired"]
        if isinstance(styled := within(network), FacialStyle):
            inputs["regions"] = torch.zeros(1, size, size, dtype=torch.uint8)
            inputs["reference"] = torch.zeros(1, STYLE_DIM, styled.columns + 1)
            inputs["lends"] = torch.zeros(1, styled.n)
            outputs += ["styles", "painted", "lent"]
    return wrapped, inputs, outputs


def _metadata(config: Config, about: dict[str, Any], half: bool) -> dict[str, str]:
    """What the file says of itself."""
    trained_on, licence = provenance(about)
    metadata = {
        "producer": f"faceinpaint {__version__}",
        "method": config.method,
        "size": str(config.preset.size),
        "merge": config.merge,
        "weights_sha256": about["sha256"],
        "precision": "weights float16, computed in float32" if half else "float32",
        "trained_on": trained_on,
        "licence": licence,
    }
    if config.merge == "regions":
        metadata["regions"] = json.dumps(["other", *REGIONS])
    return metadata


def provenance(about: dict[str, Any]) -> tuple[str, str]:
    """On what weights were trained, and under which licence they stand.

    Args:
        about: their training record. For weights of the repository's list, the list knows better.

    >>> provenance({"sha256": "", "data": {"faces": "drawn faces", "face_count": 9}, "images": 64})
    ('drawn faces, 9 faces, 64 training images', 'MIT')
    """
    for entry in listed():
        if about["sha256"] in (entry.generator, entry.parser):
            return entry.trained_on, entry.licence
    data = about.get("data", {})
    faces = str(data.get("faces", "faces that the record does not name"))
    licence = "MIT" if faces.startswith("drawn faces") else "that of the faces they were trained on"
    return f"{faces}, {data.get('face_count', '?')} faces, {about.get('images', '?')} training images", licence


def _forget_the_run(model: Any) -> None:
    """Take out where in whose files each step was written down; the same weights give the same file."""
    del model.metadata_props[:]
    graph = model.graph
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.doc_string = ""
        del part.metadata_props[:]
    del graph.value_info[:]
    del model.functions[:]


def _halve(model: Any) -> None:
    """Large float32 tensors become float16, followed by a cast, which a runtime carries out once as it loads.

    One that float16 cannot hold stays as it is.
    """
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        small = halved(torch.from_numpy(numpy_helper.to_array(tensor).copy()))
        if small.numel() < HALVED or small.dtype != torch.float16:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(small.numpy(), f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.widen", to=TensorProto.FLOAT))
    for cast in reversed(casts):
        model.graph.node.insert(0, cast)
