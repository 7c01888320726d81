"""What the two DeepFills share: a coarse drawing, then a second net that borrows patches from outside the hole.

Contextual Attention (Yu et al., CVPR 2018) and Gated Convolution (Yu et al., ICCV 2019) have the same two stages and
the same attention. They differ in their convolution, in what the second stage sees, and in how a picture is bounded.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceinpaint.models import Output, check_halvings, composite

Conv = Callable[..., nn.Module]
"""``conv(in, out, kernel=3, stride=1, dilation=1, activation=nn.ELU)``: the building block of a method."""


class TwoStages(nn.Module):
    """A coarse net and one that refines.

    Args:
        conv: the building block.
        width: features of the first convolution.
        planes: input channels of the second stage: 5 with the mask, 3 without.
        bound: keeps a picture in [-1, 1].
        from_start: the hole holds a start (:mod:`faceinpaint.models.start`): it is looked at, and the output is added
            to it, without bound; so are both stages.

    >>> from faceinpaint.models.contextual_attention import ContextualAttention
    >>> isinstance(ContextualAttention(width=4), TwoStages)
    True
    """

    def __init__(
        self, conv: Conv, width: int, planes: int, bound: Callable[[Tensor], Tensor], from_start: bool
    ) -> None:
        super().__init__()
        self.planes, self.bound, self.from_start = planes, bound, from_start
        w = width
        self.coarse = nn.Sequential(
            conv(5, w, 5),
            conv(w, 2 * w, stride=2),
            conv(2 * w, 2 * w),
            conv(2 * w, 4 * w, stride=2),  # (B, 4w, H/4, W/4)
            conv(4 * w, 4 * w),
            conv(4 * w, 4 * w),
            conv(4 * w, 4 * w, dilation=2),
            conv(4 * w, 4 * w, dilation=4),
            conv(4 * w, 4 * w, dilation=8),
            conv(4 * w, 4 * w, dilation=16),
            conv(4 * w, 4 * w),
            conv(4 * w, 4 * w),
            *to_picture(conv, 4 * w, w),
        )
        self.refine = Refinement(conv, w, planes)

    def forward(self, image: Tensor, hole: Tensor, regions: Tensor | None = None) -> Output:
        """Repair photographs.

        Args:
            image: true photograph (B, 3, H, W) in [-1, 1], sides multiples of 8; hole pixels are zeroed
                first, unless they are a start.
            hole: (B, 1, H, W), 1 = hole.
            regions: ignored; there so that every generator is called alike.

        Returns:
            :class:`~faceinpaint.models.Output` with the result of the second stage and, as ``coarse``, of the first.

        Raises:
            DataError: a side is not a multiple of 8.
        """
        coarse, pasted = self.first_stage(image, hole)
        fine = self.refine(self._shown(pasted, hole), hole)
        return Output(image + fine if self.from_start else self.bound(fine), coarse)

    def first_stage(self, image: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, up to the coarse picture, alone and pasted into the hole; both (B, 3, H, W)."""
        check_halvings(image, 3)
        damaged = image if self.from_start else image * (1 - hole)
        coarse = self.coarse(with_mask(damaged, hole))
        coarse = image + coarse if self.from_start else self.bound(coarse)
        return coarse, composite(coarse, damaged, hole)

    def _shown(self, pasted: Tensor, hole: Tensor) -> Tensor:
        """What the second stage sees, (B, planes, H, W)."""
        return with_mask(pasted, hole) if self.planes == 5 else pasted

    def attention_map(self, image: Tensor, hole: Tensor) -> Tensor:
        """What each place borrows from where: the weights of :func:`attention` in a forward pass, for figures.

        Args:
            image, hole: as in :meth:`forward`.

        Returns:
            (B, P, P) with P = (H/8) * (W/8): row = place that is drawn, column = place borrowed from, row-major.
        """
        _, pasted = self.first_stage(image, hole)
        matched = self.refine.match(self._shown(pasted, hole))
        return attention(matched, matched, nearest(hole, matched.shape[-2:]))[1]


