"""Three fills that learn nothing: what every method of the table has to better."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from faceinpaint.models import Output
from faceinpaint.models.start import membrane
from faceinpaint.pixels import from_bytes, to_bytes


class MeanFill(nn.Module):
    """Fill the hole with the mean colour of the photograph's known pixels (grey if none is known).

    >>> image, hole = torch.ones(1, 3, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    >>> MeanFill()(image, hole).image[0, 0]
    tensor([[1., 1.]])
    """

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Image (B, 3, H, W) in [-1, 1] and hole mask (B, 1, H, W), 1 = hole -> the filled image."""
        known = 1 - hole
        colour = (image * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
        return Output(image * known + colour * hole)


class Membrane(nn.Module):
    """Fill the hole with the smoothest surface through the known pixels: each one the mean of its neighbours.

    >>> image, hole = torch.ones(1, 3, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
    >>> Membrane()(image, hole).image[0, 0]
    tensor([[1., 1.]])
    """

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Image (B, 3, H, W) in [-1, 1] and hole mask (B, 1, H, W), 1 = hole -> the filled image."""
        return Output(membrane(image, hole))


class Telea(nn.Module):
    """Fill the hole from its edge inwards with OpenCV's fast marching method (Telea, 2004).

    Args:
        radius: neighbourhood that each filled pixel is averaged from, in pixels.

    >>> image, hole = torch.ones(1, 3, 8, 8), torch.zeros(1, 1, 8, 8)
    >>> hole[..., 4, 4] = 1
    >>> Telea()(image, hole).image.min()
    tensor(1.)
    """

    def __init__(self, radius: float = 3.0) -> None:
        super().__init__()
        self.radius = radius

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Image (B, 3, H, W) in [-1, 1] and hole mask (B, 1, H, W), 1 = hole -> the filled image, 8 bits deep."""
        import cv2  # only this row needs it

        pixels = to_bytes(image.permute(0, 2, 3, 1)).cpu().numpy()
        holes = (hole[:, 0] > 0.5).byte().cpu().numpy()
        filled = [
            cv2.inpaint(p, h, self.radius, cv2.INPAINT_TELEA) if not h.all() else np.full_like(p, 128)
            for p, h in zip(pixels * (1 - holes[..., None]), holes, strict=True)
        ]
        out = torch.from_numpy(np.stack(filled)).to(image.device).permute(0, 3, 1, 2)
        return Output(from_bytes(out.to(image.dtype)))
