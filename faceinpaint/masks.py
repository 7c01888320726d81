"""What a hole is: a mask with 1 = hole, drawn or read from files; its size bins; and the fixed test pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def composite(output: Tensor, image: Tensor, hole: Tensor) -> Tensor:
    """The repaired photograph: the network's pixels inside the hole, the photograph's own outside.

    Selected, not blended, so that known pixels come back bit for bit and nothing of the network's output
    there, not even a NaN, leaks in.

    Args:
        output: what the generator made, (B, 3, H, W).
        image: the photograph, (B, 3, H, W), same range and type as ``output``.
        hole: hole mask (B, 1, H, W), 1 = hole.

    Returns:
        hole * output + (1 - hole) * image, (B, 3, H, W).
    """
    return torch.where(hole > 0.5, output, image)