class Refinement(nn.Module):
    """The second stage: one branch draws with dilated convolutions, one borrows patches, a decoder merges them.

    >>> from faceinpaint.models.gated_conv import GatedConv
    >>> network = GatedConv(width=4).refine
    >>> network(torch.zeros(1, 3, 32, 32), torch.ones(1, 1, 32, 32)).shape
    torch.Size([1, 3, 32, 32])
    """

    def __init__(self, conv: Conv, width: int, planes: int) -> None:
        super().__init__()
        w = width
        self.paint = nn.Sequential(
            conv(planes, w, 5),
            conv(w, w, stride=2),
            conv(w, 2 * w),
            conv(2 * w, 2 * w, stride=2),  # (B, 2w, H/4, W/4)
            conv(2 * w, 4 * w),
            conv(4 * w, 4 * w),
            conv(4 * w, 4 * w, dilation=2),
            conv(4 * w, 4 * w, dilation=4),
            conv(4 * w, 4 * w, dilation=8),
            conv(4 * w, 4 * w, dilation=16),
        )
        self.match = nn.Sequential(
            conv(planes, w, 5),
            conv(w, w, stride=2),
            conv(w, 2 * w),
            conv(2 * w, 4 * w, stride=2),
            conv(4 * w, 4 * w),
            conv(4 * w, 4 * w, activation=nn.ReLU),
        )
        self.borrow = nn.Sequential(conv(4 * w, 4 * w), conv(4 * w, 4 * w))
        self.merge = nn.Sequential(
            conv(8 * w, 4 * w),
            conv(4 * w, 4 * w),
            *to_picture(conv, 4 * w, w),
        )

    def forward(self, shown: Tensor, hole: Tensor) -> Tensor:
        """(B, planes, H, W) pasted picture, with its mask or without, and the hole -> (B, 3, H, W), not yet bounded."""
        painted = self.paint(shown)
        matched = self.match(shown)
        borrowed, _ = attention(matched, matched, nearest(hole, matched.shape[-2:]))
        return self.merge(torch.cat([painted, self.borrow(borrowed)], dim=1))


