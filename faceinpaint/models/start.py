"""The start: what the hole of a face holds before a network looks at it.

The patent gives its networks a face with nothing in the hole. They must then invent the hole's colours as well as its
content, and their normalisations must carry the colours of the whole picture. A network that is given a smooth fill
instead begins where the classical repair ends: its output is *added* to the fill, and nothing that it does not change
can be worse than that.

A start stands in front of a network, not inside one (:class:`Started`), so every method can be trained from any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.errors import ConfigError
from faceinpaint.models import Output, composite
from faceinpaint.models.parser import parse

STARTS = ("blank", "mean", "membrane", "smaller")
"""What the hole may hold: nothing (the patent; a network then does what its paper says); the Context Encoder's colour;
the smoothest surface through the known pixels; or the repair of a smaller network, enlarged."""

MEAN_COLOUR = (2 * 117 / 255 - 1, 2 * 104 / 255 - 1, 2 * 123 / 255 - 1)
"""RGB (117, 104, 123) of 255, in [-1, 1]: what the Context Encoder's paper puts into the hole."""

RELAXATIONS = 16
"""Of the membrane, at each resolution. The coarser ones have settled what is far from the edge by then."""

SPECTRUM = 0.985
"""Largest eigenvalue of a relaxation that its acceleration counts on: that of a hole some 18 pixels wide."""


NAME_IT = "Name a trained one of half the size: faceinpaint train ... --smaller RUN_OR_WEIGHTS"
"""What to do where start ``smaller`` has none."""


def membrane(image: Tensor, hole: Tensor, relaxations: int = RELAXATIONS) -> Tensor:
    """Fill the hole with the smoothest surface through what is known: each pixel the mean of its four neighbours.

    A membrane clamped at the known pixels obeys Laplace's equation in the hole. It is found from coarse to fine: the
    picture is halved until one pixel is left (a coarse pixel is the mean of its known ones), then doubled again, known
    pixels put back, and the rest relaxed a few times at each size, each relaxation pushed on by the last one
    (Chebyshev's acceleration). A pixel at the border of the picture has fewer neighbours (no flow across the border).

    Differentiable, for any batch, size and device.

    Args:
        image: (B, C, H, W), any values; what lies under the hole is not looked at.
        hole: (B, 1, H, W), 1 = hole.
        relaxations: at each resolution, at least 1; more are nearer to Laplace's equation.

    Returns:
        (B, C, H, W): known pixels as they were; zero in the hole if nothing is known.

    >>> image = torch.tensor([[[[0.0, 9.0, 9.0, 3.0]]]])
    >>> membrane(image, torch.tensor([[[[0.0, 1.0, 1.0, 0.0]]]])).round(decimals=1)
    tensor([[[[0., 1., 2., 3.]]]])
    """
    known = 1 - hole
    return _fill(torch.where(hole > 0, 0, image), known, relaxations)


def _fill(values: Tensor, known: Tensor, relaxations: int) -> Tensor:
    """The membrane of ``values``, which are zero where ``known`` is 0."""
    height, width = values.shape[-2:]
    if height == width == 1:
        return values
    coarse = _fill(*_halved(values, known), relaxations)
    unknown = 1 - known
    before = values + unknown * F.interpolate(coarse, scale_factor=2.0, mode="bilinear")[..., :height, :width]
    filled = values + unknown * _mean_of_neighbours(before)
    push = 1 / (1 - SPECTRUM**2 / 2)
    for _ in range(relaxations - 1):
        pushed = before + push * (_mean_of_neighbours(filled) - before)
        filled, before = values + unknown * pushed, filled
        push = 1 / (1 - SPECTRUM**2 * push / 4)
    return filled


