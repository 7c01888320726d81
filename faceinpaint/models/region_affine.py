"""Normalise, then scale and shift every pixel by the parameters of its region: the kernel of region normalisation.

Written for memory and speed; what it computes, and why, is told by
:class:`faceinpaint.models.facial_style.RegionNorm`.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class RegionAffine(torch.autograd.Function):
    """:func:`region_affine` with its gradient.

    Autograd through the plain expression would keep five feature maps; here only x is kept. The backward pass needs
    nothing but the sums of ``grad`` and ``grad * x`` over each region: the gradients of gamma and beta are those
    sums, and the two means that the gradient of instance normalisation subtracts are their weighted totals.

    >>> x, zeros = torch.randn(1, 4, 8, 8), torch.zeros(1, 9, 4)
    >>> out = RegionAffine.apply(x, zeros, zeros, torch.ones(1, 64, dtype=torch.uint8), None, 1e-5)[0]
    >>> bool(out.mean().abs() < 1e-5)
    True
    """

    @staticmethod
    def forward(ctx, x, gamma, beta, labels, weight, eps):
        out, mean, rstd = region_affine(x, gamma, beta, labels, weight, eps)
        ctx.save_for_backward(x, gamma, labels, weight, mean, rstd)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        x, gamma, labels, weight, mean, rstd = ctx.saved_tensors
        x, grad_of = x.flatten(2), grad.flatten(2)  # (B, C, P)
        dtype = mean.dtype
        d_x = torch.empty_like(x)
        d_gamma, d_beta = torch.empty_like(gamma), torch.empty_like(gamma)
        scale = 1 + gamma.to(dtype)
        names = torch.arange(gamma.shape[1], device=x.device, dtype=labels.dtype)
        for b, channels in _blocks(x):
            place = labels[b]
            members = (place[:, None] == names[:, None]).to(grad.dtype)  # (b, K, P)
            total = x.shape[2] if weight is None else weight[b].sum(1)[:, None, None]
            for c in channels:
                value, g = x[b, c], grad_of[b, c]
                of_scale, m, r = scale[b, :, c], mean[b, None, c], rstd[b, None, c]  # (b, K, c), (b, 1, c)
                sum_g = (members @ g.transpose(1, 2)).to(dtype)  # (b, K, c)
                sum_gx = (members @ (g * value).transpose(1, 2)).to(dtype)
                sum_gx = (sum_gx - m * sum_g) * r  # now with x normalised
                d_beta[b, :, c], d_gamma[b, :, c] = sum_g, sum_gx
                first = (of_scale * sum_g).sum(1, keepdim=True) / total  # mean gradient of the normalised features
                second = (of_scale * sum_gx).sum(1, keepdim=True) / total  # the same times the normalised features
                # dx = r (grad (1 + gamma) - weight (first + xhat second)): a line through x, and a lookup.
                slope, offset = -second * r * r, second * r * r * m - first * r
                line = torch.addcmul(offset.transpose(1, 2), value, slope.transpose(1, 2))
                if weight is not None:
                    line.mul_(weight[b, None])
                d_x[b, c] = line.addcmul_(g, _by_label(of_scale * r, place))
        return d_x.view(grad.shape), d_gamma, d_beta, None, None, None


def _by_label(table: Tensor, labels: Tensor) -> Tensor:
    """Look up (B, K, C) by labels (B, P) -> (B, C, P)."""
    return table.transpose(1, 2).gather(2, labels[:, None].long().expand(-1, table.shape[2], -1))


def _blocks(x: Tensor) -> list[tuple[slice, list[slice]]]:
    """Cut (B, C, P) into blocks of whole planes: slices of images, and for each those of channels.

    On a CPU, memory is the limit: blocks of a million numbers stay in its cache from the first step to the last, and
    no temporary is larger than that. A GPU takes everything at once, and so does a graph that is being exported.
    """
    batch, channels, places = x.shape
    if x.device.type != "cpu" or torch.compiler.is_exporting():
        return [(slice(None), [slice(None)])]
    planes = max(1, 2**20 // places)
    images = max(1, planes // channels)
    cuts = [slice(c, c + planes) for c in range(0, channels, planes)]
    return [(slice(b, b + images), cuts) for b in range(0, batch, images)]


def region_affine(
    x: Tensor, gamma: Tensor, beta: Tensor, labels: Tensor, weight: Tensor | None = None, eps: float = 1e-5
) -> tuple[Tensor, Tensor, Tensor]:
    """Normalise each channel of each image, then scale and shift every pixel by the parameters of its label.

    Args:
        x: features (B, C, h, w).
        gamma, beta: (B, K, C); out = normalised * (1 + gamma[label]) + beta[label].
        labels: (B, h * w) integer, 0..K-1.
        weight: (B, h * w) of 0 and 1: pixels that count in mean and variance; None for all.

    Returns:
        the result (B, C, h, w), mean and 1/std (B, C), in float32 at least.

    >>> x, labels = torch.arange(8.0).reshape(1, 1, 2, 4), torch.zeros(1, 8, dtype=torch.long)
    >>> out, mean, rstd = region_affine(x, torch.zeros(1, 1, 1), torch.full((1, 1, 1), 2.0), labels)
    >>> out.mean(), mean
    (tensor(2.), tensor([[3.5000]]))
    """
    flat = x.flatten(2)
    dtype = flat.dtype if flat.dtype == torch.float64 else torch.float32
    out = torch.empty_like(flat)
    mean, rstd = (torch.empty(flat.shape[:2], dtype=dtype, device=x.device) for _ in range(2))
    for b, channels in _blocks(flat):
        for c in channels:
            value = flat[b, c]
            if weight is None:
                m = value.mean(2, keepdim=True, dtype=dtype)
                centred = value - m
                # The length of what is left; torch.var_mean takes thirty times as long on a CPU.
                var = torch.linalg.vector_norm(centred, dim=2, keepdim=True, dtype=dtype).square() / value.shape[2]
            else:
                share = (weight[b].to(dtype) / weight[b].sum(1, keepdim=True))[:, None]  # (b, 1, P)
                m = (value * share).sum(2, keepdim=True)
                centred = value - m
                var = (centred.square() * share).sum(2, keepdim=True)
            mean[b, c], rstd[b, c] = m[..., 0], torch.rsqrt(var + eps)[..., 0]
            scale = (1 + gamma[b, :, c]) * rstd[b, None, c]
            shift = _by_label(beta[b, :, c].to(dtype), labels[b])
            out[b, c] = shift.addcmul_(centred, _by_label(scale, labels[b]))
    return out.view(x.shape), mean, rstd
