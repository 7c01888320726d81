"""What several tests make: pictures, sets of faces, fresh weights, results records with made-up numbers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from faceinpaint import weights
from faceinpaint.comparison.records import Record
from faceinpaint.data.masks import BIN_NAMES
from faceinpaint.data.sets import FaceSet
from faceinpaint.data.toy import draw
from faceinpaint.presets import preset
from faceinpaint.training.methods import METHODS
from faceinpaint.training.run import Config

NET = {"network": "alexnet", "weights": "alexnet.safetensors", "sha256": "0" * 64, "trained": True}


def colours(height: int = 24, width: int = 20) -> np.ndarray:
    """A picture in which every pixel is different from its neighbours."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 9 % 256, y * 7 % 256, (x + y) * 5 % 256], axis=-1).astype(np.uint8)


def drawn(height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A face, a hole of a box and a line, and the map, cut to any size."""
    image, labels = draw(5, max(height, width, 16))
    hole = np.zeros((height, width), np.uint8)
    hole[height // 4 : height // 2, width // 3 : 2 * width // 3] = 1
    hole[:, width // 5] = 1
    return image[:height, :width].copy(), hole, labels[:height, :width].copy()


def fresh_runs(root: Path) -> Path:
    """Fresh weights: ``ours`` (``parser`` beside it), ``alone`` (without), ``single`` (no map), ``gated`` (blank)."""
    small = preset("smoke", size=64, width=4, style_width=4, parser_width=4, baseline_scale=0.06)
    for name, method, merge in (
        ("ours", "facial-style", "regions"),
        ("parser", "parser", "regions"),
        ("away/alone", "facial-style", "regions"),
        ("away/many", "facial-style", "classes"),
        ("single", "facial-style", "none"),
        ("gated", "gated-conv", "regions"),
    ):
        torch.manual_seed(0)
        config = Config(method, replace(small, start="blank") if name == "gated" else small, merge=merge)
        (root / name).mkdir(parents=True)
        tensors = config.generator().state_dict()
        weights.save(root / name / "generator.safetensors", tensors, {"config": config.to_dict()})
    return root


def face_set(n: int = 5, size: int = 32) -> FaceSet:
    images = np.zeros((n, size, size, 3), np.uint8)
    sha256 = tuple(hashlib.sha256(bytes([i])).hexdigest() for i in range(n))
    return FaceSet(images, images[..., 0], tuple(f"face,{i}" for i in range(n)), sha256, "test faces")


def summary(mean: float, n: int = 12) -> dict[str, Any]:
    return {"mean": mean, "low": mean * 0.9, "high": mean * 1.1, "n": n, "perfect": 0}


def record(key: str, method: str, map: str | None = None, level: float = 20.0, **changes: Any) -> dict[str, Any]:
    """A results record as :func:`faceinpaint.comparison.evaluate.evaluate` lays it out, with made-up numbers."""
    metrics = {name: summary(level / d) for name, d in (("psnr", 1), ("ssim", 25), ("l1", 500), ("lpips", 80))}
    trained = METHODS[method].critic is not None
    training = {
        "config": {"method": method, "seed": 3},
        "data": {"faces": "drawn faces", "holes": "drawn holes", "face_count": 1234, "hole_count": 567},
        "images": 4096, "seconds": 90.0, "device": "CPU, 2 threads", "devices": 1, "backbone": None, "sha256": "0" * 64,
    }  # fmt: skip
    made = {
        "kind": "evaluation", "version": 1, "key": key, "title": METHODS[method].title, "method": method, "map": map,
        "merge": "regions", "preset": "smoke", "size": 64, "training": training if trained else None, "parser": None,
        "test": {"faces": "faces of test", "holes": "holes of test", "pairs": 12, "pairs_sha256": "ab" * 32},
        "parameters": 1_500_000 if trained else 0, "flops": 2_500_000_000 if trained else 0,
        "images": {
            view: {group: {k: v | {"mean": v["mean"] - shift - i / 100} for k, v in metrics.items()}
                   for i, group in enumerate(("all", *BIN_NAMES))}
            for view, shift in (("composited", 0), ("raw", 0.001))
        },
        "sets": {view: {"all": {"fd": 1.25, "kid_between_faces": 0.0125, "n": 12}} for view in ("composited", "raw")},
        "inception": None, "regions": {}, "networks": {"lpips": NET, "distance": NET}, "seconds": 3.0,
        "device": "CPU, 2 threads", "date": "2026-01-02", "versions": {}, "commit": "c0ffee" * 6,
    }  # fmt: skip
    return made | changes


def table_records() -> list[dict[str, Any]]:
    """One of every row of a table."""
    return [
        record("mean-fill", "mean-fill", level=15),
        record("telea", "telea", level=18),
        record("context-encoder", "context-encoder", level=19),
        record("contextual-attention", "contextual-attention"),
        record("gated-conv", "gated-conv", level=21),
        record("facial-style", "facial-style", "true", 22),
        record("facial-style-predicted", "facial-style", "predicted", 21.5),
        record("facial-style-none", "facial-style", None, 21.2),
    ]


def typed(records: list[dict[str, Any]]) -> list[Record]:
    return [Record.from_json(one) for one in records]
