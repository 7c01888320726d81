"""Colour values: what networks compute with, in [-1, 1], and what picture files hold, 0 to 255."""

from __future__ import annotations

import torch
from torch import Tensor

HALF = 127.5
"""Of the range of a sample of 8 bits."""


def from_bytes(pixels: Tensor) -> Tensor:
    """Samples 0..255 of any type and shape -> float in [-1, 1]: float32 of whole numbers, else of the same type.

    >>> from_bytes(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    kind = pixels.dtype if pixels.is_floating_point() else torch.float32
    return pixels.to(kind, copy=True).div_(HALF).sub_(1)


def quantise(image: Tensor) -> Tensor:
    """From [-1, 1] to whole numbers 0..255 as float32, what a picture file would hold.

    >>> quantise(torch.tensor([-2.0, -1.0, 0.0, 1.0]))
    tensor([  0.,   0., 128., 255.])
    """
    return ((image.float() + 1) * HALF).round().clamp(0, 255)


def to_bytes(image: Tensor) -> Tensor:
    """The same as uint8.

    >>> to_bytes(torch.tensor([-1.0, 1.0]))
    tensor([  0, 255], dtype=torch.uint8)
    """
    return quantise(image).byte()
