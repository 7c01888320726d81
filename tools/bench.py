"""Speed and memory: ours against the obvious alternative, on the same inputs, in the same run; minutes on a CPU.

    python tools/bench.py [--device cuda] [--out data/results/bench-cpu.json] [--quick]

Absolute times depend on the machine and on what else it is doing; ratios depend on them much less. So the two sides
of a row take turns, a round of one after a round of the other, and a row reports the median of the rounds' ratios.
Before anything is timed both sides must have given the same numbers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from faceinpaint import metrics
from faceinpaint.backbones import load_backbone
from faceinpaint.comparison.evaluate import count_flops, count_parameters
from faceinpaint.comparison.findings import claims
from faceinpaint.comparison.records import Inference
from faceinpaint.data.masks import drawn_holes
from faceinpaint.data.sets import FaceSet, HoleSet
from faceinpaint.data.sources import load_faces
from faceinpaint.errors import FaceInpaintError
from faceinpaint.files import write_json
from faceinpaint.models.contextual_attention import ContextualAttention
from faceinpaint.models.facial_style import FacialStyle, RegionNorm, style_matrix, style_pairs, style_pool
from faceinpaint.models.gated_conv import GatedConv
from faceinpaint.models.refinement import attention
from faceinpaint.models.region_affine import RegionAffine
from faceinpaint.models.start import within
from faceinpaint.pixels import from_bytes
from faceinpaint.presets import Preset, preset
from faceinpaint.provenance import stamp
from faceinpaint.regions import region_table, resize_regions
from faceinpaint.training.feed import Feed
from faceinpaint.training.methods import METHODS, method
from faceinpaint.training.objectives import Batch
from faceinpaint.training.processes import launch
from faceinpaint.training.run import Config
from faceinpaint.training.train import _Run

VERSION = 1
"""Of the layout of a record."""

TOLERANCE = 1e-4
"""Largest relative difference between the numbers of the two sides, in float32."""


class BenchError(FaceInpaintError):
    """Two sides of a row do not compute the same."""


@dataclass(frozen=True)
class Row:
    """One comparison.

    Attributes:
        name: what is done.
        against: the alternative.
        ours, other: medians, in ``unit``.
        unit: "ms" (less is better), "images/s" (more is better), "MiB" or "maps" (less is better).
        ratio: how many times better ours is, the median over the rounds; None where there is nothing to divide.
        target: what was to be reached, in words; None where a row only reports.
        met: whether it was; None likewise.
        error: largest relative difference between the two sides' numbers; None where they are not comparable.
        note: what else to know.
    """

    name: str
    against: str
    ours: float
    other: float | None
    unit: str
    ratio: float | None = None
    target: str | None = None
    met: bool | None = None
    error: float | None = None
    note: str = ""


# --- the obvious alternatives ---------------------------------------------------------------------------------------


def region_norm_loop(x: Tensor, gamma: Tensor, beta: Tensor, regions: Tensor) -> Tensor:
    """Region normalisation as the equations are written: a pass over the whole map for each region, then the sum.

    Args:
        x: features (B, C, h, w).
        gamma, beta: (B, K, C), zero for regions that are whole; region 0 is everything else.
        regions: (B, h, w), 0..K-1.
    """
    mean = x.mean((2, 3), keepdim=True)
    normalised = (x - mean) / torch.sqrt((x - mean).square().mean((2, 3), keepdim=True) + 1e-5)
    total = torch.zeros_like(x)
    for i in range(gamma.shape[1]):
        inside = (regions == i)[:, None].to(x.dtype)
        total = total + inside * (normalised * (1 + gamma[:, i, :, None, None]) + beta[:, i, :, None, None])
    return total


def style_pool_loop(features: Tensor, regions: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Style pooling as the equations are written, region by region; arguments as :func:`style_pool`."""
    regions = resize_regions(regions, features.shape[-2:])
    styles = []
    for i in range(1, n + 1):
        inside = (regions == i)[:, None].to(features.dtype)
        styles.append((features * inside).sum((2, 3)) / inside.sum((2, 3)).clamp(min=1))
    face = (regions > 0)[:, None].to(features.dtype)
    whole = (features * face).sum((2, 3)) / face.sum((2, 3)).clamp(min=1)
    return torch.stack(styles, dim=1), whole


