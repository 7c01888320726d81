"""Structure first: one network completes the lines of the face, a second one fills in colour from them.

The kind of CN112801914A, which the patent names among its prior art, after its public kin: Nazeri, Ng, Joseph,
Qureshi, Ebrahimi: EdgeConnect, 2019. The layers follow the authors' released code. Its critics are
:class:`faceinpaint.models.discriminators.StructureCritics`.

What is adapted: both networks are trained together from the first step on, where the authors train the second one on
true lines first and on completed ones afterwards; and from a start, which hides where the hole is, the second network
is shown the hole as a channel more.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from faceinpaint.errors import ConfigError
from faceinpaint.models import Output, check_halvings, composite
from faceinpaint.models.context_encoder import dcgan_init

LUMA = (0.2125, 0.7154, 0.0721)
"""Red, green and blue in a grey picture, as scikit-image weighs them."""

BLOCKS = 8
"""Residual blocks in the middle of each network."""


def grey(image: Tensor) -> Tensor:
    """RGB (B, 3, H, W) -> grey (B, 1, H, W), the same range.

    >>> grey(torch.ones(1, 3, 2, 2)).shape
    torch.Size([1, 1, 2, 2])
    """
    return (image * image.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def lines(image: Tensor, hole: Tensor | None = None) -> Tensor:
    """Canny's edges of pictures, by scikit-image: the structure that the first network has to complete.

    The picture is smoothed by a Gaussian whose sigma is a 128th of its shorter side, at least 1: 2 pixels at 256, as
    in EdgeConnect's configuration, 1 pixel at 64. Thresholds are scikit-image's, 0.1 and 0.2 of the full range.

    Args:
        image: (B, 3, H, W) in [-1, 1].
        hole: (B, 1, H, W), 1 = hole: not looked at, and without lines, as is its border. None for no hole.

    Returns:
        (B, 1, H, W), 1 = line, 0 = none.

    >>> image = torch.cat([torch.zeros(1, 3, 16, 8), torch.ones(1, 3, 16, 8)], dim=3)
    >>> lines(image)[0, 0, 8].sum()
    tensor(1.)
    """
    # Both here: who only repairs with another method waits neither for torch's compiler nor for scikit-image.
    found: Tensor = torch.compiler.disable(_lines)(image, hole)
    return found


def _lines(image: Tensor, hole: Tensor | None) -> Tensor:
    from skimage.feature import canny

    shown = grey(image.detach().float()) / 2 + 0.5
    if hole is not None:
        shown = torch.where(hole > 0.5, 0, shown)
    sigma = max(1.0, min(image.shape[-2:]) / 128)
    known = [None] * len(image) if hole is None else list(hole[:, 0].cpu().numpy() < 0.5)
    found = [
        canny(one, sigma=sigma, mask=where, mode="nearest")
        for one, where in zip(shown[:, 0].double().cpu().numpy(), known, strict=True)
    ]
    return torch.from_numpy(np.stack(found))[:, None].to(image)


class Residual(nn.Module):
    """``x + f(x)``: two 3x3 convolutions, the first of dilation 2, with instance normalisation.

    >>> Residual(8)(torch.zeros(1, 8, 16, 16)).shape
    torch.Size([1, 8, 16, 16])
    """

    def __init__(self, channels: int, spectral: bool = False) -> None:
        super().__init__()
        first, second = (nn.Conv2d(channels, channels, 3, dilation=d, bias=not spectral) for d in (2, 1))
        self.layers = nn.Sequential(
            nn.ReflectionPad2d(2), _normed(first, spectral), nn.InstanceNorm2d(channels), nn.ReLU(),
            nn.ReflectionPad2d(1), _normed(second, spectral), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, h, w) -> the same shape; no activation after the sum."""
        return x + self.layers(x)


