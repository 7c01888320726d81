"""Evaluation: one row of the table = a generator on the fixed test pairs -> one results record (JSON).

The protocol: the same pairs of face and hole for every row; pictures rounded to 8 bits; the headline is the
composited picture (known pixels are the photograph's), the raw output stands beside it; PSNR of each picture, then
the mean; 95% intervals by bootstrap over faces; set distances always with their N.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from faceinpaint import metrics
from faceinpaint.backbones import Backbone
from faceinpaint.comparison.records import (
    VIEWS,
    Distances,
    Groups,
    Map,
    Network,
    Overlap,
    ParserRecord,
    Part,
    Record,
    Region,
    Scores,
    Summary,
    Test,
    Training,
)
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.data.pairs import TestSet, check_pairs
from faceinpaint.errors import CheckpointError, ConfigError, DataError
from faceinpaint.models import composite
from faceinpaint.models.parser import parse
from faceinpaint.models.start import enlarged
from faceinpaint.pixels import from_bytes
from faceinpaint.presets import Preset, preset
from faceinpaint.provenance import stamp
from faceinpaint.regions import REGIONS, merge_classes
from faceinpaint.training.methods import METHODS, PARSER
from faceinpaint.training.run import check_merge, load_generator, load_parser, repairer

PER_IMAGE = ("psnr", "ssim", "l1", "lpips", "psnr_hole", "l1_hole")
"""Measured on each picture, composited and raw; the last two on hole pixels only."""

PER_FACE = ("psnr", "ssim", "lpips")
"""Kept for each face, so that rows can be compared face by face."""


@dataclass(frozen=True)
class Row:
    """One row to evaluate: a generator, and where it comes from.

    Attributes:
        key: short unique name; the record is called so.
        title: in the table.
        method: of :data:`faceinpaint.training.methods.METHODS`.
        generator: maps (image, hole, regions) to an Output.
        preset: gives size and name.
        enlarged: generator and parser see the pictures at half the size, and the repair is enlarged
            (:func:`faceinpaint.models.start.enlarged`).
        merge: how classes become regions for this generator.
        map: where parsing maps come from: "true" (an oracle, as in the patent), "predicted", or None if unused.
        about: training record of the weights (the JSON beside them), None for methods without training.
        parser: supplies the map where that is "predicted". parser_about: training record of its weights.
    """

    key: str
    title: str
    method: str
    generator: Callable[[Tensor, Tensor, Tensor], Any]
    preset: Preset
    merge: str = "regions"
    map: Map | None = None
    about: dict[str, Any] | None = None
    parser: nn.Module | None = None
    parser_about: dict[str, Any] | None = None
    enlarged: bool = False

    @property
    def side(self) -> int:
        """Of the pictures that its networks see."""
        return self.preset.size // 2 if self.enlarged else self.preset.size


def row_of(
    run: str, key: str, scale: str | None = None, parser: str | Path | None = None, enlarged: bool = False
) -> tuple[Row, int]:
    """The row of a fill that learns nothing, or of a trained generator, and the seed that goes with it.

    Args:
        run: "mean-fill", "telea" or another fill; or the weights of a generator, or of a parser.
        key: of the record; that of a fill is its name.
        scale: name of a preset, for a fill; a run has its own.
        parser: weights of a parser: measure with the map that it predicts, not with the true one.
        enlarged: measure a run on pictures of twice its size, its repairs enlarged.

    Raises:
        ConfigError: preset, parser or enlarging do not go with it.
        CheckpointError: the weights cannot be used.
    """
    fill = METHODS.get(run)
    if fill is not None and not fill.trained:
        if parser is not None:
            raise ConfigError(f"{run} looks at no parsing map", "Leave --parser out")
        if enlarged:
            raise ConfigError(f"{run} has no size of its own", "Leave --enlarged out")
        return Row(run, fill.title, run, fill.generator(), preset(scale or "smoke")), 0
    if scale is not None:
        raise ConfigError("a run is measured at the preset that it was trained with", "Leave --preset out", run)
    network, config, about = load_generator(run)
    if config.method == PARSER.name:
        if parser is not None or enlarged:
            raise ConfigError("a parser is measured by its maps alone", "Leave --parser and --enlarged out", run)
        return Row(key, PARSER.title, PARSER.name, network, config.preset, config.merge, about=about), config.seed
    chosen = repairer(config, run)
    guess: tuple[Any, Any] = (None, None)
    if parser is not None:
        if not config.reads_map:
            raise ConfigError("these weights look at no parsing map", "Leave --parser out", run)
        tool, how, told = load_parser(parser)
        check_merge(how, config, parser)
        guess = tool, told
    seen: Map | None = ("predicted" if parser else "true") if config.reads_map else None
    title, at = chosen.title, config.preset
    if enlarged:
        title, at = f"{title}, {at.size} enlarged", replace(at, size=2 * at.size)
    row = Row(key, title, chosen.name, network, at, config.merge, seen, about, *guess, enlarged=enlarged)
    return row, config.seed


def measure(row: Row, test: TestSet, **how: Any) -> Record | ParserRecord:
    """What :func:`row_of` names: a generator or a fill by its repairs (:func:`evaluate`), a parser by its maps."""
    if row.method != PARSER.name:
        return evaluate(row, test, **how)
    assert isinstance(row.generator, nn.Module)
    assert row.about is not None  # a parser is trained
    here = {name: value for name, value in how.items() if name in ("batch", "device", "progress")}
    return evaluate_parser(row.generator, row.about, test, **here)


def count_parameters(network: nn.Module) -> int:
    """Number of learned numbers."""
    return sum(p.numel() for p in network.parameters())


@torch.no_grad()
def count_flops(generator: nn.Module, size: int) -> int:
    """Floating point operations of one repair, batch 1: twice the multiply-adds of convolutions and products."""
    from torch.utils.flop_counter import FlopCounterMode

    device = next(iter(generator.parameters()), torch.empty(0)).device
    image, hole = torch.zeros(1, 3, size, size, device=device), torch.zeros(1, 1, size, size, device=device)
    hole[..., size // 4 : size // 2, size // 4 : size // 2] = 1
    with FlopCounterMode(display=False) as counter:
        generator(image, hole, torch.ones(1, size, size, dtype=torch.uint8, device=device))
    return counter.get_total_flops()


@torch.no_grad()
def evaluate(
    row: Row, test: TestSet, *, lpips: Backbone, features: Backbone, inception: str | Path | None = None,
    batch: int = 16, device: str | torch.device = "cpu", progress: Callable[[int, str], None] | None = None,
) -> Record:  # fmt: skip
    """Measure one row.

    Args:
        row: what to measure.
        test: on what.
        lpips: frozen network with LPIPS heads; if its weights are random, that column stays empty.
        features: frozen network of the Fréchet and kernel distances.
        inception: clean-fid's Inception file; with it the record also holds FID and KID proper.
        batch: pictures at a time.
        device: where the networks run.
        progress: told how many pairs more are done.

    Returns:
        the results record.

    Raises:
        DataError: faces and holes are not those of the pairs, or there are fewer than two pairs.
        CheckpointError: the generator gives values that are not finite.
    """
    began = time.monotonic()
    places = check_pairs(test.pairs, test.faces, test.holes)
    if len(places) < 2:
        raise DataError("set distances need at least two pairs", "Give a longer list of pairs")
    for network in (row.generator, row.parser):
        if isinstance(network, nn.Module):
            network.to(device)
    lpips, features = lpips.to(device), features.to(device)
    with tempfile.TemporaryDirectory(prefix="faceinpaint-") as folder:
        seen = _Seen(lpips if lpips.trained and len(lpips.heads) else None, features, folder if inception else None)
        for start in range(0, len(places), batch):
            chosen = places[start : start + batch]
            image, hole, labels = _pictures(test, chosen, device)
            seen.take(start, image, _repaired(row, image, hole, labels), hole, labels)
            if progress:
                progress(len(chosen), "")
        scores = _inception_scores(Path(folder), Path(inception), device) if inception else None
    bins = np.array([BIN_NAMES.index(p.bin) for p in test.pairs])
    groups = {"all": np.ones(len(bins), bool)} | {name: bins == i for i, name in enumerate(BIN_NAMES)}
    shown = np.array([face for face, _ in places])
    generator = row.generator if isinstance(row.generator, nn.Module) else None
    return Record(
        key=row.key, title=row.title, method=row.method, map=row.map, merge=row.merge, preset=row.preset.name,
        size=row.preset.size,
        training=None if row.about is None else Training.from_json(row.about, "training"),
        parser=None if row.parser_about is None else Training.from_json(row.parser_about, "parser"),
        test=Test(**test.about()),
        parameters=count_parameters(generator) if generator is not None else None,
        flops=count_flops(generator, row.side) if generator is not None else None,
        images=seen.images(groups, shown), faces=seen.by_face([p.face_id for p in test.pairs]),
        sets=seen.sets(groups, shown), inception=scores, regions=seen.regions(),
        networks={
            "lpips": Network.from_json(lpips.record()) if seen.lpips is not None else None,
            "distance": Network.from_json(features.record()),
        },
        **stamp(time.monotonic() - began, device),
    )  # fmt: skip


def _repaired(row: Row, image: Tensor, hole: Tensor, labels: Tensor) -> Tensor:
    """What the row's generator makes of a batch, raw.

    Raises:
        CheckpointError: it is not finite.
    """
    if row.enlarged:
        half, coarse = replace(row, enlarged=False), labels[..., ::2, ::2]
        return enlarged(lambda small, gap: _repaired(half, small, gap, coarse), image, hole)
    regions = merge_classes(labels, row.merge)
    if row.map == "predicted":
        assert row.parser is not None  # a row whose map is predicted has a parser
        regions = parse(row.parser, image, hole)
    raw = row.generator(image, hole, regions).image.to(image.dtype)
    if not raw.isfinite().all():
        raise CheckpointError(f"the generator of {row.key} gives values that are not finite", "Train it again")
    return raw


class _Seen:
    """What is noted of each batch of pictures, and what a record says of all of them.

    Args:
        lpips, features: see :func:`evaluate`; no LPIPS if None.
        folder: receives the pictures as PNG files, for clean-fid; None for none.
    """

    def __init__(self, lpips: Backbone | None, features: Backbone, folder: str | None) -> None:
        self.lpips, self.features, self.folder = lpips, features, folder
        self.per_image: dict[str, list[Tensor]] = {f"{view}.{name}": [] for view in VIEWS for name in PER_IMAGE}
        self.of_sets: dict[str, list[Tensor]] = {name: [] for name in ("true", *VIEWS)}
        self.errors, self.counts = np.zeros(len(REGIONS) + 1), np.zeros(len(REGIONS) + 1)

    def take(self, start: int, image: Tensor, raw: Tensor, hole: Tensor, labels: Tensor) -> None:
        """Note a batch: photographs, what the generator made of them, holes and class ids."""
        true = metrics.quantise(image)
        views = {"composited": metrics.quantise(composite(raw, image, hole)), "raw": metrics.quantise(raw)}
        for view, picture in views.items():
            values = {
                "psnr": metrics.psnr(picture, true),
                "ssim": metrics.ssim(picture, true),
                "l1": metrics.l1(picture, true),
                "psnr_hole": metrics.psnr(picture, true, hole),
                "l1_hole": metrics.l1(picture, true, hole),
            }
            if self.lpips is not None:
                values["lpips"] = metrics.lpips(picture, true, self.lpips)
            for name, value in values.items():
                self.per_image[f"{view}.{name}"].append(value.cpu())
        for name, picture in {"true": true, **views}.items():
            self.of_sets[name].append(metrics.frechet_features(picture, self.features).cpu())
            if self.folder is not None:
                _save_pictures(Path(self.folder) / name, start, picture)
        error = (views["composited"] - true).abs().mean(1).flatten().cpu().numpy() / 255
        region = merge_classes(labels).flatten().cpu().numpy()
        inside = hole.flatten().cpu().numpy() > 0.5
        self.errors += np.bincount(region[inside], error[inside], len(self.errors))
        self.counts += np.bincount(region[inside], minlength=len(self.counts))

    def _column(self, view: str, name: str) -> np.ndarray | None:
        held = self.per_image[f"{view}.{name}"]
        return torch.cat(held).numpy() if held else None

    def images(self, groups: dict[str, np.ndarray], shown: np.ndarray) -> dict[str, Groups]:
        """Each metric by view and group; ``shown`` tells which face each pair shows."""
        columns = {(view, name): self._column(view, name) for view in VIEWS for name in PER_IMAGE}
        return {
            view: {
                group: {
                    name: _summary(column[rows], shown[rows])
                    for name in PER_IMAGE
                    if (column := columns[view, name]) is not None
                }
                for group, rows in groups.items()
                if rows.any()
            }
            for view in VIEWS
        }

    def by_face(self, ids: Sequence[str]) -> dict[str, tuple[float | None, ...]]:
        """Means of composited output for each face."""
        columns = {name: self._column("composited", name) for name in PER_FACE}
        return {name: _by_face(column, ids) for name, column in columns.items() if column is not None}

    def sets(self, groups: dict[str, np.ndarray], shown: np.ndarray) -> dict[str, dict[str, Distances]]:
        """Distances between repaired and true pictures by view and group."""
        stacked = {name: torch.cat(v).double().numpy() for name, v in self.of_sets.items()}
        return {
            view: {
                group: _distances(stacked[view][rows], stacked["true"][rows], shown[rows])
                for group, rows in groups.items()
                if rows.sum() > 1
            }
            for view in VIEWS
        }

    def regions(self) -> dict[str, Region]:
        """Error of hole pixels by region."""
        return {
            name: Region(float(error / count) if count else None, int(count))
            for name, error, count in zip(("other", *REGIONS), self.errors, self.counts, strict=True)
        }


def _inception_scores(folder: Path, inception: Path, device: str | torch.device) -> dict[str, Scores]:
    """FID and KID of the pictures saved there, by view."""
    scores = {}
    for view in VIEWS:
        found = metrics.fid_cleanfid(folder / view, folder / "true", inception, device=device)
        scores[view] = Scores(found.fid, found.kid, found.count_a, found.sha256, found.published)
    return scores


class Confusion:
    """How often which region (0 = other) is taken for which; true ones down, guessed ones across."""

    def __init__(self) -> None:
        self.table = np.zeros((len(REGIONS) + 1,) * 2, np.int64)

    def add(self, true: Tensor, guess: Tensor, where: Tensor) -> None:
        """Count two maps (B, H, W), where a mask (B, H, W) says."""
        size = len(self.table)
        both = (true.long() * size + guess.long())[where.bool()].cpu().numpy()
        self.table += np.bincount(both, minlength=size**2).reshape(size, size)

    def overlap(self) -> Overlap:
        """What both have in common, of what either holds."""
        union = self.table.sum(0) + self.table.sum(1) - np.diag(self.table)
        names = ("other", *REGIONS)
        each = {name: float(self.table[i, i] / union[i]) for i, name in enumerate(names) if union[i]}
        shares = [each[name] for name in REGIONS if name in each]
        mean = float(np.mean(shares)) if shares else None
        return Overlap(mean, float(np.trace(self.table) / self.table.sum()), each)


@torch.no_grad()
def evaluate_parser(
    parser: nn.Module, about: dict[str, Any], test: TestSet, *,
    batch: int = 32, device: str | torch.device = "cpu", progress: Callable[[int, str], None] | None = None,
) -> ParserRecord:  # fmt: skip
    """How well the parser guesses: intersection over union of each region, over known and over hole pixels.

    Args:
        parser: trained parser.
        about: training record of its weights.
        test: the fixed pairs.
        batch: pictures at a time.
        device: where it runs.
        progress: told how many pairs more are done.

    Returns:
        its record.

    Raises:
        ConfigError: it guesses other regions than the eight.
    """
    began = time.monotonic()
    if (merge := about.get("config", {}).get("merge", "regions")) != "regions":
        raise ConfigError(f"this parser guesses {merge}", "Name one that was trained with merge=regions")
    parser.to(device)
    confusion: dict[Part, Confusion] = {part: Confusion() for part in get_args(Part)}
    places = check_pairs(test.pairs, test.faces, test.holes)
    for start in range(0, len(places), batch):
        image, hole, labels = _pictures(test, places[start : start + batch], device)
        true, guess, inside = merge_classes(labels), parse(parser, image, hole), hole[:, 0] > 0.5
        confusion["known"].add(true, guess, ~inside)
        confusion["hole"].add(true, guess, inside)
        if progress:
            progress(len(hole), "")
    iou = {part: counted.overlap() for part, counted in confusion.items()}
    return ParserRecord(
        training=Training.from_json(about), iou=iou, test=Test(**test.about()), parameters=count_parameters(parser),
        **stamp(time.monotonic() - began, device),
    )  # fmt: skip


def _pictures(
    test: TestSet, chosen: Sequence[tuple[int, int]], device: str | torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Images (B, 3, S, S) in [-1, 1], hole masks (B, 1, S, S) and class ids (B, S, S) of some pairs."""
    image, labels, hole = (
        torch.from_numpy(np.stack(arrays)).to(device)
        for arrays in (
            [test.faces.images[f] for f, _ in chosen],
            [test.faces.labels[f] for f, _ in chosen],
            [test.holes.holes[h] for _, h in chosen],
        )
    )
    return from_bytes(image.permute(0, 3, 1, 2)), hole[:, None].float(), labels