class _LoopNorm(RegionNorm):
    """Region normalisation with the loop; default options only."""

    def forward(self, x: Tensor, matrix: Tensor, regions: Tensor, hole: Tensor, damaged: Tensor) -> Tensor:
        gamma, beta = (
            nn.functional.pad(factor * damaged[:, 1:, None], (0, 0, 1, 0)) for factor in self.fuse(*style_pairs(matrix))
        )
        return region_norm_loop(x, gamma, beta, regions)


class _LoopStyle(FacialStyle):
    """The generator with the loops; default options only."""

    def styles(self, damaged: Tensor, hole: Tensor, regions: Tensor) -> Tensor:
        return style_matrix(*style_pool_loop(self.style(damaged), regions, self.n))


def with_loops(generator: FacialStyle) -> FacialStyle:
    """The same generator, changed in place: each region is a pass of its own. Weights stay."""
    generator.__class__ = _LoopStyle
    for module in generator.modules():
        if type(module) is RegionNorm:
            module.__class__ = _LoopNorm
    return generator


# --- measuring ------------------------------------------------------------------------------------------------------


def rounds(sides: Sequence[Callable[[], Any]], device: torch.device, seconds: float) -> list[list[float]]:
    """Let the sides take turns for about ``seconds``, at least three rounds after a first one that does not count.

    Returns:
        milliseconds of each side, by round.
    """
    taken: list[list[float]] = [[] for _ in sides]
    began = time.perf_counter()
    for side in sides:
        side()
    while len(taken[0]) < 3 or (time.perf_counter() - began < seconds and len(taken[0]) < 50):
        for times, side in zip(taken, sides, strict=True):
            _wait(device)
            start = time.perf_counter()
            side()
            _wait(device)
            times.append((time.perf_counter() - start) * 1e3)
    return taken


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _difference(ours: Sequence[Tensor], other: Sequence[Tensor], name: str) -> float:
    """Largest relative difference between two lists of tensors.

    Raises:
        BenchError: it is over :data:`TOLERANCE`.
    """
    error = max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-12)) for a, b in zip(ours, other, strict=True))
    if not error < TOLERANCE:
        raise BenchError(f"{name}: the two sides differ by {error:.1e}", "Report it with the versions in use")
    return error


def _better(ours: Sequence[float], other: Sequence[float]) -> float:
    """How many times shorter ours takes: the median over the rounds."""
    return statistics.median(b / a for a, b in zip(ours, other, strict=True))


