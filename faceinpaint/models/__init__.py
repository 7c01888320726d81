"""The systems of the comparison table, one file each; every generator is called the same way."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from faceinpaint.errors import DataError


class Output(NamedTuple):
    """What every generator returns.

    Attributes:
        image: repaired photograph (B, 3, H, W) in [-1, 1], raw: known pixels are the network's too. (The parser's:
            scores of regions.)
        coarse: first-stage result of the same shape for two-stage methods, else None.
    """

    image: Tensor
    coarse: Tensor | None = None


def check_halvings(image: Tensor, times: int, least: int = 1) -> None:
    """Refuse pictures that a network cannot halve as often as it does.

    Args:
        image: (B, C, H, W).
        times: how often both sides are halved.
        least: how many pixels must be left then.

    Raises:
        DataError: a side is not a multiple of 2^times, or fewer pixels are left.
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
