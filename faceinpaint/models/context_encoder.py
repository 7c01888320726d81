"""Context Encoder: squeeze the damaged photograph through one narrow layer and draw it again.

Pathak, Krähenbühl, Donahue, Darrell, Efros: Context Encoders: Feature Learning by Inpainting, CVPR 2016.
The layers follow the authors' released training scripts. Its critic is
:class:`faceinpaint.models.discriminators.ContextEncoderCritic`.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from faceinpaint.errors import ConfigError, DataError
from faceinpaint.models import Output
from faceinpaint.models.start import MEAN_COLOUR


class ContextEncoder(nn.Module):
    """Encoder, bottleneck of ``bottleneck`` numbers, decoder; every convolution 4x4, as in DCGAN.

    Adaptation: the paper's net repairs a centre square or regions from one random pattern, at 128 x 128, and sees
    no mask. For irregular holes the random-region net is the right one (its decoder draws the whole picture).
    One stride-2 layer is added on both sides for each doubling of the size, so at 256 it is one level deeper;
    at 64 it is the authors' own smaller version. Everything else is as released: batch normalisation, no
    convolution bias (the authors set it to zero at every step), hole filled with :data:`MEAN_COLOUR`.

    Args:
        size: side of the square photographs, a power of two from 32 to 512.
        width: channels of the first convolution (64 in the paper).
        bottleneck: channels of the 1 x 1 map in the middle (4000 in the paper).
        centre: the paper's other net: the decoder stops one level earlier and draws only the centre square of
            half the side; the hole must lie inside it. (The paper's own is ``size=128``: a 64 x 64 patch.)
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`): it is looked at, and the output is added
            to it, without tanh; not with ``centre``.

    Raises:
        ConfigError: ``size`` is not such a power of two, or a start is to be drawn on in the centre only.

    >>> network = ContextEncoder(64, width=4, bottleneck=8).eval()
    >>> network(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64)).image.shape
    torch.Size([1, 3, 64, 64])
    """

    fill: Tensor

    def __init__(
        self, size: int = 256, width: int = 64, bottleneck: int = 4000, centre: bool = False, from_start: bool = False
    ) -> None:
        super().__init__()
        if size < 32:
            raise ConfigError(f"a context encoder for size {size} is too small", "Use a size from 32 to 512")
        if centre and from_start:
            raise ConfigError("the centre net draws its square anew, from no start", "Use start=blank with centre")
        self.size = size
        self.centre = centre
        self.from_start = from_start
        self.register_buffer("fill", torch.tensor(MEAN_COLOUR).view(1, 3, 1, 1), persistent=False)

        down = channel_plan(size, width)  # 256: w, w, w, 2w, 4w, 8w
        up = channel_plan(size // 2 if centre else size, width)[::-1]

        layers: list[nn.Module] = [nn.Conv2d(3, down[0], 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for before, after in pairwise(down):
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(0.2)]
        layers += [  # (B, 8w, 4, 4) -> (B, bottleneck, 1, 1)
            nn.Conv2d(down[-1], bottleneck, 4, bias=False),
            nn.BatchNorm2d(bottleneck),
            nn.LeakyReLU(0.2),
        ]
        self.encoder = nn.Sequential(*layers)

        layers = [  # (B, bottleneck, 1, 1) -> (B, 8w, 4, 4)
            nn.ConvTranspose2d(bottleneck, up[0], 4, bias=False),
            nn.BatchNorm2d(up[0]),
            nn.ReLU(),
        ]
        for before, after in pairwise(up):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.ConvTranspose2d(up[-1], 3, 4, 2, 1, bias=False), *([] if from_start else [nn.Tanh()])]
        self.decoder = nn.Sequential(*layers)
        self.apply(dcgan_init)

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Repair photographs.

        Args:
            image: true photograph (B, 3, size, size) in [-1, 1]; its hole pixels are overwritten first,
                unless they are a start.
            hole: (B, 1, size, size), 1 = hole.
            regions: ignored; there so that every generator is called alike.

        Returns:
            :class:`Output` whose image (B, 3, size, size) is the drawing; with ``centre`` it is the filled
            photograph with the drawn square pasted in.

        Raises:
            DataError: the photographs have another size, or the hole leaves the centre square (``centre``).
            ConfigError: a batch of one in training mode (its 1 x 1 map has no variance to normalise by).
        """
        if self.from_start:
            return Output(image + self.draw(image))
        damaged = image * (1 - hole) + self.fill * hole
        if not self.centre:
            return Output(self.draw(damaged))
        edge = self.size // 4
        if hole.sum() != hole[..., edge:-edge, edge:-edge].sum():
            raise DataError("the hole leaves the centre square", "Use the random-region net (centre=False)")
        picture = damaged.clone()
        picture[..., edge:-edge, edge:-edge] = self.draw(damaged)
        return Output(picture)

    def draw(self, damaged: Tensor) -> Tensor:
        """Filled photograph (B, 3, size, size) -> what the decoder draws, (B, 3, size, size) or half the side."""
        check_size(damaged, self.size, "context encoder")
        if self.training and len(damaged) == 1:
            raise ConfigError("the context encoder cannot train on a batch of one", "Use a batch size of 2 or more")
        return self.decoder(self.encoder(damaged))


def channel_plan(size: int, width: int) -> list[int]:
    """Channels after each stride-2 layer from ``size`` down to 4: 64 -> w, 2w, 4w, 8w; 128 -> w, w, 2w, 4w, 8w.

    Raises:
        ConfigError: ``size`` is not a power of two from 16 to 512.

    >>> channel_plan(128, 64)
    [64, 64, 128, 256, 512]
    """
    if size not in (16, 32, 64, 128, 256, 512):
        raise ConfigError(f"a context encoder cannot be built for size {size}", "Use a power of two from 32 to 512")
    levels = size.bit_length() - 3
    return ([width] * (levels - 4) + [width, 2 * width, 4 * width, 8 * width])[-levels:]


def dcgan_init(module: nn.Module) -> None:
    """DCGAN's start: convolution weights N(0, 0.02), normalisation weights N(1, 0.02), biases 0.

    >>> layer = nn.BatchNorm2d(2)
    >>> dcgan_init(layer)
    >>> layer.bias.tolist()
    [0.0, 0.0]
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def check_size(image: Tensor, size: int, name: str) -> None:
    """Refuse pictures that a net of fixed size cannot take.

    Raises:
        DataError: ``image`` (B, C, H, W) is not ``size`` x ``size``.

    >>> check_size(torch.zeros(1, 3, 64, 64), 64, "critic")
    """
    height, width = image.shape[-2:]
    if (height, width) != (size, size):
        raise DataError(
            f"this {name} was built for {size}x{size} pictures and was given {height}x{width}",
            "Resize the picture, or build the net for that size",
        )
