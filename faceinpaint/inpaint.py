"""Repair one photograph: what a user calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from faceinpaint.errors import DataError
from faceinpaint.evaluate import load_generator
from faceinpaint.methods import METHODS
from faceinpaint.regions import merge_classes


def inpaint(
    photo: np.ndarray, hole: np.ndarray, parsing: np.ndarray | None = None, *, weights: str | Path,
    device: str | torch.device = "cpu",
) -> np.ndarray:  # fmt: skip
    """Fill the hole of a photograph of one face.

    The photograph is brought to the size that the generator knows, repaired, and the repaired hole is brought back
    to full size. Known pixels are returned as they are, bit for bit.

    Args:
        photo: (H, W, 3) uint8 RGB, the face filling most of it.
        hole: (H, W), nonzero = hole.
        parsing: (H, W) official class ids 0..18; needed by generators that look at a map.
        weights: ``generator.safetensors`` or the folder of its run.
        device: where the generator runs.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DataError: sizes differ, or a parsing map is needed and missing.
        CheckpointError: the weights cannot be used.
    """
    generator, config, _ = load_generator(weights)
    size = config.preset.size
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise DataError(f"the photograph is {photo.shape} {photo.dtype}", "Give (H, W, 3) uint8 RGB")
    for name, other in (("hole mask", hole), ("parsing map", parsing)):
        if other is not None and other.shape != photo.shape[:2]:
            raise DataError(f"the {name} is {other.shape}, the photograph {photo.shape[:2]}", "Give both the same size")
    if parsing is None:
        if METHODS[config.method].uses_map and config.merge != "none":
            raise DataError(
                "this generator looks at a parsing map, and none is given", "Give a parsing map of the face"
            )
        parsing = np.zeros(photo.shape[:2], np.uint8)
    hole = (hole != 0).astype(np.uint8)
    small = Image.fromarray(photo).resize((size, size), Image.Resampling.LANCZOS)
    # Any hole pixel makes its small pixel a hole: what the generator takes for known must be known.
    small_hole = np.asarray(Image.fromarray(hole * 255).resize((size, size), Image.Resampling.BOX)) > 0
    small_map = np.asarray(Image.fromarray(parsing.astype(np.uint8)).resize((size, size), Image.Resampling.NEAREST))
    image = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.no_grad():
        out = generator.to(device)(
            image.to(device),
            torch.from_numpy(small_hole)[None, None].float().to(device),
            torch.from_numpy(merge_classes(small_map, config.merge))[None].to(device),
        ).image[0]
    pixels = ((out.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    large = np.asarray(Image.fromarray(pixels).resize(photo.shape[1::-1], Image.Resampling.BICUBIC))
    return np.where(hole[..., None] > 0, large, photo)
