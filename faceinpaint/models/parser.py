"""A small face parser: the parsing map of a face of which part is missing.

The patent reads the map off the undamaged photograph, which nobody has who needs a repair. This network supplies one
from what is left: a U-Net (Ronneberger et al., 2015) that sees the damaged face and its hole, and is trained on
damaged faces with known maps, so it also learns to guess the map inside the hole.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from faceinpaint.models import Output, check_halvings
from faceinpaint.regions import REGIONS


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions with batch normalisation and ReLU.

    >>> block(3, 8)(torch.zeros(1, 3, 4, 4)).shape
    torch.Size([1, 8, 4, 4])
    """
    layers: list[nn.Module] = []
    for i in (inputs, outputs):
        layers += [nn.Conv2d(i, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class FaceParser(nn.Module):
    """Damaged face and hole -> scores of each region for each pixel.

    Args:
        width: channels at full size; doubled at each of four halvings, to at most eight times.
        n: number of regions; one more score is given, for the pixels outside all of them.
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`), which is looked at.

    >>> FaceParser(width=4)(torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)).image.shape
    torch.Size([1, 9, 32, 32])
    """

    def __init__(self, width: int = 16, n: int = len(REGIONS), from_start: bool = False) -> None:
        super().__init__()
        self.from_start = from_start
        widths = [width, 2 * width, 4 * width, 8 * width, 8 * width]
        self.down = nn.ModuleList(block(i, o) for i, o in zip([4, *widths], widths, strict=False))
        self.up = nn.ModuleList(
            block(i + o, o) for i, o in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )  # from below, joined with the skip connection
        self.score = nn.Conv2d(width, n + 1, 1)

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Score pixels.

        Args:
            image: face (B, 3, H, W) in [-1, 1], sides multiples of 16; what lies under the hole is blanked first,
                unless it is a start.
            hole: hole mask (B, 1, H, W), 1 = hole.
            regions: not looked at; there so that it is called like every generator.

        Returns:
            logits (B, n + 1, H, W) in the place of the picture.

        Raises:
            DataError: a side is not a multiple of 16.
        """
        check_halvings(image, len(self.up))
        x = torch.cat([image if self.from_start else image * (1 - hole), hole], dim=1)
        skips = []
        for i, layer in enumerate(self.down):
            x = layer(nn.functional.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for layer, skip in zip(self.up, skips[-2::-1], strict=True):
            x = layer(torch.cat([nn.functional.interpolate(x, scale_factor=2, mode="nearest"), skip], dim=1))
        return Output(self.score(x))


def parse(parser: nn.Module, image: Tensor, hole: Tensor) -> Tensor:
    """Most likely region of each pixel, (B, H, W) uint8, 0 = other.

    Args:
        parser: a :class:`FaceParser`, with a start in front of it or without.
        image, hole: as in :meth:`FaceParser.forward`.

    >>> parse(FaceParser(width=4), torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)).shape
    torch.Size([1, 32, 32])
    """
    return parse_surely(parser, image, hole)[0]


@torch.no_grad()
def parse_surely(parser: nn.Module, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """What :func:`parse` gives, and the logarithm of how likely each pixel's region is, (B, H, W).

    >>> regions, likely = parse_surely(FaceParser(width=4), torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    >>> regions.shape == likely.shape, bool((likely <= 0).all())
    (True, True)
    """
    likely, regions = parser(image, hole).image.log_softmax(1).max(1)
    return regions.to(torch.uint8), likely
