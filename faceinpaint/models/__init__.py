"""The systems of the comparison table, one file each; every generator is called the same way."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from faceinpaint.errors import DataError


class Output(NamedTuple):
    """What every generator returns.

    Attributes:
        image: repaired photograph (B, 3, H, W) in [-1, 1], raw: known pixels are the network's too. (The parser's:
            scores of regions.)
        coarse: first-stage result of the same shape for two-stage methods, else None.
        structure: lines of the face (B, 1, H, W) in [0, 1] where the first stage draws those, else None.

    >>> Output(torch.zeros(1, 3, 4, 4)).coarse is None
    True
    """

    image: Tensor
    coarse: Tensor | None = None
    structure: Tensor | None = None


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

    >>> composite(torch.ones(1, 1, 1, 2), torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]]))
    tensor([[[[1., 0.]]]])
    """
    return torch.where(hole > 0.5, output, image)


def check_halvings(image: Tensor, times: int, least: int = 1) -> None:
    """Refuse pictures that a network cannot halve as often as it does.

    Args:
        image: (B, C, H, W).
        times: how often both sides are halved.
        least: how many pixels must be left then.

    Raises:
        DataError: a side is not a multiple of 2^times, or fewer pixels are left.

    >>> check_halvings(torch.zeros(1, 3, 64, 64), times=4)
    """
    height, width = image.shape[-2:]
    step = 2**times
    if height % step or width % step:
        raise DataError(
            f"a picture of {height}x{width} cannot be halved {times} times", f"Use sides divisible by {step}"
        )
    if height * width < least * step**2:
        raise DataError(
            f"a picture of {height}x{width} is too small to be halved {times} times", f"Use sides from {2 * step} up"
        )
