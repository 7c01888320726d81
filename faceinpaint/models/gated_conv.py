"""Gated Convolution (DeepFill v2): each feature comes with a learned gate that says how far to trust it.

Yu, Lin, Yang, Shen, Lu, Huang: Free-Form Image Inpainting with Gated Convolution, ICCV 2019. The layers follow the
authors' released code, version 2.0.0. Its critic is :class:`faceinpaint.models.discriminators.SNPatchGAN`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from faceinpaint.errors import ConfigError
from faceinpaint.models import Output, check_halvings, composite
from faceinpaint.models.contextual_attention import SameConv2d, attention, nearest, with_mask


class GatedConv(nn.Module):
    """The two stages of DeepFill v1 with every convolution gated but the last; output through tanh.

    The width counts channels before a gated convolution splits them into features and gates, as in the authors'
    code: width 48 gives layers of 24, 48 and 96 features. The second stage sees the pasted picture only, without
    the mask. The original is made for free-form holes, so nothing is adapted, but that each photograph of a batch
    has its own hole here, where the authors draw one for the whole batch.

    Args:
        width: output channels of the first convolution before the split (48 in the paper), a multiple of 4.
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`): it is looked at, and the output is added
            to it, without tanh; so are both stages.

    Raises:
        ConfigError: ``width`` is not a positive multiple of 4.
    """

    def __init__(self, width: int = 48, from_start: bool = False) -> None:
        super().__init__()
        if width < 4 or width % 4:
            raise ConfigError(f"width {width} of gated convolution cannot be quartered", "Use a multiple of 4")
        self.from_start = from_start
        f = width // 2  # features of the first layer, after the split
        self.coarse = nn.Sequential(
            GatedConv2d(5, f, 5),
            GatedConv2d(f, 2 * f, stride=2),
            GatedConv2d(2 * f, 2 * f),
            GatedConv2d(2 * f, 4 * f, stride=2),  # (B, 4f, H/4, W/4)
            GatedConv2d(4 * f, 4 * f),
            GatedConv2d(4 * f, 4 * f),
            GatedConv2d(4 * f, 4 * f, dilation=2),
            GatedConv2d(4 * f, 4 * f, dilation=4),
            GatedConv2d(4 * f, 4 * f, dilation=8),
            GatedConv2d(4 * f, 4 * f, dilation=16),
            GatedConv2d(4 * f, 4 * f),
            GatedConv2d(4 * f, 4 * f),
            *to_picture(4 * f, f),
        )
        self.refine = GatedRefinement(f)

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Repair photographs.

        Args:
            image: true photograph (B, 3, H, W) in [-1, 1], sides multiples of 8; hole pixels are zeroed
                first, unless they are a start.
            hole: (B, 1, H, W), 1 = hole.
            regions: ignored; there so that every generator is called alike.

        Returns:
            :class:`Output` with the result of the second stage and, as ``coarse``, of the first.

        Raises:
            DataError: a side is not a multiple of 8.
        """
        coarse, pasted = self.first_stage(image, hole)
        fine = self.refine(pasted, hole)
        return Output(image + fine if self.from_start else torch.tanh(fine), coarse)

    def first_stage(self, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, up to the coarse picture, alone and pasted into the hole; both (B, 3, H, W)."""
        check_halvings(image, 3)
        damaged = image if self.from_start else image * (1 - hole)
        coarse = self.coarse(with_mask(damaged, hole))
        coarse = image + coarse if self.from_start else torch.tanh(coarse)
        return coarse, composite(coarse, damaged, hole)

    def attention_map(self, image: Tensor, hole: Tensor) -> Tensor:
        """What each place borrows from where in a forward pass, for figures.

        Args:
            image, hole: as in :meth:`forward`.

        Returns:
            (B, P, P) with P = (H/8) * (W/8): row = place that is drawn, column = place borrowed from, row-major.
        """
        _, pasted = self.first_stage(image, hole)
        matched = self.refine.match(pasted)
        return attention(matched, matched, nearest(hole, matched.shape[-2:]))[1]


class GatedRefinement(nn.Module):
    """The second stage: one branch draws with dilated convolutions, one borrows patches, a decoder merges them."""

    def __init__(self, features: int) -> None:
        super().__init__()
        f = features
        self.paint = nn.Sequential(
            GatedConv2d(3, f, 5),
            GatedConv2d(f, f, stride=2),
            GatedConv2d(f, 2 * f),
            GatedConv2d(2 * f, 2 * f, stride=2),  # (B, 2f, H/4, W/4)
            GatedConv2d(2 * f, 4 * f),
            GatedConv2d(4 * f, 4 * f),
            GatedConv2d(4 * f, 4 * f, dilation=2),
            GatedConv2d(4 * f, 4 * f, dilation=4),
            GatedConv2d(4 * f, 4 * f, dilation=8),
            GatedConv2d(4 * f, 4 * f, dilation=16),
        )
        self.match = nn.Sequential(
            GatedConv2d(3, f, 5),
            GatedConv2d(f, f, stride=2),
            GatedConv2d(f, 2 * f),
            GatedConv2d(2 * f, 4 * f, stride=2),
            GatedConv2d(4 * f, 4 * f),
            GatedConv2d(4 * f, 4 * f, activation=nn.ReLU),
        )
        self.borrow = nn.Sequential(GatedConv2d(4 * f, 4 * f), GatedConv2d(4 * f, 4 * f))
        self.merge = nn.Sequential(
            GatedConv2d(8 * f, 4 * f),
            GatedConv2d(4 * f, 4 * f),
            *to_picture(4 * f, f),
        )

    def forward(self, pasted: Tensor, hole: Tensor) -> Tensor:
        """(B, 3, H, W) pasted picture and the hole -> (B, 3, H, W), before the tanh."""
        painted = self.paint(pasted)
        matched = self.match(pasted)
        borrowed, _ = attention(matched, matched, nearest(hole, matched.shape[-2:]))
        return self.merge(torch.cat([painted, self.borrow(borrowed)], dim=1))


class GatedConv2d(nn.Module):
    """One convolution whose outputs are split in half: ``activation(first half) * sigmoid(second half)``.

    Args:
        in_channels: channels read.
        features: channels returned; the convolution itself has twice as many.
        kernel, stride, dilation: of the convolution, with TensorFlow's SAME padding.
        activation: ELU everywhere but just before the attention (ReLU).
    """

    def __init__(
        self,
        in_channels: int,
        features: int,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        activation: type[nn.Module] = nn.ELU,
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, 2 * features, kernel, stride, dilation)
        self.activation = activation()

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, in_channels, H, W) -> activated features and gate in [0, 1], each (B, features, h, w)."""
        features, gate = self.conv(x).chunk(2, dim=1)
        return self.activation(features), torch.sigmoid(gate)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) -> gated features (B, features, ceil(H / stride), ceil(W / stride))."""
        features, gate = self.split(x)
        return features * gate


def to_picture(channels: int, features: int) -> list[nn.Module]:
    """The end of both stages: (B, channels, H/4, W/4) -> (B, 3, H, W), the last convolution plain."""
    return [
        nn.Upsample(scale_factor=2, mode="nearest"),
        GatedConv2d(channels, 2 * features),
        GatedConv2d(2 * features, 2 * features),
        nn.Upsample(scale_factor=2, mode="nearest"),
        GatedConv2d(2 * features, features),
        GatedConv2d(features, features // 2),
        SameConv2d(features // 2, 3, 3),
    ]