def _patches(batch: int, size: int, labels: int, device: torch.device) -> Tensor:
    """Random parsing map (B, size, size) of square patches, so that every label is there."""
    regions = torch.arange(batch * 64, device=device).view(batch, 8, 8) % labels
    return regions.repeat_interleave(size // 8, 1).repeat_interleave(size // 8, 2).to(torch.uint8)


def _case(batch: int, channels: int, size: int, labels: int, device: torch.device) -> tuple[list[Tensor], Tensor]:
    """Inputs of region normalisation that want a gradient, and a parsing map."""
    draw = torch.Generator(device).manual_seed(0)
    shapes = ((batch, channels, size, size), (batch, labels, channels), (batch, labels, channels))
    leaves = [torch.randn(s, generator=draw, device=device).requires_grad_() for s in shapes]
    return leaves, _patches(batch, size, labels, device)


def _ours_norm(leaves: Sequence[Tensor], regions: Tensor) -> Tensor:
    x, gamma, beta = leaves
    return RegionAffine.apply(x, gamma, beta, regions.flatten(1), None, 1e-5)


def _loop_norm(leaves: Sequence[Tensor], regions: Tensor) -> Tensor:
    return region_norm_loop(*leaves, regions)


def _both_ways(function: Callable[..., Tensor], leaves: Sequence[Tensor], *rest: Any) -> list[Tensor]:
    """The result, and the gradients of its mean square."""
    out = function(leaves, *rest)
    return [out.detach(), *torch.autograd.grad(out, leaves, out.detach())]


# --- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plan:
    """What all rows need to know."""

    device: torch.device
    quick: bool

    def pick(self, full: Any, quick: Any) -> Any:
        return quick if self.quick else full

    @property
    def seconds(self) -> float:
        """Time for the rounds of one row."""
        return self.pick(6.0, 0.2)

    @property
    def preset(self) -> Preset:
        """The preset whose training steps are measured."""
        if self.quick:
            return preset("smoke", size=32, reading="R1", width=16, batch=4, faces=8, holes=8)
        return preset("gpu" if self.device.type == "cuda" else "cpu")


def region_norm_rows(plan: Plan) -> Iterator[Row]:
    """Region normalisation against the loop: time, memory, and whether the number of regions matters."""
    for batch, channels, size in plan.pick([(8, 64, 256), (8, 512, 32)], [(2, 4, 32)]):
        name = f"region normalisation {batch}x{channels}x{size}x{size}, forward + backward"
        leaves, regions = _case(batch, channels, size, 9, plan.device)
        error = _difference(_both_ways(_ours_norm, leaves, regions), _both_ways(_loop_norm, leaves, regions), name)
        sides = [lambda f=f, a=leaves, r=regions: _both_ways(f, a, r) for f in (_ours_norm, _loop_norm)]
        ours, loop = rounds(sides, plan.device, plan.seconds)
        ratio = _better(ours, loop)
        middle = statistics.median
        yield Row(name, "loop over 8 regions", middle(ours), middle(loop), "ms", ratio, "5 times", ratio >= 5, error)
        more = _case(batch, channels, size, 20, plan.device)
        few, many = rounds([sides[0], lambda m=more: _both_ways(_ours_norm, *m)], plan.device, plan.seconds)
        growth = 1 / _better(many, few)
        yield Row(
            name, "itself with 19 regions", middle(few), middle(many), "ms", growth, "within 15%", growth <= 1.15,
            note=f"19 regions take {growth:.2f} times as long as 8",
        )  # fmt: skip
        extra = [memory(f"norm:{side}", batch, channels, size, plan.device) for side in ("ours", "loop")]
        yield Row(
            name + ", extra memory", "loop over 8 regions", *extra, "maps", extra[1] / max(extra[0], 0.01),
            "2 maps", extra[0] <= 2, note="peak beyond features, result and their gradients, in feature maps",
        )  # fmt: skip


def style_pool_rows(plan: Plan) -> Iterator[Row]:
    """Style pooling against the loop, forward and backward."""
    for batch, channels, size in plan.pick([(2, 256, 256), (16, 256, 32)], [(2, 8, 16)]):
        name = f"style pooling {batch}x{channels}x{size}x{size}, forward + backward"
        features = _case(batch, channels, size, 9, plan.device)[0][:1]
        regions = _patches(batch, size, 9, plan.device)

        def run(
            pool: Callable[..., tuple[Tensor, Tensor]], leaves: list[Tensor] = features, r: Tensor = regions
        ) -> list[Tensor]:
            return _both_ways(lambda x, r: style_matrix(*pool(x[0], r, 8)), leaves, r)

        error = _difference(run(style_pool), run(style_pool_loop), name)
        ours, loop = rounds([lambda r=run: r(style_pool), lambda r=run: r(style_pool_loop)], plan.device, plan.seconds)
        ratio = _better(ours, loop)
        yield Row(
            name, "loop over 8 regions", statistics.median(ours), statistics.median(loop), "ms", ratio, "4 times",
            ratio >= 4, error,
        )  # fmt: skip


def _inputs(batch: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Random photographs with a square hole and a parsing map."""
    image = torch.rand(batch, 3, size, size, generator=torch.Generator(device).manual_seed(0), device=device) * 2 - 1
    hole = torch.zeros(batch, 1, size, size, device=device)
    hole[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    return image, hole, _patches(batch, size, 9, device)


def generator_rows(plan: Plan) -> Iterator[Row]:
    """The whole generator against itself with loops, and with the styles pooled one scale earlier."""

    def build(width: int, **options: Any) -> FacialStyle:
        torch.manual_seed(0)
        return FacialStyle(width, **options).to(plan.device)

    def both_ways(generator: FacialStyle, given: tuple[Tensor, ...]) -> list[Tensor]:
        image = generator(*given).image
        return [image.detach(), *torch.autograd.grad(image.square().mean(), list(generator.parameters()))]

    width, size = plan.pick((32, 256), (4, 32))
    given = _inputs(plan.pick(8 if plan.device.type == "cuda" else 1, 2), size, plan.device)
    sides = [build(width), with_loops(build(width))]
    name = f"facial-style generator, width {width}, {size}x{size}, batch {len(given[0])}, forward + backward"
    error = _difference(*([g(*given).image.detach()] for g in sides), name)
    ours, loop = rounds([lambda g=g: both_ways(g, given) for g in sides], plan.device, plan.seconds)
    middle = statistics.median
    yield Row(name, "with the loops", middle(ours), middle(loop), "ms", _better(ours, loop), error=error)

    p = plan.preset
    given = _inputs(p.batch, p.size, plan.device)
    sides = [build(p.width, style_width=p.style_width, style_ups=ups, heads=p.heads) for ups in (2, 3)]
    name = f"facial-style generator at the preset {p.name}, styles pooled at half size, forward + backward"
    ours, full = rounds([lambda g=g: both_ways(g, given) for g in sides], plan.device, plan.seconds)
    yield Row(
        name, "at full size, as in the patent", middle(ours), middle(full), "ms", _better(ours, full),
        note="two networks, so the results differ",
    )  # fmt: skip


# --- training -------------------------------------------------------------------------------------------------------


class _Files(torch.utils.data.Dataset):
    """The training set as picture files, decoded each time: item i is place i % batch of step i // batch."""

    def __init__(self, feed: Feed, folder: Path, length: int) -> None:
        self.feed, self.folder, self.length = feed, folder, length
        for kind, arrays in zip(("face", "label", "hole"), feed.arrays, strict=True):
            for i, array in enumerate(arrays.cpu().numpy()):
                Image.fromarray(array * 255 if kind == "hole" else array).save(folder / f"{kind}-{i}.png")

    def __len__(self) -> int:
        return self.length * self.feed.batch

    def __getitem__(self, item: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        step, place = divmod(item, self.feed.batch)
        face, hole, turn, chance = (a[place] for a in self.feed.plan(step))
        image = np.asarray(Image.open(self.folder / f"face-{face}.png")).transpose(2, 0, 1)
        label = np.asarray(Image.open(self.folder / f"label-{face}.png"))
        mask = np.asarray(Image.open(self.folder / f"hole-{hole}.png"))
        if turn & 1:
            image, label = image[..., ::-1], label[..., ::-1]
        mask = mask[:, ::-1] if turn & 2 else mask
        mask = mask[::-1] if turn & 4 else mask
        mask = mask.T if turn & 8 else mask
        regions = region_table()[label]
        return (
            from_bytes(torch.from_numpy(np.ascontiguousarray(image))),
            torch.from_numpy((mask > 127).astype(np.float32)[None]),
            torch.from_numpy(regions),
            torch.tensor(chance).view(1, 1, 1),
        )


class _Timed:
    """A source of batches, and how long each was waited for, in milliseconds."""

    def __init__(self, source: Callable[[int], Batch], device: torch.device) -> None:
        self.source, self.device = source, device
        self.waits: list[float] = []

    def __call__(self, step: int) -> Batch:
        start = time.perf_counter()
        batch = self.source(step)
        _wait(self.device)
        self.waits.append((time.perf_counter() - start) * 1e3)
        return batch


def _run(name: str, scale: Preset, fabric: Fabric, **options: Any) -> _Run:
    config = Config(name, scale, options)
    backbone = load_backbone(scale.backbone, "seed") if method(name).perceptual else None
    return _Run(config, method(name), fabric, backbone)


def _training_set(scale: Preset, count: int) -> tuple[FaceSet, HoleSet]:
    return load_faces("toy", "train", scale.size, count=count), drawn_holes(count, scale.size)


def training_rows(plan: Plan) -> Iterator[Row]:
    """A training step of each method, against the same step fed from picture files."""
    p = plan.preset
    fabric = launch(p, plan.device.type)
    feed = Feed(*_training_set(p, plan.pick(256, 8)), p.batch, device=plan.device)
    workers = min(8, os.cpu_count() or 1) if plan.device.type == "cuda" and not plan.quick else 0
    with tempfile.TemporaryDirectory(prefix="faceinpaint-") as folder:
        files = _Files(feed, Path(folder), 10_000)
        for name in (n for n, m in METHODS.items() if m.critic is not None):
            run = _run(name, p, fabric)
            loader = iter(torch.utils.data.DataLoader(files, p.batch, num_workers=workers))

            def decoded(step: int, loader: Iterator = loader) -> Batch:
                return Batch(*(x.to(plan.device) for x in next(loader)))

            error = _difference([x.float() for x in feed(0)], [x.float() for x in decoded(0)], f"data of {name}")
            sources = [_Timed(feed, plan.device), _Timed(decoded, plan.device)]
            sides = [lambda s=s, r=run: r.step(0, 1000, s) for s in sources]
            ours, theirs = rounds(sides, plan.device, plan.pick(8.0, 0.2))
            waits = [sum(s.waits[1:]) / sum(t) for s, t in zip(sources, (ours, theirs), strict=True)]
            ratio = _better(ours, theirs)
            speeds = [p.batch * 1e3 / statistics.median(t) for t in (ours, theirs)]
            fast = plan.device.type == "cuda"
            yield Row(
                f"training step of {name}, preset {p.name}", f"DataLoader decoding files, {workers} workers", *speeds,
                "images/s", ratio, "data share under 3%" + (", 3 times" if fast else ""),
                waits[0] < 0.03 and (ratio >= 3 or not fast), error,
                f"waiting for data {waits[0]:.1%} of the time, against {waits[1]:.1%}",
            )  # fmt: skip
            del loader


def literal_rows(plan: Plan) -> Iterator[Row]:
    """Training facial-style at the preset, against straightforward versions of the same configuration."""
    p = plan.preset
    fabric = launch(p, plan.device.type)
    feed = Feed(*_training_set(p, plan.pick(64, 8)), p.batch, device=plan.device)
    ours, loops = _run("facial-style", p, fabric), _run("facial-style", p, fabric)
    literal = _run("facial-style", p, fabric, style_ups=3, style_width=p.width, heads="separate")
    for run in (loops, literal):
        with_loops(within(run.bare["generator"]))
    first = [list(run.step(0, 1000, feed).values()) for run in (ours, loops)]
    error = _difference([torch.stack(first[0])], [torch.stack(first[1])], "first training step")
    sides = [lambda r=r: r.step(1, 1000, feed) for r in (ours, loops, literal)]
    times = rounds(sides, plan.device, plan.pick(20.0, 0.2))
    speeds = [p.batch * 1e3 / statistics.median(t) for t in times]
    ratio = _better(times[0], times[1])
    name = f"training facial-style, preset {p.name}"
    yield Row(name, "the same networks with loops over regions", speeds[0], speeds[1], "images/s", ratio, error=error)
    ratio = _better(times[0], times[2])
    yield Row(
        name, "the patent to the letter at this width", speeds[0], speeds[2], "images/s", ratio, "2 times", ratio >= 2,
        note="loops over regions, three style upsamplings, style network as wide as the encoder, and separate linear "
        "layers for local and global styles; the critic, the losses and the data are the same",
    )  # fmt: skip


def fast_rows(plan: Plan) -> Iterator[Row]:
    """bfloat16 against float32; on a GPU with channels_last and compilation, and the share of the bf16 ceiling."""
    p = plan.preset
    feed = Feed(*_training_set(p, plan.pick(64, 8)), p.batch, device=plan.device)
    eager = replace(p, compile=False, precision="32-true")
    if plan.device.type != "cuda":
        mixed = replace(p, precision="bf16-mixed")
        runs = [_run("facial-style", scale, launch(scale)) for scale in (mixed, eager)]
        ours, theirs = rounds([lambda r=r: r.step(1, 1000, feed) for r in runs], plan.device, plan.pick(10.0, 0.2))
        speeds = [p.batch * 1e3 / statistics.median(t) for t in (ours, theirs)]
        yield Row(
            f"training facial-style, preset {p.name}, precision bf16-mixed", "32-true", *speeds, "images/s",
            _better(ours, theirs), note="faster where the processor multiplies bfloat16 itself (AVX512-BF16)",
        )  # fmt: skip
        return
    ceiling = matmul_ceiling(plan.device)
    for name in (n for n, m in METHODS.items() if m.critic is not None):
        runs = [_run(name, scale, launch(scale, "cuda")) for scale in (p, eager)]
        with FlopCounterMode(display=False) as counter:
            runs[1].step(0, 1000, feed)
        for _ in range(3):  # compilation, and its second look at gradients
            runs[0].step(0, 1000, feed)
        ours, theirs = rounds([lambda r=r: r.step(1, 1000, feed) for r in runs], plan.device, plan.pick(10.0, 0.2))
        ratio = _better(ours, theirs)
        use = counter.get_total_flops() / (statistics.median(ours) / 1e3) / ceiling
        speeds = [p.batch * 1e3 / statistics.median(t) for t in (ours, theirs)]
        yield Row(
            f"training step of {name}, bf16, channels_last, compiled", "eager float32", *speeds, "images/s", ratio,
            "3 times", ratio >= 3, note=f"{use:.1%} of the measured bf16 ceiling of {ceiling / 1e12:.0f} TFLOP/s",
        )  # fmt: skip


def matmul_ceiling(device: torch.device, side: int = 8192) -> float:
    """Measured bfloat16 operations a second of one large matrix product, the most there is to reach."""
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    (times,) = rounds([lambda: a @ b], device, 2.0)
    return 2 * side**3 / (min(times) / 1e3)


# --- metrics --------------------------------------------------------------------------------------------------------


def metric_rows(plan: Plan) -> Iterator[Row]:
    """PSNR, SSIM and L1 of many pairs against one scikit-image call for each pair."""
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    for count, size in plan.pick([(500, 64), (50, 256)], [(6, 32)]):
        draw = np.random.default_rng(0)
        true = draw.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        noisy = (true + draw.normal(0, 20, true.shape)).clip(0, 255).astype(np.uint8)
        given = [torch.from_numpy(a).permute(0, 3, 1, 2).to(plan.device) for a in (noisy, true)]

        def ours(pairs: list[Tensor] = given) -> list[Tensor]:
            parts = list(zip(*(x.split(16) for x in pairs), strict=True))
            return [torch.cat([m(*part) for part in parts]) for m in (metrics.psnr, metrics.ssim, metrics.l1)]

        def theirs(a: np.ndarray = noisy, b: np.ndarray = true) -> list[Tensor]:
            found = [
                (
                    peak_signal_noise_ratio(y, x, data_range=255),
                    structural_similarity(
                        x, y, data_range=255, channel_axis=2, gaussian_weights=True, sigma=1.5,
                        use_sample_covariance=False,
                    ),
                    np.abs(x.astype(np.float64) - y).mean() / 255,
                )
                for x, y in zip(a, b, strict=True)
            ]  # fmt: skip
            return list(torch.tensor(found, dtype=torch.float64).T)

        name = f"PSNR, SSIM, L1 of {count} pairs of {size}x{size}"
        error = _difference([x.cpu() for x in ours()], theirs(), name)
        fast, slow = rounds([ours, theirs], plan.device, plan.seconds)
        ratio = _better(fast, slow)
        middle = statistics.median
        yield Row(
            name, "a loop of scikit-image calls", middle(fast), middle(slow), "ms", ratio, "5 times", ratio >= 5, error
        )


# --- inference ------------------------------------------------------------------------------------------------------


def inference(plan: Plan) -> list[dict[str, Any]]:
    """Parameters, FLOPs and latency of one repair by ours and by the two methods with attention, several widths."""
    size = plan.pick(256, 32)
    torch.manual_seed(0)
    ours = plan.pick(
        [(16, {"style_width": 8, "style_ups": 2}), (32, {"style_width": 32, "style_ups": 2}), (32, {}), (64, {})],
        [(4, {})],
    )
    networks = [("facial-style", width, options, FacialStyle(width, **options)) for width, options in ours]
    networks += [("contextual-attention", w, {}, ContextualAttention(w)) for w in plan.pick([8, 32], [4])]
    networks += [("gated-conv", w, {}, GatedConv(w)) for w in plan.pick([12, 48], [4])]
    for *_, network in networks:
        network.to(plan.device).eval().requires_grad_(False)
    given = _inputs(1, size, plan.device)
    times = rounds([lambda g=g: g(*given) for *_, g in networks], plan.device, plan.pick(20.0, 0.2))
    return [
        {
            "method": name, "width": width, "options": options, "size": size, "parameters": count_parameters(network),
            "flops": count_flops(network, size), "ms": statistics.median(t),
        }
        for (name, width, options, network), t in zip(networks, times, strict=True)
    ]  # fmt: skip


def modules(plan: Plan) -> list[dict[str, Any]]:
    """FLOPs and milliseconds of each part of the facial-style generator, one repair, by width."""
    size = plan.pick(256, 32)
    given = _inputs(1, size, plan.device)
    entries = []
    for width, options in plan.pick([(16, {"style_width": 8, "style_ups": 2}), (64, {})], [(4, {})]):
        torch.manual_seed(0)
        network = FacialStyle(width, **options).to(plan.device).eval().requires_grad_(False)
        parts: dict[str, nn.Module] = {"style network": network.style, "encoder": network.encoder}
        parts |= {f"repair module {i + 1}": m for i, m in enumerate(network.repair)} | {"decoder": network.decoder}
        with FlopCounterMode(display=False, depth=None) as counter:
            network(*given)
        counts = counter.get_flop_counts()
        path = {id(m): f"{type(network).__name__}.{n}" for n, m in network.named_modules()}
        spent: dict[str, list[float]] = {name: [] for name in parts}
        for name, part in parts.items():
            _clock(part, spent[name], plan.device)
        (whole,) = rounds([lambda g=network: g(*given)], plan.device, plan.pick(4.0, 0.2))
        flops = {name: sum(counts[path[id(part)]].values()) for name, part in parts.items()}
        ms = {name: statistics.median(times[1:]) for name, times in spent.items()}
        total = sum(counts["Global"].values())
        flops["style pooling and the rest"] = total - sum(flops.values())
        ms["style pooling and the rest"] = statistics.median(whole) - sum(ms.values())
        for name, f in flops.items():
            entries.append(
                {"width": width, "options": options, "module": name, "flops": f, "share": f / total, "ms": ms[name]}
            )
    if not plan.quick:
        # What the claim is about, next to each other: attention between two maps, and normalisation by region.
        features, hole = torch.randn(1, 128, 64, 64, device=plan.device), torch.zeros(1, 1, 64, 64, device=plan.device)
        with FlopCounterMode(display=False) as counter:
            attention(features, features, hole)
        (times,) = rounds([lambda: attention(features, features, hole)], plan.device, 2.0)
        entries.append(
            {"width": 32, "options": {}, "module": "attention of contextual-attention", "share": None,
             "flops": counter.get_total_flops(), "ms": statistics.median(times)}
        )  # fmt: skip
    return entries


def _clock(part: nn.Module, times: list[float], device: torch.device) -> None:
    """Note how long each forward pass of a module takes, in milliseconds."""
    began = [0.0]

    def before(*_: Any) -> None:
        _wait(device)
        began[0] = time.perf_counter()

    def after(*_: Any) -> None:
        _wait(device)
        times.append((time.perf_counter() - began[0]) * 1e3)

    part.register_forward_pre_hook(before)
    part.register_forward_hook(after)


# --- memory ---------------------------------------------------------------------------------------------------------


def memory(what: str, batch: int, width: int, size: int, device: torch.device) -> float:
    """Peak memory of one piece of work in a fresh process.

    Args:
        what: "norm:ours" or "norm:loop": extra memory of region normalisation, in feature maps;
            "training": the whole process during a training step of facial-style, in MiB.
        batch, width, size: of the case.

    Raises:
        BenchError: the process failed, for lack of memory for example.
    """
    call = [sys.executable, __file__, "--probe", what, *map(str, (batch, width, size)), "--device", device.type]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise BenchError(f"measuring the memory of {what} failed ({reason})", "Free some memory")
    return json.loads(done.stdout.splitlines()[-1])


def _probe(what: str, batch: int, width: int, size: int, kind: str) -> None:
    """The other end of :func:`memory`."""
    device = torch.device(kind)
    kind, _, side = what.partition(":")
    if kind == "norm":
        function = {"ours": _ours_norm, "loop": _loop_norm}[side]
        _both_ways(function, *_case(1, 1, 16, 9, device))  # libraries are loaded
        leaves, regions = _case(batch, width, size, 9, device)
        grad = torch.randn_like(leaves[0])
        kept: list[Tensor] = []

        def work() -> None:
            kept.append(out := function(leaves, regions))
            kept.extend(torch.autograd.grad(out, leaves, grad))

        peak, one = _peak_of(work, device), leaves[0].numel() * leaves[0].element_size()
        print(max(0.0, (peak - sum(k.numel() * k.element_size() for k in kept)) / one))
    else:
        scale = preset("gpu", batch=batch, width=width, size=size, precision="32-true", compile=False)
        fabric = launch(scale, device.type)
        _run("facial-style", scale, fabric).step(0, 10, Feed(*_training_set(scale, batch), batch, device=device))
        print(_peak(device) / 2**20)


def _peak_of(work: Callable[[], Any], device: torch.device) -> int:
    """Most bytes that tensors hold at a time during some work, beyond what they held before.

    On a CPU PyTorch's own allocations are added up: what the process holds depends on what else the machine does.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            work()
        profile.export_chrome_trace(str(trace))
        events = [e for e in json.loads(trace.read_text())["traceEvents"] if e.get("name") == "[memory]"]
    events.sort(key=lambda e: e["ts"])
    return max(itertools.accumulate((e["args"]["Bytes"] for e in events), initial=0))


def _peak(device: torch.device) -> int:
    """Most bytes that the process has held so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():  # not getrusage, where a process starts with the peak of the one that started it
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource  # Unix only

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def memory_rows(plan: Plan) -> Iterator[Row]:
    """Peak memory of training at 256."""
    batch, width, size = plan.pick((8, 32, 256), (2, 4, 32))
    peak = memory("training", batch, width, size, plan.device)
    yield Row(
        f"training step of facial-style, width {width}, {size}x{size}, batch {batch}: peak memory of the process",
        "-", peak, None, "MiB", target="12 GiB", met=peak < 12 * 1024,
    )  # fmt: skip


# --- all together ---------------------------------------------------------------------------------------------------

GROUPS: dict[str, Callable[[Plan], Iterator[Row]]] = {
    "region normalisation": region_norm_rows,
    "style pooling": style_pool_rows,
    "generator": generator_rows,
    "training": training_rows,
    "straightforward version": literal_rows,
    "bf16 and compilation": fast_rows,
    "metrics": metric_rows,
    "memory": memory_rows,
}


def bench(device: str = "cpu", *, quick: bool = False, progress: Callable[[str], None] | None = None) -> dict[str, Any]:
    """Measure everything.

    Args:
        device: "cpu" or "cuda".
        quick: tiny sizes and few rounds, to see that it works; its numbers mean nothing.
        progress: told what is measured next.

    Returns:
        a record of kind "bench", ready for JSON.

    Raises:
        BenchError: two sides of a row do not compute the same.
    """
    began = time.monotonic()
    plan = Plan(torch.device(device), quick)
    tell = progress or (lambda _: None)
    rows: list[Row] = []
    for name, group in GROUPS.items():
        tell(name)
        rows += group(plan)
    tell("inference")
    with torch.no_grad():
        repairs, parts = inference(plan), modules(plan)
    return {
        "kind": "bench",
        "version": VERSION,
        "quick": quick,
        "rows": [asdict(row) for row in rows],
        "inference": repairs,
        "claim": "Less computation than attention? "
        + ". ".join(claims([Inference.from_json(entry) for entry in repairs])),
        "modules": parts,
        "threads": torch.get_num_threads(),
        **stamp(time.monotonic() - began, plan.device),
    }


def show(record: dict[str, Any], console: Console) -> None:
    """Print a record as tables."""
    table = Table("what", "against", "ours", "other", "times", "target", title=f"Bench on {record['device']}")
    for row in record["rows"]:
        other = "" if row["other"] is None else f"{row['other']:,.4g}"
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.2f}"
        target = "" if row["target"] is None else f"{row['target']}: {'yes' if row['met'] else 'no'}"
        name = row["name"] + (f" ({row['note']})" if row["note"] else "")
        table.add_row(name, row["against"], f"{row['ours']:,.4g} {row['unit']}", other, ratio, target)
    console.print(table)
    table = Table("generator", "width", "options", "parameters (M)", "GFLOPs", "ms", title="One repair")
    for e in record["inference"]:
        options = ", ".join(f"{k} {v}" for k, v in e["options"].items())
        table.add_row(
            e["method"], str(e["width"]), options, f"{e['parameters'] / 1e6:.2f}", f"{e['flops'] / 1e9:.1f}",
            f"{e['ms']:.1f}",
        )  # fmt: skip
    console.print(table)
    console.print(record["claim"])
    table = Table("module", "width", "GFLOPs", "share", "ms", title="Where the time of a repair goes")
    for e in record["modules"]:
        share = "" if e["share"] is None else f"{e['share']:.0%}"
        table.add_row(e["module"], str(e["width"]), f"{e['flops'] / 1e9:.2f}", share, f"{e['ms']:.1f}")
    console.print(table)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--out", type=Path, help="record to write (JSON)")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that it works")
    parser.add_argument("--probe", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.probe:
        what, *sizes = given.probe
        _probe(what, *map(int, sizes), given.device)
        return
    if given.out is not None and given.out.exists() and not given.out.is_file():
        parser.error(f"{given.out} is not a plain file")
    console = Console(stderr=True)
    record = bench(given.device, quick=given.quick, progress=lambda what: console.print(f"measuring {what} ..."))
    show(record, Console())
    if given.out is not None:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(given.out, record)
        print(given.out)


if __name__ == "__main__":
    main()
