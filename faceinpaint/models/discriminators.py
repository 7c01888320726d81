"""The critics: nets that tell true photographs from repaired ones, one for each method.

All are called ``critic(image, hole)``, those of the patent's losses with the parsing map as a third, and return logits
or scores, never probabilities: no sigmoid inside. Those whose papers do not show them hole or map ignore them.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from faceinpaint.errors import ConfigError
from faceinpaint.models.context_encoder import channel_plan, check_size, dcgan_init
from faceinpaint.models.refinement import SameConv2d
from faceinpaint.regions import CLASSES


class PatchGAN(nn.Module):
    """70x70 PatchGAN: one logit for each overlapping 70x70 window; the critic of the patent's method.

    The patent asks for a matrix of true/false judgements and leaves the layers open; these are those of EdgeConnect
    (Nazeri et al. 2019), 4x4 convolutions without normalisation, here always without the sigmoid at the end.
    Pictures smaller than 256 go through the same net; at 64 and below a window is larger than the picture.

    Args:
        width: channels of the first convolution (64 in the paper).
        spectral: spectral normalisation of every convolution, which then has no bias, as in EdgeConnect.
        channels: of the pictures that it is shown.
        told: hole and parsing map are shown to it beside the picture, which is no part of the patent.

    >>> PatchGAN(width=4)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 1, 6, 6])
    """

    def __init__(self, width: int = 64, spectral: bool = True, channels: int = 3, told: bool = False) -> None:
        super().__init__()
        self.told = told
        channels += told * (1 + len(CLASSES))
        plan = [(channels, width, 2), (width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 1)]
        layers: list[nn.Module] = []
        for before, after, stride in [*plan, (8 * width, 1, 1)]:
            layer = nn.Conv2d(before, after, 4, stride, 1, bias=not spectral)
            dcgan_init(layer)
            layers += [spectral_norm(layer) if spectral else layer, nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers[:-1])  # the last convolution gives the logits

    def forward(self, image: Tensor, hole: Tensor | None = None, regions: Tensor | None = None) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] -> logits (B, 1, H/8 - 2, W/8 - 2).

        Args:
            image: to be judged.
            hole: (B, 1, H, W), 1 = hole; not looked at unless ``told``.
            regions: parsing map (B, H, W); likewise.
        """
        if self.told:
            assert hole is not None
            assert regions is not None
            shown = F.one_hot(regions.long(), len(CLASSES)).movedim(-1, 1)
            image = torch.cat([image, hole.to(image.dtype), shown.to(image.dtype)], dim=1)
        return self.layers(image)

    def features(self, image: Tensor) -> list[Tensor]:
        """What each of its five layers makes of a picture, the logits last."""
        found = []
        for layer in self.layers:
            image = layer(image)
            if isinstance(layer, nn.LeakyReLU):
                found.append(image)
        return [*found, image]


class StructureCritics(nn.Module):
    """EdgeConnect's two critics, both 70x70 PatchGANs: one of repaired pictures, one of completed lines.

    Call :attr:`structure` with grey picture and lines, (B, 2, H, W).

    Args:
        width: channels of the first convolutions (64 in the paper).

    >>> StructureCritics(width=4)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 1, 6, 6])
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.picture = PatchGAN(width)
        self.structure = PatchGAN(width, channels=2)

    def forward(self, image: Tensor, hole: Tensor | None = None, regions: Tensor | None = None) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] -> logits (B, 1, H/8 - 2, W/8 - 2); hole and map are not looked at."""
        return self.picture(image)