def _summary(values: np.ndarray, faces: np.ndarray) -> Summary:
    """Mean over pairs, and its 95% interval over faces: the pairs of one face are not independent of each other.

    Pictures repaired without any error (infinite PSNR) are counted, not averaged.

    Args:
        values: one value for each pair.
        faces: which face each pair shows, small integers.
    """
    finite = np.isfinite(values)
    count, perfect = int(finite.sum()), int(np.isposinf(values).sum())
    if not count:
        return Summary(count, perfect, None, None, None)
    counts = np.bincount(faces[finite])
    per_face = np.bincount(faces[finite], values[finite])[counts > 0] / counts[counts > 0]
    low, high = metrics.bootstrap_interval(per_face, counts=counts[counts > 0])
    return Summary(count, perfect, float(values[finite].mean()), float(low), float(high))


def _by_face(values: np.ndarray, ids: Sequence[str]) -> tuple[float | None, ...]:
    """Mean over the pairs of each face, in the order of the ids; None where no value is finite.

    Two rows of one test are compared face by face: what makes a face hard for both cancels in the difference.
    """
    of: dict[str, list[float]] = {face: [] for face in sorted(set(ids))}
    for face, value in zip(ids, values, strict=True):
        if np.isfinite(value):
            of[face].append(float(value))
    return tuple(round(float(np.mean(found)), 5) if found else None for found in of.values())


def _distances(repaired: np.ndarray, true: np.ndarray, faces: np.ndarray) -> Distances:
    stats = [metrics.FeatureStats().update(x) for x in (repaired, true)]
    several = len(set(faces)) > 1
    between = metrics.kid(repaired, true, shows=faces) if several else None
    return Distances(metrics.frechet_distance(*stats), len(true), between)


def _save_pictures(folder: Path, start: int, pictures: Tensor) -> None:
    folder.mkdir(exist_ok=True)
    for i, picture in enumerate(pictures.byte().permute(0, 2, 3, 1).cpu().numpy()):
        Image.fromarray(picture).save(folder / f"{start + i:06d}.png")