class EncoderDecoder(nn.Sequential):
    """Both networks: two halvings, eight residual blocks, two doublings; the output is not bounded.

    Args:
        inputs, outputs: channels.
        width: channels of the first convolution, doubled at each halving.
        spectral: spectral normalisation of every convolution but the last (the first network).

    >>> EncoderDecoder(4, 3, width=4)(torch.zeros(1, 4, 32, 32)).shape
    torch.Size([1, 3, 32, 32])
    """

    def __init__(self, inputs: int, outputs: int, width: int = 64, spectral: bool = False) -> None:
        w = width
        layers: list[nn.Module] = [nn.ReflectionPad2d(3)]
        for layer, channels in (
            (nn.Conv2d(inputs, w, 7), w),
            (nn.Conv2d(w, 2 * w, 4, stride=2, padding=1), 2 * w),
            (nn.Conv2d(2 * w, 4 * w, 4, stride=2, padding=1), 4 * w),
        ):
            layers += [_normed(layer, spectral), nn.InstanceNorm2d(channels), nn.ReLU()]
        layers += [Residual(4 * w, spectral) for _ in range(BLOCKS)]
        for before, after in ((4 * w, 2 * w), (2 * w, w)):
            up = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
            layers += [_normed(up, spectral), nn.InstanceNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.ReflectionPad2d(3), nn.Conv2d(w, outputs, 7))
        dcgan_init(self[-1])


def _normed(layer: nn.Module, spectral: bool) -> nn.Module:
    dcgan_init(layer)
    return spectral_norm(layer, dim=0) if spectral else layer


class StructureFirst(nn.Module):
    """The two networks: ``generator(image, hole) -> Output``, whose ``structure`` is what the first one drew.

    Args:
        width: channels of the first convolutions (64 in the paper).
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`): it is looked at, and the output of the
            second network is added to it, without tanh.

    Raises:
        ConfigError: ``width`` is not positive.

    >>> found = StructureFirst(width=4)(torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    >>> found.image.shape, found.structure.shape
    (torch.Size([1, 3, 32, 32]), torch.Size([1, 1, 32, 32]))
    """

    def __init__(self, width: int = 64, from_start: bool = False) -> None:
        super().__init__()
        if width < 1:
            raise ConfigError(f"width {width} of structure-first is not positive", "Use a whole number from 1 up")
        self.from_start = from_start
        self.draw = EncoderDecoder(3, 1, width, spectral=True)  # grey, lines, hole
        self.fill = EncoderDecoder(4 + from_start, 3, width)  # colours, lines; from a start the hole

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Repair photographs.

        Args:
            image: photograph (B, 3, H, W) in [-1, 1], sides multiples of 4, from 16 up; what lies under the hole is
                made white first, as in the original, unless it is a start.
            hole: (B, 1, H, W), 1 = hole.
            regions: ignored; there so that every generator is called alike.

        Returns:
            :class:`~faceinpaint.models.Output` with the picture and, as ``structure``, all that the first network drew,
            (B, 1, H, W) in [0, 1]. The second one is given the photograph's own lines outside the hole.

        Raises:
            DataError: a side is not a multiple of 4.
        """
        check_halvings(image, 2, least=16)
        shown = self.shown(image, hole)
        known = lines(shown, hole)
        drawn = torch.sigmoid(self.draw(torch.cat([grey(shown), known, hole], dim=1)))
        completed = composite(drawn.detach().to(known.dtype), known, hole)
        return Output(self.paint(shown, hole, completed), structure=drawn)

    def shown(self, image: Tensor, hole: Tensor) -> Tensor:
        """The photograph as both networks see it: its hole white, or as it is from a start."""
        return image if self.from_start else torch.where(hole > 0.5, 1, image)

    def paint(self, shown: Tensor, hole: Tensor, structure: Tensor) -> Tensor:
        """The second network alone, from whatever structure it is given.

        Args:
            shown: from :meth:`shown`, (B, 3, H, W).
            hole: (B, 1, H, W), 1 = hole.
            structure: (B, 1, H, W) in [0, 1], lines of the whole face: completed, true or none.

        Returns:
            the picture, raw, (B, 3, H, W).
        """
        if self.from_start:
            return shown + self.fill(torch.cat([shown, structure, hole], dim=1))
        return torch.tanh(self.fill(torch.cat([shown, structure], dim=1)))
