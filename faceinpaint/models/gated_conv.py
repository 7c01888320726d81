"""Gated Convolution (DeepFill v2): each feature comes with a learned gate that says how far to trust it.

Yu, Lin, Yang, Shen, Lu, Huang: Free-Form Image Inpainting with Gated Convolution, ICCV 2019. The layers follow the
authors' released code, version 2.0.0. Its critic is :class:`faceinpaint.models.discriminators.SNPatchGAN`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from faceinpaint.errors import ConfigError
from faceinpaint.models.refinement import SameConv2d, TwoStages


class GatedConv(TwoStages):
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

    >>> found = GatedConv(width=4)(torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    >>> found.image.shape, found.coarse.shape
    (torch.Size([1, 3, 32, 32]), torch.Size([1, 3, 32, 32]))
    """

    def __init__(self, width: int = 48, from_start: bool = False) -> None:
        if width < 4 or width % 4:
            raise ConfigError(f"width {width} of gated convolution cannot be quartered", "Use a multiple of 4")
        features = width // 2  # of the first layer, after the split
        super().__init__(GatedConv2d, features, planes=3, bound=torch.tanh, from_start=from_start)


class GatedConv2d(nn.Module):
    """One convolution whose outputs are split in half: ``activation(first half) * sigmoid(second half)``.

    Args:
        in_channels: channels read.
        features: channels returned; the convolution itself has twice as many.
        kernel, stride, dilation: of the convolution, with TensorFlow's SAME padding.
        activation: ELU everywhere but just before the attention (ReLU).

    >>> GatedConv2d(3, 8, stride=2)(torch.zeros(1, 3, 16, 16)).shape
    torch.Size([1, 8, 8, 8])
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
