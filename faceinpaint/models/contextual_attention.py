"""Contextual Attention (DeepFill v1): a coarse drawing, then a second net that borrows patches from outside the hole.

Yu, Lin, Yang, Shen, Lu, Huang: Generative Image Inpainting with Contextual Attention, CVPR 2018. The layers follow
the authors' released code, version 1.0.0. Its critics are
:class:`faceinpaint.models.discriminators.DeepFillCritic`.
"""

from __future__ import annotations

from torch import Tensor, nn

from faceinpaint.errors import ConfigError
from faceinpaint.models.refinement import SameConv2d, TwoStages


class ContextualAttention(TwoStages):
    """Two stages without normalisation; ELU after each convolution, zero padding, output clipped to [-1, 1].

    Adaptation: the original was made for one rectangular hole, shared by the whole batch. Here each photograph has
    its own hole of any shape; which patches may be borrowed is decided for each by itself. A hole that leaves no
    patch to borrow gives zero features from the attention branch, and the other branch draws alone.

    Args:
        width: channels of the first convolution (32 in the paper), even.
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`): it is looked at, and the output is added
            to it, without clipping; so are both stages.

    Raises:
        ConfigError: ``width`` is odd or not positive.

    >>> import torch
    >>> found = ContextualAttention(width=4)(torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32))
    >>> found.image.shape, found.coarse.shape
    (torch.Size([1, 3, 32, 32]), torch.Size([1, 3, 32, 32]))
    """

    def __init__(self, width: int = 32, from_start: bool = False) -> None:
        if width < 2 or width % 2:
            raise ConfigError(f"width {width} of contextual attention cannot be halved", "Use an even width")
        super().__init__(conv, width, planes=5, bound=_clipped, from_start=from_start)


def _clipped(picture: Tensor) -> Tensor:
    return picture.clamp(-1, 1)


def conv(
    in_channels: int,
    out_channels: int,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    activation: type[nn.Module] = nn.ELU,
) -> nn.Sequential:
    """The building block of both stages: convolution, then ELU (ReLU just before the attention).

    >>> conv(3, 8)[1]
    ELU(alpha=1.0)
    """
    return nn.Sequential(SameConv2d(in_channels, out_channels, kernel, stride, dilation), activation())
