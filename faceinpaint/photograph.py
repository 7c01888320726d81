"""Repair one photograph: what a user calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from faceinpaint.errors import DataError
from faceinpaint.evaluate import load_generator, repairer
from faceinpaint.regions import merge_classes, to_official


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
        DataError: an array is not of the stated shape, type or range, or a parsing map is needed and missing.
        CheckpointError: the weights cannot be used.
    """
    generator, config, _ = load_generator(weights)
    size = config.preset.size
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or not photo.size:
        raise DataError(f"the photograph is {photo.shape} {photo.dtype}", "Give (H, W, 3) uint8 RGB")
    for name, other in (("hole mask", hole), ("parsing map", parsing)):
        if other is not None and other.shape != photo.shape[:2]:
            raise DataError(f"the {name} is {other.shape}, the photograph {photo.shape[:2]}", "Give both the same size")
    if parsing is None:
        if repairer(config, weights).uses_map and config.merge != "none":
            raise DataError(
                "this generator looks at a parsing map, and none is given", "Give a parsing map of the face"
            )
        parsing = np.zeros(photo.shape[:2], np.uint8)
    if hole.dtype.kind == "f" and not np.isfinite(hole).all():
        raise DataError("the hole mask holds values that are not numbers", "Give 0 for known, 1 for hole")
    if parsing.dtype.kind not in "iu":
        raise DataError(f"the parsing map is {parsing.dtype}", "Give whole numbers, one class id per pixel")
    parsing = to_official(parsing, "celebamask-hq")  # refuses what is no class id
    known = (hole == 0).astype(np.float32)
    # Any hole pixel makes its small pixel a hole: what the generator takes for known must be known. And what lies
    # under the hole, be it scratch or marker, must not bleed into its surroundings: a mean over known pixels alone.
    small_hole = _resize(1 - known, size, Image.Resampling.BOX) > 0
    share = _resize(known, size, Image.Resampling.LANCZOS)
    channels = [_resize(photo[..., c] * known, size, Image.Resampling.LANCZOS) for c in range(3)]
    small = np.where(small_hole, 0, np.stack(channels) / np.where(small_hole, 1, share))
    small_map = np.asarray(Image.fromarray(parsing).resize((size, size), Image.Resampling.NEAREST))
    image = torch.from_numpy(small.astype(np.float32)).clamp(0, 255)[None] / 127.5 - 1
    with torch.no_grad():
        out = generator.to(device)(
            image.to(device),
            torch.from_numpy(small_hole)[None, None].float().to(device),
            torch.from_numpy(merge_classes(small_map, config.merge))[None].to(device),
        ).image[0]
    pixels = ((out.float().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    large = np.asarray(Image.fromarray(pixels).resize(photo.shape[1::-1], Image.Resampling.BICUBIC))
    return np.where(known[..., None] == 0, large, photo)


def _resize(plane: np.ndarray, size: int, method: Image.Resampling) -> np.ndarray:
    """One plane of float32 (H, W) -> (size, size), antialiased."""
    return np.asarray(Image.fromarray(plane.astype(np.float32)).resize((size, size), method))