def attention(foreground: Tensor, background: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Contextual attention: rebuild ``foreground`` from patches of ``background`` that the hole does not touch.

    Both maps are shrunk to half the side and every 3x3 patch of the one is compared with every normalised 3x3
    patch of the other. The similarities are fused along shifts, so that neighbours borrow from neighbours, turned
    into weights by a softmax, and the 4x4 patches of the full background are laid down at stride 2 by those
    weights; four overlap at each pixel, hence the division by 4. Patches the hole touches score 0 before the
    softmax and weigh 0 after it, so the weights of one place add up to less than 1.
    All images of a batch go through one matrix product, in float32 also under autocast: a softmax of scores times
    10 cannot be had from bfloat16.

    Args:
        foreground: features to rebuild (B, C, H, W), H and W even.
        background: features to borrow from, of the same shape.
        mask: (B, 1, H, W), 1 = hole.

    Returns:
        features: (B, C, H, W), in the type of ``foreground``.
        scores: weights (B, P, P) float32 with P = (H/2) * (W/2): row = place rebuilt, column = place borrowed from.

    >>> features, weights = attention(torch.ones(1, 4, 8, 8), torch.ones(1, 4, 8, 8), torch.zeros(1, 1, 8, 8))
    >>> features.shape, weights.shape
    (torch.Size([1, 4, 8, 8]), torch.Size([1, 16, 16]))
    """
    height, width = foreground.shape[-2:]
    half = (height // 2, width // 2)
    with torch.autocast(foreground.device.type, enabled=False):
        full = background.float()
        wanted = F.unfold(nearest(foreground.float(), half), 3, padding=1)  # (B, 9C, P)
        offered = F.unfold(nearest(full, half), 3, padding=1)
        length = torch.linalg.vector_norm(offered, dim=1, keepdim=True)
        offered = offered / length.clamp_min(1e-4)
        scores = torch.bmm(wanted.transpose(1, 2), offered)  # (B, P, P)
        scores = fuse(scores, half)

        touched = F.max_pool2d(nearest(mask.float(), half), 3, stride=1, padding=1)
        valid = (touched == 0).float().flatten(1)[:, None]  # (B, 1, P)
        scores = torch.softmax(scores * valid * 10, dim=2) * valid

        patches = F.unfold(full, 4, padding=1, stride=2)  # (B, 16C, P)
        laid = torch.bmm(patches, scores.transpose(1, 2))
        features = F.fold(laid, (height, width), 4, padding=1, stride=2) / 4
    return features.to(foreground.dtype), scores


def fuse(scores: Tensor, size: tuple[int, int]) -> Tensor:
    """Add to each similarity those of the two neighbouring pairs, first along rows, then along columns.

    A pair (p, q) gains from (p-1, q-1) and (p+1, q+1): a 3x3 identity kernel over the P x P table, once with the
    places numbered along rows and once along columns. Numbering runs on from one line to the next, as in the
    original.

    Args:
        scores: (B, P, P), places numbered row-major.
        size: (h, w) with P = h * w.

    >>> fuse(torch.ones(1, 4, 4), (2, 2)).shape
    torch.Size([1, 4, 4])
    """
    h, w = size
    scores = _diagonal_sum(scores).unflatten(2, (h, w)).unflatten(1, (h, w))
    scores = scores.permute(0, 2, 1, 4, 3).reshape(len(scores), h * w, h * w)  # numbered column by column
    scores = _diagonal_sum(scores).unflatten(2, (w, h)).unflatten(1, (w, h))
    return scores.permute(0, 2, 1, 4, 3).reshape(len(scores), h * w, h * w)


def _diagonal_sum(scores: Tensor) -> Tensor:
    padded = F.pad(scores, (1, 1, 1, 1))
    return padded[:, :-2, :-2] + scores + padded[:, 2:, 2:]


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Nearest-neighbour resize of (B, C, H, W) with first and last row and column kept, as the original's TensorFlow.

    So halving takes every even row in the first half and every odd row in the second, unlike
    :func:`torch.nn.functional.interpolate`. (Doubling is the same in both.) The hole shrinks this way too, as in the
    original, so strokes thinner than the step can slip through the sieve and be offered for borrowing.

    >>> nearest(torch.arange(4.0).reshape(1, 1, 1, 4), (1, 2))
    tensor([[[[0., 3.]]]])
    """
    for dim, new in zip((-2, -1), size, strict=True):
        old = x.shape[dim]
        place = torch.arange(new, device=x.device)
        place = (2 * place * (old - 1) + new - 1) // max(2 * (new - 1), 1)  # rounds place * (old-1)/(new-1)
        x = x.index_select(dim, place)
    return x


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: output side = ceil(side / stride), the odd zero goes to the end.

    At stride 2 and even sides the padding is not symmetric (3x3: none before, one after), which ``padding=`` of
    PyTorch cannot say. Weights start as TensorFlow's do: Glorot uniform, bias 0.

    >>> SameConv2d(3, 8, 5, stride=2)(torch.zeros(1, 3, 15, 15)).shape
    torch.Size([1, 8, 8, 8])
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, dilation: int = 1
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation=dilation)

    def reset_parameters(self) -> None:
        """Glorot uniform weights, zero bias."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, ceil(H / stride), ceil(W / stride))."""
        (k, _), (s, _), (d, _) = self.kernel_size, self.stride, self.dilation
        down, right = (max((-(-side // s) - 1) * s + (k - 1) * d + 1 - side, 0) for side in x.shape[-2:])
        if down % 2 or right % 2:  # halves go to both ends, the odd row or column of zeros below and right
            x = F.pad(x, (0, right % 2, 0, down % 2))
        return F.conv2d(x, self.weight, self.bias, s, (down // 2, right // 2), d)


def to_picture(conv: Conv, channels: int, width: int) -> list[nn.Module]:
    """The end of both stages: (B, channels, H/4, W/4) -> (B, 3, H, W), the last convolution plain.

    >>> plain = lambda i, o, kernel=3: SameConv2d(i, o, kernel)
    >>> nn.Sequential(*to_picture(plain, 8, 4))(torch.zeros(1, 8, 4, 4)).shape
    torch.Size([1, 3, 16, 16])
    """
    return [
        nn.Upsample(scale_factor=2, mode="nearest"),
        conv(channels, 2 * width),
        conv(2 * width, 2 * width),
        nn.Upsample(scale_factor=2, mode="nearest"),
        conv(2 * width, width),
        conv(width, width // 2),
        SameConv2d(width // 2, 3, 3),
    ]


def with_mask(picture: Tensor, hole: Tensor) -> Tensor:
    """The input of a stage (B, 5, H, W): picture, a plane of ones (it tells where the border is), the hole.

    >>> with_mask(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8)).shape
    torch.Size([1, 5, 8, 8])
    """
    return torch.cat([picture, torch.ones_like(hole), hole], dim=1)