class ContextEncoderCritic(nn.Module):
    """The Context Encoder's critic: the DCGAN one, a single logit for each picture.

    Stride-2 4x4 convolutions down to 4x4 (batch normalisation on all but the first), then one 4x4 convolution; no
    bias. The random-region net shows it the whole picture, the centre net only the drawn square, so it is built
    for that size (64 in the paper). Like its generator it is one level deeper for each doubling.

    Args:
        size: side of the pictures it is shown, a power of two from 16 to 512.
        width: channels of the first convolution (64 in the paper).

    Raises:
        ConfigError: ``size`` is not such a power of two.

    >>> ContextEncoderCritic(64, width=4)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2])
    """

    def __init__(self, size: int = 256, width: int = 64) -> None:
        super().__init__()
        self.size = size
        down = channel_plan(size, width)
        layers: list[nn.Module] = [nn.Conv2d(3, down[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for before, after in pairwise(down):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        layers.append(nn.Conv2d(down[-1], 1, 4, bias=False))
        self.layers = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, image: Tensor, hole: Tensor | None = None) -> Tensor:
        """(B, 3, size, size) in [-1, 1] -> logits (B,); the hole is not looked at.

        Raises:
            DataError: the pictures have another size.
        """
        check_size(image, self.size, "critic")
        return self.layers(image).flatten()


class DeepFillCritic(nn.Module):
    """Contextual Attention's two Wasserstein critics: one sees the whole picture, one the window around the hole.

    Adaptation: the original shows the local critic the rectangle its rectangular hole was drawn in, half the side
    of the picture. An irregular hole has no such rectangle; here it is the window of half the side around the
    middle of the hole's bounding box (:func:`local_window`). A hole that reaches farther is seen in part by the
    local critic and whole by the other.

    For the gradient penalty, which takes each critic alone, call :attr:`whole` and :attr:`local` with pictures of
    ``size`` and windows of ``window`` pixels.

    Args:
        size: side of the pictures (256 in the paper), a multiple of 16.
        width: channels of the first convolutions (64 in the paper).

    Raises:
        ConfigError: ``size`` is not a positive multiple of 16.

    >>> whole, local = DeepFillCritic(64, width=4)(torch.zeros(2, 3, 64, 64), torch.ones(2, 1, 64, 64))
    >>> whole.shape, local.shape
    (torch.Size([2]), torch.Size([2]))
    """

    def __init__(self, size: int = 256, width: int = 64) -> None:
        super().__init__()
        if size < 16 or size % 16:
            raise ConfigError(f"the DeepFill critics cannot be built for size {size}", "Use a multiple of 16")
        self.window = size // 2
        self.whole = WassersteinCritic(size, (width, 2 * width, 4 * width, 4 * width))
        self.local = WassersteinCritic(self.window, (width, 2 * width, 4 * width, 8 * width))

    def forward(self, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """Score pictures.

        Args:
            image: (B, 3, size, size) in [-1, 1], composited if repaired.
            hole: (B, 1, size, size), 1 = hole; says where to look, is not shown to the nets.

        Returns:
            Scores (B,) of the whole pictures and (B,) of the windows, any real number, higher = truer.

        Raises:
            DataError: the pictures have another size.
        """
        patch = crop(image, local_window(hole, self.window), self.window)
        return self.whole(image), self.local(patch)


class WassersteinCritic(nn.Module):
    """Four 5x5 convolutions of stride 2 without normalisation, then one fully connected number.

    >>> WassersteinCritic(64, (4, 4, 4, 4))(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2])
    """

    def __init__(self, size: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        layers: list[nn.Module] = []
        for before, after in pairwise((3, *channels)):
            layers += [SameConv2d(before, after, 5, 2), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)
        side = -(-size // 2 ** len(channels))  # rounded up, as SAME padding does
        self.score = nn.Linear(channels[-1] * side**2, 1)
        nn.init.xavier_uniform_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, size, size) in [-1, 1] -> scores (B,).

        Raises:
            DataError: the pictures have another size.
        """
        check_size(image, self.size, "critic")
        return self.score(self.layers(image).flatten(1))[:, 0]


class SNPatchGAN(nn.Module):
    """Gated Convolution's critic: six spectrally normalised 5x5 convolutions of stride 2 over picture and hole.

    Every number of the last map (4 x 4 x 256 for pictures of 256) is a logit of the hinge loss; like the authors'
    code it passes through the leaky ReLU too.

    Args:
        width: channels of the first convolution (64 in the paper).

    >>> SNPatchGAN(width=4)(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).shape
    torch.Size([1, 16, 1, 1])
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        channels = (4, width, 2 * width, 4 * width, 4 * width, 4 * width, 4 * width)
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [spectral_norm(SameConv2d(before, after, 5, 2)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor, hole: Tensor) -> Tensor:
        """Picture (B, 3, H, W) in [-1, 1], composited if repaired, and hole (B, 1, H, W) -> (B, 4 width, h, w).

        h and w are H and W divided by 64, rounded up.
        """
        return self.layers(torch.cat([image, hole], dim=1))


def local_window(hole: Tensor, size: int) -> Tensor:
    """Where the local critic looks: the window around the middle of each hole's bounding box, kept inside.

    Args:
        hole: (B, 1, H, W), 1 = hole; an empty one gives the middle of the picture.
        size: side of the window, at most H and W.

    Returns:
        (B, 2) int64: first row and first column of each window.

    >>> hole = torch.zeros(1, 1, 16, 16)
    >>> hole[..., 10:12, 10:12] = 1
    >>> local_window(hole, 8)
    tensor([[7, 7]])
    """
    starts = []
    for dim in (3, 2):  # any hole pixel in a row, in a column
        line = hole.amax(dim=dim)[:, 0] > 0  # (B, H) or (B, W)
        first = line.int().argmax(dim=1)
        last = line.shape[1] - 1 - line.flip(1).int().argmax(dim=1)
        start = (first + last + 1 - size) // 2
        starts.append(start.clamp(0, line.shape[1] - size))
    return torch.stack(starts, dim=1)


def crop(image: Tensor, window: Tensor, size: int) -> Tensor:
    """Cut a window out of each picture.

    Args:
        image: (B, C, H, W).
        window: (B, 2) first row and column, as :func:`local_window` gives.
        size: side of the windows.

    Returns:
        (B, C, size, size).

    >>> crop(torch.zeros(1, 3, 16, 16), torch.tensor([[2, 2]]), 8).shape
    torch.Size([1, 3, 8, 8])
    """
    channels, width = image.shape[1], image.shape[3]
    places = window[:, :, None] + torch.arange(size, device=image.device)  # (B, 2, size)
    rows = places[:, 0, None, :, None].expand(-1, channels, -1, width)
    columns = places[:, 1, None, None, :].expand(-1, channels, size, -1)
    return image.gather(2, rows).gather(3, columns)