def _halved(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Half the size: each pixel the mean of its known ones, and known if one of the four is."""
    height, width = values.shape[-2:]
    odd = (0, width % 2, 0, height % 2)
    share = F.avg_pool2d(F.pad(known, odd), 2)
    coarse = F.avg_pool2d(F.pad(values, odd), 2) / share.clamp(min=0.25)  # one of four is the least that is known
    return coarse, (share > 0).to(values.dtype)


def _mean_of_neighbours(x: Tensor) -> Tensor:
    around = F.pad(x, (1, 1, 1, 1), mode="replicate")  # beyond the border stands the pixel itself
    if torch.compiler.is_exporting():  # one step of the graph in place of a dozen; on a CPU it is slower than these
        cross = x.new_tensor([[0.0, 0.25, 0.0], [0.25, 0.0, 0.25], [0.0, 0.25, 0.0]])
        return F.conv2d(around, cross.expand(x.shape[1], 1, 3, 3), groups=x.shape[1])
    rows, columns = around[..., 1:-1], around[..., 1:-1, :]
    return (rows[..., :-2, :] + rows[..., 2:, :] + columns[..., :-2] + columns[..., 2:]) / 4


def enlarged(repair: Callable[[Tensor, Tensor], Tensor], image: Tensor, hole: Tensor) -> Tensor:
    """A repair made at half the size, enlarged so that it meets the known pixels without a seam.

    Photograph and hole are halved: a coarse pixel is the mean of its known pixels, and a hole only where all four are.
    What is repaired there is enlarged (bilinear). By how much it misses the known pixels at full size is spread over
    the hole by the membrane, and added.

    Args:
        repair: given a photograph (B, 3, H/2, W/2) and its hole (B, 1, H/2, W/2), the repaired photograph, raw.
        image: (B, 3, H, W) in [-1, 1], H and W even; what lies under the hole is not looked at.
        hole: (B, 1, H, W), 1 = hole.

    Returns:
        (B, 3, H, W): known pixels as they were.

    >>> image, hole = torch.full((1, 3, 8, 8), 0.5), torch.zeros(1, 1, 8, 8)
    >>> hole[..., 2:6, 2:6] = 1
    >>> enlarged(lambda small, gap: torch.full_like(small, 0.5), image, hole).unique()
    tensor([0.5000])
    """
    small, seen = _halved(torch.where(hole > 0, 0, image), 1 - hole)
    gap = 1 - seen
    painted = composite(repair(small, gap), small, gap)
    fine = F.interpolate(painted, scale_factor=2.0, mode="bilinear")
    return torch.where(hole > 0, fine + membrane(image - fine, hole), image)


class Smaller(nn.Module):
    """A trained generator of half the size, frozen, which is called like one of the whole size: its repair, enlarged.

    It sees the damaged photograph alone: the map that it reads is guessed by its own parser.

    Args:
        network: the generator, with its own start in front of it.
        parser: guesses its map; None where it reads none.

    >>> smaller = Smaller(Started(nn.Identity(), "mean"))
    >>> smaller.training, smaller.train().training
    (False, False)
    """

    def __init__(self, network: nn.Module, parser: nn.Module | None = None) -> None:
        super().__init__()
        self.network, self.parser = network, parser
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> Smaller:
        """It stays as it was trained, whatever is trained behind it."""
        return super().train(False)

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """As every generator; ``regions`` are not looked at."""
        return Output(enlarged(self._repair, image, hole))

    def _repair(self, image: Tensor, hole: Tensor) -> Tensor:
        if self.parser is not None:
            regions = parse(self.parser, image, hole)
        else:
            regions = torch.ones_like(hole[:, 0], dtype=torch.uint8)
        return self.network(image, hole, regions).image


class Started(nn.Module):
    """A network with a start in front of it, called like the network: ``started(image, hole, regions) -> Output``.

    Args:
        network: a generator or a parser, built with ``from_start=True``: it looks at what the hole holds, and a
            generator adds its output to it.
        start: "mean", "membrane" or "smaller"; "blank" needs nothing in front.
        smaller: what repairs for start "smaller", a :class:`Smaller`.

    Raises:
        ConfigError: the start is another, or it is "smaller" and nothing repairs for it.

    >>> started = Started(nn.Identity(), "mean")
    >>> started.fill(torch.zeros(1, 3, 1, 1), torch.ones(1, 1, 1, 1)).flatten()
    tensor([-0.0824, -0.1843, -0.0353])
    """

    def __init__(self, network: nn.Module, start: str, smaller: nn.Module | None = None) -> None:
        super().__init__()
        if start not in STARTS[1:]:
            known = ", ".join(STARTS[1:])
            raise ConfigError(f"nothing stands in front of a network for start {start!r}", f"Use one of {known}")
        if start == "smaller" and smaller is None:
            raise ConfigError("start smaller begins from the repair of a smaller network, and none is given", NAME_IT)
        self.network, self.start, self.smaller = network, start, smaller

    def fill(self, image: Tensor, hole: Tensor) -> Tensor:
        """Photograph (B, 3, H, W) in [-1, 1] and hole (B, 1, H, W), 1 = hole -> the photograph, its hole filled."""
        if self.smaller is not None:
            return self.smaller(image, hole).image
        if self.start == "membrane":
            return membrane(image, hole)
        return torch.where(hole > 0, image.new_tensor(MEAN_COLOUR).view(1, 3, 1, 1), image)

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None, *more: Any) -> Output:
        """As the network, which is given all else that it takes, and whose errors it raises; what lies under the hole
        is not looked at."""
        return self.network(self.fill(image, hole), hole, regions, *more)


def within(network: nn.Module) -> nn.Module:
    """The network itself, without the start in front of it if there is one.

    >>> within(Started(nn.Identity(), "membrane"))
    Identity()
    """
    return network.network if isinstance(network, Started) else network
